//! Providers that are defined by a YAML file instead of code.
//!
//! A definition says how a platform is asked and what its answers mean. It is checked as a whole before
//! it is used, and becomes a [`Kind`](super::Kind) like any other, so that bounds, retries, quotas,
//! storage, metrics, pages and alerts are the same. Data flows from the file to a [`Definition`], and
//! with an account's settings to a source.

pub mod built_in;
mod campaign;
mod field;
#[cfg(test)]
mod hostile;
mod kind;
mod money;
mod number;
#[cfg(all(test, feature = "demo"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod oracle;
mod path;
mod reader;
mod request;
#[cfg(feature = "demo")]
pub(super) mod simulation;
mod source;
mod template;
mod time;
mod unused;
mod verdict;

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest, Sha256};

use self::campaign::{CAMPAIGN, Mapped, WORDS};
use self::field::{FIELD, Field, TIME, Times, Zone};
use self::money::{MONEY, Money};
use self::number::DecimalSeparator;
use self::path::Path;
use self::reader::{Entry, Mapping, Reader, may, must, parse_name};
use self::request::{FORM, GET, IDS, JSON, PAGING, POST, Paging, QUERY, Request, STOP};
use self::template::{REQUEST_TIME, RequestTime, Template};
use self::time::TimeFormat;
use self::verdict::{ERRORS, SUCCESS, Verdict};
use crate::campaign::Channel;
use crate::document::keys::{Key, Takes, Value};
use crate::document::{Node, Problem};
use crate::upstream::quota::allowance::AllowanceHeaders;
use crate::upstream::quota::{Limits, MAX_WINDOW_REQUESTS};

pub use self::reader::Part;

/// Most requests for details that one answer may need.
const MAX_IDS: u64 = 1_000;

/// Fewest requests per second: ten in the longest time that a poll may take.
const LEAST_RATE: f64 = 0.01;

/// A checked definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The value of the `provider` label and key.
    pub name: String,
    title: String,
    documentation: String,
    channels: Vec<Channel>,
    notes: String,
    /// The address of the API, unless every account has its own.
    pub base_url: Option<String>,
    auth: Authentication,
    settings: Vec<Key>,
    headers: Vec<(HeaderName, Template)>,
    limits: Limits,
    verdict: Verdict,
    times: Times,
    request_times: Vec<(String, RequestTime)>,
    lists: Vec<List>,
    details: Vec<Details>,
    account: Option<Account>,
    /// Whether it stands in place of a built-in one.
    pub replaces: bool,
    /// Tells this text from another.
    digest: String,
}

/// How requests carry the secret.
#[derive(Clone, Debug)]
struct Authentication {
    way: Way,
    /// The key of the account that tells where the secret is.
    secret: String,
}

#[derive(Clone, Debug)]
enum Way {
    Bearer,
    Basic(Template),
    Header(HeaderName, String),
    Query(Arc<str>),
    Form(Arc<str>),
    Path,
}

/// A list of campaigns, or of details of campaigns.
#[derive(Clone, Debug)]
struct List {
    request: Request,
    paging: Option<Paging>,
    items: Path,
    condition: Option<Path>,
    newest_first: Option<field::TimeField>,
    sums_rows: bool,
    completes: bool,
    campaign: Mapped,
}

/// Requests for details of the campaigns of the lists.
#[derive(Clone, Debug)]
struct Details {
    request: Request,
    ids: usize,
    items: Option<Path>,
    sums_rows: bool,
    optional: bool,
    campaign: Mapped,
}

/// A request for facts about the account.
#[derive(Clone, Debug)]
struct Account {
    request: Request,
    condition: Option<Path>,
    credits: Option<Field>,
    balance: Option<Money>,
}

/// The keys of a definition.
const DEFINITION: Part = Part {
    title: "Definition",
    keys: &[
        must("name", "name", "The value of `provider`, in lower-case letters, digits and `_`."),
        must("title", "text", "The name of the provider, as it spells it."),
        must("documentation", "address", "The provider's documentation of the API."),
        must(
            "channels",
            "list of channels",
            "The channels that campaigns can have, of [the exporter's words](#the-exporters-words).",
        ),
        may(
            "notes",
            "text",
            "Markdown for the provider's page: how to get credentials, what is counted and what is not, limits.",
        ),
        may(
            "replaces_built_in",
            "true or false",
            "Whether the definition takes the place of a built-in one with the same name.",
        ),
        may(
            "base_url",
            "address",
            "The address of the API. Without it, every account has to have one.",
        ),
        must("auth", "mapping", "How requests carry the secret."),
        may(
            "settings",
            "mapping of names to mappings",
            "Further keys of an account. Requests can have their values.",
        ),
        may("headers", "mapping of texts", "Headers of every request."),
        may("limits", "mapping", "The published limits of requests."),
        may(
            "success",
            "mapping",
            "How to recognize a successful answer, besides a status of 200 to 203.",
        ),
        may("errors", "mapping", "What errors look like."),
        may(
            "decimal_separator",
            "`\".\"` or `\",\"`",
            "What separates the decimals of numbers in text; `.` by default. The other of the two, an apostrophe or a space can group digits by three. `12.000` is no count by default, as it may mean twelve thousand. An amount can have the sign or the code of a currency, and a percentage a percent sign.",
        ),
        may(
            "time_format",
            "format",
            "How times are written in answers: `rfc3339`, the default, `unix`, `unix_ms`, or a strftime pattern.",
        ),
        may(
            "time_zone",
            "zone",
            "The time zone of times without one: a name such as `Europe/Zurich`, a setting in braces, or a path to a name. UTC by default.",
        ),
        may("times", "mapping of names to mappings", "Times that requests can have."),
        may(
            "campaign",
            "mapping",
            "What an item says of a campaign, for all lists without a mapping of their own.",
        ),
        must("lists", "mapping, or list of mappings", "The requests for campaigns, in order."),
        may(
            "details",
            "mapping, or list of mappings",
            "Requests for details of the campaigns found.",
        ),
        may(
            "account",
            "mapping",
            "A request for facts about the account. If it fails, the poll still succeeds.",
        ),
    ],
};

const AUTH: Part = Part {
    title: "Authentication",
    keys: &[
        must(
            "in",
            "`bearer`, `basic`, `header`, `query`, `form` or `path`",
            "Where the secret goes. In a path, `{token}` is its place.",
        ),
        may("name", "text", "The header, parameter or field."),
        may("prefix", "text", "What the header's value begins with."),
        may("user", "text", "The user name of `basic`, with settings in braces."),
        may("secret", "name", "The account's key, without `_file` or `_env`; `token` by default."),
    ],
};

const SETTING: Part = Part {
    title: "Setting",
    keys: &[
        may("type", "`text`, `number` or `time_zone`", "What it takes; `text` by default."),
        may(
            "default",
            "text or number",
            "The value if an account does not set it. Without a default it is required, unless it is `optional`.",
        ),
        may("optional", "true or false", "Whether it can be left out without a default."),
        must("meaning", "text", "A sentence for the manual."),
    ],
};

const LIMITS: Part = Part {
    title: "Limits",
    keys: &[
        may("per_second", "number", "Requests per second."),
        may("per_minute", "whole number", "Requests in any minute."),
        may("per_hour", "whole number", "Requests in any hour."),
        may("per_day", "whole number", "Requests per day."),
        may(
            "remaining_header",
            "text",
            "The header with the number of requests left. Requires `reset_header`.",
        ),
        may(
            "reset_header",
            "text",
            "The header with the time until more requests are allowed: a number of seconds, also with text after it, or a Unix time. Waits are an hour at most.",
        ),
    ],
};

const ITEMS: Entry =
    may("items", "path", "The items, for example `$.data[*]`, or `$[*]` if the answer is a list.");
const SUM_ROWS: Entry = may(
    "sum_rows",
    "true or false",
    "Whether items with the same id are rows of one campaign, whose counts are added.",
);
const WHERE: Entry = may(
    "where",
    "condition",
    "Leaves out an item, or the credits of an answer, that does not meet it: a filter of JSONPath, for example `@.type == 'sms'`.",
);
const MAPPING: Entry = may("campaign", "mapping", "What an item says of a campaign.");

const LIST: Part = Part {
    title: "List",
    keys: &[
        GET,
        POST,
        QUERY,
        FORM,
        JSON,
        ITEMS,
        WHERE,
        may("paging", "mapping", "How the list is divided into pages. Without it, there is one."),
        may(
            "newest_first",
            "time",
            "The time by which the list is sorted, newest first. Pages are read until all items of one are older than the period of the poll.",
        ),
        SUM_ROWS,
        may(
            "completes",
            "true or false",
            "Whether the list does not have campaigns of its own, but more about those of the other lists.",
        ),
        MAPPING,
    ],
};

const DETAILS: Part = Part {
    title: "Details",
    keys: &[
        GET,
        POST,
        QUERY,
        FORM,
        JSON,
        may(
            "ids",
            "whole number",
            "The number of campaigns per request, whose ids `{ids}` stands for; 1 by default.",
        ),
        may(
            "items",
            "path",
            "The items. Without it, the answer as a whole is about the one campaign.",
        ),
        SUM_ROWS,
        may(
            "optional",
            "true or false",
            "Whether the poll succeeds if the provider refuses the request, for example with 404. Any other failure fails the poll.",
        ),
        may(
            "campaign",
            "mapping",
            "What an item says of a campaign. What it has counts instead of what a list has.",
        ),
    ],
};

const ACCOUNT: Part = Part {
    title: "Account",
    keys: &[
        GET,
        POST,
        QUERY,
        FORM,
        JSON,
        WHERE,
        may("credits", "value", "The credits left."),
        may("balance", "mapping", "The money left."),
    ],
};

/// All mappings of a definition, for the reference.
pub const PARTS: [Part; 17] = [
    DEFINITION,
    AUTH,
    SETTING,
    LIMITS,
    SUCCESS,
    ERRORS,
    REQUEST_TIME,
    LIST,
    PAGING,
    STOP,
    DETAILS,
    ACCOUNT,
    CAMPAIGN,
    FIELD,
    MONEY,
    TIME,
    WORDS,
];

impl Account {
    /// What is read.
    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.credits.iter().chain(self.balance.iter().flat_map(Money::fields))
    }
}

impl Definition {
    /// The channels that campaigns can have.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Reads and checks a definition. Every problem is reported.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let root = Node::parse(text).map_err(|problem| vec![problem])?;
        let mut reader = Reader::default();
        let definition = reader.mapping(&DEFINITION, "", &root, read);
        let mut problems = reader.problems;
        match definition.flatten() {
            Some(definition) if problems.is_empty() => {
                Ok(Self { digest: format!("{:x}", Sha256::digest(text)), ..definition })
            }
            _ => {
                problems.sort_by_key(|problem| problem.place);
                problems.dedup();
                Err(problems)
            }
        }
    }
}

fn read(mapping: &mut Mapping<'_, '_>) -> Option<Definition> {
    read_decimal(mapping);
    let name = mapping.parsed("name", parse_name);
    let title = mapping.text("title");
    let documentation = mapping.parsed("documentation", |text| address(text, true));
    let notes = mapping.text("notes").unwrap_or_default();
    let replaces = mapping.flag("replaces_built_in");
    let base_url = mapping.parsed("base_url", |text| address(text, false));
    let channels = read_channels(mapping);
    let settings = read_settings(mapping);
    let names: Vec<String> = settings.iter().map(|key| key.name.to_string()).collect();
    let auth = mapping.mapping("auth", &AUTH, |mapping| read_auth(mapping, &names));
    let headers = request::headers(mapping, &names);
    let limits = mapping.mapping("limits", &LIMITS, read_limits);
    let mut verdict = Verdict::default();
    mapping.mapping("success", &SUCCESS, |mapping| verdict.read_success(mapping));
    mapping.mapping("errors", &ERRORS, |mapping| verdict.read_errors(mapping));
    let format = mapping.parsed("time_format", TimeFormat::parse_readable);
    let zone = mapping.parsed("time_zone", |text| Zone::parse(text, &names));
    let request_times = read_times(mapping, &names);
    let times = request_times.iter().map(|(name, _)| name.clone());
    let scope = Scope {
        variables: names.iter().cloned().chain(times).collect(),
        settings: names,
        channels,
        campaign: None,
    };
    let campaign = mapping.mapping("campaign", &CAMPAIGN, |mapping| {
        Mapped::read(mapping, &scope.settings, &scope.channels)
    });
    let scope = Scope { campaign, ..scope };
    let lists = read_each(mapping, "lists", &LIST, |mapping| read_list(mapping, &scope));
    let details = read_each(mapping, "details", &DETAILS, |mapping| read_details(mapping, &scope));
    let account = mapping.mapping("account", &ACCOUNT, |mapping| read_account(mapping, &scope));
    if !lists.is_empty() && lists.iter().all(|list| list.completes) {
        mapping.problem("lists", "no list has campaigns of its own");
    }
    let account = account.flatten();
    check_times(mapping, &request_times, &lists, &details, account.as_ref());
    let auth = auth.flatten()?;
    check_auth(mapping, &auth, &headers, &lists, &details, account.as_ref());
    Some(Definition {
        name: name?,
        title: title?,
        documentation: documentation?,
        channels: scope.channels,
        notes,
        base_url,
        auth,
        settings,
        headers,
        limits: limits.unwrap_or_default(),
        verdict,
        times: Times { format: format.unwrap_or(TimeFormat::Rfc3339), zone },
        request_times,
        lists,
        details,
        account,
        replaces,
        digest: String::new(),
    })
}

/// Reads how numbers are written, before any value.
fn read_decimal(mapping: &mut Mapping<'_, '_>) {
    let decimal = mapping.parsed("decimal_separator", DecimalSeparator::parse);
    mapping.reader().decimal = decimal.unwrap_or_default();
}

/// What the parts of a definition refer to.
struct Scope {
    settings: Vec<String>,
    /// The settings and the times of requests.
    variables: Vec<String>,
    channels: Vec<Channel>,
    campaign: Option<Mapped>,
}

fn read_each<T>(
    mapping: &mut Mapping<'_, '_>,
    key: &str,
    part: &Part,
    mut read: impl FnMut(&mut Mapping<'_, '_>) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for (path, node) in mapping.one_or_more(key) {
        let one = mapping.reader().mapping(part, &path, node, &mut read);
        all.extend(one.flatten());
    }
    all
}

/// An address as it is written.
fn address(text: &str, has_query: bool) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "https" | "http") && (has_query || url.query().is_none()) =>
        {
            Ok(text.to_owned())
        }
        _ if has_query => Err("must be an address that begins with https://".to_owned()),
        _ => Err("must be an address that begins with https:// and has no query".to_owned()),
    }
}

fn read_channels(mapping: &mut Mapping<'_, '_>) -> Vec<Channel> {
    let mut channels = Vec::new();
    for (path, node) in mapping.one_or_more("channels") {
        let channel = |word: &str| parse_name(word).map(|word| Channel::from_word(&word));
        channels.extend(mapping.reader().text(&path, node, "a word such as sms", channel));
    }
    channels
}

fn read_settings(mapping: &mut Mapping<'_, '_>) -> Vec<Key> {
    let mut keys = Vec::new();
    for (name, path, node) in mapping.entries("settings") {
        let reader = mapping.reader();
        reader.noted(&path, node, parse_name(&name));
        if ["name", "provider", "base_url", "token", IDS].contains(&name.as_str()) {
            reader.problem(&path, node, "this name has another meaning");
        }
        let read = reader.mapping(&SETTING, &path, node, |mapping| {
            let takes = mapping.parsed("type", |text| match text {
                "text" => Ok(Takes::Text),
                "number" => Ok(Takes::Integer(0, u64::from(u32::MAX))),
                "time_zone" => Ok(Takes::TimeZone),
                other => Err(format!("unknown type {other:?}; expected text, number or time_zone")),
            });
            let takes = takes.unwrap_or(Takes::Text);
            let optional = mapping.flag("optional");
            let default = match takes {
                Takes::Integer(least, most) => {
                    mapping.number("default", least, most).map(Value::from)
                }
                Takes::TimeZone => {
                    let name = |text: &str| time::zone(text).map(|_| text.to_owned());
                    mapping.parsed("default", name).map(Value::Text)
                }
                _ => mapping.text("default").map(Value::Text),
            };
            let meaning = mapping.text("meaning")?;
            let mut key = Key::required("", takes, "");
            key.name = name.clone().into();
            key.meaning = meaning.into();
            Some(match default {
                Some(value) => key.or(value),
                None if optional => key.or_else(""),
                None => key,
            })
        });
        keys.extend(read.flatten());
    }
    keys
}

fn read_auth(mapping: &mut Mapping<'_, '_>, settings: &[String]) -> Option<Authentication> {
    let secret = mapping.parsed("secret", |name| {
        parse_name(name).map_err(|message| message + ": never put the secret itself here")
    });
    let name = mapping.text("name");
    let prefix = mapping.parsed("prefix", |text| match text.chars().last() {
        Some(last) if last.is_alphanumeric() => {
            Err(format!("the secret follows at once: write \"{text} \" in quotes for a space"))
        }
        _ => Ok(text.to_owned()),
    });
    let user = mapping.parsed("user", |text| Template::parse(text, settings));
    let place = mapping.text("in")?;
    mapping.reader().has_token = place == "path";
    let mut named = || {
        if name.is_none() {
            mapping.problem("name", "is missing");
        }
        name.as_deref()
    };
    let way = match place.as_str() {
        "bearer" => Some(Way::Bearer),
        "path" => Some(Way::Path),
        "query" => named().map(|name| Way::Query(name.into())),
        "form" => named().map(|name| Way::Form(name.into())),
        "header" => match named().map(|name| HeaderName::from_bytes(name.as_bytes())) {
            Some(Ok(name)) => Some(Way::Header(name, prefix.unwrap_or_default())),
            Some(Err(_)) => {
                mapping.problem("name", "is not the name of a header");
                None
            }
            None => None,
        },
        "basic" => {
            if user.is_none() {
                mapping.problem("user", "is missing");
            }
            user.map(Way::Basic)
        }
        other => {
            let message = format!(
                "unknown place {other:?}; expected bearer, basic, header, query, form or path"
            );
            mapping.problem("in", message);
            None
        }
    };
    Some(Authentication { way: way?, secret: secret.unwrap_or_else(|| "token".to_owned()) })
}

/// A time that no request has is most likely misspelled.
fn check_times(
    mapping: &mut Mapping<'_, '_>,
    times: &[(String, RequestTime)],
    lists: &[List],
    details: &[Details],
    account: Option<&Account>,
) {
    let requests = lists.iter().map(|list| &list.request);
    let requests = requests.chain(details.iter().map(|details| &details.request));
    let requests: Vec<_> = requests.chain(account.map(|account| &account.request)).collect();
    for (name, _) in times {
        if !requests.iter().any(|request| request.has(name)) {
            mapping.problem("times", format!("no request has {{{name}}}"));
        }
    }
}

fn check_auth(
    mapping: &mut Mapping<'_, '_>,
    auth: &Authentication,
    headers: &[(HeaderName, Template)],
    lists: &[List],
    details: &[Details],
    account: Option<&Account>,
) {
    let own = match &auth.way {
        Way::Bearer | Way::Basic(_) => Some(&AUTHORIZATION),
        Way::Header(name, _) => Some(name),
        Way::Query(_) | Way::Form(_) | Way::Path => None,
    };
    if headers.iter().any(|(name, _)| Some(name) == own) {
        mapping.problem("headers", "the secret goes into a header of this name");
    }
    let requests = lists.iter().map(|list| &list.request);
    let requests = requests.chain(details.iter().map(|details| &details.request));
    let mut requests = requests.chain(account.map(|account| &account.request));
    match auth.way {
        Way::Form(_) if !requests.all(Request::has_form) => {
            mapping.problem("auth", "the secret goes into a form, but not all requests post one");
        }
        Way::Path if !requests.all(Request::has_token) => {
            mapping
                .problem("auth", "the secret goes into the path, but not all paths have {token}");
        }
        _ => {}
    }
}

fn read_limits(mapping: &mut Mapping<'_, '_>) -> Limits {
    let per_second = match mapping.node("per_second").map(|node| &node.value) {
        Some(Node::Integer(number)) => Some(*number as f64),
        Some(Node::Float(number)) => Some(*number),
        Some(_) => Some(f64::NAN),
        None => None,
    };
    if per_second.is_some_and(|rate| !(LEAST_RATE..=10_000.0).contains(&rate)) {
        let message = format!("expected a number from {LEAST_RATE} to 10000");
        mapping.problem("per_second", message);
    }
    let mut header = |key| {
        mapping.parsed(key, |name| {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| "is not the name of a header".into())
        })
    };
    let headers = match (header("remaining_header"), header("reset_header")) {
        (Some(remaining), Some(reset)) => Some(AllowanceHeaders { remaining, reset }),
        (None, None) => None,
        (one, _) => {
            let missing = if one.is_some() { "reset_header" } else { "remaining_header" };
            mapping.problem(missing, "is missing");
            None
        }
    };
    Limits {
        per_second,
        per_minute: mapping.number("per_minute", 1, MAX_WINDOW_REQUESTS),
        per_hour: mapping.number("per_hour", 1, MAX_WINDOW_REQUESTS),
        per_day: mapping.number("per_day", 1, 1_000_000_000),
        headers,
    }
}

fn read_times(mapping: &mut Mapping<'_, '_>, settings: &[String]) -> Vec<(String, RequestTime)> {
    let mut times = Vec::new();
    for (name, path, node) in mapping.entries("times") {
        let reader = mapping.reader();
        if settings.contains(&name) || name == IDS {
            reader.problem(&path, node, "this name has another meaning");
        }
        let time = reader
            .mapping(&REQUEST_TIME, &path, node, |mapping| RequestTime::read(mapping, settings));
        times.extend(time.flatten().map(|time| (name, time)));
    }
    times
}

fn read_items(mapping: &mut Mapping<'_, '_>) -> Option<Path> {
    mapping.parsed("items", |text| {
        let path = Path::parse_plain(text)?;
        if path.is_list() {
            return Ok(path);
        }
        Err(format!("must end with [*]: {text}[*] has the items of the list"))
    })
}

/// The mapping of a part, or that of the definition.
fn read_campaign(mapping: &mut Mapping<'_, '_>, scope: &Scope, needs_id: bool) -> Option<Mapped> {
    let is_own = mapping.node("campaign").is_some();
    let own = mapping.mapping("campaign", &CAMPAIGN, |mapping| {
        Mapped::read(mapping, &scope.settings, &scope.channels)
    });
    let campaign = own.or_else(|| scope.campaign.clone().filter(|_| !is_own));
    if campaign.is_none() && !is_own {
        mapping.problem("campaign", "is missing");
    }
    let campaign = campaign?;
    if needs_id && campaign.id.is_none() {
        mapping.problem("campaign", "needs an id");
    }
    Some(campaign)
}

fn read_list(mapping: &mut Mapping<'_, '_>, scope: &Scope) -> Option<List> {
    let request = Request::read(mapping, &scope.variables);
    let items = read_items(mapping);
    if mapping.node("items").is_none() {
        mapping.problem("items", "is missing");
    }
    let condition = mapping.parsed("where", Path::parse_condition);
    let paging = request.as_ref().and_then(|request| {
        let paging = mapping.mapping("paging", &PAGING, |mapping| Paging::read(mapping, request));
        paging.flatten()
    });
    let path = mapping.path_of("newest_first");
    let newest_first = mapping
        .node("newest_first")
        .and_then(|node| field::TimeField::read(mapping.reader(), &path, node, &scope.settings));
    let sums_rows = mapping.flag("sum_rows");
    if sums_rows && paging.as_ref().is_some_and(Paging::overlaps) {
        let message = "if the list moves, rows on pages by offset or number are added twice; if one item \
                       has all rows of a campaign, add them with `sum`";
        mapping.problem("sum_rows", message);
    }
    let completes = mapping.flag("completes");
    let campaign = read_campaign(mapping, scope, true);
    Some(List {
        request: request?,
        paging,
        items: items?,
        condition,
        newest_first,
        sums_rows,
        completes,
        campaign: campaign?,
    })
}

fn read_details(mapping: &mut Mapping<'_, '_>, scope: &Scope) -> Option<Details> {
    let mut variables = scope.variables.clone();
    variables.push(IDS.to_owned());
    let request = Request::read(mapping, &variables);
    let ids = mapping.number("ids", 1, MAX_IDS).unwrap_or(1);
    let items = read_items(mapping);
    if items.is_none() && ids > 1 {
        mapping.problem("items", "is missing: an answer about several campaigns needs it");
    }
    let sums_rows = mapping.flag("sum_rows");
    let optional = mapping.flag("optional");
    if mapping.node("campaign").is_none() {
        mapping.problem("campaign", "is missing");
    }
    let own = Scope {
        settings: scope.settings.clone(),
        variables,
        channels: scope.channels.iter().take(1).cloned().collect(),
        campaign: None,
    };
    let campaign = mapping.mapping("campaign", &CAMPAIGN, |mapping| {
        Mapped::read(mapping, &own.settings, &own.channels)
    });
    let campaign = campaign?;
    if ids > 1 && campaign.id.is_none() {
        mapping.problem("campaign", "needs an id");
    }
    let request = request?;
    if !request.has(IDS) {
        mapping.problem("", "the request needs {ids}: which campaigns it is about");
    }
    Some(Details {
        request,
        ids: usize::try_from(ids).unwrap_or(1),
        items,
        sums_rows,
        optional,
        campaign,
    })
}

fn read_account(mapping: &mut Mapping<'_, '_>, scope: &Scope) -> Option<Account> {
    let request = Request::read(mapping, &scope.variables);
    if mapping.node("credits").is_none() && mapping.node("balance").is_none() {
        mapping.problem("", "needs credits or balance");
    }
    let condition = mapping.parsed("where", Path::parse_condition);
    let credits = mapping.field("credits");
    let balance = Money::read(mapping, "balance", &scope.settings);
    Some(Account { request: request?, condition, credits, balance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked() {
        let parse = |limits: &str| {
            Definition::parse(&format!(
                "{{name: x, title: X, documentation: 'https://example.com', channels: [sms], \
                 base_url: 'https://example.com', auth: {{in: bearer}}, limits: {{{limits}}}, \
                 lists: {{get: /x, items: '$.x[*]', campaign: {{id: '$.id'}}}}}}"
            ))
        };
        let headers = "remaining_header: X-Left, reset_header: X-Reset";
        let limits = parse(&format!("per_minute: 2, per_hour: 100, {headers}"));
        let limits = limits.unwrap().limits;
        assert_eq!((limits.per_minute, limits.per_hour), (Some(2), Some(100)));
        let headers = limits.headers.unwrap();
        assert_eq!((headers.remaining, headers.reset).0, "x-left");
        for (limits, problem) in [
            ("per_second: 0.0001", "limits.per_second: expected a number from 0.01 to 10000"),
            ("per_minute: 0", "limits.per_minute: expected a whole"),
            ("per_hour: 2000000", "limits.per_hour: expected a whole"),
            ("reset_header: X", "limits.remaining_header: is missing"),
            ("remaining_header: X", "limits.reset_header: is missing"),
            ("remaining_header: X, reset_header: 'a b'", "limits.reset_header: is not the name"),
        ] {
            let problems = parse(limits).unwrap_err();
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.concat().contains(problem), "{problems:?}");
        }
    }

    #[test]
    fn what_is_easily_mistyped_is_refused() {
        let yaml = "{name: x, title: X, documentation: 'https://example.com/?api', channels: [sms], \
             base_url: 'https://example.com', auth: {in: header, name: X, prefix: 'Token '}, \
             lists: {get: /x, items: '$.x[*]', campaign: {id: $.id, \
             status: {path: $.s, words: {DONE: sent}}}}}";
        assert!(Definition::parse(yaml).is_ok());
        for (good, bad, problem) in [
            ("'https://example.com/?api'", "the wiki", "documentation: must be an address"),
            ("'Token '", "Token", "auth.prefix: the secret follows at once"),
            ("DONE: sent", "DONE: sent, done: other", "words.done: the word is there twice"),
            ("lists", "headers: {x: a}, lists", "headers: the secret goes into a header of this"),
            (
                "lists",
                "settings: {z: {type: time_zone, default: CET+1, meaning: Z}}, lists",
                "settings.z.default: unknown time zone \"CET+1\"",
            ),
            ("{path: $.s, words: {DONE: sent}}", "gone", "status: unknown status \"gone\""),
            ("{path: $.s, words: {DONE: sent}}", "$.s", "mapping such as {path: $.s, words: …}"),
            ("{path: $.s, words: {DONE: sent}}", "{path: $.s}", "words: is missing: without words"),
            ("DONE: sent", "'': sent", "words.: an empty text is no value"),
            (
                "lists",
                "time_format: '%H:%M', lists",
                "time_format: \"%H:%M\" does not tell the day",
            ),
            (
                "lists",
                "errors: {statuses: {4xx: auth}}, lists",
                "statuses: \"4xx\" is no HTTP status",
            ),
            (
                "items",
                "paging: {by: cursor, parameter: c, next: $.n, stop: {more: $.m}}, items",
                "paging.stop: cursors and links end without a next one, or with empty_page",
            ),
            ("{path: $.s, words: {DONE: sent}}", "{path: $.s, words: {}}", "words: is missing"),
            ("/x,", "'/{token}',", "unknown variable {token}; only a path has it"),
            ("/x,", "'/{y}',", "unknown variable {y}; there are none"),
            (
                "{in: header, name: X, prefix: 'Token '}, lists: {get: /x",
                "{in: path}, account: {get: /a, credits: $.c}, lists: {get: '/{token}'",
                "auth: the secret goes into the path, but not all paths have {token}",
            ),
            (
                "items",
                "sum_rows: true, paging: {by: page, parameter: p, stop: {pages: $.n}}, items",
                "add them with `sum`",
            ),
            (
                "items",
                "paging: {by: page, parameter: p, stop: {total: $.n}}, items",
                "paging.size: is missing: how many items a full page has",
            ),
        ] {
            let problems = Definition::parse(&yaml.replace(good, bad)).unwrap_err();
            let [found] = problems.as_slice() else { panic!("{bad}: {problems:?}") };
            assert!(found.to_string().contains(problem), "{found}");
        }
    }
}
