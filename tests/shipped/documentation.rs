//! Generated documentation is up to date.

use std::collections::BTreeSet;
use std::process::Command;

use campaign_exporter::cli::Cli;
use clap::CommandFactory;

use crate::manual;
use crate::rules::path;

#[tokio::test]
async fn generated_documentation_is_up_to_date() {
    for (name, written) in manual::files().await.unwrap() {
        let there = std::fs::read_to_string(path("docs").join(&name)).unwrap_or_default();
        assert!(
            there == written,
            "docs/{name}: run cargo run --example manual"
        );
    }
}

/// Detects leftovers of removed commands.
#[tokio::test]
async fn there_are_no_extra_files() {
    let files = manual::files().await.unwrap();
    let written: BTreeSet<String> = files.into_iter().map(|(name, _)| name).collect();
    for folder in ["manual", "completions"] {
        for entry in std::fs::read_dir(path("docs").join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = format!("{folder}/{name}");
            assert!(written.contains(&name), "docs/{name}");
        }
    }
}

/// Returns the completions of bash for the last word.
fn offered(words: &[&str]) -> Vec<String> {
    let script = r#"
        source "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _campaign_exporter "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args([
        "-euc",
        script,
        "bash",
        "docs/completions/campaign_exporter.bash",
    ]);
    let output = bash.args(words).current_dir(path(".")).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words:?}: {error}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_commands_and_values() {
    let program = "campaign_exporter";
    let flags = offered(&[program, "--"]);
    for argument in Cli::command().get_arguments() {
        let flag = format!("--{}", argument.get_long().unwrap());
        assert!(flags.contains(&flag), "{flag} is not in {flags:?}");
    }
    assert_eq!(offered(&[program, "au"]), ["authorize"]);
    assert_eq!(offered(&[program, "poll", "--a"]), ["--account"]);
    assert_eq!(offered(&[program, "--log.format", ""]), ["logfmt", "json"]);
    let file = offered(&[program, "--config.file", "config.ex"]);
    assert_eq!(file, ["config.example.yaml"]);
}

/// Fish's argparse rejects names with dots, which would break all completions.
#[test]
fn fish_does_not_parse_flags_with_dots() {
    let script = std::fs::read_to_string(path("docs/completions/campaign_exporter.fish")).unwrap();
    assert!(script.contains("-l web.listen-address "));
    assert!(!script.contains("argparse"));
}

#[test]
fn the_example_has_every_key() {
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let (table, example) = (text("docs/configuration.md"), text("config.example.yaml"));
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert!(keys.contains(&"poll_interval"));
    for key in keys {
        // the alternative for secrets is explained at the top
        let told = key.ends_with("_env") || example.contains(&format!("{key}: "));
        assert!(told, "config.example.yaml lacks {key}");
    }
}
