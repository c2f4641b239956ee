//! Numbers in text, as people write them.

/// What separates the decimals of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DecimalSeparator {
    #[default]
    Point,
    Comma,
}

/// What may stand before or after a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Percent,
    Currency,
}

impl DecimalSeparator {
    /// Reads the separator.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "." => Ok(Self::Point),
            "," => Ok(Self::Comma),
            other => Err(format!("unknown separator {other:?}; expected \".\" or \",\"")),
        }
    }

    /// The number of a text with a decimal point, without its unit and what groups its digits.
    pub(super) fn plain(self, text: &str, unit: Unit) -> Option<String> {
        let (decimal, other) = match self {
            Self::Point => ('.', ','),
            Self::Comma => (',', '.'),
        };
        let text = unit.removed(text.trim())?;
        let (whole, decimals) = match text.split_once(decimal) {
            Some((whole, decimals)) => (whole, Some(decimals)),
            None => (text, None),
        };
        let groups =
            |char: char| char == other || matches!(char, '\'' | '\u{2019}') || char.is_whitespace();
        if decimals.is_some_and(|decimals| decimals.contains(|it| groups(it) || it == decimal)) {
            return None;
        }
        let decimals = decimals.map_or_else(String::new, |decimals| format!(".{decimals}"));
        let digits = whole.trim_start_matches(['-', '+']);
        let Some(group) = digits.chars().find(|char| groups(*char)) else {
            return Some(format!("{whole}{decimals}"));
        };
        let is_group = |(index, part): (usize, &str)| {
            let is_long_enough = if index == 0 { !part.starts_with('0') } else { part.len() == 3 };
            (1..=3).contains(&part.len())
                && is_long_enough
                && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_grouped = digits.split(group).enumerate().all(is_group);
        is_grouped.then(|| format!("{}{decimals}", whole.replace(group, "")))
    }
}

impl Unit {
    /// What a number with the unit is.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::None => "a count",
            Self::Percent => "a percentage",
            Self::Currency => "a valid number",
        }
    }

    fn removed(self, text: &str) -> Option<&str> {
        let is_number = |char: char| char.is_ascii_digit() || matches!(char, '.' | ',' | '-' | '+');
        let start = text.find(is_number)?;
        let end = text.rfind(is_number)? + 1;
        let (before, rest) = text.split_at_checked(start)?;
        let (number, after) = rest.split_at_checked(end - start)?;
        let (("", unit) | (unit, "")) = (before.trim(), after.trim()) else {
            return None;
        };
        let is_good = unit.is_empty()
            || match self {
                Self::None => false,
                Self::Percent => unit == "%",
                Self::Currency => is_currency(unit),
            };
        is_good.then_some(number)
    }
}

/// Whether a text is the code or the sign of a currency, such as EUR, € or R$.
fn is_currency(text: &str) -> bool {
    let is_sign = |char| matches!(char, '$' | '£' | '¥' | '\u{20a0}'..='\u{20cf}');
    let letters = text.strip_suffix(is_sign);
    matches!(text, "kr" | "zł" | "Kč" | "Ft")
        || letters.map_or(text.len() == 3, |letters| letters.len() <= 2)
            && letters.unwrap_or(text).bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_the_decimal_separator_or_not_at_all() {
        use DecimalSeparator::{Comma, Point};
        for (text, unit, point, comma) in [
            ("60", Unit::None, Some("60"), Some("60")),
            ("1.000", Unit::None, Some("1.000"), Some("1000")),
            ("1,000", Unit::None, Some("1000"), Some("1.000")),
            ("1.234,50", Unit::None, None, Some("1234.50")),
            ("1,234.50", Unit::None, Some("1234.50"), None),
            ("-1'234'567", Unit::None, Some("-1234567"), Some("-1234567")),
            ("1\u{202f}234", Unit::None, Some("1234"), Some("1234")),
            // no groups of three
            ("97,3", Unit::None, None, Some("97.3")),
            ("0,123", Unit::None, None, Some("0.123")),
            ("1234,567", Unit::None, None, Some("1234.567")),
            ("1 234'567", Unit::None, None, None),
            ("1,,234", Unit::None, None, None),
            ("97,3 %", Unit::Percent, None, Some("97.3")),
            ("%5", Unit::Percent, Some("5"), Some("5")),
            ("97,3 %", Unit::None, None, None),
            ("1.234,50\u{a0}€", Unit::Currency, None, Some("1234.50")),
            ("€ 12.45", Unit::Currency, Some("12.45"), None),
            ("R$ 12.45", Unit::Currency, Some("12.45"), None),
            ("EUR -2.4", Unit::Currency, Some("-2.4"), None),
            ("2.4 CHF", Unit::Currency, Some("2.4"), None),
            ("€ 2.4 EUR", Unit::Currency, None, None),
            ("2.4 k", Unit::Currency, None, None),
            ("2.4 Mio", Unit::Currency, None, None),
            ("many", Unit::None, None, None),
            ("", Unit::None, None, None),
        ] {
            assert_eq!(Point.plain(text, unit).as_deref(), point, "{text}");
            assert_eq!(Comma.plain(text, unit).as_deref(), comma, "{text}");
        }
    }
}
