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
    constant_contact,
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
    pub(super) fn next(plan: &mut Option<Self>) -> Option<Fault> {
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
    /// The API's own error body; SMSUp reports 401 in a body with status 200.
    Status {
        /// The HTTP status.
        code: u16,
        /// The value of a `Retry-After` header.
        retry_after: Option<String>,
    },
    /// Constant Contact's answer when the day's requests are used up.
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
    /// A page of Constant Contact with this link to the next.
    Next {
        /// The link.
        href: String,
    },
}

impl Fault {
    /// What becomes of a request that a sound server would have answered with `answer`.
    pub(super) fn reply(
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
            Self::QuotaExceeded => constant_contact::quota_exceeded().respond(request),
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
                if let Content::Json(value) = &mut answer.content
                    && let Some(page) = value.as_object_mut()
                {
                    page.insert("_links".to_owned(), json!({ "next": { "href": href } }));
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
    use std::{error::Error, fmt, pin::pin, time::Instant};

    use chrono::DateTime;
    use reqwest::{Client, redirect};
    use tokio::time::timeout;

    use super::{
        super::{Api, Campaign, Counts, Simulator, State},
        *,
    };

    const PATH: &str =
        "/v3/reports/summary_reports/sms_campaign_summaries?start_at=1970-01-01T00:00:00Z";

    async fn simulator(api: Api, fault: Fault) -> Simulator {
        let campaign = Campaign::sms("id", "name", DateTime::UNIX_EPOCH, Counts::default());
        let mut state = State::new("secret", vec![campaign; 20]);
        state.fault = Some(FaultPlan::always(fault));
        Simulator::start(api, state).await.unwrap()
    }

    /// Asks with a client that waits for five seconds, follows no redirect and unpacks nothing.
    async fn get(simulator: &Simulator) -> reqwest::Response {
        let client = Client::builder()
            .timeout(Duration::from_secs(5))
            .redirect(redirect::Policy::none())
            .no_gzip();
        get_with(&client.build().unwrap(), simulator).await
    }

    async fn get_with(client: &Client, simulator: &Simulator) -> reqwest::Response {
        let request = client
            .get(simulator.base_url() + PATH)
            .bearer_auth("secret");
        request.send().await.unwrap()
    }

    /// The simulator has to live until the body is read.
    async fn meet(fault: Fault) -> (Simulator, reqwest::Response) {
        let simulator = simulator(Api::ConstantContact, fault).await;
        let response = get(&simulator).await;
        (simulator, response)
    }

    async fn json(response: reqwest::Response) -> Value {
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn each_api_has_its_own_errors() {
        for (api, code, status, pointer, expected) in [
            (
                Api::ConstantContact,
                400,
                400,
                "/0/error_message",
                json!("Bad request"),
            ),
            (
                Api::ConstantContact,
                403,
                403,
                "/error_key",
                json!("access_denied"),
            ),
            (
                Api::ConstantContact,
                429,
                429,
                "/error_key",
                json!("throttled"),
            ),
            (Api::Cinnox, 429, 429, "/code", json!(6_451_010)),
            (Api::Cinnox, 503, 503, "/code", json!(6_451_001)),
            (Api::Smsup, 401, 200, "/status", json!(-1)),
            (Api::Smsup, 500, 500, "/status", json!(-99)),
        ] {
            let retry_after = Some("7".to_owned());
            let simulator = simulator(api, Fault::Status { code, retry_after }).await;
            let response = get(&simulator).await;
            assert_eq!(response.status(), status, "{api:?} {code}");
            assert_eq!(response.headers()["retry-after"], "7");
            assert_eq!(
                json(response).await.pointer(pointer),
                Some(&expected),
                "{api:?} {code}"
            );
        }
    }

    #[tokio::test]
    async fn other_bodies() {
        let (_simulator, response) = meet(Fault::QuotaExceeded).await;
        assert_eq!(response.status(), 429);
        assert!(!response.headers().contains_key("retry-after"));
        assert_eq!(json(response).await["error_key"], "quota_exceeded");

        let body = "<html>".to_owned();
        let (_simulator, response) = meet(Fault::Body {
            content_type: "text/html",
            body,
        })
        .await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.text().await.unwrap(), "<html>");

        let (_simulator, response) = meet(Fault::EchoToken).await;
        assert_eq!(response.status(), 401);
        assert!(response.text().await.unwrap().contains("Bearer secret"));

        let location = "http://elsewhere.example/".to_owned();
        let (_simulator, response) = meet(Fault::Redirect {
            location: location.clone(),
        })
        .await;
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], location);

        let (_simulator, response) = meet(Fault::Next {
            href: "/again".to_owned(),
        })
        .await;
        let page = json(response).await;
        assert_eq!(page["_links"]["next"]["href"], "/again");
        assert_eq!(
            page["bulk_sms_campaign_summaries"]
                .as_array()
                .unwrap()
                .len(),
            20
        );
    }

    #[tokio::test]
    async fn a_refresh_token_is_used_up_by_an_answer_that_is_not_heard() {
        let simulator = simulator(Api::ConstantContact, Fault::Unheard).await;
        simulator.update(|state| {
            state.authorization.grant("first");
            state.authorization.fault = Some(FaultPlan::once(Fault::Unheard));
        });
        let error = refresh(&simulator).await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert!(simulator.read(|state| state.authorization.issued == 1));
        assert_eq!(refresh(&simulator).await.unwrap().status(), 400);

        let api = Client::new()
            .get(simulator.base_url() + PATH)
            .bearer_auth("secret");
        assert!(api.send().await.unwrap_err().is_request());
        assert_eq!(simulator.requests().len(), 3);
    }

    #[tokio::test]
    async fn an_echo_has_the_form_too() {
        let simulator = simulator(Api::Cinnox, Fault::EchoToken).await;
        let request = Client::new().post(simulator.base_url());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body("a=s3cret").send().await.unwrap();
        assert!(response.text().await.unwrap().contains("s3cret"));
    }

    #[tokio::test]
    async fn a_truncated_body_breaks_off_in_its_middle() {
        let (_simulator, mut response) = meet(Fault::Truncated).await;
        assert_eq!(response.status(), 200);
        let length = response.content_length().unwrap();
        let half = response.chunk().await.unwrap().unwrap();
        assert_eq!(half.len() as u64, length / 2);
        let error = response.chunk().await.unwrap_err();
        assert!(!error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn a_stalled_body_keeps_the_client_waiting() {
        let simulator = simulator(Api::ConstantContact, Fault::Stall).await;
        let client = Client::builder().read_timeout(Duration::from_millis(200));
        let mut response = get_with(&client.no_gzip().build().unwrap(), &simulator).await;
        let length = response.content_length().unwrap();
        let half = response.chunk().await.unwrap().unwrap();
        assert_eq!(half.len() as u64, length / 2);
        let error = response.chunk().await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    }

    #[tokio::test]
    async fn half_of_the_json_is_well_framed() {
        let (_simulator, response) = meet(Fault::HalfJson).await;
        let body = response.bytes().await.unwrap();
        assert!(body.starts_with(b"{"));
        assert!(serde_json::from_slice::<Value>(&body).unwrap_err().is_eof());
    }

    #[tokio::test]
    async fn a_huge_body_has_its_size_and_is_right() {
        let (_simulator, response) = meet(Fault::Huge { bytes: 1_000_001 }).await;
        assert_eq!(response.content_length(), None);
        let body = response.bytes().await.unwrap();
        assert_eq!(body.len(), 1_000_001);
        assert!(serde_json::from_slice::<Value>(&body).unwrap()["aggregate_percents"].is_object());
    }

    #[tokio::test]
    async fn a_gzip_bomb_is_small_on_the_wire() {
        let simulator = simulator(Api::ConstantContact, Fault::GzipBomb { bytes: 5_000_000 }).await;
        let response = get(&simulator).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert!(response.bytes().await.unwrap().len() < 50_000);

        let response = get_with(&Client::new(), &simulator).await;
        let body = response.bytes().await.unwrap();
        assert_eq!(body.len(), 5_000_000);
        assert!(serde_json::from_slice::<Value>(&body).unwrap()["aggregate_percents"].is_object());
    }

    #[tokio::test]
    async fn a_plan_says_when() {
        let fault = Fault::EchoToken;
        let simulator = simulator(Api::ConstantContact, fault.clone()).await;
        simulator.update(|state| {
            state.fault = Some(FaultPlan {
                fault,
                skip: 2,
                times: Some(1),
            });
        });
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(get(&simulator).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 401, 200]);
    }

    #[tokio::test]
    async fn an_impossible_plan_is_reported() {
        let (_simulator, response) = meet(Fault::Status {
            code: 7,
            retry_after: None,
        })
        .await;
        assert_eq!(response.status(), 500);
        assert!(response.text().await.unwrap().contains("status"));
    }

    const APIS: [Api; 3] = [Api::ConstantContact, Api::Cinnox, Api::Smsup];

    /// A simulator with seven campaigns that differ, and a fault.
    async fn listing(api: Api, fault: Option<Fault>) -> Simulator {
        let campaign = |number: u64| {
            let counts = Counts {
                recipients: 100 + number,
                sends: 90 + number,
                ..Counts::default()
            };
            let sent_at = DateTime::UNIX_EPOCH + Duration::from_secs(number);
            Campaign::sms(number.to_string(), "name", sent_at, counts)
        };
        let mut state = State::new("secret", (1..=7).map(campaign).collect::<Vec<_>>());
        state.fault = fault.map(FaultPlan::always);
        Simulator::start(api, state).await.unwrap()
    }

    async fn page(simulator: &Simulator, path: &str) -> Bytes {
        let client = Client::builder().no_gzip().build().unwrap();
        let request = client
            .get(simulator.base_url() + path)
            .header("accept", "application/json")
            .bearer_auth("secret");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap()
    }

    /// The first page of an API with such a fault, and without one.
    async fn first_pages(api: Api, fault: Fault) -> (Bytes, Value) {
        let simulator = listing(api, Some(fault)).await;
        let path = match api {
            Api::ConstantContact => PATH,
            Api::Cinnox => "/v1/api/apps/demo-app/data/sent-campaigns-summary",
            Api::Smsup => "/campaigns",
        };
        let bad = page(&simulator, path).await;
        simulator.update(|state| {
            state.fault = None;
            state.answered = 0;
        });
        let good = page(&simulator, path).await;
        (bad, serde_json::from_slice(&good).unwrap())
    }

    fn items(page: &Value) -> &Vec<Value> {
        let mut members = page.as_object().unwrap().values();
        members.find_map(Value::as_array).unwrap()
    }

    fn items_of(page: &Bytes) -> Vec<Value> {
        items(&serde_json::from_slice(page).unwrap()).clone()
    }

    #[tokio::test]
    async fn a_late_answer_is_right_and_what_it_does_is_done_before() {
        let by = Duration::from_millis(300);
        let simulator = listing(Api::ConstantContact, Some(Fault::Delay { by })).await;
        let begin = Instant::now();
        let late = page(&simulator, PATH).await;
        assert!(begin.elapsed() >= by);
        assert_eq!(items_of(&late).len(), 7);

        let by = Duration::from_hours(1);
        simulator.update(|state| {
            state.authorization.grant("first");
            state.authorization.fault = Some(FaultPlan::always(Fault::Delay { by }));
        });
        unanswered(&simulator, refresh(&simulator)).await;
        assert!(simulator.read(|state| state.authorization.issued == 1));
    }

    /// A refresh of the token `first`.
    async fn refresh(simulator: &Simulator) -> reqwest::Result<reqwest::Response> {
        let request = Client::new()
            .post(simulator.base_url() + "/oauth2/default/v1/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=refresh_token&refresh_token=first&client_id=demo-client");
        request.send().await
    }

    /// Waits until a request has come in, and then for a moment in which nothing comes back.
    async fn unanswered(simulator: &Simulator, request: impl Future<Output: fmt::Debug>) {
        let mut request = pin!(request);
        let before = simulator.read(|state| state.answered);
        tokio::select! {
            answer = &mut request => panic!("{answer:?}"),
            () = simulator.wait_for(|state| state.answered > before) => {}
        }
        timeout(Duration::from_millis(200), request)
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn a_silent_server_has_done_nothing() {
        let simulator = listing(Api::ConstantContact, None).await;
        simulator.update(|state| {
            state.authorization.grant("first");
            state.authorization.fault = Some(FaultPlan::once(Fault::Silence));
        });
        unanswered(&simulator, refresh(&simulator)).await;
        assert!(simulator.read(|state| state.authorization.issued == 0));
        assert_eq!(refresh(&simulator).await.unwrap().status(), 200);
    }

    #[tokio::test]
    async fn a_reset_is_none_of_the_orderly_ends() {
        for (fault, reset) in [(Fault::Reset, true), (Fault::Truncated, false)] {
            let (_simulator, mut response) = meet(fault.clone()).await;
            assert_eq!(response.status(), 200);
            let length = response.content_length().unwrap();
            let half = response.chunk().await.unwrap().unwrap();
            assert_eq!(half.len() as u64, length / 2);
            let error = response.chunk().await.unwrap_err();
            let causes = iter::successors(Some(&error as &dyn Error), |error| (*error).source());
            let kinds = causes
                .filter_map(|cause| cause.downcast_ref::<io::Error>())
                .map(io::Error::kind);
            let is_reset = kinds
                .into_iter()
                .any(|kind| kind == io::ErrorKind::ConnectionReset);
            assert_eq!(is_reset, reset, "{fault:?} {error:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_compressed_is_said_to_be() {
        let (_simulator, response) = meet(Fault::BadGzip).await;
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert!(json(response).await["aggregate_percents"].is_object());
        let simulator = listing(Api::Cinnox, Some(Fault::BadGzip)).await;
        let request = Client::new().get(simulator.base_url());
        let body = request.send().await.unwrap().bytes().await;
        assert!(body.unwrap_err().is_decode());
    }

    #[tokio::test]
    async fn one_byte_is_no_utf_8() {
        for api in APIS {
            let (bad, good) = first_pages(api, Fault::InvalidUtf8).await;
            let sound: Vec<_> = bad.iter().copied().filter(|byte| *byte != 0xff).collect();
            assert_eq!(sound.len() + 1, bad.len(), "{api:?}");
            assert_eq!(serde_json::from_slice::<Value>(&sound).unwrap(), good);
            let before = bad.split(|byte| *byte == 0xff).next().unwrap();
            let quotes = before.split(|byte| *byte == b'"').count() - 1;
            assert_eq!(quotes % 2, 1, "within a string");
        }
        let empty = simulator(Api::Smsup, Fault::InvalidUtf8).await;
        empty.update(|state| state.campaigns = Vec::new().into());
        assert!(page(&empty, "/campaigns").await.contains(&0xff));
    }

    #[tokio::test]
    async fn counts_are_whatever_they_should_not_be() {
        for (api, number) in APIS.into_iter().zip([5, 2, 8]) {
            for json in [
                "null",
                "-1",
                "1.5",
                "99999999999999999999",
                "\"text\"",
                "[]",
                "{}",
            ] {
                let fault = Fault::Counts {
                    json: json.to_owned(),
                };
                let (bad, good) = first_pages(api, fault).await;
                let mut restored: Value = serde_json::from_slice(&bad).unwrap();
                let expected: Value = serde_json::from_str(json).unwrap();
                let items = items_of(&bad);
                let first = items[0].get("unique_counts").unwrap_or(&items[0]);
                let values = first.as_object().unwrap().values();
                let changed = values.filter(|value| **value == expected).count();
                assert_eq!(changed, number, "{api:?} {json}");
                // and nothing else
                restore(&mut restored, &good, &expected);
                assert_eq!(restored, good, "{api:?} {json}");
            }
            let json = "1e400".to_owned();
            let (bad, _) = first_pages(api, Fault::Counts { json }).await;
            let text = std::str::from_utf8(&bad).unwrap();
            assert_eq!(text.matches(":1e400").count(), number * 7, "{api:?}");
        }
    }

    /// Puts what is good in place of each value that is `bad`.
    fn restore(value: &mut Value, good: &Value, bad: &Value) {
        if value == bad {
            *value = good.clone();
        } else if let Value::Array(values) = value {
            for (index, value) in values.iter_mut().enumerate() {
                restore(value, &good[index], bad);
            }
        } else if let Value::Object(members) = value {
            for (name, value) in members {
                restore(value, &good[name], bad);
            }
        }
    }

    #[tokio::test]
    async fn the_items_of_a_page_are_not_as_they_should_be() {
        for api in APIS {
            let (bad, good) = first_pages(api, Fault::Duplicated).await;
            let twice = items(&good)
                .iter()
                .flat_map(|item| [item.clone(), item.clone()]);
            assert_eq!(items_of(&bad), twice.collect::<Vec<_>>());

            let mut orders = Vec::new();
            for seed in [1, 1, 2] {
                let (bad, good) = first_pages(api, Fault::Shuffled { seed }).await;
                let shuffled = items_of(&bad);
                assert_ne!(&shuffled, items(&good));
                let sorted = |items: &[Value]| {
                    let mut texts: Vec<_> = items.iter().map(Value::to_string).collect();
                    texts.sort();
                    texts
                };
                assert_eq!(sorted(&shuffled), sorted(items(&good)));
                orders.push(shuffled);
            }
            assert_eq!(orders[0], orders[1]);
            assert_ne!(orders[0], orders[2]);

            let (bad, mut good) = first_pages(api, Fault::Empty).await;
            for members in good.as_object_mut().unwrap().values_mut() {
                if let Some(items) = members.as_array_mut() {
                    items.clear();
                }
            }
            assert_eq!(serde_json::from_slice::<Value>(&bad).unwrap(), good);

            let (bad, _) = first_pages(api, Fault::ItemsNotObjects).await;
            let others = [json!(null), json!(7), json!("text")];
            let others: Vec<_> = others.iter().cycle().take(7).cloned().collect();
            assert_eq!(items_of(&bad), others);
        }
    }

    #[test]
    fn two_items_are_shuffled_whatever_the_seed() {
        for seed in 0..10 {
            let mut items = vec![json!(1), json!(2)];
            shuffle(&mut items, seed);
            assert_eq!(items, [2, 1]);
        }
        shuffle(&mut [], 1);
    }

    #[tokio::test]
    async fn a_list_moves_while_it_is_read() {
        let ids = |page: &Bytes| -> Vec<u64> {
            let items = items_of(page);
            let ids = items.iter().map(|item| &item["id"]);
            ids.map(|id| id.as_str().unwrap().parse().unwrap())
                .collect()
        };
        let read = async |simulator: &Simulator| {
            let mut all = Vec::new();
            for start in (0..).step_by(3) {
                let path = format!("/campaigns?start={start}&length=3");
                let page = page(simulator, &path).await;
                all.push(ids(&page));
                let total = serde_json::from_slice::<Value>(&page).unwrap()["totalRecords"].clone();
                if start + 3 >= total.as_u64().unwrap() {
                    break;
                }
            }
            all
        };
        let simulator = listing(Api::Smsup, Some(Fault::Moving { by: 1 })).await;
        let moving = [vec![1, 2, 3], vec![3, 4, 5], vec![5, 6, 7]];
        assert_eq!(read(&simulator).await, moving);
        // not a list
        page(&simulator, "/credits").await;
        // what came in front is there from the start, and more comes
        let later = [
            vec![5, 6, 7],
            vec![7, 1, 2],
            vec![2, 3, 4],
            vec![4, 5, 6],
            vec![6, 7],
        ];
        assert_eq!(read(&simulator).await, later);
        simulator.update(|state| state.fault = None);
        let still = [vec![1, 2, 3], vec![4, 5, 6], vec![7]];
        assert_eq!(read(&simulator).await, still);
        simulator.update(|state| {
            state.fault = Some(FaultPlan::always(Fault::Moving { by: 2 }));
        });
        let mut seen = read(&simulator).await.concat();
        seen.sort_unstable();
        assert!(seen.len() > 7);
        seen.dedup();
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[tokio::test]
    async fn an_empty_list_does_not_move() {
        for api in APIS {
            let simulator = simulator(api, Fault::Moving { by: 3 }).await;
            simulator.update(|state| state.campaigns = Vec::new().into());
            for _ in 0..3 {
                let path = match api {
                    Api::ConstantContact => PATH,
                    Api::Cinnox => "/v1/api/apps/demo-app/data/sent-campaigns-summary",
                    Api::Smsup => "/campaigns",
                };
                assert!(items_of(&page(&simulator, path).await).is_empty());
            }
        }
    }
}
