//! What hangs harms nothing else: files, standard error, and commands that wait.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use campaign_simulator::{Fault, FaultPlan, Simulator};
use futures_util::future::join_all;
use tokio::process::{Child, Command};

use crate::support::apis::with_statuses;
use crate::support::daemon::{
    Daemon, LIMIT, Setup, TOKEN, account, client, config, program, sample, samples, simulate, value,
};
use crate::support::server::free_address;
use crate::support::tokens::{keeps, renewed, simulator_with_authorization};

/// More files than the exporter once read at the same time.
const HUNG_FILES: usize = 70;

/// How long a command may take to stop, or a start to fail: longer than its limits.
const SOON: Duration = Duration::from_secs(20);

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// Opens a pipe once somebody reads it.
async fn writer(pipe: &Path) -> File {
    /// Without a reader, opening a pipe for writing fails instead of waiting.
    const NONBLOCK: i32 = 0o4000;
    let mut options = File::options();
    options.write(true).custom_flags(NONBLOCK);
    let opened = async {
        loop {
            if let Ok(writer) = options.open(pipe) {
                break writer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, opened).await.unwrap()
}

#[tokio::test]
async fn a_signal_ends_the_exporter_while_a_reload_hangs() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let daemon = Daemon::start(setup, &[]).await;
    let file = daemon.setup.config_file();
    fs::remove_file(&file).unwrap();
    make_pipe(&file);
    daemon.signal("HUP").await;
    let _writer = writer(&file).await;
    let begin = std::time::Instant::now();
    daemon.end_by("TERM").await;
    let took = begin.elapsed();
    // the file is given up after ten seconds; a slow machine needs some of them
    assert!(took < Duration::from_secs(5), "{took:?}");
}

fn stall(simulator: &Simulator) {
    simulator.update(|state| state.fault = Some(FaultPlan::always(Fault::Stall)));
}

async fn end(child: &mut Child) -> ExitStatus {
    tokio::time::timeout(SOON, child.wait()).await.unwrap().unwrap()
}

async fn kill(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.await.unwrap().success());
}

#[tokio::test]
async fn hung_token_files_fail_their_own_polls_and_recover() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new("");
    let mut accounts = vec![account("good", &simulator, &[])];
    for index in 0..HUNG_FILES {
        let file = setup.folder().join(format!("token{index}"));
        make_pipe(&file);
        let hung = account(&format!("hung{index}"), &simulator, &[]);
        accounts.push(hung.replace("TOKEN_FILE", &file.display().to_string()));
    }
    setup.write_config(&config(&accounts));
    let mut daemon = Daemon::start(setup, &[]).await;
    daemon.wait_for_log("within 5 s").await;
    let polls = |metrics: &str, result: &str| {
        let good = [r#"account="good""#, result];
        sample(metrics, "campaign_exporter_polls_total", &good).unwrap()
    };
    let before = polls(&daemon.scrape().await, r#"result="success""#);
    let enough = |metrics: &str| {
        let failed = samples(metrics, "campaign_exporter_poll_errors_total", &[r#"reason="auth""#]);
        failed.iter().filter(|polls| **polls > 0.0).count() == HUNG_FILES
            && polls(metrics, r#"result="success""#) > before + 2.0
    };
    let metrics = daemon.scrape_until(enough).await;
    assert_eq!(polls(&metrics, r#"result="failure""#), 0.0);

    let repaired = daemon.setup.folder().join("token0");
    fs::remove_file(&repaired).unwrap();
    fs::write(&repaired, TOKEN).unwrap();
    let is_up =
        |metrics: &str| samples(metrics, "campaign_account_up", &[r#"account="hung0""#]) == [1.0];
    daemon.scrape_until(is_up).await;
    // neither do hung files delay the end
    daemon.stop().await;
}

/// Starts the exporter with this standard error; returns its address.
async fn start_with(stderr: Stdio) -> (Setup, Child, String) {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let address = free_address();
    let mut command = setup.command();
    command.args(["--web.listen-address", &address, "--log.level", "debug"]);
    let child = command.stderr(stderr).spawn().unwrap();
    let listens = async {
        while client().get(format!("http://{address}/-/healthy")).send().await.is_err() {
            // pause between attempts
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, listens).await.unwrap();
    (setup, child, address)
}

#[tokio::test]
async fn log_lines_that_cannot_be_written_are_counted() {
    const DROPPED: &str = "campaign_exporter_log_lines_dropped_total";
    let full = File::options().write(true).open("/dev/full").unwrap();
    for (stderr, drops) in [(Stdio::null(), false), (full.into(), true)] {
        let (_setup, _child, address) = start_with(stderr).await;
        let scraped = async {
            loop {
                let metrics = client().get(format!("http://{address}/metrics")).send();
                let metrics = metrics.await.unwrap().text().await.unwrap();
                let dropped = value(&metrics, DROPPED).unwrap();
                if (dropped > 0.0) == drops {
                    return;
                }
                assert!(drops, "{dropped}");
            }
        };
        tokio::time::timeout(LIMIT, scraped).await.unwrap();
    }
}

#[tokio::test]
async fn a_stuck_reader_of_the_log_stops_neither_scrapes_nor_the_end() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    let stderr = writer.try_clone().unwrap();
    // as after 64 KiB of lines
    writer.write_all(&vec![b'\n'; 64 * 1024]).unwrap();
    let (_setup, mut child, address) = start_with(stderr.into()).await;
    for path in ["/metrics", "/-/healthy"] {
        let response = client().get(format!("http://{address}{path}")).send();
        let response = tokio::time::timeout(SOON, response).await.unwrap();
        assert_eq!(response.unwrap().status(), 200, "{path}");
    }
    kill(&child, "TERM").await;
    assert_eq!(end(&mut child).await.code(), Some(0));
}

#[tokio::test]
async fn a_hung_lock_or_configuration_fails_the_start() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    fs::create_dir(setup.storage()).unwrap();
    make_pipe(&setup.storage().join("lock"));
    let pipe = setup.folder().join("pipe");
    make_pipe(&pipe);
    let good = setup.config_file();
    let starts = [
        (&good, None, 1, "lock is not a regular file with a single link: remove it"),
        (&pipe, None, 2, "pipe: cannot be read within 10 s"),
        (&good, Some(&pipe), 2, "pipe: timed out"),
    ];
    let starts = starts.map(async |(config, web_config, code, said)| {
        let mut command = program();
        command.arg("--config.file").arg(config);
        command.arg("--storage.path").arg(setup.storage());
        command.args(["--web.listen-address", "127.0.0.1:0"]);
        if let Some(file) = web_config {
            command.arg("--web.config.file").arg(file);
        }
        let output = tokio::time::timeout(SOON, command.output()).await;
        let output = output.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}: {log}");
        assert!(log.contains(said), "{said}: {log}");
    });
    join_all(starts).await;
}

#[tokio::test]
async fn signals_end_commands_that_wait_once_a_refreshed_token_is_stored() {
    let slow = Fault::Delay { by: Duration::from_secs(2) };
    let providers = [
        simulate(with_statuses(), Vec::new()).await,
        simulator_with_authorization(|_| {}).await,
        simulator_with_authorization(|server| {
            server.grant(TOKEN);
            // each renewal is of the expired token of the one before
            server.lifetime = Duration::from_secs(1);
            server.fault = Some(FaultPlan::always(slow));
        })
        .await,
    ];
    stall(&providers[0]);
    let configured = ["refresh_token_file: TOKEN_FILE"];
    let [polled, authorized, refreshed] = [
        account("one", &providers[0], &[]),
        renewed("one", &providers[1], &[]),
        renewed("one", &providers[2], &configured),
    ]
    .map(|account| Setup::new(&config(&[account])));
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        for (provider, setup, arguments) in [
            (&providers[0], &polled, &["poll"] as &[&str]),
            (&providers[1], &authorized, &["authorize", "one"]),
            (&providers[2], &refreshed, &["poll"]),
            (&providers[2], &refreshed, &["--config.check", "--probe"]),
        ] {
            let asked = provider.requests().len();
            let mut command = setup.command();
            command.arg("--storage.path").arg(setup.storage());
            let mut child = command
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let waits = provider.wait_for(|state| state.requests.len() > asked);
            tokio::time::timeout(LIMIT, waits).await.unwrap();
            kill(&child, signal).await;
            assert_eq!(end(&mut child).await.code(), Some(code), "{arguments:?}");
            let granted = provider.read(|state| state.authorization.refresh_tokens());
            let is_stored = |token: &String| keeps(&setup.storage(), "one", provider, token);
            assert!(granted.iter().all(is_stored), "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn a_hang_up_does_not_end_a_start() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new("");
    let file = setup.config_file();
    fs::remove_file(&file).unwrap();
    make_pipe(&file);
    let mut command = setup.command();
    command.args(["--web.listen-address", "127.0.0.1:0"]).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut writer = writer(&file).await;
    kill(&child, "HUP").await;
    let token_file = setup.token_file().display().to_string();
    let yaml = config(&[account("one", &simulator, &[])]).replace("TOKEN_FILE", &token_file);
    writer.write_all(yaml.as_bytes()).unwrap();
    drop(writer);
    let asked = simulator.wait_for(|state| state.answered > 0);
    assert!(tokio::time::timeout(LIMIT, asked).await.is_ok());
    kill(&child, "TERM").await;
    assert_eq!(end(&mut child).await.code(), Some(0));
}

#[tokio::test]
async fn authorities_that_hang_fail_every_start_and_are_named() {
    let simulator = simulate(with_statuses(), Vec::new()).await;
    let setup = Setup::new(&config(&[account("one", &simulator, &[])]));
    let pipe = setup.folder().join("ca.pem");
    make_pipe(&pipe);
    let fails = async |arguments: &[&str]| {
        let mut command = setup.command();
        command.env("SSL_CERT_FILE", &pipe).args(arguments);
        let output = tokio::time::timeout(SOON, command.output()).await.unwrap().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let message = format!("SSL_CERT_FILE={} cannot be read within 10 s", pipe.display());
        assert!(log.contains(&message), "{arguments:?}: {log}");
        output.status.code()
    };
    let (start, poll, check) = tokio::join!(
        fails(&["--web.listen-address", "127.0.0.1:0"]),
        fails(&["poll"]),
        fails(&["--config.check"]),
    );
    assert_eq!((start, poll, check), (Some(1), Some(1), Some(0)));
}

#[tokio::test]
async fn a_signal_ends_a_command_on_a_definition_that_hangs() {
    let setup = Setup::new("");
    let pipe = setup.folder().join("pipe.yml");
    make_pipe(&pipe);
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut child = program()
            .args(["definition", "check"])
            .arg(&pipe)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // without a writer, the pipe would end
        let _writer = writer(&pipe).await;
        kill(&child, signal).await;
        assert_eq!(end(&mut child).await.code(), Some(code));
    }
}
