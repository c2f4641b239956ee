//! One way of asking for all providers: bearer token, bounds, retries, and what went wrong.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use super::quota::application::Application;
use super::{PollError, Reason};
use crate::document::secret::SecretSource;
use crate::telemetry::AccountTelemetry;

/// What providers see as `User-Agent`.
const USER_AGENT: &str = concat!("campaign_exporter/", env!("CARGO_PKG_VERSION"));

/// Time limit of a connection, TLS included, within the limit of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest body after decompression. SMSUp's largest page, 1,000 campaigns with texts of 1,600
/// characters, is about 2 MB.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Most bytes of all answers of one poll. A million campaigns of SMSUp with texts of usual length have
/// half of this.
const MAX_POLL_BYTES: usize = 1024 * 1024 * 1024;

/// Longest part of a provider's own error text that is logged, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// Retries of one request.
const MAX_RETRIES: usize = 3;

/// Wait before the first retry; each later one is three times as long, each with jitter.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Least wait after "too many requests", which every known limit counts by the second.
const THROTTLED_DELAY: Duration = Duration::from_secs(1);

/// An HTTP client for all accounts.
pub fn client(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    builder
        .user_agent(USER_AGENT)
        // a redirect would carry the token to another place
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
}

/// Longest wait within a poll that a provider can ask for. A poll that would have to wait longer
/// fails, so that nobody mistakes a sleeping exporter for one that hangs.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Shortest time limit of a request to an authorisation server: one that is given up may have replaced
/// a token all the same.
const MIN_TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest one: a stop waits for it.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is known of the access token that a poll uses.
#[derive(Clone, Copy, Debug, Default)]
pub enum TokenInUse {
    /// The poll has none.
    #[default]
    None,
    /// It runs out at a time, or at one that is not known.
    Until(Option<DateTime<Utc>>),
}

/// How one request is made: with a time limit, its body included.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    client: reqwest::Client,
    request_timeout: Duration,
}

/// How the requests of one poll are made.
#[derive(Debug)]
pub struct Session {
    pub(crate) transport: Transport,
    application: Arc<Application>,
    retry_until: Instant,
    telemetry: AccountTelemetry,
    /// Bytes of all answers so far.
    received: AtomicUsize,
    /// Requests so far, those that were made again counted once.
    requests: AtomicU64,
    /// The access token that the poll uses, as far as others may know it.
    token: watch::Sender<TokenInUse>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: String,
    retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

/// The address of a documented path. A base address may have a path of its own, a gateway's.
pub(crate) fn endpoint(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", base_url.path().trim_end_matches('/')));
    url
}

impl Transport {
    pub(crate) const fn new(client: reqwest::Client, request_timeout: Duration) -> Self {
        Self {
            client,
            request_timeout,
        }
    }

    /// Sends a request. `received` counts the bytes of the answer, whose sum has a bound, too. The
    /// code is what the request is counted under.
    async fn send(
        &self,
        request: RequestBuilder,
        timeout: Duration,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        match request.timeout(timeout).send().await {
            Ok(response) => {
                let code = response.status().as_str().to_owned();
                (code, read(response, received).await)
            }
            Err(error) => ("error".to_owned(), Err(transport_error(error))),
        }
    }

    /// Posts a form to an authorisation server.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, PollError> {
        let request = self.client.post(url).headers(headers).body(body);
        let timeout = self.request_timeout.clamp(MIN_TOKEN_TIMEOUT, TOKEN_TIMEOUT);
        self.send(request, timeout, &AtomicUsize::new(0)).await.1
    }

    async fn get(
        &self,
        url: &Url,
        token: &SecretString,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        let request = self
            .client
            .get(url.clone())
            .bearer_auth(token.expose_secret())
            .header(ACCEPT, "application/json")
            // of a request without a body, but two of the documents ask for it
            .header(CONTENT_TYPE, "application/json");
        self.send(request, self.request_timeout, received).await
    }
}

async fn read(mut response: Response, received: &AtomicUsize) -> Result<Answer, PollError> {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let content_type = header(CONTENT_TYPE).unwrap_or("no content type").to_owned();
    let retry_after = header(RETRY_AFTER).and_then(|value| retry_after(value, Utc::now()));
    let too_large = |what: &str, most: usize| {
        Err(PollError::new(
            Reason::TooLarge,
            format!("{what} more than {most} bytes"),
        ))
    };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return too_large("the answer has", MAX_BODY_BYTES);
        }
        let before = received.fetch_add(chunk.len(), Ordering::Relaxed);
        if before + chunk.len() > MAX_POLL_BYTES {
            return too_large("the answers have together", MAX_POLL_BYTES);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status().as_u16(),
        content_type,
        retry_after,
        body: body.freeze(),
    })
}

impl Session {
    /// Requests with a time limit each, body included, that are counted in `telemetry` and against
    /// what the application may ask. No retry begins after `retry_until`.
    pub fn new(
        client: reqwest::Client,
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
            token: watch::Sender::default(),
        }
    }

    /// Reads the configured token that requests carry.
    pub(crate) async fn read_token(
        &self,
        source: &SecretSource,
    ) -> Result<SecretString, PollError> {
        let token = source.read().await;
        let token =
            token.map_err(|error| PollError::new(Reason::Auth, format!("token: {error}")))?;
        self.uses_token_until(jwt_expiry(token.expose_secret()));
        Ok(token)
    }

    /// What is known of the access token in use.
    pub fn token(&self) -> TokenInUse {
        *self.token.borrow()
    }

    /// Takes note of when the access token in use runs out.
    pub(crate) fn uses_token_until(&self, expiry: Option<DateTime<Utc>>) {
        self.token.send_replace(TokenInUse::Until(expiry));
    }

    /// How many requests the poll has needed so far, not counting what was tried again.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Asks for `url` and makes of the answer what `interpret` does, again after a while where that
    /// may help.
    pub(crate) async fn get<T>(
        &self,
        url: &Url,
        token: &SecretString,
        interpret: impl Fn(&Answer) -> Result<T, PollError>,
    ) -> Result<T, PollError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let attempt = || self.attempt(url, token, &interpret);
        attempt
            .retry(delays())
            .sleep(tokio::time::sleep)
            .when(|error: &PollError| error.reason.is_transient())
            .adjust(|error, delay| self.delay(error, delay?))
            .notify(|error, delay| {
                self.telemetry.retry();
                debug!(reason = error.reason.as_str(), %error, ?delay, "trying again");
            })
            .await
    }

    /// Asks for `url` once and makes of the answer what `interpret` does.
    pub(crate) async fn get_once<T>(
        &self,
        url: &Url,
        token: &SecretString,
        interpret: impl Fn(&Answer) -> Result<T, PollError>,
    ) -> Result<T, PollError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.attempt(url, token, &interpret).await
    }

    /// How long to wait before the next try; nothing if there is no time left for one.
    fn delay(&self, error: &PollError, planned: Duration) -> Option<Duration> {
        let delay = wait(error, planned)?;
        let begin = Instant::now().checked_add(delay)?;
        (begin <= self.retry_until).then_some(delay)
    }

    async fn attempt<T>(
        &self,
        url: &Url,
        token: &SecretString,
        interpret: &impl Fn(&Answer) -> Result<T, PollError>,
    ) -> Result<T, PollError> {
        self.application.admit().await?;
        let begin = Instant::now();
        let (code, answer) = self.transport.get(url, token, &self.received).await;
        self.telemetry.request(&code, begin.elapsed());
        // here, so that neither the log of a retry nor anything later sees more
        let result = answer
            .and_then(|answer| interpret(&answer))
            .map_err(|error| presentable(error, token));
        if let Err(error) = &result {
            self.application.refused(error).await;
        }
        result
    }
}

/// When a token runs out, if it is a JSON Web Token that says so (RFC 7519, 4.1.4). Nobody's
/// signature is checked: whoever issued it does that.
fn jwt_expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let mut parts = token.split('.');
    let claims = parts.nth(1).filter(|_| parts.count() == 1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}

/// The waits before retries.
pub(crate) fn delays() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_RETRY_DELAY)
        .with_factor(3.0)
        .with_max_times(MAX_RETRIES)
        .with_jitter()
}

/// How long to wait before the next try; nothing if that is longer than a poll waits.
pub(crate) fn wait(error: &PollError, planned: Duration) -> Option<Duration> {
    let least = match (error.retry_after, error.reason) {
        (Some(asked), _) => asked,
        (None, Reason::Throttled) => THROTTLED_DELAY,
        (None, _) => Duration::ZERO,
    };
    // the planned delay has the jitter
    (least <= MAX_WAIT).then(|| least + planned)
}

impl Answer {
    /// An answer that did not come over HTTP.
    pub(crate) fn of(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            retry_after: None,
            body: Bytes::copy_from_slice(body.as_ref()),
        }
    }

    /// The body as a JSON object of a type, or a `decode` error.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PollError> {
        let fail = |detail: String| {
            let (status, content_type) = (self.status, &self.content_type);
            PollError::new(
                Reason::Decode,
                format!("HTTP {status}, not the documented JSON ({content_type}): {detail}"),
            )
        };
        // serde would read a struct from an array, too
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(fail("not an object".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| fail(error.to_string()))
    }

    /// An error that the answer stands for, with the provider's own `code` for it, where it has
    /// one, and what it says about it.
    pub(crate) fn error(&self, reason: Reason, code: Option<i64>) -> PollError {
        let mut message = format!("HTTP {}", self.status);
        if let Some(code) = code {
            message = format!("{message}, code {code}");
        }
        if let Some(wait) = self.retry_after {
            message = format!("{message}, asks to wait {} s", wait.as_secs());
        }
        let detail = error_detail(&self.body);
        if !detail.is_empty() {
            message = format!("{message}: {detail}");
        }
        PollError {
            reason,
            message,
            retry_after: self.retry_after,
        }
    }

    /// The error that the HTTP status alone stands for.
    pub(crate) fn status_error(&self) -> PollError {
        self.error(Reason::of_status(self.status), None)
    }
}

/// The members under which the known APIs explain an error, in one object or an array of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error_key: Option<String>,
    error_message: Option<String>,
    message: Option<String>,
    details: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What a body says about an error; nothing if it is in no known form, such as HTML.
fn error_detail(body: &[u8]) -> String {
    let parsed = match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body).ok(),
        Some(b'[') => serde_json::from_slice::<Vec<ErrorBody>>(body)
            .ok()
            .and_then(|errors| errors.into_iter().next()),
        _ => None,
    };
    let ErrorBody {
        error_key,
        error_message,
        message,
        details,
        error,
        error_description,
    } = parsed.unwrap_or_default();
    let parts = [
        error_key,
        error,
        error_message,
        message,
        details,
        error_description,
    ];
    let texts: Vec<String> = parts.into_iter().flatten().collect();
    texts.join(": ")
}

/// The error with a message of one line and bounded length, without the token, which a provider
/// may repeat. The token goes first: nothing would tell one that is cut.
pub(crate) fn presentable(mut error: PollError, token: &SecretString) -> PollError {
    let token = token.expose_secret();
    // serde shows text as `Debug` does
    let shown = format!("{token:?}");
    for form in [shown.trim_matches('"'), token] {
        error.message = error.message.replace(form, "[redacted]");
    }
    let end = error.message.char_indices().nth(MAX_MESSAGE_CHARS);
    if let Some((end, _)) = end {
        error.message.truncate(end);
        error.message.push('…');
    }
    error.message = error.message.replace(char::is_control, " ");
    error
}

/// `Retry-After` as a duration from `now`, in either of its forms (RFC 9110, 10.2.3).
pub(crate) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time: DateTime<Utc> = httpdate::parse_http_date(value).ok()?.into();
    Some((time - now).to_std().unwrap_or_default())
}

/// What went wrong where there is no whole answer.
fn transport_error(error: reqwest::Error) -> PollError {
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if caused_by::<rustls::Error>(&error) {
        Reason::Tls
    } else if error.is_decode() && !caused_by::<hyper::Error>(&error) {
        // a body that is not what its Content-Encoding says
        Reason::Decode
    } else {
        Reason::Network
    };
    // the address is in the configuration; without it no query can leak
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message.push_str(": ");
        message.push_str(&inner.to_string());
        cause = inner.source();
    }
    PollError::new(reason, message)
}

/// Whether an error of type `E` is somewhere in the chain. An `io::Error` hides the error it holds
/// from `source`.
fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.is::<E>() {
            return true;
        }
        cause = match inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(held) => Some(held),
            None => inner.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let wait = |value| retry_after(value, now);
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(
            wait("Sun, 01 Mar 2026 12:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(wait("Sun, 01 Mar 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("99999999999999999999"), None);
    }

    #[test]
    fn a_token_tells_when_it_runs_out_if_it_is_a_jwt() {
        let jwt = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let expiry = |token: &str| jwt_expiry(token).map(|time| time.timestamp());
        assert_eq!(
            expiry(&jwt(r#"{"sub":"x","exp":1800000000}"#)),
            Some(1_800_000_000)
        );
        for token in [
            &jwt(r#"{"sub":"x","iat":1}"#),
            &jwt(r#"{"exp":"soon"}"#),
            &jwt(r#"{"exp":9223372036854775807}"#),
            &jwt("[]"),
            "opaque",
            "",
            "a.b.c",
            "a.b",
            "..",
        ] {
            assert_eq!(expiry(token), None, "{token}");
        }
    }

    #[test]
    fn error_bodies_are_read_in_every_documented_form() {
        for (body, detail) in [
            (r#"[{"error_key":"k","error_message":"m"}]"#, "k: m"),
            (
                r#"{"error_key":"throttled","error_message":"Too Many"}"#,
                "throttled: Too Many",
            ),
            (r#"{"message":"Forbidden"}"#, "Forbidden"),
            (
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                "invalid_grant: expired",
            ),
            (
                r#"{"status":-1,"message":"Authentication error"}"#,
                "Authentication error",
            ),
            ("<html>no</html>", ""),
            ("", ""),
            ("[]", ""),
        ] {
            assert_eq!(error_detail(body.as_bytes()), detail);
        }
    }

    #[test]
    fn a_message_is_one_short_line_without_the_token() {
        let present = |message: &str| {
            let error = PollError::new(Reason::Server, message);
            presentable(error, &SecretString::from("hun\\ter2")).message
        };
        assert_eq!(present("a\nb\u{1b}[31mc"), "a b [31mc");
        let x = "x".repeat(MAX_MESSAGE_CHARS);
        assert_eq!(present(&x), x);
        assert_eq!(present(&format!("{x}x")), format!("{x}…"));
        assert_eq!(present("bad token hun\\ter2!"), "bad token [redacted]!");
        // as serde shows it
        assert_eq!(
            present("invalid type: \"hun\\\\ter2\""),
            "invalid type: \"[redacted]\""
        );
        // across the place where the message is cut
        let cut = present(&format!("{}hun\\ter2", "x".repeat(MAX_MESSAGE_CHARS - 3)));
        assert!(cut.ends_with("x[re…"), "{cut}");
    }
}
