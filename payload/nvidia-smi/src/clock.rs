//! The time of day, as the three forms write it.

/// A moment in the machine's time zone.
pub struct Moment {
    fields: libc::tm,
    milliseconds: u32,
}

/// Now.
pub fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    // SAFETY: zeros are a valid `tm`, and both places are on this stack.
    let fields = unsafe {
        let mut fields = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut fields);
        fields
    };
    Moment { fields, milliseconds: since.subsec_millis() }
}

impl Moment {
    /// `Thu Nov 26 03:54:11 2026`
    pub fn in_words(&self) -> String {
        self.format(c"%a %b %e %H:%M:%S %Y")
    }

    /// `2026/11/26 03:54:11.125`
    pub fn in_tables(&self) -> String {
        format!("{}.{:03}", self.format(c"%Y/%m/%d %H:%M:%S"), self.milliseconds)
    }

    fn format(&self, form: &std::ffi::CStr) -> String {
        let mut text = [0u8; 64];
        // SAFETY: the buffer has the size that is told; `form` ends in NUL.
        let length =
            unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr(), &self.fields) };
        String::from_utf8_lossy(&text[..length]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_tables_have_their_lengths() {
        assert_eq!(now().in_words().len(), "Thu Nov 26 03:54:11 2026".len());
        assert_eq!(now().in_tables().len(), "2026/11/26 03:54:11.125".len());
    }
}
