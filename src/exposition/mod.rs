//! The text formats, the table of metric families, and the response bodies of scrapes.

pub mod backfill;
pub mod families;
pub mod format;
pub mod gzip;
pub mod own;
pub mod pieces;
pub mod publisher;
pub mod rendering;
