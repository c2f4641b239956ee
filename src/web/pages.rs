//! The HTML pages, without scripts and external resources.
//!
//! maud escapes every value. Names are written by third parties, so each is also wrapped in a `bdi`
//! element, which isolates bidirectional text.

pub mod campaign;
pub mod campaigns;
mod chart;
pub mod report;
mod table;
mod text;
mod tiles;

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::report::words::{number, percent, plural, shortened, visible};
use crate::state::snapshot::Unstored;
use crate::state::status::{
    AccountStatus, AccountStatuses, MATURITY, MIN_VOLUME, PollFailure, State, WHATSAPP_MATURITY,
    WorstCampaign,
};
use crate::telemetry::{REVISION, RejectedReload, VERSION};
use text::{entry, moment, time};

/// Refresh interval of the status page in seconds.
const REFRESH: u32 = 30;

/// The order of the accounts: those that need attention first.
const ORDER: [State; 4] = [State::Down, State::Failing, State::Waiting, State::Good];

const STYLE: &str = "\
:root{color-scheme:light dark;--good:light-dark(#1a7f37,#4ac26b);\
--bad:light-dark(#b3261e,#ff8a80);--wait:light-dark(#7a5c00,#e3b341);\
--plain:light-dark(#0072b2,#56b4e9);--usual:light-dark(#e69f00,#e69f00);\
--worse:light-dark(#b34700,#ff9e5e);--better:light-dark(#00704f,#3fd0a4);\
--line:light-dark(#d0d7de,#3d444d);--dim:light-dark(#57606a,#9da7b1)}\
*{box-sizing:border-box}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:75rem;margin:0 auto;padding:1rem;\
overflow-wrap:anywhere}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}\
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0}\
nav a{display:inline-block;padding:.25rem 0}\
.dim,caption{color:var(--dim)}.good{color:var(--good)}.failing,.down{color:var(--bad)}\
.waiting{color:var(--wait)}\
.good,.failing,.down,.waiting{font-weight:600}\
code{font-family:ui-monospace,monospace}p.dim code{white-space:nowrap}\
table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.25rem 0}\
th,td{text-align:left;vertical-align:top;padding:.4rem .75rem .4rem 0;\
border-bottom:1px solid var(--line)}\
th{white-space:nowrap}\
td.number,th.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
article{border:1px solid var(--line);border-radius:.4rem;padding:.25rem 1rem;margin:1rem 0}\
article h3{font-size:1.1rem;margin:.5rem 0}\
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.5rem 1rem;margin:.5rem 0}\
dt{color:var(--dim);font-size:.875rem}dt::first-letter{text-transform:uppercase}dd{margin:0}\
.error{border-left:.25rem solid var(--bad);padding-left:.75rem}\
.tiles{grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}.tiles strong{font-size:1.4rem}.tiles div div{font-size:.875rem}\
.filters ul{display:flex;align-items:baseline;flex-wrap:wrap;gap:0 1rem;list-style:none;padding:0;margin:.25rem 0}\
.filters a{display:inline-block;padding:.25rem 0}\
.filters a[aria-current]{font-weight:600;color:inherit;text-decoration-thickness:.15em}\
form{margin:.75rem 0}input,button{font:inherit;max-width:100%}\
.notes{border-left:.25rem solid var(--plain);padding:.25rem 0 .25rem 1.75rem}\
.mark{border:1px solid var(--line);border-radius:.4rem;padding:0 .3rem;white-space:nowrap}\
.campaigns{font-size:.9375rem}.campaigns td .dim{font-size:.8125rem;white-space:normal}\
.bar{display:block;width:100%;min-width:4rem;max-width:10rem;height:.4rem;margin-left:auto;background:var(--line)}\
.bar .value{fill:var(--plain)}.bar.worse .value{fill:var(--worse)}.bar.better .value{fill:var(--better)}\
.bar.arriving .value{fill:var(--dim)}.bar .usual{fill:none;stroke:currentColor;vector-effect:non-scaling-stroke}\
.worse{color:var(--worse)}.better{color:var(--better)}.worse,.better{font-weight:600}\
span.arriving{color:var(--dim);font-style:italic}\
figure{margin:1.5rem 0}.chart{display:block;width:100%;max-width:48rem;height:auto}\
.chart text{font-size:14px;fill:var(--dim)}.chart .grid{stroke:var(--line)}\
.chart .own{fill:none;stroke:var(--plain);stroke-width:3}.chart circle.own,.chart .now{fill:var(--plain);stroke:none}\
.chart .band{fill:var(--usual);fill-opacity:.3}.chart .median{fill:none;stroke:var(--usual);stroke-width:2;stroke-dasharray:6 4}\
.own{color:var(--plain)}\
td.number{overflow-wrap:normal}td[data-label=Account]{min-width:5.25rem}td[data-label=Channel]{min-width:5.75rem}td time,td time+.dim{white-space:nowrap}td.name{min-width:11rem}.narrow{max-width:40rem}\
@media(max-width:40rem){.bar{margin-left:0}.chart text{font-size:22px}thead{display:none}tr,td,td.number{display:block;text-align:left}\
tr{border-bottom:1px solid var(--line);padding:.5rem 0}td{border:0;padding:.1rem 0}\
td::before{content:attr(data-label) \" \";color:var(--dim)}\
.campaigns tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 1rem}\
.campaigns td.none{display:none}.campaigns td.name{grid-column:1/-1;font-weight:600}.campaigns td.name::before{content:none}}";

/// The `Content-Security-Policy` of the pages. It permits their own style only.
pub static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
});

/// Renders the landing page.
pub fn landing(
    telemetry_path: &str,
    status: &AccountStatuses,
    rejected: Option<&RejectedReload>,
    now: DateTime<Utc>,
) -> String {
    let errors = status.accounts().filter_map(|it| it.storage_error.as_ref());
    let errors: Vec<_> = errors.collect();
    page(
        "Campaign exporter",
        false,
        telemetry_path,
        &html! {
            p { "Prometheus exporter for messaging campaigns." }
            p { (summary(status)) }
            (rejection(rejected, now))
            @if let Some(unstored) = errors.first() {
                p { "Polls of " (plural(errors.len(), "account")) " cannot be stored:" }
                (storage(unstored, now))
            }
            p {
                "For the flags, run " code { "campaign_exporter --help" } ". The "
                a href=(below(telemetry_path)) { "metrics" } " have help texts. For everything else, see \
                 README.md and docs/ in the source."
            }
            p.dim { "Version " (VERSION) ", revision " (REVISION) "." }
        },
    )
}

/// Renders the status page.
pub fn status(
    telemetry_path: &str,
    status: &AccountStatuses,
    rejected: Option<&RejectedReload>,
    is_polling: impl Fn(&AccountStatus) -> bool,
    now: DateTime<Utc>,
) -> String {
    let worst = status.worst();
    page(
        "Status – Campaign exporter",
        true,
        telemetry_path,
        &html! {
            p { (summary(status)) }
            (rejection(rejected, now))
            h2 { "Accounts" }
            @for state in ORDER {
                @for account in status.accounts().filter(|account| account.state == state) {
                    (self::account(account, is_polling(account), now))
                }
            }
            h2 { "Lowest delivery ratios" }
            @if worst.is_empty() {
                p { "No campaign of the last day is large and old enough for a meaningful ratio." }
            } @else {
                table {
                    caption {
                        "Campaigns of the last day, sent at least "
                        (MATURITY.as_secs() / 3600) " hours ago (WhatsApp and email: "
                        (WHATSAPP_MATURITY.as_secs() / 3600) "), with at least " (MIN_VOLUME)
                        " messages that are not pending. Campaigns in progress are left out."
                    }
                    thead { tr {
                        th scope="col" { "Campaign" }
                        th scope="col" { "Account" }
                        th scope="col" { "Channel" }
                        th.number scope="col" { "Delivered" }
                        th.number scope="col" { "Bounced" }
                        th.number scope="col" { "Pending" }
                        th.number scope="col" { "Attempted" }
                        th.number scope="col" { "Ratio" }
                        th scope="col" { "Last sent" }
                    } }
                    tbody { @for campaign in worst { (row(campaign, now)) } }
                }
            }
            p.dim { "As of " (time(now)) ". This page refreshes every " (REFRESH) " seconds." }
        },
    )
}

/// Returns a link to a path: relative, so that it works behind a reverse proxy.
fn below(path: &str) -> String {
    format!(".{path}")
}

fn page(title: &str, refreshes: bool, telemetry_path: &str, content: &Markup) -> String {
    let refresh = html! { @if refreshes { meta http-equiv="refresh" content=(REFRESH); } };
    let body = html! {
        header {
            h1 { "Campaign exporter" }
            nav aria-label="Pages" { ul {
                li { a href="./" { "Home" } }
                li { a href="campaigns" { "Campaigns" } }
                li { a href="status" { "Status" } }
                li { a href="status?format=json" { "Status as JSON" } }
                li { a href=(below(telemetry_path)) { "Metrics" } }
                li { a href="config" { "Configuration" } }
                li { a href="sd" { "Service discovery" } }
                li { a href="-/ready" { "Readiness" } }
                li { a href="-/healthy" { "Health" } }
            } }
        }
        main { (content) }
    };
    document(title, &refresh, &body)
}

/// A page without anything but its content.
fn document(title: &str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                (head)
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

fn summary(status: &AccountStatuses) -> Markup {
    let waiting = status.accounts().filter(|account| account.waiting.is_some()).count();
    let others = || status.accounts().filter(|account| account.waiting.is_none());
    let count = |wanted| others().filter(|account| account.state == wanted).count();
    let counts = ORDER.map(|state| (state, count(state)));
    let campaigns: usize = status.accounts().map(|account| account.campaigns).sum();
    html! {
        (plural(status.accounts().len(), "account")) " with " (plural(campaigns, "campaign"))
        @for (state, count) in counts {
            @if count > 0 { ", " span class=(class(state)) { (count) " " (word(state)) } }
        }
        @if waiting > 0 { ", " span.waiting { (waiting) " " (WAITING) } }
        "."
    }
}

fn rejection(rejected: Option<&RejectedReload>, now: DateTime<Utc>) -> Markup {
    html! {
        @if let Some(rejected) = rejected {
            div.error {
                p {
                    "The configuration has been rejected since " (moment(Some(rejected.since), now))
                    ", so the previous one is in effect. To see all problems, run "
                    code { "campaign_exporter --config.check" } "."
                }
                ul { @for problem in &rejected.problems { li { bdi { (visible(problem)) } } } }
            }
        }
    }
}

fn storage(unstored: &Unstored, now: DateTime<Utc>) -> Markup {
    html! {
        div.error {
            p { "Not stored since " (moment(Some(unstored.since), now)) ": " bdi { (visible(&unstored.error)) } }
            p {
                "A restart would lose the data. Check the space and the permissions of "
                code { "--storage.path" } "."
            }
        }
    }
}

fn account(account: &AccountStatus, is_polling: bool, now: DateTime<Utc>) -> Markup {
    html! {
        article {
            h3 {
                bdi { (account.account) } " "
                @if account.waiting.is_some() { span.waiting { (WAITING) } }
                @else { span class=(class(account.state)) { (word(account.state)) } }
            }
            dl {
                (entry("Provider", &html! { (account.provider) }))
                (entry("Last success", &moment(account.last_success, now)))
                (entry("Last poll", &moment(account.last_poll, now)))
                (entry("Next poll", &html! {
                    @if account.waiting.is_some() { "once no other exporter reads it" }
                    @else { (next(account.next_poll, is_polling, now)) }
                }))
                (entry("Campaigns", &html! {
                    (number(account.campaigns as u64))
                    @if account.campaigns_dropped > 0 {
                        " (" (account.campaigns_dropped) " dropped by max_campaigns)"
                    }
                }))
                @if !account.unreadable.is_empty() {
                    (entry("Unreadable values", &html! {
                        @for (index, (field, count)) in account.unreadable.iter().enumerate() {
                            @if index > 0 { ", " }
                            bdi { (shortened(field)) } " (" (number(*count)) ")"
                        }
                    }))
                }
                @if let Some(requests) = account.requests_remaining {
                    (entry("Requests remaining after the last poll", &html! { (number(requests)) }))
                }
                @if account.token_expiry.is_some() {
                    (entry("Token expires", &moment(account.token_expiry, now)))
                }
            }
            @if let Some(unstored) = &account.storage_error { (storage(unstored, now)) }
            @if let Some(error) = &account.error {
                (failure(error))
            }
            @if let Some(why) = &account.waiting {
                div.error { p { "Waiting: " bdi { (visible(why)) } "." } }
            }
        }
    }
}

fn failure(error: &PollFailure) -> Markup {
    html! {
        div.error {
            p { strong { (error.reason) } ": " bdi { (visible(&error.message)) } }
            p {
                "What to do: "
                @for (index, text) in error.advice.split('`').enumerate() {
                    @if index % 2 == 0 { (text) }
                    @else if text.starts_with("https://") { a href=(text) { (text) } }
                    @else { code { (text) } }
                }
            }
        }
    }
}

fn row(campaign: &WorstCampaign, now: DateTime<Utc>) -> Markup {
    let count = |count: Option<u64>| {
        html! {
            @match count { Some(count) => (number(count)), None => span.dim { "not reported" } }
        }
    };
    html! {
        tr {
            td data-label="Campaign" {
                bdi { (shortened(&campaign.campaign_name)) } " "
                span.dim { bdi { (shortened(&campaign.campaign_id)) } }
            }
            td data-label="Account" { bdi { (campaign.account) } }
            td data-label="Channel" { bdi { (shortened(&campaign.channel)) } }
            td.number data-label="Delivered" { (number(campaign.deliveries)) }
            td.number data-label="Bounced" { (count(campaign.bounces)) }
            td.number data-label="Pending" { (count(campaign.pending)) }
            td.number data-label="Attempted" { (number(campaign.attempted)) }
            td.number data-label="Ratio" { (percent(campaign.delivery_ratio)) }
            td data-label="Last sent" { (moment(campaign.last_sent, now)) }
        }
    }
}

/// Shows when the next poll is due. The first poll is due immediately.
fn next(at: Option<DateTime<Utc>>, is_polling: bool, now: DateTime<Utc>) -> Markup {
    match at {
        _ if is_polling => html! { "polling now" },
        None => html! { "soon" },
        at if at <= Some(now) => html! { "due since " (moment(at, now)) },
        at => moment(at, now),
    }
}

/// The state of an account that another exporter reads.
const WAITING: &str = "waiting for another exporter";

const fn word(state: State) -> &'static str {
    match state {
        State::Waiting => "not polled yet",
        State::Good => "good",
        State::Failing => "failing, serving the last good data",
        State::Down => "down, no data",
    }
}

const fn class(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Good => "good",
        State::Failing => "failing",
        State::Down => "down",
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::report::words::MAX_NAME;
    use text::distance;

    #[test]
    fn distances_and_numbers_are_readable() {
        for (seconds, expected) in [
            (0, "in 0 seconds"),
            (-1, "1 second ago"),
            (-119, "119 seconds ago"),
            (120, "in 2 minutes"),
            (-7_200, "2 hours ago"),
            (172_800, "in 2 days"),
            (-864_000_000, "10,000 days ago"),
        ] {
            assert_eq!(distance(TimeDelta::seconds(seconds)), expected);
        }
        for (value, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn long_names_are_shortened_at_character_boundaries() {
        let long = "é".repeat(MAX_NAME + 1);
        assert_eq!(shortened(&long).chars().count(), MAX_NAME + 1);
        assert!(shortened(&long).ends_with('…'));
        assert_eq!(shortened(&"é".repeat(MAX_NAME)), "é".repeat(MAX_NAME));
    }

    #[test]
    fn errors_are_shown_in_full() {
        let command = format!("run campaign_exporter authorize a{}", " --flag".repeat(100));
        let failure = PollFailure {
            reason: "auth",
            message: format!("<i>\u{0}\u{1b}[2J: {command}"),
            advice: "run `this` or read `https://x.example/`.".to_owned(),
        };
        let shown = super::failure(&failure).into_string();
        assert!(shown.contains(&command), "{shown}");
        assert!(shown.contains("&lt;i&gt;\u{fffd}\u{fffd}[2J"), "{shown}");
        let advice =
            "run <code>this</code> or read <a href=\"https://x.example/\">https://x.example/</a>.";
        assert!(shown.contains(advice), "{shown}");
    }

    #[test]
    fn missing_times_have_words() {
        let now = DateTime::UNIX_EPOCH;
        let next = |at, is_polling| next(at, is_polling, now).into_string();
        assert_eq!(next(None, false), "soon");
        assert_eq!(next(Some(now), true), "polling now");
        assert!(next(Some(now), false).starts_with("due since "));
        assert_eq!(moment(None, now).into_string(), "never");
        let later = Some(now + TimeDelta::minutes(5));
        assert!(next(later, false).contains("in 5 minutes"));
    }

    #[test]
    fn the_policy_permits_the_style() {
        let status = AccountStatuses::default();
        let page = landing("/metrics", &status, None, DateTime::UNIX_EPOCH);
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let digest = BASE64_STANDARD.encode(Sha256::digest(style));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{digest}'")));
    }
}
