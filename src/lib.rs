//! A Prometheus exporter for messaging campaigns.
//!
//! Imports run up this list: a module uses only those above it. `tests/it/layers.rs` checks that.

// the blank lines keep rustfmt from sorting
pub mod redaction;

pub mod certificates;

pub mod telemetry;

pub mod campaign;

pub mod document;

pub mod storage;

pub mod upstream;

pub mod provider;

pub mod config;

pub mod state;

pub mod report;

pub mod polling;

pub mod exposition;

pub mod web;

pub mod commands;

pub mod logging;

pub mod cli;

#[cfg(fuzzing)]
pub mod fuzzing;

#[cfg(test)]
mod stored_formats;
