//! Reads the shipped rule files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A recording rule or an alert.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) record: Option<String>,
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(rename = "for")]
    pub(crate) pending: Option<String>,
    #[serde(rename = "keep_firing_for")]
    _kept: Option<String>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Rule {
    pub(crate) fn severity(&self) -> &str {
        &self.labels["severity"]
    }
}

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// Returns the path of a file or directory of the project.
pub(crate) fn path(name: &str) -> PathBuf {
    xtask::root().join(name)
}

/// Reads a text file of the project.
pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Reads a YAML file of the project.
pub(crate) fn yaml<T: DeserializeOwned>(name: &str) -> T {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the paths of the YAML files in a directory, relative to the project.
pub(crate) fn yaml_files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = names
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "yml"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no YAML files");
    files
}

/// Returns the rules of all files.
pub(crate) fn rules() -> Vec<Rule> {
    yaml_files("alerts").iter().flat_map(|file| rules_of(file)).collect()
}

/// Returns the rules of a file.
pub(crate) fn rules_of(file: &str) -> Vec<Rule> {
    yaml::<File>(file).groups.into_iter().flat_map(|group| group.rules).collect()
}

/// Returns the alerts with their names.
pub(crate) fn alerts() -> Vec<(String, Rule)> {
    let named = |rule: Rule| rule.alert.clone().map(|name| (name, rule));
    rules().into_iter().filter_map(named).collect()
}

/// Returns the default thresholds by name, or by name and channel, such as
/// `bounce_ratio_warning{channel="email"}`, and whether they are those of a channel.
pub(crate) fn defaults() -> BTreeMap<String, (f64, bool)> {
    let mut defaults = BTreeMap::new();
    for rule in rules() {
        let by_channel = match rule.record.as_deref() {
            Some("account:campaign_threshold:default") => false,
            Some("channel:campaign_threshold:default") => true,
            _ => continue,
        };
        for part in rule.expr.split(" or ") {
            let (number, series) = part.trim().split_once(' ').unwrap();
            let selector = match series {
                "+ 0 * last_over_time(campaign_account_up[10m])" => "",
                _ => series.strip_prefix("* account:campaign_channels:group").unwrap(),
            };
            let selector = if selector.contains("!=") { "" } else { selector };
            let name = format!("{}{selector}", rule.labels["threshold"]);
            defaults.insert(name, (number.parse().unwrap(), by_channel));
        }
    }
    defaults
}

/// Returns the default thresholds.
pub(crate) fn thresholds() -> BTreeMap<String, f64> {
    defaults().into_iter().map(|(name, (number, _))| (name, number)).collect()
}
