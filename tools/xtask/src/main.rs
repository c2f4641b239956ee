//! Tasks for developers; run `cargo xtask help` for a list.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use xtask::{dashboards, grafana_alerting, history, manual, root, sharing};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Generates the Grafana-managed rules.
    Alerting,
    /// Generates the dashboards.
    Dashboards,
    /// Generates the manual: man pages, completions, reference pages, and the README's table.
    Manual,
    History(history::Options),
    /// Prints the names of the providers that the preview shows.
    Shown,
    /// Writes the dashboards in the form that grafana.com accepts.
    Share {
        /// The folder to write to, which must exist.
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Alerting => write(grafana_alerting::files()?),
        Task::Dashboards => write(dashboards::files()?),
        Task::Manual => write(manual::files(&campaign_exporter::provider::built_in()).await?),
        Task::History(options) => history::write(options).await,
        Task::Shown => {
            writeln!(io::stdout(), "{}", history::providers().join("\n"))?;
            Ok(())
        }
        Task::Share { folder } => {
            for (name, dashboard) in sharing::files()? {
                let path = folder.join(name);
                std::fs::write(&path, dashboard).with_context(|| path.display().to_string())?;
            }
            Ok(())
        }
    }
}

/// Writes files, given by their paths below the root of the repository.
fn write(files: Vec<(String, String)>) -> anyhow::Result<()> {
    for (name, text) in files {
        let path = root().join(&name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
