//! The `completions` command: what shells complete.

use anyhow::Context;
use clap::Command;
use clap_complete::{Shell, generate};

/// The script of a shell.
pub fn script(shell: Shell, command: &Command) -> anyhow::Result<String> {
    let mut script = Vec::new();
    generate(shell, &mut command.clone(), command.get_name(), &mut script);
    let script = String::from_utf8(script)?;
    match shell {
        Shell::Fish => without_argparse(&script, command),
        _ => Ok(script),
    }
}

/// Clap's script for fish finds the command by fish's argparse, which takes no flag with a dot in
/// its name and then completes nothing at all. Here it is looked for by its name.
fn without_argparse(script: &str, command: &Command) -> anyhow::Result<String> {
    let using = format!("function __fish_{}_using_subcommand", command.get_name());
    let place = script.find(&using);
    let place = place.with_context(|| format!("clap's script for fish has no {using}"))?;
    let (_, rest) = script.split_at(place);
    let commands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    Ok(format!(
        "function __fish_{}_needs_command
    for word in (commandline -opc)[2..]
        if contains -- $word {}
            echo $word
            return 1
        end
    end
    return 0
end

{rest}",
        command.get_name(),
        commands.join(" ")
    ))
}
