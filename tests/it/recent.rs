//! Most polls read recent campaigns only, without any difference in the metrics.

use campaign_simulator::{Campaign, Counts, FaultPlan, Simulator};
use chrono::{TimeDelta, Utc};

use crate::support::apis::{Api, apis, kinds, sms_rates, with_small_pages};
use crate::support::daemon::{
    Daemon, Setup, account, config, poll_once, sample, samples, simulate,
};
use crate::support::faults::status;

/// A campaign sent the given number of hours ago.
fn campaign(id: &str, hours: i64, deliveries: u64) -> Campaign {
    let counts = Counts { recipients: 1_000, sends: 1_000, deliveries, ..Counts::default() };
    Campaign::sms(id, "Spring", Utc::now() - TimeDelta::hours(hours), counts)
}

fn usual() -> Vec<Campaign> {
    vec![
        campaign("1", 1, 900),
        campaign("2", 48, 800),
        campaign("3", 240, 700),
        campaign("4", 600, 600),
    ]
}

/// Enough old campaigns that a full poll needs more requests than a recent one.
fn old(api: Api) -> Vec<Campaign> {
    let ids = (0..api.listing().page_size).zip(0..);
    let old = ids.map(|(id, minutes)| {
        let mut campaign = campaign(&format!("old-{id}"), 500, 500);
        // the first one is the newest, whatever time this takes
        campaign.sent_at -= TimeDelta::minutes(minutes);
        campaign
    });
    old.collect()
}

/// Adds the old campaigns.
fn with_old(api: Api, campaigns: Vec<Campaign>) -> Vec<Campaign> {
    campaigns.into_iter().chain(old(api)).collect()
}

/// Returns how many hours back each poll started.
fn reads(simulator: &Simulator) -> Vec<i64> {
    let starts = simulator.read(|state| {
        let requests = state.requests.iter();
        let starts = requests.filter_map(|request| simulator.api().window_start(state, request));
        starts.collect::<Vec<_>>()
    });
    let hours = starts.into_iter().map(|start| ((Utc::now() - start).num_minutes() + 30) / 60);
    hours.collect()
}

/// Returns deliveries by campaign id, and the totals of the account.
fn exported(metrics: &str) -> (Vec<(String, f64)>, Option<f64>, Option<f64>) {
    let deliveries = ["1", "2", "3", "4", "5"].into_iter().filter_map(|id| {
        let label = format!(r#"campaign_id="{id}""#);
        Some((id.to_owned(), sample(metrics, "campaign_deliveries", &[&label])?))
    });
    (
        deliveries.collect(),
        sample(metrics, "campaign_account_campaigns", &[r#"channel="sms""#]),
        sample(metrics, "campaign_account_delivery_ratio", &[r#"channel="sms""#]),
    )
}

fn polls(metrics: &str) -> f64 {
    sample(metrics, "campaign_exporter_polls_total", &[r#"result="success""#]).unwrap()
}

async fn two_more_polls(daemon: &Daemon) -> String {
    let before = polls(&daemon.scrape().await);
    daemon.scrape_until(|metrics| polls(metrics) >= before + 2.0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recent_polls_export_the_same_as_full_polls() {
    for (api, provider) in apis() {
        let simulator = simulate(api, with_old(api, usual())).await;
        let many = old(api).len() as f64;
        let yaml = config(&[account("one", &simulator, &[])]);
        let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
        let first = daemon.scrape_until(|metrics| exported(metrics).0.len() == 4).await;
        let later = two_more_polls(&daemon).await;
        assert_eq!(exported(&first), exported(&later), "{provider}");
        let (deliveries, campaigns, _) = exported(&later);
        assert_eq!((deliveries.len(), campaigns), (4, Some(4.0 + many)), "{provider}");
        // thirty days once, then three days plus a margin
        let reads = reads(&simulator);
        assert_eq!(reads[0], 30 * 24, "{provider}");
        assert!(reads[1..].iter().all(|hours| *hours == 3 * 24 + 3), "{provider} {reads:?}");

        // one of each age is deleted, the others change, one is added
        simulator.update(|state| {
            let now = vec![campaign("5", 0, 10), campaign("2", 48, 850), campaign("4", 600, 650)];
            state.campaigns = with_old(api, now).into();
        });
        let recent = |metrics: &str| exported(metrics).0.iter().any(|(id, _)| id == "5");
        let metrics = daemon.scrape_until(recent).await;
        let (deliveries, campaigns, ratio) = exported(&metrics);
        // only a full poll tells what was deleted
        let expected = [("1", 900.0), ("2", 850.0), ("3", 700.0), ("4", 600.0), ("5", 10.0)];
        let expected = expected.map(|(id, deliveries)| (id.to_owned(), deliveries));
        assert_eq!(deliveries, expected, "{provider}");
        // the totals cover exactly these campaigns
        let expected = (3_060.0 + 500.0 * many) / (1_000.0 * (5.0 + many));
        assert_eq!((campaigns, ratio), (Some(5.0 + many), Some(expected)), "{provider}");
        // old ones follow with the next full poll, such as `poll`
        let (status, metrics, log) = poll_once(&daemon.setup, &[]).await;
        assert!(status.success(), "{log}");
        let (deliveries, ..) = exported(&metrics);
        let expected = [("2", 850.0), ("4", 650.0), ("5", 10.0)];
        let expected = expected.map(|(id, deliveries)| (id.to_owned(), deliveries));
        assert_eq!(deliveries, expected, "{provider}");
    }
}

#[tokio::test]
async fn a_failed_recent_poll_changes_nothing() {
    // the recent campaigns fill three pages, of which the second fails
    let api = with_small_pages();
    let recent = 2 * api.listing().page_size + 20;
    let many = |deliveries| {
        let recent = (0..recent).map(|number| campaign(&format!("r-{number}"), 1, deliveries));
        with_old(api, recent.chain(usual()).collect())
    };
    let simulator = simulate(api, many(1)).await;
    let yaml = config(&[account("one", &simulator, &[])]);
    let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
    daemon.scrape_until(|metrics| polls(metrics) >= 2.0).await;
    simulator.update(|state| {
        state.campaigns = many(2).into();
        state.fault = Some(FaultPlan { skip: 1, ..FaultPlan::always(status(403, None)) });
    });
    let failed = |metrics: &str| sample(metrics, "campaign_account_up", &[]) == Some(0.0);
    let metrics = daemon.scrape_until(failed).await;
    let deliveries = samples(&metrics, "campaign_deliveries", &[r#"campaign_id="r-"#]);
    // the previous poll may have met the fault too; then nothing has changed
    assert_eq!(deliveries.len(), recent);
    assert!(deliveries.iter().all(|value| *value == deliveries[0]), "{deliveries:?}");
    simulator.update(|state| state.fault = None);
    daemon
        .scrape_until(|metrics| {
            let deliveries = samples(metrics, "campaign_deliveries", &[r#"campaign_id="r-"#]);
            deliveries == vec![2.0; recent]
        })
        .await;
}

#[tokio::test]
async fn max_campaigns_applies_to_known_not_polled_campaigns() {
    let api = with_small_pages();
    let old = api.listing().page_size as f64;
    let simulator = simulate(api, with_old(api, usual())).await;
    let more = ["max_campaigns: 3"];
    let yaml = config(&[account("one", &simulator, &more)]);
    let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
    daemon.scrape_until(|metrics| polls(metrics) >= 2.0).await;
    let metrics = two_more_polls(&daemon).await;
    let dropped = |metrics: &str| sample(metrics, "campaign_account_campaigns_dropped", &[]);
    assert_eq!(dropped(&metrics), Some(old + 1.0));
    let (deliveries, ..) = exported(&metrics);
    let ids: Vec<_> = deliveries.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    let reads = reads(&simulator);
    assert_eq!(reads.iter().filter(|hours| **hours == 30 * 24).count(), 1, "{reads:?}");
}

#[tokio::test]
async fn every_poll_is_full_if_it_needs_no_more_requests() {
    for kind in kinds() {
        let simulator = simulate(kind.simulated.unwrap(), usual()).await;
        let yaml = config(&[account("one", &simulator, &[])]);
        let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
        daemon.scrape_until(|metrics| polls(metrics) >= 4.0).await;
        // detected by the second poll
        let reads = reads(&simulator);
        let whole = reads.iter().filter(|hours| **hours == 30 * 24).count();
        assert_eq!(whole, reads.len() - 1, "{kind:?} {reads:?}");
        // a deleted old campaign disappears immediately, and the reported ratios are current
        simulator.update(|state| state.campaigns = vec![campaign("4", 600, 800)].into());
        let metrics = daemon.scrape_until(|metrics| exported(metrics).1 == Some(1.0)).await;
        let reported = samples(&metrics, "campaign_account_reported_ratio", &[]);
        assert_eq!(reported.len(), sms_rates(kind).len(), "{kind:?}");
        assert_eq!(reported.is_empty(), !reported.contains(&0.8), "{kind:?}");
    }
}
