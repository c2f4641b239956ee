//! The campaigns of the accounts as pages and reports show them. Nothing is copied: the data is shared
//! with the snapshot.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::campaign::Campaign;
use crate::campaign::window::Window;
use crate::state::snapshot::{AccountState, Data, Snapshot};

/// An account and its campaigns.
#[derive(Clone, Debug)]
pub struct AccountCampaigns {
    /// The name of the account.
    pub account: String,
    /// The name of its provider.
    pub provider: Arc<str>,
    /// The configured additional labels of `campaign_info`.
    pub info_labels: Arc<[Arc<str>]>,
    /// The time zone of those that tell when a campaign was sent.
    pub reporting_time_zone: Tz,
    /// When the campaigns were read.
    pub read: Option<DateTime<Utc>>,
    /// Campaigns sent before this time are missing.
    pub since: Option<DateTime<Utc>>,
    /// The data of the last successful poll, unless it is stale.
    pub data: Option<Arc<Data>>,
}

impl AccountCampaigns {
    /// The campaigns, newest first.
    pub fn campaigns(&self) -> &[Arc<Campaign>] {
        self.data.as_ref().map_or(&[], |data| &data.campaigns)
    }

    fn of(state: &AccountState) -> Self {
        let read = state.polls.last_success;
        let data = state.data().cloned();
        let lookback = state.account.polling.lookback;
        let start = read.map(|read| Window::ending(read, lookback).start);
        let start = start.max(data.as_ref().and_then(|data| data.read_since));
        let dropped = data.as_ref().is_some_and(|data| data.dropped > 0);
        let oldest = state.campaigns().iter().rev().find_map(|campaign| campaign.date());
        Self {
            account: state.account.name.clone(),
            provider: Arc::clone(state.account.provider.name()),
            info_labels: state.info_labels().into(),
            reporting_time_zone: state.account.polling.reporting_time_zone,
            read,
            // the oldest ones are dropped
            since: start.max(oldest.filter(|_| dropped)),
            data,
        }
    }
}

/// The campaigns of all accounts, by account.
pub fn campaigns(snapshot: &Snapshot) -> Arc<[AccountCampaigns]> {
    snapshot.accounts().map(AccountCampaigns::of).collect()
}
