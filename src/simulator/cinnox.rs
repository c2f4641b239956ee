//! CINNOX: `/v1/api/apps/{app}/data/sent-campaigns-summary`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Campaign, Channel, Request, State, answer::Answer};

const MAX_LIMIT: i64 = 200;

pub(super) const COUNTS: [&str; 6] = [
    "totalRecipients",
    "delivered",
    "read",
    "replied",
    "pending",
    "failed",
];

pub(super) fn answer(state: &State, now: DateTime<Utc>, request: &Request) -> Answer {
    let app = request
        .path()
        .strip_prefix("/v1/api/apps/")
        .and_then(|path| path.strip_suffix("/data/sent-campaigns-summary"));
    let (Some(app), "GET") = (app, request.method.as_str()) else {
        let message = format!(
            "method not found, method: {} url: {}",
            request.method, request.path_and_query
        );
        return failure(400, 6_450_001, &message);
    };
    // a token belongs to an app
    if app != state.app_id || !request.bears(&state.token) {
        return error(401);
    }
    match Query::asked(request) {
        Ok(query) => Answer::json(200, query.result(state, now)),
        Err(message) => failure(400, 6_451_000, &message),
    }
}

/// The documented body for a status.
pub(super) fn error(status: u16) -> Answer {
    match status {
        400 => failure(status, 400, "Bad request"),
        401 => failure(status, 401, "Unauthorized"),
        429 => failure(status, 6_451_010, "Reach request limit"),
        500.. => failure(status, 6_451_001, "Bad response from the service"),
        _ => failure(status, status.into(), "Request refused"),
    }
}

fn failure(status: u16, code: u32, message: &str) -> Answer {
    Answer::json(status, json!({ "code": code, "message": message }))
}

/// Which campaigns are asked for.
struct Query {
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    channel: Option<Channel>,
    limit: usize,
    offset: usize,
}

impl Query {
    fn asked(request: &Request) -> Result<Self, String> {
        let bad = |_| "Bad query".to_owned();
        let date = |name| request.parse::<DateTime<Utc>>(name).map_err(bad);
        let number = |name| {
            let number = request.parse::<i64>(name);
            number.map_err(|_| "Bad query".to_owned())
        };
        let window = match (date("startAt")?, date("endAt")?) {
            (Some(start), Some(end)) if end < start => {
                return Err("endAt is prior to startAt".to_owned());
            }
            (Some(start), Some(end)) => Some((start, end)),
            (None, None) => None,
            _ => return Err("missing one of startAt, endAt".to_owned()),
        };
        let channel = match request.parameter("channel").as_deref() {
            None | Some("") => None,
            Some("sms") => Some(Channel::Sms),
            Some("whatsApp") => Some(Channel::Whatsapp),
            Some(_) => return Err("Bad query".to_owned()),
        };
        let limit = number("limit")?.unwrap_or(10);
        if limit > MAX_LIMIT {
            return Err(format!("exceed maximum limit {MAX_LIMIT}"));
        }
        let offset = number("offset")?.unwrap_or(0);
        Ok(Self {
            window,
            channel,
            limit: limit.try_into().map_err(|_| "negative limit")?,
            offset: offset.try_into().map_err(|_| "negative offset")?,
        })
    }

    fn result(&self, state: &State, now: DateTime<Utc>) -> Value {
        let campaigns = state.campaigns.sent(now);
        let items = campaigns
            .iter()
            .filter(|campaign| self.includes(campaign))
            .map(|campaign| item(campaign, now));
        let listed = state.listed(items).into_iter();
        let rows: Vec<_> = listed.skip(self.offset).take(self.limit).collect();
        json!({ "code": 200, "result": rows, "cid": format!("{:016x}", state.answered) })
    }

    fn includes(&self, campaign: &Campaign) -> bool {
        self.channel
            .is_none_or(|channel| channel == campaign.channel)
            && self
                .window
                .is_none_or(|(start, end)| (start..=end).contains(&campaign.sent_at))
    }
}

/// Each channel has members that the other lacks.
fn item(campaign: &Campaign, now: DateTime<Utc>) -> Value {
    let counts = campaign.counts_at(now);
    let date = campaign
        .sent_at
        .to_rfc3339_opts(SecondsFormat::Millis, true);
    match campaign.channel {
        Channel::Sms => json!({
            "id": campaign.id,
            "date": date,
            "campaignName": campaign.name,
            "channel": "SMS",
            "createdBy": "Sam Sample",
            "sender": { "phone": "+85230000000", "senderEID": "sample-eid" },
            "totalRecipients": counts.recipients,
            "delivered": counts.deliveries,
        }),
        Channel::Whatsapp => json!({
            "id": campaign.id,
            "date": date,
            "campaignName": campaign.name,
            "channel": "WhatsApp",
            "createdBy": "Sam Sample",
            "sender": {
                "phone": "+85230000001",
                "channelName": "Sample channel",
                "sourceName": "Sample source",
            },
            "subject": "sample_template",
            "totalRecipients": counts.recipients,
            "delivered": counts.deliveries,
            "read": counts.reads,
            "replied": counts.replies,
            "pending": counts.pending,
            "failed": counts.bounces,
        }),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{
        super::{Api, Counts, Simulator},
        *,
    };

    const PATH: &str = "/v1/api/apps/demo-app/data/sent-campaigns-summary";
    const COUNTS: Counts = Counts {
        recipients: 100,
        sends: 100,
        deliveries: 90,
        clicks: 0,
        bounces: 8,
        opt_outs: 0,
        reads: 70,
        replies: 120,
        pending: 2,
        error: 0,
        expired: 0,
        network_error: 0,
        npai: 0,
    };

    fn day(number: u32) -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(number.into())
    }

    /// Odd ones are WhatsApp.
    fn campaign(number: u32) -> Campaign {
        let new = if number % 2 == 1 {
            Campaign::whatsapp
        } else {
            Campaign::sms
        };
        new(
            format!("id-{number}"),
            "Spring".to_owned(),
            day(number),
            COUNTS,
        )
    }

    async fn simulator() -> Simulator {
        let campaigns: Vec<_> = (0..15).map(campaign).collect();
        let state = State::new("secret", campaigns);
        Simulator::start(Api::Cinnox, state).await.unwrap()
    }

    async fn get(simulator: &Simulator, path: &str, query: &[(&str, &str)]) -> (u16, Value) {
        let response = reqwest::Client::new()
            .get(simulator.base_url() + path)
            .query(query)
            .bearer_auth("secret")
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
        )
    }

    async fn ids(simulator: &Simulator, query: &[(&str, &str)]) -> Vec<String> {
        let (status, body) = get(simulator, PATH, query).await;
        assert_eq!((status, &body["code"]), (200, &json!(200)));
        let rows = body["result"].as_array().unwrap();
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn pages_are_cut_by_limit_and_offset() {
        let simulator = simulator().await;
        let all: Vec<_> = (0..15).rev().map(|number| format!("id-{number}")).collect();
        assert_eq!(ids(&simulator, &[]).await, all[..10]);
        assert_eq!(ids(&simulator, &[("offset", "10")]).await, all[10..]);
        assert_eq!(ids(&simulator, &[("limit", "200")]).await, all);
        assert_eq!(
            ids(&simulator, &[("limit", "2"), ("offset", "3")]).await,
            all[3..5]
        );
    }

    #[tokio::test]
    async fn channel_and_window_narrow_the_result() {
        let simulator = simulator().await;
        let (start, end) = (day(3).to_rfc3339(), day(6).to_rfc3339());
        let window = [("startAt", start.as_str()), ("endAt", end.as_str())];
        assert_eq!(
            ids(&simulator, &window).await,
            ["id-6", "id-5", "id-4", "id-3"]
        );
        let sms = [window[0], window[1], ("channel", "sms")];
        assert_eq!(ids(&simulator, &sms).await, ["id-6", "id-4"]);
        let whatsapp = [window[0], window[1], ("channel", "whatsApp")];
        assert_eq!(ids(&simulator, &whatsapp).await, ["id-5", "id-3"]);
        let any = [window[0], window[1], ("channel", "")];
        assert_eq!(ids(&simulator, &any).await.len(), 4);
    }

    #[tokio::test]
    async fn items_have_the_members_of_their_channel() {
        let simulator = simulator().await;
        simulator.update(|state| state.items = vec![json!("malformed")]);
        let (_, body) = get(&simulator, PATH, &[("limit", "3")]).await;
        assert_eq!(body["result"][0], "malformed");
        let sms = body["result"][1].as_object().unwrap();
        assert_eq!(sms["channel"], "SMS");
        assert_eq!(sms["date"], "2026-05-15T12:00:00.000Z");
        assert!(
            ["read", "replied", "pending", "failed"]
                .iter()
                .all(|name| !sms.contains_key(*name))
        );
        let whatsapp = &body["result"][2];
        assert_eq!(whatsapp["channel"], "WhatsApp");
        assert_eq!(whatsapp["replied"], 120);
        assert_eq!(whatsapp["failed"], 8);
        assert!(body["cid"].is_string());
    }

    #[tokio::test]
    async fn wrong_requests_are_refused() {
        let simulator = simulator().await;
        let (one, two) = ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z");
        for (query, message) in [
            (&[("startAt", one)][..], "missing one of startAt, endAt"),
            (&[("endAt", one)], "missing one of startAt, endAt"),
            (
                &[("startAt", two), ("endAt", one)],
                "endAt is prior to startAt",
            ),
            (&[("startAt", "today"), ("endAt", one)], "Bad query"),
            (&[("channel", "SMS")], "Bad query"),
            (&[("limit", "ten")], "Bad query"),
            (&[("limit", "-1")], "negative limit"),
            (&[("offset", "-1")], "negative offset"),
            (&[("limit", "201")], "exceed maximum limit 200"),
        ] {
            let expected = json!({ "code": 6_451_000, "message": message });
            assert_eq!(
                get(&simulator, PATH, query).await,
                (400, expected),
                "{query:?}"
            );
        }
        let unauthorized = (401, json!({ "code": 401, "message": "Unauthorized" }));
        let other = "/v1/api/apps/other/data/sent-campaigns-summary";
        assert_eq!(get(&simulator, other, &[]).await, unauthorized);
        assert_eq!(get(&simulator, "/v1", &[]).await.1["code"], 6_450_001);
        simulator.update(|state| state.token = "other".to_owned());
        assert_eq!(get(&simulator, PATH, &[]).await, unauthorized);
    }
}
