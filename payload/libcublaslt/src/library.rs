//! Handles, versions, names of statuses, logging.

use std::collections::HashSet;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;

use libcublas::door::{Blas, Status};
use libcublas::handles;

use crate::exports;

static HANDLES: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

fn with<T>(action: impl FnOnce(&mut HashSet<usize>) -> T) -> T {
    let mut handles = HANDLES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    action(handles.get_or_insert_with(HashSet::new))
}

/// Whether a handle is one: of ours, or of cuBLAS, which serves as well and which a library beside this one keeps.
pub fn check(handle: usize) -> Blas {
    if handle == 0 { Err(Status::NOT_INITIALIZED) } else { Ok(()) }
}

/// Functions whose result is a number of each major version.
macro_rules! versions {
    ($(fn $name:ident = $version:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> usize {
            $version
        }
    )*};
}

versions! {
    fn abi11_cublasLtGetVersion = 111_103;
    fn abi12_cublasLtGetVersion = 120_901;
    fn abi13_cublasLtGetVersion = 130_000;
    fn abi11_cublasLtGetCudartVersion = 11080;
    fn abi12_cublasLtGetCudartVersion = 12090;
    fn abi13_cublasLtGetCudartVersion = 13000;
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetStatusName(status: u32) -> *const c_char {
    handles::status_name(status)
}

#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetStatusString(status: u32) -> *const c_char {
    handles::status_name(status)
}

/// Sets of CPU instructions that the library had been told not to use; it is told for nothing here.
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtDisableCpuInstructionsSetMask(_mask: u32) -> u32 {
    0
}

exports! {
    fn cublasLtCreate(handle: *mut usize) {
        let target = handle.as_mut().ok_or(Status::INVALID_VALUE)?;
        handles::ensure_context()?;
        *target = Box::into_raw(Box::new(0u64)) as usize;
        with(|handles| handles.insert(*target));
        Ok(())
    }

    fn cublasLtDestroy(handle: usize) {
        if !with(|handles| handles.remove(&handle)) {
            return Err(Status::INVALID_VALUE);
        }
        // Made by `cublasLtCreate`, and taken out of the set just now.
        drop(Box::from_raw(handle as *mut u64));
        Ok(())
    }

    fn abi11_cublasLtGetProperty(kind: u32, value: *mut i32) {
        *value.as_mut().ok_or(Status::INVALID_VALUE)? = handles::property(111_103, kind)?;
        Ok(())
    }

    fn abi12_cublasLtGetProperty(kind: u32, value: *mut i32) {
        *value.as_mut().ok_or(Status::INVALID_VALUE)? = handles::property(120_901, kind)?;
        Ok(())
    }

    fn abi13_cublasLtGetProperty(kind: u32, value: *mut i32) {
        *value.as_mut().ok_or(Status::INVALID_VALUE)? = handles::property(130_000, kind)?;
        Ok(())
    }

    // Heuristics cost nothing here: nothing is cached.
    fn cublasLtHeuristicsCacheGetCapacity(capacity: *mut usize) {
        *capacity.as_mut().ok_or(Status::INVALID_VALUE)? = 0;
        Ok(())
    }

    fn cublasLtHeuristicsCacheSetCapacity(_capacity: usize) {
        Ok(())
    }

    // There is no log: what is refused is in the report.
    fn cublasLtLoggerSetCallback(_callback: *const c_void) {
        Ok(())
    }

    fn cublasLtLoggerSetFile(_file: *mut c_void) {
        Ok(())
    }

    fn cublasLtLoggerOpenFile(_path: *const c_char) {
        Ok(())
    }

    fn cublasLtLoggerSetLevel(_level: i32) {
        Ok(())
    }

    fn cublasLtLoggerSetMask(_mask: i32) {
        Ok(())
    }

    fn cublasLtLoggerForceDisable() {
        Ok(())
    }
}
