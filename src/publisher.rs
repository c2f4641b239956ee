//! The task that owns the snapshot: takes changes, renders, and publishes what scrapes are sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::exposition::Format;
use crate::families;
use crate::gzip;
use crate::snapshot::{Change, Generation, Snapshot};

/// Changes that are rendered together when they come together.
const MAX_BATCH: usize = 64;

/// The campaign and account metrics as they are sent, and whether each account was polled.
#[derive(Debug)]
pub struct Published {
    text: Rendered,
    open_metrics: Rendered,
    /// The number of the configuration that it shows.
    pub configuration: Generation,
    /// Whether each account was polled at least once; it stays so.
    pub ready: bool,
}

/// One format, rendered and compressed once for all scrapes.
#[derive(Debug)]
pub struct Rendered {
    /// As it is.
    pub identity: Bytes,
    /// Compressed, to be continued.
    pub gzip: gzip::Prefix,
}

impl Published {
    /// Renders a snapshot in all forms.
    pub fn new(snapshot: &Snapshot, ready: bool) -> io::Result<Self> {
        let render = |format| {
            let identity = Bytes::from(families::render(snapshot, format));
            io::Result::Ok(Rendered {
                gzip: gzip::Prefix::new(&identity)?,
                identity,
            })
        };
        Ok(Self {
            text: render(Format::Text)?,
            open_metrics: render(Format::OpenMetrics)?,
            configuration: snapshot.configuration(),
            ready,
        })
    }

    /// The rendering in a format.
    pub const fn rendered(&self, format: Format) -> &Rendered {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

/// Publishes each change until all senders are gone.
pub async fn run(
    mut changes: mpsc::Receiver<Change>,
    published: watch::Sender<Arc<Published>>,
) -> io::Result<()> {
    let mut snapshot = Snapshot::default();
    let mut batch = Vec::new();
    loop {
        let expiry = snapshot.next_expiry();
        let mut different = false;
        tokio::select! {
            received = changes.recv_many(&mut batch, MAX_BATCH) => {
                if received == 0 {
                    return Ok(());
                }
                for change in batch.drain(..) {
                    different |= snapshot.apply(change);
                }
            }
            () = wait_until(expiry) => {}
        }
        different |= snapshot.expire(Instant::now());
        if different {
            let ready = published.borrow().ready || snapshot.all_polled();
            // off the workers that answer scrapes: large snapshots take a while
            let rendering = tokio::task::spawn_blocking(move || {
                let rendered = Published::new(&snapshot, ready);
                (snapshot, rendered)
            });
            let (returned, rendered) = rendering.await.map_err(io::Error::other)?;
            snapshot = returned;
            published.send_replace(Arc::new(rendered?));
        }
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
