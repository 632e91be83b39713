//! What `vgpu-run top` shows of compilers, in the shared area.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use crate::area::SharedArea;

static AREA: OnceLock<SharedArea> = OnceLock::new();

/// From now on the gauges are in this area.
pub fn begin(area: SharedArea) {
    let _ = AREA.set(area);
}

/// So many kernels wait for a compiler.
pub fn waiting(kernels: usize) {
    if let Some(area) = AREA.get() {
        area.head().compile_queue.store(kernels as u32, Ordering::Relaxed);
    }
}

/// Counts a compiler at work for as long as this runs.
pub fn compiling<T>(run: impl FnOnce() -> T) -> T {
    let count = AREA.get().map(|area| &area.head().compiling);
    if let Some(count) = count {
        count.fetch_add(1, Ordering::Relaxed);
    }
    let result = run();
    if let Some(count) = count {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    result
}
