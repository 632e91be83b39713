//! C types and numbers of the CUDA interfaces, as their callers see them.
//!
//! Numbers and layouts are facts of the published interfaces (CUDA driver API and runtime API references, 11.0 to 13.0).

pub mod private;
pub mod result;
pub mod structs;

pub use result::{CuResult, Cuda};
