//! A campaign with its account.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::campaign::{Campaign, Ratio, Status};
use crate::state::campaigns::AccountCampaigns;
use crate::state::status::maturity;

/// A campaign with its account.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The account.
    pub account: &'a AccountCampaigns,
    /// The campaign.
    pub campaign: &'a Campaign,
}

/// Where a row is among the campaigns of all accounts. A list of these outlives the borrow of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    account: usize,
    campaign: usize,
}

impl Place {
    /// The row at this place.
    pub fn row(self, accounts: &[AccountCampaigns]) -> Option<Row<'_>> {
        let account = accounts.get(self.account)?;
        let campaign = account.campaigns().get(self.campaign)?;
        Some(Row { account, campaign })
    }
}

/// All rows with their places.
pub fn rows(accounts: &[AccountCampaigns]) -> impl Iterator<Item = (Place, Row<'_>)> {
    accounts.iter().enumerate().flat_map(|(index, account)| {
        let campaigns = account.campaigns().iter().enumerate();
        campaigns.map(move |(campaign, of)| {
            (Place { account: index, campaign }, Row { account, campaign: of })
        })
    })
}

/// A ratio compared with what is usual at the age of the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Lower than usual.
    Below,
    /// As usual.
    Usual,
    /// Higher than usual.
    Above,
}

impl<'a> Row<'a> {
    /// The value of a label of `campaign_info`, if it is known.
    pub fn info_label(&self, label: &str) -> Option<&'a str> {
        self.campaign.info_label(label, self.account.reporting_time_zone)
    }

    /// When it was or will be sent. One that was refused or is in moderation may have only been created.
    pub fn listed(&self) -> Option<DateTime<Utc>> {
        let campaign = self.campaign;
        let is_unsent = campaign.status.is_some_and(Status::nothing_sent_yet);
        campaign.date().or(campaign.created.filter(|_| is_unsent))
    }

    /// How old the campaign was when it was read.
    pub fn age(&self) -> Option<Duration> {
        let (read, sent) = self.account.read.zip(self.campaign.last_sent)?;
        Some((read - sent).to_std().unwrap_or_default())
    }

    /// Whether anything was sent.
    pub fn is_sent(&self) -> bool {
        let campaign = self.campaign;
        let is_planned = campaign.last_sent.is_none() && campaign.scheduled.is_some();
        !is_planned && !campaign.status.is_some_and(Status::nothing_sent_yet)
    }

    /// Whether receipts are still arriving, so that the ratios say little yet.
    pub fn is_arriving(&self) -> bool {
        let is_young = self.age().is_some_and(|age| age < maturity(&self.campaign.channel));
        self.is_sent() && (is_young || self.campaign.status == Some(Status::InProgress))
    }

    /// A ratio, if the provider reports both counts.
    pub fn ratio(&self, ratio: Ratio) -> Option<f64> {
        ratio.of([self.campaign])
    }

    /// How a ratio compares with what is usual. Nothing before the campaign is mature.
    pub fn verdict(&self, ratio: Ratio) -> Option<Verdict> {
        let value = self.ratio(ratio).filter(|_| !self.is_arriving())?;
        let [low, _, high] = self.campaign.figures.usual(ratio)?;
        Some(match value {
            value if value < low => Verdict::Below,
            value if value > high => Verdict::Above,
            _ => Verdict::Usual,
        })
    }
}
