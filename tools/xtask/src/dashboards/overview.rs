//! All accounts at a glance: whether anything is wrong, how the last sends did, and what is coming.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::panel::{bargauge, stat, state_timeline, timeseries};
use super::query::{
    ACCOUNT, BOUNCED, CAMPAIGN, CHANNEL, CLICKED, DELIVERED, DELIVERED_OF_ATTEMPTED, OPTED_OUT,
    READ, Scope, Share, among, count_critical, count_warnings, named, once, one_of, sent,
    settled_and_sent, sum_of_sent, with_names_at_end,
};
use super::table::{COUNT, campaign_columns, figure, firing_alerts, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, color, link, planned, usual, variable, verdict};

const SCOPE: Scope = Scope::Channel;

/// Legend of a series of an account and a channel.
const CHANNEL_LEGEND: &str = "{{account}} {{channel}}";

/// All statuses with their words and colors.
const STATUSES: [(&str, &str, &str); 6] = [
    ("sent", "sent", color::GOOD),
    ("in_progress", "being sent", color::PLAIN),
    ("waiting", "waiting", color::UNKNOWN),
    ("in_moderation", "in review", color::WARNING),
    ("denied", "refused", color::CRITICAL),
    ("other", "other", "#CC79A7"),
];

const PURPOSE: &str = "Is anything wrong, how did the last sends do, and what is coming? Tables and totals are of the campaigns sent in the dashboard's **time range**. A campaign is judged by the thresholds of its own account, and only once its receipts should have arrived. A dash is a figure that the provider does not report. Click a campaign to see more of it; *Planning* compares periods, senders, and times.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    Dashboard {
        uid: "campaigns-overview",
        title: "Campaigns / Overview",
        description: "Whether anything is wrong, how the last sends did, and what is coming, for all accounts. Needs the profile standard of metrics.",
        from: "now-24h",
        ranges: &[],
        variables: variable::common(),
        annotations: annotation::of_many(),
        rows: vec![
            wrong(),
            last_sends(),
            delivery(),
            status(),
            credits(thresholds),
            purpose(PURPOSE),
        ],
    }
}

/// Accounts whose data is older than their own threshold allows.
fn with_old_data() -> String {
    let age = format!(
        "(time() - {}) / on ({ACCOUNT}) {}",
        Scope::Account.per_account("campaign_account_last_success_timestamp_seconds"),
        Scope::Account.per_account("campaign_account_poll_interval_seconds")
    );
    let limit = Scope::Account
        .with("account:campaign_threshold:effective", r#"threshold="stale_intervals_warning""#);
    format!("count({age} > on ({ACCOUNT}) max by ({ACCOUNT}) ({limit}))")
}

fn wrong() -> Row {
    let failing = format!("count({} == 0)", Scope::Account.per_account("campaign_account_up"));
    let counts = [
        ("Act now", count_critical(), color::CRITICAL),
        ("Worth a look", count_warnings(), color::WARNING),
        ("Accounts failing", failing, color::CRITICAL),
        ("Accounts with old data", with_old_data(), color::WARNING),
    ];
    let mut panel = stat(
        "Is anything wrong?",
        "Alerts that say to act now, and those that are worth a look; accounts whose provider could not be read the last time; and accounts whose data is older than it should be.",
    )
    .unit("short")
    .words(&[(0, "✓ none", color::GOOD)])
    .sized(24, 4)
    // so that four fit beside each other on a phone
    .options(&json!({"text": {"titleSize": 13, "valueSize": 20}}))
    .links([link::same("Exporter and providers", "campaigns-exporter")]);
    for (name, count, color) in counts {
        panel = panel.query(&format!("{count} or vector(0)"), name).overridden(
            "byName",
            name,
            &[("color", json!({"mode": "fixed", "fixedColor": color}))],
        );
    }
    row(
        "Is anything wrong?",
        [
            panel,
            firing_alerts(
                "Alerts of campaigns, accounts, and exporters, without those that a graver one includes. Alerts of accounts have no campaign.",
                "",
            )
            .sized(24, 10),
        ],
    )
}

/// The campaigns sent last, by age: queries select them many times, and their time of sending would have to
/// be looked up among those of all campaigns.
fn last(count: u32) -> String {
    format!("bottomk({count}, {})", once(&sent(SCOPE)))
}

fn last_sends() -> Row {
    let share = |parts: Share| parts.together(SCOPE, "", &settled_and_sent(SCOPE));
    let totals = [
        ("Campaigns", "short", None, format!("count({})", once(&sent(SCOPE)))),
        ("Messages", COUNT, None, sum_of_sent(SCOPE, "", "campaign_attempted")),
        ("Delivered / not pending", "percentunit", Some(1), share(DELIVERED)),
        ("Clicked / attempted", "percentunit", Some(1), share(CLICKED)),
        ("Read / delivered", "percentunit", Some(1), share(READ)),
        ("Opted out / attempted", "percentunit", Some(2), share(OPTED_OUT)),
    ];
    let panel = stat(
        "All campaigns sent in the time range",
        "Campaigns and messages attempted; shares of the messages delivered, of those attempted that are no longer pending; with a click, and whose recipient opted out, of those attempted; and read, of those delivered. Shares are of the campaigns that report the count and whose receipts should have arrived.",
    )
    .unit("short")
    .neutral()
    .sized(24, 5)
    .options(&json!({"text": {"titleSize": 15, "valueSize": 26}}))
    .no_value("not reported")
    .links([link::same("Planning", "campaigns-marketing")])
    .results(totals);
    row(
        "How did the last sends do, and what is coming?",
        [
            verdict::table(
                SCOPE,
                "Last sends, of the messages attempted",
                "The ten campaigns of the time range that were sent last. The verdict follows the thresholds of the account; delivery is judged once the receipts should have arrived, without messages that are still pending.",
                &last(10),
            )
            .sized(24, 11),
            usual::table(
                SCOPE,
                "Do the last sends run as usual? Of the messages attempted",
                "The ten campaigns of the time range that were sent last: their rates, and between which two they usually are for the account's campaigns of the channel at the same age. Too early: less than ten minutes. Usual not known: more than two days old, or the account has fewer than seven campaigns.",
                &last(10),
            )
            .sized(24, 11),
            planned::calendar().sized(24, 7),
            panel,
        ],
    )
}

/// The messages that were not delivered, and the recipients who opted out, of the campaigns sent in the time
/// range. Series are merged once there are few.
fn affected() -> String {
    let attempted = among(&SCOPE.of("campaign_attempted"), &sent(SCOPE));
    let [delivered, bounced, opted_out] =
        ["campaign_deliveries", "campaign_bounces", "campaign_opt_outs"].map(|it| SCOPE.of(it));
    format!(
        "(({attempted}) - {delivered} + {opted_out} or ({attempted}) - {delivered} or 0 * ({attempted}) + {bounced})"
    )
}

fn delivery() -> Row {
    let bad = verdict::bad(SCOPE, &sent(SCOPE));
    // By how many are affected: of equally bad campaigns, the large one matters most. The verdict is in the decimals,
    // so that no query has to judge twice.
    let worst = format!("topk(20, {} + on ({CAMPAIGN}) ({bad}) / 100)", once(&affected()));
    let of_bad = |share: Share| {
        once(&among(&format!("({})", share.each_of(&|metric| SCOPE.of(metric))), &worst))
    };
    let of = |metric: &str| one_of(SCOPE, metric, &worst);
    let by_channel =
        DELIVERED.together(SCOPE, &format!("by ({CHANNEL}) "), &settled_and_sent(SCOPE));
    row(
        "Delivery",
        [
            table(
                "Campaigns that need attention, by messages affected",
                "The campaigns sent in the time range beyond a threshold of their account, at most twenty, the most affected first. Affected: messages that were not delivered so far, and recipients who opted out, who will not be reached again. It is no comparison with what is usual, as *Lost* on *Planning* is. Rates are of the messages attempted.",
                campaign_columns(),
                vec![
                    figure("Affected", COUNT, &named(SCOPE, &format!("floor({worst})"), &sent(SCOPE))).wide(105),
                    figure("Verdict", "none", &format!("round({worst} % 1 * 100)")).words(&verdict::WORDS).wide(175),
                    figure("Messages", COUNT, &of("campaign_attempted")).wide(90),
                    figure("Sent", "dateTimeFromNow", &format!("1000 * {}", of("campaign_last_sent_timestamp_seconds"))).wide(110),
                    figure("Delivered", "percentunit", &of_bad(DELIVERED_OF_ATTEMPTED)).decimals(1).wide(85),
                    figure("Bounced", "percentunit", &of_bad(BOUNCED)).decimals(1).wide(80),
                    figure("Opted out", "percentunit", &of_bad(OPTED_OUT)).decimals(2).wide(85),
                ],
                ("Affected", true),
            )
            .sized(24, 10)
            .no_value("✓ No campaign of the time range is beyond a threshold."),
            timeseries(
                "Delivered / not pending, by account (dashed: the two weeks before)",
                "Share of the messages of the preceding 24 hours that were delivered, by account and channel. Dashed in the same color: what it was in the two weeks before.",
            )
            .query(&SCOPE.per_channel("account:delivery_ratio:recent"), CHANNEL_LEGEND)
            .query(&SCOPE.per_channel("account:delivery_ratio:baseline"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.0)
            .compared()
            .legend_beside()
            .sized(24, 11)
            .no_value("No campaign of the last day has its receipts yet.")
            .links([link::SERIES.to_channel(), link::SERIES.to_exporter()]),
            bargauge(
                "Delivered / not pending in the time range, lowest first",
                "Share of the messages no longer pending that were delivered, over the campaigns sent in the time range whose receipts should have arrived.",
            )
            .query(&format!("sort({by_channel})"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .range(0.0, 1.0)
            .neutral()
            .sized(10, 9)
            .no_value("No campaign of the time range has its receipts yet.")
            .links([link::SERIES.to_channel(), link::SERIES.to_account()]),
            timeseries(
                "Delivered / not pending, by channel (dashed: the two weeks before)",
                "Across all accounts of an exporter, regardless of the variables. Dashed: the two weeks before. If all accounts of a channel drop together, suspect the carriers rather than the lists.",
            )
            .query(&of_all("channel:delivery_ratio:recent"), "{{channel}}")
            .query(&of_all("channel:delivery_ratio:baseline"), "{{channel}}")
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.0)
            .compared()
            .sized(14, 9)
            .no_value("No campaign of the last day has its receipts yet."),
        ],
    )
}

fn of_all(metric: &str) -> String {
    format!("max by (channel) ({})", Scope::ExporterChannel.of(metric))
}

/// Adds the label `short`, the beginning of the name: Grafana cuts long names of rows, and the account with
/// them.
fn short_names(expression: &str) -> String {
    let whole =
        format!(r#"label_replace({expression}, "short", "$1", "campaign_name", "(?s)(.*)")"#);
    format!(r#"label_replace({whole}, "short", "$1…", "campaign_name", "(?s)(.{{18}}).{{2,}}")"#)
}

fn status() -> Row {
    let statuses = SCOPE.of("campaign_status");
    // selected once, at the end of the range; otherwise, lines would come and go
    let newest = format!(
        "topk(20, {} and on ({CAMPAIGN}) {statuses} @ end())",
        once(&format!(
            "{} @ end() or {} @ end() or {} @ end()",
            SCOPE.of("campaign_last_sent_timestamp_seconds"),
            SCOPE.of("campaign_scheduled_timestamp_seconds"),
            SCOPE.of("campaign_created_timestamp_seconds"),
        ))
    );
    let numbers = (1..).zip(STATUSES).map(|(number, (name, ..))| {
        format!(r#"label_replace(vector({number}), "status", "{name}", "", "")"#)
    });
    let timeline = format!(
        "({}) * on (status) group_left () ({})",
        among(&statuses, &newest),
        numbers.collect::<Vec<_>>().join(" or ")
    );
    row(
        "Status, if the provider reports it",
        [state_timeline(
            "Status over time",
            "Status of the twenty newest campaigns whose provider reports one.",
            &STATUSES.map(|(_, words, color)| (words, color)),
        )
        .query(
            &short_names(&with_names_at_end(SCOPE, &timeline, &newest)),
            "{{short}} ({{account}})",
        )
        .unit("none")
        .sized(24, 14)
        .no_value("No provider of these accounts reports a status.")
        .links([link::SERIES.to_campaign()])],
    )
}

fn credits(thresholds: &Thresholds) -> Row {
    row(
        "Credits",
        [
            timeseries("Credits left", "Remaining credits by account. An increase is a top-up.")
                .query(&Scope::Account.per_account("campaign_account_credits"), "{{account}}")
                .unit(COUNT)
                .above_zero()
                .no_value("No provider of these accounts reports the remaining credits.")
                .sized(7, 8)
                .links([link::SERIES.to_account(), link::SERIES.to_exporter()]),
            planned::paid().sized(13, 8),
            stat(
                "Credits last for",
                "The three accounts that run out of credits first, and in how many days, at the rate of the last seven days. Without what is planned.",
            )
            .query(
                &format!("sort(bottomk(3, {}))", Scope::Account.per_account("account:credits_left:days")),
                "{{account}}",
            )
            .options(&json!({"textMode": "value_and_name", "text": {"titleSize": 13, "valueSize": 22}}))
            .unit("d")
            .decimals(1)
            .levels(Levels::BelowWarning(thresholds.credits_days))
            .sized(4, 8)
            .no_value("not known"),
        ],
    )
}
