//! The front end: ioctls of `/dev/nvidiactl` and `/dev/nvidiaN` ("escapes").
//!
//! Of a request the driver looks at the lowest byte and the size; type and direction are ignored. See `nvidia_ioctl` in
//! `kernel-open/nvidia/nv.c` and `RmIoctl` in `src/nvidia/arch/nvalloc/unix/src/escape.c`.

use nvidia_abi::{Row, class, escape, status};

use crate::object::{MOST_OBJECTS, Object, Space};
use crate::structure::Structure;
use crate::{Caller, Errno, FileId, Node, ResourceManager};

/// What `NV_ESC_CHECK_VERSION_STR` is asked to do.
mod version {
    pub const STRICT: u32 = 0;
    pub const RELAXED: u32 = b'1' as u32;
}

/// NVOS33_FLAGS: what the driver says about a mapping that it made.
mod mapping {
    use crate::object::Space;

    pub const CACHING: u32 = 7 << 23;
    pub const KIND: u32 = 3 << 15;
    pub const CACHING_DEFAULT: u32 = 6 << 23;
    const CACHING_OFF: u32 = 1 << 23;
    const CACHING_WRITES_COMBINED: u32 = 2 << 23;
    const DIRECT: u32 = 1 << 15;
    const REFLECTED: u32 = 2 << 15;

    pub fn of(space: Space) -> u32 {
        match space {
            Space::System | Space::Figures => CACHING_DEFAULT | DIRECT,
            Space::Collected => CACHING_DEFAULT,
            Space::Video => CACHING_WRITES_COMBINED | REFLECTED,
            Space::Window => CACHING_OFF | REFLECTED,
            Space::Registers { .. } => CACHING_DEFAULT,
        }
    }
}

impl ResourceManager {
    pub(crate) fn escape(
        &mut self,
        file: FileId,
        node: Node,
        request: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let (number, size) = (request & 0xff, (request >> 16 & 0x3fff) as usize);
        if number == escape::NV_ESC_IOCTL_XFER_CMD {
            let (number, size, argument) = self.transferred(size, argument, caller)?;
            return self.escape_of(file, node, number, size, argument, caller);
        }
        self.escape_of(file, node, number, size, argument, caller)
    }

    /// `NV_ESC_IOCTL_XFER_CMD`: number, size and place of another escape, whose size fits no request. It does not nest.
    fn transferred(
        &self,
        size: usize,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(u32, usize, u64), Errno> {
        /// `NV_ABSOLUTE_MAX_IOCTL_SIZE`
        const LARGEST: usize = 16384;
        let row = self.abi.escape_of_size(escape::NV_ESC_IOCTL_XFER_CMD, size).ok_or(Errno::Invalid)?;
        let mut outer = vec![0; size];
        if !caller.read(argument, &mut outer) {
            return Err(Errno::Fault);
        }
        let structure = Structure::new(row, &mut outer);
        let (number, size) = (structure.word("cmd"), structure.word("size") as usize);
        if number == escape::NV_ESC_IOCTL_XFER_CMD || size > LARGEST {
            return Err(Errno::Invalid);
        }
        Ok((number, size, structure.get("ptr")))
    }

    fn escape_of(
        &mut self,
        file: FileId,
        node: Node,
        number: u32,
        size: usize,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let mut outer = vec![0; size];
        if !caller.read(argument, &mut outer) {
            return Err(Errno::Fault);
        }
        let abi = self.abi.clone();
        let result = match abi.escape_of_size(number, size) {
            Some(row) => self.handle(file, node, row, &mut outer, caller),
            None if number == escape::NV_ESC_CARD_INFO && node == Node::Control => self.card_info(&mut outer),
            None => Err(Errno::Invalid),
        };
        if !caller.write(argument, &outer) {
            return Err(Errno::Fault);
        }
        result
    }

    fn handle(
        &mut self,
        file: FileId,
        node: Node,
        row: &Row,
        outer: &mut [u8],
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let on_control = |is_control: bool| {
            if (node == Node::Control) == is_control { Ok(()) } else { Err(Errno::Invalid) }
        };
        let structure = &mut Structure::new(row, outer);
        let opened = file;
        // Clients made through a control file are also found through the GPUs' files that belong to it.
        let file = self.files.get(&opened).and_then(|file| file.control).unwrap_or(opened);
        match row.number {
            escape::NV_ESC_CHECK_VERSION_STR => on_control(true).and_then(|()| self.check_version(structure)),
            escape::NV_ESC_SYS_PARAMS => on_control(true).and_then(|()| self.system_parameters(structure)),
            escape::NV_ESC_CARD_INFO => on_control(true).and_then(|()| self.card_info(outer)),
            escape::NV_ESC_ATTACH_GPUS_TO_FD => on_control(true),
            escape::NV_ESC_REGISTER_FD => {
                on_control(false).and_then(|()| self.register(opened, structure, caller))
            }
            escape::NV_ESC_NUMA_INFO => on_control(false).and_then(|()| self.numa(structure)),
            // The card is open by the time that its node is: an open does not come back before.
            escape::NV_ESC_WAIT_OPEN_COMPLETE => {
                structure.set("rc", 0_u64);
                structure.set("adapterStatus", 0_u64);
                Ok(())
            }
            escape::NV_ESC_ALLOC_OS_EVENT | escape::NV_ESC_FREE_OS_EVENT => {
                let done = self.os_event(opened, row.number, structure);
                structure.set("Status", status_of(done));
                Ok(())
            }
            // Events alone are also made through a GPU's file, which they then wake.
            escape::NV_ESC_RM_ALLOC if structure.word("hClass") == class::NV01_EVENT_OS_EVENT => {
                self.alloc(file, structure, caller)
            }
            escape::NV_ESC_RM_ALLOC => on_control(true).and_then(|()| self.alloc(file, structure, caller)),
            escape::NV_ESC_RM_ALLOC_MEMORY => on_control(false).map(|()| self.alloc_memory(file, structure)),
            escape::NV_ESC_RM_CONTROL => {
                on_control(true).and_then(|()| self.control(file, structure, caller))
            }
            escape::NV_ESC_RM_FREE => on_control(true).map(|()| self.free(file, structure)),
            escape::NV_ESC_RM_MAP_MEMORY => {
                on_control(true).map(|()| self.map_memory(file, structure, caller))
            }
            escape::NV_ESC_RM_DUP_OBJECT => on_control(true).map(|()| self.duplicate(file, structure)),
            escape::NV_ESC_RM_SHARE => {
                on_control(true)?;
                let client = self.clients.find(structure.word("hClient"), file);
                let found = client.and_then(|client| client.object(structure.word("hObject")).map(drop));
                structure.set("status", status_of(found));
                Ok(())
            }
            // Each file tells its own, whatever node it is of.
            escape::NV_ESC_RM_GET_EVENT_DATA => {
                self.event_data(opened, structure, caller);
                Ok(())
            }
            escape::NV_ESC_RM_UNMAP_MEMORY | escape::NV_ESC_RM_UPDATE_DEVICE_MAPPING_INFO => {
                on_control(true)?;
                let found = self.object_of(file, structure, "hMemory").map(drop);
                structure.set("status", status_of(found));
                Ok(())
            }
            _ => {
                self.note_unknown(format!("{} ({} bytes)", row.name.unwrap_or("an escape"), row.size));
                Err(Errno::Invalid)
            }
        }
    }

    /// A GPU's file belongs to a control file from now on, once and for all.
    fn register(
        &mut self,
        file: FileId,
        structure: &Structure,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let control = caller.file(structure.word("ctl_fd") as i32).ok_or(Errno::Invalid)?;
        let is_control = self.files.get(&control).is_some_and(|file| file.node == Node::Control);
        let Some(gpu) = self.files.get_mut(&file).filter(|file| is_control && file.control.is_none()) else {
            return Err(Errno::Invalid);
        };
        gpu.control = Some(control);
        Ok(())
    }

    fn check_version(&self, structure: &mut Structure) -> Result<(), Errno> {
        let ours = self.abi.version().as_bytes();
        let given: Vec<u8> = (0..structure.len("versionString"))
            .map(|at| structure.element("versionString", at) as u8)
            .take_while(|&byte| byte != 0)
            .collect();
        let branch = |version: &[u8]| version.split(|&byte| byte == b'.').next().map(<[u8]>::to_vec);
        let fits = match structure.word("cmd") {
            version::STRICT => given == ours,
            version::RELAXED => branch(&given) == branch(ours),
            _ => true,
        };
        // That the command is known is told even if the versions differ.
        structure.set("reply", 1_u64);
        structure.set_bytes("versionString", ours);
        if fits { Ok(()) } else { Err(Errno::Invalid) }
    }

    fn system_parameters(&mut self, structure: &mut Structure) -> Result<(), Errno> {
        let asked = structure.get("memblock_size");
        match self.memory_block {
            0 => {
                self.memory_block = asked;
                Ok(())
            }
            set if set == asked => Ok(()),
            _ => Err(Errno::Busy),
        }
    }

    /// As many cards as there is room for; what is behind them stays as it was.
    fn card_info(&self, outer: &mut [u8]) -> Result<(), Errno> {
        let Some(row) = self.abi.escape(escape::NV_ESC_CARD_INFO) else { return Err(Errno::Invalid) };
        if outer.len() / row.size < self.cards.len() {
            return Err(Errno::Invalid);
        }
        outer.fill(0);
        for (minor, (card, bytes)) in self.cards.iter().zip(outer.chunks_exact_mut(row.size)).enumerate() {
            let mut structure = Structure::new(row, bytes);
            let [domain, bus, device] = card.unit.pci;
            let [registers, memory, _] = card.unit.bars;
            let fields: [(&str, u64); 12] = [
                ("valid", 1),
                ("pci_info.domain", domain.into()),
                ("pci_info.bus", bus.into()),
                ("pci_info.slot", device.into()),
                ("pci_info.vendor_id", u64::from(card.description.pci_device_id & 0xffff)),
                ("pci_info.device_id", u64::from(card.description.pci_device_id >> 16)),
                ("gpu_id", card.id().into()),
                ("interrupt_line", card.unit.irq.into()),
                ("reg_address", registers[0]),
                ("reg_size", registers[1]),
                ("fb_address", memory[0]),
                ("fb_size", memory[1]),
            ];
            for (field, value) in fields {
                structure.set(field, value);
            }
            structure.set("minor_number", minor as u64);
        }
        Ok(())
    }

    fn numa(&self, structure: &mut Structure) -> Result<(), Errno> {
        structure.set("nid", u64::from(u32::MAX));
        structure.set("memblock_size", self.memory_block);
        Ok(())
    }

    /// An event reaches a program through a descriptor of the node; nothing looks the number up, it is a key.
    fn os_event(&mut self, file: FileId, number: u32, structure: &Structure) -> Result<(), u32> {
        let has_room = self.clients.has_room();
        let client = self.clients.find_by_any_file(structure.word("hClient"))?;
        let key = (file, structure.word("fd"));
        match number {
            escape::NV_ESC_ALLOC_OS_EVENT if client.os_events.len() >= MOST_OBJECTS => {
                Err(status::NV_ERR_INSUFFICIENT_RESOURCES)
            }
            escape::NV_ESC_ALLOC_OS_EVENT => {
                has_room?;
                client.os_events.insert(key).then_some(()).ok_or(status::NV_ERR_INSUFFICIENT_RESOURCES)
            }
            _ => client.os_events.remove(&key).then_some(()).ok_or(status::NV_ERR_INVALID_EVENT),
        }
    }

    fn free(&mut self, file: FileId, structure: &mut Structure) {
        let (root, handle) = (structure.word("hRoot"), structure.word("hObjectOld"));
        let freed = match self.clients.find_to_free(root, file) {
            // What is not there needs no freeing: no error.
            Ok(client) => Ok(client.free(handle).unwrap_or_default()),
            Err(error) => Err(error),
        };
        for (_, object) in freed.iter().flatten() {
            self.give_back(object);
        }
        if freed.is_ok() && handle == root {
            self.clients.end(root);
        }
        structure.set("status", status_of(freed.map(drop)));
    }

    /// Names what the program will map: the next `mmap` of that descriptor. The address returned is a name for unmapping.
    fn map_memory(&mut self, file: FileId, structure: &mut Structure, caller: &mut dyn Caller) {
        let mapped = self.object_of(file, structure, "params.hMemory").and_then(|object| {
            caller.file(structure.word("fd") as i32).ok_or(status::NV_ERR_INVALID_ARGUMENT)?;
            let (memory, card) = object.memory.zip(object.card).ok_or(status::NV_ERR_INVALID_OBJECT)?;
            let end = structure.get("params.offset").checked_add(structure.get("params.length"));
            match end {
                Some(end) if end <= memory.length => {}
                _ => return Err(status::NV_ERR_INVALID_LIMIT),
            }
            match memory.space {
                Space::Figures if !caller.show(structure.word("fd") as i32, card) => {
                    Err(status::NV_ERR_INSUFFICIENT_RESOURCES)
                }
                _ => Ok((memory, card)),
            }
        });
        structure.set("params.status", status_of(mapped));
        let flags = structure.word("params.flags") & !mapping::CACHING;
        structure.set("params.flags", flags | mapping::CACHING_DEFAULT);
        let Ok((memory, card)) = mapped else { return };
        let length = structure.get("params.length");
        let place = self.place_mapping(memory.space, card, length);
        let address = place.wrapping_add(structure.get("params.offset"));
        structure.set("params.pLinearAddress", address);
        structure.set("params.flags", flags & !mapping::KIND | mapping::of(memory.space));
    }

    fn place_mapping(&mut self, space: Space, card: usize, length: u64) -> u64 {
        const PAGES: u64 = 64 << 10;
        let start = self.mapped;
        let [registers, memory, _] = self.cards[card].unit.bars;
        let base = match space {
            Space::Registers { offset } => return registers[0] + offset,
            Space::Video | Space::Window => memory[0],
            Space::System | Space::Figures | Space::Collected => 1 << 32,
        };
        // Names only: they may come round again.
        self.mapped = self.mapped.wrapping_add(length.checked_next_multiple_of(PAGES).unwrap_or(length));
        base.wrapping_add(start)
    }

    /// Memory alone can have two owners.
    fn duplicate(&mut self, file: FileId, structure: &mut Structure) {
        let result = self.duplicated(file, structure);
        if let Ok(handle) = result {
            structure.set("hObject", handle);
        }
        structure.set("status", status_of(result));
    }

    fn duplicated(&mut self, file: FileId, structure: &Structure) -> Result<u32, u32> {
        self.clients.has_room()?;
        self.clients.find(structure.word("hClient"), file)?;
        let source = self.clients.find_by_any_file(structure.word("hClientSrc"))?;
        let object = source.object(structure.word("hObjectSrc"))?.clone();
        let memory = object
            .memory
            .filter(|memory| matches!(memory.space, Space::Video | Space::System | Space::Figures));
        let memory = memory.ok_or(status::NV_ERR_INVALID_ARGUMENT)?;
        let client = self.clients.find(structure.word("hClient"), file)?;
        let parent = structure.word("hParent");
        client.object(parent)?;
        let handle = client.handle_for(structure.word("hObject"))?;
        // The memory is counted where it was made.
        let made = crate::make::Made { memory: Some(memory), ..crate::make::Made::default() };
        client
            .insert(handle, Object::new(class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR, parent, object.card, made));
        Ok(handle)
    }

    /// The object that a structure names beside its client.
    fn object_of(&mut self, file: FileId, structure: &Structure, field: &str) -> Result<Object, u32> {
        let prefix = field.strip_suffix("hMemory").unwrap_or_default();
        let client = self.clients.find(structure.word(&format!("{prefix}hClient")), file)?;
        client.object(structure.word(field)).cloned()
    }
}

/// `NV_OK` or what went wrong.
pub(crate) fn status_of<T>(result: Result<T, u32>) -> u32 {
    result.err().unwrap_or(status::NV_OK)
}
