//! What a marketing team asks, with the panel that answers it, on campaigns whose answers are known. All
//! campaigns are read by two exporters.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dashboard::{Dashboard, file};
use crate::promtool::promtool;

/// The time of the questions: twenty days after the first sample, since campaigns of the period before
/// may have to be looked up in the past.
const NOW: i64 = 20 * DAY;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// The answers: dashboard / panel / column, the labels of the row, and its value.
const QUESTIONS: &str = r"
# Which campaign of the last week was the worst, and why?
marketing / Lowest: ${result:text} / Share: campaign_name=Bad list 0.01
marketing / Lowest: ${result:text} / Usual: campaign_id=2 0.0533333
marketing / Lowest: ${result:text} / Bounced: campaign_id=2 0.5
marketing / Lowest: ${result:text} / Failed: campaign_id=2, reason=npai 500
overview / Campaigns that need attention / Verdict: campaign_name=Bad list 23
# How did this period do against the last one?
marketing / Totals / This period: measure=attempted 3000
marketing / Totals / Before: measure=attempted 2000
marketing / Totals / This period: measure=clicks 110
marketing / Totals / Before: measure=clicks 120
marketing / Totals / This period: measure=Cost in EUR 100
marketing / Rates / This period: measure=clicks 0.05
marketing / Rates / Before: measure=clicks 0.06
# What did it cost, by account and click?
marketing / Cost by account / Cost: account=shop, currency=EUR 100
marketing / Cost by account / Per click: account=shop, currency=EUR 1
marketing / Cost by account / Per delivery: account=shop, currency=EUR 0.0714286
# Which sender and which template are the best?
marketing / By sender / Share: sender=SHOP 0.09
marketing / By sender / Messages: sender=SHOP 1000
marketing / By template / Share: template=spring 0.09
# Which hour and weekday are the best?
marketing / Share by hour and weekday of sending / 0: sent_hour=09, sent_weekday=Monday 0.09
marketing / Messages by hour and weekday of sending / 0: sent_hour=09, sent_weekday=Monday 1000
# Who loses reach by opt-outs?
marketing / Opt-outs by account / Opted out: account=shop 60
marketing / Opt-outs by account / Before: account=shop 20
marketing / Opt-outs by account / Share: account=shop 0.02
# What is planned, and is it paid for?
marketing / Calendar / Due: campaign_name=Next, status=waiting 1814400000
marketing / Calendar / Recipients: campaign_id=6 700
marketing / Are they paid for? / Left after: account=shop -200
marketing / Are they paid for? / Paid for: account=shop 0
# Does the send of today run as usual?
campaign / Does it run as usual? / Now: rate=click 0.01
campaign / Does it run as usual? / So it is: rate=click -1
campaign / Does it run as usual? / So it is: rate=delivery 0
campaign / Does it run as usual? / So it is: rate=bounce 2
campaign / The account's last twenty campaigns / Verdict: campaign_name=Good list 0
overview / Last sends / Verdict: campaign_name=Good list 0
overview / Last sends / Verdict: campaign_name=Fresh 1
";

/// Id, name, age, delivered, clicked, bounced, and opted out of 1,000 messages; hours since the exporter
/// stopped reading it; and labels.
type Sent = (&'static str, &'static str, i64, [u32; 4], i64, [&'static str; 4]);

const CAMPAIGNS: [Sent; 5] = [
    ("1", "Good list", 50 * HOUR, [950, 90, 50, 10], 0, ["SHOP", "spring", "09", "Monday"]),
    ("2", "Bad list", 3 * DAY, [450, 10, 500, 50], 0, ["OTHER", "winter", "18", "Friday"]),
    ("3", "Vanished", 9 * DAY, [900, 60, 50, 10], 120, ["SHOP", "spring", "09", "Monday"]),
    ("4", "Older", 13 * DAY, [900, 60, 50, 10], 0, ["SHOP", "spring", "09", "Monday"]),
    ("5", "Fresh", HOUR, [100, 10, 5, 0], 0, ["OTHER", "winter", "18", "Friday"]),
];

/// The campaign shown by the dashboard of one campaign.
const SHOWN: &str = "5";

/// Adds a series as scraped from both exporters.
fn add(series: &mut Vec<Value>, name: &str, labels: &str, values: &str) {
    for instance in ["one", "other"] {
        let target = format!(r#"job="campaign_exporter",instance="{instance}""#);
        let account = r#"provider="alpha",account="shop""#;
        let comma = if labels.is_empty() { "" } else { "," };
        let name = format!("{name}{{{target},{account}{comma}{labels}}}");
        series.push(json!({"series": name, "values": values}));
    }
}

/// Returns the series of the campaigns that were sent.
fn of_campaigns() -> Vec<Value> {
    let hours = NOW / HOUR;
    let mut series = Vec::new();
    let mut add = |name: &str, labels: &str, values: String| {
        add(&mut series, name, labels, &values);
    };
    for (id, name, age, counts, gone, [sender, template, hour, weekday]) in CAMPAIGNS {
        let of = format!(r#"channel="sms",campaign_id="{id}""#);
        let always = |value: i64| format!("{value}x{} stale", hours - gone);
        let info = format!(
            r#"{of},campaign_name="{name}",sender="{sender}",template="{template}",sent_hour="{hour}",sent_weekday="{weekday}""#
        );
        add("campaign_info", &info, always(1));
        add("campaign_last_sent_timestamp_seconds", &of, always(NOW - age));
        add("campaign_attempted", &of, always(1000));
        let metrics = ["deliveries", "clicks", "bounces", "opt_outs"];
        for (metric, count) in metrics.into_iter().zip(counts) {
            add(&format!("campaign_{metric}"), &of, always(count.into()));
        }
        // what is young has no cost yet
        if age > DAY {
            add("campaign_cost_credits", &of, always(1000));
        }
        add("campaign_failures", &format!(r#"{of},reason="npai""#), always(counts[2].into()));
        add("campaign_failures", &format!(r#"{of},reason="expired""#), always(1));
        let grows = format!("{}+{HOUR}x{} stale", age - NOW, hours - gone);
        add("campaign:age:seconds", &of, grows);
    }
    series
}

/// Returns the series of the account, of what is usual, and of the campaign that is planned.
fn of_the_account() -> Vec<Value> {
    let mut series = Vec::new();
    let mut add = |name: &str, labels: &str, values: String| {
        add(&mut series, name, labels, &values);
    };
    let always = |value: &str| format!("{value}x{}", NOW / HOUR);
    let fresh = format!(r#"channel="sms",campaign_id="{SHOWN}""#);
    for (rate, now, low, high) in [
        ("click", "0.01", "0.04", "0.08"),
        ("delivery", "0.1", "0.08", "0.2"),
        ("bounce", "0.005", "0.001", "0.002"),
    ] {
        add(&format!("campaign_{rate}_ratio"), &fresh, always(now));
        for (bound, value) in [("low", low), ("high", high)] {
            let usual = format!(r#"{fresh},rate="{rate}",bound="{bound}""#);
            add("campaign_usual_ratio", &usual, always(value));
        }
    }
    let next = r#"channel="sms",campaign_id="6""#;
    add("campaign_info", &format!(r#"{next},campaign_name="Next""#), always("1"));
    add("campaign_status", &format!(r#"{next},status="waiting""#), always("1"));
    add("campaign_recipients", next, always("700"));
    add("campaign_scheduled_timestamp_seconds", next, always(&(NOW + DAY).to_string()));
    for (name, value) in [
        ("campaign_account_up", "1"),
        ("campaign_account_lookback_seconds", "1209600"),
        ("campaign_account_credits", "500"),
        ("account:credits_scheduled:sum", "700"),
    ] {
        add(name, "", always(value));
    }
    add("campaign_account_credit_price", r#"currency="EUR""#, always("0.05"));
    add(
        "account:campaign_threshold:effective",
        r#"threshold="attempted_min_warning""#,
        always("200"),
    );
    for (threshold, value) in [
        ("delivery_ratio_warning", "0.8"),
        ("delivery_ratio_critical", "0.6"),
        ("bounce_ratio_warning", "0.2"),
        ("bounce_ratio_critical", "0.4"),
        ("opt_out_ratio_warning", "0.05"),
        ("opt_out_ratio_critical", "0.1"),
    ] {
        let labels = format!(r#"channel="sms",threshold="{threshold}""#);
        add("channel:campaign_threshold:effective", &labels, always(value));
    }
    series
}

/// Returns the query of a column.
fn asked(dashboard: &Dashboard, title: &str, column: &str) -> String {
    let panel = dashboard.panels.iter().find(|panel| panel.title == title);
    let panel = panel.unwrap_or_else(|| panic!("no panel {title}"));
    let organize = panel.transformations.iter().find(|step| step["id"] == "organize").unwrap();
    let columns = &organize["options"]["renameByName"];
    let target = panel
        .targets
        .iter()
        .find(|target| column == "0" || columns[format!("Value #{}", target.ref_id)] == column);
    let expr = &target.unwrap_or_else(|| panic!("no column {column}")).expr;
    // the dashboard of a campaign also shows older ones than its time range
    let days = if dashboard.uid == "campaigns-campaign" { 1 } else { 7 };
    let expr = expr
        .replace("$__range_s", &(days * DAY).to_string())
        .replace("$__range", &format!("{days}d"));
    let expr = dashboard.substituted(&expr).replace("$campaign", SHOWN);
    let all = ["$job", "$instance", "$provider", "$account", "$channel"];
    all.into_iter().fold(expr, |expr, name| expr.replace(name, ".+"))
}

#[test]
fn panels_answer_what_marketing_asks() {
    let mut tests = Vec::new();
    for line in QUESTIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (place, answer) = line.rsplit_once(": ").unwrap();
        let [uid, title, column] = place.splitn(3, " / ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (row, value) = answer.rsplit_once(' ').unwrap();
        let labels: Vec<_> = row.split(", ").map(|it| it.split_once('=').unwrap()).collect();
        let dashboard = Dashboard::read(&file(&format!("campaigns-{uid}.json")));
        let names = labels.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let wanted = labels.iter().fold(format!("vector({value})"), |vector, (name, value)| {
            format!(r#"label_replace({vector}, "{name}", "{value}", "", "")"#)
        });
        let expr = asked(&dashboard, title, column);
        // sum by: a campaign of two exporters must not be there twice
        let equals = format!("abs(sum by ({names}) ({expr}) - on ({names}) {wanted}) < bool 1e-6");
        let equals = format!("sum({equals})");
        tests.push(json!({
            "expr": equals,
            "eval_time": format!("{NOW}s"),
            "exp_samples": [{"labels": "{}", "value": 1}],
        }));
    }
    let series = [of_campaigns(), of_the_account()].concat();
    let test = json!({
        "rule_files": [],
        "tests": [{"interval": "1h", "input_series": series, "promql_expr_test": tests}],
    });
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("questions.yml"), test.to_string()).unwrap();
    promtool(&["test", "rules"], &["questions.yml".to_owned()], folder.path());
}
