//! cudaSetDevice and its kin: the thread's device, and its primary context.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::door::*;
use crate::driver::{self, call, call_in_context};

thread_local! {
    static DEVICE: Cell<i32> = const { Cell::new(0) };
    /// The primary context that was made current here last, and how many resets there had been.
    static MADE_CURRENT: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
}

/// How often contexts were reset. Other threads may still have one of those current.
static RESETS: AtomicU32 = AtomicU32::new(0);

/// Retained primary contexts by device.
static CONTEXTS: Mutex<Option<HashMap<i32, usize>>> = Mutex::new(None);

/// The thread's device.
pub fn current() -> i32 {
    DEVICE.with(Cell::get)
}

fn primary(device: i32) -> Runtime<usize> {
    let mut contexts = CONTEXTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let contexts = contexts.get_or_insert_with(HashMap::new);
    if let Some(context) = contexts.get(&device) {
        return Ok(*context);
    }
    let mut context = 0;
    // SAFETY: a place of this frame.
    unsafe { call!(primary_retain(&mut context, device))? };
    contexts.insert(device, context);
    Ok(context)
}

/// Makes the primary context of the thread's device current, unless the program has made one current itself.
pub fn ensure_context() -> Runtime {
    let mut context = 0;
    // SAFETY: a place of this frame.
    unsafe { call!(context_get(&mut context))? };
    if context != 0 && !was_reset(context) { Ok(()) } else { make_current(current()) }
}

fn make_current(device: i32) -> Runtime {
    // Read first: a reset between the two is noticed at the next call.
    let resets = RESETS.load(Ordering::SeqCst);
    let context = primary(device)?;
    // SAFETY: a context of ours.
    unsafe { call!(context_set(context))? };
    MADE_CURRENT.set((context, resets));
    Ok(())
}

/// Whether this thread's context was ours and has been reset, by whatever thread: then it comes again by itself.
fn was_reset(context: usize) -> bool {
    let (made, seen) = MADE_CURRENT.get();
    let resets = RESETS.load(Ordering::SeqCst);
    if made != context || seen == resets {
        return false;
    }
    let contexts = CONTEXTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let lives = contexts.as_ref().is_some_and(|contexts| contexts.values().any(|it| *it == context));
    if lives {
        MADE_CURRENT.set((made, resets));
    }
    !lives
}

/// Number of devices; 0 where there are none.
pub fn count() -> Runtime<i32> {
    let mut count = 0;
    // SAFETY: a place of this frame.
    unsafe { call!(device_count(&mut count))? };
    Ok(count)
}

/// Whether there is such a device.
pub fn check(device: i32) -> Runtime {
    if device >= 0 && device < count()? { Ok(()) } else { Err(Error::INVALID_DEVICE) }
}

/// Destroys the primary context of the thread's device, with everything in it.
fn reset() -> Runtime {
    let device = current();
    let mut contexts = CONTEXTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if contexts.as_mut().and_then(|contexts| contexts.remove(&device)).is_some() {
        RESETS.fetch_add(1, Ordering::SeqCst);
        crate::registration::forget_device(device);
        // SAFETY: no argument is an address.
        unsafe {
            call!(context_set(0))?;
            call!(primary_reset(device))?;
        }
    }
    Ok(())
}

exports! {
    fn cudaGetDeviceCount(count: *mut i32) {
        let target = out(count)?;
        *target = 0;
        let found = self::count();
        driver::note_initialised(c"cudaGetDeviceCount", found.map_or_else(|error| error.0.into(), |_| 0));
        *target = found?;
        Ok(())
    }

    fn cudaGetDevice(device: *mut i32) {
        driver::get()?;
        *out(device)? = current();
        Ok(())
    }

    fn cudaSetDevice(device: i32) {
        check(device)?;
        DEVICE.with(|current| current.set(device));
        make_current(device)
    }

    fn cudaInitDevice(device: i32, _device_flags: u32, _flags: u32) {
        check(device)?;
        primary(device).map(drop)
    }

    fn cudaSetDeviceFlags(flags: u32) {
        call!(primary_flags(current(), flags))
    }

    fn cudaGetDeviceFlags(flags: *mut u32) {
        *out(flags)? = 0;
        Ok(())
    }

    fn cudaSetValidDevices(_devices: *mut i32, _count: i32) {
        driver::get().map(drop)
    }

    fn cudaChooseDevice(device: *mut i32, _properties: *const c_void) {
        if count()? == 0 {
            return Err(Error::NO_DEVICE);
        }
        *out(device)? = 0;
        Ok(())
    }

    fn cudaDeviceSynchronize() {
        call_in_context!(context_synchronize())
    }

    fn cudaThreadExit() {
        reset()
    }

    fn cudaThreadGetLimit(value: *mut usize, limit: u32) {
        call_in_context!(context_limit(value, limit))
    }

    fn cudaThreadSetLimit(limit: u32, value: usize) {
        call_in_context!(context_set_limit(limit, value))
    }

    fn cudaThreadGetCacheConfig(config: *mut u32) {
        *out(config)? = 0;
        Ok(())
    }

    fn cudaThreadSetCacheConfig(_config: u32) {
        driver::get().map(drop)
    }

    fn cudaThreadSynchronize() {
        call_in_context!(context_synchronize())
    }

    fn cudaDeviceReset() {
        reset()
    }

    fn cudaDeviceGetAttribute(value: *mut i32, attribute: i32, device: i32) {
        check(device)?;
        call!(device_attribute(value, attribute, device))
    }

    fn cudaDeviceGetPCIBusId(id: *mut c_char, length: i32, device: i32) {
        check(device)?;
        call!(device_pci(id, length, device))
    }

    fn cudaDeviceGetByPCIBusId(device: *mut i32, id: *const c_char) {
        call!(device_by_pci(device, id))
    }

    fn cudaDeviceCanAccessPeer(can: *mut i32, device: i32, peer: i32) {
        call!(device_peer(can, device, peer))
    }

    fn cudaDeviceGetP2PAttribute(value: *mut i32, attribute: u32, device: i32, peer: i32) {
        call!(device_p2p(value, attribute, device, peer))
    }

    fn cudaDeviceEnablePeerAccess(peer: i32, _flags: u32) {
        check(peer)?;
        if peer == current() { Err(Error::INVALID_DEVICE) } else { Ok(()) }
    }

    fn cudaDeviceDisablePeerAccess(peer: i32) {
        check(peer)
    }

    fn cudaDeviceGetLimit(value: *mut usize, limit: u32) {
        call_in_context!(context_limit(value, limit))
    }

    fn cudaDeviceSetLimit(limit: u32, value: usize) {
        call_in_context!(context_set_limit(limit, value))
    }

    fn cudaDeviceGetCacheConfig(config: *mut u32) {
        *out(config)? = 0;
        Ok(())
    }

    fn cudaDeviceSetCacheConfig(_config: u32) {
        driver::get().map(drop)
    }

    fn cudaDeviceGetSharedMemConfig(config: *mut u32) {
        *out(config)? = 1;
        Ok(())
    }

    fn cudaDeviceSetSharedMemConfig(_config: u32) {
        driver::get().map(drop)
    }

    fn cudaDeviceGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) {
        call_in_context!(context_priorities(least, greatest))
    }

    fn cudaDeviceGetDefaultMemPool(pool: *mut usize, device: i32) {
        check(device)?;
        call!(device_pool(pool, device))
    }

    fn cudaDeviceGetMemPool(pool: *mut usize, device: i32) {
        check(device)?;
        call!(device_current_pool(pool, device))
    }

    fn cudaDeviceSetMemPool(device: i32, pool: usize) {
        check(device)?;
        call!(device_set_pool(device, pool))
    }

    fn cudaCtxResetPersistingL2Cache() {
        ensure_context()
    }
}
