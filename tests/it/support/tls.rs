//! HTTPS in front of a simulated provider, with valid and invalid certificates.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use campaign_simulator::Simulator;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The authority of all certificates except unknown ones. Shared by all tests, since the exporter accepts
/// only one file.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// Certificate of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// For `localhost` and 127.0.0.1.
    Good,
    /// For the same names, but expired.
    Expired,
    /// For another name.
    OtherName,
    /// For `localhost`, from an unknown authority.
    Stranger,
    /// For `localhost`, and its own authority.
    OwnAuthority,
}

/// Writes the certificate of the authority into a directory.
///
/// The exporter trusts it, and then nothing else, if the environment variable `SSL_CERT_FILE` names it.
/// Otherwise it trusts the files of the distribution.
pub(crate) fn authority_file(folder: &Path) -> PathBuf {
    let path = folder.join("authority.crt");
    std::fs::write(&path, &AUTHORITY.pem).unwrap();
    path
}

/// Terminates TLS in front of a simulator. Dropping it closes its port and connections.
pub(crate) struct TlsProxy {
    port: u16,
    /// The certificate in PEM.
    pub(crate) pem: String,
    /// Held for its `Drop`, which aborts the server.
    _server: JoinSet<()>,
}

impl TlsProxy {
    /// Starts the proxy on a free port of the loopback interface.
    pub(crate) async fn start(upstream: &Simulator, certificate: Certificate) -> Self {
        let upstream = upstream.base_url();
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (certificate, key) = certificate.sign();
        let acceptor = TlsAcceptor::from(Arc::new(config(&certificate, &key)));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(forward(stream, acceptor.clone(), upstream.clone()));
                // only their number matters, not their results
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port, pem: certificate.pem(), _server: server }
    }

    /// Returns the address for the configuration of a client.
    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// Forwards bytes until either side closes, as a client does that rejects the certificate.
async fn forward(stream: TcpStream, acceptor: TlsAcceptor, upstream: String) {
    if let Ok(mut stream) = acceptor.accept(stream).await
        && let Ok(mut upstream) = TcpStream::connect(upstream).await
    {
        tokio::io::copy_bidirectional(&mut stream, &mut upstream).await.ok();
    }
}

impl Certificate {
    /// TLS with such a certificate.
    pub(crate) fn config(self) -> ServerConfig {
        let (certificate, key) = self.sign();
        config(&certificate, &key)
    }

    fn sign(self) -> (rcgen::Certificate, KeyPair) {
        let names = match self {
            Self::OtherName => ["elsewhere.example".to_owned()].to_vec(),
            _ => ["localhost".to_owned(), "127.0.0.1".to_owned()].to_vec(),
        };
        let mut params = CertificateParams::new(names).unwrap();
        if self == Self::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match self {
            Self::Stranger => params.signed_by(&key, &Authority::new().issuer),
            Self::OwnAuthority => {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.self_signed(&key)
            }
            _ => params.signed_by(&key, &AUTHORITY.issuer),
        };
        (certificate.unwrap(), key)
    }
}

fn config(certificate: &rcgen::Certificate, key: &KeyPair) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap()
}

/// Signs certificates.
pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}
