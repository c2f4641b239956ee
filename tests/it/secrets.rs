//! No output of the exporter contains a secret.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use campaign_exporter::config::Config;
use campaign_exporter::document::secret::SecretSource;
use campaign_exporter::exposition::format::Format;
use campaign_exporter::provider::native;
use campaign_simulator::{Fault, FaultPlan, Simulator, State};
use tempfile::TempDir;

use crate::support::apis::{apis, smsup};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, TOKEN, account, client, config, count, program,
};

const FORMATS: [&str; 2] = ["logfmt", "json"];

/// A secret that occurs nowhere else, not even in part.
fn secret(place: &str) -> String {
    let number = place.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("zQ7{number:016x}Kx{:016x}", number.rotate_left(29))
}

/// Checks that a text contains neither a secret nor a recognizable part of it.
fn is_not_in(secret: &str, text: &str, what: &str) {
    for part in [secret, &secret[..16], &secret[secret.len() - 16..]] {
        assert!(
            !text.contains(part),
            "{what} shows {part} of {secret}:\n{text}"
        );
    }
}

/// Output of a command.
fn said(output: &Output) -> String {
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8(said).unwrap()
}

/// Runs a command with a configuration in both log formats.
async fn run(config_file: &Path, arguments: &[&str], format: &str) -> Output {
    let mut command = program();
    command.arg("--config.file").arg(config_file);
    command.args([
        "--log.level",
        "debug",
        "--log.format",
        format,
        "--web.listen-address",
    ]);
    command.arg("127.0.0.1:0").args(arguments);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    output.unwrap().unwrap()
}

/// Configurations with a misplaced secret, or with a problem near a secret.
fn bad_configurations() -> BTreeMap<&'static str, String> {
    let smsup = |lines: &str| format!("accounts:\n  - name: one\n    provider: smsup\n{lines}");
    let cinnox = |lines: &str| {
        format!(
            "accounts:\n  - name: one\n    provider: cinnox\n    app_id: app\n    token_env: T\n{lines}"
        )
    };
    let constant_contact =
        |lines: &str| format!("accounts:\n  - name: one\n    provider: constant_contact\n{lines}");
    BTreeMap::from([
        ("an inline token", smsup("    token: SECRET\n")),
        (
            "a quoted inline token",
            smsup("    token: 'SECRET'\n    token_file: /x\n"),
        ),
        ("a token without a blank", smsup("    token:SECRET: x\n")),
        ("a token as a key", smsup("    SECRET:\n")),
        ("an inline token in a list", smsup("    token: [SECRET]\n")),
        (
            "an inline token in a mapping",
            smsup("    token: {SECRET: SECRET}\n"),
        ),
        (
            "an inline token twice",
            smsup("    token: SECRET\n    token: SECRET\n"),
        ),
        (
            "an inline access token",
            constant_contact("    access_token: SECRET\n"),
        ),
        (
            "an inline client secret",
            constant_contact(
                "    client_id: id\n    client_secret: SECRET\n    access_token_env: T\n",
            ),
        ),
        (
            "an inline refresh token",
            constant_contact("    client_id: id\n    refresh_token: SECRET\n"),
        ),
        (
            "a password in base_url",
            cinnox("    base_url: https://user:SECRET@localhost/\n"),
        ),
        (
            "a user in base_url",
            cinnox("    base_url: https://SECRET@localhost/\n"),
        ),
        (
            "a password in a bad base_url",
            cinnox("    base_url: 'https://user:SECRET@local host/'\n"),
        ),
        (
            "a password in a base_url with a bad port",
            cinnox("    base_url: https://user:SECRET@localhost:99999/\n"),
        ),
        (
            "a password in a base_url without a scheme",
            cinnox("    base_url: user:SECRET@localhost\n"),
        ),
        (
            "a token in base_url's query",
            cinnox("    base_url: https://localhost/?token=SECRET\n"),
        ),
        (
            "a token in base_url's fragment",
            cinnox("    base_url: https://localhost/#SECRET\n"),
        ),
        (
            "a password in auth_url",
            constant_contact("    access_token_env: T\n    auth_url: https://a:SECRET@localhost\n"),
        ),
        ("a list as token_file", smsup("    token_file: [SECRET]\n")),
        (
            "a mapping as token_file",
            smsup("    token_file: {SECRET: 1}\n"),
        ),
        (
            "a mapping as token_env",
            smsup("    token_env: {a: SECRET}\n"),
        ),
        (
            "a token in place of a variable's name",
            smsup("    token_env: ey.SECRET-x\n"),
        ),
        (
            "a valid token next to a wrong type",
            smsup("    token: SECRET\n    poll_interval: [1]\n    time_zone: {}\n"),
        ),
        (
            "a syntax error after the token",
            smsup("    token: SECRET\n    poll_interval: 'open\n"),
        ),
        (
            "a syntax error in the token's line",
            smsup("    token: SECRET: x\n"),
        ),
        (
            "a token that is no YAML",
            smsup("    token: \"SECRET\\q\"\n"),
        ),
        ("a token that is not closed", smsup("    token: \"SECRET\n")),
        ("a token as an unknown alias", smsup("    token: *SECRET\n")),
        ("a token with a tag", smsup("    token: !!int SECRET\n")),
        (
            "a token that is badly indented",
            smsup("    token:\n   SECRET\n"),
        ),
        ("a token without a key", smsup("    SECRET\n")),
        ("a document that is a token", "SECRET".to_owned()),
        ("accounts that are a token", "accounts: SECRET\n".to_owned()),
        (
            "an account that is a token",
            "accounts: [SECRET]\n".to_owned(),
        ),
        (
            "a token in global",
            format!("global:\n  token: SECRET\n{}", smsup("    token_env: T\n")),
        ),
        (
            "a global that is a token",
            format!("global: SECRET\n{}", smsup("    token_env: T\n")),
        ),
    ])
}

#[tokio::test]
async fn configuration_errors_show_no_secrets() {
    for (index, (what, yaml)) in bad_configurations().into_iter().enumerate() {
        let secret = secret(what);
        let setup = Setup::new(&yaml.replace("SECRET", &secret));
        // every source and every format, but not all combinations
        let ways: [&[&str]; 3] = [&["--config.check"], &["poll"], &[]];
        for (way, arguments) in ways.into_iter().enumerate() {
            let format = FORMATS[(index + way) % 2];
            let output = run(&setup.config_file(), arguments, format).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{what} is refused:\n{said}");
            assert!(said.contains("campaign_exporter.yml"), "{what}: {said}");
            is_not_in(&secret, &said, what);
        }
        let error = Config::load(&setup.config_file(), &native(), None).unwrap_err();
        is_not_in(&secret, &format!("{error} {error:?}"), what);
    }
}

#[tokio::test]
async fn failed_reloads_show_no_secrets() {
    let simulator = Simulator::start(smsup(), State::new(TOKEN, Vec::new()));
    let simulator = simulator.await.unwrap();
    let good = config(&[account("one", &simulator, &[])]);
    let daemon = Daemon::start(Setup::new(&good), &["--web.enable-lifecycle"]).await;
    for (what, yaml) in bad_configurations() {
        let secret = secret(what);
        daemon.setup.write_config(&yaml.replace("SECRET", &secret));
        let response = client().post(daemon.url("/-/reload")).send().await.unwrap();
        assert_eq!(response.status(), 500, "{what}");
        is_not_in(&secret, &response.text().await.unwrap(), what);
        for page in ["/", "/status", "/config", "/metrics"] {
            is_not_in(&secret, &daemon.get(page).await, what);
        }
        is_not_in(&secret, &daemon.log(), what);
    }
    is_not_in(TOKEN, &daemon.log(), "the log");
}

/// Ways in which a provider may repeat a token.
fn echoes(token: &str) -> Vec<(&'static str, Fault)> {
    let body = |body: String| Fault::Body {
        content_type: "application/json",
        body,
    };
    let not_json = Fault::Body {
        content_type: "text/html",
        body: format!("<html>Bearer {token}</html>"),
    };
    let href = format!("https://{token}.example/v3/{token}");
    let location = format!("/{token}");
    // as escaped in JSON
    let token = serde_json::to_string(token).unwrap();
    let token = token.trim_matches('"');
    vec![
        ("in an error's message", Fault::EchoToken),
        (
            "in a success that is none",
            body(format!(r#"{{"status":-1,"code":401,"message":"{token}"}}"#)),
        ),
        (
            "in an error that is worth a retry",
            body(format!(
                r#"{{"status":-99,"code":6451001,"message":"{token}"}}"#
            )),
        ),
        (
            "late in a long message",
            body(format!(
                r#"{{"status":-1,"code":401,"message":"{}{token}"}}"#,
                "x".repeat(170)
            )),
        ),
        (
            "as a value of the wrong type",
            body(format!(
                r#"{{"status":"{token}","code":"{token}","bulk_sms_campaign_summaries":"{token}"}}"#
            )),
        ),
        (
            "as a list",
            body(format!(
                r#"{{"status":1,"code":200,"result":"{token}","campaigns":"{token}","bulk_sms_campaign_summaries":["{token}"]}}"#
            )),
        ),
        (
            "as an item's fields",
            body(format!(
                r#"{{"status":1,"code":200,"totalRecords":"{token}",
                "result":[{{"id":"1","channel":"SMS","delivered":"{token}","date":"{token}"}}],
                "campaigns":[{{"id":"1","total":"{token}","date":"{token}"}}],
                "bulk_sms_campaign_summaries":[{{"campaign_id":"1","last_sent_date":"{token}"}}]}}"#
            )),
        ),
        ("as a key", body(format!(r#"{{"{token}":1}}"#))),
        ("as no JSON", not_json),
        (
            "as broken JSON",
            body(format!(r#"{{"status":1,"code":200,"{token}"#)),
        ),
        ("in a link", Fault::Next { href }),
        ("in a redirect", Fault::Redirect { location }),
    ]
}

/// Accounts with separate tokens and providers, each repeating the token in a different way.
struct Echoing {
    setup: Setup,
    tokens: Vec<(String, String)>,
    simulators: Vec<Simulator>,
}

impl Echoing {
    async fn start() -> Self {
        let mut echoing = Self {
            setup: Setup::new(""),
            tokens: Vec::new(),
            simulators: Vec::new(),
        };
        let mut accounts = Vec::new();
        for (number, (api, provider)) in apis().into_iter().enumerate() {
            for index in 0..echoes("").len() {
                let name = format!("{provider}-{index}");
                // short like those of CINNOX, long like those of Constant Contact, or escaped in JSON
                let (parts, separator) = [(1, ""), (30, ""), (2, "\"\\")][(index + number) % 3];
                let parts: Vec<String> = (0..parts)
                    .map(|part| secret(&format!("{name}-{part}")))
                    .collect();
                let token = parts.join(separator);
                let (what, fault) = echoes(&token).swap_remove(index);
                let mut state = State::new(&token, Vec::new());
                state.fault = Some(FaultPlan::always(fault));
                let simulator = Simulator::start(api, state).await.unwrap();
                let file = echoing.setup.folder().join(&name);
                std::fs::write(&file, &token).unwrap();
                let yaml = account(&name, &simulator, &["poll_interval: 1h"]);
                accounts.push(yaml.replace("TOKEN_FILE", &file.display().to_string()));
                echoing.simulators.push(simulator);
                echoing
                    .tokens
                    .push((format!("{} {what}", api.provider()), token));
            }
        }
        echoing.setup.write_config(&config(&accounts));
        echoing
    }
}

#[tokio::test]
async fn poll_hides_tokens_repeated_by_the_provider() {
    let Echoing {
        setup,
        tokens,
        simulators,
    } = &Echoing::start().await;
    for format in FORMATS {
        let output = run(&setup.config_file(), &["poll"], format).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("[redacted]"),
            "some token was repeated: {said}"
        );
        for (what, token) in tokens {
            is_not_in(token, &said, what);
        }
    }
    for simulator in simulators {
        assert!(!simulator.requests().is_empty());
    }
}

async fn pages_and_logs_hide_repeated_tokens(format: &str) {
    let Echoing {
        setup,
        tokens,
        simulators: _simulators,
    } = Echoing::start().await;
    let mut command = program();
    command.arg("--config.file").arg(setup.config_file());
    let daemon = Daemon::start_command(command, setup, &["--log.format", format]).await;
    let last_poll = "campaign_account_last_poll_timestamp_seconds{";
    let all_polled = |metrics: &str| count(metrics, last_poll) == tokens.len();
    let mut said = vec![daemon.scrape_until(all_polled).await];
    for page in ["/metrics", "/config", "/", "/status", "/status?format=json"] {
        said.push(daemon.get(page).await);
    }
    for format in Format::ALL {
        let request = client().get(daemon.url("/metrics"));
        let request = request.header("accept", format.content_type());
        said.push(request.send().await.unwrap().text().await.unwrap());
    }
    daemon.signal("TERM").await;
    let (status, log) = daemon.wait().await;
    assert!(status.success(), "{log}");
    assert!(
        log.contains("poll failed") && log.contains("retrying"),
        "{log}"
    );
    assert!(log.contains("[redacted]"), "some token was repeated: {log}");
    said.push(log);
    for (what, token) in &tokens {
        for text in &said {
            is_not_in(token, text, what);
        }
    }
}

#[tokio::test]
async fn pages_and_logfmt_logs_hide_tokens_repeated_by_the_provider() {
    pages_and_logs_hide_repeated_tokens("logfmt").await;
}

#[tokio::test]
async fn pages_and_json_logs_hide_tokens_repeated_by_the_provider() {
    pages_and_logs_hide_repeated_tokens("json").await;
}

#[tokio::test]
async fn tokens_from_files_and_variables_are_used_but_never_shown() {
    for (index, format) in FORMATS.into_iter().enumerate() {
        let apis: Vec<_> = apis().into_iter().map(|(api, _)| api).collect();
        let folder = TempDir::new().unwrap();
        let mut accounts = Vec::new();
        let mut simulators = Vec::new();
        let mut secrets = Vec::new();
        let mut command = program();
        for (number, api) in apis.into_iter().enumerate() {
            let token = secret(&format!("{} {format}", api.provider()));
            let simulator = Simulator::start(api, State::new(&token, Vec::new()))
                .await
                .unwrap();
            let yaml = account(api.provider(), &simulator, &[]);
            let name = format!("TOKEN_OF_{number}");
            let yaml = if (number + index).is_multiple_of(2) {
                let path = folder.path().join(&name);
                std::fs::write(&path, format!("{token}\n")).unwrap();
                yaml.replace("TOKEN_FILE", &path.display().to_string())
            } else {
                command.env(&name, &token);
                yaml.replace("token_file: TOKEN_FILE", &format!("token_env: {name}"))
            };
            accounts.push(yaml);
            simulators.push(simulator);
            secrets.push(token);
        }
        let setup = Setup::new(&config(&accounts));
        command.arg("--config.file").arg(setup.config_file());
        let daemon = Daemon::start_command(command, setup, &["--log.format", format]).await;
        let up = |metrics: &str| {
            let up = metrics
                .lines()
                .filter(|line| line.starts_with("campaign_account_up{"));
            up.filter(|line| line.ends_with(" 1")).count() == 3
        };
        daemon.scrape_until(up).await;
        let mut pages = Vec::new();
        for page in [
            "/",
            "/config",
            "/metrics",
            "/-/ready",
            "/-/healthy",
            "/status",
        ] {
            pages.push(daemon.get(page).await);
        }
        assert!(pages[1].contains("TOKEN_OF_1"), "{}", pages[1]);
        daemon.signal("TERM").await;
        pages.push(daemon.wait().await.1);
        for secret in &secrets {
            for page in &pages {
                is_not_in(secret, page, format);
            }
        }
    }
}

#[tokio::test]
async fn invalid_token_files_are_named_but_not_shown() {
    let secret = secret("a token file");
    let simulator = Simulator::start(smsup(), State::new(TOKEN, Vec::new()));
    let simulator = simulator.await.unwrap();
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    for content in [
        format!("{secret}\n{secret}\n"),
        format!("{secret}\u{e9}"),
        format!("{secret}\0"),
        secret.repeat(2_000),
        secret.clone(),
    ] {
        std::fs::write(setup.token_file(), &content).unwrap();
        for format in FORMATS {
            let output = run(&setup.config_file(), &["poll"], format).await;
            assert_eq!(output.status.code(), Some(1));
            let said = said(&output);
            assert!(said.contains("poll failed"), "{said}");
            is_not_in(&secret, &said, "a poll");
        }
    }
}

#[tokio::test]
async fn debug_output_shows_no_secrets() {
    let secret = secret("debug");
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, &secret).unwrap();
    let yaml = format!(
        "accounts:\n  - name: one\n    provider: constant_contact\n    access_token_file: {path}\n  \
         - name: two\n    provider: cinnox\n    base_url: https://localhost\n    app_id: app\n    \
         token_file: {path}\n  - name: three\n    provider: smsup\n    token_file: {path}\n",
        path = token.display()
    );
    let config_file = folder.path().join("config.yml");
    std::fs::write(&config_file, yaml).unwrap();
    let config = Config::load(&config_file, &native(), None).unwrap();
    is_not_in(&secret, &format!("{config:?} {config:#?}"), "Config");
    is_not_in(&secret, &config.to_yaml(), "the configuration in force");

    let source = SecretSource::File(token);
    is_not_in(&secret, &format!("{source:?}"), "SecretSource");
    let read = source.read().await.unwrap();
    is_not_in(&secret, &format!("{read:?}"), "what was read");
}

#[test]
fn the_check_detects_exposed_secrets() {
    let secret = secret("anything");
    for text in [
        format!("x{secret}y"),
        secret[..20].to_owned(),
        secret[10..].to_owned(),
    ] {
        let found = std::panic::catch_unwind(|| is_not_in(&secret, &text, "a text"));
        assert!(found.is_err(), "{text}");
    }
}
