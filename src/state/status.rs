//! What there is to say about the accounts to a person: the content of the status page.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::campaign::{Campaign, Ratio};
use crate::state::snapshot::{AccountState, Revision, Snapshot};

/// How many of the worst campaigns are named, of an account and of all.
const WORST: usize = 10;

/// Messages from which on a campaign's ratio says anything; the number from which on the alerts warn.
pub const MIN_VOLUME: u64 = 200;

/// How long ago a campaign was sent for its ratio to say anything: until then receipts come in, over
/// WhatsApp for the longest time. The alerts wait as long.
pub const MATURITY: Duration = Duration::from_hours(6);

/// How an account is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was not polled yet.
    Waiting,
    /// The last poll succeeded.
    Good,
    /// The last poll failed; the campaigns of the last good one are shown.
    Failing,
    /// There are no campaigns, or none that are not too old.
    Down,
}

/// One account.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// Its provider.
    pub provider: Arc<str>,
    /// How it is doing.
    pub state: State,
    /// When the last good poll ended.
    pub last_success: Option<DateTime<Utc>>,
    /// When the last poll ended.
    pub last_poll: Option<DateTime<Utc>>,
    /// When the next one is due.
    pub next_poll: Option<DateTime<Utc>>,
    /// How many campaigns are shown.
    pub campaigns: usize,
    /// How many `max_campaigns` left out.
    pub campaigns_dropped: usize,
    /// The day's requests that were left after the last poll, where there is a limit.
    pub requests_remaining: Option<u64>,
    /// When the access token in use runs out.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Why the last poll failed.
    pub error: Option<Failure>,
    /// Whether it failed before this start, and nobody remembers why.
    #[serde(skip)]
    pub failed_before: bool,
    /// Its worst campaigns, the worst first.
    #[serde(skip)]
    worst: Vec<WorstCampaign>,
}

/// Why a poll failed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Failure {
    /// The value of the `reason` label.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
    /// What a person can do about it.
    pub advice: &'static str,
}

/// A campaign with a low delivery ratio.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WorstCampaign {
    /// The account's name.
    pub account: String,
    /// Its id.
    pub campaign_id: String,
    /// Its name.
    pub campaign_name: String,
    /// What it was sent over.
    pub channel: String,
    /// How many messages the provider tried to send.
    pub attempted: u64,
    /// How many were delivered.
    pub deliveries: u64,
    /// The one over the other.
    pub delivery_ratio: f64,
    /// When it was last sent.
    pub last_sent: Option<DateTime<Utc>>,
}

/// All accounts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Status(Vec<Arc<AccountStatus>>);

/// Keeps what stays the same from one snapshot to the next.
#[derive(Debug, Default)]
pub struct Summary(BTreeMap<String, (Revision, Arc<AccountStatus>)>);

impl Summary {
    /// The status of a snapshot's accounts. Costs what changed.
    pub fn of(&mut self, snapshot: &Snapshot) -> Status {
        let mut before = std::mem::take(&mut self.0);
        for state in snapshot.accounts() {
            let name = &state.account.name;
            let known = before.remove(name);
            let status = match known {
                Some((revision, status)) if revision == state.revision => status,
                _ => Arc::new(AccountStatus::of(state)),
            };
            self.0.insert(name.clone(), (state.revision, status));
        }
        let accounts = self.0.values();
        Status(accounts.map(|(_, status)| Arc::clone(status)).collect())
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("accounts", &self.accounts().collect::<Vec<_>>())?;
        map.serialize_entry("worst_campaigns", &self.worst())?;
        map.end()
    }
}

impl Status {
    /// The accounts, by name.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &AccountStatus> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The campaigns with the lowest delivery ratios, the lowest first, of those with at least
    /// [`MIN_VOLUME`] messages.
    pub fn worst(&self) -> Vec<&WorstCampaign> {
        let mut worst: Vec<_> = self.0.iter().flat_map(|account| &account.worst).collect();
        worst.sort_by(|one, other| one.order(other));
        worst.truncate(WORST);
        worst
    }
}

impl AccountStatus {
    fn of(state: &AccountState) -> Self {
        let data = state.data();
        let account = &state.account.name;
        let next_poll = state.last_poll.map(|ended| {
            // polls are so far apart from beginning to beginning
            let wait = state
                .poll_interval
                .saturating_sub(state.poll_duration.unwrap_or_default());
            let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
            ended.checked_add_signed(wait).unwrap_or(ended)
        });
        Self {
            account: account.clone(),
            provider: Arc::clone(state.account.provider.name()),
            state: match (state.last_poll, state.up, data) {
                (None, _, None) => State::Waiting,
                (None, _, Some(_)) | (_, true, Some(_)) => State::Good,
                (_, false, Some(_)) => State::Failing,
                // a poll that takes too long leaves none behind a good one either
                (_, _, None) => State::Down,
            },
            last_success: state.last_success,
            last_poll: state.last_poll,
            next_poll,
            campaigns: state.campaigns().len(),
            campaigns_dropped: data.map_or(0, |data| data.dropped),
            requests_remaining: state.requests_remaining,
            token_expiry: state.token_expiry,
            error: state.failure.as_ref().map(|failure| Failure {
                reason: failure.reason.as_str(),
                message: failure.message.clone(),
                advice: failure.reason.advice(),
            }),
            failed_before: state.last_poll.is_some() && !state.up && state.failure.is_none(),
            worst: worst(account, state.campaigns(), state.last_success),
        }
    }
}

impl WorstCampaign {
    /// The lowest ratio first, and of the same ones the larger campaign.
    fn order(&self, other: &Self) -> Ordering {
        let (one, other) = (
            (self.delivery_ratio, self.attempted),
            (other.delivery_ratio, other.attempted),
        );
        order(one, other)
    }
}

fn order((one, of_one): (f64, u64), (other, of_other): (f64, u64)) -> Ordering {
    one.total_cmp(&other).then(of_other.cmp(&of_one))
}

fn worst(
    account: &str,
    campaigns: &[Arc<Campaign>],
    read: Option<DateTime<Utc>>,
) -> Vec<WorstCampaign> {
    let mature = read.and_then(|read| read.checked_sub_signed(TimeDelta::from_std(MATURITY).ok()?));
    let large = campaigns.iter().filter_map(|campaign| {
        if campaign
            .last_sent
            .zip(mature)
            .is_some_and(|(sent, mature)| sent > mature)
        {
            return None;
        }
        let (deliveries, attempted) = Ratio::Delivery.parts(campaign)?;
        let ratio = deliveries as f64 / attempted as f64;
        (attempted >= MIN_VOLUME).then_some((ratio, attempted, deliveries, campaign))
    });
    let mut large: Vec<_> = large.collect();
    // one pass over all of them, and only the few are put in order
    if large.len() > WORST {
        large.select_nth_unstable_by(WORST, |one, other| {
            order((one.0, one.1), (other.0, other.1))
        });
        large.truncate(WORST);
    }
    let worst = large.into_iter();
    let worst = worst.map(
        |(delivery_ratio, attempted, deliveries, campaign)| WorstCampaign {
            account: account.to_owned(),
            campaign_id: campaign.id.clone(),
            campaign_name: campaign.name.to_string(),
            channel: campaign.channel.as_str().to_owned(),
            attempted,
            deliveries,
            delivery_ratio,
            last_sent: campaign.last_sent,
        },
    );
    let mut worst: Vec<_> = worst.collect();
    worst.sort_by(WorstCampaign::order);
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::counts::{Count, Counts};
    use crate::config::Config;
    use crate::provider::native;
    use crate::state::snapshot::{Change, ConfiguredAccount, Data, Generation, Update};
    use crate::upstream::{PollError, Reason};
    use std::time::Duration;
    use tokio::time::Instant;

    const MINUTE: Duration = Duration::from_mins(1);

    /// An account after polls that went well or badly, at once or when its data is too old.
    fn after(polls: &[bool], is_late: bool) -> AccountStatus {
        let file = tempfile::NamedTempFile::new().unwrap();
        let yaml = "global: {stale_after: 10m}\n\
                    accounts: [{name: a, provider: smsup, token_env: T}]\n";
        std::fs::write(file.path(), yaml).unwrap();
        let mut accounts = Config::load(file.path(), &native(), None).unwrap().accounts;
        let now = Instant::now();
        let mut snapshot = Snapshot::default();
        snapshot.apply(Change::Configured(vec![ConfiguredAccount {
            generation: Generation::default(),
            account: accounts.remove(0),
            poll_interval: 5 * MINUTE,
            restored: None,
        }]));
        for succeeds in polls {
            snapshot.apply(Change::Polled(Box::new(Update {
                account: "a".to_owned(),
                generation: Generation::default(),
                at: DateTime::UNIX_EPOCH,
                ended: now,
                took: MINUTE,
                poll_interval: 5 * MINUTE,
                token_expiry: None,
                requests_remaining: Some(7),
                result: if *succeeds {
                    Ok(Data::default())
                } else {
                    Err(PollError::new(Reason::Forbidden, "no"))
                },
            })));
        }
        if is_late {
            snapshot.expire(now + 10 * MINUTE);
        }
        let status = Summary::default().of(&snapshot);
        status.accounts().next().unwrap().clone()
    }

    #[test]
    fn the_state_tells_whether_to_worry() {
        for (polls, is_late, expected) in [
            (&[] as &[bool], false, State::Waiting),
            (&[true], false, State::Good),
            (&[false], false, State::Down),
            (&[true, false], false, State::Failing),
            (&[true, false, true], false, State::Good),
            (&[true, false], true, State::Down),
            // a poll that hangs
            (&[true], true, State::Down),
        ] {
            let status = after(polls, is_late);
            assert_eq!(status.state, expected, "{polls:?}, late: {is_late}");
            let failed = polls.last() == Some(&false);
            assert_eq!(status.error.is_some(), failed, "{polls:?}");
            assert_eq!(status.last_success.is_some(), polls.contains(&true));
        }
    }

    #[test]
    fn the_next_poll_is_an_interval_after_the_beginning_of_the_last() {
        assert_eq!(after(&[], false).next_poll, None);
        let due = DateTime::UNIX_EPOCH + TimeDelta::minutes(4);
        assert_eq!(after(&[false], false).next_poll, Some(due));
    }

    fn campaign(id: u64, sends: u64, deliveries: u64) -> Arc<Campaign> {
        let campaign = Campaign {
            id: id.to_string(),
            counts: Counts::from([
                (Count::Sends, Some(sends)),
                (Count::Deliveries, Some(deliveries)),
            ]),
            ..Campaign::default()
        };
        assert_eq!(campaign.attempted(), Some(sends));
        Arc::new(campaign)
    }

    #[test]
    fn the_worst_are_large_enough_and_in_order() {
        let mut campaigns: Vec<_> = (0..40)
            .map(|id| campaign(id, 1_000, 500 + id * 7 % 41))
            .collect();
        campaigns.push(campaign(100, MIN_VOLUME - 1, 0));
        campaigns.push(campaign(101, MIN_VOLUME, 0));
        campaigns.push(campaign(102, 2 * MIN_VOLUME, 0));
        let now = Utc::now();
        let sent = |id, hours| {
            let sent = Campaign {
                last_sent: Some(now - TimeDelta::hours(hours)),
                ..(*campaign(id, 3 * MIN_VOLUME, 0)).clone()
            };
            Arc::new(sent)
        };
        campaigns.push(sent(103, 5));
        campaigns.push(sent(104, 7));
        let worst = worst("a", &campaigns, Some(now));
        let ids: Vec<_> = worst
            .iter()
            .map(|worst| worst.campaign_id.as_str())
            .collect();
        // of the same ratio the larger first; then 500, 501, … delivered
        assert_eq!(
            ids,
            ["104", "102", "101", "0", "6", "12", "18", "24", "30", "36"]
        );
        assert!(super::worst("a", &[], None).is_empty());
    }

    /// Below it the alerts say nothing either.
    #[test]
    fn the_volume_is_that_of_the_alerts() {
        let thresholds = include_str!("../../alerts/thresholds.yml");
        let (before, _) = thresholds.split_once("attempted_min_warning").unwrap();
        let rule = before.rsplit_once("expr: ").unwrap().1;
        assert!(rule.starts_with(&format!("{MIN_VOLUME} ")), "{rule}");
        let (before, _) = thresholds.split_once("whatsapp_maturity_seconds").unwrap();
        let rule = before.rsplit_once("expr: ").unwrap().1;
        assert!(
            rule.starts_with(&format!("{} ", MATURITY.as_secs())),
            "{rule}"
        );
    }

    #[test]
    fn the_documentation_gives_the_same_advice() {
        let document = include_str!("../../docs/troubleshooting.md");
        for reason in Reason::ALL {
            let row = format!("| `{}` | ", reason.as_str());
            let mut rows = document.lines().filter(|line| line.starts_with(&row));
            let advice = format!(" | {} |", reason.advice());
            assert!(rows.any(|row| row.ends_with(&advice)), "{row}{advice}");
        }
    }
}
