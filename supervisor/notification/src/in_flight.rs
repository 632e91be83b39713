//! Which requests have been received and not yet answered, in memory that outlives the process that answers.
//!
//! When the supervisor is killed, another process that holds the listener can receive new requests, but the
//! kernel does not tell it those that were received already. Their numbers are written down here.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that can be in flight at once and still be noted. More are answered as well, only not rescued.
const SLOTS: usize = 256;

/// Numbers of received, unanswered requests; shared with processes forked after `new`.
pub struct InFlight {
    slots: NonNull<[AtomicU64; SLOTS]>,
}

// SAFETY: the slots are atomics in a mapping that lives as long as `InFlight`.
unsafe impl Send for InFlight {}
// SAFETY: as above.
unsafe impl Sync for InFlight {}

impl InFlight {
    /// Empty, in fresh shared memory.
    pub fn new() -> io::Result<Self> {
        let length = size_of::<[AtomicU64; SLOTS]>();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let slots = NonNull::new(address.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { slots })
    }

    fn slots(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is `SLOTS` words long, zeroed by the kernel and never unmapped before drop.
        unsafe { self.slots.as_ref() }
    }

    /// Notes a request; the slot, if one was free.
    pub(crate) fn enter(&self, id: u64) -> Option<usize> {
        let exchange = |slot: &AtomicU64| slot.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed);
        self.slots().iter().position(|slot| exchange(slot).is_ok())
    }

    pub(crate) fn leave(&self, slot: usize) {
        self.slots()[slot].store(0, Ordering::Relaxed);
    }

    /// The numbers noted now.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.slots().iter().map(|slot| slot.load(Ordering::Relaxed)).filter(|&id| id != 0)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new` with this size, and nobody borrows it any more.
        unsafe { libc::munmap(self.slots.as_ptr().cast(), size_of::<[AtomicU64; SLOTS]>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answered_request_is_no_longer_noted() {
        let in_flight = InFlight::new().unwrap();
        let first = in_flight.enter(7).unwrap();
        in_flight.enter(8).unwrap();
        in_flight.leave(first);
        assert_eq!(in_flight.ids().collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn more_requests_than_slots_are_not_an_error() {
        let in_flight = InFlight::new().unwrap();
        assert!((1..=SLOTS as u64).all(|id| in_flight.enter(id).is_some()));
        assert_eq!(in_flight.enter(9999), None);
    }
}
