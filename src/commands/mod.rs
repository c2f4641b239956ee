//! What the program does: one file a command.

pub mod authorize;
pub mod daemon;
pub mod demo;
pub mod poll;
