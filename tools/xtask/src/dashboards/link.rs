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

/// Links to a dashboard with a time range and the same variables.
pub(crate) fn time(uid: &str, (title, from, to): (&str, &str, &str)) -> Value {
    let encoded = |time: &str| time.replace('/', "%2F");
    json!({
        "title": title,
        "type": "link",
        "tags": [],
        "asDropdown": false,
        "includeVars": true,
        "keepTime": false,
        "targetBlank": false,
        "icon": "external link",
        "tooltip": format!("{from} to {to}"),
        "url": format!("/d/{uid}?from={}&to={}", encoded(from), encoded(to)),
    })
}

fn address(uid: &str, variables: impl Iterator<Item = String>) -> String {
    let kept = ["${__url_time_range}", "${datasource:queryparam}"];
    let kept = kept.into_iter().chain(["${job:queryparam}", "${instance:queryparam}"]);
    let kept = kept.map(str::to_owned);
    let query: Vec<String> = kept.chain(variables).collect();
    format!("/d/{uid}?{}", query.join("&"))
}

/// What is clicked, by Grafana's prefix of its labels.
#[derive(Clone, Copy)]
pub(crate) struct Place(&'static str);

/// A row of a table.
pub(crate) const ROW: Place = Place("__data.fields");

/// A series of a graph.
pub(crate) const SERIES: Place = Place("__field.labels");

impl Place {
    /// Links to a dashboard whose variables are set to the labels of the account and `more`.
    fn link(self, title: &str, uid: &str, more: &[(&str, &str)]) -> Value {
        let account = ["provider", "account"].map(|label| (label, label));
        let variables = account.iter().chain(more).map(|(variable, label)| {
            format!("var-{variable}=${{{}.{label}:percentencode}}", self.0)
        });
        link(title, &address(uid, variables))
    }

    /// Links to the campaign.
    pub(crate) fn to_campaign(self) -> Value {
        let labels = [("channel", "channel"), ("campaign", "campaign_id")];
        self.link("This campaign", "campaigns-campaign", &labels)
    }

    /// Links to the campaigns of the account and channel.
    pub(crate) fn to_channel(self) -> Value {
        let labels = [("channel", "channel")];
        self.link("Campaigns of this account", "campaigns-campaign", &labels)
    }

    /// Links to the overview of the account.
    pub(crate) fn to_account(self) -> Value {
        self.link("Overview of this account", "campaigns-overview", &[])
    }

    /// Links to the polls of the account.
    pub(crate) fn to_exporter(self) -> Value {
        self.link("Polls of this account", "campaigns-exporter", &[])
    }
}

/// Links to a dashboard with the current variables.
pub(crate) fn same(title: &str, uid: &str) -> Value {
    let variables = ["provider", "account", "channel"].into_iter();
    let variables = variables.map(|name| format!("${{{name}:queryparam}}"));
    link(title, &address(uid, variables))
}
