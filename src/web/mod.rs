//! The HTTP server: listeners, connections, access control and endpoints.

pub mod connections;
pub mod discovery;
pub mod endpoints;
pub mod gate;
pub mod listeners;
pub mod negotiation;
pub mod pages;
pub mod protection;
pub mod routes;
pub mod selection;
pub mod server;
