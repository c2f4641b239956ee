//! Amounts of money of an item.

use serde_json::Value;

use super::field::Field;
use super::reader::{Mapping, Part, must};
use super::template::Variables;
use crate::campaign::figures::Currency;
use crate::provider::lenient::Problems;

/// Where an amount is found, and in which currency it is.
#[derive(Clone, Debug)]
pub(super) struct Money {
    value: Field,
    currency: CurrencySource,
}

#[derive(Clone, Debug)]
enum CurrencySource {
    Fixed(Currency),
    /// The value of a setting.
    Setting(String),
    Read(Field),
}

/// The keys of an amount.
pub(crate) const MONEY: Part = Part {
    title: "Money",
    keys: &[
        must("value", "value", "The amount."),
        must(
            "currency",
            "currency, setting, or value",
            "A code of three letters such as `EUR`, a setting in braces, or the path of the code. An amount in an unknown currency is left out.",
        ),
    ],
};

impl Money {
    /// Reads the amount of a key.
    pub(super) fn read(
        mapping: &mut Mapping<'_, '_>,
        key: &str,
        settings: &[String],
    ) -> Option<Self> {
        let read = mapping.mapping(key, &MONEY, |mapping| {
            let value = mapping.field("value");
            let currency = CurrencySource::read(mapping, settings);
            Some(Self {
                value: value?,
                currency: currency?,
            })
        });
        read.flatten()
    }

    /// The paths as the manual shows them.
    pub(super) fn shown(&self) -> String {
        let value = self.value.shown();
        match &self.currency {
            CurrencySource::Fixed(currency) => format!("{value} in {}", currency.as_str()),
            CurrencySource::Setting(name) => format!("{value} in the account's `{name}`"),
            CurrencySource::Read(field) => format!("{value} in {}", field.shown()),
        }
    }

    /// What is read.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        let currency = match &self.currency {
            CurrencySource::Read(field) => Some(field),
            _ => None,
        };
        std::iter::once(&self.value).chain(currency)
    }

    /// The setting that has to be a currency.
    pub(super) fn setting(&self) -> Option<&str> {
        match &self.currency {
            CurrencySource::Setting(name) => Some(name),
            _ => None,
        }
    }

    /// The amount as `number` reads its value.
    pub(super) fn amount(
        &self,
        item: &Value,
        settings: &Variables,
        problems: &mut Problems,
        number: fn(&Field, &Value, &mut Problems) -> Option<f64>,
    ) -> Option<(Currency, f64)> {
        let amount = number(&self.value, item, problems)?;
        let currency = match &self.currency {
            CurrencySource::Fixed(currency) => *currency,
            CurrencySource::Setting(name) => Currency::from_code(settings.0.get(name)?)?,
            CurrencySource::Read(field) => {
                // an amount is nothing without one
                let code = field.id(item, problems)?;
                let currency = Currency::from_code(&code);
                if currency.is_none() {
                    let name = field.names().next().unwrap_or_default();
                    problems.add(name.to_owned());
                }
                currency?
            }
        };
        Some((currency, amount))
    }
}

impl CurrencySource {
    fn read(mapping: &mut Mapping<'_, '_>, settings: &[String]) -> Option<Self> {
        let text = mapping.plain_text("currency");
        let Some(text) = text.filter(|text| !text.starts_with('$')) else {
            return mapping.field("currency").map(Self::Read);
        };
        let setting = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let read = match setting {
            Some(name) if settings.iter().any(|known| known == name) => {
                Some(Self::Setting(name.to_owned()))
            }
            Some(name) => {
                mapping.problem("currency", format!("no setting is called {name:?}"));
                None
            }
            None => Currency::from_code(text).map(Self::Fixed).or_else(|| {
                let message = "expected a code such as EUR, a setting in braces, or a path";
                mapping.problem("currency", message);
                None
            }),
        };
        read
    }
}
