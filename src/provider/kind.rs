//! What a provider is, as data.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::source::{Source, Target};
use crate::campaign::counts::Count;
use crate::campaign::window::Window;
use crate::campaign::{Channel, Status};
use crate::document::Section;
use crate::document::keys::Key;
use crate::document::values::Values;
use crate::upstream::auth::Auth;
use crate::upstream::quota::Limits;
use crate::upstream::transport;

/// A provider. Everything that the program and its documents say about a provider comes from here.
pub struct Kind {
    /// The value of the `provider` label and key.
    pub name: Arc<str>,
    /// The name of the provider, as it spells it.
    pub title: Arc<str>,
    /// Channels that an account can have.
    pub channels: Vec<Channel>,
    /// Counts that the provider reports, with the names of its fields.
    pub counts: Vec<(Count, Cow<'static, str>)>,
    /// Those of `counts` that campaigns on a channel lack.
    pub missing_counts: Vec<(Channel, Count)>,
    /// Statuses that the provider reports; none if it has no status.
    pub statuses: Vec<Status>,
    /// Reasons of failed messages, in the provider's words.
    pub failures: Vec<Arc<str>>,
    /// Labels that `campaign_info` can carry, with the names of the provider's fields.
    pub info_labels: Vec<(Arc<str>, Cow<'static, str>)>,
    /// Rates that the provider reports for a whole result.
    pub rates: Vec<Arc<str>>,
    /// Every field whose values can be unreadable, as named in
    /// `campaign_exporter_decode_problems_total`.
    pub fields: Vec<Cow<'static, str>>,
    /// Further metrics that only this provider's data fills, with the names of its fields.
    pub extras: Vec<(&'static str, Cow<'static, str>)>,
    /// The published limits of requests.
    pub limits: Limits,
    /// Who shares these limits.
    pub quota: QuotaScope,
    /// Keys of an account, in the order of the manual.
    pub keys: Vec<Key>,
    /// Reads an account's values.
    pub open: Open,
    /// The address of the API's documentation.
    pub docs: Cow<'static, str>,
    /// The requests that are made: the key of the base URL, and the method and path. A segment in
    /// braces stands for any.
    pub requests: Vec<(&'static str, Cow<'static, str>)>,
    /// Prose of the provider's page, in Markdown.
    pub notes: Cow<'static, str>,
    /// The name of the demo's account.
    pub demo_account: Cow<'static, str>,
    /// The file of a definition that does not come with the program.
    pub file: Option<PathBuf>,
    /// The provider's API on loopback, for the demo and the tests. None for a definition that
    /// does not come with the program.
    #[cfg(feature = "demo")]
    pub simulated: Option<&'static dyn campaign_simulator::Api>,
}

/// Who shares a quota of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Each account has its own.
    Account,
    /// All accounts of one client do.
    Client,
}

/// Makes a connection of an account's values. The section takes problems that concern several keys.
/// The flag tells whether tokens can be stored.
pub type Open = Box<dyn Fn(&Values, &mut Section<'_>, bool) -> Option<Connection> + Send + Sync>;

/// How one account is reached and read.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address in front of the documented paths.
    pub base_url: Url,
    /// How requests are authenticated.
    pub auth: Auth,
    /// Headers that every request carries besides the usual ones.
    pub headers: HeaderMap,
    /// Channels that the account has.
    pub channels: Vec<Channel>,
    /// What tells this account from another at the same address: the id of a client or an app.
    pub identity: Option<String>,
    /// What else decides what campaigns are read as, such as a time zone.
    pub variant: String,
    /// How the account is read.
    pub source: Arc<dyn Source>,
}

impl Connection {
    /// The base URL without the first segments of a documented path: accounts that repeat them are not at
    /// another address.
    pub(super) fn root(&self) -> Url {
        let window = Window::ending(DateTime::UNIX_EPOCH, Duration::ZERO);
        let asks = self.source.begin(window);
        let paths = asks.iter().filter_map(|ask| match &ask.target {
            Target::Path(path) => Some(path.as_str()),
            Target::Link { .. } => None,
        });
        transport::root(&self.base_url, paths)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Kind({})", self.name)
    }
}

impl Kind {
    /// Whether campaigns on a channel have this count.
    pub fn reports(&self, count: Count, channel: &Channel) -> bool {
        let mut missing = self.missing_counts.iter();
        self.counts.iter().any(|(reported, _)| *reported == count)
            && !missing.any(|(on, missing)| on == channel && *missing == count)
    }

    /// Whether the provider's data fills one of the further metrics.
    pub fn fills(&self, metric: &str) -> bool {
        self.extras.iter().any(|(filled, _)| *filled == metric)
    }

    /// The names of the labels that `campaign_info` can carry.
    pub fn info_label_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.info_labels.iter().map(|(name, _)| name)
    }
}

/// The providers that accounts can be at.
#[derive(Clone, Debug)]
pub struct Kinds(Arc<[Arc<Kind>]>);

impl Kinds {
    /// The provider with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.0.iter().find(|kind| *kind.name == *name)
    }

    /// These providers and further ones, which take the place of those with the same name.
    #[must_use]
    pub fn with(&self, further: &[Arc<Kind>]) -> Self {
        let is_replaced = |kind: &&Arc<Kind>| further.iter().any(|new| new.name == kind.name);
        let kept = self.iter().filter(|kind| !is_replaced(kind)).map(Arc::clone);
        kept.chain(further.iter().map(Arc::clone)).collect()
    }

    /// All providers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Kind>> + Clone {
        self.0.iter()
    }

    /// The names of all providers.
    pub fn names(&self) -> Vec<&str> {
        self.iter().map(|kind| &*kind.name).collect()
    }

    /// The labels that `campaign_info` can carry at any provider, each once.
    pub fn info_labels(&self) -> Vec<Arc<str>> {
        let mut labels: Vec<Arc<str>> = Vec::new();
        for label in self.iter().flat_map(|kind| kind.info_label_names()) {
            if !labels.contains(label) {
                labels.push(Arc::clone(label));
            }
        }
        labels
    }
}

impl FromIterator<Arc<Kind>> for Kinds {
    fn from_iter<I: IntoIterator<Item = Arc<Kind>>>(kinds: I) -> Self {
        Self(kinds.into_iter().collect())
    }
}
