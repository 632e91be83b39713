//! Ending everything that came of us.
//!
//! A child subreaper becomes the parent of every descendant whose own parent ends, so killing children until
//! there are none left reaches all of them.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Kills all descendants. Precondition: this process is a child subreaper and has no other thread that waits
/// for children.
pub fn end_all() {
    loop {
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Err(Errno::ECHILD) => return,
            _ => reap_ended(),
        }
    }
}

fn reap_ended() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
        if status.pid().is_none() {
            return;
        }
    }
}

fn children() -> Vec<Pid> {
    let own = std::process::id();
    match fs::read_to_string(format!("/proc/self/task/{own}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect(),
        Err(_) => children_by_search(own as i32),
    }
}

/// For kernels without that file: every process whose parent we are.
fn children_by_search(own: i32) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| tracee::Facts::of(pid).parent == Some(own)).map(Pid::from_raw).collect()
}
