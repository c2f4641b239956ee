//! The program: parse, check, run, and say by the exit code how it went.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::cli::{Cli, Command};
use campaign_exporter::commands::{authorize, daemon, demo, poll};
use campaign_exporter::config::Config;
use campaign_exporter::storage::store::Store;
use campaign_exporter::upstream::transport;
use campaign_exporter::web::gate;
use campaign_exporter::web::protection::configuration::{WebConfig, WebConfigError};
use campaign_exporter::{logging, provider};
use clap::Parser;
use tracing::{error, info};

/// Failed at run time.
const FAILED: u8 = 1;
/// Bad command line or configuration; clap uses the same.
const BAD_CONFIGURATION: u8 = 2;

/// How long blocking work, such as a name look-up, may hold the process once all else has ended.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(run());
    // dropping it would wait for ever for a look-up or a file that hangs
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    code
}

async fn run() -> ExitCode {
    let Cli { options, command } = Cli::parse();
    if let Err(error) = logging::init(options.log_level, options.log_format) {
        // there is no log to write this to
        complain(&format!("cannot log: {error}"));
        return ExitCode::from(FAILED);
    }
    let storage = options.storage();
    let kinds = provider::native();
    let daemon_options = daemon::Options {
        kinds: kinds.clone(),
        config_file: options.config_file.clone(),
        storage: storage.clone(),
        listen: options.listen(),
        web_config_file: options.web_config(),
        telemetry_path: options.telemetry_path,
        lifecycle: options.lifecycle,
        shard: options.shard,
    };
    if let Some(Command::Demo {
        seed,
        poll_interval,
    }) = command
    {
        if options.config_check {
            error!("--config.check checks a configuration file, and the demo has none");
            return ExitCode::from(BAD_CONFIGURATION);
        }
        if options.shard.is_some() {
            error!("--shard spreads the accounts of a configuration, and each demo has its own");
            return ExitCode::from(BAD_CONFIGURATION);
        }
        return match web_config(&daemon_options) {
            Ok(web_config) => {
                exit(demo::run(daemon_options, web_config, seed, poll_interval).await)
            }
            Err(problems) => refuse(&problems),
        };
    }

    let mut config = match Config::load(&options.config_file, &kinds, storage.as_deref()) {
        Ok(config) => config.of_shard(options.shard),
        Err(problems) => return refuse(&problems),
    };
    daemon::log_warnings(&config);
    if let Some(shard) = options.shard {
        let (accounts, elsewhere) = (config.accounts.len(), config.elsewhere.len());
        info!(%shard, accounts, elsewhere, "only the accounts of a shard are read");
    }
    if options.config_check {
        if let Err(problems) = web_config(&daemon_options) {
            return refuse(&problems);
        }
        info!(
            accounts = config.accounts.len(),
            "the configuration is good"
        );
        return ExitCode::SUCCESS;
    }
    let client = match transport::client(reqwest::Client::builder()) {
        Ok(client) => client,
        Err(error) => return exit(Err(error.into())),
    };
    match command {
        Some(Command::Poll { account }) => {
            if let Some(name) = account {
                config.accounts.retain(|account| account.name == name);
                if config.accounts.is_empty() {
                    return not_here(&config, &name);
                }
            }
            let flags = daemon_options.flags();
            let store = match storage.as_deref().map(Store::share).transpose() {
                Ok(store) => store,
                Err(error) => return exit(Err(error.into())),
            };
            match poll::poll(config.accounts, client, store.map(Arc::new), flags).await {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(FAILED),
                Err(error) => exit(Err(error)),
            }
        }
        Some(Command::Authorize { account: name }) => {
            let Some(account) = config.accounts.iter().find(|account| account.name == name) else {
                return not_here(&config, &name);
            };
            let Some(folder) = storage else {
                error!("authorize needs --storage.path, where the running exporter has its own");
                return ExitCode::from(BAD_CONFIGURATION);
            };
            match Store::share(&folder) {
                Ok(store) => exit(authorize::authorize(account, client, &Arc::new(store)).await),
                Err(error) => exit(Err(error.into())),
            }
        }
        _ => match web_config(&daemon_options) {
            Ok(web_config) => exit(daemon::run(daemon_options, config, web_config, client).await),
            Err(problems) => refuse(&problems),
        },
    }
}

/// How the web server is protected, for the commands that have one.
fn web_config(options: &daemon::Options) -> Result<WebConfig, WebConfigError> {
    let Some(path) = &options.web_config_file else {
        return Ok(WebConfig::default());
    };
    let web_config = WebConfig::load(path)?;
    gate::log_warnings(&web_config);
    Ok(web_config)
}

fn refuse(problems: &dyn Error) -> ExitCode {
    for problem in problems.to_string().lines() {
        error!("{problem}");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

/// Says why there is no such account.
fn not_here(config: &Config, account: &str) -> ExitCode {
    if let Some(owner) = config.elsewhere.get(account) {
        // its tokens and the count of its requests belong into the other one's storage
        error!(account, %owner, "another shard reads this account: run it there");
    } else {
        error!(account, "the configuration has no account of this name");
    }
    ExitCode::from(BAD_CONFIGURATION)
}

fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "stopped");
            ExitCode::from(FAILED)
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one message that the log cannot take"
)]
fn complain(message: &str) {
    eprintln!("{message}");
}
