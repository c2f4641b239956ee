//! Faults that an answer can have.

use std::{
    io::{self, Write},
    iter, mem,
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};
use hyper::{
    Response,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER},
    http::Result,
};
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::{
    Request, Server,
    answer::{Answer, Body, Content, Reply, full, streamed},
};

/// Which requests get a fault.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// The fault.
    pub fault: Fault,
    /// The number of requests to answer normally first.
    pub skip: u64,
    /// The number of requests that then get the fault; `None` means all.
    pub times: Option<u64>,
}

impl FaultPlan {
    /// Applies the fault to every request from now on.
    pub fn always(fault: Fault) -> Self {
        Self { fault, skip: 0, times: None }
    }

    /// Applies the fault to the next request only.
    pub fn once(fault: Fault) -> Self {
        Self { times: Some(1), ..Self::always(fault) }
    }

    /// Returns the fault for the current request and advances the plan.
    pub(crate) fn next(plan: &mut Option<Self>) -> Option<Fault> {
        let left = plan.as_mut()?;
        if left.skip > 0 {
            left.skip -= 1;
            return None;
        }
        match &mut left.times {
            Some(0) => None,
            Some(times) => {
                *times -= 1;
                Some(left.fault.clone())
            }
            None => Some(left.fault.clone()),
        }
    }
}

/// A fault in an answer.
///
/// A request whose answer is replaced is not processed. A request whose answer is corrupted is
/// processed, and any refresh token in it is used.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API's own error body.
    Status {
        /// The HTTP status.
        code: u16,
        /// The value of a `Retry-After` header.
        retry_after: Option<String>,
    },
    /// The answer for an exhausted daily quota.
    QuotaExceeded,
    /// A different body with status 200.
    Body {
        /// The `Content-Type`.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// Status 401 with a body that echoes the `Authorization` header and the form values.
    EchoToken,
    /// The request is processed, but the connection closes before any of the answer is sent.
    Unheard,
    /// The connection closes after half of the announced body.
    Truncated,
    /// The connection is reset after half of the announced body.
    Reset,
    /// The correct answer after a delay; the request takes effect before the delay.
    Delay {
        /// The delay.
        by: Duration,
    },
    /// No response at all until the client gives up; the request is not processed.
    Silence,
    /// Half of the correct body, with a matching content length.
    HalfJson,
    /// Half of the announced body, then silence until the client gives up.
    Stall,
    /// The correct body, padded with leading spaces to this length and sent without a content
    /// length.
    Huge {
        /// The length.
        bytes: u64,
    },
    /// The same, but compressed to a few bytes.
    GzipBomb {
        /// The uncompressed length.
        bytes: u64,
    },
    /// The correct body, declared as compressed, which it only begins like.
    BadGzip,
    /// An invalid UTF-8 byte at the end of a string in the first item, or in the body if there are
    /// no items.
    InvalidUtf8,
    /// Replaces each count of each item.
    Counts {
        /// The replacement: JSON, or invalid JSON such as `1e400`.
        json: String,
    },
    /// Every item of a page twice.
    Duplicated,
    /// The items of a page in a different order that depends only on the seed.
    Shuffled {
        /// The seed.
        seed: u64,
    },
    /// A page without items that still has its link to the next page and its totals.
    Empty,
    /// Replaces each item with null, a number or a string.
    ItemsNotObjects,
    /// New items are inserted at the front of a list while it is read: from page to page, all items
    /// move back by this many places.
    ///
    /// No item is missed, but those at page boundaries appear twice. A list that moves by a page or
    /// more never ends. The new items repeat the last ones, so a later poll that sees them at the
    /// front finds the same campaigns. A request without this fault sees every item in its original
    /// place.
    Moving {
        /// The number of places.
        by: usize,
    },
    /// The correct answer, after which the first of the raw items are deleted.
    Deletion {
        /// The number of items.
        items: usize,
    },
    /// Status 302.
    Redirect {
        /// The value of the `Location` header.
        location: String,
    },
    /// A page with this link to the next page, if the API uses links.
    Next {
        /// The link.
        href: String,
    },
}

impl Fault {
    /// Applies a fault to the correct `answer`.
    pub(crate) fn reply(
        self,
        server: Server,
        answer: impl FnOnce() -> Answer,
        request: &Request,
    ) -> Result<Reply> {
        let response = match self {
            Self::Unheard => {
                answer();
                return Ok(Reply::None);
            }
            Self::Silence => return Ok(Reply::Silence),
            Self::Delay { by } => {
                return Ok(Reply::Late(by, answer().respond(request)?));
            }
            Self::Status { code, retry_after } => {
                let error = server.error(code);
                match retry_after {
                    Some(value) => error.with(RETRY_AFTER, value),
                    None => error,
                }
                .respond(request)
            }
            Self::QuotaExceeded => server.quota_exceeded().respond(request),
            Self::Body { content_type, body } => {
                Answer::text(200, content_type, body).respond(request)
            }
            Self::EchoToken => {
                let token = request.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
                let token = String::from_utf8_lossy(token.unwrap_or_default());
                let fields = request.form.iter().map(|(_, value)| format!(" {value}"));
                let message = format!("not accepted: {token}{}", fields.collect::<String>());
                Answer::json(401, json!({ "message": message })).respond(request)
            }
            Self::Redirect { location } => Answer::text(302, "text/plain", String::new())
                .with(LOCATION, location)
                .respond(request),
            corruption => corruption.corrupt(answer(), server, request),
        };
        response.map(Reply::Response)
    }

    /// Corrupts the correct answer.
    fn corrupt(
        self,
        mut answer: Answer,
        server: Server,
        request: &Request,
    ) -> Result<Response<Body>> {
        let answer = match self {
            Self::Truncated => return broken_off(answer, request, io::ErrorKind::Other),
            Self::Reset => return broken_off(answer, request, io::ErrorKind::ConnectionReset),
            Self::HalfJson => {
                let (head, body) = answer.render();
                return head.body(full(half(&body)));
            }
            Self::Stall => {
                let (head, body) = answer.encode(request);
                return head
                    .header(CONTENT_LENGTH, body.len())
                    .body(streamed(stream::iter([Ok(half(&body))]).chain(stream::pending())));
            }
            Self::Huge { bytes } => {
                let (head, body) = answer.render();
                return head.body(gradual(padded(body, bytes).map(Ok)));
            }
            Self::GzipBomb { bytes } => {
                let (head, body) = answer.render();
                let head = head.header(CONTENT_ENCODING, "gzip");
                return head.body(gradual(compressed(padded(body, bytes))));
            }
            Self::BadGzip => {
                let (head, body) = answer.render();
                let body = [&[0x1f, 0x8b], &*body].concat();
                return head.header(CONTENT_ENCODING, "gzip").body(full(body.into()));
            }
            Self::InvalidUtf8 => with_invalid_utf8(answer),
            Self::Counts { json } => with_counts(answer, server.counts(), &json),
            Self::Duplicated => with_items(answer, |items| {
                let twice = items.drain(..).flat_map(|item| [item.clone(), item]);
                *items = twice.collect();
            }),
            Self::Shuffled { seed } => with_items(answer, |items| shuffle(items, seed)),
            Self::Empty => with_items(answer, Vec::clear),
            Self::ItemsNotObjects => with_items(answer, |items| {
                let others = [Value::Null, json!(7), json!("text")].into_iter().cycle();
                items.iter_mut().zip(others).for_each(|(item, other)| *item = other);
            }),
            Self::Next { href } => {
                if let Content::Json(page) = &mut answer.content {
                    server.link(page, &href);
                }
                answer
            }
            // the others change the state, or replace the answer
            _ => answer,
        };
        answer.respond(request)
    }
}

/// Sends half of an announced body, then ends the connection with an error.
fn broken_off(answer: Answer, request: &Request, error: io::ErrorKind) -> Result<Response<Body>> {
    let (head, body) = answer.encode(request);
    let cut = stream::once(async move {
        // let the first half go out before the error closes the connection
        yield_now().await;
        Err(error.into())
    });
    head.header(CONTENT_LENGTH, body.len())
        .body(streamed(stream::iter([Ok(half(&body))]).chain(cut)))
}

fn with_items(mut answer: Answer, change: impl FnOnce(&mut Vec<Value>)) -> Answer {
    if let Some(items) = answer.items() {
        change(items);
    }
    answer
}

/// Shuffles items; the order always changes if it can.
fn shuffle(items: &mut [Value], seed: u64) {
    let before = items.to_vec();
    Rng::with_seed(seed).shuffle(items);
    if items == before && !items.is_empty() {
        items.rotate_left(1);
    }
}

/// A placeholder for content that JSON cannot represent; a private-use character, so it cannot
/// clash with real data.
const MARK: &str = "\u{e000}";

fn with_invalid_utf8(mut answer: Answer) -> Answer {
    let has_items = answer.items().is_some_and(|items| !items.is_empty());
    let text = if has_items {
        answer.items().and_then(|items| items.iter_mut().find_map(first_string))
    } else if let Content::Json(body) = &mut answer.content {
        first_string(body)
    } else {
        None
    };
    if let Some(text) = text {
        text.push_str(MARK);
    }
    with_marked(answer, MARK, b"\xff")
}

fn first_string(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(values) => values.iter_mut().find_map(first_string),
        Value::Object(members) => members.values_mut().find_map(first_string),
        _ => None,
    }
}

fn with_counts(answer: Answer, counts: &[&str], json: &str) -> Answer {
    let answer = with_items(answer, |items| {
        for item in items {
            mark(item, counts);
        }
    });
    with_marked(answer, &format!("\"{MARK}\""), json.as_bytes())
}

/// Replaces the members with these names by the placeholder.
fn mark(value: &mut Value, names: &[&str]) {
    for (name, value) in value.as_object_mut().into_iter().flatten() {
        if names.contains(&name.as_str()) {
            *value = MARK.into();
        } else {
            mark(value, names);
        }
    }
}

/// Returns the body as text with every placeholder replaced.
fn with_marked(mut answer: Answer, mark: &str, other: &[u8]) -> Answer {
    if let Content::Json(value) = answer.content {
        let text = value.to_string();
        let pieces: Vec<_> = text.split(mark).map(str::as_bytes).collect();
        answer.content =
            Content::Other { content_type: "application/json", body: pieces.join(other).into() };
    }
    answer
}

fn half(body: &Bytes) -> Bytes {
    body.slice(..body.len() / 2)
}

/// Pads a body with leading spaces to a given length.
fn padded(body: Bytes, bytes: u64) -> impl Iterator<Item = Bytes> {
    static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];
    let mut left = bytes.saturating_sub(body.len() as u64);
    iter::from_fn(move || {
        let size = usize::try_from(left).map_or(BLANKS.len(), |left| left.min(BLANKS.len()));
        left -= size as u64;
        (size > 0).then(|| Bytes::from_static(&BLANKS).slice(..size))
    })
    .chain([body])
}

/// Compresses chunk by chunk, so the whole body is never in memory.
fn compressed(plain: impl Iterator<Item = Bytes>) -> impl Iterator<Item = io::Result<Bytes>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    plain.map(Some).chain([None]).map(move |chunk| {
        match chunk {
            Some(chunk) => encoder.write_all(&chunk)?,
            None => encoder.try_finish()?,
        }
        Ok(mem::take(encoder.get_mut()).into())
    })
}

/// Returns a body that yields after each chunk, so that other tasks, including the client that
/// should stop it, can run.
fn gradual(chunks: impl Iterator<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    streamed(stream::iter(chunks).then(async |chunk| {
        yield_now().await;
        chunk
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_items_are_shuffled_with_any_seed() {
        for seed in 0..10 {
            let mut items = vec![json!(1), json!(2)];
            shuffle(&mut items, seed);
            assert_eq!(items, [2, 1]);
        }
        shuffle(&mut [], 1);
    }
}
