//! A report in Markdown.

use std::fmt::{Error, Write};

use crate::campaign::{Campaign, Ratio};
use crate::report::document::Document;
use crate::report::notes::notes;
use crate::report::row::Row;
use crate::report::summary::{Comparison, Line};
use crate::report::totals::{Rate, Sum, Totals};
use crate::report::words::{self, absent, amount, last, percent, plural, shortened};

/// Renders a report.
pub fn render(document: &Document<'_>) -> Result<String, Error> {
    let period = last(document.period);
    let mut text = format!(
        "# Campaigns of the last {period}\n\nUntil {}.\n",
        document.until.format("%Y-%m-%d %H:%M UTC")
    );
    for note in notes(&document.summary, &document.failed, Some(document.period)) {
        write!(text, "\n> {}\n", escaped(&note))?;
    }
    let lines = document.summary.total.lines();
    text += &table(
        &["", "this period", "rate", "period before", "change", "change of the rate"],
        lines.iter().map(|line| comparison(line).into()),
    );
    text += "\n## By account and channel\n";
    let mut head = vec!["account", "channel", "campaigns", "attempted", "attempted before"];
    let ratios = document.summary.ratios();
    head.extend(ratios.iter().map(|ratio| words::title(*ratio)));
    let groups = document.summary.groups.iter().map(|((account, channel), comparison)| {
        let mut cells = vec![escaped(account), escaped(channel.as_str())];
        cells.extend(group(comparison, &ratios));
        cells
    });
    text += &table(&head, groups);
    for ranking in &document.rankings {
        let title = words::title(ranking.ratio).to_lowercase();
        for (word, rows) in [("Highest", &ranking.best), ("Lowest", &ranking.worst)] {
            if !rows.is_empty() {
                write!(text, "\n## {word} share {title}\n")?;
                text += &list(rows, document);
            }
        }
    }
    text += "\n## Campaigns\n";
    text += &list(&document.rows, document);
    if document.left_out > 0 {
        let left_out = plural(document.left_out, "older campaign");
        write!(text, "\n{left_out} not listed; `--format csv` has all.\n")?;
    }
    Ok(text)
}

fn comparison(line: &Line<'_>) -> [String; 6] {
    let value = |sum: Option<Sum>| sum.map(|sum| amount(sum.total));
    [
        escaped(&words::subject(line.subject)),
        value(line.now).unwrap_or_else(|| absent(line.campaigns).to_owned()),
        line.rate
            .map(|rate| format!("{} {}", percent(rate.value), words::of(rate)))
            .unwrap_or_default(),
        value(line.before).unwrap_or_default(),
        line.change().map(words::change).unwrap_or_default(),
        line.rate
            .zip(line.rate_before)
            .map(|(now, before)| words::points(now.value, before.value))
            .unwrap_or_default(),
    ]
}

fn group(comparison: &Comparison<'_>, ratios: &[Ratio]) -> Vec<String> {
    let totals = &comparison.now;
    let unknown = absent(totals.campaigns).to_owned();
    let before = comparison.before.as_ref().and_then(Totals::attempted);
    let mut cells = vec![
        amount(totals.campaigns as f64),
        totals.attempted().map_or_else(|| unknown.clone(), |sum| amount(sum.total)),
        before.map(|sum| amount(sum.total)).unwrap_or_default(),
    ];
    let rate = |rate: Rate| match rate.of {
        Some(_) => format!("{} {}", percent(rate.value), words::of(rate)),
        None => percent(rate.value),
    };
    cells.extend(
        ratios.iter().map(|ratio| totals.rate(*ratio).map_or_else(|| unknown.clone(), rate)),
    );
    cells
}

fn list(rows: &[Row<'_>], document: &Document<'_>) -> String {
    let ratios = document.summary.ratios();
    let mut head = vec!["campaign", "account", "channel", "date", "status", "attempted"];
    head.push("without a receipt");
    head.extend(ratios.iter().map(|ratio| words::title(*ratio)));
    head.push("cost");
    table(
        &head,
        rows.iter().map(|row| {
            let campaign = row.campaign;
            let date = campaign.date().map(|date| words::local(date, row.account));
            let arriving = row.is_arriving().then(|| "still arriving".to_owned());
            let state: Vec<_> =
                words::state(*row, document.until).into_iter().chain(arriving).collect();
            let mut cells = vec![
                escaped(&shortened(&campaign.name)),
                escaped(&row.account.account),
                escaped(&shortened(campaign.channel.as_str())),
                date.unwrap_or_default(),
                state.join(", "),
                campaign.attempted().map(words::number).unwrap_or_default(),
                campaign
                    .without_receipt()
                    .map(|lost| unreceived(campaign, lost))
                    .unwrap_or_default(),
            ];
            let unknown = if row.is_sent() { "not reported" } else { "" };
            cells.extend(
                ratios
                    .iter()
                    .map(|ratio| row.ratio(*ratio).map_or_else(|| unknown.to_owned(), percent)),
            );
            cells.push(words::cost(campaign).unwrap_or_default());
            cells
        }),
    )
}

/// Messages without a receipt; words only if that is not all they may be.
fn unreceived(campaign: &Campaign, lost: u64) -> String {
    let lost = words::number(lost);
    if campaign.counts_unsent() {
        format!("{lost} {}", words::without_receipt(campaign))
    } else {
        lost
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let head = format!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    rows.fold(head, |text, cells| text + "| " + &cells.join(" | ") + " |\n")
}

/// A text without markup: neither Markdown nor HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in words::visible(text).chars() {
        if char.is_ascii_punctuation() && !",.'/:%()".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
