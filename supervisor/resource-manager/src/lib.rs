//! NVIDIA's resource manager, as the clients of its device nodes see it, without a card and without a driver.
//!
//! ```text
//!   open ──▶ FileId          ┌ escape.rs: version, cards, descriptors, mappings
//!   ioctl(file, request, ────┤ alloc.rs:  an object of a class          ── object.rs: clients and their trees
//!         argument, Caller)  │   make.rs, memory.rs, channel.rs: classes that do more than exist
//!                            ├ control/:  a command to an object        ── card.rs:   device model + place
//!                            └ uvm.rs:    unified memory                ── facts.rs:  rows of cards/*.txt
//!   what happens ──▶ event.rs: files that are polled
//!   what others do ──▶ Load ─▶ shared_data.rs: the page of figures
//!   what is set ──▶ Caller::order ──▶ the session's settings ─▶ Load
//! ```
//!
//! - **outer**: the structure that an ioctl's argument points to. **Parameters**: what `RM_CONTROL` and `RM_ALLOC` point to.
//! - **status**: `NV_STATUS`, a word of the outer structure. The ioctl itself succeeds whatever the status; its own errors are for
//!   requests that the driver's front end does not know.
//! - Everything is done on copies: memory of the calling process is read and written through [`Caller`] alone, each piece once.
//! - What a control answers comes from the device model, from the tree of objects, or from rows of facts about that kind of card;
//!   what none of them knows is refused ([`status::NV_ERR_NOT_SUPPORTED`]) and can be named afterwards ([`ResourceManager::unknown`]).
//!
//! Sizes, names and fields are `nvidia-abi`'s. Nothing here knows how calls arrive.

#![forbid(unsafe_code)]

mod alloc;
mod card;
mod channel;
mod control;
mod escape;
mod event;
mod facts;
mod load;
mod make;
mod memory;
mod object;
mod order;
mod shared_data;
mod structure;
mod uvm;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use nvidia_abi::{Abi, UnknownVersion, status};

pub use card::{Card, Unit, facts};
pub use event::Happening;
pub use facts::{Answer, Cluster, Facts, GraphicsCluster, Value, Written};
pub use load::Load;
pub use object::Handle;
pub use order::Order;
pub use shared_data::BEING_WRITTEN;
pub use wire::control::Accounted;

use object::Clients;

/// An open file of a node: what descriptors that were duplicated have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u64);

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// `/dev/nvidiactl`
    Control,
    /// `/dev/nvidiaN`
    Gpu(usize),
    /// `/dev/nvidia-uvm`
    UnifiedMemory,
}

/// What programs have made and have open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Open files.
    pub files: usize,
    /// Clients.
    pub clients: usize,
    /// Their objects and the descriptors that their events come through.
    pub objects: usize,
    /// Ranges, groups and channels of unified memory.
    pub unified_memory: usize,
    /// Numbers of the cards' channels in use, and devices.
    pub of_cards: usize,
    /// Bytes of video memory.
    pub video_memory: u64,
}

/// A program that tries all numbers does not fill our memory.
const NAMED_AT_MOST: usize = 1000;

/// Memory of the process that makes a call.
pub trait CallerMemory {
    /// Reads it; false: not all of it can be read.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes it; false: not all of it can be written.
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool;
}

/// The process that makes a call.
pub trait Caller: CallerMemory {
    /// The open file that a descriptor of its stands for, if it is one of a node.
    fn file(&mut self, descriptor: i32) -> Option<FileId>;
    /// Whether it has the node of that card open, by whichever descriptor.
    fn has_open(&mut self, card: usize) -> bool;
    /// The next mappings of that descriptor are to show the card's page of figures ([`ResourceManager::shared_data`]). False: that
    /// cannot be. One who maps nothing has nothing to do.
    fn show(&mut self, _descriptor: i32, _card: usize) -> bool {
        true
    }
    /// Changes a card for the whole session, for a caller who may. `Err`: an `NV_ERR_…`.
    fn order(&mut self, card: usize, order: Order) -> Result<(), u32>;
    /// The accounts that the session keeps of processes on a card, oldest first.
    fn accounts(&mut self, card: usize) -> Vec<Accounted>;
    /// Thread-group id.
    fn process(&self) -> u32;
    /// It has CAP_SYS_ADMIN.
    fn is_administrator(&self) -> bool;
}

/// What the call itself returns, beside what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errno {
    /// `EFAULT`: memory of the caller.
    Fault,
    /// `EINVAL`: a request that the node does not have.
    Invalid,
    /// `ENOSYS`: a command that unified memory does not have.
    NoSuchCommand,
    /// `EBUSY`: somebody else has set it to another value.
    Busy,
}

impl Errno {
    /// The kernel's number.
    pub fn number(self) -> i32 {
        match self {
            Errno::Fault => libc::EFAULT,
            Errno::Invalid => libc::EINVAL,
            Errno::NoSuchCommand => libc::ENOSYS,
            Errno::Busy => libc::EBUSY,
        }
    }
}

/// The manager of a session's cards.
pub struct ResourceManager {
    /// Shared with calls under way: their rows are read while all else changes.
    abi: Arc<Abi>,
    cards: Vec<Card>,
    clients: Clients,
    files: HashMap<FileId, File>,
    opened: u64,
    /// `NV_ESC_SYS_PARAMS`: whoever comes first says it for all.
    memory_block: u64,
    /// Bytes of mappings that have been named.
    mapped: u64,
    /// Entries of all files' unified memory.
    unified_entries: usize,
    unknown: BTreeSet<String>,
}

/// An open file.
struct File {
    node: Node,
    /// The control file that a GPU's file belongs to.
    control: Option<FileId>,
    unified_memory: uvm::Space,
    /// What it has to tell who polls it.
    events: VecDeque<event::Entry>,
}

impl ResourceManager {
    /// A manager as of that driver version.
    pub fn new(version: &str, cards: Vec<Card>) -> Result<Self, UnknownVersion> {
        Ok(Self::of(Arc::new(Abi::of(version)?), cards))
    }

    /// A manager with tables that have been read already.
    pub fn of(abi: Arc<Abi>, cards: Vec<Card>) -> Self {
        Self {
            abi,
            cards,
            clients: Clients::default(),
            files: HashMap::new(),
            opened: 0,
            memory_block: 0,
            mapped: 0,
            unified_entries: 0,
            unknown: BTreeSet::new(),
        }
    }

    /// A node was opened.
    pub fn open(&mut self, node: Node) -> FileId {
        self.opened += 1;
        let file = FileId(self.opened);
        self.files.insert(
            file,
            File { node, control: None, unified_memory: uvm::Space::default(), events: VecDeque::new() },
        );
        file
    }

    /// The last descriptor of a file was closed.
    pub fn close(&mut self, file: FileId) {
        if let Some(file) = self.files.remove(&file) {
            self.unified_entries -= file.unified_memory.entries();
        }
        if self.files.is_empty() {
            // As after the driver was loaded: the next program says it for itself.
            self.memory_block = 0;
        }
        for object in self.clients.file_closed(file) {
            self.give_back(&object);
        }
    }

    /// Answers a call. `argument`: the address that the program passed.
    pub fn ioctl(
        &mut self,
        file: FileId,
        request: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<(), Errno> {
        match self.files.get(&file).map(|file| file.node) {
            Some(Node::UnifiedMemory) => self.unified_memory(file, request, argument, caller),
            Some(node) => self.escape(file, node, request, argument, caller),
            None => Err(Errno::Invalid),
        }
    }

    /// How many cards there are.
    pub fn cards(&self) -> usize {
        self.cards.len()
    }

    /// A card.
    pub fn card(&self, card: usize) -> Option<&Card> {
        self.cards.get(card)
    }

    /// What others make of a card from now on.
    pub fn set_load(&mut self, card: usize, load: Load) {
        if let Some(card) = self.cards.get_mut(card) {
            card.load = load;
        }
    }

    /// What programs have at the moment: nothing once all their files are closed.
    pub fn held(&self) -> Held {
        let (clients, objects) = self.clients.count();
        let of_cards = |card: &Card| card.numbers.channels.len() + card.numbers.devices as usize;
        Held {
            files: self.files.len(),
            clients,
            objects,
            unified_memory: self.unified_entries,
            of_cards: self.cards.iter().map(of_cards).sum(),
            video_memory: self.cards.iter().map(|card| card.used).sum(),
        }
    }

    /// What programs asked for that is not known here, in words.
    pub fn unknown(&self) -> impl ExactSizeIterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }

    /// The tables in use.
    pub fn abi(&self) -> &Abi {
        &self.abi
    }

    fn note_unknown(&mut self, what: String) -> u32 {
        if self.unknown.len() < NAMED_AT_MOST {
            self.unknown.insert(what);
        }
        status::NV_ERR_NOT_SUPPORTED
    }
}
