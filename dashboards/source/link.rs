//! Links from one dashboard to another, which keep the time range and what is chosen.

use serde_json::{Value, json};

/// The tag that all of these dashboards have.
pub(crate) const TAG: &str = "campaign-exporter";

fn link(title: &str, url: &str) -> Value {
    json!({"title": title, "url": url, "targetBlank": false})
}

/// To the other dashboards, with everything that is chosen.
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
        "tooltip": "The other dashboards, with the same choices",
        "url": "",
    })
}

fn address(uid: &str, variables: impl Iterator<Item = String>) -> String {
    let kept = ["${__url_time_range}", "${datasource:queryparam}"].map(str::to_owned);
    let query: Vec<String> = kept.into_iter().chain(variables).collect();
    format!("/d/{uid}?{}", query.join("&"))
}

/// Sets the variables of a dashboard to the labels of what was clicked.
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

/// From a row to its campaign.
pub(crate) fn row_to_campaign() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.extend([("channel", "channel"), ("campaign", "campaign_id")]);
    link(
        "This campaign",
        &chosen("campaigns-campaign", "__data.fields", &labels),
    )
}

/// From a row to the overview of its account.
pub(crate) fn row_to_account() -> Value {
    link(
        "Overview of this account",
        &chosen("campaigns-overview", "__data.fields", &ACCOUNT),
    )
}

/// From a row to how its account is read.
pub(crate) fn row_to_exporter() -> Value {
    link(
        "How this account is read",
        &chosen("campaigns-exporter", "__data.fields", &ACCOUNT),
    )
}

/// From a series to its campaign.
pub(crate) fn series_to_campaign() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.extend([("channel", "channel"), ("campaign", "campaign_id")]);
    link(
        "This campaign",
        &chosen("campaigns-campaign", "__field.labels", &labels),
    )
}

/// From a series to the campaigns of its account and channel.
pub(crate) fn series_to_channel() -> Value {
    let mut labels = ACCOUNT.to_vec();
    labels.push(("channel", "channel"));
    link(
        "Campaigns of this account",
        &chosen("campaigns-campaign", "__field.labels", &labels),
    )
}

/// From a series to the overview of its account.
pub(crate) fn series_to_account() -> Value {
    link(
        "Overview of this account",
        &chosen("campaigns-overview", "__field.labels", &ACCOUNT),
    )
}

/// From a series to how its account is read.
pub(crate) fn series_to_exporter() -> Value {
    link(
        "How this account is read",
        &chosen("campaigns-exporter", "__field.labels", &ACCOUNT),
    )
}

/// To a dashboard with what is chosen here.
pub(crate) fn same(title: &str, uid: &str) -> Value {
    let variables = ["job", "instance", "provider", "account", "channel"].into_iter();
    let variables = variables.map(|name| format!("${{{name}:queryparam}}"));
    link(title, &address(uid, variables))
}
