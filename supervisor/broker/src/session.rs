//! One client process and what it holds.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use wire::control::MemoryKind;

use crate::address_space::{AddressSpace, WINDOW};
use crate::engine::Engine;

/// One piece of memory.
pub struct Grant {
    pub length: u64,
    pub device: u32,
    /// Bytes charged to the device; 0 for host memory and for imports.
    pub charged: u64,
    /// Somebody else's memory: not ours to punch out.
    pub imported: bool,
    pub memory: Arc<OwnedFd>,
}

/// A client with an engine.
pub struct Session {
    /// Readable when the process ends; the watch list follows it as long as it is open.
    _client: Arc<OwnedFd>,
    pub engine: Engine,
    pub space: AddressSpace,
    pub grants: BTreeMap<u64, Grant>,
    /// Newest grant's number.
    pub map_sequence: u32,
}

impl Session {
    pub fn new(client: Arc<OwnedFd>, engine: Engine) -> Session {
        Session {
            _client: client,
            engine,
            space: AddressSpace::new(WINDOW),
            grants: BTreeMap::new(),
            map_sequence: 0,
        }
    }
}

/// The kind with this number.
pub fn memory_kind(number: u32) -> Option<MemoryKind> {
    use MemoryKind::*;
    [Device, Host, Managed].into_iter().find(|kind| *kind as u32 == number)
}
