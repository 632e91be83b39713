//! cudaMemPool…

use std::ffi::c_void;

use crate::driver::call_in_context;

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

    fn cudaMemPoolSetAttribute(pool: usize, attribute: u32, value: *mut c_void) {
        call_in_context!(pool_set(pool, attribute, value))
    }
}
