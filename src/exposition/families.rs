//! The metric families of campaigns and accounts, and how their samples are written.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::campaign::counts::Count;
use crate::campaign::exported::Exported;
use crate::campaign::figures::{Currency, Figure};
use crate::campaign::{Campaign, Ratio};
use crate::exposition::format::{Format, Writer, labels, sample, sample_with};
use crate::state::snapshot::{AccountState, Snapshot};

/// End of the HELP of every campaign metric. Prometheus' guide to writing exporters asks for it if
/// metrics are not read during the scrape.
pub const BACKGROUND: &str = "Read from the provider in the background; see \
    campaign_account_last_success_timestamp_seconds for the time.";

/// A metric family.
#[derive(Debug)]
pub struct Family<T: 'static> {
    name: &'static str,
    help: &'static str,
    samples: Samples<T>,
}

/// The samples of a family for a campaign or account.
#[derive(Debug)]
enum Samples<T> {
    /// At most one, without additional labels.
    Value(fn(&T) -> Option<f64>),
    /// At most one: this count.
    Count(Count, fn(&T, Count) -> Option<u64>),
    /// At most one: this ratio.
    Ratio(Ratio, fn(&T, Ratio) -> Option<f64>),
    /// Any number, with additional labels.
    Labeled(fn(&mut Rows<'_>, &T)),
}

/// Writes the samples of a family for a campaign or account.
struct Rows<'a> {
    out: &'a mut String,
    name: &'static str,
    /// The common labels, escaped.
    labels: &'a str,
    account: &'a AccountState,
    written: usize,
}

impl Rows<'_> {
    fn push<'b>(&mut self, own: impl IntoIterator<Item = (&'b str, &'b str)>, value: f64) {
        sample_with(self.out, self.name, self.labels, own, value);
        self.written += 1;
    }
}

impl Family<Campaign> {
    const fn of_count(name: &'static str, count: Count) -> Self {
        Self {
            name,
            help: count.meaning(),
            samples: Samples::Count(count, |campaign, count| campaign.counts.get(count)),
        }
    }

    const fn of_reported(ratio: Ratio) -> Self {
        Self {
            name: ratio.reported_metric(),
            help: "Ratio as reported by the provider. See docs/providers for what it divides.",
            samples: Samples::Ratio(ratio, |campaign, ratio| {
                campaign.figures.get(Figure::Ratio(ratio))
            }),
        }
    }

    /// Writes the header of the family.
    pub fn begin(&self, writer: &mut Writer) {
        writer.gauge(self.name, &format!("{} {BACKGROUND}", self.help));
    }
}

impl Family<AccountState> {
    /// Writes the header of the family.
    pub fn begin(&self, writer: &mut Writer) {
        writer.gauge(self.name, self.help);
    }
}

impl<T> Family<T> {
    /// Returns the name of the metric.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the samples of a campaign or account with these common labels. Returns their number.
    fn write(&self, out: &mut String, labels: &str, account: &AccountState, of: &T) -> usize {
        let value = match self.samples {
            Samples::Value(value) => value(of),
            Samples::Count(count, get) => get(of, count).map(|count| count as f64),
            Samples::Ratio(ratio, get) => get(of, ratio),
            Samples::Labeled(write) => {
                let mut rows = Rows { out, name: self.name, labels, account, written: 0 };
                write(&mut rows, of);
                return rows.written;
            }
        };
        let Some(value) = value else {
            return 0;
        };
        sample(out, self.name, labels, value);
        1
    }
}

/// The families of campaigns.
pub const CAMPAIGN_FAMILIES: &[Family<Campaign>] = &[
    Family {
        name: "campaign_info",
        help: "Name of the campaign and the labels selected by info_labels. Always 1.",
        samples: Samples::Labeled(write_info),
    },
    Family {
        name: "campaign_status",
        help: "Current status of the campaign. Always 1.",
        samples: Samples::Labeled(write_status),
    },
    Family {
        name: "campaign_failures",
        help: "Messages that could not be delivered, by reason.",
        samples: Samples::Labeled(write_failures),
    },
    Family {
        name: "campaign_last_sent_timestamp_seconds",
        help: "Unix time when the campaign was last sent. Absent until messages are sent.",
        samples: Samples::Value(|campaign| timestamp(campaign.last_sent)),
    },
    Family {
        name: "campaign_scheduled_timestamp_seconds",
        help: "Unix time when the campaign is scheduled to be sent. Absent once messages are sent.",
        samples: Samples::Value(|campaign| timestamp(campaign.scheduled)),
    },
    Family {
        name: "campaign_created_timestamp_seconds",
        help: "Unix time when the campaign was created. Absent once messages are sent.",
        samples: Samples::Value(|campaign| timestamp(campaign.created_unsent())),
    },
    Family::of_count("campaign_recipients", Count::Recipients),
    Family {
        name: "campaign_attempted",
        help: "Denominator of the delivery, click, bounce and opt-out ratios: sends if the provider \
               reports them, otherwise recipients. Absent until messages are sent.",
        samples: Samples::Value(|campaign| Some(campaign.attempted()? as f64)),
    },
    Family::of_count("campaign_sends", Count::Sends),
    Family::of_count("campaign_deliveries", Count::Deliveries),
    Family::of_count("campaign_opens", Count::Opens),
    Family::of_count("campaign_clicks", Count::Clicks),
    Family::of_count("campaign_bounces", Count::Bounces),
    Family::of_count("campaign_opt_outs", Count::OptOuts),
    Family::of_count("campaign_reads", Count::Reads),
    Family::of_count("campaign_replies", Count::Replies),
    Family::of_count("campaign_pending", Count::Pending),
    Family::of_count("campaign_complaints", Count::Complaints),
    Family::of_count("campaign_conversions", Count::Conversions),
    Family {
        name: "campaign_cost",
        help: "Cost of the campaign in money.",
        samples: Samples::Labeled(|rows, campaign| write_amounts(rows, campaign, Figure::Cost)),
    },
    Family {
        name: "campaign_revenue",
        help: "Revenue of the campaign, as the provider attributes it.",
        samples: Samples::Labeled(|rows, campaign| write_amounts(rows, campaign, Figure::Revenue)),
    },
    Family {
        name: "campaign_cost_credits",
        help: "Cost of the campaign in the provider's credits.",
        samples: Samples::Value(Campaign::readable_cost_credits),
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
        name: "campaign_usual_ratio",
        help: "What is usual for the account's campaigns on this channel at the age of this one, by rate. \
               Absent if fewer than 7 are known, and after two days.",
        samples: Samples::Labeled(write_usual),
    },
    Family::of_reported(Ratio::Delivery),
    Family::of_reported(Ratio::Click),
    Family::of_reported(Ratio::Bounce),
    Family::of_reported(Ratio::OptOut),
    Family::of_reported(Ratio::Open),
    Family::of_reported(Ratio::Read),
    Family::of_reported(Ratio::Reply),
];

/// The families of accounts.
pub const ACCOUNT_FAMILIES: &[Family<AccountState>] = &[
    Family {
        name: "campaign_account_up",
        help: "Whether the last poll of the account succeeded (1) or not (0). 0 before the first poll.",
        samples: Samples::Value(|state| Some(f64::from(u8::from(state.polls.up)))),
    },
    Family {
        name: "campaign_account_last_poll_reason",
        help: "Why the last poll of the account failed. Always 1. Absent if it succeeded.",
        samples: Samples::Labeled(write_last_poll_reason),
    },
    Family {
        name: "campaign_account_waiting",
        help: "The account is not polled, because another exporter with the same --storage.path reads it. \
               Always 1. Absent otherwise.",
        samples: Samples::Value(|state| state.waiting.as_ref().map(|_| 1.0)),
    },
    Family {
        name: "campaign_account_last_poll_stored",
        help: "Whether the last poll of the account could be stored (1) or not (0). Absent without \
               --storage.path.",
        samples: Samples::Value(|state| {
            let stored = state.polls.stored.as_ref();
            stored.map(|stored| f64::from(u8::from(stored.is_ok())))
        }),
    },
    Family {
        name: "campaign_account_last_success_timestamp_seconds",
        help: "Unix time when the last successful poll of the account ended.",
        samples: Samples::Value(|state| timestamp(state.polls.last_success)),
    },
    Family {
        name: "campaign_account_last_poll_timestamp_seconds",
        help: "Unix time when the last poll of the account ended, successful or not.",
        samples: Samples::Value(|state| timestamp(state.polls.last_poll)),
    },
    Family {
        name: "campaign_account_poll_duration_seconds",
        help: "Duration of the last poll of the account. 0 before the first poll.",
        samples: Samples::Value(|state| {
            Some(state.polls.poll_duration.unwrap_or_default().as_secs_f64())
        }),
    },
    Family {
        name: "campaign_account_poll_interval_seconds",
        help: "Current poll interval of the account: as configured, or longer if the daily request \
               budget is too small.",
        samples: Samples::Value(|state| Some(state.poll_interval.as_secs_f64())),
    },
    Family {
        name: "campaign_account_lookback_seconds",
        help: "Campaigns sent longer ago than this are not read.",
        samples: Samples::Value(|state| Some(state.account.polling.lookback.as_secs_f64())),
    },
    Family {
        name: "campaign_account_campaigns_dropped",
        help: "Campaigns left out of the current data because of max_campaigns, which also bounds their \
               size. Absent without data.",
        samples: Samples::Value(|state| state.data().map(|data| data.dropped as f64)),
    },
    Family {
        name: "campaign_account_credits",
        help: "Remaining credits of the account.",
        samples: Samples::Value(|state| state.data().and_then(|data| data.credits)),
    },
    Family {
        name: "campaign_account_credit_price",
        help: "Price of a credit, as configured by credit_price.",
        samples: Samples::Labeled(|rows, account| {
            if let Some((currency, amount)) = account.account.polling.credit_price {
                rows.push([("currency", currency.as_str())], amount);
            }
        }),
    },
    Family {
        name: "campaign_account_balance",
        help: "Remaining money of the account.",
        samples: Samples::Labeled(|rows, account| {
            if let Some((currency, amount)) = account.data().and_then(|data| data.balance) {
                rows.push([("currency", currency.as_str())], amount);
            }
        }),
    },
    Family {
        name: "campaign_account_token_expiry_timestamp_seconds",
        help: "Unix time when the access token in use expires, if known.",
        samples: Samples::Value(|state| timestamp(state.polls.token_expiry)),
    },
    Family {
        name: "campaign_account_campaigns",
        help: "Campaigns in the current data. Absent without data.",
        samples: Samples::Labeled(write_campaigns),
    },
    Family {
        name: "campaign_account_delivery_ratio",
        help: "Sum of campaign_deliveries / sum of campaign_attempted, over the campaigns that report both.",
        samples: Samples::Labeled(|rows, account| write_ratio(rows, account, Ratio::Delivery)),
    },
    Family {
        name: "campaign_account_click_ratio",
        help: "Sum of campaign_clicks / sum of campaign_attempted, over the campaigns that report both.",
        samples: Samples::Labeled(|rows, account| write_ratio(rows, account, Ratio::Click)),
    },
    Family {
        name: "campaign_account_bounce_ratio",
        help: "Sum of campaign_bounces / sum of campaign_attempted, over the campaigns that report both.",
        samples: Samples::Labeled(|rows, account| write_ratio(rows, account, Ratio::Bounce)),
    },
    Family {
        name: "campaign_account_opt_out_ratio",
        help: "Sum of campaign_opt_outs / sum of campaign_attempted, over the campaigns that report both.",
        samples: Samples::Labeled(|rows, account| write_ratio(rows, account, Ratio::OptOut)),
    },
    Family {
        name: "campaign_account_reported_ratio",
        help: "The provider's own rate / 100 over all campaigns of the account. Absent if the rate \
               does not cover all of them.",
        samples: Samples::Labeled(write_reported_ratios),
    },
];

fn timestamp(time: Option<DateTime<Utc>>) -> Option<f64> {
    time.map(|time| time.timestamp_millis() as f64 / 1000.0)
}

/// Renders the campaigns and accounts of a snapshot in one pass.
pub fn render(snapshot: &Snapshot, format: Format) -> String {
    let accounts = snapshot.accounts();
    let rows = accounts.map(|account| CampaignRows::new(account, account.campaigns()));
    let rows: Vec<_> = rows.collect();
    let mut writer = Writer::new(format);
    let mut series = 0;
    for (index, family) in CAMPAIGN_FAMILIES.iter().enumerate() {
        let mut samples = String::new();
        for rows in &rows {
            series += rows.write(&mut samples, index, family);
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

/// Writes a family unless it has no samples.
fn write_family(writer: &mut Writer, begin: impl FnOnce(&mut Writer), samples: &str) {
    if !samples.is_empty() {
        begin(writer);
        writer.samples(samples);
    }
}

/// Writes the number of campaign series.
pub fn write_series(writer: &mut Writer, series: usize) {
    let name = "campaign_exporter_series";
    writer.gauge(name, "Campaign series in the current exposition.");
    writer.sample(name, "", series as f64);
}

/// Writes the samples of an account in one of the [`ACCOUNT_FAMILIES`].
pub fn write_account(out: &mut String, family: &Family<AccountState>, account: &AccountState) {
    family.write(out, &account_labels(account), account, account);
}

fn account_labels(account: &AccountState) -> String {
    labels([
        ("provider", &**account.account.provider.name()),
        ("account", account.account.name.as_str()),
    ])
}

/// Campaigns of an account, each with the labels of all its series, escaped once for all families.
#[derive(Debug)]
pub struct CampaignRows<'a> {
    account: &'a AccountState,
    exported: Exported,
    campaigns: Vec<Row<'a>>,
}

/// A campaign with the labels of all its series.
#[derive(Debug)]
struct Row<'a> {
    labels: String,
    campaign: &'a Campaign,
    is_older: bool,
}

impl<'a> CampaignRows<'a> {
    /// Escapes the labels of some campaigns of an account.
    pub fn new(account: &'a AccountState, campaigns: &'a [Arc<Campaign>]) -> Self {
        let of_account = account_labels(account);
        let campaigns = campaigns.iter().map(|campaign| {
            let own = labels([
                ("channel", campaign.channel.as_str()),
                ("campaign_id", campaign.id.as_str()),
            ]);
            Row {
                labels: format!("{of_account},{own}"),
                campaign,
                is_older: account.is_older(campaign),
            }
        });
        Self { account, exported: account.account.polling.exported, campaigns: campaigns.collect() }
    }

    /// Writes the samples in the family with this index of the [`CAMPAIGN_FAMILIES`], as far as they
    /// are exported. Returns their number.
    pub fn write(&self, out: &mut String, index: usize, family: &Family<Campaign>) -> usize {
        let [young, older] = [false, true].map(|is_older| self.exported.contains(index, is_older));
        if !young && !older {
            return 0;
        }
        let rows = self.campaigns.iter();
        let rows = rows.filter(|row| if row.is_older { older } else { young });
        rows.map(|row| family.write(out, &row.labels, self.account, row.campaign)).sum()
    }
}

fn write_info(rows: &mut Rows<'_>, campaign: &Campaign) {
    let name = ("campaign_name", campaign.name.as_ref());
    let configured = rows.account.info_labels().iter();
    let time_zone = rows.account.account.polling.reporting_time_zone;
    let known =
        configured.filter_map(|label| Some((&**label, campaign.info_label(label, time_zone)?)));
    rows.push([name].into_iter().chain(known), 1.0);
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

/// Writes the amounts of one kind.
fn write_amounts(rows: &mut Rows<'_>, campaign: &Campaign, kind: fn(Currency) -> Figure) {
    for (figure, amount) in campaign.figures.iter() {
        if let Figure::Cost(currency) | Figure::Revenue(currency) = figure
            && figure == kind(currency)
        {
            rows.push([("currency", currency.as_str())], amount);
        }
    }
}

fn write_usual(rows: &mut Rows<'_>, campaign: &Campaign) {
    for (figure, value) in campaign.figures.iter() {
        if let Figure::Usual(ratio, bound) = figure {
            rows.push([("bound", bound.as_str()), ("rate", ratio.name())], value);
        }
    }
}

fn write_last_poll_reason(rows: &mut Rows<'_>, account: &AccountState) {
    if let Some(failure) = &account.polls.failure {
        rows.push([("reason", failure.reason.as_str())], 1.0);
    }
}

fn write_campaigns(rows: &mut Rows<'_>, account: &AccountState) {
    for (channel, totals) in account.by_channel() {
        rows.push([("channel", channel.as_str())], totals.campaigns as f64);
    }
}

/// Writes a ratio over all campaigns of each channel.
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
    use crate::campaign::exported::{METRICS, Profile};

    #[test]
    fn every_metric_is_documented() {
        let document = include_str!("../../docs/metrics.md");
        let families = CAMPAIGN_FAMILIES.iter().map(|family| family.name);
        let accounts = ACCOUNT_FAMILIES.iter().map(|family| family.name);
        for name in families.chain(accounts) {
            let named = |end| document.contains(&format!("`{name}{end}"));
            assert!(named('`') || named('{'), "{name}");
        }
    }

    #[test]
    fn the_families_are_the_metrics_of_campaigns() {
        let families = CAMPAIGN_FAMILIES.iter().map(|family| family.name);
        assert!(families.eq(METRICS.iter().map(|metric| metric.name)));
    }

    #[test]
    fn a_metric_of_the_smallest_profile_has_one_series() {
        let families = CAMPAIGN_FAMILIES.iter().zip(METRICS);
        for (family, metric) in families.filter(|(_, it)| it.profile == Profile::Essential) {
            // of which campaigns have one each
            let is_single = ["campaign_info", "campaign_status"].contains(&metric.name);
            assert!(is_single || !matches!(family.samples, Samples::Labeled(_)), "{family:?}");
        }
    }

    #[test]
    fn every_count_has_the_family_named_after_it() {
        let counts = CAMPAIGN_FAMILIES.iter().filter_map(|family| {
            let Samples::Count(count, _) = family.samples else {
                return None;
            };
            assert_eq!(family.name, format!("campaign_{}", count.name()));
            Some(count)
        });
        assert_eq!(counts.count(), Count::ALL.len());
    }

    #[test]
    fn every_ratio_has_its_families() {
        for ratio in Ratio::ALL {
            let own = format!("campaign_{}_ratio", ratio.name());
            for name in [own.as_str(), ratio.reported_metric()] {
                let mut families = CAMPAIGN_FAMILIES.iter();
                assert!(families.any(|family| family.name == name), "{name}");
            }
        }
    }
}
