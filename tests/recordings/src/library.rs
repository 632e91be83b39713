//! A library of the driver, found at run time, and its functions called by name.

use anyhow::{Result, bail};
use std::ffi::CString;
use std::ptr::NonNull;

/// Six arguments in registers: a C function that takes fewer never sees the rest.
pub type Function = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64) -> i32;

/// An opened library, until the end of the process.
pub struct Library(NonNull<libc::c_void>);

impl Library {
    /// As a loader finds it.
    pub fn open(name: &str) -> Result<Self> {
        let text = CString::new(name)?;
        // SAFETY: its constructors run here, as in any program that links to it.
        let handle = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW) };
        let Some(handle) = NonNull::new(handle) else { bail!("{name} cannot be loaded") };
        Ok(Self(handle))
    }

    /// None: the library has no such function.
    pub fn function(&self, name: &str) -> Option<Function> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is never closed.
        let address = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        // SAFETY: integers and pointers in up to six registers and an integer result are what the called functions take and give;
        // calling is the caller's business, and unsafe.
        (!address.is_null()).then(|| unsafe { std::mem::transmute::<*mut libc::c_void, Function>(address) })
    }

    /// Calls a function; -1 where there is none of that name.
    ///
    /// # Safety
    /// The arguments are what the function takes.
    pub unsafe fn call(&self, name: &str, arguments: &[u64]) -> i32 {
        let Some(function) = self.function(name) else { return -1 };
        let argument = |at: usize| arguments.get(at).copied().unwrap_or(0);
        // SAFETY: passed on to the caller.
        unsafe { function(argument(0), argument(1), argument(2), argument(3), argument(4), argument(5)) }
    }
}
