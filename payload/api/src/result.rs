//! `CUresult`: numbers, names, texts.

/// A `CUresult` that is an error; `CUDA_SUCCESS` is `Ok(())`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CuResult(pub u32);

/// What an implementation of a driver function returns.
pub type Cuda<T = ()> = Result<T, CuResult>;

macro_rules! results {
    ($($number:literal $name:ident $constant:ident $text:literal;)*) => {
        impl CuResult {
            $(#[doc = concat!("`CUDA_ERROR_", stringify!($constant), "`")] pub const $constant: CuResult = CuResult($number);)*
        }
        /// Name and text of a result, both NUL-terminated.
        pub fn describe(number: u32) -> Option<(&'static str, &'static str)> {
            match number {
                0 => Some(("CUDA_SUCCESS\0", "no error\0")),
                $($number => Some((concat!(stringify!($name), "\0"), concat!($text, "\0"))),)*
                _ => None,
            }
        }
    };
}

results! {
    1 CUDA_ERROR_INVALID_VALUE INVALID_VALUE "invalid argument";
    2 CUDA_ERROR_OUT_OF_MEMORY OUT_OF_MEMORY "out of memory";
    3 CUDA_ERROR_NOT_INITIALIZED NOT_INITIALIZED "initialization error";
    4 CUDA_ERROR_DEINITIALIZED DEINITIALIZED "driver shutting down";
    5 CUDA_ERROR_PROFILER_DISABLED PROFILER_DISABLED "profiler disabled";
    34 CUDA_ERROR_STUB_LIBRARY STUB_LIBRARY "stub library";
    46 CUDA_ERROR_DEVICE_UNAVAILABLE DEVICE_UNAVAILABLE "CUDA-capable device(s) is/are busy or unavailable";
    100 CUDA_ERROR_NO_DEVICE NO_DEVICE "no CUDA-capable device is detected";
    101 CUDA_ERROR_INVALID_DEVICE INVALID_DEVICE "invalid device ordinal";
    200 CUDA_ERROR_INVALID_IMAGE INVALID_IMAGE "device kernel image is invalid";
    201 CUDA_ERROR_INVALID_CONTEXT INVALID_CONTEXT "invalid device context";
    205 CUDA_ERROR_MAP_FAILED MAP_FAILED "mapping failed";
    206 CUDA_ERROR_UNMAP_FAILED UNMAP_FAILED "unmapping failed";
    208 CUDA_ERROR_ALREADY_MAPPED ALREADY_MAPPED "already mapped";
    209 CUDA_ERROR_NO_BINARY_FOR_GPU NO_BINARY_FOR_GPU "no kernel image is available for execution on the device";
    210 CUDA_ERROR_ALREADY_ACQUIRED ALREADY_ACQUIRED "already acquired";
    214 CUDA_ERROR_ECC_UNCORRECTABLE ECC_UNCORRECTABLE "uncorrectable ECC error encountered";
    216 CUDA_ERROR_CONTEXT_ALREADY_IN_USE CONTEXT_ALREADY_IN_USE "context already in use";
    217 CUDA_ERROR_PEER_ACCESS_UNSUPPORTED PEER_ACCESS_UNSUPPORTED "peer access is not supported between these two devices";
    218 CUDA_ERROR_INVALID_PTX INVALID_PTX "a PTX compilation failed";
    221 CUDA_ERROR_JIT_COMPILER_NOT_FOUND JIT_COMPILER_NOT_FOUND "PTX compiler library not found";
    222 CUDA_ERROR_UNSUPPORTED_PTX_VERSION UNSUPPORTED_PTX_VERSION "unsupported PTX version";
    300 CUDA_ERROR_INVALID_SOURCE INVALID_SOURCE "device kernel source is invalid";
    301 CUDA_ERROR_FILE_NOT_FOUND FILE_NOT_FOUND "file not found";
    302 CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND SHARED_OBJECT_SYMBOL_NOT_FOUND "shared object symbol not found";
    303 CUDA_ERROR_SHARED_OBJECT_INIT_FAILED SHARED_OBJECT_INIT_FAILED "shared object initialization failed";
    304 CUDA_ERROR_OPERATING_SYSTEM OPERATING_SYSTEM "OS call failed or operation not supported on this OS";
    400 CUDA_ERROR_INVALID_HANDLE INVALID_HANDLE "invalid resource handle";
    401 CUDA_ERROR_ILLEGAL_STATE ILLEGAL_STATE "illegal state";
    500 CUDA_ERROR_NOT_FOUND NOT_FOUND "named symbol not found";
    600 CUDA_ERROR_NOT_READY NOT_READY "device not ready";
    700 CUDA_ERROR_ILLEGAL_ADDRESS ILLEGAL_ADDRESS "an illegal memory access was encountered";
    701 CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES LAUNCH_OUT_OF_RESOURCES "too many resources requested for launch";
    702 CUDA_ERROR_LAUNCH_TIMEOUT LAUNCH_TIMEOUT "the launch timed out and was terminated";
    704 CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED PEER_ACCESS_ALREADY_ENABLED "peer access is already enabled";
    705 CUDA_ERROR_PEER_ACCESS_NOT_ENABLED PEER_ACCESS_NOT_ENABLED "peer access has not been enabled";
    708 CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE PRIMARY_CONTEXT_ACTIVE "cannot set while device is active in this process";
    709 CUDA_ERROR_CONTEXT_IS_DESTROYED CONTEXT_IS_DESTROYED "context is destroyed";
    710 CUDA_ERROR_ASSERT ASSERT "device-side assert triggered";
    712 CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED HOST_MEMORY_ALREADY_REGISTERED "part or all of the requested memory range is already mapped";
    713 CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED HOST_MEMORY_NOT_REGISTERED "pointer does not correspond to a registered memory region";
    714 CUDA_ERROR_HARDWARE_STACK_ERROR HARDWARE_STACK_ERROR "hardware stack error";
    715 CUDA_ERROR_ILLEGAL_INSTRUCTION ILLEGAL_INSTRUCTION "an illegal instruction was encountered";
    716 CUDA_ERROR_MISALIGNED_ADDRESS MISALIGNED_ADDRESS "misaligned address";
    717 CUDA_ERROR_INVALID_ADDRESS_SPACE INVALID_ADDRESS_SPACE "operation not supported on global/shared address space";
    718 CUDA_ERROR_INVALID_PC INVALID_PC "invalid program counter";
    719 CUDA_ERROR_LAUNCH_FAILED LAUNCH_FAILED "unspecified launch failure";
    720 CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE COOPERATIVE_LAUNCH_TOO_LARGE "too many blocks in cooperative launch";
    800 CUDA_ERROR_NOT_PERMITTED NOT_PERMITTED "operation not permitted";
    801 CUDA_ERROR_NOT_SUPPORTED NOT_SUPPORTED "operation not supported";
    803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH SYSTEM_DRIVER_MISMATCH "system has unsupported display driver / cuda driver combination";
    900 CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED STREAM_CAPTURE_UNSUPPORTED "operation not permitted when stream is capturing";
    901 CUDA_ERROR_STREAM_CAPTURE_INVALIDATED STREAM_CAPTURE_INVALIDATED "operation failed due to a previous error during capture";
    902 CUDA_ERROR_STREAM_CAPTURE_MERGE STREAM_CAPTURE_MERGE "operation would result in a merge of separate capture sequences";
    903 CUDA_ERROR_STREAM_CAPTURE_UNMATCHED STREAM_CAPTURE_UNMATCHED "capture was not ended in the same stream as it began";
    904 CUDA_ERROR_STREAM_CAPTURE_UNJOINED STREAM_CAPTURE_UNJOINED "capturing stream has unjoined work";
    905 CUDA_ERROR_STREAM_CAPTURE_ISOLATION STREAM_CAPTURE_ISOLATION "dependency created on uncaptured work in another stream";
    906 CUDA_ERROR_STREAM_CAPTURE_IMPLICIT STREAM_CAPTURE_IMPLICIT "operation would make the legacy stream depend on a capturing blocking stream";
    907 CUDA_ERROR_CAPTURED_EVENT CAPTURED_EVENT "operation not permitted on an event last recorded in a capturing stream";
    908 CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD STREAM_CAPTURE_WRONG_THREAD "attempt to terminate a thread-local capture sequence from another thread";
    909 CUDA_ERROR_TIMEOUT TIMEOUT "wait operation timed out";
    910 CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE GRAPH_EXEC_UPDATE_FAILURE "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update";
    912 CUDA_ERROR_INVALID_CLUSTER_SIZE INVALID_CLUSTER_SIZE "cluster misconfiguration";
    999 CUDA_ERROR_UNKNOWN UNKNOWN "unknown error";
}

impl CuResult {
    /// The result as C gets it.
    pub fn code(result: Cuda) -> u32 {
        match result {
            Ok(()) => 0,
            Err(error) => error.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_constants_and_end_in_nul() {
        let (name, text) = describe(CuResult::NOT_SUPPORTED.0).expect("known");
        assert_eq!((name, text), ("CUDA_ERROR_NOT_SUPPORTED\0", "operation not supported\0"));
        assert!(describe(12345).is_none());
    }
}
