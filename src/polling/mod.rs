//! When an account is read, how much of it, and what becomes of a read.

pub mod heartbeat;
pub mod poller;
