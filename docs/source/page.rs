//! The pages for man: one for the program, one for each of its commands.

use clap::Command;
use clap_mangen::Man;

/// What the pages begin with.
const NOTICE: &str = ".\\\" Written by `cargo run --example manual`: change it in the code.\n";

/// What no flag tells.
const SECTIONS: &str = include_str!("sections.roff");

/// What shows a page about a command where the rest is.
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n.BR campaign_exporter (1),\n\
    for the flags that all commands share, exit codes and files\n";

/// The files.
pub(crate) fn files(mut command: Command) -> anyhow::Result<Vec<(String, String)>> {
    command.build();
    let mut files = vec![file(command.clone(), SECTIONS)?];
    for sub in command.get_subcommands() {
        let sub = sub.clone().mut_args(|argument| {
            let shared = argument.is_global_set();
            argument.hide(shared)
        });
        files.push(file(sub, SEE_ALSO)?);
    }
    Ok(files)
}

fn file(command: Command, sections: &str) -> anyhow::Result<(String, String)> {
    let has_commands = command.has_subcommands();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    let page = String::from_utf8(page)?;
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    let name = man.get_filename();
    let title = title(name.trim_end_matches(".1"));
    let page = format!("{NOTICE}{title}{}\n{sections}", lines.join("\n"));
    Ok((format!("manual/{name}"), page))
}

/// Written here, since clap's leaves out a date that is empty and so moves what follows it.
fn title(name: &str) -> String {
    let name = name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {name} 1 \"\" \"campaign_exporter {version}\" \"Prometheus exporters\"\n")
}
