//! Kinds of panels.

use serde_json::{Value, json};

use super::color;
use super::thresholds::Levels;
use super::variable;

/// A panel without a position.
pub(crate) struct Panel {
    kind: &'static str,
    title: &'static str,
    description: String,
    size: (u32, u32),
    targets: Vec<Value>,
    instant: bool,
    defaults: Value,
    overrides: Vec<Value>,
    options: Value,
    transformations: Vec<Value>,
    interval: Option<&'static str>,
    is_coarse: bool,
    last: Option<&'static str>,
}

/// Creates a panel with a single current value. It has no sparkline: a range query is aligned to its
/// step, so the value would lag by up to one step.
pub(crate) fn stat(title: &'static str, description: &str) -> Panel {
    let mut panel = Panel::new("stat", title, description, (4, 4));
    panel.instant = true;
    panel.options = json!({
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        "orientation": "auto",
        "textMode": "auto",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "center",
        "text": {"valueSize": 32},
        "wideLayout": false,
        "showPercentChange": false,
        "percentChangeColorMode": "standard",
    });
    panel.set("color", json!({"mode": "thresholds"}));
    panel
}

/// Creates a time series panel.
pub(crate) fn timeseries(title: &'static str, description: &str) -> Panel {
    let mut panel = Panel::new("timeseries", title, description, (12, 11));
    panel.options = json!({
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": true,
            "calcs": ["lastNotNull", "min", "max"],
            // in the order of the lines at their right ends, so that colors need not be told apart
            "sortBy": "Last *",
            "sortDesc": true,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    });
    // the color of a name is the same in every panel
    panel.set("color", json!({"mode": "palette-classic-by-name"}));
    panel.set(
        "custom",
        json!({
            "drawStyle": "line",
            "lineInterpolation": "linear",
            "lineWidth": 2,
            "fillOpacity": 0,
            "showPoints": "auto",
            "pointSize": 4,
            "spanNulls": false,
            "stacking": {"mode": "none"},
            "thresholdsStyle": {"mode": "off"},
        }),
    );
    panel
}

/// Creates a bar gauge of current values.
pub(crate) fn bargauge(title: &'static str, description: &str) -> Panel {
    let mut panel = Panel::new("bargauge", title, description, (12, 8));
    panel.instant = true;
    panel.options = json!({
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "namePlacement": "left",
        "showUnfilled": true,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 40,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []},
        "text": {"titleSize": 13, "valueSize": 16},
    });
    panel.set("color", json!({"mode": "thresholds"}));
    panel
}

/// Creates a Markdown panel.
pub(crate) fn text(title: &'static str, description: &str, markdown: &str) -> Panel {
    let mut panel = Panel::new("text", title, description, (24, 4));
    panel.options = json!({"mode": "markdown", "content": markdown});
    panel
}

/// Creates a state timeline. `states` are names and colors for the values from 1 on.
pub(crate) fn state_timeline(
    title: &'static str,
    description: &str,
    states: &[(&str, &str)],
) -> Panel {
    let mut panel = Panel::new("state-timeline", title, description, (24, 9));
    let names: Vec<_> =
        (1..).zip(states).map(|(value, (text, color))| (value, *text, *color)).collect();
    panel.set("mappings", words_for(&names));
    panel.set("custom", json!({"lineWidth": 0, "fillOpacity": 70}));
    panel.options = json!({
        "showValue": "auto",
        "rowHeight": 0.9,
        "mergeValues": true,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    });
    panel
}

/// Creates a heatmap of a histogram over time. The unit applies to the buckets.
pub(crate) fn heatmap(title: &'static str, description: &str, unit: &str) -> Panel {
    let mut panel = Panel::new("heatmap", title, description, (12, 11));
    panel.options = json!({
        "calculate": false,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "steps": 64,
            "exponent": 0.5,
            "fill": "dark-orange",
            "reverse": false,
        },
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "legend": {"show": true},
        "tooltip": {"mode": "single", "yHistogram": false},
        "rowsFrame": {"layout": "auto"},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "showValue": "never",
    });
    panel
}

impl Panel {
    /// Creates a panel of any kind.
    pub(crate) fn new(
        kind: &'static str,
        title: &'static str,
        description: &str,
        size: (u32, u32),
    ) -> Self {
        Self {
            kind,
            title,
            description: description.to_owned(),
            size,
            targets: Vec::new(),
            instant: false,
            defaults: json!({}),
            overrides: Vec::new(),
            options: json!({}),
            transformations: Vec::new(),
            interval: None,
            is_coarse: kind == "state-timeline",
            last: None,
        }
    }

    /// Returns width and height.
    pub(crate) const fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Sets width and height.
    pub(crate) const fn sized(mut self, wide: u32, high: u32) -> Self {
        self.size = (wide, high);
        self
    }

    /// Makes the panel a third of a row wide, with a short legend.
    pub(crate) fn third(self) -> Self {
        let list = json!({"legend": {"displayMode": "list", "calcs": []}});
        self.sized(8, 8).options(&list)
    }

    /// Puts the legend beside the graph, where it has room for more series.
    pub(crate) fn legend_beside(self) -> Self {
        self.options(&json!({"legend": {"placement": "right"}}))
    }

    /// Limits the points of a graph, each of which evaluates all campaigns, possibly ten thousand.
    pub(crate) const fn coarse(mut self) -> Self {
        self.is_coarse = true;
        self
    }

    /// Sets a minimum step of a few polls, so that rates cover several of them.
    pub(crate) const fn over_polls(mut self) -> Self {
        self.interval = Some("15m");
        self
    }

    /// Adds a query with a legend.
    pub(crate) fn query(mut self, expression: &str, legend: &str) -> Self {
        let more = json!({"legendFormat": legend, "range": !self.instant, "instant": self.instant});
        self.target(expression, &more);
        self
    }

    /// Adds a query for the buckets of a histogram.
    pub(crate) fn buckets(mut self, expression: &str) -> Self {
        let more =
            json!({"legendFormat": "{{le}}", "range": true, "instant": false, "format": "heatmap"});
        self.target(expression, &more);
        self
    }

    /// Adds a query, and returns its letter.
    pub(crate) fn target(&mut self, expression: &str, more: &Value) -> char {
        let letter = (b'A'..=b'Z').nth(self.targets.len()).map_or('Z', char::from);
        let mut target = json!({
            "datasource": variable::source(),
            "editorMode": "code",
            "expr": expression,
            "refId": letter.to_string(),
        });
        merge(&mut target, more);
        self.targets.push(target);
        letter
    }

    /// Adds queries with their own titles, units, and decimals.
    pub(crate) fn results<const N: usize>(
        self,
        results: [(&str, &str, Option<u32>, String); N],
    ) -> Self {
        results.into_iter().fold(self, |panel, (name, unit, decimals, expression)| {
            let mut properties = vec![("unit", json!(unit))];
            properties.extend(decimals.map(|decimals| ("decimals", json!(decimals))));
            panel.query(&expression, name).overridden("byName", name, &properties)
        })
    }

    /// Sets the unit.
    pub(crate) fn unit(mut self, unit: &str) -> Self {
        self.set("unit", unit);
        self
    }

    /// Sets the number of decimals.
    pub(crate) fn decimals(mut self, decimals: u32) -> Self {
        self.set("decimals", decimals);
        self
    }

    /// Sets the minimum and maximum.
    pub(crate) fn range(mut self, min: f64, max: f64) -> Self {
        self.set("min", min);
        self.set("max", max);
        self
    }

    /// Sets the minimum to zero.
    pub(crate) fn above_zero(mut self) -> Self {
        self.set("min", 0);
        self
    }

    /// Sets the range of the axis, which values may exceed.
    pub(crate) fn soft_range(mut self, min: f64, max: f64) -> Self {
        self.custom(&json!({"axisSoftMin": min, "axisSoftMax": max}));
        self
    }

    /// Sets the thresholds, shown as colors.
    pub(crate) fn levels(mut self, levels: Levels) -> Self {
        self.set("thresholds", levels.colors());
        self
    }

    /// Uses a single color, for values without thresholds.
    pub(crate) fn neutral(mut self) -> Self {
        self.set("color", json!({"mode": "fixed", "fixedColor": color::PLAIN}));
        self
    }

    /// Colors cells from low to high.
    pub(crate) fn scale(mut self) -> Self {
        self.set("color", json!({"mode": "continuous-blues"}));
        self.custom(&json!({"cellOptions": {"type": "color-background", "mode": "basic"}}));
        self
    }

    /// Shows words in place of values.
    pub(crate) fn words(mut self, words: &[(i32, &str, &str)]) -> Self {
        self.set("mappings", words_for(words));
        self
    }

    /// Sets the text shown without data.
    pub(crate) fn no_value(mut self, text: &str) -> Self {
        self.set("noValue", text);
        self
    }

    /// Draws all queries but the first for comparison: dashed, and in the color of the series with the same
    /// name.
    pub(crate) fn compared(self) -> Self {
        let letters = ('B'..='Z').take(self.targets.len().saturating_sub(1));
        letters.fold(self, |panel, letter| {
            panel.overridden("byFrameRefID", &letter.to_string(), &dashes())
        })
    }

    /// Draws series whose names match as thin dashed lines, for comparison.
    pub(crate) fn dashed(self, names: &str) -> Self {
        self.overridden("byRegexp", names, &dashes())
    }

    /// Draws series whose names match in a color.
    pub(crate) fn colored(self, names: &str, color: &str) -> Self {
        let color = json!({"mode": "fixed", "fixedColor": color});
        self.overridden("byRegexp", names, &[("color", color)])
    }

    /// Adds data links.
    pub(crate) fn links(mut self, links: impl IntoIterator<Item = Value>) -> Self {
        self.set("links", links.into_iter().collect::<Value>());
        self
    }

    /// Adds a field override.
    pub(crate) fn overridden(
        mut self,
        matcher: &str,
        fields: &str,
        properties: &[(&str, Value)],
    ) -> Self {
        let properties = properties.iter().filter(|(_, value)| !value.is_null());
        let properties: Vec<Value> =
            properties.map(|(id, value)| json!({"id": id, "value": value})).collect();
        self.overrides.push(json!({
            "matcher": {"id": matcher, "options": fields},
            "properties": properties,
        }));
        self
    }

    /// Overrides panel options.
    pub(crate) fn options(mut self, options: &Value) -> Self {
        merge(&mut self.options, options);
        self
    }

    /// Sets the transformations.
    pub(crate) fn transformed(mut self, transformations: Vec<Value>) -> Self {
        self.transformations = transformations;
        self
    }

    /// Orders the rows of a table by a label that is not shown.
    pub(crate) fn ordered(mut self, label: &str) -> Self {
        if let Some(organize) = self.transformations.last_mut() {
            merge(organize, &json!({"options": {"excludeByName": {label: true}}}));
        }
        let last = self.transformations.len().saturating_sub(1);
        let sort = json!({"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label}]}});
        self.transformations.insert(last, sort);
        self
    }

    /// Adds a column to a table: one column compared with another. The columns have the names of their
    /// queries, since titles come last.
    pub(crate) fn calculated(
        mut self,
        title: &str,
        (left, operator, right): (&str, &str, &str),
        properties: &[(&str, Value)],
    ) -> Self {
        let last = self.transformations.len().saturating_sub(1);
        let calculation = json!({"id": "calculateField", "options": {
            "mode": "binary",
            "alias": title,
            "binary": {"left": left, "operator": operator, "right": right},
            "replaceFields": false,
        }});
        self.transformations.insert(last, calculation);
        self.overridden("byName", title, properties)
    }

    fn custom(&mut self, custom: &Value) {
        merge(&mut self.defaults, &json!({"custom": custom}));
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        merge(&mut self.defaults, &json!({key: value.into()}));
    }

    /// Shows this time until now, whatever the time range of the dashboard.
    pub(crate) const fn of_last(mut self, time: &'static str) -> Self {
        self.last = Some(time);
        self
    }

    /// Returns the JSON model for Grafana.
    pub(crate) fn into_json(self, id: u32, x: u32, y: u32) -> Value {
        let mut json = json!({
            "id": id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "gridPos": {"x": x, "y": y, "w": self.size.0, "h": self.size.1},
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": self.overrides},
        });
        if !self.targets.is_empty() {
            merge(&mut json, &json!({"datasource": variable::source(), "targets": self.targets}));
        }
        if !self.transformations.is_empty() {
            merge(&mut json, &json!({"transformations": self.transformations}));
        }
        if let Some(interval) = self.interval {
            merge(&mut json, &json!({"interval": interval}));
        }
        if self.is_coarse {
            merge(&mut json, &json!({"maxDataPoints": 80}));
        }
        if let Some(last) = self.last {
            merge(&mut json, &json!({"timeFrom": last}));
        }
        json
    }
}

/// A thin dashed line, which the title explains: the legend has its solid line only.
fn dashes() -> [(&'static str, Value); 4] {
    [
        ("custom.lineStyle", json!({"fill": "dash", "dash": [8, 8]})),
        ("custom.lineWidth", json!(1)),
        ("custom.showPoints", json!("never")),
        ("custom.hideFrom", json!({"viz": false, "legend": true, "tooltip": false})),
    ]
}

/// Value mappings from values to words with colors.
pub(crate) fn words_for(words: &[(i32, &str, &str)]) -> Value {
    let words = (0..).zip(words).map(|(index, (value, text, color))| {
        (value.to_string(), json!({"text": text, "color": color, "index": index}))
    });
    let words: serde_json::Map<String, Value> = words.collect();
    json!([{"type": "value", "options": words}])
}

/// A value mapping from negative values to a word.
pub(crate) fn below_zero(text: &str, color: &str) -> Value {
    let result = json!({"text": text, "color": color, "index": 0});
    json!({"type": "range", "options": {"from": null, "to": -1e-9, "result": result}})
}

/// Merges an object into another, recursively.
pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
