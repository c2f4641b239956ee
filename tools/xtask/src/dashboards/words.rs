//! Words for values of labels.

use serde_json::json;

use super::color;
use super::panel::Panel;

/// The code of a figure that the provider does not report, with its words and color.
pub(crate) const NOT_REPORTED: (i32, &str, &str) = (-1, "✖ not reported", color::WARNING);

/// Reasons of failures that providers abbreviate.
pub(crate) const REASONS: [(&str, &str); 6] = [
    ("npai", "number not in service"),
    ("hard_bounce", "no such address"),
    ("soft_bounce", "mailbox not available"),
    ("not_sent", "not sent"),
    ("network_error", "network error"),
    ("provider_failed", "failed at the provider"),
];

/// Shows reasons in words.
pub(crate) fn reasons(panel: Panel) -> Panel {
    REASONS.into_iter().fold(panel, |panel, (name, words)| {
        panel.overridden("byName", name, &[("displayName", json!(words))])
    })
}
