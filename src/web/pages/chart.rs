//! A ratio over the age of a campaign, as inline SVG.

use maud::{Markup, html};

use crate::campaign::Ratio;
use crate::campaign::curve::AtAge;
use crate::report::words::{self, percent};

/// The size of the drawing, and its margins for the labels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 24.0;

/// The ages at either end, in seconds.
const YOUNGEST: f64 = 600.0;
const OLDEST: f64 = 172_800.0;

/// The labels of the ages, in seconds.
const LABELS: [(&str, f64); 5] =
    [("10 min", YOUNGEST), ("1 h", 3_600.0), ("4 h", 14_400.0), ("1 d", 86_400.0), ("2 d", OLDEST)];

/// A point of a line: the age and the ratio.
type Point = (f64, f64);

/// Draws a ratio at the known ages and now, beside what is usual. Nothing if neither is known.
pub(super) fn chart(ratio: Ratio, ages: &[AtAge], now: Option<Point>) -> Option<Markup> {
    let own: Vec<Point> =
        ages.iter().filter_map(|at| Some((at.seconds as f64, at.ratio(ratio)?))).collect();
    let usual: Vec<(f64, [f64; 3])> =
        ages.iter().filter_map(|at| Some((at.seconds as f64, at.usual.usual(ratio)?))).collect();
    if own.is_empty() && usual.is_empty() {
        return None;
    }
    let now = now.filter(|(age, _)| (YOUNGEST..=OLDEST).contains(age));
    let values = own.iter().chain(&now).map(|(_, value)| *value);
    let values = values.chain(usual.iter().flat_map(|(_, bounds)| *bounds));
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let margin = ((high - low) * 0.1).max(0.002);
    let (low, high) = ((low - margin).max(0.0), high + margin);
    let rounded = |value: f64| (value * 10.0).round() / 10.0;
    let x = |age: f64| {
        let share = (age / YOUNGEST).ln() / (OLDEST / YOUNGEST).ln();
        rounded(LEFT + share * (WIDTH - LEFT - RIGHT))
    };
    let y = |value: f64| {
        rounded(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP))
    };
    let line = |points: &mut dyn Iterator<Item = Point>| {
        let points: Vec<_> =
            points.map(|(age, value)| format!("{},{}", x(age), y(value))).collect();
        points.join(" ")
    };
    let band = usual.iter().map(|(age, [low, ..])| (*age, *low));
    let upper = usual.iter().rev().map(|(age, [.., high])| (*age, *high));
    let band = line(&mut band.chain(upper));
    let median = line(&mut usual.iter().map(|(age, [_, median, _])| (*age, *median)));
    let own_line = line(&mut own.iter().chain(&now).copied());
    let title = words::title(ratio);
    Some(html! {
        figure {
            figcaption {
                (title) ", of " (words::divisor(ratio)) ": "
                span.own { "● this campaign" }
                @if usual.is_empty() { ". What is usual is not known: too few other campaigns." }
                @else { ", " span.band { "▨ usual at this age" } ", dashed its median." }
            }
            svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label=(format!("{title} by age")) {
                @for share in [0.0, 0.5, 1.0] {
                    @let value = low + (high - low) * share;
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y(value)) y2=(y(value)) {}
                    text x=(LEFT - 6.0) y=(y(value) + 4.0) text-anchor="end" { (percent(value)) }
                }
                @for (label, age) in LABELS {
                    text x=(x(age)) y=(HEIGHT - 8.0) text-anchor="middle" { (label) }
                }
                polygon.band points=(band) {}
                polyline.median points=(median) {}
                polyline.own points=(own_line) {}
                @for (age, value) in &own {
                    circle.own cx=(x(*age)) cy=(y(*value)) r="4" {}
                }
                @if let Some((age, value)) = now {
                    circle.now cx=(x(age)) cy=(y(value)) r="6" {}
                }
            }
            details {
                summary { "Values" }
                table.narrow {
                    thead { tr {
                        th scope="col" { "Age" }
                        th.number scope="col" { "This campaign" }
                        th.number scope="col" { "Usual" }
                    } }
                    tbody { @for at in ages { tr {
                        td data-label="Age" { (age(at.seconds)) }
                        td.number data-label="This campaign" {
                            @match at.ratio(ratio) { Some(ratio) => (percent(ratio)), None => span.dim { "not known" } }
                        }
                        td.number data-label="Usual" {
                            @match at.usual.usual(ratio) {
                                Some([low, _, high]) => { (percent(low)) " – " (percent(high)) },
                                None => span.dim { "not known" },
                            }
                        }
                    } } }
                }
            }
        }
    })
}

fn age(seconds: i64) -> String {
    if seconds < 7_200 { format!("{} min", seconds / 60) } else { format!("{} h", seconds / 3_600) }
}
