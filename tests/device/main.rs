//! The virtual GPU however it is reached, and when things go wrong: engines and clients killed, memory at its end, wild
//! kernels, forks, narrow limits.
//!
//! `tests/targets/device.c` is the client; it checks what it sees itself and prints what a test here wants to know.

use std::sync::{Mutex, MutexGuard};

mod checks;
mod code_cache;
mod deaths;
mod graphs;
mod limits;
mod shared_events;
mod streams;
mod virtual_memory;
mod ways;

/// One test at a time: the machine's shared memory is measured.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
