//! Says which incidents must be told, from what truly happened to the messages.
//!
//! It knows no threshold of a rule, but the documented minimum volume.

use crate::credits::Credits;
use crate::incident::{Demand, Incident, Kind};
use crate::month::{Account, CLICK_SPREAD, LOOKBACK, Month};
use crate::sending::{DAY, Sending};

/// The documented minimum of messages, and of those of which clicks are expected.
const LEAST: u64 = 200;
const LEAST_CLICKED: u64 = 500;

/// The least loss that must be told, as a share of the messages, beyond what is chance in 95 of 100 cases.
const LEAST_LOSS: f64 = 0.05;

/// Deviations of a normal distribution that 95 of 100 draws do not exceed on this side or the other.
const BEYOND_CHANCE: f64 = 1.96;

/// Fewest expected clicks of which a lack says something.
const LEAST_CLICKS: f64 = 20.0;

/// Fewest opt-outs, and how many times the usual.
const LEAST_OPT_OUTS: u64 = 10;
const TIMES_OPT_OUTS: f64 = 4.0;

/// A campaign of which counts are compared, and how many of them are needed.
const LEAST_HISTORY: (u64, usize) = (100, 10);

/// Sets for each incident what is expected, and since when.
pub(crate) fn judge(month: &Month, incidents: &mut [Incident]) {
    for incident in incidents {
        let of = month.sendings.iter();
        let sendings: Vec<_> =
            of.filter(|sending| incident.campaigns.contains(&sending.id)).collect();
        if incident.kind.is_spell() {
            let mut sent: Vec<_> = sendings
                .iter()
                .filter_map(|sending| Some((sending.sent?, sending.takes, sending.recipients)))
                // nothing before the month is evaluated
                .filter(|(sent, ..)| *sent >= 0 || incident.until < 0)
                .collect();
            sent.sort_unstable();
            let ends = sent.iter().map(|(sent, takes, _)| sent + takes);
            incident.until = ends.max().unwrap_or_default().max(incident.until);
            // one that began before the month is told since then
            let began = if incident.from < 0 { incident.from } else { i64::MAX };
            incident.from = sent.first().map_or(incident.from, |(sent, ..)| began.min(*sent));
            let mut messages = 0;
            let enough = sent.iter().find(|(_, _, recipients)| {
                messages += recipients;
                messages >= LEAST
            });
            incident.since = enough.map_or(incident.from, |(sent, ..)| *sent);
        }
        if let (true, &[slow]) = (incident.kind.loses(), &sendings[..])
            && slow.recipients > LEAST
        {
            // until then, nothing can be said of a campaign that is sent for days
            let sent = slow.takes * i64::try_from(LEAST).unwrap_or_default();
            incident.since += sent / i64::try_from(slow.recipients).unwrap_or(i64::MAX);
        }
        if incident.kind == Kind::Credits {
            incident.from = unpaid_since(month, incident).unwrap_or(incident.from);
            incident.since = incident.from;
        }
        if incident.demand == Demand::Told && !is_due(month, incident.kind, &sendings) {
            incident.demand = Demand::Allowed;
        }
        if incident.kind == Kind::LateReceipts {
            incident.demand = Demand::NotCritical;
        }
        incident.has_history = incident.kind != Kind::LostForWeeks
            && sendings.iter().all(|sending| has_history(month, sending, incident.since));
    }
}

/// Returns whether an incident must be told.
fn is_due(month: &Month, kind: Kind, sendings: &[&Sending]) -> bool {
    let accounts = &month.accounts;
    let Some(account) = sendings.first().and_then(|first| accounts.get(first.account)) else {
        return true;
    };
    let messages: u64 = sendings.iter().map(|sending| sending.recipients).sum();
    let expected = |usual: fn(&Account) -> f64| -> f64 {
        let usual = sendings.iter().filter_map(|sending| {
            Some(usual(accounts.get(sending.account)?) * sending.recipients as f64)
        });
        usual.sum()
    };
    match kind {
        _ if kind.loses() => {
            let delivered: u64 = sendings.iter().map(|sending| sending.outcome.deliveries).sum();
            let n = messages as f64;
            let usual = expected(|account| account.delivery) / n;
            let variance =
                usual * (1.0 - usual) / n + account.spread.powi(2) / sendings.len() as f64;
            let loss = usual - delivered as f64 / n - BEYOND_CHANCE * variance.sqrt();
            messages >= LEAST && loss >= LEAST_LOSS
        }
        Kind::Links | Kind::HalfLinks => {
            let clicked: u64 = sendings.iter().map(|sending| sending.outcome.clicks).sum();
            let usual = expected(|account| account.click);
            messages >= LEAST_CLICKED
                && usual >= LEAST_CLICKS
                && (clicked as f64) < usual * (-BEYOND_CHANCE * CLICK_SPREAD).exp()
        }
        Kind::OptOuts => {
            let opted_out: u64 = sendings.iter().map(|sending| sending.outcome.opt_outs).sum();
            let usual = expected(|account| account.opt_out);
            messages >= LEAST
                && opted_out >= LEAST_OPT_OUTS
                && opted_out as f64 >= TIMES_OPT_OUTS * usual
        }
        _ => messages >= LEAST,
    }
}

impl Kind {
    /// Returns whether messages are lost.
    pub(crate) const fn loses(self) -> bool {
        matches!(
            self,
            Self::Lost
                | Self::Rejected
                | Self::Route
                | Self::Outage
                | Self::LostForWeeks
                | Self::LostAgain
                | Self::ManySmall
                | Self::Monthly
                | Self::InProgress
        )
    }

    /// Returns whether messages are lost or late.
    pub(crate) const fn is_about_delivery(self) -> bool {
        self.loses() || matches!(self, Self::Pending | Self::Slow | Self::Stalled)
    }

    /// Returns whether all campaigns of a time are affected.
    const fn is_spell(self) -> bool {
        matches!(
            self,
            Self::Route
                | Self::Outage
                | Self::LostForWeeks
                | Self::LostAgain
                | Self::ManySmall
                | Self::Slow
                | Self::LateReceipts
        )
    }
}

/// Returns whether ten campaigns of its account and channel were sent before one, and are still known.
fn has_history(month: &Month, sending: &Sending, before: i64) -> bool {
    let (least, needed) = LEAST_HISTORY;
    let others = month.of(sending.account).filter(|other| {
        let known = other.sent.is_some_and(|sent| (before - LOOKBACK..before).contains(&sent));
        known && other.channel == sending.channel && other.recipients >= least
    });
    others.count() >= needed
}

/// Returns when the credits do no longer cover the next campaign.
fn unpaid_since(month: &Month, incident: &Incident) -> Option<i64> {
    let place = *incident.accounts.first()?;
    let credits = Credits::of(month, place)?;
    let mut next: Vec<_> = month
        .of(place)
        .filter_map(|sending| Some((sending.sent?, sending.recipients as f64)))
        .filter(|(sent, _)| *sent >= incident.from)
        .collect();
    next.sort_unstable_by_key(|(sent, _)| *sent);
    let unpaid = next.into_iter().find(|(sent, cost)| credits.left(sent - 1) < *cost);
    // the day before, when it is planned
    unpaid.map(|(sent, _)| (sent - DAY).max(incident.from))
}
