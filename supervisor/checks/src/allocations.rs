//! What memory the program has: exact ranges, where they came from, and which of their bytes were written.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::bits::Bits;
use crate::findings::bytes;

/// What a piece of memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of `cuMemAlloc`, written by copies, fills and kernels only.
    Device,
    /// Host memory that kernels may use.
    Host,
    /// Managed memory.
    Managed,
    /// Device memory that others may write unseen: imported from another process, or mapped virtual memory.
    Shared,
    /// A variable of a module.
    Variable(String),
    /// Of device `malloc`.
    Malloc,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Device => f.write_str("device memory"),
            Kind::Host => f.write_str("host memory"),
            Kind::Managed => f.write_str("managed memory"),
            Kind::Shared => f.write_str("mapped device memory"),
            Kind::Variable(name) => write!(f, "variable `{name}`"),
            Kind::Malloc => f.write_str("device memory of `malloc`"),
        }
    }
}

/// A piece of memory.
pub struct Allocation {
    pub start: u64,
    pub length: u64,
    kind: Kind,
    /// Bytes that were written, where that is known.
    written: Option<Bits>,
    is_freed: AtomicBool,
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {:#x}", bytes(self.length), self.kind, self.start)?;
        if self.is_freed() { f.write_str(", freed") } else { Ok(()) }
    }
}

impl Allocation {
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    pub fn is_freed(&self) -> bool {
        self.is_freed.load(Ordering::Relaxed)
    }

    /// Whether all of a range lies inside.
    pub fn holds(&self, address: u64, size: u64) -> bool {
        address >= self.start && size <= self.length && address - self.start <= self.length - size
    }

    /// A range inside was written.
    pub fn write(&self, address: u64, size: u64) {
        if let Some(written) = &self.written {
            written.set(address - self.start, size);
        }
    }

    /// The first byte of a range inside that was never written.
    pub fn unwritten(&self, address: u64, size: u64) -> Option<u64> {
        let written = self.written.as_ref()?;
        written.first_clear(address - self.start, size).map(|place| self.start + place)
    }
}

/// Freed pieces that are remembered.
const MOST_FREED: usize = 4096;

/// Where an access went that no piece of memory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// In memory that was freed: which.
    Freed(String),
    /// Behind memory: by how much, and which.
    Behind(u64, String),
    /// Before memory: by how much, and which.
    Before(u64, String),
    /// Far from all.
    Nowhere,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Freed(which) => write!(f, "in freed memory\n  allocation: {which}"),
            Wrong::Behind(0, which) => write!(f, "just past the end of an allocation\n  allocation: {which}"),
            Wrong::Behind(by, which) => {
                write!(f, "{} past the end of an allocation\n  allocation: {which}", bytes(*by))
            }
            Wrong::Before(by, which) => {
                write!(f, "{} before an allocation\n  allocation: {which}", bytes(*by))
            }
            Wrong::Nowhere => f.write_str("no allocation is near"),
        }
    }
}

/// The pieces that there are, and some that there were.
#[derive(Default)]
pub struct Allocations {
    live: RwLock<BTreeMap<u64, Arc<Allocation>>>,
    /// The newest last.
    freed: Mutex<VecDeque<Arc<Allocation>>>,
    /// Pieces that are given away in parts: start and end.
    divided: Mutex<BTreeMap<u64, u64>>,
}

impl Allocations {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Arc<Allocation>>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Arc<Allocation>>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn insert(&self, start: u64, length: u64, kind: Kind, follow: bool) {
        let follow = follow && matches!(kind, Kind::Device | Kind::Malloc);
        let written = follow.then(|| Bits::new(length));
        let fresh = Allocation { start, length, kind, written, is_freed: AtomicBool::new(false) };
        self.write().insert(start, Arc::new(fresh));
    }

    /// Forgets the piece that begins there, with all that begins inside; remembers that it was there.
    pub fn remove(&self, start: u64) {
        let divided = self.divided.lock().unwrap_or_else(PoisonError::into_inner).remove(&start);
        let mut live = self.write();
        let end = divided.or_else(|| live.get(&start).map(|piece| piece.end())).unwrap_or(start);
        let inside: Vec<u64> = live.range(start..end.max(start)).map(|(start, _)| *start).collect();
        let all: Vec<Arc<Allocation>> = inside.iter().filter_map(|start| live.remove(start)).collect();
        drop(live);
        let mut freed = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in all {
            piece.is_freed.store(true, Ordering::Relaxed);
            freed.push_back(piece);
        }
        while freed.len() > MOST_FREED {
            freed.pop_front();
        }
    }

    /// What begins there is given away in parts from now on: itself it holds nothing, so that what lies between parts is outside.
    pub fn divide(&self, start: u64) {
        let mut live = self.write();
        let Some(whole) = live.remove(&start) else { return };
        whole.is_freed.store(true, Ordering::Relaxed);
        self.divided.lock().unwrap_or_else(PoisonError::into_inner).insert(start, whole.end());
    }

    /// The piece that holds an address.
    pub fn find(&self, address: u64) -> Option<Arc<Allocation>> {
        let live = self.read();
        let (_, before) = live.range(..=address).next_back()?;
        before.holds(address, 1).then(|| before.clone())
    }

    /// What there is of `cuMemAlloc`.
    pub fn device(&self) -> Vec<Arc<Allocation>> {
        self.read().values().filter(|piece| piece.kind == Kind::Device).cloned().collect()
    }

    /// Where an access that no piece holds went.
    pub fn wrong_with(&self, address: u64) -> Wrong {
        let freed = self.freed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = freed.iter().rev().find(|piece| piece.holds(address, 1)) {
            return Wrong::Freed(piece.to_string());
        }
        drop(freed);
        let live = self.read();
        let before = live.range(..=address).next_back().map(|(_, piece)| piece);
        let behind = live.range(address.saturating_add(1)..).next().map(|(_, piece)| piece);
        let past = before.map(|piece| (address.saturating_sub(piece.end()), piece));
        let ahead = behind.map(|piece| (piece.start - address, piece));
        match (past, ahead) {
            (Some((past, _)), Some((ahead, piece))) if ahead < past && ahead < NEAR => {
                Wrong::Before(ahead, piece.to_string())
            }
            (Some((past, piece)), _) if past < NEAR => Wrong::Behind(past, piece.to_string()),
            (_, Some((ahead, piece))) if ahead < NEAR => Wrong::Before(ahead, piece.to_string()),
            _ => Wrong::Nowhere,
        }
    }

    /// What is wrong with a range, which may span pieces that lie side by side.
    pub fn wrong_with_range(&self, start: u64, length: u64) -> Option<Wrong> {
        let end = start.saturating_add(length);
        let mut next = start;
        while next < end {
            match self.find(next) {
                Some(piece) => next = piece.end(),
                None => return Some(self.wrong_with(next)),
            }
        }
        None
    }

    /// Something else than a kernel has written a range.
    pub fn written(&self, start: u64, length: u64) {
        self.each_part(start, length, |piece, start, length| piece.write(start, length));
    }

    /// Calls for each part of a range that a piece holds: the piece, address and bytes of the part.
    fn each_part(&self, start: u64, length: u64, mut tell: impl FnMut(&Allocation, u64, u64)) {
        let end = start.saturating_add(length);
        let live = self.read();
        let first = live.range(..=start).next_back().map_or(start, |(start, _)| *start);
        for piece in live.range(first..end).map(|(_, piece)| piece) {
            let (from, to) = (start.max(piece.start), end.min(piece.end()));
            if from < to {
                tell(piece, from, to - from);
            }
        }
    }

    /// A range was copied: its target's bytes are as written as its source's were. What is not followed counts as written.
    pub fn copied(&self, target: u64, source: u64, length: u64) {
        let mut clear = Vec::new();
        self.each_part(source, length, |piece, start, length| {
            let (mut next, end) = (start, start + length);
            while let Some(hole) = piece.unwritten(next, end - next) {
                let until = (hole + 1..end).find(|place| piece.unwritten(*place, 1).is_none()).unwrap_or(end);
                clear.push((hole - source, until - hole));
                next = until;
            }
        });
        self.written(target, length);
        for (offset, length) in clear {
            self.each_part(target + offset, length, |piece, start, length| {
                if let Some(written) = &piece.written {
                    written.clear(start - piece.start, length);
                }
            });
        }
    }
}

/// Bytes from memory on within which an access is told to have missed it.
const NEAR: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pieces: &[(u64, u64)]) -> Allocations {
        let allocations = Allocations::default();
        pieces.iter().for_each(|(start, length)| allocations.insert(*start, *length, Kind::Device, true));
        allocations
    }

    #[test]
    fn a_miss_is_told_by_what_is_nearest() {
        let allocations = with(&[(0x1000, 100), (0x2000, 8)]);
        assert!(allocations.find(0x1063).is_some() && allocations.find(0x1064).is_none());
        let wrong = |address| allocations.wrong_with(address);
        assert!(matches!(wrong(0x1064), Wrong::Behind(0, _)), "{:?}", wrong(0x1064));
        assert!(matches!(wrong(0x1ffc), Wrong::Before(4, _)), "{:?}", wrong(0x1ffc));
        assert_eq!(wrong(0x9000_0000), Wrong::Nowhere);
        allocations.remove(0x2000);
        let Wrong::Freed(which) = wrong(0x2004) else { panic!("{:?}", wrong(0x2004)) };
        assert_eq!(which, "8 bytes of device memory at 0x2000, freed");
    }

    #[test]
    fn a_range_may_span_neighbours_but_no_gap() {
        let allocations = with(&[(0x1000, 0x100), (0x1100, 0x100), (0x1300, 0x100)]);
        assert_eq!(allocations.wrong_with_range(0x1080, 0x180), None);
        assert!(matches!(allocations.wrong_with_range(0x1080, 0x181), Some(Wrong::Behind(0, _))));
    }

    #[test]
    fn a_copy_passes_on_what_was_not_written() {
        let allocations = with(&[(0x1000, 0x100), (0x2000, 0x100)]);
        allocations.written(0x1000, 0x40);
        allocations.written(0x1050, 0x10);
        allocations.written(0x2000, 0x100);
        allocations.copied(0x2010, 0x1000, 0x60);
        let target = allocations.find(0x2000).expect("it is there");
        assert_eq!(target.unwritten(0x2000, 0x50), None);
        assert_eq!(target.unwritten(0x2000, 0x100), Some(0x2050));
        assert_eq!(target.unwritten(0x2060, 0xa0), None);
    }

    #[test]
    fn parts_take_the_place_of_the_whole() {
        let allocations = with(&[(0x1000, 0x100)]);
        allocations.divide(0x1000);
        allocations.insert(0x1000, 0x10, Kind::Variable("a".into()), false);
        allocations.insert(0x1020, 0x10, Kind::Variable("b".into()), false);
        assert!(allocations.find(0x1010).is_none() && allocations.find(0x1020).is_some());
        allocations.remove(0x1000);
        assert!(allocations.find(0x1000).is_none() && allocations.find(0x1020).is_none());
    }
}
