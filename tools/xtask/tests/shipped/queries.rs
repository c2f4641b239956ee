//! Every query of every dashboard, asked of a Prometheus that has seen the worst: two exporters that
//! read the same accounts, a campaign that has two names for a moment, names of any characters,
//! campaigns without most counts. Where all is chosen, each has an answer.

use campaign_exporter::exposition::format::labels;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::exposition::Sample;

use crate::dashboard::Dashboard;
use crate::metrics::{self, OF_A_SCRAPE};
use crate::promtool::promtool;
use crate::rules::{path, yaml_files};

/// How many minutes there are before the queries: credits are looked at hour by hour.
const MINUTES: u32 = 180;

/// A name that a format, a regex or a legend could trip over.
const HOSTILE: &str = "\"quoted\" back\\slash \n {a=\"b\",} $job ${account} [[x]] .* 🎁";

/// What the variables may hold: all, one value each, two.
const CHOICES: [[&str; 6]; 3] = [
    [".+", ".+", ".+", ".+", ".+", ".+"],
    [
        "campaign_exporter",
        "one:10058",
        "smsup",
        "shoes-ch",
        "sms",
        "0",
    ],
    [
        "campaign_exporter",
        "one:10058|other:10058",
        "smsup|cinnox",
        "shoes-ch|desk-hk",
        "sms|whatsapp",
        "0|1",
    ],
];

const VARIABLES: [&str; 6] = [
    "$job",
    "$instance",
    "$provider",
    "$account",
    "$channel",
    "$campaign",
];

/// What Prometheus has of these samples, from two exporters.
fn series(samples: &[Sample]) -> Vec<Value> {
    let mut series = Vec::new();
    for instance in ["one:10058", "other:10058"] {
        let target = [("job", "campaign_exporter"), ("instance", instance)];
        let mut add = |name: &str, pairs: &[(String, String)], values: String| {
            let own = pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
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

/// Whether a campaign has this at all: the first have everything, the last hardly anything.
fn is_reported(sample: &Sample, number: u32) -> bool {
    let needed = ["campaign_info", "campaign_status"];
    let unsent = sample.name.contains("scheduled") || sample.name.contains("created");
    number < 4 || needed.contains(&sample.name.as_str()) || unsent
}

/// A minute's value after the other. Prometheus' clock begins at zero here.
fn values(sample: &Sample, number: u32) -> String {
    let name = sample.name.as_str();
    let value = match name {
        _ if name.ends_with("_total") || name.contains("_duration_seconds_") => {
            return format!("0+1x{MINUTES}");
        }
        "campaign_account_credits" => return format!("100000-10x{MINUTES}"),
        // the first ones yesterday, the next ones a week ago
        "campaign_last_sent_timestamp_seconds" if number < 2 => -30_000,
        "campaign_last_sent_timestamp_seconds" => -600_000,
        // so long ago that an alert fires
        "campaign_account_last_success_timestamp_seconds" => 5_000,
        "campaign_account_last_poll_timestamp_seconds" => 10_000,
        _ if name.ends_with("_timestamp_seconds") => 20_000,
        "campaign_attempted" | "campaign_sends" | "campaign_recipients" => 1_000,
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

/// What Grafana asks when this is chosen.
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
        let targets = dashboard.targets().map(|(_, target)| &target.expr);
        let annotations = dashboard.annotations.list.iter();
        let annotations = annotations.filter_map(|annotation| annotation.expr.as_ref());
        for expr in targets.chain(annotations) {
            for (number, choice) in CHOICES.into_iter().enumerate() {
                let expr = asked(&dashboard, expr, choice);
                // where little is chosen, only an error counts
                let any = if number == 0 {
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
        "evaluation_interval": "5m",
        "tests": [{
            "interval": "1m",
            "input_series": series(&samples),
            "promql_expr_test": tests,
        }],
    });
    let folder = TempDir::new().unwrap();
    // JSON is YAML
    std::fs::write(folder.path().join("queries.yml"), test.to_string()).unwrap();
    promtool(
        &["test", "rules"],
        &["queries.yml".to_owned()],
        folder.path(),
    );
}
