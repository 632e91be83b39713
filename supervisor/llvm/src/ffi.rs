//! The part of LLVM 19's C interface that we use, from llvm-c/{Core,Analysis,IRReader,Error,ErrorHandling,Target,TargetMachine}.h and
//! llvm-c/Transforms/PassBuilder.h. It is stable within a major version.

use std::ffi::{c_char, c_int, c_uint, c_void};

macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name([u8; 0]);
    )*};
}

opaque!(Context, Module, MemoryBuffer, DiagnosticInfo, TargetRecord, TargetMachine, TargetData, ErrorRecord);
opaque!(PassBuilderOptions);

// LLVMDiagnosticSeverity, LLVMVerifierFailureAction, LLVMRelocMode, LLVMCodeModel, LLVMCodeGenFileType.
pub const SEVERITY_ERROR: c_int = 0;
pub const VERIFIER_RETURN_STATUS: c_int = 2;
pub const RELOCATION_PIC: c_int = 2;
pub const CODE_MODEL_SMALL: c_int = 3;
pub const OBJECT_FILE: c_int = 1;

/// LLVMBool of a call that can fail: other than 0 for failure.
pub type Failed = c_int;

unsafe extern "C" {
    // Core.h
    pub fn LLVMGetVersion(major: *mut c_uint, minor: *mut c_uint, patch: *mut c_uint);
    pub fn LLVMContextCreate() -> *mut Context;
    pub fn LLVMContextDispose(context: *mut Context);
    pub fn LLVMContextSetDiagnosticHandler(
        context: *mut Context,
        handler: extern "C" fn(*mut DiagnosticInfo, *mut c_void),
        data: *mut c_void,
    );
    pub fn LLVMGetDiagInfoDescription(diagnostic: *mut DiagnosticInfo) -> *mut c_char;
    pub fn LLVMGetDiagInfoSeverity(diagnostic: *mut DiagnosticInfo) -> c_int;
    pub fn LLVMDisposeMessage(message: *mut c_char);
    pub fn LLVMDisposeModule(module: *mut Module);
    pub fn LLVMCreateMemoryBufferWithMemoryRangeCopy(
        data: *const c_char,
        length: usize,
        name: *const c_char,
    ) -> *mut MemoryBuffer;
    pub fn LLVMGetBufferStart(buffer: *mut MemoryBuffer) -> *const c_char;
    pub fn LLVMGetBufferSize(buffer: *mut MemoryBuffer) -> usize;
    pub fn LLVMDisposeMemoryBuffer(buffer: *mut MemoryBuffer);

    // IRReader.h
    pub fn LLVMParseIRInContext(
        context: *mut Context,
        buffer: *mut MemoryBuffer,
        module: *mut *mut Module,
        message: *mut *mut c_char,
    ) -> Failed;

    // Analysis.h
    pub fn LLVMVerifyModule(module: *mut Module, action: c_int, message: *mut *mut c_char) -> Failed;

    // Transforms/PassBuilder.h
    pub fn LLVMCreatePassBuilderOptions() -> *mut PassBuilderOptions;
    pub fn LLVMDisposePassBuilderOptions(options: *mut PassBuilderOptions);
    pub fn LLVMRunPasses(
        module: *mut Module,
        passes: *const c_char,
        machine: *mut TargetMachine,
        options: *mut PassBuilderOptions,
    ) -> *mut ErrorRecord;

    // Error.h, ErrorHandling.h
    pub fn LLVMGetErrorMessage(error: *mut ErrorRecord) -> *mut c_char;
    pub fn LLVMDisposeErrorMessage(message: *mut c_char);
    pub fn LLVMInstallFatalErrorHandler(handler: extern "C" fn(*const c_char));

    // Target.h
    pub fn LLVMInitializeX86TargetInfo();
    pub fn LLVMInitializeX86Target();
    pub fn LLVMInitializeX86TargetMC();
    pub fn LLVMInitializeX86AsmPrinter();
    pub fn LLVMCopyStringRepOfTargetData(layout: *mut TargetData) -> *mut c_char;
    pub fn LLVMDisposeTargetData(layout: *mut TargetData);

    // TargetMachine.h
    pub fn LLVMGetTargetFromTriple(
        triple: *const c_char,
        target: *mut *mut TargetRecord,
        message: *mut *mut c_char,
    ) -> Failed;
    pub fn LLVMCreateTargetMachine(
        target: *mut TargetRecord,
        triple: *const c_char,
        cpu: *const c_char,
        features: *const c_char,
        level: c_int,
        relocation: c_int,
        code_model: c_int,
    ) -> *mut TargetMachine;
    pub fn LLVMDisposeTargetMachine(machine: *mut TargetMachine);
    pub fn LLVMCreateTargetDataLayout(machine: *mut TargetMachine) -> *mut TargetData;
    pub fn LLVMTargetMachineEmitToMemoryBuffer(
        machine: *mut TargetMachine,
        module: *mut Module,
        file_type: c_int,
        message: *mut *mut c_char,
        buffer: *mut *mut MemoryBuffer,
    ) -> Failed;
    pub fn LLVMGetHostCPUName() -> *mut c_char;
    pub fn LLVMGetHostCPUFeatures() -> *mut c_char;
}
