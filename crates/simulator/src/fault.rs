//! The ways in which an answer can go wrong.

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

/// Which requests meet a fault.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// What goes wrong.
    pub fault: Fault,
    /// How many requests are answered well before.
    pub skip: u64,
    /// How many then meet the fault; none means all.
    pub times: Option<u64>,
}

impl FaultPlan {
    /// Every request from now on.
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            skip: 0,
            times: None,
        }
    }

    /// The next request only.
    pub fn once(fault: Fault) -> Self {
        Self {
            times: Some(1),
            ..Self::always(fault)
        }
    }

    /// Takes from a plan what the present request meets.
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

/// Something that goes wrong with an answer.
///
/// With a fault that takes the place of the answer the request is not processed; with one that
/// spoils the answer it is, and with it a refresh token is used up.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API's own error body.
    Status {
        /// The HTTP status.
        code: u16,
        /// The value of a `Retry-After` header.
        retry_after: Option<String>,
    },
    /// The answer when the day's requests are used up.
    QuotaExceeded,
    /// Some other body with status 200.
    Body {
        /// Its `Content-Type`.
        content_type: &'static str,
        /// The body.
        body: String,
    },
    /// Status 401 with a body that repeats the `Authorization` header and the form's values.
    EchoToken,
    /// The request is processed, but the connection ends before a byte of the answer.
    Unheard,
    /// The connection ends after half of the announced body.
    Truncated,
    /// The connection is reset after half of the announced body.
    Reset,
    /// The right answer after a while; it is made, and what it does is done, before that.
    Delay {
        /// The while.
        by: Duration,
    },
    /// Nothing, not even a status, until the client gives up; the request is not processed.
    Silence,
    /// Half of the right body, framed as if it were the whole.
    HalfJson,
    /// Half of the announced body, and then nothing until the client gives up.
    Stall,
    /// The right body after so many blanks that it has this length, which is not announced.
    Huge {
        /// The length.
        bytes: u64,
    },
    /// The same, but small on the wire.
    GzipBomb {
        /// The length once it is unpacked.
        bytes: u64,
    },
    /// The right body, which is said to be compressed and is not.
    BadGzip,
    /// A byte that is no UTF-8 at the end of a string of the first item, or of the body if there
    /// are no items.
    InvalidUtf8,
    /// Something else in place of each count of each item.
    Counts {
        /// JSON, or something that is none, such as `1e400`.
        json: String,
    },
    /// Each item of a page twice.
    Duplicated,
    /// The items of a page in another order, always the same for the same seed.
    Shuffled {
        /// The seed.
        seed: u64,
    },
    /// A page without its items, which still says where the next one is and how many there are.
    Empty,
    /// Nothing, a number or a text in place of each item.
    ItemsNotObjects,
    /// New items come in front of a list while it is read: from each page to the next, all items
    /// move back by so many places.
    ///
    /// None is missed; those at the borders of pages come twice. A list that moves by a page or
    /// more has no end. The new items are the last ones once more, so that a later poll that finds
    /// them in front finds the same campaigns. A request without this fault finds everything back
    /// in its place.
    Moving {
        /// The places.
        by: usize,
    },
    /// Status 302.
    Redirect {
        /// The value of the `Location` header.
        location: String,
    },
    /// A page with this link to the next, if the API has links.
    Next {
        /// The link.
        href: String,
    },
}

impl Fault {
    /// What becomes of a request that a sound server would have answered with `answer`.
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
                let token = request
                    .headers
                    .get(AUTHORIZATION)
                    .map(HeaderValue::as_bytes);
                let token = String::from_utf8_lossy(token.unwrap_or_default());
                let fields = request.form.iter().map(|(_, value)| format!(" {value}"));
                let message = format!("not accepted: {token}{}", fields.collect::<String>());
                Answer::json(401, json!({ "message": message })).respond(request)
            }
            Self::Truncated => broken_off(answer(), request, io::ErrorKind::Other),
            Self::Reset => broken_off(answer(), request, io::ErrorKind::ConnectionReset),
            Self::HalfJson => {
                let (head, body) = answer().render();
                head.body(full(half(&body)))
            }
            Self::Stall => {
                let (head, body) = answer().encode(request);
                head.header(CONTENT_LENGTH, body.len()).body(streamed(
                    stream::iter([Ok(half(&body))]).chain(stream::pending()),
                ))
            }
            Self::Huge { bytes } => {
                let (head, body) = answer().render();
                head.body(gradual(padded(body, bytes).map(Ok)))
            }
            Self::GzipBomb { bytes } => {
                let (head, body) = answer().render();
                head.header(CONTENT_ENCODING, "gzip")
                    .body(gradual(compressed(padded(body, bytes))))
            }
            Self::BadGzip => {
                let (head, body) = answer().render();
                head.header(CONTENT_ENCODING, "gzip").body(full(body))
            }
            Self::InvalidUtf8 => with_invalid_utf8(answer()).respond(request),
            Self::Counts { json } => with_counts(answer(), server.counts(), &json).respond(request),
            Self::Duplicated => with_items(answer(), |items| {
                let twice = items.drain(..).flat_map(|item| [item.clone(), item]);
                *items = twice.collect();
            })
            .respond(request),
            Self::Shuffled { seed } => {
                with_items(answer(), |items| shuffle(items, seed)).respond(request)
            }
            Self::Empty => with_items(answer(), Vec::clear).respond(request),
            Self::ItemsNotObjects => with_items(answer(), |items| {
                let others = [Value::Null, json!(7), json!("text")].into_iter().cycle();
                items
                    .iter_mut()
                    .zip(others)
                    .for_each(|(item, other)| *item = other);
            })
            .respond(request),
            // the state has moved them already
            Self::Moving { .. } => answer().respond(request),
            Self::Redirect { location } => Answer::text(302, "text/plain", String::new())
                .with(LOCATION, location)
                .respond(request),
            Self::Next { href } => {
                let mut answer = answer();
                if let Content::Json(page) = &mut answer.content {
                    server.link(page, &href);
                }
                answer.respond(request)
            }
        };
        response.map(Reply::Response)
    }
}

/// Half of an announced body, after which the connection ends with an error.
fn broken_off(answer: Answer, request: &Request, error: io::ErrorKind) -> Result<Response<Body>> {
    let (head, body) = answer.encode(request);
    let cut = stream::once(async move {
        // let the first half leave before the error ends the connection
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

/// In another order, wherever there is one.
fn shuffle(items: &mut [Value], seed: u64) {
    let before = items.to_vec();
    Rng::with_seed(seed).shuffle(items);
    if items == before && !items.is_empty() {
        items.rotate_left(1);
    }
}

/// Stands in JSON for what JSON cannot hold; of private use, so that nothing else has it.
const MARK: &str = "\u{e000}";

fn with_invalid_utf8(mut answer: Answer) -> Answer {
    let has_items = answer.items().is_some_and(|items| !items.is_empty());
    let text = if has_items {
        answer
            .items()
            .and_then(|items| items.iter_mut().find_map(first_string))
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

/// Puts the mark in place of the members of these names.
fn mark(value: &mut Value, names: &[&str]) {
    for (name, value) in value.as_object_mut().into_iter().flatten() {
        if names.contains(&name.as_str()) {
            *value = MARK.into();
        } else {
            mark(value, names);
        }
    }
}

/// The body as text with something else in place of each mark.
fn with_marked(mut answer: Answer, mark: &str, other: &[u8]) -> Answer {
    if let Content::Json(value) = answer.content {
        let text = value.to_string();
        let pieces: Vec<_> = text.split(mark).map(str::as_bytes).collect();
        answer.content = Content::Other {
            content_type: "application/json",
            body: pieces.join(other).into(),
        };
    }
    answer
}

fn half(body: &Bytes) -> Bytes {
    body.slice(..body.len() / 2)
}

/// A body after so many blanks that both together have a length.
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

/// Compresses piece by piece, so that the whole is never held.
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

/// A body that lets other tasks run after each piece, among them the client that should stop it.
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
    fn two_items_are_shuffled_whatever_the_seed() {
        for seed in 0..10 {
            let mut items = vec![json!(1), json!(2)];
            shuffle(&mut items, seed);
            assert_eq!(items, [2, 1]);
        }
        shuffle(&mut [], 1);
    }
}
