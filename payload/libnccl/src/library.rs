//! Version, error texts, memory.

use std::ffi::{CStr, c_char};

use crate::door::out;
use crate::driver;

/// 2.27.7
const VERSION: i32 = 22707;

/// Texts by `ncclResult_t`.
const TEXTS: &[&CStr] = &[
    c"no error",
    c"unhandled cuda error",
    c"unhandled system error",
    c"internal error",
    c"invalid argument",
    c"invalid usage",
    c"remote process exited or there was a network error",
    c"NCCL operation in progress",
];

#[unsafe(no_mangle)]
pub extern "C" fn ncclGetErrorString(result: u32) -> *const c_char {
    TEXTS.get(result as usize).map_or(c"unknown result code".as_ptr(), |text| text.as_ptr())
}

#[unsafe(no_mangle)]
pub extern "C" fn pncclGetErrorString(result: u32) -> *const c_char {
    ncclGetErrorString(result)
}

/// There is no debugging output to be set up again.
#[unsafe(no_mangle)]
pub extern "C" fn ncclResetDebugInit() {}

#[unsafe(no_mangle)]
pub extern "C" fn pncclResetDebugInit() {}

exports! {
    fn ncclGetVersion |pncclGetVersion (version: *mut i32) {
        *out(version)? = VERSION;
        Ok(())
    }

    fn ncclMemAlloc |pncclMemAlloc (made: *mut u64, bytes: usize) {
        let target = out(made)?;
        driver::outcome((driver::required()?.allocate)(target, bytes))
    }

    fn ncclMemFree |pncclMemFree (address: u64) {
        driver::outcome((driver::required()?.free)(address))
    }
}
