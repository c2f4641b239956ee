//! Durations as Prometheus writes them.

use std::time::Duration;

/// The units of a duration in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 24 * 3_600_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Parses whole numbers with units, the largest unit first, such as `5m` or `1h30m`. Existing crates
/// read `5M` as five months, or panic on large numbers.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|char: char| !char.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|char: char| char.is_ascii_digit()).unwrap_or(after.len()));
        // the iterator goes on, so a unit that repeats or comes too late is refused
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        milliseconds = milliseconds.checked_add(part)?;
        rest = after;
    }
    (!text.trim().is_empty()).then(|| Duration::from_millis(milliseconds))
}

/// The duration in its largest whole unit, as in a configuration file.
pub fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let divides =
        |unit: u64| milliseconds >= unit.into() && milliseconds.is_multiple_of(unit.into());
    match UNITS.iter().find(|(_, unit)| divides(*unit)) {
        Some((name, unit)) => format!("{}{name}", milliseconds / u128::from(*unit)),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_consists_of_whole_numbers_with_units() {
        for (text, milliseconds) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            (" 5m ", 300_000),
            ("0s", 0),
        ] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!(parsed.as_millis(), milliseconds, "{text}");
        }
        let wrong = "| |5|m|5M|5 m|-5m|1.5h|5m1h|5m5m|5min|1h 30m|m5|18446744073709551615s|\
                     99999999999999999999d|5m 18446744073709551615ms";
        for text in wrong.split('|') {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_its_largest_whole_unit() {
        for text in ["30s", "5m", "12h", "30d", "90m", "250ms", "1001ms", "0s"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
        assert_eq!(duration_text(Duration::from_hours(1)), "1h");
    }
}
