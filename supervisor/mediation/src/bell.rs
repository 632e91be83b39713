//! How the supervisor hears of workers that it does not wait for: one that has executed its order rings, and one that ends is seen to.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use tracee::PidFd;

/// Readable when something has happened.
pub struct Bell {
    /// Of `bell` and processes.
    events: OwnedFd,
    bell: OwnedFd,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        // SAFETY: the calls take numbers; the kernel makes the descriptors for us.
        let events = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        // SAFETY: as above.
        let bell = unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }?;
        let this = Self { events, bell };
        this.control(libc::EPOLL_CTL_ADD, this.bell.as_raw_fd())?;
        Ok(this)
    }

    /// For processes, which have the same table of descriptors.
    pub fn number(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// From now on its end is heard of.
    pub fn watch(&self, process: &PidFd) {
        match self.control(libc::EPOLL_CTL_ADD, process.as_fd().as_raw_fd()) {
            // It is watched already.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => tracing::warn!("the end of a process will not be seen: {error}"),
            Ok(()) => {}
        }
    }

    /// No longer.
    pub fn forget(&self, process: &PidFd) {
        let _ = self.control(libc::EPOLL_CTL_DEL, process.as_fd().as_raw_fd());
    }

    /// What has rung was heard.
    pub fn silence(&self) {
        let mut count = 0u64;
        // SAFETY: an eventfd gives eight bytes, or an error if it has not rung.
        unsafe { libc::read(self.bell.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }

    fn control(&self, operation: i32, descriptor: RawFd) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: the call takes numbers, and an event that is alive here.
        match unsafe { libc::epoll_ctl(self.events.as_raw_fd(), operation, descriptor, &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Rings, by the number that the supervisor's bell has.
pub fn ring(bell: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes that are alive here. It rings at last if it rang too often to be counted.
    unsafe { libc::write(bell, (&raw const one).cast(), size_of::<u64>()) };
}

/// # Safety
///
/// The number is an error, or a descriptor that is nobody else's.
unsafe fn owned(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: as the caller has promised.
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(number) }) }
}
