//! Stored files: any bytes are either rejected with a reason, or contain data that survives a round trip.
//!
//! The first byte selects the kind, and whether the rest is a whole file or only its content, since
//! random bytes never have a valid checksum.

#![no_main]

use campaign_exporter::fuzzing::{sealed, stored};
use campaign_exporter::storage::store::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let kind = [Kind::Tokens, Kind::Poll, Kind::Campaigns, Kind::Requests][usize::from(choice % 4)];
    let file = if choice & 128 == 0 { sealed(kind, rest) } else { rest.to_vec() };
    match stored(kind, &file) {
        Ok(again) => assert_eq!(stored(kind, &again), Ok(again.clone())),
        Err(why) => assert!(!why.is_empty() && !why.contains(char::is_control), "{why:?}"),
    }
});
