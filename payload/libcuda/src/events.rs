//! cuEvent…

use std::ffi::c_void;

use crate::door::*;
use driver::event;

/// `CUipcEventHandle`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcEventHandle {
    token: [u8; 32],
    rest: [u8; 32],
}

call_trace::opaque! { IpcEventHandle }

exports! {
    fn cuIpcGetEventHandle(handle: *mut IpcEventHandle, event: usize) {
        let target = out(handle)?;
        *target = IpcEventHandle { token: event::export(event)?, rest: [0; 32] };
        Ok(())
    }

    fn cuIpcOpenEventHandle(created: *mut usize, handle: IpcEventHandle) {
        let target = out(created)?;
        *target = event::import(handle.token)?;
        Ok(())
    }

    fn cuEventCreate(created: *mut usize, flags: u32) {
        *out(created)? = event::create(flags)?;
        Ok(())
    }

    fn cuEventDestroy_v2(handle: usize) {
        event::destroy(handle)
    }

    fn cuEventDestroy(handle: usize) {
        event::destroy(handle)
    }

    fn cuEventRecord |cuEventRecord_ptsz with stream (handle: usize, stream: *mut c_void) {
        event::record(handle, stream as usize)
    }

    fn cuEventRecordWithFlags |cuEventRecordWithFlags_ptsz with stream (handle: usize, stream: *mut c_void, _flags: u32) {
        event::record(handle, stream as usize)
    }

    fn cuEventQuery(handle: usize) {
        event::query(handle)
    }

    fn cuEventSynchronize(handle: usize) {
        event::synchronize(handle)
    }

    fn cuEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) {
        *out(milliseconds)? = event::elapsed_time(start, end)?;
        Ok(())
    }

    fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) {
        *out(milliseconds)? = event::elapsed_time(start, end)?;
        Ok(())
    }
}
