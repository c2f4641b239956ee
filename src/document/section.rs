//! A mapping whose values are taken key by key.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use chrono_tz::Tz;
use reqwest::Url;
use secrecy::ExposeSecret;
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use serde_saphyr::Spanned;

use super::duration::{duration_text, parse_duration};
use super::keys::{Default, Key, Takes, Value};
use super::node::Node;
use super::problem::{Place, Problem};
use super::secret::SecretSource;
use crate::redaction::{self, MIN_DISTINCT_SECRET, guess};

/// Largest price of a credit, in any currency: a mistyped one is told.
const MAX_PRICE: f64 = 1_000_000.0;

/// The values of a section in effect, defaults included, in the order of reading.
#[derive(Clone, Debug, std::default::Default, PartialEq)]
pub struct Effective(Vec<(String, Json)>);

impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A mapping of the document, whose values are taken key by key.
pub struct Section<'doc> {
    path: String,
    place: Place,
    entries: &'doc [(Spanned<String>, Spanned<Node>)],
    known: Vec<String>,
    problems: Vec<Problem>,
    effective: Effective,
    /// The folder of the document, to which paths are relative.
    folder: PathBuf,
    secrets: Vec<Secret>,
    doubts: Vec<Problem>,
}

/// Most characters by which a key with a typing error differs from the known one.
const MAX_TYPOS: usize = 2;

/// What stands for a text that only the user knows.
pub const CHANGE_ME: &str = "CHANGE-ME";

/// What a file begins with that holds a header, an answer or quotes besides the secret.
const WRAPPINGS: [&str; 4] = ["Bearer ", "{", "\"", "'"];

/// A secret that a section names.
#[derive(Clone, Debug)]
pub struct Secret {
    place: Place,
    path: String,
    source: SecretSource,
    /// Whether its place looks like a secret itself.
    is_misplaced: bool,
}

impl Secret {
    /// Reads it. Returns the problem, if there is one.
    pub async fn problem(&self) -> Option<Problem> {
        let message = match self.source.read().await {
            Err(error) => {
                let hint = if self.is_misplaced {
                    "; the value looks like the secret itself: write the path or the variable that \
                     holds it"
                } else {
                    ""
                };
                redaction::redact(&error.to_string()).into_owned() + hint
            }
            Ok(secret) if secret.expose_secret() == CHANGE_ME => is_placeholder(),
            Ok(secret) if secret.expose_secret().len() < MIN_DISTINCT_SECRET => format!(
                "has fewer than {MIN_DISTINCT_SECRET} characters: pages and metrics show it if the provider \
                 repeats it"
            ),
            Ok(secret) if WRAPPINGS.iter().any(|it| secret.expose_secret().starts_with(it)) => {
                "contains more than the secret: remove `Bearer`, quotes and braces".to_owned()
            }
            Ok(_) => return None,
        };
        Some(Problem { place: Some(self.place), path: self.path.clone(), message })
    }
}

impl<'doc> Section<'doc> {
    /// The section at `path`, which has to be a mapping.
    pub fn new(path: &str, node: &'doc Spanned<Node>) -> Result<Self, Problem> {
        let place = Place::of(node);
        let Node::Map(entries) = &node.value else {
            return Err(Problem {
                place: Some(place),
                path: path.to_owned(),
                message: format!("expected a mapping, found {}", node.value.kind()),
            });
        };
        Ok(Self::of(path.to_owned(), place, entries))
    }

    const fn of(
        path: String,
        place: Place,
        entries: &'doc [(Spanned<String>, Spanned<Node>)],
    ) -> Self {
        Self {
            path,
            place,
            entries,
            known: Vec::new(),
            problems: Vec::new(),
            effective: Effective(Vec::new()),
            folder: PathBuf::new(),
            secrets: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// Sets the folder to which paths are relative.
    #[must_use]
    pub fn below(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// Takes the secrets that were named so far.
    pub fn secrets(&mut self) -> Vec<Secret> {
        std::mem::take(&mut self.secrets)
    }

    /// Takes what is valid so far but hardly meant.
    pub fn doubts(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.doubts)
    }

    /// Accepts any key, if it is unknown which ones are valid.
    pub fn accept_any(&mut self) {
        self.known.extend(self.entries.iter().map(|(key, _)| key.value.clone()));
    }

    /// Ends the section. Unknown and repeated keys become problems.
    pub fn finish(mut self) -> (Effective, Vec<Problem>) {
        // sets: a mapping can have as many keys as fit in the file
        let known: HashSet<&str> = self.known.iter().map(String::as_str).collect();
        let mut seen = HashSet::new();
        for (key, _) in self.entries {
            let name = key.value.as_str();
            // a colon without a space makes a key of a secret, and most secrets have digits
            let plain = name.chars().all(|char| char.is_ascii_lowercase() || char == '_');
            let shown = if plain { format!(" {name:?}") } else { String::new() };
            let message = if !seen.insert(name) {
                format!("duplicate key{shown}")
            } else if known.contains(name) {
                continue;
            } else if known.contains(format!("{name}_env").as_str()) {
                format!(
                    "secrets are never written in the configuration: use {name}_file, the path of a \
                     file, or {name}_env, the name of an environment variable"
                )
            } else if let Some(meant) = self.known.iter().find(|known| resembles(known, name)) {
                format!("unknown key {name:?}: did you mean {meant}?")
            } else {
                format!("unknown key{shown}; expected one of: {}", self.known.join(", "))
            };
            self.problems.push(Problem {
                place: Some(Place::of(key)),
                path: self.path.clone(),
                message,
            });
        }
        (self.effective, self.problems)
    }

    /// Records a problem with `key`, at its place or, if it is missing, at the section's.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let place = self.entry(key).map_or(self.place, Place::of);
        self.problem_at(place, key, message);
    }

    /// The path of `key` in the document.
    pub fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn problem_at(&mut self, place: Place, key: &str, message: impl Into<String>) {
        let path = self.path_of(key);
        self.problems.push(Problem { place: Some(place), path, message: message.into() });
    }

    fn entry(&self, key: &str) -> Option<&'doc Spanned<Node>> {
        self.entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
    }

    /// The value of `key`. A key without a value counts as missing.
    pub fn take(&mut self, key: &str) -> Option<&'doc Spanned<Node>> {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.to_owned());
        }
        self.entry(key).filter(|node| !matches!(node.value, Node::Null))
    }

    fn expected<T>(&mut self, key: &str, what: &str, found: &Node) -> Option<T> {
        self.problem(key, format!("expected {what}, found {}", found.kind()));
        None
    }

    /// Shows a value in the effective configuration.
    pub fn show(&mut self, key: &str, value: impl Into<Json>) {
        self.effective.0.push((key.to_owned(), value.into()));
    }

    /// The checked value of a key of the table: as written, else inherited, else the default.
    pub fn value(&mut self, key: &Key, inherited: Option<&Value>) -> Option<Value> {
        let name = &*key.name;
        if let Takes::Mapping(keys) = &key.takes {
            return self.mapping(name, keys, inherited).map(Value::Mapping);
        }
        if let Takes::Secret = key.takes {
            let problems = self.problems.len();
            let source = self.secret(name);
            let is_missing = source.is_none() && self.problems.len() == problems;
            if is_missing && key.default == Default::Required {
                self.problem("", format!("{name}_file or {name}_env is missing"));
            }
            return source.map(Value::Secret);
        }
        let written = if let Some(node) = self.take(name) {
            self.doubt(name, &node.value);
            self.checked(key, &node.value)
        } else {
            if key.default == Default::Required && inherited.is_none() {
                self.problem(name, "is missing");
            }
            None
        };
        let value = written.or_else(|| inherited.cloned()).or_else(|| {
            let Default::Value(value) = &key.default else {
                return None;
            };
            match (&key.takes, value) {
                (Takes::Url, Value::Text(url)) => Url::parse(url).ok().map(Value::Url),
                _ => Some(value.clone()),
            }
        })?;
        self.show_value(key, &value);
        Some(value)
    }

    /// The checked values of a mapping, each as written, else inherited, else the default.
    fn mapping(
        &mut self,
        name: &str,
        keys: &[Key],
        inherited: Option<&Value>,
    ) -> Option<BTreeMap<String, Value>> {
        let mut section = match self.take(name) {
            None => Self::of(self.path_of(name), self.place, &[]),
            Some(node) => match Self::new(&self.path_of(name), node) {
                Ok(section) => section,
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            },
        };
        let mut values = BTreeMap::new();
        for key in keys {
            let inherited = inherited.and_then(|inherited| match inherited {
                Value::Mapping(values) => values.get(&*key.name),
                _ => None,
            });
            if let Some(value) = section.value(key, inherited) {
                values.insert(key.name.clone().into_owned(), value);
            }
        }
        self.doubts.append(&mut section.doubts);
        let (effective, mut problems) = section.finish();
        self.problems.append(&mut problems);
        let shown = effective.0.into_iter().collect::<serde_json::Map<_, _>>();
        self.show(name, shown);
        Some(values)
    }

    fn show_value(&mut self, key: &Key, value: &Value) {
        let name = &*key.name;
        match value {
            Value::Integer(number) => self.show(name, *number),
            Value::Number(number) => self.show(name, *number),
            Value::Words(words) => self.show(name, words.clone()),
            _ => self.show(name, guess::hide(&value.to_text()).into_owned()),
        }
    }

    /// Notes a text that is hardly meant.
    fn doubt(&mut self, key: &str, node: &Node) {
        let Node::Text(text) = node else { return };
        let message = if text.contains(CHANGE_ME) {
            is_placeholder()
        } else if guess::looks_secret(text) {
            "looks like a secret, which the configuration, the log and metrics show".to_owned()
        } else {
            return;
        };
        let place = self.entry(key).map_or(self.place, Place::of);
        self.doubts.push(Problem { place: Some(place), path: self.path_of(key), message });
    }

    /// A written value as the key takes it; `None` with a problem if it is wrong.
    fn checked(&mut self, key: &Key, node: &'doc Node) -> Option<Value> {
        let name = &*key.name;
        match (&key.takes, node) {
            (Takes::Text | Takes::Secret, node) => self.checked_text(name, node).map(Value::Text),
            (Takes::TimeZone, node) => self.checked_time_zone(name, node).map(Value::Text),
            (Takes::Price, node) => {
                let price = self.checked_text(name, node)?;
                if price_of(&price).is_none() {
                    let message =
                        format!("{price:?} is no price; expected one such as \"0.05 EUR\"");
                    self.problem(name, message);
                    return None;
                }
                Some(Value::Text(price))
            }
            (Takes::Url, Node::Text(text)) => self.checked_url(name, text).map(Value::Url),
            (Takes::Url, other) => self.expected(name, "an address", other),
            (Takes::Duration(least, most), node) => {
                let range = *least..=*most;
                self.checked_duration(name, node, &range).map(Value::Duration)
            }
            (Takes::Integer(least, most), Node::Integer(number)) => {
                let valid = u64::try_from(*number).ok();
                let valid = valid.filter(|number| (least..=most).contains(&number));
                if valid.is_none() {
                    self.problem(name, format!("{number} is not between {least} and {most}"));
                }
                valid.map(Value::Integer)
            }
            (Takes::Integer(..), other) => self.expected(name, "a whole number", other),
            (Takes::Number(most), Node::Float(_) | Node::Integer(_)) => {
                let number = match node {
                    Node::Integer(number) => *number as f64,
                    Node::Float(number) => *number,
                    _ => f64::NAN,
                };
                let valid = number > 0.0 && number <= *most;
                if !valid {
                    self.problem(name, format!("{number} is not above 0 and at most {most}"));
                }
                valid.then_some(Value::Number(number))
            }
            (Takes::Number(_), other) => self.expected(name, "a number", other),
            (Takes::Words(words), Node::List(items)) => {
                Some(Value::Words(self.checked_words(name, words, items)))
            }
            (Takes::Words(_), other) => self.expected(name, "a list", other),
            (Takes::Word(words), node) => self.checked_word(name, words, node).map(Value::Text),
            // read by `value`
            (Takes::Mapping(_), _) => None,
        }
    }

    fn checked_text(&mut self, key: &str, node: &Node) -> Option<String> {
        match node {
            Node::Text(text) if !text.trim().is_empty() => return Some(text.clone()),
            Node::Text(_) => self.problem(key, "is empty"),
            Node::Integer(_) | Node::Float(_) | Node::Bool(_) => {
                self.problem(key, "expected text: put the value in quotes");
            }
            other => return self.expected(key, "text", other),
        }
        None
    }

    fn checked_time_zone(&mut self, key: &str, node: &Node) -> Option<String> {
        let name = self.checked_text(key, node)?;
        if Tz::from_str(&name).is_err() {
            let message = format!("unknown time zone {name:?}; expected one such as Europe/Zurich");
            self.problem(key, message);
            return None;
        }
        Some(name)
    }

    fn checked_word(
        &mut self,
        key: &str,
        words: &[Cow<'static, str>],
        node: &Node,
    ) -> Option<String> {
        let word = self.checked_text(key, node)?;
        if !words.iter().any(|known| **known == word) {
            self.problem(key, unknown_word(&word, words));
            return None;
        }
        Some(word)
    }

    fn checked_duration(
        &mut self,
        key: &str,
        node: &Node,
        range: &RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = match node {
            Node::Text(text) => text,
            Node::Integer(number) => {
                let message = format!("{number} has no unit: use for example {number}s");
                self.problem(key, message);
                return None;
            }
            other => return self.expected(key, "a duration", other),
        };
        let Some(value) = parse_duration(text) else {
            let message =
                format!("{text:?} is not a duration: use for example 30s, 5m, 12h or 30d");
            self.problem(key, message);
            return None;
        };
        if !range.contains(&value) {
            let (least, most) = (duration_text(*range.start()), duration_text(*range.end()));
            self.problem(key, format!("{text} is not between {least} and {most}"));
            return None;
        }
        Some(value)
    }

    /// The words, each once.
    fn checked_words(
        &mut self,
        key: &str,
        words: &[Cow<'static, str>],
        items: &[Spanned<Node>],
    ) -> Vec<String> {
        let mut chosen: Vec<String> = Vec::new();
        for item in items {
            let message = match &item.value {
                Node::Text(word) if chosen.contains(word) => format!("duplicate word {word:?}"),
                Node::Text(word) if words.iter().any(|known| known == word) => {
                    chosen.push(word.clone());
                    continue;
                }
                Node::Text(word) => unknown_word(word, words),
                _ => format!("expected one of: {}", words.join(", ")),
            };
            self.problem_at(Place::of(item), key, message);
        }
        // in the order of the table: another order is not another configuration
        let all = words.iter().map(ToString::to_string);
        all.filter(|word| chosen.contains(word)).collect()
    }

    /// The address that documented paths are appended to, without a trailing slash.
    fn checked_url(&mut self, key: &str, written: &str) -> Option<Url> {
        // no message shows the address: it can contain a password
        let message = match Url::parse(written) {
            Err(_) if written.contains("://[") && written.contains('%') => {
                "has an IPv6 zone, which is not supported: use a host name".to_owned()
            }
            Err(error) => format!("is not an address such as https://api.example.com: {error}"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "must begin with https:// or http://".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "must not contain a user name or password".to_owned()
            }
            Ok(url) if url.query().is_some() || url.fragment().is_some() => {
                "must not contain a query or fragment".to_owned()
            }
            Ok(mut url) => {
                let path = url.path().trim_end_matches('/').to_owned();
                register_suspects(&path);
                url.set_path(&path);
                return Some(url);
            }
        };
        self.problem(key, message);
        None
    }

    /// Text that is not empty.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let node = self.take(key)?;
        let text = self.checked_text(key, &node.value)?;
        self.show(key, text.as_str());
        Some(text)
    }

    /// True or false.
    pub fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.take(key).map(|node| &node.value) {
            None => default,
            Some(Node::Bool(value)) => *value,
            Some(other) => self.expected(key, "true or false", other).unwrap_or(default),
        }
    }

    /// A list of texts; `None` without a list.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let node = self.take(key)?;
        let Node::List(items) = &node.value else {
            return self.expected(key, "a list", &node.value);
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

    /// All entries of a section with keys of the user's own.
    pub fn entries(&mut self) -> &'doc [(Spanned<String>, Spanned<Node>)] {
        self.accept_any();
        self.entries
    }

    /// The place of the secret `name`: `name_file` or `name_env`.
    fn secret(&mut self, name: &str) -> Option<SecretSource> {
        let (file_key, env_key) = (format!("{name}_file"), format!("{name}_env"));
        let mut is_misplaced = false;
        let file = self.text(&file_key);
        let env = self.text(&env_key);
        if let Some(variable) = &env {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            // shown only if it names a variable: it can be the secret itself, in the wrong place
            if !variable.bytes().all(valid) {
                self.problem(&env_key, "is not the name of an environment variable");
            } else if std::env::var_os(variable).is_none() {
                is_misplaced = register_suspects(variable);
                self.effective.0.retain(|(key, _)| *key != env_key);
                self.show(&env_key, "(environment variable not set)");
            }
        }
        let (key, source) = match (file, env) {
            (Some(_), Some(_)) => {
                self.problem(&env_key, format!("conflicts with {file_key}; set only one"));
                return None;
            }
            (Some(path), None) => {
                let file = self.folder.join(&path);
                if !file.exists() && register_suspects(&path) {
                    is_misplaced = true;
                    self.effective.0.retain(|(key, _)| *key != file_key);
                    self.show(&file_key, "(no such file; looks like a secret)");
                }
                (file_key, SecretSource::File(file))
            }
            (None, Some(variable)) => (env_key, SecretSource::Env(variable)),
            // `finish` says what is wrong; that the secret is missing, too, would mislead
            (None, None) => return self.entry(name).map(|_| SecretSource::Env(String::new())),
        };
        self.secrets.push(Secret {
            place: self.entry(&key).map_or(self.place, Place::of),
            path: self.path_of(&key),
            source: source.clone(),
            is_misplaced,
        });
        Some(source)
    }
}

/// What is wrong with a word that is none of these.
fn unknown_word(word: &str, words: &[Cow<'static, str>]) -> String {
    let ends = |known: &&Cow<'static, str>| {
        known.strip_suffix(word).is_some_and(|start| start.ends_with('_'))
    };
    let meant = words.iter().find(|known| resembles(known, word)).or(words.iter().find(ends));
    match meant {
        Some(meant) => format!("unknown word {word:?}: did you mean {meant}?"),
        None => format!("unknown word {word:?}; expected one of: {}", words.join(", ")),
    }
}

/// Whether a key is a known one with another spelling, and so no secret.
fn resembles(known: &str, name: &str) -> bool {
    let alike = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    known.len().abs_diff(name.len()) <= MAX_TYPOS && {
        let typos = strsim::osa_distance(&alike(known), &alike(name));
        // a short key resembles too many
        typos <= MAX_TYPOS.min(known.len() / 4)
    }
}

fn is_placeholder() -> String {
    // not the word itself, which is redacted if it is in the place of a secret
    "is still the placeholder that `init` writes".to_owned()
}

/// Redacts what looks like a secret in the place of one from now on. Returns whether anything does.
fn register_suspects(place: &str) -> bool {
    let clean = guess::scan(place, |word| redaction::register(&word.into()));
    matches!(clean, Cow::Owned(_))
}

/// The amount and the currency's code of a price such as `0.05 EUR`.
pub fn price_of(text: &str) -> Option<(f64, &str)> {
    let (amount, currency) = text.trim().split_once(' ')?;
    let currency = currency.trim_start();
    let is_code =
        currency.len() == 3 && currency.bytes().all(|letter| letter.is_ascii_alphabetic());
    let amount = amount.parse::<f64>().ok()?;
    (is_code && amount > 0.0 && amount <= MAX_PRICE).then_some((amount, currency))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::time::Instant;

    use super::*;

    #[test]
    fn comments_have_any_length() {
        let text = format!(
            "key: value\nnested:\n{}  inner: 1\n{}",
            "  # more\n".repeat(1000),
            "# x\n".repeat(1000)
        );
        let node = Node::parse(&text).unwrap().value;
        assert!(matches!(node, Node::Map(entries) if entries.len() == 2));
    }

    #[test]
    fn a_key_that_resembles_a_known_one_is_named() {
        for (key, meant) in [
            ("Lookback", Some("lookback")),
            ("lokback", Some("lookback")),
            ("token-file", Some("token_file")),
            ("Token-Flie", Some("token_file")),
            ("tokenfile", Some("token_file")),
            ("nome", Some("name")),
            ("nemo", None),
            ("Zq81Kpw3Lm", None),
        ] {
            let yaml = format!("{key}: 1");
            let node = Node::parse(&yaml).unwrap();
            let mut section = Section::new("", &node).unwrap();
            for known in ["name", "lookback", "token_file"] {
                section.take(known);
            }
            let [problem] = section.finish().1.try_into().unwrap();
            let expected = match meant {
                Some(meant) => format!("1:1: unknown key \"{key}\": did you mean {meant}?"),
                None => "expected one of: name, lookback, token_file".to_owned(),
            };
            assert!(problem.to_string().ends_with(&expected), "{problem}");
        }
    }

    #[test]
    fn many_keys_are_refused_quickly() {
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
}
