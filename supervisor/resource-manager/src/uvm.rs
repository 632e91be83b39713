//! `/dev/nvidia-uvm`: unified memory, as far as it is told of without a card that works.
//!
//! A request is a plain number, its size is the command's. See `kernel-open/nvidia-uvm/uvm.c`.

use std::collections::{BTreeMap, BTreeSet};

use nvidia_abi::{status, uvm};

use crate::structure::Structure;
use crate::{Caller, Errno, FileId, Node, ResourceManager};

/// What belongs to one open file.
#[derive(Debug, Default)]
pub struct Space {
    /// Flags of its initialisation.
    initialised: Option<u64>,
    gpus: BTreeSet<[u8; 16]>,
    range_groups: BTreeSet<u64>,
    groups_made: u64,
    /// Client and handle of each.
    channels: BTreeSet<(u32, u32)>,
    /// Addresses that are spoken for, by their start.
    ranges: BTreeMap<u64, Range>,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    length: u64,
    /// It came by a mapping, and goes with it, which nobody tells us.
    managed: bool,
}

/// How much programs may have us remember, all together.
const MOST: usize = 1 << 20;

/// `UVM_INIT_FLAGS_…`
const WITHOUT_HMM: u64 = 1;
const SHARED_BY_PROCESSES: u64 = 2;

impl ResourceManager {
    /// A program mapped the node: managed memory.
    pub fn mapped(&mut self, file: FileId, address: u64, length: u64) {
        if let Some(file) = self.files.get_mut(&file).filter(|file| file.node == Node::UnifiedMemory) {
            let before = file.unified_memory.entries();
            file.unified_memory.ranges.entry(address).or_insert(Range { length, managed: true });
            self.unified_entries += file.unified_memory.entries() - before;
        }
    }

    pub(crate) fn unified_memory(
        &mut self,
        file: FileId,
        request: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let abi = self.abi.clone();
        let Some(row) = abi.uvm(request).filter(|row| is_routed(row.number)) else {
            return Err(Errno::NoSuchCommand);
        };
        let mut bytes = vec![0; row.size];
        if !caller.read(argument, &mut bytes) {
            return Err(Errno::Fault);
        }
        let mut structure = Structure::new(row, &mut bytes);
        let result = self.unified_memory_command(file, request, &mut structure, caller);
        structure.set("rmStatus", crate::escape::status_of(result));
        if caller.write(argument, &bytes) { Ok(()) } else { Err(Errno::Fault) }
    }

    fn unified_memory_command(
        &mut self,
        file: FileId,
        request: u32,
        structure: &mut Structure,
        caller: &mut dyn Caller,
    ) -> Result<(), u32> {
        let known: Vec<[u8; 16]> = self.cards.iter().map(|card| card.description.uuid).collect();
        let other = (request == uvm::UVM_MM_INITIALIZE)
            .then(|| caller.file(structure.word("uvmFd") as i32))
            .flatten()
            .and_then(|other| self.files.get(&other))
            .map(|other| (other.node, other.unified_memory.initialised));
        let Some(space) = self.files.get_mut(&file).map(|file| &mut file.unified_memory) else {
            return Err(status::NV_ERR_INVALID_ARGUMENT);
        };
        let of_others = self.unified_entries - space.entries();
        let is_full = self.unified_entries >= MOST;
        let result = match request {
            uvm::UVM_INITIALIZE => space.initialise(structure.get("flags")),
            uvm::UVM_DEINITIALIZE => Ok(()),
            uvm::UVM_MM_INITIALIZE => match other {
                // A space that processes share follows no process's memory.
                Some((Node::UnifiedMemory, Some(flags))) if flags & SHARED_BY_PROCESSES != 0 => {
                    Err(status::NV_WARN_NOTHING_TO_DO)
                }
                Some((Node::UnifiedMemory, Some(_))) => Ok(()),
                _ => Err(status::NV_ERR_INVALID_ARGUMENT),
            },
            _ if space.initialised.is_none() => Err(status::NV_ERR_ILLEGAL_ACTION),
            _ if is_full && remembers(request) => Err(status::NV_ERR_NO_MEMORY),
            _ => match space.command(request, structure, &known) {
                Some(result) => result,
                None => {
                    let name = self.abi.uvm(request).and_then(|row| row.name);
                    return Err(self.note_unknown(name.unwrap_or("a command of unified memory").to_owned()));
                }
            },
        };
        self.unified_entries = of_others + space.entries();
        result
    }
}

/// Numbers below belong to a driver of long ago.
fn is_routed(number: u32) -> bool {
    number >= uvm::UVM_CREATE_RANGE_GROUP && number != uvm::UVM_MEM_MAP
}

/// Whether something is kept of such a command.
fn remembers(request: u32) -> bool {
    matches!(
        request,
        uvm::UVM_REGISTER_CHANNEL
            | uvm::UVM_CREATE_RANGE_GROUP
            | uvm::UVM_CREATE_EXTERNAL_RANGE
            | uvm::UVM_ALLOC_SEMAPHORE_POOL
            | uvm::UVM_MAP_DYNAMIC_PARALLELISM_REGION
    )
}

impl Space {
    /// How much is remembered.
    pub(crate) fn entries(&self) -> usize {
        self.channels.len() + self.range_groups.len() + self.ranges.len()
    }

    fn initialise(&mut self, flags: u64) -> Result<(), u32> {
        if flags & !(WITHOUT_HMM | SHARED_BY_PROCESSES) != 0 {
            return Err(status::NV_ERR_INVALID_ARGUMENT);
        }
        match self.initialised {
            Some(before) if before != flags => Err(status::NV_ERR_INVALID_ARGUMENT),
            _ => {
                self.initialised = Some(flags);
                Ok(())
            }
        }
    }

    /// None: not known here.
    fn command(
        &mut self,
        request: u32,
        structure: &mut Structure,
        known: &[[u8; 16]],
    ) -> Option<Result<(), u32>> {
        let (base, length) = (structure.get("base"), structure.get("length"));
        Some(match request {
            // Memory of the program that it did not get from here is not a card's to touch.
            uvm::UVM_PAGEABLE_MEM_ACCESS => {
                structure.set("pageableMemAccess", 0_u64);
                Ok(())
            }
            uvm::UVM_REGISTER_GPU => self.register(structure, known),
            uvm::UVM_UNREGISTER_GPU => {
                is(self.gpus.remove(&uuid(structure, "gpu_uuid.uuid")), status::NV_ERR_INVALID_DEVICE)
            }
            uvm::UVM_REGISTER_GPU_VASPACE | uvm::UVM_UNREGISTER_GPU_VASPACE => self.knows(structure),
            uvm::UVM_REGISTER_CHANNEL => self.knows(structure).map(|()| {
                self.channels.insert(channel(structure));
            }),
            uvm::UVM_UNREGISTER_CHANNEL => {
                is(self.channels.remove(&channel(structure)), status::NV_ERR_INVALID_CHANNEL)
            }
            uvm::UVM_CREATE_RANGE_GROUP => {
                self.groups_made += 1;
                self.range_groups.insert(self.groups_made);
                structure.set("rangeGroupId", self.groups_made);
                Ok(())
            }
            uvm::UVM_DESTROY_RANGE_GROUP => {
                is(self.range_groups.remove(&structure.get("rangeGroupId")), status::NV_ERR_OBJECT_NOT_FOUND)
            }
            uvm::UVM_CREATE_EXTERNAL_RANGE
            | uvm::UVM_ALLOC_SEMAPHORE_POOL
            | uvm::UVM_MAP_DYNAMIC_PARALLELISM_REGION => self.add(base, length),
            uvm::UVM_MAP_EXTERNAL_ALLOCATION | uvm::UVM_UNMAP_EXTERNAL | uvm::UVM_VALIDATE_VA_RANGE => {
                self.holds(base, length)
            }
            uvm::UVM_FREE => is(self.ranges.remove(&base).is_some(), status::NV_ERR_INVALID_ADDRESS),
            // Where managed memory should be: it is in one place here.
            uvm::UVM_SET_PREFERRED_LOCATION
            | uvm::UVM_UNSET_PREFERRED_LOCATION
            | uvm::UVM_SET_ACCESSED_BY
            | uvm::UVM_UNSET_ACCESSED_BY
            | uvm::UVM_SET_RANGE_GROUP
            | uvm::UVM_ENABLE_READ_DUPLICATION
            | uvm::UVM_DISABLE_READ_DUPLICATION => self.holds(structure.get("requestedBase"), length),
            _ => return None,
        })
    }

    fn register(&mut self, structure: &mut Structure, known: &[[u8; 16]]) -> Result<(), u32> {
        let gpu = uuid(structure, "gpu_uuid.uuid");
        if !known.contains(&gpu) {
            return Err(status::NV_ERR_GPU_UUID_NOT_FOUND);
        }
        self.gpus.insert(gpu);
        structure.set("numaEnabled", 0_u64);
        structure.set("numaNodeId", u64::from(u32::MAX));
        Ok(())
    }

    fn knows(&self, structure: &Structure) -> Result<(), u32> {
        is(self.gpus.contains(&uuid(structure, "gpuUuid.uuid")), status::NV_ERR_INVALID_DEVICE)
    }

    fn add(&mut self, base: u64, length: u64) -> Result<(), u32> {
        let end = base.checked_add(length).filter(|_| length > 0).ok_or(status::NV_ERR_INVALID_ADDRESS)?;
        while let Some((&start, range)) = self.ranges.range(..end).next_back() {
            match range {
                _ if start + range.length <= base => break,
                Range { managed: true, .. } => self.ranges.remove(&start),
                _ => return Err(status::NV_ERR_UVM_ADDRESS_IN_USE),
            };
        }
        self.ranges.insert(base, Range { length, managed: false });
        Ok(())
    }

    fn holds(&self, base: u64, length: u64) -> Result<(), u32> {
        let around = self.ranges.range(..=base).next_back();
        let inside = around.is_some_and(|(start, range)| base.saturating_add(length) <= start + range.length);
        is(inside, status::NV_ERR_INVALID_ADDRESS)
    }
}

fn channel(structure: &Structure) -> (u32, u32) {
    (structure.word("hClient"), structure.word("hChannel"))
}

fn is(condition: bool, otherwise: u32) -> Result<(), u32> {
    if condition { Ok(()) } else { Err(otherwise) }
}

fn uuid(structure: &Structure, field: &str) -> [u8; 16] {
    std::array::from_fn(|at| structure.element(field, at) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overlap() {
        let mut space = Space::default();
        assert!(space.add(0x1000, 0x1000).is_ok() && space.add(0x2000, 0x1000).is_ok());
        assert_eq!(space.add(0x1fff, 1), Err(status::NV_ERR_UVM_ADDRESS_IN_USE));
        assert_eq!(space.add(0x800, 0x801), Err(status::NV_ERR_UVM_ADDRESS_IN_USE));
        assert!(space.add(0x800, 0x800).is_ok());
        assert!(space.holds(0x1800, 0x800).is_ok());
        assert_eq!(
            space.holds(0x1800, 0x801),
            Err(status::NV_ERR_INVALID_ADDRESS),
            "each range is one thing"
        );
        assert_eq!(space.add(u64::MAX, 2), Err(status::NV_ERR_INVALID_ADDRESS));
    }
}
