//! The proxies that the environment names.

use std::ffi::OsString;
use std::net::IpAddr;

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use crate::redaction;

/// Where requests go instead of their destination.
#[derive(Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    /// The destinations that need no proxy, as `NO_PROXY` lists them.
    direct: String,
}

impl Proxies {
    /// Reads the variables. One that cannot be used is an error, since requests with tokens would
    /// bypass the proxy without it. No error shows a value, which can contain a password.
    pub fn from_env() -> Result<Self, String> {
        Self::read(|name| std::env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let text = |name: &'static str| {
            let lower = name.to_ascii_lowercase();
            let both = [name, lower.as_str()];
            let set = both.into_iter().find_map(|name| Some((name.to_owned(), variable(name)?)));
            let Some((name, value)) = set else {
                return Ok(None);
            };
            let value = value.into_string().map_err(|_| format!("{name} is not UTF-8"))?;
            let value = value.trim();
            if value.starts_with(['"', '\'']) || value.ends_with(['"', '\'']) {
                return Err(format!("{name} is in quotes: remove them"));
            }
            Ok((!value.is_empty()).then(|| (name, value.to_owned())))
        };
        let proxy = |name| text(name)?.map(|(name, value)| address(&name, &value)).transpose();
        let all = proxy("ALL_PROXY")?;
        let direct = text("NO_PROXY")?;
        Ok(Self {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            direct: direct.map(|(_, list)| list).unwrap_or_default(),
        })
    }

    /// The address of the proxy for requests to the origin of `url`.
    pub(super) fn of(&self, url: &Url) -> Option<&Url> {
        let address = match url.scheme() {
            "https" => self.https.as_ref(),
            _ => self.http.as_ref(),
        };
        address.filter(|_| !self.is_direct(url))
    }

    /// Whether requests to the origin of `url` need no proxy.
    fn is_direct(&self, url: &Url) -> bool {
        let list = self.direct_at(url.port_or_known_default());
        // the library takes it for host names, but not for IP addresses
        if list.split(',').any(|entry| entry == "*") {
            return true;
        }
        let proxies = Matcher::builder().all("http://proxy").no(list).build();
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let destination = format!("http://{host}").parse::<Uri>();
        destination.is_ok_and(|destination| proxies.intercept(&destination).is_none())
    }

    /// The entries of the list that hold for a port, in the form that the library takes: separated by
    /// commas, without ports, brackets and trailing dots.
    fn direct_at(&self, port: Option<u16>) -> String {
        let entries = self.direct.split([',', ' ', '\t', '\r', '\n']);
        let entries = entries.filter_map(|entry| {
            let host = match entry.rsplit_once(':') {
                // the last part of an IPv6 address is no port
                Some((host, of)) if entry.parse::<IpAddr>().is_err() => match of.parse::<u16>() {
                    Ok(of) if Some(of) != port => return None,
                    Ok(_) => host,
                    Err(_) => entry,
                },
                _ => entry,
            };
            Some(host.trim_start_matches('[').trim_end_matches([']', '.']))
        });
        entries.collect::<Vec<_>>().join(",")
    }
}

/// The address of a proxy, which is an HTTP proxy if it has no scheme.
fn address(name: &str, value: &str) -> Result<Url, String> {
    let refused =
        || format!("{name} is not the address of an HTTP proxy, such as http://proxy.example:3128");
    if value.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err(refused());
    }
    let with_scheme =
        if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let url = Url::parse(&with_scheme).map_err(|_| refused())?;
    // the HTTP library ignores a proxy whose address it cannot parse
    let is_usable = matches!(url.scheme(), "http" | "https")
        && url.as_str().parse::<Uri>().is_ok_and(|uri| uri.host().is_some())
        // a slash in the password would make the user name the host, which messages show
        && !url.path().contains('@');
    // a token can be the user name
    let secret = url.password().unwrap_or(url.username());
    redaction::register(&secret.into());
    if is_usable { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Proxies, String> {
        Proxies::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_proxy_is_used_or_refused_but_never_ignored() {
        for (value, address) in [
            ("http://proxy:3128", "http://proxy:3128/"),
            (" proxy:3128\n", "http://proxy:3128/"),
            ("https://u:p%40ss@proxy", "https://u:p%40ss@proxy/"),
            ("http://[::1]:3128/", "http://[::1]:3128/"),
        ] {
            let proxies = read(&[("https_proxy", value)]).unwrap();
            assert_eq!(proxies.https.unwrap().as_str(), address, "{value:?}");
            assert!(proxies.http.is_none());
        }
        for value in [
            "\"http://u:hunter2@proxy\"",
            "'proxy'",
            "::::",
            "http://",
            "http://u:hunter2 @proxy",
            "socks5://u:hunter2@proxy",
            "http://u:hunter2@proxy:port",
            "http://hunter2:1/x@proxy",
        ] {
            for name in ["HTTP_PROXY", "https_proxy", "ALL_PROXY"] {
                let error = read(&[(name, value)]).err().unwrap();
                assert!(error.starts_with(name) && !error.contains("hunter2"), "{error}");
            }
        }
        assert!(read(&[("NO_PROXY", "\"localhost\"")]).is_err());
        let proxies = read(&[("HTTPS_PROXY", " "), ("ALL_PROXY", "all"), ("http_proxy", "http")]);
        let proxies = proxies.unwrap();
        assert_eq!(proxies.https.unwrap().as_str(), "http://all/");
        assert_eq!(proxies.http.unwrap().as_str(), "http://http/");
    }

    #[test]
    fn direct_destinations_are_matched_as_by_curl() {
        let list = "a.example:443, .b.example\tc.example.,D.example:80,[::1]:443,[::2]:80,fd00::/8,\
                    10.0.0.0/8,.";
        let proxies = read(&[("NO_PROXY", list)]).unwrap();
        for (host, is_direct) in [
            ("a.example", true),
            ("a.example.", true),
            ("x.a.example", true),
            ("xa.example", false),
            ("a.example:8443", false),
            ("b.example", true),
            ("x.b.example.", true),
            ("c.example", true),
            ("x.c.example.", true),
            ("d.example", false),
            ("D.example:80", true),
            ("example", false),
            ("example.", false),
            ("[::1]", true),
            ("[::2]", false),
            ("[fd00::5]", true),
            ("10.1.2.3", true),
            ("11.1.2.3", false),
        ] {
            let url = format!("https://{host}").parse().unwrap();
            assert_eq!(proxies.is_direct(&url), is_direct, "{host}");
        }
        for (list, is_direct) in [("*", true), ("x, *", true), ("", false)] {
            let proxies = read(&[("NO_PROXY", list)]).unwrap();
            let url = "https://10.1.2.3".parse().unwrap();
            assert_eq!(proxies.is_direct(&url), is_direct, "{list}");
        }
    }
}
