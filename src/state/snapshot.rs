//! The state of all accounts at one moment. Pure: no I/O, and time is passed in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::campaign::curve::Curves;
use crate::campaign::figures::Currency;
use crate::campaign::{Campaign, Channel, Totals};
use crate::config::Account;
use crate::upstream::PollError;

/// The number of a configuration. Distinguishes polls of the current configuration of an account
/// from polls that started under an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    /// Returns the generation of the next configuration.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The version of an account's state. No two states have the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revision(u64);

/// A change of the snapshot.
#[derive(Debug)]
pub enum Change {
    /// A poll of an account ended.
    Polled(Box<Update>),
    /// An account is not polled for now, since another exporter reads it.
    Waiting {
        /// The account's name.
        account: String,
        /// The configuration of the account that waits.
        generation: Generation,
        /// What it waits for.
        why: String,
    },
    /// An account waits no longer.
    Resumed(Box<Resumed>),
    /// These accounts replace all previous ones.
    Configured(Vec<ConfiguredAccount>),
}

/// An account in a new configuration.
#[derive(Debug)]
pub struct ConfiguredAccount {
    /// The configuration in which the account last changed.
    pub generation: Generation,
    /// The configuration of the account.
    pub account: Account,
    /// The current poll interval.
    pub poll_interval: Duration,
    /// What an earlier process knew. Ignored if the account exists already.
    pub restored: Option<LastKnown>,
}

/// How the polls of an account went. All fields are empty before the first poll.
#[derive(Clone, Debug, Default)]
pub struct PollStatus {
    /// Whether the last poll succeeded.
    pub up: bool,
    /// When the last poll ended.
    pub last_poll: Option<DateTime<Utc>>,
    /// When the last successful poll ended.
    pub last_success: Option<DateTime<Utc>>,
    /// How long the last poll took.
    pub poll_duration: Option<Duration>,
    /// When the access token in use expires.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Why the last poll failed.
    pub failure: Option<PollError>,
    /// Whether the last poll could be stored, if there is a store.
    pub stored: Option<Result<(), Unstored>>,
}

/// Why polls are not stored.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Unstored {
    /// The last error.
    pub error: String,
    /// The first poll that could not be stored.
    pub since: DateTime<Utc>,
}

/// What an earlier process knew about an account.
#[derive(Debug)]
pub struct LastKnown {
    /// How its polls went.
    pub polls: PollStatus,
    /// The age of the data, and the data.
    pub data: Option<(Duration, Data)>,
}

/// An account that other exporters read no longer.
#[derive(Debug)]
pub struct Resumed {
    /// The account's name.
    pub account: String,
    /// The configuration of the account.
    pub generation: Generation,
    /// The current poll interval.
    pub poll_interval: Duration,
    /// What others knew about it, if they read it meanwhile.
    pub known: Option<LastKnown>,
}

/// The outcome of a poll.
#[derive(Debug)]
pub struct Update {
    /// The account's name.
    pub account: String,
    /// The configuration with which the account was polled.
    pub generation: Generation,
    /// When the poll ended.
    pub at: DateTime<Utc>,
    /// When the poll ended, on the monotonic clock.
    pub ended: Instant,
    /// How long the poll took.
    pub took: Duration,
    /// The time from the start of this poll to the start of the next.
    pub poll_interval: Duration,
    /// When the access token in use expires.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Requests left of the daily budget, if there is one.
    pub requests_remaining: Option<u64>,
    /// Whether the poll could be stored, if there is a store.
    pub stored: Option<Result<(), String>>,
    /// What the poll found, or why it failed.
    pub result: Result<Data, PollError>,
}

impl Update {
    /// A poll that ends now, of an account in the first configuration.
    pub fn new(account: &Account, result: Result<Data, PollError>) -> Self {
        Self {
            account: account.name.clone(),
            generation: Generation::default(),
            at: Utc::now(),
            ended: Instant::now(),
            took: Duration::ZERO,
            poll_interval: account.polling.poll_interval,
            token_expiry: None,
            requests_remaining: None,
            stored: None,
            result,
        }
    }
}

/// What a successful poll found.
#[derive(Debug, Default)]
pub struct Data {
    /// The campaigns, newest first, unique by id.
    pub campaigns: Vec<Arc<Campaign>>,
    /// What their ratios were at some ages.
    pub curves: Arc<Curves>,
    /// Campaigns sent since then were read: by the last full poll, whose lookback may have been shorter.
    pub read_since: Option<DateTime<Utc>>,
    /// How many campaigns `max_campaigns` left out.
    pub dropped: usize,
    /// The remaining credits.
    pub credits: Option<f64>,
    /// The money left.
    pub balance: Option<(Currency, f64)>,
    /// The provider's own rates as ratios.
    pub reported_ratios: Vec<(Arc<str>, f64)>,
    /// The number of values of the poll that could not be read, by the provider's field.
    pub unreadable: BTreeMap<String, u64>,
}

/// An account and what is known about it.
#[derive(Debug)]
pub struct AccountState {
    /// The configuration of the account.
    pub account: Account,
    generation: Generation,
    /// Changes with anything else in the state.
    pub revision: Revision,
    /// How its polls went.
    pub polls: PollStatus,
    /// Why it is not polled for now, while another exporter reads it.
    pub waiting: Option<String>,
    /// The current poll interval.
    pub poll_interval: Duration,
    /// Requests left of the daily budget after the last poll, if there is a budget.
    pub requests_remaining: Option<u64>,
    data: Option<DatedData>,
    by_channel: BTreeMap<Channel, Totals>,
}

/// Data whose age is known.
#[derive(Debug)]
struct DatedData {
    data: Arc<Data>,
    /// The age of the data at `since`.
    age: Duration,
    since: Instant,
}

impl AccountState {
    fn new(generation: Generation, account: Account, poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            account,
            generation,
            revision: Revision::default(),
            polls: PollStatus::default(),
            waiting: None,
            requests_remaining: None,
            data: None,
            by_channel: BTreeMap::new(),
        }
    }

    fn restore(&mut self, known: LastKnown, now: Instant) {
        self.polls = known.polls;
        self.data = known.data.map(|(age, data)| DatedData { data: data.into(), age, since: now });
    }

    /// Returns what the last successful poll found, unless it is stale.
    pub fn data(&self) -> Option<&Arc<Data>> {
        self.data.as_ref().map(|dated| &dated.data)
    }

    /// Returns the campaigns, unless they are stale.
    pub fn campaigns(&self) -> &[Arc<Campaign>] {
        self.data().map_or(&[], |data| &data.campaigns)
    }

    /// Whether a campaign was older than `detail` when the account was last read.
    pub fn is_older(&self, campaign: &Campaign) -> bool {
        let exported = self.account.polling.exported;
        self.polls.last_success.is_some_and(|at| exported.is_older(campaign, at))
    }

    /// Returns how many campaigns were.
    pub fn older(&self, campaigns: &[Arc<Campaign>]) -> usize {
        campaigns.iter().filter(|campaign| self.is_older(campaign)).count()
    }

    /// Returns the configured additional labels of `campaign_info`.
    pub fn info_labels(&self) -> &[Arc<str>] {
        &self.account.polling.info_labels
    }

    /// Returns the totals of each channel: those that the account can have, and any other that
    /// appears in the data. Empty without data.
    pub const fn by_channel(&self) -> &BTreeMap<Channel, Totals> {
        &self.by_channel
    }

    /// Sets the revision and updates the totals after a change.
    fn changed(&mut self, revision: Revision) {
        let possible = self.data.as_ref().map(|_| self.account.provider.channels());
        let mut by_channel: BTreeMap<_, _> = possible
            .into_iter()
            .flatten()
            .map(|channel| (channel.clone(), Totals::default()))
            .collect();
        for campaign in self.campaigns() {
            match by_channel.get_mut(&campaign.channel) {
                Some(totals) => totals.add(campaign),
                None => by_channel.entry(campaign.channel.clone()).or_default().add(campaign),
            }
        }
        self.revision = revision;
        self.by_channel = by_channel;
    }

    /// Applies the outcome of a poll.
    fn update(&mut self, update: Update) {
        let since = match &self.polls.stored {
            Some(Err(unstored)) => unstored.since,
            _ => update.at,
        };
        let unstored = |error| Unstored { error, since };
        self.polls = PollStatus {
            up: update.result.is_ok(),
            last_poll: Some(update.at),
            poll_duration: Some(update.took),
            token_expiry: update.token_expiry,
            last_success: self.polls.last_success,
            failure: None,
            stored: update.stored.map(|stored| stored.map_err(unstored)),
        };
        self.poll_interval = update.poll_interval;
        self.requests_remaining = update.requests_remaining;
        match update.result {
            Ok(data) => {
                self.polls.last_success = Some(update.at);
                let (data, since) = (data.into(), update.ended);
                self.data = Some(DatedData { data, age: Duration::ZERO, since });
            }
            Err(error) => self.polls.failure = Some(error),
        }
    }

    fn expiry(&self) -> Option<Instant> {
        let DatedData { since, age, .. } = self.data.as_ref()?;
        let stale_after = self.account.polling.stale_after(self.poll_interval);
        since.checked_add(stale_after.saturating_sub(*age))
    }
}

/// The state of all accounts.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The last revision given to an account.
    revision: Revision,
    accounts: BTreeMap<String, AccountState>,
}

impl Snapshot {
    /// Returns a snapshot of accounts that were never polled.
    pub fn of(accounts: &[Account]) -> Self {
        let configured = accounts.iter().map(|account| ConfiguredAccount {
            generation: Generation::default(),
            account: account.clone(),
            poll_interval: account.polling.poll_interval,
            restored: None,
        });
        let mut snapshot = Self::default();
        snapshot.apply(Change::Configured(configured.collect()));
        snapshot
    }

    /// Returns the accounts, by name.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountState> {
        self.accounts.values()
    }

    /// Applies a change. Returns whether it had an effect.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Polled(update) => self.update(*update),
            Change::Waiting { account, generation, why } => {
                self.change(&account, generation, |state| {
                    state.polls.up = false;
                    state.waiting = Some(why);
                })
            }
            Change::Resumed(resumed) => {
                let Resumed { account, generation, poll_interval, known } = *resumed;
                self.change(&account, generation, |state| {
                    state.waiting = None;
                    state.poll_interval = poll_interval;
                    if let Some(known) = known {
                        state.restore(known, Instant::now());
                    }
                })
            }
            Change::Configured(accounts) => {
                self.configure(accounts);
                true
            }
        }
    }

    /// Replaces all accounts. Those that are still the same account at the provider keep their
    /// state.
    fn configure(&mut self, accounts: Vec<ConfiguredAccount>) {
        let revision = self.next_revision();
        let mut previous = std::mem::take(&mut self.accounts);
        for configured in accounts {
            let ConfiguredAccount { generation, account, poll_interval, restored } = configured;
            let name = account.name.clone();
            let mut state = match previous.remove(&name) {
                // unchanged: keeps its revision, so that it is not rendered again
                Some(state) if state.generation == generation && state.account == account => {
                    self.accounts.insert(name, state);
                    continue;
                }
                Some(state) if state.account.provider.same_account(&account.provider) => {
                    AccountState { account, generation, poll_interval, ..state }
                }
                _ => {
                    let mut state = AccountState::new(generation, account, poll_interval);
                    if let Some(known) = restored {
                        state.restore(known, Instant::now());
                    }
                    state
                }
            };
            state.changed(revision);
            self.accounts.insert(name, state);
        }
    }

    /// Changes an account, unless it has been reconfigured meanwhile.
    fn change(
        &mut self,
        account: &str,
        generation: Generation,
        change: impl FnOnce(&mut AccountState),
    ) -> bool {
        let revision = self.next_revision();
        let state = self.accounts.get_mut(account);
        let Some(state) = state.filter(|state| state.generation == generation) else {
            return false;
        };
        change(state);
        state.changed(revision);
        true
    }

    /// Applies the outcome of a poll, unless the account has been reconfigured since it started.
    fn update(&mut self, update: Update) -> bool {
        let (account, generation) = (update.account.clone(), update.generation);
        self.change(&account, generation, |state| state.update(update))
    }

    /// Removes the data that is stale at `now`. Returns whether there was any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let revision = self.next_revision();
        let mut expired = false;
        for state in self.accounts.values_mut() {
            if state.expiry().is_some_and(|expiry| expiry <= now) {
                state.data = None;
                state.changed(revision);
                expired = true;
            }
        }
        expired
    }

    /// Returns when data next becomes stale.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.accounts.values().filter_map(AccountState::expiry).min()
    }

    /// Whether every account has been polled, successfully or not. One that another exporter reads does not
    /// count: that exporter may be stopped only once this one is ready, as in a rollout.
    pub fn all_polled(&self) -> bool {
        let is_polled = |state: &AccountState| state.polls.last_poll.is_some();
        self.accounts.values().all(|state| is_polled(state) || state.waiting.is_some())
    }

    fn next_revision(&mut self) -> Revision {
        self.revision.0 += 1;
        self.revision
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Config;
    use crate::provider::made_up;
    use crate::upstream::Reason;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Configures the accounts of a configuration file, each with a generation from `generations`.
    pub(crate) fn configured(yaml: &str, generations: impl Iterator<Item = u64>) -> Change {
        let accounts = Config::parse(yaml, &made_up(), None).unwrap().accounts;
        let accounts = accounts.into_iter().zip(generations);
        let configured = accounts.map(|(account, generation)| ConfiguredAccount {
            generation: Generation(generation),
            poll_interval: account.polling.poll_interval,
            account,
            restored: None,
        });
        Change::Configured(configured.collect())
    }

    /// A poll of a minute that found these campaigns, or failed.
    pub(crate) fn update(account: &str, campaigns: Option<Vec<Arc<Campaign>>>) -> Update {
        Update {
            account: account.to_owned(),
            generation: Generation::default(),
            at: DateTime::UNIX_EPOCH,
            ended: Instant::now(),
            took: MINUTE,
            poll_interval: 5 * MINUTE,
            token_expiry: None,
            requests_remaining: None,
            stored: None,
            result: match campaigns {
                Some(campaigns) => Ok(Data { campaigns, ..Data::default() }),
                None => Err(PollError::new(Reason::Server, "down")),
            },
        }
    }

    fn polled(account: &str, generation: u64, ended: Instant, ids: Option<&[&str]>) -> Change {
        let campaign = |id: &&str| Campaign { id: (*id).to_owned(), ..Campaign::default() };
        let campaigns = ids.map(|ids| ids.iter().map(campaign).map(Arc::new).collect());
        Change::Polled(Box::new(Update {
            generation: Generation(generation),
            ended,
            ..update(account, campaigns)
        }))
    }

    fn state<'a>(snapshot: &'a Snapshot, account: &str) -> &'a AccountState {
        let mut states = snapshot.accounts();
        states.find(|state| state.account.name == account).unwrap()
    }

    fn ids(snapshot: &Snapshot, account: &str) -> Vec<String> {
        let campaigns = state(snapshot, account).campaigns().iter();
        campaigns.map(|campaign| campaign.id.clone()).collect()
    }

    fn snapshot() -> (Snapshot, Instant) {
        let mut snapshot = Snapshot::default();
        let two_accounts = "global: {stale_after: 10m}\naccounts:\n\
             - {name: a, provider: alpha, token_env: T}\n\
             - {name: b, provider: beta, base_url: 'https://x', app: x, token_env: T}\n";
        assert!(snapshot.apply(configured(two_accounts, 1..)));
        (snapshot, Instant::now())
    }

    #[test]
    fn failed_polls_count_as_polled() {
        let (mut snapshot, now) = snapshot();
        assert!(!snapshot.all_polled());
        snapshot.apply(polled("a", 1, now, Some(&["x"])));
        assert!(!snapshot.all_polled());
        snapshot.apply(polled("b", 2, now, None));
        assert!(snapshot.all_polled());
    }

    #[test]
    fn an_account_that_others_read_is_ready_and_resumes_where_they_stopped() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("b", 2, now, None));
        let why = || "locked".to_owned();
        let waiting = |generation| Change::Waiting {
            account: "a".to_owned(),
            generation: Generation(generation),
            why: why(),
        };
        assert!(!snapshot.apply(waiting(0)), "of an earlier configuration");
        assert!(!snapshot.all_polled());
        assert!(snapshot.apply(waiting(1)));
        assert_eq!(state(&snapshot, "a").waiting, Some(why()));
        assert!(snapshot.all_polled());
        let campaign = Arc::new(Campaign { id: "x".to_owned(), ..Campaign::default() });
        let data = Data { campaigns: vec![campaign], ..Data::default() };
        let resumed = |known| {
            Change::Resumed(Box::new(Resumed {
                account: "a".to_owned(),
                generation: Generation(1),
                poll_interval: MINUTE,
                known,
            }))
        };
        let polls = PollStatus { up: true, ..PollStatus::default() };
        let known = LastKnown { polls, data: Some((9 * MINUTE, data)) };
        assert!(snapshot.apply(resumed(Some(known))));
        assert_eq!(ids(&snapshot, "a"), ["x"]);
        let resumed_state = state(&snapshot, "a");
        assert!(resumed_state.polls.up && resumed_state.waiting.is_none());
        assert!(snapshot.expire(now + 2 * MINUTE), "it has the age that it had for the others");

        // nobody else has read it meanwhile
        snapshot.apply(polled("a", 1, now, Some(&["y"])));
        snapshot.apply(waiting(1));
        assert!(!state(&snapshot, "a").polls.up);
        snapshot.apply(resumed(None));
        assert_eq!(ids(&snapshot, "a"), ["y"]);
    }

    #[test]
    fn only_successful_polls_replace_data() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("a", 1, now, Some(&["x", "y"])));
        snapshot.apply(polled("a", 1, now, Some(&["y", "z"])));
        assert_eq!(ids(&snapshot, "a"), ["y", "z"]);
        snapshot.apply(polled("a", 1, now, None));
        assert_eq!(ids(&snapshot, "a"), ["y", "z"]);
        assert!(snapshot.accounts().all(|state| !state.polls.up));
    }

    #[test]
    fn stale_data_is_removed() {
        let (mut snapshot, now) = snapshot();
        assert_eq!(snapshot.next_expiry(), None);
        snapshot.apply(polled("a", 1, now, Some(&["x"])));
        snapshot.apply(polled("b", 2, now + MINUTE, Some(&["y"])));
        snapshot.apply(polled("a", 1, now + 5 * MINUTE, None));
        assert_eq!(snapshot.next_expiry(), Some(now + 10 * MINUTE));
        assert!(!snapshot.expire(now + 10 * MINUTE - Duration::from_millis(1)));
        assert!(snapshot.expire(now + 10 * MINUTE));
        assert_eq!(ids(&snapshot, "a"), [""; 0]);
        assert_eq!(ids(&snapshot, "b"), ["y"]);
        assert_eq!(snapshot.next_expiry(), Some(now + 11 * MINUTE));
        let a = state(&snapshot, "a");
        assert!(a.polls.last_success.is_some() && a.data().is_none());
    }

    #[test]
    fn polls_of_other_configurations_are_ignored() {
        let (mut snapshot, now) = snapshot();
        assert!(!snapshot.apply(polled("a", 7, now, Some(&["x"]))));
        assert!(!snapshot.apply(polled("c", 1, now, Some(&["x"]))));
        assert_eq!(ids(&snapshot, "a"), [""; 0]);
    }

    #[test]
    fn reconfigured_accounts_keep_data_if_they_are_the_same_at_the_provider() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("a", 1, now, Some(&["x"])));
        snapshot.apply(polled("b", 2, now, Some(&["y"])));
        let changed = "accounts:\n\
             - {name: a, provider: alpha, token_env: OTHER, poll_interval: 10m}\n\
             - {name: b, provider: beta, base_url: 'https://z', app: x, token_env: T}\n\
             - {name: c, provider: alpha, token_env: T}\n";
        snapshot.apply(configured(changed, 1..));
        assert_eq!(ids(&snapshot, "a"), ["x"]);
        assert_eq!(ids(&snapshot, "b"), [""; 0]);
        assert_eq!(ids(&snapshot, "c"), [""; 0]);
        let only_c = "accounts:\n- {name: c, provider: alpha, token_env: T}\n";
        snapshot.apply(configured(only_c, 1..));
        assert_eq!(snapshot.accounts().count(), 1);
    }

    #[test]
    fn possible_and_actual_channels_have_totals() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("b", 2, now, Some(&["x", "y"])));
        let channels = state(&snapshot, "b").by_channel().values();
        let campaigns: Vec<_> = channels.map(|totals| totals.campaigns).collect();
        assert_eq!(campaigns, [2, 0]);
    }
}
