//! The providers: one file each, complete in itself, and what they share.
//!
//! Adding a provider is one file beside the others and its entries here: its line in
//! [`Settings::NAMES`], its arm in [`Settings::read`], and what the compiler asks for once the
//! variant of [`Settings`] is there.

mod cinnox;
mod constant_contact;
mod lenient;
mod smsup;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::campaign::pool::{Campaigns, Pool};
use crate::campaign::{Campaign, Channel};
use crate::document::Section;
use crate::storage::store::Store;

use crate::campaign::window::Window;
use crate::upstream::auth::oauth::DeviceCode;
use crate::upstream::auth::tokens::{self, Access};
use crate::upstream::http::{self, Session};
use crate::upstream::quota::application::Limits;
use crate::upstream::{PollError, Reason};

pub use lenient::Problems;

/// Most pages of one read: at the smallest page size, Constant Contact's 50, 100,000 campaigns.
const MAX_PAGES: usize = 2_000;

/// Most items of one page: ten times as many as the largest one has, SMSUp's. More would cost a
/// gigabyte before they were counted.
const MAX_PAGE_ITEMS: usize = 10_000;

/// Most campaigns of one read, whatever the page size: about 500 MB.
pub const MAX_CAMPAIGNS: usize = 1_000_000;

/// The settings of one account at its provider.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    /// Constant Contact.
    ConstantContact(constant_contact::Settings),
    /// CINNOX.
    Cinnox(cinnox::Settings),
    /// SMSUp.
    Smsup(smsup::Settings),
}

impl Settings {
    /// The values of the `provider` label and key.
    pub const NAMES: [&'static str; 3] = [constant_contact::NAME, cinnox::NAME, smsup::NAME];

    /// Takes the keys of the provider called `name`. Tokens can be kept if there is `storage`.
    pub fn read(name: &str, section: &mut Section<'_>, storage: bool) -> Option<Self> {
        match name {
            constant_contact::NAME => {
                constant_contact::Settings::read(section, storage).map(Self::ConstantContact)
            }
            cinnox::NAME => cinnox::Settings::read(section).map(Self::Cinnox),
            smsup::NAME => smsup::Settings::read(section).map(Self::Smsup),
            _ => {
                section.let_pass();
                let names = Self::NAMES.join(", ");
                section.problem("provider", format!("{name:?} is none of: {names}"));
                None
            }
        }
    }

    /// The value of the `provider` label.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ConstantContact(_) => constant_contact::NAME,
            Self::Cinnox(_) => cinnox::NAME,
            Self::Smsup(_) => smsup::NAME,
        }
    }

    /// The channels that the account can have.
    pub fn channels(&self) -> &[Channel] {
        match self {
            Self::ConstantContact(_) => &constant_contact::CHANNELS,
            Self::Cinnox(settings) => settings.channels(),
            Self::Smsup(_) => &smsup::CHANNELS,
        }
    }

    /// The rates that the provider reports by itself for a whole result.
    pub const fn reported_rates(&self) -> &'static [&'static str] {
        match self {
            Self::ConstantContact(_) => &constant_contact::RATES,
            Self::Cinnox(_) | Self::Smsup(_) => &[],
        }
    }

    /// Whether this is the same account, read at the same place. A token that is kept elsewhere now
    /// makes no other account.
    pub fn same_account(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    fn identity(&self) -> (&'static str, &Url, Option<&str>) {
        let own = match self {
            Self::ConstantContact(settings) => settings.client_id(),
            Self::Cinnox(settings) => Some(settings.app_id()),
            Self::Smsup(_) => None,
        };
        (self.name(), self.base_url(), own)
    }

    const fn base_url(&self) -> &Url {
        match self {
            Self::ConstantContact(settings) => settings.base_url(),
            Self::Cinnox(settings) => settings.base_url(),
            Self::Smsup(settings) => settings.base_url(),
        }
    }

    /// What is allowed and still worth a look.
    pub fn warnings(&self) -> Vec<String> {
        let base_url = self.base_url();
        let mut warnings = Vec::new();
        if base_url.scheme() == "http" && !is_loopback(base_url) {
            warnings.push("base_url is http: the token travels unencrypted".to_owned());
        }
        warnings
    }

    /// What shares a quota with the account called `account`: at Constant Contact all accounts of
    /// one client, elsewhere the account alone.
    pub fn application(&self, account: &str) -> String {
        let (provider, base_url, own) = self.identity();
        let own = match self {
            Self::ConstantContact(_) => own.unwrap_or(account),
            Self::Cinnox(_) | Self::Smsup(_) => account,
        };
        format!("{provider} {base_url} {own}")
    }

    /// What the account's application may ask: the configured limits, else the published ones.
    pub fn limits(&self, configured: Limits) -> Limits {
        let published = match self {
            Self::ConstantContact(_) => constant_contact::Settings::limits(),
            // none of which the number is known
            Self::Cinnox(_) | Self::Smsup(_) => Limits::default(),
        };
        Limits {
            per_second: configured.per_second.or(published.per_second),
            per_day: configured.per_day.or(published.per_day),
        }
    }

    /// What decides which campaigns are read, and how, in one line: campaigns that were kept under
    /// another one are not this account's.
    pub fn source(&self) -> String {
        let (provider, base_url, own) = self.identity();
        let own = own.unwrap_or_default();
        let channels = self.channels().iter().map(Channel::as_str);
        let channels = channels.collect::<Vec<_>>().join(",");
        let time_zone = match self {
            Self::Smsup(settings) => settings.time_zone().name(),
            Self::ConstantContact(_) | Self::Cinnox(_) => "",
        };
        format!("{provider} {base_url} {own} {channels} {time_zone}")
    }

    /// Asks a person to consent to the account called `account`, and keeps the tokens. Returns
    /// whether they can be renewed. An error also where the provider has no such thing.
    pub async fn authorize(
        &self,
        account: &str,
        client: reqwest::Client,
        request_timeout: Duration,
        store: &Arc<Store>,
        show: impl FnOnce(&DeviceCode),
    ) -> Result<bool, PollError> {
        let registration = match self {
            Self::ConstantContact(settings) => settings.registration(),
            Self::Cinnox(_) | Self::Smsup(_) => None,
        };
        let Some(registration) = registration else {
            return Err(PollError::new(
                Reason::Client,
                "its configuration gives the token: there is nothing to authorise",
            ));
        };
        let transport = http::Transport::new(client, request_timeout);
        tokens::authorize(registration, account, store, &transport, show).await
    }

    /// What a poll makes of one page, or of what came in its place: for those who want to know what
    /// that takes, or what it does not take.
    pub fn decode(&self, status: u16, body: &[u8]) -> Result<Reading, PollError> {
        match self {
            Self::ConstantContact(settings) => settings.decode(status, body),
            Self::Cinnox(settings) => settings.decode(status, body),
            Self::Smsup(settings) => settings.decode(status, body),
        }
    }

    /// Reads every campaign of the window: all pages or nothing. What it finds of the known ones is
    /// not stored twice.
    pub async fn read_campaigns(
        &self,
        session: &Session,
        access: &Access,
        window: Window,
        known: &Arc<Campaigns>,
    ) -> Result<Reading, PollError> {
        match self {
            Self::ConstantContact(settings) => {
                settings
                    .read_campaigns(session, access, window, known)
                    .await
            }
            Self::Cinnox(settings) => settings.read_campaigns(session, window, known).await,
            Self::Smsup(settings) => settings.read_campaigns(session, window, known).await,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    // http and https addresses always have a host; an IPv6 one stands in brackets
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What one good read found.
#[derive(Debug, Default)]
pub struct Reading {
    campaigns: Campaigns,
    pool: Pool,
    /// The credits left, where the provider tells.
    pub credits: Option<f64>,
    /// The provider's own rates as ratios, where they speak of the whole result.
    pub reported_ratios: Vec<(&'static str, f64)>,
    /// The rates in which the provider's own figures differ from its counts, once a page.
    pub mismatches: Vec<&'static str>,
    /// Values and campaigns that could not be read.
    pub problems: Problems,
}

impl Reading {
    /// An empty one. What it will find of these campaigns is not stored twice.
    pub fn after(known: &Arc<Campaigns>) -> Self {
        Self {
            pool: Pool::of(Arc::clone(known)),
            ..Self::default()
        }
    }

    /// Adds a campaign. Pages shift while they are read, so one may come twice: the later is the
    /// fresher.
    fn add(&mut self, campaign: Campaign) {
        let campaign = self.pool.share(campaign);
        self.campaigns.insert(campaign);
    }

    /// Adds what a page has, and what of it could not be read.
    fn add_page(&mut self, campaigns: impl IntoIterator<Item = Campaign>, problems: Problems) {
        for campaign in campaigns {
            self.add(campaign);
        }
        self.problems.merge(problems);
    }

    /// Takes the campaigns.
    pub fn take_campaigns(&mut self) -> Campaigns {
        std::mem::take(&mut self.campaigns)
    }
}

/// Refuses a page that has more items than any good one.
fn check_items(items: usize) -> Result<(), PollError> {
    if items > MAX_PAGE_ITEMS {
        let message = format!("a page of {items} items, more than {MAX_PAGE_ITEMS}");
        return Err(PollError::new(Reason::TooLarge, message));
    }
    Ok(())
}

/// Ends a read whose pages have no end.
#[derive(Default)]
struct Pages {
    count: usize,
    seen: HashSet<String>,
}

impl Pages {
    /// Takes note of a page before the next one is asked for. `mark` is what no two pages share: the
    /// link to the next one, or the first id. A server that does not care where a page is to begin
    /// would otherwise seem to have one page only, or no last one.
    fn more(&mut self, reading: &Reading, mark: Option<String>) -> Result<(), PollError> {
        self.count += 1;
        let (count, campaigns) = (self.count, reading.campaigns.len());
        let message = if count >= MAX_PAGES || campaigns > MAX_CAMPAIGNS {
            format!("more than {count} pages with {campaigns} campaigns: try a shorter lookback")
        } else if mark.is_none_or(|mark| self.seen.insert(mark)) {
            return Ok(());
        } else {
            format!("page {count} is an earlier one again")
        };
        Err(PollError::new(Reason::Pagination, message))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn campaign(id: &str, seconds: Option<i64>, name: &str) -> Campaign {
        Campaign {
            id: id.to_owned(),
            name: name.into(),
            last_sent: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            ..Campaign::default()
        }
    }

    #[test]
    fn of_a_campaign_that_comes_twice_the_later_is_kept() {
        let mut reading = Reading::default();
        reading.add(campaign("x", Some(1), "first"));
        reading.add(campaign("x", Some(1), "second"));
        let campaigns = reading.take_campaigns();
        assert_eq!(campaigns.len(), 1);
        assert_eq!(campaigns.get("x").unwrap().name.as_ref(), "second");
    }

    #[test]
    fn pages_that_do_not_advance_have_no_end() {
        let reading = Reading::default();
        let mut pages = Pages::default();
        let mut more = |id: Option<&str>| pages.more(&reading, id.map(str::to_owned)).is_ok();
        assert!(more(Some("a")));
        assert!(more(Some("b")));
        // without an id there is nothing to compare
        assert!(more(None));
        assert!(more(None));
        assert!(more(Some("c")));
        assert!(!more(Some("b")));
    }

    #[test]
    fn a_page_has_no_more_items_than_any_good_one() {
        assert_eq!(check_items(MAX_PAGE_ITEMS), Ok(()));
        let error = check_items(MAX_PAGE_ITEMS + 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge);
    }

    #[test]
    fn there_is_a_last_page() {
        let reading = Reading::default();
        let mut pages = Pages::default();
        let read = (1..=2 * MAX_PAGES).find(|_| pages.more(&reading, None).is_err());
        assert_eq!(read, Some(MAX_PAGES));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, expected) in [
            ("http://localhost:8080", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:80", true),
            ("http://127.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
