//! Snapshots of the metrics for the providers' documented examples, polled over HTTP.

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Fault, FaultPlan, Simulator, State};
use serde_json::Value;

use crate::support::apis::{Api, cinnox, constant_contact, smsup};
use crate::support::daemon::{Daemon, Setup, TOKEN, account, client, value};
use crate::support::promtool::check_metrics;
use crate::support::strict;

const CONSTANT_CONTACT: &str = include_str!("../fixtures/constant_contact.json");
const CONSTANT_CONTACT_LAST_PAGE: &str =
    include_str!("../fixtures/constant_contact_last_page.json");
const CINNOX: &str = include_str!("../fixtures/cinnox.json");
const SMSUP: &str = include_str!("../fixtures/smsup.json");
const SMSUP_CREDITS: &str = include_str!("../fixtures/smsup_credits.json");

/// Families whose values depend on the time of the run.
const TIMES_OF_THE_RUN: [&str; 3] = [
    "campaign_account_last_success_timestamp_seconds",
    "campaign_account_last_poll_timestamp_seconds",
    "campaign_account_poll_duration_seconds",
];

/// Starts an exporter that polls one account once, from a provider that responds with `body`.
async fn polled(
    api: Api,
    name: &str,
    plan: fn(Fault) -> FaultPlan,
    body: &str,
) -> (Daemon, Simulator) {
    let fault = Fault::Body {
        content_type: "application/json",
        body: body.to_owned(),
    };
    let mut state = State::new(TOKEN, Vec::new());
    state.fault = Some(plan(fault));
    let simulator = Simulator::start(api, state).await.unwrap();
    // a single poll, with a lookback that covers the examples of 2022
    let more = ["poll_interval: 1h", "lookback: 3650d"];
    let accounts = account(name, &simulator, &more);
    let daemon = Daemon::start(Setup::new(&format!("accounts:\n{accounts}")), &[]).await;
    daemon
        .scrape_until(|metrics| value(metrics, "campaign_account_last_poll_timestamp").is_some())
        .await;
    (daemon, simulator)
}

/// Returns the lines on campaigns and accounts that do not depend on the run.
fn golden(text: &str) -> String {
    let kept = text.split_inclusive('\n').filter(|line| {
        let name = line
            .strip_prefix("# HELP ")
            .or(line.strip_prefix("# TYPE "));
        let name = name.or(line.strip_prefix("# UNIT ")).unwrap_or(line);
        let name = name.split(['{', ' ']).next().unwrap();
        strict::is_about_campaigns(name) && !TIMES_OF_THE_RUN.contains(&name)
    });
    kept.collect()
}

async fn scrape(daemon: &Daemon, format: Format) -> String {
    let request = client().get(daemon.url("/metrics"));
    let request = request.header("accept", format.content_type());
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], format.content_type());
    response.text().await.unwrap()
}

/// Compares both formats with their snapshots.
async fn is_as_in_the_snapshots(name: &str, daemon: &Daemon) {
    let text = golden(&scrape(daemon, Format::Text).await);
    let open_metrics = golden(&scrape(daemon, Format::OpenMetrics).await);
    let in_text = strict::read(&text, Format::Text);
    let in_open_metrics = strict::read(&format!("{open_metrics}# EOF\n"), Format::OpenMetrics);
    assert_eq!(strict::series(&in_text), strict::series(&in_open_metrics));
    check_metrics(&text).await;
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(format!("{name}_text"), text);
        insta::assert_snapshot!(format!("{name}_open_metrics"), open_metrics);
    });
}

/// Returns the counts of decode problems by field.
async fn decode_problems(daemon: &Daemon) -> Vec<(String, f64)> {
    let families = strict::read(&daemon.scrape().await, Format::Text);
    let problems = strict::series(&families).into_iter();
    problems
        .filter(|((name, _), _)| name == "campaign_exporter_decode_problems_total")
        .map(|((_, labels), value)| (labels["field"].clone(), value))
        .collect()
}

#[tokio::test]
async fn constant_contact_example_drops_only_the_malformed_date() {
    let (daemon, _) = polled(
        constant_contact(),
        "spring-us",
        FaultPlan::always,
        CONSTANT_CONTACT_LAST_PAGE,
    )
    .await;
    is_as_in_the_snapshots("constant_contact", &daemon).await;
    let problems = decode_problems(&daemon).await;
    assert_eq!(problems, [("last_sent_date".to_owned(), 1.0)]);
}

#[tokio::test]
async fn cinnox_example_has_the_series_of_each_channel() {
    let (daemon, _) = polled(cinnox(), "desk-hk", FaultPlan::always, CINNOX).await;
    is_as_in_the_snapshots("cinnox", &daemon).await;
    assert_eq!(decode_problems(&daemon).await, []);
}

#[tokio::test]
async fn smsup_example_is_decoded_in_paris_time() {
    // the first request lists the campaigns; the simulator has the documented credits
    let (daemon, _) = polled(smsup(), "shoes-ch", FaultPlan::once, SMSUP).await;
    is_as_in_the_snapshots("smsup", &daemon).await;
    assert_eq!(decode_problems(&daemon).await, []);
}

#[tokio::test]
async fn constant_contact_example_link_is_followed_and_pages_count_together() {
    // the next page is missing, so the poll must fail without publishing anything
    let (daemon, simulator) = polled(
        constant_contact(),
        "spring-us",
        FaultPlan::once,
        CONSTANT_CONTACT,
    )
    .await;
    let page: Value = serde_json::from_str(CONSTANT_CONTACT).unwrap();
    let requests = simulator.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!(requests[1].path_and_query, page["_links"]["next"]["href"]);
    let metrics = daemon.scrape().await;
    assert_eq!(value(&metrics, "campaign_account_up"), Some(0.0));
    assert_eq!(value(&metrics, "campaign_info"), None);
}

#[tokio::test]
async fn simulated_credits_match_the_documentation() {
    let simulator = Simulator::start(smsup(), State::new(TOKEN, Vec::new()));
    let simulator = simulator.await.unwrap();
    let request = client().get(simulator.base_url() + "/credits");
    let request = request
        .bearer_auth(TOKEN)
        .header("accept", "application/json");
    let text = request.send().await.unwrap().text().await.unwrap();
    let (simulated, documented): (Value, Value) = (
        serde_json::from_str(&text).unwrap(),
        serde_json::from_str(SMSUP_CREDITS).unwrap(),
    );
    assert_eq!(simulated, documented);
}

#[test]
fn the_last_page_differs_from_the_documented_page_only_in_its_link() {
    let mut page: Value = serde_json::from_str(CONSTANT_CONTACT).unwrap();
    page["_links"] = serde_json::json!({});
    let last: Value = serde_json::from_str(CONSTANT_CONTACT_LAST_PAGE).unwrap();
    assert_eq!(page, last);
}
