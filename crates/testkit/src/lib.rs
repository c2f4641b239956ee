//! What the tests and tools share. It knows nothing of the exporter, so that it can judge it.

pub mod exposition;
