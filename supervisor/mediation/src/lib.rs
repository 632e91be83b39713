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
//! - **Capabilities** (`policy`, `sets`): a session may be allowed some of what the tables have only.
//! - **Cards** (`cards`): a session may have some of the machine's only.
//! - **A limit** (`ledger`, `figures`) for each card's memory: over it an allocation fails as on a full card, and every
//!   call that tells sizes tells the limit's. Managed memory is none of the driver's calls: its mappings come here as well (`managed`).
//!   The page that the driver shares with clients (`page`, `mapped`) is then a copy with these sizes.
//! - **A share** (`cores`) of the cards' time: channels take turns.
//!
//! With [`Driver::observe`] none of this happens: calls are looked at, told, and left to the kernel (`observed`).
//!
//! All but a few calls take microseconds, and are waited for. One that takes longer is put off ([`Answer::Later`]): its client's process
//! goes on with it, and others' calls are answered meanwhile. Of one client there is one call at a time.

mod addresses;
mod bell;
mod calls;
mod cards;
mod copies;
mod cores;
mod figures;
mod frozen;
mod holdings;
mod kernel;
mod ledger;
mod managed;
mod mapped;
mod node;
mod numbers;
mod observed;
mod over_limit;
mod page;
mod policy;
mod region;
mod sets;
#[cfg(any(test, feature = "stand-in"))]
mod stand_in;
mod worker;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nvidia_abi::{Abi, Kind, Row, UnknownVersion};
use recording::Ioctl;

use calls::{Answered, Begun, Call, Failed};
use cards::Visible;
use copies::Place;
use cores::Pacer;
use ledger::Ledger;
use managed::Managed;
use numbers::*;
use over_limit::OverLimits;
use page::Pages;
use policy::Key;
use worker::{Order, Worker, Workers};

pub use cards::{Card, Choice, NoSuchCards};
pub use cores::{TimeShare, TimeUsed};
pub use frozen::Frozen;
pub use holdings::{Holder, Holding};
pub use kernel::{Handed, Kernel};
pub use managed::Mapping;
pub use node::{Machine, Node};
pub use over_limit::OverLimit;
pub use policy::{Denied, KINDS, NoSuchRow, Policy};
pub use sets::{SETS, Set};
#[cfg(any(test, feature = "stand-in"))]
pub use stand_in::{Held, StandIn, in_all_processes};
pub use worker::{Identity, WorkerError};

/// Whoever makes a call.
pub trait Caller {
    /// Its process.
    fn process(&self) -> i32;
    /// Its thread that makes the call.
    fn thread(&self) -> i32 {
        self.process()
    }
    /// Its user and groups.
    fn identity(&self) -> Identity;
    /// Fills `bytes` from its memory; false if it has none there.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes to its memory; false if that cannot be.
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool;
    /// A duplicate of one of its descriptors.
    fn descriptor(&mut self, number: i32) -> Option<OwnedFd>;
    /// Lets the number of one of its descriptors be another file's, which is closed at its next exec, if that can be.
    fn replace(&mut self, number: i32, file: OwnedFd) -> std::io::Result<()> {
        let _ = (number, file);
        Err(std::io::ErrorKind::Unsupported.into())
    }
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
    /// It takes longer: once [`Mediator::settled`] names its process, [`Mediator::settle`] answers it.
    Later,
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
    /// The session may not ask it; answered as if it were not known.
    Denied {
        /// What it is.
        denied: Denied,
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
    /// Its cards, as far as its files tell of them.
    known: Vec<Card>,
    /// The session's cards, if it does not have all.
    visible: Option<Visible>,
    observes: bool,
    policy: Policy,
    /// What is asked is noted.
    learns: bool,
    /// Executes calls.
    kernel: Kernel,
}

/// Executes calls.
pub struct Mediator {
    /// Shared, so that a row can be at hand while a call changes what else is here; its fields are read once.
    abi: Arc<Abi>,
    machine: Machine,
    known: Vec<Card>,
    workers: Workers,
    clients: HashMap<i32, Worker>,
    /// Calls that were put off, of some of them.
    under_way: HashMap<i32, Begun>,
    visible: Option<Visible>,
    /// Calls are looked at, and left to the kernel.
    observes: bool,
    /// Cards, opened so that the driver takes our processes for entitled to them.
    cards: Vec<OwnedFd>,
    ledger: Ledger,
    managed: Managed,
    /// What was refused because of the limit.
    over_limits: OverLimits,
    /// The driver's pages, as clients with a limit get them.
    pages: Pages,
    /// Executes calls that are none of a client's.
    kernel: Kernel,
    /// Lets channels take turns, if there is a share.
    pacer: Option<Pacer>,
    /// What the session may ask, and what it has asked if somebody wants to know.
    policy: Policy,
    asked: Option<BTreeSet<Key>>,
    /// What was refused because it is not allowed, and because it is not known, and not yet told.
    denied: Vec<Denied>,
    unknown: Vec<String>,
    /// All of it, each thing once.
    told: HashSet<String>,
    /// For those who want to hear of calls.
    keeps_last: bool,
    last: Option<Ioctl>,
}

/// Something that a session has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What kind of row it is.
    pub kind: Kind,
    /// Its name, or its number.
    pub name: String,
    /// What it belongs to.
    pub set: Set,
}

/// So many unknown things are told: a client can make up as many as it likes.
const MOST_TOLD: usize = 500;

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

impl Driver {
    /// All of it is the session's.
    fn of(abi: Abi, machine: Machine, known: Vec<Card>, kernel: Kernel) -> Self {
        let policy = Policy::default();
        Self { abi, machine, known, visible: None, observes: false, policy, learns: false, kernel }
    }

    /// This machine's, taken for the release that `version` says if it says one.
    pub fn find(version: Option<&str>) -> Result<Self, BeginError> {
        let machine = Machine::look().map_err(BeginError::NoDriver)?;
        let abi = Abi::of(version.unwrap_or(&machine.version))?;
        Ok(Self::of(abi, machine, cards::all(), Kernel::OWN))
    }

    /// The session is to have these cards only.
    pub fn choose(&mut self, choice: &Choice) -> Result<(), NoSuchCards> {
        self.visible = Some(choice.of(&self.known)?);
        Ok(())
    }

    /// Calls are to be looked at, and nothing else.
    pub fn observe(&mut self) {
        self.observes = true;
    }

    /// What the session may ask, to be narrowed.
    pub fn policy(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// A row of its tables, by its name or number.
    pub fn row(&self, kind: Kind, name: &str) -> Result<Key, NoSuchRow> {
        policy::named(&self.abi, kind, name)
    }

    /// What is asked is to be noted.
    pub fn learn(&mut self) {
        self.learns = true;
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
        let Driver { abi, machine, known, visible, observes, policy, learns, kernel } = driver;
        let abi = Arc::new(abi);
        let workers = Workers::begin(kernel)?;
        let ledger = Ledger::new(limit);
        let (clients, under_way, cards) = (HashMap::new(), HashMap::new(), Vec::new());
        let (denied, unknown, told) = (Vec::new(), Vec::new(), HashSet::new());
        let asked = learns.then(BTreeSet::new);
        let (keeps_last, last) = (false, None);
        Ok(Self {
            abi,
            machine,
            known,
            workers,
            clients,
            under_way,
            visible,
            observes,
            cards,
            ledger,
            managed: Managed::default(),
            over_limits: OverLimits::default(),
            pages: Pages::default(),
            kernel,
            pacer: None,
            policy,
            asked,
            denied,
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

    /// Answers an `ioctl`. Precondition: no call of the process was put off that has not been answered.
    pub fn ioctl(
        &mut self,
        descriptor: i32,
        number: u32,
        argument: u64,
        caller: &mut dyn Caller,
    ) -> Result<Answer, WorkerError> {
        self.managed.has_returned(caller.thread());
        let Some(file) = caller.descriptor(descriptor) else { return Ok(Answer::Errno(libc::EBADF)) };
        let Some(node) = self.machine.node_of(&file) else { return Ok(Answer::NotOurs) };
        if self.observes {
            self.look(node, number, argument, caller);
            return Ok(Answer::Observed);
        }
        if self.under_way.contains_key(&caller.process()) {
            // Its copies lie where this call's would.
            return Ok(Answer::Errno(libc::EBUSY));
        }
        let call = Call { file, node, number, argument };
        let answered = match node {
            _ if self.is_hidden(node) => Err(Failed::Refused(Refusal::Errno(libc::ENODEV))),
            Node::Control | Node::Gpu(_) => self.escape(call, caller),
            Node::UnifiedMemory => self.uvm(call, caller),
            // Their calls are another table's, which nobody has written.
            Node::Other => Err(Failed::Refused(Refusal::Errno(libc::EPERM))),
        };
        self.conclude(node, number, answered)
    }

    /// Processes whose calls were put off and can be answered now. To be asked when the mediator's descriptor is readable.
    pub fn settled(&mut self) -> Vec<i32> {
        self.workers.hear();
        let is_settled = |process: &i32| {
            let worker = self.clients.get(process);
            worker.is_none_or(|worker| self.workers.is_settled(worker))
        };
        self.under_way.keys().copied().filter(is_settled).collect()
    }

    /// Answers a call that was put off; again with [`Answer::Later`] if it has not been executed yet, and none if there is none.
    pub fn settle(&mut self, caller: &mut dyn Caller) -> Option<Result<Answer, WorkerError>> {
        let process = caller.process();
        let begun = self.under_way.remove(&process)?;
        let worker = self.clients.get(&process);
        let executed = worker.map_or(Some(Err(WorkerError::Gone)), |worker| self.workers.settled(worker));
        let Some(executed) = executed else {
            self.under_way.insert(process, begun);
            return Some(Ok(Answer::Later));
        };
        let (node, number) = (begun.call.node, begun.call.number);
        let answered = self.complete_begun(begun, executed, caller);
        Some(self.conclude(node, number, answered))
    }

    fn conclude(&mut self, node: Node, number: u32, answered: Answered) -> Result<Answer, WorkerError> {
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
        self.managed.process_ended(tgid);
        self.tell_of_managed();
        self.over_limits.process_ended(tgid);
        if let Some(pacer) = &mut self.pacer {
            pacer.process_ended(tgid);
        }
        self.end_worker(tgid);
    }

    /// Ends the process that executes a client's calls, with the one that it executes.
    fn end_worker(&mut self, client: i32) {
        let files = self.under_way.remove(&client).map_or_else(Vec::new, |begun| {
            self.take_back(&begun);
            begun.into_files()
        });
        if let Some(worker) = self.clients.remove(&client) {
            self.workers.end(worker, files);
        }
    }

    /// From now on so many bytes of each card may be held; false if calls are only looked at.
    pub fn set_limit(&mut self, bytes: u64) -> bool {
        if !self.observes {
            self.ledger.set_limit(Some(bytes));
            self.look_at_managed();
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

    /// What was refused because it is not allowed, since this was last asked.
    pub fn take_denied(&mut self) -> Vec<Denied> {
        std::mem::take(&mut self.denied)
    }

    /// What has been asked, if that was to be noted.
    pub fn asked(&self) -> Vec<Asked> {
        let row = |key: &&Key| self.abi.rows().find(|row| policy::key(row) == **key);
        let asked = |row: &Row| {
            let (kind, name, set) = (policy::key(row).0, calls::name(row), Set::of(row));
            Asked { kind, name, set }
        };
        self.asked.iter().flatten().filter_map(|key| row(&key)).map(asked).collect()
    }

    /// Whether the session may ask this. What it asks is noted.
    fn admit(&mut self, row: &Row, status: u32) -> Result<(), Refusal> {
        if let Some(asked) = &mut self.asked {
            asked.insert(policy::key(row));
        }
        let denied = || Denied { what: calls::name(row), set: Set::of(row) };
        self.policy.permits(row).then_some(()).ok_or_else(|| Refusal::Denied { denied: denied(), status })
    }

    /// What was refused because it is not known, since this was last asked.
    pub fn take_unknown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unknown)
    }

    fn tell(&mut self, refusal: Refusal) {
        let what = match &refusal {
            Refusal::Unknown { what, .. } | Refusal::Denied { denied: Denied { what, .. }, .. } => what,
            Refusal::Errno(_) | Refusal::Status(_) => return,
        };
        if self.told.len() >= MOST_TOLD || !self.told.insert(what.clone()) {
            return;
        }
        match refusal {
            Refusal::Denied { denied, .. } => self.denied.push(denied),
            Refusal::Unknown { what, .. } => self.unknown.push(what),
            Refusal::Errno(_) | Refusal::Status(_) => {}
        }
    }

    /// The client's process, made when it is first needed.
    fn place(&mut self, caller: &dyn Caller) -> Result<Place<'_>, Failed> {
        let process = caller.process();
        if !self.clients.contains_key(&process) {
            let identity = caller.identity();
            // Of one that was killed the number may be another's, whose identity this is.
            if !caller.is_alive() {
                return Err(Failed::Refused(Refusal::Errno(libc::EINTR)));
            }
            let made = self.workers.make(&identity);
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
        self.end_worker(process);
        Failed::Lost(error)
    }
}

/// Readable when calls that were put off may be answered, and when processes have ended that were to.
impl AsFd for Mediator {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.workers.as_fd()
    }
}

#[cfg(test)]
mod tests;
