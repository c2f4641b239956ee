//! How requests are authenticated.

pub mod oauth;
pub mod renewals;
pub mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use reqwest::header::HeaderName;

use super::credential::{Credential, Place};
use super::error::{OUT_OF_FILES, is_out_of_files};
use super::transport::Transport;
use super::{PollError, Reason};
use crate::document::secret::SecretSource;
use oauth::Registration;
use tokens::Access;

/// How an account's requests are authenticated. It holds where secrets are, never a secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// `Authorization: Bearer` with a fixed token.
    Bearer(SecretSource),
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user name, or what the provider documents in its place.
        user: String,
        /// The password.
        password: SecretSource,
    },
    /// A header that only this provider uses.
    Header {
        /// The header.
        name: HeaderName,
        /// What its value begins with, such as `Key `.
        prefix: Cow<'static, str>,
        /// The rest of its value.
        value: SecretSource,
    },
    /// A query parameter.
    Query {
        /// The parameter.
        name: Arc<str>,
        /// Its value.
        value: SecretSource,
    },
    /// A field of the form that is posted.
    Form {
        /// The field.
        name: Arc<str>,
        /// Its value.
        value: SecretSource,
    },
    /// A segment of the path, in place of [`PATH_PLACEHOLDER`](super::credential::PATH_PLACEHOLDER).
    Path(SecretSource),
    /// `Authorization: Bearer` with access tokens that the exporter renews.
    OAuth(Registration),
}

impl Auth {
    /// The credential that requests carry: a secret that is read now, or an access token that is
    /// renewed if necessary. `refused` is a credential that the provider no longer accepts.
    pub(super) async fn credential(
        &self,
        access: &Access,
        transport: &Transport,
        refused: Option<&Credential>,
    ) -> Result<Credential, PollError> {
        let (place, source, name) = match self {
            Self::Bearer(source) => (Place::Bearer, source, "token"),
            Self::Basic { user, password } => (Place::Basic(user.clone()), password, "password"),
            Self::Header { name, prefix, value } => {
                (Place::Header(name.clone(), prefix.clone()), value, "token")
            }
            Self::Query { name, value } => (Place::Query(Arc::clone(name)), value, "token"),
            Self::Form { name, value } => (Place::Form(Arc::clone(name)), value, "token"),
            Self::Path(value) => (Place::Path, value, "token"),
            Self::OAuth(registration) => {
                let refused = refused.map(|credential| &credential.secret);
                return tokens::access_token(registration, access, transport, refused).await;
            }
        };
        let secret = source.read().await;
        let secret = secret.map_err(|error| {
            if is_out_of_files(&error) {
                return PollError::new(Reason::Network, format!("{name}: {OUT_OF_FILES}"));
            }
            PollError::new(Reason::Auth, format!("{name}: {error}"))
        })?;
        Ok(Credential::fixed(place, secret))
    }

    /// Where the fixed secret is, if there is one.
    pub const fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Bearer(secret)
            | Self::Basic { password: secret, .. }
            | Self::Header { value: secret, .. }
            | Self::Query { value: secret, .. }
            | Self::Form { value: secret, .. }
            | Self::Path(secret) => Some(secret),
            Self::OAuth(_) => None,
        }
    }

    /// Whether a refused credential can be renewed.
    pub const fn is_renewable(&self) -> bool {
        matches!(self, Self::OAuth(_))
    }
}
