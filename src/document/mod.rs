//! YAML documents whose every problem is reported, each with its place.
//!
//! Deserializing into structs would stop at the first problem and could not tell where an unknown key
//! is. A file is therefore read into a tree of [`Node`]s first. A [`Section`] then takes values from it
//! key by key and collects the problems.

pub mod duration;
pub mod keys;
pub mod node;
pub mod problem;
pub mod reading;
pub mod secret;
pub mod section;
mod syntax;
pub mod values;

pub use duration::{duration_text, parse_duration};
pub use node::Node;
pub use problem::{Place, Problem};
pub use section::{Effective, Section};
