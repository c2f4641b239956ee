//! Credits of an account: cost of its campaigns, and purchases.

use crate::month::{FIRST, MONTH, Month, What};
use crate::sending::DAY;

/// How far ahead buyers know the planned campaigns, in minutes.
const PLANNED: i64 = 36 * 60;

/// Time of the daily purchase, in minutes after midnight UTC.
const MORNING: i64 = 7 * 60;

/// When credits are bought.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Buying {
    /// For more than two weeks, once they last only a week.
    Ahead,
    /// For a month, on its first day.
    Monthly,
    /// For the day's campaigns, in the morning.
    Daily,
    /// For each campaign, in the two hours before it.
    JustInTime,
}

impl Buying {
    pub(crate) const ALL: [Self; 4] = [Self::Ahead, Self::Monthly, Self::Daily, Self::JustInTime];
}

/// Remaining credits of an account at each minute.
pub(crate) struct Credits {
    left: Vec<f64>,
}

impl Credits {
    /// Returns the credits of an account, if its provider reports them.
    pub(crate) fn of(month: &Month, place: usize) -> Option<Self> {
        let account = month.accounts.get(place)?;
        if !account.kind.fills("campaign_account_credits") {
            return None;
        }
        let spent = spending(month, place);
        let total = spent.last().copied().unwrap_or_default();
        let usual = (total / (spent.len() as f64 / DAY as f64)).max(100.0);
        let at = |minute: i64| value(&spent, minute.min(MONTH - 1));
        let mut now = usual
            * match account.buying {
                Buying::Ahead => 31.0,
                // of what was bought 30 days before the month
                Buying::Monthly => 36.0 - (30 + FIRST / DAY) as f64,
                Buying::Daily | Buying::JustInTime => 0.1,
            };
        let mut left = Vec::new();
        for minute in FIRST..MONTH {
            now -= at(minute) - at(minute - 1);
            let cost = |ahead| at(minute + ahead) - at(minute);
            let paused = month.troubles.iter().any(|trouble| {
                matches!(trouble.what, What::NoTopUps) && trouble.is_on(Some(place), minute)
            });
            let time = minute.rem_euclid(DAY);
            let wanted = match account.buying {
                Buying::Ahead if now - cost(PLANNED) < 8.0 * usual => 16.0 * usual + cost(PLANNED),
                Buying::Monthly if minute.rem_euclid(30 * DAY) == MORNING => 1.2 * cost(30 * DAY),
                Buying::Daily if time == MORNING => 1.1 * cost(DAY),
                Buying::JustInTime => 1.05 * cost(120),
                _ => 0.0,
            };
            if !paused {
                now = now.max(wanted);
            }
            // what cannot be paid is not sent
            now = now.max(0.0);
            left.push(now);
        }
        Some(Self { left })
    }

    /// Returns the remaining credits at a minute.
    pub(crate) fn left(&self, minute: i64) -> f64 {
        value(&self.left, minute)
    }
}

/// Returns cumulative spending by minute. Each message costs a credit when its campaign starts.
fn spending(month: &Month, place: usize) -> Vec<f64> {
    let mut costs: Vec<(i64, u64)> =
        month.of(place).filter_map(|sending| Some((sending.sent?, sending.recipients))).collect();
    costs.sort_unstable();
    let mut costs = costs.into_iter().peekable();
    let mut sum = 0.0;
    (FIRST..MONTH)
        .map(|minute| {
            while let Some((_, cost)) = costs.next_if(|(sent, _)| *sent <= minute) {
                sum += cost as f64;
            }
            sum
        })
        .collect()
}

/// The value at a minute of a series that starts with the first one.
fn value(series: &[f64], minute: i64) -> f64 {
    let place = usize::try_from(minute - FIRST).unwrap_or_default();
    series.get(place).copied().unwrap_or_default()
}
