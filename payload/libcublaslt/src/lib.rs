//! `libcublasLt.so.*`: loads where a program asks for it, and refuses by name. Products go through `libcublas`.

#![allow(non_snake_case, missing_docs)]

use std::ffi::{c_char, c_void};

/// `CUBLAS_STATUS_NOT_SUPPORTED`
const NOT_SUPPORTED: u32 = 15;

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetVersion() -> usize {
    120_901
}

/// Nothing can be done with a handle, so there is none: the first call says so, not the tenth.
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtCreate(_handle: *mut *mut c_void) -> u32 {
    note("cublasLtCreate\0");
    NOT_SUPPORTED
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtDestroy(_handle: *mut c_void) -> u32 {
    NOT_SUPPORTED
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetStatusString(_status: u32) -> *const c_char {
    c"CUBLAS_STATUS_NOT_SUPPORTED".as_ptr()
}

/// Tells standard error; the report names the program's loads of this library besides.
fn note(name: &str) {
    let name = name.trim_end_matches('\0');
    let text = format!("vgpu-run: {name} is not supported by the CPU engine's cuBLASLt\n");
    // SAFETY: a buffer of that length.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

macro_rules! unsupported {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            note(stringify!($name));
            NOT_SUPPORTED
        }
    };
}

/// The address of an exported function.
pub struct Function(#[allow(dead_code, reason = "kept so that the linker keeps the function")] pub *const ());

// SAFETY: the address of a function never changes.
unsafe impl Sync for Function {}

include!(concat!(env!("OUT_DIR"), "/symbols.rs"));
