//! The endpoints. They serve what the publisher has already rendered.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY as CSP, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::exposition::format::Format;
use crate::exposition::own::OwnMetrics;
use crate::exposition::publisher::Published;
use crate::exposition::rendering::SharedBody;
use crate::polling::heartbeat::Pulse;
use crate::provider::Kinds;
use crate::state::status::{AccountStatus, WorstCampaign};
use crate::telemetry::{RejectedReload, Telemetry};
use crate::web::body::Body;
use crate::web::campaigns::{self, Answer};
use crate::web::discovery;
use crate::web::negotiation;
use crate::web::pages::{self, CONTENT_SECURITY_POLICY};
use crate::web::routes::{Route, Routes};
use crate::web::selection::Selection;

/// Maximum size of a request body in bytes. No endpoint needs one.
const MAX_BODY_BYTES: usize = 1024;

/// Time limit for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// A reload request: the sender of its result.
pub type Reload = oneshot::Sender<Result<(), String>>;

/// The data behind the endpoints.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The paths.
    pub routes: Routes,
    /// Whether `POST /-/reload` is allowed.
    pub lifecycle: bool,
    /// The metrics of campaigns and accounts.
    pub published: watch::Receiver<Arc<Published>>,
    /// What is known of the last attempt to load the configuration, among others.
    pub telemetry: Telemetry,
    /// The exporter's own metrics.
    pub own: Arc<OwnMetrics>,
    /// The active configuration.
    pub config: watch::Receiver<String>,
    /// The liveness of the poll loops, by account.
    pub health: watch::Receiver<BTreeMap<String, Pulse>>,
    /// The providers that accounts can be at.
    pub kinds: Kinds,
    /// Channel for reload requests.
    pub reloads: mpsc::Sender<Reload>,
}

impl Endpoints {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let path = match self.routes.find(&path) {
            Route::Endpoint(path) => path,
            Route::LandingPage(location) => return redirect(&location),
            Route::Unknown => return plain(StatusCode::NOT_FOUND, "Not found.\n"),
        };
        if path == "/-/reload" {
            return reload(self, request).await;
        }
        let is_metrics = path == self.routes.telemetry_path;
        let show = CAMPAIGNS.iter().find(|(known, _)| *known == path && !is_metrics);
        if let Some((_, show)) = show {
            return match *request.method() {
                Method::GET | Method::HEAD => campaigns(self, &request, *show).await,
                _ => not_allowed("GET, HEAD"),
            };
        }
        let answer: Read = if is_metrics {
            metrics
        } else if let Some((_, answer)) = READ.iter().find(|(known, _)| *known == path) {
            *answer
        } else {
            return plain(StatusCode::NOT_FOUND, "Not found.\n");
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            answer(self, &request)
        } else {
            not_allowed("GET, HEAD")
        }
    }
}

/// Answers GET and HEAD requests for a path.
type Read = fn(&Endpoints, &Request<Incoming>) -> Response<Body>;

/// The paths that can be read besides the metrics.
const READ: [(&str, Read); 6] = [
    ("/", landing_page),
    ("/status", status),
    ("/-/healthy", healthy),
    ("/-/ready", ready),
    ("/sd", targets),
    ("/config", config),
];

/// Shows campaigns for a query.
type Show = fn(&Arc<Published>, &str, &str) -> Answer;

/// The paths that show campaigns.
const CAMPAIGNS: [(&str, Show); 2] =
    [("/campaigns", campaigns::list), ("/campaign", campaigns::detail)];

/// Whether metrics at this path would hide another endpoint. The landing page may be hidden, and so may
/// those of campaigns, which are younger than configurations in use.
pub fn is_taken(path: &str) -> bool {
    path.starts_with("/-/") || READ.iter().any(|(known, _)| *known == path && path != "/")
}

fn config(endpoints: &Endpoints, _request: &Request<Incoming>) -> Response<Body> {
    plain(StatusCode::OK, endpoints.config.borrow().clone())
}

fn metrics(endpoints: &Endpoints, request: &Request<Incoming>) -> Response<Body> {
    let selection = match Selection::read(request.uri().query().unwrap_or_default()) {
        Ok(selection) => selection,
        Err(problem) => return plain(StatusCode::BAD_REQUEST, problem + "\n"),
    };
    let format = negotiation::format(&header(request, ACCEPT));
    let published = Arc::clone(&endpoints.published.borrow());
    let exposition = published.exposition(format);
    let part = match &selection {
        Selection::All => None,
        Selection::Own => Some(exposition.own()),
        Selection::Some(accounts) => {
            let existing = exposition.accounts();
            if let Some(problem) = accounts.unknown(&endpoints.kinds, &existing) {
                return plain(StatusCode::NOT_FOUND, problem + "\n");
            }
            Some(exposition.some(|name, provider| accounts.matches(name, provider)))
        }
    };
    let mut bodies = vec![part.as_ref().unwrap_or(&exposition.whole)];
    let (own, mut rest);
    match selection {
        Selection::All | Selection::Own => {
            own = match endpoints.own.body(format) {
                Ok(own) => own,
                Err(error) => return failed(error),
            };
            bodies.push(&own);
            rest = endpoints.own.process(format);
        }
        Selection::Some(_) => rest = String::new(),
    }
    rest.push_str(format.end());
    let content_type = format.content_type();
    let mut response = if negotiation::accepts_gzip(&header(request, ACCEPT_ENCODING)) {
        let body = SharedBody::gzip(&bodies, &rest);
        let mut response = respond(StatusCode::OK, content_type, body);
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
        response
    } else {
        respond(StatusCode::OK, content_type, SharedBody::identity(&bodies, rest))
    };
    let vary = HeaderValue::from_static("Accept, Accept-Encoding");
    response.headers_mut().insert(VARY, vary);
    response
}

/// Lists the scrape targets, at the address of the request.
fn targets(endpoints: &Endpoints, request: &Request<Incoming>) -> Response<Body> {
    // HTTP/2 sends it as :authority
    let address = match request.uri().authority() {
        Some(authority) => discovery::address(authority.as_str()),
        None => discovery::address(&header(request, HOST)),
    };
    let Some(address) = address else {
        return plain(StatusCode::BAD_REQUEST, "The Host header is not a valid target address.\n");
    };
    let (scheme, path) = endpoints.routes.metrics(&address);
    let published = Arc::clone(&endpoints.published.borrow());
    let accounts = published.exposition(Format::Text).accounts();
    match discovery::targets(address.as_str(), (scheme, &path), accounts) {
        Ok(targets) => respond(StatusCode::OK, "application/json", targets),
        Err(error) => failed(error),
    }
}

/// Returns the values of a header, joined by commas if it is repeated.
fn header(request: &Request<Incoming>, name: HeaderName) -> String {
    let values = request.headers().get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
}

/// Reports whether the poll loops are alive. Provider failures do not count: a restart would not fix
/// them.
fn healthy(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    if endpoints.health.borrow().values().all(Pulse::is_alive) {
        plain(StatusCode::OK, "Campaign exporter is healthy.\n")
    } else {
        unavailable("Polling of at least one account has stalled.\n")
    }
}

fn ready(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    if endpoints.published.borrow().ready {
        plain(StatusCode::OK, "Campaign exporter is ready.\n")
    } else {
        unavailable("At least one account has not been polled yet.\n")
    }
}

async fn reload(endpoints: &Endpoints, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return not_allowed("POST");
    }
    if !endpoints.lifecycle {
        return plain(
            StatusCode::FORBIDDEN,
            "Reloading over HTTP requires --web.enable-lifecycle. SIGHUP always works.\n",
        );
    }
    // a small body is ignored
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Err(_) => {
            let text = "Timed out reading the request body.\n";
            return plain(StatusCode::REQUEST_TIMEOUT, text);
        }
        Ok(Err(_)) => {
            let text = "The request body is too large; none is expected.\n";
            return plain(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        Ok(Ok(_)) => {}
    }
    let (reply, result) = oneshot::channel();
    if endpoints.reloads.send(reply).await.is_err() {
        return unavailable("The exporter is stopping.\n");
    }
    match result.await {
        Ok(Ok(())) => plain(StatusCode::OK, "Reloaded.\n"),
        Ok(Err(problem)) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("Configuration not reloaded; keeping the previous one.\n{problem}\n"),
        ),
        Err(_) => unavailable("The exporter is stopping.\n"),
    }
}

fn landing_page(endpoints: &Endpoints, _: &Request<Incoming>) -> Response<Body> {
    let published = Arc::clone(&endpoints.published.borrow());
    page(pages::landing(
        &endpoints.routes.telemetry_path,
        &published.status,
        endpoints.telemetry.rejected_reload().as_ref(),
        Utc::now(),
    ))
}

/// The status as JSON.
#[derive(Serialize)]
struct StatusJson<'a> {
    accounts: Vec<AccountJson<'a>>,
    worst_campaigns: Vec<&'a WorstCampaign>,
    config_reload_successful: bool,
    config_reload_rejected: Option<RejectedReload>,
}

#[derive(Serialize)]
struct AccountJson<'a> {
    #[serde(flatten)]
    status: &'a AccountStatus,
    polling: bool,
}

/// Serves the status page, or its contents as JSON. A parameter selects the format rather than
/// `Accept`, so that a link can point to either.
fn status(endpoints: &Endpoints, request: &Request<Incoming>) -> Response<Body> {
    let published = Arc::clone(&endpoints.published.borrow());
    let status = &published.status;
    let rejected = endpoints.telemetry.rejected_reload();
    let is_polling = |account: &AccountStatus| {
        let pulses = endpoints.health.borrow();
        pulses.get(&account.account).is_some_and(Pulse::is_polling)
    };
    match request.uri().query() {
        None | Some("") => page(pages::status(
            &endpoints.routes.telemetry_path,
            status,
            rejected.as_ref(),
            is_polling,
            Utc::now(),
        )),
        Some("format=json") => match serde_json::to_string(&StatusJson {
            accounts: status
                .accounts()
                .map(|status| AccountJson { status, polling: is_polling(status) })
                .collect(),
            worst_campaigns: status.worst(),
            config_reload_successful: rejected.is_none(),
            config_reload_rejected: rejected,
        }) {
            Ok(json) => respond(StatusCode::OK, "application/json", json),
            Err(error) => failed(error),
        },
        Some(_) => plain(StatusCode::BAD_REQUEST, "The only supported parameter is format=json.\n"),
    }
}

async fn campaigns(
    endpoints: &Endpoints,
    request: &Request<Incoming>,
    show: Show,
) -> Response<Body> {
    let published = Arc::clone(&endpoints.published.borrow());
    let path = endpoints.routes.telemetry_path.clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match campaigns::apart(move || show(&published, &path, &query)).await {
        Answer::Page(html) => page(html),
        Answer::File(content_type, name, body) => {
            let mut response = respond(StatusCode::OK, content_type, body);
            let name = HeaderValue::from_static(name);
            response.headers_mut().insert(CONTENT_DISPOSITION, name);
            response
        }
        Answer::NotFound(problem) => plain(StatusCode::NOT_FOUND, problem + "\n"),
        Answer::Invalid(problem) => plain(StatusCode::BAD_REQUEST, problem + "\n"),
        Answer::Busy => unavailable("Too many files of campaigns are being sent. Try again.\n"),
        Answer::Failed(error) => failed(error),
    }
}

/// Redirects to a path, relative to that of the request.
fn redirect(location: &str) -> Response<Body> {
    let mut response = plain(StatusCode::FOUND, format!("The exporter is at {location}.\n"));
    match HeaderValue::from_str(location) {
        Ok(location) => response.headers_mut().insert(LOCATION, location),
        Err(error) => return failed(error),
    };
    response
}

fn page(html: String) -> Response<Body> {
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", html);
    if let Ok(policy) = HeaderValue::from_str(&CONTENT_SECURITY_POLICY) {
        response.headers_mut().insert(CSP, policy);
    }
    // no other site needs to know the exporter's address
    let none = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(REFERRER_POLICY, none);
    response
}

/// Creates the response to a request that cannot be answered now.
pub fn unavailable(text: &'static str) -> Response<Body> {
    plain(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn failed(error: impl Display) -> Response<Body> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Creates a plain text response.
pub fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let body = body.into();
    let length = body.length();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
