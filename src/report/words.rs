//! Words for values.

use std::time::Duration;

use crate::campaign::counts::Count;
use crate::campaign::{Denominator, Ratio};
use crate::report::summary::Subject;
use crate::report::totals::Unit;

/// Maximum length of a displayed name in characters.
pub const MAX_NAME: usize = 200;

/// Formats a number with thousands separators.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A count with its noun.
pub fn plural(count: usize, noun: &str) -> String {
    plural_u64(count as u64, noun)
}

/// A count with its noun.
pub fn plural_u64(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", number(count))
}

/// A text of a third party, which can be long.
pub fn shortened(text: &str) -> String {
    let end = text.char_indices().nth(MAX_NAME);
    match end.and_then(|(end, _)| text.get(..end)) {
        Some(beginning) => visible(beginning) + "…",
        None => visible(text),
    }
}

/// Replaces control characters, most of which HTML cannot represent.
pub fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Formats a number with thousands separators, and with two decimals if it is not whole.
pub fn amount(value: f64) -> String {
    let (whole, cents) = (value.abs().trunc(), (value.abs().fract() * 100.0).round());
    let (whole, cents) = if cents > 99.0 { (whole + 1.0, 0.0) } else { (whole, cents) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let whole = number(whole as u64);
    let sign = if value < 0.0 { "−" } else { "" };
    if cents > 0.0 { format!("{sign}{whole}.{cents:02}") } else { format!("{sign}{whole}") }
}

/// Formats a ratio in percent. Small ones have a second decimal.
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent != 0.0 && percent.abs() < 1.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// Words for a duration of whole days or hours.
pub fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..7_200 => plural_u64(seconds / 60, "minute"),
        7_200..86_400 => plural_u64(seconds / 3_600, "hour"),
        _ => plural_u64(seconds / 86_400, "day"),
    }
}

/// What the numerator of a ratio is, as a heading.
pub const fn title(ratio: Ratio) -> &'static str {
    match ratio {
        Ratio::Delivery => "Delivered",
        Ratio::Click => "Clicked",
        Ratio::Bounce => "Bounced",
        Ratio::OptOut => "Opted out",
        Ratio::Open => "Opened",
        Ratio::Read => "Read",
        Ratio::Reply => "Replied",
    }
}

/// What a ratio divides by.
pub const fn divisor(ratio: Ratio) -> &'static str {
    match ratio.counts().1 {
        Denominator::Attempted => "attempted",
        Denominator::Deliveries => "delivered",
    }
}

/// A count as a heading.
pub fn count(count: Count) -> String {
    let name = count.name().replace('_', "-");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What the ratio of a line divides by, if it has one.
pub const fn of(subject: Subject<'_>) -> Option<&'static str> {
    match subject {
        Subject::Count(_, ratio) => Some(divisor(ratio)),
        _ => None,
    }
}

/// What a line of a comparison is about.
pub fn subject(subject: Subject<'_>) -> String {
    match subject {
        Subject::Campaigns => "Campaigns".to_owned(),
        Subject::Attempted => "Attempted".to_owned(),
        Subject::Count(_, ratio) => title(ratio).to_owned(),
        Subject::Cost(Unit::Credits(provider)) => format!("Cost in credits of {provider}"),
        Subject::Cost(Unit::Money(currency)) => format!("Cost in {}", currency.as_str()),
    }
}

/// A difference with its sign, and its share of the value before.
pub fn change((difference, share): (f64, Option<f64>)) -> String {
    let sign = if difference > 0.0 { "+" } else { "" };
    let difference = format!("{sign}{}", amount(difference));
    match share {
        Some(share) => format!("{difference} ({} %)", signed(share * 100.0, 1)),
        None => difference,
    }
}

/// The difference of two ratios in percentage points. Small ones have a second decimal.
pub fn points(now: f64, before: f64) -> String {
    let points = (now - before) * 100.0;
    format!("{} points", signed(points, if points.abs() < 1.0 { 2 } else { 1 }))
}

/// An arrow for the direction of a change.
pub fn arrow(change: f64) -> &'static str {
    match change {
        change if change > 0.0 => "▲",
        change if change < 0.0 => "▼",
        _ => "=",
    }
}

/// A number with its sign, unless it is rounded to 0.
fn signed(value: f64, decimals: usize) -> String {
    let text = format!("{value:+.decimals$}");
    if text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        text.replace('-', "−")
    } else {
        text.replace(['-', '+'], "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_changes_are_readable() {
        for (value, expected) in
            [(0.0, "0"), (1_234.0, "1,234"), (12.5, "12.50"), (0.999, "1"), (-0.75, "−0.75")]
        {
            assert_eq!(amount(value), expected);
        }
        assert_eq!(change((1_500.0, Some(0.1234))), "+1,500 (+12.3 %)");
        assert_eq!(change((-3.0, None)), "−3");
        assert_eq!(points(0.9, 0.95), "−5.0 points");
        assert_eq!(points(0.5, 0.500_01), "0.00 points");
        assert_eq!(points(0.004, 0.0035), "+0.05 points");
        assert_eq!((percent(0.9666), percent(0.00123)), ("96.7 %".into(), "0.12 %".into()));
    }
}
