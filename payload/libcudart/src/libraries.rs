//! cudaLibrary…: code that a program loads by itself. Libraries and kernels are the driver's.

use std::ffi::{c_char, c_void};

use crate::driver::call_in_context;

exports! {
    fn cudaLibraryLoadData(
        library: *mut usize,
        code: *const c_void,
        jit_options: *const u32,
        jit_values: *mut *mut c_void,
        jit_count: u32,
        options: *const u32,
        values: *mut *mut c_void,
        count: u32,
    ) {
        call_in_context!(library_load(library, code, jit_options, jit_values, jit_count, options, values, count))
    }

    fn cudaLibraryLoadFromFile(
        library: *mut usize,
        path: *const c_char,
        jit_options: *const u32,
        jit_values: *mut *mut c_void,
        jit_count: u32,
        options: *const u32,
        values: *mut *mut c_void,
        count: u32,
    ) {
        call_in_context!(library_load_file(library, path, jit_options, jit_values, jit_count, options, values, count))
    }

    fn cudaLibraryUnload(library: usize) {
        call_in_context!(library_unload(library))
    }

    fn cudaLibraryGetKernel(kernel: *mut usize, library: usize, name: *const c_char) {
        call_in_context!(library_kernel(kernel, library, name))
    }

    fn cudaLibraryGetKernelCount(count: *mut u32, library: usize) {
        call_in_context!(library_kernel_count(count, library))
    }

    fn cudaLibraryEnumerateKernels(kernels: *mut usize, count: u32, library: usize) {
        call_in_context!(library_kernels(kernels, count, library))
    }

    fn cudaLibraryGetGlobal(address: *mut u64, bytes: *mut usize, library: usize, name: *const c_char) {
        call_in_context!(library_global(address, bytes, library, name))
    }
}
