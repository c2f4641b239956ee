//! The state of a simulated provider and the requests it has received.

use std::{
    borrow::Cow,
    collections::VecDeque,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Authorization, Campaign, FaultPlan, Request, World};

/// The number of requests a simulator remembers.
pub const KEPT_REQUESTS: usize = 1_000;

/// The state of a simulated provider and the requests it has received.
#[derive(Clone, Debug)]
pub struct State {
    /// The accepted bearer token. An API with an authorization server also accepts the access
    /// tokens issued there.
    pub token: String,
    /// The authorization server, for APIs that have one.
    pub authorization: Authorization,
    /// The account's campaigns.
    pub campaigns: Campaigns,
    /// The current time as the provider sees it; `None` uses the system clock.
    pub present: Option<DateTime<Utc>>,
    /// Raw items listed before the campaigns regardless of the window, for malformed items.
    pub items: Vec<Value>,
    /// The credit balance of an account with fixed campaigns, for APIs that report it; `None` if
    /// unlimited.
    pub credits: Option<u64>,
    /// Percentage points added to the rates that an API reports, to make them contradict the counts.
    pub percents_off_by: f64,
    /// The faults of the API; the authorization server has its own.
    pub fault: Option<FaultPlan>,
    /// The number of requests answered so far, including failures.
    pub answered: u64,
    /// The most recent of these requests, oldest first.
    pub requests: VecDeque<Request>,
    /// The number of places items have moved.
    pub(super) shift: usize,
}

impl State {
    /// Returns a provider without faults.
    pub fn new(token: impl Into<String>, campaigns: impl Into<Campaigns>) -> Self {
        Self {
            token: token.into(),
            authorization: Authorization::default(),
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

    /// Returns the maximum number of remembered requests of a kind within any period of this
    /// length, such as the second of a rate limit.
    pub fn most_requests_within(&self, time: Duration, kind: impl Fn(&Request) -> bool) -> usize {
        let requests = self.requests.iter().filter(|request| kind(request));
        let mut moments: Vec<_> = requests.map(|request| request.at).collect();
        moments.sort_unstable();
        let starts = moments.iter().enumerate();
        let counts = starts.map(|(before, start)| {
            let in_time = |moment: &Instant| *moment - *start < time;
            moments.iter().skip(before).take_while(|m| in_time(m)).count()
        });
        counts.max().unwrap_or(0)
    }

    /// Returns the maximum number of token requests in any second, regardless of the answers.
    pub fn most_token_requests_in_a_second(&self) -> usize {
        self.most_requests_within(Duration::from_secs(1), Authorization::is_token_request)
    }

    /// Returns the current balance; a simulated account spends its credits over time.
    pub fn credits_at(&self, now: DateTime<Utc>) -> Option<u64> {
        match &self.campaigns {
            Campaigns::Fixed(_) => self.credits,
            Campaigns::Living(world) => Some(world.credits(now)),
        }
    }

    /// Returns the raw items followed by these campaigns, moved back by repeating the last ones.
    pub fn listed(&self, campaigns: impl Iterator<Item = Value>) -> Vec<Value> {
        let all: Vec<_> = self.items.iter().cloned().chain(campaigns).collect();
        if self.shift == 0 {
            return all;
        }
        let skipped = all.len() - self.shift.checked_rem(all.len()).unwrap_or(0);
        let size = all.len() + self.shift;
        all.into_iter().cycle().skip(skipped).take(size).collect()
    }

    /// Records an answered request.
    pub fn count(&mut self, request: Request) {
        self.answered += 1;
        if self.requests.len() == KEPT_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }
}

/// The source of an account's campaigns.
#[derive(Clone, Debug)]
pub enum Campaigns {
    /// A fixed list, for tests.
    Fixed(Vec<Campaign>),
    /// A simulated account that keeps adding campaigns, for the demo.
    Living(World),
}

impl Campaigns {
    /// Returns all campaigns that exist at a given time, in no particular order.
    pub fn at(&self, now: DateTime<Utc>) -> Cow<'_, [Campaign]> {
        match self {
            Self::Fixed(campaigns) => Cow::Borrowed(campaigns),
            Self::Living(world) => Cow::Owned(world.campaigns(now)),
        }
    }

    /// Returns the campaigns sent so far, newest first, as reports of sent campaigns list them.
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
    fn the_busiest_second_is_found() {
        let start = Instant::now();
        let mut state = State::new("secret", Vec::new());
        assert_eq!(state.most_token_requests_in_a_second(), 0);
        let mut ask = |form: &[(&str, &str)], millis| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            state.count(Request {
                method: "POST".to_owned(),
                path_and_query: "/".to_owned(),
                headers: HeaderMap::new(),
                form: form.iter().map(owned).collect(),
                json: Value::Null,
                at: start + Duration::from_millis(millis),
            });
            state.most_token_requests_in_a_second()
        };
        let token = [("grant_type", "refresh_token")];
        assert_eq!(ask(&[("scope", "reports")], 0), 0);
        assert_eq!(ask(&token, 0), 1);
        assert_eq!(ask(&token, 1_000), 1);
        assert_eq!(ask(&token, 2_500), 1);
        assert_eq!(ask(&token, 1_999), 2);
        assert_eq!(ask(&token, 2_900), 3);
        assert_eq!(ask(&token, 9_000), 3);
        let all = state.most_requests_within(Duration::from_millis(1), |_| true);
        assert_eq!(all, 2);
    }
}
