//! The emulated kernel driver: what connects the resource manager with requests to the nodes.
//!
//! ```text
//!   ioctl(fd, …) ──▶ /proc/TID/fd/FD is `socket:[N]` ──▶ Nodes ──▶ ResourceManager ──▶ memory of the asker
//!                                                          │            └─ Observed ──▶ recording, trace
//!                                    `vgpu-run replay` ────┴─▶ Player, a recording that answers
//! ```
//!
//! Programs that speak to the nodes themselves can ask what there is, make and free objects, and map the page of figures. What a card
//! would have to work for does not happen: nothing else can be mapped.

use broker::Broker;
use interception::{Reply, Request};
use nvidia_abi::{escape, status};
use overlay::{Answer, Node as Found, Outcome, Seen};
use replay::{Observed, Refusal, Shows};
use resource_manager::{
    Accounted, Caller, CallerMemory, Card as Emulated, Facts, FileId, Node, Order, ResourceManager, facts,
};
use trace::Heard;
use tracee::{Memory, RemotePtr};
use wire::control::Status;
use wire::trace::now;

use crate::card::Card;
use crate::control::Nodes;
use crate::device_calls::DeviceCalls;
use crate::figures::{self, Pages};
use crate::shown;

/// The driver of the session, once somebody has asked for it.
#[derive(Default)]
pub struct Driver {
    /// `Err`: why there is none for the session's card.
    manager: Option<Result<ResourceManager, String>>,
    /// What clients map.
    pages: Pages,
    /// How many of the cards' events have been delivered.
    delivered: u64,
    /// How much of what it does not know has been told.
    told: usize,
    /// Who hears of calls, and a recording that answers them instead.
    calls: DeviceCalls,
    /// Calls that the recording does not answer.
    missing: Vec<Missing>,
}

/// What a recording does not have, in words.
#[derive(Debug)]
pub enum Missing {
    /// A call.
    Call(String),
    /// What a card would do.
    Card(String),
}

impl Driver {
    /// A driver whose calls are heard, or answered by a recording.
    pub fn new(calls: DeviceCalls) -> Self {
        Self { calls, ..Self::default() }
    }

    /// Refuses the nodes that lead to the driver where there is none.
    pub fn permit(&mut self, outcome: Outcome, card: &Card) -> Outcome {
        let Answer::Node(found @ (Found::Gpu(_) | Found::UnifiedMemory)) = &outcome.answer else {
            return outcome;
        };
        let is_there = match &self.calls.player {
            Some(player) => player.has(node(found)),
            None => start(&mut self.manager, card).is_ok(),
        };
        if is_there {
            return outcome;
        }
        let refused = Found::Raw(found.path());
        Outcome { answer: refused.answer(), seen: Some(Seen::Node(refused)) }
    }

    /// Answers a request. None: it goes to a file that is none of `nodes`.
    pub fn ioctl(
        &mut self,
        request: &Request,
        tgid: i32,
        nodes: &mut Nodes,
        card: &Card,
        broker: &mut Broker,
    ) -> Option<Result<Reply, &str>> {
        let [descriptor, number, argument, ..] = request.arguments;
        let (descriptor, number) = (descriptor as i32, number as u32);
        let mut asker = Asker { request, tgid, nodes, pages: &mut self.pages, broker };
        let inode = asker.inode(descriptor)?;
        // Before anything is kept of it: the thread's number may have become somebody else's.
        let node = asker.nodes.node(inode).filter(|_| request.is_alive())?;
        if let Some(player) = &mut self.calls.player {
            let answer = player.ioctl(node, number, argument, &mut asker);
            let shown = answer.map(|shows| shows.is_none_or(|shows| asker.show_recorded(shows)));
            if self.pages.are_due()
                && let Ok(manager) = start(&mut self.manager, card)
            {
                manager.keep_figures();
                figures::tell(manager, broker);
                self.pages.write(manager);
            }
            return Some(Ok(self.replayed(shown)));
        }
        let manager = match start(&mut self.manager, card) {
            Ok(manager) => manager,
            Err(why) => return Some(Err(why)),
        };
        asker.nodes.settle(manager);
        let file = asker.nodes.file(inode)?;
        figures::tell(manager, asker.broker);
        let answer = if self.calls.are_heard() {
            let begun = now();
            let mut observed = Observed::new(&mut asker);
            let answer = manager.ioctl(file, number, argument, &mut observed);
            let ioctl = observed.finish((tgid as u32, descriptor), node, number, answer);
            let (process, thread) = (tgid as u32, request.tid as u32);
            self.calls.answered(&Heard { process, thread, begun, ended: now() }, ioctl);
            answer
        } else {
            manager.ioctl(file, number, argument, &mut asker)
        };
        if !manager.has_events(file) {
            asker.nodes.quieten(inode, tgid, descriptor);
        }
        // What was asked of a page is there when the call returns.
        if self.pages.are_due()
            || matches!(number & 0xff, escape::NV_ESC_RM_CONTROL | escape::NV_ESC_RM_ALLOC)
        {
            self.pages.write(manager);
        }
        Some(Ok(answer.map_or_else(|error| Reply::Errno(error.number()), |()| Reply::Return(0))))
    }

    /// Who hears of calls.
    pub fn calls(&mut self) -> &mut DeviceCalls {
        &mut self.calls
    }

    /// How a call is answered that a recording answers so, and whose memory is shown.
    fn replayed(&mut self, answer: Result<bool, Refusal>) -> Reply {
        let missing = match answer {
            Ok(true) => return Reply::Return(0),
            Ok(false) => return Reply::Errno(libc::ENOMEM),
            Err(Refusal::Error(errno)) => return Reply::Errno(errno),
            Err(Refusal::Missing(what)) => Missing::Call(what),
            Err(Refusal::Work(what)) => Missing::Card(what),
        };
        self.missing.push(missing);
        Reply::Errno(libc::ENODATA)
    }

    /// What the recording does not have, each thing once.
    pub fn take_missing(&mut self) -> Vec<Missing> {
        std::mem::take(&mut self.missing)
    }

    /// Wakes who waits for what has happened to the cards since the last time.
    pub fn deliver(&mut self, nodes: &mut Nodes, broker: &Broker) {
        let events = broker.events_since(&mut self.delivered);
        let Some(Ok(manager)) = self.manager.as_mut().filter(|_| !events.is_empty()) else { return };
        for event in events {
            if let Some(what) = figures::happening(&event) {
                let woken = manager.happened(event.card as usize, what);
                woken.into_iter().for_each(|file| nodes.wake(file));
            }
        }
    }

    /// How long until pages that clients have mapped are out of date, in milliseconds; -1: never.
    pub fn pages_due_in(&self) -> i32 {
        self.pages.due_in()
    }

    /// Brings them up to date, if it is time.
    pub fn keep_pages(&mut self, broker: &mut Broker) {
        if let Some(Ok(manager)) = self.manager.as_mut().filter(|_| self.pages.are_due()) {
            figures::tell(manager, broker);
            self.pages.write(manager);
        }
    }

    /// Lets the driver hear of what was closed.
    pub fn settle(&mut self, nodes: &mut Nodes) {
        if let Some(Ok(manager)) = &mut self.manager {
            nodes.settle(manager);
            tracing::debug!("the driver holds {:?}", manager.held());
        }
    }

    /// What was refused because nobody has taught it, each thing once.
    pub fn take_unknown(&mut self) -> Vec<String> {
        let Some(Ok(manager)) = &self.manager else { return Vec::new() };
        let unknown = manager.unknown();
        if std::mem::replace(&mut self.told, unknown.len()) == unknown.len() {
            return Vec::new();
        }
        // They are sorted, so a new one may be anywhere; there are few.
        unknown.map(str::to_owned).collect()
    }
}

/// The driver for the session's card, or why there is none.
fn start<'a>(
    manager: &'a mut Option<Result<ResourceManager, String>>,
    card: &Card,
) -> Result<&'a mut ResourceManager, &'a str> {
    // A look at the nodes must not choose: of the libraries that decide none may have been opened yet.
    if !card.is_settled() {
        return Err("no card is named or has been chosen yet");
    }
    let manager = manager.get_or_insert_with(|| emulate(card));
    manager.as_mut().map_err(|why| why.as_str())
}

fn emulate(card: &Card) -> Result<ResourceManager, String> {
    let announcement = card.announce();
    let profile = card.chosen().map_or("", |profile| profile.key);
    // Of a card whose calls a recording answers the page of figures is all that is asked.
    let facts = facts(profile)
        .or_else(|| card.is_recorded().then(Facts::default))
        .ok_or_else(|| format!("what a driver tells of `--gpu {profile}` has not been recorded"))?;
    let place = |(index, description): (usize, &_)| {
        Emulated::new(*description, card.unit(description, index), &facts)
    };
    let cards = announcement.devices.iter().enumerate().map(place).collect();
    ResourceManager::new(device::DRIVER_VERSION, cards).map_err(|error| error.to_string())
}

/// The asker, as the resource manager wants to see it.
struct Asker<'a> {
    request: &'a Request,
    tgid: i32,
    nodes: &'a mut Nodes,
    pages: &'a mut Pages,
    broker: &'a mut Broker,
}

impl Asker<'_> {
    /// Lets a descriptor show what a recorded call mapped. False: that cannot be.
    fn show_recorded(&mut self, shows: Shows) -> bool {
        match shows {
            Shows::Figures { descriptor, card } => self.show(descriptor, card),
            Shows::Zeros { descriptor, length } => {
                let Some(inode) = self.inode(descriptor) else { return false };
                let zeros = shown::zeros(length);
                let shown = zeros.and_then(|zeros| {
                    self.nodes.shown.show(self.request, (self.tgid, descriptor), inode, &zeros)
                });
                shown.is_ok()
            }
        }
    }

    /// Which of our open files a descriptor of its stands for.
    fn inode(&self, descriptor: i32) -> Option<u64> {
        let link = procfs::read_link(&format!("{}/fd/{descriptor}", self.request.tid)).ok()?;
        let link = link.to_str()?;
        let inode = match link.strip_prefix("socket:[") {
            Some(rest) => rest.strip_suffix(']')?.parse().ok()?,
            None if shown::is_page(link) => self.nodes.shown.find(self.tgid, descriptor)?,
            None => return None,
        };
        self.nodes.knows(inode).then_some(inode)
    }
}

impl CallerMemory for Asker<'_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        bytes.is_empty() || Memory::of(self.request.tid).read_bytes(RemotePtr::new(address), bytes).is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let memory = Memory::of(self.request.tid);
        // Of one that was killed meanwhile the number may be another's, whose memory this is not.
        bytes.is_empty()
            || self.request.is_alive() && memory.write_bytes(RemotePtr::new(address), bytes).is_ok()
    }
}

impl Caller for Asker<'_> {
    fn file(&mut self, descriptor: i32) -> Option<FileId> {
        self.inode(descriptor).and_then(|inode| self.nodes.file(inode))
    }

    fn has_open(&mut self, card: usize) -> bool {
        let is_it = |descriptor| {
            let inode = self.inode(descriptor)?;
            self.nodes.node(inode)
        };
        procfs::descriptors(self.tgid).into_iter().any(|number| is_it(number) == Some(Node::Gpu(card)))
    }

    fn show(&mut self, descriptor: i32, card: usize) -> bool {
        let Some(inode) = self.inode(descriptor) else { return false };
        let page = self.pages.page(card);
        let shown =
            page.and_then(|page| self.nodes.shown.show(self.request, (self.tgid, descriptor), inode, page));
        if let Err(error) = &shown {
            tracing::warn!("thread {} cannot map the card's figures: {error}", self.request.tid);
        }
        shown.is_ok()
    }

    fn order(&mut self, card: usize, order: Order) -> Result<(), u32> {
        let card = card as u32;
        let answer = match order {
            Order::Set(setting, values) => self.broker.set(self.tgid as u32, card, setting, values),
            Order::ClearErrors(counter) => self.broker.clear_errors(card, counter),
            Order::ClearAccounts => self.broker.clear_accounts(card),
            Order::Reset => self.broker.reset(self.tgid as u32, card),
        };
        answer.map_err(|refused| match refused {
            Status::NotSupported => status::NV_ERR_NOT_SUPPORTED,
            Status::Invalid => status::NV_ERR_INVALID_ARGUMENT,
            Status::Lost => status::NV_ERR_GPU_IS_LOST,
            Status::OutOfMemory => status::NV_ERR_NO_MEMORY,
            Status::Unavailable => status::NV_ERR_IN_USE,
            _ => status::NV_ERR_INVALID_STATE,
        })
    }

    fn accounts(&mut self, card: usize) -> Vec<Accounted> {
        self.broker.accounts(card as u32)
    }

    fn process(&self) -> u32 {
        self.tgid as u32
    }

    fn is_administrator(&self) -> bool {
        let capabilities = procfs::status_field(self.request.tid, "CapEff");
        let set = capabilities.and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(0);
        set & 1 << CAP_SYS_ADMIN != 0
    }
}

/// An overlay's node. One that nobody emulates is never opened.
pub fn node(found: &Found) -> Node {
    match found {
        Found::Gpu(minor) => Node::Gpu(*minor as usize),
        Found::UnifiedMemory => Node::UnifiedMemory,
        Found::Control | Found::Capability(_) | Found::Raw(_) => Node::Control,
    }
}

/// linux/capability.h
const CAP_SYS_ADMIN: u32 = 21;
