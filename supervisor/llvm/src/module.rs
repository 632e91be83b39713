//! A context, the module in it, and the machine that makes code of it: LLVM's objects with owners.

use std::ptr::{self, NonNull};

use crate::diagnostics::{Diagnostics, on_diagnostic};
use crate::text::{Message, c_string, lines_of};
use crate::{Error, Target, bit_fields, ffi, target};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// What code is made with.
pub struct Machine {
    raw: NonNull<ffi::TargetMachine>,
}

impl Machine {
    pub fn new(target: &Target) -> Result<Machine, Error> {
        target::register();
        let (triple, cpu, features) = (c_string(TRIPLE), c_string(target.cpu()), c_string(target.features()));
        let mut found = ptr::null_mut();
        // SAFETY: all strings end with zero and outlive the call; the message is ours.
        let (failed, message) = Message::of(|message| unsafe {
            ffi::LLVMGetTargetFromTriple(triple.as_ptr(), &mut found, message)
        });
        if failed != 0 {
            return Err(Error::Target(message.to_string()));
        }
        // SAFETY: `found` is a target, which lives for ever; the strings are copied; the numbers are of LLVM's enumerations.
        let raw = unsafe {
            ffi::LLVMCreateTargetMachine(
                found,
                triple.as_ptr(),
                cpu.as_ptr(),
                features.as_ptr(),
                target.level() as i32,
                ffi::RELOCATION_PIC,
                ffi::CODE_MODEL_SMALL,
            )
        };
        NonNull::new(raw)
            .map(|raw| Machine { raw })
            .ok_or_else(|| Error::Target(format!("no machine for {TRIPLE}")))
    }

    /// Sizes and alignments of types, as text.
    fn layout(&self) -> Message {
        // SAFETY: the machine lives; the layout is made for us and freed here; the string is ours, which `Message` frees.
        unsafe {
            let layout = ffi::LLVMCreateTargetDataLayout(self.raw.as_ptr());
            let text = Message::from_raw(ffi::LLVMCopyStringRepOfTargetData(layout));
            ffi::LLVMDisposeTargetData(layout);
            text
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: ours, and used by no module any more: a module is only lent the machine.
        unsafe { ffi::LLVMDisposeTargetMachine(self.raw.as_ptr()) };
    }
}

/// The types and constants of one compilation, and what was said about it.
pub struct Context {
    raw: NonNull<ffi::Context>,
    diagnostics: Box<Diagnostics>,
}

impl Context {
    pub fn new() -> Context {
        let diagnostics = Box::<Diagnostics>::default();
        // SAFETY: the context is new; the box does not move and is dropped after the context (see Drop).
        unsafe {
            let raw = ffi::LLVMContextCreate();
            ffi::LLVMContextSetDiagnosticHandler(
                raw,
                on_diagnostic,
                ptr::from_ref(&*diagnostics).cast_mut().cast(),
            );
            // LLVM's `new` ends the process where there is no memory.
            Context { raw: NonNull::new(raw).expect("a context"), diagnostics }
        }
    }

    /// Fails if an error was reported.
    pub fn check(&self) -> Result<(), Error> {
        self.diagnostics.check()
    }

    /// Reads a module. Triple and layout are the machine's, whatever the text says nothing about.
    pub fn parse(&self, ir: &str, machine: &Machine) -> Result<Module<'_>, Error> {
        // On the text's first line, so that lines keep their numbers. A text that names its own comes later, and wins.
        let text = format!("target triple = \"{TRIPLE}\" target datalayout = \"{}\" {ir}", machine.layout());
        let name = c_string("kernel.ll");
        let mut module = ptr::null_mut();
        // SAFETY: the text is copied; the parser takes the buffer, also when it fails; the context lives as long as the module, by its lifetime.
        let (failed, message) = Message::of(|message| unsafe {
            let buffer = ffi::LLVMCreateMemoryBufferWithMemoryRangeCopy(
                text.as_ptr().cast(),
                text.len(),
                name.as_ptr(),
            );
            ffi::LLVMParseIRInContext(self.raw.as_ptr(), buffer, &mut module, message)
        });
        match NonNull::new(module) {
            Some(raw) if failed == 0 => Ok(Module { raw, context: self }),
            _ => Err(Error::Parse(message.to_string())),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: ours; modules are gone, as they borrow us.
        unsafe { ffi::LLVMContextDispose(self.raw.as_ptr()) };
    }
}

/// Functions and constants, as LLVM has them.
pub struct Module<'context> {
    raw: NonNull<ffi::Module>,
    #[expect(dead_code, reason = "keeps the context alive")]
    context: &'context Context,
}

impl Module<'_> {
    /// Checks what LLVM takes for granted from here on. `ir` is for the line.
    pub fn verify(&self, ir: &str) -> Result<(), Error> {
        // SAFETY: the module lives; the verifier only reads it.
        let (broken, message) = Message::of(|message| unsafe {
            ffi::LLVMVerifyModule(self.raw.as_ptr(), ffi::VERIFIER_RETURN_STATUS, message)
        });
        if broken == 0 {
            return Ok(());
        }
        let message = message.to_string();
        Err(Error::Verify { lines: lines_of(&message, ir), message })
    }

    pub fn run_passes(&self, passes: &str, machine: &Machine) -> Result<(), Error> {
        let passes = c_string(passes);
        // SAFETY: module and machine live; the options are made and freed here; an error is ours, and consumed for its message.
        unsafe {
            let options = ffi::LLVMCreatePassBuilderOptions();
            let error = ffi::LLVMRunPasses(self.raw.as_ptr(), passes.as_ptr(), machine.raw.as_ptr(), options);
            ffi::LLVMDisposePassBuilderOptions(options);
            if error.is_null() {
                return Ok(());
            }
            let raw = ffi::LLVMGetErrorMessage(error);
            let message = std::ffi::CStr::from_ptr(raw).to_string_lossy().into_owned();
            ffi::LLVMDisposeErrorMessage(raw);
            Err(Error::Passes(message))
        }
    }

    /// See [`bit_fields`].
    pub fn hide_masks(&self) {
        // SAFETY: the module lives, and is this thread's.
        unsafe { bit_fields::hide_masks(self.raw.as_ptr()) };
    }

    /// The object. Uses the module up: the code generator rewrites it.
    pub fn emit(self, machine: &Machine) -> Result<Vec<u8>, Error> {
        let mut buffer = ptr::null_mut();
        // SAFETY: machine and module live; the buffer is ours when there is one.
        let (failed, message) = Message::of(|message| unsafe {
            ffi::LLVMTargetMachineEmitToMemoryBuffer(
                machine.raw.as_ptr(),
                self.raw.as_ptr(),
                ffi::OBJECT_FILE,
                message,
                &mut buffer,
            )
        });
        if failed != 0 || buffer.is_null() {
            return Err(Error::Emit(message.to_string()));
        }
        // SAFETY: the buffer holds so many bytes until it is disposed of, after they are copied.
        unsafe {
            let start = ffi::LLVMGetBufferStart(buffer).cast::<u8>();
            let object = std::slice::from_raw_parts(start, ffi::LLVMGetBufferSize(buffer)).to_vec();
            ffi::LLVMDisposeMemoryBuffer(buffer);
            Ok(object)
        }
    }
}

impl Drop for Module<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, in a context that is alive by its lifetime.
        unsafe { ffi::LLVMDisposeModule(self.raw.as_ptr()) };
    }
}
