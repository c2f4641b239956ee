//! Answers and definitions that mean harm, or are merely wrong.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::{Value, json};

use super::Definition;
use crate::campaign::counts::Count;
use crate::campaign::window::Window;
use crate::document::Section;
use crate::document::node::Node;
use crate::provider::{Provider, Reading};
use crate::upstream::PollError;
use crate::upstream::answer::Answer;
use crate::upstream::transport::MAX_URL_BYTES;

const HEAD: &str = "
name: x
title: X
documentation: https://x.example
channels: [sms]
base_url: https://api.x.example/v1
auth: {in: bearer}
campaign: {id: $.id, last_sent: $.at, counts: {sends: $.n.sent, deliveries: $.n.ok}, cost_credits: $.cost}
";

/// The longest that any answer here may take, in a build without optimization on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

fn provider(paging: &str) -> Provider {
    let text = format!("{HEAD}lists: {{get: /c, items: '$.data[*]'{paging}}}");
    let kind = Arc::new(Definition::parse(&text).unwrap().kind());
    let node = Node::parse("{token_env: T}").unwrap();
    Provider::read(&kind, &mut Section::new("", &node).unwrap(), false).unwrap()
}

#[test]
fn a_setting_that_is_a_zone_is_checked() {
    let zone = "settings: {tz: {optional: true, meaning: m}}";
    let [times, asked] = ["time_zone: '{tz}'", "times: {t: {of: now, format: '%Y', zone: '{tz}'}}"];
    for zones in [times, asked] {
        let list = "lists: {get: /c, query: {t: '{t}'}, items: '$.d[*]'}";
        let list = if zones == times { list.replace("'{t}'", "t") } else { list.to_owned() };
        let text = format!("{HEAD}{zone}\n{zones}\n{list}");
        let kind = Arc::new(Definition::parse(&text).unwrap().kind());
        for (tz, is_good) in [("", false), (", tz: Nowhere", false), (", tz: Asia/Almaty", true)] {
            let node = Node::parse(&format!("{{token_env: T{tz}}}")).unwrap();
            let mut section = Section::new("", &node).unwrap();
            let _ = Provider::read(&kind, &mut section, false);
            let problems = section.finish().1;
            assert_eq!(problems.is_empty(), is_good, "{zones} {tz} {problems:?}");
        }
    }
}

fn read(paging: &str, bodies: &[impl AsRef<[u8]>]) -> Result<Reading, PollError> {
    let answers: Vec<_> = bodies.iter().map(|body| Answer::of(200, body)).collect();
    let window = Window::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
    let begin = Instant::now();
    let (_, read) = provider(paging).read_saved(window, window, &answers);
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    read
}

/// The ids with their counts and cost, and the problems; or the reason of the error.
fn shown(read: Result<Reading, PollError>) -> String {
    let mut reading = match read {
        Ok(reading) => reading,
        Err(error) => return error.reason.as_str().to_owned(),
    };
    let mut text = String::new();
    let mut campaigns = reading.take_campaigns().into_vec();
    campaigns.sort_by(|one, other| one.id.cmp(&other.id));
    for campaign in campaigns {
        let count = |count| campaign.counts.get(count).map(|count| count.to_string());
        write!(text, "{}", campaign.id).unwrap();
        for (name, value) in [
            ("n", count(Count::Sends)),
            ("ok", count(Count::Deliveries)),
            ("cost", campaign.readable_cost_credits().map(|it| it.to_string())),
            ("at", campaign.last_sent.map(|time| time.timestamp().to_string())),
        ] {
            if let Some(value) = value {
                write!(text, " {name}={value}").unwrap();
            }
        }
        text += "; ";
    }
    text + &reading.problems.counted()
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn a_bad_value_costs_that_value_only() {
    let full =
        json!({"id": "a", "at": "2001-09-09T01:46:40Z", "n": {"sent": 5, "ok": 4}, "cost": 2});
    let rest = |path: &str| match path {
        "/at" => "a n=5 ok=4 cost=2; ",
        "/n/sent" => "a ok=4 cost=2 at=1000000000; ",
        "/n" => "a cost=2 at=1000000000; ",
        "/cost" => "a n=5 ok=4 at=1000000000; ",
        _ => "",
    };
    let deep = serde_json::from_str::<Value>(&nested(100)).unwrap();
    let [null, empty, list, object] = [json!(null), json!(""), json!([]), json!({})];
    for (path, value, problems) in [
        ("/n/sent", &null, ""),
        ("/n/sent", &empty, ""),
        ("/n/sent", &json!(-1), "n.sent (1 times)"),
        ("/n/sent", &json!(1.5), "n.sent (1 times)"),
        ("/n/sent", &json!(1e300), "n.sent (1 times)"),
        ("/n/sent", &json!(u64::MAX), "n.sent (1 times)"),
        ("/n/sent", &json!("NaN"), "n.sent (1 times)"),
        ("/n/sent", &json!("many"), "n.sent (1 times)"),
        ("/n/sent", &json!(true), "n.sent (1 times)"),
        ("/n/sent", &list, "n.sent (1 times)"),
        ("/n/sent", &object, "n.sent (1 times)"),
        ("/n/sent", &deep, "n.sent (1 times)"),
        ("/n", &null, ""),
        ("/n", &object, ""),
        // so PHP writes an empty object
        ("/n", &list, ""),
        ("/n", &json!(7), "n.ok (1 times), n.sent (1 times)"),
        ("/n", &json!("x"), "n.ok (1 times), n.sent (1 times)"),
        ("/n", &deep, "n.ok (1 times), n.sent (1 times)"),
        ("/cost", &json!("-2"), "cost (1 times)"),
        ("/cost", &json!("inf"), "cost (1 times)"),
        ("/at", &null, ""),
        ("/at", &json!(7), "at (1 times)"),
        // another unit, or no year of a campaign
        ("/at", &json!("1999-12-31T23:59:59Z"), "at (1 times)"),
        ("/at", &json!("+58879-01-01T00:00:00Z"), "at (1 times)"),
        ("/at", &json!("1970-02-30T00:00:00Z"), "at (1 times)"),
        ("/at", &json!("x".repeat(100_000)), "at (1 times)"),
        ("/at", &list, "at (1 times)"),
        ("/id", &null, "id (1 times)"),
        ("/id", &empty, "id (1 times)"),
        ("/id", &json!(1.5), "id (1 times)"),
        ("/id", &json!("x".repeat(100_000)), "id (1 times)"),
        ("/id", &object, "id (1 times)"),
    ] {
        let mut item = full.clone();
        *item.pointer_mut(path).unwrap() = value.clone();
        let body = json!({"data": [item, {"id": "b"}]}).to_string();
        let expected = format!("{}b; {problems}", rest(path));
        assert_eq!(shown(read("", &[body])), expected, "{path} {value:.60}");
    }
}

#[test]
fn an_answer_is_the_documented_one_or_an_error() {
    let many = |items: usize| json!({"data": vec![json!({"id": 7}); items]}).to_string();
    let deep = format!(r#"{{"data":[{{"id":1,"x":{}}},{{"id":2}}]}}"#, nested(100_000));
    for (body, expected) in [
        ("", "decode"),
        ("<html>", "decode"),
        (r#"{"data":["#, "decode"),
        ("null", "decode"),
        ("7", "decode"),
        ("[]", "decode"),
        ("{}", "decode"),
        (r#"{"other":[]}"#, "decode"),
        (r#"{"data":7}"#, "decode"),
        (r#"{"data":"x"}"#, "decode"),
        (r#"{"data":{}}"#, "decode"),
        (r#"{"data":{"id":1}}"#, "decode"),
        (r#"{"data":null}"#, ""),
        (r#"{"data":[]}"#, ""),
        (r#"{"data":{"0":{"id":1}}}"#, "1; "),
        (r#"{"data":[7,null,"x",[],{"id":1}]}"#, "1; data[*] (4 times)"),
        (r#"{"data":[{"id":1,"cost":1},{"id":1,"cost":2}]}"#, "1 cost=2; campaign_id (1 times)"),
        (r#"{"data":[{"id":1,"cost":1},{"id":1,"cost":1}]}"#, "1 cost=1; "),
        (r#"{"data":[{"id":1,"cost":1,"cost":2}]}"#, "1 cost=2; "),
        (r#"{"data":[{"id":1}],"data":[{"id":2}]}"#, "2; "),
        (&nested(100_000), "decode"),
        (&format!(r#"{{"data":{}}}"#, nested(100_000)), "data[*] (1 times)"),
        (
            r#"{"data":[{"id":-5},{"id":12345678901234567890123},{"id":1e22}]}"#,
            "-5; 12345678901234567890123; id (1 times)",
        ),
        (&deep, "1; 2; "),
        (&many(10_000), "7; "),
        (&many(10_001), "too_large"),
    ] {
        assert_eq!(shown(read("", &[body])), expected, "{body:.60}");
    }
    assert_eq!(shown(read("", &[b"\xff\xfe\x00"])), "decode");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn paging_ends_whatever_answers_say() {
    let offset =
        |stop: &str| format!(", paging: {{by: offset, parameter: o, size: 2, stop: {stop}}}");
    let page = |stop: &str| format!(", paging: {{by: page, parameter: p, size: 2, stop: {stop}}}");
    let bare = |stop: &str| format!(", paging: {{by: page, parameter: p, stop: {stop}}}");
    let cursor = ", paging: {by: cursor, parameter: c, next: $.next}";
    let link = ", paging: {by: link, next: $.next}";
    let two = |rest: &str| format!(r#"{{"data":[{{"id":1}},{{"id":2}}]{rest}}}"#);
    let same = |rest: &str| vec![two(rest); 3_000];
    let empty = |rest: &str| format!(r#"{{"data":[]{rest}}}"#);
    let numbered = |data: &str| -> Vec<String> {
        let pages = (0..3_000).map(|next| format!(r#"{{"data":{data},"next":"{next}"}}"#));
        pages.collect()
    };
    let next = |length: usize| format!(r#","next":"{}""#, "x".repeat(length));
    let nested = ", paging: {by: cursor, parameter: c, next: $.p.next}";
    let one = |id: u8, rest: &str| format!(r#"{{"data":[{{"id":{id}}}]{rest}}}"#);
    let three = |rest: &str| vec![two(rest), empty(rest), one(3, rest)];
    for (paging, bodies, expected) in [
        (nested.into(), same(""), "1; 2; "),
        (nested.into(), same(r#","p":[]"#), "1; 2; "),
        (nested.into(), same(r#","p":null"#), "1; 2; "),
        // something else is where the cursor was
        (nested.into(), same(r#","p":"x""#), "decode"),
        (nested.into(), same(r#","p":[{"next":"x"}]"#), "decode"),
        (nested.into(), same(r#","p":7"#), "decode"),
        // pages are smaller than asked for
        (page("{total: $.t}"), [1, 2, 3].map(|id| one(id, r#","t":3"#)).to_vec(), "1; 2; 3; "),
        // a page whose items are hidden
        (page("{pages: $.n}"), three(r#","n":3"#), "1; 2; 3; "),
        (bare("{more: $.m}"), three(r#","m":true"#), "1; 2; 3; "),
        (page("{more: $.m}"), three(r#","m":true"#), "1; 2; 3; "),
        (offset("short_page"), same(""), "pagination"),
        (offset("{total: $.t}"), same(r#","t":1e15"#), "pagination"),
        (offset("{total: $.t}"), same(r#","t":-1"#), "pagination"),
        // a total that denies what is there ends nothing
        (offset("{total: $.t}"), same(r#","t":0"#), "pagination"),
        (offset("{total: $.t}"), vec![two(r#","t":1"#), r#"{"data":[{"id":2}]}"#.into()], "1; 2; "),
        (offset("{total: [$.t, $.u]}"), same(r#","t":0,"u":2"#), "1; 2; "),
        (
            page("{pages: $.n}"),
            vec![two(r#","n":0"#), r#"{"data":[{"id":3}]}"#.into()],
            "1; 2; 3; ",
        ),
        (bare("{pages: $.n}"), vec![two(r#","n":0"#), empty("")], "1; 2; "),
        (bare("{more: $.m}"), same(""), "decode"),
        (bare("{more: $.m}"), same(r#","m":"maybe""#), "decode"),
        (bare("{more: $.m}"), same(r#","m":{"a":1}"#), "decode"),
        (bare("{more: $.m}"), same(r#","m":null"#), "1; 2; "),
        (bare("{more: $.m}"), same(r#","m":"No""#), "1; 2; "),
        (bare("{more: $.m}"), vec![two(r#","m":"True""#), empty("")], "1; 2; "),
        (bare("{more: $.m}"), vec![two(r#","m":1"#), empty("")], "1; 2; "),
        (page("{more: $.m}"), vec![two(""), r#"{"data":[{"id":3}]}"#.into()], "1; 2; 3; "),
        (offset("{total: $.t}"), vec![empty(r#","t":99"#)], ""),
        (offset("{total: [$.t, $.u]}"), same(r#","t":1,"u":2"#), "1; 2; "),
        (offset("{more: $.m}"), same(r#","m":true"#), "pagination"),
        (page("empty_page"), same(""), "pagination"),
        (page("{pages: $.n}"), same(r#","n":9007199254740992"#), "pagination"),
        (page("{pages: $.n}"), same(r#","n":1"#), "1; 2; "),
        (cursor.into(), same(r#","next":"x""#), "pagination"),
        (cursor.into(), same(r#","next":null"#), "1; 2; "),
        (cursor.into(), same(r#","next":false"#), "1; 2; "),
        (cursor.into(), same(r#","next":0"#), "1; 2; "),
        (cursor.into(), same(r#","next":" ""#), "1; 2; "),
        (cursor.into(), same(r#","next":[1]"#), "decode"),
        (cursor.into(), same(r#","next":true"#), "decode"),
        (link.into(), same(r#","next":{"href":"/v1/c?x=1"}"#), "decode"),
        (cursor.into(), vec![two(r#","next":1.5"#), empty("")], "1; 2; "),
        (cursor.into(), vec![two(r#","next":12345678901234567890123"#), empty("")], "1; 2; "),
        (cursor.into(), numbered("[]"), "pagination"),
        (cursor.into(), numbered(r#"[{"id":1}]"#), "pagination"),
        (cursor.into(), vec![two(&next(MAX_URL_BYTES)), two("")], "1; 2; "),
        (cursor.into(), vec![two(&next(MAX_URL_BYTES + 1)), two("")], "pagination"),
        (link.into(), same(r#","next":"/v1/c?x=1""#), "pagination"),
        (link.into(), same(r#","next":"https://evil.example/v1/c""#), "pagination"),
        (link.into(), same(r#","next":"http://api.x.example/v1/c""#), "pagination"),
        (link.into(), same(r#","next":"//evil.example/""#), "pagination"),
        (link.into(), same(r#","next":"javascript:alert(1)""#), "pagination"),
        (link.into(), same(r#","next":"https://api.x.example@evil.example/""#), "pagination"),
        (link.into(), same(r#","next":"http://[""#), "pagination"),
    ] {
        let read = read(&paging, &bodies);
        assert_eq!(shown(read), expected, "{paging} {:.80}", bodies[0]);
    }
}

/// The problems of a definition with these lines.
fn problems(lines: &str) -> String {
    let begin = Instant::now();
    let parsed = Definition::parse(lines);
    assert!(begin.elapsed() < LONGEST, "{:?}", begin.elapsed());
    let problems = parsed.err().unwrap_or_default();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn every_problem_is_in_one_report_with_its_place() {
    let text = "name: X
title: [1]
channels: [sms, 7]
base_url: ftp://x
auth: {in: nowhere, secret: hunter2 hunter2}
settings: {token: {meaning: m}, ok: {type: float}}
limits: {per_second: 0, per_day: -1}
errors: {codes: {7: none}}
time_format: iso
time_zone: Nowhere/City
times: {from: {of: tomorrow, format: '%Q'}}
colour: red
campaign: {id: id, counts: {sends: $..x, likes: $.l}, info: {account: $.a}}
lists:
  - {get: c, items: $.data}
  - {get: '/{nothing}', items: '$.data[*]', paging: {by: offset}}
";
    let report = problems(text);
    for line in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16] {
        let found = report.lines().any(|problem| problem.starts_with(&format!("{line}:")));
        assert!(found, "line {line}:\n{report}");
    }
    assert!(report.contains("documentation: is missing"), "{report}");
    assert!(report.lines().count() >= 25, "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_definition_is_bounded() {
    let list = "{get: /c, items: '$.d[*]'}";
    let with = |rest: String| format!("{HEAD}{rest}\n");
    let lists = |number: usize| format!("lists: [{}]", vec![list; number].join(", "));
    let counts = "sends: $.a, ".repeat(5_000);
    let settings: Vec<_> = (0..5_000).map(|n| format!("s{n}: {{meaning: m}}")).collect();
    let settings = settings.join(", ");
    let aliases = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
    });
    for (text, expected) in [
        (with(lists(1)), ""),
        (with(lists(100)), ""),
        (with(lists(300)), "lists: has 300 entries, more than 100"),
        (
            with(format!(
                "lists: {{get: /c, items: '$.d[*]', campaign: {{id: $.id, counts: {{{counts}}}}}}}"
            )),
            "duplicate key",
        ),
        (with(format!("{}\nsettings: {{{settings}}}", lists(1))), "settings: has 5000 entries"),
        (
            with(format!("lists: {{get: /c, items: '$.{}[*]'}}", "x".repeat(1_000_000))),
            "longer than 200 bytes",
        ),
        (
            with(format!("lists: {{get: /c, items: '$.d[*]', where: '{}'}}", "(".repeat(100_000))),
            "where",
        ),
        (with(format!("lists: {{get: '/{}', items: '$.d[*]'}}", "{x".repeat(100_000))), "get"),
        (with(format!("lists: {{post: /c, json: {}, items: '$.d[*]'}}", nested(100_000))), ":"),
        (nested(1_000_000), ":"),
        ("{a: ".repeat(100_000), ":"),
        (aliases, ":"),
        ("a: *a".to_owned(), ":"),
        ("a: &a [*a]".to_owned(), ":"),
        (with(format!("lists: {{post: /c, json: {}, items: '$.d[*]'}}", nested(29))), ""),
        (
            with(format!("lists: {{post: /c, json: {}, items: '$.d[*]'}}", nested(60))),
            "than 32 levels",
        ),
        (String::new(), "expected a mapping"),
        ("7".to_owned(), "expected a mapping"),
        ("[]".to_owned(), "expected a mapping"),
        ("\0".to_owned(), ":"),
    ] {
        let report = problems(&text);
        let fits = if expected.is_empty() { report.is_empty() } else { report.contains(expected) };
        assert!(fits, "{text:.60}: {expected}: {report:.500}");
        assert!(report.len() < 10 * text.len() + 100_000, "{text:.60}: {}", report.len());
    }
}

#[test]
fn a_pattern_that_cannot_be_written_is_refused() {
    let parse = |pattern: &str| {
        let text = format!(
            "{HEAD}times: {{t: {{of: now, format: {pattern:?}, zone: Europe/Zurich}}}}\n\
             lists: {{get: /c, query: {{t: '{{t}}'}}, items: '$.d[*]'}}"
        );
        Definition::parse(&text)
    };
    for pattern in ["%#z", "%Q", "%", "%Y-%m-%d %", "%H:%M%#z", "%:", "%.", "%4f", "now"] {
        assert!(parse(pattern).is_err(), "{pattern}");
    }
    for pattern in
        ["%Y-%m-%d %H:%M:%S", "%s", "%+", "%c", "%Z", "%:::z", "%.3f", "%3f", "%%", "%n%t"]
    {
        assert!(parse(pattern).is_ok(), "{pattern}");
    }
    // what is accepted can be written and read
    let window = Window::new(DateTime::<chrono::Utc>::MIN_UTC, DateTime::<chrono::Utc>::MAX_UTC);
    for flag in ["", "-", "_", "0", "#", ":", "::", ":::", ".", ".3", "3", ".9", "9", "E", "O"] {
        for letter in ' '..='~' {
            let Ok(definition) = parse(&format!("%{flag}{letter}")) else {
                continue;
            };
            for time in [window, Window::default()] {
                for (_, request_time) in &definition.request_times {
                    request_time.text(time, &super::template::Variables::default());
                }
            }
        }
    }
}
