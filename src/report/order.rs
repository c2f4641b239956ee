//! The order of campaigns.

use std::cmp::Ordering;

use crate::campaign::figures::Figure;
use crate::campaign::{Ratio, Status};
use crate::report::row::{Place, Row};
use crate::state::campaigns::AccountCampaigns;

/// What campaigns are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// When they were or will be sent.
    #[default]
    Date,
    /// Their name.
    Name,
    /// The name of their account.
    Account,
    /// Their channel.
    Channel,
    /// Their status.
    Status,
    /// How many messages were attempted.
    Attempted,
    /// Their cost, by unit.
    Cost,
    /// A ratio.
    Ratio(Ratio),
}

impl Sort {
    /// Every order.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::Date,
            Self::Name,
            Self::Account,
            Self::Channel,
            Self::Status,
            Self::Attempted,
            Self::Cost,
        ];
        others.into_iter().chain(Ratio::ALL.iter().copied().map(Self::Ratio))
    }

    /// Its name in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Name => "name",
            Self::Account => "account",
            Self::Channel => "channel",
            Self::Status => "status",
            Self::Attempted => "attempted",
            Self::Cost => "cost",
            Self::Ratio(ratio) => ratio.name(),
        }
    }

    /// Whether texts are compared, which begin with the first.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::Account | Self::Channel | Self::Status)
    }

    /// Sorts the first `most` places. The others are in no order.
    pub fn sort(
        self,
        descending: bool,
        accounts: &[AccountCampaigns],
        places: &mut [Place],
        most: usize,
    ) {
        let order = |one: &Place, other: &Place| match (one.row(accounts), other.row(accounts)) {
            (Some(one), Some(other)) => self.compare(descending, one, other),
            _ => Ordering::Equal,
        };
        if most < places.len() {
            places.select_nth_unstable_by(most, order);
        }
        let most = most.min(places.len());
        places.get_mut(..most).unwrap_or_default().sort_unstable_by(order);
    }

    fn compare(self, descending: bool, one: Row<'_>, other: Row<'_>) -> Ordering {
        let order = match self {
            Self::Date => by(descending, one, other, |row| row.campaign.date()),
            Self::Name => by(descending, one, other, |row| Some(&*row.campaign.name)),
            Self::Account => by(descending, one, other, |row| Some(&*row.account.account)),
            Self::Channel => by(descending, one, other, |row| Some(row.campaign.channel.as_str())),
            Self::Status => {
                by(descending, one, other, |row| row.campaign.status.map(Status::as_str))
            }
            Self::Attempted => by(descending, one, other, |row| row.campaign.attempted()),
            Self::Cost => by(descending, one, other, cost),
            Self::Ratio(ratio) => by(descending, one, other, |row| row.ratio(ratio)),
        };
        // without ties, so that every page begins where the one before ends
        order
            .then_with(|| other.campaign.date().cmp(&one.campaign.date()))
            .then_with(|| one.account.account.cmp(&other.account.account))
            .then_with(|| one.campaign.id.cmp(&other.campaign.id))
    }
}

/// Compares by a value. Campaigns without it come last in either direction.
fn by<'a, T: PartialOrd>(
    descending: bool,
    one: Row<'a>,
    other: Row<'a>,
    value: impl Fn(Row<'a>) -> Option<T>,
) -> Ordering {
    match (value(one), value(other)) {
        (Some(one), Some(other)) => {
            let order = one.partial_cmp(&other).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}

/// The cost and its unit: the provider's credits, or a currency.
fn cost(row: Row<'_>) -> Option<(String, f64)> {
    let credits =
        row.campaign.readable_cost_credits().map(|cost| (row.account.provider.to_string(), cost));
    credits.or_else(|| {
        row.campaign.figures.iter().find_map(|(figure, cost)| match figure {
            Figure::Cost(currency) => Some((currency.as_str().to_owned(), cost)),
            _ => None,
        })
    })
}
