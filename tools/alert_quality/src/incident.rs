//! Planted incidents, and their severity.
//!
//! The ranges, with their reasons, were chosen before testing any rule against them. They start at values
//! clearly beyond the thresholds, and extend to complete failures.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};
use campaign_exporter::provider;

use crate::chance::{Chance, minutes, whole};
use crate::month::{ACCOUNTS, Account, LOOKBACK, MONTH, Month, NEVER_READ, Token, Trouble, What};
use crate::sending::{DAY, Recount, Sending, Stall};

const HOUR: i64 = 60;

/// A kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Delivery(Depth),
    AccountDelivery(Depth),
    Bounces(Depth),
    AccountBounces(Depth),
    OptOuts(Depth),
    Clicks,
    Reads,
    Moderation,
    Stalled,
    Overdue,
    Denied,
    Backwards,
    Disagreement,
    Contradiction,
    Flapping,
    Stale(Depth),
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

/// Severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    Warning,
    Critical,
}

impl fmt::Display for Depth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// An incident that should cause an alert.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: Kind,
    /// `None` for incidents of the exporter.
    pub(crate) account: Option<usize>,
    pub(crate) campaigns: Vec<String>,
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Whether the volume is below the documented minimum, so that no alert is required.
    pub(crate) small: bool,
}

/// Messages of a campaign that must be detected: above 500, the minimum for critical alerts and clicks, up
/// to a large campaign.
const VOLUME: (f64, f64) = (600.0, 20_000.0);

/// Messages of a campaign that need not be detected: up to three quarters of the minimum of 200.
const SMALL: (f64, f64) = (30.0, 150.0);

/// Number of incidents of each kind, and of those below the minimum volume.
const PLANTED: [(Kind, usize, usize); 35] = {
    use Depth::{Critical, Warning};
    [
        // long incidents first, so that shorter ones fit around them
        (Kind::NeverRead, 1, 0),
        (Kind::Down, 2, 0),
        (Kind::Absent, 1, 0),
        (Kind::Reload, 1, 0),
        (Kind::UnusedThreshold, 1, 0),
        (Kind::AccountDelivery(Warning), 2, 0),
        (Kind::AccountDelivery(Critical), 1, 0),
        (Kind::AccountBounces(Warning), 1, 0),
        (Kind::AccountBounces(Critical), 1, 0),
        (Kind::Stale(Critical), 1, 0),
        (Kind::Stale(Warning), 2, 0),
        (Kind::Flapping, 2, 0),
        (Kind::Auth, 2, 0),
        (Kind::Quota, 1, 0),
        (Kind::TokenNotRenewed, 1, 0),
        (Kind::TokenRunsOut, 1, 0),
        (Kind::Dropped, 1, 0),
        (Kind::Unreadable, 1, 0),
        (Kind::Contradiction, 1, 0),
        (Kind::Credits, 1, 0),
        (Kind::CreditsScheduled, 1, 0),
        (Kind::Delivery(Warning), 4, 2),
        (Kind::Delivery(Critical), 3, 1),
        (Kind::Bounces(Warning), 2, 1),
        (Kind::Bounces(Critical), 1, 0),
        (Kind::OptOuts(Warning), 2, 1),
        (Kind::OptOuts(Critical), 1, 0),
        (Kind::Clicks, 2, 1),
        (Kind::Reads, 2, 1),
        (Kind::Backwards, 2, 0),
        (Kind::Moderation, 2, 0),
        (Kind::Stalled, 2, 0),
        (Kind::Overdue, 2, 0),
        (Kind::Denied, 2, 0),
        (Kind::Disagreement, 2, 0),
    ]
};

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
    for (kind, judged, small) in PLANTED {
        for number in 0..judged + small {
            planter
                .plant(kind, number >= judged)
                .with_context(|| format!("no room for {kind:?}"))?;
        }
    }
    Ok(planter.planted)
}

impl Planter<'_> {
    fn plant(&mut self, kind: Kind, small: bool) -> Option<()> {
        match kind {
            Kind::Down | Kind::Absent | Kind::Reload | Kind::UnusedThreshold => self.service(kind),
            Kind::AccountDelivery(_) | Kind::AccountBounces(_) => self.spell(kind),
            Kind::Stale(_)
            | Kind::NeverRead
            | Kind::Flapping
            | Kind::Auth
            | Kind::Quota
            | Kind::TokenNotRenewed
            | Kind::TokenRunsOut
            | Kind::Dropped
            | Kind::Unreadable
            | Kind::Contradiction => self.reading(kind),
            Kind::Credits => self.credits(),
            Kind::CreditsScheduled => self.planned_too_much(),
            Kind::Delivery(_)
            | Kind::Bounces(_)
            | Kind::OptOuts(_)
            | Kind::Clicks
            | Kind::Reads
            | Kind::Moderation
            | Kind::Stalled
            | Kind::Overdue
            | Kind::Denied
            | Kind::Backwards
            | Kind::Disagreement => self.campaign(kind, small),
        }
    }

    fn is_free(&self, account: Option<usize>, from: i64, until: i64) -> bool {
        self.taken.iter().all(|(other, other_from, other_until)| {
            let elsewhere = account.is_some() && other.is_some() && account != *other;
            elsewhere || until <= *other_from || *other_until <= from
        })
    }

    /// Reserves an account from two hours before to some time after.
    fn take(&mut self, account: Option<usize>, from: i64, until: i64) -> Option<()> {
        let (from, until) = (from - 2 * HOUR, until + 2 * HOUR);
        if !self.is_free(account, from, until) {
            return None;
        }
        self.taken.push((account, from, until));
        Some(())
    }

    fn happened(&mut self, kind: Kind, account: Option<usize>, from: i64, until: i64) {
        self.planted.push(Incident {
            kind,
            account,
            campaigns: Vec::new(),
            from,
            until,
            small: false,
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
    fn with(&self, fits: impl Fn(&Account, &provider::Kind) -> bool) -> Vec<usize> {
        let accounts = ACCOUNTS.iter().zip(&self.month.kinds).enumerate();
        let accounts = accounts.filter(|(_, (account, kind))| fits(account, kind));
        accounts.map(|(place, _)| place).collect()
    }

    /// Returns the accounts in which an incident of an account can be planted.
    fn places(&self, kind: Kind) -> Vec<usize> {
        // twice a day, so that there are several campaigns
        let is_busy = |account: &Account| account.per_week() > 12.0;
        match kind {
            Kind::AccountDelivery(_) => self.with(|account, _| is_busy(account)),
            Kind::AccountBounces(_) => self.with(|account, kind| {
                is_busy(account) && account.reports(kind, Count::Bounces, &Channel::Sms)
            }),
            Kind::Credits | Kind::CreditsScheduled => {
                self.with(|_, kind| kind.fills("campaign_account_credits"))
            }
            Kind::Quota => self.with(|_, kind| kind.limits.per_day.is_some()),
            Kind::Contradiction => self.with(|_, kind| !kind.rates.is_empty()),
            Kind::TokenNotRenewed => self.with(|account, _| account.token == Token::Renewed),
            Kind::TokenRunsOut => {
                self.with(|account, _| account.token == Token::Dated && account.per_week() > 0.0)
            }
            Kind::Auth => (0..NEVER_READ).collect(),
            Kind::NeverRead => vec![NEVER_READ],
            Kind::Stale(Depth::Critical) => vec![0],
            Kind::Dropped | Kind::Unreadable => vec![0, 3, 5],
            _ => vec![0, 1, 3, 4, 5, 6, 7],
        }
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
                planter.take(None, from, until)?;
            }
            planter.trouble(None, from, until, what);
            planter.happened(kind, None, from, until);
            Some(())
        })
    }

    /// Plants incidents that affect the polls of an account.
    fn reading(&mut self, kind: Kind) -> Option<()> {
        let fails = |reason| What::Fails { reason, part: 1.0 };
        let places = self.places(kind);
        let (lasts, what) = match kind {
            // longer than three polls and the `for` of five minutes, shorter than an hour
            Kind::Stale(Depth::Warning) => ((30, 55), fails("network")),
            // partial outage of a provider
            Kind::Stale(Depth::Critical) => ((2 * HOUR, 6 * HOUR), fails("server")),
            Kind::Flapping => (
                (3 * HOUR, 8 * HOUR),
                What::Fails {
                    reason: "timeout",
                    // most polls fail, some succeed
                    part: 0.0,
                },
            ),
            // until a new token is supplied during working hours
            Kind::Auth => ((HOUR, 8 * HOUR), fails("auth")),
            Kind::Quota => ((20 * HOUR, 20 * HOUR + 1), What::Requests(0.0)),
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
            let what = match what {
                What::Fails { reason, part } if part <= 0.0 => {
                    What::Fails { reason, part: planter.chance.between((0.7, 0.9)) }
                }
                // the 10,000 requests per day are used up by the afternoon, instead of only a tenth of them
                What::Requests(_) => {
                    from = from / DAY * DAY + planter.chance.minute((2 * HOUR, 4 * HOUR));
                    What::Requests(planter.chance.between((80.0, 120.0)))
                }
                other => other,
            };
            let until = from + planter.chance.minute(lasts);
            // an outage affects all accounts of the provider
            let provider = Arc::clone(planter.month.kinds.get(place)?);
            let hit = match kind {
                Kind::Stale(Depth::Critical) => planter.with(|_, at| at.name == provider.name),
                _ => vec![place],
            };
            let free = |account: &usize| {
                planter.is_free(Some(*account), from - 2 * HOUR, until + 2 * HOUR)
            };
            if !hit.iter().all(free) {
                return None;
            }
            for account in &hit {
                // incidents that do not affect the figures of campaigns may overlap those of campaigns
                if !matches!(kind, Kind::TokenRunsOut | Kind::Contradiction) {
                    planter.take(Some(*account), from, until)?;
                }
                if kind == Kind::NeverRead {
                    planter.trouble(Some(*account), 0, from, What::Unconfigured);
                    planter.trouble(Some(*account), until, MONTH, What::Unconfigured);
                    let client = What::Fails { reason: "client", part: 1.0 };
                    planter.trouble(Some(*account), from, until, client);
                } else {
                    planter.trouble(Some(*account), from, until, what);
                }
                planter.happened(kind, Some(*account), from, until);
            }
            Some(())
        })
    }

    /// Plants a bit more than a day on which all campaigns of an account do badly, because of its route or
    /// sender rather than a list.
    fn spell(&mut self, kind: Kind) -> Option<()> {
        let places = self.places(kind);
        self.find(|planter| {
            let place = *planter.chance.one_of(&places)?;
            let day = planter.chance.minute((3, MONTH / DAY - 3)) * DAY;
            let (from, until) = (day + 6 * HOUR, day + planter.chance.minute((30, 36)) * HOUR);
            let first_sends = planter.month.first_sends.clone();
            let during = |sending: &Sending| {
                let sent = sending.sent.is_some_and(|sent| (from..until).contains(&sent));
                sent && sending.account == place
                    && sending.channel == Channel::Sms
                    && !first_sends.contains(&sending.id)
            };
            let large = |sending: &&Sending| during(sending) && sending.recipients >= 500;
            if planter.month.sendings.iter().filter(large).count() < 3 {
                return None;
            }
            // its campaigns are still recent on the next day
            planter.take(Some(place), from, until + DAY)?;
            let mut campaigns = Vec::new();
            for sending in &mut planter.month.sendings {
                if !during(sending) {
                    continue;
                }
                let chance = &mut planter.chance;
                match kind {
                    // below nine tenths of the usual 0.96, but well above the effect of a list
                    Kind::AccountDelivery(Depth::Warning) => {
                        let delivery = chance.between((0.80, 0.85));
                        sending.deliver(chance, delivery, 0.5);
                    }
                    // below three quarters of the usual ratio
                    Kind::AccountDelivery(Depth::Critical) => {
                        let delivery = chance.between((0.45, 0.65));
                        sending.deliver(chance, delivery, 0.5);
                    }
                    // platforms warn at 0.08 and stop sending at 0.125
                    _ => {
                        let bounces = chance.between(match kind {
                            Kind::AccountBounces(Depth::Warning) => (0.095, 0.12),
                            _ => (0.15, 0.19),
                        });
                        sending.deliver(chance, 0.99 - bounces, bounces / (0.01 + bounces));
                    }
                }
                campaigns.push(sending.id.clone());
            }
            planter.happened(kind, Some(place), from, until);
            planter.planted.last_mut()?.campaigns = campaigns;
            Some(())
        })
    }

    /// Plants incidents of single campaigns.
    fn campaign(&mut self, kind: Kind, small: bool) -> Option<()> {
        let mut order: Vec<usize> = (0..self.month.sendings.len()).collect();
        self.chance.shuffle(&mut order);
        order.into_iter().find_map(|index| {
            let mut sending = self.month.sendings.get(index)?.clone();
            let account = ACCOUNTS.get(sending.account)?;
            let (place, sent) = (sending.account, sending.sent?);
            if self.month.first_sends.contains(&sending.id) {
                return None;
            }
            let provider = self.month.kinds.get(place)?;
            if !(DAY..MONTH - 2 * DAY).contains(&sent)
                || !can_have(kind, account, provider, &sending)
            {
                return None;
            }
            let until = match kind {
                Kind::Moderation | Kind::Overdue | Kind::Denied | Kind::Stalled => sent + 20 * HOUR,
                _ => sent + 26 * HOUR,
            };
            // a scheduled campaign fails before its time
            let from = match kind {
                Kind::Moderation | Kind::Denied => sending.created,
                _ => sent - 6 * HOUR,
            };
            self.take(Some(place), from, until)?;
            let volume = if small { SMALL } else { VOLUME };
            sending.recipients = whole(self.chance.log_between(volume));
            account.react(&mut sending, &mut self.chance);
            sending.recount = None;
            sending.slow = false;
            self.bend(kind, &mut sending)?;
            self.planted.push(Incident {
                kind,
                account: Some(place),
                campaigns: vec![sending.id.clone()],
                from: sending.created.min(sent),
                until,
                small,
            });
            *self.month.sendings.get_mut(index)? = sending;
            Some(())
        })
    }

    /// Applies an incident to a campaign.
    fn bend(&mut self, kind: Kind, sending: &mut Sending) -> Option<()> {
        let chance = &mut self.chance;
        let (sent, recipients) = (sending.sent?, sending.recipients);
        match kind {
            Kind::Delivery(depth) => {
                let delivery = chance.between(match depth {
                    // five points below the warning, which 600 messages need to be significant, and
                    // not yet critical
                    Depth::Warning => (0.63, 0.75),
                    // from a partly broken route to almost nothing
                    Depth::Critical => (0.15, 0.54),
                });
                // some losses have a failure receipt, some have none
                let bounced = if chance.happens(0.5) { 0.95 } else { 0.1 };
                sending.deliver(chance, delivery, bounced);
                if sending.channel == Channel::Whatsapp {
                    sending.outcome.bounces = recipients - sending.outcome.deliveries;
                }
                sending.outcome.reads = sending.outcome.reads.min(sending.outcome.deliveries / 2);
            }
            Kind::Bounces(depth) => {
                let bounces = chance.between(match depth {
                    // above what 600 messages need to be significantly more than a fifth, up to the next
                    Depth::Warning => (0.26, 0.38),
                    Depth::Critical => (0.48, 0.80),
                });
                sending.deliver(chance, 0.99 - bounces, bounces / (0.01 + bounces));
                let read = whole(sending.outcome.deliveries as f64 * 0.65);
                sending.outcome.reads = sending.outcome.reads.min(read);
            }
            Kind::OptOuts(depth) => {
                let opted_out = chance.between(match depth {
                    // carriers flag senders at 0.05 and may suspend them at 0.10
                    Depth::Warning => (0.075, 0.095),
                    Depth::Critical => (0.14, 0.25),
                });
                sending.outcome.opt_outs = chance.successes(recipients, opted_out);
            }
            // from a broken link to one that works on few phones
            Kind::Clicks => {
                let left = chance.between((0.0, 0.10));
                sending.outcome.clicks = whole(sending.outcome.clicks as f64 * left);
            }
            // from a hardly read template to half of the usual ratio
            Kind::Reads => {
                let left = chance.between((0.15, 0.48));
                sending.outcome.reads = whole(sending.outcome.reads as f64 * left);
            }
            // beyond the allowed four hours, up to a day
            Kind::Moderation => {
                let until = sending.created + chance.minute((8 * HOUR, 20 * HOUR));
                sending.moderated_until = Some(until);
                sending.sent = Some(until.max(sending.scheduled) + 5);
            }
            Kind::Stalled => {
                // a campaign that takes at least half an hour
                sending.takes = sending.takes.max(30);
                sending.stall = Some(Stall {
                    after: chance.between((0.2, 0.7)),
                    lasts: chance.minute((4 * HOUR, 10 * HOUR)),
                });
            }
            // from three times the allowed half hour up to a morning
            Kind::Overdue => {
                sending.moderated_until = None;
                sending.sent = Some(sending.scheduled + chance.minute((90, 6 * HOUR)));
            }
            Kind::Denied => {
                let looked_at = sending.created + chance.minute((10, 180));
                sending.moderated_until = Some(looked_at);
                sending.denied = Some(looked_at);
                sending.sent = None;
            }
            // from twice the tolerance to a large part of the campaign
            Kind::Backwards => {
                sending.recount = Some(Recount {
                    minute: sent + minutes(chance.between((150.0, 1_400.0))),
                    factor: 1.0 - chance.between((0.10, 0.40)),
                });
            }
            // at least twice the tolerance
            Kind::Disagreement => {
                let off = chance.between((0.04, 0.20));
                sending.reported_off = if chance.happens(0.5) { off } else { -off };
            }
            _ => return None,
        }
        Some(())
    }

    /// Plants a time without purchases of credits.
    fn credits(&mut self) -> Option<()> {
        let place = *self.places(Kind::Credits).first()?;
        let from = self.chance.minute((8 * DAY, 9 * DAY));
        let until = MONTH - 3 * DAY;
        self.trouble(Some(place), from, until, What::NoTopUps);
        self.happened(Kind::Credits, Some(place), from, until);
        Some(())
    }

    /// Plants a scheduled campaign that costs more than the remaining credits.
    fn planned_too_much(&mut self) -> Option<()> {
        // the first does not buy credits for a while
        let place = *self.places(Kind::CreditsScheduled).get(1)?;
        self.find(|planter| {
            let day = planter.chance.minute((5, MONTH / DAY - 5)) * DAY;
            let created = day + planter.chance.minute((9 * HOUR, 16 * HOUR));
            let until = created + planter.chance.minute((3 * HOUR, 12 * HOUR));
            planter.take(Some(place), created, until)?;
            let id = format!("too-much-{}", day / DAY + LOOKBACK / DAY);
            let (account, kind) = (ACCOUNTS.get(place)?, planter.month.kinds.get(place)?);
            let chance = &mut planter.chance;
            let mut sending = account.sending(place, kind, id.clone(), created, chance);
            sending.created = created;
            sending.scheduled = created + 30 * HOUR;
            sending.moderated_until = None;
            sending.sent = None;
            sending.withdrawn = Some(until);
            // an account never has more than a million credits; see `credits`
            sending.recipients = whole(planter.chance.between((1_500_000.0, 3_000_000.0)));
            planter.month.sendings.push(sending);
            planter.happened(Kind::CreditsScheduled, Some(place), created, until);
            planter.planted.last_mut()?.campaigns = vec![id];
            Some(())
        })
    }
}

/// Returns whether the provider of a campaign reports what is needed to detect this incident.
fn can_have(kind: Kind, account: &Account, provider: &provider::Kind, sending: &Sending) -> bool {
    let reports = |count| account.reports(provider, count, &sending.channel);
    let untouched = sending.stall.is_none() && sending.denied.is_none();
    untouched
        && match kind {
            Kind::Bounces(_) => reports(Count::Bounces),
            Kind::OptOuts(_) => reports(Count::OptOuts),
            // not detectable if some campaigns have no link
            Kind::Clicks => reports(Count::Clicks) && account.without_link <= 0.0,
            Kind::Reads => reports(Count::Reads),
            Kind::Moderation => provider.statuses.contains(&Status::InModeration),
            Kind::Stalled => provider.statuses.contains(&Status::InProgress),
            Kind::Overdue => provider.fills("campaign_scheduled_timestamp_seconds"),
            Kind::Denied => provider.statuses.contains(&Status::Denied),
            Kind::Disagreement => provider.fills("campaign_reported_delivery_ratio"),
            _ => true,
        }
}
