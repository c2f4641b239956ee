//! Basic authentication against bcrypt hashes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use quick_cache::sync::Cache;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::error;

use crate::web::connections::Peer;

/// How many right and how many wrong passwords are remembered.
const REMEMBERED: usize = 256;

/// Maximum number of passwords that wait to be checked for a user and a peer.
const MAX_WAITING: usize = 64;

/// Maximum number of passwords that wait to be checked for all users and peers. Each takes less than a
/// kilobyte.
const MAX_WAITING_TOTAL: usize = 1024;

/// How long a password may wait to be checked. The wait continues without the client: a scraper that
/// times out is accepted at one of its next scrapes.
const WAITING_TIMEOUT: Duration = Duration::from_mins(2);

/// The hash checked for unknown users. It has bcrypt's default cost, like that of the exporter toolkit:
/// anyone can have it checked, so it must not become as expensive as the most expensive of the users.
const DECOY: &str = "$2b$10$FkHyIXKMEJG.XlnUvmJ7BOjZyvAZgUNtYFW.dL4RO/p8MSlf6n/.W";

/// A hash of a user name and a password. The password itself is not stored.
type Attempt = [u8; 32];

/// The users and their password hashes.
///
/// A check occupies a core for a tenth of a second or longer. The same password is checked once for
/// all requests that wait for it. A user's passwords are checked one at a time, and while they wait,
/// those of one peer delay those of another by one check only.
pub struct Authentication {
    users: BTreeMap<Arc<str>, User>,
    unknown: User,
    /// A separate cache, so that wrong passwords cannot evict right ones.
    right: Cache<Attempt, ()>,
    wrong: Cache<Attempt, ()>,
    checks: Mutex<Checks>,
}

/// A user's hash and the permit to compute it.
struct User {
    hash: SecretString,
    turn: Semaphore,
}

impl User {
    fn new(hash: SecretString) -> Self {
        Self { hash, turn: Semaphore::new(1) }
    }
}

/// A peer and the user whose passwords it sends; `None` for all unknown users.
type Origin = (Peer, Option<Arc<str>>);

/// The passwords that are being checked or wait.
#[derive(Default)]
struct Checks {
    outcomes: HashMap<Attempt, watch::Receiver<Option<Verdict>>>,
    lines: HashMap<Origin, Line>,
    tasks: JoinSet<()>,
}

/// The passwords of an origin, one of which may take part in the user's turns.
struct Line {
    first: Arc<Semaphore>,
    length: usize,
}

/// The result of checking an `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// User and password are right.
    Accepted(Arc<str>),
    /// The header is not valid, or user or password are wrong.
    Refused,
    /// Too many passwords are waiting to be checked.
    Busy,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.keys().collect::<Vec<_>>();
        formatter.debug_struct("Authentication").field("users", &users).finish_non_exhaustive()
    }
}

impl Authentication {
    /// Returns `None` if there are no users: no authentication is required then.
    pub fn new(users: BTreeMap<String, SecretString>) -> Option<Arc<Self>> {
        if users.is_empty() {
            return None;
        }
        let users = users.into_iter();
        Some(Arc::new(Self {
            users: users.map(|(name, hash)| (name.into(), User::new(hash))).collect(),
            unknown: User::new(SecretString::from(DECOY)),
            right: Cache::new(REMEMBERED),
            wrong: Cache::new(REMEMBERED),
            checks: Mutex::default(),
        }))
    }

    /// Returns whether its users and hashes are these.
    pub fn has_users(&self, users: &BTreeMap<String, SecretString>) -> bool {
        let pairs = self.users.iter().zip(users);
        self.users.len() == users.len()
            && pairs.into_iter().all(|((one, user), (other, hash))| {
                **one == **other && user.hash.expose_secret() == hash.expose_secret()
            })
    }

    /// Checks the value of an `Authorization` header.
    pub async fn verdict(self: &Arc<Self>, peer: Peer, authorization: &HeaderValue) -> Verdict {
        let Some((name, password)) = credentials(authorization) else {
            return Verdict::Refused;
        };
        let attempt = attempt(&name, &password);
        let name = self.users.get_key_value(&*name).map(|(name, _)| name);
        if let Some(verdict) = self.remembered(&attempt, name) {
            return verdict;
        }
        let origin = (peer, name.cloned());
        let Some(mut outcome) = self.check(attempt, origin, password) else {
            return Verdict::Busy;
        };
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(verdict)) => verdict.clone(),
            Ok(None) | Err(_) => Verdict::Busy,
        }
    }

    /// Returns the outcome of a check that runs, or starts one unless too many wait.
    fn check(
        self: &Arc<Self>,
        attempt: Attempt,
        origin: Origin,
        password: SecretString,
    ) -> Option<watch::Receiver<Option<Verdict>>> {
        let mut checks = self.checks();
        while let Some(ended) = checks.tasks.try_join_next() {
            if let Err(error) = ended {
                error!(%error, "cannot check a password");
            }
        }
        if let Some(outcome) = checks.outcomes.get(&attempt) {
            return Some(outcome.clone());
        }
        if checks.outcomes.len() >= MAX_WAITING_TOTAL {
            return None;
        }
        let line = checks
            .lines
            .entry(origin.clone())
            .or_insert_with(|| Line { first: Arc::new(Semaphore::new(1)), length: 0 });
        if line.length >= MAX_WAITING {
            return None;
        }
        line.length += 1;
        let first = Arc::clone(&line.first);
        let (sender, outcome) = watch::channel(None);
        checks.outcomes.insert(attempt, outcome.clone());
        let authentication = Arc::clone(self);
        checks.tasks.spawn(async move {
            let name = origin.1.as_ref();
            let verdict = authentication.in_turn(&first, name, password).await;
            match &verdict {
                Verdict::Accepted(_) => authentication.right.insert(attempt, ()),
                Verdict::Refused => authentication.wrong.insert(attempt, ()),
                Verdict::Busy => {}
            }
            authentication.leave(&attempt, &origin);
            // the clients may have gone
            sender.send_replace(Some(verdict));
        });
        Some(outcome)
    }

    /// Waits for the turns of the origin and of the user, and checks a password.
    async fn in_turn(
        &self,
        first: &Semaphore,
        name: Option<&Arc<str>>,
        password: SecretString,
    ) -> Verdict {
        let user = name.and_then(|name| self.users.get(name));
        let user = user.unwrap_or(&self.unknown);
        let turns = async { (first.acquire().await, user.turn.acquire().await) };
        // both are held until the end of the computation
        let Ok(_turns) = tokio::time::timeout(WAITING_TIMEOUT, turns).await else {
            return Verdict::Busy;
        };
        let hash = user.hash.clone();
        let verified = tokio::task::spawn_blocking(move || {
            // the configuration accepts valid hashes only
            bcrypt::verify(password.expose_secret(), hash.expose_secret()).unwrap_or_default()
        });
        match (verified.await, name) {
            (Ok(true), Some(name)) => Verdict::Accepted(Arc::clone(name)),
            (Ok(_), _) => Verdict::Refused,
            (Err(error), _) => {
                error!(%error, "cannot check a password");
                Verdict::Busy
            }
        }
    }

    /// Removes a finished check.
    fn leave(&self, attempt: &Attempt, origin: &Origin) {
        let mut checks = self.checks();
        checks.outcomes.remove(attempt);
        if let Entry::Occupied(mut line) = checks.lines.entry(origin.clone()) {
            line.get_mut().length -= 1;
            if line.get().length == 0 {
                line.remove();
            }
        }
    }

    fn checks(&self) -> MutexGuard<'_, Checks> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, attempt: &Attempt, name: Option<&Arc<str>>) -> Option<Verdict> {
        if let Some(name) = name
            && self.right.get(attempt).is_some()
        {
            return Some(Verdict::Accepted(Arc::clone(name)));
        }
        self.wrong.get(attempt).map(|()| Verdict::Refused)
    }
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    /// Creates users with hashes of this cost; 4 is the lowest.
    fn users(of: &[(&str, &str)], cost: u32) -> Arc<Authentication> {
        let hash = |password: &str| SecretString::from(bcrypt::hash(password, cost).unwrap());
        let users = of.iter().map(|(user, password)| ((*user).to_owned(), hash(password)));
        Authentication::new(users.collect()).unwrap()
    }

    fn header(user: &str, password: &str) -> HeaderValue {
        let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
        HeaderValue::from_str(&format!("Basic {encoded}")).unwrap()
    }

    fn peer(number: u8) -> Peer {
        Peer::from(IpAddr::from([10, 0, 0, number]))
    }

    async fn is_accepted(authentication: &Arc<Authentication>, header: &HeaderValue) -> bool {
        let verdict = authentication.verdict(peer(1), header).await;
        matches!(verdict, Verdict::Accepted(_))
    }

    #[tokio::test]
    async fn users_are_accepted_with_their_own_password_only() {
        let authentication = users(&[("alice", "a:b"), ("bob", "")], 4);
        for _ in 0..2 {
            // the second time from the cache
            let verdict = authentication.verdict(peer(1), &header("alice", "a:b")).await;
            assert_eq!(verdict, Verdict::Accepted("alice".into()));
            assert!(is_accepted(&authentication, &header("bob", "")).await);
            assert!(!is_accepted(&authentication, &header("alice", "")).await);
            assert!(!is_accepted(&authentication, &header("bob", "a:b")).await);
            assert!(!is_accepted(&authentication, &header("carol", "a:b")).await);
            assert!(!is_accepted(&authentication, &header("carol", "")).await);
        }
        for bad in ["", "Basic", "Basic ", "Basic %%%", "Bearer YWxpY2U6YTpi", "Basic YWxpY2U="] {
            let header = HeaderValue::from_str(bad).unwrap();
            assert!(!is_accepted(&authentication, &header).await, "{bad:?}");
        }
        let lower = HeaderValue::from_str("basic YWxpY2U6YTpi").unwrap();
        assert!(is_accepted(&authentication, &lower).await);
        let checks = authentication.checks();
        assert!(checks.lines.is_empty() && checks.outcomes.is_empty());
    }

    #[test]
    fn the_decoy_is_a_valid_hash_of_the_default_cost() {
        let decoy = DECOY.parse::<bcrypt::HashParts>().unwrap();
        assert_eq!(decoy.get_cost(), 10);
        assert!(!bcrypt::verify("", DECOY).unwrap());
    }

    #[tokio::test]
    async fn wrong_passwords_do_not_evict_the_right_one() {
        let authentication = users(&[("alice", "secret")], 4);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        let right = attempt("alice", &SecretString::from("secret"));
        for number in 0..2 * REMEMBERED {
            let wrong = attempt("alice", &SecretString::from(number.to_string()));
            authentication.wrong.insert(wrong, ());
        }
        let alice = "alice".into();
        let verdict = authentication.remembered(&right, Some(&alice));
        assert_eq!(verdict, Some(Verdict::Accepted(alice)));
    }

    /// Starts guesses that wait until `turn` is released.
    fn guess(authentication: &Arc<Authentication>, peer: Peer, user: &str, guesses: usize) {
        for number in 0..guesses {
            let guess = header(user, &number.to_string());
            let verdict = authentication.verdict(peer, &guess).now_or_never();
            assert_eq!(verdict, None, "it has to wait");
        }
    }

    #[tokio::test]
    async fn one_check_serves_all_who_wait_for_it() {
        let authentication = users(&[("alice", "secret")], 4);
        let turn = authentication.users["alice"].turn.acquire().await;
        let right = header("alice", "secret");
        let scrapes = (0..200).map(|number| authentication.verdict(peer(number), &right));
        let scrapes = async {
            let scrapes = join_all(scrapes);
            let mut scrapes = std::pin::pin!(scrapes);
            assert!(scrapes.as_mut().now_or_never().is_none());
            assert_eq!(authentication.checks().outcomes.len(), 1);
            drop(turn);
            scrapes.await
        };
        let accepted = Verdict::Accepted("alice".into());
        assert!(scrapes.await.iter().all(|verdict| *verdict == accepted));
    }

    #[tokio::test]
    async fn guesses_delay_another_peer_by_one_check() {
        let authentication = users(&[("alice", "secret"), ("bob", "secret")], 4);
        let turn = authentication.users["alice"].turn.acquire().await;
        guess(&authentication, peer(2), "alice", MAX_WAITING);
        let more = authentication.verdict(peer(2), &header("alice", "more")).await;
        assert_eq!(more, Verdict::Busy);
        // other users do not wait
        assert!(is_accepted(&authentication, &header("bob", "secret")).await);
        tokio::task::yield_now().await;
        drop(turn);
        assert!(is_accepted(&authentication, &header("alice", "secret")).await);
        let left = authentication.checks().outcomes.len();
        assert!(left >= MAX_WAITING - 2, "{left} guesses are left");
    }

    #[tokio::test]
    async fn a_check_continues_without_its_client() {
        let authentication = users(&[("alice", "secret")], 4);
        let turn = authentication.users["alice"].turn.acquire().await;
        let right = header("alice", "secret");
        assert_eq!(authentication.verdict(peer(1), &right).now_or_never(), None);
        let running = authentication.checks().outcomes.values().next().cloned();
        drop(turn);
        running.unwrap().wait_for(Option::is_some).await.unwrap();
        let verdict = authentication.verdict(peer(1), &right).now_or_never();
        assert_eq!(verdict, Some(Verdict::Accepted("alice".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn no_password_waits_forever() {
        let authentication = users(&[("alice", "secret")], 4);
        let _turn = authentication.users["alice"].turn.acquire().await;
        let right = header("alice", "secret");
        assert_eq!(authentication.verdict(peer(1), &right).await, Verdict::Busy);
        assert!(authentication.checks().outcomes.is_empty());
    }

    #[tokio::test]
    async fn the_number_of_waiting_passwords_is_limited() {
        let authentication = users(&[("alice", "secret")], 4);
        let _turn = authentication.users["alice"].turn.acquire().await;
        for number in 0..u8::try_from(MAX_WAITING_TOTAL / MAX_WAITING).unwrap() {
            let guesses = (0..MAX_WAITING).map(|guess| format!("{number}-{guess}"));
            for password in guesses {
                let guess = header("alice", &password);
                let verdict = authentication.verdict(peer(number), &guess).now_or_never();
                assert_eq!(verdict, None, "it has to wait");
            }
        }
        let verdict = authentication.verdict(peer(200), &header("alice", "secret")).await;
        assert_eq!(verdict, Verdict::Busy);
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let authentication = users(&[("alice", "secret")], 4);
        assert_eq!(format!("{authentication:?}"), r#"Authentication { users: ["alice"], .. }"#);
        assert!(Authentication::new(BTreeMap::new()).is_none());
    }
}
