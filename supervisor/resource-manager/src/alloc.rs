//! `NV_ESC_RM_ALLOC`: objects by their classes, and `NV_ESC_RM_ALLOC_MEMORY`.
//!
//! `nvidia-abi` says what may be whose parent and how large the parameters are; a class that does more than exist has a row in
//! [`makers`](crate::make).

use nvidia_abi::{Row, class, status};

use crate::make::{self, Making};
use crate::object::{Memory, Object, Space};
use crate::structure::Structure;
use crate::{Caller, Errno, FileId, ResourceManager};

impl ResourceManager {
    pub(crate) fn alloc(
        &mut self,
        file: FileId,
        outer: &mut Structure,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        let class = outer.word("hClass");
        if matches!(class, class::NV01_ROOT | class::NV01_ROOT_NON_PRIV | class::NV01_ROOT_CLIENT) {
            outer.set("hClass", class::NV01_ROOT_CLIENT);
            let made = self.clients.make(file, outer.word("hObjectNew"), class::NV01_ROOT_CLIENT);
            outer.set("status", crate::escape::status_of(made));
            let Ok(client) = made else { return Ok(()) };
            outer.set("hObjectNew", client);
            let address = outer.get("pAllocParms");
            if address != 0 && !caller.write(address, &client.to_le_bytes()) {
                return Err(Errno::Fault);
            }
            return Ok(());
        }
        let abi = self.abi.clone();
        let Some(row) = abi.class(class) else {
            outer.set("status", status::NV_ERR_INVALID_CLASS);
            return Ok(());
        };
        let (address, size) = (outer.get("pAllocParms"), outer.word("paramsSize") as usize);
        if size != 0 && size != row.size {
            outer.set("status", status::NV_ERR_INVALID_ARGUMENT);
            return Ok(());
        }
        let mut parameters = vec![0; row.size];
        if address != 0 && !caller.read(address, &mut parameters) {
            return Err(Errno::Fault);
        }
        let made = self.make(file, outer, row, &mut parameters, caller);
        outer.set("status", crate::escape::status_of(made));
        let Ok(handle) = made else { return Ok(()) };
        outer.set("hObjectNew", handle);
        if address != 0 && !caller.write(address, &parameters) {
            return Err(Errno::Fault);
        }
        Ok(())
    }

    fn make(
        &mut self,
        file: FileId,
        outer: &Structure,
        row: &Row,
        parameters: &mut [u8],
        caller: &mut dyn Caller,
    ) -> Result<u32, u32> {
        self.clients.has_room()?;
        let client = self.clients.find(outer.word("hRoot"), file)?;
        let parent_handle = outer.word("hObjectParent");
        let parent = client.object(parent_handle)?.clone();
        let handle = client.handle_for(outer.word("hObjectNew"))?;
        let above =
            self.abi.class(parent.class).and_then(|row| row.place.as_ref()).map(|place| place.internal);
        if let Some(place) = &row.place
            && !place.any_parent
            && !above.is_some_and(|above| place.parents.contains(&above))
        {
            return Err(status::NV_ERR_INVALID_OBJECT_PARENT);
        }
        if row.access == Some(nvidia_abi::Access::Admin) && !caller.is_administrator() {
            return Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS);
        }
        let parameters = Structure::new(row, parameters);
        let card = match row.number {
            class::NV01_DEVICE_0 if outer.get("pAllocParms") == 0 => {
                return Err(status::NV_ERR_INVALID_ARGUMENT);
            }
            class::NV01_DEVICE_0 => Some(self.device(&parameters, caller)?),
            _ => parent.card,
        };
        if card.is_some_and(|card| self.cards[card].load.is_lost) {
            return Err(status::NV_ERR_GPU_IS_LOST);
        }
        let no_card = &mut crate::card::Numbers::default();
        let (facts, numbers) = match card.map(|card| &mut self.cards[card]) {
            Some(card) => (Some(card.facts.clone()), &mut card.numbers),
            None => (None, no_card),
        };
        let client = &*self.clients.find(outer.word("hRoot"), file)?;
        let mut making = Making {
            client,
            parameters,
            has_parameters: outer.get("pAllocParms") != 0,
            parent_handle,
            parent,
            facts,
            numbers,
            shared_data_length: self.abi.page(class::RM_USER_SHARED_DATA).map_or(0, |row| row.size as u64),
        };
        let made = make::make(row.number, &mut making)?;
        if let (Some(card), Some(Memory { space: Space::Video, length })) = (card, made.memory)
            && row.number == class::NV01_MEMORY_LOCAL_USER
        {
            self.cards[card].take(length)?;
        }
        if let (class::NV01_DEVICE_0, Some(card)) = (row.number, card) {
            self.cards[card].numbers.devices += 1;
        }
        let client = self.clients.find(outer.word("hRoot"), file)?;
        client.insert(handle, Object::new(row.number, parent_handle, card, made));
        Ok(handle)
    }

    /// A device stands for a card that the process has opened.
    fn device(&self, parameters: &Structure, caller: &mut dyn Caller) -> Result<usize, u32> {
        let card = parameters.word("deviceId") as usize;
        if card >= self.cards.len() {
            return Err(status::NV_ERR_INVALID_CLASS);
        }
        if caller.has_open(card) { Ok(card) } else { Err(status::NV_ERR_INSUFFICIENT_PERMISSIONS) }
    }

    /// Memory that the program has already (an "OS descriptor"), named so that the card can use it. Other classes go by
    /// `NV_ESC_RM_ALLOC` in all programs seen.
    pub(crate) fn alloc_memory(&mut self, file: FileId, outer: &mut Structure) {
        let made = self.describe_memory(file, outer);
        outer.set("params.status", crate::escape::status_of(made));
    }

    fn describe_memory(&mut self, file: FileId, outer: &Structure) -> Result<(), u32> {
        if outer.word("params.hClass") != class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR {
            return Err(self.note_unknown(format!(
                "NV_ESC_RM_ALLOC_MEMORY of class {:#x}",
                outer.word("params.hClass")
            )));
        }
        self.clients.has_room()?;
        let client = self.clients.find(outer.word("params.hRoot"), file)?;
        let parent = outer.word("params.hObjectParent");
        let card = client.object(parent).map_err(|_| status::NV_ERR_INVALID_OBJECT_PARENT)?.card;
        let handle = client.handle_for(outer.word("params.hObjectNew"))?;
        let length = outer.get("params.limit").saturating_add(1);
        let made =
            make::Made { memory: Some(Memory { space: Space::System, length }), ..make::Made::default() };
        client.insert(handle, Object::new(class::NV01_MEMORY_SYSTEM_OS_DESCRIPTOR, parent, card, made));
        Ok(())
    }

    /// An object is gone.
    pub(crate) fn give_back(&mut self, object: &Object) {
        let Some(card) = object.card else { return };
        let card = &mut self.cards[card];
        if object.class == class::NV01_DEVICE_0 {
            card.numbers.devices = card.numbers.devices.saturating_sub(1);
        }
        if object.class == class::RM_USER_SHARED_DATA {
            card.numbers.polled.objects = card.numbers.polled.objects.saturating_sub(1);
            card.numbers.polled.change(object.polled, 0);
        }
        if let Some(channel) = object.channel {
            card.numbers.channels.remove(&channel);
        }
        if let Some(Memory { space: Space::Video, length }) = object.memory
            && object.class == class::NV01_MEMORY_LOCAL_USER
        {
            card.used = card.used.saturating_sub(length);
        }
    }
}
