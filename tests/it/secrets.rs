//! No output of the exporter contains a secret.

use std::fs;
use std::path::Path;
use std::process::Output;

use campaign_exporter::config::Config;
use campaign_exporter::document::keys::Takes;
use campaign_exporter::document::secret::SecretSource;
use campaign_exporter::exposition::format::Format;
use campaign_exporter::provider::{Kind, native};
use campaign_simulator::{Campaign, Counts, Fault, FaultPlan, Simulator, State};
use chrono::Utc;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::apis::{Api, any_api, apis, count_of, fixture, kinds};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, TOKEN, account, client, config, count, program,
};
use crate::support::faults::json_body;

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
        assert!(!text.contains(part), "{what} shows {part} of {secret}:\n{text}");
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
    command.args(["--log.level", "debug", "--log.format", format, "--web.listen-address"]);
    command.arg("127.0.0.1:0").args(arguments);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    output.unwrap().unwrap()
}

/// An account of a provider without the keys that begin with `key`, and with other lines instead.
fn without(kind: &Kind, key: &str, lines: &str) -> String {
    let keys = kind.simulated.unwrap().account("https://localhost", Path::new("/x"));
    let keys = keys.as_object().unwrap().iter();
    let keys = keys.filter(|(own, _)| !own.starts_with(key));
    let keys = keys.map(|(key, value)| format!("    {key}: {value}\n"));
    let keys: String = keys.collect();
    format!("accounts:\n  - name: one\n{keys}{lines}")
}

/// Configurations with a misplaced secret, or with a problem near a secret.
fn bad_configurations() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (kind, key) in kinds().flat_map(|kind| kind.keys.iter().map(move |key| (kind, key))) {
        let name = &key.name;
        let lines: &[&str] = match key.takes {
            Takes::Secret => &["SECRET"],
            Takes::Url => &[
                "https://user:SECRET@localhost/",
                "https://SECRET@localhost/",
                "'https://user:SECRET@local host/'",
                "https://user:SECRET@localhost:99999/",
                "user:SECRET@localhost",
                "https://localhost/?token=SECRET",
                "https://localhost/#SECRET",
            ],
            _ => &[],
        };
        for value in lines {
            let line = format!("    {name}: {value}\n");
            all.push((format!("{} {line}", kind.name), without(kind, name, &line)));
        }
    }
    let kind = kinds().next().unwrap();
    let secret = kind.keys.iter().find(|key| matches!(key.takes, Takes::Secret));
    let secret = &secret.unwrap().name;
    for lines in [
        "TOKEN: 'SECRET'\n    TOKEN_file: /x",
        // without a blank
        "TOKEN:SECRET: x",
        "SECRET:",
        "TOKEN: [SECRET]",
        "TOKEN: {SECRET: SECRET}",
        "TOKEN: SECRET\n    TOKEN: SECRET",
        "TOKEN_file: [SECRET]",
        "TOKEN_file: {SECRET: 1}",
        "TOKEN_env: {a: SECRET}",
        "TOKEN_env: ey.SECRET-x",
        "TOKEN: SECRET\n    poll_interval: [1]\n    lookback: {}",
        "TOKEN: SECRET\n    poll_interval: 'open",
        "TOKEN: SECRET: x",
        // not YAML
        "TOKEN: \"SECRET\\q\"",
        "TOKEN: \"SECRET",
        "TOKEN: *SECRET",
        "TOKEN: !!int SECRET",
        "TOKEN:\n   SECRET",
        "SECRET",
    ] {
        let lines = lines.replace("TOKEN", secret);
        let yaml = without(kind, secret, &format!("    {lines}\n"));
        all.push((lines, yaml));
    }
    let good = without(kind, "nothing", "");
    let values = [
        ("provider", "SECRET"),
        ("poll_interval", "SECRET"),
        ("poll_interval", "Bearer SECRET"),
        ("info_labels", "[SECRET]"),
        ("name", "one\n    SECRET: 1\n    SECRET: 1"),
        ("name", "SECRET\n    lookback: 1"),
    ];
    for (key, value) in values {
        let line = format!("    {key}: {value}\n");
        let yaml = match key {
            "name" => good.replace("name: one", line.trim()),
            key => without(kind, key, &line),
        };
        all.push((line, yaml));
    }
    let twice = good.replace("one", "SECRET");
    all.push(("duplicate".to_owned(), twice.clone() + &twice.replace("accounts:\n", "")));
    all.push(("definitions".to_owned(), format!("definitions: [SECRET]\n{good}")));
    for yaml in ["SECRET", "accounts: SECRET\n", "accounts: [SECRET]\n"] {
        all.push((yaml.to_owned(), yaml.to_owned()));
    }
    for global in ["\n  token: SECRET", " SECRET"] {
        let yaml = format!("global:{global}\n{good}");
        all.push((global.to_owned(), yaml));
    }
    all
}

#[tokio::test]
async fn configuration_errors_show_no_secrets() {
    for (index, (what, yaml)) in bad_configurations().into_iter().enumerate() {
        let secret = secret(&what);
        let setup = Setup::new(&yaml.replace("SECRET", &secret));
        // every source and every format, but not all combinations
        let ways: [&[&str]; 3] = [&["--config.check"], &["poll"], &[]];
        for (way, arguments) in ways.into_iter().enumerate() {
            let format = FORMATS[(index + way) % 2];
            let output = run(&setup.config_file(), arguments, format).await;
            let said = said(&output);
            assert_eq!(output.status.code(), Some(2), "{what} is refused:\n{said}");
            assert!(said.contains("campaign_exporter.yml"), "{what}: {said}");
            is_not_in(&secret, &said, &what);
        }
        let error = Config::load(&setup.config_file(), &native(), None).await.unwrap_err();
        is_not_in(&secret, &format!("{error} {error:?}"), &what);
    }
}

#[tokio::test]
async fn arguments_show_no_secrets() {
    let kind = kinds().next().unwrap();
    let setup = Setup::new(&without(kind, "nothing", ""));
    let web_config = setup.folder().join("web.yml");
    let web_config_file = web_config.to_str().unwrap();
    for arguments in [
        &["poll", "--account", "SECRET"][..],
        &["authorize", "SECRET"],
        &["init", "SECRET"],
        &["SECRET"],
        &["--web.external-url", "https://anna:SECRET@exporter.example/"],
        &["--web.external-url", "anna:SECRET@exporter.example"],
        &["--shard", "Bearer SECRET"],
        &["--config.check", "--web.config.file", web_config_file],
    ] {
        let secret = secret(&arguments.concat());
        let cert = "tls_server_config: {cert_file: SECRET, key_file: /a/SECRET}\n";
        fs::write(&web_config, cert.replace("SECRET", &secret)).unwrap();
        let arguments: Vec<_> =
            arguments.iter().map(|argument| argument.replace("SECRET", &secret)).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = run(&setup.config_file(), &arguments, "logfmt").await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("<hidden>"), "{said}");
        is_not_in(&secret, &said, &arguments.concat());
    }
}

#[tokio::test]
async fn failed_reloads_show_no_secrets() {
    let simulator = Simulator::start(any_api(), State::new(TOKEN, Vec::new()));
    let simulator = simulator.await.unwrap();
    let good = config(&[account("one", &simulator, &[])]);
    let daemon = Daemon::start(Setup::new(&good), &["--web.enable-lifecycle"]).await;
    for (what, yaml) in bad_configurations() {
        let secret = secret(&what);
        daemon.setup.write_config(&yaml.replace("SECRET", &secret));
        let response = client().post(daemon.url("/-/reload")).send().await.unwrap();
        assert_eq!(response.status(), 500, "{what}");
        is_not_in(&secret, &response.text().await.unwrap(), &what);
        for page in ["/", "/status", "/campaigns", "/config", "/metrics"] {
            is_not_in(&secret, &daemon.get(page).await, &what);
        }
        is_not_in(&secret, &daemon.log(), &what);
    }
    is_not_in(TOKEN, &daemon.log(), "the log");
}

/// Ways in which a provider may repeat a token.
fn echoes(api: Api, token: &str) -> Vec<(String, Fault)> {
    let listing = api.listing();
    let state = State::new(token, Vec::new());
    let campaign = Campaign::sms("1", "Spring", Utc::now(), Counts::default());
    let mut item = api.item(&state, Utc::now(), &campaign);
    item[listing.date] = json!(token);
    *count_of(&mut item, &listing, listing.deliveries) = json!(token);
    let mut wrong_success = listing.page(json!(token));
    if let Some((member, _)) = listing.success {
        wrong_success[member] = json!(token);
    }
    let mut bodies = vec![
        listing.page(json!([item])),
        listing.page(json!([token])),
        listing.page(json!(token)),
        wrong_success,
        json!({ token: 1 }),
    ];
    // in the message of a documented error, early or late
    let failures = fs::read_to_string(fixture(api, "_failures")).unwrap();
    let failures: Vec<Value> = serde_json::from_str(&failures).unwrap();
    let messages = [token.to_owned(), format!("{}{token}", "x".repeat(170))];
    for mut body in failures.into_iter().map(|mut failure| failure["body"].take()) {
        if body.get("message").is_some() {
            bodies.extend(messages.iter().map(|message| {
                body["message"] = json!(message);
                body.clone()
            }));
        }
    }
    let mut texts: Vec<_> = bodies.iter().map(Value::to_string).collect();
    let cut = listing.page(json!(token)).to_string();
    texts.push(cut[..cut.len() - 2].to_owned());
    let mut faults: Vec<_> =
        texts.into_iter().map(|body| (body.clone(), json_body(&body))).collect();
    let not_json =
        Fault::Body { content_type: "text/html", body: format!("<html>Bearer {token}</html>") };
    let href = format!("https://{token}.example/v3/{token}");
    let location = format!("/{token}");
    faults.extend([
        ("in an error's message".to_owned(), Fault::EchoToken),
        ("as no JSON".to_owned(), not_json),
        ("in a link".to_owned(), Fault::Next { href }),
        ("in a redirect".to_owned(), Fault::Redirect { location }),
    ]);
    faults
}

/// Accounts with separate tokens and providers, each repeating the token in a different way.
struct Echoing {
    setup: Setup,
    tokens: Vec<(String, String)>,
    simulators: Vec<Simulator>,
}

impl Echoing {
    async fn start() -> Self {
        let mut echoing =
            Self { setup: Setup::new(""), tokens: Vec::new(), simulators: Vec::new() };
        let mut accounts = Vec::new();
        for (number, (api, provider)) in apis().into_iter().enumerate() {
            for index in 0..echoes(api, "").len() {
                let name = format!("{provider}-{index}");
                // short, long, or escaped in JSON
                let (parts, separator) = [(1, ""), (30, ""), (2, "\"\\")][(index + number) % 3];
                let parts: Vec<String> =
                    (0..parts).map(|part| secret(&format!("{name}-{part}"))).collect();
                let token = parts.join(separator);
                let (what, fault) = echoes(api, &token).swap_remove(index);
                let mut state = State::new(&token, Vec::new());
                state.fault = Some(FaultPlan::always(fault));
                let simulator = Simulator::start(api, state).await.unwrap();
                let file = echoing.setup.folder().join(&name);
                fs::write(&file, &token).unwrap();
                let yaml = account(&name, &simulator, &["poll_interval: 1h"]);
                accounts.push(yaml.replace("TOKEN_FILE", &file.display().to_string()));
                echoing.simulators.push(simulator);
                echoing.tokens.push((format!("{provider} {what}"), token));
            }
        }
        echoing.setup.write_config(&config(&accounts));
        echoing
    }
}

#[tokio::test]
async fn poll_hides_tokens_repeated_by_the_provider() {
    let Echoing { setup, tokens, simulators } = &Echoing::start().await;
    for format in FORMATS {
        let output = run(&setup.config_file(), &["poll"], format).await;
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("[redacted]"), "some token was repeated: {said}");
        for (what, token) in tokens {
            is_not_in(token, &said, what);
        }
    }
    for simulator in simulators {
        assert!(!simulator.requests().is_empty());
    }
}

async fn pages_and_logs_hide_repeated_tokens(format: &str) {
    let Echoing { setup, tokens, simulators: _simulators } = Echoing::start().await;
    let command = setup.command();
    let daemon = Daemon::start_command(command, setup, &["--log.format", format]).await;
    let last_poll = "campaign_account_last_poll_timestamp_seconds{";
    let all_polled = |metrics: &str| count(metrics, last_poll) == tokens.len();
    let mut said = vec![daemon.scrape_until(all_polled).await];
    let campaigns = ["/campaigns?period=all", "/campaigns?period=all&format=json"];
    for page in
        ["/metrics", "/config", "/", "/status", "/status?format=json"].iter().chain(&campaigns)
    {
        said.push(daemon.get(page).await);
    }
    for format in Format::ALL {
        let request = client().get(daemon.url("/metrics"));
        let request = request.header("accept", format.content_type());
        said.push(request.send().await.unwrap().text().await.unwrap());
    }
    let log = daemon.stop().await;
    assert!(log.contains("poll failed") && log.contains("retrying"), "{log}");
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
        let folder = TempDir::new().unwrap();
        let mut accounts = Vec::new();
        let mut simulators = Vec::new();
        let mut secrets = Vec::new();
        let mut command = program();
        for (number, (api, provider)) in apis().into_iter().enumerate() {
            let token = secret(&format!("{provider} {format}"));
            let simulator = Simulator::start(api, State::new(&token, Vec::new())).await.unwrap();
            let yaml = account(provider, &simulator, &[]);
            let name = format!("TOKEN_OF_{number}");
            let yaml = if (number + index).is_multiple_of(2) {
                let path = folder.path().join(&name);
                fs::write(&path, format!("{token}\n")).unwrap();
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
        daemon.until_up(secrets.len()).await;
        let mut pages = Vec::new();
        let pages_of_all =
            ["/", "/config", "/metrics", "/-/ready", "/-/healthy", "/status", "/campaigns"];
        for page in pages_of_all {
            pages.push(daemon.get(page).await);
        }
        assert!(pages[1].contains("TOKEN_OF_1"), "{}", pages[1]);
        pages.push(daemon.stop().await);
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
    let simulator = Simulator::start(any_api(), State::new(TOKEN, Vec::new()));
    let simulator = simulator.await.unwrap();
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    for content in [
        format!("{secret}\n{secret}\n"),
        format!("{secret}\u{e9}"),
        format!("{secret}\0"),
        secret.repeat(2_000),
        secret.clone(),
    ] {
        fs::write(setup.token_file(), &content).unwrap();
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
async fn secrets_on_the_command_line_are_not_shown() {
    const SECRET: &str = "P4ss!wort";
    let random = secret("the command line");
    let setup = Setup::new("accounts: []\n");
    for (flag, value) in [
        ("--config.file", random.clone()),
        ("--config.file", format!("https://u:{SECRET}@x/c.yml?token={SECRET}")),
        ("--config.file", format!("{}?{SECRET}", setup.config_file().display())),
        ("--web.external-url", format!("https://x/?token={SECRET}")),
        ("--web.external-url", format!("https://u:{SECRET}@x/")),
        ("--web.telemetry-path", format!("/metrics?token={SECRET}")),
        ("--web.telemetry-path", format!("metrics#token={SECRET}")),
        ("--web.route-prefix", format!("/metrics?{SECRET}")),
        ("--web.config.file", format!("/metrics?{SECRET}")),
        ("--web.config.file", random.clone()),
        ("--storage.path", format!("/dev/null/x?{SECRET}")),
    ] {
        let mut command = program();
        if flag != "--config.file" {
            command.arg("--config.file").arg(setup.config_file());
        }
        let output = command.arg(flag).arg(&value).output().await.unwrap();
        assert!(!output.status.success(), "{flag} {value}");
        let said = said(&output);
        assert!(!said.contains(SECRET) && !said.contains(&random), "{flag} {value}: {said}");
    }
}

#[tokio::test]
async fn secrets_in_the_place_of_certificates_are_not_shown() {
    let setup = Setup::new(&without(kinds().next().unwrap(), "nothing", ""));
    let secret = secret("certificates");
    for (variable, argument) in [
        ("SSL_CERT_FILE", "--config.check"),
        ("SSL_CERT_FILE", "poll"),
        ("SSL_CERT_DIR", "--config.check"),
        ("SSL_CERT_DIR", "poll"),
    ] {
        let output = setup.command().env(variable, &secret).arg(argument).output().await.unwrap();
        let said = said(&output);
        assert!(said.contains("<hidden>"), "{variable} {argument}: {said}");
        is_not_in(&secret, &said, variable);
    }
}

#[tokio::test]
async fn campaigns_that_begin_like_the_token_are_shown() {
    let (token, name) = ("acme-shop-de-Zq81Kpw3Lm5R", "acme-shop-de-spring");
    let campaign = Campaign::sms("acme-shop-de-1", name, Utc::now(), Counts::default());
    let simulator = Simulator::start(any_api(), State::new(token, vec![campaign]));
    let simulator = simulator.await.unwrap();
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    fs::write(setup.token_file(), token).unwrap();
    let said = said(&run(&setup.config_file(), &["poll"], "logfmt").await);
    assert!(said.contains(name) && !said.contains("without a secret"), "{said}");
    is_not_in(token, &said, "a poll");
}

#[tokio::test]
async fn debug_output_shows_no_secrets() {
    let secret = secret("debug");
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, &secret).unwrap();
    let accounts = apis().into_iter().map(|(api, name)| {
        let mut account = api.account("https://localhost", &token);
        account["name"] = json!(name);
        account
    });
    let yaml = json!({ "accounts": accounts.collect::<Vec<_>>() }).to_string();
    let config_file = folder.path().join("config.yml");
    fs::write(&config_file, yaml).unwrap();
    let config = Config::load(&config_file, &native(), None).await.unwrap();
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
    for text in [format!("x{secret}y"), secret[..20].to_owned(), secret[10..].to_owned()] {
        let found = std::panic::catch_unwind(|| is_not_in(&secret, &text, "a text"));
        assert!(found.is_err(), "{text}");
    }
}
