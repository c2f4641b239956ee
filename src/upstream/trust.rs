//! Which servers are trusted.

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
use tracing::warn;

use crate::certificates::{Purpose, verify_own_authority};

/// TLS that trusts the CA certificates of the system, or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
pub fn system() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "cannot read a CA certificate");
    }
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs.iter().cloned());
    if ignored > 0 {
        warn!(ignored, "some CA certificates cannot be used");
    }
    if roots.is_empty() {
        let problem = "no CA certificates found: install those of the system, or set SSL_CERT_FILE";
        return Err(problem.to_owned());
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
