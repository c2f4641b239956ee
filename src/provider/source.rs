//! How a provider is read: what to ask, and what an answer means. Pure: without I/O, clock or host.

use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use reqwest::Url;
use serde::Deserialize;

use super::lenient::{self, List, Problems};
use super::unchanged::{Decoded, Digest};
use crate::campaign::Campaign;
use crate::campaign::figures::Currency;
use crate::campaign::window::Window;
use crate::upstream::answer::Answer;
use crate::upstream::request::Body;
use crate::upstream::{PollError, Reason};

/// Most items of one page: ten times the largest page size of a provider. More would take a gigabyte
/// once they are read.
const MAX_PAGE_ITEMS: usize = 10_000;

/// Items of the page before that a page begins with.
pub const OVERLAP: usize = 1;

/// Reads one account of a provider. The read loop makes the requests.
pub trait Source: Debug + Send + Sync {
    /// The first requests of a read, in order.
    fn begin(&self, window: Window) -> Vec<Ask>;

    /// Whether details are asked for once all lists are read.
    fn has_details(&self) -> bool {
        false
    }

    /// The requests for details of the campaigns with these ids.
    fn details(&self, _: Window, _: &[String]) -> Vec<Ask> {
        Vec::new()
    }

    /// What an answer means, and which requests follow it.
    fn take(&self, read: Read<'_>, ask: &Ask, answer: &Answer) -> Result<Page, PollError>;
}

/// The read that an answer belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Read<'a> {
    /// The period that it covers.
    pub window: Window,
    /// What earlier reads decoded items to. Without, all items are decoded.
    pub decoded: Option<&'a Decoded>,
}

impl From<Window> for Read<'_> {
    fn from(window: Window) -> Self {
        Self { window, decoded: None }
    }
}

/// A request: a GET, or with a body a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where to.
    pub target: Target,
    /// The query, in addition to one in the target.
    pub query: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Option<Body>,
    /// Which of the source's lists or other parts this is about, as the source numbers them.
    pub part: usize,
    /// The number of items before this page of the list.
    pub offset: usize,
    /// The number of items that the pages before had, which can be smaller than they were asked to be.
    pub received: usize,
    /// How the page is selected, if its place selects it.
    pub paging: Option<Paging>,
    /// The field that counts a problem if the request fails, for a part of the read that is optional.
    /// Without it, a failure fails the read.
    pub optional: Option<Cow<'static, str>>,
    /// The campaigns whose details are asked for.
    pub about: Vec<String>,
}

/// Where a parameter of a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Into the query of the address.
    Query,
    /// Into the body, as a field of the form or a member of the JSON object.
    Body,
}

/// How a page is selected by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The parameter that selects it.
    pub parameter: Cow<'static, str>,
    /// Where the parameter goes.
    pub place: Place,
    /// The largest number of items on a page.
    pub size: usize,
    /// The number of the first page, if the parameter is the number of a page instead of an item.
    /// Such pages cannot begin with an item of the page before.
    pub first_page: Option<usize>,
}

impl Paging {
    /// The items that a page has in common with the one before.
    pub const fn overlap(&self) -> usize {
        if self.first_page.is_some() { 0 } else { OVERLAP }
    }
}

/// The address of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An encoded path, below the account's `base_url`.
    Path(String),
    /// A link in an answer, and the path that it has to stay below. The read loop refuses links to
    /// another origin.
    Link {
        /// The link as the provider wrote it.
        href: String,
        /// The path.
        below: Cow<'static, str>,
    },
}

/// The parameter that most providers name the size of a page by, if links select the pages.
const LIMIT: &str = "limit";

impl Ask {
    /// The number of pages that this many items have, at least one. One, too, if the request does not
    /// tell the size of a page.
    pub fn pages(&self, items: usize) -> usize {
        let (size, overlap) = if let Some(paging) = &self.paging {
            (Some(paging.size), paging.overlap())
        } else {
            let limit = self.query.iter().find(|(name, _)| name == LIMIT);
            (limit.and_then(|(_, value)| value.parse().ok()), 0)
        };
        size.map_or(1, |size: usize| {
            let own = size.saturating_sub(overlap).max(1);
            items.saturating_sub(overlap).div_ceil(own).max(1)
        })
    }

    /// A request for an encoded path, which begins with a slash.
    pub fn path(path: impl Into<String>) -> Self {
        Self::of(Target::Path(path.into()))
    }

    /// A request for a link in an answer.
    pub fn link(href: impl Into<String>, below: impl Into<Cow<'static, str>>) -> Self {
        let (href, below) = (href.into(), below.into());
        Self::of(Target::Link { href, below })
    }

    fn of(target: Target) -> Self {
        Self {
            target,
            query: Vec::new(),
            body: None,
            part: 0,
            offset: 0,
            received: 0,
            paging: None,
            optional: None,
            about: Vec::new(),
        }
    }

    /// The request with another parameter.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// The request with a parameter in place of one of the same name.
    #[must_use]
    pub fn setting(mut self, place: Place, name: &str, value: &str) -> Self {
        match (place, &mut self.body) {
            (Place::Body, Some(Body::Form(pairs))) => {
                pairs.retain(|(known, _)| known != name);
                pairs.push((name.to_owned(), value.to_owned()));
            }
            (Place::Body, Some(Body::Json(json))) => {
                if let Some(members) = json.as_object_mut() {
                    let number = value.parse::<u64>().ok();
                    let value = number.map_or_else(|| value.into(), Into::into);
                    members.insert(name.to_owned(), value);
                }
            }
            (Place::Query, _) | (Place::Body, None) => {
                self.query.retain(|(known, _)| known != name);
                self.query.push((name.to_owned().into(), value.to_owned()));
            }
        }
        self
    }

    /// The request for the first page of a list whose pages have up to `size` items and are selected by
    /// an offset.
    #[must_use]
    pub fn paged(self, parameter: &'static str, size: usize) -> Self {
        self.paged_by(Paging {
            parameter: parameter.into(),
            place: Place::Query,
            size,
            first_page: None,
        })
    }

    /// The request for the first page of a list.
    #[must_use]
    pub fn paged_by(mut self, paging: Paging) -> Self {
        self.paging = Some(paging);
        self.at(0)
    }

    /// The requests for the following pages of a list whose pages are selected by their place.
    pub fn after(&self, page: &Page) -> Vec<Self> {
        let Some(paging) = self.paging.as_ref().filter(|_| page.more) else {
            return Vec::new();
        };
        if paging.first_page.is_some() {
            let mut next = self.clone().at(self.offset + paging.size);
            next.received += page.items;
            return vec![next];
        }
        // more items than requested do not move the next page
        let items = page.items.min(paging.size).saturating_sub(OVERLAP);
        let next = self.clone().at(self.offset + items.max(1));
        if self.offset == 0 && items == 0 {
            // without overlap, so the first page shows afterwards whether the list moved
            return vec![next, self.clone()];
        }
        vec![next]
    }

    /// The request for the page that begins at an item, or at the first item of a numbered page.
    #[must_use]
    pub fn at(mut self, offset: usize) -> Self {
        self.offset = offset;
        let Some(paging) = self.paging.clone() else {
            return self;
        };
        let position = match paging.first_page {
            Some(first) => first + offset / paging.size.max(1),
            None => offset,
        };
        self.setting(paging.place, &paging.parameter, &position.to_string())
    }

    /// The request as an optional part of the read.
    #[must_use]
    pub fn or_problem(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.optional = Some(field.into());
        self
    }

    /// The request as one for the details of campaigns.
    #[must_use]
    pub fn about(mut self, campaigns: Vec<String>) -> Self {
        self.about = campaigns;
        self
    }
}

/// An encoded path of these segments. No segment can change the path.
pub fn path<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut url = Url::parse("http://localhost").ok();
    if let Some(Ok(mut path)) = url.as_mut().map(Url::path_segments_mut) {
        path.extend(segments);
    }
    url.map_or_else(String::new, |url| url.path().to_owned())
}

/// What an answer means.
#[derive(Debug, Default)]
pub struct Page {
    /// The number of items, unreadable ones included: they take a place on the page.
    pub items: usize,
    /// Campaigns and counts.
    pub found: Vec<Found>,
    /// What the answer says about the account.
    pub account: AccountFacts,
    /// The number of campaigns that are left out because they are older than the period.
    pub older: usize,
    /// Values and items that could not be read.
    pub problems: Problems,
    /// The id of each item, as far as it has one, of a list that is paged by offset.
    pub ids: Vec<Option<String>>,
    /// Whether another page follows, of a list whose pages are selected by their place.
    pub more: bool,
    /// The number of all items, as the answer tells it, of such a list.
    pub total: Option<u64>,
    /// What no two pages of a list that is paged by links share, if pages follow: the link.
    pub mark: Option<String>,
    /// The requests that follow, before those that wait already.
    pub then: Vec<Ask>,
}

impl Page {
    /// Reads the items of an answer's list, if they are no more than any good page has. An item that is
    /// not what the provider documents costs only itself. What `campaign` makes of an item has to depend
    /// on nothing that changes, if items that are `decoded` already are to be known.
    pub fn of<'a, T: Deserialize<'a>>(
        ask: &Ask,
        list: List<'a>,
        field: &str,
        decoded: Option<&Decoded>,
        campaign: impl Fn(T, &mut Problems) -> Option<Campaign>,
    ) -> Result<Self, PollError> {
        let list = list.items();
        let items = list.len();
        if items > MAX_PAGE_ITEMS {
            let message = format!("a page of {items} items, more than {MAX_PAGE_ITEMS}");
            return Err(PollError::new(Reason::TooLarge, message));
        }
        let mut page = Self { items, ..Self::default() };
        // the page before counted theirs
        let mut problems_again = Problems::default();
        let overlap = ask.paging.as_ref().map_or(0, Paging::overlap);
        let again = if ask.offset > 0 { overlap } else { 0 };
        for (index, json) in list.into_iter().enumerate() {
            let digest = decoded.map(|decoded| decoded.digest(ask.part, json.get()));
            let known = decoded.zip(digest).and_then(|(decoded, digest)| decoded.get(digest));
            let listed = known.map(Listed::Again).or_else(|| {
                let mut problems = Problems::default();
                let item = lenient::item(json, field, &mut problems);
                let campaign = item.and_then(|item| campaign(item, &mut problems));
                // its problems are counted by each read
                let digest = digest.filter(|_| problems.is_empty());
                let all = if index < again { &mut problems_again } else { &mut page.problems };
                all.merge(problems);
                campaign.map(|campaign| Listed::New(Arc::new(campaign), digest))
            });
            if ask.paging.is_some() {
                page.ids.push(listed.as_ref().map(|found| found.id.clone()));
            }
            page.found.extend(listed.map(Found::Campaign));
        }
        Ok(page)
    }

    /// The campaigns.
    pub fn campaigns(&self) -> impl Iterator<Item = &Campaign> + Clone {
        self.found.iter().filter_map(|found| match found {
            Found::Campaign(listed) => Some(&**listed),
            Found::Row(campaign) => Some(&**campaign),
            Found::Details(_) | Found::DetailsRow(_) => None,
        })
    }
}

/// A campaign, or more about one. Small, since a page has thousands.
#[derive(Debug)]
pub enum Found {
    /// A campaign, in place of an earlier one with the same id.
    Campaign(Listed),
    /// More about the campaign with the same id, whichever is found first. What it has replaces what
    /// the campaign has.
    Details(Arc<Campaign>),
    /// One of the rows that together are the details of a campaign.
    DetailsRow(Arc<Campaign>),
    /// One of the rows that together are a campaign: their counts, failures and amounts are added.
    Row(Arc<Campaign>),
}

/// A campaign of a list.
#[derive(Debug)]
pub enum Listed {
    /// The one that an earlier read decoded the same item to.
    Again(Arc<Campaign>),
    /// A decoded one, with the digest of the item if it is to be known by the next read.
    New(Arc<Campaign>, Option<Digest>),
}

impl Deref for Listed {
    type Target = Campaign;

    fn deref(&self) -> &Campaign {
        match self {
            Self::Again(campaign) | Self::New(campaign, _) => campaign,
        }
    }
}

impl Listed {
    /// The campaign on its own.
    pub fn into_campaign(self) -> Arc<Campaign> {
        match self {
            Self::Again(campaign) | Self::New(campaign, _) => campaign,
        }
    }
}

/// What an answer says about the account.
#[derive(Debug, Default)]
pub struct AccountFacts {
    /// The credits left.
    pub credits: Option<f64>,
    /// The money left.
    pub balance: Option<(Currency, f64)>,
    /// The provider's own rates as ratios, if they cover all campaigns of the read.
    pub reported_ratios: Vec<(Arc<str>, f64)>,
    /// Rates of the provider that contradict its counts on this page.
    pub mismatches: Vec<Arc<str>>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads the answers of a table, each with its status and the reason for which it is refused.
    pub(in crate::provider) fn assert_reasons(
        table: &str,
        take: impl Fn(u16, &str) -> Result<Page, PollError>,
    ) {
        for row in table.trim().lines() {
            let mut words = row.trim_start().splitn(3, ' ');
            let (status, reason) = (words.next().unwrap(), words.next().unwrap());
            let body = words.next().unwrap_or_default();
            let error = take(status.parse().unwrap(), body).err().unwrap();
            assert_eq!(error.reason.as_str(), reason, "{row}");
        }
    }

    #[test]
    fn the_items_of_a_page_are_bounded() {
        for (items, is_good) in [(MAX_PAGE_ITEMS, true), (MAX_PAGE_ITEMS + 1, false)] {
            let json = serde_json::json!(vec![0; items]).to_string();
            let list = serde_json::from_str(&json).unwrap();
            let page = Page::of(&Ask::path("/"), list, "f", None, |(), _| None);
            let reason = page.err().map(|error| error.reason);
            assert_eq!(reason, (!is_good).then_some(Reason::TooLarge));
        }
    }

    #[test]
    fn a_segment_cannot_change_the_path() {
        assert_eq!(path(["v1", "../../admin?x=#y", "data"]), "/v1/..%2F..%2Fadmin%3Fx=%23y/data");
        assert_eq!(path(["v1", "4711", "data"]), "/v1/4711/data");
    }
}
