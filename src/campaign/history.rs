//! All campaigns of an account within its lookback, put together from reads of all of them and,
//! more often, of the recent ones. Pure: time is passed in.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::campaign::Campaign;
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;

/// The campaigns of an account, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    campaigns: Vec<Arc<Campaign>>,
    /// What the last full read covered.
    full: Window,
}

impl History {
    /// What a full read of `window` found.
    pub fn of_full_read(read: Campaigns, window: Window) -> Self {
        Self {
            campaigns: newest_first(read.into_vec()),
            full: window,
        }
    }

    /// What is known after a read of the campaigns since `complete_since`, which may have found some
    /// that are a little older. Campaigns sent before `lookback_start` have left.
    ///
    /// One that is known and should have been found is gone. One without a date is known until the
    /// next full read.
    #[must_use]
    pub fn with_recent_read(
        &self,
        read: Campaigns,
        complete_since: DateTime<Utc>,
        lookback_start: DateTime<Utc>,
    ) -> Self {
        let stays = |campaign: &Campaign| match campaign.date() {
            None => true,
            Some(date) if date >= complete_since => false,
            // what the full read found though it was not within its window, in the provider's eyes
            // is: it stays until the next one
            Some(date) => date >= lookback_start || date < self.full.start,
        };
        let kept = self
            .campaigns
            .iter()
            .filter(|campaign| read.get(&campaign.id).is_none() && stays(campaign));
        let mut campaigns: Vec<Arc<Campaign>> = kept.cloned().collect();
        campaigns.extend(read.into_vec());
        Self {
            campaigns: newest_first(campaigns),
            full: self.full,
        }
    }

    /// What the last full read covered.
    pub const fn full(&self) -> Window {
        self.full
    }

    /// The newest campaigns, and how many are left out. A campaign without a date counts as the
    /// oldest.
    pub fn newest(&self, most: usize) -> (Vec<Arc<Campaign>>, usize) {
        let campaigns = self.campaigns.iter().take(most).cloned().collect();
        (campaigns, self.campaigns.len().saturating_sub(most))
    }

    /// The part of the campaigns that a read since a time would find.
    pub fn share_since(&self, start: DateTime<Utc>) -> f64 {
        if self.campaigns.is_empty() {
            return 0.0;
        }
        let dates = self.campaigns.iter().filter_map(|campaign| campaign.date());
        dates.filter(|date| *date >= start).count() as f64 / self.campaigns.len() as f64
    }

    /// Whether the same campaigns with the same values are known, after a read that knew of these.
    pub fn is_same(&self, other: &Self) -> bool {
        // what did not change is shared, so comparing places is enough
        self.campaigns.len() == other.campaigns.len()
            && self
                .campaigns
                .iter()
                .zip(&other.campaigns)
                .all(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// All of them.
    pub fn by_id(&self) -> Campaigns {
        self.campaigns.iter().cloned().collect()
    }
}

fn newest_first(mut campaigns: Vec<Arc<Campaign>>) -> Vec<Arc<Campaign>> {
    campaigns.sort_unstable_by(|one, other| {
        Reverse(one.date())
            .cmp(&Reverse(other.date()))
            .then_with(|| one.id.cmp(&other.id))
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

    /// What is read when the campaigns of `before` are known.
    fn read_after(before: &History, campaigns: impl IntoIterator<Item = Campaign>) -> Campaigns {
        let mut pool = Pool::of(Arc::new(before.by_id()));
        let campaigns = campaigns.into_iter();
        campaigns.map(|campaign| pool.share(campaign)).collect()
    }

    fn full(campaigns: impl IntoIterator<Item = Campaign>, start: i64, now: i64) -> History {
        let (start, now) = (at(start), at(now));
        History::of_full_read(read(campaigns), Window { start, now })
    }

    fn ids(history: &History) -> Vec<&str> {
        let campaigns = history.campaigns.iter();
        campaigns.map(|campaign| campaign.id.as_str()).collect()
    }

    #[test]
    fn the_newest_are_first_and_the_undated_last() {
        let history = full(
            [
                campaign("old", Some(1), ""),
                campaign("undated", None, ""),
                campaign("new", Some(3), ""),
                Campaign {
                    scheduled: Some(at(9)),
                    ..campaign("planned", None, "")
                },
                campaign("b", Some(2), ""),
                campaign("a", Some(2), ""),
            ],
            0,
            10,
        );
        assert_eq!(
            ids(&history),
            ["planned", "new", "a", "b", "old", "undated"]
        );
        let (kept, left_out) = history.newest(5);
        assert_eq!((kept.len(), left_out), (5, 1));
        assert_eq!(history.newest(9).1, 0);
        assert!((history.share_since(at(2)) - 4.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_recent_read_replaces_what_it_covers_and_nothing_else() {
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
        let after = before.with_recent_read(read_after(&before, found), at(90), at(11));
        assert_eq!(
            ids(&after),
            [
                "new",
                "changed",
                "same",
                "just-before",
                "older",
                "odd",
                "undated"
            ]
        );
        assert_eq!(after.campaigns[1].name.as_ref(), "after");
        let same = |history: &History| {
            let campaigns = history.campaigns.iter();
            campaigns
                .clone()
                .find(|campaign| campaign.id == "same")
                .cloned()
                .unwrap()
        };
        assert!(
            Arc::ptr_eq(&same(&before), &same(&after)),
            "it is not stored twice"
        );
        assert!(!before.is_same(&after));
        assert_eq!(after.full().start, at(0));
    }

    #[test]
    fn reads_that_find_the_same_change_nothing() {
        let campaigns = || [campaign("a", Some(95), ""), campaign("b", Some(5), "")];
        let before = full(campaigns(), 0, 100);
        let window = Window {
            start: at(1),
            now: at(101),
        };
        let again = History::of_full_read(read_after(&before, campaigns()), window);
        assert!(before.is_same(&again));
        let recent =
            before.with_recent_read(read_after(&before, [campaigns()[0].clone()]), at(90), at(1));
        assert!(before.is_same(&recent));
    }

    /// Campaigns at a provider: hours of sending, and versions of the name.
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
        /// Whatever changes among the recent campaigns, a recent read gives what a full one would.
        #[test]
        fn nobody_can_tell_a_recent_read_from_a_full_one(
            old in provider(),
            recent_before in provider(),
            recent_after in provider(),
            margin in 0..10_i64,
            hours in 0..20_i64,
        ) {
            const RECENT: i64 = 100;
            let is_recent = |campaign: &&(u8, i64, u8)| campaign.1 >= RECENT;
            // what is old stays as it is; ids are never given twice
            let old: Vec<_> = old.into_iter().filter(|campaign| campaign.1 < RECENT).collect();
            let old: Vec<_> = old.iter().map(|(id, hours, version)| (id + 100, *hours, *version)).collect();
            let old = once_each(old);
            let with = |recent: &[(u8, i64, u8)]| -> Vec<(u8, i64, u8)> {
                let recent = recent.iter().filter(is_recent).copied();
                once_each(recent.chain(old.clone()).collect())
            };
            let before = found(&with(&recent_before), 0);
            let window = Window { start: at(0), now: at(200) };
            let before = History::of_full_read(before, window);
            let provider = with(&recent_after);
            let merged = before.with_recent_read(
                found(&provider, RECENT - margin),
                at(RECENT),
                at(hours),
            );
            let window = Window { start: at(hours), now: at(200 + hours) };
            let whole = History::of_full_read(found(&provider, hours), window);
            prop_assert_eq!(&merged.campaigns, &whole.campaigns);
        }
    }
}
