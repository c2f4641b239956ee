//! What the fuzz targets in `fuzz/` use of the crate: parsers of external input.
//!
//! cargo-fuzz builds with `--cfg fuzzing`; no other build has this module.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::document::Problem;
use crate::provider::built_in;
use crate::redaction;
use crate::storage::record::{DataRecord, PollRecord};
use crate::storage::store::{Kind, decode, header};
use crate::upstream::auth::tokens::StoredTokens;
use crate::upstream::quota::application::Requests;
use crate::upstream::{PollError, answer};

/// Parses a configuration, as if tokens could be stored.
pub fn configuration(text: &str) -> Result<Config, Vec<Problem>> {
    let storage = Path::new("/var/lib/campaign_exporter");
    Config::parse(text, &built_in(), Some(storage))
}

/// An error as a poll returns it while `token` is in use.
pub fn presentable(error: PollError, token: &str) -> PollError {
    redaction::register(&SecretString::from(token));
    error.presentable()
}

/// How long a `Retry-After` header asks to wait.
pub fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    answer::retry_after(value, now)
}

/// Decodes a stored file and encodes its content again. An error says why the file is rejected.
pub fn stored(kind: Kind, file: &[u8]) -> Result<Vec<u8>, String> {
    match kind {
        Kind::Tokens => reencoded::<StoredTokens>(kind, file),
        Kind::Poll => reencoded::<PollRecord>(kind, file),
        Kind::Campaigns => reencoded::<DataRecord>(kind, file),
        Kind::Requests => reencoded::<Requests>(kind, file),
    }
}

fn reencoded<T: Serialize + DeserializeOwned>(kind: Kind, file: &[u8]) -> Result<Vec<u8>, String> {
    let value: T = decode(kind, OWNER, file)?;
    let payload = postcard::to_stdvec(&value).map_err(|error| error.to_string())?;
    Ok(sealed(kind, &payload))
}

/// A stored file with this content.
pub fn sealed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    [header(kind, OWNER, payload).as_bytes(), payload].concat()
}

/// The account or application that the files belong to.
const OWNER: &str = "fuzz";
