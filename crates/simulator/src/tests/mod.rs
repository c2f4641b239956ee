//! The simulator, with made-up APIs.

mod faults;
mod server;
mod world;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::*;

/// An API that lists campaigns by offset; its accounts have these habits.
#[derive(Debug)]
pub(crate) struct MadeUp {
    habits: Habits,
    has_authorization: bool,
}

const HABITS: Habits = Habits {
    stream: 0,
    channels: &[Channel::Sms],
    unsent: false,
    bad_days: false,
    texts: false,
    id: |_, rng| rng.u64(..).to_string(),
};

pub(crate) static PLAIN: MadeUp = MadeUp { habits: HABITS, has_authorization: true };

static WHATSAPP: MadeUp = MadeUp {
    habits: Habits { stream: 1, channels: &[Channel::Sms, Channel::Whatsapp], ..HABITS },
    has_authorization: false,
};

static UNSENT: MadeUp = MadeUp {
    habits: Habits { stream: 2, unsent: true, bad_days: true, texts: true, ..HABITS },
    has_authorization: false,
};

static APIS: [&MadeUp; 3] = [&PLAIN, &WHATSAPP, &UNSENT];

pub(crate) static AUTHORIZATION: AuthorizationApi = AuthorizationApi {
    base: "/oauth",
    token_path: "/token",
    device_path: "/device",
    scopes: &["reports", "contacts", "offline_access"],
    required_scope: "reports",
    throttled: || PLAIN.error(429),
};

impl Api for MadeUp {
    fn provider(&self) -> &'static str {
        "made_up"
    }

    fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
        if request.method != "GET" {
            return self.error(403);
        }
        if !request.bears(&state.token) && !state.authorization.admits(request) {
            return self.error(401);
        }
        if request.path() != "/campaigns" {
            return Answer::json(200, json!({}));
        }
        let campaigns = state.campaigns.at(now);
        let items = campaigns.iter().map(|campaign| self.item(state, now, campaign));
        let listed = state.listed(items);
        let total = listed.len();
        let number = |name, default| request.parse(name).unwrap().unwrap_or(default);
        let rows: Vec<_> =
            listed.into_iter().skip(number("start", 0)).take(number("length", 100)).collect();
        Answer::json(200, json!({ "status": "fine", "campaigns": rows, "total": total }))
    }

    fn error(&self, status: u16) -> Answer {
        Answer::json(status, json!({ "error": status }))
    }

    fn counts(&self) -> &'static [&'static str] {
        &["sent", "delivered"]
    }

    fn authorization(&self) -> Option<&'static AuthorizationApi> {
        self.has_authorization.then_some(&AUTHORIZATION)
    }

    fn habits(&self) -> Habits {
        self.habits
    }

    fn account(&self, base_url: &str, _token_file: &Path) -> Value {
        json!({ "base_url": base_url })
    }

    fn listing(&self) -> Listing {
        Listing { path: "/campaigns", items: "campaigns", ..Listing::default() }
    }

    fn item(&self, _state: &State, now: DateTime<Utc>, campaign: &Campaign) -> Value {
        let counts = campaign.counts_at(now);
        json!({
            "id": campaign.id,
            "name": campaign.name,
            "sent": counts.sends,
            "delivered": counts.deliveries,
        })
    }
}
