//! Credits of an account: cost of its campaigns, and purchases.

use crate::month::{LOOKBACK, MONTH, Month, What};
use crate::sending::DAY;

/// Minimum credits kept by buyers, in days at the usual rate; twice the alert's four.
const LOW: f64 = 8.0;

/// Number of days that a purchase lasts.
const BOUGHT: f64 = 16.0;

/// How far ahead buyers know the planned campaigns, in minutes.
const PLANNED: i64 = 36 * 60;

/// Remaining credits of an account at each minute of the month.
pub(crate) struct Credits {
    left: Vec<f64>,
    /// Cumulative spending since the month's first campaign, by minute.
    spent: Vec<f64>,
}

impl Credits {
    /// Returns the credits of an account, if its provider reports them.
    pub(crate) fn of(month: &Month, place: usize) -> Option<Self> {
        let kind = month.kinds.get(place)?;
        if !kind.fills("campaign_account_credits") {
            return None;
        }
        let spent = spending(month, place);
        let total = spent.last().copied().unwrap_or_default();
        let usual = (total / (spent.len() as f64 / DAY as f64)).max(100.0);
        let at = |minute: i64| value(&spent, minute + LOOKBACK);
        let mut bought = 0.0;
        let mut left = Vec::new();
        let before = at(0);
        for minute in 0..MONTH {
            let now = bought + before - at(minute);
            let planned = at((minute + PLANNED).min(MONTH - 1)) - at(minute);
            let week = at(minute) - at(minute - 7 * DAY);
            // the day that leaves the week may have had no campaign
            let daily = ((week + planned) / 7.0).max(usual);
            let paused = month.troubles.iter().any(|trouble| {
                matches!(trouble.what, What::NoTopUps) && trouble.is_on(Some(place), minute)
            });
            if now - planned < LOW * daily && !paused {
                bought += BOUGHT * daily - now;
            }
            left.push(bought + before - at(minute));
        }
        Some(Self { left, spent })
    }

    /// Returns the remaining credits at a minute; `None` before the month.
    pub(crate) fn left(&self, minute: i64) -> f64 {
        value(&self.left, minute)
    }

    /// Returns the spending in the seven days before a minute.
    pub(crate) fn spent_in_a_week(&self, minute: i64) -> f64 {
        // limited to the observed time, which starts at the first minute
        let since = (minute - 7 * DAY).max(0);
        value(&self.spent, minute + LOOKBACK) - value(&self.spent, since + LOOKBACK)
    }
}

/// Returns cumulative spending by minute. Each message costs a credit when its campaign starts.
fn spending(month: &Month, place: usize) -> Vec<f64> {
    let mut costs: Vec<(i64, u64)> =
        month.of(place).filter_map(|sending| Some((sending.sent?, sending.recipients))).collect();
    costs.sort_unstable();
    let mut costs = costs.into_iter().peekable();
    let mut sum = 0.0;
    let minutes = -LOOKBACK..MONTH;
    minutes
        .map(|minute| {
            while let Some((_, cost)) = costs.next_if(|(sent, _)| *sent <= minute) {
                sum += cost as f64;
            }
            sum
        })
        .collect()
}

fn value(series: &[f64], minute: i64) -> f64 {
    let place = usize::try_from(minute).unwrap_or_default();
    series.get(place).copied().unwrap_or_default()
}
