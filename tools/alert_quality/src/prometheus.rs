//! Runs a Prometheus, backfills it, and queries it.

use std::net::TcpListener;
use std::ops::Range;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use prost::Message;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::exporter::{SCRAPED_AT, start};
use crate::series::{Labels, Series};

/// Label that holds the metric name.
pub(crate) const NAME: &str = "__name__";

/// Staleness marker, which ends a series:
/// <https://prometheus.io/docs/specs/prw/remote_write_spec/#stale-markers>.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Samples per request, a few megabytes.
const BATCH: usize = 200_000;

/// Minutes after which a sample is written again that did not change. Prometheus looks back five.
const REPEATED: i64 = 4;

/// Startup timeout.
const LIMIT: Duration = Duration::from_mins(1);

/// A Prometheus process. Killed when dropped.
pub(crate) struct Prometheus {
    _child: Child,
    _folder: TempDir,
    address: String,
    client: reqwest::Client,
}

// Messages of remote write 1.0: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<WrittenSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Response to a query.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Found,
}

#[derive(Default, Deserialize)]
struct Found {
    #[serde(default)]
    result: Vec<Row>,
}

/// A resulting series, and the minutes at which it has a value.
#[derive(Deserialize)]
struct Row {
    metric: Labels,
    values: Vec<(i64, String)>,
}

/// A resulting series.
pub(crate) struct Points {
    pub(crate) labels: Labels,
    /// Minutes of the month, with values.
    pub(crate) values: Vec<(i64, f64)>,
}

impl Prometheus {
    /// Starts an empty Prometheus without targets.
    pub(crate) async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")?;
        // it cannot choose a free port itself
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--storage.tsdb.retention.time=100y")
            // for a machine that does other work, too
            .arg("--query.timeout=1h")
            // The whole month is one block in memory. Recorded samples are written after scraped ones,
            // and Prometheus accepts samples up to half a block older than the newest.
            .arg("--storage.tsdb.min-block-duration=3000h")
            .arg("--storage.tsdb.max-block-duration=3000h")
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("prometheus not found in PATH (Debian package: prometheus)")?;
        let client = reqwest::Client::new();
        let url = format!("http://{address}/-/ready");
        let ready = async {
            loop {
                let answer = client.get(&url).send().await;
                if answer.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            _ = child.wait() => {
                bail!("prometheus: {}", std::fs::read_to_string(folder.path().join("log"))?)
            }
            ready = tokio::time::timeout(LIMIT, ready) => ready.context("prometheus is not ready")?,
        }
        Ok(Self { _child: child, _folder: folder, address, client })
    }

    /// Writes the scraped samples, hour by hour: changes and repetitions.
    pub(crate) async fn scraped(&self, series: &[Series], minutes: Range<i64>) -> Result<()> {
        const HOUR: i64 = 60;
        let mut batch = Batch::default();
        // position in the changes of each series
        let mut cursors = vec![(0_usize, None::<f64>); series.len()];
        for hour in minutes.step_by(60) {
            for (series, (cursor, value)) in series.iter().zip(&mut cursors) {
                let mut samples = Vec::new();
                for minute in hour..hour + HOUR {
                    let change = series.changes.get(*cursor).filter(|(at, _)| *at == minute);
                    if let Some((_, changed)) = change {
                        if value.is_some() && changed.is_none() {
                            samples.push(sample(minute, SCRAPED_AT, f64::from_bits(STALE)));
                        }
                        *value = *changed;
                        *cursor += 1;
                    }
                    if change.is_some() || minute % REPEATED == 0 {
                        samples.extend(value.map(|value| sample(minute, SCRAPED_AT, value)));
                    }
                }
                batch.add(self, &series.labels, samples).await?;
            }
        }
        batch.send(self).await
    }

    /// Writes the results of a rule at an interval, with staleness markers.
    pub(crate) async fn recorded(
        &self,
        recorded: &[Points],
        last: i64,
        interval: i64,
    ) -> Result<()> {
        let mut batch = Batch::default();
        for points in recorded {
            let mut samples = Vec::new();
            let mut values = points.values.iter().peekable();
            let mut before = None;
            let repeats = |minute: &i64| REPEATED % interval != 0 || minute % REPEATED == 0;
            while let Some((minute, value)) = values.next() {
                if before != Some((minute - interval, *value)) || repeats(minute) {
                    samples.push(sample(*minute, 0, *value));
                }
                before = Some((*minute, *value));
                let next = values.peek().map_or(last, |(next, _)| *next);
                if next > minute + interval {
                    samples.push(sample(minute + interval, 0, f64::from_bits(STALE)));
                }
            }
            batch.add(self, &points.labels, samples).await?;
        }
        batch.send(self).await
    }

    /// Writes the results of one evaluation, with staleness markers for series of the one before.
    pub(crate) async fn recorded_next(
        &self,
        before: &[Points],
        recorded: &[Points],
        minute: i64,
    ) -> Result<()> {
        let mut batch = Batch::default();
        let ended = |points: &&Points| recorded.iter().all(|now| now.labels != points.labels);
        for points in before.iter().filter(ended) {
            let stale = sample(minute, 0, f64::from_bits(STALE));
            batch.add(self, &points.labels, vec![stale]).await?;
        }
        for points in recorded {
            let values = points.values.iter().map(|(minute, value)| sample(*minute, 0, *value));
            batch.add(self, &points.labels, values.collect()).await?;
        }
        batch.send(self).await
    }

    /// Evaluates an expression at an interval.
    pub(crate) async fn query(
        &self,
        query: &str,
        minutes: Range<i64>,
        interval: i64,
    ) -> Result<Vec<Points>> {
        let at = |minute: i64| (start().timestamp() + minute * 60).to_string();
        let parameters = [
            ("query", query),
            ("start", &at(minutes.start)),
            ("end", &at(minutes.end - 1)),
            ("step", &format!("{interval}m")),
            ("timeout", "1h"),
        ];
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = self
            .client
            .post(format!("http://{}/api/v1/query_range", self.address))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await?.bytes().await?;
        let answer: Answer = serde_json::from_slice(&answer)?;
        if !answer.error.is_empty() {
            bail!("{}\n{query}", answer.error);
        }
        let rows = answer.data.result.into_iter();
        rows.map(|row| {
            let values = row.values.iter().map(|(second, value)| {
                let minute = (second - start().timestamp()) / 60;
                Ok((minute, value.parse()?))
            });
            Ok(Points { labels: row.metric, values: values.collect::<Result<_>>()? })
        })
        .collect()
    }
}

fn sample(minute: i64, second: i64, value: f64) -> Sample {
    Sample { value, timestamp: start().timestamp_millis() + (minute * 60 + second) * 1_000 }
}

/// A batch of samples.
#[derive(Default)]
struct Batch {
    request: WriteRequest,
    samples: usize,
}

impl Batch {
    async fn add(
        &mut self,
        prometheus: &Prometheus,
        labels: &Labels,
        samples: Vec<Sample>,
    ) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        self.samples += samples.len();
        let labels =
            labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() });
        self.request.series.push(WrittenSeries { labels: labels.collect(), samples });
        if self.samples >= BATCH {
            self.send(prometheus).await?;
        }
        Ok(())
    }

    async fn send(&mut self, prometheus: &Prometheus) -> Result<()> {
        let request = std::mem::take(self).request;
        let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())?;
        let answer = prometheus
            .client
            .post(format!("http://{}/api/v1/write", prometheus.address))
            .header("Content-Encoding", "snappy")
            .header("Content-Type", "application/x-protobuf")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body)
            .send()
            .await?;
        if !answer.status().is_success() {
            bail!("remote write: {}", answer.text().await?);
        }
        Ok(())
    }
}
