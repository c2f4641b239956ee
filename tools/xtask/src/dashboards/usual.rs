//! Whether a send runs as usual: its rates beside what is usual for the account's campaigns at the same age,
//! and a word. Missing figures have words, too, since each cause calls for something else.

use super::color;
use super::panel::Panel;
use super::query::{
    CAMPAIGN, CLICKED, DELIVERED_OF_ATTEMPTED, OPTED_OUT, Scope, Share, among, named, once, one_of,
};
use super::table::{self, campaign_columns, figure};

/// Codes with their words and colors. The last two are of rates of which less is better.
pub(crate) const WORDS: [(i32, &str, &str); 9] = [
    (0, "✓ as usual", color::GOOD),
    (-1, "▼ below usual", color::WARNING),
    (1, "▲ above usual", color::PLAIN),
    (-2, "▼ below usual", color::PLAIN),
    (2, "▲ above usual", color::WARNING),
    (TOO_EARLY, "… too early", color::UNKNOWN),
    (NOT_REPORTED, "– not reported", color::UNKNOWN),
    (NOTHING_SENT, "– nothing sent", color::UNKNOWN),
    (NOT_KNOWN, "? usual not known", color::UNKNOWN),
];

const TOO_EARLY: i32 = 3;
const NOT_REPORTED: i32 = 4;
const NOTHING_SENT: i32 = 5;
const NOT_KNOWN: i32 = 6;

/// Age from which the exporter knows what is usual, in seconds.
const KNOWN_FROM: u32 = 600;

/// What a judgment is made of. All but the labels are expressions.
pub(crate) struct Judged<'a> {
    /// The labels that tell the rows.
    pub(crate) by: &'a str,
    /// 1 for each row, 2 if less of its rate is better.
    pub(crate) rows: &'a str,
    pub(crate) now: &'a str,
    /// The rows whose rate is reported.
    pub(crate) reported: &'a str,
    pub(crate) low: &'a str,
    pub(crate) high: &'a str,
    /// The rows of which messages were attempted, and of those too young to be compared.
    pub(crate) attempted: &'a str,
    pub(crate) young: &'a str,
}

impl Judged<'_> {
    /// Returns the code of each row.
    pub(crate) fn codes(&self) -> String {
        let Self { by, rows, now, reported, low, high, attempted, young } = self;
        format!(
            "(({now} > bool {high}) - ({now} < bool {low})) * on ({by}) ({rows}) \
             or on ({by}) 0 * ({rows} unless {attempted}) + {NOTHING_SENT} \
             or on ({by}) 0 * ({rows} unless on ({by}) {reported}) + {NOT_REPORTED} \
             or on ({by}) 0 * ({rows} and {young}) + {TOO_EARLY} \
             or on ({by}) 0 * ({rows}) + {NOT_KNOWN}"
        )
    }
}

/// Selects the campaigns too young to be compared.
pub(crate) fn young(scope: Scope) -> String {
    format!("{} < {KNOWN_FROM}", scope.of("campaign:age:seconds"))
}

/// A name, the share, its titles and those of its bounds, and 2 if less is better.
type Rate = (&'static str, Share, [&'static str; 2], Option<[&'static str; 2]>, u32);

/// Creates a table of some campaigns. `these` selects each of them once.
pub(crate) fn table(scope: Scope, title: &'static str, description: &str, these: &str) -> Panel {
    let rates: [Rate; 3] = [
        (
            "delivery",
            DELIVERED_OF_ATTEMPTED,
            ["Delivered", "Delivery is"],
            Some(["Low", "High"]),
            1,
        ),
        ("click", CLICKED, ["Clicked", "Clicking is"], Some(["Low, clicked", "High, clicked"]), 1),
        ("opt_out", OPTED_OUT, ["Opted out", "Opting out is"], None, 2),
    ];
    let attempted = format!("on ({CAMPAIGN}) ({} > 0)", scope.of("campaign_attempted"));
    let young = format!("on ({CAMPAIGN}) ({})", young(scope));
    let mut figures = Vec::new();
    for (rate, share, [title, verdict], bounds, better) in rates {
        let rows = format!("(0 * ({these}) + {better})");
        let bound = |bound: &str| {
            let usual = format!(r#"rate="{rate}", bound="{bound}""#);
            scope.with("campaign_usual_ratio", &usual)
        };
        let now = format!("({})", share.each_of(&|metric| one_of(scope, metric, these)));
        // of all young campaigns, which are few: each selection of these takes time
        let (low, high) = (once(&bound("low")), once(&bound("high")));
        let of_these = |bound: &str| once(&among(bound, these));
        let codes = Judged {
            by: CAMPAIGN,
            rows: &rows,
            now: &now,
            reported: &scope.of(share.counts()[0]),
            low: &low,
            high: &high,
            attempted: &attempted,
            young: &young,
        };
        // in the first column, for the names
        let codes = named(scope, &format!("({})", codes.codes()), these);
        figures.push(figure(verdict, "none", &codes).words(&WORDS).wide(130));
        figures.push(figure(title, "percentunit", &now).decimals(1).wide(85));
        let bounds = bounds.into_iter().flatten().zip(["low", "high"]);
        figures.extend(bounds.map(|(title, name)| {
            figure(title, "percentunit", &of_these(&bound(name))).decimals(1).wide(95)
        }));
    }
    let sent = one_of(scope, "campaign_last_sent_timestamp_seconds", these);
    figures.push(figure("Sent", "dateTimeFromNow", &format!("1000 * {sent}")).wide(110));
    table::table(title, description, campaign_columns(), figures, ("Sent", true))
        .no_value("No campaign was sent in the time range.")
}
