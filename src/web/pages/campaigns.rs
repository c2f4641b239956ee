//! The page that lists campaigns.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::campaign::{Channel, Ratio, Status};
use crate::report::order::Sort;
use crate::report::row::Row;
use crate::report::summary::Summary;
use crate::report::words::{self, days, last, number, shortened};
use crate::state::campaigns::AccountCampaigns;
use crate::web::pages::table::table;
use crate::web::pages::text::time;
use crate::web::pages::tiles::tiles;
use crate::web::view::{Format, View};

/// The offered periods in days.
const PERIODS: [u64; 5] = [1, 7, 14, 30, 90];

/// Accounts from which their list is folded.
const FOLDED: usize = 12;

/// Rows of a page: few enough for a phone.
pub const ROWS: usize = 200;

/// What the page shows.
#[derive(Debug)]
pub struct Content<'a> {
    /// The parameters of the page.
    pub view: &'a View,
    /// All accounts.
    pub accounts: &'a [AccountCampaigns],
    /// The sums.
    pub summary: Summary<'a>,
    /// The campaigns of the page.
    pub rows: Vec<Row<'a>>,
    /// The number of all selected campaigns.
    pub found: usize,
    /// The time of the request.
    pub now: DateTime<Utc>,
}

/// Renders the page.
pub fn page(telemetry_path: &str, content: &Content<'_>) -> String {
    let Content { view, summary, rows, found, now, .. } = content;
    let pages = found.div_ceil(ROWS).max(1);
    super::page(
        "Campaigns – Campaign exporter",
        false,
        telemetry_path,
        &html! {
            h2 { (heading(view)) }
            (filters(content))
            (tiles(summary, &[], view.filter.period))
            (orders(view))
            @if rows.is_empty() {
                p { "No campaign matches." }
            } @else {
                p.dim {
                    (number(*found as u64)) @if *found == 1 { " campaign" } @else { " campaigns" }
                    @if pages > 1 { ", page " (view.page) " of " (number(pages as u64)) }
                    "."
                }
                (table(rows, true, *now))
                (paging(view, pages))
            }
            p {
                a href=(view.link(|view| view.format = Format::Csv)) { "These campaigns as CSV" } ", "
                a href=(view.link(|view| view.format = Format::Json)) { "as JSON" }
            }
            p.dim { "As of " (time(*now)) "." }
        },
    )
}

fn heading(view: &View) -> String {
    match view.filter.period {
        None => "All campaigns".to_owned(),
        Some(period) => format!("Campaigns of the last {}", last(period)),
    }
}

fn filters(content: &Content<'_>) -> Markup {
    let view = content.view;
    let filter = &view.filter;
    let campaigns = || content.accounts.iter().flat_map(AccountCampaigns::campaigns);
    let channels: BTreeSet<&Channel> = campaigns().map(|campaign| &campaign.channel).collect();
    let statuses = Status::ALL
        .into_iter()
        .filter(|status| campaigns().any(|campaign| campaign.status == Some(*status)));
    let periods = PERIODS.map(|days| Some(Duration::from_hours(24 * days)));
    let periods = periods.into_iter().chain([None]).map(|period| {
        let name = period.map_or("all".to_owned(), days);
        let link = view.link(|view| view.filter.period = period);
        (name, link, filter.period == period)
    });
    let channels = channels.into_iter().map(|channel| {
        let link = view.link(|view| view.filter.channel = Some(channel.clone()));
        (channel.as_str().to_owned(), link, filter.channel.as_ref() == Some(channel))
    });
    let statuses = statuses.map(|status| {
        let link = view.link(|view| view.filter.status = Some(status));
        (status.as_str().replace('_', " "), link, filter.status == Some(status))
    });
    let accounts = content.accounts.iter().map(|account| {
        let name = &account.account;
        let link = view.link(|view| view.filter.account = Some(name.clone()));
        (name.clone(), link, filter.account.as_ref() == Some(name))
    });
    let any = |name: &str, link, is_current| (name.to_owned(), link, is_current);
    let all_accounts =
        any("all", view.link(|view| view.filter.account = None), filter.account.is_none());
    let all_channels =
        any("all", view.link(|view| view.filter.channel = None), filter.channel.is_none());
    let all_statuses =
        any("all", view.link(|view| view.filter.status = None), filter.status.is_none());
    let form = View { page: 1, ..view.clone() };
    let hidden = form.parameters().into_iter().filter(|(key, _)| *key != "search");
    let accounts = choices("Account", [all_accounts].into_iter().chain(accounts));
    html! {
        nav.filters aria-label="Filters" {
            (choices("Period", periods))
            @if content.accounts.len() > FOLDED {
                details open[filter.account.is_some()] { summary { "Accounts" } (accounts) }
            } @else if content.accounts.len() > 1 {
                (accounts)
            }
            (choices("Channel", [all_channels].into_iter().chain(channels)))
            (choices("Status", [all_statuses].into_iter().chain(statuses)))
        }
        form method="get" action="campaigns" role="search" {
            @for (key, value) in hidden { input type="hidden" name=(key) value=(value); }
            label { "Name or id " input type="search" name="search" maxlength="200" value=[filter.search.as_deref()]; }
            " " button { "Search" }
            @if filter.search.is_some() {
                " " a href=(view.link(|view| view.filter.search = None)) { "Clear" }
            }
        }
    }
}

/// Links of which one is current: their names, addresses, and whether they are. Nothing if there is no
/// choice.
fn choices(title: &str, choices: impl Iterator<Item = (String, String, bool)>) -> Markup {
    let choices: Vec<_> = choices.collect();
    html! {
        @if choices.len() > 2 || choices.iter().any(|(name, _, current)| *current && name != "all") {
            ul {
                li.dim { (title) }
                @for (name, link, is_current) in choices {
                    li { a href=(link) aria-current=[is_current.then_some("true")] { bdi { (shortened(&name)) } } }
                }
            }
        }
    }
}

fn orders(view: &View) -> Markup {
    let name = |sort| match sort {
        Sort::Date => "date",
        Sort::Ratio(Ratio::Delivery) => "delivered",
        Sort::Ratio(ratio) => words::title(ratio),
        other => other.name(),
    };
    html! {
        nav.filters aria-label="Order" {
            ul {
                li.dim { "Sort by" }
                @for sort in Sort::all() {
                    @let is_current = view.sort == sort;
                    // once more reverses the order
                    @let descending = if is_current { !view.descending } else { !sort.is_text() };
                    li {
                        a href=(view.link(|view| { view.sort = sort; view.descending = descending; }))
                            aria-current=[is_current.then_some("true")] {
                            (name(sort).to_lowercase())
                            @if is_current { @if view.descending { " ▼" } @else { " ▲" } }
                        }
                    }
                }
            }
        }
    }
}

fn paging(view: &View, pages: usize) -> Markup {
    let to = |page| view.link(|view| view.page = page);
    html! {
        @if pages > 1 {
            nav.filters aria-label="Pages of campaigns" { ul {
                @if view.page > 1 {
                    li { a href=(to(1)) { "First" } }
                    li { a href=(to(view.page - 1)) rel="prev" { "Previous" } }
                }
                @if view.page < pages {
                    li { a href=(to(view.page + 1)) rel="next" { "Next" } }
                    li { a href=(to(pages)) { "Last" } }
                }
            } }
        }
    }
}
