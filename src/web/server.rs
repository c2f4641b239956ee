//! The HTTP server: connections and their limits.

use std::convert::Infallible;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::exposition::pieces::Pieces;
use crate::web::body::Body;
use crate::web::connections::{Connection, Connections, IDLE_TIMEOUT, Peer, RunningRequest};
use crate::web::endpoints::Endpoints;
use crate::web::gate::{self, ActiveWebConfig};
use crate::web::protection::configuration::WebConfig;
use crate::web::protection::tls::HTTP2;

/// Maximum size of the head of a request in bytes.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// How long a client may read nothing of its response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum age of a connection. Otherwise, a slow reader could occupy a slot and the memory of an old
/// response indefinitely. Scrapers simply reconnect.
const MAX_CONNECTION_AGE: Duration = Duration::from_mins(10);

/// How long a response may take once its connection has to close. A slower scrape is cut off if it
/// starts just before that; the next one is not.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of concurrent requests on an HTTP/2 connection. Prometheus sends one at a time.
const MAX_STREAMS: u32 = 8;

/// Interval between pings on an HTTP/2 connection, and time limit for their acknowledgment.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Shared by all connections.
struct Service {
    endpoints: Endpoints,
    active: watch::Receiver<ActiveWebConfig>,
    connections: Arc<Connections>,
    stop: CancellationToken,
}

/// A connected client.
#[derive(Clone)]
struct Client {
    connection: Arc<Connection>,
    accepted_by: Arc<WebConfig>,
    active: watch::Receiver<ActiveWebConfig>,
    service: Arc<Service>,
}

/// Serves until `stop` is canceled, then finishes running requests.
pub async fn serve(
    listeners: Vec<TcpListener>,
    endpoints: Endpoints,
    active: watch::Receiver<ActiveWebConfig>,
    stop: CancellationToken,
) {
    let service = Arc::new(Service {
        connections: Connections::new(
            getrlimit(Resource::Nofile).current,
            endpoints.telemetry.dropped_connections(),
        ),
        endpoints,
        active,
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
        match service.stop.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Err(error)) => service.connections.cannot_accept(&error).await,
            Some(Ok((stream, address))) => {
                let connection = service.connections.add(Peer::from(address.ip())).await;
                connections.spawn(serve_client(stream, Arc::new(connection), Arc::clone(&service)));
            }
        }
        while let Some(ended) = connections.try_join_next() {
            log_panic(ended);
        }
    }
    drop(listener);
    // every connection has its own time limit
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
}

fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection task panicked");
    }
}

/// Serves a client until it has to make room for another.
async fn serve_client(stream: TcpStream, connection: Arc<Connection>, service: Arc<Service>) {
    tokio::select! {
        () = connection.to_close() => debug!("closing a connection to make room, or without a request"),
        () = serve_stream(stream, Arc::clone(&connection), service) => {}
    }
    connection.is_closed();
}

/// Serves a client, over TLS if configured.
async fn serve_stream(stream: TcpStream, connection: Arc<Connection>, service: Arc<Service>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    connection.is_silent();
    // `readable` returns at once for a new connection
    if let Err(error) = stream.peek(&mut [0]).await {
        return debug!(%error, "a connection failed");
    }
    connection.has_sent();
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let stream = Box::pin(stream);
    let mut active = service.active.clone();
    let ActiveWebConfig { config, suspended } = active.borrow_and_update().clone();
    let client = Client {
        connection,
        accepted_by: Arc::clone(&config),
        active,
        service: Arc::clone(&service),
    };
    let Some(tls) = &config.tls else {
        return serve_http1(stream, client).await;
    };
    if suspended {
        return debug!("TLS handshake refused: the web configuration is not valid");
    }
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    match service.stop.run_until_cancelled(handshake).await {
        None => {}
        Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            serve_http2(stream, client).await;
        }
        Some(Ok(stream)) => serve_http1(stream, client).await,
        Some(Err(error)) => debug!(%error, "TLS handshake failed"),
    }
}

/// Serves HTTP/1.1.
async fn serve_http1(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, client: Client) {
    let until = end(client.clone());
    let answer = service_fn(move |request| answer(request, client.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES as usize)
        .serve_connection(TokioIo::new(stream), answer);
    serve_until(connection, until).await;
}

/// Serves HTTP/2.
async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, client: Client) {
    let until = end(client.clone());
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

async fn answer(
    request: Request<Incoming>,
    client: Client,
) -> Result<Response<RunningResponse>, Infallible> {
    let running = client.connection.request();
    let active = client.active.borrow().clone();
    let endpoints = &client.service.endpoints;
    let peer = client.connection.peer();
    let response = gate::answer(&active, &client.accepted_by, endpoints, peer, request).await;
    if response.status().is_success() {
        running.is_served();
    }
    Ok(response.map(|body| RunningResponse { body, request: Arc::new(running), rests: false }))
}

/// A response body that keeps its request running until hyper has written it.
struct RunningResponse {
    body: Body,
    request: Arc<RunningRequest>,
    /// Lets other tasks run before each chunk. Otherwise, scrapes would wait until the socket is full.
    rests: bool,
}

impl hyper::body::Body for RunningResponse {
    type Data = Sending;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Sending>, Infallible>>> {
        if matches!(self.body, Body::Chunks(_)) {
            self.rests = !self.rests;
            if self.rests {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let pieces = self.body.next_pieces();
        let sending = pieces.map(|pieces| Sending { pieces, _request: Arc::clone(&self.request) });
        Poll::Ready(sending.map(|sending| Ok(Frame::data(sending))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .length()
            .map_or_else(SizeHint::default, |length| SizeHint::with_exact(length as u64))
    }
}

/// A part of a response that is being written.
struct Sending {
    pieces: Pieces,
    _request: Arc<RunningRequest>,
}

impl Buf for Sending {
    fn remaining(&self) -> usize {
        self.pieces.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.pieces.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.pieces.advance(count);
    }
}

/// Waits until a connection has to close after its running requests: when the server stops, after a
/// change of the web configuration, when it is idle, or at the maximum age.
async fn end(mut client: Client) {
    tokio::select! {
        () = client.service.stop.cancelled() => {}
        Ok(()) = client.active.changed() => {}
        () = client.connection.idle() => {}
        () = tokio::time::sleep(MAX_CONNECTION_AGE) => {}
    }
}

/// Serves a connection until the client closes it, or until `end` and the end of running requests.
async fn serve_until<C: GracefulConnection<Error = hyper::Error>>(
    connection: C,
    end: impl Future<Output = ()>,
) {
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end => {
            // finishes the running response and accepts no other request
            connection.as_mut().graceful_shutdown();
            let Ok(served) = tokio::time::timeout(DRAIN_TIMEOUT, connection).await else {
                warn!("a connection did not close in time");
                return;
            };
            served
        }
    };
    if let Err(error) = served {
        debug!(%error, "a connection failed");
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{mpsc, watch};
    use tokio::time::Instant;

    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::*;
    use crate::exposition::own::OwnMetrics;
    use crate::exposition::publisher;
    use crate::polling::heartbeat::{Pulse, heartbeat};
    use crate::telemetry::Telemetry;
    use crate::web::connections::{FIRST_REQUEST_TIMEOUT, MIN_GRACE};
    use crate::web::routes::Routes;

    pub(crate) fn endpoints(
        config: String,
        health: watch::Receiver<BTreeMap<String, Pulse>>,
    ) -> Endpoints {
        Endpoints {
            routes: Routes::default(),
            lifecycle: true,
            published: publisher::empty().unwrap().subscribe(),
            own: Arc::new(OwnMetrics::new(Telemetry::new().unwrap())),
            telemetry: Telemetry::new().unwrap(),
            config: watch::Sender::new(config).subscribe(),
            health,
            kinds: crate::provider::made_up(),
            reloads: mpsc::channel(1).0,
        }
    }

    /// Connects a client to a server with a long `/config`. The task ends with the connection.
    async fn connect(web_config: WebConfig) -> (TcpStream, JoinSet<()>) {
        let dropped = Telemetry::new().unwrap().dropped_connections();
        connect_to(web_config, &Connections::new(None, dropped)).await
    }

    async fn connect_to(
        web_config: WebConfig,
        connections: &Arc<Connections>,
    ) -> (TcpStream, JoinSet<()>) {
        let endpoints = endpoints("x".repeat(100_000_000), watch::Sender::default().subscribe());
        let active = ActiveWebConfig { config: Arc::new(web_config), suspended: false };
        let service = Service {
            endpoints,
            active: watch::Sender::new(active).subscribe(),
            connections: Arc::clone(connections),
            stop: CancellationToken::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (stream, address) = listener.accept().await.unwrap();
        let connection = connections.add(Peer::from(address.ip())).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_client(stream, Arc::new(connection), Arc::new(service)));
        (client.unwrap(), tasks)
    }

    /// How long the connection lasts.
    async fn duration(mut tasks: JoinSet<()>) -> Duration {
        let begin = Instant::now();
        let ended = tokio::time::timeout(2 * MAX_CONNECTION_AGE, tasks.join_next());
        ended.await.unwrap().unwrap().unwrap();
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_limited_in_time() {
        let close = |time: Duration, limit: Duration| time.abs_diff(limit) < Duration::from_secs(1);
        let (_idle, tasks) = connect(WebConfig::default()).await;
        let time = duration(tasks).await;
        assert!(close(time, FIRST_REQUEST_TIMEOUT), "{time:?}");

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let resolver = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let tls = tls.with_no_client_auth().with_cert_resolver(resolver);
        let mut web_config = WebConfig::default();
        web_config.tls = Some(Arc::new(tls));
        let (_silent, tasks) = connect(web_config).await;
        let time = duration(tasks).await;
        assert!(close(time, FIRST_REQUEST_TIMEOUT), "{time:?}");

        let (mut stalled, tasks) = connect(WebConfig::default()).await;
        let request = b"GET /config HTTP/1.1\r\nHost: x\r\n\r\n";
        stalled.write_all(request).await.unwrap();
        let time = duration(tasks).await;
        assert!(close(time, WRITE_TIMEOUT), "{time:?}");

        let (mut busy, tasks) = connect(WebConfig::default()).await;
        let mut requests = JoinSet::new();
        requests.spawn(async move {
            let request = b"HEAD /config HTTP/1.1\r\nHost: x\r\n\r\n";
            while busy.write_all(request).await.is_ok() {
                tokio::time::sleep(IDLE_TIMEOUT / 2).await;
            }
        });
        let time = duration(tasks).await;
        assert!(close(time, MAX_CONNECTION_AGE), "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_nothing_makes_room_first() {
        // one connection, and two in grace
        let dropped = Telemetry::new().unwrap().dropped_connections();
        let connections = Connections::new(Some(6), dropped.clone());
        let (_silent, _tasks) = connect_to(WebConfig::default(), &connections).await;
        let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
        let _others = (connections.add(peer).await, connections.add(peer).await);
        tokio::task::yield_now().await;
        let start = Instant::now();
        connections.add(peer).await;
        assert!(start.elapsed() < MIN_GRACE, "{:?}", start.elapsed());
        assert_eq!(dropped.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn large_and_slow_requests_are_refused() {
        let long = "x".repeat(MAX_HEADER_BYTES as usize);
        for (request, status) in [
            (format!("GET / HTTP/1.1\r\nx: {long}"), "431"),
            ("POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n".to_owned(), "408"),
        ] {
            let (mut client, _tasks) = connect(WebConfig::default()).await;
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, *format!("HTTP/1.1 {status}").as_bytes());
        }
    }

    #[tokio::test]
    async fn it_is_healthy_while_all_loops_are_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
        let (pulses, health) = watch::channel(BTreeMap::new());
        let endpoints = endpoints(String::new(), health);
        let mut tasks = JoinSet::new();
        let (_web, active) = watch::channel(ActiveWebConfig::default());
        let stop = CancellationToken::new();
        tasks.spawn(serve(vec![listener], endpoints, active, stop));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let status = async || {
            let response = client.get(&url).send().await.unwrap();
            response.status().as_u16()
        };
        assert_eq!(status().await, 200);
        let ((good, good_pulse), (bad, bad_pulse)) = (heartbeat(), heartbeat());
        let both = [("good", good_pulse), ("bad", bad_pulse)];
        pulses.send_replace(both.map(|(name, pulse)| (name.to_owned(), pulse)).into());
        assert_eq!(status().await, 200);
        good.expect_by(Instant::now());
        let long_ago = Instant::now().checked_sub(Duration::from_mins(2));
        bad.expect_by(long_ago.unwrap());
        assert_eq!(status().await, 503);
        bad.expect_by(Instant::now());
        assert_eq!(status().await, 200);
    }
}
