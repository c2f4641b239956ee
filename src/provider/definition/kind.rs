//! A definition as a kind of provider.

use std::borrow::Cow;
use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::campaign::Mapped;
use super::field::{Field, Zone};
use super::money::Money;
use super::path::Path;
use super::source::Defined;
use super::template::Variables;
use super::{Authentication, Definition, Way, request};
use crate::campaign::Channel;
use crate::campaign::counts::Count;
use crate::campaign::figures::Currency;
use crate::document::Section;
use crate::document::keys::{Key, Takes};
use crate::document::values::Values;
use crate::provider::kind::{Connection, Kind, QuotaScope};
use crate::upstream::auth::Auth;

impl Definition {
    /// The kind of provider that the definition describes.
    pub fn kind(self) -> Kind {
        let counts = self.counts();
        let mut kind = Kind {
            name: self.name.as_str().into(),
            title: self.title.as_str().into(),
            channels: self.channels.clone(),
            missing_counts: self.missing_counts(),
            counts,
            statuses: Vec::new(),
            failures: Vec::new(),
            info_labels: Vec::new(),
            rates: Vec::new(),
            fields: self.fields(),
            extras: Vec::new(),
            limits: self.limits.clone(),
            quota: QuotaScope::Account,
            keys: self.keys(),
            open: Box::new(|_, _, _| None),
            docs: self.documentation.clone().into(),
            requests: self.requests(),
            notes: self.notes.clone().into(),
            demo_account: self.name.replace('_', "-").into(),
            file: None,
            #[cfg(feature = "demo")]
            simulated: None,
        };
        for mapped in self.mapped() {
            for status in mapped.statuses() {
                add(&mut kind.statuses, status);
            }
            for reason in mapped.reasons() {
                add(&mut kind.failures, Arc::clone(reason));
            }
            for (label, shown) in mapped.shown_info() {
                add_named(&mut kind.info_labels, Arc::clone(label), shown);
            }
            for (metric, shown) in mapped.shown_extras() {
                add_named(&mut kind.extras, metric, shown);
            }
        }
        if let Some(account) = &self.account {
            let credits = account.credits.as_ref().map(Field::shown);
            let balance = account.balance.as_ref().map(Money::shown);
            let facts =
                [("campaign_account_credits", credits), ("campaign_account_balance", balance)];
            let facts = facts.into_iter();
            kind.extras.extend(facts.filter_map(|(metric, shown)| Some((metric, shown?.into()))));
        }
        let definition = Arc::new(self);
        kind.open = Box::new(move |values, section, _| open(&definition, values, section));
        kind
    }

    /// All mappings of campaigns.
    fn mapped(&self) -> impl Iterator<Item = &Mapped> {
        let lists = self.lists.iter().map(|list| &list.campaign);
        lists.chain(self.details.iter().map(|details| &details.campaign))
    }

    fn counts(&self) -> Vec<(Count, Cow<'static, str>)> {
        let mut counts = Vec::new();
        for (count, shown, _) in self.mapped().flat_map(Mapped::shown_counts) {
            add_named(&mut counts, count, shown);
        }
        counts
    }

    /// Counts that both lists and details have.
    pub fn counted_twice(&self) -> impl Iterator<Item = Count> {
        let is_in = |all: &[&Mapped], count| {
            all.iter().any(|it| it.counts.iter().any(|(known, _)| *known == count))
        };
        let is_list = |list: &&super::List| !list.completes;
        let lists: Vec<_> = self.lists.iter().filter(is_list).map(|it| &it.campaign).collect();
        let completing = self.lists.iter().filter(|list| list.completes).map(|it| &it.campaign);
        let details: Vec<_> =
            completing.chain(self.details.iter().map(|it| &it.campaign)).collect();
        let all = Count::ALL.iter().copied();
        all.filter(move |count| is_in(&lists, *count) && is_in(&details, *count))
    }

    /// The settings that have to be time zones.
    fn zone_settings(&self) -> impl Iterator<Item = &str> {
        let sorted = self.lists.iter().filter_map(|list| list.newest_first.as_ref());
        let times = self.mapped().flat_map(Mapped::all_times).chain(sorted);
        let zones = times.filter_map(|time| time.zone.as_ref()).chain(&self.times.zone);
        let asked = self.request_times.iter().filter_map(|(_, time)| time.zone_setting());
        zones.filter_map(Zone::setting).chain(asked)
    }

    /// Counts that campaigns on a channel lack, because their values are read on others only.
    fn missing_counts(&self) -> Vec<(Channel, Count)> {
        let mut missing = Vec::new();
        for (count, _, only) in self.mapped().flat_map(Mapped::shown_counts) {
            let lacks = |channel: &&Channel| {
                !only.is_empty() && !only.iter().any(|known| known == channel.as_str())
            };
            let channels = self.channels.iter().filter(lacks);
            missing.extend(channels.map(|channel| (channel.clone(), count)));
        }
        missing
    }

    /// The fields whose values can be unreadable.
    fn fields(&self) -> Vec<Cow<'static, str>> {
        let mut fields: Vec<Cow<'static, str>> = Vec::new();
        let items = self.lists.iter().map(|list| list.items.field().to_owned());
        let mapped = self.mapped().flat_map(Mapped::fields).flat_map(Field::names);
        let account = self.account.iter().flat_map(super::Account::fields).flat_map(Field::names);
        let account =
            account.map(str::to_owned).chain(self.account.iter().map(|_| "account".to_owned()));
        let details = self
            .details
            .iter()
            .map(|details| details.items.as_ref().map_or("details", Path::field).to_owned());
        let sums = self.lists.iter().map(|it| it.sums_rows);
        let mut sums = sums.chain(self.details.iter().map(|it| it.sums_rows));
        let sums = sums.any(|it| it).then(|| "sum_rows".to_owned());
        let items = items.chain(details).chain(sums);
        for field in items.chain(mapped.map(str::to_owned)).chain(account) {
            add(&mut fields, field.into());
        }
        fields
    }

    /// The requests that are made.
    pub(super) fn requests(&self) -> Vec<(&'static str, Cow<'static, str>)> {
        let lists = self.lists.iter().map(|list| &list.request);
        let details = self.details.iter().map(|details| &details.request);
        let account = self.account.iter().map(|account| &account.request);
        let mut requests = Vec::new();
        for request in lists.chain(details).chain(account) {
            add(&mut requests, ("base_url", request.shown().into()));
        }
        requests
    }

    fn keys(&self) -> Vec<Key> {
        let address = match &self.base_url {
            Some(default) => Key::optional(
                "base_url",
                Takes::Url,
                "Base URL of the API, to which the documented paths are appended.",
            )
            .or(default.as_str()),
            None => Key::required(
                "base_url",
                Takes::Url,
                "Base URL of the API, to which the documented paths are appended.",
            ),
        };
        let mut secret = Key::required("", Takes::Secret, "The secret that requests carry.");
        secret.name = self.auth.secret.clone().into();
        [address, secret].into_iter().chain(self.settings.iter().cloned()).collect()
    }
}

/// Adds one that is not there yet.
pub(super) fn add<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

fn add_named<T: PartialEq>(all: &mut Vec<(T, Cow<'static, str>)>, name: T, shown: String) {
    if !all.iter().any(|(known, _)| *known == name) {
        all.push((name, shown.into()));
    }
}

/// Makes a connection of an account's values.
fn open(
    definition: &Arc<Definition>,
    values: &Values,
    section: &mut Section<'_>,
) -> Option<Connection> {
    let mut settings = Variables::default();
    for key in &definition.settings {
        if let Some(text) = values.to_text(&key.name) {
            settings.0.insert(key.name.to_string(), text);
        }
    }
    let balance = definition.account.iter().flat_map(|account| &account.balance);
    let currencies = definition.mapped().flat_map(Mapped::currencies);
    for name in currencies.chain(balance.filter_map(Money::setting)) {
        let text = settings.0.get(name);
        if text.is_some_and(|text| Currency::from_code(text).is_none()) {
            section.problem(name, "expected a currency by its code, such as EUR");
        }
    }
    for name in definition.zone_settings() {
        if settings.zone(name).is_none() {
            section.problem(name, "expected a time zone by its name, such as Europe/Zurich");
        }
    }
    let mut headers = HeaderMap::new();
    for (name, template) in &definition.headers {
        match request::header_value(template, &settings) {
            Some(value) => drop(headers.insert(name.clone(), value)),
            None => section.problem("", format!("cannot make the header {name} of the settings")),
        }
    }
    let identity: Vec<&str> = settings.0.values().map(String::as_str).collect();
    let identity = (!identity.is_empty()).then(|| identity.join(" "));
    Some(Connection {
        base_url: values.url("base_url")?.clone(),
        headers,
        auth: auth(&definition.auth, values, &settings)?,
        channels: definition.channels.clone(),
        identity,
        // another definition can read other campaigns
        variant: definition.digest.clone(),
        source: Arc::new(Defined {
            definition: Arc::clone(definition),
            settings,
            channels: definition.channels.clone(),
        }),
    })
}

fn auth(auth: &Authentication, values: &Values, settings: &Variables) -> Option<Auth> {
    let secret = values.secret(&auth.secret)?.clone();
    Some(match &auth.way {
        Way::Bearer => Auth::Bearer(secret),
        Way::Basic(user) => Auth::Basic { user: user.render(settings)?, password: secret },
        Way::Header(name, prefix) => {
            Auth::Header { name: name.clone(), prefix: prefix.clone().into(), value: secret }
        }
        Way::Query(name) => Auth::Query { name: Arc::clone(name), value: secret },
        Way::Form(name) => Auth::Form { name: Arc::clone(name), value: secret },
        Way::Path => Auth::Path(secret),
    })
}
