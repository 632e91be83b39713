//! Sets of addresses.

use std::collections::BTreeMap;
use std::ops::Range;

/// Addresses: beginnings and ends of ranges that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(BTreeMap<u64, u64>);

impl Addresses {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |all: u64, (start, end)| all.saturating_add(end - start))
    }

    /// In how many pieces.
    pub fn pieces(&self) -> usize {
        self.0.len()
    }

    /// Adds what of a range is not in it yet.
    pub fn add(&mut self, mut range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&start, &end)) = self.0.range(..=range.end).next_back()
            && end >= range.start
        {
            self.0.remove(&start);
            range = range.start.min(start)..range.end.max(end);
        }
        self.0.insert(range.start, range.end);
    }

    /// What of it is in another one as well.
    pub fn within(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (&start, &end) in &self.0 {
            let others = other.0.range(..end).rev().take_while(|(_, last)| **last > start);
            others.for_each(|(&first, &last)| both.add(start.max(first)..end.min(last)));
        }
        both
    }
}

impl FromIterator<Range<u64>> for Addresses {
    fn from_iter<Ranges: IntoIterator<Item = Range<u64>>>(ranges: Ranges) -> Self {
        let mut all = Self::default();
        ranges.into_iter().for_each(|range| all.add(range));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[Range<u64>]) -> Addresses {
        ranges.iter().cloned().collect()
    }

    #[test]
    fn ranges_that_touch_become_one_and_none_counts_twice() {
        let all = of(&[10..20, 30..40, 20..25, 5..8, 60..60]);
        assert_eq!((all.pieces(), all.count()), (3, 3 + 15 + 10));
        let mut all = of(&[10..20, 30..40, 50..60]);
        all.add(15..55);
        assert_eq!(all, of(&[10..30, 30..60]));
        all.add(20..30);
        assert_eq!((all.pieces(), all.count()), (1, 50));
    }

    #[test]
    fn what_two_have_in_common_is_cut_at_both_ends() {
        let (one, other) = (of(&[0..10, 20..30, 40..50]), of(&[5..25, 29..45, 50..99]));
        let both = of(&[5..10, 20..25, 29..30, 40..45]);
        assert_eq!(one.within(&other), both);
        assert_eq!(other.within(&one), both);
        assert_eq!(one.within(&of(&[])), of(&[]));
    }

    #[test]
    fn the_end_of_all_addresses_is_no_mistake() {
        let all = of(&[0..u64::MAX, 1..2]);
        assert_eq!((all.pieces(), all.count()), (1, u64::MAX));
    }
}
