//! The machine: two cards, and files that stand for its nodes.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use mediation::{Card, Node};
use nvidia_abi::Abi;

pub const VERSION: &str = "580.159.04";
/// Files of these names and numbers stand for the nodes.
pub const NODES: [(&str, (u32, u32), Node); 5] = [
    ("/dev/null", (1, 3), Node::Control),
    ("/dev/zero", (1, 5), Node::Gpu(0)),
    ("/dev/full", (1, 7), Node::Gpu(HIDDEN)),
    ("/dev/random", (1, 8), Node::UnifiedMemory),
    ("/dev/urandom", (1, 9), Node::Other),
];
/// The card that not all sessions have.
pub const HIDDEN: u32 = 1;
/// Of linux/fcntl.h.
const F_SETSIG: i32 = 10;
const F_GETSIG: i32 = 11;
/// In place of clients that have a file open: it is the mediator's own.
pub const MEDIATORS: i32 = 63;

/// What RM calls a card.
pub fn id(card: u32) -> u32 {
    (card + 1) << 8
}

pub fn uuid(card: u32) -> [u8; 16] {
    [card as u8 + 1; 16]
}

pub fn cards() -> Vec<Card> {
    let (place, model) = (|minor: u32| format!("0000:0{minor}:00.0"), String::new());
    let card = |minor: u32| Card { minor, uuid: uuid(minor), place: place(minor), model: model.clone() };
    (0..2).map(card).collect()
}

/// The tables; the first call reads them, before there are other processes.
pub fn abi() -> &'static Abi {
    static ABI: OnceLock<Abi> = OnceLock::new();
    ABI.get_or_init(|| Abi::of(VERSION).expect("a release of the tables"))
}

/// Opens what stands for a node, for the clients in a mask.
pub fn open(node: Node, clients: i32) -> File {
    let (path, ..) = NODES.iter().find(|(.., of)| *of == node).expect("all are there");
    let file = File::options().read(true).write(true).open(path).expect("everybody may");
    belongs_to(&file, clients);
    file
}

/// Notes who has an open file: as the signal that it would send, of which there are 64.
pub fn belongs_to(file: &File, clients: i32) {
    // SAFETY: the call takes numbers.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, clients) }, 0);
}

/// Who has it; none if there is no such descriptor.
pub fn owners(descriptor: RawFd) -> Option<i32> {
    // SAFETY: the call takes numbers.
    let owners = unsafe { libc::fcntl(descriptor, F_GETSIG) };
    (owners >= 0).then_some(owners)
}

/// What it is.
pub fn node_of(descriptor: RawFd) -> Option<Node> {
    // SAFETY: whatever it is, it is not closed here.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) }).metadata().ok()?;
    let numbers = (libc::major(file.rdev()), libc::minor(file.rdev()));
    NODES.iter().find(|(_, of, _)| *of == numbers).map(|(.., node)| *node)
}
