//! `vgpu-run attach PID`: the filter is put into a process that runs already.
//!
//! ```text
//!   visit one thread ──▶ a page with our program ──▶ seccomp(all threads) ──▶ listener there
//!                                                                              │ pidfd_getfd
//!        it goes on ◀── page and its copy of the listener are gone again ◀─────┴──▶ supervisor
//! ```
//!
//! Its threads and all processes that it starts from now on are followed; those that it has started before are not, each can be
//! attached to. What it has opened before stays as it was: libraries that it loads from now on are answered.
//!
//! A filter can't be taken out. After Ctrl-C ("detach") a process of ours stays and lets every call through until the last
//! filtered process has ended, which costs each of these calls some microseconds; it says so.
//!
//! Filters that the process has already are asked first whether they permit our calls, as one that kills for `seccomp(2)` would end it.

use std::fmt::Write as _;
use std::io;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;
use syscall_filter::{ATTACHED, Program, judge};
use tracee::{Facts, Memory, PidFd, RemotePtr};
use tracer::{Gone, Visit, VisitError};

use crate::failure::{Doing, Failure};
use crate::launch::{Launched, Way};

/// What is asked of an attachment.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The process.
    pub pid: i32,
    /// Also if the process has filters that we can't read.
    pub force: bool,
    /// Its programs may change the user, and run under our filter then.
    pub allow_setuid: bool,
}

/// Puts the filter into the process.
pub fn attach(order: Order, filter: &Program) -> Result<Launched, Failure> {
    let process = PidFd::open(order.pid).map_err(|error| refused(order.pid, &error))?;
    // Asked of ourselves first: once the filter is in, there is no way back.
    let ourselves = PidFd::open(std::process::id() as i32).doing("open a handle on ourselves")?;
    ourselves
        .descriptor(0)
        .map(drop)
        .or_else(none_is_no_matter)
        .map_err(|error| no_duplicates(order.pid, error))?;
    let mut visit = Visit::begin(order.pid).map_err(|error| explain(order.pid, error))?;
    let outcome = permitted(&visit, order).and_then(|()| install(&mut visit, &process, order, filter));
    // Whatever has happened, the process goes on.
    let left = visit.end();
    let listener = outcome?;
    left.map_err(|gone| explain(order.pid, gone.into()))?;
    Ok(Launched { pid: Pid::from_raw(order.pid), way: Way::Notified(listener) })
}

fn none_is_no_matter(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(libc::EBADF) { Ok(()) } else { Err(error) }
}

const PAGE: u64 = 4096;

/// `struct sock_fprog`, and behind it the instructions.
fn image(filter: &Program, page: u64) -> Vec<u8> {
    const HEAD: u64 = 16;
    let instructions = filter.instructions();
    let mut bytes = (instructions.len() as u64).to_ne_bytes().to_vec();
    bytes.extend((page + HEAD).to_ne_bytes());
    for instruction in instructions {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    bytes
}

fn install(visit: &mut Visit, process: &PidFd, order: Order, filter: &Program) -> Result<OwnedFd, Failure> {
    let length = (image(filter, 0).len() as u64).next_multiple_of(PAGE);
    let (readable, private) =
        ((libc::PROT_READ | libc::PROT_WRITE) as u64, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64);
    let mapping = [0, length, readable, private, u64::MAX, 0];
    let page = call(visit, order.pid, "map memory", libc::SYS_mmap, mapping)?;
    let listener = with_page(visit, process, order, filter, page);
    let unmapped = call(visit, order.pid, "unmap memory", libc::SYS_munmap, [page, length, 0, 0, 0, 0]);
    let listener = listener?;
    unmapped?;
    Ok(listener)
}

fn with_page(
    visit: &mut Visit,
    process: &PidFd,
    order: Order,
    filter: &Program,
    page: u64,
) -> Result<OwnedFd, Failure> {
    let memory = Memory::of(visit.tid());
    memory.write_bytes(RemotePtr::new(page), &image(filter, page)).doing("write to the process's memory")?;
    if !order.allow_setuid {
        let arguments = [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0];
        call(visit, order.pid, "give up new privileges", libc::SYS_prctl, arguments)?;
    }
    let arguments = [libc::SECCOMP_SET_MODE_FILTER.into(), ATTACHED, page, 0, 0, 0];
    let number = call(visit, order.pid, "install the filter", libc::SYS_seccomp, arguments)?;
    let listener = process.descriptor(number as i32);
    let closed = call(visit, order.pid, "close its listener", libc::SYS_close, [number, 0, 0, 0, 0, 0]);
    let listener = listener.doing("duplicate the listener")?;
    closed.map(|_| listener)
}

fn call(visit: &mut Visit, pid: i32, doing: &str, number: i64, arguments: [u64; 6]) -> Result<u64, Failure> {
    match visit.call(number, arguments) {
        Ok(result @ -4095..0) => Err(refused_call(pid, doing, io::Error::from_raw_os_error(-result as i32))),
        Ok(result) => Ok(result as u64),
        Err(gone) => Err(explain(pid, gone.into())),
    }
}

/// Calls that the process makes for us, in which filters of its own have a say.
fn calls(order: Order) -> impl Iterator<Item = (&'static str, i64, [u64; 6])> {
    let privileges = [libc::PR_SET_NO_NEW_PRIVS as u64, 1, 0, 0, 0, 0];
    [
        ("mmap", libc::SYS_mmap, [0, PAGE, 3, 0x22, u64::MAX, 0]),
        ("prctl", libc::SYS_prctl, privileges),
        ("seccomp", libc::SYS_seccomp, [libc::SECCOMP_SET_MODE_FILTER.into(), ATTACHED, 0, 0, 0, 0]),
        ("close", libc::SYS_close, [0; 6]),
        ("munmap", libc::SYS_munmap, [0, PAGE, 0, 0, 0, 0]),
    ]
    .into_iter()
    .filter(move |(name, ..)| *name != "prctl" || !order.allow_setuid)
}

/// Filters that the process has permit what we are about to do.
fn permitted(visit: &Visit, order: Order) -> Result<(), Failure> {
    if order.force || procfs::status_field(order.pid, "Seccomp").as_deref() != Some("2") {
        return Ok(());
    }
    let mut back = 0;
    loop {
        let program = match visit.filter(back) {
            Ok(Some(program)) => program,
            Ok(None) => return Ok(()),
            Err(error) => return Err(unread_filter(order.pid, &error)),
        };
        for (name, number, arguments) in calls(order) {
            let says = judge(&program, number, arguments).map(|says| says & libc::SECCOMP_RET_ACTION_FULL);
            match says {
                Some(libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG | libc::SECCOMP_RET_TRACE) => {}
                says => return Err(forbidden(order.pid, name, says)),
            }
        }
        back += 1;
    }
}

fn failure(pid: i32) -> Failure {
    let exe = Facts::of(pid).exe;
    let name =
        exe.as_deref().and_then(std::path::Path::file_name).map(|name| name.to_string_lossy().into_owned());
    Failure::new(match name {
        Some(name) => format!("cannot attach to `{name}` (pid {pid})"),
        None => format!("cannot attach to pid {pid}"),
    })
}

fn explain(pid: i32, error: VisitError) -> Failure {
    match error {
        VisitError::Refused(error) => refused(pid, &error),
        VisitError::Gone(Gone(_)) => failure(pid).cause("it has ended meanwhile"),
        VisitError::NotNative => failure(pid).cause(error).hint("only 64-bit programs can be given a GPU"),
        VisitError::Busy => failure(pid).cause(error).hint("try again when it does something else"),
        VisitError::NoVdso => failure(pid).cause(error),
    }
}

/// The kernel says no more than EPERM; what stands in the way is found out here.
fn refused(pid: i32, error: &io::Error) -> Failure {
    let failure = failure(pid).cause(error);
    if error.raw_os_error() != Some(libc::EPERM) && error.raw_os_error() != Some(libc::EACCES) {
        return match error.raw_os_error() {
            Some(libc::EINVAL | libc::ESRCH) => {
                failure.hint("there is no process of that number; a thread's is none")
            }
            _ => failure,
        };
    }
    if let Some(tracer) = procfs::status_field(pid, "TracerPid").filter(|tracer| tracer != "0") {
        let by = Facts::of(tracer.parse().unwrap_or(0))
            .exe
            .map_or_else(String::new, |exe| format!(" ({})", exe.display()));
        return failure
            .cause(format!("process {tracer}{by} traces it already"))
            .hint("end the debugger, or detach it");
    }
    // SAFETY: the call takes nothing.
    let own = unsafe { libc::geteuid() };
    let owners = procfs::status_field(pid, "Uid").unwrap_or_default();
    let owner = owners.split_whitespace().next().unwrap_or("?");
    if own != 0 && owner != own.to_string() {
        return failure
            .cause(format!("it belongs to user {owner}, and vgpu-run runs as user {own}"))
            .hint("run `sudo vgpu-run attach …`, or as that user");
    }
    let scope = procfs::read_to_string("sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let scope = scope.trim();
    if matches!(scope, "1" | "2" | "3") {
        let mut cause = format!("kernel.yama.ptrace_scope is {scope}, ");
        let (needs, hint) = match scope {
            "1" => (
                "and the process is no child of ours: vgpu-run needs 0, or CAP_SYS_PTRACE",
                "run `sudo vgpu-run attach …`, or `sudo sysctl kernel.yama.ptrace_scope=0`",
            ),
            "2" => ("so vgpu-run needs CAP_SYS_PTRACE", "run `sudo vgpu-run attach …`"),
            _ => (
                "nobody may attach to anything until the machine starts anew",
                "start the program by `vgpu-run CMD…`",
            ),
        };
        let _ = cause.write_str(needs);
        return failure.cause(cause).hint(hint).hint("to keep a setting, put it into a file under sysctl.d");
    }
    failure
        .cause("the process has made itself undumpable, or capabilities or namespaces of ours are less than its own")
        .hint("run `sudo vgpu-run attach …`; in a container, add CAP_SYS_PTRACE")
}

fn no_duplicates(pid: i32, error: io::Error) -> Failure {
    failure(pid)
        .cause(format!("pidfd_getfd: {error}"))
        .hint("Linux 5.6 is needed, and in a container a seccomp profile that permits the call: Docker's does if CAP_SYS_PTRACE is added")
}

fn refused_call(pid: i32, doing: &str, error: io::Error) -> Failure {
    let failure = failure(pid).cause(format!("it cannot {doing}: {error}"));
    match error.raw_os_error() {
        Some(libc::EBUSY) => failure
            .cause("another program listens to its system calls already: the kernel permits one")
            .hint("is it in a container with a seccomp agent, or under vgpu-run?"),
        Some(libc::ESRCH) => failure
            .cause("a thread of it has a filter that the others do not have, so it cannot get ours")
            .hint("start the program by `vgpu-run CMD…`"),
        Some(libc::EACCES) => failure.hint("leave out `--allow-setuid`, which needs a process of root's"),
        Some(libc::EINVAL | libc::ENOSYS) => failure.hint("Linux 5.19 or newer is needed: check `uname -r`"),
        _ => failure,
    }
}

const FORCE: &str = "`--force` does it all the same: if the filter kills for `seccomp(2)`, the process ends";

fn unread_filter(pid: i32, error: &io::Error) -> Failure {
    failure(pid)
        .cause(format!("it has a seccomp filter, which vgpu-run may not read: {error}"))
        .hint("run vgpu-run as root outside of containers, which may read it")
        .hint(FORCE)
}

fn forbidden(pid: i32, call: &str, says: Option<u32>) -> Failure {
    let what = match says {
        Some(libc::SECCOMP_RET_ERRNO) => "refuses",
        Some(libc::SECCOMP_RET_USER_NOTIF) => "asks another program about",
        Some(_) => "ends the process for",
        None => "may not permit",
    };
    failure(pid)
        .cause(format!("a seccomp filter of its own {what} `{call}`"))
        .hint("in a systemd unit add `SystemCallFilter=seccomp`; in a container change the profile; or start the program by `vgpu-run CMD…`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_and_threads_are_refused_with_the_number() {
        let text = refused(i32::MAX, &io::Error::from_raw_os_error(libc::ESRCH)).to_string();
        assert!(
            text.contains("cannot attach to pid 2147483647") && text.contains("no process of that number"),
            "{text}"
        );
    }
}
