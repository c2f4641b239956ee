//! The values that a section gives to keys.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;

use super::keys::{Key, Value};
use super::secret::SecretSource;
use super::section::Section;

/// The values of a section, by key. A key without a value is missing.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Values(BTreeMap<String, Value>);

impl Values {
    /// Takes the keys of a section in their order, checks them, and shows them in the effective
    /// configuration. Values in `inherited` take precedence over defaults.
    pub fn read(section: &mut Section<'_>, keys: &[Key], inherited: &Self) -> Self {
        let mut values = Self::default();
        for key in keys {
            if let Some(value) = section.value(key, inherited.0.get(&*key.name)) {
                values.0.insert(key.name.clone().into_owned(), value);
            }
        }
        values
    }

    /// A value as text.
    pub fn to_text(&self, key: &str) -> Option<String> {
        self.0.get(key).map(Value::to_text)
    }

    /// Text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An address.
    pub fn url(&self, key: &str) -> Option<&Url> {
        match self.0.get(key)? {
            Value::Url(url) => Some(url),
            _ => None,
        }
    }

    /// The place of a secret.
    pub fn secret(&self, key: &str) -> Option<&SecretSource> {
        match self.0.get(key)? {
            Value::Secret(source) => Some(source),
            _ => None,
        }
    }

    /// A duration.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        match self.0.get(key)? {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The values of a mapping; none without one.
    #[must_use]
    pub fn mapping(&self, key: &str) -> Self {
        match self.0.get(key) {
            Some(Value::Mapping(values)) => Self(values.clone()),
            _ => Self::default(),
        }
    }

    /// The words of a list; none without a value.
    pub fn words(&self, key: &str) -> &[String] {
        match self.0.get(key) {
            Some(Value::Words(words)) => words,
            _ => &[],
        }
    }
}
