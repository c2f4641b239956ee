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
    pub value: Field,
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
            Some(Self { value: value?, currency: currency? })
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
        if self.value.is_in_other_currency(item, currency) {
            let name = self.value.names().next().unwrap_or_default();
            problems.explain(name, || format!("an amount that is not in {}", currency.as_str()));
            return None;
        }
        Some((currency, amount))
    }
}

impl CurrencySource {
    fn read(mapping: &mut Mapping<'_, '_>, settings: &[String]) -> Option<Self> {
        let text = mapping.plain_text("currency");
        let Some(text) = text.filter(|text| !text.starts_with('$')) else {
            return mapping.field("currency").map(Self::Read);
        };
        let setting = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        match setting {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Definition;
    use super::super::source::Defined;
    use super::*;
    use crate::campaign::figures::Figure;
    use crate::campaign::window::Window;
    use crate::campaign::{Channel, Ratio};
    use crate::document::problem::Problem;
    use crate::provider::source::{Page, Read, Source};
    use crate::upstream::answer::Answer;

    /// A provider whose campaigns and account have these keys.
    fn parse(campaign: &str, account: &str) -> Result<Definition, Vec<Problem>> {
        Definition::parse(&format!(
            "name: p\ntitle: P\ndocumentation: https://example.com\nchannels: [sms]\n\
             base_url: https://api.example\nauth: {{in: bearer}}\n\
             settings: {{money: {{meaning: The currency.}}}}\n\
             lists: {{get: /c, items: '$[*]', campaign: {{id: $.id, {campaign}}}}}\n\
             account: {{get: /a, {account}}}\n"
        ))
    }

    /// The pages of campaigns and of the account, with the setting of the account.
    fn read(campaign: &str, account: &str, answer: &str) -> [Page; 2] {
        let definition = parse(campaign, account).unwrap();
        let settings = [("money".to_owned(), "chf".to_owned())];
        let source = Defined {
            definition: Arc::new(definition),
            settings: Variables(settings.into_iter().collect()),
            channels: vec![Channel::Sms],
        };
        let asks = source.begin(Window::default());
        let answers = [format!("[{answer}]"), answer.to_owned()];
        let pages = asks.iter().zip(answers).map(|(ask, answer)| {
            let answer = Answer::of(200, answer);
            source.take(Read::default(), ask, &answer).unwrap()
        });
        pages.collect::<Vec<_>>().try_into().unwrap()
    }

    #[test]
    fn an_amount_has_a_currency_or_is_absent() {
        let item = r#"{"id":1,"n":-1.5,"c":"2.5","in":"usd","odd":"points",
            "text":"2,000.5 EUR"}"#;
        for (money, cost, balance, problems) in [
            ("{value: $.c, currency: eur}", Some(("EUR", 2.5)), Some(("EUR", 2.5)), ["", ""]),
            ("{value: $.c, currency: '{money}'}", Some(("CHF", 2.5)), Some(("CHF", 2.5)), ["", ""]),
            ("{value: $.c, currency: $.in}", Some(("USD", 2.5)), Some(("USD", 2.5)), ["", ""]),
            // only a balance can be negative
            ("{value: $.n, currency: EUR}", None, Some(("EUR", -1.5)), ["n (1 times)", ""]),
            (
                "{value: $.text, currency: EUR}",
                Some(("EUR", 2_000.5)),
                Some(("EUR", 2_000.5)),
                ["", ""],
            ),
            ("{value: $.text, currency: $.in}", None, None, ["text (1 times)"; 2]),
            ("{value: {sum: [$.text, $.c]}, currency: USD}", None, None, ["text (1 times)"; 2]),
            ("{value: $.none, currency: $.none}", None, None, ["", ""]),
            ("{value: $.c, currency: $.none}", None, None, ["none (1 times)"; 2]),
            ("{value: $.c, currency: $.odd}", None, None, ["odd (1 times)"; 2]),
        ] {
            let [list, account] =
                read(&format!("cost: {money}"), &format!("balance: {money}"), item);
            let shown = |amount: Option<(Currency, f64)>| {
                amount.map(|(currency, amount)| (currency.as_str().to_owned(), amount))
            };
            let wanted = |amount: Option<(&str, f64)>| {
                amount.map(|(currency, amount)| (currency.to_owned(), amount))
            };
            let figures = &list.campaigns().next().unwrap().figures;
            let found = figures.iter().find_map(|(figure, amount)| match figure {
                Figure::Cost(currency) => Some((currency, amount)),
                _ => None,
            });
            assert_eq!(shown(found), wanted(cost), "{money}");
            assert_eq!(shown(account.account.balance), wanted(balance), "{money}");
            let counted = [list, account].map(|page| page.problems.counted());
            assert_eq!(counted, problems, "{money}");
        }
    }

    #[test]
    fn ratios_and_revenue_are_figures() {
        let campaign = "revenue: {value: $.r, currency: EUR}, \
                        reported_ratios: {open: {percent: $.o}, opt_out: $.x, click: $.none}";
        let [list, account] =
            read(campaign, "credits: $.r", r#"{"id":1,"r":9,"o":"12.5%","x":0.25}"#);
        let figures = &list.campaigns().next().unwrap().figures;
        let euro = Currency::from_code("EUR").unwrap();
        let expected = [
            (Figure::Revenue(euro), 9.0),
            (Figure::Ratio(Ratio::Open), 0.125),
            (Figure::Ratio(Ratio::OptOut), 0.25),
        ];
        assert_eq!(*figures, expected.into_iter().collect());
        let facts = account.account;
        assert_eq!((facts.credits, facts.balance), (Some(9.0), None));
        let kind = parse(campaign, "credits: $.r").unwrap().kind();
        for metric in
            ["campaign_revenue", "campaign_reported_open_ratio", "campaign_account_credits"]
        {
            assert!(kind.fills(metric), "{metric}");
        }
        for field in ["r", "o", "x", "none"] {
            assert!(kind.fields.iter().any(|known| known == field), "{field}");
        }
    }

    #[test]
    fn mistakes_are_reported() {
        for (campaign, account, path, message) in [
            ("cost: {value: $.c}", "credits: $.c", "lists.campaign.cost.currency", "is missing"),
            (
                "cost: {value: $.c, currency: EURO}",
                "credits: $.c",
                "lists.campaign.cost.currency",
                "expected a code",
            ),
            (
                "cost: {value: $.c, currency: '{no}'}",
                "credits: $.c",
                "lists.campaign.cost.currency",
                "no setting",
            ),
            (
                "reported_ratios: {bad: $.c}",
                "credits: $.c",
                "lists.campaign.reported_ratios.bad",
                "unknown ratio",
            ),
            ("name: $.n", "", "account", "needs credits or balance"),
        ] {
            let problems = parse(campaign, account).unwrap_err();
            let [problem] = problems.as_slice() else { panic!("{problems:?}") };
            assert_eq!(problem.path, path);
            assert!(problem.message.contains(message), "{problem:?}");
        }
    }
}
