//! Matches alerts with incidents: which were told, when and how often, and which alerts are false.

use crate::incident::{Demand, Incident, Kind};
use crate::month::Month;
use crate::pages::Page;
use crate::rules::Firing;
use crate::sending::DAY;

const HOUR: i64 = 60;

/// Parts of the names of alerts on deliveries.
const DELIVERY: &[&str] =
    &["Deliver", "Bounce", "Stalled", "Receipt", "Pending", "Progress", "Slow", "Lost"];

/// Parts of the names of alerts on reading an account.
const READING: &[&str] = &["PollsFailing", "DataStale", "NeverRead", "ProviderDown"];

/// Outcome of an incident.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) incident: Incident,
    /// Minutes from the first affected message to the alert.
    pub(crate) delay: Option<i64>,
    pub(crate) pages: usize,
    /// Those of them that go to a pager.
    pub(crate) to_pagers: usize,
    /// The alerts in these.
    pub(crate) alerts: Vec<String>,
}

impl Kind {
    /// Returns parts of the names of the alerts that tell of it.
    const fn told_by(self) -> &'static [&'static str] {
        match self {
            Self::Links | Self::HalfLinks => &["Click", "Link"],
            Self::OptOuts => &["OptOut"],
            Self::Reads => &["Read"],
            Self::Stopped => &["Stopped", "Silent", "Quiet", "NoCampaign", "Inactive"],
            Self::Moderation => &["Moderation"],
            Self::Overdue => &["Overdue"],
            Self::Denied | Self::DeniedForTheWeekend => &["Denied"],
            Self::Backwards => &["Backwards"],
            Self::Disagreement | Self::Contradiction => &["Disagree"],
            Self::Flapping | Self::Stale | Self::ProviderDown | Self::NeverRead => READING,
            Self::Auth => &["Auth"],
            Self::TokenNotRenewed | Self::TokenRunsOut => &["Token"],
            Self::Quota => &["Quota"],
            Self::Credits | Self::CreditsScheduled => &["Credits"],
            Self::Dropped => &["Dropped"],
            Self::Down => &["ExporterDown"],
            Self::Absent => &["ExporterAbsent"],
            Self::Reload => &["Reload"],
            Self::Unreadable => &["Decode"],
            Self::UnusedThreshold => &["ThresholdUnused"],
            _ => DELIVERY,
        }
    }

    /// Returns parts of the names of other alerts that are also true.
    const fn also(self) -> &'static [&'static str] {
        match self {
            // who gets no message does not click
            _ if self.is_about_delivery() => &["Click", "Read"],
            Self::LateReceipts => &["Read"],
            Self::Backwards => DELIVERY,
            Self::Auth | Self::Quota | Self::TokenNotRenewed | Self::TokenRunsOut => {
                &["Auth", "PollsFailing", "DataStale", "NeverRead", "ProviderDown"]
            }
            _ => &[],
        }
    }

    /// Returns how long after an incident its alerts may last: for campaigns until they are no longer young,
    /// for an account as long as the rates that the rules look at.
    const fn aftermath(self) -> i64 {
        match self {
            Self::OptOuts => 2 * DAY + 2 * HOUR,
            Self::Contradiction => 7 * HOUR,
            Self::Unreadable | Self::Quota => 5 * HOUR,
            // the alert fires for three days
            Self::Denied | Self::DeniedForTheWeekend => 3 * DAY,
            Self::Links | Self::HalfLinks | Self::Reads | Self::Disagreement | Self::Stopped => {
                30 * HOUR
            }
            _ if self.is_about_delivery() => 2 * DAY,
            Self::LateReceipts | Self::Backwards => 30 * HOUR,
            _ => 2 * HOUR,
        }
    }

    /// Returns whether somebody must be told, but not now.
    const fn is_information(self) -> bool {
        matches!(
            self,
            Self::Backwards | Self::Disagreement | Self::Contradiction | Self::UnusedThreshold
        )
    }
}

impl Firing {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    pub(crate) fn severity(&self) -> &str {
        self.label("severity").unwrap_or_default()
    }

    /// Returns its labels that tell what it is about.
    pub(crate) fn subject(&self) -> [Option<&str>; 3] {
        [self.label("alertname"), self.label("account"), self.label("campaign_id")]
    }

    fn is_named(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.alert.contains(part))
    }
}

/// Alerts of a month.
pub(crate) struct Scored<'a> {
    pub(crate) month: &'a Month,
    pub(crate) incidents: &'a [Incident],
    pub(crate) firings: &'a [Firing],
    /// The first notification of each alert.
    pub(crate) pages: &'a [Option<Page>],
}

impl Scored<'_> {
    /// Returns whether an alert is about what an incident is about.
    fn is_about(&self, firing: &Firing, incident: &Incident) -> bool {
        let mut accounts =
            incident.accounts.iter().filter_map(|place| self.month.accounts.get(*place));
        let same_account = incident.accounts.is_empty()
            || accounts.any(|account| {
                firing.label("account").is_none_or(|name| name == account.name)
                    && firing.label("provider").is_none_or(|name| *name == *account.kind.name)
            });
        let same_campaign = incident.campaigns.is_empty()
            || firing
                .label("campaign_id")
                .is_none_or(|campaign| incident.campaigns.iter().any(|id| id == campaign));
        same_account && same_campaign
    }

    /// Returns whether an alert tells of an incident.
    fn tells(&self, firing: &Firing, incident: &Incident) -> bool {
        let kind = incident.kind;
        firing.is_named(kind.told_by())
            && (kind.is_information() || firing.severity() != "info")
            && self.is_about(firing, incident)
            && firing.until > incident.from
            && firing.from < incident.until + kind.aftermath()
            && (kind != Kind::DeniedForTheWeekend || firing.until >= incident.until)
    }

    /// Returns whether an alert is true at a minute.
    fn is_true_at(&self, firing: &Firing, minute: i64) -> bool {
        self.incidents.iter().any(|incident| {
            let kind = incident.kind;
            let named = firing.is_named(kind.told_by()) || firing.is_named(kind.also());
            let in_time = incident.from <= minute && minute <= incident.until + kind.aftermath();
            // credits run out for days before
            let early = matches!(kind, Kind::Credits) && minute <= incident.until;
            named
                && (in_time || early)
                && (incident.demand != Demand::NotCritical || firing.severity() != "critical")
                && self.is_about(firing, incident)
        })
    }

    /// Returns the outcome of each incident.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |incident: &Incident| {
            let (mut pages, mut alerts) = (Vec::new(), Vec::new());
            let mut first: Option<i64> = None;
            for (firing, page) in self.firings.iter().zip(self.pages) {
                if self.tells(firing, incident) {
                    first = Some(first.map_or(firing.from, |first| first.min(firing.from)));
                    let page = page.as_ref().filter(|_| firing.severity() != "info");
                    let after = firing.from - incident.since;
                    let alert = format!("{} {} after {after} min", firing.alert, firing.severity());
                    alerts.extend(page.map(|_| (after, alert)));
                    pages.extend(page);
                }
            }
            pages.sort_unstable();
            pages.dedup();
            let delay = first.map(|first| (first - incident.since).max(0));
            let to_pagers = pages.iter().filter(|page| page.is_to_pager()).count();
            alerts.sort_unstable();
            let alerts = alerts.into_iter().map(|(_, alert)| alert).collect();
            Verdict { incident: incident.clone(), delay, pages: pages.len(), to_pagers, alerts }
        };
        self.incidents.iter().map(verdict).collect()
    }

    /// Returns the false alerts: those without an incident, and those that outlast it. Warnings and critical
    /// alerts on the same subject at the same time are one.
    pub(crate) fn false_alerts(&self) -> Vec<Firing> {
        let is_false = |firing: &&Firing| {
            let is_true =
                self.is_true_at(firing, firing.from) && self.is_true_at(firing, firing.until - 1);
            firing.until > 0 && !is_true
        };
        let mut firings: Vec<&Firing> = self.firings.iter().filter(is_false).collect();
        firings.sort_by_key(|firing| firing.from);
        let mut alerts: Vec<Firing> = Vec::new();
        for firing in firings {
            let same = alerts.iter_mut().find(|found| {
                found.subject() == firing.subject() && firing.from <= found.until + HOUR
            });
            match same {
                Some(found) => {
                    found.until = found.until.max(firing.until);
                    if firing.severity() == "critical" {
                        found.labels.clone_from(&firing.labels);
                    }
                }
                None => alerts.push(firing.clone()),
            }
        }
        alerts
    }
}
