//! Links between dashboards that keep the time range and the variables.

use serde_json::{Value, json};

/// Tag shared by all of these dashboards.
pub(crate) const TAG: &str = "campaign-exporter";

fn link(title: &str, url: &str) -> Value {
    json!({"title": title, "url": url, "targetBlank": false})
}

/// Links to the other dashboards, with all variables.
pub(crate) fn dropdown() -> Value {
    json!({
        "title": "Campaign dashboards",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": true,
        "includeVars": true,
        "keepTime": true,
        "targetBlank": false,
        "icon": "external link",
        "tooltip": "The other dashboards, with the same variables",
        "url": "",
    })
}

fn address(uid: &str, variables: impl Iterator<Item = String>) -> String {
    let kept = ["${__url_time_range}", "${datasource:queryparam}"].map(str::to_owned);
    let query: Vec<String> = kept.into_iter().chain(variables).collect();
    format!("/d/{uid}?{}", query.join("&"))
}

/// Sets the variables of a dashboard to the labels of the clicked item.
fn chosen(uid: &str, place: &str, labels: &[(&str, &str)]) -> String {
    let variables = labels
        .iter()
        .map(|(variable, label)| format!("var-{variable}=${{{place}.{label}:percentencode}}"));
    address(uid, variables)
}

const ACCOUNT: [(&str, &str); 4] = [
    ("job", "job"),
    ("instance", "instance"),
    ("provider", "provider"),
    ("account", "account"),
];

/// Links a row to its campaign.
pub(crate) fn row_to_campaign() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.extend([("channel", "channel"), ("campaign", "campaign_id")]);
    link(
        "This campaign",
        &chosen("campaigns-campaign", "__data.fields", &labels),
    )
}

/// Links a row to the overview of its account.
pub(crate) fn row_to_account() -> Value {
    link(
        "Overview of this account",
        &chosen("campaigns-overview", "__data.fields", &ACCOUNT),
    )
}

/// Links a row to the polls of its account.
pub(crate) fn row_to_exporter() -> Value {
    link(
        "Polls of this account",
        &chosen("campaigns-exporter", "__data.fields", &ACCOUNT),
    )
}

/// Links a series to its campaign.
pub(crate) fn series_to_campaign() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.extend([("channel", "channel"), ("campaign", "campaign_id")]);
    link(
        "This campaign",
        &chosen("campaigns-campaign", "__field.labels", &labels),
    )
}

/// Links a series to the campaigns of its account and channel.
pub(crate) fn series_to_channel() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.push(("channel", "channel"));
    link(
        "Campaigns of this account",
        &chosen("campaigns-campaign", "__field.labels", &labels),
    )
}

/// Links a series to the overview of its account.
pub(crate) fn series_to_account() -> Value {
    link(
        "Overview of this account",
        &chosen("campaigns-overview", "__field.labels", &ACCOUNT),
    )
}

/// Links a series to the polls of its account.
pub(crate) fn series_to_exporter() -> Value {
    link(
        "Polls of this account",
        &chosen("campaigns-exporter", "__field.labels", &ACCOUNT),
    )
}

/// Links to a dashboard with the current variables.
pub(crate) fn same(title: &str, uid: &str) -> Value {
    let variables = ["job", "instance", "provider", "account", "channel"].into_iter();
    let variables = variables.map(|name| format!("${{{name}:queryparam}}"));
    link(title, &address(uid, variables))
}
