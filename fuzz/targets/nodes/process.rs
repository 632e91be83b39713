//! A process: memory, descriptors, and an eye on what is done to its memory.

use std::collections::BTreeMap;

use nvidia_abi::{Abi, Count, Row, class, escape};
use resource_manager::{Accounted, Caller, CallerMemory, FileId, Node, Order};

use crate::memory::Memory;

pub struct Process {
    pub number: u32,
    pub is_administrator: bool,
    pub memory: Memory,
    pub descriptors: BTreeMap<i32, (FileId, Node)>,
}

impl Process {
    pub fn new(number: u32) -> Self {
        let is_administrator = number == 3;
        Self { number, is_administrator, memory: Memory::new(), descriptors: BTreeMap::new() }
    }

    pub fn free_descriptor(&self) -> i32 {
        (3..).find(|number| !self.descriptors.contains_key(number)).expect("few are open")
    }
}

/// A call whose answer is of no interest.
pub struct Unwatched<'a>(pub &'a mut Process);

impl CallerMemory for Unwatched<'_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let found = self.0.memory.get(address, bytes.len());
        bytes.is_empty() || found.map(|found| bytes.copy_from_slice(found)).is_some()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        panic!("nothing is answered, and {} bytes are written to {address:#x}", bytes.len());
    }
}

impl Caller for Unwatched<'_> {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.0.descriptors.get(&descriptor).map(|(file, _)| *file)
    }

    fn has_open(&mut self, _: usize) -> bool {
        false
    }

    fn order(&mut self, _: usize, _: Order) -> Result<(), u32> {
        Ok(())
    }

    fn accounts(&mut self, _: usize) -> Vec<Accounted> {
        Vec::new()
    }

    fn process(&self) -> u32 {
        self.0.number
    }

    fn is_administrator(&self) -> bool {
        self.0.is_administrator
    }
}

/// A call under way.
pub struct Watched<'a, 't> {
    pub process: &'a mut Process,
    abi: &'t Abi,
    node: Node,
    request: u32,
    argument: u64,
    /// What another thread does with what has just been read.
    spoils: &'a [(u8, u8)],
    reads: usize,
    /// Where may be written, as far as has been read.
    allowed: Vec<(u64, usize)>,
    /// Outer structure, once it was read: its row, and its bytes.
    outer: Option<(&'t Row, Vec<u8>)>,
    /// Where that is, and what was written there.
    place: u64,
    answer: Option<Vec<u8>>,
    parameters_read: bool,
    /// An escape that came inside another one.
    transferred: bool,
}

impl<'a, 't> Watched<'a, 't> {
    pub fn new(
        process: &'a mut Process,
        abi: &'t Abi,
        (node, request, argument): (Node, u32, u64),
        spoils: &'a [(u8, u8)],
    ) -> Self {
        Self {
            process,
            abi,
            node,
            request,
            argument,
            spoils,
            reads: 0,
            allowed: Vec::new(),
            outer: None,
            place: 0,
            answer: None,
            parameters_read: false,
            transferred: false,
        }
    }

    /// What the driver took the outer structure for, saw in it, and answered there.
    pub fn outcome(self) -> Option<(&'t Row, Vec<u8>, Vec<u8>)> {
        let (row, before) = self.outer?;
        Some((row, before, self.answer?))
    }

    /// The first read is the outer structure, the next one what it points to, all further ones what that points to.
    fn note_read(&mut self, address: u64, bytes: &[u8]) {
        match &self.outer {
            None => self.note_outer(address, bytes),
            Some((row, outer)) if !self.parameters_read => {
                let (row, outer) = (*row, outer.clone());
                self.parameters_read = true;
                self.note_parameters(row, &outer, bytes);
            }
            // Behind the parameters: once each, as they are read to be changed.
            Some(_) => {}
        }
    }

    fn note_outer(&mut self, address: u64, bytes: &[u8]) {
        let is_first = !self.transferred;
        if is_first {
            assert_eq!(address, self.argument, "the argument is looked at first");
        }
        let number = self.request & 0xff;
        let row = match self.node {
            Node::UnifiedMemory => self.abi.uvm(self.request),
            _ if is_first && number == escape::NV_ESC_IOCTL_XFER_CMD => {
                let row = self.abi.escape_of_size(number, bytes.len());
                let row = row.expect("only whole structures of this kind are read");
                self.transferred = true;
                self.request = row.read(bytes, "cmd").expect("a field") as u32;
                return;
            }
            _ => self.abi.escape_of_size(self.request & 0xff, bytes.len()),
        };
        self.allowed.push((address, bytes.len()));
        let Some(row) = row else { return };
        self.place = address;
        self.outer = Some((row, bytes.to_vec()));
        // Classes without parameters to read first are written all the same.
        if self.node != Node::UnifiedMemory && row.number == escape::NV_ESC_RM_ALLOC {
            let class = row.read(bytes, "hClass").unwrap_or(0) as u32;
            let size = match class {
                class::NV01_ROOT | class::NV01_ROOT_NON_PRIV | class::NV01_ROOT_CLIENT => 4,
                other => self.abi.class(other).map_or(0, |row| row.size),
            };
            self.allowed.push((row.read(bytes, "pAllocParms").unwrap_or(0), size));
        }
    }

    fn note_parameters(&mut self, row: &Row, outer: &[u8], parameters: &[u8]) {
        if self.node == Node::UnifiedMemory || row.number != escape::NV_ESC_RM_CONTROL {
            return;
        }
        let field = |name| row.read(outer, name).unwrap_or(0);
        self.allowed.push((field("params"), field("paramsSize") as usize));
        let Some(control) = self.abi.control(field("cmd") as u32) else { return };
        for (field, pointee) in control.pointers() {
            let (Some(address), Some(pointee)) = (field.read(parameters, 0), pointee) else { continue };
            let count = match pointee.count {
                Count::Fixed(count) => count,
                Count::Field(name) => control.read(parameters, name).unwrap_or(0) as usize,
                Count::Square(name) => {
                    (control.read(parameters, name).unwrap_or(0) as usize).saturating_pow(2)
                }
                Count::OfClass => 0,
            };
            if pointee.written {
                self.allowed.push((address, count.saturating_mul(pointee.element)));
            }
        }
    }
}

impl CallerMemory for Watched<'_, '_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let Some(found) = self.process.memory.get(address, bytes.len()) else { return false };
        bytes.copy_from_slice(found);
        self.note_read(address, bytes);
        // Another thread writes there meanwhile.
        if let Some(spoil) = self.spoils.get(self.reads) {
            self.process.memory.spoil(address, bytes.len(), *spoil);
        }
        self.reads += 1;
        assert!(self.reads <= 4, "each piece is read once, and there are three at most");
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let is_inside = |(start, length): &(u64, usize)| {
            address >= *start
                && address - start <= *length as u64
                && bytes.len() as u64 <= *length as u64 - (address - start)
        };
        assert!(
            self.allowed.iter().any(is_inside),
            "{} bytes are written to {address:#x}, of {:x?} for request {:#x}",
            bytes.len(),
            self.allowed,
            self.request
        );
        if address == self.place && self.outer.as_ref().is_some_and(|(_, outer)| outer.len() == bytes.len()) {
            self.answer = Some(bytes.to_vec());
        }
        self.process.memory.put(address, bytes)
    }
}

impl Caller for Watched<'_, '_> {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.process.descriptors.get(&descriptor).map(|(file, _)| *file)
    }

    fn has_open(&mut self, card: usize) -> bool {
        self.process.descriptors.values().any(|(_, node)| *node == Node::Gpu(card))
    }

    fn order(&mut self, _: usize, _: Order) -> Result<(), u32> {
        Ok(())
    }

    fn accounts(&mut self, _: usize) -> Vec<Accounted> {
        Vec::new()
    }

    fn process(&self) -> u32 {
        self.process.number
    }

    fn is_administrator(&self) -> bool {
        self.process.is_administrator
    }
}
