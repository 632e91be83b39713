//! The memory that code lies in: first written, then executed, never both.

use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use crate::Error;

/// Of x86-64; segments begin at multiples of it.
pub const PAGE: usize = 4096;

/// Memory with an address and nothing in it.
pub struct Reserved(Mapping);

/// Memory of ours, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    size: NonZeroUsize,
}

// SAFETY: after `fill` nobody writes to the memory, and until then it has one owner.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Takes `size` bytes of address space, a multiple of [`PAGE`] and not 0.
    pub fn reserve(size: usize) -> Result<Reserved, Error> {
        let length = NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new memory at a place that the kernel chooses touches no memory that exists.
        let start = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) }
            .map_err(|errno| Error::Memory { action: "map", size, errno })?;
        Ok(Reserved(Mapping { start, size: length }))
    }

    /// The address `offset` bytes into the memory, at most at its end.
    pub fn at(&self, offset: usize) -> *const () {
        self.start.as_ptr().cast_const().cast::<u8>().wrapping_add(offset.min(self.size())).cast()
    }

    pub fn size(&self) -> usize {
        self.size.get()
    }

    fn protect(&self, offset: usize, size: usize, protection: ProtFlags) -> Result<(), Error> {
        let Some(start) = NonNull::new(self.at(offset).cast_mut().cast()).filter(|_| size > 0) else {
            return Ok(());
        };
        // SAFETY: `fill` passes parts of this mapping that no reference points to.
        unsafe { mprotect(start, size, protection) }.map_err(|errno| Error::Memory {
            action: "protect",
            size,
            errno,
        })
    }
}

impl Reserved {
    pub fn address(&self) -> u64 {
        self.0.start.as_ptr().addr() as u64
    }

    /// Puts `image` there and makes its first `code` bytes, a multiple of [`PAGE`], executable and the others constant.
    pub fn fill(self, image: &[u8], code: usize) -> Result<Mapping, Error> {
        let mapping = self.0;
        let (size, code) = (image.len().min(mapping.size()), code.min(mapping.size()));
        // SAFETY: the mapping is writable, `size` bytes or more, and new, so it does not overlap with the image.
        unsafe { image.as_ptr().copy_to_nonoverlapping(mapping.start.as_ptr().cast(), size) };
        mapping.protect(0, code, ProtFlags::PROT_READ | ProtFlags::PROT_EXEC)?;
        mapping.protect(code, mapping.size() - code, ProtFlags::PROT_READ)?;
        Ok(mapping)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the memory is ours. `Code` says that nobody may execute it any more; its pointers are for callers who know.
        let _ = unsafe { munmap(self.start, self.size()) };
    }
}
