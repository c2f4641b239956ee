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

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use memchr::{memchr_iter, memmem};
use secrecy::{ExposeSecret, SecretString};

/// What takes the place of a secret.
pub const PLACEHOLDER: &str = "[redacted]";

/// Number of secrets that are remembered: a few for each of a thousand accounts. A rotated secret
/// stays known for a while, because a late answer can still repeat it.
const MAX_SECRETS: usize = 4_096;

/// Shortest secret that is searched for. A shorter one would match parts of words in every error message.
const MIN_SECRET: usize = 4;

/// Shortest secret that is searched for in answers and whole log lines. A shorter one would match
/// ordinary words, keys and times. Error messages are searched for all.
pub const MIN_DISTINCT_SECRET: usize = 8;

/// Bytes of the beginning of a secret that are searched for, since a provider can cut it short.
const START: usize = 12;

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
    samples: HashMap<[u8; SAMPLE], Vec<(usize, Arc<Form>)>>,
    /// What begins so, for each beginning: secrets can share one.
    starts: HashMap<Arc<str>, Vec<Beginning>>,
    /// The hashes of the samples, which exclude most of a text.
    hashes: Vec<bool>,
    /// The bytes that secrets consist of: no other escape has to be decoded.
    bytes: Vec<bool>,
}

impl Redactor {
    /// Adds a secret. The oldest is forgotten beyond `MAX_SECRETS`.
    fn add(&mut self, secret: &SecretString) {
        let secret = secret.expose_secret();
        if secret.len() < MIN_SECRET || self.knows(secret) {
            return;
        }
        if self.secrets.len() == MAX_SECRETS {
            self.secrets.pop_front();
            self.samples.clear();
            self.starts.clear();
            self.hashes.clear();
            for secret in self.secrets.clone() {
                self.add_samples(&secret);
            }
        }
        self.bytes.resize(256, false);
        // an escape can be within an escape, and an address escapes base64
        for byte in secret.bytes().chain(*b"\\%+/=") {
            mark(&mut self.bytes, byte.to_ascii_lowercase().into());
            mark(&mut self.bytes, byte.to_ascii_uppercase().into());
        }
        self.secrets.push_back(secret.into());
        self.add_samples(secret);
    }

    fn add_samples(&mut self, secret: &str) {
        self.hashes.resize(1 << u16::BITS, false);
        let wholes = forms(secret).map(|text| Form { text, is_start: false });
        let mut starts = Vec::new();
        for beginning in beginnings(secret) {
            let Some(start) = beginning.text.get(..START) else {
                continue;
            };
            let sharing = self.starts.entry(start.into()).or_insert_with(|| {
                starts.push(Form { text: start.into(), is_start: true });
                Vec::new()
            });
            sharing.push(beginning);
        }
        for form in wholes.chain(starts).map(Arc::new) {
            let Some(end) = form.text.len().checked_sub(MIN_DISTINCT_SECRET) else {
                continue;
            };
            for (offset, sample) in form.text.as_bytes().windows(SAMPLE).enumerate().skip(end) {
                if let Some(sample) = folded(sample) {
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
        if found.is_empty() {
            return None;
        }
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
        Some(clean)
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
        // the values of an answer are searched once more if they have invisible characters
        let drops = what != Text::Answer;
        if drops
            && layers > 0
            && let Some(decoded) = Decoded::of(text, Escape::Invisible, &self.bytes, true)
        {
            let within = self.find(&decoded.text, what, layers - 1);
            found.extend(within.iter().map(|place| decoded.original(place)));
        }
        let decode = |escape| Decoded::of(text, escape, &self.bytes, drops);
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
        // where the last beginning of a secret ends
        let mut covered = 0;
        for (place, sample) in text.windows(SAMPLE).enumerate().step_by(STRIDE) {
            let Some(sample) = folded(sample) else {
                continue;
            };
            if !is_marked(&self.hashes, hash(sample)) {
                continue;
            }
            for (offset, form) in self.samples.get(&sample).into_iter().flatten() {
                let Some(start) = place.checked_sub(*offset) else {
                    continue;
                };
                let end = start + form.text.len();
                let is_here = text.get(start..end).is_some_and(|here| {
                    // the case of a token can be changed
                    here.eq_ignore_ascii_case(form.text.as_bytes())
                });
                if is_here && !form.is_start {
                    found.push(start..end);
                } else if is_here && start >= covered {
                    let here = text.get(start..).unwrap_or_default();
                    let sharing = self.starts.get(&form.text).into_iter().flatten();
                    if let Some(length) = sharing.filter_map(|it| it.length_in(here)).max() {
                        covered = start + length;
                        found.push(start..covered);
                    }
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

/// A text that is searched for.
struct Form {
    text: Arc<str>,
    /// Whether it is the beginning of a secret, of which any part can follow.
    is_start: bool,
}

/// What begins with a beginning: a secret, or its base64 without what depends on the bytes after it.
struct Beginning {
    text: Arc<str>,
}

impl Beginning {
    /// How long the token at the beginning of a text is, if it is a secret, even cut short. Another
    /// token can begin like a secret, such as the id of a campaign.
    fn length_in(&self, text: &[u8]) -> Option<usize> {
        let pairs = text.iter().zip(self.text.as_bytes());
        let common = pairs.take_while(|(here, there)| here.eq_ignore_ascii_case(there)).count();
        let rest = text.get(common..)?;
        if common < self.text.len() {
            return (!goes_on(rest)).then_some(common);
        }
        Some(common + rest.iter().position(|byte| !is_of_token(*byte)).unwrap_or(rest.len()))
    }
}

/// A secret, and what a form makes of its spaces.
fn forms(secret: &str) -> impl Iterator<Item = Arc<str>> {
    let form = secret.contains(' ').then(|| secret.replace(' ', "+").into());
    [secret.into()].into_iter().chain(form)
}

/// A secret and its base64, which depends on how many bytes are before it. A number is left out, since
/// other numbers can begin alike.
fn beginnings(secret: &str) -> impl Iterator<Item = Beginning> {
    let is_long = secret.len() >= START && !secret.bytes().all(|byte| byte.is_ascii_digit());
    let base64 = [0, 2, 3].into_iter().zip(["", "x", "xx"]).flat_map(move |(skip, before)| {
        [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD].map(|base64| {
            let mut text = base64.encode([before, secret].concat());
            if !text.len().is_multiple_of(4) {
                // it has bits of the byte that follows
                text.pop();
            }
            text.split_off(skip)
        })
    });
    let texts = base64.chain([secret.to_owned()]).filter(move |_| is_long);
    texts.map(|text| Beginning { text: text.into() })
}

/// Whether a token goes on with this text. Dots that nothing follows end a sentence, or stand for the rest.
fn goes_on(text: &[u8]) -> bool {
    let dots = text.iter().take_while(|byte| **byte == b'.').count();
    let rest = text.get(dots..).unwrap_or_default();
    let escaped = match rest.first() {
        Some(b'\\') => Escape::Backslash.decode(rest),
        Some(b'%') => Escape::Percent.decode(rest),
        _ => None,
    };
    let next = escaped.map_or_else(|| rest.first().copied(), |(byte, _)| byte);
    next.is_some_and(is_of_token)
}

/// Whether a token can have this byte.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'/' | b'=' | b'~')
}

/// A sample without the case of its letters.
fn folded(sample: &[u8]) -> Option<[u8; SAMPLE]> {
    let sample = <[u8; SAMPLE]>::try_from(sample).ok()?;
    Some((u32::from_le_bytes(sample) | 0x2020_2020).to_le_bytes())
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
    /// Characters that show nothing.
    Invisible,
}

/// Whether a character shows nothing, and may change how others are shown: controls, soft hyphens,
/// zero-width characters and those that set the direction of text.
pub fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

impl Escape {
    /// Where escapes can begin.
    fn starts(self, text: &[u8]) -> Box<dyn Iterator<Item = usize> + '_> {
        match self {
            Self::Backslash => Box::new(memchr_iter(b'\\', text)),
            Self::Percent => Box::new(memchr_iter(b'%', text)),
            Self::Invisible => {
                let bytes = text.iter().enumerate();
                Box::new(bytes.filter(|(_, byte)| !matches!(byte, b' '..=b'~')).map(|(at, _)| at))
            }
        }
    }

    /// The byte that an escape at the beginning of `text` stands for, if it is visible, and the length of
    /// the escape. Backslashes escape ASCII only: providers issue no other secrets (RFC 6749, appendix A).
    fn decode(self, text: &[u8]) -> Option<(Option<u8>, usize)> {
        match (self, text) {
            (Self::Percent, [_, high, low, ..]) => Some((Some(hexadecimal(*high, *low)?), 3)),
            (Self::Backslash, [_, b'u', b'0', b'0', high @ b'0'..=b'7', low, ..]) => {
                Some((Some(hexadecimal(*high, *low)?), 6))
            }
            (Self::Backslash, [_, byte @ (b'"' | b'\'' | b'\\' | b'/'), ..]) => {
                Some((Some(*byte), 2))
            }
            (Self::Backslash, [_, b'n' | b'r' | b't', ..]) => Some((None, 2)),
            (Self::Backslash, [_, b'u', b'{', rest @ ..]) => {
                let digits = rest.iter().position(|byte| *byte == b'}').filter(|it| *it <= 6)?;
                let code = std::str::from_utf8(rest.get(..digits)?).ok()?;
                is_invisible_code(code).then_some((None, digits + 4))
            }
            (Self::Backslash, [_, b'u', ..]) => {
                let code = std::str::from_utf8(text.get(2..6)?).ok()?;
                is_invisible_code(code).then_some((None, 6))
            }
            (Self::Invisible, text) => {
                let chunk = text.get(..4).unwrap_or(text).utf8_chunks().next()?.valid();
                let char = chunk.chars().next().filter(|char| is_invisible(*char))?;
                Some((None, char.len_utf8()))
            }
            _ => None,
        }
    }
}

fn is_invisible_code(code: &str) -> bool {
    u32::from_str_radix(code, 16).ok().and_then(char::from_u32).is_some_and(is_invisible)
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
    /// The text with the escapes of these bytes decoded, and those of invisible characters dropped if
    /// `drops`; `None` if it has none.
    fn of(text: &[u8], escape: Escape, bytes: &[bool], drops: bool) -> Option<Self> {
        let mut decoded = Self::default();
        let (mut rest, mut next) = (0, 0);
        for start in escape.starts(text) {
            if start < next {
                // the second of two backslashes
                continue;
            }
            if let Some((byte, length)) = escape.decode(text.get(start..)?) {
                next = start + length;
                if byte.map_or(drops, |byte| is_marked(bytes, byte.into())) {
                    decoded.text.extend_from_slice(text.get(rest..start)?);
                    decoded.text.extend(byte);
                    rest = next;
                    decoded.ends.push((decoded.text.len(), rest));
                }
            }
        }
        if decoded.ends.is_empty() {
            return None;
        }
        decoded.text.extend_from_slice(text.get(rest..)?);
        Some(decoded)
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
        // the end of a line could be taken for part of a secret
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let end = line.get(text.len()..).unwrap_or_default();
        let clean = in_use().redact(text, Text::Line).map(|clean| [&clean, end].concat());
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
        let secret = "Zq8/+='é.y-Z";
        let redactor = redactor(&[secret, "another-secret"]);
        let json = secret.replace('/', "\\/").replace('\'', "\\'").replace('-', "\\u002D");
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
    fn a_changed_secret_is_found() {
        let redactor = redactor(&["Zq8x+Kp3w9Lm5R-t7"]);
        for (text, clean) in [
            ("cut: Zq8x+Kp3w9Lm", "cut: [redacted]"),
            ("cut: Zq8x+Kp3w9Lm5R…", "cut: [redacted]…"),
            ("upper: ZQ8X+KP3W9LM5R-T7!", "upper: [redacted]!"),
            ("{\"a\":\"Zq8x+Kp3w9L\\u006d5R\"}", "{\"a\":\"[redacted]\"}"),
            ("WnE4eCtLcDN3OUxtNVItdDc=", "[redacted]"),
            ("Basic eDpacTh4K0twM3c5TG01Ui10Nw==!", "Basic eDp[redacted]!"),
            ("eHg6WnE4eCtLcDN3OUxtNVItdDc=", "eHg6[redacted]"),
            ("a=eDpacTh4K0twM3c5TG01Ui10Nw%3D%3D&b", "a=eDp[redacted]&b"),
            ("cut: Zq8x+Kp3w9Lm...", "cut: [redacted]..."),
            ("cut: Zq8x+Kp3w9Lm\\n", "cut: [redacted]\\n"),
            ("too short: Zq8x+Kp3w9L", "too short: Zq8x+Kp3w9L"),
        ] {
            assert_eq!(redacted(&redactor, text, Text::Answer), clean);
        }
        for invisible in
            ["\n", "\r\n", "\u{200b}", "\u{ad}", "\u{202e}", "\\n", "\\u00ad", "\\u{200b}"]
        {
            let text = format!("a Zq8x+Kp3{invisible}w9Lm5R{invisible}-t7 b");
            assert_eq!(redacted(&redactor, &text, Text::Line), "a [redacted] b", "{invisible:?}");
        }
    }

    #[test]
    fn another_token_can_begin_like_a_secret() {
        let redactor = redactor(&["acme-shop-de-Zq81Kpw3Lm5R", "acme-shop-deutschland>>>?"]);
        for text in [
            "acme-shop-de-1",
            "acme-shop-de/1",
            r"acme-shop-de\/1",
            r"acme-shop-de-\u0031",
            "acme-shop-de%2D1",
            "acme-shop-de.1",
            "ACME-SHOP-DEMO",
            "YWNtZS1zaG9wLWRlLTE=",
        ] {
            assert_eq!(redacted(&redactor, text, Text::Answer), text);
        }
        for text in [
            "acme-shop-de-Zq81",
            "acme-shop-de-Zq81.",
            "acme-shop-deutsch",
            "YWNtZS1zaG9wLWRldXRzY2hsYW5kPj4%2BPw",
        ] {
            let clean = redacted(&redactor, text, Text::Answer);
            assert_eq!(clean.trim_end_matches('.'), PLACEHOLDER, "{text}");
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
        let redactor = redactor(&["abcd", "xxabcdyy", "yyzz", "xyz", ""]);
        let redacted = |text| redacted(&redactor, text, Text::Message);
        assert_eq!(redacted("xxabcdyy abcd"), "[redacted] [redacted]");
        assert_eq!(redacted("xxabcdyyzz"), "[redacted]");
        assert_eq!(redacted("too short: xyz"), "too short: xyz");
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
