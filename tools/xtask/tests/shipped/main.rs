//! Tests of the shipped files: dashboards, rules, deployment files, and documentation are consistent with
//! each other and with the metrics.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics fails")]

mod alerts;
mod dashboard;
mod dashboards;
mod deploy;
mod documentation;
mod expression;
mod grafana_alerting;
mod links;
mod linter;
mod metrics;
mod packages;
mod profiles;
mod promtool;
mod queries;
mod questions;
mod rules;
mod thresholds;
