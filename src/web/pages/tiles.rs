//! The sums of a period beside those of the period before.

use std::time::Duration;

use maud::{Markup, html};

use crate::report::notes::notes;
use crate::report::summary::{Line, Summary};
use crate::report::words::{self, amount, last, percent, visible};

/// Shows the sums, and what a reader has to know about them.
pub(super) fn tiles(summary: &Summary<'_>, failed: &[String], period: Option<Duration>) -> Markup {
    let notes = notes(summary, failed, period);
    html! {
        @if !notes.is_empty() {
            ul.notes { @for note in &notes { li { bdi { (visible(note)) } } } }
        }
        dl.tiles { @for line in summary.total.lines() { (tile(&line)) } }
        @if let Some(period) = period.filter(|_| summary.total.before.is_some()) {
            p.dim { "Changes are relative to the " (last(period)) " before." }
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
                    None => span.dim { (words::absent(line.campaigns)) },
                    Some(sum) => strong { (amount(sum.total)) },
                }
                @if let Some(rate) = line.rate {
                    div {
                        (percent(rate.value)) " " (words::of(rate))
                        @if let Some(before) = line.rate_before {
                            span.dim { " (" (words::points(rate.value, before.value)) ")" }
                        }
                    }
                }
                @if let Some(change) = change {
                    div.dim {
                        span aria-hidden="true" { (words::arrow(change.0)) }
                        // the unit stays with its number
                        (words::change(change).replace(" %", "\u{a0}%"))
                    }
                }
            }
        }
    }
}
