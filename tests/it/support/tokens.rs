//! Accounts with refresh tokens, and authorization servers for them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};

use campaign_exporter::storage::store::{Kind, Store};
use campaign_simulator::answer::Answer;
use campaign_simulator::{Authorization, Habits, Request, Simulator, State};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::apis::{any_api, with_authorization};
use super::daemon::{Daemon, LIMIT, Setup, TOKEN, poll_once, run, yaml};
use super::faults::campaign;

/// Persistent files of a test: storage, and secret files.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a secret file and returns its YAML line: `KEY_file: …`.
    pub(crate) fn secret(&self, key: &str, account: &str, secret: &str) -> String {
        let path = self.path(&format!("{account}.{key}"));
        std::fs::write(&path, secret).unwrap();
        format!("{key}_file: {}", path.display())
    }

    /// Returns a command for the daemon with this storage.
    pub(crate) async fn start(&self, yaml: &str) -> Daemon {
        self.start_with(yaml, &[]).await
    }

    pub(crate) async fn start_with(&self, yaml: &str, more: &[&str]) -> Daemon {
        let store = self.store().display().to_string();
        let arguments = [&["--storage.path", &store], more].concat();
        Daemon::start(Setup::new(yaml), &arguments).await
    }

    /// Returns a `poll` command with this storage.
    pub(crate) async fn poll(&self, yaml: &str) -> (ExitStatus, String, String) {
        let store = self.store().display().to_string();
        poll_once(&Setup::new(yaml), &["--storage.path", &store]).await
    }

    /// Returns an `authorize` command with this storage.
    pub(crate) fn authorize(&self, setup: &Setup, account: &str) -> Command {
        let mut command = setup.command();
        command.arg("--storage.path").arg(self.store());
        command.args(["--log.level", "debug", "authorize", account]);
        command
    }

    /// Runs `authorize` to completion.
    pub(crate) async fn authorized(&self, yaml: &str, account: &str) -> Output {
        let setup = Setup::new(yaml);
        run(&mut self.authorize(&setup, account)).await
    }

    /// Returns the path of the stored tokens of an account.
    pub(crate) fn kept(&self, account: &str, simulator: &Simulator) -> PathBuf {
        tokens_file(&self.store(), account, simulator)
    }

    /// Returns whether a token is stored.
    pub(crate) fn keeps(&self, account: &str, simulator: &Simulator, token: &str) -> bool {
        keeps(&self.store(), account, simulator, token)
    }
}

/// Returns whether a token of an account is stored.
pub(crate) fn keeps(store: &Path, account: &str, simulator: &Simulator, token: &str) -> bool {
    let bytes = std::fs::read(tokens_file(store, account, simulator)).unwrap_or_default();
    bytes.windows(token.len()).any(|part| part == token.as_bytes())
}

/// Returns the path of the tokens of an account and a client of a simulator.
pub(crate) fn tokens_file(store: &Path, account: &str, simulator: &Simulator) -> PathBuf {
    let (address, client_id) =
        (simulator.base_url(), simulator.read(|state| state.authorization.client_id.clone()));
    let name = format!("{account} {address}/oauth2/default {client_id}");
    Store::share(store).unwrap().path(Kind::Tokens, &name)
}

/// Starts a simulated provider with an authorization server configured by `change`.
pub(crate) async fn simulator_with_authorization(
    change: impl FnOnce(&mut Authorization),
) -> Simulator {
    let mut state = State::new(TOKEN, vec![campaign()]);
    change(&mut state.authorization);
    Simulator::start(with_authorization(), state).await.unwrap()
}

/// Returns the YAML of an account with a refresh token, with additional lines.
pub(crate) fn renewed(name: &str, simulator: &Simulator, more: &[&str]) -> String {
    let client_id = simulator.read(|state| state.authorization.client_id.clone());
    renewed_at(name, &simulator.base_url(), &client_id, more)
}

pub(crate) fn renewed_at(name: &str, base_url: &str, client_id: &str, more: &[&str]) -> String {
    let mut keys = with_authorization().renewed_account(base_url, Path::new("")).unwrap();
    keys["client_id"] = client_id.into();
    // given in `more`, if at all
    keys.as_object_mut().unwrap().remove("refresh_token_file");
    yaml(&format!("{name:?}"), &keys, more)
}

/// Waits until the state of a simulator meets a condition.
pub(crate) async fn until(
    simulator: &Simulator,
    what: &str,
    condition: impl FnMut(&State) -> bool,
) {
    let waited = tokio::time::timeout(LIMIT, simulator.wait_for(condition)).await;
    let requests = simulator.requests().len();
    assert!(waited.is_ok(), "never {what}, after {requests} requests");
}

/// Returns the token requests.
pub(crate) fn token_requests(simulator: &Simulator) -> Vec<Request> {
    let mut requests = simulator.requests();
    requests.retain(Authorization::is_token_request);
    requests
}

/// Returns the refresh tokens in the order of use.
pub(crate) fn presented(simulator: &Simulator) -> Vec<String> {
    let requests = token_requests(simulator);
    let fields = requests.iter().filter_map(|request| request.field("refresh_token"));
    fields.map(str::to_owned).collect()
}

pub(crate) fn refreshes(simulator: &Simulator) -> u64 {
    simulator.read(|state| state.authorization.refreshes)
}

/// Returns the newest refresh token of a simulator with one authorized client.
pub(crate) fn newest(simulator: &Simulator) -> String {
    let tokens = simulator.read(|state| state.authorization.refresh_tokens());
    assert_eq!(tokens.len(), 1);
    tokens[0].clone()
}

/// Returns the refresh tokens that were used more than once.
pub(crate) fn reused(simulator: &Simulator) -> Vec<String> {
    simulator.read(|state| state.authorization.reused_refresh_tokens())
}

/// Returns API requests, excluding those for tokens and devices.
pub(crate) fn is_api(request: &Request) -> bool {
    request.path().starts_with("/v3/")
}

/// Returns the warnings and errors of a log.
pub(crate) fn complaints<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines()
        .filter(|line| line.contains("level=warn") || line.contains("level=error"))
        .filter(|line| line.contains(text))
        .collect()
}

/// A running command whose standard output is read.
pub(crate) struct Running {
    child: tokio::process::Child,
    stdout: tokio::process::ChildStdout,
    said: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        Self { child, stdout, said: String::new() }
    }

    /// Reads until the output contains a text.
    pub(crate) async fn says(&mut self, text: &str) {
        let read = async {
            while !self.said.contains(text) {
                let mut bytes = [0; 1024];
                let length = self.stdout.read(&mut bytes).await.unwrap();
                assert!(length > 0, "no {text:?} in {}", self.said);
                self.said.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
        };
        let read = tokio::time::timeout(LIMIT, read).await;
        assert!(read.is_ok(), "no {text:?} in time");
    }

    /// Waits until the command exits; returns exit code, standard output, and standard error.
    pub(crate) async fn end(mut self) -> (Option<i32>, String, String) {
        let end = async {
            self.stdout.read_to_string(&mut self.said).await.unwrap();
            self.child.wait_with_output().await.unwrap()
        };
        let output = tokio::time::timeout(LIMIT, end).await.unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), self.said, log)
    }
}

/// Returns whether a request is for a device code.
pub(crate) fn is_for_device(request: &Request) -> bool {
    request.path() == "/oauth2/default/v1/device/authorize"
}

/// An API with scripted answers, including those that no simulated API gives.
struct Script<F>(F);

impl<F> fmt::Debug for Script<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Script")
    }
}

impl<F: Fn(&Request, usize) -> (u16, String) + Send + Sync> campaign_simulator::Api for Script<F> {
    fn provider(&self) -> &'static str {
        "script"
    }

    fn answer(&self, state: &mut State, _now: DateTime<Utc>, request: &Request) -> Answer {
        let before = state.requests.iter();
        let before = before.filter(|before| before.path() == request.path());
        let (status, body) = (self.0)(request, before.count());
        Answer::text(status, "application/json", body)
    }

    fn error(&self, _status: u16) -> Answer {
        unreachable!("no fault")
    }

    fn counts(&self) -> &'static [&'static str] {
        &[]
    }

    fn habits(&self) -> Habits {
        any_api().habits()
    }

    fn account(&self, _base_url: &str, _token_file: &Path) -> Value {
        Value::Null
    }
}

/// Starts a provider. `answer` receives a request and the number of previous ones with its path, and
/// returns status and JSON.
pub(crate) async fn scripted(
    answer: impl Fn(&Request, usize) -> (u16, String) + Send + Sync + 'static,
) -> Simulator {
    let api = Box::leak(Box::new(Script(answer)));
    let simulator = Simulator::start(api, State::new(TOKEN, Vec::new())).await;
    simulator.unwrap()
}

/// Returns the permissions of a file or directory.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
