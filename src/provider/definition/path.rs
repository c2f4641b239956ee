//! Paths to values of an answer, in `JSONPath` (RFC 9535).
//!
//! Most paths only name members. These are walked here, over an answer that is not parsed yet where
//! that saves memory; the crate evaluates those with a filter. What could take more than one pass over
//! a value is refused: descendants, functions, and a filter that goes back to the root.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;
use serde_json_path::JsonPath;
#[cfg(feature = "demo")]
use serde_json_path::NormalizedPath;

use crate::provider::lenient::List;

/// Longest path in bytes. The longest of a known provider has 60.
const MAX_BYTES: usize = 200;

/// Deepest nesting of brackets, which bounds the parser's stack.
const MAX_DEPTH: usize = 8;

/// A path to values.
#[derive(Clone, Debug)]
pub(super) struct Path {
    text: String,
    steps: Steps,
}

#[derive(Clone, Debug)]
enum Steps {
    Plain(Vec<Step>),
    Filtered(JsonPath),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    All,
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        check(text)?;
        let plain = plain(text).map(Steps::Plain);
        let steps = match plain {
            Some(steps) => steps,
            None => JsonPath::parse(text)
                .map(Steps::Filtered)
                .map_err(|error| format!("{text:?} is not a JSONPath: {error}"))?,
        };
        Ok(Self { text: text.to_owned(), steps })
    }

    /// Reads a path that only names members, numbers elements, and takes all elements.
    pub(super) fn parse_plain(text: &str) -> Result<Self, String> {
        let path = Self::parse(text)?;
        match path.steps {
            Steps::Plain(_) => Ok(path),
            Steps::Filtered(_) => Err(format!("{text:?} must not have a filter")),
        }
    }

    /// Reads a condition of a filter, such as `@.type == 'sms'`, which an item meets if the path has a
    /// value for a list of the item alone.
    pub(super) fn parse_condition(text: &str) -> Result<Self, String> {
        Self::parse(&format!("$[?{text}]")).map_err(|message| {
            message + "; compare with ==, !=, < or >, and join with &&, || and !"
        })
    }

    /// Whether an item meets the condition.
    pub(super) fn is_met(&self, item: &Value) -> bool {
        self.first(&Value::Array(vec![item.clone()])).is_some()
    }

    /// The path as it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The path without the root, as the name of a field.
    pub(super) fn field(&self) -> &str {
        let field = self.text.strip_prefix("$.").unwrap_or(&self.text);
        field.strip_prefix('$').unwrap_or(field)
    }

    /// Whether the path takes all elements of a list in the end.
    pub(super) fn is_list(&self) -> bool {
        match &self.steps {
            Steps::Plain(steps) => steps.last() == Some(&Step::All),
            Steps::Filtered(_) => true,
        }
    }

    /// The values.
    pub(super) fn all<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match &self.steps {
            Steps::Filtered(path) => path.query(value).all(),
            Steps::Plain(steps) => {
                let mut found = vec![value];
                for step in steps {
                    found = found
                        .into_iter()
                        .flat_map(|value| match step {
                            Step::All => elements(value),
                            _ => member(value, step).into_iter().collect(),
                        })
                        .collect();
                }
                found
            }
        }
    }

    /// The first of the values.
    pub(super) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match &self.steps {
            Steps::Plain(steps) if !steps.contains(&Step::All) => {
                steps.iter().try_fold(value, |value, step| member(value, step))
            }
            _ => self.all(value).into_iter().next(),
        }
    }

    /// The places of the values as JSON pointers (RFC 6901), also of a member that is missing.
    #[cfg(feature = "demo")]
    pub(super) fn pointers(&self, value: &Value) -> Vec<String> {
        let steps = match &self.steps {
            Steps::Plain(steps) => steps,
            Steps::Filtered(path) => {
                let found = path.query_located(value);
                return found.locations().map(NormalizedPath::to_json_pointer).collect();
            }
        };
        let mut found = vec![String::new()];
        for step in steps {
            let next = found.into_iter().flat_map(|place| match step {
                Step::Name(name) => vec![format!("{place}/{name}")],
                Step::Index(index) => vec![format!("{place}/{index}")],
                Step::All => {
                    let items = value.pointer(&place).map_or_else(Vec::new, elements);
                    (0..items.len()).map(|index| format!("{place}/{index}")).collect()
                }
            });
            found = next.collect();
        }
        found
    }

    /// Whether a member is missing because something else is where an object should be. Nothing is
    /// nothing else, nor is an empty list, as which PHP writes an empty object.
    pub(super) fn is_blocked(&self, value: &Value) -> bool {
        fn blocks(value: &Value, steps: &[Step]) -> bool {
            match (steps.split_first(), value) {
                (None | Some((Step::Index(_), _)), _) | (_, Value::Null) => false,
                (Some((Step::Name(name), rest)), Value::Object(members)) => {
                    members.get(name).is_some_and(|next| blocks(next, rest))
                }
                (Some((Step::Name(_), _)), Value::Array(items)) => !items.is_empty(),
                (Some((Step::All, rest)), value @ (Value::Object(_) | Value::Array(_))) => {
                    elements(value).into_iter().any(|next| blocks(next, rest))
                }
                _ => true,
            }
        }
        matches!(&self.steps, Steps::Plain(steps) if blocks(value, steps))
    }

    /// The first value in an answer that is not parsed, as it is written there, of a path without a filter.
    pub(super) fn raw_text<'a>(&self, json: &'a RawValue) -> Option<&'a str> {
        self.raw(json).ok()??.first().map(|value| value.get())
    }

    /// The values in an answer that is not parsed, each as it is written there; `None` if a list, or a
    /// value, on the way is missing. An error if something else is in its place.
    pub(super) fn raw<'a>(&self, json: &'a RawValue) -> Result<Option<Vec<&'a RawValue>>, String> {
        let Steps::Plain(steps) = &self.steps else {
            return Ok(None);
        };
        let mut found = vec![json];
        for step in steps {
            let mut next = Vec::new();
            for value in &found {
                next.extend(step.raw(value, &self.text)?);
            }
            if next.is_empty() {
                // a list that is empty is there, whatever its elements would have
                let is_list = *step == Step::All;
                return Ok(is_list.then(Vec::new));
            }
            found = next;
        }
        Ok(Some(found))
    }

    /// The first value in an answer that is not parsed.
    pub(super) fn raw_value(&self, json: &RawValue) -> Option<Value> {
        let first = match self.steps {
            Steps::Plain(_) => self.raw(json).ok()??.into_iter().next()?,
            Steps::Filtered(_) => json,
        };
        let value: Value = serde_json::from_str(first.get()).ok()?;
        match self.steps {
            Steps::Plain(_) => Some(value),
            Steps::Filtered(_) => self.first(&value).cloned(),
        }
    }
}

impl Step {
    fn raw<'a>(&self, json: &'a RawValue, path: &str) -> Result<Vec<&'a RawValue>, String> {
        let text = json.get().trim_start();
        let found = match self {
            Self::Name(name) if text.starts_with('{') => {
                let members: HashMap<Cow<'a, str>, &'a RawValue> =
                    serde_json::from_str(text).map_err(|error| error.to_string())?;
                members.get(name.as_str()).copied().into_iter().collect()
            }
            Self::Name(_) => Vec::new(),
            Self::Index(_) | Self::All => {
                let list: List<'a> =
                    serde_json::from_str(text).map_err(|_| format!("no list at {path}"))?;
                let items = list.items();
                match self {
                    Self::Index(index) => items.get(*index).copied().into_iter().collect(),
                    _ => items,
                }
            }
        };
        Ok(found)
    }
}

fn member<'a>(value: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Name(name) => value.get(name),
        Step::Index(index) => value.get(index),
        Step::All => None,
    }
}

fn elements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

/// Refuses what is not bounded by the size of a value.
fn check(text: &str) -> Result<(), String> {
    if !text.starts_with('$') {
        return Err(format!("{text:?} is not a JSONPath: it must begin with $"));
    }
    if text.len() > MAX_BYTES {
        return Err(format!("the path is longer than {MAX_BYTES} bytes"));
    }
    let (mut depth, mut quote, mut last) = (0_usize, None, ' ');
    for (index, char) in text.char_indices() {
        match (quote, char) {
            (Some(open), char) if char == open && last != '\\' => quote = None,
            (None, '\'' | '"') => quote = Some(char),
            (None, '(') if last.is_ascii_alphanumeric() || last == '_' => {
                return Err(format!("{text:?} must not have functions"));
            }
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| format!("{text:?} closes a bracket that is not open"))?;
            }
            // each would find every value once more
            (None, ',') => {
                return Err(format!("{text:?} must have one selector in each pair of brackets"));
            }
            (None, '.') if last == '.' => {
                return Err(format!("{text:?} must not have ..: name the members"));
            }
            (None, '$') if index > 0 => {
                return Err(format!("{text:?} must have $ at its beginning only"));
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("{text:?} has more than {MAX_DEPTH} brackets in each other"));
        }
        last = if last == '\\' { ' ' } else { char };
    }
    Ok(())
}

/// The steps of a path without a filter.
fn plain(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text.strip_prefix('$')?;
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(bracket) = rest.strip_prefix('[') {
            let (inside, rest) = bracket.split_once(']')?;
            let quoted = |quote| inside.strip_prefix(quote)?.strip_suffix(quote);
            let step = match quoted('\'').or_else(|| quoted('"')) {
                Some(name) if !name.contains(['\\', '\'', '"']) => Step::Name(name.to_owned()),
                Some(_) => return None,
                None if inside == "*" => Step::All,
                None => Step::Index(inside.parse().ok()?),
            };
            (step, rest)
        } else {
            let dot = rest.strip_prefix('.')?;
            let end = dot.find(['.', '[']).unwrap_or(dot.len());
            let (name, rest) = dot.split_at_checked(end)?;
            let is_name = |char: char| char.is_alphanumeric() || char == '_';
            let begins = name.chars().next().is_some_and(|char| !char.is_ascii_digit());
            let step = match name {
                "*" => Step::All,
                name if begins && name.chars().all(is_name) => Step::Name(name.to_owned()),
                _ => return None,
            };
            (step, rest)
        };
        steps.push(step);
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(path: &str, value: &Value) -> Vec<Value> {
        Path::parse(path).unwrap().all(value).into_iter().cloned().collect()
    }

    #[test]
    fn a_path_finds_values() {
        let value = json!({"a": {"b c": [1, 2, {"d": 3}]}, "plan": [{"type": "x"}, {"type": "sms", "n": 7}]});
        for (path, expected) in [
            ("$", vec![value.clone()]),
            ("$.a['b c'][1]", vec![json!(2)]),
            ("$.a['b c'][2].d", vec![json!(3)]),
            ("$.plan[*].type", vec![json!("x"), json!("sms")]),
            ("$.plan[?@.type == 'sms'].n", vec![json!(7)]),
            ("$.plan[?@.n > 1 && @.type != 'x'].n", vec![json!(7)]),
            ("$.none.of[3].these", vec![]),
        ] {
            assert_eq!(found(path, &value), expected, "{path}");
            let first = Path::parse(path).unwrap();
            assert_eq!(first.first(&value), expected.first(), "{path}");
            let raw = serde_json::value::to_raw_value(&value).unwrap();
            assert_eq!(first.raw_value(&raw).as_ref(), expected.first(), "{path}");
        }
    }

    #[test]
    fn an_empty_list_is_no_missing_one() {
        for (json, expected) in [
            (r#"{"data": [{"rows": [1]}, {"rows": [2, 3]}]}"#, Ok(Some(3))),
            (r#"{"data": [{"rows": []}]}"#, Ok(Some(0))),
            (r#"{"data": []}"#, Ok(Some(0))),
            (r#"{"data": [{}]}"#, Ok(None)),
            (r"{}", Ok(None)),
            (r#"{"data": 7}"#, Err("no list at $.data[*].rows[*]".to_owned())),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            let found = Path::parse("$.data[*].rows[*]").unwrap().raw(raw);
            assert_eq!(found.map(|found| found.map(|found| found.len())), expected, "{json}");
        }
    }

    #[test]
    fn what_is_not_bounded_is_refused() {
        for (path, message) in [
            ("a.b", "must begin with $"),
            ("$..a", "must not have .."),
            ("$.a[*,*][*,*]", "one selector"),
            ("$['a','b']", "one selector"),
            ("$.a[?$.b]", "$ at its beginning only"),
            ("$.a[?length(@.b) > 1]", "must not have functions"),
            ("$.a[?match(@.b, 'x')]", "must not have functions"),
            ("$.a[", "not a JSONPath"),
            ("$.a]", "not open"),
            ("$.a)", "not open"),
            (&format!("$[?{}1 == 1{}]", "(".repeat(9), ")".repeat(9)), "brackets"),
            (&format!("$.{}", "x".repeat(200)), "longer than"),
        ] {
            let error = Path::parse(path).unwrap_err();
            assert!(error.contains(message), "{path}: {error}");
        }
        assert!(Path::parse("$['a..$b(((((((((']").is_ok());
    }
}
