//! Channel for snapshot changes. [`Changes::make`] returns once scrapes show the change.

use tokio::sync::{mpsc, oneshot};

use crate::state::snapshot::Change;

/// Changes that can wait in the channel before senders have to.
const CAPACITY: usize = 256;

/// Most changes that are received, and then published, together.
const MAX_BATCH: usize = 64;

/// Sends changes.
#[derive(Clone, Debug)]
pub struct Changes(mpsc::Sender<PendingChange>);

/// Receives changes.
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<PendingChange>);

/// A change whose sender waits.
#[derive(Debug)]
pub struct PendingChange {
    /// The change.
    pub change: Change,
    /// Where to signal that scrapes show the change.
    pub shown: oneshot::Sender<()>,
}

/// The receiver of changes has stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the receiver of changes has stopped")]
pub struct Stopped;

/// Returns both ends of a new channel.
pub fn changes() -> (Changes, Inbox) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Changes(sender), Inbox(receiver))
}

impl Changes {
    /// Sends a change and waits until scrapes show it.
    pub async fn make(&self, change: Change) -> Result<(), Stopped> {
        let (shown, is_shown) = oneshot::channel();
        let pending = PendingChange { change, shown };
        self.0.send(pending).await.map_err(|_| Stopped)?;
        is_shown.await.map_err(|_| Stopped)
    }
}

impl Inbox {
    /// Waits for changes. Returns none once all senders are gone.
    pub async fn receive(&mut self) -> Vec<PendingChange> {
        let mut batch = Vec::new();
        self.0.recv_many(&mut batch, MAX_BATCH).await;
        batch
    }
}
