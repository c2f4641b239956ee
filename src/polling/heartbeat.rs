//! Detects poll loops that no longer run.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How late a beat may be: on a busy machine the work around a poll takes a while, above all writing
/// to a disk.
const SLACK: Duration = Duration::from_mins(1);

/// The sending side: a poll loop announces its next beat.
#[derive(Debug)]
pub struct Heartbeat(watch::Sender<Instant>);

/// The receiving side: whether a poll loop is alive.
#[derive(Clone, Debug)]
pub struct Pulse(watch::Receiver<Instant>);

/// Creates both sides, with a first beat now.
pub fn heartbeat() -> (Heartbeat, Pulse) {
    let (sender, receiver) = watch::channel(Instant::now());
    (Heartbeat(sender), Pulse(receiver))
}

impl Heartbeat {
    /// Announces the next beat.
    pub fn expect_by(&self, time: Instant) {
        self.0.send_replace(time);
    }
}

impl Pulse {
    /// Whether the announced beat is not overdue.
    pub fn is_alive(&self) -> bool {
        let announced = *self.0.borrow();
        announced
            .checked_add(SLACK)
            .is_none_or(|latest| Instant::now() <= latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_alive_until_its_beat_is_overdue() {
        let (heart, pulse) = heartbeat();
        assert!(pulse.is_alive());
        let hour = Duration::from_hours(1);
        heart.expect_by(Instant::now() + hour);
        tokio::time::advance(hour + SLACK).await;
        assert!(pulse.is_alive());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!pulse.is_alive());
        // late, and back
        heart.expect_by(Instant::now());
        assert!(pulse.is_alive());
        drop(heart);
        assert!(pulse.is_alive());
        tokio::time::advance(2 * SLACK).await;
        assert!(!pulse.is_alive());
    }
}
