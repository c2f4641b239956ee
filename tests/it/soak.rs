//! Soak test: random faults, campaign changes, reloads, scrapes, and kills. In the end, the state must be
//! the same as at the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::support::apis::{Api, kinds, renewed};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, TOKEN, account, config, decompressed, simulate,
};
use crate::support::faults::{Exported, each, json_body, status};
use crate::support::strict;

/// Duration in minutes, if longer than the default.
const MINUTES: &str = "CAMPAIGN_EXPORTER_SOAK_MINUTES";

/// Seed for repeating an earlier run, as far as timing allows.
const SEED: &str = "CAMPAIGN_EXPORTER_SOAK_SEED";

/// Maximum memory growth after the second of four checks. An unoptimized build uses about 40 MB by then,
/// including freed memory kept by the allocator, which takes a while to level off. All campaigns together
/// take less than a megabyte, so a leak of the campaigns of each poll, or of a few kilobytes per scrape,
/// exceeds this within minutes.
const MAX_GROWTH: u64 = 16_000_000;

/// Pause between steps, so that only some of them affect the same poll.
const MAX_PAUSE_MILLIS: u64 = 60;

/// Two accounts of each provider, with the index of their simulator. Accounts with refresh tokens are of
/// one application, which renews their tokens sequentially.
fn all_accounts() -> Vec<(String, Api, usize)> {
    let mut accounts = Vec::new();
    let mut simulators = 0..;
    for kind in kinds() {
        let api = kind.simulated.unwrap();
        let mut index = simulators.next().unwrap();
        accounts.push((format!("{}-one", kind.name), api, index));
        if api.authorization().is_none() {
            index = simulators.next().unwrap();
        }
        accounts.push((format!("{}-two", kind.name), api, index));
    }
    accounts
}

/// Unique number of deliveries of a campaign.
const fn deliveries(number: u64) -> u64 {
    5_000 + number
}

fn campaign(number: u64, sent_at: DateTime<Utc>) -> Campaign {
    let counts = Counts {
        recipients: 20_000,
        sends: 20_000,
        deliveries: deliveries(number),
        clicks: 100,
        ..Counts::default()
    };
    Campaign::sms(number.to_string(), "Spring", sent_at, counts)
}

/// Recent campaigns and old ones.
fn first_campaigns(now: DateTime<Utc>) -> Vec<Campaign> {
    let numbers = (1..=40).zip(1..);
    numbers
        .map(|(number, minutes)| {
            let days = if number > 30 { 10 } else { 1 };
            campaign(number, now - TimeDelta::days(days) - TimeDelta::minutes(minutes))
        })
        .collect()
}

/// A fault that lasts for a limited number of requests.
fn fault(rng: &mut Rng) -> Fault {
    let counts = |json: &str| Fault::Counts { json: json.to_owned() };
    let faults = [
        status(401, None),
        status(403, None),
        status(404, None),
        status(429, None),
        status(429, Some("1")),
        status(500, None),
        status(503, Some("1")),
        json_body("{}"),
        json_body(""),
        counts("null"),
        counts("1e400"),
        counts("\"text\""),
        Fault::EchoToken,
        Fault::Unheard,
        Fault::Truncated,
        Fault::Reset,
        Fault::Delay { by: Duration::from_millis(rng.u64(..500)) },
        Fault::Silence,
        Fault::HalfJson,
        Fault::Stall,
        // the allocator would keep a larger one for a while
        Fault::Huge { bytes: 1_000_000 },
        Fault::BadGzip,
        Fault::InvalidUtf8,
        Fault::Duplicated,
        Fault::Shuffled { seed: rng.u64(..) },
        Fault::Empty,
        Fault::ItemsNotObjects,
        Fault::Moving { by: 1 },
    ];
    rng.choice(faults).unwrap()
}

/// A fault of token renewal, and whether the client misses the response.
fn token_fault(rng: &mut Rng) -> (Fault, bool) {
    let faults = [
        (status(429, None), false),
        (status(500, None), false),
        (status(503, Some("1")), false),
        (Fault::Silence, false),
        (Fault::Unheard, true),
        (Fault::Truncated, true),
        (Fault::Reset, true),
        (Fault::HalfJson, true),
        (Fault::BadGzip, true),
        (Fault::Stall, true),
    ];
    rng.choice(faults).unwrap()
}

/// Resource usage of a process.
#[derive(Clone, Copy, Debug)]
struct Needs {
    memory: u64,
    threads: u64,
    files: u64,
}

impl Needs {
    fn of(daemon: &Daemon) -> Self {
        let folder = format!("/proc/{}", daemon.id());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self {
            memory: number("VmRSS:") * 1024,
            threads: number("Threads:"),
            files: fs::read_dir(format!("{folder}/fd")).unwrap().count() as u64,
        }
    }
}

/// Samples on campaigns and accounts, with the values of campaign samples only.
type World = BTreeMap<(String, strict::Labels), Option<u64>>;

struct Soak {
    rng: Rng,
    started: DateTime<Utc>,
    simulators: Vec<Simulator>,
    /// `None` between two processes.
    daemon: Option<Daemon>,
    clients: [reqwest::Client; 2],
    /// The number of the newest campaign.
    newest: u64,
    /// Number of token responses that may have been lost.
    unheard: usize,
    /// Whether the current fault of the authorization server loses its response.
    leaves_unheard: bool,
    scrapes: u64,
}

impl Soak {
    async fn new(seed: u64) -> Self {
        let started = Utc::now();
        let mut simulators = Vec::new();
        let setup = Setup::new("");
        for (name, api, index) in all_accounts() {
            if index == simulators.len() {
                simulators.push(simulate(api, first_campaigns(started)).await);
            }
            if api.authorization().is_some() {
                simulators[index].update(|state| {
                    let server = &mut state.authorization;
                    server.lifetime = Duration::from_secs(5);
                    server.grace = true;
                    server.grant(&name);
                });
                fs::write(setup.folder().join(&name), &name).unwrap();
            }
        }
        let client = |builder: reqwest::ClientBuilder| builder.no_proxy().no_gzip();
        let clients = [
            client(reqwest::Client::builder()).build().unwrap(),
            // a client with short-lived connections
            client(reqwest::Client::builder()).pool_max_idle_per_host(0).build().unwrap(),
        ];
        let mut soak = Self {
            rng: Rng::with_seed(seed),
            started,
            simulators,
            daemon: None,
            clients,
            newest: 100,
            unheard: 0,
            leaves_unheard: false,
            scrapes: 0,
        };
        soak.configure(&setup, &[], "30d");
        soak.start(setup).await;
        soak
    }

    /// Returns the simulators with an authorization server.
    fn authorizing(&self) -> impl Iterator<Item = &Simulator> {
        let simulators = self.simulators.iter();
        simulators.filter(|simulator| simulator.api().authorization().is_some())
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    async fn start(&mut self, setup: Setup) {
        let store = setup.folder().join("store").display().to_string();
        let arguments = ["--storage.path", &store, "--web.enable-lifecycle"];
        self.daemon = Some(Daemon::start(setup, &arguments).await);
    }

    /// Writes the configuration without some accounts, and with a different lookback for others.
    fn configure(&self, setup: &Setup, without: &[usize], lookback: &str) {
        let mut accounts = Vec::new();
        for (index, (name, api, simulator)) in all_accounts().into_iter().enumerate() {
            if without.contains(&index) {
                continue;
            }
            let simulator = &self.simulators[simulator];
            let lookback = format!("lookback: {lookback}");
            let mut more = vec!["request_timeout: 2s", "full_poll_interval: 4s"];
            if index % 2 == 1 {
                more.push(&lookback);
            }
            accounts.push(if api.authorization().is_some() {
                renewed(&name, simulator, &setup.folder().join(&name), &more)
            } else {
                account(&name, simulator, &more)
            });
        }
        setup.write_config(&config(&accounts));
    }

    /// Scrapes in a random format and encoding, and checks the response.
    async fn scrape(&mut self) -> Vec<strict::Family> {
        let format = self.rng.choice(Format::ALL).unwrap();
        let encoding = self.rng.choice(["identity", "gzip"]).unwrap();
        let client = self.rng.choice(&self.clients).unwrap();
        let request = client
            .get(self.daemon().url("/metrics"))
            .header("accept", format.content_type())
            .header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let compressed = response.headers().contains_key("content-encoding");
        assert_eq!(compressed, encoding == "gzip");
        let body = response.bytes().await.unwrap();
        let text = if compressed {
            decompressed(&body)
        } else {
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert!(!text.contains(TOKEN), "{text}");
        let families = strict::read(&text, format);
        for ((name, labels), value) in strict::series(&families) {
            let Some(id) = labels.get("campaign_id") else {
                continue;
            };
            let expected = match name.as_str() {
                "campaign_deliveries" => deliveries(id.parse().unwrap()) as f64,
                "campaign_attempted" | "campaign_recipients" => 20_000.0,
                _ => continue,
            };
            assert!(value == expected, "{name} {labels:?}: {value}\n{text}");
        }
        self.scrapes += 1;
        families
    }

    /// Returns the exported samples on campaigns and accounts.
    async fn world(&mut self) -> World {
        let families = self.scrape().await;
        let series = strict::campaign_series(&families).into_iter();
        series
            .map(|((name, labels), value)| {
                let fixed = labels.contains_key("campaign_id");
                ((name, labels), fixed.then_some(value.to_bits()))
            })
            .collect()
    }

    async fn step(&mut self, kill: bool) {
        let last = self.simulators.len();
        let index = self.rng.usize(..last);
        match self.rng.u32(..100) {
            0..25 => {
                let plan = FaultPlan {
                    fault: fault(&mut self.rng),
                    skip: self.rng.u64(..2),
                    times: Some(self.rng.u64(1..6)),
                };
                self.simulators[index].update(|state| state.fault = Some(plan));
            }
            25..32 => {
                let (fault, unheard) = token_fault(&mut self.rng);
                self.end_token_fault();
                for simulator in self.authorizing() {
                    simulator.update(|state| {
                        state.authorization.fault = Some(FaultPlan::once(fault.clone()));
                    });
                }
                self.leaves_unheard = unheard;
            }
            32..40 => self.simulators[index].update(|state| state.fault = None),
            40..55 => self.change_campaigns(index),
            55..60 => self.reload().await,
            60..61 if kill => self.kill().await,
            _ => {}
        }
        self.scrape().await;
        let pause = Duration::from_millis(self.rng.u64(..MAX_PAUSE_MILLIS));
        tokio::time::sleep(pause).await;
    }

    /// Ends the fault of token renewal, and counts lost responses.
    fn end_token_fault(&mut self) {
        let mut happened = 0;
        for simulator in self.authorizing() {
            simulator.update(|state| {
                let plan = state.authorization.fault.take();
                happened += usize::from(plan.is_some_and(|plan| plan.times == Some(0)));
            });
        }
        if self.leaves_unheard {
            self.unheard += happened;
        }
    }

    /// Adds, removes, and restores campaigns.
    fn change_campaigns(&mut self, index: usize) {
        let mut campaigns = first_campaigns(self.started);
        let goes: BTreeSet<_> = campaigns
            .iter()
            .filter(|_| self.rng.u8(..4) == 0)
            .map(|campaign| campaign.id.clone())
            .collect();
        campaigns.retain(|campaign| !goes.contains(&campaign.id));
        for _ in 0..self.rng.u64(..20) {
            self.newest += 1;
            let age = TimeDelta::minutes(self.rng.i64(1..10_000));
            campaigns.push(campaign(self.newest, Utc::now() - age));
        }
        self.simulators[index].update(|state| state.campaigns = campaigns.into());
    }

    async fn reload(&mut self) {
        let without: Vec<_> = (0..all_accounts().len()).filter(|_| self.rng.u8(..6) == 0).collect();
        let lookback = self.rng.choice(["30d", "20d", "2d"]).unwrap();
        let everything_goes = without.len() == all_accounts().len();
        let without = if everything_goes { &[][..] } else { &without };
        self.configure(&self.daemon().setup, without, lookback);
        self.apply_configuration().await;
    }

    async fn apply_configuration(&self) {
        let request = self.clients[0].post(self.daemon().url("/-/reload"));
        let response = request.send().await.unwrap();
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
    }

    /// Kills the process at any time, and starts another.
    async fn kill(&mut self) {
        let daemon = self.daemon.take().unwrap();
        check_log(&daemon);
        daemon.signal("KILL").await;
        // a token response of each application may have been in flight
        self.unheard += self.authorizing().count();
        self.start(daemon.end().await).await;
    }

    /// Restores the initial state, and waits until it is exported.
    async fn rest(&mut self, beginning: Option<&World>) -> World {
        self.end_token_fault();
        for simulator in &self.simulators {
            simulator.update(|state| {
                state.fault = None;
                state.campaigns = first_campaigns(self.started).into();
            });
        }
        self.configure(&self.daemon().setup, &[], "30d");
        self.apply_configuration().await;
        let names: Vec<_> = all_accounts().into_iter().map(|(name, ..)| name).collect();
        let before = self.daemon().scrape().await;
        // every poller must finish its current poll and make further ones
        self.daemon()
            .scrape_until(|metrics| {
                each(metrics, &names, |own| {
                    let before = Exported::of(&before, &own.name).polls("success");
                    own.is_up() && own.polls("success") >= before + 3.0
                })
            })
            .await;
        let health = self.daemon().get("/-/healthy").await;
        assert_eq!(health, "Campaign exporter is healthy.\n");
        let deadline = Instant::now() + LIMIT;
        loop {
            let world = self.world().await;
            let is_whole = match beginning {
                Some(beginning) => world == *beginning,
                None => is_whole(&world),
            };
            if is_whole {
                return world;
            }
            let other: Vec<_> = beginning
                .into_iter()
                .flatten()
                .filter(|(series, value)| world.get(*series) != Some(value))
                .take(5)
                .collect();
            assert!(
                Instant::now() < deadline,
                "{} series, lost: {other:?}, log:\n{}",
                world.len(),
                self.daemon().log()
            );
            // poll interval of the condition
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Checks that no token is lost, and none is used twice unless its response may have been lost.
    fn check_tokens(&self) {
        let mut reused = 0;
        for simulator in self.authorizing() {
            simulator.read(|state| {
                let server = &state.authorization;
                assert!(server.refreshes > 10, "{}", server.refreshes);
                assert_eq!(server.refresh_tokens().len(), 2);
                reused += server.reused_refresh_tokens().len();
                for token in server.refresh_tokens() {
                    assert!(!self.daemon().log().contains(&token));
                }
            });
        }
        assert!(reused <= self.unheard, "{reused} of {}", self.unheard);
    }
}

/// Returns whether all campaigns of all accounts are exported.
fn is_whole(world: &World) -> bool {
    let campaigns = world.keys().filter(|(name, _)| name == "campaign_deliveries");
    let accounts = world.keys().filter(|(name, _)| name == "campaign_account_up");
    campaigns.count() == 40 * all_accounts().len() && accounts.count() == all_accounts().len()
}

fn check_log(daemon: &Daemon) {
    let log = daemon.log();
    for never in [TOKEN, "panic", "refresh token is refused", "set aside"] {
        assert!(!log.contains(never), "{never}:\n{log}");
    }
}

async fn soak(seed: u64, lasts: Duration) {
    let mut soak = Soak::new(seed).await;
    let beginning = soak.rest(None).await;
    let begin = Instant::now();
    while begin.elapsed() < lasts / 2 {
        soak.step(true).await;
    }
    soak.kill().await;
    // from now on, a single process, whose resource usage must not grow
    soak.rest(Some(&beginning)).await;
    let mut needs = Vec::new();
    for part in 1..=4 {
        while begin.elapsed() < lasts / 2 + lasts * part / 8 {
            soak.step(false).await;
        }
        soak.rest(Some(&beginning)).await;
        needs.push(Needs::of(soak.daemon()));
    }
    check_log(soak.daemon());
    soak.check_tokens();
    assert!(soak.scrapes > 100, "{}", soak.scrapes);

    let [first, last] = [needs[1], needs[3]];
    assert!(last.memory <= first.memory + MAX_GROWTH, "{needs:?}");
    // threads that read files live on for a while
    let accounts = all_accounts().len() as u64;
    assert!(last.threads <= first.threads + 2 * accounts, "{needs:?}");
    // so do connections to providers and scrapers
    assert!(last.files <= first.files + 2 * accounts, "{needs:?}");

    soak.daemon.take().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_operations_leave_no_trace() {
    let given = |name| std::env::var(name).ok();
    let minutes = given(MINUTES).map_or(1.0, |minutes| minutes.parse().unwrap());
    let seed = given(SEED).map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    let lasts = Duration::from_secs_f64(minutes * 60.0);
    let mut task = JoinSet::new();
    task.spawn(soak(seed, lasts));
    let ended = task.join_next().await.unwrap();
    assert!(ended.is_ok(), "with {SEED}={seed}: {ended:?}");
}
