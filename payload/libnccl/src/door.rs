//! `ncclResult_t`, and what every exported function goes through.

use std::cell::RefCell;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use call_trace::Library;
use wire::control::Caller;

/// For traces.
pub static LIBRARY: Library = Library { caller: Caller::Collectives, result: result_name };

/// Names of `ncclResult_t` (nccl.h, names only).
fn result_name(code: u32) -> &'static str {
    const NAMES: [&str; 8] = [
        "ncclSuccess",
        "ncclUnhandledCudaError",
        "ncclSystemError",
        "ncclInternalError",
        "ncclInvalidArgument",
        "ncclInvalidUsage",
        "ncclRemoteError",
        "ncclInProgress",
    ];
    NAMES.get(code as usize).copied().unwrap_or_default()
}

/// An `ncclResult_t` that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub u32);

impl Failure {
    /// `ncclUnhandledCudaError`
    pub const CUDA: Failure = Failure(1);
    /// `ncclSystemError`
    pub const SYSTEM: Failure = Failure(2);
    /// `ncclInternalError`
    pub const INTERNAL: Failure = Failure(3);
    /// `ncclInvalidArgument`
    pub const INVALID_ARGUMENT: Failure = Failure(4);
    /// `ncclInvalidUsage`
    pub const INVALID_USAGE: Failure = Failure(5);
}

/// What an implementation returns.
pub type Nccl<T = ()> = Result<T, Failure>;

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs an implementation.
pub fn enter(implementation: impl FnOnce() -> Nccl) -> u32 {
    match catch_unwind(AssertUnwindSafe(implementation)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => failure.0,
        Err(_) => Failure::INTERNAL.0,
    }
}

/// A failure with a text for `ncclGetLastError`.
pub fn fail<T>(failure: Failure, text: impl Into<Vec<u8>>) -> Nccl<T> {
    let text = CString::new(text).unwrap_or_default();
    LAST.with_borrow_mut(|last| *last = text);
    Err(failure)
}

/// The thread's last text; it lives until the next failure.
pub fn last_text() -> *const std::ffi::c_char {
    LAST.with_borrow(|last| last.as_ptr())
}

/// Where a function writes its answer.
///
/// # Safety
/// `pointer` must be null or valid for writes of `T`.
pub unsafe fn out<'a, T>(pointer: *mut T) -> Nccl<&'a mut T> {
    // SAFETY: the caller's promise.
    match unsafe { pointer.as_mut() } {
        Some(target) => Ok(target),
        None => fail(Failure::INVALID_ARGUMENT, "a place for the answer is NULL"),
    }
}

/// Exported functions, each with its twin for profilers.
macro_rules! exports {
    ($(fn $name:ident |$twin:ident ($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                // SAFETY: what each body dereferences is what NCCL's documentation makes the caller promise.
                $crate::door::enter(|| -> $crate::door::Nccl { unsafe { $body } })
            })
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $twin($($argument: $type),*) -> u32 {
            // SAFETY: the same function.
            unsafe { $name($($argument),*) }
        }
    )*};
}

/// A name that exists and is refused.
macro_rules! unsupported {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name() {
                $crate::driver::note_unsupported(concat!(stringify!($name), "\0"));
                $crate::door::enter(|| {
                    $crate::door::fail(
                        $crate::door::Failure::INVALID_USAGE,
                        concat!(stringify!($name), " is not supported by vgpu-run"),
                    )
                })
            })
        }
    };
}
