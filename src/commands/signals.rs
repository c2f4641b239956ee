//! The signals that stop a command. As the first process of a container it would ignore them unless it
//! handles them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Added to the number of the signal, as shells do: the exit code of a command that it ends.
const SIGNALED: u8 = 128;

/// SIGTERM and SIGINT, from now on.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGHUP, which reloads the configuration of a daemon and ends a command.
    pub(super) hang_up: Option<Signal>,
}

impl StopSignals {
    /// Replaces the default action of the signals.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: None,
        })
    }

    /// Keeps SIGHUP for the daemon, which can receive it before it has started.
    pub fn keep_hang_up(&mut self) -> io::Result<()> {
        self.hang_up = Some(signal(SignalKind::hangup())?);
        Ok(())
    }

    /// Signals that leave the default action of the process that runs the tests.
    #[cfg(test)]
    pub(super) fn unused() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::user_defined2())?,
            interrupt: signal(SignalKind::user_defined2())?,
            hang_up: None,
        })
    }

    /// Waits for a signal. Returns the exit code of a command that has nothing to finish.
    pub async fn recv(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => SIGNALED + 15,
            _ = self.interrupt.recv() => SIGNALED + 2,
        }
    }
}
