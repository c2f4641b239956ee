//! Checks the rules with promtool.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rules::{path, yaml, yaml_files};

pub(crate) fn promtool(arguments: &[&str], files: &[String], folder: &Path) {
    let mut command = Command::new("promtool");
    command.args(arguments).args(files).current_dir(folder);
    let output = command.output().unwrap_or_else(|error| {
        panic!("the tests need promtool on the PATH (Debian: package prometheus): {error}")
    });
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "promtool {}: {said}", output.status);
}

#[test]
fn rules_are_valid_and_unique() {
    let arguments = ["check", "rules", "--lint=all", "--lint-fatal"];
    promtool(&arguments, &yaml_files("alerts"), &path("."));
}

#[test]
fn rule_tests_pass() {
    // one process per file, since promtool processes files sequentially
    thread::scope(|scope| {
        for file in yaml_files("alerts/tests") {
            scope.spawn(|| promtool(&["test", "rules"], &[file], &path(".")));
        }
    });
}

/// Series that a rule of the user's records rather than a collector.
const OVERRIDE: &str = "campaign_threshold{";

/// Doubles the series of a promtool test, as in a store that receives them from two collectors, and its
/// expected alerts.
fn double(test: &mut Value) {
    let replicas = ["a", "b"];
    let copies = |entry: &Value, copy: fn(&mut Value, &str)| {
        let copies = replicas.map(|replica| {
            let mut entry = entry.clone();
            copy(&mut entry, replica);
            entry
        });
        copies.to_vec()
    };
    let series = test["input_series"].as_array().unwrap().iter().flat_map(|entry| {
        if entry["series"].as_str().unwrap().starts_with(OVERRIDE) {
            return vec![entry.clone()];
        }
        copies(entry, |entry, replica| {
            let series = entry["series"].as_str().unwrap();
            let label = format!("{{prometheus_replica=\"{replica}\",");
            entry["series"] = json!(series.replacen('{', &label, 1));
        })
    });
    test["input_series"] = series.collect();
    for asked in test["alert_rule_test"].as_array_mut().into_iter().flatten() {
        let Some(alerts) = asked["exp_alerts"].as_array() else {
            continue;
        };
        let alerts = alerts.iter().flat_map(|alert| {
            // alerts on overrides, and on an exporter that is absent, have no instance
            if alert["exp_labels"]["instance"].is_null() {
                return vec![alert.clone()];
            }
            copies(alert, |alert, replica| {
                alert["exp_labels"]["prometheus_replica"] = json!(replica);
            })
        });
        asked["exp_alerts"] = alerts.collect();
    }
    test.as_object_mut().unwrap().remove("promql_expr_test");
}

#[test]
fn rules_work_with_series_of_two_collectors() {
    let rules = yaml_files("alerts").iter().map(|file| path(file)).collect::<Vec<_>>();
    let folder = TempDir::new().unwrap();
    thread::scope(|scope| {
        for (number, file) in yaml_files("alerts/tests").iter().enumerate() {
            // its series are results of rules
            if file.ends_with("thresholds_missing.yml") {
                continue;
            }
            let mut tests: Value = yaml(file);
            tests["rule_files"] = json!(rules);
            tests["tests"].as_array_mut().unwrap().iter_mut().for_each(double);
            let doubled = folder.path().join(format!("{number}.yml"));
            fs::write(&doubled, tests.to_string()).unwrap();
            let doubled = doubled.to_str().unwrap().to_owned();
            scope.spawn(|| promtool(&["test", "rules"], &[doubled], &path(".")));
        }
    });
}
