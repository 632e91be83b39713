//! How clients of the device end whose parent is not the supervisor: a parent's `wait` tells others nothing.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tracee::PidFd;

/// Processes whose end is waited for.
pub struct Exits {
    watch: Epoll,
    followed: HashMap<i32, PidFd>,
}

impl Exits {
    /// Nobody yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self { watch: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?, followed: HashMap::new() })
    }

    /// Wants to hear of this process's end.
    pub fn follow(&mut self, tgid: i32) {
        if self.followed.get(&tgid).is_some_and(|handle| !handle.has_ended()) {
            return;
        }
        let Ok(handle) = PidFd::open(tgid) else { return };
        if self.watch.add(&handle, EpollEvent::new(EpollFlags::EPOLLIN, tgid as u64)).is_ok() {
            // An older handle leaves the watch list when it is closed.
            self.followed.insert(tgid, handle);
        }
    }

    /// Those that have ended since, each with its wait status, where that can be had.
    pub fn look(&mut self) -> Vec<(i32, Option<i32>)> {
        let mut ready = [EpollEvent::empty(); 16];
        let mut ended = Vec::new();
        while let Ok(count @ 1..) = self.watch.wait(&mut ready, EpollTimeout::ZERO) {
            for event in &ready[..count] {
                let tgid = event.data() as i32;
                let handle = self.followed.remove(&tgid);
                ended.push((tgid, handle.and_then(|handle| handle.wait_status(tgid))));
            }
        }
        ended
    }

    /// The same, once all have ended or some time has passed: a process leaves the filter before it has ended.
    pub fn look_at_last(&mut self, patience: Duration) -> Vec<(i32, Option<i32>)> {
        let begun = Instant::now();
        let mut ended = self.look();
        while !self.followed.is_empty() && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
            ended.extend(self.look());
        }
        ended
    }
}

/// Readable when one has ended.
impl AsFd for Exits {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_child_that_nobody_has_waited_for_is_told_once() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let tgid = child.id() as i32;
        let mut exits = Exits::new().unwrap();
        exits.follow(tgid);
        exits.follow(tgid);
        assert_eq!(exits.look(), []);
        child.kill().unwrap();
        assert_eq!(exits.look_at_last(Duration::from_secs(10)), [(tgid, Some(libc::SIGKILL))]);
        assert_eq!(exits.look(), []);
        child.wait().unwrap();
    }
}
