//! What a reader has to know about the data.

use std::time::Duration;

use crate::report::summary::Summary;
use crate::report::words::{last, plural};
use crate::state::campaigns::AccountCampaigns;

/// What a reader has to know about the data.
pub fn notes(summary: &Summary<'_>, failed: &[String], period: Option<Duration>) -> Vec<String> {
    let names = |accounts: &[&AccountCampaigns]| {
        let names: Vec<_> = accounts.iter().map(|account| account.account.as_str()).collect();
        names.join(", ")
    };
    let period = period.map(last).unwrap_or_default();
    let mut notes = Vec::new();
    if !failed.is_empty() {
        notes.push(format!("Could not be read, and missing here: {}.", failed.join(", ")));
    }
    let missing = summary.missing.iter().copied().filter(|it| !failed.contains(&it.account));
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        notes.push(format!("Without data, and missing here: {}.", names(&missing)));
    }
    for account in &summary.short {
        let since = account.since.map(|since| since.format("%Y-%m-%d").to_string());
        notes.push(format!(
            "The data of {} begins on {}, within the last {period}: older campaigns are missing, and nothing is compared.",
            account.account,
            since.unwrap_or_default()
        ));
    }
    if !summary.short_before.is_empty() {
        notes.push(format!(
            "No comparison with the {period} before: the data of {} does not reach back so far. A longer \
             lookback reads more.",
            names(&summary.short_before)
        ));
    }
    if summary.undated > 0 {
        notes.push(format!(
            "In no period, since the provider does not tell when they were sent: {}.",
            plural(summary.undated, "campaign")
        ));
    }
    if summary.total.now.arriving > 0 {
        notes.push(format!(
            "{} still receiving receipts: included in the sums, but not yet in the rates.",
            if summary.total.now.arriving == 1 {
                "1 campaign is".to_owned()
            } else {
                format!("{} are", plural(summary.total.now.arriving, "campaign"))
            }
        ));
    }
    notes
}
