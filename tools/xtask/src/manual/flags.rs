//! The table of flags.

use clap::{Arg, Command};

use super::NOTICE;
use super::table::{code, codes, table};

/// The file.
pub(crate) fn text(mut command: Command) -> String {
    command.build();
    let first = command.get_arguments().filter(|argument| !argument.is_global_set());
    let first = first.filter_map(Arg::get_long).filter(|long| *long != "help");
    let first: Vec<String> = first.map(|long| format!("--{long}")).collect();
    let mut parts = vec![
        NOTICE.to_owned(),
        "# Flags".to_owned(),
        format!(
            "A flag takes precedence over its environment variable. All flags except {} can also \
             follow a command.",
            codes(first.iter().map(String::as_str))
        ),
        arguments(&command, |_| true),
    ];
    commands(&command, command.get_name(), &mut parts);
    parts.push("## See also".to_owned());
    parts.push(
        "[configuration.md](configuration.md) describes the configuration file, \
         [campaign_exporter(1)](manual/campaign_exporter.1) signals and exit codes."
            .to_owned(),
    );
    parts.join("\n\n").replace("\n\n\n", "\n\n") + "\n"
}

/// Adds a section for each command below this one.
fn commands(command: &Command, name: &str, parts: &mut Vec<String>) {
    for sub in command.get_subcommands() {
        let name = format!("{name} {}", sub.get_name());
        parts.push(format!("## `{name}`"));
        parts.push(sub.get_about().unwrap_or_default().to_string());
        let own = |argument: &Arg| !argument.is_global_set();
        if sub.get_arguments().any(|argument| own(argument) && argument.get_id() != "help") {
            parts.push(arguments(sub, own));
        }
        commands(sub, &name, parts);
    }
}

fn arguments(command: &Command, wanted: impl Fn(&Arg) -> bool) -> String {
    let arguments = command.get_arguments();
    let arguments = arguments.filter(|argument| wanted(argument) && argument.get_id() != "help");
    let rows: Vec<_> = arguments.map(row).collect();
    table(["flag", "environment", "default", "meaning"], &rows)
}

fn row(argument: &Arg) -> [String; 4] {
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    let name = match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    };
    let environment = argument.get_env().unwrap_or_default().to_string_lossy();
    let defaults = argument.get_default_values().iter();
    let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
    let defaults =
        if takes_value { codes(defaults.iter().map(AsRef::as_ref)) } else { String::new() };
    let mut meaning = argument.get_help().unwrap_or_default().to_string();
    let values = argument.get_possible_values();
    if takes_value && !values.is_empty() {
        let values = codes(values.iter().map(clap::builder::PossibleValue::get_name));
        meaning = format!("{meaning}: {values}");
    }
    [code(&name), code(&environment), defaults, meaning]
}
