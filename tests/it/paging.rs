//! Requests to each provider, page by page, and the metrics exported from the responses.

use std::collections::HashMap;

use campaign_simulator::{Campaign, Counts, Request, Simulator};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::apis::{Api, apis, cinnox, constant_contact, smsup};
use crate::support::daemon::{
    Daemon, Setup, TOKEN, account, config, poll_once, sample, samples, simulate,
};

/// Counts distinct from all other numbers.
fn counts(number: u64) -> Counts {
    Counts {
        recipients: 20_000 + number,
        sends: 10_000 + number,
        deliveries: 5_000 + number,
        clicks: number,
        ..Counts::default()
    }
}

/// An SMS campaign sent the given number of minutes ago.
fn campaign(number: u64, minutes: i64) -> Campaign {
    let sent_at = Utc::now() - TimeDelta::minutes(minutes);
    Campaign::sms(number.to_string(), "Spring", sent_at, counts(number))
}

/// Campaigns sent one minute apart.
fn campaigns(count: u64) -> Vec<Campaign> {
    let numbers = (1..=count).zip(1..);
    numbers
        .map(|(number, minutes)| campaign(number, minutes))
        .collect()
}

/// A raw item of a provider, with a count common to all three.
fn item(api: Api, id: &str, date: DateTime<Utc>, deliveries: &Value) -> Value {
    let local = date.with_timezone(&chrono_tz::Europe::Paris);
    match api.provider() {
        "constant_contact" => json!({
            "campaign_id": id,
            "campaign_name": "raw",
            "last_sent_date": date.to_rfc3339(),
            "unique_counts": { "sends": 1_000, "delivers": deliveries },
        }),
        "cinnox" => json!({
            "id": id,
            "campaignName": "raw",
            "date": date.to_rfc3339(),
            "channel": "SMS",
            "totalRecipients": 1_000,
            "delivered": deliveries,
        }),
        _ => json!({
            "id": id,
            "text": "raw",
            "date": local.format("%Y-%m-%d %H:%M:%S").to_string(),
            "status": "Sent",
            "total": "1000",
            "delivered": deliveries,
        }),
    }
}

/// Polls one account once and returns the metrics.
async fn polled(simulator: &Simulator, more: &[&str]) -> String {
    let setup = Setup::new(&config(&[account("one", simulator, more)]));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert!(status.success(), "{log}");
    metrics
}

fn parameters(requests: &[Request], name: &str) -> Vec<Option<String>> {
    requests
        .iter()
        .map(|request| request.parameter(name))
        .collect()
}

fn ids(metrics: &str) -> Vec<&str> {
    let deliveries = metrics
        .lines()
        .filter(|line| line.starts_with("campaign_deliveries{"));
    let mut ids: Vec<_> = deliveries
        .map(|line| line.split("campaign_id=\"").nth(1).unwrap())
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_campaigns_is_exported_with_their_counts() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, provider) in apis() {
        for count in [0, 1, 50, 51, 2_500] {
            let simulator = simulate(api, campaigns(count)).await;
            let name = format!("{provider}-{count}");
            // each account is polled once
            accounts.push(account(&name, &simulator, &["poll_interval: 1h"]));
            simulators.push((api, provider, name, count, simulator));
        }
    }
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let metrics = daemon
        .scrape_until(|metrics| {
            samples(metrics, "campaign_account_up", &[]) == vec![1.0; accounts.len()]
        })
        .await;
    let exported: HashMap<&str, f64> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect();
    for (api, provider, name, count, simulator) in &simulators {
        let labels = format!(r#"provider="{provider}",account="{name}",channel="sms""#);
        let own = format!(r#"account="{name}""#);
        let total = exported[format!("campaign_account_campaigns{{{labels}}}").as_str()];
        assert_eq!(total, *count as f64, "{name}");
        let series = samples(&metrics, "campaign_deliveries", &[&own]).len();
        assert_eq!(series as u64, *count, "{name}");
        let named = samples(
            &metrics,
            "campaign_info",
            &[&own, r#"campaign_name="Spring""#],
        );
        assert_eq!(named.len(), series, "{name}");
        for number in 1..=*count {
            let value = |metric| {
                let series = format!(r#"{metric}{{{labels},campaign_id="{number}"}}"#);
                exported.get(series.as_str()).copied()
            };
            let counts = counts(number);
            let attempted = match api.provider() {
                "constant_contact" => counts.sends,
                _ => counts.recipients,
            };
            let deliveries = counts.deliveries as f64;
            assert_eq!(value("campaign_deliveries"), Some(deliveries), "{name}");
            assert_eq!(
                value("campaign_attempted"),
                Some(attempted as f64),
                "{name}"
            );
            assert_eq!(
                value("campaign_delivery_ratio"),
                Some(deliveries / attempted as f64),
                "{name}"
            );
            let clicks = (api.provider() == "constant_contact").then_some(number as f64);
            assert_eq!(value("campaign_clicks"), clicks, "{name}");
        }
        // an extra page would waste quota
        let count = usize::try_from(*count).unwrap();
        let pages = match api.provider() {
            "constant_contact" => count.div_ceil(50).max(1),
            // there is no total: only an incomplete page is the last
            "cinnox" => count / 200 + 1,
            // plus its credits
            _ => count.div_ceil(1_000).max(1) + 1,
        };
        assert_eq!(simulator.requests().len(), pages, "{name}");
    }
}

#[tokio::test]
async fn constant_contact_requests_pages_of_fifty_within_the_lookback_and_follows_links() {
    let simulator = simulate(constant_contact(), campaigns(120)).await;
    let before = Utc::now();
    let metrics = polled(&simulator, &[]).await;
    let after = Utc::now();
    assert_eq!(ids(&metrics).len(), 120);

    let requests = simulator.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        let path = "/v3/reports/summary_reports/sms_campaign_summaries";
        assert_eq!(request.path(), path);
    }
    let start_at = requests[0].parameter("start_at").unwrap();
    let start_at: DateTime<Utc> = start_at.parse().unwrap();
    // includes milliseconds
    let lookback = TimeDelta::days(30);
    let margin = TimeDelta::milliseconds(1);
    assert!((before - lookback - margin..=after - lookback).contains(&start_at));
    assert_eq!(requests[0].parameter("limit").as_deref(), Some("50"));
    assert_eq!(requests[0].parameter("next"), None);
    // the cursor is complete and passed on unchanged
    for request in &requests[1..] {
        assert_eq!(request.parameter("start_at"), None);
        assert_eq!(request.parameter("next").unwrap().len(), 42);
    }
    assert_ne!(requests[1].path_and_query, requests[2].path_and_query);
}

#[tokio::test]
async fn cinnox_requests_pages_of_two_hundred_with_a_fixed_window() {
    let simulator = simulate(cinnox(), campaigns(450)).await;
    let before = Utc::now();
    let metrics = polled(&simulator, &[]).await;
    let after = Utc::now();
    assert_eq!(ids(&metrics).len(), 450);

    let requests = simulator.requests();
    for request in &requests {
        let path = "/v1/api/apps/demo-app/data/sent-campaigns-summary";
        assert_eq!(request.path(), path);
    }
    let some = |text: &str| Some(text.to_owned());
    let offsets = [some("0"), some("200"), some("400")];
    assert_eq!(parameters(&requests, "offset"), offsets);
    assert_eq!(parameters(&requests, "limit"), vec![some("200"); 3]);
    assert_eq!(parameters(&requests, "channel"), [None, None, None]);
    for name in ["startAt", "endAt"] {
        let first = requests[0].parameter(name);
        assert_eq!(parameters(&requests, name), vec![first; 3]);
    }
    let time = |name| -> DateTime<Utc> { requests[0].parameter(name).unwrap().parse().unwrap() };
    let lookback = TimeDelta::days(30);
    let margin = TimeDelta::milliseconds(1);
    assert!((before - lookback - margin..=after - lookback).contains(&time("startAt")));
    assert!(time("endAt") >= before, "what was just sent belongs to it");
}

#[tokio::test]
async fn cinnox_requests_a_channel_in_the_providers_spelling() {
    let sent_at = Utc::now() - TimeDelta::hours(1);
    let campaigns = vec![
        Campaign::sms("s", "sms", sent_at, counts(1)),
        Campaign::whatsapp("w", "whatsapp", sent_at, counts(2)),
    ];
    for (channels, asked, exported) in [
        ("[whatsapp]", Some("whatsApp"), &["w"][..]),
        ("[sms]", Some("sms"), &["s"]),
        ("[sms, whatsapp]", None, &["s", "w"]),
    ] {
        let simulator = simulate(cinnox(), campaigns.clone()).await;
        let channels_line = format!("channels: {channels}");
        let metrics = polled(&simulator, &[&channels_line]).await;
        assert_eq!(ids(&metrics), exported, "{channels}");
        let asked = asked.map(str::to_owned);
        assert_eq!(parameters(&simulator.requests(), "channel"), [asked]);
        // channels that the account cannot have are absent, not 0
        let totals = samples(&metrics, "campaign_account_campaigns", &[]);
        assert_eq!(totals, vec![1.0; exported.len()], "{channels}");
    }
}

#[tokio::test]
async fn smsup_requests_pages_of_a_thousand_and_credits() {
    let simulator = simulate(smsup(), campaigns(2_001)).await;
    let before = Utc::now();
    let metrics = polled(&simulator, &[]).await;
    let after = Utc::now();
    assert_eq!(ids(&metrics).len(), 2_001);
    assert_eq!(
        sample(&metrics, "campaign_account_credits", &[]),
        Some(44_690.0)
    );

    let requests = simulator.requests();
    let paths: Vec<_> = requests.iter().map(Request::path).collect();
    assert_eq!(
        paths,
        ["/campaigns", "/campaigns", "/campaigns", "/credits"]
    );
    let pages = &requests[..3];
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        parameters(pages, "start"),
        [some("0"), some("1000"), some("2000")]
    );
    assert_eq!(parameters(pages, "length"), vec![some("1000"); 3]);
    let date_start = pages[0].parameter("date_start");
    assert_eq!(parameters(pages, "date_start"), vec![date_start.clone(); 3]);
    // local time in the account's time zone
    let start = NaiveDateTime::parse_from_str(&date_start.unwrap(), "%Y-%m-%d %H:%M:%S").unwrap();
    let local = |now: DateTime<Utc>| {
        let start = now - TimeDelta::days(30);
        start.with_timezone(&chrono_tz::Europe::Paris).naive_local()
    };
    let earliest = local(before - TimeDelta::seconds(1));
    assert!((earliest..=local(after)).contains(&start), "{start}");
}

#[tokio::test]
async fn every_request_has_token_user_agent_and_accept() {
    for (api, provider) in apis() {
        let simulator = simulate(api, campaigns(1_001)).await;
        polled(&simulator, &[]).await;
        let requests = simulator.requests();
        assert!(requests.len() > 1, "{provider}");
        for request in requests {
            let header = |name| request.headers[name].to_str().unwrap();
            assert_eq!(request.method, "GET", "{provider}");
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(header("user-agent"), format!("campaign_exporter/{version}"));
            assert_eq!(header("accept"), "application/json", "{provider}");
            assert_eq!(header("authorization"), format!("Bearer {TOKEN}"));
        }
    }
}

#[tokio::test]
async fn campaigns_deleted_at_the_provider_disappear() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, provider) in apis() {
        let simulator = simulate(api, campaigns(3)).await;
        accounts.push(account(provider, &simulator, &[]));
        simulators.push(simulator);
    }
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let number = |metrics: &str, id: &str| {
        let label = format!(r#"campaign_id="{id}""#);
        samples(metrics, "campaign_deliveries", &[&label]).len()
    };
    daemon
        .scrape_until(|metrics| number(metrics, "2") == 3)
        .await;
    for simulator in &simulators {
        simulator.update(|state| {
            let kept = vec![campaign(1, 1), campaign(3, 3)];
            state.campaigns = kept.into();
        });
    }
    let metrics = daemon
        .scrape_until(|metrics| number(metrics, "2") == 0)
        .await;
    // in every family
    assert!(!metrics.contains(r#"campaign_id="2""#));
    assert_eq!((number(&metrics, "1"), number(&metrics, "3")), (3, 3));
    assert_eq!(
        samples(
            &metrics,
            "campaign_account_campaigns",
            &[r#"channel="sms""#]
        ),
        [2.0; 3]
    );
}

#[tokio::test]
async fn the_last_of_duplicate_campaigns_is_exported() {
    for (api, provider) in apis() {
        let simulator = simulate(api, Vec::new()).await;
        let date = Utc::now() - TimeDelta::hours(1);
        simulator.update(|state| {
            // far enough apart to be on different pages of the smallest size
            let others = (0..60).map(|number| item(api, &format!("o-{number}"), date, &json!(1)));
            state.items = [item(api, "twice", date, &json!(600))]
                .into_iter()
                .chain(others)
                .chain([item(api, "twice", date, &json!(700))])
                .collect();
        });
        let metrics = polled(&simulator, &[]).await;
        let twice = samples(&metrics, "campaign_deliveries", &[r#"campaign_id="twice""#]);
        assert_eq!(twice, [700.0], "{provider}");
        let total = sample(
            &metrics,
            "campaign_account_campaigns",
            &[r#"channel="sms""#],
        );
        assert_eq!(total, Some(61.0), "{provider}");
    }
}

#[tokio::test]
async fn max_campaigns_keeps_the_newest_and_counts_the_dropped_ones() {
    for (api, provider) in apis() {
        // neither ids nor list are ordered by date
        let listed = [(1, 10), (2, 500), (3, 5), (4, 200), (5, 100)];
        let listed = listed.map(|(number, minutes)| campaign(number, minutes));
        let simulator = simulate(api, listed.to_vec()).await;
        // campaigns without a date count as the oldest
        let mut undated = item(api, "undated", Utc::now(), &json!(1));
        let date = match api.provider() {
            "constant_contact" => "last_sent_date",
            _ => "date",
        };
        undated.as_object_mut().unwrap().remove(date);
        simulator.update(|state| state.items = vec![undated]);
        for (most, kept, dropped) in [
            (2, &["1", "3"][..], 4.0),
            (5, &["1", "2", "3", "4", "5"], 1.0),
            (6, &["1", "2", "3", "4", "5", "undated"], 0.0),
        ] {
            let metrics = polled(&simulator, &[&format!("max_campaigns: {most}")]).await;
            assert_eq!(ids(&metrics), kept, "{provider}");
            let value = sample(&metrics, "campaign_account_campaigns_dropped", &[]);
            assert_eq!(value, Some(dropped), "{provider}");
        }
    }
}

#[tokio::test]
async fn account_ratios_are_sum_over_sum_by_channel() {
    let sent_at = Utc::now() - TimeDelta::hours(1);
    let of = |recipients, deliveries, bounces| Counts {
        recipients,
        sends: recipients,
        deliveries,
        bounces,
        clicks: deliveries / 10,
        opt_outs: 1,
        error: bounces,
        ..Counts::default()
    };
    let sms = |id: &str, counts| Campaign::sms(id, id, sent_at, counts);
    let whatsapp = |id: &str, counts| Campaign::whatsapp(id, id, sent_at, counts);
    let all = vec![
        sms("a", of(1_000, 900, 100)),
        sms("b", of(10, 1, 9)),
        sms("nobody", Counts::default()),
        whatsapp("c", of(200, 150, 20)),
        whatsapp("d", of(300, 50, 10)),
    ];
    let mut metrics = HashMap::new();
    for (api, provider) in apis() {
        let campaigns = match api.provider() {
            "smsup" => all[..3].to_vec(),
            _ => all.clone(),
        };
        let simulator = simulate(api, campaigns).await;
        // a campaign that lacks a count is excluded from ratios that use it
        let partial = item(api, "partial", sent_at, &Value::Null);
        simulator.update(|state| state.items = vec![partial]);
        metrics.insert(provider, polled(&simulator, &[]).await);
    }
    let ratio = |provider, name: &str, channel: &str| {
        let name = format!("campaign_account_{name}_ratio");
        let channel = format!(r#"channel="{channel}""#);
        sample(&metrics[provider], &name, &[&channel])
    };
    for (_, provider) in apis() {
        let delivery = ratio(provider, "delivery", "sms");
        assert_eq!(delivery, Some(901.0 / 1_010.0), "{provider}");
    }
    assert_eq!(
        ratio("constant_contact", "click", "sms"),
        Some(90.0 / 1_010.0)
    );
    assert_eq!(
        ratio("constant_contact", "bounce", "sms"),
        Some(109.0 / 1_010.0)
    );
    assert_eq!(
        ratio("constant_contact", "opt_out", "sms"),
        Some(2.0 / 1_010.0)
    );
    assert_eq!(ratio("cinnox", "delivery", "whatsapp"), Some(200.0 / 500.0));
    assert_eq!(ratio("cinnox", "bounce", "whatsapp"), Some(30.0 / 500.0));
    assert_eq!(ratio("cinnox", "bounce", "sms"), None);
    assert_eq!(ratio("cinnox", "click", "sms"), None);
    assert_eq!(ratio("smsup", "bounce", "sms"), Some(109.0 / 1_010.0));
    assert_eq!(ratio("smsup", "opt_out", "sms"), Some(2.0 / 1_010.0));
    assert_eq!(ratio("smsup", "click", "sms"), None);
    // without recipients there are counts but no ratios
    let nobody = r#"campaign_id="nobody""#;
    for metrics in metrics.values() {
        assert_eq!(sample(metrics, "campaign_attempted", &[nobody]), Some(0.0));
        assert_eq!(sample(metrics, "campaign_delivery_ratio", &[nobody]), None);
    }
}

#[tokio::test]
async fn reported_ratios_are_exported_only_if_they_cover_all_campaigns() {
    let counts = Counts {
        sends: 200,
        deliveries: 190,
        clicks: 20,
        bounces: 10,
        opt_outs: 2,
        ..Counts::default()
    };
    let same = |count: i64| -> Vec<Campaign> {
        let minutes = (1..=count).map(TimeDelta::minutes);
        minutes
            .map(|ago| Campaign::sms(ago.to_string(), "Same", Utc::now() - ago, counts))
            .collect()
    };
    for (count, expected) in [
        (0, [None; 4]),
        (50, [Some(0.95), Some(0.1), Some(0.05), Some(0.01)]),
        (51, [None; 4]),
    ] {
        let simulator = simulate(constant_contact(), same(count)).await;
        let metrics = polled(&simulator, &[]).await;
        let rates = ["deliver", "click", "bounce", "unsubscribe"].map(|rate| {
            let rate = format!(r#"rate="{rate}""#);
            sample(&metrics, "campaign_account_reported_ratio", &[&rate])
        });
        assert_eq!(rates, expected, "{count}");
    }
}

#[tokio::test]
async fn campaigns_sent_before_the_lookback_are_not_exported() {
    const DAY: i64 = 24 * 60;
    let listed = [
        (1, DAY),
        (2, 2 * DAY - 10),
        (3, 2 * DAY + 10),
        (4, 30 * DAY - 10),
    ];
    let listed = listed.map(|(number, minutes)| campaign(number, minutes));
    for (api, provider) in apis() {
        let simulator = simulate(api, listed.to_vec()).await;
        let metrics = polled(&simulator, &["lookback: 2d"]).await;
        assert_eq!(ids(&metrics), ["1", "2"], "{provider}");
        let lookback = sample(&metrics, "campaign_account_lookback_seconds", &[]);
        assert_eq!(lookback, Some(2.0 * 24.0 * 3600.0), "{provider}");
        let all = polled(&simulator, &[]).await;
        assert_eq!(ids(&all), ["1", "2", "3", "4"], "{provider}");
    }
}

#[tokio::test]
async fn scheduled_campaigns_are_exported_without_ratios() {
    let mut planned = campaign(1, -24 * 60);
    planned.status = "Waiting";
    let scheduled = planned.sent_at.timestamp();
    let simulator = simulate(smsup(), vec![planned, campaign(2, 60)]).await;
    let metrics = polled(&simulator, &[]).await;
    let id = r#"campaign_id="1""#;
    let value = |name| sample(&metrics, name, &[id]);
    assert_eq!(
        value("campaign_scheduled_timestamp_seconds"),
        Some(scheduled as f64)
    );
    assert_eq!(value("campaign_recipients"), Some(20_001.0));
    assert_eq!(
        sample(&metrics, "campaign_status", &[id, r#"status="waiting""#]),
        Some(1.0)
    );
    for absent in [
        "campaign_last_sent_timestamp_seconds",
        "campaign_attempted",
        "campaign_delivery_ratio",
        "campaign_bounce_ratio",
    ] {
        assert_eq!(value(absent), None, "{absent}");
    }
    let account = sample(&metrics, "campaign_account_delivery_ratio", &[]);
    assert_eq!(account, Some(5_002.0 / 20_002.0));
}
