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

/// Fewest letters between capitals in names that are written together.
const MIN_HUMP: usize = 3;

/// The end of the line before a private key.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// The text with everything hidden that looks like a secret: words that seem random, user names,
/// passwords, queries and fragments in addresses, and what follows `Bearer`. Paths of files, hosts and
/// ids of well-known forms are shown.
pub fn hide(text: &str) -> Cow<'_, str> {
    scan(text, |_| {})
}

/// Whether any of the text looks like a secret.
pub fn looks_secret(text: &str) -> bool {
    matches!(hide(text), Cow::Owned(_))
}

/// Hides what looks like a secret, and passes it on.
pub fn scan<'text>(text: &'text str, mut found: impl FnMut(&'text str)) -> Cow<'text, str> {
    if let Some((before, key)) = text.split_once(PRIVATE_KEY) {
        let (key, after) = key.rsplit_once(PRIVATE_KEY).unwrap_or((key, ""));
        found(key);
        return format!("{}{PRIVATE_KEY}{HIDDEN}{}", hide(before), hide(after)).into();
    }
    let mut clean = String::new();
    let mut is_hidden = false;
    let mut add = |part: &'text str, is_secret: bool| {
        if is_secret {
            found(part);
            is_hidden = true;
        }
        clean.push_str(if is_secret { HIDDEN } else { part });
    };
    let (mut is_after_bearer, mut is_in_query) = (false, false);
    for (word, end) in parts(text, is_between) {
        let (scheme, user, rest) = user_info(word);
        let (host, rest) = host(scheme, rest);
        let (path, mark, query) = query(scheme, rest);
        if is_in_query || is_after_bearer && !word.chars().all(|char| char.is_ascii_lowercase()) {
            add(word, !word.is_empty());
        } else if is_path(word) {
            add(path, false);
        } else {
            add(scheme, false);
            add(user, !user.is_empty());
            add(host, false);
            for (word, end) in parts(path, |char| !is_of_word(char)) {
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
        if !is_in_query {
            add(mark, false);
            add(query, !query.is_empty());
        }
        add(end, false);
        // what separates words can be part of a query
        is_in_query |= !query.is_empty();
        is_in_query &= end.starts_with([',', ';', '(', ')', '<', '>', '[', ']', '{', '}']);
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

/// The scheme of an address, its user name and password, and the rest.
fn user_info(word: &str) -> (&str, &str, &str) {
    let start = word.find("://").filter(|start| !is_random(word.split_at(*start).0));
    let start = start.map(|start| start + "://".len());
    let (scheme, rest) = word.split_at(start.unwrap_or_default());
    let authority = rest.split('/').next().unwrap_or_default();
    let with_password = |end: &usize| rest.split_at(*end).0.contains(':');
    let end = authority.rfind('@').filter(|_| start.is_some());
    match end.or_else(|| rest.rfind('@').filter(with_password)) {
        Some(end) => {
            let (user, rest) = rest.split_at(end);
            (scheme, user, rest)
        }
        None => (scheme, "", rest),
    }
}

/// The host at the beginning of an address after its scheme, or of a text, and what follows it.
fn host<'text>(scheme: &str, text: &'text str) -> (&'text str, &'text str) {
    let length = text.find(['/', '?', '#', ':', '@']).unwrap_or(text.len());
    let (host, rest) = text.split_at(length);
    let of_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-');
    let (labels, last) = host.rsplit_once('.').unwrap_or_default();
    let is_name = last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_host = host.chars().all(of_host)
        && if scheme.is_empty() {
            // without a scheme, capitals and a short name are more likely those of a secret
            is_name && !labels.is_empty() && !host.bytes().any(|byte| byte.is_ascii_uppercase())
        } else {
            is_name || host.contains(['.', '-'])
        };
    if is_host { (host, rest) } else { ("", text) }
}

/// What is before the query or fragment of an address or a path, its mark, and what follows.
fn query<'text>(scheme: &str, text: &'text str) -> (&'text str, &'text str, &'text str) {
    let Some(start) = text.find(['?', '#']) else {
        return (text, "", "");
    };
    let (before, rest) = text.split_at(start);
    let (mark, query) = rest.split_at(1);
    let has_query = !scheme.is_empty() || before.contains('/') || query.contains('=');
    if has_query { (before, mark, query) } else { (text, "", "") }
}

/// Whether a word is the path of a file, and not base64. A secret in the place of a path can be joined
/// with a folder.
fn is_path(word: &str) -> bool {
    let starts = ["/", "./", "../"].iter().any(|start| word.starts_with(start));
    let (_, name) = word.rsplit_once('/').unwrap_or_default();
    let name = name.split([':', '?', '#']).next().unwrap_or_default();
    (starts || word.starts_with('~'))
        && !name.is_empty()
        && !name.ends_with('=')
        && !is_random(name)
}

/// Whether a word, or what has separators but no blanks, seems random.
fn is_random(word: &str) -> bool {
    if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) && word.len() >= MIN_MIXED {
        return true;
    }
    let (mut length, mut changes) = (0, 0);
    let segments = word.split(['/', '.', '_', '+', '~']).filter(|segment| !is_id(segment));
    for run in segments.flat_map(|segment| segment.split('-')) {
        let name = run.trim_end_matches(|char: char| char.is_ascii_digit());
        let name = if run.len() - name.len() > MAX_NUMBER { run } else { name };
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        let is_mixed = digits > 0 && digits < name.len();
        let is_long = name.len() >= MIN_LONG_RUN && digits < name.len() && !is_word(name);
        if name.len() >= MIN_RUN && is_mixed || is_long {
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

/// Whether a name of letters has the shape of words: all capitals, or capitals that begin words.
fn is_word(name: &str) -> bool {
    let first = name.len().min(1);
    let humps = name.get(first..).unwrap_or_default().split(|char: char| char.is_ascii_uppercase());
    name.bytes().all(|byte| byte.is_ascii_uppercase())
        || name.bytes().all(|byte| byte.is_ascii_alphabetic())
            && humps.map(str::len).all(|length| length + 1 >= MIN_HUMP)
}

/// Whether a segment is a UUID, or the id of an account or object at well-known services: two capitals
/// and 32 hexadecimal digits.
fn is_id(segment: &str) -> bool {
    let is_hexadecimal = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = segment.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && segment.split('-').all(is_hexadecimal);
    let (kind, digits) = segment.split_at_checked(2).unwrap_or_default();
    let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_uppercase());
    is_uuid || is_kind && digits.len() == 32 && is_hexadecimal(digits)
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
            ("run/0123456789abcdefgh/x: no", "run/<hidden>/x: no"),
            ("Zq81Kpw3Lm5Rt7Xn9Bv2: no such file", "<hidden>: no such file"),
            ("/etc/Zq81Kpw3Lm5Rt7Xn9Bv2:1: no", "/etc/<hidden>:1: no"),
            ("'/metrics?token=P4ss!w,t#x' is", "'/metrics?<hidden>,<hidden>' is"),
            ("metrics?token=P4ss", "metrics?<hidden>"),
            (
                "f/-----BEGIN PRIVATE KEY----- MIIE Xg== -----END PRIVATE KEY-----: no",
                "f/-----BEGIN PRIVATE KEY-----<hidden>: no",
            ),
            ("https://x/#P4ss, no", "https://x/#<hidden>, no"),
            ("https://u:P4ss?w@x/c.yml?token=P4ss", "https://<hidden>@x/c.yml?<hidden>"),
            ("/kJ8xY2zQw9aB3cZt7R5mN1pL0qw==", "/<hidden>=="),
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
            "/nix/store/0c8kq3v5x7wz1n9b2m4p6r8s0d1f3g5h-token/tok: not found",
            "../0c8kq3v5x7wz1n9b2m4p6r8s0d1f3g5h/tok",
            "~/0c8kq3v5x7wz1n9b2m4p6r8s0d1f3g5h/tok",
            "Donaudampfschifffahrtsgesellschaft MarketingCampaignsGermanyAustriaSwitzerland",
            "AC0123456789abcdef0123456789abcdef",
            "http://abcdefgh12345678.execute-api.eu-west-1.amazonaws.com/v1",
            "http://campaign-api-7d9f8b6c5d-x2x9z:80/v1 campaign-api-7d9f8b6c5d-x2x9z.internal:80",
            "ip-10-0-12-34.eu-west-1.compute.internal",
            "why? (/a/b?), C#",
        ] {
            assert_eq!(hide(text), text);
        }
    }
}
