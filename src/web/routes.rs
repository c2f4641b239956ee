//! Where the endpoints are: the paths at which they are served, and the URL at which a reverse proxy
//! shows them.

use hyper::http::uri::Authority;
use reqwest::Url;

/// The paths of the endpoints.
#[derive(Clone, Debug)]
pub struct Routes {
    /// Path of the metrics, below the prefix.
    pub telemetry_path: String,
    /// Path below which everything is served: empty, or starts with a slash and does not end with one.
    pub prefix: String,
    /// URL below which a reverse proxy shows the endpoints.
    pub external_url: Option<Url>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { telemetry_path: "/metrics".to_owned(), prefix: String::new(), external_url: None }
    }
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The endpoint with this path below the prefix.
    Endpoint(&'a str),
    /// Nothing but a link to the landing page, relative to the path: the exporter does not know the path
    /// that a reverse proxy shows.
    LandingPage(String),
    /// Nothing.
    Unknown,
}

impl Routes {
    /// Returns what is at a path.
    pub fn find<'a>(&self, path: &'a str) -> Route<'a> {
        let last = self.prefix.rsplit('/').next().unwrap_or_default();
        match path.strip_prefix(&self.prefix) {
            Some("") => Route::LandingPage(format!("{last}/")),
            Some(below) if below.starts_with('/') => Route::Endpoint(below),
            _ if path == "/" => {
                Route::LandingPage(format!("{}/", self.prefix.trim_start_matches('/')))
            }
            _ => Route::Unknown,
        }
    }

    /// Returns the scheme, if it is known, and the path of the metrics for clients that reach the
    /// exporter at an address.
    pub fn metrics(&self, address: &Authority) -> (Option<&str>, String) {
        let external = self.external_url.as_ref();
        let (scheme, prefix) = match external.filter(|url| is_at(url, address)) {
            Some(url) => (Some(url.scheme()), prefix(url.path())),
            None => (None, self.prefix.clone()),
        };
        (scheme, prefix + &self.telemetry_path)
    }
}

fn is_at(url: &Url, address: &Authority) -> bool {
    let default = if url.scheme() == "https" { 443 } else { 80 };
    let port = address.port_u16().unwrap_or(default);
    url.host_str() == Some(address.host()) && url.port().unwrap_or(default) == port
}

/// Returns a path as a prefix: without a slash at its end.
pub fn prefix(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

/// Parses an external URL.
pub fn external_url(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|_| "expected a URL such as https://example.com/campaigns/".to_owned())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain {
        Ok(url)
    } else {
        Err("expected http:// or https://, a host, and at most a port and a path".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(prefix: &str, external_url: Option<&str>) -> Routes {
        Routes {
            prefix: super::prefix(prefix),
            external_url: external_url.map(|url| super::external_url(url).unwrap()),
            ..Routes::default()
        }
    }

    #[test]
    fn endpoints_are_below_the_prefix() {
        let landing_page = |path: &str| Route::LandingPage(path.to_owned());
        for (prefix, path, expected) in [
            ("/", "/", Route::Endpoint("/")),
            ("", "/status", Route::Endpoint("/status")),
            ("/a/b/", "/a/b/", Route::Endpoint("/")),
            ("a/b", "/a/b/-/ready", Route::Endpoint("/-/ready")),
            ("/a/b", "/a/b", landing_page("b/")),
            ("/a/b", "/", landing_page("a/b/")),
            ("/a/b", "/a/bc", Route::Unknown),
            ("/a/b", "/status", Route::Unknown),
        ] {
            assert_eq!(routes(prefix, None).find(path), expected, "{prefix} {path}");
        }
    }

    #[test]
    fn clients_of_the_proxy_use_its_paths() {
        let routes = routes("/inside", Some("https://example.com/outside/"));
        for (address, expected) in [
            ("example.com", (Some("https"), "/outside/metrics")),
            ("example.com:443", (Some("https"), "/outside/metrics")),
            ("example.com:80", (None, "/inside/metrics")),
            ("exporter:10058", (None, "/inside/metrics")),
        ] {
            let (scheme, path) = routes.metrics(&address.parse().unwrap());
            assert_eq!((scheme, path.as_str()), expected, "{address}");
        }
    }

    #[test]
    fn external_urls_have_a_host_and_no_secret() {
        for good in ["http://localhost:9090", "https://example.com/a/", "http://[::1]/a"] {
            assert!(external_url(good).is_ok(), "{good}");
        }
        for bad in
            ["", "/a", "example.com", "ftp://a/", "http://u:p@a/", "http://a/?b", "http://a/#b"]
        {
            assert!(external_url(bad).is_err(), "{bad}");
        }
    }
}
