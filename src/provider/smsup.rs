//! SMSUp, a white label of SMSFactor: campaigns made through the API.
//!
//! <https://doc.smsup.ch/en/api/sms/>; campaigns made on the web platform are not listed there.

use std::sync::Arc;

use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::debug;

use super::lenient::{self, Scalar};
use super::{Pages, Problems, Reading, check_items};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Counts, Failures, Info, Status};
use crate::document::Section;
use crate::document::secret::SecretSource;
use crate::upstream::http::{Answer, Session, endpoint};
use crate::upstream::{PollError, Reason};

/// The value of the `provider` label.
pub(super) const NAME: &str = "smsup";

/// The API has SMS campaigns only.
pub(super) const CHANNELS: [Channel; 1] = [Channel::Sms];

const DEFAULT_BASE_URL: &str = "https://api.smsup.ch";

/// `/account` gives this zone and the documents name it for sending; none says which zone `date`
/// is in.
const DEFAULT_TIME_ZONE: &str = "Europe/Paris";

/// Campaigns per page: the endpoint's maximum.
const LENGTH: usize = 1_000;

/// How the API writes a time.
const DATE_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

/// How much of its text stands for the name of a campaign, in characters.
const NAME_CHARS: usize = 40;

/// An account at SMSUp.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    base_url: Url,
    token: SecretSource,
    time_zone: Tz,
}

impl Settings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let base_url = section.url("base_url", Some(DEFAULT_BASE_URL));
        let token = section.required_secret("token");
        let name = section.text_or("time_zone", DEFAULT_TIME_ZONE);
        let time_zone = Tz::from_str(&name);
        if time_zone.is_err() {
            section.problem(
                "time_zone",
                format!("{name:?} is no time zone such as Europe/Zurich"),
            );
        }
        Some(Self {
            base_url: base_url?,
            token: token?,
            time_zone: time_zone.ok()?,
        })
    }

    pub(super) const fn base_url(&self) -> &Url {
        &self.base_url
    }

    pub(super) const fn time_zone(&self) -> Tz {
        self.time_zone
    }

    /// Reads the campaigns of the window and the credits.
    pub(super) async fn read_campaigns(
        &self,
        session: &Session,
        window: Window,
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        let token = session.read_token(&self.token).await?;
        let mut reading = Reading::after(known);
        let date_start = window
            .start
            .with_timezone(&self.time_zone)
            .format(DATE_FORMAT)
            .to_string();
        let mut received = 0;
        let mut pages = Pages::default();
        loop {
            let mut url = endpoint(&self.base_url, "/campaigns");
            url.query_pairs_mut()
                .append_pair("start", &received.to_string())
                .append_pair("length", &LENGTH.to_string())
                .append_pair("date_start", &date_start)
                // the oldest first: a campaign made meanwhile comes last and shifts no page
                .append_pair("sort", "id");
            let interpret = |answer: &Answer| read_page(answer, self.time_zone);
            let page = session.get(&url, &token, interpret).await?;
            // whatever comes beyond that, the next page begins where this one was to end
            received += page.items.min(LENGTH);
            let is_last = page.is_last(received);
            let first_id = page.campaigns.first().map(|campaign| campaign.id.clone());
            reading.add_page(page.campaigns, page.problems);
            if is_last {
                break;
            }
            pages.more(&reading, first_id)?;
        }
        self.read_credits(session, &token, &mut reading).await;
        Ok(reading)
    }

    /// Reads the credits. Whatever is wrong with them must not cost the campaigns, nor the time of
    /// a second try.
    async fn read_credits(&self, session: &Session, token: &SecretString, reading: &mut Reading) {
        let interpret = |answer: &Answer| {
            // older answers have no status
            check_success(answer, Some(1))?;
            answer.json::<Credits>()
        };
        let url = endpoint(&self.base_url, "/credits");
        match session.get_once(&url, token, interpret).await {
            // an account that is billed afterwards has a number there that means nothing
            Ok(credits) if credits.unlimited.is_true() || credits.postpaid.is_true() => {}
            Ok(credits) => {
                reading.credits = credits.left.signed_number("credits", &mut reading.problems);
            }
            Err(error) => {
                debug!(reason = error.reason.as_str(), %error, "the credits could not be read");
                reading.problems.add("credits");
            }
        }
    }
}

impl Settings {
    /// What a poll makes of an answer. Credits that stand in the same body are
    /// read, too.
    pub(super) fn decode(&self, status: u16, body: &[u8]) -> Result<Reading, PollError> {
        let answer = Answer::of(status, body);
        let page = read_page(&answer, self.time_zone)?;
        let mut reading = Reading::default();
        reading.add_page(page.campaigns, page.problems);
        let credits: Credits = answer.json()?;
        reading.credits = credits.left.signed_number("credits", &mut reading.problems);
        Ok(reading)
    }
}

/// A decoded page. An item that is none counts as one all the same: it fills its place.
struct Page {
    items: usize,
    campaigns: Vec<Campaign>,
    problems: Problems,
    /// How many campaigns there are, before filtering and after it. Which is which is not documented,
    /// so the larger one is believed until a page is short, and then the smaller one.
    totals: [Option<u64>; 2],
}

impl Page {
    /// Whether this was the last page, with `received` items in all.
    fn is_last(&self, received: usize) -> bool {
        let known = || self.totals.into_iter().flatten();
        let is_short = self.items < LENGTH;
        let enough = if is_short {
            known().min()
        } else {
            known().max()
        };
        self.items == 0 || enough.map_or(is_short, |enough| received as u64 >= enough)
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    status: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePage<'a> {
    #[serde(borrow)]
    campaigns: Vec<&'a RawValue>,
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

fn read_page(answer: &Answer, time_zone: Tz) -> Result<Page, PollError> {
    check_success(answer, None)?;
    let page: WirePage<'_> = answer.json()?;
    let mut problems = Problems::default();
    let items = page.campaigns.len();
    check_items(items)?;
    let mut campaigns = Vec::new();
    for json in page.campaigns {
        let item = lenient::item::<Item>(json, "campaigns", &mut problems);
        campaigns.extend(item.and_then(|item| item.translate(time_zone, &mut problems)));
    }
    let total = page.total_records.count("totalRecords", &mut problems);
    let display = page
        .total_display_records
        .count("totalDisplayRecords", &mut problems);
    Ok(Page {
        items,
        campaigns,
        problems,
        totals: [total, display],
    })
}

/// Success is HTTP 200 with `status` 1. Errors often come with HTTP 200 and a negative `status`,
/// which says more than the HTTP status.
fn check_success(answer: &Answer, default_status: Option<i64>) -> Result<(), PollError> {
    let envelope: Result<Envelope, PollError> = answer.json();
    let status = match (envelope, answer.status) {
        (Ok(envelope), _) => envelope.status.or(default_status),
        (Err(error), 200) => return Err(error),
        (Err(_), _) => return Err(answer.status_error()),
    };
    let reason = match (status, answer.status) {
        (Some(1), 200) => return Ok(()),
        // these tell what kind of failure it is whatever the body says
        (_, http_status @ (429 | 500..=599)) => Reason::of_status(http_status),
        (Some(-1), _) => Reason::Auth,
        (Some(-8..=-2), _) => Reason::Client,
        // "unknown error"
        (Some(-99), 200) => Reason::Server,
        (_, 200) => Reason::Decode,
        (_, http_status) => Reason::of_status(http_status),
    };
    Err(answer.error(reason, status))
}

impl Item {
    fn translate(self, time_zone: Tz, problems: &mut Problems) -> Option<Campaign> {
        let id = self.id.id("id", problems)?;
        let status = self
            .status
            .word("status", problems)
            .map(|word| read_status(&word));
        let time = |text: &str| local_time(text, time_zone);
        let date = self.date.time("date", problems, time);
        let created = self.creation_date.time("creation_date", problems, time);
        let nothing_sent_yet = status.is_some_and(Status::nothing_sent_yet);
        let failures = Failures {
            error: self.error.count("error", problems),
            expired: self.expired.count("expired", problems),
            network_error: self.network_error.count("network_error", problems),
            npai: self.npai.count("npai", problems),
        };
        let delivery_rate = self.delivery_rate.number("delivery_rate", problems);
        Some(Campaign {
            id,
            name: self
                .text
                .text("text", problems)
                .map_or_else(Arc::default, |text| name(&text).into()),
            channel: Channel::Sms,
            status,
            last_sent: date.filter(|_| !nothing_sent_yet),
            scheduled: date.filter(|_| nothing_sent_yet),
            created: created.filter(|_| nothing_sent_yet),
            counts: Counts {
                recipients: self.total.count("total", problems),
                sends: self.sent.count("sent", problems),
                deliveries: self.delivered.count("delivered", problems),
                bounces: failures.total(),
                opt_outs: self.stop.count("stop", problems),
                ..Counts::default()
            },
            failures,
            cost_credits: self.cost.number("cost", problems),
            reported_delivery_ratio: delivery_rate.map(|percent| percent / 100.0),
            info: Arc::new(Info {
                sender: self.sender.word("sender", problems),
                ..Info::default()
            }),
        })
    }
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

/// The beginning of a text, marked where it is cut.
fn name(text: &str) -> String {
    let mut name: String = text.chars().take(NAME_CHARS).collect();
    if text.chars().nth(NAME_CHARS).is_some() {
        name.push('…');
    }
    name
}

/// A local time. Of the two that an autumn night has, the earlier; one that a spring night lacks
/// is read as if the clock had not been put forward yet.
fn local_time(text: &str, time_zone: Tz) -> Option<DateTime<Utc>> {
    let local = NaiveDateTime::parse_from_str(text, DATE_FORMAT).ok()?;
    let zoned = match time_zone.from_local_datetime(&local) {
        LocalResult::Single(time) => time,
        LocalResult::Ambiguous(earlier, _) => earlier,
        LocalResult::None => {
            // an hour before, the offset of the winter still holds
            let before = local.checked_sub_signed(TimeDelta::hours(1))?;
            let before = time_zone.from_local_datetime(&before).earliest()?;
            before.checked_add_signed(TimeDelta::hours(1))?
        }
    };
    Some(zoned.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(json: &str) -> (Campaign, String) {
        let mut problems = Problems::default();
        let item: Item = serde_json::from_str(json).unwrap();
        let campaign = item.translate(Tz::Europe__Paris, &mut problems).unwrap();
        (campaign, problems.to_string())
    }

    fn paris(text: &str) -> Option<String> {
        local_time(text, Tz::Europe__Paris).map(|time| time.to_rfc3339())
    }

    #[test]
    fn the_documents_example_is_read_whole() {
        let body = include_str!("../../tests/fixtures/smsup.json");
        let page = read_page(&Answer::of(200, body), Tz::Europe__Paris).unwrap();
        assert_eq!((page.items, page.totals), (2, [Some(2), Some(2)]));
        assert_eq!(page.problems.to_string(), "");
        let [shoe, _] = page.campaigns.as_slice() else {
            panic!("{:?}", page.campaigns)
        };
        assert_eq!(shoe.id, "18969398");
        assert_eq!(
            shoe.name.as_ref(),
            "Special offer : Buy one shoe and get the…"
        );
        assert_eq!(shoe.status, Some(Status::Sent));
        // 10:16:58 in Paris in summer
        assert_eq!(
            shoe.last_sent.unwrap().to_rfc3339(),
            "2024-10-21T08:16:58+00:00"
        );
        assert_eq!((shoe.scheduled, shoe.created), (None, None));
        assert_eq!(shoe.counts.recipients, Some(1958));
        assert_eq!(shoe.counts.sends, None);
        assert_eq!(shoe.counts.deliveries, Some(1958));
        assert_eq!(shoe.counts.bounces, Some(0));
        assert_eq!(shoe.counts.opt_outs, Some(0));
        assert_eq!(shoe.cost_credits, Some(2128.0));
        assert_eq!(shoe.reported_delivery_ratio, Some(1.0));
    }

    #[test]
    fn what_is_no_campaign_takes_no_room() {
        let body = r#"{"status":1,"campaigns":[0,0,0,0]}"#;
        let page = read_page(&Answer::of(200, body), Tz::UTC).unwrap();
        assert_eq!((page.items, page.campaigns.capacity()), (4, 0));
    }

    #[test]
    fn what_is_left_out_is_absent() {
        let (campaign, problems) = translate(r#"{"id":1,"error":"2","npai":"3"}"#);
        assert_eq!(problems, "");
        assert_eq!(campaign.id, "1");
        let counts = Counts {
            bounces: Some(5),
            ..Counts::default()
        };
        assert_eq!(campaign.counts, counts);
        assert_eq!(campaign.failures.expired, None);
        assert_eq!((campaign.status, campaign.cost_credits), (None, None));
    }

    #[test]
    fn a_campaign_of_which_nothing_was_sent_has_a_plan_and_no_ratio() {
        for word in ["Waiting", "In moderation", "denied"] {
            let (campaign, _) = translate(&format!(
                r#"{{"id":"1","status":"{word}","date":"2024-11-11 10:00:00","creation_date":"2024-11-10 10:00:00","total":"9","cost":"18","delivered":"0"}}"#
            ));
            assert_eq!(campaign.last_sent, None, "{word}");
            let scheduled = campaign.scheduled.map(|time| time.to_rfc3339());
            assert_eq!(
                scheduled.as_deref(),
                Some("2024-11-11T09:00:00+00:00"),
                "{word}"
            );
            assert!(campaign.created.is_some(), "{word}");
            assert_eq!(campaign.attempted(), None, "{word}");
            assert_eq!(campaign.counts.recipients, Some(9), "{word}");
            assert_eq!(campaign.cost_credits, Some(18.0), "{word}");
        }
    }

    #[test]
    fn attempted_is_what_was_sent_where_the_server_tells() {
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
    fn a_name_is_cut_between_characters() {
        assert_eq!(name(&"é".repeat(40)), "é".repeat(40));
        assert_eq!(name(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
        assert_eq!(name(""), "");
    }

    #[test]
    fn the_nights_on_which_the_clocks_change_are_no_panic() {
        assert_eq!(
            paris("2024-07-01 12:00:00").as_deref(),
            Some("2024-07-01T10:00:00+00:00")
        );
        // 02:30 came twice, first in summer time
        assert_eq!(
            paris("2024-10-27 02:30:00").as_deref(),
            Some("2024-10-27T00:30:00+00:00")
        );
        // 02:30 never came
        assert_eq!(
            paris("2024-03-31 02:30:00").as_deref(),
            Some("2024-03-31T01:30:00+00:00")
        );
        // Samoa skipped a whole day
        assert_eq!(local_time("2011-12-30 12:00:00", Tz::Pacific__Apia), None);
        for text in [
            "",
            "2024-02-30 10:00:00",
            "2024-10-21T10:16:58",
            "0000-00-00 00:00:00",
            "x",
        ] {
            assert_eq!(paris(text), None, "{text}");
        }
    }

    #[test]
    fn pages_end_where_the_totals_say() {
        let page = |items, totals| Page {
            items,
            campaigns: Vec::new(),
            problems: Problems::default(),
            totals,
        };
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
            assert_eq!(
                page(items, totals).is_last(received),
                is_last,
                "{totals:?} {items}"
            );
        }
    }

    #[test]
    fn totals_may_be_text_or_missing() {
        for (text, totals) in [
            (
                r#""totalRecords":"9000","totalDisplayRecords":300"#,
                [Some(9000), Some(300)],
            ),
            (r#""totalDisplayRecords":7"#, [None, Some(7)]),
            (r#""totalRecords":null"#, [None, None]),
        ] {
            let body = format!(r#"{{"status":1,"campaigns":[],{text}}}"#);
            let page = read_page(&Answer::of(200, &body), Tz::UTC).unwrap();
            assert_eq!(page.totals, totals, "{text}");
        }
    }

    #[test]
    fn success_is_a_status_in_the_body_and_one_of_http() {
        let page = r#"{"status":1,"message":"OK","campaigns":[],"totalRecords":0}"#;
        assert!(read_page(&Answer::of(200, page), Tz::UTC).is_ok());
        for (status, body, reason) in [
            (
                200,
                r#"{"status":-1,"message":"Authentication error"}"#,
                Reason::Auth,
            ),
            (401, r#"{"status":-1}"#, Reason::Auth),
            (500, r#"{"status":-1}"#, Reason::Server),
            (400, r#"{"status":-1}"#, Reason::Auth),
            (503, r#"{"status":-7}"#, Reason::Server),
            (200, r#"{"status":-3}"#, Reason::Client),
            (200, r#"{"status":-8}"#, Reason::Client),
            (
                200,
                r#"{"status":-99,"message":"Unknown error"}"#,
                Reason::Server,
            ),
            (200, r#"{"error":"no status at all"}"#, Reason::Decode),
            (200, r#"{"status":0,"campaigns":[]}"#, Reason::Decode),
            (200, r#"{"status":"1","campaigns":[]}"#, Reason::Decode),
            (200, r#"{"status":1}"#, Reason::Decode),
            (200, r#"{"status":1,"campaigns":null}"#, Reason::Decode),
            (200, "<?xml version=\"1.0\"?><response/>", Reason::Decode),
            (500, page, Reason::Server),
            (429, "", Reason::Throttled),
            (429, r#"{"status":-99}"#, Reason::Throttled),
            (403, "<html>", Reason::Forbidden),
        ] {
            let error = read_page(&Answer::of(status, body), Tz::UTC).err().unwrap();
            assert_eq!(error.reason, reason, "{status} {body}");
        }
    }
}
