//! A campaign as counted by its provider, minute by minute.
//!
//! Minutes count from the start of the month; earlier campaigns have negative ones.

use std::sync::LazyLock;

use campaign_exporter::campaign::counts::Count;
use campaign_exporter::campaign::{Channel, Status};

use crate::chance::whole;

/// A day in minutes.
pub(crate) const DAY: i64 = 1_440;

/// Fewest parts in which a campaign is sent, enough for smooth counts, and the longest time between two.
const PARTS: i64 = 12;
const PART: i64 = 10;

/// Age from which counts are final: the longest validity of a message, and a day.
const SETTLED: i64 = 4 * DAY;

/// A campaign with its complete history.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) id: String,
    /// Index of the account.
    pub(crate) account: usize,
    pub(crate) channel: Channel,
    pub(crate) created: i64,
    pub(crate) scheduled: i64,
    /// Whether the provider does not state when it is scheduled.
    pub(crate) unplanned: bool,
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
    pub(crate) receipts: Receipts,
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

/// How receipts arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipts {
    /// Mean time of the receipt of a phone that is on, in minutes.
    pub(crate) prompt: f64,
    /// Share of the delivered messages whose phone was off.
    pub(crate) off: f64,
    /// Mean time until a phone is on again, in waking minutes.
    pub(crate) on_again: f64,
    /// Age at which the network gives up.
    pub(crate) validity: i64,
    /// Receipts that are due within these minutes arrive at their end.
    pub(crate) held: Option<(i64, i64)>,
    /// Difference of the recipients' local time to UTC, in minutes.
    pub(crate) zone: i64,
}

/// Final counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) deliveries: u64,
    /// Rejected at once.
    pub(crate) bounces: u64,
    /// Given up when their validity ends.
    pub(crate) expired: u64,
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

/// Shares of what comes, each with its mean time in waking minutes.
type Delays = &'static [(f64, f64)];

// Recipients click and read in the first waking hours.
const CLICK: Delays = &[(0.60, 30.0), (0.40, 300.0)];
const OPT_OUT: Delays = &[(0.70, 20.0), (0.30, 240.0)];
const READ: Delays = &[(0.55, 20.0), (0.45, 200.0)];

/// How active people are by hour of the day, relative to the mean.
const ACTIVITY: [f64; 24] = [
    0.20, 0.10, 0.05, 0.05, 0.05, 0.10, 0.40, 0.80, 1.20, 1.30, 1.40, 1.40, 1.45, 1.40, 1.30, 1.30,
    1.40, 1.50, 1.60, 1.60, 1.50, 1.25, 0.85, 0.45,
];

/// How active they are on a day of the weekend.
const WEEKEND: f64 = 0.8;

/// How active people are at a minute.
pub(crate) fn activity(minute: i64, zone: i64) -> f64 {
    let local = minute + zone;
    let hour = usize::try_from(local.rem_euclid(DAY) / 60).unwrap_or_default();
    let day = if local.div_euclid(DAY).rem_euclid(7) < 5 { 1.0 } else { WEEKEND };
    day * ACTIVITY.get(hour).copied().unwrap_or(1.0)
}

/// Waking minutes until a minute.
fn awake(minute: f64, zone: i64) -> f64 {
    /// Waking minutes of a week until each hour.
    static WEEK: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let hours = (0..=7 * 24).scan(0.0, |sum, hour| {
            let until = *sum;
            *sum += 60.0 * activity(hour * 60, 0);
            Some(until)
        });
        hours.collect()
    });
    let hours = (minute + zone as f64) / 60.0;
    let (week, hour) = ((hours / 168.0).floor(), hours.rem_euclid(168.0));
    let at = |hour| {
        let hour = usize::try_from(whole(hour)).unwrap_or_default();
        WEEK.get(hour).copied().unwrap_or_default()
    };
    let (from, to) = (at(hour.floor()), at(hour.floor() + 1.0));
    week * at(168.0) + from + (to - from) * hour.fract()
}

/// The share of events with a mean time that have happened.
fn come(since: f64, mean: f64) -> f64 {
    1.0 - (-since / mean).exp()
}

impl Receipts {
    /// The last minute whose receipts have arrived at a minute.
    fn arrived(&self, minute: i64) -> i64 {
        match self.held {
            Some((from, until)) if (from..until).contains(&minute) => from,
            _ => minute,
        }
    }

    /// The share of receipts of delivered messages that came between two minutes: within seconds or a
    /// few minutes, or when the phone is on again.
    fn delivered(&self, departed: f64, now: f64) -> f64 {
        let since = now - departed;
        let prompt = 0.88 * come(since, self.prompt) + 0.12 * come(since, 5.0 + 5.0 * self.prompt);
        let waking = awake(now, self.zone) - awake(departed, self.zone);
        (1.0 - self.off) * prompt + self.off * come(waking, self.on_again)
    }

    /// The share of rejections: by the network at once, or by another one later.
    fn rejected(&self, departed: f64, now: f64) -> f64 {
        0.75 * come(now - departed, self.prompt + 2.0) + 0.25 * come(now - departed, 30.0)
    }

    /// The share of messages that the network has given up.
    fn expired(&self, departed: f64, now: f64) -> f64 {
        come((now - departed - self.validity as f64).max(0.0), 20.0)
    }

    /// The share of what people do.
    fn done(&self, departed: f64, now: f64, delays: Delays) -> f64 {
        let waking = awake(now, self.zone) - awake(departed, self.zone);
        delays.iter().map(|(share, mean)| share * come(waking, *mean)).sum()
    }
}

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

    /// Returns the number of parts in which it is sent.
    const fn parts(&self) -> i64 {
        let parts = self.takes / PART;
        if parts > PARTS { parts } else { PARTS }
    }

    /// Returns when each part is sent, relative to the first.
    fn departures(&self) -> impl Iterator<Item = f64> {
        let (takes, stall, parts) = (self.takes as f64, self.stall, self.parts());
        (0..parts).map(move |part| {
            let share = (part as f64 + 0.5) / parts as f64;
            let stalled = stall.filter(|stall| share > stall.after);
            share * takes + stalled.map_or(0.0, |stall| stall.lasts as f64)
        })
    }

    /// Returns the share that has come at a minute, of a share by minutes of departure and now.
    fn share(&self, minute: i64, come: impl Fn(f64, f64) -> f64) -> f64 {
        let sent = self.sent.unwrap_or(minute);
        if minute - sent - self.done() > SETTLED {
            return 1.0;
        }
        let shares = self.departures().map(|departure| {
            let departed = sent as f64 + departure;
            if minute as f64 <= departed { 0.0 } else { come(departed, minute as f64) }
        });
        shares.sum::<f64>() / self.parts() as f64
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
        let receipts = &self.receipts;
        let arrived = receipts.arrived(minute);
        let done = |count: u64, delays| {
            let share = self.share(minute, |from, now| receipts.done(from, now, delays));
            whole(count as f64 * share)
        };
        let left = self.departures().filter(|left| *left <= age as f64).count();
        let attempted = if self.counts_recipients || age >= self.done() {
            self.recipients
        } else {
            self.recipients * left as u64 / self.parts().unsigned_abs()
        };
        let share = self.share(arrived, |from, now| receipts.rejected(from, now));
        let expired = self.share(arrived, |from, now| receipts.expired(from, now));
        let failed = self.outcome.bounces as f64 * share + self.outcome.expired as f64 * expired;
        let bounces = whole(failed).min(attempted);
        let share = self.share(arrived, |from, now| receipts.delivered(from, now));
        let deliveries = whole(self.outcome.deliveries as f64 * share);
        let mut deliveries = deliveries.min(attempted - bounces);
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
            clicks: done(self.outcome.clicks, CLICK),
            opt_outs: done(self.outcome.opt_outs, OPT_OUT),
            reads: done(self.outcome.reads, READ).min(deliveries),
            replies: done(self.outcome.replies, READ),
            // lost messages get no receipt
            pending: self.recipients - deliveries - bounces,
        }
    }
}
