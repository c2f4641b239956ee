//! The source of the dashboards.
//!
//! Each dashboard has its own file. `query` has shared expressions, `panel` and `table` the kinds of
//! panels, `thresholds` the thresholds of the alerts.

#![expect(clippy::too_many_lines, reason = "a row of panels is best read in one piece")]

mod annotation;
mod campaign;
mod color;
mod dashboard;
mod exporter;
mod freshness;
mod link;
mod marketing;
mod overview;
mod panel;
mod planned;
mod query;
mod table;
mod thresholds;
mod usual;
mod variable;
mod verdict;
mod words;

use anyhow::Context;
use thresholds::Thresholds;

/// Returns the path, below the root of the repository, and the contents of each file.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let thresholds = std::fs::read_to_string(crate::root().join("alerts/thresholds.yml"))
        .context("cannot read alerts/thresholds.yml")?;
    let thresholds = Thresholds::read(&thresholds)?;
    let dashboards = [
        overview::dashboard(&thresholds),
        campaign::dashboard(),
        exporter::dashboard(&thresholds),
        marketing::dashboard(),
    ];
    let files = dashboards.into_iter().map(|dashboard| {
        let path = format!("dashboards/{}.json", dashboard.uid);
        let json = serde_json::to_string_pretty(&dashboard.into_json())?;
        Ok((path, json + "\n"))
    });
    files.collect()
}
