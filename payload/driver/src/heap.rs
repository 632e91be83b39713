//! Small allocations inside one grant: a free list with the address order kept.
//!
//! The broker's grants cost a system call and a descriptor each; programs make thousands of small buffers.

use std::collections::BTreeMap;

/// Alignment of every allocation, as `cuMemAlloc` promises at least 256 bytes.
pub const ALIGNMENT: u64 = 512;

/// Free ranges of some chunks of memory.
#[derive(Default)]
pub struct Heap {
    free: BTreeMap<u64, u64>,
}

impl Heap {
    /// More memory.
    pub fn add(&mut self, address: u64, length: u64) {
        self.give(address, length);
    }

    /// First fit.
    pub fn take(&mut self, length: u64) -> Option<u64> {
        let length = rounded(length);
        let (address, free) = self.free.iter().find(|(_, free)| **free >= length).map(|(a, f)| (*a, *f))?;
        self.free.remove(&address);
        if free > length {
            self.free.insert(address + length, free - length);
        }
        Some(address)
    }

    /// Gives an allocation of `length` bytes back; neighbours join.
    pub fn give(&mut self, address: u64, length: u64) {
        let (mut address, mut length) = (address, rounded(length));
        if let Some((before, free)) = self.free.range(..address).next_back().map(|(a, f)| (*a, *f))
            && before + free == address
        {
            self.free.remove(&before);
            (address, length) = (before, length + free);
        }
        if let Some(free) = self.free.remove(&(address + length)) {
            length += free;
        }
        self.free.insert(address, length);
    }
}

fn rounded(length: u64) -> u64 {
    length.max(1).next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_neighbours_join_and_serve_a_larger_request() {
        let mut heap = Heap::default();
        heap.add(0x10000, 4096);
        let blocks: Vec<u64> = (0..8).map(|_| heap.take(1).expect("room")).collect();
        assert_eq!(heap.take(1), None);
        for index in [1, 3, 2, 0] {
            heap.give(blocks[index], 1);
        }
        assert_eq!(heap.take(2048), Some(0x10000));
    }
}
