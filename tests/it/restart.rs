//! Restarts, clean or not: stored data is served immediately, and providers are not polled earlier.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::campaign;
use campaign_exporter::campaign::bounds::{MAX_ACCOUNT_BYTES, MAX_TEXT_BYTES};
use campaign_exporter::campaign::history::History;
use campaign_exporter::storage::record::{DataRecord, PollRecord};
use campaign_exporter::storage::store::{Kind, Store};
use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator, State};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::apis::{
    Api, any_api, kinds, renewed, with_authorization, with_channels, with_statuses,
};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, account, config, count, end, sample, samples, simulate, value,
};
use crate::support::faults;
use crate::support::tokens::{complaints, tokens_file};

const UP: &str = "campaign_account_up";
const DELIVERIES: &str = "campaign_deliveries";
const LAST_POLL: &str = "campaign_account_last_poll_timestamp_seconds";
const LAST_SUCCESS: &str = "campaign_account_last_success_timestamp_seconds";
const REMAINING: &str = "campaign_account_api_requests_remaining";

fn campaigns(number: u64) -> Vec<Campaign> {
    let campaign = |index: u64| {
        let counts = Counts {
            recipients: 1_000,
            sends: 1_000,
            deliveries: 900 + index % 100,
            clicks: 100,
            bounces: 50,
            opt_outs: 10,
            ..Counts::default()
        };
        let days = TimeDelta::days(i64::try_from(index).unwrap() % 20 + 1);
        Campaign::sms(format!("id-{index}"), "Spring", Utc::now() - days, counts)
    };
    (0..number).map(campaign).collect()
}

async fn provider(api: Api) -> Simulator {
    simulate(api, campaigns(3)).await
}

/// The same with other counts, and three times as many campaigns.
fn grow(simulator: &Simulator) {
    simulator.update(|state| state.campaigns = campaigns(9).into());
}

fn break_down(simulator: &Simulator) {
    faults::break_down(simulator, faults::status(401, None));
}

fn answered(simulator: &Simulator) -> u64 {
    simulator.read(|state| state.answered)
}

async fn wait_until_answered(simulator: &Simulator, number: u64) {
    let waited = simulator.wait_for(|state| state.answered >= number);
    let waited = tokio::time::timeout(LIMIT, waited).await;
    assert!(waited.is_ok(), "{} of {number}", answered(simulator));
}

/// A configuration whose poll interval exceeds the test.
fn hourly(accounts: &[String]) -> String {
    // the global settings come first
    let yaml = config(accounts).replacen("stale_after: 1h", "stale_after: 3h", 1);
    yaml.replacen("poll_interval: 1s", "poll_interval: 1h", 1)
}

fn command(setup: &Setup) -> Command {
    let mut command = setup.command();
    command.arg("--storage.path").arg(setup.storage());
    command
}

async fn start(setup: Setup) -> Daemon {
    Daemon::start_command(command(&setup), setup, &[]).await
}

async fn restart(daemon: Daemon, signal: &str) -> Daemon {
    start(daemon.end_by(signal).await).await
}

/// Returns the exposition without the exporter's own metrics.
fn of_accounts(metrics: &str) -> String {
    let lines = metrics.split_inclusive('\n').filter(|line| {
        let described = line.strip_prefix("# HELP ");
        let described = described.or_else(|| line.strip_prefix("# TYPE "));
        let name = described.unwrap_or(line);
        name.starts_with("campaign_") && !name.starts_with("campaign_exporter_")
    });
    lines.collect()
}

fn own(name: &str) -> String {
    format!(r#"account="{name}""#)
}

fn polled(metrics: &str) -> usize {
    count(metrics, LAST_POLL)
}

fn near(value: Option<f64>, time: DateTime<Utc>) -> bool {
    let seconds = time.timestamp_micros() as f64 / 1e6;
    value.is_some_and(|value| (value - seconds).abs() < 0.001)
}

/// Data stored by a stopped process.
struct Kept(Arc<Store>);

impl Kept {
    fn of(setup: &Setup) -> Self {
        Self(Arc::new(Store::share(&setup.storage()).unwrap()))
    }

    async fn poll(&self, account: &str) -> PollRecord {
        let poll = self.0.load(Kind::Poll, account).await;
        poll.unwrap().unwrap()
    }

    async fn data(&self, account: &str) -> DataRecord {
        let data = self.0.load(Kind::Campaigns, account).await;
        data.unwrap().unwrap()
    }

    /// Makes the data older. Returns the time of the last poll.
    async fn age(&self, account: &str, by: TimeDelta) -> DateTime<Utc> {
        let mut poll = self.poll(account).await;
        poll.ended -= by;
        let ended = poll.ended;
        for time in [&mut poll.last_success, &mut poll.last_full, &mut poll.data_saved] {
            *time = time.map(|time| time - by);
        }
        let data = self.0.load::<DataRecord>(Kind::Campaigns, account).await;
        if let Some(mut data) = data.unwrap() {
            data.saved -= by;
            let saved = self.0.save(Kind::Campaigns, account, data).await;
            saved.unwrap();
        }
        self.0.save(Kind::Poll, account, poll).await.unwrap();
        ended
    }
}

/// An account polled every second, which shows how much time has passed.
async fn clock() -> (Simulator, String) {
    let simulator = provider(with_channels()).await;
    let more = ["poll_interval: 1s", "requests_per_day: 1000000000"];
    let yaml = account("clock", &simulator, &more);
    (simulator, yaml)
}

/// More than the maximum delay of a poll that is due at startup.
async fn wait_for_clock(simulator: &Simulator) {
    wait_until_answered(simulator, answered(simulator) + 5).await;
}

#[tokio::test]
async fn a_restart_serves_the_same_data_without_requests() {
    let folder = TempDir::new().unwrap();
    let (spring, spring_yaml) = renewing("spring-us", &folder.path().join("token"), &[]).await;
    let simulators = [
        spring,
        provider(with_channels()).await,
        provider(with_statuses()).await,
        provider(with_statuses()).await,
    ];
    break_down(&simulators[3]);
    let mut accounts = vec![
        spring_yaml,
        account("desk-hk", &simulators[1], &[]),
        account("shoes-ch", &simulators[2], &[]),
        account("broken", &simulators[3], &[]),
    ];
    let mut daemon = start(Setup::new(&hourly(&accounts))).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 4).await;
    let served = of_accounts(&metrics);
    assert_eq!(count(&served, DELIVERIES), 9, "{served}");
    assert_eq!(count(&served, REMAINING), 4, "{served}");
    let expiry = "campaign_account_token_expiry_timestamp_seconds{";
    assert_eq!(count(&served, expiry), 1, "{served}");
    assert_eq!(sample(&served, UP, &[&own("broken")]), Some(0.0));
    let asked = simulators.each_ref().map(answered);

    for signal in ["KILL", "TERM", "KILL", "KILL", "KILL"].repeat(2) {
        daemon = restart(daemon, signal).await;
        let metrics = daemon.scrape().await;
        assert_eq!(of_accounts(&metrics), served, "after {signal}");
        assert_eq!(daemon.status("/-/ready").await, 200);
        assert_eq!(daemon.status("/-/healthy").await, 200);
    }
    let (clock, yaml) = clock().await;
    accounts.push(yaml);
    let setup = daemon.end_by("KILL").await;
    setup.write_config(&hourly(&accounts));
    let daemon = start(setup).await;
    wait_for_clock(&clock).await;
    assert_eq!(simulators.each_ref().map(answered), asked);
    let metrics = daemon.scrape().await;
    for name in ["spring-us", "desk-hk", "shoes-ch", "broken"] {
        for metric in [UP, LAST_POLL, LAST_SUCCESS] {
            let before = sample(&served, metric, &[&own(name)]);
            let now = sample(&metrics, metric, &[&own(name)]);
            assert_eq!(now, before, "{name} {metric}");
        }
    }
}

#[tokio::test]
async fn after_a_restart_a_failed_account_has_its_data_and_is_not_polled_early() {
    let simulator = provider(with_statuses()).await;
    let (clock, clock_yaml) = clock().await;
    let accounts = [account("shoes", &simulator, &[]), clock_yaml];
    let daemon = start(Setup::new(&config(&accounts))).await;
    let shoes = own("shoes");
    let up = |metrics: &str| sample(metrics, UP, &[&shoes]);
    daemon.scrape_until(|metrics| up(metrics) == Some(1.0)).await;
    break_down(&simulator);
    daemon.scrape_until(|metrics| up(metrics) == Some(0.0)).await;
    let setup = daemon.end_by("KILL").await;
    let poll = Kept::of(&setup).poll("shoes").await;
    let asked = answered(&simulator);

    setup.write_config(&hourly(&accounts));
    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(up(&metrics), Some(0.0));
    let reasons = samples(&metrics, "campaign_account_last_poll_reason", &[&shoes]);
    assert_eq!(reasons, [1.0], "{metrics}");
    assert_eq!(count(&metrics, &format!("{DELIVERIES}{{")), 6);
    let time = |name| sample(&metrics, name, &[&shoes]);
    assert!(near(time(LAST_POLL), poll.ended));
    assert!(near(time(LAST_SUCCESS), poll.last_success.unwrap()));
    assert!(poll.last_success.unwrap() < poll.ended);
    wait_for_clock(&clock).await;
    assert_eq!(answered(&simulator), asked);
}

#[tokio::test]
async fn data_age_counts_from_the_poll_not_the_restart() {
    let simulators = [provider(with_statuses()).await, provider(with_channels()).await];
    let more = ["poll_interval: 5h", "stale_after: 1h"];
    let accounts = [account("young", &simulators[0], &more), account("old", &simulators[1], &more)];
    let daemon = start(Setup::new(&hourly(&accounts))).await;
    daemon.scrape_until(|metrics| polled(metrics) == 2).await;
    let setup = daemon.end_by("KILL").await;
    let asked = simulators.each_ref().map(answered);
    let kept = Kept::of(&setup);
    let almost = TimeDelta::hours(1) - TimeDelta::seconds(6);
    kept.age("young", almost).await;
    kept.age("old", TimeDelta::minutes(61)).await;
    let times = [
        kept.poll("young").await.last_success.unwrap(),
        kept.poll("old").await.last_success.unwrap(),
    ];

    let daemon = start(setup).await;
    let deliveries =
        |metrics: &str, name| samples(metrics, DELIVERIES, &[own(name).as_str()]).len();
    let metrics = daemon.scrape().await;
    assert_eq!(deliveries(&metrics, "young"), 3);
    assert_eq!(deliveries(&metrics, "old"), 0);
    assert_eq!(daemon.status("/-/ready").await, 200);
    let metrics = daemon.scrape_until(|metrics| deliveries(metrics, "young") == 0).await;
    assert!(Utc::now() >= times[0] + TimeDelta::hours(1), "too early");
    for (name, time) in ["young", "old"].into_iter().zip(times) {
        let value = |metric| sample(&metrics, metric, &[&own(name)]);
        // the old data was never served
        assert_eq!(value(UP), Some(f64::from(u8::from(name == "young"))), "{name}");
        assert!(near(value(LAST_SUCCESS), time), "{name}");
        assert_eq!(value("campaign_account_credits"), None, "{name}");
    }
    assert_eq!(simulators.each_ref().map(answered), asked);
    assert_eq!(daemon.status("/-/healthy").await, 200);
}

/// Possible damage of a file.
const DAMAGES: [&str; 11] = [
    "flipped",
    "cut",
    "empty",
    "garbage",
    "zeros",
    "newer",
    "other-kind",
    "another",
    "folder",
    "pipe",
    "loop",
];

/// Damages a file. `of_another` is the same kind of file of another account, `other_kind` another kind of
/// file of the same account.
fn damage(path: &Path, how: &str, of_another: &[u8], other_kind: &[u8]) {
    let good = fs::read(path).unwrap();
    let bytes = match how {
        "flipped" => {
            let mut bytes = good;
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }
        "cut" => good[..good.len() - 1].to_vec(),
        "empty" => Vec::new(),
        "garbage" => b"garbage".to_vec(),
        "zeros" => vec![0; good.len()],
        "newer" => {
            let line = good.iter().position(|byte| *byte == b'\n').unwrap();
            let (line, rest) = good.split_at(line);
            let line = String::from_utf8(line.to_vec()).unwrap();
            let mut words: Vec<&str> = line.split(' ').collect();
            words[2] = "999";
            let newer = words.join(" ");
            [newer.as_bytes(), rest].concat()
        }
        "other-kind" => other_kind.to_vec(),
        "another" => of_another.to_vec(),
        _ => {
            fs::remove_file(path).unwrap();
            match how {
                "folder" => fs::create_dir(path).unwrap(),
                // unreadable even for root
                "loop" => symlink(path, path).unwrap(),
                "pipe" => {
                    let made = std::process::Command::new("mkfifo").arg(path).status();
                    assert!(made.unwrap().success());
                }
                other => panic!("unknown damage {other}"),
            }
            return;
        }
    };
    fs::write(path, bytes).unwrap();
}

/// Returns the file with the request budget of a simulator.
fn requests_file(storage: &Path, simulator: &Simulator) -> PathBuf {
    let address = simulator.base_url();
    let port = address.rsplit(':').next().unwrap();
    let files = fs::read_dir(storage).unwrap();
    let mut files = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".requests") && name.contains(&format!("-{port}-"))
    });
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    file
}

/// An account with a refresh token that stays valid.
async fn renewing(name: &str, refresh_token_file: &Path, more: &[&str]) -> (Simulator, String) {
    fs::write(refresh_token_file, "refresh-token").unwrap();
    let mut state = State::new("not this one", campaigns(3));
    state.authorization.rotating = false;
    state.authorization.grant("refresh-token");
    let simulator = Simulator::start(with_authorization(), state).await.unwrap();
    let yaml = renewed(name, &simulator, refresh_token_file, more);
    (simulator, yaml)
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_reported_ignored_and_replaced() {
    // several processes, since token renewals of one process are a second apart
    join_all(DAMAGES.chunks(4).map(damage_files)).await;
}

async fn damage_files(damages: &[&str]) {
    let folder = TempDir::new().unwrap();
    let mut victims = Vec::new();
    let mut accounts = Vec::new();
    for kind in [Kind::Poll, Kind::Campaigns, Kind::Requests, Kind::Tokens] {
        for how in damages.iter().copied() {
            let name = format!("{kind:?}-{how}");
            let (simulator, yaml) = match kind {
                Kind::Poll | Kind::Campaigns => {
                    let simulator = provider(with_statuses()).await;
                    let yaml = account(&name, &simulator, &[]);
                    if how == "another" {
                        let donor = format!("{kind:?}-donor");
                        accounts.push(account(&donor, &simulator, &[]));
                    }
                    (simulator, yaml)
                }
                Kind::Requests => {
                    let simulator = provider(with_authorization()).await;
                    let often = ["poll_interval: 1s"];
                    let yaml = account(&name, &simulator, &often);
                    (simulator, yaml)
                }
                // unreadable tokens may be valid, so they are not renewed
                Kind::Tokens if how == "loop" => continue,
                Kind::Tokens => {
                    let file = folder.path().join("refresh-token");
                    renewing(&name, &file, &["poll_interval: 1s"]).await
                }
            };
            accounts.push(yaml);
            victims.push((kind, how, name, simulator));
        }
    }
    let all = accounts.len();
    let daemon = start(Setup::new(&hourly(&accounts))).await;
    let ups = |metrics: &str| samples(metrics, UP, &[]).iter().sum::<f64>();
    daemon.scrape_until(|metrics| ups(metrics) == all as f64).await;
    let setup = daemon.end_by("KILL").await;

    let storage = setup.storage();
    let kept = Kept::of(&setup).0;
    let path = |kind, name: &str, provider| match kind {
        Kind::Requests => requests_file(&storage, provider),
        Kind::Tokens => tokens_file(&storage, name, provider),
        kind => kept.path(kind, name),
    };
    let mut broken = Vec::new();
    // copied before anything is damaged
    let of_others: BTreeMap<String, [Vec<u8>; 2]> = victims
        .iter()
        .map(|(kind, how, name, _)| {
            let (_, _, neighbor, simulator) = victims
                .iter()
                .find(|(other, _, neighbor, _)| other == kind && neighbor != name)
                .unwrap();
            let donor = match kind {
                // at the same simulator
                Kind::Poll | Kind::Campaigns if *how == "another" => {
                    kept.path(*kind, &format!("{kind:?}-donor"))
                }
                kind => path(*kind, neighbor, simulator),
            };
            let other_kind = match kind {
                Kind::Poll => kept.path(Kind::Campaigns, name),
                Kind::Campaigns | Kind::Requests | Kind::Tokens => kept.path(Kind::Poll, name),
            };
            let files = [donor, other_kind].map(|path| fs::read(path).unwrap());
            (name.clone(), files)
        })
        .collect();
    for (kind, how, name, simulator) in &victims {
        let path = path(*kind, name, simulator);
        let [of_another, other_kind] = &of_others[name];
        damage(&path, how, of_another, other_kind);
        broken.push(path);
    }
    let asked: Vec<_> = victims.iter().map(|(.., sim)| answered(sim)).collect();

    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(daemon.status("/-/healthy").await, 200);
    for (kind, _, name, _) in &victims {
        // campaigns are served even without the other file
        if *kind == Kind::Poll {
            let served = samples(&metrics, DELIVERIES, &[&own(name)]);
            assert_eq!(served.len(), 3, "{name}");
        }
    }
    for ((kind, _, name, simulator), asked) in victims.iter().zip(&asked) {
        wait_until_answered(simulator, asked + 1).await;
        let own = own(name);
        let metrics = daemon
            .scrape_until(|metrics| {
                let has_data = samples(metrics, DELIVERIES, &[&own]).len() == 3;
                has_data && sample(metrics, UP, &[&own]) == Some(1.0)
            })
            .await;
        if *kind == Kind::Requests {
            let remaining = sample(&metrics, REMAINING, &[&own]).unwrap();
            assert!(remaining > 1e9 - 300.0, "{name} has {remaining} left");
        }
    }
    let log = daemon.log();
    for ((.., name, _), path) in victims.iter().zip(&broken) {
        let named = complaints(&log, &path.display().to_string());
        assert_eq!(named.len(), 1, "{name}: {named:?}");
    }
    assert_eq!(daemon.status("/-/healthy").await, 200);

    let setup = daemon.end_by("KILL").await;
    let asked: Vec<_> = victims.iter().map(|(.., sim)| answered(sim)).collect();
    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(ups(&metrics), all as f64);
    assert_eq!(count(&metrics, DELIVERIES), 3 * all);
    let log = daemon.log();
    for path in &broken {
        let named = complaints(&log, &path.display().to_string());
        assert!(named.is_empty(), "{named:?}");
    }
    let (_, _, _, often) = victims.iter().find(|(kind, ..)| *kind == Kind::Requests).unwrap();
    wait_for_clock(often).await;
    for ((kind, _, name, simulator), asked) in victims.iter().zip(&asked) {
        if matches!(kind, Kind::Poll | Kind::Campaigns) {
            assert_eq!(answered(simulator), *asked, "{name}");
        }
    }
}

#[tokio::test]
async fn restored_data_has_its_own_timestamp() {
    let simulator = provider(with_statuses()).await;
    let accounts = [account("shoes", &simulator, &[])];
    let daemon = start(Setup::new(&hourly(&accounts))).await;
    daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let setup = daemon.end_by("KILL").await;
    let kept = Kept::of(&setup);
    let path = kept.0.path(Kind::Campaigns, "shoes");
    kept.age("shoes", TimeDelta::hours(1)).await;
    let (first, first_data) = (fs::read(&path).unwrap(), kept.data("shoes").await);

    grow(&simulator);
    let daemon = start(setup).await;
    daemon.scrape_until(|metrics| count(metrics, DELIVERIES) == 9).await;
    let setup = daemon.end_by("KILL").await;
    let poll = kept.poll("shoes").await;
    // like after restoring a backup, or on a nearly full disk
    fs::write(&path, first).unwrap();
    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(count(&metrics, DELIVERIES), 3);
    assert!(near(sample(&metrics, LAST_SUCCESS, &[]), first_data.saved));
    assert!(near(sample(&metrics, LAST_POLL, &[]), poll.ended));
    assert!(poll.ended - first_data.saved > TimeDelta::minutes(59));
}

#[tokio::test]
async fn data_polled_with_other_settings_is_ignored() {
    let elsewhere = simulate(with_statuses(), Vec::new()).await;
    let unchanged = provider(with_statuses()).await;
    let statuses = [provider(with_statuses()).await, provider(with_statuses()).await];
    let channels = [
        provider(with_channels()).await,
        provider(with_channels()).await,
        provider(with_channels()).await,
    ];
    let before = [
        account("address", &statuses[0], &[]),
        account("zone", &statuses[1], &[]),
        account("app", &channels[0], &[]),
        account("channels", &channels[1], &[]),
        account("provider", &channels[2], &[]),
        account("same", &unchanged, &[]),
    ];
    let daemon = start(Setup::new(&hourly(&before))).await;
    daemon.scrape_until(|metrics| count(metrics, DELIVERIES) == 18).await;
    let setup = daemon.end_by("KILL").await;

    // the accounts have failed since then, so the data must come from storage
    for simulator in statuses.iter().chain(&channels).chain([&elsewhere, &unchanged]) {
        break_down(simulator);
    }
    let other_app = account("app", &channels[0], &[]);
    let after = [
        account("address", &elsewhere, &[]),
        account("zone", &statuses[1], &["time_zone: Asia/Tokyo"]),
        other_app.replace("demo-app", "other-app"),
        account("channels", &channels[1], &["channels: [sms]"]),
        account("provider", &statuses[0], &[])
            .replace(&statuses[0].base_url(), &channels[2].base_url()),
        account("same", &unchanged, &["request_timeout: 20s"]),
    ];
    setup.write_config(&hourly(&after));
    let asked = answered(&unchanged);
    let daemon = start(setup).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 6).await;
    assert_eq!(count(&metrics, DELIVERIES), 3);
    assert_eq!(samples(&metrics, DELIVERIES, &[&own("same")]).len(), 3);
    assert_eq!(answered(&unchanged), asked);
    for name in ["address", "zone", "app", "channels", "provider"] {
        let value = |metric| sample(&metrics, metric, &[&own(name)]);
        assert_eq!(value(UP), Some(0.0), "{name}");
        assert_eq!(value(LAST_SUCCESS), None, "{name}");
        let log = daemon.log();
        let told = log.lines().filter(|line| {
            line.contains("read with other settings") && line.contains(&format!("account={name}"))
        });
        assert_eq!(told.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn display_settings_apply_to_restored_data() {
    let simulator = provider(with_channels()).await;
    let own = |more: &[&str]| hourly(&[account("desk", &simulator, more)]);
    let without_labels = own(&["info_labels: []"]);
    let daemon = start(Setup::new(&without_labels)).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let whole = of_accounts(&metrics);
    assert!(!whole.contains("sender="), "{whole}");
    let asked = answered(&simulator);

    let mut setup = daemon.end_by("KILL").await;
    setup.write_config(&own(&["max_campaigns: 1", "info_labels: [sender]"]));
    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(count(&metrics, DELIVERIES), 1);
    let newest = sample(&metrics, DELIVERIES, &[r#"campaign_id="id-0""#]);
    assert_eq!(newest, Some(900.0));
    let dropped = sample(&metrics, "campaign_account_campaigns_dropped", &[]);
    assert_eq!(dropped, Some(2.0));
    let sender = [r#"sender="+85230000000""#];
    assert_eq!(samples(&metrics, "campaign_info", &sender), [1.0]);
    setup = daemon.end_by("KILL").await;

    // nothing was lost
    setup.write_config(&without_labels);
    let daemon = start(setup).await;
    assert_eq!(of_accounts(&daemon.scrape().await), whole);
    setup = daemon.end_by("KILL").await;
    assert_eq!(answered(&simulator), asked);

    // like after a reload, changes apply immediately
    for (lookback, campaigns) in [("36h", 1), ("30d", 3)] {
        let asked = answered(&simulator);
        setup.write_config(&own(&[&format!("lookback: {lookback}")]));
        let daemon = start(setup).await;
        assert!(count(&daemon.scrape().await, DELIVERIES) > 0);
        wait_until_answered(&simulator, asked + 1).await;
        daemon.scrape_until(|metrics| count(metrics, DELIVERIES) == campaigns).await;
        setup = daemon.end_by("KILL").await;
    }
}

#[tokio::test]
async fn stored_campaigns_pass_the_bounds_of_polled_ones() {
    let simulator = provider(any_api()).await;
    let yaml = hourly(&[account("one", &simulator, &["max_campaigns: 2"])]);
    let daemon = start(Setup::new(&yaml)).await;
    daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let setup = daemon.end_by("KILL").await;
    let kept = Kept::of(&setup);
    let mut data = kept.data("one").await;
    // the escaped ids of two take more than two campaigns may
    let id = |index: usize| {
        if index == 0 { "x".repeat(100_000) } else { format!("{index}{}", "\"".repeat(250)) }
    };
    let campaigns = data.history.by_id().into_vec().into_iter().cycle();
    let campaigns = campaigns.take(4).enumerate().map(|(index, campaign)| {
        Arc::new(campaign::Campaign {
            id: id(index),
            name: "x".repeat(100_000).into(),
            ..Arc::unwrap_or_clone(campaign)
        })
    });
    data.history = History::of_full_read(campaigns.collect(), data.history.full());
    kept.0.save(Kind::Campaigns, "one", data).await.unwrap();

    let asked = answered(&simulator);
    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    assert_eq!(count(&metrics, DELIVERIES), 1);
    let dropped = sample(&metrics, "campaign_account_campaigns_dropped", &[]);
    assert_eq!(dropped, Some(2.0), "of the three that were read");
    let name = format!("campaign_name=\"{}…\"", "x".repeat(MAX_TEXT_BYTES - '…'.len_utf8()));
    assert_eq!(samples(&metrics, "campaign_info", &[&name]), [1.0]);
    assert_eq!(answered(&simulator), asked);
    assert_eq!(complaints(&daemon.log(), "lost=1").len(), 1);
}

#[tokio::test]
async fn stored_campaigns_that_take_too_much_memory_are_set_aside() {
    let simulator = provider(any_api()).await;
    let accounts = ["one", "two"].map(|name| account(name, &simulator, &[]));
    let daemon = start(Setup::new(&hourly(&accounts))).await;
    daemon.scrape_until(|metrics| polled(metrics) == 2).await;
    let setup = daemon.end_by("KILL").await;
    let kept = Kept::of(&setup);
    let mut data = kept.data("one").await;
    // some megabytes on disk
    let campaigns = (0..MAX_ACCOUNT_BYTES / 500).map(|index| {
        Arc::new(campaign::Campaign { id: index.to_string(), ..campaign::Campaign::default() })
    });
    data.history = History::of_full_read(campaigns.collect(), data.history.full());
    kept.0.save(Kind::Campaigns, "one", data).await.unwrap();

    let asked = answered(&simulator);
    let daemon = start(setup).await;
    let read = |metrics: &str| count(metrics, DELIVERIES) == 6;
    daemon.scrape_until(read).await;
    assert_eq!(answered(&simulator), asked + 1, "only the data set aside");
    let log = daemon.log();
    let [warning] = complaints(&log, "set aside")[..] else {
        panic!("{log}");
    };
    assert!(warning.contains("exceeds a bound"), "{warning}");
}

#[tokio::test]
async fn polls_are_stretched_like_before_the_restart() {
    let simulator = provider(with_authorization()).await;
    // one poll per second exceeds a thousand per day
    let yaml = config(&[account("one", &simulator, &[])]);
    let yaml = yaml.replace("requests_per_day: 1000000000", "requests_per_day: 1000");
    let yaml = yaml.replace("  stale_after: 1h\n", "");
    let daemon = start(Setup::new(&yaml)).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let served = of_accounts(&metrics);
    let interval = "campaign_account_poll_interval_seconds";
    assert!(sample(&served, interval, &[]).unwrap() > 90.0, "{served}");
    let setup = daemon.end_by("KILL").await;
    // stale by the configured interval, but not by the current one
    Kept::of(&setup).age("one", TimeDelta::seconds(30)).await;
    let asked = answered(&simulator);

    let daemon = start(setup).await;
    let metrics = daemon.scrape().await;
    let without_times = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.contains("_timestamp_"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without_times(&of_accounts(&metrics)), without_times(&served));
    let (clock, clock_yaml) = clock().await;
    let setup = daemon.end_by("KILL").await;
    setup.write_config(&(yaml + &clock_yaml));
    let _daemon = start(setup).await;
    wait_for_clock(&clock).await;
    assert_eq!(answered(&simulator), asked);
}

async fn end_of_start(setup: &Setup, storage: &Path) -> (Option<i32>, String) {
    let mut command = setup.command();
    command.arg("--storage.path").arg(storage);
    end(command.args(["--web.listen-address", "127.0.0.1:0"])).await
}

/// Returns every file below a directory with its contents, except the time logs.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn storage_is_locked_by_one_exporter_but_not_for_commands() {
    let simulator = provider(with_authorization()).await;
    let accounts = [account("one", &simulator, &[])];
    let daemon = start(Setup::new(&hourly(&accounts))).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let storage = daemon.setup.storage();
    let before = files(&storage);
    let asked = answered(&simulator);

    let (code, log) = end_of_start(&daemon.setup, &storage).await;
    assert_eq!(code, Some(1), "{log}");
    let message = format!("{} is in use by another", storage.display());
    assert!(log.contains(&message), "{log}");
    assert_eq!(answered(&simulator), asked);

    let (code, log) = end(command(&daemon.setup).arg("--config.check")).await;
    assert_eq!(code, Some(0), "{log}");
    for word in ["poll", "backfill"] {
        let asked = answered(&simulator);
        let (code, log) = end(command(&daemon.setup).arg(word)).await;
        assert_eq!(code, Some(0), "{word}: {log}");
        assert!(answered(&simulator) > asked, "{word}");
    }
    let mut demo = command(&daemon.setup);
    demo.arg("demo").env("TMPDIR", daemon.setup.folder());
    let demo = Daemon::start_command(demo, Setup::new(""), &[]).await;
    demo.until_up(kinds().count()).await;
    demo.end_by("TERM").await;
    assert_eq!(files(&storage), before);
    assert_eq!(of_accounts(&daemon.scrape().await), of_accounts(&metrics));

    // a killed process leaves no lock behind
    let daemon = restart(daemon, "KILL").await;
    assert_eq!(of_accounts(&daemon.scrape().await), of_accounts(&metrics));
}

#[tokio::test]
async fn storage_that_is_lost_while_running_is_written_and_locked_again() {
    let simulator = provider(with_authorization()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let mut daemon = start(setup).await;
    let storage = daemon.setup.storage();
    let moved = storage.with_extension("moved");
    let store = Store::share(&storage).unwrap();
    let stored = [store.path(Kind::Campaigns, "one"), storage.join("lock")];
    let all_are_back = async |lost: &str| {
        let exist = async {
            while !stored.iter().all(|path| path.exists()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, exist).await.is_ok(), "{lost}");
        let (code, log) = end_of_start(&daemon.setup, &storage).await;
        assert_eq!(code, Some(1), "{lost}: {log}");
        assert!(log.contains("is in use by another"), "{lost}: {log}");
    };
    all_are_back("nothing").await;
    for path in &stored {
        fs::remove_file(path).unwrap();
        all_are_back(&path.display().to_string()).await;
    }
    fs::rename(&storage, &moved).unwrap();
    all_are_back("the folder").await;
    daemon.wait_for_log("the storage folder or its lock was replaced").await;

    fs::remove_file(&stored[1]).unwrap();
    let other = Store::open(&storage);
    if other.is_ok() {
        let is_stored = |metrics: &str| value(metrics, "campaign_account_last_poll_stored");
        daemon.scrape_until(|metrics| is_stored(metrics) == Some(0.0)).await;
        assert!(daemon.log().contains("is in use by another"));
        drop(other);
        daemon.scrape_until(|metrics| is_stored(metrics) == Some(1.0)).await;
    }
}

/// Runs a command as an unprivileged user, who must own the given paths.
fn unprivileged(command: &Command, folder: &Path) -> Option<Command> {
    const NOBODY: u32 = 65_534;
    if fs::metadata(folder).unwrap().uid() != 0 {
        return None;
    }
    // in directories that every user can enter
    let program = folder.join("program");
    fs::copy(command.as_std().get_program(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for path in files(folder).keys() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut other = Command::new(program);
    other.env_clear().kill_on_drop(true).uid(NOBODY).gid(NOBODY);
    other.args(command.as_std().get_args());
    Some(other)
}

#[tokio::test]
async fn unusable_storage_is_reported_at_startup() {
    let simulator = provider(with_statuses()).await;
    let accounts = [account("shoes", &simulator, &[])];
    let setup = Setup::new(&hourly(&accounts));
    let file = setup.folder().join("file");
    fs::write(&file, "").unwrap();
    let occupied = setup.folder().join("occupied");
    fs::create_dir_all(occupied.join("lock")).unwrap();
    for path in [file.clone(), file.join("below"), occupied, PathBuf::from("/proc")] {
        let (code, log) = end_of_start(&setup, &path).await;
        let path = path.display().to_string();
        assert_eq!(code, Some(1), "{path}: {log}");
        assert!(log.contains(&path), "{path}: {log}");
        assert!(log.contains("--storage.path"), "{path}: {log}");
        assert!(!log.contains("listening"), "{path}: {log}");
    }

    // has been used before, so all files exist
    let storage = setup.storage();
    drop(Store::open(&storage).unwrap());
    fs::set_permissions(&storage, fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = command(&setup);
    command.args(["--web.listen-address", "127.0.0.1:0"]);
    if let Some(mut command) = unprivileged(&command, setup.folder()) {
        std::os::unix::fs::chown(&storage, Some(65_534), Some(65_534)).unwrap();
        let (code, log) = end(&mut command).await;
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(&storage.display().to_string()), "{log}");
        assert!(log.contains("Permission denied"), "{log}");
        let (code, log) = end(command.arg("--config.check")).await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("cannot write to"), "{log}");
        assert!(log.contains("Permission denied"), "{log}");
    }
    assert_eq!(answered(&simulator), 0);
}

/// Polls every second without a request budget, which would be stored, too.
fn unlimited(accounts: &[String]) -> String {
    config(accounts).replace("  requests_per_day: 1000000000\n", "")
}

#[tokio::test]
async fn read_only_storage_causes_one_warning_and_no_failed_poll() {
    let simulator = provider(with_statuses()).await;
    let more = ["full_poll_interval: 1s"];
    let accounts = [account("shoes", &simulator, &more)];
    let daemon = start(Setup::new(&unlimited(&accounts))).await;
    daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    let storage = daemon.setup.storage();
    let aside = daemon.setup.folder().join("aside");
    fs::rename(&storage, &aside).unwrap();
    // in the way of a new folder
    fs::write(&storage, "").unwrap();
    grow(&simulator);
    daemon.scrape_until(|metrics| count(metrics, DELIVERIES) == 9).await;
    // several polls, some of which find changes
    for number in [8, 9, 8] {
        simulator.update(|state| state.campaigns = campaigns(number).into());
        let number = usize::try_from(number).unwrap();
        daemon.scrape_until(|metrics| count(metrics, DELIVERIES) == number).await;
    }
    wait_for_clock(&simulator).await;
    assert_eq!(daemon.status("/-/healthy").await, 200);
    let metrics = daemon.scrape().await;
    assert_eq!(sample(&metrics, UP, &[]), Some(1.0));
    let log = daemon.log();
    let told = complaints(&log, &storage.display().to_string());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("a restart would lose"), "{told:?}");
    let noise = log.lines().filter(|line| !line.contains("level=debug"));
    assert!(noise.clone().count() < 10, "{:?}", noise.collect::<Vec<_>>());

    // nothing changes anymore, but earlier changes are stored
    fs::remove_file(&storage).unwrap();
    fs::rename(&aside, &storage).unwrap();
    wait_for_clock(&simulator).await;
    let setup = daemon.end_by("KILL").await;
    let asked = answered(&simulator);
    setup.write_config(&hourly(&accounts));
    let daemon = start(setup).await;
    assert_eq!(count(&daemon.scrape().await, DELIVERIES), 8);
    assert_eq!(answered(&simulator), asked);
}

#[tokio::test]
async fn a_full_disk_causes_one_warning_and_no_failed_poll() {
    let simulator = provider(with_channels()).await;
    let accounts = [account("desk", &simulator, &[])];
    let setup = Setup::new(&unlimited(&accounts));
    // no file can grow
    let mut limited = Command::new("sh");
    limited.env_clear().kill_on_drop(true);
    limited.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]);
    let plain = command(&setup);
    limited.arg(plain.as_std().get_program());
    limited.args(plain.as_std().get_args());
    let daemon = Daemon::start_command(limited, setup, &[]).await;
    daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    wait_for_clock(&simulator).await;
    let metrics = daemon.scrape().await;
    assert_eq!(sample(&metrics, UP, &[]), Some(1.0));
    let stored = sample(&metrics, "campaign_account_last_poll_stored", &[]);
    assert_eq!(stored, Some(0.0));
    for (path, since) in [
        ("/", "Not stored since <time"),
        ("/status", "Not stored since <time"),
        ("/status?format=json", r#","since":""#),
    ] {
        let page = daemon.get(path).await;
        assert!(page.contains("File too large (os error 27)"), "{page}");
        assert!(page.contains(since), "{page}");
    }
    assert_eq!(count(&metrics, DELIVERIES), 3);
    let log = daemon.log();
    let told = complaints(&log, &daemon.setup.storage().display().to_string());
    assert_eq!(told.len(), 1, "{told:?}");
    let left = files(&daemon.setup.storage());
    assert!(left.values().all(Vec::is_empty), "{left:?}");
}

/// Near midnight, the daily budget could reset during the test.
async fn wait_for_a_minute_of_this_day() {
    let now = Utc::now();
    let midnight = (now.date_naive() + chrono::Days::new(1)).and_time(chrono::NaiveTime::MIN);
    let left = midnight.and_utc() - now;
    if left < TimeDelta::minutes(1) {
        tokio::time::sleep(left.to_std().unwrap()).await;
    }
}

#[tokio::test]
async fn the_request_budget_survives_restarts() {
    const LIMIT_A_DAY: f64 = 1_000.0;
    wait_for_a_minute_of_this_day().await;
    let simulator = simulate(with_authorization(), campaigns(230)).await;
    let accounts = [account("one", &simulator, &[])];
    let yaml = hourly(&accounts).replace("1000000000", "1000");
    let stall = |after: u64| {
        let plan = FaultPlan { fault: Fault::Stall, skip: after, times: None };
        simulator.update(|state| state.fault = Some(plan));
    };
    let mut setup = Setup::new(&yaml);
    let mut expected = 0;
    for pages in [0, 3, 0, 1, 4] {
        stall(pages);
        let daemon = start(setup).await;
        // the pages of this poll, and the endless one
        expected += pages + 1;
        wait_until_answered(&simulator, expected).await;
        let metrics = daemon.scrape().await;
        let remaining = sample(&metrics, REMAINING, &[]);
        assert_eq!(remaining, Some(LIMIT_A_DAY - expected as f64));
        setup = daemon.end_by("KILL").await;
        assert_eq!(answered(&simulator), expected);
    }
    simulator.update(|state| state.fault = None);
    let mut daemon = start(setup).await;
    let metrics = daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    assert_eq!(count(&metrics, DELIVERIES), 230);
    expected += 5;
    for signal in ["KILL", "TERM", "KILL"] {
        daemon = restart(daemon, signal).await;
        let metrics = daemon.scrape().await;
        let remaining = sample(&metrics, REMAINING, &[]);
        assert_eq!(remaining, Some(LIMIT_A_DAY - expected as f64), "{signal}");
    }
    assert_eq!(answered(&simulator), expected);
}

#[tokio::test]
async fn storage_is_optional_and_private() {
    let simulator = provider(with_authorization()).await;
    let accounts = [account("one", &simulator, &[])];
    let folder = TempDir::new().unwrap();
    let refresh_token = folder.path().join("refresh-token");
    let setup = Setup::new(&config(&accounts));
    let before = files(setup.folder());
    let home = TempDir::new().unwrap();
    let mut plain = setup.command();
    plain.current_dir(&home);
    plain.env("HOME", home.path()).env("TMPDIR", home.path());
    let daemon = Daemon::start_command(plain, setup, &[]).await;
    daemon.scrape_until(|metrics| polled(metrics) == 1).await;
    wait_for_clock(&simulator).await;
    let setup = daemon.end_by("TERM").await;
    assert_eq!(files(setup.folder()), before);
    assert_eq!(files(home.path()), BTreeMap::new());
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);

    let (_renewing, yaml) = renewing("two", &refresh_token, &[]).await;
    setup.write_config(&config(&[accounts[0].clone(), yaml]));
    // regardless of the umask
    let mut open = Command::new("sh");
    open.env_clear().kill_on_drop(true);
    open.args(["-c", "umask 0; exec \"$0\" \"$@\""]);
    let plain = command(&setup);
    open.arg(plain.as_std().get_program());
    open.args(plain.as_std().get_args());
    let daemon = Daemon::start_command(open, setup, &[]).await;
    daemon.until_up(2).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let storage = daemon.setup.storage();
    assert_eq!(mode(&storage), 0o700);
    let kept = files(&storage);
    let setup = daemon.end_by("TERM").await;
    for kind in ["poll", "campaigns", "requests", "tokens", "lock"] {
        let of_kind = |path: &&PathBuf| path.to_str().unwrap().ends_with(kind);
        assert!(kept.keys().any(|path| of_kind(&path)), "{kind}: {kept:?}");
    }
    for path in files(&setup.storage()).keys() {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
}
