//! Integration tests: the exporter as a process, simulated providers over HTTP, and Prometheus. A single
//! binary, so that it is linked only once.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::float_cmp, reason = "a value comes out of the exporter exactly as it went in")]
#![expect(clippy::too_many_lines, reason = "tables are best read in one piece")]

mod support;

mod alerts;
mod backfill;
mod campaigns;
mod clock;
mod connections;
mod dashboards;
mod definitions;
mod exposition;
mod failures;
mod floods;
mod golden;
mod handover;
mod hangs;
mod inhibition;
mod layers;
mod lifecycle;
mod matrix;
mod names;
mod pages;
mod paging;
mod prometheus;
mod quota;
mod recent;
mod reload;
mod remote_write;
mod restart;
mod routing;
mod secrets;
mod shard;
mod soak;
mod storage;
mod tls;
mod tokens;
mod web;
