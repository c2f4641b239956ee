//! The rate limit of the web server.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use lru::LruCache;

use crate::document::{Node, Section};
use crate::web::connections::Peer;

/// Longest duration in Go. The token bucket overflows at twice as much.
const LONGEST: Duration = Duration::from_nanos(i64::MAX.cast_unsigned());

/// Maximum number of peers whose requests are counted, which takes less than a megabyte.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Limits on the requests of each user, and on those of each peer without a user. Strangers cannot
/// exhaust the limit of a user.
#[derive(Debug)]
pub enum RateLimit {
    /// Token buckets.
    Buckets {
        /// Those of users. The configuration limits their number.
        users: DefaultKeyedRateLimiter<Arc<str>>,
        /// Those of peers. One more takes the place of the peer that has made no request for longest,
        /// which begins with a full bucket when it returns.
        peers: Mutex<LruCache<Peer, DefaultDirectRateLimiter>>,
        /// The limit of each.
        quota: Quota,
    },
    /// Buckets without burst, which allow no request.
    Never,
}

impl RateLimit {
    fn new(quota: Quota) -> Self {
        Self::Buckets {
            users: RateLimiter::keyed(quota),
            peers: Mutex::new(LruCache::new(MAX_PEERS)),
            quota,
        }
    }

    /// Takes a token of a user. Returns whether there was one.
    pub fn allows_user(&self, user: &Arc<str>) -> bool {
        match self {
            Self::Buckets { users, .. } => users.check_key(user).is_ok(),
            Self::Never => false,
        }
    }

    /// Takes a token of a peer without a user. Returns whether there was one.
    pub fn allows_peer(&self, peer: Peer) -> bool {
        match self {
            Self::Buckets { peers, quota, .. } => {
                let mut peers = peers.lock().unwrap_or_else(PoisonError::into_inner);
                let bucket = peers.get_or_insert(peer, || RateLimiter::direct(*quota));
                bucket.check().is_ok()
            }
            Self::Never => false,
        }
    }

    /// Reads the section `rate_limit`.
    pub(super) fn read(section: &mut Section<'_>, warnings: &mut Vec<String>) -> Option<Self> {
        let interval = interval(section);
        let burst = match section.take("burst").map(|node| &node.value) {
            None => 0,
            Some(Node::Integer(number)) => *number,
            Some(_) => {
                section.problem("burst", "expected an integer");
                0
            }
        };
        if interval > LONGEST.as_secs_f64() {
            section.problem("interval", "longer than 292 years");
            return None;
        }
        // zero and negative intervals mean no limit
        let interval = Duration::try_from_secs_f64(interval).ok()?;
        let quota = Quota::with_period(interval)?;
        // the bucket cannot refill more tokens than this within the longest duration
        let most = (LONGEST.as_nanos() / interval.as_nanos()).min(u128::from(u32::MAX));
        let burst = burst.clamp(0, i128::try_from(most).unwrap_or_default());
        let burst = u32::try_from(burst).unwrap_or_default();
        let Some(burst) = NonZeroU32::new(burst) else {
            warnings.push("rate_limit has no burst: all requests will be refused".to_owned());
            return Some(Self::Never);
        };
        Some(Self::new(quota.allow_burst(burst)))
    }
}

/// Reads the interval in seconds.
fn interval(section: &mut Section<'_>) -> f64 {
    let problem = match section.take("interval").map(|node| &node.value) {
        None => return 0.0,
        // Go durations count nanoseconds
        Some(Node::Integer(nanoseconds)) => return *nanoseconds as f64 / 1e9,
        Some(Node::Text(text)) => match go_duration(text) {
            Some(seconds) => return seconds,
            None => "not a duration; expected for example 1s or 100ms",
        },
        Some(_) => "expected a duration such as 1s or 100ms",
    };
    section.problem("interval", problem);
    0.0
}

/// Parses a Go duration such as `1m30s`, `1.5h` or `-100ms`. Returns seconds.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit =
            tail.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (!text.is_empty() && text.ends_with(|char: char| char.is_alphabetic()))
        .then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn read(interval: &str, burst: &str) -> Result<Option<RateLimit>, String> {
        let yaml = format!("interval: {interval}\nburst: {burst}\n");
        let root = Node::parse(&yaml).map_err(|problem| problem.to_string())?;
        let mut section = Section::new("", &root).map_err(|problem| problem.to_string())?;
        let limit = RateLimit::read(&mut section, &mut Vec::new());
        let (_, problems) = section.finish();
        problems.first().map_or(Ok(limit), |problem| Err(problem.to_string()))
    }

    fn peer(number: u32) -> Peer {
        Peer::from(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn everyone_has_their_own_limit() {
        let limit = read("1h", "2").unwrap().unwrap();
        let [alice, bob] = ["alice", "bob"].map(Arc::from);
        for _ in 0..2 {
            assert!(limit.allows_peer(peer(1)) && limit.allows_user(&alice));
        }
        assert!(!limit.allows_peer(peer(1)) && !limit.allows_user(&alice));
        assert!(limit.allows_peer(peer(2)) && limit.allows_user(&bob));
    }

    #[test]
    fn strangers_cannot_exhaust_the_limit_of_a_peer() {
        let most = u32::try_from(MAX_PEERS.get()).unwrap();
        // the last one takes the place of the peer
        for (strangers, allows) in [(0, false), (most - 1, false), (most, true)] {
            let limit = read("1h", "1").unwrap().unwrap();
            for number in 0..=strangers {
                assert!(limit.allows_peer(peer(number)));
            }
            assert_eq!(limit.allows_peer(peer(0)), allows, "{strangers}");
        }
    }

    #[test]
    fn durations_are_parsed_as_in_go() {
        let cases = [
            ("1s", Some(1.0)),
            ("1m30s", Some(90.0)),
            ("1.5h", Some(5400.0)),
            ("+100ms", Some(0.1)),
            ("-2s", Some(-2.0)),
            ("0", Some(0.0)),
            ("", None),
            ("-", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("1s5", None),
            ("1 s", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(go_duration(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn every_rate_limit_is_computed_without_overflow() {
        let many = u64::MAX.to_string();
        for (interval, burst, allows) in [
            ("1h", "2", Some(true)),
            ("1h", "0", Some(false)),
            ("1h", "-1", Some(false)),
            ("1h", &many, Some(true)),
            ("2562047h", &many, Some(true)),
            ("1ns", &many, Some(true)),
            ("1", "1", Some(true)),
            ("0", "1", None),
            ("-1h", "1", None),
        ] {
            let limit = read(interval, burst).unwrap();
            let found = limit.map(|limit| limit.allows_peer(peer(1)));
            assert_eq!(found, allows, "{interval} {burst}");
        }
        for interval in ["2562048h", &many, "soon", "[]", "1.5"] {
            assert!(read(interval, "1").is_err(), "{interval}");
        }
    }
}
