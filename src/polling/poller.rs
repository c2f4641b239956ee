//! Polling: one task per account, never two polls of it at the same time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::campaign::history::History;
use crate::campaign::window::Window;
use crate::config::Account;
use crate::document::duration_text;
use crate::polling::heartbeat::Heartbeat;
use crate::provider::{Problems, Reading};
use crate::state::changes::Changes;
use crate::state::snapshot::{Change, Data, Generation, LastKnown, Update};
use crate::storage::record::{DataRecord, PollRecord, StoredAccount};
use crate::storage::store::{Kind, Store, StoreError};
use crate::telemetry::AccountTelemetry;
use crate::upstream::auth::tokens::Access;
use crate::upstream::quota::application::{Applications, Budget, FullRead, Plan};
use crate::upstream::session::{Session, TokenInUse};
use crate::upstream::{PollError, Reason};

/// Longest poll with all its pages and retries. At Constant Contact's 4 requests a second, 2,000
/// pages take half of this.
const MAX_POLL_DURATION: Duration = Duration::from_mins(15);

/// Retries begin within the poll interval or, where that is shorter, within this.
const LEAST_RETRY_TIME: Duration = Duration::from_secs(30);

/// Longest delay of the first poll, so that many accounts do not all begin at once.
const MAX_SPREAD: Duration = Duration::from_secs(2);

/// How much earlier than the recent campaigns a read of them begins: enough for a provider that
/// filters by another zone than it writes dates in, and for an hour that comes twice in autumn.
const RECENT_MARGIN: TimeDelta = TimeDelta::hours(3);

/// How often a loop is heard of that waits for its turn.
const WAITING_BEAT: Duration = Duration::from_mins(1);

/// How long a full read can be put off for the sake of the recent ones.
const OVERDUE: Duration = Duration::from_hours(24);

/// What one account is polled with.
#[derive(Debug)]
pub struct Poller {
    /// The account.
    pub account: Account,
    /// Which configuration of it this is.
    pub generation: Generation,
    /// The HTTP client of all accounts.
    pub client: reqwest::Client,
    /// Where polls and requests are counted.
    pub telemetry: AccountTelemetry,
    /// Its tokens and its application.
    pub access: Access,
    /// What its polls have found so far.
    pub progress: Progress,
}

/// What the polls of an account have found so far.
#[derive(Debug, Default)]
pub struct Progress {
    data: Option<DataRecord>,
    last_full: Option<DateTime<Utc>>,
    recent_requests: Option<u64>,
    full_requests: Option<u64>,
    last_poll: Option<DateTime<Utc>>,
    last_success: Option<DateTime<Utc>>,
    token_expiry: Option<DateTime<Utc>>,
    /// Whether the last poll was to read all campaigns, and failed.
    full_failed: bool,
    /// Whether the data is newer than what is kept.
    unsaved: bool,
}

impl Progress {
    /// How far an earlier process came.
    pub fn of(restored: StoredAccount) -> Self {
        let last_success = restored.last_success();
        let poll = restored.poll.as_ref();
        Self {
            last_full: poll.and_then(|poll| poll.last_full),
            recent_requests: poll.and_then(|poll| poll.recent_requests),
            full_requests: poll.and_then(|poll| poll.full_requests),
            last_poll: poll.map(|poll| poll.ended),
            last_success,
            token_expiry: poll.and_then(|poll| poll.token_expiry),
            data: restored.data.map(|(_, data)| data),
            full_failed: false,
            unsaved: false,
        }
    }
}

/// What one poll came to.
#[derive(Debug)]
pub struct Outcome {
    /// What it found, with the values that could not be read, or why it failed.
    pub result: Result<(Data, Problems), PollError>,
    /// Which campaigns were asked for.
    pub read: Read,
    /// How long it took.
    pub took: Duration,
    /// Whether it found anything that was not known.
    pub changed: bool,
}

impl Outcome {
    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<Reason> {
        self.result.as_ref().err().map(|error| error.reason)
    }
}

/// The right to poll now.
#[derive(Debug)]
pub struct Turn {
    read: Read,
    _full_read: Option<FullRead>,
}

/// Which campaigns a poll asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Those of the whole lookback.
    Full,
    /// Those whose numbers still move.
    Recent,
}

impl Poller {
    /// Polls once, when it is its turn. Counting it is left to [`Poller::count`].
    pub async fn poll(&mut self, turn: Turn) -> Outcome {
        let begin = Instant::now();
        let now = Utc::now();
        let polling = &self.account.polling;
        let session = Session::new(
            self.client.clone(),
            polling.request_timeout,
            begin
                + polling
                    .poll_interval
                    .clamp(LEAST_RETRY_TIME, MAX_POLL_DURATION),
            self.telemetry.clone(),
            Arc::clone(self.access.application()),
        );
        let read = turn.read;
        let window = match read {
            Read::Full => window(now, polling.lookback),
            Read::Recent => Window {
                start: self.recent_start(now),
                now,
            },
        };
        let known = self.progress.data.as_ref();
        let known = known.map(|data| data.history.by_id());
        let known = Arc::new(known.unwrap_or_default());
        let reading = self
            .account
            .provider
            .read_campaigns(&session, &self.access, window, &known);
        let reading = tokio::time::timeout(MAX_POLL_DURATION, reading).await;
        let reading = reading.unwrap_or_else(|_| {
            let limit = duration_text(MAX_POLL_DURATION);
            Err(PollError::new(
                Reason::Timeout,
                format!("the poll took longer than {limit}"),
            ))
        });
        if let TokenInUse::Until(expiry) = session.token() {
            self.progress.token_expiry = expiry;
        }
        let mut changed = false;
        self.progress.full_failed = read == Read::Full && reading.is_err();
        let result = reading.map(|reading| {
            let requests = session.requests();
            match read {
                Read::Full => self.progress.full_requests = Some(requests),
                Read::Recent => self.progress.recent_requests = Some(requests),
            }
            let (data, problems);
            (data, problems, changed) = self.take(reading, read, window);
            self.plan();
            (data, problems)
        });
        let ended = Utc::now();
        self.progress.last_poll = Some(ended);
        if result.is_ok() {
            self.progress.last_success = Some(ended);
        }
        Outcome {
            result,
            read,
            took: begin.elapsed(),
            changed,
        }
    }

    /// Counts a poll by why it failed, if it did. This is done once its data is shown, so that no
    /// scrape has the counter of one poll with the data of an earlier one.
    pub fn count(&self, failure: Option<Reason>) {
        match failure {
            None => self.telemetry.poll_succeeded(),
            Some(reason) => self.telemetry.poll_failed(reason.as_str()),
        }
    }

    /// Waits until the account may be polled. Where all of its campaigns are to be read, that may take
    /// a while: other accounts of the application have their turns, too.
    pub async fn turn(&self) -> Turn {
        if let Some(turn) = self.turn_at_once(Utc::now()) {
            return turn;
        }
        Turn {
            read: Read::Full,
            _full_read: self.access.application().full_read().await,
        }
    }

    /// All campaigns are read now and then, and where that costs no more than the recent ones.
    fn turn_at_once(&self, now: DateTime<Utc>) -> Option<Turn> {
        let (data, last_full) = (self.progress.data.as_ref()?, self.progress.last_full?);
        if self.all_are_recent(now) {
            return None;
        }
        let turn = |read, full_read| {
            Some(Turn {
                read,
                _full_read: full_read,
            })
        };
        let (full, recent) = (self.progress.full_requests, self.progress.recent_requests);
        if full.is_some_and(|full| recent.is_some_and(|recent| full <= recent)) {
            return turn(Read::Full, None);
        }
        let polling = &self.account.polling;
        let application = self.access.application();
        let is_whole = data.history.full().start <= window(now, polling.lookback).start;
        let interval = application.stretched(polling.full_poll_interval);
        // a clock that went back makes it overdue
        let age = (now - last_full).to_std().unwrap_or(Duration::MAX);
        let may_wait = age < interval + polling.stale_after(self.interval());
        if (is_whole && age < interval) || (self.progress.full_failed && may_wait) {
            return turn(Read::Recent, None);
        }
        let overdue = !is_whole || age > OVERDUE;
        match application.try_full_read(&self.account.name, overdue) {
            Some(full_read) => turn(Read::Full, Some(full_read)),
            None => turn(Read::Recent, None),
        }
    }

    /// From when on campaigns are read at every poll.
    fn recent_start(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        window(now, self.account.polling.recent).start - RECENT_MARGIN
    }

    fn all_are_recent(&self, now: DateTime<Utc>) -> bool {
        self.recent_start(now) <= window(now, self.account.polling.lookback).start
    }

    /// Adds what a good read found to what is known. Tells also whether that changed.
    fn take(&mut self, mut reading: Reading, read: Read, window: Window) -> (Data, Problems, bool) {
        for (field, count) in reading.problems.iter() {
            self.telemetry.decode_problems(field, count);
        }
        for rate in &reading.account.mismatches {
            self.telemetry.mismatch(rate);
        }
        let polling = &self.account.polling;
        let found = reading.take_campaigns();
        let before = self.progress.data.take();
        let reported = reading.account.reported_ratios.iter();
        let reported = reported
            .map(|(rate, ratio)| (rate.to_string(), *ratio))
            .collect();
        let (history, reported_ratios) = match (read, &before) {
            (Read::Recent, Some(before)) => {
                let recent = self::window(window.now, polling.recent).start;
                let lookback = self::window(window.now, polling.lookback).start;
                let history = before.history.with_recent_read(found, recent, lookback);
                // they speak of all campaigns or of none
                (history, before.reported_ratios.clone())
            }
            (Read::Full | Read::Recent, _) => {
                self.progress.last_full = Some(window.now);
                (History::of_full_read(found, window), reported)
            }
        };
        let mut record = DataRecord {
            source: self.account.provider.source(),
            saved: Utc::now(),
            history,
            credits: reading.account.credits,
            reported_ratios,
        };
        let changed = before.is_none_or(|before| {
            let same = before.history.is_same(&record.history)
                && before.credits == record.credits
                && before.reported_ratios == record.reported_ratios;
            if same {
                record.saved = before.saved;
            }
            !same
        });
        let data = data(&self.account, &record);
        self.progress.data = Some(record);
        (data, reading.problems, changed)
    }

    /// Tells the application what polling the account costs.
    pub fn plan(&self) {
        let Some(full_requests) = self.progress.full_requests else {
            return;
        };
        let polling = &self.account.polling;
        let recent_start = self.recent_start(Utc::now());
        let known = self
            .progress
            .recent_requests
            .map(|requests| requests as f64);
        let recent_requests = known.unwrap_or_else(|| {
            let history = self.progress.data.as_ref().map(|data| &data.history);
            let share = history.map_or(1.0, |history| history.share_since(recent_start));
            // a first page there always is
            (full_requests as f64 * share).max(1.0).ceil()
        });
        let plan = Plan {
            poll_interval: polling.poll_interval,
            full_poll_interval: polling.full_poll_interval,
            recent_requests: if self.all_are_recent(Utc::now()) {
                full_requests as f64
            } else {
                recent_requests.min(full_requests as f64)
            },
            full_requests: full_requests as f64,
        };
        self.access.application().plan(&self.account.name, plan);
    }

    /// Polls, for the first time after `delay`, then at every interval, until `stop` is cancelled.
    pub async fn run(
        mut self,
        delay: Duration,
        changes: Changes,
        heartbeat: Heartbeat,
        stop: CancellationToken,
    ) {
        stop.run_until_cancelled(self.poll_for_ever(delay, changes, heartbeat))
            .await;
    }

    /// How often the account is to be polled at present.
    pub fn interval(&self) -> Duration {
        let configured = self.account.polling.poll_interval;
        self.access.application().stretched(configured)
    }

    /// Goes on where another process has ended. Returns what that knew, and how long to wait.
    pub fn resume(&self, restored: &StoredAccount) -> (Option<LastKnown>, Duration) {
        let interval = self.interval();
        let delay = self.progress.last_poll.map_or(Duration::ZERO, |last| {
            // a clock that went back tells nothing
            let age = (Utc::now() - last).to_std().unwrap_or(interval);
            interval.saturating_sub(age)
        });
        let is_due = restored.is_due(self.account.polling.lookback);
        let delay = if is_due { Duration::ZERO } else { delay };
        (known(&self.account, restored, interval), delay)
    }

    async fn poll_for_ever(&mut self, delay: Duration, changes: Changes, heartbeat: Heartbeat) {
        let spread = MAX_SPREAD.min(self.account.polling.poll_interval / 10);
        let spread = spread.mul_f64(fastrand::f64());
        let mut next = Instant::now() + delay + spread;
        let mut log = Log::default();
        loop {
            heartbeat.expect_by(next);
            tokio::time::sleep_until(next).await;
            let begin = Instant::now();
            let turn = self.turn_with(&heartbeat).await;
            heartbeat.expect_by(Instant::now() + MAX_POLL_DURATION);
            let outcome = self.poll(turn).await;
            let ended = Instant::now();
            log.outcome(&self.account, &outcome);
            self.save(&outcome, &mut log).await;
            // a poll that takes longer than the interval is followed by the next one, not by a burst
            let interval = self.interval();
            next = begin + interval;
            let failure = outcome.failure();
            let update = self.update(outcome, ended, interval);
            if changes
                .make(Change::Polled(Box::new(update)))
                .await
                .is_err()
            {
                // nobody is left to tell: the program is about to stop
                return;
            }
            self.count(failure);
        }
    }

    /// Waits for its turn, and is seen to.
    async fn turn_with(&self, heartbeat: &Heartbeat) -> Turn {
        let mut turn = pin!(self.turn());
        loop {
            let soon = Instant::now() + WAITING_BEAT;
            heartbeat.expect_by(soon);
            tokio::select! {
                turn = turn.as_mut() => return turn,
                () = tokio::time::sleep_until(soon) => {}
            }
        }
    }

    /// Keeps what the next process has to know: the data first, where it changed, since it is worth
    /// nothing with another poll's time.
    async fn save(&mut self, outcome: &Outcome, log: &mut Log) {
        let Some(store) = self.access.store() else {
            return;
        };
        let name = &self.account.name;
        let progress = &mut self.progress;
        progress.unsaved |= outcome.changed;
        let mut data_saved = Ok(());
        if let Some(data) = progress.data.as_ref().filter(|_| progress.unsaved) {
            data_saved = store.save(Kind::Campaigns, name, data.clone()).await;
            progress.unsaved = data_saved.is_err();
        }
        let record = PollRecord {
            source: self.account.provider.source(),
            ended: progress.last_poll.unwrap_or_else(Utc::now),
            up: outcome.result.is_ok(),
            took: outcome.took,
            last_success: progress.last_success,
            token_expiry: progress.token_expiry,
            recent_requests: progress.recent_requests,
            full_requests: progress.full_requests,
            last_full: progress.last_full,
            lookback: self.account.polling.lookback,
            data_saved: progress.data.as_ref().map(|data| data.saved),
        };
        let poll_saved = store.save(Kind::Poll, name, record).await;
        log.saved(name, data_saved.and(poll_saved));
    }

    /// What the outcome means for the snapshot.
    pub fn update(&self, outcome: Outcome, ended: Instant, poll_interval: Duration) -> Update {
        Update {
            account: self.account.name.clone(),
            generation: self.generation,
            at: self.progress.last_poll.unwrap_or_else(Utc::now),
            ended,
            took: outcome.took,
            poll_interval,
            token_expiry: self.progress.token_expiry,
            requests_remaining: self.access.application().remaining(),
            result: outcome.result.map(|(data, _)| data),
        }
    }
}

/// What an account that was not there before is counted and authorised with.
pub fn connect(
    account: &Account,
    applications: &Applications,
    store: Option<Arc<Store>>,
) -> anyhow::Result<(AccountTelemetry, Access)> {
    let name = &account.name;
    let telemetry = account_telemetry(account)?;
    let application = applications
        .of(&account.provider.application(name))
        .with_context(|| format!("account {name} has no application"))?;
    let budget = Budget::new(Arc::clone(&application), account.provider.name(), name)?;
    telemetry.observe(Box::new(budget))?;
    Ok((telemetry, Access::new(name, application, store)))
}

/// The metrics of an account, all at 0.
fn account_telemetry(account: &Account) -> anyhow::Result<AccountTelemetry> {
    let provider = &account.provider;
    let reasons = Reason::ALL.map(Reason::as_str);
    let telemetry = AccountTelemetry::new(
        provider.name(),
        &account.name,
        reasons,
        provider.reported_rates(),
    );
    telemetry.with_context(|| format!("cannot count for account {}", account.name))
}

/// What a process that has just started knows about an account.
fn known(
    account: &Account,
    restored: &StoredAccount,
    poll_interval: Duration,
) -> Option<LastKnown> {
    let now = Utc::now();
    let poll = restored.poll.as_ref();
    let fresh = restored.data.as_ref().and_then(|(time, record)| {
        let age = (now - time).to_std();
        if age.is_err() {
            let name = &account.name;
            warn!(
                account = name,
                "the kept campaigns are from the future and are not used: is the clock right?"
            );
        }
        let stale_after = account.polling.stale_after(poll_interval);
        let age = age.ok().filter(|age| *age < stale_after)?;
        let data = data(account, record);
        let (name, campaigns) = (&account.name, data.campaigns.len());
        let age_seconds = age.as_secs();
        info!(
            account = name,
            campaigns, age_seconds, "campaigns from before the start are served"
        );
        Some((age, data))
    });
    if poll.is_none() && fresh.is_none() {
        return None;
    }
    Some(LastKnown {
        // without data there is nothing that it would be true of
        up: fresh.is_some() && poll.is_some_and(|poll| poll.up),
        last_poll: poll.map(|poll| poll.ended),
        last_success: restored.last_success(),
        poll_duration: poll.map(|poll| poll.took),
        token_expiry: poll.and_then(|poll| poll.token_expiry),
        data: fresh,
    })
}

/// What is exported of what is known.
fn data(account: &Account, record: &DataRecord) -> Data {
    let (campaigns, dropped) = record.history.newest(account.polling.max_campaigns);
    let rates = account.provider.reported_rates().iter();
    let reported_ratios = rates.filter_map(|rate| {
        let mut known = record.reported_ratios.iter();
        let (_, ratio) = known.find(|(name, _)| **name == **rate)?;
        Some((Arc::clone(rate), *ratio))
    });
    Data {
        campaigns,
        dropped,
        credits: record.credits,
        reported_ratios: reported_ratios.collect(),
    }
}

fn window(now: DateTime<Utc>, lookback: Duration) -> Window {
    // the configuration bounds the lookback far below what these could not hold
    let lookback = TimeDelta::from_std(lookback).unwrap_or(TimeDelta::MAX);
    let start = now
        .checked_sub_signed(lookback)
        .unwrap_or(DateTime::UNIX_EPOCH);
    Window { start, now }
}

/// What was logged last: whatever goes on unchanged is said once, and again every hour.
#[derive(Default)]
struct Log {
    succeeded_before: bool,
    failure: Option<Failure>,
    /// Of full reads and of recent ones, which see other campaigns.
    problems: [Problems; 2],
    dropped: usize,
    cannot_save: bool,
}

/// A failure that goes on.
struct Failure {
    reason: Reason,
    message: String,
    told: Instant,
    polls: u64,
}

/// How often the log repeats that a poll fails for the same reason.
const REMINDER: Duration = Duration::from_hours(1);

impl Log {
    fn outcome(&mut self, account: &Account, outcome: &Outcome) {
        let provider = &**account.provider.name();
        let name = &account.name;
        let took = format!("{:.3}s", outcome.took.as_secs_f64());
        match &outcome.result {
            Err(error) => {
                let reason = error.reason.as_str();
                if self.is_known(error) {
                    debug!(provider, account = name, reason, %error, took, "poll failed again");
                } else {
                    warn!(provider, account = name, reason, %error, took, "poll failed");
                }
                self.succeeded_before = false;
            }
            Ok((data, problems)) => {
                let campaigns = data.campaigns.len();
                let failed_polls = self.failure.take().map_or(0, |failure| failure.polls);
                if failed_polls > 0 {
                    info!(
                        provider,
                        account = name,
                        campaigns,
                        failed_polls,
                        took,
                        "polls succeed again"
                    );
                } else if self.succeeded_before {
                    let read = outcome.read;
                    debug!(provider, account = name, campaigns, ?read, took, "polled");
                } else {
                    info!(provider, account = name, campaigns, took, "polled");
                }
                self.succeeded_before = true;
                if !problems.is_empty() && !self.problems.contains(problems) {
                    warn!(provider, account = name, %problems, "values could not be read");
                } else if !problems.is_empty() {
                    debug!(provider, account = name, %problems, "values could not be read");
                }
                let [full, recent] = &mut self.problems;
                let known = match outcome.read {
                    Read::Full => full,
                    Read::Recent => recent,
                };
                known.clone_from(problems);
                if data.dropped != self.dropped && data.dropped > 0 {
                    let (dropped, most) = (data.dropped, account.polling.max_campaigns);
                    warn!(
                        provider,
                        account = name,
                        dropped,
                        max_campaigns = most,
                        "more campaigns than max_campaigns: the oldest are left out"
                    );
                }
                self.dropped = data.dropped;
            }
        }
    }

    /// Takes note of a failure. Returns whether the log knows it from not long ago.
    fn is_known(&mut self, error: &PollError) -> bool {
        if let Some(failure) = &mut self.failure {
            failure.polls += 1;
            if failure.reason == error.reason && failure.message == error.message {
                let recently = failure.told.elapsed() < REMINDER;
                if !recently {
                    failure.told = Instant::now();
                }
                return recently;
            }
        }
        let polls = self.failure.as_ref().map_or(1, |failure| failure.polls);
        self.failure = Some(Failure {
            reason: error.reason,
            message: error.message.clone(),
            told: Instant::now(),
            polls,
        });
        false
    }

    fn saved(&mut self, account: &str, saved: Result<(), StoreError>) {
        match saved {
            Ok(()) if self.cannot_save => {
                info!(account, "polls are kept again");
                self.cannot_save = false;
            }
            Ok(()) => {}
            Err(error) if self.cannot_save => debug!(account, %error, "still not kept"),
            Err(error) => {
                warn!(account, %error, "polls go on, but a restart will forget them");
                self.cannot_save = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::config::Config;
    use crate::polling::heartbeat::{Pulse, heartbeat};
    use crate::provider::native;
    use crate::state::changes::{Inbox, PendingChange, changes};
    use crate::telemetry::Telemetry;
    use crate::upstream::quota::application::Applications;

    const HOUR: Duration = Duration::from_hours(1);

    /// A poller whose polls fail at once, since there is no token.
    async fn poller() -> Poller {
        let yaml = "accounts:\n- {name: a, provider: smsup, token_env: NO_SUCH_VARIABLE_}\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let account = Config::load(file.path(), &native(), None)
            .unwrap()
            .accounts
            .remove(0);
        let mut applications = Applications::new(None, String::new());
        let limits = account.provider.limits(account.polling.limits());
        let accounts = [("a", account.provider.application("a"), limits)];
        applications.configure(accounts.into_iter()).await;
        let (telemetry, access) = connect(&account, &applications, None).unwrap();
        Poller {
            account,
            generation: Generation::default(),
            client: reqwest::Client::new(),
            telemetry,
            access,
            progress: Progress::default(),
        }
    }

    /// A running poller, its pulse, and where its changes arrive.
    async fn running(poller: Poller, delay: Duration) -> (JoinSet<()>, Pulse, Inbox) {
        let (heart, pulse) = heartbeat();
        let (changes, inbox) = changes();
        let mut tasks = JoinSet::new();
        tasks.spawn(poller.run(delay, changes, heart, CancellationToken::new()));
        tokio::task::yield_now().await;
        (tasks, pulse, inbox)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_is_alive_though_all_its_polls_fail() {
        let (_tasks, pulse, mut inbox) = running(poller().await, Duration::ZERO).await;
        let begin = Instant::now();
        let mut polls = 0;
        while begin.elapsed() < HOUR {
            let PendingChange { change, shown } = inbox.receive().await.remove(0);
            let Change::Polled(update) = change else {
                panic!("no poll")
            };
            assert!(update.result.is_err());
            shown.send(()).unwrap();
            assert!(pulse.is_alive());
            polls += 1;
        }
        assert_eq!(polls, 13, "one at once, then one every five minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_is_counted_once_its_data_is_shown() {
        let poller = poller().await;
        let telemetry = Telemetry::new().unwrap();
        telemetry.set_accounts(vec![poller.telemetry.clone()]);
        let polls = || {
            let families = telemetry.gather();
            let mut families = families.iter();
            let polls = families.find(|family| family.name() == "campaign_exporter_polls_total");
            let polls = polls.unwrap().get_metric().iter();
            polls
                .map(|metric| metric.get_counter().get_value())
                .sum::<f64>()
        };
        let (_tasks, _pulse, mut inbox) = running(poller, Duration::ZERO).await;
        let PendingChange { shown, .. } = inbox.receive().await.remove(0);
        // whatever else the loop could do before, it has done
        tokio::time::sleep(HOUR).await;
        assert!(polls() < 1.0);
        shown.send(()).unwrap();
        inbox.receive().await;
        assert!((polls() - 1.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_cannot_go_on_is_dead() {
        let (_tasks, pulse, inbox) = running(poller().await, Duration::ZERO).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(pulse.is_alive());
        // nobody shows what the first poll found, so there is no second one
        tokio::time::sleep(HOUR).await;
        assert!(!pulse.is_alive());
        drop(inbox);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_whose_first_poll_is_not_due_is_alive_and_waits() {
        let (_tasks, pulse, mut inbox) = running(poller().await, 3 * HOUR).await;
        tokio::time::sleep(2 * HOUR).await;
        assert!(pulse.is_alive());
        let early = tokio::time::timeout(HOUR / 2, inbox.receive()).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(inbox.receive().await.len(), 1);
    }

    #[tokio::test]
    async fn the_first_poll_waits_for_what_is_left_of_the_interval() {
        let mut poller = poller().await;
        let now = Utc::now();
        let mut record = PollRecord {
            source: poller.account.provider.source(),
            ended: now,
            up: false,
            took: Duration::ZERO,
            last_success: None,
            token_expiry: None,
            recent_requests: None,
            full_requests: None,
            last_full: None,
            lookback: poller.account.polling.lookback,
            data_saved: None,
        };
        // a clock that went back tells nothing
        for (minutes_ago, left) in [(0, 5.0), (2, 3.0), (5, 0.0), (500, 0.0), (-1, 0.0)] {
            record.ended = now - TimeDelta::minutes(minutes_ago);
            let restored = StoredAccount {
                poll: Some(record.clone()),
                data: None,
            };
            poller.progress = Progress::of(restored.clone());
            let (_, delay) = poller.resume(&restored);
            let minutes = delay.as_secs_f64() / 60.0;
            assert!((minutes - left).abs() < 0.1, "{minutes_ago}: {minutes}");
        }
        // data that was there and is gone is not waited for
        record.data_saved = Some(now);
        let restored = StoredAccount {
            poll: Some(record),
            data: None,
        };
        assert!(poller.resume(&restored).1.is_zero());
    }

    #[tokio::test]
    async fn all_campaigns_are_read_when_that_is_due_or_the_lookback_has_grown() {
        let mut poller = poller().await;
        let now = Utc::now();
        let read = |poller: &Poller, now| poller.turn_at_once(now).map(|turn| turn.read);
        assert_eq!(
            read(&poller, now),
            None,
            "nothing is known: it waits for a place"
        );
        assert_eq!(poller.turn().await.read, Read::Full);
        let full = window(now, poller.account.polling.lookback);
        poller.take(Reading::default(), Read::Full, full);
        assert_eq!(read(&poller, now), Some(Read::Recent));
        let minutes = TimeDelta::minutes;
        assert_eq!(read(&poller, now + minutes(59)), Some(Read::Recent));
        assert_eq!(read(&poller, now + minutes(60)), Some(Read::Full));
        // a clock that goes back for a while, or for good
        assert_eq!(read(&poller, now - minutes(1)), Some(Read::Full));
        // one that failed leaves a poll to the recent ones, until the others are too old
        poller.progress.full_failed = true;
        assert_eq!(read(&poller, now + minutes(60)), Some(Read::Recent));
        assert_eq!(read(&poller, now + minutes(74)), Some(Read::Recent));
        assert_eq!(read(&poller, now + minutes(75)), Some(Read::Full));
        poller.progress.full_failed = false;
        // where it costs the same
        poller.progress.full_requests = Some(2);
        poller.progress.recent_requests = Some(2);
        assert_eq!(read(&poller, now), Some(Read::Full));
        poller.progress.full_requests = Some(3);
        assert_eq!(read(&poller, now), Some(Read::Recent));
        let polling = poller.account.polling.clone();
        poller.account.polling.lookback += HOUR;
        assert_eq!(read(&poller, now), Some(Read::Full));
        poller.account.polling = polling.clone();
        poller.account.polling.lookback = polling.recent;
        assert_eq!(read(&poller, now), None, "all of them are recent");
    }

    #[test]
    fn a_failure_that_goes_on_is_known_for_an_hour() {
        let mut log = Log::default();
        let error = |message| PollError::new(Reason::Server, message);
        assert!(!log.is_known(&error("a")));
        assert!(log.is_known(&error("a")));
        assert!(!log.is_known(&error("b")));
        assert!(!log.is_known(&PollError::new(Reason::Client, "b")));
        assert_eq!(log.failure.as_ref().unwrap().polls, 4);
        log.failure.as_mut().unwrap().told -= REMINDER;
        assert!(!log.is_known(&PollError::new(Reason::Client, "b")));
        assert!(log.is_known(&PollError::new(Reason::Client, "b")));
    }
}
