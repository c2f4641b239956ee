//! A ratio over the age of a campaign, as inline SVG.

use maud::{Markup, html};

use crate::campaign::Ratio;
use crate::campaign::curve::AtAge;
use crate::report::words::{self, percent};

/// The size of the drawing, and its margins for the labels.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 96.0;
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

/// The ratios at the bottom and at the top.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let margin = ((high - low) * 0.1).max(0.002);
        // few ratios exceed 1
        let most = if high <= 1.0 { 1.0 } else { f64::MAX };
        Self { low: (low - margin).max(0.0), high: (high + margin).min(most) }
    }

    fn y(self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        rounded(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP))
    }

    fn line(self, points: impl Iterator<Item = Point>) -> String {
        let points: Vec<_> =
            points.map(|(age, value)| format!("{},{}", x(age), self.y(value))).collect();
        points.join(" ")
    }
}

/// Ratios grow about evenly with the logarithm of the age.
fn x(age: f64) -> f64 {
    let share = (age / YOUNGEST).ln() / (OLDEST / YOUNGEST).ln();
    rounded(LEFT + share * (WIDTH - LEFT - RIGHT))
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Draws a ratio at the known ages and now, beside what is usual. Nothing if neither is known.
pub(super) fn chart(ratio: Ratio, ages: &[AtAge], now: Option<Point>) -> Option<Markup> {
    let known = ages.iter().filter_map(|at| Some((at.seconds as f64, at.ratio(ratio)?)));
    let own: Vec<Point> = known.collect();
    let known = ages.iter().filter_map(|at| Some((at.seconds as f64, at.usual.usual(ratio)?)));
    let usual: Vec<(f64, [f64; 3])> = known.collect();
    if own.is_empty() && usual.is_empty() {
        return None;
    }
    let title = words::title(ratio);
    Some(html! {
        figure {
            figcaption {
                (title) ", of " (words::divisor(ratio)) ": "
                span.own { "● this campaign" }
                @if usual.is_empty() { ". What is usual is not known: too few other campaigns." }
                @else { ", " span.band { "▨ usual at this age" } ", dashed its median." }
            }
            (drawing(title, &own, &usual, now))
            details { summary { "Values" } (values(ratio, ages)) }
        }
    })
}

fn drawing(title: &str, own: &[Point], usual: &[(f64, [f64; 3])], now: Option<Point>) -> Markup {
    let now = now.filter(|(age, _)| (YOUNGEST..=OLDEST).contains(age));
    let values = own.iter().chain(&now).map(|(_, value)| *value);
    let scale = Scale::of(values.chain(usual.iter().flat_map(|(_, bounds)| *bounds)));
    let lower = usual.iter().map(|(age, [low, ..])| (*age, *low));
    let upper = usual.iter().rev().map(|(age, [.., high])| (*age, *high));
    let median = usual.iter().map(|(age, [_, median, _])| (*age, *median));
    html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-label=(format!("{title} by age")) {
            @for share in [0.0, 0.5, 1.0] {
                @let value = scale.low + (scale.high - scale.low) * share;
                @let y = scale.y(value);
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (percent(value)) }
            }
            @for (label, age) in LABELS {
                text x=(x(age)) y=(HEIGHT - 8.0) text-anchor="middle" { (label) }
            }
            polygon.band points=(scale.line(lower.chain(upper))) {}
            polyline.median points=(scale.line(median)) {}
            polyline.own points=(scale.line(own.iter().chain(&now).copied())) {}
            @for (age, value) in own { circle.own cx=(x(*age)) cy=(scale.y(*value)) r="4" {} }
            @if let Some((age, value)) = now { circle.now cx=(x(age)) cy=(scale.y(value)) r="6" {} }
        }
    }
}

/// The drawing in numbers.
fn values(ratio: Ratio, ages: &[AtAge]) -> Markup {
    let unknown = html! { span.dim { "not known" } };
    html! {
        table.narrow {
            thead { tr {
                th scope="col" { "Age" }
                th.number scope="col" { "This campaign" }
                th.number scope="col" { "Usual" }
            } }
            tbody { @for at in ages { tr {
                td data-label="Age" { (age(at.seconds)) }
                td.number data-label="This campaign" {
                    @match at.ratio(ratio) { Some(ratio) => (percent(ratio)), None => (unknown) }
                }
                td.number data-label="Usual" {
                    @match at.usual.usual(ratio) {
                        Some([low, _, high]) => { (percent(low)) " – " (percent(high)) },
                        None => (unknown),
                    }
                }
            } } }
        }
    }
}

fn age(seconds: i64) -> String {
    if seconds < 7_200 { format!("{} min", seconds / 60) } else { format!("{} h", seconds / 3_600) }
}
