//! Keys of a configuration file as data: one table from which the checks, the manual and the JSON
//! schema come.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;

use super::duration::duration_text;
use super::secret::SecretSource;

/// A key of the configuration file.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The name. A secret `X` is written as `X_file` or `X_env`.
    pub name: Cow<'static, str>,
    /// What the key takes.
    pub takes: Takes,
    /// What holds if the key is left out.
    pub default: Default,
    /// One or two sentences for the manual.
    pub meaning: Cow<'static, str>,
}

/// What a key takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Takes {
    /// Text that is not empty.
    Text,
    /// An `http` or `https` address without user, query or fragment.
    Url,
    /// The place of a secret.
    Secret,
    /// A duration within these bounds.
    Duration(Duration, Duration),
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A number above 0 and at most this.
    Number(f64),
    /// The IANA name of a time zone.
    TimeZone,
    /// An amount above 0 and a currency's code, such as `0.05 EUR`.
    Price,
    /// One of these words.
    Word(Vec<Cow<'static, str>>),
    /// A list of these words, each at most once.
    Words(Vec<Cow<'static, str>>),
    /// A mapping with these keys. A key that it leaves out is inherited on its own.
    Mapping(Vec<Key>),
}

/// What holds if a key is left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// Nothing: the key is required.
    Required,
    /// No value. The text says what that means; empty if the meaning says it.
    Absent(&'static str),
    /// A value.
    Value(Value),
}

/// The value of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// An address.
    Url(Url),
    /// The place of a secret.
    Secret(SecretSource),
    /// A duration.
    Duration(Duration),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// Words of a list.
    Words(Vec<String>),
    /// The values of a mapping, by key.
    Mapping(BTreeMap<String, Value>),
}

impl Key {
    /// A key that is optional.
    pub const fn optional(name: &'static str, takes: Takes, meaning: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            takes,
            default: Default::Absent(""),
            meaning: Cow::Borrowed(meaning),
        }
    }

    /// A key that is required.
    pub fn required(name: &'static str, takes: Takes, meaning: &'static str) -> Self {
        Self { default: Default::Required, ..Self::optional(name, takes, meaning) }
    }

    /// The key with a default.
    #[must_use]
    pub fn or(mut self, value: impl Into<Value>) -> Self {
        self.default = Default::Value(value.into());
        self
    }

    /// The key with words for what holds without it.
    #[must_use]
    pub fn or_else(mut self, words: &'static str) -> Self {
        self.default = Default::Absent(words);
        self
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number)
    }
}

impl From<Vec<String>> for Value {
    fn from(words: Vec<String>) -> Self {
        Self::Words(words)
    }
}

impl Value {
    /// The value as YAML would write it, for the manual.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Url(url) => url.as_str().trim_end_matches('/').to_owned(),
            // never a default
            Self::Secret(_) => String::new(),
            Self::Duration(duration) => duration_text(*duration),
            Self::Integer(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Words(words) => format!("[{}]", words.join(", ")),
            Self::Mapping(values) => {
                let values =
                    values.iter().map(|(key, value)| format!("{key}: {}", value.to_text()));
                format!("{{{}}}", values.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
