//! The `poll` command: polls every account once and prints the exposition to standard output.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, info, warn};

use crate::config::Account;
use crate::exposition::families;
use crate::exposition::format::{Format, Writer};
use crate::polling::poller::restore::{configure, connect};
use crate::polling::poller::turn::{Scope, Turn};
use crate::polling::poller::{Outcome, Poller, Progress};
use crate::state::snapshot::{Change, Generation, Snapshot};
use crate::storage::store::Store;
use crate::telemetry::Telemetry;
use crate::upstream::applications::Applications;
use crate::upstream::auth::renewals::Renewals;
use crate::upstream::client::Client;

/// What polls need besides their accounts.
pub struct Setup<'a> {
    /// Sends the requests.
    pub client: Client,
    /// Keeps tokens and what polls have learned, if there is a storage directory.
    pub store: Option<Arc<Store>>,
    /// What the token renewals of all accounts share.
    pub renewals: Renewals,
    /// Counts requests and polls.
    pub telemetry: &'a Telemetry,
}

/// Polls the accounts concurrently, each with a full read. Returns whether all polls succeeded.
pub async fn poll(accounts: Vec<Account>, setup: Setup<'_>) -> anyhow::Result<bool> {
    let telemetry = setup.telemetry;
    let (snapshot, failed) = snapshot(accounts, setup).await?;
    print(&snapshot, telemetry).context("cannot write to standard output")?;
    Ok(failed.is_empty())
}

/// Polls the accounts concurrently, each with a full read. Returns what they found, and the names of the
/// accounts whose poll failed.
pub(super) async fn snapshot(
    accounts: Vec<Account>,
    setup: Setup<'_>,
) -> anyhow::Result<(Snapshot, Vec<String>)> {
    let mut snapshot = Snapshot::of(&accounts);
    let mut polls = start(accounts, Scope::Full, setup).await?;
    let mut failed = Vec::new();
    while let Some(ended) = polls.join_next().await {
        let (poller, outcome) = ended.context("a poll panicked")?;
        if outcome.result.is_err() {
            failed.push(poller.account.name.clone());
        }
        poller.count(outcome.failure());
        report(&poller.account, &outcome)?;
        let interval = poller.account.polling.poll_interval;
        let update = poller.update(outcome, Instant::now(), interval);
        snapshot.apply(Change::Polled(Box::new(update)));
    }
    failed.sort_unstable();
    Ok((snapshot, failed))
}

/// Starts a poll of each account.
pub(super) async fn start(
    accounts: Vec<Account>,
    scope: Scope,
    setup: Setup<'_>,
) -> anyhow::Result<JoinSet<(Poller, Outcome)>> {
    let Setup { client, store, renewals, telemetry } = setup;
    let mut applications = Applications::new(store.clone(), renewals);
    configure(&mut applications, &accounts).await;
    let mut polls = JoinSet::new();
    let mut telemetries = Vec::new();
    for account in accounts {
        let (telemetry, access) =
            connect(&account, &applications, store.clone(), telemetry.has_request_durations())?;
        telemetries.push(telemetry.clone());
        let mut poller = Poller {
            account,
            generation: Generation::default(),
            client: client.clone(),
            telemetry,
            access,
            progress: Progress::default(),
        };
        let span = poller.account.span();
        let poll = async move {
            let turn = match scope {
                Scope::Full => poller.turn().await,
                Scope::Recent => Turn::recent(),
            };
            let outcome = poller.poll(turn).await;
            (poller, outcome)
        };
        polls.spawn(poll.instrument(span));
    }
    telemetry.set_accounts(telemetries);
    Ok(polls)
}

/// Prints the exposition to standard output.
fn print(snapshot: &Snapshot, telemetry: &Telemetry) -> io::Result<()> {
    let mut writer = Writer::new(Format::Text);
    writer.families(&telemetry.gather());
    let exposition = families::render(snapshot, Format::Text) + &writer.into_string();
    let mut stdout = io::stdout().lock();
    stdout.write_all(exposition.as_bytes())?;
    stdout.flush()
}

/// Reports the outcome: a line on a terminal, otherwise log events.
fn report(account: &Account, outcome: &Outcome) -> anyhow::Result<()> {
    let name = &account.name;
    if !io::stderr().is_terminal() {
        match &outcome.result {
            Ok((_, problems)) if problems.is_empty() => {
                if outcome.older > 0 {
                    let older = outcome.older;
                    info!(
                        account = name,
                        older, "campaigns are older than the lookback and left out"
                    );
                }
            }
            Ok((_, problems)) => warn!(account = name, %problems, "values could not be read"),
            Err(error) => {
                let (reason, advice) = (error.reason.as_str(), account.advice(error));
                warn!(account = name, reason, %error, advice, "poll failed");
            }
        }
        return Ok(());
    }
    let took = outcome.took.as_secs_f64();
    let line = match &outcome.result {
        Ok((data, problems)) => {
            let campaigns = data.campaigns.len();
            let mut line = format!("{name}: {campaigns} campaigns in {took:.1} s");
            if outcome.older > 0 {
                let older = outcome.older;
                line = format!("{line}; {older} are older than the lookback and left out");
            }
            if !problems.is_empty() {
                line = format!("{line}; could not read {problems}");
            }
            line
        }
        Err(error) => format!(
            "{name}: failed after {took:.1} s ({}): {error}\n  {}",
            error.reason.as_str(),
            account.advice(error)
        ),
    };
    writeln!(io::stderr(), "{line}").context("cannot write to standard error")
}
