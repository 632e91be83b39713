//! `vgpu-run --check`: what kernels do wrong with memory, in the spirit of NVIDIA's compute-sanitizer.
//!
//! With a check on, the engine runs every kernel in the interpreter, decoded so that each instruction tells what it is about to
//! touch ([`interpreter::watch`]). A [`Checker`] keeps *shadows* beside the memory and looks there; without checks none of this
//! exists, in code or in time. A check changes nothing that a program can see but the time that it takes: what is found is
//! told, and the access is made as without.
//!
//! ```text
//!   driver ── allocated, freed, written ─▶ Allocations: exact sizes, a bit per byte that was written
//!                                              ▲
//!   interpreter ── touches, barriers ──▶ BlockCheck ── shadow of shared memory: who touched each byte last, and when
//!                                              │
//!                                              ▼
//!                                          Findings ──▶ the engine's notes ──▶ the report
//! ```
//!
//! - **memory**: an access outside of every allocation, in freed memory, outside of shared or local memory, or at an address that
//!   is no multiple of its size; copies, fills and routines of cuBLAS beyond an allocation. Sizes are those that the program
//!   asked for; each variable of a module and each block of device `malloc` is an allocation of its own.
//! - **race**: two threads of a block touch a byte of shared memory, one of them writes and changes it, and nothing orders the
//!   two: no barrier that both took part in, no atomic through which one could learn of the other. Barriers are followed one by
//!   one (named ones, arrivals), so what is ordered is never told. Threads of one warp count as in lock step before capability 7.0;
//!   from there on they need `bar.warp.sync` or another instruction that waits for them. Volatile accesses, and those that say
//!   how they are ordered, do not race with each other.
//! - **init**: a read of device or shared memory that nothing wrote: no copy, no fill, no kernel. A copy passes on what its source
//!   was. Of shared memory a kernel's first such read is told, and all count: tiles that are filled in part are read whole by
//!   many kernels, which throw away what comes of the rest. Memory that others can write unseen (host, managed, imported, virtual memory) counts as written; so does what cuBLAS
//!   was given.
//!
//! - **leak**: device memory that the program has not freed when it ends: that of `cuMemAlloc`, and what arrays and textures take.
//!
//! A finding is told at its first occurrence, with kernel, block, thread, instruction, address and allocation; later ones at the
//! same instruction only count.

#![forbid(unsafe_code)]

mod allocations;
mod bits;
mod block;
mod findings;
mod races;
mod shared;

use std::str::FromStr;
use std::sync::Arc;

use allocations::Allocations;
pub use allocations::Kind;
use findings::Findings;
use interpreter::Kernel;
use interpreter::watch::{Layout, Watch, WatchBlock};

/// Which checks are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// See the module's text.
    pub memory: bool,
    /// See the module's text.
    pub race: bool,
    /// See the module's text.
    pub init: bool,
    /// See the module's text.
    pub leak: bool,
}

impl Checks {
    /// Whether there is any.
    pub fn any(self) -> bool {
        self.memory || self.race || self.init || self.leak
    }
}

impl FromStr for Checks {
    type Err = String;

    /// Names with commas between them.
    fn from_str(text: &str) -> Result<Checks, String> {
        let mut checks = Checks::default();
        for name in text.split(',').filter(|name| !name.is_empty()) {
            match name {
                "memory" => checks.memory = true,
                "race" => checks.race = true,
                "init" => checks.init = true,
                "leak" => checks.leak = true,
                other => return Err(format!("there is no check `{other}`")),
            }
        }
        Ok(checks)
    }
}

/// Answers whether there is memory, all of so many bytes at an address.
pub type IsMapped = dyn Fn(u64, u64) -> bool + Send + Sync;
/// Is told a finding's text, and how often it has occurred so far.
pub type Tell = dyn Fn(&str, u64) + Send + Sync;

/// Watches a process's kernels, and knows its memory.
pub struct Checker {
    checks: Checks,
    allocations: Allocations,
    findings: Findings,
    is_mapped: Box<IsMapped>,
}

impl Checker {
    /// One that knows no memory yet.
    pub fn new(checks: Checks, is_mapped: Box<IsMapped>, tell: Box<Tell>) -> Checker {
        Checker { checks, allocations: Allocations::default(), findings: Findings::new(tell), is_mapped }
    }

    /// The program has memory.
    pub fn allocated(&self, start: u64, length: u64, kind: Kind) {
        self.allocations.insert(start, length, kind, self.checks.init);
    }

    /// It has no longer what begins there, nor what is said to lie inside.
    pub fn freed(&self, start: u64) {
        self.allocations.remove(start);
    }

    /// A module's variables take the place of the memory that they lie in.
    pub fn placed(&self, place: u64, variables: impl Iterator<Item = (String, u64, u64)>) {
        self.allocations.divide(place);
        for (name, start, length) in variables {
            self.allocations.insert(start, length, Kind::Variable(name), false);
        }
    }

    /// Memory that device `malloc` gives away piece by piece.
    pub fn heap(&self, place: u64) {
        self.allocations.divide(place);
    }

    /// Something else than a kernel has written there.
    pub fn written(&self, start: u64, length: u64) {
        self.allocations.written(start, length);
    }

    /// Bytes were copied, and with them whether they had been written.
    pub fn copied(&self, target: u64, source: u64, length: u64) {
        self.allocations.copied(target, source, length);
    }

    /// Something else than a kernel is about to use a range.
    pub fn used(&self, what: &str, start: u64, length: u64) {
        if self.checks.memory
            && length != 0
            && let Some(wrong) = self.allocations.wrong_with_range(start, length)
        {
            let text = format!("memory: {what}: {length} bytes at {start:#x}: {wrong}");
            self.findings.tell_of_call(text);
        }
    }

    /// Something that was refused before it came here.
    pub fn refused(&self, text: &str) {
        if self.checks.memory {
            self.findings.tell_of_call(format!("memory: {text}"));
        }
    }

    /// The program has ended: tells what it has not freed.
    pub fn ended(&self) {
        if self.checks.leak {
            for piece in self.allocations.device() {
                self.findings.tell_of_call(format!("leak: {piece}, which was never freed"));
            }
        }
    }

    /// Tells how often findings have occurred by now.
    pub fn settle(&self) {
        self.findings.settle();
    }
}

impl Watch for Checker {
    fn block<'a>(&'a self, kernel: &Arc<Kernel>, layout: Layout) -> Box<dyn WatchBlock + 'a> {
        Box::new(block::BlockCheck::new(self, kernel.clone(), layout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_by_their_names() {
        let checks: Checks = "memory,init".parse().expect("known names");
        assert_eq!(checks, Checks { memory: true, init: true, ..Checks::default() });
        assert!("memory,luck".parse::<Checks>().is_err());
        assert!(!"".parse::<Checks>().expect("none").any());
    }
}
