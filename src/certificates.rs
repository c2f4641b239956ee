//! Certificates that are their own authority.
//!
//! `openssl req -x509` makes a certificate that may sign others. `webpki` refuses such a
//! certificate as that of a server or client, even if it is trusted itself. Whoever has its key
//! could sign a certificate that they accept, so trusting it for what it says costs no safety.

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It identifies a server.
    Server,
    /// It identifies a client.
    Client,
}

/// Checks the dates and the purpose of a certificate that is its own authority and one of the
/// `trusted`. `None` for any other, which its authority has to vouch for.
pub fn verify_own_authority(
    certificate: &CertificateDer<'_>,
    trusted: &[CertificateDer<'static>],
    purpose: Purpose,
    now: UnixTime,
) -> Option<Result<(), CertificateError>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let is_own_authority = parsed.subject().as_raw() == parsed.issuer().as_raw();
    (is_own_authority && trusted.contains(certificate)).then(|| check(&parsed, purpose, now))
}

fn check(
    certificate: &X509Certificate<'_>,
    purpose: Purpose,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let (now, validity) = (i128::from(now.as_secs()), certificate.validity());
    if now < i128::from(validity.not_before.timestamp()) {
        return Err(CertificateError::NotValidYet);
    }
    if now > i128::from(validity.not_after.timestamp()) {
        return Err(CertificateError::Expired);
    }
    let (Ok(usage), Ok(extended)) = (certificate.key_usage(), certificate.extended_key_usage())
    else {
        return Err(CertificateError::BadEncoding);
    };
    let may_sign_handshakes = usage.is_none_or(|usage| usage.value.digital_signature());
    let has_purpose = extended.is_none_or(|extended| {
        let extended = extended.value;
        extended.any
            || match purpose {
                Purpose::Server => extended.server_auth,
                Purpose::Client => extended.client_auth,
            }
    });
    if may_sign_handshakes && has_purpose { Ok(()) } else { Err(CertificateError::InvalidPurpose) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        KeyUsagePurpose, date_time_ymd,
    };

    use super::*;

    #[test]
    fn only_a_trusted_valid_certificate_of_the_purpose_is_its_own_authority() {
        let key = KeyPair::generate().unwrap();
        let of = |change: fn(&mut CertificateParams)| {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
            change(&mut params);
            params.self_signed(&key).unwrap().der().clone()
        };
        let at =
            |year: u64| UnixTime::since_unix_epoch(Duration::from_hours((year - 1970) * 8_766));
        let verdict = |certificate: &CertificateDer<'static>, year| {
            let trusted = std::slice::from_ref(certificate);
            let of =
                |purpose| verify_own_authority(certificate, trusted, purpose, at(year)).unwrap();
            (of(Purpose::Server), of(Purpose::Client))
        };
        let plain = of(|_| {});
        assert_eq!(
            verify_own_authority(
                &plain,
                &[of(|it| it.serial_number = Some(7.into()))],
                Purpose::Server,
                at(2020)
            ),
            None
        );
        let both = |error: CertificateError| (Err(error.clone()), Err(error));
        let purpose = CertificateError::InvalidPurpose;
        assert_eq!(verdict(&plain, 2019), both(CertificateError::NotValidYet));
        assert_eq!(verdict(&plain, 2022), both(CertificateError::Expired));
        let middle = |certificate| {
            let now = UnixTime::since_unix_epoch(Duration::from_hours(50 * 8_766 + 4_000));
            let trusted = std::slice::from_ref(&certificate).to_vec();
            [Purpose::Server, Purpose::Client]
                .map(|purpose| verify_own_authority(&certificate, &trusted, purpose, now).unwrap())
        };
        let refused = || Err(purpose.clone());
        assert_eq!(middle(plain), [Ok(()), Ok(())]);
        let authority = of(|it| it.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
        assert_eq!(middle(authority), [refused(), refused()]);
        let server = of(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
        assert_eq!(middle(server), [Ok(()), refused()]);
        let client = of(|it| {
            it.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        assert_eq!(middle(client), [refused(), Ok(())]);
    }
}
