//! One campaign: results, what is usual, failures, and the account's other campaigns. If several are
//! selected, the newest one, and a few others in the graphs.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::panel::{bargauge, stat, timeseries};
use super::query::{
    BOUNCED, CHANNEL, CLICKED, DELIVERED, DELIVERED_OF_ATTEMPTED, OPTED_OUT, READ, Scope, Share,
    among, drawn, named_among, newest,
};
use super::table::{COUNT, figure, firing_alerts, label, table};
use super::{annotation, color, link, usual, variable, verdict, words};

const SCOPE: Scope = Scope::Campaign;

/// Legend of a campaign's series.
const LEGEND: &str = "{{campaign_name}} ({{account}})";

/// Shown instead of missing figures.
const NOT_REPORTED: &str =
    "No figures: Does it run as usual? tells whether nothing was sent, or what is not reported.";

/// Shown instead of campaigns.
const NONE: &str = "No campaign is selected.";

const PURPOSE: &str = "How does one campaign do? At first the one sent last is shown. Choose others under **Campaign**, or click a name in any table. If several are selected, the top shows the one that was sent last, and the graphs the last ten. Figures are the provider's current counts, which keep changing for days; a dash is a figure that the provider does not report. To return to all campaigns, use **Campaign dashboards** above.";

/// The dashboard.
pub(crate) fn dashboard() -> Dashboard {
    let mut variables = variable::common();
    variables.push(variable::campaign());
    Dashboard {
        uid: "campaigns-campaign",
        title: "Campaigns / Campaign",
        description: "One campaign: its results, what is usual for the account, failures, and the account's other campaigns. Needs the profile standard of metrics.",
        from: "now-24h",
        ranges: &[],
        variables,
        annotations: annotation::of_campaigns(),
        rows: vec![now(), over_time(), failures(), comparison(), purpose(PURPOSE)],
    }
}

/// A metric of the displayed campaigns.
fn line(metric: &str) -> String {
    named_among(SCOPE, &SCOPE.of(metric), &drawn())
}

fn now() -> Row {
    let newest = newest();
    let share = |parts: Share| among(&format!("({})", parts.each(SCOPE)), &newest);
    let results = [
        ("Delivered / not pending", "percentunit", Some(1), share(DELIVERED)),
        ("Bounced / attempted", "percentunit", Some(1), share(BOUNCED)),
        ("Clicked / attempted", "percentunit", Some(1), share(CLICKED)),
        ("Read / delivered", "percentunit", Some(1), share(READ)),
        ("Opted out / attempted", "percentunit", Some(2), share(OPTED_OUT)),
        ("Recipients", COUNT, None, among(&SCOPE.one("campaign_recipients"), &newest)),
        ("Still pending", COUNT, None, among(&SCOPE.one("campaign_pending"), &newest)),
        ("Cost in credits", COUNT, None, among(&SCOPE.one("campaign_cost_credits"), &newest)),
    ];
    let panel = stat(
        "Results",
        "Of the messages attempted, except those still pending: delivered. Of those attempted: bounced, with a click, and opted out. Of those delivered: read. What is missing is not reported by the provider.",
    )
    .unit(COUNT)
    .neutral()
    .sized(12, 8)
    .options(&json!({"text": {"titleSize": 13, "valueSize": 24}}))
    .no_value("not reported")
    .results(results);
    row(
        "The campaign",
        [
            verdict::table(
                SCOPE,
                "Campaign, of the messages attempted",
                "The selected campaign; of several, the one that was sent last. The verdict follows the thresholds of the account; delivery is judged once the receipts should have arrived, without messages that are still pending.",
                &newest,
            )
            .sized(24, 4)
            .no_value(NONE),
            panel,
            as_usual(),
            firing_alerts(
                "Alerts of this campaign, its account, and its exporter, without those that a graver one includes.",
                r#", campaign_id=~"$campaign|""#,
            )
            .sized(24, 5),
        ],
    )
}

/// The rates of the newest campaign beside what is usual at its age.
fn as_usual() -> super::panel::Panel {
    // the last number tells those of which more is better from the others
    let rates = [
        ("delivery", "Delivered / attempted", DELIVERED_OF_ATTEMPTED, 1),
        ("click", "Clicked / attempted", CLICKED, 1),
        ("read", "Read / delivered", READ, 1),
        ("bounce", "Bounced / attempted", BOUNCED, 2),
        ("opt_out", "Opted out / attempted", OPTED_OUT, 2),
    ];
    let numbers = rates.map(|(rate, .., number)| {
        format!(r#"label_replace(vector({number}), "rate", "{rate}", "", "")"#)
    });
    let each = rates.map(|(rate, _, share, _)| {
        format!(r#"label_replace({}, "rate", "{rate}", "", "")"#, share.each(SCOPE))
    });
    let now = format!("max by (rate) ({})", among(&format!("({})", each.join(" or ")), &newest()));
    let usual = |bound: &str| {
        let bound = SCOPE.with("campaign_usual_ratio", &format!(r#"bound="{bound}""#));
        format!("max by (rate) ({})", among(&bound, &newest()))
    };
    let (low, high) = (usual("low"), usual("high"));
    let newest = newest();
    let attempted = format!("on () ({} > 0)", among(&SCOPE.of("campaign_attempted"), &newest));
    let young = format!("on () ({})", among(&usual::young(SCOPE), &newest));
    let codes = usual::Judged {
        by: "rate",
        rows: &format!("(({}) and on () {newest})", numbers.join(" or ")),
        now: &now,
        reported: &now,
        low: &low,
        high: &high,
        attempted: &attempted,
        young: &young,
    };
    table(
        "Does it run as usual?",
        "The rates of the campaign, and from where to where they usually are for the account's campaigns of this channel at the same age. Known from an age of ten minutes to one of two days, once the account has seven campaigns.",
        vec![
            // whole on a phone, beside the first figures
            label("rate", "Rate")
                .wide(160)
                .words(&rates.map(|(rate, text, ..)| (rate.to_owned(), json!({"text": text}))))
                .links([link::same("Overview", "campaigns-overview")]),
        ],
        vec![
            figure("Now", "percentunit", &now).decimals(1).wide(70),
            figure("So it is", "none", &codes.codes()).wide(135).words(&usual::WORDS),
            figure("Usually from", "percentunit", &low).decimals(1).wide(105),
            figure("to", "percentunit", &high).decimals(1).wide(75),
        ],
        ("", false),
    )
    .sized(12, 8)
    .no_value(NONE)
}

fn over_time() -> Row {
    let to_campaign = || [link::SERIES.to_campaign(), link::SERIES.to_account()];
    let graph = |title, description: &str| {
        timeseries(title, description).coarse().no_value(NOT_REPORTED).links(to_campaign())
    };
    // a color for each metric: those of names can be alike
    let several = |title, description: &str, metrics: &[(&str, &str, &str)]| {
        let panel = graph(title, description).unit(COUNT).above_zero();
        metrics.iter().fold(panel, |panel, (metric, what, color)| {
            panel
                .query(&line(metric), &format!("{LEGEND} {what}"))
                .colored(&format!("/ {what}$/"), color)
        })
    };
    let usual = |bound: &str| {
        let matcher = format!(r#"rate="delivery", bound="{bound}""#);
        named_among(SCOPE, &SCOPE.with("campaign_usual_ratio", &matcher), &drawn())
    };
    row(
        "Over time",
        [
            graph(
                "Delivered (dashed: attempted)",
                "Messages delivered. Dashed in the same color: messages attempted. If a curve levels off below its dashed line, the campaign has stalled, or the missing messages bounced.",
            )
            .unit(COUNT)
            .above_zero()
            .query(&line("campaign_deliveries"), LEGEND)
            .query(&line("campaign_attempted"), LEGEND)
            .compared(),
            graph(
                "Delivered / attempted (dashed: usual at that age)",
                "Share of all messages attempted that were delivered. Dashed in the same color: from where to where it usually is for the account's campaigns at the same age, if that is known.",
            )
            .query(
                &named_among(
                    SCOPE,
                    &format!("({})", DELIVERED_OF_ATTEMPTED.each_of(&|metric| SCOPE.of(metric))),
                    &drawn(),
                ),
                LEGEND,
            )
            .query(&usual("low"), LEGEND)
            .query(&usual("high"), LEGEND)
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.0, 1.0)
            .compared(),
            several(
                "Pending, bounced, and opted out",
                "Messages whose delivery is not confirmed yet, messages that could not be delivered, and recipients who opted out.",
                &[
                    ("campaign_pending", "pending", color::UNKNOWN),
                    ("campaign_bounces", "bounced", color::CRITICAL),
                    ("campaign_opt_outs", "opted out", color::PLAIN),
                ],
            ),
            several(
                "Clicked, read, and replied",
                "Links followed, messages read, and replies. A recipient may reply several times.",
                &[
                    ("campaign_clicks", "clicked", color::PLAIN),
                    ("campaign_reads", "read", color::GOOD),
                    ("campaign_replies", "replied", color::WARNING),
                ],
            ),
        ],
    )
}

fn failures() -> Row {
    let failures = among(&SCOPE.of("campaign_failures"), &newest());
    let failures = format!("max by (channel, campaign_id, reason) ({failures})");
    row(
        "Failures",
        [words::reasons(
            bargauge(
                "Why messages were not delivered",
                "Messages of the campaign that could not be delivered, by the reason that the provider reports.",
            )
            .query(&format!("sort_desc(sum by (reason) ({failures}) > 0)"), "{{reason}}")
            .unit(COUNT)
            .above_zero()
            .neutral()
            .sized(24, 8)
            .no_value("The provider reports no reasons, or nothing failed.")
            .links([link::same("Overview", "campaigns-overview")]),
        )],
    )
}

fn comparison() -> Row {
    let scope = Scope::Channel;
    let others = format!(
        "topk(20, {} and on ({CHANNEL}) ({}))",
        scope.one("campaign_last_sent_timestamp_seconds"),
        newest(),
    );
    row(
        "Comparison",
        [
            verdict::table(
                scope,
                "The account's last twenty campaigns",
                "The campaigns sent last by the same account over the same channel.",
                &others,
            )
            .sized(24, 10)
            .no_value(NONE),
            verdict::table(
                SCOPE,
                "Selected campaigns",
                "The selected campaigns, at most the ten that were sent last.",
                &drawn(),
            )
            .sized(24, 6)
            .no_value(NONE),
        ],
    )
}
