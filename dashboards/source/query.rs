//! What expressions share.
//!
//! A campaign is a campaign of one account of one exporter: every join is on all labels that say so,
//! so that two exporters at once, or two accounts with the same campaign id, are told apart.

/// The labels that make a campaign.
pub(crate) const CAMPAIGN: &str = "job, instance, provider, account, channel, campaign_id";

/// The labels of a campaign, and its name.
const NAMED_CAMPAIGN: &str =
    "job, instance, provider, account, channel, campaign_id, campaign_name";

/// The labels that make an account.
pub(crate) const ACCOUNT: &str = "job, instance, provider, account";

/// The labels of what is recorded of an account.
pub(crate) const CHANNEL: &str = "job, instance, provider, account, channel";

/// Which series the variables choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of an exporter.
    Exporter,
    /// Those of an exporter and a channel.
    ExporterChannel,
    /// Those of an account.
    Account,
    /// Those of an account and a channel, campaigns included.
    Channel,
    /// Those of the campaign in view.
    Campaign,
}

impl Scope {
    const fn matchers(self) -> &'static str {
        match self {
            Self::Exporter => r#"job=~"$job", instance=~"$instance""#,
            Self::ExporterChannel => r#"job=~"$job", instance=~"$instance", channel=~"$channel""#,
            Self::Account => {
                r#"job=~"$job", instance=~"$instance", provider=~"$provider", account=~"$account""#
            }
            Self::Channel => {
                r#"job=~"$job", instance=~"$instance", provider=~"$provider", account=~"$account", channel=~"$channel""#
            }
            Self::Campaign => {
                r#"job=~"$job", instance=~"$instance", provider=~"$provider", account=~"$account", channel=~"$channel", campaign_id=~"$campaign""#
            }
        }
    }

    /// A metric's series.
    pub(crate) fn of(self, metric: &str) -> String {
        format!("{metric}{{{}}}", self.matchers())
    }

    /// A metric's series with a label of its own.
    pub(crate) fn with(self, metric: &str, matcher: &str) -> String {
        format!("{metric}{{{}, {matcher}}}", self.matchers())
    }
}

/// What each campaign of an expression for `campaign_info` is called. One name a campaign: after a
/// crash, Prometheus may show a renamed one by both names for five minutes, which would fail every
/// join.
fn names(infos: &str) -> String {
    format!("topk by ({CAMPAIGN}) (1, {infos})")
}

fn with_names(expression: &str, infos: &str) -> String {
    format!(
        "max by ({NAMED_CAMPAIGN}) (({expression}) * on ({CAMPAIGN}) group_left (campaign_name) {})",
        names(infos)
    )
}

/// An expression about campaigns, with their names.
pub(crate) fn named(scope: Scope, expression: &str) -> String {
    with_names(expression, &scope.of("campaign_info"))
}

/// Those of the campaigns of an expression that are in another one, with their names. Only theirs
/// are looked up: a graph that looks up ten thousand for each of its points to show twenty keeps
/// Prometheus busy for many seconds.
pub(crate) fn named_among(scope: Scope, expression: &str, campaigns: &str) -> String {
    with_names(
        &among(expression, campaigns),
        &among(&scope.of("campaign_info"), campaigns),
    )
}

/// Those of the campaigns of an expression that are in another one.
pub(crate) fn among(expression: &str, campaigns: &str) -> String {
    format!("{expression} and on ({CAMPAIGN}) ({campaigns})")
}

/// The twenty campaigns in view that were sent last, chosen once for a whole graph.
pub(crate) fn drawn() -> String {
    format!(
        "topk(20, {} @ end())",
        Scope::Campaign.of("campaign_last_sent_timestamp_seconds")
    )
}

/// Campaigns sent in the time range of the dashboard.
pub(crate) fn sent(scope: Scope) -> String {
    format!("{} < $__range_s", scope.of("campaign:age:seconds"))
}

/// The sum of a count over the campaigns sent in the time range.
pub(crate) fn sum_of_sent(scope: Scope, by: &str, count: &str) -> String {
    format!("sum {by}({})", among(&scope.of(count), &sent(scope)))
}

/// Campaigns sent in the time range whose receipts should be in: of the last two days, those that
/// `campaign:mature_age:seconds` says, and all that are older.
pub(crate) fn settled(scope: Scope) -> String {
    format!(
        "({} or {} >= 172800) < $__range_s",
        scope.of("campaign:mature_age:seconds"),
        scope.of("campaign:age:seconds")
    )
}

/// A count over another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    numerator: &'static str,
    denominator: &'static str,
}

/// What is delivered of what is decided: attempted and no longer pending.
pub(crate) const DELIVERED: Share = Share::new("campaign_deliveries", DECIDED);
/// What bounced of what was attempted.
pub(crate) const BOUNCED: Share = Share::new("campaign_bounces", "campaign_attempted");
/// Who opted out of those attempted.
pub(crate) const OPTED_OUT: Share = Share::new("campaign_opt_outs", "campaign_attempted");
/// Who clicked of those attempted.
pub(crate) const CLICKED: Share = Share::new("campaign_clicks", "campaign_attempted");
/// What was read of what was delivered.
pub(crate) const READ: Share = Share::new("campaign_reads", "campaign_deliveries");

/// No metric, but what `campaign:decided:sum` records: that is up to three minutes old, too old for
/// a campaign that is being sent.
const DECIDED: &str = "decided";

impl Share {
    const fn new(numerator: &'static str, denominator: &'static str) -> Self {
        Self {
            numerator,
            denominator,
        }
    }

    fn count(scope: Scope, name: &str) -> String {
        if name == DECIDED {
            let attempted = scope.of("campaign_attempted");
            let pending = scope.of("campaign_pending");
            format!("({attempted} - {pending} or {attempted})")
        } else {
            scope.of(name)
        }
    }

    /// Of each campaign.
    pub(crate) fn each(self, scope: Scope) -> String {
        let numerator = Self::count(scope, self.numerator);
        format!(
            "{numerator} / ({} > 0)",
            Self::count(scope, self.denominator)
        )
    }

    /// Sum over sum, over those of the campaigns that report both.
    pub(crate) fn together(self, scope: Scope, by: &str, campaigns: &str) -> String {
        let part = |name: &str, other: &str| {
            let both = among(&Self::count(scope, name), &Self::count(scope, other));
            format!("sum {by}({})", among(&both, campaigns))
        };
        format!(
            "{} / ({} > 0)",
            part(self.numerator, self.denominator),
            part(self.denominator, self.numerator)
        )
    }
}

/// Alerts of what is chosen, or of nothing: an alert about an exporter that is gone has no instance,
/// one about an account no channel.
pub(crate) const fn chosen_or_none() -> &'static str {
    r#"alertname=~"Campaign.*", job=~"$job|", instance=~"$instance|", provider=~"$provider|", account=~"$account|", channel=~"$channel|""#
}

const CRITICAL: &str = r#", severity="critical""#;

/// Alerts that fire.
fn alerts(matcher: &str) -> String {
    format!(
        r#"ALERTS{{{}{matcher}, alertstate="firing"}}"#,
        chosen_or_none()
    )
}

/// How many critical alerts fire.
pub(crate) fn count_critical() -> String {
    format!("count({})", alerts(CRITICAL))
}

/// How many warnings fire.
pub(crate) fn count_warnings() -> String {
    format!("count({})", unless_critical(r#", severity="warning""#, ""))
}

/// Alerts that fire but for those that are critical as well: each of these is there as a warning,
/// too, which Alertmanager keeps to itself by the same labels.
fn unless_critical(severity: &str, matcher: &str) -> String {
    format!(
        "{} unless on (alertname, {CAMPAIGN}) {}",
        alerts(&format!("{matcher}{severity}")),
        alerts(&format!("{matcher}{CRITICAL}"))
    )
}

/// Alerts that fire, with the names of their campaigns, and none a second time as a warning. The
/// value is when they began, in milliseconds.
pub(crate) fn firing(matcher: &str) -> String {
    let chosen = chosen_or_none();
    let alerts = format!(
        "(ALERTS_FOR_STATE{{{chosen}{matcher}}} and ignoring (alertstate) ({} or {}))",
        alerts(&format!("{matcher}{CRITICAL}")),
        unless_critical(r#", severity!="critical""#, matcher),
    );
    let alert = format!("alertname, severity, team, {CAMPAIGN}");
    format!(
        "1000 * max by ({alert}, campaign_name) ({alerts} * on ({CAMPAIGN}) group_left (campaign_name) {} or on ({alert}) {alerts})",
        names(&Scope::Channel.of("campaign_info"))
    )
}
