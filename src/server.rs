//! The HTTP server: connections and their bounds. What is answered, the endpoints know.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::endpoints::Endpoints;

/// Connections at the same time; more wait to be accepted. A Prometheus keeps one or two.
const MAX_CONNECTIONS: usize = 256;

/// Time limit for the head of a request, and for a connection to be idle: longer than the usual
/// scrape intervals, so that scrapers can keep theirs.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest head of a request in bytes.
const MAX_HEADER_BYTES: usize = 64 * 1024;

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
        service_fn(|request| async { Ok::<_, Infallible>(endpoints.answer(request).await) });
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

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, watch};
    use tokio::time::Instant;

    use super::*;
    use crate::heartbeat::heartbeat;
    use crate::publisher;
    use crate::telemetry::Telemetry;

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
