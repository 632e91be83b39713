//! A client: memory, descriptors, and an eye on what is done to its memory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use mediation::{Caller, Identity, Node};
use nvidia_abi::{Row, escape};

use crate::machine::abi;
use crate::memory::Memory;
use crate::page::Lane;

/// An open file of a node.
pub struct Open {
    pub file: File,
    pub node: Node,
}

pub struct Client {
    /// Its number among all.
    pub index: usize,
    pub memory: Memory,
    pub descriptors: BTreeMap<i32, Rc<Open>>,
    /// A call that takes longer.
    pub put_off: Option<Watch>,
}

impl Client {
    pub fn new(index: usize) -> Self {
        Self { index, memory: Memory::new(), descriptors: BTreeMap::new(), put_off: None }
    }

    /// As the mediator knows it.
    pub fn process(&self) -> i32 {
        1000 + self.index as i32
    }

    pub fn user(&self) -> u32 {
        60_001 + self.index as u32
    }

    pub fn free_descriptor(&self) -> i32 {
        (3..).find(|number| !self.descriptors.contains_key(number)).expect("few are open")
    }
}

/// What happens while a call is made.
#[derive(Default)]
pub struct Meanwhile {
    /// What another thread does with what has just been read.
    pub spoils: Vec<(u8, u8)>,
    /// Another thread calls `dup2(from, onto)` after so many descriptors were looked up.
    pub swap: Option<(usize, i32, i32)>,
    /// So often it is said to live, if it is to die. What is read then is somebody else's.
    pub lives: Cell<Option<u8>>,
}

/// What was seen of a call.
pub struct Watch {
    meanwhile: Meanwhile,
    request: (Node, u32),
    pub argument: u64,
    /// What was read, in this order.
    reads: Vec<(u64, Vec<u8>)>,
    /// Where it was tried: what is only written need not be there as a whole.
    tried: Vec<(u64, usize)>,
    /// The struct behind the argument.
    outer: Option<&'static Row>,
    /// Where pointers and descriptors lie: nobody but the client writes there.
    clients: Vec<Range<u64>>,
    lookups: usize,
}

/// A call under way.
pub struct Watched<'a> {
    pub client: &'a mut Client,
    pub lane: &'a Lane,
    pub watch: Watch,
}

impl Watch {
    pub fn new(node: Node, request: u32, argument: u64, meanwhile: Meanwhile) -> Self {
        let (reads, tried, clients) = (Vec::new(), Vec::new(), Vec::new());
        let request = (node, request);
        Self { meanwhile, request, argument, reads, tried, outer: None, clients, lookups: 0 }
    }

    /// Whether it was said to have died.
    fn is_dead(&self) -> bool {
        self.meanwhile.lives.get() == Some(0)
    }

    /// What the argument led to when it was looked at.
    pub fn outer(&self) -> Option<(&'static Row, &[u8])> {
        Some((self.outer?, &self.reads.first()?.1))
    }

    /// The first read is the outer struct, the next one what an allocation's or a control's points to.
    fn note_read(&mut self, address: u64, bytes: &[u8]) {
        let (node, request) = self.request;
        let row = match self.reads.len() {
            0 if node == Node::UnifiedMemory => abi().uvm(request),
            0 => abi().escape_of_size(request & 0xff, bytes.len()),
            1 => self.parameters(),
            _ => None,
        };
        if self.reads.is_empty() {
            self.outer = row;
        }
        if let Some(row) = row {
            let fields = row.pointers().map(|(field, _)| field).chain(row.descriptors());
            let ranges = fields.flat_map(|field| (0..field.len()).filter_map(|index| field.range(index)));
            let whole = ranges.filter(|range| range.end <= bytes.len());
            self.clients.extend(whole.map(|range| address + range.start as u64..address + range.end as u64));
        }
        self.reads.push((address, bytes.to_vec()));
    }

    fn parameters(&self) -> Option<&'static Row> {
        let (row, outer) = self.outer()?;
        let field = |name| row.read(outer, name).unwrap_or(0) as u32;
        match row.number {
            _ if self.request.0 == Node::UnifiedMemory => None,
            escape::NV_ESC_RM_CONTROL => abi().control(field("cmd")),
            escape::NV_ESC_RM_ALLOC => abi().class(field("hClass")),
            _ => None,
        }
    }

    /// Nothing is written but what was read, and no address of ours.
    fn check_write(&self, lane: &Lane, address: u64, bytes: &[u8]) {
        let end = address + bytes.len() as u64;
        let holds = |(start, length): &(u64, usize)| *start <= address && end - *start <= *length as u64;
        assert!(self.tried.iter().any(holds), "{} bytes at {address:#x} were not read", bytes.len());
        let area = lane.area.each_ref().map(|end| end.load(std::sync::atomic::Ordering::Relaxed));
        for word in bytes.windows(8) {
            let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
            assert!(!(area[0]..area[1]).contains(&word), "an address of ours: {word:#x}");
        }
        let overlaps =
            |(start, length): &&(u64, usize)| *start < end && address < start.saturating_add(*length as u64);
        if self.tried.iter().filter(overlaps).count() > 1 {
            // The client has named one place twice: what is a pointer here may be anything there.
            return;
        }
        for range in self.clients.iter().filter(|range| address <= range.start && range.end <= end) {
            let written = &bytes[(range.start - address) as usize..(range.end - address) as usize];
            let is_as_read = |(start, read): &&(u64, Vec<u8>)| {
                let part = range.start.checked_sub(*start).map(|at| at as usize..at as usize + written.len());
                part.and_then(|part| read.get(part)) == Some(written)
            };
            assert!(
                self.reads.iter().any(|read| is_as_read(&read)),
                "a pointer or a descriptor at {:#x} becomes {written:x?}",
                range.start
            );
        }
    }
}

impl Caller for Watched<'_> {
    fn process(&self) -> i32 {
        self.client.process()
    }

    fn identity(&self) -> Identity {
        // The number is that of one of root's processes meanwhile.
        let user = if self.watch.is_dead() { 0 } else { self.client.user() };
        Identity { user, group: user, groups: vec![user + 1] }
    }

    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        assert!(bytes.len() <= 2 << 20, "{} bytes have no room anywhere", bytes.len());
        if bytes.is_empty() {
            return true;
        }
        self.watch.tried.push((address, bytes.len()));
        let Some(found) = self.client.memory.get(address, bytes.len()) else { return false };
        bytes.copy_from_slice(found);
        let turn = self.watch.reads.len();
        self.watch.note_read(address, bytes);
        if let Some(spoil) = self.watch.meanwhile.spoils.get(turn) {
            self.client.memory.spoil(address, bytes.len(), *spoil);
        }
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        self.watch.check_write(self.lane, address, bytes);
        self.is_alive() && self.client.memory.put(address, bytes)
    }

    fn descriptor(&mut self, number: i32) -> Option<OwnedFd> {
        let found = self.client.descriptors.get(&number).map(|open| open.file.try_clone());
        self.watch.lookups += 1;
        if let Some((after, from, onto)) = self.watch.meanwhile.swap
            && after == self.watch.lookups
            && let Some(open) = self.client.descriptors.get(&from).cloned()
        {
            self.client.descriptors.insert(onto, open);
        }
        found.map(|file| file.expect("a descriptor is free").into())
    }

    fn is_alive(&self) -> bool {
        let lives = &self.watch.meanwhile.lives;
        let is_alive = !self.watch.is_dead();
        lives.set(lives.get().map(|times| times.saturating_sub(1)));
        is_alive
    }
}
