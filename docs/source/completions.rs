//! What shells complete.

use clap::Command;
use clap_complete::{Shell, generate};

/// The file of each shell, under the name by which the shell finds it.
pub(crate) fn files(command: &Command) -> anyhow::Result<Vec<(String, String)>> {
    let shells = [
        (Shell::Bash, "campaign_exporter.bash"),
        (Shell::Zsh, "_campaign_exporter"),
        (Shell::Fish, "campaign_exporter.fish"),
    ];
    let files = shells.into_iter().map(|(shell, name)| {
        let mut script = Vec::new();
        generate(shell, &mut command.clone(), command.get_name(), &mut script);
        Ok((format!("completions/{name}"), String::from_utf8(script)?))
    });
    files.collect()
}
