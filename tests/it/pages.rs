//! HTML pages in a real browser.

use campaign_simulator::{Campaign, Counts, Fault, Simulator};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::support::apis::any_api;
use crate::support::browser::Browser;
use crate::support::daemon::{Daemon, LIMIT, Setup, account, client, config, sample, simulate};
use crate::support::faults::break_down;

/// Text with HTML markup that pages must show as text.
const HOSTILE: [&str; 5] = [
    "<script>document.title='broken'</script>",
    "\"><img src=x onerror=\"document.title='broken'\">",
    "</td></table><h1>broken</h1>",
    "\u{202e}gnp.exe \u{202a}left",
    "&lt;b&gt; & 'quoted' \"quoted\" `code`",
];

fn campaign(id: usize, name: &str, deliveries: u64) -> Campaign {
    let counts = Counts { recipients: 1_000, sends: 1_000, deliveries, ..Counts::default() };
    let sent_at = Utc::now() - TimeDelta::hours(12);
    Campaign::sms(format!("c-{id}"), name, sent_at, counts)
}

async fn hostile() -> Simulator {
    let long = "long-".repeat(2_000);
    let names = HOSTILE.iter().copied().chain([long.as_str()]);
    let campaigns = names.enumerate();
    let campaigns = campaigns.map(|(id, name)| campaign(id, name, 500 + id as u64));
    let mut campaigns: Vec<_> = campaigns.collect();
    campaigns.push(campaign(90, "perfect", 1_000));
    // too few to be significant
    let few = Counts { recipients: 10, sends: 10, deliveries: 1, ..Counts::default() };
    let sent_at = Utc::now() - TimeDelta::days(1);
    campaigns.push(Campaign::sms("c-91", "tiny", sent_at, few));
    simulate(any_api(), campaigns).await
}

/// Starts an exporter with a working account, a rejected one, and one with a hostile name.
async fn exporter() -> (Daemon, [Simulator; 3]) {
    let simulators = [hostile().await, hostile().await, hostile().await];
    let [good, refused, named] = &simulators;
    let accounts = [
        account("shoes-ch", good, &[]),
        account("refused", refused, &[]).replace("TOKEN_FILE", "OTHER_FILE"),
        account("'<b>bold</b>'", named, &[]),
    ];
    let setup = Setup::new("");
    let other = setup.folder().join("other");
    std::fs::write(&other, "wr0ng-token").unwrap();
    let yaml = config(&accounts).replace("OTHER_FILE", &other.display().to_string());
    setup.write_config(&yaml);
    let daemon = Daemon::start(setup, &[]).await;
    let polled = |metrics: &str| {
        let polls = |result: &str, account: &str| {
            let labels = [format!("result=\"{result}\""), format!("account=\"{account}\"")];
            let labels = labels.each_ref().map(String::as_str);
            sample(metrics, "campaign_exporter_polls_total", &labels).unwrap_or_default()
        };
        polls("success", "shoes-ch") > 0.0
            && polls("success", "<b>bold</b>") > 0.0
            && polls("failure", "refused") > 0.0
    };
    daemon.scrape_until(polled).await;
    (daemon, simulators)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_everything_as_text_on_any_screen() {
    let (daemon, _simulators) = exporter().await;
    let browser = Browser::start().await;
    for (width, dark) in [(360, false), (1280, false), (360, true), (1280, true)] {
        for (path, name) in [
            ("/", "landing"),
            ("/status", "status"),
            ("/campaigns", "campaigns"),
            ("/campaign?account=shoes-ch&id=c-0", "campaign"),
        ] {
            browser.open(&daemon.url(path), width, dark).await;
            let page = browser
                .run(
                    "return {title: document.title, text: document.body.innerText, \
                     wide: document.documentElement.scrollWidth, \
                     foreign: document.querySelectorAll('img, script, b, iframe, object').length, \
                     headings: document.querySelectorAll('h1').length, \
                     back: getComputedStyle(document.documentElement).colorScheme, \
                     size: getComputedStyle(document.querySelector('h1')).fontSize}",
                )
                .await;
            let at = format!("{path} at {width}, dark: {dark}: {page}");
            assert!(page["wide"].as_u64().unwrap() <= u64::from(width), "{at}");
            assert_eq!(page["foreign"], 0, "{at}");
            assert_eq!(page["headings"], 1, "{at}");
            // the page's own style sheet is allowed
            assert_eq!(page["size"], "24px", "{at}");
            assert_ne!(page["title"], "broken", "{at}");
            let text = page["text"].as_str().unwrap();
            if matches!(path, "/status" | "/campaigns") {
                for hostile in HOSTILE {
                    assert!(text.contains(hostile), "{hostile}: {at}");
                }
            }
            if path == "/status" {
                for shown in
                    ["<b>bold</b>", "shoes-ch", "auth", "which the next poll reads", "50.0 %"]
                {
                    assert!(text.contains(shown), "{shown}: {at}");
                }
                assert!(!text.contains("tiny"), "{at}");
            }
            let complaints: Vec<_> = browser.console().await;
            let of_page = |complaint: &&String| !complaint.contains("favicon");
            let complaints: Vec<_> = complaints.iter().filter(of_page).collect();
            assert!(complaints.is_empty(), "{complaints:?}");
            if let Some(folder) = std::env::var_os("CAMPAIGN_EXPORTER_SCREENSHOTS") {
                let scheme = if dark { "dark" } else { "light" };
                let file = format!("{name}-{width}-{scheme}.png");
                let folder = std::path::PathBuf::from(folder);
                std::fs::write(folder.join(file), browser.screenshot().await).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_available_as_json() {
    let (daemon, _simulators) = exporter().await;
    let text = daemon.get("/status?format=json").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    let accounts = status["accounts"].as_array().unwrap();
    let of = |name: &str| accounts.iter().find(|of| of["account"] == name).unwrap();
    let good = of("shoes-ch");
    assert_eq!(good["state"], "good");
    assert_eq!(good["campaigns"], 8);
    assert_eq!(good["error"], Value::Null);
    let time = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<Utc>>().unwrap();
    assert!(time(&good["next_poll"]) > time(&good["last_success"]));
    assert!(time(&good["last_poll"]) <= Utc::now());
    let refused = of("refused");
    assert_eq!(refused["state"], "down");
    assert_eq!(refused["error"]["reason"], "auth");
    assert_eq!(refused["last_success"], Value::Null);
    assert!(!text.contains("wr0ng-token"), "{text}");
    let worst = status["worst_campaigns"].as_array().unwrap();
    let ratios: Vec<_> =
        worst.iter().map(|worst| worst["delivery_ratio"].as_f64().unwrap()).collect();
    assert_eq!(worst.len(), 10);
    assert!(ratios.is_sorted(), "{ratios:?}");
    assert_eq!(worst[0]["campaign_name"], HOSTILE[0]);
    assert_eq!(worst[0]["attempted"], 1_000);

    let response = client().get(daemon.url("/status")).send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let response = client().get(daemon.url("/status?format=xml")).send().await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn every_link_works_below_any_prefix() {
    let simulator = hostile().await;
    let yaml = config(&[account("shoes-ch", &simulator, &[])]);
    let external = "--web.external-url=https://example.com/sms/";
    let (with_prefix, setup) = (Setup::new(&yaml), Setup::new(&yaml));
    every_link_works(&Daemon::start(setup, &[]).await, "").await;
    let daemon = Daemon::start(with_prefix, &[external]).await;
    every_link_works(&daemon, "/sms").await;
    // the client follows the redirect to the landing page
    for path in ["/", "/sms"] {
        let response = client().get(daemon.url(path)).send().await.unwrap();
        assert_eq!(response.url().path(), "/sms/");
    }
    for path in ["/metrics", "/smsx", "/-/healthy"] {
        let response = client().get(daemon.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    let targets = client().get(daemon.url("/sms/sd"));
    for (host, scheme) in [("example.com", json!("https")), ("a:1", Value::Null)] {
        let targets = targets.try_clone().unwrap().header("host", host);
        let targets = targets.send().await.unwrap().bytes().await.unwrap();
        let targets: Value = serde_json::from_slice(&targets).unwrap();
        let labels = &targets[0]["labels"];
        assert_eq!(labels["__metrics_path__"], "/sms/metrics");
        assert_eq!(labels["__scheme__"], scheme);
    }
}

async fn every_link_works(daemon: &Daemon, prefix: &str) {
    // not ready before that
    let ready = daemon.url(&format!("{prefix}/-/ready"));
    let ready = async {
        while client().get(&ready).send().await.unwrap().status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, ready).await.unwrap();
    for page in ["/", "/status", "/campaigns"] {
        let page = reqwest::Url::parse(&daemon.url(&format!("{prefix}{page}"))).unwrap();
        let html = client().get(page.clone()).send().await.unwrap();
        let html = html.text().await.unwrap();
        let links = html.split("<a href=\"").skip(1);
        let links: Vec<_> = links.filter_map(|link| link.split('"').next()).collect();
        assert!(links.contains(&"./metrics"), "{links:?}");
        for link in links {
            let response =
                client().get(page.join(&link.replace("&amp;", "&")).unwrap()).send().await.unwrap();
            assert_eq!(response.status(), 200, "{link}");
        }
    }
}

#[tokio::test]
async fn the_status_says_that_a_poll_is_running() {
    let simulator = simulate(any_api(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("shoes-ch", &simulator, &[])]));
    let daemon = Daemon::start(setup, &[]).await;
    let up = |metrics: &str| sample(metrics, "campaign_account_up", &[]) == Some(1.0);
    daemon.scrape_until(up).await;
    let page = daemon.get("/status").await;
    assert!(page.contains("Last poll</dt><dd><time"), "{page}");
    break_down(&simulator, Fault::Silence);
    let polling = async {
        loop {
            let json: Value =
                serde_json::from_str(&daemon.get("/status?format=json").await).unwrap();
            let page = daemon.get("/status").await;
            let says_so = page.contains("Next poll</dt><dd>polling now</dd>");
            // not between two polls
            if json["accounts"][0]["polling"] == true && says_so {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, polling).await.unwrap();
}
