//! What every exported function goes through: the thread's last error, and panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use call_trace::Library;
use wire::control::Caller;

/// For traces.
pub static LIBRARY: Library = Library { caller: Caller::Runtime, result: crate::errors::name };

/// A `cudaError_t` that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(pub u32);

/// What an implementation returns.
pub type Runtime<T = ()> = Result<T, Error>;

impl Error {
    /// `cudaErrorInvalidValue`
    pub const INVALID_VALUE: Error = Error(1);
    /// `cudaErrorInvalidSymbol`
    pub const INVALID_SYMBOL: Error = Error(13);
    /// `cudaErrorInvalidTexture`
    pub const INVALID_TEXTURE: Error = Error(18);
    /// `cudaErrorMissingConfiguration`
    pub const MISSING_CONFIGURATION: Error = Error(52);
    /// `cudaErrorInvalidDeviceFunction`
    pub const INVALID_DEVICE_FUNCTION: Error = Error(98);
    /// `cudaErrorNoDevice`
    pub const NO_DEVICE: Error = Error(100);
    /// `cudaErrorInvalidDevice`
    pub const INVALID_DEVICE: Error = Error(101);
    /// `cudaErrorSharedObjectInitFailed`
    pub const LIBRARY_MISSING: Error = Error(303);
    /// `cudaErrorInsufficientDriver`
    pub const INSUFFICIENT_DRIVER: Error = Error(35);
    /// `cudaErrorNotReady`
    pub const NOT_READY: Error = Error(600);
    /// `cudaErrorNotSupported`
    pub const NOT_SUPPORTED: Error = Error(801);
    /// `cudaErrorUnknown`
    pub const UNKNOWN: Error = Error(999);
}

/// A driver result as the runtime tells it. The numbers are the same, with one exception that programs meet.
pub fn result(code: u32) -> Runtime {
    const CONTEXT_IS_DESTROYED: u32 = 709;
    match code {
        0 => Ok(()),
        // The runtime has no word for it; its contexts come again by themselves.
        CONTEXT_IS_DESTROYED => Err(Error(4)),
        code => Err(Error(code)),
    }
}

thread_local! {
    static LAST: Cell<u32> = const { Cell::new(0) };
}

/// The thread's last error; `reset` forgets it.
pub fn last_error(reset: bool) -> u32 {
    LAST.with(|last| if reset { last.replace(0) } else { last.get() })
}

/// Keeps an error of a function that has no result of its own.
pub fn set_last_error(error: Error) {
    LAST.with(|last| last.set(error.0));
}

/// Runs an implementation and keeps its error.
pub fn enter(implementation: impl FnOnce() -> Runtime) -> u32 {
    match catch_unwind(AssertUnwindSafe(implementation)).unwrap_or(Err(Error::UNKNOWN)) {
        Ok(()) => 0,
        Err(error) => {
            // "Not ready" is an answer, not a failure.
            if error != Error::NOT_READY {
                LAST.with(|last| last.set(error.0));
            }
            error.0
        }
    }
}

/// Where a function writes its answer.
///
/// # Safety
/// `pointer` must be null or valid for writes of `T`.
pub unsafe fn out<'a, T>(pointer: *mut T) -> Runtime<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(Error::INVALID_VALUE)
}

/// A structure that the caller passes by address.
///
/// # Safety
/// `pointer` must be null or valid for reads of `T`.
pub unsafe fn input<'a, T>(pointer: *const T) -> Runtime<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(Error::INVALID_VALUE)
}

/// Exported functions; `|name_ptsz with stream` as in `libcuda`: the twin for callers with per-thread default streams.
macro_rules! exports {
    () => {};
    (fn $name:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                // SAFETY: what each body dereferences is what the runtime API's documentation makes the caller promise.
                $crate::door::enter(|| -> $crate::door::Runtime { unsafe { $body } })
            })
        }
        exports! { $($rest)* }
    };
    (fn $name:ident |$twin:ident with $stream:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        exports! { fn $name($($argument: $type),*) $body }
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $twin($($argument: $type),*) -> u32 {
            let $stream = $crate::streams::per_thread($stream);
            // SAFETY: the same function with the stream made explicit.
            unsafe { $name($($argument),*) }
        }
        exports! { $($rest)* }
    };
    (fn $name:ident |$twin:ident as $stream:ident ($($argument:ident: $type:ty),* $(,)?) $body:block $($rest:tt)*) => {
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                let $stream: $crate::streams::Stream = std::ptr::null_mut();
                // SAFETY: as in the first form.
                $crate::door::enter(|| -> $crate::door::Runtime { unsafe { $body } })
            })
        }
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $twin($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $twin($($argument: $type),*) {
                let $stream = $crate::streams::per_thread(std::ptr::null_mut());
                // SAFETY: as in the first form.
                $crate::door::enter(|| -> $crate::door::Runtime { unsafe { $body } })
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
                $crate::door::enter(|| {
                    $crate::driver::note_unsupported(concat!(stringify!($name), "\0"));
                    Err($crate::door::Error::NOT_SUPPORTED)
                })
            })
        }
    };
}
