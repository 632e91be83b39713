//! `cublasStatus_t`, and what every exported function goes through.

use std::panic::{AssertUnwindSafe, catch_unwind};

use call_trace::Library;
use wire::control::Caller;

/// For traces.
pub static LIBRARY: Library = Library { caller: Caller::Blas, result: crate::handles::name };

/// A `cublasStatus_t` that is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// `CUBLAS_STATUS_NOT_INITIALIZED`
    pub const NOT_INITIALIZED: Status = Status(1);
    /// `CUBLAS_STATUS_ALLOC_FAILED`
    pub const ALLOC_FAILED: Status = Status(3);
    /// `CUBLAS_STATUS_INVALID_VALUE`
    pub const INVALID_VALUE: Status = Status(7);
    /// `CUBLAS_STATUS_MAPPING_ERROR`
    pub const MAPPING_ERROR: Status = Status(11);
    /// `CUBLAS_STATUS_EXECUTION_FAILED`
    pub const EXECUTION_FAILED: Status = Status(13);
    /// `CUBLAS_STATUS_INTERNAL_ERROR`
    pub const INTERNAL_ERROR: Status = Status(14);
    /// `CUBLAS_STATUS_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: Status = Status(15);
}

/// What an implementation returns.
pub type Blas<T = ()> = Result<T, Status>;

/// Runs an implementation.
pub fn enter(implementation: impl FnOnce() -> Blas) -> u32 {
    match catch_unwind(AssertUnwindSafe(implementation)) {
        Ok(Ok(())) => 0,
        Ok(Err(status)) => status.0,
        Err(_) => Status::INTERNAL_ERROR.0,
    }
}

/// Exported functions.
#[macro_export]
macro_rules! exports {
    ($(fn $name:ident ($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a body is an unsafe function's, of this crate or cuBLASLt's")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name($($argument: $type),*) {
                // SAFETY: what each body dereferences is what cuBLAS's documentation makes the caller promise.
                $crate::door::enter(|| -> $crate::door::Blas { unsafe { $body } })
            })
        }
    )*};
}

/// A name that exists and is refused.
#[macro_export]
macro_rules! unsupported {
    ($name:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> u32 {
            call_trace::through!($crate::door::LIBRARY, $name() {
                $crate::driver::note_unsupported(concat!(stringify!($name), "\0"));
                $crate::door::Status::NOT_SUPPORTED.0
            })
        }
    };
}
