//! Putting the program into the kernel, for the calling thread and everything that it starts.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::program::Program;

/// Why the filter is not in place.
#[derive(Debug)]
pub enum InstallError {
    /// Neither no_new_privs nor the capability to do without.
    NotPermitted,
    /// Another supervisor already listens on this process tree; the kernel allows one.
    ListenerExists,
    /// The kernel knows no user notification, or not the flags that make it safe to use.
    TooOld,
    /// Anything else.
    Failed(io::Error),
}

impl std::fmt::Display for InstallError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "cannot install the system call filter: ")?;
        match self {
            InstallError::NotPermitted => write!(out, "no_new_privs is not set and CAP_SYS_ADMIN is missing"),
            InstallError::ListenerExists => {
                write!(out, "another program already listens on this process tree")
            }
            InstallError::TooOld => write!(out, "Linux 5.19 or newer is needed"),
            InstallError::Failed(error) => write!(out, "{error}"),
        }
    }
}

impl std::error::Error for InstallError {}

/// Programs that change the user at exec no longer do so, for this process and its descendants. Without
/// privilege the kernel accepts a filter only after that.
pub fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: this prctl takes numbers only.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From linux/seccomp.h (5.19); libc has no name for it yet everywhere.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

const NOTIFY: libc::c_ulong =
    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW | WAIT_KILLABLE_RECV;

/// Flags with which a process that runs already gets the program, for all of its threads: with a listener a thread that can't have it is
/// told as an error, ESRCH, and not by its number.
pub const ATTACHED: libc::c_ulong =
    NOTIFY | libc::SECCOMP_FILTER_FLAG_TSYNC | libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH;

/// Installs the program and returns the listener.
///
/// `WAIT_KILLABLE_RECV`: a signal does not interrupt a call that the supervisor has begun to answer, so
/// nothing is answered twice (Go preempts its threads by signal all the time).
/// `SPEC_ALLOW`: no speculation mitigations are switched on for the tree; the filter is no sandbox.
///
/// Allocates nothing: it runs between fork and exec.
pub fn install(program: &Program) -> Result<OwnedFd, InstallError> {
    let descriptor = set_filter(NOTIFY, Some(program))?;
    // SAFETY: the kernel just made this descriptor for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Installs a program whose calls stop for the tracer, which the calling thread has already.
///
/// Allocates nothing: it runs between fork and exec.
pub fn install_traced(program: &Program) -> Result<(), InstallError> {
    match set_filter(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, Some(program)) {
        // The flag came with Linux 4.17.
        Err(InstallError::TooOld) => set_filter(0, Some(program)).map(drop),
        result => result.map(drop),
    }
}

/// Whether the kernel knows user notification and the flags that [`install`] wants. Installs nothing.
pub fn kernel_can_notify() -> bool {
    // Without a program the kernel says EFAULT, if it has nothing to say against the flags.
    matches!(set_filter(NOTIFY, None), Err(InstallError::Failed(error)) if error.raw_os_error() == Some(libc::EFAULT))
}

fn set_filter(flags: libc::c_ulong, program: Option<&Program>) -> Result<i32, InstallError> {
    let described = program.map(|program| {
        let instructions = program.instructions();
        libc::sock_fprog { len: instructions.len() as u16, filter: instructions.as_ptr().cast_mut() }
    });
    let program = described.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `program` is null, which is an error to the kernel, or points at a length and instructions that live in the
    // borrowed `Program`; the kernel copies them and writes nothing.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER as libc::c_ulong, flags, program)
    };
    if result >= 0 {
        return Ok(result as i32);
    }
    let error = io::Error::last_os_error();
    Err(match error.raw_os_error() {
        Some(libc::EACCES) => InstallError::NotPermitted,
        Some(libc::EBUSY) => InstallError::ListenerExists,
        Some(libc::EINVAL | libc::ENOSYS) => InstallError::TooOld,
        _ => InstallError::Failed(error),
    })
}
