//! Jumps of the wall clock: durations do not depend on it.

use std::path::Path;
use std::time::{Duration, Instant};

use campaign_simulator::{Campaign, Counts, Simulator};
use chrono::{TimeDelta, Utc};

use crate::support::apis::{apis, renewed, with_authorization};
use crate::support::daemon::{Daemon, Setup, account, config, count, samples, simulate};
use crate::support::faketime::FakeClock;
use crate::support::faults::{Exported, each, provider};

/// File of the first refresh token, in a setup.
const REFRESH_TOKEN: &str = "REFRESH_TOKEN_FILE";

/// An account with a refresh token.
fn renewing(name: &str, simulator: &Simulator, more: &[&str]) -> String {
    simulator.update(|state| state.authorization.grant("first"));
    renewed(name, simulator, Path::new(REFRESH_TOKEN), more)
}

/// Starts the exporter with a fake clock, and at least one account with a refresh token.
async fn start(clock: &FakeClock, setup: Setup) -> Daemon {
    let mut command = setup.command();
    clock.of(&mut command);
    let storage = setup.folder().join("store").display().to_string();
    Daemon::start_command(command, setup, &["--storage.path", &storage]).await
}

fn setup(accounts: &[String]) -> Setup {
    let setup = Setup::new("");
    let file = setup.folder().join("refresh-token");
    std::fs::write(&file, "first").unwrap();
    let yaml = config(accounts).replace(REFRESH_TOKEN, &file.display().to_string());
    setup.write_config(&yaml);
    setup
}

fn campaign(id: &str, age: TimeDelta) -> Campaign {
    let counts = Counts { recipients: 1_000, sends: 1_000, deliveries: 950, ..Counts::default() };
    Campaign::sms(id, "Spring", Utc::now() - age, counts)
}

enum Jump {
    /// Offset from the correct time.
    By(TimeDelta),
    /// Time after the next midnight.
    ToNight(TimeDelta),
}

#[tokio::test]
async fn clock_jumps_do_not_affect_polls_data_or_tokens() {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (api, name) in apis() {
        // some providers are asked for campaigns until one day ahead of the clock
        let ages = [TimeDelta::hours(26), TimeDelta::days(10)];
        let campaigns = ages.map(|age| campaign(&age.num_hours().to_string(), age));
        let simulator = simulate(api, campaigns.to_vec()).await;
        // measured by the wall clock, each jump would make the data stale
        let more = ["stale_after: 30m"];
        accounts.push(if api.authorization().is_some() {
            renewing(name, &simulator, &more)
        } else {
            account(name, &simulator, &more)
        });
        simulators.push(simulator);
    }
    let names = apis().into_iter().map(|(_, name)| name.to_owned());
    let names: Vec<_> = names.collect();
    let setup = setup(&accounts);
    let mut clock = FakeClock::new(setup.folder());
    let daemon = start(&clock, setup).await;
    let deliveries = |metrics: &str| count(metrics, "campaign_deliveries{");
    daemon
        .scrape_until(|metrics| {
            each(metrics, &names, |own| own.polls("success") >= 2.0)
                && deliveries(metrics) == 2 * names.len()
        })
        .await;

    let (hours, days, minutes) = (TimeDelta::hours, TimeDelta::days, TimeDelta::minutes);
    for (what, jump) in [
        ("two hours on", Jump::By(hours(2))),
        ("four hours back", Jump::By(hours(-2))),
        ("right again", Jump::By(hours(0))),
        ("two days on", Jump::By(days(2))),
        ("four days back", Jump::By(days(-2))),
        ("over midnight", Jump::ToNight(TimeDelta::seconds(-2))),
        ("minutes after midnight", Jump::ToNight(minutes(5))),
        ("minutes before midnight", Jump::ToNight(minutes(-5))),
        ("midnight", Jump::ToNight(minutes(0))),
        ("right at last", Jump::By(hours(0))),
    ] {
        let before = daemon.scrape().await;
        let begin = Instant::now();
        match jump {
            Jump::By(offset) => clock.set(offset),
            Jump::ToNight(since_midnight) => clock.set_to_night(since_midnight),
        }
        let metrics = daemon
            .scrape_until(|metrics| {
                assert_eq!(
                    samples(metrics, "campaign_account_up", &[]),
                    vec![1.0; names.len()],
                    "{what}"
                );
                assert_eq!(deliveries(metrics), 2 * names.len(), "{what}");
                each(metrics, &names, |own| {
                    own.polls("success") >= Exported::of(&before, &own.name).polls("success") + 3.0
                })
            })
            .await;
        // the first poll may have been due immediately, the others are an interval apart
        assert!(begin.elapsed() >= Duration::from_millis(1_900), "{what}");
        assert_eq!(daemon.get("/-/healthy").await, "Campaign exporter is healthy.\n");
        for name in &names {
            let own = Exported::of(&metrics, name);
            assert_eq!((own.all_errors(), own.retries()), (0.0, 0.0), "{what} {name}");
            assert_eq!(own.value("campaign_account_poll_interval_seconds"), Some(1.0), "{what}");
            // the clock has jumped to this time
            let time = own.value("campaign_account_last_success_timestamp_seconds").unwrap();
            let off = time - clock.now().timestamp_millis() as f64 / 1_000.0;
            assert!(off.abs() < 30.0, "{what} {name}: {off}");
        }
        for simulator in &simulators {
            let refreshes = simulator.read(|state| state.authorization.refreshes);
            let expected = u64::from(simulator.api().authorization().is_some());
            assert_eq!(refreshes, expected, "{what}");
        }
    }
    let log = daemon.stop().await;
    assert!(!log.contains("panic"), "{log}");
}

#[tokio::test]
async fn tokens_survive_a_start_with_a_wrong_clock() {
    let simulator = provider(with_authorization()).await;
    let mut setup = setup(&[renewing("one", &simulator, &[])]);
    let mut clock = FakeClock::new(setup.folder());
    // by the second clock the token has expired, by the others it is still valid
    for (days, refreshes) in [(0, 1), (2, 2), (-2, 2), (0, 2)] {
        clock.set(TimeDelta::days(days));
        let daemon = start(&clock, setup).await;
        let metrics = daemon
            .scrape_until(|metrics| {
                let own = Exported::of(metrics, "one");
                own.polls("success") >= 3.0 && own.is_up() && own.has_data()
            })
            .await;
        assert_eq!(Exported::of(&metrics, "one").all_errors(), 0.0, "{days}");
        let refreshed = simulator.read(|state| state.authorization.refreshes);
        assert_eq!(refreshed, refreshes, "{days}");
        daemon.signal("KILL").await;
        setup = daemon.end().await;
    }
    let reused = simulator.read(|state| state.authorization.reused_refresh_tokens());
    assert_eq!(reused, [""; 0]);
}
