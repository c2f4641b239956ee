//! HTTP requests to providers: limits, quotas, credentials, retries, and errors.

pub mod answer;
pub mod applications;
pub mod auth;
pub mod error;
pub mod json;
pub mod quota;
pub mod session;
pub mod transport;

pub use error::{PollError, Reason};
