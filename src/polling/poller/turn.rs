//! Which read is due, and the right to poll.

use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::Poller;
use crate::campaign::window::Window;
use crate::polling::heartbeat::Heartbeat;
use crate::upstream::quota::application::FullRead;

/// How often a loop that waits for its turn announces that it is alive.
const WAITING_BEAT: Duration = Duration::from_mins(1);

/// How long a full read can be postponed in favor of recent reads.
const OVERDUE: Duration = Duration::from_hours(24);

/// The right to poll now.
#[derive(Debug)]
pub struct Turn {
    pub(super) scope: Scope,
    _full_read: Option<FullRead>,
}

impl Turn {
    /// The right to request recent campaigns, which every account has.
    pub const fn recent() -> Self {
        Self { scope: Scope::Recent, _full_read: None }
    }
}

/// Which campaigns a poll requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All campaigns of the lookback.
    Full,
    /// Campaigns that are recent enough to change.
    Recent,
}

impl Scope {
    /// The word for log lines.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Recent => "recent",
        }
    }
}

impl Poller {
    /// Waits until the account may be polled. This can take a while if a full read is required,
    /// because accounts of the same application take turns.
    pub async fn turn(&self) -> Turn {
        if let Some(turn) = self.try_turn(Utc::now()) {
            return turn;
        }
        Turn { scope: Scope::Full, _full_read: self.access.application().full_read().await }
    }

    /// Waits for the turn, with a heartbeat.
    pub(super) async fn turn_with(&self, heartbeat: &Heartbeat) -> Turn {
        let mut turn = pin!(self.turn());
        loop {
            let soon = Instant::now() + WAITING_BEAT;
            heartbeat.expect_by(soon);
            tokio::select! {
                turn = turn.as_mut() => return turn,
                () = tokio::time::sleep_until(soon) => {}
            }
        }
    }

    /// The turn, unless a full read is required and has to wait. Polls read all campaigns from time
    /// to time, and always if that takes no more requests than the recent ones.
    fn try_turn(&self, now: DateTime<Utc>) -> Option<Turn> {
        let (data, last_full) = (self.progress.data.as_ref()?, self.progress.last_full?);
        if self.all_are_recent(now) {
            return None;
        }
        let turn = |scope, full_read| Some(Turn { scope, _full_read: full_read });
        let (full, recent) = (self.progress.full_requests, self.progress.recent_requests);
        if full.is_some_and(|full| recent.is_some_and(|recent| full <= recent)) {
            return turn(Scope::Full, None);
        }
        let polling = &self.account.polling;
        let application = self.access.application();
        let is_whole = data.history.full().start <= Window::ending(now, polling.lookback).start;
        let interval = application.stretched(polling.full_poll_interval);
        // after the clock went back, the last full read is in the future: it is due
        let age = (now - last_full).to_std().unwrap_or(Duration::MAX);
        let may_wait = age < interval + polling.stale_after(self.interval());
        if (is_whole && age < interval) || (self.progress.full_failed && may_wait) {
            return turn(Scope::Recent, None);
        }
        let overdue = !is_whole || age > OVERDUE;
        match application.try_full_read(&self.account.name, overdue) {
            Some(full_read) => turn(Scope::Full, Some(full_read)),
            None => turn(Scope::Recent, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::polling::poller::tests::{HOUR, poller};
    use crate::provider::Reading;

    #[tokio::test]
    async fn a_full_read_is_due_after_its_interval_or_a_longer_lookback() {
        let mut poller = poller().await;
        let now = Utc::now();
        let scope = |poller: &Poller, now| poller.try_turn(now).map(|turn| turn.scope);
        assert_eq!(scope(&poller, now), None, "without data it has to wait");
        assert_eq!(poller.turn().await.scope, Scope::Full);
        let full = Window::ending(now, poller.account.polling.lookback);
        poller.accept(Reading::default(), Scope::Full, full);
        assert_eq!(scope(&poller, now), Some(Scope::Recent));
        let minutes = TimeDelta::minutes;
        assert_eq!(scope(&poller, now + minutes(59)), Some(Scope::Recent));
        assert_eq!(scope(&poller, now + minutes(60)), Some(Scope::Full));
        // the clock went back
        assert_eq!(scope(&poller, now - minutes(1)), Some(Scope::Full));
        // after a failed full read, recent reads go on until the other campaigns are too old
        poller.progress.full_failed = true;
        assert_eq!(scope(&poller, now + minutes(60)), Some(Scope::Recent));
        assert_eq!(scope(&poller, now + minutes(74)), Some(Scope::Recent));
        assert_eq!(scope(&poller, now + minutes(75)), Some(Scope::Full));
        poller.progress.full_failed = false;
        // a full read takes no more requests
        poller.progress.full_requests = Some(2);
        poller.progress.recent_requests = Some(2);
        assert_eq!(scope(&poller, now), Some(Scope::Full));
        poller.progress.full_requests = Some(3);
        assert_eq!(scope(&poller, now), Some(Scope::Recent));
        let polling = poller.account.polling.clone();
        poller.account.polling.lookback += HOUR;
        assert_eq!(scope(&poller, now), Some(Scope::Full));
        poller.account.polling = polling.clone();
        poller.account.polling.lookback = polling.recent;
        assert_eq!(scope(&poller, now), None, "all campaigns are recent");
    }
}
