//! Runs the exporter as a process.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use super::apis::Api;
use campaign_simulator::{Campaign, Campaigns, Simulator, State};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Timeout of any wait in a test.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// Token accepted by simulated providers.
pub(crate) const TOKEN: &str = "s3cret-token-of-the-tests";

/// Returns a command for the exporter with an empty environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaign_exporter"));
    // independent of the environment of the tests
    command.env_clear().kill_on_drop(true);
    command
}

/// Starts a simulated provider with these campaigns.
pub(crate) async fn simulate(api: Api, campaigns: Vec<Campaign>) -> Simulator {
    let state = State::new(TOKEN, Campaigns::Fixed(campaigns));
    Simulator::start(api, state).await.unwrap()
}

/// A directory with a configuration and its token file.
pub(crate) struct Setup {
    folder: TempDir,
}

impl Setup {
    /// `global` and `accounts` are YAML, in which `TOKEN_FILE` is replaced with the path of the token.
    pub(crate) fn new(yaml: &str) -> Self {
        let setup = Self { folder: TempDir::new().unwrap() };
        std::fs::write(setup.token_file(), TOKEN).unwrap();
        setup.write_config(yaml);
        setup
    }

    pub(crate) fn write_config(&self, yaml: &str) {
        let token_file = self.token_file().display().to_string();
        std::fs::write(self.config_file(), yaml.replace("TOKEN_FILE", &token_file)).unwrap();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.path().join("campaign_exporter.yml")
    }

    /// Returns a command for the exporter with this configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = program();
        command.arg("--config.file").arg(self.config_file());
        command
    }

    /// Returns the storage path.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }
}

/// Returns the YAML of an account at a simulator, with additional lines such as `poll_interval: 1s`.
pub(crate) fn account(name: &str, simulator: &Simulator, more: &[&str]) -> String {
    account_at(name, simulator.api(), &simulator.base_url(), more)
}

/// Returns the YAML of an account of an API at an address, with additional lines.
pub(crate) fn account_at(name: &str, api: Api, base_url: &str, more: &[&str]) -> String {
    yaml(name, &api.account(base_url, Path::new("TOKEN_FILE")), more)
}

/// Returns the YAML of an account with these keys, with additional lines.
pub(crate) fn yaml(name: &str, keys: &Value, more: &[&str]) -> String {
    let keys = keys.as_object().unwrap().iter();
    let keys = keys.map(|(key, value)| format!("    {key}: {}\n", value.as_str().unwrap()));
    let more = more.iter().map(|line| format!("    {line}\n"));
    format!("  - name: {name}\n{}", keys.chain(more).collect::<String>())
}

/// Returns a configuration that polls every second, without quotas, and with a `stale_after` that
/// tolerates a slow machine.
pub(crate) fn config(accounts: &[String]) -> String {
    format!(
        "global:\n  poll_interval: 1s\n  stale_after: 1h\n  requests_per_second: 10000\n  \
         requests_per_day: 1000000000\naccounts:\n{}",
        accounts.concat()
    )
}

/// A running exporter. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: String,
    log: watch::Receiver<String>,
    readers: JoinSet<()>,
    pub(crate) setup: Setup,
}

impl Daemon {
    /// Starts the exporter on a free port and waits until it listens.
    pub(crate) async fn start(setup: Setup, arguments: &[&str]) -> Self {
        Self::start_command(setup.command(), setup, arguments).await
    }

    /// Like `start`, for another command.
    pub(crate) async fn start_command(command: Command, setup: Setup, arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", command, setup, arguments).await
    }

    /// Like `start`, on a given address.
    pub(crate) async fn start_at(
        address: &str,
        mut command: Command,
        setup: Setup,
        arguments: &[&str],
    ) -> Self {
        command.args(["--web.listen-address", address, "--log.level", "debug"]);
        command.args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, mut log) = watch::channel(String::new());
        let mut readers = JoinSet::new();
        readers.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        let listening = |log: &String| log.contains("listening");
        let waited = tokio::time::timeout(LIMIT, log.wait_for(listening)).await;
        let listens = waited.is_ok_and(|found| found.is_ok());
        let text = log.borrow().clone();
        assert!(listens, "it does not listen; log:\n{text}");
        let line = text.lines().find(|line| line.contains("listening")).unwrap();
        // in both log formats
        let line = line.replace("\"address\":\"", "address=");
        let address = line.split("address=").nth(1).unwrap();
        let address = address.split([' ', '"']).next().unwrap().to_owned();
        Self { child, address, log, readers, setup }
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the log so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until the log contains a text.
    pub(crate) async fn wait_for_log(&mut self, text: &str) {
        let logged = |log: &String| log.contains(text);
        let waited = tokio::time::timeout(LIMIT, self.log.wait_for(logged)).await;
        let found = waited.is_ok_and(|found| found.is_ok());
        assert!(found, "no {text:?} in the log:\n{}", self.log());
    }

    /// Returns the body of a GET request, which must succeed.
    pub(crate) async fn get(&self, path: &str) -> String {
        let response = client().get(self.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.text().await.unwrap()
    }

    /// Returns the status of a GET request.
    pub(crate) async fn status(&self, path: &str) -> u16 {
        let response = client().get(self.url(path)).send().await.unwrap();
        response.status().as_u16()
    }

    /// Returns the metrics in the text format.
    pub(crate) async fn scrape(&self) -> String {
        self.get("/metrics").await
    }

    /// Scrapes until the metrics meet a condition, and returns them.
    pub(crate) async fn scrape_until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                last = self.scrape().await;
                if wanted(&last) {
                    return;
                }
                // pause between checks
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let found = found.await;
        assert!(found.is_ok(), "never as wanted; log:\n{}\nmetrics:\n{last}", self.log());
        last
    }

    /// Scrapes until this number of accounts exists, all of them up.
    pub(crate) async fn until_up(&self, accounts: usize) -> String {
        let up = |metrics: &str| samples(metrics, "campaign_account_up", &[]);
        self.scrape_until(|metrics| up(metrics) == vec![1.0; accounts]).await
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.id().to_string()]).status().await.unwrap();
        assert!(status.success());
    }

    /// Waits until the process exits; returns its directory for another process.
    pub(crate) async fn end(self) -> Setup {
        self.wait_and_leave().await.2
    }

    /// Stops the exporter, which must succeed; returns its log.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM").await;
        let (status, log) = self.wait().await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// Waits until the process exits; returns its status and log.
    pub(crate) async fn wait(self) -> (ExitStatus, String) {
        let (status, log, _) = self.wait_and_leave().await;
        (status, log)
    }

    /// Stops the process with a signal, such as `KILL`; returns its directory.
    pub(crate) async fn end_by(self, signal: &str) -> Setup {
        self.signal(signal).await;
        self.wait_and_leave().await.2
    }

    async fn wait_and_leave(mut self) -> (ExitStatus, String, Setup) {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await.unwrap().unwrap();
        // the log ends, too
        while self.readers.join_next().await.is_some() {}
        let log = self.log.borrow().clone();
        (status, log, self.setup)
    }
}

/// Returns a client for plain HTTP that uses no proxy.
pub(crate) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy();
    // loading those of the system takes longer than most requests
    builder.tls_certs_only([]).build().unwrap()
}

/// Returns the value of the first sample that starts with `series`, such as `campaign_account_up{`.
pub(crate) fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Counts the samples that start with `series`.
pub(crate) fn count(metrics: &str, series: &str) -> usize {
    metrics.lines().filter(|line| line.starts_with(series)).count()
}

/// Returns the values of all samples of a metric with these labels, such as `account="a"`, in any order.
pub(crate) fn samples(metrics: &str, name: &str, labels: &[&str]) -> Vec<f64> {
    let samples = metrics.lines().filter_map(|line| {
        let (block, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let block = block.replacen('{', ",", 1);
        let matches = (block.is_empty() || block.starts_with(','))
            && labels.iter().all(|label| block.contains(&format!(",{label}")));
        matches.then(|| value.parse().unwrap())
    });
    samples.collect()
}

/// Returns the value of the only sample of a metric with these labels.
pub(crate) fn sample(metrics: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let samples = samples(metrics, name, labels);
    assert!(samples.len() <= 1, "{name} {labels:?}: {samples:?}");
    samples.first().copied()
}

/// Runs a program to completion.
pub(crate) async fn run(command: &mut Command) -> Output {
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    output.unwrap().unwrap()
}

/// Runs a program to completion; returns its exit code and everything it printed.
pub(crate) async fn end(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command).await;
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Decompresses a body, which must be a single gzip member: some clients ignore others.
pub(crate) fn decompressed(body: &[u8]) -> String {
    let mut decoder = flate2::bufread::GzDecoder::new(body);
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    assert_eq!(decoder.into_inner(), b"", "there is more after the member");
    text
}

/// Runs `poll`; returns whether it succeeded, the metrics, and the log.
pub(crate) async fn poll_once(setup: &Setup, arguments: &[&str]) -> (ExitStatus, String, String) {
    let output = run(setup.command().arg("poll").args(arguments)).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}
