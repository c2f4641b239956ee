//! What is currently known about all accounts, and how it changes.

pub mod campaigns;
pub mod changes;
pub mod snapshot;
pub mod status;
