//! One campaign, or a few: what became of its messages, and how it compares.

use super::dashboard::{Dashboard, Row, purpose, row};
use super::link;
use super::panel::{Panel, bargauge, stat, timeseries};
use super::query::{
    BOUNCED, CHANNEL, CLICKED, DELIVERED, OPTED_OUT, READ, Scope, Share, drawn, firing, named,
    named_among,
};
use super::table::{Figure, campaign_columns, figure, label, table};
use super::thresholds::{Levels, Thresholds};
use super::{annotation, variable};

const SCOPE: Scope = Scope::Campaign;

/// What a series of a campaign is called.
const LEGEND: &str = "{{campaign_name}} ({{account}})";

/// What is shown in the place of figures that are not there.
const NOT_TOLD: &str = "Nothing was sent yet, or the provider does not tell.";

const PURPOSE: &str = "What became of the campaigns chosen under **Campaign**? Figures are as the provider counts them now; it keeps counting for days, and a dash is a figure that it does not report. If more than twenty are chosen, graphs draw the twenty that were sent last. Go back to all of them by **Campaign dashboards**, above.";

/// The dashboard.
pub(crate) fn dashboard(thresholds: &Thresholds) -> Dashboard {
    let mut variables = variable::common();
    variables.push(variable::campaign());
    Dashboard {
        uid: "campaigns-campaign",
        title: "Campaigns / Campaign",
        description: "One campaign, or a few: what became of its messages over time, how it compares with its account, and its alerts.",
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

/// A metric of the campaigns that are drawn.
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
            .no_value("not told")
            .sized(3, 4)
    };
    row(
        "Now",
        [
            stat(
                "Last sent",
                "When the last of these campaigns was sent.",
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
                "Messages: the sends where they are reported, else the recipients.",
            )
            .query(&format!("sum({})", SCOPE.of("campaign_attempted")), "messages")
            .unit("short")
            .neutral()
            .no_value("none yet")
            .sized(3, 4),
            share(
                "Delivered",
                "Delivered of what was attempted and is no longer pending. It grows for hours after a campaign was sent.",
                DELIVERED,
            )
            .levels(delivery_levels(thresholds)),
            share(
                "Bounced",
                "Could not be delivered, of what was attempted, where bounces are reported.",
                BOUNCED,
            )
            .levels(bounce_levels(thresholds)),
            share(
                "Opted out",
                "Recipients who opted out, of those attempted, where opt-outs are reported.",
                OPTED_OUT,
            )
            .levels(opt_out_levels(thresholds)),
            share(
                "Clicked",
                "Recipients who followed a link, of those attempted, where clicks are reported.",
                CLICKED,
            )
            .neutral(),
            share(
                "Read",
                "Messages read, of those delivered, where reads are reported.",
                READ,
            )
            .levels(Levels::BelowWarning(thresholds.read_ratio_warning)),
            stat("Cost", "What these campaigns cost, in the provider's credits.")
                .query(
                    &format!("sum({})", SCOPE.of("campaign_cost_credits")),
                    "credits",
                )
                .unit("short")
                .neutral()
                .no_value("not told")
                .sized(3, 4),
            chosen(thresholds),
            alerts(),
        ],
    )
}

/// The columns of figures that campaigns are held against each other by.
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
    // those not sent yet have no age, and should be seen
    figures.push(figure("Recipients", "short", &of("campaign_recipients")));
    figures.push(figure("Pending", "short", &of("campaign_pending")));
    figures.push(figure("Replies", "short", &of("campaign_replies")));
    figures.push(figure("Cost", "short", &of("campaign_cost_credits")));
    table(
        "Campaigns in view",
        "The campaigns that are chosen, as the provider counts them now. Delivered is of all attempted, pending included.",
        campaign_columns(),
        figures,
        ("Age", false),
    )
    .sized(24, 5)
}

fn alerts() -> Panel {
    let mut columns = vec![
        label("alertname", "Alert"),
        label("severity", "Severity").wide(90),
        label("team", "Team").wide(130),
    ];
    columns.extend(campaign_columns());
    table(
        "Alerts that fire",
        "Alerts about these campaigns, and about their accounts and exporters; one that is critical is not shown as a warning, too.",
        columns,
        vec![figure(
            "Since",
            "dateTimeFromNow",
            &firing(r#", campaign_id=~"$campaign|""#),
        )],
        ("Since", true),
    )
    .sized(24, 9)
    .no_value("No alert fires.")
}

fn over_time(thresholds: &Thresholds) -> Row {
    let to_campaign = || [link::series_to_campaign(), link::series_to_account()];
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
                "Messages delivered; dashed, how many were attempted. A curve that stops below its dashed line has stalled, or what is missing bounced.",
            )
            .query(&line("campaign_deliveries"), LEGEND)
            .query(&line("campaign_attempted"), &format!("{LEGEND} attempted"))
            .unit("short")
            .above_zero()
            .dashed("/ attempted$/")
            .no_value(NOT_TOLD)
            .links(to_campaign()),
            timeseries(
                "Delivery ratio",
                "Delivered of all attempted; dashed, what the account's campaigns of two weeks came to. Alerts judge it only once receipts should be in.",
            )
            .query(&line("campaign_delivery_ratio"), LEGEND)
            .query(&baseline, "{{account}} {{channel}} baseline")
            .unit("percentunit")
            .decimals(1)
            .soft_range(0.0, 1.0)
            .levels(delivery_levels(thresholds))
            .dashed("/ baseline$/")
            .no_value(NOT_TOLD)
            .links([link::series_to_account()]),
            timeseries(
                "Pending and bounced",
                "Messages whose delivery is not confirmed yet, and messages that could not be delivered.",
            )
            .query(&line("campaign_pending"), &format!("{LEGEND} pending"))
            .query(&line("campaign_bounces"), &format!("{LEGEND} bounced"))
            .unit("short")
            .above_zero()
            .no_value(NOT_TOLD)
            .links(to_campaign()),
            timeseries(
                "Opt-out ratio",
                "Recipients who opted out, of those attempted.",
            )
            .query(&line("campaign_opt_out_ratio"), LEGEND)
            .unit("percentunit")
            .above_zero()
            .levels(opt_out_levels(thresholds))
            .no_value(NOT_TOLD)
            .links(to_campaign()),
            timeseries(
                "Clicks, reads and replies",
                "What people did, where the provider reports it. One recipient may reply several times.",
            )
            .query(&line("campaign_clicks"), &format!("{LEGEND} clicks"))
            .query(&line("campaign_reads"), &format!("{LEGEND} reads"))
            .query(&line("campaign_replies"), &format!("{LEGEND} replies"))
            .unit("short")
            .above_zero()
            .no_value(NOT_TOLD)
            .links(to_campaign()),
            timeseries(
                "Change within an hour",
                "By how many messages the deliveries changed in the hour before. They fall below zero where the provider takes some back.",
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
            .no_value(NOT_TOLD)
            .links(to_campaign()),
        ],
    )
}

fn failures() -> Row {
    row(
        "Why messages did not arrive",
        [
            bargauge(
                "Failures by reason",
                "Messages that could not be delivered, by the provider's reason, where it tells one: npai is a number that is not in service.",
            )
            .query(
                &format!("sort_desc(sum by (reason) ({}))", SCOPE.of("campaign_failures")),
                "{{reason}}",
            )
            .unit("short")
            .above_zero()
            .neutral()
            .sized(12, 11)
            .no_value("The provider tells no reasons.")
            .links([link::same("Overview", "campaigns-overview")]),
            timeseries(
                "Failures by reason, over time",
                "The same for the moments before.",
            )
            .query(
                &format!("sum by (reason) ({})", SCOPE.of("campaign_failures")),
                "{{reason}}",
            )
            .unit("short")
            .above_zero()
            .no_value("The provider tells no reasons.")
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
        "How it compares",
        [table(
            "The account's last twenty campaigns",
            "The campaigns that the same account sent last by the same channel.",
            campaign_columns(),
            figures(thresholds, &of),
            ("Age", false),
        )
        .sized(24, 10)],
    )
}
