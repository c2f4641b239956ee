//! The web configuration (`--web.config.file`): TLS, users, headers and a rate limit, in the format
//! of Prometheus' exporter toolkit.
//!
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>. It accepts
//! what `promtool check web-config` accepts, except settings that leave no usable TLS version or
//! cipher.

use std::path::Path;
use std::sync::Arc;

use hyper::header::HeaderMap;
use rustls::ServerConfig;

use crate::web::protection::file::{ContentHash, WebConfigError, WebConfigFile};
use crate::web::protection::rate_limit::RateLimit;
use crate::web::protection::tls::{self, ClientAuth};
use crate::web::protection::users::Authentication;

/// How the web server is protected.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// The TLS settings. `None` means plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The users. `None` means that no authentication is required.
    pub authentication: Option<Arc<Authentication>>,
    /// Headers to add to responses.
    pub headers: HeaderMap,
    /// The limit on requests.
    pub rate_limit: Option<RateLimit>,
    /// Settings that are valid, but probably not intended.
    pub warnings: Vec<String>,
    /// Whether clients need a verified certificate.
    verifies_clients: bool,
    /// Whether a client certificate needs one of certain names.
    restricts_names: bool,
    hash: ContentHash,
}

impl WebConfig {
    /// Loads and checks a file and the files that it names.
    pub fn load(path: &Path) -> Result<Self, WebConfigError> {
        Self::from_file(WebConfigFile::read(path)?, path, None)
    }

    /// Loads the files again. Returns `None` if they have not changed.
    pub fn load_changed(&self, path: &Path) -> Result<Option<Self>, WebConfigError> {
        let file = WebConfigFile::read(path)?;
        if file.hash == self.hash {
            return Ok(None);
        }
        let previous = self.authentication.as_ref();
        Self::from_file(file, path, previous).map(Some)
    }

    /// Reuses `previous`, and the passwords that it remembers, if the users are the same.
    fn from_file(
        mut file: WebConfigFile,
        path: &Path,
        previous: Option<&Arc<Authentication>>,
    ) -> Result<Self, WebConfigError> {
        let tls = file.tls.as_ref();
        let verifies_clients = tls.is_some_and(|it| it.client_auth == ClientAuth::RequireAndVerify);
        let restricts_names = tls.is_some_and(|it| it.client_allowed_sans.is_some());
        let server = tls.map(|settings| tls::server(settings, file.http2, &mut file.warnings));
        let server = server.transpose().map_err(|problem| {
            WebConfigError::new(format!("{}: tls_server_config: {problem}", path.display()))
        })?;
        let authentication = match previous {
            Some(previous) if previous.has_users(&file.users) => Some(Arc::clone(previous)),
            _ => Authentication::new(file.users),
        };
        Ok(Self {
            tls: server.map(Arc::new),
            authentication,
            headers: file.headers,
            rate_limit: file.rate_limit,
            warnings: file.warnings,
            verifies_clients,
            restricts_names,
            hash: file.hash,
        })
    }

    /// Returns a protection that this configuration has and `new` lacks.
    ///
    /// A file that is being written may look incomplete, so removing a protection requires a
    /// restart.
    pub fn lost_in(&self, new: &Self) -> Option<&'static str> {
        let protections = |config: &Self| {
            [
                (config.tls.is_some(), "TLS"),
                (config.verifies_clients, "verified client certificates"),
                (config.restricts_names, "client_allowed_sans"),
                (config.authentication.is_some(), "users"),
            ]
        };
        let mut pairs = protections(self).into_iter().zip(protections(new));
        let lost = pairs.find(|((before, _), (after, _))| *before && !after);
        lost.map(|((_, name), _)| name)
    }
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
    fn problems_have_their_places() {
        let yaml = "rate_limit:\n  interval: soon\nbasic_auth_users:\n  anna: secret\n\
                    tls_server_config:\n  min_version: TLS9\n  cert_file: /none\nmore: 1\n";
        let problems = load(yaml).err().unwrap();
        let places = ["2:13", "4:3", "6:3", "6:16", "7:14", "8:1"];
        assert_eq!(problems.lines().count(), places.len(), "{problems}");
        for (line, place) in problems.lines().zip(places) {
            assert!(line.contains(&format!(":{place}: ")), "{place}:\n{problems}");
        }
        assert!(problems.contains("key_file"), "{problems}");
        let problem = load("tls_server_config: {cert: x, key: x}").err().unwrap();
        assert!(problem.contains("cert_file or cert contains no certificate"), "{problem}");
    }

    #[test]
    fn a_large_file_is_refused() {
        let problem = load(&"#".repeat(1024 * 1024 + 1)).err().unwrap();
        assert!(problem.contains("is larger than"), "{problem}");
    }

    #[test]
    fn unknown_keys_list_the_known_ones_once() {
        let yaml = "http_server_config:\n  headers:\n    X-Frame-Option: deny\n";
        let problems = load(yaml).err().unwrap();
        assert!(problems.ends_with("did you mean X-Frame-Options?"), "{problems}");
        let problems = load(&yaml.replace("X-Frame-Option", "Other")).err().unwrap();
        let known = "http_server_config.headers: unknown key; expected one of: Content-Security-Policy, \
                     Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, \
                     X-XSS-Protection";
        assert!(problems.ends_with(known), "{problems}");
    }

    #[test]
    fn a_client_certificate_of_version_1_is_explained() {
        const V1: &str = "-----BEGIN CERTIFICATE-----\n\
                      MIIBFTCBvQIUCbyZtFcxKp8fGRrNHsUQsJP/SRAwCgYIKoZIzj0EAwIwDTELMAkG\n\
                      A1UEAwwCdjEwIBcNMjYxMTI4MTcxNDA5WhgPMjEyNjExMDQxNzE0MDlaMA0xCzAJ\n\
                      BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAXgOOnlbh8zJ76+v\n\
                      eN6RzZqy9M7WW7T8tD8waa0qNvS4hCFkuo6mHzpXYIxOLQYkjJk1Bz3JRwJcb30Z\n\
                      Maw0GzAKBggqhkjOPQQDAgNHADBEAiBGiawL6VcZNvf01sVynoqhIA/rmJe8ID6f\n\
                      111/E9jJ3AIgJdDbFXGQvQcA/zDLGPvpVZZw+fxLHEd5oeFOXgcMeGw=\n\
                      -----END CERTIFICATE-----";
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let [cert, key, ca] = [cert.pem(), signing_key.serialize_pem(), V1.to_owned()]
            .map(|pem| serde_json::to_string(&pem).unwrap());
        let config = load(&format!(
            "tls_server_config: {{cert: {cert}, key: {key}, client_ca: {ca}, \
             client_auth_type: RequireAndVerifyClientCert}}"
        ));
        let warnings = config.unwrap().warnings;
        assert!(warnings.concat().contains("presents a v1 certificate"), "{warnings:?}");
    }

    #[test]
    fn unchanged_users_keep_their_remembered_passwords() {
        let of = |password: &str| {
            format!("basic_auth_users: {{anna: {}}}\n", bcrypt::hash(password, 4).unwrap())
        };
        let (users, others) = (of("secret"), of("other"));
        let directory = tempfile::TempDir::new().unwrap();
        let file = directory.path().join("web.yml");
        let changed = |before: &WebConfig, yaml: &str| {
            std::fs::write(&file, yaml).unwrap();
            before.load_changed(&file).unwrap().unwrap()
        };
        std::fs::write(&file, &users).unwrap();
        let first = WebConfig::load(&file).unwrap();
        let limited = changed(&first, &format!("{users}rate_limit: {{interval: 1s, burst: 5}}\n"));
        let is_same = |one: &WebConfig, other: &WebConfig| {
            let [one, other] = [one, other].map(|it| it.authentication.as_ref().unwrap());
            Arc::ptr_eq(one, other)
        };
        assert!(is_same(&first, &limited));
        assert!(!is_same(&first, &changed(&limited, &others)));
    }
}
