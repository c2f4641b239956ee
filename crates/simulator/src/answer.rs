//! Answers and how they are written to the connection.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{Stream, TryStreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response,
    body::Frame,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
    http::{Result, response::Builder},
};
use serde_json::Value;

use super::Request;

/// Minimum body size for compression, in bytes.
const COMPRESSED_ABOVE: usize = 1_000;

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An API's answer before it is encoded.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Additional headers.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub content: Content,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Content {
    /// JSON.
    Json(Value),
    /// Any other content.
    Other {
        /// The `Content-Type`.
        content_type: &'static str,
        /// The bytes.
        body: Bytes,
    },
}

/// The outcome of a request.
pub(crate) enum Reply {
    Response(Response<Body>),
    /// A response, possibly delayed.
    Late(Duration, Response<Body>),
    /// No response; the connection stays open until the client gives up.
    Silence,
    /// A closed connection.
    None,
}

impl Answer {
    /// Returns a JSON answer.
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(value) }
    }

    /// Returns a text answer.
    pub fn text(status: u16, content_type: &'static str, text: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Other { content_type, body: text.into() },
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, header: HeaderName, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    /// Returns the listed items: the only array in the body, or `None` if the answer lists no
    /// items.
    pub fn items(&mut self) -> Option<&mut Vec<Value>> {
        let Content::Json(Value::Object(body)) = &mut self.content else {
            return None;
        };
        body.values_mut().find_map(Value::as_array_mut)
    }

    /// Returns the response without any fault.
    pub(crate) fn respond(self, request: &Request) -> Result<Response<Body>> {
        let (head, body) = self.encode(request);
        head.body(full(body))
    }

    /// Returns the head and the body, compressed if the client accepts gzip and the body is large
    /// enough.
    pub(crate) fn encode(self, request: &Request) -> (Builder, Bytes) {
        let (head, body) = self.render();
        if body.len() > COMPRESSED_ABOVE
            && request.header_has(&ACCEPT_ENCODING, "gzip")
            && let Ok(compressed) = gzip(&body)
        {
            (head.header(CONTENT_ENCODING, "gzip"), compressed.into())
        } else {
            (head, body)
        }
    }

    /// Returns the head and the uncompressed body.
    pub(crate) fn render(self) -> (Builder, Bytes) {
        let (content_type, body) = match self.content {
            Content::Json(value) => ("application/json", value.to_string().into()),
            Content::Other { content_type, body } => (content_type, body),
        };
        let mut head = Response::builder().status(self.status).header(CONTENT_TYPE, content_type);
        for (name, value) in self.headers {
            head = head.header(name, value);
        }
        (head, body)
    }
}

/// Returns a complete body of known length.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body sent in chunks.
pub(crate) fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
