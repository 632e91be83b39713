//! What of the driver is used.

use std::ffi::c_void;

use wire::blas::Blas;

use crate::door::{Blas as Outcome, Status};

late_driver::functions! {
    synchronize = "cuStreamSynchronize": fn(usize);
    allocate_host = "cuMemHostAlloc": fn(*mut u64, usize, u32);
    free_host = "cuMemFreeHost": fn(u64);
    copy_2d = "cuMemcpy2DUnaligned_v2": fn(*const api::structs::Memcpy2D);
    copy_2d_async = "cuMemcpy2DAsync_v2": fn(*const api::structs::Memcpy2D, usize);
    context = "cuCtxGetCurrent": fn(*mut usize);
    set_context = "cuCtxSetCurrent": fn(usize);
    retain_primary = "cuDevicePrimaryCtxRetain": fn(*mut usize, i32);
    init = "cuInit": fn(u32);
}

/// A `CUresult` as cuBLAS tells it.
pub fn outcome(result: u32) -> Outcome {
    const NOT_SUPPORTED: u32 = 801;
    match result {
        0 => Ok(()),
        NOT_SUPPORTED => Err(Status::NOT_SUPPORTED),
        _ => Err(Status::EXECUTION_FAILED),
    }
}

/// Appends a routine to a stream.
pub fn submit(stream: usize, order: &Blas) -> Outcome {
    let driver = get().ok_or(Status::NOT_INITIALIZED)?;
    // SAFETY: a stream of the caller's and an order of ours.
    outcome(unsafe { (driver.table.blas)(stream as *mut c_void, (&raw const *order).cast()) })
}

/// Waits for a stream.
pub fn synchronize(stream: usize) -> Outcome {
    let driver = get().ok_or(Status::NOT_INITIALIZED)?;
    // SAFETY: a stream of the caller's.
    outcome(unsafe { (driver.synchronize)(stream) })
}
