//! Ending everything that came of us.
//!
//! A child subreaper becomes the parent of every descendant whose own parent ends, so killing children until
//! there are none left reaches all of them.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procfs::Place;
use tracee::PidFd;

/// Kills all descendants. Precondition: this process is a child subreaper and has no other thread that waits
/// for children.
pub fn end_all() {
    // Mostly nobody is left, and looking for children in /proc takes longer.
    if !reap_ended() || procfs::place() == Place::Nowhere && all_end_by_themselves() {
        return;
    }
    loop {
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Err(Errno::ECHILD) => return,
            _ => drop(reap_ended()),
        }
    }
}

/// Whether children are left that have not ended.
fn reap_ended() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
            Ok(status) if status.pid().is_some() => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// Those who were killed already are gone in a moment; finding the others takes a second where there is no /proc.
fn all_end_by_themselves() -> bool {
    (0..50).any(|_| {
        let some_are_left = reap_ended();
        if some_are_left {
            std::thread::sleep(Duration::from_millis(1));
        }
        !some_are_left
    })
}

fn children() -> Vec<Pid> {
    let own = std::process::id();
    match procfs::read_to_string(&format!("self/task/{own}/children")) {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect(),
        Err(_) if procfs::place() == Place::Nowhere => children_by_asking_all(own as i32),
        Err(_) => children_by_search(own as i32),
    }
}

/// For kernels without that file: every process whose parent we are.
fn children_by_search(own: i32) -> Vec<Pid> {
    let processes = procfs::processes().into_iter();
    processes.filter(|&pid| tracee::Facts::of(pid).parent == Some(own)).map(Pid::from_raw).collect()
}

/// The same without /proc: every number that a process may have.
fn children_by_asking_all(own: i32) -> Vec<Pid> {
    // `PID_MAX_LIMIT` of linux/threads.h.
    const MOST: i32 = 4 << 20;
    let parent = |pid| PidFd::open(pid).ok()?.parent();
    (1..=MOST).filter(|&pid| parent(pid) == Some(own)).map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_in_each_way() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let (own, expected) = (std::process::id() as i32, Pid::from_raw(child.id() as i32));
        assert!(children_by_search(own).contains(&expected));
        match PidFd::open(own).unwrap().parent() {
            Some(_) => assert!(children_by_asking_all(own).contains(&expected)),
            None => println!("skipped: this kernel tells parents only in /proc"),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
