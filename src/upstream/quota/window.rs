//! A limit on the requests in any period of a fixed length.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Added to the period: two requests can arrive closer to each other than they were sent.
const MARGIN: Duration = Duration::from_secs(1);

/// A limit on the requests in any period of a fixed length, wherever the provider's own begins.
#[derive(Debug)]
pub(super) struct Window {
    /// The period, for people.
    pub name: &'static str,
    length: Duration,
    pub limit: Option<u64>,
    /// When the requests of the last period were made. Never more than the largest limit so far.
    made: VecDeque<Instant>,
}

impl Window {
    pub(super) const fn new(name: &'static str, length: Duration) -> Self {
        Self { name, length, limit: None, made: VecDeque::new() }
    }

    /// The number of requests that can be made now, if there is a limit.
    pub(super) fn remaining(&self, now: Instant) -> Option<u64> {
        let old = self.made.partition_point(|made| self.end(*made) <= now);
        let made = (self.made.len() - old) as u64;
        Some(self.limit?.saturating_sub(made))
    }

    /// When the next request can be made; `None` if there is no limit, or nothing was made.
    pub(super) fn next(&self) -> Option<Instant> {
        let limit = usize::try_from(self.limit?).ok()?;
        let last = self.made.len().checked_sub(limit)?;
        self.made.get(last).map(|made| self.end(*made))
    }

    /// Counts a request.
    pub(super) fn add(&mut self, now: Instant) {
        while self.made.front().is_some_and(|made| self.end(*made) <= now) {
            self.made.pop_front();
        }
        if self.limit.is_some() {
            self.made.push_back(now);
        }
    }

    fn end(&self, made: Instant) -> Instant {
        made + self.length + MARGIN
    }
}
