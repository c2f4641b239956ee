//! Dashboards match their source, and use only existing metrics and labels.

use std::collections::BTreeSet;

use crate::dashboard::{Dashboard, FILES, Panel, Place, file};
use crate::expression::{self, Selected};
use crate::linter::parsed_variable;
use crate::metrics::{Labels, Metrics};
use crate::rules::text;

/// Metrics that Prometheus adds for every target.
const OF_EVERY_PROGRAM: [&str; 3] = ["up", "scrape_", "process_"];

#[test]
fn generated_dashboards_are_up_to_date() {
    let mut written = xtask::dashboards::files().unwrap();
    written.sort();
    let paths: Vec<&str> = written.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, FILES.map(|name| format!("dashboards/{name}")));
    for (path, json) in written {
        assert!(json == text(&path), "{path}: run cargo xtask dashboards");
    }
}

#[test]
fn dashboards_have_the_uid_of_their_file_and_a_purpose() {
    for name in FILES {
        let dashboard = Dashboard::read(&file(name));
        assert_eq!(format!("{}.json", dashboard.uid), name);
        // limit of Grafana
        assert!(dashboard.uid.len() <= 40);
        assert!(!dashboard.description.is_empty());
        assert!(dashboard.panels.iter().any(|panel| panel.kind == "text"));
    }
}

#[test]
fn panels_have_unique_ids_and_do_not_overlap() {
    for dashboard in Dashboard::all() {
        assert_eq!(misplaced(&dashboard.panels), [] as [String; 0], "{}", dashboard.uid);
    }
}

/// Returns panels with duplicate ids, overlaps, or positions outside of the grid.
fn misplaced(panels: &[Panel]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, panel) in panels.iter().enumerate() {
        let Place { x, w, h, .. } = panel.grid_pos;
        if x + w > 24 || w == 0 || h == 0 {
            found.push(format!("{} is not in the grid", panel.title));
        }
        for other in &panels[..index] {
            if panel.id == other.id {
                found.push(format!("{} has the id of {}", panel.title, other.title));
            }
            if overlap(panel.grid_pos, other.grid_pos) {
                found.push(format!("{} lies on {}", panel.title, other.title));
            }
        }
    }
    found
}

const fn overlap(one: Place, other: Place) -> bool {
    one.x < other.x + other.w
        && other.x < one.x + one.w
        && one.y < other.y + other.h
        && other.y < one.y + one.h
}

#[test]
fn misplaced_panels_are_detected() {
    let mut dashboards = Dashboard::all();
    let panels = &mut dashboards[0].panels;
    let (id, place) = (panels[1].id, panels[1].grid_pos);
    panels[2].id = id;
    panels[3].grid_pos = place;
    panels[4].grid_pos.w = 25;
    let found = misplaced(panels);
    for problem in ["has the id of", "lies on", "is not in the grid"] {
        assert!(found.iter().any(|line| line.contains(problem)), "{found:?}");
    }
}

/// Returns problems of the queries of a dashboard and the fields that use their labels.
fn unknown(dashboard: &Dashboard, metrics: &Metrics) -> Vec<String> {
    let mut found = Vec::new();
    let labels_of = |expr: &str| metrics.of(&dashboard.parse(expr)?);
    for panel in &dashboard.panels {
        let mut of_panel = Labels::new();
        for target in &panel.targets {
            let place = format!("{} {}", panel.title, target.ref_id);
            match labels_of(&target.expr) {
                Ok(labels) => {
                    lacking(&place, shown(&target.legend_format), &labels, &mut found);
                    of_panel.extend(labels);
                }
                Err(problem) => found.push(format!("{place}: {problem}")),
            }
        }
        lacking(&panel.title, linked(panel), &of_panel, &mut found);
        lacking(&panel.title, columns(panel), &of_panel, &mut found);
    }
    for annotation in &dashboard.annotations.list {
        let Some(expr) = &annotation.expr else {
            continue;
        };
        match labels_of(expr) {
            Ok(labels) => {
                let tags = annotation.tag_keys.split(',').map(str::to_owned);
                let texts = [&annotation.title_format, &annotation.text_format];
                let texts = texts.into_iter().flat_map(|text| shown(text));
                lacking(&annotation.name, texts.chain(tags), &labels, &mut found);
            }
            Err(problem) => found.push(format!("{}: {problem}", annotation.name)),
        }
    }
    for variable in &dashboard.templating.list {
        if variable.kind != "query" {
            continue;
        }
        let asked = parsed_variable(variable.asks());
        let labels = asked.and_then(|(expr, label)| Ok((metrics.of(&expr)?, label)));
        match labels {
            Ok((labels, label)) => {
                let label = label.into_iter().map(str::to_owned);
                lacking(&variable.name, label, &labels, &mut found);
            }
            Err(problem) => found.push(format!("{}: {problem}", variable.name)),
        }
    }
    found
}

fn lacking(
    place: &str,
    names: impl IntoIterator<Item = String>,
    labels: &Labels,
    found: &mut Vec<String>,
) {
    for name in names {
        if !labels.contains_key(&name) {
            found.push(format!("{place}: no label {name}"));
        }
    }
}

/// Returns the labels in double braces.
fn shown(text: &str) -> Vec<String> {
    let parts = text.split("{{").skip(1);
    let names = parts.filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned()));
    // label of buckets
    names.filter(|name| name != "le").collect()
}

/// Returns the labels used by the links of a panel.
fn linked(panel: &Panel) -> BTreeSet<String> {
    let links = serde_json::to_string(&panel.field_config.defaults["links"]).unwrap();
    let overrides = panel.field_config.overrides.iter();
    let properties = overrides.flat_map(|over| &over.properties);
    let texts = properties.map(|property| property.value.to_string());
    let mut labels = BTreeSet::new();
    for text in texts.chain([links]) {
        for start in ["${__field.labels.", "${__data.fields."] {
            for part in text.split(start).skip(1) {
                labels.insert(part.split([':', '}']).next().unwrap().to_owned());
            }
        }
    }
    labels
}

/// Returns the labels that are columns of a table.
fn columns(panel: &Panel) -> Vec<String> {
    let organize =
        panel.transformations.iter().filter(|transformation| transformation["id"] == "organize");
    let columns = organize.filter_map(|organize| organize["options"]["renameByName"].as_object());
    let names = columns.flat_map(|columns| columns.keys());
    names.filter(|name| !name.starts_with("Value")).cloned().collect()
}

#[tokio::test]
async fn queries_and_fields_use_existing_metrics_and_labels() {
    let metrics = Metrics::all().await;
    for dashboard in Dashboard::all() {
        let found = unknown(&dashboard, &metrics);
        assert!(found.is_empty(), "{}: {found:#?}", dashboard.uid);
    }
}

#[tokio::test]
async fn unknown_metrics_and_labels_are_detected_everywhere() {
    let metrics = Metrics::all().await;
    let overview = file("campaigns-overview.json");
    let mistakes = r#"
        campaign_bounces{ => campaign_bouncess{ => unknown metric campaign_bouncess
        account:delivery_ratio:recent{ => account:delivery_ratio:now{ => unknown metric
        {{account}} {{channel}} => {{account}} {{chanel}} => no label chanel
        {{campaign_name}} was sent => {{name}} was sent => no label name
        account,channel" => account,chanel" => no label chanel
        campaign_account_up{job=~\"$job\", instance=~\"$instance\"}, provider) => campaign_account_up{job=~\"$job\", instance=~\"$instance\"}, company) => no label company
        ${__data.fields.campaign_id: => ${__data.fields.id: => no label id
        ${__field.labels.account: => ${__field.labels.acount: => no label acount
        "alertname": "Alert" => "name": "Alert" => no label name
    "#;
    for line in mistakes.trim().lines() {
        let [there, not_there, problem] = line.split(" => ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let there = there.trim();
        assert!(overview.contains(there), "{there}");
        let broken = Dashboard::read(&overview.replace(there, not_there));
        let found = unknown(&broken, &metrics);
        assert!(found.iter().any(|line| line.contains(problem)), "{not_there}: {found:#?}");
    }
}

/// Returns queries for metrics of every process that are not restricted to the exporter: All matches any
/// job, so the dashboard would show the memory of every target.
fn of_any_program(dashboard: &Dashboard) -> Vec<&str> {
    let targets = dashboard.targets().map(|(_, target)| target.expr.as_str());
    let wide = targets.filter(|expr| {
        let expr = dashboard.parse(expr).unwrap();
        let selectors = expression::selectors(&expr);
        let any = |starts: &[&str]| {
            let mut names = selectors.iter().map(Selected::name);
            names.any(|name| starts.iter().any(|start| name.starts_with(start)))
        };
        any(&OF_EVERY_PROGRAM) && !any(&["campaign_exporter_"])
    });
    wide.collect()
}

/// Returns queries that join names on an incomplete set of labels: campaigns of other exporters or
/// accounts may have the same id, and the join would fail or mix them up.
fn mixed_up(dashboard: &Dashboard) -> Vec<&str> {
    let whole = "on (provider, account, channel, campaign_id) group_left (campaign_name)";
    let targets = dashboard.targets().map(|(_, target)| target.expr.as_str());
    let mixed = targets.filter(|expr| {
        let joins = expr.matches("group_left (campaign_name)").count();
        joins != expr.matches(whole).count()
    });
    mixed.collect()
}

#[test]
fn queries_select_our_exporters_and_distinguish_campaigns() {
    for dashboard in Dashboard::all() {
        assert_eq!(of_any_program(&dashboard), [] as [&str; 0]);
        assert_eq!(mixed_up(&dashboard), [] as [&str; 0]);
    }
    let exporter = file("campaigns-exporter.json");
    let exporter = exporter.replace("(campaign_exporter_build_info", "(up");
    assert!(!of_any_program(&Dashboard::read(&exporter)).is_empty());
    let campaign = file("campaigns-campaign.json");
    let campaign = campaign.replace("on (provider, ", "on (");
    assert!(!mixed_up(&Dashboard::read(&campaign)).is_empty());
}
