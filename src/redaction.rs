//! Keeps secrets out of everything that leaves the program.
//!
//! Secrets are registered where they are read or granted. Errors, log lines and the answers of
//! providers pass through here, since a provider can repeat a token in an error message or even in a
//! campaign's name.

pub mod guess;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard};

use memchr::{memchr_iter, memmem};
use secrecy::{ExposeSecret, SecretString};

/// What takes the place of a secret.
pub const PLACEHOLDER: &str = "[redacted]";

/// Number of secrets that are remembered: a few for each of a thousand accounts. A rotated secret
/// stays known for a while, because a late answer can still repeat it.
const MAX_SECRETS: usize = 4_096;

/// Shortest secret that is searched for in answers and whole log lines. A shorter one would match
/// ordinary words, keys and times. Error messages are searched for all.
const MIN_DISTINCT_SECRET: usize = 8;

/// Bytes of a sample of a text.
const SAMPLE: usize = 4;

/// Distance between samples: wherever a distinct secret ends, a whole sample is in its last bytes.
const STRIDE: usize = MIN_DISTINCT_SECRET - SAMPLE + 1;

/// Escapes within escapes that are decoded: an address in JSON, in a log line.
const LAYERS: usize = 3;

/// Every secret in use in this process.
static IN_USE: LazyLock<RwLock<Redactor>> = LazyLock::new(RwLock::default);

/// What a text is, and with it which secrets are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// An error message: all secrets.
    Message,
    /// A log line: those that cannot be mistaken for words.
    Line,
    /// An answer: of those, the ones with more than digits, since digits can be part of a number.
    Answer,
}

/// Replaces secrets in text, in every form in which they travel.
#[derive(Default)]
struct Redactor {
    /// The secrets, the oldest first.
    secrets: VecDeque<Arc<str>>,
    /// Where distinct secrets contain a sample: the offset, and the secret. The samples are from the
    /// end, since all JSON Web Tokens begin alike.
    samples: HashMap<[u8; SAMPLE], Vec<(usize, Arc<str>)>>,
    /// The hashes of the samples, which exclude most of a text.
    hashes: Vec<bool>,
    /// The bytes that secrets consist of: no other escape has to be decoded.
    bytes: Vec<bool>,
}

impl Redactor {
    /// Adds a secret. The oldest is forgotten beyond `MAX_SECRETS`.
    fn add(&mut self, secret: &SecretString) {
        let secret = secret.expose_secret();
        if secret.is_empty() || self.knows(secret) {
            return;
        }
        if self.secrets.len() == MAX_SECRETS {
            self.secrets.pop_front();
            self.samples.clear();
            self.hashes.clear();
            for secret in self.secrets.clone() {
                self.add_samples(&secret);
            }
        }
        self.bytes.resize(256, false);
        // an escape can be within an escape
        for byte in secret.bytes().chain(*b"\\%") {
            mark(&mut self.bytes, byte.into());
        }
        self.secrets.push_back(secret.into());
        self.add_samples(secret);
    }

    fn add_samples(&mut self, secret: &str) {
        self.hashes.resize(1 << u16::BITS, false);
        for form in forms(secret) {
            let Some(end) = form.len().checked_sub(MIN_DISTINCT_SECRET) else {
                return;
            };
            for (offset, sample) in form.as_bytes().windows(SAMPLE).enumerate().skip(end) {
                if let Ok(sample) = <[u8; SAMPLE]>::try_from(sample) {
                    let places = self.samples.entry(sample).or_default();
                    places.push((offset, Arc::clone(&form)));
                    mark(&mut self.hashes, hash(sample));
                }
            }
        }
    }

    fn knows(&self, secret: &str) -> bool {
        self.secrets.iter().rev().any(|known| &**known == secret)
    }

    /// The text without secrets; `None` if it has none.
    fn redact(&self, text: &[u8], what: Text) -> Option<Vec<u8>> {
        let mut found = self.find(text, what, LAYERS);
        found.sort_by_key(|place| (place.start, Reverse(place.end)));
        let mut clean = Vec::new();
        let mut end = 0;
        for place in &found {
            // one secret can be part of another
            if place.start >= end {
                clean.extend_from_slice(text.get(end..place.start)?);
                clean.extend_from_slice(PLACEHOLDER.as_bytes());
            }
            end = end.max(place.end);
        }
        clean.extend_from_slice(text.get(end..)?);
        (!found.is_empty()).then_some(clean)
    }

    /// The places of secrets in a text and in what its escapes stand for.
    fn find(&self, text: &[u8], what: Text, layers: usize) -> Vec<Range<usize>> {
        let mut found = self.find_distinct(text);
        if what == Text::Message {
            let short = |secret: &&Arc<str>| secret.len() < MIN_DISTINCT_SECRET;
            for form in self.secrets.iter().filter(short).flat_map(|it| forms(it)) {
                let starts = memmem::find_iter(text, form.as_bytes());
                found.extend(starts.map(|start| start..start + form.len()));
            }
        }
        if what == Text::Answer {
            let is_number = |place: &Range<usize>| {
                let bytes = text.get(place.clone()).unwrap_or_default();
                bytes.iter().all(u8::is_ascii_digit)
            };
            found.retain(|place| !is_number(place));
        }
        let decode = |escape| Decoded::of(text, escape, &self.bytes);
        let backslashes = (layers > 1).then(|| decode(Escape::Backslash)).flatten();
        let percents = || (layers > 0).then(|| decode(Escape::Percent)).flatten();
        if let Some(decoded) = backslashes.or_else(percents) {
            let within = self.find(&decoded.text, what, layers - 1);
            found.extend(within.iter().map(|place| decoded.original(place)));
        }
        found
    }

    /// The places of distinct secrets in a text.
    fn find_distinct(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.samples.is_empty() {
            return found;
        }
        for (place, sample) in text.windows(SAMPLE).enumerate().step_by(STRIDE) {
            let Ok(sample) = <[u8; SAMPLE]>::try_from(sample) else {
                continue;
            };
            if !is_marked(&self.hashes, hash(sample)) {
                continue;
            }
            for (offset, secret) in self.samples.get(&sample).into_iter().flatten() {
                if let Some(start) = place.checked_sub(*offset)
                    && let Some(rest) = text.get(start..)
                    && rest.starts_with(secret.as_bytes())
                {
                    found.push(start..start + secret.len());
                }
            }
        }
        found
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} secrets)", self.secrets.len())
    }
}

/// A secret, and what a form makes of its spaces.
fn forms(secret: &str) -> impl Iterator<Item = Arc<str>> {
    let form = secret.contains(' ').then(|| secret.replace(' ', "+").into());
    [secret.into()].into_iter().chain(form)
}

/// A hash of 16 bits (Knuth's multiplicative one).
fn hash(sample: [u8; SAMPLE]) -> usize {
    (u32::from_le_bytes(sample).wrapping_mul(2_654_435_761) >> u16::BITS) as usize
}

/// How a text escapes characters. Any character can be escaped, not only those that have to be.
#[derive(Clone, Copy, Debug)]
enum Escape {
    /// As JSON and Rust do.
    Backslash,
    /// As addresses and forms do.
    Percent,
}

impl Escape {
    const fn first(self) -> u8 {
        match self {
            Self::Backslash => b'\\',
            Self::Percent => b'%',
        }
    }

    /// The byte that an escape at the beginning of `text` stands for, and the length of the escape.
    /// Backslashes escape ASCII only: providers issue no other secrets (RFC 6749, appendix A).
    fn decode(self, text: &[u8]) -> Option<(u8, usize)> {
        match (self, text) {
            (Self::Percent, [_, high, low, ..]) => Some((hexadecimal(*high, *low)?, 3)),
            (Self::Backslash, [_, b'u', b'0', b'0', high @ b'0'..=b'7', low, ..]) => {
                Some((hexadecimal(*high, *low)?, 6))
            }
            (Self::Backslash, [_, byte @ (b'"' | b'\\' | b'/'), ..]) => Some((*byte, 2)),
            _ => None,
        }
    }
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(16 * digit(high)? + digit(low)?).ok()
}

/// A text whose escapes are decoded.
#[derive(Default)]
struct Decoded {
    text: Vec<u8>,
    /// The end of each escape: here, and in the original.
    ends: Vec<(usize, usize)>,
}

impl Decoded {
    /// The text with the escapes of these bytes decoded; `None` if it has none.
    fn of(text: &[u8], escape: Escape, bytes: &[bool]) -> Option<Self> {
        let mut decoded = Self::default();
        let (mut rest, mut next) = (0, 0);
        for start in memchr_iter(escape.first(), text) {
            if start < next {
                // the second of two backslashes
                continue;
            }
            if let Some((byte, length)) = escape.decode(text.get(start..)?) {
                next = start + length;
                if is_marked(bytes, byte.into()) {
                    decoded.text.extend_from_slice(text.get(rest..start)?);
                    decoded.text.push(byte);
                    rest = next;
                    decoded.ends.push((decoded.text.len(), rest));
                }
            }
        }
        decoded.text.extend_from_slice(text.get(rest..)?);
        (!decoded.ends.is_empty()).then_some(decoded)
    }

    /// The place in the original of a place between escapes or characters.
    fn original(&self, place: &Range<usize>) -> Range<usize> {
        let original = |position: usize| {
            let before = self.ends.partition_point(|(end, _)| *end <= position);
            let last = before.checked_sub(1).and_then(|last| self.ends.get(last));
            let (here, there) = last.copied().unwrap_or_default();
            there + position - here
        };
        original(place.start)..original(place.end)
    }
}

fn mark(set: &mut [bool], member: usize) {
    if let Some(known) = set.get_mut(member) {
        *known = true;
    }
}

fn is_marked(set: &[bool], member: usize) -> bool {
    set.get(member).is_some_and(|known| *known)
}

fn in_use() -> RwLockReadGuard<'static, Redactor> {
    IN_USE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Registers a secret that is in use from now on.
pub fn register(secret: &SecretString) {
    // asking first, since most polls read a secret that is known
    if !in_use().knows(secret.expose_secret()) {
        let mut in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
        in_use.add(secret);
    }
}

/// An error message without any secret in use.
pub fn redact(message: &str) -> Cow<'_, str> {
    text(message, Text::Message)
}

/// A text without any secret in use that cannot be mistaken for a word.
pub fn redact_distinct(line: &str) -> Cow<'_, str> {
    text(line, Text::Line)
}

fn text(text: &str, what: Text) -> Cow<'_, str> {
    match in_use().redact(text.as_bytes(), what) {
        Some(clean) => String::from_utf8_lossy(&clean).into_owned().into(),
        None => text.into(),
    }
}

/// The body of an answer without any secret in use, or `None` if it has none. A secret of digits
/// alone is left, for it may be part of a number.
pub fn redact_answer(body: &[u8]) -> Option<Vec<u8>> {
    in_use().redact(body, Text::Answer)
}

/// A writer that redacts what it is given. Each write has to be a whole line, as the log's are.
#[derive(Debug)]
pub struct RedactingWriter<W>(pub W);

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let clean = in_use().redact(line, Text::Line);
        self.0.write_all(clean.as_deref().unwrap_or(line))?;
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
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add(&SecretString::from(*secret));
        }
        redactor
    }

    fn redacted(redactor: &Redactor, text: &str, what: Text) -> String {
        let clean = redactor.redact(text.as_bytes(), what);
        clean.map_or_else(|| text.to_owned(), |clean| String::from_utf8(clean).unwrap())
    }

    #[test]
    fn a_secret_is_replaced_in_every_form() {
        for secret in ["hun\\ter 2&x", "ter 2&x"] {
            let redactor = redactor(&[secret]);
            for text in [
                "bad token hun\\ter 2&x!",
                "invalid type: \"hun\\\\ter 2&x\"",
                "?token=hun%5Cter+2%26x",
                "?token=hun%5cter%202%26x",
                r#"{"token":"\u0068un\\t\u0065r\u00202\u0026x"}"#,
                r#"{"link":"\/a?token=h%75n%5Cter+2%26x"}"#,
                r#"{"link":"a?token=hun\u00255Cter+2%26x"}"#,
                r#"{"error":"the answer is \"hun\\\\ter 2&x\""}"#,
            ] {
                let redacted = redacted(&redactor, text, Text::Message);
                assert!(redacted.contains(PLACEHOLDER), "{redacted}");
                assert!(!redacted.contains('x'), "{redacted}");
            }
        }
        let redactor = redactor(&["hun\\ter 2&x"]);
        assert_eq!(redacted(&redactor, "hun", Text::Message), "hun");
    }

    #[test]
    fn a_secret_is_found_wherever_it_begins() {
        let secret = "Zq8/+=é.y-Z";
        let redactor = redactor(&[secret, "another-secret"]);
        let json = secret.replace('/', "\\/").replace('-', "\\u002D");
        let percent = secret.replace('/', "%2f").replace('é', "%c3%A9");
        for form in [secret, &json, &percent] {
            for before in 0..18 {
                let before = &r#"{"a":"\n50% \/x"}\"#[..before];
                let text = format!("{before}ö{form}\\n\u{20ac}");
                let clean = format!("{before}ö{PLACEHOLDER}\\n\u{20ac}");
                assert_eq!(redacted(&redactor, &text, Text::Answer), clean);
            }
        }
    }

    #[test]
    fn text_without_secrets_is_not_copied() {
        let redactor = redactor(&["0123456789ab"]);
        for text in ["", "%", "%4", "%zz", "\\", "\\u", "\\u{", "\\u{zz}", "\\x", "\\ud83d"] {
            assert_eq!(redactor.redact(text.as_bytes(), Text::Message), None);
        }
    }

    #[test]
    fn a_secret_within_another_leaves_no_rest() {
        let redactor = redactor(&["abcd", "xxabcdyy", "yyzz", ""]);
        let redacted = |text| redacted(&redactor, text, Text::Message);
        assert_eq!(redacted("xxabcdyy abcd"), "[redacted] [redacted]");
        assert_eq!(redacted("xxabcdyyzz"), "[redacted]");
    }

    #[test]
    fn a_short_secret_does_not_spoil_labels() {
        let redactor = redactor(&["sale", "0123456789", "012345678x"]);
        let line = |text| redacted(&redactor, text, Text::Line);
        assert_eq!(line("Summer sale"), "Summer sale");
        assert_eq!(line("x0123456789"), "x[redacted]");
        let answer = |text| redacted(&redactor, text, Text::Answer);
        assert_eq!(answer("10123456789"), "10123456789");
        assert_eq!(answer("1012345678x"), "1[redacted]");
    }

    #[test]
    fn the_oldest_secret_is_forgotten_first() {
        let mut redactor = Redactor::default();
        for number in 0..=MAX_SECRETS {
            redactor.add(&SecretString::from(format!("secret-{number:05}")));
        }
        let redacted = |text| redacted(&redactor, text, Text::Line);
        assert_eq!(redacted("secret-00000"), "secret-00000");
        assert_eq!(redacted("secret-00001"), PLACEHOLDER);
    }

    #[test]
    fn a_log_line_is_redacted() {
        register(&SecretString::from("a/secret/of-the-log-test"));
        let mut log = Vec::new();
        let mut writer = RedactingWriter(&mut log);
        writer.write_all(b"level=info token=a/secret%2fof-the-log-test\n").unwrap();
        assert_eq!(log, b"level=info token=[redacted]\n");
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", redactor(&["0123456789"])), "Redactor(1 secrets)");
    }
}
