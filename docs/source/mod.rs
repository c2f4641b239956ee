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
pub(crate) mod providers;
mod table;

use anyhow::Context;
use campaign_exporter::cli::Cli;
use campaign_exporter::provider::{self, Kinds};
use clap::{Command, CommandFactory};

/// What the files that are read begin with.
const NOTICE: &str = "<!-- Written by `cargo run --example manual`: change it in the code. -->";

/// The path and the text of each file.
pub(crate) async fn files() -> anyhow::Result<Vec<(String, String)>> {
    let kinds = provider::native();
    let mut files = page::files(command())?;
    files.extend(completions::files(&command())?);
    files.push(("flags.md".to_owned(), flags::text(command())));
    files.push(("configuration.md".to_owned(), configuration::text(&kinds)));
    files.push((
        "config.schema.json".to_owned(),
        configuration::schema(&kinds)?,
    ));
    files.push(("metrics.md".to_owned(), metrics::text(&kinds).await?));
    files.extend(providers::files(&kinds));
    let files = files.into_iter();
    let mut files: Vec<_> = files
        .map(|(path, text)| (format!("docs/{path}"), text))
        .collect();
    files.push(("README.md".to_owned(), readme(&kinds)?));
    Ok(files)
}

/// The README with its table of providers.
fn readme(kinds: &Kinds) -> anyhow::Result<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    let (begin, end) = ("<!-- providers -->\n", "<!-- end of providers -->\n");
    let (before, rest) = readme
        .split_once(begin)
        .context("README.md has no providers")?;
    let (_, after) = rest
        .split_once(end)
        .context("README.md has no end of providers")?;
    let table = providers::readme_table(kinds);
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}

/// The command line. The revision and the compiler change while it does not.
fn command() -> Command {
    Cli::command()
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
}
