//! The page of one campaign.

use std::iter;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::campaign::Ratio;
use crate::campaign::counts::Count;
use crate::campaign::curve;
use crate::campaign::figures::Figure;
use crate::report::row::Row;
use crate::report::words::{self, amount, number, percent, shortened, visible};
use crate::web::pages::chart::chart;
use crate::web::pages::table::{cost, date, rate};
use crate::web::pages::text::{entry, moment, time};

/// Renders the page.
pub fn page(telemetry_path: &str, row: Row<'_>, now: DateTime<Utc>) -> String {
    let campaign = row.campaign;
    super::page(
        &format!("{} – Campaign exporter", shortened(&campaign.name)),
        false,
        telemetry_path,
        &html! {
            p { a href="campaigns" { "All campaigns" } }
            h2 { bdi { (visible(&campaign.name)) } }
            dl {
                (entry(if row.is_sent() { "Sent" } else { "Planned for" }, &date(row)))
                (entry("Account", &html! { bdi { (row.account.account) } " (" (row.account.provider) ")" }))
                (entry("Channel", &html! { bdi { (shortened(campaign.channel.as_str())) } }))
                (entry("Id", &html! { bdi { (shortened(&campaign.id)) } }))
                @if let Some(status) = campaign.status {
                    (entry("Status", &html! { (status.as_str().replace('_', " ")) }))
                }
                @if let Some(created) = campaign.created { (entry("Created", &html! { (words::local(created, row.account)) })) }
                (entry("Cost", &cost(row)))
                @for (figure, value) in campaign.figures.iter() {
                    @if let Figure::Revenue(currency) = figure {
                        (entry("Revenue", &html! { (amount(value)) " " (currency.as_str()) }))
                    }
                }
                @for label in &*row.account.info_labels {
                    @if let Some(value) = row.info_label(label) {
                        (entry(&label.replace('_', " "), &html! { bdi { (shortened(value)) } }))
                    }
                }
                (entry("Read from the provider", &moment(row.account.read, now)))
            }
            @if row.is_sent() {
                h2 { "Rates" }
                (rates(row))
                h2 { "By age" }
                (curves(row))
            }
            h2 { "Counts" }
            (counts(row))
            p.dim { "As of " (time(now)) "." }
        },
    )
}

fn rates(row: Row<'_>) -> Markup {
    let reported = |ratio| row.campaign.figures.get(Figure::Ratio(ratio));
    let has_reported = Ratio::ALL.iter().any(|ratio| reported(*ratio).is_some());
    html! {
        @if row.is_arriving() {
            p { span.mark { "◔ still arriving" } " Receipts are still arriving, so the rates are not judged yet." }
        }
        table.narrow {
            thead { tr {
                th scope="col" { "Rate" }
                th.number scope="col" { "Value" }
                @if has_reported { th.number scope="col" { "As the provider reports it" } }
            } }
            tbody {
                @for ratio in Ratio::ALL.iter().copied() {
                    tr {
                        td data-label="Rate" { (words::title(ratio)) " " span.dim { "of " (words::divisor(ratio)) } }
                        td.number data-label="Value" { (rate(row, ratio, 1.0)) }
                        @if has_reported {
                            td.number data-label="Reported" {
                                @match reported(ratio) {
                                    Some(ratio) => (percent(ratio)),
                                    None => span.dim { "not reported" },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn counts(row: Row<'_>) -> Markup {
    let campaign = row.campaign;
    let counts = Count::ALL.iter().map(|count| (words::count(*count), campaign.counts.get(*count)));
    let counts = iter::once(("Attempted".to_owned(), campaign.attempted())).chain(counts);
    let counts: Vec<_> = counts.collect();
    let left_out = counts.iter().filter(|(_, count)| count.is_none());
    let left_out: Vec<_> = left_out.map(|(name, _)| name.to_lowercase()).collect();
    html! {
        table.narrow {
            @if row.is_sent() && !left_out.is_empty() {
                caption { "Not reported: " (left_out.join(", ")) "." }
            }
            thead { tr { th scope="col" { "Count" } th.number scope="col" { "Messages" } } }
            tbody {
                @for (name, count) in &counts {
                    @if let Some(count) = *count {
                        tr { td data-label="Count" { (name) } td.number data-label="Messages" { (number(count)) } }
                    }
                }
                @if let Some(lost) = campaign.without_receipt() {
                    tr {
                        td data-label="Count" {
                            @if campaign.counts_unsent() { "Not sent yet or without a receipt" }
                            @else { "Without a receipt" }
                        }
                        td.number data-label="Messages" { (number(lost)) }
                    }
                }
                @for (reason, count) in campaign.failures.iter() {
                    tr {
                        td data-label="Count" { "Failed: " bdi { (shortened(reason)) } }
                        td.number data-label="Messages" { (number(count)) }
                    }
                }
            }
        }
    }
}

/// What the ratios were at some ages, beside what is usual.
fn curves(row: Row<'_>) -> Markup {
    let ages = row.account.data.as_ref().map(|data| data.curves.of(row.campaign));
    let ages = ages.unwrap_or_default();
    let charts = curve::RATIOS.into_iter().filter_map(|ratio| {
        let age = row.age().map(|age| age.as_secs_f64());
        chart(ratio, &ages, age.zip(row.ratio(ratio)))
    });
    let charts: Vec<_> = charts.collect();
    html! {
        @if charts.is_empty() {
            p.dim {
                "Nothing is known yet. The exporter keeps the rates of campaigns with at least 50 messages that \
                 it sees while they are young; with " code { "--storage.path" } " also across restarts."
            }
        }
        @for chart in charts { (chart) }
    }
}
