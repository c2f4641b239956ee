//! `--config.check`: what can be wrong with a valid configuration.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tracing::{info, warn};

use crate::commands::poll;
use crate::config::{Account, Config};
use crate::polling::turn::Scope;
use crate::storage::store::Store;
use crate::telemetry::Telemetry;
use crate::upstream::applications::Applications;
use crate::upstream::client::Client;

/// Warns of each secret that cannot be read: it may exist only where the exporter runs.
pub async fn secrets(config: &Config, file: &Path) {
    let file = file.display();
    for problem in config.secret_problems().await {
        warn!("{file}:{problem}");
    }
}

/// Asks the provider of each account for its recent campaigns. Returns whether all answered.
pub async fn probe(
    accounts: Vec<Account>,
    client: Client,
    store: Option<Arc<Store>>,
    flags: String,
    telemetry: &Telemetry,
) -> anyhow::Result<bool> {
    let mut applications = Applications::new(store.clone(), flags);
    super::configure_quotas(&mut applications, &accounts).await;
    let scope = Scope::Recent;
    let mut polls = poll::start(
        accounts,
        scope,
        &client,
        store.as_ref(),
        &applications,
        telemetry,
    )?;
    let mut all_answered = true;
    while let Some(ended) = polls.join_next().await {
        let (poller, outcome) = ended.context("a poll panicked")?;
        let account = &poller.account.name;
        match &outcome.result {
            Ok((data, _)) => {
                let campaigns = data.campaigns.len();
                info!(account, campaigns, "the provider accepts the credentials");
            }
            Err(error) => {
                let reason = error.reason.as_str();
                let advice = poller.account.advice(error.reason);
                warn!(account, reason, %error, advice, "the provider cannot be read");
            }
        }
        all_answered &= outcome.result.is_ok();
    }
    applications.finish().await;
    Ok(all_answered)
}
