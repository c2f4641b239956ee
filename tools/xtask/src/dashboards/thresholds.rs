//! Thresholds of the alerts, so that panels turn red when alerts fire.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::color;

/// Thresholds of `alerts/thresholds.yml`, under the same names.
#[derive(Debug, Deserialize)]
pub(crate) struct Thresholds {
    pub(crate) stale_intervals_warning: f64,
    pub(crate) stale_intervals_critical: f64,
    pub(crate) failed_polls_ratio: f64,
    pub(crate) renewed_token_seconds: f64,
    pub(crate) requests_left_ratio: f64,
    pub(crate) credits_days: f64,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Thresholds {
    /// Reads the rules, each of which sets a threshold for every account.
    pub(crate) fn read(yaml: &str) -> anyhow::Result<Self> {
        let file: RuleFile = serde_saphyr::from_str(yaml)?;
        let mut numbers = Map::new();
        for rule in file.groups.into_iter().flat_map(|group| group.rules) {
            let Some(name) = rule.labels.get("threshold") else {
                continue;
            };
            // of a threshold by channel, the number of most channels comes first
            let number = rule.expr.split_whitespace().next().unwrap_or_default();
            let number: f64 = number
                .parse()
                .with_context(|| format!("threshold {name} is not a number: {number:?}"))?;
            numbers.insert(name.clone(), json!(number));
        }
        Ok(serde_json::from_value(Value::Object(numbers))?)
    }
}

/// Range of bad values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Levels {
    /// Lower is worse.
    BelowWarning(f64),
    /// Higher is worse.
    Above { warning: f64, critical: f64 },
    /// Higher is worse.
    AboveWarning(f64),
    /// Anything below is bad.
    AtLeast(f64),
    /// Anything but zero is bad.
    Zero,
}

impl Levels {
    /// Returns the steps that color a value.
    pub(crate) fn colors(self) -> Value {
        match self {
            Self::BelowWarning(warning) => steps(color::WARNING, &[(color::GOOD, warning)]),
            Self::Above { warning, critical } => {
                steps(color::GOOD, &[(color::WARNING, warning), (color::CRITICAL, critical)])
            }
            Self::AboveWarning(warning) => steps(color::GOOD, &[(color::WARNING, warning)]),
            Self::AtLeast(least) => steps(color::CRITICAL, &[(color::GOOD, least)]),
            Self::Zero => steps(color::GOOD, &[(color::CRITICAL, 1.0)]),
        }
    }
}

fn steps(base: &str, above: &[(&str, f64)]) -> Value {
    let mut steps = vec![json!({"color": base, "value": null})];
    let above = above.iter();
    steps.extend(above.map(|(color, value)| json!({"color": color, "value": value})));
    json!({"mode": "absolute", "steps": steps})
}
