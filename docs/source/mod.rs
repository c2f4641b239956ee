//! The source of the manual: what the program itself tells about its flags, keys and metrics.
//!
//! `page` and `completions` are made of the command line, `flags`, `configuration` and `metrics` are
//! one table each, and `exposition` is what the last of them reads.

mod completions;
mod configuration;
pub(crate) mod exposition;
mod flags;
mod metrics;
mod page;
#[expect(dead_code, reason = "only families and their samples are needed here")]
#[path = "../../tests/it/support/strict.rs"]
pub(crate) mod strict;
mod table;

use campaign_exporter::cli::Cli;
use clap::{Command, CommandFactory};

/// What the files that are read begin with.
const NOTICE: &str = "<!-- Written by `cargo run --example manual`: change it in the code. -->";

/// The path below `docs/` and the text of each file.
pub(crate) async fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = page::files(command())?;
    files.extend(completions::files(&command())?);
    files.push(("flags.md".to_owned(), flags::text(command())));
    files.push(("configuration.md".to_owned(), configuration::text()?));
    files.push(("metrics.md".to_owned(), metrics::text().await?));
    Ok(files)
}

/// The command line. The revision and the compiler change while it does not.
fn command() -> Command {
    Cli::command()
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
}
