//! Where grants lie: addresses in a session's window.

use std::collections::BTreeMap;
use std::ops::Range;

/// Large grants begin at multiples of this, so that huge pages stay possible.
const ALIGNMENT: u64 = 2 << 20;

/// Addresses in use. Between two grants at least a page stays empty, so that running over an end is a fault.
pub struct AddressSpace {
    window: Range<u64>,
    used: BTreeMap<u64, u64>,
    /// Where to look first: old addresses are not given again soon, so a stale pointer is a fault.
    next: u64,
}

impl AddressSpace {
    pub fn new(window: Range<u64>) -> AddressSpace {
        AddressSpace { next: window.start, window, used: BTreeMap::new() }
    }

    /// An address for `length` bytes.
    pub fn take(&mut self, length: u64) -> Option<u64> {
        self.take_aligned(length, ALIGNMENT)
    }

    /// An address for `length` bytes that is a multiple of `alignment`, a power of two.
    pub fn take_aligned(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let alignment = alignment.max(ALIGNMENT);
        let (next, start) = (self.next, self.window.start);
        let address = self.fit(next, length, alignment).or_else(|| self.fit(start, length, alignment))?;
        self.used.insert(address, length);
        self.next = after(address, length);
        Some(address)
    }

    /// Exactly this address, if it is free: it may touch what lies beside it, whose owner has asked for that.
    pub fn take_at(&mut self, address: u64, length: u64, alignment: u64) -> Option<u64> {
        let end = address.checked_add(length)?;
        let inside = self.window.start <= address && end <= self.window.end;
        let before = self.used.range(..end).next_back();
        let free = before.is_none_or(|(start, used)| start + used <= address);
        if !inside || !free || !address.is_multiple_of(alignment) {
            return None;
        }
        self.used.insert(address, length);
        Some(address)
    }

    /// Gives an address back.
    pub fn give(&mut self, address: u64) {
        self.used.remove(&address);
    }

    /// First gap at or after `from`.
    fn fit(&self, from: u64, length: u64, alignment: u64) -> Option<u64> {
        let first = self.used.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let mut address = from.checked_next_multiple_of(alignment)?;
        for (start, used) in self.used.range(first..) {
            if address.checked_add(length)? < *start {
                break;
            }
            address = address.max(after(*start, *used).checked_next_multiple_of(alignment)?);
        }
        (address.checked_add(length)? <= self.window.end).then_some(address)
    }
}

/// First address that may follow a grant.
fn after(address: u64, length: u64) -> u64 {
    (address + length + 1).next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_never_touch_and_gaps_are_used_again_at_the_end() {
        let mut space = AddressSpace::new(0..16 << 20);
        let first = space.take(2 << 20).expect("room");
        let second = space.take(4096).expect("room");
        assert_eq!((first, second), (0, 4 << 20));
        let third = space.take(9 << 20).expect("room");
        assert_eq!(third, 6 << 20);
        assert_eq!(space.take(4 << 20), None);
        space.give(first);
        assert_eq!(space.take(2 << 20), Some(0));
        assert_eq!(space.take(u64::MAX - 4), None);
    }

    #[test]
    fn alignment_and_wishes_are_kept_or_refused() {
        let mut space = AddressSpace::new(0..64 << 20);
        assert_eq!(space.take(4096), Some(0));
        assert_eq!(space.take(7 << 20), Some(2 << 20), "over the next multiple of 8 MiB");
        assert_eq!(space.take_aligned(4096, 8 << 20), Some(16 << 20));
        assert_eq!(space.take_at((16 << 20) + 4096, 4096, 4096), Some((16 << 20) + 4096));
        assert_eq!(space.take_at((16 << 20) + 4096, 4096, 4096), None, "taken");
        assert_eq!(space.take_at((15 << 20) + 4096, 1 << 20, 4096), None, "runs into the next");
        assert_eq!(space.take_at(40 << 20, 4096, 16 << 20), None, "crooked");
        assert_eq!(space.take_at(64 << 20, 4096, 4096), None, "outside");
    }
}
