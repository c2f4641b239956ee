//! Measures the quality of the alerts in a month with incidents, evaluated by Prometheus.
//!
//! The modules are listed in the order in which data flows through them.

#![expect(clippy::too_many_lines, reason = "incidents are tables")]

mod chance;

mod sending;

mod month;

mod incident;

mod credits;

mod exporter;
mod series;

mod oracle;

mod prometheus;
mod rules;

mod score;

mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;

use crate::incident::Incident;
use crate::month::{MONTH, Month};
use crate::oracle::Oracle;
use crate::prometheus::Prometheus;
use crate::report::Report;

/// The shipped rules, in the order of their dependencies.
const SHIPPED: [&str; 4] = [
    "alerts/thresholds.yml",
    "alerts/recording.yml",
    "alerts/campaigns.yml",
    "alerts/exporter.yml",
];

const RIVALS: &str = "alerts/quality/rivals.yml";

/// Seed of the month used to tune the rules.
const SEED: u64 = 1;

/// Measures the quality of the alerts.
#[derive(Parser)]
struct Arguments {
    /// Seed of the month.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Additional output file of the report.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let (report, missed) = measure(arguments.seed).await?;
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

async fn measure(seed: u64) -> Result<(String, Vec<String>)> {
    let shipped = rules::needed(rules::read(&SHIPPED.map(Path::new))?);
    let rivals = rules::read(&[Path::new(RIVALS)])?;
    let mut wanted = rules::words(&shipped);
    wanted.extend(rules::words(&rivals));

    let began = Instant::now();
    let mut month = Month::ordinary(seed)?;
    let incidents = incident::plant(&mut month)?;
    let scraped = exporter::live(&month, &wanted)?;
    progress(began, "month simulated");
    let prometheus = Prometheus::start().await?;
    prometheus.scraped(&scraped.series, MONTH).await?;
    progress(began, "samples written to Prometheus");
    let firings = rules::evaluate(&shipped, &prometheus, MONTH).await?;
    let rivals = rules::evaluate(&rivals, &prometheus, MONTH).await?;
    progress(began, "rules evaluated");

    let oracle = Oracle { month: &month, known: &scraped.known };
    let judge = |incident: &Incident| {
        let bad_since = oracle.bad_since(incident);
        score::judge(incident.clone(), bad_since, &firings, &shipped)
    };
    let verdicts: Vec<_> = incidents.iter().map(judge).collect();
    let of = |alert: &str| {
        let fired = rivals.iter().filter(|firing| firing.alert == alert);
        fired.cloned().collect()
    };
    let report = Report {
        month: &month,
        incidents: &incidents,
        verdicts: &verdicts,
        firings: &firings,
        rivals: &[
            ("`campaign_delivery_ratio < 0.9` for 15m", of("RivalFixedLimit")),
            ("last hour 25 % below the 7-day mean", of("RivalLastHour")),
        ],
    };
    Ok(report.write()?)
}

fn progress(began: Instant, done: &str) {
    // progress goes to standard error, so that the report can be piped
    let line = format!("{:>4} s: {done}\n", began.elapsed().as_secs());
    std::io::stderr().write_all(line.as_bytes()).unwrap_or_default();
}
