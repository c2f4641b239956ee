//! Shared code of the tests.

pub(crate) mod alertmanager;
pub(crate) mod apis;
pub(crate) mod browser;
pub(crate) mod daemon;
pub(crate) mod documents;
pub(crate) mod faketime;
pub(crate) mod faults;
pub(crate) mod grafana;
pub(crate) mod peers;
pub(crate) mod prometheus;
pub(crate) mod promtool;
pub(crate) mod rules;
pub(crate) mod server;
pub(crate) mod strict;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod webhook;
