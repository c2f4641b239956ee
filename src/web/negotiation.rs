//! Content negotiation: the format and encoding of a scrape (RFC 9110, 12.5;
//! <https://prometheus.io/docs/instrumenting/content_negotiation/>).

use crate::exposition::format::Format;

/// Returns the format for an `Accept` header: OpenMetrics if requested by name with at least the
/// quality of text. Otherwise text, even for clients that accept neither.
pub fn format(accept: &str) -> Format {
    // the most specific range that matches text determines its quality
    let (mut open_metrics, mut text) = (0.0, (0, 0.0));
    for range in ranges(accept) {
        let version = range.parameter("version");
        let specific = match range.name.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                open_metrics = range.quality().max(open_metrics);
                continue;
            }
            "text/plain" if matches!(version, None | Some("0.0.4")) => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        if specific > text.0 || (specific == text.0 && range.quality() > text.1) {
            text = (specific, range.quality());
        }
    }
    if open_metrics > 0.0 && open_metrics >= text.1 { Format::OpenMetrics } else { Format::Text }
}

/// Returns whether an `Accept-Encoding` header accepts gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    let (mut gzip, mut any) = (None, None);
    for range in ranges(accept_encoding) {
        match range.name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(range.quality()),
            "*" => any = Some(range.quality()),
            _ => {}
        }
    }
    gzip.or(any).is_some_and(|quality| quality > 0.0)
}

struct Range {
    name: String,
    parameters: Vec<(String, String)>,
}

impl Range {
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.parameters.iter();
        let (_, value) = parameters.find(|(key, _)| key == name)?;
        Some(value)
    }

    /// The quality, which counts as 0 if it is malformed.
    fn quality(&self) -> f64 {
        let Some(quality) = self.parameter("q") else {
            return 1.0;
        };
        let quality = quality.parse().ok();
        quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0)
    }
}

/// Parses the comma-separated ranges of a header.
fn ranges(header: &str) -> impl Iterator<Item = Range> {
    header.split(',').filter_map(|range| {
        let range = range.to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let parameters = parts.filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            Some((key.trim().to_owned(), value.to_owned()))
        });
        Some(Range { parameters: parameters.collect(), name })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prometheus_gets_open_metrics() {
        for accept in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
             version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
             escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"",
            "application/openmetrics-text",
            "text/plain, application/openmetrics-text",
            "text/plain;q=0.1, application/openmetrics-text;q=0.5, */*;q=0.9",
        ] {
            assert_eq!(format(accept), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn other_clients_get_text() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0.4,text/plain;q=0.5",
            "application/openmetrics-text;q=lots",
            "image/png",
            ",;=,;q=",
        ] {
            assert_eq!(format(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn clients_that_accept_gzip_get_it() {
        for header in "gzip|deflate, gzip;q=0.5|GZIP|x-gzip|*|br;q=1.0, *;q=0.1".split('|') {
            assert!(accepts_gzip(header), "{header}");
        }
        for header in "|identity|br|gzip;q=0|gzip;q=0, *|*;q=0|gzip;q=x".split('|') {
            assert!(!accepts_gzip(header), "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_handled(header in "\\PC*") {
            let format = format(&header);
            prop_assert!(format == Format::Text || header.to_lowercase().contains("openmetrics"));
            prop_assert!(!accepts_gzip(&header) || header.to_lowercase().contains("gzip") || header.contains('*'));
        }
    }
}
