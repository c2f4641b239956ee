//! A strict parser of both text formats.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> and
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>, plus the exporter's own rules: every family
//! has HELP, TYPE, and a sample, and no sample is infinite or has a timestamp.

use std::collections::{BTreeMap, BTreeSet};

/// The format of an exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// Labels in their original order.
pub type Pairs = Vec<(String, String)>;

/// All samples by name and labels.
pub type Series = BTreeMap<(String, Labels), f64>;

/// A family with its samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The name, in OpenMetrics without the suffix of its samples.
    pub name: String,
    /// The type.
    pub kind: String,
    /// The help text.
    pub help: String,
    /// The unit, which only OpenMetrics has.
    pub unit: Option<String>,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// A sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name, with any suffix.
    pub name: String,
    /// The labels.
    pub labels: Pairs,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// Returns the labels by name.
    pub fn labels(&self) -> Labels {
        self.labels.iter().cloned().collect()
    }
}

/// Parses an exposition, or panics with the problem and the text.
pub fn read(text: &str, format: Format) -> Vec<Family> {
    parse(text, format).unwrap_or_else(|problem| panic!("{format:?}: {problem}\n{text}"))
}

/// Returns all samples of the families.
pub fn series(families: &[Family]) -> Series {
    let samples = families.iter().flat_map(|family| &family.samples);
    samples.map(|sample| ((sample.name.clone(), sample.labels()), sample.value)).collect()
}

/// Returns the samples on campaigns and accounts, without those on the exporter.
pub fn campaign_series(families: &[Family]) -> Series {
    let mut series = series(families);
    series.retain(|(name, _), _| is_about_campaigns(name));
    series
}

/// Returns whether a family is about campaigns or accounts, not the exporter.
pub fn is_about_campaigns(name: &str) -> bool {
    name.starts_with("campaign_") && !name.starts_with("campaign_exporter_")
}

/// Parses an exposition.
pub fn parse(text: &str, format: Format) -> Result<Vec<Family>, String> {
    let Some(text) = text.strip_suffix('\n') else {
        return Err("no newline at the end".to_owned());
    };
    let mut lines: Vec<&str> = text.split('\n').collect();
    if format == Format::OpenMetrics && lines.pop() != Some("# EOF") {
        return Err("no # EOF at the end".to_owned());
    }
    let mut parser =
        Parser { format, families: Vec::new(), names: BTreeSet::new(), series: BTreeSet::new() };
    for line in lines {
        let read = parser.line(line);
        read.map_err(|problem| format!("{problem}: {line:?}"))?;
    }
    parser.end_family()?;
    Ok(parser.families)
}

struct Parser {
    format: Format,
    families: Vec<Family>,
    names: BTreeSet<String>,
    series: BTreeSet<(String, Labels)>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let Some(comment) = line.strip_prefix('#') else {
            return self.sample(line);
        };
        let mut parts = comment.strip_prefix(' ').unwrap_or_default().splitn(3, ' ');
        let (keyword, name, rest) = (parts.next(), parts.next(), parts.next());
        let (Some(keyword), Some(name), Some(rest)) = (keyword, name, rest) else {
            return Err("neither HELP nor TYPE nor UNIT with a name and a text".to_owned());
        };
        let open_metrics = self.format == Format::OpenMetrics;
        let family = self.family(name)?;
        if !family.samples.is_empty() {
            return Err(format!("{keyword} after samples"));
        }
        match keyword {
            "HELP" if family.help.is_empty() && !rest.is_empty() => {
                family.help = unescape(rest, open_metrics)?;
            }
            "TYPE" if family.kind.is_empty() => {
                if !["gauge", "counter", "histogram"].contains(&rest) {
                    return Err("unknown type".to_owned());
                }
                if open_metrics && rest == "counter" && name.ends_with("_total") {
                    return Err("the family of a counter is named without _total".to_owned());
                }
                rest.clone_into(&mut family.kind);
            }
            "UNIT" if open_metrics && family.unit.is_none() => {
                if rest.is_empty() || !name.ends_with(&format!("_{rest}")) {
                    return Err("the unit is not a suffix of the name".to_owned());
                }
                family.unit = Some(rest.to_owned());
            }
            _ => return Err(format!("{keyword} has no place here")),
        }
        Ok(())
    }

    /// Returns the family of a line about `name`.
    fn family(&mut self, name: &str) -> Result<&mut Family, String> {
        if self.families.last().is_none_or(|last| last.name != name) {
            self.end_family()?;
            if !is_name(name, true) {
                return Err("a name that is none".to_owned());
            }
            if !self.names.insert(name.to_owned()) {
                return Err("duplicate family".to_owned());
            }
            self.families.push(Family { name: name.to_owned(), ..Family::default() });
        }
        self.families.last_mut().ok_or_else(String::new)
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let (name, labels, rest) = match line.find(['{', ' ']) {
            Some(end) if line[end..].starts_with('{') => {
                let (labels, rest) = read_labels(&line[end + 1..])?;
                (&line[..end], labels, rest)
            }
            Some(end) => (&line[..end], Vec::new(), &line[end..]),
            None => return Err("no value".to_owned()),
        };
        let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
        let value = read_number(value)?;
        let by_name: Labels = labels.iter().cloned().collect();
        if by_name.len() != labels.len() {
            return Err("duplicate label".to_owned());
        }
        if !self.series.insert((name.to_owned(), by_name)) {
            return Err("duplicate series".to_owned());
        }
        let format = self.format;
        let family = self.families.last_mut().ok_or("a sample of no family")?;
        let suffixes: &[&str] = match (family.kind.as_str(), format) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", Format::OpenMetrics) => &["_total"],
            _ => &[""],
        };
        let suffix = name.strip_prefix(family.name.as_str());
        if !suffix.is_some_and(|suffix| suffixes.contains(&suffix)) {
            return Err(format!("no sample of {} {}", family.kind, family.name));
        }
        family.samples.push(Sample { name: name.to_owned(), labels, value });
        Ok(())
    }

    /// Checks a complete family.
    fn end_family(&self) -> Result<(), String> {
        let Some(family) = self.families.last() else {
            return Ok(());
        };
        let name = &family.name;
        if family.kind.is_empty() || family.help.is_empty() {
            return Err(format!("{name} lacks TYPE or HELP"));
        }
        if family.samples.is_empty() {
            return Err(format!("{name} has no sample"));
        }
        if family.kind == "histogram" {
            check_histogram(family, self.format).map_err(|problem| format!("{name} {problem}"))?;
        }
        Ok(())
    }
}

fn check_histogram(family: &Family, format: Format) -> Result<(), String> {
    let mut groups = BTreeMap::<Labels, Vec<_>>::new();
    for sample in &family.samples {
        let mut labels = sample.labels();
        let bound = labels.remove("le");
        let suffix = sample.name.strip_prefix(family.name.as_str());
        let member = (suffix.unwrap_or_default(), bound, sample.value);
        groups.entry(labels).or_default().push(member);
    }
    for members in groups.into_values() {
        let only = |wanted: &str| {
            let mut found = members.iter().filter(|(suffix, ..)| *suffix == wanted);
            match (found.next(), found.next()) {
                (Some((_, None, value)), None) => Ok(*value),
                _ => Err(format!("has not one {wanted}")),
            }
        };
        let count = only("_count")?;
        only("_sum")?;
        let (mut last_bound, mut below) = (f64::NEG_INFINITY, 0.0);
        for (_, bound, value) in members.iter().filter(|(suffix, ..)| *suffix == "_bucket") {
            let text = bound.as_deref().ok_or("has a bucket without le")?;
            let bound = match text {
                "+Inf" => f64::INFINITY,
                text if format == Format::OpenMetrics && !text.contains(['.', 'e']) => {
                    return Err(format!("has {text}, no canonical float, as a bound"));
                }
                text => read_number(text)?,
            };
            if bound <= last_bound || *value < below {
                return Err("has falling buckets".to_owned());
            }
            (last_bound, below) = (bound, *value);
        }
        #[expect(clippy::float_cmp, reason = "counts are whole")]
        if last_bound != f64::INFINITY || below != count {
            return Err("has no +Inf bucket that holds all".to_owned());
        }
    }
    Ok(())
}

/// Parses the labels after the opening brace; returns them with the rest after the closing brace.
fn read_labels(mut rest: &str) -> Result<(Pairs, &str), String> {
    let mut labels = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name, false) {
            return Err(format!("{name:?} is not a label name"));
        }
        let end = closing_quote(value).ok_or("a value without an end")?;
        labels.push((name.to_owned(), unescape(&value[..end], true)?));
        rest = &value[end + 1..];
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
    }
}

/// Returns the position of the first unescaped quote.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some('\\') => out.push('\\'),
                Some('n') => out.push('\n'),
                Some('"') if quotes => out.push('"'),
                _ => return Err("a bad escape".to_owned()),
            },
            '"' if quotes => return Err("a quote that is not escaped".to_owned()),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Parses a finite number, which must not be followed by a timestamp or an exemplar.
fn read_number(text: &str) -> Result<f64, String> {
    let allowed = |byte: u8| byte.is_ascii_digit() || b"+-.e".contains(&byte);
    if !text.bytes().all(allowed) {
        return Err("not one finite number".to_owned());
    }
    let number: Result<f64, _> = text.parse();
    let number = number.map_err(|_| "not a number".to_owned())?;
    if number.is_finite() { Ok(number) } else { Err("too large a number".to_owned()) }
}

/// Checks the name of a metric, or of a label, which must not contain colons.
fn is_name(text: &str, colons: bool) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    text.bytes().next().is_some_and(first)
        && !text.starts_with("__")
        && text.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics];

    const GAUGE: &str = "# HELP g Help.\n# TYPE g gauge\n";
    const HISTOGRAM: &str = "# HELP h Help.\n# TYPE h histogram\n";

    const fn end(format: Format) -> &'static str {
        match format {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }

    fn refusal(text: &str, format: Format) -> String {
        match parse(text, format) {
            Ok(families) => panic!("accepted in {format:?}: {text:?} as {families:?}"),
            Err(problem) => problem,
        }
    }

    /// Checks that both formats are rejected with the expected reason.
    fn is_refused(text: &str, problem: &str) {
        for format in FORMATS {
            let found = refusal(&format!("{text}{}", end(format)), format);
            assert!(found.contains(problem), "{format:?} {text:?}: {found}");
        }
    }

    #[test]
    fn valid_expositions_are_accepted() {
        let text = "# HELP a_seconds A \\\\ and \\n B.\n# TYPE a_seconds gauge\n\
                    a_seconds 1\na_seconds{x=\"a\\\\b\\\"c\\nd,}\",y=\"\r\0\"} -2.5e-3\n";
        let families = read(text, Format::Text);
        let open_metrics = text.replace("gauge\n", "gauge\n# UNIT a_seconds seconds\n") + "# EOF\n";
        let mut others = read(&open_metrics, Format::OpenMetrics);
        assert_eq!(others[0].unit.take().as_deref(), Some("seconds"));
        assert_eq!(families, others);
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].help, "A \\ and \n B.");
        assert_eq!(families[0].kind, "gauge");
        let labels = [("x", "a\\b\"c\nd,}"), ("y", "\r\0")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = BTreeMap::from([
            (("a_seconds".to_owned(), Labels::new()), 1.0),
            (("a_seconds".to_owned(), Labels::from(labels)), -0.0025),
        ]);
        assert_eq!(series(&families), expected);
    }

    #[test]
    fn counters_and_histograms_are_read_in_both_formats() {
        let text = "# HELP c_total C.\n# TYPE c_total counter\nc_total 3\n# HELP h H.\n\
                    # TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\n\
                    h_sum 1.5\nh_count 2\n";
        assert_eq!(read(text, Format::Text).len(), 2);
        let text = text.replace("P c_total", "P c").replace("E c_total", "E c") + "# EOF\n";
        assert_eq!(read(&text, Format::OpenMetrics).len(), 2);
    }

    #[test]
    fn the_end_marker_must_match_the_format() {
        let samples = format!("{GAUGE}g 1");
        for format in FORMATS {
            assert!(refusal(&samples, format).contains("no newline"));
        }
        let samples = samples + "\n";
        assert!(refusal(&samples, Format::OpenMetrics).contains("no # EOF"));
        let early = format!("{GAUGE}# EOF\ng 1\n# EOF\n");
        assert!(refusal(&early, Format::OpenMetrics).contains("neither HELP"));
        let twice = format!("{samples}# EOF\n# EOF\n");
        assert!(refusal(&twice, Format::OpenMetrics).contains("neither HELP"));
        let unfinished = format!("{samples}# EOF");
        assert!(refusal(&unfinished, Format::OpenMetrics).contains("no newline"));
        let text = format!("{samples}# EOF\n");
        assert!(refusal(&text, Format::Text).contains("neither HELP"));
    }

    #[test]
    fn samples_must_follow_their_family() {
        is_refused("g 1\n", "a sample of no family");
        is_refused(&format!("{GAUGE}g 1\nother 1\n"), "no sample of gauge g");
        let other = GAUGE.replace(" g ", " o ");
        is_refused(&format!("{GAUGE}g 1\n{other}o 1\ng{{a=\"b\"}} 1\n"), "no sample of gauge o");
        is_refused(&format!("{HISTOGRAM}h 1\n"), "no sample of histogram h");
        is_refused(&format!("{GAUGE}g 1\n{other}o 1\n{GAUGE}g{{a=\"b\"}} 1\n"), "duplicate");
    }

    #[test]
    fn metadata_must_come_first_and_once() {
        is_refused("# HELP g Help.\ng 1\n", "lacks TYPE or HELP");
        is_refused("# TYPE g gauge\ng 1\n", "lacks TYPE or HELP");
        is_refused("# HELP g \n# TYPE g gauge\ng 1\n", "HELP has no place");
        is_refused(GAUGE, "has no sample");
        is_refused("# HELP g Help.\ng 1\n# TYPE g gauge\n", "TYPE after samples");
        is_refused("# TYPE g gauge\ng 1\n# HELP g Help.\n", "HELP after samples");
        is_refused(&format!("{GAUGE}# TYPE g gauge\ng 1\n"), "TYPE has no place");
        is_refused(&format!("{GAUGE}# HELP g Again.\ng 1\n"), "HELP has no place");
        is_refused("# HELP g Help.\n# TYPE g number\ng 1\n", "unknown type");
        is_refused("# HELP g-h Help.\n", "a name that is none");
        is_refused("# HELP g A \\x.\n# TYPE g gauge\ng 1\n", "a bad escape");
        is_refused(&format!("# comment\n{GAUGE}g 1\n"), "neither HELP");
        is_refused(&format!("#HELP g Help.\n{GAUGE}g 1\n"), "neither HELP");
        is_refused(&format!("\n{GAUGE}g 1\n"), "no value");
    }

    #[test]
    fn series_and_labels_must_be_unique() {
        is_refused(&format!("{GAUGE}g 1\ng 1\n"), "duplicate series");
        is_refused(
            &format!("{GAUGE}g{{a=\"1\",b=\"2\"}} 1\ng{{b=\"2\",a=\"1\"}} 2\n"),
            "duplicate series",
        );
        is_refused(&format!("{GAUGE}g{{a=\"1\",a=\"2\"}} 1\n"), "duplicate label");
    }

    #[test]
    fn labels_must_be_well_formed() {
        for (labels, problem) in [
            ("{a=\"\\x\"}", "a bad escape"),
            ("{a=\"\\\"}", "a value without an end"),
            ("{a=\"b}", "a value without an end"),
            ("{a=\"b\"c=\"d\"}", "no comma"),
            ("{a=\"b\",}", "a label without a value"),
            ("{}", "a label without a value"),
            ("{ a=\"b\"}", "is not a label name"),
            ("{a:b=\"c\"}", "is not a label name"),
            ("{1a=\"c\"}", "is not a label name"),
            ("{__a=\"c\"}", "is not a label name"),
            ("{a=\"b\"}x", "no blank"),
        ] {
            is_refused(&format!("{GAUGE}g{labels} 1\n"), problem);
        }
    }

    #[test]
    fn values_must_be_finite_and_without_timestamps() {
        for value in [
            "NaN",
            "nan",
            "+Inf",
            "-Inf",
            "inf",
            "1 1712092393000",
            "1 # {a=\"b\"} 1",
            "1 ",
            "0x1",
            "1_000",
            "one",
        ] {
            is_refused(&format!("{GAUGE}g {value}\n"), "not one finite number");
        }
        for value in ["", "1.2.3", "--1", "1e"] {
            is_refused(&format!("{GAUGE}g {value}\n"), "not a number");
        }
        is_refused(&format!("{GAUGE}g 1e999\n"), "too large a number");
        is_refused(&format!("{GAUGE}g\n"), "no value");
    }

    #[test]
    fn open_metrics_rules_are_checked() {
        for (text, problem) in [
            ("# HELP c C.\n# TYPE c counter\nc 1\n", "no sample of counter c"),
            ("# HELP c_total C.\n# TYPE c_total counter\nc_total 1\n", "without _total"),
            ("# HELP g A \"b\".\n# TYPE g gauge\ng 1\n", "a quote that is not escaped"),
            ("# HELP g G.\n# TYPE g gauge\n# UNIT g seconds\ng 1\n", "not a suffix"),
            (
                "# HELP gseconds G.\n# TYPE gseconds gauge\n# UNIT gseconds seconds\ngseconds 1\n",
                "not a suffix",
            ),
        ] {
            let found = refusal(&format!("{text}# EOF\n"), Format::OpenMetrics);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
        let unit = "# HELP g_s G.\n# TYPE g_s gauge\n# UNIT g_s s\ng_s 1\n";
        assert!(refusal(unit, Format::Text).contains("UNIT has no place"));
        let quote = "# HELP g A \\\"b\\\".\n# TYPE g gauge\ng 1\n";
        assert!(refusal(quote, Format::Text).contains("a bad escape"));
    }

    #[test]
    fn histograms_must_be_complete_and_cumulative() {
        for (samples, problem) in [
            ("h_bucket{le=\"0.5\"} 1\nh_sum 1\nh_count 1\n", "no +Inf"),
            ("h_sum 1\nh_count 1\n", "no +Inf"),
            ("h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n", "no +Inf"),
            ("h_bucket{le=\"0.5\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", "falling"),
            (
                "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"0.2\"} 1\nh_bucket{le=\"+Inf\"} 1\n\
                 h_sum 1\nh_count 1\n",
                "falling",
            ),
            ("h_bucket{le=\"+Inf\"} 1\nh_count 1\n", "not one _sum"),
            ("h_bucket{le=\"+Inf\"} 1\nh_sum 1\n", "not one _count"),
            ("h_bucket 1\nh_sum 1\nh_count 1\n", "without le"),
        ] {
            is_refused(&format!("{HISTOGRAM}{samples}"), problem);
        }
        let whole = format!(
            "{HISTOGRAM}h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"
        );
        assert!(parse(&whole, Format::Text).is_ok());
        let found = refusal(&format!("{whole}# EOF\n"), Format::OpenMetrics);
        assert!(found.contains("no canonical float"), "{found}");
    }
}
