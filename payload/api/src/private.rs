//! What our own runtime and BLAS libraries ask of our driver beyond the public interface.
//!
//! The table is handed out by `cuGetExportTable` for a UUID of our own: the documented way for libraries that belong to a driver.
//! NVIDIA's libraries ask for tables of NVIDIA's; those are answered "not found".

use std::ffi::{c_char, c_void};

/// UUID of our table ("vgpu-run/private1" as bytes).
pub const TABLE: [u8; 16] = *b"vgpu-run/privat1";

/// The table. New entries go to the end; `size` tells how much of it there is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Bytes of this table.
    pub size: usize,
    /// Appends a routine of linear algebra to a stream (or its capture). `order` points to a `wire::blas::Blas`.
    pub blas: unsafe extern "C" fn(stream: *mut c_void, order: *const c_void) -> u32,
    /// The same with a `wire::blas::Matmul`.
    pub matmul: unsafe extern "C" fn(stream: *mut c_void, order: *const c_void) -> u32,
    /// Notes for the report that a library lacks a function; `name` is NUL-terminated. Once per name.
    pub note_unsupported: unsafe extern "C" fn(name: *const c_char),
    /// Notes for the report how an initialisation ended.
    pub note_initialised: unsafe extern "C" fn(name: *const c_char, result: i64),
    /// The stream that a handle means for the calling thread when the caller was compiled with per-thread default streams.
    pub per_thread_stream: unsafe extern "C" fn(stream: *mut c_void) -> *mut c_void,
}

// SAFETY: plain numbers and functions, which never change.
unsafe impl Sync for Table {}
