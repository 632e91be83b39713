//! What every exported function goes through.

use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use call_trace::Library;
use driver::{CuResult, Cuda};
use wire::control::Caller;

/// For traces.
pub static LIBRARY: Library = Library { caller: Caller::Driver, result: result_name };

fn result_name(code: u32) -> &'static str {
    api::result::describe(code).map_or("", |(name, _)| name.trim_end_matches('\0'))
}

/// Runs the implementation of `name`.
pub fn enter(name: &str, implementation: impl FnOnce() -> Cuda) -> u32 {
    // SAFETY: this thread's own variable.
    let errno = unsafe { *libc::__errno_location() };
    let result = catch_unwind(AssertUnwindSafe(implementation)).unwrap_or_else(|_| {
        driver::note::once(wire::control::NoteKind::Fault, 999, &format!("{name} panicked in the payload"));
        Err(CuResult::UNKNOWN)
    });
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    CuResult::code(result)
}

/// Where a function writes its answer.
///
/// # Safety
/// `pointer` must be null or valid for writes of `T`.
pub unsafe fn out<'a, T>(pointer: *mut T) -> Cuda<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(CuResult::INVALID_VALUE)
}

/// Writes where the caller wants to know, and only there.
///
/// # Safety
/// `pointer` must be null or valid for writes of `T`.
pub unsafe fn maybe<T>(pointer: *mut T, value: T) {
    // SAFETY: the caller's promise.
    if let Some(target) = unsafe { pointer.as_mut() } {
        *target = value;
    }
}

/// A structure that the caller passes by address.
///
/// # Safety
/// `pointer` must be null or valid for reads of `T`.
pub unsafe fn input<'a, T>(pointer: *const T) -> Cuda<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(CuResult::INVALID_VALUE)
}

/// A list that the caller passes by address and length; null means empty.
///
/// # Safety
/// `pointer` must be null or valid for reads of `length` elements.
pub unsafe fn list<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    if pointer.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(pointer, length) } }
}

/// A name that the caller passes.
///
/// # Safety
/// `pointer` must be null or a NUL-terminated string.
pub unsafe fn text<'a>(pointer: *const c_char) -> Cuda<&'a str> {
    if pointer.is_null() {
        return Err(CuResult::INVALID_VALUE);
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|_| CuResult::INVALID_VALUE)
}

/// Copies a text into a caller's buffer, cut and NUL-terminated.
///
/// # Safety
/// `target` must be null or valid for writes of `capacity` bytes.
pub unsafe fn put_text(target: *mut c_char, capacity: i32, text: &str) -> Cuda {
    if target.is_null() || capacity <= 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let length = text.len().min(capacity as usize - 1);
    // SAFETY: at most `capacity` bytes, the NUL included.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), target.cast(), length);
        *target.add(length) = 0;
    }
    Ok(())
}

/// Exported functions. Three forms:
///
/// - `fn cuName(…) { … }`
/// - `fn cuName |cuName_ptsz with stream (…) { … }`: the second name is for callers compiled with per-thread default streams.
/// - `fn cuName |cuName_ptds as per_thread (…) { … }`: the body sees a `bool` of that name.
macro_rules! exports {
    () => {};
    (fn $name:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                // SAFETY: what each body dereferences is what the driver API's documentation makes the caller promise.
                $crate::door::enter(stringify!($name), || -> driver::Cuda { unsafe { $body } })
            })
        }
        exports! { $($rest)* }
    };
    (fn $name:ident |$twin:ident with $stream:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        exports! { fn $name($($argument: $type),*) $body }
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $twin($($argument: $type),*) -> u32 {
            let $stream = driver::stream::per_thread($stream as usize) as *mut std::ffi::c_void;
            // SAFETY: the same function with the stream made explicit.
            unsafe { $name($($argument),*) }
        }
        exports! { $($rest)* }
    };
    (fn $name:ident |$twin:ident as $flag:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                let $flag = false;
                // SAFETY: as in the first form.
                $crate::door::enter(stringify!($name), || -> driver::Cuda { unsafe { $body } })
            })
        }
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $twin($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $twin($($argument: $type),*) {
                let $flag = true;
                // SAFETY: as in the first form.
                $crate::door::enter(stringify!($twin), || -> driver::Cuda { unsafe { $body } })
            })
        }
        exports! { $($rest)* }
    };
}

/// A name that exists and is refused.
macro_rules! unsupported {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name() {
                driver::note::unsupported(stringify!($name));
                driver::CuResult::NOT_SUPPORTED.0
            })
        }
    };
}
