//! Programs that ask a real card everything, for `record` to write down: see the README.

pub mod library;
pub mod mark;
pub mod nvml;
pub mod rm;
pub mod tree;
