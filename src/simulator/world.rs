//! An account that lives: the demo's campaigns.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use fastrand::Rng;

use super::{Api, Campaign, Channel, Counts, campaign::part};

/// The campaigns that are there from the start.
const SETTLED: i64 = 40;

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
/// Everything follows from the API, the seed and the start, so nothing has to be stored.
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

    /// The campaigns of the last 30 days, in no particular order.
    pub fn campaigns(&self, now: DateTime<Utc>) -> Vec<Campaign> {
        let oldest = now - TimeDelta::days(KEPT_DAYS);
        let mut campaigns: Vec<_> = (-SETTLED..0)
            .chain(self.new_indices(now))
            .filter(|index| self.sent_at(*index) >= oldest)
            .map(|index| self.campaign(index, now))
            .collect();
        if self.api == Api::Smsup {
            campaigns.extend(self.special(now));
        }
        campaigns
    }

    /// The credits left, after those spent on new campaigns.
    pub fn credits(&self, now: DateTime<Utc>) -> u64 {
        let spent: u64 = self
            .new_indices(now)
            .map(|index| self.campaign(index, now).cost(now))
            .sum();
        FULL - spent % (FULL - LOW)
    }

    /// New campaigns count from zero; older ones have negative indices.
    fn new_indices(&self, now: DateTime<Utc>) -> impl Iterator<Item = i64> {
        (0..).take_while(move |index| self.sent_at(*index) <= now)
    }

    /// What chance has in store for a campaign.
    fn rng(&self, index: i64) -> Rng {
        let stream = index.cast_unsigned() << 2 | self.api as u64;
        // spread over all bits, because neighbouring seeds begin alike
        Rng::with_seed(self.seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn sent_at(&self, index: i64) -> DateTime<Utc> {
        let mut rng = self.rng(index);
        if index < 0 {
            // yesterday at the latest, and at hours at which nobody is woken
            let days = 1 + (-1 - index) * 28 / SETTLED;
            let midnight = self.started.date_naive().and_time(NaiveTime::MIN).and_utc();
            midnight - TimeDelta::days(days) + TimeDelta::minutes(rng.i64(8 * 60..18 * 60))
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
        let channel = if self.api == Api::Cinnox && rng.u8(..3) == 0 {
            Channel::Whatsapp
        } else {
            Channel::Sms
        };
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
            counts: counts(index, channel, &mut rng),
            spread: Duration::from_secs(rng.u64(120..=300)),
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
            Api::Smsup => (18_970_000 + index).to_string(),
        }
    }

    /// A campaign of each kind that was not sent.
    fn special(&self, now: DateTime<Utc>) -> [Campaign; 3] {
        let unsent = |number, status, sent_at| {
            let campaign = self.campaign(-SETTLED - number, now);
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
            ..self.campaign(-SETTLED - 3, now)
        };
        waiting.status = status(&waiting, now);
        [
            unsent(1, "In moderation", self.started - TimeDelta::minutes(35)),
            unsent(2, "Denied", self.started - TimeDelta::hours(27)),
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

fn counts(index: i64, channel: Channel, rng: &mut Rng) -> Counts {
    // the second new one, so that a newcomer soon sees something wrong
    let arrives_badly = index >= 0 && index % 6 == 1;
    // never the same one, as 5 and 1 differ modulo 3
    let annoys = index >= 0 && index % 9 == 5;
    let mut between = |low: f64, high: f64| low + (high - low) * rng.f64();

    // many small ones, few large ones
    let recipients = 800 + part(59_200, between(0.0, 1.0).powi(3));
    let (npai, pending) = match channel {
        Channel::Sms => (part(recipients, between(0.001, 0.004)), 0),
        Channel::Whatsapp => (0, part(recipients, between(0.0, 0.003))),
    };
    let sends = recipients - npai;
    let delivery = if arrives_badly {
        between(0.52, 0.58)
    } else {
        between(0.94, 0.99)
    };
    let deliveries = part(sends, delivery);
    let bounces = sends - deliveries - pending;
    let expired = part(bounces, between(0.2, 0.4));
    let network_error = part(bounces, between(0.0, 0.2));
    let clicks = part(sends, between(0.02, 0.12));
    let opt_out = if annoys {
        between(0.06, 0.09)
    } else {
        between(0.002, 0.01)
    };
    let (reads, replies) = match channel {
        Channel::Sms => (0, 0),
        Channel::Whatsapp => (
            part(deliveries, between(0.5, 0.8)),
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
    fn it_begins_with_a_month_of_settled_campaigns() {
        for api in APIS {
            let mut campaigns = World::new(api, 1, start()).campaigns(start());
            campaigns.retain(|campaign| campaign.status == "Sent");
            assert_eq!(campaigns.len(), 40);
            for campaign in &campaigns {
                assert_eq!(campaign.counts_at(start()), campaign.counts);
            }
            let first = campaigns
                .iter()
                .map(|campaign| campaign.sent_at)
                .min()
                .unwrap();
            assert!(first < start() - TimeDelta::days(26));
            let gone = World::new(api, 1, start()).campaigns(start() + TimeDelta::days(29));
            assert!(!gone.contains(&campaigns[0]), "older than 30 days");
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
        assert_eq!(credits[0], FULL);
        assert!(
            credits
                .iter()
                .all(|credits| (LOW + 1..=FULL).contains(credits))
        );
        assert!(credits[30] < FULL);
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
