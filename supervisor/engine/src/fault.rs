//! When something goes wrong: the context's sticky error, and signals of wild kernels.

use std::fmt::Write;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use wire::control::NoteKind;
use wire::futex;
use wire::shared::EngineState;

use crate::area::SharedArea;
use crate::note;

/// `CUresult` values that an engine reports (CUDA driver API reference, "Data types used by CUDA driver").
pub mod result {
    /// `CUDA_SUCCESS`
    pub const SUCCESS: u32 = 0;
    /// `CUDA_ERROR_INVALID_VALUE`
    pub const INVALID_VALUE: u32 = 1;
    /// `CUDA_ERROR_OUT_OF_MEMORY`
    pub const OUT_OF_MEMORY: u32 = 2;
    /// `CUDA_ERROR_INVALID_IMAGE`
    pub const INVALID_IMAGE: u32 = 200;
    /// `CUDA_ERROR_NO_BINARY_FOR_GPU`
    pub const NO_BINARY_FOR_GPU: u32 = 209;
    /// `CUDA_ERROR_INVALID_PTX`
    pub const INVALID_PTX: u32 = 218;
    /// `CUDA_ERROR_NOT_FOUND`
    pub const NOT_FOUND: u32 = 500;
    /// `CUDA_ERROR_ILLEGAL_ADDRESS`
    pub const ILLEGAL_ADDRESS: u32 = 700;
    /// `CUDA_ERROR_ASSERT`
    pub const ASSERT: u32 = 710;
    /// `CUDA_ERROR_MISALIGNED_ADDRESS`
    pub const MISALIGNED_ADDRESS: u32 = 716;
    /// `CUDA_ERROR_LAUNCH_FAILED`
    pub const LAUNCH_FAILED: u32 = 719;
    /// `CUDA_ERROR_NOT_SUPPORTED`
    pub const NOT_SUPPORTED: u32 = 801;
    /// `CUDA_ERROR_UNKNOWN`
    pub const UNKNOWN: u32 = 999;
}

static AREA: OnceLock<(SharedArea, Range<u64>)> = OnceLock::new();
static REPORTED: AtomicBool = AtomicBool::new(false);
static DYING: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Raised with the sticky error: from then on nothing runs any more, and what runs comes to its end.
pub fn failed() -> &'static AtomicBool {
    &FAILED
}

/// Whether a thread is about to end the process because of a fault. A client that sees the error may be gone before that thread is
/// done, and the process must not end as if nothing had been.
pub fn is_dying() -> bool {
    DYING.load(Ordering::SeqCst)
}

/// Sets the context's sticky error. The first one stays: what follows is a consequence.
pub fn report(area: SharedArea, error: u32, text: &str) {
    if REPORTED.swap(true, Ordering::SeqCst) {
        return;
    }
    let head = area.head();
    head.tell_fault(text);
    head.error.0.store(error, Ordering::SeqCst);
}

/// Sets the context's sticky error and tells the report.
pub fn fail(area: SharedArea, error: u32, text: &str) {
    report(area, error, text);
    FAILED.store(true, Ordering::SeqCst);
    note::tell(NoteKind::Fault, i64::from(error), text);
}

/// Catches the signals of kernels that touch memory which is not there. `window` is where device memory lies.
pub fn watch(area: SharedArea, window: Range<u64>) {
    let _ = AREA.set((area, window));
    // SAFETY: a zeroed sigaction is a valid one; the handler has the signature that SA_SIGINFO asks for, and does only what
    // a handler may. std gives each thread an alternate stack, which SA_ONSTACK uses.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle_fault as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL] {
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Says what happened, tells the client, and ends the process: after a wild store nothing in it can be trusted.
extern "C" fn handle_fault(signal: i32, info: *const libc::siginfo_t, _context: *mut libc::c_void) {
    DYING.store(true, Ordering::SeqCst);
    let Some((area, _window)) = AREA.get() else { std::process::abort() };
    // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler.
    let address = unsafe { (*info).si_addr() } as u64;
    let mut text = FixedText::default();
    let (error, what) = match signal {
        libc::SIGSEGV | libc::SIGBUS => (result::ILLEGAL_ADDRESS, "access to unmapped memory"),
        _ => (result::LAUNCH_FAILED, "the engine executed an illegal operation"),
    };
    let _ = write!(text, "{what} at {address:#x}");
    interpreter::with_current(|current| {
        if let Some(current) = current {
            let [x, y, z] = current.block;
            let _ = write!(text, " in kernel {}, block ({x}, {y}, {z})", current.kernel);
        }
    });
    report(*area, error, text.as_str());
    area.set_state(EngineState::Dead);
    futex::wake_all(&area.head().completions.0);
    // SAFETY: _exit is async-signal-safe; destructors must not run on a damaged heap.
    unsafe { libc::_exit(70) }
}

/// Text without allocation, for the signal handler.
struct FixedText {
    bytes: [u8; 512],
    length: usize,
}

impl Default for FixedText {
    fn default() -> Self {
        FixedText { bytes: [0; 512], length: 0 }
    }
}

impl FixedText {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or("a fault whose text was cut")
    }
}

impl Write for FixedText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.len() - self.length;
        let mut cut = text.len().min(room);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        self.bytes[self.length..self.length + cut].copy_from_slice(&text.as_bytes()[..cut]);
        self.length += cut;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_text_cuts_at_a_character() {
        let mut text = FixedText::default();
        for _ in 0..600 {
            let _ = text.write_str("é");
        }
        assert_eq!(text.as_str().chars().count(), 256);
    }
}
