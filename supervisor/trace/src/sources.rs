//! Rings to read, and whose they are.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use tracee::PidFd;
use wire::shared::TRACE;
use wire::trace::{CALLS_LENGTH, Ring, WORK_LENGTH};

/// A ring, mapped for as long as this lives.
pub struct Source {
    /// Thread-group id of whom it is about.
    pub process: u32,
    ring: Ring,
    /// `None`: it was over before we could look.
    client: Option<PidFd>,
    base: NonNull<std::ffi::c_void>,
    length: usize,
}

// SAFETY: the mapping is this value's own, and what is in it is for several threads (`Ring`).
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// What a process calls.
    pub fn calls(process: u32, memory: &OwnedFd) -> Result<Source, Errno> {
        Source::map(process, memory, 0, CALLS_LENGTH)
    }

    /// What a process's engine does.
    pub fn work(process: u32, area: &OwnedFd) -> Result<Source, Errno> {
        Source::map(process, area, TRACE, WORK_LENGTH)
    }

    fn map(process: u32, memory: &OwnedFd, offset: usize, length: usize) -> Result<Source, Errno> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let size = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let base =
            unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, memory.as_fd(), offset as i64)? };
        // SAFETY: mapped just now, whole pages; the ring leaves this value in no other way than by a borrow.
        let ring = unsafe { Ring::new(base.as_ptr().cast(), length) };
        ring.beat();
        Ok(Source { process, ring, client: PidFd::open(process as i32).ok(), base, length })
    }

    /// The ring. It is there for as long as this value.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Nobody will write any more.
    pub fn is_over(&self) -> bool {
        self.client.as_ref().is_none_or(PidFd::has_ended)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // SAFETY: the mapping from `map`, which nobody uses after this.
        let _ = unsafe { munmap(self.base, self.length) };
    }
}
