//! How workers rest when there is nothing to do, and how they are called.
//!
//! While nothing runs, one worker watches the ring: it spins for a while, then sleeps on the bell that the client rings. The others
//! sleep until they are called. While something runs, nobody sleeps on the bell, so that a client that goes on submitting does not
//! have to ring it: who has nothing to do looks again from time to time.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use wire::futex;

use crate::area::SharedArea;

/// How long a sleep may last while a stream waits for a word in memory, which rings no bell.
const POLL: Duration = Duration::from_micros(100);
/// How long a sleep may last while others are at work, and commands may come.
const LOOK: Duration = Duration::from_millis(1);

/// Where workers rest.
pub struct Rest {
    area: SharedArea,
    /// Raised to call somebody; a futex.
    calls: AtomicU32,
    /// Workers asleep on `calls`, and those among them that nothing but a call wakes.
    asleep: AtomicU32,
    deep: AtomicU32,
    /// Whether somebody watches the ring.
    watched: AtomicBool,
}

/// What a worker that rests knows of the others.
#[derive(Clone, Copy)]
pub struct Quiet {
    /// Nothing runs.
    pub nothing_runs: bool,
    /// A stream waits for a word in memory.
    pub polls: bool,
}

impl Rest {
    pub fn new(area: SharedArea) -> Rest {
        Rest {
            area,
            calls: AtomicU32::new(0),
            asleep: AtomicU32::new(0),
            deep: AtomicU32::new(0),
            watched: AtomicBool::new(false),
        }
    }

    /// Whether a call would be heard.
    pub fn has_sleepers(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) > 0 || self.area.head().engine_sleeps.0.load(Ordering::SeqCst) != 0
    }

    /// Wakes that many workers, if as many sleep.
    pub fn call(&self, count: usize) {
        let asleep = self.asleep.load(Ordering::SeqCst) as usize;
        if asleep > 0 {
            self.calls.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.calls, count.min(asleep) as i32);
        }
        let bell = &self.area.head().engine_sleeps.0;
        if count > asleep && bell.load(Ordering::SeqCst) != 0 {
            bell.store(0, Ordering::SeqCst);
            futex::wake_all(bell);
        }
    }

    /// Sees to it that somebody looks at the ring from time to time while all others are at work, `others` in number.
    pub fn call_a_lookout(&self, others: usize) {
        if others > 0 && self.deep.load(Ordering::SeqCst) as usize == others {
            self.call(1);
        }
    }

    /// Rests until there may be something to do, or for a while. `has_work` is asked whether there is.
    pub fn rest(&self, quiet: Quiet, has_work: impl Fn() -> bool) {
        if !quiet.nothing_runs {
            if !self.spin(&has_work) {
                self.sleep(Some(if quiet.polls { POLL } else { LOOK }), &has_work);
            }
        } else if self.watched.swap(true, Ordering::SeqCst) {
            // Who watches the ring may have begun before there was a word to look at.
            self.sleep(quiet.polls.then_some(POLL), &has_work);
        } else {
            if quiet.polls || !self.spin(&has_work) {
                self.watch(quiet.polls.then_some(POLL), &has_work);
            }
            self.watched.store(false, Ordering::SeqCst);
        }
    }

    /// Whether there was work before the spin was over.
    fn spin(&self, has_work: &impl Fn() -> bool) -> bool {
        let spin = Duration::from_micros(u64::from(self.area.head().spin.load(Ordering::Relaxed)));
        if spin.is_zero() {
            return has_work();
        }
        let begun = Instant::now();
        while begun.elapsed() < spin {
            for _ in 0..64 {
                if has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }

    /// Sleeps until the client rings.
    fn watch(&self, limit: Option<Duration>, has_work: &impl Fn() -> bool) {
        let bell = &self.area.head().engine_sleeps.0;
        // Order: the bell is raised before the last look; the client writes before it looks at the bell.
        bell.store(1, Ordering::SeqCst);
        if !has_work() {
            futex::wait(bell, 1, limit);
        }
        bell.store(0, Ordering::Relaxed);
    }

    /// Sleeps until somebody calls.
    fn sleep(&self, limit: Option<Duration>, has_work: &impl Fn() -> bool) {
        let calls = self.calls.load(Ordering::SeqCst);
        let deep = u32::from(limit.is_none());
        self.deep.fetch_add(deep, Ordering::SeqCst);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        if !has_work() {
            futex::wait(&self.calls, calls, limit);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        self.deep.fetch_sub(deep, Ordering::SeqCst);
    }
}
