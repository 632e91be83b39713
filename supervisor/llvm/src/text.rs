//! Strings that cross the border, and where in a text a complaint belongs.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::ptr;

use crate::ffi;

/// A string that LLVM made and that is ours to free.
pub struct Message(*mut c_char);

impl Message {
    /// # Safety
    ///
    /// `raw` is null or a string of LLVM's that nobody else frees.
    pub unsafe fn from_raw(raw: *mut c_char) -> Message {
        Message(raw)
    }

    /// Runs a call that leaves a message in the place that it is given. Returns the call's result.
    pub fn of<T>(call: impl FnOnce(*mut *mut c_char) -> T) -> (T, Message) {
        let mut raw = ptr::null_mut();
        let result = call(&mut raw);
        (result, Message(raw))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_null() {
            return formatter.write_str("no reason given");
        }
        // SAFETY: not null, so a string of LLVM's that lives until we are dropped.
        formatter.write_str(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().trim_end())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours to free, once; null does nothing.
        unsafe { ffi::LLVMDisposeMessage(self.0) };
    }
}

/// `text` for a C function. What follows a zero byte is left out; none of our texts has one.
pub fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

/// The lines of `ir`, from 1, that the verifier's `message` quotes. A quotation that fits several lines says nothing.
pub fn lines_of(message: &str, ir: &str) -> Vec<usize> {
    let line_of = |quoted: &str| {
        let mut places = ir.lines().enumerate().filter(|(_, line)| line.trim() == quoted);
        places.next().filter(|_| places.next().is_none()).map(|(index, _)| index + 1)
    };
    message.lines().map(str::trim).filter_map(line_of).collect()
}
