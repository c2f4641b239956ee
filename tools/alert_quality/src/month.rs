//! A month of several accounts: campaigns, and events that must not cause alerts.
//!
//! Providers, rhythms, sizes, routes and recipients of the accounts differ by seed.

use std::sync::Arc;

use anyhow::{Context, Result};
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};
use campaign_exporter::provider::{self, native};

use crate::chance::{Chance, minutes, whole};
use crate::credits::Buying;
use crate::sending::{DAY, Outcome, Receipts, Recount, Sending, activity};

/// Evaluated days; the first is a Monday.
pub(crate) const DAYS: i64 = 30;

/// Minutes of the month.
pub(crate) const MONTH: i64 = DAYS * DAY;

/// Lookback of the exporter.
pub(crate) const LOOKBACK: i64 = 16 * DAY;

/// The exporter runs from this minute on, so that its accounts have a history when the month starts.
pub(crate) const FIRST: i64 = -17 * DAY;

/// An account and its sending pattern.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) kind: Arc<provider::Kind>,
    pub(crate) token: Token,
    pub(crate) buying: Buying,
    /// Campaigns on a sending day.
    per_day: f64,
    /// Sending days of the week, starting with Monday.
    days: [bool; 7],
    /// Local hours at which campaigns are sent.
    hours: (i64, i64),
    /// Median number of messages of a campaign, and the deviation of its logarithm.
    volume: (f64, f64),
    /// Messages sent in a minute.
    speed: f64,
    /// Share of WhatsApp campaigns.
    whatsapp: f64,
    /// Share of campaigns without a link.
    pub(crate) without_link: f64,
    /// Counts of the provider that this account's campaigns lack.
    missing_counts: &'static [Count],
    // usual ratios
    pub(crate) delivery: f64,
    /// Deviation of the delivery ratio between campaigns.
    pub(crate) spread: f64,
    /// Share of the lost messages that never get a receipt.
    unreported: f64,
    pub(crate) click: f64,
    pub(crate) opt_out: f64,
    read: f64,
    receipts: Receipts,
}

/// An account's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The exporter does not know when it expires.
    Opaque,
    /// States when it expires, and is replaced by hand.
    Dated,
    /// The exporter renews it.
    Renewed,
}

const WEEKDAYS: [bool; 7] = [true, true, true, true, true, false, false];
const WORKDAYS: [bool; 7] = [true, true, true, true, true, true, false];
const ALL_WEEK: [bool; 7] = [true; 7];
const TUESDAYS: [bool; 7] = [false, true, false, false, false, false, false];

fn has_statuses(kind: &provider::Kind) -> bool {
    kind.fills("campaign_account_credits") && kind.statuses.contains(&Status::InModeration)
}

fn has_whatsapp(kind: &provider::Kind) -> bool {
    kind.channels.contains(&Channel::Whatsapp) && kind.reports(Count::Reads, &Channel::Whatsapp)
}

fn reports_clicks(kind: &provider::Kind) -> bool {
    kind.reports(Count::Clicks, &Channel::Sms) && !kind.rates.is_empty()
}

/// Deviation of the logarithm of the click ratio between campaigns.
pub(crate) const CLICK_SPREAD: f64 = 0.25;

/// Largest campaign, and smallest.
const LARGEST: f64 = 1_000_000.0;
const SMALLEST: f64 = 20.0;

/// The account that sends daily, the one with one campaign a month, and that which is configured incorrectly, once it is configured.
pub(crate) const DAILY: &str = "daily-nl";
pub(crate) const MONTHLY: &str = "fair-at";
pub(crate) const NEVER_READ: &str = "pilot-sg";

/// Returns accounts with all relevant patterns.
fn accounts(seed: u64) -> Result<Vec<Account>> {
    let mut chance = Chance::named(seed, "accounts");
    let native = native();
    let mut of = |name, suits: fn(&provider::Kind) -> bool| {
        let kind = native.iter().find(|kind| suits(kind)).context("no provider suits")?;
        let validity = chance.one_of(&[DAY, 2 * DAY, 3 * DAY]).copied();
        Ok::<_, anyhow::Error>(Account {
            name,
            token: match (kind.rates.is_empty(), kind.statuses.is_empty()) {
                (false, _) => Token::Renewed,
                (_, false) => Token::Dated,
                _ => Token::Opaque,
            },
            kind: Arc::clone(kind),
            buying: chance.one_of(&Buying::ALL).copied().context("no rhythm")?,
            per_day: 1.0,
            days: ALL_WEEK,
            hours: (8, 18),
            volume: (1_000.0, 0.8),
            speed: chance.log_between((500.0, 4_000.0)),
            whatsapp: 0.0,
            without_link: 0.0,
            missing_counts: &[],
            delivery: chance.between((0.935, 0.985)),
            spread: chance.between((0.004, 0.012)),
            unreported: chance.between((0.05, 0.6)),
            click: chance.log_between((0.03, 0.12)),
            opt_out: chance.log_between((0.002, 0.01)),
            read: chance.between((0.55, 0.8)),
            receipts: Receipts {
                prompt: chance.log_between((0.15, 2.0)),
                off: chance.between((0.02, 0.10)),
                on_again: chance.between((120.0, 360.0)),
                validity: validity.context("no validity")?,
                held: None,
                zone: 60 * chance.minute((-5, 9)),
            },
        })
    };
    #[rustfmt::skip]
    let mut accounts = vec![
        Account { per_day: 2.0, days: WORKDAYS, volume: (4_000.0, 0.8), ..of("shoes-ch", has_statuses)? },
        // up to a million messages, for hours
        Account { per_day: 0.7, days: WEEKDAYS, volume: (100_000.0, 1.0), ..of("bank-fr", has_statuses)? },
        // small campaigns, below the documented minimum
        Account { per_day: 3.5, volume: (130.0, 0.4), ..of("club-de", has_statuses)? },
        Account { volume: (2_500.0, 0.6), ..of(DAILY, has_statuses)? },
        Account { per_day: 1.3, days: WORKDAYS, volume: (6_000.0, 0.9), ..of("food-es", has_statuses)? },
        Account { per_day: 2.0, volume: (1_500.0, 0.8), whatsapp: 0.4, ..of("desk-hk", has_whatsapp)? },
        Account { per_day: 1.2, volume: (1_200.0, 0.7), whatsapp: 1.0, ..of("hotel-tw", has_whatsapp)? },
        // in the evening, by a provider that reports only attempts and deliveries
        Account { per_day: 1.3, hours: (18, 22), volume: (3_000.0, 0.8), ..of("pizza-it", has_whatsapp)? },
        Account { per_day: 2.0, volume: (6_000.0, 0.8), ..of("spring-us", reports_clicks)? },
        Account {
            per_day: 1.2, days: WEEKDAYS, volume: (2_500.0, 0.8), without_link: 0.2,
            missing_counts: &[Count::Bounces], ..of("shop-uk", reports_clicks)?
        },
        Account { per_day: 3.0, days: TUESDAYS, volume: (1_500.0, 1.2), ..of("charity-us", reports_clicks)? },
        Account { per_day: 1.3, hours: (7, 21), volume: (10_000.0, 0.9), ..of("news-ca", reports_clicks)? },
        Account { volume: (4_000.0, 0.5), ..of(MONTHLY, has_statuses)? },
        Account { per_day: 0.0, ..of(NEVER_READ, has_whatsapp)? },
    ];
    for account in &mut accounts {
        if ![DAILY, MONTHLY].contains(&account.name) {
            account.per_day *= chance.between((0.8, 1.25));
        }
        account.volume.0 *= chance.log_between((0.5, 2.0));
        account.speed = account.speed.max(account.volume.0 / 40.0);
    }
    Ok(accounts)
}

/// A temporary problem between provider, exporter, and Prometheus.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// Affected account; `None` for problems of the exporter.
    pub(crate) account: Option<usize>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) what: What,
}

/// Kind of problem.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// This share of the polls fails for this reason.
    Fails { reason: &'static str, part: f64 },
    /// Each poll contains values that cannot be decoded.
    Unreadable,
    /// The sums of each poll do not match the campaigns.
    Contradicted,
    /// There are more campaigns than `max_campaigns`.
    Dropped,
    /// The token is not renewed.
    TokenNotRenewed,
    /// A poll takes this many requests.
    Requests(f64),
    /// The exporter is down.
    Down,
    /// The exporter is not a target of Prometheus.
    Absent,
    /// The configuration is invalid.
    ReloadFailed,
    /// The account is not configured.
    Unconfigured,
    /// There is an override for an account that does not exist.
    UnusedThreshold,
    /// Nobody buys credits.
    NoTopUps,
    /// Prometheus restarts.
    PrometheusRestarts,
}

impl Trouble {
    /// Returns whether the problem affects an account, or the exporter, at a minute.
    pub(crate) fn is_on(&self, account: Option<usize>, minute: i64) -> bool {
        self.account == account && (self.from..self.until).contains(&minute)
    }
}

/// All events of a month.
#[derive(Debug)]
pub(crate) struct Month {
    pub(crate) seed: u64,
    pub(crate) accounts: Vec<Account>,
    pub(crate) sendings: Vec<Sending>,
    pub(crate) troubles: Vec<Trouble>,
    /// Campaigns sent to an old list.
    pub(crate) first_sends: Vec<String>,
}

impl Month {
    /// Creates a month without incidents.
    pub(crate) fn ordinary(seed: u64) -> Result<Self> {
        let accounts = accounts(seed)?;
        let mut sendings = Vec::new();
        for (place, account) in accounts.iter().enumerate() {
            let mut chance = Chance::named(seed, account.name);
            for day in FIRST / DAY..DAYS {
                let weekday = usize::try_from(day.rem_euclid(7)).unwrap_or_default();
                let monthly = account.name == MONTHLY && day.rem_euclid(28) != 13;
                if monthly || account.days.get(weekday) != Some(&true) {
                    continue;
                }
                let most = whole(account.per_day.ceil());
                let today = chance.successes(most, account.per_day / most.max(1) as f64);
                for number in 0..today {
                    let (from, until) = account.hours;
                    let local = day * DAY + chance.minute((60 * from, 60 * until));
                    let scheduled = local - account.receipts.zone;
                    let id = format!("{}-{}-{number}", account.name, day - FIRST / DAY);
                    sendings.push(account.sending(place, id, scheduled, &mut chance));
                }
            }
        }
        let (troubles, first_sends) = (Vec::new(), Vec::new());
        let mut month = Self { seed, accounts, sendings, troubles, first_sends };
        month.first_sends();
        month.restarts();
        Ok(month)
    }

    /// Returns the campaigns of an account.
    pub(crate) fn of(&self, account: usize) -> impl Iterator<Item = &Sending> {
        let sendings = self.sendings.iter();
        sendings.filter(move |sending| sending.account == account)
    }

    /// Returns the place of an account.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.accounts.iter().position(|account| account.name == name)
    }

    /// Sends some campaigns to old lists: about 85 % are delivered, the others bounce, and more recipients
    /// than usual opt out (Burst SMS, help article 44001076747).
    fn first_sends(&mut self) {
        const HOW_MANY: usize = 8;
        let mut chance = Chance::named(self.seed, "first sends");
        let monthly = self.place(MONTHLY);
        let sendings = self.sendings.iter_mut();
        let mut candidates: Vec<_> = sendings
            .filter(|sending| sending.scheduled > 0 && sending.recipients >= 1_000)
            .filter(|sending| Some(sending.account) != monthly)
            .collect();
        chance.shuffle(&mut candidates);
        for sending in candidates.into_iter().take(HOW_MANY) {
            let delivery = chance.normal(0.85, 0.01);
            sending.deliver(&mut chance, delivery, 0.95, 0.0);
            let opted_out = chance.between((0.02, 0.04));
            sending.outcome.opt_outs = chance.successes(sending.recipients, opted_out);
            self.first_sends.push(sending.id.clone());
        }
    }

    /// Adds occasional restarts of the exporter, which take one to three minutes, and of Prometheus, and
    /// single failed polls.
    fn restarts(&mut self) {
        let mut chance = Chance::named(self.seed, "restarts");
        for what in [What::Down, What::Down, What::Down, What::PrometheusRestarts] {
            let from = chance.minute((DAY, MONTH - DAY));
            let until = from + chance.minute((1, 4));
            self.troubles.push(Trouble { account: None, from, until, what });
        }
        for account in 0..self.accounts.len() {
            self.troubles.push(Trouble {
                account: Some(account),
                from: FIRST,
                until: MONTH,
                what: What::Fails { reason: "timeout", part: 0.005 },
            });
        }
    }
}

impl Sending {
    /// Sets the share of deliveries, and of the other messages those that are rejected at once and those
    /// that expire; the rest gets no receipt.
    pub(crate) fn deliver(
        &mut self,
        chance: &mut Chance,
        delivery: f64,
        rejected: f64,
        expired: f64,
    ) {
        let outcome = &mut self.outcome;
        outcome.deliveries = chance.successes(self.recipients, delivery);
        let lost = self.recipients - outcome.deliveries;
        outcome.bounces = chance.successes(lost, rejected);
        outcome.expired =
            chance.successes(lost - outcome.bounces, expired / (1.0 - rejected).max(0.01));
    }
}

impl Account {
    /// Returns whether the account's campaigns on a channel have a count.
    pub(crate) fn reports(&self, count: Count, channel: &Channel) -> bool {
        self.kind.reports(count, channel) && !self.missing_counts.contains(&count)
    }

    /// Returns the usual number of campaigns in a week.
    pub(crate) fn per_week(&self) -> f64 {
        let days = self.days.iter().filter(|sends| **sends);
        let weeks = if self.name == MONTHLY { 28.0 } else { 1.0 };
        self.per_day * days.count() as f64 / weeks
    }

    /// Returns whether its campaigns have more messages than the documented minimum.
    pub(crate) fn is_large(&self) -> bool {
        self.volume.0 >= 400.0
    }

    /// Creates an ordinary campaign.
    pub(crate) fn sending(
        &self,
        place: usize,
        id: String,
        scheduled: i64,
        chance: &mut Chance,
    ) -> Sending {
        let channel = if chance.happens(self.whatsapp) { Channel::Whatsapp } else { Channel::Sms };
        let (median, deviation) = self.volume;
        let volume = median * chance.normal(0.0, deviation).exp();
        let created = scheduled - chance.minute((30, 36 * 60));
        // some are moderated, for much less than four hours
        let moderated = chance.happens(0.3).then(|| created + chance.minute((5, 180)));
        let has_moderation = self.kind.statuses.contains(&Status::InModeration);
        // queueing takes some time
        let sent = scheduled.max(moderated.unwrap_or(created)) + chance.minute((0, 20));
        let mut sending = Sending {
            id,
            account: place,
            counts_recipients: !self.kind.reports(Count::Sends, &channel),
            channel,
            created,
            scheduled,
            unplanned: false,
            moderated_until: moderated.filter(|_| has_moderation),
            sent: Some(sent),
            denied: None,
            withdrawn: None,
            recipients: 0,
            takes: 0,
            stall: None,
            outcome: Outcome::default(),
            receipts: self.receipts,
            recount: None,
            reported_off: 0.0,
        };
        self.send_to(&mut sending, volume, chance);
        sending
    }

    /// Sends a campaign to a number of recipients, who react as usual.
    pub(crate) fn send_to(&self, sending: &mut Sending, volume: f64, chance: &mut Chance) {
        sending.recipients = whole(volume.clamp(SMALLEST, LARGEST));
        sending.takes = minutes(sending.recipients as f64 / self.speed).max(1);
        let is_whatsapp = sending.channel == Channel::Whatsapp;
        let receipts = &mut sending.receipts;
        *receipts = self.receipts;
        receipts.prompt *= chance.normal(0.0, 0.25).exp();
        // more phones are off at night
        let night = 1.0 - activity(sending.sent.unwrap_or_default(), receipts.zone).min(1.0);
        receipts.off *= (1.0 + 1.5 * night) * chance.normal(0.0, 0.15).exp();
        if is_whatsapp {
            // recipients without a connection, many of them in one of five campaigns
            receipts.off += if chance.happens(0.2) { 0.40 } else { 0.15 };
        }
        // smaller lists vary more
        let delivery = if sending.recipients < 150 {
            chance.between((0.75, 1.0))
        } else {
            chance.normal(self.delivery, self.spread).min(0.995)
        };
        let (rejected, expired) = if is_whatsapp {
            (0.6, 0.0)
        } else {
            let reported = 1.0 - self.unreported;
            (0.6 * reported, 0.4 * reported)
        };
        sending.deliver(chance, delivery, rejected, expired);
        let (recipients, deliveries) = (sending.recipients, sending.outcome.deliveries);
        let clicked = if chance.happens(self.without_link) {
            0.0
        } else {
            self.click * chance.normal(0.0, CLICK_SPREAD).exp()
        };
        let opted_out = self.opt_out * chance.normal(0.0, 0.4).exp();
        let read = chance.normal(self.read, 0.05);
        let replied = chance.between((0.03, 0.15));
        let outcome = &mut sending.outcome;
        outcome.clicks = chance.successes(recipients, clicked);
        outcome.opt_outs = chance.successes(recipients, opted_out);
        if is_whatsapp {
            outcome.reads = chance.successes(deliveries, read);
            outcome.replies = chance.successes(deliveries, replied);
        }
        // recounts change the result by one or two percent
        sending.recount = chance.happens(0.1).then(|| Recount {
            minute: sending.sent.unwrap_or_default() + chance.minute((180, 2 * DAY)),
            factor: chance.between((0.98, 1.02)),
        });
    }
}
