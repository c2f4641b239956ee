//! Which access token of an account is used, and when it is renewed.
//!
//! Losing the successor of a used refresh token requires a new consent. The successor is therefore on
//! disk before anything else is done with an answer, and a renewal outlives the poll that started it.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use backon::Retryable;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{Instrument, debug, info, warn};

use super::oauth::{DeviceCode, Grant, RefreshError, Registration, missing};
use super::renewals::Renewals;
use crate::redaction;
use crate::storage::store::{Kind, Store, StoreError, fingerprint};
use crate::upstream::credential::Credential;
use crate::upstream::quota::application::{Application, MAX_PAUSE};
use crate::upstream::retry::{delays, wait};
use crate::upstream::transport::Transport;
use crate::upstream::{PollError, Reason};

/// Share of its lifetime after which an access token is renewed. Of a day that leaves five hours for a
/// wrong clock or an authorization server that is down.
const RENEWED_AFTER: f64 = 0.8;

/// Wait after a failed renewal while the old token is valid.
const RENEWAL_PAUSE: Duration = Duration::from_mins(10);

/// The same as a share of the old token's remaining lifetime, which can be short.
const RENEWAL_PAUSE_SHARE: f64 = 0.05;

/// How long another process can hold the lock on an account's tokens while it renews them.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

/// An account's tokens and quota. Outlives polls and reloads.
#[derive(Clone, Debug)]
pub struct Access {
    account: String,
    application: Arc<Application>,
    renewals: Renewals,
    store: Option<Arc<Store>>,
    memory: Arc<Mutex<Memory>>,
}

impl Access {
    /// The access of an account that has not been polled yet.
    pub fn new(
        account: &str,
        application: Arc<Application>,
        renewals: Renewals,
        store: Option<Arc<Store>>,
    ) -> Self {
        Self { account: account.to_owned(), application, renewals, store, memory: Arc::default() }
    }

    /// The application whose quota the account uses.
    pub const fn application(&self) -> &Arc<Application> {
        &self.application
    }

    /// The store, if the exporter has one.
    pub const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// Notes that the provider accepted the access token. If it is refused later, renewing it can help
    /// again.
    pub fn token_works(&self) {
        // locked during a renewal, which sets this itself
        if let Ok(mut memory) = self.memory.try_lock() {
            memory.replacement = None;
        }
    }
}

/// What the process knows about an account's tokens beyond what is stored.
#[derive(Debug, Default)]
struct Memory {
    /// The tokens that were stored last.
    last: Option<StoredTokens>,
    /// Tokens that could not be written, and are not used before they are.
    unsaved: Option<UnsavedTokens>,
    /// Fingerprint of the access token that this process obtained, and when on the monotonic clock.
    obtained: Option<(String, Instant)>,
    /// Refresh tokens that are no longer valid, by fingerprint.
    revoked: BTreeMap<String, Revocation>,
    /// Fingerprint of the access token that replaced a refused one and was not accepted yet. If it is
    /// refused too, a third one would be as well.
    replacement: Option<String>,
    /// Until when tokens are not renewed, and why.
    pause: Option<(Instant, PollError)>,
    /// Whether the log says already that tokens cannot be renewed.
    complained: bool,
}

/// Tokens that are not stored yet.
#[derive(Debug)]
struct UnsavedTokens {
    tokens: StoredTokens,
    /// Fingerprint of the stored refresh token that these replace.
    instead_of: Option<String>,
}

#[derive(Debug)]
struct Revocation {
    /// The error of the authorization server.
    said: String,
    at: DateTime<Utc>,
}

impl Memory {
    /// Why tokens are not renewed now.
    fn pause(&self) -> Option<&PollError> {
        let (until, error) = self.pause.as_ref()?;
        (Instant::now() < *until).then_some(error)
    }

    fn freshness(&self, stored: &StoredTokens) -> Freshness {
        let Some(token) = &stored.access_token else {
            return Freshness::Expired;
        };
        let mark = fingerprint(token.expose_secret());
        let age = match &self.obtained {
            Some((obtained, at)) if *obtained == mark => at.elapsed(),
            // obtained by another process; after the clock went back, a refusal shows the true age
            _ => (Utc::now() - stored.obtained).to_std().unwrap_or_default(),
        };
        if age < stored.lifetime.mul_f64(RENEWED_AFTER) {
            Freshness::Fresh
        } else if age < stored.lifetime {
            Freshness::Due
        } else {
            Freshness::Expired
        }
    }

    /// What the server said when it refused a refresh token as no longer valid. A later consent can
    /// grant the same token again.
    fn revoked(&self, token: &SecretString, stored: Option<&StoredTokens>) -> Option<&str> {
        let revoked = self.revoked.get(&fingerprint(token.expose_secret()))?;
        let is_newer = stored.is_some_and(|stored| {
            same(Some(token), stored.refresh_token.as_ref()) && stored.obtained > revoked.at
        });
        (!is_newer).then_some(revoked.said.as_str())
    }

    fn revoke(&mut self, token: &SecretString, said: &str) {
        let revocation = Revocation { said: said.to_owned(), at: Utc::now() };
        let mark = fingerprint(token.expose_secret());
        self.revoked.insert(mark, revocation);
    }
}

/// An account's tokens as they are stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredTokens {
    #[serde(serialize_with = "expose_optional")]
    refresh_token: Option<SecretString>,
    #[serde(serialize_with = "expose_optional")]
    access_token: Option<SecretString>,
    obtained: DateTime<Utc>,
    lifetime: Duration,
    /// Fingerprint of the refresh token that was configured when these were granted.
    configured: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde asks for this signature")]
fn expose_optional<S: Serializer>(
    secret: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

impl StoredTokens {
    fn of(grant: Grant, used: Option<&SecretString>, configured: Option<String>) -> Self {
        Self {
            // an answer without a refresh token leaves the used one valid
            refresh_token: grant.refresh_token.or_else(|| used.cloned()),
            access_token: grant.access_token,
            obtained: grant.asked_at,
            lifetime: grant.lifetime,
            configured,
        }
    }

    fn token(&self) -> Option<Credential> {
        let expiry = TimeDelta::from_std(self.lifetime)
            .ok()
            .and_then(|lifetime| self.obtained.checked_add_signed(lifetime));
        Some(Credential::bearer(self.access_token.clone()?, expiry))
    }
}

/// Name of the stored tokens: of one account at one application of one server. Tokens of an earlier
/// configuration are stored, and used again if the configuration is reverted.
fn file(account: &str, registration: &Registration) -> String {
    let Registration { auth_url, client_id, .. } = registration;
    format!("{account} {auth_url} {client_id}")
}

/// How long an access token remains valid.
#[derive(Debug, PartialEq, Eq)]
enum Freshness {
    Fresh,
    /// Valid, and due for renewal.
    Due,
    Expired,
}

/// The access token that requests carry, renewed if necessary. `refused` is one that the provider no
/// longer accepts.
pub(super) async fn access_token(
    registration: &Registration,
    access: &Access,
    transport: &Transport,
    refused: Option<&SecretString>,
) -> Result<Credential, PollError> {
    // the configuration is rejected without a store
    let Some(store) = access.store.clone() else {
        let message = "refresh tokens cannot be stored without --storage.path";
        return Err(PollError::new(Reason::Auth, message));
    };
    let renewal = Renewal {
        file: file(&access.account, registration),
        registration: registration.clone(),
        access: access.clone(),
        transport: transport.clone(),
        refused: refused.cloned(),
        store,
    };
    // in its own task: canceling the poll must not lose a token
    let tasks = &access.renewals.tasks;
    let renewal = async move { renewal.token().await };
    match tasks.spawn(renewal.in_current_span()).await {
        Ok(result) => result,
        Err(error) => {
            Err(PollError::new(Reason::Auth, format!("the renewal of the tokens failed: {error}")))
        }
    }
}

/// One attempt to get a valid access token.
struct Renewal {
    registration: Registration,
    access: Access,
    transport: Transport,
    refused: Option<SecretString>,
    store: Arc<Store>,
    file: String,
}

/// The configured refresh token, or why it cannot be read.
type ConfiguredToken = Result<Option<SecretString>, PollError>;

/// Whether an account needs a new access token.
enum TokenState {
    /// The stored access token is valid.
    Valid(Credential),
    /// A new one is needed: the stored tokens, and the access token that can be used meanwhile.
    Due(Option<StoredTokens>, Option<Credential>),
}

impl Renewal {
    async fn token(&self) -> Result<Credential, PollError> {
        let mut memory = self.access.memory.lock().await;
        let stored = self.restored(&mut memory).await?;
        let mut configured = read_configured(&self.registration, false).await;
        let spare = match self.state(&memory, &configured, stored)? {
            TokenState::Valid(token) => return Ok(token),
            TokenState::Due(stored, spare) => {
                if stored.is_none() && configured.is_err() {
                    configured = read_configured(&self.registration, true).await;
                }
                spare
            }
        };
        if let Some(error) = memory.pause().filter(|_| spare.is_none()) {
            return Err(error.clone());
        }
        let application = &self.access.application;
        let _one_at_a_time = match (application.refreshing.try_lock(), spare) {
            (Ok(turn), _) => turn,
            // the old token is still valid, so the poll need not wait
            (Err(_), Some(spare)) => return Ok(spare),
            (Err(_), None) => self.unless_stopped(application.refreshing.lock()).await?,
        };
        let lock = self.lock().await?;
        // another poll or process may have renewed them meanwhile
        match self.state(&memory, &configured, self.stored().await?)? {
            TokenState::Valid(token) => Ok(token),
            TokenState::Due(stored, spare) => {
                self.renew(&mut memory, configured, stored, spare, lock).await
            }
        }
    }

    /// Waits, unless the exporter stops.
    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, PollError> {
        let stop = &self.access.renewals.stop;
        let stopped = || PollError::new(Reason::Auth, "the exporter is stopping");
        if stop.is_cancelled() {
            return Err(stopped());
        }
        stop.run_until_cancelled(wait).await.ok_or_else(stopped)
    }

    async fn lock(&self) -> Result<Arc<File>, PollError> {
        let lock = self.store.lock(Kind::Tokens, &self.file, LOCK_PATIENCE);
        let lock = self.unless_stopped(lock).await?;
        lock.map(Arc::new).map_err(not_stored)
    }

    fn state(
        &self,
        memory: &Memory,
        configured: &ConfiguredToken,
        stored: Option<StoredTokens>,
    ) -> Result<TokenState, PollError> {
        let Some(stored) = stored else {
            return Ok(TokenState::Due(None, None));
        };
        let is_refused = same(self.refused.as_ref(), stored.access_token.as_ref());
        if is_refused && memory.replacement == mark(self.refused.as_ref()) {
            return Err(PollError::new(
                Reason::Auth,
                "the provider refuses the access token that was just renewed",
            ));
        }
        let freshness = memory.freshness(&stored);
        let spare = stored.token().filter(|_| !is_refused && freshness != Freshness::Expired);
        let is_good = freshness == Freshness::Fresh && !is_new(configured, Some(&stored), memory);
        Ok(match spare {
            Some(token) if is_good || memory.pause().is_some() => TokenState::Valid(token),
            spare => TokenState::Due(Some(stored), spare),
        })
    }

    /// Obtains new tokens with the configured refresh token if it is new, else with the stored one.
    async fn renew(
        &self,
        memory: &mut Memory,
        configured: ConfiguredToken,
        stored: Option<StoredTokens>,
        spare: Option<Credential>,
        lock: Arc<File>,
    ) -> Result<Credential, PollError> {
        let candidates = match candidates(&configured, stored.as_ref(), memory) {
            Ok(candidates) => candidates,
            Err(error) => return put_off(memory, spare, error),
        };
        let configured = mark(configured.ok().flatten().as_ref())
            .or_else(|| stored.as_ref().and_then(|stored| stored.configured.clone()));

        let mut revoked = None;
        for candidate in candidates {
            if let Some(said) = memory.revoked(&candidate, stored.as_ref()) {
                revoked = Some(said.to_owned());
                continue;
            }
            // proves that the disk is writable while the old token is still valid
            let proof = stored.clone().unwrap_or_else(|| StoredTokens {
                refresh_token: Some(candidate.clone()),
                access_token: None,
                obtained: Utc::now(),
                lifetime: Duration::ZERO,
                configured: configured.clone(),
            });
            let instead_of = mark(proof.refresh_token.as_ref());
            let granted = match self.save(proof.clone(), &lock).await {
                Ok(()) => self.refresh(&candidate, spare.is_none()).await,
                Err(error) => Err(RefreshError::Other(error)),
            };
            match granted {
                Ok(Grant { access_token: None, refresh_token, .. }) => {
                    // the refresh token is already the only valid one
                    let tokens = StoredTokens { refresh_token, configured, ..proof };
                    let unsaved = UnsavedTokens { tokens, instead_of };
                    self.save_granted(memory, unsaved, &lock).await?;
                    return put_off(memory, spare, missing("access_token"));
                }
                Ok(grant) => {
                    let asked = grant.asked;
                    let tokens = StoredTokens::of(grant, Some(&candidate), configured);
                    let unsaved = UnsavedTokens { tokens, instead_of };
                    return self.accept(memory, unsaved, asked, &lock).await;
                }
                Err(RefreshError::Revoked(said)) => {
                    memory.revoke(&candidate, &said);
                    revoked = Some(said);
                }
                Err(RefreshError::Other(error)) => return put_off(memory, spare, error),
            }
        }
        let command = authorize_command(&self.access.account, &self.access.renewals.flags);
        let Some(said) = revoked else {
            let message = format!("no refresh token yet: run `{command}`");
            return put_off(memory, spare, PollError::new(Reason::Auth, message));
        };
        let message = format!("the refresh token is refused ({said}): run `{command}`");
        Err(PollError::new(Reason::Auth, message))
    }

    /// Stores granted tokens, which were requested at `asked`. Returns the access token.
    async fn accept(
        &self,
        memory: &mut Memory,
        granted: UnsavedTokens,
        asked: Instant,
        lock: &Arc<File>,
    ) -> Result<Credential, PollError> {
        let tokens = granted.tokens.clone();
        let access_mark = mark(tokens.access_token.as_ref());
        if self.refused.is_some() {
            memory.replacement.clone_from(&access_mark);
        }
        memory.obtained = access_mark.map(|mark| (mark, asked));
        memory.pause = None;
        memory.complained = false;
        self.save_granted(memory, granted, lock).await?;
        debug!("tokens renewed");
        tokens.token().ok_or_else(|| missing("access_token"))
    }

    /// Stores granted tokens. If that fails, they are kept for the next attempt.
    async fn save_granted(
        &self,
        memory: &mut Memory,
        granted: UnsavedTokens,
        lock: &Arc<File>,
    ) -> Result<(), PollError> {
        let tokens = granted.tokens.clone();
        memory.unsaved = Some(granted);
        self.save(tokens.clone(), lock).await?;
        memory.unsaved = None;
        memory.last = Some(tokens);
        Ok(())
    }

    /// Returns the stored tokens. Before that, writes those that could not be written, unless the stored
    /// ones were replaced by a new consent, and those whose file is gone.
    async fn restored(&self, memory: &mut Memory) -> Result<Option<StoredTokens>, PollError> {
        let mut stored = self.stored().await?;
        if memory.unsaved.is_some() || stored.is_none() && memory.last.is_some() {
            let lock = self.lock().await?;
            stored = self.stored().await?;
            let last = &memory.last;
            let missing = match (&memory.unsaved, &stored) {
                (Some(unsaved), None) => Some(&unsaved.tokens),
                (Some(unsaved), Some(stored)) => (mark(stored.refresh_token.as_ref())
                    == unsaved.instead_of)
                    .then_some(&unsaved.tokens),
                (None, None) => last.as_ref(),
                (None, Some(_)) => None,
            };
            if let Some(tokens) = missing.cloned() {
                self.save(tokens.clone(), &lock).await?;
                stored = Some(tokens);
            }
            memory.unsaved = None;
        }
        memory.last.clone_from(&stored);
        Ok(stored)
    }

    async fn save(&self, tokens: StoredTokens, lock: &Arc<File>) -> Result<(), PollError> {
        let lock = Some(Arc::clone(lock));
        let saved = self.store.save_holding(Kind::Tokens, &self.file, tokens, lock);
        saved.await.map_err(not_stored)
    }

    async fn stored(&self) -> Result<Option<StoredTokens>, PollError> {
        let stored = self.store.load::<StoredTokens>(Kind::Tokens, &self.file);
        let stored = stored.await.map_err(not_stored)?;
        if let Some(stored) = &stored {
            let tokens = stored.refresh_token.iter().chain(&stored.access_token);
            tokens.for_each(redaction::register);
        }
        Ok(stored)
    }

    /// Requests new tokens, with retries if `patiently`.
    async fn refresh(&self, token: &SecretString, patiently: bool) -> Result<Grant, RefreshError> {
        let renewals = &self.access.renewals;
        let stop = renewals.stop.clone();
        let attempt = || async {
            let turn = self.unless_stopped(renewals.pace.wait()).await;
            turn.map_err(RefreshError::Other)?;
            self.registration.refresh(&self.transport, token).await
        };
        attempt
            .retry(delays())
            .sleep(move |pause| {
                let sleep = tokio::time::sleep(pause);
                stop.clone().run_until_cancelled_owned(sleep).map(drop)
            })
            .when(|refused| match refused {
                // after a timeout the server may have replaced the token already
                RefreshError::Other(error) => {
                    patiently && error.reason.is_transient() && error.reason != Reason::Timeout
                }
                RefreshError::Revoked(_) => false,
            })
            .adjust(|refused, delay| match refused {
                RefreshError::Other(error) => wait(error, delay?),
                RefreshError::Revoked(_) => None,
            })
            .await
    }
}

/// The command that asks for a new consent. `flags` begin with a space.
pub fn authorize_command(account: &str, flags: &str) -> String {
    let name = shell_word(account);
    if account.starts_with('-') {
        format!("campaign_exporter authorize{flags} -- {name}")
    } else {
        format!("campaign_exporter authorize {name}{flags}")
    }
}

/// The text as one word of a shell command.
pub fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Uses the old token while it is valid, and logs that once. The renewal is not retried at every
/// poll.
fn put_off(
    memory: &mut Memory,
    spare: Option<Credential>,
    error: PollError,
) -> Result<Credential, PollError> {
    let short = |token: &Credential| {
        let left = token.expiry.map_or(RENEWAL_PAUSE, |expiry| {
            // it can expire during the renewal
            (expiry - Utc::now()).to_std().unwrap_or_default()
        });
        RENEWAL_PAUSE.min(left.mul_f64(RENEWAL_PAUSE_SHARE))
    };
    let asked = error.retry_after.map(|asked| asked.min(MAX_PAUSE));
    let pause = asked.or_else(|| spare.as_ref().map(short));
    memory.pause = pause.map(|pause| (Instant::now() + pause, error.clone()));
    let Some(spare) = spare else {
        return Err(error);
    };
    if !memory.complained {
        warn!(%error, "cannot renew the access token; using it until it expires");
    }
    memory.complained = true;
    Ok(spare)
}

/// The refresh tokens to try, in order: the configured one if it is new, and the stored one.
fn candidates(
    configured: &ConfiguredToken,
    stored: Option<&StoredTokens>,
    memory: &Memory,
) -> Result<Vec<SecretString>, PollError> {
    let stored_token = stored.and_then(|stored| stored.refresh_token.clone());
    let new = match configured {
        Ok(Some(first)) if is_new(configured, stored, memory) => Some(first.clone()),
        Err(error) if stored_token.is_none() => return Err(error.clone()),
        // the stored one is newer; the configured file or variable can be empty by now
        _ => None,
    };
    Ok(new.into_iter().chain(stored_token).collect())
}

/// Whether the configured refresh token changed since these tokens were granted, and has not been
/// refused.
fn is_new(configured: &ConfiguredToken, stored: Option<&StoredTokens>, memory: &Memory) -> bool {
    let Ok(Some(configured)) = configured else {
        return false;
    };
    let mark = fingerprint(configured.expose_secret());
    stored.is_none_or(|stored| {
        stored.configured.as_ref() != Some(&mark) && !memory.revoked.contains_key(&mark)
    })
}

/// Reads the configured refresh token, `patiently` if there is no other. Its file can be gone for good
/// once later tokens are stored.
async fn read_configured(registration: &Registration, patiently: bool) -> ConfiguredToken {
    let Some(source) = &registration.refresh_token else {
        return Ok(None);
    };
    let token = if patiently { source.read().await } else { source.read_now().await };
    token.map(Some).map_err(|error| PollError::new(Reason::Auth, format!("refresh token: {error}")))
}

/// Runs the device flow: a person consents elsewhere, and the tokens are stored. `show` is called with
/// the address and the code. Returns whether the tokens can be renewed.
pub async fn authorize(
    registration: &Registration,
    account: &str,
    store: &Arc<Store>,
    transport: &Transport,
    show: impl FnOnce(&DeviceCode),
) -> Result<bool, PollError> {
    let file = file(account, registration);
    let before = store.load::<StoredTokens>(Kind::Tokens, &file).await;
    let before = before.map_err(not_stored)?.and_then(|stored| stored.configured);
    // read before the consent, since the granted tokens take precedence over it
    let configured = match read_configured(registration, before.is_none()).await {
        Ok(configured) => mark(configured.as_ref()),
        Err(_) if before.is_some() => before,
        Err(error) => return Err(error),
    };
    let grant = registration.authorize_device(transport, show).await?;
    if grant.access_token.is_none() {
        return Err(missing("access_token"));
    }
    let stored = StoredTokens::of(grant, None, configured);
    let renewable = stored.refresh_token.is_some();
    let lock = store.lock(Kind::Tokens, &file, LOCK_PATIENCE);
    let lock = Some(Arc::new(lock.await.map_err(not_stored)?));
    let saved = store.save_holding(Kind::Tokens, &file, stored, lock).await;
    saved.map_err(not_stored)?;
    info!(account, "tokens stored");
    Ok(renewable)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_stored(error: StoreError) -> PollError {
    PollError::new(Reason::Auth, format!("cannot store tokens: {error}"))
}

fn mark(secret: Option<&SecretString>) -> Option<String> {
    secret.map(|secret| fingerprint(secret.expose_secret()))
}

fn same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.is_some() && mark(one) == mark(other)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use tempfile::TempDir;
    use tracing::error_span;

    use super::*;
    use crate::logging::LogFormat;
    use crate::logging::tests::capture;
    use crate::upstream::auth::oauth::tests::registration;
    use crate::upstream::client::Client;
    use crate::upstream::quota::Limits;

    /// An account whose tokens are stored in a directory.
    struct Stored {
        _directory: TempDir,
        registration: Registration,
        access: Access,
        transport: Transport,
    }

    impl Stored {
        async fn new(registration: Registration) -> Self {
            let directory = TempDir::new().unwrap();
            let store = Arc::new(Store::open(directory.path()).unwrap());
            let application = Application::new(String::new(), Limits::default(), None).await;
            let renewals = Renewals::new(String::new());
            Self {
                _directory: directory,
                registration,
                access: Access::new("a", Arc::new(application), renewals, Some(store)),
                transport: Transport::new(Client::local().unwrap(), Duration::from_secs(9)),
            }
        }

        /// Stores tokens of this age and lifetime in minutes, and asks for an access token.
        async fn token(&self, age: u64, lifetime: u64) -> Result<String, Reason> {
            let tokens = StoredTokens {
                refresh_token: Some("stored-refresh".into()),
                access_token: Some("stored-access".into()),
                obtained: Utc::now() - Duration::from_mins(age),
                lifetime: Duration::from_mins(lifetime),
                configured: None,
            };
            let name = file("a", &self.registration);
            let store = self.access.store.as_ref().unwrap();
            store.save(Kind::Tokens, &name, tokens).await.unwrap();
            let token = access_token(&self.registration, &self.access, &self.transport, None).await;
            let token = token.map(|token| token.secret.expose_secret().to_owned());
            token.map_err(|error| error.reason)
        }
    }

    #[tokio::test]
    async fn stored_tokens_are_redacted() {
        let stored = Stored::new(registration()).await;
        assert_eq!(stored.token(60, 1_000).await.unwrap(), "stored-access");
        for secret in ["stored-access", "stored-refresh"] {
            assert_eq!(redaction::redact(secret), "[redacted]");
        }
    }

    #[tokio::test]
    async fn an_unusable_access_token_costs_neither_the_old_one_nor_the_refresh_token_with_it() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let auth_url = format!("http://{}", server.local_addr().unwrap());
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let body = r#"{"access_token":"","refresh_token":"successor"}"#;
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        });
        let stored =
            Stored::new(Registration { auth_url: auth_url.parse().unwrap(), ..registration() });
        let stored = stored.await;
        assert_eq!(stored.token(50, 60).await.unwrap(), "stored-access");
        answers.join().unwrap();
        let name = file("a", &stored.registration);
        let store = stored.access.store.as_ref().unwrap();
        let tokens = store.load::<StoredTokens>(Kind::Tokens, &name).await;
        let tokens = tokens.unwrap().unwrap();
        let secrets = [tokens.refresh_token, tokens.access_token];
        let secrets = secrets.map(|secret| secret.unwrap().expose_secret().to_owned());
        assert_eq!(secrets, ["successor", "stored-access"]);
    }

    #[tokio::test]
    async fn log_lines_of_a_renewal_name_its_account() {
        let (file, _guard) = capture(LogFormat::Logfmt);
        let span = error_span!("account", account = "a", provider = "p");
        let stored = Stored::new(registration()).await;
        let token = stored.token(60, 70).instrument(span).await;
        assert_eq!(token.unwrap(), "stored-access");
        let log = std::fs::read_to_string(file.path()).unwrap();
        let line = log.lines().find(|line| line.contains("cannot renew"));
        assert!(line.unwrap().ends_with("account=a provider=p"), "{log}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_after_a_failed_renewal_ends_before_the_old_token_expires() {
        let minute = TimeDelta::minutes(1);
        // the last one expired during the renewal
        for (left, pause) in [(minute * 1_000, 600), (minute * 20, 60), (-minute, 0)] {
            let mut memory = Memory::default();
            let spare = Credential::bearer("access".into(), Some(Utc::now() + left));
            let error = PollError::new(Reason::Server, "no");
            put_off(&mut memory, Some(spare), error).unwrap();
            let (until, _) = memory.pause.unwrap();
            let found = until - Instant::now();
            assert!(found.abs_diff(Duration::from_secs(pause)) < Duration::from_secs(1));
        }
    }

    // paused: the time limit of a request passes immediately
    #[tokio::test(start_paused = true)]
    async fn a_token_is_used_until_it_expires_while_renewal_times_out() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let stored = Stored::new(Registration {
            auth_url: format!("http://{address}").parse().unwrap(),
            ..registration()
        })
        .await;
        let token = async |age| {
            let begin = Instant::now();
            let token = stored.token(age, 60).await;
            (token, begin.elapsed().as_secs())
        };
        // a timeout is not retried, since the server may have replaced the token
        let (due, took) = token(50).await;
        assert!(due.is_ok() && (10..12).contains(&took), "{took}");
        assert!(stored.access.memory.lock().await.complained);
        let (paused, took) = token(50).await;
        assert!(paused.is_ok() && took == 0, "{took}");
        tokio::time::advance(RENEWAL_PAUSE).await;
        // nothing asks for a pause without a valid token
        for _ in 0..2 {
            let (expired, took) = token(70).await;
            assert_eq!(expired.unwrap_err(), Reason::Timeout);
            assert!((10..12).contains(&took), "{took}");
        }
    }
}
