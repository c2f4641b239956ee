//! The source of the dashboards.
//!
//! Each dashboard has its own file. `query` has shared expressions, `panel` and `table` the kinds of
//! panels, `thresholds` the thresholds of the alerts.

mod annotation;
mod campaign;
mod dashboard;
mod exporter;
mod freshness;
mod link;
mod overview;
mod panel;
mod query;
mod table;
mod thresholds;
mod variable;

use thresholds::Thresholds;

/// Returns the name and contents of each dashboard's file.
pub(crate) fn files() -> anyhow::Result<Vec<(String, String)>> {
    let thresholds = Thresholds::read(include_str!("../../alerts/thresholds.yml"))?;
    let dashboards = [
        overview::dashboard(&thresholds),
        campaign::dashboard(&thresholds),
        exporter::dashboard(&thresholds),
    ];
    let files = dashboards.into_iter().map(|dashboard| {
        let name = format!("{}.json", dashboard.uid);
        let json = serde_json::to_string_pretty(&dashboard.into_json())?;
        Ok((name, json + "\n"))
    });
    files.collect()
}
