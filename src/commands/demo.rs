//! The `demo` command: the daemon, polling simulated providers in the same process.
//!
//! Only the providers are simulated. Configuration, tokens, polling and HTTP are those of a real
//! account.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use campaign_simulator::{Simulator, State, World};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::campaign::sent_time::{SENT_HOUR, SENT_WEEKDAY};
use crate::commands::daemon;
use crate::commands::signals::StopSignals;
use crate::config::Config;
use crate::document::duration_text;
use crate::provider::{Kind, Kinds, native};
use crate::telemetry::Telemetry;
use crate::upstream::client::Client;
use crate::web::protection::configuration::WebConfig;

/// The token that the simulated providers accept.
const TOKEN: &str = "demo-token";

/// Simulated providers and a configuration that reads them.
#[derive(Debug)]
pub struct Providers {
    /// The running APIs, one per account, in the order of the accounts.
    pub simulators: Vec<Simulator>,
    /// The configuration.
    pub config: Config,
    /// The HTTP client that reaches the providers.
    pub client: Client,
    /// Removed when dropped.
    folder: TempDir,
}

impl Providers {
    /// Starts one account per provider. Its campaigns depend on the seed and the moment only.
    pub async fn start(
        kinds: &Kinds,
        seed: u64,
        started: DateTime<Utc>,
        poll_interval: Duration,
    ) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("campaign_exporter_demo_");
        let folder = folder.context("cannot create a folder for the demo's configuration")?;
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, TOKEN).context("cannot write the demo's token")?;
        let mut simulators = Vec::new();
        let mut accounts = Vec::new();
        let simulated = kinds.iter().filter_map(|kind| Some((kind, kind.simulated?)));
        for (kind, api) in simulated {
            let state = State::new(TOKEN, World::new(api, seed, started));
            let simulator = Simulator::start(api, state).await;
            let simulator = simulator.with_context(|| format!("cannot simulate {}", kind.name))?;
            let mut account = api.account(&simulator.base_url(), &token_file);
            if let Some(keys) = account.as_object_mut() {
                keys.insert("name".to_owned(), json!(kind.demo_account));
                keys.extend(limits(kind));
            }
            accounts.push(account);
            simulators.push(simulator);
        }
        let config = config(kinds, poll_interval, &accounts);
        std::fs::write(config_file(folder.path()), config)
            .context("cannot write the demo's configuration")?;
        // its warnings are not logged: short poll intervals are the point of the demo
        let config = Config::load(&config_file(folder.path()), kinds, None).await?;
        Ok(Self {
            simulators,
            config,
            client: Client::local().map_err(anyhow::Error::msg)?,
            folder,
        })
    }
}

/// The providers with these names; without names, those in code.
pub fn shown(kinds: &Kinds, names: &[String]) -> Kinds {
    if names.is_empty() {
        return native();
    }
    let is_shown = |kind: &&Arc<Kind>| names.iter().any(|name| **name == *kind.name);
    kinds.iter().filter(is_shown).map(Arc::clone).collect()
}

/// Runs until it is told to stop.
pub async fn run(
    options: daemon::Options,
    web_config: WebConfig,
    telemetry: Telemetry,
    signals: StopSignals,
    seed: u64,
    poll_interval: Duration,
) -> anyhow::Result<()> {
    let Providers {
        // both held for their `Drop`
        simulators: _simulators,
        folder,
        config,
        client,
    } = Providers::start(&options.kinds, seed, Utc::now(), poll_interval).await?;
    let options = daemon::Options {
        config_file: config_file(folder.path()),
        // what these providers say is valid for one run only
        storage: None,
        ..options
    };
    daemon::run(options, config, web_config, client, telemetry, signals).await
}

/// Keys in place of the published limits, which would slow the demo down.
fn limits(kind: &Kind) -> impl Iterator<Item = (String, Value)> {
    let limits = &kind.limits;
    let keys = [
        ("requests_per_minute", limits.per_minute),
        ("requests_per_hour", limits.per_hour),
        ("requests_per_day", limits.per_day),
    ];
    let published = keys.into_iter().filter(|(_, limit)| limit.is_some());
    published.map(|(key, _)| (key.to_owned(), json!(1_000_000)))
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("campaign_exporter.yml")
}

/// The demo's configuration. JSON is YAML, and quotes any path.
fn config(kinds: &Kinds, poll_interval: Duration, accounts: &[Value]) -> String {
    let labels = kinds.info_labels();
    let labels = labels.iter().map(|label| &**label);
    let labels: Vec<&str> = labels.chain([SENT_HOUR, SENT_WEEKDAY]).collect();
    let config = json!({
        "global": {
            "poll_interval": duration_text(poll_interval),
            "info_labels": labels,
            "credit_price": "0.045 EUR",
            "requests_per_second": 1_000,
        },
        "accounts": accounts,
    });
    config.to_string()
}
