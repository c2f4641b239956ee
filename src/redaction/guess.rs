//! Which words of a text look like secrets. One that is written where it does not belong is not in use,
//! so nothing else recognizes it.

use std::borrow::Cow;

/// What takes the place of a word that looks like a secret.
const HIDDEN: &str = "<hidden>";

/// Fewest letters and digits without a separator that look like a secret if they are of both kinds. Ids
/// and names have fewer, or end with a number.
const MIN_RUN: usize = 16;

/// Fewest letters and digits without a separator that look like a secret even if all are letters. Words
/// have fewer.
const MIN_LONG_RUN: usize = 32;

/// Fewest letters and digits, with separators, that look like a secret if they change their kind often.
const MIN_MIXED: usize = 20;

/// Most digits of a number at the end of a name, such as a year.
const MAX_NUMBER: usize = 4;

/// How JSON Web Tokens and the keys of well-known services begin.
const PREFIXES: [&str; 3] = ["eyJ", "sk_live_", "sk_test_"];

/// The text with everything hidden that looks like a secret: words that seem random, user names and
/// passwords in addresses, and what follows `Bearer`. UUIDs are shown, since most of them are ids.
pub fn hide(text: &str) -> Cow<'_, str> {
    scan(text, |_| {})
}

/// Whether any of the text looks like a secret.
pub fn looks_secret(text: &str) -> bool {
    matches!(hide(text), Cow::Owned(_))
}

/// Hides what looks like a secret, and passes it on.
pub fn scan<'text>(text: &'text str, mut found: impl FnMut(&'text str)) -> Cow<'text, str> {
    let mut clean = String::new();
    let mut is_hidden = false;
    let mut add = |part: &'text str, is_secret: bool| {
        if is_secret {
            found(part);
            is_hidden = true;
        }
        clean.push_str(if is_secret { HIDDEN } else { part });
    };
    let mut is_after_bearer = false;
    for (word, end) in parts(text, is_between) {
        let (before, user, rest) = user_info(word);
        if is_after_bearer && !word.chars().all(|char| char.is_ascii_lowercase()) {
            add(word, true);
        } else {
            add(before, false);
            add(user, !user.is_empty());
            for (word, end) in parts(rest, |char| !is_of_word(char)) {
                if word.split('/').any(is_random) {
                    for (segment, end) in parts(word, |char| char == '/') {
                        add(segment, is_random(segment));
                        add(end, false);
                    }
                } else {
                    // base64 can have slashes
                    add(word, is_random(word));
                }
                add(end, false);
            }
        }
        add(end, false);
        is_after_bearer &= word.is_empty();
        is_after_bearer |= word.eq_ignore_ascii_case("bearer");
    }
    if is_hidden { clean.into() } else { text.into() }
}

/// The parts of a text, each with the separator after it.
fn parts(text: &str, is_end: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive(is_end).map(move |part| {
        let end = part.char_indices().next_back().filter(|(_, char)| is_end(*char));
        part.split_at(end.map_or(part.len(), |(start, _)| start))
    })
}

fn is_between(char: char) -> bool {
    char.is_whitespace() || "\"'`,;()<>[]{}".contains(char)
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || "-_.+/~".contains(char)
}

/// What is before, in and after the user name and the password of an address, if it has any.
fn user_info(word: &str) -> (&str, &str, &str) {
    let start = word.find("://").map(|start| start + "://".len());
    let (scheme, rest) = word.split_at(start.unwrap_or_default());
    let authority = rest.split('/').next().unwrap_or_default();
    let with_password = |end: &usize| rest.split_at(*end).0.contains(':');
    let end = authority.rfind('@').filter(|_| start.is_some());
    match end.or_else(|| rest.rfind('@').filter(with_password)) {
        Some(end) => {
            let (user, rest) = rest.split_at(end);
            (scheme, user, rest)
        }
        None => ("", "", word),
    }
}

/// Whether a word, or what has separators but no blanks, seems random.
fn is_random(word: &str) -> bool {
    if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && word.len() >= MIN_MIXED {
        return true;
    }
    let (mut length, mut changes) = (0, 0);
    let segments = word.split(['/', '.', '_', '+', '~']).filter(|segment| !is_uuid(segment));
    for run in segments.flat_map(|segment| segment.split('-')) {
        let name = run.trim_end_matches(|char: char| char.is_ascii_digit());
        let name = if run.len() - name.len() > MAX_NUMBER { run } else { name };
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        let is_mixed = digits > 0 && digits < name.len();
        if name.len() >= MIN_RUN && is_mixed || name.len() >= MIN_LONG_RUN && digits < name.len() {
            return true;
        }
        length += run.len();
        let pairs = run.as_bytes().iter().zip(run.as_bytes().iter().skip(1));
        changes += pairs.filter(|(left, right)| changes_kind(**left, **right)).count();
    }
    length >= MIN_MIXED && changes * 10 >= length * 3
}

/// Whether a word would hardly go on so: a capital begins a word.
const fn changes_kind(left: u8, right: u8) -> bool {
    left.is_ascii_digit() != right.is_ascii_digit()
        || left.is_ascii_lowercase() && right.is_ascii_uppercase()
}

fn is_uuid(segment: &str) -> bool {
    let is_group = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    segment.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && segment.split('-').all(is_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        for (text, clean) in [
            ("Sup3rS3cretT0kenValue1", "<hidden>"),
            ("unknown \"zQ7d9f1c2a4b6e8f0Kx\"", "unknown \"<hidden>\""),
            ("is 0123456789abcdef0123.", "is <hidden>"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "<hidden>"),
            ("sk_live_abcdefghijklmnop", "<hidden>"),
            ("qWertyuiopasdfghjklzxcvbnmqwertyu", "<hidden>"),
            ("xkeysib-0123456789abcdef0123-x7Yz", "<hidden>"),
            ("kJ8/xY2z+Qw9/aB3c/Zt7R5mN1pL0q/w==", "<hidden>=="),
            ("/run/0123456789abcdefgh/x: no", "/run/<hidden>/x: no"),
            ("Bearer hunter2", "Bearer <hidden>"),
            ("bearer  S3cret-x, no", "bearer  <hidden>, no"),
            ("'http://anna:s/p@proxy:1'", "'http://<hidden>@proxy:1'"),
            ("https://s@proxy/x", "https://<hidden>@proxy/x"),
            ("anna:hunter2@proxy", "<hidden>@proxy"),
            ("https://a.example/v1/AbCdEf0123456789/x", "https://a.example/v1/<hidden>/x"),
        ] {
            assert_eq!(hide(text), clean, "{text}");
            assert!(looks_secret(text), "{text}");
        }
    }

    #[test]
    fn names_ids_and_paths_are_shown() {
        for text in [
            "marketing-team-de",
            "MarketingTeamGermany2026",
            "marketing_eu_west_1_2026-11-28T22:37:50Z",
            "3f2b8c1e-9a4d-4e6f-8b7a-1c2d3e4f5a6b",
            "/var/lib/kubelet/pods/3f2b8c1e-9a4d-4e6f-8b7a-1c2d3e4f5a6b/volumes/token",
            "/tmp/.tmpA1b2C3/campaign_exporter.yml:2:9: accounts[0].name: is empty",
            "491701234567890123",
            "$STATE_DIRECTORY CAMPAIGN_EXPORTER_WEB_LISTEN_ADDRESS",
            "Basic authentication with a bearer token, Bearer: none",
            "https://api.eu-central-1.example.com:8443/rest/v2/messages",
            "user@example.com:25",
        ] {
            assert_eq!(hide(text), text);
        }
    }
}
