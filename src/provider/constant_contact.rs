//! Constant Contact, API v3: SMS campaign summaries.
//!
//! <https://developer.constantcontact.com/api_guide/> describes the endpoint; the published
//! contract of the API (build 3.0.178) differs from it in what it counts, so both are accepted.

use std::collections::HashSet;

use chrono::SecondsFormat;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{self, Scalar};
use super::{PollError, Problems, Reading, Reason, Session, Window, check_page_count};
use crate::campaign::{Campaign, Channel, Counts, Info, Ratio};
use crate::document::Section;
use crate::provider::http::Answer;
use crate::secret::SecretSource;

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

/// An account at Constant Contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    base_url: Url,
    auth_url: Url,
    client_id: Option<String>,
    client_secret: Option<SecretSource>,
    refresh_token: Option<SecretSource>,
    access_token: Option<SecretSource>,
}

impl Settings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let base_url = section.url("base_url", Some(DEFAULT_BASE_URL));
        let auth_url = section.url("auth_url", Some(DEFAULT_AUTH_URL));
        let client_id = section.text("client_id");
        let client_secret = section.secret("client_secret");
        let refresh_token = section.secret("refresh_token");
        let access_token = section.secret("access_token");
        if client_id.is_none() && access_token.is_none() {
            section.problem(
                "",
                "client_id with refresh_token_file (or refresh_token_env), or access_token_file \
                 (or access_token_env) alone for a trial, is missing",
            );
            return None;
        }
        Some(Self {
            base_url: base_url?,
            auth_url: auth_url?,
            client_id,
            client_secret,
            refresh_token,
            access_token,
        })
    }

    pub(super) const fn base_url(&self) -> &Url {
        &self.base_url
    }

    pub(super) fn needs_storage(&self) -> Option<&'static str> {
        match (&self.refresh_token, &self.access_token) {
            (Some(SecretSource::File(_)), _) => Some("refresh_token_file"),
            (Some(SecretSource::Env(_)), _) => Some("refresh_token_env"),
            (None, None) => Some("client_id"),
            (None, Some(_)) => None,
        }
    }

    pub(super) fn warnings(&self) -> Option<String> {
        self.access_token.is_none().then(|| {
            "this version does not use refresh tokens: give access_token_file as well".to_owned()
        })
    }

    /// The token that requests carry.
    async fn access_token(&self) -> Result<SecretString, PollError> {
        let Some(source) = &self.access_token else {
            return Err(PollError::new(
                Reason::Auth,
                "this version does not use refresh tokens: give access_token_file",
            ));
        };
        let read = source.read().await;
        read.map_err(|error| PollError::new(Reason::Auth, format!("access token: {error}")))
    }

    /// Reads the campaigns of the window.
    pub(super) async fn read_campaigns(
        &self,
        session: &Session,
        window: Window,
    ) -> Result<Reading, PollError> {
        let token = self.access_token().await?;
        let mut reading = Reading::default();
        let mut seen = HashSet::new();
        let mut url = self.endpoint(SUMMARIES);
        url.query_pairs_mut()
            .append_pair(
                "start_at",
                &window.start.to_rfc3339_opts(SecondsFormat::Millis, true),
            )
            .append_pair("limit", LIMIT);
        loop {
            let page = session.get(&url, &token, read_page).await?;
            let next = page.next.clone();
            let ratios = page.add_to(&mut reading);
            seen.insert(url);
            let Some(href) = next else {
                // "for all campaigns on the current results page", and nothing of an empty one
                if seen.len() == 1 && !reading.campaigns.is_empty() {
                    reading.reported_ratios = ratios;
                }
                return Ok(reading);
            };
            check_page_count(seen.len())?;
            url = self.next_url(&href)?;
            if seen.contains(&url) {
                return Err(PollError::new(
                    Reason::Pagination,
                    format!("page {} leads back to an earlier page", seen.len()),
                ));
            }
        }
    }

    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!(
            "{}{path}",
            self.base_url.path().trim_end_matches('/')
        ));
        url
    }

    /// The address of the next page. The token goes nowhere but to the API that the account is
    /// configured for, whatever a link says.
    fn next_url(&self, href: &str) -> Result<Url, PollError> {
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
        let mut url = self.endpoint(next.path());
        url.set_query(next.query());
        Ok(url)
    }
}

/// A decoded page.
struct Page {
    items: Vec<Option<Item>>,
    problems: Problems,
    percents: Option<Percents>,
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
struct Item {
    campaign_id: Scalar,
    campaign_name: Scalar,
    campaign_type: Scalar,
    last_sent_date: Scalar,
    unique_counts: Option<UniqueCounts>,
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
    let summaries = page.bulk_sms_campaign_summaries.into_iter();
    let items = summaries
        .map(|json| lenient::item(json, "bulk_sms_campaign_summaries", &mut problems))
        .collect();
    let percents = page
        .aggregate_percents
        .filter(|json| json.get() != "null")
        .and_then(|json| lenient::item(json, "aggregate_percents", &mut problems));
    let next = page
        .links
        .and_then(|links| links.next)
        .and_then(|link| link.href);
    Ok(Page {
        items,
        problems,
        percents,
        next: next.filter(|href| !href.is_empty()),
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
        answer.error(Reason::Quota)
    } else {
        answer.status_error()
    }
}

impl Page {
    /// Adds the page's campaigns, and returns its own percents as ratios.
    fn add_to(self, reading: &mut Reading) -> Vec<(&'static str, f64)> {
        let mut problems = self.problems;
        let mut whole_page = true;
        let mut campaigns = Vec::with_capacity(self.items.len());
        for item in self.items {
            match item.and_then(|item| item.translate(&mut problems)) {
                Some(campaign) => campaigns.push(campaign),
                None => whole_page = false,
            }
        }
        let mut ratios = Vec::new();
        let percents = self.percents.unwrap_or_default();
        let percents = [
            percents.deliver,
            percents.click,
            percents.bounce,
            percents.unsubscribe,
        ];
        for ((rate, ratio), percent) in PERCENTS.into_iter().zip(percents) {
            let Some(percent) = percent.number("aggregate_percents", &mut problems) else {
                continue;
            };
            ratios.push((rate, percent / 100.0));
            // a page with a campaign that could not be read says nothing about its sums
            let computed = ratio.of(&campaigns).filter(|_| whole_page);
            if computed.is_some_and(|own| (own * 100.0 - percent).abs() > PERCENT_TOLERANCE) {
                reading.mismatches.push(rate);
            }
        }
        for campaign in campaigns {
            reading.add(campaign);
        }
        reading.problems.merge(problems);
        ratios
    }
}

impl Item {
    fn translate(self, problems: &mut Problems) -> Option<Campaign> {
        let id = self.campaign_id.id("campaign_id", problems)?;
        let counts = self.unique_counts.unwrap_or_default();
        Some(Campaign {
            id,
            name: self
                .campaign_name
                .text("campaign_name", problems)
                .unwrap_or_default(),
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
            info: Info {
                campaign_type: self.campaign_type.word("campaign_type", problems),
                ..Info::default()
            },
            ..Campaign::default()
        })
    }
}
