//! cuPointer…

use std::ffi::c_void;

use crate::door::*;
use api::structs::memory_type;
use driver::{CuResult, Cuda, context, memory, registered};
use wire::control::MemoryKind;

/// `CUpointer_attribute`
mod attribute {
    pub const CONTEXT: u32 = 1;
    pub const MEMORY_TYPE: u32 = 2;
    pub const DEVICE_POINTER: u32 = 3;
    pub const HOST_POINTER: u32 = 4;
    pub const SYNC_MEMOPS: u32 = 6;
    pub const BUFFER_ID: u32 = 7;
    pub const IS_MANAGED: u32 = 8;
    pub const DEVICE_ORDINAL: u32 = 9;
    pub const IS_LEGACY_IPC_CAPABLE: u32 = 10;
    pub const RANGE_START: u32 = 11;
    pub const RANGE_SIZE: u32 = 12;
    pub const MAPPED: u32 = 13;
    pub const ALLOWED_HANDLE_TYPES: u32 = 14;
    pub const IS_GPU_DIRECT_CAPABLE: u32 = 15;
    pub const ACCESS_FLAGS: u32 = 16;
    pub const MEMPOOL: u32 = 17;
    pub const MAPPING_SIZE: u32 = 18;
    pub const MAPPING_BASE: u32 = 19;
}

/// # Safety
/// `data` must have room for the attribute's type.
unsafe fn answer(data: *mut c_void, number: u32, address: u64) -> Cuda {
    use attribute::*;
    let Some((start, found)) = memory::find(address) else {
        // SAFETY: the caller's promise.
        return unsafe { answer_registered(data, number, address) };
    };
    let host = found.kind == MemoryKind::Host;
    // SAFETY: the caller's promise, by the type of each attribute.
    unsafe {
        match number {
            CONTEXT => *out(data.cast::<usize>())? = found.context_handle,
            MEMORY_TYPE => {
                *out(data.cast::<u32>())? = if host { memory_type::HOST } else { memory_type::DEVICE }
            }
            DEVICE_POINTER => *out(data.cast::<u64>())? = address,
            HOST_POINTER if found.kind == MemoryKind::Device => return Err(CuResult::INVALID_VALUE),
            HOST_POINTER => *out(data.cast::<u64>())? = address,
            SYNC_MEMOPS | IS_GPU_DIRECT_CAPABLE => *out(data.cast::<u32>())? = 0,
            BUFFER_ID => *out(data.cast::<u64>())? = found.id,
            IS_MANAGED => *out(data.cast::<u32>())? = u32::from(found.kind == MemoryKind::Managed),
            DEVICE_ORDINAL => *out(data.cast::<i32>())? = found.device,
            IS_LEGACY_IPC_CAPABLE => {
                *out(data.cast::<u32>())? = u32::from(found.physical == 0 && found.length > 1 << 20)
            }
            RANGE_START | MAPPING_BASE => *out(data.cast::<u64>())? = start,
            RANGE_SIZE | MAPPING_SIZE => *out(data.cast::<u64>())? = found.length,
            MAPPED => *out(data.cast::<u32>())? = 1,
            ALLOWED_HANDLE_TYPES => *out(data.cast::<u64>())? = found.handle_types.into(),
            ACCESS_FLAGS => *out(data.cast::<u32>())? = found.access,
            MEMPOOL => *out(data.cast::<usize>())? = found.pool,
            _ => return Err(CuResult::NOT_SUPPORTED),
        }
    }
    Ok(())
}

/// The same of memory that the client has registered: the host's, without an address for kernels.
///
/// # Safety
/// As `answer`.
unsafe fn answer_registered(data: *mut c_void, number: u32, address: u64) -> Cuda {
    use attribute::*;
    let found = registered::find(address).ok_or(CuResult::INVALID_VALUE)?;
    // SAFETY: the caller's promise, by the type of each attribute.
    unsafe {
        match number {
            MEMORY_TYPE => *out(data.cast::<u32>())? = memory_type::HOST,
            HOST_POINTER => *out(data.cast::<u64>())? = address,
            RANGE_START => *out(data.cast::<u64>())? = found.start,
            RANGE_SIZE => *out(data.cast::<u64>())? = found.length,
            IS_MANAGED | MAPPED | SYNC_MEMOPS => *out(data.cast::<u32>())? = 0,
            DEVICE_ORDINAL => *out(data.cast::<i32>())? = context::current()?.device,
            _ => return Err(CuResult::INVALID_VALUE),
        }
    }
    Ok(())
}

exports! {
    fn cuPointerGetAttribute(data: *mut c_void, number: u32, address: u64) {
        context::current()?;
        answer(data, number, address)
    }

    fn cuPointerGetAttributes(count: u32, numbers: *const u32, data: *mut *mut c_void, address: u64) {
        for (index, number) in list(numbers, count as usize).iter().enumerate() {
            let place = *data.add(index);
            if answer(place, *number, address).is_err() {
                // By the interface, what does not apply is answered with zero, of the attribute's size.
                let wide = !matches!(*number, attribute::MEMORY_TYPE | attribute::SYNC_MEMOPS | attribute::IS_MANAGED
                    | attribute::DEVICE_ORDINAL | attribute::IS_LEGACY_IPC_CAPABLE | attribute::MAPPED
                    | attribute::IS_GPU_DIRECT_CAPABLE | attribute::ACCESS_FLAGS);
                std::ptr::write_bytes(place.cast::<u8>(), 0, if wide { 8 } else { 4 });
                if *number == attribute::DEVICE_ORDINAL {
                    *place.cast::<i32>() = -2;
                }
            }
        }
        Ok(())
    }

    fn cuPointerSetAttribute(_value: *const c_void, number: u32, address: u64) {
        memory::find(address).ok_or(CuResult::INVALID_VALUE)?;
        if number == attribute::SYNC_MEMOPS { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
    }
}
