//! The ways in which an answer can go wrong.

use std::{
    io::{self, Write},
    iter, mem,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};
use hyper::{
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, LOCATION, RETRY_AFTER},
    http::Result,
};
use serde_json::json;
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
            Self::Truncated => {
                let (head, body) = answer().encode(request);
                let cut = stream::once(async {
                    // let the first half leave before the error ends the connection
                    yield_now().await;
                    Err(io::Error::other("cut off"))
                });
                head.header(CONTENT_LENGTH, body.len())
                    .body(streamed(stream::iter([Ok(half(&body))]).chain(cut)))
            }
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
    use std::time::Duration;

    use chrono::DateTime;
    use reqwest::{Client, redirect};
    use serde_json::Value;

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
        let client = Client::new();
        let refresh = async || {
            let request = client.post(simulator.base_url() + "/oauth2/default/v1/token");
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let body = "grant_type=refresh_token&refresh_token=first&client_id=demo-client";
            request.body(body).send().await
        };
        let error = refresh().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert!(simulator.read(|state| state.authorization.issued == 1));
        assert_eq!(refresh().await.unwrap().status(), 400);

        let api = client
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
}
