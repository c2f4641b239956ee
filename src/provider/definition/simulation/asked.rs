//! What a request asks for, which has to be exactly what the definition asks.

use std::collections::BTreeMap;

use campaign_simulator::Request;
use serde_json::Value;

use crate::provider::source::{Ask, Target};
use crate::upstream::request::Body;

/// The values of a request by their place: `path`, `?parameter`, `=field`, or the JSON pointer in the
/// body.
pub(super) type Parts = BTreeMap<String, String>;

/// What stands for the value of a variable. The engine writes the token of a path in the same way.
pub(super) fn marker(variable: &str) -> String {
    format!("~{variable}~")
}

/// The parts of a request that the definition makes.
pub(super) fn expected(ask: &Ask) -> Parts {
    let mut parts = Parts::new();
    if let Target::Path(path) = &ask.target {
        parts.insert("path".to_owned(), path.clone());
    }
    parts.extend(ask.query.iter().map(|(name, value)| (format!("?{name}"), value.clone())));
    match &ask.body {
        Some(Body::Form(fields)) => {
            parts.extend(fields.iter().map(|(name, value)| (format!("={name}"), value.clone())));
        }
        Some(Body::Json(json)) => flatten("", json, &mut parts),
        None => {}
    }
    parts
}

/// The parts of a request that was received.
pub(super) fn received(request: &Request) -> Parts {
    let (path, query) = request.path_and_query.split_once('?').unwrap_or_default();
    let path = if path.is_empty() { request.path() } else { path };
    let mut parts = Parts::from([("path".to_owned(), path.to_owned())]);
    let query = form_urlencoded::parse(query.as_bytes());
    parts.extend(query.map(|(name, value)| (format!("?{name}"), value.into_owned())));
    let form = request.form.iter();
    parts.extend(form.map(|(name, value)| (format!("={name}"), value.clone())));
    flatten("", &request.json, &mut parts);
    parts
}

fn flatten(place: &str, json: &Value, parts: &mut Parts) {
    match json {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                flatten(&format!("{place}/{name}"), value, parts);
            }
        }
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().map(text).collect();
            parts.insert(place.to_owned(), texts.join(","));
        }
        scalar => drop(parts.insert(place.to_owned(), text(scalar))),
    }
}

fn text(json: &Value) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

/// The values of the variables, and of the optional parts by their place; `None` if anything else is
/// asked, or something is missing.
pub(super) fn values(expected: &Parts, received: &Parts, optional: &[String]) -> Option<Parts> {
    let mut values = Parts::new();
    for (place, text) in received {
        let is_optional = optional.contains(place);
        if is_optional {
            values.insert(place.clone(), text.clone());
        }
        match expected.get(place) {
            Some(template) => capture(template, text, &mut values)?,
            None if is_optional => {}
            None => return None,
        }
    }
    expected.keys().all(|place| received.contains_key(place)).then_some(values)
}

/// Takes the values of variables from a text.
fn capture(template: &str, text: &str, values: &mut Parts) -> Option<()> {
    let mut pieces = template.split('~');
    let mut rest = text.strip_prefix(pieces.next()?)?;
    while let (Some(variable), Some(after)) = (pieces.next(), pieces.next()) {
        let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
        let (value, tail) = rest.split_at_checked(end)?;
        values.insert(variable.to_owned(), value.to_owned());
        rest = tail.strip_prefix(after)?;
    }
    rest.is_empty().then_some(())
}
