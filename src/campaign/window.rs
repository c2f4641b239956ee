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
    /// When the oldest campaign was created that is read, if that is earlier: for a provider that finds
    /// campaigns by their creation.
    #[serde(skip)]
    created: Option<DateTime<Utc>>,
}

impl Window {
    /// The window between two times.
    pub const fn new(start: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { start, now, created: None }
    }

    /// The window with campaigns that were created since an earlier time.
    #[must_use]
    pub const fn with_created(self, created: Option<DateTime<Utc>>) -> Self {
        Self { created, ..self }
    }

    /// The start for a provider that finds campaigns by their creation.
    pub fn created_start(&self) -> DateTime<Utc> {
        self.created.map_or(self.start, |created| created.min(self.start))
    }

    /// The window that ends now and is this long.
    pub fn ending(now: DateTime<Utc>, length: Duration) -> Self {
        // the configuration limits durations far below these fallbacks
        let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
        let start = now.checked_sub_signed(length);
        let start = start.unwrap_or(DateTime::UNIX_EPOCH);
        Self::new(start, now)
    }
}
