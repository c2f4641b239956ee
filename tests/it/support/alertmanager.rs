//! Runs Alertmanager and amtool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::client;
use super::rules::{self, yaml};
use super::server::{Program, Server};

const PROGRAM: Program =
    Program { name: "prometheus-alertmanager", package: "prometheus-alertmanager" };

/// Alertmanager's command-line tool.
pub(crate) const AMTOOL: Program = Program { name: "amtool", package: "prometheus-alertmanager" };

/// Path of the shipped example.
pub(crate) fn shipped_file() -> PathBuf {
    rules::folder().join("alertmanager/alertmanager.yml")
}

/// Contents of the shipped example.
pub(crate) fn shipped() -> Value {
    yaml(&shipped_file())
}

/// Alertmanager with the shipped example and shortened intervals. Killed when dropped.
pub(crate) struct Alertmanager {
    server: Server,
}

impl Alertmanager {
    /// Starts Alertmanager with all receivers pointing to a webhook, each with its name as the path, and
    /// waits until it is ready.
    pub(crate) async fn start(webhook: &str) -> Self {
        let mut config = shipped();
        shorten(&mut config["route"]);
        for receiver in config["receivers"].as_array_mut().unwrap() {
            let name = receiver["name"].as_str().unwrap().to_owned();
            *receiver = json!({ "name": name, "webhook_configs": [{ "url": webhook }] });
        }
        let folder = TempDir::new().unwrap();
        // JSON is valid YAML
        fs::write(config_file(folder.path()), config.to_string()).unwrap();
        let server = Server::start(PROGRAM, folder, |folder, address| {
            vec![
                format!("--config.file={}", config_file(folder).display()),
                format!("--storage.path={}/data", folder.display()),
                format!("--web.listen-address={address}"),
                // no clustering, so that it does not wait for peers
                "--cluster.listen-address=".to_owned(),
            ]
        });
        Self { server: server.await }
    }

    /// `HOST:PORT`
    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    /// Sends alerts that start now or, if false, end.
    pub(crate) async fn post(&self, alerts: impl IntoIterator<Item = (Value, bool)>) {
        // an alert that started earlier would be notified without `group_wait`
        let now = Utc::now();
        let alerts = alerts.into_iter().map(|(labels, starts)| {
            let ends = if starts { now + TimeDelta::hours(1) } else { now };
            json!({ "labels": labels, "startsAt": now, "endsAt": ends })
        });
        let url = format!("http://{}/api/v2/alerts", self.address());
        let request = client().post(url).header("content-type", "application/json");
        let answer = request.body(alerts.collect::<Value>().to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Returns the labels of inhibited alerts.
    pub(crate) async fn inhibited(&self) -> Vec<BTreeMap<String, String>> {
        let url = format!("http://{}/api/v2/alerts", self.address());
        let query = [("active", "false"), ("inhibited", "true")];
        let answer = client().get(url).query(&query).send().await.unwrap();
        let alerts: Vec<Value> = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let labels = alerts.iter().map(|alert| {
            assert_eq!(alert["status"]["state"], "suppressed", "{alert}");
            serde_json::from_value(alert["labels"].clone()).unwrap()
        });
        labels.collect()
    }
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("alertmanager.yml")
}

/// Shortens minutes and hours to seconds, recursively. `group_wait` stays long enough for inhibiting alerts
/// to arrive first, also from a busy machine whose evaluations are seconds apart.
fn shorten(route: &mut Value) {
    let waits = [
        ("group_wait", "8s"),
        ("group_interval", "1s"),
        // beyond the duration of a test
        ("repeat_interval", "1h"),
    ];
    let route = route.as_object_mut().unwrap();
    for (name, wait) in waits {
        route.insert(name.to_owned(), json!(wait));
    }
    if let Some(routes) = route.get_mut("routes") {
        routes.as_array_mut().unwrap().iter_mut().for_each(shorten);
    }
}
