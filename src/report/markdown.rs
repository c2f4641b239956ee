//! A report in Markdown.

use std::fmt::{Error, Write};

use crate::report::document::{Document, RATIOS};
use crate::report::notes::notes;
use crate::report::row::Row;
use crate::report::summary::{Comparison, Line};
use crate::report::totals::{Sum, Totals};
use crate::report::words::{self, amount, days, percent, plural, shortened};

/// Renders a report.
pub fn render(document: &Document<'_>) -> Result<String, Error> {
    let period = days(document.period);
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
    head.extend(RATIOS.map(words::title));
    let groups = document.summary.groups.iter().map(|((account, channel), comparison)| {
        let mut cells = vec![escaped(account), escaped(channel.as_str())];
        cells.extend(group(comparison));
        cells
    });
    text += &table(&head, groups);
    for ranking in &document.rankings {
        let title = words::title(ranking.ratio).to_lowercase();
        for (word, rows) in [("Highest", &ranking.best), ("Lowest", &ranking.worst)] {
            if !rows.is_empty() {
                write!(text, "\n## {word} share {title}\n")?;
                text += &list(rows);
            }
        }
    }
    text += "\n## Campaigns\n";
    text += &list(&document.rows);
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
        value(line.now).unwrap_or_else(|| "not reported".to_owned()),
        line.ratio.map(percent).unwrap_or_default(),
        value(line.before).unwrap_or_default(),
        line.change().map(words::change).unwrap_or_default(),
        line.ratio
            .zip(line.ratio_before)
            .map(|(now, before)| words::points(now, before))
            .unwrap_or_default(),
    ]
}

fn group(comparison: &Comparison<'_>) -> Vec<String> {
    let totals = &comparison.now;
    let before = comparison.before.as_ref().and_then(Totals::attempted);
    let mut cells = vec![
        amount(totals.campaigns as f64),
        totals.attempted().map_or("not reported".to_owned(), |sum| amount(sum.total)),
        before.map(|sum| amount(sum.total)).unwrap_or_default(),
    ];
    cells.extend(RATIOS.map(|ratio| rate(totals.ratio(ratio))));
    cells
}

fn rate(ratio: Option<f64>) -> String {
    ratio.map_or("not reported".to_owned(), percent)
}

fn list(rows: &[Row<'_>]) -> String {
    let mut head = vec!["campaign", "account", "channel", "sent (UTC)", "attempted"];
    head.extend(RATIOS.map(words::title));
    head.push("");
    table(
        &head,
        rows.iter().map(|row| {
            let campaign = row.campaign;
            let date = campaign.date().map(|date| date.format("%Y-%m-%d %H:%M").to_string());
            let mut cells = vec![
                escaped(&shortened(&campaign.name)),
                escaped(&row.account.account),
                escaped(&shortened(campaign.channel.as_str())),
                date.unwrap_or_default(),
                campaign.attempted().map(words::number).unwrap_or_default(),
            ];
            let ratios = RATIOS.map(|ratio| rate(row.ratio(ratio)));
            cells.extend(if row.is_sent() { ratios } else { Default::default() });
            cells.push(match (row.is_sent(), row.is_arriving()) {
                (false, _) => "not sent yet".to_owned(),
                (_, true) => "still arriving".to_owned(),
                _ => String::new(),
            });
            cells
        }),
    )
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
