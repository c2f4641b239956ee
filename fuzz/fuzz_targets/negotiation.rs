//! Content negotiation: `Accept` in the first line, `Accept-Encoding` in the rest.

#![no_main]

use campaign_exporter::exposition::format::Format;
use campaign_exporter::web::negotiation::{accepts_gzip, format};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = str::from_utf8(data) else {
        return Corpus::Reject;
    };
    let (accept, encoding) = text.split_once('\n').unwrap_or((text, ""));

    let chosen = format(accept);
    let lower = accept.to_ascii_lowercase();
    assert!(chosen == Format::Text || lower.contains("application/openmetrics-text"));
    assert_eq!(format(&lower), chosen, "case matters");
    let backwards: Vec<&str> = accept.rsplit(',').collect();
    assert_eq!(format(&backwards.join(",")), chosen, "order matters");
    let asks = format!("{accept},application/openmetrics-text");
    assert_eq!(format(&asks), Format::OpenMetrics, "request is ignored");

    let lower = encoding.to_ascii_lowercase();
    assert!(!accepts_gzip(encoding) || lower.contains("gzip") || lower.contains('*'));
    assert_eq!(accepts_gzip(&lower), accepts_gzip(encoding), "case matters");
    assert!(accepts_gzip(&format!("{encoding},gzip")), "request is ignored");
    assert!(!accepts_gzip(&format!("{encoding},gzip;q=0")), "refusal is ignored");
    Corpus::Keep
});
