//! Serves gauges like most exporters written in Rust: `GaugeVec`s in a registry, which each scrape
//! gathers, encodes, and compresses if requested.

use std::io::{BufReader, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use prometheus::{Encoder, GaugeVec, Opts, Registry, TextEncoder};
use serde::Deserialize;

/// Serves gauges from a `prometheus::Registry`.
#[derive(Parser)]
struct Arguments {
    /// The gauges, as JSON.
    gauges: PathBuf,
}

/// A family of gauges.
#[derive(Deserialize)]
struct Family {
    name: String,
    help: String,
    labels: Vec<String>,
    /// Label values and gauge value, as text.
    samples: Vec<(Vec<String>, String)>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let registry = registry(&Arguments::parse())?;
    compare::serve(move |request| {
        let encoder = TextEncoder::new();
        let mut body = Vec::new();
        encoder.encode(&registry.gather(), &mut body)?;
        let mut response = Response::builder().header(CONTENT_TYPE, encoder.format_type());
        let accepted = request.headers().get(ACCEPT_ENCODING);
        if accepted.is_some_and(|value| value.to_str().is_ok_and(|value| value.contains("gzip"))) {
            // the level of campaign_exporter; the default level would take much longer
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&body)?;
            body = gzip.finish()?;
            response = response.header(CONTENT_ENCODING, "gzip");
        }
        Ok(response.body(Full::from(body))?)
    })
    .await
}

fn registry(arguments: &Arguments) -> Result<Registry> {
    let file = std::fs::File::open(&arguments.gauges).context("cannot read the gauges")?;
    let families: Vec<Family> = serde_json::from_reader(BufReader::new(file))?;
    let registry = Registry::new();
    for family in families {
        let labels: Vec<_> = family.labels.iter().map(String::as_str).collect();
        let gauges = GaugeVec::new(Opts::new(family.name, family.help), &labels)?;
        for (values, value) in &family.samples {
            let gauge = gauges.get_metric_with_label_values(values)?;
            gauge.set(value.parse()?);
        }
        registry.register(Box::new(gauges))?;
    }
    Ok(registry)
}
