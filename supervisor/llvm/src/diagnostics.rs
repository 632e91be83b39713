//! What LLVM says of a module while it works on it, kept instead of printed.

use std::ffi::{c_char, c_void};
use std::sync::Mutex;

use crate::text::Message;
use crate::{Error, ffi};

/// Errors reported in a context. Warnings and remarks are about speed, and nobody reads them.
#[derive(Default)]
pub struct Diagnostics {
    errors: Mutex<Vec<String>>,
}

impl Diagnostics {
    /// Fails if something was reported since the last call.
    pub fn check(&self) -> Result<(), Error> {
        let errors = std::mem::take(&mut *self.lock());
        if errors.is_empty() { Ok(()) } else { Err(Error::Emit(errors.join("; "))) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The handler of a context whose data is a [`Diagnostics`].
pub extern "C" fn on_diagnostic(diagnostic: *mut ffi::DiagnosticInfo, data: *mut c_void) {
    // SAFETY: `module::Context` registers this function together with a pointer to its own `Diagnostics`, which outlives the context.
    let diagnostics = unsafe { &*data.cast::<Diagnostics>() };
    // SAFETY: LLVM passes a diagnostic that lives until we return.
    if unsafe { ffi::LLVMGetDiagInfoSeverity(diagnostic) } != ffi::SEVERITY_ERROR {
        return;
    }
    // SAFETY: as above; the description is a string that is ours to free, which `Message` does.
    let description: *mut c_char = unsafe { ffi::LLVMGetDiagInfoDescription(diagnostic) };
    // SAFETY: as above.
    diagnostics.lock().push(unsafe { Message::from_raw(description) }.to_string());
}
