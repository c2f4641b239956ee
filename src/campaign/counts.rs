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

/// A count that is reported but cannot be read, or a sum with one. It is as absent as any above
/// [`MAX_COUNT`], but a sum with it is not known.
pub const UNREADABLE: u64 = ABSENT - 1;

/// The sum of two counts, unreadable if one is, or if no gauge would represent it exactly.
fn sum(one: u64, other: u64) -> u64 {
    let sum = one.saturating_add(other);
    if sum > MAX_COUNT { UNREADABLE } else { sum }
}

impl Counts {
    /// The count, if the provider reports it and it can be read.
    pub fn get(&self, count: Count) -> Option<u64> {
        self.0.get(count as usize).copied().filter(|value| *value <= MAX_COUNT)
    }

    /// Sets or removes a count.
    pub fn set(&mut self, count: Count, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(count as usize) {
            *place = value.unwrap_or(ABSENT);
        }
    }

    /// Takes over the counts that `others` reports.
    pub fn replace(&mut self, others: &Self) {
        self.merge(others, |_, other| other);
    }

    /// Adds the counts of another part of the same campaign.
    pub fn add(&mut self, others: &Self) {
        self.merge(others, sum);
    }

    fn merge(&mut self, others: &Self, merged: impl Fn(u64, u64) -> u64) {
        for (own, other) in self.0.iter_mut().zip(others.0) {
            match *own {
                _ if other == ABSENT => {}
                ABSENT => *own = other,
                known => *own = merged(known, other),
            }
        }
    }

    /// Whether a count is reported that cannot be read.
    pub fn has_unreadable(&self) -> bool {
        self.0.contains(&UNREADABLE)
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Failures(Box<[(Arc<str>, u64)]>);

impl Failures {
    /// The failures with the value of their `reason` label.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let all = self.0.iter().map(|(reason, count)| (&**reason, *count));
        all.filter(|(_, count)| *count <= MAX_COUNT)
    }

    /// Whether no reason is reported.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds failures, by reason.
    pub fn add(&mut self, other: &Self) {
        let mut all = std::mem::take(&mut self.0).into_vec();
        for (reason, count) in &other.0 {
            match all.iter_mut().find(|(known, _)| known == reason) {
                Some((_, known)) => *known = sum(*known, *count),
                None => all.push((Arc::clone(reason), *count)),
            }
        }
        self.0 = all.into();
    }

    /// The sum over the reported reasons; `None` if none is reported.
    pub fn total(&self) -> Option<u64> {
        self.0.iter().map(|(_, count)| *count).reduce(sum)
    }

    /// Whether a reason is reported whose count cannot be read.
    pub fn has_unreadable(&self) -> bool {
        self.0.iter().any(|(_, count)| *count == UNREADABLE)
    }
}

impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
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
    fn a_sum_with_an_unreadable_part_is_not_known() {
        let of = |value| Counts::from([(Count::Sends, value)]);
        for (one, other, expected) in [
            (None, Some(2), Some(2)),
            (Some(1), None, Some(1)),
            (Some(1), Some(2), Some(3)),
            (Some(1), Some(MAX_COUNT), None),
            (Some(UNREADABLE), Some(2), None),
            (Some(UNREADABLE), None, None),
            (None, Some(UNREADABLE), None),
        ] {
            let mut sum = of(one);
            sum.add(&of(other));
            assert_eq!(sum.get(Count::Sends), expected, "{one:?} {other:?}");
            sum.add(&of(Some(0)));
            assert_eq!(sum.get(Count::Sends), expected, "{one:?} {other:?}");
        }
        let stored = postcard::to_stdvec(&(of(Some(UNREADABLE)), failures([("a", UNREADABLE)])));
        let stored = postcard::from_bytes(&stored.unwrap());
        assert_eq!(stored, Ok((Counts::default(), Failures::default())));
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
        for unknown in [[("error", MAX_COUNT), ("expired", 1)], [("a", 1), ("b", UNREADABLE)]] {
            let mut counts = Counts::default();
            counts.set(Count::Bounces, failures(unknown).total());
            assert_eq!((counts.get(Count::Bounces), counts.has_unreadable()), (None, true));
        }
    }
}
