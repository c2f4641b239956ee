//! What is shipped beside the program, held against itself and against the metrics: dashboards and
//! rules say what they should, name only what is there, and fit together.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

/// The manual's own source.
#[path = "../../docs/source/mod.rs"]
mod manual;
/// The dashboards' own source.
#[path = "../../dashboards/source/mod.rs"]
mod source;

mod alerts;
mod dashboard;
mod dashboards;
mod deploy;
mod documentation;
mod expression;
mod links;
mod linter;
mod metrics;
mod packages;
mod promtool;
mod queries;
mod rules;
mod thresholds;
