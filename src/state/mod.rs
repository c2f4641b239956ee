//! What is known about all accounts now, and how it changes.

pub mod changes;
pub mod snapshot;
pub mod status;
