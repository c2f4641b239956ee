//! The gate in front of the endpoints: applies the active web configuration to each request.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::document::reading;
use crate::web::body::Body;
use crate::web::connections::Peer;
use crate::web::endpoints::{Endpoints, plain, unavailable};
use crate::web::protection::configuration::WebConfig;
use crate::web::protection::file::WebConfigError;
use crate::web::protection::users::Verdict;

/// How often the web configuration file and the files that it names are read again. They are small
/// and cached, so this is cheaper than reading them for every connection.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Time limit for reading: a hung file system must not keep an outdated configuration active.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The last valid web configuration, and whether it may be used.
#[derive(Clone, Debug, Default)]
pub struct ActiveWebConfig {
    /// The configuration.
    pub config: Arc<WebConfig>,
    /// Whether all requests are refused because the file cannot be used.
    pub suspended: bool,
}

/// Keeps the active configuration in sync with the file until `stop` is canceled.
///
/// If the file becomes invalid or loses a protection, all requests are refused until it is fixed.
pub async fn follow(
    path: PathBuf,
    active: watch::Sender<ActiveWebConfig>,
    stop: CancellationToken,
) {
    let mut valid = Arc::clone(&active.borrow().config);
    let mut problem = None;
    loop {
        let pause = tokio::time::sleep(READ_INTERVAL);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
        let reading = read(path.clone(), Arc::clone(&valid), &active);
        let Some(read) = stop.run_until_cancelled(reading).await else {
            return;
        };
        let read = read.map_err(|error| error.to_string());
        let changed = read.and_then(|new| keeping_protections(new, &valid, &path));
        match changed {
            Ok(None) if !active.borrow().suspended => {}
            Ok(new) => {
                if let Some(new) = new {
                    log_warnings(&new);
                    valid = Arc::new(new);
                }
                problem = None;
                active
                    .send_replace(ActiveWebConfig { config: Arc::clone(&valid), suspended: false });
                // logged once it is in effect
                info!("web configuration reloaded");
            }
            Err(new) => {
                suspend(&active);
                if problem.as_ref() != Some(&new) {
                    for line in new.lines() {
                        error!(
                            "refusing all requests until the web configuration is valid: {line}"
                        );
                    }
                    problem = Some(new);
                }
            }
        }
    }
}

/// Refuses a configuration that loses a protection.
fn keeping_protections(
    new: Option<WebConfig>,
    valid: &WebConfig,
    path: &Path,
) -> Result<Option<WebConfig>, String> {
    let Some(lost) = new.as_ref().and_then(|new| valid.lost_in(new)) else {
        return Ok(new);
    };
    let path = path.display();
    Err(format!("{path}: {lost} was removed; removing a protection requires a restart"))
}

/// Reads the files if they have changed. If reading takes too long, requests are refused meanwhile.
async fn read(
    path: PathBuf,
    valid: Arc<WebConfig>,
    active: &watch::Sender<ActiveWebConfig>,
) -> Result<Option<WebConfig>, WebConfigError> {
    let shown = path.display().to_string();
    let mut reading = tokio::task::spawn_blocking(move || valid.load_changed(&path));
    let in_time = tokio::time::timeout(READ_TIMEOUT, &mut reading).await;
    let read = if let Ok(read) = in_time {
        read
    } else {
        let seconds = READ_TIMEOUT.as_secs();
        error!("refusing all requests: {} cannot be read within {seconds} s", reading::hung());
        suspend(active);
        reading.await
    };
    read.unwrap_or_else(|error| Err(WebConfigError::new(format!("{shown}: {error}"))))
}

fn suspend(active: &watch::Sender<ActiveWebConfig>) {
    // a notification closes all connections, so send it for real changes only
    active.send_if_modified(|active| !std::mem::replace(&mut active.suspended, true));
}

/// Logs the warnings of a web configuration.
pub fn log_warnings(config: &WebConfig) {
    for warning in &config.warnings {
        warn!("web configuration: {warning}");
    }
}

/// Answers a request if the web configuration permits it. The configuration must still be the one that
/// accepted the connection, because a new one may require other TLS settings.
pub async fn answer(
    active: &ActiveWebConfig,
    accepted_by: &Arc<WebConfig>,
    endpoints: &Endpoints,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<Body> {
    if active.suspended {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The web configuration cannot be used; see the log.\n",
        );
    }
    let config = &active.config;
    if !Arc::ptr_eq(config, accepted_by) {
        return unavailable("The web configuration has changed; reconnect.\n");
    }
    let verdict = match &config.authentication {
        Some(authentication) => match request.headers().get(AUTHORIZATION) {
            Some(authorization) => Some(authentication.verdict(peer, authorization).await),
            None => Some(Verdict::Refused),
        },
        None => None,
    };
    let limit = config.rate_limit.as_ref();
    let is_allowed = limit.is_none_or(|limit| match &verdict {
        Some(Verdict::Accepted(user)) => limit.allows_user(user),
        Some(Verdict::Refused | Verdict::Busy) | None => limit.allows_peer(peer),
    });
    let mut response = match verdict {
        _ if !is_allowed => plain(StatusCode::TOO_MANY_REQUESTS, "Too many requests.\n"),
        None | Some(Verdict::Accepted(_)) => endpoints.answer(request).await,
        Some(Verdict::Refused) => unauthorized(),
        Some(Verdict::Busy) => unavailable("Too many passwords are waiting to be checked.\n"),
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

fn unauthorized() -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized.\n");
    let basic = HeaderValue::from_static("Basic realm=\"campaign_exporter\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}
