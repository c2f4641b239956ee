//! The HTTP server: listeners, connections, access control and endpoints.

pub mod body;
pub mod campaigns;
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
pub mod view;
