//! A simulated account whose campaigns follow the clock, for the demo.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::{Api, Campaign, Channel, Counts, campaign::part};

/// The length of a slot; each slot before the start has at most one campaign.
const SLOT_MS: i64 = 2 * 3_600_000;

/// The number of days before the start in which every slot has a campaign, so that recent days have
/// enough data.
pub(crate) const DENSE_DAYS: i64 = 2;

/// Before that, one in this many slots has a campaign.
const SPARSE: i64 = 8;

/// Added to a slot number to get an index that stays negative for centuries.
const SLOT_INDEX: i64 = -10_000_000;

/// The age in days after which campaigns disappear.
const KEPT_DAYS: i64 = 30;

/// The average time between new campaigns.
const SPACING_MS: i64 = 32_500;

/// The balance after a top-up.
pub(crate) const FULL: u64 = 500_000;

/// The balance that triggers a top-up.
pub(crate) const LOW: u64 = 50_000;

const OCCASIONS: [&str; 14] = [
    "Spring Sale",
    "Summer Clearance",
    "Black Friday",
    "Back to School",
    "Winter Warm-up",
    "Mother's Day",
    "Singles' Day",
    "Mid-Season Offers",
    "Loyalty Week",
    "Flash Sale ⚡",
    "Advent Calendar 🎄",
    "Frühlingsaktion",
    "Lunar New Year",
    "Anniversary",
];

const PRODUCTS: [&str; 12] = [
    "running shoes",
    "espresso machines",
    "hiking gear",
    "kids' wear",
    "garden furniture",
    "e-bikes",
    "skin care",
    "crème brûlée kits",
    "headphones",
    "sofas",
    "rain jackets",
    "yoga mats",
];

const REGIONS: [&str; 10] = [
    "Zürich",
    "Genève",
    "Hong Kong",
    "Taipei",
    "New England",
    "Bavaria",
    "Köln",
    "Île-de-France",
    "Malmö",
    "Lombardia",
];

/// The characteristics of accounts at an API.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Separates the random choices of this API from those of others.
    pub stream: u64,
    /// The channels of campaigns; a third of them are sent on the second, if there is one.
    pub channels: &'static [Channel],
    /// Whether the API also lists campaigns that were not sent.
    pub unsent: bool,
    /// Whether bad days are more frequent than usual.
    pub bad_days: bool,
    /// Whether campaigns show their message text instead of a name.
    pub texts: bool,
    /// Returns the ID of the campaign with this index.
    pub id: fn(i64, &mut Rng) -> String,
}

/// An account with a month of history and about two new campaigns a minute, some of which go wrong.
///
/// Everything is derived from the API, the seed and the start time, so no state is stored. The
/// history barely depends on the start time: worlds started on the same day share it.
#[derive(Clone, Debug)]
pub struct World {
    habits: Habits,
    seed: u64,
    started: DateTime<Utc>,
}

impl World {
    /// Returns the account started at the given time.
    pub fn new(api: &dyn Api, seed: u64, started: DateTime<Utc>) -> Self {
        let habits = api.habits();
        Self { habits, seed, started }
    }

    /// Returns the campaigns of the last 30 days in no particular order, including those before the
    /// start.
    pub fn campaigns(&self, now: DateTime<Utc>) -> Vec<Campaign> {
        let oldest = now - TimeDelta::days(KEPT_DAYS);
        let mut campaigns: Vec<_> = self
            .past_indices(oldest)
            .chain(self.new_indices(now))
            .map(|index| self.campaign(index, now))
            .collect();
        if self.habits.unsent {
            campaigns.extend(self.special(now));
        }
        campaigns.retain(|campaign| campaign.created_at <= now);
        campaigns
    }

    /// Returns the remaining credits; spending counts from the first of the dense days.
    pub fn credits(&self, now: DateTime<Utc>) -> u64 {
        let spent: u64 = self
            .past_indices(self.dense_since())
            .chain(self.new_indices(now))
            .map(|index| self.campaign(index, now).cost(now))
            .sum();
        FULL - spent % (FULL - LOW)
    }

    /// Returns the indices of new campaigns, which count from zero; earlier campaigns have negative
    /// indices.
    fn new_indices(&self, now: DateTime<Utc>) -> impl Iterator<Item = i64> {
        (0..).take_while(move |index| self.sent_at(*index) <= now)
    }

    /// Returns the indices of campaigns sent between `oldest` and the start.
    fn past_indices(&self, oldest: DateTime<Utc>) -> impl Iterator<Item = i64> {
        let slot = |time: DateTime<Utc>| time.timestamp_millis().div_euclid(SLOT_MS);
        let dense = slot(self.dense_since());
        (slot(oldest)..=slot(self.started))
            .filter(move |slot| *slot > dense || slot % SPARSE == 0)
            .map(|slot| SLOT_INDEX + slot)
            .filter(move |index| (oldest..=self.started).contains(&self.sent_at(*index)))
    }

    fn dense_since(&self) -> DateTime<Utc> {
        self.started - TimeDelta::days(DENSE_DAYS)
    }

    /// Returns the random generator of a campaign.
    fn rng(&self, index: i64) -> Rng {
        let stream = index.cast_unsigned() << 2 ^ self.habits.stream;
        // spread the seed over all bits, because neighboring seeds start with similar values
        Rng::with_seed(self.seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn sent_at(&self, index: i64) -> DateTime<Utc> {
        let mut rng = self.rng(index);
        if let Some(slot) = slot(index) {
            let begin = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(SLOT_MS * slot);
            begin + TimeDelta::milliseconds(rng.i64(0..SLOT_MS))
        } else {
            // spacing is thus 20 to 45 s, and the first campaign comes within 8 s
            let late = rng.i64(if index == 0 { 1_000..8_000 } else { 0..12_500 });
            self.started + TimeDelta::milliseconds(SPACING_MS * index + late)
        }
    }

    fn campaign(&self, index: i64, now: DateTime<Utc>) -> Campaign {
        // forked, so as not to repeat the values that determined its time
        let mut rng = self.rng(index).fork();
        let sent_at = self.sent_at(index);
        let one_in_three = match slot(index) {
            // evenly distributed, so that every day has some
            Some(slot) => slot % 3 == 0,
            None => rng.u8(..3) == 0,
        };
        let channel = match self.habits.channels {
            [_, second, ..] if one_in_three => *second,
            [first, ..] => *first,
            [] => Channel::Sms,
        };
        let luck = Luck::of(self.habits, index);
        let name = if self.habits.texts { message(&mut rng) } else { name(&mut rng) };
        let mut campaign = Campaign {
            id: (self.habits.id)(self.first_number() + index, &mut rng),
            name,
            channel,
            status: "Sent",
            created_at: sent_at - TimeDelta::minutes(rng.i64(5..600)),
            sent_at,
            counts: counts(luck, channel, &mut rng),
            spread: spread(index, channel, &mut rng),
        };
        campaign.status = status(&campaign, now);
        campaign
    }

    /// Returns what numbers begin with, so that those of two platforms differ.
    #[expect(clippy::cast_possible_wrap, reason = "small")]
    const fn first_number(&self) -> i64 {
        (self.habits.stream >> 8) as i64 % 9_000 * 10_000_000
    }

    /// Returns one campaign for each status of an unsent campaign.
    fn special(&self, now: DateTime<Utc>) -> [Campaign; 3] {
        let unsent = |number: i64, status, sent_at| {
            let campaign = self.campaign(-number, now);
            Campaign {
                status,
                created_at: sent_at,
                sent_at,
                counts: Counts { recipients: campaign.counts.recipients, ..Counts::default() },
                ..campaign
            }
        };
        let mut waiting = Campaign {
            created_at: self.started - TimeDelta::hours(4),
            sent_at: self.started + TimeDelta::days(1),
            ..self.campaign(-3, now)
        };
        waiting.status = status(&waiting, now);
        [
            unsent(1, "In moderation", self.started - TimeDelta::hours(5)),
            unsent(2, "Denied", self.started - TimeDelta::hours(14)),
            waiting,
        ]
    }
}

fn status(campaign: &Campaign, now: DateTime<Utc>) -> &'static str {
    if now < campaign.sent_at {
        "Waiting"
    } else if now < campaign.sent_at + campaign.spread {
        "In progress"
    } else {
        "Sent"
    }
}

/// Returns the slot of a campaign sent before the start; `None` for the few that were never sent.
fn slot(index: i64) -> Option<i64> {
    (index < SLOT_INDEX / 2).then(|| index - SLOT_INDEX)
}

/// Returns how long the counts take to come in: minutes for new campaigns, so that users see them
/// change, and a realistic time for the others.
fn spread(index: i64, channel: Channel, rng: &mut Rng) -> Duration {
    let seconds = match (slot(index), channel) {
        (None, _) => rng.u64(120..=300),
        (Some(_), Channel::Sms | Channel::Email) => rng.u64(1_200..=3_600),
        (Some(_), Channel::Whatsapp) => rng.u64(7_200..=18_000),
    };
    Duration::from_secs(seconds)
}

/// The problems of a campaign.
#[derive(Clone, Copy, Debug, Default)]
struct Luck {
    arrives_badly: bool,
    annoys: bool,
    is_ignored: bool,
}

impl Luck {
    fn of(habits: Habits, index: i64) -> Self {
        match slot(index) {
            // never a sparse campaign, because those form the baseline
            Some(slot) => Self {
                arrives_badly: slot % 8 == 3 || (habits.bad_days && slot % 8 == 7),
                annoys: slot % 8 == 6,
                // always a WhatsApp campaign, if the account has any
                is_ignored: slot % 6 == 3,
            },
            None => Self {
                // the second new campaign, so that users soon see a problem
                arrives_badly: index >= 0 && index % 6 == 1,
                // never the same campaign, because 5 and 1 differ modulo 3
                annoys: index >= 0 && index % 9 == 5,
                is_ignored: false,
            },
        }
    }
}

fn counts(luck: Luck, channel: Channel, rng: &mut Rng) -> Counts {
    let mut between = |low: f64, high: f64| low + (high - low) * rng.f64();

    // many small campaigns, few large ones
    let recipients = 800 + part(59_200, between(0.0, 1.0).powi(3));
    let (unassigned, pending) = match channel {
        Channel::Sms | Channel::Email => (part(recipients, between(0.001, 0.004)), 0),
        Channel::Whatsapp => (0, part(recipients, between(0.0, 0.003))),
    };
    let sends = recipients - unassigned;
    let delivery = if luck.arrives_badly { between(0.52, 0.58) } else { between(0.94, 0.99) };
    let deliveries = part(sends, delivery);
    let bounces = sends - deliveries - pending;
    let expired = part(bounces, between(0.2, 0.4));
    let network_error = part(bounces, between(0.0, 0.2));
    let interest = if luck.is_ignored { 0.1 } else { 1.0 };
    let clicks = part(sends, interest * between(0.02, 0.12));
    let opt_out = if luck.annoys { between(0.06, 0.09) } else { between(0.002, 0.01) };
    let (reads, replies) = match channel {
        Channel::Sms => (0, 0),
        Channel::Email => (part(deliveries, interest.max(0.2) * between(0.2, 0.5)), 0),
        Channel::Whatsapp => (
            part(deliveries, interest.max(0.2) * between(0.5, 0.8)),
            part(deliveries, between(0.03, 0.15)),
        ),
    };
    Counts {
        recipients,
        sends,
        deliveries,
        clicks,
        bounces,
        opt_outs: part(sends, opt_out),
        reads,
        replies,
        pending,
        error: bounces - expired - network_error,
        expired,
        network_error,
        unassigned,
    }
}

/// Returns a realistic campaign name.
fn name(rng: &mut Rng) -> String {
    let [occasion, product, region] = words(rng);
    match rng.u8(..5) {
        0 => format!("{occasion} {region}"),
        1 => format!("{occasion}: {product}"),
        2 => format!("Launch of {product} – {region}"),
        3 => format!("\"{product}\" teaser, wave {}", rng.u8(1..5)),
        _ => format!("VIP preview {region}, {product} 🎁"),
    }
}

/// Returns a realistic message text.
fn message(rng: &mut Rng) -> String {
    let [occasion, product, region] = words(rng);
    let percent = rng.u8(2..9) * 5;
    match rng.u8(..4) {
        0 => format!("{occasion}: {percent} % off {product} in {region}. Reply STOP to opt out."),
        1 => {
            format!("New in {region}: {product}! Show this text for {percent} % off. STOP: opt out")
        }
        2 => format!(
            "\"When are {product} back?\" Today, in our {region} store 🎉 Reply STOP to opt out."
        ),
        _ => format!(
            "{occasion} for our members in {region}: {percent} % off all {product} until Sunday, \
             in the store and online with the code MEMBER{percent}. Not to be combined with other \
             offers, while stocks last. Reply STOP to opt out."
        ),
    }
}

fn words(rng: &mut Rng) -> [&'static str; 3] {
    let mut one_of = |words: &[&'static str]| rng.choice(words).copied().unwrap_or_default();
    [one_of(&OCCASIONS), one_of(&PRODUCTS), one_of(&REGIONS)]
}
