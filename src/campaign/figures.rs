//! Amounts of money and ratios that a provider reports for a campaign. Most campaigns have none.

use std::fmt;
use std::mem::discriminant;

use serde::{Deserialize, Serialize, Serializer};

use super::Ratio;

/// A currency by its code of three letters, as in ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// That of an amount that cannot be read: the code that ISO 4217 has for no currency.
    pub const NONE: Self = Self(*b"XXX");

    /// The currency with this code. Case is ignored.
    pub fn from_code(code: &str) -> Option<Self> {
        let letters = <[u8; 3]>::try_from(code.trim().as_bytes()).ok()?;
        let is_code = letters.iter().all(u8::is_ascii_alphabetic);
        is_code.then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// The value of the `currency` label.
    pub fn as_str(&self) -> &str {
        // ASCII letters only
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<String> for Currency {
    type Error = &'static str;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        Self::from_code(&code).ok_or("not a currency")
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Figure {
    /// The cost of the campaign.
    Cost(Currency),
    /// What its recipients spent.
    Revenue(Currency),
    /// A ratio in the provider's own words, whatever it divides by.
    Ratio(Ratio),
    /// What is usual for the account's campaigns at the age of this one. Computed, never stored.
    Usual(Ratio, Bound),
}

/// A bound of what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// Hardly any campaign is below.
    Low,
    /// Half of the campaigns are below.
    Median,
    /// Hardly any campaign is above.
    High,
}

impl Bound {
    /// Every bound.
    pub const ALL: [Self; 3] = [Self::Low, Self::Median, Self::High];

    /// The value of the `bound` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Median => "median",
            Self::High => "high",
        }
    }
}

/// An amount that is reported but cannot be read, or a sum with one. It is absent.
pub const UNREADABLE: f64 = f64::INFINITY;

/// The sum of two amounts without decimals that neither has: 0.1 + 0.2 is 0.3. Unreadable if one is, or
/// if it is too large.
pub fn sum(one: f64, other: f64) -> f64 {
    let decimals =
        |amount: f64| amount.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let sum = one + other;
    format!("{sum:.*}", decimals(one).max(decimals(other))).parse().unwrap_or(sum)
}

/// Numbers, each of another kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Figures(Box<[(Figure, f64)]>);

impl Figures {
    /// The bounds of what is usual, if they are known.
    pub fn usual(&self, ratio: Ratio) -> Option<[f64; 3]> {
        let [low, median, high] = Bound::ALL.map(|bound| self.get(Figure::Usual(ratio, bound)));
        Some([low?, median?, high?])
    }

    /// The number of this kind, if the provider reports it.
    pub fn get(&self, figure: Figure) -> Option<f64> {
        let mut all = self.iter();
        all.find(|(known, _)| *known == figure).map(|(_, value)| value)
    }

    /// All numbers that can be read. An amount that cannot be read may be a part of any other of its kind,
    /// whatever its currency.
    pub fn iter(&self) -> impl Iterator<Item = (Figure, f64)> {
        let is_lost = |kind| {
            let mut lost = self.0.iter().filter(|(_, value)| !value.is_finite());
            lost.any(|(figure, _)| discriminant(figure) == kind)
        };
        self.0.iter().copied().filter(move |(figure, _)| !is_lost(discriminant(figure)))
    }

    /// Whether an amount is reported that cannot be read.
    pub fn has_unreadable(&self) -> bool {
        self.0.iter().any(|(_, value)| !value.is_finite())
    }

    /// Takes over numbers in place of those of the same kind.
    pub fn replace(&mut self, others: &Self) {
        self.merge(others, |_, value| value);
    }

    /// The numbers and further ones, of other kinds.
    #[must_use]
    pub fn with(&self, further: Vec<(Figure, f64)>) -> Self {
        self.iter().chain(further).collect()
    }

    /// Adds amounts of the same currency. Ratios of parts say nothing about the whole.
    pub fn add(&mut self, others: &Self) {
        self.merge(others, sum);
        let is_amount =
            |(figure, _): &&(Figure, f64)| matches!(figure, Figure::Cost(_) | Figure::Revenue(_));
        self.0 = self.0.iter().filter(is_amount).copied().collect();
    }

    fn merge(&mut self, others: &Self, merged: impl Fn(f64, f64) -> f64) {
        let mut all = std::mem::take(&mut self.0).into_vec();
        for (figure, value) in others.0.iter().copied() {
            match all.iter_mut().find(|(known, _)| *known == figure) {
                Some((_, own)) => *own = merged(*own, value),
                None => all.push((figure, value)),
            }
        }
        self.0 = all.into();
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl FromIterator<(Figure, f64)> for Figures {
    fn from_iter<I: IntoIterator<Item = (Figure, f64)>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_three_letters() {
        for (code, expected) in [
            (" eur ", Some("EUR")),
            ("USD", Some("USD")),
            ("", None),
            ("€", None),
            ("US", None),
            ("EURO", None),
            ("E1R", None),
        ] {
            let currency = Currency::from_code(code);
            let shown = currency.as_ref().map(Currency::as_str);
            assert_eq!(shown, expected, "{code}");
        }
        let bytes = postcard::to_stdvec("EURO").unwrap();
        assert!(postcard::from_bytes::<Currency>(&bytes).is_err());
    }

    #[test]
    fn a_sum_has_no_more_decimals_than_its_parts() {
        for (amounts, expected) in [
            (vec![0.1, 0.2], "0.3"),
            (vec![0.01; 10], "0.1"),
            (vec![1.005, -1.0], "0.005"),
            (vec![1e-9, 12_345.67], "12345.670000001"),
            (vec![1e300, 1.0], &format!("1{}", "0".repeat(300))),
            (vec![f64::MAX, f64::MAX], "inf"),
            (vec![UNREADABLE, 1.0], "inf"),
        ] {
            assert_eq!(amounts.into_iter().fold(0.0, sum).to_string(), expected);
        }
    }

    #[test]
    fn amounts_are_added_by_currency_and_ratios_are_not() {
        let [euro, dollar] = ["EUR", "USD"].map(|code| Currency::from_code(code).unwrap());
        let ratio = Figure::Ratio(Ratio::Open);
        let mut sum = Figures::from_iter([(Figure::Cost(euro), 1.5), (ratio, 0.5)]);
        sum.add(&Figures::from_iter([
            (Figure::Cost(euro), 2.0),
            (Figure::Cost(dollar), 1.0),
            (Figure::Revenue(euro), f64::MAX),
            (ratio, 0.25),
        ]));
        let expected = [
            (Figure::Cost(euro), 3.5),
            (Figure::Cost(dollar), 1.0),
            (Figure::Revenue(euro), f64::MAX),
        ];
        assert_eq!(sum, Figures::from_iter(expected));
        sum.add(&sum.clone());
        // too large
        assert_eq!(sum.get(Figure::Revenue(euro)), None);
        let stored: Figures = postcard::from_bytes(&postcard::to_stdvec(&sum).unwrap()).unwrap();
        assert_eq!(stored.get(Figure::Cost(dollar)), Some(2.0));
        assert_eq!(stored.0.len(), 2);

        sum.replace(&Figures::from_iter([(Figure::Cost(euro), 9.0), (ratio, 1.0)]));
        assert_eq!(sum.get(Figure::Cost(euro)), Some(9.0));
        assert_eq!(sum.get(Figure::Cost(dollar)), Some(2.0));
        assert_eq!(sum.get(ratio), Some(1.0));
    }
}
