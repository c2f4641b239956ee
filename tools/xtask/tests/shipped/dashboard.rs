//! Reads dashboards, and replaces their variables.

use promql_parser::parser::Expr;
use serde::Deserialize;
use serde_json::Value;

use crate::expression::{self, RATE_INTERVAL};
use crate::rules;

/// File names.
pub(crate) const FILES: [&str; 4] = [
    "campaigns-campaign.json",
    "campaigns-exporter.json",
    "campaigns-marketing.json",
    "campaigns-overview.json",
];

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Dashboard {
    pub(crate) uid: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) editable: Option<bool>,
    pub(crate) annotations: List<Annotation>,
    pub(crate) templating: List<Variable>,
    pub(crate) panels: Vec<Panel>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) list: Vec<T>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Annotation {
    pub(crate) name: String,
    pub(crate) expr: Option<String>,
    #[serde(default)]
    pub(crate) title_format: String,
    #[serde(default)]
    pub(crate) text_format: String,
    #[serde(default)]
    pub(crate) tag_keys: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variable {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) label: String,
    #[serde(default)]
    pub(crate) query: Value,
    pub(crate) datasource: Option<Source>,
    #[serde(default)]
    pub(crate) multi: bool,
    #[serde(default)]
    pub(crate) all_value: String,
    #[serde(default)]
    pub(crate) refresh: u8,
    #[serde(default)]
    pub(crate) current: Value,
}

impl Variable {
    /// Query of a variable, `label_values(…)` or `query_result(…)`.
    pub(crate) fn asks(&self) -> &str {
        self.query["query"].as_str().or(self.query.as_str()).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) uid: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) w: u32,
    pub(crate) h: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Panel {
    pub(crate) id: u32,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) datasource: Option<Source>,
    pub(crate) grid_pos: Place,
    #[serde(default)]
    pub(crate) targets: Vec<Target>,
    #[serde(default)]
    pub(crate) field_config: FieldConfig,
    #[serde(default)]
    pub(crate) options: Value,
    #[serde(default)]
    pub(crate) transformations: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct FieldConfig {
    #[serde(default)]
    pub(crate) defaults: Value,
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Override {
    pub(crate) matcher: Value,
    pub(crate) properties: Vec<Property>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Property {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) value: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    pub(crate) expr: String,
    pub(crate) ref_id: String,
    #[serde(default)]
    pub(crate) legend_format: String,
}

impl Dashboard {
    /// Returns the shipped dashboards.
    pub(crate) fn all() -> Vec<Self> {
        FILES.iter().map(|name| Self::read(&file(name))).collect()
    }

    /// Parses JSON.
    pub(crate) fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap()
    }

    /// Replaces everything that is not `PromQL` in a query. Variables in quotes stay, since they are
    /// matcher values.
    pub(crate) fn substituted(&self, expr: &str) -> String {
        let mut expr = expr
            .replace("$__rate_interval", RATE_INTERVAL)
            .replace("$__range_s", "86400")
            .replace("$__range", "1d");
        for variable in &self.templating.list {
            if variable.kind == "custom" {
                let value = variable.current["value"].as_str().unwrap_or_default();
                expr = expr.replace(&format!("${{{}}}", variable.name), value);
                expr = expr.replace(&format!("${}", variable.name), value);
            }
        }
        expr
    }

    /// Returns the parsed query.
    pub(crate) fn parse(&self, expr: &str) -> Result<Expr, String> {
        expression::parse(&self.substituted(expr))
    }

    /// Returns the panels with queries, without rows and texts.
    pub(crate) fn asking(&self) -> impl Iterator<Item = &Panel> {
        self.panels.iter().filter(|panel| !["row", "text"].contains(&panel.kind.as_str()))
    }

    /// Returns every query with the title of its panel.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&Panel, &Target)> {
        let panels = self.panels.iter();
        panels.flat_map(|panel| panel.targets.iter().map(move |target| (panel, target)))
    }
}

/// Returns the contents of a file.
pub(crate) fn file(name: &str) -> String {
    rules::text(&format!("dashboards/{name}"))
}
