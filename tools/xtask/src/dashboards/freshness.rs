//! Age of the accounts' data.

use super::exporter::ACCOUNT;
use super::panel::{Panel, stat};
use super::query::Scope;
use super::thresholds::{Levels, Thresholds};

/// Creates a panel for the account with the oldest data.
pub(crate) fn oldest_data(thresholds: &Thresholds) -> Panel {
    stat(
        "Age in intervals",
        "Of the account with the oldest data: how long ago it was read, as a multiple of the interval in which it should be. Up to 2 is normal.",
    )
    .query(&format!("max({})", age_in_intervals()), "age")
    .unit("none")
    .decimals(1)
    .levels(stale(thresholds))
}

/// Time since the last successful poll, divided by the interval of polls.
pub(crate) fn age_in_intervals() -> String {
    format!(
        "(time() - {}) / on ({ACCOUNT}) {}",
        Scope::Account.of("campaign_account_last_success_timestamp_seconds"),
        Scope::Account.of("campaign_account_poll_interval_seconds")
    )
}

/// Ages from which data is stale.
pub(crate) fn stale(thresholds: &Thresholds) -> Levels {
    Levels::Above {
        warning: thresholds.stale_intervals_warning,
        critical: thresholds.stale_intervals_critical,
    }
}
