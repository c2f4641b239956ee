//! What is marked in every graph.

use serde_json::{Value, json};

use super::query::{Scope, named};
use super::variable;

/// Grafana's own annotations, the starts of campaigns, and alerts while they fire.
pub(crate) fn all(campaigns: Scope) -> Vec<Value> {
    vec![own(), starts(campaigns), alerts()]
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

fn starts(campaigns: Scope) -> Value {
    let sent = campaigns.of("campaign_last_sent_timestamp_seconds");
    json!({
        "name": "Campaign starts",
        "datasource": variable::source(),
        "enable": true,
        "hide": false,
        "iconColor": "blue",
        "expr": format!("1000 * {}", named(campaigns, &sent)),
        "titleFormat": "{{campaign_name}} was sent",
        "textFormat": "{{provider}} account {{account}}, {{channel}}",
        "tagKeys": "account,channel",
        "useValueForTime": "on",
        "step": "300s",
    })
}

fn alerts() -> Value {
    json!({
        "name": "Alerts",
        "datasource": variable::source(),
        "enable": true,
        "hide": false,
        "iconColor": "red",
        "expr": r#"ALERTS{alertname=~"Campaign.*", alertstate="firing", job=~"$job|", instance=~"$instance|", provider=~"$provider|", account=~"$account|", channel=~"$channel|"}"#,
        "titleFormat": "{{alertname}} ({{severity}})",
        "textFormat": "{{provider}} {{account}} {{channel}} {{campaign_id}}",
        "tagKeys": "severity,team",
        "step": "60s",
    })
}
