//! Protection of the web server: TLS, users, response headers and a rate limit.

pub mod configuration;
pub mod file;
pub mod rate_limit;
pub mod tls;
pub mod users;
