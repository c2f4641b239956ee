//! The read loop of all providers: paging, bounds, one renewal of a refused credential, optional
//! parts. Single requests are retried by the session.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use reqwest::Url;
use tracing::debug;

use super::kind::Connection;
use super::lenient::{self, Problems};
use super::overlap::LastPage;
use super::source::{AccountFacts, Ask, Found, Listed, Page, Read, Source, Target};
use super::unchanged::Digest;
use crate::campaign::bounds::MAX_ACCOUNT_BYTES;
use crate::campaign::pool::{Campaigns, Pool};
use crate::campaign::window::Window;
use crate::campaign::{Campaign, Status};
use crate::redaction;
use crate::upstream::answer::Answer;
use crate::upstream::auth::tokens::Access;
use crate::upstream::credential::Credential;
use crate::upstream::request::Request;
use crate::upstream::session::Session;
use crate::upstream::transport::{MAX_URL_BYTES, endpoint};
use crate::upstream::{PollError, Reason, json};

/// Most pages of one read: with the smallest page size of a provider, 50, these are 100,000 campaigns.
const MAX_PAGES: usize = 2_000;

/// Most requests of one read for details of campaigns: one for each of the campaigns that are kept by
/// default.
const MAX_DETAILS: usize = 10_000;

/// What a read found.
#[derive(Debug, Default)]
pub struct Reading {
    campaigns: Campaigns,
    /// Their size in memory.
    bytes: usize,
    pool: Pool,
    /// Details of campaigns, by id.
    details: HashMap<String, Campaign>,
    /// The items that were decoded, for the next read.
    decoded: Vec<(Digest, Weak<Campaign>)>,
    /// What the provider says about the account.
    pub account: AccountFacts,
    /// The number of campaigns that are left out because they are older than the period.
    pub older: usize,
    /// Values and campaigns that could not be read.
    pub problems: Problems,
}

impl Reading {
    /// An empty reading. Campaigns equal to known ones share their memory.
    fn after(known: &Arc<Campaigns>) -> Self {
        Self { pool: Pool::of(Arc::clone(known)), ..Self::default() }
    }

    /// Adds a page. Pages shift while they are read, so a campaign can come twice: the later one is
    /// newer, unless an earlier one of another list is further, such as sent instead of waiting.
    fn add(&mut self, page: Page) {
        let mut on_page = Campaigns::default();
        for found in page.found {
            let is_row = matches!(found, Found::DetailsRow(_));
            match found {
                Found::Campaign(campaign) => {
                    let known = self.campaigns.get(&campaign.id);
                    let is_other = |known: &&Arc<Campaign>| {
                        known.channel != campaign.channel
                            || on_page.get(&campaign.id).is_some() && ***known != *campaign
                    };
                    if known.is_some_and(|known| is_other(&known)) {
                        let id = &campaign.id;
                        self.problems
                            .explain("campaign_id", || format!("two campaigns have the id {id:?}"));
                    }
                    let shown = match known {
                        Some(known) if known.stage() > campaign.stage() => Some(Arc::clone(known)),
                        _ => self.list(campaign),
                    };
                    if let Some(shown) = shown {
                        on_page.insert(shown);
                    }
                }
                Found::Row(row) => {
                    let campaign = match self.campaigns.get(&row.id) {
                        None => row,
                        Some(known) => {
                            let mut sum = Campaign::clone(known);
                            lenient::add_row(&mut sum, &row, &mut self.problems);
                            Arc::new(sum)
                        }
                    };
                    drop(self.insert(campaign));
                }
                Found::Details(details) | Found::DetailsRow(details) => {
                    let details = Arc::unwrap_or_clone(details);
                    self.bytes += details.kept_bytes();
                    match self.details.entry(details.id.clone()) {
                        Entry::Occupied(mut known) if is_row => {
                            lenient::add_row(known.get_mut(), &details, &mut self.problems);
                        }
                        Entry::Occupied(mut known) => known.get_mut().complete(details),
                        Entry::Vacant(place) => drop(place.insert(details)),
                    }
                }
            }
        }
        let facts = page.account;
        self.account.credits = facts.credits.or(self.account.credits);
        self.account.balance = facts.balance.or(self.account.balance);
        self.account.reported_ratios.extend(facts.reported_ratios);
        self.account.mismatches.extend(facts.mismatches);
        self.older += page.older;
        self.problems.merge(page.problems);
    }

    /// Adds a campaign of a list, unless its id is too long.
    fn list(&mut self, listed: Listed) -> Option<Arc<Campaign>> {
        match listed {
            Listed::Again(campaign) => {
                self.bytes += campaign.kept_bytes();
                self.campaigns.insert(Arc::clone(&campaign));
                Some(campaign)
            }
            Listed::New(campaign, digest) => {
                let campaign = self.insert(campaign)?;
                // which secrets invisible characters hide depends on those in use
                if let Some(digest) = digest.filter(|_| !campaign.has_invisible()) {
                    self.decoded.push((digest, Arc::downgrade(&campaign)));
                }
                Some(campaign)
            }
        }
    }

    fn insert(&mut self, mut campaign: Arc<Campaign>) -> Option<Arc<Campaign>> {
        if !Arc::make_mut(&mut campaign).bound() {
            self.problems.add("campaign_id");
            return None;
        }
        self.bytes += campaign.kept_bytes();
        let campaign = self.pool.share(campaign);
        self.campaigns.insert(Arc::clone(&campaign));
        Some(campaign)
    }

    fn check_size(&self) -> Result<(), PollError> {
        if self.bytes <= MAX_ACCOUNT_BYTES {
            return Ok(());
        }
        let message = format!(
            "the campaigns of this poll exceed {MAX_ACCOUNT_BYTES} bytes of memory: try a shorter lookback"
        );
        Err(PollError::new(Reason::TooLarge, message))
    }

    /// The ids of the campaigns that may have details, newest first. Nothing is known of one that was
    /// not sent yet.
    fn sent_ids(&self) -> Vec<String> {
        let mut campaigns = self.campaigns.clone().into_vec();
        campaigns.retain(|campaign| !campaign.status.is_some_and(Status::nothing_sent_yet));
        campaigns.sort_by(|a, b| b.date().cmp(&a.date()).then_with(|| a.id.cmp(&b.id)));
        campaigns.iter().map(|campaign| campaign.id.clone()).collect()
    }

    /// Joins details with their campaigns, whichever came first.
    fn finish(mut self) -> Self {
        for (id, details) in std::mem::take(&mut self.details) {
            if let Some(campaign) = self.campaigns.get(&id) {
                let mut campaign = Campaign::clone(campaign);
                campaign.complete(details);
                drop(self.insert(Arc::new(campaign)));
            }
        }
        self
    }

    /// Takes the campaigns.
    pub fn take_campaigns(&mut self) -> Campaigns {
        std::mem::take(&mut self.campaigns)
    }

    /// Takes the items that were decoded.
    pub fn take_decoded(&mut self) -> Vec<(Digest, Weak<Campaign>)> {
        std::mem::take(&mut self.decoded)
    }
}

/// The answer without any secret in use, which a provider can repeat anywhere: before it is read, since
/// reading may cut or change it.
fn redacted(answer: &Answer) -> Option<Answer> {
    redaction::redact_answer(&answer.body).map(|body| answer.with_body(body))
}

/// What an answer means. One that is not strictly JSON costs only what cannot be repaired.
fn take(
    source: &dyn Source,
    read: Read<'_>,
    ask: &Ask,
    answer: &Answer,
) -> Result<Page, PollError> {
    let utf8 = json::utf16(&answer.body).map(|body| answer.with_body(body));
    let answer = utf8.as_ref().unwrap_or(answer);
    let redacted = redacted(answer);
    redacted
        .as_ref()
        .unwrap_or(answer)
        .interpreted(|answer| source.take(read, ask, answer), |page| page.problems.is_empty())
}

/// Reads all campaigns of the window: all pages or nothing. Campaigns equal to `known` ones share
/// their memory.
pub async fn read(
    connection: &Connection,
    session: &Session,
    access: &Access,
    read: Read<'_>,
    known: &Arc<Campaigns>,
) -> Result<Reading, PollError> {
    let auth = &connection.auth;
    let credential = session.credential(auth, access, None).await?;
    let result = match read_pages(connection, session, &credential, read, known).await {
        Err(error) if error.reason == Reason::Auth && auth.is_renewable() => {
            debug!(%error, "the access token is refused");
            let renewed = session.credential(auth, access, Some(&credential)).await?;
            read_pages(connection, session, &renewed, read, known).await
        }
        result => result,
    };
    if result.is_ok() && auth.is_renewable() {
        access.token_works();
    }
    result
}

async fn read_pages(
    connection: &Connection,
    session: &Session,
    credential: &Credential,
    read: Read<'_>,
    known: &Arc<Campaigns>,
) -> Result<Reading, PollError> {
    let source = &*connection.source;
    let mut progress = Progress::begin(source, read.window, Reading::after(known));
    while let Some(ask) = progress.next(source, read.window)? {
        let request = request(connection, &ask)?;
        let take = |answer: &Answer| take(source, read, &ask, answer);
        let answer = session.get(&request, credential, take).await;
        progress.take(&ask, answer)?;
    }
    Ok(progress.reading.finish())
}

/// A read under way: what was found, and what to ask next.
struct Progress {
    reading: Reading,
    pages: Pages,
    /// The last page of each list.
    last: HashMap<usize, LastPage>,
    asks: VecDeque<Ask>,
    /// Whether details were asked for.
    has_details: bool,
}

impl Progress {
    fn begin(source: &dyn Source, window: Window, reading: Reading) -> Self {
        Self {
            reading,
            pages: Pages::default(),
            last: HashMap::new(),
            asks: source.begin(window).into(),
            has_details: false,
        }
    }

    /// The next request. Details come last, since a list moves; so no campaign is asked for twice, and
    /// each request is for as many as it can be.
    fn next(&mut self, source: &dyn Source, window: Window) -> Result<Option<Ask>, PollError> {
        let is_over = self.asks.is_empty() && !std::mem::replace(&mut self.has_details, true);
        if is_over && source.has_details() {
            self.asks = source.details(window, &self.reading.sent_ids()).into();
            if self.asks.len() > MAX_DETAILS {
                let message = format!(
                    "details take more than {MAX_DETAILS} requests: try a shorter lookback"
                );
                return Err(PollError::new(Reason::Pagination, message));
            }
        }
        Ok(self.asks.pop_front())
    }

    /// Takes an answer. Without an optional part, the read goes on; without details of some campaigns
    /// only if the provider refuses these, since all others would fail as well otherwise.
    fn take(&mut self, ask: &Ask, answer: Result<Page, PollError>) -> Result<(), PollError> {
        let error = match answer {
            Ok(page) => return self.add(ask, page),
            Err(error) => error,
        };
        match &ask.optional {
            Some(field) if ask.about.is_empty() || error.reason == Reason::Client => {
                debug!(reason = error.reason.as_str(), %error, "cannot read the {field}");
                let reason = error.reason.as_str();
                self.reading.problems.explain(field, || format!("{} ({reason})", error.message));
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn add(&mut self, ask: &Ask, mut page: Page) -> Result<(), PollError> {
        let last = self.last.entry(ask.part).or_default();
        if let Some(again) = last.step_back(ask, &mut page)? {
            debug!(offset = ask.offset, "the list moved; reading it again from {}", again.offset);
            self.asks.push_front(again);
            return Ok(());
        }
        page.then.extend(ask.after(&page));
        let mark = page.mark.clone();
        let then = std::mem::take(&mut page.then);
        let goes_on = then.iter().any(|next| next.optional.is_none());
        for next in then.into_iter().rev() {
            self.asks.push_front(next);
        }
        self.reading.add(page);
        self.reading.check_size()?;
        if goes_on {
            self.pages.more(mark)?;
        }
        Ok(())
    }
}

/// What a read makes of saved answers, in the order of its requests for the window `asked`. Returns the
/// requests too, each with its part. It ends when an answer is missing.
pub fn read_saved(
    connection: &Connection,
    asked: Window,
    window: Window,
    answers: &[Answer],
) -> (Vec<(usize, Request)>, Result<Reading, PollError>) {
    let source = &*connection.source;
    let mut progress = Progress::begin(source, asked, Reading::default());
    let mut requests = Vec::new();
    let mut answers = answers.iter();
    let mut read = || {
        while let Some(ask) = progress.next(source, asked)? {
            requests.push((ask.part, request(connection, &ask)?));
            let Some(answer) = answers.next() else { break };
            let page = take(source, window.into(), &ask, answer);
            progress.take(&ask, page)?;
        }
        Ok(())
    };
    let result = read();
    (requests, result.map(|()| progress.reading.finish()))
}

/// What a read after another one makes of these answers to its first request.
pub fn read_again(
    connection: &Connection,
    read: Read<'_>,
    answers: &[Answer],
    known: &Arc<Campaigns>,
) -> Result<Reading, PollError> {
    let mut reading = Reading::after(known);
    let ask = connection.source.begin(read.window).into_iter().next();
    for (ask, answer) in ask.iter().cycle().zip(answers) {
        reading.add(take(&*connection.source, read, ask, answer)?);
    }
    Ok(reading.finish())
}

/// What a read makes of one answer to its first request.
pub fn read_answer(
    connection: &Connection,
    window: Window,
    answer: &Answer,
) -> Result<Reading, PollError> {
    let mut reading = Reading::default();
    if let Some(ask) = connection.source.begin(window).first() {
        let page = take(&*connection.source, window.into(), ask, answer)?;
        for next in page.then.iter().chain(&ask.after(&page)) {
            url(&connection.base_url, next)?;
        }
        reading.add(page);
    }
    Ok(reading.finish())
}

/// A request as it is sent, without a credential.
fn request(connection: &Connection, ask: &Ask) -> Result<Request, PollError> {
    Ok(Request {
        url: url(&connection.base_url, ask)?,
        headers: connection.headers.clone(),
        body: ask.body.clone(),
    })
}

/// The address of a request. A credential goes to the origin of `base_url` and nowhere else,
/// even if a link says otherwise.
pub fn url(base_url: &Url, ask: &Ask) -> Result<Url, PollError> {
    let mut url = match &ask.target {
        Target::Path(path) => endpoint(base_url, path),
        Target::Link { href, below } => linked(base_url, href, below)?,
    };
    if !ask.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&ask.query);
    }
    Ok(url)
}

fn linked(base_url: &Url, href: &str, below: &str) -> Result<Url, PollError> {
    let refused = |why: &str| {
        let message = format!("the link to the next page {why}");
        PollError::new(Reason::Pagination, message)
    };
    let next = base_url.join(href);
    let next = next.map_err(|_| refused("is not an address"))?;
    if next.origin() != base_url.origin() {
        return Err(refused("leads to another origin"));
    }
    // a link does not include the path of a gateway in front of the API, but that of the API itself
    let path = next.path().strip_prefix(base_url.path().trim_end_matches('/'));
    let path = path.filter(|path| path.starts_with('/')).unwrap_or(next.path());
    if !path.starts_with(below) {
        return Err(refused(&format!("leads outside {below}")));
    }
    let mut url = endpoint(base_url, path);
    // a secret that the link repeats is redacted by now, and each request gets its own
    let pairs = next.query().into_iter().flat_map(|query| query.split('&'));
    let pairs: Vec<_> = pairs.filter(|pair| !pair.contains(redaction::PLACEHOLDER)).collect();
    url.set_query(Some(pairs.join("&").as_str()).filter(|query| !query.is_empty()));
    Ok(url)
}

/// Ends a read whose pages do not end.
#[derive(Default)]
struct Pages {
    count: usize,
    seen: HashSet<String>,
}

impl Pages {
    /// Notes a page before the next one is requested. A server that ignores where a page should begin
    /// would otherwise look like one with a single page, or without a last one.
    fn more(&mut self, mark: Option<String>) -> Result<(), PollError> {
        self.count += 1;
        let count = self.count;
        let message = if count >= MAX_PAGES {
            format!("more than {count} pages: try a shorter lookback")
        } else if let Some(mark) = mark.as_ref().filter(|mark| mark.len() > MAX_URL_BYTES) {
            // a cursor may go into a body, where no address bounds it
            format!("the mark of the next page has {} bytes, more than {MAX_URL_BYTES}", mark.len())
        } else if mark.is_none_or(|mark| self.seen.insert(mark)) {
            return Ok(());
        } else {
            format!("page {count} repeats an earlier one")
        };
        Err(PollError::new(Reason::Pagination, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Channel;
    use crate::campaign::bounds::MAX_ID_BYTES;
    use crate::campaign::counts::{Count, Counts};
    use crate::config::Config;
    use crate::provider::lenient::Scalar;
    use crate::provider::unchanged::Decoded;

    fn campaign(id: &str, name: &str) -> Campaign {
        Campaign { id: id.to_owned(), name: name.into(), ..Campaign::default() }
    }

    fn listed(campaign: Campaign) -> Found {
        Found::Campaign(Listed::New(Arc::new(campaign), None))
    }

    #[test]
    fn the_last_campaign_with_the_same_id_is_kept() {
        let mut reading = Reading::default();
        let found = ["first", "second"].map(|name| listed(campaign("x", name)));
        let page = Page { found: found.into(), ..Page::default() };
        reading.add(page);
        let campaigns = reading.take_campaigns();
        assert_eq!(campaigns.len(), 1);
        assert_eq!(&*campaigns.get("x").unwrap().name, "second");
    }

    #[test]
    fn of_two_lists_the_further_status_counts() {
        let [sent, waiting] = [Status::Sent, Status::Waiting].map(|status| {
            let name = status.as_str();
            Campaign { status: Some(status), ..campaign("x", name) }
        });
        let none = campaign("x", "none");
        for (found, expected) in [
            ([&sent, &waiting], "sent"),
            ([&waiting, &sent], "sent"),
            ([&none, &waiting], "waiting"),
            ([&waiting, &none], "waiting"),
        ] {
            let mut reading = Reading::default();
            let found = found.map(|campaign| listed(campaign.clone()));
            reading.add(Page { found: found.into(), ..Page::default() });
            assert_eq!(&*reading.take_campaigns().get("x").unwrap().name, expected);
        }
    }

    #[test]
    fn an_id_of_two_campaigns_is_told() {
        let named = |name| campaign("x", name);
        let email = Campaign { channel: Channel::Email, ..named("a") };
        for (found, is_one_page, is_told) in [
            ([named("a"), named("a")], true, false),
            ([named("a"), named("b")], true, true),
            // it changed meanwhile
            ([named("a"), named("b")], false, false),
            ([named("a"), email], false, true),
        ] {
            let mut reading = Reading::default();
            let found = found.map(listed).into_iter();
            let pages: Vec<Vec<_>> = if is_one_page {
                vec![found.collect()]
            } else {
                found.map(|found| vec![found]).collect()
            };
            for found in pages {
                reading.add(Page { found, ..Page::default() });
            }
            let told = r#"campaign_id: 1 value, two campaigns have the id "x""#;
            assert_eq!(reading.problems.to_string(), if is_told { told } else { "" });
        }
    }

    #[test]
    fn a_long_id_costs_its_campaign_however_it_was_read() {
        let mut reading = Reading::default();
        drop(reading.insert(campaign(&"x".repeat(MAX_ID_BYTES), "kept").into()));
        drop(reading.insert(campaign(&"y".repeat(MAX_ID_BYTES + 1), "lost").into()));
        assert_eq!(reading.problems.counted(), "campaign_id (1 times)");
        assert_eq!(reading.take_campaigns().len(), 1);
    }

    #[test]
    fn the_memory_of_a_read_is_bounded() {
        let mut reading = Reading::default();
        let name = "x".repeat(5_000);
        let fits = |index: &usize| {
            drop(reading.insert(campaign(&format!("{index:0256}"), &name).into()));
            reading.check_size().is_ok()
        };
        let fitted = (0..MAX_ACCOUNT_BYTES).take_while(fits).count();
        let bytes = reading.campaigns.get(&"0".repeat(256)).unwrap().kept_bytes();
        assert_eq!(fitted, MAX_ACCOUNT_BYTES / bytes);
        let error = reading.check_size().unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
    }

    #[test]
    fn an_unchanged_item_is_not_decoded_again() {
        let kinds = crate::provider::made_up();
        let yaml = "accounts: [{name: a, provider: alpha, token_env: T}]";
        let mut accounts = Config::parse(yaml, &kinds, None).unwrap().accounts;
        let provider = accounts.remove(0).provider;
        let mut decoded = Decoded::default();
        let read = |items: &str, decoded: &mut Decoded| {
            let answer = Answer::of(200, format!(r#"{{"campaigns":[{items}]}}"#));
            let of_decoded = Read { decoded: Some(&*decoded), ..Read::default() };
            let reading = provider.read_again(of_decoded, &[answer], &Arc::default());
            let mut reading = reading.unwrap();
            let problems = reading.problems.counted();
            decoded.add(reading.take_decoded());
            (reading.take_campaigns(), problems)
        };
        let same = r#"{"id":1,"date":"2025-01-01T00:00:00Z","from":"Shoes"}"#;
        let bad = r#"{"id":2,"date":"never"}"#;
        let hidden = "{\"id\":3,\"from\":\"a-token-\u{200b}of-next-week\"}";
        let items = |last: &str| format!("{same},{bad},{hidden},{last}");
        let (before, problems) = read(&items(r#"{"id":4,"from":"x"}"#), &mut decoded);
        assert_eq!((before.len(), problems.as_str()), (4, "date (1 times)"));
        redaction::register(&"a-token-of-next-week".into());
        let (after, problems) = read(&items(r#"{"id":4,"from":"y"}"#), &mut decoded);
        assert_eq!((after.len(), problems.as_str()), (4, "date (1 times)"));
        let pair = |id| (before.get(id).unwrap(), after.get(id).unwrap());
        let is_shared = |id| Arc::ptr_eq(pair(id).0, pair(id).1);
        assert_eq!(["1", "2", "3", "4"].map(is_shared), [true, false, false, false]);
        let sender = |id| pair(id).1.info.get("sender").unwrap().to_owned();
        assert_eq!([sender("3"), sender("4")], ["[redacted]", "y"]);
    }

    #[test]
    fn details_are_merged_into_their_campaign() {
        let details = |id: &str, opens| Campaign {
            counts: Counts::from([(Count::Opens, Some(opens))]),
            ..campaign(id, "")
        };
        let page = |found| Page { found, ..Page::default() };
        let mut reading = Reading::default();
        reading.add(page(vec![Found::Details(details("x", 3).into())]));
        reading.add(page(vec![Found::Details(details("y", 4).into())]));
        reading.add(page(vec![listed(campaign("x", "X"))]));
        reading.add(page(vec![Found::Row(details("rows", 5).into())]));
        reading.add(page(vec![Found::Row(details("rows", 6).into())]));
        let campaigns = reading.finish().take_campaigns();
        assert_eq!(campaigns.len(), 2);
        let opens = |id| campaigns.get(id).unwrap().counts.get(Count::Opens);
        assert_eq!((opens("x"), opens("rows")), (Some(3), Some(11)));
        assert_eq!(&*campaigns.get("x").unwrap().name, "X");
    }

    #[test]
    fn every_secret_in_use_is_redacted_before_the_answer_is_read() {
        let secrets = ["refresh-token-of-one-account", "client/secret-of-another"];
        for secret in secrets {
            redaction::register(&secret.into());
        }
        let body = r#"{"name":"refresh-token-of-one-account","info":"client\/secret-of-another!"}"#;
        let clean = redacted(&Answer::of(200, body)).unwrap();
        assert_eq!(clean.body, r#"{"name":"[redacted]","info":"[redacted]!"}"#);
        assert!(redacted(&Answer::of(200, "{}")).is_none());
        assert!(redacted(&Answer::of(200, [0xff])).is_none());
    }

    #[test]
    fn a_campaign_whose_id_repeats_a_secret_is_skipped_and_counted() {
        #[derive(Debug)]
        struct Ids;
        impl Source for Ids {
            fn begin(&self, _: Window) -> Vec<Ask> {
                Vec::new()
            }

            fn take(&self, _: Read<'_>, _: &Ask, answer: &Answer) -> Result<Page, PollError> {
                let mut page = Page::default();
                for id in answer.json::<HashMap<String, Vec<Scalar>>>()?.remove("ids").unwrap() {
                    let id = id.id("id", &mut page.problems);
                    let found = id.map(|id| listed(campaign(&id, "x")));
                    page.found.extend(found);
                }
                Ok(page)
            }
        }
        redaction::register(&"a-token-in-ids".into());
        let ids = r#"{"ids":["1-a-token-in-ids","a%2dtoken-in-ids",7,"a\u002dtoken-in-ids"]}"#;
        let answer = redacted(&Answer::of(200, ids)).unwrap();
        let page = Ids.take(Read::default(), &Ask::path("/"), &answer).unwrap();
        assert_eq!(page.campaigns().next().unwrap().id, "7");
        assert_eq!(page.found.len(), 1);
        assert_eq!(page.problems.counted(), "id (3 times)");
    }

    #[test]
    fn repeated_pages_end_the_read() {
        let mut pages = Pages::default();
        let mut more = |id: Option<&str>| pages.more(id.map(str::to_owned)).is_ok();
        assert!(more(Some("a")));
        assert!(more(Some("b")));
        // without an id there is nothing to compare
        assert!(more(None));
        assert!(more(None));
        assert!(more(Some("c")));
        assert!(!more(Some("b")));
    }

    #[test]
    fn pages_are_bounded() {
        let mut pages = Pages::default();
        let read = (1..=2 * MAX_PAGES).find(|_| pages.more(None).is_err());
        assert_eq!(read, Some(MAX_PAGES));
    }

    fn next(base_url: &str, href: &str) -> Result<String, PollError> {
        let base_url = Url::parse(base_url).unwrap();
        url(&base_url, &Ask::link(href, "/v3/")).map(String::from)
    }

    #[test]
    fn links_are_followed_only_within_the_api() {
        let api = "https://api.example.com";
        let path = "/v3/reports/summaries?next=abc";
        assert_eq!(next(api, path), Ok(format!("{api}{path}")));
        let absolute = format!("{api}{path}");
        assert_eq!(next(api, &absolute), Ok(absolute.clone()));
        for href in [
            "https://evil.example/v3/x",
            "//evil.example/v3/x",
            "http://api.example.com/v3/x",
            "https://api.example.com:8443/v3/x",
            "https://api.example.com@evil.example/v3/x",
            "/v4/x",
            "/v3/../admin",
            "/v3",
            "https://[",
            "data:text/plain,x",
        ] {
            let error = next(api, href).unwrap_err();
            assert_eq!(error.reason, Reason::Pagination, "{href}");
        }
    }

    #[test]
    fn a_secret_in_the_query_of_a_link_is_left_out() {
        let api = "https://api.example.com/v3/c";
        for (query, expected) in
            [("?key=[redacted]&a=b,c&p=2", "?a=b,c&p=2"), ("?key=[redacted]", "")]
        {
            let href = format!("{api}{query}");
            assert_eq!(next("https://api.example.com", &href), Ok(format!("{api}{expected}")));
        }
    }

    #[test]
    fn the_base_path_of_a_gateway_is_kept() {
        let gateway = "https://gateway.example/cc";
        assert_eq!(
            next(gateway, "/v3/reports?next=abc"),
            Ok(format!("{gateway}/v3/reports?next=abc"))
        );
        assert_eq!(next(gateway, "/cc/v3/reports"), Ok(format!("{gateway}/v3/reports")));
        let base_url = Url::parse(gateway).unwrap();
        let ask = Ask::path("/v3/reports").with("limit", "5");
        assert_eq!(
            url(&base_url, &ask).map(String::from),
            Ok(format!("{gateway}/v3/reports?limit=5"))
        );
    }
}
