//! Everything at once for a while: faults that come and go, campaigns that come and go, reloads,
//! scrapes, and a process that is killed; and at the end all is as it was at the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use flate2::bufread::GzDecoder;
use tokio::task::JoinSet;

use crate::support::apis::{Api, cinnox, constant_contact, smsup};
use crate::support::daemon::{Daemon, LIMIT, Setup, TOKEN, account, config, simulate};
use crate::support::faults::{Exported, each, json_body, status};
use crate::support::strict;

/// How long it lasts, in minutes, where the default is too short.
const MINUTES: &str = "CAMPAIGN_EXPORTER_SOAK_MINUTES";

/// The seed of an earlier run that is to be repeated, as far as time allows.
const SEED: &str = "CAMPAIGN_EXPORTER_SOAK_SEED";

/// Most growth of the memory after the second check of four. A build without optimisation holds about
/// 40 MB by then; the allocator keeps some of what was freed, and how much that is at most takes a
/// while to show. All campaigns together have less than a megabyte, so that whatever keeps those of
/// each poll, or a few kilobytes of each scrape, is over this within minutes.
const MAX_GROWTH: u64 = 16_000_000;

/// Between two steps, so that some of them meet the same poll and others do not.
const MAX_PAUSE_MILLIS: u64 = 60;

/// Most accounts that are polled.
fn all_accounts() -> [(&'static str, Api, usize); 6] {
    [
        // two of one application, which refresh their tokens one after the other
        ("contact-one", constant_contact(), 0),
        ("contact-two", constant_contact(), 0),
        ("cinnox-one", cinnox(), 1),
        ("cinnox-two", cinnox(), 2),
        ("smsup-one", smsup(), 3),
        ("smsup-two", smsup(), 4),
    ]
}

/// The deliveries of a campaign, which no other has.
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
            campaign(
                number,
                now - TimeDelta::days(days) - TimeDelta::minutes(minutes),
            )
        })
        .collect()
}

/// A fault that lasts for some requests at most.
fn fault(rng: &mut Rng) -> Fault {
    let counts = |json: &str| Fault::Counts {
        json: json.to_owned(),
    };
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
        Fault::Delay {
            by: Duration::from_millis(rng.u64(..500)),
        },
        Fault::Silence,
        Fault::HalfJson,
        Fault::Stall,
        // a larger one would be kept by the allocator for a while
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

/// What goes wrong with a renewal of tokens, and whether it leaves the client without its answer.
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

/// What a process needs of the system.
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

/// The samples about campaigns and accounts, without the value of what is not a campaign's.
type World = BTreeMap<(String, strict::Labels), Option<u64>>;

struct Soak {
    rng: Rng,
    started: DateTime<Utc>,
    simulators: Vec<Simulator>,
    /// None between the end of a process and the beginning of the next one.
    daemon: Option<Daemon>,
    clients: [reqwest::Client; 2],
    /// The number of the newest campaign.
    newest: u64,
    /// How many answers with tokens may not have been heard.
    unheard: usize,
    /// Whether the present fault of the authorisation server leaves its answer unheard.
    leaves_unheard: bool,
    scrapes: u64,
}

impl Soak {
    async fn new(seed: u64) -> Self {
        let started = Utc::now();
        let mut simulators = Vec::new();
        for api in [constant_contact(), cinnox(), cinnox(), smsup(), smsup()] {
            simulators.push(simulate(api, first_campaigns(started)).await);
        }
        let setup = Setup::new("");
        simulators[0].update(|state| {
            let server = &mut state.authorization;
            server.lifetime = Duration::from_secs(5);
            server.grace = true;
            for (name, ..) in &all_accounts()[..2] {
                server.grant(*name);
                fs::write(setup.folder().join(name), name).unwrap();
            }
        });
        let client = |builder: reqwest::ClientBuilder| builder.no_proxy().no_gzip();
        let clients = [
            client(reqwest::Client::builder()).build().unwrap(),
            // one whose connections do not last
            client(reqwest::Client::builder())
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
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

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    async fn start(&mut self, setup: Setup) {
        let store = setup.folder().join("store").display().to_string();
        let arguments = ["--storage.path", &store, "--web.enable-lifecycle"];
        self.daemon = Some(Daemon::start(setup, &arguments).await);
    }

    /// Writes the configuration without some accounts and with another lookback for others.
    fn configure(&self, setup: &Setup, without: &[usize], lookback: &str) {
        let mut accounts = Vec::new();
        for (index, (name, api, simulator)) in all_accounts().into_iter().enumerate() {
            if without.contains(&index) {
                continue;
            }
            let simulator = &self.simulators[simulator];
            let auth_url = format!("auth_url: {}/oauth2/default", simulator.base_url());
            let lookback = format!("lookback: {lookback}");
            let mut more = vec!["request_timeout: 2s", "full_poll_interval: 4s"];
            if index % 2 == 1 {
                more.push(&lookback);
            }
            if api.provider() == "constant_contact" {
                more.extend(["client_id: demo-client", &auth_url]);
            }
            let file = setup.folder().join(name).display().to_string();
            accounts.push(account(name, simulator, &more).replace(
                "access_token_file: TOKEN_FILE",
                &format!("refresh_token_file: {file}"),
            ));
        }
        setup.write_config(&config(&accounts));
    }

    /// Scrapes in some format and encoding. Whatever comes is sound.
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
        let mut text = String::new();
        if compressed {
            let mut decoder = GzDecoder::new(&*body);
            decoder.read_to_string(&mut text).unwrap();
            assert!(decoder.into_inner().is_empty());
        } else {
            text.push_str(std::str::from_utf8(&body).unwrap());
        }
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

    /// What is exported of campaigns and accounts.
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
                self.simulators[0].update(|state| {
                    state.authorization.fault = Some(FaultPlan::once(fault));
                });
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

    /// Takes back what goes wrong with the next renewal of tokens, and counts what has gone wrong.
    fn end_token_fault(&mut self) {
        let mut plan = None;
        self.simulators[0].update(|state| plan = state.authorization.fault.take());
        let happened = plan.is_some_and(|plan| plan.times == Some(0));
        self.unheard += usize::from(happened && self.leaves_unheard);
    }

    /// New ones come, some go, some come back.
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
        let without: Vec<_> = (0..all_accounts().len())
            .filter(|_| self.rng.u8(..6) == 0)
            .collect();
        let lookback = self.rng.choice(["30d", "20d", "2d"]).unwrap();
        let everything_goes = without.len() == all_accounts().len();
        let without = if everything_goes { &[][..] } else { &without };
        self.configure(&self.daemon().setup, without, lookback);
        self.put_in_force().await;
    }

    async fn put_in_force(&self) {
        let request = self.clients[0].post(self.daemon().url("/-/reload"));
        let response = request.send().await.unwrap();
        let status = response.status();
        assert_eq!(status, 200, "{}", response.text().await.unwrap());
    }

    /// The process ends whatever it is doing, and another one goes on in its place.
    async fn kill(&mut self) {
        let daemon = self.daemon.take().unwrap();
        check_log(&daemon);
        daemon.signal("KILL").await;
        // an answer with tokens may have been on its way
        self.unheard += 1;
        self.start(daemon.end().await).await;
    }

    /// Puts everything back to the beginning, and waits until that is what is exported.
    async fn rest(&mut self, beginning: Option<&World>) -> World {
        self.end_token_fault();
        for simulator in &self.simulators {
            simulator.update(|state| {
                state.fault = None;
                state.campaigns = first_campaigns(self.started).into();
            });
        }
        self.configure(&self.daemon().setup, &[], "30d");
        self.put_in_force().await;
        let names = all_accounts().map(|(name, ..)| name.to_owned());
        let before = self.daemon().scrape().await;
        // each loop beats: a poll that was under way, and others from then on
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
            // between two looks
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// No token is lost, and none is used twice but where its answer may not have come.
    fn check_tokens(&self) {
        self.simulators[0].read(|state| {
            let server = &state.authorization;
            assert!(server.refreshes > 10, "{}", server.refreshes);
            assert_eq!(server.refresh_tokens().len(), 2);
            let reused = server.reused_refresh_tokens().len();
            assert!(reused <= self.unheard, "{reused} of {}", self.unheard);
            for token in server.refresh_tokens() {
                assert!(!self.daemon().log().contains(&token));
            }
        });
    }
}

/// All campaigns of all accounts are there.
fn is_whole(world: &World) -> bool {
    let campaigns = world
        .keys()
        .filter(|(name, _)| name == "campaign_deliveries");
    let accounts = world
        .keys()
        .filter(|(name, _)| name == "campaign_account_up");
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
    // from now on one process, whose needs may not grow
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
    // a thread that reads a file lives for a while after it
    let accounts = all_accounts().len() as u64;
    assert!(last.threads <= first.threads + 2 * accounts, "{needs:?}");
    // so does a connection to each provider, and one of each scraper
    assert!(last.files <= first.files + 2 * accounts, "{needs:?}");

    soak.daemon().signal("TERM").await;
    let (status, log) = soak.daemon.take().unwrap().wait().await;
    assert_eq!(status.code(), Some(0), "{log}");
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
