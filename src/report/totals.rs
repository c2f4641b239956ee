//! Sums over campaigns.

use crate::campaign::counts::Count;
use crate::campaign::figures::{Currency, Figure};
use crate::campaign::{Denominator, Ratio, Sums};
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

    /// Nothing if no campaign reports the value.
    fn reported(self) -> Option<Self> {
        (self.reporting > 0).then_some(self)
    }

    fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.reporting += other.reporting;
    }
}

/// A ratio of mature campaigns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Which.
    pub ratio: Ratio,
    /// Its value.
    pub value: f64,
    /// Its denominator, if the sums of all campaigns give another quotient.
    pub of: Option<f64>,
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
        self.attempted.reported()
    }

    /// A count; `None` if no campaign reports it.
    pub fn count(&self, count: Count) -> Option<Sum> {
        self.counts.get(count as usize)?.reported()
    }

    /// The cost in a unit; `None` if no campaign reports it.
    pub fn cost_in(&self, unit: Unit<'_>) -> Option<Sum> {
        let sum = self.costs.iter().find(|(known, _)| *known == unit);
        sum?.1.reported()
    }

    /// Whether a campaign reports the numerator of a ratio.
    pub fn has(&self, ratio: Ratio) -> bool {
        self.count(ratio.counts().0).is_some()
    }

    /// The sums of a ratio's parts over the campaigns that are mature.
    pub fn sums(&self, ratio: Ratio) -> Sums {
        self.ratios.get(ratio as usize).copied().unwrap_or_default()
    }

    /// A ratio of the campaigns that are mature: the sum of the numerators over the sum of the denominators.
    pub fn rate(&self, ratio: Ratio) -> Option<Rate> {
        let sums = self.sums(ratio);
        let (numerator, denominator) = ratio.counts();
        let denominator = match denominator {
            Denominator::Attempted => self.attempted(),
            Denominator::Deliveries => self.count(Count::Deliveries),
        };
        let all = [self.count(numerator), denominator].map(|sum| sum.unwrap_or_default().total);
        let parts = sums.parts();
        let differs = parts.iter().zip(all).any(|(part, all)| part.total_cmp(&all).is_ne());
        Some(Rate { ratio, value: sums.ratio()?, of: differs.then_some(parts[1]) })
    }
}
