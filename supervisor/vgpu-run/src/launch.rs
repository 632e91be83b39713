//! Starting the program under the filter.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{AccessFlags, ForkResult, Pid, access, execvp, fork};
use syscall_filter::handover;
use syscall_filter::{InstallError, Program};

use crate::failure::{self, Doing, Failure};
use crate::inherited;

/// The program, on its way to exec.
pub struct Launched {
    /// Its process.
    pub pid: Pid,
    /// Where its listener comes from.
    handover: OwnedFd,
}

/// How the program is to be started.
pub struct Plan {
    command: Vec<CString>,
    executable: CString,
    filter: Program,
    allow_setuid: bool,
}

impl Plan {
    /// Prepares all that must not be done between fork and exec.
    pub fn new(command: &[OsString], filter: Program, allow_setuid: bool) -> Result<Self, Failure> {
        let c_string = |text: &OsStr| CString::new(text.as_bytes());
        let executable = c_string(find(&command[0]).as_os_str()).doing("use the program's name")?;
        let command: Result<Vec<_>, _> = command.iter().map(|part| c_string(part)).collect();
        let command = command.doing("use the program's arguments")?;
        Ok(Self { command, executable, filter, allow_setuid })
    }

    /// Forks. The new process stays in our process group, so the terminal treats it as the shell's job.
    pub fn start(&self) -> Result<Launched, Failure> {
        let (here, there) = handover::pair().doing("make a socket pair")?;
        // SAFETY: this process has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }.doing("fork the program")? {
            ForkResult::Parent { child } => Ok(Launched { pid: child, handover: here }),
            ForkResult::Child => {
                let Err(errno) = self.become_program(&there);
                let name = self.command[0].to_string_lossy();
                let failure = Failure::new(format!("cannot run `{name}`")).cause(errno.desc());
                eprint!("{failure}");
                let code = if errno == Errno::ENOENT { failure::NOT_FOUND } else { failure::CANNOT_EXECUTE };
                // SAFETY: ends this process without the parent's clean-up.
                unsafe { libc::_exit(code) }
            }
        }
    }

    fn become_program(&self, supervisor: &OwnedFd) -> Result<Infallible, Errno> {
        match self.install_filter() {
            Ok(listener) => {
                let sent = handover::send(supervisor, &[LISTENER], &[listener.as_raw_fd()]);
                if sent.is_err() {
                    // The supervisor is gone; nobody would ever answer us.
                    // SAFETY: ends this process without the parent's clean-up.
                    unsafe { libc::_exit(failure::FAILED.into()) }
                }
            }
            Err(error) => {
                let _ = handover::send(supervisor, &encode(&error), &[]);
                // SAFETY: as above.
                unsafe { libc::_exit(failure::FAILED.into()) }
            }
        }
        inherited::restore();
        execvp(&self.executable, &self.command)
    }

    fn install_filter(&self) -> Result<OwnedFd, InstallError> {
        if !self.allow_setuid {
            syscall_filter::forbid_new_privileges().map_err(InstallError::Failed)?;
        }
        syscall_filter::install(&self.filter)
    }
}

impl AsFd for Launched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handover.as_fd()
    }
}

impl Launched {
    /// Waits until the filter is in place.
    pub fn listener(&self) -> Result<OwnedFd, Failure> {
        let mut message = handover::receive(&self.handover).doing("receive the listener")?;
        match (message.bytes.first(), message.descriptors.pop()) {
            (Some(&LISTENER), Some(listener)) => Ok(listener),
            (Some(&kind), None) => Err(explain(decode(kind, &message.bytes[1..]))),
            _ => Err(explain_end(waitpid(self.pid, None))),
        }
    }
}

/// What to do where somebody else's filter stands in the way.
const OUTER_FILTER: &str = "a seccomp filter around vgpu-run must permit seccomp(2): in a systemd unit add `SystemCallFilter=seccomp`";

/// Nobody has answered: the process has ended.
fn explain_end(ended: nix::Result<WaitStatus>) -> Failure {
    let failure = Failure::new("the program's process ended before its filter was in place");
    match ended {
        Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _)) => failure
            .cause("it was killed for a system call that a seccomp filter around vgpu-run forbids")
            .hint(OUTER_FILTER),
        Ok(WaitStatus::Signaled(_, signal, _)) => failure.cause(format!("it was killed by {signal}")),
        _ => failure,
    }
}

const LISTENER: u8 = b'L';

fn encode(error: &InstallError) -> [u8; 5] {
    let (kind, errno) = match error {
        InstallError::NotPermitted => (b'P', 0),
        InstallError::ListenerExists => (b'B', 0),
        InstallError::TooOld => (b'O', 0),
        InstallError::Failed(error) => (b'F', error.raw_os_error().unwrap_or(0)),
    };
    let [a, b, c, d] = errno.to_ne_bytes();
    [kind, a, b, c, d]
}

fn decode(kind: u8, errno: &[u8]) -> InstallError {
    match kind {
        b'P' => InstallError::NotPermitted,
        b'B' => InstallError::ListenerExists,
        b'O' => InstallError::TooOld,
        _ => {
            let errno = errno.try_into().map(i32::from_ne_bytes).unwrap_or(0);
            InstallError::Failed(std::io::Error::from_raw_os_error(errno))
        }
    }
}

fn explain(error: InstallError) -> Failure {
    let hint = match &error {
        InstallError::NotPermitted => "leave out `--allow-setuid`, which only root can use",
        InstallError::ListenerExists => {
            "the kernel allows one seccomp listener; run vgpu-run outside of the other one, or run the other one inside"
        }
        InstallError::TooOld => "check `uname -r`",
        InstallError::Failed(error) if error.raw_os_error() == Some(libc::EPERM) => OUTER_FILTER,
        InstallError::Failed(_) => "run `vgpu-run doctor`",
    };
    Failure::new("cannot follow the program's system calls").cause(error).hint(hint)
}

/// The file that exec will take. Looking it up here saves a trapped exec for each directory in PATH; if there
/// is none, the name is left as it is and exec says what is wrong.
fn find(program: &OsStr) -> PathBuf {
    let unchanged = || PathBuf::from(program);
    if program.as_bytes().contains(&b'/') {
        return unchanged();
    }
    let Some(path) = env::var_os("PATH") else { return unchanged() };
    let candidates = env::split_paths(&path).map(|directory| {
        let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
        directory.join(program)
    });
    candidates.into_iter().find(|candidate| is_executable(candidate)).unwrap_or_else(unchanged)
}

fn is_executable(candidate: &Path) -> bool {
    candidate.is_file() && access(candidate, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_path_and_a_path_is_left_alone() {
        assert!(find(OsStr::new("sh")).is_absolute());
        assert_eq!(find(OsStr::new("./sh")), Path::new("./sh"));
        assert_eq!(find(OsStr::new("no-such-program-anywhere")), Path::new("no-such-program-anywhere"));
    }

    #[test]
    fn install_errors_survive_the_way_to_the_supervisor() {
        let errors = [
            InstallError::NotPermitted,
            InstallError::ListenerExists,
            InstallError::TooOld,
            InstallError::Failed(std::io::Error::from_raw_os_error(libc::ENOMEM)),
        ];
        for error in errors {
            let bytes = encode(&error);
            assert_eq!(decode(bytes[0], &bytes[1..]).to_string(), error.to_string());
        }
    }
}
