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

/// The answers: dashboard / panel / column, the labels of the row, and its value, or none if there is no such
/// row; then the time if it is not now.
const QUESTIONS: &str = r"
# Which campaign of the last week was the worst, and why? Not the one with the lowest rate.
marketing / Worst, by what was lost against the usual rate: ${result:text} / Lost: campaign_name=Bad list 25
marketing / Worst, by what was lost against the usual rate: ${result:text} / Lost: campaign_name=Small list 10.5
marketing / Worst, by what was lost against the usual rate: ${result:text} / Rate: campaign_id=2 0.01
marketing / Worst, by what was lost against the usual rate: ${result:text} / Usual: campaign_id=2 0.035
marketing / Worst, by what was lost against the usual rate: ${result:text} / Bounced: campaign_id=2 0.5
marketing / Worst, by what was lost against the usual rate: ${result:text} / Failed: campaign_id=2, reason=npai 500
marketing / Worst, by what was lost against the usual rate: ${result:text} / Look at: campaign_id=2 4
marketing / Worst, by what was lost against the usual rate: ${result:text} / Look at: campaign_id=7 2
marketing / Worst, by what was lost against the usual rate: ${result:text} / Look at: campaign_id=22 3
marketing / Worst, by what was lost against the usual rate: ${result:text} / Look at: campaign_id=23 1
marketing / Worst, by what was lost against the usual rate: ${result:text} / Look at: campaign_id=21 0
# Which one is worth imitating? Not one that was hardly delivered.
marketing / Best, by what was gained against the usual rate: ${result:text} / Gained: campaign_name=Good list 55
marketing / Best, by what was gained against the usual rate: ${result:text} / Gained: campaign_name=Lucky none
overview / Campaigns that need attention, by messages affected / Affected: campaign_name=Bad list 600
overview / Campaigns that need attention, by messages affected / Verdict: campaign_id=2 23
overview / Campaigns that need attention, by messages affected / Messages: campaign_id=2 1000
overview / Campaigns that need attention, by messages affected / Sent: campaign_id=2 1468800000
# How did this period do against the last one?
marketing / Totals / This period: measure=attempted 6000
marketing / Totals / Before: measure=attempted 2000
marketing / Totals / This period: measure=clicks, order=4 201
marketing / Totals / Before: measure=clicks, order=4 120
marketing / Totals / This period: measure=Cost in EUR, order=9 115
marketing / Rates, of the messages attempted / This period: measure=clicks 4.8717949
marketing / Rates, of the messages attempted / Before: measure=clicks 6
# The same of a time range that ends in the past.
marketing / Totals / This period: measure=attempted 2000 @ 13d
marketing / Totals / This period: measure=Cost in EUR, order=9 100 @ 13d
marketing / Rates, of the messages attempted / This period: measure=clicks 6 @ 13d
marketing / Opt-outs by account / Opted out: account=shop 20 @ 13d
# What did it cost, by account and click?
marketing / Cost by account / Cost: account=shop, currency=EUR 115
marketing / Cost by account / Per click: account=shop, currency=EUR 1.15
marketing / Cost by account / Click before: account=shop, currency=EUR 0.8333333
marketing / Cost by account / Per delivery: account=shop, currency=EUR 0.0680473
marketing / Cost by account / Delivery before: account=shop, currency=EUR 0.0555556
marketing / Cost by account / Cost: account=mute, currency=– -1
marketing / Cost by account / Campaigns: account=mute, currency=– 0
# Which sender and which template are the best? Of which accounts is nothing known?
marketing / By sender: ${result:text} / Rate: sender=MANY 0.05625
marketing / By sender: ${result:text} / Rate: sender=SHOP -9.91
marketing / By sender: ${result:text} / Messages: sender=OTHER 1300
marketing / By sender: ${result:text} / Campaigns: sender=OTHER 2
marketing / By sender: ${result:text} / Delivered: sender=MANY 0.725
marketing / By template: ${result:text} / Rate: template=simple 0.05625
marketing / By template: ${result:text} / Messages: template=plain none
marketing / Who is in these tables: ${result:text} / Result: account=mute 0
marketing / Who is in these tables: ${result:text} / Result: account=shop 1
marketing / Who is in these tables: ${result:text} / Sender: account=mute 0
marketing / Who is in these tables: ${result:text} / Template: account=mute 1
# Which hour and weekday are the best?
marketing / By weekday: ${result:text} / Rate: sent_weekday=Tuesday 0.05625
marketing / By weekday: ${result:text} / Rate: sent_weekday=Monday -9.91
marketing / By weekday: ${result:text} / Campaigns: sent_weekday=Friday 2
marketing / By hour: ${result:text} / Rate: sent_hour=09 -9.91
marketing / By hour: ${result:text} / Messages: sent_hour=18 1300
marketing / By hour: ${result:text} / Campaigns: sent_hour=09 1
marketing / By hour and weekday: ${result:text}, of the messages attempted / 0: sent_hour=11, sent_weekday=Tuesday 0.05625
marketing / By hour and weekday: ${result:text}, of the messages attempted / 0: sent_hour=09, sent_weekday=Monday -9.91
marketing / By hour and weekday: the messages that these rates are of / 0: sent_hour=09, sent_weekday=Monday 1000
marketing / By hour and weekday: the messages that these rates are of / 0: sent_hour=07, sent_weekday=Sunday none
# Who loses reach by opt-outs?
marketing / Opt-outs by account / Opted out: account=shop 60
marketing / Opt-outs by account / Opted out: account=mute -1
marketing / Opt-outs by account / Before: account=shop 20
marketing / Opt-outs by account / Of messages: account=shop 0.0181818
# What is planned, and is it paid for?
marketing / Calendar / Due: campaign_name=Next, status=waiting 1814400000
marketing / Calendar / In time: campaign_id=6 0
marketing / Calendar / In time: campaign_id=8 1
marketing / Calendar / Recipients: campaign_id=6 700
marketing / Calendar / Counted as: campaign_id=6 700
marketing / Are they paid for? / Of it estimated: account=shop 700
marketing / Are they paid for? / Left after: account=shop -200
marketing / Are they paid for? / Paid for: account=shop 0
marketing / Are they paid for? / Paid for: account=mute 1
overview / Are they paid for? / Paid for: account=sound 3
overview / Credits last for / 0: account=shop 4
# Does the send of today run as usual?
campaign / Does it run as usual? / Now: rate=click 0.01
campaign / Does it run as usual? / So it is: rate=click -1
campaign / Does it run as usual? / So it is: rate=delivery 0
campaign / Does it run as usual? / So it is: rate=bounce 2
campaign / Does it run as usual? / So it is: rate=read 4
campaign / The account's last twenty campaigns / Verdict: campaign_name=Good list 0
overview / Last sends, of the messages attempted / Verdict: campaign_name=Good list 0
overview / Last sends, of the messages attempted / Verdict: campaign_name=Fresh 1
overview / Last sends, of the messages attempted / Verdict: campaign_name=Empty 3
overview / Last sends, of the messages attempted / Verdict: campaign_name=Silent 4
overview / Do the last sends run as usual? Of the messages attempted / Delivery is: campaign_name=Fresh 0
overview / Do the last sends run as usual? Of the messages attempted / Clicking is: campaign_name=Fresh -1
overview / Do the last sends run as usual? Of the messages attempted / Opting out is: campaign_name=Fresh -2
overview / Do the last sends run as usual? Of the messages attempted / Opting out is: campaign_name=Empty 5
overview / Do the last sends run as usual? Of the messages attempted / Low, clicked: campaign_id=5 0.04
overview / Do the last sends run as usual? Of the messages attempted / High, clicked: campaign_id=5 0.08
overview / Do the last sends run as usual? Of the messages attempted / Clicking is: campaign_name=Good list 6
overview / Do the last sends run as usual? Of the messages attempted / Clicking is: campaign_name=Empty 5
overview / Do the last sends run as usual? Of the messages attempted / Clicking is: campaign_name=Silent 4
overview / Do the last sends run as usual? Of the messages attempted / Clicking is: campaign_name=Early 3
";

/// Id, name, age; messages, delivered, clicked, bounced, and opted out; hours since the exporter stopped
/// reading it; and labels.
type Sent = (&'static str, &'static str, i64, [u32; 5], i64, [&'static str; 4]);

const CAMPAIGNS: [Sent; 6] = [
    ("1", "Good list", 50 * HOUR, [1000, 950, 90, 50, 10], 0, ["SHOP", "spring", "09", "Monday"]),
    ("2", "Bad list", 3 * DAY, [1000, 450, 10, 500, 50], 0, ["OTHER", "winter", "18", "Friday"]),
    ("7", "Small list", 4 * DAY, [300, 290, 0, 10, 0], 0, ["OTHER", "winter", "18", "Friday"]),
    ("3", "Vanished", 9 * DAY, [1000, 900, 60, 50, 10], 120, ["SHOP", "spring", "09", "Monday"]),
    ("4", "Older", 13 * DAY, [1000, 900, 60, 50, 10], 0, ["SHOP", "spring", "09", "Monday"]),
    ("5", "Fresh", HOUR, [1000, 100, 10, 5, 0], 0, ["OTHER", "winter", "18", "Friday"]),
];

/// The campaign shown by the dashboard of one campaign.
const SHOWN: &str = "5";

/// Adds a series of an account as scraped from both exporters.
fn add_of(series: &mut Vec<Value>, account: &str, name: &str, labels: &str, values: &str) {
    for instance in ["one", "other"] {
        let target = format!(r#"job="campaign_exporter",instance="{instance}""#);
        let account = format!(r#"provider="alpha",account="{account}""#);
        let comma = if labels.is_empty() { "" } else { "," };
        let name = format!("{name}{{{target},{account}{comma}{labels}}}");
        series.push(json!({"series": name, "values": values}));
    }
}

/// Adds a series of the account with most campaigns.
fn add(series: &mut Vec<Value>, name: &str, labels: &str, values: &str) {
    add_of(series, "shop", name, labels, values);
}

/// Returns the values of a campaign from when it was sent.
fn since(age: i64, values: &str) -> String {
    match NOW / HOUR - age / HOUR {
        0 => values.to_owned(),
        hours => format!("_x{hours} {values}"),
    }
}

/// Id, name; messages, delivered, clicked, bounced, and read of the campaigns of an account that reports
/// neither costs nor credits nor opt-outs.
const SOUND: [(&str, &str, [u32; 5]); 4] = [
    ("21", "Plain", [400, 380, 20, 20, 200]),
    ("22", "Half delivered", [400, 200, 10, 20, 100]),
    ("23", "Hardly read", [400, 380, 20, 20, 50]),
    ("24", "Lucky", [400, 200, 40, 20, 200]),
];

/// Returns the series of that account.
fn of_the_sound_account() -> Vec<Value> {
    let age = 60 * HOUR;
    let mut series = Vec::new();
    let mut add = |name: &str, labels: &str, values: &str| {
        add_of(&mut series, "sound", name, labels, values);
    };
    for (id, name, counts) in SOUND {
        let of = format!(r#"channel="sms",campaign_id="{id}""#);
        let always = |value: i64| since(age, &format!("{value}x60"));
        let labels = r#"sender="MANY",template="simple",sent_hour="11",sent_weekday="Tuesday""#;
        add("campaign_info", &format!(r#"{of},campaign_name="{name}",{labels}"#), &always(1));
        add("campaign_last_sent_timestamp_seconds", &of, &always(NOW - age));
        add("campaign:age:seconds", &of, &since(age, &format!("0+{HOUR}x60")));
        let metrics = ["attempted", "deliveries", "clicks", "bounces", "reads"];
        for (metric, count) in metrics.into_iter().zip(counts) {
            add(&format!("campaign_{metric}"), &of, &always(count.into()));
        }
    }
    let always = |value: &str| format!("{value}x{}", NOW / HOUR);
    add("campaign_account_up", "", &always("1"));
    let threshold = r#"channel="sms",threshold="delivery_ratio_warning""#;
    add("channel:campaign_threshold:effective", threshold, &always("0.8"));
    series
}

/// Returns the series of accounts that report neither deliveries nor senders: a campaign that was sent, one
/// without messages, and one sent a moment ago, which alone reports clicks.
fn of_other_accounts() -> Vec<Value> {
    let mut series = Vec::new();
    for (account, id, name, age, attempted) in [
        ("mute", "11", "Silent", DAY / 2, 1000),
        ("mute", "12", "Empty", DAY / 3, 0),
        ("early", "13", "Early", 300, 100),
    ] {
        let of = format!(r#"channel="sms",campaign_id="{id}""#);
        let mut add = |name: &str, labels: &str, value: i64| {
            let values = since(age, &format!("{value}x{}", age / HOUR));
            add_of(&mut series, account, name, &format!("{of}{labels}"), &values);
        };
        let labels = r#"template="plain",sent_hour="07",sent_weekday="Sunday""#;
        add("campaign_info", &format!(r#",campaign_name="{name}",{labels}"#), 1);
        add("campaign_last_sent_timestamp_seconds", "", NOW - age);
        add("campaign_attempted", "", attempted);
        if name == "Early" {
            add("campaign_clicks", "", 1);
        }
        add("campaign:age:seconds", "", age);
    }
    let planned = r#"channel="sms",campaign_id="14",status="waiting""#;
    add_of(&mut series, "mute", "campaign_status", planned, &format!("1x{}", NOW / HOUR));
    series
}

/// Returns the series of the campaigns that were sent.
fn of_campaigns() -> Vec<Value> {
    let mut series = Vec::new();
    let mut add = |name: &str, labels: &str, values: String| {
        add(&mut series, name, labels, &values);
    };
    for (id, name, age, counts, gone, [sender, template, hour, weekday]) in CAMPAIGNS {
        let of = format!(r#"channel="sms",campaign_id="{id}""#);
        let read = age / HOUR - gone;
        let always = |value: i64| since(age, &format!("{value}x{read} stale"));
        let info = format!(
            r#"{of},campaign_name="{name}",sender="{sender}",template="{template}",sent_hour="{hour}",sent_weekday="{weekday}""#
        );
        add("campaign_info", &info, always(1));
        add("campaign_last_sent_timestamp_seconds", &of, always(NOW - age));
        let metrics = ["attempted", "deliveries", "clicks", "bounces", "opt_outs"];
        for (metric, count) in metrics.into_iter().zip(counts) {
            add(&format!("campaign_{metric}"), &of, always(count.into()));
        }
        // what is young has no cost yet
        if age > DAY {
            add("campaign_cost_credits", &of, always(counts[0].into()));
        }
        add("campaign_failures", &format!(r#"{of},reason="npai""#), always(counts[3].into()));
        add("campaign_failures", &format!(r#"{of},reason="expired""#), always(1));
        let grows = since(age, &format!("0+{HOUR}x{read} stale"));
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
        ("opt_out", "0", "0.001", "0.004"),
    ] {
        add(&format!("campaign_{rate}_ratio"), &fresh, always(now));
        for (bound, value) in [("low", low), ("high", high)] {
            let usual = format!(r#"{fresh},rate="{rate}",bound="{bound}""#);
            add("campaign_usual_ratio", &usual, always(value));
        }
    }
    for (id, name, due) in [("6", "Next", NOW + DAY), ("8", "Late", NOW - HOUR)] {
        let planned = format!(r#"channel="sms",campaign_id="{id}""#);
        add("campaign_info", &format!(r#"{planned},campaign_name="{name}""#), always("1"));
        add("campaign_status", &format!(r#"{planned},status="waiting""#), always("1"));
        add("campaign_scheduled_timestamp_seconds", &planned, always(&due.to_string()));
    }
    let next = r#"channel="sms",campaign_id="6""#;
    add("campaign_recipients", next, always("700"));
    add("campaign:credits:scheduled", next, always("700"));
    for (name, value) in [
        ("campaign_account_up", "1"),
        ("campaign_account_lookback_seconds", "1209600"),
        ("campaign_account_credits", "500"),
        ("account:credits_scheduled:sum", "700"),
        ("account:credits_left:days", "4"),
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
    let organize = panel.transformations.iter().find(|step| step["id"] == "organize");
    let columns = organize.map(|organize| &organize["options"]["renameByName"]);
    let target = panel.targets.iter().find(|target| {
        column == "0"
            || columns.is_some_and(|columns| columns[format!("Value #{}", target.ref_id)] == column)
    });
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
        let (answer, time) = answer.split_once(" @ ").unwrap_or((answer, "20d"));
        let (row, value) = answer.rsplit_once(' ').unwrap();
        let labels: Vec<_> = row.split(", ").map(|it| it.split_once('=').unwrap()).collect();
        let dashboard = Dashboard::read(&file(&format!("campaigns-{uid}.json")));
        let names = labels.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let number = if value == "none" { "0" } else { value };
        let wanted = labels.iter().fold(format!("vector({number})"), |vector, (name, value)| {
            format!(r#"label_replace({vector}, "{name}", "{value}", "", "")"#)
        });
        let expr = asked(&dashboard, title, column);
        // sum by: a campaign of two exporters must not be there twice
        let equals = format!("abs(sum by ({names}) ({expr}) - on ({names}) {wanted}) < bool 1e-6");
        let equals = if value == "none" {
            format!("absent({expr} and on ({names}) {wanted})")
        } else {
            format!("sum({equals})")
        };
        tests.push(json!({
            "expr": equals,
            "eval_time": time,
            "exp_samples": [{"labels": "{}", "value": 1}],
        }));
    }
    let series =
        [of_campaigns(), of_the_account(), of_the_sound_account(), of_other_accounts()].concat();
    let test = json!({
        "rule_files": [],
        "tests": [{"interval": "1h", "input_series": series, "promql_expr_test": tests}],
    });
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("questions.yml"), test.to_string()).unwrap();
    promtool(&["test", "rules"], &["questions.yml".to_owned()], folder.path());
}
