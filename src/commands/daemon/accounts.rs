//! The running accounts, and how a configuration replaces them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info};

use super::{Ended, Options, PollLoops, log_warnings};
use crate::config::{Account, Config, ConfigError};
use crate::polling::heartbeat::{Heartbeat, Pulse, heartbeat};
use crate::polling::poller::restore::{configure, connect};
use crate::polling::poller::{Poller, Progress};
use crate::redaction;
use crate::state::changes::Changes;
use crate::state::snapshot::{Change, ConfiguredAccount, Generation, LastKnown};
use crate::storage::record::StoredAccount;
use crate::storage::store::{self, Store, StoreError};
use crate::telemetry::{AccountTelemetry, Telemetry};
use crate::upstream::applications::Applications;
use crate::upstream::auth::renewals::Renewals;
use crate::upstream::auth::tokens::Access;
use crate::upstream::client::Client;

/// The accounts of the active configuration, and what they share.
pub(super) struct RunningAccounts {
    client: Client,
    telemetry: Telemetry,
    changes: Changes,
    poll_loops: PollLoops,
    /// The active configuration, as `/config` shows it.
    pub(super) shown_config: watch::Sender<String>,
    pub(super) pulses: watch::Sender<BTreeMap<String, Pulse>>,
    applications: Applications,
    store: Option<Arc<Store>>,
    stop: CancellationToken,
    generation: Generation,
    by_name: HashMap<String, RunningAccount>,
}

struct RunningAccount {
    account: Account,
    generation: Generation,
    telemetry: AccountTelemetry,
    access: Access,
    pulse: Pulse,
    stop: CancellationToken,
}

/// A poll loop that is ready to start.
struct PollLoop {
    poller: Poller,
    /// Whether the account did not exist before. A changed account is polled immediately.
    is_new: bool,
    stored: Option<StoredAccount>,
    delay: Duration,
    heartbeat: Heartbeat,
    stop: CancellationToken,
}

impl RunningAccounts {
    /// No accounts yet. Opens the store.
    pub(super) async fn new(
        options: &Options,
        client: Client,
        telemetry: Telemetry,
        changes: Changes,
        poll_loops: PollLoops,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let store = match &options.storage {
            Some(path) => {
                let directory = path.clone();
                // shards can have a directory in common
                let open = options.shard.map_or(Store::open as fn(&_) -> _, |_| Store::open_part);
                let open = store::in_time(path.clone(), move || open(&directory));
                Some(Arc::new(open.await?))
            }
            None => None,
        };
        Ok(Self {
            client,
            telemetry,
            changes,
            poll_loops,
            shown_config: watch::Sender::default(),
            pulses: watch::Sender::default(),
            applications: Applications::new(store.clone(), Renewals::new(options.flags())),
            store,
            stop,
            generation: Generation::default(),
            by_name: HashMap::new(),
        })
    }

    /// Loads and applies the configuration. If it is not valid, the active one stays.
    pub(super) async fn reload(
        &mut self,
        options: &Options,
        tasks: &mut JoinSet<Ended>,
    ) -> anyhow::Result<Result<(), ConfigError>> {
        let storage = options.storage.as_deref();
        let mut loaded = Config::load(&options.config_file, &options.kinds, storage).await;
        if loaded.is_ok()
            && let Err(message) = self.client.reload().await
        {
            loaded = Err(ConfigError::new(&options.config_file, message));
        }
        match loaded {
            Ok(config) => {
                let config = config.of_shard(options.shard);
                log_warnings(&config);
                self.apply(config, tasks).await?;
                self.telemetry.reload_succeeded();
                info!(accounts = self.by_name.len(), "configuration reloaded");
                Ok(Ok(()))
            }
            Err(problems) => {
                let text = problems.to_string();
                self.telemetry.reload_failed(&redaction::redact(&text));
                for problem in text.lines() {
                    error!(problem, "configuration not reloaded; keeping the previous one");
                }
                Ok(Err(problems))
            }
        }
    }

    /// Replaces all accounts. Unchanged ones keep running.
    pub(super) async fn apply(
        &mut self,
        config: Config,
        tasks: &mut JoinSet<Ended>,
    ) -> anyhow::Result<()> {
        self.generation = self.generation.next();
        configure(&mut self.applications, &config.accounts).await;
        let config_yaml = config.to_yaml();
        let names: Vec<_> = config.accounts.iter().map(|it| it.name.clone()).collect();
        let mut poll_loops = self.replace(config.accounts)?;
        join_all(poll_loops.values_mut().map(PollLoop::load_progress)).await;
        for poll_loop in poll_loops.values() {
            poll_loop.poller.plan();
        }
        self.show(&names, &mut poll_loops).await?;
        self.shown_config.send_replace(config_yaml);
        // started only now, so that no poll ends before the snapshot has its account
        for poll_loop in poll_loops.into_values() {
            let PollLoop { poller, delay, heartbeat, stop, .. } = poll_loop;
            let poll_loop = poller.run(delay, self.changes.clone(), heartbeat, stop);
            tasks.spawn(self.poll_loops.run(poll_loop));
        }
        Ok(())
    }

    /// Replaces the accounts and stops the old ones. Returns the poll loops to start, by account.
    fn replace(&mut self, accounts: Vec<Account>) -> anyhow::Result<BTreeMap<String, PollLoop>> {
        let mut previous = std::mem::take(&mut self.by_name);
        let mut poll_loops = BTreeMap::new();
        for account in accounts {
            let name = account.name.clone();
            let running = match previous.remove(&name) {
                Some(running) if running.account == account => running,
                other => {
                    let (running, poll_loop) = self.prepare(account, other)?;
                    poll_loops.insert(name.clone(), poll_loop);
                    running
                }
            };
            self.by_name.insert(name, running);
        }
        for removed in previous.into_values() {
            removed.stop.cancel();
        }
        Ok(poll_loops)
    }

    /// Prepares a new or changed account. It keeps its counters and tokens as long as it is the
    /// same account at the provider.
    fn prepare(
        &self,
        account: Account,
        previous: Option<RunningAccount>,
    ) -> anyhow::Result<(RunningAccount, PollLoop)> {
        let is_new = previous.is_none();
        let same = previous.filter(|previous| {
            previous.stop.cancel();
            let provider = &previous.account.provider;
            provider.same_account(&account.provider)
        });
        let (telemetry, access) = match same {
            Some(same) => (same.telemetry, same.access),
            None => connect(
                &account,
                &self.applications,
                self.store.clone(),
                self.telemetry.has_request_durations(),
            )?,
        };
        let (heartbeat, pulse) = heartbeat();
        let stop = self.stop.child_token();
        let poll_loop = PollLoop {
            poller: Poller {
                account: account.clone(),
                generation: self.generation,
                client: self.client.clone(),
                telemetry: telemetry.clone(),
                access: access.clone(),
                progress: Progress::default(),
            },
            is_new,
            stored: None,
            delay: Duration::ZERO,
            heartbeat,
            stop: stop.clone(),
        };
        let running =
            RunningAccount { account, generation: self.generation, telemetry, access, pulse, stop };
        Ok((running, poll_loop))
    }

    /// Publishes the accounts in the order of the configuration.
    async fn show(
        &self,
        names: &[String],
        poll_loops: &mut BTreeMap<String, PollLoop>,
    ) -> anyhow::Result<()> {
        let running: Vec<_> = names.iter().filter_map(|it| self.by_name.get(it)).collect();
        let configured = running.iter().map(|running| {
            let poll_interval = running.account.polling.poll_interval;
            let poll_loop = poll_loops.get_mut(&running.account.name);
            ConfiguredAccount {
                generation: running.generation,
                account: running.account.clone(),
                // depends on the plans of all accounts that share a quota
                poll_interval: running.access.application().stretched(poll_interval),
                restored: poll_loop.and_then(PollLoop::resume),
            }
        });
        let shown = self.changes.make(Change::Configured(configured.collect()));
        shown.await.context("the publisher ended")?;
        let telemetries = running.iter().map(|running| running.telemetry.clone());
        self.telemetry.set_accounts(telemetries.collect());
        let pulses =
            running.iter().map(|running| (running.account.name.clone(), running.pulse.clone()));
        self.pulses.send_replace(pulses.collect());
        Ok(())
    }

    /// Drops the rest, so that the publisher and waiting reloads end.
    pub(super) fn into_applications(self) -> Applications {
        self.applications
    }
}

impl PollLoop {
    /// Loads what an earlier process, or the previous version of the account, has stored.
    async fn load_progress(&mut self) {
        let span = self.poller.account.span();
        match self.poller.load().instrument(span.clone()).await {
            Ok(stored) => self.stored = Some(stored).filter(|_| self.is_new),
            Err(error) => span.in_scope(|| debug!(%error, "loaded later")),
        }
    }

    /// Resumes where an earlier process stopped. Returns what it knew.
    fn resume(&mut self) -> Option<LastKnown> {
        let stored = self.stored.take()?;
        let (known, delay) = self.poller.account.span().in_scope(|| self.poller.resume(&stored));
        self.delay = delay;
        known
    }
}
