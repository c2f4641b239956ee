//! The task that owns the snapshot. It applies changes, renders, and publishes the result.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::debug;

use crate::exposition::format::Format;
use crate::exposition::rendering::{Exposition, Renderer};
use crate::state::campaigns::{AccountCampaigns, campaigns};
use crate::state::changes::{Inbox, PendingChange};
use crate::state::snapshot::Snapshot;
use crate::state::status::{AccountStatuses, StatusCache};

/// The campaign and account metrics in both formats, and the status of the accounts.
#[derive(Debug)]
pub struct Published {
    text: Exposition,
    open_metrics: Exposition,
    /// The campaigns that pages list.
    pub campaigns: Arc<[AccountCampaigns]>,
    /// The content of the status page.
    pub status: AccountStatuses,
    /// Whether every account has been polled at least once. Never becomes false again.
    pub ready: bool,
}

impl Published {
    /// Returns the exposition in a format.
    pub const fn exposition(&self, format: Format) -> &Exposition {
        match format {
            Format::Text => &self.text,
            Format::OpenMetrics => &self.open_metrics,
        }
    }
}

/// Returns a channel whose first value has no accounts.
pub fn empty() -> io::Result<watch::Sender<Arc<Published>>> {
    let empty =
        publish(&mut Renderer::new()?, &mut StatusCache::default(), &Snapshot::default(), false)?;
    Ok(watch::Sender::new(empty))
}

/// Publishes changes until all senders are gone.
///
/// Needs a thread of its own: rendering a large snapshot would delay the workers that answer
/// scrapes. It has to be the same thread each time, since allocators keep memory by thread.
pub async fn run(mut inbox: Inbox, published: watch::Sender<Arc<Published>>) -> io::Result<()> {
    let mut snapshot = Snapshot::default();
    let mut renderer = Renderer::new()?;
    let mut cache = StatusCache::default();
    loop {
        let expiry = snapshot.next_expiry();
        let mut changed = false;
        let mut waiting = Vec::new();
        tokio::select! {
            pending = inbox.receive() => {
                if pending.is_empty() {
                    return Ok(());
                }
                for PendingChange { change, shown } in pending {
                    changed |= snapshot.apply(change);
                    waiting.push(shown);
                }
            }
            () = wait_until(expiry) => {}
        }
        changed |= snapshot.expire(Instant::now());
        if changed {
            let ready = published.borrow().ready || snapshot.all_polled();
            let new = publish(&mut renderer, &mut cache, &snapshot, ready)?;
            published.send_replace(new);
        }
        for shown in waiting {
            if shown.send(()).is_err() {
                debug!("the sender of a change was stopped before scrapes showed it");
            }
        }
    }
}

fn publish(
    renderer: &mut Renderer,
    cache: &mut StatusCache,
    snapshot: &Snapshot,
    ready: bool,
) -> io::Result<Arc<Published>> {
    let (text, open_metrics) = renderer.render(snapshot)?;
    let (campaigns, status) = (campaigns(snapshot), cache.status(snapshot));
    Ok(Arc::new(Published { text, open_metrics, campaigns, status, ready }))
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::changes::changes;
    use crate::state::snapshot::tests::configured;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_made_once_scrapes_show_it() {
        let published = empty().unwrap();
        let shown = published.subscribe();
        let (changes, inbox) = changes();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run(inbox, published));
        let yaml = "accounts:\n- {name: a, provider: alpha, token_env: T}\n";
        changes.make(configured(yaml, 0..)).await.unwrap();
        let published = Arc::clone(&shown.borrow());
        for format in Format::ALL {
            assert_eq!(published.exposition(format).accounts().count(), 1);
        }
        drop(changes);
        tasks.join_next().await.unwrap().unwrap().unwrap();
    }
}
