//! Campaigns in a table with bars.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::campaign::Ratio;
use crate::report::row::{Row, Verdict};
use crate::report::summary::RATIOS;
use crate::report::words::{self, number, percent, shortened};
use crate::web::view::link;

/// Shows campaigns.
pub(super) fn table(rows: &[Row<'_>], links: bool, now: DateTime<Utc>) -> Markup {
    let is_reported = |ratio: &Ratio| rows.iter().any(|row| ratio.parts(row.campaign).is_some());
    let (shown, left_out): (Vec<_>, Vec<_>) = RATIOS.into_iter().partition(is_reported);
    let scales = shown.iter().map(|ratio| {
        let most = rows.iter().filter_map(|row| row.ratio(*ratio)).fold(0.0, f64::max);
        // what is about 1 is compared with 1
        (*ratio, if *ratio == Ratio::Delivery || most > 1.0 { 1.0 } else { most })
    });
    let scales: Vec<_> = scales.collect();
    html! {
        table.campaigns {
            caption {
                "A full bar is 100 % delivered; for other rates, it is the highest rate in the table."
                @if !left_out.is_empty() && rows.iter().any(Row::is_sent) {
                    " Not reported: "
                    @for (index, ratio) in left_out.iter().enumerate() {
                        @if index > 0 { ", " }
                        (words::title(*ratio).to_lowercase())
                    }
                    "."
                }
            }
            thead { tr {
                th scope="col" { "Campaign" }
                th scope="col" { "Account" }
                th scope="col" { "Date" }
                th.number scope="col" { "Attempted" }
                @for ratio in &shown { th.number scope="col" { (words::title(*ratio)) } }
                th.number scope="col" { "Cost" }
            } }
            tbody {
                @for row in rows {
                    tr {
                        td.name data-label="Campaign" { (name(*row, links)) }
                        td data-label="Account" {
                            bdi { (row.account.account) } " "
                            span.dim { bdi { (shortened(row.campaign.channel.as_str())) } }
                        }
                        td data-label="Date" { (date(*row)) (state(*row, now)) }
                        td.number data-label="Attempted" { (attempted(*row)) }
                        @for (ratio, most) in &scales {
                            td.number.none[row.ratio(*ratio).is_none()] data-label=(words::title(*ratio)) {
                                (rate(*row, *ratio, *most))
                            }
                        }
                        td.number.none[words::cost(row.campaign).is_none()] data-label="Cost" { (cost(*row)) }
                    }
                }
            }
        }
    }
}

fn name(row: Row<'_>, links: bool) -> Markup {
    let campaign = row.campaign;
    let name = if campaign.name.trim().is_empty() { &campaign.id } else { &*campaign.name };
    let name = html! { bdi { (shortened(name)) } };
    html! { @if links { a href=(detail(row)) { (name) } } @else { (name) } }
}

/// A relative link to the page of a campaign.
fn detail(row: Row<'_>) -> String {
    link("campaign", [("account", row.account.account.as_str()), ("id", &row.campaign.id)])
}

/// When a campaign was or will be sent.
pub(super) fn date(row: Row<'_>) -> Markup {
    html! {
        @match row.campaign.date() {
            None => span.dim { "date not reported" },
            Some(at) => time datetime=(at.to_rfc3339()) { (words::local(at, row.account)) },
        }
    }
}

fn state(row: Row<'_>, now: DateTime<Utc>) -> Markup {
    html! {
        @if let Some(state) = words::state(row, now) { " " span.mark { (state) } }
        @if row.is_arriving() { " " span.mark { "◔ still arriving" } }
    }
}

fn attempted(row: Row<'_>) -> Markup {
    html! {
        @match (row.campaign.attempted(), row.is_sent()) {
            (Some(attempted), _) => (number(attempted)),
            (None, true) => span.dim { "not reported" },
            (None, false) => span.dim { "not sent yet" },
        }
        @if let Some(lost) = row.campaign.without_receipt().filter(|lost| *lost > 0) {
            div.dim { (number(lost)) " " (words::without_receipt(row.campaign)) }
        }
    }
}

/// Shows a ratio with a bar, and how it compares with what is usual.
pub(super) fn rate(row: Row<'_>, ratio: Ratio, most: f64) -> Markup {
    let Some(value) = row.ratio(ratio) else {
        let is_unknown = row.is_sent() && ratio.parts(row.campaign).is_none();
        return html! { span.dim { @if is_unknown { "not reported" } @else { "–" } } };
    };
    let verdict = row.verdict(ratio);
    let class = if row.is_arriving() { "arriving" } else { class(ratio, verdict) };
    let usual = row.campaign.figures.usual(ratio);
    html! {
        span class=(class) { (percent(value)) }
        svg.bar.(class) viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect.value width=(share(value, most)) height="8" {}
            @if let Some([low, _, high]) = usual {
                rect.usual x=(share(low, most)) width=(share(high, most) - share(low, most)) height="8" {}
            }
        }
        @if let Some([low, _, high]) = usual {
            div.dim { "usual: " (percent(low)) " – " (percent(high)) }
        }
        @if let Some(verdict) = verdict { div class=(class) { (words_of(verdict)) } }
    }
}

fn words_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Below => "▼ below usual",
        Verdict::Usual => "✓ usual",
        Verdict::Above => "▲ above usual",
    }
}

/// Many bounces and opt-outs are bad; many of anything else are good.
fn class(ratio: Ratio, verdict: Option<Verdict>) -> &'static str {
    let is_bad = matches!(ratio, Ratio::Bounce | Ratio::OptOut);
    match verdict {
        None => "plain",
        Some(Verdict::Usual) => "usual-rate",
        Some(Verdict::Below) if is_bad => "better",
        Some(Verdict::Above) if !is_bad => "better",
        Some(_) => "worse",
    }
}

/// A width in percent of the bar.
fn share(value: f64, most: f64) -> f64 {
    let share = if most > 0.0 { value / most } else { 0.0 };
    (share.clamp(0.0, 1.0) * 1_000.0).round() / 10.0
}

/// What a campaign cost, in credits or money.
pub(super) fn cost(row: Row<'_>) -> Markup {
    html! {
        @match words::cost(row.campaign) { Some(cost) => (cost), None => span.dim { "not reported" } }
    }
}
