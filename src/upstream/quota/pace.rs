//! An even pace of requests.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// An even pace of requests: one per period, first come, first served.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<Interval>);

impl Pace {
    /// One request per `period`. Without bursts, a provider that counts per second never counts more
    /// than its limit.
    pub(crate) fn new(period: Duration) -> Self {
        let mut ticks = interval(period.max(Duration::from_nanos(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self(Mutex::new(ticks))
    }

    /// Waits until the next request may be made.
    pub(crate) async fn wait(&self) {
        // tokio's mutex is fair
        self.0.lock().await.tick().await;
    }
}
