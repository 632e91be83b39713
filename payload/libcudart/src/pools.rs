//! cudaMemPool…

use std::ffi::c_void;

use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::memory::Location;

exports! {
    fn cudaMemPoolCreate(pool: *mut usize, properties: *const c_void) {
        call_in_context!(pool_create(pool, properties))
    }

    fn cudaMemPoolDestroy(pool: usize) {
        call_in_context!(pool_destroy(pool))
    }

    fn cudaMemPoolTrimTo(pool: usize, keep: usize) {
        call_in_context!(pool_trim(pool, keep))
    }

    fn cudaMemPoolGetAttribute(pool: usize, attribute: u32, value: *mut c_void) {
        call_in_context!(pool_get(pool, attribute, value))
    }

    fn cudaMemPoolGetAccess(flags: *mut u32, pool: usize, location: *const Location) {
        call_in_context!(pool_access(flags, pool, location))
    }

    fn cudaMemPoolSetAccess(pool: usize, access: *const c_void, count: usize) {
        call_in_context!(pool_set_access(pool, access, count))
    }

    fn cudaMemGetDefaultMemPool(pool: *mut usize, location: *const Location, _kind: u32) {
        call!(device_pool(pool, input(location)?.on_device()?))
    }

    fn cudaMemGetMemPool(pool: *mut usize, location: *const Location, _kind: u32) {
        call!(device_current_pool(pool, input(location)?.on_device()?))
    }

    fn cudaMemSetMemPool(location: *const Location, _kind: u32, pool: usize) {
        call!(device_set_pool(input(location)?.on_device()?, pool))
    }

    fn cudaMemPoolSetAttribute(pool: usize, attribute: u32, value: *mut c_void) {
        call_in_context!(pool_set(pool, attribute, value))
    }
}
