//! The shipped rules with shortened durations.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Directory of the shipped rule files.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("alerts")
}

/// Returns the shipped rule files with durations divided by a factor, as JSON, which is valid YAML. Of
/// `keep_firing_for`, this is true of the first half hour; what is beyond three quarters is left out.
pub(crate) fn shortened(times: f64) -> Vec<String> {
    let files = shipped().into_iter();
    let shortened = files.map(|mut file| {
        for group in file["groups"].as_array_mut().unwrap() {
            // the evaluation interval of the tests instead of the group's own
            group.as_object_mut().unwrap().remove("interval");
            for rule in group["rules"].as_array_mut().unwrap() {
                // what alerts compare with instead of a `for` that a restart would forget; evaluations of
                // a busy machine are seconds apart
                let before = format!("[1m] offset {:.0}ms", 300_000.0 / times);
                let expr = rule["expr"].as_str().unwrap().replace("[10m] offset 5m", &before);
                rule["expr"] = json!(expr);
                shorten(rule, "for", |duration| duration / times);
                // the minutes by which an alert outlasts those that it inhibits become seconds
                let (same, longest) = (1_800.0, 2_700.0);
                shorten(rule, "keep_firing_for", |duration| {
                    duration.min(same) / times + (duration.min(longest) - same).max(0.0) / 60.0
                });
            }
        }
        file.to_string()
    });
    shortened.collect()
}

/// Returns the alerts of the shipped rule files.
pub(crate) fn alerts() -> Vec<Value> {
    let files = shipped();
    let groups = files.iter().flat_map(|file| file["groups"].as_array().unwrap());
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let alerts = rules.filter(|rule| rule.get("alert").is_some());
    alerts.cloned().collect()
}

fn shipped() -> Vec<Value> {
    let entries = fs::read_dir(folder()).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml"));
    assert!(!files.is_empty());
    files.sort();
    files.iter().map(|file| yaml(file)).collect()
}

/// Parses a YAML file.
pub(crate) fn yaml(file: &Path) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn shorten(rule: &mut Value, key: &str, shorter: impl Fn(f64) -> f64) {
    if let Some(duration) = rule.get_mut(key) {
        let seconds = shorter(seconds(duration.as_str().unwrap()));
        *duration = json!(format!("{:.0}ms", seconds * 1_000.0));
    }
}

/// Parses a duration with a single unit.
pub(crate) fn seconds(text: &str) -> f64 {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = units.iter().find(|(unit, _)| text[number.len()..] == **unit);
    let (_, unit) = unit.unwrap_or_else(|| panic!("{text} is in no known unit"));
    number.parse::<f64>().unwrap() * unit
}
