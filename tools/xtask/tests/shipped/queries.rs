//! Runs every query of every dashboard with difficult data: two exporters of the same accounts, a
//! campaign that has two names at the same time, names with special characters, and campaigns that lack
//! most counts. With All selected, every query must return data.

use campaign_exporter::exposition::format::labels;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::exposition::Sample;

use crate::dashboard::Dashboard;
use crate::metrics::{self, OF_A_SCRAPE};
use crate::promtool::promtool;
use crate::rules::{path, yaml_files};

/// Minutes of data before the queries: credits are evaluated by hour.
const MINUTES: u32 = 180;

/// Groups of rules in the order of their dependencies. In any other order, a rule could find only results
/// of five minutes ago, which Prometheus 3 no longer returns.
const GROUPS: [&str; 6] = [
    "campaign_thresholds",
    "campaign_recording",
    "campaign_baseline",
    "campaign_account_recording",
    "campaign_alerts",
    "campaign_exporter_alerts",
];

/// Panels about what this data lacks: campaigns that became a day old, and failures of the newest one.
const MAY_BE_EMPTY: [&str; 2] = [
    "Clicks after 1, 4, and 24 hours, of the messages attempted",
    "Why messages were not delivered",
];

/// A name with characters that are special in formats, regexes, and legends.
const HOSTILE: &str = "\"quoted\" back\\slash \n {a=\"b\",} $job ${account} [[x]] .* 🎁";

/// Values of the variables: all, one each, or two each.
const CHOICES: [[&str; 6]; 3] = [
    [".+", ".+", ".+", ".+", ".+", ".+"],
    ["campaign_exporter", "one:10058", "alpha", "shoes-ch", "sms", "0"],
    [
        "campaign_exporter",
        "one:10058|other:10058",
        "alpha|beta",
        "shoes-ch|desk-hk",
        "sms|whatsapp",
        "0|1",
    ],
];

const VARIABLES: [&str; 6] =
    ["$job", "$instance", "$provider", "$account", "$channel", "$campaign"];

/// Returns the samples as scraped from two exporters.
fn series(samples: &[Sample]) -> Vec<Value> {
    let mut series = Vec::new();
    for instance in ["one:10058", "other:10058"] {
        let target = [("job", "campaign_exporter"), ("instance", instance)];
        let mut add = |name: &str, pairs: &[(String, String)], values: String| {
            let own = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let all = labels(own.chain(target));
            series.push(json!({"series": format!("{name}{{{all}}}"), "values": values}));
        };
        for name in OF_A_SCRAPE {
            add(name, &[], format!("1x{MINUTES}"));
        }
        for sample in samples {
            let number = sample.labels.iter().find(|(name, _)| name == "campaign_id");
            let number = number.map_or(0, |(_, id)| id.parse().unwrap());
            if is_reported(sample, number) {
                add(&sample.name, &sample.labels, values(sample, number));
            }
            if sample.name == "campaign_info" && number == 0 {
                let mut renamed = sample.labels.clone();
                let name = renamed.iter_mut().find(|(name, _)| name == "campaign_name");
                HOSTILE.clone_into(&mut name.unwrap().1);
                add(&sample.name, &renamed, format!("1x{MINUTES}"));
            }
        }
    }
    series
}

/// Returns whether a campaign has this metric: the first ones have all, the last ones hardly any.
fn is_reported(sample: &Sample, number: u32) -> bool {
    let needed = ["campaign_info", "campaign_status"];
    let unsent = sample.name.contains("scheduled") || sample.name.contains("created");
    number < 4 || needed.contains(&sample.name.as_str()) || unsent
}

/// Returns the values minute by minute. Prometheus' clock starts at zero here.
fn values(sample: &Sample, number: u32) -> String {
    let name = sample.name.as_str();
    let value = match name {
        _ if name.ends_with("_total") || name.contains("_duration_seconds_") => {
            return format!("0+1x{MINUTES}");
        }
        "campaign_account_credits" => return format!("100000-10x{MINUTES}"),
        // two yesterday, one the day before, the others a week ago
        "campaign_last_sent_timestamp_seconds" if number < 2 => -30_000,
        "campaign_last_sent_timestamp_seconds" if number == 2 => -100_000,
        "campaign_last_sent_timestamp_seconds" => -600_000,
        "campaign_account_lookback_seconds" => 2_592_000,
        // long enough ago for an alert to fire
        "campaign_account_last_success_timestamp_seconds" => 5_000,
        "campaign_account_last_poll_timestamp_seconds" => 10_000,
        _ if name.ends_with("_timestamp_seconds") => 20_000,
        "campaign_attempted" | "campaign_sends" | "campaign_recipients" => 1_000,
        // worth imitating by its deliveries, but not by its opt-outs
        "campaign_deliveries" if number == 0 => 950,
        "campaign_opt_outs" if number == 0 => 200,
        "campaign_deliveries" => 500,
        _ if sample.value.fract() != 0.0 || name.ends_with("_ratio") => {
            return format!("0.5x{MINUTES}");
        }
        "campaign_account_poll_interval_seconds" => 300,
        "campaign_account_api_requests_limit" => 10_000,
        "campaign_account_api_requests_remaining" => 5_000,
        _ => 1,
    };
    format!("{value}x{MINUTES}")
}

/// Returns the query with these values of the variables.
fn asked(dashboard: &Dashboard, expr: &str, choice: [&str; 6]) -> String {
    let expr = dashboard.substituted(expr);
    let chosen = VARIABLES.into_iter().zip(choice);
    chosen.fold(expr, |expr, (name, value)| expr.replace(name, value))
}

#[tokio::test]
async fn queries_succeed_on_any_data() {
    let samples = metrics::samples().await;
    let mut tests = Vec::new();
    for dashboard in Dashboard::all() {
        let targets = dashboard.targets();
        let targets = targets
            .map(|(panel, target)| (&target.expr, MAY_BE_EMPTY.contains(&panel.title.as_str())));
        let annotations = dashboard.annotations.list.iter();
        let annotations = annotations.filter_map(|it| Some((it.expr.as_ref()?, false)));
        for (expr, may_be_empty) in targets.chain(annotations) {
            for (number, choice) in CHOICES.into_iter().enumerate() {
                let expr = asked(&dashboard, expr, choice);
                // narrow selections may return no data, but no error
                let any = if number == 0 && !may_be_empty {
                    format!("count({expr}) > bool 0")
                } else {
                    format!("count({expr}) >= bool 0 or vector(1)")
                };
                let wanted = json!([{"labels": "{}", "value": 1}]);
                tests.push(json!({"expr": any, "eval_time": "3h", "exp_samples": wanted}));
            }
        }
    }
    let files: Vec<_> = yaml_files("alerts").iter().map(|file| path(file)).collect();
    let test = json!({
        "rule_files": files,
        "group_eval_order": GROUPS,
        "evaluation_interval": "5m",
        "tests": [{
            "interval": "1m",
            "input_series": series(&samples),
            "promql_expr_test": tests,
        }],
    });
    let folder = TempDir::new().unwrap();
    // JSON is valid YAML
    std::fs::write(folder.path().join("queries.yml"), test.to_string()).unwrap();
    promtool(&["test", "rules"], &["queries.yml".to_owned()], folder.path());
}
