//! End-to-end tests: real processes, real sockets, real files, foreign clients. They are in `tests/exchange`.
//!
//! This crate builds the program a second time, from the same `main.rs` and under another name, so that its tests always
//! run the code that they were compiled with and need no other command before them.
