//! Tasks for developers; run `cargo xtask help` for a list.

use anyhow::Context;
use clap::Parser;
use xtask::{dashboards, history, manual, root};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Generates the dashboards.
    Dashboards,
    /// Generates the manual: man pages, completions, reference pages, and the README's table.
    Manual,
    History(history::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Task::parse() {
        Task::Dashboards => write(dashboards::files()?),
        Task::Manual => write(manual::files(&campaign_exporter::provider::built_in()).await?),
        Task::History(options) => history::write(options).await,
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
