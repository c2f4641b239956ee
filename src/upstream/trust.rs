//! Which servers are trusted.

use std::env;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    WantsVerifier,
};
use rustls_native_certs::load_certs_from_paths;
use tracing::warn;

use crate::certificates::{Purpose, verify_own_authority};
use crate::redaction::guess;

/// The variable that names a file of CA certificates.
const FILE: &str = "SSL_CERT_FILE";

/// The variable that names folders of CA certificates.
const FOLDERS: &str = "SSL_CERT_DIR";

/// Where the CA certificates are, for messages.
pub fn place() -> String {
    let set = [FILE, FOLDERS].into_iter().filter_map(|name| {
        let value = env::var_os(name)?;
        Some(format!("{name}={}", guess::hide(&value.to_string_lossy())))
    });
    let set = set.collect::<Vec<_>>().join(", ");
    if set.is_empty() { "the system".to_owned() } else { set }
}

/// What the variables name without a CA certificate.
pub fn doubts() -> Vec<String> {
    let file = env::var_os(FILE);
    let folders = env::var_os(FOLDERS).unwrap_or_default();
    let folders = env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty());
    let files = file.iter().map(|path| {
        (FILE, load_certs_from_paths(Some(Path::new(path)), None), path.display().to_string())
    });
    let folders = folders.map(|path| {
        (FOLDERS, load_certs_from_paths(None, Some(&path)), path.display().to_string())
    });
    let empty = files.chain(folders).filter(|(_, found, _)| found.certs.is_empty());
    let doubts = empty.map(|(name, found, path)| {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        guess::hide(&format!("{name}={path} has no CA certificate{why}")).into_owned()
    });
    doubts.collect()
}

/// TLS that trusts the CA certificates of the system, or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
pub fn system() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(error = %guess::hide(&error.to_string()), "cannot read a CA certificate");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs.iter().cloned());
    if ignored > 0 {
        warn!(ignored, "some CA certificates cannot be used");
    }
    if roots.is_empty() {
        let place = place();
        return Err(format!(
            "no CA certificates in {place}: install those of the system, or set {FILE}"
        ));
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let verifier = Verifier {
        inner: inner.map_err(|error| format!("cannot use the CA certificates: {error}"))?,
        trusted: found.certs,
    };
    let config = builder(provider)?.dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(verifier));
    Ok(with_protocols(config.with_no_client_auth()))
}

/// TLS that trusts no server.
pub fn none() -> Result<ClientConfig, String> {
    let config = builder(Arc::new(aws_lc_rs::default_provider()))?;
    let config = config.with_root_certificates(RootCertStore::empty());
    Ok(with_protocols(config.with_no_client_auth()))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error| format!("cannot use TLS: {error}"))
}

/// The HTTP versions that the client speaks.
fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// Accepts servers for which a trusted authority vouches, and those that are trusted themselves.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let inner = &self.inner;
        let error = match inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        verify_own_authority(certificate, &self.trusted, Purpose::Server, now).ok_or(error)??;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
