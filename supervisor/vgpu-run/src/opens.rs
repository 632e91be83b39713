//! Reading the arguments of the calls that open or execute a file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use interception::{OF_32_BITS, Request};
use syscall_filter::ROOTS;
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

/// An exec, as its caller put it.
#[derive(Debug)]
pub struct Execution {
    /// `AT_FDCWD` or the directory that a relative path starts from.
    pub dirfd: i32,
    /// Where the path is.
    pub address: u64,
    /// The path, without NUL.
    pub path: Vec<u8>,
}

/// The system calls that the filter lets us see, told apart.
pub enum Trapped {
    /// open, openat, openat2.
    Open(Result<Open, MemoryError>),
    /// An openat2 that is more than an open.
    Special,
    /// execve, execveat.
    Execute(Result<Execution, MemoryError>),
    /// ioctl with one of our request numbers, or one that NVIDIA's nodes have.
    Control,
    /// mmap of a file, shared and not from its beginning.
    Map,
    /// io_uring_setup.
    IoUring,
    /// ptrace.
    Trace,
    /// seccomp, and the prctl that does the same.
    OwnFilter,
    /// getdents64.
    List,
    /// stat, access and their kind.
    Look,
    /// chroot, mount and their kind.
    Root,
}

/// Which call it is, with its arguments read from the caller's memory.
pub fn decode(request: &Request) -> Trapped {
    let [first, second, third, ..] = request.arguments;
    match request.number {
        libc::SYS_open => Trapped::Open(open(request, libc::AT_FDCWD, first, second as i32)),
        libc::SYS_openat => Trapped::Open(open(request, first as i32, second, third as i32)),
        libc::SYS_openat2 => match openat2(request).transpose() {
            Some(open) => Trapped::Open(open),
            None => Trapped::Special,
        },
        libc::SYS_execve => Trapped::Execute(execution(request, libc::AT_FDCWD, first)),
        libc::SYS_execveat => Trapped::Execute(execution(request, first as i32, second)),
        libc::SYS_ioctl => Trapped::Control,
        libc::SYS_mmap => Trapped::Map,
        libc::SYS_io_uring_setup => Trapped::IoUring,
        libc::SYS_ptrace => Trapped::Trace,
        libc::SYS_seccomp | libc::SYS_prctl => Trapped::OwnFilter,
        libc::SYS_getdents64 => Trapped::List,
        number if number == OF_32_BITS || ROOTS.iter().any(|row| row.number == number) => Trapped::Root,
        _ => Trapped::Look,
    }
}

impl Execution {
    /// The path.
    pub fn program(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}

impl Open {
    /// The file will not be written.
    pub fn only_reads(&self) -> bool {
        self.flags & libc::O_ACCMODE == libc::O_RDONLY
    }

    /// It is to be a directory, which nothing of ours is.
    pub fn wants_directory(&self) -> bool {
        self.flags & libc::O_DIRECTORY != 0
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

/// Flags of an openat2 that loaders and clients of a device may pass; with others it is the kernel's.
const PLAIN_FLAGS: u64 =
    (libc::O_ACCMODE | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOATIME | O_LARGEFILE) as u64;
/// The kernel's; libc has 0 for it, as a 64-bit program need not pass it.
const O_LARGEFILE: i32 = 0o100000;
/// What can be asked beyond openat and makes no difference to a name that we answer: no link leads there.
const PLAIN_RESOLUTION: u64 = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_CACHED;

/// `None` for what is no plain open: only the kernel knows other roots and today's rules for what is refused.
fn openat2(request: &Request) -> Result<Option<Open>, MemoryError> {
    let [dirfd, path, how, size, ..] = request.arguments;
    // `struct open_how` of linux/openat2.h. Longer ones ask for what this program knows nothing of.
    if size != size_of::<libc::open_how>() as u64 {
        return Ok(None);
    }
    let [flags, mode, resolve]: [u64; 3] = Memory::of(request.tid).read(RemotePtr::new(how))?;
    if flags & !PLAIN_FLAGS != 0 || mode != 0 || resolve & !PLAIN_RESOLUTION != 0 {
        return Ok(None);
    }
    open(request, dirfd as i32, path, flags as i32).map(Some)
}

fn execution(request: &Request, dirfd: i32, address: u64) -> Result<Execution, MemoryError> {
    let path = Memory::of(request.tid).read_path(RemotePtr::new(address))?;
    Ok(Execution { dirfd, address, path })
}

/// Whether the name looks like a shared library's.
pub fn may_be_library(path: &[u8]) -> bool {
    path.windows(3).any(|part| part == b".so")
}
