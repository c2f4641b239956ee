//! The text formats of Prometheus: 0.0.4 and OpenMetrics 1.0.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::Write;

use prometheus::proto::{Metric, MetricFamily, MetricType};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// Returns the value of the `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns the end of every exposition.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }
}

/// Writes families and their samples.
#[derive(Debug)]
pub struct Writer {
    out: String,
    format: Format,
}

impl Writer {
    /// Returns a writer of an empty exposition.
    pub const fn new(format: Format) -> Self {
        Self { out: String::new(), format }
    }

    /// Returns the text written so far.
    pub fn into_string(self) -> String {
        self.out
    }

    /// Writes the header of a gauge. At least one sample must follow immediately.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.header(name, help, "gauge");
    }

    fn header(&mut self, name: &str, help: &str, kind: &str) {
        self.push(["# HELP ", name, " "]);
        for char in help.chars() {
            match char {
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '"' if self.format == Format::OpenMetrics => self.out.push_str("\\\""),
                other => self.out.push(other),
            }
        }
        self.push(["\n# TYPE ", name, " "]);
        self.push([kind, "\n", ""]);
        if self.format == Format::OpenMetrics && name.ends_with("_seconds") {
            self.push(["# UNIT ", name, " seconds\n"]);
        }
    }

    fn push(&mut self, parts: [&str; 3]) {
        for part in parts {
            self.out.push_str(part);
        }
    }

    /// Writes a sample. `labels` is a block from [`labels`].
    pub fn sample(&mut self, name: &str, labels: &str, value: f64) {
        sample(&mut self.out, name, labels, value);
    }

    /// Writes samples from [`sample`].
    pub fn samples(&mut self, samples: &str) {
        self.out.push_str(samples);
    }

    /// Writes families of the `prometheus` crate.
    pub fn families(&mut self, families: &[MetricFamily]) {
        for family in families {
            self.family_header(family);
            self.family_samples(family);
        }
    }

    /// Writes the header of a family of the `prometheus` crate.
    pub fn family_header(&mut self, family: &MetricFamily) {
        let (name, help) = (family.name(), family.help());
        match family.get_field_type() {
            MetricType::COUNTER => {
                // in OpenMetrics, only the samples of a counter have the suffix
                let name = match self.format {
                    Format::Text => name,
                    Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
                };
                self.header(name, help, "counter");
            }
            MetricType::HISTOGRAM => self.header(name, help, "histogram"),
            // this program registers no other types
            _ => self.header(name, help, "gauge"),
        }
    }

    /// Writes the samples of a family of the `prometheus` crate.
    pub fn family_samples(&mut self, family: &MetricFamily) {
        let name = family.name();
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    self.sample(name, &pairs(metric), metric.get_counter().get_value());
                }
                MetricType::HISTOGRAM => self.histogram(name, metric),
                _ => self.sample(name, &pairs(metric), metric.get_gauge().get_value()),
            }
        }
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        let labels = pairs(metric);
        let bucket_name = format!("{name}_bucket");
        let buckets = histogram.get_bucket().iter();
        let buckets = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let last = (f64::INFINITY, histogram.get_sample_count());
        for (bound, count) in buckets.chain([last]) {
            let mut le = String::new();
            write_number(&mut le, bound);
            // OpenMetrics requires bounds in the form of floats
            if self.format == Format::OpenMetrics && bound.fract() == 0.0 {
                le.push_str(".0");
            }
            let separator = if labels.is_empty() { "" } else { "," };
            self.sample(&bucket_name, &format!("{labels}{separator}le=\"{le}\""), count as f64);
        }
        self.sample(&format!("{name}_sum"), &labels, histogram.get_sample_sum());
        self.sample(&format!("{name}_count"), &labels, histogram.get_sample_count() as f64);
    }
}

fn pairs(metric: &Metric) -> String {
    let pairs = metric.get_label().iter();
    labels(pairs.map(|pair| (pair.name(), pair.value())))
}

/// Writes a sample of a gauge, which is the same in both formats. `labels` is a block from
/// [`labels`].
pub fn sample(out: &mut String, name: &str, labels: &str, value: f64) {
    sample_with(out, name, labels, [], value);
}

/// Writes a sample as [`sample`] does, with further labels after those of the block.
pub fn sample_with<'a>(
    out: &mut String,
    name: &str,
    labels: &str,
    further: impl IntoIterator<Item = (&'a str, &'a str)>,
    value: f64,
) {
    out.push_str(name);
    let begin = out.len();
    out.push('{');
    out.push_str(labels);
    write_labels(out, begin + 1, further);
    if out.len() > begin + 1 {
        out.push('}');
    } else {
        out.truncate(begin);
    }
    out.push(' ');
    write_number(out, value);
    out.push('\n');
}

/// Bytes that the labels of most campaigns fit in.
const USUAL_LABELS_BYTES: usize = 128;

/// Returns a block of escaped labels, without braces.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut block = String::with_capacity(USUAL_LABELS_BYTES);
    write_labels(&mut block, 0, pairs);
    block
}

/// Writes labels after those that begin at `begin`.
fn write_labels<'a>(
    out: &mut String,
    begin: usize,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    for (name, value) in pairs {
        if out.len() > begin {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value);
        out.push('"');
    }
}

fn escape(out: &mut String, value: &str) {
    if memchr::memchr3(b'\\', b'"', b'\n', value.as_bytes()).is_none() {
        out.push_str(value);
        return;
    }
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

/// Largest float that is written as an integer, which is much faster.
const MAX_INTEGER: f64 = (1_u64 << 53) as f64;

/// Writes a finite number in its shortest exact form, or `+Inf`.
fn write_number(out: &mut String, value: f64) {
    if value == f64::INFINITY {
        out.push_str("+Inf");
    } else if value.fract() == 0.0 && value.is_sign_positive() && value <= MAX_INTEGER {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: whole, not negative and at most 2^53"
        )]
        out.push_str(itoa::Buffer::new().format(value as u64));
    } else {
        // writing to a String cannot fail
        write!(out, "{value}").unwrap_or_default();
    }
}
