//! Sealed memory files: what they hold never changes, whoever has them open.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// What becomes of a memory file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is read and mapped.
    Read,
    /// It is executed.
    Execute,
}

// Kernels before 6.3 know neither flag, and let everything be executed.
impl Use {
    fn flag(self) -> libc::c_uint {
        match self {
            Use::Read => libc::MFD_NOEXEC_SEAL,
            Use::Execute => libc::MFD_EXEC,
        }
    }
}

/// A sealed memory file, for reading.
pub fn memory_file(name: &str, bytes: &[u8], purpose: Use) -> io::Result<OwnedFd> {
    let file = create(name, purpose)?;
    // At a place, so that the offset stays where a reader begins.
    file.write_all_at(bytes, 0)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: adds seals to a descriptor of ours; no memory is involved.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // Without /proc it stays open for writing, which the seals forbid.
    Ok(procfs::reopen(file.as_raw_fd()).unwrap_or_else(|_| file.into()))
}

fn create(name: &str, purpose: Use) -> io::Result<File> {
    let name = CString::new(name)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags| {
        // SAFETY: `name` ends in NUL and outlives the call.
        let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(unsafe { File::from_raw_fd(descriptor) })
    };
    create(flags | purpose.flag()).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => create(flags),
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_files_are_sealed() {
        let file = File::from(memory_file("x", b"text", Use::Read).unwrap());
        assert!(file.write_at(b"y", 0).is_err());
        let again = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        assert!(again.is_err() || again.unwrap().write_at(b"y", 0).is_err());
    }

    #[test]
    fn a_reader_begins_at_the_beginning() {
        let file = File::from(memory_file("x", b"text", Use::Read).unwrap());
        assert_eq!(io::read_to_string(file).unwrap(), "text");
    }
}
