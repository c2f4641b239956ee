//! Which alerts told of which incidents, how soon, and which told of none.

use crate::incident::{Depth, Incident, Kind};
use crate::month::ACCOUNTS;
use crate::rules::{Firing, Rule};
use crate::sending::DAY;

/// How long after an incident alerts may still be about it: until its campaigns are no longer
/// recent, and what is kept firing.
const AFTERMATH: i64 = DAY + 180;

/// The minutes that an alert needs anyway: until a scrape and until an evaluation.
const SCRAPE_AND_EVALUATION: i64 = 2;

/// The minutes until a poll.
const POLL: i64 = 5;

/// What became of an incident.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) incident: Incident,
    /// Since when somebody should be told, if anybody should.
    pub(crate) bad_since: Option<i64>,
    /// How many minutes later the alert fired.
    pub(crate) told_after: Option<i64>,
    /// The least that it can take.
    pub(crate) floor: i64,
}

/// An alert that fired without a reason.
#[derive(Debug)]
pub(crate) struct FalseAlert {
    pub(crate) alert: String,
    pub(crate) account: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Kind {
    /// The alert that tells of it, and its severity.
    pub(crate) const fn alert(self) -> (&'static str, &'static str) {
        const fn severity(depth: Depth) -> &'static str {
            match depth {
                Depth::Warning => "warning",
                Depth::Critical => "critical",
            }
        }
        match self {
            Self::Delivery(depth) => ("CampaignDeliveryRateLow", severity(depth)),
            Self::AccountDelivery(depth) => {
                ("CampaignAccountDeliveryBelowBaseline", severity(depth))
            }
            Self::Bounces(depth) => ("CampaignBounceSpike", severity(depth)),
            Self::AccountBounces(depth) => ("CampaignAccountBounceRateHigh", severity(depth)),
            Self::OptOuts(depth) => ("CampaignOptOutSpike", severity(depth)),
            Self::Clicks => ("CampaignClickCollapse", "warning"),
            Self::Reads => ("CampaignReadRateLow", "warning"),
            Self::Moderation => ("CampaignStuckInModeration", "warning"),
            Self::Stalled => ("CampaignSendStalled", "critical"),
            Self::Overdue => ("CampaignOverdue", "warning"),
            Self::Denied => ("CampaignDenied", "warning"),
            Self::Backwards => ("CampaignCountsWentBackwards", "info"),
            Self::Disagreement | Self::Contradiction => ("CampaignProviderFiguresDisagree", "info"),
            Self::Flapping => ("CampaignPollsFailing", "warning"),
            Self::Stale(depth) => ("CampaignDataStale", severity(depth)),
            Self::NeverRead => ("CampaignAccountNeverRead", "warning"),
            Self::Auth => ("CampaignAuthFailed", "critical"),
            Self::TokenNotRenewed | Self::TokenRunsOut => ("CampaignTokenExpiring", "warning"),
            Self::Quota => ("CampaignQuotaNearlySpent", "warning"),
            Self::Credits => ("CampaignCreditsRunningOut", "warning"),
            Self::CreditsScheduled => ("CampaignCreditsBelowScheduled", "warning"),
            Self::Dropped => ("CampaignsDropped", "warning"),
            Self::Down => ("CampaignExporterDown", "critical"),
            Self::Absent => ("CampaignExporterAbsent", "critical"),
            Self::Reload => ("CampaignConfigReloadFailed", "warning"),
            Self::Unreadable => ("CampaignDecodeProblems", "warning"),
            Self::UnusedThreshold => ("CampaignThresholdUnused", "info"),
        }
    }

    /// A metric that tells its rule from another one of the same alert.
    const fn metric(self) -> &'static str {
        match self {
            Self::Disagreement => "campaign_reported_delivery_ratio",
            Self::Contradiction => "campaign_exporter_aggregate_mismatches_total",
            _ => "",
        }
    }

    /// The other alerts that may tell of it: they say as much that is true.
    const fn others(self) -> &'static [&'static str] {
        match self {
            Self::Delivery(_) => &["CampaignBounceSpike"],
            Self::AccountDelivery(_) => &[
                "CampaignAccountBounceRateHigh",
                "CampaignDeliveryRateLow",
                "CampaignBounceSpike",
            ],
            Self::Bounces(_) | Self::Backwards => &["CampaignDeliveryRateLow"],
            Self::AccountBounces(_) => &[
                "CampaignAccountDeliveryBelowBaseline",
                "CampaignBounceSpike",
                "CampaignDeliveryRateLow",
            ],
            Self::Flapping => &["CampaignDataStale"],
            Self::Stale(_) | Self::NeverRead => &["CampaignPollsFailing"],
            Self::Auth | Self::Quota => &["CampaignDataStale", "CampaignPollsFailing"],
            Self::TokenNotRenewed | Self::TokenRunsOut => &[
                "CampaignAuthFailed",
                "CampaignDataStale",
                "CampaignPollsFailing",
            ],
            Self::Credits | Self::CreditsScheduled => {
                &["CampaignCreditsRunningOut", "CampaignCreditsBelowScheduled"]
            }
            _ => &[],
        }
    }

    /// Whether it takes a poll to show.
    const fn needs_poll(self) -> bool {
        !matches!(
            self,
            Self::Down | Self::Absent | Self::Reload | Self::UnusedThreshold
        )
    }

    /// Whether messages do not arrive: what the rivals look for.
    pub(crate) const fn is_about_delivery(self) -> bool {
        matches!(self, Self::Delivery(_) | Self::AccountDelivery(_))
    }

    /// Whether it lowers a delivery ratio, so that a rival that fires is right.
    const fn lowers_delivery(self) -> bool {
        self.is_about_delivery()
            || matches!(
                self,
                Self::Bounces(_) | Self::AccountBounces(_) | Self::Backwards
            )
    }
}

impl Firing {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn severity(&self) -> Option<&str> {
        self.label("severity")
    }
}

/// Whether an alert is about what an incident happened to, and at its time.
fn is_about(firing: &Firing, incident: &Incident) -> bool {
    let account = incident.account.and_then(|account| ACCOUNTS.get(account));
    let same_account = account.is_none_or(|account| firing.label("account") == Some(account.name));
    let same_campaign = firing.label("campaign_id").is_none_or(|campaign| {
        let mut campaigns = incident.campaigns.iter();
        campaigns.any(|id| id == campaign)
    });
    let in_time = firing.until > incident.from && firing.from < incident.until + AFTERMATH;
    same_account && same_campaign && in_time
}

pub(crate) fn tells_of(firing: &Firing, incident: &Incident) -> bool {
    let (alert, _) = incident.kind.alert();
    let named = firing.alert == alert || incident.kind.others().contains(&firing.alert.as_str());
    named && is_about(firing, incident)
}

/// What became of an incident that is bad since a minute.
pub(crate) fn judge(
    incident: Incident,
    bad_since: Option<i64>,
    firings: &[Firing],
    rules: &[Rule],
) -> Verdict {
    let (alert, severity) = incident.kind.alert();
    let told = firings.iter().filter(|firing| {
        firing.alert == alert
            && firing.severity() == Some(severity)
            && is_about(firing, &incident)
            && bad_since.is_some_and(|since| firing.until > since)
    });
    let told = told.map(|firing| firing.from).min();
    let mut rules = rules.iter();
    let rule = rules.find(|rule| {
        rule.alert == alert
            && rule.labels.get("severity").map(String::as_str) == Some(severity)
            && rule.expr.contains(incident.kind.metric())
    });
    let poll = if incident.kind.needs_poll() { POLL } else { 0 };
    Verdict {
        told_after: told
            .zip(bad_since)
            .map(|(told, since)| (told - since).max(0)),
        floor: poll + SCRAPE_AND_EVALUATION + rule.map_or(0, Rule::waits),
        incident,
        bad_since,
    }
}

/// The alerts of these severities that tell of nothing that happened, each time they fired.
pub(crate) fn false_alerts(
    firings: &[Firing],
    incidents: &[Incident],
    severities: &[&str],
) -> Vec<FalseAlert> {
    let unexplained = firings.iter().filter(|firing| {
        let counts = firing
            .severity()
            .is_some_and(|severity| severities.contains(&severity));
        counts && !incidents.iter().any(|incident| tells_of(firing, incident))
    });
    told_once(unexplained)
}

/// The same for a rival.
pub(crate) fn false_rivals(firings: &[Firing], incidents: &[Incident]) -> Vec<FalseAlert> {
    let unexplained = firings.iter().filter(|firing| {
        let mut bad = incidents
            .iter()
            .filter(|incident| incident.kind.lowers_delivery());
        !bad.any(|incident| is_about(firing, incident))
    });
    told_once(unexplained)
}

/// When a rival first told of an incident, counted from when it is bad: it may be earlier.
pub(crate) fn rival_told(firings: &[Firing], verdict: &Verdict) -> Option<i64> {
    let told = firings.iter().filter(|firing| {
        is_about(firing, &verdict.incident) && firing.until > verdict.incident.from
    });
    Some(told.map(|firing| firing.from).min()? - verdict.bad_since?)
}

/// A warning and a critical alert at the same time are one alert.
fn told_once<'a>(firings: impl Iterator<Item = &'a Firing>) -> Vec<FalseAlert> {
    let mut firings: Vec<&Firing> = firings.collect();
    firings.sort_by_key(|firing| firing.from);
    let mut told: Vec<FalseAlert> = Vec::new();
    for firing in firings {
        let account = firing.label("account").map(str::to_owned);
        let campaign = firing.label("campaign_id").map(str::to_owned);
        let same = told.iter_mut().find(|told| {
            told.alert == firing.alert
                && told.account == account
                && told.campaign == campaign
                && firing.from <= told.until
        });
        match same {
            Some(told) => told.until = told.until.max(firing.until),
            None => told.push(FalseAlert {
                alert: firing.alert.clone(),
                account,
                campaign,
                from: firing.from,
                until: firing.until,
            }),
        }
    }
    told
}
