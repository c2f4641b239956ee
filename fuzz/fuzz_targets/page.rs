//! Pages of every built-in provider: a three-digit HTTP status and a body.

#![no_main]

use campaign_exporter_fuzz::{CASES, read};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if read(CASES.iter(), data) { Corpus::Keep } else { Corpus::Reject }
});
