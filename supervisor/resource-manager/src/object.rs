//! Clients and the trees of objects that they make.
//!
//! ```text
//!   Client 0xc1d00001 ── Device 0xa55a0020 ── Subdevice 0xa55a0030 ── Event, …
//! ```
//!
//! Handles are chosen by the client, or by us where it leaves them 0. A client belongs to the open file that it was made
//! through: another file's calls do not find it. Freeing an object frees what is below it, youngest first.

use std::collections::{BTreeMap, HashMap, HashSet};

use nvidia_abi::status;

use crate::FileId;
use crate::event::{Listener, Told};
use crate::make::Made;

/// `NvHandle`
pub type Handle = u32;

/// Clients' handles begin here.
const FIRST_CLIENT: Handle = 0xc1d0_0000;
/// What is left for their numbers.
const CLIENT_NUMBER: Handle = 0xf_ffff;
/// Handles that we choose for objects begin here.
const FIRST_CHOSEN: Handle = 0xcaf0_0000;
/// What is left for their numbers.
const CHOSEN_NUMBER: Handle = 0xf_ffff;

/// More than any program makes; the driver's own limits are where memory ends, which is ours here.
const MOST_CLIENTS: usize = 4096;
pub const MOST_OBJECTS: usize = 1 << 16;
/// Objects and descriptors of events of all clients together, some hundred bytes each.
const MOST_OF_ALL: usize = 1 << 19;

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
    /// A window onto registers beside the card's memory.
    Window,
    /// The machine's, where the driver keeps figures.
    Figures,
    /// The machine's, where the card puts counters.
    Collected,
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
    /// The engine that it is for.
    pub engine: Option<u32>,
    /// A channel's number.
    pub channel: Option<u32>,
    /// A subdevice's.
    pub subdevice: Option<u32>,
    /// Figures that it asks for.
    pub polled: u64,
    /// An event's.
    pub(crate) listener: Option<Listener>,
    /// Events that a subdevice tells of, by their indices.
    pub(crate) tells: BTreeMap<u32, Told>,
    /// Youngest last.
    children: Vec<Handle>,
}

impl Object {
    /// An object without children.
    pub fn new(class: u32, parent: Handle, card: Option<usize>, made: Made) -> Self {
        let Made { memory, engine, channel, subdevice, polled, listener } = made;
        let (tells, children) = (BTreeMap::new(), Vec::new());
        Self { class, parent, card, memory, engine, channel, subdevice, polled, listener, tells, children }
    }
}

impl Object {
    /// The same, taken for one of that class.
    pub fn as_if(&self, class: u32) -> Self {
        Self { class, ..self.clone() }
    }
}

impl Clients {
    /// A new client, by the handle that it asks for if that is one of a client's.
    pub fn make(&mut self, file: FileId, asked: Handle, class: u32) -> Result<Handle, u32> {
        if self.clients.len() >= MOST_CLIENTS {
            return Err(status::NV_ERR_INSUFFICIENT_RESOURCES);
        }
        self.has_room()?;
        let handle = if asked & !CLIENT_NUMBER == FIRST_CLIENT { asked } else { self.free_handle() };
        if self.clients.contains_key(&handle) {
            return Err(status::NV_ERR_INSERT_DUPLICATE_NAME);
        }
        let own = Object::new(class, handle, None, Made::default());
        let client =
            Client { file, objects: HashMap::from([(handle, own)]), chosen: 0, os_events: HashSet::new() };
        self.clients.insert(handle, client);
        Ok(handle)
    }

    /// The next number that no client asked for: one that asks for many would else be in the way of those that leave it to us.
    fn free_handle(&mut self) -> Handle {
        loop {
            self.made = self.made.wrapping_add(1);
            let handle = FIRST_CLIENT | self.made & CLIENT_NUMBER;
            if !self.clients.contains_key(&handle) {
                return handle;
            }
        }
    }

    /// How many clients there are, and how many objects and descriptors of events they have.
    pub fn count(&self) -> (usize, usize) {
        let of_each = self.clients.values().map(|client| client.objects.len() + client.os_events.len());
        (self.clients.len(), of_each.sum())
    }

    /// Whether one more thing may be made. Programs that make as many as they can do not fill our memory.
    pub fn has_room(&self) -> Result<(), u32> {
        if self.count().1 < MOST_OF_ALL { Ok(()) } else { Err(status::NV_ERR_INSUFFICIENT_RESOURCES) }
    }

    /// The client, if it belongs to that file.
    pub fn find(&mut self, handle: Handle, file: FileId) -> Result<&mut Client, u32> {
        self.clients
            .get_mut(&handle)
            .filter(|client| client.file == file)
            .ok_or(status::NV_ERR_INVALID_CLIENT)
    }

    /// The same for freeing, where a handle that is no client's is another error.
    pub fn find_to_free(&mut self, handle: Handle, file: FileId) -> Result<&mut Client, u32> {
        if !self.clients.contains_key(&handle) {
            return Err(status::NV_ERR_INVALID_OBJECT_HANDLE);
        }
        self.find(handle, file)
    }

    /// The client, whichever file asks.
    pub fn find_by_any_file(&mut self, handle: Handle) -> Result<&mut Client, u32> {
        self.clients.get_mut(&handle).ok_or(status::NV_ERR_INVALID_CLIENT)
    }

    /// Ends a client, whose own object has been freed.
    pub fn end(&mut self, handle: Handle) {
        self.clients.remove(&handle);
    }

    /// All of them.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.values_mut()
    }

    /// A file was closed for the last time: its clients end, and no event comes through it any more. All their objects.
    pub fn file_closed(&mut self, file: FileId) -> Vec<Object> {
        for client in self.clients.values_mut() {
            client.os_events.retain(|(through, _)| *through != file);
        }
        let ended = self.clients.extract_if(|_, client| client.file == file);
        ended.flat_map(|(_, client)| client.objects.into_values()).collect()
    }
}

impl Client {
    /// An object by its handle.
    pub fn object(&self, handle: Handle) -> Result<&Object, u32> {
        self.objects.get(&handle).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)
    }

    /// The same, to be changed.
    pub fn object_mut(&mut self, handle: Handle) -> Result<&mut Object, u32> {
        self.objects.get_mut(&handle).ok_or(status::NV_ERR_OBJECT_NOT_FOUND)
    }

    /// The handle that a new object will have: the one asked for if it is free, one of ours for 0.
    pub fn handle_for(&mut self, asked: Handle) -> Result<Handle, u32> {
        if self.objects.len() >= MOST_OBJECTS {
            return Err(status::NV_ERR_INSUFFICIENT_RESOURCES);
        }
        if asked != 0 {
            return if self.objects.contains_key(&asked) {
                Err(status::NV_ERR_INSERT_DUPLICATE_NAME)
            } else {
                Ok(asked)
            };
        }
        loop {
            let handle = FIRST_CHOSEN | self.chosen & CHOSEN_NUMBER;
            self.chosen = self.chosen.wrapping_add(1);
            if !self.objects.contains_key(&handle) {
                return Ok(handle);
            }
        }
    }

    /// Puts an object below its parent.
    pub fn insert(&mut self, handle: Handle, object: Object) {
        if let Some(above) = self.objects.get_mut(&object.parent) {
            above.children.push(handle);
        }
        self.objects.insert(handle, object);
    }

    /// Objects right below one.
    pub fn children(&self, handle: Handle) -> impl Iterator<Item = &Object> {
        self.children_with_handles(handle).map(|(_, child)| child)
    }

    /// The same with their handles.
    pub fn children_with_handles(&self, handle: Handle) -> impl Iterator<Item = (Handle, &Object)> {
        let children = self.objects.get(&handle).map_or(&[][..], |object| &object.children);
        children.iter().filter_map(|child| Some((*child, self.objects.get(child)?)))
    }

    /// All objects.
    pub fn objects_mut(&mut self) -> impl Iterator<Item = (Handle, &mut Object)> {
        self.objects.iter_mut().map(|(handle, object)| (*handle, object))
    }

    /// The file whose descriptor was announced by that number.
    pub fn os_event(&self, descriptor: u32) -> Option<FileId> {
        self.os_events.iter().find(|(_, known)| *known == descriptor).map(|(file, _)| *file)
    }

    /// Frees an object and all below it. What went, in the order in which it went.
    pub fn free(&mut self, handle: Handle) -> Result<Vec<(Handle, Object)>, u32> {
        let parent = self.object(handle)?.parent;
        if let Some(above) = self.objects.get_mut(&parent) {
            above.children.retain(|&child| child != handle);
        }
        // Parents before children, oldest first, and then the other way round. No recursion: a program decides how deep it is.
        let (mut waiting, mut freed) = (vec![handle], Vec::new());
        while let Some(next) = waiting.pop() {
            if let Some(object) = self.objects.remove(&next) {
                waiting.extend(object.children.iter().rev());
                freed.push((next, object));
            }
        }
        freed.reverse();
        Ok(freed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1);

    #[test]
    fn a_client_is_found_through_its_own_file_only() {
        let mut clients = Clients::default();
        let handle = clients.make(FILE, 0, 0x41).unwrap();
        assert!(clients.find(handle, FILE).is_ok());
        assert_eq!(clients.find(handle, FileId(2)).err(), Some(status::NV_ERR_INVALID_CLIENT));
        clients.file_closed(FILE);
        assert!(clients.find(handle, FILE).is_err());
    }

    #[test]
    fn who_takes_the_next_handles_is_in_nobodys_way() {
        let mut clients = Clients::default();
        for number in 1..100 {
            clients.make(FILE, FIRST_CLIENT | number, 0x41).unwrap();
        }
        assert_eq!(clients.make(FileId(2), 0, 0x41), Ok(FIRST_CLIENT | 100));
        assert_eq!(clients.make(FILE, FIRST_CLIENT | 100, 0x41), Err(status::NV_ERR_INSERT_DUPLICATE_NAME));
    }

    #[test]
    fn events_go_with_the_file_that_they_come_through() {
        let mut clients = Clients::default();
        let handle = clients.make(FILE, 0, 0x41).unwrap();
        clients.find(handle, FILE).unwrap().os_events.extend([(FILE, 3), (FileId(2), 4)]);
        assert_eq!(clients.count(), (1, 3));
        clients.file_closed(FileId(2));
        assert_eq!(clients.count(), (1, 2));
        clients.file_closed(FILE);
        assert_eq!(clients.count(), (0, 0));
    }

    #[test]
    fn what_all_clients_have_together_is_limited() {
        let mut clients = Clients::default();
        let mut made = 0;
        let refused = 'all: loop {
            let handle = match clients.make(FILE, 0, 0x41) {
                Ok(handle) => handle,
                Err(refused) => break refused,
            };
            for number in 0..MOST_OBJECTS as u32 {
                if let Err(refused) = clients.has_room() {
                    break 'all refused;
                }
                clients.find(handle, FILE).unwrap().os_events.insert((FILE, number));
                made += 1;
            }
        };
        assert_eq!(refused, status::NV_ERR_INSUFFICIENT_RESOURCES);
        assert_eq!(clients.count().1, MOST_OF_ALL);
        assert!(made < MOST_OF_ALL);
    }

    #[test]
    fn objects_go_with_their_parents_youngest_first() {
        let mut clients = Clients::default();
        let root = clients.make(FILE, 0, 0x41).unwrap();
        let client = clients.find(root, FILE).unwrap();
        client.insert(10, Object::new(0x80, root, Some(0), Made::default()));
        client.insert(11, Object::new(0x2080, 10, Some(0), Made::default()));
        client.insert(12, Object::new(0x79, 11, Some(0), Made::default()));
        client.insert(13, Object::new(0x40, 10, Some(0), Made::default()));
        let order: Vec<_> = client.free(10).unwrap().into_iter().map(|(handle, _)| handle).collect();
        assert_eq!(order, [13, 12, 11, 10]);
        assert!(client.object(12).is_err() && client.free(10).is_err());
    }

    #[test]
    fn handles_are_unique_whoever_chooses_them() {
        let mut clients = Clients::default();
        let root = clients.make(FILE, 0, 0x41).unwrap();
        let client = clients.find(root, FILE).unwrap();
        let chosen = client.handle_for(0).unwrap();
        client.insert(chosen, Object::new(0x80, root, None, Made::default()));
        assert_eq!(client.handle_for(chosen), Err(status::NV_ERR_INSERT_DUPLICATE_NAME));
        assert_ne!(client.handle_for(0), Ok(chosen));
    }
}
