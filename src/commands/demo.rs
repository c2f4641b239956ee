//! The `demo` command: the daemon, polling simulated providers in the same process.
//!
//! Only the providers are simulated. Configuration, tokens, polling and HTTP are what they are for
//! an account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use tempfile::TempDir;

use crate::commands::daemon;
use crate::config::Config;
use crate::document::duration_text;
use crate::provider;
use crate::simulator::{Api, Simulator, State, World};
use crate::web::protection::configuration::WebConfig;

/// What the simulated providers accept. It opens nothing else.
const TOKEN: &str = "demo-token";

/// The simulated providers, and the configuration that reads them.
#[derive(Debug)]
pub struct Providers {
    /// A running API for each account.
    pub simulators: [(Api, Simulator); 3],
    /// The accounts.
    pub config: Config,
    /// What reaches the providers.
    pub client: reqwest::Client,
    /// Removed when dropped.
    folder: TempDir,
}

impl Providers {
    /// Starts them with their worlds. The campaigns are the same for the same seed and moment.
    pub async fn start(
        seed: u64,
        started: DateTime<Utc>,
        poll_interval: Duration,
    ) -> anyhow::Result<Self> {
        let simulate = async |api: Api| {
            let state = State::new(TOKEN, World::new(api, seed, started));
            let simulator = Simulator::start(api, state).await;
            anyhow::Ok((
                api,
                simulator.with_context(|| format!("cannot simulate {api:?}"))?,
            ))
        };
        let simulators = [
            simulate(Api::ConstantContact).await?,
            simulate(Api::Cinnox).await?,
            simulate(Api::Smsup).await?,
        ];

        let folder = TempDir::with_prefix("campaign_exporter_demo_");
        let folder = folder.context("cannot make a folder for the demo's configuration")?;
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, TOKEN).context("cannot write the demo's token")?;
        let yaml = config(&token_file, poll_interval, &simulators);
        std::fs::write(config_file(&folder), yaml)
            .context("cannot write the demo's configuration")?;

        // not logged: that a poll interval is short is the point of the demo
        let config = Config::load(&config_file(&folder), &provider::native(), None)?;
        // a proxy from the environment leads away from this machine, and without TLS there is no
        // need for the certificates that a small image lacks
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        Ok(Self {
            simulators,
            config,
            client: crate::upstream::transport::client(client)?,
            folder,
        })
    }
}

/// Runs until it is told to stop.
pub async fn run(
    options: daemon::Options,
    web_config: WebConfig,
    seed: u64,
    poll_interval: Duration,
) -> anyhow::Result<()> {
    let Providers {
        // both held for their `Drop`
        simulators: _simulators,
        folder,
        config,
        client,
    } = Providers::start(seed, Utc::now(), poll_interval).await?;
    daemon::run(
        daemon::Options {
            config_file: config_file(&folder),
            // what these providers say is good for one run only
            storage: None,
            ..options
        },
        config,
        web_config,
        client,
    )
    .await
}

fn config_file(folder: &TempDir) -> PathBuf {
    folder.path().join("campaign_exporter.yml")
}

/// The demo's configuration. JSON is YAML, too, and takes any path as it is.
fn config(
    token_file: &Path,
    poll_interval: Duration,
    simulators: &[(Api, Simulator); 3],
) -> String {
    let labels: Vec<String> = provider::native()
        .info_labels()
        .iter()
        .map(ToString::to_string)
        .collect();
    let accounts = simulators.each_ref().map(|(api, simulator)| match api {
        Api::ConstantContact => json!({
            "name": "spring-us",
            "provider": "constant_contact",
            "base_url": simulator.base_url(),
            "access_token_file": token_file,
        }),
        Api::Cinnox => json!({
            "name": "desk-hk",
            "provider": "cinnox",
            "base_url": simulator.base_url(),
            "app_id": "demo-app",
            "token_file": token_file,
        }),
        Api::Smsup => json!({
            "name": "shoes-ch",
            "provider": "smsup",
            "base_url": simulator.base_url(),
            "token_file": token_file,
        }),
    });
    let config = json!({
        "global": {
            "poll_interval": duration_text(poll_interval),
            "info_labels": labels,
            // a provider of one's own has no quota
            "requests_per_second": 1_000,
            "requests_per_day": 1_000_000,
        },
        "accounts": accounts,
    });
    config.to_string()
}
