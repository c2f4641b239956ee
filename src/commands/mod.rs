//! The commands, one file each.

pub mod authorize;
pub mod check;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod poll;
pub mod signals;
