//! `/dev/nvidia-uvm`: unified memory, as far as it is told of without a card that works.
//!
//! A request is a plain number, its size is the command's. See `kernel-open/nvidia-uvm/uvm.c`.

use std::collections::BTreeSet;

use nvidia_abi::{status, uvm};

use crate::structure::Structure;
use crate::{Caller, Errno, FileId, Node, ResourceManager};

/// What belongs to one open file.
#[derive(Debug, Default)]
pub struct Space {
    is_initialised: bool,
    gpus: BTreeSet<[u8; 16]>,
    range_groups: BTreeSet<u64>,
    groups_made: u64,
}

impl ResourceManager {
    pub(crate) fn unified_memory(
        &mut self,
        file: FileId,
        request: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let Some(row) = self.abi.uvm(request).cloned() else {
            self.note_unknown(format!("request {request:#x} of unified memory"));
            return Err(Errno::Invalid);
        };
        let mut bytes = vec![0; row.size];
        if !caller.read(argument, &mut bytes) {
            return Err(Errno::Fault);
        }
        let mut structure = Structure::new(&row, &mut bytes);
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
            .map(|other| other.node);
        let Some(space) = self.files.get_mut(&file).map(|file| &mut file.unified_memory) else {
            return Err(status::NV_ERR_INVALID_ARGUMENT);
        };
        match request {
            uvm::UVM_INITIALIZE => space.initialise(structure.get("flags")),
            uvm::UVM_DEINITIALIZE => Ok(()),
            uvm::UVM_MM_INITIALIZE if other == Some(Node::UnifiedMemory) => Ok(()),
            uvm::UVM_MM_INITIALIZE => Err(status::NV_ERR_INVALID_ARGUMENT),
            _ if !space.is_initialised => Err(status::NV_ERR_ILLEGAL_ACTION),
            // Memory of the program that it did not get from here is not a card's to touch.
            uvm::UVM_PAGEABLE_MEM_ACCESS => {
                structure.set("pageableMemAccess", 0_u64);
                Ok(())
            }
            uvm::UVM_REGISTER_GPU => space.register(structure, &known),
            uvm::UVM_UNREGISTER_GPU => {
                space.gpus.remove(&uuid(structure)).then_some(()).ok_or(status::NV_ERR_INVALID_DEVICE)
            }
            uvm::UVM_CREATE_RANGE_GROUP => {
                space.groups_made += 1;
                space.range_groups.insert(space.groups_made);
                structure.set("rangeGroupId", space.groups_made);
                Ok(())
            }
            uvm::UVM_DESTROY_RANGE_GROUP => {
                let group = structure.get("rangeGroupId");
                space.range_groups.remove(&group).then_some(()).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)
            }
            _ => {
                let name =
                    self.abi.uvm(request).and_then(|row| row.name).unwrap_or("a command of unified memory");
                Err(self.note_unknown(name.to_owned()))
            }
        }
    }
}

impl Space {
    fn initialise(&mut self, flags: u64) -> Result<(), u32> {
        /// Without heterogeneous memory management; shared between processes; …
        const KNOWN: u64 = 0x7;
        if flags & !KNOWN != 0 {
            return Err(status::NV_ERR_INVALID_ARGUMENT);
        }
        self.is_initialised = true;
        Ok(())
    }

    fn register(&mut self, structure: &mut Structure, known: &[[u8; 16]]) -> Result<(), u32> {
        let gpu = uuid(structure);
        if !known.contains(&gpu) {
            return Err(status::NV_ERR_GPU_UUID_NOT_FOUND);
        }
        self.gpus.insert(gpu);
        structure.set("numaEnabled", 0_u64);
        structure.set("numaNodeId", u64::from(u32::MAX));
        Ok(())
    }
}

fn uuid(structure: &Structure) -> [u8; 16] {
    std::array::from_fn(|at| structure.element("gpu_uuid.uuid", at) as u8)
}
