//! Panels and alerts use the same thresholds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::dashboard::{Dashboard, Panel, Target};
use crate::expression::{self, Selected};
use crate::rules;

/// Measures with alerts: the metrics of a query, and the thresholds expected in its panel. The first match
/// applies.
const GUARDED: &str = "
campaign_account_last_success_timestamp_seconds campaign_account_poll_interval_seconds => stale_intervals_warning stale_intervals_critical
campaign_account_api_requests_remaining campaign_account_api_requests_limit => requests_left_ratio
campaign_account_token_expiry_timestamp_seconds => renewed_token_seconds
account:credits_left:days => credits_days
";

/// Thresholds of `alerts/thresholds.yml`.
fn numbers() -> BTreeMap<String, String> {
    let numbers = rules::thresholds().into_iter();
    numbers.map(|(name, number)| (name, number.to_string())).collect()
}

/// Returns the values of threshold steps.
fn steps(thresholds: &Value) -> BTreeSet<String> {
    let steps = thresholds["steps"].as_array().into_iter().flatten();
    let numbers = steps.filter_map(|step| step["value"].as_f64());
    // remaining time is negative once it has passed
    numbers.map(|number| number.abs().to_string()).collect()
}

/// Returns the thresholds of a query: those of its table column, else those of the panel.
fn thresholds<'a>(panel: &'a Panel, target: &Target) -> Option<&'a Value> {
    if panel.kind != "table" {
        return panel.field_config.defaults.get("thresholds");
    }
    let organize = panel.transformations.iter().find(|step| step["id"] == "organize")?;
    let column = &organize["options"]["renameByName"][format!("Value #{}", target.ref_id)];
    let mut overrides = panel.field_config.overrides.iter();
    let over = overrides.find(|over| over.matcher["options"] == *column)?;
    let mut properties = over.properties.iter();
    let property = properties.find(|property| property.id == "thresholds")?;
    Some(&property.value)
}

/// Returns the wrong thresholds of a dashboard, and the number of correct ones.
fn compare(dashboard: &Dashboard, numbers: &BTreeMap<String, String>) -> (Vec<String>, usize) {
    let (mut wrong, mut right) = (Vec::new(), 0);
    for (panel, target) in dashboard.targets() {
        let Some(thresholds) = thresholds(panel, target) else {
            continue;
        };
        let expr = dashboard.parse(&target.expr).unwrap();
        let selectors = expression::selectors(&expr);
        let metrics: BTreeSet<&str> = selectors.iter().map(Selected::name).collect();
        let mut guarded = GUARDED.lines().filter_map(|line| line.split_once(" => "));
        let guarded = guarded.find(|(of, _)| of.split(' ').all(|name| metrics.contains(name)));
        let steps = steps(thresholds);
        let place = format!("{} {}", panel.title, target.ref_id);
        if let Some((_, names)) = guarded {
            let wanted = names.split(' ').map(|name| numbers[name].clone()).collect();
            if steps == wanted {
                right += 1;
            } else {
                wrong.push(format!("{place}: {steps:?} instead of {wanted:?}"));
            }
        } else {
            // other panels may use the thresholds of any alert
            let other = steps
                .iter()
                .find(|step| *step != "1" && !numbers.values().any(|number| number == *step));
            wrong.extend(other.map(|step| format!("{place}: no alert has {step}")));
        }
    }
    (wrong, right)
}

#[test]
fn colors_match_the_alert_thresholds() {
    let numbers = numbers();
    let mut compared = 0;
    for dashboard in Dashboard::all() {
        let (wrong, right) = compare(&dashboard, &numbers);
        assert!(wrong.is_empty(), "{}: {wrong:#?}", dashboard.uid);
        compared += right;
    }
    assert!(compared >= 6, "{compared}");
}

#[test]
fn mismatched_thresholds_are_detected() {
    let mut numbers = numbers();
    for name in ["stale_intervals_warning", "credits_days", "failed_polls_ratio"] {
        let right = numbers.insert(name.to_owned(), "0.123".to_owned()).unwrap();
        let found =
            Dashboard::all().iter().any(|dashboard| !compare(dashboard, &numbers).0.is_empty());
        assert!(found, "{name}");
        numbers.insert(name.to_owned(), right);
    }
}
