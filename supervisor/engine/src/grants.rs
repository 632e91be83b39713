//! Memory that the client has and that is mapped here too.

use std::collections::BTreeMap;
use std::sync::RwLock;

/// Address and length of every mapped grant.
#[derive(Default)]
pub struct Grants {
    by_address: RwLock<BTreeMap<u64, u64>>,
}

impl Grants {
    /// A grant was mapped.
    pub fn insert(&self, address: u64, length: u64) {
        self.by_address.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(address, length);
    }

    /// A grant was unmapped.
    pub fn remove(&self, address: u64) {
        self.by_address.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&address);
    }

    /// Whether there is a grant of exactly this place.
    pub fn is_whole(&self, address: u64, length: u64) -> bool {
        let by_address = self.by_address.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        by_address.get(&address) == Some(&length)
    }

    /// Whether all of `length` bytes at `address` are granted; neighbouring grants count as one.
    pub fn contain(&self, address: u64, length: u64) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        let by_address = self.by_address.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut covered = address;
        loop {
            match by_address.range(..=covered).next_back() {
                Some((start, length)) if start + length > covered => covered = start + length,
                _ => return covered >= end && length == 0,
            }
            if covered >= end {
                return true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_over_two_neighbours_is_granted_and_a_gap_is_not() {
        let grants = Grants::default();
        grants.insert(0x1000, 0x1000);
        grants.insert(0x2000, 0x1000);
        grants.insert(0x4000, 0x1000);
        assert!(grants.contain(0x1800, 0x1800));
        assert!(!grants.contain(0x1800, 0x1801));
        assert!(!grants.contain(0x2800, 0x2000));
        assert!(!grants.contain(0x0, 0x10));
        assert!(!grants.contain(u64::MAX, 2));
        assert!(grants.is_whole(0x4000, 0x1000) && !grants.is_whole(0x4000, 0x800));
        grants.remove(0x2000);
        assert!(!grants.contain(0x1800, 0x1000));
    }
}
