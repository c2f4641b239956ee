//! Pages of every provider: a three-digit HTTP status and a body.

#![no_main]

use campaign_exporter_fuzz::{CASES, check_error, check_reading};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    // three digits, so that inputs can be written by hand
    let Some((status, body)) = data.split_at_checked(3) else {
        return Corpus::Reject;
    };
    let status = str::from_utf8(status)
        .ok()
        .and_then(|status| status.parse().ok());
    let Some(status @ 100..=999) = status else {
        return Corpus::Reject;
    };
    for case in CASES.iter() {
        let window = campaign_exporter_fuzz::window();
        match case.account.provider.read_answer(window, status, body) {
            Ok(reading) => check_reading(&case.account, reading),
            Err(error) => check_error(error),
        }
    }
    Corpus::Keep
});
