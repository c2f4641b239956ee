//! The way of changes to the snapshot: whoever makes one goes on once scrapes show it.

use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::state::snapshot::Change;

/// Changes that wait to be applied; whoever makes more waits to be heard.
const CAPACITY: usize = 256;

/// Changes that are applied, and shown, together when they come together.
const MAX_BATCH: usize = 64;

/// Where changes are made.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<Pending>);

/// Where they arrive.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<Pending>);

/// A change that is not shown yet.
#[derive(Debug)]
pub struct Pending {
    /// The change.
    pub change: Change,
    /// Who waits.
    pub shown: Shown,
}

/// Whoever made a change, waiting.
#[derive(Debug)]
pub struct Shown(oneshot::Sender<()>);

/// Nobody takes changes any more: the program is about to stop.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nobody takes changes any more")]
pub struct Stopped;

/// A way for changes.
pub fn changes() -> (Changes, Inbox) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Changes(sender), Inbox(receiver))
}

impl Changes {
    /// Makes a change and waits until scrapes show it.
    pub async fn make(&self, change: Change) -> Result<(), Stopped> {
        let (shown, is_shown) = oneshot::channel();
        let shown = Shown(shown);
        let pending = Pending { change, shown };
        self.0.send(pending).await.map_err(|_| Stopped)?;
        is_shown.await.map_err(|_| Stopped)
    }
}

impl Inbox {
    /// The changes that have come; none once nobody is left to make any.
    pub async fn receive(&mut self) -> Vec<Pending> {
        let mut batch = Vec::new();
        self.0.recv_many(&mut batch, MAX_BATCH).await;
        batch
    }
}

impl Shown {
    /// Lets whoever made the change go on.
    pub fn tell(self) {
        if self.0.send(()).is_err() {
            debug!("whoever made a change was stopped before it was shown");
        }
    }
}
