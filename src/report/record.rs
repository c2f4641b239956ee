//! A campaign as a flat record: a line of CSV, or an object of JSON.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::campaign::counts::Count;
use crate::campaign::curve;
use crate::campaign::figures::{Currency, Figure};
use crate::campaign::{Campaign, Ratio, Status};
use crate::report::row::Row;
use crate::state::campaigns::AccountCampaigns;

/// A value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// What the provider does not report.
    Absent,
    /// A text, which can come from a third party.
    Text(String),
    /// A count.
    Count(u64),
    /// Another number.
    Number(f64),
    /// A time.
    Time(DateTime<Utc>),
    /// Yes or no.
    Flag(bool),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(time)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Time(time) => time.serialize(serializer),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

/// The fields of records: the same for all campaigns of an answer.
#[derive(Debug)]
pub struct Fields {
    names: Vec<String>,
    info_labels: Vec<String>,
}

impl Fields {
    /// The fields for the campaigns of these accounts.
    pub fn of(accounts: &[AccountCampaigns]) -> Self {
        let mut info_labels: Vec<String> = Vec::new();
        for label in accounts.iter().flat_map(|account| &*account.info_labels) {
            if !info_labels.iter().any(|known| **known == **label) {
                info_labels.push(label.to_string());
            }
        }
        let mut names: Vec<String> = [
            "provider",
            "account",
            "channel",
            "campaign_id",
            "campaign_name",
            "status",
            "last_sent",
            "scheduled",
            "created",
            "still_arriving",
            "attempted",
        ]
        .map(str::to_owned)
        .into();
        names.extend(Count::ALL.iter().map(|count| count.name().to_owned()));
        names.extend(Ratio::ALL.iter().map(|ratio| format!("{}_ratio", ratio.name())));
        names.extend(["cost_credits", "cost", "revenue", "currency"].map(str::to_owned));
        for ratio in curve::RATIOS {
            let name = ratio.name();
            names.extend(["low", "high"].map(|bound| format!("usual_{name}_ratio_{bound}")));
        }
        names.extend(info_labels.iter().cloned());
        Self { names, info_labels }
    }

    /// The names of the fields.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of a campaign, in the order of the names.
    pub fn values(&self, row: Row<'_>) -> Vec<Value> {
        let campaign = row.campaign;
        let (cost, revenue) = money(campaign);
        let currency = cost.or(revenue).map(|(currency, _)| currency);
        let mut values: Vec<Value> = vec![
            (&*row.account.provider).into(),
            row.account.account.as_str().into(),
            campaign.channel.as_str().into(),
            campaign.id.as_str().into(),
            (&*campaign.name).into(),
            campaign.status.map(Status::as_str).into(),
            campaign.last_sent.into(),
            campaign.scheduled.into(),
            campaign.created.into(),
            Value::Flag(row.is_arriving()),
            campaign.attempted().into(),
        ];
        values.extend(Count::ALL.iter().map(|count| campaign.counts.get(*count).into()));
        values.extend(Ratio::ALL.iter().map(|ratio| row.ratio(*ratio).into()));
        values.push(campaign.readable_cost_credits().into());
        values.push(cost.map(|(_, cost)| cost).into());
        // an amount in another currency would be mistaken
        values.push(revenue.filter(|(of, _)| Some(*of) == currency).map(|(_, it)| it).into());
        values.push(currency.as_ref().map(Currency::as_str).into());
        for ratio in curve::RATIOS {
            let usual = campaign.figures.usual(ratio);
            values.push(usual.map(|[low, ..]| low).into());
            values.push(usual.map(|[.., high]| high).into());
        }
        let labels = self.info_labels.iter();
        values.extend(labels.map(|label| row.info_label(label).into()));
        values
    }
}

type Amount = (Currency, f64);

/// The cost and the revenue in money.
fn money(campaign: &Campaign) -> (Option<Amount>, Option<Amount>) {
    let (mut cost, mut revenue) = (None, None);
    for (figure, value) in campaign.figures.iter() {
        match figure {
            Figure::Cost(currency) => cost = Some((currency, value)),
            Figure::Revenue(currency) => revenue = Some((currency, value)),
            Figure::Ratio(_) | Figure::Usual(..) => {}
        }
    }
    (cost, revenue)
}
