//! CINNOX Open API: summaries of sent campaigns.
//!
//! <https://docs.cinnox.com/reference/get-sent-campaigns-summary>; the error table is on
//! <https://docs.cinnox.com/docs/error-codes-and-rate-limit>.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{self, Scalar};
use super::{Pages, Problems, Reading, check_items};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Counts, Info};
use crate::document::Section;
use crate::document::secret::SecretSource;
use crate::upstream::http::{Answer, Session};
use crate::upstream::{PollError, Reason};

/// The value of the `provider` label.
pub(super) const NAME: &str = "cinnox";

/// Campaigns per page: the endpoint's maximum.
const LIMIT: usize = 200;

/// How far `endAt` lies ahead of the clock: what was just sent must not be missed because this
/// clock is behind the provider's.
const END_MARGIN: TimeDelta = TimeDelta::days(1);

/// An account at CINNOX.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    base_url: Url,
    app_id: String,
    token: SecretSource,
    channels: Vec<Channel>,
}

impl Settings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        // every service has its own address, so there is no default
        let base_url = section.url("base_url", None);
        let app_id = section.required_text("app_id");
        let token = section.required_secret("token");
        let known = [Channel::Sms, Channel::Whatsapp];
        let words = [("sms", Channel::Sms), ("whatsapp", Channel::Whatsapp)];
        let mut channels = section.choices("channels", &known, &words);
        if channels.is_empty() {
            section.problem("channels", "needs at least one of: sms, whatsapp");
        }
        channels.sort();
        Some(Self {
            base_url: base_url?,
            app_id: app_id?,
            token: token?,
            channels,
        })
    }

    pub(super) const fn base_url(&self) -> &Url {
        &self.base_url
    }

    pub(super) fn app_id(&self) -> &str {
        &self.app_id
    }

    pub(super) fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// The one channel that the account has; nothing if it has all.
    fn only(&self) -> Option<&Channel> {
        match self.channels.as_slice() {
            [channel] => Some(channel),
            _ => None,
        }
    }

    /// The one channel that is asked for, in the API's spelling; nothing asks for all.
    fn filter(&self) -> Option<&'static str> {
        match self.only()? {
            Channel::Sms => Some("sms"),
            Channel::Whatsapp => Some("whatsApp"),
            Channel::Other(_) => None,
        }
    }

    fn endpoint(&self) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            // segment by segment, so that no app id can change the path
            path.pop_if_empty()
                .extend(["v1", "api", "apps", &self.app_id, "data"]);
            path.push("sent-campaigns-summary");
        }
        url
    }

    /// Reads the campaigns of the window.
    pub(super) async fn read_campaigns(
        &self,
        session: &Session,
        window: Window,
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        let token = session.read_token(&self.token).await?;
        let mut reading = Reading::after(known);
        let mut endpoint = self.endpoint();
        // both or neither, and the same for all pages; there is no total, and no promised order
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        endpoint
            .query_pairs_mut()
            .append_pair("startAt", &time(window.start))
            .append_pair("endAt", &time(window.now + END_MARGIN))
            .append_pair("limit", &LIMIT.to_string());
        if let Some(channel) = self.filter() {
            endpoint.query_pairs_mut().append_pair("channel", channel);
        }
        let mut pages = Pages::default();
        for offset in (0..).step_by(LIMIT) {
            let mut url = endpoint.clone();
            url.query_pairs_mut()
                .append_pair("offset", &offset.to_string());
            let interpret = |answer: &Answer| self.read_page(answer);
            let page = session.get(&url, &token, interpret).await?;
            let first_id = page.campaigns.first().map(|campaign| campaign.id.clone());
            let wanted = page.campaigns.into_iter();
            let wanted = wanted.filter(|campaign| self.wants(&campaign.channel));
            reading.add_page(wanted, page.problems);
            if page.items < LIMIT {
                break;
            }
            pages.more(&reading, first_id)?;
        }
        Ok(reading)
    }

    /// Decodes a page. What has no channel has the one that was asked for.
    fn read_page(&self, answer: &Answer) -> Result<Page, PollError> {
        check_success(answer)?;
        let page: WirePage<'_> = answer.json()?;
        let mut problems = Problems::default();
        let items = page.result.len();
        check_items(items)?;
        let mut campaigns = Vec::new();
        for json in page.result {
            let item = lenient::item::<Item<'_>>(json, "result", &mut problems);
            campaigns.extend(item.and_then(|item| item.translate(self.only(), &mut problems)));
        }
        Ok(Page {
            items,
            campaigns,
            problems,
        })
    }

    /// Whether a campaign belongs to the account: all do but those on the known channel that it
    /// does not have.
    fn wants(&self, channel: &Channel) -> bool {
        self.channels.contains(channel) || matches!(channel, Channel::Other(_))
    }
}

impl Settings {
    /// What a poll makes of an answer.
    pub(super) fn decode(&self, status: u16, body: &[u8]) -> Result<Reading, PollError> {
        let page = self.read_page(&Answer::of(status, body))?;
        let wanted = page.campaigns.into_iter();
        let wanted = wanted.filter(|campaign| self.wants(&campaign.channel));
        let mut reading = Reading::default();
        reading.add_page(wanted, page.problems);
        Ok(reading)
    }
}

/// A decoded page. An item that is none counts as one all the same: it fills its place.
struct Page {
    items: usize,
    campaigns: Vec<Campaign>,
    problems: Problems,
}

#[derive(Deserialize)]
struct WirePage<'a> {
    #[serde(borrow)]
    result: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Envelope {
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

/// Success is HTTP 200 with `code` 200, as in the error table, or 0, which the documented default
/// of `code` suggests. Otherwise `code` says more than the HTTP status.
fn check_success(answer: &Answer) -> Result<(), PollError> {
    let envelope: Result<Envelope, PollError> = answer.json();
    let code = match (envelope, answer.status) {
        (Ok(envelope), _) => envelope.code.count("code", &mut Problems::default()),
        (Err(error), 200) => return Err(error),
        (Err(_), _) => return Err(answer.status_error()),
    };
    let reason = match (code, answer.status) {
        (Some(0 | 200), 200) => return Ok(()),
        (None, 200) => {
            return Err(PollError::new(
                Reason::Decode,
                "the answer has no numeric code",
            ));
        }
        (Some(6_451_010), _) => Reason::Throttled,
        // "Bad response from the service"
        (Some(6_451_001), _) => Reason::Server,
        (Some(code), 200) => u16::try_from(code).map_or(Reason::Client, Reason::of_status),
        (_, status) => Reason::of_status(status),
    };
    Err(answer.error(reason, code.and_then(|code| i64::try_from(code).ok())))
}

impl Item<'_> {
    /// `asked_for` is the channel that the request named, if it named one.
    fn translate(self, asked_for: Option<&Channel>, problems: &mut Problems) -> Option<Campaign> {
        let id = self.id.id("id", problems)?;
        // a label that no series may lack
        let channel = match (self.channel.id("channel", problems), asked_for) {
            (Some(word), _) => Channel::from_word(&word),
            (None, Some(channel)) => channel.clone(),
            (None, None) => Channel::Other("unknown".to_owned()),
        };
        let mut counts = Counts {
            recipients: self.total_recipients.count("totalRecipients", problems),
            deliveries: self.delivered.count("delivered", problems),
            ..Counts::default()
        };
        // what an SMS campaign has of these means nothing: the API counts them for WhatsApp only
        if channel != Channel::Sms {
            counts.reads = self.read.count("read", problems);
            counts.replies = self.replied.count("replied", problems);
            counts.pending = self.pending.count("pending", problems);
            counts.bounces = self.failed.count("failed", problems);
        }
        let sender: Sender = self
            .sender
            .and_then(|json| lenient::item(json, "sender", problems))
            .unwrap_or_default();
        Some(Campaign {
            id,
            name: self
                .campaign_name
                .text("campaignName", problems)
                .unwrap_or_default()
                .into(),
            channel,
            last_sent: self.date.time("date", problems, lenient::rfc3339),
            counts,
            info: Arc::new(Info {
                sender: sender.phone.word("sender.phone", problems),
                created_by: self.created_by.word("createdBy", problems),
                template: self.subject.word("subject", problems),
                channel_name: sender.channel_name.word("sender.channelName", problems),
                ..Info::default()
            }),
            ..Campaign::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(app_id: &str, channels: &[Channel]) -> Settings {
        Settings {
            base_url: Url::parse("https://hk.example.com/gateway").unwrap(),
            app_id: app_id.to_owned(),
            token: SecretSource::Env("UNUSED".to_owned()),
            channels: channels.to_vec(),
        }
    }

    fn translate(json: &str) -> (Option<Campaign>, String) {
        let mut problems = Problems::default();
        let item: Item = serde_json::from_str(json).unwrap();
        (item.translate(None, &mut problems), problems.to_string())
    }

    #[test]
    fn an_app_id_cannot_change_the_path() {
        let url = settings("../../admin?x=#y", &[Channel::Sms]).endpoint();
        assert_eq!(
            url.as_str(),
            "https://hk.example.com/gateway/v1/api/apps/..%2F..%2Fadmin%3Fx=%23y/data/sent-campaigns-summary"
        );
        let url = settings("4711", &[Channel::Sms]).endpoint();
        assert_eq!(
            url.path(),
            "/gateway/v1/api/apps/4711/data/sent-campaigns-summary"
        );
    }

    #[test]
    fn a_single_channel_is_asked_for_in_the_apis_spelling() {
        assert_eq!(settings("1", &[Channel::Sms]).filter(), Some("sms"));
        assert_eq!(
            settings("1", &[Channel::Whatsapp]).filter(),
            Some("whatsApp")
        );
        assert_eq!(
            settings("1", &[Channel::Sms, Channel::Whatsapp]).filter(),
            None
        );
    }

    #[test]
    fn a_whatsapp_campaign_has_all_counts_and_numbers_may_be_text() {
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
        let counts = Counts {
            recipients: Some(100),
            deliveries: Some(90),
            bounces: Some(6),
            reads: Some(60),
            replies: Some(130),
            pending: Some(4),
            ..Counts::default()
        };
        assert_eq!(campaign.counts, counts);
        assert_eq!(campaign.info.created_by.as_deref(), Some("Ann"));
        assert_eq!(campaign.info.template.as_deref(), Some("tpl"));
        assert_eq!(campaign.info.channel_name.as_deref(), Some("Main"));
    }

    #[test]
    fn an_sms_campaign_exports_nothing_that_is_counted_for_whatsapp_only() {
        let (campaign, problems) = translate(
            r#"{"id":"c2","channel":"SMS","totalRecipients":10,"delivered":9,
                "read":0,"replied":0,"pending":0,"failed":"n/a"}"#,
        );
        let counts = Counts {
            recipients: Some(10),
            deliveries: Some(9),
            ..Counts::default()
        };
        assert_eq!(campaign.unwrap().counts, counts);
        assert_eq!(problems, "");
    }

    #[test]
    fn a_channel_that_is_missing_is_a_problem_and_one_that_is_new_is_passed_on() {
        let (campaign, problems) = translate(r#"{"id":"c3"}"#);
        assert_eq!(campaign.unwrap().channel.as_str(), "unknown");
        assert_eq!(problems, "channel (1 times)");
        let page = r#"{"code":200,"result":[{"id":"c3"},{"id":"c5","sender":"+852"}]}"#;
        let page = settings("1", &[Channel::Sms])
            .read_page(&Answer::of(200, page))
            .unwrap();
        assert_eq!(page.campaigns.len(), 2);
        assert!(
            page.campaigns
                .iter()
                .all(|campaign| campaign.channel == Channel::Sms)
        );
        assert_eq!(
            page.problems.to_string(),
            "channel (2 times), sender (1 times)"
        );
        let (campaign, problems) = translate(r#"{"id":"c4","channel":"Viber"}"#);
        assert_eq!(campaign.unwrap().channel.as_str(), "viber");
        assert_eq!(problems, "");
    }

    #[test]
    fn what_is_no_campaign_takes_no_room() {
        let body = r#"{"code":200,"result":[0,0,0,0]}"#;
        let page = settings("1", &[Channel::Sms])
            .read_page(&Answer::of(200, body))
            .unwrap();
        assert_eq!((page.items, page.campaigns.capacity()), (4, 0));
    }

    #[test]
    fn success_is_a_code_and_a_status() {
        for body in [
            r#"{"code":200,"result":[]}"#,
            r#"{"code":0,"result":[]}"#,
            r#"{"code":"200","result":[],"cid":"x"}"#,
        ] {
            assert!(
                settings("1", &[Channel::Sms])
                    .read_page(&Answer::of(200, body))
                    .is_ok(),
                "{body}"
            );
        }
        for (status, body, reason) in [
            (
                200,
                r#"{"code":6451010,"message":"Reach request limit"}"#,
                Reason::Throttled,
            ),
            (
                400,
                r#"{"code":6451010,"message":"Reach request limit"}"#,
                Reason::Throttled,
            ),
            (
                200,
                r#"{"code":6451001,"message":"Bad response"}"#,
                Reason::Server,
            ),
            (
                400,
                r#"{"code":6451000,"message":"wrong parameter"}"#,
                Reason::Client,
            ),
            (
                200,
                r#"{"code":6451000,"message":"wrong parameter"}"#,
                Reason::Client,
            ),
            (
                200,
                r#"{"code":400,"message":"Bad request"}"#,
                Reason::Client,
            ),
            (200, r#"{"code":401}"#, Reason::Auth),
            (401, r#"{"code":401}"#, Reason::Auth),
            (401, "<html>", Reason::Auth),
            (403, "", Reason::Forbidden),
            (429, "{}", Reason::Throttled),
            (500, r#"{"code":200,"result":[]}"#, Reason::Server),
            (200, r#"{"result":[]}"#, Reason::Decode),
            (200, r#"{"code":null,"result":[]}"#, Reason::Decode),
            (200, r#"{"code":200}"#, Reason::Decode),
            (200, r#"{"code":200,"result":null}"#, Reason::Decode),
            (200, "[200,[]]", Reason::Decode),
            (200, "", Reason::Decode),
        ] {
            let error = settings("1", &[Channel::Sms])
                .read_page(&Answer::of(status, body))
                .err()
                .unwrap();
            assert_eq!(error.reason, reason, "{status} {body}");
        }
    }

    #[test]
    fn an_error_says_what_the_provider_says() {
        let body = r#"{"code":6451000,"message":"missing one of startAt, endAt"}"#;
        let error = settings("1", &[Channel::Sms])
            .read_page(&Answer::of(400, body))
            .err()
            .unwrap();
        assert_eq!(
            error.message,
            "HTTP 400, code 6451000: missing one of startAt, endAt"
        );
    }
}
