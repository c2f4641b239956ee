//! What a client asked.

use std::str::FromStr;

use hyper::{
    HeaderMap,
    body::Incoming,
    header::{AUTHORIZATION, HeaderName},
};
use reqwest::Url;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// For instance `GET`.
    pub method: String,
    /// The path and, after a question mark, the query, both still encoded.
    pub path_and_query: String,
    /// All headers.
    pub headers: HeaderMap,
}

impl Request {
    /// The path alone.
    pub fn path(&self) -> &str {
        self.path_and_query
            .split_once('?')
            .map_or(&self.path_and_query, |(path, _)| path)
    }

    /// The decoded value of the query parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse("http://localhost").ok()?;
        let url = url.join(&self.path_and_query).ok()?;
        let (_, value) = url.query_pairs().find(|(key, _)| key == name)?;
        Some(value.into_owned())
    }

    /// A query parameter that has to be of some type if it is there.
    pub(super) fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, T::Err> {
        self.parameter(name).map(|value| value.parse()).transpose()
    }

    /// Whether a header's value contains a text.
    pub(super) fn header_has(&self, name: &HeaderName, text: &str) -> bool {
        self.headers
            .get_all(name)
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains(text)))
    }

    pub(super) fn bears(&self, token: &str) -> bool {
        self.headers
            .get(AUTHORIZATION)
            .is_some_and(|value| *value == *format!("Bearer {token}"))
    }
}

impl From<&hyper::Request<Incoming>> for Request {
    fn from(request: &hyper::Request<Incoming>) -> Self {
        Self {
            method: request.method().to_string(),
            path_and_query: request.uri().to_string(),
            headers: request.headers().clone(),
        }
    }
}
