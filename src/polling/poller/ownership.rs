//! Waiting while another exporter with the same store reads the account.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use super::{Poller, Progress};
use crate::polling::heartbeat::Heartbeat;
use crate::state::changes::{Changes, Stopped};
use crate::state::snapshot::{Change, Resumed};
use crate::storage::record::{self, StoredAccount};
use crate::storage::store::StoreError;
use crate::upstream::quota::application::Tenure;

/// How often an account that another exporter reads is tried again: far more often than accounts are
/// polled, and a few requests per minute for a volume on another machine.
const OWN_PAUSE: Duration = Duration::from_secs(3);

/// How long an attempt can take, if the file system hangs: a lock and a count of requests.
const OWN_TIMEOUT: Duration = Duration::from_secs(30);

impl Poller {
    /// Loads what was stored of the account. Fails while another exporter reads it.
    pub async fn load(&mut self) -> Result<StoredAccount, StoreError> {
        let tenure = self.access.application().own().await?;
        Ok(self.load_in(tenure).await)
    }

    async fn load_in(&mut self, tenure: Tenure) -> StoredAccount {
        let Some(store) = self.access.store() else {
            return StoredAccount::default();
        };
        let source = self.account.provider.source();
        let stored = record::load(store, &self.account.name, &source).await;
        self.progress = Progress { tenure, ..Progress::of(stored.clone()) };
        stored
    }

    /// Waits while another exporter reads the account. If one did since the account was loaded, loads it
    /// again, and returns when the next poll is due.
    pub(super) async fn own(
        &mut self,
        changes: &Changes,
        heartbeat: &Heartbeat,
    ) -> Result<Option<Duration>, Stopped> {
        let (account, generation) = (self.account.name.clone(), self.generation);
        let mut told = None;
        let tenure = loop {
            let error = match self.access.application().own().await {
                Ok(tenure) => break tenure,
                Err(error) => error,
            };
            let why = error.to_string();
            if told.as_ref() != Some(&why) {
                warn!(%error, "waiting for another exporter");
                let account = account.clone();
                let change = Change::Waiting { account, generation, why: why.clone() };
                changes.make(change).await?;
                told = Some(why);
            }
            let next = Instant::now() + OWN_PAUSE;
            heartbeat.expect_by(next + OWN_TIMEOUT);
            tokio::time::sleep_until(next).await;
        };
        let mut delay = None;
        let mut known = None;
        if tenure != self.progress.tenure {
            let stored = self.load_in(tenure).await;
            self.plan();
            let (last_known, due) = self.resume(&stored);
            (known, delay) = (last_known, Some(due));
        } else if told.is_none() {
            return Ok(None);
        }
        info!("no longer waiting for another exporter");
        let poll_interval = self.interval();
        let resumed = Resumed { account, generation, poll_interval, known };
        changes.make(Change::Resumed(Box::new(resumed))).await?;
        Ok(delay)
    }
}
