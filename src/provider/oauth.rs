//! Constant Contact's OAuth 2.0: access tokens that last a day, and the refresh tokens that renew
//! them, each of which may replace itself when it is used.
//!
//! <https://developer.constantcontact.com/api_guide/auth_overview.html>, RFC 6749 and RFC 8628. The
//! crate `oauth2` builds the requests and reads the answers; they travel as all others do.
//!
//! A refresh token that was used and whose successor was lost needs a person. So its successor is on
//! disk before anything else is done with an answer, and no poll that is given up gives up a refresh.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backon::Retryable;
use base64::prelude::{BASE64_STANDARD, Engine};
use chrono::{DateTime, TimeDelta, Utc};
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
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::application::Application;
use super::http::{Answer, Transport, delays, endpoint, presentable, wait};
use super::{PollError, Reason};
use crate::secret::SecretSource;
use crate::store::{Kind, Store, StoreError, fingerprint};

/// Time between two requests to the authorisation server, which takes about one a second; a little
/// more, since requests do not all travel equally fast.
pub(super) const TOKEN_PERIOD: Duration = Duration::from_millis(1_200);

/// How long an access token lives where the answer does not say: the documented day.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);

/// The part of its life after which an access token is renewed. Of a day it leaves five hours: for a
/// clock that is wrong, or an authorisation server that is down for a while.
const RENEWED_AFTER: f64 = 0.8;

/// How long another process may keep the tokens of an account while it renews them.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

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
pub(super) struct Registration {
    /// Where the authorisation server is, without the documented path.
    pub(super) auth_url: Url,
    /// The provider's portal calls it API key.
    pub(super) client_id: String,
    /// None of an application that cannot keep one.
    pub(super) client_secret: Option<SecretSource>,
    /// The first one; the store has the later ones.
    pub(super) refresh_token: Option<SecretSource>,
}

/// What an account has at its provider beside its settings. It outlives polls and reloads.
#[derive(Clone, Debug)]
pub struct Access {
    account: String,
    pub(super) application: Arc<Application>,
    store: Option<Arc<Store>>,
    memory: Arc<Mutex<Memory>>,
}

impl Access {
    /// The access of an account that was not read yet.
    pub fn new(account: &str, application: Arc<Application>, store: Option<Arc<Store>>) -> Self {
        Self {
            account: account.to_owned(),
            application,
            store,
            memory: Arc::default(),
        }
    }

    /// What shares a quota with the account.
    pub fn application(&self) -> &Application {
        &self.application
    }

    /// Takes note that the provider took the access token: if it refuses it later, another one may
    /// help again.
    pub(super) fn token_works(&self) {
        // whoever holds it is renewing, and takes note of more
        if let Ok(mut memory) = self.memory.try_lock() {
            memory.replacement = None;
        }
    }

    /// Where something of the account can be kept.
    pub const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }
}

/// What a process knows about the tokens of an account beyond what is kept.
#[derive(Debug, Default)]
struct Memory {
    /// Tokens that could not be written. Nothing is done with them before they are.
    unsaved: Option<Kept>,
    /// The access token that this process obtained, by its fingerprint, and when on the clock that
    /// never jumps.
    obtained: Option<(String, Instant)>,
    /// Refresh tokens that were refused for good, by their fingerprint, with what was said.
    revoked: BTreeMap<String, String>,
    /// The access token, by its fingerprint, that replaced a refused one and was not taken yet. Where
    /// it is refused as well, another one would be, too.
    replacement: Option<String>,
    /// Whether the log knows that tokens cannot be renewed for now.
    complained: bool,
}

/// The tokens of an account, as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    auth_url: String,
    client_id: String,
    #[serde(serialize_with = "expose_optional")]
    refresh_token: Option<SecretString>,
    #[serde(serialize_with = "expose_optional")]
    access_token: Option<SecretString>,
    obtained: DateTime<Utc>,
    lifetime: Duration,
    /// The fingerprint of the configured refresh token that was there when these came.
    configured: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn expose_optional<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret
        .as_ref()
        .map(ExposeSecret::expose_secret)
        .serialize(serializer)
}

/// An access token, and when it runs out.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    pub(super) expiry: Option<DateTime<Utc>>,
}

impl Kept {
    fn token(&self) -> Option<Token> {
        Some(Token {
            secret: self.access_token.clone()?,
            expiry: TimeDelta::from_std(self.lifetime)
                .ok()
                .and_then(|lifetime| self.obtained.checked_add_signed(lifetime)),
        })
    }
}

/// How good an access token still is.
#[derive(Debug, PartialEq, Eq)]
enum Freshness {
    Fresh,
    /// Valid, and to be renewed.
    Due,
    Expired,
}

impl Memory {
    fn freshness(&self, kept: &Kept) -> Freshness {
        let Some(token) = &kept.access_token else {
            return Freshness::Expired;
        };
        let mark = fingerprint(token.expose_secret());
        let age = match &self.obtained {
            Some((obtained, at)) if *obtained == mark => at.elapsed(),
            // of another process; a clock that went back makes it young, and a refusal tells
            _ => (Utc::now() - kept.obtained).to_std().unwrap_or_default(),
        };
        if age < kept.lifetime.mul_f64(RENEWED_AFTER) {
            Freshness::Fresh
        } else if age < kept.lifetime {
            Freshness::Due
        } else {
            Freshness::Expired
        }
    }
}

/// The access token that requests carry, renewed if need be. `refused` is one that the provider no
/// longer takes.
pub(super) async fn access_token(
    registration: &Registration,
    access: &Access,
    transport: &Transport,
    refused: Option<&SecretString>,
) -> Result<Token, PollError> {
    let renewal = Renewal {
        registration: registration.clone(),
        access: access.clone(),
        transport: transport.clone(),
    };
    let refused = refused.cloned();
    let refreshes = &access.application.refreshes;
    // a task of its own, so that the end of the poll is not the end of a token
    let task = refreshes.spawn(async move { renewal.token(refused).await });
    match task.await {
        Ok(result) => result,
        Err(error) => Err(PollError::new(
            Reason::Auth,
            format!("the renewal of the tokens failed: {error}"),
        )),
    }
}

struct Renewal {
    registration: Registration,
    access: Access,
    transport: Transport,
}

/// When tokens were asked for. Their lives begin at some moment between that and the answer.
struct Asked {
    time: DateTime<Utc>,
    instant: Instant,
}

/// Why a refresh gave no tokens.
enum Refused {
    /// The refresh token is good for nothing any more.
    Revoked(String),
    /// Something that says nothing about the token.
    Otherwise(PollError),
}

impl Renewal {
    async fn token(&self, refused: Option<SecretString>) -> Result<Token, PollError> {
        let mut memory = self.access.memory.lock().await;
        let store = self.store()?;
        self.save_unsaved(&mut memory, store).await?;
        let configured = self.configured().await;
        if let Some(token) = self
            .usable(&memory, store, &configured, refused.as_ref())
            .await?
        {
            return Ok(token);
        }
        let _one_at_a_time = self.access.application.refreshing.lock().await;
        let lock = store.lock(Kind::Tokens, &self.access.account, LOCK_PATIENCE);
        let _one_process_at_a_time = lock.await.map_err(not_kept)?;
        // whoever was first may have renewed them
        if let Some(token) = self
            .usable(&memory, store, &configured, refused.as_ref())
            .await?
        {
            return Ok(token);
        }
        self.renew(&mut memory, store, configured, refused.as_ref())
            .await
    }

    /// The kept access token, unless it has to be renewed.
    async fn usable(
        &self,
        memory: &Memory,
        store: &Arc<Store>,
        configured: &Result<Option<SecretString>, PollError>,
        refused: Option<&SecretString>,
    ) -> Result<Option<Token>, PollError> {
        let Some(kept) = self.kept(store).await? else {
            return Ok(None);
        };
        let is_refused = same(refused, kept.access_token.as_ref());
        if is_refused && memory.replacement == mark(refused) {
            return Err(PollError::new(
                Reason::Auth,
                "the provider refuses an access token that was just renewed",
            ));
        }
        let usable = !is_refused
            && !is_new(configured, &kept, memory)
            && memory.freshness(&kept) == Freshness::Fresh;
        Ok(kept.token().filter(|_| usable))
    }

    /// Obtains new tokens with the configured refresh token if it is new, else with the kept one.
    async fn renew(
        &self,
        memory: &mut Memory,
        store: &Arc<Store>,
        configured: Result<Option<SecretString>, PollError>,
        refused: Option<&SecretString>,
    ) -> Result<Token, PollError> {
        let kept = self.kept(store).await?;
        let kept_token = kept.as_ref().and_then(|kept| kept.refresh_token.clone());
        let mut candidates = Vec::new();
        match &configured {
            Ok(Some(first))
                if kept
                    .as_ref()
                    .is_none_or(|kept| is_new(&configured, kept, memory)) =>
            {
                candidates.push(first.clone());
            }
            Err(error) if kept_token.is_none() => return Err(error.clone()),
            // what the store has is newer, so its place may be empty by now
            _ => {}
        }
        candidates.extend(kept_token);
        let configured = configured.ok().flatten();
        let configured_mark = mark(configured.as_ref())
            .or_else(|| kept.as_ref().and_then(|kept| kept.configured.clone()));

        // good for a while, if nothing else can be had
        let spare = kept
            .as_ref()
            .filter(|kept| !same(refused, kept.access_token.as_ref()))
            .filter(|kept| memory.freshness(kept) == Freshness::Due)
            .and_then(Kept::token);
        let mut revoked = None;
        for candidate in candidates {
            let candidate_mark = fingerprint(candidate.expose_secret());
            if let Some(said) = memory.revoked.get(&candidate_mark) {
                revoked = Some(said.clone());
                continue;
            }
            // while the old token is still good: a disk that takes nothing must not cost the new one
            let proof = kept.clone().unwrap_or_else(|| Kept {
                auth_url: self.registration.auth_url.to_string(),
                client_id: self.registration.client_id.clone(),
                refresh_token: Some(candidate.clone()),
                access_token: None,
                obtained: Utc::now(),
                lifetime: Duration::ZERO,
                configured: configured_mark.clone(),
            });
            let saved = store.save(Kind::Tokens, &self.access.account, proof).await;
            let answer = match saved {
                Ok(()) => self.refresh(&candidate, spare.is_none()).await,
                Err(error) => Err(Refused::Otherwise(not_kept(error))),
            };
            match answer {
                Ok((answer, asked)) => {
                    let new = self.registration.accepted(
                        answer,
                        asked.time,
                        Some(&candidate),
                        configured_mark.clone(),
                    );
                    if refused.is_some() {
                        memory.replacement = mark(new.access_token.as_ref());
                    }
                    memory.obtained =
                        mark(new.access_token.as_ref()).map(|mark| (mark, asked.instant));
                    memory.complained = false;
                    memory.unsaved = Some(new.clone());
                    self.save_unsaved(memory, store).await?;
                    debug!(account = self.access.account, "tokens renewed");
                    return new.token().ok_or_else(|| {
                        PollError::new(Reason::Decode, "the answer has no access token")
                    });
                }
                Err(Refused::Revoked(said)) => {
                    memory.revoked.insert(candidate_mark, said.clone());
                    revoked = Some(said);
                }
                Err(Refused::Otherwise(error)) => {
                    let Some(spare) = spare else {
                        return Err(error);
                    };
                    self.complain(memory, &error);
                    return Ok(spare);
                }
            }
        }
        let command = authorize_command(&self.access.account);
        let Some(said) = revoked else {
            let message = format!("there is no refresh token yet: run `{command}`");
            let error = PollError::new(Reason::Auth, message);
            let Some(spare) = spare else {
                return Err(error);
            };
            self.complain(memory, &error);
            return Ok(spare);
        };
        let message = format!("the refresh token is refused ({said}): run `{command}`");
        Err(PollError::new(Reason::Auth, message))
    }

    /// Says once that the access token is the last one for now.
    fn complain(&self, memory: &mut Memory, error: &PollError) {
        if !memory.complained {
            let account = &self.access.account;
            warn!(account, %error, "the access token could not be renewed; it is used until it expires");
        }
        memory.complained = true;
    }

    fn store(&self) -> Result<&Arc<Store>, PollError> {
        // the configuration is refused without one
        let store = self.access.store.as_ref();
        store.ok_or_else(|| {
            PollError::new(
                Reason::Auth,
                "refresh tokens cannot be kept without --storage.path",
            )
        })
    }

    async fn save_unsaved(&self, memory: &mut Memory, store: &Arc<Store>) -> Result<(), PollError> {
        if let Some(unsaved) = memory.unsaved.clone() {
            let saved = store
                .save(Kind::Tokens, &self.access.account, unsaved)
                .await;
            saved.map_err(not_kept)?;
            memory.unsaved = None;
        }
        Ok(())
    }

    /// The kept tokens, if they are of this application.
    async fn kept(&self, store: &Arc<Store>) -> Result<Option<Kept>, PollError> {
        let kept = store.load::<Kept>(Kind::Tokens, &self.access.account).await;
        let kept = kept.map_err(not_kept)?;
        let Registration {
            auth_url,
            client_id,
            ..
        } = &self.registration;
        Ok(kept.filter(|kept| kept.client_id == *client_id && kept.auth_url == auth_url.as_str()))
    }

    async fn configured(&self) -> Result<Option<SecretString>, PollError> {
        let Some(source) = &self.registration.refresh_token else {
            return Ok(None);
        };
        let token = source.read().await;
        token
            .map(Some)
            .map_err(|error| PollError::new(Reason::Auth, format!("refresh token: {error}")))
    }

    /// Asks for new tokens, several times where that may help.
    async fn refresh(
        &self,
        refresh_token: &SecretString,
        patiently: bool,
    ) -> Result<(TokenAnswer, Asked), Refused> {
        let attempt = || async {
            if let Some(pace) = &self.access.application.token_pace {
                pace.wait().await;
            }
            // nobody waits for what has not begun, and a stop would wait for all of it
            if self.access.application.refreshes.is_closed() {
                let message = "the exporter stops";
                return Err(Refused::Otherwise(PollError::new(Reason::Auth, message)));
            }
            self.refresh_once(refresh_token).await
        };
        attempt
            .retry(delays())
            .sleep(tokio::time::sleep)
            .when(|refused| match refused {
                Refused::Otherwise(error) => patiently && error.reason.is_transient(),
                Refused::Revoked(_) => false,
            })
            .adjust(|refused, delay| match refused {
                Refused::Otherwise(error) => wait(error, delay?),
                Refused::Revoked(_) => None,
            })
            .await
    }

    async fn refresh_once(
        &self,
        refresh_token: &SecretString,
    ) -> Result<(TokenAnswer, Asked), Refused> {
        let (client, secret) = self
            .registration
            .client()
            .await
            .map_err(Refused::Otherwise)?;
        let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
        let request = client.exchange_refresh_token(&token);
        let asked = Asked {
            time: Utc::now(),
            instant: Instant::now(),
        };
        let answer = request.request_async(&self.transport).await;
        let hide = |error| {
            self.registration
                .hide(error, secret.as_ref(), Some(refresh_token))
        };
        answer
            .map(|answer| (answer, asked))
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
}

/// Whether the configured refresh token was changed since these tokens came, and was not found
/// to be useless since.
fn is_new(
    configured: &Result<Option<SecretString>, PollError>,
    kept: &Kept,
    memory: &Memory,
) -> bool {
    let Ok(Some(configured)) = configured else {
        return false;
    };
    let mark = fingerprint(configured.expose_secret());
    kept.configured.as_ref() != Some(&mark) && !memory.revoked.contains_key(&mark)
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

    /// An answer as it is kept. Where it has no refresh token, the one that was used goes on.
    fn accepted(
        &self,
        answer: TokenAnswer,
        obtained: DateTime<Utc>,
        used: Option<&SecretString>,
        configured: Option<String>,
    ) -> Kept {
        let new = answer.refresh_token.map(RefreshToken::into_secret);
        let new = new
            .filter(|token| !token.is_empty())
            .map(SecretString::from);
        Kept {
            auth_url: self.auth_url.to_string(),
            client_id: self.client_id.clone(),
            refresh_token: new.or_else(|| used.cloned()),
            access_token: Some(SecretString::from(answer.access_token.into_secret())),
            obtained,
            lifetime: answer
                .expires_in
                .map_or(DEFAULT_LIFETIME, Duration::from_secs),
            configured,
        }
    }
}

/// The device flow: a person consents elsewhere, the tokens are kept here. `show` is given the
/// address and the code, as soon as there are any. Returns whether they can be renewed.
pub(super) async fn authorize(
    registration: &Registration,
    account: &str,
    store: &Arc<Store>,
    transport: &Transport,
    show: impl FnOnce(&DeviceCode),
) -> Result<bool, PollError> {
    let (client, secret) = registration.client().await?;
    let scopes = SCOPES.map(|scope| Scope::new(scope.to_owned()));
    let mut request = client.exchange_device_code().add_scopes(scopes);
    if secret.is_some() {
        // required whether or not the client authenticates otherwise, too
        request = request.add_extra_param("client_id", registration.client_id.clone());
    }
    let details: StandardDeviceAuthorizationResponse = request
        .request_async(transport)
        .await
        .map_err(|error| registration.hide(request_error(error), secret.as_ref(), None))?;
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
        request = request.add_extra_param("client_id", registration.client_id.clone());
    }
    let pause = |asked: Duration| tokio::time::sleep(asked.max(TOKEN_PERIOD));
    let answer = request.request_async(transport, pause, None).await;
    let answer = answer.map_err(|error| {
        registration.hide(device_error(error), secret.as_ref(), Some(&device_code))
    })?;
    let configured = match &registration.refresh_token {
        // from now on the kept ones go before it
        Some(source) => source.read().await.ok(),
        None => None,
    };
    let kept = registration.accepted(answer, Utc::now(), None, mark(configured.as_ref()));
    let renewable = kept.refresh_token.is_some();
    let lock = store.lock(Kind::Tokens, account, LOCK_PATIENCE);
    let _one_process_at_a_time = lock.await.map_err(not_kept)?;
    let saved = store.save(Kind::Tokens, account, kept).await;
    saved.map_err(not_kept)?;
    info!(account, "tokens stored");
    Ok(renewable)
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

/// The command that renews a consent.
fn authorize_command(account: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if !account.starts_with('-') && account.chars().all(plain) {
        format!("campaign_exporter authorize {account}")
    } else {
        let quoted = account.replace('\'', r"'\''");
        format!("campaign_exporter authorize -- '{quoted}'")
    }
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

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_kept(error: StoreError) -> PollError {
    PollError::new(Reason::Auth, format!("tokens cannot be kept: {error}"))
}

fn mark(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| fingerprint(secret.expose_secret()))
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.is_some() && mark(one) == mark(other)
}
