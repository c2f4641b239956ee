//! `backfill`, and what Prometheus makes of it.

use campaign_exporter::exposition::format::Format;
use campaign_simulator::Campaign;
use chrono::{TimeDelta, Utc};
use tempfile::TempDir;

use crate::support::apis::{COUNTS, any_api, with_channels, with_clicks};
use crate::support::daemon::{Setup, account, account_at, config, end, simulate};
use crate::support::prometheus::{HOSTILE, Prometheus};
use crate::support::promtool::create_blocks;
use crate::support::strict;

#[tokio::test]
async fn prometheus_answers_queries_about_months_before_the_first_scrape() {
    let now = Utc::now();
    let ago = |id: &str, name: &str, age| Campaign::sms(id, name, now - age, COUNTS);
    let of_spring = vec![
        ago("young", "Young", TimeDelta::hours(4)),
        ago("this month", HOSTILE, TimeDelta::days(9)),
        ago("last month", "Autumn", TimeDelta::days(50)),
        ago("too old", "Too old", TimeDelta::days(100)),
    ];
    let spring = simulate(with_clicks(), of_spring).await;
    let chat = Campaign::whatsapp("chat", "Chat", now - TimeDelta::days(8), COUNTS);
    let desk = simulate(with_channels(), vec![chat]).await;
    let accounts = [
        account("spring", &spring, &[]),
        account("desk", &desk, &[]),
        account_at("gone", any_api(), "http://127.0.0.1:9", &[]),
    ];
    let setup = Setup::new(&config(&accounts));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backfill");
    let mut command = setup.command();
    command.args(["backfill", "--period=90d", "--output"]).arg(&file);
    let (code, log) = end(&mut command).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("poll failed") && log.contains("account=gone"), "{log}");
    let oldest = (now - TimeDelta::days(50) + TimeDelta::hours(2)).format("%F");
    let expected = format!("account=spring written=2 oldest={oldest} unsettled=1");
    assert!(log.contains(&expected), "{log}");

    // one block of lines for each family, whatever the number of accounts
    let text = std::fs::read_to_string(&file).unwrap();
    let untimed = text.split_inclusive('\n').map(|line| match line.rsplit_once(' ') {
        Some((sample, _)) if !line.starts_with('#') => format!("{sample}\n"),
        _ => line.to_owned(),
    });
    strict::read(&untimed.collect::<String>(), Format::OpenMetrics);

    create_blocks(&file, &folder.path().join("data")).await;
    let prometheus = Prometheus::of_blocks(folder).await;
    let sum = |range| format!("sum by (account) (sum_over_time({range}))");
    let of = |account: &str, value: u64| {
        ([("account".to_owned(), account.to_owned())].into(), value as f64)
    };
    let recipients = COUNTS.recipients;
    let this_month = prometheus.query(&sum("campaign_attempted[30d]")).await;
    assert_eq!(this_month, [of("desk", recipients), of("spring", COUNTS.sends)]);
    let month_before = prometheus.query(&sum("campaign_clicks[30d] offset 30d")).await;
    assert_eq!(month_before, [of("spring", COUNTS.clicks)]);

    // exactly when receipts should have arrived, with the labels that rules and dashboards join by
    let settled = (now - TimeDelta::days(8) + TimeDelta::hours(6)).timestamp();
    let at = |at| format!("campaign_deliveries{{campaign_id=\"chat\"}} @ {at}");
    let found = prometheus.query(&at(settled)).await;
    let [(labels, deliveries)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(*deliveries, COUNTS.deliveries as f64);
    assert_eq!((&*labels["job"], &*labels["instance"]), ("campaign_exporter", "backfill"));
    assert_eq!(prometheus.query(&at(settled - 1)).await, []);
    let named = "last_over_time(campaign_info{campaign_id=\"this month\"}[30d])";
    assert_eq!(prometheus.query(named).await[0].0["campaign_name"], HOSTILE);
}
