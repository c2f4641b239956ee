//! A real Prometheus as a process.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

use super::daemon::{LIMIT, client};
use super::server::{PAUSE, Program, Server};

/// The name of the job, which the shipped alerts know an exporter by.
pub(crate) const JOB: &str = "campaign_exporter";

pub(crate) const PROGRAM: Program = Program {
    name: "prometheus",
    package: "prometheus",
};

/// A Prometheus that scrapes exporters. Dropping it kills it.
pub(crate) struct Prometheus {
    server: Server,
    client: reqwest::Client,
}

/// What it does.
#[derive(Clone, Copy, Default)]
pub(crate) struct Job<'a> {
    /// `HOST:PORT` of what it scrapes.
    pub(crate) targets: &'a [&'a str],
    /// How often, in seconds.
    pub(crate) scrape_interval: u32,
    /// Rule files, evaluated every second.
    pub(crate) rules: &'a [String],
    /// `HOST:PORT` of an Alertmanager.
    pub(crate) alertmanager: Option<&'a str>,
}

impl Job<'_> {
    fn write(&self, folder: &Path) {
        for (number, rules) in self.rules.iter().enumerate() {
            fs::write(folder.join(format!("{number}.rules")), rules).unwrap();
        }
        fs::write(folder.join("prometheus.yml"), self.config()).unwrap();
    }

    fn config(&self) -> String {
        let seconds = self.scrape_interval;
        let mut yaml = format!(
            "global:\n  scrape_interval: {seconds}s\n  scrape_timeout: {seconds}s\n  \
             evaluation_interval: 1s\nrule_files: ['*.rules']\nscrape_configs:\n  \
             - job_name: {JOB}\n    static_configs:\n      - targets: {:?}\n",
            self.targets
        );
        if let Some(alertmanager) = self.alertmanager {
            let alerting = "alerting:\n  alertmanagers:\n    - static_configs:\n        ";
            writeln!(yaml, "{alerting}- targets: ['{alertmanager}']").unwrap();
        }
        yaml
    }
}

/// The time that a query is about.
#[derive(Clone, Copy)]
pub(crate) enum Span {
    /// This moment.
    Now,
    /// Every other second of the last minute.
    LastMinute,
}

/// A result of an instant query: its labels and its value.
pub(crate) type Found = (BTreeMap<String, String>, f64);

impl Prometheus {
    /// Starts one that scrapes every other second.
    pub(crate) async fn scraping(target: &str) -> Self {
        Self::running(Job {
            targets: &[target],
            scrape_interval: 2,
            ..Job::default()
        })
        .await
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn running(job: Job<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        job.write(folder.path());
        // instead of a minute, since what an Alertmanager is told while the configuration is read
        // anew gets lost
        Self::start(
            folder,
            "--storage.tsdb.path",
            &["--rules.alert.resend-delay=4s"],
        )
        .await
    }

    /// Starts it with a configuration of its own.
    pub(crate) async fn configured(yaml: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("prometheus.yml"), yaml).unwrap();
        Self::start(folder, "--storage.tsdb.path", flags).await
    }

    /// Starts one that only passes on what it scrapes. `flag` makes it one.
    pub(crate) async fn agent(yaml: &str, flag: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("prometheus.yml"), yaml).unwrap();
        Self::start(folder, "--storage.agent.path", &[flag]).await
    }

    async fn start(folder: TempDir, storage: &str, flags: &[&str]) -> Self {
        let server = Server::start(PROGRAM, folder, |folder, address| {
            let own = [
                format!("--config.file={}/prometheus.yml", folder.display()),
                format!("{storage}={}/data", folder.display()),
                format!("--web.listen-address={address}"),
            ];
            let flags = flags.iter().map(|&flag| flag.to_owned());
            own.into_iter().chain(flags).collect()
        });
        Self {
            server: server.await,
            client: client(),
        }
    }

    /// `HOST:PORT`
    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    /// Gives it another configuration of its own.
    pub(crate) async fn configure(&self, yaml: &str) {
        fs::write(self.server.folder().join("prometheus.yml"), yaml).unwrap();
        self.server.reload().await;
    }

    /// Makes it do something else, with as many rule files.
    pub(crate) async fn reconfigure(&self, job: Job<'_>) {
        job.write(self.server.folder());
        self.server.reload().await;
    }

    /// The `data` of an answer of its HTTP API.
    pub(crate) async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.try_api(path, parameters).await;
        answer.unwrap_or_else(|error| panic!("{path} {parameters:?}: {error}"))
    }

    /// The same, or its error and its warnings.
    async fn try_api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{path}", self.server.address());
        let answer = self.client.get(url).query(parameters).send().await.unwrap();
        let mut answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if answer["status"] != "success" || answer.get("warnings").is_some() {
            return Err(answer.to_string());
        }
        Ok(answer["data"].take())
    }

    /// All values that a query finds, of whatever series.
    pub(crate) async fn values(&self, query: &str, span: Span) -> Result<Vec<f64>, String> {
        let data = match span {
            Span::Now => self.try_api("query", &[("query", query)]).await?,
            Span::LastMinute => {
                let now = Utc::now().timestamp();
                let (start, end) = ((now - 60).to_string(), now.to_string());
                let range = [("start", start.as_str()), ("end", &end), ("step", "2")];
                let parameters = [&[("query", query)], range.as_slice()].concat();
                self.try_api("query_range", &parameters).await?
            }
        };
        let samples = data["result"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|series| {
                let one = series.get("value").into_iter();
                one.chain(series["values"].as_array().into_iter().flatten())
            });
        let values = samples.map(|sample| sample[1].as_str().unwrap().parse().unwrap());
        Ok(values.collect())
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

    /// Waits until all rules were evaluated again, and again, so that what follows from what is known
    /// now has followed.
    pub(crate) async fn wait_for_rules(&self) {
        const SETTLED: TimeDelta = TimeDelta::seconds(2);
        let settled = Utc::now() + SETTLED;
        let waited = tokio::time::timeout(LIMIT, async {
            loop {
                let rules = self.api("rules", &[]).await;
                let mut groups = rules["groups"].as_array().unwrap().iter();
                if groups.all(|group| time(&group["lastEvaluation"]) > settled) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(waited.await.is_ok(), "some rules are not evaluated");
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

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}
