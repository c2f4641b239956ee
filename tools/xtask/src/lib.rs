//! Generates files from the exporter's own code, so that both always agree.

pub mod dashboards;
pub mod grafana_alerting;
pub mod history;
pub mod manual;
pub mod sharing;

use std::path::Path;

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
