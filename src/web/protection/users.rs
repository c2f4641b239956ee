//! Who may ask: basic authentication against bcrypt hashes.

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

/// Right and wrong passwords that are remembered, of each.
const REMEMBERED: usize = 256;

/// Hashes that are computed at the same time: each takes a core for a tenth of a second, and scrapes
/// need one, too.
const HASHING: usize = 1;

/// Passwords that wait to be checked. More would wait longer than a scrape does, and whoever guesses
/// passwords must not make everybody wait.
const MAX_WAITING: usize = 16;

/// A user with a password, by a digest: the password itself is not kept.
type Attempt = [u8; 32];

/// The users and their hashes.
pub struct Authentication {
    users: BTreeMap<String, SecretString>,
    /// What somebody who is no user is held against: the dearest hash there is.
    decoy: SecretString,
    /// In a cache of their own, so that nobody can drive them out with wrong ones.
    right: Cache<Attempt, ()>,
    wrong: Cache<Attempt, ()>,
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
}

/// What there is to say about an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It names a user and the user's password.
    Accepted,
    /// It does not.
    Refused,
    /// Too many others wait to be checked.
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
    /// None if there are no users, for then anybody may ask.
    pub fn of(users: BTreeMap<String, SecretString>) -> Option<Self> {
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

    /// Whether these are its users, with these hashes.
    pub fn is_of(&self, users: &BTreeMap<String, SecretString>) -> bool {
        let pairs = self.users.iter().zip(users);
        self.users.len() == users.len()
            && pairs.into_iter().all(|((one, hash), (other, other_hash))| {
                one == other && hash.expose_secret() == other_hash.expose_secret()
            })
    }

    /// Whether some hashes are dearer than others, and it takes less time to refuse some users than
    /// one that does not exist.
    pub fn costs_differ(&self) -> bool {
        let mut costs = self.users.values().map(cost);
        let first = costs.next();
        costs.any(|cost| Some(cost) != first)
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// A user that does not exist takes as long as a wrong password for the dearest hash.
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
        let Ok(_place) = self.waiting.try_acquire() else {
            return Verdict::Busy;
        };
        // never closed
        let Ok(turn) = Arc::clone(&self.hashing).acquire_owned().await else {
            return Verdict::Refused;
        };
        // the same may have been found out while this waited
        if let Some(verdict) = self.remembered(&attempt) {
            return verdict;
        }
        let right = match verify(password, hash.clone(), turn).await {
            Ok(right) => right && known.is_some(),
            Err(error) => {
                error!(%error, "a password could not be checked");
                return Verdict::Refused;
            }
        };
        let (memory, verdict) = if right {
            (&self.right, Verdict::Accepted)
        } else {
            (&self.wrong, Verdict::Refused)
        };
        memory.insert(attempt, ());
        verdict
    }

    fn remembered(&self, attempt: &Attempt) -> Option<Verdict> {
        let right = self.right.get(attempt).map(|()| Verdict::Accepted);
        right.or_else(|| self.wrong.get(attempt).map(|()| Verdict::Refused))
    }
}

fn cost(hash: &SecretString) -> u32 {
    let parts = hash.expose_secret().parse::<HashParts>();
    // a hash that is none was refused where it was read
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
    // the length, since a name may end as another password begins
    digest.update((user.len() as u64).to_le_bytes());
    digest.update(user);
    digest.update(password.expose_secret());
    digest.finalize().into()
}

async fn verify(
    password: SecretString,
    hash: SecretString,
    turn: OwnedSemaphorePermit,
) -> Result<bool, JoinError> {
    tokio::task::spawn_blocking(move || {
        // it is not over when the client leaves
        let _turn = turn;
        // a hash that is none was refused where it was read
        bcrypt::verify(password.expose_secret(), hash.expose_secret()).unwrap_or_default()
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Of the least cost, for tests have to be fast.
    fn users(of: &[(&str, &str)]) -> Option<Authentication> {
        let hash = |password: &str| SecretString::from(bcrypt::hash(password, 4).unwrap());
        let users = of
            .iter()
            .map(|(user, password)| ((*user).to_owned(), hash(password)));
        Authentication::of(users.collect())
    }

    fn header(user: &str, password: &str) -> HeaderValue {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    async fn is_accepted(authentication: &Authentication, header: &HeaderValue) -> bool {
        authentication.verdict(header).await == Verdict::Accepted
    }

    #[tokio::test]
    async fn only_a_user_with_the_own_password_is_accepted() {
        let authentication = users(&[("alice", "a:b"), ("bob", "")]).unwrap();
        for _ in 0..2 {
            // the second time from memory
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
    async fn wrong_passwords_do_not_drive_out_the_right_one() {
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
    async fn a_client_that_leaves_does_not_make_room_for_another_check() {
        let hash = SecretString::from(bcrypt::hash("secret", 10).unwrap());
        let users = BTreeMap::from([("alice".to_owned(), hash)]);
        let authentication = Authentication::of(users).unwrap();
        let guess = header("alice", "guess");
        assert_eq!(authentication.verdict(&guess).now_or_never(), None);
        assert_eq!(authentication.hashing.available_permits(), 0);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        assert_eq!(authentication.hashing.available_permits(), 1);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let authentication = users(&[("alice", "secret")]).unwrap();
        assert_eq!(
            format!("{authentication:?}"),
            r#"Authentication { users: ["alice"], .. }"#
        );
        assert!(users(&[]).is_none());
    }

    #[tokio::test]
    async fn who_is_remembered_does_not_wait_behind_those_who_guess() {
        let authentication = users(&[("alice", "secret")]).unwrap();
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        let places = (0..MAX_WAITING).map(|_| authentication.waiting.try_acquire().unwrap());
        let places: Vec<_> = places.collect();
        let stranger = header("alice", "guess");
        assert_eq!(authentication.verdict(&stranger).await, Verdict::Busy);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        drop(places);
        assert_eq!(authentication.verdict(&stranger).await, Verdict::Refused);
    }
}
