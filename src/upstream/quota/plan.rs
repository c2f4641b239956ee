//! The requests planned per day, and how far intervals are stretched to fit the limits.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use tracing::{info, warn};

use super::Limits;

/// Share of a limit that polls are planned to use. The rest is for retries and for other
/// users of the application.
const PLANNED_SHARE: f64 = 0.9;

/// Smallest relative change of the stretching that is logged.
const STRETCH_LOGGED: f64 = 0.2;

/// Seconds per day.
pub(super) const SECONDS_A_DAY: f64 = 86_400.0;

/// The requests that polling an account takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Configured interval of polls.
    pub poll_interval: Duration,
    /// Configured interval of full reads.
    pub full_poll_interval: Duration,
    /// Requests of a recent read.
    pub recent_requests: f64,
    /// Requests of a full read.
    pub full_requests: f64,
}

impl Plan {
    /// The requests of a day.
    pub fn requests_a_day(&self) -> f64 {
        let times = SECONDS_A_DAY / self.full_interval().as_secs_f64();
        self.recent_requests_a_day() + times * self.full_requests
    }

    /// The requests of recent reads. Every full read replaces one of them.
    fn recent_requests_a_day(&self) -> f64 {
        let times = |interval: Duration| SECONDS_A_DAY / interval.as_secs_f64();
        (times(self.poll_interval) - times(self.full_interval())) * self.recent_requests
    }

    fn full_interval(&self) -> Duration {
        self.full_poll_interval.max(self.poll_interval)
    }
}

/// The plans of all accounts of an application.
#[derive(Debug)]
pub(super) struct Plans {
    by_account: BTreeMap<String, Plan>,
    /// What all limits allow per day.
    daily_limit: Option<u64>,
    hourly_limit: Option<u64>,
    /// Requests that running full reads may need.
    reserved: f64,
    /// The stretching that was logged last.
    logged: f64,
}

impl Plans {
    pub(super) const fn new() -> Self {
        Self {
            by_account: BTreeMap::new(),
            daily_limit: None,
            hourly_limit: None,
            reserved: 0.0,
            logged: 1.0,
        }
    }

    pub(super) fn set_limits(&mut self, limits: &Limits) {
        self.daily_limit = limits.a_day();
        self.hourly_limit = limits.per_hour;
        self.log_stretch();
    }

    pub(super) fn insert(&mut self, account: &str, plan: Plan) {
        self.by_account.insert(account.to_owned(), plan);
        self.log_stretch();
    }

    /// Removes the plans of all other accounts.
    pub(super) fn retain(&mut self, accounts: &[&str]) {
        self.by_account.retain(|account, _| accounts.contains(&account.as_str()));
    }

    /// Reserves the requests of a full read, if that leaves enough for the rest of the day, and the hour
    /// has enough left. Overdue reads take precedence over recent ones. Returns the number of requests.
    pub(super) fn reserve(
        &mut self,
        account: &str,
        overdue: bool,
        remaining: Option<u64>,
        remaining_in_hour: Option<u64>,
        now: DateTime<Utc>,
    ) -> Option<f64> {
        let Some(plan) = self.by_account.get(account) else {
            return Some(0.0);
        };
        let requests = plan.full_requests;
        // a read that no hour has room for fails and shows the limit, once it is overdue
        let never_fits = self.hourly_limit.is_some_and(|limit| requests > limit as f64);
        let fits = remaining_in_hour.is_none_or(|left| left as f64 - self.reserved >= requests);
        if !(fits || never_fits && overdue) {
            return None;
        }
        let rest_of_day = until_midnight(now).as_secs_f64() / SECONDS_A_DAY;
        let recent =
            if overdue { 0.0 } else { self.recent_requests_a_day() * rest_of_day / self.stretch() };
        if remaining.is_some_and(|left| left as f64 - self.reserved < requests + recent) {
            return None;
        }
        self.reserved += requests;
        Some(requests)
    }

    pub(super) fn release(&mut self, requests: f64) {
        self.reserved -= requests;
    }

    /// The requests planned per day while this many remain, which may not be enough for any full
    /// read.
    pub(super) fn requests_a_day_with(&self, remaining: f64) -> f64 {
        let full = self.by_account.values().map(|plan| plan.full_requests);
        if full.fold(f64::INFINITY, f64::min) <= remaining {
            self.requests_a_day()
        } else {
            self.recent_requests_a_day()
        }
    }

    fn requests_a_day(&self) -> f64 {
        self.by_account.values().map(Plan::requests_a_day).sum()
    }

    fn recent_requests_a_day(&self) -> f64 {
        let plans = self.by_account.values();
        plans.map(Plan::recent_requests_a_day).sum()
    }

    /// The factor by which intervals are longer than configured.
    pub(super) fn stretch(&self) -> f64 {
        let planned = |limit: u64| limit as f64 * PLANNED_SHARE;
        let by_day = self.daily_limit.map_or(1.0, |limit| self.requests_a_day() / planned(limit));
        by_day.max(self.stretch_by_hour().unwrap_or(1.0)).max(1.0)
    }

    /// The stretching with which every hour has room for the largest full read beside the recent ones.
    fn stretch_by_hour(&self) -> Option<f64> {
        let full = self.by_account.values().map(|plan| plan.full_requests);
        let room = self.hourly_limit? as f64 * PLANNED_SHARE - full.fold(0.0, f64::max);
        (room > 0.0).then(|| (self.recent_requests_a_day() / 24.0 / room).min(SECONDS_A_DAY))
    }

    fn log_stretch(&mut self) {
        let stretch = self.stretch();
        let Some(limit) = self.daily_limit else {
            return;
        };
        let begins_or_ends = (stretch > 1.0) != (self.logged > 1.0);
        if !begins_or_ends && (stretch - self.logged).abs() <= STRETCH_LOGGED * self.logged {
            return;
        }
        self.logged = stretch;
        let accounts: Vec<&str> = self.by_account.keys().map(String::as_str).collect();
        let accounts = accounts.join(",");
        let planned = self.requests_a_day().round();
        if stretch > 1.0 {
            let stretched = format!("{stretch:.1}");
            warn!(
                accounts,
                planned_requests_a_day = planned,
                requests_per_day = limit,
                stretched,
                "more requests are planned than the limits allow: poll intervals are \
                 stretched; raise poll_interval or full_poll_interval, or lower recent or lookback"
            );
        } else {
            info!(
                accounts,
                planned_requests_a_day = planned,
                requests_per_day = limit,
                "the planned requests are within the limits again"
            );
        }
    }
}

/// The time until 00:00 UTC.
pub(super) fn until_midnight(now: DateTime<Utc>) -> Duration {
    let tomorrow = now.date_naive().checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    let midnight = tomorrow.and_time(NaiveTime::MIN).and_utc();
    (midnight - now).to_std().unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A plan with the default intervals.
    pub(in crate::upstream::quota) const fn plan(recent_requests: f64, full_requests: f64) -> Plan {
        Plan {
            poll_interval: Duration::from_mins(5),
            full_poll_interval: Duration::from_hours(1),
            recent_requests,
            full_requests,
        }
    }

    #[test]
    fn a_full_read_replaces_a_recent_one() {
        // 264 recent reads and 24 full ones
        assert!((plan(2.0, 10.0).requests_a_day() - 768.0).abs() < 1e-6);
    }

    #[test]
    fn the_strictest_limit_stretches_intervals() {
        let stretch = |per_hour, per_day, plan| {
            let mut plans = Plans::new();
            plans.insert("a", plan);
            plans.set_limits(&Limits { per_hour, per_day, ..Limits::default() });
            plans.stretch()
        };
        // 32 requests an hour, 768 a day
        let usual = plan(2.0, 10.0);
        for (per_hour, per_day, expected) in [
            (None, None, 1.0),
            (Some(100), None, 1.0),
            (Some(20), None, 22.0 / 8.0),
            (Some(20), Some(100), 768.0 / 90.0),
            (Some(100), Some(480), 768.0 / 432.0),
            // no hour has room for a full read
            (Some(10), None, 768.0 / 216.0),
        ] {
            let stretch = stretch(per_hour, per_day, usual);
            assert!((stretch - expected).abs() < 1e-6, "{per_hour:?} {stretch}");
        }
        // the day allows 2,160, but 22 recent requests leave an hour no room for a full read
        let large = Plan { full_poll_interval: Duration::from_hours(24), ..plan(2.0, 80.0) };
        assert!(stretch(Some(100), None, large) > 2.3);
    }

    #[test]
    fn the_documented_requests_per_day_are_correct() {
        let document = include_str!("../../../docs/scale.md");
        let row = |campaigns: &str| {
            let start = format!("| {campaigns} |");
            let mut lines = document.lines();
            lines.find(|line| line.starts_with(&start)).unwrap()
        };
        // each poll reads 3 days and 3 hours of 30 days of campaigns
        for (campaigns, pages) in [
            ("100", [(2.0, 1.0), (1.0, 1.0), (1.0, 1.0)]),
            ("1,000", [(20.0, 3.0), (6.0, 1.0), (1.0, 1.0)]),
            ("10,000", [(200.0, 21.0), (51.0, 6.0), (11.0, 2.0)]),
        ] {
            let mut cells = row(campaigns).split('|').skip(2);
            for (full_requests, recent_requests) in pages {
                let plan = plan(recent_requests, full_requests);
                let sums = [plan.requests_a_day(), 288.0 * full_requests];
                let cell = cells.next().unwrap().replace([',', '(', ')'], "");
                let documented: Vec<f64> =
                    cell.split_whitespace().map(|sum| sum.parse().unwrap()).collect();
                assert!(
                    documented
                        .iter()
                        .zip(sums)
                        .all(|(documented, sum)| (documented - sum).abs() < 0.5),
                    "{campaigns}: {documented:?} {sums:?}"
                );
            }
        }
    }
}
