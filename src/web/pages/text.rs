//! How pages show values.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use crate::report::words::plural_u64;

/// Shows a time and its distance from now.
pub(super) fn moment(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Markup {
    html! {
        @match at {
            None => "never",
            Some(at) => { (time(at)) " " span.dim { "(" (distance(at - now)) ")" } }
        }
    }
}

/// Shows a time.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (at.format("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// Words for the distance of a time from now.
pub(super) fn distance(away: TimeDelta) -> String {
    let seconds = away.num_seconds().unsigned_abs();
    let far = match seconds {
        0..120 => plural_u64(seconds, "second"),
        120..7_200 => plural_u64(seconds / 60, "minute"),
        7_200..172_800 => plural_u64(seconds / 3_600, "hour"),
        _ => plural_u64(seconds / 86_400, "day"),
    };
    if away < TimeDelta::zero() { format!("{far} ago") } else { format!("in {far}") }
}

/// A name and its value in a list.
pub(super) fn entry(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}
