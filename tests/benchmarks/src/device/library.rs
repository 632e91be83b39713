//! A library that is opened by name, and its functions.

use std::ffi::{CStr, c_int, c_void};

/// An open library.
pub struct Library {
    handle: *mut c_void,
    name: &'static CStr,
}

impl Library {
    /// Opens it; stays open.
    pub fn open(name: &'static CStr) -> Result<Library, String> {
        // SAFETY: a library's name, and flags.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(format!("{} is not installed", name.to_string_lossy()));
        }
        Ok(Library { handle, name })
    }

    /// The address of a function.
    pub fn symbol(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: an open library and a name.
        let address = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        if address.is_null() {
            return Err(format!("{} has no {}", self.name.to_string_lossy(), name.to_string_lossy()));
        }
        Ok(address)
    }
}

/// Whether a call succeeded, which both libraries say by 0; the error names the call and its code.
pub fn checked(what: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{what} answers {code}")) }
}

/// Declares a table of a library's functions, whose `open` looks them all up.
macro_rules! functions {
    ($(#[$about:meta])* $table:ident { $($function:ident($($type:ty),* $(,)?) -> $result:ty;)* }) => {
        $(#[$about])*
        #[allow(non_snake_case, reason = "names of the library")]
        struct $table { $($function: unsafe extern "C" fn($($type),*) -> $result,)* }

        impl $table {
            fn open(library: &$crate::device::library::Library) -> Result<Self, String> {
                Ok(Self { $($function: {
                    let name = std::ffi::CString::new(stringify!($function)).map_err(|error| error.to_string())?;
                    // SAFETY: the library documents this signature for this name.
                    unsafe { std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($type),*) -> $result>(library.symbol(&name)?) }
                },)* })
            }
        }
    };
}
pub(crate) use functions;
