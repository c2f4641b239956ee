//! A dashboard: rows of panels, each placed in the next free position.

use serde_json::{Value, json};

use super::link;
use super::panel::{Panel, text};

/// The width of Grafana's grid.
const COLUMNS: u32 = 24;

/// A dashboard.
pub(crate) struct Dashboard {
    /// UID, and name of its file.
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Start of the default time range.
    pub(crate) from: &'static str,
    /// Other time ranges that the top links to, with titles.
    pub(crate) ranges: &'static [(&'static str, &'static str, &'static str)],
    pub(crate) variables: Vec<Value>,
    pub(crate) annotations: Vec<Value>,
    pub(crate) rows: Vec<Row>,
}

/// A titled row of panels.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// Creates a titled row of panels.
pub(crate) fn row(title: &'static str, panels: impl IntoIterator<Item = Panel>) -> Row {
    Row { title, panels: panels.into_iter().collect() }
}

/// Creates the row at the top that explains the dashboard, in Markdown.
pub(crate) fn purpose(markdown: &str) -> Row {
    row("Purpose", [text("About this dashboard", "Explains this dashboard.", markdown)])
}

impl Dashboard {
    /// Returns the JSON model for Grafana.
    pub(crate) fn into_json(self) -> Value {
        let mut links = vec![link::dropdown()];
        links.extend(self.ranges.iter().map(|range| link::time(self.uid, *range)));
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [link::TAG],
            "schemaVersion": 41,
            "version": 1,
            "editable": false,
            "graphTooltip": 1,
            "timezone": "browser",
            "weekStart": "",
            "fiscalYearStartMonth": 0,
            "preload": false,
            // providers are read every few minutes
            "refresh": "1m",
            "time": {"from": self.from, "to": "now"},
            "timepicker": {},
            "links": links,
            "annotations": {"list": self.annotations},
            "templating": {"list": self.variables},
            "panels": place(self.rows),
        })
    }
}

/// Assigns ids and positions: next to the previous panel, or below if there is no room.
fn place(rows: Vec<Row>) -> Vec<Value> {
    let mut placed = Vec::new();
    let mut id = 0;
    let mut next_id = || {
        id += 1;
        id
    };
    let mut top = 0;
    for row in rows {
        placed.push(json!({
            "id": next_id(),
            "type": "row",
            "title": row.title,
            "collapsed": false,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }));
        top += 1;
        let (mut left, mut height) = (0, 0);
        for panel in row.panels {
            let (wide, high) = panel.size();
            if left + wide > COLUMNS {
                top += height;
                (left, height) = (0, 0);
            }
            placed.push(panel.into_json(next_id(), left, top));
            left += wide;
            height = height.max(high);
        }
        top += height;
    }
    placed
}
