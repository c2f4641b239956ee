//! What is shipped beside the program, held against itself and against the metrics: dashboards and
//! rules say what they should, name only what is there, and fit together.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

/// The dashboards' own source.
#[path = "../../dashboards/source/mod.rs"]
mod source;
/// The reader of expositions of the live tests, which need more of it.
#[expect(dead_code, reason = "only its samples are needed here")]
#[path = "../it/support/strict.rs"]
mod strict;

mod alerts;
mod dashboard;
mod dashboards;
mod deploy;
mod expression;
mod links;
mod linter;
mod metrics;
mod packages;
mod promtool;
mod queries;
mod rules;
mod thresholds;
