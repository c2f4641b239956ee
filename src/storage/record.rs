//! What of an account outlives the process: how its last poll went, and its last good data.
//!
//! Two files, since polls are many and what they change is little. Either may be missing, or of
//! another moment than the other, when the process was killed between them: each time is told with
//! the file that it is true for.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::campaign::history::History;
use crate::config::Account;
use crate::storage::store::{Kind, Store, StoreError};

/// How the last poll went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollRecord {
    /// Which campaigns were read; see [`crate::provider::Settings::source`].
    pub source: String,
    /// When the poll ended.
    pub ended: DateTime<Utc>,
    /// Whether it succeeded.
    pub up: bool,
    /// How long it took.
    pub took: Duration,
    /// When the last good one ended.
    pub last_success: Option<DateTime<Utc>>,
    /// When the access token in use runs out.
    pub token_expiry: Option<DateTime<Utc>>,
    /// The requests of the last read of the recent campaigns.
    pub recent_requests: Option<u64>,
    /// The requests of the last read of all.
    pub full_requests: Option<u64>,
    /// When the last full read began.
    pub last_full: Option<DateTime<Utc>>,
    /// How far back it was to reach.
    pub lookback: Duration,
    /// When the data of the last good poll was saved, which may be earlier: what does not change is
    /// not written again.
    pub data_saved: Option<DateTime<Utc>>,
}

/// The last good data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataRecord {
    /// Which campaigns were read.
    pub source: String,
    /// When it was read.
    pub saved: DateTime<Utc>,
    /// The campaigns.
    pub history: History,
    /// The credits left.
    pub credits: Option<f64>,
    /// The provider's own rates as ratios.
    pub reported_ratios: Vec<(String, f64)>,
}

/// What is known about an account from before the start.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// How its last poll went.
    pub poll: Option<PollRecord>,
    /// Its last good data, and when that was true.
    pub data: Option<(DateTime<Utc>, DataRecord)>,
}

impl Restored {
    /// When the last good poll ended: its data may be gone, and says it better where it is not.
    pub fn last_success(&self) -> Option<DateTime<Utc>> {
        let of_data = self.data.as_ref().map(|(time, _)| *time);
        of_data.or_else(|| self.poll.as_ref()?.last_success)
    }

    /// Whether nothing is gained by waiting for the next poll: the data of the last good one is
    /// gone, or it is to reach as far back as none did.
    pub fn is_due(&self, lookback: Duration) -> bool {
        self.poll.as_ref().is_none_or(|poll| {
            let is_gone = poll.data_saved.is_some() && self.data.is_none();
            is_gone || poll.lookback != lookback
        })
    }
}

/// Reads what is kept of an account. What cannot be used is told in the log.
pub async fn load(store: &Arc<Store>, account: &Account) -> Restored {
    let source = account.provider.source();
    let name = &account.name;
    let poll = store.load::<PollRecord>(Kind::Poll, name).await;
    let data = store.load::<DataRecord>(Kind::Campaigns, name).await;
    let mut poll = usable(name, poll).filter(|poll| poll.source == source);
    let data = usable(name, data);
    let of_another = data.as_ref().is_some_and(|data| data.source != source);
    if of_another {
        info!(
            account = name,
            "the kept campaigns were read with other settings and are not used"
        );
    }
    let data = data.filter(|_| !of_another);
    let saved = data.as_ref().map(|data| data.saved);
    let mut last_success = None;
    if let Some(poll) = &mut poll {
        if poll.data_saved == saved {
            last_success = poll.last_success;
        } else {
            // it speaks of other data
            poll.last_full = None;
        }
    }
    let data = data.map(|data| (last_success.unwrap_or(data.saved), data));
    Restored { poll, data }
}

fn usable<T>(account: &str, loaded: Result<Option<T>, StoreError>) -> Option<T> {
    loaded.unwrap_or_else(|error| {
        warn!(account, %error, "what was kept cannot be read");
        None
    })
}
