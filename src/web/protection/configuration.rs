//! The file of `--web.config.file`: TLS, users, headers and a rate limit, in the format of Prometheus'
//! exporter toolkit.
//!
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>. What its
//! `promtool check web-config` accepts is accepted here, as far as there is anything to serve with it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bcrypt::HashParts;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::ServerConfig;
use secrecy::SecretString;
use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};

use crate::document::{Node, Problem, Section};
use crate::web::protection::tls::{self, ClientAuth, Settings};
use crate::web::protection::users::Authentication;

/// Largest file that is read, in bytes: certificates with a long chain have a few thousand.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The longest duration of Go. What the bucket counts with overflows at twice of it.
const LONGEST: Duration = Duration::from_nanos(i64::MAX.cast_unsigned());

/// The costs that bcrypt has.
const COSTS: RangeInclusive<u32> = 4..=31;

/// The headers that may be set, and the values that each may have; none means any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// How the web server is protected.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// The TLS that is spoken; none means plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who may ask; none means anybody.
    pub authentication: Option<Arc<Authentication>>,
    /// What each answer to a request that it lets in has beside its own headers.
    pub headers: HeaderMap,
    /// How often anybody may ask.
    pub rate_limit: Option<RateLimit>,
    /// What is accepted and still not as it was probably meant.
    pub warnings: Vec<String>,
    /// Whether clients need a certificate that is verified.
    verifies_clients: bool,
    /// Whether it needs one of certain names.
    allows_names: bool,
    digest: Contents,
}

/// How often anybody may ask.
#[derive(Debug)]
pub enum RateLimit {
    /// A bucket of tokens.
    Bucket(DefaultDirectRateLimiter),
    /// Never: a bucket that holds nothing.
    Never,
}

impl RateLimit {
    /// Whether there is a token left, which is then taken.
    pub fn allows(&self) -> bool {
        match self {
            Self::Bucket(bucket) => bucket.check().is_ok(),
            Self::Never => false,
        }
    }
}

/// Why a file cannot be used, a line for each problem. None of them holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfigError(Vec<String>);

impl WebConfigError {
    /// A problem that no line of the file has.
    pub fn new(problem: String) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for WebConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for WebConfigError {}

/// What a file and those that it names hold, to tell whether anything changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Contents([u8; 32]);

/// A file as it was read, before what it means is known.
struct Parsed {
    tls: Option<Settings>,
    http2: bool,
    headers: HeaderMap,
    users: BTreeMap<String, SecretString>,
    rate_limit: Option<RateLimit>,
    warnings: Vec<String>,
    digest: Contents,
}

impl WebConfig {
    /// Reads and checks a file and those that it names.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        Parsed::read(path)?.into_config(path, None)
    }

    /// The same if anything in them has changed.
    pub fn load_changed(&self, path: &Path) -> Result<Option<Self>, WebConfigError> {
        let parsed = Parsed::read(path)?;
        if parsed.digest == self.digest {
            return Ok(None);
        }
        let known = self.authentication.as_ref();
        parsed.into_config(path, known).map(Some)
    }

    /// What of this protection `other` has not.
    ///
    /// A file that is just being written may look like one with less in it, so none is given up while
    /// the program runs.
    pub fn lost_in(&self, other: &Self) -> Option<&'static str> {
        let lost = |here: bool, there: bool| here && !there;
        if lost(self.tls.is_some(), other.tls.is_some()) {
            Some("TLS")
        } else if lost(self.verifies_clients, other.verifies_clients) {
            Some("verified client certificates")
        } else if lost(self.allows_names, other.allows_names) {
            Some("client_allowed_sans")
        } else if lost(
            self.authentication.is_some(),
            other.authentication.is_some(),
        ) {
            Some("users")
        } else {
            None
        }
    }
}

impl Parsed {
    fn read(path: &Path) -> Result<Self, WebConfigError> {
        let at = |problem: Problem| format!("{}:{problem}", path.display());
        let yaml = read_file(path).map_err(WebConfigError::new)?;
        let yaml = String::from_utf8(yaml)
            .map_err(|_| WebConfigError(vec![format!("{}: is not UTF-8", path.display())]))?;
        let mut digest = Sha256::new();
        add(&mut digest, yaml.as_bytes());
        let mut reader = Reader {
            folder: path.parent().unwrap_or(Path::new("")),
            problems: Vec::new(),
            warnings: Vec::new(),
            digest,
        };
        let mut parsed = Self {
            tls: None,
            http2: true,
            headers: HeaderMap::new(),
            users: BTreeMap::new(),
            rate_limit: None,
            warnings: Vec::new(),
            digest: Contents::default(),
        };
        let root = Node::parse(&yaml).map_err(|problem| WebConfigError(vec![at(problem)]))?;
        // a file without anything in it protects nothing, and is none the less one
        if !matches!(root.value, Node::Null) {
            let section = Section::new("", &root);
            let mut section = section.map_err(|problem| WebConfigError(vec![at(problem)]))?;
            parsed.tls = reader
                .section(&mut section, "tls_server_config", Reader::tls)
                .flatten();
            if let Some((http2, headers)) =
                reader.section(&mut section, "http_server_config", Reader::http)
            {
                (parsed.http2, parsed.headers) = (http2, headers);
            }
            parsed.rate_limit = reader
                .section(&mut section, "rate_limit", Reader::rate_limit)
                .flatten();
            parsed.users = reader
                .section(&mut section, "basic_auth_users", Reader::users)
                .unwrap_or_default();
            reader.problems.extend(section.finish().1);
        }
        if !reader.problems.is_empty() {
            reader.problems.sort_by_key(|problem| problem.place);
            return Err(WebConfigError(
                reader.problems.into_iter().map(at).collect(),
            ));
        }
        parsed.warnings = reader.warnings;
        parsed.digest = Contents(reader.digest.finalize().into());
        Ok(parsed)
    }

    /// Of users who are the same as before, what is `known` is not forgotten.
    fn into_config(
        mut self,
        path: &Path,
        known: Option<&Arc<Authentication>>,
    ) -> Result<WebConfig, WebConfigError> {
        let (mut verifies_clients, mut allows_names) = (false, false);
        let tls = match self.tls {
            None => None,
            Some(settings) => {
                verifies_clients = settings.client_auth == ClientAuth::RequireAndVerify;
                allows_names = settings.client_allowed_sans.is_some();
                let server = tls::server(&settings, self.http2, &mut self.warnings);
                let server = server.map_err(|problem| {
                    WebConfigError(vec![format!(
                        "{}: tls_server_config: {problem}",
                        path.display()
                    )])
                })?;
                Some(Arc::new(server))
            }
        };
        let authentication = match known {
            Some(known) if known.is_of(&self.users) => Some(Arc::clone(known)),
            _ => Authentication::of(self.users).map(Arc::new),
        };
        if authentication.as_ref().is_some_and(|it| it.costs_differ()) {
            self.warnings.push(
                "basic_auth_users: hashes of different costs tell by the time that they take who is \
                 a user"
                    .to_owned(),
            );
        }
        Ok(WebConfig {
            tls,
            authentication,
            headers: self.headers,
            rate_limit: self.rate_limit,
            warnings: self.warnings,
            verifies_clients,
            allows_names,
            digest: self.digest,
        })
    }
}

/// Reads the sections, and the files that they name.
struct Reader<'path> {
    /// What relative paths are relative to.
    folder: &'path Path,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    digest: Sha256,
}

impl Reader<'_> {
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

    fn tls(&mut self, section: &mut Section<'_>) -> Option<Settings> {
        let certificate = self.pem(section, "cert");
        let key = self.pem(section, "key");
        let client_ca = self.pem(section, "client_ca");
        let client_auth = optional_text(section, "client_auth_type");
        let names: Vec<_> = ClientAuth::WORDS.iter().map(|(word, _)| *word).collect();
        let chosen = client_auth
            .as_deref()
            .map_or(Some(ClientAuth::None), |word| {
                let found = ClientAuth::WORDS.iter().find(|(name, _)| *name == word);
                found.map(|(_, choice)| *choice)
            });
        if chosen.is_none() {
            let names = names.join(", ");
            section.problem("client_auth_type", format!("is none of: {names}"));
        }
        // an empty file is one that is just being written: no reason to do without TLS
        let (has_certificate, has_key) = (certificate.is_some(), key.is_some());
        let settings = Settings {
            client_auth: chosen.unwrap_or(ClientAuth::None),
            client_allowed_sans: section.texts("client_allowed_sans"),
            least: version(section, "min_version", tls::Version::Tls12),
            most: version(section, "max_version", tls::Version::Tls13),
            cipher_suites: section.texts("cipher_suites").unwrap_or_default(),
            curves: section.texts("curve_preferences").unwrap_or_default(),
            server_order: section.boolean("prefer_server_cipher_suites", true),
            certificate: certificate.unwrap_or_default(),
            key: key.unwrap_or_default(),
            client_ca,
        };
        for suite in &settings.cipher_suites {
            if !tls::is_cipher_suite(suite) {
                section.problem(
                    "cipher_suites",
                    format!("{suite:?} is no cipher suite of Go's"),
                );
            }
        }
        for curve in &settings.curves {
            if !tls::CURVES.contains(&curve.as_str()) {
                let curves = tls::CURVES.join(", ");
                section.problem(
                    "curve_preferences",
                    format!("{curve:?} is none of: {curves}"),
                );
            }
        }
        if !has_certificate && !has_key && settings.client_ca.is_none() && client_auth.is_none() {
            self.warnings
                .push("tls_server_config has no certificate: TLS is disabled".to_owned());
            return None;
        }
        if !has_certificate {
            section.problem("", "one of cert_file and cert is needed");
        }
        if !has_key {
            section.problem("", "one of key_file and key is needed");
        }
        Some(settings)
    }

    /// A text in PEM, in a file or in place. One that cannot be read is empty, and a problem.
    fn pem(&mut self, section: &mut Section<'_>, name: &str) -> Option<Vec<u8>> {
        let file_key = format!("{name}_file");
        let file = optional_text(section, &file_key);
        let inline = optional_text(section, name);
        let Some(file) = file else {
            return inline.map(String::into_bytes);
        };
        match read_file(&self.folder.join(file)) {
            Ok(bytes) => {
                add(&mut self.digest, &bytes);
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
        let headers = self.section(section, "headers", |_, headers| {
            let mut map = HeaderMap::new();
            for (name, allowed) in HEADERS {
                let Some(value) = optional_text(headers, name) else {
                    continue;
                };
                if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                    headers.problem(name, format!("is none of: {}", allowed.join(", ")));
                    continue;
                }
                let name_and_value = (
                    HeaderName::from_bytes(name.as_bytes()),
                    HeaderValue::from_str(&value),
                );
                match name_and_value {
                    (Ok(name), Ok(value)) => {
                        map.insert(name, value);
                    }
                    _ => headers.problem(name, "cannot stand in a header"),
                }
            }
            map
        });
        (http2, headers.unwrap_or_default())
    }

    fn rate_limit(&mut self, section: &mut Section<'_>) -> Option<RateLimit> {
        let interval = match section.take("interval").map(|node| &node.value) {
            None => 0.0,
            // Go's durations count nanoseconds
            Some(Node::Integer(nanoseconds)) => *nanoseconds as f64 / 1e9,
            Some(Node::Text(text)) => go_duration(text).unwrap_or_else(|| {
                section.problem("interval", "is no duration: write for example 1s or 100ms");
                0.0
            }),
            Some(_) => {
                section.problem("interval", "expected a duration such as 1s or 100ms");
                0.0
            }
        };
        let burst = match section.take("burst").map(|node| &node.value) {
            None => 0,
            Some(Node::Integer(number)) => *number,
            Some(_) => {
                section.problem("burst", "expected a whole number");
                0
            }
        };
        if interval > LONGEST.as_secs_f64() {
            section.problem("interval", "is longer than 292 years");
            return None;
        }
        // zero means no limit, and so does what is less
        let interval = Duration::try_from_secs_f64(interval).ok()?;
        let quota = Quota::with_period(interval)?;
        // more than come in the longest time are as good as these
        let most = (LONGEST.as_nanos() / interval.as_nanos()).min(u128::from(u32::MAX));
        let burst = burst.clamp(0, i128::try_from(most).unwrap_or_default());
        let burst = u32::try_from(burst).unwrap_or_default();
        let Some(burst) = NonZeroU32::new(burst) else {
            self.warnings
                .push("rate_limit has no burst: no request will be answered".to_owned());
            return Some(RateLimit::Never);
        };
        Some(RateLimit::Bucket(RateLimiter::direct(
            quota.allow_burst(burst),
        )))
    }

    fn users(&mut self, section: &mut Section<'_>) -> BTreeMap<String, SecretString> {
        let mut users = BTreeMap::new();
        for (name, value) in section.entries() {
            match &value.value {
                Node::Text(hash) if is_hash(hash) => {
                    users.insert(name.value.clone(), SecretString::from(hash.as_str()));
                }
                // neither of both is shown: one may stand in the place of the other
                _ => self.problems.push(Problem::at(
                    name,
                    "basic_auth_users",
                    "the password of this user is no bcrypt hash",
                )),
            }
        }
        users
    }
}

fn is_hash(text: &str) -> bool {
    let parts = text.parse::<HashParts>();
    parts.is_ok_and(|parts| COSTS.contains(&parts.get_cost()))
}

fn version(section: &mut Section<'_>, key: &str, default: tls::Version) -> tls::Version {
    let Some(word) = optional_text(section, key) else {
        return default;
    };
    let found = tls::Version::WORDS.iter().find(|(name, _)| *name == word);
    found.map_or_else(
        || {
            section.problem(key, "is none of: TLS10, TLS11, TLS12, TLS13");
            default
        },
        |(_, version)| *version,
    )
}

/// Text of which an empty one is as good as none.
fn optional_text(section: &mut Section<'_>, key: &str) -> Option<String> {
    match section.take(key) {
        Some(Spanned {
            value: Node::Text(text),
            ..
        }) if text.is_empty() => None,
        _ => section.text(key),
    }
}

/// Seconds of a duration as Go writes it, such as `1m30s`, `1.5h` or `-100ms`.
fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit = tail
            .find(|char: char| char.is_ascii_digit() || char == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit)?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (!text.is_empty() && text.ends_with(|char: char| char.is_alphabetic()))
        .then_some(sign * seconds)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{shown} is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

fn add(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(bytes);
}

#[cfg(test)]
mod tests {
    use tempfile::NamedTempFile;

    use super::*;

    fn load(yaml: &str) -> Result<WebConfig, String> {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        WebConfig::load(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            ("1s", Some(1.0)),
            ("1m30s", Some(90.0)),
            ("1.5h", Some(5400.0)),
            ("+100ms", Some(0.1)),
            ("-2s", Some(-2.0)),
            ("0", Some(0.0)),
            ("", None),
            ("-", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("1s5", None),
            ("1 s", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(go_duration(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn any_rate_limit_can_be_counted_with() {
        let limit = |interval: &str, burst: &str| {
            let yaml = format!("rate_limit:\n  interval: {interval}\n  burst: {burst}\n");
            let limit = load(&yaml)?.rate_limit;
            Ok::<_, String>(limit.map(|limit| limit.allows()))
        };
        let many = u64::MAX.to_string();
        for (interval, burst, allows) in [
            ("1h", "2", Some(true)),
            ("1h", "0", Some(false)),
            ("1h", "-1", Some(false)),
            ("1h", &many, Some(true)),
            ("2562047h", &many, Some(true)),
            ("1ns", &many, Some(true)),
            ("1", "1", Some(true)),
            ("0", "1", None),
            ("-1h", "1", None),
        ] {
            assert_eq!(limit(interval, burst), Ok(allows), "{interval} {burst}");
        }
        for interval in ["2562048h", &many, "soon", "[]", "1.5"] {
            assert!(limit(interval, "1").is_err(), "{interval}");
        }
    }

    #[test]
    fn every_problem_has_its_place() {
        let yaml = "rate_limit:\n  interval: soon\nbasic_auth_users:\n  anna: secret\n\
                    tls_server_config:\n  min_version: TLS9\n  cert_file: /none\nmore: 1\n";
        let problems = load(yaml).err().unwrap();
        let places = ["2:13", "4:3", "6:3", "6:16", "7:14", "8:1"];
        assert_eq!(problems.lines().count(), places.len(), "{problems}");
        for (line, place) in problems.lines().zip(places) {
            assert!(
                line.contains(&format!(":{place}: ")),
                "{place}:\n{problems}"
            );
        }
        assert!(problems.contains("key_file"), "{problems}");
    }

    #[test]
    fn an_unknown_key_is_told_the_known_ones_once() {
        let yaml = "http_server_config:\n  headers:\n    X-Frame-Option: deny\n";
        let problems = load(yaml).err().unwrap().clone();
        let known = "http_server_config.headers: unknown key; expected one of: Content-Security-Policy, \
                     Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, \
                     X-XSS-Protection";
        assert!(problems.ends_with(known), "{problems}");
    }

    #[test]
    fn what_is_known_of_users_lasts_while_they_are_the_same() {
        let of = |password: &str| {
            format!(
                "basic_auth_users: {{anna: {}}}\n",
                bcrypt::hash(password, 4).unwrap()
            )
        };
        let (users, others) = (of("secret"), of("other"));
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("web.yml");
        let changed = |before: &WebConfig, yaml: &str| {
            std::fs::write(&file, yaml).unwrap();
            before.load_changed(&file).unwrap().unwrap()
        };
        std::fs::write(&file, &users).unwrap();
        let first = WebConfig::load(&file).unwrap();
        let limited = changed(
            &first,
            &format!("{users}rate_limit: {{interval: 1s, burst: 5}}\n"),
        );
        let is_same = |one: &WebConfig, other: &WebConfig| {
            let [one, other] = [one, other].map(|it| it.authentication.as_ref().unwrap());
            Arc::ptr_eq(one, other)
        };
        assert!(is_same(&first, &limited));
        assert!(!is_same(&first, &changed(&limited, &others)));
    }
}
