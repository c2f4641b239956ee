//! Whether the poll loops still turn, whatever the providers do.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How much later than announced a beat may come: what is done around a poll takes a while on a
/// busy machine, above all writing to a disk.
const SLACK: Duration = Duration::from_mins(1);

/// The end of a poll loop: it says when it will be heard of next.
#[derive(Debug)]
pub struct Heartbeat(watch::Sender<Instant>);

/// The end of whoever watches it.
#[derive(Clone, Debug)]
pub struct Pulse(watch::Receiver<Instant>);

/// A heart that has just beaten, and its pulse.
pub fn heartbeat() -> (Heartbeat, Pulse) {
    let (sender, receiver) = watch::channel(Instant::now());
    (Heartbeat(sender), Pulse(receiver))
}

impl Heartbeat {
    /// The next beat comes by then.
    pub fn expect_by(&self, time: Instant) {
        self.0.send_replace(time);
    }
}

impl Pulse {
    /// Whether the loop is where it said it would be.
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
    async fn a_loop_lives_until_it_is_late() {
        let (heart, pulse) = heartbeat();
        assert!(pulse.is_alive());
        let hour = Duration::from_hours(1);
        heart.expect_by(Instant::now() + hour);
        tokio::time::advance(hour + SLACK).await;
        assert!(pulse.is_alive());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!pulse.is_alive());
        // late, and there again
        heart.expect_by(Instant::now());
        assert!(pulse.is_alive());
        drop(heart);
        assert!(pulse.is_alive());
        tokio::time::advance(2 * SLACK).await;
        assert!(!pulse.is_alive());
    }
}
