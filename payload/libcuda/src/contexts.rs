//! cuCtx…, cuDevicePrimaryCtx…

use std::ffi::c_void;

use crate::door::*;
use driver::{CuResult, context, event, stream};

exports! {
    fn cuCtxCreate_v2(created: *mut usize, flags: u32, device: i32) {
        *out(created)? = context::create(flags, device)?;
        Ok(())
    }

    fn cuCtxCreate_v3(created: *mut usize, _affinity: *mut c_void, _count: i32, flags: u32, device: i32) {
        *out(created)? = context::create(flags, device)?;
        Ok(())
    }

    fn cuCtxCreate_v4(created: *mut usize, _parameters: *mut c_void, flags: u32, device: i32) {
        *out(created)? = context::create(flags, device)?;
        Ok(())
    }

    fn cuCtxCreate(created: *mut usize, flags: u32, device: i32) {
        *out(created)? = context::create(flags, device)?;
        Ok(())
    }

    fn cuCtxDestroy_v2(handle: usize) {
        context::destroy(handle)
    }

    fn cuCtxDestroy(handle: usize) {
        context::destroy(handle)
    }

    fn cuCtxAttach(handle: *mut usize, flags: u32) {
        if flags != 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        *out(handle)? = context::attach()?;
        Ok(())
    }

    fn cuCtxDetach(handle: usize) {
        context::detach(handle)
    }

    fn cuCtxPushCurrent_v2(handle: usize) {
        context::push_current(handle)
    }

    fn cuCtxPushCurrent(handle: usize) {
        context::push_current(handle)
    }

    fn cuCtxPopCurrent_v2(handle: *mut usize) {
        maybe(handle, context::pop_current()?);
        Ok(())
    }

    fn cuCtxPopCurrent(handle: *mut usize) {
        maybe(handle, context::pop_current()?);
        Ok(())
    }

    fn cuCtxSetCurrent(handle: usize) {
        context::set_current(handle)
    }

    fn cuCtxGetCurrent(handle: *mut usize) {
        *out(handle)? = context::get_current()?;
        Ok(())
    }

    fn cuCtxGetDevice(device: *mut i32) {
        *out(device)? = context::current()?.device;
        Ok(())
    }

    fn cuCtxGetDevice_v2(device: *mut i32, handle: usize) {
        *out(device)? = context::by_handle(handle)?.device;
        Ok(())
    }

    fn cuCtxGetFlags(flags: *mut u32) {
        *out(flags)? = context::current()?.flags;
        Ok(())
    }

    fn cuCtxSetFlags(_flags: u32) {
        context::current().map(drop)
    }

    fn cuCtxGetId(handle: usize, id: *mut u64) {
        *out(id)? = context::by_handle(handle)?.id;
        Ok(())
    }

    fn cuCtxGetApiVersion(handle: usize, version: *mut u32) {
        context::by_handle(handle)?;
        *out(version)? = 3020;
        Ok(())
    }

    fn cuCtxSynchronize() {
        context::synchronize()
    }

    fn cuCtxSynchronize_v2(handle: usize) {
        context::by_handle(handle)?;
        context::synchronize()
    }

    fn cuCtxGetLimit(value: *mut usize, limit: u32) {
        *out(value)? = context::get_limit(limit)? as usize;
        Ok(())
    }

    fn cuCtxSetLimit(limit: u32, value: usize) {
        context::set_limit(limit, value as u64)
    }

    fn cuCtxGetCacheConfig(config: *mut u32) {
        context::current()?;
        *out(config)? = 0;
        Ok(())
    }

    fn cuCtxSetCacheConfig(_config: u32) {
        context::current().map(drop)
    }

    fn cuCtxGetSharedMemConfig(config: *mut u32) {
        context::current()?;
        *out(config)? = 1;
        Ok(())
    }

    fn cuCtxSetSharedMemConfig(_config: u32) {
        context::current().map(drop)
    }

    fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) {
        context::current()?;
        maybe(least, stream::PRIORITIES.0);
        maybe(greatest, stream::PRIORITIES.1);
        Ok(())
    }

    fn cuCtxResetPersistingL2Cache() {
        context::current().map(drop)
    }

    fn cuCtxEnablePeerAccess(peer: usize, flags: u32) {
        if flags != 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        let (here, there) = (context::current()?, context::by_handle(peer)?);
        if here.device == there.device { Err(CuResult::INVALID_DEVICE) } else { Ok(()) }
    }

    fn cuCtxDisablePeerAccess(peer: usize) {
        context::by_handle(peer).map(drop)
    }

    fn cuCtxRecordEvent(handle: usize, recorded: usize) {
        context::by_handle(handle)?;
        event::record(recorded, 0)
    }

    fn cuCtxWaitEvent(handle: usize, waited: usize) {
        context::by_handle(handle)?;
        stream::wait_event(0, &event::by_handle(waited)?)
    }

    fn cuDevicePrimaryCtxRetain(handle: *mut usize, device: i32) {
        *out(handle)? = context::primary_retain(device)?;
        Ok(())
    }

    fn cuDevicePrimaryCtxRelease_v2(device: i32) {
        context::primary_release(device)
    }

    fn cuDevicePrimaryCtxRelease(device: i32) {
        context::primary_release(device)
    }

    fn cuDevicePrimaryCtxReset_v2(device: i32) {
        context::primary_reset(device)
    }

    fn cuDevicePrimaryCtxReset(device: i32) {
        context::primary_reset(device)
    }

    fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) {
        context::primary_set_flags(device, flags)
    }

    fn cuDevicePrimaryCtxSetFlags(device: i32, flags: u32) {
        context::primary_set_flags(device, flags)
    }

    fn cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32) {
        let (value, is_active) = context::primary_state(device)?;
        maybe(flags, value);
        maybe(active, is_active.into());
        Ok(())
    }
}
