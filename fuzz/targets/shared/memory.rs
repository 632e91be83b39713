//! A program's memory: pages, of which every fifth is missing.

use std::ops::Range;

/// Where it lies.
pub const BASE: u64 = 0x7f00_0000_0000;
const PAGE: usize = 4096;
const PAGES: usize = 20;

pub struct Memory(Vec<u8>);

impl Memory {
    pub fn new() -> Self {
        Self(vec![0; PAGE * PAGES])
    }

    /// The bytes there; none if not all of them are mapped.
    pub fn range(address: u64, length: usize) -> Option<Range<usize>> {
        let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
        let end = start.checked_add(length).filter(|end| *end <= PAGE * PAGES)?;
        let is_hole = |page: usize| page % 5 == 4;
        let mut pages = start / PAGE..end.div_ceil(PAGE).max(start / PAGE + 1);
        (!pages.any(is_hole)).then_some(start..end)
    }

    /// What is there.
    pub fn get(&self, address: u64, length: usize) -> Option<&[u8]> {
        Some(&self.0[Self::range(address, length)?])
    }

    /// As the program writes it.
    pub fn put(&mut self, address: u64, bytes: &[u8]) -> bool {
        let Some(range) = Self::range(address, bytes.len()) else { return false };
        self.0[range].copy_from_slice(bytes);
        true
    }

    /// One byte of `length` that are there, which another thread writes.
    pub fn spoil(&mut self, address: u64, length: usize, (at, value): (u8, u8)) {
        if let Some(range) = Self::range(address, length).filter(|range| !range.is_empty()) {
            let at = range.start + usize::from(at) % range.len();
            self.0[at] = value;
        }
    }
}
