//! What shares a quota: the requests of one application, per second and per day.
//!
//! At some providers all accounts of one registered application share a quota, which resets at 00:00
//! UTC. Elsewhere each account is an application of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::pace::Pace;
use crate::storage::store::{Kind, Store};
use crate::upstream::{PollError, Reason};

/// Longest time that a provider can keep an application from asking, other than by the day's quota:
/// a `Retry-After` of years is a mistake.
pub(crate) const MAX_HOLD: Duration = Duration::from_hours(1);

/// How long after midnight "the quota is exceeded" may still mean yesterday's: clocks differ.
const MIDNIGHT_MARGIN: TimeDelta = TimeDelta::minutes(15);

/// Time between two requests to an authorisation server, which takes about one a second; a little
/// more, since requests do not all travel equally fast.
pub(crate) const TOKEN_PERIOD: Duration = Duration::from_millis(1_200);

/// Reads of all campaigns at the same time: many at once would share the pace until none of them is
/// done in time, and one that hangs must not keep the others waiting.
const FULL_READS: usize = 3;

/// Longest period of a pace.
const MAX_PERIOD: Duration = Duration::from_hours(24);

/// How long the count of requests is not kept after that has failed: a disk that hangs or is full
/// must not hold each request.
const STORE_PAUSE: Duration = Duration::from_mins(1);

/// The part of the day's requests that polls are planned to use; the rest is for retries and for
/// what else uses the application.
const PLANNED_SHARE: f64 = 0.9;

/// Least change of the stretching that is worth another line in the log.
const STRETCH_LOGGED: f64 = 0.2;

const SECONDS_A_DAY: f64 = 86_400.0;

/// How many requests an application may make.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// In a second.
    pub per_second: Option<f64>,
    /// From 00:00 UTC to 00:00 UTC.
    pub per_day: Option<u64>,
}

impl Limits {
    /// The stricter of each.
    fn least(self, other: Self) -> Self {
        let per_second = [self.per_second, other.per_second].into_iter().flatten();
        Self {
            per_second: per_second.reduce(f64::min),
            per_day: [self.per_day, other.per_day].into_iter().flatten().min(),
        }
    }
}

/// What polling an account costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How often its recent campaigns are read.
    pub poll_interval: Duration,
    /// How often all of them are.
    pub full_poll_interval: Duration,
    /// The requests of a read of the recent ones.
    pub recent_requests: f64,
    /// The requests of a read of all.
    pub full_requests: f64,
}

impl Plan {
    fn requests_a_day(&self) -> f64 {
        let times = SECONDS_A_DAY / self.full_interval().as_secs_f64();
        self.recent_requests_a_day() + times * self.full_requests
    }

    /// Every full read takes the place of one of the recent campaigns.
    fn recent_requests_a_day(&self) -> f64 {
        let times = |interval: Duration| SECONDS_A_DAY / interval.as_secs_f64();
        (times(self.poll_interval) - times(self.full_interval())) * self.recent_requests
    }

    fn full_interval(&self) -> Duration {
        self.full_poll_interval.max(self.poll_interval)
    }
}

/// An application at its provider.
#[derive(Debug)]
pub struct Application {
    name: String,
    store: Option<Arc<Store>>,
    state: Mutex<State>,
    /// One at a time counts a request and keeps the count.
    counting: tokio::sync::Mutex<()>,
    /// One at a time refreshes tokens of the application.
    pub(crate) refreshing: tokio::sync::Mutex<()>,
    /// Places for reads of all campaigns.
    full_reads: Arc<Semaphore>,
    /// What all applications share.
    pub(crate) renewals: Renewals,
}

/// What the renewals of tokens of all applications share.
#[derive(Clone, Debug)]
pub(crate) struct Renewals {
    /// The pace of requests to authorisation servers.
    pub(crate) pace: Arc<Pace>,
    /// Those under way, which go on when whoever asked for them is gone: a token that was replaced
    /// and not kept would be lost.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when no other is to begin.
    pub(crate) stop: CancellationToken,
    /// What a person adds to a command so that it finds the exporter's files.
    pub(crate) flags: String,
}

impl Renewals {
    fn new(flags: String) -> Self {
        Self {
            pace: Arc::new(Pace::new(TOKEN_PERIOD)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            flags,
        }
    }
}

/// A read of all campaigns of an account, for which a place and requests are kept until it is
/// dropped.
#[derive(Debug)]
pub struct FullRead {
    application: Arc<Application>,
    requests: f64,
    _place: OwnedSemaphorePermit,
}

impl Drop for FullRead {
    fn drop(&mut self) {
        self.application.state().reserved -= self.requests;
    }
}

#[derive(Debug)]
struct State {
    limits: Limits,
    pace: Option<Arc<Pace>>,
    today: Requests,
    hold: Option<Hold>,
    plans: BTreeMap<String, Plan>,
    /// Requests that full reads under way may need.
    reserved: f64,
    /// The stretch that was logged last.
    logged: f64,
    /// Until when the count is not kept, since that has failed.
    not_stored_until: Option<Instant>,
}

/// The requests of a day, as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    day: NaiveDate,
    spent: u64,
}

/// The provider wants no requests for a while.
#[derive(Clone, Debug)]
struct Hold {
    until: Instant,
    /// The day that the provider calls spent: it is over, too, when the clock says so.
    day: Option<NaiveDate>,
    reason: Reason,
    why: String,
}

impl Application {
    async fn new(
        name: String,
        limits: Limits,
        store: Option<Arc<Store>>,
        renewals: Renewals,
    ) -> Self {
        let day = Utc::now().date_naive();
        let mut today = Requests { day, spent: 0 };
        if let Some(store) = &store {
            match store.load::<Requests>(Kind::Requests, &name).await {
                Ok(Some(kept)) if kept.day == day => today = kept,
                Ok(_) => {}
                Err(error) => warn!(%error, "today's requests so far are not known"),
            }
        }
        let application = Self {
            name,
            store,
            state: Mutex::new(State {
                limits: Limits::default(),
                pace: None,
                today,
                hold: None,
                plans: BTreeMap::new(),
                reserved: 0.0,
                logged: 1.0,
                not_stored_until: None,
            }),
            counting: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            full_reads: Arc::new(Semaphore::new(FULL_READS)),
            renewals,
        };
        application.set_limits(limits);
        application
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
        state.limits = limits;
        state.log_stretch();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a request may be made, and counts it; or says why there can be none for now.
    pub(crate) async fn admit(&self) -> Result<(), PollError> {
        self.check_hold()?;
        let pace = self.state().pace.clone();
        if let Some(pace) = pace {
            pace.wait().await;
        }
        let _counting = self.counting.lock().await;
        // another request may have been refused meanwhile
        self.check_hold()?;
        if let Some(today) = self.count(Utc::now())? {
            self.store_count(today).await;
        }
        Ok(())
    }

    fn check_hold(&self) -> Result<(), PollError> {
        self.check_hold_at(Utc::now())
    }

    fn check_hold_at(&self, now: DateTime<Utc>) -> Result<(), PollError> {
        let state = self.state();
        match &state.hold {
            Some(hold) if hold.is_in_force(now) => {
                let mut error = PollError::new(hold.reason, hold.why.clone());
                error.retry_after = hold.until.checked_duration_since(Instant::now());
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request against the day's limit. Returns the count where there is one.
    fn count(&self, now: DateTime<Utc>) -> Result<Option<Requests>, PollError> {
        let mut state = self.state();
        state.today.roll_over(now);
        let Some(limit) = state.limits.per_day else {
            return Ok(None);
        };
        if state.today.spent >= limit {
            let message = format!("the day's {limit} requests are spent: waiting for 00:00 UTC");
            return Err(PollError::new(Reason::Quota, message));
        }
        state.today.spent += 1;
        Ok(Some(state.today))
    }

    /// Before the request, so that a crash forgets none.
    async fn store_count(&self, today: Requests) {
        // whoever only shares the store would overwrite the owner's count
        let Some(store) = self.store.as_ref().filter(|store| store.is_owned()) else {
            return;
        };
        let not_until = self.state().not_stored_until;
        if not_until.is_some_and(|time| Instant::now() < time) {
            return;
        }
        let saved = store.save(Kind::Requests, &self.name, today).await;
        if let Err(error) = &saved
            && not_until.is_none()
        {
            warn!(%error, "the day's requests cannot be kept: a restart would forget them");
        }
        self.state().not_stored_until = saved.is_err().then(|| Instant::now() + STORE_PAUSE);
    }

    /// Takes note of an answer that asks for a pause.
    pub(crate) async fn refused(&self, error: &PollError) {
        let exhausted = self.state().refused(error, Utc::now());
        if let Some(today) = exhausted {
            self.store_count(today).await;
        }
    }

    /// The day's requests, where there is a limit.
    pub fn limit(&self) -> Option<u64> {
        self.state().limits.per_day
    }

    /// What is left of the day's requests, where there is a limit.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining_at(Utc::now())
    }

    fn remaining_at(&self, now: DateTime<Utc>) -> Option<u64> {
        let state = self.state();
        let limit = state.limits.per_day?;
        let hold = state.hold.as_ref();
        let is_spent =
            hold.is_some_and(|hold| hold.reason == Reason::Quota && hold.is_in_force(now));
        let mut today = state.today;
        today.roll_over(now);
        Some(if is_spent {
            0
        } else {
            limit.saturating_sub(today.spent)
        })
    }

    /// Takes note of what polling an account costs, and warns where that is too much.
    pub fn plan(&self, account: &str, plan: Plan) {
        let mut state = self.state();
        state.plans.insert(account.to_owned(), plan);
        state.log_stretch();
    }

    /// A read of all of an account's campaigns, if there is a place for it and it leaves enough for
    /// the recent ones of all accounts until midnight. One that is overdue has to do with what is
    /// left.
    pub fn try_full_read(self: &Arc<Self>, account: &str, overdue: bool) -> Option<FullRead> {
        self.try_full_read_at(account, overdue, Utc::now())
    }

    fn try_full_read_at(
        self: &Arc<Self>,
        account: &str,
        overdue: bool,
        now: DateTime<Utc>,
    ) -> Option<FullRead> {
        let place = Arc::clone(&self.full_reads).try_acquire_owned().ok()?;
        let remaining = self.remaining_at(now);
        let mut state = self.state();
        let requests = state.afforded_full_read(account, overdue, remaining, now)?;
        state.reserved += requests;
        Some(FullRead {
            application: Arc::clone(self),
            requests,
            _place: place,
        })
    }

    /// A read of all campaigns of an account of which nothing is known. Waits for a place; whether
    /// the day's requests suffice is found out then.
    pub async fn full_read(self: &Arc<Self>) -> Option<FullRead> {
        let place = Arc::clone(&self.full_reads).acquire_owned().await.ok()?;
        Some(FullRead {
            application: Arc::clone(self),
            requests: 0.0,
            _place: place,
        })
    }

    /// How often an account is read that should be read every `interval`: more seldom where the
    /// application would not get through the day otherwise.
    pub fn stretched(&self, interval: Duration) -> Duration {
        self.stretched_at(interval, Utc::now())
    }

    fn stretched_at(&self, interval: Duration, now: DateTime<Utc>) -> Duration {
        let by_plan = interval.mul_f64(self.state().stretch());
        let Some(remaining) = self.remaining_at(now) else {
            return by_plan;
        };
        if remaining == 0 {
            // polls fail without a request until midnight, and are seen to
            return by_plan;
        }
        let planned = self.state().planned_with(remaining as f64);
        // what was spent today, on whatever, is missing until midnight
        let left = until_midnight(now);
        let wanted = planned * left.as_secs_f64() / SECONDS_A_DAY;
        let by_rest = interval.mul_f64((wanted / (remaining as f64)).clamp(1.0, SECONDS_A_DAY));
        by_plan.max(by_rest.min(left))
    }
}

impl Hold {
    fn is_in_force(&self, now: DateTime<Utc>) -> bool {
        self.until > Instant::now() && self.day.is_none_or(|day| day == now.date_naive())
    }
}

impl Requests {
    /// Begins a new day, also where the clock went back to an earlier one.
    fn roll_over(&mut self, now: DateTime<Utc>) {
        let day = now.date_naive();
        if self.day != day {
            *self = Self { day, spent: 0 };
        }
    }
}

impl State {
    /// Takes note of a refusal. Returns the day's count where that is spent now.
    fn refused(&mut self, error: &PollError, now: DateTime<Utc>) -> Option<Requests> {
        self.today.roll_over(now);
        let mut exhausted = None;
        let pause = if error.reason == Reason::Quota {
            if now.time() - NaiveTime::MIN < MIDNIGHT_MARGIN {
                MIDNIGHT_MARGIN.to_std().unwrap_or_default()
            } else {
                // what else uses the application is not counted here: the provider knows better
                if let Some(limit) = self.limits.per_day {
                    self.today.spent = self.today.spent.max(limit);
                    exhausted = Some(self.today);
                }
                until_midnight(now)
            }
        } else {
            error.retry_after?.min(MAX_HOLD)
        };
        let until = Instant::now().checked_add(pause)?;
        // a request that was under way may be told less
        let known = self.hold.as_ref().filter(|hold| hold.is_in_force(now));
        if known.is_none_or(|hold| hold.until < until) {
            self.hold = Some(Hold {
                until,
                day: (error.reason == Reason::Quota).then(|| now.date_naive()),
                reason: error.reason,
                why: format!("not asked again yet: {}", error.message),
            });
        }
        exhausted
    }

    /// What a full read of an account may need, if that leaves enough for the rest of the day.
    fn afforded_full_read(
        &self,
        account: &str,
        overdue: bool,
        remaining: Option<u64>,
        now: DateTime<Utc>,
    ) -> Option<f64> {
        let (Some(remaining), Some(plan)) = (remaining, self.plans.get(account)) else {
            return Some(0.0);
        };
        let rest = until_midnight(now).as_secs_f64() / SECONDS_A_DAY;
        let recent = if overdue {
            0.0
        } else {
            self.planned_recent() * rest / self.stretch()
        };
        let left = remaining as f64 - self.reserved;
        (left >= plan.full_requests + recent).then_some(plan.full_requests)
    }

    fn planned_recent(&self) -> f64 {
        self.plans.values().map(Plan::recent_requests_a_day).sum()
    }

    /// The requests a day that are planned while so many are left, which may not suffice for any
    /// full read.
    fn planned_with(&self, remaining: f64) -> f64 {
        let full = self.plans.values().map(|plan| plan.full_requests);
        if full.fold(f64::INFINITY, f64::min) <= remaining {
            self.planned()
        } else {
            self.planned_recent()
        }
    }

    fn planned(&self) -> f64 {
        self.plans.values().map(Plan::requests_a_day).sum()
    }

    /// How many times longer than configured the intervals have to be.
    fn stretch(&self) -> f64 {
        match self.limits.per_day {
            Some(limit) => (self.planned() / (limit as f64 * PLANNED_SHARE)).max(1.0),
            None => 1.0,
        }
    }

    fn log_stretch(&mut self) {
        let stretch = self.stretch();
        let Some(limit) = self.limits.per_day else {
            return;
        };
        let begins_or_ends = (stretch > 1.0) != (self.logged > 1.0);
        if !begins_or_ends && (stretch - self.logged).abs() <= STRETCH_LOGGED * self.logged {
            return;
        }
        self.logged = stretch;
        let accounts: Vec<&str> = self.plans.keys().map(String::as_str).collect();
        let accounts = accounts.join(",");
        let planned = self.planned().round();
        if stretch > 1.0 {
            let stretched = format!("{stretch:.1}");
            warn!(
                accounts,
                planned_requests_a_day = planned,
                requests_per_day = limit,
                stretched,
                "more requests a day are planned than there are: poll intervals are stretched; \
                 raise poll_interval or full_poll_interval, or shorten recent or lookback"
            );
        } else {
            info!(
                accounts,
                planned_requests_a_day = planned,
                requests_per_day = limit,
                "the planned requests fit into the day again"
            );
        }
    }
}

fn until_midnight(now: DateTime<Utc>) -> Duration {
    let tomorrow = now
        .date_naive()
        .checked_add_days(Days::new(1))
        .unwrap_or(NaiveDate::MAX);
    let midnight = tomorrow.and_time(NaiveTime::MIN).and_utc();
    (midnight - now).to_std().unwrap_or_default()
}

/// The day's requests, those there are and those that are left, as metrics of one account.
#[derive(Debug)]
pub struct Budget {
    application: Arc<Application>,
    limit: Gauge,
    remaining: Gauge,
}

impl Budget {
    /// The metrics with the labels of an account.
    pub fn new(
        application: Arc<Application>,
        provider: &str,
        account: &str,
    ) -> prometheus::Result<Self> {
        let gauge = |name, help| {
            let opts = Opts::new(name, help)
                .const_label("provider", provider)
                .const_label("account", account);
            Gauge::with_opts(opts)
        };
        Ok(Self {
            application,
            limit: gauge(
                "campaign_account_api_requests_limit",
                "Requests a day that the application may make to which the account belongs.",
            )?,
            remaining: gauge(
                "campaign_account_api_requests_remaining",
                "Requests left until 00:00 UTC to the application that the account belongs to.",
            )?,
        })
    }
}

impl Collector for Budget {
    fn desc(&self) -> Vec<&Desc> {
        [self.limit.desc(), self.remaining.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (Some(limit), Some(remaining)) =
            (self.application.limit(), self.application.remaining())
        else {
            return Vec::new();
        };
        self.limit.set(limit as f64);
        self.remaining.set(remaining as f64);
        [self.limit.collect(), self.remaining.collect()].concat()
    }
}

/// The applications of all accounts. What accounts share is here once.
#[derive(Debug)]
pub struct Applications {
    store: Option<Arc<Store>>,
    known: BTreeMap<String, Arc<Application>>,
    renewals: Renewals,
}

impl Applications {
    /// None yet. What they have to remember is kept in `store`. `flags` is what a person adds to a
    /// command so that it finds the exporter's files.
    pub fn new(store: Option<Arc<Store>>, flags: String) -> Self {
        Self {
            store,
            known: BTreeMap::new(),
            renewals: Renewals::new(flags),
        }
    }

    /// These are the accounts now, by name, with the limits that their configuration gives.
    pub async fn configure<'a>(
        &mut self,
        accounts: impl Iterator<Item = (&'a str, String, Limits)>,
    ) {
        let mut wanted: BTreeMap<String, (Limits, Vec<&str>)> = BTreeMap::new();
        for (account, key, limits) in accounts {
            let entry = wanted.entry(key).or_insert((limits, Vec::new()));
            entry.0 = entry.0.least(limits);
            entry.1.push(account);
        }
        let mut before = std::mem::take(&mut self.known);
        for (name, (limits, accounts)) in wanted {
            let application = if let Some(known) = before.remove(&name) {
                let is_left = |account: &String| accounts.contains(&account.as_str());
                known.state().plans.retain(|account, _| is_left(account));
                known.set_limits(limits);
                known
            } else {
                let (store, renewals) = (self.store.clone(), self.renewals.clone());
                Arc::new(Application::new(name.clone(), limits, store, renewals).await)
            };
            self.known.insert(name, application);
        }
    }

    /// Waits for the refreshes of tokens that are under way.
    pub async fn finish(&self) {
        self.renewals.stop.cancel();
        self.renewals.tasks.close();
        self.renewals.tasks.wait().await;
    }

    /// The application of an account, which has to be configured.
    pub fn of(&self, key: &str) -> Option<Arc<Application>> {
        self.known.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tempfile::TempDir;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// 4 requests a second and so many a day.
    async fn application(per_day: u64) -> Arc<Application> {
        let limits = Limits {
            per_second: Some(4.0),
            per_day: Some(per_day),
        };
        let name = "test".to_owned();
        Arc::new(Application::new(name, limits, None, renewals()).await)
    }

    /// With the intervals that are the default.
    fn plan(recent_requests: f64, full_requests: f64) -> Plan {
        Plan {
            poll_interval: 5 * MINUTE,
            full_poll_interval: HOUR,
            recent_requests,
            full_requests,
        }
    }

    fn renewals() -> Renewals {
        Renewals::new(String::new())
    }

    fn refusal(reason: Reason, retry_after: Option<Duration>) -> PollError {
        PollError {
            retry_after,
            ..PollError::new(reason, "no")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_an_even_pace_whoever_makes_them() {
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

    #[tokio::test]
    async fn a_day_has_so_many_requests_and_the_next_one_has_them_again() {
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
    async fn a_spent_quota_is_asked_about_again_after_midnight() {
        let application = application(10_000).await;
        let noon = time("2026-03-01T12:00:00Z");
        let quota = refusal(Reason::Quota, None);
        let kept = application.state().refused(&quota, noon);
        // a restart has to know, too
        assert_eq!(kept.unwrap().spent, 10_000);
        assert_eq!(application.remaining_at(noon), Some(0));
        tokio::time::advance(11 * HOUR + 59 * MINUTE).await;
        let just_before = time("2026-03-01T23:59:00Z");
        let error = application.check_hold_at(just_before).unwrap_err();
        assert_eq!(error.reason, Reason::Quota);
        assert!(error.message.contains("not asked again yet: no"), "{error}");
        // by the clock of the day, or by the one that never jumps
        let midnight = time("2026-03-02T00:01:00Z");
        assert_eq!(application.check_hold_at(midnight), Ok(()));
        tokio::time::advance(2 * MINUTE).await;
        assert_eq!(application.check_hold_at(just_before), Ok(()));
        assert_eq!(application.remaining_at(midnight), Some(10_000));

        // just after midnight it may be yesterday's: the clocks need not agree
        let kept = application.state().refused(&quota, midnight);
        assert_eq!(kept, None);
        assert_eq!(application.remaining_at(midnight), Some(0));
        tokio::time::advance(16 * MINUTE).await;
        assert_eq!(application.check_hold_at(midnight), Ok(()));
        assert_eq!(application.remaining_at(midnight), Some(10_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_retry_after_holds_the_application_for_an_hour_at_most() {
        let application = application(10_000).await;
        for (asked, held) in [(10 * MINUTE, 10 * MINUTE), (1_000 * HOUR, HOUR)] {
            let error = refusal(Reason::Server, Some(asked));
            application.refused(&error).await;
            tokio::time::advance(held.saturating_sub(MINUTE)).await;
            let error = application.admit().await.unwrap_err();
            assert_eq!(
                (error.reason, error.retry_after),
                (Reason::Server, Some(MINUTE))
            );
            tokio::time::advance(MINUTE).await;
            assert_eq!(application.admit().await, Ok(()));
        }
        assert_eq!(
            application.remaining(),
            Some(9_998),
            "what is held back is not counted"
        );
    }

    #[tokio::test]
    async fn the_count_outlives_the_process_and_not_the_day() {
        let folder = TempDir::new().unwrap();
        let limits = Limits {
            per_second: None,
            per_day: Some(100),
        };
        let start = async |store: &Arc<Store>| {
            let store = Some(Arc::clone(store));
            Application::new("a/b".to_owned(), limits, store, renewals()).await
        };
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let first = start(&store).await;
        for _ in 0..3 {
            first.admit().await.unwrap();
        }
        assert_eq!(start(&store).await.remaining(), Some(97));
        // whoever only shares the store knows the count and leaves it alone
        let shared = Arc::new(Store::share(folder.path()).unwrap());
        let beside = start(&shared).await;
        beside.admit().await.unwrap();
        assert_eq!(beside.remaining(), Some(96));
        assert_eq!(start(&store).await.remaining(), Some(97));
        let yesterday = Requests {
            day: Utc::now().date_naive().pred_opt().unwrap(),
            spent: 50,
        };
        store.save(Kind::Requests, "a/b", yesterday).await.unwrap();
        assert_eq!(start(&store).await.remaining(), Some(100));
    }

    /// Polls for a day as a poller does, from `start` on. Returns the requests made, and the
    /// longest time without any.
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
                && application
                    .try_full_read_at("a", age > 24 * HOUR, now)
                    .is_some();
            let wanted = if full {
                plan.full_requests
            } else {
                plan.recent_requests
            };
            let mut left = wanted;
            while left > 0.0 {
                left -= 1.0;
                if application.count(now).is_ok() {
                    requests += 1;
                } else {
                    assert!(!full, "a full read that cannot be finished, at {now}");
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
    async fn a_budget_that_is_too_small_lasts_until_midnight_all_the_same() {
        for (limit, plan, longest) in [
            // it fits
            (10_000, plan(2.0, 20.0), 5),
            // ten times too much
            (10_000, plan(200.0, 2_000.0), 120),
            // not even one full read a day beside the recent ones
            (100, plan(1.0, 95.0), 540),
            (300, plan(1.0, 1.0), 6),
        ] {
            let morning = time("2026-03-01T00:00:00Z");
            let (requests, pause) = day(&application(limit).await, plan, morning);
            assert!(requests <= limit, "{plan:?}");
            assert!(pause <= TimeDelta::minutes(longest), "{pause} {plan:?}");
        }
        // most of it was spent in the morning, on whatever
        let application = application(1_000).await;
        let noon = time("2026-03-01T12:00:00Z");
        for _ in 0..900 {
            application.count(noon).unwrap().unwrap();
        }
        let (requests, pause) = day(&application, plan(1.0, 5.0), noon);
        assert!(
            requests <= 100 && pause < TimeDelta::minutes(45),
            "{requests} {pause}"
        );
    }

    #[tokio::test]
    async fn intervals_are_as_configured_while_the_budget_suffices() {
        let application = application(10_000).await;
        let morning = time("2026-03-01T00:00:00Z");
        let plan = plan(2.0, 10.0);
        // 264 recent reads and 24 full ones
        assert!((plan.requests_a_day() - 768.0).abs() < 1e-6);
        application.plan("a", plan);
        assert_eq!(application.stretched_at(5 * MINUTE, morning), 5 * MINUTE);
        // accounts of one application add up
        for account in 0..23 {
            application.plan(&account.to_string(), plan);
        }
        let stretched = application.stretched_at(5 * MINUTE, morning).as_secs_f64() / 300.0;
        assert!(
            (stretched - 24.0 * 768.0 / 9_000.0).abs() < 0.01,
            "{stretched}"
        );
    }

    #[tokio::test]
    async fn full_reads_leave_each_other_places_and_requests() {
        let application = application(1_000).await;
        let evening = time("2026-03-01T23:00:00Z");
        let plan = plan(1.0, 400.0);
        for account in ["a", "b", "c", "d"] {
            application.plan(account, plan);
        }
        let full = |account| application.try_full_read_at(account, false, evening);
        let (first, second) = (full("a"), full("b"));
        assert!(first.is_some() && second.is_some());
        assert!(full("c").is_none(), "200 are left for it");
        drop(first);
        let third = full("c");
        assert!(third.is_some());
        drop((second, third));
        // of an account that is new nothing is known, and three are enough at a time
        let reads: Vec<_> = (0..4).map(|_| full("new")).collect();
        assert_eq!(reads.iter().flatten().count(), 3);
        assert!(application.full_read().now_or_never().is_none());
        drop(reads);
        assert!(application.full_read().now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn the_pace_of_any_configured_rate_can_be_kept() {
        for per_second in [1e-300, 1e-12, 0.001, 10_000.0] {
            let limits = Limits {
                per_second: Some(per_second),
                per_day: None,
            };
            let application = Application::new("x".to_owned(), limits, None, renewals()).await;
            application.admit().await.unwrap();
        }
    }

    #[test]
    fn the_documented_requests_per_day_are_right() {
        let document = include_str!("../../../docs/scale.md");
        let row = |campaigns: &str| {
            let start = format!("| {campaigns} |");
            let mut lines = document.lines();
            lines.find(|line| line.starts_with(&start)).unwrap()
        };
        // of 30 days of campaigns, 3 days and 3 hours are read at each poll
        for (campaigns, pages) in [
            ("100", [(2.0, 1.0), (1.0, 1.0), (2.0, 2.0)]),
            ("1,000", [(20.0, 3.0), (6.0, 1.0), (2.0, 2.0)]),
            ("10,000", [(200.0, 21.0), (51.0, 6.0), (11.0, 3.0)]),
        ] {
            let mut cells = row(campaigns).split('|').skip(2);
            for (full_requests, recent_requests) in pages {
                let plan = plan(recent_requests, full_requests);
                let sums = [plan.requests_a_day(), 288.0 * full_requests];
                let cell = cells.next().unwrap().replace([',', '(', ')'], "");
                let told: Vec<f64> = cell
                    .split_whitespace()
                    .map(|sum| sum.parse().unwrap())
                    .collect();
                assert!(
                    told.iter()
                        .zip(sums)
                        .all(|(told, sum)| (told - sum).abs() < 0.5),
                    "{campaigns}: {told:?} {sums:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn accounts_of_one_client_share_an_application() {
        let limits = |per_day| Limits {
            per_second: None,
            per_day: Some(per_day),
        };
        let mut applications = Applications::new(None, String::new());
        let accounts = [
            ("a", "client".to_owned(), limits(100)),
            ("b", "client".to_owned(), limits(50)),
            ("c", "other".to_owned(), limits(100)),
            ("d", "d".to_owned(), limits(100)),
            ("e", "e".to_owned(), limits(100)),
            ("f", "smsup".to_owned(), limits(100)),
        ];
        applications.configure(accounts.into_iter()).await;
        let of = |key| applications.of(key).unwrap();
        let a = of("client");
        assert!(Arc::ptr_eq(&a, &of("client")));
        assert_eq!(a.remaining(), Some(50), "the stricter limit holds");
        assert!(!Arc::ptr_eq(&a, &of("other")));
        assert!(!Arc::ptr_eq(&of("d"), &of("e")));
        // authorisation servers have one pace for all
        let pace = |application: &Application| Arc::clone(&application.renewals.pace);
        assert!(Arc::ptr_eq(&pace(&a), &pace(&of("other"))));

        // what was spent stays spent under other limits, and plans leave with their accounts
        a.admit().await.unwrap();
        let plan = Plan {
            poll_interval: MINUTE,
            full_poll_interval: MINUTE,
            recent_requests: 1.0,
            full_requests: 1.0,
        };
        a.plan("a", plan);
        a.plan("b", plan);
        let accounts = [("a", "client".to_owned(), limits(10))];
        applications.configure(accounts.into_iter()).await;
        assert!(applications.of("other").is_none());
        let again = applications.of("client").unwrap();
        assert!(Arc::ptr_eq(&a, &again));
        assert_eq!(again.remaining(), Some(9));
        assert_eq!(again.state().plans.len(), 1);
    }

    #[test]
    fn published_limits_hold_where_none_are_configured() {
        let configured = Limits {
            per_second: Some(10.0),
            per_day: None,
        };
        let both = configured.least(Limits {
            per_second: Some(4.0),
            per_day: Some(7),
        });
        assert_eq!((both.per_second, both.per_day), (Some(4.0), Some(7)));
    }
}
