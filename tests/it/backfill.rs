//! `backfill`, and what Prometheus makes of it.

use campaign_exporter::exposition::format::Format;
use campaign_simulator::Campaign;
use chrono::{TimeDelta, Utc};
use tempfile::TempDir;

use crate::support::apis::{COUNTS, any_api, with_channels, with_clicks};
use crate::support::daemon::{Setup, account, account_at, config, end, simulate};
use crate::support::grafana::Dashboard;
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

#[tokio::test]
async fn planning_counts_backfilled_campaigns_once() {
    let now = Utc::now();
    let ago = |id: &str, days| Campaign::sms(id, id, now - TimeDelta::days(days), COUNTS);
    let campaigns = vec![ago("scraped", 9), ago("earlier", 25), ago("before", 40)];
    let spring = simulate(with_clicks(), campaigns).await;
    let setup = Setup::new(&config(&[account("spring", &spring, &[])]));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backfill");
    let mut command = setup.command();
    command.args(["backfill", "--period=90d", "--output"]).arg(&file);
    let (code, log) = end(&mut command).await;
    assert_eq!(code, Some(0), "{log}");
    let data = folder.path().join("data");
    create_blocks(&file, &data).await;
    // as Prometheus scraped the only campaign that the exporter still reads
    let text = std::fs::read_to_string(&file).unwrap();
    let own = text.lines().filter(|line| line.contains("campaign_id=\"scraped\""));
    let scraped = own.map(|line| {
        let (sample, _) = line.rsplit_once(' ').unwrap();
        sample.replace("instance=\"backfill\"", "instance=\"exporter\"")
    });
    let labels = scraped.clone().find(|line| line.starts_with("campaign_attempted{")).unwrap();
    let (labels, _) = labels.split_once('{').unwrap().1.rsplit_once('}').unwrap();
    let of_account = labels.split(',').filter(|it| !it.starts_with('c')).collect::<Vec<_>>();
    let of_account = of_account.join(",");
    let rest = [
        format!("campaign:age:seconds{{{labels}}} {}", 9 * 86_400),
        format!("campaign_account_up{{{of_account}}} 1"),
        format!("campaign_account_lookback_seconds{{{of_account}}} 1209600"),
    ];
    let mut live: Vec<_> =
        scraped.chain(rest).map(|line| format!("{line} {}", now.timestamp())).collect();
    live.push("# EOF\n".to_owned());
    std::fs::write(&file, live.join("\n")).unwrap();
    create_blocks(&file, &data).await;

    let prometheus = Prometheus::of_blocks(folder).await;
    let mut all = Dashboard::shipped().into_iter();
    let mut planning = all.find(|dashboard| dashboard.uid == "campaigns-marketing").unwrap();
    planning.range = 30 * 86_400;
    let choice = planning.all();
    let ask = async |title: &str| {
        let query = planning.queries.iter().find(|query| query.title == title).unwrap();
        prometheus.query(&planning.fill(&query.expr, &choice)).await
    };
    let of = async |title: &str, measure: &str| {
        let found = ask(title).await;
        let mut row = found
            .iter()
            .filter(|(labels, _)| labels.get("measure").is_none_or(|own| own == measure));
        let value = row.next().unwrap_or_else(|| panic!("{title}: {found:?}")).1;
        assert!(row.next().is_none(), "{found:?}");
        value
    };
    let sends = COUNTS.sends as f64;
    let clicked = COUNTS.clicks as f64 / sends;
    for (title, measure, expected) in [
        ("Totals A", "Campaigns", 2.0),
        ("Totals A", "attempted", 2.0 * sends),
        ("Totals B", "Campaigns", 1.0),
        ("Totals B", "attempted", sends),
        ("Rates, of the messages attempted A", "clicks", 100.0 * clicked),
        ("Rates, of the messages attempted B", "clicks", 100.0 * clicked),
        ("From message to reaction, of the messages attempted A", "", 2.0 * sends),
        ("Accounts whose period before is not known A", "", 0.0),
        ("Opt-outs by account B", "", COUNTS.opt_outs as f64),
    ] {
        let found = of(title, measure).await;
        assert!((found - expected).abs() < 1e-9, "{title} {measure}: {found}");
    }
    // with the names of both
    assert_eq!(
        ask("Best, by what was gained against the usual rate: ${result:text} A").await.len(),
        2
    );
}
