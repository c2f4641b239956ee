//! When a request is tried again.

use std::time::Duration;

use backon::ExponentialBuilder;

use super::{PollError, Reason};

/// Retries of one request.
pub(super) const MAX_RETRIES: usize = 3;

/// Wait before the first retry. Each later wait is three times as long, each with jitter.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Shortest wait after "too many requests": all known limits are per second.
const THROTTLED_DELAY: Duration = Duration::from_secs(1);

/// Longest wait within a poll that a provider can ask for. A poll that would wait longer fails, so
/// that a waiting exporter does not look as if it hangs.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);

/// The waits before retries.
pub(super) fn delays() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_RETRY_DELAY)
        .with_factor(3.0)
        .with_max_times(MAX_RETRIES)
        .with_jitter()
}

/// The wait before the next try; `None` if it is longer than [`MAX_WAIT`].
pub(super) fn wait(error: &PollError, planned: Duration) -> Option<Duration> {
    let least = match (error.retry_after, error.reason) {
        (Some(asked), _) => asked,
        (None, Reason::Throttled) => THROTTLED_DELAY,
        (None, _) => Duration::ZERO,
    };
    // the planned delay has the jitter
    (least <= MAX_WAIT).then(|| least + planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_can_ask_for_a_wait_up_to_a_limit() {
        let mut error = PollError::new(Reason::Server, "");
        error.retry_after = Some(MAX_WAIT);
        assert_eq!(wait(&error, FIRST_RETRY_DELAY), Some(MAX_WAIT + FIRST_RETRY_DELAY));
        error.retry_after = Some(MAX_WAIT + FIRST_RETRY_DELAY);
        assert_eq!(wait(&error, FIRST_RETRY_DELAY), None);
    }
}
