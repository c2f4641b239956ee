//! Campaigns by id, and what they have in common stored once: most of what a poll reads is what the
//! one before has read.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::campaign::{Campaign, Info};

/// Campaigns, each id once.
#[derive(Clone, Debug, Default)]
pub struct Campaigns(HashSet<ById>);

#[derive(Clone, Debug)]
struct ById(Arc<Campaign>);

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Campaigns {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one with an id.
    pub fn get(&self, id: &str) -> Option<&Arc<Campaign>> {
        self.0.get(id).map(|ById(campaign)| campaign)
    }

    /// All of them, in no order.
    pub fn into_vec(self) -> Vec<Arc<Campaign>> {
        self.0.into_iter().map(|ById(campaign)| campaign).collect()
    }

    /// Adds one, in the place of any with the same id.
    pub fn insert(&mut self, campaign: Arc<Campaign>) {
        self.0.replace(ById(campaign));
    }
}

impl FromIterator<Arc<Campaign>> for Campaigns {
    fn from_iter<I: IntoIterator<Item = Arc<Campaign>>>(campaigns: I) -> Self {
        Self(campaigns.into_iter().map(ById).collect())
    }
}

/// What is known already.
#[derive(Debug, Default)]
pub struct Pool {
    campaigns: Arc<Campaigns>,
    names: HashSet<Arc<str>>,
    infos: HashSet<Arc<Info>>,
}

impl Pool {
    /// A pool that has these campaigns.
    pub fn of(campaigns: Arc<Campaigns>) -> Self {
        let known = campaigns.0.iter().map(|ById(campaign)| campaign);
        Self {
            names: known
                .clone()
                .map(|campaign| Arc::clone(&campaign.name))
                .collect(),
            infos: known.map(|campaign| Arc::clone(&campaign.info)).collect(),
            campaigns,
        }
    }

    /// A campaign in the memory of the one that is known, if it is the same; else with the texts that
    /// others have, too.
    pub fn share(&mut self, mut campaign: Campaign) -> Arc<Campaign> {
        if let Some(known) = self.campaigns.get(&campaign.id)
            && **known == campaign
        {
            return Arc::clone(known);
        }
        share(&mut self.names, &mut campaign.name);
        share(&mut self.infos, &mut campaign.info);
        Arc::new(campaign)
    }
}

fn share<T: Hash + Eq + ?Sized>(known: &mut HashSet<Arc<T>>, value: &mut Arc<T>) {
    match known.get(value) {
        Some(known) => *value = Arc::clone(known),
        None => {
            known.insert(Arc::clone(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(id: &str, name: &str, sender: &str) -> Campaign {
        Campaign {
            id: id.to_owned(),
            name: name.into(),
            info: Arc::new([("sender".into(), sender.to_owned())].into_iter().collect()),
            ..Campaign::default()
        }
    }

    #[test]
    fn of_two_with_an_id_the_later_is_kept() {
        let mut campaigns = Campaigns::default();
        campaigns.insert(Arc::new(campaign("x", "first", "")));
        campaigns.insert(Arc::new(campaign("y", "other", "")));
        campaigns.insert(Arc::new(campaign("x", "second", "")));
        assert_eq!(campaigns.len(), 2);
        assert_eq!(&*campaigns.get("x").unwrap().name, "second");
    }

    #[test]
    fn what_is_known_is_not_stored_twice() {
        let before = Arc::new(campaign("1", "Spring", "Shoes"));
        let mut pool = Pool::of(Arc::new([Arc::clone(&before)].into_iter().collect()));
        let same = pool.share(campaign("1", "Spring", "Shoes"));
        assert!(Arc::ptr_eq(&same, &before));
        let renamed = pool.share(campaign("1", "Summer", "Shoes"));
        assert_eq!(&*renamed.name, "Summer");
        assert!(Arc::ptr_eq(&renamed.info, &before.info));
        let another = pool.share(campaign("2", "Summer", "Boots"));
        assert!(Arc::ptr_eq(&another.name, &renamed.name));
        let third = pool.share(campaign("3", "Autumn", "Boots"));
        assert!(Arc::ptr_eq(&third.info, &another.info));
    }
}
