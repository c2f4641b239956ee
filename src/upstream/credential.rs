//! Secrets as requests carry them.

use std::borrow::Cow;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::request::{Body, Request};
use super::{PollError, Reason};
use crate::redaction;

/// The segment of a path that the secret replaces. No address has it otherwise.
pub const PATH_PLACEHOLDER: &str = "~token~";

/// What requests carry.
#[derive(Clone, Debug)]
pub struct Credential {
    place: Place,
    pub(super) secret: SecretString,
    /// When the credential expires, if that is known.
    pub expiry: Option<DateTime<Utc>>,
}

/// Where requests carry a credential.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Bearer,
    Basic(String),
    Header(HeaderName, Cow<'static, str>),
    Query(Arc<str>),
    Form(Arc<str>),
    Path,
}

impl Credential {
    /// An access token.
    pub(super) const fn bearer(secret: SecretString, expiry: Option<DateTime<Utc>>) -> Self {
        Self { place: Place::Bearer, secret, expiry }
    }

    /// A configured secret, with the expiry that it states itself.
    pub(super) fn fixed(place: Place, secret: SecretString) -> Self {
        let expiry = jwt_expiry(secret.expose_secret());
        Self { place, secret, expiry }
    }

    /// A request that carries the credential.
    pub(super) fn add(
        &self,
        client: &Client,
        request: &Request,
    ) -> Result<RequestBuilder, PollError> {
        let secret = self.secret.expose_secret();
        let mut url = request.url.clone();
        let plain = |url| request.build(client, url);
        let with = |url, name, value| Ok(plain(url).header(name, value));
        match &self.place {
            Place::Bearer => {
                let value = header_value(&format!("Bearer {secret}"), "token")?;
                with(url, &AUTHORIZATION, value)
            }
            Place::Basic(user) => with(url, &AUTHORIZATION, basic(user, secret, "password")?),
            Place::Header(name, prefix) => {
                with(url, name, header_value(&format!("{prefix}{secret}"), "token")?)
            }
            Place::Query(name) => {
                url.query_pairs_mut().append_pair(name, secret);
                Ok(plain(url))
            }
            Place::Form(name) => {
                let mut request = request.clone();
                if let Some(Body::Form(pairs)) = &mut request.body {
                    pairs.push((name.to_string(), secret.to_owned()));
                }
                Ok(request.build(client, url))
            }
            Place::Path => {
                let mut encoded = url.clone();
                if let Ok(mut path) = encoded.path_segments_mut() {
                    path.clear().push(secret);
                }
                let encoded = encoded.path().trim_start_matches('/');
                let path = url.path().replace(PATH_PLACEHOLDER, encoded);
                url.set_path(&path);
                Ok(plain(url))
            }
        }
    }
}

/// HTTP Basic authentication (RFC 7617). An error names the password `name`.
pub(super) fn basic(user: &str, password: &str, name: &str) -> Result<HeaderValue, PollError> {
    let pair = SecretString::from(BASE64_STANDARD.encode(format!("{user}:{password}")));
    redaction::register(&pair);
    header_value(&format!("Basic {}", pair.expose_secret()), name)
}

/// A secret as the value of a header. An error calls it `name`.
fn header_value(secret: &str, name: &str) -> Result<HeaderValue, PollError> {
    let value = HeaderValue::from_str(secret).map_err(|_| {
        let message = format!("{name}: cannot be sent in an HTTP header");
        PollError::new(Reason::Auth, message)
    });
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// When a token expires, if it is a JSON Web Token that says so (RFC 7519, 4.1.4). The provider checks
/// its signature.
fn jwt_expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let mut parts = token.split('.');
    let claims = parts.nth(1).filter(|_| parts.count() == 1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    DateTime::from_timestamp(claims.exp, 0)
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::*;

    #[test]
    fn a_jwt_has_an_expiry() {
        let jwt = |claims: &str| format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(claims));
        let expiry = |token: &str| jwt_expiry(token).map(|time| time.timestamp());
        assert_eq!(expiry(&jwt(r#"{"sub":"x","exp":1800000000}"#)), Some(1_800_000_000));
        for token in [
            &jwt(r#"{"sub":"x","iat":1}"#),
            &jwt(r#"{"exp":"soon"}"#),
            &jwt(r#"{"exp":9223372036854775807}"#),
            &jwt("[]"),
            "opaque",
            "",
            "a.b.c",
            "a.b",
            "..",
        ] {
            assert_eq!(expiry(token), None, "{token}");
        }
    }

    #[test]
    fn a_credential_is_sent_in_its_place() {
        let client = Client::new();
        let url = Url::parse("https://api.example.com/x%2Fy/bot~token~?a=1").unwrap();
        let request = |place| {
            let secret = SecretString::from("hunter2 &");
            let credential = Credential { place, secret, expiry: None };
            let mut request = Request::get(url.clone());
            if matches!(credential.place, Place::Form(_)) {
                request.body = Some(Body::Form(vec![("a".to_owned(), "1".to_owned())]));
            }
            credential.add(&client, &request).unwrap().build().unwrap()
        };
        let header = |request: &reqwest::Request, name: &str| {
            request.headers()[name].to_str().unwrap().to_owned()
        };
        assert_eq!(header(&request(Place::Bearer), "authorization"), "Bearer hunter2 &");
        assert_eq!(
            header(&request(Place::Basic("ann".to_owned())), "authorization"),
            "Basic YW5uOmh1bnRlcjIgJg=="
        );
        let name = HeaderName::from_static("x-api-key");
        let own = request(Place::Header(name, "Key ".into()));
        assert_eq!(header(&own, "x-api-key"), "Key hunter2 &");
        assert!(!format!("{own:?}").contains("hunter2"));
        let query = request(Place::Query("key".into()));
        assert_eq!(query.url().query(), Some("a=1&key=hunter2+%26"));
        let form = request(Place::Form("key".into()));
        let body = form.body().and_then(reqwest::Body::as_bytes).unwrap();
        assert_eq!(body, b"a=1&key=hunter2+%26");
        assert_eq!(request(Place::Path).url().path(), "/x%2Fy/bothunter2%20&");
    }
}
