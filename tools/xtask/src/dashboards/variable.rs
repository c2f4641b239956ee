//! Variables, each restricted by the previous ones.

use serde_json::{Value, json};

use super::query::{Scope, named};

/// The Prometheus data source.
pub(crate) fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Variables of every dashboard.
pub(crate) fn common() -> Vec<Value> {
    vec![
        datasource(),
        labels("job", "Job", "campaign_exporter_build_info", &[]),
        labels("instance", "Instance", "campaign_exporter_build_info", &["job"]),
        labels("provider", "Provider", "campaign_account_up", &["job", "instance"]),
        labels("account", "Account", "campaign_account_up", &["job", "instance", "provider"]),
        labels(
            "channel",
            "Channel",
            "campaign_account_campaigns",
            &["job", "instance", "provider", "account"],
        ),
    ]
}

fn datasource() -> Value {
    json!({
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": "",
        "multi": false,
        "includeAll": false,
        "refresh": 1,
        "hide": 0,
        "skipUrlSync": false,
        "options": [],
    })
}

fn labels(name: &str, label: &str, metric: &str, chosen: &[&str]) -> Value {
    let matchers: Vec<String> = chosen.iter().map(|name| format!("{name}=~\"${name}\"")).collect();
    let series = if matchers.is_empty() {
        metric.to_owned()
    } else {
        format!("{metric}{{{}}}", matchers.join(", "))
    };
    query(name, label, &format!("label_values({series}, {name})"), "")
}

fn query(name: &str, label: &str, query: &str, regex: &str) -> Value {
    json!({
        "type": "query",
        "name": name,
        "label": label,
        "datasource": source(),
        "query": {"query": query, "refId": name},
        "definition": query,
        "regex": regex,
        // refresh when the time range changes, since it limits the values
        "refresh": 2,
        "sort": 5,
        "multi": true,
        "includeAll": true,
        "allValue": ".+",
        "hide": 0,
        "skipUrlSync": false,
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "options": [],
    })
}

/// Number of campaigns in the list; links to older ones work nevertheless.
const LISTED: u32 = 500;

/// The campaign variable, displayed as name and account, with the id as its value. Grafana does not
/// escape the text that it matches with the regex, and names may contain any character, so the regex
/// relies on the order of the labels and the end of the text.
pub(crate) fn campaign() -> Value {
    let of = |metric: &str| Scope::Channel.one(metric);
    let newest = format!(
        "topk({LISTED}, {} or {} or {})",
        of("campaign_last_sent_timestamp_seconds"),
        of("campaign_scheduled_timestamp_seconds"),
        of("campaign_created_timestamp_seconds"),
    );
    let titles = format!(
        r#"query_result(sort_desc(max by (campaign_id, title) (label_join({}, "title", " · ", "campaign_name", "account"))))"#,
        named(Scope::Channel, &newest, &newest)
    );
    let mut variable = query(
        "campaign",
        "Campaign",
        &titles,
        r#"/^\{campaign_id="(?<value>[\s\S]*?)",title="(?<text>[\s\S]*)"\} \S+ \S+$/"#,
    );
    // The newest first. Grafana opens a variable on its first value only if it has no All.
    let newest = json!({"sort": 0, "includeAll": false, "current": {}});
    super::panel::merge(&mut variable, &newest);
    if let Some(variable) = variable.as_object_mut() {
        variable.remove("allValue");
    }
    variable
}

/// Minimum number of messages for a campaign to be ranked.
pub(crate) fn min_volume() -> Value {
    custom(
        "min_volume",
        "Minimum volume",
        "Campaigns with fewer messages are not ranked, since their ratios are not significant.",
        ("200", "200"),
        &["50", "500", "1000"].map(|volume| (volume, volume)),
    )
}

/// The result by which campaigns are ranked: its name, and that of its counts.
pub(crate) fn result() -> Value {
    custom(
        "result",
        "Result",
        "Campaigns, senders, templates, and times are ranked by the share of messages with this result.",
        ("Clicked", "clicks"),
        &[
            ("Delivered", "deliveries"),
            ("Read", "reads"),
            ("Replied", "replies"),
            ("Bounced", "bounces"),
            ("Opted out", "opt_outs"),
        ],
    )
}

/// A variable with fixed values, `(text, value)`. The first one is chosen.
fn custom(
    name: &str,
    label: &str,
    description: &str,
    (text, value): (&str, &str),
    others: &[(&str, &str)],
) -> Value {
    let values = [(text, value)].into_iter().chain(others.iter().copied());
    let list = values.clone().map(|(text, value)| format!("{text} : {value}"));
    let options =
        values.map(|(text, it)| json!({"text": text, "value": it, "selected": it == value}));
    json!({
        "type": "custom",
        "name": name,
        "label": label,
        "description": description,
        "query": list.collect::<Vec<_>>().join(","),
        "multi": false,
        "includeAll": false,
        "hide": 0,
        "skipUrlSync": false,
        "current": {"selected": true, "text": text, "value": value},
        "options": options.collect::<Value>(),
    })
}
