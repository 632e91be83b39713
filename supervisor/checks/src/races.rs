//! Races in a block's shared memory: who touched each byte last, and what orders whom.
//!
//! The interpreter runs a block's instructions one after the other; each has a *step*, which only grows. A thread knows of another
//! warp's deeds up to some step: barriers and atomics raise it (vector clocks, one entry for each pair of warps). A deed that
//! lies behind what a thread knows of its doer is not ordered before the thread's own. Of reads since the last write two by
//! different threads are kept, so of races with reads some may be missed and none is made up.

use std::collections::HashMap;

use interpreter::watch::{Deed, Instruction, Layout, Touch};

const LANES: usize = 32;
const WARPS: usize = 32;
const BARRIERS: usize = 16;
/// Addresses through which threads may have learned of each other that are told apart.
const MOST_MEETING_PLACES: usize = 1 << 14;

/// For each warp, the step up to which its deeds are known.
type Known = [u32; WARPS];

/// A deed.
#[derive(Clone, Copy, Default)]
struct Stamp {
    step: u32,
    /// The instruction's number.
    instruction: u32,
    thread: u16,
    /// Volatile, or an atomic.
    is_strong: bool,
    /// A write that changed nothing.
    is_same: bool,
}

/// Who touched a byte.
#[derive(Clone, Copy, Default)]
struct Cell {
    write: Stamp,
    reads: [Stamp; 2],
}

/// Two deeds that nothing orders.
pub struct Race {
    /// The thread of the earlier one, its instruction, and whether it wrote.
    pub thread: u32,
    pub instruction: u32,
    pub wrote: bool,
    /// The byte of shared memory.
    pub offset: u64,
    /// Both are done by one instruction of a warp.
    pub at_once: bool,
}

/// One block after the other.
pub struct Races {
    cells: Vec<Cell>,
    step: u32,
    /// Steps up to this one are of earlier blocks.
    before: u32,
    known: Box<[Known; WARPS]>,
    /// What a barrier's arrivals knew.
    barriers: [Known; BARRIERS],
    /// What those knew that have ended: a barrier that does not wait for them counts them as having arrived.
    ended: Known,
    /// What threads knew that did an atomic, by its address.
    places: HashMap<u64, Known>,
    /// The same for all those for which there was no room.
    elsewhere: Option<Known>,
    /// Whether threads of a warp go their own ways: what each lane knows of each other one.
    lanes: Option<Vec<[[u32; LANES]; LANES]>>,
    /// The instruction of the running step, and what its lanes write.
    instruction: u32,
    values: [u64; LANES],
}

impl Races {
    pub fn new(layout: &Layout, independent: bool) -> Races {
        let warps = layout.block.iter().product::<u32>().div_ceil(LANES as u32) as usize;
        Races {
            cells: vec![Cell::default(); layout.shared as usize],
            step: 0,
            before: 0,
            known: Box::new([[0; WARPS]; WARPS]),
            barriers: [[0; WARPS]; BARRIERS],
            ended: [0; WARPS],
            places: HashMap::new(),
            elsewhere: None,
            lanes: independent.then(|| vec![[[0; LANES]; LANES]; warps]),
            instruction: 0,
            values: [0; LANES],
        }
    }

    /// A block begins: what was before it is known to all.
    pub fn start(&mut self) {
        // Steps begin anew, with cells that know of none, long before they would run out.
        if self.step > u32::MAX / 2 {
            self.cells.fill(Cell::default());
            self.step = 0;
        }
        self.before = self.step;
        for known in self.known.iter_mut() {
            known.fill(self.before);
        }
        self.barriers = [[0; WARPS]; BARRIERS];
        self.ended = [0; WARPS];
        self.places.clear();
        self.elsewhere = None;
        for lanes in self.lanes.iter_mut().flatten() {
            *lanes = [[self.before; LANES]; LANES];
        }
    }

    /// An instruction begins.
    pub fn step(&mut self, instruction: &Instruction) {
        self.step = self.step.saturating_add(1);
        self.instruction = instruction.number();
    }

    pub fn arrives(&mut self, warp: u32, barrier: usize) {
        let (own, joined) = (self.known[warp as usize], &mut self.barriers[barrier]);
        join(joined, &own);
        joined[warp as usize] = self.step;
    }

    /// `waited_for_all`: for all threads of the block that have not ended, rather than for a number of them.
    pub fn leaves(&mut self, warp: u32, barrier: usize, waited_for_all: bool) {
        let known = &mut self.known[warp as usize];
        join(known, &self.barriers[barrier]);
        if waited_for_all {
            join(known, &self.ended);
        }
        if let Some(lanes) = self.lanes.as_mut().and_then(|lanes| lanes.get_mut(warp as usize)) {
            *lanes = [[self.step; LANES]; LANES];
        }
    }

    pub fn ends(&mut self, warp: u32) {
        join(&mut self.ended, &self.known[warp as usize]);
        self.ended[warp as usize] = self.step;
    }

    pub fn completed(&mut self, barrier: usize) {
        self.barriers[barrier] = [0; WARPS];
    }

    /// Lanes have waited for each other: each knows what any of them knew.
    pub fn meets(&mut self, warp: u32, lanes: u32) {
        let step = self.step;
        let Some(all) = self.lanes.as_mut().and_then(|all| all.get_mut(warp as usize)) else { return };
        if lanes == u32::MAX {
            *all = [[step; LANES]; LANES];
            return;
        }
        let here = |lane: usize| lanes >> lane & 1 != 0;
        let mut joined = [0; LANES];
        for lane in (0..LANES).filter(|lane| here(*lane)) {
            for (known, other) in joined.iter_mut().zip(&all[lane]) {
                *known = (*known).max(*other);
            }
        }
        (0..LANES).filter(|lane| here(*lane)).for_each(|lane| joined[lane] = step);
        (0..LANES).filter(|lane| here(*lane)).for_each(|lane| all[lane] = joined);
    }

    /// A thread does something to a place, wherever it lies, that may tell it of others, and others of it.
    pub fn synchronises(&mut self, address: u64, thread: u32) {
        let (warp, lane) = (thread as usize / LANES, thread as usize % LANES);
        let has_room = self.places.len() < MOST_MEETING_PLACES || self.places.contains_key(&address);
        let place = match has_room {
            true => self.places.entry(address).or_insert([0; WARPS]),
            false => self.elsewhere.get_or_insert([0; WARPS]),
        };
        let known = &mut self.known[warp];
        let own = place[warp];
        join(known, place);
        join(place, known);
        place[warp] = self.step;
        if let Some(lanes) = self.lanes.as_mut().and_then(|lanes| lanes.get_mut(warp)) {
            lanes[lane].iter_mut().for_each(|known| *known = (*known).max(own));
        }
    }

    /// A thread touches a range: the first race with an earlier deed.
    pub fn touch(&mut self, deed: Deed, is_strong: bool, offset: u64, touch: &Touch) -> Option<Race> {
        let mine = Stamp {
            step: self.step,
            instruction: self.instruction,
            thread: touch.thread as u16,
            is_strong: is_strong || deed == Deed::Atomic,
            is_same: false,
        };
        self.values[touch.thread as usize % LANES] = touch.value;
        let mut race = None;
        for place in offset..offset.saturating_add(touch.size).min(self.cells.len() as u64) {
            let cell = self.cells[place as usize];
            // What is there by chance, before the block's first write, does not make that one vain.
            let is_same = deed == Deed::Write && touch.is_same && cell.write.step > self.before;
            let mine = Stamp { is_same, ..mine };
            if race.is_none() {
                race = self.race(&mine, deed, &cell, place);
            }
            self.cells[place as usize] = cell.after(mine, deed);
        }
        race
    }

    fn race(&self, mine: &Stamp, deed: Deed, cell: &Cell, offset: u64) -> Option<Race> {
        let earlier = |stamp: &Stamp, wrote| Race {
            thread: stamp.thread.into(),
            instruction: stamp.instruction,
            wrote,
            offset,
            at_once: stamp.step == mine.step,
        };
        let wrote = &cell.write;
        // A write that changes nothing is seen by nobody.
        let hidden = wrote.is_same || mine.is_same;
        if !hidden && self.is_unordered(wrote, mine, deed) {
            return Some(earlier(wrote, true));
        }
        if deed == Deed::Read || mine.is_same {
            return None;
        }
        cell.reads.iter().find(|read| self.is_unordered(read, mine, deed)).map(|read| earlier(read, false))
    }

    /// Whether nothing orders a deed before another one.
    fn is_unordered(&self, earlier: &Stamp, mine: &Stamp, deed: Deed) -> bool {
        let is_one = earlier.step <= self.before || earlier.thread == mine.thread;
        if is_one || earlier.is_strong && mine.is_strong {
            return false;
        }
        let [warp, lane] = [usize::from(mine.thread) / LANES, usize::from(mine.thread) % LANES];
        let [other_warp, other_lane] =
            [usize::from(earlier.thread) / LANES, usize::from(earlier.thread) % LANES];
        if earlier.step == mine.step {
            // Lanes of one instruction, of which one wins.
            return deed == Deed::Write && self.values[lane] != self.values[other_lane];
        }
        if warp != other_warp {
            return earlier.step > self.known[warp][other_warp];
        }
        self.lanes.as_ref().is_some_and(|lanes| earlier.step > lanes[warp][lane][other_lane])
    }
}

impl Cell {
    /// What is kept once a deed is done.
    fn after(mut self, mine: Stamp, deed: Deed) -> Cell {
        if deed == Deed::Read {
            let [first, _] = self.reads;
            self.reads = if first.thread == mine.thread { [mine, self.reads[1]] } else { [mine, first] };
            return self;
        }
        // Who changes nothing leaves those that did, and those that might have seen it, to be found.
        if mine.is_same {
            return self;
        }
        self.write = mine;
        self.reads = [Stamp::default(); 2];
        self
    }
}

fn join(target: &mut Known, other: &Known) {
    target.iter_mut().zip(other).for_each(|(known, other)| *known = (*known).max(*other));
}
