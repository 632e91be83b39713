//! Telling a forked child from its parent.
//!
//! A page that the kernel empties in the child (MADV_WIPEONFORK) costs a load per check; asking for the process id would
//! cost a system call, and a handler registered with `pthread_atfork` is not run by `clone`.

use std::sync::atomic::{AtomicU32, Ordering};

/// A mark that holds in the process that made it, and in no child of it. Each has a page of its own: one that a child makes does
/// not revive its parent's.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(&'static AtomicU32);

impl Epoch {
    /// Marks this process.
    pub fn mark() -> Epoch {
        let page = page();
        page.store(1, Ordering::Relaxed);
        Epoch(page)
    }

    /// Whether this still is the process that made the mark.
    pub fn holds(self) -> bool {
        self.0.load(Ordering::Relaxed) == 1
    }
}

fn page() -> &'static AtomicU32 {
    const LENGTH: usize = 4096;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new private mapping aliases nothing; it is never unmapped, so the reference is good for ever.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            protection,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            // Without a page of its own a child can't be told apart; that beats ending somebody's program.
            return Box::leak(Box::new(AtomicU32::new(0)));
        }
        libc::madvise(page, LENGTH, libc::MADV_WIPEONFORK);
        &*page.cast::<AtomicU32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_holds_here_and_not_in_a_child() {
        let epoch = Epoch::mark();
        assert!(epoch.holds());
        // SAFETY: the child only reads a page and leaves; it runs no code that needs the parent's threads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let own = Epoch::mark();
            // SAFETY: leaves without destructors, which belong to the parent.
            unsafe { libc::_exit((epoch.holds() || !own.holds()).into()) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0, "the child still saw the mark");
        assert!(epoch.holds());
    }
}
