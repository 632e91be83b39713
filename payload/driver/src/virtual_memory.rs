//! Virtual memory management: addresses (`cuMemAddressReserve`), memory (`cuMemCreate`) and access apart from each other.
//!
//! ```text
//!   reservation   ├───────────────────────────────┤   addresses only
//!   mappings          ├── physical 1 ──┤├─ 2 ─┤       known to copies and pointer queries; nothing there yet
//!   access            ├── read, write ─┤              mapped here and in the engine
//! ```
//!
//! All devices of a process are one engine with one address space: what one device may do, the others may too.
//! A physical memory lives as long as it has a handle or a mapping in some process, or an open descriptor that stands for it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use wire::control::{self, MemoryKind};

use crate::managed::Location;
use crate::{CuResult, Cuda, get, gone, lock, memory, note, status};

/// Smallest unit of memory and of its places, as on a real card.
const GRANULARITY: u64 = 2 << 20;

/// `CU_MEM_LOCATION_TYPE_DEVICE`, `…_HOST`, `…_HOST_NUMA`, `…_HOST_NUMA_CURRENT`
const DEVICE: u32 = 1;
const HOST: u32 = 2;
const HOST_NUMA: u32 = 3;
const HOST_NUMA_CURRENT: u32 = 4;

/// `CU_MEM_ALLOCATION_TYPE_PINNED`
const PINNED: u32 = 1;

/// `CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR`
const POSIX_DESCRIPTOR: u32 = 1;

/// `CU_MEM_ACCESS_FLAGS_PROT_READ`, and the bit that `…_PROT_READWRITE` has besides.
pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;

/// `CUmemAllocationProp`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// `CUmemAllocationType`
    pub kind: u32,
    /// `CUmemAllocationHandleType`s that may be asked for later.
    pub handle_types: u32,
    /// Where the memory is.
    pub location: Location,
    /// Of another system.
    pub win32_meta_data: u64,
    /// `compressionType`, `gpuDirectRDMACapable`, `usage`
    pub flags: [u8; 4],
    /// Zero.
    pub reserved: [u8; 4],
}

call_trace::fields! { Properties { kind, handle_types, location } }

/// `CUmemAccessDesc`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whose.
    pub location: Location,
    /// `CUmemAccess_flags`
    pub flags: u32,
}

call_trace::fields! { Access { location, flags } }

struct Physical {
    length: u64,
    properties: Properties,
    /// Times that `cuMemRelease` is due.
    handles: u32,
    mappings: u32,
}

struct Mapping {
    length: u64,
    physical: u64,
    access: Vec<Access>,
}

impl Mapping {
    /// What any location may do.
    fn flags(&self) -> u32 {
        self.access.iter().fold(0, |flags, access| flags | access.flags)
    }
}

struct Tables {
    physical: BTreeMap<u64, Physical>,
    reservations: BTreeMap<u64, u64>,
    mappings: BTreeMap<u64, Mapping>,
}

// Held across the broker's calls, so that what is known here is what holds there. Before the tables of `memory`.
static TABLES: Mutex<Tables> = Mutex::new(Tables {
    physical: BTreeMap::new(),
    reservations: BTreeMap::new(),
    mappings: BTreeMap::new(),
});

fn require(holds: bool) -> Cuda {
    if holds { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
}

fn is_whole(bytes: u64) -> bool {
    bytes > 0 && bytes.is_multiple_of(GRANULARITY)
}

impl Properties {
    /// Device ordinal and the broker's kind.
    fn check(&self) -> Cuda<(i32, MemoryKind)> {
        require(self.kind == PINNED)?;
        if self.handle_types & !POSIX_DESCRIPTOR != 0 {
            note::unsupported("cuMemCreate for other handles than POSIX descriptors");
            return Err(CuResult::NOT_SUPPORTED);
        }
        match self.location {
            Location { kind: DEVICE, id } => get()?.device(id).map(|_| (id, MemoryKind::Device)),
            // One memory, which is node 0.
            Location { kind: HOST | HOST_NUMA_CURRENT, .. } | Location { kind: HOST_NUMA, id: 0 } => {
                Ok((0, MemoryKind::Host))
            }
            _ => Err(CuResult::INVALID_DEVICE),
        }
    }
}

/// `cuMemGetAllocationGranularity`
pub fn granularity(properties: &Properties, option: u32) -> Cuda<u64> {
    properties.check()?;
    // CU_MEM_ALLOC_GRANULARITY_MINIMUM and …_RECOMMENDED
    require(option <= 1).map(|()| GRANULARITY)
}

/// `cuMemCreate`
pub fn create(length: u64, properties: &Properties, flags: u64) -> Cuda<u64> {
    let (ordinal, kind) = properties.check()?;
    require(is_whole(length) && flags == 0)?;
    let driver = get()?;
    driver.engine()?;
    let mut tables = lock(&TABLES);
    let order = control::CreatePhysical { device: driver.device(ordinal)?.index, kind: kind as u32, length };
    let made = driver.connection().call(&order).map_err(status)?;
    // What was not granted is not told: no compression, no RDMA.
    let properties = Properties { flags: [0; 4], ..*properties };
    tables.physical.insert(made.number, Physical { length, properties, handles: 1, mappings: 0 });
    Ok(made.number)
}

/// `cuMemRelease`
pub fn release(handle: u64) -> Cuda {
    get()?;
    let mut tables = lock(&TABLES);
    tables.by_handle(handle)?.handles -= 1;
    tables.settle(handle)
}

/// `cuMemRetainAllocationHandle`
pub fn retain(address: u64) -> Cuda<u64> {
    get()?;
    let mut tables = lock(&TABLES);
    let number = tables.mapping_at(address)?.physical;
    tables.physical.get_mut(&number).ok_or(CuResult::INVALID_VALUE)?.handles += 1;
    Ok(number)
}

/// `cuMemGetAllocationPropertiesFromHandle`
pub fn properties_of(handle: u64) -> Cuda<Properties> {
    get()?;
    lock(&TABLES).by_handle(handle).map(|physical| physical.properties)
}

/// `cuMemAddressReserve`
pub fn reserve(length: u64, alignment: u64, wish: u64, flags: u64) -> Cuda<u64> {
    let alignment = if alignment == 0 { GRANULARITY } else { alignment };
    require(is_whole(length) && alignment.is_power_of_two() && flags == 0)?;
    let driver = get()?;
    let engine = driver.engine()?;
    let mut tables = lock(&TABLES);
    // A wish that is none of ours is no error: the address is a hint.
    let wish = if wish.is_multiple_of(GRANULARITY.max(alignment)) { wish } else { 0 };
    let address = engine.reserve_addresses(driver.connection(), length, alignment, wish).map_err(status)?;
    tables.reservations.insert(address, length);
    Ok(address)
}

/// `cuMemAddressFree`
pub fn free_addresses(address: u64, length: u64) -> Cuda {
    let driver = get()?;
    let mut tables = lock(&TABLES);
    require(tables.reservations.get(&address) == Some(&length))?;
    require(tables.mappings.range(address..address + length).next().is_none())?;
    let engine = driver.engine()?;
    engine.release_addresses(driver.connection(), address, length).map_err(status)?;
    tables.reservations.remove(&address);
    Ok(())
}

/// `cuMemMap`
pub fn map(address: u64, length: u64, offset: u64, handle: u64, flags: u64) -> Cuda {
    get()?;
    let mut tables = lock(&TABLES);
    let physical = tables.by_handle(handle)?;
    // An offset other than zero is reserved for later versions of the interface.
    require(offset == 0 && flags == 0 && is_whole(length) && length <= physical.length)?;
    let properties = physical.properties;
    require(tables.has_place(address, length))?;
    let (ordinal, kind) = properties.check()?;
    if let Some(physical) = tables.physical.get_mut(&handle) {
        physical.mappings += 1;
    }
    tables.mappings.insert(address, Mapping { length, physical: handle, access: Vec::new() });
    memory::insert_mapping(address, length, ordinal, kind, handle, properties.handle_types);
    Ok(())
}

/// `cuMemUnmap`
pub fn unmap(address: u64, length: u64) -> Cuda {
    let driver = get()?;
    let mut tables = lock(&TABLES);
    let range = tables.whole_mappings(address, length)?;
    let engine = driver.engine()?;
    // As with `cuMemFree`: what may use it ends first. After an error nothing runs any more.
    let waited = engine.wait_all().map_err(gone);
    for place in range {
        let Some(mapping) = tables.mappings.remove(&place) else { continue };
        memory::remove_mapping(place);
        if mapping.flags() != 0 {
            engine.unmap_physical(driver.connection(), place, mapping.length).map_err(status)?;
        }
        if let Some(physical) = tables.physical.get_mut(&mapping.physical) {
            physical.mappings -= 1;
        }
        tables.settle(mapping.physical)?;
    }
    waited
}

/// `cuMemSetAccess`
pub fn set_access(address: u64, length: u64, wanted: &[Access]) -> Cuda {
    let driver = get()?;
    let engine = driver.engine()?;
    let mut tables = lock(&TABLES);
    let range = tables.whole_mappings(address, length)?;
    require(!wanted.is_empty())?;
    for access in wanted {
        require(matches!(access.flags, 0 | READ) || access.flags == READ | WRITE)?;
        range.iter().try_for_each(|place| tables.check_location(*place, access.location))?;
    }
    for place in range {
        let Some(mapping) = tables.mappings.get_mut(&place) else { continue };
        let before = mapping.flags();
        for access in wanted {
            mapping.access.retain(|known| known.location != access.location);
            mapping.access.push(*access);
        }
        let flags = mapping.flags();
        let (number, length) = (mapping.physical, mapping.length);
        let changed = match (before, flags) {
            _ if before == flags => Ok(()),
            (_, 0) => {
                let waited = engine.wait_all().map_err(gone);
                waited.and(engine.unmap_physical(driver.connection(), place, length).map_err(status))
            }
            _ => engine
                .map_physical(driver.connection(), number, place, length, flags & WRITE != 0)
                .map_err(status),
        };
        memory::set_access(place, flags);
        changed?;
    }
    Ok(())
}

/// `cuMemGetAccess`
pub fn get_access(location: Location, address: u64) -> Cuda<u32> {
    get()?;
    let tables = lock(&TABLES);
    let found = tables.mapping_at(address)?.access.iter().find(|access| access.location == location);
    Ok(found.map_or(0, |access| access.flags))
}

/// `cuMemExportToShareableHandle`: a descriptor.
pub fn export(handle: u64, handle_type: u32, flags: u64) -> Cuda<i32> {
    let driver = get()?;
    let mut tables = lock(&TABLES);
    let physical = tables.by_handle(handle)?;
    require(handle_type == POSIX_DESCRIPTOR && flags == 0)?;
    require(physical.properties.handle_types & handle_type != 0)?;
    let order = control::ExportPhysical { number: handle };
    driver.connection().call(&order).map(|answer| answer.descriptor).map_err(status)
}

/// `cuMemImportFromShareableHandle`
pub fn import(descriptor: i32, handle_type: u32) -> Cuda<u64> {
    require(handle_type == POSIX_DESCRIPTOR)?;
    let driver = get()?;
    driver.engine()?;
    let mut tables = lock(&TABLES);
    let order = control::ImportPhysical { descriptor };
    let control::Physical { number, length, device, kind } =
        driver.connection().call(&order).map_err(status)?;
    let location = if kind == MemoryKind::Host as u32 {
        Location { kind: HOST, id: 0 }
    } else {
        // A device that `CUDA_VISIBLE_DEVICES` hides from this process can't hold memory of its.
        let ordinal = driver.devices.iter().position(|known| known.index == device);
        match ordinal {
            Some(ordinal) => Location { kind: DEVICE, id: ordinal as i32 },
            None => {
                if !tables.physical.contains_key(&number) {
                    let _ = driver.connection().call(&control::ReleasePhysical { number });
                }
                return Err(CuResult::INVALID_DEVICE);
            }
        }
    };
    let properties = Properties {
        kind: PINNED,
        handle_types: POSIX_DESCRIPTOR,
        location,
        win32_meta_data: 0,
        flags: [0; 4],
        reserved: [0; 4],
    };
    let fresh = || Physical { length, properties, handles: 0, mappings: 0 };
    tables.physical.entry(number).or_insert_with(fresh).handles += 1;
    Ok(number)
}

impl Tables {
    fn by_handle(&mut self, handle: u64) -> Cuda<&mut Physical> {
        let physical = self.physical.get_mut(&handle);
        physical.filter(|physical| physical.handles > 0).ok_or(CuResult::INVALID_VALUE)
    }

    /// The mapping that holds an address.
    fn mapping_at(&self, address: u64) -> Cuda<&Mapping> {
        let before = self.mappings.range(..=address).next_back();
        let holds = before.filter(|(start, mapping)| address - *start < mapping.length);
        holds.map(|(_, mapping)| mapping).ok_or(CuResult::INVALID_VALUE)
    }

    /// Gives memory up that has neither handle nor mapping here.
    fn settle(&mut self, number: u64) -> Cuda {
        let unused = |physical: &Physical| physical.handles == 0 && physical.mappings == 0;
        if self.physical.get(&number).is_some_and(unused) {
            self.physical.remove(&number);
            get()?.connection().call(&control::ReleasePhysical { number }).map_err(status)?;
        }
        Ok(())
    }

    /// Whether the range is inside a reservation and nothing is mapped there.
    fn has_place(&self, address: u64, length: u64) -> bool {
        let Some(end) = address.checked_add(length) else { return false };
        let reservation = self.reservations.range(..=address).next_back();
        let inside = reservation.is_some_and(|(start, reserved)| end <= start + reserved);
        let before = self.mappings.range(..end).next_back();
        let free = before.is_none_or(|(start, mapping)| start + mapping.length <= address);
        inside && free && address.is_multiple_of(GRANULARITY)
    }

    /// The mappings that make up a range, which may hold nothing else and no part of one.
    fn whole_mappings(&self, address: u64, length: u64) -> Cuda<Vec<u64>> {
        let end = address.checked_add(length).ok_or(CuResult::INVALID_VALUE)?;
        let (mut next, mut found) = (address, Vec::new());
        for (start, mapping) in self.mappings.range(address..end) {
            require(*start == next)?;
            next += mapping.length;
            found.push(*start);
        }
        require(next == end && !found.is_empty())?;
        Ok(found)
    }

    /// Devices may be given access to everything, the host only to memory of its own.
    fn check_location(&self, mapping: u64, location: Location) -> Cuda {
        if location.kind == DEVICE {
            return get()?.device(location.id).map(drop);
        }
        let physical = self.mappings.get(&mapping).and_then(|mapping| self.physical.get(&mapping.physical));
        let on_host = physical.is_some_and(|physical| physical.properties.location.kind != DEVICE);
        require(on_host && (HOST..=HOST_NUMA_CURRENT).contains(&location.kind))
    }
}
