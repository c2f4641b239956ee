//! Servers in front of a simulated provider that use HTTP in unusual ways.

use std::sync::Arc;

use campaign_simulator::Simulator;
use h2::Reason;
use h2::server::SendResponse;
use hyper::{Request, Response};
use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::daemon::client;
use super::tls::Certificate;

/// How a server answers over HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    /// Each connection falls silent after this many requests, but stays open.
    Silent(usize),
    /// Refuses every request with `REFUSED_STREAM`.
    Refusing,
    /// Closes the connection with `GOAWAY` after each request.
    Leaving,
    /// Never answers below `/hasty`, and answers below `/slow` once `/hasty` was asked twice.
    Slow,
}

/// A server on a free port. Closed when dropped.
pub(crate) struct Front {
    port: u16,
    /// The paths of all requests.
    asked: watch::Receiver<Vec<String>>,
    connections: watch::Receiver<usize>,
    _server: JoinSet<()>,
}

impl Front {
    /// Starts a server whose connections `serve` handles.
    async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, watch::Sender<Vec<String>>) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (note, asked) = watch::channel(Vec::new());
        let (count, connections) = watch::channel(0);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                open.spawn(serve(stream, note.clone()));
            }
        });
        Self { port, asked, connections, _server: server }
    }

    /// Starts a server that speaks HTTP/2 over TLS.
    pub(crate) async fn http2(simulator: &Simulator, peer: Peer) -> Self {
        let mut tls = Certificate::Good.config();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let (acceptor, upstream) = (TlsAcceptor::from(Arc::new(tls)), simulator.base_url());
        Self::start(move |stream, asked| {
            http2(stream, acceptor.clone(), upstream.clone(), peer, asked)
        })
        .await
    }

    /// Starts an HTTP/1.1 server that gets each answer from the simulator, changed by `change`, which
    /// returns the headers and the body for a path. It is also a proxy.
    pub(crate) async fn http1(
        simulator: &Simulator,
        change: fn(&str, Vec<u8>) -> (String, Vec<u8>),
    ) -> Self {
        let upstream = simulator.base_url();
        Self::start(move |stream, asked| http1(stream, upstream.clone(), change, asked)).await
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

/// Gets an answer from the simulator, which knows only the part of the path behind `/hasty` and such.
async fn fetch(upstream: &str, path: &str, authorization: Option<&str>) -> Vec<u8> {
    let path =
        ["/hasty", "/slow"].iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let request = client().get(format!("{upstream}{path}")).header("accept", "application/json");
    let request = request.header("authorization", authorization.unwrap_or_default());
    request.send().await.unwrap().bytes().await.unwrap().to_vec()
}

async fn http2(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    upstream: String,
    peer: Peer,
    asked: watch::Sender<Vec<String>>,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut answers = JoinSet::new();
    let mut requests: usize = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        asked.send_modify(|asked| asked.push(request.uri().path().to_owned()));
        requests += 1;
        match peer {
            Peer::Silent(after) if requests > after => std::future::pending().await,
            Peer::Refusing => respond.send_reset(Reason::REFUSED_STREAM),
            Peer::Leaving => {
                answer(request, respond, upstream.clone(), None).await;
                connection.graceful_shutdown();
            }
            Peer::Slow if request.uri().path().starts_with("/hasty") => {
                answers.spawn(async move {
                    let _held = respond;
                    std::future::pending::<()>().await;
                });
            }
            _ => {
                let wait = matches!(peer, Peer::Slow).then(|| asked.subscribe());
                answers.spawn(answer(request, respond, upstream.clone(), wait));
            }
        }
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<bytes::Bytes>,
    upstream: String,
    wait: Option<watch::Receiver<Vec<String>>>,
) {
    if let Some(mut asked) = wait {
        let is_twice = |asked: &Vec<String>| {
            asked.iter().filter(|path| path.starts_with("/hasty")).count() > 1
        };
        asked.wait_for(is_twice).await.unwrap();
    }
    let authorization =
        request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let path = request.uri().path_and_query().unwrap().as_str();
    let body = fetch(&upstream, path, authorization).await;
    let response = Response::builder().header("content-type", "application/json").body(()).unwrap();
    // the exporter may have given up
    if let Ok(mut stream) = respond.send_response(response, false) {
        stream.send_data(body.into(), true).ok();
    }
}

async fn http1(
    mut stream: TcpStream,
    upstream: String,
    change: fn(&str, Vec<u8>) -> (String, Vec<u8>),
    asked: watch::Sender<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    // a proxy gets a whole address
    let url = Url::parse("http://front").unwrap().join(target).unwrap();
    asked.send_modify(|asked| asked.push(url.path().to_owned()));
    let authorization = head.lines().find_map(|line| line.strip_prefix("authorization: "));
    let (_, case) = url.path().split_once("/case-").unwrap_or_default();
    let (case, path) = case.split_once('/').unwrap_or(("", url.path().trim_start_matches('/')));
    let path = format!("/{path}?{}", url.query().unwrap_or_default());
    let (headers, body) = change(case, fetch(&upstream, &path, authorization).await);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n"
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).await.ok();
}
