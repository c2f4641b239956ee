//! Request quotas: an even pace, and a daily limit.
//!
//! At some providers all accounts of a registered application share a quota, which resets at 00:00
//! UTC. At others each account is an application of its own.

pub mod application;
pub mod metrics;
pub mod pace;
pub mod plan;

/// How many requests an application may make.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests per second.
    pub per_second: Option<f64>,
    /// Requests from 00:00 to 00:00 UTC.
    pub per_day: Option<u64>,
}

impl Limits {
    /// The stricter of each limit.
    pub(super) fn stricter(self, other: Self) -> Self {
        let per_second = [self.per_second, other.per_second].into_iter().flatten();
        Self {
            per_second: per_second.reduce(f64::min),
            per_day: [self.per_day, other.per_day].into_iter().flatten().min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_limit_applies() {
        let configured = Limits {
            per_second: Some(10.0),
            per_day: None,
        };
        let both = configured.stricter(Limits {
            per_second: Some(4.0),
            per_day: Some(7),
        });
        assert_eq!((both.per_second, both.per_day), (Some(4.0), Some(7)));
    }
}
