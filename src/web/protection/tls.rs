//! TLS with clients.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore,
    ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use crate::certificates::{Purpose, verify_own_authority};

/// The ALPN name of HTTP/2 (RFC 9113, 3.1).
pub const HTTP2: &[u8] = b"h2";

/// The curves, by their Go names.
pub const CURVES: [&str; 4] = ["CurveP256", "CurveP384", "CurveP521", "X25519"];

/// Go cipher suites that are too weak to be supported: they lack forward secrecy or use CBC mode.
const WEAK_SUITES: [&str; 8] = [
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
];

/// A TLS version. Only 1.2 and 1.3 are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// The versions by their names in the configuration.
    pub const WORDS: [(&str, Self); 4] = [
        ("TLS10", Self::Tls10),
        ("TLS11", Self::Tls11),
        ("TLS12", Self::Tls12),
        ("TLS13", Self::Tls13),
    ];
}

/// The client authentication policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is requested.
    None,
    /// Any certificate is requested, but not required.
    Request,
    /// Any certificate is required.
    RequireAny,
    /// A certificate is not required, but verified if there is one.
    VerifyIfGiven,
    /// A verified certificate is required.
    RequireAndVerify,
}

impl ClientAuth {
    /// The policies by their names in the configuration. `RequireClientCert` is deprecated.
    pub const WORDS: [(&str, Self); 6] = [
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("RequireClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
    ];
}

/// The settings, with the contents of the files.
pub struct TlsSettings {
    /// The PEM certificate chain.
    pub certificate: Vec<u8>,
    /// The PEM key.
    pub key: Vec<u8>,
    /// The PEM certificates of the CAs that sign client certificates.
    pub client_ca: Option<Vec<u8>>,
    /// The client authentication policy.
    pub client_auth: ClientAuth,
    /// The subject alternative names of which a client certificate needs one.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The minimum version.
    pub min_version: Version,
    /// The maximum version.
    pub max_version: Version,
    /// TLS 1.2 cipher suites by their Go names. Empty means all.
    pub cipher_suites: Vec<String>,
    /// Curves by their Go names. Empty means all.
    pub curves: Vec<String>,
    /// Whether the server's order of cipher suites takes precedence over the client's.
    pub prefer_server_order: bool,
}

/// Returns whether Go has a cipher suite of this name.
pub fn is_cipher_suite(name: &str) -> bool {
    let mut suites = aws_lc_rs::DEFAULT_CIPHER_SUITES.iter();
    suites.any(|suite| has_name(suite, name)) || WEAK_SUITES.contains(&name)
}

/// Returns whether Go calls a cipher suite by this name.
fn has_name(suite: &SupportedCipherSuite, name: &str) -> bool {
    let known = suite.suite().as_str();
    known.is_some_and(|known| known.replacen("TLS13_", "TLS_", 1) == name)
}

/// Creates the TLS configuration of the server. Errors contain no secrets.
pub fn server(
    settings: &TlsSettings,
    http2: bool,
    warnings: &mut Vec<String>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(settings, warnings)?);
    let versions: Vec<_> = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (settings.min_version..=settings.max_version).contains(version))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err("min_version and max_version exclude both TLS 1.2 and TLS 1.3".to_owned());
    }
    if settings.min_version < Version::Tls12 {
        warnings.push("TLS 1.0 and 1.1 are not supported; using min_version TLS12".to_owned());
    }
    let chain = CertificateDer::pem_slice_iter(&settings.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "cert_file or cert is not valid PEM")?;
    if chain.is_empty() {
        return Err("cert_file or cert contains no certificate in PEM".to_owned());
    }
    // the original error shows a line of the key, which may be all of it
    let key = PrivateKeyDer::from_pem_slice(&settings.key)
        .map_err(|_| "key_file or key contains no key in PEM")?;
    let verifier = verifier(settings, &provider, warnings)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| format!("incompatible TLS versions and cipher suites: {error}"))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| format!("cannot use the certificate and key: {error}"))?;
    server.ignore_client_order = settings.prefer_server_order;
    if http2 {
        server.alpn_protocols.push(HTTP2.to_vec());
    }
    server.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(server)
}

fn provider(settings: &TlsSettings, warnings: &mut Vec<String>) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        let weak = settings.cipher_suites.iter();
        for name in weak.filter(|name| WEAK_SUITES.contains(&name.as_str())) {
            warnings.push(format!("cipher_suites: {name} is not supported"));
        }
        // as in Go, all those of TLS 1.3 come first
        let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let all = std::mem::take(&mut provider.cipher_suites);
        let wanted = settings
            .cipher_suites
            .iter()
            .filter_map(|name| all.iter().find(|suite| has_name(suite, name) && !is_13(suite)));
        let of_13 = all.iter().filter(|suite| is_13(suite));
        provider.cipher_suites = of_13.chain(wanted).copied().collect();
    }
    if !settings.curves.is_empty() {
        let all = std::mem::take(&mut provider.kx_groups);
        for curve in &settings.curves {
            let group = match curve.as_str() {
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                "X25519" => NamedGroup::X25519,
                _ => {
                    warnings.push(format!("curve_preferences: {curve} is not supported"));
                    continue;
                }
            };
            provider.kx_groups.extend(all.iter().find(|known| known.name() == group));
        }
        if provider.kx_groups.is_empty() {
            return Err("curve_preferences contains no supported curve".to_owned());
        }
    }
    Ok(provider)
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    warnings: &mut Vec<String>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let auth = settings.client_auth;
    if auth == ClientAuth::None && settings.client_ca.is_some() {
        return Err("client_ca requires a client_auth_type".to_owned());
    }
    let requires = matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    if settings.client_allowed_sans.is_some() && !requires {
        return Err(
            "client_allowed_sans requires the client_auth_type RequireAndVerifyClientCert or \
             RequireAnyClientCert"
                .to_owned(),
        );
    }
    let authorities = match auth {
        ClientAuth::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientAuth::Request | ClientAuth::RequireAny => None,
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
            let listed = client_cas(settings, warnings)?;
            Some((ca_verifier(&listed, provider)?, listed))
        }
    };
    Ok(Arc::new(Clients {
        mandatory: requires,
        authorities,
        allowed: settings.client_allowed_sans.clone(),
        algorithms: provider.signature_verification_algorithms,
    }))
}

/// Reads the certificates of the configured CAs.
fn client_cas(
    settings: &TlsSettings,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = settings.client_ca.as_deref().unwrap_or_default();
    let listed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let listed = listed.map_err(|_| "client_ca_file or client_ca is not valid PEM")?;
    if listed.is_empty() {
        return Err(
            "client_ca_file or client_ca is required to verify client certificates, and must \
             contain a certificate"
                .to_owned(),
        );
    }
    let is_v1 = |certificate: &CertificateDer<'_>| {
        let parsed = X509Certificate::from_der(certificate);
        parsed.is_ok_and(|(_, parsed)| parsed.version() == X509Version::V1)
    };
    if listed.iter().any(is_v1) {
        warnings.push(
            "client_ca: an X.509 v1 certificate can sign those of clients, but a client that \
             presents a v1 certificate is refused; issue a v3 certificate for it"
                .to_owned(),
        );
    }
    Ok(listed)
}

/// Creates a verifier of certificates that the configured CAs have signed.
fn ca_verifier(
    listed: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in listed {
        let added = roots.add(certificate.clone());
        added.map_err(|error| format!("cannot use client_ca: {error}"))?;
    }
    let roots = Arc::new(roots);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    verifier.map_err(|error| format!("cannot use client_ca: {error}"))
}

/// Accepts certificates for which the client has the key, if they have one of the allowed names.
#[derive(Debug)]
struct Clients {
    mandatory: bool,
    /// Accepts what one of the listed certificates has signed, and these themselves. `None` accepts
    /// any certificate.
    authorities: Option<(Arc<dyn ClientCertVerifier>, Vec<CertificateDer<'static>>)>,
    /// `None` allows all.
    allowed: Option<Vec<String>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        let authorities = self.authorities.as_ref();
        authorities.map_or(&[], |(signed, _)| signed.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some((signed, listed)) = &self.authorities
            && let Err(error) = signed.verify_client_cert(certificate, intermediates, now)
        {
            verify_own_authority(certificate, listed, Purpose::Client, now).ok_or(error)??;
        }
        let is_allowed = |allowed: &Vec<String>| {
            let mut names = names(certificate).into_iter();
            names.any(|name| allowed.contains(&name))
        };
        if self.allowed.as_ref().is_none_or(is_allowed) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Returns the subject alternative names of a certificate: DNS names, email addresses, IP addresses
/// and URIs.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    });
    names.collect()
}
