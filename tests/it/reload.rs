//! Configuration reloads by signal and over HTTP, all or nothing.

use campaign_simulator::{Campaign, Counts, Simulator};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::support::apis::with_channels;
use crate::support::daemon::{
    Daemon, Setup, account, client, config, count, samples, simulate, value,
};
use crate::support::faults::Exported;

const SUCCESSFUL: &str = "campaign_exporter_config_last_reload_successful ";
const SUCCESS_TIME: &str = "campaign_exporter_config_last_reload_success_timestamp_seconds ";

/// Starts a simulated provider with one campaign.
async fn provider(id: &str) -> Simulator {
    let counts = Counts { recipients: 10, deliveries: 9, ..Counts::default() };
    let sent_at = Utc::now() - TimeDelta::hours(1);
    simulate(with_channels(), vec![Campaign::sms(id, id, sent_at, counts)]).await
}

fn is_up(metrics: &str, account: &str) -> bool {
    Exported::of(metrics, account).is_up()
}

fn good_polls(metrics: &str, account: &str) -> f64 {
    Exported::of(metrics, account).polls("success")
}

/// Returns status and body of `POST /-/reload`.
async fn post_reload(daemon: &Daemon) -> (StatusCode, String) {
    let request = client().post(daemon.url("/-/reload"));
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn reload_adds_changes_and_removes_only_affected_accounts() {
    let (one, other) = (provider("one").await, provider("other").await);
    let setup = Setup::new(&config(&[
        account("stays", &one, &[]),
        account("changes", &one, &[]),
        account("moves", &one, &[]),
        account("goes", &one, &[]),
    ]));
    let daemon = Daemon::start(setup, &[]).await;
    let before = daemon
        .scrape_until(|metrics| {
            let mut names = ["stays", "changes", "moves", "goes"].into_iter();
            names.all(|name| good_polls(metrics, name) >= 2.0)
        })
        .await;
    assert_eq!(count(&before, "campaign_deliveries"), 4);
    assert!(before.contains(r#"account="goes""#));

    daemon.setup.write_config(&config(&[
        account("stays", &one, &[]),
        account("changes", &one, &["lookback: 7d"]),
        account("moves", &other, &[]),
        account("comes", &one, &[]),
    ]));
    let reload = async {
        daemon.signal("HUP").await;
        daemon
            .scrape_until(|metrics| {
                metrics.contains(r#"account="comes""#)
                    && ["stays", "changes", "moves", "comes"]
                        .iter()
                        .all(|name| is_up(metrics, name))
            })
            .await
    };
    // no scrape may see a gap or a decreasing counter
    let watch = async {
        let mut polls = [2.0; 2];
        loop {
            let metrics = daemon.scrape().await;
            for (name, polls) in ["stays", "changes"].into_iter().zip(&mut polls) {
                let deliveries = Exported::of(&metrics, name).value("campaign_deliveries");
                assert_eq!(deliveries, Some(9.0), "{name}");
                assert!(is_up(&metrics, name), "{name}");
                let now = good_polls(&metrics, name);
                assert!(now >= *polls, "{name}: {now} after {polls}");
                *polls = now;
            }
        }
    };
    let after = tokio::select! {
        metrics = reload => metrics,
        () = watch => unreachable!(),
    };
    // its campaigns and counters are gone
    assert!(!after.contains(r#"account="goes""#));
    let lookback = |name| Exported::of(&after, name).value("campaign_account_lookback_seconds");
    let days = |days: u32| Some(f64::from(days * 24 * 3600));
    assert_eq!((lookback("stays"), lookback("changes")), (days(30), days(7)));
    // with another address it is a different account, even with the same name
    let ids = |id| {
        let id = format!(r#"campaign_id="{id}""#);
        let labels = [r#"account="moves""#, id.as_str()];
        samples(&after, "campaign_deliveries", &labels).len()
    };
    assert_eq!((ids("one"), ids("other")), (0, 1));

    // polls continue
    let polls = good_polls(&after, "stays");
    daemon.scrape_until(|metrics| good_polls(metrics, "stays") > polls + 1.0).await;
}

#[tokio::test]
async fn an_invalid_file_changes_nothing_and_reports_every_problem() {
    let simulator = provider("one").await;
    let good = config(&[account("stays", &simulator, &[])]);
    let daemon = Daemon::start(Setup::new(&good), &["--web.enable-lifecycle"]).await;
    let first = daemon.scrape_until(|metrics| is_up(metrics, "stays")).await;
    assert_eq!(value(&first, SUCCESSFUL), Some(1.0));
    let loaded = value(&first, SUCCESS_TIME).unwrap();
    let config_before = daemon.get("/config").await;

    daemon.setup.write_config(
        "global:\n  poll_interval: 5\n  colour: red\naccounts:\n  - name: x\n    provider: nobody\n",
    );
    let (status, text) = post_reload(&daemon).await;
    assert_eq!(status, 500);
    let file = daemon.setup.config_file().display().to_string();
    for (place, what) in [("2:18", "poll_interval"), ("3:3", "colour"), ("6:15", "nobody")] {
        let place = format!("{file}:{place}: ");
        let line = text.lines().find(|line| line.starts_with(&place));
        assert!(line.is_some_and(|line| line.contains(what)), "{place} {what}: {text}");
    }
    let bad = daemon.scrape().await;
    assert_eq!(value(&bad, SUCCESSFUL), Some(0.0));
    let rejected = async |daemon: &Daemon| {
        let mut shown = Vec::new();
        for path in ["/", "/status", "/status?format=json"] {
            let text = daemon.get(path).await;
            let has_problem = text.contains("colour");
            let since =
                text.contains("rejected since <time") || text.contains(r#"rejected":{"since":""#);
            assert_eq!(has_problem, since, "{text}");
            shown.push(has_problem);
        }
        shown
    };
    assert_eq!(rejected(&daemon).await, [true; 3]);
    assert_eq!(value(&bad, SUCCESS_TIME), Some(loaded));
    assert_eq!(count(&bad, "campaign_deliveries"), 1);
    assert!(is_up(&bad, "stays"));
    assert_eq!(daemon.get("/config").await, config_before);
    let polls = good_polls(&bad, "stays");
    daemon.scrape_until(|metrics| good_polls(metrics, "stays") > polls + 1.0).await;

    daemon.setup.write_config(&good);
    assert_eq!(post_reload(&daemon).await.0, 200);
    let metrics = daemon.scrape().await;
    assert_eq!(value(&metrics, SUCCESSFUL), Some(1.0));
    assert_eq!(rejected(&daemon).await, [false; 3]);
    assert!(value(&metrics, SUCCESS_TIME).unwrap() > loaded);
    assert!(good_polls(&metrics, "stays") > polls, "it went on all the time");

    std::fs::remove_file(daemon.setup.config_file()).unwrap();
    let (status, text) = post_reload(&daemon).await;
    assert_eq!(status, 500);
    assert!(text.contains(&file), "{text}");
}

#[tokio::test]
async fn an_invalid_file_after_sighup_is_logged_and_counted() {
    let simulator = provider("one").await;
    let good = config(&[account("stays", &simulator, &[])]);
    let mut daemon = Daemon::start(Setup::new(&good), &[]).await;
    daemon.scrape_until(|metrics| is_up(metrics, "stays")).await;
    daemon.setup.write_config("accounts: nobody\n");
    daemon.signal("HUP").await;
    let metrics = daemon.scrape_until(|metrics| value(metrics, SUCCESSFUL) == Some(0.0)).await;
    assert!(is_up(&metrics, "stays"));
    let place = format!("{}:1:11", daemon.setup.config_file().display());
    daemon.wait_for_log(&place).await;
    daemon.setup.write_config(&good);
    daemon.signal("HUP").await;
    let metrics = daemon.scrape_until(|metrics| value(metrics, SUCCESSFUL) == Some(1.0)).await;
    assert_eq!(count(&metrics, "campaign_deliveries"), 1);
}

#[tokio::test]
async fn only_post_reloads_and_only_if_enabled() {
    let simulator = provider("one").await;
    let yaml = config(&[account("one", &simulator, &[])]);
    let changed = config(&[account("changed", &simulator, &[])]);
    let allowed = Daemon::start(Setup::new(&yaml), &["--web.enable-lifecycle"]).await;
    let forbidden = Daemon::start(Setup::new(&yaml), &[]).await;
    for daemon in [&allowed, &forbidden] {
        daemon.setup.write_config(&changed);
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let request = client().request(method.clone(), daemon.url("/-/reload"));
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 405, "{method}");
            assert_eq!(response.headers()["allow"], "POST", "{method}");
        }
        assert!(daemon.get("/config").await.contains("name: one"));
    }
    let (status, text) = post_reload(&forbidden).await;
    assert_eq!(status, 403);
    assert!(text.contains("--web.enable-lifecycle"), "{text}");
    assert!(forbidden.get("/config").await.contains("name: one"));
    assert_eq!(post_reload(&allowed).await.0, 200);
    assert!(allowed.get("/config").await.contains("name: changed"));
}

#[tokio::test]
async fn concurrent_reloads_are_all_answered() {
    let simulator = provider("one").await;
    let yaml = config(&[account("stays", &simulator, &[])]);
    let daemon = Daemon::start(Setup::new(&yaml), &["--web.enable-lifecycle"]).await;
    let before = daemon.scrape_until(|metrics| good_polls(metrics, "stays") >= 2.0).await;
    let mut reloads = JoinSet::new();
    for _ in 0..50 {
        let request = client().post(daemon.url("/-/reload"));
        reloads.spawn(async move { request.send().await.unwrap().status() });
    }
    let statuses = reloads.join_all().await;
    assert_eq!(statuses, vec![StatusCode::OK; 50]);
    let after = daemon.scrape().await;
    // the account has not changed, so nothing happened to it
    assert!(good_polls(&after, "stays") >= good_polls(&before, "stays"));
    assert_eq!(count(&after, "campaign_deliveries"), 1);
}
