//! CINNOX Open API: summaries of sent campaigns.
//!
//! <https://docs.cinnox.com/reference/get-sent-campaigns-summary>. The error table is on
//! <https://docs.cinnox.com/docs/error-codes-and-rate-limit>.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kind::{Connection, Kind, QuotaScope};
use super::lenient::{self, Problems, Scalar};
use super::source::{Ask, Found, Page, Read, Source, path};
use crate::campaign::counts::{Count, Counts};
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Info};
use crate::document::Section;
use crate::document::keys::{Key, Takes};
use crate::document::values::Values;
use crate::upstream::answer::Answer;
use crate::upstream::auth::Auth;
use crate::upstream::quota::Limits;
use crate::upstream::{PollError, Reason};

/// Campaigns per page: the endpoint's maximum.
const LIMIT: usize = 200;

/// How far `endAt` lies ahead of the clock, so that no campaign is missed if this clock is behind the
/// provider's.
const END_MARGIN: TimeDelta = TimeDelta::days(1);

/// The members under which the API explains errors.
const ERROR_MEMBERS: [&str; 3] = ["error", "message", "details"];

/// Labels of `campaign_info`, with the fields that they come from.
const INFO_LABELS: [(&str, &str); 4] = [
    ("sender", "`sender.phone`"),
    ("created_by", "`createdBy`"),
    ("template", "`subject`"),
    ("channel_name", "`sender.channelName`"),
];

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn kind() -> Kind {
    let channels = ["sms", "whatsapp"];
    Kind {
        name: "cinnox".into(),
        title: "CINNOX".into(),
        channels: channels.map(Channel::from_word).into(),
        counts: vec![
            (Count::Recipients, "`totalRecipients`".into()),
            (Count::Deliveries, "`delivered`".into()),
            (Count::Bounces, "`failed` of WhatsApp campaigns".into()),
            (Count::Reads, "`read` of WhatsApp campaigns".into()),
            (Count::Replies, "`replied` of WhatsApp campaigns".into()),
            (Count::Pending, "`pending` of WhatsApp campaigns".into()),
        ],
        missing_counts: [Count::Bounces, Count::Reads, Count::Replies, Count::Pending]
            .map(|count| (Channel::Sms, count))
            .into(),
        statuses: Vec::new(),
        failures: Vec::new(),
        info_labels: INFO_LABELS.map(|(label, field)| (label.into(), field.into())).into(),
        rates: Vec::new(),
        fields: [
            "result",
            "id",
            "channel",
            "totalRecipients",
            "delivered",
            "read",
            "replied",
            "pending",
            "failed",
            "sender",
            "sender.phone",
            "sender.channelName",
            "campaignName",
            "date",
            "createdBy",
            "subject",
        ]
        .map(Cow::from)
        .into(),
        extras: vec![
            ("campaign_info", "`campaignName`".into()),
            ("campaign_last_sent_timestamp_seconds", "`date`".into()),
        ],
        // the number is not published
        limits: Limits::default(),
        quota: QuotaScope::Account,
        keys: vec![
            Key::required(
                "base_url",
                Takes::Url,
                "Base URL of your service, to which the documented paths of the API are appended.",
            ),
            Key::required(
                "app_id",
                Takes::Text,
                "Id of the app that the token belongs to, in quotes.",
            ),
            Key::required("token", Takes::Secret, "The app's token."),
            Key::optional(
                "channels",
                Takes::Words(channels.map(Into::into).into()),
                "The channels whose campaigns are read, at least one.",
            )
            .or(channels.map(str::to_owned).to_vec()),
        ],
        open: Box::new(open),
        docs: "https://docs.cinnox.com/reference/get-sent-campaigns-summary".into(),
        requests: vec![(
            "base_url",
            "GET /v1/api/apps/{app_id}/data/sent-campaigns-summary".into(),
        )],
        notes: NOTES.into(),
        demo_account: "desk-hk".into(),
        file: None,
        #[cfg(feature = "demo")]
        simulated: Some(&simulated::Simulated),
    }
}

fn open(values: &Values, section: &mut Section<'_>, _storage: bool) -> Option<Connection> {
    let words = values.words("channels");
    if words.is_empty() {
        section.problem("channels", "needs at least one of: sms, whatsapp");
        return None;
    }
    let mut channels: Vec<_> = words.iter().map(|word| Channel::from_word(word)).collect();
    channels.sort();
    let app_id = values.text("app_id")?.to_owned();
    Some(Connection {
        base_url: values.url("base_url")?.clone(),
        headers: HeaderMap::new(),
        auth: Auth::Bearer(values.secret("token")?.clone()),
        channels: channels.clone(),
        identity: Some(app_id.clone()),
        variant: String::new(),
        source: Arc::new(Cinnox {
            app_id,
            channels,
            labels: INFO_LABELS.map(|(label, _)| label.into()),
        }),
    })
}

/// Reads the summaries of sent campaigns.
#[derive(Debug)]
struct Cinnox {
    app_id: String,
    channels: Vec<Channel>,
    labels: [Arc<str>; INFO_LABELS.len()],
}

impl Source for Cinnox {
    fn begin(&self, window: Window) -> Vec<Ask> {
        let path = path(["v1", "api", "apps", &self.app_id, "data", "sent-campaigns-summary"]);
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        // both times or neither, the same for all pages; there is no total, and no promised order
        let mut ask = Ask::path(path)
            .with("startAt", time(window.start))
            .with("endAt", time(window.now + END_MARGIN))
            .with("limit", LIMIT.to_string());
        if let Some(channel) = self.filter() {
            ask = ask.with("channel", channel);
        }
        vec![ask.paged("offset", LIMIT)]
    }

    fn take(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        let mut list: Result<List<'_>, PollError> = answer.json();
        let code = match &mut list {
            Ok(list) => Ok(std::mem::take(&mut list.code)),
            // an answer without a readable list may still say what is wrong
            Err(_) => answer.json().map(|envelope: Envelope| envelope.code),
        };
        check_success(answer, code)?;
        let list = list?;
        let mut page = Page::of(ask, list.result, "result", read.decoded, |item, problems| {
            self.campaign(item, problems)
        })?;
        page.more = page.items >= LIMIT;
        page.found.retain(|found| match found {
            Found::Campaign(campaign) => self.wants(&campaign.channel),
            _ => true,
        });
        Ok(page)
    }
}

impl Cinnox {
    /// The only channel of the account; `None` if it has all.
    fn only(&self) -> Option<&Channel> {
        match self.channels.as_slice() {
            [channel] => Some(channel),
            _ => None,
        }
    }

    /// The only channel that is asked for, in the API's spelling; `None` asks for all.
    fn filter(&self) -> Option<&'static str> {
        match self.only()? {
            Channel::Sms => Some("sms"),
            Channel::Whatsapp => Some("whatsApp"),
            _ => None,
        }
    }

    /// Whether a campaign belongs to the account: all but those on the documented channel that the
    /// account does not have.
    fn wants(&self, channel: &Channel) -> bool {
        self.channels.contains(channel) || !matches!(channel, Channel::Sms | Channel::Whatsapp)
    }

    fn campaign(&self, item: Item<'_>, problems: &mut Problems) -> Option<Campaign> {
        let id = item.id.id("id", problems)?;
        // no series may lack this label; an answer without it is about the channel asked for
        let channel = match (item.channel.id("channel", problems), self.only()) {
            (Some(word), _) => Channel::from_word(&word),
            (None, Some(channel)) => channel.clone(),
            (None, None) => Channel::Other("unknown".to_owned()),
        };
        let mut counts = Counts::from([
            (Count::Recipients, item.total_recipients.count("totalRecipients", problems)),
            (Count::Deliveries, item.delivered.count("delivered", problems)),
        ]);
        // the API counts these for WhatsApp only, so in an SMS campaign they mean nothing
        if channel != Channel::Sms {
            counts.set(Count::Reads, item.read.count("read", problems));
            counts.set(Count::Replies, item.replied.count("replied", problems));
            counts.set(Count::Pending, item.pending.count("pending", problems));
            counts.set(Count::Bounces, item.failed.count("failed", problems));
        }
        let sender = item.sender;
        let sender: Sender =
            sender.and_then(|json| lenient::item(json, "sender", problems)).unwrap_or_default();
        let name = item.campaign_name.text("campaignName", problems);
        Some(Campaign {
            id,
            name: name.unwrap_or_default().into(),
            channel,
            last_sent: item.date.time("date", problems, lenient::rfc3339),
            counts,
            info: Arc::new(self.info([
                sender.phone.word("sender.phone", problems),
                item.created_by.word("createdBy", problems),
                item.subject.word("subject", problems),
                sender.channel_name.word("sender.channelName", problems),
            ])),
            ..Campaign::default()
        })
    }

    /// The values of the labels, in their order.
    fn info(&self, values: [Option<String>; INFO_LABELS.len()]) -> Info {
        let labels = self.labels.iter().zip(values);
        labels.filter_map(|(label, value)| Some((Arc::clone(label), value?))).collect()
    }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    code: Scalar,
    #[serde(borrow, default)]
    result: lenient::List<'a>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    code: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item<'a> {
    id: Scalar,
    date: Scalar,
    campaign_name: Scalar,
    channel: Scalar,
    created_by: Scalar,
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    subject: Scalar,
    total_recipients: Scalar,
    delivered: Scalar,
    read: Scalar,
    replied: Scalar,
    pending: Scalar,
    failed: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Sender {
    phone: Scalar,
    channel_name: Scalar,
}

/// Success is a good HTTP status with `code` 200, as in the error table, or 0, which the documented default
/// of `code` suggests. Otherwise `code` says more than the HTTP status.
fn check_success(answer: &Answer, code: Result<Scalar, PollError>) -> Result<(), PollError> {
    let code = match (code, answer.status) {
        (Ok(code), _) => code.count("code", &mut Problems::default()),
        (Err(error), _) if answer.is_good() => return Err(error),
        (Err(_), _) => return Err(answer.status_error(&ERROR_MEMBERS)),
    };
    let reason = match (code, answer.status) {
        (Some(0 | 200), _) if answer.is_good() => return Ok(()),
        (None, _) if answer.is_good() => {
            return Err(answer.without("a numeric `code`", &ERROR_MEMBERS));
        }
        (Some(6_451_010), _) => Reason::Throttled,
        // "Bad response from the service"
        (Some(6_451_001), _) => Reason::Server,
        (Some(code), _) if answer.is_good() => {
            u16::try_from(code).map_or(Reason::Client, Reason::of_status)
        }
        (_, status) => Reason::of_status(status),
    };
    let code = code.and_then(|code| i64::try_from(code).ok());
    Err(answer.error(reason, code, &ERROR_MEMBERS))
}

/// Prose of the provider's page.
const NOTES: &str = r#"`provider: cinnox` reads the [sent campaigns summary](https://docs.cinnox.com/reference/get-sent-campaigns-summary) of the Open API.

## How to get credentials

You need the plan Omnichannel Contact Centre or above. An administrator opens *Administration > Service Integration > API > API LIST > Create App*. The page then shows the values for `base_url`, `app_id` and, as the App Token, for the file that `token_file` names.

The lifetime of the token is not documented. A revoked token fails as `auth`.

## What is counted, and what is not

- SMS and WhatsApp campaigns, and only sent ones: the API reports no status, no schedule and no credits.
- Recipients count phone numbers. They are the denominator of the delivery ratio, since sends are not reported.
- `delivered` is documented as "successfully sent to recipients". For SMS it may mean sent rather than received.
- Reads, replies, pending and failed messages are reported for WhatsApp only. If an SMS campaign has them anyway, zero or not, they are ignored.
- Replies are not unique. A button counts once per recipient, but every click on a link counts again, so there can be more replies than recipients.
- A pending message was sent by CINNOX and has no delivery receipt yet.
- Clicks, opt-outs and cost are not reported.
- `channels` selects the channels to read. Campaigns on a channel the exporter does not know are exported as well, with the provider's word in lower case.

## Limits

- The provider limits the request rate (error 6451010, reported as `throttled`), but does not publish the limit. If you know yours, set `requests_per_second` and `requests_per_day`.
- 200 campaigns per page, of which all but the first begin with the last campaign of the page before. The API gives no total: the exporter reads until a page is not full.

## Not confirmed by a live account

- The value of `code` on success: the exporter accepts 200 and 0.
- Whether counts are numbers or strings: it accepts both.
- The order of the results: the exporter relies on the same order for all pages of a poll. Campaigns are deduplicated by id.
- The request limit, and the longest time span for one query. Another data type of the API allows 90 days.
- Whether `delivered` of SMS is delivery to the handset.
- Whether delivered, pending and failed add up to the recipients.
"#;

#[cfg(feature = "demo")]
mod simulated {
    //! CINNOX: `/v1/api/apps/{app}/data/sent-campaigns-summary`.

    use std::path::Path;

    use chrono::{DateTime, SecondsFormat, Utc};
    use serde_json::{Value, json};

    use campaign_simulator::answer::Answer;
    use campaign_simulator::{Api, Campaign, Channel, Habits, Listing, Request, State};

    /// The simulated API.
    #[derive(Debug)]
    pub(super) struct Simulated;

    impl Api for Simulated {
        fn provider(&self) -> &'static str {
            "cinnox"
        }

        fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
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
            if app != APP || !request.bears(&state.token) {
                return self.error(401);
            }
            match Query::asked(request) {
                Ok(query) => Answer::json(200, query.result(state, now)),
                Err(message) => failure(400, 6_451_000, &message),
            }
        }

        fn error(&self, status: u16) -> Answer {
            match status {
                400 => failure(status, 400, "Bad request"),
                401 => failure(status, 401, "Unauthorized"),
                429 => failure(status, 6_451_010, "Reach request limit"),
                500.. => failure(status, 6_451_001, "Bad response from the service"),
                _ => failure(status, status.into(), "Request refused"),
            }
        }

        fn counts(&self) -> &'static [&'static str] {
            &COUNTS
        }

        fn habits(&self) -> Habits {
            Habits {
                stream: 1,
                channels: &[Channel::Sms, Channel::Whatsapp],
                unsent: false,
                bad_days: false,
                texts: false,
                id: |_, rng| format!("{:08x}{:016x}", rng.u32(..), rng.u64(..)),
            }
        }

        fn account(&self, base_url: &str, token_file: &Path) -> Value {
            json!({
                "provider": self.provider(),
                "base_url": base_url,
                "app_id": APP,
                "token_file": token_file,
            })
        }

        fn listing(&self) -> Listing {
            Listing {
                path: "/v1/api/apps/demo-app/data/sent-campaigns-summary",
                items: "result",
                success: Some(("code", 200)),
                id: "id",
                date: "date",
                attempted: "totalRecipients",
                deliveries: "delivered",
                page_size: 200,
                by_offset: true,
                open_ended: true,
                ..Listing::default()
            }
        }

        fn item(&self, _state: &State, now: DateTime<Utc>, campaign: &Campaign) -> Value {
            item(campaign, now)
        }

        fn window_start(&self, _state: &State, request: &Request) -> Option<DateTime<Utc>> {
            let query = Query::asked(request).ok().filter(|query| query.offset == 0);
            query?.window.map(|(start, _)| start)
        }
    }

    /// The app that the token belongs to.
    const APP: &str = "demo-app";

    const MAX_LIMIT: i64 = 200;

    const COUNTS: [&str; 6] =
        ["totalRecipients", "delivered", "read", "replied", "pending", "failed"];

    fn failure(status: u16, code: u32, message: &str) -> Answer {
        Answer::json(status, json!({ "code": code, "message": message }))
    }

    /// The campaigns selected by a request.
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
            self.channel.is_none_or(|channel| channel == campaign.channel)
                && self.window.is_none_or(|(start, end)| (start..=end).contains(&campaign.sent_at))
        }
    }

    /// Returns an item; each channel has members that the other lacks.
    fn item(campaign: &Campaign, now: DateTime<Utc>) -> Value {
        let counts = campaign.counts_at(now);
        let date = campaign.sent_at.to_rfc3339_opts(SecondsFormat::Millis, true);
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
            Channel::Whatsapp | Channel::Email => json!({
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
                "subject": campaign.pick(["sample_template", "sample_reminder"]),
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

        use super::*;
        use crate::provider::simulation::{get, start};
        use campaign_simulator::{Counts, Simulator};

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
            unassigned: 0,
        };

        fn day(number: u32) -> DateTime<Utc> {
            "2026-05-01T12:00:00Z".parse::<DateTime<Utc>>().unwrap()
                + TimeDelta::days(number.into())
        }

        /// Returns a campaign: WhatsApp for odd numbers, SMS for even ones.
        fn campaign(number: u32) -> Campaign {
            let new = if number % 2 == 1 { Campaign::whatsapp } else { Campaign::sms };
            new(format!("id-{number}"), "Spring".to_owned(), day(number), COUNTS)
        }

        async fn simulator() -> Simulator {
            start(&Simulated, (0..15).map(campaign).collect()).await
        }

        async fn ids(simulator: &Simulator, query: &[(&str, &str)]) -> Vec<String> {
            let (status, body) = get(simulator, PATH, query).await;
            assert_eq!((status, &body["code"]), (200, &json!(200)));
            let rows = body["result"].as_array().unwrap();
            rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
        }

        #[tokio::test]
        async fn channel_and_window_narrow_the_result() {
            let simulator = simulator().await;
            let (start, end) = (day(3).to_rfc3339(), day(6).to_rfc3339());
            let window = [("startAt", start.as_str()), ("endAt", end.as_str())];
            assert_eq!(ids(&simulator, &window).await, ["id-6", "id-5", "id-4", "id-3"]);
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
        async fn invalid_requests_are_refused() {
            let simulator = simulator().await;
            let (one, two) = ("2026-05-01T00:00:00Z", "2026-05-02T00:00:00Z");
            for (query, message) in [
                (&[("startAt", one)][..], "missing one of startAt, endAt"),
                (&[("endAt", one)], "missing one of startAt, endAt"),
                (&[("startAt", two), ("endAt", one)], "endAt is prior to startAt"),
                (&[("startAt", "today"), ("endAt", one)], "Bad query"),
                (&[("channel", "SMS")], "Bad query"),
                (&[("limit", "ten")], "Bad query"),
                (&[("limit", "-1")], "negative limit"),
                (&[("offset", "-1")], "negative offset"),
                (&[("limit", "201")], "exceed maximum limit 200"),
            ] {
                let expected = json!({ "code": 6_451_000, "message": message });
                assert_eq!(get(&simulator, PATH, query).await, (400, expected), "{query:?}");
            }
            let unauthorized = (401, json!({ "code": 401, "message": "Unauthorized" }));
            let other = "/v1/api/apps/other/data/sent-campaigns-summary";
            assert_eq!(get(&simulator, other, &[]).await, unauthorized);
            assert_eq!(get(&simulator, "/v1", &[]).await.1["code"], 6_450_001);
            simulator.update(|state| state.token = "other".to_owned());
            assert_eq!(get(&simulator, PATH, &[]).await, unauthorized);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::source::Target;
    use crate::provider::source::tests::assert_reasons;

    fn source(app_id: &str, channels: &[Channel]) -> Cinnox {
        Cinnox {
            app_id: app_id.to_owned(),
            channels: channels.to_vec(),
            labels: INFO_LABELS.map(|(label, _)| label.into()),
        }
    }

    fn begin(source: &Cinnox) -> Ask {
        let now = "2022-11-08T12:00:00Z".parse().unwrap();
        let start = "2022-11-01T12:00:00Z".parse().unwrap();
        source.begin(Window::new(start, now)).remove(0)
    }

    fn take(source: &Cinnox, status: u16, body: &str) -> Result<Page, PollError> {
        source.take(Read::default(), &begin(source), &Answer::of(status, body))
    }

    fn translate(json: &str) -> (Option<Campaign>, String) {
        let mut problems = Problems::default();
        let item: Item = serde_json::from_str(json).unwrap();
        let source = source("1", &[Channel::Sms, Channel::Whatsapp]);
        (source.campaign(item, &mut problems), problems.counted())
    }

    #[test]
    fn an_app_id_cannot_change_the_path() {
        let ask = begin(&source("../../admin?x=#y", &[Channel::Sms]));
        let path = "/v1/api/apps/..%2F..%2Fadmin%3Fx=%23y/data/sent-campaigns-summary";
        assert_eq!(ask.target, Target::Path(path.to_owned()));
    }

    #[test]
    fn a_single_channel_is_requested_in_the_apis_spelling() {
        let filter = |channels: &[Channel]| {
            let ask = begin(&source("1", channels));
            let mut query = ask.query.into_iter();
            query.find(|(name, _)| *name == "channel").map(|(_, value)| value)
        };
        assert_eq!(filter(&[Channel::Sms]).as_deref(), Some("sms"));
        assert_eq!(filter(&[Channel::Whatsapp]).as_deref(), Some("whatsApp"));
        assert_eq!(filter(&[Channel::Sms, Channel::Whatsapp]), None);
    }

    #[test]
    fn the_first_request_has_a_window_that_ends_after_now() {
        let ask = begin(&source("1", &[Channel::Sms, Channel::Whatsapp]));
        let expected = [
            ("startAt", "2022-11-01T12:00:00.000Z"),
            ("endAt", "2022-11-09T12:00:00.000Z"),
            ("limit", "200"),
            ("offset", "0"),
        ];
        let expected = expected.map(|(name, value)| (name.into(), value.to_owned()));
        assert_eq!(ask.query, expected);
    }

    #[test]
    fn a_full_page_is_followed_by_another() {
        let source = source("1", &[Channel::Sms]);
        let body = |items: usize| {
            let items = (0..items).map(|id| format!(r#"{{"id":"{id}","channel":"sms"}}"#));
            let items = items.collect::<Vec<_>>().join(",");
            format!(r#"{{"code":200,"result":[{items}]}}"#)
        };
        for (items, more) in [(LIMIT, true), (LIMIT - 1, false)] {
            let page = take(&source, 200, &body(items)).unwrap();
            assert_eq!(page.more, more, "{items}");
        }
    }

    #[test]
    fn a_campaign_on_another_channel_is_left_out() {
        let source = source("1", &[Channel::Sms]);
        let body = r#"{"code":200,"result":[{"id":"a","channel":"WhatsApp"},
            {"id":"b","channel":"sms"},{"id":"c","channel":"viber"}]}"#;
        let page = take(&source, 200, body).unwrap();
        assert_eq!(page.items, 3);
        let ids: Vec<_> = page.campaigns().map(|found| found.id.as_str()).collect();
        assert_eq!(ids, ["b", "c"]);
    }

    #[test]
    fn a_whatsapp_campaign_has_all_counts_and_numbers_may_be_strings() {
        let (campaign, problems) = translate(
            r#"{"id":"c1","date":"2022-11-07T00:00:00.000Z","campaignName":"Hello",
                "channel":"WhatsApp","createdBy":"Ann","subject":"tpl",
                "sender":{"phone":"+852","channelName":"Main"},"totalRecipients":"100",
                "delivered":90,"read":60,"replied":130,"pending":4,"failed":6}"#,
        );
        let campaign = campaign.unwrap();
        assert_eq!(problems, "");
        assert_eq!(campaign.channel, Channel::Whatsapp);
        assert_eq!(campaign.last_sent.unwrap().timestamp(), 1_667_779_200);
        let counts = Counts::from([
            (Count::Recipients, Some(100)),
            (Count::Deliveries, Some(90)),
            (Count::Bounces, Some(6)),
            (Count::Reads, Some(60)),
            (Count::Replies, Some(130)),
            (Count::Pending, Some(4)),
        ]);
        assert_eq!(campaign.counts, counts);
        assert_eq!(campaign.info.get("created_by"), Some("Ann"));
        assert_eq!(campaign.info.get("template"), Some("tpl"));
        assert_eq!(campaign.info.get("channel_name"), Some("Main"));
    }

    #[test]
    fn an_sms_campaign_has_no_whatsapp_counts() {
        let (campaign, problems) = translate(
            r#"{"id":"c2","channel":"SMS","totalRecipients":10,"delivered":9,
                "read":0,"replied":0,"pending":0,"failed":"n/a"}"#,
        );
        let counts = Counts::from([(Count::Recipients, Some(10)), (Count::Deliveries, Some(9))]);
        assert_eq!(campaign.unwrap().counts, counts);
        assert_eq!(problems, "");
    }

    #[test]
    fn a_missing_channel_is_a_problem_and_an_unknown_channel_is_kept() {
        let (campaign, problems) = translate(r#"{"id":"c3"}"#);
        assert_eq!(campaign.unwrap().channel.as_str(), "unknown");
        assert_eq!(problems, "channel (1 times)");
        let page = r#"{"code":200,"result":[{"id":"c3"},{"id":"c5","sender":"+852"}]}"#;
        let page = take(&source("1", &[Channel::Sms]), 200, page).unwrap();
        let campaigns: Vec<_> = page.campaigns().collect();
        assert_eq!(campaigns.len(), 2);
        assert!(campaigns.iter().all(|campaign| campaign.channel == Channel::Sms));
        assert_eq!(page.problems.counted(), "channel (2 times), sender (1 times)");
        let (campaign, problems) = translate(r#"{"id":"c4","channel":"Viber"}"#);
        assert_eq!(campaign.unwrap().channel.as_str(), "viber");
        assert_eq!(problems, "");
    }

    #[test]
    fn invalid_items_allocate_no_memory() {
        let body = r#"{"code":200,"result":[0,0,0,0]}"#;
        let page = take(&source("1", &[Channel::Sms]), 200, body).unwrap();
        assert_eq!((page.items, page.found.capacity()), (4, 0));
    }

    #[test]
    fn success_requires_a_code_and_a_status() {
        for (status, body) in [
            (200, r#"{"code":200,"result":[]}"#),
            (200, r#"{"code":0,"result":[]}"#),
            (200, r#"{"code":"200","result":[],"cid":"x"}"#),
            (201, r#"{"code":200,"result":[]}"#),
            (203, r#"{"code":200,"result":[]}"#),
        ] {
            assert!(take(&source("1", &[Channel::Sms]), status, body).is_ok(), "{status} {body}");
        }
        let rows = r#"
            206 decode {"code":200,"result":[]}
            204 decode
            200 throttled {"code":6451010,"message":"Reach request limit"}
            400 throttled {"code":6451010,"message":"Reach request limit"}
            200 server {"code":6451001,"message":"Bad response"}
            400 client {"code":6451000,"message":"wrong parameter"}
            200 client {"code":6451000,"message":"wrong parameter"}
            200 client {"code":400,"message":"Bad request"}
            200 auth {"code":401}
            401 auth {"code":401}
            401 auth <html>
            403 forbidden
            429 throttled {}
            500 server {"code":200,"result":[]}
            200 decode {"result":[]}
            200 decode {"code":null,"result":[]}
            200 decode {"code":200,"result":{}}
            200 decode [200,[]]
            200 decode
        "#;
        assert_reasons(rows, |status, body| take(&source("1", &[Channel::Sms]), status, body));
    }

    #[test]
    fn an_error_includes_the_providers_message() {
        let body = r#"{"code":6451000,"message":"missing one of startAt, endAt"}"#;
        let error = take(&source("1", &[Channel::Sms]), 400, body).err().unwrap();
        assert_eq!(error.message, "HTTP 400, code 6451000: missing one of startAt, endAt");
    }
}
