//! Constant Contact v3: `/v3/reports/summary_reports/sms_campaign_summaries`.

use std::ops::Range;

use chrono::{DateTime, Utc};
use chrono_tz::America::New_York;
use serde_json::{Value, json};

use super::{Campaign, Channel, Request, State, answer::Answer};

const PATH: &str = "/v3/reports/summary_reports/sms_campaign_summaries";

pub(super) const COUNTS: [&str; 5] = ["sends", "clicks", "optouts", "delivers", "bounces"];

pub(super) fn answer(state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
    if request.method != "GET" || request.path() != PATH {
        // the gateway, which knows neither the path nor the API's own error bodies
        return Answer::json(403, json!({ "message": "Forbidden" }));
    }
    if !request.bears(&state.token) && !state.authorization.admits(request) {
        return error(401);
    }
    match Page::asked(request) {
        Ok(page) => Answer::json(200, page.of(state, now)),
        Err(message) => bad_request(message),
    }
}

/// The documented body for a status.
pub(super) fn error(status: u16) -> Answer {
    let (key, message) = match status {
        400 => return bad_request("Bad request"),
        401 => ("unauthorized", "Unauthorized"),
        403 => (
            "access_denied",
            "Request forbidden due to insufficient user privileges.",
        ),
        404 => ("reportingsvc.not_found", "Not found"),
        429 => ("throttled", "Too Many Requests"),
        _ => ("server_error", "Internal server error"),
    };
    Answer::json(
        status,
        json!({ "error_key": key, "error_message": message }),
    )
}

/// The answer when the day's requests are used up.
pub(super) fn quota_exceeded() -> Answer {
    Answer::json(
        429,
        json!({ "error_key": "quota_exceeded", "error_message": "Limit Exceeded" }),
    )
}

/// Unlike the others an array.
fn bad_request(message: &str) -> Answer {
    Answer::json(
        400,
        json!([{ "error_key": "query.param.invalid", "error_message": message }]),
    )
}

/// Which campaigns are asked for.
struct Page {
    start_at: DateTime<Utc>,
    end_at: DateTime<Utc>,
    limit: usize,
    offset: usize,
}

impl Page {
    /// What the query says; a cursor says it all.
    fn asked(request: &Request) -> Result<Self, &'static str> {
        if let Some(cursor) = request.parameter("next") {
            return Self::from_cursor(&cursor).ok_or("next is not a cursor of this API");
        }
        let date = |name| request.parse::<DateTime<Utc>>(name);
        let page = Self {
            start_at: date("start_at")
                .map_err(|_| "start_at must be ISO 8601")?
                .ok_or("start_at is required")?,
            end_at: date("end_at")
                .map_err(|_| "end_at must be ISO 8601")?
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            limit: request
                .parse("limit")
                .map_err(|_| "limit must be a number")?
                .unwrap_or(50),
            offset: 0,
        };
        if (1..=50).contains(&page.limit) {
            Ok(page)
        } else {
            Err("limit must be from 1 to 50")
        }
    }

    /// Opaque to clients: fixed fields of hexadecimal digits.
    fn cursor(&self) -> String {
        format!(
            "{:016x}{:016x}{:02x}{:08x}",
            self.start_at.timestamp_micros(),
            self.end_at.timestamp_micros(),
            self.limit,
            self.offset
        )
    }

    fn from_cursor(cursor: &str) -> Option<Self> {
        let number = |digits: Range<usize>| u64::from_str_radix(cursor.get(digits)?, 16).ok();
        let date = |digits| DateTime::from_timestamp_micros(number(digits)?.cast_signed());
        Some(Self {
            start_at: date(0..16)?,
            end_at: date(16..32)?,
            limit: number(32..34)?.try_into().ok()?,
            offset: number(34..42)?.try_into().ok()?,
        })
    }

    fn of(self, state: &State, now: DateTime<Utc>) -> Value {
        let campaigns = state.campaigns.sent(now);
        let summaries = campaigns
            .iter()
            .filter(|campaign| campaign.channel == Channel::Sms)
            .filter(|campaign| (self.start_at..=self.end_at).contains(&campaign.sent_at))
            .map(|campaign| summary(campaign, now));
        let mut rest = state.listed(summaries).into_iter().skip(self.offset);
        let rows: Vec<_> = rest.by_ref().take(self.limit).collect();
        let mut page = json!({
            "aggregate_percents": aggregate_percents(&rows, state.percents_off_by),
            "bulk_sms_campaign_summaries": rows,
        });
        if let (Some(_), Some(page)) = (rest.next(), page.as_object_mut()) {
            let next = Self {
                offset: self.offset + self.limit,
                ..self
            };
            let href = format!("{PATH}?next={}", next.cursor());
            page.insert("_links".to_owned(), json!({ "next": { "href": href } }));
        }
        page
    }
}

fn summary(campaign: &Campaign, now: DateTime<Utc>) -> Value {
    let counts = campaign.counts_at(now);
    let sent_at = campaign.sent_at.with_timezone(&New_York);
    json!({
        "campaign_id": campaign.id,
        "campaign_name": campaign.name,
        "last_sent_date": sent_at.format("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        "unique_counts": {
            "sends": counts.sends,
            "clicks": counts.clicks,
            "optouts": counts.opt_outs,
            "delivers": counts.deliveries,
            "bounces": counts.bounces,
        },
        "campaign_type": "SMS",
    })
}

/// Of one page, over sends, in whole percents.
fn aggregate_percents(rows: &[Value], off_by: f64) -> Value {
    let sum = |count: &str| -> f64 {
        rows.iter()
            .filter_map(|row| row.get("unique_counts")?.get(count)?.as_f64())
            .sum()
    };
    let sends = sum("sends");
    let percent = |count| {
        let percent = if sends > 0.0 {
            (100.0 * sum(count) / sends).round()
        } else {
            0.0
        };
        // through text, because 83.0 is written as 83 there, as in the documentation
        (percent + off_by)
            .to_string()
            .parse::<Value>()
            .unwrap_or_default()
    };
    json!({
        "deliver": percent("delivers"),
        "click": percent("clicks"),
        "bounce": percent("bounces"),
        "unsubscribe": percent("optouts"),
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use reqwest::StatusCode;

    use super::{
        super::{Api, Counts, Simulator},
        *,
    };

    fn campaign(number: u32) -> Campaign {
        Campaign::sms(
            format!("id-{number}"),
            "Spring",
            "2026-05-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap()
                + TimeDelta::days(number.into()),
            Counts {
                sends: 60,
                deliveries: 57,
                clicks: 50,
                bounces: 3,
                opt_outs: 1,
                ..Counts::default()
            },
        )
    }

    async fn get(simulator: &Simulator, path_and_query: &str) -> (StatusCode, Value) {
        let response = reqwest::Client::new()
            .get(simulator.base_url() + path_and_query)
            .bearer_auth("secret")
            .send()
            .await
            .unwrap();
        let status = response.status();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
        )
    }

    async fn simulator(campaigns: Vec<Campaign>) -> Simulator {
        let state = State::new("secret", campaigns);
        Simulator::start(Api::ConstantContact, state).await.unwrap()
    }

    #[tokio::test]
    async fn pages_follow_the_cursor_from_new_to_old() {
        let mut campaigns: Vec<_> = (0..5).map(campaign).collect();
        campaigns.push(Campaign::whatsapp(
            "w",
            "w",
            campaign(2).sent_at,
            Counts::default(),
        ));
        let simulator = simulator(campaigns).await;
        let mut path = format!("{PATH}?start_at=2026-05-02T12:00:00Z&limit=2");
        let mut ids = Vec::new();
        loop {
            let (status, page) = get(&simulator, &path).await;
            assert_eq!(status, 200);
            let rows = page["bulk_sms_campaign_summaries"].as_array().unwrap();
            ids.push(
                rows.iter()
                    .map(|row| row["campaign_id"].clone())
                    .collect::<Vec<_>>(),
            );
            match page.pointer("/_links/next/href") {
                Some(href) => path = href.as_str().unwrap().to_owned(),
                None => break,
            }
        }
        assert_eq!(json!(ids), json!([["id-4", "id-3"], ["id-2", "id-1"]]));
    }

    #[tokio::test]
    async fn a_page_looks_as_documented() {
        let simulator = simulator(vec![campaign(0)]).await;
        let query = format!("{PATH}?start_at=2026-05-01T00:00:00%2B02:00");
        let expected = json!({
            "bulk_sms_campaign_summaries": [{
                "campaign_id": "id-0",
                "campaign_name": "Spring",
                "last_sent_date": "2026-05-01T08:00:00.000-04:00",
                "unique_counts":
                    { "sends": 60, "clicks": 50, "optouts": 1, "delivers": 57, "bounces": 3 },
                "campaign_type": "SMS",
            }],
            "aggregate_percents": { "deliver": 95, "click": 83, "bounce": 5, "unsubscribe": 2 },
        });
        assert_eq!(get(&simulator, &query).await.1, expected);

        simulator.update(|state| {
            state.percents_off_by = 7.5;
            state.items = vec![json!({ "campaign_id": 7 })];
        });
        let (_, page) = get(&simulator, &query).await;
        assert_eq!(page["aggregate_percents"]["click"], 90.5);
        assert_eq!(
            page["bulk_sms_campaign_summaries"][0],
            json!({ "campaign_id": 7 })
        );
        assert_eq!(
            page["bulk_sms_campaign_summaries"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[tokio::test]
    async fn the_window_has_both_its_ends() {
        let simulator = simulator((0..5).map(campaign).collect()).await;
        let day = |number| campaign(number).sent_at.to_rfc3339().replace('+', "%2B");
        let query = format!("{PATH}?start_at={}&end_at={}", day(1), day(3));
        let (_, page) = get(&simulator, &query).await;
        assert_eq!(
            page["bulk_sms_campaign_summaries"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
    }

    #[tokio::test]
    async fn wrong_requests_are_refused() {
        let simulator = simulator(Vec::new()).await;
        for query in [
            "",
            "?start_at=yesterday",
            "?start_at=2026-05-01T00:00:00Z&end_at=today",
            "?start_at=2026-05-01T00:00:00Z&limit=0",
            "?start_at=2026-05-01T00:00:00Z&limit=51",
            "?start_at=2026-05-01T00:00:00Z&limit=many",
            "?next=zzz",
        ] {
            let (status, body) = get(&simulator, &format!("{PATH}{query}")).await;
            assert_eq!(status, 400, "{query}");
            assert!(body[0]["error_key"].is_string(), "{query}");
        }
        let (status, body) = get(&simulator, &format!("/v3{PATH}")).await;
        assert_eq!(
            (status.as_u16(), body),
            (403, json!({ "message": "Forbidden" }))
        );

        simulator.update(|state| state.token = "other".to_owned());
        let (status, body) = get(&simulator, PATH).await;
        assert_eq!(status, 401);
        assert_eq!(body["error_key"], "unauthorized");
    }
}
