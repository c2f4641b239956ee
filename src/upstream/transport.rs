//! Single requests: time limits, size limits of answers, and transport errors.

use std::error::Error;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use chrono::Utc;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, Url};

use super::answer::{Answer, retry_after};
use super::auth::Credential;
use super::{PollError, Reason};

/// The code under which a request without an answer is counted.
const NO_ANSWER: &str = "error";

/// The `User-Agent`.
const USER_AGENT: &str = concat!("campaign_exporter/", env!("CARGO_PKG_VERSION"));

/// Time limit of a connection, TLS included, within the limit of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a body after decompression. The largest documented page, 1,000 campaigns with
/// texts of 1,600 characters, has about 2 MB.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Maximum size of all answers of one poll: twice the size of a million campaigns with texts of usual
/// length.
const MAX_POLL_BYTES: usize = 1024 * 1024 * 1024;

/// An HTTP client for all accounts.
pub fn client(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    builder
        .user_agent(USER_AGENT)
        // a redirect could send the token to another host
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
}

/// Shortest time limit of a request to an authorization server: a request that times out may still
/// have replaced a token.
const MIN_TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time limit of a request to an authorization server: shutdown waits for it.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes requests, each with a time limit that includes the body.
#[derive(Clone, Debug)]
pub struct Transport {
    client: reqwest::Client,
    request_timeout: Duration,
}

/// The address of a documented path. The base address can have a path of its own, such as that of a
/// gateway.
pub fn endpoint(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", base_url.path().trim_end_matches('/')));
    url
}

/// Whether nobody on the way can read what is exchanged with an address: `https`, or `http` within this
/// machine.
pub fn is_private(url: &Url) -> bool {
    // http and https addresses always have a host; an IPv6 one is in brackets
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    url.scheme() == "https" || url.scheme() == "http" && (host == "localhost" || is_loopback)
}

impl Transport {
    /// Makes requests with `client`, each within `request_timeout`.
    pub const fn new(client: reqwest::Client, request_timeout: Duration) -> Self {
        Self {
            client,
            request_timeout,
        }
    }

    /// Sends a request. `received` counts the bytes of all answers of a poll, whose sum is limited.
    async fn send(
        &self,
        request: RequestBuilder,
        timeout: Duration,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        match request.timeout(timeout).send().await {
            Ok(response) => {
                let code = response.status().as_str().to_owned();
                (code, read(response, received).await)
            }
            Err(error) => (NO_ANSWER.to_owned(), Err(transport_error(error))),
        }
    }

    /// Posts a form to an authorization server.
    pub(super) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        form: String,
    ) -> Result<Answer, PollError> {
        let request = self.client.post(url).headers(headers).body(form);
        let timeout = self.request_timeout.clamp(MIN_TOKEN_TIMEOUT, TOKEN_TIMEOUT);
        self.send(request, timeout, &AtomicUsize::new(0)).await.1
    }

    /// Gets an answer from a provider. Returns also the code that the request is counted under.
    pub(super) async fn get(
        &self,
        url: &Url,
        credential: &Credential,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        let request = match credential.get(&self.client, url) {
            Ok(request) => request,
            Err(error) => return (NO_ANSWER.to_owned(), Err(error)),
        };
        let request = request
            .header(ACCEPT, "application/json")
            // there is no body, but two of the providers document this header
            .header(CONTENT_TYPE, "application/json");
        self.send(request, self.request_timeout, received).await
    }
}

async fn read(mut response: Response, received: &AtomicUsize) -> Result<Answer, PollError> {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let content_type = header(CONTENT_TYPE).unwrap_or("no content type").to_owned();
    let retry_after = header(RETRY_AFTER).and_then(|value| retry_after(value, Utc::now()));
    let too_large = |what: &str, most: usize| {
        Err(PollError::new(
            Reason::TooLarge,
            format!("{what} {most} bytes"),
        ))
    };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_error)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return too_large("the answer exceeds", MAX_BODY_BYTES);
        }
        let before = received.fetch_add(chunk.len(), Ordering::Relaxed);
        if before + chunk.len() > MAX_POLL_BYTES {
            return too_large("the answers of this poll exceed", MAX_POLL_BYTES);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status().as_u16(),
        content_type,
        retry_after,
        body: body.freeze(),
    })
}

/// The error of a request without a whole answer.
fn transport_error(error: reqwest::Error) -> PollError {
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if caused_by::<rustls::Error>(&error) {
        Reason::Tls
    } else if error.is_decode() && !caused_by::<hyper::Error>(&error) {
        // the body does not match its Content-Encoding
        Reason::Decode
    } else {
        Reason::Network
    };
    // the address is known from the configuration, and its query may contain a secret
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message.push_str(": ");
        message.push_str(&inner.to_string());
        cause = inner.source();
    }
    PollError::new(reason, message)
}

/// Whether an error of type `E` is in the chain. An `io::Error` hides the error that it holds from
/// `source`.
fn caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.is::<E>() {
            return true;
        }
        cause = match inner
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(held) => Some(held),
            None => inner.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_and_local_addresses_are_private() {
        for (url, expected) in [
            ("https://example.com", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:80", true),
            ("http://127.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://localhost", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(is_private(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn answers_are_bounded_alone_and_together() {
        let read = async |length: usize, before: usize| {
            let response = Response::from(hyper::Response::new(vec![b'x'; length]));
            let answer = read(response, &AtomicUsize::new(before)).await;
            answer.map_err(|error| error.reason)
        };
        assert!(read(MAX_BODY_BYTES, 0).await.is_ok());
        assert_eq!(
            read(MAX_BODY_BYTES + 1, 0).await.unwrap_err(),
            Reason::TooLarge
        );
        assert!(read(9, MAX_POLL_BYTES - 9).await.is_ok());
        assert_eq!(
            read(9, MAX_POLL_BYTES - 8).await.unwrap_err(),
            Reason::TooLarge
        );
    }

    #[tokio::test]
    async fn a_transport_error_does_not_show_the_address() {
        let client = client(reqwest::Client::builder().no_proxy()).unwrap();
        let transport = Transport::new(client, Duration::from_secs(9));
        let url = Url::parse("http://127.0.0.1:1/?token=in-the-query").unwrap();
        let credential = Credential::bearer("x".into(), None);
        let (code, answer) = transport.get(&url, &credential, &AtomicUsize::new(0)).await;
        let error = answer.unwrap_err();
        assert_eq!((code.as_str(), error.reason), (NO_ANSWER, Reason::Network));
        assert!(!error.message.contains("in-the-query"), "{error}");
    }
}
