//! Tier 1 as the interpreter sees it: machine code that runs a block, and what to do where that code stops.
//!
//! Compiled code runs the warps of a block one after the other from barrier to barrier (a *region*). Between regions the
//! warps' values lie in memory: what differs from lane to lane in the interpreter's own register file, what is the same for all
//! lanes, or the same but for a constant pattern, in one word each (a [`Spread`] tells how to get the register from it).
//!
//! ```text
//!   enter(frame, region, warp) ─▶ Done      all threads have ended
//!                              ─▶ Parted    the warps have come to different barriers: the interpreter ends the block
//!                              ─▶ Stopped   a warp has come to something that the code does not do (a stop): the interpreter
//!                                           takes this warp to its next barrier, and the code goes on behind it
//! ```
//!
//! So code may give up anywhere, with nothing lost but time. A stop is an instruction before which the interpreter's registers
//! can be made whole; [`Kernel`]s for compiled code are decoded with a block's beginning at each of them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::block::{Barriers, run_warp};
use crate::code::{BarrierKind, Kernel};
use crate::control_word::Control;
use crate::grid::Pace;
use crate::memory::Memory;
use crate::order::Shuffle;
use crate::registers::{FULL, LANES};
use crate::warp::{Fragment, Warp};

/// Runs the warps of a block from `warp` of a region on: `enter(frame, region, warp)` answers an [`Outcome`].
pub type Enter = unsafe extern "C" fn(*mut Frame, u32, u32) -> u32;

/// How an [`Enter`] comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All threads have ended.
    Done = 0,
    /// All warps have come to a barrier, but not to the same one.
    Parted = 1,
    /// A warp is at a stop.
    Stopped = 2,
    /// An instruction that the interpreter did for the code ([`step`]) has failed; the fault is with the warp.
    Failed = 3,
}

/// Fragments that a stopped warp can have.
pub const MOST_FRAGMENTS: usize = 64;
/// [`Place::next`] of a warp whose threads have all ended.
pub const ENDED: u32 = u32::MAX;

/// What compiled code reads and writes beside memory; one per block that is running. Its layout is part of the code.
#[repr(C)]
pub struct Frame {
    /// Start of the launch's parameters.
    pub parameters: u64,
    /// Shared memory of the block.
    pub shared: u64,
    /// Its bytes.
    pub shared_bytes: u64,
    /// Local memory of the block's first thread.
    pub local: u64,
    /// Device memory: where it starts.
    pub window: u64,
    /// Bits that an offset into it can't have.
    pub outside: u64,
    /// Addresses of the module's variables that the code names.
    pub symbols: *const u64,
    /// Memory that nobody else uses, for lanes that do not execute: 64 bytes.
    pub scratch: *mut u8,
    /// The block's warps.
    pub warps: *mut Place,
    /// Masks of lanes that wait, by block of the code; zero where nobody waits.
    pub pending: *mut u32,
    /// Of each tile of the code and each warp, where it began the last time: what to fetch ahead is guessed from it.
    pub tiles: *mut u64,
    /// Barriers that warps of the running region have come to, a bit for each.
    pub seen: u64,
    /// How many warps there are.
    pub count: u32,
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: u32,
    /// The block's place in the grid.
    pub index: [u32; 4],
    /// How many blocks, one after the other in x, are to be run behind it.
    pub left: u32,
    /// Unused.
    pub reserved: u32,
    /// For [`step`]: the kernel, and the warps.
    pub kernel: *const Kernel,
    /// See `kernel`.
    pub interpreted: *mut std::ffi::c_void,
    /// The block's memory, which knows its place for the interpreter.
    pub memory: *mut std::ffi::c_void,
    /// The grid.
    pub grid: [u32; 4],
    /// After a stop: which region, which warp, which stop.
    pub region: u32,
    /// See `region`.
    pub warp: u32,
    /// See `region`.
    pub stop: u32,
    /// How many fragments the warp has.
    pub fragments: u32,
    /// They: an instruction, and the lanes that are there.
    pub fragment: [[u32; 2]; MOST_FRAGMENTS],
    /// How often [`step`] was called.
    pub stepped: u64,
    /// For code that runs warps in an order of its own ([`Compiled::order`]): by region, the warps.
    pub order: *const u32,
}

impl Frame {
    /// Lets the interpreter know the block of the row that is running.
    fn tell_place(&mut self) {
        let [x, y, z, _] = self.index;
        // SAFETY: the room's own memory, which `Native::run` was given; the interpreter reads it only when it is called next.
        unsafe { (*self.memory.cast::<Memory>()).index = [x, y, z] };
    }
}

/// Where a warp's values lie.
#[repr(C)]
pub struct Place {
    /// Its register file.
    pub registers: *mut u8,
    /// Words of [`Spread`] registers.
    pub words: *mut u64,
    /// The region that it runs next, or [`ENDED`]; not written where that is known ([`Leads`]).
    pub next: u32,
    /// Lanes that have not ended, where a block's last warp is a part of one ([`Compiled::last_lanes`]); code puts them there at the block's
    /// beginning.
    pub lanes: u32,
    /// Keeps the size a power of two.
    pub reserved: [u32; 2],
}

/// Width of a register in the register file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// A bit per lane, in one word.
    Predicate,
    /// Four bytes per lane.
    Narrow,
    /// Eight bytes per lane.
    Wide,
}

/// A register that compiled code keeps as one word.
#[derive(Clone, Debug)]
pub struct Spread {
    /// Its place in the register file, in bytes.
    pub offset: u32,
    /// Its width there.
    pub width: Width,
    /// Index of its word.
    pub word: u32,
    /// Whether the interpreter has it otherwise, and code's word may not be written: from the start ([`Plan::kept`](crate::Plan::kept)), or by
    /// computing it ([`Region::recomputed`]).
    pub kept: bool,
    /// What each lane has more than the word; `None`: nothing.
    pub pattern: Option<Arc<[i64; LANES]>>,
}

/// A place where code gives up.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Registers to make whole.
    pub spread: Vec<Spread>,
}

/// What runs between two barriers.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its first instruction.
    pub entry: u32,
    /// The barrier before it; none before the first region, and before loops in which warps take turns.
    pub barrier: Option<u32>,
    /// Registers that it finds as words.
    pub spread: Vec<Spread>,
    /// Instructions that make registers which it computes anew, and which are nowhere before.
    pub recomputed: Vec<u32>,
    /// Where its warps go.
    pub leads: Leads,
    /// Whether no warp can have ended before it.
    pub is_whole: bool,
}

impl Region {
    /// Whether it is a loop in which warps take turns.
    fn has_turns(&self, number: u32) -> bool {
        number > 0 && self.barrier.is_none()
    }
}

/// Where the warps of a region go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// All to the same next region. Code does not write [`Place::next`], as it can be nothing else.
    Region(u32),
    /// All to their end, with as little record.
    End,
    /// To one of several places: each warp's [`Place::next`] says which.
    Open,
}

/// What the interpreter did for compiled code.
#[derive(Default)]
pub struct Helped {
    /// Single instructions, one warp each.
    pub stepped: AtomicU64,
    /// Warps that it took to their next barrier, or to their end.
    pub stops: AtomicU64,
}

/// A kernel compiled for one shape of its blocks.
pub struct Compiled {
    /// The kernel, decoded with a block at every stop.
    pub kernel: Arc<Kernel>,
    /// The code.
    pub enter: Enter,
    /// By number.
    pub stops: Vec<Stop>,
    /// By number; the kernel begins in the first.
    pub regions: Vec<Region>,
    /// What [`Frame::symbols`] points to.
    pub symbols: Vec<u64>,
    /// Words of spread registers that a warp needs.
    pub words: usize,
    /// Lanes of a block's last warp. If that is a part of one, code has warps without some of their lanes, also behind barriers.
    pub last_lanes: u32,
    /// Masks that [`Frame::pending`] needs.
    pub pending: usize,
    /// Tiles that [`Frame::tiles`] has for each warp.
    pub tiles: usize,
    /// How often it had to be helped.
    pub helped: Helped,
    /// How many blocks to run per call.
    pub pace: Pace,
    /// Where a test has forced code to run warps in a random order, another one in each region: what decides it.
    pub order: Option<u64>,
    /// Keeps the code mapped.
    pub owner: Box<dyn Any + Send + Sync>,
}

impl Compiled {
    /// Whether a block's last warp is a part of one.
    fn has_parts(&self) -> bool {
        self.last_lanes != FULL
    }
}

/// A block's memory for compiled code.
pub(crate) struct Native {
    frame: Box<Frame>,
    places: Vec<Place>,
    order: Option<Order>,
    _words: Vec<u64>,
    _pending: Vec<u32>,
    _tiles: Vec<u64>,
    _scratch: Box<[u64; 8]>,
}

/// The order in which code runs warps, if it is random.
struct Order {
    shuffle: Shuffle,
    /// By region, warps.
    warps: Vec<u32>,
    /// How many there are.
    count: usize,
}

impl Order {
    fn new(seed: u64, compiled: &Compiled, count: usize) -> Order {
        let warps = vec![0; count * compiled.regions.len()];
        Order { shuffle: Shuffle::of(seed, &compiled.kernel), warps, count }
    }

    /// Chooses anew, for the next row of blocks. What code has a pointer to stays where it is.
    fn choose(&mut self) {
        for region in self.warps.chunks_mut(self.count) {
            region.copy_from_slice(&self.shuffle.permutation(self.count));
        }
    }

    /// Which turn a warp has in a region.
    fn turn(&self, region: usize, warp: usize) -> usize {
        let mut list = self.warps[region * self.count..][..self.count].iter();
        list.position(|it| *it as usize == warp).expect("each warp has a turn")
    }
}

// SAFETY: the raw pointers mean memory that this struct and its room own, which move between threads together.
unsafe impl Send for Native {}

/// Where a block that compiled code was running is now.
pub(crate) enum Ran {
    /// At its end.
    Done,
    /// All its warps are with the interpreter.
    Handed,
}

impl Native {
    pub fn new(compiled: &Compiled, memory: &Memory, warps: &mut [Warp]) -> Native {
        let mut words = vec![0u64; compiled.words * warps.len()];
        let mut pending = vec![0u32; compiled.pending];
        let mut tiles = vec![0u64; compiled.tiles * warps.len()];
        let mut scratch = Box::new([0u64; 8]);
        let mut places: Vec<Place> = warps
            .iter_mut()
            .enumerate()
            .map(|(index, warp)| Place {
                registers: warp.register_file(),
                words: words[index * compiled.words..].as_mut_ptr(),
                next: 0,
                lanes: FULL,
                reserved: [0; 2],
            })
            .collect();
        let order = compiled.order.map(|seed| Order::new(seed, compiled, warps.len()));
        let [x, y, z] = memory.grid;
        // The largest power of two of bytes that fits: what lies above is the interpreter's to check.
        let inside = 1u64 << memory.window.bytes.checked_ilog2().unwrap_or(0);
        let frame = Box::new(Frame {
            parameters: memory.parameters.start,
            shared: memory.shared.start,
            shared_bytes: memory.shared.bytes,
            local: memory.local.start,
            window: memory.window.start,
            outside: !(inside - 1),
            symbols: compiled.symbols.as_ptr(),
            scratch: scratch.as_mut_ptr().cast(),
            warps: places.as_mut_ptr(),
            pending: pending.as_mut_ptr(),
            tiles: tiles.as_mut_ptr(),
            seen: 0,
            count: warps.len() as u32,
            dynamic_shared: memory.dynamic_shared,
            index: [0; 4],
            left: 0,
            reserved: 0,
            kernel: &raw const *compiled.kernel,
            interpreted: std::ptr::null_mut(),
            memory: std::ptr::null_mut(),
            grid: [x, y, z, 0],
            region: 0,
            warp: 0,
            stop: 0,
            fragments: 0,
            fragment: [[0; 2]; MOST_FRAGMENTS],
            stepped: 0,
            order: order.as_ref().map_or(std::ptr::null(), |order| order.warps.as_ptr()),
        });
        Native { frame, places, order, _words: words, _pending: pending, _tiles: tiles, _scratch: scratch }
    }

    /// Makes ready for `count` blocks in a row.
    pub fn start(&mut self, index: [u32; 3], count: u32) {
        self.frame.index = [index[0], index[1], index[2], 0];
        (self.frame.left, self.frame.seen) = (count - 1, 0);
        if let Some(order) = &mut self.order {
            order.choose();
        }
    }

    /// Which turn a warp has in a region.
    fn turn(&self, region: u32, warp: usize) -> usize {
        self.order.as_ref().map_or(warp, |order| order.turn(region as usize, warp))
    }

    /// The grid of another launch.
    pub fn set_grid(&mut self, [x, y, z]: [u32; 3]) {
        self.frame.grid = [x, y, z, 0];
    }

    /// The block that is running.
    pub fn index(&self) -> &[u32; 3] {
        self.frame.index.first_chunk().expect("four is more than three")
    }

    /// See [`Room::give_up_rest`](crate::block::Room::give_up_rest).
    pub fn give_up_rest(&mut self) -> u32 {
        std::mem::take(&mut self.frame.left)
    }

    /// Goes on to the next block of the row, if there is one.
    pub fn next_block(&mut self) -> bool {
        if self.frame.left == 0 {
            return false;
        }
        self.frame.left -= 1;
        self.frame.index[0] += 1;
        self.frame.seen = 0;
        true
    }

    /// Runs the row as far as compiled code can. A fault is left in its warp.
    pub fn run(
        &mut self,
        compiled: &Compiled,
        memory: *mut Memory,
        warps: &mut [Warp],
        barriers: &mut Barriers,
    ) -> Ran {
        let ran = self.enter(compiled, memory, warps, barriers);
        let stepped = std::mem::take(&mut self.frame.stepped);
        if stepped > 0 {
            compiled.helped.stepped.fetch_add(stepped, Ordering::Relaxed);
        }
        ran
    }

    fn enter(
        &mut self,
        compiled: &Compiled,
        memory: *mut Memory,
        warps: &mut [Warp],
        barriers: &mut Barriers,
    ) -> Ran {
        let (mut region, mut first) = (0, 0);
        self.frame.interpreted = warps.as_mut_ptr().cast();
        self.frame.memory = memory.cast();
        loop {
            // SAFETY: the code was made for this layout of the frame, and everything that the frame points to is alive.
            let outcome = unsafe { (compiled.enter)(&raw mut *self.frame, region, first) };
            if outcome == Outcome::Done as u32 {
                return Ran::Done;
            }
            if outcome == Outcome::Failed as u32 {
                return Ran::Handed;
            }
            if outcome == Outcome::Parted as u32 {
                compiled.helped.stops.fetch_add(warps.len() as u64, Ordering::Relaxed);
                self.hand_over(compiled, warps, None, 0);
                return Ran::Handed;
            }
            compiled.helped.stops.fetch_add(1, Ordering::Relaxed);
            let (stopped, number) = (self.frame.region, self.frame.warp as usize);
            self.take_over(compiled, &mut warps[number]);
            self.frame.tell_place();
            let yielded = run_warp(&compiled.kernel, &mut warps[number], barriers);
            barriers.set_live(number, warps[number].live);
            let back = !yielded
                && warps[number].fault.is_none()
                && self.give_back(compiled, &mut warps[number], barriers);
            if !back {
                compiled.helped.stops.fetch_add(warps.len() as u64 - 1, Ordering::Relaxed);
                self.hand_over(compiled, warps, Some(number), stopped);
                return Ran::Handed;
            }
            (region, first) = (stopped, self.turn(stopped, number) as u32 + 1);
        }
    }

    /// Makes a stopped warp the interpreter's.
    fn take_over(&mut self, compiled: &Compiled, warp: &mut Warp) {
        let place = &self.places[self.frame.warp as usize];
        warp.prepare(&compiled.kernel);
        for spread in &compiled.stops[self.frame.stop as usize].spread {
            write_out(spread, place);
        }
        let fragments = &self.frame.fragment[..self.frame.fragments as usize];
        let live = fragments.iter().fold(0, |live, [_, mask]| live | mask);
        warp.resume(live);
        for [instruction, mask] in fragments {
            warp.send(0, compiled.kernel.block_of(*instruction), *mask);
        }
    }

    /// Makes a warp that the interpreter has run the code's again, if it has ended, or come to a barrier as the code would.
    fn give_back(&mut self, compiled: &Compiled, warp: &mut Warp, barriers: &mut Barriers) -> bool {
        let place = &mut self.places[self.frame.warp as usize];
        let leads = compiled.regions[self.frame.region as usize].leads;
        if warp.live == 0 {
            place.next = ENDED;
            return !matches!(leads, Leads::Region(_));
        }
        let Some(fragment) = barriers.take_only(warp.index as usize) else { return false };
        let block = |region: &Region| compiled.kernel.block_of(region.entry);
        let here = |region: &Region| region.barrier.is_some() && block(region) == fragment.block;
        let Some(next) = compiled.regions.iter().position(here) else {
            barriers.put_back(warp.index as usize, fragment);
            return false;
        };
        let goes_there = leads == Leads::Open || leads == Leads::Region(next as u32);
        let expected = if compiled.has_parts() { warp.live } else { FULL };
        let mut spread = compiled.regions[next].spread.iter();
        if !goes_there || fragment.mask != expected || !spread.all(|spread| read_in(spread, place, expected))
        {
            barriers.put_back(warp.index as usize, fragment);
            return false;
        }
        (place.next, place.lanes) = (next as u32, expected);
        self.frame.seen |= 1 << next;
        true
    }

    /// Makes all warps the interpreter's, but one that has stopped in a region, if any has: else each is where it says.
    fn hand_over(&mut self, compiled: &Compiled, warps: &mut [Warp], except: Option<usize>, region: u32) {
        self.frame.tell_place();
        let last = except.map(|except| self.turn(region, except));
        let count = warps.len();
        for (number, warp) in warps.iter_mut().enumerate().filter(|(number, _)| Some(*number) != except) {
            let place = &self.places[number];
            warp.prepare(&compiled.kernel);
            let is_behind = last.is_some_and(|last| self.turn(region, number) > last);
            let next = match last {
                Some(_) => where_is(compiled, region, place, is_behind),
                None => place.next,
            };
            let lanes = match compiled.has_parts() {
                true if is_behind && region == 0 && number + 1 == count => compiled.last_lanes,
                true if !(is_behind && region == 0) => place.lanes,
                _ => FULL,
            };
            if next == ENDED {
                warp.resume(0);
                continue;
            }
            let at = &compiled.regions[next as usize];
            at.spread.iter().for_each(|spread| write_out(spread, place));
            for instruction in &at.recomputed {
                warp.step(&compiled.kernel, compiled.kernel.block_of(*instruction), FULL);
            }
            warp.resume(lanes);
            let has_begun = is_behind && next == region;
            let instruction = if has_begun { at.entry } else { at.barrier.unwrap_or(at.entry) };
            warp.send(0, compiled.kernel.block_of(instruction), lanes);
        }
    }
}

/// Where a warp is while a region runs, whose turn it has had or not: those before the running one have come to their next barrier, those
/// behind it (`is_behind`) are at the region's beginning, or where it passes them over.
fn where_is(compiled: &Compiled, number: u32, place: &Place, is_behind: bool) -> u32 {
    let region = &compiled.regions[number as usize];
    // What a warp came to in another block says nothing before it has run in this one.
    let has_ended = !region.is_whole && place.next == ENDED;
    match region.leads {
        _ if has_ended => ENDED,
        _ if is_behind && region.has_turns(number) => place.next,
        _ if is_behind => number,
        Leads::Region(next) => next,
        Leads::End => ENDED,
        Leads::Open => place.next,
    }
}

/// Does one instruction, at which a block of the frame's kernel begins and ends, for some lanes of a warp; answers 1 if it failed.
///
/// # Safety
/// Called by compiled code, with the frame that it was given, while `Native::run` lends it the warps.
pub unsafe extern "C" fn step(frame: *mut Frame, warp: u32, instruction: u32, lanes: u32) -> u32 {
    // SAFETY: `Native::run` has put all three there; nobody else looks at the warps while the code runs.
    unsafe {
        (*frame).tell_place();
        (*frame).stepped += 1;
    }
    // SAFETY: as above.
    let (kernel, warp) =
        unsafe { (&*(*frame).kernel, &mut *(*frame).interpreted.cast::<Warp>().add(warp as usize)) };
    warp.step(kernel, kernel.block_of(instruction), lanes);
    u32::from(warp.fault.is_some())
}

/// Runs a function that computes floats, and that is not inlined, with subnormal numbers as they are in a kernel that flushes them.
pub fn without_flushing<T>(run: impl FnOnce() -> T) -> T {
    Control::exact().during(run)
}

/// Makes a register whole.
fn write_out(spread: &Spread, place: &Place) {
    if spread.kept {
        return;
    }
    // SAFETY: the code's tables name words and registers that this warp has.
    unsafe {
        let word = place.words.add(spread.word as usize).read();
        let target = place.registers.add(spread.offset as usize);
        let lane = |index: usize| {
            let more = spread.pattern.as_ref().map_or(0, |pattern| pattern[index]);
            word.wrapping_add(more as u64)
        };
        match spread.width {
            Width::Predicate => target.cast::<u32>().write(if word & 1 != 0 { FULL } else { 0 }),
            Width::Narrow => {
                (0..LANES).for_each(|index| target.cast::<u32>().add(index).write(lane(index) as u32));
            }
            Width::Wide => (0..LANES).for_each(|index| target.cast::<u64>().add(index).write(lane(index))),
        }
    }
}

/// Makes a word of a register, if some of its lanes are as the code expects.
fn read_in(spread: &Spread, place: &Place, lanes: u32) -> bool {
    let more = |index: usize| spread.pattern.as_ref().map_or(0, |pattern| pattern[index]) as u64;
    let here = || (0..LANES).filter(|index| lanes >> index & 1 != 0);
    // SAFETY: as in `write_out`.
    unsafe {
        let source = place.registers.add(spread.offset as usize);
        let word = match spread.width {
            Width::Predicate => match source.cast::<u32>().read() & lanes {
                0 => Some(0),
                held if held == lanes => Some(1),
                _ => None,
            },
            Width::Narrow => {
                let bases = here()
                    .map(|index| source.cast::<u32>().add(index).read().wrapping_sub(more(index) as u32));
                only(bases).map(u64::from)
            }
            Width::Wide => {
                let bases =
                    here().map(|index| source.cast::<u64>().add(index).read().wrapping_sub(more(index)));
                only(bases)
            }
        };
        let Some(word) = word else { return false };
        place.words.add(spread.word as usize).write(word);
    }
    true
}

/// The value, if all are the same.
fn only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

impl Barriers {
    /// The only fragment of a warp that waits, taken back from a plain barrier of the whole block.
    fn take_only(&mut self, warp: usize) -> Option<Fragment> {
        let mut places = self.all.iter_mut().enumerate().filter(|(_, barrier)| barrier.has(warp));
        let (number, barrier) = places.next()?;
        if number != 0 || places.next().is_some() || barrier.threads.is_some() {
            return None;
        }
        // Lanes that have parted come one after the other, and stay as they are.
        let mut mine = (0..barrier.waiting.len()).filter(|place| barrier.waiting[*place].warp == warp);
        let (place, None) = (mine.next()?, mine.next()) else { return None };
        if !matches!(barrier.waiting[place].kind, BarrierKind::Sync) {
            return None;
        }
        barrier.lanes[warp] = 0;
        Some(barrier.waiting.swap_remove(place).fragment)
    }

    /// Undoes [`Barriers::take_only`].
    fn put_back(&mut self, warp: usize, fragment: Fragment) {
        self.all[0].lanes[warp] = fragment.mask;
        self.all[0].wait(warp, fragment);
    }
}
