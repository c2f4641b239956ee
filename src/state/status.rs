//! The content of the status page: how each account is doing, and the worst campaigns.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::campaign::counts::Count;
use crate::campaign::{Campaign, Channel, Ratio, Status};
use crate::state::snapshot::{AccountState, Revision, Snapshot, Unstored};

/// How many of the worst campaigns are listed, per account and in all.
const WORST: usize = 10;

/// Fewest messages for which a delivery ratio is meaningful. The alerts use the same threshold.
pub const MIN_VOLUME: u64 = 200;

/// Age from which the ratios of WhatsApp and email campaigns are meaningful: receipts arrive until then.
/// The alerts wait as long.
pub const WHATSAPP_MATURITY: Duration = Duration::from_hours(6);

/// The same for campaigns on other channels.
pub const MATURITY: Duration = Duration::from_hours(2);

/// Age from which the ratios of campaigns on a channel are meaningful.
pub const fn maturity(channel: &Channel) -> Duration {
    match channel {
        Channel::Whatsapp | Channel::Email => WHATSAPP_MATURITY,
        _ => MATURITY,
    }
}

/// Age from which the alerts ignore a campaign.
const MAX_AGE: Duration = Duration::from_hours(24);

/// How an account is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not polled yet.
    Waiting,
    /// The last poll succeeded.
    Good,
    /// The last poll failed. The data of the last successful poll is still served.
    Failing,
    /// There is no data, or it has become stale.
    Down,
}

/// The status of an account.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AccountStatus {
    /// The name of the account.
    pub account: String,
    /// The name of its provider.
    pub provider: Arc<str>,
    /// How the account is doing.
    pub state: State,
    /// When the last successful poll ended.
    pub last_success: Option<DateTime<Utc>>,
    /// When the last poll ended.
    pub last_poll: Option<DateTime<Utc>>,
    /// When the next poll is due.
    pub next_poll: Option<DateTime<Utc>>,
    /// How many campaigns are served.
    pub campaigns: usize,
    /// How many `max_campaigns` left out.
    pub campaigns_dropped: usize,
    /// How many values of the last successful poll could not be read, by the provider's field.
    pub unreadable: BTreeMap<String, u64>,
    /// Requests left of the daily budget after the last poll, if there is a budget.
    pub requests_remaining: Option<u64>,
    /// When the access token in use expires.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Whether the last poll could be stored; `None` without `--storage.path`.
    pub stored: Option<bool>,
    /// Why polls cannot be stored.
    pub storage_error: Option<Unstored>,
    /// Why the last poll failed.
    pub error: Option<PollFailure>,
    /// Why the account is not polled for now, while another exporter reads it.
    pub waiting: Option<String>,
    /// The worst campaigns, the worst first.
    #[serde(skip)]
    worst: Vec<WorstCampaign>,
}

/// Why a poll failed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PollFailure {
    /// The value of the `reason` label.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// A campaign with a low delivery ratio.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WorstCampaign {
    /// The name of the account.
    pub account: String,
    /// The id of the campaign.
    pub campaign_id: String,
    /// The name of the campaign.
    pub campaign_name: String,
    /// The channel over which it was sent.
    pub channel: String,
    /// The denominator of the ratio, as in `campaign_attempted`.
    pub attempted: u64,
    /// How many messages were delivered.
    pub deliveries: u64,
    /// How many bounced.
    pub bounces: Option<u64>,
    /// How many are pending.
    pub pending: Option<u64>,
    /// The same as `campaign_delivery_ratio`.
    pub delivery_ratio: f64,
    /// When the campaign was last sent.
    pub last_sent: Option<DateTime<Utc>>,
}

/// The status of all accounts.
#[derive(Clone, Debug, Default)]
pub struct AccountStatuses(Vec<Arc<AccountStatus>>);

/// Reuses the status of accounts that did not change since the previous snapshot.
#[derive(Debug, Default)]
pub struct StatusCache(BTreeMap<String, (Revision, Arc<AccountStatus>)>);

impl StatusCache {
    /// Returns the status of a snapshot's accounts.
    pub fn status(&mut self, snapshot: &Snapshot) -> AccountStatuses {
        let mut previous = std::mem::take(&mut self.0);
        for state in snapshot.accounts() {
            let name = &state.account.name;
            let status = match previous.remove(name) {
                Some((revision, status)) if revision == state.revision => status,
                _ => Arc::new(AccountStatus::of(state)),
            };
            self.0.insert(name.clone(), (state.revision, status));
        }
        let accounts = self.0.values();
        AccountStatuses(accounts.map(|(_, status)| Arc::clone(status)).collect())
    }
}

impl AccountStatuses {
    /// Returns the accounts, by name.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &AccountStatus> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Returns the campaigns with the lowest delivery ratios, the lowest first.
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
        let polls = &state.polls;
        let next_poll = polls.last_poll.map(|ended| {
            // the interval is the time between the starts of polls
            let took = polls.poll_duration.unwrap_or_default();
            let wait = state.poll_interval.saturating_sub(took);
            let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
            ended.checked_add_signed(wait).unwrap_or(ended)
        });
        Self {
            account: account.clone(),
            provider: Arc::clone(state.account.provider.name()),
            state: match (polls.last_poll, polls.up, data) {
                (None, _, None) => State::Waiting,
                (None, _, Some(_)) | (_, true, Some(_)) => State::Good,
                (_, false, Some(_)) => State::Failing,
                // also after a successful poll, if its data has become stale
                (_, _, None) => State::Down,
            },
            last_success: polls.last_success,
            last_poll: polls.last_poll,
            next_poll,
            campaigns: state.campaigns().len(),
            campaigns_dropped: data.map_or(0, |data| data.dropped),
            unreadable: data.map(|data| data.unreadable.clone()).unwrap_or_default(),
            requests_remaining: state.requests_remaining,
            token_expiry: polls.token_expiry,
            stored: polls.stored.as_ref().map(Result::is_ok),
            storage_error: polls.stored.clone().and_then(Result::err),
            error: polls.failure.as_ref().map(|failure| PollFailure {
                reason: failure.reason.as_str(),
                message: failure.message.clone(),
                advice: state.account.advice(failure),
            }),
            waiting: state.waiting.clone(),
            worst: worst(account, state.campaigns(), polls.last_success),
        }
    }
}

impl WorstCampaign {
    /// Orders by ratio, the lowest first, then by size, the largest first.
    fn order(&self, other: &Self) -> Ordering {
        let (one, other) =
            ((self.delivery_ratio, self.attempted), (other.delivery_ratio, other.attempted));
        order(one, other)
    }
}

fn order((one, of_one): (f64, u64), (other, of_other): (f64, u64)) -> Ordering {
    one.total_cmp(&other).then(of_other.cmp(&of_one))
}

/// Returns the large campaigns of an account with the lowest delivery ratios, in order: those that the
/// alerts judge at the last successful poll.
fn worst(
    account: &str,
    campaigns: &[Arc<Campaign>],
    last_success: Option<DateTime<Utc>>,
) -> Vec<WorstCampaign> {
    let is_judged = |campaign: &Campaign| {
        let age = last_success.zip(campaign.last_sent);
        let age = age.and_then(|(read, sent)| (read - sent).to_std().ok());
        age.is_some_and(|age| (maturity(&campaign.channel)..MAX_AGE).contains(&age))
            && campaign.status != Some(Status::InProgress)
    };
    let mut large: Vec<_> = campaigns
        .iter()
        .filter(|campaign| is_judged(campaign))
        .filter_map(|campaign| {
            let (deliveries, attempted) = Ratio::Delivery.parts(campaign)?;
            let pending = campaign.counts.get(Count::Pending).unwrap_or_default();
            let ratio = deliveries as f64 / attempted as f64;
            let is_large = attempted.saturating_sub(pending) >= MIN_VOLUME;
            is_large.then_some((ratio, attempted, deliveries, campaign))
        })
        .collect();
    // one pass over all of them, so that only a few have to be sorted
    if large.len() > WORST {
        large.select_nth_unstable_by(WORST, |one, other| order((one.0, one.1), (other.0, other.1)));
        large.truncate(WORST);
    }
    let mut worst: Vec<_> = large
        .into_iter()
        .map(|(delivery_ratio, attempted, deliveries, campaign)| WorstCampaign {
            account: account.to_owned(),
            campaign_id: campaign.id.clone(),
            campaign_name: campaign.name.to_string(),
            channel: campaign.channel.as_str().to_owned(),
            attempted,
            deliveries,
            bounces: campaign.counts.get(Count::Bounces),
            pending: campaign.counts.get(Count::Pending),
            delivery_ratio,
            last_sent: campaign.last_sent,
        })
        .collect();
    worst.sort_by(WorstCampaign::order);
    worst
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::counts::Counts;
    use crate::state::snapshot::tests::{configured, update};
    use crate::state::snapshot::{Change, Update};
    use crate::upstream::Reason;
    use std::iter;
    use tokio::time::Instant;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Returns the status after polls that succeed or fail, immediately or once the data is stale.
    fn after(polls: &[bool], is_stale: bool) -> AccountStatus {
        let yaml = "global: {stale_after: 10m}\n\
                    accounts: [{name: a, provider: alpha, token_env: T}]\n";
        let now = Instant::now();
        let mut snapshot = Snapshot::default();
        snapshot.apply(configured(yaml, iter::repeat(0)));
        for succeeds in polls {
            let update = Update { ended: now, ..update("a", succeeds.then(Vec::new)) };
            snapshot.apply(Change::Polled(Box::new(update)));
        }
        if is_stale {
            snapshot.expire(now + 10 * MINUTE);
        }
        let status = StatusCache::default().status(&snapshot);
        status.accounts().next().unwrap().clone()
    }

    #[test]
    fn the_state_depends_on_the_last_poll_and_the_data() {
        for (polls, is_stale, expected) in [
            (&[] as &[bool], false, State::Waiting),
            (&[true], false, State::Good),
            (&[false], false, State::Down),
            (&[true, false], false, State::Failing),
            (&[true, false, true], false, State::Good),
            (&[true, false], true, State::Down),
            // the next poll hangs
            (&[true], true, State::Down),
        ] {
            let status = after(polls, is_stale);
            assert_eq!(status.state, expected, "{polls:?}, stale: {is_stale}");
            let failed = polls.last() == Some(&false);
            assert_eq!(status.error.is_some(), failed, "{polls:?}");
            assert_eq!(status.last_success.is_some(), polls.contains(&true));
        }
    }

    #[test]
    fn the_next_poll_is_due_an_interval_after_the_start_of_the_last() {
        assert_eq!(after(&[], false).next_poll, None);
        let due = DateTime::UNIX_EPOCH + TimeDelta::minutes(4);
        assert_eq!(after(&[false], false).next_poll, Some(due));
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(9)
    }

    fn campaign(id: u64, sends: u64, deliveries: u64) -> Arc<Campaign> {
        let campaign = Campaign {
            id: id.to_string(),
            counts: Counts::from([
                (Count::Sends, Some(sends)),
                (Count::Deliveries, Some(deliveries)),
            ]),
            last_sent: Some(now() - TimeDelta::hours(12)),
            ..Campaign::default()
        };
        assert_eq!(campaign.attempted(), Some(sends));
        Arc::new(campaign)
    }

    #[test]
    fn the_worst_campaigns_are_those_that_the_alerts_judge_in_order() {
        let mut campaigns: Vec<_> =
            (0..40).map(|id| campaign(id, 1_000, 500 + id * 7 % 41)).collect();
        campaigns.push(campaign(100, MIN_VOLUME - 1, 0));
        campaigns.push(campaign(101, MIN_VOLUME, 0));
        campaigns.push(campaign(102, 2 * MIN_VOLUME, 0));
        let mut add = |id, hours, change: fn(&mut Campaign)| {
            let mut campaign = (*campaign(id, 3 * MIN_VOLUME, 0)).clone();
            campaign.last_sent = Some(now() - TimeDelta::hours(hours));
            change(&mut campaign);
            campaigns.push(Arc::new(campaign));
        };
        add(103, 1, |_| {});
        add(104, 2, |_| {});
        add(105, 5, |campaign| campaign.channel = Channel::Whatsapp);
        add(106, 6, |campaign| {
            campaign.channel = Channel::Whatsapp;
            campaign.counts.set(Count::Sends, Some(4 * MIN_VOLUME));
        });
        add(107, 24, |_| {});
        add(111, 5, |campaign| campaign.channel = Channel::Email);
        add(108, 3, |campaign| {
            campaign.status = Some(Status::InProgress);
        });
        add(109, 3, |campaign| campaign.last_sent = None);
        add(110, 3, |campaign| {
            campaign.counts.set(Count::Pending, Some(2 * MIN_VOLUME + 1));
        });
        let worst = worst("a", &campaigns, Some(now()));
        let ids: Vec<_> = worst.iter().map(|worst| &*worst.campaign_id).collect();
        // those without deliveries by size; then 500, 501, … of 1000 delivered
        assert_eq!(ids.join(" "), "106 104 102 101 0 6 12 18 24 30");
        assert!(super::worst("a", &campaigns, None).is_empty());
    }

    #[test]
    fn the_delivery_ratio_is_that_of_the_metric() {
        let mut campaign = (*campaign(1, 1_000, 400)).clone();
        campaign.counts.set(Count::Pending, Some(500));
        let worst = worst("a", &[Arc::new(campaign.clone())], Some(now()));
        let WorstCampaign { attempted, bounces, pending, delivery_ratio, .. } = worst[0];
        assert_eq!((attempted, bounces, pending), (1_000, None, Some(500)));
        assert_eq!(Some(delivery_ratio), Ratio::Delivery.of([&campaign]));
    }

    #[test]
    fn thresholds_equal_those_of_the_alerts() {
        let thresholds = include_str!("../../alerts/thresholds.yml");
        for (name, value) in [
            ("attempted_min_warning", MIN_VOLUME),
            ("sms_maturity_seconds", MATURITY.as_secs()),
            ("whatsapp_maturity_seconds", WHATSAPP_MATURITY.as_secs()),
        ] {
            let (before, _) = thresholds.split_once(name).unwrap();
            let rule = before.rsplit_once("expr: ").unwrap().1;
            assert!(rule.starts_with(&format!("{value} ")), "{name}: {rule}");
        }
        let alerts = include_str!("../../alerts/campaigns.yml");
        let limit = format!("campaign:mature_age:seconds < {}\n", MAX_AGE.as_secs());
        assert!(alerts.contains(&limit));
    }

    #[test]
    fn the_documentation_gives_the_same_advice() {
        let document = include_str!("../../docs/troubleshooting.md");
        let advice = |reason: Reason| {
            let renew = "write a valid secret where the configuration says, or, for an OAuth account, \
                         run `campaign_exporter authorize ACCOUNT`";
            [
                ("{renew}", renew),
                ("{hosts}", "the provider"),
                ("{settings}", "the addresses and ids"),
                ("{docs}", "the documentation"),
                ("{page}", "docs/providers/NAME.md"),
                ("{title}", "the provider"),
            ]
            .iter()
            .fold(reason.advice().to_owned(), |text, (name, words)| text.replace(name, words))
        };
        for reason in Reason::ALL {
            let row = format!("| `{}` | ", reason.as_str());
            let mut rows = document.lines().filter(|line| line.starts_with(&row));
            let advice = format!(" | {} |", advice(reason));
            assert!(rows.any(|row| row.ends_with(&advice)), "{row}{advice}");
        }
    }
}
