//! Interpolates dashboard queries like Grafana.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::prometheus::{Prometheus, Span};

// compiling them is slow without optimization
// `$1` belongs to a regular expression of PromQL
static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\$([A-Za-z_]\w*)|\$\{(\w+)\}").unwrap());
static CALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\w+)\(([\s\S]*)\)$").unwrap());
static SPECIAL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[$^*{}\[\]'+?.()|]").unwrap());

/// A shipped dashboard.
pub(crate) struct Dashboard {
    pub(crate) uid: String,
    pub(crate) variables: Vec<Variable>,
    pub(crate) queries: Vec<Query>,
    /// Length of the time range in seconds.
    pub(crate) range: u32,
}

/// A variable.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    kind: Kind,
    is_multi: bool,
    /// Value of All.
    all: Option<String>,
}

#[derive(Clone)]
enum Kind {
    /// Values from a Prometheus query and a regex.
    Query { query: String, regex: Option<Regex> },
    /// Fixed values, and the default.
    Custom { values: Vec<String>, current: String },
}

/// A query.
#[derive(Clone)]
pub(crate) struct Query {
    /// Name of the panel or annotation, and letter of the query.
    pub(crate) title: String,
    pub(crate) expr: String,
    /// Whether it is an instant query.
    pub(crate) is_instant: bool,
}

/// Values of each variable; `None` means All.
pub(crate) type Choice = BTreeMap<String, Option<Vec<String>>>;

impl Dashboard {
    /// Returns all shipped dashboards.
    pub(crate) fn shipped() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
        let entries = fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> Self {
        let json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut queries = Vec::new();
        panels(&json["panels"], &mut queries);
        for annotation in json["annotations"]["list"].as_array().unwrap() {
            if annotation["datasource"]["type"] == "prometheus" {
                queries.push(Query {
                    title: format!("annotation {}", text(&annotation["name"])),
                    expr: text(&annotation["expr"]),
                    is_instant: false,
                });
            }
        }
        let variables = json["templating"]["list"].as_array().unwrap();
        let from = text(&json["time"]["from"]);
        let lasts = from.strip_prefix("now-").unwrap();
        let (number, unit) = lasts.split_at(lasts.len() - 1);
        let unit = match unit {
            "h" => 3_600,
            "d" => 86_400,
            _ => panic!("{from}"),
        };
        Self {
            uid: text(&json["uid"]),
            variables: variables.iter().filter_map(Variable::read).collect(),
            queries,
            range: number.parse::<u32>().unwrap() * unit,
        }
    }

    /// Returns the default values.
    pub(crate) fn all(&self) -> Choice {
        let chosen = self.variables.iter().map(|variable| {
            let value = match &variable.kind {
                Kind::Query { .. } => None,
                Kind::Custom { current, .. } => Some(vec![current.clone()]),
            };
            (variable.name.clone(), value)
        });
        chosen.collect()
    }

    /// Replaces the variables in a text.
    pub(crate) fn fill(&self, text: &str, choice: &Choice) -> String {
        let fill = |found: &Captures<'_>| {
            let name = found.get(1).or(found.get(2)).unwrap().as_str();
            self.value(name, choice)
                .unwrap_or_else(|| panic!("{}: {name} is not a variable: {text}", self.uid))
        };
        VARIABLE.replace_all(text, fill).into_owned()
    }

    fn value(&self, name: &str, choice: &Choice) -> Option<String> {
        let built_in = match name {
            "__range" => format!("{}s", self.range),
            "__range_s" => self.range.to_string(),
            "__range_ms" => format!("{}000", self.range),
            // for a scrape interval of one second
            "__interval" => "1s".to_owned(),
            "__rate_interval" => "4s".to_owned(),
            _ => {
                let mut variables = self.variables.iter();
                let variable = variables.find(|variable| variable.name == name)?;
                return Some(variable.fill(choice.get(name)?.as_deref()));
            }
        };
        Some(built_in)
    }
}

/// Returns the queries of all panels, including those in rows.
fn panels(list: &Value, queries: &mut Vec<Query>) {
    for panel in list.as_array().into_iter().flatten() {
        panels(&panel["panels"], queries);
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                title: format!("{} {}", text(&panel["title"]), text(&target["refId"])),
                expr: text(&target["expr"]),
                is_instant: target["instant"] == true,
            });
        }
    }
}

impl Variable {
    /// `None` for the data source, since there is only one.
    fn read(json: &Value) -> Option<Self> {
        let kind = match json["type"].as_str().unwrap() {
            "datasource" => return None,
            "query" => {
                let regex = text(&json["regex"]);
                let regex = regex.strip_prefix('/').and_then(|regex| regex.strip_suffix('/'));
                Kind::Query {
                    query: text(&json["query"]["query"]),
                    regex: regex.map(|regex| Regex::new(regex).unwrap()),
                }
            }
            "custom" => Kind::Custom {
                // a value may have a text before it
                values: text(&json["query"])
                    .split(',')
                    .map(|option| option.rsplit(" : ").next().unwrap().trim().to_owned())
                    .collect(),
                current: text(&json["current"]["value"]),
            },
            other => panic!("a variable of type {other}"),
        };
        Some(Self {
            name: text(&json["name"]),
            kind,
            is_multi: json["multi"] == true || json["includeAll"] == true,
            all: json["allValue"].as_str().map(str::to_owned),
        })
    }

    /// Whether the variable has All.
    pub(crate) fn has_all(&self) -> bool {
        self.all.is_some()
    }

    /// Whether several values can be chosen.
    pub(crate) fn is_multi(&self) -> bool {
        self.is_multi
    }

    /// Returns the possible values, given those of the previous variables.
    pub(crate) async fn values(
        &self,
        dashboard: &Dashboard,
        choice: &Choice,
        prometheus: &Prometheus,
    ) -> Vec<String> {
        let (query, regex) = match &self.kind {
            Kind::Custom { values, .. } => return values.clone(),
            Kind::Query { query, regex } => (dashboard.fill(query, choice), regex),
        };
        let call = CALL.captures(&query).unwrap();
        let texts = match &call[1] {
            "label_values" => {
                let (series, label) = call[2].rsplit_once(", ").unwrap();
                let path = format!("label/{label}/values");
                let values = prometheus.api(&path, &[("match[]", series)]).await;
                serde_json::from_value(values).unwrap()
            }
            "query_result" => {
                let found = prometheus.query(&call[2]).await.into_iter();
                let texts = found.map(|(labels, value)| {
                    let labels = labels.iter();
                    let labels = labels.map(|(name, value)| format!("{name}=\"{value}\""));
                    let labels = labels.collect::<Vec<_>>().join(",");
                    format!("{{{labels}}} {value} 1795000000000")
                });
                texts.collect::<Vec<_>>()
            }
            other => panic!("{other} is asked for by {query}"),
        };
        let Some(regex) = regex else { return texts };
        let values = texts.iter().map(|text| {
            let found = regex.captures(text);
            let found = found.unwrap_or_else(|| panic!("{regex} does not match {text:?}"));
            assert!(!found["text"].is_empty());
            found["value"].to_owned()
        });
        values.collect()
    }

    /// Formats values like Grafana's Prometheus data source.
    fn fill(&self, chosen: Option<&[String]>) -> String {
        let Some(chosen) = chosen else {
            return self.all.clone().unwrap();
        };
        if !self.is_multi {
            return chosen.concat().replace('\\', r"\\").replace('\'', r"\\'");
        }
        // escaped for a regex in a quoted string
        let escaped = chosen.iter().map(|value| {
            let value = value.replace('\\', r"\\\\");
            SPECIAL.replace_all(&value, r"\\$0").into_owned()
        });
        match escaped.collect::<Vec<_>>().as_slice() {
            [one] => one.clone(),
            several => format!("({})", several.join("|")),
        }
    }
}

impl Query {
    /// Location of the query.
    pub(crate) fn name(&self, dashboard: &Dashboard) -> String {
        format!("{}: {}", dashboard.uid, self.title)
    }

    /// Runs the query with these values of the variables; returns the values of every series.
    pub(crate) async fn ask(
        &self,
        dashboard: &Dashboard,
        choice: &Choice,
        prometheus: &Prometheus,
    ) -> Result<Vec<f64>, String> {
        let expr = dashboard.fill(&self.expr, choice);
        let span = if self.is_instant { Span::Now } else { Span::LastMinute };
        let asked = prometheus.values(&expr, span).await;
        asked.map_err(|error| format!("{error}: {expr}"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
