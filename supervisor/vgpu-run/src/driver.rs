//! The emulated kernel driver: what connects the resource manager with requests to the nodes.
//!
//! ```text
//!   ioctl(fd, …) ──▶ /proc/TID/fd/FD is `socket:[N]` ──▶ Nodes ──▶ ResourceManager ──▶ memory of the asker
//! ```
//!
//! Programs that speak to the nodes themselves can ask what there is, and make and free objects. What a card would have to work
//! for does not happen: nodes cannot be mapped, and no event comes.

use interception::{Reply, Request};
use overlay::{Answer, Node as Found, Outcome, Seen};
use resource_manager::{Caller, Card as Emulated, FileId, Node, ResourceManager, Unit, facts};
use tracee::{Memory, RemotePtr};

use crate::card::Card;
use crate::control::Nodes;

/// The driver of the session, once somebody has asked for it.
#[derive(Default)]
pub struct Driver {
    /// `Err`: why there is none for the session's card.
    manager: Option<Result<ResourceManager, String>>,
    /// How much of what it does not know has been told.
    told: usize,
}

impl Driver {
    /// Refuses the nodes that lead to the driver where there is none.
    pub fn permit(&mut self, outcome: Outcome, card: &Card) -> Outcome {
        match &outcome.answer {
            Answer::Node(node @ (Found::Gpu(_) | Found::UnifiedMemory)) if self.start(card).is_err() => {
                let refused = Found::Raw(node.path());
                Outcome { answer: refused.answer(), seen: Some(Seen::Node(refused)) }
            }
            _ => outcome,
        }
    }

    /// The driver for the session's card, or why there is none.
    fn start(&mut self, card: &Card) -> Result<&mut ResourceManager, &str> {
        // A look at the nodes must not choose: of the libraries that decide none may have been opened yet.
        if !card.is_settled() {
            return Err("no card is named or has been chosen yet");
        }
        let manager = self.manager.get_or_insert_with(|| emulate(card));
        manager.as_mut().map_err(|why| why.as_str())
    }

    /// Answers a request. None: it goes to a file that is none of `nodes`.
    pub fn ioctl(
        &mut self,
        request: &Request,
        tgid: i32,
        nodes: &mut Nodes,
        card: &Card,
    ) -> Option<Result<Reply, &str>> {
        let [descriptor, number, argument, ..] = request.arguments;
        let mut asker = Asker { tid: request.tid, tgid, nodes };
        let inode = asker.inode(descriptor as i32)?;
        let manager = match self.start(card) {
            Ok(manager) => manager,
            Err(why) => return Some(Err(why)),
        };
        asker.nodes.settle(manager);
        let file = asker.nodes.file(inode)?;
        let answer = manager.ioctl(file, number as u32, argument, &mut asker);
        Some(Ok(answer.map_or_else(|error| Reply::Errno(error.number()), |()| Reply::Return(0))))
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

fn emulate(card: &Card) -> Result<ResourceManager, String> {
    let announcement = card.announce();
    let profile = card.chosen().map_or("", |profile| profile.key);
    let facts = facts(profile)
        .ok_or_else(|| format!("what a driver tells of `--gpu {profile}` has not been recorded"))?;
    let place = |(index, description): (usize, &_)| {
        Emulated::new(*description, Unit::emulated(description, index as u32), &facts)
    };
    let cards = announcement.devices.iter().enumerate().map(place).collect();
    ResourceManager::new(device::DRIVER_VERSION, cards).map_err(|error| error.to_string())
}

/// The asker, as the resource manager wants to see it.
struct Asker<'a> {
    tid: i32,
    tgid: i32,
    nodes: &'a mut Nodes,
}

impl Asker<'_> {
    /// Which of our open files a descriptor of its stands for.
    fn inode(&self, descriptor: i32) -> Option<u64> {
        let link = procfs::read_link(&format!("{}/fd/{descriptor}", self.tid)).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        self.nodes.knows(inode).then_some(inode)
    }
}

impl Caller for Asker<'_> {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        bytes.is_empty() || Memory::of(self.tid).read_bytes(RemotePtr::new(address), bytes).is_ok()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        bytes.is_empty() || Memory::of(self.tid).write_bytes(RemotePtr::new(address), bytes).is_ok()
    }

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

    fn process(&self) -> u32 {
        self.tgid as u32
    }

    fn is_administrator(&self) -> bool {
        let capabilities = procfs::status_field(self.tid, "CapEff");
        let set = capabilities.and_then(|text| u64::from_str_radix(&text, 16).ok()).unwrap_or(0);
        set & 1 << CAP_SYS_ADMIN != 0
    }
}

/// An overlay's node. One that nobody emulates is never opened.
pub fn node(found: &Found) -> Node {
    match found {
        Found::Gpu(minor) => Node::Gpu(*minor as usize),
        Found::UnifiedMemory => Node::UnifiedMemory,
        Found::Control | Found::Raw(_) => Node::Control,
    }
}

/// linux/capability.h
const CAP_SYS_ADMIN: u32 = 21;
