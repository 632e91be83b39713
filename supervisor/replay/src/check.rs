//! One recording against one resource manager.

use std::collections::BTreeMap;
use std::fmt;

use nvidia_abi::{Count, escape, uvm};
use recording::{Call, Event, Ioctl};
use resource_manager::{Accounted, Caller, CallerMemory, Errno, FileId, Load, Node, Order, ResourceManager};

use crate::bytes::{pointer, word};
use crate::files::{Files, node as node_of};
use crate::handles::Handles;
use crate::mask::{Category, Mask, Subject};
use crate::memory::Memory;
use crate::neighbours;

/// Where the outer structure lies: at no address that a program has.
const OUTER: u64 = 0x10;

/// What came of a recording.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Calls on the nodes.
    pub calls: usize,
    /// That were answered as recorded, but for masked bytes.
    pub matches: usize,
    /// That were not.
    pub mismatches: Vec<Mismatch>,
    /// Calls that could not be made, since what they point to was not recorded.
    pub skipped: usize,
    /// What others had of the card, as the recorded program was told first.
    pub neighbours: Option<Load>,
    /// Bytes of answers.
    pub bytes: usize,
    /// Bytes among them that were not compared.
    pub masked: BTreeMap<Category, usize>,
}

/// A call that was answered otherwise.
#[derive(Debug)]
pub struct Mismatch {
    /// Its place in the recording, counted from 1 like lines.
    pub line: usize,
    /// What it was.
    pub name: String,
    /// What differs, the first of it.
    pub differences: Vec<Difference>,
}

/// Four bytes at most that are not as recorded.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// `outer`, `parameters`, `errno`, or `buffer` and where in the parameters its pointer lies.
    pub place: String,
    /// Where in it.
    pub at: usize,
    /// As recorded.
    pub recorded: u32,
    /// As answered.
    pub answered: u32,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}+{}: recorded {:#x}, answered {:#x}",
            self.place, self.at, self.recorded, self.answered
        )
    }
}

impl Outcome {
    /// Masked bytes that are neither time, nor power, nor utilisation, in per cent of all.
    pub fn masked_share(&self) -> f64 {
        let masked: usize =
            self.masked.iter().filter(|(category, _)| !category.is_reading()).map(|(_, count)| count).sum();
        100.0 * masked as f64 / self.bytes.max(1) as f64
    }
}

/// Makes each recorded call on `manager` and compares.
pub fn check(events: &[Event], manager: &mut ResourceManager, mask: &Mask) -> Outcome {
    let neighbours = neighbours::set(manager, events);
    let mut replay = Replay {
        manager,
        mask,
        files: Files::default(),
        handles: Handles::default(),
        is_administrator: false,
        outcome: Outcome { neighbours, ..Outcome::default() },
    };
    for (index, event) in events.iter().enumerate() {
        match event {
            Event::Ioctl(ioctl) => replay.ioctl(index + 1, ioctl),
            Event::Other(call) => replay.other(call),
        }
    }
    replay.outcome
}

struct Replay<'a> {
    manager: &'a mut ResourceManager,
    mask: &'a Mask,
    files: Files,
    handles: Handles,
    /// The recorded program ran as root.
    is_administrator: bool,
    outcome: Outcome,
}

/// A recorded call, with the memory that it can touch.
struct Recorded<'a> {
    memory: Memory,
    files: &'a Files,
    process: u32,
    /// The node that descriptors in its parameters must be of.
    expected: Node,
    is_administrator: bool,
}

impl CallerMemory for Recorded<'_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.memory.read(address, bytes)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        self.memory.write(address, bytes)
    }
}

impl Caller for Recorded<'_> {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.files.of_parameter(self.process, descriptor, self.expected)
    }

    fn has_open(&mut self, card: usize) -> bool {
        self.files.has_open(self.process, Node::Gpu(card))
    }

    /// Whether it could be is the session's to know, and there is none.
    fn order(&mut self, _: usize, _: Order) -> Result<(), u32> {
        Ok(())
    }

    fn accounts(&mut self, _: usize) -> Vec<Accounted> {
        Vec::new()
    }

    fn process(&self) -> u32 {
        self.process
    }

    fn is_administrator(&self) -> bool {
        self.is_administrator
    }
}

impl Replay<'_> {
    fn other(&mut self, call: &Call) {
        match call {
            Call::Begin { user, .. } => self.is_administrator = *user == 0,
            Call::Open { process, path, rc, .. } => {
                if let (Some(node), Ok(descriptor @ 0..)) = (node_of(path), i32::try_from(*rc)) {
                    self.files.opened(self.manager, *process, descriptor, node);
                }
            }
            Call::Mmap { process, fd, length, rc, .. } if *rc > 0 => {
                if let Some(file) = self.files.of_parameter(*process, *fd, Node::UnifiedMemory) {
                    self.manager.mapped(file, *rc as u64, *length);
                }
            }
            Call::Close { process, fd, .. } => self.files.closed(self.manager, *process, *fd),
            _ => {}
        }
    }

    fn ioctl(&mut self, line: usize, ioctl: &Ioctl) {
        let (Some(node), Ok(request)) = (node_of(&ioctl.dev), u32::from_str_radix(&ioctl.cmd, 16)) else {
            return;
        };
        self.outcome.calls += 1;
        if self.lacks_buffers(ioctl, node) {
            self.outcome.skipped += 1;
            return;
        }
        let is_new = ioctl.nr == escape::NV_ESC_REGISTER_FD && ioctl.fd < 0;
        let file = self.files.of_call(self.manager, ioctl.process, ioctl.fd, node, is_new);
        // Older recordings tell of no mappings: what a program asks about there is one.
        if ioctl.process == 0 && node == Node::UnifiedMemory && request == uvm::UVM_VALIDATE_VA_RANGE {
            self.manager.mapped(file, pointer(&ioctl.outer_before, 0), pointer(&ioctl.outer_before, 8));
        }
        let mut memory = Memory::default();
        let renamed = |bytes: &[u8], handles: &Handles| {
            let mut bytes = bytes.to_vec();
            handles.to_ours(&mut bytes);
            bytes
        };
        let mut outer = renamed(&ioctl.outer_before, &self.handles);
        // The same for what requests of unified memory point to: older recordings hold 256 bytes of it.
        if let (Node::UnifiedMemory, Some(row)) = (node, self.manager.abi().uvm(request)) {
            outer.resize(outer.len().max(row.size), 0);
        }
        memory.add(OUTER, outer);
        let mut parameters = renamed(&ioctl.parameters_before, &self.handles);
        // Older recordings hold 64 bytes of an allocation's parameters, whatever their size: the rest was there and is not known.
        // Of memory that includes the size: as much as any of them maps.
        if let Some(class) = self.class(ioctl, node).filter(|row| (1..row.size).contains(&parameters.len())) {
            const LARGEST_MAPPED: u64 = 64 << 20;
            parameters.resize(class.size, 0);
            class.write(&mut parameters, "size", LARGEST_MAPPED);
        }
        memory.add(parameters_address(ioctl), parameters);
        for buffer in &ioctl.indirect {
            // It was written down as far as the call changed it, and is longer.
            const LONGER: usize = 16 << 10;
            let mut bytes = renamed(&buffer.before, &self.handles);
            bytes.resize(LONGER.max(bytes.len()), 0);
            memory.add(pointer(&ioctl.parameters_before, buffer.at), bytes);
        }
        let expected = if node == Node::UnifiedMemory { Node::UnifiedMemory } else { Node::Control };
        let mut caller = Recorded {
            memory,
            files: &self.files,
            process: ioctl.process,
            expected,
            is_administrator: self.is_administrator,
        };
        let result = self.manager.ioctl(file, request, OUTER, &mut caller);
        let Recorded { memory, .. } = caller;
        self.learn_handles(ioctl, &memory);
        let differences = self.compare(ioctl, node, request, result, &memory);
        if differences.is_empty() {
            self.outcome.matches += 1;
        } else {
            self.outcome.mismatches.push(Mismatch {
                line,
                name: self.name(ioctl, node, request),
                differences,
            });
        }
    }

    /// The class that a call allocates an object of.
    fn class(&self, ioctl: &Ioctl, node: Node) -> Option<&nvidia_abi::Row> {
        let allocates = node != Node::UnifiedMemory && ioctl.nr == escape::NV_ESC_RM_ALLOC;
        allocates.then(|| self.manager.abi().class(word(&ioctl.outer_before, 12))).flatten()
    }

    /// An older recorder wrote down no buffers behind the parameters.
    fn lacks_buffers(&self, ioctl: &Ioctl, node: Node) -> bool {
        let row = match (node, ioctl.nr) {
            (Node::UnifiedMemory, _) => None,
            (_, escape::NV_ESC_RM_CONTROL) => self.manager.abi().control(word(&ioctl.outer_before, 8)),
            _ => self.class(ioctl, node),
        };
        row.is_some_and(|row| {
            row.pointers().any(|(field, pointee)| {
                let address = field.read(&ioctl.parameters_before, 0).unwrap_or(0);
                let is_looked_at = pointee.is_some_and(|pointee| pointee.count != Count::Fixed(0));
                address != 0 && is_looked_at && !ioctl.indirect.iter().any(|buffer| buffer.at == field.offset)
            })
        })
    }

    /// A root, or an object whose handle the program left to the driver.
    fn learn_handles(&mut self, ioctl: &Ioctl, memory: &Memory) {
        const NEW: usize = 8;
        let recorded = word(&ioctl.outer_after, NEW);
        if ioctl.nr == escape::NV_ESC_RM_ALLOC && word(&ioctl.outer_before, NEW) != recorded {
            self.handles.learn(recorded, word(memory.at(OUTER), NEW));
        }
    }

    fn compare(
        &mut self,
        ioctl: &Ioctl,
        node: Node,
        request: u32,
        result: Result<(), Errno>,
        memory: &Memory,
    ) -> Vec<Difference> {
        let mut differences = Vec::new();
        let errno = result.err().map_or(0, Errno::number);
        if errno != ioctl.errno {
            differences.push(Difference {
                place: "errno".into(),
                at: 0,
                recorded: ioctl.errno as u32,
                answered: errno as u32,
            });
        }
        let outer = match node {
            Node::UnifiedMemory => Subject::UnifiedMemory(request),
            _ => Subject::Escape(ioctl.nr),
        };
        // Requests of unified memory do not tell their size: what lies behind the structure was recorded with it.
        let length = match node {
            Node::UnifiedMemory => self.manager.abi().uvm(request).map_or(0, |row| row.size),
            _ => ioctl.outer_after.len(),
        };
        let recorded = &ioctl.outer_after[..length.min(ioctl.outer_after.len())];
        self.bytes("outer", Some(outer), recorded, memory.at(OUTER), &mut differences);
        let inner = match ioctl.nr {
            _ if node == Node::UnifiedMemory => None,
            escape::NV_ESC_RM_CONTROL => Some(Subject::Control(word(&ioctl.outer_before, 8))),
            _ => Some(Subject::Class(word(&ioctl.outer_before, 12))),
        };
        let answered = memory.at(parameters_address(ioctl));
        self.bytes("parameters", inner, &ioctl.parameters_after, answered, &mut differences);
        for buffer in &ioctl.indirect {
            let answered = memory.at(pointer(&ioctl.parameters_before, buffer.at));
            let subject = match inner {
                Some(Subject::Control(number)) => Some(Subject::Buffer(number)),
                _ => None,
            };
            self.bytes(&format!("buffer {}", buffer.at), subject, &buffer.after, answered, &mut differences);
        }
        differences
    }

    fn bytes(
        &mut self,
        place: &str,
        subject: Option<Subject>,
        recorded: &[u8],
        answered: &[u8],
        differences: &mut Vec<Difference>,
    ) {
        const SHOWN: usize = 8;
        let mut answered = answered[..recorded.len().min(answered.len())].to_vec();
        self.handles.to_recorded(&mut answered);
        self.outcome.bytes += recorded.len();
        for at in (0..recorded.len()).step_by(4) {
            let piece = at..(at + 4).min(recorded.len());
            let mut differs = false;
            for byte in piece.clone() {
                match subject.and_then(|subject| self.mask.category(subject, byte, recorded)) {
                    Some(category) => *self.outcome.masked.entry(category).or_default() += 1,
                    None => differs |= answered.get(byte) != Some(&recorded[byte]),
                }
            }
            if differs && differences.len() < SHOWN {
                let recorded = word(&recorded[piece.clone()], 0);
                let answered = word(answered.get(piece).unwrap_or_default(), 0);
                differences.push(Difference { place: place.into(), at, recorded, answered });
            }
        }
    }

    fn name(&self, ioctl: &Ioctl, node: Node, request: u32) -> String {
        let abi = self.manager.abi();
        let named = |row: Option<&nvidia_abi::Row>, number: u32| {
            row.and_then(|row| row.name).map_or_else(|| format!("{number:#x}"), str::to_owned)
        };
        if node == Node::UnifiedMemory {
            return named(abi.uvm(request), request);
        }
        let inner = |at| word(&ioctl.outer_before, at);
        match ioctl.nr {
            escape::NV_ESC_RM_CONTROL => format!("control {}", named(abi.control(inner(8)), inner(8))),
            escape::NV_ESC_RM_ALLOC => format!("alloc {}", named(abi.class(inner(12)), inner(12))),
            number => named(abi.escape(number), number),
        }
    }
}

/// Where the outer structure of a control or an allocation points to.
fn parameters_address(ioctl: &Ioctl) -> u64 {
    pointer(&ioctl.outer_before, 16)
}
