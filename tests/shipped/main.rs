//! What is shipped beside the program, held against itself and against the metrics.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that panics fails"
)]

mod alerts;
mod promtool;
mod rules;
