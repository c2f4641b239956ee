//! An application at a provider: the pace of its requests, its limits, and its pauses.

use std::fmt::Display;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::warn;

use super::Limits;
use super::pace::Pace;
use super::plan::{Plan, Plans, SECONDS_A_DAY, until_midnight};
use super::window::Window;
use crate::storage::store::{Kind, Store, StoreError};
use crate::upstream::{PollError, Reason};

/// Longest pause that a provider can ask for, other than for an exhausted daily quota: a
/// `Retry-After` of years is a mistake.
pub(crate) const MAX_PAUSE: Duration = Duration::from_hours(1);

/// Longest wait for a limit per minute or hour. A poll that would wait longer fails, so that it does not
/// look as if it hangs; a minute's limit never takes longer.
const MAX_TURN: Duration = Duration::from_secs(90);

/// How long after midnight an exhausted quota may still be yesterday's, because clocks differ.
const MIDNIGHT_MARGIN: TimeDelta = TimeDelta::minutes(15);

/// Number of concurrent full reads. More would share the pace until none of them finishes in time;
/// with fewer, one that hangs would block the others.
const FULL_READS: usize = 3;

/// Longest time between two requests.
const MAX_PERIOD: Duration = Duration::from_hours(24);

/// How long the request count is not stored after a failure: a disk that hangs or is full must not
/// delay every request.
const STORE_PAUSE: Duration = Duration::from_mins(1);

/// An application at its provider.
#[derive(Debug)]
pub struct Application {
    key: String,
    store: Option<Arc<Store>>,
    ownership: tokio::sync::Mutex<Ownership>,
    state: Arc<Mutex<State>>,
    /// Held while a request is counted and the count stored.
    counting: tokio::sync::Mutex<()>,
    /// Held while tokens of the application are renewed.
    pub(crate) refreshing: tokio::sync::Mutex<()>,
    full_reads: Arc<Semaphore>,
}

/// A time during which no other exporter reads the accounts of an application. What was stored before a
/// later one began may have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tenure(u64);

/// The last tenure, and its lock. Other exporters get the lock once the application is dropped, which is
/// after the last poll and token renewal of its accounts.
#[derive(Debug, Default)]
struct Ownership {
    tenure: Tenure,
    lock: Option<Arc<File>>,
}

/// Permission for a full read of an account. Its requests are reserved until it is dropped.
#[derive(Debug)]
pub struct FullRead {
    application: Arc<Application>,
    requests: f64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for FullRead {
    fn drop(&mut self) {
        self.application.state().plans.release(self.requests);
    }
}

#[derive(Debug)]
struct State {
    limits: Limits,
    pace: Option<Arc<Pace>>,
    minute: Window,
    hour: Window,
    /// The requests that the provider says are left, until then.
    allowance: Option<(u64, Instant)>,
    today: Requests,
    pause: Option<Pause>,
    plans: Plans,
    /// After a failure, the count is not stored until then.
    not_stored_until: Option<Instant>,
}

/// The number of requests on a day, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    day: NaiveDate,
    spent: u64,
}

/// A time without requests, which the provider asked for.
#[derive(Clone, Debug)]
struct Pause {
    until: Instant,
    /// The day whose quota is exhausted. The pause also ends when the wall clock leaves that day.
    day: Option<NaiveDate>,
    reason: Reason,
    message: String,
}

impl Application {
    pub(in crate::upstream) async fn new(
        key: String,
        limits: Limits,
        store: Option<Arc<Store>>,
    ) -> Self {
        let today = Requests { day: Utc::now().date_naive(), spent: 0 };
        let application = Self {
            key,
            store,
            ownership: tokio::sync::Mutex::default(),
            state: Arc::new(Mutex::new(State {
                limits: Limits::default(),
                pace: None,
                minute: Window::new("minute", Duration::from_mins(1)),
                hour: Window::new("hour", Duration::from_hours(1)),
                allowance: None,
                today,
                pause: None,
                plans: Plans::new(),
                not_stored_until: None,
            })),
            counting: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            full_reads: Arc::new(Semaphore::new(FULL_READS)),
        };
        application.set_limits(limits);
        if let Some(store) = application.store.as_ref().filter(|store| !store.is_divided()) {
            application.load_count(store).await;
        }
        application
    }

    /// Reads what was counted today.
    async fn load_count(&self, store: &Arc<Store>) {
        match store.load::<Requests>(Kind::Requests, &self.key).await {
            Ok(Some(stored)) if stored.day == Utc::now().date_naive() => {
                self.state().today = stored;
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "cannot read today's request count; counting from 0"),
        }
    }

    /// Makes sure that no other exporter with the same store reads the accounts of the application, before
    /// anything of theirs is read.
    pub async fn own(&self) -> Result<Tenure, StoreError> {
        let mut ownership = self.ownership.lock().await;
        let Some(store) = self.store.as_ref().filter(|store| store.is_divided()) else {
            return Ok(ownership.tenure);
        };
        let held = ownership.lock.clone();
        match store.try_own(&self.key, held.clone()).await {
            Ok(lock) if held.is_some_and(|held| Arc::ptr_eq(&held, &lock)) => {}
            Ok(lock) => {
                self.load_count(store).await;
                let Tenure(before) = ownership.tenure;
                *ownership = Ownership { tenure: Tenure(before + 1), lock: Some(lock) };
            }
            Err(error) => {
                // another failure does not end the tenure
                if matches!(error, StoreError::Elsewhere(_)) {
                    ownership.lock = None;
                }
                return Err(error);
            }
        }
        Ok(ownership.tenure)
    }

    /// Replaces the limits and the accounts. The counts stay.
    pub(in crate::upstream) fn reconfigure(&self, limits: Limits, accounts: &[&str]) {
        self.state().plans.retain(accounts);
        self.set_limits(limits);
    }

    fn set_limits(&self, limits: Limits) {
        let mut state = self.state();
        if state.limits.per_second != limits.per_second {
            state.pace = limits.per_second.map(|rate| {
                let period = Duration::try_from_secs_f64(rate.recip());
                let period = period.unwrap_or(MAX_PERIOD).min(MAX_PERIOD);
                Arc::new(Pace::new(period))
            });
        }
        state.minute.limit = limits.per_minute;
        state.hour.limit = limits.per_hour;
        state.plans.set_limits(&limits);
        state.limits = limits;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may be made, and counts it. An error says why there can be none for
    /// now.
    pub(crate) async fn admit(&self) -> Result<(), PollError> {
        self.check_pause(Utc::now())?;
        let pace = self.state().pace.clone();
        if let Some(pace) = pace {
            pace.wait().await;
        }
        let _counting = self.counting.lock().await;
        self.wait_for_turn().await?;
        // another request may have been refused meanwhile
        self.check_pause(Utc::now())?;
        if let Some(today) = self.count(Utc::now())? {
            self.store_count(today).await;
        }
        Ok(())
    }

    /// Waits until the limits per minute and hour, and what the provider says is left, allow a request.
    async fn wait_for_turn(&self) -> Result<(), PollError> {
        let Some((turn, limit)) = self.state().turn() else {
            return Ok(());
        };
        let wait = turn.saturating_duration_since(Instant::now());
        if wait <= MAX_TURN {
            tokio::time::sleep_until(turn).await;
            return Ok(());
        }
        let message = format!("{limit} used up until {}", clock(Utc::now() + wait));
        let mut error = PollError::new(Reason::Throttled, message);
        error.retry_after = Some(wait);
        Err(error)
    }

    /// Learns from the headers of an answer what is left. The latest answer counts: a provider can count
    /// other requests too, or grant more.
    pub(crate) fn answered(&self, headers: &HeaderMap) {
        let mut state = self.state();
        let names = state.limits.headers.as_ref();
        if let Some((left, reset)) = names.and_then(|names| names.read(headers, Utc::now())) {
            state.allowance = Some((left, Instant::now() + reset.min(MAX_PAUSE)));
        }
    }

    fn check_pause(&self, now: DateTime<Utc>) -> Result<(), PollError> {
        let state = self.state();
        match &state.pause {
            Some(pause) if pause.is_active(now) => {
                let mut error = PollError::new(pause.reason, pause.message.clone());
                error.retry_after = pause.until.checked_duration_since(Instant::now());
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request. Returns the count if there is a daily limit.
    fn count(&self, now: DateTime<Utc>) -> Result<Option<Requests>, PollError> {
        let mut state = self.state();
        state.today.roll_over(now);
        let limit = state.limits.per_day;
        if let Some(limit) = limit.filter(|limit| state.today.spent >= *limit) {
            let message = format!("the daily limit of {limit} requests is used up until 00:00 UTC");
            return Err(PollError::new(Reason::Quota, message));
        }
        let made = Instant::now();
        state.minute.add(made);
        state.hour.add(made);
        if let Some((left, _)) = &mut state.allowance {
            *left = left.saturating_sub(1);
        }
        Ok(limit.map(|_| {
            state.today.spent += 1;
            state.today
        }))
    }

    /// Stores the count. This happens before the request, so that a crash loses none.
    async fn store_count(&self, today: Requests) {
        // a process that only shares the store would overwrite the owner's count
        let Some(store) = self.store.as_ref().filter(|store| store.is_owned()) else {
            return;
        };
        let not_until = self.state().not_stored_until;
        if not_until.is_some_and(|time| Instant::now() < time) {
            return;
        }
        let saved = store.save(Kind::Requests, &self.key, today).await;
        if let Err(error) = &saved
            && not_until.is_none()
        {
            warn!(%error, "cannot store today's request count; a restart would lose it");
        }
        self.state().not_stored_until = saved.is_err().then(|| Instant::now() + STORE_PAUSE);
    }

    /// Notes a failed request, whose answer may ask for a pause.
    pub(crate) async fn refused(&self, error: &PollError) {
        let exhausted = self.state().refused(error, Utc::now());
        if let Some(today) = exhausted {
            self.store_count(today).await;
        }
    }

    /// The daily limit and what remains of it, if there is one, for the metrics: rendered ones can outlive the
    /// account, and must not keep the lock of its application.
    pub fn budget(&self) -> impl Fn() -> Option<(u64, u64)> + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move || {
            let state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.limits.per_day.zip(state.remaining_at(Utc::now()))
        }
    }

    /// What remains of the daily limit, if there is one.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining_at(Utc::now())
    }

    fn remaining_at(&self, now: DateTime<Utc>) -> Option<u64> {
        self.state().remaining_at(now)
    }

    /// Sets the plan of an account, and logs whether all plans fit the daily limit.
    pub fn plan(&self, account: &str, plan: Plan) {
        self.state().plans.insert(account, plan);
    }

    /// Permission for a full read, unless too many are running or the recent reads of all accounts
    /// need the requests that remain until midnight, or the hour has too few left. Overdue reads take precedence over recent ones.
    pub fn try_full_read(self: &Arc<Self>, account: &str, overdue: bool) -> Option<FullRead> {
        self.try_full_read_at(account, overdue, Utc::now())
    }

    fn try_full_read_at(
        self: &Arc<Self>,
        account: &str,
        overdue: bool,
        now: DateTime<Utc>,
    ) -> Option<FullRead> {
        let permit = Arc::clone(&self.full_reads).try_acquire_owned().ok()?;
        let remaining = self.remaining_at(now);
        let mut state = self.state();
        let in_hour = state.hour.remaining(Instant::now());
        let requests = state.plans.reserve(account, overdue, remaining, in_hour, now)?;
        Some(FullRead { application: Arc::clone(self), requests, _permit: permit })
    }

    /// Waits for permission for the full read of an account without data. Nothing is reserved: its
    /// number of requests is unknown.
    pub async fn full_read(self: &Arc<Self>) -> Option<FullRead> {
        let permit = Arc::clone(&self.full_reads).acquire_owned().await.ok()?;
        Some(FullRead { application: Arc::clone(self), requests: 0.0, _permit: permit })
    }

    /// The interval in effect instead of a configured one: longer if a limit would otherwise be used
    /// up early.
    pub fn stretched(&self, interval: Duration) -> Duration {
        self.stretched_at(interval, Utc::now())
    }

    fn stretched_at(&self, interval: Duration, now: DateTime<Utc>) -> Duration {
        let by_plan = interval.mul_f64(self.state().plans.stretch());
        let Some(remaining) = self.remaining_at(now) else {
            return by_plan;
        };
        if remaining == 0 {
            // polls fail without a request until midnight, and that should show
            return by_plan;
        }
        let remaining = remaining as f64;
        let planned = self.state().plans.requests_a_day_with(remaining);
        // requests beyond the plan, made today by anything, are missing until midnight
        let left = until_midnight(now);
        let wanted = planned * left.as_secs_f64() / SECONDS_A_DAY;
        let by_rest = interval.mul_f64((wanted / remaining).clamp(1.0, SECONDS_A_DAY));
        by_plan.max(by_rest.min(left))
    }
}

/// A time of the day.
fn clock(time: DateTime<Utc>) -> impl Display {
    time.format("%H:%M:%S UTC")
}

impl Pause {
    fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.until > Instant::now() && self.day.is_none_or(|day| day == now.date_naive())
    }
}

impl Requests {
    /// Begins a new day, also if the clock went back to an earlier one.
    fn roll_over(&mut self, now: DateTime<Utc>) {
        let day = now.date_naive();
        if self.day != day {
            *self = Self { day, spent: 0 };
        }
    }
}

impl State {
    fn remaining_at(&self, now: DateTime<Utc>) -> Option<u64> {
        let limit = self.limits.per_day?;
        let is_exhausted = self
            .pause
            .as_ref()
            .is_some_and(|pause| pause.reason == Reason::Quota && pause.is_active(now));
        if is_exhausted {
            return Some(0);
        }
        let mut today = self.today;
        today.roll_over(now);
        Some(limit.saturating_sub(today.spent))
    }

    /// When the next request may be made, unless that is now, and the limit that says so.
    fn turn(&self) -> Option<(Instant, String)> {
        let told = self.allowance.filter(|(left, _)| *left == 0);
        let told =
            told.map(|(_, until)| (until, "the requests that the provider allows are".into()));
        let limit = |window: &Window| {
            let limit = window.limit?;
            let text = format!("the limit of {limit} requests per {} is", window.name);
            Some((window.next()?, text))
        };
        let turns = [told, limit(&self.minute), limit(&self.hour)];
        let last = turns.into_iter().flatten().max_by_key(|(turn, _)| *turn);
        last.filter(|(turn, _)| *turn > Instant::now())
    }

    /// Notes a failed request. Returns the day's count if the daily limit is now used up.
    fn refused(&mut self, error: &PollError, now: DateTime<Utc>) -> Option<Requests> {
        self.today.roll_over(now);
        let mut exhausted = None;
        let pause = if error.reason == Reason::Quota {
            if now.time() - NaiveTime::MIN < MIDNIGHT_MARGIN {
                MIDNIGHT_MARGIN.to_std().unwrap_or_default()
            } else {
                // the provider also counts the requests of other users of the application
                if let Some(limit) = self.limits.per_day {
                    self.today.spent = self.today.spent.max(limit);
                    exhausted = Some(self.today);
                }
                until_midnight(now)
            }
        } else {
            error.retry_after?.min(MAX_PAUSE)
        };
        let until = Instant::now().checked_add(pause)?;
        // the answer to an earlier request may ask for a shorter pause
        let active = self.pause.as_ref().filter(|pause| pause.is_active(now));
        if active.is_none_or(|active| active.until < until) {
            self.pause = Some(Pause {
                until,
                day: (error.reason == Reason::Quota).then(|| now.date_naive()),
                reason: error.reason,
                message: format!("no requests until {}: {}", clock(now + pause), error.message),
            });
        }
        exhausted
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use reqwest::header::HeaderName;
    use tempfile::TempDir;

    use super::*;
    use crate::upstream::quota::allowance::AllowanceHeaders;
    use crate::upstream::quota::plan::tests::plan;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// An application with 4 requests per second and this many per day.
    async fn application(per_day: u64) -> Arc<Application> {
        let limits = Limits { per_second: Some(4.0), per_day: Some(per_day), ..Limits::default() };
        limited(limits).await
    }

    async fn limited(limits: Limits) -> Arc<Application> {
        Arc::new(Application::new("test".to_owned(), limits, None).await)
    }

    fn refusal(reason: Reason, retry_after: Option<Duration>) -> PollError {
        PollError { retry_after, ..PollError::new(reason, "no") }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_requests_keep_an_even_pace() {
        let application = application(1_000).await;
        let begin = Instant::now();
        let times = (0..9).map(|_| async {
            application.admit().await.unwrap();
            begin.elapsed()
        });
        let mut times = futures_util::future::join_all(times).await;
        times.sort_unstable();
        assert!(times[0] < MINUTE / 1_000, "{times:?}");
        for pair in times.windows(2) {
            let next = pair[0] + Duration::from_millis(250);
            assert!(pair[1] >= next, "{times:?}");
        }
        assert!(times[8] < Duration::from_secs(3), "{times:?}");
        assert_eq!(application.remaining(), Some(991));
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_requests_than_its_limit() {
        let application = limited(Limits { per_minute: Some(2), ..Limits::default() }).await;
        let mut times = Vec::new();
        for pause in [0, 50, 0, 70, 0, 0, 0, 0] {
            tokio::time::advance(Duration::from_secs(pause)).await;
            application.admit().await.unwrap();
            times.push(Instant::now());
        }
        assert!(times.windows(3).all(|t| t[2] - t[0] > MINUTE), "{times:?}");
        assert!(times[7] - times[0] < 5 * MINUTE, "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_beyond_an_hours_limit_fail_until_there_is_room() {
        let application = limited(Limits { per_hour: Some(3), ..Limits::default() }).await;
        application.admit().await.unwrap();
        tokio::time::advance(10 * MINUTE).await;
        application.admit().await.unwrap();
        application.admit().await.unwrap();
        let error = application.admit().await.unwrap_err();
        assert_eq!(error.reason, Reason::Throttled);
        assert_eq!(error.retry_after, Some(50 * MINUTE + Duration::from_secs(1)));
        let text = error.message;
        assert!(text.starts_with("the limit of 3 requests per hour is used up until "), "{text}");
        assert!(text.ends_with(" UTC"), "{text}");
        // a short wait is worth it
        tokio::time::advance(49 * MINUTE).await;
        application.admit().await.unwrap();
        application.admit().await.unwrap_err();
        // a lower limit counts what was made
        application.reconfigure(Limits { per_hour: Some(1), ..Limits::default() }, &[]);
        tokio::time::advance(11 * MINUTE).await;
        application.admit().await.unwrap_err();
        tokio::time::advance(48 * MINUTE).await;
        application.admit().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn full_reads_wait_for_room_in_the_hour() {
        let application = limited(Limits { per_hour: Some(20), ..Limits::default() }).await;
        let now = Utc::now();
        let full = |overdue| application.try_full_read_at("a", overdue, now).is_some();
        application.plan("a", plan(1.0, 15.0));
        for _ in 0..6 {
            assert!(full(false));
            application.admit().await.unwrap();
        }
        assert!(!full(false) && !full(true));
        // a read that no hour has room for has to fail some time
        application.plan("a", plan(1.0, 21.0));
        assert!(!full(false) && full(true));
        tokio::time::advance(HOUR + MINUTE).await;
        application.plan("a", plan(1.0, 15.0));
        assert!(full(false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_tells_what_is_left() {
        let names = AllowanceHeaders {
            remaining: HeaderName::from_static("x-remaining"),
            reset: HeaderName::from_static("x-reset"),
        };
        let application = limited(Limits { headers: Some(names), ..Limits::default() }).await;
        let answer = |remaining: u64, reset: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-remaining", remaining.into());
            headers.insert("x-reset", reset.parse().unwrap());
            application.answered(&headers);
        };
        let wait = async || application.admit().await.map_err(|error| error.retry_after);
        answer(2, "600 seconds");
        assert_eq!(wait().await, Ok(()));
        assert_eq!(wait().await, Ok(()));
        assert_eq!(wait().await, Err(Some(10 * MINUTE)));
        tokio::time::advance(10 * MINUTE).await;
        assert_eq!(wait().await, Ok(()));
        // an absurd time is bounded, and an unreadable one ignored
        answer(0, "99999999");
        answer(5, "soon");
        assert_eq!(wait().await, Err(Some(MAX_PAUSE)));
        tokio::time::advance(MAX_PAUSE).await;
        assert_eq!(wait().await, Ok(()));
        // a short wait is part of the poll
        answer(0, "30");
        let begin = Instant::now();
        assert_eq!(wait().await, Ok(()));
        assert_eq!(begin.elapsed(), MINUTE / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_request_respects_a_new_pause() {
        let application = application(1_000).await;
        application.admit().await.unwrap();
        let pause = refusal(Reason::Throttled, Some(MINUTE));
        let (admitted, ()) = tokio::join!(application.admit(), application.refused(&pause));
        assert_eq!(admitted.unwrap_err().reason, Reason::Throttled);
    }

    #[tokio::test]
    async fn the_daily_limit_resets_at_midnight() {
        let application = application(2).await;
        let today = time("2026-03-01T23:59:59Z");
        assert!(application.count(today).is_ok());
        assert!(application.count(today).is_ok());
        assert_eq!(application.remaining_at(today), Some(0));
        let error = application.count(today).unwrap_err();
        assert_eq!(error.reason, Reason::Quota);
        assert!(error.message.contains("2 requests"), "{error}");
        let tomorrow = time("2026-03-02T00:00:00Z");
        assert_eq!(application.remaining_at(tomorrow), Some(2));
        assert!(application.count(tomorrow).is_ok());
        assert_eq!(application.remaining_at(tomorrow), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_exhausted_quota_lasts_until_midnight() {
        let application = application(10_000).await;
        let noon = time("2026-03-01T12:00:00Z");
        let quota = refusal(Reason::Quota, None);
        let counted = application.state().refused(&quota, noon);
        assert_eq!(counted.unwrap().spent, 10_000);
        assert_eq!(application.remaining_at(noon), Some(0));
        tokio::time::advance(11 * HOUR + 59 * MINUTE).await;
        let just_before = time("2026-03-01T23:59:00Z");
        let error = application.check_pause(just_before).unwrap_err();
        assert_eq!(error.reason, Reason::Quota);
        assert!(error.message.contains("no requests until 00:00:00 UTC: no"), "{error}");
        // by the wall clock, or by the monotonic one
        let midnight = time("2026-03-02T00:01:00Z");
        assert_eq!(application.check_pause(midnight), Ok(()));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(application.check_pause(just_before), Ok(()));
        assert_eq!(application.remaining_at(midnight), Some(10_000));

        // just after midnight it may be yesterday's quota, because clocks differ
        let counted = application.state().refused(&quota, midnight);
        assert_eq!(counted, None);
        assert_eq!(application.remaining_at(midnight), Some(0));
        tokio::time::advance(16 * MINUTE).await;
        assert_eq!(application.check_pause(midnight), Ok(()));
        assert_eq!(application.remaining_at(midnight), Some(10_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_retry_after_pauses_requests_for_an_hour_at_most() {
        let application = application(10_000).await;
        for (asked, held) in [(10 * MINUTE, 10 * MINUTE), (1_000 * HOUR, HOUR)] {
            let error = refusal(Reason::Server, Some(asked));
            application.refused(&error).await;
            tokio::time::advance(held.saturating_sub(MINUTE)).await;
            let error = application.admit().await.unwrap_err();
            assert_eq!((error.reason, error.retry_after), (Reason::Server, Some(MINUTE)));
            tokio::time::advance(MINUTE).await;
            assert_eq!(application.admit().await, Ok(()));
        }
        assert_eq!(application.remaining(), Some(9_998), "refused requests are not counted");
    }

    #[tokio::test]
    async fn the_count_survives_a_restart_but_not_the_day() {
        let folder = TempDir::new().unwrap();
        let limits = Limits { per_day: Some(100), ..Limits::default() };
        let start = async |store: &Arc<Store>| {
            let store = Some(Arc::clone(store));
            Application::new("a/b".to_owned(), limits.clone(), store).await
        };
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let first = start(&store).await;
        for _ in 0..3 {
            first.admit().await.unwrap();
        }
        assert_eq!(start(&store).await.remaining(), Some(97));
        // a process that only shares the store reads the count but does not write it
        let shared = Arc::new(Store::share(folder.path()).unwrap());
        let other = start(&shared).await;
        other.admit().await.unwrap();
        assert_eq!(other.remaining(), Some(96));
        assert_eq!(start(&store).await.remaining(), Some(97));
        let yesterday = Requests { day: Utc::now().date_naive().pred_opt().unwrap(), spent: 50 };
        store.save(Kind::Requests, "a/b", yesterday).await.unwrap();
        assert_eq!(start(&store).await.remaining(), Some(100));
    }

    #[tokio::test]
    async fn the_count_moves_to_the_next_owner() {
        let folder = TempDir::new().unwrap();
        let limits = Limits { per_day: Some(100), ..Limits::default() };
        let start = async || {
            let store = Some(Arc::new(Store::open_part(folder.path()).unwrap()));
            Application::new("a/b".to_owned(), limits.clone(), store).await
        };
        let (first, second) = (start().await, start().await);
        let tenure = first.own().await.unwrap();
        assert_ne!(tenure, Tenure::default(), "something has to be loaded");
        first.admit().await.unwrap();
        first.admit().await.unwrap();
        assert_eq!(first.own().await.unwrap(), tenure);
        let refused = second.own().await.unwrap_err();
        assert!(matches!(refused, StoreError::Elsewhere(_)), "{refused}");
        assert_eq!(second.remaining(), Some(100), "not read yet");
        drop(first);
        let tenure = second.own().await.unwrap();
        assert_eq!(second.remaining(), Some(98));
        // another one has it meanwhile
        let lock = second.ownership.lock().await.lock.take();
        drop(lock);
        let third = start().await;
        third.own().await.unwrap();
        third.admit().await.unwrap();
        assert!(second.own().await.is_err());
        drop(third);
        assert_ne!(second.own().await.unwrap(), tenure, "what was loaded is out of date");
        assert_eq!(second.remaining(), Some(97));
        // what nobody shares never changes its owner
        let alone = application(100).await;
        assert_eq!(alone.own().await.unwrap(), Tenure::default());
    }

    /// Polls like a poller from `start` to midnight. Returns the number of requests, and the longest
    /// time without one.
    fn day(application: &Arc<Application>, plan: Plan, start: DateTime<Utc>) -> (u64, TimeDelta) {
        application.plan("a", plan);
        let midnight = start + TimeDelta::from_std(until_midnight(start)).unwrap();
        let (mut now, mut last, mut requests) = (start, start, 0);
        let mut last_full = start - TimeDelta::hours(23);
        let mut longest = TimeDelta::zero();
        while now < midnight {
            let full_interval = application.stretched_at(plan.full_poll_interval, now);
            let age = (now - last_full).to_std().unwrap();
            let full = age >= full_interval
                && application.try_full_read_at("a", age > 24 * HOUR, now).is_some();
            let wanted = if full { plan.full_requests } else { plan.recent_requests };
            let mut left = wanted;
            while left > 0.0 {
                left -= 1.0;
                if application.count(now).is_ok() {
                    requests += 1;
                } else {
                    assert!(!full, "a full read does not finish, at {now}");
                }
                last = now;
            }
            last_full = if full { now } else { last_full };
            let interval = application.stretched_at(plan.poll_interval, now);
            now += TimeDelta::from_std(interval).unwrap();
            longest = longest.max(now.min(midnight) - last);
        }
        (requests, longest)
    }

    #[tokio::test]
    async fn a_small_daily_limit_lasts_until_midnight() {
        for (limit, plan, longest) in [
            // enough
            (10_000, plan(2.0, 20.0), 5),
            // a tenth of what is planned
            (10_000, plan(200.0, 2_000.0), 120),
            // not even one full read per day
            (100, plan(1.0, 95.0), 540),
            (300, plan(1.0, 1.0), 6),
        ] {
            let morning = time("2026-03-01T00:00:00Z");
            let (requests, pause) = day(&application(limit).await, plan, morning);
            assert!(requests <= limit, "{plan:?}");
            assert!(pause <= TimeDelta::minutes(longest), "{pause} {plan:?}");
        }
        // most of it was used in the morning
        let application = application(1_000).await;
        let noon = time("2026-03-01T12:00:00Z");
        for _ in 0..900 {
            application.count(noon).unwrap().unwrap();
        }
        let (requests, pause) = day(&application, plan(1.0, 5.0), noon);
        assert!(requests <= 100 && pause < TimeDelta::minutes(45), "{requests} {pause}");
    }

    #[tokio::test]
    async fn intervals_are_stretched_only_beyond_the_daily_limit() {
        let application = application(10_000).await;
        let morning = time("2026-03-01T00:00:00Z");
        let plan = plan(2.0, 10.0);
        application.plan("a", plan);
        assert_eq!(application.stretched_at(5 * MINUTE, morning), 5 * MINUTE);
        // accounts of one application add up
        for account in 0..23 {
            application.plan(&account.to_string(), plan);
        }
        let stretched = application.stretched_at(5 * MINUTE, morning).as_secs_f64() / 300.0;
        assert!((stretched - 24.0 * 768.0 / 9_000.0).abs() < 0.01, "{stretched}");
    }

    #[tokio::test]
    async fn full_reads_are_limited_in_number_and_requests() {
        let application = application(1_000).await;
        let evening = time("2026-03-01T23:00:00Z");
        let plan = plan(1.0, 400.0);
        for account in ["a", "b", "c", "d"] {
            application.plan(account, plan);
        }
        let full = |account| application.try_full_read_at(account, false, evening);
        let (first, second) = (full("a"), full("b"));
        assert!(first.is_some() && second.is_some());
        assert!(full("c").is_none(), "200 requests are left for it");
        drop(first);
        let third = full("c");
        assert!(third.is_some());
        drop((second, third));
        // a new account has no plan; three reads run at a time
        let reads: Vec<_> = (0..4).map(|_| full("new")).collect();
        assert_eq!(reads.iter().flatten().count(), 3);
        assert!(application.full_read().now_or_never().is_none());
        drop(reads);
        assert!(application.full_read().now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn any_configured_rate_is_possible() {
        for per_second in [1e-300, 1e-12, 0.001, 10_000.0] {
            let limits = Limits { per_second: Some(per_second), ..Limits::default() };
            let application = Application::new("x".to_owned(), limits, None).await;
            application.admit().await.unwrap();
        }
    }
}
