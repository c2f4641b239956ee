//! What shares a quota: the requests of one application, in a second and in a day.
//!
//! Constant Contact calls it so: whatever is registered under one `client_id` has 4 requests a
//! second and 10,000 a day, all accounts together, until 00:00 UTC. Elsewhere each account is one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::oauth::TOKEN_PERIOD;
use super::{PollError, Reason, Settings};
use crate::store::{Kind, Store};

/// Longest time that a provider can keep an application from asking, other than by the day's quota:
/// a `Retry-After` of years is a mistake.
const MAX_HOLD: Duration = Duration::from_hours(1);

/// How long after midnight "the quota is exceeded" may still mean yesterday's: clocks differ.
const MIDNIGHT_MARGIN: TimeDelta = TimeDelta::minutes(15);

/// The part of the day's requests that polls are planned to use; the rest is for retries and for
/// what else uses the application.
const PLANNED_SHARE: f64 = 0.9;

/// Least change of the stretching that is worth another line in the log.
const STRETCH_TOLD: f64 = 0.2;

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
        let times = |interval: Duration| SECONDS_A_DAY / interval.as_secs_f64();
        let polls = times(self.poll_interval);
        let full = times(self.full_poll_interval.max(self.poll_interval));
        (polls - full) * self.recent_requests + full * self.full_requests
    }
}

/// An even pace of requests, first come, first served.
#[derive(Debug)]
pub(super) struct Pace {
    limiter: DefaultDirectRateLimiter,
    turn: Mutex<()>,
}

impl Pace {
    /// One request every `period`, never two at once: what counts in whole seconds at the provider
    /// is then never more than allowed.
    pub(super) fn new(period: Duration) -> Self {
        let quota = Quota::with_period(period.max(Duration::from_nanos(1)));
        // none only of a period of 0
        let quota = quota.unwrap_or(Quota::per_second(std::num::NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::direct(quota),
            turn: Mutex::new(()),
        }
    }

    /// Waits for a place.
    pub(super) async fn wait(&self) {
        let _turn = self.turn.lock().await;
        while let Err(early) = self.limiter.check() {
            tokio::time::sleep(early.wait_time_from(DefaultClock::default().now())).await;
        }
    }
}

/// An application at its provider.
#[derive(Debug)]
pub struct Application {
    name: String,
    store: Option<Arc<Store>>,
    state: watch::Sender<State>,
    /// One at a time counts a request and keeps the count.
    counting: Mutex<()>,
    /// One at a time refreshes tokens of the application.
    pub(super) refreshing: Mutex<()>,
    /// The pace of requests to its authorisation server, which other applications share.
    pub(super) token_pace: Option<Arc<Pace>>,
    /// Refreshes under way, which go on when whoever asked for them is gone: a token that was
    /// replaced and not kept would be lost.
    pub(super) refreshes: TaskTracker,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    pace: Option<Arc<Pace>>,
    today: Requests,
    hold: Option<Hold>,
    plans: BTreeMap<String, Plan>,
    /// The stretching that the log knows of.
    told: f64,
}

/// The requests of a day, as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Requests {
    day: NaiveDate,
    spent: u64,
}

/// The provider wants no requests for a while.
#[derive(Clone, Debug)]
struct Hold {
    until: Instant,
    reason: Reason,
    why: String,
}

impl Application {
    async fn new(
        name: String,
        limits: Limits,
        store: Option<Arc<Store>>,
        token_pace: Option<Arc<Pace>>,
        refreshes: TaskTracker,
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
            state: watch::Sender::new(State {
                limits: Limits::default(),
                pace: None,
                today,
                hold: None,
                plans: BTreeMap::new(),
                told: 1.0,
            }),
            counting: Mutex::new(()),
            refreshing: Mutex::new(()),
            token_pace,
            refreshes,
        };
        application.set_limits(limits);
        application
    }

    fn set_limits(&self, limits: Limits) {
        self.state.send_modify(|state| {
            if state.limits.per_second != limits.per_second {
                let pace = |rate: f64| Arc::new(Pace::new(Duration::from_secs_f64(rate.recip())));
                state.pace = limits.per_second.map(pace);
            }
            state.limits = limits;
        });
    }

    /// Waits until a request may be made, and counts it; or says why there can be none for now.
    pub(super) async fn admit(&self) -> Result<(), PollError> {
        self.check_hold()?;
        let pace = self.state.borrow().pace.clone();
        if let Some(pace) = pace {
            pace.wait().await;
        }
        let _counting = self.counting.lock().await;
        // another request may have been refused meanwhile
        self.check_hold()?;
        if let Some(today) = self.count(Utc::now())? {
            self.keep(today).await;
        }
        Ok(())
    }

    fn check_hold(&self) -> Result<(), PollError> {
        let state = self.state.borrow();
        let now = Instant::now();
        match &state.hold {
            Some(hold) if hold.until > now => {
                let mut error = PollError::new(hold.reason, hold.why.clone());
                error.retry_after = Some(hold.until - now);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Counts a request against the day's limit. Returns the count where there is one.
    fn count(&self, now: DateTime<Utc>) -> Result<Option<Requests>, PollError> {
        let mut result = Ok(None);
        self.state.send_modify(|state| {
            state.today.roll_over(now);
            let Some(limit) = state.limits.per_day else {
                return;
            };
            if state.today.spent >= limit {
                let message =
                    format!("the day's {limit} requests are spent: waiting for 00:00 UTC");
                result = Err(PollError::new(Reason::Quota, message));
            } else {
                state.today.spent += 1;
                result = Ok(Some(state.today));
            }
        });
        result
    }

    /// Before the request, so that a crash forgets none.
    async fn keep(&self, today: Requests) {
        // whoever only shares the store would overwrite the owner's count
        let Some(store) = self.store.as_ref().filter(|store| store.is_owned()) else {
            return;
        };
        if let Err(error) = store.save(Kind::Requests, &self.name, today).await {
            warn!(%error, "the day's requests cannot be kept: a restart will forget them");
        }
    }

    /// Takes note of an answer that asks for a pause longer than a poll waits.
    pub(super) async fn refused(&self, error: &PollError, too_long: bool) {
        let now = Utc::now();
        let mut exhausted = None;
        self.state.send_modify(|state| {
            state.today.roll_over(now);
            let pause = if error.reason == Reason::Quota {
                let since_midnight = now.time() - NaiveTime::MIN;
                if since_midnight < MIDNIGHT_MARGIN {
                    MIDNIGHT_MARGIN.to_std().unwrap_or_default()
                } else {
                    // what else uses the application is not counted here, so the provider knows better
                    if let Some(limit) = state.limits.per_day {
                        state.today.spent = state.today.spent.max(limit);
                        exhausted = Some(state.today);
                    }
                    until_midnight(now)
                }
            } else if let Some(asked) = error.retry_after.filter(|_| too_long) {
                asked.min(MAX_HOLD)
            } else {
                return;
            };
            state.hold = Instant::now().checked_add(pause).map(|until| Hold {
                until,
                reason: error.reason,
                why: format!("not asked again yet: {}", error.message),
            });
        });
        if let Some(today) = exhausted {
            self.keep(today).await;
        }
    }

    /// What is left of the day's requests, where there is a limit.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining_at(Utc::now())
    }

    fn remaining_at(&self, now: DateTime<Utc>) -> Option<u64> {
        let state = self.state.borrow();
        let limit = state.limits.per_day?;
        let held = state
            .hold
            .as_ref()
            .is_some_and(|hold| hold.reason == Reason::Quota && hold.until > Instant::now());
        let mut today = state.today;
        today.roll_over(now);
        Some(if held {
            0
        } else {
            limit.saturating_sub(today.spent)
        })
    }

    /// Takes note of what polling an account costs, and warns where that is too much.
    pub fn plan(&self, account: &str, plan: Plan) {
        self.state.send_modify(|state| {
            state.plans.insert(account.to_owned(), plan);
            state.tell();
        });
    }

    /// How often an account is read that should be read every `interval`: more seldom where the
    /// application would not get through the day otherwise.
    pub fn stretched(&self, interval: Duration) -> Duration {
        self.stretched_at(interval, Utc::now())
    }

    fn stretched_at(&self, interval: Duration, now: DateTime<Utc>) -> Duration {
        let planned = self.state.borrow().planned();
        let by_plan = interval.mul_f64(self.state.borrow().stretch());
        let Some(remaining) = self.remaining_at(now) else {
            return by_plan;
        };
        // what was spent today, on whatever, is missing until midnight
        let left = until_midnight(now);
        let wanted = planned * left.as_secs_f64() / SECONDS_A_DAY;
        let by_rest = if remaining == 0 {
            left
        } else {
            interval.mul_f64((wanted / (remaining as f64)).clamp(1.0, SECONDS_A_DAY))
        };
        by_plan.max(by_rest.min(left))
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

    fn tell(&mut self) {
        let stretch = self.stretch();
        let (Some(limit), true) = (
            self.limits.per_day,
            (stretch - self.told).abs() > STRETCH_TOLD * self.told
                || (stretch <= 1.0 && self.told > 1.0),
        ) else {
            return;
        };
        self.told = stretch;
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

/// What is left of the day's requests, as a metric of one account.
#[derive(Debug)]
pub struct Remaining {
    application: Arc<Application>,
    gauge: Gauge,
}

impl Remaining {
    /// The metric with the labels of an account.
    pub fn new(
        application: Arc<Application>,
        provider: &str,
        account: &str,
    ) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "campaign_account_api_requests_remaining",
            "Requests left until 00:00 UTC to the application that the account belongs to.",
        );
        let opts = opts
            .const_label("provider", provider)
            .const_label("account", account);
        Ok(Self {
            application,
            gauge: Gauge::with_opts(opts)?,
        })
    }
}

impl Collector for Remaining {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.application.remaining() {
            Some(remaining) => {
                self.gauge.set(remaining as f64);
                self.gauge.collect()
            }
            None => Vec::new(),
        }
    }
}

/// The applications of all accounts. What accounts share is here once.
#[derive(Debug, Default)]
pub struct Applications {
    store: Option<Arc<Store>>,
    known: BTreeMap<String, Arc<Application>>,
    token_paces: BTreeMap<Url, Arc<Pace>>,
    refreshes: TaskTracker,
}

impl Applications {
    /// None yet. What they have to remember is kept in `store`.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// These are the accounts now, by name, with the limits that their configuration gives.
    pub async fn configure<'a>(
        &mut self,
        accounts: impl Iterator<Item = (&'a str, &'a Settings, Limits)>,
    ) {
        let mut wanted: BTreeMap<String, (Limits, Option<&Url>, Vec<&str>)> = BTreeMap::new();
        for (account, settings, limits) in accounts {
            let new = (limits, settings.auth_url(), Vec::new());
            let entry = wanted.entry(settings.application(account)).or_insert(new);
            entry.0 = entry.0.least(limits);
            entry.2.push(account);
        }
        let mut before = std::mem::take(&mut self.known);
        for (name, (limits, auth_url, accounts)) in wanted {
            let application = if let Some(known) = before.remove(&name) {
                known.set_limits(limits);
                known.state.send_modify(|state| {
                    state
                        .plans
                        .retain(|account, _| accounts.contains(&account.as_str()));
                });
                known
            } else {
                let pace = auth_url.map(|url| {
                    let pace = self.token_paces.entry(url.clone());
                    Arc::clone(pace.or_insert_with(|| Arc::new(Pace::new(TOKEN_PERIOD))))
                });
                let (store, refreshes) = (self.store.clone(), self.refreshes.clone());
                let application = Application::new(name.clone(), limits, store, pace, refreshes);
                Arc::new(application.await)
            };
            self.known.insert(name, application);
        }
    }

    /// Waits for the refreshes of tokens that are under way.
    pub async fn finish(&self) {
        self.refreshes.close();
        self.refreshes.wait().await;
    }

    /// The application of an account, which has to be configured.
    pub fn of(&self, account: &str, settings: &Settings) -> Option<Arc<Application>> {
        self.known.get(&settings.application(account)).cloned()
    }
}
