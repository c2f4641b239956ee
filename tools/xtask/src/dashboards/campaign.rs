//! One or a few campaigns: results, failures, and comparison with other campaigns.

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, bargauge, stat, timeseries};
use super::query::{
    BOUNCED, CHANNEL, CLICKED, DELIVERED, OPTED_OUT, READ, Scope, Share, drawn, named, named_among,
};
use super::table::{Figure, campaign_columns, figure, firing_alerts, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, variable};

const SCOPE: Scope = Scope::Campaign;

/// Legend of a campaign's series.
const LEGEND: &str = "{{campaign_name}} ({{account}})";

/// Shown instead of missing figures.
const NOT_REPORTED: &str = "Nothing has been sent yet, or the provider does not report this.";

const PURPOSE: &str = "Results of the campaigns selected under **Campaign**. Figures are the provider's current counts, which keep changing for days; a dash is a figure that the provider does not report. If more than twenty campaigns are selected, graphs show the twenty sent last. To return to all campaigns, use **Campaign dashboards** above.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    let mut variables = variable::common();
    variables.push(variable::campaign());
    Dashboard {
        uid: "campaigns-campaign",
        title: "Campaigns / Campaign",
        description: "One or a few campaigns: results over time, comparison with other campaigns of the account, and alerts.",
        from: "now-24h",
        variables,
        annotations: annotation::of_campaigns(),
        rows: vec![
            purpose(PURPOSE),
            now(thresholds),
            over_time(thresholds),
            failures(),
            comparison(thresholds),
        ],
    }
}

/// A metric of the displayed campaigns.
fn line(metric: &str) -> String {
    named_among(SCOPE, &SCOPE.of(metric), &drawn())
}

fn delivery_levels(thresholds: &Thresholds) -> Levels {
    Levels::Below {
        warning: thresholds.delivery_ratio_warning,
        critical: thresholds.delivery_ratio_critical,
    }
}

fn bounce_levels(thresholds: &Thresholds) -> Levels {
    Levels::Above {
        warning: thresholds.bounce_ratio_warning,
        critical: thresholds.bounce_ratio_critical,
    }
}

fn opt_out_levels(thresholds: &Thresholds) -> Levels {
    Levels::Above {
        warning: thresholds.opt_out_ratio_warning,
        critical: thresholds.opt_out_ratio_critical,
    }
}

fn now(thresholds: &Thresholds) -> Row {
    let all = SCOPE.of("campaign_info");
    let share = |title, description: &str, parts: Share| {
        stat(title, description)
            .query(&parts.together(SCOPE, "", &all), "ratio")
            .unit("percentunit")
            .decimals(1)
            .no_value("not reported")
            .sized(3, 4)
    };
    row(
        "Now",
        [
            stat(
                "Last sent",
                "When the most recent of these campaigns was sent.",
            )
            .query(
                &format!(
                    "1000 * max({})",
                    SCOPE.of("campaign_last_sent_timestamp_seconds")
                ),
                "sent",
            )
            .unit("dateTimeFromNow")
            .neutral()
            .no_value("not yet")
            .sized(3, 4)
            .options(&serde_json::json!({"text": {"valueSize": 18}})),
            stat(
                "Attempted",
                "Messages attempted: the sends if reported, else the recipients.",
            )
            .query(&format!("sum({})", SCOPE.of("campaign_attempted")), "messages")
            .unit("short")
            .neutral()
            .no_value("none yet")
            .sized(3, 4),
            share(
                "Delivered",
                "Share of the attempted and no longer pending messages that were delivered. It increases for hours after a campaign is sent.",
                DELIVERED,
            )
            .levels(delivery_levels(thresholds)),
            share(
                "Bounced",
                "Share of the attempted messages that could not be delivered, if bounces are reported.",
                BOUNCED,
            )
            .levels(bounce_levels(thresholds)),
            share(
                "Opted out",
                "Share of the attempted recipients who opted out, if opt-outs are reported.",
                OPTED_OUT,
            )
            .levels(opt_out_levels(thresholds)),
            share(
                "Clicked",
                "Share of the attempted recipients who followed a link, if clicks are reported.",
                CLICKED,
            )
            .neutral(),
            share(
                "Read",
                "Share of the delivered messages that were read, if reads are reported.",
                READ,
            )
            .levels(Levels::BelowWarning(thresholds.read_ratio_warning)),
            stat("Cost", "Cost of these campaigns in the provider's credits.")
                .query(
                    &format!("sum({})", SCOPE.of("campaign_cost_credits")),
                    "credits",
                )
                .unit("short")
                .neutral()
                .no_value("not reported")
                .sized(3, 4),
            chosen(thresholds),
            firing_alerts(
        "Firing alerts of these campaigns, their accounts, and their exporters. Warnings of critical alerts are not shown.",
        r#", campaign_id=~"$campaign|""#,
    ),
        ],
    )
}

/// Columns for comparing campaigns.
fn figures(thresholds: &Thresholds, of: &dyn Fn(&str) -> String) -> Vec<Figure> {
    let share = |title, metric| figure(title, "percentunit", &of(metric)).decimals(1);
    vec![
        figure("Age", "s", &of("campaign:age:seconds")).decimals(0),
        figure("Attempted", "short", &of("campaign_attempted")),
        share("Delivered", "campaign_delivery_ratio").levels(delivery_levels(thresholds)),
        share("Bounced", "campaign_bounce_ratio").levels(bounce_levels(thresholds)),
        share("Opted out", "campaign_opt_out_ratio").levels(opt_out_levels(thresholds)),
        share("Clicked", "campaign_click_ratio"),
        share("Read", "campaign_read_ratio")
            .levels(Levels::BelowWarning(thresholds.read_ratio_warning)),
    ]
}

fn chosen(thresholds: &Thresholds) -> Panel {
    let of = |metric: &str| named(SCOPE, &SCOPE.of(metric));
    let mut figures = figures(thresholds, &of);
    // campaigns not sent yet have no age, but should be listed
    figures.push(figure("Recipients", "short", &of("campaign_recipients")));
    figures.push(figure("Pending", "short", &of("campaign_pending")));
    figures.push(figure("Replies", "short", &of("campaign_replies")));
    figures.push(figure("Cost", "short", &of("campaign_cost_credits")));
    table(
        "Selected campaigns",
        "The selected campaigns with the provider's current counts. Delivered is the share of all attempted messages, including pending ones.",
        campaign_columns(),
        figures,
        ("Age", false),
    )
    .sized(24, 5)
}

fn over_time(thresholds: &Thresholds) -> Row {
    let to_campaign = || [link::SERIES.to_campaign(), link::SERIES.to_account()];
    let baseline = format!(
        "{} and on ({CHANNEL}) ({})",
        Scope::Channel.of("account:delivery_ratio:baseline"),
        SCOPE.of("campaign_info")
    );
    row(
        "Over time",
        [
            timeseries(
                "Deliveries",
                "Messages delivered, and attempted (dashed). If a curve levels off below its dashed line, the campaign has stalled or the missing messages bounced.",
            )
            .query(&line("campaign_deliveries"), LEGEND)
            .query(&line("campaign_attempted"), &format!("{LEGEND} attempted"))
            .unit("short")
            .above_zero()
            .dashed("/ attempted$/")
            .no_value(NOT_REPORTED)
            .links(to_campaign()),
            timeseries(
                "Delivery ratio",
                "Share of all attempted messages that were delivered, and the baseline of the account's campaigns of the previous two weeks (dashed). Alerts ignore it until receipts should have arrived.",
            )
            .query(&line("campaign_delivery_ratio"), LEGEND)
            .query(&baseline, "{{account}} {{channel}} baseline")
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.0, 1.0)
            .levels(delivery_levels(thresholds))
            .dashed("/ baseline$/")
            .no_value(NOT_REPORTED)
            .links([link::SERIES.to_account()]),
            timeseries(
                "Pending and bounced",
                "Messages whose delivery is not confirmed yet, and messages that could not be delivered.",
            )
            .query(&line("campaign_pending"), &format!("{LEGEND} pending"))
            .query(&line("campaign_bounces"), &format!("{LEGEND} bounced"))
            .unit("short")
            .above_zero()
            .no_value(NOT_REPORTED)
            .links(to_campaign()),
            timeseries(
                "Opt-out ratio",
                "Share of the attempted recipients who opted out.",
            )
            .query(&line("campaign_opt_out_ratio"), LEGEND)
            .unit("percentunit")
            .above_zero()
            .levels(opt_out_levels(thresholds))
            .no_value(NOT_REPORTED)
            .links(to_campaign()),
            timeseries(
                "Clicks, reads, and replies",
                "Reactions of recipients, if reported by the provider. A recipient may reply several times.",
            )
            .query(&line("campaign_clicks"), &format!("{LEGEND} clicks"))
            .query(&line("campaign_reads"), &format!("{LEGEND} reads"))
            .query(&line("campaign_replies"), &format!("{LEGEND} replies"))
            .unit("short")
            .above_zero()
            .no_value(NOT_REPORTED)
            .links(to_campaign()),
            timeseries(
                "Deliveries per hour",
                "Change of the number of deliveries in the last hour. It is negative if the provider takes deliveries back.",
            )
            .query(
                &named_among(
                    SCOPE,
                    &format!("delta({}[1h])", SCOPE.of("campaign_deliveries")),
                    &drawn(),
                ),
                LEGEND,
            )
            .unit("short")
            .no_value(NOT_REPORTED)
            .links(to_campaign()),
        ],
    )
}

fn failures() -> Row {
    row(
        "Failures",
        [
            bargauge(
                "Failures by reason",
                "Messages that could not be delivered, by the reason that the provider reports.",
            )
            .query(
                &format!("sort_desc(sum by (reason) ({}))", SCOPE.of("campaign_failures")),
                "{{reason}}",
            )
            .unit("short")
            .above_zero()
            .neutral()
            .sized(12, 11)
            .no_value("The provider reports no reasons.")
            .links([link::same("Overview", "campaigns-overview")]),
            timeseries("Failures by reason, over time", "The same for the moments before.")
                .query(
                    &format!("sum by (reason) ({})", SCOPE.of("campaign_failures")),
                    "{{reason}}",
                )
                .unit("short")
                .above_zero()
                .no_value("The provider reports no reasons.")
                .links([link::same("Overview", "campaigns-overview")]),
        ],
    )
}

fn comparison(thresholds: &Thresholds) -> Row {
    let others = format!(
        "topk by ({CHANNEL}) (20, {} and on ({CHANNEL}) ({}))",
        Scope::Channel.of("campaign_last_sent_timestamp_seconds"),
        SCOPE.of("campaign_info"),
    );
    let of = |metric: &str| named_among(Scope::Channel, &Scope::Channel.of(metric), &others);
    row(
        "Comparison",
        [table(
            "The account's last twenty campaigns",
            "The campaigns sent last by the same account over the same channel.",
            campaign_columns(),
            figures(thresholds, &of),
            ("Age", false),
        )
        .sized(24, 10)],
    )
}
