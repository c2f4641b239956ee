//! The campaigns page and the report, with campaigns that an earlier process stored, so that every figure is
//! known.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campaign_exporter::campaign::counts::{Count, Counts};
use campaign_exporter::campaign::curve::Curves;
use campaign_exporter::campaign::figures::{Currency, Figure};
use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::window::Window;
use campaign_exporter::campaign::{Campaign, Channel, Status};
use campaign_exporter::config::Config;
use campaign_exporter::provider::native;
use campaign_exporter::storage::record::{DataRecord, PollRecord};
use campaign_exporter::storage::store::{Kind, Store};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::apis::any_api;
use crate::support::daemon::{
    Daemon, LIMIT, Setup, account, account_at, client, config, count, run, simulate,
};
use crate::support::tokens::renewed_at;

const DAY: i64 = 24;

/// A campaign that was sent some hours ago: attempted, delivered and clicked messages.
fn campaign(id: &str, hours: i64, counts: [Option<u64>; 3]) -> Campaign {
    let [sends, delivered, clicks] = counts;
    Campaign {
        id: id.to_owned(),
        name: format!("Offer {id}").into(),
        last_sent: Some(Utc::now() - TimeDelta::hours(hours)),
        counts: Counts::from([
            (Count::Sends, sends),
            (Count::Deliveries, delivered),
            (Count::Clicks, clicks),
        ]),
        ..Campaign::default()
    }
}

fn sent(id: &str, hours: i64, sends: u64, delivered: u64) -> Campaign {
    campaign(id, hours, [Some(sends), Some(delivered), None])
}

/// Accounts with their lookback and stored campaigns, which are not polled for an hour.
async fn setup(accounts: &[(&str, &str, &[Campaign])]) -> Setup {
    setup_with(accounts, Curves::default()).await
}

async fn setup_with(accounts: &[(&str, &str, &[Campaign])], curves: Curves) -> Setup {
    let yaml = accounts.iter().map(|(name, lookback, _)| {
        let lookback = format!("lookback: {lookback}");
        account_at(name, any_api(), "http://127.0.0.1:9", &[&lookback])
    });
    let yaml = yaml.collect::<String>();
    let global = "global: {poll_interval: 1h, stale_after: 1d, max_campaigns: 20000, \
                  reporting_time_zone: Asia/Tokyo}\naccounts:\n";
    let setup = Setup::new(&format!("{global}{yaml}"));
    let config = std::fs::read_to_string(setup.config_file()).unwrap();
    let config = Config::parse(&config, &native(), Some(Path::new("/"))).unwrap();
    let store = Arc::new(Store::open(&setup.storage()).unwrap());
    let curves = Arc::new(curves);
    for (account, (name, _, campaigns)) in config.accounts.iter().zip(accounts) {
        let (source, now) = (account.provider.source(), Utc::now());
        let window = Window::ending(now, account.polling.lookback);
        let data = DataRecord {
            source: source.clone(),
            saved: now,
            history: history(campaigns, window),
            curves: Arc::clone(&curves),
            credits: None,
            balance: None,
            reported_ratios: Vec::new(),
        };
        let poll = PollRecord {
            source,
            ended: now,
            failure: None,
            took: Duration::ZERO,
            last_success: Some(now),
            token_expiry: None,
            recent_requests: None,
            full_requests: None,
            last_full: Some(now),
            lookback: account.polling.lookback,
            data_saved: Some(now),
        };
        store.save(Kind::Campaigns, name, data).await.unwrap();
        store.save(Kind::Poll, name, poll).await.unwrap();
    }
    setup
}

fn history(campaigns: &[Campaign], window: Window) -> History {
    History::of_full_read(campaigns.iter().cloned().map(Arc::new).collect(), window)
}

async fn start(setup: Setup, arguments: &[&str]) -> Daemon {
    let storage = format!("--storage.path={}", setup.storage().display());
    Daemon::start(setup, &[&[storage.as_str()], arguments].concat()).await
}

async fn json(daemon: &Daemon, query: &str) -> Value {
    serde_json::from_str(&daemon.get(&format!("/campaigns?format=json&{query}")).await).unwrap()
}

async fn ids(daemon: &Daemon, query: &str) -> String {
    let json = json(daemon, query).await;
    let campaigns = json["campaigns"].as_array().unwrap().iter();
    let ids: Vec<_> = campaigns.map(|of| of["campaign_id"].as_str().unwrap()).collect();
    ids.join(" ")
}

/// The text of a page between its tags.
fn text(html: &str) -> String {
    let parts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn programs_see_which_accounts_have_no_data() {
    let daemon = start(setup(&[("one", "30d", &[sent("now", 3, 500, 400)])]).await, &[]).await;
    assert_eq!(json(&daemon, "").await["accounts_without_data"], json!([]));
    let without = setup(&[("one", "30d", &[])]).await;
    std::fs::remove_dir_all(without.storage()).unwrap();
    let daemon = start(without, &[]).await;
    let found = json(&daemon, "").await;
    assert_eq!(found["accounts_without_data"], json!(["one"]));
    assert_eq!(found["totals_before"], Value::Null);
}

#[tokio::test]
async fn campaigns_without_a_date_are_listed_or_told() {
    let undated = |id: &str| Campaign { last_sent: None, ..sent(id, 3, 500, 400) };
    let denied = |id: &str, hours| Campaign {
        created: sent(id, hours, 0, 0).last_sent,
        status: Some(Status::Denied),
        counts: Counts::default(),
        ..undated(id)
    };
    let campaigns = [undated("undated"), denied("denied", 3), denied("long-denied", 9 * DAY)];
    let daemon = start(setup(&[("one", "30d", &campaigns)]).await, &[]).await;
    assert_eq!(ids(&daemon, "").await, "denied");
    assert_eq!(
        ids(&daemon, "status=denied&period=14d&sort=name&order=asc").await,
        "denied long-denied"
    );
    let page = text(&daemon.get("/campaigns").await);
    let told = "In no period, since the provider does not tell when they were sent: 1 campaign.";
    assert!(page.contains(told), "{page}");
}

#[tokio::test]
async fn a_longer_lookback_compares_only_once_it_was_read() {
    let campaigns = [sent("now", 3, 500, 400), sent("before", 9 * DAY, 900, 0)];
    let setup = setup(&[("one", "10d", &campaigns)]).await;
    let config = std::fs::read_to_string(setup.config_file()).unwrap();
    let longer = config.replace("lookback: 10d", "lookback: 60d");
    assert_ne!(longer, config);
    std::fs::write(setup.config_file(), longer).unwrap();
    let daemon = start(setup, &[]).await;
    let found = json(&daemon, "period=7d").await;
    assert_eq!(found["totals"]["campaigns"], 1);
    assert_eq!(found["totals_before"], Value::Null);
    // what was read suffices for less
    assert_eq!(json(&daemon, "period=5d").await["totals_before"]["campaigns"], 1);
}

#[tokio::test]
async fn campaigns_are_filtered_and_sorted() {
    let mut planned = campaign("planned", 0, [None; 3]);
    planned.scheduled = planned.last_sent.take().map(|at| at + TimeDelta::days(1));
    planned.status = Some(Status::Waiting);
    let read = Campaign { channel: Channel::Whatsapp, ..sent("read", 5 * DAY, 100, 99) };
    let one = [planned, sent("new", 3, 500, 400), sent("old", 20 * DAY, 900, 0)];
    let two = [read, campaign("untold", 9 * DAY, [Some(50), None, Some(5)])];
    let daemon = start(setup(&[("one", "60d", &one), ("two", "60d", &two)]).await, &[]).await;
    for (query, expected) in [
        ("", "planned new read"),
        ("period=14d", "planned new read untold"),
        ("period=all", "planned new read untold old"),
        ("period=all&account=two", "read untold"),
        ("period=all&channel=whatsapp", "read"),
        ("period=all&status=waiting", "planned"),
        ("period=all&search=OFFER+o", "old"),
        ("period=all&search=TOLD&sort=&page=", "untold"),
        ("period=all&order=asc", "old untold read new planned"),
        ("period=all&sort=name", "new old planned read untold"),
        ("period=all&sort=attempted", "old new read untold planned"),
        // what is not known is last in both directions
        ("period=all&sort=delivery", "read new old planned untold"),
        ("period=all&sort=delivery&order=asc", "old new read planned untold"),
        ("period=all&sort=click", "untold planned new read old"),
        ("period=all&account=one&search=untold", ""),
    ] {
        assert_eq!(ids(&daemon, query).await, expected, "{query}");
    }
    let page = daemon.get("/campaigns?period=all&account=two").await;
    assert!(page.contains("<a href=\"campaign?account=two&amp;id=untold\">"), "{page}");
    assert!(text(&page).contains("|not reported|"), "{page}");
    // nothing was sent
    let none = json(&daemon, "status=waiting").await;
    let expected = serde_json::json!([0, null, null, null]);
    let totals = ["campaigns", "attempted", "bounces", "delivery_ratio"];
    assert_eq!(serde_json::json!(totals.map(|name| &none["totals"][name])), expected);
    let page = text(&daemon.get("/campaigns?status=waiting").await);
    assert!(page.contains("|Campaigns sent|0|unchanged|Attempted|none sent|"), "{page}");
    assert!(page.contains(" JST|waiting|not sent yet|"), "{page}");
    assert!(page.contains("1 campaign.") && !page.contains("ot reported:"), "{page}");
    let page = text(&daemon.get("/campaign?account=one&id=planned").await);
    assert!(page.contains(" JST|Account|") && page.contains("|Planned for|"), "{page}");
    for (path, status) in [
        ("/campaigns?account=three", 404),
        ("/campaigns?status=unknown", 400),
        ("/campaigns?x=y", 400),
        ("/campaign?account=one&id=read", 404),
        ("/campaign?account=one", 400),
        ("/campaign?account=two&id=read", 200),
        ("/campaigns/one", 404),
    ] {
        let found = client().get(daemon.url(path)).send().await.unwrap().status();
        assert_eq!(found, status, "{path}");
    }
    for path in ["/campaigns", "/campaign"] {
        let posted = client().post(daemon.url(path)).send().await.unwrap();
        assert_eq!(
            (posted.status().as_u16(), &posted.headers()["allow"]),
            (405, &"GET, HEAD".parse().unwrap())
        );
    }
    for query in ["", "?format=csv", "?format=json"] {
        let head = client().head(daemon.url(&format!("/campaigns{query}"))).send().await.unwrap();
        assert_eq!(
            (head.status().as_u16(), &head.headers()["x-content-type-options"]),
            (200, &"nosniff".parse().unwrap())
        );
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn many_campaigns_are_shown_in_pages_and_sent_in_parts() {
    let campaigns: Vec<_> = (0..450).map(|id| sent(&format!("{id:03}"), 1, 1_000, id)).collect();
    let setup = setup(&[("one", "60d", &campaigns)]).await;
    let daemon = start(setup, &["--web.route-prefix=/x"]).await;
    let mut link = "campaigns?sort=delivery&order=asc".to_owned();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let html = daemon.get(&format!("/x/{link}")).await;
        assert!(text(&html).contains(&format!("450 campaigns, page {page} of 3.")), "{html}");
        let found = html.split("id=").skip(1).map(|rest| rest[..3].to_owned());
        seen.extend(found);
        let next = html.split("<a href=\"").find(|rest| rest.contains("rel=\"next\">Next"));
        let next = next.and_then(|rest| rest.split('"').next());
        assert_eq!(next.is_some(), page < 3);
        link = next.unwrap_or_default().replace("&amp;", "&");
    }
    let expected: Vec<_> = (0..450).map(|id| format!("{id:03}")).collect();
    assert_eq!(seen, expected);
    assert!(daemon.get("/x/campaigns?page=99").await.contains("page 3 of 3"));
    let response = client().get(daemon.url("/x/campaigns?format=csv&sort=delivery&order=asc"));
    let response = response.send().await.unwrap();
    assert_eq!(response.content_length(), None, "not as a whole");
    let csv = response.text().await.unwrap();
    assert_eq!(csv.lines().count(), 451);
}

#[tokio::test]
async fn slow_readers_of_files_are_limited() {
    // more than sockets hold
    let campaigns: Vec<_> = (0..20_000).map(|id| sent(&id.to_string(), 30, 1_000, 900)).collect();
    let daemon = start(setup(&[("one", "60d", &campaigns)]).await, &[]).await;
    let file = async || client().get(daemon.url("/campaigns?format=json")).send().await.unwrap();
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(file().await);
    }
    assert!(readers.iter().all(|reader| reader.status() == 200));
    let refused = file().await;
    assert_eq!(refused.status(), 503);
    assert!(refused.text().await.unwrap().contains("Try again"));
    assert!(daemon.get("/campaigns").await.contains("20,000 campaigns, page 1 of 100."));
    assert!(daemon.scrape().await.contains("campaign_id=\"19999\""));
    let whole = readers.pop().unwrap().bytes().await.unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["campaigns"].as_array().unwrap().len(), 20_000);
    let free = async {
        while file().await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, free).await.unwrap();
}

#[tokio::test]
async fn a_period_is_compared_with_the_one_before() {
    let mut euro = campaign("euro", 30, [Some(1_000), Some(900), Some(100)]);
    let currency = Currency::from_code("EUR").unwrap();
    euro.figures = [(Figure::Cost(currency), 12.5)].into_iter().collect();
    let mut credits = sent("credits", 40, 500, 400);
    credits.cost_credits = Some(7.0);
    let arriving = sent("arriving", 1, 2_000, 200);
    let mut planned = sent("planned", -5, 9_999, 0);
    planned.scheduled = planned.last_sent.take();
    let before = campaign("before", 9 * DAY, [Some(1_000), Some(950), Some(50)]);
    let one = [euro, credits, arriving, planned, before, sent("older", 15 * DAY, 1, 1)];
    let two = [sent("two", 2 * DAY, 100, 100)];
    let setup = setup(&[("one", "60d", &one), ("two", "8d", &two)]).await;
    let daemon = start(setup, &[]).await;
    let found = json(&daemon, "account=one").await;
    let (now, before) = (&found["totals"], &found["totals_before"]);
    for (name, of_now, of_before) in [
        ("campaigns", Some(3.0), Some(1.0)),
        ("still_arriving", Some(1.0), Some(0.0)),
        ("attempted", Some(3_500.0), Some(1_000.0)),
        ("deliveries", Some(1_500.0), Some(950.0)),
        ("clicks", Some(100.0), Some(50.0)),
        ("click_ratio_denominator", Some(1_000.0), Some(1_000.0)),
        ("opens", None, None),
        // without the one whose receipts are arriving
        ("delivery_ratio", Some(1_300.0 / 1_500.0), Some(0.95)),
        // of those that report both counts
        ("click_ratio", Some(0.1), Some(0.05)),
        ("read_ratio", None, None),
    ] {
        assert_eq!((now[name].as_f64(), before[name].as_f64()), (of_now, of_before), "{name}");
    }
    assert_eq!(now["attempted"].to_string(), "3500");
    assert_eq!(now["cost"], serde_json::json!({"EUR": 12.5}));
    assert_eq!(now["cost_credits"][any_api().provider()], 7.0);
    let page = text(&daemon.get("/campaigns?account=one").await);
    for shown in [
        "Attempted|3,500|▲ |+2,500 (+250.0\u{a0}%)|",
        "Delivered|1,500|86.7 % of 1,500 attempted| (−8.3 points)|▲ |+550 (+57.9\u{a0}%)|",
        "Clicked|100|10.0 % of 1,000 attempted| (+5.0 points)|▲ |+50 (+100.0\u{a0}%)|",
        "Opened|not reported|",
        "Cost in EUR|12.50|",
        "relative to the 7 days before",
        "1 campaign is still receiving receipts: included",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // the other account was not read that far back
    assert_eq!(json(&daemon, "").await["totals_before"], Value::Null);
    let page = text(&daemon.get("/campaigns").await);
    assert!(page.contains("No comparison with the 7 days before: the data of two"), "{page}");
    assert!(page.contains("Attempted|3,600|Delivered|1,600|"), "{page}");
    let page = text(&daemon.get("/campaigns?period=30d").await);
    assert!(page.contains("The data of two begins on"), "{page}");
}

/// A campaign of 1,000 messages.
fn of_thousand(id: &str, hours: i64, delivered: u64) -> Campaign {
    sent(id, hours, 1_000, delivered)
}

#[tokio::test]
async fn rates_are_compared_with_what_is_usual_once_they_are_mature() {
    let mut campaigns = vec![of_thousand("low", 3, 700), of_thousand("young", 1, 500)];
    campaigns.extend((1..=8).map(|index| {
        let id = format!("usual-{index}");
        of_thousand(&id, 3 + 4 * index, 940 + index.unsigned_abs())
    }));
    let now = Utc::now();
    let known = history(&campaigns, Window::ending(now, Duration::from_hours(48)));
    let mut curves = Curves::default();
    for minutes in (0..40 * 60).rev().step_by(5) {
        let at = now - TimeDelta::minutes(minutes);
        curves.observe(Some((&known, at - TimeDelta::minutes(5))), &known, at);
    }
    let daemon = start(setup_with(&[("one", "60d", &campaigns)], curves).await, &[]).await;
    let row = async |search: &str| text(&daemon.get(&format!("/campaigns?search={search}")).await);
    let low = row("low").await;
    assert!(low.contains("70.0 %|usual: 9") && low.contains("▼ below usual"), "{low}");
    let young = row("young").await;
    assert!(young.contains("◔ still arriving") && young.contains("50.0 %|usual: 9"), "{young}");
    assert!(!young.contains("below usual"), "{young}");
    let page = daemon.get("/campaign?account=one&id=low").await;
    let chart = page.split("<svg class=\"chart\"").nth(1).unwrap().split("</svg>").next().unwrap();
    // at 10, 20, 40 minutes, 1 and 2 hours; the line ends now, at 3
    assert_eq!(chart.matches("class=\"own\" cx=").count(), 5, "{chart}");
    let points = |class: &str| {
        let begin = format!("class=\"{class}\" points=\"");
        chart.split(&begin).nth(1).unwrap().split('"').next().unwrap().split(' ').count()
    };
    assert_eq!((points("own"), points("median")), (6, 7), "{chart}");
    assert_eq!(points("band"), 2 * points("median"));
    let text = text(&page);
    assert!(text.contains("|2 h|70.0 %|9"), "{text}");
}

/// Names that attack a page or a spreadsheet.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    "+1",
    "-1",
    "\t=1",
    " =1",
    "\"quoted\", then\r\n;=a new line",
];

#[tokio::test]
async fn names_are_text_in_every_format() {
    let hostile = HOSTILE.iter().enumerate().map(|(index, name)| {
        let id = format!("{index}<&\"");
        // a cost that cannot be read
        let cost_credits = Some(f64::INFINITY);
        let counts = [Some(9), None, Some(0)];
        Campaign { name: (*name).into(), cost_credits, ..campaign(&id, 3, counts) }
    });
    let hostile: Vec<_> = hostile.collect();
    let daemon = start(setup(&[("one", "60d", &hostile)]).await, &[]).await;
    let response =
        client().get(daemon.url("/campaigns?format=csv&order=asc")).send().await.unwrap();
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"campaigns.csv\"");
    let csv = response.text().await.unwrap();
    let csv = csv.strip_prefix('\u{feff}').unwrap();
    let (_, lines) = csv.split_once("\r\n").unwrap();
    assert!(lines.ends_with("\r\n"));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    let place = |name: &str| head.iter().position(|field| field == name).unwrap();
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    for (record, name) in records.iter().zip(HOSTILE) {
        let is_formula = !name.starts_with(['<', '"']);
        let expected = format!("{}{name}", if is_formula { "'" } else { "" });
        assert_eq!(record[place("campaign_name")], expected);
        assert_eq!((&record[place("deliveries")], &record[place("clicks")]), ("", "0"));
        assert_eq!(record[place("cost_credits")], *"");
        let hour = (hostile[0].last_sent.unwrap() + TimeDelta::hours(9)).format("%H").to_string();
        assert_eq!(record[place("sent_hour")], hour);
    }
    assert_eq!(records.len(), HOSTILE.len());
    let json = json(&daemon, "order=asc").await;
    assert_eq!(json["campaigns"][1]["campaign_name"], HOSTILE[1]);
    assert_eq!(json["campaigns"][1]["deliveries"], Value::Null);
    let search = "/campaigns?search=%22%3E%3Cscript%3E";
    for path in ["/campaigns", "/campaign?account=one&id=0%3C%26%22", search] {
        let response = client().get(daemon.url(path)).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        let page = response.text().await.unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(!page.contains("credits"), "{page}");
    }
}

/// Runs `report`. Returns its exit code, the report, and the log.
async fn report(setup: &Setup, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = run(setup.command().arg("report").args(arguments)).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn unsent_messages_are_not_said_to_lack_a_receipt() {
    let counted = |id, count| {
        let mut campaign = of_thousand(id, 1, 400);
        campaign.status = Some(Status::InProgress);
        campaign.counts = Counts::from([
            (count, Some(1_000)),
            (Count::Deliveries, Some(400)),
            (Count::Bounces, Some(23)),
        ]);
        campaign
    };
    let all = [counted("sent", Count::Sends), counted("listed", Count::Recipients)];
    let setup = setup(&[("one", "60d", &all)]).await;
    let storage = format!("--storage.path={}", setup.storage().display());
    let (_, html, log) = report(&setup, &[&storage, "--stored"]).await;
    let page = text(&html);
    assert!(page.contains("|1,000|577 without a receipt|"), "{page}{log}");
    assert!(page.contains("|1,000|577 not sent yet or without a receipt|"), "{page}");
    let (_, markdown, _) = report(&setup, &[&storage, "--stored", "--format=md"]).await;
    assert!(markdown.contains("| 1,000 | 577 | 40.0 % |"), "{markdown}");
    assert!(markdown.contains("| 1,000 | 577 not sent yet or without a receipt |"), "{markdown}");
}

#[tokio::test]
async fn a_report_is_made_of_stored_campaigns() {
    let one: Vec<_> = (0..4).map(|id| of_thousand(&format!("n{id}"), 30, 900 + 10 * id)).collect();
    let hostile = Campaign { name: "a|b <b>*c*".into(), ..of_thousand("before", 40 * DAY, 950) };
    let mut lossy = Campaign { cost_credits: Some(7.0), ..of_thousand("lossy", 20 * DAY, 400) };
    lossy.counts.set(Count::Bounces, Some(23));
    let mut denied = Campaign { status: Some(Status::Denied), ..sent("denied", -5, 9, 0) };
    denied.scheduled = denied.last_sent.take();
    let one = [one, vec![hostile, lossy, denied, sent("tiny", 30, 199, 0)]].concat();
    let setup = setup(&[("one", "60d", &one)]).await;
    let storage = format!("--storage.path={}", setup.storage().display());
    let of_stored = [storage.as_str(), "--stored", "--period=30d"];
    let (code, html, log) = report(&setup, &of_stored).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!html.contains("href=") && !html.contains("src="), "{html}");
    let page = text(&html);
    assert!(page.contains("Campaigns sent|6|▲ |+5 (+500.0\u{a0}%)|Attempted|5,199|"), "{page}");
    // those with at least 200 messages
    let ranking = |title: &str, end: &str| {
        let list = page.split(&format!("|{title} share delivered|")).nth(1).unwrap();
        let list = list.split(end).next().unwrap().split("|Offer ").skip(1);
        list.map(|row| row.split('|').next().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ranking("Highest", "|Lowest "), "n3 n2 n1");
    assert_eq!(ranking("Lowest", "|Campaigns|"), "lossy n0");
    assert!(page.contains("|1,000|577 without a receipt|40.0 %|"), "{page}");
    let arguments = [&of_stored[..2], &["--format=md", "--period=60d"]].concat();
    let (_, markdown, _) = report(&setup, &arguments).await;
    for shown in [
        "| a\\|b \\<b\\>\\*c\\* | one | sms |",
        " JST | denied |  |  |  |  |  |\n",
        "| 1,000 | 577 | 40.0 % | 2.3 % | 7 credits |\n",
        "| Delivered | 5,010 | 80.8 % of attempted |",
    ] {
        assert!(markdown.contains(shown), "{shown}: {markdown}");
    }

    let file = setup.folder().join("report.csv");
    let output = format!("--output={}", file.display());
    let arguments = [&of_stored[..], &["--format=csv", &output]].concat();
    assert_eq!(report(&setup, &arguments).await.1, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 1 + 7);
    for (arguments, expected) in [
        (vec!["--stored"], "--stored needs --storage.path"),
        (vec!["--period=0s"], "invalid value '0s'"),
        (vec!["--account=x"], "the configuration has no such account"),
    ] {
        let (code, _, log) = report(&setup, &arguments).await;
        assert!(code == Some(2) && log.contains(expected), "{log}");
    }
}

#[tokio::test]
async fn the_cost_is_that_of_stored_or_stated_campaigns() {
    let one = [sent("a", 30, 100, 90), sent("b", 20 * DAY, 100, 90)];
    let setup = setup(&[("one", "60d", &one), ("two", "60d", &[])]).await;
    let storage = format!("--storage.path={}", setup.storage().display());
    let cost = async |arguments: &[&str]| {
        let output = run(setup.command().arg("cost").args(arguments)).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, json, log) = cost(&[&storage, "--format=json", "--scrape-interval=30s"]).await;
    assert_eq!(code, Some(0), "{log}");
    let costs: Value = serde_json::from_str(&json).unwrap();
    let number = |line: &Value, name: &str| line[name].as_u64().unwrap();
    let [first, second] = [&costs["accounts"][0], &costs["accounts"][1]];
    assert_eq!((number(first, "campaigns"), number(second, "campaigns")), (2, 0));
    assert_eq!(number(first, "samples_a_day"), 2_880 * number(first, "series"));
    let sum = number(first, "series") + number(second, "series");
    assert_eq!(number(&costs["total"], "series"), sum);
    let profiles = costs["profiles"].as_array().unwrap();
    let names = profiles.iter().map(|line| line["name"].as_str().unwrap());
    assert_eq!(names.clone().next(), Some("profile: full"));
    let of = |name| number(&profiles[names.clone().position(|it| it == name).unwrap()], "series");
    assert_eq!(of("profile: full"), sum);
    assert!(of("profile: standard") < sum && of("profile: essential") < of("profile: standard"));
    assert!(of("profile: full, detail: 7d") < sum);

    let (code, text, _) = cost(&["--campaigns=10", "--account=one"]).await;
    assert!(code == Some(0) && text.contains("\none "), "{text}");
    let renewed = renewed_at("renewed", "http://127.0.0.1:9", "id", &["refresh_token_file: token"]);
    setup.write_config(&config(&[renewed]));
    let (code, text, log) = cost(&["--campaigns=10"]).await;
    assert!(code == Some(0) && text.contains("\nrenewed "), "{log}");
    let (code, _, log) = cost(&[]).await;
    assert!(code == Some(2) && log.contains("a refresh token needs --storage.path"), "{log}");
}

#[tokio::test]
async fn costs_need_campaigns_and_a_reasonable_interval() {
    let setup = setup(&[("one", "60d", &[])]).await;
    for (arguments, expected) in [
        (vec![], "cost needs --campaigns N, or the --storage.path of a running exporter"),
        (vec!["--campaigns=0"], "invalid value '0'"),
        (vec!["--scrape-interval=1ms"], "invalid value '1ms'"),
    ] {
        let output = run(setup.command().arg("cost").args(arguments)).await;
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && log.contains(expected), "{log}");
    }
}

#[tokio::test]
async fn the_cost_of_an_account_is_what_its_scrape_has() {
    let campaigns: Vec<_> =
        (0_u32..200).map(|id| sent(&id.to_string(), i64::from(id), 100, 90)).collect();
    let few = campaigns.get(..7).unwrap();
    let daemon = {
        let setup = setup(&[("one", "60d", &campaigns), ("two", "60d", few)]).await;
        let storage = format!("--storage.path={}", setup.storage().display());
        Daemon::start(setup, &[&storage]).await
    };
    let metrics = daemon.until_up(2).await;
    assert_eq!(count(&metrics, "campaign_attempted{"), 207);
    let both = daemon.get("/metrics?account=one&account=two").await;
    let identity = daemon.get("/metrics?account=one").await;
    let compressed = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let compressed = compressed.get(daemon.url("/metrics?account=one"));
    let compressed = compressed.header("accept-encoding", "gzip").send().await.unwrap();
    let compressed = compressed.bytes().await.unwrap();
    let mut command = daemon.setup.command();
    let storage = format!("--storage.path={}", daemon.setup.storage().display());
    let output = run(command.args(["cost", "--format=json", &storage])).await;
    let costs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cost = |line: &Value| {
        ["series", "bytes", "gzip_bytes"]
            .map(|name| usize::try_from(line[name].as_u64().unwrap()).unwrap())
    };
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let expected = [series(&identity), identity.len(), compressed.len()];
    assert_eq!(cost(&costs["accounts"][0]), expected);
    // of a single scrape, with the number of series
    let [of_both, bytes, gzip_bytes] = cost(&costs["total"]);
    let own: String = metrics
        .split_inclusive('\n')
        .filter(|line| line.contains("campaign_exporter_series"))
        .collect();
    assert_eq!((of_both, bytes), (series(&both), both.len() + own.len()));
    let [.., first] = cost(&costs["accounts"][0]);
    let [.., second] = cost(&costs["accounts"][1]);
    assert!(gzip_bytes < first + second, "{gzip_bytes}");
}

#[tokio::test]
async fn a_report_of_one_poll_reads_the_period_before() {
    let of = |id: &str, days| {
        let counts = campaign_simulator::Counts {
            recipients: 1_000,
            sends: 1_000,
            deliveries: 900,
            ..campaign_simulator::Counts::default()
        };
        let at = Utc::now() - TimeDelta::days(days);
        campaign_simulator::Campaign::sms(id, format!("Offer {id}"), at, counts)
    };
    let simulator = simulate(any_api(), vec![of("1", 3), of("2", 4), of("3", 45)]).await;
    let good = account("good", &simulator, &[]);
    let setup = Setup::new(&config(std::slice::from_ref(&good)));
    let (code, markdown, log) = report(&setup, &["--format=md"]).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(markdown.contains("| Campaigns sent | 2 |  | 1 | +1 (+100.0 %) |"), "{markdown}");
    let bad = account_at("bad", any_api(), "http://127.0.0.1:9", &[]);
    setup.write_config(&config(&[good, bad]));
    let (code, markdown, log) = report(&setup, &["--format=md"]).await;
    assert_eq!(code, Some(1));
    assert!(log.contains("poll failed") && log.contains("account=bad"), "{log}");
    assert!(markdown.contains("> Could not be read, and missing here: bad."), "{markdown}");
    assert!(markdown.contains("| Campaigns sent | 2 |"), "{markdown}");
}
