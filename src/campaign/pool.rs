//! Campaigns by id, with shared memory for equal parts: most of what a poll reads is the same as
//! before.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::campaign::{Campaign, Info};

/// Campaigns with unique ids.
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
    /// The number of campaigns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no campaigns.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The campaign with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Campaign>> {
        self.0.get(id).map(|ById(campaign)| campaign)
    }

    /// All campaigns, in no particular order.
    pub fn into_vec(self) -> Vec<Arc<Campaign>> {
        self.0.into_iter().map(|ById(campaign)| campaign).collect()
    }

    /// Adds a campaign, or replaces the one with the same id.
    pub fn insert(&mut self, campaign: Arc<Campaign>) {
        self.0.replace(ById(campaign));
    }
}

impl FromIterator<Arc<Campaign>> for Campaigns {
    fn from_iter<I: IntoIterator<Item = Arc<Campaign>>>(campaigns: I) -> Self {
        Self(campaigns.into_iter().map(ById).collect())
    }
}

/// Campaigns and texts whose memory can be shared.
#[derive(Debug, Default)]
pub struct Pool {
    campaigns: Arc<Campaigns>,
    /// Once a campaign has other texts than before.
    texts: Option<Texts>,
}

/// Texts whose memory can be shared.
#[derive(Debug)]
struct Texts {
    names: HashSet<Arc<str>>,
    infos: HashSet<Arc<Info>>,
}

impl Pool {
    /// A pool of these campaigns.
    pub fn of(campaigns: Arc<Campaigns>) -> Self {
        Self { campaigns, texts: None }
    }

    /// Returns the equal campaign of the pool, if there is one. Otherwise shares equal texts.
    pub fn share(&mut self, mut campaign: Arc<Campaign>) -> Arc<Campaign> {
        let known = self.campaigns.get(&campaign.id);
        if let Some(known) = known.filter(|known| **known == campaign) {
            return Arc::clone(known);
        }
        let own = Arc::make_mut(&mut campaign);
        match known {
            // most changes are of counts
            Some(known) if known.name == own.name && known.info == own.info => {
                own.name = Arc::clone(&known.name);
                own.info = Arc::clone(&known.info);
            }
            _ => {
                let texts = self.texts.get_or_insert_with(|| Texts::of(&self.campaigns));
                share(&mut texts.names, &mut own.name);
                share(&mut texts.infos, &mut own.info);
            }
        }
        campaign
    }
}

impl Texts {
    fn of(campaigns: &Campaigns) -> Self {
        let known = campaigns.0.iter().map(|ById(campaign)| campaign);
        Self {
            names: known.clone().map(|campaign| Arc::clone(&campaign.name)).collect(),
            infos: known.map(|campaign| Arc::clone(&campaign.info)).collect(),
        }
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
    fn what_is_known_is_not_stored_twice() {
        let before = Arc::new(campaign("1", "Spring", "Shoes"));
        let mut pool = Pool::of(Arc::new([Arc::clone(&before)].into_iter().collect()));
        let same = pool.share(campaign("1", "Spring", "Shoes").into());
        assert!(Arc::ptr_eq(&same, &before));
        let renamed = pool.share(campaign("1", "Summer", "Shoes").into());
        assert_eq!(&*renamed.name, "Summer");
        assert!(Arc::ptr_eq(&renamed.info, &before.info));
        let another = pool.share(campaign("2", "Summer", "Boots").into());
        assert!(Arc::ptr_eq(&another.name, &renamed.name));
        let third = pool.share(campaign("3", "Autumn", "Boots").into());
        assert!(Arc::ptr_eq(&third.info, &another.info));
    }
}
