//! Prometheus' HTTP service discovery, with one target per account.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>

use hyper::http::uri::Authority;
use serde::Serialize;

/// A target group with a single target.
#[derive(Debug, Serialize)]
struct Group<'a> {
    targets: [&'a str; 1],
    labels: Labels<'a>,
}

/// The labels of a target. `account` and `provider` equal the labels of the account's series, so
/// `honor_labels` does not change them.
#[derive(Debug, Serialize)]
struct Labels<'a> {
    #[serde(rename = "__metrics_path__")]
    metrics_path: &'a str,
    #[serde(rename = "__scheme__", skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    #[serde(rename = "__param_own", skip_serializing_if = "Option::is_none")]
    own: Option<&'static str>,
    #[serde(rename = "__param_account", skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
}

/// Returns the targets as JSON: the exporter itself, then each account by name and provider.
pub fn targets<'a>(
    address: &'a str,
    (scheme, metrics_path): (Option<&'a str>, &'a str),
    accounts: impl Iterator<Item = (&'a str, &'a str)>,
) -> serde_json::Result<String> {
    let group = |account: Option<(&'a str, &'a str)>| {
        let name = account.map(|(name, _)| name);
        let labels = Labels {
            metrics_path,
            scheme,
            own: account.is_none().then_some("true"),
            parameter: name,
            account: name,
            provider: account.map(|(_, provider)| provider),
        };
        Group { targets: [address], labels }
    };
    let targets = [None].into_iter().chain(accounts.map(Some));
    serde_json::to_string(&targets.map(group).collect::<Vec<_>>())
}

/// Parses the address that a request was sent to: `HOST` or `HOST:PORT`.
pub fn address(host: &str) -> Option<Authority> {
    let address: Authority = host.parse().ok()?;
    // an authority may also have a user name before the host, and any text after the colon
    let rest = host.strip_prefix(address.host())?;
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_good = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    let is_good = is_good && !address.host().is_empty();
    is_good.then_some(address)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_exporter_and_each_account_are_targets() {
        let accounts = [("a \"b\"", "alpha"), ("c", "beta")].into_iter();
        let found = targets("[::1]:10058", (None, "/m"), accounts).unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        let account = |name: &str, provider: &str| {
            json!({"targets": ["[::1]:10058"], "labels": {
                "__metrics_path__": "/m", "__param_account": name,
                "account": name, "provider": provider,
            }})
        };
        let own = json!({"targets": ["[::1]:10058"], "labels": {
            "__metrics_path__": "/m", "__param_own": "true",
        }});
        let expected = json!([own, account("a \"b\"", "alpha"), account("c", "beta")]);
        assert_eq!(found, expected);
    }

    #[test]
    fn addresses_have_a_host_and_an_optional_port() {
        for good in ["localhost", "a.example:10058", "10.0.0.1:80", "[::1]:10058"] {
            assert_eq!(address(good).unwrap().as_str(), good);
        }
        let bad = "|:80|a b|a:80/path|user@a:80|a@a:80|a:http|a:99999|a:|<script>";
        for bad in bad.split('|') {
            assert!(address(bad).is_none(), "{bad}");
        }
    }
}
