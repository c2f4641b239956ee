//! The commands, one file each.

pub mod authorize;
pub mod backfill;
pub mod check;
pub mod completions;
pub mod cost;
pub mod daemon;
pub mod definition;
#[cfg(feature = "demo")]
pub mod demo;
pub mod init;
mod output;
pub mod poll;
pub mod report;
pub mod signals;

/// What errors of the storage directory begin with.
pub const STORAGE: &str = "cannot use the directory of --storage.path";
