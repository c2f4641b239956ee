//! How times are written.

use std::fmt::Write;
use std::str::FromStr;

use chrono::format::{self, Fixed, Item, Parsed, StrftimeItems};
use chrono::{
    DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

/// An afternoon whose month, day, hour, minute and second all differ.
const SAMPLE: i64 = 1_792_936_049;

/// The time zone of a name.
pub(super) fn zone(name: &str) -> Result<Tz, String> {
    let zone = Tz::from_str(name);
    zone.map_err(|_| format!("unknown time zone {name:?}; expected one such as Europe/Zurich"))
}

/// How a time is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimeFormat {
    /// As in RFC 3339, with or without a colon in the offset.
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// A pattern of `strftime`.
    Pattern(Vec<Item<'static>>),
}

impl TimeFormat {
    /// Reads a format.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "rfc3339" => Self::Rfc3339,
            "unix" => Self::Unix,
            "unix_ms" => Self::UnixMilliseconds,
            pattern if pattern.contains('%') => {
                let items = StrftimeItems::new(pattern).parse_to_owned();
                let items = items.map_err(|_| format!("{pattern:?} is not a strftime pattern"))?;
                Self::Pattern(items)
            }
            other => {
                return Err(format!(
                    "unknown format {other:?}; expected rfc3339, unix, unix_ms, or a strftime \
                     pattern such as \"%Y-%m-%d %H:%M:%S\""
                ));
            }
        })
    }

    /// Reads the format of times in answers, which have to tell the day.
    pub(super) fn parse_readable(text: &str) -> Result<Self, String> {
        let format = Self::parse(text)?;
        let Self::Pattern(pattern) = &format else { return Ok(format) };
        let written = |time: DateTime<Utc>| {
            let mut sample = String::new();
            let written = write!(sample, "{}", time.format_with_items(pattern.iter()));
            written.ok().map(|()| sample)
        };
        let Some(sample) = DateTime::from_timestamp_secs(SAMPLE).and_then(written) else {
            return Ok(format);
        };
        let Some(time) = format.time(&sample, Some(Tz::UTC)) else {
            return Err(format!("{text:?} does not tell the day: year, month and day are needed"));
        };
        if written(time) != Some(sample) {
            let message = "does not tell the time of day: hours need minutes, and %I needs %p";
            return Err(format!("{text:?} {message}"));
        }
        Ok(format)
    }

    /// The time of a text. One without an offset is in `zone`.
    pub(super) fn time(&self, text: &str, zone: Option<Tz>) -> Option<DateTime<Utc>> {
        match self {
            Self::Rfc3339 => DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::from_str(text))
                .ok()
                .map(|time| time.to_utc()),
            Self::Unix => {
                let seconds: f64 = text.parse().ok()?;
                milliseconds(seconds * 1_000.0)
            }
            Self::UnixMilliseconds => milliseconds(text.parse().ok()?),
            Self::Pattern(pattern) => {
                let mut parsed = Parsed::new();
                format::parse(&mut parsed, text, pattern.iter()).ok()?;
                if let Ok(time) = parsed.to_datetime() {
                    return Some(time.to_utc());
                }
                let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
                let local = parsed.to_naive_datetime_with_offset(0);
                let local = local.or_else(|_| parsed.to_naive_date().map(midnight));
                let zone = zone?;
                let time = to_utc(local.ok()?, zone)?;
                let names_zone = pattern.contains(&Item::Fixed(Fixed::TimezoneName));
                (!names_zone || is_zone_named(text, time, zone)).then_some(time)
            }
        }
    }
}

/// Whether a text has the name that the zone has at a time, such as CEST.
fn is_zone_named(text: &str, time: DateTime<Utc>, zone: Tz) -> bool {
    let name = time.with_timezone(&zone).format("%Z").to_string();
    let is_name = |word| word == name || name == "UTC" && matches!(word, "GMT" | "Z");
    text.split_whitespace().any(is_name)
}

fn milliseconds(number: f64) -> Option<DateTime<Utc>> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and out of range is no time")]
    DateTime::from_timestamp_millis(number as i64)
}

/// A local time: the earlier one if clocks go back and it occurs twice. One that clocks skip is read
/// with the offset before.
fn to_utc(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let zoned = match zone.from_local_datetime(&local) {
        LocalResult::Single(time) => time,
        LocalResult::Ambiguous(earlier, _) => earlier,
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::hours(1))?;
            let before = zone.from_local_datetime(&before).earliest()?;
            before.checked_add_signed(TimeDelta::hours(1))?
        }
    };
    Some(zoned.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_format_and_zone() {
        let zurich = Some(Tz::Europe__Zurich);
        for (format, text, zone, seconds) in [
            ("rfc3339", "2026-03-01T12:00:00Z", None, Some(1_772_366_400)),
            ("rfc3339", "2026-03-01T12:00:00.5+0100", None, Some(1_772_362_800)),
            ("rfc3339", "2026-03-01", None, None),
            ("unix", "1772366400", None, Some(1_772_366_400)),
            ("unix", "1772366400.9", None, Some(1_772_366_400)),
            ("unix_ms", "1772366400000", None, Some(1_772_366_400)),
            ("unix", "1e300", None, None),
            ("%Y-%m-%d %H:%M:%S", "2026-03-01 13:00:00", zurich, Some(1_772_366_400)),
            ("%Y-%m-%d %H:%M:%S", "2026-03-01 12:00:00", None, Some(1_772_366_400)),
            ("%Y-%m-%d", "2026-03-01", None, Some(1_772_323_200)),
            ("%d/%m/%Y %H:%M %z", "01/03/2026 12:00 +0000", zurich, Some(1_772_366_400)),
            // twice, and never
            ("%Y-%m-%d %H:%M:%S", "2024-10-27 02:30:00", zurich, Some(1_729_989_000)),
            ("%Y-%m-%d %H:%M:%S", "2024-03-31 02:30:00", zurich, Some(1_711_848_600)),
            // the name of the zone has to be that of the time
            ("%Y-%m-%d %H:%M %Z", "2026-03-01 13:00 CET", zurich, Some(1_772_366_400)),
            ("%Y-%m-%d %H:%M %Z", "2026-07-01 13:00 CET", zurich, None),
            ("%Y-%m-%d %H:%M %Z", "2026-03-01 12:00 GMT", None, Some(1_772_366_400)),
            ("%Y-%m-%d %H:%M %Z", "2026-03-01 12:00 EST", None, None),
        ] {
            let zone = zone.or(Some(Tz::UTC));
            let time = TimeFormat::parse(format).unwrap().time(text, zone);
            let shown = time.map(|time| time.timestamp());
            assert_eq!(shown, seconds, "{format} {text}");
        }
        for format in ["iso", "%Q", "%H:%M", "%Y", "%d.%m.", "%Y-%m", "at %%", "%F %I:%M", "%F %H"]
        {
            assert!(TimeFormat::parse_readable(format).is_err(), "{format}");
        }
        for format in
            ["%s", "%+", "%d.%m.%y", "%Y-%j", "%e %B %Y, %I:%M %p", "%G-W%V-%u", "%H:%M%#z"]
        {
            assert!(TimeFormat::parse_readable(format).is_ok(), "{format}");
        }
    }
}
