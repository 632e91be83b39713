//! Waiting for traced threads, and what a stop means.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::stopped::{Gone, Stopped};

/// What waiting told of one thread or child.
#[derive(Debug)]
pub struct Report {
    pub tid: i32,
    status: i32,
}

/// Why a thread is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// At the entry of a call that the filter names.
    Filter,
    /// At the entry or exit of any call.
    Call,
    /// It has made a new thread or process.
    NewTask,
    /// It runs another program now.
    Exec,
    /// Its process is being stopped by this signal.
    GroupStop,
    /// It begins, its process goes on after a stop, or it was interrupted.
    Trap,
    /// This signal is to be delivered.
    Signal(i32),
}

/// Any of the ends of [`Report::what`].
#[derive(Debug)]
pub enum What {
    /// It is no more; its wait status.
    Ended(i32),
    /// It waits for us.
    Stop(Stopped, Why),
}

impl Report {
    /// What it says. Consumed, as a stop is told once.
    pub fn what(self) -> What {
        match libc::WIFSTOPPED(self.status) {
            true => What::Stop(Stopped::new(self.tid), why(self.status)),
            false => What::Ended(self.status),
        }
    }
}

fn why(status: i32) -> Why {
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_SECCOMP => Why::Filter,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Why::NewTask,
        libc::PTRACE_EVENT_EXEC => Why::Exec,
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Why::Trap,
        libc::PTRACE_EVENT_STOP => Why::GroupStop,
        // `PTRACE_O_TRACESYSGOOD` sets this bit.
        _ if signal == libc::SIGTRAP | 0x80 => Why::Call,
        _ => Why::Signal(signal),
    }
}

/// Reports that came while one thread was waited for.
#[derive(Default)]
pub struct Waits {
    kept: RefCell<VecDeque<Report>>,
}

impl Waits {
    /// The next report, if there is one.
    pub fn next(&self) -> Option<Report> {
        self.kept.borrow_mut().pop_front().or_else(|| wait(libc::WNOHANG))
    }

    /// An exec makes earlier stops under its number void: whoever stopped has ended.
    fn keep(&self, report: Report) {
        let mut kept = self.kept.borrow_mut();
        if why_is_exec(report.status) {
            kept.retain(|earlier| earlier.tid != report.tid || !libc::WIFSTOPPED(earlier.status));
        }
        kept.push_back(report);
    }

    /// Waits for the next stop of this thread, which was just resumed. What others have to say is kept.
    pub fn stop_of(&self, tid: i32) -> Result<(Stopped, Why), Gone> {
        loop {
            let report = wait_soon().ok_or(Gone(tid))?;
            let is_end = report.tid == tid && !libc::WIFSTOPPED(report.status);
            // After an exec of another thread it is not the same one any more.
            let is_other = report.tid == tid && why_is_exec(report.status);
            match report.tid == tid && !is_end && !is_other {
                true => return Ok((Stopped::new(tid), why(report.status))),
                false => self.keep(report),
            }
            if is_end || is_other {
                return Err(Gone(tid));
            }
        }
    }
}

fn why_is_exec(status: i32) -> bool {
    libc::WIFSTOPPED(status) && why(status) == Why::Exec
}

/// An injected call takes about a microsecond, and being woken on another core many.
fn wait_soon() -> Option<Report> {
    soon(|| wait(libc::WNOHANG)).or_else(|| wait(0))
}

/// Asks again and again for some microseconds, if there is another core on which an answer can come about meanwhile. Giving the
/// core up in between would be no kindness: on a busy machine it comes back milliseconds later.
pub fn soon<T>(ask: impl Fn() -> Option<T>) -> Option<T> {
    const SOON: Duration = Duration::from_micros(20);
    static CORES: OnceLock<usize> = OnceLock::new();
    let first = ask();
    if first.is_some() || *CORES.get_or_init(|| available_parallelism().map_or(1, usize::from)) == 1 {
        return first;
    }
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::hint::spin_loop();
    }
    None
}

fn wait(flags: i32) -> Option<Report> {
    loop {
        let mut status = 0;
        // SAFETY: the call writes one number.
        let tid = unsafe { libc::waitpid(-1, &mut status, flags | libc::__WALL) };
        if tid > 0 {
            return Some(Report { tid, status });
        }
        let interrupted = tid < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
        if !interrupted {
            return None;
        }
    }
}
