//! One client process and what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use wire::control::MemoryKind;

use crate::address_space::AddressSpace;
use crate::backing::Cgroup;
use crate::engine::Engine;
use crate::ledger::Utilisation;
use crate::memory;

/// One piece of memory.
pub struct Grant {
    pub length: u64,
    pub device: u32,
    pub kind: MemoryKind,
    /// Bytes charged to the device; 0 for host memory and for imports.
    pub charged: u64,
    /// Somebody else's memory: not ours to punch out.
    pub imported: bool,
    pub memory: Arc<OwnedFd>,
}

impl Grant {
    /// Whether nobody else has use for it once its session lets go of it. An event's page lasts as long as it is mapped.
    pub fn is_to_be_reclaimed(&self) -> bool {
        !self.imported && self.kind != MemoryKind::Event
    }

    fn own_bytes(&self) -> u64 {
        if self.imported { 0 } else { self.length }
    }
}

/// A client with an engine.
pub struct Session {
    /// Readable when the process ends; the watch list follows it as long as it is open.
    _client: Arc<OwnedFd>,
    pub engine: Engine,
    pub space: AddressSpace,
    grants: BTreeMap<u64, Grant>,
    /// Addresses that are kept free of grants, and their length.
    pub reservations: BTreeMap<u64, u64>,
    /// What is mapped in them: address, length and the physical memory's number.
    pub placed: BTreeMap<u64, (u64, u64)>,
    /// Bytes of the grants that are this session's own.
    promised: u64,
    /// Devices on which it was charged for a context.
    pub entered: BTreeSet<u32>,
    /// Newest grant's number.
    pub map_sequence: u32,
    /// Whose limits the pages count against.
    pub cgroup: Cgroup,
    samples: Utilisation,
}

impl Session {
    /// `window`: the addresses that its grants get.
    pub fn new(client: Arc<OwnedFd>, engine: Engine, window: Range<u64>, cgroup: Cgroup) -> Session {
        Session {
            _client: client,
            engine,
            space: AddressSpace::new(window),
            grants: BTreeMap::new(),
            reservations: BTreeMap::new(),
            placed: BTreeMap::new(),
            promised: 0,
            entered: BTreeSet::new(),
            map_sequence: 0,
            cgroup,
            samples: Utilisation::default(),
        }
    }

    /// Per cent of its last sample period in which kernels ran.
    pub fn utilisation(&mut self, now: Instant) -> u32 {
        self.samples.sample(now, self.engine.work_done().1)
    }

    /// The grant that begins at `address`.
    pub fn grant(&self, address: u64) -> Option<&Grant> {
        self.grants.get(&address)
    }

    /// Adds a grant.
    pub fn hold(&mut self, address: u64, grant: Grant) {
        self.promised += grant.own_bytes();
        self.grants.insert(address, grant);
    }

    /// Takes a grant out.
    pub fn let_go(&mut self, address: u64) -> Option<Grant> {
        let grant = self.grants.remove(&address)?;
        self.promised -= grant.own_bytes();
        Some(grant)
    }

    /// Whether memory may be mapped there: inside one reservation, where nothing is, or exactly where something is.
    pub fn has_place(&self, address: u64, length: u64) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        let reservation = self.reservations.range(..=address).next_back();
        let inside = reservation.is_some_and(|(start, reserved)| end <= start + reserved);
        let before = self.placed.range(..end).next_back();
        let free = before.is_none_or(|(start, (placed, _))| start + placed <= address);
        inside && (free || self.placed.get(&address).is_some_and(|(placed, _)| *placed == length))
    }

    /// Bytes that it may touch, whether or not it has done so.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// Those of them that have no page yet.
    pub fn untouched(&self) -> u64 {
        let own = self.grants.values().filter(|grant| !grant.imported);
        own.map(|grant| grant.length.saturating_sub(memory::resident(&*grant.memory))).sum()
    }

    /// All its memory, at its end.
    pub fn into_grants(self) -> impl Iterator<Item = Grant> {
        self.grants.into_values()
    }
}

/// Bytes that memory of this kind is charged to its device.
pub fn cost(kind: MemoryKind, length: u64) -> u64 {
    match kind {
        MemoryKind::Device | MemoryKind::Managed => length,
        MemoryKind::Host | MemoryKind::Event => 0,
    }
}

/// The kind with this number.
pub fn memory_kind(number: u32) -> Option<MemoryKind> {
    use MemoryKind::*;
    [Device, Host, Managed, Event].into_iter().find(|kind| *kind as u32 == number)
}
