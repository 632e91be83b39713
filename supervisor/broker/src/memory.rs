//! The memory behind grants.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;
use wire::control::SharedEvent;

/// Makes anonymous memory of exactly `length` bytes whose size nobody can change.
pub fn create(name: &std::ffi::CStr, length: u64) -> Result<OwnedFd, Errno> {
    let memory = unsealed(name, length)?;
    seal(&memory, SealFlag::empty())?;
    Ok(memory)
}

/// Makes anonymous memory that is still to be sealed.
pub fn unsealed(name: &std::ffi::CStr, length: u64) -> Result<OwnedFd, Errno> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // MFD_NOEXEC_SEAL (Linux 6.3): the kernel else warns about memory that could be executed.
    let noexec = MFdFlags::from_bits_retain(0x0008);
    let memory = match memfd_create(name, flags | noexec) {
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        result => result?,
    };
    ftruncate(&memory, length as i64)?;
    Ok(memory)
}

/// From now on nobody can change it but through mappings that there are, nor its size.
pub fn seal_for_readers(memory: &OwnedFd) -> Result<(), Errno> {
    /// Linux 5.1; not in `nix`.
    const F_SEAL_FUTURE_WRITE: SealFlag = SealFlag::from_bits_retain(0x10);
    seal(memory, F_SEAL_FUTURE_WRITE)
}

/// Keeps its size, and what `others` say.
fn seal(memory: &OwnedFd, others: SealFlag) -> Result<(), Errno> {
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(memory, FcntlArg::F_ADD_SEALS(seals | others)).map(drop)
}

/// Why memory could not be made, for people.
pub fn why(error: Errno) -> String {
    match error {
        // That of root would have been lifted.
        Errno::EFBIG => {
            format!("{error}: the limit on the size of files (`ulimit -f`) holds for memory files too")
        }
        error => error.to_string(),
    }
}

/// Gives the pages back now, also where a forked child still has the memory mapped.
pub fn punch(memory: &impl AsFd, length: u64) {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    if let Err(error) = fallocate(memory, flags, 0, length as i64) {
        tracing::warn!("can't give {length} bytes of device memory back: {error}");
    }
}

/// A process that shared an event ends: what it has submitted and not come to counts as reached, so that nobody waits for ever.
pub fn settle_event(memory: &impl AsFd) {
    const LENGTH: NonZeroUsize = NonZeroUsize::new(size_of::<SharedEvent>()).expect("two numbers");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
    let Ok(base) = (unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, memory, 0) }) else {
        return;
    };
    // SAFETY: what a session is granted has a page at least, and nobody can change its size. The numbers are changed atomically
    // only, here and elsewhere. Others who share the event may record meanwhile: what they have come to must not be taken back.
    let event = unsafe { base.cast::<SharedEvent>().as_ref() };
    event.reached.fetch_max(event.submitted.load(Ordering::SeqCst), Ordering::SeqCst);
    // SAFETY: the mapping from above, which nobody uses after this.
    let _ = unsafe { munmap(base, LENGTH.get()) };
}

/// Bytes of it that have a page.
pub fn resident(memory: &impl AsFd) -> u64 {
    fstat(memory).map_or(0, |status| status.st_blocks as u64 * 512)
}

#[cfg(test)]
mod tests {
    use nix::sys::uio::{pread, pwrite};

    use super::*;

    #[test]
    fn memory_has_its_size_and_keeps_it() {
        let memory = create(c"vgpu-test", 8192).expect("memfd");
        assert_eq!(fstat(&memory).expect("stat").st_size, 8192);
        assert_eq!(ftruncate(&memory, 4096), Err(Errno::EPERM));
        assert_eq!(ftruncate(&memory, 16384), Err(Errno::EPERM));
    }

    #[test]
    fn settled_event_has_come_to_all_that_was_submitted() {
        let memory = create(c"vgpu-test", 4096).expect("memfd");
        for (reached, settled) in [(3, 5), (9, 9)] {
            pwrite(&memory, &[5, 0, 0, 0, 0, 0, 0, 0, reached], 0).expect("written");
            settle_event(&memory);
            let mut event = [0; 16];
            pread(&memory, &mut event, 0).expect("read");
            assert_eq!((event[0], event[8]), (5, settled));
        }
    }

    #[test]
    fn touched_pages_are_resident_until_punched_out() {
        let memory = create(c"vgpu-test", 1 << 20).expect("memfd");
        assert_eq!(resident(&memory), 0);
        nix::sys::uio::pwrite(&memory, &[1; 5000], 0).expect("written");
        assert_eq!(resident(&memory), 8192);
        punch(&memory, 1 << 20);
        assert_eq!(resident(&memory), 0);
    }
}
