//! cublasCreate and its kin.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;

use crate::door::{Blas, Status};
use crate::driver;

/// What a handle holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// `cudaStream_t`
    pub stream: usize,
    /// 1: scalars are in device memory.
    pub pointer_mode: u32,
    math_mode: u32,
    atomics_mode: u32,
}

static HANDLES: Mutex<Option<HashMap<usize, State>>> = Mutex::new(None);

fn with<T>(handle: usize, action: impl FnOnce(&mut State) -> T) -> Blas<T> {
    let mut handles = HANDLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    handles.get_or_insert_with(HashMap::new).get_mut(&handle).map(action).ok_or(Status::NOT_INITIALIZED)
}

/// The state of a handle.
pub fn state(handle: usize) -> Blas<State> {
    with(handle, |state| *state)
}

fn out<'a, T>(pointer: *mut T) -> Blas<&'a mut T> {
    // SAFETY: the exported functions' callers promise null or a place.
    unsafe { pointer.as_mut() }.ok_or(Status::INVALID_VALUE)
}

/// Status numbers, names (NUL-terminated).
const STATUSES: &[(u32, &str)] = &[
    (0, "CUBLAS_STATUS_SUCCESS\0"),
    (1, "CUBLAS_STATUS_NOT_INITIALIZED\0"),
    (3, "CUBLAS_STATUS_ALLOC_FAILED\0"),
    (7, "CUBLAS_STATUS_INVALID_VALUE\0"),
    (8, "CUBLAS_STATUS_ARCH_MISMATCH\0"),
    (11, "CUBLAS_STATUS_MAPPING_ERROR\0"),
    (13, "CUBLAS_STATUS_EXECUTION_FAILED\0"),
    (14, "CUBLAS_STATUS_INTERNAL_ERROR\0"),
    (15, "CUBLAS_STATUS_NOT_SUPPORTED\0"),
    (16, "CUBLAS_STATUS_LICENSE_ERROR\0"),
];

fn status_name(status: u32) -> *const c_char {
    let found = STATUSES.iter().find(|(number, _)| *number == status);
    found.map_or("unknown status\0", |(_, name)| name).as_ptr().cast()
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasGetStatusName(status: u32) -> *const c_char {
    status_name(status)
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasGetStatusString(status: u32) -> *const c_char {
    status_name(status)
}

exports! {
    fn cublasCreate_v2(handle: *mut usize) {
        let target = out(handle)?;
        driver::table().ok_or(Status::NOT_INITIALIZED)?;
        let mut handles = HANDLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let handles = handles.get_or_insert_with(HashMap::new);
        // Numbers that no pointer has, never used again.
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0x10);
        *target = NEXT.fetch_add(0x10, std::sync::atomic::Ordering::Relaxed);
        handles.insert(*target, State::default());
        Ok(())
    }

    fn cublasDestroy_v2(handle: usize) {
        state(handle)?;
        let mut handles = HANDLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        handles.get_or_insert_with(HashMap::new).remove(&handle);
        Ok(())
    }

    fn cublasSetStream_v2(handle: usize, stream: usize) {
        with(handle, |state| state.stream = stream)
    }

    fn cublasGetStream_v2(handle: usize, stream: *mut usize) {
        *out(stream)? = state(handle)?.stream;
        Ok(())
    }

    fn cublasSetPointerMode_v2(handle: usize, mode: u32) {
        with(handle, |state| state.pointer_mode = mode)
    }

    fn cublasGetPointerMode_v2(handle: usize, mode: *mut u32) {
        *out(mode)? = state(handle)?.pointer_mode;
        Ok(())
    }

    fn cublasSetMathMode(handle: usize, mode: u32) {
        with(handle, |state| state.math_mode = mode)
    }

    fn cublasGetMathMode(handle: usize, mode: *mut u32) {
        *out(mode)? = state(handle)?.math_mode;
        Ok(())
    }

    fn cublasSetAtomicsMode(handle: usize, mode: u32) {
        with(handle, |state| state.atomics_mode = mode)
    }

    fn cublasGetAtomicsMode(handle: usize, mode: *mut u32) {
        *out(mode)? = state(handle)?.atomics_mode;
        Ok(())
    }

    fn cublasSetWorkspace_v2(handle: usize, _workspace: *mut c_void, _bytes: usize) {
        state(handle).map(drop)
    }

    fn abi11_cublasGetVersion_v2(_handle: usize, version: *mut i32) {
        *out(version)? = 111103;
        Ok(())
    }

    fn abi12_cublasGetVersion_v2(_handle: usize, version: *mut i32) {
        *out(version)? = 120901;
        Ok(())
    }
}
