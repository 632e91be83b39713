//! ncclCommInitRank and its kin: communicators of one rank.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;

use crate::door::{Failure, Nccl, fail, out};
use crate::driver;

/// `ncclUniqueId`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UniqueId([u8; 128]);

call_trace::opaque! { UniqueId }

/// Communicators by their handles: numbers that no pointer has, never used again. The device of each.
static COMMUNICATORS: Mutex<Option<HashMap<usize, i32>>> = Mutex::new(None);

fn with<T>(action: impl FnOnce(&mut HashMap<usize, i32>) -> T) -> T {
    let mut communicators = COMMUNICATORS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    action(communicators.get_or_insert_with(HashMap::new))
}

/// The device of a communicator.
pub fn device(communicator: usize) -> Nccl<i32> {
    match with(|communicators| communicators.get(&communicator).copied()) {
        Some(device) => Ok(device),
        None => fail(Failure::INVALID_ARGUMENT, "there is no such communicator"),
    }
}

/// A root or peer must be the only rank.
pub fn check_rank(rank: i32) -> Nccl {
    if rank == 0 {
        Ok(())
    } else {
        fail(Failure::INVALID_ARGUMENT, format!("rank {rank} of 1 does not exist"))
    }
}

fn add(device: i32) -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0x10);
    let handle = NEXT.fetch_add(0x10, std::sync::atomic::Ordering::Relaxed);
    with(|communicators| communicators.insert(handle, device));
    handle
}

/// Refuses more ranks than one.
fn check_count(ranks: i32) -> Nccl {
    match ranks {
        1 => Ok(()),
        ..=0 => fail(Failure::INVALID_ARGUMENT, format!("{ranks} ranks")),
        _ => {
            driver::note_unsupported("NCCL communicator of several ranks\0");
            fail(Failure::INVALID_USAGE, format!("{ranks} ranks: vgpu-run's NCCL has one per communicator"))
        }
    }
}

/// The thread's device; that of the first one's primary context, made current, where it has none.
fn current_device() -> Nccl<i32> {
    let driver = driver::required()?;
    let (mut device, mut context) = (0, 0);
    // SAFETY: places of this frame.
    unsafe {
        driver::outcome((driver.init)(0))?;
        if (driver.context)(&mut context) != 0 || context == 0 {
            driver::outcome((driver.retain_primary)(&mut context, 0))?;
            driver::outcome((driver.set_context)(context))?;
        }
        driver::outcome((driver.context_device)(&mut device))?;
    }
    Ok(device)
}

unsafe fn init(made: *mut usize, ranks: i32, rank: i32) -> Nccl {
    check_count(ranks)?;
    check_rank(rank)?;
    // SAFETY: the caller's place.
    unsafe { *out(made)? = add(current_device()?) };
    Ok(())
}

fn remove(communicator: usize) -> Nccl {
    device(communicator)?;
    with(|communicators| communicators.remove(&communicator));
    Ok(())
}

/// Random bytes: an identity that nobody else has.
fn unique() -> Nccl<UniqueId> {
    let mut id = UniqueId([0; 128]);
    // SAFETY: a buffer of that length.
    let got = unsafe { libc::getrandom(id.0.as_mut_ptr().cast(), id.0.len(), 0) };
    if got == id.0.len() as isize { Ok(id) } else { fail(Failure::SYSTEM, "getrandom failed") }
}

exports! {
    fn ncclGetUniqueId |pncclGetUniqueId (id: *mut UniqueId) {
        *out(id)? = unique()?;
        Ok(())
    }

    fn ncclCommInitRank |pncclCommInitRank (made: *mut usize, ranks: i32, _id: UniqueId, rank: i32) {
        init(made, ranks, rank)
    }

    fn ncclCommInitRankConfig |pncclCommInitRankConfig (made: *mut usize, ranks: i32, _id: UniqueId, rank: i32, _config: *const c_void) {
        init(made, ranks, rank)
    }

    fn ncclCommInitRankScalable |pncclCommInitRankScalable (
        made: *mut usize,
        ranks: i32,
        rank: i32,
        _id_count: i32,
        _ids: *const UniqueId,
        _config: *const c_void,
    ) {
        init(made, ranks, rank)
    }

    fn ncclCommInitAll |pncclCommInitAll (made: *mut usize, count: i32, devices: *const i32) {
        check_count(count)?;
        let (driver, mut known) = (driver::required()?, 0);
        driver::outcome((driver.init)(0))?;
        driver::outcome((driver.device_count)(&mut known))?;
        let device = devices.as_ref().copied().unwrap_or(0);
        if device < 0 || device >= known {
            return fail(Failure::INVALID_ARGUMENT, format!("there is no device {device}"));
        }
        *out(made)? = add(device);
        Ok(())
    }

    fn ncclCommFinalize |pncclCommFinalize (communicator: usize) {
        device(communicator).map(drop)
    }

    fn ncclCommDestroy |pncclCommDestroy (communicator: usize) {
        remove(communicator)
    }

    fn ncclCommAbort |pncclCommAbort (communicator: usize) {
        remove(communicator)
    }

    fn ncclCommSplit |pncclCommSplit (communicator: usize, color: i32, _key: i32, made: *mut usize, _config: *const c_void) {
        const NO_COLOR: i32 = -1;
        let device = device(communicator)?;
        *out(made)? = if color == NO_COLOR { 0 } else { add(device) };
        Ok(())
    }

    fn ncclCommCount |pncclCommCount (communicator: usize, count: *mut i32) {
        device(communicator)?;
        *out(count)? = 1;
        Ok(())
    }

    fn ncclCommUserRank |pncclCommUserRank (communicator: usize, rank: *mut i32) {
        device(communicator)?;
        *out(rank)? = 0;
        Ok(())
    }

    fn ncclCommCuDevice |pncclCommCuDevice (communicator: usize, device: *mut i32) {
        *out(device)? = self::device(communicator)?;
        Ok(())
    }

    fn ncclCommGetAsyncError |pncclCommGetAsyncError (communicator: usize, error: *mut u32) {
        device(communicator)?;
        *out(error)? = 0;
        Ok(())
    }

    // Memory needs no registration here: every address is the engine's as well.
    fn ncclCommRegister |pncclCommRegister (communicator: usize, buffer: *mut c_void, _bytes: usize, handle: *mut *mut c_void) {
        device(communicator)?;
        *out(handle)? = buffer;
        Ok(())
    }

    fn ncclCommDeregister |pncclCommDeregister (communicator: usize, _handle: *mut c_void) {
        device(communicator).map(drop)
    }

    // No window is NCCL's own answer where there is no symmetric memory.
    fn ncclCommWindowRegister |pncclCommWindowRegister (communicator: usize, _buffer: *mut c_void, _bytes: usize, window: *mut *mut c_void, _flags: i32) {
        device(communicator)?;
        *out(window)? = std::ptr::null_mut();
        Ok(())
    }

    fn ncclCommWindowDeregister |pncclCommWindowDeregister (communicator: usize, _window: *mut c_void) {
        device(communicator).map(drop)
    }
}

/// The text of the thread's last failure.
#[unsafe(no_mangle)]
pub extern "C" fn ncclGetLastError(_communicator: usize) -> *const c_char {
    crate::door::last_text()
}

#[unsafe(no_mangle)]
pub extern "C" fn pncclGetLastError(communicator: usize) -> *const c_char {
    ncclGetLastError(communicator)
}
