//! The rules of Grafana's dashboard-linter, reimplemented to avoid a dependency on Go:
//! <https://github.com/grafana/dashboard-linter/tree/main/docs>. If its code is less strict than its
//! documentation, the documentation applies. Exclusions are in `dashboards/.lint`, in its own format.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use serde::Deserialize;

use crate::dashboard::{Dashboard, Panel, file};
use crate::expression::{self, RATE_INTERVAL, Selected};

/// A finding in a panel or the whole dashboard.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    rule: &'static str,
    panel: String,
    message: String,
}

/// A rule: its name, and the function that returns its findings.
type Rule = (&'static str, fn(&Dashboard) -> Vec<(String, String)>);

const RULES: [Rule; 15] = [
    ("template-datasource-rule", template_datasource),
    ("template-job-rule", |dashboard| template(dashboard, "job", "Job")),
    ("template-instance-rule", |dashboard| template(dashboard, "instance", "Instance")),
    ("template-label-promql-rule", template_label_promql),
    ("template-on-time-change-reload-rule", template_on_time_change_reload),
    ("panel-datasource-rule", panel_datasource),
    ("panel-title-description-rule", panel_title_description),
    ("panel-units-rule", panel_units),
    ("panel-no-targets-rule", panel_no_targets),
    ("target-promql-rule", target_promql),
    ("target-rate-interval-rule", target_rate_interval),
    ("target-job-rule", |dashboard| target_matcher(dashboard, "job")),
    ("target-instance-rule", |dashboard| target_matcher(dashboard, "instance")),
    ("target-counter-agg-rule", target_counter_agg),
    ("uneditable-dashboard", uneditable_dashboard),
];

/// Units used by our panels, all of them known to the linter.
const UNITS: [&str; 13] = [
    "none",
    "short",
    "locale",
    "percent",
    "percentunit",
    "bytes",
    "s",
    "d",
    "reqps",
    "bool_yes_no",
    "dateTimeFromNow",
    "dateTimeAsIso",
    "string",
];

const RANGED: [&str; 3] = ["rate", "irate", "increase"];

fn lint(dashboard: &Dashboard) -> Vec<Finding> {
    let found = RULES.iter().flat_map(|(rule, find)| {
        find(dashboard).into_iter().map(|(panel, message)| Finding { rule, panel, message })
    });
    found.collect()
}

fn template_datasource(dashboard: &Dashboard) -> Vec<(String, String)> {
    let mut sources = dashboard.templating.list.iter();
    let sources: Vec<_> =
        sources.by_ref().filter(|variable| variable.kind == "datasource").collect();
    let [source] = sources.as_slice() else {
        return whole("there is not one data source variable");
    };
    let (named, labelled) = (source.name.as_str(), source.label.as_str());
    if !["datasource", "prometheus_datasource"].contains(&named) {
        return whole("the data source variable is not called datasource");
    }
    if !["Data source", "Prometheus data source"].contains(&labelled) {
        return whole("the data source variable is not labelled Data source");
    }
    // which makes the rules about LogQL unnecessary
    if source.query != "prometheus" {
        return whole("the data source is not a Prometheus");
    }
    Vec::new()
}

fn template(dashboard: &Dashboard, name: &str, label: &str) -> Vec<(String, String)> {
    let mut variables = dashboard.templating.list.iter();
    let Some(variable) = variables.find(|variable| variable.name == name) else {
        return whole(&format!("unknown variable {name}"));
    };
    let source = variable.datasource.as_ref();
    let asked = [
        (variable.kind == "query", "is not a query"),
        (variable.label == label, "has another label"),
        (source.is_some_and(|source| is_templated(&source.uid)), "asks a fixed data source"),
        (variable.multi, "has one value only"),
        (variable.all_value == ".+", "has another value for All than .+"),
    ];
    let wrong = asked.into_iter().filter(|(right, _)| !right);
    wrong.flat_map(|(_, what)| whole(&format!("variable {name} {what}"))).collect()
}

fn template_label_promql(dashboard: &Dashboard) -> Vec<(String, String)> {
    let queries = dashboard.templating.list.iter();
    let queries = queries.filter(|variable| variable.kind == "query");
    let wrong = queries.filter_map(|variable| {
        let problem = parsed_variable(variable.asks()).err()?;
        Some((String::new(), format!("{}: {problem}", variable.name)))
    });
    wrong.collect()
}

/// Returns the selector of a variable query, without Grafana's function, and the requested label.
pub(crate) fn parsed_variable(
    asks: &str,
) -> Result<(promql_parser::parser::Expr, Option<&str>), String> {
    let inner =
        asks.split_once('(').and_then(|(function, rest)| Some((function, rest.strip_suffix(')')?)));
    match inner {
        Some(("label_values", inner)) => {
            let (expr, label) =
                inner.rsplit_once(", ").ok_or_else(|| format!("no label in {asks}"))?;
            Ok((expression::parse(expr)?, Some(label)))
        }
        Some(("query_result", inner)) => Ok((expression::parse(inner)?, None)),
        _ => Err(format!("{asks} is none of Grafana's functions")),
    }
}

fn template_on_time_change_reload(dashboard: &Dashboard) -> Vec<(String, String)> {
    let queries = dashboard.templating.list.iter();
    queries
        .filter(|variable| variable.kind == "query" && variable.refresh != 2)
        .flat_map(|variable| whole(&format!("{} is not refreshed", variable.name)))
        .collect()
}

fn panel_datasource(dashboard: &Dashboard) -> Vec<(String, String)> {
    panels(dashboard, |panel| {
        let source = panel.datasource.as_ref();
        let good = source.is_some_and(|source| is_templated(&source.uid));
        (!good).then(|| "asks a fixed data source".to_owned())
    })
}

fn panel_title_description(dashboard: &Dashboard) -> Vec<(String, String)> {
    panels(dashboard, |panel| {
        let good = !panel.title.is_empty() && !panel.description.is_empty();
        (!good).then(|| "lacks a title or a description".to_owned())
    })
}

fn panel_units(dashboard: &Dashboard) -> Vec<(String, String)> {
    panels(dashboard, |panel| {
        let defaults = &panel.field_config.defaults;
        let mapped = !defaults["mappings"].is_null();
        // a heatmap has the unit on its axis
        let own = panel.options["yAxis"]["unit"].as_str();
        let default = defaults["unit"].as_str().or(own);
        let overrides = panel.field_config.overrides.iter();
        let properties = overrides.flat_map(|over| &over.properties);
        let units = properties.filter(|property| property.id == "unit");
        let units = units.map(|property| property.value.as_str());
        let bad = units
            .chain((!mapped).then_some(default))
            .find(|unit| unit.is_none_or(|unit| !UNITS.contains(&unit)));
        bad.map(|unit| format!("has the unit {unit:?}"))
    })
}

fn panel_no_targets(dashboard: &Dashboard) -> Vec<(String, String)> {
    panels(dashboard, |panel| panel.targets.is_empty().then(|| "asks nothing".to_owned()))
}

fn target_promql(dashboard: &Dashboard) -> Vec<(String, String)> {
    let wrong = dashboard.targets().filter_map(|(panel, target)| {
        let problem = dashboard.parse(&target.expr).err()?;
        Some((panel.title.clone(), problem))
    });
    wrong.collect()
}

fn target_rate_interval(dashboard: &Dashboard) -> Vec<(String, String)> {
    let rate_interval = promql_parser::util::parse_duration(RATE_INTERVAL).unwrap();
    selectors(dashboard, |selected| {
        let ranged = selected.function.is_some_and(|name| RANGED.contains(&name));
        (ranged && selected.range != Some(rate_interval))
            .then(|| "uses a range other than $__rate_interval".to_owned())
    })
}

fn target_matcher(dashboard: &Dashboard, label: &str) -> Vec<(String, String)> {
    let wanted = format!("${label}");
    selectors(dashboard, |selected| {
        let mut matchers = selected.matchers(label);
        let good =
            matchers.any(|matcher| matches!(matcher.op, MatchOp::Re(_)) && matcher.value == wanted);
        (!good).then(|| format!("does not choose by {label}"))
    })
}

fn target_counter_agg(dashboard: &Dashboard) -> Vec<(String, String)> {
    selectors(dashboard, |selected| {
        let counts = selected.name().ends_with("_total");
        let good = selected.function.is_some_and(|name| RANGED.contains(&name));
        (counts && !good).then(|| "is a counter as it is".to_owned())
    })
}

fn uneditable_dashboard(dashboard: &Dashboard) -> Vec<(String, String)> {
    if dashboard.editable == Some(false) { Vec::new() } else { whole("can be edited") }
}

/// Creates a finding without a panel.
fn whole(message: &str) -> Vec<(String, String)> {
    vec![(String::new(), message.to_owned())]
}

/// Returns the problems of panels with queries.
fn panels(dashboard: &Dashboard, find: impl Fn(&Panel) -> Option<String>) -> Vec<(String, String)> {
    let panels = dashboard.asking();
    panels.filter_map(|panel| Some((panel.title.clone(), find(panel)?))).collect()
}

/// Returns the problems of selectors; another rule covers expressions that do not parse.
fn selectors(
    dashboard: &Dashboard,
    find: impl Fn(&Selected<'_>) -> Option<String>,
) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (panel, target) in dashboard.targets() {
        let Ok(expr) = dashboard.parse(&target.expr) else {
            continue;
        };
        for selected in expression::selectors(&expr) {
            if let Some(problem) = find(&selected) {
                let message = format!("{} {problem}", selected.name());
                found.push((panel.title.clone(), message));
            }
        }
    }
    found
}

fn is_templated(uid: &str) -> bool {
    ["$datasource", "${datasource}"].contains(&uid)
}

#[derive(Deserialize)]
struct Configuration {
    exclusions: BTreeMap<String, Exclusion>,
}

#[derive(Deserialize)]
struct Exclusion {
    reason: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    dashboard: String,
    panel: String,
}

#[test]
fn the_linter_finds_exactly_the_exclusions() {
    let configuration: Configuration = serde_saphyr::from_str(&file(".lint")).unwrap();
    let mut excluded = BTreeSet::new();
    for (rule, exclusion) in configuration.exclusions {
        assert!(!exclusion.reason.is_empty(), "{rule}");
        for entry in exclusion.entries {
            excluded.insert((rule.clone(), entry));
        }
    }
    let mut used = BTreeSet::new();
    for dashboard in Dashboard::all() {
        for finding in lint(&dashboard) {
            let entry = Entry { dashboard: dashboard.title.clone(), panel: finding.panel.clone() };
            let key = (finding.rule.to_owned(), entry);
            let excused = excluded.contains(&key) && finding.message.starts_with("ALERTS");
            assert!(excused, "{}: {finding:?}", dashboard.uid);
            used.insert(key);
        }
    }
    assert_eq!(used, excluded, "unused exclusion");
}

/// A dashboard without findings.
const GOOD: &str = r#"{
  "uid": "good",
  "title": "Good",
  "editable": false,
  "annotations": {"list": []},
  "templating": {"list": [
    {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"},
    {"type": "query", "name": "job", "label": "Job", "query": {"query": "label_values(up, job)"},
     "datasource": {"uid": "${datasource}"}, "multi": true, "allValue": ".+", "refresh": 2},
    {"type": "query", "name": "instance", "label": "Instance",
     "query": {"query": "label_values(up{job=~\"$job\"}, instance)"},
     "datasource": {"uid": "${datasource}"}, "multi": true, "allValue": ".+", "refresh": 2}
  ]},
  "panels": [{
    "id": 1, "type": "stat", "title": "Requests", "description": "A second.",
    "datasource": {"uid": "${datasource}"}, "gridPos": {"x": 0, "y": 0, "w": 4, "h": 4},
    "fieldConfig": {"defaults": {"unit": "reqps"}},
    "targets": [{"refId": "A",
      "expr": "rate(requests_total{job=~\"$job\", instance=~\"$instance\"}[$__rate_interval])"}]
  }]
}"#;

#[test]
fn the_linter_accepts_a_valid_dashboard() {
    assert_eq!(lint(&Dashboard::read(GOOD)), []);
}

/// Mistakes: the rule that must detect it, the original text, and its replacement.
const MISTAKES: &str = r#"
template-datasource-rule: "type": "datasource" => "type": "textbox"
template-datasource-rule: "name": "datasource" => "name": "source"
template-datasource-rule: "label": "Data source" => "label": "Source"
template-job-rule: "name": "job" => "name": "jobs"
template-job-rule: "label": "Job" => "label": "job"
template-job-rule: "allValue": ".+" => "allValue": ".*"
template-instance-rule: "name": "instance" => "name": "host"
template-instance-rule: "multi": true => "multi": false
template-label-promql-rule: label_values(up, job) => label_values(up{, job)
template-label-promql-rule: label_values(up, job) => values(up, job)
template-on-time-change-reload-rule: "refresh": 2 => "refresh": 1
panel-datasource-rule: "datasource": {"uid": "${datasource}"}, "gridPos" => "datasource": {"uid": "abc"}, "gridPos"
panel-title-description-rule: A second. =>
panel-title-description-rule: "title": "Requests" => "title": ""
panel-units-rule: "unit": "reqps" => "unit": "requests"
panel-units-rule: {"unit": "reqps"} => {}
panel-no-targets-rule: "targets": [ => "others": [
template-datasource-rule: "query": "prometheus" => "query": "loki"
target-promql-rule: rate(requests_total => rate((requests_total
target-rate-interval-rule: [$__rate_interval] => [5m]
target-job-rule: job=~\"$job\", instance => instance
target-job-rule: job=~\"$job\", instance => job=\"$job\", instance
target-instance-rule: , instance=~\"$instance\" =>
target-counter-agg-rule: rate(requests_total => max_over_time(requests_total
uneditable-dashboard: "editable": false => "editable": true
uneditable-dashboard: "editable": false, =>
"#;

#[test]
fn every_rule_detects_violations() {
    let mut tried = BTreeSet::new();
    for line in MISTAKES.trim().lines() {
        let (rule, change) = line.split_once(": ").unwrap();
        let (good, bad) = change.split_once(" =>").unwrap();
        let bad = bad.strip_prefix(' ').unwrap_or(bad);
        assert!(GOOD.contains(good), "{good}");
        let found = lint(&Dashboard::read(&GOOD.replace(good, bad)));
        let rules: Vec<&str> = found.iter().map(|finding| finding.rule).collect();
        assert!(rules.contains(&rule), "{bad}: {found:?}");
        tried.insert(rule);
    }
    assert_eq!(tried, RULES.iter().map(|(rule, _)| *rule).collect());
}
