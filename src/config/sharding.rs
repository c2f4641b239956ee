//! Which exporter of several reads an account.
//!
//! Rendezvous hashing: each shard has a score for each application, and the highest has it. One
//! more shard takes applications from all others, and none of those moves anywhere else. What
//! shares a quota and a token stays together.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Most shards: far more than there are applications, and each costs a hash of each application.
const MAX_SHARDS: u32 = 1_000;

/// What stands for the number at the end of the host's name.
const AUTO: &str = "auto";

const SYNTAX: &str = "write I/N, I from 0 to N - 1, or auto/N";

/// One of several exporters with the same configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The one that reads the accounts of an application.
    #[must_use]
    pub fn of(self, application: &str) -> Self {
        let score = |index: &u32| score(*index, application);
        // there is at least one
        let index = (0..self.count).max_by_key(score).unwrap_or_default();
        Self { index, ..self }
    }

    fn parse(text: &str, host: &str) -> Result<Self, String> {
        let (index, count) = text.split_once('/').ok_or(SYNTAX)?;
        let count = number(count)?;
        if !(1..=MAX_SHARDS).contains(&count) {
            return Err(format!("there can be 1 to {MAX_SHARDS} shards"));
        }
        let index = if index == AUTO {
            ordinal(host)
                .ok_or_else(|| format!("the host is called {host:?}, which ends in no number"))?
        } else {
            number(index)?
        };
        if index >= count {
            return Err(format!("the shards are counted from 0: {index} is none of {count}"));
        }
        Ok(Self { index, count })
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let system = rustix::system::uname();
        Self::parse(text, &system.nodename().to_string_lossy())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

/// Digits alone: `parse` would take a sign, too.
fn number(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| SYNTAX.to_owned())
}

/// The ordinal in the host name of a `StatefulSet` pod, such as `exporter-2`, with or without a domain.
fn ordinal(host: &str) -> Option<u32> {
    let (name, _) = host.split_once('.').unwrap_or((host, ""));
    let (_, ordinal) = name.rsplit_once('-')?;
    number(ordinal).ok()
}

/// The same in every process and version: another one would move accounts while others still read
/// them.
fn score(index: u32, application: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update(index.to_be_bytes());
    hash.chain_update(application).finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn of(count: u32, application: &str) -> u32 {
        Shard { index: 0, count }.of(application).index
    }

    #[test]
    fn shards_are_written_as_index_and_count() {
        let parse = |text| Shard::parse(text, "sms-exporter-7.pods.example");
        for (text, shown) in
            [("0/1", "0/1"), ("2/3", "2/3"), ("999/1000", "999/1000"), ("auto/8", "7/8")]
        {
            assert_eq!(parse(text).unwrap().to_string(), shown);
        }
        for (text, problem) in [
            ("", SYNTAX),
            ("1", SYNTAX),
            ("/3", SYNTAX),
            ("1/", SYNTAX),
            ("+1/3", SYNTAX),
            ("-1/3", SYNTAX),
            ("1/2/3", SYNTAX),
            ("$(POD_INDEX)/3", SYNTAX),
            ("99999999999/3", SYNTAX),
            ("0/0", "there can be 1 to 1000 shards"),
            ("0/1001", "there can be 1 to 1000 shards"),
            ("3/3", "the shards are counted from 0: 3 is none of 3"),
            ("auto/7", "the shards are counted from 0: 7 is none of 7"),
        ] {
            assert_eq!(parse(text).unwrap_err(), problem, "{text}");
        }
        for host in ["", "exporter", "exporter-", "exporter-a", "7", "a.b-1"] {
            let problem = format!("the host is called {host:?}, which ends in no number");
            assert_eq!(Shard::parse("auto/3", host).unwrap_err(), problem);
        }
    }

    #[test]
    fn every_version_assigns_an_application_to_the_same_shard() {
        let shards = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| {
            let application = format!("provider https://x/ {name}");
            of(3, &application)
        });
        assert_eq!(shards, [1, 2, 2, 1, 1, 0, 2, 1]);
    }

    #[test]
    fn applications_are_evenly_distributed_over_shards() {
        for count in 2..=8 {
            let mut sizes = BTreeMap::new();
            for application in 0..4_000 {
                let shard = of(count, &format!("provider https://x/ {application}"));
                *sizes.entry(shard).or_insert(0_u32) += 1;
            }
            let even = 4_000 / count;
            assert_eq!(sizes.len(), count as usize);
            assert!(sizes.values().all(|size| size.abs_diff(even) < even / 5), "{sizes:?}");
        }
    }

    proptest! {
        #[test]
        fn every_application_has_one_shard(application in ".{0,40}", count in 1..40_u32) {
            let shards = (0..count).map(|index| Shard { index, count });
            prop_assert_eq!(shards.filter(|shard| shard.of(&application) == *shard).count(), 1);
        }

        #[test]
        fn adding_a_shard_moves_applications_only_to_it(application in ".{0,40}", count in 1..40_u32) {
            let (before, after) = (of(count, &application), of(count + 1, &application));
            prop_assert!(after == before || after == count, "{before} to {after}");
        }
    }
}
