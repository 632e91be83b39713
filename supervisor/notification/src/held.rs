//! One notification, and how the kernel is told its answer.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use interception::{Delivery, HeldCall, OF_32_BITS, Reply, Request};

use crate::abi;
use crate::listener::Inner;

/// A notification without answer yet.
struct Notified {
    listener: Arc<Inner>,
    id: u64,
    slot: Option<usize>,
    answered: bool,
}

pub(crate) fn request(listener: &Arc<Inner>, notification: &libc::seccomp_notif) -> Request {
    let slot = listener.in_flight.as_ref().and_then(|in_flight| in_flight.enter(notification.id));
    let held = Notified { listener: listener.clone(), id: notification.id, slot, answered: false };
    let data = &notification.data;
    let number = if data.arch == abi::AUDIT_ARCH_X86_64 { data.nr.into() } else { OF_32_BITS };
    Request::new(notification.pid as i32, number, data.args, Box::new(held))
}

impl HeldCall for Notified {
    fn is_alive(&self) -> bool {
        let mut id = self.id;
        self.listener.ioctl(abi::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id).is_ok()
    }

    fn give(&self, descriptor: BorrowedFd, cloexec: bool) -> io::Result<i32> {
        self.add_descriptor(descriptor, None, cloexec, 0)
    }

    fn give_as(&self, descriptor: BorrowedFd, number: i32, cloexec: bool) -> io::Result<()> {
        self.add_descriptor(descriptor, Some(number), cloexec, 0).map(drop)
    }

    fn answer(mut self: Box<Self>, reply: Reply) -> io::Result<Delivery> {
        let delivered = |()| Delivery::Delivered;
        let result = match reply {
            Reply::Continue => self.listener.send(self.id, 0, 0, true).map(delivered),
            Reply::Return(value) => self.listener.send(self.id, value, 0, false).map(delivered),
            Reply::Errno(errno) => self.listener.send(self.id, 0, -errno, false).map(delivered),
            Reply::InstallFd { fd, cloexec } => self.install(&fd, cloexec),
        };
        match result {
            Ok(delivery) => {
                self.answered = true;
                Ok(delivery)
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.answered = true;
                Ok(Delivery::Gone)
            }
            Err(error) => Err(error),
        }
    }
}

impl Notified {
    fn install(&self, fd: &OwnedFd, cloexec: bool) -> io::Result<Delivery> {
        match self.add_descriptor(fd.as_fd(), None, cloexec, libc::SECCOMP_ADDFD_FLAG_SEND as u32) {
            Ok(_) => Ok(Delivery::Delivered),
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                self.listener.send(self.id, 0, -libc::EMFILE, false).map(|()| Delivery::NoRoom)
            }
            Err(error) => Err(error),
        }
    }

    fn add_descriptor(
        &self,
        fd: BorrowedFd,
        number: Option<i32>,
        cloexec: bool,
        flags: u32,
    ) -> io::Result<i32> {
        let newfd_flags = if cloexec { libc::O_CLOEXEC as u32 } else { 0 };
        let srcfd = fd.as_raw_fd() as u32;
        let (newfd, chosen) = number.map_or((0, 0), |number| (number as u32, libc::SECCOMP_ADDFD_FLAG_SETFD));
        let flags = flags | chosen as u32;
        let mut add = libc::seccomp_notif_addfd { id: self.id, flags, srcfd, newfd, newfd_flags };
        self.listener.ioctl(abi::SECCOMP_IOCTL_NOTIF_ADDFD, &mut add)
    }
}

impl Drop for Notified {
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
