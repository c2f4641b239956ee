//! Startup, endpoints, shutdown, and exit codes.

use std::collections::HashSet;

use campaign_exporter::document::keys::{Default, Takes};
use campaign_exporter::provider::Kind;
use campaign_exporter::provider::definition::built_in::{BUILT_IN, BuiltIn};
use campaign_simulator::{Campaign, Counts, Fault, Simulator, State};
use chrono::{TimeDelta, Utc};
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::apis::{kinds, with_authorization, with_channels, with_statuses};
use crate::support::daemon::{
    self, Daemon, LIMIT, Setup, account, client, config, count, end, poll_once, program, sample,
    samples, simulate,
};
use crate::support::faults::{break_down, status};

/// `WhatsApp` campaigns, which have the most series.
async fn provider(campaigns: i64) -> Simulator {
    let counts = Counts {
        recipients: 10,
        deliveries: 9,
        reads: 5,
        replies: 2,
        bounces: 1,
        ..Counts::default()
    };
    let seconds = (1..=campaigns).map(TimeDelta::seconds);
    let campaigns = seconds
        .map(|ago| Campaign::whatsapp(ago.to_string(), "Spring", Utc::now() - ago, counts))
        .collect();
    simulate(with_channels(), campaigns).await
}

fn fail(simulator: &Simulator) {
    break_down(simulator, status(401, None));
}

fn stall(simulator: &Simulator) {
    break_down(simulator, Fault::Stall);
}

/// Runs the exporter to completion; returns its exit code and output.
async fn run(arguments: &[&str]) -> (Option<i32>, String) {
    end(program().args(arguments)).await
}

#[tokio::test]
async fn scrapes_succeed_before_there_is_any_data() {
    let simulator = provider(1).await;
    stall(&simulator);
    let yaml = config(&[account("one", &simulator, &["request_timeout: 1s"])]);
    let daemon = Daemon::start(Setup::new(&yaml), &["--web.enable-lifecycle"]).await;
    let metrics = daemon.scrape().await;
    let value = |name| sample(&metrics, name, &[r#"account="one""#]);
    assert_eq!(value("campaign_account_up"), Some(0.0));
    assert_eq!(value("campaign_account_poll_interval_seconds"), Some(1.0));
    assert!(value("campaign_account_poll_duration_seconds").is_some());
    assert!(value("campaign_account_lookback_seconds").is_some());
    for absent in [
        "campaign_account_campaigns",
        "campaign_account_campaigns_dropped",
        "campaign_account_last_success_timestamp_seconds",
        "campaign_account_last_poll_timestamp_seconds",
        "campaign_account_delivery_ratio",
    ] {
        assert_eq!(value(absent), None, "{absent}");
    }
    assert!(!metrics.contains("campaign_id="), "{metrics}");
    let errors = samples(&metrics, "campaign_exporter_poll_errors_total", &[]);
    assert_eq!(errors, [0.0; 12]);
    assert_eq!(daemon.status("/-/healthy").await, 200);
    assert_eq!(daemon.status("/-/ready").await, 503);

    // failed polls count
    fail(&simulator);
    let metrics = daemon
        .scrape_until(|metrics| {
            let polls = "campaign_account_last_poll_timestamp_seconds";
            sample(metrics, polls, &[]).is_some()
        })
        .await;
    assert_eq!(sample(&metrics, "campaign_account_up", &[]), Some(0.0));
    let success = "campaign_account_last_success_timestamp_seconds";
    assert_eq!(sample(&metrics, success, &[]), None);
    assert_eq!(daemon.status("/-/ready").await, 200);

    // readiness is permanent, even with a new account that has not been polled
    stall(&simulator);
    let more = account("two", &simulator, &[]);
    daemon.setup.write_config(&(yaml + &more));
    let reload = client().post(daemon.url("/-/reload")).send().await.unwrap();
    assert_eq!(reload.status(), 200);
    let metrics = daemon.scrape().await;
    let two = [r#"account="two""#];
    assert_eq!(sample(&metrics, "campaign_account_up", &two), Some(0.0));
    let polled = sample(&metrics, "campaign_account_last_poll_timestamp_seconds", &two);
    assert_eq!(polled, None);
    assert_eq!(daemon.status("/-/ready").await, 200);
}

#[tokio::test]
async fn endpoints_accept_only_get_and_head() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let daemon = Daemon::start(setup, &[]).await;
    daemon.scrape_until(|metrics| count(metrics, "campaign_deliveries") == 1).await;
    for (path, content_type, text) in [
        ("/metrics", "text/plain; version=0.0.4", "campaign_deliveries{"),
        ("/", "text/html", r#"<a href="./metrics">"#),
        ("/status", "text/html", "Lowest delivery ratios"),
        ("/status?", "text/html", "Lowest delivery ratios"),
        ("/status?format=json", "application/json", "\"account\":\"one\""),
        ("/campaigns", "text/html", "Campaigns of the last 7 days"),
        ("/-/healthy", "text/plain", "healthy"),
        ("/-/ready", "text/plain", "ready"),
        ("/config", "text/plain", "name: one"),
        // the query is not part of the path
        ("/config?a=b", "text/plain", "name: one"),
        ("/metrics?account=one", "text/plain; version=0.0.4", "campaign_deliveries{"),
        ("/sd", "application/json", r#""__param_account":"one""#),
    ] {
        let ask = async |method| {
            let request = client().request(method, daemon.url(path));
            // the client hides the length of responses that it decompresses
            let request = request.header("accept-encoding", "identity");
            request.send().await.unwrap()
        };
        let get = ask(Method::GET).await;
        assert_eq!(get.status(), 200, "{path}");
        let found = get.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(found.starts_with(content_type), "{path}: {found}");
        assert!(get.text().await.unwrap().contains(text), "{path}");

        let head = ask(Method::HEAD).await;
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(head.headers()["content-type"], found, "{path}");
        let length = head.headers()["content-length"].to_str().unwrap();
        assert!(length.parse::<usize>().unwrap() > 0, "{path}");
        assert_eq!(head.text().await.unwrap(), "", "{path}");

        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let refused = ask(method.clone()).await;
            assert_eq!(refused.status(), 405, "{method} {path}");
            assert_eq!(refused.headers()["allow"], "GET, HEAD", "{method} {path}");
        }
    }
    for path in ["/metrics/", "/favicon.ico", "/-/", "/-/quit", "/Metrics", "//metrics"] {
        assert_eq!(daemon.status(path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn garbage_is_rejected_without_side_effects() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let daemon = Daemon::start(setup, &[]).await;
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"no request at all\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(daemon.address()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        // closes the input, so that the server does not wait for more
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection was not closed");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(daemon.status("/-/healthy").await, 200);
}

/// Starts a daemon whose exposition exceeds any socket buffer.
async fn large() -> (Simulator, Daemon) {
    let simulator = provider(5_000).await;
    let yaml = config(&[account("one", &simulator, &["poll_interval: 1h"])]);
    let daemon = Daemon::start(Setup::new(&yaml), &[]).await;
    daemon.scrape_until(|metrics| count(metrics, "campaign_deliveries") == 5_000).await;
    (simulator, daemon)
}

/// Starts a slow scraper, which has received the first bytes of its response.
async fn slow_scrape(daemon: &Daemon) -> (TcpStream, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(daemon.address().parse().unwrap()).await.unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut begin = vec![0; 1_000];
    stream.read_exact(&mut begin).await.unwrap();
    assert!(begin.starts_with(b"HTTP/1.1 200 OK\r\n"));
    (stream, begin)
}

#[tokio::test]
async fn large_request_bodies_are_rejected() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let daemon = Daemon::start(setup, &["--web.enable-lifecycle"]).await;
    let reload = |body: String| client().post(daemon.url("/-/reload")).body(body).send();
    assert_eq!(reload("x".repeat(2_000)).await.unwrap().status(), 413);
    assert_eq!(reload("x".to_owned()).await.unwrap().status(), 200);
}

/// Waits until connections are refused.
async fn closed(address: &str) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, closed).await.unwrap();
}

#[tokio::test]
async fn shutdown_waits_for_scrapes_in_progress() {
    let (_simulator, mut daemon) = large().await;
    let (mut stream, mut answer) = slow_scrape(&daemon).await;
    daemon.signal("TERM").await;
    daemon.wait_for_log("stopping").await;
    closed(daemon.address()).await;

    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    read.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    assert_eq!(length, Some(body.len()));
    assert_eq!(count(body, "campaign_deliveries"), 5_000);
    assert!(body.contains("\nprocess_start_time_seconds "));
    let (status, log) = daemon.wait().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("in time"), "{log}");
}

#[tokio::test]
async fn a_stalled_client_does_not_block_shutdown() {
    let (_simulator, daemon) = large().await;
    let (_stream, _) = slow_scrape(&daemon).await;
    let log = daemon.stop().await;
    // it waited for the grace period, but not longer
    assert!(log.contains("a connection did not close in time"), "{log}");
}

#[tokio::test]
async fn signals_cause_a_clean_shutdown_at_any_time() {
    for signal in ["TERM", "INT"] {
        let simulator = provider(1).await;
        stall(&simulator);
        let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
        let daemon = Daemon::start(setup, &[]).await;
        // shutdown waits neither for polls nor for idle connections
        let asked = simulator.wait_for(|state| state.answered > 0);
        tokio::time::timeout(LIMIT, asked).await.unwrap();
        let _idle = TcpStream::connect(daemon.address()).await.unwrap();
        daemon.signal(signal).await;
        let (status, log) = daemon.wait().await;
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
        assert!(!log.contains("in time"), "{signal}: {log}");
    }
}

#[tokio::test]
async fn invalid_command_lines_exit_with_2() {
    for (arguments, what) in [
        (&["--no.such-flag"][..], "--no.such-flag"),
        (&["no-such-command"], "no-such-command"),
        (&["--log.level", "loud"], "loud"),
        (&["--web.listen-address", "nowhere"], "nowhere"),
        (&["--web.telemetry-path", "metrics"], "slash"),
        (&["--web.telemetry-path", "/-/ready"], "another endpoint"),
        (&["--config.file", "/nonexistent/c.yml"], "/nonexistent/c.yml"),
        (&["--config.check", "--config.file", "/nonexistent/c.yml"], "/nonexistent/c.yml"),
        (&["poll", "--config.file", "/nonexistent/c.yml"], "/nonexistent/c.yml"),
    ] {
        let (code, text) = run(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(what), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn invalid_configurations_exit_with_2_and_report_every_problem_with_its_location() {
    let required = |kind: &Kind| {
        let keys = kind.keys.iter().filter(|key| key.default == Default::Required);
        keys.map(|key| (key.takes == Takes::Secret, key.name.to_string())).collect::<Vec<_>>()
    };
    let kind = kinds().max_by_key(|kind| required(kind).len()).unwrap();
    let (secrets, keys): (Vec<_>, Vec<_>) = required(kind).into_iter().partition(|(is, _)| *is);
    let (name, secret) = (&kind.name, &secrets[0].1);
    let setup = Setup::new(&format!(
        "global:\n  poll_interval: 0s\naccounts:\n  - name: a\n    provider: {name}\n    \
         {secret}: inline\n  - name: a\n    provider: {name}\n    {secret}_file: TOKEN_FILE\n",
    ));
    let missing = keys.iter().map(|(_, key)| ("7:5", format!("accounts[1].{key}")));
    let problems = [
        ("2:18", "global.poll_interval"),
        ("6:5", "secrets are never written in the configuration"),
        ("7:11", "duplicate account name"),
    ];
    let problems = problems.map(|(place, what)| (place, what.to_owned())).into_iter();
    let problems: Vec<_> = problems.chain(missing).collect();
    let file = setup.config_file().display().to_string();
    for arguments in [&["--config.file", &file][..], &["--config.file", &file, "--config.check"]] {
        let (code, text) = run(arguments).await;
        assert_eq!(code, Some(2), "{text}");
        for (place, what) in &problems {
            let place = format!("{file}:{place}: ");
            let mut lines = text.lines().filter(|line| line.contains(&place));
            assert!(lines.any(|line| line.contains(what)), "{place}{what}: {text}");
        }
    }
}

#[tokio::test]
async fn config_check_warns_of_unreadable_secrets_and_asks_providers_if_wanted() {
    const PASTED: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    let good = simulate(with_statuses(), Vec::new()).await;
    let refusing = Simulator::start(with_statuses(), State::new("another", Vec::new()));
    let refusing = refusing.await.unwrap();
    let setup = Setup::new("");
    let file = |name| setup.folder().join(name);
    std::fs::write(file("empty"), " ").unwrap();
    std::fs::write(file("placeholder"), "CHANGE-ME").unwrap();
    std::fs::write(file("short"), "x7y8").unwrap();
    std::fs::write(file("header"), "Bearer x7y8x7y8").unwrap();
    std::fs::write(file("answer"), r#"{"token": "x7y8x7y8"}"#).unwrap();
    let places = [
        ("token_file", "token", None),
        ("token_file", "empty", Some("empty is empty")),
        ("token_file", "none", Some("none cannot be read: No such file")),
        ("token_file", ".", Some("Is a directory")),
        ("token_file", PASTED, Some("looks like the secret itself")),
        ("token_file", "placeholder", Some("is still the placeholder")),
        ("token_file", "short", Some("has fewer than 8 characters")),
        ("token_file", "header", Some("contains more than the secret")),
        ("token_file", "answer", Some("contains more than the secret")),
        ("token_env", "NO_SUCH_VARIABLE", Some("NO_SUCH_VARIABLE is not set")),
    ];
    // relative to the configuration file, wherever the program runs
    let accounts = places.iter().enumerate().map(|(number, (key, place, _))| {
        let name = format!("account-{number}");
        let account = account(&name, &good, &[]).replace("TOKEN_FILE", place);
        account.replace("token_file:", &format!("{key}:"))
    });
    setup.write_config(&config(&accounts.collect::<Vec<_>>()));
    let path = setup.config_file().display().to_string();
    let check = ["--config.check", "--config.file", &path];
    let (code, text) = run(&check).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(PASTED), "{text}");
    for (number, (key, _, problem)) in places.iter().enumerate() {
        let key = format!("accounts[{number}].{key}: ");
        let lines = text.lines();
        let line =
            lines.filter(|line| line.contains("level=warn")).find(|line| line.contains(&key));
        let is_right = problem.map(|problem| line.is_some_and(|line| line.contains(problem)));
        assert!(is_right.unwrap_or(line.is_none()), "{key} {text}");
    }

    let pasted = account("pasted", &good, &[]).replace("TOKEN_FILE", PASTED);
    let storage = setup.storage().display().to_string();
    setup.write_config(&config(&[pasted]));
    let daemon = Daemon::start(setup, &["--storage.path", &storage]).await;
    let failed = |metrics: &str| metrics.contains(r#"reason="auth"} 1"#);
    daemon.scrape_until(failed).await;
    for page in ["/status", "/status?format=json", "/config", "/metrics"] {
        let text = daemon.get(page).await;
        assert!(!text.contains(PASTED), "{page}: {text}");
    }
    let setup = daemon.end_by("TERM").await;
    for file in std::fs::read_dir(setup.storage()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(PASTED));
    }

    let accounts = [account("good", &good, &[]), account("bad", &refusing, &[])];
    setup.write_config(&config(&accounts));
    let (code, text) = run(&[&check[..], &["--probe"]].concat()).await;
    assert_eq!(code, Some(1), "{text}");
    let said = |level: &str, account: &str| {
        let found = [format!("level={level}"), format!("account={account}")];
        text.lines().any(|line| found.iter().all(|found| line.contains(found)))
    };
    assert!(said("info", "good") && said("warn", "bad"), "{text}");
    setup.write_config(&config(&accounts[..1]));
    let (code, text) = run(&[&check[..], &["--probe"]].concat()).await;
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test]
async fn config_check_warns_of_values_that_are_hardly_meant_and_hides_secrets() {
    const PASTED: &str = "zQ7d9f1c2a4b6e8f0Kx";
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let named = |name: &str| account(name, &simulator, &[]);
    let path = named("one").lines().fold(String::new(), |yaml, line| {
        let end = if line.contains("base_url") { format!("/v1/{PASTED}") } else { String::new() };
        yaml + line + &end + "\n"
    });
    let setup = Setup::new("");
    let file = setup.config_file().display().to_string();
    for (yaml, warning) in [
        (named(PASTED), Some("accounts[0].name: looks like a secret")),
        (named(&format!("Bearer {PASTED}")), Some("accounts[0].name: looks like a secret")),
        (path, Some(".base_url: looks like a secret")),
        (named("CHANGE-ME"), Some("accounts[0].name: is still the placeholder")),
        (named("marketing-team-de-2026"), None),
    ] {
        setup.write_config(&config(&[yaml]));
        let (code, text) = run(&["--config.check", "--config.file", &file]).await;
        assert_eq!(code, Some(0), "{text}");
        // an account's own name always stands in its messages
        let is_name = warning.is_some_and(|warning| warning.contains(".name"));
        assert!(is_name || !text.contains(PASTED), "{text}");
        let has_warning = text.contains("campaign_exporter.yml:");
        assert_eq!(has_warning, warning.is_some(), "{text}");
        assert!(text.contains(warning.unwrap_or_default()), "{text}");
    }
}

#[tokio::test]
async fn config_check_accepts_a_valid_configuration_without_requests() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let file = setup.config_file().display().to_string();
    let (code, text) = run(&["--config.check", "--config.file", &file]).await;
    assert_eq!(code, Some(0), "{text}");
    // valid but suspicious settings
    assert!(text.contains("use at least 1m"), "{text}");
    assert!(simulator.requests().is_empty());
}

#[tokio::test]
async fn config_check_warns_of_storage_that_cannot_be_written() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let file = setup.config_file().display().to_string();
    for (below, problem) in [
        ("", None),
        ("to/be/made", None),
        ("campaign_exporter.yml", Some("Not a directory")),
        ("campaign_exporter.yml/below", Some("Not a directory")),
    ] {
        let path = setup.folder().join(below);
        let existed = path.exists();
        let storage = path.display().to_string();
        let arguments = ["--config.check", "--config.file", &file, "--storage.path", &storage];
        let (code, text) = run(&arguments).await;
        assert_eq!(code, Some(0), "{text}");
        let warning = format!("--storage.path: cannot write to {storage}: ");
        assert_eq!(text.contains(&warning), problem.is_some(), "{text}");
        assert!(text.contains(problem.unwrap_or_default()), "{text}");
        assert_eq!(path.exists(), existed, "{below}");
    }
}

#[tokio::test]
async fn refresh_tokens_require_storage() {
    let simulator = simulate(with_authorization(), Vec::new()).await;
    let yaml = account("one", &simulator, &["client_id: \"1\""]);
    let setup = Setup::new(&config(&[yaml.replace("access_token_file", "refresh_token_file")]));
    let check = || {
        let mut command = setup.command();
        command.arg("--config.check");
        command
    };
    let (code, text) = end(&mut check()).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--storage.path") && text.contains("refresh_token_file"), "{text}");
    let folder = setup.folder();
    for command in [
        check().arg("--storage.path").arg(folder),
        check().env("CAMPAIGN_EXPORTER_STORAGE_PATH", folder),
        check().env("STATE_DIRECTORY", folder),
    ] {
        let (code, text) = end(command).await;
        assert_eq!(code, Some(0), "{text}");
    }
}

#[tokio::test]
async fn an_occupied_port_exits_with_1() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let file = setup.config_file().display().to_string();
    let occupied = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let arguments = ["--config.file", &file, "--web.listen-address", &address];
    let (code, text) = run(&arguments).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address), "{text}");
    assert!(simulator.requests().is_empty(), "it has to fail before it polls");
}

#[tokio::test]
async fn poll_prints_metrics_and_fails_if_an_account_fails() {
    let (good, bad) = (provider(3).await, provider(3).await);
    fail(&bad);
    let setup = Setup::new(&config(&[account("good", &good, &[]), account("bad", &bad, &[])]));

    let (status, metrics, log) = poll_once(&setup, &["--account", "good"]).await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(count(&metrics, "campaign_deliveries{"), 3);
    assert!(!metrics.contains(r#"account="bad""#));
    assert!(bad.requests().is_empty());
    // only the exposition
    let text = metrics.lines().find(|line| !line.starts_with('#') && !line.starts_with("campaign"));
    assert_eq!(text, None);

    let (status, metrics, log) = poll_once(&setup, &[]).await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert_eq!(samples(&metrics, "campaign_deliveries", &[r#"account="good""#]).len(), 3);
    let up = |account| sample(&metrics, "campaign_account_up", &[account]);
    assert_eq!(up(r#"account="good""#), Some(1.0));
    assert_eq!(up(r#"account="bad""#), Some(0.0));
    assert!(log.contains("account=bad"), "{log}");

    let (status, metrics, log) = poll_once(&setup, &["--account", "nobody"]).await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("account=nobody accounts=\"good, bad\""), "{log}");
    assert_eq!(metrics, "");
}

#[tokio::test]
async fn every_flag_has_an_environment_variable_and_flags_take_precedence() {
    let simulator = provider(1).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let mut command = program();
    command
        .env("CAMPAIGN_EXPORTER_CONFIG_FILE", setup.config_file())
        .env("CAMPAIGN_EXPORTER_WEB_TELEMETRY_PATH", "/campaigns")
        .env("CAMPAIGN_EXPORTER_WEB_ENABLE_LIFECYCLE", "true")
        // flags override these two: an unusable address, and a level that hides "listening"
        .env("CAMPAIGN_EXPORTER_WEB_LISTEN_ADDRESS", "192.0.2.1:1")
        .env("CAMPAIGN_EXPORTER_LOG_LEVEL", "error");
    let daemon = Daemon::start_command(command, setup, &[]).await;
    assert!(daemon.get("/campaigns").await.contains("campaign_account_up"));
    assert_eq!(daemon.status("/metrics").await, 404);
    let landing_page = daemon.get("/").await;
    assert!(landing_page.contains(r#"<a href="./campaigns">"#), "{landing_page}");
    let reload = client().post(daemon.url("/-/reload")).send().await.unwrap();
    assert_eq!(reload.status(), 200);

    for (name, value) in [
        ("CAMPAIGN_EXPORTER_LOG_LEVEL", "loud"),
        ("CAMPAIGN_EXPORTER_LOG_FORMAT", "poem"),
        ("CAMPAIGN_EXPORTER_WEB_LISTEN_ADDRESS", "nowhere"),
        ("CAMPAIGN_EXPORTER_WEB_TELEMETRY_PATH", "metrics"),
    ] {
        let (code, text) = end(program().env(name, value)).await;
        assert_eq!(code, Some(2), "{name}: {text}");
        assert!(text.contains(value), "{name}: {text}");
    }
    let mut check = program();
    check
        .env("CAMPAIGN_EXPORTER_CONFIG_CHECK", "true")
        .env("CAMPAIGN_EXPORTER_CONFIG_FILE", daemon.setup.config_file())
        .env("CAMPAIGN_EXPORTER_LOG_FORMAT", "json");
    let (code, text) = end(&mut check).await;
    assert_eq!(code, Some(0), "{text}");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line.is_object());
    }
    assert!(text.contains("the configuration is valid"), "{text}");
}

/// A definition of the user's own.
const OWN: &str = "\
name: own
title: Own
documentation: https://own.example
channels: [sms]
base_url: https://own.example
auth: {in: bearer}
lists: {get: /x, items: \"$.x[*]\", campaign: {id: $.id}}
";

#[tokio::test]
async fn init_writes_a_configuration_that_only_needs_its_secrets() {
    let names: Vec<_> = kinds().map(|kind| &*kind.name).collect();
    for chosen in names.chunks(1).chain([&names[..]]) {
        let setup = Setup::new("");
        let mut command = program();
        command.current_dir(setup.folder());
        let output = daemon::run(command.arg("init").args(chosen)).await;
        let yaml = String::from_utf8(output.stdout).unwrap();
        setup.write_config(&yaml);
        std::fs::create_dir(setup.folder().join("secrets")).unwrap();
        let lines = yaml.lines().filter(|line| !line.contains('#'));
        for (_, path) in lines.filter_map(|line| line.split_once("_file: ")) {
            std::fs::write(setup.folder().join(path), "long-secret").unwrap();
        }
        let steps = String::from_utf8(output.stderr).unwrap();
        for name in chosen {
            assert!(steps.contains(&format!("docs/providers/{name}.md")), "{steps}");
        }
        let file = setup.config_file().display().to_string();
        let storage = setup.storage().display().to_string();
        let arguments = ["--config.check", "--config.file", &file, "--storage.path", &storage];
        let (code, text) = run(&arguments).await;
        assert_eq!(code, Some(0), "{text}\n{yaml}");
        // only of what the user has to fill in
        let mut warnings = text.lines().filter(|line| line.contains("level=warn"));
        let is_placeholder = |line: &str| line.contains("is still the placeholder");
        assert!(warnings.all(is_placeholder), "{text}\n{yaml}");
        assert!(steps.contains("--config.check --probe --config.file"), "{steps}");
    }
    let own = Setup::new("");
    let path = own.folder().join("own.yml");
    std::fs::write(&path, OWN).unwrap();
    let path = path.display().to_string();
    let (code, yaml) = run(&["init", "--definition", &path]).await;
    assert_eq!(code, Some(0), "{yaml}");
    own.write_config(yaml.split("Next:").next().unwrap());
    std::fs::create_dir(own.folder().join("secrets")).unwrap();
    std::fs::write(own.folder().join("secrets/own-token"), "secret").unwrap();
    let file = own.config_file().display().to_string();
    let (code, text) = run(&["--config.check", "--config.file", &file]).await;
    assert_eq!(code, Some(0), "{text}\n{yaml}");
    assert!(yaml.contains("https://own.example says how to get credentials"), "{yaml}");
    let (code, text) = run(&["init", "nobody"]).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, text) = run(&["completions", shell]).await;
        assert_eq!(code, Some(0), "{shell}: {text}");
        for word in ["storage.path", "completions"] {
            assert!(text.contains(word), "{shell} {word}: {text}");
        }
    }
}

#[tokio::test]
async fn version_and_help_are_printed() {
    let (code, text) = run(&["--version"]).await;
    assert_eq!(code, Some(0), "{text}");
    let version = format!("campaign_exporter {} (revision ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&version), "{text}");
    let (code, text) = run(&["--help"]).await;
    assert_eq!(code, Some(0), "{text}");
    for word in ["--config.file", "--web.listen-address", "CAMPAIGN_EXPORTER_", "demo", "poll"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// Starts a demo; returns it with its metrics after polling all providers.
async fn demo(seed: &str) -> (Daemon, String) {
    let mut command = program();
    let setup = Setup::new("");
    // a killed demo leaves its directory behind
    command.args(["demo", "--seed", seed]).env("TMPDIR", setup.folder());
    let daemon = Daemon::start_command(command, setup, &[]).await;
    let metrics = daemon.until_up(kinds().count()).await;
    (daemon, metrics)
}

#[tokio::test]
async fn the_demo_shows_all_providers_with_changing_numbers() {
    let (daemon, metrics) = demo("1").await;
    for Kind { name, .. } in kinds() {
        let label = format!(r#"provider="{name}""#);
        let deliveries = samples(&metrics, "campaign_deliveries", &[&label]);
        assert!(deliveries.len() > 5, "{name}");
    }
    let whatsapp = samples(&metrics, "campaign_reads", &[r#"channel="whatsapp""#]);
    assert!(!whatsapp.is_empty());
    let sum = |metrics: &str| -> f64 { samples(metrics, "campaign_deliveries", &[]).iter().sum() };
    let before = sum(&metrics);
    daemon.scrape_until(|metrics| sum(metrics) > before).await;
    daemon.signal("TERM").await;
    assert_eq!(daemon.wait().await.0.code(), Some(0));
}

#[tokio::test]
async fn the_demo_has_the_same_campaigns_for_the_same_seed() {
    let ids = |metrics: &str| -> HashSet<String> {
        let lines = metrics.lines().filter(|line| line.starts_with("campaign_deliveries{"));
        let ids = lines.map(|line| line.split("campaign_id=").nth(1).unwrap().to_owned());
        ids.map(|rest| rest.split('}').next().unwrap().to_owned()).collect()
    };
    let (_first, first) = demo("7").await;
    let (_second, second) = demo("7").await;
    let (_other, other) = demo("8").await;
    let (first, second, other) = (ids(&first), ids(&second), ids(&other));
    // they start at different times, so only one may have the newest campaign
    let common = first.intersection(&second).count();
    assert!(common > 20 && common + 10 > first.len(), "{common} of {}", first.len());
    assert!(first.intersection(&other).count() < common / 2);
}

const DEFINITION: &str = r#"
name: parakeet
title: Parakeet
documentation: https://docs.parakeet.example
channels: [sms]
base_url: https://api.parakeet.example
auth: {in: bearer}
times:
  from: {of: window_start, format: rfc3339}
lists:
  get: /campaigns
  query: {from: "{from}"}
  items: $.campaigns[*]
  campaign:
    id: $.id
    name: $.name
    last_sent: $.at
    counts: {sends: $.sent, deliveries: $.delivered, replies: $.answered}
"#;

#[tokio::test]
async fn definitions_are_checked_tried_listed_and_shown() {
    let setup = Setup::new("");
    let file = |name: &str, text: &str| {
        let path = setup.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (code, listed) = run(&["definition", "list"]).await;
    assert_eq!(code, Some(0), "{listed}");
    assert!(BUILT_IN.iter().all(|definition| listed.contains(definition.name)), "{listed}");
    let BuiltIn { name, text, .. } = &BUILT_IN[0];
    let (code, shown) = run(&["definition", "show", name]).await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(text.trim()), "{shown}");

    let good = file("good.yml", DEFINITION);
    let fax = file("fax.yml", &DEFINITION.replace("channels: [sms]", "channels: [fax]"));
    let (code, text) = run(&["definition", "check", &fax]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("channel \"fax\" is not among sms, "), "{text}");
    let bad = DEFINITION.replace("$.id", "id").replace("{from}", "{form}");
    let bad = file("bad.yml", &bad);
    let (code, text) = run(&["definition", "check", &good]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("parakeet is valid"), "{text}");
    let (code, text) = run(&["definition", "check", &good, &bad]).await;
    assert_eq!(code, Some(1), "{text}");
    for problem in ["campaign.id: ", "unknown variable {form}"] {
        assert!(text.contains(problem), "{text}");
    }

    let answer =
        r#"{"campaigns":[{"id":7,"name":"Spring","sent":"10","delivered":9,"answered":-1}]}"#;
    let answer = file("answer.json", answer);
    let (code, text) = run(&["definition", "try", &good, &answer]).await;
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "sends=10 deliveries=9",
        r#"campaign_name="Spring"} 1"#,
        "campaign_delivery_ratio",
        "could not read answered: 1 value, \"-1\": not a count",
        "no item at `$.campaigns[*]` has `at`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let other = file("other.json", r#"{"message":"no"}"#);
    let (code, text) = run(&["definition", "try", name, &other]).await;
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = run(&["definition", "try", &good, &other]).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("without a list at `$.campaigns[*]`"), "{text}");
}
