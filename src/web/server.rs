//! The HTTP server: connections and their bounds. What is answered, the endpoints know.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::web::endpoints::{Body, Endpoints};
use crate::web::gate::{self, ActiveWebConfig};
use crate::web::protection::configuration::WebConfig;
use crate::web::protection::tls::HTTP2;

/// Connections at the same time; more wait to be accepted. A Prometheus keeps one or two.
const MAX_CONNECTIONS: usize = 256;

/// Time limit for the head of a request, and for a connection to be idle: longer than the usual
/// scrape intervals, so that scrapers can keep theirs.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest head of a request in bytes.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

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

/// Time limit for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests at the same time on one connection of HTTP/2. A Prometheus makes one at a time.
const MAX_STREAMS: u32 = 8;

/// How often a silent client of HTTP/2 is asked whether it is still there, and how long it may take to
/// say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What every connection needs.
struct Service {
    endpoints: Endpoints,
    in_force: watch::Receiver<ActiveWebConfig>,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

/// One that is connected.
#[derive(Clone)]
struct Client {
    let_in_by: Arc<WebConfig>,
    in_force: watch::Receiver<ActiveWebConfig>,
    service: Arc<Service>,
}

/// Serves until `stop` is cancelled, then finishes what is running.
pub async fn serve(
    listeners: Vec<TcpListener>,
    endpoints: Endpoints,
    in_force: watch::Receiver<ActiveWebConfig>,
    stop: CancellationToken,
) {
    let service = Arc::new(Service {
        endpoints,
        in_force,
        slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        stop,
    });
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, Arc::clone(&service)));
    }
    while let Some(ended) = accepting.join_next().await {
        log_panic(ended);
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&service.slots)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?;
            let (stream, _) = listener.accept().await?;
            io::Result::Ok((slot, stream))
        };
        match service.stop.run_until_cancelled(next).await {
            None => break,
            Some(Err(error)) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Some(Ok((slot, stream))) => {
                let connection = connection(stream, Arc::clone(&service));
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

/// Answers one client, over TLS if that is configured.
async fn connection(stream: TcpStream, service: Arc<Service>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let mut in_force = service.in_force.clone();
    let ActiveWebConfig { config, suspended } = in_force.borrow_and_update().clone();
    let client = Client {
        let_in_by: Arc::clone(&config),
        in_force,
        service: Arc::clone(&service),
    };
    let Some(tls) = &config.tls else {
        return requests(stream, client).await;
    };
    if suspended {
        return debug!("no TLS: the web configuration cannot be used");
    }
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake);
    match service.stop.run_until_cancelled(handshake).await {
        None => {}
        Some(Ok(Ok(stream))) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            requests_of_http2(stream, client).await;
        }
        Some(Ok(Ok(stream))) => requests(stream, client).await,
        Some(Ok(Err(error))) => debug!(%error, "no TLS with a client"),
        Some(Err(_)) => debug!("no TLS with a client in time"),
    }
}

/// Answers what comes over HTTP/1.1.
async fn requests(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, client: Client) {
    let until = end(client.in_force.clone(), client.service.stop.clone());
    let answer = service_fn(move |request| answer(request, client.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES as usize)
        .serve_connection(TokioIo::new(stream), answer);
    serve_until(connection, until).await;
}

/// Answers what comes over HTTP/2.
async fn requests_of_http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    client: Client,
) {
    let until = end(client.in_force.clone(), client.service.stop.clone());
    let answer = service_fn(move |request| answer(request, client.clone()));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), answer);
    serve_until(connection, until).await;
}

async fn answer(request: Request<Incoming>, client: Client) -> Result<Response<Body>, Infallible> {
    let in_force = client.in_force.borrow().clone();
    let endpoints = &client.service.endpoints;
    Ok(gate::answer(&in_force, &client.let_in_by, endpoints, request).await)
}

/// Waits until a connection has to end: at `stop`, with another web configuration, or after its time.
async fn end(mut in_force: watch::Receiver<ActiveWebConfig>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        Ok(()) = in_force.changed() => {}
        () = tokio::time::sleep(MAX_CONNECTION_AGE) => {}
    }
}

/// Serves a connection until its client leaves or `end`, and then what is still running.
async fn serve_until<C: GracefulConnection<Error = hyper::Error>>(
    connection: C,
    end: impl Future<Output = ()>,
) {
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end => {
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

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};
    use tokio::time::Instant;

    use super::*;
    use crate::exposition::publisher;
    use crate::polling::heartbeat::heartbeat;
    use crate::telemetry::Telemetry;

    #[tokio::test]
    async fn it_is_healthy_while_each_loop_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
        let published = publisher::empty().unwrap().subscribe();
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
            kinds: crate::provider::native(),
            reloads,
        };
        let mut tasks = JoinSet::new();
        let (_web, in_force) = watch::channel(ActiveWebConfig::default());
        let stop = CancellationToken::new();
        tasks.spawn(serve(vec![listener], endpoints, in_force, stop));
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
