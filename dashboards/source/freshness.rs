//! How old the data of the accounts is.

use super::panel::{Panel, stat};
use super::query::{ACCOUNT, Scope};
use super::thresholds::{Levels, Thresholds};

/// The account that waits longest.
pub(crate) fn oldest_data(thresholds: &Thresholds) -> Panel {
    stat(
        "Oldest data, in polls",
        "The time since the last good poll of the account that waits longest, in its poll intervals.",
    )
    .query(&format!("max({})", age_in_intervals()), "intervals")
    .unit("none")
    .decimals(1)
    .levels(stale(thresholds))
}

/// The time since the last good poll, in poll intervals.
pub(crate) fn age_in_intervals() -> String {
    format!(
        "(time() - {}) / on ({ACCOUNT}) {}",
        Scope::Account.of("campaign_account_last_success_timestamp_seconds"),
        Scope::Account.of("campaign_account_poll_interval_seconds")
    )
}

/// From which age on it is too old.
pub(crate) fn stale(thresholds: &Thresholds) -> Levels {
    Levels::Above {
        warning: thresholds.stale_intervals_warning,
        critical: thresholds.stale_intervals_critical,
    }
}
