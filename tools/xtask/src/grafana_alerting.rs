//! The rules as Grafana-managed ones, in the format of Grafana's file provisioning.
//!
//! Templates of Grafana cannot query, so texts lack what Prometheus looks up. They have no `$`, which
//! provisioning would take for a variable of the environment.

use std::collections::BTreeMap;

use anyhow::Context;
use campaign_exporter::document::parse_duration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::root;

/// Data source that is queried, and that recording rules write to: the one in `dashboards/provisioning`.
const SOURCE: &str = "prometheus";

/// Folder of the rules and dashboards.
const FOLDER: &str = "Campaigns";

/// Evaluation interval of groups without their own, in minutes.
const INTERVAL: u64 = 1;

/// Alert that also fires if Prometheus cannot be queried, so that one tells it instead of all.
const ABSENT: &str = "CampaignExporterAbsent";

/// Its texts: which of its two conditions is met has to be looked up.
const ABSENT_TEXTS: [(&str, &str); 2] = [
    ("summary", "Prometheus scrapes fewer campaign exporters than before, or none"),
    (
        "description",
        "A target that was there for most of the last day is gone, or no target has a job name that contains campaign_exporter. Its accounts are not monitored unless another exporter reads them. Check Prometheus' service discovery and the name of the scrape job. If it was removed on purpose, silence this alert for a day.",
    ),
];

const CAMPAIGN: &str = "job, instance, provider, account, channel, campaign_id";

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    interval: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    record: Option<String>,
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for", default)]
    pending: String,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Returns the paths and contents of the files.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = BTreeMap::from([("alerts", Vec::new()), ("recording", Vec::new())]);
    for name in ["thresholds", "recording", "campaigns", "exporter"] {
        let path = root().join(format!("alerts/{name}.yml"));
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for group in serde_saphyr::from_str::<File>(&text)?.groups {
            let interval = group.interval.as_deref().map_or(Ok(INTERVAL), minutes)?;
            for (kind, rules) in managed(name, &group, interval)? {
                files.entry(kind).or_default().push(json!({
                    "orgId": 1,
                    "name": group.name,
                    "folder": FOLDER,
                    "interval": format!("{interval}m"),
                    "rules": rules,
                }));
            }
        }
    }
    let files = files.into_iter().map(|(name, groups)| {
        let file = json!({"apiVersion": 1, "groups": groups});
        let text = serde_json::to_string_pretty(&file)? + "\n";
        Ok((format!("deploy/grafana-alerting/{name}.json"), text))
    });
    files.collect()
}

/// The rules of a group, by the file that they belong to.
fn managed(
    file: &str,
    group: &Group,
    interval: u64,
) -> anyhow::Result<BTreeMap<&'static str, Vec<Value>>> {
    let mut managed = BTreeMap::<_, Vec<_>>::new();
    for (number, rule) in group.rules.iter().enumerate() {
        // no store has the alerts of Grafana as series
        if rule.expr.contains("ALERTS{") {
            continue;
        }
        let (kind, rule) = match (&rule.record, &rule.alert) {
            (Some(metric), _) => {
                ("recording", recording(&format!("{}-{number}", group.name), metric, rule))
            }
            (_, Some(alert)) => {
                let severity = rule.labels.get("severity").context("an alert has no severity")?;
                // at most 40 characters
                let [file, severity] = [file, severity].map(|word| word.get(..1).unwrap_or(word));
                ("alerts", alerting(&format!("{alert}-{file}{severity}"), alert, rule, interval)?)
            }
            _ => anyhow::bail!("a rule of {} has no name", group.name),
        };
        managed.entry(kind).or_default().push(rule);
    }
    Ok(managed)
}

fn recording(uid: &str, metric: &str, rule: &Rule) -> Value {
    json!({
        "uid": uid,
        "title": metric,
        "data": [query(&rule.expr)],
        "record": {"metric": metric, "from": "A", "targetDatasourceUid": SOURCE},
        "labels": rule.labels,
    })
}

fn alerting(uid: &str, alert: &str, rule: &Rule, interval: u64) -> anyhow::Result<Value> {
    let by_campaign = rule.annotations.values().any(|text| text.contains(".campaign_id"));
    let expr = if by_campaign { named(&rule.expr) } else { rule.expr.clone() };
    let keep = rule.keep_firing_for.as_deref().map_or(Ok(0), minutes)?;
    let annotations = rule.annotations.iter().map(|(key, text)| {
        let mut texts = ABSENT_TEXTS.into_iter().filter(|_| alert == ABSENT);
        let own = texts.find(|(name, _)| name == key);
        (key, own.map_or_else(|| translated(text), |(_, text)| text.to_owned()))
    });
    Ok(json!({
        "uid": uid,
        "title": alert,
        "condition": "B",
        "data": [query(&expr), is_present()],
        "for": rule.pending,
        // the one if all series end, the other if some do
        "keepFiringFor": format!("{keep}m"),
        "missing_series_evals_to_resolve": keep.div_ceil(interval).max(1),
        "noDataState": "OK",
        "execErrState": if alert == ABSENT { "Error" } else { "KeepLast" },
        "annotations": annotations.collect::<BTreeMap<_, _>>(),
        "labels": rule.labels,
    }))
}

/// Adds the names of campaigns as a label.
fn named(expr: &str) -> String {
    format!(
        "(\n{}\n) * on ({CAMPAIGN}) group_left (campaign_name)\n  topk by ({CAMPAIGN}) (1, campaign_info)",
        expr.trim_end()
    )
}

fn query(expr: &str) -> Value {
    json!({
        "refId": "A",
        "datasourceUid": SOURCE,
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {
            "refId": "A",
            "datasource": {"type": "prometheus", "uid": SOURCE},
            "expr": expr,
            "instant": true,
            "range": false,
        },
    })
}

/// The condition that there is a result, whatever its value, as in Prometheus.
fn is_present() -> Value {
    json!({
        "refId": "B",
        "datasourceUid": "__expr__",
        "model": {
            "refId": "B",
            "datasource": {"type": "__expr__", "uid": "__expr__"},
            "type": "math",
            "expression": "is_number($A) || is_nan($A) || is_inf($A)",
        },
    })
}

fn minutes(duration: &str) -> anyhow::Result<u64> {
    let duration = parse_duration(duration).context("not a duration")?;
    Ok(duration.as_secs().div_ceil(60))
}

/// Translates a template of Prometheus to one of Grafana.
fn translated(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(begin) = text.find("{{ with printf \"campaign_info{")
        && let Some(length) = text[begin..].find(END)
    {
        let name = r#"{{ with index .Labels "campaign_name" }}{{ . }}{{ else }}{{ $labels.campaign_id }}{{ end }}"#;
        text.replace_range(begin..begin + length + END.len(), name);
    }
    let text = without_lookups(&text);
    // a figure that is left out leaves two spaces
    let (lacking, whole): (Vec<_>, Vec<_>) =
        text.split(". ").filter(|text| !text.is_empty()).partition(|text| text.contains("  "));
    let is_named = lacking.iter().any(|text| text.contains("$labels.account"));
    let text = is_named.then_some(ACCOUNT).into_iter().chain(whole).collect::<Vec<_>>().join(". ");
    let text = text.trim_end_matches(" of ");
    text.replace(r#"{{ or $externalLabels.grafana_url "http://localhost:3000" }}/"#, "{{ externalURL }}")
        .replace(
            r#"{{ or $externalLabels.runbooks_url "https://example.com/campaign_exporter/docs/runbooks.md" }}"#,
            "https://example.com/campaign_exporter/docs/runbooks.md",
        )
        .replace("$labels", ".Labels")
        .replace("$value", ".Values.A.Value")
}

const END: &str = "{{ end }}";

/// Stands for a sentence that names the account.
const ACCOUNT: &str = "{{ $labels.provider }} account {{ $labels.account }}{{ with $labels.channel }}, channel {{ . }}{{ end }}";

/// The text as if all lookups find nothing.
fn without_lookups(text: &str) -> String {
    let mut kept = String::new();
    // the open blocks: whether they are lookups, and whether they are hidden
    let mut blocks: Vec<(bool, bool)> = Vec::new();
    for part in text.split_inclusive("}}") {
        let (words, action) = part.split_once("{{").unwrap_or((part, ""));
        let hidden = blocks.iter().any(|(_, hidden)| *hidden);
        if !hidden {
            kept.push_str(words);
        }
        let action = action.trim_end_matches("}}").trim();
        let is_lookup = match action.split(' ').next() {
            Some("with" | "range" | "if") => {
                let is_lookup = action.contains(" query");
                blocks.push((is_lookup, is_lookup));
                is_lookup
            }
            Some("else") => blocks.last_mut().is_some_and(|(is_lookup, hidden)| {
                *hidden = false;
                *is_lookup
            }),
            Some("end") => blocks.pop().is_some_and(|(is_lookup, _)| is_lookup),
            _ => action.is_empty() || action.contains(":="),
        };
        if !is_lookup && !hidden {
            kept.extend(["{{ ", action, " }}"]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_whole_without_what_prometheus_looks_up() {
        let name = r#"{{ with index .Labels "campaign_name" }}{{ . }}{{ else }}{{ .Labels.campaign_id }}{{ end }}"#;
        for (text, expected) in [
            (
                r#"Campaign {{ with printf "campaign_info{job=%q}" $labels.job | query }}{{ . | first | label "campaign_name" }}{{ else }}{{ $labels.campaign_id }}{{ end }}: {{ $value | humanizePercentage }}"#,
                format!("Campaign {name}: {{{{ .Values.A.Value | humanizePercentage }}}}"),
            ),
            (
                r#"{{ $campaign := printf "job=%q" $labels.job }}Of {{ with printf "a{%s}" $campaign | query }}{{ . | first | value }}{{ end }} messages of {{ $labels.account }}, {{ with printf "b{%s}" $campaign | query }}{{ . }}{{ end }} failed. Stop it. Now."#,
                "{{ .Labels.provider }} account {{ .Labels.account }}{{ with .Labels.channel }}, channel {{ . }}{{ end }}. Stop it. Now.".to_owned(),
            ),
            (
                r#"Polls fail{{ with query "a" }} ({{ if gt $value 1.0 }}x{{ else }}y{{ end }}){{ else }}, too{{ end }}.{{ with $labels.channel }} {{ . }}{{ end }}"#,
                "Polls fail, too.{{ with .Labels.channel }} {{ . }}{{ end }}".to_owned(),
            ),
            (
                r#"{{ $account := "a" }}{{ with query $account }}{{ . }}{{ end }} of {{ with query "a" }}{{ . }}{{ end }} are left. Buy more."#,
                "Buy more.".to_owned(),
            ),
            (r#"{{ with query "a" }}left{{ end }}. Buy more."#, "Buy more.".to_owned()),
            (r#"Down: {{ $value }} of {{ with query "a" }}{{ . }}{{ end }}"#, "Down: {{ .Values.A.Value }}".to_owned()),
            (
                r#"{{ or $externalLabels.grafana_url "http://localhost:3000" }}/d/a?var-job={{ $labels.job | urlquery }}"#,
                "{{ externalURL }}d/a?var-job={{ .Labels.job | urlquery }}".to_owned(),
            ),
        ] {
            assert_eq!(translated(text), expected);
        }
    }
}
