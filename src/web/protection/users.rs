//! Basic authentication against bcrypt hashes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tracing::error;

/// How many right and how many wrong passwords are remembered.
const REMEMBERED: usize = 256;

/// Maximum number of concurrent hash computations. Each occupies a core for a tenth of a second, and
/// scrapes need one as well.
const HASHING: usize = 1;

/// Maximum number of passwords that wait to be checked. More would wait longer than a scrape timeout,
/// and an attacker who guesses passwords must not block other users.
const MAX_WAITING: usize = 16;

/// A hash of a user name and a password. The password itself is not stored.
type Attempt = [u8; 32];

/// The users and their password hashes.
pub struct Authentication {
    users: BTreeMap<String, SecretString>,
    /// Hash checked for unknown users: the most expensive one.
    decoy: SecretString,
    /// A separate cache, so that wrong passwords cannot evict right ones.
    right: Cache<Attempt, ()>,
    wrong: Cache<Attempt, ()>,
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
}

/// The result of checking an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// User and password are right.
    Accepted,
    /// The header is not valid, or user or password are wrong.
    Refused,
    /// Too many passwords are waiting to be checked.
    Busy,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.keys().collect::<Vec<_>>();
        formatter
            .debug_struct("Authentication")
            .field("users", &users)
            .finish_non_exhaustive()
    }
}

impl Authentication {
    /// Returns `None` if there are no users: no authentication is required then.
    pub fn new(users: BTreeMap<String, SecretString>) -> Option<Self> {
        let decoy = users.values().max_by_key(|hash| cost(hash))?.clone();
        Some(Self {
            users,
            decoy,
            right: Cache::new(REMEMBERED),
            wrong: Cache::new(REMEMBERED),
            hashing: Arc::new(Semaphore::new(HASHING)),
            waiting: Semaphore::new(MAX_WAITING),
        })
    }

    /// Returns whether its users and hashes are these.
    pub fn has_users(&self, users: &BTreeMap<String, SecretString>) -> bool {
        let pairs = self.users.iter().zip(users);
        self.users.len() == users.len()
            && pairs.into_iter().all(|((one, hash), (other, other_hash))| {
                one == other && hash.expose_secret() == other_hash.expose_secret()
            })
    }

    /// Returns whether some hashes are more expensive than others. Refusing an unknown user then takes
    /// longer than refusing some of the known ones.
    pub fn costs_differ(&self) -> bool {
        let mut costs = self.users.values().map(cost);
        let first = costs.next();
        costs.any(|cost| Some(cost) != first)
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// An unknown user takes as long as a wrong password for the most expensive hash.
    pub async fn verdict(&self, authorization: &HeaderValue) -> Verdict {
        let Some((user, password)) = credentials(authorization) else {
            return Verdict::Refused;
        };
        let known = self.users.get(&user);
        let hash = known.unwrap_or(&self.decoy);
        let attempt = attempt(&user, &password);
        if let Some(verdict) = self.remembered(&attempt) {
            return verdict;
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Verdict::Busy;
        };
        // the semaphore is never closed
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else {
            return Verdict::Refused;
        };
        // another request may have checked the same password in the meantime
        if let Some(verdict) = self.remembered(&attempt) {
            return verdict;
        }
        let right = match verify(password, hash.clone(), permit).await {
            Ok(right) => right && known.is_some(),
            Err(error) => {
                error!(%error, "cannot check a password");
                return Verdict::Refused;
            }
        };
        let (cache, verdict) = if right {
            (&self.right, Verdict::Accepted)
        } else {
            (&self.wrong, Verdict::Refused)
        };
        cache.insert(attempt, ());
        verdict
    }

    fn remembered(&self, attempt: &Attempt) -> Option<Verdict> {
        let right = self.right.get(attempt).map(|()| Verdict::Accepted);
        right.or_else(|| self.wrong.get(attempt).map(|()| Verdict::Refused))
    }
}

fn cost(hash: &SecretString) -> u32 {
    let parts = hash.expose_secret().parse::<HashParts>();
    // the configuration accepts valid hashes only
    parts.map_or(0, |parts| parts.get_cost())
}

fn credentials(authorization: &HeaderValue) -> Option<(String, SecretString)> {
    let (scheme, encoded) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), SecretString::from(password)))
}

fn attempt(user: &str, password: &SecretString) -> Attempt {
    let mut digest = Sha256::new();
    // the length separates name and password
    digest.update((user.len() as u64).to_le_bytes());
    digest.update(user);
    digest.update(password.expose_secret());
    digest.finalize().into()
}

async fn verify(
    password: SecretString,
    hash: SecretString,
    permit: OwnedSemaphorePermit,
) -> Result<bool, JoinError> {
    tokio::task::spawn_blocking(move || {
        // held until the computation ends, even if the client disconnects
        let _permit = permit;
        // the configuration accepts valid hashes only
        bcrypt::verify(password.expose_secret(), hash.expose_secret()).unwrap_or_default()
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Creates users with the lowest cost, to keep the tests fast.
    fn users(of: &[(&str, &str)]) -> Option<Authentication> {
        let hash = |password: &str| SecretString::from(bcrypt::hash(password, 4).unwrap());
        let users = of
            .iter()
            .map(|(user, password)| ((*user).to_owned(), hash(password)));
        Authentication::new(users.collect())
    }

    fn header(user: &str, password: &str) -> HeaderValue {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    async fn is_accepted(authentication: &Authentication, header: &HeaderValue) -> bool {
        authentication.verdict(header).await == Verdict::Accepted
    }

    #[tokio::test]
    async fn users_are_accepted_with_their_own_password_only() {
        let authentication = users(&[("alice", "a:b"), ("bob", "")]).unwrap();
        for _ in 0..2 {
            // the second time from the cache
            assert!(is_accepted(&authentication, &header("alice", "a:b")).await);
            assert!(is_accepted(&authentication, &header("bob", "")).await);
            assert!(!is_accepted(&authentication, &header("alice", "")).await);
            assert!(!is_accepted(&authentication, &header("bob", "a:b")).await);
            // the decoy is the hash of one of them
            assert!(!is_accepted(&authentication, &header("carol", "a:b")).await);
            assert!(!is_accepted(&authentication, &header("carol", "")).await);
        }
        for bad in [
            "",
            "Basic",
            "Basic ",
            "Basic %%%",
            "Bearer YWxpY2U6YTpi",
            "Basic YWxpY2U=",
        ] {
            let header = HeaderValue::from_str(bad).unwrap();
            assert!(!is_accepted(&authentication, &header).await, "{bad:?}");
        }
        let lower = HeaderValue::from_str("basic YWxpY2U6YTpi").unwrap();
        assert!(is_accepted(&authentication, &lower).await);
    }

    #[tokio::test]
    async fn wrong_passwords_do_not_evict_the_right_one() {
        let authentication = users(&[("alice", "secret")]).unwrap();
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        let right = attempt("alice", &SecretString::from("secret"));
        for number in 0..2 * REMEMBERED {
            let wrong = attempt("alice", &SecretString::from(number.to_string()));
            authentication.wrong.insert(wrong, ());
        }
        assert_eq!(authentication.remembered(&right), Some(Verdict::Accepted));
    }

    #[tokio::test]
    async fn a_disconnected_client_keeps_its_permit() {
        let hash = SecretString::from(bcrypt::hash("secret", 10).unwrap());
        let users = BTreeMap::from([("alice".to_owned(), hash)]);
        let authentication = Authentication::new(users).unwrap();
        let guess = header("alice", "guess");
        assert_eq!(authentication.verdict(&guess).now_or_never(), None);
        assert_eq!(authentication.hashing.available_permits(), 0);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        assert_eq!(authentication.hashing.available_permits(), 1);
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let authentication = users(&[("alice", "secret")]).unwrap();
        assert_eq!(
            format!("{authentication:?}"),
            r#"Authentication { users: ["alice"], .. }"#
        );
        assert!(users(&[]).is_none());
    }

    #[tokio::test]
    async fn remembered_passwords_do_not_wait() {
        let authentication = users(&[("alice", "secret")]).unwrap();
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        let permits = (0..MAX_WAITING).map(|_| authentication.waiting.try_acquire().unwrap());
        let permits: Vec<_> = permits.collect();
        let stranger = header("alice", "guess");
        assert_eq!(authentication.verdict(&stranger).await, Verdict::Busy);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        drop(permits);
        assert_eq!(authentication.verdict(&stranger).await, Verdict::Refused);
    }
}
