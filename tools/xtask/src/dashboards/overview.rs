//! All accounts at a glance, and the campaigns that need attention.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, bargauge, stat, state_timeline, timeseries};
use super::query::{
    ACCOUNT, BOUNCED, CAMPAIGN, CHANNEL, CLICKED, DELIVERED, OPTED_OUT, READ, Scope, Share, among,
    count_critical, count_warnings, named, named_among, sent, settled, sum_of_sent,
};
use super::table::{
    Figure, account_columns, campaign_columns, figure, firing_alerts, label, table,
};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, freshness, variable};

const SCOPE: Scope = Scope::Channel;

/// Legend of a series of an account and a channel.
const CHANNEL_LEGEND: &str = "{{account}} {{channel}}";

/// All statuses with their colors.
const STATUSES: [(&str, &str); 6] = [
    ("sent", "green"),
    ("in_progress", "blue"),
    ("waiting", "light-blue"),
    ("in_moderation", "orange"),
    ("denied", "red"),
    ("other", "purple"),
];

const PURPOSE: &str = "Are messages delivered, and how do recipients react? **At a glance** and the tables show the campaigns sent in the dashboard's **time range**. Ratios exclude campaigns whose receipts are still arriving (thresholds `sms_maturity_seconds`, `whatsapp_maturity_seconds`). A ratio of several campaigns is always sum / sum. Colors follow the default thresholds of the alerts; a dash is a figure that the provider does not report. Click a campaign's name to open its dashboard.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    let mut variables = variable::common();
    variables.push(variable::min_volume());
    Dashboard {
        uid: "campaigns-overview",
        title: "Campaigns / Overview",
        description: "The campaigns of all accounts: deliveries, reactions of recipients, and the campaigns that need attention.",
        from: "now-24h",
        variables,
        annotations: annotation::of_many(),
        rows: vec![
            purpose(PURPOSE),
            data_quality(thresholds),
            at_a_glance(thresholds),
            delivery(thresholds),
            worst_campaigns(thresholds),
            status(thresholds),
            credits(thresholds),
        ],
    }
}

fn data_quality(thresholds: &Thresholds) -> Row {
    let up = Scope::Account.of("campaign_account_up");
    let to_exporter = || [link::same("Exporter and providers", "campaigns-exporter")];
    let or_none = |count: String| format!("{count} or vector(0)");
    row(
        "Data quality",
        [
            stat(
                "Accounts failing",
                "Accounts whose last poll failed. Their data is from their last successful poll, or missing.",
            )
            .query(&format!("count({up} == 0) or 0 * count({up})"), "accounts")
            .unit("short")
            .levels(Levels::Zero)
            .links(to_exporter()),
            freshness::oldest_data(thresholds).links(to_exporter()),
            stat("Critical alerts", "Firing critical alerts.")
                .query(&or_none(count_critical()), "alerts")
                .unit("short")
                .levels(Levels::Zero),
            stat("Warnings", "Firing warnings, except those of critical alerts.")
                .query(&or_none(count_warnings()), "alerts")
                .unit("short")
                .levels(Levels::AboveWarning(1.0)),
            stat(
                "Campaigns",
                "Campaigns in the current data, sent or not, within lookback.",
            )
            .query(
                &format!("sum({})", SCOPE.of("campaign_account_campaigns")),
                "campaigns",
            )
            .unit("short")
            .neutral(),
            stat("Exporter", "The version of each exporter.")
                .query(
                    &format!(
                        "count by (version) ({})",
                        Scope::Exporter.of("campaign_exporter_build_info")
                    ),
                    "{{version}}",
                )
                .unit("none")
                .neutral()
                .options(&json!({"textMode": "name"}))
                .links(to_exporter()),
            firing_alerts(
                "Firing alerts of campaigns, accounts, and exporters. Warnings of critical alerts are not shown. Alerts of accounts have no campaign.",
                "",
            ),
        ],
    )
}

fn at_a_glance(thresholds: &Thresholds) -> Row {
    let share = |title, description: &str, parts: Share| {
        stat(title, description)
            .query(&parts.together(SCOPE, "", &settled(SCOPE)), "ratio")
            .unit("percentunit")
            .decimals(1)
            .sized(3, 4)
            .no_value("none")
            .links([link::same("Campaigns", "campaigns-campaign")])
    };
    row(
        "At a glance: campaigns sent in the time range",
        [
            stat("Campaigns sent", "Campaigns sent in the time range.")
                .query(&format!("count({}) or vector(0)", sent(SCOPE)), "campaigns")
                .unit("short")
                .neutral()
                .sized(3, 4),
            stat(
                "Attempted",
                "Messages attempted by the campaigns sent in the time range: the sends if reported, else the recipients.",
            )
            .query(&sum_of_sent(SCOPE, "", "campaign_attempted"), "messages")
            .unit("short")
            .neutral()
            .no_value("none")
            .sized(3, 4),
            share(
                "Delivered",
                "Share of the attempted and no longer pending messages that were delivered.",
                DELIVERED,
            )
            .levels(Levels::Below {
                warning: thresholds.delivery_ratio_warning,
                critical: thresholds.delivery_ratio_critical,
            }),
            share(
                "Bounced",
                "Share of the attempted messages that could not be delivered, if bounces are reported.",
                BOUNCED,
            )
            .levels(Levels::Above {
                warning: thresholds.account_bounce_ratio_warning,
                critical: thresholds.account_bounce_ratio_critical,
            }),
            share(
                "Opted out",
                "Share of the attempted recipients who opted out, if opt-outs are reported.",
                OPTED_OUT,
            )
            .levels(Levels::Above {
                warning: thresholds.opt_out_ratio_warning,
                critical: thresholds.opt_out_ratio_critical,
            }),
            share(
                "Clicked",
                "Share of the attempted recipients who followed a link, if clicks are reported. Typical values vary too much for a color; compare with the baseline below.",
                CLICKED,
            )
            .neutral(),
            share(
                "Read",
                "Share of the delivered messages that were read, if reads are reported. WhatsApp only, and a lower bound, since recipients can turn off read receipts.",
                READ,
            )
            .levels(Levels::BelowWarning(thresholds.read_ratio_warning)),
            stat(
                "Credits run out in",
                "Days until the first account runs out of credits, at the rate of the last seven days.",
            )
            .query(
                &format!("min({})", Scope::Account.of("account:credits_left:days")),
                "days",
            )
            .unit("d")
            .decimals(1)
            .levels(Levels::BelowWarning(thresholds.credits_days))
            .sized(3, 4)
            .no_value("none"),
        ],
    )
}

fn delivery(thresholds: &Thresholds) -> Row {
    let recent = SCOPE.of("account:delivery_ratio:recent");
    let baseline = SCOPE.of("account:delivery_ratio:baseline");
    let levels = Levels::Below {
        warning: thresholds.delivery_ratio_warning,
        critical: thresholds.delivery_ratio_critical,
    };
    let by_channel = DELIVERED.together(SCOPE, &format!("by ({CHANNEL}) "), &settled(SCOPE));
    row(
        "Delivery",
        [
            timeseries(
                "Delivery of the last day, by account",
                "Delivery ratio without pending messages, over the campaigns of the preceding 24 hours, and the account's baseline of the two weeks before (dashed).",
            )
            .query(&recent, CHANNEL_LEGEND)
            .query(&baseline, &format!("{CHANNEL_LEGEND} baseline"))
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.0)
            .levels(levels)
            .dashed("/baseline$/")
            .no_value("No campaign of the last day has its receipts yet.")
            .sized(24, 11)
            .links([link::SERIES.to_channel(), link::SERIES.to_exporter()]),
            timeseries(
                "Delivery relative to baseline",
                "Delivery ratio of the last day relative to that of the two weeks before. 100 % is usual for the account; alerts fire below the lines if the volume suffices.",
            )
            .query(&format!("{recent} / {baseline}"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.1)
            .levels(Levels::Below {
                warning: thresholds.delivery_of_baseline_warning,
                critical: thresholds.delivery_of_baseline_critical,
            })
            .no_value("No account has campaigns of both the last day and the two weeks before.")
            .links([link::SERIES.to_channel(), link::SERIES.to_exporter()]),
            timeseries(
                "Delivery of the last day, by channel",
                "Across all accounts of an exporter, regardless of the variables, and the two weeks before (dashed). If all accounts of a channel drop together, suspect carriers rather than lists.",
            )
            .query(
                &Scope::ExporterChannel.of("channel:delivery_ratio:recent"),
                "{{channel}}",
            )
            .query(
                &Scope::ExporterChannel.of("channel:delivery_ratio:baseline"),
                "{{channel}} baseline",
            )
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.0)
            .levels(levels)
            .dashed("/baseline$/")
            .no_value("No campaign of the last day has its receipts yet."),
            bargauge(
                "Delivery in the time range, lowest first",
                "Delivery ratio without pending messages, over the campaigns sent in the time range whose receipts should have arrived.",
            )
            .query(&format!("sort({by_channel})"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .range(0.0, 1.0)
            .levels(levels)
            .no_value("No campaign of the time range has its receipts yet.")
            .links([link::SERIES.to_channel(), link::SERIES.to_account()]),
            messages(),
        ],
    )
}

fn messages() -> Panel {
    let stages = [
        ("campaign_attempted", "attempted"),
        ("campaign_deliveries", "delivered"),
        ("campaign_pending", "pending"),
        ("campaign_bounces", "bounced"),
        ("campaign_reads", "read"),
        ("campaign_clicks", "clicked"),
        ("campaign_opt_outs", "opted out"),
    ];
    let panel = bargauge(
        "Messages by outcome",
        "Messages of the campaigns sent in the time range. Not every provider reports every count, so these do not add up; see above for ratios.",
    );
    let panel = stages
        .into_iter()
        .fold(panel, |panel, (count, name)| panel.query(&sum_of_sent(SCOPE, "", count), name));
    panel
        .unit("short")
        .above_zero()
        .neutral()
        .no_value("No campaign was sent in the time range.")
        .links([link::same("Campaigns", "campaigns-campaign")])
}

fn worst_campaigns(thresholds: &Thresholds) -> Row {
    let bad_delivery = Levels::Below {
        warning: thresholds.delivery_ratio_warning,
        critical: thresholds.delivery_ratio_critical,
    };
    row(
        "Campaigns sent in the time range that need attention",
        [
            worst(
                "Lowest delivery",
                "The ten campaigns with the lowest delivery ratio, among those with the minimum volume whose receipts should have arrived.",
                "bottomk",
                &among(&format!("({})", DELIVERED.each(SCOPE)), &settled(SCOPE)),
                figure("Delivered", "percentunit", "").levels(bad_delivery),
                false,
            )
            .sized(24, 8),
            worst(
                "Most bounces",
                "The ten campaigns with the highest bounce ratio, among those with the minimum volume.",
                "topk",
                &among(&SCOPE.of("campaign_bounce_ratio"), &sent(SCOPE)),
                figure("Bounced", "percentunit", "").levels(Levels::Above {
                    warning: thresholds.bounce_ratio_warning,
                    critical: thresholds.bounce_ratio_critical,
                }),
                true,
            ),
            worst(
                "Most opt-outs",
                "The ten campaigns with the highest opt-out ratio, among those with the minimum volume.",
                "topk",
                &among(&SCOPE.of("campaign_opt_out_ratio"), &sent(SCOPE)),
                figure("Opted out", "percentunit", "").levels(Levels::Above {
                    warning: thresholds.opt_out_ratio_warning,
                    critical: thresholds.opt_out_ratio_critical,
                }),
                true,
            ),
            worst(
                "Fewest clicks relative to baseline",
                "The ten campaigns with the lowest click ratio relative to their account's baseline, among those with the minimum volume whose receipts should have arrived.",
                "bottomk",
                &of_baseline("campaign_click_ratio", "account:click_ratio:baseline"),
                figure("Of baseline", "percentunit", "")
                    .levels(Levels::BelowWarning(thresholds.click_of_baseline_warning)),
                false,
            ),
            worst(
                "Fewest reads relative to baseline",
                "The ten campaigns with the lowest read ratio relative to their account's baseline, among those with the minimum volume whose receipts should have arrived. WhatsApp only.",
                "bottomk",
                &of_baseline("campaign_read_ratio", "account:read_ratio:baseline"),
                figure("Of baseline", "percentunit", "")
                    .levels(Levels::BelowWarning(thresholds.read_of_baseline_warning)),
                false,
            ),
        ],
    )
}

/// Ratio of a settled campaign relative to that of its account.
fn of_baseline(campaign: &str, account: &str) -> String {
    format!(
        "({}) / on ({CHANNEL}) group_left () ({} > 0)",
        among(&SCOPE.of(campaign), &settled(SCOPE)),
        SCOPE.of(account)
    )
}

/// Creates a table of the campaigns with the worst values of a measure, above the minimum volume.
fn worst(
    title: &'static str,
    description: &str,
    choose: &str,
    measure: &str,
    column: Figure,
    descending: bool,
) -> Panel {
    let enough = format!("{} >= $min_volume", SCOPE.of("campaign_attempted"));
    let ranked = format!("{choose}(10, {})", among(measure, &enough));
    let column = column.of(&named(SCOPE, &ranked)).decimals(1);
    let of_these = |metric: &str| named(SCOPE, &among(&SCOPE.of(metric), &ranked));
    let sorted_by = column.title();
    table(
        title,
        description,
        campaign_columns(),
        vec![
            column,
            figure("Attempted", "short", &of_these("campaign_attempted")),
            figure("Age", "s", &of_these("campaign:age:seconds")).decimals(0),
        ],
        (sorted_by, descending),
    )
    .sized(12, 8)
    .no_value("No campaign in the time range has the minimum volume and reports this.")
}

fn status(thresholds: &Thresholds) -> Row {
    let statuses = SCOPE.of("campaign_status");
    let unsent = SCOPE.with("campaign_status", r#"status=~"waiting|in_moderation|denied""#);
    let of_unsent = |metric: &str| with_status(&among(&SCOPE.of(metric), &unsent));
    let waits = SCOPE.with("campaign_status", r#"status=~"waiting|in_moderation""#);
    let in_moderation = SCOPE.with("campaign_status", r#"status="in_moderation""#);
    let mut columns = campaign_columns();
    columns.insert(1, label("status", "Status").wide(120));
    // selected once, at the end of the range; otherwise, lines would come and go
    let newest = format!(
        "topk(20, ({} @ end() or {} @ end() or {} @ end()) and on ({CAMPAIGN}) {statuses} @ end())",
        SCOPE.of("campaign_last_sent_timestamp_seconds"),
        SCOPE.of("campaign_scheduled_timestamp_seconds"),
        SCOPE.of("campaign_created_timestamp_seconds"),
    );
    let numbered: Vec<String> = (1..)
        .zip(STATUSES)
        .map(|(number, (name, _))| {
            let matcher = format!(r#"status="{name}""#);
            format!("{number} * {}", SCOPE.with("campaign_status", &matcher))
        })
        .collect();
    let timeline = format!("({})", numbered.join(" or "));
    row(
        "Status, if reported by the provider",
        [
            bargauge(
                "Campaigns by status",
                "Campaigns in the current data by the status that the provider reports.",
            )
            .query(&format!("count by (status) ({statuses})"), "{{status}}")
            .unit("short")
            .above_zero()
            .neutral()
            .no_value("No provider of these accounts reports a status.")
            .sized(8, 8)
            .links([link::same("Campaigns", "campaigns-campaign")]),
            table(
                "Not sent yet",
                "Campaigns that are waiting, in moderation, or denied. Colored if in moderation, or overdue, for longer than the thresholds.",
                columns,
                vec![
                    figure(
                        "Moderation",
                        "s",
                        &with_status(&among(
                            &format!(
                                "(time() - {})",
                                SCOPE.of("campaign_created_timestamp_seconds")
                            ),
                            &in_moderation,
                        )),
                    )
                    .decimals(0)
                    .levels(Levels::AboveWarning(thresholds.moderation_seconds)),
                    figure(
                        "Due in",
                        "s",
                        &with_status(&among(
                            &format!(
                                "({} - time())",
                                SCOPE.of("campaign_scheduled_timestamp_seconds")
                            ),
                            &waits,
                        )),
                    )
                    .decimals(0)
                    .levels(Levels::BelowWarning(-thresholds.overdue_seconds)),
                    figure("Recipients", "short", &of_unsent("campaign_recipients")),
                    figure("Credits", "short", &of_unsent("campaign_cost_credits")),
                ],
                ("Due in", false),
            )
            .sized(16, 8)
            .no_value("No unsent campaigns."),
            state_timeline(
                "Status over time",
                "Status of the twenty newest campaigns whose provider reports one.",
                &STATUSES,
            )
            .query(&named_among(SCOPE, &timeline, &newest), "{{campaign_name}} ({{account}})")
            .unit("none")
            .no_value("No provider of these accounts reports a status.")
            .links([link::SERIES.to_campaign()]),
        ],
    )
}

/// Adds the names and statuses of campaigns.
fn with_status(expression: &str) -> String {
    format!(
        "max by ({CAMPAIGN}, campaign_name, status) ({} * on ({CAMPAIGN}) group_left (status) topk by ({CAMPAIGN}) (1, {}))",
        named(SCOPE, expression),
        SCOPE.of("campaign_status")
    )
}

fn credits(thresholds: &Thresholds) -> Row {
    let of_account = |metric: &str| format!("max by ({ACCOUNT}) ({})", Scope::Account.of(metric));
    row(
        "Credits",
        [
            table(
                "Credits by account",
                "Accounts whose provider reports the remaining credits: credits spent in seven days, cost of scheduled campaigns, and days until the credits run out at the rate of the last seven days.",
                account_columns(),
                vec![
                    figure("Left", "short", &of_account("campaign_account_credits")),
                    figure("Spent, 7 d", "short", &of_account("account:credits_spent:7d")),
                    figure("Scheduled", "short", &of_account("account:credits_scheduled:sum")),
                    figure("Run out in", "d", &of_account("account:credits_left:days"))
                        .decimals(1)
                        .levels(Levels::BelowWarning(thresholds.credits_days)),
                ],
                ("Left", false),
            )
            .sized(16, 7)
            .no_value("No provider of these accounts reports the remaining credits."),
            timeseries(
                "Credits left",
                "Remaining credits by account. An increase is a top-up.",
            )
            .query(&Scope::Account.of("campaign_account_credits"), "{{account}}")
            .unit("short")
            .above_zero()
            .no_value("No provider of these accounts reports the remaining credits.")
            .sized(8, 7)
            .links([link::SERIES.to_account(), link::SERIES.to_exporter()]),
        ],
    )
}
