//! cuMemPool…

use std::ffi::c_void;

use crate::door::*;
use driver::managed::Location;
use driver::{CuResult, Cuda, pool};

/// `CUmemPoolProps` up to the location's id.
#[repr(C)]
pub struct Properties {
    allocation_type: u32,
    handle_types: u32,
    location_type: u32,
    location: i32,
}

call_trace::fields! { Properties { allocation_type, handle_types, location_type, location } }

/// Attributes whose value is an `int`.
fn is_int(number: u32) -> bool {
    number <= 3
}

/// Pools exist for devices only.
unsafe fn on_device(location: *const Location) -> Cuda<i32> {
    const DEVICE: u32 = 1;
    // SAFETY: the exported functions' callers promise a structure.
    let location = unsafe { input(location) }?;
    if location.kind == DEVICE {
        return Ok(location.id);
    }
    driver::note::unsupported("memory pools of the host");
    Err(CuResult::NOT_SUPPORTED)
}

exports! {
    fn cuMemPoolCreate(created: *mut usize, properties: *const Properties) {
        let properties = input(properties)?;
        let place = Location { kind: properties.location_type, id: properties.location };
        *out(created)? = pool::create(on_device(&place)?)?;
        Ok(())
    }

    fn cuMemGetDefaultMemPool(found: *mut usize, location: *const Location, _allocation_type: u32) {
        *out(found)? = pool::default_of(on_device(location)?)?;
        Ok(())
    }

    fn cuMemGetMemPool(found: *mut usize, location: *const Location, _allocation_type: u32) {
        *out(found)? = pool::current_of(on_device(location)?)?;
        Ok(())
    }

    fn cuMemSetMemPool(location: *const Location, _allocation_type: u32, handle: usize) {
        pool::set_current(on_device(location)?, handle)
    }

    fn cuMemPoolDestroy(handle: usize) {
        pool::destroy(handle)
    }

    fn cuMemPoolTrimTo(handle: usize, _keep: usize) {
        pool::by_handle(handle).map(drop)
    }

    fn cuMemPoolGetAttribute(handle: usize, number: u32, value: *mut c_void) {
        let found = pool::by_handle(handle)?.get(number)?;
        if is_int(number) {
            *out(value.cast::<i32>())? = found as i32;
        } else {
            *out(value.cast::<u64>())? = found;
        }
        Ok(())
    }

    fn cuMemPoolSetAttribute(handle: usize, number: u32, value: *mut c_void) {
        let value = if is_int(number) { *out(value.cast::<i32>())? as u64 } else { *out(value.cast::<u64>())? };
        pool::by_handle(handle)?.set(number, value)
    }

    fn cuMemPoolSetAccess(handle: usize, _access: *const c_void, _count: usize) {
        pool::by_handle(handle).map(drop)
    }

    fn cuMemPoolGetAccess(flags: *mut u32, handle: usize, _location: *const c_void) {
        pool::by_handle(handle)?;
        *out(flags)? = 3;
        Ok(())
    }
}
