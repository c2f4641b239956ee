//! A complete answer of a provider.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{PollError, Reason, json};

/// Maximum number of members that an error names: enough to recognize an answer.
const MAX_NAMES: usize = 5;

/// Longest wait that a `Retry-After` header can ask for: one of years is a mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`, for error messages.
    pub content_type: String,
    /// The wait that a `Retry-After` header asks for.
    pub retry_after: Option<Duration>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}

impl Answer {
    /// A JSON answer that did not come over HTTP.
    pub fn of(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            retry_after: None,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_ref()),
        }
    }

    /// Whether the status says that the body is what was asked for. Not that it is empty (204), a part
    /// (206, 207) or a change (226): campaigns that it leaves out would be deleted.
    pub fn is_good(&self) -> bool {
        (200..=203).contains(&self.status)
    }

    /// The body as a JSON object of a type, or a `decode` error.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, PollError> {
        let fail = |detail: String| {
            let (status, content_type) = (self.status, &self.content_type);
            PollError::new(
                Reason::Decode,
                format!("HTTP {status}, not the documented JSON ({content_type}): {detail}"),
            )
        };
        // validating all at once is faster than string by string
        let text = std::str::from_utf8(&self.body).map_err(|error| fail(error.to_string()))?;
        json::object(text).map_err(|error| fail(error.to_string()))
    }

    /// Interprets the answer. If that fails or gives something that is not `complete`, it interprets
    /// the repaired body, if there is anything to repair.
    pub fn interpreted<T>(
        &self,
        interpret: impl Fn(&Self) -> Result<T, PollError>,
        complete: impl Fn(&T) -> bool,
    ) -> Result<T, PollError> {
        let strict = interpret(self);
        if strict.as_ref().is_ok_and(complete) {
            return strict;
        }
        match json::repaired(&self.body) {
            Some(body) => interpret(&self.with_body(body)),
            None => strict,
        }
    }

    /// The answer with another body.
    #[must_use]
    pub fn with_body(&self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            content_type: self.content_type.clone(),
            headers: self.headers.clone(),
            ..*self
        }
    }

    /// The status, and where a redirect leads: it is not followed, so `base_url` has to change.
    fn outcome(&self) -> String {
        let location = self.headers.get(LOCATION).filter(|_| (300..400).contains(&self.status));
        let location = location.and_then(|location| location.to_str().ok());
        match location.map(|location| (location, Url::parse(location))) {
            None => format!("HTTP {}", self.status),
            // such as `javascript:`
            Some((_, Ok(url))) if !url.origin().is_tuple() => {
                format!("HTTP {}, a redirect that is not followed", self.status)
            }
            Some((_, Ok(url))) => {
                let origin = url.origin().ascii_serialization();
                format!("HTTP {}, a redirect to {origin} that is not followed", self.status)
            }
            Some((path, Err(_))) => {
                format!("HTTP {}, a redirect to {path} that is not followed", self.status)
            }
        }
    }

    /// The error that the answer reports, with the provider's own `code`, if it has one, and the
    /// text of `members`, under which the provider explains errors.
    pub fn error(&self, reason: Reason, code: Option<i64>, members: &[&str]) -> PollError {
        let mut message = self.outcome();
        if reason == Reason::Decode {
            message = if self.is_good() {
                format!("{message}, not the documented JSON ({})", self.content_type)
            } else {
                format!("{message} instead of 200")
            };
        }
        if let Some(code) = code {
            message = format!("{message}, code {code}");
        }
        if let Some(wait) = self.retry_after {
            message = format!("{message}, asks to wait {} s", wait.as_secs());
        }
        let detail = detail(&self.body, members);
        if !detail.is_empty() {
            message = format!("{message}: {detail}");
        }
        PollError { reason, message, retry_after: self.retry_after }
    }

    /// The error that an answer reports whose provider explains errors in its own way.
    pub fn failure(&self, reason: Reason, code: Option<&str>, detail: &str) -> PollError {
        let mut message = self.outcome();
        if let Some(code) = code {
            message = format!("{message}, code {code}");
        }
        if let Some(wait) = self.retry_after {
            message = format!("{message}, asks to wait {} s", wait.as_secs());
        }
        if !detail.is_empty() {
            message = format!("{message}: {detail}");
        }
        PollError { retry_after: self.retry_after, ..PollError::new(reason, message) }
    }

    /// The error of an answer that is not JSON although its status is good.
    pub fn not_json(&self) -> PollError {
        let found = match self.body.trim_ascii_start() {
            [] => "an empty body: check the address and its parameters",
            body if body.starts_with(json::GZIP) => {
                "a compressed body: save it with `curl --compressed`"
            }
            [b'<', ..] => "HTML or XML instead of JSON: check the address, and for a sign-in page",
            _ => "not JSON",
        };
        PollError::new(Reason::Decode, format!("HTTP {}, {found}", self.status))
    }

    /// The error of an answer with a good status that lacks something documented. It has the
    /// provider's explanation under `members`, or the names of what is there instead.
    pub fn without(&self, expected: &str, members: &[&str]) -> PollError {
        let mut detail = detail(&self.body, members);
        if detail.is_empty() {
            detail = match serde_json::from_slice::<Map<String, Value>>(&self.body) {
                Ok(object) if !object.is_empty() => {
                    let members = object.iter().take(MAX_NAMES);
                    let members =
                        members.map(|(name, value)| format!("`{name}` ({})", kind(value)));
                    format!("it has {}", members.collect::<Vec<_>>().join(", "))
                }
                Ok(_) => "it is an empty object".to_owned(),
                Err(_) => "it is no object".to_owned(),
            };
        }
        self.lacking(expected, &detail)
    }

    /// The error of an answer with a good status that lacks something documented, and what is known of
    /// it.
    pub fn lacking(&self, expected: &str, detail: &str) -> PollError {
        let message = format!("HTTP {} without {expected}: {detail}", self.status);
        PollError::new(Reason::Decode, message)
    }

    /// The error that the HTTP status alone implies.
    pub fn status_error(&self, members: &[&str]) -> PollError {
        self.error(Reason::of_status(self.status), None, members)
    }
}

/// The text of these members, in an object or the first object of an array; empty if the body has
/// another form, such as HTML.
fn detail(body: &[u8], members: &[&str]) -> String {
    let object = match serde_json::from_slice(body) {
        Ok(Value::Array(errors)) => errors.into_iter().next(),
        Ok(value) => Some(value),
        Err(_) => None,
    };
    let text = |member: &&str| words(object.as_ref()?.get(*member)?);
    let texts: Vec<_> = members.iter().filter_map(text).collect();
    texts.join(": ")
}

/// What a value is, without its content, which can be personal data.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "empty text",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The words of an explanation: its text, or the JSON of a structure.
pub(super) fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(_) | Value::Object(_) => Some(value.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A `Retry-After` header as a duration from `now`, in either of its forms (RFC 9110, 10.2.3).
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let time: DateTime<Utc> = httpdate::parse_http_date(value).ok()?.into();
        (time - now).to_std().unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_says_where_it_leads() {
        for (location, expected) in [
            ("https://other.example/v2?key=1", "a redirect to https://other.example that is"),
            ("/v2/campaigns", "a redirect to /v2/campaigns that is"),
            ("javascript:alert(1)", "a redirect that is"),
        ] {
            let mut answer = Answer::of(301, "");
            answer.headers.insert(LOCATION, location.parse().unwrap());
            let message = answer.status_error(&[]).message;
            assert!(message.starts_with(&format!("HTTP 301, {expected}")), "{message}");
        }
    }

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let wait = |value| retry_after(value, now);
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(wait(" 0 "), Some(Duration::ZERO));
        assert_eq!(wait("Sun, 01 Mar 2026 12:01:00 GMT"), Some(Duration::from_mins(1)));
        assert_eq!(wait("Sun, 01 Mar 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("99999999999999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait(""), None);
    }

    #[test]
    fn an_error_says_what_is_there_instead() {
        for (body, found) in [
            ("{}", "it is an empty object"),
            ("[]", "it is no object"),
            (r#"{"a":false,"b":""}"#, "it has `a` (false), `b` (empty text)"),
            (r#"{"a":{},"b":7}"#, "it has `a` (an object), `b` (a number)"),
        ] {
            let message = Answer::of(200, body).without("a list", &[]).message;
            assert_eq!(message, format!("HTTP 200 without a list: {found}"));
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_named() {
        for (body, found) in [
            (&b" \n"[..], "HTTP 200, an empty body"),
            (b"\n<!DOCTYPE html>", "HTTP 200, HTML or XML"),
            (b"\x1f\x8b\x08", "HTTP 200, a compressed body"),
            (b"id;name", "HTTP 200, not JSON"),
        ] {
            let message = Answer::of(200, body).not_json().message;
            assert!(message.starts_with(found), "{message}");
        }
    }

    #[test]
    fn an_error_contains_the_named_members() {
        for (body, explanation) in [
            (r#"[{"key":"k","text":"m"}]"#, "k: m"),
            (r#"{"key":"throttled","text":"Too Many"}"#, "throttled: Too Many"),
            (r#"{"text":"Forbidden"}"#, "Forbidden"),
            (r#"{"key":7,"text":"m"}"#, "m"),
            (r#"{"key":{"code":"k"},"text":["m"]}"#, r#"{"code":"k"}: ["m"]"#),
            (r#"{"key":"","text":null}"#, ""),
            (r#"{"other":"x"}"#, ""),
            ("<html>no</html>", ""),
            ("", ""),
            ("[]", ""),
            ("null", ""),
        ] {
            assert_eq!(detail(body.as_bytes(), &["key", "text"]), explanation);
        }
    }
}
