//! When a round's victim is killed.

use std::time::{Duration, Instant};

use crate::client::{PHASES, Phase, Progress};

/// A moment in a client's life.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Not before this pass through the phases.
    pass: u32,
    phase: Phase,
    /// After the phase has been seen to begin.
    delay: Duration,
}

impl Moment {
    /// The phases take turns, so that each gets its share; the rest is random.
    pub fn random(round: usize, numbers: &mut Numbers) -> Self {
        let phase = PHASES[round % PHASES.len()];
        let longest = match phase {
            // As long as it takes to get to a context.
            Phase::Start => 5_000,
            // Half of the time at once: some phases are short.
            _ if numbers.below(2) == 0 => 1,
            _ => 3_000,
        };
        Self { pass: numbers.below(3) as u32, phase, delay: Duration::from_micros(numbers.below(longest)) }
    }

    /// Waits for it, or at least for about that long: on a busy machine a short phase may never be seen.
    pub fn wait(&self, progress: &Progress) {
        const ENOUGH: Duration = Duration::from_millis(300);
        let begun = Instant::now();
        let is_there = || match self.phase {
            Phase::Start => true,
            // There is one such phase only.
            Phase::Load => progress.phase() >= Phase::Load,
            phase => progress.pass() >= self.pass && progress.phase() == phase,
        };
        while !is_there() && begun.elapsed() < ENOUGH {
            // Not a sleep: a phase may be over before that ends.
            std::thread::yield_now();
        }
        // A sleep of nothing would last fifty microseconds.
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
    }
}

/// Random numbers of a seed.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of `0..limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The splitmix64 sequence.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
