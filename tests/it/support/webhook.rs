//! A webhook receiver for Alertmanager.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::daemon::LIMIT;

/// A notification about a group of alerts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) receiver: String,
    pub(crate) group_labels: BTreeMap<String, String>,
    pub(crate) alerts: Vec<Alert>,
}

/// An alert in a notification.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alert {
    /// `firing` or `resolved`
    pub(crate) status: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A server that accepts every notification. Stopped when dropped.
pub(crate) struct Webhook {
    url: String,
    messages: watch::Receiver<Vec<Message>>,
    /// Held for its `Drop`, which aborts the server.
    _server: JoinSet<()>,
}

impl Webhook {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, messages) = watch::channel(Vec::new());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let sender = sender.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| take(request, &sender));
                    let connection = http1::Builder::new();
                    // the sender may disconnect at any time
                    let conversation = connection.serve_connection(TokioIo::new(stream), service);
                    conversation.await.ok();
                });
            }
        });
        Self { url, messages, _server: server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns all notifications so far, oldest first.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.messages.borrow().clone()
    }

    /// Waits until the notifications meet a condition.
    pub(crate) async fn wait_for(&self, what: &str, wanted: impl Fn(&[Message]) -> bool) {
        let mut messages = self.messages.clone();
        let as_wanted = messages.wait_for(|messages| wanted(messages));
        let found = tokio::time::timeout(LIMIT, as_wanted).await.is_ok();
        assert!(found, "{what}: {:#?}", self.messages());
    }
}

async fn take(
    request: Request<Incoming>,
    messages: &watch::Sender<Vec<Message>>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let message = serde_json::from_slice(&body).unwrap();
    messages.send_modify(|messages| messages.push(message));
    Ok(Response::new(Empty::new()))
}
