//! Requests from clients.

use std::{io, str::FromStr, time::Instant};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName},
};
use reqwest::Url;
use serde_json::Value;

/// Maximum size of a body; a form with two tokens is about 3 kB.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A received request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method, for example `GET`.
    pub method: String,
    /// The path and query, still encoded.
    pub path_and_query: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The decoded form fields; empty if there is no form or it is too large.
    pub form: Vec<(String, String)>,
    /// The body as JSON; null if it is not JSON or too large.
    pub json: Value,
    /// When the request head was received.
    pub at: Instant,
}

impl Request {
    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        self.path_and_query.split_once('?').map_or(&self.path_and_query, |(path, _)| path)
    }

    /// Returns the decoded value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse("http://localhost").ok()?;
        let url = url.join(&self.path_and_query).ok()?;
        let (_, value) = url.query_pairs().find(|(key, _)| key == name)?;
        Some(value.into_owned())
    }

    /// Returns the value of a form field; `None` if it is empty.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.form.iter();
        let (_, value) = fields.find(|(key, value)| key == name && !value.is_empty())?;
        Some(value)
    }

    /// Returns whether the `Content-Type` declares a form.
    pub fn is_form(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE);
        content_type.and_then(|value| value.to_str().ok()?.split(';').next()).is_some_and(
            |essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"),
        )
    }

    /// Parses an optional query parameter.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, T::Err> {
        self.parameter(name).map(|value| value.parse()).transpose()
    }

    /// Returns whether a header contains a text.
    pub fn header_has(&self, name: &HeaderName, text: &str) -> bool {
        self.headers
            .get_all(name)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains(text)))
    }

    /// Returns whether the request carries this bearer token.
    pub fn bears(&self, token: &str) -> bool {
        self.bearer() == Some(token)
    }

    /// Returns the bearer token.
    pub fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ")
    }

    /// Reads a request to its end; fails if the client disconnects.
    pub(crate) async fn read(request: hyper::Request<Incoming>) -> io::Result<Self> {
        let at = Instant::now();
        let (head, body) = request.into_parts();
        let mut request = Self {
            method: head.method.to_string(),
            path_and_query: head.uri.to_string(),
            headers: head.headers,
            form: Vec::new(),
            json: Value::Null,
            at,
        };
        match Limited::new(body, MAX_BODY_BYTES).collect().await {
            Ok(body) if request.is_form() => {
                let body = body.to_bytes();
                request.form = form_urlencoded::parse(&body).into_owned().collect();
            }
            Ok(body) => {
                request.json = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            }
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::{
        super::{Simulator, State, tests::PLAIN},
        *,
    };

    const FORM: &str = "application/x-www-form-urlencoded";

    async fn simulator() -> Simulator {
        let state = State::new("secret", Vec::new());
        Simulator::start(&PLAIN, state).await.unwrap()
    }

    async fn post(simulator: &Simulator, content_type: &str, body: String) -> Request {
        let request = reqwest::Client::new().post(simulator.base_url());
        let request = request.header("content-type", content_type).body(body);
        request.send().await.unwrap();
        simulator.requests().pop().unwrap()
    }

    #[tokio::test]
    async fn a_form_is_decoded() {
        let simulator = simulator().await;
        let form = "a=1+2%263%C3%A9&empty=&b";
        for content_type in [FORM, "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
            let request = post(&simulator, content_type, form.to_owned()).await;
            assert!(request.is_form(), "{content_type}");
            let pairs: Vec<_> = request.form.iter().map(|(k, v)| (&k[..], &v[..])).collect();
            assert_eq!(pairs, [("a", "1 2&3é"), ("empty", ""), ("b", "")]);
            assert_eq!(request.field("a"), Some("1 2&3é"));
            assert_eq!(request.field("empty"), None);
            assert_eq!(request.field("c"), None);
        }
    }

    #[tokio::test]
    async fn other_bodies_and_oversized_forms_are_ignored() {
        let simulator = simulator().await;
        let request = post(&simulator, "application/json", "a=1".to_owned()).await;
        assert!(!request.is_form() && request.form.is_empty());
        let long = format!("a={}", "x".repeat(MAX_BODY_BYTES));
        assert!(post(&simulator, FORM, long).await.form.is_empty());
        let longest = format!("a={}", "x".repeat(MAX_BODY_BYTES - 2));
        assert_eq!(post(&simulator, FORM, longest).await.form.len(), 1);
    }

    #[tokio::test]
    async fn an_incomplete_request_is_not_recorded() {
        let simulator = simulator().await;
        let address = simulator.base_url().replace("http://", "");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST / HTTP/1.1\r\ncontent-type: {FORM}\r\ncontent-length: 9\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"a=1").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        timeout(Duration::from_secs(5), end).await.unwrap().unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{answer:?}");
        assert_eq!(simulator.read(|state| state.answered), 0);
    }
}
