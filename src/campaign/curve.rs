//! How the ratios of campaigns grow with their age, and what is usual at an age. Pure: the caller passes
//! the time.
//!
//! Receipts, clicks and reads arrive for hours, so that a campaign can only be compared with others as
//! they were at its age.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::figures::{Bound, Figure, Figures};
use super::history::History;
use super::pool::Campaigns;
use super::{Campaign, Channel, Ratio};

/// The ages at which ratios are kept, in seconds: most receipts arrive within minutes, the last ones
/// within two days.
const AGES: [i64; 9] = [600, 1_200, 2_400, 3_600, 7_200, 14_400, 28_800, 86_400, 172_800];

/// The last of these ages.
const MAX_AGE: TimeDelta = TimeDelta::days(2);

/// The ratios that are kept.
pub const RATIOS: [Ratio; 6] =
    [Ratio::Delivery, Ratio::Click, Ratio::Bounce, Ratio::OptOut, Ratio::Open, Ratio::Read];

/// A day in seconds.
const DAY: i64 = 86_400;

/// Fewest attempted messages of a campaign whose ratios are kept: below, they are mostly chance.
const MIN_ATTEMPTED: u64 = 50;

/// Most campaigns whose ratios are kept, the newest ones: several months of an account that sends ten a
/// day.
const MAX_CURVES: usize = 1_000;

/// Most campaigns that say what is usual, the newest ones, so that a route that changed for good counts as
/// usual within days.
const MAX_REFERENCES: usize = 100;

/// Fewest campaigns that say what is usual: with fewer, one or two bad ones would be half of them.
const MIN_REFERENCES: usize = 7;

/// The same where messages wait for a connection: with fewer, there may be none of the lists that have far
/// more phones without one than others.
const MIN_WAITING_REFERENCES: usize = 15;

/// Longest time between the two polls around an age, as a share of the age.
const MAX_GAP: f64 = 0.5;

/// Longest time between the two polls around an age of 20 minutes or less: two polls at the default
/// interval.
const MAX_SHORT_GAP: i64 = 600;

/// How far the times of day may be apart at which two campaigns were sent that are compared. Recipients
/// sleep, and switch their phones off.
const SAME_HOURS: i64 = 3 * 3_600;

/// The distance of the bounds from the median, in standard deviations of a normal distribution with the
/// same median absolute deviation. Beyond are one in 700 of those.
const DEVIATIONS: f64 = 3.0;

/// How much wider the bounds are the fewer campaigns say what is usual: by half with
/// [`MIN_REFERENCES`].
const UNCERTAINTY: f64 = 3.5;

/// The share of the campaigns that may be below the low bound where messages wait for a connection: some
/// lists have far more phones without one than others, which the deviation from the median misses.
const SLOW_LISTS: f64 = 0.1;

/// How much wider the bounds are if they come from campaigns that were sent at other times of day, on
/// channels whose messages wait for a connection.
const OTHER_HOURS: f64 = 2.0;

/// The standard deviation of a normal distribution whose median absolute deviation is 1.
const SIGMA: f64 = 1.4826;

/// A ratio below is taken for this one when ratios are compared as factors.
const LEAST_RATIO: f64 = 1e-4;

/// What the ratios of a campaign were at some ages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Curve {
    channel: Channel,
    /// When it was sent: a campaign that is sent again begins again.
    sent: DateTime<Utc>,
    points: Vec<Point>,
}

/// The ratios at one of [`AGES`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    age: u8,
    /// In the order of [`RATIOS`].
    ratios: [Option<f32>; RATIOS.len()],
}

/// The ratios of a campaign at an age, and what is usual for campaigns like it.
#[derive(Clone, Debug)]
pub struct AtAge {
    /// The age in seconds.
    pub seconds: i64,
    ratios: [Option<f32>; RATIOS.len()],
    /// What is usual, as far as enough other campaigns are known.
    pub usual: Figures,
}

impl AtAge {
    /// The ratio of the campaign, if it is known.
    pub fn ratio(&self, ratio: Ratio) -> Option<f64> {
        let mut ratios = RATIOS.into_iter().zip(self.ratios);
        ratios.find(|(known, _)| *known == ratio)?.1.map(f64::from)
    }
}

/// The curves of an account's campaigns, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves(HashMap<String, Curve>);

impl Curves {
    /// Notes what the ratios of `history` are at `now`. `before` are the campaigns of the poll before and
    /// its time. Returns whether a ratio was added or removed.
    pub fn observe(
        &mut self,
        before: Option<(&History, DateTime<Utc>)>,
        history: &History,
        now: DateTime<Utc>,
    ) -> bool {
        let known = before.map(|(history, time)| (young(history, now), time));
        let mut kept = HashSet::new();
        let mut changed = false;
        for campaign in history.campaigns() {
            if kept.len() == MAX_CURVES {
                break;
            }
            let Some(sent) = campaign.last_sent else { continue };
            if campaign.attempted().is_none_or(|attempted| attempted < MIN_ATTEMPTED) {
                continue;
            }
            kept.insert(campaign.id.as_str());
            let earlier = known.as_ref().and_then(|(known, time)| {
                let campaign = known.get(&campaign.id)?;
                (campaign.last_sent == Some(sent)).then_some((&**campaign, *time))
            });
            // a campaign that an earlier poll did not find had no ratios yet when it was sent
            let since = earlier.map_or(sent, |(_, time)| time);
            let (from, to) = ((since - sent).num_seconds(), (now - sent).num_seconds());
            for (age, seconds) in (0_u8..).zip(AGES) {
                if from < seconds && seconds <= to && to - from <= max_gap(seconds) {
                    let share = (seconds - from) as f64 / (to - from) as f64;
                    let ratios = RATIOS.map(|ratio| {
                        let now = ratio.of([&**campaign])?;
                        let before = match earlier {
                            Some((earlier, _)) => ratio.of([earlier])?,
                            None => 0.0,
                        };
                        #[expect(clippy::cast_possible_truncation, reason = "7 digits are enough")]
                        Some((before + (now - before) * share) as f32)
                    });
                    let channel = campaign.channel.clone();
                    self.add(&campaign.id, channel, sent, Point { age, ratios });
                    changed = true;
                }
            }
        }
        let curves = self.0.len();
        self.0.retain(|id, _| kept.contains(id.as_str()));
        changed || self.0.len() < curves
    }

    fn add(&mut self, id: &str, channel: Channel, sent: DateTime<Utc>, point: Point) {
        let new = Curve { channel, sent, points: Vec::new() };
        let curve = self.0.entry(id.to_owned()).or_insert_with(|| new.clone());
        if curve.sent != sent {
            *curve = new;
        }
        curve.points.push(point);
    }

    /// The campaign with what is usual at its age; `None` if it is too old, or too few others are known.
    pub fn compared(&self, campaign: &Campaign, now: DateTime<Utc>) -> Option<Campaign> {
        if campaign.date().is_some_and(|date| date < now - MAX_AGE) {
            return None;
        }
        let usual = Some(self.usual(campaign, now)).filter(|usual| !usual.is_empty())?;
        Some(Campaign { figures: campaign.figures.with(usual), ..campaign.clone() })
    }

    /// The ratios of a campaign at each of the ages, and what is usual then. Empty if it was not sent yet.
    pub fn of(&self, campaign: &Campaign) -> Vec<AtAge> {
        let Some(sent) = campaign.last_sent else { return Vec::new() };
        let curve = self.0.get(&campaign.id).filter(|curve| curve.sent == sent);
        let at_age = |(age, seconds)| {
            let mut points = curve.into_iter().flat_map(|curve| &curve.points);
            let ratios = points.find(|point| point.age == age).map(|point| point.ratios);
            let at = sent.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or(sent);
            let usual = self.usual(campaign, at).into_iter().collect();
            AtAge { seconds, ratios: ratios.unwrap_or_default(), usual }
        };
        (0_u8..).zip(AGES).map(at_age).collect()
    }

    /// What is usual for campaigns like this one at its age: of those on the same channel that were sent
    /// before, as ratios with their bounds. Nothing if too few are known.
    fn usual(&self, campaign: &Campaign, now: DateTime<Utc>) -> Vec<(Figure, f64)> {
        let Some(sent) = campaign.last_sent else { return Vec::new() };
        let age = (now - sent).num_seconds();
        let mut others: Vec<_> = self
            .0
            .values()
            .filter(|curve| curve.channel == campaign.channel && curve.sent < sent)
            .collect();
        others.sort_unstable_by_key(|curve| std::cmp::Reverse(curve.sent));
        let mut figures = Vec::new();
        for (index, ratio) in RATIOS.into_iter().enumerate() {
            if ratio.of([campaign]).is_none() {
                continue;
            }
            let ratios = |same_hours: bool| -> Vec<_> {
                let others =
                    others.iter().filter(|curve| !same_hours || at_same_hours(curve.sent, sent));
                others.filter_map(|curve| curve.at(age, index)).take(MAX_REFERENCES).collect()
            };
            // after a day, each campaign has had the same hours of sleep
            let depends_on_hours = ratio != Ratio::OptOut && age < DAY;
            let waits = ratio == Ratio::Delivery && campaign.channel != Channel::Sms && age < DAY;
            let enough = if waits { MIN_WAITING_REFERENCES } else { MIN_REFERENCES };
            let mut known = ratios(depends_on_hours);
            let mut doubt = 1.0;
            // messages reach most phones at any time
            if known.len() < enough && matches!(ratio, Ratio::Delivery | Ratio::Bounce) {
                known = ratios(false);
                if campaign.channel != Channel::Sms {
                    doubt = OTHER_HOURS;
                }
            }
            figures.extend(bounds(ratio, known, doubt, waits));
        }
        figures
    }
}

/// The campaigns of a history that can have reached an age since: the gap around the last one is part of
/// that age.
fn young(history: &History, now: DateTime<Utc>) -> Campaigns {
    let is_young = |sent: DateTime<Utc>| now - sent <= MAX_AGE * 2;
    let all = history.campaigns().iter();
    all.filter(|campaign| campaign.last_sent.is_some_and(is_young)).cloned().collect()
}

impl Curve {
    /// The ratio at an age, between those at the ages around it.
    fn at(&self, age: i64, ratio: usize) -> Option<f64> {
        let mut around = AGES.windows(2).zip(0_u8..);
        let (ages, index) =
            around.find(|(ages, _)| ages.first() <= Some(&age) && Some(&age) <= ages.last())?;
        let &[younger, older] = ages else { return None };
        let at = |index| {
            let point = self.points.iter().find(|point| point.age == index)?;
            point.ratios.get(ratio).copied().flatten().map(f64::from)
        };
        // ratios grow about evenly with the logarithm of the age
        let log = |age: i64| (age as f64).ln();
        let share = (log(age) - log(younger)) / (log(older) - log(younger));
        let (before, after) = (at(index)?, at(index + 1)?);
        Some(before + (after - before) * share)
    }
}

/// The longest time between the two polls around an age.
fn max_gap(age: i64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "ages are below two days")]
    let share = (age as f64 * MAX_GAP) as i64;
    share.max(MAX_SHORT_GAP)
}

/// Whether two times are at about the same time of day, in any time zone: both are the account's.
fn at_same_hours(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    let apart = (one - other).num_seconds().rem_euclid(DAY);
    apart.min(DAY - apart) <= SAME_HOURS
}

/// The median of ratios and the bounds of what is usual, wider by the factor `doubt`. They are compared as
/// factors, since 1 and 2 % of clicks are further apart than 51 and 52 %. Up to half of the ratios can be
/// anything without moving the bounds far, unless messages wait for a connection: then the low bound is
/// below all but the lowest ones.
fn bounds(ratio: Ratio, mut ratios: Vec<f64>, doubt: f64, waits: bool) -> Vec<(Figure, f64)> {
    if matches!(ratio, Ratio::Click | Ratio::Open | Ratio::Read) {
        let all = ratios.len();
        // a message without a link or a tracked image says nothing about those that have one
        ratios.retain(|ratio| *ratio > 0.0);
        if ratios.len() * 5 < all * 4 {
            return Vec::new();
        }
    }
    if ratios.len() < MIN_REFERENCES {
        return Vec::new();
    }
    let most = ratios.iter().copied().fold(1.0, f64::max);
    let logs: Vec<_> = ratios.iter().map(|ratio| ratio.max(LEAST_RATIO).ln()).collect();
    let middle = median(logs.clone());
    let low = if waits { quantile(logs.clone(), SLOW_LISTS) } else { middle };
    let deviations = logs.iter().map(|log| (log - middle).abs());
    // few values can happen to be close to each other
    let chance = 1.0 + UNCERTAINTY / ratios.len() as f64;
    let width = doubt * DEVIATIONS * SIGMA * chance * median(deviations.collect());
    let low = (low - middle).min(-width);
    let bounds = [(Bound::Low, low), (Bound::Median, 0.0), (Bound::High, width)];
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let figure = |(bound, width): (Bound, f64)| {
        // rounded, so that the bounds of an older campaign rarely change
        (Figure::Usual(ratio, bound), rounded((middle + width).exp().min(most)))
    };
    bounds.map(figure).into()
}

/// The value below which a share of the values are.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    let place = (values.len() as f64 * share) as usize;
    values.get(place).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    match values.get(middle.wrapping_sub(1)) {
        Some(lower) if values.len().is_multiple_of(2) => f64::midpoint(*lower, upper),
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::campaign::counts::{Count, Counts};
    use crate::campaign::window::Window;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    /// A campaign of 1,000 messages.
    fn campaign(id: &str, sent: i64, delivered: u64, clicks: u64) -> Campaign {
        Campaign {
            id: id.to_owned(),
            last_sent: Some(at(sent)),
            counts: Counts::from([
                (Count::Sends, Some(1_000)),
                (Count::Deliveries, Some(delivered)),
                (Count::Clicks, Some(clicks)),
            ]),
            ..Campaign::default()
        }
    }

    fn history(campaigns: impl IntoIterator<Item = Campaign>, now: i64) -> History {
        let read = campaigns.into_iter().map(Arc::new).collect();
        History::of_full_read(read, Window::new(at(0), at(now)))
    }

    /// Polls every `interval` minutes for a day. Each campaign is sent at its minute, and delivered to its
    /// share of 1,000 recipients evenly within 20 minutes; a tenth of them click as fast.
    fn polled(campaigns: &[(i64, u64)], interval: usize) -> (Curves, Vec<Campaign>) {
        let mut curves = Curves::default();
        let mut last: Option<(History, DateTime<Utc>)> = None;
        for now in (0..1_500).step_by(interval) {
            let sent = campaigns.iter().enumerate().filter(|(_, (sent, _))| *sent <= now);
            let read = sent.map(|(id, (sent, share))| {
                let delivered = share * (now - sent).min(20).unsigned_abs() / 20;
                campaign(&id.to_string(), *sent, delivered, delivered / 10)
            });
            let read = history(read, now);
            let before = last.as_ref().map(|(history, time)| (history, *time));
            curves.observe(before, &read, at(now));
            last = Some((read, at(now)));
        }
        let campaigns = last.map(|(history, _)| history.campaigns().to_vec());
        let campaigns = campaigns.unwrap_or_default();
        (curves, campaigns.iter().map(|campaign| Campaign::clone(campaign)).collect())
    }

    fn usual(curves: &Curves, of: &Campaign, now: i64) -> Vec<(Bound, f64)> {
        let usual = curves.usual(of, at(now)).into_iter();
        usual
            .filter_map(|(figure, value)| match figure {
                Figure::Usual(Ratio::Delivery, bound) => Some((bound, value)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn usual_is_what_others_had_at_the_same_age() {
        // two incidents among nine
        let shares = [950, 960, 940, 400, 955, 945, 100, 950, 952];
        let campaigns: Vec<_> = (0..).step_by(60).zip(shares).collect();
        let (curves, _) = polled(&campaigns, 5);
        let young = campaign("young", 1_440, 300, 30);
        assert_eq!(usual(&curves, &young, 1_449), []);
        for (minutes, median) in [(10, 0.475), (20, 0.95), (60, 0.95)] {
            let found = usual(&curves, &young, 1_440 + minutes);
            let [(Bound::Low, low), (Bound::Median, middle), (Bound::High, high)] = found[..]
            else {
                panic!("{found:?}")
            };
            assert!((middle - median).abs() < 0.01, "{minutes}: {found:?}");
            assert!(0.94 * middle < low && low < middle, "{minutes}: {found:?}");
            assert!(middle < high && high <= 1.0, "{minutes}: {found:?}");
        }
        // neither another channel's nor later ones
        let email = Campaign { channel: Channel::Email, ..young.clone() };
        assert_eq!(usual(&curves, &email, 1_460), []);
        let first = Campaign { last_sent: Some(at(0)), ..young };
        assert_eq!(usual(&curves, &first, 20), []);
    }

    #[test]
    fn a_ratio_between_two_polls_far_apart_is_absent() {
        let campaigns: Vec<_> = (0..9).map(|index| (index * 60, 950)).collect();
        let (curves, campaigns) = polled(&campaigns, 30);
        let curve = curves.0.get("3").unwrap();
        assert_eq!(curve.points.iter().map(|point| point.age).collect::<Vec<_>>(), [3, 4, 5, 6]);
        let young = campaigns.first().unwrap();
        assert_eq!(usual(&curves, young, 480 + 30), []);
        assert_eq!(usual(&curves, young, 480 + 90).len(), 3);
    }

    #[test]
    fn clicks_are_compared_at_the_same_time_of_day_and_with_others_that_have_links() {
        let rates = |others: Vec<(i64, u64)>, sent: i64| {
            let mut curves = Curves::default();
            for (index, (sent, clicks)) in (0_i64..).zip(others) {
                let sent = at(sent - index * 1_440);
                for age in [2, 3] {
                    let mut ratios = [Some(0.9); RATIOS.len()];
                    ratios[1] = Some(clicks as f32 / 1_000.0);
                    curves.add(&index.to_string(), Channel::Sms, sent, Point { age, ratios });
                }
            }
            let usual = curves.usual(&campaign("young", sent, 900, 20), at(sent + 45));
            let has = |ratio| {
                usual.contains(&(
                    Figure::Usual(ratio, Bound::Median),
                    if ratio == Ratio::Click { 0.03 } else { 0.9 },
                ))
            };
            (has(Ratio::Delivery), has(Ratio::Click))
        };
        let sent = 100 * 1_440;
        assert_eq!(rates(vec![(sent - 1_440, 30); 7], sent), (true, true));
        assert_eq!(rates(vec![(sent - 1_440 + 170, 30); 7], sent), (true, true));
        assert_eq!(rates(vec![(sent - 1_440 + 190, 30); 7], sent), (true, false));
        assert_eq!(rates(vec![(sent - 1_440, 30); 6], sent), (false, false));
        let with = |without_links| {
            let mut others = vec![(sent - 1_440, 30); 8];
            others.extend(vec![(sent - 1_440, 0); without_links]);
            rates(others, sent)
        };
        assert_eq!(with(2), (true, true));
        assert_eq!(with(3), (true, false));
    }

    #[test]
    fn deliveries_are_compared_at_other_times_of_day_if_too_few_are_known() {
        let sent = 100 * 1_440;
        let width = |channel: Channel, known: i64, hours_apart: i64| {
            let mut curves = Curves::default();
            for index in 0..known {
                let sent = at(sent - (index + 1) * 1_440 - hours_apart * 60);
                let ratios = [Some(0.8 + index as f32 / 100.0); RATIOS.len()];
                for age in [2, 3] {
                    curves.add(&index.to_string(), channel.clone(), sent, Point { age, ratios });
                }
            }
            let young = Campaign { channel, ..campaign("young", sent, 900, 20) };
            let [(_, low), (_, median), _] = usual(&curves, &young, sent + 45)[..] else {
                return None;
            };
            Some((median / low).ln())
        };
        assert_eq!(width(Channel::Sms, 7, 3), width(Channel::Sms, 7, 4));
        let [same, other] = [3, 4].map(|hours| width(Channel::Whatsapp, 15, hours).unwrap());
        assert!(1.9 * same < other && other < 2.1 * same, "{same} {other}");
        // among fewer, there may be no list with many phones off
        assert_eq!(width(Channel::Whatsapp, 14, 3), width(Channel::Whatsapp, 14, 4));
        assert_eq!(width(Channel::Whatsapp, 6, 4), None);
        // the same spread of fewer campaigns says less
        let (few, many) = (width(Channel::Sms, 7, 0), width(Channel::Sms, 19, 0));
        let per_deviation = |width: Option<f64>, deviation: f64| width.unwrap() / deviation;
        assert!(per_deviation(few, 2.0) > 1.15 * per_deviation(many, 5.0), "{few:?} {many:?}");
    }

    #[test]
    fn lists_with_many_phones_off_are_usual_where_messages_wait_for_them() {
        let low = |channel: Channel| {
            let mut curves = Curves::default();
            for index in 0..10 {
                let share = if index % 5 == 0 { 0.55 } else { 0.8 + index as f32 / 1_000.0 };
                for age in [2, 3] {
                    let point = Point { age, ratios: [Some(share); RATIOS.len()] };
                    let sent = at(-(index + 1) * 1_440);
                    curves.add(&index.to_string(), channel.clone(), sent, point);
                }
            }
            let young = Campaign { channel, ..campaign("young", 0, 900, 20) };
            usual(&curves, &young, 45).first().unwrap().1
        };
        assert!(low(Channel::Whatsapp) <= 0.55);
        assert!(low(Channel::Sms) > 0.7);
    }

    #[test]
    fn a_campaign_that_is_sent_again_begins_again() {
        let mut curves = Curves::default();
        let observe = |curves: &mut Curves, sent: i64, now: i64| {
            let before = history([campaign("1", sent, 500, 5)], now - 5);
            let after = history([campaign("1", sent, 600, 6)], now);
            curves.observe(Some((&before, at(now - 5))), &after, at(now))
        };
        assert!(observe(&mut curves, 0, 12));
        assert!(!observe(&mut curves, 0, 16));
        assert!(observe(&mut curves, 0, 22));
        assert_eq!(curves.0["1"].points.len(), 2);
        assert!(observe(&mut curves, 100, 110));
        assert_eq!(curves.0["1"].points.len(), 1);
        // and one that is gone is forgotten
        assert!(curves.observe(None, &history([], 111), at(111)));
        assert!(curves.0.is_empty());
    }
}
