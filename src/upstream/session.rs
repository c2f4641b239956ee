//! The requests of one poll: counted, paced, and retried.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::Retryable;
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tracing::debug;

use super::PollError;
use super::answer::Answer;
use super::auth::Auth;
use super::auth::tokens::Access;
use super::client::Client;
use super::credential::Credential;
use super::quota::application::Application;
use super::request::Request;
use super::retry::{delays, wait};
use super::transport::Transport;
use crate::telemetry::AccountTelemetry;

/// The expiry of the access token that a poll uses.
#[derive(Clone, Copy, Debug, Default)]
pub enum TokenInUse {
    /// The poll has no token yet.
    #[default]
    None,
    /// The token expires at this time, if that is known.
    Until(Option<DateTime<Utc>>),
}

/// Makes the requests of one poll.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    application: Arc<Application>,
    retry_until: Instant,
    telemetry: AccountTelemetry,
    /// Bytes of all answers so far.
    received: AtomicUsize,
    /// Requests so far, without retries.
    requests: AtomicU64,
    token: Mutex<TokenInUse>,
}

impl Session {
    /// A session whose requests have a time limit each, body included, and count against the
    /// application's quota. No retry begins after `retry_until`.
    pub fn new(
        client: Client,
        request_timeout: Duration,
        retry_until: Instant,
        telemetry: AccountTelemetry,
        application: Arc<Application>,
    ) -> Self {
        Self {
            transport: Transport::new(client, request_timeout),
            application,
            retry_until,
            telemetry,
            received: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            token: Mutex::default(),
        }
    }

    /// The credential that requests carry. `refused` is one that the provider no longer accepts.
    pub async fn credential(
        &self,
        auth: &Auth,
        access: &Access,
        refused: Option<&Credential>,
    ) -> Result<Credential, PollError> {
        let credential = auth.credential(access, &self.transport, refused).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) =
            TokenInUse::Until(credential.expiry);
        Ok(credential)
    }

    /// The expiry of the access token in use.
    pub fn token(&self) -> TokenInUse {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of requests so far, without retries.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Makes a request and interprets the answer. Retries transient errors.
    pub async fn get<T>(
        &self,
        request: &Request,
        credential: &Credential,
        interpret: impl Fn(&Answer) -> Result<T, PollError>,
    ) -> Result<T, PollError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let attempt = || self.attempt(request, credential, &interpret);
        attempt
            .retry(delays())
            .sleep(tokio::time::sleep)
            .when(|error: &PollError| error.reason.is_transient())
            .adjust(|error, delay| self.delay(error, delay?))
            .notify(|error, delay| {
                self.telemetry.retry();
                debug!(reason = error.reason.as_str(), %error, ?delay, "retrying");
            })
            .await
    }

    /// The wait before the next try; `None` if there is no time left for one.
    fn delay(&self, error: &PollError, planned: Duration) -> Option<Duration> {
        let delay = wait(error, planned)?;
        let begin = Instant::now().checked_add(delay)?;
        (begin <= self.retry_until).then_some(delay)
    }

    async fn attempt<T>(
        &self,
        request: &Request,
        credential: &Credential,
        interpret: &impl Fn(&Answer) -> Result<T, PollError>,
    ) -> Result<T, PollError> {
        self.application.admit().await?;
        let begin = Instant::now();
        let (code, answer) = self.transport.fetch(request, credential, &self.received).await;
        self.telemetry.request(&code, begin.elapsed());
        // here, so that no log line of a retry contains a secret
        let result = answer
            .inspect(|answer| self.application.answered(&answer.headers))
            .and_then(|answer| interpret(&answer))
            .map_err(PollError::presentable);
        if let Err(error) = &result {
            self.application.refused(error).await;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::quota::Limits;
    use crate::upstream::retry::{MAX_RETRIES, MAX_WAIT};

    /// The number of requests to a server that does not exist.
    async fn attempts(time_for_retries: Duration) -> u64 {
        let limits = Limits { per_day: Some(100), ..Limits::default() };
        let application = Application::new(String::new(), limits, None).await;
        let application = Arc::new(application);
        let session = Session::new(
            Client::local().unwrap(),
            MAX_WAIT,
            Instant::now() + time_for_retries,
            AccountTelemetry::new("p", "a", [], &[], &[], true).unwrap(),
            Arc::clone(&application),
        );
        let request = Request::get("http://127.0.0.1:1".parse().unwrap());
        let credential = Credential::bearer("x".into(), None);
        let error = session.get(&request, &credential, |_| Ok(())).await;
        assert!(error.unwrap_err().reason.is_transient());
        100 - application.remaining().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_bounded_in_number_and_time() {
        assert_eq!(attempts(MAX_WAIT).await, 1 + MAX_RETRIES as u64);
        assert_eq!(attempts(Duration::ZERO).await, 1);
    }
}
