//! The `backfill` command: what providers still tell of the past, as OpenMetrics with timestamps.

use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use tracing::{info, warn};

use crate::commands::output;
use crate::commands::poll::{self, Setup};
use crate::config::Account;
use crate::exposition::backfill::{settled, write};

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// How far to read back.
    pub period: Duration,
    /// The file to write instead of standard output.
    pub output: Option<PathBuf>,
    /// The labels `job` and `instance` of the series.
    pub target: [String; 2],
}

/// Polls the accounts once and writes their settled campaigns. Returns whether all polls succeeded.
pub async fn backfill(
    options: Options,
    mut accounts: Vec<Account>,
    setup: Setup<'_>,
) -> anyhow::Result<bool> {
    for account in &mut accounts {
        account.polling.lookback = options.period;
        // a campaign settles while it is young
        account.polling.exported = account.polling.exported.at_any_age();
    }
    let (snapshot, failed) = poll::snapshot(accounts, setup).await?;
    let now = Utc::now();
    for state in snapshot.accounts().filter(|state| !failed.contains(&state.account.name)) {
        let account = &state.account.name;
        let settled = state.campaigns().iter().filter_map(|campaign| settled(campaign, now));
        let (written, oldest) = settled.fold((0, None), |(count, oldest), settled| {
            (count + 1, Some(oldest.map_or(settled, |oldest| settled.min(oldest))))
        });
        let oldest = oldest.map(|oldest| oldest.format("%F").to_string());
        let unsettled = state.campaigns().len() - written;
        info!(account, written, oldest, unsettled, "campaigns that have settled are written");
        let dropped = state.data().map_or(0, |data| data.dropped);
        if dropped > 0 {
            warn!(account, dropped, "older campaigns exceed max_campaigns and are left out");
        }
    }
    let [job, instance] = options.target;
    let content = move |out: &mut dyn std::io::Write| write(out, &snapshot, [&job, &instance], now);
    output::write(options.output, content).await?;
    Ok(failed.is_empty())
}
