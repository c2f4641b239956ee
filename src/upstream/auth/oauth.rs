//! Constant Contact's OAuth 2.0, as it travels: access tokens that last a day, and the refresh tokens
//! that renew them, each of which may replace itself when it is used.
//!
//! <https://developer.constantcontact.com/api_guide/auth_overview.html>, RFC 6749 and RFC 8628. The
//! crate `oauth2` builds the requests and reads the answers; they travel as all others do.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse,
    BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, ClientId, ClientSecret, DeviceAuthorizationUrl,
    DeviceCodeErrorResponse, DeviceCodeErrorResponseType, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, RefreshToken, RequestTokenError, Scope, StandardDeviceAuthorizationResponse,
    StandardRevocableToken, TokenResponse, TokenUrl,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::super::http::{Answer, Transport, endpoint, presentable};
use super::super::quota::application::TOKEN_PERIOD;
use super::super::{PollError, Reason};
use crate::document::secret::SecretSource;

/// How long an access token lives where the answer does not say: the documented day.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);

/// How long a device code lives where the answer does not say.
const DEFAULT_DEVICE_CODE_LIFETIME: u64 = 600;

/// The time between two questions whether a person has consented, where the answer does not say (RFC
/// 8628).
const DEFAULT_DEVICE_INTERVAL: u64 = 5;

/// Most seconds of either: nobody waits in front of a terminal for longer than a day.
const MAX_DEVICE_SECONDS: u64 = 24 * 60 * 60;

/// What the exporter asks consent for: to read reports, and to go on doing so.
const SCOPES: [&str; 2] = ["campaign_data", "offline_access"];

/// An application as it is registered at the provider.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registration {
    /// Where the authorisation server is, without the documented path.
    pub(crate) auth_url: Url,
    /// The provider's portal calls it API key.
    pub(crate) client_id: String,
    /// None of an application that cannot keep one.
    pub(crate) client_secret: Option<SecretSource>,
    /// The first one; the store has the later ones.
    pub(crate) refresh_token: Option<SecretSource>,
}

/// What the authorisation server grants.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) lifetime: Duration,
    /// When it was asked for. Its life begins at some moment between that and the answer.
    pub(crate) asked_at: DateTime<Utc>,
    /// The same on the clock that never jumps.
    pub(crate) asked: Instant,
}

/// Why a refresh gave no tokens.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The refresh token is good for nothing any more.
    Revoked(String),
    /// Something that says nothing about the token.
    Otherwise(PollError),
}

impl Registration {
    /// A client of the authorisation server, and the secret that it knows.
    async fn client(&self) -> Result<(Client, Option<SecretString>), PollError> {
        let url = |path: &str| endpoint(&self.auth_url, path).to_string();
        let bad = |error| PollError::new(Reason::Client, format!("auth_url: {error}"));
        let token_url = TokenUrl::new(url("/v1/token")).map_err(bad)?;
        let device_url = DeviceAuthorizationUrl::new(url("/v1/device/authorize")).map_err(bad)?;
        let mut client = oauth2::Client::new(ClientId::new(self.client_id.clone()))
            // without a secret the id goes into the body
            .set_auth_type(AuthType::BasicAuth)
            .set_token_uri(token_url)
            .set_device_authorization_url(device_url);
        let mut secret = None;
        if let Some(source) = &self.client_secret {
            let read = source
                .read()
                .await
                .map_err(|error| PollError::new(Reason::Auth, format!("client secret: {error}")))?;
            client = client.set_client_secret(ClientSecret::new(read.expose_secret().to_owned()));
            secret = Some(read);
        }
        Ok((client, secret))
    }

    /// The error without the client's secret and another one, in all forms in which they travel and
    /// a server may repeat them.
    fn hide(
        &self,
        mut error: PollError,
        client_secret: Option<&SecretString>,
        other: Option<&SecretString>,
    ) -> PollError {
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut forms = Vec::new();
        for secret in client_secret.into_iter().chain(other) {
            let secret = secret.expose_secret();
            let shown = format!("{secret:?}");
            forms.extend([secret.to_owned(), encoded(secret)]);
            forms.push(shown.trim_matches('"').to_owned());
        }
        if let Some(secret) = client_secret {
            let pair = [self.client_id.as_str(), secret.expose_secret()].map(encoded);
            forms.push(BASE64_STANDARD.encode(pair.join(":")));
        }
        // one may be a part of another
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        for form in forms {
            error.message = error.message.replace(&form, "[redacted]");
        }
        // at last, since it cuts the message, and nothing would tell a secret that is cut
        match other.or(client_secret) {
            Some(secret) => presentable(error, secret),
            None => error,
        }
    }

    /// Asks for new tokens once.
    pub(crate) async fn refresh(
        &self,
        transport: &Transport,
        refresh_token: &SecretString,
    ) -> Result<Grant, Refused> {
        let (client, secret) = self.client().await.map_err(Refused::Otherwise)?;
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let request = client.exchange_refresh_token(&token);
        let (asked_at, asked) = (Utc::now(), Instant::now());
        let answer = request.request_async(transport).await;
        let hide = |error| self.hide(error, secret.as_ref(), Some(refresh_token));
        answer
            .map(|answer| answer.grant(asked_at, asked))
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(said)
                    if *said.error() == BasicErrorResponseType::InvalidGrant =>
                {
                    let said = hide(PollError::new(Reason::Auth, said.to_string()));
                    Refused::Revoked(said.message)
                }
                error => Refused::Otherwise(hide(request_error(error))),
            })
    }

    /// Lets a person consent elsewhere. `show` is given the address and the code, as soon as there
    /// are any.
    pub(crate) async fn authorize_device(
        &self,
        transport: &Transport,
        show: impl FnOnce(&DeviceCode),
    ) -> Result<Grant, PollError> {
        let (client, secret) = self.client().await?;
        let scopes = SCOPES.map(|scope| Scope::new(scope.to_owned()));
        let mut request = client.exchange_device_code().add_scopes(scopes);
        if secret.is_some() {
            // required whether or not the client authenticates otherwise, too
            request = request.add_extra_param("client_id", self.client_id.clone());
        }
        let details: StandardDeviceAuthorizationResponse =
            request
                .request_async(transport)
                .await
                .map_err(|error| self.hide(request_error(error), secret.as_ref(), None))?;
        let device_code = SecretString::from(details.device_code().secret().clone());
        show(&DeviceCode {
            address: details.verification_uri().to_string(),
            code: details.user_code().secret().clone(),
            complete_address: details
                .verification_uri_complete()
                .map(|uri| uri.secret().clone()),
            lifetime: details.expires_in(),
        });
        let mut request = client.exchange_device_access_token(&details);
        if secret.is_some() {
            request = request.add_extra_param("client_id", self.client_id.clone());
        }
        let pause = |asked: Duration| tokio::time::sleep(asked.max(TOKEN_PERIOD));
        let answer = request.request_async(transport, pause, None).await;
        answer
            .map(|answer| answer.grant(Utc::now(), Instant::now()))
            .map_err(|error| self.hide(device_error(error), secret.as_ref(), Some(&device_code)))
    }
}

/// Where a person consents, and with which code.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// The address to open.
    pub address: String,
    /// The code to enter there.
    pub code: String,
    /// The address that has the code in it.
    pub complete_address: Option<String>,
    /// How long both are good for.
    pub lifetime: Duration,
}

type Client = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The answer of the token endpoint: some servers write `expires_in` as text.
#[derive(Debug, Serialize, Deserialize)]
struct TokenAnswer {
    access_token: AccessToken,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
}

impl TokenAnswer {
    fn grant(self, asked_at: DateTime<Utc>, asked: Instant) -> Grant {
        let refresh_token = self.refresh_token.map(RefreshToken::into_secret);
        Grant {
            access_token: SecretString::from(self.access_token.into_secret()),
            // one that is empty is none
            refresh_token: refresh_token
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
            lifetime: self
                .expires_in
                .map_or(DEFAULT_LIFETIME, Duration::from_secs),
            asked_at,
            asked,
        }
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.as_ref().and_then(whole_seconds))
}

fn whole_seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

impl TokenResponse for TokenAnswer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        // whatever the answer says: no other type is known here
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = PollError;
    type Future = BoxFuture<'c, Result<HttpResponse, PollError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.exchange(request).boxed()
    }
}

impl Transport {
    /// Carries a request of the `oauth2` crate. What is no answer of OAuth is an error here.
    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, PollError> {
        let (head, body) = request.into_parts();
        let answer = self.post(&head.uri.to_string(), head.headers, body).await?;
        let body = oauth_body(&answer)?;
        let mut response = HttpResponse::new(body);
        *response.status_mut() = oauth2::http::StatusCode::from_u16(answer.status)
            .map_err(|error| PollError::new(Reason::Decode, error.to_string()))?;
        Ok(response)
    }
}

/// The body, if it is one that RFC 6749 or RFC 8628 knows.
fn oauth_body(answer: &Answer) -> Result<Vec<u8>, PollError> {
    let is_error = (400..=401).contains(&answer.status)
        && answer
            .json::<Value>()
            .is_ok_and(|value| value.get("error").is_some_and(Value::is_string));
    if is_error {
        return Ok(answer.body.to_vec());
    }
    if answer.status != 200 {
        return Err(answer.status_error());
    }
    let mut value: Value = answer.json()?;
    // the one is required by the RFC, and neither is in the provider's guide
    if let Some(object) = value.as_object_mut()
        && object.contains_key("device_code")
    {
        for (name, default) in [
            ("expires_in", DEFAULT_DEVICE_CODE_LIFETIME),
            ("interval", DEFAULT_DEVICE_INTERVAL),
        ] {
            let seconds = object.get(name).and_then(whole_seconds);
            let seconds = seconds.unwrap_or(default).min(MAX_DEVICE_SECONDS);
            object.insert(name.to_owned(), seconds.into());
        }
    }
    Ok(value.to_string().into_bytes())
}

fn request_error(error: RequestTokenError<PollError, BasicErrorResponse>) -> PollError {
    match error {
        RequestTokenError::Request(error) => error,
        // the client itself is refused, or asks for what it may not have
        RequestTokenError::ServerResponse(said) => PollError::new(
            Reason::Auth,
            format!("the authorisation server says {said}: check client_id and client_secret"),
        ),
        // not what could not be parsed: it may hold tokens
        RequestTokenError::Parse(error, _) => PollError::new(
            Reason::Decode,
            format!("the authorisation server's answer: {}", error.path()),
        ),
        RequestTokenError::Other(said) => PollError::new(Reason::Decode, said),
    }
}

fn device_error(error: RequestTokenError<PollError, DeviceCodeErrorResponse>) -> PollError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(said) => {
            let message = match said.error() {
                DeviceCodeErrorResponseType::AccessDenied => "the consent was refused".to_owned(),
                DeviceCodeErrorResponseType::ExpiredToken => {
                    "nobody consented in time: run the command again".to_owned()
                }
                _ => format!("the authorisation server says {said}"),
            };
            PollError::new(Reason::Auth, message)
        }
        RequestTokenError::Parse(error, _) => PollError::new(
            Reason::Decode,
            format!("the authorisation server's answer: {}", error.path()),
        ),
        RequestTokenError::Other(said) => PollError::new(Reason::Decode, said),
    }
}
