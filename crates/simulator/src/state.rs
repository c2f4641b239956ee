//! What a simulated provider holds, and what it has been asked.

use std::{
    borrow::Cow,
    collections::VecDeque,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::{Authorization, Campaign, FaultPlan, Request, World};

/// How many requests a simulator remembers.
pub const KEPT_REQUESTS: usize = 1_000;

/// What a simulated provider holds, and what it has been asked.
#[derive(Clone, Debug)]
pub struct State {
    /// The bearer token that is accepted; Constant Contact accepts those of its authorisation
    /// server, too.
    pub token: String,
    /// Constant Contact's authorisation server.
    pub authorization: Authorization,
    /// The app in the path of CINNOX's API.
    pub app_id: String,
    /// The zone of SMSUp's dates.
    pub time_zone: Tz,
    /// The account's campaigns.
    pub campaigns: Campaigns,
    /// What the provider takes for the present, or none for what the clock says.
    pub present: Option<DateTime<Utc>>,
    /// Raw items listed before the campaigns, whatever the window: for malformed ones.
    pub items: Vec<Value>,
    /// The balance of an SMSUp account with fixed campaigns, or none if it is unlimited.
    pub credits: Option<u64>,
    /// Added to Constant Contact's percents and SMSUp's delivery rate, to make them contradict the
    /// counts.
    pub percents_off_by: f64,
    /// What is to go wrong with the API; the authorisation server has its own.
    pub fault: Option<FaultPlan>,
    /// The number of requests answered so far, well or badly.
    pub answered: u64,
    /// The last of these requests, the oldest first.
    pub requests: VecDeque<Request>,
    /// By how many places items have moved.
    pub(super) shift: usize,
}

impl State {
    /// A provider in good order.
    pub fn new(token: impl Into<String>, campaigns: impl Into<Campaigns>) -> Self {
        Self {
            token: token.into(),
            authorization: Authorization::default(),
            app_id: "demo-app".to_owned(),
            time_zone: chrono_tz::Europe::Paris,
            campaigns: campaigns.into(),
            present: None,
            items: Vec::new(),
            credits: Some(44_690),
            percents_off_by: 0.0,
            fault: None,
            answered: 0,
            requests: VecDeque::new(),
            shift: 0,
        }
    }

    /// The most requests of a kind, among those that are remembered, that came within a time, such
    /// as the second of a rate limit.
    pub fn most_requests_within(&self, time: Duration, kind: impl Fn(&Request) -> bool) -> usize {
        let requests = self.requests.iter().filter(|request| kind(request));
        let mut moments: Vec<_> = requests.map(|request| request.at).collect();
        moments.sort_unstable();
        let starts = moments.iter().enumerate();
        let counts = starts.map(|(before, start)| {
            let in_time = |moment: &Instant| *moment - *start < time;
            moments
                .iter()
                .skip(before)
                .take_while(|m| in_time(m))
                .count()
        });
        counts.max().unwrap_or(0)
    }

    /// The most token requests in any one second, whatever they were answered.
    pub fn most_token_requests_in_a_second(&self) -> usize {
        self.most_requests_within(Duration::from_secs(1), Authorization::is_token_request)
    }

    /// The balance now: a living account spends it.
    pub fn credits_at(&self, now: DateTime<Utc>) -> Option<u64> {
        match &self.campaigns {
            Campaigns::Fixed(_) => self.credits,
            Campaigns::Living(world) => Some(world.credits(now)),
        }
    }

    /// The raw items and these, moved back by repetitions of the last ones.
    pub fn listed(&self, campaigns: impl Iterator<Item = Value>) -> Vec<Value> {
        let all: Vec<_> = self.items.iter().cloned().chain(campaigns).collect();
        let skipped = all.len() - self.shift.checked_rem(all.len()).unwrap_or(0);
        let size = all.len() + self.shift;
        all.into_iter().cycle().skip(skipped).take(size).collect()
    }

    /// Notes an answered request.
    pub fn count(&mut self, request: Request) {
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
    pub fn sent(&self, now: DateTime<Utc>) -> Vec<Campaign> {
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

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    #[test]
    fn the_densest_second_is_found() {
        let start = Instant::now();
        let mut state = State::new("secret", Vec::new());
        assert_eq!(state.most_token_requests_in_a_second(), 0);
        let mut ask = |path: &str, millis| {
            state.count(Request {
                method: "POST".to_owned(),
                path_and_query: path.to_owned(),
                headers: HeaderMap::new(),
                form: Vec::new(),
                at: start + Duration::from_millis(millis),
            });
            state.most_token_requests_in_a_second()
        };
        let token = "/oauth2/default/v1/token";
        assert_eq!(ask("/v3/reports", 0), 0);
        assert_eq!(ask(token, 0), 1);
        assert_eq!(ask(token, 1_000), 1);
        assert_eq!(ask(token, 2_500), 1);
        assert_eq!(ask(token, 1_999), 2);
        assert_eq!(ask(token, 2_900), 3);
        assert_eq!(ask(token, 9_000), 3);
        let all = state.most_requests_within(Duration::from_millis(1), |_| true);
        assert_eq!(all, 2);
    }
}
