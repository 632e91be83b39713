//! Closing what is not ours.
//!
//! Keeper and supervisor live as long as the program or longer. A pipe or a lock that they inherited and kept
//! open would not be seen to be closed when the program closes it.

use std::os::fd::{AsRawFd, RawFd};

/// Closes every descriptor except standard error and those in `kept`; standard input and output become
/// `/dev/null`.
pub fn keep_only(kept: &[RawFd]) {
    let kept = kept.iter().copied().chain(procfs::descriptor());
    let mut kept: Vec<u32> = kept.map(|descriptor| descriptor as u32).collect();
    kept.sort_unstable();
    let mut next = 3;
    for descriptor in kept {
        if descriptor > next {
            close_range(next, descriptor - 1);
        }
        next = next.max(descriptor + 1);
    }
    close_range(next, u32::MAX);
    silence(&[0, 1]);
}

/// Makes these descriptors `/dev/null`.
pub fn silence(descriptors: &[RawFd]) {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let Ok(null) = null else { return };
    for &descriptor in descriptors {
        // SAFETY: dup2 takes numbers. The descriptors are the standard ones, which nobody owns.
        unsafe { libc::dup2(null.as_raw_fd(), descriptor) };
    }
}

fn close_range(first: u32, last: u32) {
    // SAFETY: called at the start of a process that was just forked, where the descriptors outside `kept`
    // are inherited ones that no value in this process owns.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}
