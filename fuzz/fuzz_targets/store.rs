//! Files of the store: any bytes are refused for a reason, or hold what can be written and read again.
//!
//! The first byte chooses the kind, and whether the rest is a whole file or only its content: random
//! bytes never have the right checksum.

#![no_main]

use campaign_exporter::fuzzing::{sealed, stored};
use campaign_exporter::storage::store::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let kind = [Kind::Tokens, Kind::Poll, Kind::Campaigns][usize::from(choice % 3)];
    let file = if choice & 128 == 0 {
        sealed(kind, rest)
    } else {
        rest.to_vec()
    };
    match stored(kind, &file) {
        Ok(again) => assert_eq!(stored(kind, &again), Ok(again.clone())),
        Err(why) => assert!(
            !why.is_empty() && !why.contains(char::is_control),
            "{why:?}"
        ),
    }
});
