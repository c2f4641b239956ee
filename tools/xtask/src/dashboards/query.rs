//! Shared expressions.
//!
//! Every join uses all labels that identify a campaign, so that accounts with the same campaign id do not
//! get mixed up. These labels do not include those of the exporter: two exporters may read the same
//! account, and its campaigns must count once.

/// Labels that identify a campaign.
pub(crate) const CAMPAIGN: &str = "provider, account, channel, campaign_id";

/// Labels that identify an account.
pub(crate) const ACCOUNT: &str = "provider, account";

/// Labels of series recorded per account and channel.
pub(crate) const CHANNEL: &str = "provider, account, channel";

/// Series selected by the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Series of an exporter.
    Exporter,
    /// Series of an exporter and a channel.
    ExporterChannel,
    /// Series of an account.
    Account,
    /// Series of an account and a channel, including campaigns.
    Channel,
    /// Series of campaigns that `campaign_exporter backfill` wrote.
    Backfilled,
    /// Series of the selected campaigns.
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
            Self::Backfilled => {
                r#"job=~"$job", instance=~"$instance", instance="backfill", provider=~"$provider", account=~"$account", channel=~"$channel""#
            }
            Self::Campaign => {
                r#"job=~"$job", instance=~"$instance", provider=~"$provider", account=~"$account", channel=~"$channel", campaign_id=~"$campaign""#
            }
        }
    }

    /// Selects the series of a metric.
    pub(crate) fn of(self, metric: &str) -> String {
        format!("{metric}{{{}}}", self.matchers())
    }

    /// Selects several metrics at once.
    pub(crate) fn all(self, names: &str) -> String {
        format!(r#"{{__name__=~"{names}", {}}}"#, self.matchers())
    }

    /// Selects a metric of campaigns, once for each campaign.
    pub(crate) fn one(self, metric: &str) -> String {
        once(&self.of(metric))
    }

    /// Selects a metric of accounts and channels, once for each.
    pub(crate) fn per_channel(self, metric: &str) -> String {
        format!("max by ({CHANNEL}) ({})", self.of(metric))
    }

    /// Selects a metric of accounts, once for each.
    pub(crate) fn per_account(self, metric: &str) -> String {
        format!("max by ({ACCOUNT}) ({})", self.of(metric))
    }

    /// Selects the series of a metric with an additional matcher.
    pub(crate) fn with(self, metric: &str, matcher: &str) -> String {
        format!("{metric}{{{}, {matcher}}}", self.matchers())
    }
}

/// Merges the series of several exporters.
pub(crate) fn once(series: &str) -> String {
    format!("max by ({CAMPAIGN}) ({series})")
}

/// Selects one `campaign_info` series per campaign: after a crash, Prometheus may return both names of a
/// renamed campaign for five minutes, and every join would fail.
pub(crate) fn names(infos: &str) -> String {
    format!("topk by ({CAMPAIGN}) (1, {infos})")
}

/// Adds names from `campaign_info` to an expression; `more` are other labels that it has.
pub(crate) fn with_names(expression: &str, infos: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(
        "max by ({CAMPAIGN}, campaign_name{comma}{more}) (({expression}) * on ({CAMPAIGN}) group_left (campaign_name) {})",
        names(infos)
    )
}

/// Adds the names of these campaigns to an expression. In a table, the first column has them: Grafana
/// merges rows by the labels that all columns have.
pub(crate) fn named(scope: Scope, expression: &str, campaigns: &str) -> String {
    with_names(expression, &among(&scope.of("campaign_info"), campaigns), "")
}

/// Restricts an expression to the campaigns of another one, and adds their names.
pub(crate) fn named_among(scope: Scope, expression: &str, campaigns: &str) -> String {
    with_names_at_end(scope, &among(expression, campaigns), campaigns)
}

/// Adds the names of these campaigns to an expression in a graph. It looks up only those names, and only
/// once: ten thousand for every point of a graph take Prometheus many seconds.
pub(crate) fn with_names_at_end(scope: Scope, expression: &str, campaigns: &str) -> String {
    let infos = format!("{} @ end()", scope.of("campaign_info"));
    with_names(expression, &among(&infos, campaigns), "")
}

/// Restricts an expression to the campaigns of another one.
pub(crate) fn among(expression: &str, campaigns: &str) -> String {
    format!("{expression} and on ({CAMPAIGN}) ({campaigns})")
}

/// Selects the ten selected campaigns sent last, once for a whole graph.
pub(crate) fn drawn() -> String {
    let sent = Scope::Campaign.of("campaign_last_sent_timestamp_seconds");
    format!("topk(10, {})", once(&format!("{sent} @ end()")))
}

/// Selects the newest of the selected campaigns, or the next one if none was sent.
pub(crate) fn newest() -> String {
    let sent = Scope::Campaign.of("campaign_last_sent_timestamp_seconds");
    let scheduled = Scope::Campaign.of("campaign_scheduled_timestamp_seconds");
    format!("topk(1, {})", once(&format!("{sent} or {scheduled} unless on () {sent}")))
}

/// Selects the campaigns sent in the time range of the dashboard.
pub(crate) fn sent(scope: Scope) -> String {
    format!("{} < $__range_s", scope.of("campaign:age:seconds"))
}

/// Selects a metric of these campaigns, once for each. Only their series are merged, since merging is
/// expensive.
pub(crate) fn one_of(scope: Scope, metric: &str, campaigns: &str) -> String {
    once(&among(&scope.of(metric), campaigns))
}

/// Sums a count over the campaigns sent in the time range.
pub(crate) fn sum_of_sent(scope: Scope, by: &str, count: &str) -> String {
    format!("sum {by}({})", one_of(scope, count, &sent(scope)))
}

/// Selects the campaigns whose receipts should have arrived, whenever they were sent: those of the last two
/// days in `campaign:mature_age:seconds`, and all older ones.
pub(crate) fn settled(scope: Scope) -> String {
    format!(
        "{} or {} >= 172800",
        scope.of("campaign:mature_age:seconds"),
        scope.of("campaign:age:seconds")
    )
}

/// Selects those of them that were sent in the time range.
pub(crate) fn settled_and_sent(scope: Scope) -> String {
    format!("({}) < $__range_s", settled(scope))
}

/// A ratio of two counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    numerator: &'static str,
    denominator: &'static str,
}

/// Delivered / decided, which means attempted and no longer pending.
pub(crate) const DELIVERED: Share = Share::new("campaign_deliveries", DECIDED);
/// Bounced / attempted.
pub(crate) const BOUNCED: Share = Share::new("campaign_bounces", "campaign_attempted");
/// Opted out / attempted.
pub(crate) const OPTED_OUT: Share = Share::new("campaign_opt_outs", "campaign_attempted");
/// Delivered / attempted, the exporter's `campaign_delivery_ratio`, which not every profile has.
pub(crate) const DELIVERED_OF_ATTEMPTED: Share =
    Share::new("campaign_deliveries", "campaign_attempted");
/// Clicked / attempted.
pub(crate) const CLICKED: Share = Share::new("campaign_clicks", "campaign_attempted");
/// Read / delivered.
pub(crate) const READ: Share = Share::new("campaign_reads", "campaign_deliveries");

/// Stands for the attempted messages that are no longer pending, which are recorded for young campaigns
/// only.
const DECIDED: &str = "decided";

impl Share {
    pub(crate) const fn new(numerator: &'static str, denominator: &'static str) -> Self {
        Self { numerator, denominator }
    }

    fn count(of: &dyn Fn(&str) -> String, name: &str) -> String {
        if name == DECIDED {
            let attempted = of("campaign_attempted");
            let pending = of("campaign_pending");
            format!("({attempted} - {pending} or {attempted})")
        } else {
            of(name)
        }
    }

    /// Returns the ratio of each campaign.
    pub(crate) fn each(self, scope: Scope) -> String {
        self.each_of(&|metric| scope.one(metric))
    }

    /// Returns the same, where `of` selects the counts.
    pub(crate) fn each_of(self, of: &dyn Fn(&str) -> String) -> String {
        let numerator = Self::count(of, self.numerator);
        format!("{numerator} / ({} > 0)", Self::count(of, self.denominator))
    }

    /// Returns the same of some campaigns. They are chosen first: to divide all takes longer than to look
    /// up a few.
    pub(crate) fn each_among(self, of: &dyn Fn(&str) -> String, campaigns: &str) -> String {
        let numerator = among(&Self::count(of, self.numerator), campaigns);
        format!("({numerator}) / ({} > 0)", Self::count(of, self.denominator))
    }

    /// Returns sum / sum over the campaigns that report both counts.
    pub(crate) fn together(self, scope: Scope, by: &str, campaigns: &str) -> String {
        let of = |metric: &str| one_of(scope, metric, campaigns);
        let part = |name: &str, other: &str| {
            // a campaign without attempted messages has none that are decided
            let other = if other == DECIDED { "campaign_attempted" } else { other };
            format!("sum {by}({})", among(&Self::count(&of, name), &scope.of(other)))
        };
        format!(
            "{} / ({} > 0)",
            part(self.numerator, self.denominator),
            part(self.denominator, self.numerator)
        )
    }

    /// Returns the names of the two counts.
    pub(crate) const fn counts(self) -> [&'static str; 2] {
        [self.numerator, self.denominator]
    }
}

/// Matchers for alerts of the selected targets, or without these labels: an alert about an absent
/// exporter has no instance, and one about an account no channel.
pub(crate) const fn chosen_or_none() -> &'static str {
    r#"alertname=~"Campaign.*", job=~"$job|", instance=~"$instance|", provider=~"$provider|", account=~"$account|", channel=~"$channel|""#
}

const CRITICAL: &str = r#", severity="critical""#;

/// Selects firing alerts.
fn alerts(matcher: &str) -> String {
    format!(r#"ALERTS{{{}{matcher}, alertstate="firing"}}"#, chosen_or_none())
}

/// Counts firing critical alerts.
pub(crate) fn count_critical() -> String {
    format!("count({})", alerts(CRITICAL))
}

/// Counts firing warnings.
pub(crate) fn count_warnings() -> String {
    format!("count({})", unless_critical(r#", severity="warning""#, ""))
}

/// Selects firing alerts without a critical counterpart. A critical alert also fires as a warning, which
/// Alertmanager inhibits by the same labels.
fn unless_critical(severity: &str, matcher: &str) -> String {
    format!(
        "{} unless on (alertname, job, instance, {CAMPAIGN}) {}",
        alerts(&format!("{matcher}{severity}")),
        alerts(&format!("{matcher}{CRITICAL}"))
    )
}

/// Selects firing alerts with the names of their campaigns, without warnings of critical alerts. The
/// value is the start time in milliseconds.
pub(crate) fn firing(matcher: &str) -> String {
    let chosen = chosen_or_none();
    let alerts = format!(
        "(ALERTS_FOR_STATE{{{chosen}{matcher}}} and ignoring (alertstate) ({} or {}))",
        alerts(&format!("{matcher}{CRITICAL}")),
        unless_critical(r#", severity!="critical""#, matcher),
    );
    let alert = format!("alertname, severity, team, job, instance, {CAMPAIGN}");
    format!(
        "1000 * max by ({alert}, campaign_name) ({alerts} * on ({CAMPAIGN}) group_left (campaign_name) {} or on ({alert}) {alerts})",
        names(&Scope::Channel.of("campaign_info"))
    )
}
