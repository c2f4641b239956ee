//! Keeps secrets out of everything that leaves the program.
//!
//! Secrets are registered where they are read or granted. Errors, log lines and labels pass through
//! here, since a provider can repeat a token in an error message or even in a campaign's name.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

/// What takes the place of a secret.
const PLACEHOLDER: &str = "[redacted]";

/// Number of secrets that are remembered: a few for each of a thousand accounts. A rotated secret
/// stays known for a while, because a late answer can still repeat it.
const MAX_SECRETS: usize = 4_096;

/// Shortest secret that is searched for in answers and whole log lines. A shorter one would match
/// ordinary words, keys and times. Error messages are searched for all.
const MIN_DISTINCT_SECRET: usize = 8;

/// Every secret in use in this process.
static IN_USE: RwLock<Redactor> = RwLock::new(Redactor::new());

/// Replaces secrets in text, in every form in which they travel.
#[derive(Default)]
pub struct Redactor {
    secrets: VecDeque<Vec<String>>,
}

impl Redactor {
    /// A redactor that knows no secret.
    pub const fn new() -> Self {
        Self {
            secrets: VecDeque::new(),
        }
    }

    /// Adds a secret. The oldest is forgotten beyond `MAX_SECRETS`.
    pub fn add(&mut self, secret: &SecretString) {
        let raw = secret.expose_secret();
        if raw.is_empty() || self.knows(raw) {
            return;
        }
        // as serde and JSON show it, and as a form or a query carries it
        let escaped = format!("{raw:?}");
        let mut forms = vec![
            raw.to_owned(),
            escaped.trim_matches('"').to_owned(),
            form_urlencoded::byte_serialize(raw.as_bytes()).collect(),
        ];
        forms.dedup();
        if self.secrets.len() == MAX_SECRETS {
            self.secrets.pop_front();
        }
        self.secrets.push_back(forms);
    }

    fn knows(&self, raw: &str) -> bool {
        let mut known = self.secrets.iter().rev();
        known.any(|forms| forms.first().is_some_and(|form| form == raw))
    }

    /// The text without secrets.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_longer_than(0, text)
    }

    /// The text without secrets that cannot be mistaken for words or numbers.
    pub fn redact_distinct<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.redact_longer_than(MIN_DISTINCT_SECRET - 1, text)
    }

    fn redact_longer_than<'a>(&self, length: usize, text: &'a str) -> Cow<'a, str> {
        let is_long = |forms: &&Vec<String>| forms.first().is_some_and(|raw| raw.len() > length);
        let forms = self.secrets.iter().filter(is_long).flatten();
        let mut found: Vec<&String> = forms.filter(|form| text.contains(form.as_str())).collect();
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        // one secret can be part of another
        found.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let mut text = text.to_owned();
        for form in found {
            text = text.replace(form.as_str(), PLACEHOLDER);
        }
        Cow::Owned(text)
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} secrets)", self.secrets.len())
    }
}

/// Registers a secret that is in use from now on.
pub fn register(secret: &SecretString) {
    // asking first, since most polls read a secret that is known
    let known = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    if !known.knows(secret.expose_secret()) {
        drop(known);
        let mut in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
        in_use.add(secret);
    }
}

/// The text without any secret in use.
pub fn redact(text: &str) -> Cow<'_, str> {
    let in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    in_use.redact(text)
}

/// The line without any secret in use that is distinct.
fn redact_line(line: &str) -> Cow<'_, str> {
    let in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    in_use.redact_distinct(line)
}

/// A writer that redacts what it is given. Each write has to be a whole line, as the log's are.
#[derive(Debug)]
pub struct RedactingWriter<W>(pub W);

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(redact_line(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::new();
        for secret in secrets {
            redactor.add(&SecretString::from(*secret));
        }
        redactor
    }

    #[test]
    fn a_secret_is_replaced_in_every_form() {
        let redactor = redactor(&["hun\\ter 2&x"]);
        for text in [
            "bad token hun\\ter 2&x!",
            "invalid type: \"hun\\\\ter 2&x\"",
            "?token=hun%5Cter+2%26x",
        ] {
            let redacted = redactor.redact(text);
            assert!(redacted.contains(PLACEHOLDER), "{redacted}");
            assert!(!redacted.contains("ter"), "{redacted}");
        }
        assert_eq!(redactor.redact("hun"), "hun");
    }

    #[test]
    fn a_secret_within_another_leaves_no_rest() {
        let redactor = redactor(&["abcd", "xxabcdyy", ""]);
        assert_eq!(redactor.redact("xxabcdyy abcd"), "[redacted] [redacted]");
    }

    #[test]
    fn a_short_secret_does_not_spoil_labels() {
        let redactor = redactor(&["sale", "0123456789"]);
        assert_eq!(redactor.redact_distinct("Summer sale"), "Summer sale");
        assert_eq!(redactor.redact_distinct("x0123456789"), "x[redacted]");
    }

    #[test]
    fn the_oldest_secret_is_forgotten_first() {
        let mut redactor = Redactor::new();
        for number in 0..=MAX_SECRETS {
            redactor.add(&SecretString::from(format!("secret-{number:05}")));
        }
        assert_eq!(redactor.redact("secret-00000"), "secret-00000");
        assert_eq!(redactor.redact("secret-00001"), PLACEHOLDER);
    }

    #[test]
    fn a_log_line_is_redacted() {
        register(&SecretString::from("a-secret-of-the-log-test"));
        let mut log = Vec::new();
        let mut writer = RedactingWriter(&mut log);
        writer
            .write_all(b"level=info token=a-secret-of-the-log-test\n")
            .unwrap();
        assert_eq!(log, b"level=info token=[redacted]\n");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", redactor(&["0123456789"])),
            "Redactor(1 secrets)"
        );
    }
}
