//! Consistency of the alerts with their documentation, tests, and linked dashboards.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::expression;
use crate::metrics::Metrics;
use crate::rules::{Rule, alerts, defaults, rules, rules_of, text, thresholds, yaml, yaml_files};

/// Template for the name of a campaign.
const NAME: &str = "{{ with printf \"campaign_info{campaign_name!='',job=%q,instance=%q,provider=%q,account=%q,\
    channel=%q,campaign_id=%q}\" $labels.job $labels.instance $labels.provider $labels.account \
    $labels.channel $labels.campaign_id | query }}{{ . | first | label \"campaign_name\" }}\
    {{ else }}{{ $labels.campaign_id }}{{ end }}";

const GRAFANA: &str = "{{ or $externalLabels.grafana_url \"http://localhost:3000\" }}/d/";

const RUNBOOKS: &str = "{{ or $externalLabels.runbooks_url \
    \"https://example.com/campaign_exporter/docs/runbooks.md\" }}#";

fn names() -> BTreeSet<String> {
    alerts().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn every_alert_has_the_required_labels_and_annotations() {
    for (name, rule) in alerts() {
        assert!(name.starts_with("Campaign"), "{name}");
        assert!(rule.pending.is_some(), "{name} has no `for`");
        let labels: Vec<_> = rule.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, ["severity", "team"], "{name}");
        let severities = ["critical", "warning", "info"];
        assert!(severities.contains(&rule.severity()), "{name}");
        let teams = ["marketing-ops", "sre"];
        assert!(teams.contains(&rule.labels["team"].as_str()), "{name}");
        let annotations: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
        let expected = ["dashboard_url", "description", "runbook_url", "summary"];
        assert_eq!(annotations, expected, "{name}");
        assert!(
            rule.annotations["description"].ends_with('.'),
            "{name}: the description must end with a period"
        );
    }
}

#[test]
fn prometheus_restores_alerts_on_accounts_after_a_restart() {
    for rule in rules_of("alerts/exporter.yml") {
        // below --rules.alert.for-grace-period, they start again
        let Some(pending) = rule.pending else { continue };
        let minutes = pending.strip_suffix('m').map(|minutes| minutes.parse::<u32>().unwrap());
        assert!(minutes.is_none_or(|minutes| minutes >= 10), "{:?}: {pending}", rule.alert);
    }
}

#[test]
fn alerts_on_campaigns_contain_the_campaign_name() {
    let mut about_campaigns = 0;
    for (name, rule) in alerts() {
        let link = &rule.annotations["dashboard_url"];
        let summary = &rule.annotations["summary"];
        assert_eq!(link.contains("/d/campaigns-campaign?"), summary.contains(NAME), "{name}");
        about_campaigns += u32::from(summary.contains(NAME));
    }
    assert!(about_campaigns > 10, "{about_campaigns}");
}

#[test]
fn links_of_alerts_are_valid() {
    for (name, rule) in alerts() {
        let anchor = rule.annotations["runbook_url"].strip_prefix(RUNBOOKS);
        assert_eq!(anchor, Some(name.to_lowercase().as_str()), "{name}");

        let link = rule.annotations["dashboard_url"].strip_prefix(GRAFANA);
        let link = link.unwrap_or_else(|| panic!("{name} does not link to a dashboard"));
        let (uid, query) = link.split_once('?').unwrap_or((link, ""));
        let dashboard: Value =
            serde_json::from_str(&text(&format!("dashboards/{uid}.json"))).unwrap();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variables: Vec<_> = variables.iter().map(|it| it["name"].as_str()).collect();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap();
            let variable = key.strip_prefix("var-");
            assert!(variables.contains(&variable), "{name}: {key} of {uid}");
            let encoded = value.ends_with(" | urlquery }}");
            assert!(encoded, "{name}: {value} is not URL-encoded");
        }
    }
}

/// Returns the rows of the table with this first header.
fn table<'a>(document: &'a str, first_header: &str) -> Vec<Vec<&'a str>> {
    let header = format!("| {first_header} |");
    let rows = document.lines().skip_while(|line| !line.starts_with(&header));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(str::trim).collect()
    })
    .collect()
}

/// Returns a duration such as `15m` as written in the documentation.
fn in_words(duration: &str) -> String {
    duration.replace('m', " min").replace('h', " h").replace('s', " s")
}

#[test]
fn documented_alerts_match_the_rules() {
    let document = text("docs/alerts.md");
    let mut listed = BTreeMap::new();
    for row in table(&document, "alert") {
        let [name, severity, _, pending] = row[..] else {
            panic!("{row:?}");
        };
        let cells = (severity.to_owned(), pending.to_owned());
        listed.insert(name.trim_matches('`').to_owned(), cells);
    }
    let mut expected: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
    for (name, rule) in alerts() {
        expected.entry(name).or_default().push(rule);
    }
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, rules)| {
            let unique = |words: Vec<String>, separator| {
                let mut words = words;
                words.dedup();
                words.join(separator)
            };
            let severities = rules.iter().map(|rule| rule.severity().to_owned());
            let teams = rules.iter().map(|rule| rule.labels["team"].clone());
            let pending = rules.iter().map(|rule| in_words(rule.pending.as_deref().unwrap()));
            let severities = unique(severities.collect(), ", ");
            let teams = unique(teams.collect(), ", ");
            let cells = (format!("{severities} ({teams})"), unique(pending.collect(), "; "));
            (name, cells)
        })
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn documented_number_of_alerts_is_correct() {
    for document in ["README.md", "CHANGELOG.md"] {
        let count = format!(" {} alerts", names().len());
        assert!(text(document).contains(&count), "{document} does not contain{count}");
    }
}

#[test]
fn documented_thresholds_match_the_rules() {
    let document = text("docs/alerts.md");
    let listed: BTreeMap<_, _> = table(&document, "threshold")
        .into_iter()
        .map(|row| {
            let [name, number, what, why] = row[..] else {
                panic!("{row:?}");
            };
            assert!(!what.is_empty() && !why.is_empty(), "{name}");
            (name.trim_matches('`').to_owned(), number.parse().unwrap())
        })
        .collect();
    assert_eq!(listed, thresholds());
}

#[test]
fn every_threshold_is_defined_and_used() {
    let used = |series: &str| -> BTreeSet<_> {
        let rules = rules();
        let parts = rules.iter().flat_map(|rule| rule.expr.split(series).skip(1));
        parts.map(|part| part.split_once('"').unwrap().0.to_owned()).collect()
    };
    let there = |by_channel: bool| -> BTreeSet<_> {
        let named = defaults()
            .into_iter()
            .filter(|(name, (_, of))| !name.contains('{') && *of == by_channel);
        named.map(|(name, _)| name).collect()
    };
    assert_eq!(used("account:campaign_threshold:effective{threshold=\""), there(false));
    assert_eq!(used("channel:campaign_threshold:effective{threshold=\""), there(true));

    let (_, missing) =
        alerts().into_iter().find(|(name, _)| name == "CampaignThresholdsMissing").unwrap();
    let all = format!(">= {}", there(false).len());
    assert!(missing.expr.trim_end().ends_with(&all), "{}", missing.expr);
    let told = format!("Each account has {} of each exporter", there(false).len());
    assert!(text("docs/runbooks.md").contains(&told), "{told}");
}

#[test]
fn runbooks_and_alerts_match() {
    let document = text("docs/runbooks.md");
    let mut chapters = BTreeSet::new();
    for chapter in document.split("\n## ").skip(1) {
        let (name, body) = chapter.split_once('\n').unwrap();
        for part in ["Meaning", "Impact", "Diagnosis", "What to do"] {
            let heading = format!("**{part}.**");
            assert!(body.contains(&heading), "{name} has no {part}");
        }
        assert!(body.contains("```promql"), "{name} has no query");
        assert!(chapters.insert(name.to_owned()), "duplicate {name}");
    }
    assert_eq!(chapters, names());
}

#[tokio::test]
async fn annotations_use_only_existing_labels() {
    let metrics = Metrics::all().await;
    for (name, rule) in alerts() {
        let labels = metrics.of_rule(&rule).unwrap();
        for text in rule.annotations.values() {
            for used in text.split("$labels.").skip(1) {
                let end = used.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let label = &used[..end.unwrap()];
                assert!(labels.contains_key(label), "{name} has no label {label}");
            }
        }
    }
}

#[tokio::test]
async fn runbook_queries_use_existing_metrics_and_labels() {
    let metrics = Metrics::all().await;
    let document = text("docs/runbooks.md");
    let mut queries = 0;
    for block in document.split("```promql\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for query in block.lines() {
            // placeholder for any metric
            let query = query.replace("FIGURE", "campaign_deliveries");
            let labels = expression::parse(&query).and_then(|expr| metrics.of(&expr));
            labels.unwrap_or_else(|problem| panic!("{query}: {problem}"));
            queries += 1;
        }
    }
    assert!(queries > 60, "{queries}");
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    exp_labels: BTreeMap<String, String>,
    exp_annotations: BTreeMap<String, String>,
}

#[test]
fn every_alert_is_tested_firing_and_silent() {
    let mut firing = BTreeSet::new();
    let mut silent = BTreeSet::new();
    for file in yaml_files("alerts/tests") {
        for test in yaml::<Tests>(&file).tests {
            for asked in test.alert_rule_test {
                for expected in &asked.exp_alerts {
                    let severity = expected.exp_labels["severity"].clone();
                    assert_eq!(expected.exp_annotations.len(), 4, "{}", asked.alertname);
                    firing.insert((asked.alertname.clone(), severity));
                }
                if asked.exp_alerts.is_empty() {
                    silent.insert(asked.alertname);
                }
            }
        }
    }
    let expected: BTreeSet<_> =
        alerts().into_iter().map(|(name, rule)| (name, rule.severity().to_owned())).collect();
    assert_eq!(firing, expected);
    assert_eq!(silent, names());
}
