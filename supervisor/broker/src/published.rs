//! Memory that others can map and read, and only we can write to.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::memory;

/// Such memory, all zeroes at first.
pub struct Published {
    memory: OwnedFd,
    base: NonNull<u64>,
    length: NonZeroUsize,
}

impl Published {
    /// Of that name, as `/proc/PID/maps` tells it, and as many bytes: whole pages.
    pub fn new(name: &std::ffi::CStr, length: usize) -> Result<Self, Errno> {
        const PAGE: usize = 4096;
        let length =
            length.checked_next_multiple_of(PAGE).and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
        let memory = memory::unsealed(name, length.get() as u64)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &memory, 0)? };
        let published = Self { memory, base: base.cast(), length };
        memory::seal_for_readers(&published.memory)?;
        Ok(published)
    }

    /// What is there.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped for as long as we live, page aligned, of a length that nobody can change; zeroes at first.
        unsafe { std::slice::from_raw_parts(self.base.cast().as_ptr(), self.length.get() / size_of::<u64>()) }
    }

    /// Where it begins in our memory.
    pub(crate) fn base<T>(&self) -> NonNull<T> {
        self.base.cast()
    }
}

impl AsFd for Published {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // SAFETY: our own mapping; references to it do not outlive us.
        let _ = unsafe { munmap(self.base.cast(), self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn readers_see_what_we_write_and_cannot_write() {
        let published = Published::new(c"test", 2608).unwrap();
        assert_eq!(published.words().len(), 512);
        let map = |protection| {
            let length = NonZeroUsize::new(4096).unwrap();
            // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
            unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, &published, 0) }
        };
        assert_eq!(map(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE).err(), Some(Errno::EPERM));
        let reader = map(ProtFlags::PROT_READ).unwrap();
        published.words()[7].store(42, Ordering::Relaxed);
        // SAFETY: mapped above, and long enough.
        assert_eq!(unsafe { reader.cast::<u64>().add(7).read_volatile() }, 42);
        assert_eq!(nix::unistd::write(&published, &[1]).err(), Some(Errno::EPERM));
    }
}
