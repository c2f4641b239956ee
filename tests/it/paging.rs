//! Requests to each provider, page by page, and the metrics exported from the responses.

use std::collections::HashMap;

use campaign_exporter::campaign::counts::Count;
use campaign_simulator::{Campaign, Channel, Counts, Fault, FaultPlan, Simulator};
use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::support::apis::{
    apis, count_of, has_whatsapp, kind, kinds, renewed, reports, sms_rates, with_statuses,
};
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
    numbers.map(|(number, minutes)| campaign(number, minutes)).collect()
}

/// Polls one account once and returns the metrics.
async fn polled(simulator: &Simulator, more: &[&str]) -> String {
    let setup = Setup::new(&config(&[account("one", simulator, more)]));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert!(status.success(), "{log}");
    metrics
}

fn ids(metrics: &str) -> Vec<&str> {
    let infos = metrics.lines().filter(|line| line.starts_with("campaign_info{"));
    let mut ids: Vec<_> = infos
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
        let page = api.listing().page_size as u64;
        for count in [0, 1, page, page + 1, 2_500] {
            let simulator = simulate(api, campaigns(count)).await;
            let name = format!("{provider}-{count}");
            // each account is polled once
            accounts.push(account(&name, &simulator, &["poll_interval: 1h"]));
            simulators.push((api, provider, name, count, simulator));
        }
    }
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let metrics = daemon.until_up(accounts.len()).await;
    let exported: HashMap<&str, f64> = metrics
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect();
    for (api, provider, name, count, simulator) in &simulators {
        let listing = api.listing();
        let labels = format!(r#"provider="{provider}",account="{name}",channel="sms""#);
        let own = format!(r#"account="{name}""#);
        let total = exported[format!("campaign_account_campaigns{{{labels}}}").as_str()];
        assert_eq!(total, *count as f64, "{name}");
        let series = samples(&metrics, "campaign_deliveries", &[&own]).len();
        assert_eq!(series as u64, *count, "{name}");
        let named = samples(&metrics, "campaign_info", &[&own, r#"campaign_name="Spring""#]);
        assert_eq!(named.len(), series, "{name}");
        for number in 1..=*count {
            let value = |metric| {
                let series = format!(r#"{metric}{{{labels},campaign_id="{number}"}}"#);
                exported.get(series.as_str()).copied()
            };
            let counts = counts(number);
            let mut item =
                simulator.read(|state| api.item(state, Utc::now(), &campaign(number, 1)));
            let attempted = count_of(&mut item, &listing, listing.attempted);
            let attempted: f64 = attempted.to_string().trim_matches('"').parse().unwrap();
            let deliveries = counts.deliveries as f64;
            assert_eq!(value("campaign_deliveries"), Some(deliveries), "{name}");
            assert_eq!(value("campaign_attempted"), Some(attempted), "{name}");
            assert_eq!(value("campaign_delivery_ratio"), Some(deliveries / attempted), "{name}");
            let clicks = reports(kind(*api), Count::Clicks).then_some(number as f64);
            assert_eq!(value("campaign_clicks"), clicks, "{name}");
        }
        // an extra page would waste quota
        let requests = listing.requests(usize::try_from(*count).unwrap());
        assert_eq!(simulator.requests().len(), requests, "{name}");
    }
}

#[tokio::test]
async fn requests_cover_the_lookback() {
    for (api, provider) in apis() {
        let simulator = simulate(api, campaigns(1)).await;
        let before = Utc::now();
        polled(&simulator, &[]).await;
        let request = &simulator.requests()[0];
        let start = simulator.read(|state| api.window_start(state, request)).unwrap();
        let (lookback, margin) = (TimeDelta::days(30), TimeDelta::seconds(1));
        let expected = before - lookback - margin..=Utc::now() - lookback;
        assert!(expected.contains(&start), "{provider}: {start}");
    }
}

#[tokio::test]
async fn only_the_configured_channels_are_exported() {
    let sent_at = Utc::now() - TimeDelta::hours(1);
    for (api, provider) in apis() {
        let words: Vec<_> =
            kind(api).channels.iter().map(campaign_exporter::campaign::Channel::as_str).collect();
        if words.len() == 1 {
            continue;
        }
        let campaigns: Vec<_> = words
            .iter()
            .map(|word| Campaign {
                channel: match *word {
                    "sms" => Channel::Sms,
                    "whatsapp" => Channel::Whatsapp,
                    "email" => Channel::Email,
                    other => panic!("{other} is not simulated"),
                },
                ..Campaign::sms(*word, *word, sent_at, counts(1))
            })
            .collect();
        let alone = words.iter().map(std::slice::from_ref);
        for channels in alone.chain([words.as_slice()]) {
            let simulator = simulate(api, campaigns.clone()).await;
            let key = format!("channels: [{}]", channels.join(", "));
            let metrics = polled(&simulator, &[&key]).await;
            let mut exported = channels.to_vec();
            exported.sort_unstable();
            assert_eq!(ids(&metrics), exported, "{provider} {key}");
            // channels that the account cannot have are absent, not 0
            for channel in &words {
                let label = format!("channel={channel:?}");
                let total = sample(&metrics, "campaign_account_campaigns", &[&label]);
                let expected = channels.contains(channel).then_some(1.0);
                assert_eq!(total, expected, "{provider} {key} {channel}");
            }
        }
    }
}

#[tokio::test]
async fn every_request_has_token_user_agent_and_accept() {
    for (api, provider) in apis() {
        let simulator = simulate(api, campaigns(api.listing().page_size as u64 + 1)).await;
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
async fn campaigns_deleted_between_two_pages_hide_no_others() {
    for (api, provider) in apis() {
        let listing = api.listing();
        if !listing.by_offset {
            continue;
        }
        let all = 2 * listing.page_size + 20;
        for deleted in [1, 3, listing.page_size + 3] {
            let simulator = simulate(api, Vec::new()).await;
            simulator.update(|state| {
                let numbers = 1..=all as u64;
                let items =
                    numbers.map(|number| api.item(state, Utc::now(), &campaign(number, 60)));
                state.items = items.collect();
                state.fault = Some(FaultPlan::once(Fault::Deletion { items: deleted }));
            });
            let metrics = polled(&simulator, &[]).await;
            let exported = ids(&metrics);
            for number in deleted + 1..=all {
                let id = number.to_string();
                assert!(exported.contains(&id.as_str()), "{provider} {deleted}: {id}");
            }
            // half a page again for each half that was deleted
            let again = 2 * deleted / listing.page_size + 1;
            let most = listing.requests(all) + again;
            let requests = simulator.requests().len();
            assert!(requests <= most, "{provider} {deleted}: {requests}");
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
    for kind in kinds() {
        let (api, listing) = (kind.simulated.unwrap(), kind.simulated.unwrap().listing());
        let mut campaigns = all.clone();
        campaigns.retain(|campaign| has_whatsapp(api) || campaign.channel == Channel::Sms);
        let simulator = simulate(api, campaigns).await;
        // a campaign that lacks a count is excluded from ratios that use it
        simulator.update(|state| {
            let mut partial = api.item(state, Utc::now(), &sms("partial", of(500, 0, 0)));
            for name in api.counts().iter().filter(|name| **name != listing.attempted) {
                *count_of(&mut partial, &listing, name) = Value::Null;
            }
            state.items = vec![partial];
        });
        let own = polled(&simulator, &[]).await;
        let ratio = |name: &str, channel: &str| {
            let name = format!("campaign_account_{name}_ratio");
            sample(&own, &name, &[&format!(r#"channel="{channel}""#)])
        };
        let reported = |count, sum: f64| reports(kind, count).then_some(sum / 1_010.0);
        assert_eq!(ratio("delivery", "sms"), Some(901.0 / 1_010.0), "{kind:?}");
        assert_eq!(ratio("click", "sms"), reported(Count::Clicks, 90.0));
        assert_eq!(ratio("opt_out", "sms"), reported(Count::OptOuts, 2.0));
        if has_whatsapp(api) {
            assert_eq!(ratio("delivery", "whatsapp"), Some(200.0 / 500.0));
            let bounces = reports(kind, Count::Bounces).then_some(30.0 / 500.0);
            assert_eq!(ratio("bounce", "whatsapp"), bounces);
        } else {
            assert_eq!(ratio("bounce", "sms"), reported(Count::Bounces, 109.0));
        }
        metrics.insert(&*kind.name, own);
    }
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
    let own_ratios = ["delivery", "click", "bounce", "opt_out"];
    for kind in kinds().filter(|kind| !kind.rates.is_empty()) {
        let page = i64::try_from(kind.simulated.unwrap().listing().page_size).unwrap();
        for (count, covers_all) in [(0, false), (page, true), (page + 1, false)] {
            let simulator = simulate(kind.simulated.unwrap(), same(count)).await;
            let metrics = polled(&simulator, &[]).await;
            let reported = samples(&metrics, "campaign_account_reported_ratio", &[]);
            let expected = if covers_all { sms_rates(kind).len() } else { 0 };
            assert_eq!(reported.len(), expected, "{kind:?} {count}");
            let own = own_ratios.map(|name| format!("campaign_account_{name}_ratio"));
            let own: Vec<_> = own.iter().filter_map(|name| sample(&metrics, name, &[])).collect();
            assert!(reported.iter().all(|ratio| own.contains(ratio)), "{reported:?} {own:?}");
        }
    }
}

#[tokio::test]
async fn campaigns_sent_before_the_lookback_are_not_exported() {
    const DAY: i64 = 24 * 60;
    let listed = [(1, DAY), (2, 2 * DAY - 10), (3, 2 * DAY + 10), (4, 30 * DAY - 10)];
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
    let simulator = simulate(with_statuses(), vec![planned, campaign(2, 60)]).await;
    let metrics = polled(&simulator, &[]).await;
    let id = r#"campaign_id="1""#;
    let value = |name| sample(&metrics, name, &[id]);
    assert_eq!(value("campaign_scheduled_timestamp_seconds"), Some(scheduled as f64));
    assert_eq!(value("campaign_recipients"), Some(20_001.0));
    assert_eq!(sample(&metrics, "campaign_status", &[id, r#"status="waiting""#]), Some(1.0));
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

#[tokio::test]
async fn only_documented_requests_are_made() {
    for kind in kinds() {
        let simulator = simulate(kind.simulated.unwrap(), campaigns(1_100)).await;
        let setup = Setup::new("");
        let token = setup.folder().join("refresh");
        std::fs::write(&token, "first").unwrap();
        simulator.update(|state| state.authorization.grant("first"));
        let mut accounts = vec![account("one", &simulator, &[])];
        if kind.simulated.unwrap().authorization().is_some() {
            accounts.push(renewed("two", &simulator, &token, &[]));
        }
        setup.write_config(&config(&accounts));
        let storage = setup.storage().display().to_string();
        let (status, _, log) = poll_once(&setup, &["--storage.path", &storage]).await;
        assert!(status.success(), "{log}");
        let (api, base) = (kind.simulated.unwrap(), simulator.base_url());
        let own = api.renewed_account(&base, &token);
        let own = own.unwrap_or_else(|| api.account(&base, &token));
        let documented = kind.requests.iter().map(|(key, request)| {
            let (method, path) = request.split_once(' ').unwrap();
            let prefix = own[key].as_str().unwrap().replace(&base, "");
            format!("{method} {prefix}{path}")
        });
        let documented: Vec<_> = documented.collect();
        let is_documented = |asked: &str| {
            documented.iter().any(|request| {
                let mut segments = asked.split('/').zip(request.split('/'));
                asked.matches('/').count() == request.matches('/').count()
                    && segments.all(|(one, of)| of.starts_with('{') || one == of)
            })
        };
        for request in simulator.requests() {
            let asked = format!("{} {}", request.method, request.path());
            assert!(is_documented(&asked), "{}: {asked}", kind.name);
        }
    }
}
