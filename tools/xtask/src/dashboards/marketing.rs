//! What the next send should look like: the period against the one before, what works best, what it costs,
//! and what is planned.
//!
//! The campaigns of a period are those sent in it, with their counts at its end. All rates of this
//! dashboard are shares of the attempted messages, so that they can be compared with each other.

use std::collections::BTreeSet;

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::panel::{Panel, below_zero, stat};
use super::query::{
    ACCOUNT, CAMPAIGN, CHANNEL, DELIVERED, Scope, Share, among, named, names, once, with_names,
};
use super::table::{COUNT, Figure, account_columns, campaign_columns, figure, label, table};
use super::{annotation, color, link, planned, query, variable, verdict, words};

const SCOPE: Scope = Scope::Channel;

const ATTEMPTED: &str = "campaign_attempted";
const SENT: &str = "campaign_last_sent_timestamp_seconds";

/// The result that the lists rank by.
const CHOSEN: Share = share("campaign_${result}");

/// Rates with their titles.
const RATES: [(&str, Share); 6] = [
    ("Delivered", share("campaign_deliveries")),
    ("Read", share("campaign_reads")),
    ("Clicked", share("campaign_clicks")),
    ("Replied", share("campaign_replies")),
    ("Bounced", share("campaign_bounces")),
    ("Opted out", share("campaign_opt_outs")),
];

/// Names of counts, after `campaign_`, with their titles.
const COUNTS: [(&str, &str); 7] = [
    ("attempted", "Messages"),
    ("deliveries", "Delivered"),
    ("reads", "Read"),
    ("clicks", "Clicked"),
    ("replies", "Replied"),
    ("bounces", "Bounced"),
    ("opt_outs", "Opted out"),
];

/// Weekdays with their titles.
const WEEKDAYS: [(&str, &str); 7] = [
    ("Monday", "Mon"),
    ("Tuesday", "Tue"),
    ("Wednesday", "Wed"),
    ("Thursday", "Thu"),
    ("Friday", "Fri"),
    ("Saturday", "Sat"),
    ("Sunday", "Sun"),
];

const PURPOSE: &str = "What worked, what did it cost, and what is planned? The figures are of the campaigns sent in the **time range** at the top right, next to those of the period of the same length before it. All rates are shares of the messages attempted; campaigns whose receipts are still arriving count in totals, not in rates. A dash is a figure that the provider does not report; descriptions of panels, behind their **i**, explain other words and signs. A column of which nothing is reported or known is left out. **Result** chooses what the lists rank by; *Who is in these tables* names the accounts that do not report it. The links at the top choose a time range, which may end in the past.";

/// Time ranges at the top. Those of the calendar begin and end with a month.
const RANGES: [(&str, &str, &str); 3] = [
    ("7 days", "now-7d", "now"),
    ("Month so far", "now/M", "now"),
    ("Last month", "now-1M/M", "now-1M/M"),
];

const NOT_REPORTED: &str =
    "No provider reports this, or no campaign of the time range has the minimum volume.";

/// Text of cells about the period before of which nothing is known.
const NOT_KNOWN: &str = "not known";

const fn share(count: &'static str) -> Share {
    Share::new(count, ATTEMPTED)
}

/// The dashboard.
pub(crate) fn dashboard() -> Dashboard {
    let mut variables = variable::common();
    variables.extend([variable::result(), variable::min_volume()]);
    Dashboard {
        uid: "campaigns-marketing",
        title: "Campaigns / Planning",
        description: "For whoever plans the next send: this period against the one before, the best and the worst, cost, opt-outs, and what is planned. Needs the profile standard of metrics.",
        from: "now-7d",
        ranges: &RANGES,
        variables,
        annotations: annotation::of_many(),
        rows: vec![
            periods(),
            funnel(),
            lists(),
            groups(),
            times(),
            cost(),
            reach(),
            planned::row(),
            ages(),
            purpose(PURPOSE),
        ],
    }
}

/// Campaigns of a period.
#[derive(Clone, Copy, Debug)]
enum Period {
    /// Sent in the time range.
    Now,
    /// Of those, the ones whose receipts should have arrived.
    Settled,
    /// Sent in the period before.
    Before,
}

/// Where campaigns are found.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Among those that the exporter reads, now or at an offset.
    Read(&'static str),
    /// Among those that were backfilled in the time range before an offset. They have one sample each, when
    /// their receipts should have arrived.
    Backfilled(&'static str),
}

impl Place {
    /// Selects series of campaigns; `select` does so for a scope.
    fn select(self, select: impl Fn(Scope) -> String) -> String {
        match self {
            Self::Read(offset) => format!("{}{offset}", select(SCOPE)),
            Self::Backfilled(offset) => {
                format!("last_over_time({}[$__range]{offset})", select(Scope::Backfilled))
            }
        }
    }

    /// Selects the series of a metric.
    fn of(self, metric: &str) -> String {
        self.select(|scope| scope.of(metric))
    }
}

impl Period {
    const fn places(self) -> &'static [Place] {
        match self {
            Self::Now | Self::Settled => &[Place::Read(""), Place::Backfilled("")],
            Self::Before => &[
                Place::Read(""),
                Place::Read(" offset $__range"),
                // receipts of campaigns sent at its end arrive after it
                Place::Backfilled(""),
                Place::Backfilled(" offset $__range"),
            ],
        }
    }

    /// Selects the campaigns that are found there.
    fn found(self, place: Place) -> String {
        let sent = place.of(SENT);
        match (self, place) {
            (Self::Now | Self::Settled, Place::Backfilled(_)) => {
                format!("{sent} >= time() - $__range_s")
            }
            (Self::Now, Place::Read(_)) => query::sent(SCOPE),
            (Self::Settled, Place::Read(_)) => query::settled_and_sent(SCOPE),
            (Self::Before, _) => {
                format!("{sent} < time() - $__range_s >= time() - 2 * $__range_s")
            }
        }
    }

    /// Selects series of these campaigns; `select` does so in a place. Each place is restricted on its own:
    /// Prometheus takes long to combine all series of ten thousand campaigns.
    fn series(self, select: &dyn Fn(Place) -> String) -> String {
        let found = |place: &Place| among(&select(*place), &self.found(*place));
        let all: Vec<String> = self.places().iter().map(found).collect();
        all.join(" or ")
    }

    /// Selects series of all campaigns, whenever they were sent.
    fn all(self, select: &dyn Fn(Place) -> String) -> String {
        let all: Vec<String> = self.places().iter().map(|place| select(*place)).collect();
        all.join(" or ")
    }

    /// Selects a metric of these campaigns, once for each.
    fn of(self, metric: &str) -> String {
        once(&self.series(&|place| place.of(metric)))
    }

    /// Selects a metric of those that also report another one.
    fn of_both(self, metric: &str, other: &str) -> String {
        once(&self.series(&|place| among(&place.of(metric), &place.of(other))))
    }

    /// Adds labels of `campaign_info` to a metric, for the campaigns that have them, report the chosen result
    /// and another metric, and have the minimum volume.
    fn labeled(self, metric: &str, other: &str, labels: &str, matcher: &str) -> String {
        let [count, of] = CHOSEN.counts();
        let others: BTreeSet<&str> = [count, other].into_iter().collect();
        let others: Vec<&str> =
            others.into_iter().filter(|other| ![metric, of].contains(other)).collect();
        let places = self.places().iter().map(|place| {
            let enough = format!("{} >= $min_volume", place.of(of));
            let rated = if metric == of { enough } else { among(&place.of(metric), &enough) };
            let rated = others.iter().fold(rated, |rated, it| among(&rated, &place.of(it)));
            let infos = place.select(|scope| scope.with("campaign_info", matcher));
            format!(
                "({}) * on ({CAMPAIGN}) group_left ({labels}) {}",
                among(&rated, &self.found(*place)),
                names(&infos)
            )
        });
        let places: Vec<String> = places.collect();
        names(&format!("({})", places.join(" or ")))
    }
}

/// Counts the accounts whose campaigns of the period before are not all known: they are older than
/// `lookback`, and Prometheus does not remember them.
fn unknown_before() -> String {
    let lookback = SCOPE_OF_ACCOUNTS.per_account("campaign_account_lookback_seconds");
    let remembered = SCOPE_OF_ACCOUNTS.of("campaign_account_up") + " offset $__range";
    let backfilled = Place::Backfilled(" offset $__range").of(SENT);
    format!(
        "(count({lookback} < 2 * $__range_s unless on ({ACCOUNT}) ({lookback} >= $__range_s and on ({ACCOUNT}) {remembered}) unless on ({ACCOUNT}) {backfilled}) or vector(0))"
    )
}

const SCOPE_OF_ACCOUNTS: Scope = Scope::Account;

/// Counts of campaigns, selected at once by `series`. Their names say what they count.
fn counts(
    counts: impl Iterator<Item = (&'static str, &'static str)>,
    series: impl Fn(&dyn Fn(Place) -> String) -> String,
) -> String {
    let names = counts.map(|(name, _)| name).collect::<Vec<_>>().join("|");
    let select = |place: Place| place.select(|scope| scope.all(&format!("campaign_({names})")));
    format!("max by ({CAMPAIGN}, __name__) ({})", series(&select))
}

/// Turns names of counts into the label `measure`.
fn measured(expression: &str) -> String {
    format!(r#"label_replace({expression}, "measure", "$1", "__name__", "campaign_(.+)")"#)
}

/// Adds the label `order` to measures: what is attempted first, costs last. By size, messages and money
/// would be mixed.
fn in_order(expression: &str) -> String {
    let last = format!(r#"label_replace({expression}, "order", "9", "", "")"#);
    let first = std::iter::once("Campaigns").chain(COUNTS.map(|(name, _)| name));
    first.zip(0..).fold(last, |ordered, (name, place)| {
        format!(r#"label_replace({ordered}, "order", "{place}", "measure", "{name}")"#)
    })
}

/// A table of measures: this period, the one before, and the difference.
fn compared(
    title: &'static str,
    description: &str,
    unit: &'static str,
    now: &str,
    before: &str,
) -> Panel {
    let now = in_order(now);
    let before = in_order(&format!("({before}) and on () {} == 0", unknown_before()));
    // calculated by Grafana, since Prometheus would repeat both queries
    let unknown =
        json!({"type": "special", "options": {"match": "nan", "result": {"text": NOT_KNOWN}}});
    let of_nothing =
        json!({"type": "range", "options": {"from": 1e6, "to": null, "result": {"text": "new"}}});
    let is_rate = unit == "percent";
    let change = if is_rate { "In points" } else { "Change" };
    let shown = |title, expression: &str| {
        let column = figure(title, unit, expression).wide(95).absent(NOT_KNOWN);
        if is_rate { column.decimals(1) } else { column }
    };
    table(
        title,
        description,
        vec![
            label("measure", "Measure")
                .words(&COUNTS.map(|(name, text)| (name.to_owned(), json!({"text": text}))))
                .links([link::same("Campaigns", "campaigns-campaign")]),
        ],
        vec![shown("This period", &now), shown("Before", &before)],
        ("", false),
    )
    .ordered("order")
    .sized(12, 13)
    .no_value("No campaign was sent in the time range.")
    .calculated(
        change,
        ("Value #A", "-", "Value #B"),
        &[
            // a difference of percentages is no percentage
            ("unit", json!(if is_rate { "none" } else { unit })),
            ("decimals", if is_rate { json!(1) } else { json!(null) }),
            ("custom.width", json!(95)),
            ("noValue", json!(NOT_KNOWN)),
            ("mappings", json!([unknown])),
        ],
    )
    .calculated(
        "In percent",
        (change, "/", "Value #B"),
        &[
            ("unit", json!("percentunit")),
            ("decimals", json!(0)),
            ("custom.width", json!(90)),
            ("noValue", json!(NOT_KNOWN)),
            ("mappings", json!([unknown, of_nothing])),
        ],
    )
}

fn periods() -> Row {
    let totals = |period: Period| {
        let campaigns = period.of(SENT);
        let sums = measured(&format!(
            "sum by (__name__) ({})",
            counts(COUNTS.into_iter(), |select| period.series(select))
        ));
        let costs = spent(period);
        format!(
            r#"label_replace(count({campaigns}), "measure", "Campaigns", "", "") or sum by (measure) ({sums}) or round(sum by (measure) (label_replace({costs}, "measure", "Cost in $1", "currency", "(.+)")), 0.01)"#
        )
    };
    let rates = |period: Period| {
        // the first count is that of the attempted messages, which have no rate
        let rated = || COUNTS.into_iter().skip(1);
        let attempted = |place: Place| place.of(ATTEMPTED);
        let both = counts(rated(), |select| {
            period.series(&|place| among(&select(place), &attempted(place)))
        });
        let sums = measured(&format!("sum by (__name__) ({both})"));
        // the attempted messages of the campaigns that report the count
        let possible = format!(
            "0 * {} + on ({CAMPAIGN}) group_left () {}",
            measured(&counts(rated(), |select| period.series(select))),
            once(&period.all(&attempted))
        );
        format!("(100 * sum by (measure) ({sums}) / (sum by (measure) ({possible}) > 0))")
    };
    row(
        "This period against the one before",
        [
            compared(
                "Totals",
                "Sums over the campaigns sent in the time range, and in the period of the same length directly before: of the month so far, as many days of the last one. New: nothing before. Not known: nothing is known of the period before, see the last panel of this row; if that is so of all measures, the columns are left out. Costs are in the currency of the provider or of credit_price, else in credits.",
                COUNT,
                &totals(Period::Now),
                &totals(Period::Before),
            ),
            compared(
                "Rates, of the messages attempted",
                "Shares of the messages attempted, over the campaigns that report the count and whose receipts should have arrived. In points: the share minus the one before, in percentage points. In percent: that difference as a part of the share before. A measure that no provider reports has no row. The two periods may have different accounts and volumes, see the totals beside.",
                "percent",
                &rates(Period::Settled),
                &rates(Period::Before),
            ),
            stat(
                "Accounts whose period before is not known",
                "The exporter reads the campaigns of `lookback`, 30 days by default. Older ones are known if Prometheus keeps its data long enough and scraped the exporter when the time range began. To compare months, set lookback to 62d, or the retention of Prometheus to 31d or more.",
            )
            .query(&unknown_before(), "accounts")
            .unit(COUNT)
            .words(&[(0, "✓ none: all campaigns of the period before are known", color::GOOD)])
            .sized(24, 3)
            .options(&json!({"text": {"valueSize": 20}})),
        ],
    )
}

/// The cost of each campaign, in money if it is known, else in credits of the provider.
fn spent(period: Period) -> String {
    let money = period.series(&|place| place.of("campaign_cost"));
    let money = format!("max by ({CAMPAIGN}, currency) ({money})");
    // of accounts without a price, the credits
    let price = format!(
        r#"(max by ({ACCOUNT}, currency) ({}) or on ({ACCOUNT}) label_replace({} * 0 + 1, "currency", "$1 credits", "provider", "(.+)"))"#,
        SCOPE_OF_ACCOUNTS.of("campaign_account_credit_price"),
        SCOPE_OF_ACCOUNTS.per_account("campaign_account_up"),
    );
    let credits = period.of("campaign_cost_credits");
    format!("({money} or on ({CAMPAIGN}) {credits} * on ({ACCOUNT}) group_left (currency) {price})")
}

/// A share over all campaigns of a period that report both counts.
fn together(share: Share, period: Period, by: &str) -> String {
    let [count, of] = share.counts();
    let (count, of) = (period.of_both(count, of), period.of_both(of, count));
    format!("sum {by}({count}) / (sum {by}({of}) > 0)")
}

/// The campaigns that a group needs to be ranked. Campaigns of a group differ more from each other than chance
/// would make single messages differ, so one or two tell about their own text and list, not about the group.
const LEAST_CAMPAIGNS: u32 = 3;

/// What the rate of a group with fewer campaigns is lowered by, so that it comes below all others. Words take
/// its place.
const UNRANKED: u32 = 10;

/// Campaigns grouped by labels of `campaign_info`. All figures are of the same campaigns: those that the
/// rate is of.
struct Groups<'a> {
    labels: &'a str,
    matcher: &'a str,
}

impl Groups<'_> {
    /// The sum of a metric over those that also report another one.
    fn sum(&self, metric: &str, other: &str) -> String {
        let labeled = Period::Settled.labeled(metric, other, self.labels, self.matcher);
        format!("sum by ({}) ({labeled})", self.labels)
    }

    /// The messages attempted.
    fn messages(&self) -> String {
        self.sum(ATTEMPTED, ATTEMPTED)
    }

    /// The number of campaigns.
    fn campaigns(&self) -> String {
        let labeled = Period::Settled.labeled(ATTEMPTED, ATTEMPTED, self.labels, self.matcher);
        format!("count by ({}) ({labeled})", self.labels)
    }

    /// The share of these messages that have the chosen result, below zero if there are too few campaigns.
    fn rate(&self, messages: &str) -> String {
        format!(
            "{} / {messages} - {UNRANKED} * ({} < bool {LEAST_CAMPAIGNS})",
            self.sum(CHOSEN.counts()[0], ATTEMPTED),
            self.campaigns()
        )
    }
}

/// The rates of groups of campaigns with a bar each.
fn bars(by: &str) -> Vec<Figure> {
    let mut figures = vec![
        figure("Messages", COUNT, &format!("sum {by}({})", Period::Settled.of(ATTEMPTED)))
            .wide(100),
    ];
    figures.extend(RATES.map(|(title, share)| {
        figure(title, "percentunit", &together(share, Period::Settled, by))
            .decimals(1)
            .bar()
            .stretched()
    }));
    figures
}

fn funnel() -> Row {
    row(
        "Funnel by channel",
        [table(
            "From message to reaction, of the messages attempted",
            "Of the campaigns sent in the time range whose receipts should have arrived. Each bar is a share of the messages attempted on the channel, of the campaigns that report the count. A dash: no provider of the channel reports it.",
            vec![label("channel", "Channel").wide(110).links([link::same("Campaigns", "campaigns-campaign")])],
            bars("by (channel) "),
            ("Messages", true),
        )
        .sized(24, 6)
        .no_value("No campaign was sent in the time range.")],
    )
}

/// Which end of a ranking is shown.
#[derive(Clone, Copy, Debug)]
enum End {
    /// What gained most against the usual rate.
    Best,
    /// What lost most.
    Worst,
}

/// 1 if more of the chosen result is better, -1 if less is. A variable can only be compared as a label.
fn better() -> String {
    let worse = ["bounces", "opt_outs"]
        .map(|result| format!(r#"label_replace(vector(-1), "result", "{result}", "", "")"#));
    format!(
        r#"scalar(({}) and on (result) label_replace(vector(1), "result", "${{result}}", "", "") or on () vector(1))"#,
        worse.join(" or ")
    )
}

/// Campaigns ranked by how many of the chosen result they have more or fewer than at the usual rate.
fn list(title: &'static str, end: End) -> Panel {
    let [count, of] = CHOSEN.counts();
    let enough = |place: Place| format!("({} >= $min_volume)", place.of(of));
    // by number, not by share: a small campaign can lose only little
    let expected = format!(
        "{} * on ({CHANNEL}) group_left () {}",
        once(&Period::Settled.series(&enough)),
        usual(CHOSEN)
    );
    let reached = once(&Period::Settled.series(&|place| place.of(count)));
    let (column, gained) = match end {
        // nobody should imitate a campaign that was not delivered
        End::Best => (
            "Gained",
            format!("({reached} - {expected} unless on ({CAMPAIGN}) ({}))", undelivered()),
        ),
        End::Worst => ("Lost", format!("({expected} - {reached})")),
    };
    let ranked = format!("topk(10, {} * {gained} >= 0)", better());
    let found = |select: &dyn Fn(Place) -> String| Period::Settled.all(select);
    let these = |series: &str| once(&among(&format!("({series})"), &ranked));
    let metric = |metric: &str| these(&found(&|place| place.of(metric)));
    let each = |share: Share| {
        let [count, of] = share.counts();
        these(&found(&|place| format!("{} / ({} > 0)", place.of(count), place.of(of))))
    };
    // Grafana merges rows by the labels that all columns have
    let difference = with_names(&ranked, &found(&|place| place.of("campaign_info")), "");
    let failures = found(&|place| place.of("campaign_failures"));
    let failures = among(&format!("max by ({CAMPAIGN}, reason) ({failures}) > 0"), &ranked);
    let main_failure = format!("topk by ({CAMPAIGN}) (1, {failures})");
    let mut columns = campaign_columns();
    columns.push(
        label("reason", "Main failure")
            .wide(105)
            .words(&words::REASONS.map(|(name, text)| (name.to_owned(), json!({"text": text})))),
    );
    let of_these = "Of the campaigns sent in the time range with the minimum volume whose receipts should have arrived: the ten that";
    let rates = "Rate: the share of the messages attempted. Usual: the median of the account's campaigns on the channel that are older than a day. Failed: how many messages failed for the main reason. A dash: the provider does not report it; a column that nobody reports is left out.";
    let (description, more) = match end {
        End::Best => (
            format!(
                "{of_these} have most more of the chosen result than at the usual rate; of bounces and opt-outs, most fewer. They are there to be imitated, so those are left out of which fewer were delivered than the account's threshold (delivery_ratio_warning). {rates}"
            ),
            None,
        ),
        End::Worst => (
            format!(
                "{of_these} lost most: how many fewer of the chosen result they have than at the usual rate; of bounces and opt-outs, how many more. Look at, for clicks, replies, and reads: where to begin. The list, if more than a fifth bounced, or if the share delivered is below four fifths of the account's median; the link, if there is no reaction at all; the sender, if the share read is below four fifths of the median; otherwise, the campaign arrived as usual, which leaves its text, offer, list, and time. Of other results, the main failure says why. {rates}"
            ),
            Some(figure("Look at", "none", &why(&ranked)).words(&WHY).wide(170)),
        ),
    };
    let mut figures = vec![
        figure(column, COUNT, &difference).decimals(0).wide(75),
        figure("Rate", "percentunit", &each(CHOSEN)).decimals(2).wide(70),
        figure(
            "Usual",
            "percentunit",
            &format!("0 * {ranked} + on ({CHANNEL}) group_left () {}", usual(CHOSEN)),
        )
        .decimals(2)
        .wide(70),
    ];
    figures.extend(more);
    figures.extend([
        figure("Messages", COUNT, &metric(ATTEMPTED)).wide(85),
        figure("Delivered", "percentunit", &each(RATES[0].1)).decimals(1).wide(80),
        figure("Bounced", "percentunit", &each(RATES[4].1)).decimals(1).wide(75),
        figure("Sent", "dateTimeFromNow", &format!("1000 * {}", metric(SENT))).wide(100),
        figure("Failed", COUNT, &main_failure).wide(65),
    ]);
    table(title, &description, columns, figures, (column, true))
        .sized(24, 11)
        .no_value(NOT_REPORTED)
}

/// The campaigns of which fewer were delivered than the threshold of their account. It applies to the
/// messages that are no longer pending.
fn undelivered() -> String {
    let delivered = Period::Settled.all(&|place| DELIVERED.each_of(&|metric| place.of(metric)));
    let least = verdict::threshold(SCOPE, "delivery_ratio_warning");
    format!("({delivered}) < on ({CHANNEL}) group_left () {least}")
}

/// Where to begin to look if a campaign has few clicks, replies, or reads: codes with words and colors. Of
/// several, the highest counts.
const WHY: [(i32, &str, &str); 5] = [
    (AS_USUAL, "text, offer, list, time", color::PLAIN),
    (FEW_READ, "⚠ sender: few read", color::WARNING),
    (NO_REACTION, "✖ link: no reaction", color::CRITICAL),
    (FEW_DELIVERED, "⚠ list: few delivered", color::WARNING),
    (MANY_BOUNCED, "⚠ list: many bounced", color::WARNING),
];

const AS_USUAL: i32 = 0;
const FEW_READ: i32 = 1;
const NO_REACTION: i32 = 2;
const FEW_DELIVERED: i32 = 3;
const MANY_BOUNCED: i32 = 4;

/// The part of the usual rate below which few were delivered or read. Campaigns of one account usually differ
/// by less in both.
const FEW: f64 = 0.8;

/// The code of each of these campaigns. All others are judged, too: to choose these once more for each cause
/// takes longer.
fn why(these: &str) -> String {
    let chosen = |results: &[&str]| {
        let vector =
            |result: &&str| format!(r#"label_replace(vector(1), "result", "{result}", "", "")"#);
        format!(
            "on () (({}) and on (result) {})",
            results.iter().map(vector).collect::<Vec<_>>().join(" or "),
            vector(&"${result}")
        )
    };
    let [_, of] = CHOSEN.counts();
    let [(_, delivered), (_, read), ..] = RATES;
    let few = |share: Share| {
        format!("{} < on ({CHANNEL}) group_left () ({FEW} * {})", rates(share), usual(share))
    };
    let all = |select: &dyn Fn(Place) -> String| Period::Settled.all(select);
    let bounced = all(&|place| {
        format!("{} > {of} * (1 - {FEW})", place.of("campaign_bounces"), of = place.of(of))
    });
    let none = all(&|place| format!("{} == 0", place.of(CHOSEN.counts()[0])));
    let codes = [
        (MANY_BOUNCED, bounced),
        (FEW_DELIVERED, few(delivered)),
        (NO_REACTION, none),
        (FEW_READ, format!("({}) and {}", few(read), chosen(&["clicks", "replies"]))),
        (AS_USUAL, all(&|place| place.of(of))),
    ];
    let codes = codes.map(|(code, campaigns)| format!("0 * ({campaigns}) + {code}")).join(" or ");
    format!(
        "{} and {}",
        once(&among(&format!("({codes})"), these)),
        chosen(&["clicks", "replies", "reads"])
    )
}

/// The rates of all campaigns that have the minimum volume.
fn rates(share: Share) -> String {
    let [count, of] = share.counts();
    let rates = Period::Settled
        .all(&|place| format!("{} / ({} >= $min_volume)", place.of(count), place.of(of)));
    format!("({rates})")
}

/// The median rate of an account's campaigns on a channel: one bad campaign does not change what it is
/// compared with.
fn usual(share: Share) -> String {
    let [count, of] = share.counts();
    let rates = Period::Settled.all(&|place| {
        let rate = format!("{} / ({} >= $min_volume)", place.of(count), place.of(of));
        match place {
            Place::Read(_) => {
                among(&rate, &format!("{} >= 86400", SCOPE.of("campaign:age:seconds")))
            }
            Place::Backfilled(_) => rate,
        }
    });
    format!("quantile by ({CHANNEL}) (0.5, {rates})")
}

fn lists() -> Row {
    row(
        "The best and the worst: ${result:text}",
        [
            list("Worst, by what was lost against the usual rate: ${result:text}", End::Worst),
            list("Best, by what was gained against the usual rate: ${result:text}", End::Best),
        ],
    )
}

/// Number of groups in a table: as many as a day has hours.
const GROUPS: u32 = 24;

/// The results of campaigns grouped by a label of `campaign_info`.
fn grouped(
    title: &'static str,
    name: &'static str,
    column: &'static str,
    when: &str,
    hint: &str,
) -> Panel {
    let matcher = format!(r#"{name}!="""#);
    let groups = Groups { labels: name, matcher: &matcher };
    // each query chooses for itself: to ask for the messages once more takes half as long again
    let most = |messages: &str| format!("topk({GROUPS}, {messages})");
    let messages = most(&groups.messages());
    let [delivered, of] = RATES[0].1.counts();
    let delivered = format!("{} / {}", groups.sum(delivered, of), most(&groups.sum(of, delivered)));
    let mut description = format!(
        "All figures are of the same campaigns: those sent {when} that report the chosen result, have the minimum volume, and whose receipts should have arrived. Rate: the share of their messages that have the result. Groups of fewer than {LEAST_CAMPAIGNS} campaigns have no rate: one or two tell about their own text and list. At most {GROUPS} groups, those with the most messages."
    );
    description += hint;
    table(
        title,
        &description,
        vec![label(name, column).links([link::same("Campaigns", "campaigns-campaign")])],
        vec![
            figure("Rate", "percentunit", &groups.rate(&messages))
                .decimals(2)
                .below_zero("too few campaigns")
                .wide(140),
            figure(
                "Campaigns",
                COUNT,
                &format!("{} and on ({name}) {messages}", groups.campaigns()),
            )
            .wide(90),
            figure("Messages", COUNT, &messages).wide(90),
            figure("Delivered", "percentunit", &delivered).decimals(1).wide(85),
        ],
        ("Rate", true),
    )
    .sized(12, 8)
    .no_value(
        "No campaign of this time has this and reports the result, or info_labels excludes it.",
    )
}

/// Which accounts report what the tables show: a table leaves out those that do not.
fn reporting() -> Panel {
    let by = format!("by ({CHANNEL}) ");
    let attempted = Period::Now.of(ATTEMPTED);
    let all = format!("sum {by}({attempted})");
    let with = |having: &str| {
        format!("(sum {by}({}) or 0 * {all}) / ({all} > 0)", among(&attempted, having))
    };
    let labeled = |label: &str| {
        let matcher = format!(r#"{label}!="""#);
        with(&Period::Now.all(&|place| place.select(|scope| scope.with("campaign_info", &matcher))))
    };
    let shown = |title, expression: &str| {
        let none = [(0, "✖ not reported", color::WARNING)];
        figure(title, "percentunit", expression).decimals(0).wide(140).words(&none)
    };
    let result = with(&Period::Now.all(&|place| place.of(CHOSEN.counts()[0])));
    let mut columns = account_columns();
    columns.insert(1, label("channel", "Channel").wide(100));
    table(
        "Who is in these tables: ${result:text}",
        "Of the messages attempted by each account in the time range: the share of those whose campaign reports the chosen result, a sender, and a template. The lists and tables leave out the others.",
        columns,
        vec![
            figure("Messages", COUNT, &all).wide(100),
            shown("Result", &result),
            shown("Sender", &labeled("sender")),
            shown("Template", &labeled("template")),
        ],
        ("Result", false),
    )
    .sized(24, 8)
    .no_value("No campaign was sent in the time range.")
}

fn groups() -> Row {
    let when = "in the time range";
    row(
        "What works: ${result:text}",
        [
            grouped("By sender: ${result:text}", "sender", "Sender", when, ""),
            grouped("By template: ${result:text}", "template", "Template", when, ""),
            reporting(),
            grouped(
                "By creator: ${result:text}",
                "created_by",
                "Creator",
                when,
                " Requires created_by in info_labels of the configuration.",
            )
            .sized(24, 5),
        ],
    )
}

/// A table of hours and weekdays, with a color for each value.
fn matrix(title: &'static str, description: &str, unit: &str, expression: &str) -> Panel {
    // as high as 24 rows
    let mut panel = Panel::new("table", title, description, (12, 26)).unit(unit);
    panel.target(expression, &json!({"format": "table", "instant": true, "range": false}));
    let corner = r"sent_hour\sent_weekday";
    let order = std::iter::once(corner).chain(WEEKDAYS.map(|(day, _)| day));
    let order = order.zip(0..).map(|(name, place)| (name.to_owned(), json!(place)));
    let order: serde_json::Map<_, _> = order.collect();
    panel = panel
        .transformed(vec![
            json!({"id": "groupingToMatrix", "options": {
                "columnField": "sent_weekday",
                "rowField": "sent_hour",
                "valueField": "Value",
                "emptyValue": "null",
            }}),
            json!({"id": "organize", "options": {"indexByName": order}}),
        ])
        .scale()
        .above_zero()
        .overridden(
            "byRegexp",
            "/day$/",
            &[
                ("noValue", json!("")),
                ("custom.minWidth", json!(50)),
                ("mappings", json!([below_zero("few", "transparent")])),
            ],
        )
        .overridden(
            "byName",
            corner,
            &[
                ("displayName", json!("Hour")),
                ("unit", json!("string")),
                ("custom.width", json!(60)),
                ("custom.cellOptions", json!({"type": "auto"})),
                ("links", json!([link::same("Campaigns", "campaigns-campaign")])),
            ],
        )
        .options(&json!({
            "showHeader": true,
            "cellHeight": "sm",
            "sortBy": [{"displayName": "Hour", "desc": false}],
        }))
        .no_value("No campaign of the last 30 days reports the result and has the minimum volume, or info_labels excludes sent_hour or sent_weekday.");
    WEEKDAYS.into_iter().fold(panel, |panel, (day, title)| {
        panel.overridden("byName", day, &[("displayName", json!(title))])
    })
}

fn times() -> Row {
    let labels = "sent_hour, sent_weekday";
    let matcher = r#"sent_hour!="", sent_weekday!="""#;
    let groups = Groups { labels, matcher };
    let messages = groups.messages();
    // a week has too few campaigns of an hour to compare
    let when = "in the last 30 days";
    let zone = " Hours and weekdays are those of reporting_time_zone, UTC by default.";
    let by = |title, name, column| grouped(title, name, column, when, zone).sized(12, 10);
    let panels = [
            by("By weekday: ${result:text}", "sent_weekday", "Weekday"),
            by("By hour: ${result:text}", "sent_hour", "Hour"),
            matrix(
                "By hour and weekday: ${result:text}, of the messages attempted",
                &format!("In the time zone of reporting_time_zone. Of the campaigns sent {when} that report the chosen result, have the minimum volume, and whose receipts should have arrived. Few: fewer than {LEAST_CAMPAIGNS} campaigns, which tell about their own text and list, not about the hour. Empty: no such campaign."),
                "percentunit",
                &groups.rate(&messages),
            )
            .decimals(1),
            matrix(
                "By hour and weekday: the messages that these rates are of",
                "In the time zone of reporting_time_zone. The messages attempted by the campaigns of the table beside. Empty: no such campaign.",
                COUNT,
                &messages,
            ),
        ];
    row(
        "When to send: ${result:text}, in the last 30 days, in the time zone of reporting_time_zone (UTC by default)",
        panels.map(|panel| panel.of_last("30d")),
    )
}

fn cost() -> Row {
    let by = format!("by ({ACCOUNT}, currency) ");
    let per = |metric: &str, period: Period| {
        let spent = spent(period);
        // only campaigns that report both
        let count = period.of(metric);
        format!(
            "sum {by}({spent} and on ({CAMPAIGN}) {count}) / (sum {by}({count} * on ({CAMPAIGN}) group_left (currency) ({spent} * 0 + 1)) > 0)"
        )
    };
    let before = |metric: &str| {
        format!("{} and on () {} == 0", per(metric, Period::Before), unknown_before())
    };
    let spent = spent(Period::Now);
    // every account that sent has a row
    let all = format!("count by ({ACCOUNT}) ({})", Period::Now.of(SENT));
    let unreported =
        |code: i32| format!(r#"label_replace(0 * {all} + {code}, "currency", "–", "", "")"#);
    let mut columns = account_columns();
    columns.insert(1, label("currency", "In").wide(110));
    row(
        "Cost",
        [table(
            "Cost by account",
            "Cost of the campaigns sent in the time range, in the currency that the provider reports or of credit_price in the configuration, else in credits. Per delivery and per click: over the campaigns that report both, and the same of the period of the same length before. A dash: the cost or the count is not reported, or the count is zero. Not known: so it was in the period before, or that is not known. Campaigns: those with a cost.",
            columns,
            vec![
                figure("Cost", COUNT, &format!("sum {by}({spent}) or on ({ACCOUNT}) {}", unreported(words::NOT_REPORTED.0)))
                    .decimals(2)
                    .words(&[words::NOT_REPORTED])
                    .wide(130),
                figure("Per delivery", COUNT, &per("campaign_deliveries", Period::Now)).decimals(4),
                figure("Delivery before", COUNT, &before("campaign_deliveries"))
                    .decimals(4)
                    .absent(NOT_KNOWN)
                    .wide(125),
                figure("Per click", COUNT, &per("campaign_clicks", Period::Now)).decimals(3),
                figure("Click before", COUNT, &before("campaign_clicks"))
                    .decimals(3)
                    .absent(NOT_KNOWN),
                figure("Campaigns", COUNT, &format!("count {by}({spent}) or on ({ACCOUNT}) {}", unreported(0))),
            ],
            ("Cost", true),
        )
        .sized(24, 8)
        .no_value("No campaign was sent in the time range.")],
    )
}

fn reach() -> Row {
    let by = format!("by ({CHANNEL}) ");
    let lost = |period: Period| format!("sum {by}({})", period.of("campaign_opt_outs"));
    // every account that sent has a row
    let all = format!(
        "{} or 0 * count {by}({}) + {}",
        lost(Period::Now),
        Period::Now.of(SENT),
        words::NOT_REPORTED.0
    );
    let before = format!("({}) and on () {} == 0", lost(Period::Before), unknown_before());
    let mut columns = account_columns();
    columns.insert(1, label("channel", "Channel").wide(100));
    row(
        "Reach lost",
        [table(
            "Opt-outs by account",
            "Recipients who opted out after the campaigns sent in the time range, and can no longer be reached, and the same of the period of the same length before. Of messages, clicks per opt-out: over the campaigns that report both. Providers do not tell how many joined, so this is the loss, not the balance. A dash: not reported, or nobody opted out. Not known: it was not reported in the period before, or that is not known.",
            columns,
            vec![
                figure("Opted out", COUNT, &all).words(&[words::NOT_REPORTED]).wide(130),
                figure("Before", COUNT, &before).absent(NOT_KNOWN),
                figure(
                    "Of messages",
                    "percentunit",
                    &together(share("campaign_opt_outs"), Period::Now, &by),
                )
                .decimals(2),
                figure(
                    "Clicks per opt-out",
                    COUNT,
                    &together(
                        Share::new("campaign_clicks", "campaign_opt_outs"),
                        Period::Now,
                        &by,
                    ),
                )
                .decimals(1)
                .wide(140),
            ],
            ("Opted out", true),
        )
        .sized(24, 8)
        .no_value("No campaign was sent in the time range.")],
    )
}

/// Ages at which campaigns are compared, in hours, with the titles of the share and of its usual bounds.
const AGES: [(u32, [&str; 3]); 3] = [
    (1, ["1 h", "Low, 1 h", "High, 1 h"]),
    (4, ["4 h", "Low, 4 h", "High, 4 h"]),
    (24, ["24 h", "Low, 24 h", "High, 24 h"]),
];

/// Number of campaigns compared, and of those among them that are a day old: the last ones of an account
/// that sends many are all younger, so the last age would have no column.
const COMPARED: (u32, u32) = (10, 5);

fn ages() -> Row {
    let age = SCOPE.of("campaign:age_when_read:seconds");
    let last = |count: u32, old: &str| {
        let these = format!(
            "{} and {} and {age} >= {old}",
            SCOPE.of(SENT),
            SCOPE.of("campaign:clicks:young")
        );
        format!("topk({count}, {})", once(&these))
    };
    let last = format!("({} or {})", last(COMPARED.0, "3600"), last(COMPARED.1, "86400"));
    let at = |expression: &str, hours: u32| {
        let seconds = hours * 3600;
        let until = format!("{expression} and on ({CAMPAIGN}) {age} <= {seconds}");
        let reached = format!("({age} >= {seconds})");
        let then = once(&format!("last_over_time(({until})[26h:15m])"));
        among(&among(&then, &reached), &last)
    };
    let clicked = format!(
        "{} / ({} > 0)",
        SCOPE.one("campaign:clicks:young"),
        SCOPE.one("campaign:attempted:young")
    );
    let usual = |bound: &str| {
        let matcher = format!(r#"rate="click", bound="{bound}""#);
        once(&SCOPE.with("campaign_usual_ratio", &matcher))
    };
    let mut figures = Vec::new();
    for (hours, [rate, from, to]) in AGES {
        figures.push(
            figure(rate, "percentunit", &at(&clicked, hours)).decimals(1).absent("…").wide(60),
        );
        for (title, bound) in [(from, "low"), (to, "high")] {
            figures.push(
                figure(title, "percentunit", &at(&usual(bound), hours))
                    .decimals(1)
                    .absent("?")
                    .wide(88),
            );
        }
    }
    let sent = named(SCOPE, &format!("1000 * ({last})"), &last);
    figures.push(figure("Sent", "dateTimeFromNow", &sent).wide(110));
    row(
        "The last campaigns at the same age",
        [table(
            "Clicks after 1, 4, and 24 hours, of the messages attempted",
            "The ten campaigns of the last two days that were sent last, at least an hour ago, and the five last ones that are a day old, of providers that report clicks: the share of messages with a click at each age, and between which two it usually is for the account's campaigns at that age. Three dots: not that old yet, or not read at that age. A question mark: not that old yet, or what is usual is not known. An age that no campaign has reached has no column.",
            campaign_columns(),
            figures,
            ("Sent", true),
        )
        .sized(24, 17)
        .no_value("No campaign of the last two days is an hour old, or no provider reports clicks.")],
    )
}
