//! What to do about a failed poll, in terms of the account's configuration.

use super::Provider;
use crate::document::secret::SecretSource;
use crate::redaction;
use crate::upstream::Reason;
use crate::upstream::auth::Auth;
use crate::upstream::auth::tokens::authorize_command;
use crate::upstream::client::host_and_port;

impl Provider {
    /// What to do about a failed poll of the account called `account`, with code and addresses in
    /// backticks.
    pub fn advice(&self, account: &str, reason: Reason) -> String {
        let kind = &self.kind;
        let advice = reason
            .advice()
            .replace("{renew}", &self.renew(account))
            .replace("{hosts}", &self.hosts())
            .replace("{settings}", &self.settings())
            .replace("{docs}", &format!("`{}`", kind.docs))
            .replace("{provider}", &kind.name)
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
            self.values.url(&key.name).is_some() || self.values.text(&key.name).is_some()
        });
        let keys: Vec<_> = keys.map(|key| format!("`{}`", key.name)).collect();
        keys.join(", ")
    }
}
