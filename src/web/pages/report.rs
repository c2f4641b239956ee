//! A report as a page of its own, without links.

use maud::{Markup, html};

use crate::report::document::Document;
use crate::report::summary::{Line, Subject, Summary};
use crate::report::words::{self, absent, amount, last, percent, plural, shortened};
use crate::web::pages::table::table;
use crate::web::pages::text::time;
use crate::web::pages::tiles::tiles;

/// Renders a report.
pub fn page(document: &Document<'_>) -> String {
    let title = format!("Campaigns of the last {}", last(document.period));
    let content = html! {
        h1 { (title) }
        p.dim { "Until " (time(document.until)) "." }
        (tiles(&document.summary, &document.failed, Some(document.period)))
        h2 { "By account and channel" }
        (groups(&document.summary))
        @for ranking in &document.rankings {
            @let title = words::title(ranking.ratio).to_lowercase();
            @for (word, rows) in [("Highest", &ranking.best), ("Lowest", &ranking.worst)] {
                @if !rows.is_empty() {
                    h2 { (word) " share " (title) }
                    (table(rows, false, document.until))
                }
            }
        }
        h2 { "Campaigns" }
        (table(&document.rows, false, document.until))
        @if document.left_out > 0 {
            p { (plural(document.left_out, "older campaign")) " not listed; " code { "--format csv" } " has all." }
        }
    };
    super::document(&title, &html! {}, &content)
}

fn groups(summary: &Summary<'_>) -> Markup {
    let ratios = summary.ratios();
    html! {
        table.campaigns {
            thead { tr {
                th scope="col" { "Account" }
                th scope="col" { "Channel" }
                th.number scope="col" { "Campaigns" }
                th.number scope="col" { "Attempted" }
                @for ratio in &ratios { th.number scope="col" { (words::title(*ratio)) } }
                th.number scope="col" { "Cost" }
            } }
            tbody {
                @for ((account, channel), comparison) in &summary.groups {
                    tr {
                        td.name data-label="Account" { bdi { (account) } }
                        td data-label="Channel" { bdi { (shortened(channel.as_str())) } }
                        @let lines = comparison.lines();
                        @for line in lines.iter().filter(|line| is_sum(line)) {
                            td.number data-label=(words::subject(line.subject)) {
                                @match line.now { Some(sum) => (amount(sum.total)), None => span.dim { (absent(line.campaigns)) } }
                                @if let Some(change) = line.change() { div.dim { (words::change(change)) } }
                            }
                        }
                        @for ratio in &ratios {
                            td.number data-label=(words::title(*ratio)) {
                                @let now = comparison.now.rate(*ratio);
                                @let before = comparison.before.as_ref().and_then(|it| it.rate(*ratio));
                                @match now {
                                    Some(rate) => (percent(rate.value)),
                                    None => span.dim { (absent(comparison.now.campaigns)) },
                                }
                                @if let Some(rate) = now.filter(|rate| rate.of.is_some()) {
                                    div.dim { (words::of(rate)) }
                                }
                                @if let Some((now, before)) = now.zip(before) {
                                    div.dim { (words::points(now.value, before.value)) }
                                }
                            }
                        }
                        td.number data-label="Cost" {
                            @let costs: Vec<_> = lines.iter().filter(|line| is_cost(line)).collect();
                            @for line in &costs {
                                div {
                                    (line.now.map_or(absent(line.campaigns).to_owned(), |sum| amount(sum.total)))
                                    " " span.dim { (words::subject(line.subject).replace("Cost in ", "")) }
                                }
                            }
                            @if costs.is_empty() { span.dim { (absent(comparison.now.campaigns)) } }
                        }
                    }
                }
            }
        }
    }
}

fn is_sum(line: &Line<'_>) -> bool {
    matches!(line.subject, Subject::Campaigns | Subject::Attempted)
}

fn is_cost(line: &Line<'_>) -> bool {
    matches!(line.subject, Subject::Cost(_))
}
