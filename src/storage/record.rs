//! The stored state of an account: its last poll and its last good data.
//!
//! There are two files, because polls are frequent and rarely change the data. Either file may be
//! missing, and they may disagree if the process was killed between the two writes. Each file
//! therefore carries the time of its own contents.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::campaign::curve::Curves;
use crate::campaign::figures::Currency;
use crate::campaign::history::History;
use crate::storage::store::{Kind, Store, StoreError};

/// The last poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollRecord {
    /// Identifies which campaigns were read, in a line that the provider makes of its settings.
    pub source: String,
    /// When the poll ended.
    pub ended: DateTime<Utc>,
    /// The reason of its failure and the message, if it failed.
    pub failure: Option<(String, String)>,
    /// How long it took.
    pub took: Duration,
    /// When the last successful poll ended.
    pub last_success: Option<DateTime<Utc>>,
    /// When the access token expires.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Number of requests of the last read of recent campaigns.
    pub recent_requests: Option<u64>,
    /// Number of requests of the last full read.
    pub full_requests: Option<u64>,
    /// When the last full read began.
    pub last_full: Option<DateTime<Utc>>,
    /// The configured lookback at that time.
    pub lookback: Duration,
    /// When the data of the last successful poll was saved. This may be before the poll, because
    /// unchanged data is not written again.
    pub data_saved: Option<DateTime<Utc>>,
}

/// The last good data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataRecord {
    /// Which campaigns were read; see [`PollRecord::source`].
    pub source: String,
    /// When they were read.
    pub saved: DateTime<Utc>,
    /// The campaigns.
    pub history: History,
    /// What their ratios were.
    pub curves: Arc<Curves>,
    /// The remaining credits.
    pub credits: Option<f64>,
    /// The money left.
    pub balance: Option<(Currency, f64)>,
    /// The provider's own rates as ratios.
    pub reported_ratios: Vec<(String, f64)>,
}

/// The stored state of an account.
#[derive(Clone, Debug, Default)]
pub struct StoredAccount {
    /// The last poll.
    pub poll: Option<PollRecord>,
    /// The last good data, and when it was last confirmed by a poll.
    pub data: Option<(DateTime<Utc>, DataRecord)>,
}

impl StoredAccount {
    /// Returns when the last successful poll ended.
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        // the poll record may be about other data than what is stored
        let of_data = self.data.as_ref().map(|(time, _)| *time);
        of_data.or_else(|| self.poll.as_ref()?.last_success)
    }

    /// Returns whether to poll without waiting for the interval: the data is lost, or the lookback
    /// has changed.
    pub fn is_due(&self, lookback: Duration) -> bool {
        self.poll.as_ref().is_none_or(|poll| {
            let is_lost = poll.data_saved.is_some() && self.data.is_none();
            is_lost || poll.lookback != lookback
        })
    }
}

/// Loads the state of an account, as far as it was read from the same source. Files that cannot be
/// used are logged, in the span of the account.
pub async fn load(store: &Arc<Store>, account: &str, source: &str) -> StoredAccount {
    let poll = store.load::<PollRecord>(Kind::Poll, account).await;
    let mut poll = log_unusable(poll).filter(|poll| poll.source == source);
    let data = store.load::<DataRecord>(Kind::Campaigns, account).await;
    let mut data = log_unusable(data).filter(|data| {
        let is_same = data.source == source;
        if !is_same {
            info!("the stored campaigns were read with other settings and are ignored");
        }
        is_same
    });
    if let Some(data) = &mut data {
        let lost = data.history.bound();
        if lost > 0 {
            warn!(lost, "the ids of stored campaigns are too long: the campaigns are left out");
        }
    }
    let saved = data.as_ref().map(|data| data.saved);
    let mut last_success = None;
    if let Some(poll) = &mut poll {
        if poll.data_saved == saved {
            last_success = poll.last_success;
        } else {
            // the full read that it knows of is not in this data
            poll.last_full = None;
        }
    }
    let data = data.map(|data| (last_success.unwrap_or(data.saved), data));
    StoredAccount { poll, data }
}

fn log_unusable<T>(loaded: Result<Option<T>, StoreError>) -> Option<T> {
    loaded.unwrap_or_else(|error| {
        warn!(%error, "cannot read a stored file");
        None
    })
}
