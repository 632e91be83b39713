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
opaque!(PassBuilderOptions, Value, Type, BasicBlock, Builder);

// LLVMDiagnosticSeverity, LLVMVerifierFailureAction, LLVMRelocMode, LLVMCodeModel, LLVMCodeGenFileType.
pub const SEVERITY_ERROR: c_int = 0;
pub const VERIFIER_RETURN_STATUS: c_int = 2;
pub const RELOCATION_PIC: c_int = 2;
pub const CODE_MODEL_SMALL: c_int = 3;
pub const OBJECT_FILE: c_int = 1;

// LLVMOpcode, LLVMTypeKind, LLVMLinkage, LLVMUnnamedAddr.
pub const ADD: c_int = 8;
pub const AND: c_int = 23;
pub const OR: c_int = 24;
pub const XOR: c_int = 25;
pub const BIT_CAST: c_int = 41;
pub const VECTOR_TYPE: c_int = 13;
pub const PRIVATE_LINKAGE: c_int = 9;
pub const GLOBAL_UNNAMED_ADDRESS: c_int = 2;

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

    pub fn LLVMGetModuleContext(module: *mut Module) -> *mut Context;
    pub fn LLVMGetFirstFunction(module: *mut Module) -> *mut Value;
    pub fn LLVMGetNextFunction(function: *mut Value) -> *mut Value;
    pub fn LLVMGetFirstBasicBlock(function: *mut Value) -> *mut BasicBlock;
    pub fn LLVMGetNextBasicBlock(block: *mut BasicBlock) -> *mut BasicBlock;
    pub fn LLVMGetFirstInstruction(block: *mut BasicBlock) -> *mut Value;
    pub fn LLVMGetNextInstruction(instruction: *mut Value) -> *mut Value;
    pub fn LLVMGetInstructionOpcode(instruction: *mut Value) -> c_int;
    pub fn LLVMIsAInstruction(value: *mut Value) -> *mut Value;
    pub fn LLVMIsConstant(value: *mut Value) -> c_int;
    pub fn LLVMGetOperand(user: *mut Value, operand: c_uint) -> *mut Value;
    pub fn LLVMSetOperand(user: *mut Value, operand: c_uint, value: *mut Value);
    pub fn LLVMTypeOf(value: *mut Value) -> *mut Type;
    pub fn LLVMGetTypeKind(ty: *mut Type) -> c_int;
    pub fn LLVMAddGlobal(module: *mut Module, ty: *mut Type, name: *const c_char) -> *mut Value;
    pub fn LLVMSetInitializer(variable: *mut Value, value: *mut Value);
    pub fn LLVMSetGlobalConstant(variable: *mut Value, is_constant: c_int);
    pub fn LLVMSetUnnamedAddress(variable: *mut Value, is_unnamed: c_int);
    pub fn LLVMSetLinkage(variable: *mut Value, linkage: c_int);
    pub fn LLVMCreateBuilderInContext(context: *mut Context) -> *mut Builder;
    pub fn LLVMPositionBuilderBefore(builder: *mut Builder, instruction: *mut Value);
    pub fn LLVMBuildLoad2(
        builder: *mut Builder,
        ty: *mut Type,
        place: *mut Value,
        name: *const c_char,
    ) -> *mut Value;
    pub fn LLVMDisposeBuilder(builder: *mut Builder);

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
