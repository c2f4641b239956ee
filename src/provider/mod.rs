//! Providers: what each is, how it is read, and the read loop of all of them.
//!
//! A provider is one file here and one entry in [`native`].

mod advice;
mod cinnox;
mod constant_contact;
pub mod definition;
pub mod kind;
pub mod lenient;
pub mod overlap;
pub mod read;
mod smsup;
pub mod source;
pub mod unchanged;

use std::sync::Arc;
use std::time::Duration;

use crate::campaign::pool::Campaigns;
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel};
use crate::document::Section;
use crate::document::values::Values;
use crate::storage::store::Store;
use crate::upstream::answer::Answer;
use crate::upstream::auth::Auth;
use crate::upstream::auth::oauth::DeviceCode;
use crate::upstream::auth::tokens::{self, Access};
use crate::upstream::client::Client;
use crate::upstream::quota::Limits;
use crate::upstream::request::Request;
use crate::upstream::session::Session;
use crate::upstream::transport::{Transport, is_private};
use crate::upstream::{PollError, Reason};

pub use kind::{Connection, Kind, Kinds, QuotaScope};
pub use lenient::Problems;
pub use read::Reading;
use source::Read;

/// The providers that are built in.
pub fn native() -> Kinds {
    [constant_contact::kind(), cinnox::kind(), smsup::kind()].into_iter().map(Arc::new).collect()
}

/// The providers that come with the program: those in code, then those by definition.
pub fn built_in() -> Kinds {
    let defined = definition::built_in::BUILT_IN.iter().filter_map(|built_in| {
        let kind = built_in.definition().ok()?.kind();
        #[cfg(feature = "demo")]
        let kind = Kind { simulated: definition::simulation::of(built_in.name), ..kind };
        Some(Arc::new(kind))
    });
    native().iter().map(Arc::clone).chain(defined).collect()
}

/// The provider of one account.
#[derive(Clone, Debug)]
pub struct Provider {
    kind: Arc<Kind>,
    values: Values,
    connection: Connection,
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name
            && self.values == other.values
            && self.connection.variant == other.connection.variant
    }
}

impl Provider {
    /// Takes the provider's keys of an account. Tokens can be stored if there is `storage`.
    pub fn read(kind: &Arc<Kind>, section: &mut Section<'_>, storage: bool) -> Option<Self> {
        let values = Values::read(section, &kind.keys, &Values::default());
        let mut connection = (kind.open)(&values, section, storage)?;
        connection.base_url = connection.root();
        Some(Self { kind: Arc::clone(kind), values, connection })
    }

    /// What the provider is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The value of the `provider` label.
    pub fn name(&self) -> &Arc<str> {
        &self.kind.name
    }

    /// The channels that the account can have.
    pub fn channels(&self) -> &[Channel] {
        &self.connection.channels
    }

    /// What a definition of the user's own reads that none of these campaigns has: a path that is wrong
    /// finds nothing.
    pub fn missing(&self, campaigns: &[Arc<Campaign>]) -> Vec<String> {
        let is_missing = |count| campaigns.iter().all(|it| it.counts.get(count).is_none());
        let counts = self.kind.counts.iter().filter(|(count, _)| is_missing(*count));
        let missing = counts.map(|(count, field)| format!("{} ({field})", count.name()));
        let is_judged = self.kind.file.is_some() && !campaigns.is_empty();
        missing.filter(|_| is_judged).collect()
    }

    /// The rates that the provider reports itself for a whole result.
    pub fn reported_rates(&self) -> &[Arc<str>] {
        &self.kind.rates
    }

    /// Whether this is the same account at the same address. A token in another place does not make it
    /// another account.
    pub fn same_account(&self, other: &Self) -> bool {
        let identity = |provider: &Self| {
            let Connection { base_url, identity, .. } = &provider.connection;
            (Arc::clone(provider.name()), base_url.clone(), identity.clone())
        };
        identity(self) == identity(other)
    }

    /// What is valid but deserves a warning.
    pub fn warnings(&self) -> Vec<String> {
        let base_url = &self.connection.base_url;
        let mut warnings = Vec::new();
        if !is_private(base_url) {
            warnings.push("base_url is http: the token travels unencrypted".to_owned());
        }
        warnings
    }

    /// What shares a quota with the account called `account`.
    pub fn application(&self, account: &str) -> String {
        let Connection { base_url, identity, .. } = &self.connection;
        let client = match self.kind.quota {
            QuotaScope::Client => identity.as_deref().unwrap_or(account),
            QuotaScope::Account => account,
        };
        format!("{} {base_url} {client}", self.name())
    }

    /// The limits of the account's application: those configured, else those published.
    pub fn limits(&self, configured: Limits) -> Limits {
        let published = &self.kind.limits;
        Limits {
            per_second: configured.per_second.or(published.per_second),
            per_minute: configured.per_minute.or(published.per_minute),
            per_hour: configured.per_hour.or(published.per_hour),
            per_day: configured.per_day.or(published.per_day),
            headers: configured.headers.or_else(|| published.headers.clone()),
        }
    }

    /// What decides which campaigns are read, and how, in one line. Campaigns that were stored under
    /// another line are not this account's.
    pub fn source(&self) -> String {
        let Connection { base_url, identity, channels, variant, .. } = &self.connection;
        let identity = identity.as_deref().unwrap_or_default();
        let channels = channels.iter().map(Channel::as_str).collect::<Vec<_>>();
        let channels = channels.join(",");
        format!("{} {base_url} {identity} {channels} {variant}", self.name())
    }

    /// Whether polls need tokens that `authorize` stores.
    pub fn needs_consent(&self) -> bool {
        let Auth::OAuth(registration) = &self.connection.auth else {
            return false;
        };
        registration.refresh_token.is_none()
    }

    /// Asks a person to consent to the account called `account`, and stores the tokens. Returns whether
    /// they can be renewed. An error if the provider knows no such consent.
    pub async fn authorize(
        &self,
        account: &str,
        client: Client,
        request_timeout: Duration,
        store: &Arc<Store>,
        show: impl FnOnce(&DeviceCode),
    ) -> Result<bool, PollError> {
        let Auth::OAuth(registration) = &self.connection.auth else {
            let message = "the account has a configured token: there is nothing to authorize";
            return Err(PollError::new(Reason::Client, message));
        };
        let transport = Transport::new(client, request_timeout);
        tokens::authorize(registration, account, store, &transport, show).await
    }

    /// Reads all campaigns of the window: all pages or nothing. Campaigns equal to `known` ones share
    /// their memory.
    pub async fn read_campaigns(
        &self,
        session: &Session,
        access: &Access,
        read: Read<'_>,
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        read::read(&self.connection, session, access, read, known).await
    }

    /// The requests of a read that finds campaigns with these ids, spread evenly over its lists: as many
    /// as the first requests tell.
    pub fn requests(&self, window: Window, ids: &[String]) -> usize {
        let source = &self.connection.source;
        let asks = source.begin(window);
        let lists = asks.iter().filter(|ask| ask.pages(usize::MAX) > 1).count().max(1);
        let pages: usize = asks.iter().map(|ask| ask.pages(ids.len().div_ceil(lists))).sum();
        pages + source.details(window, ids).len()
    }

    /// What a poll makes of saved answers, in the order of its requests for the window `asked`. Returns
    /// the requests too, each with the number of the part that it is for.
    pub fn read_saved(
        &self,
        asked: Window,
        window: Window,
        answers: &[Answer],
    ) -> (Vec<(usize, Request)>, Result<Reading, PollError>) {
        read::read_saved(&self.connection, asked, window, answers)
    }

    /// What a poll after another one makes of these answers to its first request, for benchmarks.
    pub fn read_again(
        &self,
        read: Read<'_>,
        answers: &[Answer],
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        read::read_again(&self.connection, read, answers, known)
    }

    /// What a poll makes of one answer, for benchmarks and fuzzing.
    pub fn read_answer(
        &self,
        window: Window,
        status: u16,
        body: &[u8],
    ) -> Result<Reading, PollError> {
        read::read_answer(&self.connection, window, &Answer::of(status, body))
    }

    /// The address that a link of an answer leads to, for fuzzing.
    #[cfg(fuzzing)]
    pub fn linked(&self, href: &str, below: &'static str) -> Result<reqwest::Url, PollError> {
        read::url(&self.connection.base_url, &source::Ask::link(href, below))
    }
}

/// Two providers for tests in which it does not matter what they are. `alpha` sends text messages; `beta`
/// sends on two channels, at the address of each account, and limits an app.
#[cfg(test)]
pub(crate) fn made_up() -> Kinds {
    const ALPHA: &str = "
name: alpha
title: Alpha
documentation: https://docs.alpha.example
channels: [sms]
base_url: https://api.alpha.example
auth: {in: bearer}
settings: {time_zone: {type: time_zone, default: UTC, meaning: The time zone.}}
lists: {get: /campaigns, items: '$.campaigns[*]', campaign: {id: $.id, last_sent: $.date, info: {sender: $.from}}}
account: {get: /credits, credits: $.left}
";
    const BETA: &str = "
name: beta
title: Beta
documentation: https://docs.beta.example
channels: [sms, whatsapp]
auth: {in: bearer}
settings: {app: {meaning: The app.}}
lists: {get: /campaigns, items: '$[*]', campaign: {id: $.id, channel: {path: $.on}}}
";
    let [alpha, beta] =
        [ALPHA, BETA].map(|text| definition::Definition::parse(text).unwrap().kind());
    [alpha, Kind { quota: QuotaScope::Client, ..beta }].into_iter().map(Arc::new).collect()
}

/// Requests of the tests to simulated APIs.
#[cfg(all(test, feature = "demo"))]
#[expect(clippy::unwrap_used, reason = "helpers of tests")]
mod simulation {
    use campaign_simulator::answer::Content;
    use campaign_simulator::{Api, Campaign, Simulator, State, World};
    use serde_json::{Value, json};

    /// Starts an API that accepts the token `secret`.
    pub(super) async fn start(api: &'static dyn Api, campaigns: Vec<Campaign>) -> Simulator {
        let state = State::new("secret", campaigns);
        Simulator::start(api, state).await.unwrap()
    }

    /// Returns the status and the JSON body of an answer.
    pub(super) async fn get(
        simulator: &Simulator,
        path_and_query: &str,
        query: &[(&str, &str)],
    ) -> (u16, Value) {
        let request = reqwest::Client::new().get(simulator.base_url() + path_and_query);
        let request = request.query(query).header("accept", "application/json");
        let response = request.bearer_auth("secret").send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn errors_and_ids_are_in_the_form_of_each_provider() {
        let kinds = super::native();
        let api = |name| kinds.get(name).unwrap().simulated.unwrap();
        for (name, status, answered, pointer, expected) in [
            ("constant_contact", 400, 400, "/0/error_message", json!("Bad request")),
            ("constant_contact", 403, 403, "/error_key", json!("access_denied")),
            ("constant_contact", 429, 429, "/error_key", json!("throttled")),
            ("cinnox", 429, 429, "/code", json!(6_451_010)),
            ("cinnox", 503, 503, "/code", json!(6_451_001)),
            ("smsup", 401, 200, "/status", json!(-1)),
            ("smsup", 500, 500, "/status", json!(-99)),
        ] {
            let answer = api(name).error(status);
            let Content::Json(body) = answer.content else { panic!("{name}") };
            assert_eq!(answer.status, answered, "{name} {status}");
            assert_eq!(body.pointer(pointer), Some(&expected), "{name} {status}");
        }
        let now = "2026-06-15T21:00:00Z".parse().unwrap();
        for (name, shape) in
            [("constant_contact", &[8, 4, 4, 4, 12][..]), ("cinnox", &[24]), ("smsup", &[8])]
        {
            for campaign in World::new(api(name), 1, now).campaigns(now) {
                assert!(
                    campaign.id.split('-').map(str::len).eq(shape.iter().copied()),
                    "{campaign:?}"
                );
            }
        }
    }
}
