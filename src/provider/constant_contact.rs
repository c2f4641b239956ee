//! Constant Contact, API v3: summaries of SMS and email campaigns.
//!
//! <https://developer.constantcontact.com/api_guide/> describes the endpoints. The published contract
//! of the API (build 3.0.178) differs from it in what it counts, so both are accepted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::kind::{Connection, Kind, QuotaScope};
use super::lenient::{self, Problems, Scalar};
use super::source::{AccountFacts, Ask, Found, Page, Read, Source};
use crate::campaign::counts::{Count, Counts};
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Ratio};
use crate::document::Section;
use crate::document::keys::{Key, Takes};
use crate::document::secret::SecretSource;
use crate::document::values::Values;
use crate::upstream::answer::Answer;
use crate::upstream::auth::Auth;
use crate::upstream::auth::oauth::{OAuth, Registration};
use crate::upstream::quota::Limits;
use crate::upstream::{PollError, Reason};

/// A list of summaries.
struct Report {
    channel: Channel,
    path: &'static str,
    /// The member with the campaigns.
    member: &'static str,
    /// Campaigns per page: the maximum of the endpoint.
    limit: &'static str,
    /// The members of `aggregate_percents`, with the values of the `rate` label and, if the provider
    /// says what they are relative to, the ratio that each should equal.
    percents: &'static [(&'static str, &'static str, Option<Ratio>)],
}

static REPORTS: [Report; 2] = [
    Report {
        channel: Channel::Sms,
        path: "/v3/reports/summary_reports/sms_campaign_summaries",
        member: "bulk_sms_campaign_summaries",
        limit: "50",
        percents: &[
            ("deliver", "deliver", Some(Ratio::Delivery)),
            ("click", "click", Some(Ratio::Click)),
            ("bounce", "bounce", Some(Ratio::Bounce)),
            ("unsubscribe", "unsubscribe", Some(Ratio::OptOut)),
        ],
    },
    Report {
        channel: Channel::Email,
        path: "/v3/reports/summary_reports/email_campaign_summaries",
        member: "bulk_email_campaign_summaries",
        limit: "500",
        percents: &[
            ("click", "email_click", None),
            ("open", "email_open", None),
            ("did_not_open", "email_did_not_open", None),
            ("bounce", "email_bounce", None),
            ("unsubscribe", "email_unsubscribe", None),
        ],
    },
];

/// Where every documented path begins, and every link to a next page has to.
const API_ROOT: &str = "/v3/";

/// Tolerated difference between the provider's percents, printed as whole numbers, and the counts', in
/// points.
const PERCENT_TOLERANCE: f64 = 1.0;

/// The members under which the API and its gateway explain errors.
const ERROR_MEMBERS: [&str; 5] =
    ["error_key", "error", "error_message", "message", "error_description"];

/// <https://developer.constantcontact.com/api_guide/auth_overview.html>
const OAUTH: OAuth = OAuth {
    token_path: "/v1/token",
    device_path: "/v1/device/authorize",
    // to read reports, and to go on doing so
    scopes: &["campaign_data", "offline_access"],
    lifetime: Duration::from_hours(24),
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn kind() -> Kind {
    Kind {
        name: "constant_contact".into(),
        title: "Constant Contact".into(),
        channels: REPORTS.iter().map(|report| report.channel.clone()).collect(),
        counts: vec![
            (Count::Sends, "`unique_counts.sends`".into()),
            (Count::Deliveries, "`unique_counts.delivers` of SMS campaigns".into()),
            (Count::Opens, "`unique_counts.opens`, if present".into()),
            (Count::Clicks, "`unique_counts.clicks`".into()),
            (Count::Bounces, "`unique_counts.bounces`, if present".into()),
            (Count::OptOuts, "`unique_counts.optouts`".into()),
            (Count::Complaints, "`unique_counts.abuse` of email campaigns".into()),
        ],
        missing_counts: vec![
            (Channel::Sms, Count::Complaints),
            (Channel::Email, Count::Deliveries),
        ],
        statuses: Vec::new(),
        failures: Vec::new(),
        info_labels: vec![("campaign_type".into(), "`campaign_type`".into())],
        rates: REPORTS
            .iter()
            .flat_map(|report| report.percents)
            .map(|(_, rate, _)| (*rate).into())
            .collect(),
        fields: [
            "bulk_sms_campaign_summaries",
            "bulk_email_campaign_summaries",
            "campaign_id",
            "campaign_name",
            "campaign_type",
            "last_sent_date",
            "unique_counts",
            "sends",
            "delivers",
            "opens",
            "clicks",
            "bounces",
            "optouts",
            "abuse",
            "aggregate_percents",
        ]
        .map(Cow::from)
        .into(),
        extras: vec![
            ("campaign_info", "`campaign_name`".into()),
            ("campaign_last_sent_timestamp_seconds", "`last_sent_date`".into()),
            (
                "campaign_account_reported_ratio",
                "`aggregate_percents` / 100, if all campaigns of the channel are on one page"
                    .into(),
            ),
        ],
        // of the provider's guide, for all accounts of an application together
        limits: Limits { per_second: Some(4.0), per_day: Some(10_000), ..Limits::default() },
        quota: QuotaScope::Client,
        keys: keys(),
        open: Box::new(open),
        docs: "https://developer.constantcontact.com/api_guide/".into(),
        requests: vec![
            ("base_url", "GET /v3/reports/summary_reports/sms_campaign_summaries".into()),
            ("base_url", "GET /v3/reports/summary_reports/email_campaign_summaries".into()),
            ("auth_url", "POST /v1/token".into()),
            ("auth_url", "POST /v1/device/authorize".into()),
        ],
        notes: NOTES.into(),
        demo_account: "spring-us".into(),
        file: None,
        #[cfg(feature = "demo")]
        simulated: Some(&simulated::Simulated),
    }
}

fn keys() -> Vec<Key> {
    vec![
        Key::optional(
            "base_url",
            Takes::Url,
            "Base URL of the API, to which the documented paths are appended.",
        )
        .or("https://api.cc.email"),
        Key::optional(
            "auth_url",
            Takes::Url,
            "Base URL of the authorization server, to which `/v1/token` and \
             `/v1/device/authorize` are appended.",
        )
        .or("https://authz.constantcontact.com/oauth2/default"),
        Key::optional(
            "client_id",
            Takes::Text,
            "The application's API key. The exporter refreshes and stores its tokens, which needs \
             `--storage.path`. All accounts with the same key share a quota.",
        ),
        Key::optional(
            "client_secret",
            Takes::Secret,
            "The application's secret. Omit it for PKCE and the device flow.",
        ),
        Key::optional(
            "refresh_token",
            Takes::Secret,
            "The first refresh token; later ones are stored. Omit it after \
             `campaign_exporter authorize`.",
        ),
        Key::optional(
            "access_token",
            Takes::Secret,
            "An access token for a trial. It is not refreshed, and conflicts with a refresh token.",
        ),
        Key::optional(
            "channels",
            Takes::Words(vec!["sms".into(), "email".into()]),
            "The channels whose campaigns are read, at least one of `sms` and `email`.",
        )
        .or(vec!["sms".to_owned()]),
    ]
}

fn open(values: &Values, section: &mut Section<'_>, storage: bool) -> Option<Connection> {
    let words = values.words("channels");
    if words.is_empty() {
        section.problem("channels", "needs at least one of: sms, email");
        return None;
    }
    let mut channels: Vec<_> = words.iter().map(|word| Channel::from_word(word)).collect();
    channels.sort();
    let client_id = values.text("client_id").map(str::to_owned);
    let refresh_token = values.secret("refresh_token");
    let auth = match (&client_id, values.secret("access_token"), refresh_token) {
        (None, None, _) => {
            section.problem(
                "",
                "client_id with refresh_token_file (or refresh_token_env), or access_token_file (or \
                 access_token_env) alone for a trial, is missing",
            );
            return None;
        }
        (_, Some(_), Some(_)) => {
            let message =
                "an access token, for a trial, conflicts with a refresh token; set only one";
            section.problem("", message);
            return None;
        }
        (_, Some(access_token), None) => Auth::Bearer(access_token.clone()),
        (Some(client_id), None, refresh_token) => {
            if !storage {
                let key = match refresh_token {
                    Some(SecretSource::File(_)) => "refresh_token_file",
                    Some(SecretSource::Env(_)) => "refresh_token_env",
                    None => "client_id",
                };
                section.problem(
                    key,
                    "a refresh token needs --storage.path: the provider replaces it at each use, and \
                     the new one would be lost",
                );
            }
            Auth::OAuth(Registration {
                oauth: OAUTH,
                auth_url: values.url("auth_url")?.clone(),
                client_id: client_id.clone(),
                client_secret: values.secret("client_secret").cloned(),
                refresh_token: refresh_token.cloned(),
            })
        }
    };
    Some(Connection {
        base_url: values.url("base_url")?.clone(),
        headers: HeaderMap::new(),
        auth,
        channels: channels.clone(),
        identity: client_id,
        variant: String::new(),
        source: Arc::new(ConstantContact { channels, campaign_type: "campaign_type".into() }),
    })
}

/// Reads the summaries of campaigns.
#[derive(Debug)]
struct ConstantContact {
    channels: Vec<Channel>,
    campaign_type: Arc<str>,
}

impl Source for ConstantContact {
    fn begin(&self, window: Window) -> Vec<Ask> {
        let reports = REPORTS.iter().enumerate();
        reports
            .filter(|(_, report)| self.channels.contains(&report.channel))
            .map(|(part, report)| {
                let mut ask = Ask::path(report.path);
                ask.part = part;
                if report.channel == Channel::Sms {
                    let start_at = window.start.to_rfc3339_opts(SecondsFormat::Millis, true);
                    ask = ask.with("start_at", start_at);
                }
                ask.with("limit", report.limit)
            })
            .collect()
    }

    fn take(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        let Some(report) = REPORTS.get(ask.part) else {
            return Ok(Page::default());
        };
        if !answer.is_good() {
            return Err(read_error(answer));
        }
        let list: List<'_> = answer.json()?;
        let summaries = match report.channel {
            Channel::Sms => list.bulk_sms_campaign_summaries,
            _ => list.bulk_email_campaign_summaries,
        };
        // of the members, one has to be there: nothing else identifies the documented answer
        if summaries.is_left_out() && list.aggregate_percents.is_none() && list.links.is_none() {
            let expected = format!("`{}`", report.member);
            return Err(answer.without(&expected, &ERROR_MEMBERS));
        }
        let mut page = Page::of(ask, summaries, report.member, read.decoded, |item, problems| {
            self.campaign(&report.channel, item, problems)
        })?;
        let percents = list.aggregate_percents;
        let percents = percents.and_then(|json| read_percents(json, &mut page.problems));
        page.account = compare(report, percents.unwrap_or_default(), &mut page);
        let next = list.links.and_then(|links| links.next);
        let next = next.and_then(|link| link.href);
        let mut next = next.filter(|href| !href.is_empty());
        let mut has_all = ask.offset == 0 && next.is_none() && !page.found.is_empty();
        if report.channel == Channel::Email {
            // without a start date, the list goes back to the first campaign, the newest first
            let is_old = |campaign: &Campaign| {
                campaign.last_sent.is_some_and(|sent| sent < read.window.start)
            };
            next = next.filter(|_| page.found.is_empty() || !page.campaigns().all(is_old));
            let before = page.found.len();
            page.found
                .retain(|found| !matches!(found, Found::Campaign(campaign) if is_old(campaign)));
            has_all &= page.found.len() == before;
        }
        // "for all campaigns on the current results page", and nothing of an empty one
        if !has_all {
            page.account.reported_ratios.clear();
        }
        if let Some(href) = next {
            let offset = ask.offset + page.items.max(1);
            let mut next = Ask::link(&href, API_ROOT).at(offset);
            next.part = ask.part;
            page.then.push(next);
            page.mark = Some(href);
        }
        Ok(page)
    }
}

/// Reads percents: the guide's email sample has them in a list.
fn read_percents(json: &RawValue, problems: &mut Problems) -> Option<Percents> {
    let listed: Option<Vec<&RawValue>> = serde_json::from_str(json.get()).ok();
    let json = match &listed {
        Some(listed) => listed.first()?,
        None => json,
    };
    lenient::item(json, "aggregate_percents", problems)
}

/// The percents as ratios, and those that contradict the counts.
fn compare(report: &Report, mut percents: Percents, page: &mut Page) -> AccountFacts {
    // sums that lack a campaign cannot be compared with the percents
    let is_whole = page.found.len() == page.items;
    let mut facts = AccountFacts::default();
    for (member, rate, ratio) in report.percents {
        let percent = percents.remove(*member).unwrap_or_default();
        let Some(percent) = percent.number("aggregate_percents", &mut page.problems) else {
            continue;
        };
        facts.reported_ratios.push(((*rate).into(), lenient::ratio(percent)));
        let Some(ratio) = ratio.filter(|_| is_whole) else {
            continue;
        };
        let mut campaigns = page.campaigns();
        let is_comparable = campaigns.all(|campaign| ratio.parts(campaign).is_some());
        let own = ratio.of(page.campaigns()).filter(|_| is_comparable);
        if own.is_some_and(|own| (own * 100.0 - percent).abs() > PERCENT_TOLERANCE) {
            facts.mismatches.push((*rate).into());
        }
    }
    facts
}

impl ConstantContact {
    fn campaign(
        &self,
        channel: &Channel,
        item: Item<'_>,
        problems: &mut Problems,
    ) -> Option<Campaign> {
        let id = item.campaign_id.id("campaign_id", problems)?;
        let counts: UniqueCounts = item
            .unique_counts
            .and_then(|json| lenient::item(json, "unique_counts", problems))
            .unwrap_or_default();
        let name = item.campaign_name.text("campaign_name", problems);
        let campaign_type = item.campaign_type.word("campaign_type", problems);
        let info = campaign_type.map(|value| (Arc::clone(&self.campaign_type), value));
        let last_sent = item.last_sent_date;
        Some(Campaign {
            id,
            name: name.unwrap_or_default().into(),
            channel: channel.clone(),
            last_sent: last_sent.time("last_sent_date", problems, lenient::rfc3339),
            counts: Counts::from([
                (Count::Sends, counts.sends.count("sends", problems)),
                (Count::Deliveries, counts.delivers.count("delivers", problems)),
                (Count::Opens, counts.opens.count("opens", problems)),
                (Count::Clicks, counts.clicks.count("clicks", problems)),
                (Count::Bounces, counts.bounces.count("bounces", problems)),
                (Count::OptOuts, counts.optouts.count("optouts", problems)),
                (Count::Complaints, counts.abuse.count("abuse", problems)),
            ]),
            info: Arc::new(info.into_iter().collect()),
            ..Campaign::default()
        })
    }
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    bulk_sms_campaign_summaries: lenient::List<'a>,
    #[serde(borrow, default)]
    bulk_email_campaign_summaries: lenient::List<'a>,
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

type Percents = HashMap<String, Scalar>;

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

/// Of SMS, only the guide has `bounces`, and only the contract has `opens`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct UniqueCounts {
    sends: Scalar,
    delivers: Scalar,
    opens: Scalar,
    clicks: Scalar,
    bounces: Scalar,
    optouts: Scalar,
    abuse: Scalar,
}

/// The two kinds of "too many requests" differ only in their body.
fn read_error(answer: &Answer) -> PollError {
    #[derive(Deserialize)]
    struct ErrorKey {
        error_key: String,
    }
    let quota = answer.status == 429
        && answer.json::<ErrorKey>().is_ok_and(|error| error.error_key == "quota_exceeded");
    if quota {
        answer.error(Reason::Quota, None, &ERROR_MEMBERS)
    } else {
        answer.status_error(&ERROR_MEMBERS)
    }
}

/// Prose of the provider's page.
const NOTES: &str = r"`provider: constant_contact` reads the summaries of SMS campaigns and, with `channels: [sms, email]`, of [email campaigns](https://developer.constantcontact.com/api_guide/email_bulk_campaign_summary_report.html) of the v3 API.

## How to get credentials

Access uses OAuth 2.0, and a person must consent once per account. In the developer portal, open *My Applications* > *New Application* and create an application (an OAuth client) for the exporter alone. Choose one of these flows:

| flow | configuration | first consent |
|---|---|---|
| device flow (recommended) | `client_id`, which the portal calls API key | [`campaign_exporter authorize ACCOUNT`](../credentials.md#accounts-that-use-oauth) |
| PKCE | `client_id`, `refresh_token_file` | a refresh token from your own sign-in |
| authorization code (server) | `client_id`, `client_secret_file`, `refresh_token_file` | a refresh token from your own sign-in |
| none, for a trial | `access_token_file` alone | an access token; it expires after 24 hours, and the exporter does not refresh it |

- **Scopes**: `campaign_data offline_access`. There is no read-only scope. Without `offline_access`, the response contains no refresh token.
- **Role**: the consenting user must be Account Owner or Account Manager. A Campaign Creator may not read reports, which fails as `forbidden`.
- **Lifetime**: access tokens live 24 hours; the exporter refreshes them after 19. A refresh token expires if it is not used for 180 days.
- **Rotating or long-lived refresh tokens** is a setting of the application. A rotating token can be used once, and using it anywhere else logs the exporter out: do not share a consent. Long-lived tokens avoid this.
- **Client secret**: generating a new one invalidates the old one.

## What is counted, and what is not

- Only sent campaigns: the API reports no status, no schedule and no credits.
- Sends, opens, clicks, opt-outs, bounces and complaints count each contact once. Deliveries count messages.
- Email campaigns have no name and no deliveries, so they have no delivery ratio and no open ratio; `campaign_opens / campaign_attempted` relates opens to sends. Forwards are not exported.
- Clicks are divided by sends. The provider's own click rate appears to do the same.
- The guide documents `bounces` but not `opens`; the published contract (build 3.0.178) documents `opens` but not `bounces`. The exporter accepts both.
- `aggregate_percents` are the provider's rates for one page of results, not for a campaign. They are exported as `campaign_account_reported_ratio` only if the result of a full poll fits on one page. The exporter compares those of every page with the sums of its campaigns; `campaign_exporter_aggregate_mismatches_total` counts differences of more than one percentage point. The `rate` of emails begins with `email_`. The provider does not say what those are relative to, so they are not compared, and they are exported only if all email campaigns belong to the lookback.
- Recipients, failures by reason, reads, replies, pending messages and cost are not reported.

## Limits

- 4 requests per second and 10,000 per day, until 00:00 UTC, for each application: all accounts with one `client_id` share them. Partners may have more; set `requests_per_second` and `requests_per_day`.
- 50 SMS campaigns or 500 email campaigns per page. Email campaigns cannot be selected by date: the newest come first, and pages are read until one has older campaigns only.
- The token endpoint accepts about one request per second.
- Status 429 has two meanings, distinguished by its body: `throttled` is retried, and `quota_exceeded` fails polls as `quota` until the day ends.
- A link to the next page must lead to the origin of `base_url` and below `/v3/`. Any other fails the poll as `pagination`, so the token is never sent elsewhere.

## Not confirmed by a live account

- Whether `bounces` is returned, and whether `aggregate_percents` are whole numbers.
- Whether the link to the next page keeps the start date.
- Whether there is a longest time span for one query.
- Whether responses carry rate limit headers.
- Whether the device flow always returns a refresh token. If it does not, `authorize` says so, and its tokens last for one day.
- An account without SMS marketing, a paid add-on, probably returns an empty list instead of an error.
";

#[cfg(feature = "demo")]
mod simulated {
    //! Constant Contact v3: `/v3/reports/summary_reports`.

    use std::path::Path;

    use std::ops::Range;

    use chrono::{DateTime, Utc};
    use chrono_tz::America::New_York;
    use serde_json::{Value, json};

    use campaign_simulator::answer::Answer;
    use campaign_simulator::{
        Api, AuthorizationApi, Campaign, Channel, Habits, Listing, Request, State,
    };

    use super::{REPORTS, Report};
    use crate::campaign::Channel as ModelChannel;

    /// The simulated API.
    #[derive(Debug)]
    pub(super) struct Simulated;

    impl Api for Simulated {
        fn provider(&self) -> &'static str {
            "constant_contact"
        }

        fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
            let report = REPORTS.iter().find(|report| report.path == request.path());
            let Some(report) = report.filter(|_| request.method == "GET") else {
                // sent by the gateway, which knows neither the path nor the API's own error bodies
                return Answer::json(403, json!({ "message": "Forbidden" }));
            };
            if !request.bears(&state.token) && !state.authorization.admits(request) {
                return self.error(401);
            }
            match Page::asked(report, request) {
                Ok(page) => Answer::json(200, page.of(state, now)),
                Err(message) => bad_request(message),
            }
        }

        fn error(&self, status: u16) -> Answer {
            let (key, message) = match status {
                400 => return bad_request("Bad request"),
                401 => ("unauthorized", "Unauthorized"),
                403 => ("access_denied", "Request forbidden due to insufficient user privileges."),
                404 => ("reportingsvc.not_found", "Not found"),
                429 => ("throttled", "Too Many Requests"),
                _ => ("server_error", "Internal server error"),
            };
            Answer::json(status, json!({ "error_key": key, "error_message": message }))
        }

        fn counts(&self) -> &'static [&'static str] {
            &COUNTS
        }

        fn quota_exceeded(&self) -> Answer {
            Answer::json(
                429,
                json!({ "error_key": "quota_exceeded", "error_message": "Limit Exceeded" }),
            )
        }

        fn link(&self, page: &mut Value, href: &str) {
            if let Some(page) = page.as_object_mut() {
                page.insert("_links".to_owned(), json!({ "next": { "href": href } }));
            }
        }

        fn authorization(&self) -> Option<&'static AuthorizationApi> {
            Some(&AUTHORIZATION)
        }

        fn habits(&self) -> Habits {
            Habits {
                stream: 0,
                channels: &[Channel::Sms],
                unsent: false,
                bad_days: false,
                texts: false,
                id: |_, rng| {
                    format!(
                        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                        rng.u32(..),
                        rng.u16(..),
                        rng.u16(..0x1000),
                        rng.u16(0x8000..0xc000),
                        rng.u64(..1 << 48)
                    )
                },
            }
        }

        fn account(&self, base_url: &str, token_file: &Path) -> Value {
            json!({
                "provider": self.provider(),
                "base_url": base_url,
                "access_token_file": token_file,
            })
        }

        fn renewed_account(&self, base_url: &str, refresh_token_file: &Path) -> Option<Value> {
            Some(json!({
                "provider": self.provider(),
                "base_url": base_url,
                "auth_url": format!("{base_url}/oauth2/default"),
                "client_id": "demo-client",
                "refresh_token_file": refresh_token_file,
            }))
        }

        fn listing(&self) -> Listing {
            Listing {
                path: "/v3/reports/summary_reports/sms_campaign_summaries\
                       ?start_at=1970-01-01T00:00:00Z",
                items: "bulk_sms_campaign_summaries",
                id: "campaign_id",
                date: "last_sent_date",
                attempted: "sends",
                deliveries: "delivers",
                counts_in: Some("unique_counts"),
                page_size: 50,
                ..Listing::default()
            }
        }

        fn item(&self, _state: &State, now: DateTime<Utc>, campaign: &Campaign) -> Value {
            summary(campaign, now)
        }

        fn window_start(&self, _state: &State, request: &Request) -> Option<DateTime<Utc>> {
            let page = Page::asked(&REPORTS[0], request).ok();
            let page = page.filter(|page| page.offset == 0);
            page.map(|page| page.start_at)
        }
    }

    const AUTHORIZATION: AuthorizationApi = AuthorizationApi {
        base: "/oauth2/default",
        token_path: "/v1/token",
        device_path: "/v1/device/authorize",
        scopes: &[
            "account_read",
            "account_update",
            "campaign_data",
            "contact_data",
            "offline_access",
        ],
        required_scope: "campaign_data",
        // sent by the gateway in front of both servers
        throttled: || Simulated.error(429),
    };

    const COUNTS: [&str; 5] = ["sends", "clicks", "optouts", "delivers", "bounces"];

    /// Returns the body for a bad request; unlike other errors, it is an array.
    fn bad_request(message: &str) -> Answer {
        Answer::json(400, json!([{ "error_key": "query.param.invalid", "error_message": message }]))
    }

    /// The campaigns selected by a request.
    struct Page {
        report: &'static Report,
        start_at: DateTime<Utc>,
        end_at: DateTime<Utc>,
        limit: usize,
        offset: usize,
    }

    impl Page {
        /// Parses the query; a cursor contains the whole request.
        fn asked(report: &'static Report, request: &Request) -> Result<Self, &'static str> {
            if let Some(cursor) = request.parameter("next") {
                return Self::from_cursor(report, &cursor)
                    .ok_or("next is not a cursor of this API");
            }
            let date = |name| request.parse::<DateTime<Utc>>(name);
            let start_at = date("start_at").map_err(|_| "start_at must be ISO 8601")?;
            let always = (report.channel != ModelChannel::Sms).then_some(DateTime::UNIX_EPOCH);
            let most = report.limit.parse().unwrap_or(50);
            let page = Self {
                report,
                start_at: start_at.or(always).ok_or("start_at is required")?,
                end_at: date("end_at")
                    .map_err(|_| "end_at must be ISO 8601")?
                    .unwrap_or(DateTime::<Utc>::MAX_UTC),
                limit: request.parse("limit").map_err(|_| "limit must be a number")?.unwrap_or(50),
                offset: 0,
            };
            if (1..=most).contains(&page.limit) { Ok(page) } else { Err("limit is out of range") }
        }

        /// Returns a cursor that is opaque to clients: fixed fields of hexadecimal digits.
        fn cursor(&self) -> String {
            format!(
                "{:016x}{:016x}{:04x}{:08x}",
                self.start_at.timestamp_micros(),
                self.end_at.timestamp_micros(),
                self.limit,
                self.offset
            )
        }

        fn from_cursor(report: &'static Report, cursor: &str) -> Option<Self> {
            let number = |digits: Range<usize>| u64::from_str_radix(cursor.get(digits)?, 16).ok();
            let date = |digits| DateTime::from_timestamp_micros(number(digits)?.cast_signed());
            Some(Self {
                report,
                start_at: date(0..16)?,
                end_at: date(16..32)?,
                limit: number(32..36)?.try_into().ok()?,
                offset: number(36..44)?.try_into().ok()?,
            })
        }

        fn of(self, state: &State, now: DateTime<Utc>) -> Value {
            let campaigns = state.campaigns.sent(now);
            let summaries = campaigns
                .iter()
                .filter(|campaign| channel(campaign) == self.report.channel)
                .filter(|campaign| (self.start_at..=self.end_at).contains(&campaign.sent_at))
                .map(|campaign| summary(campaign, now));
            let mut rest = state.listed(summaries).into_iter().skip(self.offset);
            let rows: Vec<_> = rest.by_ref().take(self.limit).collect();
            let mut page = json!({
                "aggregate_percents": self.aggregate_percents(&rows, state.percents_off_by),
                self.report.member: rows,
            });
            if let (Some(_), Some(page)) = (rest.next(), page.as_object_mut()) {
                let next = Self { offset: self.offset + self.limit, ..self };
                let href = format!("{}?next={}", self.report.path, next.cursor());
                page.insert("_links".to_owned(), json!({ "next": { "href": href } }));
            }
            page
        }

        /// Returns the percentages of a page relative to sends, rounded to whole percents.
        fn aggregate_percents(&self, rows: &[Value], off_by: f64) -> Value {
            let sum = |count: &str| -> f64 {
                rows.iter().filter_map(|row| row.get("unique_counts")?.get(count)?.as_f64()).sum()
            };
            let sends = sum("sends");
            let percents = self.report.percents.iter().map(|(member, ..)| {
                let count = match *member {
                    "deliver" => "delivers",
                    "click" => "clicks",
                    "bounce" => "bounces",
                    "unsubscribe" => "optouts",
                    "open" => "opens",
                    other => other,
                };
                let percent = if sends > 0.0 { (100.0 * sum(count) / sends).round() } else { 0.0 };
                // converted through text, so that 83.0 becomes 83, as in the documentation
                let percent = (percent + off_by).to_string().parse::<Value>();
                ((*member).to_owned(), percent.unwrap_or_default())
            });
            percents.collect()
        }
    }

    fn channel(campaign: &Campaign) -> ModelChannel {
        match campaign.channel {
            Channel::Sms => ModelChannel::Sms,
            Channel::Whatsapp => ModelChannel::Whatsapp,
            Channel::Email => ModelChannel::Email,
        }
    }

    fn summary(campaign: &Campaign, now: DateTime<Utc>) -> Value {
        let counts = campaign.counts_at(now);
        if campaign.channel == Channel::Email {
            return json!({
                "campaign_id": campaign.id,
                "campaign_type": "Newsletter",
                "last_sent_date": campaign.sent_at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                "unique_counts": {
                    "sends": counts.sends,
                    "opens": counts.reads,
                    "clicks": counts.clicks,
                    "forwards": 0,
                    "optouts": counts.opt_outs,
                    "abuse": 0,
                    "bounces": counts.bounces,
                    "not_opened": counts.sends.saturating_sub(counts.reads),
                },
            });
        }
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

    #[cfg(test)]
    mod tests {
        use chrono::TimeDelta;

        use super::*;
        use crate::provider::simulation::{self, start};
        use campaign_simulator::{Counts, Simulator};

        const PATH: &str = "/v3/reports/summary_reports/sms_campaign_summaries";

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

        async fn get(simulator: &Simulator, path_and_query: &str) -> (u16, Value) {
            simulation::get(simulator, path_and_query, &[]).await
        }

        fn rows(page: &Value) -> &[Value] {
            page["bulk_sms_campaign_summaries"].as_array().unwrap()
        }

        #[tokio::test]
        async fn a_page_matches_the_documentation() {
            let simulator = start(&Simulated, vec![campaign(0)]).await;
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
            assert_eq!(rows(&page)[0], json!({ "campaign_id": 7 }));
            assert_eq!(rows(&page).len(), 2);
        }

        #[tokio::test]
        async fn the_window_includes_both_ends() {
            let simulator = start(&Simulated, (0..5).map(campaign).collect()).await;
            let day = |number| campaign(number).sent_at.to_rfc3339().replace('+', "%2B");
            let query = format!("{PATH}?start_at={}&end_at={}", day(1), day(3));
            let (_, page) = get(&simulator, &query).await;
            assert_eq!(rows(&page).len(), 3);
        }

        #[tokio::test]
        async fn emails_have_pages_and_no_dates() {
            let emails =
                (0..3).map(|number| Campaign { channel: Channel::Email, ..campaign(number) });
            let campaigns = emails.chain([campaign(9)]).collect();
            let simulator = start(&Simulated, campaigns).await;
            let path = REPORTS[1].path;
            let (_, page) = get(&simulator, &format!("{path}?limit=2")).await;
            let rows = |page: &Value| page["bulk_email_campaign_summaries"].as_array().cloned();
            assert_eq!(rows(&page).unwrap().len(), 2);
            assert_eq!(page["aggregate_percents"]["click"], 83);
            let next = page["_links"]["next"]["href"].as_str().unwrap();
            let (_, page) = get(&simulator, next).await;
            let rows = rows(&page).unwrap();
            let [row] = rows.as_slice() else { panic!("{page}") };
            assert_eq!(row["campaign_id"], "id-0");
            assert_eq!(row["unique_counts"]["sends"], 60);
            assert_eq!(get(&simulator, &format!("{path}?limit=501")).await.0, 400);
        }

        #[tokio::test]
        async fn invalid_requests_are_refused() {
            let simulator = start(&Simulated, Vec::new()).await;
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
            let forbidden = (403, json!({ "message": "Forbidden" }));
            assert_eq!(get(&simulator, &format!("/v3{PATH}")).await, forbidden);

            simulator.update(|state| state.token = "other".to_owned());
            let (status, body) = get(&simulator, PATH).await;
            assert_eq!(status, 401);
            assert_eq!(body["error_key"], "unauthorized");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::provider::native;
    use crate::provider::source::tests::assert_reasons;

    #[test]
    fn a_refresh_token_requires_a_storage_path() {
        let yaml = "accounts:\n- name: a\n  provider: constant_contact\n  client_id: c\n  \
                    refresh_token_env: R\n";
        let [problem] = Config::parse(yaml, &native(), None).unwrap_err().try_into().unwrap();
        let problem = problem.to_string();
        assert!(problem.starts_with("5:22: accounts[0].refresh_token_env: "), "{problem}");
        assert!(problem.contains("--storage.path"), "{problem}");
        assert!(Config::parse(yaml, &native(), Some("/s".as_ref())).is_ok());
    }

    fn source() -> ConstantContact {
        ConstantContact {
            channels: vec![Channel::Sms, Channel::Email],
            campaign_type: "campaign_type".into(),
        }
    }

    /// The first requests for SMS and for email campaigns.
    fn asks(window: Window) -> [Ask; 2] {
        source().begin(window).try_into().unwrap()
    }

    fn take(ask: &Ask, status: u16, body: &str) -> Result<Page, PollError> {
        source().take(Read::default(), ask, &Answer::of(status, body))
    }

    fn read_page(status: u16, body: &str) -> Result<Page, PollError> {
        let [sms, _] = asks(Window::default());
        take(&sms, status, body)
    }

    fn read(body: &str) -> Page {
        read_page(200, body).unwrap()
    }

    fn mismatches(page: &Page) -> Vec<&str> {
        page.account.mismatches.iter().map(|rate| &**rate).collect()
    }

    fn body(items: &str, percents: &str) -> String {
        format!(
            r#"{{"bulk_sms_campaign_summaries":[{items}],"aggregate_percents":{percents},"_links":{{}}}}"#
        )
    }

    const ITEM: &str = r#"{"campaign_id":"a","campaign_name":"A",
        "unique_counts":{"sends":60,"clicks":50,"optouts":0,"delivers":60,"bounces":0}}"#;

    #[test]
    fn the_documented_example_loses_only_one_timestamp() {
        let body = include_str!("../../tests/fixtures/constant_contact.json");
        let page = read(body);
        let found: Vec<_> = page.campaigns().collect();
        let [good, malformed] = found.as_slice() else { panic!("{page:?}") };
        assert_eq!(good.id, "9d30c391-2b85-4d6a-84ad-00fa2d31cd03");
        assert_eq!(good.last_sent.unwrap().timestamp(), 1_712_092_393);
        assert_eq!(malformed.id, "g90ea686-239f-43d8-9770-c76f7afefd6d");
        assert_eq!(malformed.name.as_ref(), "Clearance Campaign");
        assert_eq!(malformed.last_sent, None);
        assert_eq!(malformed.counts, good.counts);
        assert_eq!(good.counts.get(Count::Bounces), Some(0));
        assert_eq!(good.counts.get(Count::Opens), None);
        assert_eq!(page.problems.counted(), "last_sent_date (1 times)");
        // 83 is 83.3 rounded, which is no mismatch
        assert!(page.account.mismatches.is_empty());
        // another page follows
        assert_eq!(page.account.reported_ratios, []);
    }

    #[test]
    fn the_last_page_of_the_fixtures_differs_only_in_its_link() {
        let page = include_str!("../../tests/fixtures/constant_contact.json");
        let last = include_str!("../../tests/fixtures/constant_contact_last_page.json");
        let [mut page, last]: [serde_json::Value; 2] =
            [page, last].map(|text| serde_json::from_str(text).unwrap());
        page["_links"] = serde_json::json!({});
        assert_eq!(page, last);
    }

    #[test]
    fn the_first_request_is_for_a_full_page_of_the_window() {
        let start = "2024-11-01T12:00:00.5Z".parse().unwrap();
        let now = "2024-11-20T12:00:00Z".parse().unwrap();
        let path = "/v3/reports/summary_reports";
        let sms = Ask::path(format!("{path}/sms_campaign_summaries"))
            .with("start_at", "2024-11-01T12:00:00.500Z")
            .with("limit", "50");
        // cannot be selected by date
        let mut emails = Ask::path(format!("{path}/email_campaign_summaries")).with("limit", "500");
        emails.part = 1;
        assert_eq!(asks(Window::new(start, now)), [sms, emails]);
        for (channel, ask) in [Channel::Sms, Channel::Email].into_iter().zip(0..) {
            let source = ConstantContact { channels: vec![channel], ..source() };
            let window = Window::new(start, now);
            assert_eq!(source.begin(window), [asks(window)[ask].clone()]);
        }
    }

    fn emails(window: Window, page: &str) -> Page {
        let [_, ask] = asks(window);
        source().take(Read::from(window), &ask, &Answer::of(200, page)).unwrap()
    }

    #[test]
    fn the_documented_emails_are_read() {
        let body = include_str!("../../tests/fixtures/constant_contact_email.json");
        let page = emails(Window::default(), body);
        let found: Vec<_> = page.campaigns().collect();
        let [campaign] = found.as_slice() else { panic!("{page:?}") };
        assert_eq!(campaign.channel, Channel::Email);
        assert_eq!(campaign.last_sent.unwrap().timestamp(), 1_650_884_880);
        assert_eq!(campaign.info.get("campaign_type"), Some("Newsletter"));
        let expected = Counts::from([
            (Count::Sends, Some(3_129)),
            (Count::Opens, Some(1_672)),
            (Count::Clicks, Some(256)),
            (Count::Bounces, Some(210)),
            (Count::OptOuts, Some(3)),
            (Count::Complaints, Some(1)),
        ]);
        assert_eq!(campaign.counts, expected);
        let rates: Vec<_> = page.account.reported_ratios.iter().collect();
        let rates: Vec<_> = rates.iter().map(|(rate, ratio)| (&**rate, *ratio)).collect();
        let expected = [
            ("email_click", 0.43),
            ("email_open", 0.12),
            ("email_did_not_open", 0.23),
            ("email_bounce", 0.21),
            ("email_unsubscribe", 0.02),
        ];
        assert_eq!(rates, expected);
        assert!(page.account.mismatches.is_empty());
        assert!(page.problems.is_empty());
    }

    #[test]
    fn emails_are_read_until_a_page_is_older_than_the_window() {
        let item = |id: u32, date: &str| {
            format!(r#"{{"campaign_id":"{id}","last_sent_date":"2024-11-{date}T00:00:00Z"}}"#)
        };
        let undated = r#"{"campaign_id":"9"}"#.to_owned();
        let (new, old, older) = (item(1, "20"), item(2, "09"), item(3, "08"));
        let [start, now] = ["2024-11-10T00:00:00Z", "2024-11-21T00:00:00Z"];
        let window = Window::new(start.parse().unwrap(), now.parse().unwrap());
        for (items, kept, goes_on) in [
            (vec![&new, &old], "1", true),
            (vec![&old, &older], "", false),
            // may be new
            (vec![&old, &undated], "9", true),
            (vec![], "", true),
        ] {
            let items: Vec<_> = items.into_iter().map(String::as_str).collect();
            let body = format!(
                r#"{{"bulk_email_campaign_summaries":[{}],"aggregate_percents":{{"open":50}},
                    "_links":{{"next":{{"href":"/v3/x?next=1"}}}}}}"#,
                items.join(",")
            );
            let page = emails(window, &body);
            let ids: Vec<_> = page.campaigns().map(|found| &*found.id).collect();
            assert_eq!(ids.join(" "), kept, "{items:?}");
            let parts: Vec<_> = page.then.iter().map(|next| next.part).collect();
            assert_eq!(parts, vec![1; usize::from(goes_on)], "{items:?}");
            // the percents are about the old ones, too
            let last = emails(window, &body.replace("/v3/x?next=1", ""));
            assert_eq!(last.account.reported_ratios, [], "{items:?}");
        }
    }

    #[test]
    fn opens_are_read_from_their_documented_place() {
        let item = r#"{"campaign_id":"a","unique_counts":{"sends":2,"delivers":2,"opens":1}}"#;
        let page = read(&body(item, "{}"));
        assert_eq!(page.campaigns().next().unwrap().counts.get(Count::Opens), Some(1));
        assert_eq!(page.campaigns().next().unwrap().counts.get(Count::Bounces), None);
        assert!(page.problems.is_empty());
    }

    #[test]
    fn percents_off_by_more_than_a_point_are_a_mismatch() {
        for (percents, mismatches) in [
            (r#"{"deliver":100,"click":83.33,"bounce":1.0,"unsubscribe":0}"#, vec![]),
            (
                r#"{"deliver":98.9,"click":85,"bounce":1.1,"unsubscribe":0}"#,
                vec!["deliver", "click", "bounce"],
            ),
            (r#"{"deliver":null}"#, vec![]),
            ("null", vec![]),
        ] {
            let page = read(&body(ITEM, percents));
            assert_eq!(self::mismatches(&page), mismatches, "{percents}");
        }
    }

    #[test]
    fn percents_are_not_checked_on_a_page_with_unreadable_values() {
        for (item, problem) in [
            (r#"{"campaign_name":"without an id"}"#, "campaign_id (1 times)"),
            (
                r#"{"campaign_id":"b","unique_counts":{"sends":9,"delivers":-1}}"#,
                "delivers (1 times)",
            ),
            (r#"{"campaign_id":"b","unique_counts":[]}"#, "unique_counts (1 times)"),
        ] {
            let page = read(&body(&format!("{ITEM},{item}"), r#"{"deliver":50}"#));
            assert!(page.account.mismatches.is_empty(), "{item}");
            assert_eq!(page.problems.counted(), problem);
        }
    }

    #[test]
    fn invalid_items_allocate_no_memory() {
        assert_eq!(read(&body("0,0,0,0", "{}")).found.capacity(), 0);
    }

    #[test]
    fn counts_of_the_wrong_type_do_not_lose_the_campaign() {
        let page = read(&body(r#"{"campaign_id":"b","unique_counts":"n/a"}"#, "{}"));
        assert_eq!(page.campaigns().next().unwrap().counts, Counts::default());
        let page = read(&body(r#"{"campaign_id":"b","unique_counts":null}"#, "{}"));
        assert_eq!((page.found.len(), page.problems.is_empty()), (1, true));
    }

    #[test]
    fn percents_of_the_wrong_type_do_not_lose_the_page() {
        let page = read(&body(ITEM, "[1,2]"));
        assert_eq!(page.account.reported_ratios, []);
        assert_eq!(page.problems.counted(), "aggregate_percents (1 times)");
        assert_eq!(page.found.len(), 1);
    }

    #[test]
    fn a_missing_or_empty_next_link_ends_the_list() {
        for links in [
            "{}",
            "null",
            r#"{"next":null}"#,
            r#"{"next":{}}"#,
            r#"{"next":{"href":null}}"#,
            r#"{"next":{"href":""}}"#,
        ] {
            let body = format!(r#"{{"bulk_sms_campaign_summaries":[],"_links":{links}}}"#);
            assert!(read(&body).then.is_empty(), "{links}");
        }
    }

    #[test]
    fn an_empty_list_can_be_null_or_left_out_of_the_documented_answer() {
        for members in [
            r#""bulk_sms_campaign_summaries":[]"#,
            r#""bulk_sms_campaign_summaries":null"#,
            r#""_links":{}"#,
            r#""aggregate_percents":{}"#,
        ] {
            for status in [200, 201, 203] {
                let page = read_page(status, &format!("{{{members}}}")).unwrap();
                assert_eq!((page.items, page.then.len()), (0, 0), "{members}");
            }
        }
    }

    #[test]
    fn an_undocumented_envelope_fails() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"message":"OK"}"#,
            r#"{"bulk_sms_campaign_summaries":{}}"#,
            r#"{"bulk_sms_campaign_summaries":[{]}"#,
            "<html></html>",
            r#"[{"error_key":"x"}]"#,
        ] {
            let error = read_page(200, body).err().unwrap();
            assert_eq!(error.reason, Reason::Decode, "{body}");
        }
    }

    #[test]
    fn the_next_link_is_the_next_request() {
        let link = r#"{"next":{"href":"/v3/reports?next=abc"}}"#;
        let page = format!(r#"{{"bulk_sms_campaign_summaries":[{ITEM}],"_links":{link}}}"#);
        let page = read(&page);
        let next = Ask::link("/v3/reports?next=abc", API_ROOT).at(1);
        assert_eq!(page.then, [next]);
        assert_eq!(page.mark.as_deref(), Some("/v3/reports?next=abc"));
    }

    #[test]
    fn percents_are_checked_only_if_one_page_has_all_campaigns() {
        let percents = r#"{"deliver":100}"#;
        let ratios = |ask: &Ask, body: &str| {
            let page = take(ask, 200, body).unwrap();
            page.account.reported_ratios.len()
        };
        let [first, _] = asks(Window::default());
        assert_eq!(ratios(&first, &body(ITEM, percents)), 1);
        assert_eq!(ratios(&first, &body("", percents)), 0);
        assert_eq!(ratios(&first.clone().at(1), &body(ITEM, percents)), 0);
        let links = r#""_links":{"next":{"href":"/v3/x"}}"#;
        let more = body(ITEM, percents).replace(r#""_links":{}"#, links);
        assert_eq!(ratios(&first, &more), 0);
    }

    #[test]
    fn rate_limit_and_quota_errors_are_distinguished() {
        let rows = r#"
            429 quota {"error_key":"quota_exceeded","error_message":"x"}
            429 throttled {"error_key":"throttled","error_message":"x"}
            429 throttled
            401 auth {"error_key":"unauthorized"}
            403 forbidden {"message":"Forbidden"}
            400 client [{"error_key":"x","error_message":"y"}]
            302 client
            204 decode
            206 decode {"bulk_sms_campaign_summaries":[]}
            226 decode {"bulk_sms_campaign_summaries":[]}
            503 server <html>
        "#;
        assert_reasons(rows, read_page);
    }
}
