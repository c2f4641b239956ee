//! Which answers are good, and what the others mean.

use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::field::scalar;
use super::path::Path;
use super::reader::{Mapping, Part, may, must, named, scalar_text};
use super::request::read_paths;
use crate::document::node::Node;
use crate::provider::lenient::Problems;
use crate::upstream::answer::Answer;
use crate::upstream::{PollError, Reason};

/// Which answers are good, and what the others mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdict {
    /// Where a good answer has one of these values.
    pub success: Option<(Path, Vec<String>)>,
    /// Where the provider's own code is.
    pub code: Option<Path>,
    /// Where it explains errors.
    pub message: Vec<Path>,
    /// Where it says how many seconds to wait.
    retry_after: Option<Path>,
    /// The reason of a code that is not listed, if the HTTP status is good.
    otherwise: Option<Reason>,
    /// Reasons by code.
    pub codes: Vec<(String, Reason)>,
    /// Reasons by HTTP status.
    pub statuses: Vec<(String, Reason)>,
}

/// The keys of a test of success.
pub(crate) const SUCCESS: Part = Part {
    title: "Success",
    keys: &[
        must("path", "path", "A value that indicates success, besides a good HTTP status."),
        must("is", "value, or list of values", "The values that mean success."),
    ],
};

/// The keys of errors.
pub(crate) const ERRORS: Part = Part {
    title: "Errors",
    keys: &[
        may("code", "path", "Where the provider's own code is."),
        may("message", "path, or list of paths", "Where it explains errors."),
        may(
            "retry_after",
            "path",
            "Where a throttling answer has the seconds to wait, if it has no `Retry-After` header. Waits are an hour at most.",
        ),
        may(
            "codes",
            "mapping of codes to reasons",
            "What a code means, as a value of the `reason` label. A status of 429 or 500 to 599 comes first.",
        ),
        may(
            "otherwise",
            "reason",
            "What any other code means if the HTTP status is good; `decode` by default.",
        ),
        may(
            "statuses",
            "mapping of HTTP statuses to reasons",
            "What a status means, if not the usual.",
        ),
    ],
};

impl Verdict {
    /// Reads the test of success.
    pub(super) fn read_success(&mut self, mapping: &mut Mapping<'_, '_>) {
        let path = mapping.parsed("path", Path::parse_plain);
        let mut values = Vec::new();
        for (path, node) in mapping.one_or_more("is") {
            let value = match &node.value {
                Node::Null | Node::Float(_) => {
                    Err("expected text, a whole number, true or false".to_owned())
                }
                other => scalar_text(other),
            };
            values.extend(mapping.reader().noted(&path, node, value));
        }
        self.success = path.map(|path| (path, values));
    }

    /// Reads what errors look like.
    pub(super) fn read_errors(&mut self, mapping: &mut Mapping<'_, '_>) {
        self.code = mapping.parsed("code", Path::parse_plain);
        self.message = read_paths(mapping, "message");
        self.retry_after = mapping.parsed("retry_after", Path::parse_plain);
        self.codes = reasons(mapping, "codes");
        self.otherwise = mapping.parsed("otherwise", reason);
        self.statuses = reasons(mapping, "statuses");
        for (status, _) in &self.statuses {
            if !status.parse().is_ok_and(|status: u16| (200..600).contains(&status)) {
                mapping
                    .problem("statuses", format!("{status:?} is no HTTP status from 200 to 599"));
            }
        }
        if self.code.is_none() && !(self.codes.is_empty() && self.otherwise.is_none()) {
            mapping.problem("code", "is missing: codes and otherwise need it");
        }
    }

    /// Whether a good answer is known by more than its status.
    pub(super) const fn has_success(&self) -> bool {
        self.success.is_some()
    }

    /// The body of a good answer; else the error that the answer reports.
    pub(super) fn of<'a>(&self, answer: &'a Answer) -> Result<&'a RawValue, PollError> {
        let root = serde_json::from_slice::<&RawValue>(&answer.body).ok();
        let is_good_status = answer.is_good();
        let Some(root) = root else {
            return Err(if is_good_status {
                answer.not_json()
            } else {
                answer.failure(self.reason(answer, None), None, "")
            });
        };
        let missing = match &self.success {
            None => None,
            Some((path, values)) => match path.raw_value(root).as_ref().and_then(text) {
                Some(value) if values.iter().any(|known| known == value.trim()) => None,
                value => {
                    let found = value.map_or("has no value".to_owned(), |it| format!("is {it}"));
                    let expected = values.join(" or ");
                    Some(format!("`success`: `{}` {found}; expected {expected}", path.text()))
                }
            },
        };
        let code = || text(&self.code.as_ref()?.raw_value(root)?);
        let is_error = |code: String| self.codes.iter().any(|(known, _)| *known == code);
        let has_no_error =
            self.success.is_some() || self.codes.is_empty() || !code().is_some_and(is_error);
        if is_good_status && missing.is_none() && has_no_error {
            return Ok(root);
        }
        let code = code();
        let reason = self.reason(answer, code.as_deref());
        let missing = missing.filter(|_| is_good_status);
        let details = missing.into_iter().chain(self.details(root));
        let detail = details.collect::<Vec<_>>().join(": ");
        let wait = self.retry_after.as_ref().and_then(|path| {
            let seconds = scalar(&path.raw_value(root)?).number("", &mut Problems::default())?;
            Duration::try_from_secs_f64(seconds).ok()
        });
        let mut answer = answer.with_body(answer.body.clone());
        answer.retry_after = answer.retry_after.or(wait);
        Err(answer.failure(reason, code.as_deref(), &detail))
    }

    fn reason(&self, answer: &Answer, code: Option<&str>) -> Reason {
        let status = answer.status.to_string();
        let of = |reasons: &[(String, Reason)], key: &str| {
            let mut reasons = reasons.iter();
            reasons.find(|(known, _)| known == key).map(|(_, reason)| *reason)
        };
        let usual = Reason::of_status(answer.status);
        if let Some(reason) = of(&self.statuses, &status) {
            return reason;
        }
        // these tell the kind of failure even if the body says otherwise
        if matches!(answer.status, 429 | 500..=599) {
            return usual;
        }
        let Some(code) = code else { return usual };
        let otherwise = self.otherwise.filter(|_| usual == Reason::Decode);
        of(&self.codes, code).or(otherwise).unwrap_or(usual)
    }

    fn details(&self, root: &RawValue) -> Vec<String> {
        let texts = self.message.iter().filter_map(|path| {
            let value = path.raw_value(root)?;
            text(&value).or_else(|| Some(value.to_string()))
        });
        texts.filter(|text| !text.is_empty() && text != "null").collect()
    }
}

/// A value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        // codes can be negative, and 200.0 is 200
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => Some(float.to_string()),
            _ => Some(number.to_string()),
        },
        other => scalar(other).text("", &mut Problems::default()),
    }
}

fn reasons(mapping: &mut Mapping<'_, '_>, key: &str) -> Vec<(String, Reason)> {
    let mut reasons = Vec::new();
    for (name, path, node) in mapping.entries(key) {
        let reason = mapping.reader().text(&path, node, "a reason", reason);
        reasons.extend(reason.map(|reason| (name, reason)));
    }
    reasons
}

fn reason(label: &str) -> Result<Reason, String> {
    named("reason", &Reason::ALL, Reason::as_str, label)
}
