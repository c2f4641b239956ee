//! The HTTP server of both programs: HTTP/1.1 with persistent connections on the loopback interface.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves requests until the process is killed; prints its address on standard output.
pub async fn serve(
    answer: impl Fn(&Request<Incoming>) -> Result<Response<Full<Bytes>>> + Send + Sync + 'static,
) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // the driver waits for this line
    writeln!(io::stdout(), "address={}", listener.local_addr()?)?;
    let answer = Arc::new(answer);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request).unwrap_or_else(|error| failure(&error));
                async { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // the client closes connections in the middle of a response when its time is up
            connection.await.unwrap_or_default();
        });
        while connections.try_join_next().is_some() {}
    }
}

fn failure(error: &anyhow::Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{error:#}\n")));
    *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
