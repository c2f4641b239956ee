//! Shards with a common storage folder: at any time, one of them reads an account.

use std::collections::BTreeMap;

use campaign_simulator::{KEPT_REQUESTS, Simulator, State};
use futures_util::future::join_all;
use serde_json::Value;

use crate::support::apis::with_statuses;
use crate::support::daemon::{
    Daemon, LIMIT, Setup, account, config, end, sample, samples, simulate,
};
use crate::support::server::PAUSE;
use crate::support::tokens::{
    Home, is_api, refreshes, renewed, reused, simulator_with_authorization, until,
};

/// Number of accounts, each with an application of its own. By chance of their addresses, a shard can
/// have none of them.
const ACCOUNTS: usize = 12;

/// What the log says of an account whose last good data was stored.
const SERVING: &str = "serving stored campaigns";

const FIRST: &str = "first-refresh-token-of-the-tests";

/// Accounts whose refresh tokens are valid once, each at its own provider, and a configuration with them.
struct World {
    home: Home,
    names: Vec<String>,
    simulators: Vec<Simulator>,
    yaml: String,
}

impl World {
    async fn new() -> Self {
        let home = Home::new();
        let simulators = (0..ACCOUNTS)
            .map(|_| simulator_with_authorization(|server| server.grant(FIRST)))
            .collect::<Vec<_>>();
        let simulators = join_all(simulators).await;
        let names: Vec<_> = (0..ACCOUNTS).map(|number| format!("account-{number}")).collect();
        let accounts = names.iter().zip(&simulators).map(|(name, simulator)| {
            let token = home.secret("refresh_token", name, FIRST);
            renewed(name, simulator, &[&token])
        });
        let yaml = config(&accounts.collect::<Vec<_>>());
        Self { home, names, simulators, yaml }
    }

    async fn start(&self, shard: &str) -> Daemon {
        self.home.start_with(&self.yaml, &["--shard", shard]).await
    }

    /// Ends the validity of all access tokens, and waits until each refresh token was replaced and each
    /// account is read with a new access token.
    async fn renew(&self) {
        join_all(self.simulators.iter().map(async |simulator| {
            let before = refreshes(simulator);
            let reads = simulator.read(api_requests);
            simulator.update(|state| state.authorization.revoke_access_tokens());
            until(simulator, "renewed and read", |state| {
                state.authorization.refreshes > before && api_requests(state) > reads + 2
            })
            .await;
        }))
        .await;
    }
}

fn api_requests(state: &State) -> usize {
    assert!(state.requests.len() < KEPT_REQUESTS, "earlier ones are forgotten");
    state.requests.iter().filter(|request| is_api(request)).count()
}

/// The accounts of an exporter that are up, and those that wait.
async fn accounts(daemon: &Daemon) -> (usize, usize) {
    let metrics = daemon.scrape().await;
    let up = samples(&metrics, "campaign_account_up", &[]);
    let waiting = samples(&metrics, "campaign_account_waiting", &[]);
    assert!(waiting.iter().all(|value| *value == 1.0), "{metrics}");
    (up.into_iter().filter(|up| *up == 1.0).count(), waiting.len())
}

/// Waits until these exporters together read this many accounts, and this many wait.
async fn until_read(daemons: &[Daemon], up: usize, waiting: usize) {
    let mut last = Vec::new();
    let read = tokio::time::timeout(LIMIT, async {
        loop {
            last = join_all(daemons.iter().map(accounts)).await;
            let sum = last.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            if sum == (up, waiting) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let logs = || daemons.iter().map(Daemon::log).collect::<Vec<_>>().join("\n\n");
    assert!(read.await.is_ok(), "{last:?}, not {up} and {waiting}:\n{}", logs());
}

/// Stops an exporter by a signal. Returns its log.
async fn ended(daemon: Daemon, signal: &str) -> String {
    daemon.signal(signal).await;
    daemon.wait().await.1
}

/// Who polled each account, in the order of time. Each exporter appears once for each time that it began
/// to poll the account.
fn readers(logs: &[String]) -> BTreeMap<String, Vec<usize>> {
    let mut polls = Vec::new();
    for (exporter, log) in logs.iter().enumerate() {
        for line in log.lines().filter(|line| line.contains("message=polled ")) {
            let word = |key: &str| {
                let (_, rest) = line.split_once(key).unwrap();
                rest.split(' ').next().unwrap().to_owned()
            };
            polls.push((word("ts="), word(" account="), exporter));
        }
    }
    polls.sort();
    let mut readers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (_, account, exporter) in polls {
        let readers = readers.entry(account).or_default();
        if readers.last() != Some(&exporter) {
            readers.push(exporter);
        }
    }
    readers
}

#[tokio::test]
async fn a_rolling_change_of_the_number_of_shards_reads_no_account_twice() {
    let world = World::new().await;
    let old = [world.start("0/2").await, world.start("1/2").await];
    until_read(&old, ACCOUNTS, 0).await;
    world.renew().await;

    // the new ones wait for the old ones, and are ready: a rollout stops the old ones only then
    let new = [world.start("2/3").await, world.start("0/3").await, world.start("1/3").await];
    until_read(&new, 0, ACCOUNTS).await;
    for daemon in &new {
        assert_eq!(daemon.status("/-/ready").await, 200);
        let metrics = daemon.scrape().await;
        let polled = samples(&metrics, "campaign_account_last_poll_timestamp_seconds", &[]);
        assert!(polled.is_empty(), "{metrics}");
    }
    until_read(&old, ACCOUNTS, 0).await;
    world.renew().await;

    let [first, second] = old;
    let (of_second, _) = accounts(&second).await;
    let logs_of_waiting = new.iter().map(Daemon::log).collect::<String>();
    for name in &world.names {
        let lines = logs_of_waiting.lines();
        let waits = lines.filter(|line| {
            line.contains("waiting for another exporter")
                && line.contains(&format!(" account={name} "))
        });
        assert_eq!(waits.count(), 1, "{name}: {logs_of_waiting}");
    }
    let is_twice = |line: &&str| line.matches(" account=").count() > 1;
    let mut logs = vec![ended(first, "TERM").await];
    until_read(&new, ACCOUNTS - of_second, of_second).await;
    world.renew().await;
    logs.push(ended(second, "KILL").await);
    until_read(&new, ACCOUNTS, 0).await;
    world.renew().await;

    for daemon in new {
        logs.push(ended(daemon, "TERM").await);
    }
    for log in &logs {
        assert_eq!(log.lines().find(is_twice), None);
    }
    let readers = readers(&logs);
    for (name, simulator) in world.names.iter().zip(&world.simulators) {
        let readers = &readers[name];
        assert!(matches!(readers[..], [0 | 1, 2..=4]), "{name} was read by {readers:?}");
        assert_eq!(reused(simulator), Vec::<String>::new(), "{name}");
        // the first one, and one for each renewal
        assert_eq!(refreshes(simulator), 5, "{name}");
        // last good data came with the account
        let log = &logs[readers[1]];
        let served =
            |line: &&str| line.contains(SERVING) && line.contains(&format!(" account={name} "));
        assert_eq!(log.lines().filter(served).count(), 1, "{name}: {log}");
    }
    // so did the number of requests, whoever made them
    let last = world.start("0/1").await;
    until_read(std::slice::from_ref(&last), ACCOUNTS, 0).await;
    let made = || world.simulators.iter().map(|it| it.read(api_requests)).collect::<Vec<_>>();
    let before = made();
    let metrics = last.scrape().await;
    for ((name, before), after) in world.names.iter().zip(before).zip(made()) {
        let label = format!("account={name:?}");
        let left = sample(&metrics, "campaign_account_api_requests_remaining", &[&label]).unwrap();
        let counted = 1e9 - left;
        // one may be on its way, and the killed exporter may have counted one that it did not make
        assert!(
            (before as f64..=(after + 2) as f64).contains(&counted),
            "{name}: {counted} of {before} to {after}"
        );
    }
}

#[tokio::test]
async fn the_accounts_of_a_killed_shard_are_read_once_it_runs_again_and_others_go_on() {
    let world = World::new().await;
    let both = [world.start("0/2").await, world.start("1/2").await];
    until_read(&both, ACCOUNTS, 0).await;
    let [first, second] = both;
    let (of_first, _) = accounts(&first).await;
    ended(first, "KILL").await;
    let polls = |metrics: &str| {
        let succeeded = &["result=\"success\""];
        samples(metrics, "campaign_exporter_polls_total", succeeded)
    };
    let before = polls(&second.scrape().await);
    let all_polled = |metrics: &str| {
        let now = polls(metrics);
        now.iter().zip(&before).all(|(now, before)| *now > before + 1.0)
    };
    second.scrape_until(all_polled).await;
    assert_eq!(accounts(&second).await, (ACCOUNTS - of_first, 0), "{}", second.log());

    let again = world.start("0/2").await;
    until_read(std::slice::from_ref(&again), of_first, 0).await;
    world.renew().await;
    let log = ended(again, "TERM").await;
    assert_eq!(log.lines().filter(|line| line.contains(SERVING)).count(), of_first, "{log}");
    for log in [log, second.log()] {
        assert!(!log.contains("waiting for another exporter"), "{log}");
    }
    for simulator in &world.simulators {
        assert_eq!(reused(simulator), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_account_that_a_reload_removes_is_free_for_others() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let [a, b] = ["a", "b"].map(|name| account(name, &simulator, &[]));
    let home = Home::new();
    let start =
        async || home.start_with(&config(&[a.clone(), b.clone()]), &["--shard", "0/1"]).await;
    let exporters = [start().await, start().await];
    until_read(&exporters[..1], 2, 0).await;
    until_read(&exporters[1..], 0, 2).await;
    let status: Value =
        serde_json::from_str(&exporters[1].get("/status?format=json").await).unwrap();
    let why = status["accounts"][0]["waiting"].as_str().unwrap().to_owned();
    assert!(why.contains("another campaign_exporter") && why.contains(".requests.lock"), "{why}");
    let page = exporters[1].get("/status").await;
    assert!(page.contains("Waiting: <bdi>another"), "{page}");
    assert!(page.contains("2 waiting for another exporter"), "{page}");
    assert!(!page.contains("not polled yet") && !page.contains(">soon<"), "{page}");

    for (accounts, [one, other]) in
        [(vec![b.clone()], [(1, 0), (1, 1)]), (vec![a.clone(), b.clone()], [(1, 1), (1, 1)])]
    {
        exporters[0].setup.write_config(&config(&accounts));
        exporters[0].signal("HUP").await;
        until_read(&exporters[1..], other.0, other.1).await;
        until_read(&exporters[..1], one.0, one.1).await;
    }
}

#[tokio::test]
async fn an_exporter_without_a_shard_and_shards_exclude_one_another() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let yaml = config(&[account("a", &simulator, &[])]);
    for (first, second) in [(&["--shard", "0/1"][..], &[][..]), (&[], &["--shard", "0/1"])] {
        let home = Home::new();
        let exporter = home.start_with(&yaml, first).await;
        let setup = Setup::new(&yaml);
        let mut command = setup.command();
        command.arg("--storage.path").arg(home.store()).args(second);
        let (code, log) = end(command.args(["--web.listen-address", "127.0.0.1:0"])).await;
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("in use by another campaign_exporter"), "{log}");
        exporter.until_up(1).await;
    }
}
