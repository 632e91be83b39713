//! A bit for each byte of a piece of memory, set by several threads at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Words of a page: bits of 64 KiB.
const PAGE_WORDS: usize = 1 << 10;
const PAGE_BITS: u64 = PAGE_WORDS as u64 * 64;

/// A page's bits, made when the first is set.
type Page = std::sync::OnceLock<Box<[AtomicU64; PAGE_WORDS]>>;

/// All bits are clear at first.
pub struct Bits(Vec<Page>);

impl Bits {
    pub fn new(count: u64) -> Bits {
        Bits((0..count.div_ceil(PAGE_BITS)).map(|_| Page::new()).collect())
    }

    /// Sets so many bits from one on; those beyond the end do not count.
    pub fn set(&self, start: u64, count: u64) {
        for (word, mask) in words(start, count) {
            let Some(page) = self.0.get(word / PAGE_WORDS) else { return };
            let page = page.get_or_init(|| Box::new([const { AtomicU64::new(0) }; PAGE_WORDS]));
            page[word % PAGE_WORDS].fetch_or(mask, Ordering::Relaxed);
        }
    }

    /// Clears so many bits from one on.
    pub fn clear(&self, start: u64, count: u64) {
        for (word, mask) in words(start, count) {
            if let Some(page) = self.0.get(word / PAGE_WORDS).and_then(Page::get) {
                page[word % PAGE_WORDS].fetch_and(!mask, Ordering::Relaxed);
            }
        }
    }

    /// The first of so many bits that is clear.
    pub fn first_clear(&self, start: u64, count: u64) -> Option<u64> {
        words(start, count).find_map(|(word, mask)| {
            let page = self.0.get(word / PAGE_WORDS).and_then(Page::get);
            let bits = page.map_or(0, |page| page[word % PAGE_WORDS].load(Ordering::Relaxed));
            let clear = !bits & mask;
            (clear != 0).then(|| word as u64 * 64 + u64::from(clear.trailing_zeros()))
        })
    }
}

/// The words that bits lie in, and which bits of each.
pub fn words(start: u64, count: u64) -> impl Iterator<Item = (usize, u64)> {
    let end = start.saturating_add(count);
    let mut next = start;
    std::iter::from_fn(move || {
        if next >= end {
            return None;
        }
        let (word, first) = (next / 64, next % 64);
        let last = (end - word * 64).min(64);
        next = (word + 1) * 64;
        Some((word as usize, u64::MAX >> (64 - (last - first)) << first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_and_found_across_words_and_pages() {
        let bits = Bits::new(3 * PAGE_BITS);
        assert_eq!(bits.first_clear(5, 1), Some(5));
        bits.set(PAGE_BITS - 100, 200);
        assert_eq!(bits.first_clear(PAGE_BITS - 100, 200), None);
        assert_eq!(bits.first_clear(PAGE_BITS - 101, 2), Some(PAGE_BITS - 101));
        assert_eq!(bits.first_clear(PAGE_BITS + 90, 20), Some(PAGE_BITS + 100));
        bits.clear(PAGE_BITS, 1);
        assert_eq!(bits.first_clear(PAGE_BITS - 100, 200), Some(PAGE_BITS));
        assert_eq!(bits.first_clear(7, 0), None);
    }
}
