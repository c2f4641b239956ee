//! Storage that outlives the process: checked files, and the stored state of an account.

mod folder;
pub mod record;
pub mod store;
