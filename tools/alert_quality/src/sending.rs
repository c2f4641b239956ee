//! A campaign as its provider counts it, minute by minute.
//!
//! Minutes count from the beginning of the month; what was sent before has negative ones.

use campaign_exporter::campaign::{Channel, Status};

use crate::chance::whole;

/// A day in minutes.
pub(crate) const DAY: i64 = 1_440;

/// A campaign is sent in as many parts: enough that no step of its counts shows.
const PARTS: i64 = 12;

/// From this age on all is counted.
const SETTLED: i64 = 3 * DAY;

/// A campaign, all of whose future is known.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) id: String,
    /// The place of its account among the accounts.
    pub(crate) account: usize,
    pub(crate) channel: Channel,
    pub(crate) created: i64,
    pub(crate) scheduled: i64,
    /// Until when somebody at the provider looks at it.
    pub(crate) moderated_until: Option<i64>,
    /// When sending begins.
    pub(crate) sent: Option<i64>,
    pub(crate) denied: Option<i64>,
    /// When it is deleted, unsent.
    pub(crate) withdrawn: Option<i64>,
    pub(crate) recipients: u64,
    /// Whether the provider counts recipients, who are there at once, and not sends.
    pub(crate) counts_recipients: bool,
    /// How long sending takes.
    pub(crate) takes: i64,
    pub(crate) stall: Option<Stall>,
    pub(crate) outcome: Outcome,
    /// Whether many phones are off, so that deliveries go on for a day.
    pub(crate) slow: bool,
    pub(crate) recount: Option<Recount>,
    /// By how much the provider's own ratio is off.
    pub(crate) reported_off: f64,
}

/// Sending stops for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// After which share of the messages.
    pub(crate) after: f64,
    pub(crate) lasts: i64,
}

/// Deliveries are counted anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recount {
    pub(crate) minute: i64,
    pub(crate) factor: f64,
}

/// The counts in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    pub(crate) bounces: u64,
    pub(crate) clicks: u64,
    pub(crate) opt_outs: u64,
    pub(crate) reads: u64,
    pub(crate) replies: u64,
}

/// The counts at a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) status: Status,
    pub(crate) attempted: u64,
    pub(crate) deliveries: u64,
    pub(crate) bounces: u64,
    pub(crate) clicks: u64,
    pub(crate) opt_outs: u64,
    pub(crate) reads: u64,
    pub(crate) replies: u64,
    /// Neither delivered nor bounced: WhatsApp's providers tell, others do not.
    pub(crate) pending: u64,
}

/// How long something takes: shares of the whole, each with a mean time in minutes.
type Delays = &'static [(f64, f64)];

// The shares and times are this project's reading of what providers tell: receipts of text messages
// within seconds, those of phones that are off within the hour; WhatsApp marketing messages wait for
// the phone; people click and read in the first hours.
const SMS_DELIVERY: Delays = &[(0.80, 2.0), (0.17, 10.0), (0.03, 20.0)];
const SMS_BOUNCE: Delays = &[(0.75, 4.0), (0.25, 30.0)];
const WHATSAPP_DELIVERY: Delays = &[(0.80, 3.0), (0.15, 60.0), (0.05, 480.0)];
const SLOW_DELIVERY: Delays = &[(0.55, 5.0), (0.25, 180.0), (0.20, 720.0)];
const WHATSAPP_BOUNCE: Delays = &[(1.0, 10.0)];
const CLICK: Delays = &[(0.60, 30.0), (0.40, 300.0)];
const OPT_OUT: Delays = &[(0.70, 20.0), (0.30, 240.0)];
const READ: Delays = &[(0.55, 20.0), (0.45, 200.0)];

impl Sending {
    /// When the provider begins to list it.
    pub(crate) const fn listed_from(&self, lists_planned: bool) -> Option<i64> {
        if lists_planned {
            Some(self.created)
        } else {
            self.sent
        }
    }

    /// Since when it has been under way at a minute; nothing if nothing was sent yet.
    pub(crate) fn age(&self, minute: i64) -> Option<i64> {
        let sent = self.sent?;
        (minute >= sent).then_some(minute - sent)
    }

    /// When the last message leaves.
    fn done(&self) -> i64 {
        self.takes + self.stall.map_or(0, |stall| stall.lasts)
    }

    /// When each part leaves, after the first.
    fn departures(&self) -> impl Iterator<Item = f64> {
        let (takes, stall) = (self.takes as f64, self.stall);
        (0..PARTS).map(move |part| {
            let share = (part as f64 + 0.5) / PARTS as f64;
            let stalled = stall.filter(|stall| share > stall.after);
            share * takes + stalled.map_or(0.0, |stall| stall.lasts as f64)
        })
    }

    /// Which share has come in at an age.
    fn share(&self, age: i64, delays: Delays) -> f64 {
        if age - self.done() > SETTLED {
            return 1.0;
        }
        let shares = self.departures().map(|departure| {
            let since = age as f64 - departure;
            if since <= 0.0 {
                return 0.0;
            }
            let come = delays
                .iter()
                .map(|(share, mean)| share * (1.0 - (-since / mean).exp()));
            come.sum::<f64>()
        });
        shares.sum::<f64>() / PARTS as f64
    }

    /// What the provider counts at a minute.
    pub(crate) fn counted(&self, minute: i64) -> Counted {
        let nothing = |status| Counted {
            status,
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
            status: if age < self.done() {
                Status::InProgress
            } else {
                Status::Sent
            },
            attempted,
            deliveries,
            bounces,
            clicks: so_far(self.outcome.clicks, CLICK),
            opt_outs: so_far(self.outcome.opt_outs, OPT_OUT),
            reads: so_far(self.outcome.reads, READ).min(deliveries),
            replies: so_far(self.outcome.replies, READ),
            // no receipt at all is what text messages have that get lost
            pending: self.recipients - deliveries - bounces,
        }
    }
}
