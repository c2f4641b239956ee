//! A month of several accounts: campaigns, and events that must not cause alerts.

use std::sync::Arc;

use anyhow::{Context, Result};
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};
use campaign_exporter::provider::{self, native};

use crate::chance::{Chance, minutes, whole};
use crate::sending::{DAY, Outcome, Recount, Sending};

/// Evaluated days; the first is a Monday.
pub(crate) const DAYS: i64 = 30;

/// Minutes of the month.
pub(crate) const MONTH: i64 = DAYS * DAY;

/// Lookback of the exporter, a day longer than the rules need.
pub(crate) const LOOKBACK: i64 = 16 * DAY;

/// An account and its sending pattern.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    /// Whether a provider suits the account; the first that does is its provider.
    provider: fn(&provider::Kind) -> bool,
    pub(crate) token: Token,
    /// Campaigns on a sending day.
    per_day: f64,
    /// Sending days of the week, starting with Monday.
    days: [bool; 7],
    /// Messages of the smallest and the largest campaign.
    volume: (f64, f64),
    /// Share of WhatsApp campaigns.
    whatsapp: f64,
    /// Share of campaigns without a link.
    pub(crate) without_link: f64,
    /// Counts of the provider that this account's campaigns lack.
    missing_counts: &'static [Count],
    // usual ratios
    delivery: f64,
    click: f64,
    opt_out: f64,
    read: f64,
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

fn reports_credits(kind: &provider::Kind) -> bool {
    kind.fills("campaign_account_credits") && kind.statuses.contains(&Status::InModeration)
}

fn has_whatsapp(kind: &provider::Kind) -> bool {
    kind.channels.contains(&Channel::Whatsapp) && kind.reports(Count::Reads, &Channel::Whatsapp)
}

fn reports_clicks(kind: &provider::Kind) -> bool {
    kind.reports(Count::Clicks, &Channel::Sms) && !kind.rates.is_empty()
}

/// An account without campaigns.
const UNUSED: Account = Account {
    name: "",
    provider: |_| true,
    token: Token::Opaque,
    per_day: 0.0,
    days: ALL_WEEK,
    volume: (1.0, 1.0),
    whatsapp: 0.0,
    without_link: 0.0,
    missing_counts: &[],
    delivery: 0.96,
    click: 0.07,
    opt_out: 0.006,
    read: 0.65,
};

/// Accounts with all relevant patterns: daily and weekly, large and tiny, one and two channels, with and
/// without links, and without campaigns.
pub(crate) const ACCOUNTS: [Account; 10] = [
    Account {
        name: "shoes-ch",
        provider: reports_credits,
        token: Token::Dated,
        per_day: 2.2,
        days: WORKDAYS,
        volume: (1_000.0, 20_000.0),
        ..UNUSED
    },
    Account {
        name: "bank-fr",
        provider: reports_credits,
        token: Token::Dated,
        per_day: 1.2,
        days: WEEKDAYS,
        volume: (5_000.0, 100_000.0),
        delivery: 0.972,
        opt_out: 0.003,
        ..UNUSED
    },
    Account {
        name: "club-de",
        provider: reports_credits,
        token: Token::Dated,
        per_day: 1.3,
        volume: (20.0, 600.0),
        delivery: 0.95,
        ..UNUSED
    },
    Account {
        name: "desk-hk",
        provider: has_whatsapp,
        per_day: 2.3,
        days: WORKDAYS,
        volume: (400.0, 15_000.0),
        whatsapp: 0.4,
        ..UNUSED
    },
    Account {
        name: "hotel-tw",
        provider: has_whatsapp,
        per_day: 1.1,
        volume: (400.0, 8_000.0),
        whatsapp: 1.0,
        delivery: 0.95,
        read: 0.70,
        ..UNUSED
    },
    Account {
        name: "spring-us",
        provider: reports_clicks,
        token: Token::Renewed,
        per_day: 2.2,
        volume: (1_000.0, 30_000.0),
        click: 0.09,
        ..UNUSED
    },
    Account {
        name: "shop-uk",
        provider: reports_clicks,
        token: Token::Renewed,
        per_day: 1.4,
        days: WEEKDAYS,
        volume: (500.0, 10_000.0),
        without_link: 0.2,
        missing_counts: &[Count::Bounces],
        opt_out: 0.01,
        ..UNUSED
    },
    Account {
        name: "charity-us",
        provider: reports_clicks,
        token: Token::Renewed,
        per_day: 3.0,
        days: TUESDAYS,
        volume: (60.0, 20_000.0),
        delivery: 0.97,
        opt_out: 0.004,
        ..UNUSED
    },
    Account { name: "new-it", provider: reports_credits, token: Token::Dated, ..UNUSED },
    Account { name: "pilot-sg", provider: has_whatsapp, ..UNUSED },
];

/// The account that is configured incorrectly, once it is configured.
pub(crate) const NEVER_READ: usize = 9;

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
    /// Providers of the accounts.
    pub(crate) kinds: Vec<Arc<provider::Kind>>,
    pub(crate) sendings: Vec<Sending>,
    pub(crate) troubles: Vec<Trouble>,
    /// Campaigns sent to an old list.
    pub(crate) first_sends: Vec<String>,
}

impl Month {
    /// Creates a month without incidents.
    pub(crate) fn ordinary(seed: u64) -> Result<Self> {
        let (native, mut kinds, mut sendings) = (native(), Vec::new(), Vec::new());
        for (place, account) in ACCOUNTS.iter().enumerate() {
            let mut suitable = native.iter().filter(|kind| (account.provider)(kind));
            let kind = suitable.next().context("no provider suits an account")?;
            kinds.push(Arc::clone(kind));
            let mut chance = Chance::named(seed, account.name);
            for day in -LOOKBACK / DAY..DAYS {
                let weekday = usize::try_from(day.rem_euclid(7)).unwrap_or_default();
                if account.days.get(weekday) != Some(&true) {
                    continue;
                }
                let most = whole(account.per_day.ceil());
                let today = chance.successes(most, account.per_day / most.max(1) as f64);
                for number in 0..today {
                    // during working hours
                    let scheduled = day * DAY + chance.minute((8 * 60, 18 * 60));
                    let id = format!("{}-{}-{number}", account.name, day + LOOKBACK / DAY);
                    sendings.push(account.sending(place, kind, id, scheduled, &mut chance));
                }
            }
        }
        let mut month =
            Self { seed, kinds, sendings, troubles: Vec::new(), first_sends: Vec::new() };
        month.first_sends();
        month.restarts();
        Ok(month)
    }

    /// Returns the campaigns of an account.
    pub(crate) fn of(&self, account: usize) -> impl Iterator<Item = &Sending> {
        let sendings = self.sendings.iter();
        sendings.filter(move |sending| sending.account == account)
    }

    /// Sends some campaigns to old lists: about 85 % are delivered, the others bounce, and more recipients
    /// than usual opt out (Burst SMS, help article 44001076747).
    fn first_sends(&mut self) {
        const HOW_MANY: usize = 8;
        let mut chance = Chance::named(self.seed, "first sends");
        let mut candidates: Vec<_> = self
            .sendings
            .iter_mut()
            .filter(|sending| sending.scheduled > 0 && sending.recipients >= 1_000)
            .collect();
        chance.shuffle(&mut candidates);
        for sending in candidates.into_iter().take(HOW_MANY) {
            let delivery = chance.normal(0.85, 0.01);
            sending.deliver(&mut chance, delivery, 0.95);
            let opted_out = chance.between((0.02, 0.04));
            sending.outcome.opt_outs = chance.successes(sending.recipients, opted_out);
            self.first_sends.push(sending.id.clone());
        }
    }

    /// Adds occasional restarts of the exporter, which take one to three minutes, and single failed polls.
    fn restarts(&mut self) {
        let mut chance = Chance::named(self.seed, "restarts");
        for _ in 0..4 {
            let from = chance.minute((DAY, MONTH - DAY));
            self.troubles.push(Trouble {
                account: None,
                from,
                until: from + chance.minute((1, 4)),
                what: What::Down,
            });
        }
        for account in 0..ACCOUNTS.len() {
            self.troubles.push(Trouble {
                account: Some(account),
                from: 0,
                until: MONTH,
                what: What::Fails { reason: "timeout", part: 0.005 },
            });
        }
    }
}

impl Sending {
    /// Sets deliveries, and the share of the others that bounces; the rest gets no receipt.
    pub(crate) fn deliver(&mut self, chance: &mut Chance, delivery: f64, bounced: f64) {
        let deliveries = chance.successes(self.recipients, delivery);
        self.outcome.deliveries = deliveries;
        self.outcome.bounces = chance.successes(self.recipients - deliveries, bounced);
    }
}

impl Account {
    /// Returns whether the account's campaigns on a channel have a count.
    pub(crate) fn reports(&self, kind: &provider::Kind, count: Count, channel: &Channel) -> bool {
        kind.reports(count, channel) && !self.missing_counts.contains(&count)
    }

    /// Returns the usual number of campaigns in a week.
    pub(crate) fn per_week(&self) -> f64 {
        let days = self.days.iter().filter(|sends| **sends);
        self.per_day * days.count() as f64
    }

    /// Creates an ordinary campaign.
    pub(crate) fn sending(
        &self,
        place: usize,
        kind: &provider::Kind,
        id: String,
        scheduled: i64,
        chance: &mut Chance,
    ) -> Sending {
        let channel = if chance.happens(self.whatsapp) { Channel::Whatsapp } else { Channel::Sms };
        let recipients = whole(chance.log_between(self.volume));
        let created = scheduled - chance.minute((30, 36 * 60));
        // some are moderated, for much less than four hours
        let moderated = chance.happens(0.3).then(|| created + chance.minute((5, 180)));
        // queueing takes some time
        let sent = scheduled.max(moderated.unwrap_or(created)) + chance.minute((0, 20));
        let mut sending = Sending {
            id,
            account: place,
            counts_recipients: !kind.reports(Count::Sends, &channel),
            channel,
            created,
            scheduled,
            moderated_until: moderated,
            sent: Some(sent),
            denied: None,
            withdrawn: None,
            recipients,
            takes: minutes(recipients as f64 / chance.between((500.0, 2_000.0))).max(1),
            stall: None,
            outcome: Outcome::default(),
            slow: false,
            recount: None,
            reported_off: 0.0,
        };
        self.react(&mut sending, chance);
        if !kind.statuses.contains(&Status::InModeration) {
            sending.moderated_until = None;
        }
        sending
    }

    /// Draws the usual reactions of recipients.
    pub(crate) fn react(&self, sending: &mut Sending, chance: &mut Chance) {
        // smaller lists vary more
        let delivery = if sending.recipients < 150 {
            chance.between((0.5, 1.0))
        } else {
            chance.normal(self.delivery, 0.012).min(0.995)
        };
        let bounced = match sending.channel {
            Channel::Whatsapp => 1.0,
            _ => 0.8,
        };
        sending.deliver(chance, delivery, bounced);
        let (recipients, deliveries) = (sending.recipients, sending.outcome.deliveries);
        let clicked = if chance.happens(self.without_link) {
            0.0
        } else {
            self.click * chance.normal(0.0, 0.3).exp()
        };
        let opted_out = self.opt_out * chance.normal(0.0, 0.4).exp();
        let read = chance.normal(self.read, 0.05);
        let replied = chance.between((0.03, 0.15));
        let outcome = &mut sending.outcome;
        outcome.clicks = chance.successes(recipients, clicked);
        outcome.opt_outs = chance.successes(recipients, opted_out);
        if sending.channel == Channel::Whatsapp {
            outcome.reads = chance.successes(deliveries, read);
            outcome.replies = chance.successes(deliveries, replied);
            sending.slow = chance.happens(0.2);
        }
        // recounts change the result by one or two percent
        if let Some(sent) = sending.sent
            && chance.happens(0.1)
        {
            sending.recount = Some(Recount {
                minute: sent + chance.minute((180, 2 * DAY)),
                factor: chance.between((0.98, 1.02)),
            });
        }
    }
}
