//! cudaMalloc and its kin, cudaPointerGetAttributes, cudaIpc…

use std::ffi::c_void;

use crate::door::*;
use crate::driver::{self, IpcHandle, call, call_in_context};
use crate::streams::Stream;

/// `cudaPointerAttributes`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PointerAttributes {
    kind: u32,
    device: i32,
    device_pointer: u64,
    host_pointer: u64,
}

call_trace::fields! { PointerAttributes { kind, device, device_pointer, host_pointer } }

/// `cudaMemoryType`
mod kind {
    pub const UNREGISTERED: u32 = 0;
    pub const HOST: u32 = 1;
    pub const DEVICE: u32 = 2;
    pub const MANAGED: u32 = 3;
}

/// `cudaPointerAttributes` of CUDA 13: more at the end, zero.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PointerAttributes13 {
    common: PointerAttributes,
    reserved: [u64; 8],
}

call_trace::fields! { PointerAttributes13 { common } }

/// `cudaMemLocation`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Location {
    kind: u32,
    id: i32,
}

call_trace::fields! { Location { kind, id } }

impl Location {
    /// The device that it is; `cudaCpuDeviceId` for every kind of host memory.
    fn device(self) -> Runtime<i32> {
        const CPU: i32 = -1;
        match self.kind {
            1 => Ok(self.id),
            2..=4 => Ok(CPU),
            _ => Err(Error::INVALID_VALUE),
        }
    }

    /// The device; host memory has no pools here.
    pub fn on_device(self) -> Runtime<i32> {
        match self.device()? {
            device if device >= 0 => Ok(device),
            _ => Err(Error::NOT_SUPPORTED),
        }
    }
}

/// `cudaPitchedPtr`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pitched {
    pub pointer: u64,
    pub pitch: usize,
    pub width: usize,
    pub height: usize,
}

call_trace::fields! { Pitched { pointer, pitch, width, height } }

/// `cudaExtent`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Extent {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

call_trace::fields! { Extent { width, height, depth } }

unsafe fn attribute<T: Default>(number: u32, pointer: u64) -> Runtime<T> {
    let mut value = T::default();
    // SAFETY: `T` is the attribute's type, at each call.
    unsafe { call!(pointer_attribute((&raw mut value).cast(), number, pointer))? };
    Ok(value)
}

unsafe fn pointer_attributes(pointer: u64) -> PointerAttributes {
    const MEMORY_TYPE: u32 = 2;
    const IS_MANAGED: u32 = 8;
    const DEVICE_ORDINAL: u32 = 9;
    const HOST: u32 = 1;
    // SAFETY: the types of these attributes.
    let (memory, managed, device) = unsafe {
        (
            attribute::<u32>(MEMORY_TYPE, pointer),
            attribute::<u32>(IS_MANAGED, pointer),
            attribute::<i32>(DEVICE_ORDINAL, pointer),
        )
    };
    let Ok(memory) = memory else {
        return PointerAttributes {
            kind: kind::UNREGISTERED,
            device: -2,
            device_pointer: 0,
            host_pointer: pointer,
        };
    };
    let kind = match (managed, memory) {
        (Ok(1), _) => kind::MANAGED,
        (_, HOST) => kind::HOST,
        _ => kind::DEVICE,
    };
    let host_pointer = if kind == kind::DEVICE { 0 } else { pointer };
    PointerAttributes { kind, device: device.unwrap_or(0), device_pointer: pointer, host_pointer }
}

exports! {
    fn cudaMalloc(pointer: *mut u64, bytes: usize) {
        let target = out(pointer)?;
        *target = 0;
        // Nothing is a valid amount for the runtime, and not for the driver.
        if bytes == 0 {
            return crate::devices::ensure_context();
        }
        call_in_context!(allocate(target, bytes))
    }

    fn cudaMallocPitch(pointer: *mut u64, pitch: *mut usize, width: usize, height: usize) {
        call_in_context!(allocate_pitch(pointer, pitch, width, height, 4))
    }

    fn cudaMalloc3D(pitched: *mut Pitched, extent: Extent) {
        let (mut pointer, mut pitch) = (0, 0);
        call_in_context!(allocate_pitch(&mut pointer, &mut pitch, extent.width, extent.height * extent.depth, 4))?;
        *out(pitched)? = Pitched { pointer, pitch, width: extent.width, height: extent.height };
        Ok(())
    }

    fn cudaMallocManaged(pointer: *mut u64, bytes: usize, flags: u32) {
        call_in_context!(allocate_managed(pointer, bytes, flags))
    }

    fn cudaMallocHost(pointer: *mut u64, bytes: usize) {
        call_in_context!(allocate_host(pointer, bytes, 0))
    }

    fn cudaHostAlloc(pointer: *mut u64, bytes: usize, flags: u32) {
        call_in_context!(allocate_host(pointer, bytes, flags))
    }

    fn cudaMallocAsync |cudaMallocAsync_ptsz with stream (pointer: *mut u64, bytes: usize, stream: Stream) {
        call_in_context!(allocate_async(pointer, bytes, stream))
    }

    fn cudaMallocFromPoolAsync |cudaMallocFromPoolAsync_ptsz with stream (pointer: *mut u64, bytes: usize, pool: usize, stream: Stream) {
        call_in_context!(allocate_from_pool(pointer, bytes, pool, stream))
    }

    fn cudaFree(pointer: u64) {
        // The usual way to make a context.
        if pointer == 0 {
            return crate::devices::ensure_context();
        }
        call_in_context!(free(pointer))
    }

    fn cudaFreeHost(pointer: u64) {
        if pointer == 0 {
            return Ok(());
        }
        call_in_context!(free_host(pointer))
    }

    fn cudaFreeAsync |cudaFreeAsync_ptsz with stream (pointer: u64, stream: Stream) {
        call_in_context!(free_async(pointer, stream))
    }

    fn cudaMemGetInfo(free: *mut usize, total: *mut usize) {
        call_in_context!(memory_info(free, total))
    }

    fn cudaHostGetDevicePointer(device: *mut u64, host: u64, flags: u32) {
        call_in_context!(host_pointer(device, host, flags))
    }

    fn cudaHostGetFlags(flags: *mut u32, host: u64) {
        call_in_context!(host_flags(flags, host))
    }

    fn cudaHostRegister(pointer: *mut c_void, bytes: usize, flags: u32) {
        call_in_context!(host_register(pointer, bytes, flags))
    }

    fn cudaHostUnregister(pointer: *mut c_void) {
        call_in_context!(host_unregister(pointer))
    }

    fn abi11_cudaPointerGetAttributes(target: *mut PointerAttributes, pointer: u64) {
        driver::get()?;
        *out(target)? = pointer_attributes(pointer);
        Ok(())
    }

    fn abi13_cudaPointerGetAttributes(target: *mut PointerAttributes13, pointer: u64) {
        driver::get()?;
        *out(target)? = PointerAttributes13 { common: pointer_attributes(pointer), reserved: [0; 8] };
        Ok(())
    }

    fn cudaMemAdvise_v2(pointer: u64, bytes: usize, advice: u32, location: Location) {
        call_in_context!(advise(pointer, bytes, advice, location.device()?))
    }

    fn abi13_cudaMemAdvise(pointer: u64, bytes: usize, advice: u32, location: Location) {
        call_in_context!(advise(pointer, bytes, advice, location.device()?))
    }

    fn cudaMemPrefetchAsync_v2 |cudaMemPrefetchAsync_v2_ptsz with stream (
        pointer: u64,
        bytes: usize,
        location: Location,
        _flags: u32,
        stream: Stream,
    ) {
        call_in_context!(prefetch(pointer, bytes, location.device()?, stream))
    }

    fn abi13_cudaMemPrefetchAsync |abi13_cudaMemPrefetchAsync_ptsz with stream (
        pointer: u64,
        bytes: usize,
        location: Location,
        _flags: u32,
        stream: Stream,
    ) {
        call_in_context!(prefetch(pointer, bytes, location.device()?, stream))
    }

    fn abi11_cudaMemAdvise(pointer: u64, bytes: usize, advice: u32, device: i32) {
        call_in_context!(advise(pointer, bytes, advice, device))
    }

    fn abi11_cudaMemPrefetchAsync |abi11_cudaMemPrefetchAsync_ptsz with stream (pointer: u64, bytes: usize, device: i32, stream: Stream) {
        call_in_context!(prefetch(pointer, bytes, device, stream))
    }

    fn cudaMemRangeGetAttribute(data: *mut c_void, size: usize, attribute: u32, pointer: u64, bytes: usize) {
        call_in_context!(range_attribute(data, size, attribute, pointer, bytes))
    }

    fn cudaMemRangeGetAttributes(
        data: *mut *mut c_void,
        sizes: *const usize,
        attributes: *const u32,
        count: usize,
        pointer: u64,
        bytes: usize,
    ) {
        call_in_context!(range_attributes(data, sizes, attributes, count, pointer, bytes))
    }

    fn cudaIpcGetMemHandle(handle: *mut IpcHandle, pointer: u64) {
        call_in_context!(ipc_get(handle, pointer))
    }

    fn cudaIpcOpenMemHandle(pointer: *mut u64, handle: IpcHandle, flags: u32) {
        call_in_context!(ipc_open(pointer, handle, flags))
    }

    fn cudaIpcCloseMemHandle(pointer: u64) {
        call_in_context!(ipc_close(pointer))
    }
}
