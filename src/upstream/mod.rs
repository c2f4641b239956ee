//! HTTP to providers: requests within bounds and quotas, credentials, retries, and why a poll
//! failed.

pub mod answer;
pub mod applications;
pub mod auth;
pub mod error;
pub mod quota;
pub mod session;
pub mod transport;

pub use error::{PollError, Reason};
