//! HTTP to providers: requests with their bounds and retries, credentials, quotas, and why a poll failed.

pub mod auth;
pub mod error;
pub mod http;
pub mod quota;

pub use error::{PollError, Reason};
