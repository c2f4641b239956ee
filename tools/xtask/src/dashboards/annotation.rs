//! Annotations of the graphs.

use serde_json::{Value, json};

use super::query::{Scope, drawn, named, named_among};
use super::variable;

/// Time a campaign was sent.
const SENT: &str = "campaign_last_sent_timestamp_seconds";

/// Annotations for dashboards with many campaigns, whose starts and alerts would cover every graph: only
/// critical alerts are shown, and campaign starts are off by default.
pub(crate) fn of_many() -> Vec<Value> {
    vec![
        own(),
        starts(&named(Scope::Channel, &Scope::Channel.of(SENT), &Scope::Channel.of(SENT)), false),
        alerts("Critical alerts", r#", severity="critical""#),
    ]
}

/// Annotations for dashboards without campaigns.
pub(crate) fn of_exporters() -> Vec<Value> {
    let about_accounts = r#", severity="critical", campaign_id="""#;
    vec![own(), alerts("Critical alerts", about_accounts)]
}

/// Starts of the displayed campaigns, and alerts of the selected ones.
pub(crate) fn of_campaigns() -> Vec<Value> {
    vec![
        own(),
        starts(&named_among(Scope::Campaign, &Scope::Campaign.of(SENT), &drawn()), true),
        alerts("Alerts", r#", campaign_id=~"$campaign|""#),
    ]
}

fn own() -> Value {
    json!({
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    })
}

fn starts(sent: &str, enable: bool) -> Value {
    json!({
        "name": "Campaign starts",
        "datasource": variable::source(),
        "enable": enable,
        "hide": false,
        "iconColor": "blue",
        "expr": format!("1000 * {sent}"),
        "titleFormat": "{{campaign_name}} was sent",
        "textFormat": "{{provider}} account {{account}}, {{channel}}",
        "tagKeys": "account,channel",
        "useValueForTime": "on",
        "step": "300s",
    })
}

fn alerts(name: &str, matcher: &str) -> Value {
    let chosen = super::query::chosen_or_none();
    json!({
        "name": name,
        "datasource": variable::source(),
        // switched on to look for a cause; always on, they cover the graphs
        "enable": false,
        "hide": false,
        "iconColor": "red",
        "expr": format!(r#"ALERTS{{{chosen}{matcher}, alertstate="firing"}}"#),
        "titleFormat": "{{alertname}} ({{severity}})",
        "textFormat": "{{provider}} {{account}} {{channel}} {{campaign_id}}",
        "tagKeys": "severity,team",
        "step": "60s",
    })
}
