//! The running exporter: starts the tasks, reloads the configuration, stops in order.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::sharding::Shard;
use crate::config::{Account, Config, ConfigError};
use crate::exposition::publisher;
use crate::polling::heartbeat::{Heartbeat, Pulse, heartbeat};
use crate::polling::poller::{Poller, Progress, connect};
use crate::state::changes::{Changes, changes};
use crate::state::snapshot::{Change, Configured, Generation, Known};
use crate::storage::record::{self, StoredAccount};
use crate::storage::store::Store;
use crate::telemetry::{AccountTelemetry, Telemetry};
use crate::upstream::auth::tokens::{Access, shell_word};
use crate::upstream::http::TOKEN_TIMEOUT;
use crate::upstream::quota::application::Applications;
use crate::web::endpoints::Endpoints;
use crate::web::gate::{self, InForce};
use crate::web::listeners::Listen;
use crate::web::protection::configuration::WebConfig;
use crate::web::server;

/// Reloads that wait for each other.
const RELOADS: usize = 8;

/// How long reading the configuration may take: a file system that hangs must not hold the rest.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long stopping may take in all: a little longer than the server gives its clients.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the renewal of a token may take when the exporter stops: the time limit of a request, and
/// some more to keep it.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(TOKEN_TIMEOUT.as_secs() + 5);

/// How the daemon is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config_file: PathBuf,
    /// Where tokens and data can be kept.
    pub storage: Option<PathBuf>,
    /// What is listened on.
    pub listen: Listen,
    /// The file of the web server's protection.
    pub web_config_file: Option<PathBuf>,
    /// Path of the metrics.
    pub telemetry_path: String,
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// Which of several exporters this is.
    pub shard: Option<Shard>,
}

impl Options {
    /// What a person adds to a command so that it finds the same files and accounts, wherever it is
    /// run.
    pub fn flags(&self) -> String {
        let word = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            shell_word(&path.display().to_string())
        };
        let mut flags = format!(" --config.file {}", word(&self.config_file));
        if let Some(storage) = &self.storage {
            flags = format!("{flags} --storage.path {}", word(storage));
        }
        if let Some(shard) = self.shard {
            flags = format!("{flags} --shard {shard}");
        }
        flags
    }
}

/// Runs until SIGTERM or SIGINT. An error means that a part of the program ended by itself.
pub async fn run(
    options: Options,
    config: Config,
    web_config: WebConfig,
    client: reqwest::Client,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot wait for SIGHUP")?;
    let listeners = options.listen.bind().await?;
    let store = match &options.storage {
        Some(folder) => Some(Arc::new(Store::open(folder)?)),
        None => None,
    };
    let telemetry = Telemetry::new()?;
    telemetry.observe_process()?;
    let published = publisher::nothing()?;
    let exposition = published.subscribe();
    let (changes, inbox) = changes();
    let (reloads, mut reload_requests) = mpsc::channel(RELOADS);
    let (shown_config, config_in_force) = watch::channel(String::new());
    let (pulses, health) = watch::channel(Vec::new());
    let stop = CancellationToken::new();
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    let runtime = Handle::current();
    tasks.spawn_blocking(move || {
        let ended = runtime.block_on(publisher::run(inbox, published));
        Ended::Early("publisher", ended.err())
    });
    let mut accounts = Accounts {
        running: HashMap::new(),
        generation: 0,
        client,
        telemetry: telemetry.clone(),
        changes,
        shown_config,
        pulses,
        applications: Applications::new(store.clone(), options.flags()),
        store,
        stop: stop.clone(),
    };
    accounts.put_in_force(config, &mut tasks).await?;

    let endpoints = Endpoints {
        telemetry_path: options.telemetry_path.clone(),
        lifecycle: options.lifecycle,
        published: exposition,
        telemetry: telemetry.clone(),
        config: config_in_force,
        health,
        reloads,
    };
    for listener in &listeners {
        let address = listener
            .local_addr()
            .context("cannot tell the address listened on")?;
        let tls = web_config.tls.is_some();
        info!(%address, path = options.telemetry_path, tls, "listening");
    }
    serve(
        listeners, endpoints, web_config, &options, &stop, &mut tasks,
    );

    let result = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            Some(ended) = tasks.join_next() => {
                if let Some(error) = ended_early(ended) {
                    break Err(error);
                }
            }
            _ = hang_up.recv() => {
                // what is wrong with the configuration is logged, and nobody waits for it
                if let Err(error) = accounts.reload(&options, &mut tasks).await {
                    break Err(error);
                }
            }
            Some(reply) = reload_requests.recv() => {
                let outcome = match accounts.reload(&options, &mut tasks).await {
                    Ok(outcome) => outcome,
                    Err(error) => break Err(error),
                };
                if reply.send(outcome.map_err(|error| error.to_string())).is_err() {
                    warn!("whoever asked for the reload did not wait for its end");
                }
            }
        }
    };

    info!("stopping");
    stop.cancel();
    // the publisher ends when nobody is left who could tell it anything, and whoever still asks
    // for a reload is told that there will be none
    let applications = accounts.end();
    drop(reload_requests);
    result.and(end(tasks, &applications).await)
}

/// Starts the server, and what keeps its protection as the file says.
fn serve(
    listeners: Vec<TcpListener>,
    endpoints: Endpoints,
    web_config: WebConfig,
    options: &Options,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Ended>,
) {
    let (suspending, in_force) = watch::channel(InForce {
        config: Arc::new(web_config),
        suspended: false,
    });
    if let Some(path) = options.web_config_file.clone() {
        let following = gate::follow(path, suspending, stop.clone());
        tasks.spawn(async move {
            following.await;
            Ended::Stopped
        });
    }
    let server = server::serve(listeners, endpoints, in_force, stop.clone());
    tasks.spawn(async move {
        server.await;
        Ended::Early("server", None)
    });
}

/// Waits for everything that has been told to stop.
async fn end(mut tasks: JoinSet<Ended>, applications: &Applications) -> anyhow::Result<()> {
    // a token that is being replaced has to be kept first
    let kept = tokio::time::timeout(RENEWAL_TIMEOUT, applications.finish()).await;
    if kept.is_err() {
        error!("a token is still being renewed");
    }
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            // that they end is right by now, and how may still be the cause of it all
            if let Ok(Ended::Early(_, Some(_))) | Err(_) = &ended
                && let Some(error) = ended_early(ended)
            {
                error!(error = format!("{error:#}"), "while stopping");
            }
        }
    };
    let in_time = tokio::time::timeout(STOP_TIMEOUT, all_ended).await;
    in_time.map_err(|_| anyhow!("some task did not stop in time"))
}

/// How a task ended.
enum Ended {
    /// It was asked to, or has nobody left to work for.
    Stopped,
    /// It never should, while the program runs.
    Early(&'static str, Option<io::Error>),
}

/// Why the program has to end, if a task's end is such a reason.
fn ended_early(ended: Result<Ended, JoinError>) -> Option<anyhow::Error> {
    match ended {
        Ok(Ended::Stopped) => None,
        Ok(Ended::Early(task, None)) => Some(anyhow!("the {task} ended by itself")),
        Ok(Ended::Early(task, Some(error))) => {
            Some(anyhow::Error::new(error).context(format!("the {task} failed")))
        }
        Err(error) => Some(anyhow::Error::new(error).context("a task failed")),
    }
}

/// The accounts that are polled now.
struct Accounts {
    running: HashMap<String, Running>,
    generation: Generation,
    client: reqwest::Client,
    telemetry: Telemetry,
    changes: Changes,
    shown_config: watch::Sender<String>,
    pulses: watch::Sender<Vec<Pulse>>,
    applications: Applications,
    store: Option<Arc<Store>>,
    stop: CancellationToken,
}

struct Running {
    account: Account,
    generation: Generation,
    telemetry: AccountTelemetry,
    access: Access,
    pulse: Pulse,
    stop: CancellationToken,
}

/// A poll loop that is about to begin.
struct Beginning {
    poller: Poller,
    /// Whether the account was not there before. One that was changed is read at once.
    is_new: bool,
    /// What an earlier process knew.
    kept: Option<StoredAccount>,
    delay: Duration,
    heartbeat: Heartbeat,
    stop: CancellationToken,
}

impl Accounts {
    /// Reads the configuration anew and puts it in force, or keeps the old one and says why.
    async fn reload(
        &mut self,
        options: &Options,
        tasks: &mut JoinSet<Ended>,
    ) -> anyhow::Result<Result<(), ConfigError>> {
        let Options {
            config_file,
            storage,
            shard,
            ..
        } = options.clone();
        let path = config_file.clone();
        let load = tokio::task::spawn_blocking(move || Config::load(&path, storage.as_deref()));
        let loaded = match tokio::time::timeout(LOAD_TIMEOUT, load).await {
            Ok(loaded) => loaded.context("cannot load the configuration")?,
            Err(_) => Err(ConfigError::hangs(&config_file, LOAD_TIMEOUT)),
        };
        match loaded {
            Ok(config) => {
                let config = config.of_shard(shard);
                log_warnings(&config);
                self.put_in_force(config, tasks).await?;
                self.telemetry.reload_succeeded();
                info!(accounts = self.running.len(), "configuration reloaded");
                Ok(Ok(()))
            }
            Err(problems) => {
                self.telemetry.reload_failed();
                for problem in problems.to_string().lines() {
                    error!(
                        problem,
                        "configuration not reloaded, the old one stays in force"
                    );
                }
                Ok(Err(problems))
            }
        }
    }

    /// Replaces all accounts at once. Those that are as before go on undisturbed.
    async fn put_in_force(
        &mut self,
        config: Config,
        tasks: &mut JoinSet<Ended>,
    ) -> anyhow::Result<()> {
        self.generation += 1;
        let configured = config.accounts.iter().map(|account| {
            let limits = account.provider.limits(account.polling.limits());
            let key = account.provider.application(&account.name);
            (account.name.as_str(), key, limits)
        });
        self.applications.configure(configured).await;
        let mut before = std::mem::take(&mut self.running);
        let mut new = BTreeMap::new();
        let config_yaml = config.to_yaml();
        let names: Vec<String> = config
            .accounts
            .iter()
            .map(|account| account.name.clone())
            .collect();
        for account in config.accounts {
            let name = account.name.clone();
            let running = match before.remove(&name) {
                Some(running) if running.account == account => running,
                other => {
                    let (running, beginning) = self.configure(account, other)?;
                    new.insert(name.clone(), beginning);
                    running
                }
            };
            self.running.insert(name, running);
        }
        for running in before.into_values() {
            running.stop.cancel();
        }
        if let Some(store) = &self.store {
            join_all(new.values_mut().map(|beginning| beginning.restore(store))).await;
        }
        for beginning in new.values() {
            beginning.poller.plan();
        }
        // only now are the plans of all accounts known that share a quota
        let running = names.iter().filter_map(|name| self.running.get(name));
        let mut in_force = Vec::new();
        for running in running.clone() {
            let beginning = new.get_mut(&running.account.name);
            let configured = running.account.polling.poll_interval;
            in_force.push(Configured {
                generation: running.generation,
                account: running.account.clone(),
                poll_interval: running.access.application().stretched(configured),
                restored: beginning.and_then(Beginning::resume),
            });
        }
        let telemetries = running.clone().map(|running| running.telemetry.clone());
        let telemetries = telemetries.collect();
        let pulses = running.map(|running| running.pulse.clone()).collect();
        let configured = Change::Configured(in_force);
        let shown = self.changes.make(configured).await;
        shown.context("the publisher ended")?;
        self.telemetry.set_accounts(telemetries);
        self.pulses.send_replace(pulses);
        self.shown_config.send_replace(config_yaml);
        // only now, so that no poll is over before its account is known
        for beginning in new.into_values() {
            let changes = self.changes.clone();
            let Beginning {
                poller,
                delay,
                heartbeat,
                stop,
                ..
            } = beginning;
            tasks.spawn(async move {
                poller.run(delay, changes, heartbeat, stop).await;
                Ended::Stopped
            });
        }
        Ok(())
    }

    /// An account that is new or has changed. While it is the same one at its provider, its
    /// counters and tokens go on.
    fn configure(
        &self,
        account: Account,
        before: Option<Running>,
    ) -> anyhow::Result<(Running, Beginning)> {
        let is_new = before.is_none();
        let before = before.and_then(|running| {
            running.stop.cancel();
            let same = running.account.provider.same_account(&account.provider);
            same.then_some((running.telemetry, running.access))
        });
        let (telemetry, access) = match before {
            Some(before) => before,
            None => connect(&account, &self.applications, self.store.clone())?,
        };
        let (heartbeat, pulse) = heartbeat();
        let running = Running {
            account,
            generation: self.generation,
            telemetry,
            access,
            pulse,
            stop: self.stop.child_token(),
        };
        let beginning = Beginning {
            poller: running.poller(self.client.clone()),
            is_new,
            kept: None,
            delay: Duration::ZERO,
            heartbeat,
            stop: running.stop.clone(),
        };
        Ok((running, beginning))
    }

    /// What is left to wait for when nothing is to be begun any more.
    fn end(self) -> Applications {
        self.applications
    }
}

impl Beginning {
    /// Reads what an earlier process knew, or the poller of the account as it was before.
    async fn restore(&mut self, store: &Arc<Store>) {
        let account = &self.poller.account;
        let kept = record::load(store, &account.name, &account.provider.source()).await;
        self.poller.progress = Progress::of(kept.clone());
        self.kept = Some(kept).filter(|_| self.is_new);
    }

    /// Goes on where an earlier process ended. Returns what that knew.
    fn resume(&mut self) -> Option<Known> {
        let (known, delay) = self.poller.resume(&self.kept.take()?);
        self.delay = delay;
        known
    }
}

impl Running {
    fn poller(&self, client: reqwest::Client) -> Poller {
        Poller {
            account: self.account.clone(),
            generation: self.generation,
            client,
            telemetry: self.telemetry.clone(),
            access: self.access.clone(),
            progress: Progress::default(),
        }
    }
}

/// Says what is allowed and still worth a look.
pub fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_finds_what_the_daemon_has() {
        let alone = Options {
            config_file: PathBuf::from("/etc/campaign exporter.yml"),
            storage: None,
            listen: Listen::Addresses(Vec::new()),
            web_config_file: None,
            telemetry_path: "/metrics".to_owned(),
            lifecycle: false,
            shard: None,
        };
        assert_eq!(alone.flags(), " --config.file '/etc/campaign exporter.yml'");
        let one_of_three = Options {
            config_file: PathBuf::from("/etc/ce.yml"),
            storage: Some(PathBuf::from("/var/lib/ce")),
            shard: Some("1/3".parse().unwrap()),
            ..alone
        };
        let flags = " --config.file /etc/ce.yml --storage.path /var/lib/ce --shard 1/3";
        assert_eq!(one_of_three.flags(), flags);
    }

    #[test]
    fn whoever_stops_it_waits_until_a_token_is_kept() {
        let readme = include_str!("../../README.md");
        let base = include_str!("../../deploy/kubernetes/base/statefulset.yaml");
        let chart = include_str!("../../deploy/helm/campaign-exporter/templates/statefulset.yaml");
        for (text, before) in [
            (readme, "--stop-timeout="),
            (base, "terminationGracePeriodSeconds: "),
            (chart, "terminationGracePeriodSeconds: "),
        ] {
            let (_, rest) = text.split_once(before).unwrap();
            let seconds = rest.split_whitespace().next().unwrap().parse().unwrap();
            let granted = Duration::from_secs(seconds);
            assert!(
                granted > RENEWAL_TIMEOUT + STOP_TIMEOUT,
                "{before}{seconds}"
            );
        }
    }

    async fn end(task: impl Future<Output = Ended> + Send + 'static) -> Option<String> {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        ended_early(tasks.join_next().await.unwrap()).map(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_ends_the_program() {
        assert_eq!(end(async { Ended::Stopped }).await, None);
        let early = end(async { Ended::Early("server", None) }).await;
        assert_eq!(early.as_deref(), Some("the server ended by itself"));
        let failed = end(async { Ended::Early("publisher", Some(io::Error::other("no"))) }).await;
        assert_eq!(failed.as_deref(), Some("the publisher failed: no"));
        let panicked = end(async { panic!("a bug") }).await.unwrap();
        assert!(
            panicked.starts_with("a task failed: ") && panicked.contains("a bug"),
            "{panicked}"
        );
    }
}
