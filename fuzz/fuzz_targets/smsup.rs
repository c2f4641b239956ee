//! Pages of SMSUp: a three-digit HTTP status and a body.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus { campaign_exporter_fuzz::page("smsup", data) });
