//! How many requests may be made: an even pace, and a budget for the day.

pub mod application;
pub mod pace;
