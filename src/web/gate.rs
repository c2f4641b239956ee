//! What stands before the endpoints: the web configuration in force, and what it lets pass.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::web::endpoints::{Body, Endpoints, plain};
use crate::web::protection::configuration::{WebConfig, WebConfigError};
use crate::web::protection::users::Verdict;

/// How often the file and those that it names are read anew. A few small files in the page cache: less
/// than reading them at each connection, and soon enough for a certificate.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// How long reading may take: a file system that hangs must not leave an old file in use.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The last good web configuration, and whether it may be used.
#[derive(Clone, Debug, Default)]
pub struct ActiveWebConfig {
    /// The configuration.
    pub config: Arc<WebConfig>,
    /// Nobody is served, since the file is no longer good.
    pub suspended: bool,
}

/// Keeps what is in force the same as what the file says, until `stop`.
///
/// A file that is bad now, or that protects less than it did, takes the good one out of use: no request
/// is answered until it is good again.
pub async fn follow(
    path: PathBuf,
    in_force: watch::Sender<ActiveWebConfig>,
    stop: CancellationToken,
) {
    let mut good = Arc::clone(&in_force.borrow().config);
    let mut problem = None;
    loop {
        let pause = tokio::time::sleep(READ_INTERVAL);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
        let reading = read(path.clone(), Arc::clone(&good), &in_force);
        let Some(read) = stop.run_until_cancelled(reading).await else {
            return;
        };
        let changed = match read {
            Ok(Some(new)) => match good.lost_in(&new) {
                None => Ok(Some(new)),
                Some(lost) => Err(format!(
                    "{}: without {lost}, which needs a restart",
                    path.display()
                )),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        match changed {
            Ok(None) if !in_force.borrow().suspended => {}
            Ok(new) => {
                if let Some(new) = new {
                    log_warnings(&new);
                    good = Arc::new(new);
                }
                info!("the web configuration was read anew");
                problem = None;
                in_force.send_replace(ActiveWebConfig {
                    config: Arc::clone(&good),
                    suspended: false,
                });
            }
            Err(new) => {
                suspend(&in_force);
                if problem.as_ref() != Some(&new) {
                    for line in new.lines() {
                        error!(
                            "no request is answered until the web configuration is good: {line}"
                        );
                    }
                    problem = Some(new);
                }
            }
        }
    }
}

/// Reads what has changed. While that hangs, nothing is in force.
async fn read(
    path: PathBuf,
    good: Arc<WebConfig>,
    in_force: &watch::Sender<ActiveWebConfig>,
) -> Result<Option<WebConfig>, WebConfigError> {
    let shown = path.display().to_string();
    let mut reading = tokio::task::spawn_blocking(move || good.load_changed(&path));
    let in_time = tokio::time::timeout(READ_TIMEOUT, &mut reading).await;
    let read = if let Ok(read) = in_time {
        read
    } else {
        error!("no request is answered: {shown} cannot be read");
        suspend(in_force);
        reading.await
    };
    read.unwrap_or_else(|error| Err(WebConfigError::new(format!("{shown}: {error}"))))
}

fn suspend(in_force: &watch::Sender<ActiveWebConfig>) {
    // whoever watches for changes ends connections, so only a change is one
    in_force.send_if_modified(|in_force| !std::mem::replace(&mut in_force.suspended, true));
}

/// Logs what is accepted and still not as it was probably meant.
pub fn log_warnings(config: &WebConfig) {
    for warning in &config.warnings {
        warn!("web configuration: {warning}");
    }
}

/// Answers a request if the web configuration lets it pass, which has to be the one that let its
/// connection in: TLS is what another may ask for.
pub async fn answer(
    in_force: &ActiveWebConfig,
    let_in_by: &Arc<WebConfig>,
    endpoints: &Endpoints,
    request: Request<Incoming>,
) -> Response<Body> {
    if in_force.suspended {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The web configuration cannot be used; the log says why.\n",
        );
    }
    let config = &in_force.config;
    if !Arc::ptr_eq(config, let_in_by) {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "The web configuration has changed: connect anew.\n",
        );
    }
    let limit = config.rate_limit.as_ref();
    let mut response = if limit.is_some_and(|limit| !limit.allows()) {
        plain(StatusCode::TOO_MANY_REQUESTS, "Too many requests.\n")
    } else {
        match verdict(config, &request).await {
            Verdict::Accepted => endpoints.answer(request).await,
            Verdict::Refused => unauthorized(),
            Verdict::Busy => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many passwords wait to be checked.\n",
            ),
        }
    };
    for (name, value) in &config.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

async fn verdict(config: &WebConfig, request: &Request<Incoming>) -> Verdict {
    let Some(authentication) = &config.authentication else {
        return Verdict::Accepted;
    };
    match request.headers().get(AUTHORIZATION) {
        Some(authorization) => authentication.verdict(authorization).await,
        None => Verdict::Refused,
    }
}

fn unauthorized() -> Response<Body> {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized.\n");
    let basic = HeaderValue::from_static("Basic realm=\"campaign_exporter\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    response
}
