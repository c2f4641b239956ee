//! `SMSUp`, a white label of `SMSFactor`: campaigns made through the API.
//!
//! <https://doc.smsup.ch/en/api/sms/>. Campaigns made on the web platform are not listed there.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use chrono::format::{self, Item as DateItem, Parsed, StrftimeItems};
use chrono::{DateTime, LocalResult, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::kind::{Connection, Kind, QuotaScope};
use super::lenient::{self, Problems, Scalar};
use super::source::{AccountFacts, Ask, Page, Read, Source};
use crate::campaign::counts::{Count, Counts, Failures, UNREADABLE};
use crate::campaign::figures::Figure;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Ratio, Status};
use crate::document::Section;
use crate::document::keys::{Key, Takes};
use crate::document::values::Values;
use crate::upstream::answer::Answer;
use crate::upstream::auth::Auth;
use crate::upstream::quota::Limits;
use crate::upstream::{PollError, Reason};

/// The zone that `/account` reports and that the documents name for sending. None says which zone
/// `date` is in.
const DEFAULT_TIME_ZONE: &str = "Europe/Paris";

const CAMPAIGNS: &str = "/campaigns";
const CREDITS: &str = "/credits";

/// Campaigns per page: the endpoint's maximum.
const LENGTH: usize = 1_000;

/// The format of times.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// The parts of [`DATE_FORMAT`], which take longer to tell apart than to read.
static DATE_ITEMS: LazyLock<Vec<DateItem<'static>>> =
    LazyLock::new(|| StrftimeItems::new(DATE_FORMAT).collect());

/// Length of the part of the text that serves as the name, in characters.
const NAME_CHARS: usize = 40;

/// The members under which the API explains errors.
const ERROR_MEMBERS: [&str; 3] = ["error", "message", "details"];

/// Reasons of failed messages, each a count of an item.
const FAILURES: [&str; 4] = ["error", "expired", "network_error", "npai"];

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn kind() -> Kind {
    Kind {
        name: "smsup".into(),
        title: "SMSUp".into(),
        channels: vec![Channel::Sms],
        counts: vec![
            (Count::Recipients, "`total`".into()),
            (Count::Sends, "`sent`, if present".into()),
            (Count::Deliveries, "`delivered`".into()),
            (Count::Bounces, "sum of the failures that are present".into()),
            (Count::OptOuts, "`stop`".into()),
        ],
        missing_counts: Vec::new(),
        statuses: vec![
            Status::Sent,
            Status::Waiting,
            Status::InProgress,
            Status::InModeration,
            Status::Denied,
            Status::Other,
        ],
        failures: FAILURES.map(Arc::from).into(),
        info_labels: vec![("sender".into(), "`sender`".into())],
        rates: Vec::new(),
        fields: [
            "campaigns",
            "id",
            "status",
            "date",
            "creation_date",
            "error",
            "expired",
            "network_error",
            "npai",
            "delivery_rate",
            "sender",
            "text",
            "total",
            "sent",
            "delivered",
            "stop",
            "cost",
            "totalRecords",
            "totalDisplayRecords",
            "credits",
        ]
        .map(Cow::from)
        .into(),
        extras: vec![
            ("campaign_info", "first 40 characters of `text`".into()),
            ("campaign_last_sent_timestamp_seconds", "`date`, unless nothing was sent yet".into()),
            ("campaign_scheduled_timestamp_seconds", "`date`, while nothing was sent yet".into()),
            (
                "campaign_created_timestamp_seconds",
                "`creation_date`, while nothing was sent yet".into(),
            ),
            ("campaign_cost_credits", "`cost`".into()),
            ("campaign_reported_delivery_ratio", "`delivery_rate` / 100".into()),
            ("campaign_account_credits", "`credits` of `/credits`".into()),
        ],
        // none is published
        limits: Limits::default(),
        quota: QuotaScope::Account,
        keys: vec![
            Key::optional(
                "base_url",
                Takes::Url,
                "Base URL of the API, to which the documented paths are appended.",
            )
            .or("https://api.smsup.ch"),
            Key::required("token", Takes::Secret, "The API token."),
            Key::optional(
                "time_zone",
                Takes::TimeZone,
                "Time zone of the dates in responses, as an IANA name.",
            )
            .or(DEFAULT_TIME_ZONE),
        ],
        open: Box::new(open),
        docs: "https://doc.smsup.ch/en/api/sms/".into(),
        requests: vec![("base_url", "GET /campaigns".into()), ("base_url", "GET /credits".into())],
        notes: NOTES.into(),
        demo_account: "shoes-ch".into(),
        file: None,
        #[cfg(feature = "demo")]
        simulated: Some(&simulated::Simulated),
    }
}

fn open(values: &Values, _section: &mut Section<'_>, _storage: bool) -> Option<Connection> {
    let name = values.text("time_zone").unwrap_or(DEFAULT_TIME_ZONE);
    let time_zone = Tz::from_str(name).ok()?;
    Some(Connection {
        base_url: values.url("base_url")?.clone(),
        headers: HeaderMap::new(),
        auth: Auth::Bearer(values.secret("token")?.clone()),
        channels: vec![Channel::Sms],
        identity: None,
        variant: time_zone.name().to_owned(),
        source: Arc::new(Smsup {
            time_zone,
            failures: FAILURES.map(Arc::from),
            sender: "sender".into(),
        }),
    })
}

/// Reads `/campaigns`, then `/credits`.
#[derive(Debug)]
struct Smsup {
    time_zone: Tz,
    failures: [Arc<str>; FAILURES.len()],
    sender: Arc<str>,
}

impl Source for Smsup {
    fn begin(&self, window: Window) -> Vec<Ask> {
        let date_start = window.start.with_timezone(&self.time_zone);
        let campaigns = Ask::path(CAMPAIGNS)
            .paged("start", LENGTH)
            .with("length", LENGTH.to_string())
            .with("date_start", date_start.format(DATE_FORMAT).to_string())
            // the oldest first: a campaign made during the read comes last and shifts no page
            .with("sort", "id");
        vec![campaigns, Ask::path(CREDITS).or_problem("credits")]
    }

    fn take(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        match ask.optional {
            Some(_) => read_credits(answer),
            None => self.read_campaigns(read, ask, answer),
        }
    }
}

impl Smsup {
    fn read_campaigns(
        &self,
        read: Read<'_>,
        ask: &Ask,
        answer: &Answer,
    ) -> Result<Page, PollError> {
        let list: Result<List<'_>, PollError> = answer.json();
        // an answer without a readable list may still say what is wrong
        let status = list.as_ref().map_or_else(|_| envelope(answer), |list| Ok(list.status));
        check_success(answer, status)?;
        let list = list?;
        let mut page =
            Page::of(ask, list.campaigns, "campaigns", read.decoded, |item, problems| {
                self.campaign(item, problems)
            })?;
        let problems = &mut page.problems;
        let total = list.total_records.count("totalRecords", problems);
        let display = list.total_display_records;
        let display = display.count("totalDisplayRecords", problems);
        let received = ask.offset + page.items.min(LENGTH);
        page.more = !is_last(page.items, received, [total, display]);
        Ok(page)
    }

    fn campaign(&self, item: Item, problems: &mut Problems) -> Option<Campaign> {
        let id = item.id.id("id", problems)?;
        let status = item.status.word("status", problems);
        let status = status.map(|word| read_status(&word));
        let time = |text: &str| local_time(text, self.time_zone);
        let date = item.date.time("date", problems, time);
        let created = item.creation_date.time("creation_date", problems, time);
        let nothing_sent_yet = status.is_some_and(Status::nothing_sent_yet);
        let failures = [item.error, item.expired, item.network_error, item.npai];
        let failures: Failures = self
            .failures
            .iter()
            .zip(FAILURES)
            .zip(failures)
            .filter_map(|((reason, field), count)| {
                let count = |lost: &mut Problems| count.count(field, lost);
                Some((Arc::clone(reason), lenient::part(problems, UNREADABLE, count)?))
            })
            .collect();
        let delivery_rate = item.delivery_rate.number("delivery_rate", problems);
        let sender = item.sender.word("sender", problems);
        let name = item.text.text("text", problems);
        Some(Campaign {
            id,
            name: name.map_or_else(Arc::default, |text| first_characters(&text).into()),
            channel: Channel::Sms,
            status,
            last_sent: date.filter(|_| !nothing_sent_yet),
            scheduled: date.filter(|_| nothing_sent_yet),
            created: created.filter(|_| nothing_sent_yet),
            counts: Counts::from([
                (Count::Recipients, item.total.count("total", problems)),
                (Count::Sends, item.sent.count("sent", problems)),
                (Count::Deliveries, item.delivered.count("delivered", problems)),
                (Count::Bounces, lenient::total(&failures, problems)),
                (Count::OptOuts, item.stop.count("stop", problems)),
            ]),
            failures,
            cost_credits: item.cost.number("cost", problems),
            figures: delivery_rate
                .map(|percent| (Figure::Ratio(Ratio::Delivery), lenient::ratio(percent)))
                .into_iter()
                .collect(),
            info: Arc::new(
                sender.map(|sender| (Arc::clone(&self.sender), sender)).into_iter().collect(),
            ),
        })
    }
}

/// Whether a page was the last one, with `received` items in all. Of the two totals, one is before
/// and one after filtering. The documents do not say which, so the larger one counts until a page is
/// short, and then the smaller one.
fn is_last(items: usize, received: usize, totals: [Option<u64>; 2]) -> bool {
    let known = totals.into_iter().flatten();
    let is_short = items < LENGTH;
    let enough = if is_short { known.min() } else { known.max() };
    items == 0 || enough.map_or(is_short, |enough| received as u64 >= enough)
}

fn read_credits(answer: &Answer) -> Result<Page, PollError> {
    // older answers have no status
    check_success(answer, envelope(answer).map(|status| status.or(Some(1))))?;
    let credits: Credits = answer.json()?;
    let mut page = Page::default();
    // the number means nothing for a postpaid account
    if ![credits.unlimited, credits.postpaid].iter().any(|it| it.truth() == Some(true)) {
        page.account = AccountFacts {
            credits: credits.left.signed_number("credits", &mut page.problems),
            ..AccountFacts::default()
        };
    }
    Ok(page)
}

#[derive(Deserialize)]
struct Envelope {
    status: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    status: Option<i64>,
    #[serde(borrow, default)]
    campaigns: lenient::List<'a>,
    #[serde(default)]
    total_records: Scalar,
    #[serde(default)]
    total_display_records: Scalar,
}

#[derive(Deserialize)]
struct Credits {
    #[serde(default, rename = "credits")]
    left: Scalar,
    #[serde(default)]
    unlimited: Scalar,
    #[serde(default)]
    postpaid: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    id: Scalar,
    sender: Scalar,
    text: Scalar,
    creation_date: Scalar,
    date: Scalar,
    cost: Scalar,
    status: Scalar,
    delivery_rate: Scalar,
    delivered: Scalar,
    error: Scalar,
    expired: Scalar,
    network_error: Scalar,
    stop: Scalar,
    npai: Scalar,
    total: Scalar,
    sent: Scalar,
}

/// The `status` of an answer, if it has one.
fn envelope(answer: &Answer) -> Result<Option<i64>, PollError> {
    answer.json().map(|envelope: Envelope| envelope.status)
}

/// Success is a good HTTP status with `status` 1. Errors often come with HTTP 200 and a negative `status`,
/// which says more than the HTTP status.
fn check_success(answer: &Answer, status: Result<Option<i64>, PollError>) -> Result<(), PollError> {
    let status = status.map_err(|_| answer.status_error(&ERROR_MEMBERS))?;
    let reason = match (status, answer.status) {
        (Some(1), _) if answer.is_good() => return Ok(()),
        // these tell the kind of failure even if the body says otherwise
        (_, http_status @ (429 | 500..=599)) => Reason::of_status(http_status),
        (Some(-1), _) => Reason::Auth,
        (Some(-8..=-2), _) => Reason::Client,
        // "unknown error"
        (Some(-99), _) if answer.is_good() => Reason::Server,
        _ if answer.is_good() => return Err(answer.without("`status` 1", &ERROR_MEMBERS)),
        (_, http_status) => Reason::of_status(http_status),
    };
    Err(answer.error(reason, status, &ERROR_MEMBERS))
}

fn read_status(word: &str) -> Status {
    match word.trim().to_lowercase().as_str() {
        "sent" => Status::Sent,
        "waiting" => Status::Waiting,
        "in progress" => Status::InProgress,
        "in moderation" => Status::InModeration,
        "denied" => Status::Denied,
        // older servers send a number, and the language may follow the account
        _ => Status::Other,
    }
}

/// The first characters of a text, with an ellipsis if it is cut.
fn first_characters(text: &str) -> String {
    let mut name: String = text.chars().take(NAME_CHARS).collect();
    if text.chars().nth(NAME_CHARS).is_some() {
        name.push('…');
    }
    name
}

/// A local time: the earlier one if clocks go back and it occurs twice. One that clocks skip is read
/// with the offset before.
fn local_time(text: &str, time_zone: Tz) -> Option<DateTime<Utc>> {
    let mut fields = Parsed::new();
    format::parse(&mut fields, text, DATE_ITEMS.iter()).ok()?;
    let local = fields.to_naive_datetime_with_offset(0).ok()?;
    let zoned = match time_zone.from_local_datetime(&local) {
        LocalResult::Single(time) => time,
        LocalResult::Ambiguous(earlier, _) => earlier,
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::hours(1))?;
            let before = time_zone.from_local_datetime(&before).earliest()?;
            before.checked_add_signed(TimeDelta::hours(1))?
        }
    };
    Some(zoned.to_utc())
}

/// Prose of the provider's page.
const NOTES: &str = r#"`provider: smsup` reads the [campaigns](https://doc.smsup.ch/en/api/sms/) and credits of SMSUp. SMSUp is a white label of SMSFactor. For an account at SMSFactor, use `provider: smsfactor`.

## How to get credentials

Create a token on the account page, or with `POST /token`, which takes a `name`, a `ttl` in seconds (unlimited if omitted) and `allowed_ips`. Write it to the file that `token_file` names.

Any token of an account can list the account's other tokens with their values. Give the exporter its own token, restricted to its address with `allowed_ips`. If the exporter's address changes, such a token fails as `auth`.

## What is counted, and what is not

- **Only campaigns created through the API are listed**, not those created on the web platform, nor simulated ones. An empty list is often correct.
- A campaign has no name: `campaign_name` is the first 40 characters of its text, with `…` if it is cut.
- `cost` is in credits. A message of more than 160 characters costs at least two.
- Recipients are the phone numbers provided, before filtering. `sent`, the numbers left after filtering, is documented but missing from the sample response. If it is present, it is the denominator of the delivery ratio; otherwise, the recipients are.
- Bounces are the sum of the failures: `expired` and `network_error` point to the carrier, `npai` (invalid numbers) to the recipient list, `error` to either.
- Opt-outs are the replies with STOP.
- While the status is `waiting`, `in_moderation` or `denied`, nothing has been sent. The campaign then has recipients, cost, and creation and scheduled times, but no `campaign_attempted` and no ratio over it. Campaigns with a date in the future are read too.
- A status the exporter does not know is exported as `other`.
- `campaign_reported_delivery_ratio` is the provider's own `delivery_rate`. Its denominator is not documented.
- Credits are absent for accounts that are unlimited or postpaid. If the credits cannot be read, the poll still succeeds and `campaign_exporter_decode_problems_total{field="credits"}` counts it.
- Clicks, opens, reads, replies and pending messages are not reported. Clicks are available by webhook only.

## Limits

- If you know your request limits, set `requests_per_second` and `requests_per_day`.
- 1,000 campaigns per page, of which all but the first begin with the last campaign of the page before. Every poll needs one more request, for the credits.
- The provider deletes campaigns after a retention period: 14 months by default, 26 at most.
- Errors often come with HTTP 200 and a negative `status` in the body: -1 is reported as `auth`, -2 to -8 as `client`, -99 as `server`.

## Not confirmed by a live account

- The time zone of the dates. The documentation names Europe/Paris for sending, so that is the default of `time_zone`. If all campaigns seem early or late by whole hours, set the zone of your provider's account.
- Whether the start date of a query is inclusive.
- The language of `status`, which may follow the account. Unknown words become `other`.
- Whether credits are charged when a campaign is scheduled or when it is sent.
- The HTTP status of errors with a negative `status`, and the request limit.
- Whether the list ever contains `sent`. Older servers may return campaigns without any counts.

A local time that occurs twice, at the end of daylight saving time, is read as the earlier one. One that does not exist, at its start, is read as standard time.
"#;

#[cfg(feature = "demo")]
mod simulated {
    //! `SMSUp`: `/campaigns` and `/credits`.
    //!
    //! Errors have status 200 and a negative number in the body. Without an `Accept` header for
    //! JSON, answers are XML.

    use std::path::Path;

    use chrono::{DateTime, NaiveDateTime, Utc};
    use chrono_tz::Europe::Paris;
    use hyper::header::ACCEPT;
    use serde_json::{Value, json};

    use campaign_simulator::answer::Answer;
    use campaign_simulator::{Api, Campaign, Habits, Listing, Request, State};

    /// The simulated API.
    #[derive(Debug)]
    pub(super) struct Simulated;

    impl Api for Simulated {
        fn provider(&self) -> &'static str {
            "smsup"
        }

        fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
            let body = body(state, now, request);
            if request.header_has(&ACCEPT, "application/json") {
                Answer::json(200, body)
            } else {
                Answer::text(200, "text/xml; charset=utf-8", xml(&body))
            }
        }

        fn error(&self, status: u16) -> Answer {
            match status {
                401 => Answer::json(200, failure(-1, "Authentication error")),
                // errors from in front of the API keep their status
                _ => Answer::json(status, failure(-99, "Unknown error")),
            }
        }

        fn counts(&self) -> &'static [&'static str] {
            &COUNTS
        }

        fn habits(&self) -> Habits {
            Habits {
                stream: 2,
                channels: &[campaign_simulator::Channel::Sms],
                unsent: true,
                bad_days: true,
                texts: true,
                id: |index, _| (28_970_000 + index).to_string(),
            }
        }

        fn account(&self, base_url: &str, token_file: &Path) -> Value {
            json!({
                "provider": self.provider(),
                "base_url": base_url,
                "token_file": token_file,
            })
        }

        fn listing(&self) -> Listing {
            Listing {
                path: "/campaigns",
                items: "campaigns",
                success: Some(("status", 1)),
                id: "id",
                date: "date",
                attempted: "total",
                deliveries: "delivered",
                cost: Some("cost"),
                page_size: 1_000,
                by_offset: true,
                total_of_all: true,
                // the credits
                other_requests: 1,
                ..Listing::default()
            }
        }

        fn item(&self, state: &State, now: DateTime<Utc>, campaign: &Campaign) -> Value {
            item(campaign, state, now)
        }

        fn window_start(&self, _state: &State, request: &Request) -> Option<DateTime<Utc>> {
            let query = Query::asked(request).filter(|query| query.start == 0)?;
            let start = query.date_start?.and_local_timezone(Paris);
            Some(start.earliest()?.to_utc())
        }
    }

    const DATE: &str = "%Y-%m-%d %H:%M:%S";

    const COUNTS: [&str; 8] =
        ["cost", "delivered", "error", "expired", "network_error", "stop", "npai", "total"];

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

    fn failure(status: i32, message: &str) -> Value {
        json!({ "status": status, "message": message })
    }

    /// The campaigns selected by a request.
    struct Query {
        start: usize,
        length: usize,
        date_start: Option<NaiveDateTime>,
        date_end: Option<NaiveDateTime>,
    }

    impl Query {
        fn asked(request: &Request) -> Option<Self> {
            let date = |name| {
                let value = request.parameter(name);
                value.map(|value| NaiveDateTime::parse_from_str(&value, DATE)).transpose()
            };
            let length = request.parse("length").ok()?.unwrap_or(100);
            if length > 1_000 {
                return None;
            }
            // the only order that the exporter asks for
            if request.parameter("sort").is_some_and(|sort| sort != "id") {
                return None;
            }
            Some(Self {
                start: request.parse("start").ok()?.unwrap_or(0),
                length,
                date_start: date("date_start").ok()?,
                date_end: date("date_end").ok()?,
            })
        }

        fn campaigns(&self, state: &State, now: DateTime<Utc>) -> Value {
            let all = state.campaigns.at(now);
            let mut shown: Vec<_> = all.iter().filter(|campaign| self.includes(campaign)).collect();
            // as numbers: the longer ID is the greater
            shown.sort_by_key(|campaign| (campaign.id.len(), &campaign.id));
            let items = shown.iter().map(|campaign| item(campaign, state, now));
            let listed = state.listed(items);
            let displayed = listed.len();
            let rows: Vec<_> = listed.into_iter().skip(self.start).take(self.length).collect();
            json!({
                "status": 1,
                "message": "OK",
                "campaigns": rows,
                "totalRecords": displayed + all.len() - shown.len(),
                "totalDisplayRecords": displayed,
            })
        }

        /// Compares local times, as a server that stores no time zone does.
        fn includes(&self, campaign: &Campaign) -> bool {
            let date = campaign.sent_at.with_timezone(&Paris).naive_local();
            self.date_start.is_none_or(|start| date >= start)
                && self.date_end.is_none_or(|end| date <= end)
        }
    }

    /// Returns an item; all numbers are strings.
    fn item(campaign: &Campaign, state: &State, now: DateTime<Utc>) -> Value {
        let counts = campaign.counts_at(now);
        let local = |date: DateTime<Utc>| {
            let date = date.with_timezone(&Paris);
            date.format(DATE).to_string()
        };
        let per_myriad =
            counts.deliveries.saturating_mul(10_000).checked_div(counts.recipients).unwrap_or(0);
        json!({
            "id": campaign.id,
            "sender": campaign.pick(["SAMPLE", "SAMPLE SALE"]),
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
            "npai": counts.unassigned.to_string(),
            "total": counts.recipients.to_string(),
        })
    }

    /// Returns the same answer as XML, which has fewer members.
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
            Value::Array(values) => {
                return values.iter().map(|value| element(name, value)).collect();
            }
            Value::Object(members) => {
                members.iter().map(|(name, value)| element(name, value)).collect()
            }
            Value::String(text) => {
                text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
            }
            other => other.to_string(),
        };
        format!("<{name}>{inner}</{name}>")
    }

    #[cfg(test)]
    mod tests {
        use chrono::TimeDelta;

        use super::*;
        use crate::provider::simulation::{self, start};
        use campaign_simulator::{Counts, Simulator};

        /// Returns the first 02:30 of the night when clocks in Paris are set back.
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
                unassigned: 10,
                ..Counts::default()
            };
            let sent_at = first() + TimeDelta::hours(number.into());
            Campaign::sms((98 + number).to_string(), "Shoes & <more>", sent_at, counts)
        }

        async fn simulator() -> Simulator {
            start(&Simulated, (0..5).map(campaign).collect()).await
        }

        async fn get(simulator: &Simulator, path: &str, query: &[(&str, &str)]) -> Value {
            let (status, body) = simulation::get(simulator, path, query).await;
            assert_eq!(status, 200);
            body
        }

        async fn ids(simulator: &Simulator, query: &[(&str, &str)]) -> String {
            let body = get(simulator, "/campaigns", query).await;
            assert_eq!(body["status"], 1, "{body}");
            let rows = body["campaigns"].as_array().unwrap();
            let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
            ids.join(" ")
        }

        #[tokio::test]
        async fn pages_are_sorted_by_id() {
            let simulator = simulator().await;
            assert_eq!(ids(&simulator, &[]).await, "98 99 100 101 102");
            let page = [("sort", "id"), ("start", "3"), ("length", "1")];
            assert_eq!(ids(&simulator, &page).await, "101");
            let body = get(&simulator, "/campaigns", &[("start", "9")]).await;
            assert_eq!(body["campaigns"], json!([]));
        }

        #[tokio::test]
        async fn the_window_uses_local_time() {
            let simulator = simulator().await;
            // the first two were sent at the same local time
            let window =
                [("date_start", "2025-10-26 02:30:00"), ("date_end", "2025-10-26 03:30:00")];
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
            let documented = include_str!("../../tests/fixtures/smsup_credits.json");
            assert_eq!(body, serde_json::from_str::<Value>(documented).unwrap());
            simulator.update(|state| state.credits = None);
            let body = get(&simulator, "/credits", &[]).await;
            assert_eq!((&body["credits"], &body["unlimited"]), (&json!("0"), &json!(true)));
        }

        #[tokio::test]
        async fn invalid_requests_are_refused_with_status_200() {
            let simulator = simulator().await;
            for query in [
                ("length", "1001"),
                ("length", "-1"),
                ("start", "x"),
                ("date_start", "2025-10-26T02:30:00Z"),
                ("date_end", "2025-10-26"),
                ("sort", "-date"),
            ] {
                let body = get(&simulator, "/campaigns", &[query]).await;
                assert_eq!(body["status"], -7, "{query:?}");
            }
            assert_eq!(get(&simulator, "/campaign", &[]).await["status"], -5);
            simulator.update(|state| state.token = "other".to_owned());
            assert_eq!(get(&simulator, "/credits", &[]).await["status"], -1);
        }

        #[tokio::test]
        async fn answers_without_an_accept_header_are_xml() {
            let simulator = simulator().await;
            let response = reqwest::Client::new()
                .get(simulator.base_url() + "/campaigns?length=1")
                .bearer_auth("secret")
                .send()
                .await
                .unwrap();
            assert_eq!(response.headers()["content-type"], "text/xml; charset=utf-8");
            let text = response.text().await.unwrap();
            assert!(text.starts_with("<?xml"), "{text}");
            assert!(text.contains("<cost>790</cost>"), "{text}");
            assert!(text.contains("<lists><id>5a0331bffc5886074551ce97</id></lists>"), "{text}");
            assert!(text.contains("<text>Shoes &amp; &lt;more&gt;</text>"), "{text}");
            assert_eq!(text.matches("<status>").count(), 1, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::source::tests::assert_reasons;

    fn source(time_zone: Tz) -> Smsup {
        Smsup { time_zone, failures: FAILURES.map(Arc::from), sender: "sender".into() }
    }

    fn translate(json: &str) -> (Campaign, String) {
        let mut problems = Problems::default();
        let item: Item = serde_json::from_str(json).unwrap();
        let campaign = source(Tz::Europe__Paris).campaign(item, &mut problems);
        (campaign.unwrap(), problems.counted())
    }

    fn first_ask() -> Ask {
        let now = "2024-11-20T12:00:00Z".parse().unwrap();
        let start = "2024-10-27T00:30:00Z".parse().unwrap();
        source(Tz::Europe__Paris).begin(Window::new(start, now)).remove(0)
    }

    fn read_page(status: u16, body: impl AsRef<[u8]>) -> Result<Page, PollError> {
        source(Tz::Europe__Paris).take(Read::default(), &first_ask(), &Answer::of(status, body))
    }

    fn paris(text: &str) -> Option<String> {
        local_time(text, Tz::Europe__Paris).map(|time| time.to_rfc3339())
    }

    #[test]
    fn the_documented_example_is_read_completely() {
        let body = include_str!("../../tests/fixtures/smsup.json");
        let page = read_page(200, body).unwrap();
        assert_eq!((page.items, page.more), (2, false));
        assert_eq!(page.problems.counted(), "");
        let campaigns: Vec<_> = page.campaigns().collect();
        let [shoe, _] = campaigns.as_slice() else { panic!("{campaigns:?}") };
        let count = |count| shoe.counts.get(count);
        assert_eq!(shoe.id, "18969398");
        assert_eq!(shoe.name.as_ref(), "Special offer : Buy one shoe and get the…");
        assert_eq!(shoe.status, Some(Status::Sent));
        // 10:16:58 in Paris in summer
        assert_eq!(shoe.last_sent.unwrap().to_rfc3339(), "2024-10-21T08:16:58+00:00");
        assert_eq!((shoe.scheduled, shoe.created), (None, None));
        assert_eq!(count(Count::Recipients), Some(1958));
        assert_eq!(count(Count::Sends), None);
        assert_eq!(count(Count::Deliveries), Some(1958));
        assert_eq!(count(Count::Bounces), Some(0));
        assert_eq!(count(Count::OptOuts), Some(0));
        assert_eq!(shoe.cost_credits, Some(2128.0));
        let delivery = Figure::Ratio(Ratio::Delivery);
        assert_eq!(shoe.figures.get(delivery), Some(1.0));
    }

    #[test]
    fn invalid_items_allocate_no_memory() {
        let body = r#"{"status":1,"campaigns":[0,0,0,0]}"#;
        let page = read_page(200, body).unwrap();
        assert_eq!((page.items, page.found.capacity()), (4, 0));
    }

    #[test]
    fn omitted_fields_are_absent() {
        let (campaign, problems) = translate(r#"{"id":1,"error":"2","npai":"3"}"#);
        assert_eq!(problems, "");
        assert_eq!(campaign.id, "1");
        let counts = Counts::from([(Count::Bounces, Some(5))]);
        assert_eq!(campaign.counts, counts);
        let failures: Vec<_> = campaign.failures.iter().collect();
        assert_eq!(failures, [("error", 2), ("npai", 3)]);
        assert_eq!((campaign.status, campaign.cost_credits), (None, None));
    }

    #[test]
    fn bounces_are_absent_if_a_failure_cannot_be_read() {
        let (campaign, problems) = translate(r#"{"id":1,"error":"2","npai":"many"}"#);
        assert_eq!(problems, "npai (1 times)");
        assert_eq!(campaign.counts.get(Count::Bounces), None);
        assert_eq!(campaign.failures.iter().collect::<Vec<_>>(), [("error", 2)]);
    }

    #[test]
    fn an_unsent_campaign_has_a_scheduled_time_and_no_ratio() {
        for word in ["Waiting", "In moderation", "denied"] {
            let (campaign, _) = translate(&format!(
                r#"{{"id":"1","status":"{word}","date":"2024-11-11 10:00:00","creation_date":"2024-11-10 10:00:00","total":"9","cost":"18","delivered":"0"}}"#
            ));
            assert_eq!(campaign.last_sent, None, "{word}");
            let scheduled = campaign.scheduled.map(|time| time.to_rfc3339());
            assert_eq!(scheduled.as_deref(), Some("2024-11-11T09:00:00+00:00"), "{word}");
            assert!(campaign.created.is_some(), "{word}");
            assert_eq!(campaign.attempted(), None, "{word}");
            assert_eq!(campaign.counts.get(Count::Recipients), Some(9), "{word}");
            assert_eq!(campaign.cost_credits, Some(18.0), "{word}");
        }
    }

    #[test]
    fn attempted_is_the_sent_count_if_present() {
        let (campaign, _) = translate(r#"{"id":"1","status":"Sent","total":"9","sent":"7"}"#);
        assert_eq!(campaign.attempted(), Some(7));
    }

    #[test]
    fn a_status_in_another_language_or_of_another_type_is_other() {
        for status in [r#""Envoyé""#, "1"] {
            let (campaign, problems) = translate(&format!(r#"{{"id":"1","status":{status}}}"#));
            assert_eq!(campaign.status, Some(Status::Other));
            assert_eq!(problems, "");
        }
    }

    #[test]
    fn a_name_is_truncated_between_characters() {
        assert_eq!(first_characters(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(first_characters(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
        assert_eq!(first_characters(""), "");
    }

    #[test]
    fn clock_changes_do_not_panic() {
        assert_eq!(paris("2024-07-01 12:00:00").as_deref(), Some("2024-07-01T10:00:00+00:00"));
        // 02:30 came twice, first in summer time
        assert_eq!(paris("2024-10-27 02:30:00").as_deref(), Some("2024-10-27T00:30:00+00:00"));
        // 02:30 never came
        assert_eq!(paris("2024-03-31 02:30:00").as_deref(), Some("2024-03-31T01:30:00+00:00"));
        // Samoa skipped a whole day
        assert_eq!(local_time("2011-12-30 12:00:00", Tz::Pacific__Apia), None);
        for text in ["", "2024-02-30 10:00:00", "2024-10-21T10:16:58", "0000-00-00 00:00:00", "x"] {
            assert_eq!(paris(text), None, "{text}");
        }
    }

    #[test]
    fn pages_end_at_the_reported_total() {
        for (totals, items, received, is_last) in [
            ([Some(2500), None], 1000, 1000, false),
            ([None, Some(2500)], 500, 2500, true),
            ([Some(0), Some(0)], 0, 0, true),
            // a server that gives less than it is asked for
            ([Some(2500), Some(2500)], 100, 100, false),
            // a total that counts what was filtered out, too
            ([Some(9000), None], 300, 300, false),
            ([Some(9000), Some(300)], 300, 300, true),
            ([Some(300), Some(9000)], 300, 300, true),
            ([Some(9000), Some(1000)], 1000, 1000, false),
            ([Some(9000), None], 0, 300, true),
            ([None, None], 1000, 1000, false),
            ([None, None], 999, 1999, true),
            ([None, None], 0, 2000, true),
        ] {
            let found = super::is_last(items, received, totals);
            assert_eq!(found, is_last, "{totals:?} {items}");
        }
    }

    #[test]
    fn totals_may_be_strings_or_missing() {
        for (text, goes_on) in [
            (r#""totalRecords":"9000","totalDisplayRecords":300"#, true),
            (r#""totalDisplayRecords":2"#, false),
            (r#""totalRecords":null"#, false),
        ] {
            let body = format!(r#"{{"status":1,"campaigns":[{{"id":"1"}},{{"id":"2"}}],{text}}}"#);
            let page = read_page(200, &body).unwrap();
            assert_eq!(page.more, goes_on, "{text}");
        }
    }

    #[test]
    fn the_window_begins_in_the_accounts_time_zone() {
        let first = first_ask();
        let expected = [
            ("start", "0"),
            ("length", "1000"),
            // the winter offset by now
            ("date_start", "2024-10-27 02:30:00"),
            ("sort", "id"),
        ];
        let expected = expected.map(|(name, value)| (name.into(), value.to_owned()));
        assert_eq!(first.query, expected);
    }

    #[test]
    fn meaningless_credits_are_absent() {
        let ask = Ask::path(CREDITS).or_problem("credits");
        let credits = |body: &str| {
            let answer = Answer::of(200, body);
            let page = source(Tz::UTC).take(Read::default(), &ask, &answer).unwrap();
            (page.account.credits, page.problems.counted())
        };
        assert_eq!(credits(r#"{"credits":"-2.5"}"#), (Some(-2.5), String::new()));
        assert_eq!(credits(r#"{"status":1,"credits":7,"unlimited":true}"#).0, None);
        assert_eq!(credits(r#"{"status":1,"credits":7,"postpaid":"1"}"#).0, None);
        assert_eq!(credits(r#"{"credits":"n/a"}"#).1, "credits (1 times)");
    }

    #[test]
    fn success_requires_a_body_status_and_an_http_status() {
        let page = r#"{"status":1,"message":"OK","campaigns":[],"totalRecords":0}"#;
        for status in 200..=203 {
            assert!(read_page(status, page).is_ok(), "{status}");
        }
        let rows = r#"
            206 decode {"status":1,"message":"OK","campaigns":[],"totalRecords":0}
            204 decode
            200 auth {"status":-1,"message":"Authentication error"}
            401 auth {"status":-1}
            500 server {"status":-1}
            400 auth {"status":-1}
            503 server {"status":-7}
            200 client {"status":-3}
            200 client {"status":-8}
            200 server {"status":-99,"message":"Unknown error"}
            200 decode {"error":"no status at all"}
            200 decode {"status":0,"campaigns":[]}
            200 decode {"status":"1","campaigns":[]}
            200 decode {"status":1,"campaigns":{}}
            200 decode <?xml version="1.0"?><response/>
            500 server {"status":1,"message":"OK","campaigns":[],"totalRecords":0}
            429 throttled
            429 throttled {"status":-99}
            403 forbidden <html>
        "#;
        assert_reasons(rows, |status, body| read_page(status, body));
    }
}
