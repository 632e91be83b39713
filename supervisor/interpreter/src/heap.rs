//! Device `malloc` and `free`: a piece of device memory of the module's, and who has which part of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use ptx::Module;

/// Bytes of the heap of a module that has one of its own: what `CU_LIMIT_MALLOC_HEAP_SIZE` is at first.
const BYTES: u64 = 8 << 20;
/// Blocks begin at multiples of it, as CUDA promises.
const ALIGN: u64 = 16;

/// Those of the system's functions `malloc` and `free` that a module declares, and leaves to us.
pub(crate) fn functions(module: &Module) -> impl Iterator<Item = &'static str> {
    ["malloc", "free"]
        .into_iter()
        .filter(|name| module.function_position(name).is_some_and(|at| !module.functions()[at].is_defined()))
}

/// Bytes that a module's own heap takes: none if it does not call `malloc`.
pub(crate) fn heap_bytes(module: &Module) -> u64 {
    if functions(module).any(|name| name == "malloc") { BYTES } else { 0 }
}

/// A heap, without memory at first. All blocks of all grids of a context use the same, so it is locked; what lies in it is the
/// kernels' own.
#[derive(Debug, Default)]
pub struct Heap(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    /// Address and length of what is free; neighbours are one.
    free: BTreeMap<u64, u64>,
    used: HashMap<u64, u64>,
}

impl Heap {
    /// Makes it a heap of this memory, all of it free. Precondition: what it had before is no longer in use.
    pub fn assign(&self, start: u64, bytes: u64) {
        let free = if bytes == 0 { BTreeMap::new() } else { BTreeMap::from([(start, bytes)]) };
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            Blocks { free, used: HashMap::new() };
    }

    /// A block, or 0 if there is no room.
    pub(crate) fn take(&self, bytes: u64) -> u64 {
        let Some(bytes) = bytes.max(1).checked_next_multiple_of(ALIGN) else { return 0 };
        let mut blocks = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some((start, length)) =
            blocks.free.iter().find(|(_, length)| **length >= bytes).map(|(start, length)| (*start, *length))
        else {
            return 0;
        };
        blocks.free.remove(&start);
        if length > bytes {
            blocks.free.insert(start + bytes, length - bytes);
        }
        blocks.used.insert(start, bytes);
        start
    }

    /// Gives a block back; false if there is none at the address.
    pub(crate) fn give(&self, address: u64) -> bool {
        let mut blocks = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(mut length) = blocks.used.remove(&address) else { return false };
        let mut start = address;
        if let Some(next) = blocks.free.remove(&(address + length)) {
            length += next;
        }
        let before = blocks.free.range(..address).next_back().map(|(start, length)| (*start, *length));
        if let Some((earlier, bytes)) = before.filter(|(earlier, bytes)| earlier + bytes == address) {
            (start, length) = (earlier, bytes + length);
        }
        blocks.free.insert(start, length);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_come_back_whole() {
        let heap = Heap::default();
        assert_eq!(heap.take(1), 0, "no memory yet");
        heap.assign(0x1000, 0x100);
        let blocks: Vec<u64> = (0..4).map(|_| heap.take(0x31)).collect();
        assert_eq!(blocks, [0x1000, 0x1040, 0x1080, 0x10c0]);
        assert_eq!(heap.take(1), 0, "full");
        for block in [0x1040, 0x10c0, 0x1080, 0x1000] {
            assert!(heap.give(block));
        }
        assert!(!heap.give(0x1000), "given twice");
        assert_eq!(heap.take(0x100), 0x1000, "neighbours were joined");
    }
}
