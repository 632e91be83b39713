//! A process that cannot be mistaken for another.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor for a process. It becomes readable when the process has ended.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// Of the process `tgid` as it is now; fails if that is a thread or nobody.
    pub fn open(tgid: i32) -> io::Result<Self> {
        // SAFETY: the call takes numbers.
        let result = unsafe { libc::syscall(libc::SYS_pidfd_open, tgid, 0) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(result as i32) }))
    }

    /// Sends a signal; to nobody else, even if the number has been reused.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: without siginfo the call takes numbers.
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, no_info, 0) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The process has ended.
    pub fn has_ended(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        unsafe { libc::poll(&mut poll, 1, 0) };
        poll.revents != 0
    }
}

impl From<OwnedFd> for PidFd {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_process_is_seen_to_have_ended() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let pidfd = PidFd::open(child.id() as i32).unwrap();
        assert!(!pidfd.has_ended());
        pidfd.signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(pidfd.has_ended());
        assert_eq!(pidfd.signal(libc::SIGKILL).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
