//! Reading an account as its definition says.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::campaign::Usual;
use super::request::Next;
use super::template::Variables;
use super::{Definition, Details, List};
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel};
use crate::provider::lenient::{self, Problems};
use crate::provider::source::{AccountFacts, Ask, Found, Page, Source};
use crate::upstream::answer::Answer;
use crate::upstream::{PollError, Reason};

/// An account of a definition.
#[derive(Debug)]
pub(super) struct Defined {
    pub definition: Arc<Definition>,
    /// The account's settings.
    pub settings: Variables,
    pub channels: Vec<Channel>,
}

/// What a request is about, by its `part`.
enum Part<'a> {
    List(&'a List),
    Details(&'a Details),
    Account(&'a super::Account),
}

impl Source for Defined {
    fn begin(&self, window: Window) -> Vec<Ask> {
        let variables = self.variables(window);
        let definition = &self.definition;
        let mut asks = Vec::new();
        for (part, list) in definition.lists.iter().enumerate() {
            let mut ask = list.request.ask(&variables, &[]);
            if let Some(paging) = &list.paging {
                ask = paging.first(ask);
            }
            ask.part = part;
            asks.push(ask);
        }
        if let Some(account) = &definition.account {
            let mut ask = account.request.ask(&variables, &[]).or_problem("account");
            ask.part = definition.lists.len() + definition.details.len();
            asks.push(ask);
        }
        asks
    }

    fn take(&self, window: Window, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        let root = self.definition.verdict.of(answer)?;
        match self.part(ask.part) {
            Some(Part::List(list)) => self.read_list(list, window, ask, answer, root),
            Some(Part::Details(details)) => self.read_details(details, ask, root),
            Some(Part::Account(account)) => read_account(account, root),
            None => Ok(Page::default()),
        }
    }
}

impl Defined {
    fn part(&self, part: usize) -> Option<Part<'_>> {
        let definition = &self.definition;
        let details = part.checked_sub(definition.lists.len());
        let list = definition.lists.get(part).map(Part::List);
        list.or_else(|| definition.details.get(details?).map(Part::Details))
            .or_else(|| definition.account.as_ref().map(Part::Account))
    }

    /// The values that requests can have.
    fn variables(&self, window: Window) -> Variables {
        let mut variables = self.settings.clone();
        for (name, time) in &self.definition.request_times {
            let text = time.text(window, &self.settings);
            variables.0.insert(name.clone(), text);
        }
        variables
    }

    fn usual(&self) -> Usual<'_> {
        Usual {
            times: &self.definition.times,
            variables: &self.settings,
            channels: &self.channels,
            id: None,
        }
    }

    fn read_list(
        &self,
        list: &List,
        window: Window,
        ask: &Ask,
        answer: &Answer,
        root: &RawValue,
    ) -> Result<Page, PollError> {
        let items = self.items(list, answer, root)?;
        let usual = self.usual();
        let field = list.items.field();
        let unwanted = RefCell::new(HashSet::new());
        let newest = RefCell::new(None);
        let mut page = Page::of(ask, items, field, |item: Value, problems| {
            if let Some(sorted_by) = &list.newest_first {
                let mut other = Problems::default();
                let time = sorted_by.time(&item, usual.times, usual.variables, &mut other);
                let mut newest = newest.borrow_mut();
                // an item without a time may be a new one
                *newest = (*newest).max(Some(time.unwrap_or(DateTime::<Utc>::MAX_UTC)));
            }
            if !list.meets(&item) {
                // only the id counts, as the item has a place on the page
                let id = list.campaign.id(&item, &usual, &mut Problems::default())?;
                unwanted.borrow_mut().insert(id.clone());
                let campaign = Campaign {
                    id,
                    ..Campaign::default()
                };
                return Some(campaign);
            }
            list.campaign.campaign(&item, &usual, problems)
        })?;
        let is_wanted = |campaign: &Campaign| {
            !unwanted.borrow().contains(&campaign.id) && is_within(campaign, window)
        };
        page.found.retain(|found| match found {
            Found::Campaign(campaign) | Found::Row(campaign) | Found::Details(campaign) => {
                is_wanted(campaign)
            }
        });
        let newest = newest.into_inner();
        page.total = list.paging.as_ref().and_then(|paging| paging.total(root));
        let is_over = newest.is_some_and(|newest| newest < window.start);
        let next = match &list.paging {
            Some(paging) if !is_over => {
                paging.next(ask, answer, root, page.items, &mut page.problems)
            }
            _ => Next::Nothing,
        };
        match next {
            Next::Nothing => {}
            Next::Place => page.more = true,
            Next::Request(next, mark) => {
                page.then.push(*next);
                page.mark = Some(mark);
            }
        }
        if !list.completes {
            self.ask_details(window, &mut page);
        }
        if list.sums_rows || list.completes {
            let found = std::mem::take(&mut page.found).into_iter();
            page.found = found
                .map(|found| match found {
                    Found::Campaign(campaign) if list.completes => Found::Details(campaign),
                    Found::Campaign(campaign) => Found::Row(campaign),
                    other => other,
                })
                .collect();
        }
        Ok(page)
    }

    /// The items of a list. One that is left out is empty if anything else shows that the answer is the
    /// documented one.
    fn items<'a>(
        &self,
        list: &List,
        answer: &Answer,
        root: &'a RawValue,
    ) -> Result<lenient::List<'a>, PollError> {
        let missing = || answer.without(&format!("a list at `{}`", list.items.text()), &[]);
        match list.items.raw(root) {
            Ok(Some(items)) => Ok(lenient::List::of(items)),
            Ok(None) => {
                let paging = list.paging.iter();
                let mut paths = paging.flat_map(super::Paging::paths);
                if self.definition.verdict.has_success()
                    || paths.any(|path| path.raw_value(root).is_some())
                {
                    return Ok(lenient::List::default());
                }
                Err(missing())
            }
            Err(_) => Err(missing()),
        }
    }

    /// Adds the requests for details of the campaigns of a page.
    fn ask_details(&self, window: Window, page: &mut Page) {
        let definition = &self.definition;
        if definition.details.is_empty() {
            return;
        }
        let mut ids: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for campaign in page.campaigns() {
            if seen.insert(&campaign.id) {
                ids.push(campaign.id.clone());
            }
        }
        let variables = self.variables(window);
        for (index, details) in definition.details.iter().enumerate() {
            for chunk in ids.chunks(details.ids.max(1)) {
                let mut ask = details.request.ask(&variables, chunk).about(chunk.to_vec());
                if details.optional {
                    ask = ask.or_problem("details");
                }
                ask.part = definition.lists.len() + index;
                page.then.push(ask);
            }
        }
    }

    fn read_details(
        &self,
        details: &Details,
        ask: &Ask,
        root: &RawValue,
    ) -> Result<Page, PollError> {
        let mut usual = self.usual();
        if let [id] = ask.about.as_slice() {
            usual.id = Some(id);
        }
        let Some(path) = &details.items else {
            let mut page = Page::default();
            let item = lenient::item(root, "details", &mut page.problems);
            let campaign = item.and_then(|item: Value| {
                details.campaign.campaign(&item, &usual, &mut page.problems)
            });
            page.found.extend(campaign.map(Found::Details));
            return Ok(page);
        };
        let items = path.raw(root);
        let items = items.map_err(|message| PollError::new(Reason::Decode, message))?;
        let items = lenient::List::of(items.unwrap_or_default());
        let mut page = Page::of(ask, items, path.field(), |item: Value, problems| {
            details.campaign.campaign(&item, &usual, problems)
        })?;
        let mut by_id: HashMap<String, Campaign> = HashMap::new();
        for campaign in page.campaigns() {
            match by_id.get_mut(&campaign.id) {
                Some(sum) if details.sums_rows => sum.add(campaign),
                _ => drop(by_id.insert(campaign.id.clone(), campaign.clone())),
            }
        }
        page.found = by_id.into_values().map(Found::Details).collect();
        Ok(page)
    }
}

impl List {
    /// Whether an item belongs to the list.
    fn meets(&self, item: &Value) -> bool {
        self.condition.as_ref().is_none_or(|condition| {
            let alone = Value::Array(vec![item.clone()]);
            condition.first(&alone).is_some()
        })
    }
}

/// Whether a campaign belongs to a period. One without any time does.
fn is_within(campaign: &Campaign, window: Window) -> bool {
    let time = campaign.date().or(campaign.created);
    time.is_none_or(|time| time >= window.start)
}

fn read_account(account: &super::Account, root: &RawValue) -> Result<Page, PollError> {
    let value: Value = serde_json::from_str(root.get())
        .map_err(|error| PollError::new(Reason::Decode, error.to_string()))?;
    let mut page = Page::default();
    page.account = AccountFacts {
        credits: account.credits.signed_number(&value, &mut page.problems),
        ..AccountFacts::default()
    };
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_asked_for_campaigns_of_the_window_only() {
        let definition = Definition::parse(
            "{name: x, title: X, documentation: 'https://example.com', channels: [sms], \
             base_url: 'https://example.com', auth: {in: bearer}, \
             lists: {get: /x, items: '$.x[*]', campaign: {id: '$.id', last_sent: '$.sent'}}, \
             details: {get: '/x/{ids}', campaign: {counts: {sends: '$.sends'}}}}",
        )
        .unwrap();
        let source = Defined {
            channels: definition.channels.clone(),
            definition: Arc::new(definition),
            settings: Variables::default(),
        };
        let answer = Answer::of(
            200,
            r#"{"x":[{"id":1,"sent":"2026-03-01T00:00:00Z"},{"id":2,"sent":"2026-02-01T00:00:00Z"}]}"#,
        );
        let now = "2026-03-02T00:00:00Z".parse().unwrap();
        for (days, about) in [(3, vec!["1"]), (30, vec!["1", "2"])] {
            let window = Window::ending(now, std::time::Duration::from_hours(24 * days));
            let list = source.begin(window).remove(0);
            let page = source.take(window, &list, &answer).unwrap();
            let asked: Vec<_> = page.then.iter().flat_map(|ask| &ask.about).collect();
            assert_eq!(asked, about);
        }
    }
}
