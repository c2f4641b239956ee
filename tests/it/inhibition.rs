//! One cause is one page: the real Alertmanager with the shipped example, and alerts as Prometheus sends
//! them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::alertmanager::{Alertmanager, shipped};
use crate::support::rules::{alerts, seconds};
use crate::support::webhook::{Message, Webhook};

/// A scenario: its name, and what happens. `+` lines are the firing alerts, with an account and a campaign
/// if they have one, several separated by `|`. `-` lines are alerts that end. `>` lines are the
/// notifications that follow, one each: the receiver, and the firing alerts.
const SCENARIOS: &str = "
provider-down
+ CampaignProviderDown warning
+ CampaignProviderDown critical
+ CampaignDataStale warning a|b|c|d|e
+ CampaignDataStale critical a|b|c|d|e
+ CampaignAccountNeverRead warning f
+ CampaignDeliveryRateLow critical a 1|2
> sre-pager: CampaignProviderDown critical

provider-down-and-wrong-credentials
+ CampaignProviderDown critical
+ CampaignDataStale warning a|b|c
+ CampaignAuthFailed critical c
> sre-pager: CampaignAuthFailed critical c, CampaignProviderDown critical

five-accounts-with-wrong-credentials
+ CampaignAuthFailed critical a|b|c|d|e
+ CampaignDataStale critical a|b|c|d|e
+ CampaignPollsFailing warning a|b|c|d|e
> sre-pager: CampaignAuthFailed critical a, CampaignAuthFailed critical b, CampaignAuthFailed critical c, CampaignAuthFailed critical d, CampaignAuthFailed critical e

requests-are-used-up
+ CampaignQuotaNearlySpent warning a|b|c
+ CampaignPollsFailing warning a|b|c
+ CampaignDataStale warning a|b
+ CampaignDataStale critical c
> sre: CampaignQuotaNearlySpent warning a, CampaignQuotaNearlySpent warning b, CampaignQuotaNearlySpent warning c
> sre-pager: CampaignDataStale critical c

five-accounts-deliver-less
+ CampaignAccountDeliveryBelowBaseline critical a|b|c|d|e
+ CampaignReceiptsMissing warning a|b|c|d|e
+ CampaignDeliveryRateLow critical a 1|2
+ CampaignDeliveryRateLow warning b 1|2
> sre-pager: CampaignAccountDeliveryBelowBaseline critical a, CampaignAccountDeliveryBelowBaseline critical b, CampaignAccountDeliveryBelowBaseline critical c, CampaignAccountDeliveryBelowBaseline critical d, CampaignAccountDeliveryBelowBaseline critical e

provider-delivers-less
+ CampaignProviderDeliveryLow critical
+ CampaignProviderDeliveryLow warning
+ CampaignAccountDeliveryBelowBaseline critical a|b|c|d|e
+ CampaignAccountBounceRateHigh critical a|b
+ CampaignReceiptsMissing warning a|b|c|d|e
+ CampaignDeliveryRateLow critical a 1|2
+ CampaignBounceSpike warning b 1|2
> sre-pager: CampaignProviderDeliveryLow critical

provider-delivers-somewhat-less
+ CampaignProviderDeliveryLow warning
+ CampaignDeliveryRateLow warning a 1|2
+ CampaignBounceSpike critical b 1
> sre: CampaignProviderDeliveryLow warning
> marketing-ops-pager: CampaignBounceSpike critical b 1

some-polls-fail
+ CampaignPollsFailing warning a
+ CampaignDataStale warning a
+ CampaignDenied warning b 1
> sre: CampaignPollsFailing warning a
> marketing-ops: CampaignDenied warning b 1
- CampaignDenied warning b 1
- CampaignPollsFailing warning a
> sre: CampaignDataStale warning a

mended-credentials-and-timeouts
+ CampaignAuthFailed critical a
+ CampaignDataStale warning a
+ CampaignTokenExpiring warning a
> sre-pager: CampaignAuthFailed critical a
- CampaignAuthFailed critical a
- CampaignTokenExpiring warning a
> sre: CampaignDataStale warning a

bounces
+ CampaignBounceSpike warning a 1
+ CampaignBounceSpike critical a 1
+ CampaignDeliveryRateLow warning a 1
+ CampaignDeliveryRateLow critical a 1
+ CampaignClickCollapse warning a 1
> marketing-ops-pager: CampaignBounceSpike critical a 1

some-bounces-and-no-delivery
+ CampaignBounceSpike warning a 1
+ CampaignDeliveryRateLow warning a 1
+ CampaignDeliveryRateLow critical a 1
> marketing-ops: CampaignBounceSpike warning a 1
> marketing-ops-pager: CampaignDeliveryRateLow critical a 1

bounces-of-an-account
+ CampaignAccountBounceRateHigh warning a
+ CampaignAccountDeliveryBelowBaseline warning a
+ CampaignBounceSpike warning a 1|2
+ CampaignDeliveryRateLow critical a 3
> sre: CampaignAccountBounceRateHigh warning a
> marketing-ops-pager: CampaignDeliveryRateLow critical a 3

unreadable-account
+ CampaignDataStale warning a
+ CampaignDataStale critical a
+ CampaignPollsFailing warning a
+ CampaignDenied warning a 1
+ CampaignDenied warning b 1
> sre-pager: CampaignDataStale critical a
> marketing-ops: CampaignDenied warning b 1
- CampaignDataStale warning a
- CampaignDataStale critical a
- CampaignPollsFailing warning a
> marketing-ops: CampaignDenied warning a 1, CampaignDenied warning b 1

no-credits
+ CampaignCreditsRunningOut warning a
+ CampaignCreditsBelowScheduled warning a
+ CampaignSendingStopped warning a
> marketing-ops: CampaignCreditsRunningOut warning a
";

/// A step of a scenario.
#[derive(Default)]
struct Step {
    /// Alerts that start or, if false, end.
    changes: Vec<(Value, bool)>,
    /// Receivers and alerts of the notifications.
    told: BTreeSet<(String, String)>,
}

/// Reads the scenarios, each with its steps.
fn scenarios() -> BTreeMap<&'static str, Vec<Step>> {
    let read = |block: &'static str| {
        let mut lines = block.trim().lines();
        let name = lines.next().unwrap();
        let mut steps = vec![Step::default()];
        for line in lines {
            let (kind, text) = line.split_once(' ').unwrap();
            if kind != ">" && !steps.last().unwrap().told.is_empty() {
                steps.push(Step::default());
            }
            let step = steps.last_mut().unwrap();
            if kind == ">" {
                let (receiver, alerts) = text.split_once(": ").unwrap();
                step.told.insert((receiver.to_owned(), alerts.to_owned()));
            } else {
                step.changes.extend(expand(name, text).map(|labels| (labels, kind == "+")));
            }
        }
        (name, steps)
    };
    SCENARIOS.trim().split("\n\n").map(read).collect()
}

/// Returns the labels of the alerts of a line.
fn expand(scenario: &'static str, line: &'static str) -> impl Iterator<Item = Value> {
    let mut words = line.split(' ');
    let (name, severity) = (words.next().unwrap(), words.next().unwrap());
    let accounts: Vec<_> =
        words.next().map_or(vec![None], |names| names.split('|').map(Some).collect());
    let ids: Vec<_> = words.next().map_or(vec![None], |ids| ids.split('|').map(Some).collect());
    let shipped = alerts().into_iter().find(|rule| rule["alert"] == name);
    let team = shipped.unwrap_or_else(|| panic!("no alert {name}"))["labels"]["team"].clone();
    accounts.into_iter().flat_map(move |account| {
        let team = team.clone();
        ids.clone().into_iter().map(move |id| {
            let others = ["CampaignReceiptsMissing", "CampaignProviderDeliveryLow"];
            let by_channel =
                id.is_some() || name.starts_with("CampaignAccount") || others.contains(&name);
            let mut labels = json!({
                "alertname": name, "severity": severity, "team": team, "job": "campaign_exporter",
                "instance": scenario, "provider": scenario, "account": account,
                "channel": by_channel.then_some("sms"), "campaign_id": id,
            });
            labels.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            labels
        })
    })
}

/// Whether an alert has the labels that all matchers of an inhibition rule ask for.
fn matches(matchers: &Value, alert: &Value) -> bool {
    matchers.as_array().unwrap().iter().all(|matcher| {
        let (label, wanted) = matcher.as_str().unwrap().split_once('=').unwrap();
        let has = match label {
            "alertname" => alert["alert"].as_str().unwrap(),
            label => alert["labels"][label].as_str().unwrap(),
        };
        let wanted = wanted.trim_start_matches('~').trim_matches('"');
        wanted.split('|').any(|one| match one.strip_suffix(".+") {
            Some(start) => has.starts_with(start),
            None => has == one,
        })
    })
}

/// For how long an alert keeps firing.
fn kept(alert: &Value) -> Option<f64> {
    Some(seconds(alert["keep_firing_for"].as_str()?))
}

/// When all end, Alertmanager must not see the inhibited ones last. They end at different evaluations if
/// one of them reads rules that are evaluated in between.
#[test]
fn alerts_outlast_those_that_they_inhibit() {
    const MARGIN: f64 = 120.0;
    let config = shipped();
    let rules = config["inhibit_rules"].as_array().unwrap();
    let alerts = alerts();
    // counts the alerts that it inhibits, and so ends after them
    let outlasting = alerts.iter().filter(|alert| alert["alert"] != "CampaignProviderDeliveryLow");
    let mut compared = 0;
    for source in outlasting {
        let Some(source_kept) = kept(source) else { continue };
        for rule in rules.iter().filter(|rule| matches(&rule["source_matchers"], source)) {
            let equal = |label: &str| rule["equal"].as_array().unwrap().contains(&json!(label));
            let of_account =
                |alert: &Value| alert["alert"].as_str().unwrap().starts_with("CampaignAccount");
            let targets = alerts.iter().filter(|target| {
                let named_alike = target["alert"] == source["alert"];
                let itself =
                    named_alike && target["labels"]["severity"] == source["labels"]["severity"];
                !itself
                    && (named_alike || !equal("alertname"))
                    && (of_account(target) == of_account(source) || !equal("campaign_id"))
                    && matches(&rule["target_matchers"], target)
            });
            for target in targets {
                let Some(target_kept) = kept(target) else { continue };
                assert!(
                    source_kept >= target_kept + MARGIN,
                    "{} {} inhibits {} {}",
                    source["alert"],
                    source["labels"]["severity"],
                    target["alert"],
                    target["labels"]["severity"]
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

/// Returns the notifications about firing alerts of a scenario, as in the table.
fn told(messages: &[Message], scenario: &str) -> Vec<(String, String)> {
    let of_it = messages.iter().filter(|message| message.group_labels["provider"] == scenario);
    let told = of_it.map(|message| {
        let firing = message.alerts.iter().filter(|alert| alert.status == "firing");
        let names: BTreeSet<_> = firing
            .map(|alert| {
                let parts = ["alertname", "severity", "account", "campaign_id"];
                let parts = parts.iter().filter_map(|part| alert.labels.get(*part));
                parts.map(String::as_str).collect::<Vec<_>>().join(" ")
            })
            .collect();
        (message.receiver.clone(), names.into_iter().collect::<Vec<_>>().join(", "))
    });
    told.filter(|(_, names)| !names.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_cause_is_one_page() {
    let webhook = Webhook::start().await;
    let alertmanager = Alertmanager::start(webhook.url()).await;
    let scenarios = scenarios();
    let mut seen = 0;
    for number in 0..2 {
        let steps: Vec<(&str, &Step)> = scenarios
            .iter()
            .filter_map(|(name, steps)| Some((*name, steps.get(number)?)))
            .collect();
        let changes = steps.iter().flat_map(|(_, step)| &step.changes);
        alertmanager.post(changes.map(|(labels, starts)| (labels.clone(), *starts))).await;
        let settled = |messages: &[Message]| {
            steps.iter().all(|(name, step)| {
                let told = told(&messages[seen..], name);
                step.told.iter().all(|expected| told.contains(expected))
            })
        };
        webhook.wait_for("not all are told", settled).await;

        // whatever else would be told comes before an alert that starts now
        let last = format!("last-{number}");
        let labels = json!({ "alertname": "Last", "team": "sre", "provider": last });
        alertmanager.post([(labels, true)]).await;
        let told_last = |messages: &[Message]| !told(messages, &last).is_empty();
        webhook.wait_for("the last is not told", told_last).await;
        let messages = webhook.messages();
        for (name, step) in &steps {
            let mut told = told(&messages[seen..], name);
            told.sort();
            assert_eq!(told, step.told.iter().cloned().collect::<Vec<_>>(), "{name}");
        }
        seen = messages.len();
    }
}
