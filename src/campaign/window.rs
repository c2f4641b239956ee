//! The period that a read covers.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The period that a read covers. Campaigns scheduled for later belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Campaigns sent earlier are not read.
    pub start: DateTime<Utc>,
    /// When the read began.
    pub now: DateTime<Utc>,
}

impl Window {
    /// The window that ends now and is this long.
    pub fn ending(now: DateTime<Utc>, length: Duration) -> Self {
        // the configuration limits durations far below these fallbacks
        let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
        let start = now.checked_sub_signed(length);
        let start = start.unwrap_or(DateTime::UNIX_EPOCH);
        Self { start, now }
    }
}
