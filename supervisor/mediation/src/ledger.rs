//! Video memory that clients hold, counted.
//!
//! *Memory*: one allocation of the driver. *Reference*: an object that keeps it, the one that was allocated or a duplicate of it. Memory
//! is given back with its last reference: when that is freed, or an object above it, or its client.
//!
//! What is counted is what clients allocate by name, and managed memory ([`crate::managed`]). Not seen: memory that a descriptor of an
//! exported object or a mapping of the UVM driver keeps beyond its last object.

use std::collections::{BTreeMap, HashMap, HashSet};

/// An object: the RM client that owns it, and its handle there.
pub type Object = (u32, u32);

/// Memory of all cards.
#[derive(Default)]
pub struct Ledger {
    /// Bytes that may be held of each card; none: as many as there are.
    limit: Option<u64>,
    used: HashMap<u32, u64>,
    /// What calls that are being executed may take.
    promised: HashMap<u32, u64>,
    objects: HashMap<Object, Entry>,
    /// Handles of the objects right below one.
    below: HashMap<Object, Vec<u32>>,
    memory: HashMap<u64, Memory>,
    next: u64,
    /// Managed memory, which is wherever the driver wants.
    managed: u64,
}

struct Entry {
    parent: u32,
    /// The device above it, or it itself, and the card's number for the driver.
    device: Option<(u32, u32)>,
    process: i32,
    memory: Option<u64>,
}

struct Memory {
    card: u32,
    bytes: u64,
    references: usize,
}

impl Ledger {
    /// Nobody holds anything.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// From now on so many bytes of each card may be held. What is held beyond stays until its owners free it.
    pub fn set_limit(&mut self, limit: Option<u64>) {
        self.limit = limit;
    }

    /// Objects that are known, and bytes of all cards that are held or promised.
    #[cfg(any(test, feature = "stand-in"))]
    pub fn size(&self) -> (usize, u64) {
        let bytes = self.used.values().chain(self.promised.values()).chain([&self.managed]);
        (self.objects.len(), bytes.fold(0, |all, bytes| all.saturating_add(*bytes)))
    }

    /// Cards of which something is held, and bytes.
    pub fn all_used(&self) -> impl Iterator<Item = (u32, u64)> {
        self.used.keys().map(|card| (*card, self.used(*card))).filter(|(_, bytes)| *bytes > 0)
    }

    /// Bytes that each process holds of each card; what several hold is each one's.
    pub fn by_process(&self) -> BTreeMap<i32, BTreeMap<u32, u64>> {
        let mut held: BTreeMap<i32, BTreeMap<u32, u64>> = BTreeMap::new();
        let mut counted = HashSet::new();
        for entry in self.objects.values() {
            let Some(id) = entry.memory.filter(|id| counted.insert((entry.process, *id))) else { continue };
            let Some(Memory { card, bytes, .. }) = self.memory.get(&id) else { continue };
            *held.entry(entry.process).or_default().entry(*card).or_default() += bytes;
        }
        held
    }

    /// Bytes of each card that may be held.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Bytes that are held of a card, with all managed memory.
    pub fn used(&self, card: u32) -> u64 {
        self.used.get(&card).copied().unwrap_or(0).saturating_add(self.managed)
    }

    /// There is so much managed memory.
    pub fn set_managed(&mut self, bytes: u64) {
        self.managed = bytes;
    }

    /// Whether there is room for so many bytes more.
    pub fn has_room(&self, card: u32, bytes: u64) -> bool {
        let promised = self.promised.get(&card).copied().unwrap_or(0);
        let taken = self.used(card).saturating_add(promised);
        self.limit.is_none_or(|limit| taken.saturating_add(bytes) <= limit)
    }

    /// Whether there is room for so many bytes more of each card, whichever they may come to lie on.
    pub fn has_room_on_each(&self, bytes: u64) -> bool {
        /// Of one of which nothing is held there is as much as of any such.
        const UNTOUCHED: u32 = u32::MAX;
        let touched = self.used.keys().chain(self.promised.keys());
        touched.chain([&UNTOUCHED]).all(|card| self.has_room(*card, bytes))
    }

    /// Room for so many bytes that a call may take, until it is known what it has taken. False if there is none.
    pub fn promise(&mut self, card: u32, bytes: u64) -> bool {
        let has_room = self.has_room(card, bytes);
        if has_room {
            let promised = self.promised.entry(card).or_default();
            *promised = promised.saturating_add(bytes);
        }
        has_room
    }

    /// The call is over, or will never be.
    pub fn take_back(&mut self, card: u32, bytes: u64) {
        if let Some(promised) = self.promised.get_mut(&card) {
            *promised = promised.saturating_sub(bytes);
        }
    }

    /// Which card an object belongs to.
    pub fn card(&self, object: Object) -> Option<u32> {
        self.objects.get(&object)?.device.map(|(_, card)| card)
    }

    /// Whether there is such an object.
    pub fn knows(&self, object: Object) -> bool {
        self.objects.contains_key(&object)
    }

    /// The object above one.
    pub fn parent(&self, object: Object) -> Option<Object> {
        self.objects.get(&object).map(|entry| (object.0, entry.parent))
    }

    /// An object was made below another one. `card`: if it is a device; else it is its parent's.
    pub fn made(&mut self, object: Object, parent: u32, process: i32, card: Option<u32>) {
        let above = || self.objects.get(&(object.0, parent))?.device;
        let device = card.map(|card| (object.1, card)).or_else(above);
        self.freed(object);
        self.below.entry((object.0, parent)).or_default().push(object.1);
        self.objects.insert(object, Entry { parent, device, process, memory: None });
    }

    /// An object that was made has so much memory.
    pub fn holds(&mut self, object: Object, bytes: u64) {
        let Some(entry) = self.objects.get_mut(&object) else { return };
        let Some((_, card)) = entry.device else { return };
        self.next += 1;
        entry.memory = Some(self.next);
        self.memory.insert(self.next, Memory { card, bytes, references: 1 });
        *self.used.entry(card).or_default() += bytes;
    }

    /// An object that was made needs a context, which takes so much on its card, once for each device.
    pub fn needs_context(&mut self, object: Object, bytes: u64) {
        if let Some(device) = self.device_without_context(object) {
            self.holds(device, bytes);
        }
    }

    /// Whether the device above an object, or that object, has no context yet.
    pub fn lacks_context(&self, object: Object) -> bool {
        self.device_without_context(object).is_some()
    }

    fn device_without_context(&self, object: Object) -> Option<Object> {
        let (device, _) = self.objects.get(&object)?.device?;
        let device = (object.0, device);
        self.objects.get(&device)?.memory.is_none().then_some(device)
    }

    /// An object that was made is a duplicate of another one.
    pub fn shares(&mut self, object: Object, source: Object) {
        let Some(id) = self.objects.get(&source).and_then(|entry| entry.memory) else { return };
        let (Some(memory), Some(entry)) = (self.memory.get_mut(&id), self.objects.get_mut(&object)) else {
            return;
        };
        memory.references += 1;
        entry.memory = Some(id);
    }

    /// An object was freed, and with it all below it.
    pub fn freed(&mut self, object: Object) {
        let mut gone = vec![object.1];
        while let Some(handle) = gone.pop() {
            let Some(entry) = self.objects.remove(&(object.0, handle)) else { continue };
            gone.extend(self.below.remove(&(object.0, handle)).unwrap_or_default());
            self.forget_below((object.0, entry.parent), handle);
            self.release(entry.memory);
        }
    }

    fn forget_below(&mut self, parent: Object, handle: u32) {
        if let Some(below) = self.below.get_mut(&parent) {
            below.retain(|other| *other != handle);
            if below.is_empty() {
                self.below.remove(&parent);
            }
        }
    }

    /// A process has ended, and with it what it made.
    pub fn process_ended(&mut self, process: i32) {
        let own = self.objects.iter().filter(|(_, entry)| entry.process == process);
        let own: Vec<Object> = own.map(|(object, _)| *object).collect();
        own.into_iter().for_each(|object| self.freed(object));
    }

    fn release(&mut self, memory: Option<u64>) {
        let Some(id) = memory else { return };
        let Some(held) = self.memory.get_mut(&id) else { return };
        held.references -= 1;
        if held.references == 0 {
            if let Some(used) = self.used.get_mut(&held.card) {
                *used -= held.bytes;
            }
            self.memory.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A client 1 of process 7 with a device 2 on card 0.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(Some(2 * GIB));
        ledger.made((1, 1), 0, 7, None);
        ledger.made((1, 2), 1, 7, Some(0));
        ledger
    }

    fn allocate(ledger: &mut Ledger, handle: u32) {
        ledger.made((1, handle), 2, 7, None);
        ledger.holds((1, handle), GIB);
    }

    #[test]
    fn memory_is_held_until_its_last_reference_is_freed() {
        let mut ledger = ledger();
        allocate(&mut ledger, 3);
        ledger.made((9, 9), 0, 8, None);
        ledger.made((9, 5), 9, 8, None);
        ledger.shares((9, 5), (1, 3));
        ledger.made((9, 6), 9, 8, None);
        ledger.shares((9, 6), (1, 3));
        let once = BTreeMap::from([(0, GIB)]);
        assert_eq!(ledger.by_process(), BTreeMap::from([(7, once.clone()), (8, once.clone())]));
        ledger.freed((1, 3));
        assert_eq!(ledger.by_process(), BTreeMap::from([(8, once)]));
        assert_eq!(ledger.used(0), GIB);
        ledger.process_ended(8);
        assert_eq!(ledger.used(0), 0);
    }

    #[test]
    fn managed_memory_counts_on_every_card() {
        let mut ledger = ledger();
        allocate(&mut ledger, 3);
        ledger.set_managed(GIB);
        assert_eq!((ledger.used(0), ledger.used(1)), (2 * GIB, GIB));
        assert!(!ledger.has_room(0, 1) && ledger.has_room(1, GIB));
        assert!(!ledger.has_room_on_each(1), "it may come to lie on card 0");
        ledger.freed((1, 3));
        assert!(ledger.has_room_on_each(GIB) && !ledger.has_room_on_each(GIB + 1));
        allocate(&mut ledger, 3);
        ledger.set_managed(0);
        assert!(ledger.has_room(0, GIB));
    }

    #[test]
    fn a_limit_below_what_is_held_takes_nothing_away_and_gives_nothing() {
        let mut ledger = ledger();
        allocate(&mut ledger, 3);
        allocate(&mut ledger, 4);
        ledger.set_limit(Some(GIB));
        assert_eq!(ledger.all_used().collect::<Vec<_>>(), [(0, 2 * GIB)]);
        assert!(!ledger.has_room(0, 1));
        ledger.freed((1, 3));
        assert!(!ledger.has_room(0, 1));
        ledger.freed((1, 4));
        assert!(ledger.has_room(0, GIB) && !ledger.has_room(0, GIB + 1));
    }

    #[test]
    fn what_calls_that_are_under_way_may_take_is_nobody_elses() {
        let mut ledger = ledger();
        assert!(ledger.promise(0, GIB) && ledger.promise(0, GIB) && !ledger.promise(0, 1));
        ledger.take_back(0, GIB);
        allocate(&mut ledger, 3);
        assert!(!ledger.has_room(0, 1));
        ledger.take_back(0, GIB);
        assert!(ledger.has_room(0, GIB) && !ledger.has_room(0, GIB + 1));
    }

    #[test]
    fn what_is_below_a_freed_object_is_freed() {
        let mut ledger = ledger();
        allocate(&mut ledger, 3);
        allocate(&mut ledger, 4);
        assert!(!ledger.has_room(0, 1) && ledger.has_room(1, 2 * GIB));
        ledger.freed((1, 2));
        assert!(ledger.has_room(0, 2 * GIB) && ledger.card((1, 3)).is_none());
        allocate(&mut ledger, 3);
        assert_eq!(ledger.used(0), 0, "its device is gone");
    }

    #[test]
    fn a_client_and_a_process_take_all_of_theirs_along() {
        for end in [|ledger: &mut Ledger| ledger.freed((1, 1)), |ledger: &mut Ledger| ledger.process_ended(7)]
        {
            let mut ledger = ledger();
            allocate(&mut ledger, 3);
            end(&mut ledger);
            assert_eq!((ledger.used(0), ledger.objects.len(), ledger.below.len()), (0, 0, 0));
            assert!(ledger.memory.is_empty());
        }
    }
}
