//! Polling: when an account is read, how much of it, and what becomes of the result.

pub mod heartbeat;
mod log;
pub mod poller;
pub mod restore;
pub mod turn;
