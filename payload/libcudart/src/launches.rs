//! cudaLaunchKernel and its kin.

use std::ffi::c_void;

use api::structs::{LaunchAttribute, LaunchConfig};

use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::registration::{Dim3, function};
use crate::streams::{self, Stream};

/// `cudaLaunchConfig_t`
#[repr(C)]
pub struct RuntimeConfig {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: Stream,
    attributes: *const LaunchAttribute,
    attribute_count: u32,
}

call_trace::fields! { RuntimeConfig { grid, block, shared, stream, attributes, attribute_count } }

/// Launches a registered kernel.
///
/// # Safety
/// `arguments` as `cudaLaunchKernel` asks for.
pub unsafe fn launch(
    kernel: *const c_void,
    grid: Dim3,
    block: Dim3,
    arguments: *mut *mut c_void,
    shared: usize,
    stream: Stream,
) -> Runtime {
    let handle = function(kernel)?;
    // SAFETY: the caller's promise.
    let outcome = unsafe {
        call_in_context!(launch(
            handle,
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared as u32,
            stream,
            arguments,
            std::ptr::null_mut(),
        ))
    };
    // The runtime has an error of its own for extents that the driver calls an invalid value.
    const INVALID_CONFIGURATION: Error = Error(9);
    outcome.map_err(|error| if error == Error::INVALID_VALUE { INVALID_CONFIGURATION } else { error })
}

exports! {
    fn cudaLaunchKernel |cudaLaunchKernel_ptsz with stream (
        kernel: *const c_void,
        grid: Dim3,
        block: Dim3,
        arguments: *mut *mut c_void,
        shared: usize,
        stream: Stream,
    ) {
        launch(kernel, grid, block, arguments, shared, stream)
    }

    fn cudaLaunchCooperativeKernel |cudaLaunchCooperativeKernel_ptsz with stream (
        kernel: *const c_void,
        grid: Dim3,
        block: Dim3,
        arguments: *mut *mut c_void,
        shared: usize,
        stream: Stream,
    ) {
        let handle = function(kernel)?;
        call_in_context!(launch_cooperative(
            handle,
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared as u32,
            stream,
            arguments,
        ))
    }

    fn cudaLaunchKernelExC(config: *const RuntimeConfig, kernel: *const c_void, arguments: *mut *mut c_void) {
        extended(input(config)?, kernel, arguments, input(config)?.stream)
    }

    fn cudaLaunchKernelExC_ptsz(config: *const RuntimeConfig, kernel: *const c_void, arguments: *mut *mut c_void) {
        extended(input(config)?, kernel, arguments, streams::per_thread(input(config)?.stream))
    }

    fn cudaLaunchHostFunc_v2 |cudaLaunchHostFunc_v2_ptsz with stream (
        stream: Stream,
        host: Option<unsafe extern "C" fn(*mut c_void)>,
        data: *mut c_void,
        _synchronisation: u32,
    ) {
        call_in_context!(launch_host(stream, host, data))
    }

    fn cudaLaunchHostFunc |cudaLaunchHostFunc_ptsz with stream (
        stream: Stream,
        host: Option<unsafe extern "C" fn(*mut c_void)>,
        data: *mut c_void,
    ) {
        call_in_context!(launch_host(stream, host, data))
    }
}

unsafe fn extended(
    config: &RuntimeConfig,
    kernel: *const c_void,
    arguments: *mut *mut c_void,
    stream: Stream,
) -> Runtime {
    let handle = function(kernel)?;
    let order = LaunchConfig {
        grid: config.grid.extents(),
        block: config.block.extents(),
        shared: config.shared as u32,
        stream: stream as usize,
        attributes: config.attributes,
        attribute_count: config.attribute_count,
    };
    // SAFETY: the caller's promise; runtime and driver share attribute numbers and layout.
    unsafe { call!(launch_extended(&order, handle, arguments, std::ptr::null_mut())) }
}
