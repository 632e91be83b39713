//! The broker: answers the payload's control calls, grants memory, and follows engines and their clients.
//!
//! ```text
//!   client process ──Call (trapped ioctl)──▶ Broker ── Session per client ── Grants, Engine
//!                                              │
//!                                            Ledger: who holds how much of which card
//!                                            Conditions: what is wrong with which card, and what is set on it
//!                                            Accounting: what processes used, for after their end
//! ```
//!
//! - A **session** belongs to one thread group. It ends with the process (told by a pidfd, not by a closed descriptor: a
//!   forked child may keep that open), and then all its memory is given back at once, also where others still map it.
//! - A **grant** is one memfd of exactly the granted size, sealed, mapped at one address by client and engine.
//! - **Physical** memory has no address of its own and no single owner: sessions map it at addresses that they have reserved.
//! - An **engine** is forked by the zygote for one session; a client can't tell a slow start from a quick one, since its
//!   commands wait in the shared area.
//!
//! The broker knows neither seccomp nor ptrace: what it needs of the calling process comes through [`Caller`]. Everything
//! that can happen without a call (a process ends, an engine speaks) makes one descriptor readable ([`Broker::as_fd`]).

mod accounting;
mod address_space;
mod backing;
mod call;
mod condition;
mod engine;
mod export;
mod fault;
mod ledger;
mod memory;
mod physical;
mod published;
mod reclaim;
mod session;
mod settings;
mod status;
mod trace;
mod virtual_memory;
mod watch;
mod zygote;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Instant;

use wire::device::{Description, Usage};
use wire::figures::KernelCost;

pub use call::Caller;
pub use condition::Refused;
pub use fault::{Fault, Mistake, Order, WORDS};
pub use ledger::Ledger;
pub use published::Published;
pub use status::{ClientStatus, DeviceStatus, EngineStatus};
pub use trace::Tracer;
pub use zygote::{OpenProgram, Program};

use crate::accounting::Accounting;
use crate::condition::Conditions;
use crate::export::Exports;
use crate::physical::PhysicalMemories;
use crate::reclaim::Reclaimer;
use crate::session::Session;
use crate::trace::Rings;
use crate::watch::Watch;
use crate::zygote::Zygote;

/// What the broker announces, fixed when it is first asked.
pub struct Announcement {
    /// The cards.
    pub devices: Vec<Description>,
    /// `cuDriverGetVersion`: 1000 × major + 10 × minor.
    pub cuda_version: u32,
    /// Like `580.159.04`.
    pub driver_version: String,
}

/// What a broker needs to begin.
pub struct Config {
    /// Makes the announcement at the first call that needs it (`--gpu auto` looks at what the tree has opened by then).
    pub announce: Box<dyn FnMut() -> Announcement>,
    /// Opens the engine's program, in a process of its own.
    pub engine: Box<OpenProgram>,
    /// Whether engines check what kernels do, so that clients tell them of memory.
    pub checks: bool,
    /// Who reads what clients and engines trace, if they are to.
    pub tracer: Option<Box<dyn Tracer>>,
}

/// Something for the report. `process` is a thread-group id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The payload or an engine has something to tell.
    Note {
        /// Whom it is about.
        process: u32,
        /// A [`NoteKind`](wire::control::NoteKind) as a number.
        kind: u32,
        /// A [`Caller`](wire::control::Caller) as a number; 0: the engine.
        caller: u32,
        /// Depends on the kind.
        value: i64,
        /// Names the thing.
        text: String,
    },
    /// A process got an engine.
    EngineStarted {
        /// Whose.
        process: u32,
        /// The engine's pid.
        engine: u32,
    },
    /// An engine could not be started.
    EngineFailed {
        /// Whose.
        process: u32,
        /// Why.
        text: String,
    },
    /// An engine ended while its client lives.
    EngineEnded {
        /// Whose.
        process: u32,
        /// The `CUresult` that the client sees.
        error: u32,
        /// What the engine said.
        text: String,
    },
    /// A fault that was ordered has happened.
    Injected {
        /// How many there have been with it.
        number: u32,
        /// Which, of which card.
        text: String,
    },
    /// A fault that was ordered before there were cards is none that these can have.
    NotInjected {
        /// Which.
        fault: Fault,
        /// Why not.
        why: Refused,
    },
    /// A process has set something on a card.
    Set {
        /// Which.
        process: u32,
        /// What, of which card.
        text: String,
    },
    /// A process may not have a context on a card, by what is set there.
    KeptOut {
        /// Which.
        process: u32,
        /// The card, and what is set.
        text: String,
    },
    /// A process with an engine ended, or let go of it.
    Finished {
        /// Which.
        process: u32,
        /// Kernels that it ran.
        kernels: Vec<KernelCost>,
        /// The most memory that it held, bytes.
        peak: u64,
    },
}

/// See the module's text.
pub struct Broker {
    config: Config,
    announcement: Option<Announcement>,
    ledger: Ledger,
    sessions: HashMap<u32, Session>,
    exports: Exports,
    physical: PhysicalMemories,
    zygote: Option<Zygote>,
    watch: Watch,
    reclaimer: Reclaimer,
    rings: Rings,
    conditions: Conditions,
    accounting: Accounting,
    events: Vec<Event>,
    samples: ledger::Utilisation,
}

/// The broker can't begin.
#[derive(Debug, thiserror::Error)]
#[error("can't make the broker's watch list: {0}")]
pub struct StartError(#[from] nix::errno::Errno);

impl Broker {
    /// A broker without sessions; starts no process.
    pub fn new(config: Config) -> Result<Broker, StartError> {
        Ok(Broker {
            config,
            announcement: None,
            ledger: Ledger::default(),
            sessions: HashMap::new(),
            exports: Exports::default(),
            physical: PhysicalMemories::default(),
            zygote: None,
            watch: Watch::new()?,
            reclaimer: Reclaimer::default(),
            rings: Rings::default(),
            conditions: Conditions::default(),
            accounting: Accounting::default(),
            events: Vec::new(),
            samples: ledger::Utilisation::default(),
        })
    }

    /// Starts what a first context will need, so that it is warm by then: a client may be about to ask for one.
    pub fn prepare(&mut self) {
        if let Err(why) = self.zygote() {
            // Whoever needs it will try again, and be told.
            tracing::debug!("{why}");
        }
    }

    /// Executes the control call whose block lies at `block` in the caller. The result is that of its `ioctl`.
    pub fn handle(&mut self, caller: &dyn Caller, block: u64) -> Result<i64, nix::errno::Errno> {
        call::handle(self, caller, block)
    }

    /// Executes the control call that lies in these registers of the caller, those behind the request number. `Err` is the `errno` of its
    /// `ioctl`, the caller's or a [`Status::errno`](wire::control::Status::errno).
    pub fn handle_registers(&mut self, caller: &dyn Caller, registers: [u64; 4]) -> Result<i64, i32> {
        call::handle_registers(self, caller, registers)
    }

    /// A process has begun another program: what it had of the device is gone.
    pub fn process_replaced(&mut self, process: u32) {
        self.end_session(process);
    }

    /// Ends the zygote, and with it every engine.
    pub fn end_engines(&mut self) {
        self.zygote = None;
    }

    /// Handles what made [`Broker::as_fd`] readable.
    pub fn process_events(&mut self) {
        for source in self.watch.ready() {
            match source {
                watch::Source::Client(process) => self.client_ended(process),
                watch::Source::Engine(process) => self.engine_ended(process),
                watch::Source::EngineSocket(process) => drop(self.engine_spoke(process)),
                watch::Source::Zygote => self.zygote_spoke(),
                watch::Source::Traced(process) => self.rings.forget(process),
                watch::Source::Export(export) => {
                    self.physical.export_closed(export, &mut self.ledger, &mut self.reclaimer)
                }
            }
        }
    }

    /// What happened since the last time, for the report.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// How a card is used at the moment; nothing of `own`, as nobody in particular asks.
    pub fn usage(&mut self, device: u32) -> Option<Usage> {
        let description = *self.announcement().devices.get(device as usize)?;
        let nanoseconds = self.sessions.values().map(|session| session.engine.work_done().1).sum();
        let utilisation = self.samples.sample(Instant::now(), nanoseconds);
        let sensor = self.conditions.card(device).map(|card| card.temperature.load(Ordering::Relaxed));
        let mut usage = Usage {
            total: self.ledger.capacity(device),
            used: self.ledger.used(device),
            free: self.ledger.free(device),
            own: 0,
            utilisation,
            memory_utilisation: memory_share(utilisation),
            processes: self.ledger.processes(device).len() as u32,
            temperature: sensor.unwrap_or(0),
            power_limit: description.power[1],
            ..Usage::default()
        };
        if let Some(settings) = self.conditions.settings(device) {
            settings.tell(&description, &mut usage);
        }
        Some(usage)
    }

    /// Processes that have memory of a card, and how much.
    pub fn holders(&self, device: u32) -> Vec<(u32, u64)> {
        self.ledger.processes(device)
    }

    /// Whether any process has an engine.
    pub fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Whether `length` more bytes for this session can be backed when they are touched, and all that was promised before.
    fn can_back(&self, session: &Session, length: u64) -> bool {
        let room = session.cgroup.available() + self.reclaimer.pending();
        let fits = |promised: u64| promised.saturating_add(length) <= room;
        // The first sum is known and too large, since pages that exist are no longer in the room; often it suffices.
        fits(self.sessions.values().map(Session::promised).sum::<u64>() + self.physical.promised())
            || fits(self.sessions.values().map(Session::untouched).sum::<u64>() + self.physical.untouched())
    }

    pub(crate) fn announcement(&mut self) -> &Announcement {
        if self.announcement.is_none() {
            let announcement = (self.config.announce)();
            self.ledger = Ledger::new(announcement.devices.iter().map(|device| device.total_memory));
            self.announcement = Some(announcement);
            self.inject_waiting();
        }
        self.announcement.as_ref().expect("made above")
    }
}

impl AsFd for Broker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Per cent of a time in which memory was copied, where kernels ran for so many: not measured, but what such work takes.
fn memory_share(utilisation: u32) -> u32 {
    utilisation / 2
}

/// A descriptor's number in the caller.
pub type CallerFd = RawFd;
