//! Somebody else's server as a process, on a free port of the loopback interface.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::daemon::{LIMIT, client};

/// How often another port is tried when somebody else was faster.
const ATTEMPTS: u32 = 5;

/// Between two looks at something that is waited for.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// A program that Debian has.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    /// What it is called on the `PATH`.
    pub(crate) name: &'static str,
    /// The package that has it.
    pub(crate) package: &'static str,
}

impl Program {
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.name);
        command.kill_on_drop(true);
        command
    }

    /// What to say if it cannot be run.
    pub(crate) fn is_needed(self, error: &std::io::Error) -> ! {
        let Self { name, package } = self;
        panic!("the tests need {name} on the PATH (Debian: package {package}): {error}")
    }
}

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    address: String,
}

impl Server {
    /// Starts it with a folder of its own and waits until it is ready. `arguments` are made for
    /// `HOST:PORT`.
    pub(crate) async fn start(
        program: Program,
        folder: TempDir,
        arguments: impl Fn(&Path, &str) -> Vec<String>,
    ) -> Self {
        let mut folder = folder;
        for _ in 0..ATTEMPTS {
            // it cannot be asked for any free port, so the system is asked first
            let address = free_address();
            let arguments = arguments(folder.path(), &address);
            match Self::try_start(program, folder, address, arguments).await {
                Ok(started) => return started,
                Err(left) => folder = left,
            }
        }
        panic!("{} ended at once, {ATTEMPTS} times", program.name);
    }

    /// The folder alone if it ends before it is ready, as it does when its port is taken.
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
                assert!(log.contains("address already in use"), "{} ended:\n{log}", program.name);
                Err(folder)
            }
            ready = tokio::time::timeout(LIMIT, ready) => {
                assert!(ready.is_ok(), "{} is never ready:\n{}", program.name, log());
                // who answers may be somebody else, who was faster to take the port
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

    /// Makes it read its configuration anew.
    pub(crate) async fn reload(&self) {
        let id = self.child.id().unwrap().to_string();
        let status = Command::new("kill").args(["-s", "HUP", &id]).status().await;
        assert!(status.unwrap().success());
    }
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
