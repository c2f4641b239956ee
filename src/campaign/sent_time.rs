//! When a campaign was sent, by the clock and the calendar of whoever plans the next one.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use chrono_tz::Tz;

/// Label of the hour, `00` to `23`.
pub const SENT_HOUR: &str = "sent_hour";

/// Label of the day, `Monday` to `Sunday`.
pub const SENT_WEEKDAY: &str = "sent_weekday";

const HOURS: [&str; 24] = [
    "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15",
    "16", "17", "18", "19", "20", "21", "22", "23",
];

const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The value of one of these labels in a time zone; `None` for another label.
pub fn sent_time_label(label: &str, sent: DateTime<Utc>, time_zone: Tz) -> Option<&'static str> {
    let local = sent.with_timezone(&time_zone);
    let (values, index) = match label {
        SENT_HOUR => (&HOURS[..], local.hour()),
        SENT_WEEKDAY => (&WEEKDAYS[..], local.weekday().num_days_from_monday()),
        _ => return None,
    };
    values.get(usize::try_from(index).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_weekdays_are_local() {
        let label =
            |label, time: &str, zone: Tz| sent_time_label(label, time.parse().unwrap(), zone);
        let sunday = "2026-10-25T00:30:00Z";
        assert_eq!(label(SENT_HOUR, sunday, Tz::UTC), Some("00"));
        assert_eq!(label(SENT_WEEKDAY, sunday, Tz::UTC), Some("Sunday"));
        assert_eq!(label(SENT_HOUR, sunday, Tz::America__New_York), Some("20"));
        assert_eq!(label(SENT_WEEKDAY, sunday, Tz::America__New_York), Some("Saturday"));
        // summer time ends at 01:00 UTC
        assert_eq!(label(SENT_HOUR, sunday, Tz::Europe__Zurich), Some("02"));
        assert_eq!(label(SENT_HOUR, "2026-10-25T01:30:00Z", Tz::Europe__Zurich), Some("02"));
        assert_eq!(label(SENT_HOUR, "2026-10-25T02:30:00Z", Tz::Europe__Zurich), Some("03"));
        assert_eq!(label(SENT_WEEKDAY, "2026-10-25T18:00:00Z", Tz::Asia__Tokyo), Some("Monday"));
        assert_eq!(label("sender", sunday, Tz::UTC), None);
    }
}
