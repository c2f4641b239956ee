//! The tables of configuration keys. Which there are, what each takes and what it is where nobody
//! gives it, is what the program says about files that get it wrong; `keys.yml` has their meanings,
//! of these keys and no others.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use campaign_exporter::config::{Account, Config};
use campaign_exporter::document::Problem;
use campaign_exporter::provider::Settings;
use campaign_exporter::upstream::quota::application::Limits;
use serde::Deserialize;
use serde_json::Value;

use super::NOTICE;
use super::table::{code, codes, table};

/// What stands in a file where a key is asked about.
const PLACE: &str = "accounts[0]";

type Texts = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    account: Texts,
    polling: Texts,
    providers: BTreeMap<String, Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    least: Texts,
    keys: Texts,
}

/// The file.
pub(crate) fn text() -> anyhow::Result<String> {
    let keys: Keys = serde_saphyr::from_str(include_str!("keys.yml"))?;
    let of_account: Vec<String> = ["name", "provider"].map(str::to_owned).into();
    let polling = known(&problems("global: {unknown: 1}\n"), "global")?;
    let sections = known(&problems("unknown: 1\n"), "")?;
    ensure!(sections == ["global", "accounts"], "{sections:?}");

    let mut parts = vec![
        NOTICE.to_owned(),
        "# Configuration".to_owned(),
        "A YAML file with the key `accounts`, a list, and `global`. A key that nobody knows is an \
         error. Durations are written `30s`, `5m`, `12h`, `30d`. A secret stands in a file or an \
         environment variable, never here; a file is read anew at each poll. \
         [config.example.yaml](../config.example.yaml) has every key, \
         `campaign_exporter --config.check` tells everything that is wrong with a file, and `/config` \
         shows what is in force."
            .to_owned(),
    ];
    let mut of_providers = Vec::new();
    for name in Settings::NAMES {
        let provider = keys.providers.get(name);
        let provider = provider.with_context(|| format!("docs/source/keys.yml lacks {name}"))?;
        let asked = Asked::about(name, &provider.least)?;
        if of_providers.is_empty() {
            parts.push("## `accounts`".to_owned());
            parts.push(asked.table(&of_account, &keys.account)?);
            parts.push("## `global` and `accounts`".to_owned());
            parts.push("What an account says goes before what `global` says.".to_owned());
            parts.push(asked.table(&polling, &keys.polling)?);
        }
        let shared = [of_account.as_slice(), &polling].concat();
        let own = asked.known()?.into_iter();
        let own: Vec<String> = own.filter(|key| !shared.contains(key)).collect();
        of_providers.push(format!("## `provider: {name}`"));
        of_providers.extend(asked.needed().map(|needed| format!("Needed: {needed}.")));
        of_providers.extend(limits(asked.account()?));
        of_providers.push(asked.table(&own, &provider.keys)?);
    }
    parts.extend(of_providers);
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    Ok(parts.join("\n\n") + "\n")
}

/// The published limits of a provider.
fn limits(account: &Account) -> Option<String> {
    let Limits {
        per_second,
        per_day,
    } = account.provider.limits(Limits::default());
    let (per_second, per_day) = (per_second?, per_day?);
    Some(format!(
        "Published limits of an application: {per_second} requests a second, {per_day} a day."
    ))
}

/// What the program says about accounts of one provider.
struct Asked {
    provider: &'static str,
    least: Texts,
    /// A good account with no more than it needs.
    config: Config,
    /// The same, with the defaults.
    effective: Value,
    /// What is wrong with an account that has nothing, and one that has its provider only.
    missing: Vec<Problem>,
}

impl Asked {
    fn about(provider: &'static str, least: &Texts) -> anyhow::Result<Self> {
        let given = least.iter().map(|(key, value)| format!("{key}: '{value}'"));
        let given: Vec<String> = given.collect();
        let yaml = format!(
            "accounts: [{{name: x, provider: {provider}, {}}}]\n",
            given.join(", ")
        );
        let config = parse(&yaml).map_err(|problems| anyhow!("{provider}: {problems:?}"))?;
        Ok(Self {
            provider,
            least: least.clone(),
            effective: serde_saphyr::from_str(&config.to_yaml())?,
            config,
            missing: [
                problems("accounts: [{}]\n"),
                problems(&format!("accounts: [{{provider: {provider}}}]\n")),
            ]
            .concat(),
        })
    }

    fn account(&self) -> anyhow::Result<&Account> {
        self.config.accounts.first().context("an account")
    }

    /// What is wrong with an account that has this value.
    fn with(&self, key: &str, value: &str) -> Vec<Problem> {
        let provider = match key {
            "provider" => String::new(),
            _ => format!("provider: {}, ", self.provider),
        };
        problems(&format!("accounts: [{{{provider}{key}: {value}}}]\n"))
    }

    fn known(&self) -> anyhow::Result<Vec<String>> {
        known(&self.with("unknown", "1"), PLACE)
    }

    /// What has to be there in one of several ways.
    fn needed(&self) -> Option<String> {
        let mut missing = self.missing.iter();
        let missing = missing.find(|problem| problem.path == PLACE)?;
        let needed = missing.message.strip_suffix(" is missing")?;
        let words = needed
            .trim_end_matches(',')
            .split_inclusive([' ', '(', ')']);
        let words = words.map(|word| {
            // only keys have one
            if !word.contains('_') {
                return word.to_owned();
            }
            let key = word.trim_end_matches([' ', ')']);
            format!("`{key}`{}", word.strip_prefix(key).unwrap_or_default())
        });
        Some(words.collect())
    }

    fn table(&self, keys: &[String], meanings: &Texts) -> anyhow::Result<String> {
        for key in meanings.keys() {
            ensure!(
                keys.contains(key),
                "docs/source/keys.yml: there is no {key}"
            );
        }
        let rows = keys.iter().map(|key| {
            let meaning = meanings.get(key);
            let meaning = meaning.with_context(|| format!("docs/source/keys.yml lacks {key}"))?;
            self.row(key, meaning)
        });
        let rows: anyhow::Result<Vec<_>> = rows.collect();
        let head = ["key", "type", "default", "range or words", "meaning"];
        Ok(table(head, &rows?))
    }

    fn row(&self, key: &str, meaning: &str) -> anyhow::Result<[String; 5]> {
        let (kind, range) = self.kind_and_range(key)?;
        Ok([
            code(key),
            kind,
            self.default(key),
            range,
            meaning.to_owned(),
        ])
    }

    /// What a key takes, and between which bounds.
    fn kind_and_range(&self, key: &str) -> anyhow::Result<(String, String)> {
        let path = format!("{PLACE}.{key}");
        let (mut kind, mut range) = (None, String::new());
        for wrong in ["{}", "0s", "0", "unknown", "[unknown]"] {
            let problems = self.with(key, wrong);
            for problem in problems.iter().filter(|problem| problem.path == path) {
                let message = problem.message.as_str();
                let expected = message.strip_prefix("expected ");
                if let Some((expected, _)) = expected.and_then(|it| it.split_once(", found ")) {
                    kind.get_or_insert_with(|| expected.to_owned());
                } else if let Some((_, bounds)) = message.split_once(" is not between ") {
                    range = bounds.replace(" and ", " to ");
                } else if let Some((_, bounds)) = message.split_once(" is not above ") {
                    range = format!("above {}", bounds.replace(" and ", ", "));
                } else if let Some((_, words)) = message.split_once(" is none of: ") {
                    range = codes(words.split(", "));
                }
            }
        }
        let Some(kind) = kind else {
            bail!("the program does not say what {key} takes");
        };
        let mut articles = ["a ", "an "].into_iter();
        let bare = articles.find_map(|article| kind.strip_prefix(article));
        Ok((bare.unwrap_or(&kind).to_owned(), range))
    }

    fn default(&self, key: &str) -> String {
        let path = format!("{PLACE}.{key}");
        let missing = |problem: &&Problem| problem.path == path && problem.message == "is missing";
        if self.missing.iter().any(|problem| missing(&problem)) {
            return "needed".to_owned();
        }
        if self.least.contains_key(key) {
            return String::new();
        }
        match self.effective.pointer(&format!("/accounts/0/{key}")) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => code(text),
            Some(other) => code(&other.to_string().replace(['"'], "").replace(',', ", ")),
        }
    }
}

/// The keys that the program lists beside one that it does not know.
fn known(problems: &[Problem], path: &str) -> anyhow::Result<Vec<String>> {
    let mut unknown = problems.iter().filter(|problem| problem.path == path);
    let keys = unknown.find_map(|problem| problem.message.split_once("; known here: "));
    let (_, keys) = keys.with_context(|| format!("what is known in {path:?}: {problems:?}"))?;
    Ok(keys.split(", ").map(str::to_owned).collect())
}

/// Everything that is wrong with a file.
fn problems(yaml: &str) -> Vec<Problem> {
    parse(yaml).err().unwrap_or_default()
}

fn parse(yaml: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(yaml, Some(Path::new("storage")))
}
