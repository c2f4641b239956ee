//! Polling: when an account is read, how much of it, and what becomes of the result.

pub mod heartbeat;
pub mod poller;
