//! Every built-in definition, polled over HTTP from its simulated platform.

use std::collections::HashSet;
use std::fmt::Write;

use campaign_exporter::campaign::Status;
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::provider::{Kind, Kinds, built_in, native};
use campaign_simulator::{Campaign, Channel, Counts, Fault, FaultPlan, Request, Simulator, World};
use chrono::{DurationRound, TimeDelta, Utc};

use crate::support::daemon::{Daemon, Setup, account, config, sample, samples, simulate};

/// Counts distinct from each other and from those of other campaigns.
fn counts(number: u64) -> Counts {
    Counts {
        recipients: 90_000 + number,
        sends: 70_000 + number,
        deliveries: 50_000 + number,
        clicks: number,
        bounces: 2_023 + number,
        opt_outs: 4_000 + number,
        reads: 30_000 + number,
        replies: 6_000 + number,
        pending: 8_000 + number,
        error: 2_000 + number,
        expired: 20,
        network_error: 3,
        unassigned: 0,
    }
}

fn expected(count: Count, counts: &Counts) -> u64 {
    match count {
        Count::Recipients => counts.recipients,
        Count::Sends => counts.sends,
        Count::Deliveries => counts.deliveries,
        Count::Opens | Count::Reads => counts.reads,
        Count::Clicks => counts.clicks,
        Count::Bounces => counts.bounces,
        Count::OptOuts => counts.opt_outs,
        Count::Replies => counts.replies,
        Count::Pending => counts.pending,
        Count::Complaints | Count::Conversions => 0,
    }
}

/// Campaigns on each channel of a provider in turn, sent one minute apart.
fn campaigns(kind: &Kind, count: usize) -> Vec<Campaign> {
    let now = Utc::now().duration_trunc(TimeDelta::seconds(1)).unwrap();
    let channels = kind.channels.iter().cycle();
    let numbered = (1..=count as u64).zip(1..).zip(channels);
    numbered
        .map(|((number, minutes), channel)| Campaign {
            channel: match channel.as_str() {
                "whatsapp" => Channel::Whatsapp,
                "email" => Channel::Email,
                _ => Channel::Sms,
            },
            ..Campaign::sms(
                (1_000 + number).to_string(),
                format!("Spring {number}"),
                now - TimeDelta::minutes(minutes),
                counts(number),
            )
        })
        .collect()
}

fn definitions() -> Kinds {
    let native = native();
    built_in().iter().filter(|kind| native.get(&kind.name).is_none()).cloned().collect()
}

/// An account at a simulated platform that is polled once.
struct Polled {
    name: String,
    simulator: Simulator,
    campaigns: Vec<Campaign>,
}

async fn polled(kind: &Kind, what: &str, count: usize) -> Polled {
    let campaigns = campaigns(kind, count);
    let api = kind.simulated.unwrap_or_else(|| panic!("{kind:?} is not simulated"));
    let simulator = simulate(api, campaigns.clone()).await;
    Polled { name: format!("{}-{what}", kind.name), simulator, campaigns }
}

async fn started(accounts: &[&Polled]) -> Daemon {
    let accounts = accounts.iter();
    let more = ["poll_interval: 1h", "requests_per_minute: 100000", "requests_per_hour: 100000"];
    let accounts: Vec<_> =
        accounts.map(|polled| account(&polled.name, &polled.simulator, &more)).collect();
    Daemon::start(Setup::new(&config(&accounts)), &[]).await
}

/// What of the campaigns of an account is not exported as the platform has it.
fn differences(kind: &Kind, polled: &Polled, metrics: &str) -> String {
    let own = format!("account={:?}", polled.name);
    let lines: String =
        metrics.lines().filter(|line| line.contains(&own)).flat_map(|line| [line, "\n"]).collect();
    let mut found = String::new();
    let mut compare = |what: &str, exported: Option<f64>, expected: Option<f64>| {
        if exported != expected {
            writeln!(found, "{} {what}: {exported:?}, not {expected:?}", polled.name).unwrap();
        }
    };
    let total: f64 = samples(&lines, "campaign_account_campaigns", &[]).iter().sum();
    compare("campaigns", Some(total), Some(polled.campaigns.len() as f64));
    let problems: f64 =
        samples(metrics, "campaign_exporter_decode_problems_total", &[&own]).iter().sum();
    compare("problems", Some(problems), Some(0.0));
    // of many pages, the first and the last campaigns
    let ends = polled.campaigns.iter().take(30);
    for campaign in ends.chain(polled.campaigns.iter().rev().take(5)) {
        let id = format!("campaign_id={:?}", campaign.id);
        let block: String =
            lines.lines().filter(|line| line.contains(&id)).flat_map(|line| [line, "\n"]).collect();
        let value = |metric: &str, labels: &[&str]| sample(&block, metric, labels);
        let channel = kind
            .channels
            .iter()
            .find(|channel| block.contains(&format!("channel={:?}", channel.as_str())));
        let Some(channel) = channel else {
            compare(&id, None, Some(1.0));
            continue;
        };
        for count in Count::ALL {
            let name = count.name();
            let expected =
                kind.reports(*count, channel).then(|| expected(*count, &campaign.counts));
            let exported = value(&format!("campaign_{name}"), &[]);
            compare(&format!("{id} {name}"), exported, expected.map(|value| value as f64));
        }
        let name = format!("campaign_name={:?}", campaign.name);
        compare(&format!("{id} {name}"), value("campaign_info", &[&name]), Some(1.0));
        let is_known = |metric| kind.fills(metric);
        let sent = is_known("campaign_last_sent_timestamp_seconds");
        let sent = sent.then(|| campaign.sent_at.timestamp() as f64);
        compare(&format!("{id} sent"), value("campaign_last_sent_timestamp_seconds", &[]), sent);
        let status = (!kind.statuses.is_empty()).then_some(1.0);
        let shown = value("campaign_status", &[r#"status="sent""#]);
        compare(&format!("{id} status"), shown, status);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_definition_reads_all_pages_of_its_platform() {
    let kinds = definitions();
    let mut all = Vec::new();
    for kind in kinds.iter() {
        let page = kind.simulated.unwrap().listing().page_size;
        for count in [0, 1, page, page + 1] {
            all.push((kind, polled(kind, &count.to_string(), count).await));
        }
    }
    let accounts: Vec<_> = all.iter().map(|(_, polled)| polled).collect();
    let daemon = started(&accounts).await;
    let metrics = daemon.until_up(all.len()).await;
    let found: String =
        all.iter().map(|(kind, polled)| differences(kind, polled, &metrics)).collect();
    assert!(found.is_empty(), "{found}");
    for (kind, polled) in &all {
        refuses_other_requests(kind, polled);
    }
}

/// A platform answers the requests that its definition makes, and no others.
fn refuses_other_requests(kind: &Kind, polled: &Polled) {
    let api = kind.simulated.unwrap();
    let asked = polled.simulator.requests().remove(0);
    let answer = |change: &dyn Fn(&mut Request)| {
        let mut request = asked.clone();
        change(&mut request);
        let mut found = String::new();
        polled.simulator.update(|state| {
            found = format!("{:?}", api.answer(state, Utc::now(), &request));
        });
        found
    };
    let refused = |status| format!("{:?}", api.error(status));
    for status in [400, 401, 404] {
        assert_ne!(answer(&|_| {}), refused(status), "{kind:?}");
    }
    let sign = if asked.path_and_query.contains('?') { '&' } else { '?' };
    let unknown = format!("{sign}unknown=1");
    assert_eq!(answer(&|request| request.path_and_query += &unknown), refused(400), "{kind:?}");
    assert_eq!(answer(&|request| request.path_and_query.insert(1, 'x')), refused(404), "{kind:?}");
    assert_eq!(answer(&|request| "PUT".clone_into(&mut request.method)), refused(404), "{kind:?}");
    let anonymous = answer(&|request| {
        request.headers.clear();
        request.form.clear();
    });
    assert_eq!(anonymous, refused(401), "{kind:?}");
}

#[test]
fn the_campaigns_of_two_platforms_have_different_ids() {
    let mut seen = HashSet::new();
    for kind in definitions().iter() {
        let world = World::new(kind.simulated.unwrap(), 1, Utc::now());
        let campaigns = world.campaigns(Utc::now());
        let ids: Vec<_> = campaigns.into_iter().map(|campaign| campaign.id).collect();
        assert!(ids.iter().all(|id| !seen.contains(id)), "{kind:?}");
        seen.extend(ids);
    }
}

/// A campaign of each status.
fn of_each_status() -> Vec<Campaign> {
    let statuses = ["Sent", "In progress", "Waiting", "In moderation", "Denied"];
    let numbered = statuses.into_iter().zip(1..).zip(1..);
    let campaigns = numbered.map(|((status, number), minutes)| {
        let ago = if status == "Waiting" { -minutes } else { minutes };
        let sent_at = Utc::now() - TimeDelta::minutes(ago);
        let campaign = Campaign::sms(number.to_string(), "Spring", sent_at, counts(number));
        Campaign { status, ..campaign }
    });
    campaigns.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_a_definition_is_read_from_its_platform() {
    let kinds = definitions();
    let mut all = Vec::new();
    for kind in kinds.iter() {
        let polled = polled(kind, "statuses", 0).await;
        // those of the demo too
        let world = World::new(kind.simulated.unwrap(), 1, Utc::now());
        let campaigns = [of_each_status(), world.campaigns(Utc::now())].concat();
        polled.simulator.update(|state| state.campaigns = campaigns.into());
        all.push((kind, polled));
    }
    let accounts: Vec<_> = all.iter().map(|(_, polled)| polled).collect();
    let metrics = started(&accounts).await.until_up(all.len()).await;
    for (kind, polled) in &all {
        let own = format!("account={:?}", polled.name);
        let problems = samples(&metrics, "campaign_exporter_decode_problems_total", &[&own]);
        assert_eq!(problems.iter().sum::<f64>(), 0.0, "{kind:?}");
        for status in Status::ALL {
            let label = format!("status={:?}", status.as_str());
            let shown: f64 = samples(&metrics, "campaign_status", &[&own, &label]).iter().sum();
            let is_read = kind.statuses.contains(&status) && status != Status::Other;
            assert_eq!(shown > 0.0, is_read, "{kind:?} {label}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_platform_refuses_in_its_own_form() {
    let kinds = definitions();
    let mut all = Vec::new();
    for kind in kinds.iter() {
        for (code, reason) in [(401, "auth"), (429, "throttled"), (503, "server"), (404, "client")]
        {
            let polled = polled(kind, reason, 1).await;
            let retry_after = (code == 429).then(|| "3600".to_owned());
            polled.simulator.update(|state| match code {
                401 => state.token = "another".to_owned(),
                code => {
                    state.fault = Some(FaultPlan::always(Fault::Status { code, retry_after }));
                }
            });
            all.push((polled, reason));
        }
    }
    let accounts: Vec<_> = all.iter().map(|(polled, _)| polled).collect();
    let daemon = started(&accounts).await;
    let errors = |metrics: &str, name: &str, labels: &[&str]| {
        let own = format!("account={name:?}");
        let labels: Vec<_> = labels.iter().copied().chain([own.as_str()]).collect();
        samples(metrics, "campaign_exporter_poll_errors_total", &labels).iter().sum::<f64>()
    };
    let metrics = daemon
        .scrape_until(|metrics| all.iter().all(|(own, _)| errors(metrics, &own.name, &[]) > 0.0))
        .await;
    for (polled, reason) in &all {
        let (name, label) = (&polled.name, format!("reason={reason:?}"));
        let found: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with("campaign_exporter_poll_errors_total"))
            .filter(|line| line.contains(&format!("account={name:?}")) && !line.ends_with(" 0"))
            .collect();
        assert!(errors(&metrics, name, &[&label]) > 0.0, "{name}: {found:?}");
        // a platform that asks for patience is not asked again
        if *reason == "throttled" {
            assert_eq!(polled.simulator.requests().len(), 1, "{name}");
        }
    }
}
