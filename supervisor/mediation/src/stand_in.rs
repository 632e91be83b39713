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
