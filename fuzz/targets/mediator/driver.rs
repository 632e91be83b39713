//! The driver's stand-in, in the process that executes a client's calls: it looks at what it is given, and answers what the fuzzer
//! has chosen. A panic here ends the process, which the fuzzer takes for a find.

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::{IntoRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use mediation::{Handed, Kernel, Node};
use nvidia_abi::{Count, Field, Row, class, escape};

use crate::choices::Choices;
use crate::machine::{self, HIDDEN, MEDIATORS, abi, node_of, owners};
use crate::page::{CLIENTS, Lane, page};

pub const KERNEL: Kernel = Kernel { ioctl, open };

/// What needs more than a row, or gives away too much.
const NEVER: [u32; 8] = [
    escape::NV_ESC_RM_ALLOC_MEMORY,
    escape::NV_ESC_RM_I2C_ACCESS,
    escape::NV_ESC_RM_VID_HEAP_CONTROL,
    escape::NV_ESC_RM_ACCESS_REGISTRY,
    escape::NV_ESC_RM_ADD_VBLANK_CALLBACK,
    escape::NV_ESC_IOCTL_XFER_CMD,
    escape::NV_ESC_SET_NUMA_STATUS,
    escape::NV_ESC_EXPORT_TO_DMABUF_FD,
];
const SERIALIZED: u64 = 1 << 2;
const UVM_INITIALIZE: u32 = 0x3000_0001;
const SHARED_BY_PROCESSES: u64 = 1 << 1;
const UVM_REGISTER_GPU: u32 = 0x25;
/// More than any card has.
const TOO_MUCH: u64 = 1 << 40;
const NO_MEMORY: u64 = 0x51;
/// What it gives at least.
const GRANULE: u64 = 64 << 10;

fn open(path: &CStr) -> io::Result<RawFd> {
    let node = match path.to_str() {
        Ok("/dev/nvidiactl") => Node::Control,
        Ok("/dev/nvidia0") => Node::Gpu(0),
        Ok("/dev/nvidia1") => Node::Gpu(HIDDEN),
        other => panic!("{other:?} is opened"),
    };
    assert!(!is_hidden(node), "a card is opened that the session does not have");
    Ok(machine::open(node, MEDIATORS).into_raw_fd())
}

fn is_hidden(node: Node) -> bool {
    node == Node::Gpu(HIDDEN) && page().hides.load(Relaxed) != 0
}

fn ioctl(handed: &Handed) -> io::Result<i32> {
    let owners = owners(handed.descriptor).expect("the call is made on an open file");
    let node = node_of(handed.descriptor).expect("and that is a node");
    assert!(!is_hidden(node));
    if owners == MEDIATORS {
        return tell_cards(handed);
    }
    let client = (0..CLIENTS).find(|client| page().lanes[*client].worker.load(Relaxed) == own_pid());
    let client = client.unwrap_or_else(|| introduce(owners));
    let lane = &page().lanes[client];
    assert_eq!(lane.expects.load(Relaxed), 1, "client {client} has asked for nothing");
    lane.area[0].store(handed.area.start, Relaxed);
    lane.area[1].store(handed.area.end, Relaxed);
    let mut given = Given { client, area: handed.area.clone(), parts: Vec::new() };
    given.descriptor(handed.descriptor);
    match node {
        Node::UnifiedMemory => given.uvm(handed),
        Node::Control | Node::Gpu(_) => given.escape(handed),
        Node::Other => panic!("calls of other nodes are not known"),
    }
    given.are_apart();
    given.answer(lane)
}

fn own_pid() -> i32 {
    std::process::id() as i32
}

/// A call that takes longer than anybody waits for it.
fn wait_for_gate(lane: &Lane) {
    while lane.gate.load(Relaxed) == 0 {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// Of a process that has executed nothing yet: whose it is. Of those that wait for an answer, one has this user.
fn introduce(owners: i32) -> usize {
    static IS_KNOWN: AtomicBool = AtomicBool::new(false);
    assert!(!IS_KNOWN.swap(true, Relaxed), "a process that has served one client serves another");
    // SAFETY: the call takes nothing.
    let user = unsafe { libc::geteuid() };
    let asks = |client: &usize| {
        let lane = &page().lanes[*client];
        let is_its = !started_by_root() || lane.user.load(Relaxed) == user;
        is_its && lane.worker.load(Relaxed) == 0 && lane.expects.load(Relaxed) == 1
    };
    let client = (0..CLIENTS).find(|client| owners >> client & 1 == 1 && asks(client));
    let client = client.expect("somebody of this user has asked, on a file of its own");
    let lane = &page().lanes[client];
    let former = lane.worker.swap(own_pid(), Relaxed);
    assert_eq!(former, 0, "the client has a process already");
    // SAFETY: these calls take nothing, or numbers and a place for six words.
    unsafe {
        assert_eq!(libc::geteuid(), libc::getuid());
        let (header, mut sets) = ([0x2008_0522_u32, 0], [u32::MAX; 6]);
        assert_eq!(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()), 0);
        assert_eq!(sets, [0; 6], "capabilities");
        assert_eq!(libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    }
    client
}

/// Of the fuzzer, whose processes have its user if it is another one.
fn started_by_root() -> bool {
    // SAFETY: the call takes nothing.
    crate::session::USER.get() == Some(&0)
}

/// What a driver is given.
struct Given {
    client: usize,
    area: Range<u64>,
    parts: Vec<Part>,
}

struct Part {
    place: Range<u64>,
    row: Option<&'static Row>,
    is_written: bool,
}

impl Part {
    fn bytes(&self) -> &'static mut [u8] {
        // SAFETY: the place was seen to lie in the area of this call, which is this process's until it answers.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.place.start as *mut u8,
                (self.place.end - self.place.start) as usize,
            )
        }
    }

    fn read(&self, name: &str) -> u64 {
        self.row.and_then(|row| row.read(self.bytes(), name)).unwrap_or(0)
    }
}

impl Given {
    /// So many bytes at an address have to be copies of this call.
    fn part(&mut self, address: u64, size: usize, row: Option<&'static Row>, is_written: bool) -> usize {
        let place = address..address.checked_add(size as u64).expect("it ends somewhere");
        let is_inside = self.area.start <= place.start && place.end <= self.area.end;
        assert!(is_inside, "{size} bytes at {address:#x} are no copies: those lie in {:x?}", self.area);
        self.parts.push(Part { place, row, is_written });
        self.parts.len() - 1
    }

    fn descriptor(&self, number: RawFd) {
        let has_it =
            owners(number).is_some_and(|owners| owners != MEDIATORS && owners >> self.client & 1 == 1);
        assert!(has_it, "descriptor {number} is none of client {}", self.client);
        assert!(!node_of(number).is_some_and(is_hidden), "a card's that the session does not have");
    }

    fn escape(&mut self, handed: &Handed) {
        let (number, size) = (handed.number & 0xff, (handed.number >> 16 & 0x3fff) as usize);
        let row = abi().escape_of_size(number, size).expect("only what the tables have");
        assert!(!NEVER.contains(&number), "{:?} is passed on", row.name);
        let outer = self.part(handed.argument, size, Some(row), true);
        let said = |given: &Self, name| given.parts[outer].read(name);
        match number {
            escape::NV_ESC_RM_CONTROL => {
                let control = abi().control(said(self, "cmd") as u32).expect("only known controls");
                assert_eq!(said(self, "flags") & SERIALIZED, 0);
                let (address, size) = (said(self, "params"), said(self, "paramsSize"));
                if address != 0 {
                    let parameters = self.part(address, size as usize, Some(control), true);
                    self.follow(parameters, control, &[], &[]);
                }
                self.follow(outer, row, &["params"], &[]);
            }
            escape::NV_ESC_RM_ALLOC => {
                let made = abi().class(said(self, "hClass") as u32).expect("only known classes");
                let address = said(self, "pAllocParms");
                if address != 0 {
                    let parameters = self.part(address, made.size, Some(made), true);
                    let is_key = made.number == class::NV01_EVENT_OS_EVENT;
                    self.follow(parameters, made, &[], if is_key { &["data"] } else { &[] });
                }
                self.follow(outer, row, &["pAllocParms"], &[]);
            }
            escape::NV_ESC_ALLOC_OS_EVENT | escape::NV_ESC_FREE_OS_EVENT => {
                self.follow(outer, row, &[], &["fd"]);
            }
            escape::NV_ESC_RM_MAP_MEMORY => {
                // A page that the driver shares is mapped on a control node of the mediator's own.
                let number = said(self, "fd") as RawFd;
                let is_lent = owners(number) == Some(MEDIATORS) && node_of(number) == Some(Node::Control);
                self.follow(outer, row, &[], if is_lent { &["fd"] } else { &[] });
            }
            escape::NV_ESC_ATTACH_GPUS_TO_FD => {
                let ids = self.parts[outer].bytes().chunks_exact(4);
                let hidden = machine::id(HIDDEN).to_le_bytes();
                assert!(!is_hidden(Node::Gpu(HIDDEN)) || ids.into_iter().all(|id| id != hidden));
            }
            _ => self.follow(outer, row, &[], &[]),
        }
    }

    fn uvm(&mut self, handed: &Handed) {
        let row = abi().uvm(handed.number).expect("only what the tables have");
        let outer = self.part(handed.argument, row.size, Some(row), true);
        self.follow(outer, row, &[], &[]);
        let bytes = self.parts[outer].bytes();
        match handed.number {
            UVM_INITIALIZE => assert_ne!(row.read(bytes, "flags").unwrap_or(0) & SHARED_BY_PROCESSES, 0),
            UVM_REGISTER_GPU => {
                assert!(!is_hidden(Node::Gpu(HIDDEN)) || bytes[..16] != machine::uuid(HIDDEN));
            }
            _ => {}
        }
    }

    /// Looks at every pointer and descriptor of a part, but for those that were looked at, and numbers that nobody looks up.
    fn follow(&mut self, part: usize, row: &'static Row, seen: &[&str], keys: &[&str]) {
        let bytes: &[u8] = self.parts[part].bytes();
        let elements =
            |field: &Field| (0..field.len()).filter_map(|index| field.read(bytes, index)).collect();
        for (field, pointee) in row.pointers().filter(|(field, _)| !seen.contains(&field.name)) {
            let addresses: Vec<u64> = elements(field);
            for address in addresses.into_iter().filter(|address| *address != 0) {
                let pointee = pointee.unwrap_or_else(|| panic!("nobody knows what {} is", field.name));
                let said = |name| row.read(bytes, name).unwrap_or(0) as usize;
                let count = match pointee.count {
                    Count::Fixed(0) => continue,
                    Count::Fixed(count) => count,
                    Count::Field(name) => said(name),
                    Count::Square(name) => said(name).checked_mul(said(name)).expect("no square of that"),
                    Count::OfClass => panic!("{} is of a class", field.name),
                };
                let size = count.checked_mul(pointee.element).expect("so many have no room anywhere");
                self.part(address, size, None, pointee.written);
            }
        }
        for field in row.descriptors().filter(|field| !keys.contains(&field.name)) {
            let numbers: Vec<u64> = elements(field);
            let open = numbers.into_iter().map(|number| number as RawFd).filter(|number| *number >= 0);
            open.for_each(|number| self.descriptor(number));
        }
    }

    /// No two parts have a byte in common.
    fn are_apart(&self) {
        let mut places: Vec<_> =
            self.parts.iter().map(|part| &part.place).filter(|place| !place.is_empty()).collect();
        places.sort_by_key(|place| place.start);
        assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start), "parts overlap: {places:x?}");
    }

    /// Does what the fuzzer has chosen.
    fn answer(&self, lane: &Lane) -> io::Result<i32> {
        let script: Vec<u8> = lane.script.iter().map(|byte| byte.load(Relaxed)).collect();
        let choices = &mut Choices::new(&script);
        match choices.byte() % 16 {
            13 => wait_for_gate(lane),
            15 => {
                lane.died.store(1, Relaxed);
                // SAFETY: as if somebody had killed it.
                unsafe { libc::_exit(0) }
            }
            14 => {
                return Err(io::Error::from_raw_os_error(
                    [libc::EINVAL, libc::EFAULT, libc::ENOMEM][choices.below(3)],
                ));
            }
            _ => {}
        }
        let status = if choices.seldom(4) { choices.number() & 0x7f } else { 0 };
        for _ in 0..choices.below(4) {
            self.scribble(choices);
        }
        let outer = &self.parts[0];
        let row = outer.row.expect("the first part has one");
        let status = if self.takes_too_much() { NO_MEMORY } else { status };
        for name in ["status", "rmStatus", "Status", "params.status"] {
            row.write(outer.bytes(), name, status);
        }
        for name in ["hObjectNew", "hObject"] {
            if row.number != escape::NV_ESC_RM_CONTROL && row.read(outer.bytes(), name) == Some(0) {
                row.write(outer.bytes(), name, 0xcaf0_0000 | u64::from(page().objects.fetch_add(1, Relaxed)));
            }
        }
        Ok(0)
    }

    /// An allocation gets what it asks for, in whole granules, unless nobody has as much.
    fn takes_too_much(&self) -> bool {
        let Some(parameters) = self.parts.get(1) else { return false };
        let Some(row) = parameters
            .row
            .filter(|row| row.place.as_ref().is_some_and(|place| place.internal == "VideoMemory"))
        else {
            return false;
        };
        let size = parameters.read("size");
        let granted = size < TOO_MUCH;
        if granted {
            row.write(parameters.bytes(), "size", size.next_multiple_of(GRANULE));
        }
        !granted
    }

    /// Writes somewhere where a driver may: not to pointers, descriptors, and what says how large an allocation is.
    fn scribble(&self, choices: &mut Choices) {
        let places: Vec<&Part> =
            self.parts[1..].iter().filter(|part| part.is_written && !part.place.is_empty()).collect();
        let Some(part) = choices.of(&places) else { return };
        let bytes = part.bytes();
        let start = choices.number() as usize % bytes.len();
        let (length, value) = (choices.below(32), choices.byte());
        for (at, byte) in bytes.iter_mut().enumerate().skip(start).take(length) {
            if !part.row.is_some_and(|row| is_kept(row, at)) {
                *byte = value;
            }
        }
    }
}

fn is_kept(row: &Row, at: usize) -> bool {
    let is_within = |field: &Field| {
        (0..field.len()).filter_map(|index| field.range(index)).any(|range| range.contains(&at))
    };
    let sizes =
        row.fields().iter().filter(|field| ["size", "attr", "flags", "deviceId"].contains(&field.name));
    row.pointers().map(|(field, _)| field).chain(row.descriptors()).chain(sizes).any(is_within)
}

/// `NV_ESC_CARD_INFO`, which the mediator itself asks for.
fn tell_cards(handed: &Handed) -> io::Result<i32> {
    let row = abi().escape(escape::NV_ESC_CARD_INFO).expect("a row");
    let size = (handed.number >> 16 & 0x3fff) as usize;
    assert_eq!(handed.number & 0xff, escape::NV_ESC_CARD_INFO);
    let mut given = Given { client: 0, area: handed.area.clone(), parts: Vec::new() };
    let outer = given.part(handed.argument, size, Some(row), true);
    for (card, info) in machine::cards().iter().zip(given.parts[outer].bytes().chunks_exact_mut(row.size)) {
        let (id, minor) = (machine::id(card.minor).into(), card.minor.into());
        for (name, value) in [("valid", 1), ("gpu_id", id), ("minor_number", minor)] {
            row.write(info, name, value);
        }
    }
    Ok(0)
}
