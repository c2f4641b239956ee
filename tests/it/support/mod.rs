//! What the tests share.

pub(crate) mod daemon;
pub(crate) mod faketime;
pub(crate) mod faults;
pub(crate) mod prometheus;
pub(crate) mod promtool;
pub(crate) mod strict;
pub(crate) mod tls;
pub(crate) mod tokens;
