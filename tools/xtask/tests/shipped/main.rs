//! Tests of the files that ship with the exporter: dashboards and rules use only existing metrics and
//! labels, agree with each other, and match the code that they are generated from.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

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
