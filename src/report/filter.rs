//! The selection of campaigns.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::campaign::window::Window;
use crate::campaign::{Channel, Status};
use crate::report::row::{Place, Row, rows};
use crate::state::campaigns::AccountCampaigns;

/// Which campaigns are selected. An absent criterion selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name of their account.
    pub account: Option<String>,
    /// Their channel.
    pub channel: Option<Channel>,
    /// Their status.
    pub status: Option<Status>,
    /// How long ago they were sent at most. Those that are planned are selected as well.
    pub period: Option<Duration>,
    /// What their name or id contains, in any case.
    pub search: Option<String>,
}

impl Filter {
    /// The places of the selected campaigns.
    pub fn select(&self, accounts: &[AccountCampaigns], now: DateTime<Utc>) -> Vec<Place> {
        let matches = self.matcher();
        let start = self.start(now);
        let is_in_period = |row: &Row<'_>| start.is_none() || row.listed() > start;
        let found = rows(accounts).filter(|(_, row)| is_in_period(row) && matches(row));
        found.map(|(place, _)| place).collect()
    }

    /// When the period begins, if there is one.
    pub fn start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.period.map(|period| Window::ending(now, period).start)
    }

    /// Whether an account is selected.
    pub fn has(&self, account: &AccountCampaigns) -> bool {
        self.account.as_ref().is_none_or(|name| *name == account.account)
    }

    /// Matches a row with all criteria but the period.
    pub fn matcher(&self) -> impl Fn(&Row<'_>) -> bool {
        let search = self.search.as_deref().map(str::to_lowercase);
        move |row| {
            let campaign = row.campaign;
            let contains = |search: &String| {
                campaign.name.to_lowercase().contains(search)
                    || campaign.id.to_lowercase().contains(search)
            };
            self.has(row.account)
                && self.channel.as_ref().is_none_or(|channel| *channel == campaign.channel)
                && self.status.is_none_or(|status| campaign.status == Some(status))
                && search.as_ref().is_none_or(contains)
        }
    }
}
