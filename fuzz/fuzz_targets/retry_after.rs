//! `Retry-After` in both forms: four bytes for the current time, and the header value.

#![no_main]

use std::time::Duration;

use campaign_exporter::fuzzing::retry_after;
use chrono::{DateTime, TimeDelta, Utc};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Longest wait.
const MOST: Duration = Duration::from_hours(24);

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((seconds, value)) = data.split_first_chunk() else {
        return Corpus::Reject;
    };
    let Ok(value) = str::from_utf8(value) else {
        return Corpus::Reject;
    };
    let seconds = u32::from_be_bytes(*seconds);
    let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds.into());
    let wait = retry_after(value, now);
    let digits = value.trim();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let asked = digits.parse().map_or(MOST, Duration::from_secs);
        assert_eq!(wait, Some(asked.min(MOST)), "{value:?}");
    } else {
        assert!(wait.is_none_or(|wait| wait <= MOST), "{value:?}: {wait:?}");
    }
    // the date `now`, seen from the epoch, and the epoch, seen from `now`
    let date = |time: DateTime<Utc>| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let asked = retry_after(&date(now), DateTime::UNIX_EPOCH);
    assert_eq!(asked, Some(Duration::from_secs(seconds.into()).min(MOST)), "{now}");
    assert_eq!(retry_after(&date(DateTime::UNIX_EPOCH), now), Some(Duration::ZERO));
    Corpus::Keep
});
