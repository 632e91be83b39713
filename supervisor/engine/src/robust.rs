//! The robust word in the shared area that tells the client of our death.

use std::sync::atomic::{AtomicU32, Ordering};

/// What the kernel reads when this thread dies (`struct robust_list_head`, linux/futex.h).
#[repr(C)]
struct RobustHead {
    list: *mut RobustNode,
    futex_offset: i64,
    pending: *mut RobustNode,
}

#[repr(C)]
struct RobustNode {
    next: *mut RobustNode,
}

/// Makes this thread the owner of `word`: when it dies, however it dies, the kernel sets FUTEX_OWNER_DIED in the word and wakes
/// one waiter. The list belongs to the thread, so call this from the one whose death matters.
pub fn own_until_death(word: &'static AtomicU32) {
    let head = Box::leak(Box::new(RobustHead {
        list: std::ptr::null_mut(),
        futex_offset: 0,
        pending: std::ptr::null_mut(),
    }));
    let head: *mut RobustHead = head;
    let node: *mut RobustNode = Box::leak(Box::new(RobustNode { next: head.cast() }));
    // SAFETY: head and node are leaked, so they live as long as the kernel may read them; the word is in a mapping that is
    // never removed. The entry's futex lies at node + futex_offset, which is how the kernel finds it. glibc's own list of
    // this thread is replaced; it holds nothing, since this program uses no robust pthread mutex.
    unsafe {
        (*head).list = node;
        (*head).futex_offset = word.as_ptr() as i64 - node as i64;
        libc::syscall(libc::SYS_set_robust_list, head, size_of::<RobustHead>());
    }
    let owner = nix::unistd::gettid().as_raw() as u32 | libc::FUTEX_WAITERS;
    word.store(owner, Ordering::SeqCst);
}
