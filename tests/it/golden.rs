//! Snapshots of the metrics for the providers' documented examples, polled over HTTP.

use campaign_exporter::exposition::format::Format;
use campaign_simulator::{Fault, FaultPlan, Simulator, State};

use crate::support::apis::{Api, apis, fixture, kind};
use crate::support::daemon::{Daemon, Setup, TOKEN, account, client, value};
use crate::support::promtool::check_metrics;
use crate::support::strict;

/// Families whose values depend on the time of the run.
const TIMES_OF_THE_RUN: [&str; 3] = [
    "campaign_account_last_success_timestamp_seconds",
    "campaign_account_last_poll_timestamp_seconds",
    "campaign_account_poll_duration_seconds",
];

/// Family that counts values that could not be read, without its suffix.
const PROBLEMS: &str = "campaign_exporter_decode_problems";

/// Starts an exporter that polls one account once, from a provider that first responds with `body`.
async fn polled(api: Api, body: &str) -> (Daemon, Simulator) {
    let fault = Fault::Body { content_type: "application/json", body: body.to_owned() };
    let mut state = State::new(TOKEN, Vec::new());
    state.fault = Some(FaultPlan::once(fault));
    let simulator = Simulator::start(api, state).await.unwrap();
    // a single poll, with a lookback that covers the examples of 2022
    let more = ["poll_interval: 1h", "lookback: 3650d"];
    let accounts = account(&kind(api).demo_account, &simulator, &more);
    let daemon = Daemon::start(Setup::new(&format!("accounts:\n{accounts}")), &[]).await;
    daemon
        .scrape_until(|metrics| value(metrics, "campaign_account_last_poll_timestamp").is_some())
        .await;
    (daemon, simulator)
}

/// Returns the lines on campaigns and accounts that do not depend on the run.
fn golden(text: &str) -> String {
    let kept = text.split_inclusive('\n').filter(|line| {
        let name = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE "));
        let name = name.or(line.strip_prefix("# UNIT ")).unwrap_or(line);
        let name = name.split(['{', ' ']).next().unwrap();
        let kept = strict::is_about_campaigns(name) || name.starts_with(PROBLEMS);
        kept && !TIMES_OF_THE_RUN.contains(&name)
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

/// Returns the fixture that is the only or the last page of a provider's example.
fn last_page(api: Api) -> String {
    let last = std::fs::read_to_string(fixture(api, "_last_page"));
    last.unwrap_or_else(|_| std::fs::read_to_string(fixture(api, "")).unwrap())
}

#[tokio::test]
async fn documented_examples_have_the_expected_metrics() {
    for (api, name) in apis() {
        let (daemon, _simulator) = polled(api, &last_page(api)).await;
        is_as_in_the_snapshots(name, &daemon).await;
    }
}

#[tokio::test]
async fn links_of_examples_are_followed_and_pages_count_together() {
    let linked = apis().into_iter().filter(|(api, _)| fixture(*api, "_last_page").exists());
    for (api, name) in linked {
        // the next page is missing, so the poll must fail without publishing anything
        let page = std::fs::read_to_string(fixture(api, "")).unwrap();
        let (daemon, simulator) = polled(api, &page).await;
        let requests = simulator.requests();
        assert_eq!(requests.len(), 2, "{name}: {requests:?}");
        assert!(page.contains(&format!("{:?}", requests[1].path_and_query)));
        let metrics = daemon.scrape().await;
        assert_eq!(value(&metrics, "campaign_account_up"), Some(0.0), "{name}");
        assert_eq!(value(&metrics, "campaign_info"), None, "{name}");
    }
}
