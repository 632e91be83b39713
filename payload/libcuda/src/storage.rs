//! cuMemAlloc…, cuMemFree…, cuMemHost…, cuMemGetInfo, cuIpc…

use std::ffi::c_void;

use crate::door::*;
use driver::{CuResult, context, memory, stream};
use wire::control::MemoryKind;

/// Alignment of rows that `cuMemAllocPitch` gives.
const PITCH: usize = 512;

/// `CUipcMemHandle`: our token, and zeros.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcHandle {
    token: [u8; 32],
    rest: [u8; 32],
}

exports! {
    fn cuMemAlloc_v2(address: *mut u64, bytes: usize) {
        let target = out(address)?;
        *target = memory::allocate(MemoryKind::Device, bytes as u64, 0)?;
        Ok(())
    }

    fn cuMemAllocPitch_v2(address: *mut u64, pitch: *mut usize, width: usize, height: usize, _element: u32) {
        let (target, row) = (out(address)?, width.next_multiple_of(PITCH));
        *target = memory::allocate(MemoryKind::Device, (row * height) as u64, 0)?;
        *out(pitch)? = row;
        Ok(())
    }

    fn cuMemAllocManaged(address: *mut u64, bytes: usize, flags: u32) {
        let target = out(address)?;
        *target = memory::allocate(MemoryKind::Managed, bytes as u64, flags)?;
        Ok(())
    }

    fn cuMemFree_v2(address: u64) {
        memory::free(address)
    }

    fn cuMemAllocHost_v2(address: *mut u64, bytes: usize) {
        let target = out(address)?;
        *target = memory::allocate(MemoryKind::Host, bytes as u64, 0)?;
        Ok(())
    }

    fn cuMemHostAlloc(address: *mut u64, bytes: usize, flags: u32) {
        let target = out(address)?;
        *target = memory::allocate(MemoryKind::Host, bytes as u64, flags)?;
        Ok(())
    }

    fn cuMemFreeHost(address: u64) {
        memory::free(address)
    }

    fn cuMemHostRegister_v2(_address: *mut c_void, _bytes: usize, _flags: u32) {
        context::current()?;
        memory::host_register()
    }

    fn cuMemHostUnregister(_address: *mut c_void) {
        context::current()?;
        Err(CuResult::HOST_MEMORY_NOT_REGISTERED)
    }

    fn cuMemHostGetDevicePointer_v2(device: *mut u64, host: u64, flags: u32) {
        if flags != 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        memory::find(host).filter(|(_, found)| found.kind == MemoryKind::Host).ok_or(CuResult::INVALID_VALUE)?;
        *out(device)? = host;
        Ok(())
    }

    fn cuMemHostGetFlags(flags: *mut u32, host: u64) {
        let found = memory::find(host).filter(|(_, found)| found.kind == MemoryKind::Host);
        *out(flags)? = found.ok_or(CuResult::INVALID_VALUE)?.1.flags;
        Ok(())
    }

    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) {
        let (bytes_free, bytes_total) = memory::get_info()?;
        *out(free)? = bytes_free as usize;
        *out(total)? = bytes_total as usize;
        Ok(())
    }

    fn cuMemGetAddressRange_v2(base: *mut u64, size: *mut usize, address: u64) {
        context::current()?;
        let (start, found) = memory::find(address).ok_or(CuResult::NOT_FOUND)?;
        maybe(base, start);
        maybe(size, found.length as usize);
        Ok(())
    }

    fn cuMemAllocAsync |cuMemAllocAsync_ptsz with stream (address: *mut u64, bytes: usize, stream: *mut c_void) {
        let target = out(address)?;
        *target = memory::allocate_async(bytes as u64, &*stream::by_handle(stream as usize)?)?;
        Ok(())
    }

    fn cuMemAllocFromPoolAsync |cuMemAllocFromPoolAsync_ptsz with stream (
        address: *mut u64,
        bytes: usize,
        pool: usize,
        stream: *mut c_void,
    ) {
        driver::pool::by_handle(pool)?;
        let target = out(address)?;
        *target = memory::allocate_async(bytes as u64, &*stream::by_handle(stream as usize)?)?;
        Ok(())
    }

    fn cuMemFreeAsync |cuMemFreeAsync_ptsz with stream (address: u64, stream: *mut c_void) {
        memory::free_async(address, &*stream::by_handle(stream as usize)?)
    }

    fn cuMemPrefetchAsync |cuMemPrefetchAsync_ptsz with stream (address: u64, bytes: usize, _device: i32, stream: *mut c_void) {
        stream::by_handle(stream as usize)?;
        memory::advise(address, bytes as u64)
    }

    fn cuMemAdvise(address: u64, bytes: usize, _advice: u32, _device: i32) {
        memory::advise(address, bytes as u64)
    }

    fn cuIpcGetMemHandle(handle: *mut IpcHandle, address: u64) {
        *out(handle)? = IpcHandle { token: memory::export(address)?, rest: [0; 32] };
        Ok(())
    }

    fn cuIpcOpenMemHandle_v2(address: *mut u64, handle: IpcHandle, _flags: u32) {
        *out(address)? = memory::import(handle.token)?;
        Ok(())
    }

    fn cuIpcCloseMemHandle(address: u64) {
        memory::close_import(address)
    }
}
