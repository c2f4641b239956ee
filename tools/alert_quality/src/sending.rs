//! A campaign as counted by its provider, minute by minute.
//!
//! Minutes count from the start of the month; earlier campaigns have negative ones.

use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};

use crate::chance::whole;

/// A day in minutes.
pub(crate) const DAY: i64 = 1_440;

/// Number of parts in which a campaign is sent, enough for smooth counts.
const PARTS: i64 = 12;

/// Age from which counts are final.
const SETTLED: i64 = 3 * DAY;

/// A campaign with its complete history.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) id: String,
    /// Index of the account.
    pub(crate) account: usize,
    pub(crate) channel: Channel,
    pub(crate) created: i64,
    pub(crate) scheduled: i64,
    /// End of moderation.
    pub(crate) moderated_until: Option<i64>,
    /// Start of sending.
    pub(crate) sent: Option<i64>,
    pub(crate) denied: Option<i64>,
    /// Deletion of an unsent campaign.
    pub(crate) withdrawn: Option<i64>,
    pub(crate) recipients: u64,
    /// Whether the provider counts recipients, which are complete from the start, instead of sends.
    pub(crate) counts_recipients: bool,
    /// Duration of sending.
    pub(crate) takes: i64,
    pub(crate) stall: Option<Stall>,
    pub(crate) outcome: Outcome,
    /// Whether many phones are off, so that deliveries continue for a day.
    pub(crate) slow: bool,
    pub(crate) recount: Option<Recount>,
    /// Error of the provider's own ratio.
    pub(crate) reported_off: f64,
}

/// A pause of sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// Share of messages sent before the pause.
    pub(crate) after: f64,
    pub(crate) lasts: i64,
}

/// A recount of deliveries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recount {
    pub(crate) minute: i64,
    pub(crate) factor: f64,
}

/// Final counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    pub(crate) bounces: u64,
    pub(crate) clicks: u64,
    pub(crate) opt_outs: u64,
    pub(crate) reads: u64,
    pub(crate) replies: u64,
}

/// Counts at a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) status: Status,
    pub(crate) recipients: u64,
    pub(crate) attempted: u64,
    pub(crate) deliveries: u64,
    pub(crate) bounces: u64,
    pub(crate) clicks: u64,
    pub(crate) opt_outs: u64,
    pub(crate) reads: u64,
    pub(crate) replies: u64,
    /// Neither delivered nor bounced.
    pub(crate) pending: u64,
}

impl Counted {
    /// Returns a count; `None` if no simulated campaign has it.
    pub(crate) const fn get(&self, count: Count) -> Option<u64> {
        match count {
            Count::Recipients => Some(self.recipients),
            Count::Sends => Some(self.attempted),
            Count::Deliveries => Some(self.deliveries),
            Count::Opens | Count::Complaints | Count::Conversions => None,
            Count::Clicks => Some(self.clicks),
            Count::Bounces => Some(self.bounces),
            Count::OptOuts => Some(self.opt_outs),
            Count::Reads => Some(self.reads),
            Count::Replies => Some(self.replies),
            Count::Pending => Some(self.pending),
        }
    }
}

/// Delays: shares of the total, each with a mean in minutes.
type Delays = &'static [(f64, f64)];

// Shares and times follow the documentation of providers: SMS receipts arrive within seconds, or within an
// hour if the phone is off; WhatsApp marketing messages wait for the phone; recipients click and read in
// the first hours.
const SMS_DELIVERY: Delays = &[(0.80, 2.0), (0.17, 10.0), (0.03, 20.0)];
const SMS_BOUNCE: Delays = &[(0.75, 4.0), (0.25, 30.0)];
const WHATSAPP_DELIVERY: Delays = &[(0.80, 3.0), (0.15, 60.0), (0.05, 480.0)];
const SLOW_DELIVERY: Delays = &[(0.55, 5.0), (0.25, 180.0), (0.20, 720.0)];
const WHATSAPP_BOUNCE: Delays = &[(1.0, 10.0)];
const CLICK: Delays = &[(0.60, 30.0), (0.40, 300.0)];
const OPT_OUT: Delays = &[(0.70, 20.0), (0.30, 240.0)];
const READ: Delays = &[(0.55, 20.0), (0.45, 200.0)];

impl Sending {
    /// Returns when the provider starts to list the campaign.
    pub(crate) const fn listed_from(&self, lists_planned: bool) -> Option<i64> {
        if lists_planned { Some(self.created) } else { self.sent }
    }

    /// Returns the time since sending started; `None` if nothing has been sent yet.
    pub(crate) fn age(&self, minute: i64) -> Option<i64> {
        let sent = self.sent?;
        (minute >= sent).then_some(minute - sent)
    }

    /// Returns when the last message is sent.
    fn done(&self) -> i64 {
        self.takes + self.stall.map_or(0, |stall| stall.lasts)
    }

    /// Returns when each part is sent, relative to the first.
    fn departures(&self) -> impl Iterator<Item = f64> {
        let (takes, stall) = (self.takes as f64, self.stall);
        (0..PARTS).map(move |part| {
            let share = (part as f64 + 0.5) / PARTS as f64;
            let stalled = stall.filter(|stall| share > stall.after);
            share * takes + stalled.map_or(0.0, |stall| stall.lasts as f64)
        })
    }

    /// Returns the share that has arrived at an age.
    fn share(&self, age: i64, delays: Delays) -> f64 {
        if age - self.done() > SETTLED {
            return 1.0;
        }
        let shares = self.departures().map(|departure| {
            let since = age as f64 - departure;
            if since <= 0.0 {
                return 0.0;
            }
            let come = delays.iter().map(|(share, mean)| share * (1.0 - (-since / mean).exp()));
            come.sum::<f64>()
        });
        shares.sum::<f64>() / PARTS as f64
    }

    /// Returns the counts at a minute.
    pub(crate) fn counted(&self, minute: i64) -> Counted {
        let nothing = |status| Counted {
            status,
            recipients: self.recipients,
            attempted: 0,
            deliveries: 0,
            bounces: 0,
            clicks: 0,
            opt_outs: 0,
            reads: 0,
            replies: 0,
            pending: 0,
        };
        let Some(age) = self.age(minute) else {
            return nothing(match (self.denied, self.moderated_until) {
                (Some(denied), _) if minute >= denied => Status::Denied,
                (_, Some(until)) if minute < until => Status::InModeration,
                _ => Status::Waiting,
            });
        };
        let (delivery, bounce) = match self.channel {
            Channel::Whatsapp if self.slow => (SLOW_DELIVERY, WHATSAPP_BOUNCE),
            Channel::Whatsapp => (WHATSAPP_DELIVERY, WHATSAPP_BOUNCE),
            _ => (SMS_DELIVERY, SMS_BOUNCE),
        };
        let so_far = |count: u64, delays| whole(count as f64 * self.share(age, delays));
        let left = self.departures().filter(|left| *left <= age as f64).count();
        let attempted = if self.counts_recipients || age >= self.done() {
            self.recipients
        } else {
            self.recipients * left as u64 / PARTS.unsigned_abs()
        };
        let bounces = so_far(self.outcome.bounces, bounce).min(attempted);
        let mut deliveries = so_far(self.outcome.deliveries, delivery).min(attempted - bounces);
        if let Some(recount) = self.recount
            && minute >= recount.minute
        {
            deliveries = whole(deliveries as f64 * recount.factor).min(attempted - bounces);
        }
        Counted {
            status: if age < self.done() { Status::InProgress } else { Status::Sent },
            recipients: self.recipients,
            attempted,
            deliveries,
            bounces,
            clicks: so_far(self.outcome.clicks, CLICK),
            opt_outs: so_far(self.outcome.opt_outs, OPT_OUT),
            reads: so_far(self.outcome.reads, READ).min(deliveries),
            replies: so_far(self.outcome.replies, READ),
            // lost text messages get no receipt
            pending: self.recipients - deliveries - bounces,
        }
    }
}
