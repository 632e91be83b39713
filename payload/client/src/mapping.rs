//! Mapping what the broker grants.

use std::ops::Range;

use wire::control::{Allocation, WINDOWS};

use crate::connection::errno;

/// Memory that is mapped at the broker's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Where.
    pub address: u64,
    /// Bytes.
    pub length: u64,
    /// Commands that use it carry this number or a larger one.
    pub map_sequence: u32,
}

/// A place for device memory in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// One of [`WINDOWS`].
    pub place: Range<u64>,
    /// Whether it is this crate's, whole. If not (`RLIMIT_AS`), something else may be mapped into it at any time.
    pub reserved: bool,
}

/// The first window in which nothing is mapped, reserved if the limits permit.
pub fn choose_window() -> Window {
    let choice = WINDOWS.into_iter().find_map(|place| match reserve(place.start, place.end - place.start) {
        Ok(()) => Some(Window { place, reserved: true }),
        // The kernel looks for what is mapped there before it looks at limits, so the window is empty.
        Err(libc::ENOMEM) => Some(Window { place, reserved: false }),
        Err(_) => None,
    });
    // All are taken: grants may still fit between what is there.
    let [first, ..] = WINDOWS;
    choice.unwrap_or(Window { place: first, reserved: false })
}

/// Takes a place with memory that can't be accessed; an `errno` if something is there.
pub fn reserve(address: u64, length: u64) -> Result<(), i32> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: NOREPLACE takes the place of nothing. By raw system call: sanitizers refuse such addresses in their mmap.
    let result =
        unsafe { libc::syscall(libc::SYS_mmap, address, length, libc::PROT_NONE, flags, -1i64, 0i64) } as u64;
    if result == u64::MAX {
        return Err(errno());
    }
    if result != address {
        // An old kernel took the address as a hint.
        // SAFETY: unmaps what was mapped just now.
        unsafe { libc::syscall(libc::SYS_munmap, result, length) };
        return Err(libc::EEXIST);
    }
    // SAFETY: the range was mapped just now; a child must not have it, a core dump need not.
    unsafe { keep_private(address, length) };
    Ok(())
}

/// Maps a grant and closes its descriptor. `reserved`: the place is our own reservation.
pub fn map(grant: &Allocation, reserved: bool, writable: bool) -> Result<Mapped, i32> {
    let placement = if reserved { libc::MAP_FIXED } else { libc::MAP_FIXED_NOREPLACE };
    let flags = libc::MAP_SHARED | placement;
    let protection = if writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
    // SAFETY: a reserved place belongs to this crate and holds no other grant, by the broker's ledger; elsewhere NOREPLACE
    // takes the place of nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            grant.address,
            grant.length,
            protection,
            flags,
            grant.memory as i64,
            0i64,
        )
    } as u64;
    let outcome = if result == grant.address { Ok(()) } else { Err(errno()) };
    // SAFETY: the broker made the descriptor for this call; the mapping keeps the memory.
    unsafe { libc::close(grant.memory) };
    outcome?;
    // SAFETY: mapped just now.
    unsafe { keep_private(grant.address, grant.length) };
    Ok(Mapped { address: grant.address, length: grant.length, map_sequence: grant.map_sequence })
}

/// Undoes [`map`]; in a reserved place the reservation comes back.
pub fn unmap(address: u64, length: u64, reserved: bool) {
    // SAFETY: the range is a grant that `map` put there, or a reservation, and the caller has given up its use.
    unsafe {
        if reserved {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
            libc::syscall(libc::SYS_mmap, address, length, libc::PROT_NONE, flags, -1i64, 0i64);
            keep_private(address, length);
        } else {
            libc::syscall(libc::SYS_munmap, address, length);
        }
    }
}

/// Device memory is no use to a forked child, and would hold the parent's memory alive in it.
///
/// # Safety
/// The range must be mapped by this crate.
unsafe fn keep_private(address: u64, length: u64) {
    for advice in [libc::MADV_DONTFORK, libc::MADV_DONTDUMP] {
        // SAFETY: advice about a mapping of our own; a kernel that knows it not leaves things as they are.
        unsafe { libc::syscall(libc::SYS_madvise, address, length, advice) };
    }
}
