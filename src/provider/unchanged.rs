//! Items that come again as they were at an earlier read, which most do. They are not decoded again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use crate::campaign::Campaign;

/// A digest of an item and of the list that it is in.
///
/// It has 128 bits of a keyed hash, whose key is random and never leaves the process. Two items have the
/// same one by a chance of 1 in 2^128, which nobody can improve without the key, so no campaign has the
/// numbers of another item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest([u64; 2]);

/// What the items of earlier reads of one account were decoded to, as far as these campaigns are kept.
///
/// It is of one configuration of the account, since what an item means depends on that and on nothing
/// else but the item.
#[derive(Debug, Default)]
pub struct Decoded {
    key: RandomState,
    campaigns: HashMap<Digest, Weak<Campaign>>,
}

impl Decoded {
    /// The digest of an item in a part of the source.
    pub fn digest(&self, part: usize, item: &str) -> Digest {
        // under one key, the hashes of two inputs have nothing in common
        Digest([0_u8, 1].map(|half| self.key.hash_one((half, part, item))))
    }

    /// The campaign of an item that was decoded before.
    pub fn get(&self, digest: Digest) -> Option<Arc<Campaign>> {
        self.campaigns.get(&digest)?.upgrade()
    }

    /// Adds items of a read, and forgets those whose campaigns are no longer kept.
    pub fn add(&mut self, items: Vec<(Digest, Weak<Campaign>)>) {
        self.campaigns.extend(items);
        self.campaigns.retain(|_, campaign| campaign.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_known_as_long_as_its_campaign() {
        let mut decoded = Decoded::default();
        let [one, other] = [decoded.digest(0, "{}"), decoded.digest(1, "{}")];
        assert_ne!(one, other, "another list can mean something else");
        assert_ne!(one.0[0], one.0[1]);
        assert_ne!(one, decoded.digest(0, "{ }"));
        assert_ne!(one, Decoded::default().digest(0, "{}"), "each has its own key");
        let campaign = Arc::new(Campaign::default());
        decoded.add(vec![(one, Arc::downgrade(&campaign))]);
        assert!(decoded.get(one).is_some_and(|known| Arc::ptr_eq(&known, &campaign)));
        assert!(decoded.get(other).is_none());
        drop(campaign);
        assert!(decoded.get(one).is_none());
        decoded.add(Vec::new());
        assert!(decoded.campaigns.is_empty());
    }
}
