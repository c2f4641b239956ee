//! The web configuration: validation, authentication, and reloading.

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, LazyLock};

use campaign_exporter::web::protection::configuration::WebConfig;
use campaign_simulator::Simulator;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use reqwest::{StatusCode, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::apis::{any_api, with_statuses};
use crate::support::daemon::{
    Daemon, LIMIT, Setup, account, account_at, client, config, end, simulate,
};
use crate::support::prometheus::{Job, Prometheus};
use crate::support::server::{PAUSE, Program};
use crate::support::tls::Authority;

pub(crate) const PASSWORD: &str = "open-sesame";

/// Hash of the password, with minimum cost.
static HASH: LazyLock<String> = LazyLock::new(|| bcrypt::hash(PASSWORD, 4).unwrap());

impl Authority {
    /// Signs a certificate; returns it with its key, both in PEM.
    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages.push(usage);
        let uri = "spiffe://example/scraper".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self) -> (String, String) {
        self.sign(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self) -> (String, String) {
        self.sign(&["scraper.example"], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Returns a client that trusts only this authority.
    pub(crate) fn trusting(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([root])
    }
}

/// Replaces a file atomically.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A protected exporter with its certificates.
pub(crate) struct Protected {
    pub(crate) authority: Authority,
    pub(crate) daemon: Daemon,
    /// Stopped when dropped.
    _simulator: Simulator,
}

/// Configuration of the server certificate.
const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

pub(crate) fn users() -> String {
    format!("basic_auth_users:\n  prometheus: {}\n", *HASH)
}

impl Protected {
    pub(crate) async fn start(web_config: &str) -> Self {
        let authority = Authority::new();
        let simulator = simulate(with_statuses(), Vec::new()).await;
        let yaml = account("shoes", &simulator, &[]);
        let setup = Setup::new(&config(&[yaml]));
        write_certificate(setup.folder(), &authority.server());
        fs::write(setup.folder().join("clients.crt"), &authority.pem).unwrap();
        let path = setup.folder().join("web.yml");
        fs::write(&path, web_config).unwrap();
        let arguments = ["--web.config.file", path.to_str().unwrap()];
        let daemon = Daemon::start(setup, &arguments).await;
        Self { authority, daemon, _simulator: simulator }
    }

    fn folder(&self) -> &Path {
        self.daemon.setup.folder()
    }

    fn configure(&self, web_config: &str) {
        replace(&self.folder().join("web.yml"), web_config);
    }

    pub(crate) fn https(&self) -> String {
        format!("https://{}/metrics", self.daemon.address())
    }

    /// Returns the status of a request with the correct password over a new connection; `None` if it fails.
    async fn status(&self, url: &str) -> Option<StatusCode> {
        let client = self.authority.trusting().build().unwrap();
        let request = client.get(url).basic_auth("prometheus", Some(PASSWORD));
        Some(request.send().await.ok()?.status())
    }

    async fn wait_for_status(&self, url: &str, wanted: Option<StatusCode>) {
        wait_for(&format!("{url}: {wanted:?}"), async || self.status(url).await == wanted).await;
    }

    /// Returns the certificate that the server presents.
    async fn certificate(&self) -> Option<CertificateDer<'static>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.daemon.address()).await.ok()?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates()?.first()?;
        Some(shown.clone().into_owned())
    }
}

fn write_certificate(folder: &Path, (certificate, key): &(String, String)) {
    replace(&folder.join("server.crt"), certificate);
    replace(&folder.join("server.key"), key);
}

pub(crate) fn identity(certificate: &str, key: &str) -> reqwest::Identity {
    reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
}

/// Waits until a condition holds.
async fn wait_for(what: &str, so: impl AsyncFn() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !so().await {
            // pause between checks
            tokio::time::sleep(PAUSE).await;
        }
    });
    assert!(waited.await.is_ok(), "never {what}");
}

/// Validates a file with the exporter and with promtool.
async fn verdicts(path: &Path, yaml: &str) -> (Result<(), String>, Result<(), String>) {
    const PROMTOOL: Program = Program { name: "promtool", package: "prometheus" };
    fs::write(path, yaml).unwrap();
    let here = WebConfig::load(path);
    let mut command = PROMTOOL.command();
    let output = command.args(["check", "web-config"]).arg(path).output();
    let output = output.await.unwrap_or_else(|error| PROMTOOL.is_needed(&error));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let there = if output.status.success() { Ok(()) } else { Err(said) };
    (here.map(drop).map_err(|error| error.to_string()), there)
}

fn folder_with_certificates() -> TempDir {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new();
    write_certificate(folder.path(), &authority.server());
    fs::write(folder.path().join("clients.crt"), &authority.pem).unwrap();
    let (_, other_key) = authority.server();
    fs::write(folder.path().join("other.key"), other_key).unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::write(folder.path().join("junk"), "no certificate\n").unwrap();
    folder
}

pub(crate) fn with_tls(lines: &[&str]) -> String {
    let mut yaml = TLS.to_owned();
    for line in lines {
        writeln!(yaml, "  {line}").unwrap();
    }
    yaml
}

#[tokio::test]
async fn web_configuration_is_validated_like_promtool() {
    let folder = folder_with_certificates();
    let path = folder.path().join("web.yml");
    let mut good = vec![
        String::new(),
        "{}".to_owned(),
        "tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n".to_owned(),
        "tls_server_config:\n  min_version: TLS12\n".to_owned(),
        "tls_server_config:\n  cert_file: ''\n  key_file: ''\n".to_owned(),
        TLS.to_owned(),
        users(),
        format!("{TLS}{}", users()),
        users().replace("$2b$", "$2y$"),
        users().replace("$2b$", "$2a$"),
        "basic_auth_users: {}\n".to_owned(),
        "http_server_config:\n  http2: false\n".to_owned(),
        "http_server_config:\n  headers: {}\n".to_owned(),
    ];
    let of_tls = [
        "client_auth_type: NoClientCert",
        "client_auth_type: RequestClientCert",
        "client_auth_type: RequireAnyClientCert",
        "client_auth_type: RequireClientCert",
        "client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt",
        "client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: clients.crt",
        "min_version: TLS10",
        "min_version: TLS11",
        "min_version: TLS13",
        "max_version: TLS12",
        "min_version: TLS12\n  max_version: TLS12",
        "prefer_server_cipher_suites: false",
        "cipher_suites: []",
        "cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]",
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]",
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]",
        "cipher_suites: [TLS_AES_128_GCM_SHA256]",
        "curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]",
        "curve_preferences: []",
    ];
    good.extend(of_tls.iter().map(|line| with_tls(&[line])));
    let headers = [
        "Content-Security-Policy: default-src 'self'",
        "Strict-Transport-Security: max-age=1",
        "X-Content-Type-Options: nosniff",
        "X-Frame-Options: deny",
        "X-Frame-Options: sameorigin",
        "X-XSS-Protection: '0'",
        "X-XSS-Protection: 1",
        "Content-Security-Policy: ''",
    ];
    let with_header = |line: &&str| format!("http_server_config:\n  headers:\n    {line}\n");
    good.extend(headers.iter().map(with_header));

    let mut bad = vec![
        "- a list\n".to_owned(),
        "text\n".to_owned(),
        "{".to_owned(),
        "unknown: 1\n".to_owned(),
        "tls_server_config: text\n".to_owned(),
        "tls_server_config:\n  unknown: 1\n".to_owned(),
        "tls_server_config:\n  cert_file: server.crt\n".to_owned(),
        "tls_server_config:\n  key_file: server.key\n".to_owned(),
        "tls_server_config:\n  client_auth_type: NoClientCert\n".to_owned(),
        "tls_server_config:\n  client_ca_file: clients.crt\n".to_owned(),
        "tls_server_config:\n  cert_file: server.crt\n  key_file: other.key\n".to_owned(),
        "tls_server_config:\n  cert_file: none.crt\n  key_file: server.key\n".to_owned(),
        "tls_server_config:\n  cert_file: server.crt\n  key_file: none.key\n".to_owned(),
        "tls_server_config:\n  cert_file: junk\n  key_file: server.key\n".to_owned(),
        "tls_server_config:\n  cert_file: server.crt\n  key_file: junk\n".to_owned(),
        "tls_server_config:\n  cert_file: empty\n  key_file: empty\n".to_owned(),
        format!("{TLS}{TLS}"),
        format!("{TLS}  cert_file: server.crt\n"),
        "http_server_config:\n  http2: maybe\n".to_owned(),
        "http_server_config:\n  unknown: true\n".to_owned(),
        "http_server_config:\n  headers: text\n".to_owned(),
        "basic_auth_users: text\n".to_owned(),
        "basic_auth_users:\n  prometheus: open-sesame\n".to_owned(),
        "basic_auth_users:\n  prometheus:\n".to_owned(),
        format!("{}  prometheus: {}\n", users(), *HASH),
        users().replace("$2b$04$", "$2b$03$"),
        users().replace("$2b$", "$3b$"),
    ];
    let of_tls = [
        "client_ca_file: clients.crt",
        "client_auth_type: NoClientCert\n  client_ca_file: clients.crt",
        "client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: none.crt",
        "client_auth_type: Whatever",
        "min_version: TLS9",
        "min_version: TLS14",
        "max_version: 1.2",
        "cipher_suites: [TLS_INVENTED]",
        "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256]",
        "cipher_suites: TLS_AES_128_GCM_SHA256_X",
        "curve_preferences: [CurveP192]",
        "prefer_server_cipher_suites: maybe",
    ];
    bad.extend(of_tls.iter().map(|line| with_tls(&[line])));
    let headers = [
        "Server: mine",
        "x-frame-options: deny",
        "X-Frame-Options: always",
        "X-Content-Type-Options: sniff",
        "X-Frame-Options:\n      - deny",
    ];
    bad.extend(headers.iter().map(with_header));

    let mut wrong = Vec::new();
    for (files, is_good) in [(good, true), (bad, false)] {
        for yaml in files {
            let (here, there) = verdicts(&path, &yaml).await;
            if here.is_ok() != is_good || there.is_ok() != is_good {
                wrong.push(format!("{yaml}\nhere: {here:?}\npromtool: {there:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn deviations_from_promtool_are_intended() {
    let folder = folder_with_certificates();
    let path = folder.path().join("web.yml");
    let indented = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().fold(String::from("|\n"), |mut yaml, line| {
            writeln!(yaml, "    {line}").unwrap();
            yaml
        })
    };
    let inline = format!(
        "tls_server_config:\n  cert: {}  key: {}",
        indented("server.crt"),
        indented("server.key")
    );
    let newer = "older versions of promtool do not know this key";
    let rate = |lines: &str| format!("rate_limit:\n  {lines}\n");
    let verify = "client_auth_type: RequireAndVerifyClientCert";
    let any = "client_auth_type: RequireAnyClientCert";
    let cbc = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]";
    // accepted by the exporter, not by every promtool
    let accepted = [
        inline,
        rate("interval: 1s\n  burst: 5"),
        rate("interval: 1000000\n  burst: 5"),
        rate("interval: 1m30.5s"),
        with_tls(&[any, "client_allowed_sans: [scraper.example]"]),
    ];
    // accepted only by promtool: no client could connect
    let refused = [
        with_tls(&["max_version: TLS11"]),
        with_tls(&["min_version: TLS13", "max_version: TLS12"]),
        with_tls(&["max_version: TLS12", cbc]),
        with_tls(&["curve_preferences: [CurveP521]"]),
        with_tls(&[verify, "client_ca_file: junk"]),
    ];
    let public = "it would accept certificates of any public authority";
    let hash = users().replace(HASH.as_str(), &format!("{}!", &HASH[..59]));
    let others = [(false, with_tls(&[verify]), public), (false, hash, "no password could match")];
    let cases = accepted.map(|yaml| (true, yaml, newer)).into_iter();
    let cases = cases.chain(refused.map(|yaml| (false, yaml, "no client could connect")));
    let cases = cases.chain(others);
    let mut wrong = Vec::new();
    for (is_good, yaml, reason) in cases {
        let (here, there) = verdicts(&path, &yaml).await;
        if here.is_ok() != is_good || (there.is_ok() == is_good && reason != newer) {
            wrong.push(format!("{reason}:\n{yaml}\nhere: {here:?}\npromtool: {there:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn invalid_files_are_rejected_at_startup_without_showing_secrets() {
    let folder = folder_with_certificates();
    let setup = minimal();
    let path = folder.path().join("web.yml");
    let key = fs::read_to_string(folder.path().join("server.key")).unwrap();
    let in_one_line = key.replace('\n', " ");
    let cases = [
        // a multi-line string without `|` becomes a single line
        format!("tls_server_config:\n  cert_file: server.crt\n  key: '{in_one_line}'\n"),
        format!("tls_server_config:\n  cert_file: server.crt\n  key:\n    - {in_one_line}\n"),
        "basic_auth_users:\n  prometheus: hunter2\n".to_owned(),
        "basic_auth_users:\n  hunter2: $2b$\n".to_owned(),
        "basic_auth_users: hunter2\n".to_owned(),
        "basic_auth_users:\n  prometheus:hunter2\n".to_owned(),
        "unknown: hunter2\n".to_owned(),
    ];
    let secret_lines = key.lines().filter(|line| !line.starts_with("---"));
    let mut secrets: Vec<&str> = secret_lines.collect();
    secrets.push("hunter2");
    for yaml in cases {
        fs::write(&path, &yaml).unwrap();
        for arguments in [&["--config.check"][..], &[], &["demo"]] {
            let mut command = setup.command();
            command.arg("--web.config.file").arg(&path);
            command.args(["--web.listen-address", "127.0.0.1:0"]);
            let (code, log) = end(command.args(arguments)).await;
            assert_eq!(code, Some(2), "{yaml}:\n{log}");
            assert!(log.contains("web.yml:"), "{log}");
            for secret in &secrets {
                assert!(!log.contains(secret), "{log}");
                // as byte values
                let bytes = format!("{:?}", secret.as_bytes());
                assert!(!log.contains(bytes.trim_matches(['[', ']'])), "{log}");
            }
        }
    }
}

/// Scrape settings for a Prometheus that trusts the exporter's authority.
fn how(protected: &Protected, more: &str) -> Vec<String> {
    let folder = protected.folder().display();
    vec![
        "scheme: https".to_owned(),
        "basic_auth: {username: prometheus, password: open-sesame}".to_owned(),
        format!("tls_config: {{ca_file: {folder}/clients.crt{more}}}"),
    ]
}

async fn scrapes_well(protected: &Protected, how: &[String]) {
    let prometheus = Prometheus::running(Job {
        targets: &[protected.daemon.address()],
        scrape_interval: 1,
        how,
        ..Job::default()
    })
    .await;
    let up = |found: &[(_, f64)]| matches!(found, [(_, value)] if *value == 1.0);
    prometheus.wait_for("min_over_time(up[2s])", up).await;
    prometheus.wait_for("campaign_account_up", up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_scrapes_over_tls_with_a_password() {
    let protected = Protected::start(&format!("{TLS}{}", users())).await;
    scrapes_well(&protected, &how(&protected, "")).await;
    let url = protected.https();
    let client = protected.authority.trusting().build().unwrap();
    let status = async |user: &str, password: &str| {
        let request = client.get(&url).basic_auth(user, Some(password));
        let response = request.send().await.unwrap();
        let asks = response.headers().contains_key("www-authenticate");
        (response.status().as_u16(), asks)
    };
    assert_eq!(status("prometheus", PASSWORD).await, (200, false));
    assert_eq!(status("prometheus", "open").await, (401, true));
    assert_eq!(status("grafana", PASSWORD).await, (401, true));
    let every_path =
        ["/", "/metrics", "/config", "/campaigns", "/campaign", "/-/healthy", "/-/ready", "/no"];
    for path in every_path {
        let url = url.replace("/metrics", path);
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    // plain HTTP is rejected on the same port
    let plain = client.get(url.replace("https", "http")).send().await;
    assert!(plain.is_err(), "{plain:?}");
    assert!(!protected.daemon.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_scrapes_with_a_client_certificate() {
    let verify = ["client_auth_type: RequireAndVerifyClientCert", "client_ca_file: clients.crt"];
    let protected = Protected::start(&with_tls(&verify)).await;
    let (certificate, key) = protected.authority.client();
    let folder = protected.folder();
    fs::write(folder.join("scraper.crt"), &certificate).unwrap();
    fs::write(folder.join("scraper.key"), &key).unwrap();
    let own = format!(", cert_file: {0}/scraper.crt, key_file: {0}/scraper.key", folder.display());
    scrapes_well(&protected, &how(&protected, &own)).await;

    let url = protected.https();
    let status = async |own: Option<(String, String)>| {
        let mut client = protected.authority.trusting();
        if let Some((certificate, key)) = own {
            client = client.identity(identity(&certificate, &key));
        }
        let response = client.build().unwrap().get(&url).send().await;
        response.ok().map(|response| response.status().as_u16())
    };
    let own = Some((certificate, key));
    let stranger = Authority::new().client();
    assert_eq!(status(own.clone()).await, Some(200));
    assert_eq!(status(None).await, None);
    assert_eq!(status(Some(stranger.clone())).await, None);

    for (name, wanted) in [("other.example", None), ("spiffe://example/scraper", Some(200))] {
        let names = format!("client_allowed_sans: [{name}]");
        protected.configure(&with_tls(&[verify[0], verify[1], &names]));
        wait_for(name, async || status(own.clone()).await == wanted).await;
    }
    // dropping the names reduces the protection
    protected.configure(&with_tls(&verify));
    wait_for("suspended", async || status(own.clone()).await.is_none()).await;
    let lost = "client_allowed_sans was removed";
    wait_for(lost, async || protected.daemon.log().contains(lost)).await;

    let any = Protected::start(&with_tls(&["client_auth_type: RequireAnyClientCert"])).await;
    let url = any.https();
    let client = any.authority.trusting();
    let (certificate, key) = stranger;
    let identity = identity(&certificate, &key);
    let response = client.identity(identity).build().unwrap().get(&url).send().await;
    assert_eq!(response.unwrap().status(), 200);
    assert_eq!(any.status(&url).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_client_certificate_may_be_its_own_authority() {
    let protected = Protected::start(&with_tls(&[
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: clients.crt",
    ]))
    .await;
    let [listed, other] = [(); 2].map(|()| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    });
    let is_served = async |(certificate, key): &(String, String)| {
        let identity = identity(certificate, key);
        let client = protected.authority.trusting().identity(identity).build();
        client.unwrap().get(protected.https()).send().await.is_ok()
    };
    assert!(!is_served(&listed).await);
    let clients = format!("{}{}", protected.authority.pem, listed.0);
    replace(&protected.folder().join("clients.crt"), &clients);
    wait_for("served", async || is_served(&listed).await).await;
    assert!(!is_served(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_reloaded_and_invalid_files_suspend_service() {
    let mut protected = Protected::start(&format!("{TLS}{}", users())).await;
    let url = protected.https();
    let first = protected.certificate().await.unwrap();
    // a persistent connection
    let kept = protected.authority.trusting().build().unwrap();
    let ask = async || {
        let request = kept.get(&url).basic_auth("prometheus", Some(PASSWORD));
        request.send().await.map(|response| response.status()).ok()
    };
    assert_eq!(ask().await, Some(StatusCode::OK));

    let second = protected.authority.server();
    let shown = CertificateDer::from_pem_slice(second.0.as_bytes()).unwrap();
    assert_ne!(first, shown);
    write_certificate(protected.folder(), &second);
    wait_for("the second certificate", async || {
        protected.certificate().await.as_ref() == Some(&shown)
    })
    .await;
    wait_for("served again", async || ask().await == Some(StatusCode::OK)).await;

    // the key of another certificate
    let third = protected.authority.server();
    replace(&protected.folder().join("server.key"), &third.1);
    wait_for("service suspended", async || ask().await.is_none()).await;
    assert_eq!(protected.status(&url).await, None);
    protected.daemon.wait_for_log("refusing all requests").await;
    replace(&protected.folder().join("server.crt"), &third.0);
    protected.wait_for_status(&url, Some(StatusCode::OK)).await;

    for bad in ["tls_server_config: [", "", &users(), TLS] {
        protected.configure(bad);
        protected.wait_for_status(&url, None).await;
        assert_eq!(ask().await, None, "{bad}");
        let plain = protected.daemon.url("/metrics");
        assert_eq!(protected.status(&plain).await, None, "{bad}");
        protected.configure(&format!("{TLS}{}", users()));
        protected.wait_for_status(&url, Some(StatusCode::OK)).await;
    }
    fs::remove_file(protected.folder().join("web.yml")).unwrap();
    protected.wait_for_status(&url, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_an_invalid_file_only_returns_an_error() {
    let protected = Protected::start(&users()).await;
    let url = protected.daemon.url("/metrics");
    assert_eq!(protected.status(&url).await, Some(StatusCode::OK));
    let suspended = Some(StatusCode::INTERNAL_SERVER_ERROR);
    for bad in ["basic_auth_users: {}\n", "no: thing\n"] {
        protected.configure(bad);
        protected.wait_for_status(&url, suspended).await;
        protected.configure(&users());
        protected.wait_for_status(&url, Some(StatusCode::OK)).await;
    }
    let other = bcrypt::hash("other", 4).unwrap();
    protected.configure(&users().replace(HASH.as_str(), &other));
    protected.wait_for_status(&url, Some(StatusCode::UNAUTHORIZED)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_connections_do_not_use_new_settings() {
    let mut protected = Protected::start("").await;
    let mut early = TcpStream::connect(protected.daemon.address()).await.unwrap();
    // ensures that the first connection has been accepted
    let url = protected.daemon.url("/metrics");
    assert_eq!(protected.status(&url).await, Some(StatusCode::OK));
    protected.configure(TLS);
    protected.daemon.wait_for_log("web configuration reloaded").await;
    // it may already be closed
    early.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await.ok();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LIMIT, early.read_to_end(&mut answer)).await;
    read.unwrap().ok();
    let answer = String::from_utf8(answer).unwrap();
    assert!(!answer.contains("200 OK"), "{answer}");
    protected.wait_for_status(&protected.https(), Some(StatusCode::OK)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_file_suspends_service_until_it_is_replaced() {
    let mut protected = Protected::start(&users()).await;
    let url = protected.daemon.url("/metrics");
    let path = protected.folder().join("web.yml");
    // nobody ever writes to the pipe
    let pipe: PathBuf = protected.folder().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().await.unwrap();
    assert!(made.success());
    fs::hard_link(&pipe, protected.folder().join("link")).unwrap();
    fs::rename(protected.folder().join("link"), &path).unwrap();
    protected.daemon.wait_for_log("cannot read").await;
    let suspended = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(protected.status(&url).await, suspended);
    protected.configure(&users());
    protected.wait_for_status(&url, Some(StatusCode::OK)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_available_over_tls_unless_disabled() {
    let protected = Protected::start(TLS).await;
    let version = async || {
        let client = protected.authority.trusting().build().unwrap();
        let response = client.get(protected.https()).send().await.ok()?;
        let version = response.version();
        if response.status() != StatusCode::OK {
            // the configuration changed between the connection and the request
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            return None;
        }
        let text = response.text().await.ok()?;
        assert!(text.contains("campaign_account_up"), "{text}");
        Some(version)
    };
    assert_eq!(version().await, Some(Version::HTTP_2));
    protected.configure(&format!("{TLS}http_server_config:\n  http2: false\n"));
    wait_for("HTTP/1.1", async || version().await == Some(Version::HTTP_11)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_tls_versions_are_rejected() {
    use reqwest::tls::Version;

    let cases = [
        ("min_version: TLS10", true, true),
        ("min_version: TLS13", false, true),
        ("max_version: TLS12", true, false),
        ("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]", false, true),
    ];
    for (line, tls12, tls13) in cases {
        let protected = Protected::start(&with_tls(&[line])).await;
        for (version, spoken) in [(Version::TLS_1_2, tls12), (Version::TLS_1_3, tls13)] {
            let client = protected.authority.trusting();
            let client = client.tls_version_min(version).tls_version_max(version);
            let response = client.build().unwrap().get(protected.https()).send().await;
            assert_eq!(response.is_ok(), spoken, "{line} {version:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_headers_are_added_and_requests_are_counted() {
    let yaml = format!(
        "{}http_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
         Content-Security-Policy: default-src 'self'\nrate_limit:\n  interval: 1h\n  burst: 3\n",
        users()
    );
    let protected = Protected::start(&yaml).await;
    for (password, status) in [(PASSWORD, 200), ("wrong", 401), (PASSWORD, 200), (PASSWORD, 200)] {
        let request = client().get(protected.daemon.url("/"));
        let response = request.basic_auth("prometheus", Some(password)).send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["x-frame-options"], "deny");
        // overrides the page's own header
        let policy = &response.headers()["content-security-policy"];
        assert_eq!(policy, "default-src 'self'");
    }
    let url = protected.daemon.url("/metrics");
    let too_many = Some(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(protected.status(&url).await, too_many);
    assert_eq!(protected.status(&url).await, too_many);
}

fn minimal() -> Setup {
    Setup::new(&config(&[account_at("shoes", any_api(), "http://127.0.0.1:1", &[])]))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_listens_on_every_address() {
    let more = ["--web.listen-address", "127.0.0.1:0", "--web.listen-address", "[::1]:0"];
    let mut daemon = Daemon::start(minimal(), &more).await;
    daemon.wait_for_log("address=[::1]:").await;
    let log = daemon.log();
    let listening = log.lines().filter(|line| line.contains("listening"));
    let addresses: Vec<&str> = listening
        .map(|line| line.split("address=").nth(1).unwrap())
        .map(|rest| rest.split(' ').next().unwrap())
        .collect();
    assert_eq!(addresses.len(), 3, "{log}");
    for address in addresses {
        let response = client().get(format!("http://{address}/-/healthy")).send().await;
        assert_eq!(response.unwrap().status(), 200, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_sockets_replace_listen_addresses() {
    let sockets = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = sockets.local_addr().unwrap().to_string();
    let setup = minimal();
    let mut command = Command::new("sh");
    // like systemd: sockets start at file descriptor 3 and are for this process only
    let hand_over = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    command.args(["-c", hand_over, "sh", env!("CARGO_BIN_EXE_campaign_exporter")]);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("CAMPAIGN_EXPORTER_WEB_SYSTEMD_SOCKET", "true");
    command.stdin(Stdio::from(OwnedFd::from(sockets))).kill_on_drop(true);
    command.arg("--config.file").arg(setup.config_file());
    let daemon = Daemon::start_command(command, setup, &[]).await;
    assert_eq!(daemon.address(), address);
    daemon.get("/-/healthy").await;
    assert_eq!(daemon.log().matches("listening").count(), 1);

    let setup = minimal();
    let mut command = setup.command();
    let (code, log) = end(command.arg("--web.systemd-socket")).await;
    assert_eq!(code, Some(1));
    assert!(log.contains("systemd passed no socket"), "{log}");
}
