//! The `cost` command: what a configuration costs, before it is deployed. Polls nothing.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Buf;
use chrono::{DateTime, TimeDelta, Utc};
use clap::ValueEnum;
use serde::Serialize;
use tracing::{Instrument, warn};

use crate::campaign::counts::{Count, Counts};
use crate::campaign::exported::{Exported, Profile};
use crate::campaign::figures::{Bound, Currency, Figure, Figures};
use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Ratio, Status, curve};
use crate::commands::output;
use crate::config::Account;
use crate::exposition::rendering::{Exposition, Renderer, SharedBody};
use crate::polling::poller::recent_start;
use crate::polling::poller::restore::{self, exported};
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

/// Begins the metrics of the exporter.
const OWN: &str = "campaign_exporter_";

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

/// What a scrape of one account costs, or one of all accounts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Cost {
    campaigns: usize,
    series: usize,
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

/// An account, and what is known of it until the first rendering takes that.
struct Known {
    account: Account,
    campaigns: usize,
    /// In a day.
    requests: f64,
    last: Option<LastKnown>,
}

/// Prints what the accounts cost. Returns whether the campaigns of all of them are known.
pub async fn cost(
    options: Options,
    accounts: Vec<Account>,
    store: Option<&Arc<Store>>,
) -> anyhow::Result<bool> {
    let now = Utc::now();
    let (mut known, mut all_known) = (Vec::new(), true);
    for account in accounts {
        let stored = match store {
            Some(store) => {
                let source = account.provider.source();
                record::load(store, &account.name, &source).instrument(account.span()).await
            }
            None => StoredAccount { poll: None, data: None },
        };
        let Some((polls, data)) = known_of(&options, &account, &stored, now) else {
            warn!(
                account = account.name,
                "no campaigns are stored: state their number with --campaigns"
            );
            all_known = false;
            continue;
        };
        let requests =
            requests_a_day(&account, &stored, &data.campaigns, options.campaigns.is_some());
        let campaigns = data.campaigns.len();
        let last = Some(LastKnown { polls, data: Some((Duration::ZERO, data)) });
        known.push(Known { account, campaigns, requests, last });
    }
    let costs = costs(known, options.scrape_interval)?;
    let text = match options.format {
        CostFormat::Text => costs.to_text(options.scrape_interval),
        CostFormat::Json => serde_json::to_string_pretty(&costs)? + "\n",
    };
    output::write(None, move |out| out.write_all(text.as_bytes())).await?;
    Ok(all_known)
}

/// What accounts cost.
fn costs(mut known: Vec<Known>, scrape_interval: Duration) -> anyhow::Result<Costs> {
    let campaigns = known.iter().map(|it| it.campaigns).sum();
    let requests = known.iter().map(|it| it.requests.ceil()).sum();
    let of_all = |text: &Exposition| measured(&text.whole, campaigns, requests, scrape_interval);
    let mut snapshot = Snapshot::default();
    configure(&mut snapshot, known.iter_mut().map(|it| (it.account.clone(), it.last.take())));
    let text = rendered(&snapshot)?;
    let mut costs = Costs { total: of_all(&text)?, ..Costs::default() };
    for Known { account, campaigns, requests, .. } in &known {
        let body = text.some(|name, _| name == account.name);
        costs.accounts.push(Line {
            name: account.name.clone(),
            cost: measured(&body, *campaigns, *requests, scrape_interval)?,
            requests_per_day: account.provider.limits(account.polling.limits()).per_day,
        });
    }
    drop(text);
    for (name, exported) in variants() {
        let accounts = known.iter().map(|it| {
            let mut account = it.account.clone();
            account.polling.exported = exported;
            (account, None)
        });
        configure(&mut snapshot, accounts);
        let cost = of_all(&rendered(&snapshot)?)?;
        costs.profiles.push(Line { name, cost, requests_per_day: None });
    }
    Ok(costs)
}

/// Replaces the accounts. Those without anything new keep what is known.
fn configure(
    snapshot: &mut Snapshot,
    accounts: impl Iterator<Item = (Account, Option<LastKnown>)>,
) {
    let accounts = accounts.map(|(account, restored)| ConfiguredAccount {
        generation: Generation::default(),
        poll_interval: account.polling.poll_interval,
        account,
        restored,
    });
    snapshot.apply(Change::Configured(accounts.collect()));
}

fn rendered(snapshot: &Snapshot) -> anyhow::Result<Exposition> {
    let (text, _) = Renderer::new()?.render(snapshot).context("cannot compress")?;
    Ok(text)
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

/// What to measure: the stated number of campaigns, else what is stored.
fn known_of(
    options: &Options,
    account: &Account,
    stored: &StoredAccount,
    now: DateTime<Utc>,
) -> Option<(PollStatus, Data)> {
    let Some(campaigns) = options.campaigns else {
        let (at, record) = stored.data.as_ref()?;
        let data = exported(account, record, *at, &mut Campaigns::default());
        return Some((restore::polls(stored), data));
    };
    let campaigns = usize::try_from(campaigns).unwrap_or(usize::MAX);
    let campaigns = campaigns.min(account.polling.max_campaigns);
    let lookback = TimeDelta::from_std(account.polling.lookback).unwrap_or(TimeDelta::MAX);
    let every = lookback / i32::try_from(campaigns).unwrap_or(i32::MAX).max(1);
    let campaigns = (0..campaigns).map(|number| {
        let age = every * i32::try_from(number).unwrap_or(i32::MAX);
        Arc::new(typical(account, number, now - age, age < YOUNG))
    });
    let polls = PollStatus {
        up: true,
        last_poll: Some(now),
        last_success: Some(now),
        stored: Some(Ok(())),
        ..PollStatus::default()
    };
    let kind = account.provider.kind();
    let rates = account.provider.reported_rates().iter();
    let data = Data {
        campaigns: campaigns.collect(),
        credits: kind.fills("campaign_account_credits").then_some(AMOUNT),
        balance: kind.fills("campaign_account_balance").then_some((Currency::NONE, AMOUNT)),
        reported_ratios: rates.map(|rate| (Arc::clone(rate), RATIO)).collect(),
        ..Data::default()
    };
    Some((polls, data))
}

/// Stated amounts, as long as those that are reported.
const AMOUNT: f64 = 123.45;

/// A stated ratio.
const RATIO: f64 = 0.987_654;

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
        cost_credits: kind.fills("campaign_cost_credits").then_some(AMOUNT),
        info: Arc::new(labels.collect()),
        ..Campaign::default()
    };
    let ratios = Ratio::ALL.iter().copied();
    let reported = ratios
        .filter(|ratio| kind.fills(ratio.reported_metric()))
        .map(|ratio| (Figure::Ratio(ratio), RATIO));
    let money = [
        ("campaign_cost", Figure::Cost(Currency::NONE)),
        ("campaign_revenue", Figure::Revenue(Currency::NONE)),
    ];
    let money = money.into_iter().filter(|(metric, _)| kind.fills(metric));
    let money = money.map(|(_, figure)| (figure, AMOUNT));
    let usual =
        curve::RATIOS.into_iter().filter(|ratio| is_young && ratio.of([&campaign]).is_some());
    let usual =
        usual.flat_map(|ratio| Bound::ALL.map(|bound| (Figure::Usual(ratio, bound), RATIO)));
    let figures: Figures = reported.chain(money).chain(usual).collect();
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
    body: &SharedBody,
    campaigns: usize,
    requests: f64,
    scrape_interval: Duration,
) -> anyhow::Result<Cost> {
    let text = SharedBody::identity(&[body], String::new());
    let bytes = text.remaining();
    let gzip_bytes = SharedBody::gzip(&[body], "").remaining();
    let mut series = 0;
    for line in text.reader().lines() {
        let line = line?;
        series += usize::from(!line.starts_with('#') && !line.starts_with(OWN));
    }
    let scrapes = SECONDS_A_DAY / scrape_interval.as_secs_f64();
    Ok(Cost {
        campaigns,
        series,
        bytes,
        gzip_bytes,
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

impl Cost {
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
    use crate::exposition::families;
    use crate::exposition::format::Format;
    use crate::provider::{Kinds, built_in, native};

    /// Metrics that only campaigns have that were not sent yet.
    const NOT_SENT: [&str; 2] =
        ["campaign_scheduled_timestamp_seconds", "campaign_created_timestamp_seconds"];

    fn accounts(kinds: &Kinds) -> Vec<Account> {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name.to_string()).collect();
        let yaml = init::configuration(kinds, &names);
        Config::parse(&yaml, kinds, Some(Path::new("/s"))).unwrap().accounts
    }

    /// What a scrape has of an account.
    fn text(account: &Account, exported: Exported, data: Data, polls: PollStatus) -> String {
        let mut account = account.clone();
        account.polling.exported = exported;
        let mut snapshot = Snapshot::default();
        snapshot.apply(Change::Configured(vec![ConfiguredAccount {
            generation: Generation::default(),
            poll_interval: account.polling.poll_interval,
            account,
            restored: Some(LastKnown { polls, data: Some((Duration::ZERO, data)) }),
        }]));
        families::render(&snapshot, Format::Text)
    }

    /// The series of a sent campaign on a channel.
    fn series(account: &Account, profile: Profile, channel: &Channel, is_older: bool) -> usize {
        let exported = Exported::new(profile, &[], &[], Some(WEEK));
        let channels = account.provider.channels();
        let index = channels.iter().position(|it| it == channel).unwrap();
        let now = Utc::now();
        let age = TimeDelta::days(if is_older { 8 } else { 3 });
        let campaign = typical(account, index, now - age, false);
        let data = Data { campaigns: vec![Arc::new(campaign)], ..Data::default() };
        let polls = PollStatus { last_success: Some(now), ..PollStatus::default() };
        let text = text(account, exported, data, polls);
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
    fn stated_campaigns_have_all_that_their_provider_reports() {
        for account in accounts(&built_in()) {
            let stored = StoredAccount { poll: None, data: None };
            let options = Options {
                scrape_interval: Duration::from_mins(1),
                campaigns: Some(10),
                format: CostFormat::Text,
            };
            let (polls, data) = known_of(&options, &account, &stored, Utc::now()).unwrap();
            let full = Exported::new(Profile::Full, &[], &[], None);
            let text = text(&account, full, data, polls);
            let metrics = account.provider.kind().extras.iter().map(|(metric, _)| *metric);
            let metrics = metrics.filter(|metric| !NOT_SENT.contains(metric));
            let missing: Vec<_> =
                metrics.filter(|it| !text.contains(&format!("\n{it}{{"))).collect();
            assert!(missing.is_empty(), "{}: {missing:?}", account.name);
        }
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
            let (_, data) = known_of(&options(campaigns), account, &stored, Utc::now()).unwrap();
            requests_a_day(account, &stored, &data.campaigns, true)
        });
        assert_eq!(requests.map(whole), [288, 2_808]);
    }
}
