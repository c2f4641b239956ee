//! What the fuzz targets in `fuzz/` reach of the inside: what takes bytes from outside.
//!
//! cargo-fuzz builds with `--cfg fuzzing`; no other build has this module.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::SecretString;

use crate::config::Config;
use crate::document::Problem;
use crate::provider::{self, PollError, Reading, Settings};

/// The configuration in a text, as if tokens could be kept.
pub fn configuration(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, Some(Path::new("/var/lib/campaign_exporter")))
}

/// What a poll makes of one page of a provider.
pub fn decode(settings: &Settings, status: u16, body: &[u8]) -> Result<Reading, PollError> {
    match settings {
        Settings::ConstantContact(settings) => settings.decode(status, body),
        Settings::Cinnox(settings) => settings.decode(status, body),
        Settings::Smsup(settings) => settings.decode(status, body),
    }
}

/// Where a link to a next page leads, at the provider that has such links.
pub fn next_url(settings: &Settings, href: &str) -> Option<Result<Url, PollError>> {
    match settings {
        Settings::ConstantContact(settings) => Some(settings.next_url(href)),
        Settings::Cinnox(_) | Settings::Smsup(_) => None,
    }
}

/// An error as it leaves the HTTP session whose requests carry `token`.
pub fn presentable(error: PollError, token: &str) -> PollError {
    provider::presentable(error, &SecretString::from(token))
}

/// How long a `Retry-After` header asks to wait.
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    provider::retry_after(value, now)
}
