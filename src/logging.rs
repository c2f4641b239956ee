//! Logging to standard error.

use std::io;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

use crate::redaction::RedactingWriter;

/// Format of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Minimum log level.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Everything, including each successful poll.
    Debug,
    /// Changes.
    Info,
    /// Problems that need attention.
    Warn,
    /// Errors that stop the program or prevent what was requested.
    Error,
}

/// Sends this program's log events to standard error.
pub fn init(level: LogLevel, format: LogFormat) -> Result<(), TryInitError> {
    let level = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    // libraries are excluded: some log headers, and with them tokens, at low levels
    let filter = Targets::new().with_target("campaign_exporter", level);
    let layer = match format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .layer()
            .with_writer(|| RedactingWriter(io::stderr()))
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(false)
            .with_writer(|| RedactingWriter(io::stderr()))
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
}
