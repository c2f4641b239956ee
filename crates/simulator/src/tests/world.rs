//! Simulated accounts over time.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::{APIS, MadeUp, PLAIN, UNSENT, WHATSAPP};
use crate::world::{DENSE_DAYS, FULL, LOW};
use crate::*;

fn start() -> DateTime<Utc> {
    "2026-06-15T21:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    start() + TimeDelta::seconds(seconds)
}

/// Returns the campaigns of the first hour after the start, in order.
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
fn an_account_starts_with_a_month_of_history_mostly_recent() {
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
fn the_day_before_the_start_matches_a_simulated_day() {
    let day_before = after(-86_400);
    for api in APIS {
        let world = World::new(api, 1, start());
        let sends = |now| -> u64 {
            let campaigns = world.campaigns(now);
            campaigns.iter().map(|c| c.counts_at(now).sends).sum()
        };
        let hours: Vec<_> =
            (0..=24).map(|hour| sends(day_before + TimeDelta::hours(hour))).collect();
        assert!(hours[0] > 0 && hours[24] > hours[0]);
        let known = world.campaigns(day_before);
        assert!(known.iter().all(|c| c.created_at <= day_before));
        assert!(known.iter().all(
            |c| c.counts_at(day_before) == c.counts || c.sent_at > after(-90_000 - 18_000)
        ));
    }
    // a campaign exists before it is scheduled to be sent
    let world = World::new(&UNSENT, 1, start());
    let was = |status| {
        (0..24).any(|hour| {
            let campaigns = world.campaigns(day_before + TimeDelta::hours(hour));
            campaigns.iter().any(|campaign| campaign.status == status)
        })
    };
    assert!(was("Waiting") && was("In progress"));
}

#[test]
fn each_recent_day_has_problems_and_older_days_have_none() {
    let delivery =
        |campaign: &Campaign| campaign.counts.deliveries as f64 / campaign.counts.sends as f64;
    let share = |count: u64, campaign: &Campaign| count as f64 / campaign.counts.sends as f64;
    for (api, hours) in APIS.into_iter().flat_map(|api| (0..24).map(move |hours| (api, hours))) {
        let started = after(hours * 3_600);
        let mut campaigns = World::new(api, 1, started).campaigns(started);
        campaigns.retain(|campaign| campaign.counts.sends > 0);
        let day_before = started - TimeDelta::days(1);
        let day: Vec<_> =
            campaigns.iter().filter(|campaign| campaign.sent_at >= day_before).collect();
        assert!(day.iter().any(|campaign| delivery(campaign) < 0.6));
        assert!(day.iter().any(|c| share(c.counts.opt_outs, c) > 0.05));
        assert!(day.iter().any(|c| share(c.counts.clicks, c) < 0.015));
        let unread = |c: &&&Campaign| c.counts.reads > 0 && share(c.counts.reads, c) < 0.2;
        assert_eq!(
            day.iter().any(|c| unread(&c)),
            api.habits().channels.contains(&Channel::Whatsapp)
        );
        let sparse = started - TimeDelta::days(DENSE_DAYS + 1);
        campaigns.retain(|campaign| campaign.sent_at < sparse);
        assert!(campaigns.len() > 35);
        assert!(campaigns.iter().all(|campaign| delivery(campaign) > 0.9));
    }
}

#[test]
fn new_campaigns_keep_arriving() {
    for (api, seed) in APIS.into_iter().flat_map(|api| (0..20).map(move |seed| (api, seed))) {
        let world = World::new(api, seed, start());
        let campaigns = new(&world);
        assert!(campaigns[0].sent_at < after(10), "{api:?} {seed}");
        for (before, next) in campaigns.iter().zip(campaigns.iter().skip(1)) {
            let apart = (next.sent_at - before.sent_at).num_milliseconds();
            assert!((20_000..=45_000).contains(&apart), "{api:?} {seed}: {apart}");
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
fn some_campaigns_have_problems() {
    for api in APIS {
        let campaigns = new(&World::new(api, 1, start()));
        let delivery =
            |campaign: &Campaign| campaign.counts.deliveries as f64 / campaign.counts.sends as f64;
        let opt_out =
            |campaign: &Campaign| campaign.counts.opt_outs as f64 / campaign.counts.sends as f64;
        assert!(delivery(&campaigns[0]) > 0.93);
        assert!(delivery(&campaigns[1]) < 0.6);
        let bad = campaigns.iter().filter(|campaign| delivery(campaign) < 0.6).count();
        assert_eq!(bad, (campaigns.len() - 1).div_ceil(6));
        let spikes = campaigns.iter().filter(|campaign| opt_out(campaign) > 0.05).count();
        assert_eq!(spikes, (campaigns.len() - 5).div_ceil(9));
    }
}

#[test]
fn counts_agree_with_each_other() {
    for campaign in APIS.into_iter().flat_map(|api| new(&World::new(api, 3, start()))) {
        let counts = campaign.counts;
        assert!((800..=60_000).contains(&counts.recipients));
        assert_eq!(counts.sends + counts.unassigned, counts.recipients);
        assert_eq!(counts.deliveries + counts.bounces + counts.pending, counts.sends);
        assert_eq!(counts.error + counts.expired + counts.network_error, counts.bounces);
        assert!(counts.reads <= counts.deliveries);
        assert_eq!(campaign.channel == Channel::Whatsapp, counts.reads > 0);
    }
}

#[test]
fn ids_are_unique() {
    for api in APIS {
        let campaigns = World::new(api, 1, start()).campaigns(after(3_600));
        let ids: HashSet<_> = campaigns.iter().map(|campaign| &campaign.id).collect();
        assert_eq!(ids.len(), campaigns.len());
    }
}

#[test]
fn channels_match_the_habits() {
    let share = |api: &MadeUp| {
        let campaigns = new(&World::new(api, 1, start()));
        let whatsapp = campaigns.iter().filter(|campaign| campaign.channel == Channel::Whatsapp);
        whatsapp.count() as f64 / campaigns.len() as f64
    };
    assert!((0.2..0.5).contains(&share(&WHATSAPP)), "{}", share(&WHATSAPP));
    assert!(share(&PLAIN) + share(&UNSENT) < 0.01);
}

#[test]
fn every_status_is_shown() {
    let world = World::new(&UNSENT, 1, start());
    let count = |status, now| {
        let campaigns = world.campaigns(now);
        campaigns.iter().filter(|campaign| campaign.status == status).count()
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
fn credits_fall_until_a_top_up() {
    let world = World::new(&UNSENT, 1, start());
    let credits: Vec<_> = (0..360).map(|step| world.credits(after(step * 10))).collect();
    assert!(credits.iter().all(|credits| (LOW + 1..=FULL).contains(credits)));
    assert!(credits[30] < credits[0]);
    let ups = credits.iter().zip(&credits[1..]).filter(|(before, after)| after > before);
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
