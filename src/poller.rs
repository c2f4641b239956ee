//! Polling: one task per account, never two polls of it at the same time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Account;
use crate::document::duration_text;
use crate::provider::{PollError, Problems, Reason, Session, Window};
use crate::snapshot::{Change, Data, Generation, Update};
use crate::telemetry::AccountTelemetry;

/// Longest poll with all its pages and retries. At Constant Contact's 4 requests a second, 2,000
/// pages take half of this.
const MAX_POLL_DURATION: Duration = Duration::from_mins(15);

/// Retries begin within the poll interval or, where that is shorter, within this.
const LEAST_RETRY_TIME: Duration = Duration::from_secs(30);

/// Longest delay of the first poll, so that many accounts do not all begin at once.
const MAX_SPREAD: Duration = Duration::from_secs(2);

/// What one account is polled with.
#[derive(Clone, Debug)]
pub struct Poller {
    /// The account.
    pub account: Account,
    /// Which configuration of it this is.
    pub generation: Generation,
    /// The HTTP client of all accounts.
    pub client: reqwest::Client,
    /// Where polls and requests are counted.
    pub telemetry: AccountTelemetry,
}

/// What one poll came to.
#[derive(Debug)]
pub struct Outcome {
    /// What it found, with the values that could not be read, or why it failed.
    pub result: Result<(Data, Problems), PollError>,
    /// How long it took.
    pub took: Duration,
}

impl Poller {
    /// Polls once and counts it.
    pub async fn poll(&self) -> Outcome {
        let begin = Instant::now();
        let polling = &self.account.polling;
        let session = Session::new(
            self.client.clone(),
            polling.request_timeout,
            begin
                + polling
                    .poll_interval
                    .clamp(LEAST_RETRY_TIME, MAX_POLL_DURATION),
            self.telemetry.clone(),
        );
        let window = window(Utc::now(), polling.lookback);
        let read = self.account.provider.read_campaigns(&session, window);
        let read = tokio::time::timeout(MAX_POLL_DURATION, read).await;
        let result = read.unwrap_or_else(|_| {
            let limit = duration_text(MAX_POLL_DURATION);
            Err(PollError::new(
                Reason::Timeout,
                format!("the poll took longer than {limit}"),
            ))
        });
        let result = result.map(|mut reading| {
            let (campaigns, dropped) = reading.take_newest(polling.max_campaigns);
            for (field, count) in reading.problems.iter() {
                self.telemetry.decode_problems(field, count);
            }
            for rate in reading.mismatches {
                self.telemetry.mismatch(rate);
            }
            let data = Data {
                campaigns,
                dropped,
                credits: reading.credits,
                reported_ratios: reading.reported_ratios,
            };
            (data, reading.problems)
        });
        match &result {
            Ok(_) => self.telemetry.poll_succeeded(),
            Err(error) => self.telemetry.poll_failed(error.reason.as_str()),
        }
        Outcome {
            result,
            took: begin.elapsed(),
        }
    }

    /// Polls at once, then at every interval, until `stop` is cancelled.
    pub async fn run(self, changes: mpsc::Sender<Change>, stop: CancellationToken) {
        stop.run_until_cancelled(self.poll_for_ever(changes)).await;
    }

    async fn poll_for_ever(&self, changes: mpsc::Sender<Change>) {
        let interval = self.account.polling.poll_interval;
        tokio::time::sleep(MAX_SPREAD.min(interval / 10).mul_f64(fastrand::f64())).await;
        let mut ticks = tokio::time::interval(interval);
        // a poll that takes longer than the interval is followed by the next one, not by a burst
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut log = Log::default();
        loop {
            ticks.tick().await;
            let outcome = self.poll().await;
            log.outcome(&self.account, &outcome);
            let update = self.update(outcome);
            if changes
                .send(Change::Polled(Box::new(update)))
                .await
                .is_err()
            {
                // nobody is left to tell: the program is about to stop
                return;
            }
        }
    }

    /// What the outcome means for the snapshot.
    pub fn update(&self, outcome: Outcome) -> Update {
        Update {
            account: self.account.name.clone(),
            generation: self.generation,
            at: Utc::now(),
            ended: Instant::now(),
            took: outcome.took,
            data: outcome.result.ok().map(|(data, _)| data),
        }
    }
}

fn window(now: DateTime<Utc>, lookback: Duration) -> Window {
    // the configuration bounds the lookback far below what these could not hold
    let lookback = TimeDelta::from_std(lookback).unwrap_or(TimeDelta::MAX);
    let start = now
        .checked_sub_signed(lookback)
        .unwrap_or(DateTime::UNIX_EPOCH);
    Window { start, now }
}

/// What was logged last: whatever goes on unchanged is said once.
#[derive(Default)]
struct Log {
    succeeded_before: bool,
    problems: Problems,
    dropped: usize,
}

impl Log {
    fn outcome(&mut self, account: &Account, outcome: &Outcome) {
        let provider = account.provider.name();
        let name = &account.name;
        let took = format!("{:.3}s", outcome.took.as_secs_f64());
        match &outcome.result {
            Err(error) => {
                let reason = error.reason.as_str();
                warn!(provider, account = name, reason, %error, took, "poll failed");
                self.succeeded_before = false;
            }
            Ok((data, problems)) => {
                let campaigns = data.campaigns.len();
                if self.succeeded_before {
                    debug!(provider, account = name, campaigns, took, "polled");
                } else {
                    info!(provider, account = name, campaigns, took, "polled");
                }
                self.succeeded_before = true;
                if !problems.is_empty() && *problems != self.problems {
                    warn!(provider, account = name, %problems, "values could not be read");
                } else if !problems.is_empty() {
                    debug!(provider, account = name, %problems, "values could not be read");
                }
                self.problems = problems.clone();
                if data.dropped != self.dropped && data.dropped > 0 {
                    let (dropped, most) = (data.dropped, account.polling.max_campaigns);
                    warn!(
                        provider,
                        account = name,
                        dropped,
                        max_campaigns = most,
                        "more campaigns than max_campaigns: the oldest are left out"
                    );
                }
                self.dropped = data.dropped;
            }
        }
    }
}
