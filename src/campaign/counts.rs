//! The counts of a campaign.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest count that a gauge (a 64-bit float) represents exactly: 2^53.
pub const MAX_COUNT: u64 = 1 << 53;

/// Defines [`Count`] from one row per count: variant, name, meaning.
macro_rules! counts {
    ($($variant:ident, $name:literal, $meaning:literal;)*) => {
        /// A number of messages, recipients or reactions that a provider reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Count {
            $(#[doc = $meaning] $variant,)*
        }

        impl Count {
            /// Every count, in the order in which stored files and `Count as usize` number them.
            /// Append only.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The part of the metric's name after `campaign_`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A sentence for the metric's `HELP`.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

counts! {
    Recipients, "recipients", "Recipients that the campaign targets.";
    Sends, "sends", "Messages sent.";
    Deliveries, "deliveries", "Messages delivered.";
    Opens, "opens", "Messages opened. Recipients or events, depending on the provider; see docs/providers.";
    Clicks, "clicks", "Links followed. Recipients or events, depending on the provider; see docs/providers.";
    Bounces, "bounces", "Messages that could not be delivered.";
    OptOuts, "opt_outs", "Recipients who opted out.";
    Reads, "reads", "Messages read.";
    Replies, "replies", "Replies. A recipient can reply more than once, so this can exceed the recipients.";
    Pending, "pending", "Messages sent but not yet confirmed as delivered.";
    Complaints, "complaints", "Recipients who reported the message as abuse or spam.";
    Conversions, "conversions", "Actions that the campaign led to, such as purchases, as the provider attributes them.";
}

/// The counts of a campaign. A count that the provider does not report is absent, never 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Counts([u64; Count::ALL.len()]);

/// An absent count. Half the size of `Option<u64>`, and larger than [`MAX_COUNT`].
const ABSENT: u64 = u64::MAX;

impl Counts {
    /// The count, if the provider reports it.
    pub fn get(&self, count: Count) -> Option<u64> {
        let value = self.0.get(count as usize).copied()?;
        (value != ABSENT).then_some(value)
    }

    /// Sets or removes a count.
    pub fn set(&mut self, count: Count, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(count as usize) {
            *place = value.unwrap_or(ABSENT);
        }
    }

    /// The counts that are present.
    pub fn iter(&self) -> impl Iterator<Item = (Count, u64)> {
        let present = |count: &Count| self.get(*count).map(|value| (*count, value));
        Count::ALL.iter().filter_map(present)
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self([ABSENT; Count::ALL.len()])
    }
}

impl<const N: usize> From<[(Count, Option<u64>); N]> for Counts {
    fn from(values: [(Count, Option<u64>); N]) -> Self {
        let mut counts = Self::default();
        for (count, value) in values {
            counts.set(count, value);
        }
        counts
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let present = self.iter().map(|(count, value)| (count as u8, value));
        serializer.collect_seq(present.collect::<Vec<_>>())
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut counts = Self::default();
        for (index, value) in Vec::<(u8, u64)>::deserialize(deserializer)? {
            let count = Count::ALL.get(usize::from(index));
            let count = count.ok_or_else(|| serde::de::Error::custom("unknown count"))?;
            counts.set(*count, Some(value));
        }
        Ok(counts)
    }
}

/// Failed messages by reason. The provider's kind names the reasons and sets their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(Box<[(Arc<str>, u64)]>);

impl Failures {
    /// The failures with the value of their `reason` label.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (&**reason, *count))
    }

    /// Whether no reason is reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds failures, by reason.
    pub fn add(&mut self, other: &Self) {
        let mut sum = std::mem::take(&mut self.0).into_vec();
        for (reason, count) in &other.0 {
            match sum.iter_mut().find(|(known, _)| known == reason) {
                Some((_, known)) => *known = known.saturating_add(*count).min(MAX_COUNT),
                None => sum.push((Arc::clone(reason), *count)),
            }
        }
        self.0 = sum.into();
    }

    /// The sum over the reported reasons; `None` if none is reported or no gauge would represent the
    /// sum exactly.
    pub fn total(&self) -> Option<u64> {
        let total = self.0.iter().map(|(_, count)| *count);
        let total = total.reduce(u64::saturating_add);
        total.filter(|total| *total <= MAX_COUNT)
    }
}

impl FromIterator<(Arc<str>, u64)> for Failures {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, u64)>>(failures: I) -> Self {
        Self(failures.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_count_is_not_zero() {
        let mut counts = Counts::from([(Count::Sends, Some(0)), (Count::Clicks, None)]);
        assert_eq!(counts.get(Count::Sends), Some(0));
        assert_eq!(counts.get(Count::Clicks), None);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(Count::Sends, 0)]);
        counts.set(Count::Sends, None);
        assert_eq!(counts, Counts::default());
    }

    #[test]
    fn every_count_has_its_own_index_and_name() {
        for (index, count) in Count::ALL.iter().enumerate() {
            assert_eq!(*count as usize, index);
            let same = Count::ALL.iter().filter(|other| other.name() == count.name());
            assert_eq!(same.count(), 1, "{count:?}");
        }
    }

    #[test]
    fn counts_survive_storage() {
        let counts =
            Counts::from([(Count::Recipients, Some(0)), (Count::Pending, Some(MAX_COUNT))]);
        let bytes = postcard::to_stdvec(&counts).unwrap();
        assert_eq!(postcard::from_bytes::<Counts>(&bytes), Ok(counts));
        let unknown = postcard::to_stdvec(&vec![(200_u8, 1_u64)]).unwrap();
        assert!(postcard::from_bytes::<Counts>(&unknown).is_err());
    }

    fn failures<const N: usize>(failures: [(&str, u64); N]) -> Failures {
        let failures = failures.into_iter();
        failures.map(|(reason, count)| (reason.into(), count)).collect()
    }

    #[test]
    fn failures_add_up() {
        assert_eq!(failures([("error", 1), ("npai", 4)]).total(), Some(5));
        assert_eq!(failures([]).total(), None);
        let most = [("error", MAX_COUNT - 1), ("expired", 1)];
        assert_eq!(failures(most).total(), Some(MAX_COUNT));
        assert_eq!(failures([("error", MAX_COUNT), ("expired", 1)]).total(), None);
        assert_eq!(failures([("a", u64::MAX), ("b", u64::MAX)]).total(), None);
    }
}
