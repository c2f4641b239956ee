//! The requests left, according to the headers of an answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName};

/// Numbers from here on are Unix times in seconds, not durations.
const LEAST_UNIX_TIME: f64 = 1e9;

/// Numbers from here on are Unix times in milliseconds.
const LEAST_UNIX_MILLIS: f64 = 1e12;

/// The headers in which a provider tells how many requests are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowanceHeaders {
    /// The number of requests that are left.
    pub remaining: HeaderName,
    /// When there will be more: in seconds, as a text that begins with them, or as a Unix time.
    pub reset: HeaderName,
}

impl AllowanceHeaders {
    /// The number of requests that are left, and for how long; `None` unless both can be read.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is not negative, and more than fits is enough"
    )]
    pub(super) fn read(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<(u64, Duration)> {
        let number = |name| {
            let text = headers.get(name)?.to_str().ok()?;
            let number: f64 = text.split_whitespace().next()?.parse().ok()?;
            (number >= 0.0).then_some(number)
        };
        let now = now.timestamp_millis() as f64 / 1e3;
        let seconds = match number(&self.reset)? {
            time if time >= LEAST_UNIX_MILLIS => time / 1e3 - now,
            time if time >= LEAST_UNIX_TIME => time - now,
            seconds => seconds,
        };
        let reset = Duration::try_from_secs_f64(seconds.max(0.0));
        Some((number(&self.remaining)? as u64, reset.unwrap_or(Duration::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_what_is_left_and_for_how_long() {
        let headers = AllowanceHeaders {
            remaining: HeaderName::from_static("x-remaining"),
            reset: HeaderName::from_static("x-reset"),
        };
        let now = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        let read = |remaining: &str, reset: &str| {
            let mut answer = HeaderMap::new();
            answer.insert("x-remaining", remaining.parse().unwrap());
            answer.insert("x-reset", reset.parse().unwrap());
            headers.read(&answer, now)
        };
        let seconds = Duration::from_secs;
        for (remaining, reset, expected) in [
            ("7", "120", Some((7, seconds(120)))),
            ("0", "432 seconds", Some((0, seconds(432)))),
            ("0", "0.5", Some((0, Duration::from_millis(500)))),
            ("1", "1790000060", Some((1, seconds(60)))),
            ("1", "1790000060000", Some((1, seconds(60)))),
            ("1", "1780000000", Some((1, Duration::ZERO))),
            ("1e400", "1e400", Some((u64::MAX, Duration::MAX))),
            ("-1", "60", None),
            ("0", "-60", None),
            ("NaN", "60", None),
            ("0", "NaN", None),
            ("many", "60", None),
            ("0", "soon", None),
            ("", "", None),
        ] {
            assert_eq!(read(remaining, reset), expected, "{remaining} {reset}");
        }
        assert_eq!(headers.read(&HeaderMap::new(), now), None);
    }
}
