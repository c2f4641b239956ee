//! What to do about a failed poll, in terms of the account's configuration.

use super::Provider;
use crate::document::keys::Takes;
use crate::document::secret::SecretSource;
use crate::redaction;
use crate::upstream::auth::Auth;
use crate::upstream::auth::tokens::authorize_command;
use crate::upstream::client::host_and_port;
use crate::upstream::{PollError, Reason};

/// Advice that fits errors of a reason better, by a part of their message.
const SPECIFIC: [(Reason, &str, &str); 2] = [
    (
        Reason::Auth,
        "Permission denied",
        "Let the exporter's user read the file: check its owner and mode, and those of its folders.",
    ),
    (
        Reason::Tls,
        "does not speak TLS",
        "Correct the scheme or the port of {hosts} in {settings}, or check for a proxy on the way.",
    ),
];

/// Advice if a definition of the user's own does not fit the responses.
const OWN_DEFINITION: &str = "Check for a proxy or a sign-in page that answers in place of {hosts}. Else \
    compare the definition `{file}` with {docs}, and try it on a saved response with \
    `campaign_exporter definition try`.";

impl Provider {
    /// What to do about a failed poll of the account called `account`, with code and addresses in
    /// backticks.
    pub fn advice(&self, account: &str, error: &PollError) -> String {
        let kind = &self.kind;
        let mut specific = SPECIFIC.iter();
        let specific = specific
            .find(|(reason, part, _)| error.reason == *reason && error.message.contains(part));
        let file = kind.file.as_ref().map(|file| file.display().to_string());
        let general = match error.reason {
            Reason::Decode if file.is_some() => OWN_DEFINITION,
            reason => reason.advice(),
        };
        let page = match &file {
            Some(_) => kind.docs.to_string(),
            None => format!("docs/providers/{}.md", kind.name),
        };
        let advice = specific
            .map_or(general, |(.., advice)| advice)
            .replace("{file}", &file.unwrap_or_default())
            .replace("{page}", &page)
            .replace("{renew}", &self.renew(account))
            .replace("{hosts}", &self.hosts())
            .replace("{settings}", &self.settings())
            .replace("{docs}", &format!("`{}`", kind.docs))
            .replace("{title}", &kind.title);
        // a secret can be written where its file belongs
        redaction::redact(&advice).into_owned()
    }

    fn renew(&self, account: &str) -> String {
        let Some(secret) = self.connection.auth.secret() else {
            let command = authorize_command(account, "");
            return format!("run `{command}` with the exporter's flags");
        };
        let mut keys = self.kind.keys.iter().map(|key| &*key.name);
        let key = keys.find(|key| self.values.secret(key) == Some(secret));
        let key = key.unwrap_or("secret");
        let what = key.replace('_', " ");
        match secret {
            SecretSource::File(path) => format!(
                "write a valid {what} to `{}` (`{key}_file`), which the next poll reads",
                path.display()
            ),
            SecretSource::Env(name) => {
                format!("set `{name}` (`{key}_env`) to a valid {what} and restart")
            }
        }
    }

    fn hosts(&self) -> String {
        let auth_url = match &self.connection.auth {
            Auth::OAuth(registration) => Some(&registration.auth_url),
            _ => None,
        };
        let mut hosts: Vec<_> = [Some(&self.connection.base_url), auth_url]
            .into_iter()
            .flatten()
            .map(|url| format!("`{}`", host_and_port(url)))
            .collect();
        hosts.dedup();
        hosts.join(" and ")
    }

    /// The addresses and ids that are configured.
    fn settings(&self) -> String {
        let keys = self.kind.keys.iter().filter(|key| {
            self.values.url(&key.name).is_some()
                || self.values.text(&key.name).is_some() && !matches!(key.takes, Takes::TimeZone)
        });
        let keys: Vec<_> = keys.map(|key| format!("`{}`", key.name)).collect();
        keys.join(", ")
    }
}
