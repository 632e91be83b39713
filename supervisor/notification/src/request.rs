//! One system call that waits, and what it can be answered with.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use crate::abi;
use crate::listener::Inner;

/// A system call that a target made and that now waits for our reply.
pub struct Request {
    listener: Arc<Inner>,
    id: u64,
    slot: Option<usize>,
    answered: bool,
    /// The asking *thread*, in our pid namespace.
    pub tid: i32,
    /// Number of the call.
    pub number: i64,
    /// Its six arguments; pointers are the asker's.
    pub arguments: [u64; 6],
}

/// All that a request can be answered with.
#[derive(Debug)]
pub enum Reply {
    /// The kernel executes the call as if nobody had looked.
    Continue,
    /// The call returns this and does nothing.
    Return(i64),
    /// The call fails with this errno (positive).
    Errno(i32),
    /// The call returns a new descriptor of the asker, for the open file of `fd`.
    InstallFd {
        /// Which open file; our own descriptor is closed.
        fd: OwnedFd,
        /// Whether the asker's descriptor is closed at its next exec.
        cloexec: bool,
    },
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The call returns it.
    Delivered,
    /// The asker was killed meanwhile; there is nobody to answer.
    Gone,
}

impl Request {
    pub(crate) fn new(listener: &Arc<Inner>, notification: &libc::seccomp_notif) -> Self {
        let slot = listener.in_flight.as_ref().and_then(|in_flight| in_flight.enter(notification.id));
        Self {
            listener: listener.clone(),
            id: notification.id,
            slot,
            answered: false,
            tid: notification.pid as i32,
            number: notification.data.nr.into(),
            arguments: notification.data.args,
        }
    }

    /// The asker still waits, so what was read about it since the request came is its own.
    pub fn is_alive(&self) -> bool {
        let mut id = self.id;
        self.listener.ioctl(abi::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id).is_ok()
    }

    /// Puts one more descriptor into the asker, without answering yet; returns its number there. For calls
    /// that hand out several. If the reply then fails, those descriptors stay: reply with success after this.
    pub fn give(&self, fd: &impl AsFd, cloexec: bool) -> io::Result<i32> {
        self.add_descriptor(fd, cloexec, 0)
    }

    /// Answers. An error means that the kernel refused the answer; the asker then goes on as if nobody had
    /// looked. A descriptor for which the asker has no room (EMFILE) becomes that errno in the asker.
    pub fn reply(mut self, reply: Reply) -> io::Result<Delivery> {
        let result = match reply {
            Reply::Continue => self.listener.send(self.id, 0, 0, true),
            Reply::Return(value) => self.listener.send(self.id, value, 0, false),
            Reply::Errno(errno) => self.listener.send(self.id, 0, -errno, false),
            Reply::InstallFd { fd, cloexec } => self.install(&fd, cloexec),
        };
        match result {
            Ok(()) => {
                self.answered = true;
                Ok(Delivery::Delivered)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.answered = true;
                Ok(Delivery::Gone)
            }
            Err(error) => Err(error),
        }
    }

    fn install(&self, fd: &OwnedFd, cloexec: bool) -> io::Result<()> {
        match self.add_descriptor(fd, cloexec, libc::SECCOMP_ADDFD_FLAG_SEND as u32) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                self.listener.send(self.id, 0, -libc::EMFILE, false)
            }
            Err(error) => Err(error),
        }
    }

    fn add_descriptor(&self, fd: &impl AsFd, cloexec: bool, flags: u32) -> io::Result<i32> {
        let newfd_flags = if cloexec { libc::O_CLOEXEC as u32 } else { 0 };
        let srcfd = fd.as_fd().as_raw_fd() as u32;
        let mut add = libc::seccomp_notif_addfd { id: self.id, flags, srcfd, newfd: 0, newfd_flags };
        self.listener.ioctl(abi::SECCOMP_IOCTL_NOTIF_ADDFD, &mut add)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.answered {
            // Nothing can be done about a failure: the asker is gone or the listener is.
            let _ = self.listener.send(self.id, 0, 0, true);
        }
        if let (Some(slot), Some(in_flight)) = (self.slot, &self.listener.in_flight) {
            in_flight.leave(slot);
        }
    }
}
