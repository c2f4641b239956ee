//! Which metrics of campaigns are exported: decided once for each account, by its configuration.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Campaign;

/// A set of metrics with a name. Each contains those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// What tells whether messages are delivered: at most [`ESSENTIAL`] series for a campaign.
    Essential,
    /// What the alerts and the dashboards use.
    Standard,
    /// All metrics.
    Full,
}

/// The most series that a campaign has in the smallest profile.
pub const ESSENTIAL: usize = 7;

impl Profile {
    /// All profiles, the largest first.
    pub const ALL: [Self; 3] = [Self::Full, Self::Standard, Self::Essential];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Essential => "essential",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// The profile with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }
}

/// A metric of campaigns.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// The smallest profile that has it.
    pub profile: Profile,
    /// Whether campaigns older than `detail` have it: account figures over weeks and the dashboards
    /// of a month use it.
    pub is_lasting: bool,
}

/// A metric that only young campaigns have, if `detail` is set.
const fn detailed(name: &'static str, profile: Profile) -> Metric {
    Metric { name, profile, is_lasting: false }
}

/// A metric that campaigns have at any age.
const fn lasting(name: &'static str, profile: Profile) -> Metric {
    Metric { name, profile, is_lasting: true }
}

/// The metrics of campaigns, in the order of the exposition.
pub const METRICS: [Metric; 37] = {
    use Profile::{Essential, Full, Standard};
    [
        lasting("campaign_info", Essential),
        detailed("campaign_status", Essential),
        detailed("campaign_failures", Standard),
        lasting("campaign_last_sent_timestamp_seconds", Essential),
        detailed("campaign_scheduled_timestamp_seconds", Standard),
        detailed("campaign_created_timestamp_seconds", Standard),
        detailed("campaign_recipients", Standard),
        lasting("campaign_attempted", Essential),
        detailed("campaign_sends", Standard),
        lasting("campaign_deliveries", Essential),
        detailed("campaign_opens", Full),
        lasting("campaign_clicks", Standard),
        lasting("campaign_bounces", Essential),
        lasting("campaign_opt_outs", Standard),
        lasting("campaign_reads", Standard),
        lasting("campaign_replies", Standard),
        lasting("campaign_pending", Essential),
        lasting("campaign_complaints", Standard),
        detailed("campaign_conversions", Full),
        lasting("campaign_cost", Standard),
        detailed("campaign_revenue", Full),
        lasting("campaign_cost_credits", Standard),
        // quotients of the counts
        detailed("campaign_delivery_ratio", Full),
        detailed("campaign_click_ratio", Full),
        detailed("campaign_bounce_ratio", Full),
        detailed("campaign_opt_out_ratio", Full),
        detailed("campaign_open_ratio", Full),
        detailed("campaign_read_ratio", Full),
        detailed("campaign_reply_ratio", Full),
        detailed("campaign_usual_ratio", Standard),
        // an alert compares it with the counts
        detailed("campaign_reported_delivery_ratio", Standard),
        detailed("campaign_reported_click_ratio", Full),
        detailed("campaign_reported_bounce_ratio", Full),
        detailed("campaign_reported_opt_out_ratio", Full),
        detailed("campaign_reported_open_ratio", Full),
        detailed("campaign_reported_read_ratio", Full),
        detailed("campaign_reported_reply_ratio", Full),
    ]
};

/// The number of [`METRICS`] that [`Exported`] can distinguish: the bits of a set.
const MAX_METRICS: usize = u64::BITS as usize;
const _: () = assert!(METRICS.len() <= MAX_METRICS, "a set of metrics has a bit for each");

/// Which metrics of an account's campaigns are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// A bit for each of the [`METRICS`].
    of_young: u64,
    of_older: u64,
    /// Age from which a campaign is older.
    detail: Option<Duration>,
}

impl Exported {
    /// The metrics of a profile without those in `exclude`, and those in `include` at any age.
    pub fn new(
        profile: Profile,
        exclude: &[String],
        include: &[String],
        detail: Option<Duration>,
    ) -> Self {
        let names = |list: &[String], metric: &Metric| list.iter().any(|name| name == metric.name);
        let bits = |is_in: &dyn Fn(&Metric) -> bool| {
            let metrics = METRICS.iter().zip(0..);
            metrics
                .filter(|(metric, _)| is_in(metric))
                .fold(0, |bits, (_, bit)| bits | 1_u64 << bit)
        };
        let is_in_profile = |metric: &Metric| metric.profile <= profile && !names(exclude, metric);
        Self {
            of_young: bits(&|metric| is_in_profile(metric) || names(include, metric)),
            of_older: bits(&|metric| {
                metric.is_lasting && is_in_profile(metric) || names(include, metric)
            }),
            detail,
        }
    }

    /// The same metrics for campaigns of all ages.
    #[must_use]
    pub const fn at_any_age(self) -> Self {
        Self { detail: None, ..self }
    }

    /// Whether one of the [`METRICS`] is exported for a campaign.
    pub const fn contains(self, index: usize, is_older: bool) -> bool {
        let bits = if is_older { self.of_older } else { self.of_young };
        index < MAX_METRICS && bits >> index & 1 == 1
    }

    /// Whether a campaign was older than `detail` at a time. One that was not sent yet never is.
    pub fn is_older(self, campaign: &Campaign, at: DateTime<Utc>) -> bool {
        let (Some(detail), Some(sent)) = (self.detail, campaign.last_sent) else {
            return false;
        };
        (at - sent).to_std().is_ok_and(|age| age >= detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(profile: Profile, exclude: &[&str], include: &[&str]) -> [Vec<&'static str>; 2] {
        let [exclude, include] = [exclude, include]
            .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let exported = Exported::new(profile, &exclude, &include, None);
        [false, true].map(|is_older| {
            let metrics = METRICS.iter().enumerate();
            let metrics = metrics.filter(|(index, _)| exported.contains(*index, is_older));
            metrics.map(|(_, metric)| metric.name).collect()
        })
    }

    #[test]
    fn each_profile_contains_the_smaller_ones() {
        let [full, standard, essential] =
            Profile::ALL.map(|profile| exported(profile, &[], &[])[0].clone());
        assert_eq!(full.len(), METRICS.len());
        assert_eq!(essential.len(), ESSENTIAL);
        assert!(essential.iter().all(|name| standard.contains(name)));
        assert!(essential.len() < standard.len() && standard.len() < full.len());
    }

    #[test]
    fn a_name_in_a_list_takes_precedence() {
        let [young, older] = exported(Profile::Standard, &["campaign_clicks"], &[]);
        assert!(!young.contains(&"campaign_clicks") && !older.contains(&"campaign_clicks"));
        let [young, older] = exported(Profile::Essential, &[], &["campaign_opens"]);
        assert_eq!(young.len(), ESSENTIAL + 1);
        assert!(young.contains(&"campaign_opens") && older.contains(&"campaign_opens"));
        assert!(!older.contains(&"campaign_status"));
    }

    #[test]
    fn a_campaign_becomes_older_at_an_age() {
        let now: DateTime<Utc> = "2026-03-08T12:00:00Z".parse().unwrap();
        let week = Duration::from_hours(7 * 24);
        let exported = |detail| Exported::new(Profile::Full, &[], &[], detail);
        for (sent, is_older) in [
            (Some("2026-03-01T12:00:00Z"), true),
            (Some("2026-03-01T12:00:01Z"), false),
            (Some("2026-03-09T12:00:00Z"), false),
            (None, false),
        ] {
            let last_sent = sent.map(|sent| sent.parse().unwrap());
            let campaign = Campaign { last_sent, ..Campaign::default() };
            assert_eq!(exported(Some(week)).is_older(&campaign, now), is_older, "{sent:?}");
            assert!(!exported(None).is_older(&campaign, now));
        }
    }
}
