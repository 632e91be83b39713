//! Looking for the next request before the last one is answered.
//!
//! To poll a listener, the kernel walks along its waiting requests until it has seen one that is new and one that was received and
//! not yet answered. When nothing is being answered it walks to the end, so with thousands of threads that wait each poll would
//! take a tenth of a millisecond. Asked just before an answer is sent, it finds both near the front.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// After a request that had another one waiting behind it, so many are looked behind.
const CROWDED: u32 = 64;
/// Otherwise one in so many, which costs a lone thread a fiftieth of a call each time.
const SELDOM: u32 = 16;

/// What is known of requests that wait.
#[derive(Default)]
pub struct Ahead {
    next_waits: AtomicBool,
    crowded: AtomicU32,
    since_look: AtomicU32,
}

impl Ahead {
    /// To be called while a request is received and not yet answered.
    pub fn look(&self, listener: &OwnedFd) {
        let since_look = self.since_look.fetch_add(1, Ordering::Relaxed);
        let crowded = self.crowded.load(Ordering::Relaxed);
        if crowded == 0 && since_look < SELDOM {
            return;
        }
        self.since_look.store(0, Ordering::Relaxed);
        let mut polled = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        unsafe { libc::poll(&mut polled, 1, 0) };
        let waits = polled.revents & libc::POLLIN != 0;
        self.next_waits.store(waits, Ordering::Relaxed);
        self.crowded.store(if waits { CROWDED } else { crowded.saturating_sub(1) }, Ordering::Relaxed);
    }

    /// Whether a request waited when we last looked and none was received since. It may have died: to receive it does not block.
    pub fn take(&self) -> bool {
        self.next_waits.swap(false, Ordering::Relaxed)
    }
}
