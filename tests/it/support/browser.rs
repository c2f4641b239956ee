//! A browser controlled through `WebDriver` (<https://www.w3.org/TR/webdriver2/>).

use std::process::Stdio;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::daemon::{LIMIT, client};

/// Chromium with one window. Dropping it kills its driver, which stops it.
pub(crate) struct Browser {
    session: String,
    client: reqwest::Client,
    _driver: Child,
    _profile: TempDir,
}

/// Starts the driver. Returns it with its port; `None` if it exits instead.
async fn start_driver() -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "the tests need chromedriver on the PATH (Debian: package chromium-driver): {error}"
            )
        });
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return Some((driver, port.trim_end_matches('.').to_owned()));
        }
    }
    None
}

impl Browser {
    /// Starts the browser.
    pub(crate) async fn start() -> Self {
        // it exits if another process takes its port between IPv4 and IPv6
        let started = tokio::time::timeout(LIMIT, async {
            loop {
                if let Some(started) = start_driver().await {
                    return started;
                }
            }
        });
        let (driver, port) = started.await.unwrap();
        let driver_url = format!("http://127.0.0.1:{port}");
        let profile = TempDir::new().unwrap();
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        let options = json!({
            // there is no sandbox for root, and little shared memory in containers
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     profile_argument],
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let client = client();
        let made = ask(&client, &format!("{driver_url}/session"), &wanted).await;
        let id = made["sessionId"].as_str().unwrap();
        Self {
            session: format!("{driver_url}/session/{id}"),
            client,
            _driver: driver,
            _profile: profile,
        }
    }

    async fn command(&self, path: &str, parameters: &Value) -> Value {
        ask(&self.client, &format!("{}/{path}", self.session), parameters).await
    }

    /// Opens a page in a viewport of this width, with a light or dark color scheme.
    pub(crate) async fn open(&self, url: &str, width: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let chrome = |method: &str, parameters: Value| {
            let command = json!({"cmd": method, "params": parameters});
            async move { self.command("goog/cdp/execute", &command).await }
        };
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        chrome("Emulation.setEmulatedMedia", json!({"features": [feature]})).await;
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        chrome("Emulation.setDeviceMetricsOverride", size).await;
        self.command("url", &json!({"url": url})).await;
    }

    /// Runs a function body on the page and returns its result.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let script = json!({"script": script, "args": []});
        self.command("execute/sync", &script).await
    }

    /// Returns console errors of the page, including violations of the content security policy.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    /// Returns a PNG of the whole page.
    pub(crate) async fn screenshot(&self) -> Vec<u8> {
        let all = json!({"format": "png", "captureBeyondViewport": true});
        let command = json!({"cmd": "Page.captureScreenshot", "params": all});
        let shot = self.command("goog/cdp/execute", &command).await;
        BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }
}

async fn ask(client: &reqwest::Client, url: &str, parameters: &Value) -> Value {
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .body(parameters.to_string())
        .timeout(LIMIT);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert!(status.is_success(), "{url}: {answer}");
    answer["value"].take()
}
