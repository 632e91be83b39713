//! Memory nodes: an allocation that is the client's from one node to another, at the same address in every launch.
//!
//! The memory is taken when the node is made, so its address is known and a launch can't fail for want of it; it goes back with
//! the last graph or executable that holds the node, or, if the client still has it then, when the client frees it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use wire::control::MemoryKind;

use crate::{CuResult, Cuda, lock, memory};

/// Memory of an allocation node.
pub struct GraphMemory {
    /// Where it is.
    pub address: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Device ordinal.
    pub device: i32,
    live: AtomicBool,
}

/// `CUgraphMem_attribute`: bytes in use and held, now and at most.
#[derive(Clone, Copy, Default)]
struct Figures([u64; 4]);

const USED: usize = 0;
const RESERVED: usize = 2;

static KNOWN: Mutex<BTreeMap<u64, Weak<GraphMemory>>> = Mutex::new(BTreeMap::new());
static FIGURES: Mutex<BTreeMap<i32, Figures>> = Mutex::new(BTreeMap::new());

fn count(device: i32, which: usize, change: i64) {
    let mut figures = lock(&FIGURES);
    let Figures(values) = figures.entry(device).or_default();
    values[which] = values[which].saturating_add_signed(change);
    values[which + 1] = values[which + 1].max(values[which]);
}

impl GraphMemory {
    /// Takes memory of the current context's device.
    pub fn take(bytes: u64) -> Cuda<Arc<GraphMemory>> {
        let device = crate::context::current()?.device;
        let address = memory::allocate(MemoryKind::Device, bytes, 0)?;
        let taken = Arc::new(GraphMemory { address, bytes, device, live: AtomicBool::new(false) });
        lock(&KNOWN).insert(address, Arc::downgrade(&taken));
        count(device, RESERVED, bytes as i64);
        Ok(taken)
    }

    /// A launch has got to its allocation node.
    pub(super) fn begin(&self, auto_free: bool) -> Cuda {
        let was_live = self.live.swap(true, Ordering::SeqCst);
        if !was_live {
            count(self.device, USED, self.bytes as i64);
        }
        if was_live && !auto_free { Err(CuResult::INVALID_VALUE) } else { Ok(()) }
    }

    /// Its free node, or the client's own free.
    pub(super) fn end(&self) -> Cuda {
        if !self.live.swap(false, Ordering::SeqCst) {
            return Err(CuResult::INVALID_VALUE);
        }
        count(self.device, USED, -(self.bytes as i64));
        Ok(())
    }
}

impl Drop for GraphMemory {
    fn drop(&mut self) {
        lock(&KNOWN).remove(&self.address);
        count(self.device, RESERVED, -(self.bytes as i64));
        if self.live.load(Ordering::SeqCst) {
            // From now on an allocation like any other.
            count(self.device, USED, -(self.bytes as i64));
        } else {
            memory::give_back(self.address);
        }
    }
}

/// The memory of an allocation node by its address.
pub(crate) fn graph_memory(address: u64) -> Option<Arc<GraphMemory>> {
    lock(&KNOWN).get(&address)?.upgrade()
}

/// Whether an address that the client frees is a graph's: then the graph keeps the memory for its next launch.
pub(crate) fn freed_by_client(address: u64) -> Option<Cuda> {
    Some(graph_memory(address)?.end())
}

/// `cuDeviceGetGraphMemAttribute`
pub fn memory_attribute(device: i32, number: u32) -> Cuda<u64> {
    let figures = lock(&FIGURES).get(&device).copied().unwrap_or_default();
    figures.0.get(number as usize).copied().ok_or(CuResult::INVALID_VALUE)
}

/// `cuDeviceSetGraphMemAttribute`: the highest values can be set back.
pub fn set_memory_attribute(device: i32, number: u32, value: u64) -> Cuda {
    if value != 0 || !matches!(number, 1 | 3) {
        return Err(CuResult::INVALID_VALUE);
    }
    let mut figures = lock(&FIGURES);
    let Figures(values) = figures.entry(device).or_default();
    values[number as usize] = values[number as usize - 1];
    Ok(())
}
