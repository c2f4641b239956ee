//! Why a poll failed.

use std::time::Duration;

use crate::redaction;

/// Longest error message, in characters: a provider's own text can be long.
const MAX_MESSAGE_CHARS: usize = 200;

/// Why a poll failed: the closed set of the `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The credentials were refused, or could not be read.
    Auth,
    /// The credentials are good and lack the permission.
    Forbidden,
    /// Too many requests for the moment.
    Throttled,
    /// The day's requests are used up.
    Quota,
    /// No answer, or no whole answer, in time.
    Timeout,
    /// No connection, or it broke.
    Network,
    /// No trust in the other side.
    Tls,
    /// The provider failed.
    Server,
    /// The provider does not accept the request.
    Client,
    /// The answer is not what the provider documents.
    Decode,
    /// The pages have no end, or lead elsewhere.
    Pagination,
    /// An answer is larger than any good one.
    TooLarge,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Auth,
        Self::Forbidden,
        Self::Throttled,
        Self::Quota,
        Self::Timeout,
        Self::Network,
        Self::Tls,
        Self::Server,
        Self::Client,
        Self::Decode,
        Self::Pagination,
        Self::TooLarge,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Forbidden => "forbidden",
            Self::Throttled => "throttled",
            Self::Quota => "quota",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Server => "server",
            Self::Client => "client",
            Self::Decode => "decode",
            Self::Pagination => "pagination",
            Self::TooLarge => "too_large",
        }
    }

    /// What a person can do about it, with code in backticks. The same words are in the README.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Auth => {
                "the log says which: run the `authorize` command that it names, replace the token in \
                 its file, or make the file readable; nothing has to be restarted"
            }
            Self::Forbidden => {
                "let an Account Owner or Manager consent (Constant Contact), or give the token its \
                 permission"
            }
            Self::Throttled => {
                "usually nothing; if it stays, something else uses the same application: lower \
                 `requests_per_second`"
            }
            Self::Quota => {
                "it ends at 00:00 UTC; raise `poll_interval` or `full_poll_interval`, or find what \
                 else uses the application"
            }
            Self::Timeout => {
                "if it stays: the provider's status page, then a longer `request_timeout` or a \
                 shorter `lookback`"
            }
            Self::Network => "DNS, proxy, firewall between exporter and provider",
            Self::Tls => {
                "CA certificates of the system (`SSL_CERT_FILE`), a proxy that intercepts, the clock"
            }
            Self::Server => "the provider's status page; it is tried again at each poll",
            Self::Client => "`base_url`, `app_id`, `auth_url`",
            Self::Decode => {
                "a sign-in page of a proxy, or a changed API: `--log.level=debug`, and tell us"
            }
            Self::Pagination => "a shorter `lookback`; a gateway that rewrites addresses",
            Self::TooLarge => "a shorter `lookback`; what answers may not be the provider",
        }
    }

    /// What an HTTP status other than 200 means where the body says nothing better.
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

    /// Whether the same request may succeed in a moment.
    pub const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Network | Self::Timeout | Self::Server | Self::Throttled
        )
    }
}

/// A failed poll.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollError {
    /// What kind of failure.
    pub reason: Reason,
    /// What happened, for a person; without any secret.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl PollError {
    /// An error with a message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The error with a message of one line and bounded length, without any secret in use, which a
    /// provider can repeat.
    #[must_use]
    pub fn presentable(mut self) -> Self {
        // before the message is cut: part of a secret would not be recognized
        let redacted = redaction::redact(&self.message);
        let mut chars = redacted.chars();
        let mut message: String = chars.by_ref().take(MAX_MESSAGE_CHARS).collect();
        if chars.next().is_some() {
            message.push('…');
        }
        self.message = message.replace(char::is_control, " ");
        self
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_message_is_one_short_line_without_secrets() {
        redaction::register(&SecretString::from("hun\\ter2"));
        let present = |message: &str| {
            PollError::new(Reason::Server, message)
                .presentable()
                .message
        };
        assert_eq!(present("a\nb\u{1b}[31mc"), "a b [31mc");
        let x = "x".repeat(MAX_MESSAGE_CHARS);
        assert_eq!(present(&x), x);
        assert_eq!(present(&format!("{x}x")), format!("{x}…"));
        assert_eq!(present("bad token hun\\ter2!"), "bad token [redacted]!");
        // as serde shows it
        assert_eq!(
            present("invalid type: \"hun\\\\ter2\""),
            "invalid type: \"[redacted]\""
        );
        // where the message is cut
        let cut = present(&format!("{}hun\\ter2", "x".repeat(MAX_MESSAGE_CHARS - 3)));
        assert!(cut.ends_with("x[re…"), "{cut}");
    }
}
