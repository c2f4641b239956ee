//! `--config.check`: what can be wrong with a valid configuration.

use std::path::Path;

use anyhow::Context;
use tracing::{info, warn};

use crate::commands::STORAGE;
use crate::commands::poll::{self, Setup};
use crate::config::{Account, Config};
use crate::polling::poller::turn::Scope;
use crate::redaction::guess;
use crate::storage::store::{self, Store};
use crate::upstream::client;

/// Warns of each secret that cannot be read, which may exist only where the exporter runs, and of values
/// that are hardly meant.
pub async fn values(config: &Config, file: &Path) {
    let file = file.display().to_string();
    let file = guess::hide(&file);
    for problem in config.doubts().await {
        warn!("{file}:{problem}");
    }
}

/// Warns of variables that name no certificates of trusted authorities.
pub async fn certificates() {
    for problem in client::trust_doubts().await {
        warn!("{problem}");
    }
}

/// Warns of a storage directory that this user cannot use: another one may run the exporter.
pub async fn storage(directory: &Path) {
    let path = directory.to_path_buf();
    let check = store::in_time(path.clone(), move || Store::check(&path));
    if let Err(error) = check.await {
        warn!("{STORAGE}: {error}");
    }
}

/// Asks the provider of each account for its recent campaigns. Returns whether all answered.
pub async fn probe(accounts: Vec<Account>, setup: Setup<'_>) -> anyhow::Result<bool> {
    let mut polls = poll::start(accounts, Scope::Recent, setup).await?;
    let mut all_answered = true;
    while let Some(ended) = polls.join_next().await {
        let (poller, outcome) = ended.context("a poll panicked")?;
        let account = &poller.account.name;
        match &outcome.result {
            Ok((data, _)) => {
                let campaigns = data.campaigns.len();
                info!(account, campaigns, "the provider accepts the credentials");
                let missing = poller.account.provider.missing(&data.campaigns).join(", ");
                if !missing.is_empty() {
                    warn!(account, missing, "no campaign has a value for paths of the definition");
                }
            }
            Err(error) => {
                let reason = error.reason.as_str();
                let advice = poller.account.advice(error);
                warn!(account, reason, %error, advice, "the provider cannot be read");
            }
        }
        all_answered &= outcome.result.is_ok();
    }
    Ok(all_answered)
}
