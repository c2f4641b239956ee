//! Logs an account's polls. A failure that persists is logged once, then hourly.
//!
//! The span of the account adds its name and provider.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Outcome;
use super::turn::Scope;
use crate::config::Account;
use crate::provider::Problems;
use crate::state::snapshot::Data;
use crate::storage::store::StoreError;
use crate::upstream::{PollError, Reason};

/// How often a failure that continues is logged again.
const REMINDER: Duration = Duration::from_hours(1);

/// What was logged of an account's polls so far.
#[derive(Default)]
pub(super) struct PollLog {
    succeeded_before: bool,
    failure: Option<OngoingFailure>,
    /// Problems of the last full read and of the last recent one, which see different campaigns.
    problems: [Problems; 2],
    dropped: usize,
    /// Whether all campaigns of the last poll were older than the lookback.
    all_older: bool,
    cannot_save: bool,
}

/// A failure that continues.
struct OngoingFailure {
    reason: Reason,
    message: String,
    logged: Instant,
    polls: u64,
}

impl PollLog {
    /// Logs a poll.
    pub(super) fn outcome(&mut self, outcome: &Outcome, account: &Account) {
        let took = format!("{:.3}s", outcome.took.as_secs_f64());
        match &outcome.result {
            Err(error) => self.failed(error, account, &took),
            Ok((data, problems)) => {
                self.succeeded(data, outcome.scope, &took);
                self.problems(problems, outcome.scope);
                self.older(outcome.older, data.campaigns.is_empty());
                self.dropped(data.dropped, account.polling.max_campaigns);
            }
        }
    }

    fn failed(&mut self, error: &PollError, account: &Account, took: &str) {
        let reason = error.reason.as_str();
        if self.is_known(error) {
            debug!(reason, %error, took, "poll failed again");
        } else {
            let advice = account.advice(error);
            warn!(reason, %error, took, advice, "poll failed");
        }
        self.succeeded_before = false;
    }

    fn succeeded(&mut self, data: &Data, scope: Scope, took: &str) {
        let campaigns = data.campaigns.len();
        let failed_polls = self.failure.take().map_or(0, |failure| failure.polls);
        if failed_polls > 0 {
            info!(campaigns, failed_polls, took, "polls succeed again");
        } else if self.succeeded_before {
            debug!(campaigns, read = scope.as_str(), took, "polled");
        } else {
            info!(campaigns, took, "polled");
        }
        self.succeeded_before = true;
    }

    fn problems(&mut self, problems: &Problems, scope: Scope) {
        if !problems.is_empty() && !self.problems.contains(problems) {
            warn!(%problems, "values could not be read");
        } else if !problems.is_empty() {
            debug!(%problems, "values could not be read");
        }
        let [full, recent] = &mut self.problems;
        let logged = match scope {
            Scope::Full => full,
            Scope::Recent => recent,
        };
        logged.clone_from(problems);
    }

    fn older(&mut self, older: usize, are_all: bool) {
        let are_all = are_all && older > 0;
        if are_all && !self.all_older {
            info!(older, "all campaigns are older than the lookback and left out");
        } else if older > 0 {
            debug!(older, "campaigns are older than the period of the poll and left out");
        }
        self.all_older = are_all;
    }

    fn dropped(&mut self, dropped: usize, max_campaigns: usize) {
        if dropped != self.dropped && dropped > 0 {
            warn!(
                dropped,
                max_campaigns,
                "more campaigns, or longer ids and names, than max_campaigns allows: the oldest are \
                 left out"
            );
        }
        self.dropped = dropped;
    }

    /// Notes a failure. Returns whether it was logged less than an hour ago.
    fn is_known(&mut self, error: &PollError) -> bool {
        if let Some(failure) = &mut self.failure {
            failure.polls += 1;
            if failure.reason == error.reason && failure.message == error.message {
                let recently = failure.logged.elapsed() < REMINDER;
                if !recently {
                    failure.logged = Instant::now();
                }
                return recently;
            }
        }
        let polls = self.failure.as_ref().map_or(1, |failure| failure.polls);
        self.failure = Some(OngoingFailure {
            reason: error.reason,
            message: error.message.clone(),
            logged: Instant::now(),
            polls,
        });
        false
    }

    /// Logs whether a poll could be stored.
    pub(super) fn saved(&mut self, saved: &Result<(), StoreError>) {
        match saved {
            Ok(()) if self.cannot_save => info!("polls are stored again"),
            Ok(()) => {}
            Err(error) if self.cannot_save => debug!(%error, "still cannot store polls"),
            Err(error) => warn!(%error, "cannot store polls; a restart would lose them"),
        }
        self.cannot_save = saved.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::LogFormat;
    use crate::logging::tests::capture;
    use crate::polling::poller::tests::{poller, running};

    #[test]
    fn an_ongoing_failure_is_logged_hourly() {
        let mut log = PollLog::default();
        let error = |message| PollError::new(Reason::Server, message);
        assert!(!log.is_known(&error("a")));
        assert!(log.is_known(&error("a")));
        assert!(!log.is_known(&error("b")));
        assert!(!log.is_known(&PollError::new(Reason::Client, "b")));
        assert_eq!(log.failure.as_ref().unwrap().polls, 4);
        log.failure.as_mut().unwrap().logged -= REMINDER;
        assert!(!log.is_known(&PollError::new(Reason::Client, "b")));
        assert!(log.is_known(&PollError::new(Reason::Client, "b")));
    }

    #[test]
    fn a_poll_that_succeeds_again_says_what_it_read() {
        let (file, _guard) = capture(LogFormat::Logfmt);
        let mut log = PollLog::default();
        for scope in [Scope::Full, Scope::Full, Scope::Recent] {
            log.succeeded(&Data::default(), scope, "1s");
        }
        let log = std::fs::read_to_string(file.path()).unwrap();
        assert!(log.contains("read=full") && log.contains("read=recent"), "{log}");
    }

    #[test]
    fn a_poll_that_leaves_out_all_campaigns_says_so_once() {
        let (file, _guard) = capture(LogFormat::Logfmt);
        let mut log = PollLog::default();
        for (older, are_all) in [(0, true), (3, false), (3, true), (3, true)] {
            log.older(older, are_all);
        }
        let log = std::fs::read_to_string(file.path()).unwrap();
        let lines = log.lines().filter(|line| line.contains("all campaigns are older"));
        assert_eq!(lines.count(), 1, "{log}");
    }

    #[tokio::test(start_paused = true)]
    async fn log_lines_of_a_poll_name_its_account() {
        let (file, _guard) = capture(LogFormat::Logfmt);
        let (_tasks, _pulse, mut inbox) = running(poller().await, Duration::ZERO).await;
        inbox.receive().await;
        let log = std::fs::read_to_string(file.path()).unwrap();
        let line = log.lines().find(|line| line.contains("poll failed"));
        assert!(line.unwrap().ends_with("account=a provider=alpha"), "{log}");
    }
}
