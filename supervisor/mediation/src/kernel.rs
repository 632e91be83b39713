//! What executes the calls of workers: the kernel, or what stands in for it in tests.

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

/// An `ioctl`, as a worker hands it over.
#[derive(Clone, Debug)]
pub struct Handed {
    /// In the table that workers share with the supervisor.
    pub descriptor: RawFd,
    /// The request.
    pub number: u32,
    /// The address of the first copy, or any number.
    pub argument: u64,
    /// Where the copies of this call lie.
    pub area: Range<u64>,
}

/// Whoever executes calls, in the process that makes them.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// What the call returned.
    pub ioctl: fn(&Handed) -> io::Result<i32>,
    /// Opens a file for reading and writing.
    pub open: fn(&CStr) -> io::Result<RawFd>,
}

impl Kernel {
    /// The one that this process runs on.
    pub const OWN: Self = Self { ioctl, open };
}

fn ioctl(handed: &Handed) -> io::Result<i32> {
    // SAFETY: the argument is the address of a copy in the call's area, whose pointers were replaced by such addresses; the driver keeps
    // none of them.
    check(unsafe { libc::ioctl(handed.descriptor, handed.number.into(), handed.argument) })
}

fn open(path: &CStr) -> io::Result<RawFd> {
    // SAFETY: the path ends with its NUL.
    check(unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) })
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
