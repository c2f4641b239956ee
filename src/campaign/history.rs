//! All campaigns of an account within its lookback, combined from full reads and more frequent
//! recent ones. Pure: the caller passes the time.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::campaign::bounds::{MAX_ACCOUNT_BYTES, MAX_MEAN_BYTES};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Status};

/// The campaigns of an account, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    #[serde(deserialize_with = "bounded")]
    campaigns: Vec<Arc<Campaign>>,
    /// The window of the last full read.
    full: Window,
}

impl History {
    /// The result of a full read of `window`.
    pub fn of_full_read(read: Campaigns, window: Window) -> Self {
        Self { campaigns: newest_first(read.into_vec()), full: window }
    }

    /// The history after a read of recent campaigns. Removes campaigns sent before `lookback_start`.
    ///
    /// Other campaigns that the read did not find stay until the next full read: a provider that filters
    /// by another time than that of sending leaves out some that still exist.
    #[must_use]
    pub fn with_recent_read(&self, read: Campaigns, lookback_start: DateTime<Utc>) -> Self {
        let stays = |campaign: &Campaign| match campaign.date() {
            None => true,
            // the full read found it outside of its window, so the provider filters by another
            // date: it stays until the next full read
            Some(date) => date >= lookback_start || date < self.full.start,
        };
        let kept = self
            .campaigns
            .iter()
            .filter(|campaign| read.get(&campaign.id).is_none() && stays(campaign));
        let mut campaigns: Vec<Arc<Campaign>> = kept.cloned().collect();
        campaigns.extend(read.into_vec());
        Self { campaigns: newest_first(campaigns), full: self.full }
    }

    /// When the oldest of the campaigns was created that are in progress or were sent since `recent`.
    pub fn oldest_creation(&self, recent: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let changes = |campaign: &&Arc<Campaign>| {
            campaign.status == Some(Status::InProgress)
                || campaign.date().is_some_and(|date| date >= recent)
        };
        self.campaigns.iter().filter(changes).filter_map(|campaign| campaign.created).min()
    }

    /// The window of the last full read.
    pub const fn full(&self) -> Window {
        self.full
    }

    /// Applies the bounds of campaigns to those of a stored file. Returns how many are lost.
    pub fn bound(&mut self) -> usize {
        let before = self.campaigns.len();
        self.campaigns.retain_mut(|campaign| Arc::make_mut(campaign).bound());
        before - self.campaigns.len()
    }

    /// The newest campaigns, bounded in number and size, and the number of those left out. A
    /// campaign without a date counts as the oldest.
    pub fn newest(&self, most: usize) -> (Vec<Arc<Campaign>>, usize) {
        let mut room = most.saturating_mul(MAX_MEAN_BYTES);
        let newest = self.campaigns.iter().take(most).take_while(|campaign| {
            let left = room.checked_sub(campaign.scraped_bytes());
            room = left.unwrap_or_default();
            left.is_some()
        });
        let newest: Vec<_> = newest.cloned().collect();
        let left_out = self.campaigns.len() - newest.len();
        (newest, left_out)
    }

    /// The share of the campaigns since a time.
    pub fn share_since(&self, start: DateTime<Utc>) -> f64 {
        if self.campaigns.is_empty() {
            return 0.0;
        }
        let dates = self.campaigns.iter().filter_map(|campaign| campaign.date());
        dates.filter(|date| *date >= start).count() as f64 / self.campaigns.len() as f64
    }

    /// Whether nothing changed. One of the two comes from a read that shared the other's memory.
    pub fn is_same(&self, other: &Self) -> bool {
        // unchanged campaigns share memory, so comparing pointers is enough
        self.campaigns.len() == other.campaigns.len()
            && self
                .campaigns
                .iter()
                .zip(&other.campaigns)
                .all(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// All campaigns, newest first.
    pub fn campaigns(&self) -> &[Arc<Campaign>] {
        &self.campaigns
    }

    /// All campaigns by id.
    pub fn by_id(&self) -> Campaigns {
        self.campaigns.iter().cloned().collect()
    }
}

/// Reads stored campaigns, unless they take more memory than those of an account may.
fn bounded<'de, D: Deserializer<'de>>(stored: D) -> Result<Vec<Arc<Campaign>>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Arc<Campaign>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("campaigns")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut stored: A) -> Result<Self::Value, A::Error> {
            let (mut campaigns, mut room) = (Vec::new(), MAX_ACCOUNT_BYTES);
            while let Some(campaign) = stored.next_element::<Arc<Campaign>>()? {
                let left = room.checked_sub(campaign.kept_bytes());
                room = left.ok_or_else(|| A::Error::custom("too many bytes of campaigns"))?;
                campaigns.push(campaign);
            }
            Ok(campaigns)
        }
    }

    stored.deserialize_seq(Bounded)
}

fn newest_first(mut campaigns: Vec<Arc<Campaign>>) -> Vec<Arc<Campaign>> {
    campaigns.sort_unstable_by(|one, other| {
        Reverse(one.date()).cmp(&Reverse(other.date())).then_with(|| one.id.cmp(&other.id))
    });
    campaigns.shrink_to_fit();
    campaigns
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::campaign::pool::Pool;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn campaign(id: &str, hours: Option<i64>, name: &str) -> Campaign {
        Campaign {
            id: id.to_owned(),
            name: name.into(),
            last_sent: hours.map(at),
            ..Campaign::default()
        }
    }

    fn read(campaigns: impl IntoIterator<Item = Campaign>) -> Campaigns {
        campaigns.into_iter().map(Arc::new).collect()
    }

    /// A read that shares the memory of `before`.
    fn read_after(before: &History, campaigns: impl IntoIterator<Item = Campaign>) -> Campaigns {
        let mut pool = Pool::of(Arc::new(before.by_id()));
        let campaigns = campaigns.into_iter();
        campaigns.map(|campaign| pool.share(campaign.into())).collect()
    }

    fn full(campaigns: impl IntoIterator<Item = Campaign>, start: i64, now: i64) -> History {
        let (start, now) = (at(start), at(now));
        History::of_full_read(read(campaigns), Window::new(start, now))
    }

    fn ids(history: &History) -> Vec<&str> {
        let campaigns = history.campaigns.iter();
        campaigns.map(|campaign| campaign.id.as_str()).collect()
    }

    #[test]
    fn campaigns_are_ordered_from_new_to_old_to_undated() {
        let history = full(
            [
                campaign("old", Some(1), ""),
                campaign("undated", None, ""),
                campaign("new", Some(3), ""),
                Campaign { scheduled: Some(at(9)), ..campaign("planned", None, "") },
                campaign("b", Some(2), ""),
                campaign("a", Some(2), ""),
            ],
            0,
            10,
        );
        assert_eq!(ids(&history).join(" "), "planned new a b old undated");
        let (kept, left_out) = history.newest(5);
        assert_eq!((kept.len(), left_out), (5, 1));
        assert_eq!(history.newest(9).1, 0);
        assert!((history.share_since(at(2)) - 4.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_recent_read_replaces_only_what_it_finds() {
        let before = full(
            [
                campaign("deleted", Some(95), ""),
                campaign("changed", Some(94), "before"),
                campaign("same", Some(93), ""),
                campaign("older", Some(50), ""),
                campaign("left", Some(10), ""),
                campaign("odd", Some(-5), ""),
                campaign("undated", None, ""),
            ],
            0,
            100,
        );
        let found = [
            campaign("new", Some(100), ""),
            campaign("changed", Some(94), "after"),
            campaign("same", Some(93), ""),
            campaign("just-before", Some(89), ""),
        ];
        let after = before.with_recent_read(read_after(&before, found), at(11));
        let expected = "new deleted changed same just-before older odd undated";
        assert_eq!(ids(&after).join(" "), expected);
        assert_eq!(after.campaigns[2].name.as_ref(), "after");
        // unchanged campaigns share memory
        assert!(Arc::ptr_eq(&before.campaigns[2], &after.campaigns[3]));
        assert_eq!(before.campaigns[2].id, "same");
        assert!(!before.is_same(&after));
        assert_eq!(after.full().start, at(0));
    }

    #[test]
    fn an_equal_read_changes_nothing() {
        let campaigns = || [campaign("a", Some(95), ""), campaign("b", Some(5), "")];
        let before = full(campaigns(), 0, 100);
        let window = Window::new(at(1), at(101));
        let again = History::of_full_read(read_after(&before, campaigns()), window);
        assert!(before.is_same(&again));
        let recent = before.with_recent_read(read_after(&before, [campaigns()[0].clone()]), at(1));
        assert!(before.is_same(&recent));
    }

    #[test]
    fn the_creation_of_campaigns_that_change_is_known() {
        let created = |id: &str, sent, created| Campaign {
            created: Some(at(created)),
            ..campaign(id, Some(sent), "")
        };
        let old = created("old", 10, 1);
        let young = created("young", 95, 20);
        let running = Campaign { status: Some(Status::InProgress), ..created("running", 12, 5) };
        for (campaigns, expected) in [
            (vec![old.clone(), young.clone(), running], Some(at(5))),
            (vec![old.clone(), young], Some(at(20))),
            (vec![old, campaign("unknown", Some(95), "")], None),
        ] {
            assert_eq!(full(campaigns, 0, 100).oldest_creation(at(90)), expected);
        }
    }

    /// Campaigns at a provider: ids, sending hours, and versions of the name.
    fn provider() -> impl Strategy<Value = Vec<(u8, i64, u8)>> {
        prop::collection::vec((0..20_u8, 0..200_i64, 0..3_u8), 0..15)
    }

    fn once_each(mut campaigns: Vec<(u8, i64, u8)>) -> Vec<(u8, i64, u8)> {
        campaigns.sort_unstable();
        campaigns.dedup_by_key(|campaign| campaign.0);
        campaigns
    }

    fn found(provider: &[(u8, i64, u8)], start: i64) -> Campaigns {
        let campaigns = provider.iter().filter(|(_, hours, _)| *hours >= start);
        read(campaigns.map(|(id, hours, version)| {
            campaign(&id.to_string(), Some(*hours), &version.to_string())
        }))
    }

    proptest! {
        /// After any change of recent campaigns, a recent read gives the same history as a full one, with
        /// those that were deleted.
        #[test]
        fn a_recent_read_is_equivalent_to_a_full_one(
            old in provider(),
            recent_before in provider(),
            recent_after in provider(),
            margin in 0..10_i64,
            hours in 0..20_i64,
        ) {
            const RECENT: i64 = 100;
            let is_recent = |campaign: &&(u8, i64, u8)| campaign.1 >= RECENT;
            // old campaigns do not change, and ids are not reused
            let old: Vec<_> = old.into_iter().filter(|campaign| campaign.1 < RECENT).collect();
            let old: Vec<_> = old.iter().map(|(id, hours, version)| (id + 100, *hours, *version)).collect();
            let old = once_each(old);
            let with = |recent: &[(u8, i64, u8)]| -> Vec<(u8, i64, u8)> {
                let recent = recent.iter().filter(is_recent).copied();
                once_each(recent.chain(old.clone()).collect())
            };
            let before = found(&with(&recent_before), 0);
            let window = Window::new(at(0), at(200));
            let before = History::of_full_read(before, window);
            let provider = with(&recent_after);
            let merged = before.with_recent_read(
                found(&provider, RECENT - margin),
                at(hours),
            );
            let is_deleted = |known: &&(u8, i64, u8)| {
                known.1 >= hours && !provider.iter().any(|campaign| campaign.0 == known.0)
            };
            let deleted = with(&recent_before);
            let deleted = deleted.iter().filter(is_deleted).copied();
            let provider: Vec<_> = provider.iter().copied().chain(deleted).collect();
            let window = Window::new(at(hours), at(200 + hours));
            let whole = History::of_full_read(found(&provider, hours), window);
            prop_assert_eq!(&merged.campaigns, &whole.campaigns);
        }
    }
}
