//! Tables with a row for each set of labels, and a column for each label and query. The subject of a row
//! comes first and takes the remaining width, followed by figures and other labels.

use serde_json::{Map, Value, json};

use super::color;
use super::link;
use super::panel::{Panel, below_zero, words_for};
use super::query::firing;
use super::thresholds::Levels;

/// Unit of counts: whole numbers. Shortened ones have "Mil" as a unit.
pub(crate) const COUNT: &str = "locale";
/// Text of empty cells, which would otherwise show that of an empty table. Where a cell is empty for another
/// reason, it has another text.
const NOT_REPORTED: &str = "–";
/// Width of a figure in pixels.
const FIGURE: u32 = 115;
/// Minimum width of a bar with its value.
const BAR: u32 = 100;
/// Minimum width of the name of a campaign: most fit on two lines.
const NAME: u32 = 190;
/// Minimum width of the name of an alert.
const ALERT: u32 = 140;
/// Minimum width of another subject: a name such as that of a rate fits on a line.
const FIRST: u32 = 120;
/// Minimum width of other columns; Grafana's default is too wide for a table of half the page.
const LEAST: u32 = 50;

/// A column that shows a label.
pub(crate) struct Label {
    name: &'static str,
    title: &'static str,
    links: Vec<Value>,
    wide: Option<u32>,
    hidden: bool,
    absent: &'static str,
    words: Map<String, Value>,
}

/// A column that shows the result of a query.
pub(crate) struct Figure {
    title: &'static str,
    expression: String,
    unit: &'static str,
    properties: Vec<(&'static str, Value)>,
}

/// A column that shows a label.
pub(crate) fn label(name: &'static str, title: &'static str) -> Label {
    Label {
        name,
        title,
        links: Vec::new(),
        wide: None,
        hidden: false,
        absent: NOT_REPORTED,
        words: Map::new(),
    }
}

impl Label {
    /// Adds links to the cells.
    pub(crate) fn links(mut self, links: impl IntoIterator<Item = Value>) -> Self {
        self.links = links.into_iter().collect();
        self
    }

    /// Sets the width in pixels.
    pub(crate) fn wide(mut self, pixels: u32) -> Self {
        self.wide = Some(pixels);
        self
    }

    /// Shows words in place of values.
    pub(crate) fn words(mut self, words: &[(String, Value)]) -> Self {
        self.words = words.iter().cloned().collect();
        self
    }

    /// Sets the text of empty cells.
    pub(crate) fn absent(mut self, text: &'static str) -> Self {
        self.absent = text;
        self
    }

    /// Whether it shows this label.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Hides the column, which links still use.
    pub(crate) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// Shows words in a color in place of the value of a label.
pub(crate) fn words(value: &str, text: &str, color: &str) -> (String, Value) {
    (value.to_owned(), json!({"text": text, "color": color}))
}

/// The alerts in words: the parts of their names.
fn alert_words() -> Vec<(String, Value)> {
    let rules = [
        include_str!("../../../../alerts/campaigns.yml"),
        include_str!("../../../../alerts/exporter.yml"),
    ];
    let lines = rules.into_iter().flat_map(str::lines);
    let names = lines.filter_map(|line| line.trim().strip_prefix("- alert: Campaign"));
    let texts = names.map(|name| {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push(' ');
                text.push(letter.to_ascii_lowercase());
            } else {
                text.push(letter);
            }
        }
        (format!("Campaign{name}"), json!({"text": text}))
    });
    texts.collect()
}

/// A column that shows the result of a query.
pub(crate) fn figure(title: &'static str, unit: &'static str, expression: &str) -> Figure {
    Figure { title, expression: expression.to_owned(), unit, properties: Vec::new() }
}

impl Figure {
    fn with(mut self, properties: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        self.properties.extend(properties);
        self
    }

    /// Sets the thresholds.
    pub(crate) fn levels(self, levels: Levels) -> Self {
        self.with([
            ("thresholds", levels.colors()),
            ("color", json!({"mode": "thresholds"})),
            ("custom.cellOptions", json!({"type": "color-text"})),
            ("mappings", json!([uncolored()])),
        ])
    }

    /// Sets the number of decimals.
    pub(crate) fn decimals(self, decimals: u32) -> Self {
        self.with([("decimals", json!(decimals))])
    }

    /// Sets the width in pixels.
    pub(crate) fn wide(self, pixels: u32) -> Self {
        self.with([("custom.width", json!(pixels))])
    }

    /// Takes a share of the width that is left.
    pub(crate) fn stretched(self) -> Self {
        self.with([("custom.width", Value::Null)])
    }

    /// Sets the text of empty cells.
    pub(crate) fn absent(self, text: &str) -> Self {
        self.with([("noValue", json!(text))])
    }

    /// Draws a bar behind the value.
    pub(crate) fn bar(self) -> Self {
        self.with([
            (
                "custom.cellOptions",
                json!({"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}),
            ),
            ("color", json!({"mode": "fixed", "fixedColor": color::PLAIN})),
            ("min", json!(0)),
            ("max", json!(1)),
            ("custom.minWidth", json!(BAR)),
        ])
    }

    /// Shows words in place of values.
    pub(crate) fn words(self, words: &[(i32, &str, &str)]) -> Self {
        self.with([
            ("mappings", words_for(words)),
            ("custom.cellOptions", json!({"type": "color-text"})),
            // of values without words
            ("color", json!({"mode": "fixed", "fixedColor": "text"})),
        ])
    }

    /// Shows words in place of negative values.
    pub(crate) fn below_zero(self, text: &str) -> Self {
        self.with([
            ("mappings", json!([below_zero(text, color::UNKNOWN)])),
            ("custom.cellOptions", json!({"type": "color-text"})),
            ("color", json!({"mode": "fixed", "fixedColor": "text"})),
        ])
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
        label("campaign_id", "Campaign id").hidden(),
    ]
}

/// Returns the columns that identify an account and link to it.
pub(crate) fn account_columns() -> Vec<Label> {
    vec![
        label("account", "Account").links([link::ROW.to_exporter(), link::ROW.to_account()]),
        label("provider", "Provider").wide(130),
    ]
}

/// Creates the table of firing alerts that match.
pub(crate) fn firing_alerts(description: &str, matcher: &str) -> Panel {
    let mut columns = vec![
        label("alertname", "Alert").words(&alert_words()),
        label("severity", "Severity").wide(90).words(&[
            words("critical", "✖ act now", color::CRITICAL),
            words("warning", "⚠ look", color::WARNING),
        ]),
    ];
    columns.extend(campaign_columns().into_iter().map(|column| match column.name {
        "campaign_name" => column.absent("no single campaign"),
        "account" => column.absent("no single account"),
        "channel" => column.absent("no single one"),
        _ => column,
    }));
    let since = figure("Since", "dateTimeFromNow", &firing(matcher)).wide(110);
    table("Firing alerts", description, columns, vec![since], ("Since", true))
        .options(&json!({"sortBy": [
            // critical comes before warning
            {"displayName": "Severity", "desc": false},
            {"displayName": "Since", "desc": true},
        ]}))
        .sized(24, 9)
        .no_value("No firing alerts.")
}

/// Creates a table sorted by one of its columns, or in the order of the first query if that is empty.
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
    let shown: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
    let unwanted = ["Time", "job", "instance", "team"].into_iter();
    let unwanted = unwanted.filter(|name| !shown.contains(name));
    let hidden: Map<String, Value> = unwanted.map(|name| (name.to_owned(), json!(true))).collect();
    let places = (0..).zip(&columns);
    let places: Map<String, Value> =
        places.map(|(place, (field, _))| (field.clone(), json!(place))).collect();
    let titles: Map<String, Value> =
        columns.into_iter().map(|(field, title)| (field, json!(title))).collect();
    panel = panel.transformed(vec![
        json!({"id": "merge", "options": {}}),
        json!({"id": "organize", "options": {
            "excludeByName": hidden,
            "indexByName": places,
            "renameByName": titles,
        }}),
    ]);
    for (place, label) in labels.into_iter().enumerate() {
        let least = match label.name {
            "campaign_name" => NAME,
            "alertname" => ALERT,
            _ if place == 0 => FIRST,
            _ => LEAST,
        };
        let mut properties =
            vec![("noValue", json!(label.absent)), ("custom.minWidth", json!(least))];
        properties.extend(whole());
        // Grafana takes a phone number for a number
        properties.push(("unit", json!("string")));
        if !label.links.is_empty() {
            properties.push(("links", Value::Array(label.links)));
        }
        if let Some(pixels) = label.wide {
            properties.push(("custom.width", json!(pixels)));
        }
        if label.hidden {
            properties.extend(hide());
        }
        if !label.words.is_empty() {
            properties.push(("mappings", json!([{"type": "value", "options": label.words}])));
            if place > 0 {
                properties.push(("custom.cellOptions", json!({"type": "color-text"})));
            }
        }
        panel = panel.overridden("byName", label.title, &properties);
    }
    for figure in figures {
        let mut properties = vec![
            ("noValue", json!(NOT_REPORTED)),
            ("unit", json!(figure.unit)),
            ("custom.minWidth", json!(LEAST)),
            ("custom.width", json!(FIGURE)),
        ];
        // later ones replace earlier ones
        properties.retain(|(id, _)| figure.properties.iter().all(|(own, _)| own != id));
        properties.extend(figure.properties);
        panel = panel.overridden("byName", figure.title, &properties);
    }
    panel.options(&json!({
        "showHeader": true,
        "cellHeight": "sm",
        "sortBy": if sorted_by.is_empty() { json!([]) } else { json!([{"displayName": sorted_by, "desc": descending}]) },
    }))
}

/// Wraps long names instead of cutting them; earlier versions of Grafana show them whole in a window.
fn whole() -> [(&'static str, Value); 2] {
    [("custom.wrapText", json!(true)), ("custom.inspect", json!(true))]
}

/// Leaves missing values uncolored.
fn uncolored() -> Value {
    let result = json!({"text": NOT_REPORTED, "color": "text", "index": 0});
    json!({"type": "special", "options": {"match": "null", "result": result}})
}

/// Hides a column but keeps it for links, in the forms of Grafana 12 and of earlier versions.
fn hide() -> [(&'static str, Value); 2] {
    [
        ("custom.hideFrom", json!({"viz": true, "legend": false, "tooltip": false})),
        ("custom.hidden", json!(true)),
    ]
}
