//! A dashboard: rows of panels, which take the next free place.

use serde_json::{Value, json};

use super::link;
use super::panel::{Panel, text};

/// The width of Grafana's grid.
const COLUMNS: u32 = 24;

/// A dashboard.
pub(crate) struct Dashboard {
    /// Its address, and the name of its file.
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// How far back it looks when it is opened.
    pub(crate) from: &'static str,
    pub(crate) variables: Vec<Value>,
    pub(crate) annotations: Vec<Value>,
    pub(crate) rows: Vec<Row>,
}

/// Panels under a title.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) panels: Vec<Panel>,
}

/// Panels under a title.
pub(crate) fn row(title: &'static str, panels: impl IntoIterator<Item = Panel>) -> Row {
    Row {
        title,
        panels: panels.into_iter().collect(),
    }
}

/// What a dashboard is for, in Markdown, at its top.
pub(crate) fn purpose(markdown: &str) -> Row {
    row(
        "Purpose",
        [text(
            "About this dashboard",
            "What this dashboard shows.",
            markdown,
        )],
    )
}

impl Dashboard {
    /// As Grafana reads it.
    pub(crate) fn into_json(self) -> Value {
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
            "links": [link::dropdown()],
            "annotations": {"list": self.annotations},
            "templating": {"list": self.variables},
            "panels": place(self.rows),
        })
    }
}

/// Gives each panel its id and its place: beside the one before, or below where there is no room.
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
