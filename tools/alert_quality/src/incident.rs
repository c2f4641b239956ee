//! Planted incidents: what is truly wrong with messages, links, lists, routes, accounts or the exporter.
//!
//! The ranges were chosen before testing any rule against them, and know no thresholds: from what is
//! hardly worth telling to complete failures. [`crate::oracle`] says which must be told.

use anyhow::{Context, Result};
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};

use crate::chance::{Chance, minutes, whole};
use crate::month::{
    Account, DAILY, FIRST, MONTH, MONTHLY, Month, NEVER_READ, Token, Trouble, What,
};
use crate::oracle;
use crate::sending::{DAY, Recount, Sending, Stall};

const HOUR: i64 = 60;

/// A kind of incident, by its true cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Messages of a campaign are lost without a receipt, or expire.
    Lost,
    /// Recipients or networks reject messages of a campaign.
    Rejected,
    /// All campaigns of an account lose messages for hours.
    Route,
    /// Several accounts of a provider do at once.
    Outage,
    /// An account loses messages since before the month.
    LostForWeeks,
    /// A campaign loses messages, in an account that had a bad week before.
    LostAgain,
    /// All campaigns of an account that has only small ones lose messages for a day.
    ManySmall,
    /// The only campaign of a month loses messages.
    Monthly,
    /// A campaign that is sent for days loses messages.
    InProgress,
    /// All WhatsApp messages of a campaign are pending for hours.
    Pending,
    /// Messages of an account take an hour or two.
    Slow,
    /// Messages arrive, but their receipts come hours later.
    LateReceipts,
    Stalled,
    Links,
    /// A link that works on few phones.
    HalfLinks,
    OptOuts,
    Reads,
    /// An account that sends daily sends nothing for days.
    Stopped,
    Moderation,
    Overdue,
    Denied,
    /// Denied on a Friday evening, without a schedule. Must still be told on Monday.
    DeniedForTheWeekend,
    Backwards,
    Disagreement,
    Contradiction,
    Flapping,
    Stale,
    /// No account of a provider can be read.
    ProviderDown,
    NeverRead,
    Auth,
    TokenNotRenewed,
    TokenRunsOut,
    Quota,
    Credits,
    CreditsScheduled,
    Dropped,
    Down,
    Absent,
    Reload,
    Unreadable,
    UnusedThreshold,
}

/// What is expected of the alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// One must fire.
    Told,
    /// One may fire, as the incident is below the documented minimum volume or hardly more than chance.
    Allowed,
    /// A warning may fire, but none that wakes somebody.
    NotCritical,
}

/// An incident.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: Kind,
    /// None for incidents of the exporter.
    pub(crate) accounts: Vec<usize>,
    pub(crate) campaigns: Vec<String>,
    /// When the first affected message was sent, or the problem began.
    pub(crate) from: i64,
    /// When the campaign began with which the affected ones exceed the documented minimum volume; else the
    /// same. Delays count from here.
    pub(crate) since: i64,
    pub(crate) until: i64,
    pub(crate) demand: Demand,
    /// Whether its accounts had sent ten campaigns before.
    pub(crate) has_history: bool,
}

/// Messages of a campaign that need not be told: up to three quarters of the minimum of 200.
const SMALL: (f64, f64) = (30.0, 150.0);

/// Number of incidents of each kind. Those with a given time and long ones are first, so that others fit
/// around them.
const PLANTED: [(Kind, usize); 41] = [
    (Kind::Monthly, 1),
    (Kind::Down, 2),
    (Kind::Absent, 1),
    (Kind::LostForWeeks, 1),
    (Kind::NeverRead, 1),
    (Kind::Reload, 1),
    (Kind::UnusedThreshold, 1),
    (Kind::Stopped, 1),
    (Kind::LostAgain, 1),
    (Kind::Outage, 2),
    (Kind::ManySmall, 2),
    (Kind::InProgress, 1),
    (Kind::Route, 4),
    (Kind::Slow, 2),
    (Kind::LateReceipts, 3),
    (Kind::ProviderDown, 1),
    (Kind::Stale, 2),
    (Kind::Flapping, 1),
    (Kind::Auth, 2),
    (Kind::Quota, 1),
    (Kind::TokenNotRenewed, 1),
    (Kind::TokenRunsOut, 1),
    (Kind::Dropped, 1),
    (Kind::Unreadable, 1),
    (Kind::Contradiction, 1),
    (Kind::Credits, 1),
    (Kind::CreditsScheduled, 1),
    (Kind::DeniedForTheWeekend, 1),
    (Kind::Lost, 7),
    (Kind::Rejected, 3),
    (Kind::Pending, 2),
    (Kind::Stalled, 2),
    (Kind::Links, 2),
    (Kind::HalfLinks, 2),
    (Kind::OptOuts, 3),
    (Kind::Reads, 2),
    (Kind::Backwards, 1),
    (Kind::Moderation, 1),
    (Kind::Overdue, 1),
    (Kind::Denied, 1),
    (Kind::Disagreement, 1),
];

/// Plants incidents in a month.
pub(crate) struct Planter<'a> {
    month: &'a mut Month,
    chance: Chance,
    planted: Vec<Incident>,
    /// Reserved times of an account, or of all accounts.
    taken: Vec<(Option<usize>, i64, i64)>,
}

/// Plants all incidents.
pub(crate) fn plant(month: &mut Month) -> Result<Vec<Incident>> {
    let chance = Chance::named(month.seed, "incidents");
    let mut planter = Planter { month, chance, planted: Vec::new(), taken: Vec::new() };
    for (kind, number) in PLANTED {
        for _ in 0..number {
            planter.plant(kind).with_context(|| format!("no room for {kind:?}"))?;
        }
    }
    for kind in [Kind::Lost, Kind::Rejected, Kind::OptOuts] {
        planter.campaign(kind, true).with_context(|| format!("no room for a small {kind:?}"))?;
    }
    planter.maintenance().context("no room for maintenance")?;
    planter.mended().context("no room for a mended account")?;
    let mut incidents = planter.planted;
    oracle::judge(month, &mut incidents);
    Ok(incidents)
}

impl Planter<'_> {
    fn plant(&mut self, kind: Kind) -> Option<()> {
        match kind {
            Kind::Down | Kind::Absent | Kind::Reload | Kind::UnusedThreshold => self.service(kind),
            Kind::LostForWeeks
            | Kind::LostAgain
            | Kind::Route
            | Kind::Outage
            | Kind::ManySmall
            | Kind::Slow
            | Kind::LateReceipts => self.spell(kind),
            Kind::Stale
            | Kind::ProviderDown
            | Kind::NeverRead
            | Kind::Flapping
            | Kind::Auth
            | Kind::Quota
            | Kind::TokenNotRenewed
            | Kind::TokenRunsOut
            | Kind::Dropped
            | Kind::Unreadable
            | Kind::Contradiction => self.reading(kind),
            Kind::Stopped => self.stopped(),
            Kind::Credits => self.credits(),
            Kind::CreditsScheduled => self.planned_too_much(),
            _ => self.campaign(kind, false),
        }
    }

    fn is_free(&self, account: Option<usize>, from: i64, until: i64) -> bool {
        self.taken.iter().all(|(other, other_from, other_until)| {
            let elsewhere = account.is_some() && other.is_some() && account != *other;
            elsewhere || until <= *other_from || *other_until <= from
        })
    }

    /// Reserves accounts from two hours before to some time after.
    fn take(&mut self, accounts: &[usize], from: i64, until: i64) -> Option<()> {
        let (from, until) = (from - 2 * HOUR, until + 2 * HOUR);
        if !accounts.iter().all(|account| self.is_free(Some(*account), from, until)) {
            return None;
        }
        self.taken.extend(accounts.iter().map(|account| (Some(*account), from, until)));
        Some(())
    }

    fn happened(&mut self, kind: Kind, accounts: &[usize], from: i64, until: i64) {
        self.planted.push(Incident {
            kind,
            accounts: accounts.to_vec(),
            campaigns: Vec::new(),
            from,
            since: from,
            until,
            demand: Demand::Told,
            has_history: false,
        });
    }

    fn trouble(&mut self, account: Option<usize>, from: i64, until: i64, what: What) {
        let trouble = Trouble { account, from, until, what };
        self.month.troubles.push(trouble);
    }

    /// Retries until a slot is free.
    fn find<T>(&mut self, mut attempt: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        const ATTEMPTS: usize = 2_000;
        (0..ATTEMPTS).find_map(|_| attempt(self))
    }

    /// Returns the accounts that fit.
    fn with(&self, fits: impl Fn(&Account) -> bool) -> Vec<usize> {
        let accounts = self.month.accounts.iter().enumerate();
        accounts.filter(|(_, account)| fits(account)).map(|(place, _)| place).collect()
    }

    /// Returns the accounts of the same provider.
    fn neighbors(&self, place: usize) -> Vec<usize> {
        let name = |account: &Account| account.kind.name.to_string();
        let of = self.month.accounts.get(place).map(name);
        self.with(|account| Some(name(account)) == of)
    }

    /// Returns the accounts in which an incident of an account can be planted.
    fn places(&self, kind: Kind) -> Vec<usize> {
        self.with(|account| match kind {
            Kind::ManySmall => !account.is_large() && account.per_week() > 12.0,
            Kind::LostAgain | Kind::LostForWeeks => account.is_large() && account.per_week() > 7.5,
            Kind::Credits | Kind::CreditsScheduled => {
                account.kind.fills("campaign_account_credits") && account.per_week() > 5.0
            }
            Kind::Quota => account.kind.limits.per_day.is_some(),
            Kind::Contradiction => !account.kind.rates.is_empty(),
            Kind::TokenNotRenewed => account.token == Token::Renewed,
            Kind::TokenRunsOut => account.token == Token::Dated,
            Kind::NeverRead => account.name == NEVER_READ,
            _ => account.is_large() && account.name != NEVER_READ && account.name != MONTHLY,
        })
    }

    /// Plants incidents of the exporter itself. They occur at night, when no campaign is due for evaluation,
    /// so that they do not delay other alerts.
    fn service(&mut self, kind: Kind) -> Option<()> {
        let (lasts, what) = match kind {
            // longer than a restart, up to a whole night
            Kind::Down => ((15, 90), What::Down),
            Kind::Absent => ((40, 90), What::Absent),
            Kind::Reload => ((HOUR, 12 * HOUR), What::ReloadFailed),
            // until the next morning
            _ => ((8 * HOUR, 20 * HOUR), What::UnusedThreshold),
        };
        self.find(|planter| {
            let night = planter.chance.minute((2, MONTH / DAY - 1)) * DAY;
            let from = night + planter.chance.minute((HOUR, 5 * HOUR));
            let until = from + planter.chance.minute(lasts);
            if matches!(kind, Kind::Down | Kind::Absent) {
                if !planter.is_free(None, from - 2 * HOUR, until + 2 * HOUR) {
                    return None;
                }
                planter.taken.push((None, from, until));
            }
            planter.trouble(None, from, until, what);
            planter.happened(kind, &[], from, until);
            Some(())
        })
    }

    /// Plants incidents that affect the polls of an account.
    fn reading(&mut self, kind: Kind) -> Option<()> {
        let fails = |reason| What::Fails { reason, part: 1.0 };
        let places = self.places(kind);
        let (lasts, what) = match kind {
            Kind::Stale | Kind::ProviderDown => ((HOUR, 6 * HOUR), fails("server")),
            // most polls fail, some succeed
            Kind::Flapping => {
                let part = self.chance.between((0.7, 0.9));
                ((3 * HOUR, 8 * HOUR), What::Fails { reason: "timeout", part })
            }
            // until a new token is supplied during working hours
            Kind::Auth => ((HOUR, 8 * HOUR), fails("auth")),
            // the 10,000 requests per day are used up by the afternoon, instead of only a tenth of them
            Kind::Quota => {
                let requests = self.chance.between((80.0, 120.0));
                ((20 * HOUR, 20 * HOUR + 1), What::Requests(requests))
            }
            // renewal fails for some hours before the token expires
            Kind::TokenNotRenewed => ((30 * HOUR, 31 * HOUR), What::TokenNotRenewed),
            Kind::TokenRunsOut => ((12 * HOUR, 48 * HOUR), What::TokenNotRenewed),
            Kind::Dropped => ((3 * HOUR, 12 * HOUR), What::Dropped),
            Kind::Unreadable => ((2 * HOUR, 8 * HOUR), What::Unreadable),
            Kind::Contradiction => ((7 * HOUR, 12 * HOUR), What::Contradicted),
            _ => ((2 * DAY, 4 * DAY), What::Unconfigured),
        };
        self.find(|planter| {
            let place = *planter.chance.one_of(&places)?;
            let mut from = planter.chance.minute((2 * DAY, MONTH - 5 * DAY));
            if kind == Kind::Quota {
                from = from / DAY * DAY + planter.chance.minute((2 * HOUR, 4 * HOUR));
            }
            let until = from + planter.chance.minute(lasts);
            let mut hit = vec![place];
            if kind == Kind::ProviderDown {
                hit = planter.neighbors(place);
            }
            // incidents that do not affect the figures of campaigns may overlap those of campaigns
            if !matches!(kind, Kind::TokenRunsOut | Kind::Contradiction) {
                planter.take(&hit, from, until)?;
            }
            if kind == Kind::NeverRead {
                planter.trouble(Some(place), FIRST, from, What::Unconfigured);
                planter.trouble(Some(place), until, MONTH, What::Unconfigured);
                planter.trouble(Some(place), from, until, fails("client"));
            } else {
                for account in &hit {
                    planter.trouble(Some(*account), from, until, what);
                }
            }
            planter.happened(kind, &hit, from, until);
            Some(())
        })
    }

    /// A provider is maintained for 25 minutes, at night, four times. Nothing needs to be told.
    fn maintenance(&mut self) -> Option<()> {
        for _ in 0..4 {
            self.find(|planter| {
                let day = planter.chance.minute((2, MONTH / DAY - 1)) * DAY;
                let from = day + planter.chance.minute((0, 6 * HOUR));
                let place = *planter.chance.one_of(&planter.places(Kind::Stale))?;
                let hit = planter.neighbors(place);
                planter.take(&hit, from, from + 25)?;
                for account in hit {
                    let fails = What::Fails { reason: "server", part: 1.0 };
                    planter.trouble(Some(account), from, from + 25, fails);
                }
                Some(())
            })?;
        }
        Some(())
    }

    /// A rejected token is replaced after an hour, and then the provider does not answer for some more.
    fn mended(&mut self) -> Option<()> {
        self.find(|planter| {
            let place = *planter.chance.one_of(&planter.places(Kind::Auth))?;
            let from = planter.chance.minute((2 * DAY, MONTH - 2 * DAY));
            let mended = from + planter.chance.minute((HOUR, 2 * HOUR));
            let until = mended + planter.chance.minute((3 * HOUR, 6 * HOUR));
            planter.take(&[place], from, until)?;
            let fails = |reason| What::Fails { reason, part: 1.0 };
            planter.trouble(Some(place), from, mended, fails("auth"));
            planter.trouble(Some(place), mended, until, fails("timeout"));
            planter.happened(Kind::Auth, &[place], from, mended);
            planter.happened(Kind::Stale, &[place], mended, until);
            Some(())
        })
    }

    /// Plants a time in which all campaigns of one or several accounts do badly, because of a route, a
    /// sender or a provider rather than a list.
    fn spell(&mut self, kind: Kind) -> Option<()> {
        let places = self.places(kind);
        self.find(|planter| {
            let chance = &mut planter.chance;
            let place = *chance.one_of(&places)?;
            let start = chance.minute((3 * DAY, MONTH - 3 * DAY));
            let (from, until) = match kind {
                Kind::LostForWeeks => (FIRST, 20 * DAY),
                Kind::LostAgain => (-12 * DAY, -6 * DAY),
                Kind::Route => (start, start + chance.minute((6 * HOUR, 36 * HOUR))),
                Kind::ManySmall => (start, start + chance.minute((24 * HOUR, 48 * HOUR))),
                Kind::LateReceipts => (start, start + chance.minute((4 * HOUR, 6 * HOUR))),
                _ => (start, start + chance.minute((4 * HOUR, 12 * HOUR))),
            };
            let loss = match kind {
                Kind::LostForWeeks => chance.between((0.15, 0.40)),
                Kind::LostAgain => chance.between((0.3, 0.7)),
                Kind::Outage | Kind::ManySmall => chance.between((0.3, 1.0)),
                _ => chance.log_between((0.08, 1.0)),
            };
            let rejected = *chance.one_of(&[0.0, 0.5, 0.95])?;
            let slow = chance.between((40.0, 150.0));
            let mut hit = vec![place];
            if kind == Kind::Outage {
                hit = planter.neighbors(place);
            }
            let first_sends = planter.month.first_sends.clone();
            let during = |sending: &Sending| {
                let sent = sending.sent.is_some_and(|sent| (from..until).contains(&sent));
                sent && hit.contains(&sending.account) && !first_sends.contains(&sending.id)
            };
            let affected = || planter.month.sendings.iter().filter(|sending| during(sending));
            let mut accounts: Vec<_> = affected().map(|sending| sending.account).collect();
            accounts.sort_unstable();
            accounts.dedup();
            let messages: u64 = affected().map(|sending| sending.recipients).sum();
            if accounts.len() < if kind == Kind::Outage { 3 } else { 1 } || messages < 400 {
                return None;
            }
            // its campaigns are still recent on the next day
            if kind == Kind::LostForWeeks {
                // the exporter may be down meanwhile
                planter.taken.push((Some(place), from, until));
            } else {
                planter.take(&accounts, from, until + DAY)?;
            }
            let mut campaigns = Vec::new();
            let chance = &mut planter.chance;
            for sending in planter.month.sendings.iter_mut().filter(|sending| during(sending)) {
                match kind {
                    Kind::Slow => sending.receipts.prompt = slow,
                    Kind::LateReceipts => sending.receipts.held = Some((from, until)),
                    _ => sending.lose(chance, loss, rejected, 0.3),
                }
                campaigns.push(sending.id.clone());
            }
            planter.happened(kind, &accounts, from, until);
            planter.planted.last_mut()?.campaigns = campaigns;
            if kind == Kind::LostAgain {
                planter.planted.last_mut()?.demand = Demand::Allowed;
                return planter.campaign_of(Kind::LostAgain, Some(place), false);
            }
            Some(())
        })
    }

    /// Plants incidents of single campaigns.
    fn campaign(&mut self, kind: Kind, small: bool) -> Option<()> {
        let only = (kind == Kind::Monthly).then(|| self.month.place(MONTHLY)).flatten();
        self.campaign_of(kind, only, small)
    }

    fn campaign_of(&mut self, kind: Kind, only: Option<usize>, small: bool) -> Option<()> {
        let mut order: Vec<usize> = (0..self.month.sendings.len()).collect();
        self.chance.shuffle(&mut order);
        order.into_iter().find_map(|index| {
            let mut sending = self.month.sendings.get(index)?.clone();
            let account = self.month.accounts.get(sending.account)?.clone();
            let (place, sent) = (sending.account, sending.sent?);
            let last = if kind == Kind::LostAgain { 6 * DAY } else { MONTH - 3 * DAY };
            if only.is_some_and(|only| only != place)
                || self.month.first_sends.contains(&sending.id)
                || !(DAY..last).contains(&sent)
                || (sending.recipients < 250) != (!account.is_large() && small)
                || !can_have(kind, &account, &sending)
            {
                return None;
            }
            let until = match kind {
                Kind::InProgress => sent + 3 * DAY,
                Kind::Moderation | Kind::Overdue | Kind::Denied | Kind::Stalled => sent + 20 * HOUR,
                _ => sent + 26 * HOUR,
            };
            // a scheduled campaign fails before its time
            let from = match kind {
                Kind::Moderation | Kind::Denied => sending.created,
                _ => sent - 6 * HOUR,
            };
            self.take(&[place], from, until)?;
            if small {
                let volume = self.chance.log_between(SMALL);
                account.send_to(&mut sending, volume, &mut self.chance);
            }
            sending.recount = None;
            let (from, until) = self.bend(kind, &account, &mut sending)?;
            self.happened(kind, &[place], from, until);
            self.planted.last_mut()?.campaigns = vec![sending.id.clone()];
            *self.month.sendings.get_mut(index)? = sending;
            Some(())
        })
    }

    /// Applies an incident to a campaign. Returns when its first message is affected, and when it ends.
    fn bend(&mut self, kind: Kind, account: &Account, sending: &mut Sending) -> Option<(i64, i64)> {
        let chance = &mut self.chance;
        let sent = sending.sent?;
        match kind {
            Kind::Lost | Kind::LostAgain => {
                let loss = chance.log_between((0.08, 1.0));
                let (rejected, expired) = (chance.between((0.0, 0.1)), chance.between((0.0, 0.5)));
                sending.lose(chance, loss, rejected, expired);
            }
            Kind::Monthly => {
                let loss = chance.between((0.2, 0.9));
                sending.lose(chance, loss, 0.5, 0.2);
            }
            // worse than the oldest list
            Kind::Rejected => {
                let loss = chance.between((0.25, 0.9));
                sending.lose(chance, loss, 0.95, 0.0);
            }
            Kind::InProgress => {
                sending.takes = minutes(chance.between((2.0, 3.0)) * DAY as f64);
                let loss = chance.between((0.3, 0.8));
                sending.lose(chance, loss, 0.5, 0.2);
                return Some((sent, sent + sending.takes));
            }
            Kind::Pending => {
                let until = sent + chance.minute((4 * HOUR, 14 * HOUR));
                sending.receipts.held = Some((sent, until));
                return Some((sent, until));
            }
            // five times the usual, up to what makes carriers suspend senders
            Kind::OptOuts => {
                let times = chance.between((5.0, 20.0));
                let share = (account.opt_out * times).min(0.25);
                sending.outcome.opt_outs = chance.successes(sending.recipients, share);
            }
            Kind::Links | Kind::HalfLinks => {
                let left = chance.between(match kind {
                    Kind::Links => (0.0, 0.10),
                    _ => (0.15, 0.40),
                });
                sending.outcome.clicks = whole(sending.outcome.clicks as f64 * left);
            }
            // from a hardly read template to half of the usual ratio
            Kind::Reads => {
                let left = chance.between((0.15, 0.48));
                sending.outcome.reads = whole(sending.outcome.reads as f64 * left);
            }
            // beyond half a working day, up to a day
            Kind::Moderation => {
                let until = sending.created + chance.minute((8 * HOUR, 20 * HOUR));
                sending.moderated_until = Some(until);
                sending.sent = Some(until.max(sending.scheduled) + 5);
                return Some((sending.created, until));
            }
            Kind::Stalled => {
                // a campaign that takes at least half an hour
                sending.takes = sending.takes.max(30);
                let (after, lasts) = (chance.between((0.2, 0.8)), chance.minute((240, 600)));
                sending.stall = Some(Stall { after, lasts });
                let from = sent + minutes(sending.takes as f64 * after);
                return Some((from, from + lasts));
            }
            // up to a morning
            Kind::Overdue => {
                sending.moderated_until = None;
                let sent = sending.scheduled + chance.minute((90, 6 * HOUR));
                sending.sent = Some(sent);
                return Some((sending.scheduled, sent));
            }
            Kind::Denied | Kind::DeniedForTheWeekend => {
                let mut until = MONTH;
                if kind == Kind::DeniedForTheWeekend {
                    let friday = sent.div_euclid(7 * DAY) * 7 * DAY + 4 * DAY;
                    sending.created = friday + chance.minute((15 * HOUR, 18 * HOUR));
                    sending.unplanned = true;
                    until = friday + 3 * DAY + 8 * HOUR;
                    sending.withdrawn = Some(until + DAY);
                }
                let denied = sending.created + chance.minute((10, 180));
                sending.moderated_until = Some(denied);
                sending.denied = Some(denied);
                sending.sent = None;
                return Some((denied, until));
            }
            // from twice the usual to a large part of the campaign
            Kind::Backwards => {
                let minute = sent + minutes(chance.between((150.0, 1_400.0)));
                let factor = 1.0 - chance.between((0.10, 0.40));
                sending.recount = Some(Recount { minute, factor });
                return Some((minute, minute));
            }
            Kind::Disagreement => {
                let off = chance.between((0.04, 0.20));
                sending.reported_off = if chance.happens(0.5) { off } else { -off };
            }
            _ => return None,
        }
        Some((sent, sent + sending.takes))
    }

    /// An account that sends daily sends nothing for some days.
    fn stopped(&mut self) -> Option<()> {
        let place = self.month.place(DAILY)?;
        self.find(|planter| {
            let from = planter.chance.minute((8, 20)) * DAY;
            let until = from + planter.chance.minute((4, 8)) * DAY;
            planter.take(&[place], from, until)?;
            let is_gone = |sending: &Sending| {
                sending.account == place && (from..until).contains(&sending.scheduled)
            };
            let gone = planter.month.sendings.iter().filter(|sending| is_gone(sending));
            let since = gone.map(|sending| sending.scheduled).min()?;
            planter.month.sendings.retain(|sending| !is_gone(sending));
            planter.happened(Kind::Stopped, &[place], since, until);
            Some(())
        })
    }

    /// Plants a time without purchases of credits.
    fn credits(&mut self) -> Option<()> {
        let places = self.places(Kind::Credits);
        let place = *self.chance.one_of(&places)?;
        let from = self.chance.minute((8 * DAY, 9 * DAY));
        self.trouble(Some(place), from, MONTH, What::NoTopUps);
        self.happened(Kind::Credits, &[place], from, MONTH);
        Some(())
    }

    /// Plants a scheduled campaign that costs more than the remaining credits.
    fn planned_too_much(&mut self) -> Option<()> {
        let places = self.places(Kind::CreditsScheduled);
        self.find(|planter| {
            let place = *planter.chance.one_of(&places)?;
            let mut planted = planter.planted.iter();
            if planted.any(|other| other.kind == Kind::Credits && other.accounts == [place]) {
                return None;
            }
            let day = planter.chance.minute((5, MONTH / DAY - 5)) * DAY;
            let created = day + planter.chance.minute((9 * HOUR, 16 * HOUR));
            let until = created + planter.chance.minute((3 * HOUR, 12 * HOUR));
            planter.take(&[place], created, until)?;
            let id = format!("too-much-{}", day / DAY);
            let account = planter.month.accounts.get(place)?;
            let mut sending = account.sending(place, id.clone(), created, &mut planter.chance);
            sending.created = created;
            sending.scheduled = created + 30 * HOUR;
            sending.moderated_until = None;
            sending.sent = None;
            sending.withdrawn = Some(until);
            // far more than any of the accounts has
            sending.recipients = 30_000_000;
            planter.month.sendings.push(sending);
            planter.happened(Kind::CreditsScheduled, &[place], created, until);
            planter.planted.last_mut()?.campaigns = vec![id];
            Some(())
        })
    }
}

impl Sending {
    /// Loses a share of the messages that would have been delivered. Of these, some are rejected, some
    /// expire, and the rest gets no receipt.
    fn lose(&mut self, chance: &mut Chance, share: f64, rejected: f64, expired: f64) {
        let outcome = &mut self.outcome;
        let lost = chance.successes(outcome.deliveries, share);
        outcome.deliveries -= lost;
        let bounces = chance.successes(lost, rejected);
        outcome.bounces += bounces;
        if self.channel != Channel::Whatsapp {
            outcome.expired += chance.successes(lost - bounces, expired);
        }
        let left = |count: u64| whole(count as f64 * (1.0 - share));
        outcome.clicks = left(outcome.clicks);
        outcome.opt_outs = left(outcome.opt_outs);
        outcome.reads = left(outcome.reads);
        outcome.replies = left(outcome.replies);
    }
}

/// Returns whether the provider of a campaign reports what is needed to detect this incident.
fn can_have(kind: Kind, account: &Account, sending: &Sending) -> bool {
    let reports = |count| account.reports(count, &sending.channel);
    let has = |status| account.kind.statuses.contains(&status);
    let untouched = sending.stall.is_none() && sending.denied.is_none();
    untouched
        && match kind {
            Kind::OptOuts => reports(Count::OptOuts),
            // not detectable if some campaigns have no link
            Kind::Links | Kind::HalfLinks => {
                reports(Count::Clicks) && account.without_link <= 0.0 && sending.outcome.clicks > 0
            }
            Kind::Reads => reports(Count::Reads),
            Kind::Pending => sending.channel == Channel::Whatsapp,
            Kind::Moderation => has(Status::InModeration),
            Kind::Stalled | Kind::InProgress => has(Status::InProgress),
            Kind::Overdue => account.kind.fills("campaign_scheduled_timestamp_seconds"),
            Kind::Denied | Kind::DeniedForTheWeekend => has(Status::Denied),
            Kind::Disagreement => account.kind.fills("campaign_reported_delivery_ratio"),
            _ => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_month_has_room_for_its_incidents() {
        for seed in (1..=8).chain(101..=108) {
            let mut month = Month::ordinary(seed).unwrap();
            let planted = plant(&mut month).unwrap();
            let unfit = |incident: &&Incident| incident.until < incident.from;
            assert_eq!(planted.iter().filter(unfit).count(), 0, "seed {seed}");
        }
    }
}
