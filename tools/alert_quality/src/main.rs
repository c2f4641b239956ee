//! Measures the quality of the alerts in a month with incidents, evaluated by Prometheus.
//!
//! The modules are listed in the order in which data flows through them.

#![expect(clippy::too_many_lines, reason = "incidents are tables")]

mod chance;

mod sending;

mod month;

mod credits;

mod oracle;

mod incident;

mod exporter;
mod series;

mod prometheus;
mod rules;

mod pages;
mod score;

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use crate::exporter::{EVALUATED, SCRAPED};
use crate::month::{MONTH, Month, What};
use crate::pages::Alertmanager;
use crate::prometheus::Prometheus;
use crate::report::Report;
use crate::score::Scored;

/// The shipped rules, in the order of their dependencies.
const SHIPPED: [&str; 4] = [
    "alerts/thresholds.yml",
    "alerts/recording.yml",
    "alerts/campaigns.yml",
    "alerts/exporter.yml",
];

const ALERTMANAGER: &str = "alerts/alertmanager/alertmanager.yml";

const RIVALS: &str = "alerts/quality/rivals.yml";

/// Measures the quality of the alerts.
///
/// The rules are tuned with the seeds below 100. A month of another seed is looked at once.
#[derive(Parser)]
struct Arguments {
    /// Seeds of the months.
    #[arg(long, default_values_t = [1])]
    seed: Vec<u64>,
    /// Compares with rules in common use.
    #[arg(long)]
    rivals: bool,
    /// Additional output file of the report.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut report = Report::default();
    for seed in arguments.seed {
        measure(seed, arguments.rivals, &mut report).await?;
    }
    let (report, missed) = report.write()?;
    let mut out = std::io::stdout().lock();
    write!(out, "{report}")?;
    if let Some(path) = arguments.report {
        std::fs::write(path, &report)?;
    }
    for missed in &missed {
        writeln!(out, "missed: {missed}")?;
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(seed: u64, with_rivals: bool, report: &mut Report) -> Result<()> {
    let shipped = rules::needed(rules::read(&SHIPPED.map(Path::new))?);
    let rivals = if with_rivals { rules::read(&[Path::new(RIVALS)])? } else { Vec::new() };
    let mut wanted = rules::words(&shipped);
    wanted.extend(rules::words(&rivals));

    let began = Instant::now();
    let mut month = Month::ordinary(seed)?;
    let incidents = incident::plant(&mut month)?;
    let scraped = exporter::live(&month, &wanted)?;
    progress(began, "month simulated");
    let prometheus = Prometheus::start().await?;
    prometheus.scraped(&scraped, SCRAPED..MONTH).await?;
    progress(began, "samples written to Prometheus");
    let restarts: Vec<_> = month
        .troubles
        .iter()
        .filter(|trouble| matches!(trouble.what, What::PrometheusRestarts))
        .map(|trouble| trouble.from)
        .collect();
    let evaluated = EVALUATED..MONTH;
    let firings = rules::evaluate(&shipped, &prometheus, evaluated.clone(), &restarts).await?;
    let of_rivals = rules::evaluate(&rivals, &prometheus, evaluated, &restarts).await?;
    progress(began, "rules evaluated");

    let alertmanager = Alertmanager::read(ALERTMANAGER)?;
    let pages = alertmanager.pages(&firings)?;
    let own = Scored { month: &month, incidents: &incidents, firings: &firings, pages: &pages };
    let mut names: Vec<_> = of_rivals.iter().map(|firing| firing.alert.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &String| {
        let fired = of_rivals.iter().filter(|firing| firing.alert == *name);
        fired.cloned().collect::<Vec<_>>()
    };
    let firings: Vec<_> = names.iter().map(of).collect();
    let none: Vec<_> = vec![None; of_rivals.len()];
    let rivals = names.iter().zip(&firings).map(|(name, firings)| {
        (name.as_str(), Scored { month: &month, incidents: &incidents, firings, pages: &none })
    });
    report.add(&own, &rivals.collect::<Vec<_>>());
    Ok(())
}

fn progress(began: Instant, done: &str) {
    // progress goes to standard error, so that the report can be piped
    let line = format!("{:>4} s: {done}\n", began.elapsed().as_secs());
    std::io::stderr().write_all(line.as_bytes()).unwrap_or_default();
}
