//! Tables with a row for each set of labels, and a column for each label and query. The subject of a row
//! comes first and takes the remaining width, followed by figures and other labels.

use serde_json::{Map, Value, json};

use super::link;
use super::panel::Panel;
use super::query::firing;
use super::thresholds::Levels;

/// Width of a figure in pixels.
const FIGURE: u32 = 115;
/// Minimum width of the subject.
const FIRST: u32 = 160;
/// Minimum width of other columns; Grafana's default is too wide for a table of half the page.
const LEAST: u32 = 50;

/// A column that shows a label.
pub(crate) struct Label {
    name: &'static str,
    title: &'static str,
    links: Vec<Value>,
    wide: Option<u32>,
    hidden: bool,
}

/// A column that shows the result of a query.
pub(crate) struct Figure {
    title: &'static str,
    expression: String,
    unit: &'static str,
    levels: Option<Levels>,
    decimals: Option<u32>,
}

/// A column that shows a label.
pub(crate) const fn label(name: &'static str, title: &'static str) -> Label {
    Label { name, title, links: Vec::new(), wide: None, hidden: false }
}

impl Label {
    /// Adds links to the cells.
    pub(crate) fn links(mut self, links: impl IntoIterator<Item = Value>) -> Self {
        self.links = links.into_iter().collect();
        self
    }

    /// Sets the width in pixels.
    pub(crate) const fn wide(mut self, pixels: u32) -> Self {
        self.wide = Some(pixels);
        self
    }

    /// Hides the column, which links still use.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// A column that shows the result of a query.
pub(crate) fn figure(title: &'static str, unit: &'static str, expression: &str) -> Figure {
    Figure { title, expression: expression.to_owned(), unit, levels: None, decimals: None }
}

impl Figure {
    /// Sets the thresholds.
    pub(crate) const fn levels(mut self, levels: Levels) -> Self {
        self.levels = Some(levels);
        self
    }

    /// Sets the number of decimals.
    pub(crate) const fn decimals(mut self, decimals: u32) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// Returns the title.
    pub(crate) const fn title(&self) -> &'static str {
        self.title
    }

    /// Returns the same column with another query.
    pub(crate) fn of(mut self, expression: &str) -> Self {
        expression.clone_into(&mut self.expression);
        self
    }
}

/// Returns the columns that identify a campaign and link to it.
pub(crate) fn campaign_columns() -> Vec<Label> {
    vec![
        label("campaign_name", "Campaign").links([link::ROW.to_campaign()]),
        label("account", "Account")
            .wide(110)
            .links([link::ROW.to_account(), link::ROW.to_exporter()]),
        label("channel", "Channel").wide(90),
        label("provider", "Provider").hidden(),
        label("job", "Job").hidden(),
        label("instance", "Instance").hidden(),
        label("campaign_id", "Campaign id").hidden(),
    ]
}

/// Returns the columns that identify an account and link to it.
pub(crate) fn account_columns() -> Vec<Label> {
    vec![
        label("account", "Account").links([link::ROW.to_exporter(), link::ROW.to_account()]),
        label("provider", "Provider").wide(130),
        label("instance", "Instance").wide(150),
        label("job", "Job").hidden(),
    ]
}

/// Creates the table of firing alerts that match.
pub(crate) fn firing_alerts(description: &str, matcher: &str) -> Panel {
    let mut columns = vec![
        label("alertname", "Alert"),
        label("severity", "Severity").wide(90),
        label("team", "Team").wide(130),
    ];
    columns.extend(campaign_columns());
    let since = figure("Since", "dateTimeFromNow", &firing(matcher));
    let order = ("Since", true);
    table("Firing alerts", description, columns, vec![since], order)
        .sized(24, 9)
        .no_value("No firing alerts.")
}

/// Creates a table sorted by one of its columns.
pub(crate) fn table(
    title: &'static str,
    description: &str,
    labels: Vec<Label>,
    figures: Vec<Figure>,
    (sorted_by, descending): (&str, bool),
) -> Panel {
    let mut panel = Panel::new("table", title, description, (24, 8)).unit("short");
    // fields with the titles of their columns, in order
    let mut columns: Vec<(String, &str)> = Vec::new();
    let mut named = labels.iter().map(|it| (it.name.to_owned(), it.title));
    columns.extend(named.next());
    for figure in &figures {
        let more = json!({"format": "table", "instant": true, "range": false});
        let letter = panel.target(&figure.expression, &more);
        if letter == 'A' {
            // Grafana's name for it if no other query returns data
            columns.push(("Value".to_owned(), figure.title));
        }
        columns.push((format!("Value #{letter}"), figure.title));
    }
    columns.extend(named);
    let places = (0..).zip(&columns);
    let places: Map<String, Value> =
        places.map(|(place, (field, _))| (field.clone(), json!(place))).collect();
    let titles: Map<String, Value> =
        columns.into_iter().map(|(field, title)| (field, json!(title))).collect();
    panel = panel.transformed(vec![
        json!({"id": "merge", "options": {}}),
        json!({"id": "organize", "options": {
            "excludeByName": {"Time": true},
            "indexByName": places,
            "renameByName": titles,
        }}),
    ]);
    for (place, label) in labels.into_iter().enumerate() {
        let least = if place == 0 { FIRST } else { LEAST };
        let mut properties = vec![absent(), ("custom.minWidth", json!(least))];
        if !label.links.is_empty() {
            properties.push(("links", Value::Array(label.links)));
        }
        if let Some(pixels) = label.wide {
            properties.push(("custom.width", json!(pixels)));
        }
        if label.hidden {
            properties.extend(hide());
        }
        panel = panel.overridden("byName", label.title, &properties);
    }
    for figure in figures {
        let mut properties = vec![
            absent(),
            ("unit", json!(figure.unit)),
            ("custom.minWidth", json!(LEAST)),
            ("custom.width", json!(FIGURE)),
        ];
        if let Some(levels) = figure.levels {
            properties.extend([
                ("thresholds", levels.colors()),
                ("color", json!({"mode": "thresholds"})),
                ("custom.cellOptions", json!({"type": "color-text"})),
                ("mappings", json!([uncolored()])),
            ]);
        }
        if let Some(decimals) = figure.decimals {
            properties.push(("decimals", json!(decimals)));
        }
        panel = panel.overridden("byName", figure.title, &properties);
    }
    panel.options(&json!({
        "showHeader": true,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sorted_by, "desc": descending}],
    }))
}

/// Text of empty cells, which would otherwise show that of an empty table.
fn absent() -> (&'static str, Value) {
    ("noValue", json!("–"))
}

/// Leaves missing values uncolored.
fn uncolored() -> Value {
    let result = json!({"text": "–", "color": "text", "index": 0});
    json!({"type": "special", "options": {"match": "null", "result": result}})
}

/// Hides a column but keeps it for links, in the forms of Grafana 12 and of earlier versions.
fn hide() -> [(&'static str, Value); 2] {
    [
        ("custom.hideFrom", json!({"viz": true, "legend": false, "tooltip": false})),
        ("custom.hidden", json!(true)),
    ]
}
