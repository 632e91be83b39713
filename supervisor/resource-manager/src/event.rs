//! Events: what a client hears of through an open file that it polls.
//!
//! ```text
//!   ALLOC_OS_EVENT (file, number) ── event object (number, index) below a subdevice ── EVENT_SET_NOTIFICATION(index)
//!   something happens to the card ──▶ the file's queue ──▶ poll, NV_ESC_RM_GET_EVENT_DATA
//! ```
//!
//! See `src/nvidia/arch/nvalloc/unix/src/os.c` and `kernel-open/nvidia/nv.c`.

use nvidia_abi::{class, status};

use crate::object::Handle;
use crate::structure::Structure;
use crate::{Caller, FileId, ResourceManager};

/// Events of a subdevice (`NV2080_NOTIFIERS_…`) that happen to emulated cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A fault of the card, with its number.
    Xid(u32),
    /// Memory had an error that was corrected.
    Corrected,
    /// Memory had one that was not.
    Uncorrected,
}

impl Happening {
    fn index(self) -> u32 {
        match self {
            Happening::Xid(_) => 37,
            Happening::Corrected => 111,
            Happening::Uncorrected => 112,
        }
    }

    fn detail(self) -> u32 {
        match self {
            Happening::Xid(number) => number,
            Happening::Corrected | Happening::Uncorrected => 0,
        }
    }
}

/// Whether a subdevice tells of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Once.
    Next,
    /// Each time.
    Always,
}

/// An event object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// What it is for.
    pub index: u32,
    /// The file that the program polls.
    pub through: FileId,
    /// The program is told what happened, not only that something did.
    pub with_data: bool,
}

/// What a file has to tell: `NvUnixEvent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    object: Handle,
    index: u32,
    detail: u32,
}

impl Entry {
    /// `hObject`, `NotifyIndex`, `info32`, `info16`.
    fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (place, word) in bytes.chunks_exact_mut(4).zip([self.object, self.index, self.detail]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

impl ResourceManager {
    /// Something has happened to a card: files whose programs are to wake up.
    pub fn happened(&mut self, card: usize, what: Happening) -> Vec<FileId> {
        /// A program that does not fetch what it is told does not fill our memory.
        const QUEUED: usize = 1000;
        let mut woken = Vec::new();
        for (object, listener) in self.clients.listeners(card, what.index()) {
            let Some(file) = self.files.get_mut(&listener.through) else { continue };
            if listener.with_data && file.events.len() < QUEUED {
                file.events.push_back(Entry { object, index: what.index(), detail: what.detail() });
            }
            woken.push(listener.through);
        }
        woken.dedup();
        woken
    }

    /// Whether a file still has something to tell.
    pub fn has_events(&self, file: FileId) -> bool {
        self.files.get(&file).is_some_and(|file| !file.events.is_empty())
    }

    /// `NV_ESC_RM_GET_EVENT_DATA`: the oldest, and whether there are more.
    pub(crate) fn event_data(&mut self, file: FileId, structure: &mut Structure, caller: &mut dyn Caller) {
        let events = self.files.get_mut(&file).map(|file| &mut file.events);
        let next = events.and_then(|events| events.pop_front().map(|next| (next, !events.is_empty())));
        let Some((next, has_more)) = next else {
            structure.set("status", status::NV_ERR_OPERATING_SYSTEM);
            return;
        };
        structure.set("MoreEvents", u64::from(has_more));
        let is_written = caller.write(structure.get("pEvent"), &next.bytes());
        structure.set("status", if is_written { status::NV_OK } else { status::NV_ERR_INVALID_ADDRESS });
    }
}

impl crate::object::Clients {
    /// Who is to hear of an event of a card. Who wanted to hear of one does not any more.
    fn listeners(&mut self, card: usize, index: u32) -> Vec<(Handle, Listener)> {
        let mut found = Vec::new();
        for client in self.all_mut() {
            let mut telling = Vec::new();
            for (handle, object) in client.objects_mut() {
                let is_it = object.class == class::NV20_SUBDEVICE_0 && object.card == Some(card);
                let told = object.tells.get(&index).copied().filter(|_| is_it);
                if told == Some(Told::Next) {
                    object.tells.remove(&index);
                }
                telling.extend(told.map(|_| handle));
            }
            for subdevice in telling {
                let children = client.children_with_handles(subdevice);
                let listening = children.filter_map(|(handle, child)| Some((handle, child.listener?)));
                found.extend(listening.filter(|(_, listener)| listener.index == index));
            }
        }
        found
    }
}
