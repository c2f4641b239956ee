//! Which campaigns a page or a report shows, in which order, and their sums. Pure: no I/O, and time is
//! passed in.

pub mod csv;
pub mod document;
pub mod filter;
pub mod json;
pub mod markdown;
pub mod notes;
pub mod order;
pub mod ranking;
pub mod record;
pub mod row;
pub mod summary;
pub mod totals;
pub mod words;
