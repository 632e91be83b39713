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
    sm_count_target: i32,
    emulation: u32,
    /// Memory of the driver's for one result, once there was need of it.
    scratch: u64,
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

/// Memory of the driver's that host and engine see, for one result of a handle's.
pub fn scratch(handle: usize) -> Blas<u64> {
    const LARGEST_ELEMENT: usize = 16;
    match state(handle)?.scratch {
        0 => {
            let driver = driver::get().ok_or(Status::NOT_INITIALIZED)?;
            let mut place = 0;
            // SAFETY: a place of this frame.
            if unsafe { (driver.allocate_host)(&mut place, LARGEST_ELEMENT, 0) } != 0 {
                return Err(Status::ALLOC_FAILED);
            }
            with(handle, |state| state.scratch = place)?;
            Ok(place)
        }
        place => Ok(place),
    }
}

/// A handle wants a context, like the real one: that of the first device where the thread has none.
pub fn ensure_context() -> Blas {
    let driver = driver::get().ok_or(Status::NOT_INITIALIZED)?;
    let mut context = 0;
    // SAFETY: places of this frame.
    let results = unsafe {
        if (driver.context)(&mut context) == 0 && context != 0 {
            return Ok(());
        }
        [(driver.init)(0), (driver.retain_primary)(&mut context, 0), (driver.set_context)(context)]
    };
    if results == [0; 3] { Ok(()) } else { Err(Status::NOT_INITIALIZED) }
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

/// Name of a status, for traces; empty for what is none.
pub fn name(status: u32) -> &'static str {
    let found = STATUSES.iter().find(|(number, _)| *number == status);
    found.map_or("", |(_, name)| name.trim_end_matches('\0'))
}

/// Name of a status.
pub fn status_name(status: u32) -> *const c_char {
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

/// Major version × 10000 + minor × 100 + patch.
const VERSION_11: i32 = 111_103;
const VERSION_12: i32 = 120_901;
const VERSION_13: i32 = 130_000;

/// `libraryPropertyType`: major, minor, patch.
pub fn property(version: i32, kind: u32) -> Blas<i32> {
    match kind {
        0 => Ok(version / 10_000),
        1 => Ok(version / 100 % 100),
        2 => Ok(version % 100),
        _ => Err(Status::INVALID_VALUE),
    }
}

/// The CUDA runtime that the library was made with.
macro_rules! runtime_versions {
    ($(fn $name:ident = $version:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> usize {
            $version
        }
    )*};
}

runtime_versions! {
    fn abi11_cublasGetCudartVersion = 11080;
    fn abi12_cublasGetCudartVersion = 12090;
    fn abi13_cublasGetCudartVersion = 13000;
}

exports! {
    fn cublasCreate_v2(handle: *mut usize) {
        let target = out(handle)?;
        ensure_context()?;
        let mut handles = HANDLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let handles = handles.get_or_insert_with(HashMap::new);
        // Numbers that no pointer has, never used again.
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0x10);
        *target = NEXT.fetch_add(0x10, std::sync::atomic::Ordering::Relaxed);
        handles.insert(*target, State::default());
        Ok(())
    }

    fn cublasDestroy_v2(handle: usize) {
        let scratch = state(handle)?.scratch;
        if let (Some(driver), true) = (driver::get(), scratch != 0) {
            // SAFETY: memory that `scratch` has got.
            unsafe { (driver.free_host)(scratch) };
        }
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

    fn cublasSetSmCountTarget(handle: usize, count: i32) {
        with(handle, |state| state.sm_count_target = count)
    }

    fn cublasGetSmCountTarget(handle: usize, count: *mut i32) {
        *out(count)? = state(handle)?.sm_count_target;
        Ok(())
    }

    fn cublasSetEmulationStrategy(handle: usize, strategy: u32) {
        with(handle, |state| state.emulation = strategy)
    }

    fn cublasGetEmulationStrategy(handle: usize, strategy: *mut u32) {
        *out(strategy)? = state(handle)?.emulation;
        Ok(())
    }

    fn cublasLoggerConfigure(_on: i32, _to_output: i32, _to_error: i32, _file: *const c_char) {
        Ok(())
    }

    fn cublasSetLoggerCallback(_callback: *const c_void) {
        Ok(())
    }

    fn cublasGetLoggerCallback(callback: *mut *const c_void) {
        *out(callback)? = std::ptr::null();
        Ok(())
    }

    fn abi11_cublasGetProperty(kind: u32, value: *mut i32) {
        *out(value)? = property(VERSION_11, kind)?;
        Ok(())
    }

    fn abi12_cublasGetProperty(kind: u32, value: *mut i32) {
        *out(value)? = property(VERSION_12, kind)?;
        Ok(())
    }

    fn abi13_cublasGetProperty(kind: u32, value: *mut i32) {
        *out(value)? = property(VERSION_13, kind)?;
        Ok(())
    }

    fn abi13_cublasGetVersion_v2(_handle: usize, version: *mut i32) {
        *out(version)? = VERSION_13;
        Ok(())
    }

    fn abi11_cublasGetVersion_v2(_handle: usize, version: *mut i32) {
        *out(version)? = VERSION_11;
        Ok(())
    }

    fn abi12_cublasGetVersion_v2(_handle: usize, version: *mut i32) {
        *out(version)? = VERSION_12;
        Ok(())
    }
}
