//! Sums over campaigns.

use crate::campaign::counts::Count;
use crate::campaign::figures::{Currency, Figure};
use crate::campaign::{Ratio, Sums};
use crate::report::row::Row;

/// What a cost is in. Credits of different providers are different units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// Credits of a provider.
    Credits(&'a str),
    /// Money.
    Money(Currency),
}

/// A sum over the campaigns that report a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// The sum. Exact up to 2^53.
    pub total: f64,
    /// How many campaigns report the value.
    pub reporting: usize,
}

impl Sum {
    fn add(&mut self, value: Option<f64>) {
        self.total += value.unwrap_or_default();
        self.reporting += usize::from(value.is_some());
    }

    fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.reporting += other.reporting;
    }
}

/// The sums of a group of campaigns.
#[derive(Clone, Debug, Default)]
pub struct Totals<'a> {
    /// The number of campaigns that were sent.
    pub campaigns: usize,
    /// How many of them are still receiving receipts.
    pub arriving: usize,
    attempted: Sum,
    counts: [Sum; Count::ALL.len()],
    ratios: [Sums; Ratio::ALL.len()],
    /// The costs, by unit.
    pub costs: Vec<(Unit<'a>, Sum)>,
}

impl<'a> Totals<'a> {
    /// Adds a campaign that was sent.
    pub fn add(&mut self, row: Row<'a>) {
        let campaign = row.campaign;
        self.campaigns += 1;
        self.arriving += usize::from(row.is_arriving());
        self.attempted.add(campaign.attempted().map(|count| count as f64));
        for (sum, count) in self.counts.iter_mut().zip(Count::ALL) {
            sum.add(campaign.counts.get(*count).map(|count| count as f64));
        }
        let ratios = self.ratios.iter_mut().zip(Ratio::ALL);
        // a large campaign in progress would look like a failure
        for (sums, ratio) in ratios.filter(|_| !row.is_arriving()) {
            sums.add(ratio.parts(campaign));
        }
        if let Some(credits) = campaign.readable_cost_credits() {
            self.cost(Unit::Credits(&row.account.provider)).add(Some(credits));
        }
        for (figure, value) in campaign.figures.iter() {
            if let Figure::Cost(currency) = figure {
                self.cost(Unit::Money(currency)).add(Some(value));
            }
        }
    }

    /// Adds the sums of another group.
    pub fn merge(&mut self, other: &Self) {
        self.campaigns += other.campaigns;
        self.arriving += other.arriving;
        self.attempted.merge(other.attempted);
        for (sum, other) in self.counts.iter_mut().zip(other.counts) {
            sum.merge(other);
        }
        for (sums, other) in self.ratios.iter_mut().zip(other.ratios) {
            sums.merge(other);
        }
        for (unit, sum) in &other.costs {
            self.cost(*unit).merge(*sum);
        }
    }

    fn cost(&mut self, unit: Unit<'a>) -> &mut Sum {
        let index = self.costs.iter().position(|(known, _)| *known == unit);
        let index = index.unwrap_or(self.costs.len());
        if index == self.costs.len() {
            self.costs.push((unit, Sum::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "found or just added")]
        &mut self.costs[index].1
    }

    /// The messages that were attempted; `None` if no campaign reports them.
    pub fn attempted(&self) -> Option<Sum> {
        self.reported(self.attempted)
    }

    /// A count; `None` if no campaign reports it.
    pub fn count(&self, count: Count) -> Option<Sum> {
        self.reported(self.counts.get(count as usize).copied()?)
    }

    /// The cost in a unit; `None` if no campaign reports it.
    pub fn cost_in(&self, unit: Unit<'_>) -> Option<Sum> {
        let sum = self.costs.iter().find(|(known, _)| *known == unit);
        self.reported(sum.map(|(_, sum)| *sum).unwrap_or_default())
    }

    /// A ratio of the campaigns that are mature: the sum of the numerators over the sum of the denominators.
    pub fn ratio(&self, ratio: Ratio) -> Option<f64> {
        self.ratios.get(ratio as usize)?.ratio()
    }

    /// The sum over no campaign is 0; over campaigns of which none reports the value, it is unknown.
    fn reported(&self, sum: Sum) -> Option<Sum> {
        (self.campaigns == 0 || sum.reporting > 0).then_some(sum)
    }
}
