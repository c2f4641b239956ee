//! SMSUp: `/campaigns` and `/credits`.
//!
//! Errors have status 200 and a negative number in the body, and without an `Accept` header for
//! JSON there is XML.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use hyper::header::ACCEPT;
use serde_json::{Value, json};

use super::{Campaign, Request, State, answer::Answer};

const DATE: &str = "%Y-%m-%d %H:%M:%S";

pub(super) const COUNTS: [&str; 8] = [
    "cost",
    "delivered",
    "error",
    "expired",
    "network_error",
    "stop",
    "npai",
    "total",
];

pub(super) fn answer(state: &State, now: DateTime<Utc>, request: &Request) -> Answer {
    let body = body(state, now, request);
    if request.header_has(&ACCEPT, "application/json") {
        Answer::json(200, body)
    } else {
        Answer::text(200, "text/xml; charset=utf-8", xml(&body))
    }
}

fn body(state: &State, now: DateTime<Utc>, request: &Request) -> Value {
    if !request.bears(&state.token) {
        return failure(-1, "Authentication error");
    }
    match (request.method.as_str(), request.path()) {
        ("GET", "/campaigns") => match Query::asked(request) {
            Some(query) => query.campaigns(state, now),
            None => failure(-7, "Data error"),
        },
        ("GET", "/credits") => {
            let credits = state.credits_at(now);
            json!({
                "status": 1,
                "message": "OK",
                "credits": credits.unwrap_or_default().to_string(),
                "postpaid": "0",
                "postpaid_limit": false,
                "unlimited": credits.is_none(),
            })
        }
        _ => failure(-5, "Resource not found"),
    }
}

/// The documented body for a status; what goes wrong in front of the API keeps its status.
pub(super) fn error(status: u16) -> Answer {
    match status {
        401 => Answer::json(200, failure(-1, "Authentication error")),
        _ => Answer::json(status, failure(-99, "Unknown error")),
    }
}

fn failure(status: i32, message: &str) -> Value {
    json!({ "status": status, "message": message })
}

/// Which campaigns are asked for.
struct Query {
    start: usize,
    length: usize,
    date_start: Option<NaiveDateTime>,
    date_end: Option<NaiveDateTime>,
    compare: fn(&Campaign, &Campaign) -> Ordering,
    descending: bool,
}

impl Query {
    fn asked(request: &Request) -> Option<Self> {
        let date = |name| {
            let value = request.parameter(name);
            value
                .map(|value| NaiveDateTime::parse_from_str(&value, DATE))
                .transpose()
        };
        let length = request.parse("length").ok()?.unwrap_or(100);
        if length > 1_000 {
            return None;
        }
        let sort = request.parameter("sort").unwrap_or_else(|| "id".to_owned());
        let (key, descending) = match sort.strip_prefix('-') {
            Some(key) => (key, true),
            None => (sort.as_str(), false),
        };
        Some(Self {
            start: request.parse("start").ok()?.unwrap_or(0),
            length,
            date_start: date("date_start").ok()?,
            date_end: date("date_end").ok()?,
            compare: match key {
                "id" => by_id,
                "date" => by_date,
                _ => return None,
            },
            descending,
        })
    }

    fn campaigns(&self, state: &State, now: DateTime<Utc>) -> Value {
        let all = state.campaigns.at(now);
        let mut shown: Vec<_> = all
            .iter()
            .filter(|campaign| self.includes(campaign, state.time_zone))
            .collect();
        shown.sort_by(|a, b| (self.compare)(a, b));
        if self.descending {
            shown.reverse();
        }
        let items = shown.iter().map(|campaign| item(campaign, state, now));
        let listed = state.listed(items);
        let displayed = listed.len();
        let rows: Vec<_> = listed
            .into_iter()
            .skip(self.start)
            .take(self.length)
            .collect();
        json!({
            "status": 1,
            "message": "OK",
            "campaigns": rows,
            "totalRecords": displayed + all.len() - shown.len(),
            "totalDisplayRecords": displayed,
        })
    }

    /// Compares local times, as a server does that keeps no zone with them.
    fn includes(&self, campaign: &Campaign, zone: Tz) -> bool {
        let date = campaign.sent_at.with_timezone(&zone).naive_local();
        self.date_start.is_none_or(|start| date >= start)
            && self.date_end.is_none_or(|end| date <= end)
    }
}

/// As numbers, of which the longer is the greater.
fn by_id(a: &Campaign, b: &Campaign) -> Ordering {
    (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id))
}

fn by_date(a: &Campaign, b: &Campaign) -> Ordering {
    a.sent_at.cmp(&b.sent_at).then_with(|| by_id(a, b))
}

/// All numbers are strings.
fn item(campaign: &Campaign, state: &State, now: DateTime<Utc>) -> Value {
    let counts = campaign.counts_at(now);
    let local = |date: DateTime<Utc>| {
        let date = date.with_timezone(&state.time_zone);
        date.format(DATE).to_string()
    };
    let per_myriad = counts
        .deliveries
        .saturating_mul(10_000)
        .checked_div(counts.recipients)
        .unwrap_or(0);
    json!({
        "id": campaign.id,
        "sender": "SAMPLE",
        "text": campaign.name,
        "creation_date": local(campaign.created_at),
        "date": local(campaign.sent_at),
        "cost": campaign.cost(now).to_string(),
        "lists": [{ "id": "5a0331bffc5886074551ce97" }],
        "status": campaign.status,
        "delivery_rate": (per_myriad as f64 / 100.0 + state.percents_off_by).to_string(),
        "delivered": counts.deliveries.to_string(),
        "error": counts.error.to_string(),
        "expired": counts.expired.to_string(),
        "network_error": counts.network_error.to_string(),
        "stop": counts.opt_outs.to_string(),
        "npai": counts.npai.to_string(),
        "total": counts.recipients.to_string(),
    })
}

/// The same answer as XML, which has fewer members.
fn xml(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !name.starts_with("total"));
        if let Some(Value::Array(mut campaigns)) = members.remove("campaigns") {
            for campaign in campaigns.iter_mut().filter_map(Value::as_object_mut) {
                campaign.remove("status");
            }
            members.insert("campaign".to_owned(), campaigns.into());
        }
    }
    let response = element("response", &body);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n{response}")
}

fn element(name: &str, value: &Value) -> String {
    let inner = match value {
        Value::Array(values) => return values.iter().map(|value| element(name, value)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| element(name, value))
            .collect(),
        Value::String(text) => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::{Api, Counts, Simulator},
        *,
    };

    /// Half past two in the night in which Paris sets its clocks back, the first time.
    fn first() -> DateTime<Utc> {
        "2025-10-26T00:30:00Z".parse().unwrap()
    }

    fn campaign(number: u32) -> Campaign {
        let counts = Counts {
            recipients: 800,
            sends: 790,
            deliveries: 777,
            error: 7,
            expired: 5,
            network_error: 1,
            opt_outs: 4,
            npai: 10,
            ..Counts::default()
        };
        let sent_at = first() + TimeDelta::hours(number.into());
        Campaign::sms((98 + number).to_string(), "Shoes & <more>", sent_at, counts)
    }

    async fn simulator() -> Simulator {
        let campaigns: Vec<_> = (0..5).map(campaign).collect();
        let state = State::new("secret", campaigns);
        Simulator::start(Api::Smsup, state).await.unwrap()
    }

    async fn get(simulator: &Simulator, path: &str, query: &[(&str, &str)]) -> Value {
        let response = reqwest::Client::new()
            .get(simulator.base_url() + path)
            .query(query)
            .header(ACCEPT, "application/json")
            .bearer_auth("secret")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    async fn ids(simulator: &Simulator, query: &[(&str, &str)]) -> String {
        let body = get(simulator, "/campaigns", query).await;
        assert_eq!(body["status"], 1, "{body}");
        let rows = body["campaigns"].as_array().unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        ids.join(" ")
    }

    #[tokio::test]
    async fn pages_and_sorting() {
        let simulator = simulator().await;
        assert_eq!(ids(&simulator, &[]).await, "98 99 100 101 102");
        assert_eq!(
            ids(&simulator, &[("sort", "-id")]).await,
            "102 101 100 99 98"
        );
        assert_eq!(
            ids(&simulator, &[("sort", "-date"), ("length", "2")]).await,
            "102 101"
        );
        assert_eq!(
            ids(&simulator, &[("sort", "date"), ("start", "3")]).await,
            "101 102"
        );
        let body = get(&simulator, "/campaigns", &[("start", "9")]).await;
        assert_eq!(body["campaigns"], json!([]));
    }

    #[tokio::test]
    async fn the_window_is_in_local_time() {
        let simulator = simulator().await;
        // the first two were sent at the same local time
        let window = [
            ("date_start", "2025-10-26 02:30:00"),
            ("date_end", "2025-10-26 03:30:00"),
        ];
        assert_eq!(ids(&simulator, &window).await, "98 99 100");
        let body = get(&simulator, "/campaigns", &window).await;
        assert_eq!(body["totalRecords"], 5);
        assert_eq!(body["totalDisplayRecords"], 3);
    }

    #[tokio::test]
    async fn numbers_are_strings() {
        let simulator = simulator().await;
        simulator.update(|state| state.items = vec![json!(null)]);
        let body = get(&simulator, "/campaigns", &[("length", "2")]).await;
        let expected = json!([null, {
            "id": "98",
            "sender": "SAMPLE",
            "text": "Shoes & <more>",
            "creation_date": "2025-10-26 02:30:00",
            "date": "2025-10-26 02:30:00",
            "cost": "790",
            "lists": [{ "id": "5a0331bffc5886074551ce97" }],
            "status": "Sent",
            "delivery_rate": "97.12",
            "delivered": "777",
            "error": "7",
            "expired": "5",
            "network_error": "1",
            "stop": "4",
            "npai": "10",
            "total": "800",
        }]);
        assert_eq!(body["campaigns"], expected);
    }

    #[tokio::test]
    async fn the_delivery_rate_may_contradict_the_counts() {
        let simulator = simulator().await;
        simulator.update(|state| state.percents_off_by = -10.0);
        let body = get(&simulator, "/campaigns", &[]).await;
        assert_eq!(body["campaigns"][0]["delivery_rate"], "87.12");
        assert_eq!(body["campaigns"][0]["delivered"], "777");
    }

    #[tokio::test]
    async fn credits_may_be_unlimited() {
        let simulator = simulator().await;
        let body = get(&simulator, "/credits", &[]).await;
        assert_eq!(
            (&body["credits"], &body["unlimited"]),
            (&json!("44690"), &json!(false))
        );
        simulator.update(|state| state.credits = None);
        let body = get(&simulator, "/credits", &[]).await;
        assert_eq!(
            (&body["credits"], &body["unlimited"]),
            (&json!("0"), &json!(true))
        );
    }

    #[tokio::test]
    async fn wrong_requests_are_refused_with_status_200() {
        let simulator = simulator().await;
        for query in [
            ("length", "1001"),
            ("length", "-1"),
            ("start", "x"),
            ("date_start", "2025-10-26T02:30:00Z"),
            ("date_end", "2025-10-26"),
            ("sort", "newest"),
        ] {
            let body = get(&simulator, "/campaigns", &[query]).await;
            assert_eq!(body["status"], -7, "{query:?}");
        }
        assert_eq!(get(&simulator, "/campaign", &[]).await["status"], -5);
        simulator.update(|state| state.token = "other".to_owned());
        assert_eq!(get(&simulator, "/credits", &[]).await["status"], -1);
    }

    #[tokio::test]
    async fn without_an_accept_header_there_is_xml() {
        let simulator = simulator().await;
        let response = reqwest::Client::new()
            .get(simulator.base_url() + "/campaigns?length=1")
            .bearer_auth("secret")
            .send()
            .await
            .unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "text/xml; charset=utf-8"
        );
        let text = response.text().await.unwrap();
        assert!(text.starts_with("<?xml"), "{text}");
        assert!(text.contains("<cost>790</cost>"), "{text}");
        assert!(
            text.contains("<lists><id>5a0331bffc5886074551ce97</id></lists>"),
            "{text}"
        );
        assert!(
            text.contains("<text>Shoes &amp; &lt;more&gt;</text>"),
            "{text}"
        );
        assert_eq!(text.matches("<status>").count(), 1, "{text}");
    }
}
