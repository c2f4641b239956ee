//! The sums of a period beside those of the period before.

use std::time::Duration;

use maud::{Markup, html};

use crate::report::notes::notes;
use crate::report::summary::{Line, Summary};
use crate::report::words::{self, amount, days, percent, visible};

/// Shows the sums, and what a reader has to know about them.
pub(super) fn tiles(summary: &Summary<'_>, failed: &[String], period: Option<Duration>) -> Markup {
    let notes = notes(summary, failed, period);
    html! {
        @if !notes.is_empty() {
            ul.notes { @for note in &notes { li { bdi { (visible(note)) } } } }
        }
        dl.tiles { @for line in summary.total.lines() { (tile(&line)) } }
        @if let Some(period) = period.filter(|_| summary.total.before.is_some()) {
            p.dim { "▲, ▼ and points compare with the " (days(period)) " before." }
        }
    }
}

fn tile(line: &Line<'_>) -> Markup {
    let change = line.change();
    html! {
        div {
            dt { (words::subject(line.subject)) }
            dd {
                @match line.now {
                    None => span.dim { "not reported" },
                    Some(sum) => strong { (amount(sum.total)) },
                }
                @if let Some((ratio, of)) = line.ratio.zip(words::of(line.subject)) {
                    div {
                        (percent(ratio)) " of " (of)
                        @if let Some(before) = line.ratio_before {
                            span.dim { " (" (words::points(ratio, before)) ")" }
                        }
                    }
                }
                @if let Some(change) = change {
                    div.dim {
                        span aria-hidden="true" { (words::arrow(change.0)) " " }
                        (words::change(change))
                    }
                }
            }
        }
    }
}
