//! The web configuration file: TLS, users and response headers.

pub mod configuration;
pub mod tls;
pub mod users;
