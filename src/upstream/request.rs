//! Requests to providers, before a credential is added.

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to.
    pub url: Url,
    /// Headers that the provider requires besides those of every request. They replace these.
    pub headers: HeaderMap,
    /// What is posted; without a body the request is a GET.
    pub body: Option<Body>,
}

/// The body of a POST request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A form.
    Form(Vec<(String, String)>),
    /// JSON.
    Json(Value),
}

impl Request {
    /// A GET request.
    pub fn get(url: Url) -> Self {
        Self { url, headers: HeaderMap::new(), body: None }
    }

    /// The request as the HTTP client takes it.
    pub(super) fn build(&self, client: &Client, url: Url) -> RequestBuilder {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        let (request, content_type) = match &self.body {
            // there is no body, but two of the providers document this header
            None => (client.get(url), JSON),
            Some(Body::Json(json)) => (client.post(url).body(json.to_string()), JSON),
            Some(Body::Form(pairs)) => {
                let form =
                    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
                (client.post(url).body(form), FORM)
            }
        };
        let mut headers = HeaderMap::from_iter([(ACCEPT, JSON), (CONTENT_TYPE, content_type)]);
        headers.extend(self.headers.clone());
        request.headers(headers)
    }
}
