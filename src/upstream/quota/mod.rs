//! Request quotas: an even pace, limits per minute and hour, and a daily limit.
//!
//! At some providers all accounts of a registered application share a quota, which resets at 00:00
//! UTC. At others each account is an application of its own.

pub mod allowance;
pub mod application;
pub mod pace;
pub mod plan;
mod window;

use self::allowance::AllowanceHeaders;

/// Largest limit per minute or hour: the time of each request is in memory, 16 MB at most.
pub const MAX_WINDOW_REQUESTS: u64 = 1_000_000;

/// How many requests an application may make.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests per second.
    pub per_second: Option<f64>,
    /// Requests in any minute.
    pub per_minute: Option<u64>,
    /// Requests in any hour.
    pub per_hour: Option<u64>,
    /// Requests from 00:00 to 00:00 UTC.
    pub per_day: Option<u64>,
    /// Headers that tell what is left.
    pub headers: Option<AllowanceHeaders>,
}

impl Limits {
    /// The stricter of each limit.
    pub(super) fn stricter(self, other: Self) -> Self {
        let per_second = [self.per_second, other.per_second].into_iter().flatten();
        let least = |one: Option<u64>, other| [one, other].into_iter().flatten().min();
        Self {
            per_second: per_second.reduce(f64::min),
            per_minute: least(self.per_minute, other.per_minute),
            per_hour: least(self.per_hour, other.per_hour),
            per_day: least(self.per_day, other.per_day),
            headers: self.headers.or(other.headers),
        }
    }

    /// The requests per day that all limits but the one per second allow.
    fn a_day(&self) -> Option<u64> {
        let by_minute = self.per_minute.map(|limit| limit.saturating_mul(24 * 60));
        let by_hour = self.per_hour.map(|limit| limit.saturating_mul(24));
        [by_minute, by_hour, self.per_day].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_limit_applies() {
        let configured =
            Limits { per_second: Some(10.0), per_hour: Some(100), ..Limits::default() };
        let both = configured.stricter(Limits {
            per_second: Some(4.0),
            per_hour: Some(200),
            per_day: Some(7_000),
            ..Limits::default()
        });
        assert_eq!((both.per_second, both.per_day), (Some(4.0), Some(7_000)));
        assert_eq!((both.per_minute, both.per_hour), (None, Some(100)));
        assert_eq!(both.a_day(), Some(2_400));
    }
}
