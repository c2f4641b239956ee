//! The configuration: read whole, checked whole, every problem reported at once.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::campaign::InfoLabel;
use crate::document::{Effective, Node, Problem, Section, duration_text};
use crate::provider;

/// Largest configuration file in bytes; thousands of accounts fit.
const MAX_CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// Longest account name in bytes: it stands in every series of the account.
const MAX_NAME_BYTES: usize = 200;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Longest duration that any key takes. Providers keep campaigns for two years or so.
const MAX_DURATION: Duration = Duration::from_hours(10 * 365 * 24);

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The accounts, in the order of the file.
    pub accounts: Vec<Account>,
    /// What is allowed and still worth a look, a sentence each.
    pub warnings: Vec<String>,
}

/// One account at one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The value of the `account` label.
    pub name: String,
    /// The settings that every account has.
    pub polling: Polling,
    /// The settings of its provider.
    pub provider: provider::Settings,
    effective: Effective,
}

/// The keys that may stand in `global` and in an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Polling {
    /// How often the account is read.
    pub poll_interval: Duration,
    /// Campaigns sent longer ago are not read.
    pub lookback: Duration,
    /// Campaign series vanish when the last good poll is older; 3 × `poll_interval` if not given.
    stale_after: Option<Duration>,
    /// Time limit of one request, its body included.
    pub request_timeout: Duration,
    /// How young a campaign is that is read at every poll. Has no effect yet.
    pub recent: Duration,
    /// How often the whole lookback is read. Has no effect yet.
    pub full_poll_interval: Duration,
    /// How many campaigns are kept, the newest first.
    pub max_campaigns: usize,
    /// Requests a second of an application. Has no effect yet.
    pub requests_per_second: Option<f64>,
    /// Requests a day of an application. Has no effect yet.
    pub requests_per_day: Option<u64>,
    /// What `campaign_info` carries beside the name.
    pub info_labels: Vec<InfoLabel>,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            poll_interval: 5 * MINUTE,
            lookback: 30 * DAY,
            stale_after: None,
            request_timeout: 30 * SECOND,
            recent: 3 * DAY,
            full_poll_interval: HOUR,
            max_campaigns: 10_000,
            requests_per_second: None,
            requests_per_day: None,
            info_labels: Vec::new(),
        }
    }
}

impl Polling {
    fn read(section: &mut Section<'_>, default: &Self) -> Self {
        Self {
            poll_interval: section.duration(
                "poll_interval",
                default.poll_interval,
                SECOND..=MAX_DURATION,
            ),
            lookback: section.duration("lookback", default.lookback, MINUTE..=MAX_DURATION),
            stale_after: section.optional_duration(
                "stale_after",
                default.stale_after,
                SECOND..=MAX_DURATION,
            ),
            request_timeout: section.duration(
                "request_timeout",
                default.request_timeout,
                Duration::from_millis(100)..=HOUR,
            ),
            recent: section.duration("recent", default.recent, MINUTE..=MAX_DURATION),
            full_poll_interval: section.duration(
                "full_poll_interval",
                default.full_poll_interval,
                SECOND..=MAX_DURATION,
            ),
            max_campaigns: section
                .integer(
                    "max_campaigns",
                    Some(default.max_campaigns as u64),
                    1..=10_000_000,
                )
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(default.max_campaigns),
            requests_per_second: section.positive_number(
                "requests_per_second",
                default.requests_per_second,
                10_000.0,
            ),
            requests_per_day: section.integer(
                "requests_per_day",
                default.requests_per_day,
                1..=1_000_000_000,
            ),
            info_labels: section.choices("info_labels", &default.info_labels, InfoLabel::WORDS),
        }
    }

    /// Campaign series vanish when the last good poll is older than this.
    pub fn stale_after(&self) -> Duration {
        self.stale_after.unwrap_or(3 * self.poll_interval)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let interval = duration_text(self.poll_interval);
        if self.poll_interval < MINUTE {
            warnings.push(format!(
                "poll_interval {interval} is under a minute: for trials only, it spends the \
                 provider's quota"
            ));
        }
        if self.stale_after() < self.poll_interval {
            let stale_after = duration_text(self.stale_after());
            warnings.push(format!(
                "stale_after {stale_after} is shorter than poll_interval {interval}: campaign \
                 series will vanish between two polls"
            ));
        }
        warnings
    }
}

impl Account {
    fn read(
        section: &mut Section<'_>,
        global: &Polling,
        storage: Option<&Path>,
    ) -> Option<(String, Polling, provider::Settings)> {
        let name = section.required_text("name");
        if let Some(name) = &name {
            if name.len() > MAX_NAME_BYTES {
                section.problem("name", format!("is longer than {MAX_NAME_BYTES} bytes"));
            }
            if name.chars().any(char::is_control) {
                section.problem("name", "holds a control character");
            }
        }
        let provider = section.required_text("provider");
        let provider = provider.and_then(|word| provider::Settings::read(&word, section));
        let polling = Polling::read(section, global);
        if storage.is_none()
            && let Some(token) = provider
                .as_ref()
                .and_then(provider::Settings::needs_storage)
        {
            section.problem(
                token,
                "a refresh token needs --storage.path: the provider replaces it at each use, and \
                 the new one would be lost",
            );
        }
        Some((name?, polling, provider?))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.polling.warnings();
        warnings.extend(self.provider.warnings());
        let about = |warning| format!("account {}: {warning}", self.name);
        warnings.into_iter().map(about).collect()
    }
}

impl Config {
    /// Reads and checks a file. `storage` is where tokens can be kept.
    pub fn load(path: &Path, storage: Option<&Path>) -> Result<Self, ConfigError> {
        let fail = |problems| ConfigError {
            path: path.to_path_buf(),
            problems,
        };
        let text = read_text(path).map_err(|message| {
            fail(vec![Problem {
                place: None,
                path: String::new(),
                message,
            }])
        })?;
        Self::parse(&text, storage).map_err(fail)
    }

    fn parse(text: &str, storage: Option<&Path>) -> Result<Self, Vec<Problem>> {
        let root = Node::parse(text).map_err(|problem| vec![problem])?;
        let mut section = Section::new("", &root).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();

        let mut global = Polling::default();
        if let Some(node) = section.take("global") {
            match Section::new("global", node) {
                Ok(mut section) => {
                    global = Polling::read(&mut section, &global);
                    problems.extend(section.finish().1);
                }
                Err(problem) => problems.push(problem),
            }
        }

        let mut accounts: Vec<Account> = Vec::new();
        let no_nodes = Vec::new();
        let nodes = match section.take("accounts").map(|node| &node.value) {
            Some(Node::List(nodes)) if !nodes.is_empty() => nodes,
            _ => {
                section.problem("accounts", "a list of at least one account is needed");
                &no_nodes
            }
        };
        for (index, node) in nodes.iter().enumerate() {
            let mut section = match Section::new(&format!("accounts[{index}]"), node) {
                Ok(section) => section,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let account = Account::read(&mut section, &global, storage);
            if let Some((name, ..)) = &account
                && accounts.iter().any(|other| other.name == *name)
            {
                section.problem("name", format!("{name:?} is the name of another account"));
            }
            let (effective, found) = section.finish();
            problems.extend(found);
            if let Some((name, polling, provider)) = account {
                accounts.push(Account {
                    name,
                    polling,
                    provider,
                    effective,
                });
            }
        }
        problems.extend(section.finish().1);
        if !problems.is_empty() {
            problems.sort_by_key(|problem| problem.place);
            return Err(problems);
        }
        let warnings = accounts.iter().flat_map(Account::warnings).collect();
        Ok(Self { accounts, warnings })
    }

    /// The configuration in force as YAML, defaults included. It holds no secret, only where each
    /// one is read from.
    pub fn to_yaml(&self) -> String {
        let accounts: Vec<&Effective> = self
            .accounts
            .iter()
            .map(|account| &account.effective)
            .collect();
        let document = BTreeMap::from([("accounts", accounts)]);
        serde_saphyr::to_string(&document)
            .unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(format!("is larger than {MAX_CONFIG_BYTES} bytes"));
    }
    Ok(text)
}

/// Everything that is wrong with a configuration file.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            // file:line:column, as compilers write it, so that editors can jump there
            let separator = if problem.place.is_some() { ":" } else { ": " };
            write!(formatter, "{}{separator}{problem}", self.path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
