//! Letting a call through while nothing of its process can change what it is about.
//!
//! Registering a client's own pages (`NV_ESC_RM_ALLOC_MEMORY` of `NV01_MEMORY_SYSTEM_OS_DESCRIPTOR`) only the client can do: the driver
//! takes addresses of the caller. All its threads are stopped, the argument is compared with what was looked at, the call is let through,
//! and they go on when it has returned.
//!
//! Not stopped are other processes that share its memory or its table of descriptors.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// A stopped thread group. Dropping it lets the threads go on.
pub struct Frozen {
    asker: i32,
    /// Each with a signal that its stop has taken from it, or 0.
    threads: HashMap<i32, i32>,
}

/// How long a thread may take to stop: one that sleeps where nothing wakes it (a parent in `vfork`) does not.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_micros(20);

impl Frozen {
    /// Stops all threads of a process; of the one that asks, which waits in a call, the stop comes when that returns. Threads that stand
    /// `still` because they wait in calls of which nobody answers one meanwhile need no stop. Call from a thread that traces nothing else.
    pub fn begin(tgid: i32, asker: i32, still: &[i32]) -> io::Result<Self> {
        let mut frozen = Self { asker, threads: HashMap::new() };
        loop {
            let is_new = |tid: &i32| !frozen.threads.contains_key(tid) && !still.contains(tid);
            let new: Vec<_> = procfs::threads(tgid).into_iter().filter(is_new).collect();
            if new.is_empty() {
                return Ok(frozen);
            }
            for tid in new {
                frozen.stop(tid)?;
            }
        }
    }

    fn stop(&mut self, tid: i32) -> io::Result<()> {
        match request(libc::PTRACE_SEIZE, tid, 0) {
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
            result => result?,
        }
        self.threads.insert(tid, 0);
        let _ = request(libc::PTRACE_INTERRUPT, tid, 0);
        if tid == self.asker {
            return Ok(());
        }
        let signal =
            wait(tid, Some(PATIENCE)).ok_or_else(|| io::Error::from_raw_os_error(libc::ETIMEDOUT))?;
        self.threads.insert(tid, signal);
        Ok(())
    }

    /// Waits until the call has returned; to be asked after it was let through.
    pub fn returned(mut self) {
        if let Some(signal) = wait(self.asker, None) {
            self.threads.insert(self.asker, signal);
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for (tid, signal) in &self.threads {
            let _ = request(libc::PTRACE_DETACH, *tid, *signal);
        }
    }
}

fn request(request: libc::c_uint, tid: i32, data: i32) -> io::Result<()> {
    // SAFETY: these requests take numbers.
    match unsafe { libc::ptrace(request, tid, 0usize, data as usize) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for a thread's stop, or its end: the signal that it would get now, or 0. None if it takes too long.
fn wait(tid: i32, patience: Option<Duration>) -> Option<i32> {
    let begun = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: the call writes a number.
        match unsafe { libc::waitpid(tid, &mut status, libc::__WALL | libc::WNOHANG) } {
            0 if patience.is_some_and(|patience| begun.elapsed() > patience) => return None,
            0 => std::thread::sleep(PAUSE),
            reported if reported == tid => return Some(signal_of(status)),
            _ => return Some(0),
        }
    }
}

/// A stop for a signal takes it away; others are the kernel's own, which come with an event.
fn signal_of(status: i32) -> i32 {
    let event = status >> 16;
    if libc::WIFSTOPPED(status) && event == 0 { libc::WSTOPSIG(status) } else { 0 }
}
