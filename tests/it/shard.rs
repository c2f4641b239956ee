//! Selections of metrics, one target per account, and accounts sharded across exporters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Campaign, Counts, Simulator};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::apis::{Api, kinds, with_channels, with_statuses};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, account, client, config, count, decompressed, end, poll_once, simulate,
};
use crate::support::documents::block;
use crate::support::prometheus::{Found, Prometheus};
use crate::support::server::PAUSE;

/// Number of sharded accounts.
const ACCOUNTS: usize = 12;

async fn provider(api: Api) -> Simulator {
    let sent_at = Utc::now() - TimeDelta::days(1);
    let counts =
        Counts { recipients: 100, sends: 100, deliveries: 90, clicks: 30, ..Counts::default() };
    simulate(api, vec![Campaign::sms("1", "Spring", sent_at, counts)]).await
}

/// Two accounts of one provider and one of another, polled once.
async fn polled_once() -> (Daemon, [Simulator; 2]) {
    let (one, other) = (provider(with_statuses()).await, provider(with_channels()).await);
    let interval = ["poll_interval: 1h", "full_poll_interval: 1h", "stale_after: 2h"];
    let accounts = [
        account("shoes & socks", &one, &interval),
        account("shirts", &one, &interval),
        account("desk", &other, &interval),
    ];
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let polled =
        |metrics: &str| count(metrics, "campaign_account_last_poll_timestamp_seconds{") == 3;
    daemon.scrape_until(polled).await;
    (daemon, [one, other])
}

/// Returns status and text of a response, which must be a single gzip member if compressed.
async fn ask(daemon: &Daemon, path: &str, format: Format, encoding: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().no_gzip();
    let request = client.build().unwrap().get(daemon.url(path));
    let request = request.header("accept", format.content_type());
    let request = request.header("accept-encoding", encoding);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let compressed = response.headers().contains_key("content-encoding");
    let body = response.bytes().await.unwrap();
    if !compressed {
        return (status, String::from_utf8(body.to_vec()).unwrap());
    }
    (status, decompressed(&body))
}

/// Returns the lines of a full exposition on some accounts and their campaigns, with family headers.
fn part_of(whole: &str, accounts: &[&str], end: &str) -> String {
    let (mut lines, mut header) = (String::new(), String::new());
    for line in whole.split_inclusive('\n') {
        if line.starts_with("# HELP") {
            header.clear();
        }
        let is_own = |line: &str| {
            line.starts_with("campaign_exporter_") || line.starts_with("campaign_account_api_")
        };
        let named = |name: &&str| line.contains(&format!("account=\"{name}\""));
        if line.starts_with('#') {
            header.push_str(line);
        } else if accounts.iter().any(named) && !is_own(line) {
            lines.push_str(&std::mem::take(&mut header));
            lines.push_str(line);
        }
    }
    lines + end
}

#[tokio::test]
async fn a_selection_has_the_same_bytes_as_the_full_page() {
    let (daemon, _simulators) = polled_once().await;
    let [one, other] = [with_statuses(), with_channels()].map(campaign_simulator::Api::provider);
    let unused = kinds().find(|kind| ![one, other].contains(&&*kind.name)).unwrap();
    for format in Format::ALL {
        let (_, whole) = ask(&daemon, "/metrics", format, "identity").await;
        for (query, accounts) in [
            ("account=shirts".to_owned(), &["shirts"][..]),
            ("account=shoes+%26%20socks".to_owned(), &["shoes & socks"]),
            ("account=shirts&account=desk".to_owned(), &["shirts", "desk"]),
            (format!("provider={one}"), &["shirts", "shoes & socks"]),
            (format!("provider={one}&provider={other}&account=desk"), &["desk"]),
            // both must match
            (format!("provider={one}&account=desk"), &[]),
            // a provider without accounts
            (format!("provider={}", unused.name), &[]),
        ] {
            let expected = part_of(&whole, accounts, format.end());
            assert_eq!(expected.contains("campaign_deliveries{"), !accounts.is_empty());
            for encoding in ["identity", "gzip"] {
                let path = format!("/metrics?{query}");
                let part = ask(&daemon, &path, format, encoding).await;
                assert_eq!(part, (200, expected.clone()), "{query} {format:?} {encoding}");
            }
        }
    }
}

#[tokio::test]
async fn the_exporters_own_metrics_can_be_selected() {
    let (daemon, _simulators) = polled_once().await;
    let (status, own) = ask(&daemon, "/metrics?own=true", Format::Text, "gzip").await;
    assert_eq!(status, 200);
    let names = |text: &str| {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let names = samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned());
        names.collect::<BTreeSet<_>>()
    };
    assert!(own.contains("campaign_exporter_series") && own.contains("process_"));
    let [one, other] = [with_statuses(), with_channels()].map(campaign_simulator::Api::provider);
    let accounts = daemon.get(&format!("/metrics?provider={one}&provider={other}")).await;
    assert!(names(&own).is_disjoint(&names(&accounts)));
    let together = &names(&own) | &names(&accounts);
    assert_eq!(together, names(&daemon.scrape().await));
}

#[tokio::test]
async fn unknown_selections_are_rejected() {
    let (daemon, _simulators) = polled_once().await;
    for (query, status, text) in [
        ("account=socks", 404, "Unknown account \"socks\".\n"),
        ("account=desk&account=", 404, "Unknown account \"\".\n"),
        ("provider=sms", 404, "Unknown provider \"sms\".\n"),
        ("collect=x", 400, "Unsupported parameter collect=\"x\""),
        ("own=true&account=desk", 400, "own=true cannot be combined"),
        (&"account=desk&".repeat(101), 400, "More than 100"),
    ] {
        let path = format!("/metrics?{query}");
        let answer = ask(&daemon, &path, Format::Text, "gzip").await;
        assert_eq!(answer.0, status, "{query}");
        assert!(answer.1.starts_with(text), "{}", answer.1);
    }
}

async fn targets(daemon: &Daemon) -> Value {
    serde_json::from_str(&daemon.get("/sd").await).unwrap()
}

#[tokio::test]
async fn each_account_is_a_target_until_a_reload_drops_it() {
    let simulator = provider(with_statuses()).await;
    let accounts = ["a", "b"].map(|name| account(name, &simulator, &[]));
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let target = |labels: Value| json!({"targets": [daemon.address()], "labels": labels});
    let own = target(json!({"__metrics_path__": "/metrics", "__param_own": "true"}));
    let of = |name: &str| {
        target(json!({
            "__metrics_path__": "/metrics", "__param_account": name,
            "account": name, "provider": with_statuses().provider(),
        }))
    };
    assert_eq!(targets(&daemon).await, json!([own, of("a"), of("b")]));
    for host in ["user@host:1", "host:http", "a/b"] {
        let request = client().get(daemon.url("/sd")).header("host", host);
        assert_eq!(request.send().await.unwrap().status(), 400, "{host}");
    }
    let request = client().get(daemon.url("/sd")).header("host", "sms.example");
    let text = request.send().await.unwrap().text().await.unwrap();
    assert!(text.contains(r#"{"targets":["sms.example"]"#), "{text}");

    daemon.setup.write_config(&config(&accounts[1..]));
    daemon.signal("HUP").await;
    let changed = tokio::time::timeout(LIMIT, async {
        while targets(&daemon).await != json!([own, of("b")]) {
            tokio::time::sleep(PAUSE).await;
        }
    });
    assert!(changed.await.is_ok(), "{}", daemon.log());
}

/// Exporters that share the accounts of a configuration.
async fn shards(yaml: &str, count: usize) -> Vec<Daemon> {
    let shard = |index: usize| async move {
        let shard = format!("{index}/{count}");
        let setup = Setup::new(yaml);
        if index > 0 {
            return Daemon::start(setup, &["--shard", &shard]).await;
        }
        let mut command = setup.command();
        command.env("CAMPAIGN_EXPORTER_SHARD", shard);
        Daemon::start_command(command, setup, &[]).await
    };
    join_all((0..count).map(shard)).await
}

/// The configuration of the README, for these exporters and with shorter intervals.
fn scraping(daemons: &[Daemon]) -> String {
    let yaml = block("docs/scale.md", "yaml", "# prometheus.yml: a target for each account\n");
    let (mut config, mut urls) = (String::new(), 0);
    for line in yaml.lines() {
        if line.contains("url:") {
            urls += 1;
            continue;
        }
        config += &line.replace("scrape_interval: 1m", "scrape_interval: 1s");
        config.push('\n');
        if line.contains("http_sd_configs:") {
            for daemon in daemons {
                let url = daemon.url("/sd");
                writeln!(config, "      - {{url: {url:?}, refresh_interval: 1s}}").unwrap();
            }
        }
    }
    assert_eq!(urls, 3, "{yaml}");
    assert!(config.contains("scrape_interval: 1s"), "{yaml}");
    config
}

/// Waits until every account and every exporter is scraped as a target.
async fn expect_all_scraped(prometheus: &Prometheus, daemons: &[Daemon]) {
    for (query, wanted) in [
        ("up{account!=\"\"}", ACCOUNTS),
        ("up{account=\"\"}", daemons.len()),
        ("count by (account) (campaign_account_up)", ACCOUNTS),
        ("campaign_account_up", ACCOUNTS),
        ("count by (account) (campaign_info)", ACCOUNTS),
        ("count by (instance) (campaign_exporter_build_info)", daemons.len()),
    ] {
        let one =
            |found: &[Found]| found.len() == wanted && found.iter().all(|(_, value)| *value == 1.0);
        prometheus.wait_for(query, one).await;
    }
    // target labels match the labels of the series
    let renamed = prometheus.value("count({exported_account!=\"\"})").await;
    assert_eq!(renamed, Err(0));
}

async fn stop(daemons: Vec<Daemon>) {
    join_all(daemons.into_iter().map(|daemon| daemon.end_by("TERM"))).await;
}

#[tokio::test]
async fn prometheus_scrapes_each_account_of_several_shards_once() {
    let simulator = provider(with_statuses()).await;
    let accounts = (0..ACCOUNTS).map(|number| {
        let name = format!("account-{number}");
        account(&name, &simulator, &[])
    });
    let yaml = config(&accounts.collect::<Vec<_>>());
    let three = shards(&yaml, 3).await;
    let prometheus = Prometheus::configured(&scraping(&three), &[]).await;
    expect_all_scraped(&prometheus, &three).await;
    // each target returns only its own account
    let mut names = BTreeSet::new();
    for daemon in &three {
        let metrics = daemon.scrape().await;
        let polled = metrics.lines().filter(|line| {
            line.starts_with("campaign_exporter_polls_total{") && line.contains("success")
        });
        for line in polled {
            let (_, rest) = line.split_once("account=\"").unwrap();
            let (name, _) = rest.split_once('"').unwrap();
            assert!(names.insert(name.to_owned()), "{name} is read twice");
        }
    }
    assert_eq!(names.len(), ACCOUNTS);
}

#[tokio::test]
async fn an_empty_shard_is_ready_and_keeps_the_data_of_others() {
    let simulator = provider(with_statuses()).await;
    let accounts = [account("one", &simulator, &[])];
    let yaml = config(&accounts);
    let two = shards(&yaml, 2).await;
    let mut sizes = Vec::new();
    for daemon in &two {
        let ready = tokio::time::timeout(LIMIT, async {
            let request = || client().get(daemon.url("/-/ready")).send();
            while request().await.unwrap().status() != 200 {
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(ready.await.is_ok(), "{}", daemon.log());
        assert!(daemon.scrape().await.contains("campaign_exporter_build_info"));
        let shown = daemon.get("/config").await.contains("name: one");
        let targets = targets(daemon).await.as_array().unwrap().len();
        assert_eq!(targets, 1 + usize::from(shown));
        sizes.push(targets);
    }
    let (with, without) = if sizes == [2, 1] { ("0/2", "1/2") } else { ("1/2", "0/2") };
    assert_eq!(sizes.iter().sum::<usize>(), 3);
    stop(two).await;

    let setup = Setup::new(&yaml);
    let storage = setup.storage().display().to_string();
    let arguments = |shard| ["--storage.path", &storage, "--shard", shard].map(str::to_owned);
    let start = async |setup: Setup, shard| {
        let arguments = arguments(shard);
        Daemon::start(setup, &arguments.each_ref().map(String::as_str)).await
    };
    let daemon = start(setup, with).await;
    let polled = |metrics: &str| count(metrics, "campaign_deliveries{") == 1;
    daemon.scrape_until(polled).await;
    let setup = daemon.end_by("TERM").await;
    let files = |setup: &Setup| {
        let entries = std::fs::read_dir(setup.storage()).unwrap();
        let files = entries.map(|entry| {
            let path = entry.unwrap().path();
            (path.clone(), std::fs::read(path).unwrap())
        });
        files.collect::<BTreeMap<_, _>>()
    };
    let before = files(&setup);
    assert!(before.len() >= 3, "{:?}", before.keys());
    let daemon = start(setup, without).await;
    assert_eq!(count(&daemon.scrape().await, "campaign_account_up"), 0);
    let setup = daemon.end_by("TERM").await;
    assert_eq!(files(&setup), before);

    // commands also respect the shard, and report where the account is
    let (status, metrics, log) = poll_once(&setup, &["--shard", with]).await;
    assert!(status.success() && count(&metrics, "campaign_deliveries{") == 1, "{log}");
    let (status, metrics, log) = poll_once(&setup, &["--shard", without]).await;
    assert!(
        status.success() && count(&metrics, "campaign_") == count(&metrics, "campaign_exporter_")
    );
    assert!(log.contains(&format!("shard={without}")), "{log}");
    for arguments in [&["poll", "--account", "one"][..], &["authorize", "one"]] {
        let mut command = setup.command();
        command.args(arguments);
        let (code, log) = end(command.args(["--storage.path", &storage, "--shard", without])).await;
        assert_eq!(code, Some(2), "{log}");
        assert!(log.contains("another shard") && log.contains(&format!("owner={with}")), "{log}");
    }
}

#[tokio::test]
async fn invalid_shards_are_rejected() {
    let setup = Setup::new(&config(&[]));
    for (arguments, problem) in [
        (&["--shard", "3/3"][..], "counted from 0"),
        (&["--shard", "1"], "write I/N"),
        (&["--shard", ""], "write I/N"),
        (&["demo", "--shard", "0/3"], "each demo has its own"),
    ] {
        let mut command = setup.command();
        command.args(arguments);
        let (code, log) = end(&mut command).await;
        assert_eq!(code, Some(2), "{arguments:?}: {log}");
        assert!(log.contains(problem), "{arguments:?}: {log}");
    }
}
