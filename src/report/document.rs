//! The content of a report.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::campaign::Ratio;
use crate::report::filter::Filter;
use crate::report::order::Sort;
use crate::report::ranking::ranking;
use crate::report::row::Row;
use crate::report::summary::Summary;
use crate::state::campaigns::AccountCampaigns;

/// Most campaigns that a report for readers lists, the newest ones. CSV has all.
const MAX_LISTED: usize = 500;

/// The ratios by which the best and the worst campaigns are listed.
const RANKED: [Ratio; 2] = [Ratio::Delivery, Ratio::Click];

/// The content of a report.
#[derive(Debug)]
pub struct Document<'a> {
    /// The period.
    pub period: Duration,
    /// Its end.
    pub until: DateTime<Utc>,
    /// The sums.
    pub summary: Summary<'a>,
    /// The best and the worst campaigns by a ratio.
    pub rankings: Vec<Ranking<'a>>,
    /// The newest campaigns, newest first.
    pub rows: Vec<Row<'a>>,
    /// How many older ones are not listed.
    pub left_out: usize,
    /// Accounts whose poll failed.
    pub failed: Vec<String>,
}

/// The best and the worst campaigns by a ratio.
#[derive(Debug)]
pub struct Ranking<'a> {
    /// The ratio.
    pub ratio: Ratio,
    /// The best, the best first.
    pub best: Vec<Row<'a>>,
    /// The worst, the worst first.
    pub worst: Vec<Row<'a>>,
}

impl<'a> Document<'a> {
    /// The report on the campaigns of a period.
    pub fn of(
        accounts: &'a [AccountCampaigns],
        period: Duration,
        until: DateTime<Utc>,
        failed: Vec<String>,
    ) -> Self {
        let filter = Filter { period: Some(period), ..Filter::default() };
        let rows = newest(accounts, &filter, until);
        let rankings = RANKED.map(|ratio| {
            let (best, worst) = ranking(rows.iter().copied(), ratio);
            Ranking { ratio, best, worst }
        });
        let rankings = rankings.into_iter().filter(|ranking| !ranking.best.is_empty()).collect();
        let left_out = rows.len().saturating_sub(MAX_LISTED);
        Self {
            period,
            until,
            summary: Summary::of(accounts, &filter, until),
            rankings,
            rows: rows.into_iter().take(MAX_LISTED).collect(),
            left_out,
            failed,
        }
    }
}

/// The selected campaigns, newest first.
pub fn newest<'a>(
    accounts: &'a [AccountCampaigns],
    filter: &Filter,
    until: DateTime<Utc>,
) -> Vec<Row<'a>> {
    let mut places = filter.select(accounts, until);
    Sort::Date.sort(true, accounts, &mut places, usize::MAX);
    places.iter().filter_map(|place| place.row(accounts)).collect()
}
