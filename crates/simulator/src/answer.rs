//! Answers, and their way onto the wire.

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

/// Shorter bodies are not compressed.
const COMPRESSED_ABOVE: usize = 1_000;

/// The body of a response.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What an API answers, before it is written out.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub content: Content,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Content {
    /// JSON.
    Json(Value),
    /// Anything else.
    Other {
        /// Its `Content-Type`.
        content_type: &'static str,
        /// The bytes.
        body: Bytes,
    },
}

/// What becomes of a request.
pub(crate) enum Reply {
    Response(Response<Body>),
    /// The response after a while.
    Late(Duration, Response<Body>),
    /// Nothing for as long as the client waits.
    Silence,
    /// The connection ends.
    None,
}

impl Answer {
    /// JSON with a status.
    pub fn json(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Json(value),
        }
    }

    /// Text with a status.
    pub fn text(status: u16, content_type: &'static str, text: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Other {
                content_type,
                body: text.into(),
            },
        }
    }

    /// The answer with another header.
    #[must_use]
    pub fn with(mut self, header: HeaderName, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    /// The listed items, which are in the only array of a body; none in another answer.
    pub fn items(&mut self) -> Option<&mut Vec<Value>> {
        let Content::Json(Value::Object(body)) = &mut self.content else {
            return None;
        };
        body.values_mut().find_map(Value::as_array_mut)
    }

    /// The response as it should be.
    pub(crate) fn respond(self, request: &Request) -> Result<Response<Body>> {
        let (head, body) = self.encode(request);
        head.body(full(body))
    }

    /// The head and the body, compressed if the client knows that and it is worth it.
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

    /// The head and the uncompressed body.
    pub(crate) fn render(self) -> (Builder, Bytes) {
        let (content_type, body) = match self.content {
            Content::Json(value) => ("application/json", value.to_string().into()),
            Content::Other { content_type, body } => (content_type, body),
        };
        let mut head = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, content_type);
        for (name, value) in self.headers {
            head = head.header(name, value);
        }
        (head, body)
    }
}

/// A body that is there at once, with its length.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that comes piece by piece.
pub(crate) fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
