//! Errors of polls.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::redaction::{self, is_invisible};

/// Maximum length of an error message in characters: a provider's text can be long.
const MAX_MESSAGE_CHARS: usize = 200;

/// Defines [`Reason`] from one row per reason: variant, label, meaning, advice.
macro_rules! reasons {
    ($($variant:ident, $label:literal, $meaning:literal, $advice:literal;)*) => {
        /// Why a poll failed: the closed set of the `reason` label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $meaning] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: [Self; 12] = [$(Self::$variant,)*];

            /// The value of the `reason` label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }

            /// What to do about it, with code in backticks, and in braces what depends on the account.
            /// `docs/troubleshooting.md` has the same text.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

reasons! {
    Auth, "auth", "The credentials are rejected, cannot be read, or cannot be stored.",
        "Read the message, then {renew}.";
    Forbidden, "forbidden", "The credentials are valid but lack a permission.",
        "Grant the permission that `{page}` names, or {renew}.";
    Throttled, "throttled", "Too many requests in a short time.",
        "Usually nothing. If it persists, something else uses the same quota, or the limits of the \
         provider are lower than assumed: lower `requests_per_second`, `requests_per_minute` or \
         `requests_per_hour`.";
    Quota, "quota", "The daily request quota is exhausted.",
        "Polls go on after 00:00 UTC. Raise `poll_interval` or `full_poll_interval`, or find out \
         what else uses the quota.";
    Timeout, "timeout", "No complete answer in time.",
        "If it persists, check the status page of {title} and the connection to {hosts}, then raise \
         `request_timeout` or lower `lookback`.";
    Network, "network", "The connection failed or broke.",
        "Check DNS, firewalls and the proxy variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, \
         `NO_PROXY`) on the way to {hosts}.";
    Tls, "tls", "The TLS handshake failed.",
        "Check the clock, and for a proxy that intercepts connections to {hosts}. Its CA must be \
         among those of the system (`SSL_CERT_FILE`), which a reload reads again.";
    Server, "server", "The provider reports an internal error.",
        "Every poll tries again. If it persists, check the status page of {title}.";
    Client, "client", "The provider rejects the request.",
        "Compare {settings} in the configuration with {docs}.";
    Decode, "decode", "The answer does not have the documented form.",
        "Check for a proxy or a sign-in page that answers in place of {hosts}. If the answers of \
         {title} no longer match {docs}, its API has changed: report that with the log of \
         `--log.level=debug`.";
    Pagination, "pagination", "The pages do not end, or lead to another host.",
        "Lower `lookback`, or check for a gateway that rewrites addresses.";
    TooLarge, "too_large", "An answer, all answers of a poll, or its campaigns exceed a size limit.",
        "Check that `base_url` leads to {title}, without a proxy that adds headers. If the \
         message is about campaigns or answers, lower `lookback`.";
}

impl Reason {
    /// The reason with this value of the `reason` label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == label)
    }

    /// The reason of an HTTP status other than 200, unless the body gives a better one.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Auth,
            403 => Self::Forbidden,
            408 => Self::Timeout,
            429 => Self::Throttled,
            500..=599 => Self::Server,
            // a success without the documented body
            200..=299 => Self::Decode,
            // redirects too: they are never followed, so the address is wrong
            _ => Self::Client,
        }
    }

    /// Whether the same request may succeed soon.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Network | Self::Timeout | Self::Server | Self::Throttled)
    }
}

/// A failed poll.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollError {
    /// The kind of failure.
    pub reason: Reason,
    /// What happened, without any secret.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl PollError {
    /// An error with a message, from which secrets in use are removed: pages show it, and it is stored.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: redaction::redact(&message.into()).into_owned(), retry_after: None }
    }

    /// The error with a short message of one line, without any secret in use.
    #[must_use]
    pub fn presentable(mut self) -> Self {
        self.message = presentable(&self.message);
        self
    }
}

/// A short text of one line, without any secret in use, since a provider can repeat one.
pub fn presentable(text: &str) -> String {
    // before the text is cut, because part of a secret would not be recognized
    let redacted = redaction::redact(text);
    let mut chars = redacted.chars();
    let mut short: String = chars.by_ref().take(MAX_MESSAGE_CHARS).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short.replace(is_invisible, " ")
}

/// What to do if no file or connection can be opened.
pub(super) const OUT_OF_FILES: &str = "too many open files: raise the limit of the process (`ulimit -n`, or `LimitNOFILE` of systemd)";

/// Whether no file or connection can be opened, whatever it is for.
pub fn is_out_of_files(error: &(dyn Error + 'static)) -> bool {
    let code = cause::<io::Error>(error).and_then(io::Error::raw_os_error);
    code.is_some_and(|code| [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error).contains(&code))
}

/// The error of type `E` in the chain. An `io::Error` hides the error that it holds from `source`.
pub(super) fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        cause = match inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => inner.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_message_is_one_short_line_without_secrets() {
        redaction::register(&SecretString::from("hun\\ter2"));
        let present = |message: &str| PollError::new(Reason::Server, message).presentable().message;
        assert_eq!(present("a\nb\u{1b}[31mc\u{202e}d"), "a b [31mc d");
        let x = "x".repeat(MAX_MESSAGE_CHARS);
        assert_eq!(present(&x), x);
        assert_eq!(present(&format!("{x}x")), format!("{x}…"));
        assert_eq!(present("bad token hun\\ter2!"), "bad token [redacted]!");
        // as serde escapes it
        assert_eq!(present("invalid type: \"hun\\\\ter2\""), "invalid type: \"[redacted]\"");
        // where the message is cut
        let cut = present(&format!("{}hun\\ter2", "x".repeat(MAX_MESSAGE_CHARS - 3)));
        assert!(cut.ends_with("x[re…"), "{cut}");
    }
}
