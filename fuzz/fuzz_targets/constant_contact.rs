//! A page of Constant Contact: an HTTP status in three digits and a body.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus { campaign_exporter_fuzz::page("constant_contact", data) });
