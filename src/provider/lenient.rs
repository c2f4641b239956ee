//! Lenient values: a bad date or count costs that value, never its campaign.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Datelike, Utc};
use serde::de::{
    self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::value::RawValue;

use crate::campaign::Campaign;
use crate::campaign::bounds::{MAX_ID_BYTES, visible};
use crate::campaign::counts::{self, Failures, MAX_COUNT};
use crate::redaction::PLACEHOLDER;
use crate::upstream::json;

/// Most characters of a value that could not be read in the example of it.
const MAX_EXAMPLE: usize = 40;

/// Whole numbers below this are what is written, also with decimals or an exponent: the parser of JSON is
/// off by far less. Larger ones could be the id of another campaign.
const MAX_DECIMAL: u64 = 1 << 50;

/// The values that could not be read, by the field's name at the provider.
#[derive(Clone, Debug, Default)]
pub struct Problems(BTreeMap<Cow<'static, str>, Unreadable>);

/// The values of a field that could not be read.
#[derive(Clone, Debug, Default)]
struct Unreadable {
    count: u64,
    /// The first of them, and what it is not.
    example: Option<String>,
}

impl Problems {
    /// Counts a value that could not be read.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>) {
        self.0.entry(field.into()).or_default().count += 1;
    }

    /// Counts a value that is not what is expected, such as "a count".
    pub fn refuse(&mut self, field: &str, value: &Scalar, expected: &str) {
        self.explain(field, || format!("{value}: not {expected}"));
    }

    /// Counts a value that could not be read, with the reason if it is the first.
    pub fn explain(&mut self, field: &str, reason: impl FnOnce() -> String) {
        let lost = self.0.entry(field.to_owned().into()).or_default();
        lost.count += 1;
        lost.example.get_or_insert_with(reason);
    }

    /// Adds those of `other`.
    pub fn merge(&mut self, other: Self) {
        for (field, lost) in other.0 {
            let known = self.0.entry(field).or_default();
            known.count += lost.count;
            known.example = known.example.take().or(lost.example);
        }
    }

    /// Whether every value could be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(field, lost)| (&**field, lost.count))
    }

    /// The fields and their counts, for tests to which it does not matter what the values were.
    #[cfg(test)]
    pub fn counted(&self) -> String {
        let counts = self.iter().map(|(field, count)| format!("{field} ({count} times)"));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// The same values are lost, whichever of them comes first.
impl PartialEq for Problems {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (field, lost)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{field}: {}", values(lost.count))?;
            if let Some(example) = &lost.example {
                let such_as = if lost.count == 1 { "" } else { "such as " };
                write!(formatter, ", {such_as}{example}")?;
            }
        }
        Ok(())
    }
}

/// A value that `read` finds, or `unreadable` if it cannot be read: what it is added to is not known then.
pub fn part<T>(
    problems: &mut Problems,
    unreadable: T,
    read: impl FnOnce(&mut Problems) -> Option<T>,
) -> Option<T> {
    let mut lost = Problems::default();
    let value = read(&mut lost);
    let value = value.or_else(|| (!lost.is_empty()).then_some(unreadable));
    problems.merge(lost);
    value
}

/// Adds a row of a campaign. A sum that is too large is a problem of its own.
pub fn add_row(sum: &mut Campaign, row: &Campaign, problems: &mut Problems) {
    let is_known = !sum.has_unreadable() && !row.has_unreadable();
    sum.add(row);
    if is_known && sum.has_unreadable() {
        problems.add("sum_rows");
    }
}

/// The sum of failures by reason. One that is too large is a problem of its own.
pub fn total(failures: &Failures, problems: &mut Problems) -> Option<u64> {
    let total = failures.total();
    if total == Some(counts::UNREADABLE) && !failures.has_unreadable() {
        problems.add("sum_of_failures");
    }
    total
}

/// A number of values in words.
pub fn values(count: u64) -> String {
    format!("{count} value{}", if count == 1 { "" } else { "s" })
}

/// A value of an item, of any JSON type.
#[derive(Debug, Default, PartialEq)]
pub enum Scalar {
    /// Missing or `null`.
    #[default]
    Absent,
    /// A whole number, not negative.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// An array or an object, which no value can be.
    Other,
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("no value"),
            Self::Whole(number) => number.fmt(formatter),
            // 1.0 is not 1
            Self::Number(number) => write!(formatter, "{number:?}"),
            Self::Text(text) => {
                let shown: String = text.chars().take(MAX_EXAMPLE).collect();
                let cut = if shown.len() < text.len() { "…" } else { "" };
                write!(formatter, "{shown:?}{cut}")
            }
            Self::Bool(value) => value.fmt(formatter),
            Self::Other => formatter.write_str("a list or an object"),
        }
    }
}

impl Scalar {
    /// A count: a whole number from 0 to [`MAX_COUNT`].
    pub fn count(self, field: &str, problems: &mut Problems) -> Option<u64> {
        if self.is_absent() {
            return None;
        }
        let count = match &self {
            Self::Whole(number) => Some(*number),
            Self::Number(number) => whole(*number),
            Self::Text(text) => match text.trim() {
                // 12.000 may mean twelve thousand
                text if text.split_once('.').is_some_and(|(_, digits)| digits.len() == 3) => None,
                text => text.parse().ok().or_else(|| text.parse().ok().and_then(whole)),
            },
            Self::Absent | Self::Bool(_) | Self::Other => None,
        };
        self.noted(count.filter(|count| *count <= MAX_COUNT), "a count", field, problems)
    }

    /// A finite number, not negative.
    pub fn number(self, field: &str, problems: &mut Problems) -> Option<f64> {
        if self.is_absent() {
            return None;
        }
        let number = self.float().filter(|number| *number >= 0.0);
        self.noted(number, "a number of at least 0", field, problems)
    }

    /// A finite number.
    pub fn signed_number(self, field: &str, problems: &mut Problems) -> Option<f64> {
        if self.is_absent() {
            return None;
        }
        self.noted(self.float(), "a number", field, problems)
    }

    fn float(&self) -> Option<f64> {
        let number = match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Absent | Self::Bool(_) | Self::Other => None,
        };
        number.filter(|number: &f64| number.is_finite())
    }

    /// Whether there is no value, or an empty text.
    fn is_absent(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    fn noted<T>(
        &self,
        value: Option<T>,
        expected: &str,
        field: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        if value.is_none() {
            problems.refuse(field, self, expected);
        }
        value
    }

    /// Text, or a whole number as text.
    pub fn text(self, field: &str, problems: &mut Problems) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Whole(number) => Some(number.to_string()),
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Bool(_) | Self::Other => {
                self.noted(None, "text", field, problems)
            }
        }
    }

    /// An id, which no item may lack: text that is neither empty nor long, or a whole number. Two ids
    /// that repeat a secret would be the same once it is redacted, and so would two with an invalid
    /// character, or two that are cut.
    pub fn id(self, field: &str, problems: &mut Problems) -> Option<String> {
        let id = match &self {
            Self::Whole(number) => Some(number.to_string()),
            Self::Text(text) => {
                let is_distinct = |text: &String| {
                    !text.contains(PLACEHOLDER) && !text.contains(char::REPLACEMENT_CHARACTER)
                };
                let text = visible(text).into_owned();
                Some(text).filter(|text| !text.trim().is_empty() && is_distinct(text))
            }
            Self::Absent | Self::Number(_) | Self::Bool(_) | Self::Other => None,
        };
        let id = id.filter(|id| id.len() <= MAX_ID_BYTES);
        let has_secret = matches!(&self, Self::Text(text) if text.contains(PLACEHOLDER));
        let expected = if has_secret { "an id without a secret" } else { "an id" };
        self.noted(id, expected, field, problems)
    }

    /// Text that is not empty.
    pub fn word(self, field: &str, problems: &mut Problems) -> Option<String> {
        self.text(field, problems).filter(|text| !text.trim().is_empty())
    }

    /// Whether the value means yes or no, in any of the usual spellings. No value is no.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Whole(number @ 0..=1) => Some(*number == 1),
            Self::Text(text) => match text.trim().to_lowercase().as_str() {
                "1" | "true" | "yes" | "y" => Some(true),
                "" | "0" | "false" | "no" | "n" => Some(false),
                _ => None,
            },
            Self::Absent => Some(false),
            Self::Whole(_) | Self::Number(_) | Self::Other => None,
        }
    }

    /// A time, as `parse` reads it.
    pub fn time(
        self,
        field: &str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        if self.is_absent() {
            return None;
        }
        let time = match &self {
            Self::Text(text) => parse(text.trim()).filter(is_plausible),
            _ => None,
        };
        self.noted(time, "a time", field, problems)
    }
}

/// The years of campaigns. A number in another unit than that of the format is a time far outside.
const YEARS: Range<i32> = 2000..2100;

/// Whether a campaign can have this time.
pub fn is_plausible(time: &DateTime<Utc>) -> bool {
    YEARS.contains(&time.year())
}

/// A time with its offset, as in RFC 3339.
pub fn rfc3339(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// The items of a list. A list that is `null` or left out is empty.
///
/// An object whose members are all numbered is a list too: PHP writes an array so if elements were
/// removed from it. An empty array it writes as `[]`, so an empty object is not a list.
#[derive(Debug, Default)]
pub struct List<'a>(Option<Vec<&'a RawValue>>);

impl<'a> List<'a> {
    /// The list of these items.
    pub const fn of(items: Vec<&'a RawValue>) -> Self {
        Self(Some(items))
    }

    /// Whether the answer does not have the list's name.
    pub const fn is_left_out(&self) -> bool {
        self.0.is_none()
    }

    /// The items.
    pub fn items(self) -> Vec<&'a RawValue> {
        self.0.unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(items)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some((name, item)) = list.next_entry::<Cow<'de, str>, _>()? {
                    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                        return Err(de::Error::invalid_type(Unexpected::Map, &self));
                    }
                    items.push(item);
                }
                if items.is_empty() {
                    return Err(de::Error::invalid_type(Unexpected::Map, &self));
                }
                Ok(items)
            }
        }

        let items = deserializer.deserialize_any(ListVisitor)?;
        Ok(Self(Some(items)))
    }
}

/// An item of a list. One that is not what the provider documents costs only itself.
pub fn item<'a, T: Deserialize<'a>>(
    json: &'a RawValue,
    field: &str,
    problems: &mut Problems,
) -> Option<T> {
    let item = json::object(json.get()).ok();
    if item.is_none() {
        problems.add(field.to_owned());
    }
    item
}

/// The ratio that a percentage means, with its decimals: 28.1 / 100 is 0.28100000000000003.
#[expect(clippy::float_cmp, reason = "the same number, or not")]
pub fn ratio(percent: f64) -> f64 {
    // most percentages have few decimals, and dividing whole numbers gives the nearest number
    let thousandths = (percent * 1e3).round();
    if thousandths / 1e3 == percent {
        return thousandths / 1e5;
    }
    format!("{percent}e-2").parse().unwrap_or(percent / 100.0)
}

fn whole(number: f64) -> Option<u64> {
    let exact = number.fract() == 0.0 && (0.0..=MAX_COUNT as f64).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: whole, not negative and at most 2^53"
    )]
    exact.then_some(number as u64)
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Absent)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Whole(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                // an id is shown as it is written, and every number can be text
                Ok(u64::try_from(value)
                    .map_or_else(|_| Scalar::Text(value.to_string()), Scalar::Whole))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(match whole(value.abs()).filter(|number| *number < MAX_DECIMAL) {
                    Some(number) if value < 0.0 => Scalar::Text(format!("-{number}")),
                    Some(number) => Scalar::Whole(number),
                    None => Scalar::Number(value),
                })
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Other)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn read<T>(
        json: &str,
        take: impl FnOnce(Scalar, &mut Problems) -> Option<T>,
    ) -> (Option<T>, bool) {
        let mut problems = Problems::default();
        let value = take(serde_json::from_str(json).unwrap(), &mut problems);
        (value, problems.is_empty())
    }

    #[test]
    fn a_percentage_keeps_its_decimals() {
        for (percent, expected) in [(28.1, "0.281"), (0.7, "0.007"), (100.0, "1"), (0.0, "0")] {
            assert_eq!(ratio(percent).to_string(), expected);
        }
    }

    #[test]
    fn a_count_is_a_whole_number_in_any_notation() {
        for (json, count) in [
            ("60", 60),
            ("60.0", 60),
            (r#""60""#, 60),
            (r#"" 60 ""#, 60),
            (r#""60.0""#, 60),
            (r#""60.00""#, 60),
            ("0", 0),
            ("9007199254740992", MAX_COUNT),
        ] {
            let read = read(json, |scalar, problems| scalar.count("sends", problems));
            assert_eq!(read, (Some(count), true), "{json}");
        }
    }

    #[test]
    fn yes_and_no_have_many_spellings() {
        for (json, truth) in [
            (r#"[true, 1, "1", "true", "True", " YES ", "y"]"#, Some(true)),
            (r#"[false, 0, null, "", "0", "False", "no", "N"]"#, Some(false)),
            (r#"[2, 1.5, -1, "maybe", [], {}, [true]]"#, None),
        ] {
            for scalar in serde_json::from_str::<Vec<Scalar>>(json).unwrap() {
                assert_eq!(scalar.truth(), truth, "{scalar}");
            }
        }
    }

    #[test]
    fn an_absent_count_is_neither_zero_nor_a_problem() {
        for json in ["null", r#""""#, r#""  ""#] {
            let read = read(json, |scalar, problems| scalar.count("sends", problems));
            assert_eq!(read, (None, true), "{json}");
        }
    }

    #[test]
    fn an_invalid_count_is_a_problem_without_a_value() {
        for json in [
            "-1",
            "1.5",
            "1e300",
            "9007199254740993",
            "18446744073709551616",
            "true",
            "[]",
            "[1]",
            "{}",
            r#"{"a":1}"#,
            r#""n/a""#,
            r#""NaN""#,
            r#""inf""#,
            r#""-3""#,
            r#""1,958""#,
            // may be a thousand
            r#""1.000""#,
            r#""12.000""#,
            r#""12.5""#,
        ] {
            let read = read(json, |scalar, problems| scalar.count("sends", problems));
            assert_eq!(read, (None, false), "{json}");
        }
    }

    #[test]
    fn a_number_is_finite_and_not_negative() {
        let number = |json| read(json, |scalar, problems| scalar.number("cost", problems));
        assert_eq!(number(r#""98.5""#), (Some(98.5), true));
        assert_eq!(number("7"), (Some(7.0), true));
        assert_eq!(number(r#""""#), (None, true));
        let signed =
            |json| read(json, |scalar, problems| scalar.signed_number("credits", problems));
        assert_eq!(signed(r#""-12.5""#), (Some(-12.5), true));
        assert_eq!(signed(r#""-inf""#), (None, false));
        for json in ["-0.5", r#""NaN""#, r#""infinity""#, "true", r#""1e999""#] {
            assert_eq!(number(json), (None, false), "{json}");
        }
    }

    #[test]
    fn an_id_is_text_or_a_number_and_never_missing() {
        let id = |json| read(json, |scalar, problems| scalar.id("id", problems));
        for (json, whole) in [
            ("18969398", "18969398"),
            ("1001.0", "1001"),
            ("1e3", "1000"),
            ("-5", "-5"),
            ("-5.0", "-5"),
            ("987654321098.0", "987654321098"),
        ] {
            assert_eq!(id(json), (Some(whole.to_owned()), true), "{json}");
        }
        assert_eq!(id(r#""g90-x""#), (Some("g90-x".to_owned()), true));
        assert_eq!(id(r#""g\u202ex""#), (Some("g\u{202e}x".to_owned()), true));
        let long = format!(r#""{}""#, "x".repeat(MAX_ID_BYTES + 1));
        for json in [
            "null",
            r#""""#,
            r#"" ""#,
            &long,
            "[]",
            "1001.5",
            // another id can be the same number
            "1e17",
            "true",
            r#""1-[redacted]""#,
            "\"1-\u{fffd}\"",
        ] {
            assert_eq!(id(json), (None, false), "{json}");
        }
    }

    #[test]
    fn a_list_can_be_null_left_out_or_numbered() {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow, default)]
            list: List<'a>,
        }
        for (json, items) in [
            ("{}", Some(vec![])),
            (r#"{"list":null}"#, Some(vec![])),
            (r#"{"list":[]}"#, Some(vec![])),
            (r#"{"list":[{"a":1},2]}"#, Some(vec![r#"{"a":1}"#, "2"])),
            (r#"{"list":{"0":1,"2":{}}}"#, Some(vec!["1", "{}"])),
            (r#"{"list":{}}"#, None),
            (r#"{"list":{"0":1,"error":2}}"#, None),
            (r#"{"list":{"error":"no"}}"#, None),
            (r#"{"list":false}"#, None),
            (r#"{"list":""}"#, None),
        ] {
            let answer = serde_json::from_str::<Answer<'_>>(json).ok();
            assert_eq!(
                answer.as_ref().is_some_and(|answer| answer.list.is_left_out()),
                json == "{}"
            );
            let found = answer.map(|answer| answer.list.items());
            let found = found.map(|items| items.into_iter().map(RawValue::get).collect::<Vec<_>>());
            assert_eq!(found, items, "{json}");
        }
    }

    #[test]
    fn a_time_is_converted_to_utc() {
        let time = |json| read(json, |scalar, problems| scalar.time("date", problems, rfc3339));
        let (value, good) = time(r#""2024-04-02T17:13:13.000-04:00""#);
        assert_eq!(value.map(|time| time.timestamp()), Some(1_712_092_393));
        assert!(good);
        assert_eq!(time(r#""2024--02-01T14:58:22.000-04:00""#), (None, false));
        // no year of a campaign
        assert_eq!(time(r#""1999-12-31T23:59:59Z""#), (None, false));
        assert_eq!(time(r#""2100-01-01T00:00:00Z""#), (None, false));
        assert_eq!(time("1712092393"), (None, false));
        assert_eq!(time("null"), (None, true));
    }

    #[test]
    fn problems_are_summarized_in_one_line() {
        let mut problems = Problems::default();
        problems.add("sends");
        problems.add("date");
        problems.add("sends");
        assert_eq!(problems.to_string(), "date: 1 value; sends: 2 values");
        problems.refuse("date", &Scalar::Text("x".repeat(41)), "a time");
        let mut more = Problems::default();
        more.refuse("cost", &Scalar::Text("2.401,60\u{a0}€".to_owned()), "a number");
        more.refuse("date", &Scalar::Bool(true), "a time");
        problems.merge(more);
        let expected = format!(
            r#"cost: 1 value, "2.401,60\u{{a0}}€": not a number; date: 3 values, such as "{}"…: not a time; sends: 2 values"#,
            "x".repeat(40)
        );
        assert_eq!(problems.to_string(), expected);
    }
}
