//! What the campaigns page shows, as the parameters of its address.

use std::num::NonZero;
use std::time::Duration;

use form_urlencoded::Serializer;

use crate::campaign::{Channel, Status};
use crate::config::MAX_DURATION;
use crate::document::{duration_text, parse_duration};
use crate::report::filter::Filter;
use crate::report::order::Sort;

/// Default period: two of them fit into the default lookback.
const PERIOD: Duration = Duration::from_hours(7 * 24);

/// Maximum length of a searched text in characters, as in the form. Each is compared with every name.
const MAX_SEARCH: usize = 200;

/// What the campaigns page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The campaigns.
    pub filter: Filter,
    /// Their order.
    pub sort: Sort,
    /// Whether the order is reversed: the largest first.
    pub descending: bool,
    /// The number of the page, from 1.
    pub page: usize,
    /// The format.
    pub format: Format,
}

/// The format of the campaigns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A page for readers.
    #[default]
    Html,
    /// A file for spreadsheets.
    Csv,
    /// Objects for programs.
    Json,
}

impl Default for View {
    fn default() -> Self {
        Self {
            filter: Filter { period: Some(PERIOD), ..Filter::default() },
            sort: Sort::default(),
            descending: true,
            page: 1,
            format: Format::default(),
        }
    }
}

impl View {
    /// Parses a query. Empty values are those of a form that was not filled in. The error is a message for
    /// the client.
    pub fn read(query: &str) -> Result<Self, String> {
        let mut view = Self::default();
        let mut order = None;
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let unsupported = || format!("Unsupported value {value:?} of {key}.");
            match (key.as_ref(), value.as_ref()) {
                (_, empty) if empty.trim().is_empty() => {}
                ("account", name) => view.filter.account = Some(name.to_owned()),
                ("channel", name) => view.filter.channel = Some(Channel::from_word(name)),
                ("status", name) => {
                    let status = Status::ALL.into_iter().find(|status| status.as_str() == name);
                    view.filter.status = Some(status.ok_or_else(unsupported)?);
                }
                ("period", "all") => view.filter.period = None,
                ("period", text) => {
                    let period = parse_duration(text);
                    let period = period.filter(|it| !it.is_zero() && *it <= MAX_DURATION);
                    view.filter.period = Some(period.ok_or_else(unsupported)?);
                }
                ("search", text) if text.chars().count() <= MAX_SEARCH => {
                    // keyboards of phones add a space
                    view.filter.search = Some(text.trim().to_owned());
                }
                ("sort", name) => {
                    view.sort = Sort::all().find(|it| it.name() == name).ok_or_else(unsupported)?;
                }
                ("order", "asc") => order = Some(false),
                ("order", "desc") => order = Some(true),
                ("page", text) => {
                    let page = text.parse::<NonZero<usize>>();
                    view.page = page.map_err(|_| unsupported())?.get();
                }
                ("format", "csv") => view.format = Format::Csv,
                ("format", "json") => view.format = Format::Json,
                ("search" | "order" | "format", _) => return Err(unsupported()),
                _ => {
                    return Err(format!(
                        "Unsupported parameter {key}; expected account, channel, status, period, search, \
                         sort, order, page or format."
                    ));
                }
            }
        }
        view.descending = order.unwrap_or(!view.sort.is_text());
        Ok(view)
    }

    /// The parameters that differ from the defaults.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let filter = &self.filter;
        let mut parameters = Vec::new();
        let mut add = |key, value: Option<String>| {
            parameters.extend(value.map(|value| (key, value)));
        };
        add("account", filter.account.clone());
        add("channel", filter.channel.as_ref().map(|channel| channel.as_str().to_owned()));
        add("status", filter.status.map(|status| status.as_str().to_owned()));
        let period = || filter.period.map_or("all".to_owned(), duration_text);
        add("period", (filter.period != default.filter.period).then(period));
        add("search", filter.search.clone());
        add("sort", (self.sort != default.sort).then(|| self.sort.name().to_owned()));
        let order = || if self.descending { "desc" } else { "asc" }.to_owned();
        add("order", (self.descending == self.sort.is_text()).then(order));
        add("page", (self.page > 1).then(|| self.page.to_string()));
        add(
            "format",
            match self.format {
                Format::Html => None,
                Format::Csv => Some("csv".to_owned()),
                Format::Json => Some("json".to_owned()),
            },
        );
        parameters
    }

    /// A relative link to another view, which differs by `change`. It shows the first page.
    pub fn link(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut view = Self { page: 1, ..self.clone() };
        change(&mut view);
        link("campaigns", view.parameters())
    }
}

/// A relative link with parameters.
pub fn link<V: AsRef<str>>(
    path: &str,
    parameters: impl IntoIterator<Item = (&'static str, V)>,
) -> String {
    let query = Serializer::new(String::new()).extend_pairs(parameters).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_same_view() {
        for query in [
            "",
            "account=a+%26%3D%3C&channel=sms&status=in_progress&period=30d&search=%22%C3%A9",
            "period=all&sort=click&order=asc&page=3",
            "sort=name&order=desc&format=csv",
            "sort=name&format=json",
        ] {
            let view = View::read(query).unwrap();
            let link = link("campaigns", view.parameters());
            assert_eq!(link.trim_start_matches("campaigns").trim_start_matches('?'), query);
        }
        assert_eq!(View::read("search=&account=+&page=").unwrap(), View::default());
        let searched = View::read("search=+Sale+").unwrap().filter.search;
        assert_eq!(searched.as_deref(), Some("Sale"));
        View::read(&format!("search={}", "é".repeat(MAX_SEARCH))).unwrap();
        let view = View::read("sort=click&page=3").unwrap();
        assert_eq!(view.link(|view| view.descending = false), "campaigns?sort=click&order=asc");
    }

    #[test]
    fn other_parameters_are_refused() {
        let long = format!("search={}", "x".repeat(MAX_SEARCH + 1));
        for query in [
            "a=b",
            "status=x",
            "period=0s",
            "period=99999d",
            "sort=x",
            "order=up",
            "page=-1",
            "page=0",
            "format=xml",
            &long,
        ] {
            assert!(View::read(query).is_err(), "{query}");
        }
    }
}
