//! How many requests may be made.

pub mod application;
