//! The host engine: calls of the tree to this machine's own driver, executed in the clients' place.
//!
//! ```text
//!   client: ioctl(fd, …) ──▶ Mediator ── what is it? (nvidia-abi's tables) ── may it be? ──▶ copies ──▶ Worker: ioctl(duplicate of fd, copy)
//!                               │                                                                        │
//!                               └── ledger: what it holds ◀── figures as it is to see them ◀── changed bytes ─┘
//! ```
//!
//! Clients open the nodes and map them themselves: kernel launches never come here. What comes here is each `ioctl` with the number and
//! size of a driver's call, whatever file it names, so a node that was opened by another way is mediated like any other.
//!
//! - **Default deny**: an escape, control, class or UVM command that the tables of this release do not have, and a pointer whose length
//!   they do not tell, is refused as the driver refuses what it does not know, and named in the report.
//! - **On copies** (`copies`): what was looked at is what the driver gets.
//! - **A process for each client** (`worker`), and `frozen` for the one call that only the client can make.
//! - **Cards** (`cards`): a session may have some of the machine's only.
//! - **A limit** (`ledger`, `figures`) for each card's memory: over it an allocation fails as on a full card, and every
//!   call that tells sizes tells the limit's.
//!
//! With [`Driver::observe`] none of this happens: calls are looked at, told, and left to the kernel (`observed`).
//!
//! A call waits for its worker, and other clients meanwhile for it; all but a few take microseconds.

mod cards;
mod copies;
mod figures;
mod frozen;
mod ledger;
mod node;
mod observed;
mod region;
mod worker;

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use nvidia_abi::{Abi, Form, Kind, Row, UnknownVersion};
use recording::Ioctl;

use cards::Visible;
use copies::{Copies, Part, Place};
use figures::Share;
use ledger::Ledger;
use worker::{Order, Worker, Workers};

pub use cards::{Choice, NoSuchCards};
pub use frozen::Frozen;
pub use node::{Machine, Node};
pub use worker::{Identity, WorkerError};

/// Whoever makes a call.
pub trait Caller {
    /// Its process.
    fn process(&self) -> i32;
    /// Its user and groups.
    fn identity(&self) -> Identity;
    /// Fills `bytes` from its memory; false if it has none there.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes to its memory; false if that cannot be.
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool;
    /// A duplicate of one of its descriptors.
    fn descriptor(&mut self, number: i32) -> Option<OwnedFd>;
    /// It still waits for the answer.
    fn is_alive(&self) -> bool;
}

/// How a call is answered.
#[derive(Debug)]
pub enum Answer {
    /// The call returns this.
    Return(i64),
    /// It fails.
    Errno(i32),
    /// It is none of the driver's.
    NotOurs,
    /// It was looked at, and is the kernel's.
    Observed,
    /// The kernel executes it while the client's threads stand still, if the argument still holds these bytes.
    Frozen {
        /// In the client.
        address: u64,
        /// What was looked at.
        expected: Vec<u8>,
    },
}

/// Why a call is not executed.
#[derive(Debug)]
enum Refusal {
    /// It fails.
    Errno(i32),
    /// The driver's own code for it, in the struct's field.
    Status(u32),
    /// It is not in the tables, in words; answered with a code, or an error where there is no field for one.
    Unknown {
        /// Its name or number.
        what: String,
        /// `NV_ERR_…`
        status: u32,
    },
}

impl Refusal {
    fn unknown(row: &Row, field: &str) -> Self {
        let what = format!("{}: what `{field}` points at", row.name.unwrap_or("?"));
        Self::Unknown { what, status: NOT_SUPPORTED }
    }
}

/// What is known of this machine's driver before anything is started.
pub struct Driver {
    abi: Abi,
    machine: Machine,
    /// The session's cards, if it does not have all.
    visible: Option<Visible>,
    observes: bool,
}

/// Executes calls.
pub struct Mediator {
    abi: Abi,
    machine: Machine,
    workers: Workers,
    clients: HashMap<i32, Worker>,
    visible: Option<Visible>,
    /// Calls are looked at, and left to the kernel.
    observes: bool,
    /// Cards, opened so that the driver takes our processes for entitled to them.
    cards: Vec<OwnedFd>,
    ledger: Ledger,
    /// What was refused because it is not known, and not yet told.
    unknown: Vec<String>,
    /// All of it, each thing once.
    told: HashSet<String>,
    /// For those who want to hear of calls.
    keeps_last: bool,
    last: Option<Ioctl>,
}

/// Why there is no mediation.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// No driver, or one without nodes.
    #[error("this machine has no NVIDIA driver: {0}")]
    NoDriver(String),
    /// A driver that the tables do not have.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
}

const NO_MEMORY: u32 = 0x51;
const NOT_SUPPORTED: u32 = 0x56;
const INVALID_CLASS: u32 = 0x22;
const INVALID_ARGUMENT: u32 = 0x1f;
const OBJECT_NOT_FOUND: u32 = 0x57;
const GPU_UUID_NOT_FOUND: u32 = 0x12;

/// What a context takes beyond what it allocates by name, measured on an H100: 8.8 MiB.
const CONTEXT: u64 = 9 << 20;
/// In what sizes the driver gives memory at least.
const GRANULE: u64 = 64 << 10;

impl Driver {
    /// This machine's, taken for the release that `version` says if it says one.
    pub fn find(version: Option<&str>) -> Result<Self, BeginError> {
        let machine = Machine::look().map_err(BeginError::NoDriver)?;
        let abi = Abi::of(version.unwrap_or(&machine.version))?;
        Ok(Self { abi, machine, visible: None, observes: false })
    }

    /// The session is to have these cards only.
    pub fn choose(&mut self, choice: &Choice) -> Result<(), NoSuchCards> {
        self.visible = Some(choice.of(&cards::all())?);
        Ok(())
    }

    /// Calls are to be looked at, and nothing else.
    pub fn observe(&mut self) {
        self.observes = true;
    }

    /// Masks and what request numbers of its escapes are under them: number and size, or the number alone of those of any size.
    pub fn requests(&self) -> Vec<(u32, u32)> {
        let escapes = self.abi.rows().filter(|row| matches!(row.kind, Kind::Escape | Kind::Form));
        let pattern = |row: &Row| match row.many {
            true => (0xff, row.number),
            false => (0x3fff_00ff, (row.size as u32) << 16 | row.number),
        };
        let mut patterns: Vec<_> = escapes.map(pattern).collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    }
}

impl Mediator {
    /// Executes calls to that driver. `limit`: bytes of each card that may be held. Precondition: this process has one thread.
    pub fn begin(driver: Driver, limit: Option<u64>) -> std::io::Result<Self> {
        let Driver { abi, machine, visible, observes } = driver;
        let workers = Workers::begin()?;
        let ledger = Ledger::new(limit);
        let (clients, cards) = (HashMap::new(), Vec::new());
        let (unknown, told) = (Vec::new(), HashSet::new());
        let (keeps_last, last) = (false, None);
        Ok(Self {
            abi,
            machine,
            workers,
            clients,
            visible,
            observes,
            cards,
            ledger,
            unknown,
            told,
            keeps_last,
            last,
        })
    }

    /// The driver's version.
    pub fn version(&self) -> &str {
        &self.machine.version
    }

    /// The release that its calls are taken for.
    pub fn abi(&self) -> &'static str {
        self.abi.version()
    }

    /// Answers an `ioctl`.
    pub fn ioctl(
        &mut self,
        descriptor: i32,
        number: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<Answer, WorkerError> {
        let Some(file) = caller.descriptor(descriptor) else { return Ok(Answer::Errno(libc::EBADF)) };
        let Some(node) = self.machine.node_of(&file) else { return Ok(Answer::NotOurs) };
        if self.observes {
            self.look(node, number, argument, caller);
            return Ok(Answer::Observed);
        }
        let call = Call { file, number, argument };
        let answered = match node {
            _ if self.is_hidden(node) => Err(Failed::Refused(Refusal::Errno(libc::ENODEV))),
            Node::Control | Node::Gpu(_) => self.escape(&call, caller),
            Node::UnifiedMemory => self.uvm(&call, caller),
            // Their calls are another table's, which nobody has written.
            Node::Other => Err(Failed::Refused(Refusal::Errno(libc::EPERM))),
        };
        self.complete_last(node, number);
        match answered {
            Ok(answer) => Ok(answer),
            Err(Failed::Lost(error)) => Err(error),
            Err(Failed::Refused(Refusal::Errno(errno))) => Ok(Answer::Errno(errno)),
            Err(Failed::Refused(refusal)) => {
                self.tell(refusal);
                Ok(Answer::Errno(libc::EINVAL))
            }
        }
    }

    /// A call that the kernel executes.
    fn look(&mut self, node: Node, number: u32, argument: u64, caller: &mut dyn Caller) {
        let observed = observed::look(&self.abi, node, number, argument, caller);
        if let Some(what) = observed.unknown {
            self.tell(Refusal::Unknown { what, status: 0 });
        }
        self.last = self.keeps_last.then_some(observed.ioctl);
        self.complete_last(node, number);
    }

    fn complete_last(&mut self, node: Node, number: u32) {
        if let Some(last) = &mut self.last {
            (last.dev, last.nr) = (node.path(), number & 0xff);
            last.cmd = format!("{number:08x}");
        }
    }

    /// Whether a process has made a call.
    pub fn knows(&self, tgid: i32) -> bool {
        self.clients.contains_key(&tgid)
    }

    /// Whether a file's name is that of a card that the session does not have, or of what the driver tells of it.
    pub fn hides(&self, path: &[u8]) -> bool {
        self.visible.as_ref().is_some_and(|visible| visible.hides(path))
    }

    fn is_hidden(&self, node: Node) -> bool {
        matches!((node, &self.visible), (Node::Gpu(minor), Some(visible)) if !visible.has_node(minor))
    }

    /// Whether a descriptor still is no node of the driver.
    pub fn is_none_of_ours(&self, descriptor: i32, caller: &mut dyn Caller) -> bool {
        caller.descriptor(descriptor).is_none_or(|file| self.machine.node_of(&file).is_none())
    }

    /// A process has ended: what it held is free.
    pub fn process_ended(&mut self, tgid: i32) {
        self.ledger.process_ended(tgid);
        if let Some(worker) = self.clients.remove(&tgid) {
            self.workers.end(worker);
        }
    }

    /// From now on so many bytes of each card may be held; false if calls are only looked at.
    pub fn set_limit(&mut self, bytes: u64) -> bool {
        if !self.observes {
            self.ledger.set_limit(bytes);
        }
        !self.observes
    }

    /// Cards of which something is held, by their numbers for the driver, and bytes.
    pub fn used(&self) -> Vec<(u32, u64)> {
        let mut used: Vec<_> = self.ledger.all_used().collect();
        used.sort_unstable();
        used
    }

    /// From now on what a call read and wrote can be asked for.
    pub fn keep_calls(&mut self) {
        self.keeps_last = true;
    }

    /// What the last call read and wrote, if it got as far; whose it was, and on what descriptor, is left open.
    pub fn take_last(&mut self) -> Option<Ioctl> {
        self.last.take()
    }

    /// Whether calls are only looked at.
    pub fn observes(&self) -> bool {
        self.observes
    }

    /// What was refused because it is not known, since this was last asked.
    pub fn take_unknown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unknown)
    }

    fn tell(&mut self, refusal: Refusal) {
        if let Refusal::Unknown { what, .. } = refusal
            && self.told.insert(what.clone())
        {
            self.unknown.push(what);
        }
    }

    /// A call on `/dev/nvidiactl` or a card.
    fn escape(&mut self, call: &Call, caller: &mut dyn Caller) -> Answered {
        let (number, size) = (call.number & 0xff, (call.number >> 16 & 0x3fff) as usize);
        let Some(row) = self.abi.escape_of_size(number, size).cloned() else {
            let what = format!("request {:#x}", call.number);
            return Err(Refusal::Unknown { what, status: NOT_SUPPORTED }.into());
        };
        let mut copies = Copies::default();
        let outer = copies.take(caller, call.argument, size)?;
        let asked = match number {
            REGISTER_PAGES => return self.pages(&row, &copies, call),
            CONTROL => self.control(&row, &mut copies, call, caller),
            ALLOCATE => self.allocate(&row, &mut copies, call, caller),
            DUPLICATE | FREE => self.execute_simple(&row, &mut copies, call, caller),
            // The number of the client's descriptor is a key, and is not looked up.
            ALLOCATE_EVENT | FREE_EVENT => self.execute(&mut copies, call, caller),
            ATTACH_CARDS if self.are_hidden(&copies, caller)? => Err(Refusal::Errno(libc::EINVAL).into()),
            _ if REFUSED.contains(&number) => Err(not_known(name(&row), NOT_SUPPORTED)),
            _ => self.execute_simple(&row, &mut copies, call, caller),
        };
        if let (cards::CARD_INFO, Some(visible)) = (number, &self.visible) {
            visible.shorten_infos(&row, &mut copies.part_mut(outer).bytes);
        }
        if matches!(asked, Ok(0)) {
            self.account(number, &row, &copies, caller.process());
        }
        self.finish(&row, outer, copies, caller, asked)
    }

    /// A call on `/dev/nvidia-uvm`.
    fn uvm(&mut self, call: &Call, caller: &mut dyn Caller) -> Answered {
        let Some(row) = self.abi.uvm(call.number).cloned() else {
            let what = format!("request {:#x} of /dev/nvidia-uvm", call.number);
            return Err(Refusal::Unknown { what, status: NOT_SUPPORTED }.into());
        };
        let mut copies = Copies::default();
        let outer = copies.take(caller, call.argument, row.size)?;
        if call.number == INITIALIZE
            && let Some(flags) = row.field("flags")
        {
            let part = copies.part_mut(outer);
            let wanted = part.read(&row, "flags") | SHARED_BY_PROCESSES;
            part.put(flags, wanted);
        }
        let is_of_hidden = call.number == REGISTER_CARD
            && self.visible.as_ref().is_some_and(|visible| !visible.has_uuid(copies.part(outer).first(UUID)));
        let asked = match is_of_hidden {
            true => Err(Refusal::Status(GPU_UUID_NOT_FOUND).into()),
            false => self.execute_simple(&row, &mut copies, call, caller),
        };
        self.finish(&row, outer, copies, caller, asked)
    }

    /// Whether an array of identifiers names a card that the session does not have.
    fn are_hidden(&mut self, copies: &Copies, caller: &dyn Caller) -> Result<bool, Failed> {
        // With the first process that executes calls comes what RM calls the cards.
        self.place(caller)?;
        let ids = copies.part(0).bytes.chunks_exact(4).map(|id| word(id, 0)).filter(|id| *id != 0);
        Ok(self.visible.as_ref().is_some_and(|visible| ids.into_iter().any(|id| !visible.has_id(id))))
    }

    /// A call that needs no more than its row.
    fn execute_simple(
        &mut self,
        row: &Row,
        copies: &mut Copies,
        call: &Call,
        caller: &mut dyn Caller,
    ) -> Executed {
        self.follow(copies, 0, row, &[], caller)?;
        self.execute(copies, call, caller)
    }

    /// `NV_ESC_RM_CONTROL`: the command says what the parameters are.
    fn control(
        &mut self,
        outer: &Row,
        copies: &mut Copies,
        call: &Call,
        caller: &mut dyn Caller,
    ) -> Executed {
        let part = copies.part(0);
        let [command, flags, address, size] =
            ["cmd", "flags", "params", "paramsSize"].map(|name| part.read(outer, name));
        let Some(row) = self.abi.control(command as u32).cloned() else {
            self.show(address, size as usize, caller);
            return Err(not_known(
                format!("control {command:#x} with {size} bytes of parameters"),
                NOT_SUPPORTED,
            ));
        };
        if flags & SERIALIZED != 0 {
            return Err(not_known(format!("{} in serialised form", name(&row)), NOT_SUPPORTED));
        }
        if address == 0 || size == 0 {
            return self.execute(copies, call, caller);
        }
        let parameters = copies.take(caller, address, size as usize)?;
        self.follow(copies, parameters, &row, &[], caller)?;
        self.point(copies, outer, "params", parameters, caller)?;
        if let Some(visible) = &self.visible
            && visible.is_asked_of_hidden(&row, &copies.part(parameters).bytes)
        {
            return Err(Refusal::Status(INVALID_ARGUMENT).into());
        }
        if command == GET_PID_INFO {
            let workers = self.process_names(|client, worker| (client, worker));
            let part = copies.part_mut(parameters);
            figures::rename(&row, PIDS_OF_INFO.0, PIDS_OF_INFO.1, &mut part.bytes, |pid| {
                renamed(&workers, pid)
            });
        }
        let result = self.execute(copies, call, caller)?;
        if let Some(visible) = &self.visible
            && !visible.shorten(&row, &mut copies.part_mut(parameters).bytes)
        {
            return Err(Refusal::Status(OBJECT_NOT_FOUND).into());
        }
        self.figures(command, &row, copies, parameters);
        Ok(result)
    }

    /// For whoever adds what is not known to the tables.
    fn show(&self, address: u64, size: usize, caller: &mut dyn Caller) {
        let mut bytes = vec![0; size.min(MOST_PARAMETERS)];
        if tracing::enabled!(tracing::Level::DEBUG) && caller.read(address, &mut bytes) {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            tracing::debug!("its parameters are {:02x?}, then zeroes", &bytes[..used]);
        }
    }

    /// What a control has told, as this client is to see it.
    fn figures(&self, command: u64, row: &Row, copies: &mut Copies, parameters: usize) {
        let object = object(&copies.part(0).bytes, [0, 4]);
        match command {
            FB_GET_INFO | FB_GET_INFO_V2 => {
                let card = self.ledger.card(object).unwrap_or(0);
                let Some(limit) = self.ledger.limit() else { return };
                let share = Share { limit, used: self.ledger.used(card) };
                let list = row.field("fbInfoList").and_then(|field| copies.behind(parameters, field.offset));
                match list {
                    Some(list) => share.rewrite(&mut copies.part_mut(list).bytes),
                    None => {
                        share.rewrite(figures::pairs_of_list(row, &mut copies.part_mut(parameters).bytes));
                    }
                }
            }
            GET_PIDS | GET_PID_INFO => {
                let clients = self.process_names(|client, worker| (worker, client));
                let (field, count) = if command == GET_PIDS { PIDS } else { PIDS_OF_INFO };
                let part = copies.part_mut(parameters);
                figures::rename(row, field, count, &mut part.bytes, |pid| renamed(&clients, pid));
            }
            _ => {}
        }
    }

    fn process_names(&self, pair: impl Fn(u32, u32) -> (u32, u32)) -> HashMap<u32, u32> {
        self.clients.iter().map(|(client, of)| pair(*client as u32, of.pid as u32)).collect()
    }

    /// `NV_ESC_RM_ALLOC`: the class says what the parameters are.
    fn allocate(
        &mut self,
        outer: &Row,
        copies: &mut Copies,
        call: &Call,
        caller: &mut dyn Caller,
    ) -> Executed {
        let part = copies.part(0);
        let [class, address, said] =
            ["hClass", "pAllocParms", "paramsSize"].map(|name| part.read(outer, name));
        let Some(row) = self.abi.class(class as u32).cloned() else {
            return Err(not_known(format!("class {class:#x}"), INVALID_CLASS));
        };
        self.follow(copies, 0, outer, &["pAllocParms"], caller)?;
        if address != 0 {
            let parameters =
                copies.take(caller, address, row.size.max(said as usize).min(MOST_PARAMETERS))?;
            // An event's descriptor is a key, as with the escapes for events.
            let keys: &[&str] = if class == EVENT { &["data"] } else { &[] };
            self.follow(copies, parameters, &row, keys, caller)?;
            self.point(copies, outer, "pAllocParms", parameters, caller)?;
            if class == EVENT
                && let Some(field) = row.field("data")
            {
                // It comes back as an address of the kernel's.
                let part = copies.part_mut(parameters);
                let key = part.read(&row, "data");
                part.put(field, key);
            }
        }
        let card = self.ledger.card(object(&copies.part(0).bytes, [0, 4])).unwrap_or(0);
        let behind = outer.field("pAllocParms").and_then(|field| copies.behind(0, field.offset));
        let bytes = behind.map_or(0, |part| size_on_card(&row, copies.part(part)).next_multiple_of(GRANULE));
        if !self.ledger.has_room(card, bytes) {
            return Err(Refusal::Status(NO_MEMORY).into());
        }
        self.execute(copies, call, caller)
    }

    /// `NV_ESC_RM_ALLOC_MEMORY`: pages of the client's own.
    fn pages(&mut self, row: &Row, copies: &Copies, call: &Call) -> Answered {
        let part = copies.part(0);
        let class = part.read(row, "params.hClass");
        if class != PAGES_OF_PROCESS {
            let what = format!("class {class:#x} by {}", name(row));
            return Err(Refusal::Unknown { what, status: NOT_SUPPORTED }.into());
        }
        Ok(Answer::Frozen { address: call.argument, expected: part.before.clone() })
    }

    /// Keeps the books, after a call that went through.
    fn account(&mut self, number: u32, row: &Row, copies: &Copies, process: i32) {
        let outer = copies.part(0);
        let status = row.read(&outer.bytes, "status").unwrap_or(0);
        if status != 0 {
            return;
        }
        let new = |at| object(&outer.bytes, [0, at]);
        match number {
            ALLOCATE => self.made(row, copies, process),
            DUPLICATE => {
                let (client, parent, handle) =
                    (word(&outer.bytes, 0), word(&outer.bytes, 4), word(&outer.bytes, 8));
                self.ledger.made((client, handle), parent, process, None);
                self.ledger.shares((client, handle), object(&outer.bytes, [12, 16]));
            }
            FREE => self.ledger.freed(new(8)),
            _ => {}
        }
    }

    fn made(&mut self, row: &Row, copies: &Copies, process: i32) {
        let outer = copies.part(0);
        let [root, parent, handle, class] =
            ["hRoot", "hObjectParent", "hObjectNew", "hClass"].map(|name| outer.read(row, name) as u32);
        let Some(class) = self.abi.class(class) else { return };
        // A client is its own root, under the handle that the driver has given it.
        let is_client = class.name.is_some_and(|name| name.starts_with("NV01_ROOT"));
        let root = if is_client { handle } else { root };
        let parameters = row.field("pAllocParms").and_then(|field| copies.behind(0, field.offset));
        let said = |name| parameters.map_or(0, |part| copies.part(part).read(class, name));
        let card = (class.number == DEVICE).then(|| said("deviceId") as u32);
        let object = (root, handle);
        let is_channel = class.name.is_some_and(|name| name.contains("CHANNEL_GPFIFO"));
        // What the driver has made of the size that was asked for.
        let bytes = parameters.map_or(0, |part| size_on_card(class, copies.part(part)));
        self.ledger.made(object, parent, process, card);
        if bytes > 0 {
            self.ledger.holds(object, bytes);
        } else if is_channel {
            self.ledger.needs_context(object, CONTEXT);
        }
    }

    fn follow(
        &mut self,
        copies: &mut Copies,
        part: usize,
        row: &Row,
        known: &[&str],
        caller: &mut dyn Caller,
    ) -> Result<(), Failed> {
        // The outer struct of a control or an allocation names its parameters' place, which somebody else follows.
        let place = self.place(caller)?;
        copies.follow(caller, &place, part, row, known)?;
        let mut nodes = copies.descriptors().filter_map(|file| self.machine.node_of(file));
        match self.visible.is_some() && nodes.any(|node| self.is_hidden(node)) {
            true => Err(Refusal::Errno(libc::ENODEV).into()),
            false => Ok(()),
        }
    }

    fn point(
        &mut self,
        copies: &mut Copies,
        outer: &Row,
        field: &str,
        behind: usize,
        caller: &mut dyn Caller,
    ) -> Result<(), Failed> {
        let place = self.place(caller)?;
        if let Some(field) = outer.field(field) {
            copies.point(&place, 0, field, behind);
        }
        Ok(())
    }

    fn execute(&mut self, copies: &mut Copies, call: &Call, caller: &mut dyn Caller) -> Executed {
        let place = self.place(caller)?;
        let argument = copies.place(&place);
        if !caller.is_alive() {
            return Err(Failed::Refused(Refusal::Errno(libc::EINTR)));
        }
        let order = Order::Ioctl { descriptor: call.file.as_raw_fd(), number: call.number, argument };
        match place.workers.execute(place.worker, &order) {
            Ok(result) => {
                copies.collect(&place);
                Ok(i64::from(result))
            }
            Err(WorkerError::Failed(error)) => {
                copies.collect(&place);
                Ok(-i64::from(error.raw_os_error().unwrap_or(libc::EIO)))
            }
            Err(error) => Err(self.lost(caller.process(), error)),
        }
    }

    /// Writes back what has changed, and answers.
    fn finish(
        &mut self,
        row: &Row,
        outer: usize,
        mut copies: Copies,
        caller: &mut dyn Caller,
        asked: Executed,
    ) -> Answered {
        let result = match asked {
            Ok(result) => result,
            Err(Failed::Refused(refusal @ (Refusal::Status(status) | Refusal::Unknown { status, .. }))) => {
                self.tell(refusal);
                let part = copies.part_mut(outer);
                part.bytes.clone_from(&part.before);
                let told = row.fields().iter().find(|field| field.form == Form::Status);
                if !told.is_some_and(|field| field.write(&mut part.bytes, 0, status.into())) {
                    return Ok(Answer::Errno(libc::EINVAL));
                }
                copies.keep_first();
                0
            }
            Err(failed) => return Err(failed),
        };
        self.last = self.keeps_last.then(|| copies.as_recorded(result));
        let was_given = copies.give_back(caller);
        Ok(match result {
            _ if !was_given => Answer::Errno(libc::EFAULT),
            result if result < 0 => Answer::Errno(-result as i32),
            result => Answer::Return(result),
        })
    }

    /// The client's process, made when it is first needed.
    fn place(&mut self, caller: &dyn Caller) -> Result<Place<'_>, Failed> {
        let process = caller.process();
        if !self.clients.contains_key(&process) {
            let made = self.workers.make(&caller.identity());
            let worker = made.map_err(|error| self.lost(process, error))?;
            self.open_cards(&worker);
            tracing::debug!("process {} executes device calls of process {process}", worker.pid);
            self.clients.insert(process, worker);
        }
        Ok(Place { workers: &self.workers, worker: &self.clients[&process] })
    }

    /// Whoever makes calls has to have the cards open, and all that do share descriptors.
    fn open_cards(&mut self, worker: &Worker) {
        if !self.cards.is_empty() {
            return;
        }
        let minors = match &self.visible {
            Some(visible) => visible.minors().collect(),
            None => self.machine.cards.clone(),
        };
        for minor in minors {
            let Ok(path) = CString::new(format!("/dev/nvidia{minor}")) else { continue };
            match self.workers.open(worker, &path) {
                Ok(card) => self.cards.push(card),
                Err(error) => tracing::warn!("card {minor} cannot be opened: {error}"),
            }
        }
        if let Err(error) = self.learn_ids(worker) {
            tracing::warn!("the driver does not say which cards there are: {error}");
        }
    }

    /// What RM calls the session's cards. Those that it does not know how to call are hidden as well.
    fn learn_ids(&mut self, worker: &Worker) -> Result<(), WorkerError> {
        let (Some(visible), Some(row)) = (&mut self.visible, self.abi.escape(cards::CARD_INFO)) else {
            return Ok(());
        };
        let control = self.workers.open(worker, c"/dev/nvidiactl")?;
        let mut answer = vec![0; row.size * cards::MOST];
        self.workers.write(worker, 0, &answer);
        // _IOWR('F', …)
        let number = 0xc000_4600 | (answer.len() as u32) << 16 | cards::CARD_INFO;
        let argument = self.workers.address(worker, 0);
        self.workers.execute(worker, &Order::Ioctl { descriptor: control.as_raw_fd(), number, argument })?;
        self.workers.read(worker, 0, &mut answer);
        visible.learn_ids(row, &answer);
        Ok(())
    }

    fn lost(&mut self, process: i32, error: WorkerError) -> Failed {
        if let Some(worker) = self.clients.remove(&process) {
            self.workers.end(worker);
        }
        Failed::Lost(error)
    }
}

/// An `ioctl`, with a duplicate of the file that it is made on.
struct Call {
    file: OwnedFd,
    number: u32,
    argument: u64,
}

/// Why there is no answer yet.
enum Failed {
    Refused(Refusal),
    Lost(WorkerError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

type Answered = Result<Answer, Failed>;

/// What the call returned, an error as a negative number.
type Executed = Result<i64, Failed>;

fn not_known(what: String, status: u32) -> Failed {
    Refusal::Unknown { what, status }.into()
}

fn name(row: &Row) -> String {
    row.name.map_or_else(|| format!("{:#x}", row.number), str::to_owned)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

/// The object whose RM client and handle lie at these places.
fn object(bytes: &[u8], at: [usize; 2]) -> ledger::Object {
    (word(bytes, at[0]), word(bytes, at[1]))
}

/// Bytes of the card that an allocation of this class takes.
fn size_on_card(class: &Row, parameters: &Part) -> u64 {
    /// `NVOS32_ATTR_LOCATION`, where 0 is the card.
    const LOCATION: u64 = 3 << 25;
    /// `NVOS32_ALLOC_FLAGS_VIRTUAL`: addresses only.
    const VIRTUAL: u64 = 1 << 19;
    let is_memory = class.place.as_ref().is_some_and(|place| place.internal == "VideoMemory");
    let said = |name| parameters.read(class, name);
    if is_memory && said("attr") & LOCATION == 0 && said("flags") & VIRTUAL == 0 { said("size") } else { 0 }
}

fn renamed(names: &HashMap<u32, u32>, pid: u32) -> u32 {
    names.get(&pid).copied().unwrap_or(pid)
}

/// Escapes, by their numbers.
const REGISTER_PAGES: u32 = 0x27;
const FREE: u32 = 0x29;
const CONTROL: u32 = 0x2a;
const ALLOCATE: u32 = 0x2b;
const DUPLICATE: u32 = 0x34;
const ATTACH_CARDS: u32 = 0xd4;
const ALLOCATE_EVENT: u32 = 0xce;
const FREE_EVENT: u32 = 0xcf;

/// Escapes that no client of ours makes, and that would need more than a row: I2C, VID_HEAP_CONTROL (memory by another door), the registry,
/// callbacks, requests within requests, NUMA states, descriptors that the driver makes.
const REFUSED: [u32; 7] = [0x39, 0x4a, 0x4d, 0x56, 0xd3, 0xd8, 0xd9];

/// `NVOS54_FLAGS_FINN_SERIALIZED`
const SERIALIZED: u64 = 1 << 2;
/// `UVM_INIT_FLAGS_MULTI_PROCESS_SHARING_MODE`: the calls come from another process than the one that has the addresses.
const SHARED_BY_PROCESSES: u64 = 1 << 1;
/// `UVM_INITIALIZE`
const INITIALIZE: u32 = 0x3000_0001;

/// `UVM_REGISTER_GPU`, without which nothing else there has to do with a card. It begins with a UUID.
const REGISTER_CARD: u32 = 0x25;
const UUID: usize = 16;

/// Classes.
const DEVICE: u32 = 0x80;
const EVENT: u64 = 0x79;
const PAGES_OF_PROCESS: u64 = 0x71;
/// More than any class has.
const MOST_PARAMETERS: usize = 64 << 10;

/// Controls.
const FB_GET_INFO: u64 = 0x2080_1301;
const FB_GET_INFO_V2: u64 = 0x2080_1303;
const GET_PIDS: u64 = 0x2080_018d;
const GET_PID_INFO: u64 = 0x2080_018e;
/// Their lists of processes, and how long these are.
const PIDS: (&str, &str) = ("pidTbl", "pidTblCount");
const PIDS_OF_INFO: (&str, &str) = ("pidInfoList.pid", "pidInfoListCount");

#[cfg(test)]
mod tests;
