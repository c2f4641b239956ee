//! The program: parses the command line, checks the configuration, and runs a command.

use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::cli::{Cli, Command};
#[cfg(feature = "demo")]
use campaign_exporter::commands::demo;
use campaign_exporter::commands::{authorize, daemon, poll};
use campaign_exporter::config::{Config, ConfigError};
use campaign_exporter::storage::store::Store;
use campaign_exporter::upstream::client::Client;
use campaign_exporter::upstream::proxies::Proxies;
use campaign_exporter::web::gate;
use campaign_exporter::web::protection::configuration::{WebConfig, WebConfigError};
use campaign_exporter::{logging, provider};
use clap::Parser;
use tracing::{error, info};

/// Exit code of a failure at run time.
const FAILED: u8 = 1;
/// Exit code of a bad command line or configuration. clap uses the same one.
const BAD_CONFIGURATION: u8 = 2;

/// How long blocking work, such as a DNS lookup, may delay the exit.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&error),
    };
    let result = runtime.block_on(run());
    // dropping it would wait forever for a hung lookup or file
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    result.err().unwrap_or(ExitCode::SUCCESS)
}

/// Runs the command. The reason for another exit code than 0 is logged.
async fn run() -> Result<(), ExitCode> {
    let Cli { options, command } = Cli::parse();
    logging::init(options.log_level, options.log_format).map_err(|error| cannot_start(&error))?;
    let daemon_options = daemon::Options {
        kinds: provider::native(),
        config_file: options.config_file.clone(),
        storage: options.storage(),
        listen: options.listen(),
        web_config_file: options.web_config(),
        telemetry_path: options.telemetry_path,
        lifecycle: options.lifecycle,
        shard: options.shard,
    };
    #[cfg(feature = "demo")]
    if let Some(Command::Demo {
        seed,
        poll_interval,
    }) = command
    {
        let config_check = options.config_check;
        return demo(daemon_options, config_check, seed, poll_interval).await;
    }

    let config = load_config(&daemon_options).map_err(refuse)?;
    let proxies = Proxies::from_env().map_err(refuse)?;
    if options.config_check {
        load_web_config(&daemon_options).map_err(refuse)?;
        info!(
            accounts = config.accounts.len(),
            "the configuration is valid"
        );
        return Ok(());
    }
    let client = Client::new(proxies);
    let client = client.map_err(anyhow::Error::msg).map_err(fail)?;
    match command {
        Some(Command::Poll { account }) => poll(daemon_options, config, client, account).await,
        Some(Command::Authorize { account }) => {
            authorize(daemon_options, config, client, &account).await
        }
        _ => {
            let web_config = load_web_config(&daemon_options).map_err(refuse)?;
            let daemon = daemon::run(daemon_options, config, web_config, client);
            daemon.await.map_err(fail)
        }
    }
}

#[cfg(feature = "demo")]
async fn demo(
    options: daemon::Options,
    config_check: bool,
    seed: u64,
    poll_interval: Duration,
) -> Result<(), ExitCode> {
    if config_check {
        return Err(refuse(
            "--config.check has no effect on the demo, which has no configuration file",
        ));
    }
    if options.shard.is_some() {
        return Err(refuse(
            "--shard cannot be used with the demo: each demo has its own accounts",
        ));
    }
    let web_config = load_web_config(&options).map_err(refuse)?;
    let demo = demo::run(options, web_config, seed, poll_interval);
    demo.await.map_err(fail)
}

async fn poll(
    options: daemon::Options,
    mut config: Config,
    client: Client,
    account: Option<String>,
) -> Result<(), ExitCode> {
    if let Some(name) = account {
        config.accounts.retain(|account| account.name == name);
        if config.accounts.is_empty() {
            return Err(refuse_account(&config, &name));
        }
    }
    let store = options.storage.as_deref().map(Store::share).transpose();
    let store = store.map_err(fail)?.map(Arc::new);
    match poll::poll(config.accounts, client, store, options.flags()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(ExitCode::from(FAILED)),
        Err(error) => Err(fail(error)),
    }
}

async fn authorize(
    options: daemon::Options,
    config: Config,
    client: Client,
    name: &str,
) -> Result<(), ExitCode> {
    let mut accounts = config.accounts.iter();
    let Some(account) = accounts.find(|account| account.name == name) else {
        return Err(refuse_account(&config, name));
    };
    let Some(storage) = options.storage else {
        return Err(refuse(
            "authorize needs --storage.path, set to that of the running exporter",
        ));
    };
    let store = Arc::new(Store::share(&storage).map_err(fail)?);
    let authorized = authorize::authorize(account, client, &store);
    authorized.await.map_err(fail)
}

/// Loads the configuration, reduced to the accounts of the shard.
fn load_config(options: &daemon::Options) -> Result<Config, ConfigError> {
    let storage = options.storage.as_deref();
    let config = Config::load(&options.config_file, &options.kinds, storage)?;
    let config = config.of_shard(options.shard);
    daemon::log_warnings(&config);
    if let Some(shard) = options.shard {
        let (accounts, elsewhere) = (config.accounts.len(), config.elsewhere.len());
        info!(%shard, accounts, elsewhere, "reading only the accounts of this shard");
    }
    Ok(config)
}

/// Loads the web configuration, for the commands that have a web server.
fn load_web_config(options: &daemon::Options) -> Result<WebConfig, WebConfigError> {
    let Some(path) = &options.web_config_file else {
        return Ok(WebConfig::default());
    };
    let web_config = WebConfig::load(path)?;
    gate::log_warnings(&web_config);
    Ok(web_config)
}

/// Logs what is wrong with the command line or the configuration, line by line.
fn refuse(problems: impl Display) -> ExitCode {
    for problem in problems.to_string().lines() {
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
        error!(account, "no account of this name in the configuration");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

/// Logs why the program failed at run time.
fn fail(error: impl Into<anyhow::Error>) -> ExitCode {
    let error = error.into();
    error!(error = format!("{error:#}"), "stopped");
    ExitCode::from(FAILED)
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn cannot_start(error: &dyn Display) -> ExitCode {
    eprintln!("cannot start: {error}");
    ExitCode::from(FAILED)
}
