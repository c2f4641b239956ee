//! How a provider is read: what to ask, and what an answer means. Pure: without I/O, clock or host.

use std::fmt::Debug;
use std::sync::Arc;

use reqwest::Url;
use serde::Deserialize;

use super::lenient::{self, List, Problems};
use super::overlap::{OVERLAP, Paging};
use crate::campaign::Campaign;
use crate::campaign::counts::Counts;
use crate::campaign::window::Window;
use crate::upstream::answer::Answer;
use crate::upstream::{PollError, Reason};

/// Most items of one page: ten times the largest page size of a provider. More would take a gigabyte
/// once they are read.
const MAX_PAGE_ITEMS: usize = 10_000;

/// Reads one account of a provider. The read loop makes the requests.
pub trait Source: Debug + Send + Sync {
    /// The first requests of a read, in order.
    fn begin(&self, window: Window) -> Vec<Ask>;

    /// What an answer means, and which requests follow it.
    fn take(&self, ask: &Ask, answer: &Answer) -> Result<Page, PollError>;
}

/// A GET request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Where to.
    pub target: Target,
    /// The query, in addition to one in the target.
    pub query: Vec<(&'static str, String)>,
    /// The number of items before this page of the list.
    pub offset: usize,
    /// How the offset goes into the request, for a list that is paged by offset.
    pub paging: Option<Paging>,
    /// The field that counts a problem if the request fails, for a part of the read that is optional.
    /// Without it, a failure fails the read.
    pub optional: Option<&'static str>,
    /// The campaign whose details are asked for.
    pub about: Option<String>,
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
        below: &'static str,
    },
}

impl Ask {
    /// A request for an encoded path, which begins with a slash.
    pub fn path(path: impl Into<String>) -> Self {
        Self::of(Target::Path(path.into()))
    }

    /// A request for a link in an answer.
    pub fn link(href: impl Into<String>, below: &'static str) -> Self {
        let href = href.into();
        Self::of(Target::Link { href, below })
    }

    const fn of(target: Target) -> Self {
        Self {
            target,
            query: Vec::new(),
            offset: 0,
            paging: None,
            optional: None,
            about: None,
        }
    }

    /// The request with another parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// The request for the first page of a list whose pages have up to `size` items and are selected by
    /// an offset.
    #[must_use]
    pub const fn paged(mut self, parameter: &'static str, size: usize) -> Self {
        self.paging = Some(Paging { parameter, size });
        self
    }

    /// The request for the next page of a list that is paged by offset.
    pub fn after(&self, page: &Page) -> Option<Self> {
        let Paging { size, .. } = self.paging.filter(|_| page.more)?;
        // more items than requested do not move the next page, and a page of one item has no overlap
        let items = page.items.min(size).saturating_sub(OVERLAP).max(1);
        Some(self.clone().at(self.offset + items))
    }

    /// The request for the page that begins at an item.
    #[must_use]
    pub const fn at(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// The request as an optional part of the read.
    #[must_use]
    pub const fn or_problem(mut self, field: &'static str) -> Self {
        self.optional = Some(field);
        self
    }

    /// The request as one for the details of a campaign.
    #[must_use]
    pub fn about(mut self, campaign: impl Into<String>) -> Self {
        self.about = Some(campaign.into());
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
    /// Values and items that could not be read.
    pub problems: Problems,
    /// The id of each item, as far as it has one, of a list that is paged by offset.
    pub ids: Vec<Option<String>>,
    /// Whether another page follows, of a list that is paged by offset.
    pub more: bool,
    /// What no two pages of a list that is paged by links share, if pages follow: the link.
    pub mark: Option<String>,
    /// The requests that follow, before those that wait already.
    pub then: Vec<Ask>,
}

impl Page {
    /// Reads the items of an answer's list, if they are no more than any good page has. An item that is
    /// not what the provider documents costs only itself.
    pub fn of<'a, T: Deserialize<'a>>(
        ask: &Ask,
        list: List<'a>,
        field: &'static str,
        campaign: impl Fn(T, &mut Problems) -> Option<Campaign>,
    ) -> Result<Self, PollError> {
        let list = list.items();
        let items = list.len();
        if items > MAX_PAGE_ITEMS {
            let message = format!("a page of {items} items, more than {MAX_PAGE_ITEMS}");
            return Err(PollError::new(Reason::TooLarge, message));
        }
        let mut page = Self {
            items,
            ..Self::default()
        };
        // the page before counted theirs
        let mut problems_again = Problems::default();
        let again = if ask.paging.is_some() && ask.offset > 0 {
            OVERLAP
        } else {
            0
        };
        for (index, json) in list.into_iter().enumerate() {
            let problems = if index < again {
                &mut problems_again
            } else {
                &mut page.problems
            };
            let item = lenient::item(json, field, problems);
            let campaign = item.and_then(|item| campaign(item, problems));
            if ask.paging.is_some() {
                page.ids
                    .push(campaign.as_ref().map(|found| found.id.clone()));
            }
            page.found.extend(campaign.map(Found::Campaign));
        }
        Ok(page)
    }

    /// The campaigns.
    pub fn campaigns(&self) -> impl Iterator<Item = &Campaign> + Clone {
        self.found.iter().filter_map(|found| match found {
            Found::Campaign(campaign) => Some(campaign),
            Found::Counts(..) => None,
        })
    }
}

/// A campaign, or more about one.
#[derive(Debug)]
pub enum Found {
    /// A campaign, in place of an earlier one with the same id.
    Campaign(Campaign),
    /// Counts of a campaign that was found before. They replace its own.
    Counts(String, Counts),
}

/// What an answer says about the account.
#[derive(Debug, Default)]
pub struct AccountFacts {
    /// The credits left.
    pub credits: Option<f64>,
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
            let page = Page::of(&Ask::path("/"), list, "f", |(), _| None);
            let reason = page.err().map(|error| error.reason);
            assert_eq!(reason, (!is_good).then_some(Reason::TooLarge));
        }
    }

    #[test]
    fn a_segment_cannot_change_the_path() {
        assert_eq!(
            path(["v1", "../../admin?x=#y", "data"]),
            "/v1/..%2F..%2Fadmin%3Fx=%23y/data"
        );
        assert_eq!(path(["v1", "4711", "data"]), "/v1/4711/data");
    }
}
