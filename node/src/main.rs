//! icomm
fn main() {}
