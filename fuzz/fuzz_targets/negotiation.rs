//! The headers of a scrape: `Accept` in the first line, `Accept-Encoding` in the rest.

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
    assert_eq!(format(&lower), chosen, "case counts");
    let backwards: Vec<&str> = accept.rsplit(',').collect();
    assert_eq!(format(&backwards.join(",")), chosen, "order counts");
    let asks = format!("{accept},application/openmetrics-text");
    assert_eq!(format(&asks), Format::OpenMetrics, "asked for in vain");

    let lower = encoding.to_ascii_lowercase();
    assert!(!accepts_gzip(encoding) || lower.contains("gzip") || lower.contains('*'));
    assert_eq!(accepts_gzip(&lower), accepts_gzip(encoding), "case counts");
    assert!(
        accepts_gzip(&format!("{encoding},gzip")),
        "asked for in vain"
    );
    assert!(
        !accepts_gzip(&format!("{encoding},gzip;q=0")),
        "refused in vain"
    );
    Corpus::Keep
});
