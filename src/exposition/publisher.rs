//! The task that owns the snapshot: takes changes, renders, and publishes what scrapes are sent.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::exposition::format::Format;
use crate::exposition::rendering::{Exposition, Renderer};
use crate::state::changes::{Inbox, Pending};
use crate::state::snapshot::Snapshot;
use crate::state::status::{Status, Summary};

/// The campaign and account metrics as they are sent, and whether each account was polled.
#[derive(Debug)]
pub struct Published {
    text: Exposition,
    open_metrics: Exposition,
    /// What the status page says.
    pub status: Status,
    /// Whether each account was polled at least once; it stays so.
    pub ready: bool,
}

impl Published {
    /// The exposition in a format.
    pub const fn exposition(&self, format: Format) -> &Exposition {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

/// What is published before there is anything.
pub fn nothing() -> io::Result<watch::Sender<Arc<Published>>> {
    let nothing = publish(
        &mut Renderer::new()?,
        &mut Summary::default(),
        &Snapshot::default(),
        false,
    )?;
    Ok(watch::Sender::new(nothing))
}

/// Publishes each change until nobody is left to make any.
///
/// Large snapshots take a while to render, so this needs a thread of its own, beside the workers that
/// answer scrapes. Always the same one, too: allocators keep memory by thread.
pub async fn run(mut inbox: Inbox, published: watch::Sender<Arc<Published>>) -> io::Result<()> {
    let mut snapshot = Snapshot::default();
    let mut renderer = Renderer::new()?;
    let mut summary = Summary::default();
    loop {
        let expiry = snapshot.next_expiry();
        let mut different = false;
        let mut waiting = Vec::new();
        tokio::select! {
            pending = inbox.receive() => {
                if pending.is_empty() {
                    return Ok(());
                }
                for Pending { change, shown } in pending {
                    different |= snapshot.apply(change);
                    waiting.push(shown);
                }
            }
            () = wait_until(expiry) => {}
        }
        different |= snapshot.expire(Instant::now());
        if different {
            let ready = published.borrow().ready || snapshot.all_polled();
            let new = publish(&mut renderer, &mut summary, &snapshot, ready)?;
            published.send_replace(new);
        }
        for shown in waiting {
            shown.tell();
        }
    }
}

fn publish(
    renderer: &mut Renderer,
    summary: &mut Summary,
    snapshot: &Snapshot,
    ready: bool,
) -> io::Result<Arc<Published>> {
    let (text, open_metrics) = renderer.render(snapshot)?;
    Ok(Arc::new(Published {
        text,
        open_metrics,
        status: summary.of(snapshot),
        ready,
    }))
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
