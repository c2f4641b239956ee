//! The documented setup for remote write, tested with two Prometheus servers.

use campaign_simulator::{Campaign, Counts};
use chrono::{TimeDelta, Utc};

use crate::support::apis::with_statuses;
use crate::support::daemon::{Daemon, Setup, account, config, run, simulate};
use crate::support::documents::block;
use crate::support::prometheus::{PROGRAM, Prometheus};

const DOCUMENT: &str = "docs/remote-write.md";

/// Replaces documented values with those of the test. All of them must be present.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in:\n{text}");
        text.replace(from, to)
    })
}

#[tokio::test]
async fn remote_write_transfers_all_series_and_staleness_markers() {
    let sent_at = Utc::now() - TimeDelta::days(1);
    let counts =
        Counts { recipients: 100, sends: 100, deliveries: 90, clicks: 30, ..Counts::default() };
    let campaigns = ["1", "2"].map(|id| Campaign::sms(id, "Spring", sent_at, counts));
    let simulator = simulate(with_statuses(), campaigns.to_vec()).await;
    let accounts = [account("shoes-ch", &simulator, &[])];
    let daemon = Daemon::start(Setup::new(&config(&accounts)), &[]).await;

    let commands = block(DOCUMENT, "console", "");
    assert!(commands.contains("--web.enable-remote-write-receiver"), "{commands}");
    let store = Prometheus::configured("", &["--web.enable-remote-write-receiver"]).await;
    let agent = block(DOCUMENT, "yaml", "# agent.yml\n");
    let agent = replaced(
        &agent,
        &[
            ("localhost:10058", daemon.address()),
            ("store:9090", store.address()),
            ("scrape_interval: 1m", "scrape_interval: 1s"),
        ],
    );
    // the document shows both the Prometheus 2 and the Prometheus 3 name
    let help = run(PROGRAM.command().arg("--help")).await;
    let flag = if String::from_utf8_lossy(&help.stdout).contains("--[no-]agent ") {
        "--agent"
    } else {
        "--enable-feature=agent"
    };
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    assert!(document.contains(flag), "{flag}");
    let _agent = Prometheus::agent(&agent, flag).await;

    let labels = format!(
        "{{account=\"shoes-ch\", campaign_id=\"1\", instance={:?}, job=\"campaign_exporter\"}}",
        daemon.address()
    );
    for (metric, value) in [("campaign_deliveries", 90.0), ("campaign_delivery_ratio", 0.9)] {
        let is_there = |found: &[(_, f64)]| matches!(found, [(_, found)] if *found == value);
        store.wait_for(&format!("{metric}{labels}"), is_there).await;
    }
    let up = |found: &[(_, f64)]| matches!(found, [(_, 1.0)]);
    store.wait_for("up", up).await;
    store.wait_for("campaign_deliveries", |found| found.len() == 2).await;
    simulator.update(|state| {
        let mut campaigns = state.campaigns.at(Utc::now()).into_owned();
        campaigns.retain(|campaign| campaign.id != "2");
        state.campaigns = campaigns.into();
    });
    // far sooner than after the staleness period of five minutes
    store.wait_for("campaign_deliveries", |found| found.len() == 1).await;
}
