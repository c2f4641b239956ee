//! A real Alertmanager as a process, and its tool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::daemon::client;
use super::rules::{self, yaml};
use super::server::{Program, Server};

const PROGRAM: Program = Program {
    name: "prometheus-alertmanager",
    package: "prometheus-alertmanager",
};

/// Alertmanager's own checker.
pub(crate) const AMTOOL: Program = Program {
    name: "amtool",
    package: "prometheus-alertmanager",
};

/// The file of the shipped example.
pub(crate) fn shipped_file() -> PathBuf {
    rules::folder().join("alertmanager/alertmanager.yml")
}

/// The shipped example.
pub(crate) fn shipped() -> Value {
    yaml(&shipped_file())
}

/// An Alertmanager with the shipped example in a hurry. Dropping it kills it.
pub(crate) struct Alertmanager {
    server: Server,
}

impl Alertmanager {
    /// Starts it with all receivers at a webhook, each below a path of its own name, and waits until
    /// it is ready.
    pub(crate) async fn start(webhook: &str) -> Self {
        let mut config = shipped();
        hurry(&mut config["route"]);
        for receiver in config["receivers"].as_array_mut().unwrap() {
            let name = receiver["name"].as_str().unwrap().to_owned();
            *receiver = json!({ "name": name, "webhook_configs": [{ "url": webhook }] });
        }
        let folder = TempDir::new().unwrap();
        // JSON is YAML, too
        fs::write(config_file(folder.path()), config.to_string()).unwrap();
        let server = Server::start(PROGRAM, folder, |folder, address| {
            vec![
                format!("--config.file={}", config_file(folder).display()),
                format!("--storage.path={}/data", folder.display()),
                format!("--web.listen-address={address}"),
                // alone, so that it waits for no others
                "--cluster.listen-address=".to_owned(),
            ]
        });
        Self {
            server: server.await,
        }
    }

    /// `HOST:PORT`
    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    /// The labels of the alerts that fire and are hidden by others.
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

/// Seconds for minutes and hours, in a route and in those below it. It waits long enough for a cause
/// to come before what it hides.
fn hurry(route: &mut Value) {
    let waits = [
        ("group_wait", "2s"),
        ("group_interval", "1s"),
        // not within a test
        ("repeat_interval", "1h"),
    ];
    let route = route.as_object_mut().unwrap();
    for (name, wait) in waits {
        route.insert(name.to_owned(), json!(wait));
    }
    if let Some(routes) = route.get_mut("routes") {
        routes.as_array_mut().unwrap().iter_mut().for_each(hurry);
    }
}
