//! What a simulated provider holds, and what it has been asked.

use std::{borrow::Cow, collections::VecDeque};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::{Campaign, FaultPlan, Request, World};

/// How many requests a simulator remembers.
pub const KEPT_REQUESTS: usize = 1_000;

/// What a simulated provider holds, and what it has been asked.
#[derive(Clone, Debug)]
pub struct State {
    /// The only bearer token that is accepted.
    pub token: String,
    /// The app in the path of CINNOX's API.
    pub app_id: String,
    /// The zone of SMSUp's dates.
    pub time_zone: Tz,
    /// The account's campaigns.
    pub campaigns: Campaigns,
    /// Raw items listed before the campaigns, whatever the window: for malformed ones.
    pub items: Vec<Value>,
    /// The balance of an SMSUp account with fixed campaigns, or none if it is unlimited.
    pub credits: Option<u64>,
    /// Added to Constant Contact's percents, to make them contradict its counts.
    pub percents_off_by: f64,
    /// What is to go wrong.
    pub fault: Option<FaultPlan>,
    /// The number of requests answered so far, well or badly.
    pub answered: u64,
    /// The last of these requests, the oldest first.
    pub requests: VecDeque<Request>,
}

impl State {
    /// A provider in good order.
    pub fn new(token: impl Into<String>, campaigns: impl Into<Campaigns>) -> Self {
        Self {
            token: token.into(),
            app_id: "demo-app".to_owned(),
            time_zone: chrono_tz::Europe::Paris,
            campaigns: campaigns.into(),
            items: Vec::new(),
            credits: Some(44_690),
            percents_off_by: 0.0,
            fault: None,
            answered: 0,
            requests: VecDeque::new(),
        }
    }

    /// The balance now: a living account spends it.
    pub(super) fn credits_at(&self, now: DateTime<Utc>) -> Option<u64> {
        match &self.campaigns {
            Campaigns::Fixed(_) => self.credits,
            Campaigns::Living(world) => Some(world.credits(now)),
        }
    }

    pub(super) fn count(&mut self, request: Request) {
        self.answered += 1;
        if self.requests.len() == KEPT_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }
}

/// Where an account's campaigns come from.
#[derive(Clone, Debug)]
pub enum Campaigns {
    /// A test's own.
    Fixed(Vec<Campaign>),
    /// The demo's, which become more by themselves.
    Living(World),
}

impl Campaigns {
    /// All campaigns that exist at a moment, in no particular order.
    pub fn at(&self, now: DateTime<Utc>) -> Cow<'_, [Campaign]> {
        match self {
            Self::Fixed(campaigns) => Cow::Borrowed(campaigns),
            Self::Living(world) => Cow::Owned(world.campaigns(now)),
        }
    }

    /// The campaigns sent by now, the newest first, as both providers with a report of sent
    /// campaigns list them.
    pub(super) fn sent(&self, now: DateTime<Utc>) -> Vec<Campaign> {
        let mut campaigns = self.at(now).into_owned();
        campaigns.retain(|campaign| campaign.sent_at <= now);
        campaigns.sort_by(|a, b| b.sent_at.cmp(&a.sent_at).then_with(|| a.id.cmp(&b.id)));
        campaigns
    }
}

impl From<Vec<Campaign>> for Campaigns {
    fn from(campaigns: Vec<Campaign>) -> Self {
        Self::Fixed(campaigns)
    }
}

impl From<World> for Campaigns {
    fn from(world: World) -> Self {
        Self::Living(world)
    }
}
