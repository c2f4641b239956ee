//! The campaigns of a period compared with those of the period before.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::campaign::counts::Count;
use crate::campaign::{Channel, Ratio};
use crate::report::filter::Filter;
use crate::report::row::Row;
use crate::report::totals::{Rate, Sum, Totals, Unit};
use crate::state::campaigns::AccountCampaigns;

/// The sums of a period and of the one before.
#[derive(Clone, Debug, Default)]
pub struct Comparison<'a> {
    /// Of the period.
    pub now: Totals<'a>,
    /// Of the period before, if all of its campaigns are known.
    pub before: Option<Totals<'a>>,
}

/// A line of a comparison. Values are `None` if no campaign reports them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line<'a> {
    /// What it is about.
    pub subject: Subject<'a>,
    /// The value of the period.
    pub now: Option<Sum>,
    /// The value of the period before, if that is known.
    pub before: Option<Sum>,
    /// The ratio to what was attempted or delivered.
    pub rate: Option<Rate>,
    /// The ratio of the period before.
    pub rate_before: Option<Rate>,
    /// How many campaigns were sent in the period.
    pub campaigns: usize,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The number of campaigns that were sent.
    Campaigns,
    /// The messages that were attempted.
    Attempted,
    /// A count and its ratio.
    Count(Count, Ratio),
    /// The cost in a unit.
    Cost(Unit<'a>),
}

/// The ratios in the order in which they are shown.
pub const RATIOS: [Ratio; 7] = [
    Ratio::Delivery,
    Ratio::Click,
    Ratio::Open,
    Ratio::Read,
    Ratio::Reply,
    Ratio::Bounce,
    Ratio::OptOut,
];

impl<'a> Comparison<'a> {
    /// The lines in the order in which they are shown.
    pub fn lines(&self) -> Vec<Line<'a>> {
        let line = |subject, value: &dyn Fn(&Totals<'a>) -> Option<Sum>| Line {
            subject,
            now: value(&self.now),
            before: self.before.as_ref().and_then(value),
            rate: None,
            rate_before: None,
            campaigns: self.now.campaigns,
        };
        let campaigns = |totals: &Totals<'a>| {
            let campaigns = totals.campaigns;
            Some(Sum { total: campaigns as f64, reporting: campaigns })
        };
        let mut lines = vec![
            line(Subject::Campaigns, &campaigns),
            line(Subject::Attempted, &Totals::attempted),
        ];
        lines.extend(RATIOS.map(|ratio| {
            let (count, _) = ratio.counts();
            Line {
                rate: self.now.rate(ratio),
                rate_before: self.before.as_ref().and_then(|totals| totals.rate(ratio)),
                ..line(Subject::Count(count, ratio), &|totals| totals.count(count))
            }
        }));
        let before = self.before.iter().flat_map(|totals| &totals.costs);
        let mut units: Vec<Unit<'a>> = Vec::new();
        for (unit, _) in self.now.costs.iter().chain(before) {
            if !units.contains(unit) {
                units.push(*unit);
            }
        }
        lines.extend(
            units.iter().map(|unit| line(Subject::Cost(*unit), &|totals| totals.cost_in(*unit))),
        );
        lines
    }

    fn merge(&mut self, other: &Self) {
        self.now.merge(&other.now);
        self.before = self.before.take().zip(other.before.as_ref()).map(|(mut own, other)| {
            own.merge(other);
            own
        });
    }
}

impl Line<'_> {
    /// The difference to the period before, and its share of that.
    pub fn change(&self) -> Option<(f64, Option<f64>)> {
        let (now, before) = (self.now?.total, self.before?.total);
        let change = now - before;
        Some((change, (before > 0.0).then(|| change / before)))
    }
}

/// Sums over the selected campaigns that were sent.
#[derive(Debug)]
pub struct Summary<'a> {
    /// Of all of them.
    pub total: Comparison<'a>,
    /// By account and channel.
    pub groups: BTreeMap<(&'a str, &'a Channel), Comparison<'a>>,
    /// How many campaigns have messages but no date: they are in no period.
    pub undated: usize,
    /// Accounts without data.
    pub missing: Vec<&'a AccountCampaigns>,
    /// Accounts whose data begins within the period.
    pub short: Vec<&'a AccountCampaigns>,
    /// Accounts whose data begins within the period before.
    pub short_before: Vec<&'a AccountCampaigns>,
}

impl<'a> Summary<'a> {
    /// The ratios that a campaign of the period has.
    pub fn ratios(&self) -> Vec<Ratio> {
        RATIOS.into_iter().filter(|ratio| self.total.now.has(*ratio)).collect()
    }

    /// Sums up the campaigns that a filter selects.
    pub fn of(accounts: &'a [AccountCampaigns], filter: &Filter, now: DateTime<Utc>) -> Self {
        let matches = filter.matcher();
        let start = filter.start(now);
        let start_before = start.and_then(|start| start.checked_sub_signed(now - start));
        let mut summary = Self {
            total: Comparison::default(),
            groups: BTreeMap::new(),
            undated: 0,
            missing: Vec::new(),
            short: Vec::new(),
            short_before: Vec::new(),
        };
        let begins_after = |account: &AccountCampaigns, time: Option<DateTime<Utc>>| {
            // a poll takes a moment
            time.is_some_and(|time| {
                account.since.is_none_or(|since| since > time + TimeDelta::hours(1))
            })
        };
        let has_data = |account: &AccountCampaigns| filter.has(account) && account.data.is_some();
        let mut is_comparable = start.is_some() && accounts.iter().any(has_data);
        for account in accounts.iter().filter(|account| filter.has(account)) {
            if account.data.is_none() {
                // missing in both periods
                summary.missing.push(account);
                continue;
            }
            if begins_after(account, start) {
                summary.short.push(account);
            } else if begins_after(account, start_before) {
                summary.short_before.push(account);
            }
            let is_known = !begins_after(account, start_before);
            let before = (start.is_some() && is_known).then(Totals::default);
            is_comparable &= before.is_some();
            for campaign in account.campaigns() {
                let row = Row { account, campaign };
                if !row.is_sent() || campaign.date() > Some(now) || !matches(&row) {
                    continue;
                }
                if start.is_some() && campaign.date().is_none() {
                    summary.undated += usize::from(campaign.attempted() > Some(0));
                    continue;
                }
                let is_now = start.is_none() || campaign.date() > start;
                if !is_now && campaign.date() <= start_before {
                    continue;
                }
                let new = || Comparison { before: before.clone(), ..Comparison::default() };
                let group = (account.account.as_str(), &campaign.channel);
                let group = summary.groups.entry(group).or_insert_with(new);
                if is_now {
                    group.now.add(row);
                } else if let Some(before) = &mut group.before {
                    before.add(row);
                }
            }
        }
        summary.total.before = is_comparable.then(Totals::default);
        for group in summary.groups.values() {
            summary.total.merge(group);
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono_tz::Tz;

    use super::*;
    use crate::campaign::Campaign;
    use crate::campaign::counts::Counts;
    use crate::state::snapshot::Data;

    fn account(name: &str, since: i64, campaigns: &[(i64, u64)]) -> AccountCampaigns {
        let at = |hours| DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let campaigns = campaigns.iter().map(|(hours, sends)| {
            let counts = Counts::from([(Count::Sends, Some(*sends))]);
            Arc::new(Campaign { last_sent: Some(at(*hours)), counts, ..Campaign::default() })
        });
        let data = Data { campaigns: campaigns.collect(), ..Data::default() };
        AccountCampaigns {
            account: name.to_owned(),
            provider: "alpha".into(),
            info_labels: Arc::default(),
            reporting_time_zone: Tz::UTC,
            read: Some(at(1_000)),
            since: Some(at(since)),
            data: Some(Arc::new(data)),
        }
    }

    #[test]
    fn each_campaign_is_in_one_period_and_only_known_periods_are_compared() {
        let filter =
            Filter { period: Some(std::time::Duration::from_hours(100)), ..Filter::default() };
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(1_000);
        // in the future; now; at the start; before; at the start of the period before
        let sent =
            [(1_001, 1), (1_000, 10), (901, 100), (900, 1_000), (801, 10_000), (800, 100_000)];
        let mut accounts = [account("a", 0, &sent), account("b", 850, &[(999, 5)])];
        let attempted = |comparison: &Comparison<'_>| {
            let before = comparison.before.as_ref();
            [Some(&comparison.now), before]
                .map(|totals| totals.and_then(|totals| Some(totals.attempted()?.total)))
        };
        let summary = Summary::of(&accounts, &filter, now);
        assert_eq!(attempted(&summary.total), [Some(115.0), None]);
        let groups: Vec<_> = summary.groups.values().map(attempted).collect();
        assert_eq!(groups, [[Some(110.0), Some(11_000.0)], [Some(5.0), None]]);
        assert_eq!((summary.short.len(), summary.short_before.len()), (0, 1));
        let [line, ..] = summary.groups.values().next().unwrap().lines()[1..] else { panic!() };
        assert_eq!(line.change(), Some((-10_890.0, Some(-0.99))));
        // without a date, it is in no period
        let undated = |sends| {
            let counts = Counts::from([(Count::Sends, Some(sends))]);
            Arc::new(Campaign { counts, ..Campaign::default() })
        };
        let with_undated = |sends: &[u64]| {
            let mut account = account("a", 0, &sent);
            let data = Data {
                campaigns: sends.iter().map(|it| undated(*it)).collect(),
                ..Data::default()
            };
            account.data = Some(Arc::new(data));
            let accounts = [account];
            [&filter, &Filter::default()].map(|filter| {
                let summary = Summary::of(&accounts, filter, now);
                (summary.undated, summary.total.now.campaigns)
            })
        };
        assert_eq!(with_undated(&[0, 7, 8]), [(2, 0), (0, 3)]);
        // without data, it is missing in both periods
        accounts[1].data = None;
        let summary = Summary::of(&accounts, &filter, now);
        assert_eq!(attempted(&summary.total), [Some(110.0), Some(11_000.0)]);
        let all = Summary::of(&accounts, &Filter::default(), now);
        assert_eq!(attempted(&all.total), [Some(111_110.0), None]);
    }
}
