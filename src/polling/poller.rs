//! One task per account, which polls it and never twice at the same time.

mod log;
mod ownership;
pub mod restore;
pub mod turn;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::heartbeat::Heartbeat;
use crate::campaign::curve::Curves;
use crate::campaign::history::History;
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::config::{Account, Polling};
use crate::document::duration_text;
use crate::provider::source::Read;
use crate::provider::unchanged::Decoded;
use crate::provider::{Problems, Reading};
use crate::state::changes::{Changes, Stopped};
use crate::state::snapshot::{Change, Data, Generation, Update};
use crate::storage::record::{DataRecord, PollRecord};
use crate::storage::store::{Kind, StoreError};
use crate::telemetry::AccountTelemetry;
use crate::upstream::auth::tokens::Access;
use crate::upstream::client::Client;
use crate::upstream::quota::application::Tenure;
use crate::upstream::quota::plan::Plan;
use crate::upstream::session::{Session, TokenInUse};
use crate::upstream::{PollError, Reason};
use log::PollLog;
use restore::exported;
use turn::{Scope, Turn};

/// Time limit of a poll with all its pages and retries. At 4 requests per second, 2,000 pages take
/// about half of this.
pub(super) const MAX_POLL_DURATION: Duration = Duration::from_mins(15);

/// Retries begin within the poll interval, or within this if the interval is shorter.
const MIN_RETRY_TIME: Duration = Duration::from_secs(30);

/// Maximum random delay of the first poll, so that many accounts do not all begin at the same time.
const MAX_SPREAD: Duration = Duration::from_secs(2);

/// How far a recent read begins before the recent campaigns: enough for a provider that filters by
/// another time zone than that of its dates, and for the hour that repeats in autumn.
const RECENT_MARGIN: TimeDelta = TimeDelta::hours(3);

/// Start of the campaigns that every poll reads.
pub fn recent_start(polling: &Polling, now: DateTime<Utc>) -> DateTime<Utc> {
    Window::ending(now, polling.recent).start - RECENT_MARGIN
}

/// Everything that polling an account needs.
#[derive(Debug)]
pub struct Poller {
    /// The account.
    pub account: Account,
    /// The generation of its configuration.
    pub generation: Generation,
    /// The HTTP client of all accounts.
    pub client: Client,
    /// Counters of polls and requests.
    pub telemetry: AccountTelemetry,
    /// The account's tokens and quota.
    pub access: Access,
    /// The results of its polls so far.
    pub progress: Progress,
}

/// The results of an account's polls so far.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) data: Option<DataRecord>,
    pub(super) last_full: Option<DateTime<Utc>>,
    pub(super) recent_requests: Option<u64>,
    pub(super) full_requests: Option<u64>,
    pub(super) last_poll: Option<DateTime<Utc>>,
    pub(super) last_success: Option<DateTime<Utc>>,
    pub(super) token_expiry: Option<DateTime<Utc>>,
    /// Whether the last poll was a full read that failed.
    pub(super) full_failed: bool,
    /// Whether the data is newer than the stored data.
    pub(super) unsaved: bool,
    /// The young campaigns as they are exported: with what is usual.
    pub(super) compared: Campaigns,
    /// The tenure in which this was loaded.
    pub(super) tenure: Tenure,
    /// All campaigns of the data, by id.
    pub(super) known: Arc<Campaigns>,
    /// What the items of earlier polls were decoded to.
    pub(super) decoded: Decoded,
}

/// The outcome of one poll.
#[derive(Debug)]
pub struct Outcome {
    /// The data and the values that could not be read, or why the poll failed.
    pub result: Result<(Data, Problems), PollError>,
    /// Which campaigns were requested.
    pub scope: Scope,
    /// How long the poll took.
    pub took: Duration,
    /// The number of campaigns that are left out because they are older than the period.
    pub older: usize,
    /// Whether the data differs from that of the previous successful poll.
    pub changed: bool,
}

impl Outcome {
    /// The reason of a failure.
    pub fn failure(&self) -> Option<Reason> {
        self.result.as_ref().err().map(|error| error.reason)
    }
}

impl Poller {
    /// Polls until `stop` is canceled: first after `delay`, then at every interval.
    pub async fn run(
        mut self,
        delay: Duration,
        changes: Changes,
        heartbeat: Heartbeat,
        stop: CancellationToken,
    ) {
        let span = self.account.span();
        let polls = self.poll_forever(delay, changes, heartbeat);
        stop.run_until_cancelled(polls.instrument(span)).await;
    }

    async fn poll_forever(&mut self, delay: Duration, changes: Changes, heartbeat: Heartbeat) {
        let spread = MAX_SPREAD.min(self.account.polling.poll_interval / 10);
        let mut next = Instant::now() + delay + spread.mul_f64(fastrand::f64());
        let mut log = PollLog::default();
        loop {
            heartbeat.expect_by(next);
            tokio::time::sleep_until(next).await;
            match self.own(&changes, &heartbeat).await {
                Ok(None) => {}
                // another exporter has polled it meanwhile
                Ok(Some(delay)) => {
                    next = Instant::now() + delay;
                    continue;
                }
                // the publisher has ended: the exporter is stopping
                Err(Stopped) => return,
            }
            let begin = Instant::now();
            let turn = self.turn_with(&heartbeat).await;
            heartbeat.polling_until(Instant::now() + MAX_POLL_DURATION);
            let outcome = self.poll(turn).await;
            let ended = Instant::now();
            log.outcome(&outcome, &self.account);
            let saved = self.save(&outcome).await;
            if let Some(saved) = &saved {
                log.saved(saved);
            }
            // a poll that takes longer than the interval is followed by one poll, not by a burst
            let interval = self.interval();
            next = begin + interval;
            let failure = outcome.failure();
            let stored = saved.map(|saved| saved.map_err(|error| error.to_string()));
            let update = Update { stored, ..self.update(outcome, ended, interval) };
            let change = Change::Polled(Box::new(update));
            if changes.make(change).await.is_err() {
                return;
            }
            self.count(failure);
        }
    }

    /// Polls once. The caller counts the poll with [`Poller::count`].
    pub async fn poll(&mut self, turn: Turn) -> Outcome {
        self.poll_by(turn, Utc::now).await
    }

    /// Polls once by another clock, to make a history.
    pub async fn poll_by(&mut self, turn: Turn, clock: impl Fn() -> DateTime<Utc>) -> Outcome {
        let begin = Instant::now();
        let scope = turn.scope;
        let window = self.window(scope, clock());
        let session = self.session(begin);
        let reading = self.read(&session, window).await;
        if let TokenInUse::Until(expiry) = session.token() {
            self.progress.token_expiry = expiry;
        }
        self.progress.full_failed = scope == Scope::Full && reading.is_err();
        let (mut changed, mut older) = (false, 0);
        let result = reading.map(|mut reading| {
            let requests = Some(session.requests());
            match scope {
                Scope::Full => self.progress.full_requests = requests,
                Scope::Recent => self.progress.recent_requests = requests,
            }
            let problems = std::mem::take(&mut reading.problems);
            older = reading.older;
            self.count_findings(&problems, &reading);
            let data;
            (data, changed) = self.accept(reading, scope, window);
            self.plan();
            (data, problems)
        });
        let ended = clock();
        self.progress.last_poll = Some(ended);
        if result.is_ok() {
            self.progress.last_success = Some(ended);
        }
        Outcome { result, scope, took: begin.elapsed(), older, changed }
    }

    fn window(&self, scope: Scope, now: DateTime<Utc>) -> Window {
        match scope {
            Scope::Full => Window::ending(now, self.account.polling.lookback),
            Scope::Recent => {
                let start = self.recent_start(now);
                let lookback = Window::ending(now, self.account.polling.lookback).start;
                let history = self.progress.data.as_ref().map(|data| &data.history);
                let created = history.and_then(|history| history.oldest_creation(start));
                let created = created.map(|created| created.max(lookback));
                Window::new(start, now).with_created(created)
            }
        }
    }

    fn session(&self, begin: Instant) -> Session {
        let polling = &self.account.polling;
        let retry_time = polling.poll_interval.clamp(MIN_RETRY_TIME, MAX_POLL_DURATION);
        Session::new(
            self.client.clone(),
            polling.request_timeout,
            begin + retry_time,
            self.telemetry.clone(),
            Arc::clone(self.access.application()),
        )
    }

    async fn read(&self, session: &Session, window: Window) -> Result<Reading, PollError> {
        let provider = &self.account.provider;
        let Progress { known, decoded, .. } = &self.progress;
        let read = Read { window, decoded: Some(decoded) };
        let reading = provider.read_campaigns(session, &self.access, read, known);
        let reading = tokio::time::timeout(MAX_POLL_DURATION, reading).await;
        reading.unwrap_or_else(|_| {
            let limit = duration_text(MAX_POLL_DURATION);
            let message = format!("the poll took longer than {limit}");
            Err(PollError::new(Reason::Timeout, message))
        })
    }

    fn count_findings(&self, problems: &Problems, reading: &Reading) {
        for (field, count) in problems.iter() {
            self.telemetry.decode_problems(field, count);
        }
        for rate in &reading.account.mismatches {
            self.telemetry.mismatch(rate);
        }
    }

    /// Merges a successful read into the progress. Returns the data, and whether it changed.
    pub(super) fn accept(
        &mut self,
        mut reading: Reading,
        scope: Scope,
        window: Window,
    ) -> (Data, bool) {
        let (found, decoded) = (reading.take_campaigns(), reading.take_decoded());
        let previous = self.progress.data.take();
        let (history, reported_ratios) = match (scope, &previous) {
            (Scope::Recent, Some(previous)) => {
                let polling = &self.account.polling;
                let lookback = Window::ending(window.now, polling.lookback).start;
                let history = previous.history.with_recent_read(found, lookback);
                // only a full read has ratios of all campaigns
                self.progress.known = history.by_id().into();
                (history, previous.reported_ratios.clone())
            }
            (Scope::Full | Scope::Recent, _) => {
                self.progress.last_full = Some(window.now);
                self.progress.known = found.clone().into();
                let ratios = reading.account.reported_ratios.iter();
                let ratios = ratios.map(|(rate, ratio)| (rate.to_string(), *ratio));
                (History::of_full_read(found, window), ratios.collect())
            }
        };
        let mut curves =
            previous.as_ref().map(|previous| Arc::clone(&previous.curves)).unwrap_or_default();
        let before = previous.as_ref().map(|previous| &previous.history);
        let before = before.zip(self.progress.last_success);
        // a copy, since the web server shows those of the poll before
        let mut grown = Curves::clone(&curves);
        let is_older = grown.observe(before, &history, window.now);
        if is_older {
            curves = Arc::new(grown);
        }
        let mut record = DataRecord {
            source: self.account.provider.source(),
            saved: Utc::now(),
            history,
            curves,
            credits: reading.account.credits,
            balance: reading.account.balance,
            reported_ratios,
        };
        let unchanged = previous.filter(|previous| {
            previous.history.is_same(&record.history)
                && !is_older
                && previous.credits == record.credits
                && previous.balance == record.balance
                && previous.reported_ratios == record.reported_ratios
        });
        if let Some(previous) = &unchanged {
            record.saved = previous.saved;
        }
        let data = exported(&self.account, &record, window.now, &mut self.progress.compared);
        self.progress.data = Some(record);
        self.progress.decoded.add(decoded);
        (data, unchanged.is_none())
    }

    /// Counts a poll, by reason if it failed. Call this once its data is shown, so that no scrape
    /// combines the counter of one poll with the data of an earlier one.
    pub fn count(&self, failure: Option<Reason>) {
        match failure {
            None => self.telemetry.poll_succeeded(),
            Some(reason) => self.telemetry.poll_failed(reason.as_str()),
        }
    }

    /// Start of the campaigns that every poll reads.
    pub(super) fn recent_start(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        recent_start(&self.account.polling, now)
    }

    /// Whether a recent read covers the whole lookback.
    pub(super) fn all_are_recent(&self, now: DateTime<Utc>) -> bool {
        self.recent_start(now) <= Window::ending(now, self.account.polling.lookback).start
    }

    /// Reports the requests that polling the account takes to its application.
    pub fn plan(&self) {
        let Some(full_requests) = self.progress.full_requests else {
            return;
        };
        let full_requests = full_requests as f64;
        let now = Utc::now();
        let estimated = || {
            let history = self.progress.data.as_ref().map(|data| &data.history);
            let share = history.map_or(1.0, |history| history.share_since(self.recent_start(now)));
            // a list has at least one page
            (full_requests * share).max(1.0).ceil()
        };
        let counted = self.progress.recent_requests.map(|count| count as f64);
        let polling = &self.account.polling;
        let plan = Plan {
            poll_interval: polling.poll_interval,
            full_poll_interval: polling.full_poll_interval,
            recent_requests: if self.all_are_recent(now) {
                full_requests
            } else {
                counted.unwrap_or_else(estimated).min(full_requests)
            },
            full_requests,
        };
        self.access.application().plan(&self.account.name, plan);
    }

    /// The poll interval in effect.
    pub fn interval(&self) -> Duration {
        let configured = self.account.polling.poll_interval;
        self.access.application().stretched(configured)
    }

    /// Stores what the next process needs, if there is a store. Changed data is stored before the
    /// poll: it is useless with the time of another poll.
    async fn save(&mut self, outcome: &Outcome) -> Option<Result<(), StoreError>> {
        let store = self.access.store()?;
        let name = &self.account.name;
        let progress = &mut self.progress;
        progress.unsaved |= outcome.changed;
        if progress.data.is_some() && !progress.unsaved {
            // a stored file can be removed at any time
            progress.unsaved = !store.has(Kind::Campaigns, name).await.unwrap_or(true);
        }
        let mut data_saved = Ok(());
        if let Some(data) = progress.data.as_ref().filter(|_| progress.unsaved) {
            data_saved = store.save(Kind::Campaigns, name, data.clone()).await;
            progress.unsaved = data_saved.is_err();
        }
        let record = PollRecord {
            source: self.account.provider.source(),
            ended: progress.last_poll.unwrap_or_else(Utc::now),
            failure: outcome
                .result
                .as_ref()
                .err()
                .map(|error| (error.reason.as_str().to_owned(), error.message.clone())),
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
        Some(data_saved.and(poll_saved))
    }

    /// The outcome as a change of the snapshot.
    pub fn update(&self, outcome: Outcome, ended: Instant, poll_interval: Duration) -> Update {
        Update {
            generation: self.generation,
            at: self.progress.last_poll.unwrap_or_else(Utc::now),
            ended,
            took: outcome.took,
            poll_interval,
            token_expiry: self.progress.token_expiry,
            requests_remaining: self.access.application().remaining(),
            ..Update::new(&self.account, outcome.result.map(with_unreadable))
        }
    }
}

fn with_unreadable((data, problems): (Data, Problems)) -> Data {
    let unreadable = problems.iter().map(|(field, count)| (field.to_owned(), count)).collect();
    Data { unreadable, ..data }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::campaign::Campaign;
    use crate::config::Config;
    use crate::polling::heartbeat::{Pulse, heartbeat};
    use crate::polling::poller::restore::{configure, connect};
    use crate::provider::made_up;
    use crate::state::changes::{Inbox, PendingChange, changes};
    use crate::telemetry::Telemetry;
    use crate::upstream::applications::Applications;
    use crate::upstream::auth::renewals::Renewals;

    pub(in crate::polling) const HOUR: Duration = Duration::from_hours(1);

    /// A poller whose polls fail immediately, because there is no token.
    pub(in crate::polling) async fn poller() -> Poller {
        poller_with("token_env: NO_SUCH_VARIABLE_").await
    }

    /// A poller with these keys.
    async fn poller_with(keys: &str) -> Poller {
        let yaml = format!("accounts:\n- {{name: a, provider: alpha, {keys}}}\n");
        let mut config = Config::parse(&yaml, &made_up(), None).unwrap();
        let account = config.accounts.remove(0);
        let mut applications = Applications::new(None, Renewals::new(String::new()));
        configure(&mut applications, std::slice::from_ref(&account)).await;
        let (telemetry, access) = connect(&account, &applications, None, true).unwrap();
        Poller {
            account,
            generation: Generation::default(),
            client: Client::local().unwrap(),
            telemetry,
            access,
            progress: Progress::default(),
        }
    }

    /// Starts a poller. Returns its pulse and the receiver of its changes.
    pub(in crate::polling) async fn running(
        poller: Poller,
        delay: Duration,
    ) -> (JoinSet<()>, Pulse, Inbox) {
        let (heart, pulse) = heartbeat();
        let (changes, inbox) = changes();
        let mut tasks = JoinSet::new();
        tasks.spawn(poller.run(delay, changes, heart, CancellationToken::new()));
        tokio::task::yield_now().await;
        (tasks, pulse, inbox)
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_alive_even_if_all_its_polls_fail() {
        let (_tasks, pulse, mut inbox) = running(poller().await, Duration::ZERO).await;
        let begin = Instant::now();
        let mut polls = 0;
        while begin.elapsed() < HOUR {
            let PendingChange { change, shown } = inbox.receive().await.remove(0);
            let Change::Polled(update) = change else { panic!("no poll") };
            assert!(update.result.is_err());
            shown.send(()).unwrap();
            assert!(pulse.is_alive());
            polls += 1;
        }
        assert_eq!(polls, 13, "one immediately, then one every five minutes");
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
            polls.map(|metric| metric.get_counter().get_value()).sum::<f64>()
        };
        let (_tasks, _pulse, mut inbox) = running(poller, Duration::ZERO).await;
        let PendingChange { shown, .. } = inbox.receive().await.remove(0);
        // long enough for anything else that the loop could do before
        tokio::time::sleep(HOUR).await;
        assert!(polls() < 1.0);
        shown.send(()).unwrap();
        inbox.receive().await;
        assert!((polls() - 1.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_loop_is_dead() {
        let (_tasks, pulse, inbox) = running(poller().await, Duration::ZERO).await;
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(pulse.is_alive());
        // the first poll is never shown, so there is no second one
        tokio::time::sleep(HOUR).await;
        assert!(!pulse.is_alive());
        drop(inbox);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_waits_for_its_first_poll_is_alive() {
        let (_tasks, pulse, mut inbox) = running(poller().await, 3 * HOUR).await;
        tokio::time::sleep(2 * HOUR).await;
        assert!(pulse.is_alive());
        let early = tokio::time::timeout(HOUR / 2, inbox.receive()).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(inbox.receive().await.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_is_limited_in_time() {
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "secret").unwrap();
        // fails, and cannot be retried soon
        let keys = format!(
            "token_file: {}, base_url: 'http://127.0.0.1:1', requests_per_second: 0.0001",
            token.path().display()
        );
        let mut poller = poller_with(&keys).await;
        let begin = Instant::now();
        let turn = poller.turn().await;
        let past = "2026-03-01T12:00:00Z".parse().unwrap();
        let outcome = poller.poll_by(turn, || past).await;
        assert_eq!(outcome.failure(), Some(Reason::Timeout));
        assert_eq!(poller.progress.last_poll, Some(past));
        assert!(begin.elapsed() <= MAX_POLL_DURATION + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_recent_poll_begins_with_the_creation_of_young_campaigns() {
        let mut poller = poller().await;
        let now: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().unwrap();
        let days = TimeDelta::days;
        let lookback = Window::ending(now, poller.account.polling.lookback);
        for (created, expected) in [(days(10), now - days(10)), (days(1_000), lookback.start)] {
            let campaign = Campaign {
                id: "1".to_owned(),
                last_sent: Some(now - TimeDelta::hours(1)),
                created: Some(now - created),
                ..Campaign::default()
            };
            let found = [Arc::new(campaign)].into_iter().collect();
            let history = History::of_full_read(found, lookback);
            poller.accept(Reading::default(), Scope::Full, lookback);
            poller.progress.data.as_mut().unwrap().history = history;
            let window = poller.window(Scope::Recent, now);
            assert_eq!(window.created_start(), expected);
            assert_eq!(window.start, poller.recent_start(now));
        }
    }

    #[tokio::test]
    async fn a_recent_poll_changes_only_what_a_full_poll_would() {
        let mut poller = poller().await;
        let lookback = poller.account.polling.lookback;
        let full = Window::ending("2026-03-01T12:00:00Z".parse().unwrap(), lookback);
        let body = r#"{"campaigns":[
            {"id":"1","date":"2026-01-30T12:30:00Z"},
            {"id":"2","date":"2026-01-30T13:30:00Z"}]}"#;
        let provider = &poller.account.provider;
        let mut reading = provider.read_answer(full, 200, body.as_bytes()).unwrap();
        reading.account.reported_ratios.push(("rate".into(), 0.9));
        let (data, _) = poller.accept(reading, Scope::Full, full);
        assert_eq!(data.campaigns.len(), 2);

        let recent = Window::ending(full.now + TimeDelta::hours(1), lookback / 10);
        let mut reading = Reading::default();
        reading.account.reported_ratios.push(("rate".into(), 0.1));
        let (data, _) = poller.accept(reading, Scope::Recent, recent);
        let ids: Vec<_> = data.campaigns.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["2"], "the other one is older than the lookback");
        let mut problems = Problems::default();
        problems.add("date");
        let unreadable = with_unreadable((data, problems)).unreadable;
        assert_eq!(unreadable.into_iter().collect::<Vec<_>>(), [("date".to_owned(), 1)]);
        let ratios = poller.progress.data.unwrap().reported_ratios;
        assert_eq!(ratios, [("rate".to_owned(), 0.9)], "of all campaigns");
    }
}
