//! Says in a recording which calls belong to what.

/// `prctl` has no option of this number.
const MARK: i32 = 0x7667_7075;

/// The calls that follow belong to `text`.
pub fn mark(text: &str) {
    let text = std::ffi::CString::new(text).expect("a mark has no NUL");
    // SAFETY: the kernel refuses the option without looking at the pointer; a recorder reads a text that lives until the return.
    unsafe { libc::prctl(MARK, text.as_ptr()) };
}
