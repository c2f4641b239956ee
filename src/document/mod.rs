//! A YAML document whose every problem is found, each with its place.
//!
//! Deserialising into structs would stop at the first problem and cannot say where an unknown key
//! stands, so a file is read into a tree of [`Node`]s first and a [`Section`] then takes its
//! values key by key, collecting what is wrong with them.

pub mod secret;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use crate::document::secret::SecretSource;

/// Anything that can stand in a YAML document.
#[derive(Debug)]
pub enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Spanned<Node>>),
    /// A mapping, with keys as often as they stand there.
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Spanned<Self>, Problem> {
        let options = serde_saphyr::options! {
            // a snippet would show neighbouring lines, and with them a misplaced secret
            with_snippet: false,
            // repeated keys are reported by the section, along with all other problems
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| Problem {
            place: error.location().map(Place::from),
            path: String::new(),
            message: format!("not valid YAML: {}", error.without_snippet()),
        })
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;

        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a YAML value")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Node, D::Error> {
                inner.deserialize_any(self)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Integer(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Integer(value.into()))
            }

            fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
                Ok(Node::Integer(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }

        deserializer.deserialize_any(NodeVisitor)
    }
}

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    line: u64,
    column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self {
            line: location.line(),
            column: location.column(),
        }
    }
}

impl Place {
    fn of<T>(value: &Spanned<T>) -> Self {
        value.referenced.into()
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Option<Place>,
    /// The key's path, such as `accounts[1].poll_interval`; empty for the document as a whole.
    pub path: String,
    /// What, without the value of anything that may be a secret.
    pub message: String,
}

impl Problem {
    /// A problem with what stands at a key.
    pub fn at(key: &Spanned<String>, path: &str, message: &str) -> Self {
        Self {
            place: Some(Place::of(key)),
            path: path.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(formatter, "{}:{}: ", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// The values of a section as they are in force, defaults included, in the order they were read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective(Vec<(String, Value)>);

impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// One mapping of the document, whose values are taken key by key.
pub struct Section<'doc> {
    path: String,
    place: Place,
    entries: &'doc [(Spanned<String>, Spanned<Node>)],
    known: Vec<String>,
    problems: Vec<Problem>,
    effective: Effective,
}

impl<'doc> Section<'doc> {
    /// The section that stands at `path`, which has to be a mapping.
    pub fn new(path: &str, node: &'doc Spanned<Node>) -> Result<Self, Problem> {
        let place = Place::of(node);
        let Node::Map(entries) = &node.value else {
            return Err(Problem {
                place: Some(place),
                path: path.to_owned(),
                message: format!("expected a mapping, found {}", node.value.kind()),
            });
        };
        Ok(Self {
            path: path.to_owned(),
            place,
            entries,
            known: Vec::new(),
            problems: Vec::new(),
            effective: Effective::default(),
        })
    }

    /// Whatever keys stand here are let pass: what they should be is not known.
    pub fn let_pass(&mut self) {
        self.known
            .extend(self.entries.iter().map(|(key, _)| key.value.clone()));
    }

    /// Ends the reading: unknown and repeated keys become problems.
    pub fn finish(mut self) -> (Effective, Vec<Problem>) {
        // sets: a mapping may have as many keys as fit in the file
        let known: HashSet<&str> = self.known.iter().map(String::as_str).collect();
        let mut seen = HashSet::new();
        for (key, _) in self.entries {
            let name = key.value.as_str();
            let message = if !seen.insert(name) {
                "stands here twice".to_owned()
            } else if known.contains(name) {
                continue;
            } else if known.contains(format!("{name}_file").as_str()) {
                format!("a secret is never given inline: write {name}_file or {name}_env")
            } else {
                // a colon without a blank after it makes a key of a secret, and most have digits
                let plain = name
                    .chars()
                    .all(|char| char.is_ascii_lowercase() || char == '_');
                let shown = if plain {
                    format!(" {name:?}")
                } else {
                    String::new()
                };
                format!("unknown key{shown}; known here: {}", self.known.join(", "))
            };
            self.problems.push(Problem {
                place: Some(Place::of(key)),
                path: self.path.clone(),
                message,
            });
        }
        (self.effective, self.problems)
    }

    /// Records a problem with `key`, at its place or, where it is missing, at the section's.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let place = self.entry(key).map_or(self.place, Place::of);
        self.problem_at(place, key, message);
    }

    /// Where `key` stands in the document.
    pub fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn problem_at(&mut self, place: Place, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.problems.push(Problem {
            place: Some(place),
            path,
            message: message.into(),
        });
    }

    fn entry(&self, key: &str) -> Option<&'doc Spanned<Node>> {
        self.entries
            .iter()
            .find(|(name, _)| name.value == key)
            .map(|(_, node)| node)
    }

    /// The value of `key`; a key without a value counts as left out.
    pub fn take(&mut self, key: &str) -> Option<&'doc Spanned<Node>> {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.to_owned());
        }
        self.entry(key)
            .filter(|node| !matches!(node.value, Node::Null))
    }

    fn expected(&mut self, key: &str, what: &str, found: &Node) {
        self.problem(key, format!("expected {what}, found {}", found.kind()));
    }

    /// Shows a value in the effective configuration.
    pub fn show(&mut self, key: &str, value: impl Into<Value>) {
        self.effective.0.push((key.to_owned(), value.into()));
    }

    /// Text that is not empty.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match &self.take(key)?.value {
            Node::Text(text) if !text.trim().is_empty() => {
                self.show(key, text.as_str());
                Some(text.clone())
            }
            Node::Text(_) => {
                self.problem(key, "is empty");
                None
            }
            Node::Integer(_) | Node::Float(_) | Node::Bool(_) => {
                self.problem(key, "expected text: put the value in quotes");
                None
            }
            other => {
                self.expected(key, "text", other);
                None
            }
        }
    }

    /// Text that is not empty, or a default.
    pub fn text_or(&mut self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.show(key, default);
            default.to_owned()
        })
    }

    /// Text that must be there.
    pub fn required_text(&mut self, key: &str) -> Option<String> {
        if self
            .entry(key)
            .is_none_or(|node| matches!(node.value, Node::Null))
        {
            self.known.push(key.to_owned());
            self.problem(key, "is missing");
            return None;
        }
        self.text(key)
    }

    /// A duration such as `5m`, within `range`.
    pub fn duration(
        &mut self,
        key: &str,
        default: Duration,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Duration {
        let value = self.written_duration(key, range).unwrap_or(default);
        self.show(key, duration_text(value));
        value
    }

    /// A duration that may be left out, within `range`.
    pub fn optional_duration(
        &mut self,
        key: &str,
        default: Option<Duration>,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = self.written_duration(key, range).or(default)?;
        self.show(key, duration_text(value));
        Some(value)
    }

    fn written_duration(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = match &self.take(key)?.value {
            Node::Text(text) => text,
            Node::Integer(number) => {
                self.problem(
                    key,
                    format!("{number} has no unit: write for example {number}s"),
                );
                return None;
            }
            other => {
                self.expected(key, "a duration", other);
                return None;
            }
        };
        let Some(value) = parse_duration(text) else {
            self.problem(
                key,
                format!("{text:?} is not a duration: write for example 30s, 5m, 12h or 30d"),
            );
            return None;
        };
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            let (least, most) = (duration_text(least), duration_text(most));
            self.problem(key, format!("{text} is not between {least} and {most}"));
            return None;
        }
        Some(value)
    }

    /// A whole number within `range`.
    pub fn integer(
        &mut self,
        key: &str,
        default: Option<u64>,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let mut value = default;
        match self.take(key).map(|node| &node.value) {
            None => {}
            Some(Node::Integer(number)) => match u64::try_from(*number) {
                Ok(number) if range.contains(&number) => value = Some(number),
                _ => {
                    let (least, most) = (range.start(), range.end());
                    self.problem(key, format!("{number} is not between {least} and {most}"));
                }
            },
            Some(other) => self.expected(key, "a whole number", other),
        }
        if let Some(value) = value {
            self.show(key, value);
        }
        value
    }

    /// A number above 0 and not above `most`.
    pub fn positive_number(&mut self, key: &str, default: Option<f64>, most: f64) -> Option<f64> {
        let mut value = default;
        let written = match self.take(key).map(|node| &node.value) {
            None => None,
            Some(Node::Float(number)) => Some(*number),
            Some(Node::Integer(number)) => Some(*number as f64),
            Some(other) => {
                self.expected(key, "a number", other);
                None
            }
        };
        match written {
            Some(number) if number > 0.0 && number <= most => value = written,
            Some(number) => {
                self.problem(key, format!("{number} is not above 0 and at most {most}"));
            }
            None => {}
        }
        if let Some(value) = value {
            self.show(key, value);
        }
        value
    }

    /// A list of words, each one of `words`, none of them twice.
    pub fn choices<T: Clone + PartialEq>(
        &mut self,
        key: &str,
        default: &[T],
        words: &[(&'static str, T)],
    ) -> Vec<T> {
        let mut chosen = default.to_vec();
        if let Some(node) = self.take(key) {
            chosen = Vec::new();
            let Node::List(items) = &node.value else {
                self.expected(key, "a list", &node.value);
                return default.to_vec();
            };
            let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let allowed = allowed.join(", ");
            for item in items {
                let found = match &item.value {
                    Node::Text(text) => words.iter().find(|(word, _)| word == text),
                    _ => None,
                };
                let place = Place::of(item);
                match (found, &item.value) {
                    (Some((word, choice)), _) if chosen.contains(choice) => {
                        self.problem_at(place, key, format!("{word} stands here twice"));
                    }
                    (Some((_, choice)), _) => chosen.push(choice.clone()),
                    (None, Node::Text(text)) => {
                        self.problem_at(place, key, format!("{text:?} is none of: {allowed}"));
                    }
                    (None, _) => self.problem_at(place, key, format!("expected one of: {allowed}")),
                }
            }
        }
        let names = words.iter().filter(|(_, choice)| chosen.contains(choice));
        self.show(key, names.map(|(word, _)| *word).collect::<Vec<_>>());
        chosen
    }

    /// True or false.
    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.take(key).map(|node| &node.value) {
            None => default,
            Some(Node::Bool(value)) => *value,
            Some(other) => {
                self.expected(key, "true or false", other);
                default
            }
        }
    }

    /// A list of texts; none if there is no list.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        let Node::List(items) = &node.value else {
            self.expected(key, "a list", &node.value);
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Node::Text(text) => texts.push(text.clone()),
                other => self.problem_at(
                    Place::of(item),
                    key,
                    format!("expected text, found {}", other.kind()),
                ),
            }
        }
        Some(texts)
    }

    /// All that stands here, where the keys are the user's own.
    pub fn entries(&mut self) -> &'doc [(Spanned<String>, Spanned<Node>)] {
        self.let_pass();
        self.entries
    }

    /// Where the secret `name` is: `name_file` or `name_env`.
    pub fn secret(&mut self, name: &str) -> Option<SecretSource> {
        let (file_key, env_key) = (format!("{name}_file"), format!("{name}_env"));
        let file = self.text(&file_key);
        let env = self.text(&env_key);
        if let Some(variable) = &env {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            // never shown unless it is the name of one: somebody may have put the secret itself here
            if !variable.bytes().all(valid) {
                self.problem(&env_key, "is not the name of an environment variable");
            } else if std::env::var_os(variable).is_none() {
                self.effective.0.retain(|(key, _)| *key != env_key);
                self.show(&env_key, "(there is no such environment variable)");
            }
        }
        match (file, env) {
            (Some(_), Some(_)) => {
                self.problem(
                    &env_key,
                    format!("stands beside {file_key}: give one of the two"),
                );
                None
            }
            (Some(path), None) => Some(SecretSource::File(PathBuf::from(path))),
            (None, Some(variable)) => Some(SecretSource::Env(variable)),
            (None, None) => None,
        }
    }

    /// A secret that must be there.
    pub fn required_secret(&mut self, name: &str) -> Option<SecretSource> {
        let before = self.problems.len();
        let source = self.secret(name);
        if source.is_none() && self.problems.len() == before {
            self.problem("", format!("{name}_file or {name}_env is missing"));
        }
        source
    }

    /// The address that the documented paths are appended to, without a slash at its end.
    pub fn url(&mut self, key: &str, default: Option<&str>) -> Option<Url> {
        let written = match (self.take(key).map(|node| &node.value), default) {
            (Some(Node::Text(text)), _) => text.as_str(),
            (Some(other), _) => {
                self.expected(key, "an address", other);
                return None;
            }
            (None, Some(default)) => default,
            (None, None) => {
                self.problem(key, "is missing");
                return None;
            }
        };
        // no message shows the address: it may hold a password
        let message = match Url::parse(written) {
            Err(error) => format!("is not an address: {error}"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "must begin with https:// or http://".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "must not hold a user name or password".to_owned()
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "must not hold a query or fragment".to_owned()
            }
            Ok(mut url) => {
                let path = url.path().trim_end_matches('/').to_owned();
                url.set_path(&path);
                self.show(key, url.as_str().trim_end_matches('/'));
                return Some(url);
            }
        };
        self.problem(key, message);
        None
    }
}

/// The units of a duration in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration as Prometheus writes it: whole numbers with units, the largest first, such as `5m` or
/// `1h30m`. The crates for this take `5M` for five months, or panic at what is too large.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|char: char| !char.is_ascii_digit())?);
        let (unit, after) = after.split_at(
            after
                .find(|char: char| char.is_ascii_digit())
                .unwrap_or(after.len()),
        );
        // going on in the same list refuses a unit that comes twice or too late
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        milliseconds = milliseconds.checked_add(part)?;
        rest = after;
    }
    (!text.trim().is_empty()).then(|| Duration::from_millis(milliseconds))
}

/// A duration as it is written in the configuration, in its largest whole unit.
pub fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let divides =
        |unit: u64| milliseconds >= unit.into() && milliseconds.is_multiple_of(unit.into());
    match UNITS.iter().find(|(_, unit)| divides(*unit)) {
        Some((name, unit)) => format!("{}{name}", milliseconds / u128::from(*unit)),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::Instant;

    use super::*;

    #[test]
    fn many_keys_are_refused_in_no_time() {
        let mut yaml = String::new();
        for number in 0..100_000 {
            writeln!(yaml, "k{number}: 1").unwrap();
        }
        let node = Node::parse(&yaml).unwrap();
        let begin = Instant::now();
        let (_, problems) = Section::new("", &node).unwrap().finish();
        assert_eq!(problems.len(), 100_000);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    #[test]
    fn a_duration_is_whole_numbers_with_units() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            (" 5m ", 300_000),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            " ",
            "5",
            "m",
            "5M",
            "5 m",
            "-5m",
            "1.5h",
            "5m1h",
            "5m5m",
            "5min",
            "1h 30m",
            "m5",
            "18446744073709551615s",
            "99999999999999999999d",
            "5m 18446744073709551615ms",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_whole_unit() {
        for text in ["30s", "5m", "12h", "30d", "90m", "250ms", "1001ms", "0s"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
        assert_eq!(duration_text(Duration::from_hours(1)), "1h");
    }
}
