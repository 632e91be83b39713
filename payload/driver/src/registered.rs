//! Registered memory: pages of the client's own that it asked to be locked.
//!
//! Copies from and to it work as from any pageable memory. The engine can't see it, so a registration that asks for a device
//! address is refused, and one that doesn't is told to the report: a kernel that uses such memory all the same faults.
//!
//! Why kernels can't reach it: they would have to write the very pages that the client has, and those of a heap are private to
//! one process. Other pages could be put in their place, but not provably without harm. During the exchange every thread that
//! writes there would have to stand still, and so would reads that the kernel completes into it (io_uring, direct I/O); later
//! a forked child would write into its parent's heap, or lack a part of its own, since a page holds more than what was
//! registered. `CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED` says no beforehand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::{CuResult, Cuda, context, lock, note};

/// `CU_MEMHOSTREGISTER_PORTABLE`
const PORTABLE: u32 = 1;
/// `CU_MEMHOSTREGISTER_DEVICEMAP`, `…_IOMEMORY`, `…_READ_ONLY`
const DEVICE_MAP: u32 = 2;
const IO_MEMORY: u32 = 4;
const READ_ONLY: u32 = 8;

/// One registration.
#[derive(Clone, Copy)]
pub struct Registration {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// As registered.
    pub flags: u32,
    /// Id of the context.
    pub context: u64,
}

static REGISTERED: Mutex<BTreeMap<u64, Registration>> = Mutex::new(BTreeMap::new());

/// The registration that holds an address.
pub fn find(address: u64) -> Option<Registration> {
    let registered = lock(&REGISTERED);
    let (start, found) = registered.range(..=address).next_back()?;
    (address - start < found.length).then_some(*found)
}

/// `cuMemHostRegister`
pub fn register(start: u64, length: u64, flags: u32) -> Cuda {
    let context = context::current()?;
    let end = start.checked_add(length).ok_or(CuResult::INVALID_VALUE)?;
    if start == 0 || length == 0 || flags & !(PORTABLE | DEVICE_MAP | IO_MEMORY | READ_ONLY) != 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    if flags & (DEVICE_MAP | IO_MEMORY) != 0 {
        note::unsupported(
            "cuMemHostRegister with a device address (private pages of the client can't be shared with the engine safely)",
        );
        return Err(CuResult::NOT_SUPPORTED);
    }
    let mut registered = lock(&REGISTERED);
    let before = registered.range(..end).next_back();
    if before.is_some_and(|(other, found)| other + found.length > start) {
        return Err(CuResult::HOST_MEMORY_ALREADY_REGISTERED);
    }
    registered.insert(start, Registration { start, length, flags, context: context.id });
    note::unsupported("kernels' use of memory registered by cuMemHostRegister (copies from and to it work)");
    Ok(())
}

/// `cuMemHostUnregister`
pub fn unregister(start: u64) -> Cuda {
    context::current()?;
    lock(&REGISTERED).remove(&start).map(drop).ok_or(CuResult::HOST_MEMORY_NOT_REGISTERED)
}

/// A context ends.
pub(crate) fn forget_context(context: u64) {
    lock(&REGISTERED).retain(|_, registration| registration.context != context);
}
