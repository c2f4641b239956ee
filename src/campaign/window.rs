//! The times that a read covers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The times that a read covers. Campaigns that are to be sent later than now belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Campaigns sent earlier are not read.
    pub start: DateTime<Utc>,
    /// When the read began.
    pub now: DateTime<Utc>,
}
