//! Runs third-party servers on a free port of the loopback interface.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::daemon::{LIMIT, client};

/// Number of ports to try if another process takes them first.
const ATTEMPTS: u32 = 5;

/// Pause between checks of a condition.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// A program packaged by Debian.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    /// Name in `PATH`.
    pub(crate) name: &'static str,
    /// Debian package.
    pub(crate) package: &'static str,
}

impl Program {
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.name);
        command.kill_on_drop(true);
        command
    }

    /// Error message if the program cannot be run.
    pub(crate) fn is_needed(self, error: &std::io::Error) -> ! {
        let Self { name, package } = self;
        panic!("the tests need {name} on the PATH (Debian: package {package}): {error}")
    }
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    address: String,
}

impl Server {
    /// Starts the server in its own directory and waits until it is ready. `arguments` receives
    /// `HOST:PORT`.
    pub(crate) async fn start(
        program: Program,
        folder: TempDir,
        arguments: impl Fn(&Path, &str) -> Vec<String>,
    ) -> Self {
        let mut folder = folder;
        for _ in 0..ATTEMPTS {
            // it cannot choose a free port itself
            let address = free_address();
            let arguments = arguments(folder.path(), &address);
            match Self::try_start(program, folder, address, arguments).await {
                Ok(started) => return started,
                Err(left) => folder = left,
            }
        }
        panic!("{} exited immediately, {ATTEMPTS} times", program.name);
    }

    /// Returns only the directory if the server exits before it is ready, such as when its port is taken.
    async fn try_start(
        program: Program,
        folder: TempDir,
        address: String,
        arguments: Vec<String>,
    ) -> Result<Self, TempDir> {
        let log_file = folder.path().join("log");
        let mut child = program
            .command()
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log_file).unwrap())
            .spawn()
            .unwrap_or_else(|error| program.is_needed(&error));
        let client = client();
        let url = format!("http://{address}/-/ready");
        let ready = async {
            loop {
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let log = || fs::read_to_string(&log_file).unwrap();
        tokio::select! {
            _ = child.wait() => {
                let log = log();
                assert!(log.contains("address already in use"), "{} exited:\n{log}", program.name);
                Err(folder)
            }
            ready = tokio::time::timeout(LIMIT, ready) => {
                assert!(ready.is_ok(), "{} is never ready:\n{}", program.name, log());
                // another process may have taken the port first
                if child.try_wait().unwrap().is_some() {
                    return Err(folder);
                }
                Ok(Self { child, folder, address })
            }
        }
    }

    /// `HOST:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the server reload its configuration.
    pub(crate) async fn reload(&self) {
        let id = self.child.id().unwrap().to_string();
        let status = Command::new("kill").args(["-s", "HUP", &id]).status().await;
        assert!(status.unwrap().success());
    }
}

/// Returns an address on which nothing listens. Its port is below those that the system gives to other
/// listeners and connections at any time, and no other test gets it.
pub(crate) fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = u16::try_from(process::id() % 10_000).unwrap();
        let port = 15_000 + offset + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
