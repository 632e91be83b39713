//! LLVM as one function: text of its intermediate representation in, a relocatable ELF object out.
//!
//! ```text
//!   text ─ parse ─▶ module ─ verify ─▶ passes ─▶ code generator ─▶ ELF object ─▶ (crate code-memory)
//!            │                 │          │             │
//!            └─────────────────┴──────────┴─────────────┴──────▶ Error, with the line of the text where there is one
//! ```
//!
//! - A **target** says for which processor, by which passes and at which level code is made ([`Target`]).
//! - A **feature** is LLVM's name of a part of the instruction set: `avx2`, `avx512vnni`.
//! - A **fatal error** is LLVM's own panic. By default it ends the process; here it ends the compilation ([`Error::Fatal`]).
//!
//! All of LLVM's C interface that we use is declared in [`ffi`](self), and all `unsafe` is in this crate. LLVM trusts what it
//! compiles once the verifier has passed it, so every module is verified. The objects refer to what they need by name
//! and are position independent, in the small code model: all of one object lies within 2 GiB.

mod bit_fields;
mod diagnostics;
mod error;
mod fatal;
mod ffi;
mod module;
mod target;
mod text;

use std::time::Duration;

pub use error::Error;
pub use target::{Level, PASSES, Target};

use module::{Context, Machine};

/// Deep expressions are walked by recursion, so a large kernel needs more than a thread usually gets. Only what is touched is used.
const STACK: usize = 256 << 20;

/// Makes an object of `ir`.
///
/// The work is done on a thread of its own, which also bounds what a fatal error can take with it (see `fatal`).
pub fn compile(ir: &str, target: &Target) -> Result<Vec<u8>, Error> {
    compile_timed(ir, target).map(|(object, _)| object)
}

/// [`compile`], and the processor's time that it took: whatever else the machine does.
pub fn compile_timed(ir: &str, target: &Target) -> Result<(Vec<u8>, Duration), Error> {
    // Owned: a thread that has met a fatal error never ends, and must not hold the caller's text.
    let (ir, target) = (ir.to_owned(), target.clone());
    fatal::guarded("llvm", STACK, move || Ok((compile_here(&ir, &target)?, processor_time())))
}

/// What this thread has computed so far.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing, and the clock exists since Linux 2.6.12; should it fail, the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What runs before the first compilation anyway, done now: a process that forks others does it once for all of them.
pub fn prepare() {
    target::register();
}

fn compile_here(ir: &str, target: &Target) -> Result<Vec<u8>, Error> {
    let machine = Machine::new(target)?;
    let context = Context::new();
    let module = context.parse(ir, &machine)?;
    module.verify(ir)?;
    // LLVM takes a list without a pass for one with a pass that has no name.
    if !target.passes().is_empty() {
        module.run_passes(target.passes(), &machine)?;
    }
    if target.has("avx512f") {
        module.hide_masks();
    }
    context.check()?;
    let object = module.emit(&machine)?;
    context.check()?;
    Ok(object)
}
