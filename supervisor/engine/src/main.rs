//! The CPU engine process.
fn main() {}
