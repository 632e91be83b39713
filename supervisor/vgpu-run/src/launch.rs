//! Starting the program under the filter.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{AccessFlags, ForkResult, Pid, access, execvp, fork};
use syscall_filter::handover;
use syscall_filter::{InstallError, Program};
use tracer::Tracer;

use crate::failure::{self, Doing, Failure};
use crate::inherited;

/// The program, on its way to exec.
pub struct Launched {
    /// Its process.
    pub pid: Pid,
    /// How its calls come to us.
    pub way: Way,
}

/// How calls of the program come to us.
pub enum Way {
    /// By a listener, which comes from here.
    Promised(OwnedFd),
    /// By this listener.
    Notified(OwnedFd),
    /// As stops; the program's process waits before its exec.
    Traced(Tracer),
}

/// How the program is to be started.
pub struct Plan {
    command: Vec<CString>,
    executable: CString,
    allow_setuid: bool,
}

impl Plan {
    /// Prepares all that must not be done between fork and exec.
    pub fn new(command: &[OsString], allow_setuid: bool) -> Result<Self, Failure> {
        let c_string = |text: &OsStr| CString::new(text.as_bytes());
        let executable = c_string(find(&command[0]).as_os_str()).doing("use the program's name")?;
        let command: Result<Vec<_>, _> = command.iter().map(|part| c_string(part)).collect();
        let command = command.doing("use the program's arguments")?;
        Ok(Self { command, executable, allow_setuid })
    }

    /// Forks a process that installs the filter and sends us its listener. It stays in our process group, so the terminal
    /// treats it as the shell's job.
    pub fn start_notified(&self, filter: &Program) -> Result<Launched, Failure> {
        let (here, there) = handover::pair().doing("make a socket pair")?;
        // SAFETY: this process has one thread, so the child may do whatever the parent may.
        match unsafe { fork() }.doing("fork the program")? {
            ForkResult::Parent { child } => Ok(Launched { pid: child, way: Way::Promised(here) }),
            ForkResult::Child => {
                let installed = self.give_up_privileges().and_then(|()| syscall_filter::install(filter));
                match installed {
                    // If the supervisor is gone, nobody would ever answer us.
                    Ok(listener) => handover::send(&there, &[LISTENER], &[listener.as_raw_fd()])
                        .unwrap_or_else(|_| exit(failure::FAILED.into())),
                    Err(error) => refuse(&there, &error),
                }
                self.become_program()
            }
        }
    }

    /// Programs of its tree will not change their user, unless that is allowed.
    pub fn give_up_privileges(&self) -> Result<(), InstallError> {
        match self.allow_setuid {
            true => Ok(()),
            false => syscall_filter::forbid_new_privileges().map_err(InstallError::Failed),
        }
    }

    /// Programs of its tree may change their user.
    pub fn allows_setuid(&self) -> bool {
        self.allow_setuid
    }

    /// The last step of a child.
    pub fn become_program(&self) -> ! {
        inherited::restore();
        let Err(errno) = execvp(&self.executable, &self.command);
        let name = self.command[0].to_string_lossy();
        let failure = Failure::new(format!("cannot run `{name}`")).cause(errno.desc());
        eprint!("{failure}");
        exit(if errno == Errno::ENOENT { failure::NOT_FOUND } else { failure::CANNOT_EXECUTE })
    }
}

/// Ends a child without the parent's clean-up.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends this process.
    unsafe { libc::_exit(code) }
}

/// Tells the supervisor why the filter is not in place, and ends the child.
pub fn refuse(supervisor: &OwnedFd, error: &InstallError) -> ! {
    let _ = handover::send(supervisor, &encode(error), &[]);
    exit(failure::FAILED.into())
}

/// Why the program does not run.
pub enum Refusal {
    /// There is no filter.
    Filter(InstallError),
    /// Its process has ended before.
    Ended(nix::Result<WaitStatus>),
    /// Anything else.
    Other(Failure),
}

impl Refusal {
    /// What the process told before it ended.
    pub fn told(bytes: &[u8], ended: impl FnOnce() -> nix::Result<WaitStatus>) -> Self {
        match bytes {
            [kind, errno @ ..] => Refusal::Filter(decode(*kind, errno)),
            [] => Refusal::Ended(ended()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Filter(error) => explain(error),
            Refusal::Ended(ended) => explain_end(ended),
            Refusal::Other(failure) => failure,
        }
    }
}

impl Launched {
    /// Descriptors that are needed yet.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.way {
            Way::Promised(descriptor) | Way::Notified(descriptor) => Some(descriptor.as_raw_fd()),
            Way::Traced(_) => None,
        }
    }

    /// Waits until the filter is in place.
    pub fn wait_for_listener(&mut self) -> Result<(), Refusal> {
        let Way::Promised(promise) = &self.way else { return Ok(()) };
        let message = handover::receive(promise).doing("receive the listener");
        let mut message = message.map_err(Refusal::Other)?;
        match message.descriptors.pop() {
            Some(listener) => {
                self.way = Way::Notified(listener);
                Ok(())
            }
            None => Err(Refusal::told(&message.bytes, || waitpid(self.pid, None))),
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
            "the kernel allows one seccomp listener: leave out `--mechanism notify`, or run the other one inside of vgpu-run"
        }
        InstallError::TooOld => "check `uname -r`, and leave out `--mechanism notify`",
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
