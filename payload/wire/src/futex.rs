//! Futexes in memory that two processes share.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` holds `value`, at most `timeout`. Wakes spuriously: look again.
pub fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| limit as *const libc::timespec);
    // SAFETY: `word` is a live, aligned 32-bit word, and `limit` is null or points to a timespec that outlives the call.
    // The word is shared between processes, so FUTEX_PRIVATE_FLAG must not be set.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, limit, 0, 0) };
}

/// Wakes all who sleep on `word`.
pub fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

/// Wakes as many of those who sleep on `word`.
pub fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: FUTEX_WAKE only uses the word's address.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count, 0, 0, 0) };
}

/// `struct futex_waitv` of linux/futex.h.
#[repr(C)]
struct WaitVector {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Sleeps while `first.0` holds `first.1` and `second.0` holds `second.1`, at most `timeout` (`futex_waitv`, Linux 5.16).
/// Where the kernel lacks the call it waits for the first word alone, so callers look at both in intervals.
pub fn wait_either(first: (&AtomicU32, u32), second: (&AtomicU32, u32), timeout: Duration) {
    const FUTEX2_SIZE_U32: u32 = 2;
    let entry = |(word, value): (&AtomicU32, u32)| WaitVector {
        value: value.into(),
        address: word.as_ptr() as u64,
        flags: FUTEX2_SIZE_U32,
        reserved: 0,
    };
    let words = [entry(first), entry(second)];
    let deadline = deadline(timeout);
    // SAFETY: both words are live and aligned, the vector has two entries, and the deadline outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_futex_waitv, words.as_ptr(), 2, 0, &deadline, libc::CLOCK_MONOTONIC)
    };
    // SAFETY: reading this thread's errno.
    if result < 0 && unsafe { *libc::__errno_location() } == libc::ENOSYS {
        wait(first.0, first.1, Some(timeout.min(Duration::from_millis(50))));
    }
}

fn deadline(timeout: Duration) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let nanoseconds = now.tv_nsec + i64::from(timeout.subsec_nanos());
    libc::timespec {
        tv_sec: now.tv_sec + timeout.as_secs() as i64 + nanoseconds / 1_000_000_000,
        tv_nsec: nanoseconds % 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    #[test]
    fn second_word_wakes_a_waiter_of_both() {
        let (first, second) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                second.store(1, Ordering::SeqCst);
                wake_all(&second);
            });
            let begun = Instant::now();
            while second.load(Ordering::SeqCst) == 0 {
                wait_either((&first, 0), (&second, 0), Duration::from_secs(10));
            }
            assert!(begun.elapsed() < Duration::from_secs(5));
        });
    }

    #[test]
    fn wait_ends_at_its_timeout() {
        let word = AtomicU32::new(3);
        wait(&word, 3, Some(Duration::from_millis(5)));
        wait_either((&word, 3), (&word, 3), Duration::from_millis(5));
    }
}
