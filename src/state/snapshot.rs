//! The state of all accounts at one moment. Pure: time is passed in, nothing waits here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::campaign::{Campaign, Channel, Totals};
use crate::config::Account;
use crate::upstream::PollError;

/// The number of a configuration; tells the polls of an account as it is configured now from those
/// of how it was before.
pub type Generation = u64;

/// Tells the state of an account from every other that any account was in before.
pub type Revision = u64;

/// What changes a snapshot.
#[derive(Debug)]
pub enum Change {
    /// An account was polled, well or badly.
    Polled(Box<Update>),
    /// These accounts are the ones now.
    Configured(Vec<Configured>),
}

/// An account as it is configured now.
#[derive(Debug)]
pub struct Configured {
    /// The number of the configuration that it last changed in.
    pub generation: Generation,
    /// Its configuration.
    pub account: Account,
    /// How often it is polled at present.
    pub poll_interval: Duration,
    /// What is known about it from before the start, unless it is there already.
    pub restored: Option<Known>,
}

/// What is known about an account from its last polls.
#[derive(Debug)]
pub struct Known {
    /// Whether the last poll succeeded.
    pub up: bool,
    /// When it ended.
    pub last_poll: Option<DateTime<Utc>>,
    /// When the last good one ended.
    pub last_success: Option<DateTime<Utc>>,
    /// How long the last one took.
    pub poll_duration: Option<Duration>,
    /// When the access token in use runs out.
    pub token_expiry: Option<DateTime<Utc>>,
    /// How old the data is, and the data.
    pub data: Option<(Duration, Data)>,
}

/// What a poll leaves in the snapshot.
#[derive(Debug)]
pub struct Update {
    /// The account's name.
    pub account: String,
    /// Which configuration of the account was polled.
    pub generation: Generation,
    /// When the poll ended.
    pub at: DateTime<Utc>,
    /// The same on the clock that never jumps.
    pub ended: Instant,
    /// How long it took.
    pub took: Duration,
    /// When the next one is to begin, counted from the beginning of this one.
    pub poll_interval: Duration,
    /// When the access token in use runs out.
    pub token_expiry: Option<DateTime<Utc>>,
    /// The day's requests that were left then, where there is a limit.
    pub requests_remaining: Option<u64>,
    /// What it found; nothing if it failed.
    pub data: Option<Data>,
    /// Why it failed.
    pub failure: Option<PollError>,
}

/// What one good poll found.
#[derive(Debug, Default)]
pub struct Data {
    /// The campaigns, newest first, unique by id.
    pub campaigns: Vec<Arc<Campaign>>,
    /// How many campaigns `max_campaigns` left out.
    pub dropped: usize,
    /// The credits left.
    pub credits: Option<f64>,
    /// The provider's own rates as ratios.
    pub reported_ratios: Vec<(Arc<str>, f64)>,
}

/// An account and what is known about it.
#[derive(Debug)]
pub struct AccountState {
    /// Its configuration.
    pub account: Account,
    generation: Generation,
    /// Another one whenever anything is different.
    pub revision: Revision,
    /// Whether the last poll succeeded.
    pub up: bool,
    /// When the last poll ended.
    pub last_poll: Option<DateTime<Utc>>,
    /// When the last good poll ended.
    pub last_success: Option<DateTime<Utc>>,
    /// How long the last poll took.
    pub poll_duration: Option<Duration>,
    /// How often it is polled at present.
    pub poll_interval: Duration,
    /// When the access token in use runs out.
    pub token_expiry: Option<DateTime<Utc>>,
    /// The day's requests that were left after the last poll, where there is a limit.
    pub requests_remaining: Option<u64>,
    /// Why the last poll failed.
    pub failure: Option<PollError>,
    /// What the last good poll found, while it is not stale.
    data: Option<Aged>,
    by_channel: BTreeMap<Channel, Totals>,
}

/// Data, and how old it is.
#[derive(Debug)]
struct Aged {
    since: Instant,
    /// How old it was then.
    age: Duration,
    data: Data,
}

impl AccountState {
    fn new(generation: Generation, account: Account, poll_interval: Duration) -> Self {
        Self {
            poll_interval,
            account,
            generation,
            revision: 0,
            up: false,
            last_poll: None,
            last_success: None,
            poll_duration: None,
            token_expiry: None,
            requests_remaining: None,
            failure: None,
            data: None,
            by_channel: BTreeMap::new(),
        }
    }

    fn restore(&mut self, known: Known, now: Instant) {
        self.up = known.up;
        self.last_poll = known.last_poll;
        self.last_success = known.last_success;
        self.poll_duration = known.poll_duration;
        self.token_expiry = known.token_expiry;
        self.data = known.data.map(|(age, data)| Aged {
            since: now,
            age,
            data,
        });
    }

    /// What the last good poll found, while it is not stale.
    pub fn data(&self) -> Option<&Data> {
        self.data.as_ref().map(|aged| &aged.data)
    }

    /// The campaigns, while they are not stale.
    pub fn campaigns(&self) -> &[Arc<Campaign>] {
        self.data().map_or(&[], |data| &data.campaigns)
    }

    /// The labels that `campaign_info` carries beside the name.
    pub fn info_labels(&self) -> &[Arc<str>] {
        &self.account.polling.info_labels
    }

    /// The campaigns taken together by channel: the channels that the account can have, and any other
    /// there is.
    pub const fn by_channel(&self) -> &BTreeMap<Channel, Totals> {
        &self.by_channel
    }

    /// Takes note that something is different.
    fn changed(&mut self, revision: Revision) {
        self.revision = revision;
        let possible = self.account.provider.channels().iter();
        let mut by_channel = possible
            .map(|channel| (channel.clone(), Totals::default()))
            .collect::<BTreeMap<_, _>>();
        for campaign in self.campaigns() {
            match by_channel.get_mut(&campaign.channel) {
                Some(totals) => totals.add(campaign),
                None => by_channel
                    .entry(campaign.channel.clone())
                    .or_default()
                    .add(campaign),
            }
        }
        self.by_channel = by_channel;
    }

    fn expiry(&self) -> Option<Instant> {
        let Aged { since, age, .. } = self.data.as_ref()?;
        let stale_after = self.account.polling.stale_after(self.poll_interval);
        since.checked_add(stale_after.saturating_sub(*age))
    }
}

/// The state of all accounts.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// How many changes there were.
    revision: Revision,
    accounts: BTreeMap<String, AccountState>,
}

impl Snapshot {
    /// The accounts, by name.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountState> {
        self.accounts.values()
    }

    /// Makes a change. Returns whether anything is different now.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Polled(update) => self.update(*update),
            Change::Configured(accounts) => {
                self.configure(accounts);
                true
            }
        }
    }

    /// Puts a new set of accounts in force. One that is read at the same place as before keeps
    /// what is known about it.
    fn configure(&mut self, accounts: Vec<Configured>) {
        self.revision += 1;
        let mut before = std::mem::take(&mut self.accounts);
        for configured in accounts {
            let Configured {
                generation,
                account,
                poll_interval,
                restored,
            } = configured;
            let name = account.name.clone();
            let mut state = match before.remove(&name) {
                // goes on undisturbed
                Some(state) if state.generation == generation && state.account == account => {
                    self.accounts.insert(name, state);
                    continue;
                }
                Some(state) if state.account.provider.same_account(&account.provider) => {
                    AccountState {
                        account,
                        generation,
                        poll_interval,
                        ..state
                    }
                }
                _ => {
                    let mut state = AccountState::new(generation, account, poll_interval);
                    if let Some(known) = restored {
                        state.restore(known, Instant::now());
                    }
                    state
                }
            };
            state.changed(self.revision);
            self.accounts.insert(name, state);
        }
    }

    /// Takes what a poll found, unless its account has been configured anew since.
    fn update(&mut self, update: Update) -> bool {
        let Update {
            account,
            generation,
            at,
            ended,
            took,
            poll_interval,
            token_expiry,
            requests_remaining,
            data,
            failure,
        } = update;
        let state = self.accounts.get_mut(&account);
        let Some(state) = state.filter(|state| state.generation == generation) else {
            return false;
        };
        state.up = data.is_some();
        state.last_poll = Some(at);
        state.poll_duration = Some(took);
        state.poll_interval = poll_interval;
        state.token_expiry = token_expiry;
        state.requests_remaining = requests_remaining;
        state.failure = failure;
        if let Some(data) = data {
            state.last_success = Some(at);
            state.data = Some(Aged {
                since: ended,
                age: Duration::ZERO,
                data,
            });
        }
        self.revision += 1;
        state.changed(self.revision);
        true
    }

    /// Drops the data that is stale at `now`. Returns whether there was any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let mut expired = false;
        for state in self.accounts.values_mut() {
            if state.expiry().is_some_and(|expiry| expiry <= now) {
                state.data = None;
                self.revision += 1;
                state.changed(self.revision);
                expired = true;
            }
        }
        expired
    }

    /// When data next becomes stale.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.accounts
            .values()
            .filter_map(AccountState::expiry)
            .min()
    }

    /// Whether each account was polled, well or badly.
    pub fn all_polled(&self) -> bool {
        self.accounts
            .values()
            .all(|state| state.last_poll.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::provider::native;

    const MINUTE: Duration = Duration::from_mins(1);

    fn accounts(yaml: &str) -> Vec<(Generation, Account)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let config = Config::load(file.path(), &native(), None).unwrap();
        (1..).zip(config.accounts).collect()
    }

    fn configured(accounts: Vec<(Generation, Account)>) -> Change {
        let configured = accounts
            .into_iter()
            .map(|(generation, account)| Configured {
                generation,
                poll_interval: account.polling.poll_interval,
                account,
                restored: None,
            });
        Change::Configured(configured.collect())
    }

    fn two_accounts() -> Vec<(Generation, Account)> {
        accounts(
            "global: {stale_after: 10m}\naccounts:\n\
             - {name: a, provider: smsup, token_env: T}\n\
             - {name: b, provider: cinnox, base_url: 'https://x', app_id: x, token_env: T}\n",
        )
    }

    fn polled(
        account: &str,
        generation: Generation,
        ended: Instant,
        ids: Option<&[&str]>,
    ) -> Change {
        let campaign = |id: &&str| Campaign {
            id: (*id).to_owned(),
            ..Campaign::default()
        };
        Change::Polled(Box::new(Update {
            account: account.to_owned(),
            generation,
            at: DateTime::UNIX_EPOCH,
            ended,
            took: Duration::ZERO,
            poll_interval: 5 * MINUTE,
            token_expiry: None,
            requests_remaining: None,
            failure: None,
            data: ids.map(|ids| Data {
                campaigns: ids.iter().map(campaign).map(Arc::new).collect(),
                ..Data::default()
            }),
        }))
    }

    fn ids(snapshot: &Snapshot, account: &str) -> Vec<String> {
        let mut states = snapshot.accounts();
        let state = states.find(|state| state.account.name == account).unwrap();
        state
            .campaigns()
            .iter()
            .map(|campaign| campaign.id.clone())
            .collect()
    }

    fn snapshot() -> (Snapshot, Instant) {
        let mut snapshot = Snapshot::default();
        assert!(snapshot.apply(configured(two_accounts())));
        (snapshot, Instant::now())
    }

    #[test]
    fn it_is_ready_once_each_account_was_polled_well_or_badly() {
        let (mut snapshot, now) = snapshot();
        assert!(!snapshot.all_polled());
        snapshot.apply(polled("a", 1, now, Some(&["x"])));
        assert!(!snapshot.all_polled());
        snapshot.apply(polled("b", 2, now, None));
        assert!(snapshot.all_polled());
    }

    #[test]
    fn a_good_poll_replaces_everything_and_a_bad_one_nothing() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("a", 1, now, Some(&["x", "y"])));
        snapshot.apply(polled("a", 1, now, Some(&["y", "z"])));
        assert_eq!(ids(&snapshot, "a"), ["y", "z"]);
        snapshot.apply(polled("a", 1, now, None));
        assert_eq!(ids(&snapshot, "a"), ["y", "z"]);
        assert!(snapshot.accounts().all(|state| !state.up));
    }

    #[test]
    fn data_leaves_when_the_last_good_poll_is_too_long_ago() {
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
        let a = snapshot
            .accounts()
            .find(|state| state.account.name == "a")
            .unwrap();
        assert!(a.last_success.is_some() && a.data().is_none());
    }

    #[test]
    fn a_poll_of_an_account_that_has_changed_since_is_nobodys() {
        let (mut snapshot, now) = snapshot();
        assert!(!snapshot.apply(polled("a", 7, now, Some(&["x"]))));
        assert!(!snapshot.apply(polled("c", 1, now, Some(&["x"]))));
        assert_eq!(ids(&snapshot, "a"), [""; 0]);
    }

    #[test]
    fn a_new_configuration_keeps_the_data_of_what_is_read_at_the_same_place() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("a", 1, now, Some(&["x"])));
        snapshot.apply(polled("b", 2, now, Some(&["y"])));
        let changed = accounts(
            "accounts:\n- {name: a, provider: smsup, token_env: OTHER, poll_interval: 10m}\n\
             - {name: b, provider: cinnox, base_url: 'https://z', app_id: x, token_env: T}\n\
             - {name: c, provider: smsup, token_env: T}\n",
        );
        snapshot.apply(configured(changed));
        assert_eq!(ids(&snapshot, "a"), ["x"]);
        assert_eq!(ids(&snapshot, "b"), [""; 0]);
        assert_eq!(ids(&snapshot, "c"), [""; 0]);
        snapshot.apply(configured(accounts(
            "accounts:\n- {name: c, provider: smsup, token_env: T}\n",
        )));
        assert_eq!(snapshot.accounts().count(), 1);
    }

    #[test]
    fn channels_are_those_that_can_be_and_those_that_are() {
        let (mut snapshot, now) = snapshot();
        snapshot.apply(polled("b", 2, now, Some(&["x", "y"])));
        let b = snapshot
            .accounts()
            .find(|state| state.account.name == "b")
            .unwrap();
        let channels: Vec<_> = b
            .by_channel()
            .values()
            .map(|totals| totals.campaigns)
            .collect();
        assert_eq!(channels, [2, 0]);
    }
}
