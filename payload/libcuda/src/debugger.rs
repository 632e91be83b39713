//! Variables by which a debugger talks to the driver: `cuda-gdb` looks them up by name and writes them from outside.
//!
//! Nothing here reads them. They are there so that a debugger that writes one finds memory, as in the real library, and
//! not code. The library's own list has their names but no sizes; `cudadebugger.h` uses 4 and 8 bytes, and a path.

use std::sync::atomic::AtomicU64;

macro_rules! variables {
    ($(static $name:ident;)*) => {
        $(
            #[allow(non_upper_case_globals)]
            #[unsafe(no_mangle)]
            pub static $name: AtomicU64 = AtomicU64::new(0);
        )*
    };
}

variables! {
    static cudbgApiClientPid;
    static cudbgApiClientRevision;
    static cudbgAttachHandlerAvailable;
    static cudbgDebuggerCapabilities;
    static cudbgDebuggerInitialized;
    static cudbgDetachSuspendedDevicesMask;
    static cudbgEnableIntegratedMemcheck;
    static cudbgEnableLaunchBlocking;
    static cudbgEnablePreemptionDebugging;
    static cudbgIpcFlag;
    static cudbgReportDriverApiErrorFlags;
    static cudbgReportedDriverApiErrorCode;
    static cudbgReportedDriverApiErrorFuncNameAddr;
    static cudbgReportedDriverApiErrorFuncNameSize;
    static cudbgReportedDriverApiErrorNameAddr;
    static cudbgReportedDriverApiErrorNameSize;
    static cudbgReportedDriverApiErrorSource;
    static cudbgReportedDriverApiErrorStringAddr;
    static cudbgReportedDriverApiErrorStringSize;
    static cudbgReportedDriverInternalErrorCode;
    static cudbgResumeForAttachDetach;
    static cudbgRpcEnabled;
    static cudbgSessionId;
    static cudbgUseExternalDebugger;
}

/// Room for a path that a debugger writes.
#[allow(non_upper_case_globals)]
#[unsafe(no_mangle)]
pub static cudbgInjectionPath: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];
