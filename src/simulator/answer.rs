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
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What an API answers, before it is written out.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) content: Content,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Json(Value),
    Other {
        content_type: &'static str,
        body: Bytes,
    },
}

/// What becomes of a request.
pub(super) enum Reply {
    Response(Response<Body>),
    /// The response after a while.
    Late(Duration, Response<Body>),
    /// Nothing for as long as the client waits.
    Silence,
    /// The connection ends.
    None,
}

impl Answer {
    pub(super) fn json(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Json(value),
        }
    }

    pub(super) fn text(status: u16, content_type: &'static str, text: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Other {
                content_type,
                body: text.into(),
            },
        }
    }

    pub(super) fn with(mut self, header: HeaderName, value: String) -> Self {
        self.headers.push((header, value));
        self
    }

    /// The listed items, which are in the only array of a body; none in another answer.
    pub(super) fn items(&mut self) -> Option<&mut Vec<Value>> {
        let Content::Json(Value::Object(body)) = &mut self.content else {
            return None;
        };
        body.values_mut().find_map(Value::as_array_mut)
    }

    /// The response as it should be.
    pub(super) fn respond(self, request: &Request) -> Result<Response<Body>> {
        let (head, body) = self.encode(request);
        head.body(full(body))
    }

    /// The head and the body, compressed if the client knows that and it is worth it.
    pub(super) fn encode(self, request: &Request) -> (Builder, Bytes) {
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
    pub(super) fn render(self) -> (Builder, Bytes) {
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
pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that comes piece by piece.
pub(super) fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
