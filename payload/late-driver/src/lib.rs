//! The driver as our own libraries find it: loaded at the first call, like any program's, and asked for the private table that
//! tells that it is ours. Nothing happens before.
//!
//! [`functions!`] declares what a library uses of the public interface, and makes a `Driver` with a `get()`.

use std::ffi::{CStr, c_void};

use api::private::{TABLE, Table};

#[doc(hidden)]
pub use {api, libc};

type GetExportTable = unsafe extern "C" fn(*mut *const c_void, *const [u8; 16]) -> u32;

/// A handle of the driver's library, and our driver's table; `None` where there is no driver, or not ours.
pub fn find() -> Option<(*mut c_void, &'static Table)> {
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
        (table.size >= size_of::<Table>()).then_some((library, table))
    }
}

/// Tells the report that a name was called that we lack. `name` is NUL-terminated.
pub fn note(table: &Table, name: &'static str) {
    if let Ok(name) = CStr::from_bytes_with_nul(name.as_bytes()) {
        // SAFETY: a NUL-terminated string.
        unsafe { (table.note_unsupported)(name.as_ptr()) };
    }
}

/// Declares the functions of the driver that a library uses: `field = "cuName": fn(arguments);`, each giving a `CUresult`.
#[macro_export]
macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),* $(,)?);)*) => {
        /// What of the driver is used.
        pub struct Driver {
            /// Our own driver's additions.
            pub table: &'static $crate::api::private::Table,
            $(pub $field: unsafe extern "C" fn($($argument),*) -> u32,)*
        }

        /// The driver; `None` where it is not ours.
        pub fn get() -> Option<&'static Driver> {
            static FOUND: std::sync::OnceLock<Option<Driver>> = std::sync::OnceLock::new();
            let resolve = || {
                let (library, table) = $crate::find()?;
                $(
                    // SAFETY: a handle of the driver's library; the symbol of that name has that type, by the driver API.
                    let $field = unsafe {
                        let symbol = $crate::libc::dlsym(library, concat!($symbol, "\0").as_ptr().cast());
                        if symbol.is_null() {
                            return None;
                        }
                        std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($argument),*) -> u32>(symbol)
                    };
                )*
                Some(Driver { table, $($field,)* })
            };
            FOUND.get_or_init(resolve).as_ref()
        }

        /// Tells the report that a name was called that we lack. `name` is NUL-terminated.
        pub fn note_unsupported(name: &'static str) {
            if let Some(driver) = get() {
                $crate::note(driver.table, name);
            }
        }
    };
}
