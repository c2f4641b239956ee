//! The daemon: starts the tasks, reloads the configuration, and shuts down gracefully.

mod accounts;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::accounts::RunningAccounts;
use crate::commands::signals::StopSignals;
use crate::config::Config;
use crate::config::sharding::Shard;
use crate::exposition::own::OwnMetrics;
use crate::exposition::publisher::{self, Published};
use crate::provider::Kinds;
use crate::state::changes::{Changes, changes};
use crate::telemetry::Telemetry;
use crate::upstream::applications::Applications;
use crate::upstream::auth::tokens::shell_word;
use crate::upstream::client::Client;
use crate::web::endpoints::{Endpoints, Reload};
use crate::web::gate::{self, ActiveWebConfig};
use crate::web::listeners::Listen;
use crate::web::protection::configuration::WebConfig;
use crate::web::routes::Routes;
use crate::web::server;

/// Maximum number of reload requests that wait.
const RELOADS: usize = 8;

/// Time limit for stopping: a little longer than the server gives its clients.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// The options of the daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// The providers that accounts can be at.
    pub kinds: Kinds,
    /// Configuration file.
    pub config_file: PathBuf,
    /// Directory for tokens and data.
    pub storage: Option<PathBuf>,
    /// Sockets to listen on.
    pub listen: Listen,
    /// Web configuration file.
    pub web_config_file: Option<PathBuf>,
    /// The paths of the endpoints.
    pub routes: Routes,
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// The shard whose accounts are read.
    pub shard: Option<Shard>,
}

impl Options {
    /// Returns the flags with which a command finds the same files and accounts, from any working
    /// directory.
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

/// Runs until SIGTERM or SIGINT. Returns an error if a part of the program ended unexpectedly.
pub async fn run(
    options: Options,
    config: Config,
    web_config: WebConfig,
    client: Client,
    telemetry: Telemetry,
    mut signals: StopSignals,
) -> anyhow::Result<()> {
    let hang_up = signals.hang_up.take().map_or_else(|| signal(SignalKind::hangup()), Ok);
    let mut hang_up = hang_up.context("cannot handle SIGHUP")?;
    let listeners = options.listen.bind().await?;
    telemetry.observe_process()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (changes, poll_loops, published) = start_publisher(&mut tasks)?;
    let start = async {
        let accounts = RunningAccounts::new(
            &options,
            client,
            telemetry.clone(),
            changes,
            poll_loops,
            stop.clone(),
        );
        let mut accounts = accounts.await.context(super::STORAGE)?;
        accounts.apply(config, &mut tasks).await?;
        anyhow::Ok(accounts)
    };
    let mut accounts = tokio::select! {
        accounts = start => accounts?,
        // storage can hang
        _ = signals.recv() => return Ok(()),
    };

    let (reload_sender, mut reloads) = mpsc::channel(RELOADS);
    let endpoints = Endpoints {
        routes: options.routes.clone(),
        lifecycle: options.lifecycle,
        published,
        own: Arc::new(OwnMetrics::new(telemetry.clone())),
        telemetry,
        config: accounts.shown_config.subscribe(),
        health: accounts.pulses.subscribe(),
        kinds: options.kinds.clone(),
        reloads: reload_sender,
    };
    log_listeners(&listeners, &options, &web_config)?;
    start_server(listeners, endpoints, web_config, &options, &stop, &mut tasks);
    let result =
        main_loop(&mut signals, &mut hang_up, &mut accounts, &mut reloads, &options, &mut tasks)
            .await;

    info!("stopping");
    stop.cancel();
    let applications = accounts.into_applications();
    drop(reloads);
    result.and(wait_for_end(tasks, &applications).await)
}

/// Handles signals, reload requests and the end of tasks. Returns when the daemon has to stop.
async fn main_loop(
    signals: &mut StopSignals,
    hang_up: &mut Signal,
    accounts: &mut RunningAccounts,
    reloads: &mut mpsc::Receiver<Reload>,
    options: &Options,
    tasks: &mut JoinSet<Ended>,
) -> anyhow::Result<()> {
    loop {
        let reply = tokio::select! {
            _ = signals.recv() => return Ok(()),
            Some(ended) = tasks.join_next() => {
                if let Some(error) = ended_early(ended) {
                    return Err(error);
                }
                continue;
            }
            // a configuration error is in the log
            _ = hang_up.recv() => None,
            Some(reply) = reloads.recv() => Some(reply),
        };
        let outcome = tokio::select! {
            outcome = accounts.reload(options, tasks) => outcome?,
            // files can hang
            _ = signals.recv() => return Ok(()),
        };
        if let Some(reply) = reply
            && reply.send(outcome.map_err(|error| error.to_string())).is_err()
        {
            warn!("the client did not wait for the end of its reload");
        }
    }
}

/// A poll loop that runs until it is stopped.
type PollLoop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs poll loops.
#[derive(Clone, Debug)]
struct PollLoops(mpsc::UnboundedSender<PollLoop>);

impl PollLoops {
    /// Runs a poll loop. Returns what waits for its end.
    fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        poll_loop: F,
    ) -> impl Future<Output = Ended> + use<F> {
        let (running, has_ended) = oneshot::channel::<()>();
        let poll_loop = Box::pin(async move {
            poll_loop.await;
            drop(running);
        });
        // without the thread, it is dropped, and so has ended
        drop(self.0.send(poll_loop));
        async {
            drop(has_ended.await);
            Ended::Stopped
        }
    }
}

/// Starts the publisher and the poll loops on a thread of their own, because rendering and decoding block.
/// On one thread, since allocators keep memory by thread: what decoding frees is free for rendering.
fn start_publisher(
    tasks: &mut JoinSet<Ended>,
) -> anyhow::Result<(Changes, PollLoops, watch::Receiver<Arc<Published>>)> {
    let published = publisher::empty()?;
    let exposition = published.subscribe();
    let (changes, inbox) = changes();
    let (sender, poll_loops) = mpsc::unbounded_channel();
    let runtime = Handle::current();
    tasks.spawn_blocking(move || {
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = publisher::run(inbox, published) => ended,
                () = run_all(poll_loops) => Ok(()),
            }
        });
        Ended::Early("publisher", ended.err())
    });
    Ok((changes, PollLoops(sender), exposition))
}

/// Runs poll loops, and never ends.
async fn run_all(mut poll_loops: mpsc::UnboundedReceiver<PollLoop>) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(poll_loop) = poll_loops.recv() => running.push(poll_loop),
            Some(()) = running.next() => {}
            else => std::future::pending().await,
        }
    }
}

fn log_listeners(
    listeners: &[TcpListener],
    options: &Options,
    web_config: &WebConfig,
) -> anyhow::Result<()> {
    let tls = web_config.tls.is_some();
    let path = format!("{}{}", options.routes.prefix, options.routes.telemetry_path);
    for listener in listeners {
        let address = listener.local_addr().context("cannot determine the listen address")?;
        info!(%address, %path, tls, "listening");
    }
    Ok(())
}

/// Starts the server, and the task that reloads its web configuration.
fn start_server(
    listeners: Vec<TcpListener>,
    endpoints: Endpoints,
    web_config: WebConfig,
    options: &Options,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Ended>,
) {
    let (sender, active) =
        watch::channel(ActiveWebConfig { config: Arc::new(web_config), suspended: false });
    if let Some(path) = options.web_config_file.clone() {
        let following = gate::follow(path, sender, stop.clone());
        tasks.spawn(async move {
            following.await;
            Ended::Stopped
        });
    }
    let server = server::serve(listeners, endpoints, active, stop.clone());
    tasks.spawn(async move {
        server.await;
        Ended::Early("server", None)
    });
}

/// Waits for all tasks after they were asked to stop.
async fn wait_for_end(
    mut tasks: JoinSet<Ended>,
    applications: &Applications,
) -> anyhow::Result<()> {
    // a token that is being refreshed has to be stored first
    applications.finish().await;
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            // tasks may end now, but an error may be the reason why the program stops
            if let Ok(Ended::Early(_, Some(_))) | Err(_) = &ended
                && let Some(error) = ended_early(ended)
            {
                error!(error = format!("{error:#}"), "error while stopping");
            }
        }
    };
    let in_time = tokio::time::timeout(STOP_TIMEOUT, all_ended).await;
    in_time.map_err(|_| anyhow!("some tasks did not stop in time"))
}

/// How a task ended.
enum Ended {
    /// It was asked to stop, or its work is done.
    Stopped,
    /// It should run as long as the program.
    Early(&'static str, Option<io::Error>),
}

/// Returns the error with which the program has to stop, if any.
fn ended_early(ended: Result<Ended, JoinError>) -> Option<anyhow::Error> {
    match ended {
        Ok(Ended::Stopped) => None,
        Ok(Ended::Early(task, None)) => Some(anyhow!("the {task} ended unexpectedly")),
        Ok(Ended::Early(task, Some(error))) => {
            Some(anyhow::Error::new(error).context(format!("the {task} failed")))
        }
        Err(error) => Some(anyhow::Error::new(error).context("a task failed")),
    }
}

/// Logs the warnings of a configuration.
pub fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::upstream::auth::renewals::RENEWAL_TIMEOUT;
    use crate::web::server::tests::endpoints;

    fn options() -> Options {
        Options {
            kinds: crate::provider::made_up(),
            config_file: PathBuf::from("/etc/campaign exporter.yml"),
            storage: None,
            listen: Listen::Addresses(Vec::new()),
            web_config_file: None,
            routes: Routes::default(),
            lifecycle: false,
            shard: None,
        }
    }

    #[test]
    fn flags_lead_a_command_to_the_files_of_the_daemon() {
        let alone = options();
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
    fn grace_periods_leave_time_to_store_a_token() {
        let install = include_str!("../../docs/install.md");
        let base = include_str!("../../deploy/kubernetes/base/statefulset.yaml");
        let chart = include_str!("../../deploy/helm/campaign-exporter/templates/statefulset.yaml");
        for (text, before) in [
            (install, "--stop-timeout="),
            (base, "terminationGracePeriodSeconds: "),
            (chart, "terminationGracePeriodSeconds: "),
        ] {
            let (_, rest) = text.split_once(before).unwrap();
            let seconds = rest.split_whitespace().next().unwrap().parse().unwrap();
            let granted = Duration::from_secs(seconds);
            assert!(granted > RENEWAL_TIMEOUT + STOP_TIMEOUT, "{before}{seconds}");
        }
    }

    async fn end(task: impl Future<Output = Ended> + Send + 'static) -> Option<String> {
        let mut tasks = JoinSet::new();
        tasks.spawn(task);
        ended_early(tasks.join_next().await.unwrap()).map(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn the_publisher_and_the_server_have_to_run() {
        let mut tasks = JoinSet::new();
        drop(start_publisher(&mut tasks).unwrap());
        let ended = ended_early(tasks.join_next().await.unwrap()).unwrap();
        assert_eq!(ended.to_string(), "the publisher ended unexpectedly");

        let endpoints = endpoints(String::new(), watch::Sender::default().subscribe());
        let (web_config, stop) = (WebConfig::default(), CancellationToken::new());
        start_server(Vec::new(), endpoints, web_config, &options(), &stop, &mut tasks);
        let ended = ended_early(tasks.join_next().await.unwrap()).unwrap();
        assert_eq!(ended.to_string(), "the server ended unexpectedly");
    }

    async fn accounts(changes: Changes, poll_loops: PollLoops) -> RunningAccounts {
        let (client, telemetry) = (Client::local().unwrap(), Telemetry::new().unwrap());
        let stop = CancellationToken::new();
        RunningAccounts::new(&options(), client, telemetry, changes, poll_loops, stop)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_configuration_replaces_all_poll_loops() {
        let mut tasks = JoinSet::new();
        let (changes, poll_loops, _published) = start_publisher(&mut tasks).unwrap();
        let mut accounts = accounts(changes, poll_loops).await;
        let account = |name, more| {
            format!("- {{name: {name}, provider: alpha, token_env: NO_SUCH_VARIABLE_{more}}}\n")
        };
        for (yaml, ended, running) in
            [(account("a", "") + &account("b", ""), 0, 2), (account("a", ", lookback: 1d"), 2, 1)]
        {
            let yaml = format!("accounts:\n{yaml}");
            let config = Config::parse(&yaml, &options().kinds, None).unwrap();
            accounts.apply(config, &mut tasks).await.unwrap();
            for _ in 0..ended {
                let task = tokio::time::timeout(STOP_TIMEOUT, tasks.join_next()).await;
                assert!(ended_early(task.unwrap().unwrap()).is_none());
            }
            assert_eq!(accounts.pulses.borrow().len(), running);
            assert_eq!(tasks.len(), 1 + running, "with the publisher");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_of_a_hung_file_is_given_up() {
        let mut tasks = JoinSet::new();
        let (changes, poll_loops, _published) = start_publisher(&mut tasks).unwrap();
        let mut accounts = accounts(changes, poll_loops).await;
        let (reader, writer) = io::pipe().unwrap();
        let options = Options {
            config_file: format!("/proc/self/fd/{}", reader.as_raw_fd()).into(),
            ..options()
        };
        let reloaded = tokio::select! {
            biased;
            reloaded = accounts.reload(&options, &mut tasks) => Some(reloaded.unwrap()),
            () = async {
                tokio::time::advance(Duration::from_secs(10)).await;
                tokio::task::yield_now().await;
            } => None,
        };
        drop(writer);
        let problem = reloaded.unwrap().unwrap_err().to_string();
        assert!(problem.contains("cannot be read within 10 s"), "{problem}");
    }

    #[tokio::test]
    async fn the_main_loop_ends_with_a_task() {
        let mut tasks = JoinSet::new();
        let (changes, poll_loops, _published) = start_publisher(&mut tasks).unwrap();
        let mut accounts = accounts(changes, poll_loops).await;
        let mut signals = StopSignals::unused().unwrap();
        let mut hang_up = signal(SignalKind::user_defined2()).unwrap();
        let (_sender, mut reloads) = mpsc::channel(RELOADS);
        let options = options();
        tasks.spawn(async { panic!("a bug") });
        let ended = main_loop(
            &mut signals,
            &mut hang_up,
            &mut accounts,
            &mut reloads,
            &options,
            &mut tasks,
        );
        let ended = tokio::time::timeout(STOP_TIMEOUT, ended).await.unwrap();
        assert_eq!(ended.unwrap_err().to_string(), "a task failed");
    }

    #[tokio::test]
    async fn the_unexpected_end_of_a_task_stops_the_program() {
        assert_eq!(end(async { Ended::Stopped }).await, None);
        let early = end(async { Ended::Early("server", None) }).await;
        assert_eq!(early.as_deref(), Some("the server ended unexpectedly"));
        let failed = end(async { Ended::Early("publisher", Some(io::Error::other("no"))) }).await;
        assert_eq!(failed.as_deref(), Some("the publisher failed: no"));
        let panicked = end(async { panic!("a bug") }).await.unwrap();
        assert!(
            panicked.starts_with("a task failed: ") && panicked.contains("a bug"),
            "{panicked}"
        );
    }
}
