//! The `cost` command: what a configuration costs, before it is deployed. Polls nothing.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use tracing::warn;

use crate::campaign::counts::{Count, Counts};
use crate::campaign::exported::{Exported, Profile};
use crate::campaign::figures::{Bound, Figure, Figures};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Ratio, Status, curve};
use crate::commands::output;
use crate::config::Account;
use crate::exposition::families;
use crate::exposition::format::Format;
use crate::polling::poller::recent_start;
use crate::polling::poller::restore::exported;
use crate::state::snapshot::{
    Change, ConfiguredAccount, Data, Generation, LastKnown, PollStatus, Snapshot,
};
use crate::storage::record::{self, StoredAccount};
use crate::storage::store::Store;
use crate::upstream::quota::plan::Plan;

/// Most campaigns of an account that can be stated: their exposition takes 190 MB of memory.
pub const MAX_CAMPAIGNS: u64 = 100_000;

const SECONDS_A_DAY: f64 = 86_400.0;

/// Age of the campaigns with what is usual at their age.
const YOUNG: TimeDelta = TimeDelta::days(2);

/// A `detail` to compare with: as in the documentation.
const WEEK: Duration = Duration::from_hours(7 * 24);

/// What to compute.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often Prometheus scrapes.
    pub scrape_interval: Duration,
    /// The campaigns of each account; without it, those that are stored.
    pub campaigns: Option<u64>,
    /// The format.
    pub format: CostFormat,
}

/// Format of the costs.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CostFormat {
    /// Tables.
    Text,
    /// JSON.
    Json,
}

/// What one account, or all of them, cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Cost {
    campaigns: usize,
    series: usize,
    /// Of a scrape.
    bytes: usize,
    gzip_bytes: usize,
    samples_a_day: u64,
    requests_a_day: u64,
}

/// A line of a table.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    #[serde(flatten)]
    cost: Cost,
    /// The limit of the account's requests, which other accounts can share.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_day: Option<u64>,
}

/// The costs of a configuration.
#[derive(Debug, Default, Serialize)]
struct Costs {
    accounts: Vec<Line>,
    total: Cost,
    /// The same accounts, if all had a profile and nothing else.
    profiles: Vec<Line>,
}

/// Prints what the accounts cost. Returns whether the campaigns of all of them are known.
pub async fn cost(
    options: Options,
    accounts: Vec<Account>,
    store: Option<&Arc<Store>>,
) -> anyhow::Result<bool> {
    let now = Utc::now();
    let (mut costs, mut all_known) = (Costs::default(), true);
    let variants = variants();
    let mut of_profiles = vec![Cost::default(); variants.len()];
    for account in accounts {
        let stored = match store {
            Some(store) => record::load(store, &account.name, &account.provider.source()).await,
            None => StoredAccount { poll: None, data: None },
        };
        let Some((at, data)) = data(&options, &account, &stored, now) else {
            warn!(
                account = account.name,
                "no campaigns are stored: state their number with --campaigns"
            );
            all_known = false;
            continue;
        };
        let requests =
            requests_a_day(&account, &stored, &data.campaigns, options.campaigns.is_some());
        let known = LastKnown {
            polls: PollStatus {
                up: true,
                last_poll: Some(at),
                last_success: Some(at),
                ..PollStatus::default()
            },
            data: Some((Duration::ZERO, data)),
        };
        let mut snapshot = Snapshot::default();
        let mut measure = |exported: Exported, restored| {
            let mut account = account.clone();
            account.polling.exported = exported;
            let poll_interval = account.polling.poll_interval;
            let generation = Generation::default();
            let account = ConfiguredAccount { generation, account, poll_interval, restored };
            snapshot.apply(Change::Configured(vec![account]));
            let text = families::render(&snapshot, Format::Text);
            let campaigns = snapshot.accounts().map(|state| state.campaigns().len()).sum();
            measured(&text, campaigns, requests, options.scrape_interval)
        };
        let cost = measure(account.polling.exported, Some(known))?;
        costs.total.add(cost);
        for ((_, exported), sum) in variants.iter().zip(&mut of_profiles) {
            sum.add(measure(*exported, None)?);
        }
        let requests_per_day = account.provider.limits(account.polling.limits()).per_day;
        costs.accounts.push(Line { name: account.name, cost, requests_per_day });
    }
    let profiles = variants.into_iter().zip(of_profiles);
    let profiles = profiles.map(|((name, _), cost)| Line { name, cost, requests_per_day: None });
    costs.profiles = profiles.collect();
    let text = match options.format {
        CostFormat::Text => costs.to_text(options.scrape_interval),
        CostFormat::Json => serde_json::to_string_pretty(&costs)? + "\n",
    };
    output::write(None, move |out| out.write_all(text.as_bytes())).await?;
    Ok(all_known)
}

/// The profiles to compare, with and without `detail`.
fn variants() -> Vec<(String, Exported)> {
    let details = [(None, ""), (Some(WEEK), ", detail: 7d")];
    let variants = details.into_iter().flat_map(|(detail, ending)| {
        Profile::ALL.map(|profile| {
            let exported = Exported::new(profile, &[], &[], detail);
            (format!("profile: {}{ending}", profile.name()), exported)
        })
    });
    variants.collect()
}

/// The campaigns to measure: the stated number of them, else those that are stored.
fn data(
    options: &Options,
    account: &Account,
    stored: &StoredAccount,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Data)> {
    let Some(campaigns) = options.campaigns else {
        let (at, record) = stored.data.as_ref()?;
        return Some((*at, exported(account, record, *at, &mut Campaigns::default())));
    };
    let campaigns = usize::try_from(campaigns).unwrap_or(usize::MAX);
    let campaigns = campaigns.min(account.polling.max_campaigns);
    let lookback = TimeDelta::from_std(account.polling.lookback).unwrap_or(TimeDelta::MAX);
    let every = lookback / i32::try_from(campaigns).unwrap_or(i32::MAX).max(1);
    let campaigns = (0..campaigns).map(|number| {
        let age = every * i32::try_from(number).unwrap_or(i32::MAX);
        Arc::new(typical(account, number, now - age, age < YOUNG))
    });
    Some((now, Data { campaigns: campaigns.collect(), ..Data::default() }))
}

/// A campaign that was sent and has everything that its provider reports.
fn typical(account: &Account, number: usize, sent: DateTime<Utc>, is_young: bool) -> Campaign {
    let kind = account.provider.kind();
    let channels = account.provider.channels();
    let channel = channels.get(number % channels.len().max(1)).cloned().unwrap_or(Channel::Sms);
    let mut counts = Counts::default();
    for count in Count::ALL.iter().filter(|count| kind.reports(**count, &channel)) {
        counts.set(*count, Some(12_345));
    }
    let status = kind.statuses.contains(&Status::Sent).then_some(Status::Sent);
    let failures = kind.failures.iter().map(|reason| (Arc::clone(reason), 123)).collect();
    let labels = kind.info_label_names().map(|label| (Arc::clone(label), "label".to_owned()));
    let mut campaign = Campaign {
        // as long as a UUID, which most ids are not
        id: format!("{number:036}"),
        name: "The name of a campaign".into(),
        channel,
        status,
        last_sent: Some(sent),
        counts,
        failures,
        cost_credits: kind.fills("campaign_cost_credits").then_some(123.0),
        info: Arc::new(labels.collect()),
        ..Campaign::default()
    };
    let ratios = Ratio::ALL.iter().copied();
    let reported = ratios
        .filter(|ratio| kind.fills(ratio.reported_metric()))
        .map(|ratio| (Figure::Ratio(ratio), 0.987_654));
    let usual =
        curve::RATIOS.into_iter().filter(|ratio| is_young && ratio.of([&campaign]).is_some());
    let usual =
        usual.flat_map(|ratio| Bound::ALL.map(|bound| (Figure::Usual(ratio, bound), 0.987_654)));
    let figures: Figures = reported.chain(usual).collect();
    campaign.figures = figures;
    campaign
}

/// The requests that polling an account takes: as counted by the last polls, else by the number of
/// campaigns.
fn requests_a_day(
    account: &Account,
    stored: &StoredAccount,
    campaigns: &[Arc<Campaign>],
    are_stated: bool,
) -> f64 {
    let polling = &account.polling;
    let now = Utc::now();
    let since = |start: DateTime<Utc>| {
        let young = campaigns.iter().filter(|it| it.last_sent.is_none_or(|sent| sent >= start));
        let ids: Vec<_> = young.map(|campaign| campaign.id.clone()).collect();
        account.provider.requests(Window::new(start, now), &ids) as f64
    };
    let counted = stored.poll.as_ref().filter(|_| !are_stated);
    let full = counted.and_then(|poll| poll.full_requests).map(|count| count as f64);
    let full_requests = full.unwrap_or_else(|| since(DateTime::UNIX_EPOCH));
    let recent = counted.and_then(|poll| poll.recent_requests).map(|count| count as f64);
    let plan = Plan {
        poll_interval: polling.poll_interval,
        full_poll_interval: polling.full_poll_interval,
        recent_requests: recent
            .unwrap_or_else(|| since(recent_start(&account.polling, now)))
            .min(full_requests),
        full_requests,
    };
    plan.requests_a_day()
}

fn measured(
    text: &str,
    campaigns: usize,
    requests: f64,
    scrape_interval: Duration,
) -> anyhow::Result<Cost> {
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    let scrapes = SECONDS_A_DAY / scrape_interval.as_secs_f64();
    Ok(Cost {
        campaigns,
        series,
        bytes: text.len(),
        gzip_bytes: gzip_bytes(text).context("cannot compress")?,
        samples_a_day: whole(series as f64 * scrapes),
        requests_a_day: whole(requests.ceil()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a day, and never negative"
)]
const fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn gzip_bytes(text: &str) -> io::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?.len())
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.campaigns += other.campaigns;
        self.series += other.series;
        self.bytes += other.bytes;
        self.gzip_bytes += other.gzip_bytes;
        self.samples_a_day += other.samples_a_day;
        self.requests_a_day += other.requests_a_day;
    }

    fn cells(&self, name: &str, limit: Option<u64>) -> Vec<String> {
        let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        vec![
            name.to_owned(),
            self.campaigns.to_string(),
            self.series.to_string(),
            self.bytes.to_string(),
            self.gzip_bytes.to_string(),
            self.samples_a_day.to_string(),
            format!("{}{limit}", self.requests_a_day),
        ]
    }
}

impl Costs {
    fn to_text(&self, scrape_interval: Duration) -> String {
        let heading = |name: &'static str| {
            let others = ["campaigns", "series", "bytes", "gzip", "samples/day", "requests/day"];
            [name].into_iter().chain(others).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut rows = vec![heading("account")];
        rows.extend(
            self.accounts.iter().map(|line| line.cost.cells(&line.name, line.requests_per_day)),
        );
        rows.push(self.total.cells("total", None));
        let profiles = rows.len();
        rows.push(heading("all accounts with"));
        rows.extend(self.profiles.iter().map(|line| line.cost.cells(&line.name, None)));
        let widths = (0..heading("").len()).map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        });
        let widths: Vec<_> = widths.collect();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            let between = if index == profiles { "\n" } else { "" };
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let cells = cells.collect::<Vec<_>>().join("  ");
            text.extend([between, cells.trim_end(), "\n"]);
        }
        text + &format!(
            "\nSeries include those of accounts, and not the exporter's own. Samples are those of a scrape every {} s.\n",
            scrape_interval.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::campaign::exported::ESSENTIAL;
    use crate::commands::init;
    use crate::config::Config;
    use crate::provider::{Kinds, built_in, native};

    fn accounts(kinds: &Kinds) -> Vec<Account> {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name.to_string()).collect();
        let yaml = init::configuration(kinds, &names);
        Config::parse(&yaml, kinds, Some(Path::new("/s"))).unwrap().accounts
    }

    /// The series of a sent campaign on a channel.
    fn series(account: &Account, profile: Profile, channel: &Channel, is_older: bool) -> usize {
        let mut account = account.clone();
        account.polling.exported = Exported::new(profile, &[], &[], Some(WEEK));
        let channels = account.provider.channels();
        let index = channels.iter().position(|it| it == channel).unwrap();
        let now = Utc::now();
        let age = TimeDelta::days(if is_older { 8 } else { 3 });
        let campaign = typical(&account, index, now - age, false);
        let data = Data { campaigns: vec![Arc::new(campaign)], ..Data::default() };
        let polls = PollStatus { last_success: Some(now), ..PollStatus::default() };
        let mut snapshot = Snapshot::default();
        snapshot.apply(Change::Configured(vec![ConfiguredAccount {
            generation: Generation::default(),
            poll_interval: account.polling.poll_interval,
            account,
            restored: Some(LastKnown { polls, data: Some((Duration::ZERO, data)) }),
        }]));
        let text = families::render(&snapshot, Format::Text);
        text.lines().filter(|line| line.contains("campaign_id=")).count()
    }

    #[test]
    fn the_documented_series_of_a_campaign_are_correct() {
        let document = include_str!("../../docs/cost.md");
        let accounts = accounts(&native());
        let rows = accounts.iter().flat_map(|account| {
            account.provider.channels().iter().map(move |channel| {
                let cells = Profile::ALL.into_iter().flat_map(|profile| {
                    [false, true].map(|is_older| series(account, profile, channel, is_older))
                });
                let cells: Vec<_> = cells.map(|series| series.to_string()).collect();
                let (title, channel) = (&account.provider.kind().title, channel.as_str());
                format!("| {title}, {channel} | {} |\n", cells.join(" | "))
            })
        });
        let missing: String = rows.filter(|row| !document.contains(row)).collect();
        assert!(missing.is_empty(), "docs/cost.md lacks\n{missing}");
    }

    #[test]
    fn the_smallest_profile_has_few_series_at_every_provider() {
        for account in accounts(&built_in()) {
            for channel in account.provider.channels() {
                let series = series(&account, Profile::Essential, channel, false);
                assert!(series <= ESSENTIAL, "{}: {series}", account.name);
            }
        }
    }

    #[test]
    fn requests_are_those_of_the_documentation() {
        // docs/scale.md has the same sums
        let window = Window::ending(Utc::now(), WEEK);
        let has_pages_of_200 = |account: &Account| {
            let requests = |ids| account.provider.requests(window, &vec![String::new(); ids]);
            (requests(200), requests(201)) == (1, 2)
        };
        let accounts = accounts(&native());
        let account = accounts.iter().find(|account| has_pages_of_200(account)).unwrap();
        let stored = StoredAccount { poll: None, data: None };
        let options = |campaigns| Options {
            scrape_interval: Duration::from_mins(1),
            campaigns: Some(campaigns),
            format: CostFormat::Text,
        };
        let requests = [100, 10_000].map(|campaigns| {
            let (_, data) = data(&options(campaigns), account, &stored, Utc::now()).unwrap();
            requests_a_day(account, &stored, &data.campaigns, true)
        });
        assert_eq!(requests.map(whole), [288, 2_808]);
    }

    #[test]
    fn a_scrape_is_counted_as_prometheus_would() {
        let text = "# HELP a b\na 1\na{b=\"c\"} 2\n";
        let cost = measured(text, 3, 12.5, Duration::from_secs(30)).unwrap();
        assert_eq!((cost.campaigns, cost.series, cost.bytes), (3, 2, text.len()));
        assert_eq!((cost.samples_a_day, cost.requests_a_day), (2 * 2_880, 13));
    }
}
