//! Generated documentation is up to date.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use campaign_exporter::cli::Cli;
use campaign_exporter::commands::definition::trial;
use campaign_exporter::provider::definition::Definition;
use campaign_exporter::upstream::answer::Answer;
use clap::CommandFactory;
use regex::Regex;
use xtask::manual;

use crate::deploy::files;
use crate::rules::{path, text};

#[tokio::test]
async fn generated_documentation_is_up_to_date() {
    for (name, written) in manual::files(&campaign_exporter::provider::built_in()).await.unwrap() {
        let there = std::fs::read_to_string(path(&name)).unwrap_or_default();
        assert!(there == written, "{name}: run cargo xtask manual");
    }
}

/// Detects leftovers of removed commands.
#[tokio::test]
async fn there_are_no_extra_files() {
    let files = manual::files(&campaign_exporter::provider::built_in()).await.unwrap();
    let written: BTreeSet<String> = files.into_iter().map(|(name, _)| name).collect();
    for folder in ["manual", "completions", "providers"] {
        for entry in std::fs::read_dir(path("docs").join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = format!("docs/{folder}/{name}");
            assert!(written.contains(&name), "{name}");
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
    bash.args(["-euc", script, "bash", "docs/completions/campaign_exporter.bash"]);
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
    let (table, example) = (text("docs/configuration.md"), text("config.example.yaml"));
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert!(keys.contains(&"poll_interval"));
    for key in keys {
        // a key of a mapping follows its name
        let key = key.rsplit('.').next().unwrap();
        // the alternative for secrets is explained at the top
        let told = key.ends_with("_env") || example.contains(&format!("{key}: "));
        assert!(told, "config.example.yaml lacks {key}");
    }
}

/// The Markdown of a document without its code blocks, in which nothing is a link or a heading.
fn prose(document: &str) -> String {
    text(document).split("```").step_by(2).collect()
}

/// The anchors that GitHub gives the headings of a document.
fn anchors(document: &str) -> BTreeSet<String> {
    let dropped = Regex::new(r"[^\w\- ]").unwrap();
    let prose = prose(document);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    headings.map(|heading| dropped.replace_all(&heading, "").replace(' ', "-")).collect()
}

#[test]
fn every_relative_link_points_to_a_file_and_a_heading() {
    let mut documents = Vec::new();
    files(&path("."), &mut documents);
    documents.retain(|file| Path::new(file).extension().is_some_and(|it| it == "md"));
    let link = Regex::new(r"\]\(([^)#]*)(?:#([^)]*))?\)").unwrap();
    let mut checked = 0;
    for document in &documents {
        for found in link.captures_iter(&prose(document)) {
            let (target, anchor) = (&found[1], found.get(2));
            if target.contains("://") {
                continue;
            }
            let target = match target {
                "" => path(document),
                target => path(document).parent().unwrap().join(target),
            };
            assert!(target.exists(), "{document}: {}", &found[0]);
            if let Some(anchor) = anchor {
                let known = anchors(target.to_str().unwrap());
                let is_known = known.contains(anchor.as_str());
                assert!(is_known, "{document}: {}", &found[0]);
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

/// The first definition of the tutorial, and the one that it becomes as each later part replaces or adds
/// keys.
#[test]
fn the_definition_of_the_tutorial_reads_its_answer() {
    let page = text("docs/write-a-provider.md");
    let blocks = |kind: &str| -> Vec<String> {
        let fence = format!("```{kind}\n");
        page.split(&fence)
            .skip(1)
            .map(|block| block.split("```").next().unwrap().to_owned())
            .collect()
    };
    let answer = blocks("json").remove(0);
    let mut whole = serde_json::Map::new();
    let mut read = Vec::new();
    for block in blocks("yaml") {
        if block.contains("accounts:") {
            continue;
        }
        let part: serde_json::Map<_, _> = serde_saphyr::from_str(&block).unwrap();
        whole.extend(part);
        let mut definition = whole.clone();
        // the first list's own mapping ends when the definition has one
        if definition.contains_key("campaign")
            && let Some(list) = definition["lists"].as_object_mut()
        {
            list.remove("campaign");
        }
        let yaml = serde_json::to_string(&definition).unwrap();
        let definition = Definition::parse(&yaml).unwrap();
        let answers = vec![("answer.json".to_owned(), Answer::of(200, &answer))];
        read.push(trial(&definition, answers, &[], chrono::Utc::now()).unwrap());
    }
    assert_eq!(read.len(), 6);
    for said in read {
        assert!(said.contains("sends=1200 deliveries=1150"), "{said}");
        assert!(!said.contains("could not read"), "{said}");
    }
}
