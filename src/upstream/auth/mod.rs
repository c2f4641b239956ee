//! How requests are authenticated.

pub mod oauth;
pub mod tokens;
