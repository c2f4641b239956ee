//! The `init` command: a commented configuration, from the tables that check configurations.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use textwrap::{Options, fill};

use super::{daemon, definition};
use crate::config::{Config, polling_keys};
use crate::document::duration_text;
use crate::document::keys::{Default, Key, Takes};
use crate::document::section::CHANGE_ME;
use crate::provider::{Kind, Kinds, built_in};

/// Maximum width of a comment in characters, as in the example configuration.
const WIDTH: usize = 105;

const HEAD: &str = "\
# Secrets are never written here: X_file is the path of a file, relative to this one; X_env, instead of
# it, is the name of an environment variable. Keys behind a # are optional; if they have a
# default, it is shown. docs/configuration.md describes all keys.
";

/// Prints a configuration with an account at each of the named providers and definitions, and to standard
/// error what to do next.
pub async fn init(
    mut options: daemon::Options,
    providers: &[String],
    files: &[PathBuf],
) -> anyhow::Result<()> {
    let mut providers = providers.to_vec();
    let mut own = Vec::new();
    for file in files {
        let kind = definition::load(file).await?.kind();
        providers.push(kind.name.to_string());
        own.push(Arc::new(kind));
    }
    options.kinds = options.kinds.with(&own);
    let text = configuration(&options.kinds, &providers);
    // a path is relative to the configuration file, wherever that will be
    let paths = files.iter().filter_map(|file| file.canonicalize().ok());
    let paths: Vec<_> = paths.map(|path| path.display().to_string()).collect();
    let text = if paths.is_empty() { text } else { text + &format!("\ndefinitions: {paths:?}\n") };
    io::stdout().lock().write_all(text.as_bytes())?;
    let mut steps = io::stderr().lock();
    writeln!(steps, "Next:")?;
    for (number, step) in (1..).zip(next_steps(&options, &text)) {
        writeln!(steps, "{number}. {step}")?;
    }
    Ok(())
}

/// Returns a configuration with an account at each of the named providers.
pub fn configuration(kinds: &Kinds, providers: &[String]) -> String {
    let mut text =
        HEAD.to_owned() + "\nglobal:  # each of these keys can also be set for an account\n";
    let mut seen = HashSet::new();
    let named = providers.iter().filter(|name| seen.insert(*name));
    let named: Kinds = named.filter_map(|name| kinds.get(name)).map(Arc::clone).collect();
    for key in &polling_keys(&named) {
        text += &entry("  ", "", key, false);
    }
    text += "\naccounts:\n";
    for kind in named.iter() {
        // optional keys only as far as one of them is needed
        let mut accounts = (0..=kind.keys.len()).map(|optional| account(kind, optional));
        text += &accounts
            .find(|account| parse(account, kinds).is_some())
            .unwrap_or_else(|| account(kind, 0));
    }
    text
}

/// The configuration of accounts, if it is valid. The flags of the daemon can say where to store tokens.
fn parse(accounts: &str, kinds: &Kinds) -> Option<Config> {
    let storage = Some(Path::new(""));
    Config::parse(&format!("accounts:\n{accounts}"), kinds, storage).ok()
}

/// The page that says how to get credentials.
fn credentials_page(kind: &Kind) -> String {
    if built_in().get(&kind.name).is_some() {
        return format!("docs/providers/{}.md", kind.name);
    }
    kind.docs.to_string()
}

/// An account with its required keys and the first `optional` ones of those without a default.
fn account(kind: &Kind, optional: usize) -> String {
    let Kind { name, title, keys, .. } = kind;
    let page = credentials_page(kind);
    let is_optional = |key: &&Key| matches!(key.default, Default::Absent(_));
    let set: Vec<_> = keys.iter().filter(is_optional).take(optional).collect();
    let mut text = format!(
        "  # {title}; {page} says how to get credentials\n  - name: {name}  # the \
         value of the `account` label, unique among all accounts\n    provider: {name}\n"
    );
    for key in keys {
        let is_set = key.default == Default::Required || set.contains(&key);
        text += &entry("    ", name, key, is_set);
    }
    text
}

/// A key with its meaning; behind a # unless it is set.
fn entry(indent: &str, owner: &str, key: &Key, is_set: bool) -> String {
    let Key { name, meaning, default, takes } = key;
    let value = match (default, takes) {
        (Default::Value(value), _) => format!(" {}", value.to_text()),
        (_, Takes::Secret) => format!(" secrets/{owner}-{name}"),
        _ if !is_set => String::new(),
        (_, Takes::Text) => format!(" \"{CHANGE_ME}\""),
        (_, Takes::Url) => format!(" https://{CHANGE_ME}.example.com"),
        (_, Takes::TimeZone) => " UTC".to_owned(),
        (_, Takes::Price) => " 0.05 EUR".to_owned(),
        (_, Takes::Duration(least, _)) => format!(" {}", duration_text(*least)),
        (_, Takes::Integer(least, _)) => format!(" {least}"),
        (_, Takes::Number(most)) => format!(" {most}"),
        (_, Takes::Word(words)) => format!(" {}", words.first().map_or("", |word| word)),
        (_, Takes::Words(words)) => format!(" [{}]", words.join(", ")),
        (_, Takes::Mapping(_)) => " {}".to_owned(),
    };
    let default = match default {
        Default::Absent(words) if !words.is_empty() => format!(" Default: {words}."),
        _ => String::new(),
    };
    let allowed = match (takes, &key.default) {
        (Takes::Words(words), Default::Value(_)) if !words.is_empty() => {
            format!("  # any of {}", words.join(", "))
        }
        _ => String::new(),
    };
    let comment = format!("{indent}# ");
    let comment = Options::new(WIDTH).initial_indent(&comment).subsequent_indent(&comment);
    let comment = fill(&format!("{meaning}{default}"), comment);
    let behind = if is_set { "" } else { "#" };
    let form = if *takes == Takes::Secret { "_file" } else { "" };
    format!("{comment}\n{indent}{behind}{name}{form}:{value}{allowed}\n")
}

/// What to do with the configuration, step by step.
fn next_steps(options: &daemon::Options, text: &str) -> Vec<String> {
    let mut flags = options.flags();
    let file = options.config_file.display();
    let config = Config::parse(text, &options.kinds, Some(Path::new("")));
    let accounts = config.iter().flat_map(|config| &config.accounts);
    let kinds = accounts.clone().filter_map(|account| options.kinds.get(account.provider.name()));
    let pages = kinds.map(|kind| credentials_page(kind)).collect::<Vec<_>>().join(", ");
    let replace = if text.contains(CHANGE_ME) { ", and replace each CHANGE-ME" } else { "" };
    let mut steps = vec![
        format!("Get credentials: {pages}."),
        format!("Save the configuration as {file}{replace}."),
        "Write each secret to its file; only the exporter should be able to read it.".to_owned(),
    ];
    if options.storage.is_none() {
        steps.push("Choose a directory DIR for tokens and data that survive restarts.".to_owned());
        flags += " --storage.path DIR";
    }
    for account in accounts.filter(|account| account.provider.needs_consent()) {
        let name = &account.name;
        steps.push(format!("Grant access: campaign_exporter authorize {name}{flags}"));
    }
    steps.push(format!("Check: campaign_exporter --config.check --probe{flags}"));
    steps.push(format!("Start: campaign_exporter{flags}"));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::native;

    #[test]
    fn accounts_are_in_the_order_of_the_command_line() {
        let kinds = crate::provider::made_up();
        let text = configuration(&kinds, &["beta", "alpha", "beta"].map(str::to_owned));
        let [beta, alpha] = ["name: beta", "name: alpha"].map(|name| text.find(name).unwrap());
        assert!(beta < alpha, "{text}");
        assert_eq!(text.matches("name: beta").count(), 1);
        assert!(
            text.contains("#info_labels: [sender, template, sent_hour, sent_weekday]  # any of "),
            "{text}"
        );
    }

    #[test]
    fn every_configuration_is_valid_and_has_every_key() {
        let kinds = native();
        let names: Vec<_> = kinds.names().into_iter().map(str::to_owned).collect();
        for chosen in names.chunks(1).chain([&names[..]]) {
            let text = configuration(&kinds, chosen);
            let config = Config::parse(&text, &kinds, Some(Path::new("/s"))).unwrap();
            let accounts = config.accounts.iter().map(|account| &account.name);
            assert!(accounts.eq(chosen), "{text}");
            assert_eq!(config.warnings, [""; 0]);
            let of_kinds = chosen.iter().flat_map(|name| &kinds.get(name).unwrap().keys);
            for key in of_kinds.chain(&polling_keys(&kinds)) {
                let form = if key.takes == Takes::Secret { "_file" } else { "" };
                let line = format!("{}{form}:", key.name);
                let is_required = key.default == Default::Required;
                let mut lines = text.lines().map(str::trim);
                let found = lines.any(|own| {
                    own.starts_with(&line) || !is_required && own.starts_with(&format!("#{line}"))
                });
                assert!(found, "{line}\n{text}");
            }
        }
    }
}
