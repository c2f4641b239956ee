//! Reading an account as its definition says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::campaign::{Mapped, Usual};
use super::field::Field;
use super::path::Path;
use super::request::{Next, Paging, Request};
use super::template::Variables;
use super::{Definition, Details, List};
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Channel, Status};
use crate::provider::lenient::{self, Problems};
use crate::provider::source::{AccountFacts, Ask, Found, Listed, Page, Read, Source};
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

    fn has_details(&self) -> bool {
        !self.definition.details.is_empty()
    }

    fn details(&self, window: Window, ids: &[String]) -> Vec<Ask> {
        let definition = &self.definition;
        let variables = self.variables(window);
        let mut asks = Vec::new();
        for (index, details) in definition.details.iter().enumerate() {
            for chunk in ids.chunks(details.ids.max(1)) {
                let mut ask = details.request.ask(&variables, chunk).about(chunk.to_vec());
                if details.optional {
                    ask = ask.or_problem("details");
                }
                ask.part = definition.lists.len() + index;
                asks.push(ask);
            }
        }
        asks
    }

    fn take(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        self.read(read, ask, answer).map_err(|mut error| {
            let shown = self.definition.requests();
            if let ([_, _, ..], Some(request)) = (shown.as_slice(), self.request(ask.part)) {
                error.message = format!("{}: {}", request.shown(), error.message);
            }
            error
        })
    }
}

impl Defined {
    fn read(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError> {
        let root = self.definition.verdict.of(answer)?;
        match self.part(ask.part) {
            Some(Part::List(list)) => self.read_list(list, read, ask, answer, root),
            Some(Part::Details(details)) => self.read_details(details, ask, answer, root),
            Some(Part::Account(account)) => self.read_account(account, root),
            None => Ok(Page::default()),
        }
    }

    fn request(&self, part: usize) -> Option<&Request> {
        Some(match self.part(part)? {
            Part::List(list) => &list.request,
            Part::Details(details) => &details.request,
            Part::Account(account) => &account.request,
        })
    }

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
        read: Read<'_>,
        ask: &Ask,
        answer: &Answer,
        root: &RawValue,
    ) -> Result<Page, PollError> {
        let items = self.items(&list.items, list.paging.as_ref(), &list.campaign, answer, root)?;
        let usual = self.usual();
        let field = list.items.field();
        let meets = RefCell::new(Vec::new());
        let times = RefCell::new(Vec::new());
        // more is read of the items of the others than their campaigns
        let is_plain = list.newest_first.is_none() && !list.sums_rows && !list.completes;
        let decoded = read.decoded.filter(|_| is_plain);
        let mut page = Page::of(ask, items, field, decoded, |item: Value, problems| {
            if let Some(sorted_by) = &list.newest_first {
                let mut other = Problems::default();
                let time = sorted_by.time(&item, usual.times, usual.variables, &mut other);
                // an item without a time may be a new one
                times.borrow_mut().push(time.unwrap_or(DateTime::<Utc>::MAX_UTC));
            }
            let condition = list.condition.as_ref();
            if condition.is_some_and(|condition| !condition.is_met(&item)) {
                // only the id counts, as the item has a place on the page
                let id = list.campaign.id(&item, &usual, &mut Problems::default())?;
                meets.borrow_mut().push(false);
                let campaign = Campaign { id, ..Campaign::default() };
                return Some(campaign);
            }
            let campaign = list.campaign.campaign(&item, &usual, problems)?;
            meets.borrow_mut().push(true);
            Some(campaign)
        })?;
        keep_within(&mut page, meets.into_inner(), read.window);
        let times = times.into_inner();
        page.total = list.paging.as_ref().and_then(|paging| paging.total(root));
        // the first pages of a list that is sorted the other way round are old too
        let is_over =
            times.iter().max().is_some_and(|newest| *newest < read.window.created_start())
                && times.first() >= times.last();
        let next = match &list.paging {
            Some(paging) if !is_over => {
                paging.next(ask, answer, root, page.items, &mut page.problems)?
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
        if list.sums_rows || list.completes {
            let found = std::mem::take(&mut page.found).into_iter();
            page.found = found.map(|found| as_part(found, list)).collect();
        }
        Ok(page)
    }

    /// The items of a list. One that is left out is empty if anything else shows that the answer is the
    /// documented one, unless its items seem to be elsewhere.
    fn items<'a>(
        &self,
        items: &Path,
        paging: Option<&Paging>,
        campaign: &Mapped,
        answer: &Answer,
        root: &'a RawValue,
    ) -> Result<lenient::List<'a>, PollError> {
        let expected = format!("a list at `{}`", items.text());
        if let Ok(found) = items.raw(root) {
            let mut paths = paging.into_iter().flat_map(Paging::paths);
            let is_documented = self.definition.verdict.has_success()
                || paths.any(|path| path.raw_value(root).is_some());
            match found {
                Some(items) => return Ok(lenient::List::of(items)),
                None if is_documented => match campaign.elsewhere(root) {
                    None => return Ok(lenient::List::default()),
                    Some(path) => {
                        let detail = format!("`{path}` has objects with an id");
                        return Err(answer.lacking(&expected, &detail));
                    }
                },
                None => {}
            }
        }
        Err(answer.without(&expected, &[]))
    }

    fn read_details(
        &self,
        details: &Details,
        ask: &Ask,
        answer: &Answer,
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
            let campaigns: Vec<_> = campaign.into_iter().collect();
            let is_asked_for = |campaign: &&Campaign| ask.about.contains(&campaign.id);
            count_missing(ask, "details", &campaigns, &mut page.problems);
            page.found.extend(
                campaigns.iter().filter(is_asked_for).cloned().map(Arc::new).map(Found::Details),
            );
            return Ok(page);
        };
        let items = self.items(path, None, &details.campaign, answer, root)?;
        let mut page = Page::of(ask, items, path.field(), None, |item: Value, problems| {
            details.campaign.campaign(&item, &usual, problems)
        })?;
        let mut by_id: HashMap<String, Campaign> = HashMap::new();
        let mut lost = Problems::default();
        let is_asked_for = |campaign: &&Campaign| ask.about.contains(&campaign.id);
        for campaign in page.campaigns().filter(is_asked_for) {
            match by_id.get_mut(&campaign.id) {
                Some(sum) if details.sums_rows => {
                    lenient::add_row(sum, campaign, &mut lost);
                }
                known => {
                    if known.is_some_and(|known| known != campaign) {
                        let id = &campaign.id;
                        lost.explain(path.field(), || {
                            format!("several items of {id:?} without sum_rows")
                        });
                    }
                    by_id.insert(campaign.id.clone(), campaign.clone());
                }
            }
        }
        page.problems.merge(lost);
        if !details.sums_rows {
            // one without rows has nothing to add
            let campaigns: Vec<_> = page.campaigns().cloned().collect();
            count_missing(ask, path.field(), &campaigns, &mut page.problems);
        }
        page.found = by_id.into_values().map(Arc::new).map(Found::Details).collect();
        Ok(page)
    }

    fn read_account(&self, account: &super::Account, root: &RawValue) -> Result<Page, PollError> {
        let value: Value = serde_json::from_str(root.get())
            .map_err(|error| PollError::new(Reason::Decode, error.to_string()))?;
        let mut page = Page::default();
        let condition = account.condition.as_ref();
        if condition.is_some_and(|condition| !condition.is_met(&value)) {
            return Ok(page);
        }
        let problems = &mut page.problems;
        let (credits, balance) = (&account.credits, &account.balance);
        page.account = AccountFacts {
            credits: credits.as_ref().and_then(|field| field.signed_number(&value, problems)),
            balance: balance.as_ref().and_then(|money| {
                money.amount(&value, &self.settings, problems, Field::signed_number)
            }),
            ..AccountFacts::default()
        };
        Ok(page)
    }
}

/// Counts the campaigns that were asked for and that no item is about.
fn count_missing(ask: &Ask, field: &str, campaigns: &[Campaign], problems: &mut Problems) {
    let other = campaigns.iter().find(|campaign| !ask.about.contains(&campaign.id));
    let other = other.map_or_else(String::new, |other| format!(", but one of {:?}", other.id));
    for id in &ask.about {
        if !campaigns.iter().any(|campaign| campaign.id == *id) {
            problems.explain(field, || format!("no item of {id:?}{other}"));
        }
    }
}

/// Leaves out the campaigns that do not meet the condition, and those that are older than the window, which
/// are counted. `meets` has those that were decoded; the others met the condition then.
fn keep_within(page: &mut Page, meets: Vec<bool>, window: Window) {
    let (mut meets, mut older) = (meets.into_iter(), 0);
    page.found.retain(|found| {
        let Found::Campaign(listed) = found else { return true };
        let meets = matches!(listed, Listed::Again(_)) || meets.next().unwrap_or_default();
        let is_older = meets && !is_within(listed, window);
        older += usize::from(is_older);
        meets && !is_older
    });
    page.older = older;
}

/// A campaign of a list that tells only a part of it.
fn as_part(found: Found, list: &List) -> Found {
    let Found::Campaign(listed) = found else { return found };
    let campaign = listed.into_campaign();
    match (list.completes, list.sums_rows) {
        (true, true) => Found::DetailsRow(campaign),
        (true, false) => Found::Details(campaign),
        (false, _) => Found::Row(campaign),
    }
}

/// Whether a campaign belongs to a period. One without any time does, and one whose counts still grow if
/// it was asked for.
fn is_within(campaign: &Campaign, window: Window) -> bool {
    let time = campaign.date().or_else(|| campaign.created_unsent());
    let start = match campaign.status {
        Some(Status::InProgress) => window.created_start(),
        _ => window.start,
    };
    time.is_none_or(|time| time >= start)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use reqwest::Url;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::document::problem::Problem;
    use crate::document::secret::SecretSource;
    use crate::provider::kind::Connection;
    use crate::provider::read::read_saved;
    use crate::upstream::auth::Auth;
    use crate::upstream::request::Body;

    /// A definition with this ending.
    fn parsed(yaml: &str) -> Result<Definition, Vec<Problem>> {
        Definition::parse(&format!(
            "name: x\ntitle: X\ndocumentation: https://x.example\nbase_url: https://x.example\n\
             auth: {{in: bearer}}\n{yaml}"
        ))
    }

    /// An account of a definition with this ending.
    fn defined(yaml: &str) -> Defined {
        let definition = parsed(yaml).unwrap_or_else(|found| panic!("{found:?}"));
        Defined {
            channels: definition.channels.clone(),
            definition: Arc::new(definition),
            settings: Variables::default(),
        }
    }

    fn connection(defined: Defined) -> Connection {
        Connection {
            base_url: Url::parse("https://x.example").unwrap(),
            headers: HeaderMap::new(),
            auth: Auth::Bearer(SecretSource::Env("TOKEN".to_owned())),
            channels: defined.channels.clone(),
            identity: None,
            variant: String::new(),
            source: Arc::new(defined),
        }
    }

    /// What the request of a part makes of an answer.
    fn read(defined: &Defined, part: usize, body: &str) -> Page {
        let ask = defined.begin(Window::default()).remove(part);
        let answer = Answer::of(200, body);
        let page = defined.take(Read::default(), &ask, &answer);
        page.unwrap_or_else(|error| panic!("{}", error.message))
    }

    #[test]
    fn a_word_is_the_first_whose_condition_is_met() {
        let defined = defined(
            "
channels: [sms, email]
lists:
  get: /x
  items: $.x[*]
  campaign:
    id: $.id
    channel: {when: {sms: '@.to.sms', email: '@.to.email'}}
    status: {when: {denied: '@.off == true', sent: '@.end > 0'}}
",
        );
        let body = r#"{"x":[{"id":1,"to":{"sms":{}},"end":7},{"id":2,"to":{"email":0},"end":7,"off":true},{"id":3,"end":null}]}"#;
        let page = read(&defined, 0, body);
        let read: Vec<_> =
            page.campaigns().map(|campaign| (campaign.channel.as_str(), campaign.status)).collect();
        let expected =
            [("sms", Some(Status::Sent)), ("email", Some(Status::Denied)), ("unknown", None)];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_word_has_a_path_or_conditions() {
        for (status, expected) in [
            ("{words: {a: sent}}", "needs either path or when"),
            ("{path: $.a, when: {sent: '@.a'}}", "needs either path or when"),
            ("{when: {gone: '@.a'}}", "unknown status \"gone\""),
            ("{when: {sent: '@.a = 1'}}", "compare with ==, !=, < or >"),
        ] {
            let problems = parsed(&format!(
                "
channels: [sms]
lists: {{get: /x, items: '$[*]', campaign: {{id: $.id, status: {status}}}}}
"
            ));
            let problems = problems.unwrap_err();
            let [problem] = problems.as_slice() else { panic!("{status}: {problems:?}") };
            assert!(problem.message.contains(expected), "{problem:?}");
        }
    }

    #[test]
    fn a_list_can_be_of_one_status() {
        let campaign = "{id: $.id, status: in_progress}";
        let yaml = format!(
            "
channels: [sms]
lists: {{get: /x, items: '$[*]', campaign: {campaign}}}
"
        );
        let page = read(&defined(&yaml), 0, r#"[{"id":1}]"#);
        let status: Vec<_> = page.campaigns().map(|campaign| campaign.status).collect();
        assert_eq!(status, [Some(Status::InProgress)]);
    }

    #[test]
    fn numbered_pages_need_no_size_if_the_answer_tells_the_end() {
        let yaml = |stop: &str| {
            format!(
                "
channels: [sms]
lists:
  get: /x
  items: $.x[*]
  paging: {{by: page, parameter: p, stop: {stop}}}
  campaign: {{id: $.id}}
"
            )
        };
        let page = |ids: &[u64], n: u64| {
            let items: Vec<_> = ids.iter().map(|id| json!({ "id": id })).collect();
            (200, json!({"x": items, "n": 3, "more": n < 3}))
        };
        let answers = [page(&[1, 2], 1), page(&[3, 4, 5], 2), page(&[6], 3)];
        for (stop, count) in [("{pages: $.n}", 3), ("{more: $.more}", 3), ("empty_page", 4)] {
            let (requests, result) = read_all(&yaml(stop), &answers);
            let expected = ["/x?p=1", "/x?p=2", "/x?p=3", "/x?p=4"];
            assert_eq!(requests, expected[..count], "{stop}");
            assert_eq!(result.as_deref(), Ok("1, 2, 3, 4, 5, 6"), "{stop}");
        }
    }

    #[test]
    fn a_failed_request_for_the_account_says_why() {
        let defined = defined(
            "
channels: [sms]
errors: {message: $.error}
lists: {get: /x, items: '$[*]', campaign: {id: $.id}}
account: {get: /me, credits: $.left}
",
        );
        let connection = connection(defined);
        let answers = [Answer::of(200, "[]"), Answer::of(429, r#"{"error":"slow down"}"#)];
        let window = Window::default();
        let (_, result) = read_saved(&connection, window, window, &answers);
        let problems = result.unwrap().problems.to_string();
        assert_eq!(problems, "account: 1 value, GET /me: HTTP 429: slow down (throttled)");
    }

    #[test]
    fn a_cursor_that_never_ends_may_end_with_an_empty_page() {
        for (stop, follows) in [("", true), (", stop: empty_page", false)] {
            let defined = defined(&format!(
                "
channels: [sms]
lists:
  get: /x
  items: $.x[*]
  paging: {{by: cursor, parameter: after, next: $.next{stop}}}
  campaign: {{id: $.id}}
"
            ));
            let page = read(&defined, 0, r#"{"x":[{"id":1}],"next":"a"}"#);
            assert_eq!(page.then.len(), 1, "{stop}");
            let page = read(&defined, 0, r#"{"x":[],"next":"a"}"#);
            assert_eq!(!page.then.is_empty(), follows, "{stop}");
        }
    }

    #[test]
    fn a_list_that_is_left_out_is_empty_unless_its_items_are_elsewhere() {
        let defined = defined(
            "
channels: [sms]
success: {path: $.ok, is: true}
lists: {get: /x, items: '$.x[*]', campaign: {id: $.key}}
",
        );
        for body in [r#"{"ok":true}"#, r#"{"ok":true,"links":[{"rel":"self"}],"rows":[]}"#] {
            assert_eq!(read(&defined, 0, body).items, 0, "{body}");
        }
        let answer = Answer::of(200, r#"{"ok":true,"data":{"y":[{"key":1}]}}"#);
        let ask = defined.begin(Window::default()).remove(0);
        let error = defined.take(Read::default(), &ask, &answer).unwrap_err();
        let message = "HTTP 200 without a list at `$.x[*]`: `$.data.y[*]` has objects with an id";
        assert_eq!(error.message, message);
    }

    #[test]
    fn an_account_can_be_without_facts() {
        let defined = defined(
            "
channels: [sms]
lists: {get: /x, items: '$[*]', campaign: {id: $.id}}
account: {get: /y, where: '@.unlimited != true', credits: $.left}
",
        );
        for (body, credits) in
            [(r#"{"left":7}"#, Some(7.0)), (r#"{"left":7,"unlimited":true}"#, None)]
        {
            assert_eq!(read(&defined, 1, body).account.credits, credits, "{body}");
        }
    }

    /// The days from 1970 to 2000.
    const NEW_YEAR: i64 = 10_957;

    /// The requests that a definition makes, and what it reads of answers with these statuses: the
    /// campaigns, and the fields that it cannot read. The window is the day before 2000-01-10.
    fn read_all(yaml: &str, answers: &[(u16, Value)]) -> (Vec<String>, Result<String, String>) {
        let connection = connection(defined(yaml));
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(NEW_YEAR + 9);
        let window = Window::new(now - TimeDelta::days(1), now);
        let answers = answers.iter();
        let answers = answers.map(|(status, body)| Answer::of(*status, body.to_string()));
        let answers: Vec<_> = answers.collect();
        let (requests, result) = read_saved(&connection, window, window, &answers);
        let requests = requests.iter().map(|(_, request)| {
            let url = request.url.as_str().trim_start_matches("https://x.example");
            match &request.body {
                Some(Body::Json(json)) => format!("{url} {json}"),
                _ => url.to_owned(),
            }
        });
        let shown = result.map(|mut reading| {
            let mut campaigns = reading.take_campaigns().into_vec();
            campaigns.sort_by(|a, b| a.id.cmp(&b.id));
            let campaigns = campaigns.iter().map(|campaign| {
                let counts = campaign.counts.iter();
                let counts = counts.map(|(count, value)| format!("{}={value}", count.name()));
                let words: Vec<_> = [campaign.id.clone()].into_iter().chain(counts).collect();
                words.join(" ")
            });
            let campaigns = campaigns.collect::<Vec<_>>().join(", ");
            if reading.problems.is_empty() {
                campaigns
            } else {
                format!("{campaigns}; {}", reading.problems.counted())
            }
        });
        (requests.collect(), shown.map_err(|error| error.reason.as_str().to_owned()))
    }

    #[test]
    fn an_answer_without_details_is_no_good_one() {
        let list = (200, json!({"items": [{"id": 1}]}));
        let empty = (200, json!({"items": []}));
        for (details, expected) in [
            (json!({"stats": []}), Ok("1; stats[*] (1 times)")),
            (json!({"stats": [{"id": 1, "n": 5}]}), Ok("1 sends=5")),
            (json!({"stats": {}}), Err("decode")),
            (json!({"message": "try later"}), Err("decode")),
        ] {
            let account = (200, json!({}));
            let answers = [list.clone(), empty.clone(), account, (200, details)];
            let (_, result) = read_all(DETAILS, &answers);
            let result = result.as_deref().map_err(String::as_str);
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn missing_details_say_what_was_asked_for() {
        let defined = defined(DETAILS);
        let asked = ["D-1".to_owned(), "D-2".to_owned()];
        let ask = defined.details(Window::default(), &asked).remove(0);
        let problems = |body: &str| {
            let answer = Answer::of(200, body);
            let page = defined.take(Read::default(), &ask, &answer).unwrap();
            page.problems.to_string()
        };
        assert_eq!(problems(r#"{"stats":[{"id":"D-1"},{"id":"D-2"}]}"#), "");
        let one = problems(r#"{"stats":[{"id":"D-1"}]}"#);
        assert_eq!(one, r#"stats[*]: 1 value, no item of "D-2""#);
        let other = problems(r#"{"stats":[{"id":"1"},{"id":"2"}]}"#);
        assert_eq!(other, r#"stats[*]: 2 values, such as no item of "D-1", but one of "1""#);
        let twice = problems(
            r#"{"stats":[{"id":"D-1","n":1},{"id":"D-1","n":2},{"id":"D-2"},{"id":"D-2"}]}"#,
        );
        assert_eq!(twice, r#"stats[*]: 1 value, several items of "D-1" without sum_rows"#);
    }

    #[test]
    fn a_recent_read_finds_campaigns_by_their_creation() {
        let defined = defined(
            "
channels: [sms]
times: {since: {of: window_start, format: unix}}
lists:
  get: /x
  query: {since: '{since}'}
  items: $.x[*]
  paging: {by: cursor, parameter: after, next: $.next}
  newest_first: $.made
  campaign:
    {id: $.id, status: {path: $.is, words: {on: in_progress}}, last_sent: $.at, created: $.made}
",
        );
        let at = |day: u32| format!("2026-03-{day:02}T00:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let recent = Window::new(at(20), at(22));
        let body = json!({"next": "p2", "x": [
            {"id": "young", "at": at(21), "made": at(12)},
            {"id": "running", "at": at(12), "made": at(11), "is": "on"},
            {"id": "old", "at": at(12), "made": at(11)},
        ]});
        let mut reversed = body.clone();
        reversed["x"].as_array_mut().unwrap().reverse();
        let ask = defined.begin(recent).remove(0);
        let page = Answer::of(200, reversed.to_string());
        let page = defined.take(Read::from(recent), &ask, &page).unwrap();
        assert!(!page.then.is_empty(), "what is not sorted newest first is read to its end");
        for (window, since, found, follows) in [
            (recent, at(20), vec!["young"], false),
            (recent.with_created(Some(at(10))), at(10), vec!["young", "running"], true),
            (recent.with_created(Some(at(21))), at(20), vec!["young"], false),
        ] {
            let ask = defined.begin(window).remove(0);
            let since = ("since".into(), since.timestamp().to_string());
            assert_eq!(ask.query, [since]);
            let page = Answer::of(200, body.to_string());
            let page = defined.take(Read::from(window), &ask, &page).unwrap();
            let ids: Vec<_> = page.campaigns().map(|campaign| campaign.id.as_str()).collect();
            assert_eq!(ids, found);
            assert_eq!(page.older, 3 - found.len());
            assert_eq!(!page.then.is_empty(), follows);
        }
    }

    #[test]
    fn a_listed_code_is_an_error_whatever_the_status() {
        let defined = defined(
            "
channels: [sms]
errors: {code: $.code, message: $.text, codes: {7: auth}}
lists: {get: /x, items: '$.x[*]', campaign: {id: $.id}}
account: {get: /a, credits: $.c}
",
        );
        let ask = defined.begin(Window::default()).remove(0);
        let take = |body: &str| {
            let answer = Answer::of(200, body);
            defined.take(Read::default(), &ask, &answer)
        };
        assert!(take(r#"{"code":0,"x":[]}"#).is_ok());
        let error = take(r#"{"code":7,"text":"expired","x":null}"#).unwrap_err();
        // of several requests, the error names its own
        assert_eq!(error.message, "GET /x: HTTP 200, code 7: expired");
        assert_eq!(error.reason, Reason::Auth);
    }

    #[test]
    fn an_answer_without_success_says_where() {
        let defined = defined(
            "
channels: [sms]
success: {path: $.state.code, is: [0, 200]}
errors: {code: $.code, message: $.text, codes: {9: throttled}, retry_after: $.wait}
lists: {get: /x, items: '$.x[*]', campaign: {id: $.id}}
",
        );
        let ask = defined.begin(Window::default()).remove(0);
        for (body, message, wait) in [
            (
                r#"{"text":"ok"}"#,
                "HTTP 200: `success`: `$.state.code` has no value; expected 0 or 200: ok",
                None,
            ),
            (
                r#"{"state":{"code":3},"code":9,"wait":"9"}"#,
                "HTTP 200, code 9, asks to wait 9 s: `success`: `$.state.code` is 3; expected 0 or 200",
                Some(9),
            ),
            (
                r#"{"wait":-1}"#,
                "HTTP 200: `success`: `$.state.code` has no value; expected 0 or 200",
                None,
            ),
        ] {
            let answer = Answer::of(200, body);
            let error = defined.take(Read::default(), &ask, &answer).unwrap_err();
            assert_eq!(error.message, message);
            assert_eq!(error.retry_after.map(|wait| wait.as_secs()), wait);
        }
    }

    #[test]
    fn numbers_are_written_as_the_definition_says() {
        let yaml = "
channels: [sms]
lists:
  get: /x
  items: $.x[*]
  campaign:
    id: $.id
    counts: {sends: $.n}
    cost: {value: $.cost, currency: EUR}
    reported_ratios: {click: {percent: $.rate}}
";
        let item = json!({"id": 1, "n": "12.000", "cost": "1.234,50\u{a0}€", "rate": "97,3 %"});
        let body = json!({"x": [item]}).to_string();
        let comma = read(&defined(&format!("decimal_separator: ','{yaml}")), 0, &body);
        let campaign = comma.campaigns().next().unwrap();
        assert_eq!(campaign.counts.get(crate::campaign::counts::Count::Sends), Some(12_000));
        let amounts: Vec<_> = campaign.figures.iter().map(|(_, amount)| amount).collect();
        assert_eq!(amounts, [1234.5, 0.973]);
        let point = read(&defined(yaml), 0, &body);
        let expected = r#"cost: 1 value, "1.234,50\u{a0}€": not a valid number; n: 1 value, "12.000": not a count; rate: 1 value, "97,3 %": not a percentage"#;
        assert_eq!(point.problems.to_string(), expected);
        let problems = parsed(&format!("decimal_separator: '.,'{yaml}")).unwrap_err();
        assert!(problems[0].message.contains("expected \".\" or \",\""), "{problems:?}");
    }

    #[test]
    fn what_no_request_uses_is_refused() {
        let yaml = DETAILS
            .replace("channels: [sms]", "channels: [sms]\ntimes: {until: {of: now, format: unix}}");
        let yaml = yaml.replace("\"{ids}\"", "[\"{ids}\"]");
        let problems = parsed(&yaml).unwrap_err();
        let found: Vec<_> =
            problems.iter().map(|problem| (&*problem.path, &*problem.message)).collect();
        let expected = [
            ("times", "no request has {until}"),
            ("details.json.ids", "\"{ids}\" is a list already: write it without brackets"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_added_over_all_pages() {
        const ROWS: &str = r#"
channels: [sms]
campaign: {id: $.id, last_sent: {path: $.at, format: unix_ms}, counts: {sends: $.n}}
lists:
  - get: /list
    items: $[*]
  - get: /rows
    items: $.rows[*]
    where: "@.test != true"
    paging: {by: link, next: $.next}
    sum_rows: true
    completes: true
"#;
        let answers = [
            json!([{"id": 1, "n": 5}, {"id": 2, "n": 7}]),
            json!({"rows": [{"id": 1, "n": 2}, {"id": 1, "n": 3}, {"id": 3, "n": 8}], "next": "/rows?page=2"}),
            // neither a row that is left out nor one of another period costs the others
            json!({"rows": [{"id": 1, "n": 4}, {"id": 1, "n": 50, "test": true}, {"id": 1, "n": 60, "at": 946_684_800_000_u64}]}),
        ];
        let answers = answers.map(|body| (200, body));
        let (requests, result) = read_all(ROWS, &answers);
        assert_eq!(requests, ["/list", "/rows", "/rows?page=2"]);
        assert_eq!(result.as_deref(), Ok("1 sends=9, 2 sends=7"));
        let paging = "{by: offset, parameter: o, size: 3, stop: short_page}";
        let paged = ROWS.replace("{by: link, next: $.next}", paging);
        let problems = parsed(&paged).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| &problem.path).collect();
        assert_eq!(paths, ["lists[1].sum_rows"]);
        let (_, result) = read_all(&ROWS.replace("    completes: true\n", ""), &answers);
        assert_eq!(result.as_deref(), Ok("1 sends=14, 2 sends=7, 3 sends=8"));
    }

    #[test]
    fn a_sum_of_rows_with_an_unreadable_part_is_absent() {
        let rows = "
channels: [sms]
time_format: unix
lists:
  get: /rows
  items: $[*]
  sum_rows: true
  campaign:
    id: $.id
    status: {path: $.is, words: {due: waiting, out: sent}}
    counts: {sends: $.n, bounces: sum_of_failures}
    failures: {bad: $.bad, gone: $.gone}
    cost_credits: $.n
    cost: {value: $.paid, currency: $.in}
";
        let most = crate::campaign::counts::MAX_COUNT;
        let page = json!([
            {"id": 1, "n": 2, "bad": 1, "gone": 1, "paid": 0.1, "in": "EUR"},
            {"id": 1, "n": "many", "bad": "x", "paid": "?"},
            {"id": 1, "n": 3, "bad": 1, "gone": 1, "paid": 0.2, "in": "EUR"},
            {"id": 2, "n": 2, "gone": 1, "paid": 0.1, "in": "EUR"},
            {"id": 2, "gone": 2, "paid": 0.2, "in": "EUR"},
            {"id": 3, "n": most}, {"id": 3, "n": 1}, {"id": 3, "n": 1},
            {"id": 5, "is": "due"}, {"id": 5, "is": "out"}, {"id": 5, "is": "due"},
            // it may be a part of the euros
            {"id": 4, "paid": 1, "in": "EUR"}, {"id": 4, "paid": 2, "in": "?"},
        ]);
        let connection = connection(defined(rows));
        let window = Window::default();
        let answer = [Answer::of(200, page.to_string())];
        let mut reading = read_saved(&connection, window, window, &answer).1.unwrap();
        let campaigns = reading.take_campaigns();
        let shown = |id| {
            let campaign = campaigns.get(id).unwrap();
            let failures: Vec<_> = campaign.failures.iter().collect();
            let counts = format!("{:?} {:?}", campaign.counts, failures);
            let cost = campaign.readable_cost_credits();
            (counts, cost, campaign.figures.iter().map(|(_, amount)| amount).next())
        };
        assert_eq!(shown("1"), (r#"{} [("gone", 2)]"#.into(), None, None));
        let sums = r#"{Sends: 2, Bounces: 3} [("gone", 3)]"#;
        assert_eq!(shown("2"), (sums.into(), Some(2.0), Some(0.3)));
        assert_eq!(shown("3").0, "{} []");
        assert_eq!(shown("4").2, None);
        assert_eq!(campaigns.get("5").unwrap().status, Some(Status::Sent));
        let problems = reading.problems.counted();
        assert_eq!(
            problems,
            "bad (1 times), in (1 times), n (2 times), paid (1 times), sum_rows (1 times)"
        );
    }

    #[test]
    fn a_value_of_some_channels_is_read_on_no_others() {
        let only = |path: &str| format!("{{path: {path}, channels: [sms]}}");
        let yaml = format!(
            "
channels: [sms, email]
lists:
  get: /x
  items: $[*]
  campaign:
    id: $.id
    channel: {{path: $.on}}
    counts: {{sends: {n}}}
    failures: {{bad: {n}}}
    cost_credits: {n}
    cost: {{value: {n}, currency: EUR}}
    reported_ratios: {{open: {n}}}
    info: {{number: {n}}}
",
            n = only("$.n")
        );
        let body = r#"[{"id":1,"on":"email","n":1},{"id":1,"on":"sms","n":1}]"#;
        let page = read(&defined(&yaml), 0, body);
        let [email, sms] = page.campaigns().collect::<Vec<_>>().try_into().unwrap();
        let nothing = Campaign { id: "1".into(), channel: Channel::Email, ..Campaign::default() };
        assert_eq!(*email, nothing);
        assert_eq!((sms.cost_credits, sms.figures.iter().count()), (Some(1.0), 2));
        assert_eq!(sms.info.get("number"), Some("1"));
    }

    #[test]
    fn details_that_are_refused_can_be_optional() {
        let optional = DETAILS.replace("  ids: 2\n", "  optional: true\n");
        let list = json!({"items": [{"id": "a"}, {"id": "b"}]});
        let one = |status| {
            let answers = [list.clone(), json!({"items": []}), json!({})];
            let mut answers = answers.map(|body| (200, body)).to_vec();
            answers.push((status, json!({"stats": [{"id": "a", "n": 1}]})));
            answers.push((200, json!({"stats": [{"id": "b", "n": 2}]})));
            answers
        };
        for (yaml, status, expected) in [
            (DETAILS, 404, Err("client")),
            (&optional, 404, Ok("a, b sends=2; details (1 times)")),
            (&optional, 429, Err("throttled")),
            (&optional, 500, Err("server")),
            (&optional, 200, Ok("a sends=1, b sends=2")),
        ] {
            let (_, result) = read_all(yaml, &one(status));
            assert_eq!(result.as_deref().map_err(String::as_str), expected, "{status}");
        }
    }

    const DETAILS: &str = r#"
channels: [sms]
time_format: unix
campaign:
  id: $.id
  last_sent: $.at
  status: {path: $.state, words: {planned: waiting}}
lists:
  - get: /a
    items: $.items[*]
    paging: {by: cursor, parameter: after, next: $.next}
  - get: /b
    items: $.items[*]
details:
  post: /stats
  json: {ids: "{ids}"}
  ids: 2
  items: $.stats[*]
  campaign: {id: $.id, counts: {sends: $.n}}
account: {get: /me, credits: $.credits}
"#;

    #[test]
    fn details_are_asked_for_once_all_lists_are_read() {
        let day = 24 * 60 * 60;
        let item = |id: Value, days: i64, state: &str| json!({"id": id, "at": (NEW_YEAR + days) * day, "state": state});
        let lists = [
            json!({"items": [item(json!(10), 9, ""), item(json!("old"), 7, "")], "next": "p2"}),
            json!({"items": [item(json!(10), 9, ""), item(json!("007"), 8, "")]}),
            json!({"items": [item(json!("soon"), 9, "planned"), item(json!("c"), 8, "running")]}),
            json!({"credits": 1}),
            // an id can be a number in one answer and a text in the other
            // and only what was asked for counts
            json!({"stats": [{"id": "10", "n": 1}, {"id": "007", "n": 2}, {"id": "c", "n": 9}]}),
            json!({"stats": [{"id": "c", "n": 3}]}),
        ];
        let answers = lists.map(|body| (200, body));
        let (requests, result) = read_all(DETAILS, &answers);
        // neither twice, nor for what is outside of the period or was not sent yet
        let details = [r#"/stats {"ids":[10,"007"]}"#, r#"/stats {"ids":["c"]}"#];
        let lists = ["/a", "/a?after=p2", "/b", "/me"];
        assert_eq!(requests, [&lists[..], &details[..]].concat());
        let found = "007 sends=2, 10 sends=1, c sends=3, soon";
        assert_eq!(result.as_deref(), Ok(found));
    }

    #[test]
    fn requests_for_details_are_bounded() {
        let items: Vec<_> = (0..10_000).map(|id| json!({"id": id})).collect();
        let one = json!({"items": items.get(..9_999), "next": "p2"});
        let more: Vec<_> = (9_999..20_001).map(|id| json!({"id": id})).collect();
        for (last, reason) in [(10_000, None), (10_001, Some("pagination"))] {
            let more: Vec<_> = more.iter().take(last - 9_999).collect();
            let answers = [one.clone(), json!({"items": more}), json!({"items": []}), json!({})];
            let single = DETAILS.replace("  ids: 2\n", "");
            let (requests, result) = read_all(&single, &answers.map(|body| (200, body)));
            assert_eq!(result.err().as_deref(), reason);
            assert_eq!(requests.len(), if reason.is_none() { 5 } else { 4 });
        }
    }
}
