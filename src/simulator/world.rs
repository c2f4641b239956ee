//! An account that lives: the demo's campaigns.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use super::{Api, Campaign, Channel, Counts, campaign::part};

/// Before the start, a slot of this length has a campaign at most.
const SLOT_MS: i64 = 2 * 3_600_000;

/// How long before the start each slot begins to have one, so that a day is there to be seen.
const DENSE_DAYS: i64 = 2;

/// Longer ago, one slot of so many has.
const SPARSE: i64 = 8;

/// Added to the number of a slot, it makes a negative index for centuries.
const SLOT_INDEX: i64 = -10_000_000;

/// Older campaigns are gone.
const KEPT_DAYS: i64 = 30;

/// The middle between two new campaigns.
const SPACING_MS: i64 = 32_500;

/// The credits after a top-up.
const FULL: u64 = 500_000;

/// The credits that make somebody top up.
const LOW: u64 = 50_000;

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

/// An account with a month behind it and a new campaign about twice a minute, some of which go
/// wrong.
///
/// Everything follows from the API, the seed and the start, so nothing has to be stored. What lies
/// before the start hardly follows from the start: worlds of the same day share their past.
#[derive(Clone, Debug)]
pub struct World {
    api: Api,
    seed: u64,
    started: DateTime<Utc>,
}

impl World {
    /// The account that has this past at this moment.
    pub fn new(api: Api, seed: u64, started: DateTime<Utc>) -> Self {
        Self { api, seed, started }
    }

    /// The campaigns of the last 30 days, in no particular order; before the start, too.
    pub fn campaigns(&self, now: DateTime<Utc>) -> Vec<Campaign> {
        let oldest = now - TimeDelta::days(KEPT_DAYS);
        let mut campaigns: Vec<_> = self
            .past_indices(oldest)
            .chain(self.new_indices(now))
            .map(|index| self.campaign(index, now))
            .collect();
        if self.api == Api::Smsup {
            campaigns.extend(self.special(now));
        }
        campaigns.retain(|campaign| campaign.created_at <= now);
        campaigns
    }

    /// The credits left, after those spent since the days began that have many campaigns.
    pub fn credits(&self, now: DateTime<Utc>) -> u64 {
        let spent: u64 = self
            .past_indices(self.dense_since())
            .chain(self.new_indices(now))
            .map(|index| self.campaign(index, now).cost(now))
            .sum();
        FULL - spent % (FULL - LOW)
    }

    /// New campaigns count from zero; older ones have negative indices.
    fn new_indices(&self, now: DateTime<Utc>) -> impl Iterator<Item = i64> {
        (0..).take_while(move |index| self.sent_at(*index) <= now)
    }

    /// The campaigns sent before the start, from a moment on.
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

    /// What chance has in store for a campaign.
    fn rng(&self, index: i64) -> Rng {
        let stream = index.cast_unsigned() << 2 | self.api as u64;
        // spread over all bits, because neighbouring seeds begin alike
        Rng::with_seed(self.seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn sent_at(&self, index: i64) -> DateTime<Utc> {
        let mut rng = self.rng(index);
        if let Some(slot) = slot(index) {
            let begin = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(SLOT_MS * slot);
            begin + TimeDelta::milliseconds(rng.i64(0..SLOT_MS))
        } else {
            // hence from 20 to 45 s apart, and the first within 8 s
            let late = rng.i64(if index == 0 { 1_000..8_000 } else { 0..12_500 });
            self.started + TimeDelta::milliseconds(SPACING_MS * index + late)
        }
    }

    fn campaign(&self, index: i64, now: DateTime<Utc>) -> Campaign {
        // forked, so as not to draw again what has set its time
        let mut rng = self.rng(index).fork();
        let sent_at = self.sent_at(index);
        let one_in_three = match slot(index) {
            // evenly, so that each day has some
            Some(slot) => slot % 3 == 0,
            None => rng.u8(..3) == 0,
        };
        let channel = if self.api == Api::Cinnox && one_in_three {
            Channel::Whatsapp
        } else {
            Channel::Sms
        };
        let luck = Luck::of(self.api, index);
        let name = match self.api {
            Api::ConstantContact | Api::Cinnox => name(&mut rng),
            Api::Smsup => message(&mut rng),
        };
        let mut campaign = Campaign {
            id: self.id(index, &mut rng),
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

    fn id(&self, index: i64, rng: &mut Rng) -> String {
        match self.api {
            Api::ConstantContact => format!(
                "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                rng.u32(..),
                rng.u16(..),
                rng.u16(..0x1000),
                rng.u16(0x8000..0xc000),
                rng.u64(..1 << 48)
            ),
            Api::Cinnox => format!("{:08x}{:016x}", rng.u32(..), rng.u64(..)),
            Api::Smsup => (28_970_000 + index).to_string(),
        }
    }

    /// A campaign of each kind that was not sent.
    fn special(&self, now: DateTime<Utc>) -> [Campaign; 3] {
        let unsent = |number: i64, status, sent_at| {
            let campaign = self.campaign(-number, now);
            Campaign {
                status,
                created_at: sent_at,
                sent_at,
                counts: Counts {
                    recipients: campaign.counts.recipients,
                    ..Counts::default()
                },
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

/// The slot of a campaign that was sent before the start. The few that were never sent have none.
fn slot(index: i64) -> Option<i64> {
    (index < SLOT_INDEX / 2).then(|| index - SLOT_INDEX)
}

/// How long the counts take to come in: minutes for the new ones, so that a newcomer sees them
/// move, and what is usual for the others.
fn spread(index: i64, channel: Channel, rng: &mut Rng) -> Duration {
    let seconds = match (slot(index), channel) {
        (None, _) => rng.u64(120..=300),
        (Some(_), Channel::Sms) => rng.u64(1_200..=3_600),
        (Some(_), Channel::Whatsapp) => rng.u64(7_200..=18_000),
    };
    Duration::from_secs(seconds)
}

/// What goes wrong with a campaign.
#[derive(Clone, Copy, Debug, Default)]
struct Luck {
    arrives_badly: bool,
    annoys: bool,
    is_ignored: bool,
}

impl Luck {
    fn of(api: Api, index: i64) -> Self {
        match slot(index) {
            // never one of the sparse ones, which tell what is usual; SMSUp has bad days
            Some(slot) => Self {
                arrives_badly: slot % 8 == 3 || (api == Api::Smsup && slot % 8 == 7),
                annoys: slot % 8 == 6,
                // always a WhatsApp campaign of CINNOX
                is_ignored: slot % 6 == 3,
            },
            None => Self {
                // the second new one, so that a newcomer soon sees something wrong
                arrives_badly: index >= 0 && index % 6 == 1,
                // never the same one, as 5 and 1 differ modulo 3
                annoys: index >= 0 && index % 9 == 5,
                is_ignored: false,
            },
        }
    }
}

fn counts(luck: Luck, channel: Channel, rng: &mut Rng) -> Counts {
    let mut between = |low: f64, high: f64| low + (high - low) * rng.f64();

    // many small ones, few large ones
    let recipients = 800 + part(59_200, between(0.0, 1.0).powi(3));
    let (npai, pending) = match channel {
        Channel::Sms => (part(recipients, between(0.001, 0.004)), 0),
        Channel::Whatsapp => (0, part(recipients, between(0.0, 0.003))),
    };
    let sends = recipients - npai;
    let delivery = if luck.arrives_badly {
        between(0.52, 0.58)
    } else {
        between(0.94, 0.99)
    };
    let deliveries = part(sends, delivery);
    let bounces = sends - deliveries - pending;
    let expired = part(bounces, between(0.2, 0.4));
    let network_error = part(bounces, between(0.0, 0.2));
    let interest = if luck.is_ignored { 0.1 } else { 1.0 };
    let clicks = part(sends, interest * between(0.02, 0.12));
    let opt_out = if luck.annoys {
        between(0.06, 0.09)
    } else {
        between(0.002, 0.01)
    };
    let (reads, replies) = match channel {
        Channel::Sms => (0, 0),
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
        npai,
    }
}

/// What a marketing team calls a campaign.
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

/// What it writes in a message.
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const APIS: [Api; 3] = [Api::ConstantContact, Api::Cinnox, Api::Smsup];

    fn start() -> DateTime<Utc> {
        "2026-06-15T21:00:00Z".parse().unwrap()
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        start() + TimeDelta::seconds(seconds)
    }

    /// The campaigns since the start, in order, an hour later.
    fn new(world: &World) -> Vec<Campaign> {
        let mut campaigns = world.campaigns(after(3_600));
        campaigns.retain(|campaign| campaign.sent_at >= start());
        campaigns.retain(|campaign| campaign.sent_at <= after(3_600));
        campaigns
    }

    #[test]
    fn the_same_seed_makes_the_same_world() {
        for api in APIS {
            let campaigns = |seed| World::new(api, seed, start()).campaigns(after(600));
            assert_eq!(campaigns(1), campaigns(1));
            assert_ne!(campaigns(1), campaigns(2));
        }
    }

    #[test]
    fn it_begins_with_a_month_behind_it_and_much_of_that_lately() {
        for api in APIS {
            let world = World::new(api, 1, start());
            let mut campaigns = world.campaigns(start());
            campaigns.retain(|campaign| campaign.status == "Sent");
            let younger = |days| {
                let oldest = start() - TimeDelta::days(days);
                campaigns.iter().filter(|c| c.sent_at >= oldest).count()
            };
            assert!((10..=13).contains(&younger(1)), "{}", younger(1));
            assert!((22..=25).contains(&younger(2)), "{}", younger(2));
            assert!((62..=68).contains(&campaigns.len()), "{}", campaigns.len());
            for campaign in &campaigns {
                assert_eq!(campaign.counts_at(start()), campaign.counts);
            }
            let first = campaigns.iter().min_by_key(|campaign| campaign.sent_at);
            let first = first.unwrap();
            assert!(first.sent_at < start() - TimeDelta::days(28));
            let gone = world.campaigns(start() + TimeDelta::days(2));
            assert!(!gone.iter().any(|campaign| campaign.id == first.id));
        }
    }

    #[test]
    fn worlds_of_the_same_day_share_their_past() {
        for api in APIS {
            let past = |started: DateTime<Utc>| -> Vec<_> {
                let campaigns = World::new(api, 1, started).campaigns(start());
                let sent = campaigns.into_iter().filter(|c| c.status == "Sent");
                let oldest = start() - TimeDelta::days(1);
                sent.filter(|campaign| campaign.sent_at >= oldest).collect()
            };
            assert!(past(start()).len() >= 10);
            assert_eq!(past(start()), past(after(3_600)));
            assert_eq!(past(start()), past(after(12 * 3_600)));
        }
    }

    #[test]
    fn the_day_before_the_start_happened_as_days_do() {
        let day_before = after(-86_400);
        for api in APIS {
            let world = World::new(api, 1, start());
            let sends = |now| -> u64 {
                let campaigns = world.campaigns(now);
                campaigns.iter().map(|c| c.counts_at(now).sends).sum()
            };
            let hours: Vec<_> = (0..=24)
                .map(|hour| sends(day_before + TimeDelta::hours(hour)))
                .collect();
            assert!(hours[0] > 0 && hours[24] > hours[0]);
            let known = world.campaigns(day_before);
            assert!(known.iter().all(|c| c.created_at <= day_before));
            assert!(known.iter().all(
                |c| c.counts_at(day_before) == c.counts || c.sent_at > after(-90_000 - 18_000)
            ));
        }
        // a campaign that is to be sent is there before
        let smsup = World::new(Api::Smsup, 1, start());
        let was = |status| {
            (0..24).any(|hour| {
                let campaigns = smsup.campaigns(day_before + TimeDelta::hours(hour));
                campaigns.iter().any(|campaign| campaign.status == status)
            })
        };
        assert!(was("Waiting") && was("In progress"));
    }

    #[test]
    fn some_of_each_day_have_gone_wrong_and_what_was_before_is_usual() {
        let delivery =
            |campaign: &Campaign| campaign.counts.deliveries as f64 / campaign.counts.sends as f64;
        let share = |count: u64, campaign: &Campaign| count as f64 / campaign.counts.sends as f64;
        for (api, hours) in APIS
            .into_iter()
            .flat_map(|api| (0..24).map(move |hours| (api, hours)))
        {
            let started = after(hours * 3_600);
            let mut campaigns = World::new(api, 1, started).campaigns(started);
            campaigns.retain(|campaign| campaign.counts.sends > 0);
            let day_before = started - TimeDelta::days(1);
            let day: Vec<_> = campaigns
                .iter()
                .filter(|campaign| campaign.sent_at >= day_before)
                .collect();
            assert!(day.iter().any(|campaign| delivery(campaign) < 0.6));
            assert!(day.iter().any(|c| share(c.counts.opt_outs, c) > 0.05));
            assert!(day.iter().any(|c| share(c.counts.clicks, c) < 0.015));
            let unread = |c: &&&Campaign| c.counts.reads > 0 && share(c.counts.reads, c) < 0.2;
            assert_eq!(day.iter().any(|c| unread(&c)), api == Api::Cinnox);
            let sparse = started - TimeDelta::days(DENSE_DAYS + 1);
            campaigns.retain(|campaign| campaign.sent_at < sparse);
            assert!(campaigns.len() > 35);
            assert!(campaigns.iter().all(|campaign| delivery(campaign) > 0.9));
        }
    }

    #[test]
    fn new_campaigns_keep_coming() {
        for (api, seed) in APIS
            .into_iter()
            .flat_map(|api| (0..20).map(move |seed| (api, seed)))
        {
            let world = World::new(api, seed, start());
            let campaigns = new(&world);
            assert!(campaigns[0].sent_at < after(10), "{api:?} {seed}");
            for (before, next) in campaigns.iter().zip(campaigns.iter().skip(1)) {
                let apart = (next.sent_at - before.sent_at).num_milliseconds();
                assert!(
                    (20_000..=45_000).contains(&apart),
                    "{api:?} {seed}: {apart}"
                );
            }
            let minute = TimeDelta::minutes(1);
            let first = &campaigns[0];
            assert_ne!(
                first.counts_at(first.sent_at + minute),
                first.counts_at(first.sent_at + minute + minute),
                "numbers move"
            );
        }
    }

    #[test]
    fn some_go_wrong() {
        for api in APIS {
            let campaigns = new(&World::new(api, 1, start()));
            let delivery = |campaign: &Campaign| {
                campaign.counts.deliveries as f64 / campaign.counts.sends as f64
            };
            let opt_out = |campaign: &Campaign| {
                campaign.counts.opt_outs as f64 / campaign.counts.sends as f64
            };
            assert!(delivery(&campaigns[0]) > 0.93);
            assert!(delivery(&campaigns[1]) < 0.6);
            let bad = campaigns
                .iter()
                .filter(|campaign| delivery(campaign) < 0.6)
                .count();
            assert_eq!(bad, (campaigns.len() - 1).div_ceil(6));
            let spikes = campaigns
                .iter()
                .filter(|campaign| opt_out(campaign) > 0.05)
                .count();
            assert_eq!(spikes, (campaigns.len() - 5).div_ceil(9));
        }
    }

    #[test]
    fn counts_agree_with_each_other() {
        for campaign in APIS
            .into_iter()
            .flat_map(|api| new(&World::new(api, 3, start())))
        {
            let counts = campaign.counts;
            assert!((800..=60_000).contains(&counts.recipients));
            assert_eq!(counts.sends + counts.npai, counts.recipients);
            assert_eq!(
                counts.deliveries + counts.bounces + counts.pending,
                counts.sends
            );
            assert_eq!(
                counts.error + counts.expired + counts.network_error,
                counts.bounces
            );
            assert!(counts.reads <= counts.deliveries);
            assert_eq!(campaign.channel == Channel::Whatsapp, counts.reads > 0);
        }
    }

    #[test]
    fn ids_differ_and_have_each_providers_shape() {
        let shape = |id: &str| -> Vec<usize> { id.split('-').map(str::len).collect() };
        for (api, expected) in APIS.into_iter().zip([&[8, 4, 4, 4, 12][..], &[24], &[8]]) {
            let campaigns = World::new(api, 1, start()).campaigns(after(3_600));
            for campaign in &campaigns {
                assert_eq!(shape(&campaign.id), expected);
            }
            let ids: HashSet<_> = campaigns.iter().map(|campaign| &campaign.id).collect();
            assert_eq!(ids.len(), campaigns.len());
        }
    }

    #[test]
    fn channels_are_those_the_provider_has() {
        let share = |api| {
            let campaigns = new(&World::new(api, 1, start()));
            let whatsapp = campaigns
                .iter()
                .filter(|campaign| campaign.channel == Channel::Whatsapp);
            whatsapp.count() as f64 / campaigns.len() as f64
        };
        assert!(
            (0.2..0.5).contains(&share(Api::Cinnox)),
            "{}",
            share(Api::Cinnox)
        );
        assert!(share(Api::ConstantContact) + share(Api::Smsup) < 0.01);
    }

    #[test]
    fn smsup_shows_every_status() {
        let world = World::new(Api::Smsup, 1, start());
        let count = |status, now| {
            let campaigns = world.campaigns(now);
            campaigns
                .iter()
                .filter(|campaign| campaign.status == status)
                .count()
        };
        for now in [start(), after(3_600)] {
            assert_eq!(count("In moderation", now), 1);
            assert_eq!(count("Denied", now), 1);
            assert_eq!(count("Waiting", now), 1);
        }
        assert_eq!(count("In progress", start()), 0);
        assert!(count("In progress", after(300)) > 2);
        assert_eq!(count("Waiting", after(25 * 3_600)), 0);
    }

    #[test]
    fn credits_fall_until_somebody_tops_up() {
        let world = World::new(Api::Smsup, 1, start());
        let credits: Vec<_> = (0..360)
            .map(|step| world.credits(after(step * 10)))
            .collect();
        assert!(
            credits
                .iter()
                .all(|credits| (LOW + 1..=FULL).contains(credits))
        );
        assert!(credits[30] < credits[0]);
        let ups = credits
            .iter()
            .zip(&credits[1..])
            .filter(|(before, after)| after > before);
        assert!((1..10).contains(&ups.count()));
    }

    #[test]
    fn names_vary() {
        for api in APIS {
            let campaigns = new(&World::new(api, 1, start()));
            let names: HashSet<_> = campaigns.iter().map(|campaign| &campaign.name).collect();
            assert!(names.len() * 10 > campaigns.len() * 8, "{names:?}");
            assert!(names.iter().any(|name| !name.is_ascii()));
        }
    }
}
