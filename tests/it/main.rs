//! The integration tests: the program as a process, simulated providers over real HTTP, a real
//! Prometheus. One binary, so that it is linked once.

mod support;
