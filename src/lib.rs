//! A Prometheus exporter for SMS and WhatsApp marketing campaigns.
//!
//! The modules stand in the order in which data flows through them; each knows only those before
//! it.

pub mod telemetry;

pub mod campaign;
pub mod pool;
pub mod secret;
pub mod store;

pub mod document;

pub mod provider;

pub mod sharding;

pub mod config;

pub mod history;
pub mod snapshot;
pub mod status;

pub mod changes;
pub mod heartbeat;
pub mod saved;

pub mod poller;

pub mod exposition;
pub mod families;
pub mod gzip;
pub mod pieces;
pub mod publisher;
pub mod rendering;

pub mod discovery;
pub mod negotiation;
pub mod pages;
pub mod selection;

pub mod endpoints;

pub mod authentication;
pub mod tls;

pub mod web_config;

pub mod web;

pub mod listeners;
pub mod server;

pub mod authorize;
pub mod daemon;
pub mod once;

pub mod simulator;

pub mod demo;

pub mod logging;

pub mod cli;

#[cfg(fuzzing)]
pub mod fuzzing;
