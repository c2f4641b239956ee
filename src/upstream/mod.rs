//! HTTP requests to providers: limits, quotas, credentials, retries, and errors.

pub mod answer;
pub mod applications;
pub mod auth;
pub mod client;
pub mod credential;
pub mod error;
pub mod json;
pub mod proxies;
pub mod quota;
pub mod request;
mod retry;
pub mod session;
pub mod transport;
pub mod trust;

pub use error::{PollError, Reason};
