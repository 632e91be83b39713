//! Memory that was refused because of the limit: told once of each process, as many try again with less.

use std::collections::HashSet;

use crate::Mediator;

/// The first time that a process was refused memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// Bytes that it asked for.
    pub asked: u64,
    /// That were held then.
    pub held: u64,
    /// That may be held.
    pub limit: u64,
}

/// What is to be told, and of whom it was.
#[derive(Default)]
pub struct OverLimits {
    new: Option<OverLimit>,
    told: HashSet<i32>,
}

impl OverLimits {
    /// The number may be another's from now on.
    pub fn process_ended(&mut self, process: i32) {
        self.told.remove(&process);
    }
}

impl Mediator {
    /// A process gets no memory. `held`: bytes that are, of the card that it is about.
    pub(crate) fn refuse_memory(&mut self, process: i32, asked: u64, held: u64) {
        if let Some(limit) = self.ledger.limit()
            && self.over_limits.told.insert(process)
        {
            self.over_limits.new = Some(OverLimit { asked, held, limit });
        }
    }

    /// What the last call was refused because of the limit, if that was its process's first time.
    pub fn take_over_limit(&mut self) -> Option<OverLimit> {
        self.over_limits.new.take()
    }
}
