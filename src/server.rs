//! The HTTP server. It knows no campaign, only bytes that are ready.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName,
    HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::exposition::Writer;
use crate::heartbeat::Pulse;
use crate::negotiation;
use crate::pieces::Pieces;
use crate::publisher::Published;
use crate::telemetry::{REVISION, Telemetry, VERSION};

/// Connections at the same time; more wait to be accepted. A Prometheus keeps one or two.
const MAX_CONNECTIONS: usize = 256;

/// Time limit for the head of a request, and for a connection to be idle: longer than the usual
/// scrape intervals, so that scrapers can keep theirs.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest head of a request in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Largest body of a request in bytes: none is needed.
const MAX_BODY_BYTES: usize = 1024;

/// Time limit for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take nothing of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection is kept, so that no client holds a place, and the bytes of an old answer,
/// by taking a little now and then. A scraper just opens the next one.
const MAX_CONNECTION_AGE: Duration = Duration::from_mins(10);

/// How long a running answer may still take once its connection is to end. A scrape that takes longer
/// is cut if it begins just before the end of its connection; the next one is not.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Asks for a reload; the answer is what went wrong.
pub type Reload = oneshot::Sender<Result<(), String>>;

type Body = Full<Pieces>;

/// What the endpoints answer with.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Path of the metrics.
    pub telemetry_path: String,
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// Metrics of campaigns and accounts.
    pub published: watch::Receiver<Arc<Published>>,
    /// The exporter's own metrics.
    pub telemetry: Telemetry,
    /// The configuration in force.
    pub config: watch::Receiver<String>,
    /// The poll loops.
    pub health: watch::Receiver<Vec<Pulse>>,
    /// Where reloads are asked for.
    pub reloads: mpsc::Sender<Reload>,
}

/// Serves until `stop` is cancelled, then finishes what is running.
pub async fn serve(listener: TcpListener, endpoints: Endpoints, stop: CancellationToken) {
    let endpoints = Arc::new(endpoints);
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            io::Result::Ok((slot, stream))
        };
        match stop.run_until_cancelled(next).await {
            None => break,
            Some(Err(error)) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Some(Ok((slot, stream))) => {
                let connection = connection(stream, Arc::clone(&endpoints), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
        }
        while let Some(ended) = connections.try_join_next() {
            log_panic(ended);
        }
    }
    drop(listener);
    // each has a time limit of its own
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a request could not be answered");
    }
}

/// Answers one client until it leaves, until `stop`, or until it has been there long enough.
async fn connection(stream: TcpStream, endpoints: Arc<Endpoints>, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(answer(&endpoints, request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(MAX_CONNECTION_AGE) => {}
            }
        } => {
            // the running answer is finished, and no other begun
            connection.as_mut().graceful_shutdown();
            let Ok(served) = tokio::time::timeout(DRAIN_TIMEOUT, connection).await else {
                warn!("a connection did not end in time");
                return;
            };
            served
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection ended early");
    }
}

async fn answer(endpoints: &Endpoints, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if path == "/-/reload" {
        return reload(endpoints, request).await;
    }
    let read = |answer: fn(&Endpoints, &Request<Incoming>) -> Response<Body>| {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            answer(endpoints, &request)
        } else {
            not_allowed("GET, HEAD")
        }
    };
    match path.as_str() {
        path if path == endpoints.telemetry_path => read(metrics),
        "/" => read(landing_page),
        "/-/healthy" => read(healthy),
        "/-/ready" => read(ready),
        "/config" => read(|endpoints, _| plain(StatusCode::OK, endpoints.config.borrow().clone())),
        _ => plain(StatusCode::NOT_FOUND, "Not found.\n"),
    }
}

fn metrics(endpoints: &Endpoints, request: &Request<Incoming>) -> Response<Body> {
    let format = negotiation::format(&header(request, ACCEPT));
    let mut writer = Writer::new(format);
    writer.families(&endpoints.telemetry.gather());
    let own = writer.into_string() + format.end();
    let published = Arc::clone(&endpoints.published.borrow());
    let rendered = published.rendered(format);
    let content_type = format.content_type();
    let mut response = if negotiation::accepts_gzip(&header(request, ACCEPT_ENCODING)) {
        let body = match rendered.gzip(&own) {
            Ok(body) => body,
            Err(error) => return plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        };
        let mut response = respond(StatusCode::OK, content_type, body);
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
        response
    } else {
        respond(StatusCode::OK, content_type, rendered.identity(own))
    };
    let vary = HeaderValue::from_static("Accept, Accept-Encoding");
    response.headers_mut().insert(VARY, vary);
    response
}

/// The values of a header that may come several times.
fn header(request: &Request<Incoming>, name: HeaderName) -> String {
    let values = request.headers().get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
}

/// A dead man's switch of the poll loops: what the providers do is no reason to be restarted.
fn healthy(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    if endpoints.health.borrow().iter().all(Pulse::is_alive) {
        plain(StatusCode::OK, "Campaign exporter is healthy.\n")
    } else {
        plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "The polling of some account has stopped.\n",
        )
    }
}

fn ready(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    if endpoints.published.borrow().ready {
        plain(StatusCode::OK, "Campaign exporter is ready.\n")
    } else {
        plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "Some account has not been polled yet.\n",
        )
    }
}

async fn reload(endpoints: &Endpoints, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    if !endpoints.lifecycle {
        return plain(
            StatusCode::FORBIDDEN,
            "Reloading over HTTP needs --web.enable-lifecycle. SIGHUP always works.\n",
        );
    }
    // no body is expected; one that is small is let pass
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Err(_) => {
            return plain(
                StatusCode::REQUEST_TIMEOUT,
                "The body did not come in time.\n",
            );
        }
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE, "No body is expected.\n"),
        Ok(Ok(_)) => {}
    }
    let (reply, result) = oneshot::channel();
    if endpoints.reloads.send(reply).await.is_err() {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "The exporter is stopping.\n",
        );
    }
    match result.await {
        Ok(Ok(())) => plain(StatusCode::OK, "Reloaded.\n"),
        Ok(Err(problem)) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("The configuration was not reloaded; the old one stays in force.\n{problem}\n"),
        ),
        Err(_) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "The exporter is stopping.\n",
        ),
    }
}

fn landing_page(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    let path = escape(&endpoints.telemetry_path);
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Campaign exporter</title>\n</head>\n<body>\n<h1>Campaign exporter</h1>\n\
         <p>SMS and WhatsApp campaigns for Prometheus. Version {VERSION}, revision {REVISION}.</p>\n\
         <ul>\n<li><a href=\"{path}\">Metrics</a></li>\n\
         <li><a href=\"/config\">Configuration in force</a></li>\n\
         <li><a href=\"/-/ready\">Readiness</a></li>\n\
         <li><a href=\"/-/healthy\">Health</a></li>\n</ul>\n</body>\n</html>\n"
    );
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", page);
    response.headers_mut().insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'"),
    );
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn plain(status: StatusCode, text: impl Into<Pieces>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Pieces>,
) -> Response<Body> {
    let body = body.into();
    let length = body.remaining();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::heartbeat::heartbeat;
    use crate::publisher;

    #[tokio::test]
    async fn it_is_healthy_while_each_loop_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
        let published = publisher::nothing().unwrap().subscribe();
        let (_config, config) = watch::channel(String::new());
        let (pulses, health) = watch::channel(Vec::new());
        let (reloads, _requests) = mpsc::channel(1);
        let endpoints = Endpoints {
            telemetry_path: "/metrics".to_owned(),
            lifecycle: false,
            published,
            telemetry: Telemetry::new().unwrap(),
            config,
            health,
            reloads,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, endpoints, CancellationToken::new()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let status = async || {
            let response = client.get(&url).send().await.unwrap();
            response.status().as_u16()
        };
        assert_eq!(status().await, 200);
        let ((good, good_pulse), (bad, bad_pulse)) = (heartbeat(), heartbeat());
        pulses.send_replace(vec![good_pulse, bad_pulse]);
        assert_eq!(status().await, 200);
        good.expect_by(Instant::now());
        let long_ago = Instant::now().checked_sub(Duration::from_mins(2));
        bad.expect_by(long_ago.unwrap());
        assert_eq!(status().await, 503);
        bad.expect_by(Instant::now());
        assert_eq!(status().await, 200);
    }
}
