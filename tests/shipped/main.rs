//! Tests of the shipped files: dashboards, rules, deployment files, and documentation are consistent with
//! each other and with the metrics.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

/// Source of the documentation.
#[path = "../../docs/source/mod.rs"]
mod manual;
/// Source of the dashboards.
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
