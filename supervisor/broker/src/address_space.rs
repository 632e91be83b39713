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
        let address = self.fit(self.next, length).or_else(|| self.fit(self.window.start, length))?;
        self.used.insert(address, length);
        self.next = after(address, length);
        Some(address)
    }

    /// Gives an address back.
    pub fn give(&mut self, address: u64) {
        self.used.remove(&address);
    }

    /// First gap at or after `from`.
    fn fit(&self, from: u64, length: u64) -> Option<u64> {
        let mut address = match self.used.range(..=from).next_back() {
            Some((start, length)) => from.max(after(*start, *length)),
            None => from,
        };
        for (start, used) in self.used.range(address..) {
            if address.checked_add(length)? < *start {
                break;
            }
            address = after(*start, *used);
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
}
