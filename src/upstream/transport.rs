//! Single requests: time limits, size limits of answers, and transport errors.

use std::error::Error;
use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use encoding_rs::{Encoding, UTF_8};
use flate2::bufread::GzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use rustls::InvalidMessage;

use super::answer::{Answer, retry_after};
use super::client::{Client, Pool};
use super::credential::Credential;
use super::error::{OUT_OF_FILES, cause, is_out_of_files};
use super::request::Request;
use super::{PollError, Reason};
use crate::document::duration_text;

/// The code under which a request without an answer is counted.
const NO_ANSWER: &str = "error";

/// Maximum size of a body after decompression. The largest documented page, 1,000 campaigns with
/// texts of 1,600 characters, has about 2 MB.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Maximum length of an address: the library refuses longer ones as if the connection had failed. Only
/// the mark of the next page is long.
pub const MAX_URL_BYTES: usize = 60_000;

/// Compressions that are not asked for. Any other unknown `Content-Encoding` is no compression, such as
/// `none` or `UTF-8`.
const OTHER_COMPRESSIONS: [&[u8]; 7] =
    [b"br", b"zstd", b"deflate", b"compress", b"x-compress", b"dcb", b"dcz"];

/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Maximum number of compressions of a body. Gateways are known to add one to the provider's.
const MAX_ENCODINGS: usize = 2;

/// Maximum number of members of a gzip body. Each takes time even if it is empty; programs that write
/// many begin one every 64 KiB.
const MAX_MEMBERS: usize = 1_000;

/// Maximum size of all answers of one poll: twice the size of a million campaigns with texts of usual
/// length.
const MAX_POLL_BYTES: usize = 1024 * 1024 * 1024;

/// Shortest time limit of a request to an authorization server: a request that times out may still
/// have replaced a token.
const MIN_TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time limit of a request to an authorization server: shutdown waits for it.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes requests, each with a time limit that includes the body.
#[derive(Clone, Debug)]
pub struct Transport {
    client: Client,
    request_timeout: Duration,
}

/// The address in front of these documented paths. A base address can end with the first segments of
/// one, such as the version of the API.
pub fn root<'a>(base_url: &Url, paths: impl IntoIterator<Item = &'a str>) -> Url {
    let base = base_url.path().trim_end_matches('/');
    let starts = paths.into_iter().flat_map(|path| {
        let ends = path.match_indices('/').map(|(end, _)| end);
        ends.chain([path.len()]).filter_map(|end| path.get(..end))
    });
    let rests = starts.filter_map(|start| base.strip_suffix(start));
    let mut url = base_url.clone();
    url.set_path(rests.min_by_key(|rest| rest.len()).unwrap_or(base));
    url
}

/// The address of a documented path, below the path of a gateway if the base address has one.
pub fn endpoint(base_url: &Url, path: &str) -> Url {
    let base = base_url.path().trim_end_matches('/');
    let mut url = base_url.clone();
    url.set_path(&format!("{base}{path}"));
    url
}

/// Whether traffic to an address cannot be read on the way: `https`, or `http` to the loopback interface.
pub fn is_private(url: &Url) -> bool {
    // http and https addresses always have a host; an IPv6 one is in brackets
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    url.scheme() == "https" || url.scheme() == "http" && (host == "localhost" || is_loopback)
}

impl Transport {
    /// Makes requests with `client`, each within `request_timeout`.
    pub const fn new(client: Client, request_timeout: Duration) -> Self {
        Self { client, request_timeout }
    }

    /// Sends a request to `url`. `received` counts the bytes of all answers of a poll, whose sum is
    /// limited.
    async fn send(
        &self,
        url: &Url,
        request: impl FnOnce(&reqwest::Client) -> Result<RequestBuilder, PollError>,
        timeout: Duration,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        let prepared = self.client.pool(url).and_then(|pool| Ok((request(&pool.client)?, pool)));
        let (request, pool) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return (NO_ANSWER.to_owned(), Err(error)),
        };
        let request = request.header(ACCEPT_ENCODING, "gzip").timeout(timeout);
        let (code, answer) = match request.send().await {
            Ok(response) => {
                let code = response.status().as_str().to_owned();
                (code, read(response, &pool, received).await)
            }
            Err(error) => (NO_ANSWER.to_owned(), Err(transport_error(error, &pool))),
        };
        let answer = answer.map_err(|error| match error.reason {
            Reason::Timeout => {
                self.client.abandon(&pool, url);
                let (place, limit) = (pool.place(false), duration_text(timeout));
                let message = format!("{place}: no complete response within {limit}");
                PollError::new(Reason::Timeout, message)
            }
            _ => error,
        });
        (code, answer)
    }

    /// Posts a form to an authorization server.
    pub(super) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        form: String,
    ) -> Result<Answer, PollError> {
        let request =
            |client: &reqwest::Client| Ok(client.post(url.clone()).headers(headers).body(form));
        let timeout = self.request_timeout.clamp(MIN_TOKEN_TIMEOUT, TOKEN_TIMEOUT);
        self.send(&url, request, timeout, &AtomicUsize::new(0)).await.1
    }

    /// Gets an answer from a provider. Returns also the code that the request is counted under.
    pub(super) async fn fetch(
        &self,
        request: &Request,
        credential: &Credential,
        received: &AtomicUsize,
    ) -> (String, Result<Answer, PollError>) {
        let length = request.url.as_str().len();
        if length > MAX_URL_BYTES {
            let message = format!(
                "the address of the next page has {length} bytes, which is more than {MAX_URL_BYTES}"
            );
            return (NO_ANSWER.to_owned(), Err(PollError::new(Reason::Pagination, message)));
        }
        let prepare = |client: &reqwest::Client| credential.add(client, request);
        self.send(&request.url, prepare, self.request_timeout, received).await
    }
}

async fn read(
    mut response: Response,
    pool: &Pool,
    received: &AtomicUsize,
) -> Result<Answer, PollError> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let message = "HTTP 206, a part of an answer that was asked for as a whole";
        return Err(PollError::new(Reason::Decode, message));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let content_type = header(CONTENT_TYPE).unwrap_or("no content type").to_owned();
    let retry_after = header(RETRY_AFTER).and_then(|value| retry_after(value, Utc::now()));
    let encodings = encodings(response.headers())?;
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|error| transport_error(error, pool))? else {
            break;
        };
        check_size(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let mut body = body.freeze();
    for _ in 0..encodings {
        body = decompress(&body)?;
    }
    if let Some(text) = in_legacy_charset(&content_type, &body) {
        body = text.into();
    }
    let before = received.fetch_add(body.len(), Ordering::Relaxed);
    if before + body.len() > MAX_POLL_BYTES {
        return Err(too_large("the answers of this poll exceed", MAX_POLL_BYTES));
    }
    Ok(Answer {
        status: response.status().as_u16(),
        content_type,
        retry_after,
        headers: response.headers().clone(),
        body,
    })
}

fn too_large(what: &str, most: usize) -> PollError {
    PollError::new(Reason::TooLarge, format!("{what} {most} bytes"))
}

fn check_size(bytes: usize) -> Result<(), PollError> {
    if bytes > MAX_BODY_BYTES {
        return Err(too_large("the answer exceeds", MAX_BODY_BYTES));
    }
    Ok(())
}

/// How often the body is compressed with gzip. Any other encoding is an error.
fn encodings(headers: &HeaderMap) -> Result<usize, PollError> {
    let values = headers.get_all(CONTENT_ENCODING).iter();
    let mut gzip = 0;
    for value in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" if gzip < MAX_ENCODINGS => gzip += 1,
            other if OTHER_COMPRESSIONS.contains(&other) || other.ends_with(b"gzip") => {
                let other = String::from_utf8_lossy(other);
                let message = format!(
                    "the answer has an unsupported Content-Encoding {other:?}: only gzip is asked for"
                );
                return Err(PollError::new(Reason::Decode, message));
            }
            _ => {}
        }
    }
    Ok(gzip)
}

/// Decompresses what is gzip in fact. As `gunzip` does, it ignores what follows the last member.
fn decompress(compressed: &Bytes) -> Result<Bytes, PollError> {
    let mut rest = &**compressed;
    if !rest.starts_with(&GZIP) {
        return Ok(compressed.clone());
    }
    let (mut body, mut members) = (Vec::new(), 0);
    while rest.starts_with(&GZIP) {
        members += 1;
        if members > MAX_MEMBERS {
            let message = format!("the answer has more than {MAX_MEMBERS} gzip members");
            return Err(PollError::new(Reason::TooLarge, message));
        }
        let mut decoder = GzDecoder::new(rest);
        let most = (MAX_BODY_BYTES + 1).saturating_sub(body.len());
        decoder.by_ref().take(most as u64).read_to_end(&mut body).map_err(|error| {
            PollError::new(Reason::Decode, format!("the answer is not valid gzip: {error}"))
        })?;
        check_size(body.len())?;
        rest = decoder.into_inner();
    }
    Ok(body.into())
}

/// The text of a body that is not UTF-8, if the answer declares how it is encoded.
fn in_legacy_charset(content_type: &str, body: &[u8]) -> Option<String> {
    let (_, charset) = content_type.split_once("charset=")?;
    let label = charset.split(';').next()?.trim_matches(['"', ' ']);
    let encoding = Encoding::for_label(label.as_bytes()).filter(|it| *it != UTF_8)?;
    let is_utf8 = std::str::from_utf8(body).is_ok();
    (!is_utf8 && encoding.is_single_byte())
        .then(|| encoding.decode_without_bom_handling(body).0.into_owned())
}

/// The error of a request without a whole answer.
fn transport_error(error: reqwest::Error, pool: &Pool) -> PollError {
    let place = |is_before_host| pool.place(is_before_host);
    let known = |reason, text: &str| PollError::new(reason, format!("{}: {text}", place(false)));
    let reason = if error.is_timeout() {
        Reason::Timeout
    } else if let Some(tls) = cause::<rustls::Error>(&error) {
        if matches!(tls, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) {
            let text = "the server does not speak TLS: use http:// or the right port";
            return known(Reason::Tls, text);
        }
        Reason::Tls
    } else if cause(&error).is_some_and(hyper::Error::is_parse_too_large) {
        // more headers than the limit
        Reason::TooLarge
    } else if is_out_of_files(&error) {
        return known(Reason::Network, OUT_OF_FILES);
    } else if is_no_http(&error) {
        return known(Reason::Decode, "the answer is not valid HTTP");
    } else {
        Reason::Network
    };
    let is_before_host = error.is_connect() && reason == Reason::Network;
    // its query may contain a secret
    let error = error.without_url();
    let mut message = format!("{}: {error}", place(is_before_host));
    let mut cause = error.source();
    while let Some(inner) = cause {
        message.push_str(": ");
        message.push_str(&inner.to_string());
        cause = inner.source();
    }
    if reason == Reason::Tls {
        message = in_words(&message);
    }
    PollError::new(reason, message)
}

/// A message that ends with the name of a Rust value, such as `Other(OtherError(CaUsedAsEndEntity))`, with
/// words in its place.
fn in_words(message: &str) -> String {
    let (text, name) = message.rsplit_once(": ").unwrap_or(("", message));
    let inner = name.trim_end_matches(')').rsplit('(').next().unwrap_or_default();
    if !inner.chars().all(|char| char.is_ascii_alphanumeric()) {
        return message.to_owned();
    }
    let mut words = String::new();
    for char in inner.chars() {
        if char.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(char.to_ascii_lowercase());
    }
    format!("{text}: {words}")
}

/// Whether the answer, or the size of one of its parts, is malformed.
fn is_no_http(error: &reqwest::Error) -> bool {
    cause(error).is_some_and(hyper::Error::is_parse)
        || cause(error).is_some_and(|error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;

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

    #[test]
    fn names_of_values_become_words() {
        for (message, expected) in [
            (
                "a: invalid peer certificate: UnknownIssuer",
                "a: invalid peer certificate: unknown issuer",
            ),
            ("a: Other(OtherError(CaUsedAsEndEntity))", "a: ca used as end entity"),
            ("a: certificate not valid for name \"b\"", "a: certificate not valid for name \"b\""),
        ] {
            assert_eq!(in_words(message), expected);
        }
    }

    #[tokio::test]
    async fn answers_are_bounded_alone_and_together() {
        let url = Url::parse("http://127.0.0.1").unwrap();
        let pool = Client::local().unwrap().pool(&url).unwrap();
        let read = async |length: usize, before: usize| {
            let response = Response::from(hyper::Response::new(vec![b'x'; length]));
            let answer = read(response, &pool, &AtomicUsize::new(before)).await;
            answer.map_err(|error| error.reason)
        };
        assert!(read(MAX_BODY_BYTES, 0).await.is_ok());
        assert_eq!(read(MAX_BODY_BYTES + 1, 0).await.unwrap_err(), Reason::TooLarge);
        assert!(read(9, MAX_POLL_BYTES - 9).await.is_ok());
        assert_eq!(read(9, MAX_POLL_BYTES - 8).await.unwrap_err(), Reason::TooLarge);
    }

    #[tokio::test]
    async fn a_body_is_read_as_it_is_in_fact() {
        let url = Url::parse("http://127.0.0.1").unwrap();
        let pool = Client::local().unwrap().pool(&url).unwrap();
        let gzip = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let json = "{\"a\":\"ü\"}";
        let (whole, latin) = (gzip(json.as_bytes()), b"{\"a\":\"\xfc\"}".to_vec());
        let halves = [gzip(&json.as_bytes()[..4]), gzip(&json.as_bytes()[4..])].concat();
        for (encoding, charset, body, is_read) in [
            ("none", "utf-8", json.into(), true),
            ("UTF-8", "utf-8", json.into(), true),
            ("gzip", "utf-8", json.into(), true),
            ("gzip", "utf-8", whole.clone(), true),
            ("gzip", "utf-8", halves, true),
            ("gzip", "utf-8", [&whole, &b"\0\0junk"[..]].concat(), true),
            ("gzip", "utf-8", [gzip(b"").repeat(MAX_MEMBERS - 1), whole.clone()].concat(), true),
            ("gzip", "utf-8", [gzip(b"").repeat(MAX_MEMBERS), whole.clone()].concat(), false),
            ("gzip", "utf-8", whole[..whole.len() - 9].to_vec(), false),
            ("gzip, gzip", "utf-8", gzip(&whole), true),
            ("br", "utf-8", json.into(), false),
            ("", "ISO-8859-1", latin.clone(), true),
            ("", "\"windows-1252\"; x=y", latin, true),
            ("", "iso-8859-1", json.into(), true),
        ] {
            let response = hyper::Response::builder()
                .header(CONTENT_ENCODING, encoding)
                .header(CONTENT_TYPE, format!("application/json; charset={charset}"));
            let response = Response::from(response.body(body).unwrap());
            let answer = read(response, &pool, &AtomicUsize::new(0)).await;
            let body = answer.map(|answer| answer.body);
            assert_eq!(body.is_ok_and(|body| body == json), is_read, "{encoding} {charset}");
        }
    }

    #[tokio::test]
    async fn a_transport_error_names_the_host_alone() {
        let transport = Transport::new(Client::local().unwrap(), Duration::from_secs(9));
        let url = Url::parse("http://127.0.0.1:1/?token=in-the-query").unwrap();
        let credential = Credential::bearer("x".into(), None);
        let mut long = url.clone();
        long.set_query(Some(&"x".repeat(MAX_URL_BYTES)));
        let refused =
            transport.fetch(&Request::get(long), &credential, &AtomicUsize::new(0)).await.1;
        assert_eq!(refused.unwrap_err().reason, Reason::Pagination);
        let (code, answer) =
            transport.fetch(&Request::get(url), &credential, &AtomicUsize::new(0)).await;
        let error = answer.unwrap_err();
        assert_eq!((code.as_str(), error.reason), (NO_ANSWER, Reason::Network));
        assert!(error.message.starts_with("127.0.0.1:1: "), "{error}");
        assert!(!error.message.contains("in-the-query"), "{error}");
    }
}
