//! The requests planned per day, and how far intervals are stretched to fit the daily limit.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use tracing::{info, warn};

/// Share of the daily limit that polls are planned to use. The rest is for retries and for other
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
    fn requests_a_day(&self) -> f64 {
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
    daily_limit: Option<u64>,
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
            reserved: 0.0,
            logged: 1.0,
        }
    }

    pub(super) fn set_daily_limit(&mut self, limit: Option<u64>) {
        self.daily_limit = limit;
        self.log_stretch();
    }

    pub(super) fn insert(&mut self, account: &str, plan: Plan) {
        self.by_account.insert(account.to_owned(), plan);
        self.log_stretch();
    }

    /// Removes the plans of all other accounts.
    pub(super) fn retain(&mut self, accounts: &[&str]) {
        self.by_account
            .retain(|account, _| accounts.contains(&account.as_str()));
    }

    /// Reserves the requests of a full read, if that leaves enough for the rest of the day. Overdue
    /// reads take precedence over recent ones. Returns the number of requests.
    pub(super) fn reserve(
        &mut self,
        account: &str,
        overdue: bool,
        remaining: Option<u64>,
        now: DateTime<Utc>,
    ) -> Option<f64> {
        let (Some(remaining), Some(plan)) = (remaining, self.by_account.get(account)) else {
            return Some(0.0);
        };
        let rest_of_day = until_midnight(now).as_secs_f64() / SECONDS_A_DAY;
        let recent = if overdue {
            0.0
        } else {
            self.recent_requests_a_day() * rest_of_day / self.stretch()
        };
        let available = remaining as f64 - self.reserved;
        let requests = plan.full_requests;
        if available < requests + recent {
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
        match self.daily_limit {
            Some(limit) => (self.requests_a_day() / (limit as f64 * PLANNED_SHARE)).max(1.0),
            None => 1.0,
        }
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
                "more requests are planned per day than the limit allows: poll intervals are \
                 stretched; raise poll_interval or full_poll_interval, or lower recent or lookback"
            );
        } else {
            info!(
                accounts,
                planned_requests_a_day = planned,
                requests_per_day = limit,
                "the planned requests are within the daily limit again"
            );
        }
    }
}

/// The time until 00:00 UTC.
pub(super) fn until_midnight(now: DateTime<Utc>) -> Duration {
    let tomorrow = now
        .date_naive()
        .checked_add_days(Days::new(1))
        .unwrap_or(NaiveDate::MAX);
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
                let documented: Vec<f64> = cell
                    .split_whitespace()
                    .map(|sum| sum.parse().unwrap())
                    .collect();
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
