//! The simulated platforms of the built-in definitions, for the demo and the tests.
//!
//! A platform is the reverse of its definition: it accepts exactly the requests that the definition
//! makes, and its answers are the saved ones with the values that the definition reads. What cannot be
//! reversed is an error, which a test finds.

mod asked;
mod item;
mod pages;

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::{LazyLock, OnceLock};

use base64::prelude::{BASE64_STANDARD, Engine};
use campaign_simulator::answer::Answer;
use campaign_simulator::{Api, Campaign, Channel, Habits, Listing, Request, State};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AUTHORIZATION, LINK};
use serde_json::{Map, Value, json};

use self::asked::{Parts, expected, marker, received, values};
use self::item::{Sample, number, set, write, write_time};
use self::pages::{PAGE, Position, link, paged, paging_places, position, size};
use super::built_in::{BUILT_IN, BuiltIn};
use super::campaign::{ChannelField, Mapped, Usual, Words};
use super::request::{By, IDS, Request as Template, Stop, TOKEN};
use super::template::{Of, OutFormat, RequestTime, Variables};
use super::time::TimeFormat;
use super::{Account, Definition, Details, List, Way};
use crate::campaign::Channel as Known;
use crate::document::keys::{Default as KeyDefault, Takes};
use crate::upstream::Reason;

/// Seconds until more requests are allowed, after one too many.
const RESET: &str = "30";

static SIMULATIONS: LazyLock<Vec<Simulation>> = LazyLock::new(|| {
    let all = BUILT_IN.iter();
    all.map(|built_in| Simulation { built_in, platform: OnceLock::new() }).collect()
});

/// The simulated API of a built-in definition.
pub(in crate::provider) fn of(name: &str) -> Option<&'static dyn Api> {
    let simulation = SIMULATIONS.iter().find(|simulation| simulation.built_in.name == name)?;
    Some(simulation)
}

#[derive(Debug)]
struct Simulation {
    built_in: &'static BuiltIn,
    /// Made of the definition and its samples when it is first needed.
    platform: OnceLock<Result<Platform, String>>,
}

impl Simulation {
    fn platform(&self) -> Result<&Platform, &String> {
        self.platform.get_or_init(|| Platform::new(self.built_in)).as_ref()
    }
}

impl Api for Simulation {
    fn provider(&self) -> &'static str {
        self.built_in.name
    }

    fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
        match self.platform() {
            Ok(platform) => platform.answer(state, now, request),
            Err(message) => Answer::text(500, "text/plain", message.clone()),
        }
    }

    fn error(&self, status: u16) -> Answer {
        match self.platform() {
            Ok(platform) => platform.failure(status),
            Err(message) => Answer::text(status, "text/plain", message.clone()),
        }
    }

    fn counts(&self) -> &'static [&'static str] {
        &[]
    }

    fn habits(&self) -> Habits {
        let platform = self.platform().ok();
        let channels = platform.map_or(&[][..], |platform| platform.definition.channels());
        let has = |channel| channels.contains(&channel);
        let name = self.provider().bytes();
        let hash = name.fold(0_u64, |all, byte| all.wrapping_mul(33) ^ u64::from(byte));
        Habits {
            // apart from those in code, whose streams are small
            stream: hash << 8 | 3,
            channels: match (has(Known::Sms), has(Known::Email), has(Known::Whatsapp)) {
                (true, true, _) => &[Channel::Sms, Channel::Email],
                (true, _, true) => &[Channel::Sms, Channel::Whatsapp],
                (_, true, _) => &[Channel::Email],
                (_, _, true) => &[Channel::Whatsapp],
                _ => &[Channel::Sms],
            },
            unsent: true,
            bad_days: false,
            texts: false,
            id: |index, _| (28_970_000 + index).to_string(),
        }
    }

    fn account(&self, base_url: &str, token_file: &FilePath) -> Value {
        let mut keys = Map::new();
        keys.insert("provider".to_owned(), json!(self.provider()));
        keys.insert("base_url".to_owned(), json!(base_url));
        if let Ok(platform) = self.platform() {
            let secret = format!("{}_file", platform.definition.auth.secret);
            keys.insert(secret, json!(token_file));
            let settings = platform.settings.0.iter();
            keys.extend(settings.map(|(name, value)| (name.clone(), json!(value))));
        }
        keys.into()
    }

    fn listing(&self) -> Listing {
        let lists = self.platform().map_or(&[][..], |platform| &platform.definition.lists);
        let paging = lists.iter().find_map(|list| list.paging.as_ref());
        Listing {
            page_size: paging.and_then(|paging| paging.size).unwrap_or(PAGE),
            ..Listing::default()
        }
    }
}

/// A definition and what its answers look like.
#[derive(Debug)]
struct Platform {
    definition: Definition,
    settings: Variables,
    lists: Vec<Endpoint>,
    details: Vec<Endpoint>,
    account: Option<Endpoint>,
}

/// A request that the definition makes, and the answer to it.
struct Endpoint {
    expected: Parts,
    has_body: bool,
    /// The places of what selects a page.
    optional: Vec<String>,
    sample: Sample,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Endpoint({:?})", self.expected)
    }
}

/// A part of the platform that a request is about.
enum Part<'a> {
    List(usize, &'a List),
    Details(&'a Details),
    Account(&'a Account),
}

impl Platform {
    fn new(built_in: &BuiltIn) -> Result<Self, String> {
        let definition = built_in.definition();
        let definition = definition.map_err(|problems| format!("{problems:?}"))?;
        let answers: Result<Vec<Value>, _> =
            built_in.samples.iter().map(|sample| serde_json::from_str(sample)).collect();
        let answers = answers.map_err(|error| error.to_string())?;
        let settings = Variables(settings(&definition));
        let usual = usual(&definition, &settings);
        let lacks = |part: &str, index: usize| format!("no sample of {part} {index} to start from");
        let mut lists = Vec::new();
        for (index, list) in definition.lists.iter().enumerate() {
            let condition = list.condition.as_ref();
            let sample =
                Sample::find(&answers, Some(&list.items), condition, &list.campaign, &usual);
            let sample = sample.ok_or_else(|| lacks("list", index))?;
            let optional = list.paging.as_ref().map_or_else(Vec::new, paging_places);
            lists.push(Endpoint::new(&list.request, optional, sample, &definition, &settings));
        }
        let mut details = Vec::new();
        for (index, part) in definition.details.iter().enumerate() {
            let sample = Sample::find(&answers, part.items.as_ref(), None, &part.campaign, &usual);
            let sample = sample.ok_or_else(|| lacks("details", index))?;
            details.push(Endpoint::new(&part.request, Vec::new(), sample, &definition, &settings));
        }
        let account = match &definition.account {
            None => None,
            Some(account) => {
                let has_facts = |answer: &&Value| account.fields().any(|field| field.is_in(answer));
                let envelope = answers.iter().find(has_facts).ok_or_else(|| lacks("account", 0))?;
                let sample = Sample::whole(envelope.clone());
                let request = &account.request;
                Some(Endpoint::new(request, Vec::new(), sample, &definition, &settings))
            }
        };
        Ok(Self { definition, settings, lists, details, account })
    }

    fn usual(&self) -> Usual<'_> {
        usual(&self.definition, &self.settings)
    }

    fn answer(&self, state: &State, now: DateTime<Utc>, request: &Request) -> Answer {
        let mut asked = received(request);
        if !self.admits(request, &mut asked, &state.token) {
            return self.failure(401);
        }
        let mut headers = self.definition.headers.iter();
        let has_headers = headers.all(|(name, value)| {
            let sent = request.headers.get(name).and_then(|value| value.to_str().ok());
            sent.map(str::to_owned) == value.render(&self.settings)
        });
        let mut status = 404;
        for (part, endpoint) in self.parts() {
            if !endpoint.serves(request, &asked) {
                continue;
            }
            status = 400;
            let values = values(&endpoint.expected, &asked, &endpoint.optional);
            if let Some(values) = values.filter(|_| has_headers) {
                let answer = match part {
                    Part::List(index, list) => {
                        self.list(index, list, endpoint, &values, state, now, request)
                    }
                    Part::Details(details) => self.details(details, endpoint, &values, state, now),
                    Part::Account(account) => Some(account_facts(account, endpoint, state, now)),
                };
                return answer.unwrap_or_else(|| self.failure(400));
            }
        }
        self.failure(status)
    }

    fn parts(&self) -> impl Iterator<Item = (Part<'_>, &Endpoint)> {
        let lists = self.definition.lists.iter().enumerate();
        let lists = lists.map(|(index, list)| Part::List(index, list)).zip(&self.lists);
        let details = self.definition.details.iter().map(Part::Details).zip(&self.details);
        let account = self.definition.account.iter().map(Part::Account).zip(&self.account);
        lists.chain(details).chain(account)
    }

    /// Whether a request carries the secret, which is no part of what it asks.
    fn admits(&self, request: &Request, asked: &mut Parts, token: &str) -> bool {
        let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        match &self.definition.auth.way {
            Way::Bearer => request.bears(token),
            Way::Basic(user) => {
                let user = user.render(&self.settings).unwrap_or_default();
                let pair = BASE64_STANDARD.encode(format!("{user}:{token}"));
                header(&AUTHORIZATION) == Some(&format!("Basic {pair}"))
            }
            Way::Header(name, prefix) => header(name) == Some(&format!("{prefix}{token}")),
            Way::Query(name) => asked.remove(&format!("?{name}")).as_deref() == Some(token),
            Way::Form(name) => asked.remove(&format!("={name}")).as_deref() == Some(token),
            Way::Path => {
                let path = asked.get_mut("path");
                path.is_some_and(|path| {
                    let has = path.split('/').any(|segment| segment == token);
                    *path = path.replace(token, &marker(TOKEN));
                    has
                })
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what a request is about, and the platform's state"
    )]
    fn list(
        &self,
        index: usize,
        list: &List,
        endpoint: &Endpoint,
        values: &Parts,
        state: &State,
        now: DateTime<Utc>,
        request: &Request,
    ) -> Option<Answer> {
        let paging = list.paging.as_ref();
        let position = paging.map_or(Some(Position::first()), |paging| position(paging, values))?;
        let since = match position.since {
            Some(since) => DateTime::from_timestamp_millis(since),
            None => self.since(values)?,
        };
        let items = self.items(index, list, endpoint, state, now, since);
        let items = state.listed(items.into_iter());
        let total = items.len();
        let size = match paging {
            None => total,
            Some(paging) => size(paging, values)?,
        };
        let page: Vec<_> = items.into_iter().skip(position.offset).take(size).collect();
        let mut body = endpoint.sample.envelope.clone();
        let is_empty = page.is_empty();
        let end = position.offset + page.len();
        set(&mut body, endpoint.sample.place.as_deref()?, page.into());
        let mut answer = Answer::json(200, Value::Null);
        if let Some(paging) = paging {
            let goes_on = match paging.stop {
                Stop::EmptyPage => !is_empty,
                _ => end < total,
            };
            let since = since.map(|since| since.timestamp_millis());
            let cursor = Position { offset: end, since }.cursor();
            let cursor = goes_on.then_some(cursor);
            for (place, value) in paged(paging, total, size, cursor.as_deref(), request) {
                set(&mut body, &place, value);
            }
            if let (By::LinkHeader, Some(cursor)) = (&paging.by, &cursor) {
                answer = answer.with(LINK, format!("<{}>; rel=\"next\"", link(request, cursor)));
            }
        }
        answer.content = campaign_simulator::answer::Content::Json(body);
        Some(answer)
    }

    /// The items of a list since a time, in its order.
    fn items(
        &self,
        index: usize,
        list: &List,
        endpoint: &Endpoint,
        state: &State,
        now: DateTime<Utc>,
        since: Option<DateTime<Utc>>,
    ) -> Vec<Value> {
        let usual = self.usual();
        let all = state.campaigns.at(now);
        let items =
            all.iter().filter(|campaign| since.is_none_or(|since| campaign.sent_at >= since));
        let items = items.filter(|campaign| {
            if list.completes {
                campaign.sent_at <= now
            } else {
                self.owner(campaign) == Some(index)
            }
        });
        let mut items: Vec<(i64, &str, Value)> = items
            .filter_map(|campaign| {
                let off_by = state.percents_off_by;
                let mut item =
                    endpoint.sample.item(&list.campaign, campaign, now, &usual, off_by)?;
                let mut order = campaign.sent_at;
                if let Some(sorted_by) = &list.newest_first {
                    let mut shown = item.clone();
                    write_time(sorted_by, &mut shown, Some(order), &usual);
                    match &list.campaign.created {
                        Some(created) if created.shown() == sorted_by.shown() => {
                            order = campaign.created_at;
                        }
                        _ => item = shown,
                    }
                }
                Some((order.timestamp_millis(), campaign.id.as_str(), item))
            })
            .collect();
        items.sort_by_key(|(order, id, _)| (*order, *id));
        if list.newest_first.is_some() {
            items.reverse();
        }
        items.into_iter().map(|(_, _, item)| item).collect()
    }

    fn details(
        &self,
        details: &Details,
        endpoint: &Endpoint,
        values: &Parts,
        state: &State,
        now: DateTime<Utc>,
    ) -> Option<Answer> {
        let ids: Vec<&str> = values.get(IDS)?.split(',').collect();
        if ids.len() > details.ids {
            return None;
        }
        let all = state.campaigns.at(now);
        let found = ids.iter().filter_map(|id| all.iter().find(|campaign| campaign.id == *id));
        let usual = self.usual();
        let mapped = &details.campaign;
        let mut items: Vec<Value> = found
            .filter_map(|campaign| {
                endpoint.sample.item(mapped, campaign, now, &usual, state.percents_off_by)
            })
            .collect();
        let Some(place) = &endpoint.sample.place else {
            let only = items.pop();
            return Some(only.map_or_else(|| self.failure(404), |item| Answer::json(200, item)));
        };
        let mut body = endpoint.sample.envelope.clone();
        set(&mut body, place, items.into());
        Some(Answer::json(200, body))
    }

    /// The list that has a campaign: the first whose channel and status are those of the campaign.
    fn owner(&self, campaign: &Campaign) -> Option<usize> {
        let channel = item::channel(campaign, &self.definition.channels);
        let mut lists = self.definition.lists.iter().zip(&self.lists);
        lists.position(|(list, endpoint)| {
            let has_channel = match &list.campaign.channel {
                Some(ChannelField::Fixed(own)) => *own == channel,
                _ => true,
            };
            !list.completes
                && has_channel
                && endpoint.has_status(&list.campaign, campaign, &channel)
        })
    }

    /// The start of the period that is asked for; an error if a time cannot be read.
    #[expect(clippy::option_option, reason = "unreadable, or none")]
    fn since(&self, values: &Parts) -> Option<Option<DateTime<Utc>>> {
        let mut since = None;
        for (name, time) in &self.definition.request_times {
            if let Some(text) = values.get(name) {
                let found = read_time(time, text, &self.settings)?;
                if time.of == Of::WindowStart {
                    since = Some(found);
                }
            }
        }
        Some(since)
    }

    /// The platform's own answer to a failure of this kind.
    fn failure(&self, status: u16) -> Answer {
        let verdict = &self.definition.verdict;
        let reason = Reason::of_status(status);
        let of = |reasons: &[(String, Reason)]| {
            let mut reasons = reasons.iter();
            reasons.find(|(_, known)| *known == reason).map(|(key, _)| key.clone())
        };
        let code = of(&verdict.codes);
        let own_status = of(&verdict.statuses).and_then(|status| status.parse().ok());
        let own_status = own_status.or(match (&code, &verdict.success) {
            (None, _) => None,
            // the body alone tells what it is
            (Some(_), Some(_)) => Some(200),
            (Some(_), None) => Some(400),
        });
        let mut body = json!({});
        let mut set_first = |path: Option<&super::path::Path>, value: Value| {
            let places = path.map_or_else(Vec::new, |path| path.pointers(&body));
            if let Some(place) = places.first() {
                set(&mut body, place, value);
            }
        };
        set_first(verdict.message.first(), json!("refused by the simulated platform"));
        let code = code.unwrap_or_else(|| status.to_string());
        let code = code.parse::<i64>().map_or_else(|_| json!(code), Value::from);
        set_first(verdict.code.as_ref(), code);
        let mut answer = Answer::json(own_status.unwrap_or(status), body);
        if let Some(headers) = self.definition.limits.headers.as_ref().filter(|_| status == 429) {
            answer = answer.with(headers.remaining.clone(), "0".to_owned());
            answer = answer.with(headers.reset.clone(), RESET.to_owned());
        }
        answer
    }
}

impl Endpoint {
    fn new(
        request: &Template,
        optional: Vec<String>,
        sample: Sample,
        definition: &Definition,
        settings: &Variables,
    ) -> Self {
        let mut variables = settings.clone();
        let times = definition.request_times.iter();
        variables.0.extend(times.map(|(name, _)| (name.clone(), marker(name))));
        let ask = request.ask(&variables, &[marker(IDS)]);
        let has_body = request.has_body();
        Self { expected: expected(&ask), has_body, optional, sample }
    }

    fn serves(&self, request: &Request, asked: &Parts) -> bool {
        let method = if self.has_body { "POST" } else { "GET" };
        let path = |parts: &Parts| {
            let path = parts.get_key_value("path").into_iter();
            path.map(|(place, path)| (place.clone(), path.clone())).collect()
        };
        let values = values(&path(&self.expected), &path(asked), &[]);
        request.method == method && values.is_some()
    }

    /// Whether the list has campaigns with this status: all, unless the request names one.
    fn has_status(&self, mapped: &Mapped, campaign: &Campaign, channel: &Known) -> bool {
        let Some(Words::Path(_, words)) = &mapped.status else {
            return true;
        };
        let asked = self.expected.values().map(|text| text.to_lowercase());
        let mut asked = asked.filter_map(|text| words.iter().find(|(word, _)| *word == text));
        asked.next().is_none_or(|(_, status)| {
            self.sample.status(mapped, campaign, channel) == Some(Some(*status))
        })
    }
}

fn usual<'a>(definition: &'a Definition, settings: &'a Variables) -> Usual<'a> {
    let (times, channels) = (&definition.times, definition.channels.as_slice());
    Usual { times, variables: settings, channels, id: None }
}

/// The settings of the account: those that are required, and the defaults of others.
fn settings(definition: &Definition) -> BTreeMap<String, String> {
    let keys = definition.settings.iter().filter_map(|key| {
        let value = match (&key.default, &key.takes) {
            (KeyDefault::Absent(_), _) => return None,
            (KeyDefault::Value(value), _) => value.to_text(),
            (KeyDefault::Required, Takes::TimeZone) => "Asia/Almaty".to_owned(),
            (KeyDefault::Required, Takes::Integer(..)) => "1".to_owned(),
            (KeyDefault::Required, _) => format!("demo-{}", key.name.replace('_', "-")),
        };
        Some((key.name.to_string(), value))
    });
    keys.collect()
}

fn account_facts(
    account: &Account,
    endpoint: &Endpoint,
    state: &State,
    now: DateTime<Utc>,
) -> Answer {
    let mut body = endpoint.sample.envelope.clone();
    let credits = state.credits_at(now).unwrap_or_default();
    let fields = account.credits.iter().chain(account.balance.iter().map(|money| &money.value));
    for field in fields {
        write(field, &mut body, |old| number(old, credits));
    }
    Answer::json(200, body)
}

/// The time that a request was made of.
fn read_time(time: &RequestTime, text: &str, settings: &Variables) -> Option<DateTime<Utc>> {
    let name = time.zone.as_deref().unwrap_or("UTC");
    let setting = name.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    let zone = setting.map_or_else(|| name.parse().ok(), |setting| settings.zone(setting));
    let format = match &time.format {
        OutFormat::Rfc3339(_) => TimeFormat::Rfc3339,
        OutFormat::Unix => TimeFormat::Unix,
        OutFormat::UnixMilliseconds => TimeFormat::UnixMilliseconds,
        OutFormat::Pattern(pattern) => TimeFormat::Pattern(pattern.clone()),
    };
    format.time(text, zone)?.checked_sub_signed(TimeDelta::try_seconds(time.shift)?)
}
