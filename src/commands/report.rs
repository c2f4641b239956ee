//! The `report` command: the campaigns of a period as a file for readers or spreadsheets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use clap::ValueEnum;
use tracing::{Instrument, warn};

use crate::commands::output;
use crate::commands::poll::{self, Setup};
use crate::config::Account;
use crate::polling::poller::restore::last_known;
use crate::report::document::{Document, newest};
use crate::report::filter::Filter;
use crate::report::record::Fields;
use crate::report::{csv, markdown};
use crate::state::campaigns::{AccountCampaigns, campaigns};
use crate::state::snapshot::{Change, ConfiguredAccount, Generation, Snapshot};
use crate::storage::record;
use crate::storage::store::Store;
use crate::web::pages;

/// What to report, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The length of the period.
    pub period: Duration,
    /// The format.
    pub format: ReportFormat,
    /// The file to write instead of standard output.
    pub output: Option<PathBuf>,
}

/// Format of a report.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ReportFormat {
    /// A page of its own.
    Html,
    /// All campaigns, for spreadsheets.
    Csv,
    /// Markdown.
    Md,
}

/// Polls the accounts once and reports on their campaigns. Returns whether all polls succeeded.
pub async fn polled(
    options: Options,
    mut accounts: Vec<Account>,
    setup: Setup<'_>,
) -> anyhow::Result<bool> {
    for account in &mut accounts {
        // with the period before
        let lookback = &mut account.polling.lookback;
        *lookback = (*lookback).max(options.period.saturating_mul(2));
    }
    let (snapshot, failed) = poll::snapshot(accounts, setup).await?;
    write(options, &snapshot, failed).await
}

/// Reports on the campaigns that a running exporter has stored. Returns whether there are some of all
/// accounts.
pub async fn stored(
    options: Options,
    accounts: Vec<Account>,
    store: &Arc<Store>,
) -> anyhow::Result<bool> {
    let mut configured = Vec::new();
    let mut failed = Vec::new();
    for account in accounts {
        let (source, span) = (account.provider.source(), account.span());
        let stored = record::load(store, &account.name, &source).instrument(span.clone()).await;
        let poll_interval = account.polling.poll_interval;
        let restored = span.in_scope(|| last_known(&account, &stored, poll_interval));
        if restored.as_ref().is_none_or(|known| known.data.is_none()) {
            warn!(account = account.name, "no campaigns are stored, or they are stale");
            failed.push(account.name.clone());
        }
        let generation = Generation::default();
        configured.push(ConfiguredAccount { generation, account, poll_interval, restored });
    }
    let mut snapshot = Snapshot::default();
    snapshot.apply(Change::Configured(configured));
    write(options, &snapshot, failed).await
}

async fn write(options: Options, snapshot: &Snapshot, failed: Vec<String>) -> anyhow::Result<bool> {
    let all_succeeded = failed.is_empty();
    let accounts = campaigns(snapshot);
    let report = render(&options, &accounts, failed)?;
    output::write(options.output, move |out| out.write_all(&report)).await?;
    Ok(all_succeeded)
}

fn render(
    options: &Options,
    accounts: &[AccountCampaigns],
    failed: Vec<String>,
) -> anyhow::Result<Vec<u8>> {
    let (period, now) = (options.period, Utc::now());
    let document = || Document::of(accounts, period, now, failed);
    Ok(match options.format {
        ReportFormat::Html => pages::report::page(&document()).into_bytes(),
        ReportFormat::Md => markdown::render(&document())?.into_bytes(),
        ReportFormat::Csv => {
            let filter = Filter { period: Some(period), ..Filter::default() };
            let fields = Fields::of(accounts);
            let rows = newest(accounts, &filter, now).into_iter();
            [csv::header(&fields)?, csv::rows(&fields, rows)?].concat()
        }
    })
}
