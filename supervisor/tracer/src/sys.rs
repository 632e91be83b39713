//! The ptrace call.

use std::io;

/// A request whose arguments are numbers: the kernel touches no memory of ours.
pub fn with_numbers(request: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: all callers name requests whose arguments are numbers.
    checked(unsafe { libc::syscall(libc::SYS_ptrace, request as libc::c_long, tid, address, data) })
}

/// A request that reads or writes `value`.
///
/// # Safety
///
/// `T` is the struct that the request reads or writes, and any bytes are a valid `T`.
pub unsafe fn with_memory<T>(
    request: libc::c_uint,
    tid: i32,
    address: usize,
    value: &mut T,
) -> io::Result<()> {
    // SAFETY: as the caller promises.
    checked(unsafe {
        libc::syscall(libc::SYS_ptrace, request as libc::c_long, tid, address, std::ptr::from_mut(value))
    })
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
