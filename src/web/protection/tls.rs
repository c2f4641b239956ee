//! The TLS that is spoken with scrapers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, DistinguishedName, Error, NamedGroup,
    RootCertStore, ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What HTTP/2 is called while a connection begins (RFC 9113, 3.1).
pub const HTTP2: &[u8] = b"h2";

/// The curves, by Go's names.
pub const CURVES: [&str; 4] = ["CurveP256", "CurveP384", "CurveP521", "X25519"];

/// Cipher suites of Go that no longer protect enough to be built in here: without forward secrecy, or
/// in CBC mode.
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

/// Cipher suites by Go's names: those of TLS 1.2, and those of 1.3, which cannot be chosen.
const SUITES: [(&str, CipherSuite); 9] = [
    (
        "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    ),
    (
        "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_256_GCM_SHA384,
    ),
    (
        "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// A version of TLS. There is nothing here below 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0.
    Tls10,
    /// 1.1.
    Tls11,
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl Version {
    /// The words for them.
    pub const WORDS: [(&str, Self); 4] = [
        ("TLS10", Self::Tls10),
        ("TLS11", Self::Tls11),
        ("TLS12", Self::Tls12),
        ("TLS13", Self::Tls13),
    ];
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// A certificate, whichever, if they have one.
    Request,
    /// A certificate, whichever.
    RequireAny,
    /// If they have a certificate, one of the authority.
    VerifyIfGiven,
    /// A certificate of the authority.
    RequireAndVerify,
}

impl ClientAuth {
    /// The words for them, one of which is from long ago.
    pub const WORDS: [(&str, Self); 6] = [
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("RequireClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
    ];
}

/// The settings, with what the files hold.
pub struct Settings {
    /// The certificate and its chain, in PEM.
    pub certificate: Vec<u8>,
    /// The key, in PEM.
    pub key: Vec<u8>,
    /// Certificates of the clients' authorities, in PEM.
    pub client_ca: Option<Vec<u8>>,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// One of these names has to be in a client's certificate.
    pub client_allowed_sans: Option<Vec<String>>,
    /// The oldest version spoken.
    pub least: Version,
    /// The newest version spoken.
    pub most: Version,
    /// Cipher suites of TLS 1.2, by Go's names; all of them if there is none.
    pub cipher_suites: Vec<String>,
    /// Curves, by Go's names; all of them if there is none.
    pub curves: Vec<String>,
    /// Whether the order of the cipher suites here goes before the client's.
    pub server_order: bool,
}

/// Whether Go has a cipher suite of this name.
pub fn is_cipher_suite(name: &str) -> bool {
    SUITES.iter().any(|(suite, _)| *suite == name) || WEAK_SUITES.contains(&name)
}

/// A server with these settings, or what is wrong with them. Holds no secret.
pub fn server(
    settings: &Settings,
    http2: bool,
    warnings: &mut Vec<String>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(settings, warnings)?);
    let versions: Vec<_> = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (settings.least..=settings.most).contains(version))
        .map(|(_, version)| version)
        .collect();
    if versions.is_empty() {
        return Err("min_version and max_version leave neither TLS 1.2 nor 1.3".to_owned());
    }
    if settings.least < Version::Tls12 {
        warnings.push("TLS 1.0 and 1.1 are not spoken: min_version is TLS12".to_owned());
    }
    let chain = CertificateDer::pem_slice_iter(&settings.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "the certificate is no PEM")?;
    if chain.is_empty() {
        return Err("the certificate's PEM holds none".to_owned());
    }
    // the error would show a line of it, which may be all of it
    let key = PrivateKeyDer::from_pem_slice(&settings.key).map_err(|_| "the key is no PEM")?;
    let verifier = verifier(settings, &provider)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| format!("these versions and cipher suites do not go together: {error}"))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| format!("the certificate and the key cannot be used: {error}"))?;
    server.ignore_client_order = settings.server_order;
    if http2 {
        server.alpn_protocols.push(HTTP2.to_vec());
    }
    server.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(server)
}

fn provider(settings: &Settings, warnings: &mut Vec<String>) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    if !settings.cipher_suites.is_empty() {
        let weak = settings.cipher_suites.iter();
        for name in weak.filter(|name| WEAK_SUITES.contains(&name.as_str())) {
            warnings.push(format!("cipher_suites: {name} is not spoken"));
        }
        // those of 1.3 first and all of them, as they are in Go
        let is_13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let all = std::mem::take(&mut provider.cipher_suites);
        let wanted = settings.cipher_suites.iter().filter_map(|name| {
            let (_, id) = SUITES.iter().find(|(suite, _)| suite == name)?;
            all.iter()
                .find(|suite| suite.suite() == *id && !is_13(suite))
        });
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
                    warnings.push(format!("curve_preferences: {curve} is not spoken"));
                    continue;
                }
            };
            provider
                .kx_groups
                .extend(all.iter().find(|known| known.name() == group));
        }
        if provider.kx_groups.is_empty() {
            return Err("curve_preferences leaves no curve that is spoken here".to_owned());
        }
    }
    Ok(provider)
}

fn verifier(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let auth = settings.client_auth;
    if auth == ClientAuth::None && settings.client_ca.is_some() {
        return Err("client_ca needs a client_auth_type".to_owned());
    }
    let requires = matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
    if settings.client_allowed_sans.is_some() && !requires {
        return Err(
            "client_allowed_sans needs the client_auth_type RequireAndVerifyClientCert or \
             RequireAnyClientCert"
                .to_owned(),
        );
    }
    let inner: Arc<dyn ClientCertVerifier> = match auth {
        ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::Request | ClientAuth::RequireAny => Arc::new(AnyCertificate {
            mandatory: requires,
            provider: Arc::clone(provider),
        }),
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
            let pem = settings.client_ca.as_deref().unwrap_or_default();
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| "client_ca is no PEM")?;
                roots
                    .add(certificate)
                    .map_err(|error| format!("client_ca cannot be used: {error}"))?;
            }
            if roots.is_empty() {
                return Err(
                    "client_ca_file or client_ca, with a certificate in it, is needed to verify \
                     those of clients"
                        .to_owned(),
                );
            }
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let builder = if requires {
                builder
            } else {
                builder.allow_unauthenticated()
            };
            builder
                .build()
                .map_err(|error| format!("client_ca cannot be used: {error}"))?
        }
    };
    Ok(match &settings.client_allowed_sans {
        None => inner,
        Some(allowed) => Arc::new(AllowedNames {
            inner,
            allowed: allowed.clone(),
        }),
    })
}

/// Takes any certificate for which the client has the key.
struct AnyCertificate {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyCertificate")
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Wants one of these names beside what another verifier wants.
#[derive(Debug)]
struct AllowedNames {
    inner: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl ClientCertVerifier for AllowedNames {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(certificate, intermediates, now)?;
        if names(certificate)
            .iter()
            .any(|name| self.allowed.contains(name))
        {
            Ok(verified)
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
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The subject alternative names of a certificate: DNS, e-mail, IP addresses and URIs.
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
