//! Request limits per second, hour and day.

use std::time::Duration;

use campaign_simulator::{Campaign, Counts, Fault, FaultPlan};
use chrono::{TimeDelta, Utc};

use crate::support::apis::{Api, any_api, kind, kinds, with_client_quota, with_small_pages};
use crate::support::daemon::{
    Daemon, Setup, account, config, poll_once, sample, samples, simulate,
};
use crate::support::faults::{Exported, status};

fn campaigns(count: i64) -> Vec<Campaign> {
    let counts = Counts { sends: 10, deliveries: 9, ..Counts::default() };
    let numbers = 1..=count;
    numbers
        .map(|number| {
            let sent_at = Utc::now() - TimeDelta::minutes(number);
            Campaign::sms(number.to_string(), "Spring", sent_at, counts)
        })
        .collect()
}

/// Campaigns that fill two pages and begin a third.
fn three_pages(api: Api) -> Vec<Campaign> {
    campaigns(2 * i64::try_from(api.listing().page_size).unwrap() + 20)
}

/// A configuration with the provider's default limits, or overrides.
fn limited(accounts: &[String], limits: &str) -> String {
    let all = config(accounts);
    let (_, accounts) = all.split_once("accounts:").unwrap();
    format!("global:\n  poll_interval: 1s\n  stale_after: 1h\n{limits}accounts:{accounts}")
}

/// Returns the daily request limit of an account and the remaining requests.
fn budget(metrics: &str, account: &str) -> Option<[f64; 2]> {
    let own = Exported::of(metrics, account);
    let [limit, remaining] = ["limit", "remaining"]
        .map(|what| own.value(&format!("campaign_account_api_requests_{what}")));
    assert_eq!(limit.is_some(), remaining.is_some(), "{account}");
    limit.zip(remaining).map(<[f64; 2]>::from)
}

fn failures(metrics: &str, reason: &str) -> f64 {
    let label = format!(r#"reason="{reason}""#);
    samples(metrics, "campaign_exporter_poll_errors_total", &[&label]).iter().sum()
}

fn all_up(metrics: &str) -> bool {
    let up = samples(metrics, "campaign_account_up", &[]);
    !up.is_empty() && up.iter().all(|up| *up == 1.0)
}

#[tokio::test]
async fn accounts_of_a_client_share_its_published_limits() {
    let api = with_client_quota();
    let [per_second, per_day] = {
        let limits = &kind(api).limits;
        [limits.per_second.unwrap(), limits.per_day.unwrap() as f64]
    };
    let simulator = simulate(api, campaigns(301)).await;
    let client = "client_id: one-client";
    let accounts = ["a", "b"].map(|name| account(name, &simulator, &["poll_interval: 1h", client]));
    let setup = Setup::new(&limited(&accounts, ""));
    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert!(status.success(), "{log}");
    let asked = 2 * api.listing().requests(301);
    assert_eq!(simulator.read(|state| state.answered), asked as u64);
    let most = simulator.read(|state| state.most_requests_within(Duration::from_secs(1), |_| true));
    // tolerates one more, since latency varies
    assert!(most as f64 <= per_second + 1.0, "{most} requests within a second");
    let expected = Some([per_day, per_day - asked as f64]);
    assert_eq!(budget(&metrics, "a"), expected);
    assert_eq!(budget(&metrics, "b"), expected);
}

#[tokio::test]
async fn configured_limits_apply_to_providers_without_published_ones() {
    for kind in kinds().filter(|kind| kind.limits.per_day.is_none()) {
        for more in [&[][..], &["requests_per_day: 100", "requests_per_second: 2"]] {
            let simulator = simulate(kind.simulated.unwrap(), campaigns(450)).await;
            let setup = Setup::new(&limited(&[account("a", &simulator, more)], ""));
            let (status, metrics, log) = poll_once(&setup, &[]).await;
            assert!(status.success(), "{log}");
            let asked = simulator.read(|state| state.answered) as f64;
            let expected = (!more.is_empty()).then_some([100.0, 100.0 - asked]);
            assert_eq!(budget(&metrics, "a"), expected, "{kind:?}");
            let spaced = simulator
                .read(|state| state.most_requests_within(Duration::from_millis(400), |_| true));
            assert!(more.is_empty() || spaced == 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn polls_beyond_the_budget_are_stretched_with_a_warning() {
    let api = with_small_pages();
    let simulator = simulate(api, three_pages(api)).await;
    let one = account("a", &simulator, &[]);
    let limits = "  requests_per_second: 1000\n  requests_per_day: 20000\n";
    let mut daemon = Daemon::start(Setup::new(&limited(&[one], limits)), &[]).await;
    daemon.wait_for_log("more requests are planned than the limits allow").await;
    let log = daemon.log();
    let warning = log.lines().find(|line| line.contains("are planned")).unwrap();
    // 3 pages per second for a whole day exceed the budget
    for part in
        ["planned_requests_a_day=259200", "requests_per_day=20000", "accounts=a", "stretched=14.4"]
    {
        assert!(warning.contains(part), "{part}: {warning}");
    }
    let interval =
        |metrics: &str| sample(metrics, "campaign_account_poll_interval_seconds", &[]).unwrap();
    // the full budget, or possibly more near the end of the day
    let metrics = daemon.scrape_until(|metrics| interval(metrics) > 1.0).await;
    assert!(interval(&metrics) >= 14.0, "{}", interval(&metrics));
    assert!(all_up(&metrics));
    // logged once, although every poll detects it
    let log = daemon.stop().await;
    assert_eq!(log.matches("are planned").count(), 1, "{log}");
}

#[tokio::test]
async fn an_exhausted_budget_stops_requests() {
    let api = with_small_pages();
    for (limit, reason) in [("day", "quota"), ("hour", "throttled")] {
        let simulator = simulate(api, three_pages(api)).await;
        let one = account("a", &simulator, &[]);
        let limits = format!("  requests_per_second: 1000\n  requests_per_{limit}: 2\n");
        let daemon = Daemon::start(Setup::new(&limited(&[one], &limits)), &[]).await;
        let metrics = daemon.scrape_until(|metrics| failures(metrics, reason) >= 1.0).await;
        assert_eq!(simulator.read(|state| state.answered), 2);
        if limit == "day" {
            assert_eq!(budget(&metrics, "a"), Some([2.0, 0.0]));
            assert_eq!(failures(&metrics, "throttled"), 0.0);
        }
    }
}

#[tokio::test]
async fn a_quota_error_applies_to_all_accounts_of_the_client() {
    let simulator = simulate(with_client_quota(), campaigns(1)).await;
    let client = "client_id: one-client";
    let accounts = ["a", "b"].map(|name| account(name, &simulator, &[client]));
    let stranger = account("c", &simulator, &["client_id: another"]);
    let yaml = config(&[accounts.concat(), stranger]);
    let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
    daemon.scrape_until(all_up).await;
    simulator.update(|state| {
        state.fault = Some(FaultPlan::once(Fault::QuotaExceeded));
    });
    // no matter which account got the error, the client has no requests left
    let metrics = daemon.scrape_until(|metrics| failures(metrics, "quota") >= 3.0).await;
    let spent: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .filter(|name| budget(&metrics, name) == Some([1e9, 0.0]))
        .collect();
    assert!(spent == ["a", "b"] || spent == ["c"], "{spent:?}");
    for name in spent {
        daemon.scrape_until(|metrics| !Exported::of(metrics, name).is_up()).await;
    }
    assert!(daemon.scrape().await.contains("campaign_deliveries{"), "the data stays");
}

#[tokio::test]
async fn a_long_retry_after_delays_the_next_poll() {
    let simulator = simulate(any_api(), campaigns(1)).await;
    let date = httpdate::fmt_http_date((Utc::now() + TimeDelta::minutes(10)).into());
    let fault = FaultPlan::once(status(429, Some(&date)));
    simulator.update(|state| state.fault = Some(fault));
    let daemon = Daemon::start(Setup::new(&config(&[account("a", &simulator, &[])])), &[]).await;
    let metrics = daemon.scrape_until(|metrics| failures(metrics, "throttled") >= 3.0).await;
    let asked = simulator.read(|state| state.answered);
    assert_eq!(asked, 1, "it is not asked again");
    let retries = sample(&metrics, "campaign_exporter_api_retries_total", &[]);
    assert_eq!(retries, Some(0.0));
    // not logged, but visible in the metrics
    let log = daemon.log();
    assert_eq!(log.matches("level=warn message=\"poll failed\"").count(), 2);
}
