//! Our driver's private table: the only thing of it that this library needs.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use api::private::{TABLE, Table};

type GetExportTable = unsafe extern "C" fn(*mut *const c_void, *const [u8; 16]) -> u32;

/// The table; `None` where the driver is not ours.
pub fn table() -> Option<&'static Table> {
    static FOUND: OnceLock<Option<&'static Table>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: loading the driver runs no code of ours; the function has this type by the driver API; the table is a constant
        // of the driver's, and its size says whether it is whole.
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
            (table.size >= size_of::<Table>()).then_some(table)
        }
    })
}

/// Tells the report that a name was called that we lack. `name` is NUL-terminated.
pub fn note_unsupported(name: &'static str) {
    if let (Some(table), Ok(name)) = (table(), CStr::from_bytes_with_nul(name.as_bytes())) {
        // SAFETY: a NUL-terminated string.
        unsafe { (table.note_unsupported)(name.as_ptr()) };
    }
}
