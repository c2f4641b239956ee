//! Problems with a document, and their places in it.

use std::fmt;

use serde_saphyr::Spanned;

use crate::redaction::{guess, is_invisible};

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl From<serde_saphyr::Location> for Place {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

impl Place {
    /// The place of a value.
    pub fn of<T>(value: &Spanned<T>) -> Self {
        value.referenced.into()
    }
}

/// A problem with a document.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its place.
    pub place: Option<Place>,
    /// The key's path, such as `accounts[1].poll_interval`; empty for the document as a whole.
    pub path: String,
    /// The message. What looks like a secret is hidden when it is written.
    pub message: String,
}

impl Problem {
    /// A problem with the document as a whole.
    pub fn of_document(message: String) -> Self {
        Self { place: None, path: String::new(), message }
    }

    /// A problem with the value of a key.
    pub fn at(key: &Spanned<String>, path: &str, message: &str) -> Self {
        Self { place: Some(Place::of(key)), path: path.to_owned(), message: message.to_owned() }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(formatter, "{}:{}: ", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", guess::hide(&self.path))?;
        }
        // a value that it repeats can have several lines
        formatter.write_str(&guess::hide(&self.message).replace(is_invisible, " "))
    }
}
