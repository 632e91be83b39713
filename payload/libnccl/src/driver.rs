//! What of the driver is used.

use wire::blas::Blas;

use crate::door::{Failure, Nccl, fail};

late_driver::functions! {
    init = "cuInit": fn(u32);
    device_count = "cuDeviceGetCount": fn(*mut i32);
    context = "cuCtxGetCurrent": fn(*mut usize);
    set_context = "cuCtxSetCurrent": fn(usize);
    context_device = "cuCtxGetDevice": fn(*mut i32);
    retain_primary = "cuDevicePrimaryCtxRetain": fn(*mut usize, i32);
    allocate = "cuMemAlloc_v2": fn(*mut u64, usize);
    free = "cuMemFree_v2": fn(u64);
    event_create = "cuEventCreate": fn(*mut usize, u32);
    event_record = "cuEventRecord": fn(usize, usize);
    event_destroy = "cuEventDestroy_v2": fn(usize);
    stream_wait = "cuStreamWaitEvent": fn(usize, usize, u32);
    copy_async = "cuMemcpyAsync": fn(u64, u64, usize, usize);
}

/// The driver, or NCCL's error for its absence.
pub fn required() -> Nccl<&'static Driver> {
    get().map_or_else(|| fail(Failure::SYSTEM, "there is no CUDA driver of vgpu-run's"), Ok)
}

/// A `CUresult` as NCCL tells it.
pub fn outcome(result: u32) -> Nccl {
    if result == 0 { Ok(()) } else { fail(Failure::CUDA, format!("the driver answered {result}")) }
}

/// Copies on a stream; nothing where source and target are the same.
pub fn copy(target: u64, source: u64, bytes: usize, stream: usize) -> Nccl {
    if target == source || bytes == 0 {
        return Ok(());
    }
    // SAFETY: the caller's addresses, which the driver checks.
    outcome(unsafe { (required()?.copy_async)(target, source, bytes, stream) })
}

/// Lets a stream wait for what another has got so far.
pub fn order(first: usize, second: usize) -> Nccl {
    const DISABLE_TIMING: u32 = 2;
    if first == second {
        return Ok(());
    }
    let (driver, mut event) = (required()?, 0);
    // SAFETY: a place of this frame; streams of the caller's.
    unsafe {
        outcome((driver.event_create)(&mut event, DISABLE_TIMING))?;
        let ordered = outcome((driver.event_record)(event, first))
            .and_then(|()| outcome((driver.stream_wait)(second, event, 0)));
        (driver.event_destroy)(event);
        ordered
    }
}

/// Appends a routine of linear algebra to a stream.
pub fn submit(order: &Blas, stream: usize) -> Nccl {
    let table = required()?.table;
    // SAFETY: a stream of the caller's and an order of ours.
    outcome(unsafe { (table.blas)(stream as *mut std::ffi::c_void, (&raw const *order).cast()) })
}
