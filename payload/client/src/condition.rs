//! What is wrong with the cards, as the broker tells all processes of the session.

use std::ops::Deref;

use wire::condition::{PAGE_LENGTH, Page};
use wire::control::{ShareCondition, Status};

use crate::connection::Connection;

/// The broker's page, mapped for reading. Unmapped when dropped.
pub struct Condition {
    base: *const Page,
}

// SAFETY: the mapping belongs to nobody's thread.
unsafe impl Send for Condition {}
// SAFETY: it holds only atomics, and we only read.
unsafe impl Sync for Condition {}

impl Condition {
    /// Asks for the page.
    pub fn open(connection: &Connection) -> Result<Condition, Status> {
        let memory = connection.call(&ShareCondition::default())?.memory;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing; the descriptor is ours to close.
        let base = unsafe {
            let nowhere = std::ptr::null_mut();
            let base = libc::mmap(nowhere, PAGE_LENGTH, libc::PROT_READ, libc::MAP_SHARED, memory, 0);
            libc::close(memory);
            base
        };
        if base == libc::MAP_FAILED { Err(Status::OutOfMemory) } else { Ok(Condition { base: base.cast() }) }
    }
}

impl Deref for Condition {
    type Target = Page;

    fn deref(&self) -> &Page {
        // SAFETY: mapped for as long as we live, from the broker's memory, which has that length and holds a Page of atomics.
        unsafe { &*self.base }
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        // SAFETY: our own mapping; references to it do not outlive us.
        unsafe { libc::munmap(self.base.cast_mut().cast(), PAGE_LENGTH) };
    }
}
