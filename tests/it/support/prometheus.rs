//! A real Prometheus as a process.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::daemon::{LIMIT, client};

/// How often another port is tried when somebody else was faster.
const ATTEMPTS: u32 = 5;

/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// A Prometheus that scrapes one target. Dropping it kills it.
pub(crate) struct Prometheus {
    _child: Child,
    _folder: TempDir,
    address: String,
    client: reqwest::Client,
}

/// What it does.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// `HOST:PORT` of what it scrapes.
    pub(crate) target: &'a str,
    /// How often, in seconds.
    pub(crate) scrape_interval: u32,
    /// The groups of a rule file, evaluated every second.
    pub(crate) rules: Option<&'a str>,
}

/// A result of an instant query: its labels and its value.
pub(crate) type Found = (BTreeMap<String, String>, f64);

impl Prometheus {
    /// Starts one that scrapes every other second.
    pub(crate) async fn scraping(target: &str) -> Self {
        let job = Job {
            target,
            scrape_interval: 2,
            rules: None,
        };
        Self::running(job).await
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn running(job: Job<'_>) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(started) = Self::start(job).await {
                return started;
            }
        }
        panic!("prometheus ended at once, {ATTEMPTS} times");
    }

    /// Nothing if it ends before it is ready, as it does when its port is taken.
    async fn start(job: Job<'_>) -> Option<Self> {
        let Job {
            target,
            scrape_interval: seconds,
            rules,
        } = job;
        let folder = TempDir::new().unwrap();
        let config = format!(
            "global:\n  scrape_interval: {seconds}s\n  scrape_timeout: {seconds}s\n  \
             evaluation_interval: 1s\nrule_files: ['*.rules']\nscrape_configs:\n  \
             - job_name: campaigns\n    static_configs:\n      - targets: ['{target}']\n"
        );
        if let Some(rules) = rules {
            std::fs::write(folder.path().join("test.rules"), rules).unwrap();
        }
        let config_file = folder.path().join("prometheus.yml");
        std::fs::write(&config_file, config).unwrap();
        // it cannot be asked for any free port, so the system is asked first
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().to_string()
        };
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let spawned = Command::new("prometheus")
            .arg(format!("--config.file={}", config_file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("the tests need prometheus on the PATH (Debian: package prometheus): {error}")
        });
        let client = client();
        let url = format!("http://{address}/-/ready");
        let ready = async {
            loop {
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            _ = child.wait() => {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
                assert!(log.contains("address already in use"), "prometheus ended:\n{log}");
                None
            }
            ready = tokio::time::timeout(LIMIT, ready) => {
                let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
                assert!(ready.is_ok(), "prometheus is never ready:\n{log}");
                // who answers may be somebody else, who was faster to take the port
                child.try_wait().unwrap().is_none().then_some(Self {
                    _child: child,
                    _folder: folder,
                    address,
                    client,
                })
            }
        }
    }

    /// The `data` of an answer of its HTTP API.
    pub(crate) async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let answer = self.client.get(url).query(parameters).send().await.unwrap();
        let mut answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(
            answer["status"], "success",
            "{path} {parameters:?}: {answer}"
        );
        answer["data"].take()
    }

    /// What an instant query finds.
    pub(crate) async fn query(&self, query: &str) -> Vec<Found> {
        let data = self.api("query", &[("query", query)]).await;
        let results = data["result"].as_array().unwrap().iter();
        let found = results.map(|result| {
            let labels = serde_json::from_value(result["metric"].clone()).unwrap();
            (
                labels,
                result["value"][1].as_str().unwrap().parse().unwrap(),
            )
        });
        found.collect()
    }

    /// The value of a query that finds one series, or the wrong number of them.
    pub(crate) async fn value(&self, query: &str) -> Result<f64, usize> {
        match self.query(query).await.as_slice() {
            [(_, value)] => Ok(*value),
            found => Err(found.len()),
        }
    }

    /// The samples of every series that a range selector finds, as times and values.
    pub(crate) async fn samples(&self, selector: &str) -> Vec<Vec<(f64, f64)>> {
        let data = self.api("query", &[("query", selector)]).await;
        let results = data["result"].as_array().unwrap().iter();
        let found = results.map(|result| {
            let samples = result["values"].as_array().unwrap().iter();
            let sample = |sample: &Value| {
                let value = sample[1].as_str().unwrap().parse().unwrap();
                (sample[0].as_f64().unwrap(), value)
            };
            samples.map(sample).collect()
        });
        found.collect()
    }

    /// Asks until a query finds what is wanted.
    pub(crate) async fn wait_for(&self, query: &str, wanted: impl Fn(&[Found]) -> bool) {
        let mut last = Vec::new();
        let found = tokio::time::timeout(LIMIT, async {
            loop {
                last = self.query(query).await;
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        let found = found.await;
        assert!(found.is_ok(), "{query} is never as wanted, but {last:?}");
    }
}
