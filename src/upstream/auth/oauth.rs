//! OAuth 2.0: access tokens, and the refresh tokens that renew them (RFC 6749), and consent on
//! another device (RFC 8628).

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use form_urlencoded::byte_serialize;
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::renewals::TOKEN_PERIOD;
use crate::document::secret::{SecretSource, is_printable};
use crate::redaction;
use crate::upstream::answer::{Answer, words};
use crate::upstream::credential::basic;
use crate::upstream::error::presentable;
use crate::upstream::transport::{Transport, endpoint, is_private, root};
use crate::upstream::{PollError, Reason};

/// Lifetime of a device code if the answer does not state it.
const DEFAULT_DEVICE_CODE_SECONDS: u64 = 600;

/// Time between two requests for the tokens of a device code if the answer does not state it (RFC
/// 8628, 3.2); also what `slow_down` adds.
const DEFAULT_DEVICE_INTERVAL_SECONDS: u64 = 5;

/// Longest lifetime and interval of a device code: a day is long enough to wait at a terminal.
const MAX_DEVICE_SECONDS: u64 = 24 * 60 * 60;

/// Longest time between two requests for the tokens of a device code after failed ones.
const MAX_DEVICE_BACKOFF: Duration = Duration::from_secs(10);

/// The members under which an authorization server explains errors.
const ERROR_MEMBERS: [&str; 5] =
    ["error", "error_message", "message", "details", "error_description"];

/// A provider's OAuth 2.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OAuth {
    /// Path of the token endpoint, below the account's `auth_url`.
    pub token_path: &'static str,
    /// Path of the device authorization endpoint, likewise.
    pub device_path: &'static str,
    /// Scopes that the exporter asks consent for.
    pub scopes: &'static [&'static str],
    /// Lifetime of an access token if the answer does not state it.
    pub lifetime: Duration,
}

/// An application as registered at the provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The provider's OAuth 2.0.
    pub oauth: OAuth,
    /// The authorization server, without the documented path.
    pub auth_url: Url,
    /// The application's id.
    pub client_id: String,
    /// The application's secret; `None` for a public client.
    pub client_secret: Option<SecretSource>,
    /// The first refresh token. The store has the later ones.
    pub refresh_token: Option<SecretSource>,
}

/// Tokens that the authorization server grants.
#[derive(Debug)]
pub(super) struct Grant {
    /// `None` if the answer has none that a request could carry.
    pub(super) access_token: Option<SecretString>,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) lifetime: Duration,
    /// When the tokens were requested. The lifetime begins between that and the answer.
    pub(super) asked_at: DateTime<Utc>,
    /// The same on the monotonic clock.
    pub(super) asked: Instant,
}

/// Why a refresh gave no tokens.
#[derive(Debug)]
pub(super) enum RefreshError {
    /// The refresh token is no longer valid.
    Revoked(String),
    /// An error that says nothing about the refresh token.
    Other(PollError),
}

/// Where a person consents, and with which code.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// The address to open.
    pub address: String,
    /// The code to enter there.
    pub code: String,
    /// The address that includes the code.
    pub complete_address: Option<String>,
    /// How long both are valid.
    pub lifetime: Duration,
}

/// What the authorization server reports instead of a grant (RFC 6749, 5.2).
#[derive(Debug)]
struct OAuthError {
    error: String,
    description: Option<String>,
    uri: Option<String>,
}

impl fmt::Display for OAuthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.error)?;
        if let Some(description) = &self.description {
            write!(formatter, ": {description}")?;
        }
        if let Some(uri) = &self.uri {
            write!(formatter, " (see {uri})")?;
        }
        Ok(())
    }
}

impl From<OAuthError> for PollError {
    fn from(error: OAuthError) -> Self {
        let message =
            format!("the authorization server says {error}: check client_id and client_secret");
        Self::new(Reason::Auth, message)
    }
}

impl Registration {
    /// Refreshes the tokens once.
    pub(super) async fn refresh(
        &self,
        transport: &Transport,
        refresh_token: &SecretString,
    ) -> Result<Grant, RefreshError> {
        let client = Client::of(self, transport).await;
        let client = client.map_err(RefreshError::Other)?;
        let form =
            [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        let (asked_at, asked) = (Utc::now(), Instant::now());
        let answer = client.post(self.oauth.token_path, &form, false).await;
        match answer.map_err(RefreshError::Other)? {
            Ok(answer) => self.grant(&answer, asked_at, asked).map_err(RefreshError::Other),
            Err(error) if error.error == "invalid_grant" => {
                Err(RefreshError::Revoked(presentable(&error.to_string())))
            }
            Err(error) => Err(RefreshError::Other(PollError::from(error).presentable())),
        }
    }

    /// Asks a person for consent on another device. `show` is called with the address and the code.
    pub(super) async fn authorize_device(
        &self,
        transport: &Transport,
        show: impl FnOnce(&DeviceCode),
    ) -> Result<Grant, PollError> {
        let client = Client::of(self, transport).await?;
        let scope = self.oauth.scopes.join(" ");
        let answer = client
            .post(self.oauth.device_path, &[("scope", &scope)], true)
            .await?
            .map_err(|error| PollError::from(error).presentable())?;
        let device_code = SecretString::from(text(&answer, "device_code")?);
        redaction::register(&device_code);
        let lifetime = bounded(&answer, "expires_in", DEFAULT_DEVICE_CODE_SECONDS);
        let interval = bounded(&answer, "interval", DEFAULT_DEVICE_INTERVAL_SECONDS);
        let optional = |name| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        show(&DeviceCode {
            address: address(&answer)?,
            code: text(&answer, "user_code")?,
            complete_address: optional("verification_uri_complete")
                .filter(|uri| is_safe_to_open(uri)),
            lifetime,
        });
        self.poll_device(&client, &device_code, lifetime, interval)
            .await
            .map_err(PollError::presentable)
    }

    /// Asks for the tokens of a device code until a person has consented (RFC 8628, 3.5).
    async fn poll_device(
        &self,
        client: &Client<'_>,
        device_code: &SecretString,
        lifetime: Duration,
        mut interval: Duration,
    ) -> Result<Grant, PollError> {
        let expired = || {
            let message = "no consent in time: run the command again";
            PollError::new(Reason::Auth, message)
        };
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device_code.expose_secret()),
        ];
        let mut last_failure = None;
        let deadline = Instant::now() + lifetime;
        while Instant::now() < deadline {
            let (asked_at, asked) = (Utc::now(), Instant::now());
            let error = match client.post(self.oauth.token_path, &form, true).await {
                Ok(Ok(answer)) => return self.grant(&answer, asked_at, asked),
                Ok(Err(error)) => error,
                // after any failure the person may be consenting right now
                Err(error) => {
                    last_failure = Some(error);
                    interval = (2 * interval).min(MAX_DEVICE_BACKOFF.max(interval));
                    tokio::time::sleep(interval.max(TOKEN_PERIOD)).await;
                    continue;
                }
            };
            last_failure = None;
            match error.error.as_str() {
                "authorization_pending" => {}
                "slow_down" => interval += Duration::from_secs(DEFAULT_DEVICE_INTERVAL_SECONDS),
                "access_denied" => {
                    return Err(PollError::new(Reason::Auth, "the consent was refused"));
                }
                "expired_token" => return Err(expired()),
                _ => {
                    let message = format!("the authorization server says {error}");
                    return Err(PollError::new(Reason::Auth, message));
                }
            }
            tokio::time::sleep(interval.max(TOKEN_PERIOD)).await;
        }
        // the reason, if the server failed to the end
        Err(last_failure.unwrap_or_else(expired))
    }

    /// The tokens of a good answer. No message repeats a value of it: it may be a token.
    fn grant(
        &self,
        answer: &Value,
        asked_at: DateTime<Utc>,
        asked: Instant,
    ) -> Result<Grant, PollError> {
        let refresh_token = match answer.get("refresh_token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) if token.is_empty() => None,
            Some(Value::String(token)) if is_printable(token) => Some(token.as_str().into()),
            Some(_) => return Err(missing("refresh_token")),
        };
        let access_token = answer.get("access_token").and_then(Value::as_str);
        let access_token = access_token.filter(|token| is_printable(token));
        let access_token = access_token.map(SecretString::from);
        // a refresh token must not be lost, whatever came with it
        if access_token.is_none() && refresh_token.is_none() {
            return Err(missing("access_token"));
        }
        for token in refresh_token.iter().chain(&access_token) {
            redaction::register(token);
        }
        let lifetime = answer.get("expires_in").and_then(seconds);
        Ok(Grant {
            access_token,
            refresh_token,
            lifetime: lifetime.map_or(self.oauth.lifetime, Duration::from_secs),
            asked_at,
            asked,
        })
    }
}

/// A client of the authorization server.
struct Client<'a> {
    registration: &'a Registration,
    transport: &'a Transport,
    secret: Option<SecretString>,
}

impl<'a> Client<'a> {
    async fn of(
        registration: &'a Registration,
        transport: &'a Transport,
    ) -> Result<Self, PollError> {
        let mut secret = None;
        if let Some(source) = &registration.client_secret {
            let read = source.read().await;
            secret = Some(read.map_err(|error| {
                PollError::new(Reason::Auth, format!("client secret: {error}"))
            })?);
        }
        Ok(Self { registration, transport, secret })
    }

    /// Posts a form. A public client puts its id into the form; `with_id` asks for that even if the
    /// client authenticates with its secret.
    async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        with_id: bool,
    ) -> Result<Result<Value, OAuthError>, PollError> {
        let Registration { oauth, auth_url, client_id, .. } = self.registration;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        if let Some(secret) = &self.secret {
            // encoded once more than elsewhere (RFC 6749, 2.3.1)
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let (id, secret) = (encoded(client_id), encoded(secret.expose_secret()));
            headers.insert(AUTHORIZATION, basic(&id, &secret, "client secret")?);
        }
        let with_id = with_id || self.secret.is_none();
        let id = with_id.then_some(("client_id", client_id.as_str()));
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .extend_pairs(id)
            .finish();
        let url = endpoint(&root(auth_url, [oauth.token_path, oauth.device_path]), path);
        let answer = self.transport.post(url, headers, body).await;
        answer.and_then(|answer| answer.interpreted(read, |_| true)).map_err(|mut error| {
            error.message = format!("authorization server: {error}");
            error.presentable()
        })
    }
}

/// A good answer, or the error of RFC 6749 that it reports.
fn read(answer: &Answer) -> Result<Result<Value, OAuthError>, PollError> {
    if (400..=401).contains(&answer.status)
        && let Ok(value) = answer.json::<Value>()
        && let Some(error) = value.get("error").and_then(Value::as_str)
    {
        return Ok(Err(OAuthError {
            error: error.to_owned(),
            description: value.get("error_description").and_then(words),
            uri: value.get("error_uri").and_then(words).filter(|uri| is_safe_to_open(uri)),
        }));
    }
    if !answer.is_good() {
        return Err(answer.status_error(&ERROR_MEMBERS));
    }
    answer.json().map(Ok)
}

/// A member that has to be text.
fn text(answer: &Value, name: &str) -> Result<String, PollError> {
    let text = answer.get(name).and_then(Value::as_str);
    let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
    text.ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> PollError {
    let message = format!("the authorization server's answer has no valid {name}");
    PollError::new(Reason::Decode, message)
}

/// Where a person consents. Some servers use the name of an earlier draft.
fn address(answer: &Value) -> Result<String, PollError> {
    let address = text(answer, "verification_uri").or_else(|_| text(answer, "verification_url"));
    let address = address.ok().filter(|address| is_safe_to_open(address));
    address.ok_or_else(|| missing("verification_uri"))
}

/// Whether a person can be asked to open an address and sign in there.
fn is_safe_to_open(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| is_private(&url))
}

/// A duration of the device flow, at most [`MAX_DEVICE_SECONDS`].
fn bounded(answer: &Value, name: &str, default: u64) -> Duration {
    let seconds = answer.get(name).and_then(seconds).unwrap_or(default);
    Duration::from_secs(seconds.min(MAX_DEVICE_SECONDS))
}

/// A number of seconds, which some servers write as text.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde_json::json;

    use super::*;

    /// A public client of a server that does not answer.
    pub(in crate::upstream::auth) fn registration() -> Registration {
        Registration {
            oauth: OAuth {
                token_path: "/token",
                device_path: "/device",
                scopes: &[],
                lifetime: Duration::from_hours(1),
            },
            auth_url: Url::parse("http://127.0.0.1:1").unwrap(),
            client_id: "client".to_owned(),
            client_secret: None,
            refresh_token: None,
        }
    }

    #[test]
    fn granted_tokens_and_encoded_credentials_are_redacted() {
        let answer = json!({"access_token": "granted-access", "refresh_token": "granted-refresh"});
        let grant = registration().grant(&answer, Utc::now(), Instant::now());
        assert!(grant.is_ok());
        basic("client", "secret-of-the-client", "client secret").unwrap();
        let pair = BASE64_STANDARD.encode("client:secret-of-the-client");
        for secret in ["granted-access", "granted-refresh", &pair] {
            assert_eq!(redaction::redact(secret), "[redacted]");
        }
    }

    #[test]
    fn tokens_that_no_request_can_carry_are_refused() {
        let grant = |answer| registration().grant(&answer, Utc::now(), Instant::now());
        for token in [json!(""), json!(" "), json!("a\nb"), json!("é"), json!(7), json!(null)] {
            let refused = grant(json!({"access_token": token})).unwrap_err();
            assert_eq!(refused.reason, Reason::Decode, "{token}");
            // what came with it is kept
            let kept = grant(json!({"access_token": token, "refresh_token": "successor"}));
            let kept = kept.unwrap();
            assert!(kept.access_token.is_none() && kept.refresh_token.is_some(), "{token}");
        }
        let refused = grant(json!({"access_token": "a", "refresh_token": "b\u{fffd}"}));
        assert_eq!(refused.unwrap_err().reason, Reason::Decode);
    }

    #[test]
    fn only_addresses_that_are_safe_to_open_are_shown() {
        for (uri, is_shown) in [
            ("https://id.example/activate", true),
            ("http://127.0.0.1:8080/activate", true),
            ("http://id.example/activate", false),
            ("javascript:alert(1)", false),
            ("file:///etc/passwd", false),
            ("id.example/activate", false),
        ] {
            let shown = address(&json!({"verification_uri": uri}));
            assert_eq!(shown.is_ok(), is_shown, "{uri}");
            assert_eq!(is_safe_to_open(uri), is_shown, "{uri}");
        }
    }

    #[test]
    fn durations_of_the_device_flow_are_bounded() {
        let answer = json!({"interval": 7, "expires_in": u64::MAX});
        let seconds = |name| bounded(&answer, name, 9).as_secs();
        assert_eq!(seconds("interval"), 7);
        assert_eq!(seconds("expires_in"), MAX_DEVICE_SECONDS);
        assert_eq!(seconds("absent"), 9);
    }

    #[test]
    fn an_error_is_readable_whatever_explains_it() {
        let said = |status, body: &str| match read(&Answer::of(status, body)) {
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("{:?}: {error}", error.reason),
            Ok(Ok(value)) => panic!("{value}"),
        };
        for (explanation, expected) in [
            (
                r#""error_description":"old","error_uri":"https://e.example/u""#,
                ": old (see https://e.example/u)",
            ),
            (r#""error_description":"old","error_uri":"javascript:u""#, ": old"),
            (r#""error_description":{"en":"old"}"#, r#": {"en":"old"}"#),
            (r#""error_description":["old"],"error_uri":["u"]"#, r#": ["old"]"#),
            (r#""error_description":7,"error_uri":false"#, ""),
            (r#""error_description":null,"error_uri":"""#, ""),
        ] {
            let body = format!(r#"{{"error":"invalid_grant",{explanation}}}"#);
            for status in [400, 401] {
                assert_eq!(said(status, &body), format!("invalid_grant{expected}"));
            }
        }
        assert_eq!(
            said(400, r#"{"error":{"code":"invalid_grant"}}"#),
            r#"Client: HTTP 400: {"code":"invalid_grant"}"#
        );
        assert_eq!(said(401, r#"{"error":7}"#), "Auth: HTTP 401");
    }
}
