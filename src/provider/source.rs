//! How a provider is read: what to ask, and what an answer means. Pure: without I/O, clock or host.

use std::fmt::Debug;
use std::sync::Arc;

use reqwest::Url;

use super::lenient::Problems;
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
    /// The number of items on earlier pages of the same list.
    pub offset: usize,
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

    /// The request with a parameter in place of its earlier value.
    #[must_use]
    pub fn replacing(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.retain(|(own, _)| *own != name);
        self.with(name, value)
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
    /// What no two pages of a list share, if pages follow: a link or the first id.
    pub mark: Option<String>,
    /// The requests that follow, before those that wait already.
    pub then: Vec<Ask>,
}

impl Page {
    /// A page with this number of items, if that is no more than any good page has.
    pub fn of(items: usize) -> Result<Self, PollError> {
        if items > MAX_PAGE_ITEMS {
            let message = format!("a page of {items} items, more than {MAX_PAGE_ITEMS}");
            return Err(PollError::new(Reason::TooLarge, message));
        }
        Ok(Self {
            items,
            ..Self::default()
        })
    }

    /// The id of the first campaign.
    pub fn first_id(&self) -> Option<String> {
        self.found.iter().find_map(|found| match found {
            Found::Campaign(campaign) => Some(campaign.id.clone()),
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
mod tests {
    use super::*;

    #[test]
    fn the_items_of_a_page_are_bounded() {
        assert!(Page::of(MAX_PAGE_ITEMS).is_ok());
        let error = Page::of(MAX_PAGE_ITEMS + 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
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
