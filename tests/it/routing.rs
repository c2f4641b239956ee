//! The Alertmanager example: routing and inhibition.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::alertmanager::{AMTOOL, shipped, shipped_file};
use crate::support::rules::{alerts, yaml};

/// Runs `amtool`, which must succeed, and returns its output.
async fn amtool(arguments: &[&str]) -> String {
    let mut command = AMTOOL.command();
    let output = command.args(arguments).output().await;
    let output = output.unwrap_or_else(|error| AMTOOL.is_needed(&error));
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the receiver of alerts with these labels.
async fn receiver(labels: &[String]) -> String {
    let file = shipped_file();
    let config = format!("--config.file={}", file.display());
    let mut arguments = vec!["config", "routes", "test", &config];
    arguments.extend(labels.iter().map(String::as_str));
    amtool(&arguments).await.trim().to_owned()
}

#[tokio::test]
async fn alertmanager_accepts_the_example() {
    let file = shipped_file();
    amtool(&["check-config", file.to_str().unwrap()]).await;
}

#[tokio::test]
async fn routes_match_the_expected_receivers() {
    for (labels, expected) in [
        (&["team=sre", "severity=critical"][..], "sre-pager"),
        (&["team=sre", "severity=warning"], "sre"),
        (&["team=sre", "severity=info"], "sre"),
        (&["team=marketing-ops", "severity=critical"], "marketing-ops-pager"),
        (&["team=marketing-ops", "severity=warning"], "marketing-ops"),
        (&["team=marketing-ops", "severity=info"], "marketing-ops"),
        // unmatched alerts have a receiver
        (&["team=sales", "severity=critical"], "sre"),
        (&["alertname=Watchdog"], "sre"),
    ] {
        let labels: Vec<_> = labels.iter().map(|&label| label.to_owned()).collect();
        assert_eq!(receiver(&labels).await, expected, "{labels:?}");
    }
}

#[tokio::test]
async fn every_alert_reaches_its_team_and_pages_only_if_critical() {
    let mut seen = BTreeSet::new();
    for alert in alerts() {
        let own = alert["labels"].as_object().unwrap();
        let text = |name: &str| own[name].as_str().unwrap();
        let (team, severity) = (text("team"), text("severity"));
        // routes must not depend on any other label
        if !seen.insert((team.to_owned(), severity.to_owned())) {
            continue;
        }
        let labels = own.iter().map(|(name, value)| {
            let value = value.as_str().unwrap();
            format!("{name}={value}")
        });
        let pager = if severity == "critical" { "-pager" } else { "" };
        assert_eq!(
            receiver(&labels.collect::<Vec<_>>()).await,
            format!("{team}{pager}"),
            "{alert}"
        );
    }
    assert!(seen.len() >= 5, "{seen:?}");
}

#[test]
fn routes_use_only_team_and_severity() {
    fn look(route: &Value, names: &mut BTreeSet<String>) {
        for matcher in route["matchers"].as_array().into_iter().flatten() {
            let (name, _) = matcher.as_str().unwrap().split_once('=').unwrap();
            names.insert(name.to_owned());
        }
        for below in route["routes"].as_array().into_iter().flatten() {
            look(below, names);
        }
    }
    let mut names = BTreeSet::new();
    look(&shipped()["route"], &mut names);
    assert_eq!(names, BTreeSet::from(["severity", "team"].map(str::to_owned)));
}

#[test]
fn alerts_inhibit_only_the_same_exporter_and_account() {
    let config = shipped();
    let rules = config["inhibit_rules"].as_array().unwrap();
    for rule in rules {
        let equal: Vec<String> = serde_json::from_value(rule["equal"].clone()).unwrap();
        for label in ["job", "instance"] {
            assert!(equal.iter().any(|equal| equal == label), "{rule}");
        }
        let of = |name: &str| matchers(rule, "source_matchers")[0].contains(name);
        let labels: &[_] = match () {
            () if of("CampaignExporterDown") => &[],
            () if of("CampaignProviderDown") => &["provider"],
            () if of("CampaignProviderDeliveryLow") => &["provider", "channel"],
            () => &["provider", "account"],
        };
        for label in labels {
            assert!(equal.iter().any(|equal| equal == label), "{rule}");
        }
    }
}

#[test]
fn unreadable_accounts_inhibit_alerts_on_their_data() {
    let config = shipped();
    let rules = config["inhibit_rules"].as_array().unwrap();
    let rule = rules.iter().find(|rule| {
        let source = matchers(rule, "source_matchers");
        source[0].contains("|CampaignAuthFailed|")
    });
    let hidden = names(&matchers(rule.unwrap(), "target_matchers")[0]);
    let file = shipped_file();
    let figures = yaml(&file.parent().unwrap().with_file_name("campaigns.yml"));
    let figures = figures["groups"][0]["rules"].as_array().unwrap();
    for alert in figures {
        let name = alert["alert"].as_str().unwrap();
        // other accounts can still be read
        assert!(hidden.contains(name) || name == "CampaignProviderDeliveryLow", "{name}");
    }
}

#[test]
fn every_referenced_alert_exists() {
    let alerts = alerts();
    let existing: BTreeSet<_> =
        alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    let config = shipped();
    for rule in config["inhibit_rules"].as_array().unwrap() {
        for side in ["source_matchers", "target_matchers"] {
            for matcher in matchers(rule, side) {
                if !matcher.starts_with("alertname") || matcher.contains(".+") {
                    continue;
                }
                for name in names(&matcher) {
                    assert!(existing.contains(name.as_str()), "{name}");
                }
            }
        }
    }
}

fn matchers(rule: &Value, side: &str) -> Vec<String> {
    serde_json::from_value(rule[side].clone()).unwrap()
}

/// Returns the names in a matcher such as `alertname=~"A|B"`.
fn names(matcher: &str) -> BTreeSet<String> {
    let (_, value) = matcher.split_once('"').unwrap();
    let names = value.trim_end_matches('"').split('|');
    names.map(str::to_owned).collect()
}
