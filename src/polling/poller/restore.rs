//! Resuming where an earlier process stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::{Poller, Progress};
use crate::campaign::pool::Campaigns;
use crate::config::Account;
use crate::provider::unchanged::Decoded;
use crate::state::snapshot::{Data, LastKnown, PollStatus};
use crate::storage::record::{DataRecord, StoredAccount};
use crate::storage::store::Store;
use crate::telemetry::AccountTelemetry;
use crate::upstream::applications::Applications;
use crate::upstream::auth::tokens::Access;
use crate::upstream::quota::application::Tenure;
use crate::upstream::{PollError, Reason};

/// Applies the request limits of the accounts to the applications that they share.
pub async fn configure(applications: &mut Applications, accounts: &[Account]) {
    let limits = accounts.iter().map(|account| {
        let limits = account.provider.limits(account.polling.limits());
        let key = account.provider.application(&account.name);
        (account.name.as_str(), key, limits)
    });
    applications.configure(limits).await;
}

/// Returns the metrics, all 0, and the access of an account that did not exist before. The metrics have the
/// durations of its requests if asked for.
pub fn connect(
    account: &Account,
    applications: &Applications,
    store: Option<Arc<Store>>,
    with_durations: bool,
) -> anyhow::Result<(AccountTelemetry, Access)> {
    let (name, provider) = (&account.name, &account.provider);
    let reasons = Reason::ALL.map(Reason::as_str);
    let rates = provider.reported_rates();
    let fields = &provider.kind().fields;
    let telemetry =
        AccountTelemetry::new(provider.name(), name, reasons, rates, fields, with_durations);
    let telemetry = telemetry.with_context(|| format!("cannot count for account {name}"))?;
    let application = applications
        .of(&provider.application(name))
        .with_context(|| format!("account {name} has no application"))?;
    let telemetry = telemetry.with_budget(application.budget());
    Ok((telemetry, Access::new(name, application, applications.renewals().clone(), store)))
}

impl Progress {
    /// The progress of an earlier process.
    pub fn of(stored: StoredAccount) -> Self {
        let last_success = stored.last_success();
        let poll = stored.poll.as_ref();
        let known = stored.data.as_ref().map(|(_, data)| data.history.by_id());
        Self {
            known: known.unwrap_or_default().into(),
            last_full: poll.and_then(|poll| poll.last_full),
            recent_requests: poll.and_then(|poll| poll.recent_requests),
            full_requests: poll.and_then(|poll| poll.full_requests),
            last_poll: poll.map(|poll| poll.ended),
            last_success,
            token_expiry: poll.and_then(|poll| poll.token_expiry),
            data: stored.data.map(|(_, data)| data),
            full_failed: false,
            unsaved: false,
            compared: Campaigns::default(),
            tenure: Tenure::default(),
            decoded: Decoded::default(),
        }
    }
}

impl Poller {
    /// Resumes where another process stopped. Returns what that knew, and the delay of the first
    /// poll.
    pub fn resume(&self, stored: &StoredAccount) -> (Option<LastKnown>, Duration) {
        let interval = self.interval();
        let delay = match self.progress.last_poll {
            Some(last) if !stored.is_due(self.account.polling.lookback) => {
                // a poll in the future says nothing: the clock went back
                let age = (Utc::now() - last).to_std().unwrap_or(interval);
                interval.saturating_sub(age)
            }
            _ => Duration::ZERO,
        };
        (last_known(&self.account, stored, interval), delay)
    }
}

/// What a process that has just started knows about an account. Logs in the span of the account.
pub fn last_known(
    account: &Account,
    stored: &StoredAccount,
    poll_interval: Duration,
) -> Option<LastKnown> {
    let poll = stored.poll.as_ref();
    let data = fresh_data(account, stored, poll_interval);
    if poll.is_none() && data.is_none() {
        return None;
    }
    let polls = polls(stored);
    // an account without data is not up
    Some(LastKnown { polls: PollStatus { up: polls.up && data.is_some(), ..polls }, data })
}

/// How the stored polls went.
pub fn polls(stored: &StoredAccount) -> PollStatus {
    let poll = stored.poll.as_ref();
    PollStatus {
        up: poll.is_some_and(|poll| poll.failure.is_none()),
        last_poll: poll.map(|poll| poll.ended),
        last_success: stored.last_success(),
        poll_duration: poll.map(|poll| poll.took),
        token_expiry: poll.and_then(|poll| poll.token_expiry),
        failure: poll.and_then(|poll| {
            let (reason, message) = poll.failure.as_ref()?;
            Some(PollError::new(Reason::from_label(reason)?, message))
        }),
        stored: poll.map(|_| Ok(())),
    }
}

/// The stored data and its age, unless it is stale.
fn fresh_data(
    account: &Account,
    stored: &StoredAccount,
    poll_interval: Duration,
) -> Option<(Duration, Data)> {
    let (time, record) = stored.data.as_ref()?;
    let Ok(age) = (Utc::now() - time).to_std() else {
        warn!("stored campaigns are from the future and are not used; check the clock");
        return None;
    };
    if age >= account.polling.stale_after(poll_interval) {
        return None;
    }
    let data = exported(account, record, *time, &mut Campaigns::default());
    let (campaigns, age_seconds) = (data.campaigns.len(), age.as_secs());
    info!(campaigns, age_seconds, "serving stored campaigns");
    Some((age, data))
}

/// The part of the data that is exported, with what is usual at the ages of young campaigns. Equal ones of
/// the poll before, `compared`, share their memory.
pub fn exported(
    account: &Account,
    record: &DataRecord,
    now: DateTime<Utc>,
    compared: &mut Campaigns,
) -> Data {
    let (mut campaigns, dropped) = record.history.newest(account.polling.max_campaigns);
    let before = std::mem::take(compared);
    for campaign in &mut campaigns {
        let Some(with_usual) = record.curves.compared(campaign, now) else {
            continue;
        };
        *campaign = match before.get(&campaign.id) {
            Some(same) if **same == with_usual => Arc::clone(same),
            _ => Arc::new(with_usual),
        };
        compared.insert(Arc::clone(campaign));
    }
    let rates = account.provider.reported_rates().iter();
    let reported_ratios = rates.filter_map(|rate| {
        let mut reported = record.reported_ratios.iter();
        let (_, ratio) = reported.find(|(name, _)| **name == **rate)?;
        Some((Arc::clone(rate), *ratio))
    });
    Data {
        campaigns,
        curves: Arc::clone(&record.curves),
        read_since: Some(record.history.full().start),
        dropped,
        credits: record.credits,
        balance: record.balance,
        reported_ratios: reported_ratios.collect(),
        unreadable: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::campaign::Campaign;
    use crate::campaign::Ratio;
    use crate::campaign::counts::{Count, Counts};
    use crate::campaign::curve::Curves;
    use crate::campaign::figures::{Bound, Figure};
    use crate::campaign::history::History;
    use crate::campaign::window::Window;
    use crate::polling::poller::tests::poller;
    use crate::storage::record::PollRecord;

    #[tokio::test]
    async fn a_young_campaign_is_exported_with_what_is_usual() {
        let account = poller().await.account;
        let now = Utc::now();
        let campaigns: Campaigns = (0..8)
            .map(|index| {
                let counts = [(Count::Sends, Some(1_000)), (Count::Deliveries, Some(950))];
                Arc::new(Campaign {
                    id: index.to_string(),
                    last_sent: Some(now - TimeDelta::minutes(50 + 60 * index)),
                    counts: Counts::from(counts),
                    ..Campaign::default()
                })
            })
            .collect();
        let history = History::of_full_read(campaigns, Window::default());
        let mut curves = Curves::default();
        for minutes in (0..480).rev().step_by(5) {
            let at = now - TimeDelta::minutes(minutes);
            let before = Some((&history, at - TimeDelta::minutes(5)));
            curves.observe(before, &history, at);
        }
        let record = DataRecord {
            source: String::new(),
            saved: now,
            history,
            curves: curves.into(),
            credits: None,
            balance: None,
            reported_ratios: Vec::new(),
        };
        let mut compared = Campaigns::default();
        let first = exported(&account, &record, now, &mut compared);
        let usual = Figure::Usual(Ratio::Delivery, Bound::Median);
        let figures = first.campaigns.iter().map(|campaign| campaign.figures.get(usual));
        // only the newest has seven that were sent before
        let figures: Vec<_> = figures.collect();
        assert_eq!(figures, [[Some(0.95)].as_slice(), &[None; 7]].concat());
        let again = exported(&account, &record, now + TimeDelta::minutes(1), &mut compared);
        assert!(
            first
                .campaigns
                .iter()
                .zip(&again.campaigns)
                .all(|(one, other)| Arc::ptr_eq(one, other))
        );
        let later = exported(&account, &record, now + TimeDelta::days(3), &mut compared);
        assert!(later.campaigns.iter().all(|campaign| campaign.figures.get(usual).is_none()));
        assert!(compared.is_empty());
    }

    #[tokio::test]
    async fn the_first_poll_waits_for_the_rest_of_the_interval() {
        let mut poller = poller().await;
        let now = Utc::now();
        let mut record = PollRecord {
            source: poller.account.provider.source(),
            ended: now,
            failure: None,
            took: Duration::ZERO,
            last_success: None,
            token_expiry: None,
            recent_requests: None,
            full_requests: None,
            last_full: None,
            lookback: poller.account.polling.lookback,
            data_saved: None,
        };
        // the last case: the clock went back
        for (minutes_ago, left) in [(0, 5.0), (2, 3.0), (5, 0.0), (500, 0.0), (-1, 0.0)] {
            record.ended = now - TimeDelta::minutes(minutes_ago);
            let stored = StoredAccount { poll: Some(record.clone()), data: None };
            poller.progress = Progress::of(stored.clone());
            let (_, delay) = poller.resume(&stored);
            let minutes = delay.as_secs_f64() / 60.0;
            assert!((minutes - left).abs() < 0.1, "{minutes_ago}: {minutes}");
        }
        // lost data is read again immediately
        record.data_saved = Some(now);
        let stored = StoredAccount { poll: Some(record), data: None };
        assert!(poller.resume(&stored).1.is_zero());
    }
}
