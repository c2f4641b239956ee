//! Liveness of the poll loops, independent of the providers.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How late a heartbeat may be. The work around a poll, above all writing to disk, can be slow on a
/// busy machine.
const SLACK: Duration = Duration::from_mins(1);

/// The sender, owned by a poll loop, which announces its next heartbeat.
#[derive(Debug)]
pub struct Heartbeat(watch::Sender<Beat>);

/// The receiver, which tells whether the loop is alive.
#[derive(Clone, Debug)]
pub struct Pulse(watch::Receiver<Beat>);

/// What a poll loop announced last.
#[derive(Clone, Copy, Debug)]
struct Beat {
    /// When its next heartbeat comes.
    by: Instant,
    /// Whether a poll is running.
    polling: bool,
}

/// Creates a heartbeat, due now, and its pulse.
pub fn heartbeat() -> (Heartbeat, Pulse) {
    let (sender, receiver) = watch::channel(Beat { by: Instant::now(), polling: false });
    (Heartbeat(sender), Pulse(receiver))
}

impl Heartbeat {
    /// Announces the next heartbeat.
    pub fn expect_by(&self, by: Instant) {
        self.0.send_replace(Beat { by, polling: false });
    }

    /// Announces a poll, and the next heartbeat, after it.
    pub fn polling_until(&self, by: Instant) {
        self.0.send_replace(Beat { by, polling: true });
    }
}

impl Pulse {
    /// Returns whether the last announced heartbeat is not overdue.
    pub fn is_alive(&self) -> bool {
        let announced = self.0.borrow().by;
        announced.checked_add(SLACK).is_none_or(|latest| Instant::now() <= latest)
    }

    /// Returns whether a poll is running.
    pub fn is_polling(&self) -> bool {
        self.0.borrow().polling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_alive_until_it_is_overdue() {
        let (heart, pulse) = heartbeat();
        assert!(pulse.is_alive());
        let hour = Duration::from_hours(1);
        heart.expect_by(Instant::now() + hour);
        tokio::time::advance(hour + SLACK).await;
        assert!(pulse.is_alive());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!pulse.is_alive());
        // overdue, then alive again
        heart.expect_by(Instant::now());
        assert!(pulse.is_alive());
        drop(heart);
        assert!(pulse.is_alive());
        tokio::time::advance(2 * SLACK).await;
        assert!(!pulse.is_alive());
    }
}
