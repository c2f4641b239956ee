//! What the token renewals of all accounts share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::upstream::quota::pace::Pace;
use crate::upstream::transport::TOKEN_TIMEOUT;

/// Time between two requests to an authorization server. The documented limit is about one per
/// second, and not all requests travel equally fast.
pub(super) const TOKEN_PERIOD: Duration = Duration::from_millis(1_200);

/// Time limit for a token refresh while the exporter stops: that of its request, and some time to
/// store the token.
pub const RENEWAL_TIMEOUT: Duration = Duration::from_secs(TOKEN_TIMEOUT.as_secs() + 5);

/// Coordinates the token renewals of all accounts.
#[derive(Clone, Debug)]
pub struct Renewals {
    /// The pace of requests to authorization servers.
    pub(super) pace: Arc<Pace>,
    /// Running renewals. They outlive the poll that asked for them: a token that was replaced and
    /// not stored would be lost.
    pub(super) tasks: TaskTracker,
    /// Canceled when no more renewals may begin.
    pub(super) stop: CancellationToken,
    /// Flags that commands in messages need to find the exporter's files.
    pub(super) flags: String,
}

impl Renewals {
    /// No renewals yet. `flags` are the flags that commands in messages need to find the exporter's
    /// files.
    pub fn new(flags: String) -> Self {
        Self {
            pace: Arc::new(Pace::new(TOKEN_PERIOD)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            flags,
        }
    }

    /// Starts no more renewals, and waits until the tokens of the running ones are stored.
    pub async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        let renewed = tokio::time::timeout(RENEWAL_TIMEOUT, self.tasks.wait()).await;
        if renewed.is_err() {
            error!("a token is still being refreshed");
        }
    }
}
