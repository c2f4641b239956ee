//! The web configuration file, parsed and checked section by section.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use bcrypt::HashParts;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};

use crate::document::{Node, Problem, Section, reading};
use crate::redaction::{guess, is_invisible};
use crate::web::protection::rate_limit::RateLimit;
use crate::web::protection::tls::{self, ClientAuth, TlsSettings};

/// Maximum file size in bytes. A long certificate chain has a few thousand.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Time limit for a pipe in place of a file: it must not keep a later, good file from being read.
const PATIENCE: Duration = Duration::from_secs(2);

/// The valid cost factors of bcrypt.
const COSTS: RangeInclusive<u32> = 4..=31;

/// The headers that can be set, with their valid values. An empty list allows any value.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// A hash of a web configuration file and the files that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentHash([u8; 32]);

/// The contents of a web configuration file.
pub(super) struct WebConfigFile {
    pub(super) tls: Option<TlsSettings>,
    pub(super) http2: bool,
    pub(super) headers: HeaderMap,
    pub(super) users: BTreeMap<String, SecretString>,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) warnings: Vec<String>,
    pub(super) hash: ContentHash,
}

/// Reason why a file cannot be used, one line per problem. Contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfigError(Vec<String>);

impl WebConfigError {
    /// Creates an error with a single problem.
    pub fn new(problem: String) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for WebConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a path can have several lines
        let lines = self.0.iter().map(|problem| problem.replace(is_invisible, " "));
        formatter.write_str(&guess::hide(&lines.collect::<Vec<_>>().join("\n")))
    }
}

impl std::error::Error for WebConfigError {}

impl WebConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let at = |problem: Problem| format!("{}:{problem}", path.display());
        let yaml = read_file(path).map_err(WebConfigError::new)?;
        let yaml = String::from_utf8(yaml)
            .map_err(|_| WebConfigError::new(format!("{}: not UTF-8", path.display())))?;
        let root = Node::parse(&yaml).map_err(|problem| WebConfigError::new(at(problem)))?;
        let mut reader = Reader {
            directory: path.parent().unwrap_or(Path::new("")),
            problems: Vec::new(),
            warnings: Vec::new(),
            hasher: Sha256::new(),
        };
        reader.hash(yaml.as_bytes());
        let mut file = Self {
            tls: None,
            http2: true,
            headers: HeaderMap::new(),
            users: BTreeMap::new(),
            rate_limit: None,
            warnings: Vec::new(),
            hash: ContentHash::default(),
        };
        // an empty file is valid and protects nothing
        if !matches!(root.value, Node::Null) {
            let section = Section::new("", &root);
            let section = section.map_err(|problem| WebConfigError::new(at(problem)))?;
            reader.root(section, &mut file);
        }
        if !reader.problems.is_empty() {
            reader.problems.sort_by_key(|problem| problem.place);
            let problems = reader.problems.into_iter().map(at);
            return Err(WebConfigError(problems.collect()));
        }
        file.warnings = reader.warnings;
        file.hash = ContentHash(reader.hasher.finalize().into());
        Ok(file)
    }
}

/// Reads the sections and the files that they name.
struct Reader<'path> {
    /// The base of relative paths.
    directory: &'path Path,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    hasher: Sha256,
}

impl Reader<'_> {
    fn root(&mut self, mut root: Section<'_>, file: &mut WebConfigFile) {
        let tls = self.section(&mut root, "tls_server_config", Self::tls);
        file.tls = tls.flatten();
        if let Some(http) = self.section(&mut root, "http_server_config", Self::http) {
            (file.http2, file.headers) = http;
        }
        let rate_limit = self.section(&mut root, "rate_limit", |reader, section| {
            RateLimit::read(section, &mut reader.warnings)
        });
        file.rate_limit = rate_limit.flatten();
        let users = self.section(&mut root, "basic_auth_users", Self::users);
        file.users = users.unwrap_or_default();
        self.problems.extend(root.finish().1);
    }

    fn section<T>(
        &mut self,
        root: &mut Section<'_>,
        key: &str,
        read: fn(&mut Self, &mut Section<'_>) -> T,
    ) -> Option<T> {
        match Section::new(&root.path_of(key), root.take(key)?) {
            Ok(mut section) => {
                let value = read(self, &mut section);
                self.problems.extend(section.finish().1);
                Some(value)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn tls(&mut self, section: &mut Section<'_>) -> Option<TlsSettings> {
        let certificate = self.pem(section, "cert");
        let key = self.pem(section, "key");
        let client_ca = self.pem(section, "client_ca");
        let client_auth = word(section, "client_auth_type", &ClientAuth::WORDS, ClientAuth::None);
        // a file that exists but is empty is probably being written; it must not disable TLS
        let (has_certificate, has_key) = (certificate.is_some(), key.is_some());
        let settings = TlsSettings {
            client_auth: client_auth.unwrap_or(ClientAuth::None),
            client_allowed_sans: section.texts("client_allowed_sans"),
            min_version: version(section, "min_version", tls::Version::Tls12),
            max_version: version(section, "max_version", tls::Version::Tls13),
            cipher_suites: section.texts("cipher_suites").unwrap_or_default(),
            curves: section.texts("curve_preferences").unwrap_or_default(),
            prefer_server_order: section.boolean("prefer_server_cipher_suites", true),
            certificate: certificate.unwrap_or_default(),
            key: key.unwrap_or_default(),
            client_ca,
        };
        check_names(section, &settings);
        if !has_certificate && !has_key && settings.client_ca.is_none() && client_auth.is_none() {
            self.warnings.push("tls_server_config has no certificate: TLS is disabled".to_owned());
            return None;
        }
        if !has_certificate {
            section.problem("", "cert_file or cert is required");
        }
        if !has_key {
            section.problem("", "key_file or key is required");
        }
        Some(settings)
    }

    /// Reads PEM data, inline or from a file. An unreadable file is a problem and counts as empty.
    fn pem(&mut self, section: &mut Section<'_>, name: &str) -> Option<Vec<u8>> {
        let file_key = format!("{name}_file");
        let file = optional_text(section, &file_key);
        let inline = optional_text(section, name);
        let Some(file) = file else {
            return inline.map(String::into_bytes);
        };
        match read_file(&self.directory.join(file)) {
            Ok(bytes) => {
                self.hash(&bytes);
                Some(bytes)
            }
            Err(problem) => {
                section.problem(&file_key, problem);
                Some(Vec::new())
            }
        }
    }

    fn http(&mut self, section: &mut Section<'_>) -> (bool, HeaderMap) {
        let http2 = section.boolean("http2", true);
        let headers = self.section(section, "headers", |_, section| headers(section));
        (http2, headers.unwrap_or_default())
    }

    fn users(&mut self, section: &mut Section<'_>) -> BTreeMap<String, SecretString> {
        let mut users = BTreeMap::new();
        for (name, value) in section.entries() {
            match &value.value {
                Node::Text(hash) if is_hash(hash) => {
                    users.insert(name.value.clone(), SecretString::from(hash.as_str()));
                }
                // shows neither: name and password may be swapped
                _ => self.problems.push(Problem::at(
                    name,
                    "basic_auth_users",
                    "the password of this user is not a bcrypt hash",
                )),
            }
        }
        users
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// Reads one of these words. Any other is a problem and counts as the default.
fn word<T: Copy>(
    section: &mut Section<'_>,
    key: &str,
    words: &[(&str, T)],
    default: T,
) -> Option<T> {
    let word = optional_text(section, key)?;
    let known = words.iter().find(|(name, _)| *name == word);
    if known.is_none() {
        let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
        section.problem(key, format!("expected one of: {}", names.join(", ")));
    }
    Some(known.map_or(default, |(_, choice)| *choice))
}

fn version(section: &mut Section<'_>, key: &str, default: tls::Version) -> tls::Version {
    word(section, key, &tls::Version::WORDS, default).unwrap_or(default)
}

fn check_names(section: &mut Section<'_>, settings: &TlsSettings) {
    for suite in &settings.cipher_suites {
        if !tls::is_cipher_suite(suite) {
            let problem = format!("{suite:?} is not a Go cipher suite name");
            section.problem("cipher_suites", problem);
        }
    }
    for curve in &settings.curves {
        if !tls::CURVES.contains(&curve.as_str()) {
            let curves = tls::CURVES.join(", ");
            let problem = format!("unknown curve {curve:?}; expected one of: {curves}");
            section.problem("curve_preferences", problem);
        }
    }
}

fn headers(section: &mut Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, allowed) in HEADERS {
        let Some(value) = optional_text(section, name) else {
            continue;
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            section.problem(name, format!("expected one of: {}", allowed.join(", ")));
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes());
        match (header, HeaderValue::from_str(&value)) {
            (Ok(header), Ok(value)) => drop(headers.insert(header, value)),
            _ => section.problem(name, "not a valid header value"),
        }
    }
    headers
}

fn is_hash(text: &str) -> bool {
    let parts = text.parse::<HashParts>();
    parts.is_ok_and(|parts| COSTS.contains(&parts.get_cost()))
}

/// Reads text, or a number in its place, as Go does. Empty text counts as missing.
fn optional_text(section: &mut Section<'_>, key: &str) -> Option<String> {
    match section.take(key) {
        Some(Spanned { value: Node::Text(text), .. }) if text.is_empty() => None,
        Some(Spanned { value: Node::Integer(number), .. }) => Some(number.to_string()),
        _ => section.text(key),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let bytes = reading::read_now(path, MAX_FILE_BYTES, PATIENCE)
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{shown} is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}
