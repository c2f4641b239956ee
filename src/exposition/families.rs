//! The table of what is exported about campaigns and accounts, and its rendering.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::campaign::counts::Count;
use crate::campaign::{Campaign, Ratio};
use crate::exposition::format::{Format, Writer, labels, sample};
use crate::state::snapshot::{AccountState, Snapshot};

/// What every campaign metric's HELP ends with, as the exporter guide of Prometheus asks of
/// whatever is not read at the scrape.
pub const BACKGROUND: &str = "Read from the provider in the background; \
    campaign_account_last_success_timestamp_seconds tells when.";

/// A metric.
#[derive(Debug)]
pub struct Family<T: 'static> {
    name: &'static str,
    help: &'static str,
    samples: Samples<T>,
}

/// What samples a metric has for each `T`.
#[derive(Debug)]
enum Samples<T> {
    /// One without labels of its own, at most.
    Value(fn(&T) -> Option<f64>),
    /// Any number of them.
    Labelled(fn(&mut Rows<'_>, &T)),
}

/// Where a metric's samples for one campaign or account are written.
struct Rows<'a> {
    out: &'a mut String,
    name: &'static str,
    /// The labels that all of them have, escaped.
    labels: &'a str,
    account: &'a AccountState,
    written: usize,
}

impl Rows<'_> {
    fn push<'b>(&mut self, own: impl IntoIterator<Item = (&'b str, &'b str)>, value: f64) {
        let block = format!("{},{}", self.labels, labels(own));
        sample(self.out, self.name, &block, value);
        self.written += 1;
    }
}

impl Family<Campaign> {
    /// Begins the family.
    pub fn begin(&self, writer: &mut Writer) {
        writer.gauge(self.name, &format!("{} {BACKGROUND}", self.help));
    }
}

impl Family<AccountState> {
    /// Begins the family.
    pub fn begin(&self, writer: &mut Writer) {
        writer.gauge(self.name, self.help);
    }
}

impl<T> Family<T> {
    /// The name of the metric.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the samples of a campaign or account, which all have these labels. Returns how many
    /// there are.
    fn write(&self, out: &mut String, labels: &str, account: &AccountState, of: &T) -> usize {
        match self.samples {
            Samples::Value(value) => {
                let Some(value) = value(of) else {
                    return 0;
                };
                sample(out, self.name, labels, value);
                1
            }
            Samples::Labelled(write) => {
                let mut rows = Rows {
                    out,
                    name: self.name,
                    labels,
                    account,
                    written: 0,
                };
                write(&mut rows, of);
                rows.written
            }
        }
    }
}

/// What is exported about each campaign.
pub const CAMPAIGN_FAMILIES: &[Family<Campaign>] = &[
    Family {
        name: "campaign_info",
        help: "The campaign's name and what else describes it; always 1.",
        samples: Samples::Labelled(write_info),
    },
    Family {
        name: "campaign_status",
        help: "The campaign's current status; always 1.",
        samples: Samples::Labelled(write_status),
    },
    Family {
        name: "campaign_failures",
        help: "Messages that could not be delivered, by reason.",
        samples: Samples::Labelled(write_failures),
    },
    Family {
        name: "campaign_last_sent_timestamp_seconds",
        help: "When the campaign was last sent, in unix time; absent while nothing was sent yet.",
        samples: Samples::Value(|campaign| timestamp(campaign.last_sent)),
    },
    Family {
        name: "campaign_scheduled_timestamp_seconds",
        help: "When the campaign is to be sent, in unix time; absent once it was.",
        samples: Samples::Value(|campaign| timestamp(campaign.scheduled)),
    },
    Family {
        name: "campaign_created_timestamp_seconds",
        help: "When the campaign was made, in unix time; absent once it was sent.",
        samples: Samples::Value(|campaign| timestamp(campaign.created)),
    },
    Family {
        name: "campaign_recipients",
        help: "Recipients that the campaign was made for.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Recipients))),
    },
    Family {
        name: "campaign_attempted",
        help: "Denominator of the delivery, click, bounce and opt-out ratios: the sends if the \
               provider reports them, else the recipients; absent while nothing was sent yet.",
        samples: Samples::Value(|campaign| count(campaign.attempted())),
    },
    Family {
        name: "campaign_sends",
        help: "Messages sent.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Sends))),
    },
    Family {
        name: "campaign_deliveries",
        help: "Messages delivered.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Deliveries))),
    },
    Family {
        name: "campaign_opens",
        help: "Messages opened.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Opens))),
    },
    Family {
        name: "campaign_clicks",
        help: "Recipients who followed a link.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Clicks))),
    },
    Family {
        name: "campaign_bounces",
        help: "Messages that could not be delivered.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Bounces))),
    },
    Family {
        name: "campaign_opt_outs",
        help: "Recipients who opted out.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::OptOuts))),
    },
    Family {
        name: "campaign_reads",
        help: "Messages read.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Reads))),
    },
    Family {
        name: "campaign_replies",
        help: "Replies; one recipient may give several, so there may be more than recipients.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Replies))),
    },
    Family {
        name: "campaign_pending",
        help: "Messages sent whose delivery is not confirmed yet.",
        samples: Samples::Value(|campaign| count(campaign.counts.get(Count::Pending))),
    },
    Family {
        name: "campaign_cost_credits",
        help: "What the campaign cost, in the provider's credits.",
        samples: Samples::Value(|campaign| campaign.cost_credits),
    },
    Family {
        name: "campaign_delivery_ratio",
        help: "campaign_deliveries / campaign_attempted.",
        samples: Samples::Value(|campaign| Ratio::Delivery.of([campaign])),
    },
    Family {
        name: "campaign_click_ratio",
        help: "campaign_clicks / campaign_attempted.",
        samples: Samples::Value(|campaign| Ratio::Click.of([campaign])),
    },
    Family {
        name: "campaign_bounce_ratio",
        help: "campaign_bounces / campaign_attempted.",
        samples: Samples::Value(|campaign| Ratio::Bounce.of([campaign])),
    },
    Family {
        name: "campaign_opt_out_ratio",
        help: "campaign_opt_outs / campaign_attempted.",
        samples: Samples::Value(|campaign| Ratio::OptOut.of([campaign])),
    },
    Family {
        name: "campaign_open_ratio",
        help: "campaign_opens / campaign_deliveries.",
        samples: Samples::Value(|campaign| Ratio::Open.of([campaign])),
    },
    Family {
        name: "campaign_read_ratio",
        help: "campaign_reads / campaign_deliveries.",
        samples: Samples::Value(|campaign| Ratio::Read.of([campaign])),
    },
    Family {
        name: "campaign_reply_ratio",
        help: "campaign_replies / campaign_deliveries.",
        samples: Samples::Value(|campaign| Ratio::Reply.of([campaign])),
    },
    Family {
        name: "campaign_reported_delivery_ratio",
        help: "The provider's own delivery rate / 100; what it is a rate of is not documented.",
        samples: Samples::Value(|campaign| campaign.reported_delivery_ratio),
    },
];

/// What is exported about each account.
pub const ACCOUNT_FAMILIES: &[Family<AccountState>] = &[
    Family {
        name: "campaign_account_up",
        help: "1 if the last poll of the account succeeded, else 0; 0 before the first.",
        samples: Samples::Value(|state| Some(f64::from(u8::from(state.up)))),
    },
    Family {
        name: "campaign_account_last_success_timestamp_seconds",
        help: "When the last good poll of the account ended, in unix time.",
        samples: Samples::Value(|state| timestamp(state.last_success)),
    },
    Family {
        name: "campaign_account_last_poll_timestamp_seconds",
        help: "When the last poll of the account ended, good or bad, in unix time.",
        samples: Samples::Value(|state| timestamp(state.last_poll)),
    },
    Family {
        name: "campaign_account_poll_duration_seconds",
        help: "How long the last poll of the account took; 0 before the first.",
        samples: Samples::Value(|state| {
            Some(state.poll_duration.unwrap_or_default().as_secs_f64())
        }),
    },
    Family {
        name: "campaign_account_poll_interval_seconds",
        help: "How often the account is read at present: as configured, or more seldom where the \
               day's requests would not suffice.",
        samples: Samples::Value(|state| Some(state.poll_interval.as_secs_f64())),
    },
    Family {
        name: "campaign_account_lookback_seconds",
        help: "Campaigns sent longer ago are not read.",
        samples: Samples::Value(|state| Some(state.account.polling.lookback.as_secs_f64())),
    },
    Family {
        name: "campaign_account_campaigns_dropped",
        help: "Campaigns that max_campaigns left out of the current data.",
        samples: Samples::Value(|state| Some(state.data().map_or(0.0, |data| data.dropped as f64))),
    },
    Family {
        name: "campaign_account_credits",
        help: "The credits that the account has left.",
        samples: Samples::Value(|state| state.data().and_then(|data| data.credits)),
    },
    Family {
        name: "campaign_account_token_expiry_timestamp_seconds",
        help: "When the access token in use runs out, in unix time, where that is known.",
        samples: Samples::Value(|state| timestamp(state.token_expiry)),
    },
    Family {
        name: "campaign_account_campaigns",
        help: "Campaigns in the current data.",
        samples: Samples::Labelled(write_campaigns),
    },
    Family {
        name: "campaign_account_delivery_ratio",
        help: "Sum of campaign_deliveries / sum of campaign_attempted, over the campaigns with both.",
        samples: Samples::Labelled(|rows, account| write_ratio(rows, account, Ratio::Delivery)),
    },
    Family {
        name: "campaign_account_click_ratio",
        help: "Sum of campaign_clicks / sum of campaign_attempted, over the campaigns with both.",
        samples: Samples::Labelled(|rows, account| write_ratio(rows, account, Ratio::Click)),
    },
    Family {
        name: "campaign_account_bounce_ratio",
        help: "Sum of campaign_bounces / sum of campaign_attempted, over the campaigns with both.",
        samples: Samples::Labelled(|rows, account| write_ratio(rows, account, Ratio::Bounce)),
    },
    Family {
        name: "campaign_account_opt_out_ratio",
        help: "Sum of campaign_opt_outs / sum of campaign_attempted, over the campaigns with both.",
        samples: Samples::Labelled(|rows, account| write_ratio(rows, account, Ratio::OptOut)),
    },
    Family {
        name: "campaign_account_reported_ratio",
        help: "The provider's own rate / 100 for all campaigns of the account; only where it \
               speaks of all of them.",
        samples: Samples::Labelled(write_reported_ratios),
    },
];

fn timestamp(time: Option<DateTime<Utc>>) -> Option<f64> {
    time.map(|time| time.timestamp_millis() as f64 / 1000.0)
}

fn count(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

/// Everything about the campaigns and accounts of a snapshot, as one text.
pub fn render(snapshot: &Snapshot, format: Format) -> String {
    let accounts = snapshot.accounts();
    let rows = accounts.map(|account| CampaignRows::new(account, account.campaigns()));
    let rows: Vec<_> = rows.collect();
    let mut writer = Writer::new(format);
    let mut series = 0;
    for family in CAMPAIGN_FAMILIES {
        let mut samples = String::new();
        for rows in &rows {
            series += rows.write(&mut samples, family);
        }
        write_family(&mut writer, |writer| family.begin(writer), &samples);
    }
    for family in ACCOUNT_FAMILIES {
        let mut samples = String::new();
        for account in snapshot.accounts() {
            write_account(&mut samples, family, account);
        }
        write_family(&mut writer, |writer| family.begin(writer), &samples);
    }
    write_series(&mut writer, series);
    writer.into_string()
}

/// A family with its samples, or nothing where there is none.
fn write_family(writer: &mut Writer, begin: impl FnOnce(&mut Writer), samples: &str) {
    if !samples.is_empty() {
        begin(writer);
        writer.samples(samples);
    }
}

/// The number of campaign series.
pub fn write_series(writer: &mut Writer, series: usize) {
    let name = "campaign_exporter_series";
    writer.gauge(name, "Campaign series in the current exposition.");
    writer.sample(name, "", series as f64);
}

/// The samples of an account in one of the [`ACCOUNT_FAMILIES`].
pub fn write_account(out: &mut String, family: &Family<AccountState>, account: &AccountState) {
    family.write(out, &account_labels(account), account, account);
}

fn account_labels(account: &AccountState) -> String {
    labels([
        ("provider", &**account.account.provider.name()),
        ("account", account.account.name.as_str()),
    ])
}

/// Campaigns of an account with the labels that all their series have, escaped once for all families.
#[derive(Debug)]
pub struct CampaignRows<'a> {
    account: &'a AccountState,
    campaigns: Vec<(String, &'a Campaign)>,
}

impl<'a> CampaignRows<'a> {
    /// Some campaigns of an account.
    pub fn new(account: &'a AccountState, campaigns: &'a [Arc<Campaign>]) -> Self {
        let of_account = account_labels(account);
        let campaigns = campaigns.iter().map(|campaign| {
            let own = labels([
                ("channel", campaign.channel.as_str()),
                ("campaign_id", campaign.id.as_str()),
            ]);
            (format!("{of_account},{own}"), campaign.as_ref())
        });
        Self {
            account,
            campaigns: campaigns.collect(),
        }
    }

    /// Writes their samples in one of the [`CAMPAIGN_FAMILIES`]. Returns how many there are.
    pub fn write(&self, out: &mut String, family: &Family<Campaign>) -> usize {
        let campaigns = self.campaigns.iter();
        campaigns
            .map(|(labels, campaign)| family.write(out, labels, self.account, campaign))
            .sum()
    }
}

fn write_info(rows: &mut Rows<'_>, campaign: &Campaign) {
    let wanted = rows.account.info_labels().iter();
    let known = wanted.filter_map(|label| Some((&**label, campaign.info.get(label)?)));
    let name = [("campaign_name", campaign.name.as_ref())];
    rows.push(name.into_iter().chain(known), 1.0);
}

fn write_status(rows: &mut Rows<'_>, campaign: &Campaign) {
    if let Some(status) = campaign.status {
        rows.push([("status", status.as_str())], 1.0);
    }
}

fn write_failures(rows: &mut Rows<'_>, campaign: &Campaign) {
    for (reason, failures) in campaign.failures.iter() {
        rows.push([("reason", reason)], failures as f64);
    }
}

fn write_campaigns(rows: &mut Rows<'_>, account: &AccountState) {
    for (channel, totals) in account.by_channel() {
        rows.push([("channel", channel.as_str())], totals.campaigns as f64);
    }
}

/// A ratio of all campaigns of a channel.
fn write_ratio(rows: &mut Rows<'_>, account: &AccountState, ratio: Ratio) {
    for (channel, totals) in account.by_channel() {
        if let Some(ratio) = totals.ratio(ratio) {
            rows.push([("channel", channel.as_str())], ratio);
        }
    }
}

fn write_reported_ratios(rows: &mut Rows<'_>, account: &AccountState) {
    let reported = account.data().into_iter();
    for (rate, ratio) in reported.flat_map(|data| &data.reported_ratios) {
        rows.push([("rate", &**rate)], *ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented() {
        let document = include_str!("../../docs/metrics.md");
        let families = CAMPAIGN_FAMILIES.iter().map(|family| family.name);
        let accounts = ACCOUNT_FAMILIES.iter().map(|family| family.name);
        for name in families.chain(accounts) {
            let named = ["`", "{"]
                .iter()
                .any(|end| document.contains(&format!("`{name}{end}")));
            assert!(named, "{name}");
        }
    }
}
