//! Strangers who open connections or guess passwords do not keep scrapers and probes out.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::daemon::{LIMIT, value};
use crate::web::{PASSWORD, Protected, identity, users, with_tls};

/// Connections that strangers keep open, more than the exporter allows.
const STRANGERS: usize = 400;

/// Prometheus' time limit for a scrape.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections that say nothing, and opens each again when it is closed.
fn idle_connections(address: &str) -> JoinSet<()> {
    let mut strangers = JoinSet::new();
    for _ in 0..STRANGERS {
        let address = address.to_owned();
        strangers.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    return;
                };
                // ends when the exporter closes the connection
                stream.read_u8().await.ok();
            }
        });
    }
    strangers
}

/// Sends a request with the right password over a new connection.
async fn request(client: reqwest::ClientBuilder, url: &str) -> reqwest::Response {
    let request = client.build().unwrap().get(url);
    let request = request.basic_auth("prometheus", Some(PASSWORD));
    request.timeout(SCRAPE_TIMEOUT).send().await.unwrap()
}

async fn idle_connections_keep_nobody_out(
    protected: &Protected,
    client: impl Fn() -> reqwest::ClientBuilder,
    origin: &str,
) {
    let _strangers = idle_connections(protected.daemon.address());
    let scrape = async || {
        let response = request(client(), &format!("{origin}/metrics")).await;
        assert_eq!(response.status(), StatusCode::OK);
        let metrics = response.text().await.unwrap();
        value(&metrics, "campaign_exporter_http_connections_dropped_total").unwrap()
    };
    let flooded = async { while scrape().await < STRANGERS as f64 {} };
    tokio::time::timeout(LIMIT, flooded).await.unwrap();
    for _ in 0..20 {
        scrape().await;
        let probe = request(client(), &format!("{origin}/-/healthy")).await;
        assert_eq!(probe.status(), StatusCode::OK);
    }
    let log = protected.daemon.log();
    assert_eq!(log.matches("too many connections").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_no_scrape_and_no_probe_out() {
    let protected = Protected::start("").await;
    let client = || Client::builder().no_proxy();
    idle_connections_keep_nobody_out(&protected, client, &protected.daemon.url("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_out_with_tls_certificates_and_users() {
    let verify = ["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: clients.crt"];
    let protected = Protected::start(&format!("{}{}", with_tls(&verify), users())).await;
    let (certificate, key) = protected.authority.client();
    let identity = identity(&certificate, &key);
    let client = || protected.authority.trusting().identity(identity.clone());
    let origin = protected.https().replace("/metrics", "");
    idle_connections_keep_nobody_out(&protected, client, &origin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessers_keep_no_scraper_out() {
    // a check of this cost takes longer than a request
    let hash = bcrypt::hash(PASSWORD, 8).unwrap();
    let users = format!("basic_auth_users:\n  prometheus: {hash}\n");
    let limit = "rate_limit:\n  interval: 1s\n  burst: 20\n";
    let protected = Protected::start(&format!("{users}{limit}")).await;
    let url = protected.daemon.url("/metrics");
    let mut guessers = JoinSet::new();
    let (sender, mut answered) = mpsc::channel(1);
    for guesser in 0..40 {
        let (url, sender) = (url.clone(), sender.clone());
        let address = IpAddr::from([127, 0, 0, 2]);
        let client = Client::builder().no_proxy().local_address(address);
        let client = client.build().unwrap();
        guessers.spawn(async move {
            let user = if guesser % 2 == 0 { "prometheus" } else { "root" };
            for guess in 0.. {
                let password = format!("{guesser}-{guess}");
                let request = client.get(&url).basic_auth(user, Some(password));
                let status = request.send().await.unwrap().status();
                assert_ne!(status, StatusCode::OK);
                sender.send(status).await.ok();
            }
        });
    }
    // every guesser waits, and some guesses were refused
    for _ in 0..40 {
        answered.recv().await.unwrap();
    }
    let mut answers = JoinSet::new();
    answers.spawn(async move { while answered.recv().await.is_some() {} });
    let mut scrapes: JoinSet<_> = (0..20)
        .map(|_| {
            let url = url.clone();
            async move { request(Client::builder().no_proxy(), &url).await.status() }
        })
        .collect();
    while let Some(status) = scrapes.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
}
