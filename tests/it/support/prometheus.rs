//! Runs Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tempfile::TempDir;

use super::daemon::{LIMIT, client};
use super::server::{PAUSE, Program, Server};

/// Job name, which the shipped alerts match.
pub(crate) const JOB: &str = "campaign_exporter";

/// A name with all characters that are special in an exposition.
pub(crate) const HOSTILE: &str = "\"quoted\" back\\slash \\n line\nfeed\r\n\ttab {a=\"b\",} # EOF 🎁 é \u{1}\u{1b}\u{7f}\u{85}\u{2028}";

pub(crate) const PROGRAM: Program = Program { name: "prometheus", package: "prometheus" };

/// A Prometheus that scrapes exporters. Killed when dropped.
pub(crate) struct Prometheus {
    server: Server,
    client: reqwest::Client,
}

/// Configuration.
#[derive(Clone, Copy, Default)]
pub(crate) struct Job<'a> {
    /// `HOST:PORT` of the targets.
    pub(crate) targets: &'a [&'a str],
    /// Scrape interval in seconds.
    pub(crate) scrape_interval: u32,
    /// Rule files, evaluated every second.
    pub(crate) rules: &'a [String],
    /// Additional scrape settings, such as `scheme: https`.
    pub(crate) how: &'a [String],
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
        for line in self.how {
            writeln!(yaml, "    {line}").unwrap();
        }
        if let Some(alertmanager) = self.alertmanager {
            let alerting = "alerting:\n  alertmanagers:\n    - static_configs:\n        ";
            writeln!(yaml, "{alerting}- targets: ['{alertmanager}']").unwrap();
        }
        yaml
    }
}

/// Evaluation time of a query.
#[derive(Clone, Copy)]
pub(crate) enum Span {
    /// Now.
    Now,
    /// The last minute in steps of two seconds.
    LastMinute,
}

/// Labels and value of a result of an instant query.
pub(crate) type Found = (BTreeMap<String, String>, f64);

impl Prometheus {
    /// Starts a Prometheus that scrapes every two seconds.
    pub(crate) async fn scraping(target: &str) -> Self {
        Self::running(Job { targets: &[target], scrape_interval: 2, ..Job::default() }).await
    }

    /// Starts Prometheus and waits until it is ready.
    pub(crate) async fn running(job: Job<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        job.write(folder.path());
        // instead of a minute, since alerts sent while the configuration is reloaded are lost
        Self::start(folder, "--storage.tsdb.path", &["--rules.alert.resend-delay=4s"]).await
    }

    /// Starts Prometheus with a custom configuration.
    pub(crate) async fn configured(yaml: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("prometheus.yml"), yaml).unwrap();
        Self::start(folder, "--storage.tsdb.path", flags).await
    }

    /// Starts Prometheus on the blocks in the directory `data` of a folder, of any age.
    pub(crate) async fn of_blocks(folder: TempDir) -> Self {
        fs::write(folder.path().join("prometheus.yml"), "").unwrap();
        Self::start(folder, "--storage.tsdb.path", &["--storage.tsdb.retention.time=10y"]).await
    }

    /// Starts an agent, which only forwards samples. `flag` enables agent mode.
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
        Self { server: server.await, client: client() }
    }

    /// `HOST:PORT`
    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    /// Replaces the configuration, with the same number of rule files.
    pub(crate) async fn reconfigure(&self, job: Job<'_>) {
        job.write(self.server.folder());
        self.server.reload().await;
    }

    /// Returns the `data` of an API response.
    pub(crate) async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.try_api(path, parameters).await;
        answer.unwrap_or_else(|error| panic!("{path} {parameters:?}: {error}"))
    }

    /// Returns the `data` of an API response, or its error and warnings.
    async fn try_api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("http://{}/api/v1/{path}", self.server.address());
        let answer = self.client.get(url).query(parameters).send().await.unwrap();
        let mut answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if answer["status"] != "success" || answer.get("warnings").is_some() {
            return Err(answer.to_string());
        }
        Ok(answer["data"].take())
    }

    /// Returns the values of all series of a query.
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
        let samples = data["result"].as_array().unwrap().iter().flat_map(|series| {
            let one = series.get("value").into_iter();
            one.chain(series["values"].as_array().into_iter().flatten())
        });
        let values = samples.map(|sample| sample[1].as_str().unwrap().parse().unwrap());
        Ok(values.collect())
    }

    /// Returns the results of an instant query.
    pub(crate) async fn query(&self, query: &str) -> Vec<Found> {
        let data = self.api("query", &[("query", query)]).await;
        let results = data["result"].as_array().unwrap().iter();
        let found = results.map(|result| {
            let labels = serde_json::from_value(result["metric"].clone()).unwrap();
            (labels, result["value"][1].as_str().unwrap().parse().unwrap())
        });
        found.collect()
    }

    /// Returns the value of a query with a single result, or the wrong number of results.
    pub(crate) async fn value(&self, query: &str) -> Result<f64, usize> {
        match self.query(query).await.as_slice() {
            [(_, value)] => Ok(*value),
            found => Err(found.len()),
        }
    }

    /// Waits until all rules have been evaluated twice, so that they include all current data.
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

    /// Repeats a query until its results meet a condition.
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
