//! Our driver: its private table, and the few public functions that this library needs.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use api::private::{TABLE, Table};
use wire::blas::Blas;

use crate::door::{Blas as Outcome, Status};

macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*);)*) => {
        /// What of the driver is used.
        pub struct Driver {
            /// Our own driver's additions.
            pub table: &'static Table,
            $(pub $field: unsafe extern "C" fn($($argument),*) -> u32,)*
        }

        impl Driver {
            /// # Safety
            /// `library` must be a handle of a driver library.
            unsafe fn resolve(library: *mut c_void, table: &'static Table) -> Option<Driver> {
                $(
                    // SAFETY: the symbol of that name has that type, by the driver API.
                    let $field = unsafe {
                        let symbol = libc::dlsym(library, concat!($symbol, "\0").as_ptr().cast());
                        if symbol.is_null() {
                            return None;
                        }
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> u32>(symbol)
                    };
                )*
                Some(Driver { table, $($field,)* })
            }
        }
    };
}

functions! {
    synchronize = "cuStreamSynchronize": fn(usize);
    allocate_host = "cuMemHostAlloc": fn(*mut u64, usize, u32);
    free_host = "cuMemFreeHost": fn(u64);
    copy_2d = "cuMemcpy2DUnaligned_v2": fn(*const api::structs::Memcpy2D);
    copy_2d_async = "cuMemcpy2DAsync_v2": fn(*const api::structs::Memcpy2D, usize);
    context = "cuCtxGetCurrent": fn(*mut usize);
    set_context = "cuCtxSetCurrent": fn(usize);
    retain_primary = "cuDevicePrimaryCtxRetain": fn(*mut usize, i32);
    init = "cuInit": fn(u32);
}

type GetExportTable = unsafe extern "C" fn(*mut *const c_void, *const [u8; 16]) -> u32;

/// The driver; `None` where it is not ours.
pub fn get() -> Option<&'static Driver> {
    static FOUND: OnceLock<Option<Driver>> = OnceLock::new();
    FOUND.get_or_init(find).as_ref()
}

fn find() -> Option<Driver> {
    // SAFETY: loading the driver runs no code of ours; the function has this type by the driver API; the table is a constant of
    // the driver's, and its size says whether it is whole.
    unsafe {
        let library = libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
        if library.is_null() {
            return None;
        }
        let symbol = libc::dlsym(library, c"cuGetExportTable".as_ptr());
        if symbol.is_null() {
            return None;
        }
        let function = std::mem::transmute::<*mut c_void, GetExportTable>(symbol);
        let mut table = std::ptr::null();
        if function(&mut table, &TABLE) != 0 || table.is_null() {
            return None;
        }
        let table = &*table.cast::<Table>();
        if table.size < size_of::<Table>() {
            return None;
        }
        Driver::resolve(library, table)
    }
}

/// Tells the report that a name was called that we lack. `name` is NUL-terminated.
pub fn note_unsupported(name: &'static str) {
    if let (Some(driver), Ok(name)) = (get(), CStr::from_bytes_with_nul(name.as_bytes())) {
        // SAFETY: a NUL-terminated string.
        unsafe { (driver.table.note_unsupported)(name.as_ptr()) };
    }
}

/// A `CUresult` as cuBLAS tells it.
pub fn outcome(result: u32) -> Outcome {
    const NOT_SUPPORTED: u32 = 801;
    match result {
        0 => Ok(()),
        NOT_SUPPORTED => Err(Status::NOT_SUPPORTED),
        _ => Err(Status::EXECUTION_FAILED),
    }
}

/// Appends a routine to a stream.
pub fn submit(stream: usize, order: &Blas) -> Outcome {
    let driver = get().ok_or(Status::NOT_INITIALIZED)?;
    // SAFETY: a stream of the caller's and an order of ours.
    outcome(unsafe { (driver.table.blas)(stream as *mut c_void, (&raw const *order).cast()) })
}

/// Waits for a stream.
pub fn synchronize(stream: usize) -> Outcome {
    let driver = get().ok_or(Status::NOT_INITIALIZED)?;
    // SAFETY: a stream of the caller's.
    outcome(unsafe { (driver.synchronize)(stream) })
}
