//! Tests that pin the bytes of every stored type.
//!
//! A stored file does not describe itself, so a changed type could misread an old file. When you
//! change a stored type:
//!
//! 1. Raise its [`Kind::version`].
//! 2. Add a row to [`FORMATS`] and write its value as JSON.
//! 3. Run `WRITE_STORED_FORMATS=1 cargo test --lib stored_formats`, which writes the missing file.
//!
//! Rows and files of released versions never change.

use std::path::PathBuf;
use std::{env, fs};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::storage::record::{DataRecord, PollRecord};
use crate::storage::store::{Kind, decode, header};
use crate::upstream::auth::tokens::StoredTokens;
use crate::upstream::quota::application::Requests;

/// Each kind and format version, with the path of a file below `tests/fixtures/storage` and, with
/// the extension `json`, of its value. Every field has a distinct value.
const FORMATS: [(Kind, u32, &str); 6] = [
    (Kind::Tokens, 1, "0.1.0/tokens"),
    (Kind::Poll, 1, "0.1.0/poll"),
    (Kind::Poll, 2, "0.2.0/poll"),
    (Kind::Campaigns, 1, "0.1.0/campaigns"),
    (Kind::Campaigns, 3, "0.2.0/campaigns"),
    (Kind::Requests, 1, "0.1.0/requests"),
];

/// The account or application that the files belong to.
const OWNER: &str = "golden";

fn path(file: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures/storage").join(file)
}

fn value(file: &str) -> Value {
    let json = fs::read_to_string(path(file).with_extension("json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// Encodes a value as the current type.
fn encoded(kind: Kind, value: Value) -> Vec<u8> {
    fn encode<T: Serialize + DeserializeOwned>(value: Value) -> Vec<u8> {
        postcard::to_stdvec(&serde_json::from_value::<T>(value).unwrap()).unwrap()
    }
    let payload = match kind {
        Kind::Tokens => encode::<StoredTokens>(value),
        Kind::Poll => encode::<PollRecord>(value),
        Kind::Campaigns => encode::<DataRecord>(value),
        Kind::Requests => encode::<Requests>(value),
    };
    [header(kind, OWNER, &payload).as_bytes(), &payload].concat()
}

/// Decodes a file as the current type.
fn decoded(kind: Kind, file: &[u8]) -> Result<Value, String> {
    fn read<T: Serialize + DeserializeOwned>(kind: Kind, file: &[u8]) -> Result<Value, String> {
        let value: T = decode(kind, OWNER, file)?;
        Ok(serde_json::to_value(value).unwrap())
    }
    match kind {
        Kind::Tokens => read::<StoredTokens>(kind, file),
        Kind::Poll => read::<PollRecord>(kind, file),
        Kind::Campaigns => read::<DataRecord>(kind, file),
        Kind::Requests => read::<Requests>(kind, file),
    }
}

#[test]
fn a_changed_type_has_a_new_version() {
    for kind in [Kind::Tokens, Kind::Poll, Kind::Campaigns, Kind::Requests] {
        let current =
            FORMATS.iter().find(|(known, version, _)| *known == kind && *version == kind.version());
        let (.., file) = current.unwrap_or_else(|| panic!("{kind:?}: no row for its version"));
        let found = encoded(kind, value(file));
        if !path(file).exists() && env::var_os("WRITE_STORED_FORMATS").is_some() {
            fs::write(path(file), &found).unwrap();
        }
        assert!(
            found == fs::read(path(file)).unwrap(),
            "{kind:?}: the bytes have changed; raise Kind::version and add a row"
        );
    }
}

#[test]
fn files_of_released_versions_are_read_exactly_or_refused() {
    for (kind, version, file) in FORMATS {
        let found = decoded(kind, &fs::read(path(file)).unwrap());
        if version == kind.version() {
            assert_eq!(found, Ok(value(file)), "{file}");
        } else {
            let refusal = found.unwrap_err();
            assert!(refusal.starts_with("format version"), "{file}: {refusal}");
        }
    }
}
