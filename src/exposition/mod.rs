//! Metrics as text: the two formats, the table of families, and what a scrape is sent.

pub mod families;
pub mod format;
pub mod gzip;
pub mod pieces;
pub mod publisher;
pub mod rendering;
