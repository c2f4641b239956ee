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

/// What each campaign is called. One name a campaign: after a crash, Prometheus may show a renamed
/// one by both names for five minutes, which would fail every join.
pub(crate) fn names(scope: Scope) -> String {
    format!("topk by ({CAMPAIGN}) (1, {})", scope.of("campaign_info"))
}

/// An expression about campaigns, with their names.
pub(crate) fn named(scope: Scope, expression: &str) -> String {
    format!(
        "max by ({NAMED_CAMPAIGN}) (({expression}) * on ({CAMPAIGN}) group_left (campaign_name) {})",
        names(scope)
    )
}

/// Those of the campaigns of an expression that are in another one.
pub(crate) fn among(expression: &str, campaigns: &str) -> String {
    format!("{expression} and on ({CAMPAIGN}) ({campaigns})")
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

/// Sum over sum, over the campaigns among those that report both.
pub(crate) fn ratio(
    scope: Scope,
    by: &str,
    (numerator, denominator): (&str, &str),
    campaigns: &str,
) -> String {
    let part = |count: &str, other: &str| {
        let both = among(&scope.of(count), &scope.of(other));
        format!("sum {by}({})", among(&both, campaigns))
    };
    format!(
        "{} / ({} > 0)",
        part(numerator, denominator),
        part(denominator, numerator)
    )
}

/// What is delivered of what is decided: attempted and no longer pending.
pub(crate) const DELIVERED: (&str, &str) = ("campaign_deliveries", "campaign:decided:sum");
/// What bounced of what was attempted.
pub(crate) const BOUNCED: (&str, &str) = ("campaign_bounces", "campaign_attempted");
/// Who opted out of those attempted.
pub(crate) const OPTED_OUT: (&str, &str) = ("campaign_opt_outs", "campaign_attempted");
/// Who clicked of those attempted.
pub(crate) const CLICKED: (&str, &str) = ("campaign_clicks", "campaign_attempted");
/// What was read of what was delivered.
pub(crate) const READ: (&str, &str) = ("campaign_reads", "campaign_deliveries");

/// Alerts that fire, of every label that chooses or of none: an alert about an exporter that is gone
/// has no instance, one about an account no campaign. The value is when they began, in milliseconds.
pub(crate) fn firing(matcher: &str) -> String {
    let chosen = r#"alertname=~"Campaign.*", job=~"$job|", instance=~"$instance|", provider=~"$provider|", account=~"$account|", channel=~"$channel|""#;
    let alerts = format!(
        r#"(ALERTS_FOR_STATE{{{chosen}{matcher}}} and ignoring (alertstate) ALERTS{{{chosen}{matcher}, alertstate="firing"}})"#
    );
    let alert = format!("alertname, severity, team, {CAMPAIGN}");
    format!(
        "1000 * max by ({alert}, campaign_name) ({alerts} * on ({CAMPAIGN}) group_left (campaign_name) {} or on ({alert}) {alerts})",
        names(Scope::Channel)
    )
}
