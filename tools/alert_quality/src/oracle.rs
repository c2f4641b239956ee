//! Determines from the provider's own counts when incidents cross the thresholds of docs/alerts.md.
//!
//! It uses only the documented thresholds, no rules or metrics, so it does not share mistakes of the rules.

use campaign_exporter::campaign::Channel;

use crate::credits::Credits;
use crate::exporter::{Known, POLL_INTERVAL, REQUESTS_A_DAY};
use crate::incident::{Depth, Incident, Kind};
use crate::month::{MONTH, Month};
use crate::sending::{Counted, DAY, Sending};

const HOUR: i64 = 60;

// docs/alerts.md, "The numbers".
const SMS_MATURITY: i64 = 2 * HOUR;
const WHATSAPP_MATURITY: i64 = 6 * HOUR;
const LEAST: [f64; 2] = [200.0, 500.0];
const LEAST_RECENT: f64 = 500.0;
const LEAST_BASELINE: f64 = 2_000.0;
const DELIVERY: [f64; 2] = [0.80, 0.60];
const DELIVERY_OF_BASELINE: [f64; 2] = [0.90, 0.75];
const BOUNCES: [f64; 2] = [0.20, 0.40];
const ACCOUNT_BOUNCES: [f64; 2] = [0.08, 0.125];
const OPT_OUTS: [f64; 2] = [0.05, 0.10];
/// Minimum number of expected clicks.
const LEAST_CLICKS: f64 = 20.0;
const CLICKS_OF_BASELINE: f64 = 0.25;
const READS_OF_BASELINE: f64 = 0.60;
const MODERATION: i64 = 4 * HOUR;
const OVERDUE: i64 = 30;
const DIFFERENCE: f64 = 0.02;
const STALE_INTERVALS: [i64; 2] = [3, 12];
const RENEWED_TOKEN: i64 = 2 * HOUR;
const GIVEN_TOKEN: i64 = 3 * DAY;
const REQUESTS_LEFT: f64 = 0.10;
const CREDITS_DAYS: f64 = 4.0;

const fn of<T: Copy>(numbers: [T; 2], depth: Depth) -> T {
    let [warning, critical] = numbers;
    match depth {
        Depth::Warning => warning,
        Depth::Critical => critical,
    }
}

/// All data of a month.
pub(crate) struct Oracle<'a> {
    pub(crate) month: &'a Month,
    pub(crate) known: &'a [Known],
}

impl Oracle<'_> {
    /// Returns the first minute at which an incident meets the documented conditions, if it does.
    pub(crate) fn bad_since(&self, incident: &Incident) -> Option<i64> {
        let mut minutes = incident.from..(incident.until + 2 * DAY).min(MONTH);
        let campaign = || {
            let mut sendings = self.month.sendings.iter();
            sendings.find(|sending| incident.campaigns.contains(&sending.id))
        };
        match incident.kind {
            Kind::Delivery(depth) => {
                let sending = campaign()?;
                minutes.find(|minute| delivers_badly(sending, *minute, depth))
            }
            Kind::Bounces(depth) => {
                let sending = campaign()?;
                minutes.find(|minute| {
                    let counted = sending.counted(*minute);
                    let attempted = counted.attempted as f64;
                    younger(sending, *minute, DAY)
                        && attempted >= of(LEAST, depth)
                        && surely_above(counted.bounces as f64, attempted, of(BOUNCES, depth))
                })
            }
            Kind::OptOuts(depth) => {
                let sending = campaign()?;
                minutes.find(|minute| {
                    let counted = sending.counted(*minute);
                    let attempted = counted.attempted as f64;
                    younger(sending, *minute, 2 * DAY)
                        && attempted >= of(LEAST, depth)
                        && surely_above(counted.opt_outs as f64, attempted, of(OPT_OUTS, depth))
                })
            }
            Kind::Clicks => {
                let sending = campaign()?;
                minutes.find(|minute| self.clicks_badly(sending, *minute))
            }
            Kind::Reads => {
                let sending = campaign()?;
                minutes.find(|minute| self.reads_badly(sending, *minute))
            }
            Kind::AccountDelivery(depth) => minutes.find(|minute| {
                let limit = of(DELIVERY_OF_BASELINE, depth);
                self.account_delivers_badly(incident.account, *minute, limit)
            }),
            Kind::AccountBounces(depth) => minutes.find(|minute| {
                self.account_bounces(incident.account, *minute, of(ACCOUNT_BOUNCES, depth))
            }),
            Kind::Moderation => Some(campaign()?.created + MODERATION),
            Kind::Overdue => Some(campaign()?.scheduled + OVERDUE),
            Kind::Denied => campaign()?.denied,
            Kind::Stalled => {
                let sending = campaign()?;
                minutes.find(|minute| stands_still(sending, *minute))
            }
            Kind::Backwards => Some(campaign()?.recount?.minute),
            Kind::Disagreement => {
                let sending = campaign()?;
                minutes.find(|minute| {
                    sending.attempted(*minute) >= of(LEAST, Depth::Warning)
                        && is_mature(sending, *minute)
                        && sending.reported_off.abs() > DIFFERENCE
                })
            }
            // from the third poll that finds the mismatch
            Kind::Contradiction => Some(incident.from + 2 * POLL_INTERVAL),
            Kind::Flapping => minutes.find(|minute| self.polls_fail(incident.account, *minute)),
            Kind::Stale(depth) => {
                let last = self
                    .polls(incident.account)
                    .rfind(|(ended, failed)| !failed && *ended < incident.from);
                Some(last?.0 + of(STALE_INTERVALS, depth) * POLL_INTERVAL)
            }
            Kind::Quota => minutes.find(|minute| self.quota_ends(incident.account, *minute)),
            Kind::TokenNotRenewed => {
                minutes.find(|minute| self.token(incident.account, *minute, RENEWED_TOKEN, HOUR))
            }
            Kind::TokenRunsOut => {
                minutes.find(|minute| self.token(incident.account, *minute, GIVEN_TOKEN, DAY))
            }
            Kind::Credits => {
                let credits = Credits::of(self.month, incident.account?)?;
                minutes.find(|minute| {
                    let pace = credits.spent_in_a_week(*minute) / 7.0;
                    credits.left(*minute) < CREDITS_DAYS * pace
                })
            }
            Kind::CreditsScheduled
            | Kind::NeverRead
            | Kind::Auth
            | Kind::Dropped
            | Kind::Unreadable
            | Kind::Down
            | Kind::Absent
            | Kind::Reload
            | Kind::UnusedThreshold => Some(incident.from),
        }
    }

    /// Returns the campaigns of an account and a channel with an age in a range.
    fn sent(
        &self,
        account: usize,
        channel: &Channel,
        minute: i64,
        ages: std::ops::Range<i64>,
    ) -> impl Iterator<Item = (&Sending, Counted)> {
        self.month.of(account).filter_map(move |sending| {
            let age = sending.age(minute)?;
            let fits = sending.channel == *channel && ages.contains(&age);
            fits.then(|| (sending, sending.counted(minute)))
        })
    }

    /// Returns a ratio of the baseline, if its volume suffices.
    fn baseline(
        &self,
        sending: (usize, &Channel),
        minute: i64,
        parts: impl Fn(&Sending, &Counted) -> (f64, f64),
    ) -> Option<f64> {
        let (account, channel) = sending;
        let before = self.sent(account, channel, minute, DAY..15 * DAY);
        let (mut attempted, mut sums) = (0.0, (0.0, 0.0));
        for (sending, counted) in before {
            let (numerator, denominator) = parts(sending, &counted);
            attempted += counted.attempted as f64;
            sums = (sums.0 + numerator, sums.1 + denominator);
        }
        (attempted >= LEAST_BASELINE && sums.1 > 0.0).then(|| sums.0 / sums.1)
    }

    fn clicks_badly(&self, sending: &Sending, minute: i64) -> bool {
        let counted = sending.counted(minute);
        let attempted = counted.attempted as f64;
        let old = sending.age(minute).is_some_and(|age| age >= 4 * HOUR);
        let account = (sending.account, &sending.channel);
        old && younger(sending, minute, DAY)
            && attempted >= of(LEAST, Depth::Critical)
            && self
                .baseline(account, minute, |_, counted| {
                    (counted.clicks as f64, counted.attempted as f64)
                })
                .filter(|usual| usual * attempted >= LEAST_CLICKS)
                .is_some_and(|usual| {
                    let limit = CLICKS_OF_BASELINE * usual;
                    surely_below(counted.clicks as f64, attempted, limit)
                })
    }

    fn reads_badly(&self, sending: &Sending, minute: i64) -> bool {
        let counted = sending.counted(minute);
        let deliveries = counted.deliveries as f64;
        let account = (sending.account, &sending.channel);
        is_mature(sending, minute)
            && younger(sending, minute, DAY)
            && deliveries >= of(LEAST, Depth::Warning)
            && self
                .baseline(account, minute, |_, counted| {
                    (counted.reads as f64, counted.deliveries as f64)
                })
                .is_some_and(|usual| {
                    let limit = READS_OF_BASELINE * usual;
                    surely_below(counted.reads as f64, deliveries, limit)
                })
    }

    fn account_delivers_badly(&self, account: Option<usize>, minute: i64, limit: f64) -> bool {
        let channel = &Channel::Sms;
        let Some(account) = account else { return false };
        let parts = |sending: &Sending, counted: &Counted| {
            (counted.deliveries as f64, decided(sending, counted))
        };
        let Some(usual) = self.baseline((account, channel), minute, parts) else {
            return false;
        };
        let (mut sums, mut bad) = ((0.0, 0.0), 0);
        for (sending, counted) in self.sent(account, channel, minute, SMS_MATURITY..DAY) {
            let (deliveries, decided) = parts(sending, &counted);
            sums = (sums.0 + deliveries, sums.1 + decided);
            let counts = decided >= of(LEAST, Depth::Warning);
            bad += i32::from(counts && deliveries < limit * usual * decided);
        }
        sums.1 >= LEAST_RECENT && sums.0 < limit * usual * sums.1 && bad >= 2
    }

    fn account_bounces(&self, account: Option<usize>, minute: i64, limit: f64) -> bool {
        let Some(account) = account else { return false };
        let (mut sums, mut bad) = ((0.0, 0.0), 0);
        for (_, counted) in self.sent(account, &Channel::Sms, minute, SMS_MATURITY..DAY) {
            let (bounces, attempted) = (counted.bounces as f64, counted.attempted as f64);
            sums = (sums.0 + bounces, sums.1 + attempted);
            let counts = attempted >= of(LEAST, Depth::Warning);
            bad += i32::from(counts && bounces > limit * attempted);
        }
        sums.1 >= LEAST_RECENT && sums.0 > limit * sums.1 && bad >= 2
    }

    /// Returns end minute and failure of each poll of an account.
    fn polls(&self, account: Option<usize>) -> impl DoubleEndedIterator<Item = (i64, bool)> {
        let known = account.and_then(|account| self.known.get(account));
        let polls = known.map_or(&[][..], |known| &known.polls);
        polls.iter().map(|poll| (poll.ended.div_euclid(60), poll.failed.is_some()))
    }

    fn polls_fail(&self, account: Option<usize>, minute: i64) -> bool {
        let hour =
            self.polls(account).filter(|(ended, _)| (minute - HOUR..=minute).contains(ended));
        let (mut all, mut failed) = (0, 0);
        for (_, poll_failed) in hour {
            all += 1;
            failed += i32::from(poll_failed);
        }
        all >= 3 && 2 * failed > all
    }

    fn quota_ends(&self, account: Option<usize>, minute: i64) -> bool {
        let left = |minute: i64| {
            let known = self.known.get(account?)?;
            known.requests_left.get(usize::try_from(minute).ok()?).copied()
        };
        let (Some(now), Some(before)) = (left(minute), left(minute - HOUR)) else {
            return false;
        };
        let until_midnight = (DAY - minute.rem_euclid(DAY)) as f64;
        let pace = (before - now).max(0.0) / HOUR as f64;
        now < REQUESTS_LEFT * REQUESTS_A_DAY && now < pace * until_midnight
    }

    /// Returns whether a token expires soon and has not been renewed for a while.
    fn token(&self, account: Option<usize>, minute: i64, left: i64, not_renewed: i64) -> bool {
        let expiry = |minute: i64| {
            let known = self.known.get(account?)?;
            *known.token_expiry.get(usize::try_from(minute).ok()?)?
        };
        let now = expiry(minute);
        now.is_some_and(|expiry| expiry - minute < left) && now == expiry(minute - not_renewed)
    }
}

impl Sending {
    fn attempted(&self, minute: i64) -> f64 {
        self.counted(minute).attempted as f64
    }
}

fn younger(sending: &Sending, minute: i64, limit: i64) -> bool {
    sending.age(minute).is_some_and(|age| age < limit)
}

fn is_mature(sending: &Sending, minute: i64) -> bool {
    let maturity = match sending.channel {
        Channel::Whatsapp | Channel::Email => WHATSAPP_MATURITY,
        _ => SMS_MATURITY,
    };
    sending.age(minute).is_some_and(|age| age >= maturity)
}

/// Returns the messages no longer pending, if the provider reports pending ones.
fn decided(sending: &Sending, counted: &Counted) -> f64 {
    let pending = match sending.channel {
        Channel::Whatsapp => counted.pending,
        _ => 0,
    };
    counted.attempted.saturating_sub(pending) as f64
}

fn delivers_badly(sending: &Sending, minute: i64, depth: Depth) -> bool {
    let counted = sending.counted(minute);
    let decided = decided(sending, &counted);
    is_mature(sending, minute)
        && younger(sending, minute, DAY)
        && decided >= of(LEAST, depth)
        && surely_below(counted.deliveries as f64, decided, of(DELIVERY, depth))
}

/// Returns whether a campaign is in progress, with more than a tenth to go and no change for an hour.
fn stands_still(sending: &Sending, minute: i64) -> bool {
    let (now, before) = (sending.counted(minute), sending.counted(minute - HOUR));
    let left = sending.recipients.saturating_sub(now.deliveries + now.bounces);
    now.status == campaign_exporter::campaign::Status::InProgress
        && left as f64 > 0.1 * sending.recipients as f64
        && (now.deliveries, now.bounces) == (before.deliveries, before.bounces)
        && sending.age(minute - HOUR).is_some()
}

/// Returns half the width of a 95 % interval (normal approximation).
fn margin(ratio: f64, of: f64) -> f64 {
    1.96 * (ratio * (1.0 - ratio) / of).sqrt()
}

fn surely_below(part: f64, whole: f64, limit: f64) -> bool {
    let ratio = part / whole;
    ratio + margin(ratio, whole) < limit
}

fn surely_above(part: f64, whole: f64, limit: f64) -> bool {
    let ratio = part / whole;
    ratio - margin(ratio, whole) > limit
}
