//! Which access token of an account is used, and when it is renewed.
//!
//! A refresh token that was used and whose successor was lost needs a person. So its successor is on
//! disk before anything else is done with an answer, and no poll that is given up gives up a renewal.

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
use tracing::{debug, info, warn};

use super::super::http::{Transport, delays, wait};
use super::super::quota::application::{Application, MAX_HOLD};
use super::super::{PollError, Reason};
use super::oauth::{DeviceCode, Grant, Refused, Registration};
use crate::storage::store::{Kind, Store, StoreError, fingerprint};

/// The part of its life after which an access token is renewed. Of a day it leaves five hours: for a
/// clock that is wrong, or an authorisation server that is down for a while.
const RENEWED_AFTER: f64 = 0.8;

/// How long a renewal that failed is not tried again while the old token is good.
const RENEWAL_PAUSE: Duration = Duration::from_mins(10);

/// The same as a part of what is left of the old token's life, which may be short.
const RENEWAL_PAUSE_SHARE: f64 = 0.05;

/// How long another process may keep the tokens of an account while it renews them.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

/// What an account has at its provider beside its settings. It outlives polls and reloads.
#[derive(Clone, Debug)]
pub struct Access {
    account: String,
    application: Arc<Application>,
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
    pub const fn application(&self) -> &Arc<Application> {
        &self.application
    }

    /// Where something of the account can be kept.
    pub const fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// Takes note that the provider took the access token: if it refuses it later, another one may
    /// help again.
    pub(crate) fn token_works(&self) {
        // whoever holds it is renewing, and takes note of more
        if let Ok(mut memory) = self.memory.try_lock() {
            memory.replacement = None;
        }
    }
}

/// What a process knows about the tokens of an account beyond what is kept.
#[derive(Debug, Default)]
struct Memory {
    /// Tokens that could not be written. Nothing is done with them before they are.
    unsaved: Option<Unsaved>,
    /// The access token that this process obtained, by its fingerprint, and when on the clock that
    /// never jumps.
    obtained: Option<(String, Instant)>,
    /// Refresh tokens that were refused for good, by their fingerprint.
    revoked: BTreeMap<String, Revoked>,
    /// The access token, by its fingerprint, that replaced a refused one and was not taken yet. Where
    /// it is refused as well, another one would be, too.
    replacement: Option<String>,
    /// Why tokens are not renewed for a while.
    pause: Option<(Instant, PollError)>,
    /// Whether the log knows that tokens cannot be renewed for now.
    complained: bool,
}

#[derive(Debug)]
struct Unsaved {
    tokens: Kept,
    /// The fingerprint of the refresh token that they came for, and which is kept.
    instead_of: Option<String>,
}

#[derive(Debug)]
struct Revoked {
    said: String,
    at: DateTime<Utc>,
}

impl Memory {
    fn pause(&self) -> Option<&PollError> {
        let (until, error) = self.pause.as_ref()?;
        (Instant::now() < *until).then_some(error)
    }

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

    /// What was said when a kept refresh token was refused for good. A later consent may bring the
    /// same one again.
    fn revoked(&self, token: &SecretString, kept: Option<&Kept>) -> Option<&str> {
        let revoked = self.revoked.get(&fingerprint(token.expose_secret()))?;
        let is_newer = kept.is_some_and(|kept| {
            same(Some(token), kept.refresh_token.as_ref()) && kept.obtained > revoked.at
        });
        (!is_newer).then_some(revoked.said.as_str())
    }
}

/// The tokens of an account at an application, as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
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

impl Kept {
    fn of(grant: Grant, used: Option<&SecretString>, configured: Option<String>) -> Self {
        Self {
            // where the answer has none, the one that was used goes on
            refresh_token: grant.refresh_token.or_else(|| used.cloned()),
            access_token: Some(grant.access_token),
            obtained: grant.asked_at,
            lifetime: grant.lifetime,
            configured,
        }
    }

    fn token(&self) -> Option<Token> {
        Some(Token {
            secret: self.access_token.clone()?,
            expiry: TimeDelta::from_std(self.lifetime)
                .ok()
                .and_then(|lifetime| self.obtained.checked_add_signed(lifetime)),
        })
    }
}

/// Tokens of one account at one application of one server: with another one configured these are
/// left alone, and are there again when that is undone.
fn file(account: &str, registration: &Registration) -> String {
    let Registration {
        auth_url,
        client_id,
        ..
    } = registration;
    format!("{account} {auth_url} {client_id}")
}

/// An access token, and when it runs out.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) expiry: Option<DateTime<Utc>>,
}

/// How good an access token still is.
#[derive(Debug, PartialEq, Eq)]
enum Freshness {
    Fresh,
    /// Valid, and to be renewed.
    Due,
    Expired,
}

/// The access token that requests carry, renewed if need be. `refused` is one that the provider no
/// longer takes.
pub(crate) async fn access_token(
    registration: &Registration,
    access: &Access,
    transport: &Transport,
    refused: Option<&SecretString>,
) -> Result<Token, PollError> {
    // the configuration is refused without one
    let Some(store) = access.store.clone() else {
        let message = "refresh tokens cannot be kept without --storage.path";
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
    // a task of its own, so that the end of the poll is not the end of a token
    let tasks = &access.application.renewals.tasks;
    match tasks.spawn(async move { renewal.token().await }).await {
        Ok(result) => result,
        Err(error) => Err(PollError::new(
            Reason::Auth,
            format!("the renewal of the tokens failed: {error}"),
        )),
    }
}

/// One look for a good access token.
struct Renewal {
    registration: Registration,
    access: Access,
    transport: Transport,
    refused: Option<SecretString>,
    store: Arc<Store>,
    file: String,
}

/// The configured refresh token, or why it cannot be read.
type Configured = Result<Option<SecretString>, PollError>;

/// How an account stands.
enum Standing {
    /// It has a good access token.
    Good(Token),
    /// It needs another one. What is kept, and what is good for a while.
    ToRenew(Option<Kept>, Option<Token>),
}

impl Renewal {
    async fn token(&self) -> Result<Token, PollError> {
        let mut memory = self.access.memory.lock().await;
        self.save_unsaved(&mut memory).await?;
        let configured = read_configured(&self.registration).await;
        let spare = match self.standing(&memory, &configured).await? {
            Standing::Good(token) => return Ok(token),
            Standing::ToRenew(_, spare) => spare,
        };
        if let Some(error) = memory.pause().filter(|_| spare.is_none()) {
            return Err(error.clone());
        }
        let application = &self.access.application;
        let _one_at_a_time = match (application.refreshing.try_lock(), spare) {
            (Ok(turn), _) => turn,
            // it can wait, and its polls need not
            (Err(_), Some(spare)) => return Ok(spare),
            (Err(_), None) => self.unless_stopped(application.refreshing.lock()).await?,
        };
        let lock = self.lock().await?;
        // whoever was first may have renewed them
        match self.standing(&memory, &configured).await? {
            Standing::Good(token) => Ok(token),
            Standing::ToRenew(kept, spare) => {
                self.renew(&mut memory, configured, kept, spare, lock).await
            }
        }
    }

    /// Waits for something that need not be finished when the exporter stops.
    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, PollError> {
        let stop = &self.access.application.renewals.stop;
        let stopped = || PollError::new(Reason::Auth, "the exporter stops");
        if stop.is_cancelled() {
            return Err(stopped());
        }
        stop.run_until_cancelled(wait).await.ok_or_else(stopped)
    }

    async fn lock(&self) -> Result<Arc<File>, PollError> {
        let lock = self.store.lock(Kind::Tokens, &self.file, LOCK_PATIENCE);
        let lock = self.unless_stopped(lock).await?;
        lock.map(Arc::new).map_err(not_kept)
    }

    async fn standing(
        &self,
        memory: &Memory,
        configured: &Configured,
    ) -> Result<Standing, PollError> {
        let Some(kept) = self.kept().await? else {
            return Ok(Standing::ToRenew(None, None));
        };
        let is_refused = same(self.refused.as_ref(), kept.access_token.as_ref());
        if is_refused && memory.replacement == mark(self.refused.as_ref()) {
            return Err(PollError::new(
                Reason::Auth,
                "the provider refuses an access token that was just renewed",
            ));
        }
        let freshness = memory.freshness(&kept);
        let spare = kept
            .token()
            .filter(|_| !is_refused && freshness != Freshness::Expired);
        let is_good = freshness == Freshness::Fresh && !is_new(configured, Some(&kept), memory);
        Ok(match spare {
            Some(token) if is_good || memory.pause().is_some() => Standing::Good(token),
            spare => Standing::ToRenew(Some(kept), spare),
        })
    }

    /// Obtains new tokens with the configured refresh token if it is new, else with the kept one.
    async fn renew(
        &self,
        memory: &mut Memory,
        configured: Configured,
        kept: Option<Kept>,
        spare: Option<Token>,
        lock: Arc<File>,
    ) -> Result<Token, PollError> {
        let kept_token = kept.as_ref().and_then(|kept| kept.refresh_token.clone());
        let mut candidates = Vec::new();
        match &configured {
            Ok(Some(first)) if is_new(&configured, kept.as_ref(), memory) => {
                candidates.push(first.clone());
            }
            Err(error) if kept_token.is_none() => {
                return self.put_off(memory, spare, error.clone());
            }
            // what the store has is newer, so its place may be empty by now
            _ => {}
        }
        candidates.extend(kept_token);
        let configured = mark(configured.ok().flatten().as_ref())
            .or_else(|| kept.as_ref().and_then(|kept| kept.configured.clone()));

        let mut revoked = None;
        for candidate in candidates {
            if let Some(said) = memory.revoked(&candidate, kept.as_ref()) {
                revoked = Some(said.to_owned());
                continue;
            }
            // while the old token is still good: a disk that takes nothing must not cost the new one
            let proof = kept.clone().unwrap_or_else(|| Kept {
                refresh_token: Some(candidate.clone()),
                access_token: None,
                obtained: Utc::now(),
                lifetime: Duration::ZERO,
                configured: configured.clone(),
            });
            let instead_of = mark(proof.refresh_token.as_ref());
            let granted = match self.save(proof, &lock).await {
                Ok(()) => self.refresh(&candidate, spare.is_none()).await,
                Err(error) => Err(Refused::Otherwise(error)),
            };
            match granted {
                Ok(grant) => {
                    let access_mark = mark(Some(&grant.access_token));
                    if self.refused.is_some() {
                        memory.replacement.clone_from(&access_mark);
                    }
                    memory.obtained = access_mark.map(|mark| (mark, grant.asked));
                    memory.pause = None;
                    memory.complained = false;
                    let tokens = Kept::of(grant, Some(&candidate), configured);
                    let token = tokens.token();
                    memory.unsaved = Some(Unsaved {
                        tokens: tokens.clone(),
                        instead_of,
                    });
                    self.save(tokens, &lock).await?;
                    memory.unsaved = None;
                    debug!(account = self.access.account, "tokens renewed");
                    let none = || PollError::new(Reason::Decode, "the answer has no access token");
                    return token.ok_or_else(none);
                }
                Err(Refused::Revoked(said)) => {
                    let at = Utc::now();
                    let refusal = Revoked {
                        said: said.clone(),
                        at,
                    };
                    memory
                        .revoked
                        .insert(fingerprint(candidate.expose_secret()), refusal);
                    revoked = Some(said);
                }
                Err(Refused::Otherwise(error)) => return self.put_off(memory, spare, error),
            }
        }
        let command = self.command();
        let Some(said) = revoked else {
            let message = format!("there is no refresh token yet: run `{command}`");
            return self.put_off(memory, spare, PollError::new(Reason::Auth, message));
        };
        let message = format!("the refresh token is refused ({said}): run `{command}`");
        Err(PollError::new(Reason::Auth, message))
    }

    /// Goes on with what is good for a while, if there is any, and says so once. What cannot be had
    /// now is not asked for at each poll.
    fn put_off(
        &self,
        memory: &mut Memory,
        spare: Option<Token>,
        error: PollError,
    ) -> Result<Token, PollError> {
        let short = |token: &Token| {
            let left = token.expiry.map(|expiry| (expiry - Utc::now()).to_std());
            let left = left.and_then(Result::ok).unwrap_or(RENEWAL_PAUSE);
            RENEWAL_PAUSE.min(left.mul_f64(RENEWAL_PAUSE_SHARE))
        };
        let asked = error.retry_after.map(|asked| asked.min(MAX_HOLD));
        let pause = asked.or_else(|| spare.as_ref().map(short));
        memory.pause = pause.map(|pause| (Instant::now() + pause, error.clone()));
        let Some(spare) = spare else {
            return Err(error);
        };
        if !memory.complained {
            let account = &self.access.account;
            warn!(account, %error, "the access token could not be renewed; it is used until it expires");
        }
        memory.complained = true;
        Ok(spare)
    }

    /// Writes what could not be written before, unless what it takes the place of is gone: a person
    /// has consented anew since.
    async fn save_unsaved(&self, memory: &mut Memory) -> Result<(), PollError> {
        let Some(unsaved) = &memory.unsaved else {
            return Ok(());
        };
        let lock = self.lock().await?;
        let kept = self.kept().await?;
        if kept.is_some_and(|kept| mark(kept.refresh_token.as_ref()) == unsaved.instead_of) {
            self.save(unsaved.tokens.clone(), &lock).await?;
        }
        memory.unsaved = None;
        Ok(())
    }

    async fn save(&self, tokens: Kept, lock: &Arc<File>) -> Result<(), PollError> {
        let lock = Some(Arc::clone(lock));
        let saved = self
            .store
            .save_holding(Kind::Tokens, &self.file, tokens, lock);
        saved.await.map_err(not_kept)
    }

    async fn kept(&self) -> Result<Option<Kept>, PollError> {
        let kept = self.store.load::<Kept>(Kind::Tokens, &self.file).await;
        kept.map_err(not_kept)
    }

    /// Asks for new tokens, several times where that may help.
    async fn refresh(&self, token: &SecretString, patiently: bool) -> Result<Grant, Refused> {
        let renewals = &self.access.application.renewals;
        let stop = renewals.stop.clone();
        let attempt = || async {
            let turn = self.unless_stopped(renewals.pace.wait()).await;
            turn.map_err(Refused::Otherwise)?;
            self.registration.refresh(&self.transport, token).await
        };
        attempt
            .retry(delays())
            .sleep(move |pause| {
                let sleep = tokio::time::sleep(pause);
                stop.clone().run_until_cancelled_owned(sleep).map(drop)
            })
            .when(|refused| match refused {
                // one that was too slow may have been heard, and to ask again spends a spent token
                Refused::Otherwise(error) => {
                    patiently && error.reason.is_transient() && error.reason != Reason::Timeout
                }
                Refused::Revoked(_) => false,
            })
            .adjust(|refused, delay| match refused {
                Refused::Otherwise(error) => wait(error, delay?),
                Refused::Revoked(_) => None,
            })
            .await
    }

    /// The command that renews a consent.
    fn command(&self) -> String {
        let flags = &self.access.application.renewals.flags;
        let account = &self.access.account;
        let name = shell_word(account);
        if account.starts_with('-') {
            format!("campaign_exporter authorize{flags} -- {name}")
        } else {
            format!("campaign_exporter authorize {name}{flags}")
        }
    }
}

/// A text as a shell takes it for one word.
pub fn shell_word(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:".contains(char);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether the configured refresh token was changed since these tokens came, and was not found to
/// be useless since.
fn is_new(configured: &Configured, kept: Option<&Kept>, memory: &Memory) -> bool {
    let Ok(Some(configured)) = configured else {
        return false;
    };
    let mark = fingerprint(configured.expose_secret());
    kept.is_none_or(|kept| {
        kept.configured.as_ref() != Some(&mark) && !memory.revoked.contains_key(&mark)
    })
}

async fn read_configured(registration: &Registration) -> Configured {
    let Some(source) = &registration.refresh_token else {
        return Ok(None);
    };
    let token = source.read().await;
    token
        .map(Some)
        .map_err(|error| PollError::new(Reason::Auth, format!("refresh token: {error}")))
}

/// The device flow: a person consents elsewhere, the tokens are kept here. `show` is given the
/// address and the code, as soon as there are any. Returns whether they can be renewed.
pub(crate) async fn authorize(
    registration: &Registration,
    account: &str,
    store: &Arc<Store>,
    transport: &Transport,
    show: impl FnOnce(&DeviceCode),
) -> Result<bool, PollError> {
    let file = file(account, registration);
    let before = store.load::<Kept>(Kind::Tokens, &file).await;
    let before = before.map_err(not_kept)?.and_then(|kept| kept.configured);
    // from now on the kept ones go before it, so it has to be known; before anybody is asked
    let configured = match read_configured(registration).await {
        Ok(configured) => mark(configured.as_ref()),
        Err(_) if before.is_some() => before,
        Err(error) => return Err(error),
    };
    let grant = registration.authorize_device(transport, show).await?;
    let kept = Kept::of(grant, None, configured);
    let renewable = kept.refresh_token.is_some();
    let lock = store.lock(Kind::Tokens, &file, LOCK_PATIENCE);
    let lock = Some(Arc::new(lock.await.map_err(not_kept)?));
    let saved = store.save_holding(Kind::Tokens, &file, kept, lock).await;
    saved.map_err(not_kept)?;
    info!(account, "tokens stored");
    Ok(renewable)
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
