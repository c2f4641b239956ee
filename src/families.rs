//! The table of what is exported about campaigns and accounts, and its rendering.

use chrono::{DateTime, Utc};

use crate::campaign::{Campaign, Ratio};
use crate::exposition::{Format, Writer, labels};
use crate::snapshot::{AccountState, Snapshot};

/// What every campaign metric's HELP ends with, as the exporter guide of Prometheus asks of
/// whatever is not read at the scrape.
const BACKGROUND: &str = "Read from the provider in the background; \
    campaign_account_last_success_timestamp_seconds tells when.";

/// A metric with one value, at most, for each `T`.
struct Family<T> {
    name: &'static str,
    help: &'static str,
    value: fn(&T) -> Option<f64>,
}

/// What has a value of its own for each campaign. `campaign_info`, `campaign_status` and
/// `campaign_failures` have labels of their own and are written below.
const CAMPAIGN_FAMILIES: &[Family<Campaign>] = &[
    Family {
        name: "campaign_last_sent_timestamp_seconds",
        help: "When the campaign was last sent, in unix time; absent while nothing was sent yet.",
        value: |campaign| timestamp(campaign.last_sent),
    },
    Family {
        name: "campaign_scheduled_timestamp_seconds",
        help: "When the campaign is to be sent, in unix time; absent once it was.",
        value: |campaign| timestamp(campaign.scheduled),
    },
    Family {
        name: "campaign_created_timestamp_seconds",
        help: "When the campaign was made, in unix time; absent once it was sent.",
        value: |campaign| timestamp(campaign.created),
    },
    Family {
        name: "campaign_recipients",
        help: "Recipients that the campaign was made for.",
        value: |campaign| count(campaign.counts.recipients),
    },
    Family {
        name: "campaign_attempted",
        help: "Denominator of the delivery, click, bounce and opt-out ratios: the sends if the \
               provider reports them, else the recipients; absent while nothing was sent yet.",
        value: |campaign| count(campaign.attempted()),
    },
    Family {
        name: "campaign_sends",
        help: "Messages sent.",
        value: |campaign| count(campaign.counts.sends),
    },
    Family {
        name: "campaign_deliveries",
        help: "Messages delivered.",
        value: |campaign| count(campaign.counts.deliveries),
    },
    Family {
        name: "campaign_opens",
        help: "Messages opened.",
        value: |campaign| count(campaign.counts.opens),
    },
    Family {
        name: "campaign_clicks",
        help: "Recipients who followed a link.",
        value: |campaign| count(campaign.counts.clicks),
    },
    Family {
        name: "campaign_bounces",
        help: "Messages that could not be delivered.",
        value: |campaign| count(campaign.counts.bounces),
    },
    Family {
        name: "campaign_opt_outs",
        help: "Recipients who opted out.",
        value: |campaign| count(campaign.counts.opt_outs),
    },
    Family {
        name: "campaign_reads",
        help: "Messages read.",
        value: |campaign| count(campaign.counts.reads),
    },
    Family {
        name: "campaign_replies",
        help: "Replies; one recipient may give several, so there may be more than recipients.",
        value: |campaign| count(campaign.counts.replies),
    },
    Family {
        name: "campaign_pending",
        help: "Messages sent whose delivery is not confirmed yet.",
        value: |campaign| count(campaign.counts.pending),
    },
    Family {
        name: "campaign_cost_credits",
        help: "What the campaign cost, in the provider's credits.",
        value: |campaign| campaign.cost_credits,
    },
    Family {
        name: "campaign_delivery_ratio",
        help: "campaign_deliveries / campaign_attempted.",
        value: |campaign| Ratio::Delivery.of([campaign]),
    },
    Family {
        name: "campaign_click_ratio",
        help: "campaign_clicks / campaign_attempted.",
        value: |campaign| Ratio::Click.of([campaign]),
    },
    Family {
        name: "campaign_bounce_ratio",
        help: "campaign_bounces / campaign_attempted.",
        value: |campaign| Ratio::Bounce.of([campaign]),
    },
    Family {
        name: "campaign_opt_out_ratio",
        help: "campaign_opt_outs / campaign_attempted.",
        value: |campaign| Ratio::OptOut.of([campaign]),
    },
    Family {
        name: "campaign_open_ratio",
        help: "campaign_opens / campaign_deliveries.",
        value: |campaign| Ratio::Open.of([campaign]),
    },
    Family {
        name: "campaign_read_ratio",
        help: "campaign_reads / campaign_deliveries.",
        value: |campaign| Ratio::Read.of([campaign]),
    },
    Family {
        name: "campaign_reply_ratio",
        help: "campaign_replies / campaign_deliveries.",
        value: |campaign| Ratio::Reply.of([campaign]),
    },
    Family {
        name: "campaign_reported_delivery_ratio",
        help: "The provider's own delivery rate / 100; what it is a rate of is not documented.",
        value: |campaign| campaign.reported_delivery_ratio,
    },
];

const ACCOUNT_FAMILIES: &[Family<AccountState>] = &[
    Family {
        name: "campaign_account_up",
        help: "1 if the last poll of the account succeeded, else 0; 0 before the first.",
        value: |state| Some(f64::from(u8::from(state.up))),
    },
    Family {
        name: "campaign_account_last_success_timestamp_seconds",
        help: "When the last good poll of the account ended, in unix time.",
        value: |state| timestamp(state.last_success),
    },
    Family {
        name: "campaign_account_last_poll_timestamp_seconds",
        help: "When the last poll of the account ended, good or bad, in unix time.",
        value: |state| timestamp(state.last_poll),
    },
    Family {
        name: "campaign_account_poll_duration_seconds",
        help: "How long the last poll of the account took; 0 before the first.",
        value: |state| Some(state.poll_duration.unwrap_or_default().as_secs_f64()),
    },
    Family {
        name: "campaign_account_poll_interval_seconds",
        help: "How often the account is read at present: as configured, or more seldom where the \
               day's requests would not suffice.",
        value: |state| Some(state.poll_interval.as_secs_f64()),
    },
    Family {
        name: "campaign_account_lookback_seconds",
        help: "Campaigns sent longer ago are not read.",
        value: |state| Some(state.account.polling.lookback.as_secs_f64()),
    },
    Family {
        name: "campaign_account_campaigns_dropped",
        help: "Campaigns that max_campaigns left out of the current data.",
        value: |state| Some(state.data().map_or(0.0, |data| data.dropped as f64)),
    },
    Family {
        name: "campaign_account_credits",
        help: "The credits that the account has left.",
        value: |state| state.data().and_then(|data| data.credits),
    },
    Family {
        name: "campaign_account_token_expiry_timestamp_seconds",
        help: "When the access token in use runs out, in unix time, where that is known.",
        value: |state| timestamp(state.token_expiry),
    },
];

const ACCOUNT_RATIOS: [(&str, &str, Ratio); 4] = [
    (
        "campaign_account_delivery_ratio",
        "Sum of campaign_deliveries / sum of campaign_attempted, over the campaigns with both.",
        Ratio::Delivery,
    ),
    (
        "campaign_account_click_ratio",
        "Sum of campaign_clicks / sum of campaign_attempted, over the campaigns with both.",
        Ratio::Click,
    ),
    (
        "campaign_account_bounce_ratio",
        "Sum of campaign_bounces / sum of campaign_attempted, over the campaigns with both.",
        Ratio::Bounce,
    ),
    (
        "campaign_account_opt_out_ratio",
        "Sum of campaign_opt_outs / sum of campaign_attempted, over the campaigns with both.",
        Ratio::OptOut,
    ),
];

fn timestamp(time: Option<DateTime<Utc>>) -> Option<f64> {
    time.map(|time| time.timestamp_millis() as f64 / 1000.0)
}

fn count(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

/// Everything about the campaigns and accounts of a snapshot. Pure.
pub fn render(snapshot: &Snapshot, format: Format) -> String {
    let accounts: Vec<AccountRows<'_>> = snapshot.accounts().map(AccountRows::new).collect();
    let mut writer = Writer::new(format);

    write_info(&mut writer, &accounts);
    write_status(&mut writer, &accounts);
    write_failures(&mut writer, &accounts);
    for family in CAMPAIGN_FAMILIES {
        write_campaigns(&mut writer, family, &accounts);
    }
    let series = writer.samples();

    for family in ACCOUNT_FAMILIES {
        let samples = accounts.iter().filter_map(|rows| {
            let value = (family.value)(rows.state)?;
            Some((&rows.labels, value))
        });
        write_family(&mut writer, family.name, family.help, samples);
    }
    write_channels(&mut writer, &accounts);
    write_reported_ratios(&mut writer, &accounts);
    writer.gauge(
        "campaign_exporter_series",
        "Campaign series in the current exposition.",
    );
    writer.sample("campaign_exporter_series", "", series as f64);
    writer.into_string()
}

/// An account with its labels and those of its campaigns, escaped once for all families.
struct AccountRows<'a> {
    state: &'a AccountState,
    labels: String,
    campaigns: Vec<(String, &'a Campaign)>,
}

impl<'a> AccountRows<'a> {
    fn new(state: &'a AccountState) -> Self {
        let account = labels([
            ("provider", state.account.provider.name()),
            ("account", state.account.name.as_str()),
        ]);
        let campaigns = state.campaigns().iter().map(|campaign| {
            let own = labels([
                ("channel", campaign.channel.as_str()),
                ("campaign_id", campaign.id.as_str()),
            ]);
            (format!("{account},{own}"), campaign.as_ref())
        });
        Self {
            state,
            campaigns: campaigns.collect(),
            labels: account,
        }
    }
}

/// A family with its samples, or nothing where there is none.
fn write_family(
    writer: &mut Writer,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (impl AsRef<str>, f64)>,
) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    writer.gauge(name, help);
    for (labels, value) in samples {
        writer.sample(name, labels.as_ref(), value);
    }
}

fn write_campaigns(writer: &mut Writer, family: &Family<Campaign>, accounts: &[AccountRows<'_>]) {
    let campaigns = accounts.iter().flat_map(|rows| &rows.campaigns);
    let samples =
        campaigns.filter_map(|(labels, campaign)| Some((labels, (family.value)(campaign)?)));
    write_family(
        writer,
        family.name,
        &format!("{} {BACKGROUND}", family.help),
        samples,
    );
}

fn write_info(writer: &mut Writer, accounts: &[AccountRows<'_>]) {
    let samples = accounts.iter().flat_map(|rows| {
        rows.campaigns.iter().map(|(block, campaign)| {
            let name = [("campaign_name", campaign.name.as_str())];
            let wanted = rows.state.info_labels().iter();
            let known =
                wanted.filter_map(|label| Some((label.as_str(), label.of(&campaign.info)?)));
            (
                format!("{block},{}", labels(name.into_iter().chain(known))),
                1.0,
            )
        })
    });
    let help = format!("The campaign's name and what else describes it; always 1. {BACKGROUND}");
    write_family(writer, "campaign_info", &help, samples);
}

fn write_status(writer: &mut Writer, accounts: &[AccountRows<'_>]) {
    let campaigns = accounts.iter().flat_map(|rows| &rows.campaigns);
    let samples = campaigns.filter_map(|(block, campaign)| {
        let status = labels([("status", campaign.status?.as_str())]);
        Some((format!("{block},{status}"), 1.0))
    });
    let help = format!("The campaign's current status; always 1. {BACKGROUND}");
    write_family(writer, "campaign_status", &help, samples);
}

fn write_failures(writer: &mut Writer, accounts: &[AccountRows<'_>]) {
    let campaigns = accounts.iter().flat_map(|rows| &rows.campaigns);
    let samples = campaigns.flat_map(|(block, campaign)| {
        let reasons = campaign.failures.by_reason().into_iter();
        reasons.filter_map(move |(reason, failures)| {
            Some((
                format!("{block},{}", labels([("reason", reason)])),
                count(failures)?,
            ))
        })
    });
    let help = format!("Messages that could not be delivered, by reason. {BACKGROUND}");
    write_family(writer, "campaign_failures", &help, samples);
}

fn write_channels(writer: &mut Writer, accounts: &[AccountRows<'_>]) {
    let mut channels = Vec::new();
    for rows in accounts {
        for (channel, campaigns) in rows.state.by_channel() {
            let channel = labels([("channel", channel.as_str())]);
            channels.push((format!("{},{channel}", rows.labels), campaigns));
        }
    }
    let counts = channels
        .iter()
        .map(|(block, campaigns)| (block, campaigns.len() as f64));
    let help = "Campaigns in the current data.";
    write_family(writer, "campaign_account_campaigns", help, counts);
    for (name, help, ratio) in ACCOUNT_RATIOS {
        let samples = channels
            .iter()
            .filter_map(|(block, campaigns)| Some((block, ratio.of(campaigns.iter().copied())?)));
        write_family(writer, name, help, samples);
    }
}

fn write_reported_ratios(writer: &mut Writer, accounts: &[AccountRows<'_>]) {
    let mut samples = Vec::new();
    for rows in accounts {
        for (rate, value) in rows
            .state
            .data()
            .into_iter()
            .flat_map(|data| &data.reported_ratios)
        {
            samples.push((
                format!("{},{}", rows.labels, labels([("rate", *rate)])),
                *value,
            ));
        }
    }
    let help = "The provider's own rate / 100 for all campaigns of the account; only where it \
                speaks of all of them.";
    write_family(
        writer,
        "campaign_account_reported_ratio",
        help,
        samples.into_iter(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_metric() {
        let readme = include_str!("../README.md");
        let own = ["campaign_info", "campaign_status", "campaign_failures"];
        let families = CAMPAIGN_FAMILIES.iter().map(|family| family.name);
        let accounts = ACCOUNT_FAMILIES.iter().map(|family| family.name);
        let ratios = ACCOUNT_RATIOS.iter().map(|(name, ..)| *name);
        for name in families.chain(accounts).chain(ratios).chain(own) {
            let named = ["`", "{"]
                .iter()
                .any(|end| readme.contains(&format!("`{name}{end}")));
            assert!(named, "{name}");
        }
    }
}
