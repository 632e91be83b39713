//! cuMemAlloc…, cuMemFree…, cuMemHost…, cuMemGetInfo, cuIpc…

use std::ffi::c_void;

use crate::door::*;
use driver::managed::Location;
use driver::{CuResult, Cuda, context, managed, memory, pool, registered, stream};
use wire::control::MemoryKind;

/// Alignment of rows that `cuMemAllocPitch` gives.
const PITCH: usize = 512;

/// `CUipcMemHandle`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcHandle {
    exported: memory::Exported,
    rest: [u8; 16],
}

call_trace::opaque! { IpcHandle }

/// Writes an attribute of a range: numbers, as many as there is room for, the rest "no device".
///
/// # Safety
/// `data` must be null or valid for writes of `size` bytes.
unsafe fn range_attribute(data: *mut c_void, size: usize, values: Vec<i32>) -> Cuda {
    if data.is_null() || size < 4 || !size.is_multiple_of(4) || (values.len() == 1 && size != 4 && size != 8)
    {
        return Err(CuResult::INVALID_VALUE);
    }
    for index in 0..size / 4 {
        // SAFETY: the caller's promise.
        unsafe { *data.cast::<i32>().add(index) = values.get(index).copied().unwrap_or(managed::NO_DEVICE) };
    }
    Ok(())
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

    fn cuMemHostRegister_v2(address: *mut c_void, bytes: usize, flags: u32) {
        registered::register(address as u64, bytes as u64, flags)
    }

    fn cuMemHostUnregister(address: *mut c_void) {
        registered::unregister(address as u64)
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
        let allocated = memory::find(host).filter(|(_, found)| found.kind == MemoryKind::Host).map(|(_, found)| found.flags);
        let registered = || registered::find(host).map(|registration| registration.flags);
        *out(flags)? = allocated.or_else(registered).ok_or(CuResult::INVALID_VALUE)?;
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
        *target = memory::allocate_async(bytes as u64, None, &*stream::by_handle(stream as usize)?)?;
        Ok(())
    }

    fn cuMemAllocFromPoolAsync |cuMemAllocFromPoolAsync_ptsz with stream (
        address: *mut u64,
        bytes: usize,
        pool: usize,
        stream: *mut c_void,
    ) {
        pool::by_handle(pool)?;
        let target = out(address)?;
        *target = memory::allocate_async(bytes as u64, Some(pool), &*stream::by_handle(stream as usize)?)?;
        Ok(())
    }

    fn cuMemFreeAsync |cuMemFreeAsync_ptsz with stream (address: u64, stream: *mut c_void) {
        memory::free_async(address, &*stream::by_handle(stream as usize)?)
    }

    fn cuMemPrefetchAsync_v2 |cuMemPrefetchAsync_v2_ptsz with stream (
        address: u64,
        bytes: usize,
        location: Location,
        _flags: u32,
        stream: *mut c_void,
    ) {
        stream::by_handle(stream as usize)?;
        managed::prefetch(address, bytes as u64, location)
    }

    fn cuMemAdvise_v2(address: u64, bytes: usize, advice: u32, location: Location) {
        managed::advise(address, bytes as u64, advice, location)
    }

    fn cuMemRangeGetAttribute(data: *mut c_void, size: usize, number: u32, address: u64, bytes: usize) {
        range_attribute(data, size, managed::attribute(address, bytes as u64, number)?)
    }

    fn cuMemRangeGetAttributes(
        data: *mut *mut c_void,
        sizes: *const usize,
        numbers: *const u32,
        count: usize,
        address: u64,
        bytes: usize,
    ) {
        for (index, number) in list(numbers, count).iter().enumerate() {
            let found = managed::attribute(address, bytes as u64, *number)?;
            range_attribute(*data.add(index), *sizes.add(index), found)?;
        }
        Ok(())
    }

    fn cuMemPrefetchAsync |cuMemPrefetchAsync_ptsz with stream (address: u64, bytes: usize, device: i32, stream: *mut c_void) {
        stream::by_handle(stream as usize)?;
        managed::prefetch(address, bytes as u64, Location::of_device(device))
    }

    fn cuMemAdvise(address: u64, bytes: usize, advice: u32, device: i32) {
        managed::advise(address, bytes as u64, advice, Location::of_device(device))
    }

    fn cuIpcGetMemHandle(handle: *mut IpcHandle, address: u64) {
        *out(handle)? = IpcHandle { exported: memory::export(address)?, rest: [0; 16] };
        Ok(())
    }

    fn cuIpcOpenMemHandle_v2(address: *mut u64, handle: IpcHandle, _flags: u32) {
        *out(address)? = memory::import(handle.exported)?;
        Ok(())
    }

    fn cuIpcCloseMemHandle(address: u64) {
        memory::close_import(address)
    }
}
