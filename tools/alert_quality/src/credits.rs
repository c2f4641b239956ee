//! The credits of an account: what its campaigns cost, and what its people buy.

use crate::month::{ACCOUNTS, LOOKBACK, MONTH, Month, Provider, What};
use crate::sending::DAY;

/// The credits that somebody makes sure of, in days at the usual pace; twice the alert's four.
const LOW: f64 = 8.0;

/// The days that a purchase lasts.
const BOUGHT: f64 = 16.0;

/// How far ahead people know what they are going to send, in minutes.
const PLANNED: i64 = 36 * 60;

/// What an account has left, at each minute of the month.
pub(crate) struct Credits {
    left: Vec<f64>,
    /// What was spent since the month's campaigns began, at each minute since then.
    spent: Vec<f64>,
}

impl Credits {
    /// Those of an account, if its provider has credits.
    pub(crate) fn of(month: &Month, place: usize) -> Option<Self> {
        let account = ACCOUNTS.get(place)?;
        if account.provider != Provider::Smsup {
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
            // the day that leaves the week may have been one without a campaign
            let daily = ((week + planned) / 7.0).max(usual);
            let nobody = month.troubles.iter().any(|trouble| {
                matches!(trouble.what, What::NoTopUps) && trouble.is_on(Some(place), minute)
            });
            if now - planned < LOW * daily && !nobody {
                bought += BOUGHT * daily - now;
            }
            left.push(bought + before - at(minute));
        }
        Some(Self { left, spent })
    }

    /// What is left at a minute; none before the month.
    pub(crate) fn left(&self, minute: i64) -> f64 {
        value(&self.left, minute)
    }

    /// What was spent in the seven days before a minute.
    pub(crate) fn spent_in_a_week(&self, minute: i64) -> f64 {
        // as far as anybody has seen, which is from the first minute on
        let since = (minute - 7 * DAY).max(0);
        value(&self.spent, minute + LOOKBACK) - value(&self.spent, since + LOOKBACK)
    }
}

/// What was spent until each minute. Each message costs a credit when its campaign begins.
fn spending(month: &Month, place: usize) -> Vec<f64> {
    let mut costs: Vec<(i64, u64)> = month
        .of(place)
        .filter_map(|sending| Some((sending.sent?, sending.recipients)))
        .collect();
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
