//! Watching one worker's blocks.

use std::collections::HashMap;
use std::sync::Arc;

use interpreter::Kernel;
use interpreter::watch::{Deed, Instruction, Layout, Place, Touch, WatchBlock};

use crate::Checker;
use crate::allocations::{Allocation, Kind};
use crate::findings::{Found, bytes, instruction_text};
use crate::races::{Race, Races};
use crate::shared::Shared;

/// Kinds of findings; a number of each makes part of a finding's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Error {
    Outside,
    Misaligned,
    Unwritten,
    /// Told once for each kernel: those that fill tiles in part and throw away what comes of the rest read so at many places.
    UnwrittenShared,
    Race,
}

/// See the module's text.
pub struct BlockCheck<'a> {
    checker: &'a Checker,
    kernel: Arc<Kernel>,
    layout: Layout,
    index: [u32; 3],
    shared: Shared,
    races: Option<Races>,
    /// The running instruction.
    instruction: Option<Instruction>,
    /// The piece of memory that was touched last: mostly the next touch is there too.
    last: Option<Arc<Allocation>>,
    found: HashMap<(Error, u32, u32), Arc<Found>>,
}

impl<'a> BlockCheck<'a> {
    pub fn new(checker: &'a Checker, kernel: Arc<Kernel>, layout: Layout) -> BlockCheck<'a> {
        let races = checker.checks.race.then(|| Races::new(&layout, kernel.has_independent_threads()));
        BlockCheck {
            checker,
            kernel,
            layout,
            index: [0; 3],
            shared: Shared::new(layout, checker.checks.init),
            races,
            instruction: None,
            last: None,
            found: HashMap::new(),
        }
    }

    fn find(&mut self, address: u64) -> Option<Arc<Allocation>> {
        let known = self.last.as_ref().filter(|piece| piece.holds(address, 1) && !piece.is_freed());
        if known.is_none() {
            self.last = self.checker.allocations.find(address);
        }
        self.last.clone()
    }

    fn touch_device(&mut self, deed: Deed, touch: &Touch) -> bool {
        let checks = self.checker.checks;
        let piece = if checks.memory || checks.init { self.find(touch.address) } else { return true };
        let Some(piece) = piece.filter(|piece| piece.holds(touch.address, touch.size)) else {
            return !checks.memory || self.miss_device(deed, touch);
        };
        if checks.init {
            if deed != Deed::Write
                && let Some(place) = piece.unwritten(touch.address, touch.size)
            {
                let (at, place) = (format!("{:#x}", touch.address), place - touch.address);
                self.tell_unwritten(
                    Error::Unwritten,
                    deed,
                    touch,
                    (&at, place, &format!("allocation: {piece}")),
                );
            }
            if deed != Deed::Read {
                piece.write(touch.address, touch.size);
            }
        }
        true
    }

    /// An access that no piece holds.
    fn miss_device(&mut self, deed: Deed, touch: &Touch) -> bool {
        let checker = self.checker;
        let end = self.last.as_ref().map_or(touch.address, |piece| piece.end());
        let text = || {
            let wrong = checker.allocations.wrong_with(end);
            format!("memory: {} at {:#x}: {wrong}", deed_text(deed, touch.size), touch.address)
        };
        self.tell(Error::Outside, touch, text);
        (checker.is_mapped)(touch.address, touch.size)
    }

    fn touch_shared(&mut self, instruction: &Instruction, offset: u64, touch: &Touch) {
        let (checks, deed) = (self.checker.checks, instruction.deed);
        if !self.shared.holds(offset, touch.size) {
            if checks.memory {
                // Far from it the address says more.
                let at = match (offset as i64).unsigned_abs() < 1 << 31 {
                    true => format!("byte {} of shared memory", offset as i64),
                    false => format!("{:#x}, which is to be shared memory", touch.address),
                };
                let text = format!(
                    "memory: {} at {at}: outside of it\n  shared memory: {}",
                    deed_text(deed, touch.size),
                    self.shared.text()
                );
                self.tell(Error::Outside, touch, || text);
            }
            return;
        }
        if self.shared.is_reserved(offset, touch.size) {
            return;
        }
        if checks.init {
            if deed != Deed::Write
                && let Some(place) = self.shared.unwritten(offset, touch.size)
            {
                let (at, shared) = (
                    format!("byte {offset} of shared memory"),
                    format!("shared memory: {}", self.shared.text()),
                );
                self.tell_unwritten(Error::UnwrittenShared, deed, touch, (&at, place - offset, &shared));
            }
            if deed != Deed::Read {
                self.shared.write(offset, touch.size);
            }
        }
        let race =
            self.races.as_mut().and_then(|races| races.touch(deed, instruction.is_strong, offset, touch));
        if let Some(race) = race {
            self.tell_race(deed, touch, &race);
        }
    }

    fn touch_local(&mut self, deed: Deed, (offset, used): (u64, u64), touch: &Touch) {
        if self.checker.checks.memory && offset.saturating_add(touch.size) > used {
            let text = || {
                let past = offset.saturating_sub(used);
                format!(
                    "memory: {} at {:#x}: {} past the end of the thread's local memory, of which {} are in use",
                    deed_text(deed, touch.size),
                    touch.address,
                    bytes(past),
                    bytes(used)
                )
            };
            self.tell(Error::Outside, touch, text);
        }
    }

    fn tell_unwritten(
        &mut self,
        error: Error,
        deed: Deed,
        touch: &Touch,
        (at, byte, which): (&str, u64, &str),
    ) {
        let text = || {
            let whole = if touch.size == 1 { "which".into() } else { format!("whose byte {byte}") };
            format!("init: {} at {at}, {whole} nothing has written\n  {which}", deed_text(deed, touch.size))
        };
        self.tell(error, touch, text);
    }

    fn tell_race(&mut self, deed: Deed, touch: &Touch, race: &Race) {
        let other = thread_position(race.thread, self.layout.block);
        let (kernel, what) = (self.kernel.clone(), if race.wrote { "written" } else { "read" });
        let text = || {
            let with = match race.at_once {
                true => "another lane of the warp writes something else to at once".to_owned(),
                false => format!("another thread has {what} with nothing between that orders the two"),
            };
            format!(
                "race: {} at byte {} of shared memory, which {with}\n  other: thread {}, at {}",
                deed_text(deed, touch.size),
                race.offset,
                position_text(other),
                instruction_text(&kernel.describe(race.instruction))
            )
        };
        self.tell_with(Error::Race, race.instruction, touch, text);
    }

    fn tell(&mut self, error: Error, touch: &Touch, text: impl FnOnce() -> String) {
        self.tell_with(error, 0, touch, text);
    }

    /// Tells of the running instruction, or counts once more. `text`: what, and behind a line's end more of it.
    fn tell_with(&mut self, error: Error, other: u32, touch: &Touch, text: impl FnOnce() -> String) {
        let number = self.instruction.as_ref().map_or(0, Instruction::number);
        let part = if error == Error::UnwrittenShared { 0 } else { number };
        let key = (error, part, other);
        if let Some(found) = self.found.get(&key) {
            return found.again();
        }
        let whole = || {
            let text = text();
            let (what, more) = text.split_once('\n').unwrap_or((&text, ""));
            let thread = thread_position(touch.thread, self.layout.block);
            let mut whole = format!(
                "{what}\n  kernel `{}`, block {}, thread {}\n  at {}",
                self.kernel.name(),
                position_text(self.index),
                position_text(thread),
                instruction_text(&self.kernel.describe(number))
            );
            if !more.is_empty() {
                whole = format!("{whole}\n{more}");
            }
            whole
        };
        let global = (self.kernel.name().to_owned(), error as u32, part, other);
        let found = self.checker.findings.of(global, whole);
        self.found.insert(key, found);
    }
}

impl WatchBlock for BlockCheck<'_> {
    fn start(&mut self, index: [u32; 3]) {
        self.index = index;
        self.shared.start();
        if let Some(races) = &mut self.races {
            races.start();
        }
    }

    fn step(&mut self, instruction: Instruction) {
        if let Some(races) = &mut self.races {
            races.step(&instruction);
        }
        self.instruction = Some(instruction);
    }

    fn touch(&mut self, touch: &Touch) -> bool {
        let Some(instruction) = self.instruction else { return true };
        let deed = instruction.deed;
        if self.checker.checks.memory && !touch.address.is_multiple_of(touch.align) {
            let text = || {
                format!(
                    "memory: {} at {:#x}, which is no multiple of {}",
                    deed_text(deed, touch.size),
                    touch.address,
                    touch.align
                )
            };
            self.tell(Error::Misaligned, touch, text);
        }
        if (instruction.is_strong || deed == Deed::Atomic)
            && let Some(races) = &mut self.races
        {
            races.synchronises(touch.address, touch.thread);
        }
        match touch.place {
            Place::Device => return self.touch_device(deed, touch),
            Place::Shared(offset) => self.touch_shared(&instruction, offset, touch),
            Place::Local { offset, used } => self.touch_local(deed, (offset, used), touch),
            Place::Other(true) => {}
            Place::Other(false) => {
                let text = || {
                    format!(
                        "memory: {} at {:#x}: outside of the launch's parameters",
                        deed_text(deed, touch.size),
                        touch.address
                    )
                };
                if self.checker.checks.memory {
                    self.tell(Error::Outside, touch, text);
                }
            }
        }
        true
    }

    fn touch_row(&mut self, address: u64, bytes: u64) -> bool {
        let checks = self.checker.checks;
        let Some(instruction) = self.instruction.filter(|it| !it.is_strong && it.deed != Deed::Atomic) else {
            return false;
        };
        if !checks.memory && !checks.init {
            return true;
        }
        let Some(piece) = self.find(address).filter(|piece| piece.holds(address, bytes)) else {
            return false;
        };
        match instruction.deed {
            _ if !checks.init => true,
            Deed::Read => piece.unwritten(address, bytes).is_none(),
            _ => {
                piece.write(address, bytes);
                true
            }
        }
    }

    fn arrives(&mut self, warp: u32, barrier: usize) {
        if let Some(races) = &mut self.races {
            races.arrives(warp, barrier);
        }
    }

    fn leaves(&mut self, warp: u32, barrier: usize, waited_for_all: bool) {
        if let Some(races) = &mut self.races {
            races.leaves(warp, barrier, waited_for_all);
        }
    }

    fn ends(&mut self, warp: u32) {
        if let Some(races) = &mut self.races {
            races.ends(warp);
        }
    }

    fn completed(&mut self, barrier: usize) {
        if let Some(races) = &mut self.races {
            races.completed(barrier);
        }
    }

    fn meets(&mut self, warp: u32, lanes: u32) {
        if let Some(races) = &mut self.races {
            races.meets(warp, lanes);
        }
    }

    fn taken(&mut self, address: u64, bytes: u64) {
        self.checker.allocated(address, bytes, Kind::Malloc);
    }

    fn given(&mut self, address: u64) {
        self.checker.freed(address);
    }
}

fn deed_text(deed: Deed, size: u64) -> String {
    let what = match deed {
        Deed::Read => "read",
        Deed::Write => "write",
        Deed::Atomic => "atomic operation",
    };
    format!("{what} of {}", bytes(size))
}

fn thread_position(thread: u32, [x, y, _]: [u32; 3]) -> [u32; 3] {
    [thread % x, thread / x % y, thread / x / y]
}

fn position_text([x, y, z]: [u32; 3]) -> String {
    format!("({x}, {y}, {z})")
}
