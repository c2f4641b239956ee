//! The providers' HTTP APIs, simulated on loopback: for the demo and for the tests.
//!
//! Each API is as strict as its documentation, so that a client that asks wrongly is told so,
//! and any of them can be made to fail in the ways that networks and providers do.

mod answer;
mod authorization;
mod campaign;
mod cinnox;
mod constant_contact;
mod fault;
mod request;
mod smsup;
mod state;
mod world;

use std::{error::Error, future, io, net::SocketAddr, time::Duration};

use chrono::{DateTime, Utc};
use hyper::{Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use answer::{Answer, Body, Reply};

pub use authorization::{Authorization, ExpiresIn};
pub use campaign::{Campaign, Channel, Counts};
pub use fault::{Fault, FaultPlan};
pub use request::Request;
pub use state::{Campaigns, KEPT_REQUESTS, State};
pub use world::World;

/// The APIs that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Constant Contact v3, its summaries of SMS campaigns, and on the same port, below
    /// `/oauth2/default`, its authorisation server.
    ConstantContact,
    /// CINNOX, its summaries of sent campaigns; the app id is the state's.
    Cinnox,
    /// SMSUp, its campaigns and credits; the zone of its dates is the state's.
    Smsup,
}

/// The part of a simulator that a request is for.
#[derive(Clone, Copy, Debug)]
enum Server {
    Api(Api),
    Authorization,
}

impl Server {
    fn of(api: Api, request: &Request) -> Self {
        match api {
            Api::ConstantContact if Authorization::is_for(request) => Self::Authorization,
            _ => Self::Api(api),
        }
    }

    fn answer(self, state: &mut State, now: DateTime<Utc>, request: &Request) -> Answer {
        match self {
            Self::Api(Api::ConstantContact) => constant_contact::answer(state, now, request),
            Self::Api(Api::Cinnox) => cinnox::answer(state, now, request),
            Self::Api(Api::Smsup) => smsup::answer(state, now, request),
            Self::Authorization => state.authorization.answer(request),
        }
    }

    /// What this server says with an HTTP status other than 200.
    fn error(self, status: u16) -> Answer {
        match self {
            Self::Api(Api::ConstantContact) => constant_contact::error(status),
            Self::Api(Api::Cinnox) => cinnox::error(status),
            Self::Api(Api::Smsup) => smsup::error(status),
            Self::Authorization => authorization::error(status),
        }
    }

    /// The members of an item that are counts.
    fn counts(self) -> &'static [&'static str] {
        match self {
            Self::Api(Api::ConstantContact) => &constant_contact::COUNTS,
            Self::Api(Api::Cinnox) => &cinnox::COUNTS,
            Self::Api(Api::Smsup) => &smsup::COUNTS,
            Self::Authorization => &[],
        }
    }

    fn plan(self, state: &mut State) -> &mut Option<FaultPlan> {
        match self {
            Self::Api(_) => &mut state.fault,
            Self::Authorization => &mut state.authorization.fault,
        }
    }
}

/// A running server; dropping it ends its connections and soon closes its port.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    state: watch::Sender<State>,
    /// Held for its `Drop`, which aborts the server.
    _server: JoinSet<()>,
}

impl Simulator {
    /// Starts a server on a free port of the loopback interface.
    pub async fn start(api: Api, state: State) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(state);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, api, state.clone()));
        Ok(Self {
            address,
            state,
            _server: server,
        })
    }

    /// The address for a client's configuration, without a path and without a last slash.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes what the next requests will meet.
    pub fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Looks at the state as the last request left it.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Waits until the state meets a condition, if need be for ever.
    pub async fn wait_for(&self, condition: impl FnMut(&State) -> bool) {
        // an error would mean that the sender is gone, and it is ours
        self.state.subscribe().wait_for(condition).await.ok();
    }

    /// The last requests, the oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.read(|state| state.requests.iter().cloned().collect())
    }
}

/// Accepts connections until it is aborted, and with it all of them.
async fn serve(listener: TcpListener, api: Api, state: watch::Sender<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, api, state.clone()));
                }
                // most likely out of file descriptors: wait for some to be given back
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, api: Api, state: watch::Sender<State>) {
    let service = service_fn(|request| Box::pin(handle(api, &state, request)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // clients that give up and bodies that break off are what a simulator is for
    let ended = (&mut connection).await;
    if ended.is_err_and(|error| is_reset(&error)) {
        let stream = connection.into_parts().io.into_inner();
        // closing it then resets the connection
        stream.set_zero_linger().ok();
    }
}

/// Whether an error comes from a body that ends with a reset, or from a client that has done so
/// itself, to whom it makes no difference.
fn is_reset(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    cause.is_some_and(|cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionReset)
}

/// An error ends the connection without an answer.
async fn handle(
    api: Api,
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

fn reply(api: Api, state: &watch::Sender<State>, request: Request) -> Reply {
    let server = Server::of(api, &request);
    let mut reply = Reply::None;
    // under one lock, so that a request meets one state and no other request takes its fault
    state.send_modify(|state| {
        let fault = FaultPlan::next(server.plan(state));
        let by = match fault {
            Some(Fault::Moving { by }) => by,
            _ => 0,
        };
        if by == 0 && matches!(server, Server::Api(_)) {
            state.shift = 0;
        }
        let mut answer = || {
            let now = state.present.unwrap_or_else(Utc::now);
            let mut answer = server.answer(state, now, &request);
            if answer.items().is_some() {
                state.shift += by;
            }
            answer
        };
        let written = match fault {
            Some(fault) => fault.reply(server, answer, &request),
            None => answer().respond(&request).map(Reply::Response),
        };
        reply = written.unwrap_or_else(|error| {
            // a plan that cannot be carried out, such as an impossible status: say so
            let mut response = Response::new(answer::full(error.to_string().into()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            Reply::Response(response)
        });
        state.count(request);
    });
    reply
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const PATH: &str = "/v1/api/apps/demo-app/data/sent-campaigns-summary?limit=200";

    async fn simulator(campaigns: usize) -> Simulator {
        let campaign = Campaign::sms("id", "name", DateTime::UNIX_EPOCH, Counts::default());
        let state = State::new("secret", vec![campaign; campaigns]);
        Simulator::start(Api::Cinnox, state).await.unwrap()
    }

    async fn get(client: &reqwest::Client, simulator: &Simulator) -> reqwest::Response {
        let request = client
            .get(simulator.base_url() + PATH)
            .bearer_auth("secret");
        request.send().await.unwrap()
    }

    #[tokio::test]
    async fn long_answers_are_compressed_for_those_who_know_it() {
        let simulator = simulator(100).await;
        let encoding = async |client: reqwest::ClientBuilder, accepts: &'static str| {
            let headers = [(hyper::header::ACCEPT_ENCODING, accepts.parse().unwrap())];
            let client = client
                .default_headers(headers.into_iter().collect())
                .build()
                .unwrap();
            let response = get(&client, &simulator).await;
            response.headers().get("content-encoding").cloned()
        };
        let raw = || reqwest::Client::builder().no_gzip();
        assert_eq!(encoding(raw(), "gzip, br").await.unwrap(), "gzip");
        assert_eq!(encoding(raw(), "br").await, None);
        simulator.update(|state| state.campaigns = Vec::new().into());
        assert_eq!(encoding(raw(), "gzip").await, None);

        simulator.update(|state| state.items = vec!["x".repeat(5_000).into()]);
        let text = get(&reqwest::Client::new(), &simulator)
            .await
            .text()
            .await
            .unwrap();
        assert!(text.contains(&"x".repeat(5_000)));
    }

    #[tokio::test]
    async fn the_last_requests_are_kept() {
        let simulator = simulator(0).await;
        let client = reqwest::Client::new();
        get(&client, &simulator).await;
        let requests = simulator.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].method, "GET");
        assert_eq!(requests[0].path_and_query, PATH);
        assert_eq!(requests[0].parameter("limit").as_deref(), Some("200"));
        assert_eq!(requests[0].headers["authorization"], "Bearer secret");

        simulator.update(|state| {
            let one = state.requests[0].clone();
            for number in 0..KEPT_REQUESTS {
                state.count(Request {
                    path_and_query: format!("/{number}"),
                    ..one.clone()
                });
            }
        });
        let requests = simulator.requests();
        assert_eq!(requests.len(), KEPT_REQUESTS);
        assert_eq!(requests[0].path_and_query, "/0");
    }

    #[tokio::test]
    async fn one_can_wait_for_requests() {
        let simulator = simulator(0).await;
        let client = reqwest::Client::new();
        let ask = async {
            get(&client, &simulator).await;
            get(&client, &simulator).await;
        };
        let both = futures_util::future::join(ask, simulator.wait_for(|state| state.answered == 2));
        timeout(Duration::from_secs(5), both).await.unwrap();
    }

    #[tokio::test]
    async fn dropping_it_closes_the_port() {
        let simulator = simulator(0).await;
        let address = simulator.address;
        let open = TcpStream::connect(address).await.unwrap();
        drop(simulator);
        let closed = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            open.readable().await.unwrap();
        };
        timeout(Duration::from_secs(5), closed).await.unwrap();
    }
}
