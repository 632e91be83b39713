//! The CUDA driver API in Rust's terms: what `libcuda.so.1` exports, without C's raw arguments.
//!
//! ```text
//!   init ─▶ Driver ── devices, context stack per thread
//!              │
//!            Engine (crate client) ◀── operation ◀── stream ◀── launch, memory, event, graph replay
//!                                         └── or, while a stream captures ──▶ graph nodes
//! ```
//!
//! - `cuStreamSynchronize` is `stream::synchronize`: a C name maps to a path here by rule.
//! - **Handles** are keys of a table ([`handle`]): a stale or foreign one is `CUDA_ERROR_INVALID_HANDLE`, never a crash.
//! - **Everything that a stream can hold is an [`operation::Operation`]**, so capture and replay have one place.
//! - Errors of kernels come later and stick: every call that waits reports them.

pub mod array;
mod checks;
pub mod context;
pub mod device;
pub mod event;
pub mod graph;
pub mod handle;
mod heap;
mod host_function;
pub mod init;
pub mod launch;
pub mod managed;
pub mod memory;
pub mod module;
pub mod note;
pub mod occupancy;
pub mod operation;
pub mod pool;
pub mod registered;
mod shared_event;
pub mod staged_launch;
pub mod stream;
pub mod texture;
pub mod texture_reference;
pub mod user_object;
pub mod virtual_memory;

pub use api::{CuResult, Cuda};
pub use init::{Driver, get};

use std::sync::{Mutex, MutexGuard};

/// Locks, also after a panic elsewhere: a caught panic must not turn every later call into another one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The driver's result for what the client library says.
pub(crate) fn gone(gone: client::EngineGone) -> CuResult {
    CuResult(gone.0)
}

/// The driver's result for a control call's status.
pub(crate) fn status(status: wire::control::Status) -> CuResult {
    use wire::control::Status::*;
    match status {
        Success => CuResult::UNKNOWN,
        OutOfMemory => CuResult::OUT_OF_MEMORY,
        NotSupported => CuResult::NOT_SUPPORTED,
        EngineFailed | Lost | Unavailable => CuResult::DEVICE_UNAVAILABLE,
        NotFound | Denied => CuResult::INVALID_VALUE,
        Invalid => CuResult::INVALID_VALUE,
        ProtocolMismatch => CuResult::SYSTEM_DRIVER_MISMATCH,
    }
}
