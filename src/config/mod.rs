//! The configuration: checked as a whole, with every problem reported at once.

pub mod definitions;
pub mod sharding;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use futures_util::future::join_all;
use serde::Serialize;
use tracing::{Span, error_span};

use crate::campaign::exported::{ESSENTIAL, Exported, METRICS, Profile};
use crate::campaign::figures::Currency;
use crate::campaign::sent_time::{SENT_HOUR, SENT_WEEKDAY};
use crate::config::sharding::Shard;
use crate::document::keys::{Key, Takes, Value};
use crate::document::reading;
use crate::document::section::{Secret, price_of};
use crate::document::values::Values;
use crate::document::{Effective, Node, Problem, Section, duration_text};
use crate::provider::{Kinds, Provider};
use crate::redaction::{guess, is_invisible};
use crate::upstream::PollError;
use crate::upstream::quota::{Limits, MAX_WINDOW_REQUESTS};

/// Largest configuration file in bytes; thousands of accounts fit.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// Time limit for reading it: one that hangs must not block a start or the main loop.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest account name in bytes: every series of the account carries it.
const MAX_NAME_BYTES: usize = 200;

/// Largest `max_campaigns`: more than an account may have in memory.
const MAX_CAMPAIGNS: u64 = 1_000_000;

/// Labels of `campaign_info` by default: what dashboards compare campaigns by. They add no series.
const DEFAULT_INFO_LABELS: [&str; 4] = ["sender", "template", SENT_HOUR, SENT_WEEKDAY];

/// Least `detail`: alerts look at campaigns of three days.
const MIN_DETAIL: Duration = Duration::from_hours(3 * 24);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Longest duration that any key takes. Providers keep campaigns for about two years.
pub const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The accounts, in the order of the file.
    pub accounts: Vec<Account>,
    /// What is valid but deserves a warning, one sentence each.
    pub warnings: Vec<String>,
    /// The accounts of other shards, by name.
    pub elsewhere: BTreeMap<String, Shard>,
    /// The files and folders of definitions.
    definitions: Vec<String>,
    /// What to check of each account beyond the file: its secrets, and what is hardly meant.
    doubts: Vec<Doubts>,
}

/// An account's name, its secrets, and what is hardly meant.
type Doubts = (String, Vec<Secret>, Vec<Problem>);

/// One account at one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The value of the `account` label.
    pub name: String,
    /// When and how much is read.
    pub polling: Polling,
    /// Its provider.
    pub provider: Provider,
    effective: Effective,
}

/// The settings that `global` and every account take.
#[derive(Clone, Debug, PartialEq)]
pub struct Polling {
    /// How often the account is read.
    pub poll_interval: Duration,
    /// Campaigns sent longer ago are not read.
    pub lookback: Duration,
    /// Age of the last successful poll at which campaign series vanish; 3 × `poll_interval` by default.
    stale_after: Option<Duration>,
    /// Time limit of one request, body included.
    pub request_timeout: Duration,
    /// Age of the campaigns that every poll reads.
    pub recent: Duration,
    /// How often the whole lookback is read.
    pub full_poll_interval: Duration,
    /// Number of campaigns that are kept, the newest first.
    pub max_campaigns: usize,
    /// Requests per second of all accounts that share a quota; the provider's published limit by
    /// default.
    pub requests_per_second: Option<f64>,
    /// Requests in any minute; likewise.
    pub requests_per_minute: Option<u64>,
    /// Requests in any hour; likewise.
    pub requests_per_hour: Option<u64>,
    /// Requests per day, from 00:00 UTC; likewise.
    pub requests_per_day: Option<u64>,
    /// Labels of `campaign_info` besides the name.
    pub info_labels: Vec<Arc<str>>,
    /// Time zone of the hour and the day of sending.
    pub reporting_time_zone: Tz,
    /// What a credit costs.
    pub credit_price: Option<(Currency, f64)>,
    /// Which metrics of campaigns are exported.
    pub exported: Exported,
}

/// The keys that `global` and every account take.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn polling_keys(kinds: &Kinds) -> Vec<Key> {
    let duration = |name, least, most, meaning, default: Duration| {
        Key::optional(name, Takes::Duration(least, most), meaning).or(default)
    };
    let reported = kinds.info_labels();
    let mut labels: Vec<&str> = reported.iter().map(|label| &**label).collect();
    labels.extend(
        DEFAULT_INFO_LABELS.iter().filter(|label| !reported.iter().any(|of| **of == ***label)),
    );
    let labels = labels.into_iter().map(|label| Cow::from(label.to_owned()));
    vec![
        duration(
            "poll_interval",
            SECOND,
            MAX_DURATION,
            "Interval between polls of the account. Use less than a minute for trials only: every \
             poll uses the provider's quota.",
            5 * MINUTE,
        ),
        duration(
            "lookback",
            MINUTE,
            MAX_DURATION,
            "Campaigns sent longer ago are not read.",
            30 * DAY,
        ),
        Key::optional(
            "stale_after",
            Takes::Duration(SECOND, MAX_DURATION),
            "Age of the last successful poll at which the account's campaign series disappear.",
        )
        .or_else("3 × the poll interval in effect"),
        duration(
            "request_timeout",
            Duration::from_millis(100),
            10 * MINUTE,
            "Timeout of one request, including the response body.",
            30 * SECOND,
        ),
        duration(
            "recent",
            MINUTE,
            MAX_DURATION,
            "Every poll reads the campaigns sent within this time.",
            3 * DAY,
        ),
        duration(
            "full_poll_interval",
            SECOND,
            MAX_DURATION,
            "Interval between polls that read the whole `lookback`.",
            HOUR,
        ),
        Key::optional(
            "max_campaigns",
            Takes::Integer(1, MAX_CAMPAIGNS),
            "Maximum number of campaigns per account; the newest are kept. On average, each may \
             take 8 KiB in a scrape.",
        )
        .or(10_000),
        Key::optional(
            "requests_per_second",
            Takes::Number(10_000.0),
            "Requests per second, of all accounts that share a quota.",
        )
        .or_else("the provider's published limit, if any"),
        Key::optional(
            "requests_per_minute",
            Takes::Integer(1, MAX_WINDOW_REQUESTS),
            "Requests in any minute, of all accounts that share a quota.",
        )
        .or_else("the provider's published limit, if any"),
        Key::optional(
            "requests_per_hour",
            Takes::Integer(1, MAX_WINDOW_REQUESTS),
            "Requests in any hour, of all accounts that share a quota.",
        )
        .or_else("the provider's published limit, if any"),
        Key::optional(
            "requests_per_day",
            Takes::Integer(1, 1_000_000_000),
            "Requests per day, from 00:00 UTC, of all accounts that share a quota.",
        )
        .or_else("the provider's published limit, if any"),
        Key::optional(
            "info_labels",
            Takes::Words(labels.collect()),
            "Labels that `campaign_info` carries besides the name, if the provider reports them. \
             `sent_hour` and `sent_weekday` are those of `reporting_time_zone`.",
        )
        .or(DEFAULT_INFO_LABELS.map(str::to_owned).to_vec()),
        Key::optional(
            "reporting_time_zone",
            Takes::TimeZone,
            "Time zone of the labels `sent_hour` (`00` to `23`) and `sent_weekday` (`Monday` to `Sunday`), and of \
             the dates of campaigns on pages and in reports.",
        )
        .or("UTC"),
        Key::optional(
            "credit_price",
            Takes::Price,
            "What a credit costs, such as `0.05 EUR`, for the cost of campaigns in dashboards.",
        ),
        Key::optional(
            "metrics",
            Takes::Mapping(metrics_keys()),
            "Which metrics of campaigns are exported. Those of accounts always are, and cover all campaigns. \
             See docs/cost.md.",
        )
        .or(Value::Mapping(BTreeMap::from([("profile".to_owned(), Profile::Full.name().into())]))),
        Key::optional(
            "detail",
            Takes::Duration(MIN_DETAIL, MAX_DURATION),
            "Campaigns sent longer ago are exported with fewer metrics: those of `metrics` that account \
             figures and the dashboards of a month need.",
        )
        .or_else("campaigns of any age have the same metrics"),
    ]
}

/// The keys of `metrics`.
fn metrics_keys() -> Vec<Key> {
    let names = || METRICS.iter().map(|metric| Cow::Borrowed(metric.name)).collect();
    let profiles = Profile::ALL.map(|profile| Cow::Borrowed(profile.name()));
    vec![
        Key {
            meaning: format!(
                "`full`: all; `standard`: what the alerts and dashboards need; `essential`: at most {ESSENTIAL} \
                 series a campaign, for alerts on delivery."
            )
            .into(),
            ..Key::optional("profile", Takes::Word(profiles.into()), "").or(Profile::Full.name())
        },
        Key::optional("exclude", Takes::Words(names()), "Metrics to leave out of the profile.")
            .or(Vec::new()),
        Key::optional(
            "include",
            Takes::Words(names()),
            "Metrics to export beyond the profile, whatever `detail` is.",
        )
        .or(Vec::new()),
    ]
}

/// The keys of an account that come before those of its provider.
pub fn account_keys(kinds: &Kinds) -> Vec<Key> {
    let names = kinds.names().join(", ");
    let meaning = format!("The provider: one of {names}. It decides which further keys there are.");
    vec![
        Key::required(
            "name",
            Takes::Text,
            "The value of the `account` label, unique among all accounts.",
        ),
        Key { meaning: meaning.into(), ..Key::required("provider", Takes::Text, "") },
    ]
}

impl Polling {
    /// The settings of checked values, which have all defaults. `None` if one is missing, and then a
    /// problem says so.
    fn of(values: &Values) -> Option<Self> {
        let info_labels = values.words("info_labels").iter();
        Some(Self {
            poll_interval: values.duration("poll_interval")?,
            lookback: values.duration("lookback")?,
            stale_after: values.duration("stale_after"),
            request_timeout: values.duration("request_timeout")?,
            recent: values.duration("recent")?,
            full_poll_interval: values.duration("full_poll_interval")?,
            max_campaigns: usize::try_from(values.integer("max_campaigns")?).ok()?,
            requests_per_second: values.number("requests_per_second"),
            requests_per_minute: values.integer("requests_per_minute"),
            requests_per_hour: values.integer("requests_per_hour"),
            requests_per_day: values.integer("requests_per_day"),
            info_labels: info_labels.map(|label| label.as_str().into()).collect(),
            reporting_time_zone: values.text("reporting_time_zone")?.parse().ok()?,
            credit_price: values
                .text("credit_price")
                .and_then(price_of)
                .and_then(|(amount, currency)| Some((Currency::from_code(currency)?, amount))),
            exported: {
                let metrics = values.mapping("metrics");
                Exported::new(
                    Profile::from_name(metrics.text("profile")?)?,
                    metrics.words("exclude"),
                    metrics.words("include"),
                    values.duration("detail"),
                )
            },
        })
    }

    /// Shows the default that depends on another key.
    fn shown(self, section: &mut Section<'_>) -> Self {
        if self.stale_after.is_none() {
            let default = self.stale_after(self.poll_interval);
            section.show("stale_after", duration_text(default));
        }
        self
    }

    /// Age of the last successful poll at which campaign series vanish. `poll_interval` is the interval
    /// in effect, which can be longer than the configured one.
    pub fn stale_after(&self, poll_interval: Duration) -> Duration {
        self.stale_after.unwrap_or(3 * poll_interval)
    }

    /// The configured limits.
    pub const fn limits(&self) -> Limits {
        Limits {
            per_second: self.requests_per_second,
            per_minute: self.requests_per_minute,
            per_hour: self.requests_per_hour,
            per_day: self.requests_per_day,
            headers: None,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let interval = duration_text(self.poll_interval);
        if self.poll_interval < MINUTE {
            warnings.push(format!(
                "poll_interval {interval} is for trials: use at least 1m, since every poll uses the \
                 provider's quota"
            ));
        }
        let stale_after = self.stale_after(self.poll_interval);
        if stale_after < self.poll_interval {
            let stale_after = duration_text(stale_after);
            warnings.push(format!(
                "stale_after {stale_after} is shorter than poll_interval {interval}: campaign \
                 series will vanish between two polls"
            ));
        }
        warnings
    }
}

impl Account {
    /// The span that adds the account to every log line about it. `error` enables it at every log level.
    pub fn span(&self) -> Span {
        error_span!("account", account = self.name, provider = &**self.provider.name())
    }

    /// What to do about a failed poll, with code and addresses in backticks.
    pub fn advice(&self, error: &PollError) -> String {
        self.provider.advice(&self.name, error)
    }

    fn read(
        section: &mut Section<'_>,
        global: &Values,
        keys: &Keys<'_>,
        storage: Option<&Path>,
        names: &mut HashSet<String>,
    ) -> Option<(String, Polling, Provider)> {
        let account = Values::read(section, &keys.account, &Values::default());
        let name = account.text("name").map(str::to_owned);
        if let Some(name) = &name {
            check_name(section, name, names);
        }
        let provider = account.text("provider").and_then(|word| {
            let kind = keys.kinds.get(word);
            if kind.is_none() {
                section.problem("provider", unknown_provider(word, keys.kinds));
            }
            kind
        });
        let provider = if let Some(kind) = provider {
            Provider::read(kind, section, storage.is_some())
        } else {
            section.accept_any();
            None
        };
        let inherited = account.text("provider").and_then(|name| keys.providers.get(name));
        let polling = read_polling(section, &keys.polling, inherited.unwrap_or(global));
        let polling = Polling::of(&polling).map(|polling| polling.shown(section));
        Some((name?, polling?, provider?))
    }
}

/// The settings of `global`, a provider or an account.
fn read_polling(section: &mut Section<'_>, keys: &[Key], inherited: &Values) -> Values {
    let values = Values::read(section, keys, inherited);
    let metrics = values.mapping("metrics");
    let (exclude, include) = (metrics.words("exclude"), metrics.words("include"));
    // told once, where the list is written that makes it one
    if section.take("metrics").is_some()
        && let Some(name) = include.iter().find(|name| exclude.contains(name))
    {
        section.problem("metrics", format!("{name} is in include and in exclude; set only one"));
    }
    values
}

/// The settings of `providers`, by provider.
fn read_providers(
    section: &mut Section<'_>,
    global: &Values,
    keys: &Keys<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Values> {
    let mut providers = BTreeMap::new();
    let Some(node) = section.take("providers") else {
        return providers;
    };
    let mut section = match Section::new("providers", node) {
        Ok(section) => section,
        Err(problem) => {
            problems.push(problem);
            return providers;
        }
    };
    for (name, node) in section.entries() {
        let name = &name.value;
        if keys.kinds.get(name).is_none() {
            section.problem(name, unknown_provider(name, keys.kinds));
            continue;
        }
        match Section::new(&section.path_of(name), node) {
            Ok(mut section) => {
                let values = read_polling(&mut section, &keys.polling, global);
                problems.extend(section.finish().1);
                providers.insert(name.clone(), values);
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(section.finish().1);
    providers
}

fn unknown_provider(name: &str, kinds: &Kinds) -> String {
    format!("unknown provider {name:?}; expected one of: {}", kinds.names().join(", "))
}

fn check_name(section: &mut Section<'_>, name: &str, names: &mut HashSet<String>) {
    if !names.insert(name.to_owned()) {
        section.problem("name", format!("duplicate account name {name:?}"));
    }
    if name.len() > MAX_NAME_BYTES {
        section.problem("name", format!("is longer than {MAX_NAME_BYTES} bytes"));
    }
    if name.contains(is_invisible) {
        section.problem("name", "contains a control character");
    }
}

/// The tables that a configuration is checked against.
struct Keys<'a> {
    folder: &'a Path,
    kinds: &'a Kinds,
    account: Vec<Key>,
    polling: Vec<Key>,
    /// The settings of all accounts at a provider.
    providers: BTreeMap<String, Values>,
}

impl Config {
    /// Reads and checks a file with accounts at `kinds`. `storage` is where tokens can be stored.
    pub async fn load(
        path: &Path,
        kinds: &Kinds,
        storage: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let fail = |problems| ConfigError { path: path.to_path_buf(), problems };
        let text = read_text(path).await;
        let text = text.map_err(|message| fail(vec![Problem::of_document(message)]))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let kinds = definitions::load(&text, folder, kinds).await.map_err(fail)?;
        Self::parse_in(folder, &text, &kinds, storage).map_err(fail)
    }

    /// Checks the text of a file in the working directory.
    pub fn parse(text: &str, kinds: &Kinds, storage: Option<&Path>) -> Result<Self, Vec<Problem>> {
        Self::parse_in(Path::new(""), text, kinds, storage)
    }

    /// Checks the text of a file in a folder.
    fn parse_in(
        folder: &Path,
        text: &str,
        kinds: &Kinds,
        storage: Option<&Path>,
    ) -> Result<Self, Vec<Problem>> {
        let root = Node::parse(text).map_err(|problem| vec![problem])?;
        if matches!(root.value, Node::Null) {
            let names = kinds.names().join(", ");
            let message = format!(
                "is empty: `campaign_exporter init PROVIDER` prints a configuration for one of: {names}"
            );
            return Err(vec![Problem::of_document(message)]);
        }
        let mut section = Section::new("", &root).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let mut keys = Keys {
            folder,
            kinds,
            account: account_keys(kinds),
            polling: polling_keys(kinds),
            providers: BTreeMap::new(),
        };
        // their files are read before, since they decide which providers there are
        let definitions = section.texts("definitions").unwrap_or_default();
        let mut global = Values::default();
        if let Some(node) = section.take("global") {
            match Section::new("global", node) {
                Ok(mut section) => {
                    global = read_polling(&mut section, &keys.polling, &global);
                    problems.extend(section.finish().1);
                }
                Err(problem) => problems.push(problem),
            }
        }
        keys.providers = read_providers(&mut section, &global, &keys, &mut problems);
        let (accounts, doubts) =
            read_accounts(&mut section, &global, &keys, storage, &mut problems);
        problems.extend(section.finish().1);
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.place);
            return Err(problems);
        }
        let warnings = warnings(&accounts);
        Ok(Self { accounts, warnings, elsewhere: BTreeMap::new(), definitions, doubts })
    }

    /// Reads the secrets of the accounts. Returns their problems, and what is hardly meant.
    pub async fn doubts(&self) -> Vec<Problem> {
        let here = |name: &str| self.accounts.iter().any(|account| account.name == name);
        let (mut problems, mut reads) = (Vec::new(), Vec::new());
        for (_, secrets, doubts) in self.doubts.iter().filter(|(account, ..)| here(account)) {
            problems.extend_from_slice(doubts);
            reads.extend(secrets.iter().map(Secret::problem));
        }
        problems.extend(join_all(reads).await.into_iter().flatten());
        problems
    }

    /// The part that a shard reads: all of it without shards.
    #[must_use]
    pub fn of_shard(self, shard: Option<Shard>) -> Self {
        let Some(shard) = shard else { return self };
        let (mut accounts, mut elsewhere) = (Vec::new(), BTreeMap::new());
        for account in self.accounts {
            match shard.of(&account.provider.application(&account.name)) {
                owner if owner == shard => accounts.push(account),
                owner => drop(elsewhere.insert(account.name, owner)),
            }
        }
        Self {
            warnings: warnings(&accounts),
            accounts,
            elsewhere,
            definitions: self.definitions,
            doubts: self.doubts,
        }
    }

    /// The configuration in effect as YAML, defaults included. It contains no secret, only the place of
    /// each.
    pub fn to_yaml(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            definitions: Vec<Cow<'a, str>>,
            accounts: Vec<&'a Effective>,
        }
        let definitions = self.definitions.iter().map(|path| guess::hide(path));
        let accounts = self.accounts.iter().map(|account| &account.effective);
        serde_saphyr::to_string(&Document {
            definitions: definitions.collect(),
            accounts: accounts.collect(),
        })
        .unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

/// Reads the list of accounts. The good ones are returned, the problems of the others collected.
fn read_accounts(
    section: &mut Section<'_>,
    global: &Values,
    keys: &Keys<'_>,
    storage: Option<&Path>,
    problems: &mut Vec<Problem>,
) -> (Vec<Account>, Vec<Doubts>) {
    let nodes = match section.take("accounts").map(|node| &node.value) {
        Some(Node::List(nodes)) if !nodes.is_empty() => nodes.as_slice(),
        _ => {
            section.problem("accounts", "a list of at least one account is required");
            &[]
        }
    };
    let (mut accounts, mut doubts) = (Vec::new(), Vec::new());
    // of all accounts, including those that are bad for another reason
    let mut names = HashSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let mut section = match Section::new(&format!("accounts[{index}]"), node) {
            Ok(section) => section.below(keys.folder),
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let account = Account::read(&mut section, global, keys, storage, &mut names);
        let (secrets, of_account) = (section.secrets(), section.doubts());
        let (effective, found) = section.finish();
        problems.extend(found);
        if let Some((name, polling, provider)) = account {
            doubts.push((name.clone(), secrets, of_account));
            accounts.push(Account { name, polling, provider, effective });
        }
    }
    (accounts, doubts)
}

/// Each warning once, with the accounts that it is about.
fn warnings(accounts: &[Account]) -> Vec<String> {
    let mut warnings: Vec<(String, Vec<&str>)> = Vec::new();
    for account in accounts {
        let of_polling = account.polling.warnings().into_iter();
        for warning in of_polling.chain(account.provider.warnings()) {
            match warnings.iter_mut().find(|(known, _)| *known == warning) {
                Some((_, names)) => names.push(&account.name),
                None => warnings.push((warning, vec![&account.name])),
            }
        }
    }
    let about = |(warning, names): (String, Vec<&str>)| {
        let accounts = if names.len() == 1 { "account" } else { "accounts" };
        format!("{accounts} {}: {warning}", names.join(", "))
    };
    warnings.into_iter().map(about).collect()
}

async fn read_text(path: &Path) -> Result<String, String> {
    let text = reading::read(path, MAX_CONFIG_BYTES, READ_TIMEOUT).await;
    let text = text.map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(format!("is larger than {MAX_CONFIG_BYTES} bytes"));
    }
    String::from_utf8(text).map_err(|_| "is not UTF-8".to_owned())
}

/// All problems of a configuration file.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl ConfigError {
    /// A problem of the whole file.
    pub fn new(path: &Path, message: String) -> Self {
        Self { path: path.to_path_buf(), problems: vec![Problem::of_document(message)] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display().to_string();
        let path = guess::hide(&path);
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            // file:line:column, where editors can jump to
            let separator = if problem.place.is_some() { ":" } else { ": " };
            write!(formatter, "{path}{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::init;
    use crate::provider::definition::Definition;
    use crate::provider::{made_up, native};

    const EXAMPLE: &str = include_str!("../../config.example.yaml");

    fn problems(yaml: &str) -> Vec<String> {
        match Config::parse(yaml, &made_up(), None) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    fn account(more: &str) -> String {
        format!("accounts:\n- name: a\n  provider: alpha\n  token_env: T\n{more}")
    }

    fn only(yaml: &str) -> Account {
        let config = Config::parse(yaml, &made_up(), None).unwrap();
        let [account] = config.accounts.as_slice() else { panic!("{:?}", config.accounts) };
        account.clone()
    }

    #[test]
    fn the_example_is_valid_and_shows_the_defaults() {
        let storage = Some(Path::new("/var/lib/campaign_exporter"));
        let config = Config::parse(EXAMPLE, &native(), storage).unwrap();
        let names = config.accounts.iter().map(|account| &*account.name);
        assert!(names.eq(["spring-us", "desk-hk", "shoes-ch"]));
        for account in &config.accounts {
            let defaults = only(&self::account("  stale_after: 15m")).polling;
            assert_eq!(account.polling, defaults);
        }
    }

    #[test]
    fn the_configuration_in_the_readme_is_valid() {
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("```yaml\n# campaign_exporter.yml\n").unwrap();
        let (yaml, _) = rest.split_once("```").unwrap();
        let config = Config::parse(yaml, &native(), Some(Path::new("/var/lib"))).unwrap();
        assert_eq!(config.accounts.len(), native().iter().count());
        assert_eq!(config.warnings, [""; 0]);
    }

    #[test]
    fn a_setting_that_is_a_currency_has_three_letters() {
        let definition =
            "{name: p, title: P, documentation: 'https://example.com', channels: [sms],
            base_url: 'https://api.example', auth: {in: bearer}, settings: {money: {meaning: M.}},
            lists: {get: /c, items: '$[*]', campaign: {id: $.id}},
            account: {get: /a, balance: {value: $.b, currency: '{money}'}}}";
        let definition = Definition::parse(definition).unwrap();
        let kinds = made_up().with(&[Arc::new(definition.kind())]);
        for (money, is_good) in [("chf", true), ("francs", false)] {
            let yaml =
                format!("accounts: [{{name: a, provider: p, token_env: T, money: {money}}}]\n");
            let problems = Config::parse(&yaml, &kinds, None).err().unwrap_or_default();
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let concern_it =
                problems.iter().all(|problem| problem.contains("money: expected a currency"));
            assert!(problems.is_empty() == is_good && concern_it, "{problems:?}");
        }
    }

    #[test]
    fn the_effective_configuration_can_be_parsed() {
        let storage = Some(Path::new("/var/lib/campaign_exporter"));
        let config = Config::parse(EXAMPLE, &native(), storage).unwrap();
        let again = Config::parse(&config.to_yaml(), &native(), storage).unwrap();
        assert_eq!(again.accounts, config.accounts);
    }

    #[test]
    fn an_account_overrides_global_settings() {
        let yaml = "global: {poll_interval: 10m, lookback: 90d, info_labels: [sender]}\n"
            .to_owned()
            + &account("  poll_interval: 2m\n  info_labels: []\n");
        let polling = only(&yaml).polling;
        assert_eq!(polling.poll_interval, 2 * MINUTE);
        assert_eq!(polling.lookback, 90 * DAY);
        assert_eq!(polling.info_labels, []);
        assert_eq!(polling.stale_after(polling.poll_interval), 6 * MINUTE);
    }

    #[test]
    fn an_account_inherits_from_its_provider_and_from_global_key_by_key() {
        let yaml = "
global: {poll_interval: 10m, stale_after: 1h, metrics: {profile: standard, exclude: [campaign_clicks]}}
providers:
  alpha: {lookback: 9d, metrics: {include: [campaign_opens]}}
accounts:
- {name: a, provider: alpha, token_file: /t, detail: 7d}
- {name: b, provider: alpha, token_file: /t, metrics: {profile: essential, exclude: []}}
- {name: c, provider: beta, base_url: 'https://x', app: a, token_file: /t}
";
        let config = Config::parse(yaml, &made_up(), None).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let exported = |profile, exclude: &[&str], include: &[&str], detail| {
            Exported::new(profile, &names(exclude), &names(include), detail)
        };
        let found = config.accounts.iter().map(|account| {
            let polling = &account.polling;
            (polling.poll_interval, polling.lookback, polling.exported)
        });
        let (opens, clicks) = (["campaign_opens"], ["campaign_clicks"]);
        let expected = [
            (9 * DAY, exported(Profile::Standard, &clicks, &opens, Some(7 * DAY))),
            (9 * DAY, exported(Profile::Essential, &[], &opens, None)),
            (30 * DAY, exported(Profile::Standard, &clicks, &[], None)),
        ];
        let expected = expected.map(|(lookback, exported)| (10 * MINUTE, lookback, exported));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        // what is shown can be read again
        let again = Config::parse(&config.to_yaml(), &made_up(), None).unwrap();
        for (again, account) in again.accounts.iter().zip(&config.accounts) {
            assert_eq!(again.polling, account.polling);
        }
    }

    #[test]
    fn settings_of_providers_are_checked() {
        for (providers, message) in [
            ("[alpha]", "1:12: providers: expected a mapping, found a list"),
            (
                "{gamma: {}}",
                "1:20: providers.gamma: unknown provider \"gamma\"; expected one of: alpha, beta",
            ),
            ("{alpha: 5m}", "1:20: providers.alpha: expected a mapping, found text"),
            (
                "{alpha: {look_back: 9d}}",
                "1:21: providers.alpha: unknown key \"look_back\": did you mean lookback?",
            ),
            (
                "{alpha: {metrics: {exclude: [campaign_info], include: [campaign_info]}}}",
                "1:30: providers.alpha.metrics: campaign_info is in include and in exclude; set only one",
            ),
        ] {
            let yaml = format!("providers: {providers}\n{}", account(""));
            assert_eq!(problems(&yaml), [message], "{providers}");
        }
    }

    #[test]
    fn all_problems_are_reported_together_in_file_order() {
        let yaml = "\
global:
  poll_interval: 5
  lookback: soon
  max_campaign: 3
accounts:
- name: one
  provider: beta
  token: hunter2
- name: two
  provider: nope
  request_timeout: 50ms
- name: two
  provider: alpha
  token_file: /t
  token_env: T
  time_zone: Mars/Olympus
  info_labels: [sender, mood]
more: 1
";
        let expected = "\
2:18: global.poll_interval: 5 has no unit: use for example 5s
3:13: global.lookback: \"soon\" is not a duration: use for example 30s, 5m, 12h or 30d
4:3: global: unknown key \"max_campaign\": did you mean max_campaigns?
6:3: accounts[0].base_url: is missing
6:3: accounts[0].app: is missing
8:3: accounts[0]: secrets are never written in the configuration: use token_file, the path of a \
file, or token_env, the name of an environment variable
10:13: accounts[1].provider: unknown provider \"nope\"; expected one of: alpha, beta
11:20: accounts[1].request_timeout: 50ms is not between 100ms and 10m
12:9: accounts[2].name: duplicate account name \"two\"
15:14: accounts[2].token_env: conflicts with token_file; set only one
16:14: accounts[2].time_zone: unknown time zone \"Mars/Olympus\"; expected one such as Europe/Zurich
17:25: accounts[2].info_labels: unknown word \"mood\"; expected one of: sender, \
template, sent_hour, sent_weekday
18:1: unknown key \"more\"; expected one of: definitions, global, providers, accounts";
        assert_eq!(problems(yaml).join("\n"), expected);
    }

    #[test]
    fn each_mistake_has_its_message() {
        let mistakes = "  poll_interval: 500ms => 5:18: accounts[0].poll_interval: 500ms is not between 1s and 3650d
  poll_interval: [5m] => 5:18: accounts[0].poll_interval: expected a duration, found a list
  max_campaigns: 0 => 5:18: accounts[0].max_campaigns: 0 is not between 1 and 1000000
  max_campaigns: many => 5:18: accounts[0].max_campaigns: expected a whole number, found text
  requests_per_second: 0 => 5:24: accounts[0].requests_per_second: 0 is not above 0 and at most 10000
  requests_per_day: 1.5 => 5:21: accounts[0].requests_per_day: expected a whole number, found a number
  info_labels: sender => 5:16: accounts[0].info_labels: expected a list, found text
  credit_price: 0.05 => 5:17: accounts[0].credit_price: expected text: put the value in quotes
  credit_price: EUR 0.05 => 5:17: accounts[0].credit_price: \"EUR 0.05\" is no price; expected one such as \"0.05 EUR\"
  credit_price: 0 EUR => 5:17: accounts[0].credit_price: \"0 EUR\" is no price; expected one such as \"0.05 EUR\"
  credit_price: nan EUR => 5:17: accounts[0].credit_price: \"nan EUR\" is no price; expected one such as \"0.05 EUR\"
  credit_price: 5 euros => 5:17: accounts[0].credit_price: \"5 euros\" is no price; expected one such as \"0.05 EUR\"
  reporting_time_zone: Berlin => 5:24: accounts[0].reporting_time_zone: unknown time zone \"Berlin\"; expected one such as Europe/Zurich
  metrics: full => 5:12: accounts[0].metrics: expected a mapping, found text
  metrics: {profile: standart} => 5:22: accounts[0].metrics.profile: unknown word \"standart\": did you mean standard?
  metrics: {profile: tiny} => 5:22: accounts[0].metrics.profile: unknown word \"tiny\"; expected one of: full, standard, essential
  metrics: {exclude: [campaign_optouts]} => 5:23: accounts[0].metrics.exclude: unknown word \"campaign_optouts\": did you mean campaign_opt_outs?
  metrics: {include: [clicks]} => 5:23: accounts[0].metrics.include: unknown word \"clicks\": did you mean campaign_clicks?
  metrics: {excludes: []} => 5:13: accounts[0].metrics: unknown key \"excludes\": did you mean exclude?
  metrics: {include: [campaign_opens], exclude: [campaign_opens]} => 5:12: accounts[0].metrics: campaign_opens is in include and in exclude; set only one
  detail: 2d => 5:11: accounts[0].detail: 2d is not between 3d and 3650d
  info_labels: [sender, sender] => 5:25: accounts[0].info_labels: duplicate word \"sender\"
  base_url: ftp://x => 5:13: accounts[0].base_url: must begin with https:// or http://
  base_url: https://u:hunter2@x => 5:13: accounts[0].base_url: must not contain a user name or password
  base_url: https://x/?token=hunter2 => 5:13: accounts[0].base_url: must not contain a query or fragment
  base_url: https://[fe80::1%25eth0] => 5:13: accounts[0].base_url: has an IPv6 zone, which is not supported: use a host name
  base_url: hunter2 => 5:13: accounts[0].base_url: is not an address such as https://api.example.com: relative URL without a base
  name: b => 5:3: accounts[0]: duplicate key \"name\"
  time_zone: 5 => 5:14: accounts[0].time_zone: expected text: put the value in quotes
- x => 5:3: accounts[1]: expected a mapping, found text";
        for mistake in mistakes.lines() {
            let (line, message) = mistake.split_once(" => ").unwrap();
            assert_eq!(problems(&account(line)), [message], "{line}");
        }
        let long = "x".repeat(201);
        for (name, message) in [
            ("''", "is empty"),
            ("2024", "expected text: put the value in quotes"),
            ("\"a\\nb\"", "contains a control character"),
            (long.as_str(), "is longer than 200 bytes"),
        ] {
            let yaml = format!("accounts:\n- name: {name}\n  provider: alpha\n  token_env: T\n");
            let problem = format!("2:9: accounts[0].name: {message}");
            assert_eq!(problems(&yaml), [problem]);
        }
        let no_account = "accounts: a list of at least one account is required";
        let empty =
            "is empty: `campaign_exporter init PROVIDER` prints a configuration for one of: "
                .to_owned()
                + &made_up().names().join(", ");
        for (yaml, message) in [
            ("", empty.as_str()),
            ("# only a comment\n---\n", &empty),
            ("accounts: []", &format!("1:11: {no_account}")),
            ("global: {}", &format!("1:1: {no_account}")),
            ("[1]", "1:1: expected a mapping, found a list"),
        ] {
            assert_eq!(problems(yaml), [message], "{yaml}");
        }
    }

    #[test]
    fn the_order_of_words_is_no_change() {
        let kinds = native();
        for kind in kinds.iter() {
            let least = init::configuration(&kinds, &[kind.name.to_string()]);
            for key in &kind.keys {
                let Takes::Words(words) = &key.takes else {
                    continue;
                };
                let account = |words: &[_]| {
                    let yaml = format!("{least}    {}: [{}]\n", key.name, words.join(", "));
                    Config::parse(&yaml, &kinds, Some(Path::new("/s"))).unwrap().accounts
                };
                let mut reversed = words.clone();
                reversed.reverse();
                assert_eq!(account(words), account(&reversed));
                assert_ne!(account(&words[..1]), account(words));
            }
        }
    }

    #[test]
    fn spellings_of_an_address_are_one_application() {
        for (base_url, is_same) in [
            ("https://api.example/", true),
            ("HTTPS://API.example:443", true),
            ("https://api.example/campaigns", true),
            ("https://api.example/credits/", true),
            ("https://api.example/x", false),
            ("https://api.example:8443", false),
            ("http://api.example", false),
        ] {
            let [one, other] = ["https://api.example", base_url]
                .map(|url| only(&account(&format!("  base_url: {url}\n"))).provider);
            assert_eq!(one.application("a") == other.application("a"), is_same, "{base_url}");
            assert_eq!(one.same_account(&other), is_same, "{base_url}");
        }
    }

    #[test]
    fn account_names_are_unique() {
        let yaml = account("- name: a\n  provider: alpha\n  token_env: T\n");
        let problem = "5:9: accounts[1].name: duplicate account name \"a\"";
        assert_eq!(problems(&yaml), [problem]);
        // nor when the first has another mistake, too
        let yaml = yaml.replacen("token_env: T", "token_env: '?'", 1);
        assert_eq!(problems(&yaml).last().map(String::as_str), Some(problem));
    }

    #[test]
    fn invalid_yaml_is_located_without_showing_its_content() {
        let found = problems("accounts:\n- name: [\n  token: hunter2\n");
        let [problem] = found.as_slice() else { panic!("{found:?}") };
        assert!(
            problem.contains("not valid YAML") && problem.starts_with(char::is_numeric),
            "{problem}"
        );
        assert!(!problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn invalid_yaml_is_explained_where_it_is() {
        let spaces = "wrong indentation, or no colon before it: the keys of a mapping begin in the \
                      same column, like the dashes of a list";
        let tab = "a tab: indent with spaces";
        let quotes = |what: &str| format!("put a value that {what} in quotes");
        for (yaml, place, message) in [
            ("accounts:\n- name: a\n   provider: b\n", "3:12", spaces),
            ("accounts:\n  - name: a\n provider: b\n", "3:2", spaces),
            ("global:\n  recent: 3d\n lookback: 9d\n", "3:2", spaces),
            ("accounts\n- name: a\n", "2:7", spaces),
            ("accounts:\n- name: a\n\tprovider: b\n", "3:1", tab),
            ("accounts:\n- name: a\n\n  \tprovider: b\n", "4:3", tab),
            ("accounts:\n\t- name: a\n", "2:1", tab),
            ("accounts:\n- name: a: b\n", "2:10", &quotes("contains a colon and a space")),
            ("accounts:\n- name: @a\n", "2:9", &quotes("begins with @")),
            ("accounts:\n- name: *a\n", "2:9", &quotes("begins with *")),
            (
                "accounts:\n- name: a\n  provider\n  x: y\n",
                "3:3",
                "a key needs a colon and a space after it",
            ),
            ("accounts:\n- name: 'a\n", "3:1", "a quote before this place is not closed"),
            ("accounts: [\n", "1:11", "unclosed bracket '['"),
            (
                r#"accounts: "\q""#,
                "1:11",
                "unknown escape sequence: use single quotes, in which a backslash stands for itself",
            ),
            ("a: 'b' c\n", "1:8", "text after the closing quote"),
            (
                "a: {b: c d: e}\n",
                "1:11",
                "a comma is missing, or a bracket before this place is not closed",
            ),
            ("a: - b\n", "1:4", "begin a list in the line below its key"),
            ("a: |\n\tb\n", "2:1", tab),
            (
                "a: 1\n---\nb: 2\n",
                "3:1",
                "a second document begins here: remove the line of dashes before it",
            ),
        ] {
            assert_eq!(problems(yaml), [format!("{place}: not valid YAML: {message}")], "{yaml}");
        }
    }

    #[test]
    fn a_secret_in_the_configuration_is_not_called_missing() {
        for kind in native().iter() {
            for key in kind.keys.iter().filter(|key| key.takes == Takes::Secret) {
                let name = &key.name;
                let yaml = format!(
                    "accounts:\n- name: a\n  provider: {}\n  base_url: https://x\n  {name}: hunter2\n",
                    kind.name
                );
                let found = Config::parse(&yaml, &native(), None).unwrap_err();
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                let message = format!(
                    "5:3: accounts[0]: secrets are never written in the configuration: use {name}_file, \
                     the path of a file, or {name}_env, the name of an environment variable"
                );
                assert!(found.contains(&message), "{found:?}");
                let missing = format!("{name}_file or {name}_env is missing");
                assert!(!found.join("").contains(&missing), "{found:?}");
            }
        }
    }

    #[test]
    fn no_message_shows_a_possible_secret() {
        for more in [
            "  token: hunter2\n",
            "  token:hunter2: x\n",
            "  hunter2: \n",
            "  token_file: [hunter2]\n",
            "  base_url: hunter2://x\n",
            "  base_url: [hunter2]\n",
            "  poll_interval: 5\n  token: {x: hunter2}\n",
        ] {
            let text = problems(&account(more)).join("\n");
            assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
        }
        let found = problems("accounts:\n- {name: a, provider: alpha, token_env: hunter2.x}\n");
        let [problem] = found.as_slice() else { panic!("{found:?}") };
        assert!(problem.ends_with("is not the name of an environment variable"));
    }

    #[tokio::test]
    async fn a_large_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let comment = "#".repeat(usize::try_from(MAX_CONFIG_BYTES).unwrap() + 1);
        std::fs::write(file.path(), comment).unwrap();
        let error = Config::load(file.path(), &made_up(), None).await.unwrap_err();
        assert!(error.to_string().contains("is larger than"), "{error}");
    }

    #[test]
    fn accounts_sharing_a_quota_belong_to_one_shard() {
        let accounts = (0..20).map(|number| {
            let client = number % 4;
            format!(
                "- {{name: b-{number}, provider: beta, base_url: 'https://x', app: c-{client}, \
                 token_env: T}}\n- {{name: a-{number}, provider: alpha, token_env: T}}\n"
            )
        });
        let yaml = format!("accounts:\n{}", accounts.collect::<String>());
        let mut clients = HashSet::new();
        let mut names = HashSet::new();
        for shard in ["0/3", "1/3", "2/3"] {
            let config = Config::parse(&yaml, &made_up(), None).unwrap();
            let config = config.of_shard(shard.parse().ok());
            assert_eq!(config.accounts.len() + config.elsewhere.len(), 40);
            let mut here = HashSet::new();
            for Account { name, provider, .. } in config.accounts {
                assert!(!config.elsewhere.contains_key(&name), "{name}");
                here.insert(provider.application(&name));
                assert!(names.insert(name), "read twice");
            }
            assert!(here.is_disjoint(&clients), "{here:?}");
            clients.extend(here);
        }
        assert_eq!((names.len(), clients.len()), (40, 4 + 20));
    }

    #[test]
    fn a_warning_about_several_accounts_is_reported_once() {
        let yaml = "global: {poll_interval: 1s}\n".to_owned()
            + &account("- {name: b, provider: alpha, token_env: T}\n");
        let [warning] =
            Config::parse(&yaml, &made_up(), None).unwrap().warnings.try_into().unwrap();
        assert!(warning.starts_with("accounts a, b: poll_interval 1s"), "{warning}");
    }

    #[test]
    fn unusual_settings_cause_a_warning() {
        for (more, warning) in [
            ("", None),
            ("  poll_interval: 30s\n", Some("use at least 1m")),
            ("  stale_after: 1m\n", Some("stale_after 1m is shorter than poll_interval 5m")),
            ("  base_url: http://api.example\n", Some("base_url is http")),
            ("  base_url: http://127.0.0.1:8080\n", None),
        ] {
            let config = Config::parse(&account(more), &made_up(), None).unwrap();
            match warning {
                None => assert_eq!(config.warnings, [""; 0], "{more}"),
                Some(text) => {
                    assert!(config.warnings[0].starts_with("account a: "), "{more}");
                    assert!(config.warnings[0].contains(text), "{more}: {:?}", config.warnings);
                }
            }
        }
    }
}
