//! Every fault at every provider: its effects, how it is counted, and recovery.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator, State};
use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::apis::{Api, COUNTS, any_api, apis, fixture, has_whatsapp, kind};
use crate::support::daemon::{Daemon, Setup, TOKEN, account, config, count, simulate};
use crate::support::faults::{Exported, break_down, each, json_body, provider, repair, status};
use crate::support::strict;

/// Request timeout for faults that cause one.
const REQUEST_TIMEOUT: &str = "request_timeout: 2s";

/// Exceeds the limit for responses.
const TOO_LARGE: u64 = 20_000_000;

/// Effect of a fault on an account.
#[derive(Clone, Debug)]
enum Effect {
    /// Polls fail for this reason, and the data is kept.
    Failure(String),
    /// Polls succeed, but the campaigns lose something.
    Loss {
        what: Loss,
        /// Fields with counted decode problems.
        problems: Vec<&'static str>,
    },
    /// No visible effect.
    Nothing,
}

/// What a campaign loses.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Everything derived from counts. The cost is not a count and may have this value.
    Counts { cost: Option<f64> },
    /// The whole campaign.
    Everything,
}

struct Case {
    name: String,
    fault: Fault,
    effect: Effect,
}

impl Case {
    fn new(api: Api, name: &str, fault: Fault, effect: Effect) -> Self {
        Self { name: format!("{}-{name}", api.provider()), fault, effect }
    }

    fn failing(api: Api, name: &str, fault: Fault, reason: &str) -> Self {
        Self::new(api, name, fault, Effect::Failure(reason.to_owned()))
    }

    fn reason(&self) -> Option<&str> {
        match &self.effect {
            Effect::Failure(reason) => Some(reason),
            Effect::Loss { .. } | Effect::Nothing => None,
        }
    }

    /// Whether the provider requests a delay longer than the test.
    fn asks_for_patience(&self) -> bool {
        self.reason() == Some("quota") || self.name.ends_with("-long")
    }

    /// Whether the request is retried within a poll.
    fn is_retried(&self) -> bool {
        let transient = ["network", "timeout", "server", "throttled"];
        let transient = self.reason().is_some_and(|own| transient.contains(&own));
        transient && !self.asks_for_patience()
    }

    /// Expected campaign metrics during the fault.
    fn expected(&self, before: &Campaigns) -> Campaigns {
        let Effect::Loss { what, .. } = &self.effect else {
            return before.clone();
        };
        let mut expected = before.clone();
        // includes old campaigns: they are on the same page, so every poll reads them
        for (id, samples) in &mut expected {
            match what {
                Loss::Everything => samples.clear(),
                Loss::Counts { cost } => {
                    samples.retain(|series, _| NO_COUNTS.contains(&name_of(series)));
                    if let Some(cost) = cost {
                        let before = &before[id];
                        let cost_before = before.keys().find(|series| name_of(series) == COST);
                        samples.extend(cost_before.map(|series| (series.clone(), *cost)));
                    }
                }
            }
        }
        expected.retain(|_, samples| !samples.is_empty());
        expected
    }

    fn yaml(&self, simulator: &Simulator, stale_after: &str) -> String {
        // a poll during which a fault ends may find campaigns that only the next full one misses
        let mut more = vec!["full_poll_interval: 4s"];
        if self.reason() == Some("timeout") {
            more.push(REQUEST_TIMEOUT);
        }
        if self.reason().is_some() {
            more.push(stale_after);
        }
        account(&self.name, simulator, &more)
    }
}

const COST: &str = "campaign_cost_credits";

/// Metrics of a campaign that do not depend on counts.
const NO_COUNTS: [&str; 4] = [
    "campaign_info",
    "campaign_status",
    "campaign_last_sent_timestamp_seconds",
    "campaign_reported_delivery_ratio",
];

/// Samples of an account's campaigns, by campaign id and series.
type Campaigns = BTreeMap<String, BTreeMap<String, f64>>;

/// Returns the value of a label that contains no escapes.
fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = series.split_once(&format!(r#"{name}=""#))?;
    rest.split('"').next()
}

fn name_of(series: &str) -> &str {
    series.split('{').next().unwrap()
}

/// Campaigns by account.
fn campaigns(metrics: &str) -> BTreeMap<String, Campaigns> {
    let mut accounts = BTreeMap::<String, Campaigns>::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if let (Some(account), Some(id)) = (label(series, "account"), label(series, "campaign_id"))
        {
            let campaigns = accounts.entry(account.to_owned()).or_default();
            let samples = campaigns.entry(id.to_owned()).or_default();
            samples.insert(series.to_owned(), value.parse().unwrap());
        }
    }
    accounts
}

/// Checks that metrics are well-formed and contain no token, and that ratios match their counts.
fn are_sound(metrics: &str) {
    assert!(!metrics.contains(TOKEN), "{metrics}");
    strict::read(metrics, Format::Text);
    for (account, campaigns) in campaigns(metrics) {
        let mut sums = BTreeMap::<&str, (f64, f64)>::new();
        for samples in campaigns.values() {
            let value = |wanted| {
                let mut samples = samples.iter();
                let (series, value) = samples.find(|(series, _)| name_of(series) == wanted)?;
                Some((label(series, "channel").unwrap(), *value))
            };
            let ratio = value("campaign_delivery_ratio").map(|(_, ratio)| ratio);
            let parts = value("campaign_deliveries").zip(value("campaign_attempted"));
            let own = parts.map(|((channel, deliveries), (_, attempted))| {
                let sum = sums.entry(channel).or_default();
                *sum = (sum.0 + deliveries, sum.1 + attempted);
                deliveries / attempted
            });
            assert_eq!(ratio, own, "{account}\n{metrics}");
        }
        for channel in ["sms", "whatsapp"] {
            let own = Exported::of(metrics, &account);
            let ratio = own.of_channel("campaign_account_delivery_ratio", channel);
            let sum = sums.get(channel).map(|(part, whole)| part / whole);
            assert_eq!(ratio, sum, "{account}\n{metrics}");
        }
    }
}

/// A campaign with distinct non-zero counts.
fn campaign(id: &str, days: i64) -> Campaign {
    let counts = Counts {
        sends: 990,
        deliveries: 950,
        bounces: 31,
        opt_outs: 11,
        replies: 80,
        pending: 3,
        error: 16,
        expired: 8,
        network_error: 4,
        ..COUNTS
    };
    let sent_at = Utc::now() - TimeDelta::days(days);
    if id.ends_with("whatsapp") {
        Campaign::whatsapp(id, "Spring", sent_at, counts)
    } else {
        Campaign::sms(id, "Spring", sent_at, counts)
    }
}

/// A simulated provider with recent and old campaigns.
async fn full_provider(api: Api) -> Simulator {
    let mut campaigns = vec![campaign("new-sms", 1), campaign("old-sms", 10)];
    if has_whatsapp(api) {
        campaigns.extend([campaign("new-whatsapp", 1), campaign("old-whatsapp", 10)]);
    }
    simulate(api, campaigns).await
}

/// HTTP status codes and their failure reasons.
const STATUSES: [(u16, &str); 18] = [
    (204, "decode"),
    (206, "decode"),
    (304, "client"),
    (400, "client"),
    (401, "auth"),
    (403, "forbidden"),
    (404, "client"),
    (405, "client"),
    (408, "timeout"),
    (410, "client"),
    (418, "client"),
    (429, "throttled"),
    (451, "client"),
    (500, "server"),
    (502, "server"),
    (503, "server"),
    (504, "server"),
    (599, "server"),
];

/// Faults that make polls fail at every provider. No request may go to `elsewhere`.
fn failures(api: Api, elsewhere: &str) -> Vec<Case> {
    let in_an_hour = httpdate::fmt_http_date((Utc::now() + TimeDelta::hours(1)).into());
    let in_a_second = httpdate::fmt_http_date((Utc::now() + TimeDelta::seconds(1)).into());
    let waits = [
        ("wait", "1"),
        ("date", in_a_second.as_str()),
        ("wait-long", "3600"),
        ("date-long", in_an_hour.as_str()),
    ];
    let html = Fault::Body {
        content_type: "text/html",
        body: "<html><body>Please sign in</body></html>".to_owned(),
    };
    let redirect = Fault::Redirect {
        location: format!("{elsewhere}/elsewhere?start_at=2026-01-01T00:00:00Z"),
    };
    let listing = api.listing();
    let list = |items: Value| json_body(&listing.page(items).to_string());
    let by = Duration::from_hours(1);
    let cases = [
        ("html", html, "decode"),
        ("half-json", Fault::HalfJson, "decode"),
        ("null", json_body("null"), "decode"),
        ("array", json_body("[]"), "decode"),
        ("text", json_body("\"text\""), "decode"),
        ("empty-body", json_body(""), "decode"),
        ("types", list(json!(7)), "decode"),
        ("no-list", list(json!({})), "decode"),
        ("no-member", json_body("{}"), "decode"),
        ("bad-gzip", Fault::BadGzip, "decode"),
        ("unheard", Fault::Unheard, "network"),
        ("truncated", Fault::Truncated, "network"),
        ("reset", Fault::Reset, "network"),
        ("stall", Fault::Stall, "timeout"),
        ("silence", Fault::Silence, "timeout"),
        ("late", Fault::Delay { by }, "timeout"),
        ("huge", Fault::Huge { bytes: TOO_LARGE }, "too_large"),
        ("bomb", Fault::GzipBomb { bytes: TOO_LARGE }, "too_large"),
        ("redirect", redirect, "client"),
        ("echo", Fault::EchoToken, "auth"),
    ];
    let cases =
        cases.into_iter().map(|(name, fault, reason)| Case::failing(api, name, fault, reason));
    let statuses = STATUSES
        .into_iter()
        .map(|(code, reason)| Case::failing(api, &code.to_string(), status(code, None), reason));
    let mut cases: Vec<_> = cases.chain(statuses).collect();
    for (code, reason) in [(429, "throttled"), (503, "server")] {
        for (name, value) in waits {
            let (name, fault) = (format!("{code}-{name}"), status(code, Some(value)));
            cases.push(Case::failing(api, &name, fault, reason));
        }
    }
    cases
}

/// Faults that lose values or campaigns at every provider, and harmless ones.
fn losses(api: Api) -> Vec<Case> {
    let listing = api.listing();
    let items = listing.items;
    let with_cost = || api.counts().to_vec();
    let mut counts = with_cost();
    counts.retain(|count| listing.cost != Some(*count));
    let lost = |cost: Option<f64>| Loss::Counts { cost: cost.filter(|_| listing.cost.is_some()) };
    let values = [
        ("null-count", "null", (lost(None), Vec::new())),
        ("blank-count", "\" \"", (lost(None), Vec::new())),
        ("negative", "-1", (lost(None), with_cost())),
        // credits may be fractional
        ("fractional", "1.5", (lost(Some(1.5)), counts.clone())),
        // or large
        ("huge-count", "99999999999999999999", (lost(Some(1e20)), counts.clone())),
        ("infinite", "1e400", (lost(None), with_cost())),
        ("nan", "NaN", (lost(None), with_cost())),
        ("control", "\"x\u{1}\"", (lost(None), with_cost())),
        ("surrogate", r#""\ud800""#, (lost(None), with_cost())),
        ("nan-text", "\"NaN\"", (lost(None), with_cost())),
        ("text-count", "\"text\"", (lost(None), with_cost())),
        ("list-count", "[1]", (lost(None), with_cost())),
        ("object-count", "{\"a\":1}", (lost(None), with_cost())),
        ("true-count", "true", (lost(None), with_cost())),
    ];
    let mut cases = Vec::new();
    let mut add = |name: &str, fault: Fault, effect: Effect| {
        cases.push(Case::new(api, name, fault, effect));
    };
    for (name, json, (what, problems)) in values {
        let json = json.to_owned();
        add(name, Fault::Counts { json }, Effect::Loss { what, problems });
    }
    let what = Loss::Everything;
    let problems = Vec::new();
    add("empty", Fault::Empty, Effect::Loss { what, problems });
    let null = json_body(&listing.page(Value::Null).to_string());
    let problems = Vec::new();
    add("null-list", null, Effect::Loss { what, problems });
    let problems = vec![items];
    add("no-objects", Fault::ItemsNotObjects, Effect::Loss { what, problems });
    add("twice", Fault::Duplicated, Effect::Nothing);
    add("shuffled", Fault::Shuffled { seed: 1 }, Effect::Nothing);
    let by = Duration::from_millis(300);
    add("delay", Fault::Delay { by }, Effect::Nothing);
    cases
}

/// Faults that only this provider's documentation knows, from its fixture, and the end of its quota.
fn own_failures(api: Api, elsewhere: &str) -> Vec<Case> {
    let host = elsewhere.trim_start_matches("http://");
    let text = fs::read_to_string(fixture(api, "_failures")).unwrap();
    let failures: Vec<Failure> = serde_json::from_str(&text.replace("ELSEWHERE", host)).unwrap();
    let mut cases: Vec<_> = failures
        .into_iter()
        .map(|failure| {
            let fault = match (failure.next, failure.body) {
                (Some(href), _) => Fault::Next { href },
                (None, Value::String(body)) => {
                    Fault::Body { content_type: "text/xml; charset=utf-8", body }
                }
                (None, body) => json_body(&body.to_string()),
            };
            Case::new(api, &failure.name, fault, Effect::Failure(failure.reason))
        })
        .collect();
    let listing = api.listing();
    if listing.open_ended {
        // a server that ignores the offset never has a second page
        let state = State::new(TOKEN, Vec::new());
        let campaigns = (0..listing.page_size).map(|id| campaign(&id.to_string(), 1));
        let items = campaigns.map(|campaign| api.item(&state, Utc::now(), &campaign));
        let same_page = json_body(&listing.page(items.collect()).to_string());
        cases.push(Case::failing(api, "same-page", same_page, "pagination"));
    }
    if kind(api).limits.per_day.is_some() {
        cases.push(Case::failing(api, "quota", Fault::QuotaExceeded, "quota"));
    }
    cases
}

/// An entry of a fixture: a link or a body, and the reason of the failure.
#[derive(Deserialize)]
struct Failure {
    name: String,
    reason: String,
    next: Option<String>,
    #[serde(default)]
    body: Value,
}

/// A fault of a provider.
fn cases(api: Api, elsewhere: &str) -> Vec<Case> {
    [failures(api, elsewhere), losses(api), own_failures(api, elsewhere)]
        .into_iter()
        .flatten()
        .collect()
}

/// Accounts without faults.
async fn healthy() -> Vec<(String, Api, Simulator)> {
    let mut healthy = Vec::new();
    for (api, name) in apis() {
        healthy.push((format!("healthy-{name}"), api, full_provider(api).await));
    }
    healthy
}

/// Waits for some polls of accounts without faults, and checks everything visible.
async fn check_healthy_accounts(daemon: &Daemon, names: &[String]) {
    let before = daemon.scrape().await;
    let metrics = daemon
        .scrape_until(|metrics| {
            each(metrics, names, |own| {
                own.polls("success") >= Exported::of(&before, &own.name).polls("success") + 2.0
            })
        })
        .await;
    are_sound(&metrics);
    for name in names {
        let own = Exported::of(&metrics, name);
        assert!(own.is_up(), "{name}");
        assert_eq!((own.all_errors(), own.retries()), (0.0, 0.0), "{name}");
        assert_eq!(own.problem_fields(), BTreeSet::new(), "{name}");
    }
    for page in ["/-/healthy", "/-/ready", "/config", "/", "/status"] {
        assert!(!daemon.get(page).await.contains(TOKEN), "{page}");
    }
}

/// Stops the exporter, and checks that it never panicked or exposed a token.
async fn end(daemon: Daemon) {
    let log = daemon.stop().await;
    assert!(!log.contains(TOKEN) && !log.contains("panic"), "{log}");
}

async fn faults_of(api: Api) {
    let elsewhere = provider(any_api()).await;
    let cases = cases(api, &elsewhere.base_url());
    let mut simulators = Vec::new();
    for _ in &cases {
        simulators.push(full_provider(api).await);
    }
    let healthy = healthy().await;
    let others: Vec<_> = healthy.iter().map(|(name, ..)| name.clone()).collect();
    let yaml = |stale_after: &str| {
        let healthy = healthy.iter();
        let mut accounts: Vec<_> =
            healthy.map(|(name, _, simulator)| account(name, simulator, &[])).collect();
        let cases = cases.iter().zip(&simulators);
        accounts.extend(cases.map(|(case, simulator)| case.yaml(simulator, stale_after)));
        config(&accounts)
    };
    let daemon = Daemon::start(Setup::new(&yaml("stale_after: 1h")), &[]).await;
    let names: Vec<_> = cases.iter().map(|case| case.name.clone()).collect();
    let metrics = daemon
        .scrape_until(|metrics| {
            let now = campaigns(metrics);
            let campaigns = if has_whatsapp(api) { 4 } else { 2 };
            each(metrics, &names, |own| {
                let known = now.get(&own.name).map_or(0, BTreeMap::len);
                own.polls("success") >= 2.0 && known == campaigns
            })
        })
        .await;
    let before = campaigns(&metrics);
    let successes = |metrics: &str, name: &str| Exported::of(metrics, name).polls("success");
    let failures = |metrics: &str, name: &str| Exported::of(metrics, name).polls("failure");

    let mut asked_before = Vec::new();
    for (case, simulator) in cases.iter().zip(&simulators) {
        simulator.update(|state| {
            state.fault = Some(FaultPlan::always(case.fault.clone()));
            asked_before.push(state.answered);
        });
    }
    let broken = daemon.scrape().await;
    let metrics = daemon
        .scrape_until(|metrics| {
            let now = campaigns(metrics);
            let none = Campaigns::new();
            let mut all = true;
            for case in &cases {
                let name = &case.name;
                let own = Exported::of(metrics, name);
                let before = &before[name];
                let found = now.get(name).unwrap_or(&none);
                let expected = case.expected(before);
                // either state at any time, but nothing in between
                assert!(*found == expected || found == before, "{name}: {found:#?} {expected:#?}");
                all &= if let Some(reason) = case.reason() {
                    // retries take a while where each waits for its end, and without a quota there
                    // is no second poll before tomorrow
                    let slow = ["timeout", "quota"].contains(&reason);
                    let polls = if slow { 1.0 } else { 2.0 };
                    !own.is_up() && own.polls("failure") >= polls
                } else {
                    assert!(own.is_up(), "{name}");
                    let polls = own.polls("success") - successes(&broken, name);
                    *found == expected && polls >= 3.0
                };
            }
            all
        })
        .await;
    for case in &cases {
        let (name, own) = (&case.name, Exported::of(&metrics, &case.name));
        let counted = case.reason().map_or(0.0, |reason| own.errors(reason));
        assert_eq!(own.all_errors(), counted, "{name}");
        assert_eq!(own.retries() > 0.0, case.is_retried(), "{name}");
        assert_eq!(own.mismatches(), 0.0, "{name}");
        let problems = match &case.effect {
            Effect::Loss { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            Effect::Failure(_) | Effect::Nothing => BTreeSet::new(),
        };
        let mut found = own.problem_fields();
        // a fault that starts between campaigns and credits loses the credits once
        found.remove("credits");
        assert_eq!(found, problems, "{name}");
    }
    check_healthy_accounts(&daemon, &others).await;

    // nothing else changed, but the data is now stale
    daemon.setup.write_config(&yaml("stale_after: 1s"));
    daemon.signal("HUP").await;
    let failing: Vec<_> = cases.iter().filter(|case| case.reason().is_some()).collect();
    let metrics = daemon
        .scrape_until(|metrics| {
            let now = campaigns(metrics);
            failing.iter().all(|case| !now.contains_key(&case.name))
        })
        .await;
    for Case { name, .. } in &failing {
        let own = Exported::of(&metrics, name);
        assert_eq!(own.value("campaign_account_up"), Some(0.0), "{name}");
        for metric in ["campaign_account_campaigns", "campaign_account_campaigns_dropped"] {
            assert_eq!(own.value(metric), None, "{name} {metric}");
        }
        let last_success = "campaign_account_last_success_timestamp_seconds";
        assert!(own.value(last_success).is_some(), "{name}");
    }
    check_healthy_accounts(&daemon, &others).await;

    daemon.setup.write_config(&yaml("stale_after: 1h"));
    daemon.signal("HUP").await;
    daemon
        .scrape_until(|now| {
            let mut failing = failing.iter().map(|case| &case.name);
            failing.all(|name| failures(now, name) > failures(&metrics, name))
        })
        .await;
    for simulator in &simulators {
        repair(simulator);
    }
    let repaired = daemon.scrape().await;
    let metrics = daemon
        .scrape_until(|metrics| {
            let now = campaigns(metrics);
            let mut cases = cases.iter().filter(|case| !case.asks_for_patience());
            cases.all(|Case { name, .. }| {
                let own = Exported::of(metrics, name);
                own.is_up() && now.get(name) == before.get(name)
            })
        })
        .await;
    for ((case, simulator), before) in cases.iter().zip(&simulators).zip(asked_before) {
        let (name, own) = (&case.name, Exported::of(&metrics, &case.name));
        if case.asks_for_patience() {
            // providers that requested a delay were asked once, and are not asked again before it ends
            let asked = simulator.read(|state| state.answered) - before;
            assert_eq!(asked, 1, "{name}");
            assert!(own.polls("failure") > 1.0, "{name}");
        } else {
            // one poll may have been in progress
            let failed = own.polls("failure") - failures(&repaired, name);
            assert!(failed <= 1.0, "{name}: {failed}");
        }
    }
    check_healthy_accounts(&daemon, &others).await;
    let asked = elsewhere.requests();
    assert!(asked.is_empty(), "{asked:?}");
    end(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_have_the_expected_effects_and_recover() {
    // one after the other: large bodies of all of them at a time would exceed the request timeout
    for (api, _) in apis() {
        faults_of(api).await;
    }
}

/// Campaigns for several pages of a provider, most of them recent.
fn pages(api: Api) -> Vec<Campaign> {
    let recent = (api.listing().page_size as u64 + 9).max(410);
    let campaigns = (1..=recent + 20).zip(1..);
    campaigns
        .map(|(number, minutes)| {
            let days = if number > recent { 10 } else { 1 };
            let mut campaign = campaign(&number.to_string(), days);
            campaign.sent_at -= TimeDelta::minutes(minutes);
            // all distinct
            campaign.counts.deliveries -= number % 900;
            campaign
        })
        .collect()
}

/// Returns the sample lines of all campaigns.
fn written(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines();
    let campaigns = lines.filter(|line| !line.starts_with('#') && line.contains("campaign_id="));
    campaigns.map(str::to_owned).collect()
}

async fn disordered_pages_of(api: Api) {
    let mut simulators = Vec::new();
    let mut accounts = Vec::new();
    for (name, more) in [("recent", "recent: 3d"), ("full", "full_poll_interval: 1s")] {
        let simulator = simulate(api, pages(api)).await;
        accounts.push(account(name, &simulator, &[more]));
        simulators.push((name.to_owned(), simulator));
    }
    let names: Vec<_> = simulators.iter().map(|(name, _)| name.clone()).collect();
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let metrics = daemon
        .scrape_until(|metrics| {
            each(metrics, &names, |own| own.polls("success") >= 2.0)
                && count(metrics, "campaign_deliveries{") == names.len() * pages(api).len()
        })
        .await;
    let before = written(&metrics);
    are_sound(&metrics);
    for fault in [Fault::Moving { by: 3 }, Fault::Duplicated, Fault::Shuffled { seed: 7 }] {
        for (name, simulator) in &simulators {
            // if totals count older campaigns, too, recent ones are read until a page comes empty: none
            // does while the list moves at every request
            let endless = api.listing().total_of_all && name == "recent";
            if !(endless && matches!(fault, Fault::Moving { .. })) {
                break_down(simulator, fault.clone());
            }
        }
        let broken = daemon.scrape().await;
        let metrics = daemon
            .scrape_until(|metrics| {
                let now = written(metrics);
                let other: Vec<_> = now.symmetric_difference(&before).take(20).collect();
                assert!(other.is_empty(), "{fault:?}: {other:#?}");
                each(metrics, &names, |own| {
                    own.polls("success") >= Exported::of(&broken, &own.name).polls("success") + 3.0
                })
            })
            .await;
        for name in &names {
            let own = Exported::of(&metrics, name);
            // a poll may have failed while the campaigns moved back at once
            let at_first = Exported::of(&broken, name);
            assert_eq!(own.all_errors(), at_first.all_errors(), "{fault:?}");
            assert_eq!(own.retries(), 0.0, "{fault:?}");
            assert_eq!(own.problem_fields(), BTreeSet::new(), "{fault:?}");
            assert_eq!(own.mismatches(), 0.0, "{fault:?}");
            let campaigns = own.of_channel("campaign_account_campaigns", "sms");
            assert_eq!(campaigns, Some(pages(api).len() as f64), "{fault:?}");
        }
        // a poll during recovery may miss campaigns that move back; the next one does not
        for (_, simulator) in &simulators {
            repair(simulator);
        }
        let repaired = daemon.scrape().await;
        daemon
            .scrape_until(|metrics| {
                written(metrics) == before
                    && each(metrics, &names, |own| {
                        let before = Exported::of(&repaired, &own.name).polls("success");
                        own.polls("success") >= before + 2.0
                    })
            })
            .await;
    }
    end(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disordered_pages_lose_or_duplicate_no_campaign() {
    let tests = apis().into_iter();
    let tests = tests.map(|(api, _)| disordered_pages_of(api));
    tests.collect::<JoinSet<_>>().join_all().await;
}

/// A port that forwards to a simulator, or refuses connections without one.
struct Door {
    address: String,
    open: JoinSet<()>,
}

impl Door {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap().to_string(), open: JoinSet::new() }
    }

    async fn open(&mut self, simulator: &Simulator) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let target = simulator.base_url().replace("http://", "");
        self.open.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let target = target.clone();
                connections.spawn(async move {
                    let mut onward = TcpStream::connect(target).await.unwrap();
                    // ends when either side closes the connection
                    copy_bidirectional(&mut stream, &mut onward).await.ok();
                });
            }
        });
    }

    async fn close(&mut self) {
        self.open.shutdown().await;
    }
}

#[tokio::test]
async fn unknown_and_refusing_hosts_are_temporary_network_failures() {
    let mut accounts = Vec::new();
    let mut doors = Vec::new();
    let mut unknown = Vec::new();
    let mut solved = Vec::new();
    for (api, name) in apis() {
        let simulator = full_provider(api).await;
        let mut door = Door::new().await;
        door.open(&simulator).await;
        let (refused, host) = (format!("{name}-refused"), format!("{name}-unknown"));
        let known = account(&host, &simulator, &[]);
        let own = account(&refused, &simulator, &[]);
        let own = own.replace(&simulator.base_url(), &format!("http://{}", door.address));
        accounts.push(own.clone());
        accounts.push(known.replace(&simulator.base_url(), "http://host.invalid"));
        solved.extend([own, known]);
        doors.push((refused, simulator, door));
        unknown.push(host);
    }
    let refused: Vec<_> = doors.iter().map(|(name, ..)| name.clone()).collect();
    let healthy = healthy().await;
    let others: Vec<_> = healthy.iter().map(|(name, ..)| name.clone()).collect();
    for (name, _, simulator) in &healthy {
        accounts.push(account(name, simulator, &[]));
        solved.push(account(name, simulator, &[]));
    }
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;
    let only_network = |own: &Exported<'_>| own.all_errors() == own.errors("network");
    let metrics = daemon
        .scrape_until(|metrics| {
            each(metrics, &refused, |own| own.polls("success") >= 2.0)
                && each(metrics, &unknown, |own| own.polls("failure") >= 1.0)
        })
        .await;
    assert!(each(&metrics, &unknown, |own| only_network(own) && !own.is_up()));
    let before = campaigns(&metrics);
    assert!(unknown.iter().all(|name| !before.contains_key(name)));

    for (.., door) in &mut doors {
        door.close().await;
    }
    let metrics = daemon
        .scrape_until(|metrics| each(metrics, &refused, |own| own.polls("failure") >= 2.0))
        .await;
    assert!(each(&metrics, &refused, |own| only_network(own) && !own.is_up()));
    assert_eq!(campaigns(&metrics), before);
    check_healthy_accounts(&daemon, &others).await;

    for (_, simulator, door) in &mut doors {
        door.open(simulator).await;
    }
    let repaired = daemon.scrape().await;
    let metrics = daemon
        .scrape_until(|metrics| each(metrics, &refused, |own| own.is_up() && only_network(own)))
        .await;
    assert_eq!(campaigns(&metrics), before);
    for name in &refused {
        let failures = |metrics| Exported::of(metrics, name).polls("failure");
        assert!(failures(&metrics) <= failures(&repaired) + 1.0, "{name}");
    }
    daemon.setup.write_config(&config(&solved));
    daemon.signal("HUP").await;
    daemon
        .scrape_until(|metrics| each(metrics, &unknown, |own| own.is_up() && only_network(own)))
        .await;
    check_healthy_accounts(&daemon, &others).await;
    end(daemon).await;
}
