//! All accounts at a glance, and the campaigns that need a look.

use serde_json::json;

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, bargauge, stat, state_timeline, timeseries};
use super::query::{
    ACCOUNT, BOUNCED, CAMPAIGN, CHANNEL, CLICKED, DELIVERED, OPTED_OUT, READ, Scope, Share, among,
    count_critical, count_warnings, firing, named, named_among, sent, settled, sum_of_sent,
};
use super::table::{Figure, account_columns, campaign_columns, figure, label, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, freshness, variable};

const SCOPE: Scope = Scope::Channel;

/// What a series of an account and a channel is called.
const CHANNEL_LEGEND: &str = "{{account}} {{channel}}";

/// The statuses that there are, with their colours.
const STATUSES: [(&str, &str); 6] = [
    ("sent", "green"),
    ("in_progress", "blue"),
    ("waiting", "light-blue"),
    ("in_moderation", "orange"),
    ("denied", "red"),
    ("other", "purple"),
];

const PURPOSE: &str = "Do messages arrive, and what do people make of them? **At a glance** and the tables are about the campaigns sent in the dashboard's **time range**; ratios leave out those whose receipts are still coming in (thresholds `sms_maturity_seconds`, `whatsapp_maturity_seconds`). A ratio is always a sum over a sum, colours are the alerts' default thresholds, and a dash is a figure that the provider does not report. Follow a campaign's name to its own dashboard.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    let mut variables = variable::common();
    variables.push(variable::min_volume());
    Dashboard {
        uid: "campaigns-overview",
        title: "Campaigns / Overview",
        description: "All accounts of SMS and WhatsApp campaigns: what arrives, what people make of it, and the campaigns that need a look.",
        from: "now-24h",
        variables,
        annotations: annotation::of_many(),
        rows: vec![
            purpose(PURPOSE),
            is_the_data_good(thresholds),
            at_a_glance(thresholds),
            delivery(thresholds),
            worst_campaigns(thresholds),
            status(thresholds),
            credits(thresholds),
        ],
    }
}

fn is_the_data_good(thresholds: &Thresholds) -> Row {
    let up = Scope::Account.of("campaign_account_up");
    let to_exporter = || [link::same("Exporter and providers", "campaigns-exporter")];
    let or_none = |count: String| format!("{count} or vector(0)");
    row(
        "Is the data good?",
        [
            stat(
                "Accounts failing",
                "Accounts whose last poll failed. What is shown of them is from their last good poll, or gone.",
            )
            .query(&format!("count({up} == 0) or 0 * count({up})"), "accounts")
            .unit("short")
            .levels(Levels::Zero)
            .links(to_exporter()),
            freshness::oldest_data(thresholds).links(to_exporter()),
            stat("Critical alerts", "Critical alerts that fire now.")
                .query(&or_none(count_critical()), "alerts")
                .unit("short")
                .levels(Levels::Zero),
            stat("Warnings", "Warnings that fire now, but for those of what is critical already.")
                .query(&or_none(count_warnings()), "alerts")
                .unit("short")
                .levels(Levels::AboveWarning(1.0)),
            stat(
                "Campaigns",
                "Campaigns in the current data, sent or not, as far back as lookback goes.",
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
            alerts(),
        ],
    )
}

/// The alerts that fire, with what they are about.
fn alerts() -> Panel {
    let mut columns = vec![
        label("alertname", "Alert"),
        label("severity", "Severity").wide(90),
        label("team", "Team").wide(130),
    ];
    columns.extend(campaign_columns());
    table(
        "Alerts that fire",
        "Alerts of campaigns, accounts and exporters that fire now; one that is critical is not shown as a warning, too. An alert about an account has no campaign.",
        columns,
        vec![figure("Since", "dateTimeFromNow", &firing(""))],
        ("Since", true),
    )
    .sized(24, 9)
    .no_value("No alert fires.")
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
                "Messages of the campaigns sent in the time range: the sends where they are reported, else the recipients.",
            )
            .query(&sum_of_sent(SCOPE, "", "campaign_attempted"), "messages")
            .unit("short")
            .neutral()
            .no_value("none")
            .sized(3, 4),
            share(
                "Delivered",
                "Delivered of what was attempted and is no longer pending.",
                DELIVERED,
            )
            .levels(Levels::Below {
                warning: thresholds.delivery_ratio_warning,
                critical: thresholds.delivery_ratio_critical,
            }),
            share(
                "Bounced",
                "Could not be delivered, of what was attempted, where bounces are reported.",
                BOUNCED,
            )
            .levels(Levels::Above {
                warning: thresholds.account_bounce_ratio_warning,
                critical: thresholds.account_bounce_ratio_critical,
            }),
            share(
                "Opted out",
                "Recipients who opted out, of those attempted, where opt-outs are reported.",
                OPTED_OUT,
            )
            .levels(Levels::Above {
                warning: thresholds.opt_out_ratio_warning,
                critical: thresholds.opt_out_ratio_critical,
            }),
            share(
                "Clicked",
                "Recipients who followed a link, of those attempted, where clicks are reported. What is usual differs too much for a colour: see how it compares below.",
                CLICKED,
            )
            .neutral(),
            share(
                "Read",
                "Messages read, of those delivered, where reads are reported: WhatsApp only, and a lower bound, since people can turn receipts off.",
                READ,
            )
            .levels(Levels::BelowWarning(thresholds.read_ratio_warning)),
            stat(
                "Credits last",
                "Days until the first account has spent its credits, at the pace of the last seven days.",
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
                "Delivered of what is decided, over the campaigns of the 24 hours before each moment; dashed, the same of the two weeks before: the account's baseline.",
            )
            .query(&recent, CHANNEL_LEGEND)
            .query(&baseline, &format!("{CHANNEL_LEGEND} baseline"))
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.0)
            .levels(levels)
            .dashed("/baseline$/")
            .no_value("No campaign of the last day is settled.")
            .sized(24, 11)
            .links([link::series_to_channel(), link::series_to_exporter()]),
            timeseries(
                "Delivery as a part of the baseline",
                "The last day's delivery over that of the two weeks before. 100 % is as usual for the account; below the lines the account's alerts fire, if it sent enough.",
            )
            .query(&format!("{recent} / {baseline}"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.5, 1.1)
            .levels(Levels::Below {
                warning: thresholds.delivery_of_baseline_warning,
                critical: thresholds.delivery_of_baseline_critical,
            })
            .no_value("No account has campaigns of the last day and of the two weeks before.")
            .links([link::series_to_channel(), link::series_to_exporter()]),
            timeseries(
                "Delivery of the last day, by channel",
                "Over all accounts of an exporter, whichever are chosen: if all of a channel's accounts fall at once, look at carriers, not at lists. Dashed, the two weeks before.",
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
            .no_value("No campaign of the last day is settled."),
            bargauge(
                "Delivery in the time range, lowest first",
                "Delivered of what is decided, over the settled campaigns sent in the time range.",
            )
            .query(&format!("sort({by_channel})"), CHANNEL_LEGEND)
            .unit("percentunit")
            .decimals(1)
            .range(0.0, 1.0)
            .levels(levels)
            .no_value("No campaign of the time range is settled.")
            .links([link::series_to_channel(), link::series_to_account()]),
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
        "What became of the messages",
        "Messages of the campaigns sent in the time range. Not all providers report all of it, so these are no parts of a whole: for ratios see above.",
    );
    let panel = stages.into_iter().fold(panel, |panel, (count, name)| {
        panel.query(&sum_of_sent(SCOPE, "", count), name)
    });
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
        "Campaigns sent in the time range that need a look",
        [
            worst(
                "Lowest delivery",
                "The ten settled campaigns of which the least arrived, of those with the minimum volume.",
                "bottomk",
                &among(&format!("({})", DELIVERED.each(SCOPE)), &settled(SCOPE)),
                figure("Delivered", "percentunit", "").levels(bad_delivery),
                false,
            )
            .sized(24, 8),
            worst(
                "Most bounces",
                "The ten campaigns with the highest part of messages that could not be delivered, of those with the minimum volume.",
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
                "The ten campaigns with the highest part of recipients who opted out, of those with the minimum volume.",
                "topk",
                &among(&SCOPE.of("campaign_opt_out_ratio"), &sent(SCOPE)),
                figure("Opted out", "percentunit", "").levels(Levels::Above {
                    warning: thresholds.opt_out_ratio_warning,
                    critical: thresholds.opt_out_ratio_critical,
                }),
                true,
            ),
            worst(
                "Fewest clicks for the account",
                "The ten settled campaigns whose click ratio is the lowest part of their account's baseline, of those with the minimum volume.",
                "bottomk",
                &of_baseline("campaign_click_ratio", "account:click_ratio:baseline"),
                figure("Of usual", "percentunit", "")
                    .levels(Levels::BelowWarning(thresholds.click_of_baseline_warning)),
                false,
            ),
            worst(
                "Fewest reads for the account",
                "The ten settled campaigns whose read ratio is the lowest part of their account's baseline, of those with the minimum volume. WhatsApp only.",
                "bottomk",
                &of_baseline("campaign_read_ratio", "account:read_ratio:baseline"),
                figure("Of usual", "percentunit", "")
                    .levels(Levels::BelowWarning(thresholds.read_of_baseline_warning)),
                false,
            ),
        ],
    )
}

/// A settled campaign's ratio as a part of its account's.
fn of_baseline(campaign: &str, account: &str) -> String {
    format!(
        "({}) / on ({CHANNEL}) group_left () ({} > 0)",
        among(&SCOPE.of(campaign), &settled(SCOPE)),
        SCOPE.of(account)
    )
}

/// The campaigns of the minimum volume with the worst of a measure.
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
    let unsent = SCOPE.with(
        "campaign_status",
        r#"status=~"waiting|in_moderation|denied""#,
    );
    let of_unsent = |metric: &str| with_status(&among(&SCOPE.of(metric), &unsent));
    let waits = SCOPE.with("campaign_status", r#"status=~"waiting|in_moderation""#);
    let in_moderation = SCOPE.with("campaign_status", r#"status="in_moderation""#);
    let mut columns = campaign_columns();
    columns.insert(1, label("status", "Status").wide(120));
    // the campaigns that are drawn are chosen once, at the end, or lines would come and go
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
        "Status, where the provider tells it",
        [
            bargauge(
                "Campaigns by status",
                "Campaigns in the current data by the status that the provider gives them.",
            )
            .query(&format!("count by (status) ({statuses})"), "{{status}}")
            .unit("short")
            .above_zero()
            .neutral()
            .no_value("No provider of these accounts tells a status.")
            .sized(8, 8)
            .links([link::same("Campaigns", "campaigns-campaign")]),
            table(
                "Not sent yet",
                "Campaigns that wait for their time or for moderation, or were denied. Coloured are those in moderation, and those past their time, for longer than the thresholds.",
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
            .no_value("No campaign waits."),
            state_timeline(
                "Status over time",
                "The status of the twenty newest campaigns of providers that tell one.",
                &STATUSES,
            )
            .query(&named_among(SCOPE, &timeline, &newest), "{{campaign_name}} ({{account}})")
            .unit("none")
            .no_value("No provider of these accounts tells a status.")
            .links([link::series_to_campaign()]),
        ],
    )
}

/// Campaigns with their names and their statuses.
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
                "Accounts whose provider tells the credits left: what they spent in seven days, what planned campaigns will cost, and how long the rest lasts at that pace.",
                account_columns(),
                vec![
                    figure("Left", "short", &of_account("campaign_account_credits")),
                    figure("Spent, 7 d", "short", &of_account("account:credits_spent:7d")),
                    figure("Planned", "short", &of_account("account:credits_scheduled:sum")),
                    figure("Last for", "d", &of_account("account:credits_left:days"))
                        .decimals(1)
                        .levels(Levels::BelowWarning(thresholds.credits_days)),
                ],
                ("Left", false),
            )
            .sized(16, 7)
            .no_value("No provider of these accounts tells the credits left."),
            timeseries(
                "Credits left",
                "The credits left by account; a step up is a top-up.",
            )
            .query(&Scope::Account.of("campaign_account_credits"), "{{account}}")
            .unit("short")
            .above_zero()
            .no_value("No provider of these accounts tells the credits left.")
            .sized(8, 7)
            .links([link::series_to_account(), link::series_to_exporter()]),
        ],
    )
}
