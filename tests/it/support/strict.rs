//! The strict reader of expositions, in the exporter's own formats.

use campaign_exporter::exposition::format::Format;
use testkit::exposition;
pub(crate) use testkit::exposition::{
    Family, Labels, Sample, Series, campaign_series, is_about_campaigns, series,
};

/// Reads a whole exposition. Panics if it is invalid.
pub(crate) fn read(text: &str, format: Format) -> Vec<Family> {
    exposition::read(text, format_of(format))
}

/// Reads a whole exposition.
pub(crate) fn parse(text: &str, format: Format) -> Result<Vec<Family>, String> {
    exposition::parse(text, format_of(format))
}

const fn format_of(format: Format) -> exposition::Format {
    match format {
        Format::Text => exposition::Format::Text,
        Format::OpenMetrics => exposition::Format::OpenMetrics,
    }
}
