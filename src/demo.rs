//! The `demo` command: the daemon, polling simulated providers in the same process.
//!
//! Only the providers are simulated. Configuration, tokens, polling and HTTP are what they are for
//! an account.

use std::path::Path;

use anyhow::Context;
use chrono::Utc;
use serde_json::json;
use tempfile::TempDir;

use crate::campaign::InfoLabel;
use crate::config::Config;
use crate::daemon;
use crate::simulator::{Api, Simulator, State, World};

/// What the simulated providers accept. It opens nothing else.
const TOKEN: &str = "demo-token";

/// Runs until it is told to stop. The campaigns are the same for the same seed and moment.
pub async fn run(options: daemon::Options, seed: u64) -> anyhow::Result<()> {
    let started = Utc::now();
    let simulate =
        |api: Api| Simulator::start(api, State::new(TOKEN, World::new(api, seed, started)));
    let constant_contact = simulate(Api::ConstantContact).await;
    let constant_contact = constant_contact.context("cannot simulate Constant Contact")?;
    let cinnox = simulate(Api::Cinnox)
        .await
        .context("cannot simulate CINNOX")?;
    let smsup = simulate(Api::Smsup)
        .await
        .context("cannot simulate SMSUp")?;

    let folder = TempDir::with_prefix("campaign_exporter_demo_");
    let folder = folder.context("cannot make a folder for the demo's configuration")?;
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, TOKEN).context("cannot write the demo's token")?;
    let config_file = folder.path().join("campaign_exporter.yml");
    let yaml = config(&token_file, &constant_contact, &cinnox, &smsup);
    std::fs::write(&config_file, yaml).context("cannot write the demo's configuration")?;

    // not logged: that a poll interval is short is the point of the demo
    let config = Config::load(&config_file, None)?;
    // a proxy from the environment leads away from this machine, and without TLS there is no need
    // for the certificates that a small image lacks
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let client = crate::provider::client(client)?;
    daemon::run(
        daemon::Options {
            config_file,
            // what these providers say is good for one run only
            storage: None,
            ..options
        },
        config,
        client,
    )
    .await
}

/// The demo's configuration. JSON is YAML, too, and takes any path as it is.
fn config(
    token_file: &Path,
    constant_contact: &Simulator,
    cinnox: &Simulator,
    smsup: &Simulator,
) -> String {
    let labels: Vec<&str> = InfoLabel::WORDS.iter().map(|(word, _)| *word).collect();
    let config = json!({
        "global": {
            "poll_interval": "5s",
            "info_labels": labels,
            // a provider of one's own has no quota
            "requests_per_second": 1_000,
            "requests_per_day": 1_000_000,
        },
        "accounts": [
            {
                "name": "spring-us",
                "provider": "constant_contact",
                "base_url": constant_contact.base_url(),
                "access_token_file": token_file,
            },
            {
                "name": "desk-hk",
                "provider": "cinnox",
                "base_url": cinnox.base_url(),
                "app_id": "demo-app",
                "token_file": token_file,
            },
            {
                "name": "shoes-ch",
                "provider": "smsup",
                "base_url": smsup.base_url(),
                "token_file": token_file,
            },
        ],
    });
    config.to_string()
}
