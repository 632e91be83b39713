//! The listener descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use interception::Request;

use crate::abi;
use crate::ahead::Ahead;
use crate::held;
use crate::in_flight::InFlight;

/// Why a listener cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// seccomp(SECCOMP_GET_NOTIF_SIZES) failed.
    #[error("cannot ask the kernel for the size of its notifications: {0}")]
    Sizes(#[source] io::Error),
    /// A kernel newer than this program by a lot.
    #[error(
        "the kernel's notifications have {0} bytes, more than the {BUFFER_BYTES} this program has room for"
    )]
    TooLarge(usize),
}

/// Room for what the kernel writes; a newer kernel may write more than libc's struct.
const BUFFER_BYTES: usize = 256;

/// Receives the requests of every process that inherited one filter.
pub struct Listener {
    inner: Arc<Inner>,
}

/// What requests share with their listener.
pub(crate) struct Inner {
    descriptor: OwnedFd,
    ahead: Ahead,
    pub(crate) in_flight: Option<InFlight>,
}

impl Listener {
    /// Takes the descriptor that installing the filter returned. With `in_flight`, whoever shares that
    /// memory can answer in our place after our death.
    pub fn new(descriptor: OwnedFd, in_flight: Option<InFlight>) -> Result<Self, ListenerError> {
        let size = notification_size().map_err(ListenerError::Sizes)?;
        if size > BUFFER_BYTES {
            return Err(ListenerError::TooLarge(size));
        }
        Ok(Self { inner: Arc::new(Inner { descriptor, ahead: Ahead::default(), in_flight }) })
    }

    /// From now on askers wake up on the core that answers them, which mostly has nothing else to do then. For calls this takes half
    /// the time that waking another core takes.
    pub fn wake_on_this_core(&self) {
        // SAFETY: this request takes a number. A kernel that does not know it answers EINVAL, and then
        // calls just take longer.
        unsafe {
            libc::ioctl(
                self.inner.descriptor.as_raw_fd(),
                abi::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                abi::SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP,
            )
        };
    }

    /// The next request; `None` if the asker died before we could look, or a signal interrupted us. Waits if
    /// there is none: poll the descriptor first.
    pub fn receive(&self) -> io::Result<Option<Request>> {
        // The kernel insists on zeroes.
        let mut buffer = [0u64; BUFFER_BYTES / 8];
        match self.inner.ioctl(abi::SECCOMP_IOCTL_NOTIF_RECV, buffer.as_mut_ptr()) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        // SAFETY: the buffer is aligned to 8 bytes and longer than the struct, whose fields are integers.
        let notification = unsafe { buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
        Ok(Some(held::request(&self.inner, &notification)))
    }

    /// Whether the next request is known to wait: then there is no need to poll, which is slow when many wait. True only once.
    pub fn next_waits(&self) -> bool {
        self.inner.ahead.take()
    }

    /// No process has the filter any more.
    pub fn hung_up(&self) -> bool {
        let mut poll = libc::pollfd { fd: self.inner.descriptor.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one pollfd, alive here.
        unsafe { libc::poll(&mut poll, 1, 0) };
        poll.revents & libc::POLLHUP != 0
    }

    /// Lets every request through until no process has the filter any more: what is left to do when nobody
    /// is there who could answer. Begins with those that `received` names.
    pub fn let_everything_through(&self, received: &InFlight) {
        received.ids().for_each(|id| drop(self.inner.send(id, 0, 0, true)));
        while !self.hung_up() {
            let mut poll =
                libc::pollfd { fd: self.inner.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, alive here.
            unsafe { libc::poll(&mut poll, 1, -1) };
            if poll.revents & libc::POLLIN != 0 {
                // A request that is dropped is let through.
                let _ = self.receive();
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.descriptor.as_fd()
    }
}

impl Inner {
    /// Precondition: `argument` points at what the request number calls for.
    pub(crate) fn ioctl<T>(&self, request: libc::c_ulong, argument: *mut T) -> io::Result<i32> {
        // SAFETY: all callers are in this crate and pass a live struct of the size in the number (RECV: a
        // zeroed buffer at least as long as the kernel said its struct is).
        let result = unsafe { libc::ioctl(self.descriptor.as_raw_fd(), request, argument) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    pub(crate) fn send(&self, id: u64, value: i64, error: i32, resume: bool) -> io::Result<()> {
        let flags = if resume { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
        self.ahead.look(&self.descriptor);
        let mut response = libc::seccomp_notif_resp { id, val: value, error, flags };
        self.ioctl(abi::SECCOMP_IOCTL_NOTIF_SEND, &mut response).map(drop)
    }
}

fn notification_size() -> io::Result<usize> {
    let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: the kernel writes one `seccomp_notif_sizes`, which is alive here.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &mut sizes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(sizes.seccomp_notif.into()) }
}
