//! Clients and the trees of objects that they make.
//!
//! ```text
//!   Client 0xc1d00001 ── Device 0xa55a0020 ── Subdevice 0xa55a0030 ── Event, …
//! ```
//!
//! Handles are chosen by the client, or by us where it leaves them 0. A client belongs to the open file that it was made
//! through: another file's calls do not find it. Freeing an object frees what is below it, youngest first.

use std::collections::{HashMap, HashSet};

use nvidia_abi::status;

use crate::FileId;

/// `NvHandle`
pub type Handle = u32;

/// Clients' handles begin here.
const FIRST_CLIENT: Handle = 0xc1d0_0000;
/// Handles that we choose for objects begin here.
const FIRST_CHOSEN: Handle = 0xcaf0_0000;

/// All clients.
#[derive(Default)]
pub struct Clients {
    clients: HashMap<Handle, Client>,
    made: u32,
}

/// A client and its objects.
pub struct Client {
    /// The open file that it belongs to.
    pub file: FileId,
    /// Its own object is among them.
    objects: HashMap<Handle, Object>,
    chosen: u32,
    /// Descriptors that events come through: the file of the call, and the number that the client knows it by.
    pub os_events: HashSet<(FileId, u32)>,
}

/// Where memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The machine's.
    System,
    /// The card's.
    Video,
    /// The card's registers from there.
    Registers {
        /// Bytes.
        offset: u64,
    },
}

/// What an object holds that can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Where.
    pub space: Space,
    /// Bytes.
    pub length: u64,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it was made as.
    pub class: u32,
    /// Its parent, itself for a client.
    pub parent: Handle,
    /// The card that it belongs to.
    pub card: Option<usize>,
    /// Memory, if it is such.
    pub memory: Option<Memory>,
    /// Youngest last.
    children: Vec<Handle>,
}

impl Clients {
    /// A new client. `class`: as the program called it.
    pub fn make(&mut self, file: FileId, class: u32) -> Handle {
        self.made += 1;
        let handle = FIRST_CLIENT | self.made & 0xf_ffff;
        let own = Object { class, parent: handle, card: None, memory: None, children: Vec::new() };
        let client =
            Client { file, objects: HashMap::from([(handle, own)]), chosen: 0, os_events: HashSet::new() };
        self.clients.insert(handle, client);
        handle
    }

    /// The client, if it belongs to that file.
    pub fn find(&mut self, handle: Handle, file: FileId) -> Result<&mut Client, u32> {
        self.clients
            .get_mut(&handle)
            .filter(|client| client.file == file)
            .ok_or(status::NV_ERR_INVALID_CLIENT)
    }

    /// The client, whichever file asks.
    pub fn find_by_any_file(&mut self, handle: Handle) -> Result<&mut Client, u32> {
        self.clients.get_mut(&handle).ok_or(status::NV_ERR_INVALID_CLIENT)
    }

    /// Ends a client and all that is its own.
    pub fn end(&mut self, handle: Handle) {
        self.clients.remove(&handle);
    }

    /// A file was closed for the last time.
    pub fn file_closed(&mut self, file: FileId) {
        self.clients.retain(|_, client| client.file != file);
    }
}

impl Client {
    /// An object by its handle.
    pub fn object(&self, handle: Handle) -> Result<&Object, u32> {
        self.objects.get(&handle).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)
    }

    /// The handle that a new object will have: the one asked for if it is free, one of ours for 0.
    pub fn handle_for(&mut self, asked: Handle) -> Result<Handle, u32> {
        if asked != 0 {
            return if self.objects.contains_key(&asked) {
                Err(status::NV_ERR_INSERT_DUPLICATE_NAME)
            } else {
                Ok(asked)
            };
        }
        loop {
            self.chosen += 1;
            let handle = FIRST_CHOSEN | self.chosen;
            if !self.objects.contains_key(&handle) {
                return Ok(handle);
            }
        }
    }

    /// Puts an object below its parent.
    pub fn insert(
        &mut self,
        handle: Handle,
        class: u32,
        parent: Handle,
        card: Option<usize>,
        memory: Option<Memory>,
    ) {
        if let Some(above) = self.objects.get_mut(&parent) {
            above.children.push(handle);
        }
        self.objects.insert(handle, Object { class, parent, card, memory, children: Vec::new() });
    }

    /// Frees an object and all below it. What went, in the order in which it went.
    pub fn free(&mut self, handle: Handle) -> Result<Vec<(Handle, Object)>, u32> {
        let parent = self.object(handle)?.parent;
        if let Some(above) = self.objects.get_mut(&parent) {
            above.children.retain(|&child| child != handle);
        }
        let mut freed = Vec::new();
        self.take(handle, &mut freed);
        Ok(freed)
    }

    fn take(&mut self, handle: Handle, freed: &mut Vec<(Handle, Object)>) {
        let Some(object) = self.objects.remove(&handle) else { return };
        for &child in object.children.iter().rev() {
            self.take(child, freed);
        }
        freed.push((handle, object));
    }

    /// Objects of a class.
    pub fn of_class(&self, class: u32) -> impl Iterator<Item = (Handle, &Object)> {
        self.objects
            .iter()
            .filter(move |(_, object)| object.class == class)
            .map(|(&handle, object)| (handle, object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1);

    #[test]
    fn a_client_is_found_through_its_own_file_only() {
        let mut clients = Clients::default();
        let handle = clients.make(FILE, 0x41);
        assert!(clients.find(handle, FILE).is_ok());
        assert_eq!(clients.find(handle, FileId(2)).err(), Some(status::NV_ERR_INVALID_CLIENT));
        clients.file_closed(FILE);
        assert!(clients.find(handle, FILE).is_err());
    }

    #[test]
    fn objects_go_with_their_parents_youngest_first() {
        let mut clients = Clients::default();
        let root = clients.make(FILE, 0x41);
        let client = clients.find(root, FILE).unwrap();
        client.insert(10, 0x80, root, Some(0), None);
        client.insert(11, 0x2080, 10, Some(0), None);
        client.insert(12, 0x79, 11, Some(0), None);
        client.insert(13, 0x40, 10, Some(0), None);
        let order: Vec<_> = client.free(10).unwrap().into_iter().map(|(handle, _)| handle).collect();
        assert_eq!(order, [13, 12, 11, 10]);
        assert!(client.object(12).is_err() && client.free(10).is_err());
    }

    #[test]
    fn handles_are_unique_whoever_chooses_them() {
        let mut clients = Clients::default();
        let root = clients.make(FILE, 0x41);
        let client = clients.find(root, FILE).unwrap();
        let chosen = client.handle_for(0).unwrap();
        client.insert(chosen, 0x80, root, None, None);
        assert_eq!(client.handle_for(chosen), Err(status::NV_ERR_INSERT_DUPLICATE_NAME));
        assert_ne!(client.handle_for(0), Ok(chosen));
    }
}
