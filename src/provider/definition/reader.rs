//! Reading the mappings of a definition: every key from a table, every problem with its place.

use super::number::DecimalSeparator;
use crate::document::section::Section;
use crate::document::{Node, Place, Problem};
use serde_saphyr::Spanned;

/// Most values of a list, and entries of a mapping with names of the author's own: ten times as many as
/// any known provider needs. Some checks compare each with each.
const MAX_ENTRIES: usize = 100;

/// A mapping that definitions contain, for the checks and the reference.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What the reference calls it.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Entry],
}

/// A key of a [`Part`].
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The key.
    pub name: &'static str,
    /// What it takes, in words.
    pub takes: &'static str,
    /// Whether it may be left out.
    pub is_required: bool,
    /// A sentence for the reference.
    pub meaning: &'static str,
}

/// A key that may be left out.
pub(super) const fn may(name: &'static str, takes: &'static str, meaning: &'static str) -> Entry {
    Entry { name, takes, is_required: false, meaning }
}

/// A key that is required.
pub(super) const fn must(name: &'static str, takes: &'static str, meaning: &'static str) -> Entry {
    Entry { is_required: true, ..may(name, takes, meaning) }
}

/// Collects the problems of a definition.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    /// How the provider writes numbers in text.
    pub decimal: DecimalSeparator,
    /// Whether paths have a place for the secret.
    pub has_token: bool,
}

/// A mapping that is being read.
pub(super) struct Mapping<'r, 'doc> {
    reader: &'r mut Reader,
    section: Section<'doc>,
    path: String,
}

impl Reader {
    /// Reads a mapping with the keys of a part. The problems of the mapping itself follow those of
    /// `read`.
    pub(super) fn mapping<'doc, T>(
        &mut self,
        part: &Part,
        path: &str,
        node: &'doc Spanned<Node>,
        read: impl FnOnce(&mut Mapping<'_, 'doc>) -> T,
    ) -> Option<T> {
        let mut section = match Section::new(path, node) {
            Ok(section) => section,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        for entry in part.keys {
            if section.take(entry.name).is_none() && entry.is_required {
                section.problem(entry.name, "is missing");
            }
        }
        let mut mapping = Mapping { reader: self, section, path: path.to_owned() };
        let value = read(&mut mapping);
        let (_, problems) = mapping.section.finish();
        self.problems.extend(problems);
        Some(value)
    }

    /// Notes the problem of a value that cannot be read.
    pub(super) fn noted<T>(
        &mut self,
        path: &str,
        node: &Spanned<Node>,
        read: Result<T, String>,
    ) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(path, node, message);
                None
            }
        }
    }

    /// Text as `parse` reads it. `expected` describes it, if there is no text.
    pub(super) fn text<T>(
        &mut self,
        path: &str,
        node: &Spanned<Node>,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = match &node.value {
            Node::Text(text) => parse(text),
            _ => Err(format!("expected {expected}")),
        };
        self.noted(path, node, read)
    }

    /// Notes a problem with a value.
    pub(super) fn problem<T>(&mut self, path: &str, node: &Spanned<T>, message: impl Into<String>) {
        self.problems.push(Problem {
            place: Some(Place::of(node)),
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

impl<'doc> Mapping<'_, 'doc> {
    /// The value of a key.
    pub(super) fn node(&mut self, key: &str) -> Option<&'doc Spanned<Node>> {
        self.section.take(key)
    }

    /// The path of a key.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes a problem with a key.
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.section.problem(key, message);
    }

    /// Text that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.section.text(key)
    }

    /// Text, if the value is text.
    pub(super) fn plain_text(&mut self, key: &str) -> Option<&'doc str> {
        match &self.node(key)?.value {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// True or false; false by default.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.section.boolean(key, false)
    }

    /// Text as `parse` reads it.
    pub(super) fn parsed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.section.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.section.problem(key, message);
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        let node = self.node(key)?;
        let number = match node.value {
            Node::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        };
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let message = format!("expected a whole number from {least} to {most}");
            self.problem(key, message);
        }
        number
    }

    /// The values of a key that takes one or a list.
    pub(super) fn one_or_more(&mut self, key: &str) -> Vec<(String, &'doc Spanned<Node>)> {
        let path = self.path_of(key);
        match self.node(key) {
            None => Vec::new(),
            Some(node) => {
                let nodes = one_or_more(&path, node);
                if self.is_bounded(key, nodes.len()) { nodes } else { Vec::new() }
            }
        }
    }

    fn is_bounded(&mut self, key: &str, entries: usize) -> bool {
        if entries > MAX_ENTRIES {
            let message = format!("has {entries} entries, more than {MAX_ENTRIES}");
            self.problem(key, message);
        }
        entries <= MAX_ENTRIES
    }

    /// The mapping of a key.
    pub(super) fn mapping<T>(
        &mut self,
        key: &str,
        part: &Part,
        read: impl FnOnce(&mut Mapping<'_, 'doc>) -> T,
    ) -> Option<T> {
        let path = self.path_of(key);
        let node = self.node(key)?;
        self.reader.mapping(part, &path, node, read)
    }

    /// The entries of a mapping whose keys are the author's own.
    pub(super) fn entries(&mut self, key: &str) -> Vec<(String, String, &'doc Spanned<Node>)> {
        let path = self.path_of(key);
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        let mut section = match Section::new(&path, node) {
            Ok(section) => section,
            Err(problem) => {
                self.reader.problems.push(problem);
                return Vec::new();
            }
        };
        let entries = section.entries();
        self.reader.problems.extend(section.finish().1);
        if !self.is_bounded(key, entries.len()) {
            return Vec::new();
        }
        entries
            .iter()
            .map(|(key, node)| (key.value.clone(), format!("{path}.{}", key.value), node))
            .collect()
    }

    /// The reader, which collects the problems.
    pub(super) fn reader(&mut self) -> &mut Reader {
        self.reader
    }
}

/// A name, fit for labels and their values: it begins with a letter.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let is_part = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if text.starts_with(|char: char| char.is_ascii_lowercase()) && text.chars().all(is_part) {
        return Ok(text.to_owned());
    }
    Err("must begin with a letter and have lower-case letters, digits and _ only".to_owned())
}

/// The one of `all` with this name.
pub(super) fn named<T: Copy>(
    what: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
    word: &str,
) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one) == word);
    found.ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|one| name(*one)).collect();
        let known = known.join(", ");
        format!("unknown {what} {word:?}; expected one of: {known}")
    })
}

/// A scalar as it is written.
pub(super) fn scalar_text(node: &Node) -> Result<String, String> {
    match node {
        Node::Text(text) => Ok(text.clone()),
        Node::Integer(number) => Ok(number.to_string()),
        Node::Float(number) => Ok(number.to_string()),
        Node::Bool(value) => Ok(value.to_string()),
        Node::Null => Ok(String::new()),
        Node::List(_) | Node::Map(_) => Err("expected text, a number, true or false".to_owned()),
    }
}

/// The items of a list with their paths, or the value itself if it is none.
pub(super) fn one_or_more<'doc>(
    path: &str,
    node: &'doc Spanned<Node>,
) -> Vec<(String, &'doc Spanned<Node>)> {
    match &node.value {
        Node::List(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
        }
        _ => vec![(path.to_owned(), node)],
    }
}
