//! A mediator without NVIDIA's driver, for tests and fuzzing: other files stand for its nodes, and functions for the kernel.

use std::collections::{BTreeSet, HashSet};

use nvidia_abi::{Abi, UnknownVersion};

use crate::kernel::Kernel;
use crate::node::{Machine, Node};
use crate::{Choice, Driver, Mediator, cards};

/// What stands for a driver.
pub struct StandIn {
    /// Its release.
    pub version: &'static str,
    /// Devices, by their major and minor numbers; zeroes: any file that is none.
    pub nodes: Vec<((u32, u32), Node)>,
    /// Executes calls.
    pub kernel: Kernel,
}

/// What a mediator holds, in numbers; nothing of clients that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Processes that execute calls, also those that are about to end.
    pub workers: usize,
    /// Objects in the books.
    pub objects: usize,
    /// Bytes of all cards, with what is promised.
    pub bytes: u64,
    /// Calls that were put off.
    pub under_way: usize,
}

/// A value that a stand-in and whoever tests it both have, whichever processes they run in that begin from now on.
///
/// # Safety
/// Zeroes are a `T`, and others may change it at any time: it is made of atomics.
pub unsafe fn in_all_processes<T: Sync>() -> &'static T {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), protection, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    // SAFETY: as large as that and aligned to a page; it is never unmapped, and the rest is the caller's word.
    unsafe { &*start.cast() }
}

impl StandIn {
    /// All its cards are the session's.
    pub fn driver(self) -> Result<Driver, UnknownVersion> {
        let abi = Abi::of(self.version)?;
        let machine = Machine::of_files(self.version, self.nodes);
        Ok(Driver::of(abi, machine, Vec::new(), self.kernel))
    }
}

impl Driver {
    /// One without a node.
    pub fn of_tables(version: &'static str) -> Result<Self, UnknownVersion> {
        StandIn { version, nodes: Vec::new(), kernel: Kernel::OWN }.driver()
    }

    /// The session is to have the first ones of these cards only.
    pub fn choose_of(&mut self, first: usize, all: &[cards::Card]) {
        self.visible = Choice::First(first).of(all).ok();
    }
}

impl Mediator {
    /// What is held now.
    pub fn held(&mut self) -> Held {
        let (objects, bytes) = self.ledger.size();
        Held { workers: self.workers.count(), objects, bytes, under_way: self.under_way.len() }
    }

    /// The number of the process that executes a client's calls.
    pub fn worker_of(&self, client: i32) -> Option<i32> {
        self.clients.get(&client).map(|worker| worker.pid)
    }

    /// What is asked is noted from now on.
    pub fn learn(&mut self) {
        self.asked = Some(BTreeSet::new());
    }

    /// Nothing has been told, and nothing is limited otherwise than so.
    pub fn begin_again(&mut self, limit: Option<u64>) {
        (self.told, self.unknown) = (HashSet::new(), Vec::new());
        self.ledger.set_limit(limit);
    }
}
