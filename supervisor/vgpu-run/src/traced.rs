//! Starting the program as a process that we trace, and trying out what of that works here.
//!
//! ```text
//!   child: waits ─────────────▶ installs the filter ──▶ stops itself ─────────▶ execs
//!   we:    attach, say "go" ──▶                         leave it, until start ─▶
//! ```

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use syscall_filter::{InstallError, Program, handover};
use tracer::{Scope, Tracer};

use crate::failure::{self, Doing, Failure};
use crate::launch::{self, Launched, Plan, Refusal, Way};

/// What the child does once it is traced and, where it has one, its filter is in place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Becomes the program.
    Run,
    /// Makes calls that the filter names.
    Try,
}

impl Plan {
    /// Forks a process and leaves it stopped before its exec. Without a filter every call is traced.
    pub fn start_traced(&self, filter: Option<&Program>, scope: Scope) -> Result<Launched, Refusal> {
        let (pid, tracer) = self.trace(filter, scope, Then::Run, |_| {})?;
        Ok(Launched { pid, way: Way::Traced(tracer) })
    }

    /// Whether calls that the filter names come to the tracer, which they do not where a notifier around us takes them.
    pub fn calls_come(&self, filter: &Program) -> Result<bool, Refusal> {
        let mut seen = BTreeSet::new();
        let tried = self.trace(Some(filter), Scope::Filtered, Then::Try, |number| seen.extend([number]));
        let (pid, _) = tried?;
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, None);
        Ok(TRIED.iter().all(|number| seen.contains(number)))
    }

    fn trace(
        &self,
        filter: Option<&Program>,
        scope: Scope,
        then: Then,
        at_call: impl FnMut(i64),
    ) -> Result<(Pid, Tracer), Refusal> {
        let (here, there) = handover::pair().doing("make a socket pair").map_err(Refusal::Other)?;
        // SAFETY: this process has one thread, so the child may do whatever the parent may.
        let forked = unsafe { fork() }.doing("fork the program").map_err(Refusal::Other)?;
        let ForkResult::Parent { child } = forked else {
            drop(here);
            self.be_traced(&there, filter, then)
        };
        drop(there);
        let mut tracer = match Tracer::attach(child.as_raw(), scope) {
            Ok(tracer) => tracer,
            Err(error) => {
                let failure = explain(child, &error);
                let _ = kill(child, Signal::SIGKILL);
                let _ = waitpid(child, None);
                return Err(Refusal::Other(failure));
            }
        };
        // A child that has ended is found out next.
        let _ = handover::send(&here, GO, &[]);
        let stopped = tracer.until_it_stops(child.as_raw(), at_call);
        stopped.map(|()| (child, tracer)).map_err(|status| {
            let told = handover::receive(&here).map(|message| message.bytes).unwrap_or_default();
            Refusal::told(&told, || {
                status.map_or(Err(Errno::ECHILD), |status| WaitStatus::from_raw(child, status))
            })
        })
    }

    fn be_traced(&self, supervisor: &OwnedFd, filter: Option<&Program>, then: Then) -> ! {
        let word = handover::receive(supervisor).map(|message| message.bytes);
        if word.as_deref().ok() != Some(GO) {
            launch::exit(failure::FAILED.into());
        }
        let installed = match filter {
            // With a filter, the kernel asks for that.
            None if self.allows_setuid() && !nix::unistd::geteuid().is_root() => {
                Err(InstallError::NotPermitted)
            }
            _ => self.give_up_privileges(),
        };
        let installed = installed.and_then(|()| filter.map_or(Ok(()), syscall_filter::install_traced));
        if let Err(error) = installed {
            launch::refuse(supervisor, &error);
        }
        if then == Then::Try {
            try_calls();
        }
        let _ = raise(Signal::SIGSTOP);
        match then {
            Then::Run => self.become_program(),
            Then::Try => launch::exit(0),
        }
    }
}

const GO: &[u8] = b"go";

/// Calls that a child tries; without these two nothing works.
const TRIED: [i64; 2] = [libc::SYS_openat, libc::SYS_ioctl];

/// Makes them so that they fail, whoever lets them through.
fn try_calls() {
    let [openat, ioctl] = TRIED;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the kernel finds no path at address 0, and no descriptor -1.
    unsafe {
        libc::syscall(openat, libc::AT_FDCWD, 0, flags, 0);
        libc::syscall(ioctl, -1, wire::control::REQUEST, 0);
    }
}

/// Why we may not trace a child of ours, and what to do about it.
fn explain(child: Pid, error: &std::io::Error) -> Failure {
    let failure = Failure::new("cannot trace the program").cause(format!("ptrace: {error}"));
    if let Some(tracer) = procfs::status_field(child, "TracerPid").filter(|tracer| tracer != "0") {
        return failure
            .cause(format!("process {tracer} traces it already, and the kernel permits one tracer"))
            .hint("start vgpu-run outside of the debugger, or use `--mechanism notify`");
    }
    let scope = procfs::read_to_string("sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim() {
        scope @ ("2" | "3") => failure
            .cause(format!("kernel.yama.ptrace_scope is {scope}, vgpu-run needs 0 or 1"))
            .hint("run `sudo sysctl kernel.yama.ptrace_scope=1`; a value of 3 stays until the machine is started again"),
        _ => failure.hint(
            "a seccomp filter around vgpu-run must permit ptrace(2): Docker's does since 19.03, or with `--cap-add SYS_PTRACE`; in a \
             systemd unit add `SystemCallFilter=ptrace`",
        ),
    }
}
