//! Metric history for the preview: the samples that Prometheus would have scraped from the demo since
//! yesterday, and a month ago.
//!
//! Steps the clock of the simulated providers, polls them with the real clients, and writes the
//! exposition with these timestamps, for `promtool tsdb create-blocks-from openmetrics`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::commands::demo::{Providers, shown};
use campaign_exporter::document::parse_duration;
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::{Format, Writer, labels};
use campaign_exporter::polling::poller::restore::{configure, connect};
use campaign_exporter::polling::poller::{Poller, Progress};
use campaign_exporter::provider::{Kind, built_in, native};
use campaign_exporter::state::snapshot::{Change, Generation, Snapshot};
use campaign_exporter::telemetry::Telemetry;
use campaign_exporter::upstream::applications::Applications;
use campaign_exporter::upstream::auth::renewals::Renewals;
use campaign_simulator::{Fault, FaultPlan};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use futures_util::future::join_all;
use testkit::exposition::{self, Family};
use tokio::time::Instant;

/// Time before the end at which the last provider starts and stops rejecting the token, to show an
/// outage.
const REFUSED: [Duration; 2] = [Duration::from_hours(5), Duration::from_hours(4)];

/// How long before the end the providers are polled for the first time, and how often until the history
/// begins, so that the exporter knows what is usual: for at least seven campaigns of each account that were
/// sent at the same time of day. The first scrape is written, so that a month can be compared with the one
/// before; two minutes earlier, since a query finds the samples before its time.
const FIRST: TimeDelta = TimeDelta::minutes(30 * 24 * 60 + 2);
const FIRST_STEP: TimeDelta = TimeDelta::hours(1);

/// Writes the metric history of the demo as OpenMetrics with timestamps.
#[derive(Debug, Args)]
pub struct Options {
    /// Providers of the demo.
    #[arg(long = "provider")]
    providers: Vec<String>,
    /// Seed of the demo.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Length of the history.
    #[arg(long, default_value = "26h", value_parser = duration)]
    length: Duration,
    /// Interval of polls and scrapes.
    #[arg(long, default_value = "2m", value_parser = duration)]
    step: Duration,
    /// Instance label, the same as that of the running exporter.
    #[arg(long, default_value = "localhost:10058")]
    instance: String,
    /// Output file.
    file: PathBuf,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write for example 2m or 26h".to_owned())
}

/// The names of the providers that the preview shows: those of the demo, none of which reports clicks
/// together with costs and senders, and those that do.
pub fn providers() -> Vec<String> {
    let is_shown = |kind: &Kind| {
        native().iter().any(|native| native.name == kind.name)
            || kind.counts.iter().any(|(count, _)| *count == Count::Clicks)
                && kind.info_labels.iter().any(|(label, _)| **label == *"sender")
                && kind.extras.iter().any(|(metric, _)| *metric == "campaign_cost")
    };
    let kinds = built_in();
    let kinds = kinds.iter().filter(|kind| is_shown(kind));
    kinds.map(|kind| kind.name.to_string()).collect()
}

/// Writes the history.
pub async fn write(options: Options) -> anyhow::Result<()> {
    let end = Utc::now();
    let begin = end - options.length;
    let kinds = shown(&built_in(), &options.providers);
    let providers = Providers::start(&kinds, options.seed, end, options.step).await?;
    let mut exporter = Exporter::new(&providers).await?;

    let file = File::create(&options.file).context("cannot create the file")?;
    let mut past = Past { file: BufWriter::new(file), instance: options.instance, begin };
    let first = (end - FIRST).min(begin);
    let mut moment = first;
    while moment < end {
        tell_time(&providers, moment, end);
        exporter.poll(moment, moment - first).await?;
        if moment == first || moment >= begin {
            let started = Instant::now();
            let exposition = exporter.exposition()?;
            past.write(moment, &exposition, started.elapsed())?;
        }
        moment =
            if moment < begin { (moment + FIRST_STEP).min(begin) } else { moment + options.step };
    }
    past.end().context("cannot write")
}

/// Sets the clock of the providers to a time before the end.
fn tell_time(providers: &Providers, moment: DateTime<Utc>, end: DateTime<Utc>) {
    let [from, to] = REFUSED.map(|before| end - before);
    let refused = (from..to).contains(&moment);
    for (index, simulator) in providers.simulators.iter().enumerate() {
        let fault = Fault::Status { code: 401, retry_after: None };
        simulator.update(|state| {
            state.present = Some(moment);
            state.fault = (refused && index + 1 == providers.simulators.len())
                .then(|| FaultPlan::always(fault));
        });
    }
}

/// The parts of the exporter that need no clock.
struct Exporter {
    pollers: Vec<Poller>,
    snapshot: Snapshot,
    telemetry: Telemetry,
    began: Instant,
}

impl Exporter {
    async fn new(providers: &Providers) -> anyhow::Result<Self> {
        let accounts = &providers.config.accounts;
        let mut applications = Applications::new(None, Renewals::new(String::new()));
        configure(&mut applications, accounts).await;
        let telemetry = Telemetry::new()?;
        telemetry.observe_process()?;
        let mut pollers = Vec::new();
        for account in accounts {
            let (telemetry, access) = connect(account, &applications, None, true)?;
            pollers.push(Poller {
                account: account.clone(),
                generation: Generation::default(),
                client: providers.client.clone(),
                telemetry,
                access,
                progress: Progress::default(),
            });
        }
        telemetry.set_accounts(pollers.iter().map(|p| p.telemetry.clone()).collect());
        Ok(Self { pollers, snapshot: Snapshot::of(accounts), telemetry, began: Instant::now() })
    }

    /// Polls all accounts at a time, this long after the first.
    async fn poll(&mut self, moment: DateTime<Utc>, passed: TimeDelta) -> anyhow::Result<()> {
        let ended = self.began + passed.to_std()?;
        let polls = self.pollers.iter_mut().map(async |poller| {
            let turn = poller.turn().await;
            let outcome = poller.poll_by(turn, || moment).await;
            poller.count(outcome.failure());
            poller.update(outcome, ended, poller.interval())
        });
        for update in join_all(polls).await {
            self.snapshot.apply(Change::Polled(Box::new(update)));
        }
        self.snapshot.expire(ended);
        Ok(())
    }

    fn exposition(&self) -> anyhow::Result<Vec<Family>> {
        let mut own = Writer::new(Format::OpenMetrics);
        own.families(&self.telemetry.gather());
        let text = families::render(&self.snapshot, Format::OpenMetrics)
            + &own.into_string()
            + Format::OpenMetrics.end();
        exposition::parse(&text, exposition::Format::OpenMetrics)
            .map_err(|problem| anyhow!(problem))
    }
}

/// The output file, and what the samples of a scrape need besides their values.
struct Past {
    file: BufWriter<File>,
    instance: String,
    begin: DateTime<Utc>,
}

impl Past {
    /// Writes the samples of a scrape, with the labels and timestamp that Prometheus adds.
    fn write(
        &mut self,
        moment: DateTime<Utc>,
        exposition: &[Family],
        took: Duration,
    ) -> io::Result<()> {
        let mut samples = 0;
        for sample in exposition.iter().flat_map(|family| &family.samples) {
            let value = match sample.name.as_str() {
                // this process started after the time of these samples
                "process_start_time_seconds"
                | "campaign_exporter_config_last_reload_success_timestamp_seconds" => {
                    self.begin.timestamp().to_string()
                }
                _ => sample.value.to_string(),
            };
            self.sample(moment, &sample.name, &sample.labels, &value)?;
            samples += 1;
        }
        let samples = samples.to_string();
        let took = took.as_secs_f64().to_string();
        for (name, value) in [
            ("up", "1"),
            ("scrape_duration_seconds", &took),
            ("scrape_samples_scraped", &samples),
            ("scrape_samples_post_metric_relabeling", &samples),
        ] {
            self.sample(moment, name, &[], value)?;
        }
        Ok(())
    }

    fn sample(
        &mut self,
        moment: DateTime<Utc>,
        name: &str,
        own: &[(String, String)],
        value: &str,
    ) -> io::Result<()> {
        let own = own.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let target = [("job", "campaign_exporter"), ("instance", self.instance.as_str())];
        let (labels, time) = (labels(target.into_iter().chain(own)), moment.timestamp());
        writeln!(self.file, "{name}{{{labels}}} {value} {time}")
    }

    fn end(mut self) -> io::Result<()> {
        self.file.write_all(Format::OpenMetrics.end().as_bytes())?;
        self.file.flush()
    }
}
