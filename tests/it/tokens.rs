//! Renewal of tokens: none is lost, none is used twice, and if manual authorization is required, the log
//! shows the command.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use campaign_simulator::{Authorization, ExpiresIn, Fault, FaultPlan, Simulator};
use chrono::Utc;
use futures_util::future::{join, join_all, join3};
use tokio::process::Command;

use crate::support::apis::{with_authorization, with_statuses};
use crate::support::daemon::{Daemon, LIMIT, Setup, account, config, end, program, run, simulate};
use crate::support::faults::{Exported, status};
use crate::support::tokens::{
    Home, Running, complaints, is_api, is_for_device, mode, newest, presented, refreshes, renewed,
    renewed_at, reused, scripted, simulator_with_authorization, token_requests, until,
};

const FIRST: &str = "first-refresh-token-of-the-tests-0123456789";
const CLIENT_SECRET: &str = "client:s3cret/with+signs of-the_tests%";

/// Starts a simulator with one authorized client.
async fn consented(change: impl FnOnce(&mut Authorization)) -> Simulator {
    simulator_with_authorization(|server| {
        server.grant(FIRST);
        change(server);
    })
    .await
}

/// An account whose first refresh token was granted by [`consented`].
fn first(home: &Home, name: &str, simulator: &Simulator) -> String {
    let token = home.secret("refresh_token", name, FIRST);
    renewed(name, simulator, &[&token])
}

/// Waits until this process has polled an account successfully the given number of times.
async fn polled(daemon: &Daemon, account: &str, times: f64) -> String {
    daemon
        .scrape_until(|metrics| {
            let account = Exported::of(metrics, account);
            account.is_up() && account.polls("success") >= times
        })
        .await
}

/// Lets an account renew its tokens twice.
async fn renew_before_expiry(secret: Option<&str>, rotating: bool, expires_in: ExpiresIn) {
    let lifetime = Duration::from_secs(4);
    let home = Home::new();
    let simulator = consented(|server| {
        server.client_secret = secret.map(str::to_owned);
        server.rotating = rotating;
        server.repeats_refresh_token = matches!(expires_in, ExpiresIn::Number);
        server.expires_in = expires_in;
        server.lifetime = lifetime;
    })
    .await;
    let mut more = vec![home.secret("refresh_token", "one", FIRST)];
    more.extend(secret.map(|secret| home.secret("client_secret", "one", secret)));
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let daemon = home.start(&config(&[renewed("one", &simulator, &more)])).await;
    until(&simulator, "renewed twice", |state| state.authorization.refreshes >= 3).await;
    let metrics =
        daemon.scrape_until(|metrics| Exported::of(metrics, "one").polls("success") >= 4.0).await;
    let account = Exported::of(&metrics, "one");
    assert!(account.is_up() && account.has_data(), "{metrics}");
    assert_eq!(account.polls("failure"), 0.0, "{}", daemon.log());
    // an expired token would have been rejected
    assert_eq!(account.answers("401"), 0.0, "{}", daemon.log());
    let left = account.token_expiry().unwrap() - Utc::now().timestamp() as f64;
    // times have whole seconds
    assert!(left <= lifetime.as_secs_f64() + 1.0, "{left}");
    assert!(left > -LIMIT.as_secs_f64(), "{left}");
    for request in token_requests(&simulator) {
        let basic = request.headers.get("authorization").is_some();
        assert_eq!(basic, secret.is_some());
        assert_eq!(request.field("client_id").is_none(), basic);
        assert_eq!(request.field("client_secret"), None);
    }
    let presented = presented(&simulator);
    assert_eq!(presented[0], FIRST);
    let different: BTreeSet<_> = presented.iter().collect();
    let expected = if rotating { presented.len() } else { 1 };
    assert_eq!(different.len(), expected, "{presented:?}");
}

#[tokio::test]
async fn tokens_are_renewed_before_expiry_for_all_client_and_token_types() {
    join_all([None, Some(CLIENT_SECRET)].map(|secret| {
        // a process each, since renewals of one process are a second apart
        join3(
            renew_before_expiry(secret, true, ExpiresIn::Number),
            renew_before_expiry(secret, false, ExpiresIn::Number),
            renew_before_expiry(secret, false, ExpiresIn::Text),
        )
    }))
    .await;
}

#[tokio::test]
async fn a_rejected_access_token_is_renewed_within_the_poll() {
    let home = Home::new();
    // their expiry is unknown
    let silent = consented(|server| server.expires_in = ExpiresIn::Absent).await;
    let nonsense = consented(|server| {
        server.expires_in = ExpiresIn::Other(serde_json::json!([-1, "soon"]));
    })
    .await;
    let accounts = [("silent", &silent), ("nonsense", &nonsense)]
        .map(|(name, simulator)| first(&home, name, simulator));
    let daemon = home.start(&config(&accounts)).await;
    join_all([("silent", &silent), ("nonsense", &nonsense)].map(async |(name, simulator)| {
        let metrics = polled(&daemon, name, 1.0).await;
        let day = Utc::now().timestamp() as f64 + 86_400.0;
        let expiry = Exported::of(&metrics, name).token_expiry().unwrap();
        assert!((expiry - day).abs() < LIMIT.as_secs_f64(), "{expiry}");
        // every time, not only the first
        for times in 1..=2_u32 {
            let polls = Exported::of(&daemon.scrape().await, name).polls("success");
            simulator.update(|state| state.authorization.revoke_access_tokens());
            let metrics = daemon
                .scrape_until(|metrics| {
                    let account = Exported::of(metrics, name);
                    account.answers("401") >= f64::from(times)
                        && account.polls("success") + account.polls("failure") >= polls + 2.0
                })
                .await;
            let account = Exported::of(&metrics, name);
            assert_eq!(account.polls("failure"), 0.0, "{}", daemon.log());
            assert_eq!(account.answers("401"), f64::from(times));
            assert_eq!(refreshes(simulator), u64::from(times) + 1);
        }
    }))
    .await;
    // an API that rejects every token does not cause endless renewals
    let before = refreshes(&silent);
    silent.update(|state| state.fault = Some(FaultPlan::always(status(401, None))));
    let metrics =
        daemon.scrape_until(|metrics| Exported::of(metrics, "silent").errors("auth") >= 3.0).await;
    assert!(!Exported::of(&metrics, "silent").is_up());
    assert_eq!(refreshes(&silent), before + 1);
    silent.update(|state| state.fault = None);
    let polls = Exported::of(&metrics, "silent").polls("success");
    polled(&daemon, "silent", polls + 1.0).await;
    assert_eq!(refreshes(&silent), before + 1);
    assert_eq!(reused(&silent), [""; 0]);
}

#[tokio::test]
async fn a_new_refresh_token_is_stored_before_its_access_token_is_used() {
    let home = Home::new();
    let simulator = consented(|_| {}).await;
    // slow enough to check the exporter during its first request
    simulator.update(|state| state.fault = Some(FaultPlan::always(Fault::Silence)));
    let yaml = config(&[first(&home, "one", &simulator)]);
    let daemon = home.start(&yaml).await;
    until(&simulator, "asked", |state| state.requests.iter().any(is_api)).await;
    let kept = home.keeps("one", &simulator, &newest(&simulator));
    daemon.end_by("KILL").await;
    assert!(kept);
    assert_eq!(mode(&home.kept("one", &simulator)), 0o600);
    assert_eq!(mode(&home.store()), 0o700);

    simulator.update(|state| {
        state.fault = None;
        state.authorization.revoke_access_tokens();
    });
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 1.0).await;
    assert_eq!(refreshes(&simulator), 2);
    assert_eq!(reused(&simulator), [""; 0]);
}

/// Kills the exporter at many points of its renewals, starting at the given delay.
async fn kill_repeatedly(begin: Duration) {
    let home = Home::new();
    let simulator = consented(|server| {
        server.lifetime = Duration::from_secs(2);
        // lost responses can be requested again
        server.grace = true;
        server.fault = Some(FaultPlan::always(Fault::Delay { by: Duration::from_millis(40) }));
    })
    .await;
    let yaml = config(&[first(&home, "one", &simulator)]);
    let mut unheard = BTreeSet::new();
    for round in 0..4_u32 {
        let before = token_requests(&simulator).len();
        let daemon = home.start(&yaml).await;
        // varies from before a renewal to well after it
        until(&simulator, "renewed", |state| {
            let requests = state.requests.iter();
            requests.filter(|request| Authorization::is_token_request(request)).count() > before
        })
        .await;
        tokio::time::sleep(begin + Duration::from_millis(17) * round).await;
        daemon.end_by("KILL").await;
        if !home.keeps("one", &simulator, &newest(&simulator)) {
            unheard.extend(presented(&simulator).pop());
        }
    }
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 2.0).await;
    let reused: BTreeSet<_> = reused(&simulator).into_iter().collect();
    assert!(reused.is_subset(&unheard), "{reused:?} {unheard:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn tokens_survive_kills_at_any_time() {
    let begins = [0, 10, 45, 90].map(Duration::from_millis);
    join_all(begins.map(kill_repeatedly)).await;
}

#[tokio::test]
async fn lost_token_responses_are_retried_or_require_authorization() {
    let home = Home::new();
    let kind = consented(|server| server.grace = true).await;
    let strict = consented(|_| {}).await;
    let mut accounts = Vec::new();
    for (name, simulator) in [("kind", &kind), ("strict", &strict)] {
        simulator.update(|state| state.authorization.fault = Some(FaultPlan::once(Fault::Unheard)));
        accounts.push(first(&home, name, simulator));
    }
    let daemon = home.start(&config(&accounts)).await;
    let metrics = polled(&daemon, "kind", 1.0).await;
    assert_eq!(Exported::of(&metrics, "kind").polls("failure"), 0.0);
    assert_eq!(presented(&kind), [FIRST, FIRST]);
    let metrics =
        daemon.scrape_until(|metrics| Exported::of(metrics, "strict").errors("auth") >= 2.0).await;
    assert!(!Exported::of(&metrics, "strict").is_up());
    let log = daemon.log();
    let said = complaints(&log, "campaign_exporter authorize strict");
    assert_eq!(said.len(), 1, "{log}");
    assert_eq!(presented(&strict), [FIRST, FIRST]);
}

#[tokio::test]
async fn token_renewals_do_not_overlap_and_are_a_second_apart() {
    // longer than the minimum interval of requests, which alone would let them overlap
    const DELAY: Duration = Duration::from_millis(1_700);
    let home = Home::new();
    let simulator = simulator_with_authorization(|server| {
        server.grant(FIRST);
        server.grant(format!("{FIRST}-too"));
        server.rate_limited = true;
        server.lifetime = Duration::from_secs(4);
        server.fault = Some(FaultPlan::always(Fault::Delay { by: DELAY }));
    })
    .await;
    let two = [("one", FIRST.to_owned()), ("two", format!("{FIRST}-too"))];
    let mut accounts = two.map(|(name, token)| {
        renewed(name, &simulator, &[&home.secret("refresh_token", name, &token)])
    });
    // a different client, which is rejected and retries at each poll
    let first = home.secret("refresh_token", "stranger", "of-a-stranger");
    let stranger = renewed_at("stranger", &simulator.base_url(), "stranger", &[&first]);
    let daemon = home.start(&config(&[&mut accounts[..], &mut [stranger]].concat())).await;
    until(&simulator, "renewed", |state| state.authorization.refreshes >= 4).await;
    for name in ["one", "two"] {
        let metrics = polled(&daemon, name, 2.0).await;
        assert_eq!(Exported::of(&metrics, name).polls("failure"), 0.0, "{name}");
        // responses take time
        assert_eq!(Exported::of(&metrics, name).answers("401"), 0.0, "{name}");
    }
    let gaps = |kind: &dyn Fn(&str) -> bool| -> Vec<Duration> {
        let requests = token_requests(&simulator);
        let moments = requests
            .iter()
            .filter(|request| kind(request.field("client_id").unwrap()))
            .map(|request| request.at);
        let moments: Vec<_> = moments.collect();
        moments.windows(2).map(|pair| pair[1] - pair[0]).collect()
    };
    let own = gaps(&|client| client != "stranger");
    assert!(own.len() >= 3 && own.iter().all(|gap| *gap >= DELAY), "{own:?}");
    // a slow machine shifts requests by a part of the second
    let all = gaps(&|_| true);
    assert!(all.len() > own.len() + 1, "the other client asks, too");
    assert!(all.iter().all(|gap| *gap >= Duration::from_millis(600)), "{all:?}");
}

#[tokio::test]
async fn stored_tokens_take_precedence_unless_the_configured_one_changes() {
    let home = Home::new();
    let simulator = consented(|_| {}).await;
    let first = home.secret("refresh_token", "one", FIRST);
    let file = home.path("one.refresh_token");
    let yaml = config(&[renewed("one", &simulator, &[&first])]);
    let expire = || simulator.update(|state| state.authorization.revoke_access_tokens());
    let grant = |token: &str| simulator.update(|state| state.authorization.grant(token));
    let one_after_the_other = |expected: u64| {
        assert_eq!(refreshes(&simulator), expected);
        assert_eq!(reused(&simulator), [""; 0]);
        presented(&simulator)
    };

    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 1.0).await;
    daemon.stop().await;

    // first with the used token still configured, then without
    for expected in [2, 3] {
        expire();
        let daemon = home.start(&yaml).await;
        polled(&daemon, "one", 1.0).await;
        one_after_the_other(expected);
        daemon.stop().await;
        std::fs::remove_file(&file).ok();
    }

    // a valid token, used immediately
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 1.0).await;
    grant("second-one");
    std::fs::write(&file, "second-one").unwrap();
    until(&simulator, "given the new token", |state| state.authorization.refreshes >= 4).await;
    assert_eq!(one_after_the_other(4).last().unwrap(), "second-one");

    // a rejected token only costs one request, even after a restart
    std::fs::write(&file, "refused-one").unwrap();
    until(&simulator, "back to the kept one", |state| state.authorization.refreshes >= 5).await;
    let metrics = daemon.scrape().await;
    let polls = Exported::of(&metrics, "one").polls("success");
    let metrics = polled(&daemon, "one", polls + 1.0).await;
    assert_eq!(Exported::of(&metrics, "one").polls("failure"), 0.0);
    daemon.stop().await;
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 2.0).await;
    daemon.stop().await;
    let all = one_after_the_other(5);
    assert_eq!(all[all.len() - 2], "refused-one");

    // damaged tokens are set aside, which leaves the configured one
    std::fs::write(home.kept("one", &simulator), "nonsense").unwrap();
    grant("third-one");
    std::fs::write(&file, "third-one").unwrap();
    let mut daemon = home.start(&yaml).await;
    daemon.wait_for_log("set aside").await;
    polled(&daemon, "one", 1.0).await;
    daemon.stop().await;
    assert_eq!(one_after_the_other(6).last().unwrap(), "third-one");
    let aside = home.kept("one", &simulator).display().to_string() + ".set-aside";
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "nonsense");

    // stored tokens of another client are not used
    simulator.update(|state| state.authorization.client_id = "another-client".to_owned());
    // issued to the other client, under the same account name
    grant("third-one");
    let yaml = config(&[renewed("one", &simulator, &[&first])]);
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 1.0).await;
    daemon.stop().await;
    assert_eq!(refreshes(&simulator), 7);
    assert_eq!(reused(&simulator), ["third-one"]);
    let asked = simulator.requests();
    let asked = asked.iter().filter(|request| request.field("client_id") == Some("another-client"));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn a_rejected_refresh_token_is_logged_once_and_authorize_needs_no_restart() {
    // a name that must be quoted in a shell
    let odd = "it's \"odd\" $HOME";
    let names = ["plain", odd];
    let home = Home::new();
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for name in names {
        let simulator = consented(|server| server.pending_polls = Some(0)).await;
        let first = home.secret("refresh_token", &accounts.len().to_string(), FIRST);
        accounts.push(renewed(name, &simulator, &[&first]));
        simulators.push(simulator);
    }
    let other = consented(|_| {}).await;
    accounts.push(first(&home, "other", &other));
    let yaml = config(&accounts);
    let daemon = home.start_with(&yaml, &["--log.format", "json"]).await;
    for name in names {
        polled(&daemon, name, 1.0).await;
    }
    for simulator in &simulators {
        simulator.update(|state| state.authorization.revoke_all());
    }
    let metrics = daemon
        .scrape_until(|metrics| {
            let mut all = names.iter().map(|name| Exported::of(metrics, name));
            all.all(|account| account.errors("auth") >= 3.0)
        })
        .await;
    for (name, simulator) in names.iter().zip(&simulators) {
        let account = Exported::of(&metrics, name);
        assert!(!account.is_up() && account.has_data(), "{name}");
        assert_eq!(account.polls("failure"), account.errors("auth"), "{name}");
        // the first and the rejected one
        assert_eq!(token_requests(simulator).len(), 2, "{name}");
    }
    let account = Exported::of(&metrics, "other");
    assert!(account.is_up() && account.polls("failure") == 0.0);

    let log = daemon.log();
    let setup = Setup::new(&yaml);
    for (name, simulator) in names.iter().zip(&simulators) {
        let lines =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let said: Vec<_> = lines
            .filter(|line| line["account"] == *name && line["level"] != "DEBUG")
            .filter_map(|line| Some(line["error"].as_str()?.to_owned()))
            .collect();
        assert_eq!(said.len(), 1, "{log}");
        // pasted into a shell
        let command = said[0].split('`').nth(1).unwrap();
        assert!(command.starts_with("campaign_exporter authorize "), "{command}");
        let output = run(&mut pasted(command, &setup, &home)).await;
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
        let polls = Exported::of(&metrics, name).polls("success");
        polled(&daemon, name, polls + 1.0).await;
        assert_eq!(refreshes(simulator), 1);
        // these are renewed like any others
        simulator.update(|state| state.authorization.revoke_access_tokens());
        until(simulator, "renewed", |state| state.authorization.refreshes == 2).await;
        let metrics = daemon.scrape().await;
        polled(&daemon, name, Exported::of(&metrics, name).polls("success") + 1.0).await;
    }
}

/// Returns a command that runs a shell line, in an environment with the exporter's configuration.
fn pasted(line: &str, setup: &Setup, home: &Home) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_campaign_exporter"));
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env_clear().kill_on_drop(true);
    command.env("PATH", program.parent().unwrap());
    command.env("HOME", "/");
    command.env("CAMPAIGN_EXPORTER_CONFIG_FILE", setup.config_file());
    command.env("CAMPAIGN_EXPORTER_STORAGE_PATH", home.store());
    command
}

#[tokio::test]
async fn polls_continue_with_old_tokens_while_renewal_fails() {
    let html = Fault::Body { content_type: "text/html", body: "<html>soon</html>".to_owned() };
    let cases = [
        ("server", status(500, None)),
        ("throttled", status(429, None)),
        ("decode", html),
        ("network", Fault::Truncated),
    ];
    let failing =
        cases.map(|(reason, fault)| old_tokens_are_used_while_the_server_fails(reason, fault));
    join(join_all(failing), tokens_that_cannot_be_renewed_are_used_until_they_expire()).await;
}

async fn old_tokens_are_used_while_the_server_fails(reason: &str, fault: Fault) {
    let home = Home::new();
    let simulator = consented(|server| {
        server.rotating = false;
        // the error in the body decides
        server.expires_in = ExpiresIn::Other(8.into());
        server.fault = Some(FaultPlan { skip: 1, ..FaultPlan::always(fault) });
    })
    .await;
    let yaml = config(&[first(&home, "one", &simulator)]);
    let daemon = home.start(&yaml).await;
    let metrics =
        daemon.scrape_until(|metrics| Exported::of(metrics, "one").errors(reason) >= 1.0).await;
    let log = daemon.log();
    let [first, second] = complaints(&log, "account=one ")[..] else {
        panic!("{reason}: {log}");
    };
    assert!(first.contains("using it until it expires"), "{first}");
    assert!(second.contains("poll failed"), "{second}");
    simulator.update(|state| state.authorization.fault = None);
    let polls = Exported::of(&metrics, "one").polls("success");
    let metrics = polled(&daemon, "one", polls + 1.0).await;
    let account = Exported::of(&metrics, "one");
    assert_eq!(account.polls("failure"), account.errors(reason), "{reason}");
}

#[tokio::test]
async fn tokens_are_not_renewed_without_usable_storage() {
    let home = Home::new();
    let simulator = consented(|_| {}).await;
    let first = home.secret("refresh_token", "one", FIRST);
    // the path of the tokens is a directory, or its parent is a file
    let path = home.kept("one", &simulator).display().to_string();
    let aside = format!("{path}.set-aside");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(&aside, "").unwrap();
    let yaml = config(&[renewed("one", &simulator, &[&first])]);
    let daemon = home.start(&yaml).await;
    daemon.scrape_until(|metrics| Exported::of(metrics, "one").errors("auth") >= 2.0).await;
    let log = daemon.log();
    let said = complaints(&log, "cannot store tokens");
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains(&path), "{said:?}");
    assert_eq!(token_requests(&simulator).len(), 0);
    std::fs::remove_file(&aside).unwrap();
    polled(&daemon, "one", 1.0).await;
    assert_eq!(presented(&simulator), [FIRST]);
}

/// Sets the file size limit of a process.
async fn let_write(daemon: &Daemon, limit: &str) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &daemon.id().to_string(), &format!("--fsize={limit}:")]);
    assert!(run(&mut command).await.status.success());
}

#[tokio::test]
async fn a_full_disk_never_loses_a_token() {
    let home = Home::new();
    let early = consented(|_| {}).await;
    let late = consented(|_| {}).await;
    let accounts =
        [("early", &early), ("late", &late)].map(|(name, simulator)| first(&home, name, simulator));
    let setup = Setup::new(&config(&accounts));
    // a process that ignores the signal gets an error instead
    let mut command = Command::new("/bin/sh");
    command.env_clear().kill_on_drop(true);
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(program().as_std().get_program());
    command.arg("--config.file").arg(setup.config_file());
    let store = home.store().display().to_string();
    let daemon = Daemon::start_command(command, setup, &["--storage.path", &store]).await;
    polled(&daemon, "early", 1.0).await;
    polled(&daemon, "late", 1.0).await;

    // full before one server is asked, and while the other is responding
    late.update(|state| {
        state.authorization.fault =
            Some(FaultPlan::always(Fault::Delay { by: Duration::from_secs(2) }));
        state.authorization.revoke_access_tokens();
    });
    until(&late, "asked", |state| state.authorization.refreshes == 2).await;
    let_write(&daemon, "0").await;
    early.update(|state| state.authorization.revoke_access_tokens());
    let metrics = daemon
        .scrape_until(|metrics| {
            let mut all = ["early", "late"].iter().map(|name| Exported::of(metrics, name));
            all.all(|account| account.errors("auth") >= 2.0)
        })
        .await;
    let log = daemon.log();
    for name in ["early", "late"] {
        let said = complaints(&log, "cannot store tokens");
        let said = said.iter().filter(|line| line.contains(&format!("account={name} ")));
        assert_eq!(said.count(), 1, "{log}");
        assert!(Exported::of(&metrics, name).has_data());
    }
    assert_eq!(refreshes(&early), 1, "its refresh token was not spent");
    assert_eq!(refreshes(&late), 2);
    // tokens that could not be stored were not used
    let last = late.requests().pop().unwrap();
    assert!(!is_api(&last), "{}", last.path_and_query);

    let_write(&daemon, "unlimited").await;
    for (name, simulator) in [("early", &early), ("late", &late)] {
        let polls = Exported::of(&metrics, name).polls("success");
        polled(&daemon, name, polls + 1.0).await;
        assert_eq!(refreshes(simulator), 2, "{name}");
        assert_eq!(reused(simulator), [""; 0], "{name}");
        assert!(home.keeps(name, simulator, &newest(simulator)), "{name}");
    }
}

#[tokio::test]
async fn tokens_that_are_lost_with_the_storage_folder_are_written_again() {
    let home = Home::new();
    let simulator = consented(|_| {}).await;
    let yaml = config(&[first(&home, "one", &simulator)]);
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 2.0).await;
    // the folder is empty, or gone
    for is_gone in [false, true] {
        let (aside, newest_before) = (home.path(&format!("aside-{is_gone}")), newest(&simulator));
        std::fs::rename(home.store(), &aside).unwrap();
        if !is_gone {
            std::fs::create_dir(home.store()).unwrap();
        }
        let written = async {
            while !home.keeps("one", &simulator, &newest_before) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(LIMIT, written).await.is_ok(), "{}", daemon.log());
        simulator.update(|state| state.authorization.revoke_access_tokens());
        let polls = Exported::of(&daemon.scrape().await, "one").polls("success");
        polled(&daemon, "one", polls + 2.0).await;
        assert_ne!(newest(&simulator), newest_before);
    }
    assert_eq!(reused(&simulator), [""; 0]);
    assert_eq!(complaints(&daemon.log(), "poll failed"), [""; 0]);
}

#[tokio::test]
async fn poll_shares_tokens_with_the_running_daemon() {
    let home = Home::new();
    let simulator = consented(|server| server.lifetime = Duration::from_secs(2)).await;
    let yaml = config(&[first(&home, "one", &simulator)]);
    let daemon = home.start(&yaml).await;
    polled(&daemon, "one", 1.0).await;
    let begin = Instant::now();
    while refreshes(&simulator) < 4 {
        // two concurrent commands and the daemon, all about to renew the token
        let both = join(home.poll(&yaml), home.poll(&yaml)).await;
        for (status, metrics, log) in [both.0, both.1] {
            assert!(status.success(), "{log}");
            assert!(Exported::of(&metrics, "one").has_data(), "{log}");
        }
        assert!(begin.elapsed() < LIMIT, "{}", refreshes(&simulator));
    }
    let metrics = daemon.scrape().await;
    let polls = Exported::of(&metrics, "one").polls("success");
    let metrics = polled(&daemon, "one", polls + 1.0).await;
    assert_eq!(Exported::of(&metrics, "one").polls("failure"), 0.0);
    assert_eq!(reused(&simulator), [""; 0]);
}

#[tokio::test]
async fn shutdown_and_reload_during_a_renewal_lose_no_token() {
    let slow = Fault::Delay { by: Duration::from_secs(2) };
    let home = Home::new();
    let simulator = consented(|server| server.fault = Some(FaultPlan::always(slow))).await;
    let other = simulate(with_authorization(), Vec::new()).await;
    let first = home.secret("refresh_token", "one", FIRST);
    let yaml = |more: &str| config(&[renewed("one", &simulator, &[&first, more])]);
    let asked = async |times: u64| {
        until(&simulator, "asked", |state| state.authorization.refreshes == times).await;
    };
    let daemon = home.start(&yaml("lookback: 10d")).await;
    asked(1).await;
    daemon.stop().await;
    assert!(home.keeps("one", &simulator, &newest(&simulator)));

    simulator.update(|state| state.authorization.revoke_access_tokens());
    let mut daemon = home.start(&yaml("lookback: 10d")).await;
    asked(2).await;
    // unchanged except for a setting that triggers a poll
    daemon.setup.write_config(&yaml("lookback: 11d"));
    daemon.signal("HUP").await;
    daemon.wait_for_log("configuration reloaded").await;
    polled(&daemon, "one", 1.0).await;
    assert_eq!(refreshes(&simulator), 2);

    // removed and added again while the old poller is still waiting for the response
    simulator.update(|state| state.authorization.revoke_access_tokens());
    asked(3).await;
    let away = account("other", &other, &[]);
    daemon.setup.write_config(&config(&[away]));
    daemon.signal("HUP").await;
    daemon
        .scrape_until(|metrics| {
            Exported::of(metrics, "other").value("campaign_account_up").is_some()
        })
        .await;
    daemon.setup.write_config(&yaml("lookback: 12d"));
    daemon.signal("HUP").await;
    daemon
        .scrape_until(|metrics| Exported::of(metrics, "one").value("campaign_account_up").is_some())
        .await;
    polled(&daemon, "one", 1.0).await;
    daemon.stop().await;
    assert_eq!(refreshes(&simulator), 3);
    assert!(home.keeps("one", &simulator, &newest(&simulator)));
    assert_eq!(reused(&simulator), [""; 0]);
}

#[tokio::test]
async fn shutdown_starts_no_renewals() {
    let home = Home::new();
    let simulator = simulator_with_authorization(|server| {
        (0..30).for_each(|number| server.grant(format!("{FIRST}-{number}")));
    })
    .await;
    let accounts: Vec<_> = (0..30)
        .map(|number| {
            let name = format!("a{number}");
            let token = format!("{FIRST}-{number}");
            renewed(&name, &simulator, &[&home.secret("refresh_token", &name, &token)])
        })
        .collect();
    let daemon = home.start(&config(&accounts)).await;
    // by then, all of them are queued
    until(&simulator, "asked twice", |state| state.authorization.refreshes >= 2).await;
    let begin = Instant::now();
    daemon.stop().await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert!(refreshes(&simulator) < 10);
}

/// Scripted response to a device authorization request.
fn device(more: &str) -> (u16, String) {
    let body = format!(
        r#"{{"device_code":"{DEVICE_CODE}","user_code":"ABCD-EFGH",
        "verification_uri":"https://consent.example/activate"{more}}}"#
    );
    (200, body)
}

/// Scripted OAuth error response.
fn oauth_error(error: &str, description: &str) -> (u16, String) {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    (400, body)
}

const DEVICE_CODE: &str = "device-code-of-the-tests-0123456789";
const NO_CAMPAIGNS: &str = r#"{"bulk_sms_campaign_summaries":[]}"#;

#[tokio::test]
async fn authorize_prints_the_address_waits_and_stores_the_tokens() {
    let home = Home::new();
    let public = simulator_with_authorization(|server| server.interval = Some(1)).await;
    let confidential = simulator_with_authorization(|server| {
        server.client_secret = Some(CLIENT_SECRET.to_owned());
        server.interval = Some(1);
    })
    .await;
    let secret = home.secret("client_secret", "confidential", CLIENT_SECRET);
    let yaml = config(&[
        renewed("public", &public, &[]),
        renewed("confidential", &confidential, &[&secret]),
    ]);
    let daemon = home.start(&yaml).await;
    for name in ["public", "confidential"] {
        daemon.scrape_until(|metrics| Exported::of(metrics, name).errors("auth") >= 1.0).await;
        let log = daemon.log();
        let hint = format!("run `campaign_exporter authorize {name} --config.file /");
        assert_eq!(complaints(&log, &hint).len(), 1, "{log}");
    }
    let authorized = async |name: &str, simulator: &Simulator| {
        let setup = Setup::new(&yaml);
        let mut running = Running::start(home.authorize(&setup, name));
        until(simulator, "asked", |state| !state.authorization.user_codes().is_empty()).await;
        let code = simulator.read(|state| state.authorization.user_codes()).remove(0);
        // before authorization
        running.says(&code).await;
        running.says(&format!("{}/activate", simulator.base_url())).await;
        running.says("Waiting").await;
        until(simulator, "asked twice", |state| {
            let requests = state.requests.iter();
            requests.filter(|request| Authorization::is_token_request(request)).count() >= 2
        })
        .await;
        simulator.update(|state| assert!(state.authorization.approve(&code)));
        let (exit, said, log) = running.end().await;
        assert_eq!(exit, Some(0), "{said}{log}");
        assert!(said.contains(&format!("Tokens for {name} are stored")), "{said}");
        assert!(home.keeps(name, simulator, &newest(simulator)));
        assert_eq!(mode(&home.kept(name, simulator)), 0o600);
        polled(&daemon, name, 1.0).await;
        assert_eq!(refreshes(simulator), 0);
        simulator.update(|state| state.authorization.revoke_access_tokens());
        until(simulator, "renewed", |state| state.authorization.refreshes == 1).await;
    };
    join(authorized("public", &public), authorized("confidential", &confidential)).await;
}

#[tokio::test]
async fn authorize_reports_why_it_failed() {
    let home = Home::new();
    let denied = simulator_with_authorization(|server| server.interval = Some(1)).await;
    let expired = simulator_with_authorization(|server| {
        server.interval = Some(1);
        server.device_lifetime = Duration::from_secs(2);
    })
    .await;
    let stranger = simulator_with_authorization(|server| {
        server.client_secret = Some(CLIENT_SECRET.to_owned());
    })
    .await;
    let other = simulate(with_statuses(), Vec::new()).await;
    let given = simulate(with_authorization(), Vec::new()).await;
    let yaml = config(&[
        renewed("denied", &denied, &[]),
        renewed("expired", &expired, &[]),
        renewed("stranger", &stranger, &[]),
        account("other", &other, &[]),
        account("given", &given, &[]),
    ]);
    let deny = async {
        until(&denied, "asked", |state| !state.authorization.user_codes().is_empty()).await;
        denied.update(|state| {
            let codes = state.authorization.user_codes();
            assert!(state.authorization.deny(&codes[0]));
        });
    };
    let all = [
        ("denied", 1, "the consent was refused"),
        ("expired", 1, "no consent in time"),
        ("stranger", 1, "check client_id and client_secret"),
        ("other", 1, "there is nothing to authorize"),
        ("given", 1, "there is nothing to authorize"),
        ("unknown", 2, "accounts=\"denied, expired, stranger, other, given\""),
    ];
    let outputs = join_all(all.map(|(name, ..)| home.authorized(&yaml, name)));
    let (outputs, ()) = join(outputs, deny).await;
    for ((name, code, message), output) in all.iter().zip(outputs) {
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{name}: {log}");
        assert!(log.contains(message), "{name}: {log}");
    }
    for (name, simulator) in [("denied", &denied), ("expired", &expired), ("stranger", &stranger)] {
        assert!(!home.kept(name, simulator).exists(), "{name}");
    }
    // without storage
    for name in ["other", "denied"] {
        let yaml = match name {
            "other" => config(&[account("other", &other, &[])]),
            _ => yaml.clone(),
        };
        let setup = Setup::new(&yaml);
        let mut command = setup.command();
        let (code, log) = end(command.args(["authorize", name])).await;
        assert_eq!(code, Some(2), "{name}: {log}");
        assert!(log.contains("--storage.path"), "{name}: {log}");
    }
}

#[tokio::test]
async fn authorize_respects_the_polling_interval() {
    let pending = || oauth_error("authorization_pending", "wait");
    let tokens = || {
        let body = r#"{"access_token":"of-a-device","expires_in":"600"}"#;
        (200, body.to_owned())
    };
    let server = async |more: &'static str, first: fn() -> (u16, String)| {
        scripted(move |asked, before| match before {
            _ if is_for_device(asked) => device(more),
            0 if Authorization::is_token_request(asked) => first(),
            _ if Authorization::is_token_request(asked) => tokens(),
            _ => (200, NO_CAMPAIGNS.to_owned()),
        })
        .await
    };
    let slow_down = || oauth_error("slow_down", "slower");
    let cases = [
        ("absent", 5, server("", pending).await),
        ("slower", 6, server(r#","interval":1,"expires_in":60"#, slow_down).await),
        ("nothing", 1, server(r#","interval":0"#, pending).await),
        ("text", 2, server(r#","interval":"2","expires_in":"60""#, pending).await),
        ("down", 2, server(r#","interval":1"#, || (503, String::new())).await),
        (
            // the device code is granted, the first answer about its tokens is lost
            "lost",
            1,
            server(r#","interval":1"#, || (200, "<html>".to_owned())).await,
        ),
    ];
    let home = Home::new();
    let accounts: Vec<_> = cases
        .iter()
        .map(|(name, _, server)| renewed_at(name, &server.base_url(), "id", &[]))
        .collect();
    let yaml = config(&accounts);
    let daemon = home.start(&yaml).await;
    let outputs = cases.iter().map(|(name, ..)| home.authorized(&yaml, name));
    for ((name, seconds, server), output) in cases.iter().zip(join_all(outputs).await) {
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        // requests that these tokens do not permit
        assert!(said.contains("no refresh token"), "{said}");
        assert!(said.contains("https://consent.example/activate"), "{said}");
        let asked = token_requests(server);
        let [first, second] = &asked[..] else {
            panic!("{name}: {asked:?}");
        };
        let gap = second.at - first.at;
        let least = Duration::from_millis(seconds * 1_000 - 200);
        assert!(gap >= least, "{name}: {gap:?}");
        polled(&daemon, name, 1.0).await;
    }
}

async fn tokens_that_cannot_be_renewed_are_used_until_they_expire() {
    let given = r#"{"access_token":"of-a-device","refresh_token":"","expires_in":8}"#;
    let server = scripted(move |asked, _| {
        if is_for_device(asked) {
            device("")
        } else if Authorization::is_token_request(asked) {
            (200, given.to_owned())
        } else {
            (200, NO_CAMPAIGNS.to_owned())
        }
    })
    .await;
    let home = Home::new();
    let yaml = config(&[renewed_at("one", &server.base_url(), "id", &[])]);
    let output = home.authorized(&yaml, "one").await;
    assert!(output.status.success(), "{output:?}");
    let daemon = home.start(&yaml).await;
    daemon.scrape_until(|metrics| Exported::of(metrics, "one").errors("auth") >= 1.0).await;
    let log = daemon.log();
    let lines = complaints(&log, "run `campaign_exporter authorize one ");
    let [first, second] = lines[..] else {
        panic!("{log}");
    };
    assert!(first.contains("using it until it expires"), "{first}");
    assert!(second.contains("poll failed"), "{second}");
    assert_eq!(token_requests(&server).len(), 1);
}

#[tokio::test]
async fn an_access_token_that_no_request_can_carry_is_refused_without_losing_the_refresh_token() {
    let server = scripted(|asked, before| {
        let token = if before == 0 { r"a\nb" } else { "good" };
        let body = if Authorization::is_token_request(asked) {
            format!(r#"{{"access_token":"{token}","refresh_token":"successor-{before}"}}"#)
        } else {
            NO_CAMPAIGNS.to_owned()
        };
        (200, body)
    })
    .await;
    let home = Home::new();
    let first = home.secret("refresh_token", "one", FIRST);
    let yaml = config(&[renewed_at("one", &server.base_url(), "id", &[&first])]);
    let daemon = home.start(&yaml).await;
    let metrics = polled(&daemon, "one", 1.0).await;
    let account = Exported::of(&metrics, "one");
    assert_eq!((account.errors("decode"), account.polls("failure")), (1.0, 1.0));
    let asked = token_requests(&server);
    assert_eq!(asked[1].field("refresh_token"), Some("successor-0"));
}

/// Checks that no output contains a secret.
fn assert_none_shown(secrets: &BTreeSet<String>, texts: &[String]) {
    for secret in secrets {
        assert!(secret.len() >= 16, "{secret}");
        for text in texts {
            for part in [&secret[..], &secret[..16], &secret[secret.len() - 16..]] {
                assert!(!text.contains(part), "{part} of {secret} in\n{text}");
            }
        }
    }
}

/// Returns the secrets in all requests to a simulator, in every encoding used.
fn sent_secrets(simulator: &Simulator) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for request in simulator.requests() {
        let credentials = request.headers.get("authorization");
        let credentials = credentials.map(|value| value.to_str().unwrap().to_owned());
        secrets.extend(credentials.and_then(|value| Some(value.split_once(' ')?.1.to_owned())));
        for name in ["refresh_token", "device_code"] {
            secrets.extend(request.field(name).map(str::to_owned));
        }
    }
    secrets.extend(simulator.read(|state| state.authorization.refresh_tokens()));
    secrets
}

/// Starts a server whose OAuth errors repeat the request.
async fn repeating(error: &'static str) -> Simulator {
    scripted(move |asked, _| {
        if is_for_device(asked) {
            return device(r#","interval":1"#);
        }
        let header = asked.headers.get("authorization");
        let header = header.map_or("", |value| value.to_str().unwrap());
        let values = asked.form.iter().map(|(_, value)| urlencoded(value));
        let said = format!("{header} {}", values.collect::<Vec<_>>().join(" "));
        oauth_error(error, &said)
    })
    .await
}

/// Polls accounts until each has failed twice or succeeded three times, and runs `authorize` for some.
/// Returns every output.
async fn outputs(home: &Home, accounts: &[(String, String)], format: &str) -> Vec<String> {
    let yaml: Vec<_> = accounts.iter().map(|(_, yaml)| yaml.clone()).collect();
    let yaml = config(&yaml);
    let daemon = home.start_with(&yaml, &["--log.format", format]).await;
    let metrics = daemon
        .scrape_until(|metrics| {
            let mut all = accounts.iter().map(|(name, _)| Exported::of(metrics, name));
            all.all(|account| account.polls("failure") >= 2.0 || account.polls("success") >= 3.0)
        })
        .await;
    let mut said = vec![metrics];
    for page in ["/", "/status", "/status?format=json", "/config", "/metrics"] {
        said.push(daemon.get(page).await);
    }
    let setup = Setup::new(&yaml);
    let authorized = ["good", "echo", "invalid_grant-2", "expired_token-1", "other-2"];
    let names = accounts.iter().map(|(name, _)| name.as_str());
    let names: Vec<_> = names.filter(|name| authorized.contains(name)).collect();
    let outputs = join_all(names.iter().map(|name| {
        let mut command = home.authorize(&setup, name);
        command.args(["--log.format", format]);
        Running::start(command).end()
    }))
    .await;
    for (name, (exit, stdout, stderr)) in names.into_iter().zip(outputs) {
        assert_eq!(exit == Some(0), name == "good", "{name}: {stderr}");
        said.extend([stdout, stderr]);
    }
    said.push(daemon.stop().await);
    said
}

async fn nothing_shows_a_secret(format: &str) {
    let home = Home::new();
    let client_secret = || Some(CLIENT_SECRET.to_owned());
    let good = consented(|server| {
        server.client_secret = client_secret();
        server.interval = Some(1);
        server.pending_polls = Some(1);
        server.lifetime = Duration::from_secs(2);
    })
    .await;
    // complete responses, and errors that repeat the request
    let echo = consented(|server| {
        server.client_secret = client_secret();
        server.fault = Some(FaultPlan::always(Fault::EchoToken));
    })
    .await;
    let public_echo =
        consented(|server| server.fault = Some(FaultPlan::always(Fault::EchoToken))).await;
    let api_echo = consented(|_| {}).await;
    api_echo.update(|state| state.fault = Some(FaultPlan::always(Fault::EchoToken)));
    // a refresh token that truncation of the message would cut
    let token = format!("{FIRST}{}", "-x1y2".repeat(30));
    let secret = home.secret("client_secret", "all", CLIENT_SECRET);
    let simulators =
        [("good", &good), ("echo", &echo), ("public_echo", &public_echo), ("api_echo", &api_echo)];
    let mut accounts: Vec<_> = simulators
        .iter()
        .map(|(name, simulator)| {
            let first = home.secret("refresh_token", name, FIRST);
            let is_public = simulator.read(|state| state.authorization.client_secret.is_none());
            let more: &[&str] = if is_public { &[&first] } else { &[&first, &secret] };
            ((*name).to_owned(), renewed(name, simulator, more))
        })
        .collect();
    let mut scripted = Vec::new();
    for error in ["invalid_grant", "invalid_client", "expired_token", "other"] {
        let server = repeating(error).await;
        let first = home.secret("refresh_token", error, &token);
        let more: &[&[&str]] = &[&[&first], &[&first, &secret]];
        for more in more {
            let name = format!("{error}-{}", more.len());
            let yaml = renewed_at(&name, &server.base_url(), "id", more);
            accounts.push((name, yaml));
        }
        scripted.push(server);
    }
    // several processes, since renewals of one process are a second apart
    let homes: [Home; 4] = std::array::from_fn(|_| Home::new());
    let parts = homes.iter().zip(accounts.chunks(3));
    let said = join_all(parts.map(|(home, accounts)| outputs(home, accounts, format))).await;
    let said = said.concat();
    assert!(said.iter().any(|text| text.contains("[redacted]")));

    let mut secrets = BTreeSet::from([CLIENT_SECRET.to_owned(), DEVICE_CODE.to_owned(), token]);
    let servers = simulators.iter().map(|(_, simulator)| *simulator);
    secrets.extend(servers.chain(&scripted).flat_map(sent_secrets));
    secrets.extend([urlencoded(CLIENT_SECRET)]);
    assert_none_shown(&secrets, &said);
}

/// Returns a secret in form encoding.
fn urlencoded(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://localhost").unwrap();
    url.query_pairs_mut().append_pair("k", text);
    url.query().unwrap()[2..].to_owned()
}

#[tokio::test]
async fn oauth_secrets_are_never_shown() {
    join(nothing_shows_a_secret("logfmt"), nothing_shows_a_secret("json")).await;
}
