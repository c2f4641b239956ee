//! Matches alerts with incidents: detections, delays, and false alerts.

use crate::incident::{Depth, Incident, Kind};
use crate::month::ACCOUNTS;
use crate::rules::{Firing, Rule};
use crate::sending::DAY;

/// How long after an incident alerts may still belong to it: until its campaigns are no longer recent, plus
/// `keep_firing_for`.
const AFTERMATH: i64 = DAY + 180;

/// Minimum delay of an alert in minutes: a scrape and an evaluation.
const SCRAPE_AND_EVALUATION: i64 = 2;

/// Minutes until a poll.
const POLL: i64 = 5;

/// Outcome of an incident.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) incident: Incident,
    /// When an alert is required, if it is.
    pub(crate) bad_since: Option<i64>,
    /// Delay of the alert in minutes.
    pub(crate) fired_after: Option<i64>,
    /// Minimum delay.
    pub(crate) floor: i64,
}

/// A false alert.
#[derive(Debug)]
pub(crate) struct FalseAlert {
    pub(crate) alert: String,
    pub(crate) account: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Kind {
    /// Returns the alert for an incident, and its severity.
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

    /// Returns a metric that distinguishes its rule from others of the same alert.
    const fn metric(self) -> &'static str {
        match self {
            Self::Disagreement => "campaign_reported_delivery_ratio",
            Self::Contradiction => "campaign_exporter_aggregate_mismatches_total",
            _ => "",
        }
    }

    /// Returns other alerts that are also correct for this incident.
    const fn others(self) -> &'static [&'static str] {
        match self {
            Self::Delivery(_) => &["CampaignBounceSpike"],
            Self::AccountDelivery(_) => {
                &["CampaignAccountBounceRateHigh", "CampaignDeliveryRateLow", "CampaignBounceSpike"]
            }
            Self::Bounces(_) | Self::Backwards => &["CampaignDeliveryRateLow"],
            Self::AccountBounces(_) => &[
                "CampaignAccountDeliveryBelowBaseline",
                "CampaignBounceSpike",
                "CampaignDeliveryRateLow",
            ],
            Self::Flapping => &["CampaignDataStale"],
            Self::Stale(_) | Self::NeverRead => &["CampaignPollsFailing"],
            Self::Auth | Self::Quota => &["CampaignDataStale", "CampaignPollsFailing"],
            Self::TokenNotRenewed | Self::TokenRunsOut => {
                &["CampaignAuthFailed", "CampaignDataStale", "CampaignPollsFailing"]
            }
            Self::Credits | Self::CreditsScheduled => {
                &["CampaignCreditsRunningOut", "CampaignCreditsBelowScheduled"]
            }
            _ => &[],
        }
    }

    /// Returns whether detection requires a poll.
    const fn needs_poll(self) -> bool {
        !matches!(self, Self::Down | Self::Absent | Self::Reload | Self::UnusedThreshold)
    }

    /// Returns whether deliveries fail, which the rivals detect.
    pub(crate) const fn is_about_delivery(self) -> bool {
        matches!(self, Self::Delivery(_) | Self::AccountDelivery(_))
    }

    /// Returns whether the incident lowers a delivery ratio, so that a rival may fire.
    const fn lowers_delivery(self) -> bool {
        self.is_about_delivery()
            || matches!(self, Self::Bounces(_) | Self::AccountBounces(_) | Self::Backwards)
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

/// Returns whether an alert matches the subject and time of an incident.
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

/// Returns whether a firing is an alert for an incident.
pub(crate) fn is_alert_for(firing: &Firing, incident: &Incident) -> bool {
    let (alert, _) = incident.kind.alert();
    let named = firing.alert == alert || incident.kind.others().contains(&firing.alert.as_str());
    named && is_about(firing, incident)
}

/// Returns the outcome of an incident that requires an alert since a minute.
pub(crate) fn judge(
    incident: Incident,
    bad_since: Option<i64>,
    firings: &[Firing],
    rules: &[Rule],
) -> Verdict {
    let (alert, severity) = incident.kind.alert();
    let matching = firings.iter().filter(|firing| {
        firing.alert == alert
            && firing.severity() == Some(severity)
            && is_about(firing, &incident)
            && bad_since.is_some_and(|since| firing.until > since)
    });
    let fired = matching.map(|firing| firing.from).min();
    let mut rules = rules.iter();
    let rule = rules.find(|rule| {
        rule.alert == alert
            && rule.labels.get("severity").map(String::as_str) == Some(severity)
            && rule.expr.contains(incident.kind.metric())
    });
    let poll = if incident.kind.needs_poll() { POLL } else { 0 };
    Verdict {
        fired_after: fired.zip(bad_since).map(|(fired, since)| (fired - since).max(0)),
        floor: poll + SCRAPE_AND_EVALUATION + rule.map_or(0, Rule::waits),
        incident,
        bad_since,
    }
}

/// Returns the false alerts of these severities.
pub(crate) fn false_alerts(
    firings: &[Firing],
    incidents: &[Incident],
    severities: &[&str],
) -> Vec<FalseAlert> {
    let unexplained = firings.iter().filter(|firing| {
        let counts = firing.severity().is_some_and(|severity| severities.contains(&severity));
        counts && !incidents.iter().any(|incident| is_alert_for(firing, incident))
    });
    merged(unexplained)
}

/// Returns the false alerts of a rival.
pub(crate) fn false_rivals(firings: &[Firing], incidents: &[Incident]) -> Vec<FalseAlert> {
    let unexplained = firings.iter().filter(|firing| {
        let mut bad = incidents.iter().filter(|incident| incident.kind.lowers_delivery());
        !bad.any(|incident| is_about(firing, incident))
    });
    merged(unexplained)
}

/// Returns the delay until a rival detects an incident, possibly negative.
pub(crate) fn rival_delay(firings: &[Firing], verdict: &Verdict) -> Option<i64> {
    let matching = firings.iter().filter(|firing| {
        is_about(firing, &verdict.incident) && firing.until > verdict.incident.from
    });
    Some(matching.map(|firing| firing.from).min()? - verdict.bad_since?)
}

/// Merges simultaneous warnings and critical alerts.
fn merged<'a>(firings: impl Iterator<Item = &'a Firing>) -> Vec<FalseAlert> {
    let mut firings: Vec<&Firing> = firings.collect();
    firings.sort_by_key(|firing| firing.from);
    let mut alerts: Vec<FalseAlert> = Vec::new();
    for firing in firings {
        let account = firing.label("account").map(str::to_owned);
        let campaign = firing.label("campaign_id").map(str::to_owned);
        let same = alerts.iter_mut().find(|found| {
            found.alert == firing.alert
                && found.account == account
                && found.campaign == campaign
                && firing.from <= found.until
        });
        match same {
            Some(found) => found.until = found.until.max(firing.until),
            None => alerts.push(FalseAlert {
                alert: firing.alert.clone(),
                account,
                campaign,
                from: firing.from,
                until: firing.until,
            }),
        }
    }
    alerts
}
