//! Scrapes of the exporter by a real Prometheus.

use std::collections::BTreeMap;

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Campaign, Counts, Simulator};
use chrono::{TimeDelta, Utc};

use crate::support::apis::{with_channels, with_clicks, with_statuses};
use crate::support::daemon::{Daemon, LIMIT, Setup, account, client, config, simulate};
use crate::support::prometheus::{HOSTILE, Prometheus};
use crate::support::strict;

const JOIN: &str = "on (job, instance, provider, account, channel, campaign_id) \
                    group_left (campaign_name) campaign_info";

const COUNTS: Counts = Counts {
    recipients: 110,
    sends: 100,
    deliveries: 90,
    clicks: 30,
    bounces: 8,
    opt_outs: 2,
    reads: 45,
    replies: 99,
    pending: 2,
    error: 4,
    expired: 3,
    network_error: 1,
    unassigned: 2,
};

/// Starts an exporter with an account of each provider, and a Prometheus that scrapes it.
struct Stack {
    daemon: Daemon,
    prometheus: Prometheus,
    spring: Simulator,
    _others: [Simulator; 2],
}

impl Stack {
    async fn start() -> Self {
        let sent_at = Utc::now() - TimeDelta::days(1);
        let sms = |id: &str, name: &str| Campaign::sms(id, name, sent_at, COUNTS);
        let of_spring = vec![sms("cc-1", "Spring"), sms("cc-2", HOSTILE)];
        let spring = simulate(with_clicks(), of_spring).await;
        let whatsapp = Campaign::whatsapp("cx-1", HOSTILE, sent_at, COUNTS);
        let desk = simulate(with_channels(), vec![whatsapp, sms("cx-2", "")]).await;
        let shoes = simulate(with_statuses(), vec![sms("18969398", "Shoes")]).await;
        let accounts = [
            account("spring-us", &spring, &[]),
            account("desk-hk", &desk, &[]),
            account("shoes-ch", &shoes, &[]),
        ];
        let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
        let prometheus = Prometheus::scraping(daemon.address()).await;
        prometheus.wait_for("up", |found| matches!(found, [(_, value)] if *value == 1.0)).await;
        prometheus
            .wait_for(
                "sum(campaign_account_up)",
                |found| matches!(found, [(_, value)] if *value == 3.0),
            )
            .await;
        Self { daemon, prometheus, spring, _others: [desk, shoes] }
    }
}

#[tokio::test]
async fn joins_with_campaign_info_return_exact_names() {
    let Stack { prometheus, .. } = &Stack::start().await;
    let found = prometheus.query(&format!("campaign_delivery_ratio * {JOIN}")).await;
    let names: BTreeMap<String, Option<String>> = found
        .into_iter()
        .map(|(mut labels, _)| {
            (labels.remove("campaign_id").unwrap(), labels.remove("campaign_name"))
        })
        .collect();
    let expected = [
        ("cc-1", Some("Spring")),
        ("cc-2", Some(HOSTILE)),
        ("cx-1", Some(HOSTILE)),
        // Prometheus treats empty labels as missing
        ("cx-2", None),
        ("18969398", Some("Shoes")),
    ];
    let expected = expected.map(|(id, name)| (id.to_owned(), name.map(str::to_owned)));
    assert_eq!(names, BTreeMap::from(expected));
}

#[tokio::test]
async fn prometheus_accepts_every_sample_without_errors() {
    let Stack { daemon, prometheus, .. } = &Stack::start().await;
    // retries until both agree, since new series may appear in between
    let agree = tokio::time::timeout(LIMIT, async {
        loop {
            let request = client().get(daemon.url("/metrics"));
            let request = request.header("accept", Format::OpenMetrics.content_type());
            let text = request.send().await.unwrap().text().await.unwrap();
            let families = strict::read(&text, Format::OpenMetrics);
            let samples: usize = families.iter().map(|family| family.samples.len()).sum();
            let query = format!("scrape_samples_scraped == {samples}");
            if prometheus.query(&query).await.len() == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(agree.await.is_ok(), "{:?}", prometheus.query("scrape_samples_scraped").await);

    let targets = prometheus.api("targets", &[]).await;
    let target = &targets["activeTargets"][0];
    assert_eq!(target["health"], "up");
    assert_eq!(target["lastError"], "");
    // only OpenMetrics has units, so it must have been negotiated
    let metric = [("metric", "campaign_last_sent_timestamp_seconds")];
    let metadata = prometheus.api("targets/metadata", &metric).await;
    assert_eq!(metadata[0]["unit"], "seconds");
    assert_eq!(metadata[0]["type"], "gauge");
    let help = metadata[0]["help"].as_str().unwrap();
    assert!(help.starts_with("Unix time when the campaign was last sent"), "{help}");
}

#[tokio::test]
async fn a_removed_campaign_becomes_stale_immediately_and_alone() {
    let Stack { prometheus, spring, .. } = &Stack::start().await;
    let gone = "{__name__=~\"campaign_.+\", campaign_id=\"cc-2\"}";
    assert!(!prometheus.query(gone).await.is_empty());
    spring.update(|state| {
        let mut campaigns = state.campaigns.at(Utc::now()).into_owned();
        campaigns.retain(|campaign| campaign.id != "cc-2");
        state.campaigns = campaigns.into();
    });
    // far less than the five minutes after which Prometheus drops series anyway
    prometheus.wait_for(gone, <[_]>::is_empty).await;
    for id in ["cc-1", "cx-1", "cx-2", "18969398"] {
        let found = prometheus.value(&format!("campaign_info{{campaign_id={id:?}}}")).await;
        assert_eq!(found, Ok(1.0), "{id}");
    }
    assert_eq!(prometheus.value("sum(campaign_account_up)").await, Ok(3.0));
}
