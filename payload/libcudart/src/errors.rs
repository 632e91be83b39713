//! cudaGetLastError, cudaGetErrorName, cudaGetErrorString, versions, profiler.

use std::ffi::{CStr, c_char, c_void};

use crate::door::*;
use crate::driver::{self, call};

/// Every `cudaError_t` of the headers of CUDA 11.8, 12.9 and 13.5: number, name, text.
const NAMES: &[(u32, &CStr, &CStr)] = &[
    (0, c"cudaSuccess", c"no error"),
    (1, c"cudaErrorInvalidValue", c"invalid argument"),
    (2, c"cudaErrorMemoryAllocation", c"out of memory"),
    (3, c"cudaErrorInitializationError", c"initialization error"),
    (4, c"cudaErrorCudartUnloading", c"driver shutting down"),
    (5, c"cudaErrorProfilerDisabled", c"profiler disabled"),
    (6, c"cudaErrorProfilerNotInitialized", c"profiler not initialized"),
    (7, c"cudaErrorProfilerAlreadyStarted", c"profiler already started"),
    (8, c"cudaErrorProfilerAlreadyStopped", c"profiler already stopped"),
    (9, c"cudaErrorInvalidConfiguration", c"invalid configuration argument"),
    (10, c"cudaErrorVersionTranslation", c"version translation"),
    (12, c"cudaErrorInvalidPitchValue", c"invalid pitch value"),
    (13, c"cudaErrorInvalidSymbol", c"invalid device symbol"),
    (16, c"cudaErrorInvalidHostPointer", c"invalid host pointer"),
    (17, c"cudaErrorInvalidDevicePointer", c"invalid device pointer"),
    (18, c"cudaErrorInvalidTexture", c"invalid texture"),
    (19, c"cudaErrorInvalidTextureBinding", c"invalid texture binding"),
    (20, c"cudaErrorInvalidChannelDescriptor", c"invalid channel descriptor"),
    (21, c"cudaErrorInvalidMemcpyDirection", c"invalid memcpy direction"),
    (22, c"cudaErrorAddressOfConstant", c"address of constant"),
    (23, c"cudaErrorTextureFetchFailed", c"texture fetch failed"),
    (24, c"cudaErrorTextureNotBound", c"texture not bound"),
    (25, c"cudaErrorSynchronizationError", c"synchronization error"),
    (26, c"cudaErrorInvalidFilterSetting", c"invalid filter setting"),
    (27, c"cudaErrorInvalidNormSetting", c"invalid norm setting"),
    (28, c"cudaErrorMixedDeviceExecution", c"mixed device execution"),
    (31, c"cudaErrorNotYetImplemented", c"not yet implemented"),
    (32, c"cudaErrorMemoryValueTooLarge", c"memory value too large"),
    (34, c"cudaErrorStubLibrary", c"stub library"),
    (35, c"cudaErrorInsufficientDriver", c"CUDA driver version is insufficient for CUDA runtime version"),
    (36, c"cudaErrorCallRequiresNewerDriver", c"call requires newer driver"),
    (37, c"cudaErrorInvalidSurface", c"invalid surface"),
    (43, c"cudaErrorDuplicateVariableName", c"duplicate variable name"),
    (44, c"cudaErrorDuplicateTextureName", c"duplicate texture name"),
    (45, c"cudaErrorDuplicateSurfaceName", c"duplicate surface name"),
    (46, c"cudaErrorDevicesUnavailable", c"CUDA-capable device(s) is/are busy or unavailable"),
    (49, c"cudaErrorIncompatibleDriverContext", c"incompatible driver context"),
    (52, c"cudaErrorMissingConfiguration", c"__global__ function call is not configured"),
    (53, c"cudaErrorPriorLaunchFailure", c"prior launch failure"),
    (65, c"cudaErrorLaunchMaxDepthExceeded", c"launch max depth exceeded"),
    (66, c"cudaErrorLaunchFileScopedTex", c"launch file scoped texture"),
    (67, c"cudaErrorLaunchFileScopedSurf", c"launch file scoped surface"),
    (68, c"cudaErrorSyncDepthExceeded", c"sync depth exceeded"),
    (69, c"cudaErrorLaunchPendingCountExceeded", c"launch pending count exceeded"),
    (98, c"cudaErrorInvalidDeviceFunction", c"invalid device function"),
    (100, c"cudaErrorNoDevice", c"no CUDA-capable device is detected"),
    (101, c"cudaErrorInvalidDevice", c"invalid device ordinal"),
    (102, c"cudaErrorDeviceNotLicensed", c"device not licensed"),
    (103, c"cudaErrorSoftwareValidityNotEstablished", c"software validity not established"),
    (127, c"cudaErrorStartupFailure", c"startup failure"),
    (200, c"cudaErrorInvalidKernelImage", c"device kernel image is invalid"),
    (201, c"cudaErrorDeviceUninitialized", c"invalid device context"),
    (205, c"cudaErrorMapBufferObjectFailed", c"mapping failed"),
    (206, c"cudaErrorUnmapBufferObjectFailed", c"unmapping failed"),
    (207, c"cudaErrorArrayIsMapped", c"array is mapped"),
    (208, c"cudaErrorAlreadyMapped", c"already mapped"),
    (209, c"cudaErrorNoKernelImageForDevice", c"no kernel image is available for execution on the device"),
    (210, c"cudaErrorAlreadyAcquired", c"already acquired"),
    (211, c"cudaErrorNotMapped", c"not mapped"),
    (212, c"cudaErrorNotMappedAsArray", c"not mapped as array"),
    (213, c"cudaErrorNotMappedAsPointer", c"not mapped as pointer"),
    (214, c"cudaErrorECCUncorrectable", c"uncorrectable ECC error encountered"),
    (215, c"cudaErrorUnsupportedLimit", c"unsupported limit"),
    (216, c"cudaErrorDeviceAlreadyInUse", c"context already in use"),
    (217, c"cudaErrorPeerAccessUnsupported", c"peer access is not supported between these two devices"),
    (218, c"cudaErrorInvalidPtx", c"a PTX JIT compilation failed"),
    (219, c"cudaErrorInvalidGraphicsContext", c"invalid graphics context"),
    (220, c"cudaErrorNvlinkUncorrectable", c"NVLink uncorrectable"),
    (221, c"cudaErrorJitCompilerNotFound", c"PTX compiler library not found"),
    (222, c"cudaErrorUnsupportedPtxVersion", c"unsupported PTX version"),
    (223, c"cudaErrorJitCompilationDisabled", c"JIT compilation disabled"),
    (224, c"cudaErrorUnsupportedExecAffinity", c"unsupported exec affinity"),
    (225, c"cudaErrorUnsupportedDevSideSync", c"unsupported dev side sync"),
    (226, c"cudaErrorContained", c"contained"),
    (227, c"cudaErrorInsufficientLoaderVersion", c"insufficient loader version"),
    (300, c"cudaErrorInvalidSource", c"device kernel source is invalid"),
    (301, c"cudaErrorFileNotFound", c"file not found"),
    (302, c"cudaErrorSharedObjectSymbolNotFound", c"shared object symbol not found"),
    (303, c"cudaErrorSharedObjectInitFailed", c"shared object initialization failed"),
    (304, c"cudaErrorOperatingSystem", c"OS call failed or operation not supported on this OS"),
    (400, c"cudaErrorInvalidResourceHandle", c"invalid resource handle"),
    (401, c"cudaErrorIllegalState", c"illegal state"),
    (402, c"cudaErrorLossyQuery", c"lossy query"),
    (500, c"cudaErrorSymbolNotFound", c"named symbol not found"),
    (600, c"cudaErrorNotReady", c"device not ready"),
    (700, c"cudaErrorIllegalAddress", c"an illegal memory access was encountered"),
    (701, c"cudaErrorLaunchOutOfResources", c"too many resources requested for launch"),
    (702, c"cudaErrorLaunchTimeout", c"the launch timed out and was terminated"),
    (703, c"cudaErrorLaunchIncompatibleTexturing", c"launch incompatible texturing"),
    (704, c"cudaErrorPeerAccessAlreadyEnabled", c"peer access is already enabled"),
    (705, c"cudaErrorPeerAccessNotEnabled", c"peer access has not been enabled"),
    (708, c"cudaErrorSetOnActiveProcess", c"cannot set while device is active in this process"),
    (709, c"cudaErrorContextIsDestroyed", c"context is destroyed"),
    (710, c"cudaErrorAssert", c"device-side assert triggered"),
    (711, c"cudaErrorTooManyPeers", c"too many peers"),
    (
        712,
        c"cudaErrorHostMemoryAlreadyRegistered",
        c"part or all of the requested memory range is already mapped",
    ),
    (713, c"cudaErrorHostMemoryNotRegistered", c"pointer does not correspond to a registered memory region"),
    (714, c"cudaErrorHardwareStackError", c"hardware stack error"),
    (715, c"cudaErrorIllegalInstruction", c"an illegal instruction was encountered"),
    (716, c"cudaErrorMisalignedAddress", c"misaligned address"),
    (717, c"cudaErrorInvalidAddressSpace", c"operation not supported on global/shared address space"),
    (718, c"cudaErrorInvalidPc", c"invalid program counter"),
    (719, c"cudaErrorLaunchFailure", c"unspecified launch failure"),
    (720, c"cudaErrorCooperativeLaunchTooLarge", c"too many blocks in cooperative launch"),
    (721, c"cudaErrorTensorMemoryLeak", c"tensor memory leak"),
    (800, c"cudaErrorNotPermitted", c"operation not permitted"),
    (801, c"cudaErrorNotSupported", c"operation not supported"),
    (802, c"cudaErrorSystemNotReady", c"system not ready"),
    (
        803,
        c"cudaErrorSystemDriverMismatch",
        c"system has unsupported display driver / cuda driver combination",
    ),
    (804, c"cudaErrorCompatNotSupportedOnDevice", c"compat not supported on device"),
    (805, c"cudaErrorMpsConnectionFailed", c"MPS connection failed"),
    (806, c"cudaErrorMpsRpcFailure", c"MPS RPC failure"),
    (807, c"cudaErrorMpsServerNotReady", c"MPS server not ready"),
    (808, c"cudaErrorMpsMaxClientsReached", c"MPS max clients reached"),
    (809, c"cudaErrorMpsMaxConnectionsReached", c"MPS max connections reached"),
    (810, c"cudaErrorMpsClientTerminated", c"MPS client terminated"),
    (811, c"cudaErrorCdpNotSupported", c"device-side launch not supported"),
    (812, c"cudaErrorCdpVersionMismatch", c"device-side launch version mismatch"),
    (900, c"cudaErrorStreamCaptureUnsupported", c"operation not permitted when stream is capturing"),
    (901, c"cudaErrorStreamCaptureInvalidated", c"operation failed due to a previous error during capture"),
    (902, c"cudaErrorStreamCaptureMerge", c"operation would result in a merge of separate capture sequences"),
    (903, c"cudaErrorStreamCaptureUnmatched", c"capture was not ended in the same stream as it began"),
    (904, c"cudaErrorStreamCaptureUnjoined", c"capturing stream has unjoined work"),
    (905, c"cudaErrorStreamCaptureIsolation", c"dependency created on uncaptured work in another stream"),
    (
        906,
        c"cudaErrorStreamCaptureImplicit",
        c"operation would make the legacy stream depend on a capturing blocking stream",
    ),
    (
        907,
        c"cudaErrorCapturedEvent",
        c"operation not permitted on an event last recorded in a capturing stream",
    ),
    (
        908,
        c"cudaErrorStreamCaptureWrongThread",
        c"attempt to terminate a thread-local capture sequence from another thread",
    ),
    (909, c"cudaErrorTimeout", c"wait operation timed out"),
    (910, c"cudaErrorGraphExecUpdateFailure", c"the graph update was not performed"),
    (911, c"cudaErrorExternalDevice", c"external device"),
    (912, c"cudaErrorInvalidClusterSize", c"cluster misconfiguration"),
    (913, c"cudaErrorFunctionNotLoaded", c"function not loaded"),
    (914, c"cudaErrorInvalidResourceType", c"invalid resource type"),
    (915, c"cudaErrorInvalidResourceConfiguration", c"invalid resource configuration"),
    (917, c"cudaErrorStreamDetached", c"stream detached"),
    (918, c"cudaErrorGraphRecaptureFailure", c"graph recapture failure"),
    (919, c"cudaErrorFabricNotReady", c"fabric not ready"),
    (999, c"cudaErrorUnknown", c"unknown error"),
    (10000, c"cudaErrorApiFailureBase", c"api failure base"),
];

/// What `cudaRuntimeGetVersion` tells, by major version; driver functions without a version are wanted as they were then.
const VERSION_11: i32 = 11080;
const VERSION_12: i32 = 12090;
const VERSION_13: i32 = 13000;

fn describe(error: u32) -> Option<(*const c_char, *const c_char)> {
    let row = NAMES.binary_search_by_key(&error, |(number, _, _)| *number).ok()?;
    let (_, name, text) = NAMES[row];
    Some((name.as_ptr(), text.as_ptr()))
}

/// Name of an error, for traces; empty for what is none.
pub fn name(error: u32) -> &'static str {
    let row = NAMES.binary_search_by_key(&error, |(number, _, _)| *number);
    row.ok().and_then(|row| NAMES[row].1.to_str().ok()).unwrap_or_default()
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorName(error: u32) -> *const c_char {
    describe(error).map_or(c"unrecognized error code".as_ptr(), |(name, _)| name)
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetErrorString(error: u32) -> *const c_char {
    describe(error).map_or(c"unrecognized error code".as_ptr(), |(_, text)| text)
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaGetLastError() -> u32 {
    call_trace::through!(LIBRARY, cudaGetLastError() last_error(true))
}

#[unsafe(no_mangle)]
pub extern "C" fn cudaPeekAtLastError() -> u32 {
    call_trace::through!(LIBRARY, cudaPeekAtLastError() last_error(false))
}

exports! {
    fn cudaDriverGetVersion(version: *mut i32) {
        *out(version)? = driver::version();
        Ok(())
    }

    fn abi11_cudaRuntimeGetVersion(version: *mut i32) {
        *out(version)? = VERSION_11;
        Ok(())
    }

    fn abi12_cudaRuntimeGetVersion(version: *mut i32) {
        *out(version)? = VERSION_12;
        Ok(())
    }

    fn cudaProfilerStart() {
        Ok(())
    }

    fn cudaProfilerStop() {
        Ok(())
    }

    fn abi13_cudaRuntimeGetVersion(version: *mut i32) {
        *out(version)? = VERSION_13;
        Ok(())
    }

    fn cudaGetExportTable(table: *mut *const c_void, id: *const [u8; 16]) {
        call!(export_table(table, id))
    }

    fn abi11_cudaGetDriverEntryPoint(name: *const c_char, function: *mut *const c_void, flags: u64) {
        entry_point(name, function, VERSION_11, flags, std::ptr::null_mut())
    }

    fn abi11_cudaGetDriverEntryPoint_ptsz(name: *const c_char, function: *mut *const c_void, flags: u64) {
        entry_point(name, function, VERSION_11, per_thread_flag(flags), std::ptr::null_mut())
    }

    fn abi12_cudaGetDriverEntryPoint(name: *const c_char, function: *mut *const c_void, flags: u64, status: *mut u32) {
        entry_point(name, function, VERSION_12, flags, status)
    }

    fn abi12_cudaGetDriverEntryPoint_ptsz(name: *const c_char, function: *mut *const c_void, flags: u64, status: *mut u32) {
        entry_point(name, function, VERSION_12, per_thread_flag(flags), status)
    }

    fn abi13_cudaGetDriverEntryPoint(name: *const c_char, function: *mut *const c_void, flags: u64, status: *mut u32) {
        entry_point(name, function, VERSION_13, flags, status)
    }

    fn abi13_cudaGetDriverEntryPoint_ptsz(name: *const c_char, function: *mut *const c_void, flags: u64, status: *mut u32) {
        entry_point(name, function, VERSION_13, per_thread_flag(flags), status)
    }

    fn cudaGetDriverEntryPointByVersion(name: *const c_char, function: *mut *const c_void, version: u32, flags: u64, status: *mut u32) {
        entry_point(name, function, version as i32, flags, status)
    }

    fn cudaGetDriverEntryPointByVersion_ptsz(name: *const c_char, function: *mut *const c_void, version: u32, flags: u64, status: *mut u32) {
        entry_point(name, function, version as i32, per_thread_flag(flags), status)
    }
}

/// What `cudaEnableDefault` means to callers compiled with per-thread default streams.
fn per_thread_flag(flags: u64) -> u64 {
    const ENABLE_PER_THREAD_DEFAULT_STREAM: u64 = 2;
    if flags == 0 { ENABLE_PER_THREAD_DEFAULT_STREAM } else { flags }
}

/// A driver function by name, as it was in a CUDA version.
unsafe fn entry_point(
    name: *const c_char,
    function: *mut *const c_void,
    version: i32,
    flags: u64,
    status: *mut u32,
) -> Runtime {
    const NOT_FOUND: Error = Error(500);
    // SAFETY: the caller's string and places.
    match unsafe { call!(proc_address(name, function, version, flags, status)) } {
        // With a place for the status the call itself succeeds, and the status says that nothing was found.
        Err(NOT_FOUND) if !status.is_null() => Ok(()),
        outcome => outcome,
    }
}
