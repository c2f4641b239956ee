//! What outlives the process: checked files, and what of an account is kept in them.

pub mod record;
pub mod store;
