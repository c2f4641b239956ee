//! Simulated HTTP APIs of messaging platforms on loopback, for the demo and the tests.
//!
//! Each platform is an [`Api`]. The exporter defines one for each of its providers; this crate
//! knows none of them. An API is as strict as its documentation and can be made to fail the way
//! networks and platforms fail.

pub mod answer;
mod authorization;
mod campaign;
mod fault;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod world;

use std::{error::Error, fmt, future, io, net::SocketAddr, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use hyper::{Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use answer::{Answer, Body, Reply};
use serde_json::Value;

pub use authorization::{Authorization, AuthorizationApi, ExpiresIn};
pub use campaign::{Campaign, Channel, Counts};
pub use fault::{Fault, FaultPlan};
pub use request::Request;
pub use state::{Campaigns, KEPT_REQUESTS, State};
pub use world::{Habits, World};

/// A platform's API, without its transport.
pub trait Api: fmt::Debug + Send + Sync {
    /// Returns the provider name used in the configuration.
    fn provider(&self) -> &'static str;

    /// Answers a request.
    fn answer(&self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer;

    /// Returns the documented answer for a status other than 200.
    fn error(&self, status: u16) -> Answer;

    /// Returns the names of the item members that are counts.
    fn counts(&self) -> &'static [&'static str];

    /// Returns the answer for an exhausted daily quota.
    fn quota_exceeded(&self) -> Answer {
        self.error(429)
    }

    /// Sets the link to the next page. Does nothing if pages have no links.
    fn link(&self, _page: &mut Value, _href: &str) {}

    /// Returns the authorization server on the same port; `None` if there is none.
    fn authorization(&self) -> Option<&'static AuthorizationApi> {
        None
    }

    /// Returns the characteristics of accounts at this API.
    fn habits(&self) -> Habits;

    /// Returns the configuration keys of an account other than `name`.
    fn account(&self, base_url: &str, token_file: &Path) -> Value;

    /// Returns the same keys with a refresh token instead of an access token; `None` if the API
    /// has no authorization server.
    fn renewed_account(&self, _base_url: &str, _refresh_token_file: &Path) -> Option<Value> {
        None
    }

    /// Returns how the API lists campaigns.
    fn listing(&self) -> Listing {
        Listing::default()
    }

    /// Returns the item that lists a campaign.
    fn item(&self, _state: &State, _now: DateTime<Utc>, _campaign: &Campaign) -> Value {
        Value::Null
    }

    /// Returns the start of the window that a request for a first page selects; `None` for all
    /// other requests.
    fn window_start(&self, _state: &State, _request: &Request) -> Option<DateTime<Utc>> {
        None
    }
}

/// How an API lists campaigns, for tests that apply to every API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing {
    /// The path of the first page, with the parameters that a request needs.
    pub path: &'static str,
    /// The member of an answer that contains the items.
    pub items: &'static str,
    /// The member of an answer, and its value, that mark a success; `None` if only the HTTP status
    /// does.
    pub success: Option<(&'static str, u32)>,
    /// The member of an item that contains the ID.
    pub id: &'static str,
    /// The member of an item that contains the time it was sent.
    pub date: &'static str,
    /// The count that the delivery ratio is relative to.
    pub attempted: &'static str,
    /// The count of delivered messages.
    pub deliveries: &'static str,
    /// The member of an item that contains the counts; `None` if the item itself does.
    pub counts_in: Option<&'static str>,
    /// The member among the counts that is an amount of credits.
    pub cost: Option<&'static str>,
    /// The maximum number of items on a page.
    pub page_size: usize,
    /// Whether pages are selected by an offset. Each then begins with the last item of the one before.
    pub by_offset: bool,
    /// Whether only a page that is not full is known to be the last.
    pub open_ended: bool,
    /// Whether the reported total includes campaigns outside the window.
    pub total_of_all: bool,
    /// The number of requests in a poll that list no campaigns.
    pub other_requests: usize,
}

impl Listing {
    /// Returns a successful answer with these items.
    pub fn page(&self, items: Value) -> Value {
        let success = self.success.map(|(name, value)| (name, value.into()));
        let members = success.into_iter().chain([(self.items, items)]);
        members.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the number of requests in a poll that reads this many campaigns.
    pub fn requests(&self, campaigns: usize) -> usize {
        let overlap = usize::from(self.by_offset);
        let campaigns = campaigns.saturating_sub(overlap);
        let page_size = self.page_size - overlap;
        let pages = if self.open_ended {
            campaigns / page_size + 1
        } else {
            campaigns.div_ceil(page_size).max(1)
        };
        pages + self.other_requests
    }
}

/// The part of a simulator that handles a request.
#[derive(Clone, Copy, Debug)]
enum Server {
    Api(&'static dyn Api),
    Authorization(&'static AuthorizationApi),
}

impl Server {
    fn of(api: &'static dyn Api, request: &Request) -> Self {
        let authorization = api.authorization();
        let authorization = authorization.filter(|server| server.serves(request));
        authorization.map_or(Self::Api(api), Self::Authorization)
    }

    fn answer(self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
        match self {
            Self::Api(api) => api.answer(state, now, request),
            Self::Authorization(server) => state.authorization.answer(server, request),
        }
    }

    fn error(self, status: u16) -> Answer {
        match self {
            Self::Api(api) => api.error(status),
            Self::Authorization(server) => server.error(status),
        }
    }

    fn quota_exceeded(self) -> Answer {
        match self {
            Self::Api(api) => api.quota_exceeded(),
            Self::Authorization(server) => server.error(429),
        }
    }

    fn counts(self) -> &'static [&'static str] {
        match self {
            Self::Api(api) => api.counts(),
            Self::Authorization(_) => &[],
        }
    }

    fn link(self, page: &mut Value, href: &str) {
        if let Self::Api(api) = self {
            api.link(page, href);
        }
    }

    fn plan(self, state: &mut State) -> &mut Option<FaultPlan> {
        match self {
            Self::Api(_) => &mut state.fault,
            Self::Authorization(_) => &mut state.authorization.fault,
        }
    }
}

/// A running server; dropping it closes its connections immediately and its port soon after.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    api: &'static dyn Api,
    state: watch::Sender<State>,
    /// Aborts the server on drop.
    _server: JoinSet<()>,
}

impl Simulator {
    /// Starts a server on a free port of the loopback interface.
    pub async fn start(api: &'static dyn Api, state: State) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(state);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, api, state.clone()));
        Ok(Self { address, api, state, _server: server })
    }

    /// Returns the base URL for a client configuration, without a path or trailing slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the simulated API.
    pub fn api(&self) -> &'static dyn Api {
        self.api
    }

    /// Changes the state for subsequent requests.
    pub fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Reads the state as the last request left it.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Waits until the state meets a condition; has no timeout.
    pub async fn wait_for(&self, condition: impl FnMut(&State) -> bool) {
        // fails only if the sender is dropped, and `self` owns it
        self.state.subscribe().wait_for(condition).await.ok();
    }

    /// Returns the most recent requests, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.read(|state| state.requests.iter().cloned().collect())
    }
}

/// Accepts connections until aborted; aborting closes them all.
async fn serve(listener: TcpListener, api: &'static dyn Api, state: watch::Sender<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, api, state.clone()));
                }
                // probably out of file descriptors: wait until some are released
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, api: &'static dyn Api, state: watch::Sender<State>) {
    let service = service_fn(|request| Box::pin(handle(api, &state, request)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // errors are expected: clients give up and faults cut bodies short
    let ended = (&mut connection).await;
    if ended.is_err_and(|error| is_reset(&error)) {
        let stream = connection.into_parts().io.into_inner();
        // closing it then resets the connection
        stream.set_zero_linger().ok();
    }
}

/// Returns whether an error comes from a body that ends with a reset. A client that reset the
/// connection itself does not notice the difference.
fn is_reset(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionReset)
}

/// Handles a request; an error closes the connection without an answer.
async fn handle(
    api: &'static dyn Api,
    state: &watch::Sender<State>,
    request: hyper::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let request = Request::read(request).await?;
    match reply(api, state, request) {
        Reply::Response(response) => Ok(response),
        Reply::Late(by, response) => {
            tokio::time::sleep(by).await;
            Ok(response)
        }
        Reply::Silence => future::pending().await,
        Reply::None => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn reply(api: &'static dyn Api, state: &watch::Sender<State>, request: Request) -> Reply {
    let server = Server::of(api, &request);
    let mut reply = Reply::None;
    // hold one lock throughout, so the request sees one state and no other request takes its fault
    state.send_modify(|state| {
        let fault = FaultPlan::next(server.plan(state));
        let (by, deleted) = match fault {
            Some(Fault::Moving { by }) => (by, 0),
            Some(Fault::Deletion { items }) => (0, items),
            _ => (0, 0),
        };
        if by == 0 && matches!(server, Server::Api(_)) {
            state.shift = 0;
        }
        let mut answer = || {
            let now = state.present.unwrap_or_else(Utc::now);
            let mut answer = server.answer(state, now, &request);
            if answer.items().is_some() {
                state.shift += by;
                state.items.drain(..deleted.min(state.items.len()));
            }
            answer
        };
        let written = match fault {
            Some(fault) => fault.reply(server, answer, &request),
            None => answer().respond(&request).map(Reply::Response),
        };
        reply = written.unwrap_or_else(|error| {
            // the plan is impossible, for example an invalid status: report it
            let mut response = Response::new(answer::full(error.to_string().into()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Reply::Response(response)
        });
        state.count(request);
    });
    reply
}
