//! Strangers who open connections or guess passwords do not keep scrapers and probes out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::apis::with_statuses;
use crate::support::daemon::{Daemon, LIMIT, Setup, account, config, program, simulate, value};
use crate::support::faults::Exported;
use crate::web::{PASSWORD, Protected, identity, users, with_tls};

/// Connections that strangers keep open, more than the exporter allows.
const STRANGERS: usize = 400;

/// Prometheus' time limit for a scrape.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections that say nothing from a number of addresses, and opens each again when it is closed.
fn idle_connections(address: &str, peers: u8) -> JoinSet<()> {
    let address: SocketAddr = address.parse().unwrap();
    let mut strangers = JoinSet::new();
    for stranger in 0..STRANGERS {
        let peer = 1 + u8::try_from(stranger % usize::from(peers)).unwrap();
        strangers.spawn(async move {
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::from(([127, 0, 0, peer], 0))).unwrap();
                let Ok(mut stream) = socket.connect(address).await else {
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
    let _strangers = idle_connections(protected.daemon.address(), 1);
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
async fn idle_connections_leave_files_to_scrapes_and_polls() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let mut command = Command::new("/bin/sh");
    command.env_clear().kill_on_drop(true);
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]);
    command.arg(program().as_std().get_program());
    command.arg("--config.file").arg(setup.config_file());
    command.arg("--storage.path").arg(setup.storage());
    let daemon = Daemon::start_command(command, setup, &[]).await;
    let metrics = daemon.until_up(1).await;
    let polls = Exported::of(&metrics, "one").polls("success");
    let _strangers = idle_connections(daemon.address(), 200);
    let end = async {
        loop {
            let client = Client::builder().no_proxy();
            let scraped = request(client, &daemon.url("/metrics")).await.text().await.unwrap();
            let dropped = value(&scraped, "campaign_exporter_http_connections_dropped_total");
            let one = Exported::of(&scraped, "one");
            assert_eq!(one.polls("failure"), 0.0);
            if dropped >= Some(2.0 * STRANGERS as f64) && one.polls("success") >= polls + 3.0 {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, end).await.unwrap();
    let log = daemon.log();
    assert!(!log.contains("cannot "), "{log}");
    assert_eq!(log.matches("too many connections").count(), 1, "{log}");
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
