//! The Grafana-managed rules match the rules, and Grafana's format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use campaign_exporter::document::parse_duration;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::promtool::promtool;
use crate::rules::{path, rules, text, yaml};

#[test]
fn grafana_managed_rules_are_up_to_date() {
    for (path, json) in xtask::grafana_alerting::files().unwrap() {
        assert!(json == text(&path), "{path}: run deploy/rules");
    }
}

// The format of file provisioning, as far as it is used.

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: u8,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Group {
    org_id: u64,
    name: String,
    folder: String,
    interval: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    uid: String,
    title: String,
    condition: Option<String>,
    data: Vec<Query>,
    #[serde(rename = "for")]
    pending: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(rename = "missing_series_evals_to_resolve")]
    missing_series: Option<u64>,
    no_data_state: Option<NoData>,
    exec_err_state: Option<ExecErr>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    record: Option<Record>,
}

#[derive(Deserialize)]
enum NoData {
    OK,
}

#[derive(Deserialize)]
enum ExecErr {
    Error,
    KeepLast,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Query {
    ref_id: String,
    datasource_uid: String,
    #[serde(rename = "relativeTimeRange")]
    _range: Option<Range>,
    model: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    #[serde(rename = "from")]
    _from: u64,
    #[serde(rename = "to")]
    _to: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Record {
    metric: String,
    from: String,
    target_datasource_uid: String,
}

fn groups() -> Vec<Group> {
    let files = ["alerts", "recording"].map(|name| format!("deploy/grafana-alerting/{name}.json"));
    let files = files.map(|name| yaml::<File>(&name));
    assert!(files.iter().all(|file| file.api_version == 1));
    files.into_iter().flat_map(|file| file.groups).collect()
}

#[test]
fn every_rule_is_grafana_managed_unless_it_needs_the_alerts_of_prometheus() {
    let names = rules().into_iter().filter(|rule| !rule.expr.contains("ALERTS{"));
    let mut names: Vec<String> = names.filter_map(|rule| rule.record.or(rule.alert)).collect();
    let groups = groups();
    let managed = groups.iter().flat_map(|group| &group.rules);
    let mut titles: Vec<String> = managed.map(|rule| rule.title.clone()).collect();
    names.sort();
    titles.sort();
    assert_eq!(titles, names);
}

#[test]
fn grafana_managed_rules_have_the_structure_that_grafana_requires() {
    let mut uids = BTreeSet::new();
    let source: Value = yaml("dashboards/provisioning/datasources/prometheus.yaml");
    let source = source["datasources"][0]["uid"].as_str().unwrap();
    for group in groups() {
        assert!(group.org_id == 1 && !group.name.is_empty());
        assert_eq!(group.folder, "Campaigns");
        let interval = parse_duration(&group.interval).unwrap();
        for rule in group.rules {
            let uid = rule.uid;
            let is_allowed = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
            assert!(uid.len() <= 40 && uid.chars().all(is_allowed), "{uid}");
            let query = &rule.data[0];
            assert_eq!((&*query.ref_id, &*query.datasource_uid), ("A", source), "{uid}");
            assert_eq!(query.model["instant"], true, "{uid}");
            if let Some(record) = rule.record {
                assert_eq!((&*record.from, &*record.target_datasource_uid), ("A", source));
                assert!(record.metric == rule.title && rule.condition.is_none(), "{uid}");
            } else {
                let condition = &rule.data[1];
                assert_eq!(rule.condition.as_ref(), Some(&condition.ref_id), "{uid}");
                assert_eq!(condition.datasource_uid, "__expr__", "{uid}");
                assert_eq!(condition.model["type"], "math", "{uid}");
                assert!(matches!(rule.no_data_state, Some(NoData::OK)), "{uid}");
                let tells = matches!(rule.exec_err_state, Some(ExecErr::Error));
                assert_eq!(tells, rule.title == "CampaignExporterAbsent", "{uid}");
                assert!(tells || matches!(rule.exec_err_state, Some(ExecErr::KeepLast)));
                parse_duration(&rule.pending.unwrap()).unwrap();
                // missing for as long as the alert is kept
                let kept = parse_duration(&rule.keep_firing_for.unwrap()).unwrap();
                let missing = u32::try_from(rule.missing_series.unwrap()).unwrap();
                assert!(missing == 1 || interval * missing == kept, "{uid}");
                let texts = ["dashboard_url", "description", "runbook_url", "summary"];
                assert!(rule.annotations.keys().eq(texts), "{uid}");
            }
            assert!(uids.insert(uid.clone()), "{uid} is not unique");
        }
    }
}

#[test]
fn texts_use_only_what_templates_of_grafana_have() {
    for group in groups() {
        for rule in group.rules {
            for (name, text) in &rule.annotations {
                let place = format!("{} {name}: {text}", rule.uid);
                // `$` begins a variable of the environment
                assert!(!text.contains('$') && !text.contains(" query "), "{place}");
                assert!(!text.contains("  ") && !text.contains("}} ."), "{place}");
                assert!(name != "description" || text.ends_with('.'), "{place}");
                assert!(!text.contains(":="), "{place}");
                assert!(text.trim() == text && !text.starts_with(['.', ',', ';']), "{place}");
            }
        }
    }
}

/// Expressions and templates are the same language in Prometheus, but for the name of the value.
#[test]
fn grafana_managed_rules_parse_in_promtool() {
    let groups: Vec<Value> = groups()
        .into_iter()
        .map(|group| {
            let rules = group.rules.into_iter().map(|rule| {
                let expr = &rule.data[0].model["expr"];
                if let Some(record) = rule.record {
                    return json!({"record": record.metric, "expr": expr, "labels": rule.labels});
                }
                let texts = rule.annotations.into_iter();
                let texts =
                    texts.map(|(key, text)| (key, text.replace(".Values.A.Value", ".Value")));
                json!({
                    "alert": rule.title,
                    "expr": expr,
                    "labels": rule.labels,
                    "annotations": texts.collect::<BTreeMap<_, _>>(),
                })
            });
            json!({"name": group.name, "rules": rules.collect::<Vec<_>>()})
        })
        .collect();
    // some groups have alerts in one file and recording rules in the other
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rules.yml");
    fs::write(&file, json!({"groups": groups}).to_string()).unwrap();
    promtool(&["check", "rules"], &[file.to_str().unwrap().to_owned()], &path("."));
}
