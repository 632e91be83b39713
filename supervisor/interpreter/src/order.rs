//! Orders that no kernel may rely on, chosen at random: tests ask for them.

use crate::code::Kernel;

/// A sequence of permutations that a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    /// One that is another for kernels of another size, and the same each time.
    pub fn of(seed: u64, kernel: &Kernel) -> Shuffle {
        Shuffle(seed ^ (kernel.instructions() as u64) << 32)
    }

    /// The next number (splitmix64).
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 1 to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        (self.word() % most as u64) as usize + 1
    }

    /// Puts what there is in another order (Fisher and Yates).
    pub fn shuffle(&mut self, list: &mut [u32]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.up_to(place + 1) - 1);
        }
    }

    /// The numbers below `count`.
    pub fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut list: Vec<u32> = (0..count as u32).collect();
        self.shuffle(&mut list);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_each_number_once_and_another_seed_gives_another_one() {
        let of = |seed| Shuffle(seed).permutation(100);
        let mut sorted = of(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert_ne!(of(1), sorted);
    }
}
