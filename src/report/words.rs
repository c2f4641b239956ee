//! Words for values.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::campaign::counts::Count;
use crate::campaign::figures::Figure;
use crate::campaign::{Campaign, Denominator, Ratio, Status};
use crate::report::row::Row;
use crate::report::summary::Subject;
use crate::report::totals::{Rate, Unit};
use crate::state::campaigns::AccountCampaigns;

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
    format!("{percent:.*} %", if percent == 0.0 { 1 } else { decimals(percent) })
}

/// How many decimals a number has, so that rounding does not reach one with fewer.
fn decimals(value: f64) -> usize {
    if value.abs() < 0.995 { 2 } else { 1 }
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

/// The same after "the last" or before "before".
pub fn last(duration: Duration) -> String {
    days(duration).trim_start_matches("1 ").to_owned()
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

/// What a rate divides by, with its sum if that is not shown.
pub fn of(rate: Rate) -> String {
    let sum = rate.of.map(|sum| format!("{} ", amount(sum))).unwrap_or_default();
    format!("of {sum}{}", divisor(rate.ratio))
}

/// Stands for a value that no campaign of a period reports.
pub const fn absent(campaigns: usize) -> &'static str {
    if campaigns == 0 { "none sent" } else { "not reported" }
}

/// The status of a campaign, unless it is sent, or that it is planned.
pub fn state(row: Row<'_>, now: DateTime<Utc>) -> Option<String> {
    let campaign = row.campaign;
    let is_planned = !row.is_sent() && campaign.date() > Some(now);
    let status = campaign.status.filter(|status| *status != Status::Sent);
    status
        .map(|status| status.as_str().replace('_', " "))
        .or_else(|| is_planned.then(|| "planned".to_owned()))
}

/// What messages are of which neither a delivery nor a bounce is known.
pub fn without_receipt(campaign: &Campaign) -> &'static str {
    if campaign.counts_unsent() { "not sent yet or without a receipt" } else { "without a receipt" }
}

/// A time by the clock of those who plan the campaigns of an account.
pub fn local(at: DateTime<Utc>, account: &AccountCampaigns) -> String {
    at.with_timezone(&account.reporting_time_zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

/// What a campaign cost, in credits and money.
pub fn cost(campaign: &Campaign) -> Option<String> {
    let money = campaign.figures.iter().filter_map(|(figure, value)| match figure {
        Figure::Cost(currency) => Some(format!("{} {}", amount(value), currency.as_str())),
        _ => None,
    });
    let credits = campaign.readable_cost_credits();
    let credits = credits.map(|cost| format!("{} credits", amount(cost)));
    let costs: Vec<_> = credits.into_iter().chain(money).collect();
    (!costs.is_empty()).then(|| costs.join(", "))
}

/// What a line of a comparison is about.
pub fn subject(subject: Subject<'_>) -> String {
    match subject {
        Subject::Campaigns => "Campaigns sent".to_owned(),
        Subject::Attempted => "Attempted".to_owned(),
        Subject::Count(_, ratio) => title(ratio).to_owned(),
        Subject::Cost(Unit::Credits(provider)) => format!("Cost in credits of {provider}"),
        Subject::Cost(Unit::Money(currency)) => format!("Cost in {}", currency.as_str()),
    }
}

/// A difference with its sign, and its share of the value before.
pub fn change((difference, share): (f64, Option<f64>)) -> String {
    if difference == 0.0 {
        return "unchanged".to_owned();
    }
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
    format!("{} points", signed(points, decimals(points)))
}

/// An arrow for the direction of a change.
pub fn arrow(change: f64) -> &'static str {
    match change {
        change if change > 0.0 => "▲ ",
        change if change < 0.0 => "▼ ",
        _ => "",
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
        assert_eq!(change((0.0, Some(0.0))), "unchanged");
        for (ratio, expected) in [
            (0.9666, "96.7 %"),
            (0.00123, "0.12 %"),
            (0.009_94, "0.99 %"),
            (0.009_99, "1.0 %"),
            (0.01, "1.0 %"),
            (0.0, "0.0 %"),
        ] {
            assert_eq!(percent(ratio), expected);
        }
        let last = |hours| last(Duration::from_hours(hours));
        assert_eq!((last(24), last(11 * 24)), ("day".into(), "11 days".into()));
    }
}
