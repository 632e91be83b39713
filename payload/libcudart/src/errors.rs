//! cudaGetLastError, cudaGetErrorName, cudaGetErrorString, versions, profiler.

use std::ffi::{CStr, c_char, c_void};

use crate::door::*;
use crate::driver::{self, call};

/// Names of the errors that only the runtime has, and of those that programs print most. The rest are named by the driver.
const NAMES: &[(u32, &CStr, &CStr)] = &[
    (0, c"cudaSuccess", c"no error"),
    (1, c"cudaErrorInvalidValue", c"invalid argument"),
    (2, c"cudaErrorMemoryAllocation", c"out of memory"),
    (3, c"cudaErrorInitializationError", c"initialization error"),
    (4, c"cudaErrorCudartUnloading", c"driver shutting down"),
    (9, c"cudaErrorInvalidConfiguration", c"invalid configuration argument"),
    (13, c"cudaErrorInvalidSymbol", c"invalid device symbol"),
    (35, c"cudaErrorInsufficientDriver", c"CUDA driver version is insufficient for CUDA runtime version"),
    (46, c"cudaErrorDevicesUnavailable", c"CUDA-capable device(s) is/are busy or unavailable"),
    (52, c"cudaErrorMissingConfiguration", c"__global__ function call is not configured"),
    (98, c"cudaErrorInvalidDeviceFunction", c"invalid device function"),
    (100, c"cudaErrorNoDevice", c"no CUDA-capable device is detected"),
    (101, c"cudaErrorInvalidDevice", c"invalid device ordinal"),
    (200, c"cudaErrorInvalidKernelImage", c"device kernel image is invalid"),
    (201, c"cudaErrorDeviceUninitialized", c"invalid device context"),
    (209, c"cudaErrorNoKernelImageForDevice", c"no kernel image is available for execution on the device"),
    (217, c"cudaErrorPeerAccessUnsupported", c"peer access is not supported between these two devices"),
    (218, c"cudaErrorInvalidPtx", c"a PTX JIT compilation failed"),
    (303, c"cudaErrorSharedObjectInitFailed", c"shared object initialization failed"),
    (400, c"cudaErrorInvalidResourceHandle", c"invalid resource handle"),
    (500, c"cudaErrorSymbolNotFound", c"named symbol not found"),
    (600, c"cudaErrorNotReady", c"device not ready"),
    (700, c"cudaErrorIllegalAddress", c"an illegal memory access was encountered"),
    (701, c"cudaErrorLaunchOutOfResources", c"too many resources requested for launch"),
    (704, c"cudaErrorPeerAccessAlreadyEnabled", c"peer access is already enabled"),
    (710, c"cudaErrorAssert", c"device-side assert triggered"),
    (713, c"cudaErrorHostMemoryNotRegistered", c"pointer does not correspond to a registered memory region"),
    (715, c"cudaErrorIllegalInstruction", c"an illegal instruction was encountered"),
    (716, c"cudaErrorMisalignedAddress", c"misaligned address"),
    (719, c"cudaErrorLaunchFailure", c"unspecified launch failure"),
    (801, c"cudaErrorNotSupported", c"operation not supported"),
    (900, c"cudaErrorStreamCaptureUnsupported", c"operation not permitted when stream is capturing"),
    (910, c"cudaErrorGraphExecUpdateFailure", c"the graph update was not performed"),
    (999, c"cudaErrorUnknown", c"unknown error"),
];

fn describe(error: u32) -> Option<(*const c_char, *const c_char)> {
    if let Some((_, name, text)) = NAMES.iter().find(|(number, _, _)| *number == error) {
        return Some((name.as_ptr(), text.as_ptr()));
    }
    let driver = driver::get().ok()?;
    let (mut name, mut text) = (std::ptr::null(), std::ptr::null());
    // SAFETY: places of this frame.
    let known =
        unsafe { (driver.error_name)(error, &mut name) == 0 && (driver.error_string)(error, &mut text) == 0 };
    known.then_some((name, text))
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorName(error: u32) -> *const c_char {
    describe(error).map_or(c"unrecognized error code".as_ptr(), |(name, _)| name)
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorString(error: u32) -> *const c_char {
    describe(error).map_or(c"unrecognized error code".as_ptr(), |(_, text)| text)
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetLastError() -> u32 {
    last_error(true)
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaPeekAtLastError() -> u32 {
    last_error(false)
}

exports! {
    fn cudaDriverGetVersion(version: *mut i32) {
        *out(version)? = driver::version();
        Ok(())
    }

    fn abi11_cudaRuntimeGetVersion(version: *mut i32) {
        *out(version)? = 11080;
        Ok(())
    }

    fn abi12_cudaRuntimeGetVersion(version: *mut i32) {
        *out(version)? = 12090;
        Ok(())
    }

    fn cudaProfilerStart() {
        Ok(())
    }

    fn cudaProfilerStop() {
        Ok(())
    }

    fn cudaGetDriverEntryPoint |cudaGetDriverEntryPoint_ptsz with _flags_as_stream (
        name: *const c_char,
        function: *mut *const c_void,
        _flags_as_stream: crate::streams::Stream,
        status: *mut u32,
    ) {
        call!(proc_address(name, function, driver::version(), 0, status))
    }

    fn cudaGetDriverEntryPointByVersion(
        name: *const c_char,
        function: *mut *const c_void,
        version: u32,
        flags: u64,
        status: *mut u32,
    ) {
        call!(proc_address(name, function, version as i32, flags, status))
    }
}
