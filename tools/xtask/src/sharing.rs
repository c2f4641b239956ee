//! The dashboards as grafana.com publishes them: with what they require.
//!
//! They have no `__inputs`, because a variable chooses the data source.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Value, json};

use super::dashboards;

/// The oldest Grafana that can import the dashboards.
const OLDEST: &str = "11.0.0";

/// Returns the names and contents of the files.
pub fn files() -> anyhow::Result<Vec<(String, String)>> {
    let files = dashboards::files()?.into_iter().map(|(path, text)| {
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let shared = shared(serde_json::from_str(&text)?).with_context(|| path.clone())?;
        Ok((name, serde_json::to_string_pretty(&shared)? + "\n"))
    });
    files.collect()
}

fn shared(mut dashboard: Value) -> anyhow::Result<Value> {
    let mut kinds = BTreeSet::new();
    collect_kinds(&dashboard, &mut kinds);
    let panels = kinds.into_iter().map(|kind| ("panel", kind, ""));
    let requires = [("grafana", "grafana".to_owned(), OLDEST)]
        .into_iter()
        .chain([("datasource", "prometheus".to_owned(), "1.0.0")])
        .chain(panels);
    let requires: Vec<_> = requires
        .map(|(kind, id, version)| json!({"type": kind, "id": id, "name": id, "version": version}))
        .collect();
    let keys = dashboard.as_object_mut().context("not an object")?;
    keys.insert("__inputs".to_owned(), json!([]));
    keys.insert("__elements".to_owned(), json!({}));
    keys.insert("__requires".to_owned(), json!(requires));
    Ok(dashboard)
}

/// Collects the kinds of panels, also of those in rows.
fn collect_kinds(parent: &Value, kinds: &mut BTreeSet<String>) {
    for panel in parent["panels"].as_array().into_iter().flatten() {
        let kind = panel["type"].as_str().unwrap_or_default();
        if kind != "row" {
            kinds.insert(kind.to_owned());
        }
        collect_kinds(panel, kinds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_dashboards_say_what_they_require_and_are_otherwise_the_same() {
        let shared = files().unwrap();
        let generated = dashboards::files().unwrap();
        assert_eq!(shared.len(), generated.len());
        for ((name, shared), (path, generated)) in shared.iter().zip(&generated) {
            assert!(path.ends_with(&format!("/{name}")));
            let mut shared: Value = serde_json::from_str(shared).unwrap();
            let keys = shared.as_object_mut().unwrap();
            let requires = keys.remove("__requires").unwrap();
            let ids = requires.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap());
            let ids: Vec<_> = ids.collect();
            for id in ["grafana", "prometheus", "stat", "text"] {
                assert!(ids.contains(&id), "{name}: {ids:?}");
            }
            assert!(!ids.contains(&"row") && !ids.contains(&""), "{name}: {ids:?}");
            assert_eq!(keys.remove("__inputs"), Some(json!([])));
            assert_eq!(keys.remove("__elements"), Some(json!({})));
            // without an id of one Grafana, and with the data source that a variable chooses
            assert!(keys.get("id").is_none_or(Value::is_null), "{name}");
            assert!(generated.contains("\"uid\": \"${datasource}\""), "{name}");
            assert_eq!(shared, serde_json::from_str::<Value>(generated).unwrap());
        }
    }
}
