//! Races in a block's shared memory: who touched each byte last, and what orders whom.
//!
//! The interpreter runs a block's instructions one after the other; each has a *step*, which only grows. A thread knows of another
//! warp's deeds up to some step: barriers and atomics raise it (vector clocks, one entry for each pair of warps). A deed that
//! lies behind what a thread knows of its doer is not ordered before the thread's own. Of reads since the last write two by
//! different warps are kept, so of races with reads some may be missed and none is made up.

use std::collections::HashMap;

use interpreter::watch::{Deed, Instruction, Layout, Touch};

const LANES: usize = 32;
const WARPS: usize = 32;
const BARRIERS: usize = 16;
/// Bytes of a word, which most accesses touch as a whole.
const WORD: usize = 4;
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
    /// The thread, and the two flags below: words only, since they are copied all the time.
    doer: u32,
}

/// Volatile, or an atomic.
const STRONG: u32 = 1 << 16;
/// A write that changed nothing.
const SAME: u32 = 1 << 17;

impl Stamp {
    fn thread(self) -> usize {
        (self.doer & 0xffff) as usize
    }

    fn warp(self) -> usize {
        self.thread() / LANES
    }

    fn has(self, flag: u32) -> bool {
        self.doer & flag != 0
    }
}

/// Who touched a byte: its last writer, and readers since, the last one first, of two warps if there were so many.
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
    /// For each word, unless its bytes were touched one by one; then for each byte.
    words: Vec<Cell>,
    bytes: Vec<Cell>,
    is_split: Vec<bool>,
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
    /// For each warp, the step at which all its lanes were together last, and know of each other's deeds.
    together: [u32; WARPS],
    /// The instruction of the running step, and what its lanes write.
    instruction: u32,
    values: [u64; LANES],
}

impl Races {
    pub fn new(layout: &Layout, independent: bool) -> Races {
        let warps = layout.block.iter().product::<u32>().div_ceil(LANES as u32) as usize;
        Races {
            words: vec![Cell::default(); layout.shared.div_ceil(WORD as u64) as usize],
            bytes: vec![Cell::default(); layout.shared as usize],
            is_split: vec![false; layout.shared.div_ceil(WORD as u64) as usize],
            step: 0,
            before: 0,
            known: Box::new([[0; WARPS]; WARPS]),
            barriers: [[0; WARPS]; BARRIERS],
            ended: [0; WARPS],
            places: HashMap::new(),
            elsewhere: None,
            together: [0; WARPS],
            lanes: independent.then(|| vec![[[0; LANES]; LANES]; warps]),
            instruction: 0,
            values: [0; LANES],
        }
    }

    /// A block begins: what was before it is known to all.
    pub fn start(&mut self) {
        // Steps begin anew, with cells that know of none, long before they would run out.
        if self.step > u32::MAX / 2 {
            self.words.fill(Cell::default());
            self.bytes.fill(Cell::default());
            self.lanes.iter_mut().flatten().for_each(|known| *known = [[0; LANES]; LANES]);
            (self.together, self.step) = ([0; WARPS], 0);
        }
        self.before = self.step;
        // What words have from now on is of earlier blocks, whether or not their bytes were told apart.
        self.is_split.fill(false);
        for known in self.known.iter_mut() {
            known.fill(self.before);
        }
        self.barriers = [[0; WARPS]; BARRIERS];
        self.ended = [0; WARPS];
        self.places.clear();
        self.elsewhere = None;
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
        self.together[warp as usize] = self.step;
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
        if lanes == u32::MAX {
            self.together[warp as usize] = step;
            return;
        }
        let Some(all) = self.lanes.as_mut().and_then(|all| all.get_mut(warp as usize)) else { return };
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
        let strong = if is_strong || deed == Deed::Atomic { STRONG } else { 0 };
        let mine = Stamp { step: self.step, instruction: self.instruction, doer: touch.thread | strong };
        self.values[touch.thread as usize % LANES] = touch.value;
        let end = offset.saturating_add(touch.size).min(self.bytes.len() as u64) as usize;
        let (mut place, mut race) = (offset as usize, None);
        while place < end {
            let word = place / WORD;
            let is_whole = place % WORD == 0 && end - place >= WORD && !self.is_split[word];
            if !is_whole {
                self.split(word);
            }
            let cell = if is_whole { &self.words[word] } else { &self.bytes[place] };
            // What another lane has just read, this one may read as well.
            let is_known = deed == Deed::Read && cell.reads[0].step == self.step && self.lanes.is_none();
            if !is_known {
                // What is there by chance, before the block's first write, does not make that one vain.
                let is_same = deed == Deed::Write && touch.is_same && cell.write.step > self.before;
                let mine = Stamp { doer: mine.doer | if is_same { SAME } else { 0 }, ..mine };
                if race.is_none() {
                    race = self.race(mine, deed, cell, place as u64);
                }
                let cell = if is_whole { &mut self.words[word] } else { &mut self.bytes[place] };
                cell.note(mine, deed);
            }
            place += if is_whole { WORD } else { 1 };
        }
        race
    }

    /// From now on the bytes of a word are looked at one by one.
    fn split(&mut self, word: usize) {
        if !self.is_split[word] {
            self.is_split[word] = true;
            let end = ((word + 1) * WORD).min(self.bytes.len());
            self.bytes[word * WORD..end].fill(self.words[word]);
        }
    }

    #[inline]
    fn race(&self, mine: Stamp, deed: Deed, cell: &Cell, offset: u64) -> Option<Race> {
        let earlier = |stamp: Stamp, wrote| Race {
            thread: stamp.thread() as u32,
            instruction: stamp.instruction,
            wrote,
            offset,
            at_once: stamp.step == mine.step,
        };
        // A write that changes nothing is seen by nobody.
        let is_hidden = cell.write.has(SAME) || mine.has(SAME);
        if !is_hidden && self.is_unordered(cell.write, mine, deed) {
            return Some(earlier(cell.write, true));
        }
        if deed == Deed::Read || mine.has(SAME) {
            return None;
        }
        cell.reads.iter().find(|read| self.is_unordered(**read, mine, deed)).map(|read| earlier(*read, false))
    }

    /// Whether nothing orders a deed before another one.
    #[inline]
    fn is_unordered(&self, earlier: Stamp, mine: Stamp, deed: Deed) -> bool {
        let is_one = earlier.step <= self.before || earlier.thread() == mine.thread();
        if is_one || earlier.has(STRONG) && mine.has(STRONG) {
            return false;
        }
        let (lane, other_lane) = (mine.thread() % LANES, earlier.thread() % LANES);
        if earlier.step == mine.step {
            // Lanes of one instruction, of which one wins.
            return deed == Deed::Write && self.values[lane] != self.values[other_lane];
        }
        if mine.warp() != earlier.warp() {
            return earlier.step > self.known[mine.warp()][earlier.warp()];
        }
        let known = |lanes: &Vec<[[u32; LANES]; LANES]>| lanes[mine.warp()][lane][other_lane];
        self.lanes.as_ref().is_some_and(|lanes| earlier.step > known(lanes).max(self.together[mine.warp()]))
    }
}

impl Cell {
    /// A deed is done.
    #[inline]
    fn note(&mut self, mine: Stamp, deed: Deed) {
        if deed == Deed::Read {
            if self.reads[0].warp() != mine.warp() {
                self.reads[1] = self.reads[0];
            }
            self.reads[0] = mine;
        } else if !mine.has(SAME) {
            // Who changes nothing leaves those that did, and those that might have seen it, to be found.
            *self = Cell { write: mine, reads: [Stamp::default(); 2] };
        }
    }
}

fn join(target: &mut Known, other: &Known) {
    target.iter_mut().zip(other).for_each(|(known, other)| *known = (*known).max(*other));
}
