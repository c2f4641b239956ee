//! JSON of providers that is not strictly valid, or has two members of one name.

use std::collections::HashMap;

use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Error};
use serde_json::Value;
use serde_json::value::RawValue;

/// Levels of a value that are kept. No documented answer has more than ten, and the parser refuses 128.
const MAX_DEPTH: u64 = 100;

/// How a compressed body begins.
pub const GZIP: &[u8] = &[0x1f, 0x8b];

/// A JSON object of a type. If two members have the same name, the later one counts, as it does for
/// most parsers.
pub fn object<'a, T: Deserialize<'a>>(json: &'a str) -> serde_json::Result<T> {
    // serde would also read a struct from an array
    if !json.trim_ascii_start().starts_with('{') {
        return Err(Error::custom("not an object"));
    }
    serde_json::from_str(json).or_else(|error| by_member(json).map_err(|_| error))
}

/// The same, member by member. Rare, and kept out of the code that reads every item.
#[cold]
#[inline(never)]
fn by_member<'a, T: Deserialize<'a>>(json: &'a str) -> serde_json::Result<T> {
    let members: HashMap<String, &RawValue> = serde_json::from_str(json)?;
    T::deserialize(MapDeserializer::new(members.into_iter()))
}

/// A body with everything replaced that JSON forbids but that has only one plausible meaning; `None`
/// if there is nothing to replace. It is at most three times as long.
///
/// What is before the first object or list that begins a line or follows a tag, and what is after its end,
/// is left out, such as a warning of PHP, but not both, as a page has them, and not if another value
/// follows. A comma before a closing bracket is left out. Invalid UTF-8 and lone surrogates become
/// U+FFFD. Control characters in strings are escaped or become spaces, as do byte order marks and foreign
/// white space between values. A backslash that begins no escape sequence is text. Words that are no
/// value, such as `NaN`, `None`, `007` and `1e400`, become `false`, which is invalid for every field that
/// is read, and counted there. Whole numbers that no integer can hold become text, since ids have any
/// length, and values that are nested too deeply become `null`.
pub fn repaired(body: &[u8]) -> Option<String> {
    if body.starts_with(GZIP) {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    let mut rest = value_in(&text);
    // a page can have a value between its tags
    let has_prefix = rest.len() < text.len();
    let mut json = String::with_capacity(rest.len());
    let (mut in_string, mut depth, mut was_deep) = (false, 0_u64, false);
    while let Some(first) = rest.chars().next() {
        in_string ^= first == '"';
        match first {
            '{' | '[' if !in_string => {
                if depth == MAX_DEPTH {
                    json.push_str("null");
                }
                depth += 1;
            }
            '}' | ']' if !in_string => {
                was_deep = depth > MAX_DEPTH;
                depth = depth.saturating_sub(1);
                let after = rest.strip_prefix(first).unwrap_or_default();
                if depth == 0 && !goes_on(after) {
                    if has_prefix {
                        return None;
                    }
                    json.push(first);
                    break;
                }
            }
            _ => {}
        }
        let (length, replacement) =
            if in_string { in_text(rest, first) } else { between(rest, first) };
        let (token, after) = rest.split_at_checked(length)?;
        if depth > MAX_DEPTH || std::mem::take(&mut was_deep) {
            // part of what `null` replaces
        } else if depth > 0 && !in_string && is_too_large(token) {
            json.extend(["\"", token, "\""]);
        } else if depth > 0 && !in_string && is_no_value(token) {
            json.push_str("false");
        } else {
            json.push_str(replacement.unwrap_or(token));
        }
        rest = after;
    }
    (json.as_bytes() != body).then_some(json)
}

/// Whether a token is a whole number that no integer can hold.
fn is_too_large(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    let is_whole =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.starts_with(|it| it != '0');
    is_whole && token.parse::<u64>().is_err() && token.parse::<i64>().is_err()
}

/// Whether a token is a word that JSON does not know, or a number in a form or of a size that it does not
/// allow.
fn is_no_value(token: &str) -> bool {
    token.starts_with(is_of_word) && serde_json::from_str::<Value>(token).is_err()
}

fn is_of_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || "+-._".contains(char)
}

/// The text without what is before the first object or list: UTF-16 has been decoded.
fn value_in(text: &str) -> &str {
    let start = text.trim_start_matches(is_blank);
    if start.starts_with(['{', '[', '"']) {
        return text;
    }
    let mut before = '\n';
    let found = start.char_indices().find(|(_, char)| {
        let begins = matches!(before, '\n' | '>') && matches!(char, '{' | '[');
        before = *char;
        begins
    });
    found.and_then(|(at, _)| start.get(at..)).unwrap_or(text)
}

/// Whether more of the answer can be behind the end of a value.
fn goes_on(rest: &str) -> bool {
    let rest = rest.trim_start_matches(is_blank);
    rest.is_empty() || rest.starts_with(['{', '[', '}', ']', ',', ':', '"'])
}

fn is_blank(char: char) -> bool {
    char.is_whitespace() || char.is_control() || char == '\u{feff}'
}

/// The text of a body in UTF-16, which begins with a byte order mark or has every other byte empty.
pub fn utf16(body: &[u8]) -> Option<String> {
    let (pairs, _) = body.as_chunks::<2>();
    let read = match body {
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => u16::from_be_bytes,
        _ => return None,
    };
    let units = pairs.iter().map(|pair| read(*pair));
    let chars = char::decode_utf16(units.skip_while(|unit| *unit == 0xfeff));
    Some(chars.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// The length of what a string goes on with, and its replacement.
fn in_text(rest: &str, first: char) -> (usize, Option<&'static str>) {
    match first {
        '\\' => match unit(rest) {
            Some(0xd800..=0xdbff)
                if matches!(rest.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) =>
            {
                (12, None)
            }
            Some(0xd800..=0xdfff) => (6, Some(r"\ufffd")),
            Some(_) => (6, None),
            None => match rest.chars().nth(1) {
                Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => (2, None),
                Some('\'') => (2, Some("'")),
                // what follows is text
                Some(_) => (1, Some(r"\\")),
                None => (1, None),
            },
        },
        '\n' => (1, Some(r"\n")),
        '\r' => (1, Some(r"\r")),
        '\t' => (1, Some(r"\t")),
        '\0'..' ' => (1, Some(" ")),
        _ => (first.len_utf8(), None),
    }
}

/// The UTF-16 code unit that `\uXXXX` stands for.
fn unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix(r"\u")?.get(..4)?;
    // the parser accepts a sign
    let digits = Some(digits).filter(|digits| !digits.starts_with('+'));
    u16::from_str_radix(digits?, 16).ok()
}

/// The length of what goes on outside strings, and its replacement.
fn between(rest: &str, first: char) -> (usize, Option<&'static str>) {
    match first {
        ' ' | '\t' | '\n' | '\r' => (1, None),
        '\u{feff}' => (first.len_utf8(), Some(" ")),
        ',' => {
            let after = rest.trim_start_matches(|char| char == ',' || is_blank(char));
            let run = rest.strip_suffix(after).unwrap_or(rest);
            let is_last = after.starts_with(['}', ']']);
            match run.matches(',').count() {
                1 => (1, is_last.then_some(" ")),
                // a value may be missing
                _ => (run.len(), None),
            }
        }
        _ if is_of_word(first) => (rest.find(|char| !is_of_word(char)).unwrap_or(rest.len()), None),
        _ if first.is_whitespace() || first.is_control() => (first.len_utf8(), Some(" ")),
        _ => (first.len_utf8(), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_forbids_is_repaired_if_it_means_one_thing() {
        for (body, meaning) in [
            (&b"\xef\xbb\xbf{\"a\":1}"[..], json!({"a": 1})),
            (b"\0\x0b {\"a\":\xc2\xa01}\0", json!({"a": 1})),
            (b"{\"a\":\"caf\xe9\"}", json!({"a": "caf\u{fffd}"})),
            (b"{\"a\":\"x\ny\tz\r\x07\"}", json!({"a": "x\ny\tz\r "})),
            (br#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
            (br#"{"a":"\ude00\ud83d\ude00\ud83d\n"}"#, json!({"a": "\u{fffd}😀\u{fffd}\n"})),
            (
                br#"{"a":"\\ud83d \" NaN 1e400","b":NaN}"#,
                json!({"a": "\\ud83d \" NaN 1e400", "b": false}),
            ),
            (b"{\"a\":[1,2, ],}", json!({"a": [1, 2]})),
            (b"{\"a\":\"}\"}\n<b>Warning</b>: [x] in /x.php", json!({"a": "}"})),
            (
                b"<br />\n<b>Warning</b>: [x] {y} in <b>/x.php</b><br />\n{\"a\":1,}\n",
                json!({"a": 1}),
            ),
            (b")]}',\n[1]", json!([1])),
            (br#"{"a":"it\'s \x41\u12","b":1}"#, json!({"a": r"it's \x41\u12", "b": 1})),
            (
                b"[007,+9,.5,5.,0x1F,None,True,undefined,-,1_0]",
                json!([false, false, false, false, false, false, false, false, false, false]),
            ),
            (
                b"[12345678901234567890123,-92233720368547758080,18446744073709551615,-5,1e22]",
                json!(["12345678901234567890123", "-92233720368547758080", u64::MAX, -5, 1e22]),
            ),
            (b"[NaN,-Infinity,Infinity,1e400,-1e400]", json!([false, false, false, false, false])),
        ] {
            let json = repaired(body).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), meaning, "{json}");
        }
        let (open, close) = ("[{\"a\":".repeat(150), "}]".repeat(150));
        let deep = repaired(format!("{{\"a\":{open}\"]\"{close},\"b\":[1]}}").as_bytes()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&deep).unwrap()["b"], json!([1]), "{deep}");
    }

    #[test]
    fn utf_16_is_decoded() {
        let json = "{\"a\":\"é\"}";
        for mark in ["", "\u{feff}"] {
            let units: Vec<_> = format!("{mark}{json}").encode_utf16().collect();
            let big: Vec<_> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            let little: Vec<_> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            assert_eq!(utf16(&big).as_deref(), Some(json));
            assert_eq!(utf16(&little).as_deref(), Some(json));
        }
        assert_eq!(utf16(json.as_bytes()), None);
    }

    #[test]
    fn nothing_else_is_repaired() {
        for body in [
            "",
            "{",
            "<html>",
            "{\"a\":1}{\"a\":2}",
            "{\"a\":1}]",
            "{\"a\":1,,}",
            "x {\"a\":1}",
            "<script>{\"a\":1}</script>",
            "\"",
            "\"\\",
            "\\ud83d",
            "99999999999999999999",
            "1e40000000000000000x",
        ] {
            assert_eq!(repaired(body.as_bytes()), None, "{body}");
        }
        assert_eq!(repaired(b"\x1f\x8b\x08\0"), None);
    }

    #[test]
    fn the_later_of_two_members_of_one_name_counts() {
        #[derive(Deserialize)]
        struct Members<'a> {
            number: u8,
            #[serde(borrow)]
            raw: &'a RawValue,
        }
        let read = |json: &'static str| object::<Members<'_>>(json);
        let members = read(r#" {"number":1,"raw":[1],"number":2,"raw":[2]}"#).unwrap();
        assert_eq!((members.number, members.raw.get()), (2, "[2]"));
        assert!(object::<HashMap<String, u8>>("{\"a\":1").is_err());
        for json in ["[1,2]", "7", "", r#"{"number":1,"number":2}"#, r#"{"number":1,"number":2"#] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..8)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_is_unchanged(value in any_json()) {
            for json in [value.to_string(), format!("{value:#}")] {
                prop_assert_eq!(repaired(json.as_bytes()), None);
            }
        }

        #[test]
        fn repairing_is_bounded_and_final(body in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(json) = repaired(&body) {
                prop_assert!(json.len() <= 3 * body.len().max(2));
                prop_assert_eq!(repaired(json.as_bytes()), None);
            }
        }
    }
}
