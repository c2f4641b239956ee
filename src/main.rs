//! The program: parses the command line, checks the configuration, and runs a command.

use std::borrow::Cow;
use std::fmt::Display;
use std::future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use campaign_exporter::cli::{Cli, Command, DefinitionCommand, Options};
use campaign_exporter::commands::STORAGE;
#[cfg(feature = "demo")]
use campaign_exporter::commands::demo;
use campaign_exporter::commands::signals::StopSignals;
use campaign_exporter::commands::{
    authorize, backfill, check, completions, cost, daemon, definition, init, poll, report,
};
use campaign_exporter::config::{Account, Config};
use campaign_exporter::document::reading::{self, MAX_BLOCKING_THREADS};
use campaign_exporter::redaction::guess;
use campaign_exporter::storage::store::{self, Store};
use campaign_exporter::telemetry::Telemetry;
use campaign_exporter::upstream::auth::renewals::Renewals;
use campaign_exporter::upstream::client::Client;
use campaign_exporter::upstream::proxies::Proxies;
use campaign_exporter::web::gate;
use campaign_exporter::web::protection::configuration::WebConfig;
use campaign_exporter::{logging, provider};
use clap::CommandFactory;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

/// Exit code of a failure at run time.
const FAILED: u8 = 1;
/// Exit code of a bad command line or configuration. clap uses the same one.
const BAD_CONFIGURATION: u8 = 2;

/// Number of open files below which a warning tells that there are few: enough for dozens of accounts.
const FEW_FILES: u64 = 256;

/// How long blocking work, such as a DNS lookup, may delay the exit.
const BLOCKING_TIMEOUT: Duration = Duration::from_millis(500);

/// Time limit for reading the web configuration: a start that hangs is worse than one that fails.
const WEB_CONFIG_TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    start().unwrap_or_else(|error| cannot_start(&error))
}

fn start() -> anyhow::Result<ExitCode> {
    let Cli { options, command } = match Cli::from_arguments() {
        Ok(cli) => cli,
        Err(error) => return Ok(refuse_arguments(&error)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .build()?;
    // before all else: a signal can arrive at any time
    let signals = runtime.block_on(async { signals(command.as_ref()) })?;
    let mut telemetry = Telemetry::new()?;
    if options.disable_request_durations {
        telemetry = telemetry.without_request_durations();
    }
    let dropped_lines = telemetry.dropped_log_lines();
    let log = logging::init(options.log_level, options.log_format, dropped_lines)?;
    raise_open_files();
    let result = runtime.block_on(run(options, command, telemetry, signals));
    // dropping it would wait forever for a hung lookup or file
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    log.finish();
    Ok(result.err().unwrap_or(ExitCode::SUCCESS))
}

/// Raises the soft limit of open files to the hard one, as Go programs do: the usual one is for programs
/// that use `select`.
fn raise_open_files() {
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }) {
        warn!(%error, "cannot raise the limit of open files");
    }
    let files = files.maximum.filter(|files| *files < FEW_FILES);
    if let Some(files) = files {
        warn!(
            files,
            "the process may open few files, so it serves few connections and may fail to poll: raise \
             `ulimit -n`, or `LimitNOFILE` of systemd"
        );
    }
}

/// The signals that the command handles.
fn signals(command: Option<&Command>) -> io::Result<StopSignals> {
    let mut signals = StopSignals::new()?;
    match command {
        None => signals.keep_hang_up()?,
        #[cfg(feature = "demo")]
        Some(Command::Demo { .. }) => signals.keep_hang_up()?,
        Some(_) => {}
    }
    Ok(signals)
}

/// Runs the command. The reason for another exit code than 0 is logged.
#[expect(clippy::too_many_lines, reason = "a table of the commands")]
async fn run(
    options: Options,
    command: Option<Command>,
    telemetry: Telemetry,
    mut signals: StopSignals,
) -> Result<(), ExitCode> {
    let daemon_options = daemon::Options {
        kinds: provider::built_in(),
        // messages name files, which are looked for elsewhere
        config_file: absolute(options.config_file.clone()),
        storage: options.storage().map(absolute),
        listen: options.listen(),
        web_config_file: options.web_config(),
        routes: options.routes(),
        lifecycle: options.lifecycle,
        shard: options.shard,
    };
    let renewals = Renewals::new(daemon_options.flags());
    match command {
        #[cfg(feature = "demo")]
        Some(Command::Demo { providers, seed, poll_interval }) => {
            check_demo(&daemon_options, options.config_check)?;
            let kinds = demo::shown(&daemon_options.kinds, &providers);
            let daemon_options = daemon::Options { kinds, ..daemon_options };
            demo(daemon_options, telemetry, signals, seed, poll_interval).await
        }
        Some(Command::Completions { shell }) => {
            let script = completions::script(shell, &Cli::command()).map_err(fail)?;
            let printed = io::stdout().lock().write_all(script.as_bytes());
            printed.map_err(fail)
        }
        Some(Command::Definition { command }) => {
            unless_stopped(&mut signals, ExitCode::from, define(command)).await
        }
        Some(Command::Init { providers, definitions }) => {
            let init = async move {
                let done = init::init(daemon_options, &providers, &definitions).await;
                done.map_err(|error| complain(&format!("{error:#}")))
            };
            unless_stopped(&mut signals, ExitCode::from, init).await
        }
        _ if options.config_check => {
            let work = check(daemon_options, options.probe, renewals.clone(), telemetry);
            finish_or_stop(&mut signals, &renewals, work).await
        }
        Some(Command::Poll { account }) => {
            let work = poll(daemon_options, account, renewals.clone(), telemetry);
            finish_or_stop(&mut signals, &renewals, work).await
        }
        Some(Command::Report { period, format, output, account, stored }) => {
            let report = report::Options { period, format, output };
            let work =
                self::report(daemon_options, report, account, stored, renewals.clone(), telemetry);
            finish_or_stop(&mut signals, &renewals, work).await
        }
        Some(Command::Backfill { period, output, account, job, instance }) => {
            let wanted = backfill::Options { period, output, target: [job, instance] };
            let work = backfill(daemon_options, wanted, account, renewals.clone(), telemetry);
            finish_or_stop(&mut signals, &renewals, work).await
        }
        Some(Command::Cost { campaigns, scrape_interval, format, account }) => {
            let wanted = cost::Options { scrape_interval, campaigns, format };
            let work = cost(daemon_options, wanted, account);
            unless_stopped(&mut signals, ExitCode::from, work).await
        }
        Some(Command::Authorize { account }) => {
            finish_or_stop(&mut signals, &renewals, authorize(daemon_options, account)).await
        }
        None => serve(daemon_options, telemetry, signals).await,
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Runs the daemon.
async fn serve(
    options: daemon::Options,
    telemetry: Telemetry,
    mut signals: StopSignals,
) -> Result<(), ExitCode> {
    let loaded = options.clone();
    let load = async move {
        let config = load_config(&loaded).await?;
        let web_config = load_web_config(&loaded).await?;
        Ok((config, web_config, client().await?))
    };
    let (config, web_config, client) = unless_stopped(&mut signals, stopped_in_order, load).await?;
    let daemon = daemon::run(options, config, web_config, client, telemetry, signals);
    daemon.await.map_err(fail)
}

/// Runs the daemon with simulated providers.
#[cfg(feature = "demo")]
async fn demo(
    options: daemon::Options,
    telemetry: Telemetry,
    mut signals: StopSignals,
    seed: u64,
    poll_interval: Duration,
) -> Result<(), ExitCode> {
    let loaded = options.clone();
    let load = async move { load_web_config(&loaded).await };
    let web_config = unless_stopped(&mut signals, stopped_in_order, load).await?;
    let demo = demo::run(options, web_config, telemetry, signals, seed, poll_interval);
    demo.await.map_err(fail)
}

/// Runs a command other than the daemon. Tokens that are being refreshed are stored before it exits.
async fn finish_or_stop(
    signals: &mut StopSignals,
    renewals: &Renewals,
    work: impl Future<Output = Result<(), ExitCode>> + Send + 'static,
) -> Result<(), ExitCode> {
    let result = unless_stopped(signals, ExitCode::from, work).await;
    renewals.finish().await;
    result
}

/// Runs until the end or a signal. A task of its own, since work can block its thread.
async fn unless_stopped<T: Send + 'static>(
    signals: &mut StopSignals,
    stopped: fn(u8) -> ExitCode,
    work: impl Future<Output = Result<T, ExitCode>> + Send + 'static,
) -> Result<T, ExitCode> {
    let mut tasks = JoinSet::new();
    tasks.spawn(work);
    tokio::select! {
        Some(ended) = tasks.join_next() => ended.unwrap_or_else(|error| Err(fail(error))),
        code = signals.recv() => Err(stopped(code)),
    }
}

/// The exit code of a daemon that a signal stops before it runs.
fn stopped_in_order(_: u8) -> ExitCode {
    ExitCode::SUCCESS
}

/// Checks both configurations and the secrets; asks the providers, too, if `probe` is set.
async fn check(
    options: daemon::Options,
    probe: bool,
    renewals: Renewals,
    telemetry: Telemetry,
) -> Result<(), ExitCode> {
    let config = load_config(&options).await?;
    load_web_config(&options).await?;
    Proxies::from_env().map_err(refuse)?;
    check::values(&config, &options.config_file).await;
    check::certificates().await;
    if let Some(storage) = &options.storage {
        check::storage(storage).await;
    }
    info!(accounts = config.accounts.len(), "the configuration is valid");
    if !probe {
        return Ok(());
    }
    let setup = setup(&options, renewals, &telemetry).await?;
    succeeded(check::probe(config.accounts, setup).await)
}

/// Refuses flags that make no sense with the demo.
#[cfg(feature = "demo")]
fn check_demo(options: &daemon::Options, config_check: bool) -> Result<(), ExitCode> {
    if config_check {
        return Err(refuse(
            "--config.check has no effect on the demo, which has no configuration file",
        ));
    }
    if options.shard.is_some() {
        return Err(refuse("--shard cannot be used with the demo: each demo has its own accounts"));
    }
    Ok(())
}

async fn client() -> Result<Client, ExitCode> {
    let proxies = Proxies::from_env().map_err(refuse)?;
    let client = Client::new(proxies).await;
    client.map_err(anyhow::Error::msg).map_err(fail)
}

async fn setup<'a>(
    options: &daemon::Options,
    renewals: Renewals,
    telemetry: &'a Telemetry,
) -> Result<poll::Setup<'a>, ExitCode> {
    let store = shared(options).await?;
    Ok(poll::Setup { client: client().await?, store, renewals, telemetry })
}

async fn poll(
    options: daemon::Options,
    account: Option<String>,
    renewals: Renewals,
    telemetry: Telemetry,
) -> Result<(), ExitCode> {
    let accounts = accounts(&options, account).await?;
    succeeded(poll::poll(accounts, setup(&options, renewals, &telemetry).await?).await)
}

async fn report(
    options: daemon::Options,
    report: report::Options,
    account: Option<String>,
    stored: bool,
    renewals: Renewals,
    telemetry: Telemetry,
) -> Result<(), ExitCode> {
    let accounts = accounts(&options, account).await?;
    if stored {
        let mut storage = options.storage.iter();
        if let Some(storage) = storage.find(|storage| !storage.is_dir()) {
            return Err(refuse(format!("{STORAGE}: {} is not a directory", storage.display())));
        }
        let store =
            shared(&options).await?.ok_or_else(|| refuse("--stored needs --storage.path"))?;
        return succeeded(report::stored(report, accounts, &store).await);
    }
    let setup = setup(&options, renewals, &telemetry).await?;
    succeeded(report::polled(report, accounts, setup).await)
}

async fn backfill(
    options: daemon::Options,
    backfill: backfill::Options,
    account: Option<String>,
    renewals: Renewals,
    telemetry: Telemetry,
) -> Result<(), ExitCode> {
    let accounts = accounts(&options, account).await?;
    let setup = setup(&options, renewals, &telemetry).await?;
    succeeded(backfill::backfill(backfill, accounts, setup).await)
}

async fn cost(
    options: daemon::Options,
    wanted: cost::Options,
    account: Option<String>,
) -> Result<(), ExitCode> {
    // nothing is refreshed, so stated campaigns need no storage for tokens
    let stated = wanted.campaigns.map(|_| PathBuf::new());
    let storage = options.storage.clone().or(stated);
    let accounts = accounts(&daemon::Options { storage, ..options.clone() }, account).await?;
    let store = match wanted.campaigns {
        Some(_) => None,
        None => Some(shared(&options).await?.ok_or_else(|| {
            refuse("cost needs --campaigns N, or the --storage.path of a running exporter")
        })?),
    };
    succeeded(cost::cost(wanted, accounts, store.as_ref()).await)
}

/// The accounts of the configuration, or one of them.
async fn accounts(
    options: &daemon::Options,
    only: Option<String>,
) -> Result<Vec<Account>, ExitCode> {
    let mut config = load_config(options).await?;
    if let Some(name) = only {
        if config.accounts.iter().all(|account| account.name != name) {
            return Err(refuse_account(&config, &name));
        }
        config.accounts.retain(|account| account.name == name);
    }
    Ok(config.accounts)
}

/// The exit code of a command that returns whether all accounts could be read.
fn succeeded(done: anyhow::Result<bool>) -> Result<(), ExitCode> {
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(ExitCode::from(FAILED)),
        Err(error) => Err(fail(error)),
    }
}

/// The store, if there is one.
async fn shared(options: &daemon::Options) -> Result<Option<Arc<Store>>, ExitCode> {
    match &options.storage {
        Some(storage) => share(storage.clone()).await.map(Some),
        None => Ok(None),
    }
}

async fn authorize(options: daemon::Options, name: String) -> Result<(), ExitCode> {
    let config = load_config(&options).await?;
    let mut accounts = config.accounts.iter();
    let Some(account) = accounts.find(|account| account.name == name) else {
        return Err(refuse_account(&config, &name));
    };
    let Some(storage) = options.storage else {
        return Err(refuse("authorize needs --storage.path, set to that of the running exporter"));
    };
    let store = share(storage).await?;
    let authorized = authorize::authorize(account, client().await?, &store);
    authorized.await.map_err(fail)
}

async fn share(storage: PathBuf) -> Result<Arc<Store>, ExitCode> {
    let store = store::in_time(storage.clone(), move || Store::share(&storage)).await;
    let store = store.map(Arc::new).context(STORAGE);
    store.map_err(fail)
}

/// Loads the configuration, reduced to the accounts of the shard.
async fn load_config(options: &daemon::Options) -> Result<Config, ExitCode> {
    let storage = options.storage.as_deref();
    let config = Config::load(&options.config_file, &options.kinds, storage).await;
    let config = config.map_err(refuse)?.of_shard(options.shard);
    daemon::log_warnings(&config);
    if let Some(shard) = options.shard {
        let (accounts, elsewhere) = (config.accounts.len(), config.elsewhere.len());
        info!(%shard, accounts, elsewhere, "reading only the accounts of this shard");
    }
    Ok(config)
}

/// Loads the web configuration, for the commands that have a web server.
async fn load_web_config(options: &daemon::Options) -> Result<WebConfig, ExitCode> {
    let Some(path) = options.web_config_file.clone() else {
        return Ok(WebConfig::default());
    };
    let load = tokio::task::spawn_blocking(move || WebConfig::load(&path));
    let Ok(loaded) = tokio::time::timeout(WEB_CONFIG_TIMEOUT, load).await else {
        let seconds = WEB_CONFIG_TIMEOUT.as_secs();
        return Err(refuse(format!("{} cannot be read within {seconds} s", reading::hung())));
    };
    let web_config = match loaded {
        // the program ends, and so does the caller
        Err(error) if error.is_cancelled() => future::pending().await,
        loaded => loaded.map_err(fail)?.map_err(refuse)?,
    };
    gate::log_warnings(&web_config);
    Ok(web_config)
}

/// Prints what is wrong with the command line, or the help. A secret can be among the arguments.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    match guess::hide(&text) {
        Cow::Owned(clean) if error.use_stderr() => {
            eprint!("{clean}");
            ExitCode::from(BAD_CONFIGURATION)
        }
        _ => error.exit(),
    }
}

/// Logs what is wrong with the command line or the configuration, line by line.
fn refuse(problems: impl Display) -> ExitCode {
    for problem in guess::hide(&problems.to_string()).lines() {
        error!("{problem}");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

/// Logs why there is no such account.
fn refuse_account(config: &Config, account: &str) -> ExitCode {
    if let Some(owner) = config.elsewhere.get(account) {
        // its tokens and request counts belong in that shard's storage
        error!(account, %owner, "another shard reads this account: run the command there");
    } else {
        let account = guess::hide(account);
        let accounts = config.accounts.iter().map(|account| &*account.name);
        let accounts = accounts.collect::<Vec<_>>().join(", ");
        error!(%account, %accounts, "the configuration has no such account");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

/// Runs a command on definitions. Problems go to standard error as they are: they are what was asked for.
async fn define(command: DefinitionCommand) -> Result<(), ExitCode> {
    let done = match command {
        DefinitionCommand::Check { files } => definition::check(&files).await,
        DefinitionCommand::Try { definition, answers, settings } => {
            definition::try_answers(&definition, &answers, &settings).await
        }
        DefinitionCommand::List => definition::list(),
        DefinitionCommand::Show { name } => definition::show(&name),
    };
    done.map_err(|error| complain(&format!("{error:#}")))
}

#[expect(clippy::print_stderr, reason = "the answer of a command, not a log line")]
fn complain(message: &str) -> ExitCode {
    eprintln!("{}", guess::hide(message));
    ExitCode::from(FAILED)
}

/// Logs why the program failed at run time.
fn fail(error: impl Into<anyhow::Error>) -> ExitCode {
    let error = error.into();
    error!(error = %guess::hide(&format!("{error:#}")), "failed");
    ExitCode::from(FAILED)
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn cannot_start(error: &dyn Display) -> ExitCode {
    eprintln!("cannot start: {error}");
    ExitCode::from(FAILED)
}
