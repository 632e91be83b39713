//! cudaFunc…, cudaOccupancy…

use std::ffi::{c_char, c_void};

use crate::door::*;
use crate::driver::call;
use crate::registration::function;

/// `cudaFuncAttributes` up to what CUDA 11 has; later versions append, and are zeroed.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Attributes {
    shared: usize,
    constant: usize,
    local: usize,
    max_threads: i32,
    registers: i32,
    ptx_version: i32,
    binary_version: i32,
    cache_mode: i32,
    max_dynamic_shared: i32,
    carveout: i32,
}

call_trace::fields! { Attributes { shared, constant, local, max_threads, registers, ptx_version, binary_version } }

/// CUDA 12's longer form: cluster limits and reserve.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Attributes12 {
    common: Attributes,
    clusters: [i32; 6],
    reserved: [i32; 16],
}

call_trace::fields! { Attributes12 { common } }

fn attributes(host: *const c_void) -> Runtime<Attributes> {
    let handle = function(host)?;
    let ask = |number: i32| -> Runtime<i32> {
        let mut value = 0;
        // SAFETY: a place of this frame.
        unsafe { call!(function_attribute(&mut value, number, handle))? };
        Ok(value)
    };
    Ok(Attributes {
        max_threads: ask(0)?,
        shared: ask(1)? as usize,
        constant: ask(2)? as usize,
        local: ask(3)? as usize,
        registers: ask(4)?,
        ptx_version: ask(5)?,
        binary_version: ask(6)?,
        cache_mode: ask(7)?,
        max_dynamic_shared: ask(8)?,
        carveout: ask(9)?,
    })
}

exports! {
    fn abi11_cudaFuncGetAttributes(target: *mut Attributes, host: *const c_void) {
        *out(target)? = attributes(host)?;
        Ok(())
    }

    fn abi12_cudaFuncGetAttributes(target: *mut Attributes12, host: *const c_void) {
        *out(target)? = Attributes12 { common: attributes(host)?, ..Attributes12::default() };
        Ok(())
    }

    fn cudaFuncGetName(name: *mut *const c_char, host: *const c_void) {
        call!(function_name(name, function(host)?))
    }

    fn cudaFuncGetParamInfo(host: *const c_void, index: usize, offset: *mut usize, size: *mut usize) {
        call!(function_parameter(function(host)?, index, offset, size))
    }

    fn cudaFuncGetParamCount(host: *const c_void, count: *mut usize) {
        let handle = function(host)?;
        let (mut offset, mut size) = (0, 0);
        let mut exists = |index: &usize| -> Runtime { call!(function_parameter(handle, *index, &mut offset, &mut size)) };
        *out(count)? = (0..).take_while(|index| exists(index).is_ok()).count();
        Ok(())
    }

    fn cudaKernelSetAttributeForDevice(kernel: *const c_void, attribute: i32, value: i32, device: i32) {
        crate::devices::check(device)?;
        call!(function_set_attribute(function(kernel)?, attribute, value))
    }

    fn cudaFuncSetAttribute(host: *const c_void, attribute: i32, value: i32) {
        call!(function_set_attribute(function(host)?, attribute, value))
    }

    fn cudaFuncSetCacheConfig(host: *const c_void, _config: u32) {
        function(host).map(drop)
    }

    fn cudaFuncSetSharedMemConfig(host: *const c_void, _config: u32) {
        function(host).map(drop)
    }

    fn cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut i32, host: *const c_void, block_size: i32, shared: usize) {
        call!(occupancy(blocks, function(host)?, block_size, shared, 0))
    }

    fn cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut i32,
        host: *const c_void,
        block_size: i32,
        shared: usize,
        flags: u32,
    ) {
        call!(occupancy(blocks, function(host)?, block_size, shared, flags))
    }

    fn cudaOccupancyAvailableDynamicSMemPerBlock(bytes: *mut usize, host: *const c_void, blocks: i32, block_size: i32) {
        call!(occupancy_shared(bytes, function(host)?, blocks, block_size))
    }
}
