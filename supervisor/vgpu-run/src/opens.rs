//! Reading the arguments of the calls that open or execute a file.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use interception::Request;
use tracee::{Memory, MemoryError, RemotePtr};

/// An open, as its caller put it.
#[derive(Debug)]
pub struct Open {
    /// `AT_FDCWD` or the directory that a relative path starts from.
    pub dirfd: i32,
    /// The path, without NUL.
    pub path: Vec<u8>,
    /// `O_…`.
    pub flags: i32,
}

/// The system calls that the filter lets us see, told apart.
pub enum Trapped {
    /// open, openat, openat2.
    Open(Result<Open, MemoryError>),
    /// execve, execveat.
    Execute(Result<PathBuf, MemoryError>),
    /// ioctl with one of our request numbers.
    Control,
    /// io_uring_setup.
    IoUring,
    /// ptrace.
    Trace,
    /// getdents64.
    List,
    /// stat, access and their kind.
    Look,
}

/// Which call it is, with its arguments read from the caller's memory.
pub fn decode(request: &Request) -> Trapped {
    let [first, second, third, ..] = request.arguments;
    match request.number {
        libc::SYS_open => Trapped::Open(open(request, libc::AT_FDCWD, first, second as i32)),
        libc::SYS_openat => Trapped::Open(open(request, first as i32, second, third as i32)),
        libc::SYS_openat2 => Trapped::Open(openat2(request)),
        libc::SYS_execve => Trapped::Execute(program(request, first)),
        libc::SYS_execveat => Trapped::Execute(program(request, second)),
        libc::SYS_ioctl => Trapped::Control,
        libc::SYS_io_uring_setup => Trapped::IoUring,
        libc::SYS_ptrace => Trapped::Trace,
        libc::SYS_getdents64 => Trapped::List,
        _ => Trapped::Look,
    }
}

impl Open {
    /// The file will not be written.
    pub fn only_reads(&self) -> bool {
        self.flags & libc::O_ACCMODE == libc::O_RDONLY
    }

    /// The descriptor is closed at exec.
    pub fn cloexec(&self) -> bool {
        self.flags & libc::O_CLOEXEC != 0
    }
}

fn open(request: &Request, dirfd: i32, path: u64, flags: i32) -> Result<Open, MemoryError> {
    let path = Memory::of(request.tid).read_path(RemotePtr::new(path))?;
    Ok(Open { dirfd, path, flags })
}

/// The flags are the first field of `struct open_how` (linux/openat2.h).
fn openat2(request: &Request) -> Result<Open, MemoryError> {
    let [dirfd, path, how, ..] = request.arguments;
    let flags: u64 = Memory::of(request.tid).read(RemotePtr::new(how))?;
    open(request, dirfd as i32, path, flags as i32)
}

fn program(request: &Request, path: u64) -> Result<PathBuf, MemoryError> {
    let path = Memory::of(request.tid).read_path(RemotePtr::new(path))?;
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// Whether the name looks like a shared library's.
pub fn may_be_library(path: &[u8]) -> bool {
    path.windows(3).any(|part| part == b".so")
}
