//! Answers of a recording to a program that makes the recorded calls again.
//!
//! ```text
//!   call ──▶ Kind: node, request, size, control or class ──▶ recorded calls of that kind, not yet made, oldest first
//!                                                              │ input as recorded? (handles renamed, addresses aside)
//!                                            none: named, ENODATA ◀┴▶ what the recorded call changed is written
//!                                                                       (mapped.rs: what is shown of memory)
//! ```
//!
//! - What is the program's own and differs from run to run is not compared: addresses (but whether there is one), descriptors, and
//!   handles that the program chose otherwise, which are renamed from then on. Handles of the driver's are the recorded ones again.
//! - A call whose parameters differ only where the recorded call wrote fits if none fits better: programs leave there what was on
//!   their stacks.
//! - Of a control that has no public name nobody knows which bytes are asked for: if none fits, the oldest of its kind does.
//! - What makes a card work is refused: its memory is not in the recording, and nothing would come of waiting for it.

use std::collections::{HashMap, HashSet};

use nvidia_abi::{Abi, Access, Call, Row, UnknownVersion, escape, uvm};
use recording::{Event, Ioctl};
use resource_manager::{CallerMemory, Errno, Node};

use crate::bytes::{pointer, word};
use crate::files::{node as node_of, path};
use crate::fit::{Fit, level, level_new_handle, same};
use crate::handles::Handles;
use crate::machine::{Machine, Place};
use crate::mapped::{Objects, Shows, is_channel, was_made};

/// RM's own limit on the parameters of a control.
const LARGEST: usize = 1 << 20;

/// A recording that answers.
pub struct Player {
    abi: Abi,
    calls: Vec<Ioctl>,
    /// By kind: calls that have not been made yet, the oldest first.
    waiting: HashMap<Kind, Vec<usize>>,
    nodes: HashSet<Node>,
    machine: Machine,
    handles: Handles,
    objects: Objects,
}

/// What a call is, without what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    node: Node,
    /// The lowest byte of an escape's, all of unified memory's.
    request: u32,
    size: usize,
    /// Control or class.
    about: u32,
}

/// Why a call was not answered as recorded.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As any driver would refuse it.
    Error(i32),
    /// The recording has no such call: what it was, and what the recording has instead.
    Missing(String),
    /// It would make the card work, or show its memory: what it was.
    Work(String),
}

/// A call of the program.
struct Given {
    kind: Kind,
    place: u64,
    outer: Vec<u8>,
    /// Where its parameters are, and what they are as far as they can be read.
    parameters: (u64, Vec<u8>),
}

impl Player {
    /// Of a recording of a driver of that version.
    pub fn new(events: Vec<Event>, version: &str) -> Result<Self, UnknownVersion> {
        let abi = Abi::of(version)?;
        let mut player = Self {
            abi,
            calls: Vec::new(),
            waiting: HashMap::new(),
            nodes: HashSet::new(),
            machine: Machine::default(),
            handles: Handles::default(),
            objects: Objects::default(),
        };
        for event in events {
            match event {
                Event::Ioctl(ioctl) => player.add(ioctl),
                Event::Other(recording::Call::Open { path, rc: 0.., .. }) => {
                    player.nodes.extend(node_of(&path))
                }
                Event::Other(_) => {}
            }
        }
        Ok(player)
    }

    fn add(&mut self, ioctl: Ioctl) {
        let (Some(node), Ok(request)) = (node_of(&ioctl.dev), u32::from_str_radix(&ioctl.cmd, 16)) else {
            return;
        };
        self.nodes.insert(node);
        self.machine.hear(&self.abi, &ioctl);
        let kind = Kind::of(node, request, &ioctl.outer_before, &self.abi);
        self.waiting.entry(kind).or_default().push(self.calls.len());
        self.calls.push(ioctl);
    }

    /// Whether the recorded program had that node.
    pub fn has(&self, node: Node) -> bool {
        self.nodes.contains(&node)
    }

    /// How many cards' nodes it had.
    pub fn gpus(&self) -> usize {
        let behind = |node: &Node| if let Node::Gpu(minor) = node { minor + 1 } else { 0 };
        self.nodes.iter().map(behind).max().unwrap_or(0)
    }

    /// Where its cards were, as far as it asked.
    pub fn places(&self) -> &[Place] {
        &self.machine.places
    }

    /// The release of the driver.
    pub fn version(&self) -> &str {
        self.abi.version()
    }

    /// How many recorded calls have not been made.
    pub fn left(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Answers a call as it was recorded, and tells what is to be shown from then on.
    pub fn ioctl(
        &mut self,
        node: Node,
        request: u32,
        argument: u64,
        caller: &mut dyn CallerMemory,
    ) -> Result<Option<Shows>, Refusal> {
        let given = self.given(node, request, argument, caller)?;
        let Some((at, index)) = self.find(&given, caller) else {
            return Err(self.unknown(&given));
        };
        let recorded = &self.calls[index];
        let shows = self.shown(&given, recorded)?;
        self.waiting.get_mut(&given.kind).expect("it was found there").remove(at);
        learn(&mut self.handles, recorded, &given);
        if given.kind.is_alloc() && recorded.errno == 0 {
            self.objects.made(&self.abi, &recorded.outer_after, &recorded.parameters_after);
        }
        answer(&self.handles, recorded, &given, caller).map_err(|()| Refusal::Error(libc::EFAULT))?;
        if recorded.errno == 0 { Ok(shows) } else { Err(Refusal::Error(recorded.errno)) }
    }

    /// A context takes ranges of addresses for its memory, other ones in each run.
    fn unknown(&self, given: &Given) -> Refusal {
        let takes_addresses = given.kind.node == Node::UnifiedMemory
            && given.kind.request == uvm::UVM_CREATE_EXTERNAL_RANGE
            && self.waiting.contains_key(&given.kind);
        match takes_addresses {
            true => Refusal::Work("addresses for memory of the card, UVM_CREATE_EXTERNAL_RANGE".to_owned()),
            false => Refusal::Missing(self.describe(given)),
        }
    }

    /// What a call that was recorded so would show; refuses what makes a card work.
    fn shown(&self, given: &Given, recorded: &Ioctl) -> Result<Option<Shows>, Refusal> {
        let class = |number: u32| {
            let name = self.abi.class(number).and_then(|row| row.name);
            name.map_or_else(|| format!("class {number:#x}"), str::to_owned)
        };
        if given.kind.is_alloc() && is_channel(self.abi.class(given.kind.about)) && was_made(recorded) {
            return Err(Refusal::Work(format!("a channel, {}", class(given.kind.about))));
        }
        if given.kind.node != Node::Control || given.kind.request != escape::NV_ESC_RM_MAP_MEMORY {
            return Ok(None);
        }
        let shown = self.objects.shown(&self.abi, &recorded.outer_after, &given.outer);
        shown.map_err(|number| Refusal::Work(format!("memory that is mapped, {}", class(number))))
    }

    /// Reads what the program says.
    fn given(
        &self,
        node: Node,
        request: u32,
        argument: u64,
        caller: &mut dyn CallerMemory,
    ) -> Result<Given, Refusal> {
        let mut read = |address, length| {
            let mut bytes = vec![0; length];
            caller.read(address, &mut bytes).then_some(bytes).ok_or(Refusal::Error(Errno::Fault.number()))
        };
        let (mut request, mut place) = (request, argument);
        let size = size_of_request(request);
        if node != Node::UnifiedMemory
            && request & 0xff == escape::NV_ESC_IOCTL_XFER_CMD
            && self.abi.escape_of_size(escape::NV_ESC_IOCTL_XFER_CMD, size).is_some()
        {
            let around = read(place, size)?;
            let (number, size) = (word(&around, 0), word(&around, 4));
            // What no driver takes apart was recorded as it came.
            if number != escape::NV_ESC_IOCTL_XFER_CMD && size <= 0x3fff {
                request = request & 0xc000_ff00 | size << 16 | number & 0xff;
                place = pointer(&around, 8);
            }
        }
        let size = match node {
            Node::UnifiedMemory => self.abi.uvm(request).map_or(0, |row| row.size),
            _ => size_of_request(request),
        };
        let outer = read(place, size)?;
        let kind = Kind::of(node, request, &outer, &self.abi);
        let length = match (node, kind.request) {
            (Node::UnifiedMemory, _) => 0,
            (_, escape::NV_ESC_RM_CONTROL) if word(&outer, 24) as usize > LARGEST => 0,
            (_, escape::NV_ESC_RM_CONTROL) => word(&outer, 24) as usize,
            // The size that comes with it is often left 0. Of a client, its handle is written there.
            (_, escape::NV_ESC_RM_ALLOC) => self.abi.class(kind.about).map_or(0, |row| row.size).max(4),
            _ => 0,
        };
        let address = if length > 0 { pointer(&outer, 16) } else { 0 };
        let parameters = if address == 0 { Vec::new() } else { read(address, length).unwrap_or_default() };
        Ok(Given { kind, place, outer, parameters: (address, parameters) })
    }

    /// The first recorded call that fits, by its place among those that wait.
    fn find(&self, given: &Given, caller: &mut dyn CallerMemory) -> Option<(usize, usize)> {
        let waiting = self.waiting.get(&given.kind)?;
        let mut find = |fit| {
            let fits = |index: usize| self.fits(&self.calls[index], given, fit, caller);
            let at = waiting.iter().copied().position(fits)?;
            Some((at, waiting[at]))
        };
        find(Fit::Exact)
            .or_else(|| find(Fit::Overwritten))
            .or_else(|| if self.is_nameless(given.kind) { find(Fit::Kind) } else { None })
    }

    fn fits(&self, recorded: &Ioctl, given: &Given, fit: Fit, caller: &mut dyn CallerMemory) -> bool {
        // Nobody looked at what it said: there is no such request.
        if recorded.outer_before.is_empty() && recorded.errno != 0 {
            return fit == Fit::Overwritten;
        }
        let (outer, parameters) = self.rows(given.kind);
        let as_recorded = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            self.handles.to_recorded(&mut bytes);
            bytes
        };
        let mut given_outer = as_recorded(&given.outer);
        let mut recorded_outer = recorded.outer_before.clone();
        recorded_outer.truncate(given_outer.len());
        level(outer, &mut recorded_outer);
        level(outer, &mut given_outer);
        if fit != Fit::Exact && given.kind.is_alloc() {
            level_new_handle(&mut recorded_outer, &mut given_outer);
        }
        if recorded_outer != given_outer {
            return false;
        }
        // Of those that RM does not read, more or less was readable when it was recorded.
        if given.kind.is_control() && word(&given.outer, 24) as usize > LARGEST {
            return true;
        }
        let length = recorded.parameters_before.len().min(given.parameters.1.len());
        // Of what could not be read nothing was recorded; nor of what was refused before the driver saw it.
        if length == 0 && !recorded.parameters_before.is_empty() {
            return false;
        }
        if recorded.parameters_before.is_empty() && !given.parameters.1.is_empty() {
            return fit != Fit::Exact;
        }
        let mut given_parameters = as_recorded(&given.parameters.1[..length]);
        let mut recorded_parameters = recorded.parameters_before[..length].to_vec();
        level(parameters, &mut recorded_parameters);
        level(parameters, &mut given_parameters);
        let after = recorded.parameters_after.get(..length).unwrap_or_default();
        same(&recorded_parameters, after, &given_parameters, fit, &recorded.parameters_before)
            && self.buffers_fit(recorded, given, fit, caller)
    }

    /// Whether it is a control that no header names.
    fn is_nameless(&self, kind: Kind) -> bool {
        kind.is_control()
            && self.abi.control(kind.about).is_none_or(|row| row.access == Some(Access::Recorded))
    }

    /// What the parameters point to.
    fn buffers_fit(&self, recorded: &Ioctl, given: &Given, fit: Fit, caller: &mut dyn CallerMemory) -> bool {
        recorded.indirect.iter().all(|buffer| {
            let mut bytes = vec![0; buffer.before.len()];
            let address = pointer(&given.parameters.1, buffer.at);
            caller.read(address, &mut bytes) && {
                self.handles.to_recorded(&mut bytes);
                same(&buffer.before, &buffer.after, &bytes, fit, &buffer.before)
            }
        })
    }

    fn rows(&self, kind: Kind) -> (Option<&Row>, Option<&Row>) {
        match (kind.node, kind.request) {
            (Node::UnifiedMemory, request) => (self.abi.uvm(request), None),
            (_, number) => {
                let parameters = match number {
                    escape::NV_ESC_RM_CONTROL => self.abi.control(kind.about),
                    escape::NV_ESC_RM_ALLOC => self.abi.class(kind.about),
                    _ => None,
                };
                (self.abi.escape_of_size(number, kind.size), parameters)
            }
        }
    }

    /// The call in words, and how many of its kind there are.
    fn describe(&self, given: &Given) -> String {
        let Given { kind, outer, parameters: (_, parameters), .. } = given;
        let request = match kind.node {
            Node::UnifiedMemory => kind.request,
            _ => 0xc000_4600 | (kind.size as u32) << 16 | kind.request,
        };
        let node = path(kind.node);
        let line = self.abi.line(&Call {
            node: &node,
            request,
            errno: 0,
            before: outer,
            after: outer,
            parameters_before: parameters,
            parameters_after: parameters,
            behind: &[],
        });
        // There is no answer whose status could be told.
        let line = line.rsplit_once(" status=").map_or(line.as_str(), |(call, _)| call);
        let of_kind = |index: &usize| {
            let ioctl = &self.calls[*index];
            let request = u32::from_str_radix(&ioctl.cmd, 16).unwrap_or(0);
            Kind::of(kind.node, request, &ioctl.outer_before, &self.abi) == *kind && ioctl.dev == node
        };
        let all = (0..self.calls.len()).filter(of_kind).count();
        let waiting = self.waiting.get(kind).map_or(0, Vec::len);
        let instead = match (all, waiting) {
            (0, _) => "it has none of that kind".to_owned(),
            (all, 0) => format!("all {all} of that kind have been made"),
            (all, waiting) => format!("of {all} of that kind {waiting} are left, which say something else"),
        };
        format!("{line} ({instead})")
    }
}

impl Kind {
    fn of(node: Node, request: u32, outer: &[u8], abi: &Abi) -> Self {
        if node == Node::UnifiedMemory {
            let size = abi.uvm(request).map_or(0, |row| row.size);
            return Self { node, request, size, about: 0 };
        }
        let number = request & 0xff;
        let about = match number {
            escape::NV_ESC_RM_CONTROL => word(outer, 8),
            escape::NV_ESC_RM_ALLOC => word(outer, 12),
            _ => 0,
        };
        Self { node, request: number, size: size_of_request(request), about }
    }

    fn is_control(self) -> bool {
        self.is_escape(escape::NV_ESC_RM_CONTROL)
    }

    fn is_alloc(self) -> bool {
        self.is_escape(escape::NV_ESC_RM_ALLOC)
    }

    /// Unified memory has numbers of its own, some of which are those of escapes.
    fn is_escape(self, number: u32) -> bool {
        self.node != Node::UnifiedMemory && self.request == number
    }
}

fn size_of_request(request: u32) -> usize {
    (request >> 16 & 0x3fff) as usize
}

/// A handle that the program chose.
fn learn(handles: &mut Handles, recorded: &Ioctl, given: &Given) {
    const NEW: usize = 8;
    let (theirs, ours) = (word(&recorded.outer_before, NEW), word(&given.outer, NEW));
    if given.kind.is_alloc() && theirs != ours {
        handles.learn(theirs, ours);
    }
}

/// Writes what the recorded call changed.
fn answer(
    handles: &Handles,
    recorded: &Ioctl,
    given: &Given,
    caller: &mut dyn CallerMemory,
) -> Result<(), ()> {
    let changed = |before: &[u8], after: &[u8], given: &[u8]| {
        let mut renamed = after.to_vec();
        handles.to_ours(&mut renamed);
        let mut bytes = given.to_vec();
        for (at, byte) in bytes.iter_mut().enumerate() {
            if before.get(at) != after.get(at)
                && let Some(new) = renamed.get(at)
            {
                *byte = *new;
            }
        }
        bytes
    };
    let outer = changed(&recorded.outer_before, &recorded.outer_after, &given.outer);
    let (address, parameters) = &given.parameters;
    let parameters_after = changed(&recorded.parameters_before, &recorded.parameters_after, parameters);
    let mut is_written = true;
    for buffer in &recorded.indirect {
        let address = pointer(parameters, buffer.at);
        let mut bytes = vec![0; buffer.before.len()];
        is_written &= caller.read(address, &mut bytes)
            && caller.write(address, &changed(&buffer.before, &buffer.after, &bytes));
    }
    if parameters_after != *parameters {
        is_written &= caller.write(*address, &parameters_after);
    }
    is_written &= caller.write(given.place, &outer);
    if is_written { Ok(()) } else { Err(()) }
}
