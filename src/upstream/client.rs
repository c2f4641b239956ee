//! The HTTP client of all accounts: one pool of connections for each origin.

use std::collections::HashMap;
use std::fmt;
use std::future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use rustls::ClientConfig;

use super::proxies::Proxies;
use super::{PollError, Reason, trust};

/// The `User-Agent`.
const USER_AGENT: &str = concat!("campaign_exporter/", env!("CARGO_PKG_VERSION"));

/// Time limit of a connection, TLS included, within the limit of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for reading the CA certificates: a file that hangs must neither hold a start nor the main
/// loop.
const TRUST_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of header lines of an answer. Gateways add dozens, and the library's 100 is not
/// far from that.
const MAX_HEADERS: usize = 1_000;

/// Maximum size of the headers of an HTTP/2 answer: enough for [`MAX_HEADERS`] of usual length.
const MAX_HEADER_BYTES: u32 = 256 * 1024;

/// The HTTP client of all accounts.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    proxies: Proxies,
    /// Reads the certificates of trusted authorities.
    trust: fn() -> Result<ClientConfig, String>,
    active: Mutex<Active>,
}

struct Active {
    tls: ClientConfig,
    /// By origin: only those that the configuration names.
    pools: HashMap<String, Arc<Pool>>,
}

/// The connections to one origin.
pub(super) struct Pool {
    /// Makes the requests.
    pub(super) client: reqwest::Client,
    host: String,
    proxy: Option<String>,
}

impl Pool {
    /// Says where a request failed. What fails before it reaches the host fails at the proxy, if there
    /// is one.
    pub(super) fn place(&self, is_before_host: bool) -> String {
        let host = &self.host;
        match &self.proxy {
            None => host.clone(),
            Some(proxy) if is_before_host => format!("proxy {proxy}, for {host}"),
            Some(proxy) => format!("{host}, through proxy {proxy}"),
        }
    }
}

/// The host and port of an address, and nothing that could be secret.
pub fn host_and_port(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

impl Client {
    /// A client that trusts the authorities of the system.
    pub async fn new(proxies: Proxies) -> Result<Self, String> {
        Ok(Self::trusting(in_time(trust::system).await??, trust::system, proxies))
    }

    /// A client for loopback: without proxies and certificates, which a small image lacks.
    pub fn local() -> Result<Self, String> {
        Ok(Self::trusting(trust::none()?, trust::none, Proxies::default()))
    }

    fn trusting(
        tls: ClientConfig,
        trust: fn() -> Result<ClientConfig, String>,
        proxies: Proxies,
    ) -> Self {
        let active = Mutex::new(Active { tls, pools: HashMap::new() });
        Self(Arc::new(Shared { proxies, trust, active }))
    }

    /// Reads the certificates of trusted authorities again, for all later requests.
    pub async fn reload(&self) -> Result<(), String> {
        let tls = in_time(self.0.trust).await??;
        self.with(|active| {
            *active = Active { tls, pools: HashMap::new() };
        });
        Ok(())
    }

    /// The pool of the origin of `url`.
    pub(super) fn pool(&self, url: &Url) -> Result<Arc<Pool>, PollError> {
        let pool = self.with(|active| {
            let origin = origin(url);
            if let Some(pool) = active.pools.get(&origin) {
                return Ok(Arc::clone(pool));
            }
            let proxy = self.0.proxies.of(url);
            let pool = Arc::new(Pool {
                client: connections(active.tls.clone(), proxy)?,
                host: host_and_port(url),
                proxy: proxy.map(host_and_port),
            });
            active.pools.insert(origin, Arc::clone(&pool));
            Ok(pool)
        });
        pool.map_err(|error: reqwest::Error| {
            PollError::new(Reason::Network, error.without_url().to_string())
        })
    }

    /// Makes later requests to the origin of `url` use new connections, because one of `pool` may
    /// be dead: the library would share an HTTP/2 connection that no longer answers forever.
    /// Requests that are under way keep theirs.
    pub(super) fn abandon(&self, pool: &Arc<Pool>, url: &Url) {
        self.with(|active| {
            let origin = origin(url);
            if active.pools.get(&origin).is_some_and(|it| Arc::ptr_eq(it, pool)) {
                active.pools.remove(&origin);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Active) -> T) -> T {
        act(&mut self.0.active.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Client {
    // the proxies can have passwords
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client")
    }
}

/// What is wrong with the variables that name certificates of trusted authorities.
pub async fn trust_doubts() -> Vec<String> {
    in_time(trust::doubts).await.unwrap_or_else(|problem| vec![problem])
}

async fn in_time<T: Send + 'static>(read: fn() -> T) -> Result<T, String> {
    let reading = tokio::task::spawn_blocking(read);
    let place = trust::place();
    let Ok(read) = tokio::time::timeout(TRUST_TIMEOUT, reading).await else {
        let seconds = TRUST_TIMEOUT.as_secs();
        return Err(format!("the CA certificates of {place} cannot be read within {seconds} s"));
    };
    match read {
        // the program ends, and so does the caller
        Err(error) if error.is_cancelled() => future::pending().await,
        read => {
            read.map_err(|error| format!("cannot read the CA certificates of {place}: {error}"))
        }
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn connections(tls: ClientConfig, proxy: Option<&Url>) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        // a redirect could send the token to another host
        .redirect(reqwest::redirect::Policy::none())
        // a request that the library repeats would not be counted
        .retry(reqwest::retry::never())
        // `transport` decompresses
        .no_gzip()
        .connect_timeout(CONNECT_TIMEOUT)
        .http1_max_headers(MAX_HEADERS)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .tls_backend_preconfigured(tls)
        // the library reads the environment leniently
        .no_proxy();
    match proxy {
        Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.clone())?),
        None => builder,
    }
    .build()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    use super::*;

    /// A start that blocks its thread goes on after a signal, until it waits.
    #[test]
    fn a_read_that_begins_at_the_end_of_the_program_does_not_fail() {
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (ended, has_ended) = mpsc::channel::<()>();
        let (result, results) = mpsc::channel();
        runtime.spawn(async move {
            begun.send(()).unwrap();
            has_ended.recv().unwrap();
            result.send(in_time(|| ()).await).unwrap();
        });
        has_begun.recv().unwrap();
        runtime.shutdown_background();
        ended.send(()).unwrap();
        assert!(results.recv().is_err());
    }
}
