//! The device node and the control calls on it: what connects the broker with our requests.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use broker::{Caller, CallerFd};
use interception::Request;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tracee::{Memory, PidFd, RemotePtr};

/// The asker of a control call, as the broker wants to see it.
pub struct Asker<'a> {
    request: &'a Request,
    tgid: i32,
    not_installed: RefCell<Option<io::Error>>,
}

impl<'a> Asker<'a> {
    /// The thread behind `request`, of process `tgid`.
    pub fn new(request: &'a Request, tgid: i32) -> Self {
        Self { request, tgid, not_installed: RefCell::default() }
    }

    /// Why it did not get a descriptor that the broker had for it. One that was killed meanwhile misses nothing.
    pub fn not_installed(&self) -> Option<io::Error> {
        self.not_installed.take().filter(|_| self.request.is_alive())
    }

    fn memory(&self) -> Memory {
        Memory::of(self.request.tid)
    }
}

impl Caller for Asker<'_> {
    fn process(&self) -> u32 {
        self.tgid as u32
    }

    fn identity(&self) -> (u32, u32) {
        // The owner of this directory is the effective user, or root for one that must not be looked into.
        let owner = procfs::metadata(&self.tgid.to_string()).map(|owner| (owner.uid(), owner.gid())).ok();
        let owner = owner.or_else(|| PidFd::open(self.tgid).ok()?.owner());
        owner.unwrap_or((u32::MAX, u32::MAX))
    }

    fn read(&self, address: u64, target: &mut [u8]) -> Result<(), Errno> {
        let result = self.memory().read_bytes(RemotePtr::new(address), target);
        result.map_err(|error| Errno::from_raw(error.errno()))
    }

    fn write(&self, parts: [(u64, &[u8]); 2]) -> Result<(), Errno> {
        let parts = parts.map(|(address, source)| (RemotePtr::new(address), source));
        let result = self.memory().write_parts(parts);
        result.map_err(|error| Errno::from_raw(error.errno()))
    }

    fn install(&self, descriptor: BorrowedFd) -> Result<CallerFd, Errno> {
        self.request.give(&descriptor, true).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            self.not_installed.replace(Some(error));
            Errno::from_raw(errno)
        })
    }

    fn descriptor(&self, number: CallerFd) -> Result<OwnedFd, Errno> {
        let duplicate = PidFd::open(self.tgid).and_then(|process| process.descriptor(number));
        duplicate.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }

    fn is_waiting(&self) -> bool {
        self.request.is_alive()
    }
}

/// Open files of `/dev/nvidiactl` and its like. Each is one end of a socket pair: polling it waits, reading
/// and mapping it fail, and our end hangs up when the last duplicate in the last process is closed.
#[derive(Default)]
pub struct Nodes {
    ours: Vec<OwnedFd>,
}

impl Nodes {
    /// A new open file for the asker. We keep the other end, so that it does not see a hang-up while we live.
    pub fn open(&mut self) -> Result<OwnedFd, Errno> {
        if self.ours.len() >= self.ours.capacity() {
            self.forget_closed();
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let pair = || socketpair(AddressFamily::Unix, SockType::Stream, None, flags);
        let (ours, theirs) = pair().or_else(|_| {
            self.forget_closed();
            pair()
        })?;
        self.ours.push(ours);
        Ok(theirs)
    }

    /// Lets go of those that nobody has open any more. Done when a client has ended, and before the list grows.
    pub fn forget_closed(&mut self) {
        let watched = |end: &OwnedFd| libc::pollfd { fd: end.as_raw_fd(), events: 0, revents: 0 };
        let mut polled: Vec<_> = self.ours.iter().map(watched).collect();
        // SAFETY: as many pollfds as told, alive here.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 0) };
        let mut looks = polled.iter();
        self.ours.retain(|_| looks.next().is_none_or(|look| look.revents & libc::POLLHUP == 0));
        self.ours.reserve(self.ours.len().max(64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_closed_nodes_are_forgotten() {
        let mut nodes = Nodes::default();
        let kept = nodes.open().unwrap();
        for _ in 0..1000 {
            drop(nodes.open().unwrap());
        }
        assert!(nodes.ours.len() < 200, "{} are held", nodes.ours.len());
        nodes.forget_closed();
        assert_eq!(nodes.ours.len(), 1);
        drop(kept);
    }
}
