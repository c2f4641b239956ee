//! What the fuzz targets in `fuzz/` reach of the inside: what takes bytes from outside.
//!
//! cargo-fuzz builds with `--cfg fuzzing`; no other build has this module.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::document::Problem;
use crate::provider::Settings;
use crate::provider::native;
use crate::storage::record::{DataRecord, PollRecord};
use crate::storage::store::{Kind, decode as unsealed, header};
use crate::upstream::PollError;
use crate::upstream::auth::tokens::Kept;
use crate::upstream::http;

/// The configuration in a text, as if tokens could be kept.
pub fn configuration(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(
        text,
        &native(),
        Some(Path::new("/var/lib/campaign_exporter")),
    )
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
    http::presentable(error, &SecretString::from(token))
}

/// How long a `Retry-After` header asks to wait.
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    http::retry_after(value, now)
}

/// What a file of the store holds, written again; or why it is refused.
pub fn stored(kind: Kind, file: &[u8]) -> Result<Vec<u8>, String> {
    match kind {
        Kind::Tokens => rewritten::<Kept>(kind, file),
        Kind::Poll => rewritten::<PollRecord>(kind, file),
        Kind::Campaigns => rewritten::<DataRecord>(kind, file),
        Kind::Requests => Err("its content is private".to_owned()),
    }
}

fn rewritten<T: Serialize + DeserializeOwned>(kind: Kind, file: &[u8]) -> Result<Vec<u8>, String> {
    let value: T = unsealed(kind, NAME, file)?;
    let payload = postcard::to_stdvec(&value).map_err(|error| error.to_string())?;
    Ok(sealed(kind, &payload))
}

/// A file with the first line that belongs to its content.
pub fn sealed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    [header(kind, NAME, payload).as_bytes(), payload].concat()
}

/// Whose the files are.
const NAME: &str = "fuzz";
