//! Constant Contact, API v3: SMS campaign summaries.
//!
//! <https://developer.constantcontact.com/api_guide/> describes the endpoint; the published
//! contract of the API (build 3.0.178) differs from it in what it counts, so both are accepted.

use std::sync::Arc;

use chrono::SecondsFormat;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::debug;

use super::lenient::{self, Scalar};
use super::{Pages, Problems, Reading, check_items};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Counts, Info, Ratio};
use crate::document::Section;
use crate::document::secret::SecretSource;
use crate::upstream::auth::oauth::Registration;
use crate::upstream::auth::tokens::{Access, access_token};
use crate::upstream::http::{Answer, Session, endpoint};
use crate::upstream::quota::application::Limits;
use crate::upstream::{PollError, Reason};

/// The value of the `provider` label.
pub(super) const NAME: &str = "constant_contact";

/// The endpoint has SMS campaigns only.
pub(super) const CHANNELS: [Channel; 1] = [Channel::Sms];

/// The members of `aggregate_percents`, with the ratio that each should equal.
const PERCENTS: [(&str, Ratio); 4] = [
    ("deliver", Ratio::Delivery),
    ("click", Ratio::Click),
    ("bounce", Ratio::Bounce),
    ("unsubscribe", Ratio::OptOut),
];

/// The values of the `rate` label.
pub(super) const RATES: [&str; 4] = [PERCENTS[0].0, PERCENTS[1].0, PERCENTS[2].0, PERCENTS[3].0];

const DEFAULT_BASE_URL: &str = "https://api.cc.email";
const DEFAULT_AUTH_URL: &str = "https://authz.constantcontact.com/oauth2/default";
const SUMMARIES: &str = "/v3/reports/summary_reports/sms_campaign_summaries";

/// Where every documented path begins, and every link to a next page has to.
const API_ROOT: &str = "/v3/";

/// Campaigns per page: default and maximum of the endpoint.
const LIMIT: &str = "50";

/// How far the provider's percents, printed as whole numbers, may be from the counts', in points.
const PERCENT_TOLERANCE: f64 = 1.0;

/// Requests that an application may make, by the provider's guide: all accounts of it together.
const LIMITS: Limits = Limits {
    per_second: Some(4.0),
    per_day: Some(10_000),
};

/// An account at Constant Contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    base_url: Url,
    credentials: Credentials,
}

#[derive(Clone, Debug, PartialEq)]
enum Credentials {
    /// Tokens that the exporter renews.
    Renewed(Registration),
    /// For a trial: an access token that somebody else renews, or nobody.
    Given {
        client_id: Option<String>,
        access_token: SecretSource,
    },
}

impl Settings {
    pub(super) fn read(section: &mut Section<'_>, storage: bool) -> Option<Self> {
        let base_url = section.url("base_url", Some(DEFAULT_BASE_URL));
        let auth_url = section.url("auth_url", Some(DEFAULT_AUTH_URL));
        let client_id = section.text("client_id");
        let client_secret = section.secret("client_secret");
        let refresh_token = section.secret("refresh_token");
        let access_token = section.secret("access_token");
        let credentials = match (client_id, access_token, &refresh_token) {
            (None, None, _) => {
                section.problem(
                    "",
                    "client_id with refresh_token_file (or refresh_token_env), or \
                     access_token_file (or access_token_env) alone for a trial, is missing",
                );
                return None;
            }
            (client_id, Some(access_token), None) => Credentials::Given {
                client_id,
                access_token,
            },
            (_, Some(_), Some(_)) => {
                section.problem(
                    "",
                    "an access token is for a trial without a refresh token: give one of them",
                );
                return None;
            }
            (Some(client_id), _, _) => {
                if !storage {
                    let key = match &refresh_token {
                        Some(SecretSource::File(_)) => "refresh_token_file",
                        Some(SecretSource::Env(_)) => "refresh_token_env",
                        None => "client_id",
                    };
                    section.problem(
                        key,
                        "a refresh token needs --storage.path: the provider replaces it at each \
                         use, and the new one would be lost",
                    );
                }
                Credentials::Renewed(Registration {
                    auth_url: auth_url?,
                    client_id,
                    client_secret,
                    refresh_token,
                })
            }
        };
        Some(Self {
            base_url: base_url?,
            credentials,
        })
    }

    pub(super) const fn base_url(&self) -> &Url {
        &self.base_url
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Renewed(registration) => Some(&registration.client_id),
            Credentials::Given { client_id, .. } => client_id.as_deref(),
        }
    }

    /// How the exporter is registered, if it renews the account's tokens.
    pub(super) const fn registration(&self) -> Option<&Registration> {
        match &self.credentials {
            Credentials::Renewed(registration) => Some(registration),
            Credentials::Given { .. } => None,
        }
    }

    pub(super) const fn limits() -> Limits {
        LIMITS
    }

    /// Reads the campaigns of the window. A token that is refused is renewed once.
    pub(super) async fn read_campaigns(
        &self,
        session: &Session,
        access: &Access,
        window: Window,
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        let registration = match &self.credentials {
            Credentials::Renewed(registration) => registration,
            Credentials::Given { access_token, .. } => {
                let token = session.read_token(access_token).await?;
                return self.read_pages(session, window, known, &token).await;
            }
        };
        let transport = &session.transport;
        let token = access_token(registration, access, transport, None).await?;
        session.uses_token_until(token.expiry);
        let result = match self.read_pages(session, window, known, &token.secret).await {
            Err(error) if error.reason == Reason::Auth => {
                debug!(%error, "the access token is refused");
                let old = Some(&token.secret);
                let token = access_token(registration, access, transport, old).await?;
                session.uses_token_until(token.expiry);
                self.read_pages(session, window, known, &token.secret).await
            }
            result => result,
        };
        if result.is_ok() {
            access.token_works();
        }
        result
    }

    async fn read_pages(
        &self,
        session: &Session,
        window: Window,
        known: &Arc<Campaigns>,
        token: &SecretString,
    ) -> Result<Reading, PollError> {
        let mut reading = Reading::after(known);
        let mut pages = Pages::default();
        let mut url = endpoint(&self.base_url, SUMMARIES);
        url.query_pairs_mut()
            .append_pair(
                "start_at",
                &window.start.to_rfc3339_opts(SecondsFormat::Millis, true),
            )
            .append_pair("limit", LIMIT);
        loop {
            let page = session.get(&url, token, read_page).await?;
            reading.add_page(page.campaigns, page.problems);
            reading.mismatches.extend(page.mismatches);
            let Some(href) = page.next else {
                // "for all campaigns on the current results page", and nothing of an empty one
                if pages.count == 0 && !reading.campaigns.is_empty() {
                    reading.reported_ratios = page.ratios;
                }
                return Ok(reading);
            };
            url = self.next_url(&href)?;
            pages.more(&reading, Some(href))?;
        }
    }

    /// The address of the next page. The token goes nowhere but to the API that the account is
    /// configured for, whatever a link says.
    pub(crate) fn next_url(&self, href: &str) -> Result<Url, PollError> {
        let refused = |why: &str| {
            PollError::new(
                Reason::Pagination,
                format!("the link to the next page {why}"),
            )
        };
        let next = self
            .base_url
            .join(href)
            .map_err(|_| refused("is not an address"))?;
        if next.origin() != self.base_url.origin() {
            return Err(refused("leads to another origin"));
        }
        if !next.path().starts_with(API_ROOT) {
            return Err(refused("leads outside /v3/"));
        }
        // the documented links are relative to the origin and know nothing of a path that a
        // gateway may have put before the API
        let mut url = endpoint(&self.base_url, next.path());
        url.set_query(next.query());
        Ok(url)
    }
}

impl Settings {
    /// What a poll makes of an answer.
    pub(super) fn decode(&self, status: u16, body: &[u8]) -> Result<Reading, PollError> {
        let page = read_page(&Answer::of(status, body))?;
        let mut reading = Reading {
            reported_ratios: page.ratios,
            mismatches: page.mismatches,
            ..Reading::default()
        };
        reading.add_page(page.campaigns, page.problems);
        page.next.map(|href| self.next_url(&href)).transpose()?;
        Ok(reading)
    }
}

/// A decoded page.
#[derive(Debug)]
struct Page {
    campaigns: Vec<Campaign>,
    problems: Problems,
    /// Its own percents as ratios.
    ratios: Vec<(&'static str, f64)>,
    /// The rates of which its own percent is not what its campaigns have.
    mismatches: Vec<&'static str>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct WirePage<'a> {
    #[serde(borrow)]
    bulk_sms_campaign_summaries: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    aggregate_percents: Option<&'a RawValue>,
    #[serde(default, rename = "_links")]
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    #[serde(default)]
    next: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    href: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Percents {
    deliver: Scalar,
    click: Scalar,
    bounce: Scalar,
    unsubscribe: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    campaign_id: Scalar,
    campaign_name: Scalar,
    campaign_type: Scalar,
    last_sent_date: Scalar,
    #[serde(borrow)]
    unique_counts: Option<&'a RawValue>,
}

/// `bounces` stands in the guide only, `opens` in the contract only.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UniqueCounts {
    sends: Scalar,
    delivers: Scalar,
    opens: Scalar,
    clicks: Scalar,
    bounces: Scalar,
    optouts: Scalar,
}

fn read_page(answer: &Answer) -> Result<Page, PollError> {
    if answer.status != 200 {
        return Err(read_error(answer));
    }
    let page: WirePage<'_> = answer.json()?;
    let mut problems = Problems::default();
    let items = page.bulk_sms_campaign_summaries.len();
    check_items(items)?;
    let mut campaigns = Vec::new();
    for json in page.bulk_sms_campaign_summaries {
        let item = lenient::item::<Item<'_>>(json, "bulk_sms_campaign_summaries", &mut problems);
        campaigns.extend(item.and_then(|item| item.translate(&mut problems)));
    }
    let percents: Percents = page
        .aggregate_percents
        .and_then(|json| lenient::item(json, "aggregate_percents", &mut problems))
        .unwrap_or_default();
    let percents = [
        percents.deliver,
        percents.click,
        percents.bounce,
        percents.unsubscribe,
    ];
    let mut ratios = Vec::new();
    let mut mismatches = Vec::new();
    for ((rate, ratio), percent) in PERCENTS.into_iter().zip(percents) {
        let Some(percent) = percent.number("aggregate_percents", &mut problems) else {
            continue;
        };
        ratios.push((rate, percent / 100.0));
        // sums that lack a campaign, or a count of one, cannot be held against the percents
        let whole = campaigns.len() == items
            && campaigns
                .iter()
                .all(|campaign| ratio.parts(campaign).is_some());
        let own = ratio.of(&campaigns).filter(|_| whole);
        if own.is_some_and(|own| (own * 100.0 - percent).abs() > PERCENT_TOLERANCE) {
            mismatches.push(rate);
        }
    }
    let next = page
        .links
        .and_then(|links| links.next)
        .and_then(|link| link.href);
    let next = next.filter(|href| !href.is_empty());
    Ok(Page {
        campaigns,
        problems,
        ratios,
        mismatches,
        next,
    })
}

/// The two kinds of "too many requests" differ in their body only.
fn read_error(answer: &Answer) -> PollError {
    #[derive(Deserialize)]
    struct ErrorKey {
        error_key: String,
    }
    let quota = answer.status == 429
        && answer
            .json::<ErrorKey>()
            .is_ok_and(|error| error.error_key == "quota_exceeded");
    if quota {
        answer.error(Reason::Quota, None)
    } else {
        answer.status_error()
    }
}

impl Item<'_> {
    fn translate(self, problems: &mut Problems) -> Option<Campaign> {
        let id = self.campaign_id.id("campaign_id", problems)?;
        let counts: UniqueCounts = self
            .unique_counts
            .and_then(|json| lenient::item(json, "unique_counts", problems))
            .unwrap_or_default();
        Some(Campaign {
            id,
            name: self
                .campaign_name
                .text("campaign_name", problems)
                .unwrap_or_default()
                .into(),
            channel: Channel::Sms,
            last_sent: self
                .last_sent_date
                .time("last_sent_date", problems, lenient::rfc3339),
            counts: Counts {
                sends: counts.sends.count("sends", problems),
                deliveries: counts.delivers.count("delivers", problems),
                opens: counts.opens.count("opens", problems),
                clicks: counts.clicks.count("clicks", problems),
                bounces: counts.bounces.count("bounces", problems),
                opt_outs: counts.optouts.count("optouts", problems),
                ..Counts::default()
            },
            info: Arc::new(Info {
                campaign_type: self.campaign_type.word("campaign_type", problems),
                ..Info::default()
            }),
            ..Campaign::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(base_url: &str) -> Settings {
        Settings {
            base_url: Url::parse(base_url).unwrap(),
            credentials: Credentials::Given {
                client_id: None,
                access_token: SecretSource::Env("T".to_owned()),
            },
        }
    }

    fn read(body: &str) -> Page {
        read_page(&Answer::of(200, body)).unwrap()
    }

    fn body(items: &str, percents: &str) -> String {
        format!(
            r#"{{"bulk_sms_campaign_summaries":[{items}],"aggregate_percents":{percents},"_links":{{}}}}"#
        )
    }

    const ITEM: &str = r#"{"campaign_id":"a","campaign_name":"A",
        "unique_counts":{"sends":60,"clicks":50,"optouts":0,"delivers":60,"bounces":0}}"#;

    #[test]
    fn the_documents_example_loses_one_timestamp_and_nothing_else() {
        let body = include_str!("../../tests/fixtures/constant_contact.json");
        let page = read(body);
        let [good, malformed] = page.campaigns.as_slice() else {
            panic!("{page:?}")
        };
        assert_eq!(good.id, "9d30c391-2b85-4d6a-84ad-00fa2d31cd03");
        assert_eq!(good.last_sent.unwrap().timestamp(), 1_712_092_393);
        assert_eq!(malformed.id, "g90ea686-239f-43d8-9770-c76f7afefd6d");
        assert_eq!(malformed.name.as_ref(), "Clearance Campaign");
        assert_eq!(malformed.last_sent, None);
        assert_eq!(malformed.counts, good.counts);
        assert_eq!(good.counts.bounces, Some(0));
        assert_eq!(good.counts.opens, None);
        assert_eq!(page.problems.to_string(), "last_sent_date (1 times)");
        // 83 is 83.3 rounded, which is no mismatch
        assert!(page.mismatches.is_empty());
        let expected = [
            ("deliver", 1.0),
            ("click", 0.83),
            ("bounce", 0.0),
            ("unsubscribe", 0.0),
        ];
        assert_eq!(page.ratios, expected);
    }

    #[test]
    fn opens_are_read_where_the_contract_of_the_api_has_them() {
        let item = r#"{"campaign_id":"a","unique_counts":{"sends":2,"delivers":2,"opens":1}}"#;
        let page = read(&body(item, "{}"));
        assert_eq!(page.campaigns[0].counts.opens, Some(1));
        assert_eq!(page.campaigns[0].counts.bounces, None);
        assert!(page.problems.is_empty());
    }

    #[test]
    fn percents_more_than_a_point_off_are_a_mismatch() {
        for (percents, mismatches) in [
            (
                r#"{"deliver":100,"click":83.33,"bounce":1.0,"unsubscribe":0}"#,
                vec![],
            ),
            (
                r#"{"deliver":98.9,"click":85,"bounce":1.1,"unsubscribe":0}"#,
                vec!["deliver", "click", "bounce"],
            ),
            (r#"{"deliver":null}"#, vec![]),
            ("null", vec![]),
        ] {
            assert_eq!(
                read(&body(ITEM, percents)).mismatches,
                mismatches,
                "{percents}"
            );
        }
    }

    #[test]
    fn a_page_with_something_unreadable_is_not_held_against_its_percents() {
        for (item, problem) in [
            (
                r#"{"campaign_name":"without an id"}"#,
                "campaign_id (1 times)",
            ),
            (
                r#"{"campaign_id":"b","unique_counts":{"sends":9,"delivers":-1}}"#,
                "delivers (1 times)",
            ),
            (
                r#"{"campaign_id":"b","unique_counts":[]}"#,
                "unique_counts (1 times)",
            ),
        ] {
            let page = read(&body(&format!("{ITEM},{item}"), r#"{"deliver":50}"#));
            assert!(page.mismatches.is_empty(), "{item}");
            assert_eq!(page.problems.to_string(), problem);
        }
    }

    #[test]
    fn what_is_no_campaign_takes_no_room() {
        assert_eq!(read(&body("0,0,0,0", "{}")).campaigns.capacity(), 0);
    }

    #[test]
    fn counts_that_are_no_object_do_not_cost_the_campaign() {
        let page = read(&body(r#"{"campaign_id":"b","unique_counts":"n/a"}"#, "{}"));
        assert_eq!(page.campaigns[0].counts, Counts::default());
        let page = read(&body(r#"{"campaign_id":"b","unique_counts":null}"#, "{}"));
        assert_eq!((page.campaigns.len(), page.problems.is_empty()), (1, true));
    }

    #[test]
    fn percents_that_are_no_object_cost_only_themselves() {
        let page = read(&body(ITEM, "[1,2]"));
        assert_eq!(page.ratios, []);
        assert_eq!(page.problems.to_string(), "aggregate_percents (1 times)");
        assert_eq!(page.campaigns.len(), 1);
    }

    #[test]
    fn every_way_to_have_no_next_page_is_the_end() {
        for links in [
            "{}",
            "null",
            r#"{"next":null}"#,
            r#"{"next":{}}"#,
            r#"{"next":{"href":null}}"#,
            r#"{"next":{"href":""}}"#,
        ] {
            let body = format!(r#"{{"bulk_sms_campaign_summaries":[],"_links":{links}}}"#);
            assert_eq!(
                read_page(&Answer::of(200, &body)).unwrap().next,
                None,
                "{links}"
            );
        }
        let body = r#"{"bulk_sms_campaign_summaries":[]}"#;
        assert_eq!(read_page(&Answer::of(200, body)).unwrap().next, None);
    }

    #[test]
    fn an_envelope_that_is_not_documented_fails() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"bulk_sms_campaign_summaries":null}"#,
            r#"{"bulk_sms_campaign_summaries":{}}"#,
            r#"{"bulk_sms_campaign_summaries":[{]}"#,
            "<html></html>",
            r#"[{"error_key":"x"}]"#,
        ] {
            let error = read_page(&Answer::of(200, body)).err().unwrap();
            assert_eq!(error.reason, Reason::Decode, "{body}");
        }
    }

    #[test]
    fn a_next_link_is_followed_to_the_api_only() {
        let api = settings("https://api.cc.email");
        let next = |href| api.next_url(href).map(String::from);
        let path = "/v3/reports/summary_reports/sms_campaign_summaries?next=abc";
        assert_eq!(next(path), Ok(format!("https://api.cc.email{path}")));
        let absolute = format!("https://api.cc.email{path}");
        assert_eq!(next(&absolute), Ok(absolute.clone()));
        for href in [
            "https://evil.example/v3/x",
            "//evil.example/v3/x",
            "http://api.cc.email/v3/x",
            "https://api.cc.email:8443/v3/x",
            "https://api.cc.email@evil.example/v3/x",
            "/v4/x",
            "/v3/../admin",
            "/v3",
            "https://[",
            "data:text/plain,x",
        ] {
            let error = next(href).unwrap_err();
            assert_eq!(error.reason, Reason::Pagination, "{href}");
        }
    }

    #[test]
    fn a_path_in_front_of_the_api_is_kept() {
        let api = settings("https://gateway.example/cc");
        assert_eq!(
            endpoint(&api.base_url, SUMMARIES).path(),
            format!("/cc{SUMMARIES}")
        );
        let next = api.next_url("/v3/reports?next=abc").unwrap();
        assert_eq!(
            next.as_str(),
            "https://gateway.example/cc/v3/reports?next=abc"
        );
    }

    #[test]
    fn the_two_kinds_of_too_many_requests_are_told_apart() {
        for (status, body, reason) in [
            (
                429,
                r#"{"error_key":"quota_exceeded","error_message":"x"}"#,
                Reason::Quota,
            ),
            (
                429,
                r#"{"error_key":"throttled","error_message":"x"}"#,
                Reason::Throttled,
            ),
            (429, "", Reason::Throttled),
            (401, r#"{"error_key":"unauthorized"}"#, Reason::Auth),
            (403, r#"{"message":"Forbidden"}"#, Reason::Forbidden),
            (
                400,
                r#"[{"error_key":"x","error_message":"y"}]"#,
                Reason::Client,
            ),
            (302, "", Reason::Client),
            (204, "", Reason::Decode),
            (503, "<html>", Reason::Server),
        ] {
            let error = read_page(&Answer::of(status, body)).err().unwrap();
            assert_eq!(error.reason, reason, "{status} {body}");
        }
    }
}
