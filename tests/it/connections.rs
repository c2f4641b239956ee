//! Connections to providers: silent and refusing peers, proxies, encodings, and addresses.

use std::io::Write;
use std::process::ExitStatus;

use campaign_simulator::Simulator;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::net::TcpListener;

use crate::support::apis::{apis, renewed, with_authorization, with_statuses};
use crate::support::daemon::{Daemon, Setup, account, config, poll_once, run, samples, simulate};
use crate::support::faults::{Exported, provider};
use crate::support::peers::{Front, Peer};
use crate::support::tls::authority_file;

const REQUESTS: &str = "campaign_exporter_api_requests_total";

/// Returns the YAML of an account at a simulator behind a server.
fn account_behind(name: &str, front: &str, simulator: &Simulator, more: &[&str]) -> String {
    account(name, simulator, more).replace(&simulator.base_url(), front)
}

/// Runs `poll` with variables of the environment.
async fn poll_with(setup: &Setup, variables: &[(&str, &str)]) -> (ExitStatus, String, String) {
    let mut command = setup.command();
    command.arg("poll");
    let output = run(command.envs(variables.iter().copied())).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

async fn behind(peer: Peer) -> (Simulator, Front, String) {
    let simulator = provider(with_statuses()).await;
    let front = Front::http2(&simulator, peer).await;
    let url = format!("https://localhost:{}", front.port());
    (simulator, front, url)
}

async fn start_daemon(accounts: &[String]) -> Daemon {
    let setup = Setup::new(&config(accounts));
    let authority = authority_file(setup.folder());
    let mut command = setup.command();
    command.env("SSL_CERT_FILE", authority);
    Daemon::start_command(command, setup, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_after_a_timeout_uses_another_connection() {
    let (simulator, front, url) = behind(Peer::Silent(4)).await;
    let accounts =
        ["one", "two"].map(|name| account_behind(name, &url, &simulator, &["request_timeout: 1s"]));
    let daemon = start_daemon(&accounts).await;
    daemon
        .scrape_until(|metrics| {
            let recovered = ["one", "two"].iter().all(|name| {
                let account = Exported::of(metrics, name);
                account.is_up() && account.retries() > 0.0
            });
            // each account may have begun with a connection of its own
            recovered && front.connections() > accounts.len()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_leaves_requests_of_other_accounts_running() {
    let (simulator, _front, url) = behind(Peer::Slow).await;
    let daemon = start_daemon(&[
        account_behind("slow", &format!("{url}/slow"), &simulator, &["poll_interval: 1h"]),
        account_behind("hasty", &format!("{url}/hasty"), &simulator, &["request_timeout: 1s"]),
    ])
    .await;
    let metrics =
        daemon.scrape_until(|metrics| Exported::of(metrics, "slow").polls("success") > 0.0);
    let slow = metrics.await;
    let slow = Exported::of(&slow, "slow");
    assert_eq!((slow.retries(), slow.all_errors()), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_counted() {
    for (peer, succeeds) in [(Peer::Refusing, false), (Peer::Leaving, true)] {
        let (simulator, front, url) = behind(peer).await;
        let setup = Setup::new(&config(&[account_behind("one", &url, &simulator, &[])]));
        let authority = authority_file(setup.folder());
        let variables = [("SSL_CERT_FILE", authority.to_str().unwrap())];
        let (status, metrics, log) = poll_with(&setup, &variables).await;
        assert_eq!(status.success(), succeeds, "{peer:?}: {log}");
        let counted: f64 = samples(&metrics, REQUESTS, &[]).iter().sum();
        assert_eq!(counted, front.asked().len() as f64, "{peer:?}: {log}");
    }
}

#[tokio::test]
async fn a_base_url_may_repeat_the_start_of_the_documented_path() {
    let mut accounts = Vec::new();
    let mut simulators = Vec::new();
    for (api, name) in apis() {
        let simulator = provider(api).await;
        let plain = Setup::new(&config(&[account(name, &simulator, &[])]));
        assert!(poll_once(&plain, &[]).await.0.success());
        let path = simulator.requests()[0].path().to_owned();
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.skip(1).chain([path.len()]) {
            for slash in ["", "/"] {
                let url = format!("{}{}{slash}", simulator.base_url(), &path[..end]);
                let name = format!("{name}{}", url.len());
                accounts.push(account_behind(&name, &url, &simulator, &[]));
            }
        }
        simulators.push(simulator);
    }
    let (status, metrics, log) = poll_once(&Setup::new(&config(&accounts)), &[]).await;
    assert!(status.success(), "{log}");
    assert!(accounts.len() > 4);
    let problems = samples(&metrics, "campaign_exporter_decode_problems_total", &[]);
    assert_eq!(problems.iter().sum::<f64>(), 0.0, "{metrics}");
    assert_eq!(samples(&metrics, "campaign_account_up", &[]), vec![1.0; accounts.len()]);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Headers and bodies by the name of their case.
fn unusual(case: &str, body: Vec<u8>) -> (String, Vec<u8>) {
    let encoding = |value: &str| format!("content-encoding: {value}\r\n");
    match case {
        "upper" => (encoding("GZIP"), gzip(&body)),
        "x" => (encoding("x-gzip"), gzip(&body)),
        "list" => (encoding(" identity ,Gzip,"), gzip(&body)),
        "twice" => (encoding("gzip") + &encoding("gzip"), gzip(&gzip(&body))),
        "identity" => (encoding("identity"), body),
        "empty" => (encoding(""), body),
        "brotli" => (encoding("br"), body),
        "thrice" => (encoding("gzip,gzip,gzip"), gzip(&gzip(&gzip(&body)))),
        "broken" => (encoding("gzip"), body),
        "headers" => ("x: y\r\n".repeat(900), body),
        _ => ("x: y\r\n".repeat(1_100), body),
    }
}

#[tokio::test]
async fn encodings_and_many_headers_are_read_or_named() {
    let simulator = provider(with_statuses()).await;
    let front = Front::http1(&simulator, unusual).await;
    let cases = [
        ("upper", None, ""),
        ("x", None, ""),
        ("list", None, ""),
        ("twice", None, ""),
        ("identity", None, ""),
        ("empty", None, ""),
        ("headers", None, ""),
        ("brotli", Some("decode"), r#"Content-Encoding \"br\""#),
        ("thrice", Some("decode"), r#"Content-Encoding \"gzip\""#),
        // plain in fact
        ("broken", None, ""),
        ("more-headers", Some("too_large"), "message head is too large"),
    ];
    let accounts = cases.map(|(case, ..)| {
        let url = format!("http://127.0.0.1:{}/case-{case}", front.port());
        account_behind(case, &url, &simulator, &[])
    });
    let (_, metrics, log) = poll_once(&Setup::new(&config(&accounts)), &[]).await;
    for (case, reason, message) in cases {
        let account = Exported::of(&metrics, case);
        assert_eq!(account.last_reason().as_deref(), reason, "{case}: {log}");
        assert!(log.replace(r"\\", r"\").contains(message), "{case}: {log}");
    }
}

#[tokio::test]
async fn a_proxy_is_used_or_refused_but_never_bypassed() {
    let simulator = provider(with_statuses()).await;
    let proxy = Front::http1(&simulator, |_, body| (String::new(), body)).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let address = format!("127.0.0.1:{}", proxy.port());
    let destination = simulator.base_url();
    let destination = destination.strip_prefix("http://").unwrap();
    let poll = async |variables: &[(&str, &str)]| {
        let before = (proxy.asked().len(), simulator.requests().len());
        let (status, _, log) = poll_with(&setup, variables).await;
        let through = proxy.asked().len() - before.0;
        let arrived = simulator.requests().len() - before.1;
        (status.code(), through, arrived, log)
    };
    for value in [&address, &format!(" http://u:p@{address}/\n")] {
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            let (code, through, arrived, log) = poll(&[(name, value)]).await;
            assert_eq!(code, Some(0), "{log}");
            assert!(through > 0 && through == arrived, "{name} {value:?}: {log}");
        }
    }
    let elsewhere = destination.replace(':', ":1");
    for (list, is_direct) in [
        ("*", true),
        ("x.example 127.0.0.1", true),
        ("127.0.0.0/8", true),
        (destination, true),
        (elsewhere.as_str(), false),
        (".example", false),
    ] {
        let (code, through, _, log) = poll(&[("HTTP_PROXY", &address), ("NO_PROXY", list)]).await;
        assert_eq!((code, through == 0), (Some(0), is_direct), "{list}: {log}");
    }
    let (code, _, _, log) = poll(&[("HTTP_PROXY", "http://u:hunter2@127.0.0.1:1/path")]).await;
    assert_eq!(code, Some(1), "{log}");
    let at_proxy = format!("proxy 127.0.0.1:1, for {destination}: ");
    assert!(log.contains(&at_proxy) && !log.contains("hunter2"), "{log}");
    for value in ["\"http://u:hunter2@x\"", "::::", "socks5://u:hunter2@x", "http://u:hunter2@x y"]
    {
        let (code, _, arrived, log) = poll(&[("HTTP_PROXY", value)]).await;
        assert_eq!((code, arrived), (Some(2), 0), "{value}: {log}");
        assert!(log.contains("HTTP_PROXY") && !log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn network_errors_and_their_advice_name_the_host() {
    for (api, _) in apis() {
        let simulator = simulate(api, Vec::new()).await;
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
        let cases = [
            ("network", "http://no-such.invalid:81", "no-such.invalid:81"),
            ("network", "http://127.0.0.1:1", "127.0.0.1:1"),
            ("timeout", &format!("http://{silent}"), &silent),
            ("tls", &simulator.base_url().replace("http:", "https:"), ""),
        ];
        for (reason, url, host) in cases {
            let host = if host.is_empty() { url.trim_start_matches("https://") } else { host };
            let url = format!("{url}/hidden-path");
            let own = account_behind("one", &url, &simulator, &["request_timeout: 1s"]);
            let (_, _, log) = poll_with(&Setup::new(&config(&[own])), &[]).await;
            let line = log.lines().find(|line| line.contains("poll failed")).unwrap();
            assert!(line.contains(&format!("reason={reason} error=\"{host}: ")), "{line}");
            let (_, advice) = line.split_once("advice=").unwrap();
            assert!(advice.contains(&format!("`{host}`")), "{line}");
            let within = line.contains(": no complete response within 1s");
            assert_eq!(within, reason == "timeout", "{line}");
            assert_eq!(advice.contains("Correct the scheme"), reason == "tls", "{line}");
            assert!(!line.contains("hidden-path"), "{line}");
        }
    }
    let simulator = simulate(with_authorization(), Vec::new()).await;
    let setup = Setup::new("");
    let token = setup.folder().join("refresh");
    std::fs::write(&token, "first").unwrap();
    setup.write_config(&config(&[renewed("one", &simulator, &token, &[])]));
    let host = simulator.base_url().replace("http://", "");
    drop(simulator);
    let storage = setup.storage().display().to_string();
    let (_, _, log) = poll_once(&setup, &["--storage.path", &storage]).await;
    let told = format!("error=\"authorization server: {host}: ");
    assert!(log.contains(&told), "{log}");
}
