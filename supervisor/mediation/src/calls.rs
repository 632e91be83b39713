//! What is done with a call, by its kind.
//!
//! ```text
//!   escape, uvm: what is it, may it be? ──▶ Begun ──▶ worker ──soon──▶ complete: books, figures, what has changed ──▶ answer
//!                                                        └──takes longer──▶ put off … settled ──▲
//! ```
//!
//! Nothing is known of other calls between the two halves: other clients' calls are made meanwhile.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nvidia_abi::{Form, Row};

use crate::copies::{Copies, Part, Place};
use crate::figures::{self, Share};
use crate::node::Node;
use crate::numbers::*;
use crate::worker::{Order, WorkerError};
use crate::{Answer, Caller, Mediator, Refusal, cards, ledger};

/// An `ioctl`, with a duplicate of the file that it is made on.
pub struct Call {
    pub file: OwnedFd,
    pub node: Node,
    pub number: u32,
    pub argument: u64,
}

/// A call that the client's process executes.
pub struct Begun {
    pub call: Call,
    copies: Copies,
    what: What,
}

/// What is to be known of a call when it has been executed.
#[derive(Clone, Copy)]
pub enum What {
    /// Nothing but its row.
    Simple,
    /// Which part has a control's parameters.
    Control { parameters: usize },
    /// What was promised to an allocation.
    Allocation { card: u32, bytes: u64 },
    /// A page of the driver's, which is to be mapped by a descriptor of this number.
    Page { number: i32 },
}

impl Begun {
    /// The files that it is about.
    pub fn into_files(self) -> Vec<OwnedFd> {
        let mut files = self.copies.into_descriptors();
        files.push(self.call.file);
        files
    }
}

/// Why there is no answer yet.
pub enum Failed {
    Refused(Refusal),
    Lost(WorkerError),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub type Answered = Result<Answer, Failed>;

/// What the call returned, an error as a negative number.
type Executed = Result<i64, Failed>;
/// What is made of a call before it is executed.
pub type Prepared = Result<What, Failed>;

fn not_known(what: String, status: u32) -> Failed {
    Refusal::Unknown { what, status }.into()
}

/// Bytes that a request says its argument has.
fn size_of_argument(request: u32) -> usize {
    (request >> 16 & 0x3fff) as usize
}

pub fn name(row: &Row) -> String {
    row.name.map_or_else(|| format!("{:#x}", row.number), str::to_owned)
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

/// The object whose RM client and handle lie at these places.
pub fn object(bytes: &[u8], at: [usize; 2]) -> ledger::Object {
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

/// Whether objects of a class need a context.
fn is_channel(class: &Row) -> bool {
    class.name.is_some_and(|name| name.contains("CHANNEL_GPFIFO"))
}

fn renamed(names: &HashMap<u32, u32>, pid: u32) -> u32 {
    names.get(&pid).copied().unwrap_or(pid)
}

impl Mediator {
    /// A call on `/dev/nvidiactl` or a card.
    pub(crate) fn escape(&mut self, call: Call, caller: &mut dyn Caller) -> Answered {
        let (number, size) = (call.number & 0xff, size_of_argument(call.number));
        let abi = Arc::clone(&self.abi);
        let Some(row) = abi.escape_of_size(number, size) else {
            let what = format!("request {:#x}", call.number);
            return Err(Refusal::Unknown { what, status: NOT_SUPPORTED }.into());
        };
        let mut copies = Copies::default();
        copies.take(caller, call.argument, size)?;
        if let Err(refusal) = self.admit(row, NOT_SUPPORTED) {
            return self.finish(row, copies, caller, Err(refusal.into()));
        }
        let prepared = match number {
            REGISTER_PAGES => return self.pages(row, &copies, &call),
            CONTROL => self.control(row, &mut copies, caller),
            ALLOCATE => self.allocate(row, &mut copies, caller),
            // The number of the client's descriptor is a key, and is not looked up.
            ALLOCATE_EVENT | FREE_EVENT => Ok(What::Simple),
            MAP_MEMORY => self.map(row, &mut copies, caller),
            ATTACH_CARDS if self.are_hidden(&copies, caller)? => Err(Refusal::Errno(libc::EINVAL).into()),
            _ if REFUSED.contains(&number) => Err(not_known(name(row), NOT_SUPPORTED)),
            _ => self.simple(row, &mut copies, caller),
        };
        self.execute(row, call, copies, prepared, caller)
    }

    /// A call on `/dev/nvidia-uvm`.
    pub(crate) fn uvm(&mut self, call: Call, caller: &mut dyn Caller) -> Answered {
        let abi = Arc::clone(&self.abi);
        let Some(row) = abi.uvm(call.number) else {
            let what = format!("request {:#x} of /dev/nvidia-uvm", call.number);
            return Err(Refusal::Unknown { what, status: NOT_SUPPORTED }.into());
        };
        let mut copies = Copies::default();
        let outer = copies.take(caller, call.argument, row.size)?;
        if let Err(refusal) = self.admit(row, NOT_SUPPORTED) {
            return self.finish(row, copies, caller, Err(refusal.into()));
        }
        if call.number == INITIALIZE
            && let Some(flags) = row.field("flags")
        {
            let part = copies.part_mut(outer);
            let wanted = part.read(row, "flags") | SHARED_BY_PROCESSES;
            part.put((flags, 0), wanted);
        }
        let is_of_hidden = call.number == REGISTER_CARD
            && self.visible.as_ref().is_some_and(|visible| !visible.has_uuid(copies.part(outer).first(UUID)));
        let prepared = match is_of_hidden {
            true => Err(Refusal::Status(GPU_UUID_NOT_FOUND).into()),
            false => self.simple(row, &mut copies, caller),
        };
        self.execute(row, call, copies, prepared, caller)
    }

    /// Lets the client's process execute a call that may be, and answers if that does not take long.
    fn execute(
        &mut self,
        row: &Row,
        call: Call,
        copies: Copies,
        prepared: Prepared,
        caller: &mut dyn Caller,
    ) -> Answered {
        let what = match prepared {
            Ok(what) => what,
            Err(failed) => return self.finish(row, copies, caller, Err(failed)),
        };
        let begun = Begun { call, copies, what };
        match self.hand_over(&begun, caller) {
            Ok(Some(executed)) => self.complete(row, begun, executed, caller),
            Ok(None) => {
                self.under_way.insert(caller.process(), begun);
                Ok(Answer::Later)
            }
            Err(failed) => {
                self.take_back(&begun);
                Err(failed)
            }
        }
    }

    /// What the call has come to, if it does not take long.
    fn hand_over(
        &mut self,
        Begun { call, copies, .. }: &Begun,
        caller: &mut dyn Caller,
    ) -> Result<Option<Result<i32, WorkerError>>, Failed> {
        let place = self.place(caller)?;
        let argument = copies.place(&place);
        if !caller.is_alive() {
            return Err(Failed::Refused(Refusal::Errno(libc::EINTR)));
        }
        let order = Order::Ioctl { descriptor: call.file.as_raw_fd(), number: call.number, argument };
        Ok(place.workers.hand_over(place.worker, &order))
    }

    /// Nothing is promised to a call any more.
    pub(crate) fn take_back(&mut self, begun: &Begun) {
        if let What::Allocation { card, bytes } = begun.what {
            self.ledger.take_back(card, bytes);
        }
    }

    /// A call that was put off has been executed, or never will be.
    pub(crate) fn complete_begun(
        &mut self,
        begun: Begun,
        executed: Result<i32, WorkerError>,
        caller: &mut dyn Caller,
    ) -> Answered {
        let abi = Arc::clone(&self.abi);
        let row = match begun.call.node {
            Node::UnifiedMemory => abi.uvm(begun.call.number),
            _ => abi.escape_of_size(begun.call.number & 0xff, size_of_argument(begun.call.number)),
        };
        match row {
            Some(row) => self.complete(row, begun, executed, caller),
            None => Err(Refusal::Errno(libc::EINVAL).into()),
        }
    }

    /// What there is to do once a call has been executed.
    fn complete(
        &mut self,
        row: &Row,
        begun: Begun,
        executed: Result<i32, WorkerError>,
        caller: &mut dyn Caller,
    ) -> Answered {
        self.take_back(&begun);
        let Begun { call, mut copies, what } = begun;
        let result = match executed {
            Ok(result) => i64::from(result),
            Err(WorkerError::Failed(error)) => -i64::from(error.raw_os_error().unwrap_or(libc::EIO)),
            Err(error) => return Err(self.lost(caller.process(), error)),
        };
        if let Some(worker) = self.clients.get(&caller.process()) {
            copies.collect(&Place { workers: &self.workers, worker });
        }
        if call.node == Node::UnifiedMemory {
            return self.finish(row, copies, caller, Ok(result));
        }
        let asked = match what {
            What::Page { number } => self.mapped(row, &copies, (number, result), caller).map(|()| result),
            What::Control { parameters } => {
                self.told_by_control(&mut copies, parameters).map(|()| result).map_err(Failed::from)
            }
            What::Simple | What::Allocation { .. } => Ok(result),
        };
        if let (cards::CARD_INFO, Some(visible)) = (call.number & 0xff, &self.visible) {
            visible.shorten_infos(row, &mut copies.part_mut(0).bytes);
        }
        if matches!(asked, Ok(0)) {
            self.account(call.number & 0xff, row, &copies, caller.process());
            self.tell_pacer(call.number & 0xff, row, &copies, &call, caller);
            self.tell_pages(call.number & 0xff, row, &copies);
        }
        self.finish(row, copies, caller, asked)
    }

    /// Whether an array of identifiers names a card that the session does not have.
    fn are_hidden(&mut self, copies: &Copies, caller: &dyn Caller) -> Result<bool, Failed> {
        // With the first process that executes calls comes what RM calls the cards.
        self.place(caller)?;
        let ids = copies.part(0).bytes.chunks_exact(4).map(|id| word(id, 0)).filter(|id| *id != 0);
        Ok(self.visible.as_ref().is_some_and(|visible| ids.into_iter().any(|id| !visible.has_id(id))))
    }

    /// A call that needs no more than its row.
    pub(crate) fn simple(&mut self, row: &Row, copies: &mut Copies, caller: &mut dyn Caller) -> Prepared {
        self.follow(copies, 0, row, &[], caller)?;
        Ok(What::Simple)
    }

    /// `NV_ESC_RM_CONTROL`: the command says what the parameters are.
    fn control(&mut self, outer: &Row, copies: &mut Copies, caller: &mut dyn Caller) -> Prepared {
        let part = copies.part(0);
        let [command, flags, address, size] =
            ["cmd", "flags", "params", "paramsSize"].map(|name| part.read(outer, name));
        let abi = Arc::clone(&self.abi);
        let Some(row) = abi.control(command as u32) else {
            self.show(address, size as usize, caller);
            return Err(not_known(
                format!("control {command:#x} with {size} bytes of parameters"),
                NOT_SUPPORTED,
            ));
        };
        self.admit(row, NOT_SUPPORTED)?;
        if flags & SERIALIZED != 0 {
            return Err(not_known(format!("{} in serialised form", name(row)), NOT_SUPPORTED));
        }
        if self.disturbs_pacer(command as u32, object(&part.bytes, [0, 4])) {
            return Err(not_known(format!("{} beside `--cores`", name(row)), NOT_SUPPORTED));
        }
        if address == 0 {
            return Ok(What::Simple);
        }
        let parameters = copies.take(caller, address, size as usize)?;
        self.follow(copies, parameters, row, &[], caller)?;
        self.point(copies, outer, "params", parameters, caller)?;
        if let Some(visible) = &self.visible
            && visible.is_asked_of_hidden(row, &copies.part(parameters).bytes)
        {
            return Err(Refusal::Status(INVALID_ARGUMENT).into());
        }
        if command == GET_PID_INFO {
            let workers = self.process_names(|client, worker| (client, worker));
            let part = copies.part_mut(parameters);
            figures::rename(row, PIDS_OF_INFO.0, PIDS_OF_INFO.1, &mut part.bytes, |pid| {
                renamed(&workers, pid)
            });
        }
        Ok(What::Control { parameters })
    }

    /// What a control has answered, without what this client is not to see.
    fn told_by_control(&mut self, copies: &mut Copies, parameters: usize) -> Result<(), Refusal> {
        let command = self.abi.escape(CONTROL).map_or(0, |outer| copies.part(0).read(outer, "cmd"));
        let abi = Arc::clone(&self.abi);
        let Some(row) = abi.control(command as u32) else { return Ok(()) };
        if let Some(visible) = &self.visible
            && !visible.shorten(row, &mut copies.part_mut(parameters).bytes)
        {
            return Err(Refusal::Status(OBJECT_NOT_FOUND));
        }
        if matches!(command, FB_GET_INFO | FB_GET_INFO_V2) && self.ledger.limit().is_some() {
            self.look_at_managed();
        }
        self.figures(command, row, copies, parameters);
        Ok(())
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
    fn allocate(&mut self, outer: &Row, copies: &mut Copies, caller: &mut dyn Caller) -> Prepared {
        let part = copies.part(0);
        let [class, address, said] =
            ["hClass", "pAllocParms", "paramsSize"].map(|name| part.read(outer, name));
        let abi = Arc::clone(&self.abi);
        let Some(row) = abi.class(class as u32) else {
            return Err(not_known(format!("class {class:#x}"), INVALID_CLASS));
        };
        self.admit(row, INVALID_CLASS)?;
        self.follow(copies, 0, outer, &["pAllocParms"], caller)?;
        if address != 0 {
            let parameters =
                copies.take(caller, address, row.size.max(said as usize).min(MOST_PARAMETERS))?;
            // An event's descriptor is a key, as with the escapes for events.
            let keys: &[&str] = if class == EVENT { &["data"] } else { &[] };
            self.follow(copies, parameters, row, keys, caller)?;
            self.point(copies, outer, "pAllocParms", parameters, caller)?;
            if class == EVENT
                && let Some(field) = row.field("data")
            {
                // It comes back as an address of the kernel's.
                let part = copies.part_mut(parameters);
                let key = part.read(row, "data");
                part.put((field, 0), key);
            }
        }
        let parent = object(&copies.part(0).bytes, [0, 4]);
        let card = self.ledger.card(parent).unwrap_or(0);
        let behind = outer.field("pAllocParms").and_then(|field| copies.behind(0, field.offset));
        let bytes = match is_channel(row) && self.ledger.lacks_context(parent) {
            true => CONTEXT,
            false => behind.map_or(0, |part| size_on_card(row, copies.part(part))),
        };
        let bytes = bytes.checked_next_multiple_of(GRANULE).unwrap_or(u64::MAX);
        if !self.ledger.has_room(card, bytes) {
            self.look_at_managed();
        }
        match self.ledger.promise(card, bytes) {
            true => Ok(What::Allocation { card, bytes }),
            false => {
                self.refuse_memory(caller.process(), bytes, self.ledger.used(card));
                Err(Refusal::Status(NO_MEMORY).into())
            }
        }
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
        // What the driver has made of the size that was asked for.
        let bytes = parameters.map_or(0, |part| size_on_card(class, copies.part(part)));
        self.ledger.made(object, parent, process, card);
        if bytes > 0 {
            self.ledger.holds(object, bytes);
        } else if is_channel(class) {
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

    /// Writes back what has changed, and answers.
    fn finish(
        &mut self,
        row: &Row,
        mut copies: Copies,
        caller: &mut dyn Caller,
        asked: Executed,
    ) -> Answered {
        let result = match asked {
            Ok(result) => result,
            Err(Failed::Refused(
                refusal @ (Refusal::Status(status)
                | Refusal::Unknown { status, .. }
                | Refusal::Denied { status, .. }),
            )) => {
                self.tell(refusal);
                let part = copies.part_mut(0);
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
}
