//! Simulates the exporter over a month, and Prometheus' scrapes of it.
//!
//! Snapshot, rendering, counters, and what is usual are the exporter's own code, so figures cannot differ
//! from the real ones. Only the clock and the results of polls are simulated.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use campaign_exporter::campaign::curve::Curves;
use campaign_exporter::campaign::figures::Figure;
use campaign_exporter::campaign::history::History;
use campaign_exporter::campaign::window::Window;
use campaign_exporter::campaign::{Campaign, Ratio};
use campaign_exporter::config::Config;
use campaign_exporter::exposition::families;
use campaign_exporter::exposition::format::{Format, Writer};
use campaign_exporter::provider::{self, native};
use campaign_exporter::state::snapshot::{Change, Data, Snapshot, Update};
use campaign_exporter::telemetry::{AccountTelemetry, Telemetry};
use campaign_exporter::upstream::{PollError, Reason};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::time::Instant;

use crate::chance::{Chance, whole};
use crate::credits::Credits;
use crate::month::{Account, FIRST, LOOKBACK, MONTH, Month, Token, Trouble, What};
use crate::sending::{DAY, Sending};
use crate::series::{Series, Timeline};

/// Default poll interval in minutes.
const POLL_INTERVAL: i64 = 5;

/// First minute that Prometheus scrapes: rules look back for a week before the first evaluation.
pub(crate) const SCRAPED: i64 = EVALUATED - 7 * DAY;

/// First minute at which rules are evaluated.
pub(crate) const EVALUATED: i64 = -2 * DAY;

/// Second of the minute at which Prometheus scrapes; rules are evaluated at the full minute.
pub(crate) const SCRAPED_AT: i64 = 20;

/// Requests of an ordinary poll, and the daily limit.
const REQUESTS: f64 = 2.0;
const REQUESTS_A_DAY: f64 = 10_000.0;

/// Lifetime of a renewed token, and its age at renewal, in minutes.
const TOKEN_LIVES: i64 = DAY;
const TOKEN_RENEWED: i64 = 19 * 60;

/// Start of the month, a Monday.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_605)
}

/// Returns the time of a minute.
fn moment(minute: i64) -> DateTime<Utc> {
    start() + TimeDelta::minutes(minute)
}

/// Returns the configuration of all accounts. Nothing is read from the address or the file.
fn configuration(month: &Month) -> Result<String> {
    let accounts = month.accounts.iter().map(|account| {
        let api = account.kind.simulated.context("a provider without a simulated API")?;
        let mut keys = api.account("https://provider.example", Path::new("token"));
        let name = account.name.into();
        keys.as_object_mut().context("no keys")?.insert("name".to_owned(), name);
        Ok(keys)
    });
    let accounts: Vec<_> = accounts.collect::<Result<_>>()?;
    let global = json!({"lookback": "16d", "requests_per_day": whole(REQUESTS_A_DAY)});
    // JSON is YAML
    Ok(json!({"global": global, "accounts": accounts}).to_string())
}

/// Simulates the exporter for a month, and records the metrics with these names.
pub(crate) fn live(month: &Month, wanted: &HashSet<String>) -> Result<Vec<Series>> {
    let config = Config::parse(&configuration(month)?, &native(), None);
    let config = config.map_err(|problems| anyhow!("{problems:?}"))?;
    let clock = Instant::now();
    let mut accounts = Vec::new();
    for (place, account) in month.accounts.iter().enumerate() {
        let mut configured = config.accounts.iter();
        let configured = configured.find(|configured| configured.name == account.name);
        let configured = configured.context("an account without configuration")?;
        accounts.push(Polled::new(month, place, account, configured.clone(), clock)?);
    }
    let own = Telemetry::new()?;
    let mut timeline = Timeline::new(wanted, accounts.len() + 2);
    let (service, prometheus) = (accounts.len(), accounts.len() + 1);
    let is_on = |minute, what: fn(&What) -> bool| {
        let mut troubles = month.troubles.iter();
        troubles.any(|trouble| what(&trouble.what) && trouble.is_on(None, minute))
    };
    let mut was_scraped = false;
    for minute in FIRST..MONTH {
        let running = !is_on(minute, |what| matches!(what, What::Down));
        let known = !is_on(minute, |what| matches!(what, What::Absent));
        let scraped = running && known && minute >= SCRAPED;
        for (place, polled) in accounts.iter_mut().enumerate() {
            let changed = polled.minute(minute, running)?;
            if minute < SCRAPED {
                continue;
            }
            if !scraped {
                timeline.scrape(place, minute, "")?;
            } else if changed || !was_scraped {
                timeline.scrape(place, minute, &polled.scrape(minute))?;
            }
        }
        if minute < SCRAPED {
            continue;
        }
        if is_on(minute, |what| matches!(what, What::ReloadFailed)) {
            own.reload_failed("");
        } else {
            own.reload_succeeded();
        }
        let of_service = if scraped { written(&own) } else { String::new() };
        timeline.scrape(service, minute, &of_service)?;
        let mut others = String::new();
        if known {
            others += if running { "up 1\n" } else { "up 0\n" };
        }
        if is_on(minute, |what| matches!(what, What::UnusedThreshold)) {
            // an override with a typo in the account name
            let provider = month.accounts.first().map_or("", |account| &account.kind.name);
            others.extend([format!(
                "campaign_threshold{{threshold=\"delivery_ratio_warning\",provider=\"{provider}\",\
                 account=\"shoes-hc\"}} 0.95\n"
            )]);
        }
        timeline.scrape(prometheus, minute, &others)?;
        was_scraped = scraped;
    }
    Ok(timeline.finish())
}

fn written(telemetry: &Telemetry) -> String {
    let mut writer = Writer::new(Format::Text);
    writer.families(&telemetry.gather());
    writer.into_string()
}

/// A polled account.
struct Polled<'a> {
    place: usize,
    account: &'a Account,
    configured: campaign_exporter::config::Account,
    troubles: Vec<&'a Trouble>,
    sendings: Vec<&'a Sending>,
    credits: Option<Credits>,
    chance: Chance,
    clock: Instant,
    /// Snapshot of the exporter. It uses storage, so a restart changes nothing: data that became stale in
    /// the meantime disappears as usual.
    snapshot: Snapshot,
    telemetry: Telemetry,
    counters: AccountTelemetry,
    was_running: bool,
    was_configured: bool,
    /// Offset of polls within the interval, in seconds.
    phase: i64,
    /// Requests made today.
    requests: f64,
    token_expiry: Option<i64>,
    /// What the ratios of its campaigns were, and the campaigns of the last successful poll with its time.
    curves: Curves,
    before: Option<(History, DateTime<Utc>)>,
}

impl<'a> Polled<'a> {
    fn new(
        month: &'a Month,
        place: usize,
        account: &'a Account,
        configured: campaign_exporter::config::Account,
        clock: Instant,
    ) -> Result<Self> {
        let troubles = month.troubles.iter();
        Ok(Self {
            place,
            account,
            troubles: troubles.filter(|trouble| trouble.account == Some(place)).collect(),
            sendings: month.of(place).collect(),
            credits: Credits::of(month, place),
            chance: Chance::named(month.seed, &format!("polls of {}", account.name)),
            clock,
            snapshot: Snapshot::of(std::slice::from_ref(&configured)),
            telemetry: Telemetry::new()?,
            counters: counters(&configured)?,
            configured,
            was_running: false,
            was_configured: false,
            phase: 11 + 29 * i64::try_from(place)?,
            requests: 0.0,
            token_expiry: None,
            curves: Curves::default(),
            before: None,
        })
    }

    fn on(&self, minute: i64) -> impl Iterator<Item = What> {
        let on = self.troubles.iter();
        on.filter(move |trouble| trouble.is_on(Some(self.place), minute))
            .map(|trouble| trouble.what)
    }

    fn has(&self, minute: i64, what: fn(&What) -> bool) -> bool {
        self.on(minute).any(|trouble| what(&trouble))
    }

    /// Simulates up to the scrape of a minute. Returns whether anything visible changed.
    fn minute(&mut self, minute: i64, running: bool) -> Result<bool> {
        let configured = !self.has(minute, |what| matches!(what, What::Unconfigured));
        let mut changed = configured != self.was_configured;
        self.was_configured = configured;
        if minute % DAY == 0 {
            self.requests = 0.0;
            changed = true;
        }
        if running && !self.was_running {
            self.counters = counters(&self.configured)?;
            changed = true;
        }
        self.was_running = running;
        let scrape = minute * 60 + SCRAPED_AT;
        if running && configured {
            // the poll that ends between the previous scrape and this one, if any
            let number = (scrape - self.phase).div_euclid(POLL_INTERVAL * 60);
            let ended = number * POLL_INTERVAL * 60 + self.phase;
            if ended > scrape - 60 {
                self.poll(ended)?;
                changed = true;
            }
            changed |= self.snapshot.expire(self.instant(scrape));
        }
        Ok(changed)
    }

    fn kind(&self) -> &provider::Kind {
        self.configured.provider.kind()
    }

    /// Returns whether the provider limits the requests of a day.
    fn has_quota(&self) -> bool {
        self.kind().limits.per_day.is_some()
    }

    fn instant(&self, second: i64) -> Instant {
        self.clock + Duration::from_secs(u64::try_from(second - 60 * FIRST).unwrap_or_default())
    }

    fn poll(&mut self, ended: i64) -> Result<()> {
        let minute = ended.div_euclid(60);
        self.renew_token(minute);
        let failed = self.failure(minute);
        let result = match failed {
            None => Ok(self.read(minute)),
            Some(label) => {
                let reason = Reason::from_label(label).context("an unknown reason")?;
                Err(PollError::new(reason, label))
            }
        };
        match failed {
            None => self.counters.poll_succeeded(),
            Some(reason) => self.counters.poll_failed(reason),
        }
        if failed.is_none() && self.has(minute, |what| matches!(what, What::Unreadable)) {
            self.counters.decode_problems("delivered", 3);
        }
        if failed.is_none() && self.has(minute, |what| matches!(what, What::Contradicted)) {
            let rates = self.configured.provider.reported_rates();
            self.counters.mismatch(rates.first().context("no rates")?);
        }
        self.snapshot.apply(Change::Polled(Box::new(Update {
            at: start() + TimeDelta::seconds(ended),
            ended: self.instant(ended),
            took: Duration::from_secs(3),
            token_expiry: self.token_expiry.map(moment),
            ..Update::new(&self.configured, result)
        })));
        Ok(())
    }

    /// Renews the token, or states its expiry.
    fn renew_token(&mut self, minute: i64) {
        let stuck = self.has(minute, |what| matches!(what, What::TokenNotRenewed));
        match self.account.token {
            Token::Renewed => {
                let due = self
                    .token_expiry
                    .is_none_or(|expiry| minute >= expiry - TOKEN_LIVES + TOKEN_RENEWED);
                if due && !stuck {
                    self.token_expiry = Some(minute + TOKEN_LIVES);
                }
            }
            Token::Dated => {
                let mut troubles = self.troubles.iter();
                let runs_out = troubles.find(|trouble| {
                    matches!(trouble.what, What::TokenNotRenewed) && minute < trouble.until
                });
                let expiry = runs_out.map_or(MONTH + 90 * DAY, |trouble| trouble.from + 3 * DAY);
                self.token_expiry = Some(expiry);
            }
            Token::Opaque => {}
        }
    }

    /// Returns the failure reason of a poll, if it fails.
    fn failure(&mut self, minute: i64) -> Option<&'static str> {
        if self.token_expiry.is_some_and(|expiry| expiry <= minute) {
            return Some("auth");
        }
        if self.has_quota() {
            let many = self.on(minute).find_map(|what| match what {
                What::Requests(requests) => Some(requests),
                _ => None,
            });
            if self.requests >= REQUESTS_A_DAY {
                return Some("quota");
            }
            self.requests += many.unwrap_or(REQUESTS).round();
        }
        let on: Vec<What> = self.on(minute).collect();
        on.into_iter().find_map(|what| match what {
            What::Fails { reason, part } if self.chance.happens(part) => Some(reason),
            _ => None,
        })
    }

    /// Returns the data that the provider reports at a minute.
    fn read(&mut self, minute: i64) -> Data {
        let lists_planned = self.kind().fills("campaign_scheduled_timestamp_seconds");
        let mut campaigns: Vec<_> = self
            .sendings
            .iter()
            .filter(|sending| {
                let listed = sending.listed_from(lists_planned);
                let date = sending.sent.filter(|sent| *sent <= minute);
                listed.is_some_and(|listed| listed <= minute)
                    && sending.withdrawn.is_none_or(|withdrawn| minute < withdrawn)
                    && date.unwrap_or(sending.scheduled) > minute - LOOKBACK
            })
            .map(|sending| Arc::new(self.reported(sending, minute)))
            .collect();
        campaigns.sort_by_key(|campaign| std::cmp::Reverse(campaign.date()));
        let dropped = if self.has(minute, |what| matches!(what, What::Dropped)) {
            let dropped = campaigns.len() / 10 + 1;
            campaigns.truncate(campaigns.len() - dropped.min(campaigns.len()));
            dropped
        } else {
            0
        };
        Data {
            campaigns: self.with_usual(campaigns, moment(minute)),
            dropped,
            credits: self.credits.as_ref().map(|credits| credits.left(minute)),
            balance: None,
            reported_ratios: Vec::new(),
            ..Data::default()
        }
    }

    /// Adds what is usual to young campaigns, as the poller does.
    fn with_usual(&mut self, read: Vec<Arc<Campaign>>, now: DateTime<Utc>) -> Vec<Arc<Campaign>> {
        let window = Window::new(now - TimeDelta::minutes(LOOKBACK), now);
        let history = History::of_full_read(read.into_iter().collect(), window);
        let before = self.before.as_ref().map(|(history, time)| (history, *time));
        self.curves.observe(before, &history, now);
        let (mut campaigns, _) = history.newest(usize::MAX);
        self.before = Some((history, now));
        for campaign in &mut campaigns {
            if let Some(compared) = self.curves.compared(campaign, now) {
                *campaign = Arc::new(compared);
            }
        }
        campaigns
    }

    /// Returns a campaign with exactly the data that its provider reports.
    fn reported(&self, sending: &Sending, minute: i64) -> Campaign {
        let kind = self.kind();
        let counted = sending.counted(minute);
        let begun = sending.age(minute).is_some();
        let planned = |metric: &str, at: i64| (!begun && kind.fills(metric)).then(|| moment(at));
        let ratio = counted.deliveries as f64 / counted.attempted.max(1) as f64;
        // percentages have two decimals
        let percent = ((ratio + sending.reported_off) * 10_000.0).round() / 100.0;
        let reports_ratio = begun && kind.fills("campaign_reported_delivery_ratio");
        let reports_cost = kind.fills("campaign_cost_credits");
        let mut campaign = Campaign {
            id: sending.id.clone(),
            name: sending.id.as_str().into(),
            channel: sending.channel.clone(),
            status: (!kind.statuses.is_empty()).then_some(counted.status),
            last_sent: sending.sent.filter(|_| begun).map(moment),
            scheduled: planned("campaign_scheduled_timestamp_seconds", sending.scheduled)
                .filter(|_| !sending.unplanned),
            created: planned("campaign_created_timestamp_seconds", sending.created),
            cost_credits: reports_cost.then_some(sending.recipients as f64),
            figures: reports_ratio
                .then_some((Figure::Ratio(Ratio::Delivery), percent.max(0.0) / 100.0))
                .into_iter()
                .collect(),
            ..Campaign::default()
        };
        for (count, _) in &kind.counts {
            let reports = self.account.reports(*count, &sending.channel);
            let value = counted.get(*count).filter(|_| reports);
            campaign.counts.set(*count, value);
        }
        campaign
    }

    /// Returns the account's samples in a scrape.
    fn scrape(&self, minute: i64) -> String {
        if self.has(minute, |what| matches!(what, What::Unconfigured)) {
            return String::new();
        }
        self.telemetry.set_accounts(vec![self.counters.clone()]);
        let own = written(&self.telemetry);
        // samples of the exporter itself are scraped once
        let own = own.split_inclusive('\n').filter(|line| line.contains("account=\""));
        let mut text = families::render(&self.snapshot, Format::Text);
        text.extend(own);
        if self.has_quota() {
            // quota gauges belong to applications, which use the system clock
            let (provider, account) = (self.configured.provider.name(), self.account.name);
            let left = (REQUESTS_A_DAY - self.requests).max(0.0);
            for (metric, value) in [("remaining", left), ("limit", REQUESTS_A_DAY)] {
                text.extend([format!(
                    "campaign_account_api_requests_{metric}{{provider=\"{provider}\",\
                     account=\"{account}\"}} {value}\n"
                )]);
            }
        }
        text
    }
}

/// Creates the counters of an account.
fn counters(configured: &campaign_exporter::config::Account) -> Result<AccountTelemetry> {
    let provider = &configured.provider;
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let rates = provider.reported_rates();
    Ok(AccountTelemetry::new(
        provider.name(),
        &configured.name,
        reasons,
        rates,
        &provider.kind().fields,
        true,
    )?)
}
