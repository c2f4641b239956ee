//! Values of an item: where each is found, and how it is read.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::number::{DecimalSeparator, Unit};
use super::path::Path;
use super::reader::{Mapping, Part, Reader, may, one_or_more};
use super::template::Variables;
use super::time::{self, TimeFormat};
use crate::campaign::counts;
use crate::campaign::figures::{self, Currency};
use crate::document::node::Node;
use crate::provider::lenient::{self, Problems, Scalar};

/// Where a value is found, and how it is read.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The first with a value counts.
    pub sources: Vec<Source>,
    /// Whether all values are added.
    pub is_sum: bool,
    /// Whether the value is a percentage.
    pub is_percent: bool,
    /// The channels whose campaigns have the value; all if none is named.
    pub channels: Vec<String>,
    /// How numbers in text are written.
    decimal: DecimalSeparator,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub path: Path,
    /// The number of characters that are kept.
    first: Option<usize>,
}

/// The keys of a value that is not only a path.
pub(crate) const FIELD: Part = Part {
    title: "Value",
    keys: &[
        may(
            "path",
            "path, or list of paths",
            "Where the value is; of several, the first with a value counts.",
        ),
        may(
            "sum",
            "path, or list of paths",
            "Adds all values that the paths find. Missing values add nothing. If a value cannot \
             be read, there is no sum.",
        ),
        may(
            "percent",
            "path, or list of paths",
            "Divides the value by 100. A percent sign is accepted.",
        ),
        may(
            "first",
            "whole number",
            "Keeps this many characters of a text, and marks a cut with `…`.",
        ),
        may(
            "channels",
            "list of channels",
            "Reads the value for campaigns on these channels only, and on channels that the definition does not have.",
        ),
    ],
};

/// Longest text that `first` can keep.
const MAX_FIRST: u64 = 200;

impl Mapping<'_, '_> {
    /// A value of items.
    pub(super) fn field(&mut self, key: &str) -> Option<Field> {
        let path = self.path_of(key);
        let node = self.node(key)?;
        Field::read(self.reader(), &path, node)
    }
}

impl Field {
    const fn of(sources: Vec<Source>, decimal: DecimalSeparator) -> Self {
        Self { sources, is_sum: false, is_percent: false, channels: Vec::new(), decimal }
    }

    /// Reads a path, a list of alternatives, or a mapping.
    pub(super) fn read(reader: &mut Reader, path: &str, node: &Spanned<Node>) -> Option<Self> {
        let mut field = Self::of(Vec::new(), reader.decimal);
        if let Node::Map(_) = &node.value {
            reader.mapping(&FIELD, path, node, |mapping| field.read_mapping(mapping))?;
        } else {
            field.sources = sources(reader, &one_or_more(path, node));
        }
        Some(field).filter(|field| !field.sources.is_empty())
    }

    fn read_mapping(&mut self, mapping: &mut Mapping<'_, '_>) {
        let ways = ["path", "sum", "percent"];
        let given: Vec<_> = ways.into_iter().filter(|way| mapping.node(way).is_some()).collect();
        let [way] = given.as_slice() else {
            mapping.problem("", "needs one of: path, sum, percent");
            return;
        };
        let nodes = mapping.one_or_more(way);
        self.sources = sources(mapping.reader(), &nodes);
        (self.is_sum, self.is_percent) = (*way == "sum", *way == "percent");
        let first = mapping.number("first", 1, MAX_FIRST);
        let first = first.and_then(|first| usize::try_from(first).ok());
        for source in &mut self.sources {
            source.first = first;
        }
        for (path, node) in mapping.one_or_more("channels") {
            let word = |word: &str| Ok(word.to_lowercase());
            self.channels.extend(mapping.reader().text(&path, node, "a channel", word));
        }
    }

    /// The paths as the manual shows them.
    pub(super) fn shown(&self) -> String {
        let paths: Vec<_> =
            self.sources.iter().map(|source| format!("`{}`", source.path.field())).collect();
        let joined = paths.join(if self.is_sum { " + " } else { ", or " });
        match self.sources.first().and_then(|source| source.first) {
            Some(first) => format!("first {first} characters of {joined}"),
            None if self.is_percent => format!("{joined} / 100"),
            None => joined,
        }
    }

    /// The names under which its problems are counted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.path.field())
    }

    /// The first value that is present, and where. If there is none, and something else is where an
    /// object should be, the field is unreadable.
    fn found<'a>(&self, item: &'a Value, problems: &mut Problems) -> Option<(&Source, &'a Value)> {
        let is_present = |value: &&Value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            _ => true,
        };
        let found = self.sources.iter().find_map(|source| {
            let value = source.path.first(item).filter(is_present)?;
            Some((source, value))
        });
        if found.is_none() {
            self.count_blocked(item, problems);
        }
        found
    }

    /// Whether an item has a value there.
    pub(super) fn is_in(&self, item: &Value) -> bool {
        self.found(item, &mut Problems::default()).is_some()
    }

    fn count_blocked(&self, item: &Value, problems: &mut Problems) {
        let mut sources = self.sources.iter();
        if let Some(source) = sources.find(|source| source.path.is_blocked(item)) {
            problems.add(source.path.field().to_owned());
        }
    }

    /// A count.
    pub(super) fn count(&self, item: &Value, problems: &mut Problems) -> Option<u64> {
        let read = |field: &str, value: &Value, problems: &mut Problems| {
            self.read_number(field, value, Unit::None, problems, Scalar::count)
        };
        if self.is_sum {
            let sum = self.sum(item, problems, read, u64::saturating_add)?;
            let field = self.sources.first().map_or("", |source| source.path.field());
            return Scalar::Whole(sum).count(field, problems);
        }
        let (source, value) = self.found(item, problems)?;
        read(source.path.field(), value, problems)
    }

    /// A count that others may be added to.
    pub(super) fn part(&self, item: &Value, problems: &mut Problems) -> Option<u64> {
        lenient::part(problems, counts::UNREADABLE, |lost| self.count(item, lost))
    }

    /// An amount that others may be added to.
    pub(super) fn amount(&self, item: &Value, problems: &mut Problems) -> Option<f64> {
        lenient::part(problems, figures::UNREADABLE, |lost| self.number(item, lost))
    }

    /// A number that is not negative; of a percentage, the ratio.
    pub(super) fn number(&self, item: &Value, problems: &mut Problems) -> Option<f64> {
        let unit = if self.is_percent { Unit::Percent } else { Unit::Currency };
        let read = |field: &str, value: &Value, problems: &mut Problems| {
            self.read_number(field, value, unit, problems, Scalar::number)
        };
        if self.is_sum {
            let sum = self.sum(item, problems, read, figures::sum)?;
            let field = self.sources.first().map_or("", |source| source.path.field());
            return Scalar::Number(sum).number(field, problems);
        }
        let (source, value) = self.found(item, problems)?;
        let number = read(source.path.field(), value, problems)?;
        Some(if self.is_percent { lenient::ratio(number) } else { number })
    }

    /// A number that can be negative.
    pub(super) fn signed_number(&self, item: &Value, problems: &mut Problems) -> Option<f64> {
        let (source, value) = self.found(item, problems)?;
        let field = source.path.field();
        self.read_number(field, value, Unit::Currency, problems, Scalar::signed_number)
    }

    /// Whether a text of the value has the code of another currency than this one.
    pub(super) fn is_in_other_currency(&self, item: &Value, currency: Currency) -> bool {
        let found = || self.found(item, &mut Problems::default()).map(|(_, value)| ("", value));
        let values = if self.is_sum { self.values(item) } else { found().into_iter().collect() };
        values.into_iter().filter_map(|(_, value)| value.as_str()).any(|text| {
            let code = text.trim_matches(|char: char| !char.is_ascii_alphabetic());
            code.len() == 3 && !code.eq_ignore_ascii_case(currency.as_str())
        })
    }

    /// A number as `read` takes it, with the text of the answer as the example of a problem.
    fn read_number<T>(
        &self,
        field: &str,
        value: &Value,
        unit: Unit,
        problems: &mut Problems,
        read: fn(Scalar, &str, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let plain = match scalar(value) {
            Scalar::Text(text) if !text.trim().is_empty() => {
                self.decimal.plain(&text, unit).map_or(Scalar::Other, Scalar::Text)
            }
            other => other,
        };
        let mut lost = Problems::default();
        let number = read(plain, field, &mut lost);
        if !lost.is_empty() {
            problems.refuse(field, &scalar(value), unit.expected());
        }
        number
    }

    /// Text that is not empty.
    pub(super) fn text(&self, item: &Value, problems: &mut Problems) -> Option<String> {
        let (source, value) = self.found(item, problems)?;
        let text = scalar(value).word(source.path.field(), problems)?;
        Some(match source.first {
            Some(first) => first_characters(&text, first),
            None => text,
        })
    }

    /// An id.
    pub(super) fn id(&self, item: &Value, problems: &mut Problems) -> Option<String> {
        let Some((source, value)) = self.found(item, &mut Problems::default()) else {
            let field = self.names().next().unwrap_or("id").to_owned();
            problems.add(field);
            return None;
        };
        scalar(value).id(source.path.field(), problems)
    }

    /// The sum of all values. Missing ones add nothing; with one that cannot be read, the sum is not known.
    fn sum<T>(
        &self,
        item: &Value,
        problems: &mut Problems,
        read: impl Fn(&str, &Value, &mut Problems) -> Option<T>,
        add: impl Fn(T, T) -> T,
    ) -> Option<T> {
        let mut unread = Problems::default();
        self.count_blocked(item, &mut unread);
        let values = self.values(item).into_iter();
        let values = values.filter_map(|(field, value)| read(field, value, &mut unread));
        let sum = values.reduce(add).filter(|_| unread.is_empty());
        problems.merge(unread);
        sum
    }

    fn values<'a>(&'a self, item: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let sources = self.sources.iter();
        sources
            .flat_map(|source| {
                let values = source.path.all(item).into_iter();
                values.map(|value| (source.path.field(), value))
            })
            .collect()
    }
}

fn sources(reader: &mut Reader, nodes: &[(String, &Spanned<Node>)]) -> Vec<Source> {
    let mut sources = Vec::new();
    for (path, node) in nodes {
        let path = reader.text(path, node, "a path such as $.name", Path::parse);
        sources.extend(path.map(|path| Source { path, first: None }));
    }
    sources
}

/// A JSON value as values of providers are read.
pub(super) fn scalar(value: &Value) -> Scalar {
    Scalar::deserialize(value).unwrap_or(Scalar::Other)
}

/// The first characters of a text, with an ellipsis if it is cut.
fn first_characters(text: &str, first: usize) -> String {
    let mut name: String = text.chars().take(first).collect();
    if text.chars().nth(first).is_some() {
        name.push('…');
    }
    name
}

/// A time of an item.
#[derive(Clone, Debug)]
pub(super) struct TimeField {
    pub field: Field,
    pub format: Option<TimeFormat>,
    pub zone: Option<Zone>,
}

/// The keys of a time that is not only a path.
pub(crate) const TIME: Part = Part {
    title: "Time",
    keys: &[
        may(
            "path",
            "path, or list of paths",
            "Where the time is; of several, the first with a value counts.",
        ),
        may("format", "format", "How it is written; `time_format` of the definition by default."),
        may(
            "zone",
            "zone",
            "The time zone of a time without one; `time_zone` of the definition by default.",
        ),
    ],
};

/// The zone of a time without an offset.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// A fixed one.
    Fixed(Tz),
    /// The value of a setting.
    Setting(String),
    /// Named by the item.
    Path(Path),
}

impl Zone {
    /// Reads the name of a zone, a setting in braces, or a path to a name.
    pub(super) fn parse(text: &str, settings: &[String]) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            if settings.iter().any(|known| known == name) {
                return Ok(Self::Setting(name.to_owned()));
            }
            return Err(format!("no setting is called {name:?}"));
        }
        if text.starts_with('$') {
            return Path::parse(text).map(Self::Path);
        }
        time::zone(text).map(Self::Fixed)
    }

    /// The setting that has to be a zone.
    pub(super) fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting(name) => Some(name),
            Self::Fixed(_) | Self::Path(_) => None,
        }
    }

    pub(super) fn of(&self, item: &Value, variables: &Variables) -> Option<Tz> {
        match self {
            Self::Fixed(zone) => Some(*zone),
            Self::Setting(name) => variables.zone(name),
            Self::Path(path) => Tz::from_str(path.first(item)?.as_str()?).ok(),
        }
    }
}

impl TimeField {
    /// Reads a path or a mapping.
    pub(super) fn read(
        reader: &mut Reader,
        path: &str,
        node: &Spanned<Node>,
        settings: &[String],
    ) -> Option<Self> {
        let Node::Map(_) = &node.value else {
            return Some(Self {
                field: Field::read(reader, path, node)?,
                format: None,
                zone: None,
            });
        };
        let read = reader.mapping(&TIME, path, node, |mapping| {
            let nodes = mapping.one_or_more("path");
            if nodes.is_empty() {
                mapping.problem("path", "is missing");
            }
            Self {
                field: Field::of(sources(mapping.reader(), &nodes), DecimalSeparator::default()),
                format: mapping.parsed("format", TimeFormat::parse_readable),
                zone: mapping.parsed("zone", |text| Zone::parse(text, settings)),
            }
        });
        read.filter(|read| !read.field.sources.is_empty())
    }

    /// The paths as the manual shows them.
    pub(super) fn shown(&self) -> String {
        self.field.shown()
    }

    /// What is read.
    pub(super) const fn field(&self) -> &Field {
        &self.field
    }

    /// The time.
    pub(super) fn time(
        &self,
        item: &Value,
        usual: &Times,
        variables: &Variables,
        problems: &mut Problems,
    ) -> Option<DateTime<Utc>> {
        let (source, value) = self.field.found(item, problems)?;
        let format = self.format.as_ref().unwrap_or(&usual.format);
        let own_zone = self.zone.as_ref().or(usual.zone.as_ref());
        // a zone that is missing or unknown could be any: better no time than a wrong one
        let zone = own_zone.map_or(Some(Tz::UTC), |zone| zone.of(item, variables));
        let text = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        let time = format.time(&text, zone).filter(lenient::is_plausible);
        if time.is_none() {
            problems.explain(source.path.field(), || match (own_zone, zone) {
                (Some(Zone::Path(path)), None) => {
                    let name = path.first(item).map_or(Scalar::Absent, scalar);
                    format!("{name} at `{}`: not a time zone such as Europe/Zurich", path.text())
                }
                _ => format!("{}: not a time in its format", scalar(value)),
            });
        }
        time
    }
}

/// How times are written unless they say otherwise.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub format: TimeFormat,
    pub zone: Option<Zone>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_names_the_zone_of_its_time() {
        let yaml = "{path: $.at, format: '%Y-%m-%d %H:%M', zone: $.tz.name}";
        let mut reader = Reader::default();
        let node = Node::parse(yaml).unwrap();
        let field = TimeField::read(&mut reader, "x", &node, &[]).unwrap();
        let usual = Times { format: TimeFormat::Rfc3339, zone: None };
        for (zone, expected, problem) in [
            (json!({"name": "America/New_York"}), Some("2026-03-01T17:00:00+00:00"), ""),
            (json!({"name": "New York"}), None, r#"at: 1 value, "New York" at `$.tz.name`: not a"#),
            (json!(null), None, "at: 1 value, no value at `$.tz.name`: not a time zone"),
        ] {
            let item = json!({"at": "2026-03-01 12:00", "tz": zone});
            let mut problems = Problems::default();
            let time = field.time(&item, &usual, &Variables::default(), &mut problems);
            let time = time.map(|time| time.to_rfc3339());
            assert_eq!(time.as_deref(), expected, "{zone}");
            assert!(problems.to_string().starts_with(problem), "{problems}");
            assert_eq!(problems.is_empty(), expected.is_some(), "{zone}");
        }
    }

    fn field(yaml: &str) -> Field {
        let mut reader = Reader::default();
        let node = Node::parse(yaml).unwrap();
        let field = Field::read(&mut reader, "x", &node);
        field.unwrap_or_else(|| panic!("{:?}", reader.problems))
    }

    #[test]
    fn a_value_is_the_first_of_several_or_their_sum() {
        let item = json!({"most": 9_007_199_254_740_991_u64,
            "a": null, "b": " ", "c": "7", "d": 2.0, "links": [{"n": 3}, {"n": "4"}, {"n": null}],
            "rate": "98.5 %", "bad": "many", "rows": [{"n": 1}, 2],
        });
        for (yaml, expected, problems) in [
            ("$.c", Some(7), 0),
            ("[$.a, $.b, $.c, $.d]", Some(7), 0),
            ("[$.bad, $.c]", None, 1),
            ("{sum: [$.a, $.c, $.d]}", Some(9), 0),
            ("{sum: '$.links[*].n'}", Some(7), 0),
            ("{sum: [$.a, $.b]}", None, 0),
            ("{sum: [$.bad, $.c]}", None, 1),
            // not all rows are objects
            ("{sum: '$.rows[*].n'}", None, 1),
            ("{sum: '$.c[*].n'}", None, 1),
            ("{sum: [$.most, $.c]}", None, 1),
            ("$.none", None, 0),
        ] {
            let mut counted = Problems::default();
            assert_eq!(field(yaml).count(&item, &mut counted), expected, "{yaml}");
            let counted: u64 = counted.iter().map(|(_, count)| count).sum();
            assert_eq!(counted, problems, "{yaml}");
        }
        let mut problems = Problems::default();
        let rate = field("{percent: $.rate}").number(&item, &mut problems);
        assert_eq!(rate, Some(0.985));
        let text = field("{path: $.rate, first: 2}").text(&item, &mut problems);
        assert_eq!(text.as_deref(), Some("98…"));
        assert!(problems.is_empty());
    }
}
