//! The process that the shell started. Small, so that there is little in it that could die.
//!
//! - passes signals on to the program, and its exit status to the shell;
//! - stops when the program stops, so that job control works;
//! - takes in orphans, as the first process of a container must;
//! - if the supervisor dies, ends the tree and exits with 125;
//! - if the program is a process that was attached to, Ctrl-C and the like mean us: the supervisor is told to leave it;
//! - if the program leaves processes behind, goes, and leaves a process that holds their listener: should the
//!   supervisor die then, that one lets their system calls through until the last of them ends. A filter
//!   can't be removed, and with nobody listening every filtered call would fail with ENOSYS.
//!
//! The terminal sends its signals (Ctrl-C, window size) to the whole process group, so the program has got
//! them already and they are not passed on; all others are.

use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use notification::{InFlight, Listener};
use tracee::PidFd;

use crate::cli::{Session, Target};
use crate::descendants;
use crate::descriptors;
use crate::failure::{self, Doing, Failure};
use crate::link::{Link, Message};
use crate::supervisor;

/// Runs the session and returns the exit code, unless the program died of a signal: then so do we.
pub fn run(session: Session) -> Result<ExitCode, Failure> {
    let _ = prctl::set_child_subreaper(true);
    block_signals().doing("block signals")?;
    let in_flight = InFlight::new().doing("share memory with the supervisor")?;
    let (link, supervisors_link) = Link::pair().doing("make a socket pair")?;
    let is_attached = matches!(session.target, Target::Process { .. });
    // SAFETY: this process has one thread, so the child may do whatever the parent may.
    match unsafe { fork() }.doing("fork the supervisor")? {
        ForkResult::Child => {
            drop(link);
            Ok(supervisor::run(&session, supervisors_link, in_flight))
        }
        ForkResult::Parent { child } => {
            drop(supervisors_link);
            Keeper::new(child, link, in_flight, is_attached)?.watch()
        }
    }
}

struct Keeper {
    supervisor: Pid,
    supervisor_handle: PidFd,
    link: Option<Link>,
    signals: SignalFd,
    in_flight: InFlight,
    tree: Option<Tree>,
    /// Signals that came before there was a program to pass them to.
    early_signals: Vec<i32>,
    status: Option<i32>,
    /// The program ran before we came, and goes on when we leave.
    is_attached: bool,
}

struct Tree {
    listener: Option<std::os::fd::OwnedFd>,
    program: PidFd,
}

/// What woke us.
struct Woken {
    link: bool,
    signals: bool,
    supervisor_ended: bool,
}

impl Keeper {
    fn new(supervisor: Pid, link: Link, in_flight: InFlight, is_attached: bool) -> Result<Self, Failure> {
        let supervisor_handle = PidFd::open(supervisor.as_raw()).doing("watch the supervisor")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&asynchronous_signals(), flags).doing("receive signals")?;
        let kept = [link.as_fd(), supervisor_handle.as_fd(), signals.as_fd()].map(|fd| fd.as_raw_fd());
        descriptors::keep_only(&kept);
        Ok(Self {
            supervisor,
            supervisor_handle,
            link: Some(link),
            signals,
            in_flight,
            tree: None,
            early_signals: vec![],
            status: None,
            is_attached,
        })
    }

    fn watch(mut self) -> Result<ExitCode, Failure> {
        loop {
            let woken = self.wait();
            if woken.link {
                match self.link.as_ref().and_then(Link::hear) {
                    Some(Message::Ended { status, leftovers: true }) => return Ok(self.leave(status)),
                    Some(message) => self.handle_message(message),
                    None => self.link = None,
                }
                continue;
            }
            if woken.signals {
                self.handle_signals();
            }
            if woken.supervisor_ended {
                return self.handle_end_of_supervisor();
            }
        }
    }

    fn wait(&self) -> Woken {
        let watched = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut polled = vec![watched(self.signals.as_fd()), watched(self.supervisor_handle.as_fd())];
        polled.extend(self.link.as_ref().map(|link| watched(link.as_fd())));
        let _ = poll(&mut polled, PollTimeout::NONE);
        let ready = |index: usize| polled.get(index).is_some_and(|fd| fd.any().unwrap_or(false));
        Woken { signals: ready(0), supervisor_ended: ready(1), link: ready(2) }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Launched { listener, program } => {
                self.early_signals.drain(..).for_each(|signal| drop(program.signal(signal)));
                self.tree = Some(Tree { listener, program });
            }
            // Who was killed while it was stopped does not continue.
            Message::Stopped if self.tree.as_ref().is_some_and(|tree| tree.program.has_ended()) => {}
            // Not through the signal mask: SIGSTOP cannot be blocked. SIGCONT wakes us.
            Message::Stopped => drop(nix::sys::signal::raise(Signal::SIGSTOP)),
            Message::Ended { status, .. } => self.status = Some(status),
        }
    }

    fn handle_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == Signal::SIGCHLD as u32 {
                self.reap_orphans();
            } else if self.is_attached {
                self.handle_signal_of_our_own(info.ssi_signo as i32);
            } else if !sent_by_terminal(&info) && info.ssi_pid != self.supervisor.as_raw() as u32 {
                self.pass_on(info.ssi_signo as i32);
            }
        }
    }

    /// The process that was attached to is not a child of ours and gets no signal by us.
    fn handle_signal_of_our_own(&self, signal: i32) {
        let ends = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&signal);
        if let Some(link) = self.link.as_ref().filter(|_| ends) {
            link.fall_silent();
        }
    }

    fn pass_on(&mut self, signal: i32) {
        match &self.tree {
            // An error means that the program has just ended.
            Some(tree) => drop(tree.program.signal(signal)),
            None => self.early_signals.push(signal),
        }
    }

    /// Everything but the supervisor, whose end is looked at when its handle says so.
    fn reap_orphans(&self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, flags) {
            match status.pid() {
                Some(pid) if pid != self.supervisor => drop(waitpid(pid, Some(WaitPidFlag::WNOHANG))),
                _ => return,
            }
        }
    }

    fn handle_end_of_supervisor(mut self) -> Result<ExitCode, Failure> {
        // What it said last may still be in the link.
        while let Some(message) = self.link.as_ref().and_then(Link::hear) {
            self.handle_message(message);
        }
        let ended = waitpid(self.supervisor, None);
        descendants::end_all();
        if self.is_attached && self.status.is_none() && self.tree.is_some() {
            let failure = Failure::new("the supervisor died; the process goes on, and has no GPU any more");
            eprint!("{}", explained(failure, ended));
            return Ok(self.leave(i32::from(failure::FAILED) << 8));
        }
        match self.status {
            Some(status) => Ok(end_like(status)),
            None => {
                if !matches!(ended, Ok(WaitStatus::Exited(..))) {
                    let failure = Failure::new(match self.is_attached {
                        true => "the supervisor died while it attached",
                        false => "the supervisor died, so the program was ended",
                    });
                    eprint!("{}", explained(failure, ended));
                }
                Ok(ExitCode::from(failure::FAILED))
            }
        }
    }

    /// The program has ended, others of its tree go on: the supervisor goes on serving them.
    fn leave(self, status: i32) -> ExitCode {
        // SAFETY: this process has one thread, so the child may do whatever the parent may.
        if let Ok(ForkResult::Child) = unsafe { fork() } {
            self.stand_by();
            return ExitCode::SUCCESS;
        }
        end_like(status)
    }

    /// Runs in the process that stays: waits for the supervisor's end, then answers in its place.
    fn stand_by(self) {
        let _ = setsid();
        let _ = prctl::set_name(c"vgpu-keeper");
        descriptors::silence(&[0, 1, 2]);
        let _ = std::env::set_current_dir("/");
        while !self.supervisor_handle.has_ended() {
            let mut polled = [PollFd::new(self.supervisor_handle.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut polled, PollTimeout::NONE);
        }
        // Without a listener the tree was traced, and the kernel ends it with its tracer.
        if let Some(listener) = self.tree.and_then(|tree| tree.listener)
            && let Ok(listener) = Listener::new(listener, None)
        {
            listener.let_everything_through(&self.in_flight);
        }
    }
}

/// With how the supervisor ended.
fn explained(failure: Failure, ended: nix::Result<WaitStatus>) -> Failure {
    match ended {
        Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _)) => failure
            .cause("it was killed for a system call that a seccomp filter around vgpu-run forbids")
            .hint(
                "in a systemd unit add `SystemCallFilter=seccomp`; for `--mechanism ptrace` also `ptrace pidfd_getfd`, for \
                 `--overlay full` `pidfd_getfd`",
            ),
        Ok(WaitStatus::Signaled(_, signal, _)) => failure.cause(format!("it was killed by {signal}")),
        Ok(status) => failure.cause(format!("{status:?}")),
        Err(error) => failure.cause(format!("its end is not known: {error}")),
    }
}

/// Signals that one process sends another; the rest mean a fault of our own and keep their effect.
fn asynchronous_signals() -> SigSet {
    use Signal::*;
    let mut signals = SigSet::all();
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT] {
        signals.remove(fault);
    }
    signals
}

fn block_signals() -> nix::Result<()> {
    asynchronous_signals().thread_block()
}

/// The kernel itself sent it: to the foreground group, of which the program is a part.
fn sent_by_terminal(info: &siginfo) -> bool {
    info.ssi_code == libc::SI_KERNEL
}

/// Ends as the program did: a shell sees the same status (128 + signal), and one that was interrupted sees
/// that it was. Where the signal does not end us (as process 1), the same number is the exit code.
fn end_like(status: i32) -> ExitCode {
    if libc::WIFEXITED(status) {
        return ExitCode::from(libc::WEXITSTATUS(status) as u8);
    }
    let number = libc::WTERMSIG(status);
    if let Ok(fatal) = Signal::try_from(number) {
        // One core file is enough.
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        // SAFETY: the default disposition is no handler of ours.
        let _ = unsafe { signal(fatal, SigHandler::SigDfl) };
        let _ = SigSet::from(fatal).thread_unblock();
        let _ = nix::sys::signal::raise(fatal);
    }
    ExitCode::from(128u8.wrapping_add(number as u8))
}
