//! `nvmlReturn_t`, and what every exported function goes through.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use call_trace::Library;
use wire::control::Caller;
use wire::device::Description;

/// For traces.
pub static LIBRARY: Library = Library { caller: Caller::Nvml, result: result_name };

/// An `nvmlReturn_t` that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub u32);

/// What an implementation returns.
pub type Nvml<T = ()> = Result<T, Error>;

impl Error {
    /// `NVML_ERROR_UNINITIALIZED`
    pub const UNINITIALIZED: Error = Error(1);
    /// `NVML_ERROR_INVALID_ARGUMENT`
    pub const INVALID_ARGUMENT: Error = Error(2);
    /// `NVML_ERROR_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: Error = Error(3);
    /// `NVML_ERROR_NO_PERMISSION`
    pub const NO_PERMISSION: Error = Error(4);
    /// `NVML_ERROR_NOT_FOUND`
    pub const NOT_FOUND: Error = Error(6);
    /// `NVML_ERROR_INSUFFICIENT_SIZE`
    pub const INSUFFICIENT_SIZE: Error = Error(7);
    /// `NVML_ERROR_DRIVER_NOT_LOADED`
    pub const DRIVER_NOT_LOADED: Error = Error(9);
    /// `NVML_ERROR_TIMEOUT`
    pub const TIMEOUT: Error = Error(10);
    /// `NVML_ERROR_FUNCTION_NOT_FOUND`
    pub const FUNCTION_NOT_FOUND: Error = Error(13);
    /// `NVML_ERROR_GPU_IS_LOST`
    pub const GPU_IS_LOST: Error = Error(15);
    /// `NVML_ERROR_IN_USE`
    pub const IN_USE: Error = Error(19);
    /// `NVML_ERROR_ARGUMENT_VERSION_MISMATCH`
    pub const VERSION_MISMATCH: Error = Error(25);
    /// `NVML_ERROR_UNKNOWN`
    pub const UNKNOWN: Error = Error(999);
}

/// Names of `nvmlReturn_t` (nvml.h, names only).
fn result_name(code: u32) -> &'static str {
    match code {
        0 => "NVML_SUCCESS",
        1 => "NVML_ERROR_UNINITIALIZED",
        2 => "NVML_ERROR_INVALID_ARGUMENT",
        3 => "NVML_ERROR_NOT_SUPPORTED",
        4 => "NVML_ERROR_NO_PERMISSION",
        6 => "NVML_ERROR_NOT_FOUND",
        7 => "NVML_ERROR_INSUFFICIENT_SIZE",
        9 => "NVML_ERROR_DRIVER_NOT_LOADED",
        10 => "NVML_ERROR_TIMEOUT",
        13 => "NVML_ERROR_FUNCTION_NOT_FOUND",
        15 => "NVML_ERROR_GPU_IS_LOST",
        19 => "NVML_ERROR_IN_USE",
        25 => "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
        999 => "NVML_ERROR_UNKNOWN",
        _ => "",
    }
}

/// Runs an implementation.
pub fn enter(implementation: impl FnOnce() -> Nvml) -> u32 {
    match catch_unwind(AssertUnwindSafe(implementation)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => error.0,
        Err(_) => Error::UNKNOWN.0,
    }
}

/// Where a function writes its answer.
///
/// # Safety
/// `pointer` must be null or valid for writes of `T`.
pub unsafe fn out<'a, T>(pointer: *mut T) -> Nvml<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(Error::INVALID_ARGUMENT)
}

/// A text that the caller passes.
///
/// # Safety
/// `pointer` must be null or a NUL-terminated string.
pub unsafe fn text<'a>(pointer: *const c_char) -> Nvml<&'a str> {
    if pointer.is_null() {
        return Err(Error::INVALID_ARGUMENT);
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|_| Error::INVALID_ARGUMENT)
}

/// The version of a caller's structure, its first word, if it is the one that we know.
///
/// # Safety
/// `target` must be null or valid for reads of a word.
pub unsafe fn versioned(target: *const u32, known: u32) -> Nvml<u32> {
    // SAFETY: the caller's promise.
    match unsafe { target.as_ref() } {
        Some(version) if *version == known => Ok(known),
        Some(_) => Err(Error::VERSION_MISMATCH),
        None => Err(Error::INVALID_ARGUMENT),
    }
}

/// `NVML_ERROR_NOT_SUPPORTED` on a card without one of these features.
pub fn with_feature(device: &Description, wanted: u32) -> Nvml {
    if device.features & wanted == wanted { Ok(()) } else { Err(Error::NOT_SUPPORTED) }
}

/// Copies a text and its NUL into a caller's buffer, whole or not at all.
///
/// # Safety
/// `target` must be null or valid for writes of `capacity` bytes.
pub unsafe fn put_text(target: *mut c_char, capacity: u32, text: &str) -> Nvml {
    if target.is_null() {
        return Err(Error::INVALID_ARGUMENT);
    }
    if text.len() >= capacity as usize {
        return Err(Error::INSUFFICIENT_SIZE);
    }
    // SAFETY: text and NUL fit, by the comparison.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), target.cast(), text.len());
        *target.add(text.len()) = 0;
    }
    Ok(())
}

/// Exported functions.
macro_rules! exports {
    ($(fn $name:ident ($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                // SAFETY: what each body dereferences is what NVML's documentation makes the caller promise.
                $crate::door::enter(|| -> $crate::door::Nvml { unsafe { $body } })
            })
        }
    )*};
}

/// Functions that have one answer whatever they are asked: there is nothing of their kind.
macro_rules! answers {
    ($error:ident: $(|$name:ident)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name() {
                $crate::door::enter(|| $crate::session::with(|_| Err($crate::door::Error::$error)))
            })
        }
    )*};
}

/// A name that exists and is refused.
macro_rules! unsupported {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name() {
                $crate::session::note_unsupported(stringify!($name));
                $crate::door::Error::NOT_SUPPORTED.0
            })
        }
    };
}
